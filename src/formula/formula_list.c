/*
 * formula_list.c - $iterate, $concat, $firstNotEmpty, $mergeObjects.
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula_priv.h"
#include "locator/coerce.h"

/* ---- $iterate ---- */

struct iterate {
    const struct formula_node *source, *item;
    uint32_t item_hash, parent_hash, index_hash;
};

int formula_compile_iterate(struct formula_compiler *c, struct formula_node *n,
                            const struct value *arg) {
    const struct formula_place *place =
        formula_place_below(c->arena, &n->place, "$iterate", 0);
    struct iterate *x = arena_zalloc(c->arena, sizeof(*x));

    n->data = x;
    x->item_hash = value_hash_key("item", 4);
    x->parent_hash = value_hash_key("parent", 6);
    x->index_hash = value_hash_key("index", 5);
    if (formula_compile_at(c, place, "source", value_get(arg, "source"), &x->source) < 0)
        return -1;
    return formula_compile_at(c, place, "item", value_get(arg, "item"), &x->item);
}

/* The variables of one round: {item, parent, index}. */
static const struct value *round_variables(struct arena *a, const struct iterate *x,
                                           const struct value *item,
                                           const struct value *parent, double index) {
    struct {
        struct value object;
        struct member members[3];
    } *v = arena_alloc(a, sizeof(*v));

    v->members[0] = (struct member){"item", 4, x->item_hash, *item};
    v->members[1] = (struct member){"parent", 6, x->parent_hash, *parent};
    v->members[2] = (struct member){
        "index", 5, x->index_hash, {.type = VALUE_NUMBER, .number = index}};
    v->object = (struct value){.type = VALUE_OBJECT, .len = 3, .members = v->members};
    return &v->object;
}

int formula_eval_iterate(struct formula_eval *e, const struct formula_node *n,
                         const struct formula_scope *s, struct value *ret) {
    const struct iterate *x = n->data;
    struct value source, *items;
    uint32_t len = 0;

    *ret = value_undefined;
    if (formula_eval_node(e, x->source, s, &source) < 0)
        return -1;
    if (!value_is_array(&source) || source.len == 0)
        return 0;
    items = arena_alloc(e->arena, source.len * sizeof(*items));
    for (uint32_t i = 0; i < source.len; i++) {
        struct formula_scope inner = {
            round_variables(e->arena, x, &source.items[i], s->variables, i), s->schema};

        if (formula_spend(e, n, 1) < 0 ||
            formula_eval_node(e, x->item, &inner, &items[len]) < 0)
            return -1;
        len += value_truthy(&items[len]);
    }
    if (len > 0)
        *ret = (struct value){.type = VALUE_ARRAY, .len = len, .items = items};
    return 0;
}

/* ---- $concat ---- */

struct concat {
    const struct formula_node *values, *delimiter;
};

int formula_compile_concat(struct formula_compiler *c, struct formula_node *n,
                           const struct value *arg) {
    const struct value *delimiter = value_get(arg, "delimiter");
    const struct formula_place *place =
        formula_place_below(c->arena, &n->place, "$concat", 0);
    struct concat *x = arena_zalloc(c->arena, sizeof(*x));

    n->data = x;
    if (value_is_nullish(delimiter))
        delimiter = &value_empty_string;
    if (formula_compile_at(c, place, "delimiter", delimiter, &x->delimiter) < 0)
        return -1;
    if (value_is_array(arg))
        return formula_compile_at(c, &n->place, "$concat", arg, &x->values);
    return formula_compile_at(c, place, "values", value_get(arg, "values"), &x->values);
}

/* Appends the text of the entries, joined; empty ones are left out. */
static void join(struct buf *b, const struct value *list, const struct value *delimiter) {
    bool first = true;

    for (VALUE_EACH_ITEM(item, list)) {
        size_t before = b->len, start;

        if (value_is_nullish(item))
            continue;
        if (!first)
            value_wtf8_append(b, delimiter->str, delimiter->len);
        start = b->len;
        coerce_append_text(b, item);
        if (b->len == start)
            b->len = before;
        else
            first = false;
    }
}

int formula_eval_concat(struct formula_eval *e, const struct formula_node *n,
                        const struct formula_scope *s, struct value *ret) {
    const struct concat *x = n->data;
    struct value list, delimiter;

    *ret = value_undefined;
    if (formula_eval_node(e, x->values, s, &list) < 0)
        return -1;
    if (!value_is_array(&list) || list.len == 0)
        return 0;
    if (formula_eval_node(e, x->delimiter, s, &delimiter) < 0)
        return -1;
    buf_clear(&e->text);
    join(&e->text, &list, coerce_text(e->arena, &delimiter));
    *ret = formula_take_text(e);
    return formula_spend(e, n, list.len);
}

/* ---- $firstNotEmpty ---- */

int formula_compile_first_not_empty(struct formula_compiler *c, struct formula_node *n,
                                    const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_first_not_empty(struct formula_eval *e, const struct formula_node *n,
                                 const struct formula_scope *s, struct value *ret) {
    struct value list;

    if (formula_eval_argument(e, n, s, &list) < 0)
        return -1;
    *ret = value_undefined;
    for (VALUE_EACH_ITEM(item, &list))
        if (!value_is_nullish(item)) {
            *ret = *item;
            break;
        }
    return 0;
}

/* ---- $mergeObjects ---- */

int formula_compile_merge_objects(struct formula_compiler *c, struct formula_node *n,
                                  const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

static void merge_entry(struct object_builder *b, const struct value *entry) {
    char key[32];

    for (VALUE_EACH_MEMBER(m, entry))
        if (m->key_len != 9 || memcmp(m->key, "__proto__", 9) != 0)
            object_set_ref(b, m->key, m->key_len, &m->value);
    for (VALUE_EACH_ITEM(item, entry)) {
        size_t len = value_format_number((double)(item - entry->items), key);

        object_set_len(b, key, len, item);
    }
}

int formula_eval_merge_objects(struct formula_eval *e, const struct formula_node *n,
                               const struct formula_scope *s, struct value *ret) {
    struct object_builder b;
    struct value list;

    *ret = value_undefined;
    if (formula_eval_argument(e, n, s, &list) < 0)
        return -1;
    if (!value_is_array(&list))
        return 0;
    object_begin(&b, e->arena, 0);
    for (VALUE_EACH_ITEM(entry, &list)) {
        if (formula_spend(e, n, 1 + entry->len) < 0)
            return -1;
        merge_entry(&b, entry);
    }
    if (b.len > 0)
        *ret = *object_end(&b);
    return 0;
}
