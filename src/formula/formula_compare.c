/*
 * formula_compare.c - $eval with its operators, $and, $or.
 */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula_priv.h"
#include "locator/coerce.h"
#include "locator/locator.h"
#include "locator/text_case.h"

/* ---- the comparison operators ---- */

static bool is(struct formula_eval *e, const struct value *v, const struct value *o) {
    (void)e;
    return coerce_loose_equal(v, o);
}

static bool is_not(struct formula_eval *e, const struct value *v, const struct value *o) {
    return !is(e, v, o);
}

static bool one_of(struct formula_eval *e, const struct value *v, const struct value *o) {
    (void)e;
    return coerce_includes(o, v);
}

static bool none_of(struct formula_eval *e, const struct value *v,
                    const struct value *o) {
    return !one_of(e, v, o);
}

/* Does the lower-cased text of v contain that of o? */
static bool text_contains(struct formula_eval *e, const struct value *v,
                          const struct value *o) {
    static const struct value nothing = {
        .type = VALUE_STRING, .len = 9, .str = "undefined"};
    const struct value *hay = text_lower(e->arena, coerce_text(e->arena, v));
    const struct value *needle =
        value_is_nullish(o) ? &nothing : text_lower(e->arena, coerce_text(e->arena, o));

    return memmem(hay->str, hay->len, needle->str, needle->len) != NULL;
}

static bool contains(struct formula_eval *e, const struct value *v,
                     const struct value *o) {
    if (!value_truthy(v))
        return false;
    return value_is_array(v) ? coerce_includes(v, o) : text_contains(e, v, o);
}

static bool does_not_contain(struct formula_eval *e, const struct value *v,
                             const struct value *o) {
    return !contains(e, v, o);
}

/* Comparisons with NaN are false by themselves. */
static bool lt(struct formula_eval *e, const struct value *v, const struct value *o) {
    (void)e;
    return coerce_parse_float(v) < coerce_parse_float(o);
}

static bool lte(struct formula_eval *e, const struct value *v, const struct value *o) {
    (void)e;
    return coerce_parse_float(v) <= coerce_parse_float(o);
}

static bool gt(struct formula_eval *e, const struct value *v, const struct value *o) {
    return lt(e, o, v);
}

static bool gte(struct formula_eval *e, const struct value *v, const struct value *o) {
    return lte(e, o, v);
}

static bool is_empty(struct formula_eval *e, const struct value *v,
                     const struct value *o) {
    (void)e, (void)o;
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
    case VALUE_DATE: /* an object without keys */
        return true;
    case VALUE_STRING:
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        return v->len == 0;
    default:
        return false;
    }
}

static bool is_not_empty(struct formula_eval *e, const struct value *v,
                         const struct value *o) {
    return !is_empty(e, v, o);
}

struct comparison {
    const char *name;
    bool (*compare)(struct formula_eval *, const struct value *, const struct value *);
};

static const struct comparison comparisons[] = {
#define COMPARISON(name, title, function, applies, operand) {name, function},
#include "comparisons.def"
#undef COMPARISON
};

/* ---- $eval ---- */

struct eval {
    const struct formula_node *left, *operand;
    const struct comparison *comparison; /* NULL: unknown, always true */
    bool reserved;                       /* an inherited name: fails */
};

int formula_compile_eval(struct formula_compiler *c, struct formula_node *n,
                         const struct value *arg) {
    const struct member *second = n->source->len > 1 ? &n->source->members[1] : NULL;
    struct eval *x = arena_zalloc(c->arena, sizeof(*x));

    n->data = x;
    if (formula_compile_at(c, &n->place, "$eval", arg, &x->left) < 0)
        return -1;
    if (!second)
        return 0;
    for (size_t i = 0; i < sizeof(comparisons) / sizeof(*comparisons); i++)
        if (strcmp(comparisons[i].name, second->key) == 0)
            x->comparison = &comparisons[i];
    x->reserved = locator_is_inherited_name(second->key, second->key_len);
    if (!x->comparison)
        return 0;
    return formula_compile_at(c, &n->place, second->key, &second->value, &x->operand);
}

int formula_eval_eval(struct formula_eval *e, const struct formula_node *n,
                      const struct formula_scope *s, struct value *ret) {
    const struct eval *x = n->data;
    struct value left, operand;

    if (formula_eval_node(e, x->left, s, &left) < 0)
        return -1;
    if (x->reserved)
        return formula_fail_at(e, n, "Reserved name used as an operator");
    if (!x->comparison) {
        *ret = value_true;
        return 0;
    }
    if (formula_eval_node(e, x->operand, s, &operand) < 0)
        return -1;
    *ret = *value_bool(x->comparison->compare(e, &left, &operand));
    return 0;
}

/* ---- $and, $or ---- */

static int all_or_any(struct formula_eval *e, const struct formula_node *n,
                      const struct formula_scope *s, bool all, struct value *ret) {
    struct value list;
    bool found = false, result = all;

    if (formula_eval_argument(e, n, s, &list) < 0)
        return -1;
    for (VALUE_EACH_ITEM(item, &list)) {
        if (value_is_nullish(item))
            continue;
        found = true;
        if (value_truthy(item) != all)
            result = !all;
    }
    *ret = found ? *value_bool(result) : value_undefined;
    return 0;
}

int formula_compile_and(struct formula_compiler *c, struct formula_node *n,
                        const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_and(struct formula_eval *e, const struct formula_node *n,
                     const struct formula_scope *s, struct value *ret) {
    return all_or_any(e, n, s, true, ret);
}

int formula_compile_or(struct formula_compiler *c, struct formula_node *n,
                       const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_or(struct formula_eval *e, const struct formula_node *n,
                    const struct formula_scope *s, struct value *ret) {
    return all_or_any(e, n, s, false, ret);
}
