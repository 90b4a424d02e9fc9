/*
 * formula_inspect.c - variable positions, rewriting and display text.
 */
#include "formula_inspect.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula_priv.h"
#include "locator/coerce.h"
#include "locator/locator.h"
#include "locator/locator_schema.h"
#include "locator/text_case.h"

/* ---- variable positions ---- */

struct lister {
    struct array_builder out;
    struct buf path;
    int depth;
};

static void list_variables(struct lister *l, const struct value *v);

static void list_below(struct lister *l, const struct value *v, const char *key,
                       size_t len) {
    size_t before = l->path.len;

    locator_append_property(&l->path, key, len);
    list_variables(l, v);
    l->path.len = before;
}

static void list_formula(struct lister *l, const struct value *v,
                         const struct formula_operator *op) {
    const struct value *arg = formula_argument(v);
    size_t before = l->path.len;

    if (op->id == FORMULA_var) {
        array_push(&l->out, value_string_len(l->out.arena, l->path.data, l->path.len));
        return;
    }
    /* The reference does not escape the operator's name; no name needs it. */
    buf_addc(&l->path, '.');
    buf_add(&l->path, v->members[0].key, v->members[0].key_len);
    if (op->id == FORMULA_iterate)
        list_below(l, value_get(arg, "source"), "source", 6);
    else
        list_variables(l, arg);
    l->path.len = before;
}

static void list_variables(struct lister *l, const struct value *v) {
    const struct formula_operator *op = formula_operator_of(v);
    size_t before = l->path.len;

    if (l->depth == 2 * FORMULA_MAX_DEPTH)
        return;
    l->depth++;
    if (op) {
        list_formula(l, v, op);
    } else {
        for (VALUE_EACH_ITEM(item, v)) {
            locator_append_item(&l->path, (double)(item - v->items));
            list_variables(l, item);
            l->path.len = before;
        }
        for (VALUE_EACH_MEMBER(m, v))
            list_below(l, &m->value, m->key, m->key_len);
    }
    l->depth--;
}

const struct value *formula_variable_locators(struct arena *a, const struct value *v) {
    struct lister l = {.path = BUF_INIT};

    array_begin(&l.out, a, 0);
    buf_addc(&l.path, '$');
    list_variables(&l, v);
    buf_fini(&l.path);
    return array_end(&l.out);
}

int formula_rename_variables(struct arena *a, const struct value *v,
                             formula_rename_fn *fn, void *ctx,
                             const struct value **ret_value, struct status *st) {
    const struct value *positions = formula_variable_locators(a, v);
    size_t start = arena_used(a);

    for (VALUE_EACH_ITEM(position, positions)) {
        const struct value *at = value_stringf(a, "%s.$var", position->str);
        const struct value *renamed = fn(ctx, a, locator_get_at(a, v, at));

        if (locator_check_batch(a, start, st) < 0 ||
            locator_set_value(a, v, at, renamed, &v, st) < 0)
            return -1;
    }
    *ret_value = v;
    return 0;
}

/* ---- transform ---- */

struct transformer {
    struct arena *arena;
    const struct value *tree;
    struct status *st;
    int depth;
};

static int transform(struct transformer *t, const struct value *v,
                     const struct value **ret);

static const struct value *box(struct transformer *t, struct value v) {
    return value_box(t->arena, v);
}

/* The variable that stands for the rest of a path below another variable. */
static const struct value *extended_variable(struct transformer *t,
                                             const struct value *variable,
                                             const struct locator *rest) {
    const struct value *text = locator_format(t->arena, rest);
    struct buf b = BUF_INIT;
    struct bytes out;
    struct value locator;

    coerce_append_text(&b, formula_argument(variable));
    buf_add(&b, text->str + 1, text->len - 1);
    out = buf_to_arena(&b, t->arena);
    buf_fini(&b);
    locator = value_string_ref(out.data, out.len);
    return box(t, formula_single(t->arena, "$var", &locator));
}

static int transform_var(struct transformer *t, const struct value *arg,
                         const struct value **ret) {
    const struct value *cur = t->tree;
    struct locator l;
    struct status st;

    *ret = &value_undefined;
    st_init(&st, t->arena);
    if (!value_truthy(t->tree) || (value_is_string(arg) && arg->len == 0) ||
        locator_from_value(t->arena, arg, &l, &st) < 0)
        return 0;
    for (;;) {
        const struct formula_operator *op = formula_operator_of(cur);
        struct locator one = {l.steps, 1};

        if (op) {
            if (op->id == FORMULA_var)
                *ret = extended_variable(t, cur, &l);
            return 0;
        }
        if (l.len > 0) {
            cur = locator_read_at(t->arena, cur, &one);
            if (cur->type == VALUE_UNDEFINED)
                return 0;
            l.steps++, l.len--;
        }
        if (l.len == 0)
            break;
    }
    *ret = cur;
    return 0;
}

static int transform_eval(struct transformer *t, const struct value *v,
                          const struct value **ret) {
    const struct value *left, *operand;
    struct object_builder b;

    if (formula_build_value(t->arena, formula_argument(v), t->tree, &left, t->st) < 0)
        return -1;
    *ret = &value_undefined;
    if (left->type == VALUE_UNDEFINED)
        return 0;
    object_begin(&b, t->arena, 2);
    object_set(&b, "$eval", left);
    if (v->len > 1) {
        const struct member *m = &v->members[1];

        if (formula_build_value(t->arena, &m->value, t->tree, &operand, t->st) < 0)
            return -1;
        object_set_len(&b, m->key, m->key_len, operand);
    }
    *ret = object_end(&b);
    return 0;
}

static int transform_case(struct transformer *t, const struct value *arg,
                          const struct value **ret) {
    const struct value *list = value_is_array(arg) ? arg : value_get(arg, "cases");
    const struct value *otherwise, *cases, *item;
    struct array_builder b;

    *ret = &value_undefined;
    if (!value_is_array(list))
        return 0;
    array_begin(&b, t->arena, list->len);
    for (VALUE_EACH_ITEM(entry, list)) {
        if (transform(t, entry, &item) < 0)
            return -1;
        if (value_get(item, "filter")->type != VALUE_UNDEFINED)
            array_push(&b, item);
    }
    if (transform(t, value_get(arg, "default"), &otherwise) < 0)
        return -1;
    cases = array_end(&b);
    if (cases->len == 0) {
        *ret = otherwise;
        return 0;
    }
    cases = value_obj(t->arena, "cases", cases, "default",
                      otherwise->type == VALUE_UNDEFINED ? NULL : otherwise, NULL);
    *ret = box(t, formula_single(t->arena, "$case", cases));
    return 0;
}

static int transform_iterate(struct transformer *t, const struct value *arg,
                             const struct value **ret) {
    const struct value *source;

    *ret = &value_undefined;
    if (transform(t, value_get(arg, "source"), &source) < 0)
        return -1;
    if (source->type != VALUE_UNDEFINED)
        *ret = box(t, formula_single(t->arena, "$iterate",
                                     value_with(t->arena, arg, "source", source)));
    return 0;
}

static int transform_formula(struct transformer *t, const struct value *v,
                             const struct formula_operator *op,
                             const struct value **ret) {
    const struct value *arg = formula_argument(v);

    switch (op->id) {
    case FORMULA_var:
        return transform_var(t, arg, ret);
    case FORMULA_eval:
        return transform_eval(t, v, ret);
    case FORMULA_case:
        return transform_case(t, arg, ret);
    case FORMULA_iterate:
        return transform_iterate(t, arg, ret);
    case FORMULA_formula:
        return transform(t, arg, ret);
    case FORMULA_RESERVED:
        return st_fail(t->st, ST_BAD_REQUEST, NULL, "Reserved name used as a formula: %s",
                       v->members[0].key);
    default:
        break;
    }
    if (transform(t, arg, &arg) < 0)
        return -1;
    *ret = &value_undefined;
    if (arg->type != VALUE_UNDEFINED)
        *ret = box(t, formula_single(t->arena, v->members[0].key, arg));
    return 0;
}

static int transform_items(struct transformer *t, const struct value *v,
                           const struct value **ret) {
    const struct value *item;
    struct array_builder b;

    array_begin(&b, t->arena, v->len);
    for (VALUE_EACH_ITEM(i, v)) {
        if (transform(t, i, &item) < 0)
            return -1;
        if (item->type != VALUE_UNDEFINED)
            array_push(&b, item);
    }
    *ret = b.len ? array_end(&b) : &value_undefined;
    return 0;
}

static int transform_members(struct transformer *t, const struct value *v,
                             const struct value **ret) {
    const struct value *member;
    struct object_builder b;

    object_begin(&b, t->arena, v->len);
    for (VALUE_EACH_MEMBER(m, v)) {
        if (transform(t, &m->value, &member) < 0)
            return -1;
        if (member->type != VALUE_UNDEFINED &&
            (m->key_len != 9 || memcmp(m->key, "__proto__", 9) != 0))
            object_set_ref(&b, m->key, m->key_len, member);
    }
    *ret = b.len ? object_end(&b) : &value_undefined;
    return 0;
}

static int transform(struct transformer *t, const struct value *v,
                     const struct value **ret) {
    const struct formula_operator *op = formula_operator_of(v);
    int rc = 0;

    if (t->depth == FORMULA_MAX_DEPTH)
        return st_fail(t->st, ST_BAD_REQUEST, "formula_limit",
                       "Formula is nested too deeply");
    t->depth++;
    if (op)
        rc = transform_formula(t, v, op, ret);
    else if (value_is_array(v) && v->len > 0)
        rc = transform_items(t, v, ret);
    else if (value_is_object(v) && v->len > 0)
        rc = transform_members(t, v, ret);
    else
        *ret = v;
    t->depth--;
    return rc;
}

int formula_transform(struct arena *a, const struct value *v, const struct value *tree,
                      const struct value **ret_value, struct status *st) {
    struct transformer t = {.arena = a, .tree = tree, .st = st};

    return transform(&t, v, ret_value);
}

int formula_remove_missing_variables(struct arena *a, const struct value *v,
                                     const struct value *schema,
                                     const struct value **ret_value, struct status *st) {
    const struct value *locators = locator_schema_list(a, schema, NULL);
    const struct value *tree = &value_empty_object;
    size_t start = arena_used(a);

    for (VALUE_EACH_ITEM(l, locators)) {
        struct value variable = formula_single(a, "$var", l);

        if (locator_check_batch(a, start, st) < 0 ||
            locator_set_value(a, tree, l, &variable, &tree, st) < 0)
            return -1;
    }
    return formula_transform(a, v, tree, ret_value, st);
}

/* ---- display text ---- */

static const struct value *take_text(struct arena *a, struct buf *b) {
    struct bytes text = buf_to_arena(b, a);

    buf_fini(b);
    return value_box(a, value_string_ref(text.data, text.len));
}

static const struct value *last_name_text(struct arena *a, const struct value *arg,
                                          const struct value *schema) {
    struct buf b = BUF_INIT;

    buf_adds(&b, "ExtractLastName(");
    coerce_append_text(&b, formula_display_text(a, arg, schema));
    buf_addc(&b, ')');
    return take_text(a, &b);
}

static const struct value *concat_text(struct arena *a, const struct value *arg,
                                       const struct value *schema) {
    const struct value *values = value_is_array(arg) ? arg : value_get(arg, "values");
    struct buf b = BUF_INIT;

    buf_adds(&b, "Concatenate(");
    for (VALUE_EACH_ITEM(item, values)) {
        const struct value *text = formula_display_text(a, item, schema);

        if (item > values->items)
            buf_adds(&b, ", ");
        if (!value_is_nullish(text))
            coerce_append_text(&b, text);
    }
    buf_addc(&b, ')');
    return take_text(a, &b);
}

const struct value *formula_display_text(struct arena *a, const struct value *v,
                                         const struct value *variables_schema) {
    const struct formula_operator *op = formula_operator_of(v);
    const struct value *text;

    if (!op)
        return value_is_nullish(v) ? &value_empty_string : coerce_text(a, v);
    switch (op->id) {
    case FORMULA_var:
        text = locator_schema_full_name(a, variables_schema, formula_argument(v));
        return value_is_nullish(text) ? formula_argument(v) : text;
    case FORMULA_concat:
        return concat_text(a, formula_argument(v), variables_schema);
    case FORMULA_last_name:
        return last_name_text(a, formula_argument(v), variables_schema);
    default:
        return text_header_case(a, op->name, op->name_len);
    }
}

const struct value *formula_to_object(struct arena *a, const struct value *v) {
    const struct formula_operator *op = formula_operator_of(v);
    struct object_builder b;

    if (!op)
        return &value_undefined;
    object_begin(&b, a, 2);
    object_set_all(&b, v);
    b.len = op->id == FORMULA_eval && v->len > 1 ? 2 : 1;
    return object_end(&b);
}
