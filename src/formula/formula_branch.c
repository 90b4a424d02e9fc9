/*
 * formula_branch.c - $case and $map.
 */
#include "base/arena.h"
#include "base/status.h"
#include "filter/filter.h"
#include "formula_priv.h"
#include "locator/coerce.h"

/* ---- $case ---- */

struct case_entry {
    const struct formula_node *filter; /* NULL: matches */
    const struct filter *data_filter;  /* an array: the old form, or NULL */
    const struct formula_node *value;
};

struct cases {
    bool valid;
    size_t len;
    struct case_entry *entries;
    const struct formula_node *otherwise;
};

static int compile_entry(struct formula_compiler *c, const struct formula_place *place,
                         const struct value *v, struct case_entry *entry) {
    const struct value *filter = value_get(v, "filter");

    if (value_truthy(filter) &&
        formula_compile_at(c, place, "filter", filter, &entry->filter) < 0)
        return -1;
    if (value_is_array(filter))
        entry->data_filter = filter_compile(c->arena, filter);
    return formula_compile_at(c, place, "value", value_get(v, "value"), &entry->value);
}

static bool is_compound(const struct value *v) {
    return value_is_object(v) || value_is_array(v) || value_is(v, VALUE_DATE);
}

int formula_compile_case(struct formula_compiler *c, struct formula_node *n,
                         const struct value *arg) {
    const struct value *list = value_is_array(arg) ? arg : value_get(arg, "cases");
    const struct formula_place *place =
        formula_place_below(c->arena, &n->place, "$case", 0);
    struct cases *x = arena_zalloc(c->arena, sizeof(*x));

    n->data = x;
    x->valid = value_is_array(list);
    if (!x->valid)
        return 0;
    if (value_is_object(arg))
        place = formula_place_below(c->arena, place, "cases", 0);
    x->entries = arena_zalloc(c->arena, list->len * sizeof(*x->entries));
    for (VALUE_EACH_ITEM(item, list)) {
        const struct formula_place *at =
            formula_place_below(c->arena, place, NULL, (size_t)(item - list->items));

        if (is_compound(item) && compile_entry(c, at, item, &x->entries[x->len++]) < 0)
            return -1;
    }
    return formula_compile_at(c, &n->place, "default", value_get(arg, "default"),
                              &x->otherwise);
}

/* 1 when the entry matches, 0 when not, -1 on failure. */
static int entry_matches(struct formula_eval *e, const struct case_entry *entry,
                         const struct formula_scope *s) {
    const struct value *filter;
    struct value built;
    bool matches;

    if (!entry->filter)
        return 1;
    if (entry->data_filter && !e->resolving) {
        if (filter_match(entry->data_filter, s->variables, &matches, e->st) < 0)
            return -1;
        return matches;
    }
    if (formula_eval_node(e, entry->filter, s, &built) < 0)
        return -1;
    filter = &built;
    if (!e->resolving && is_compound(filter) &&
        formula_process_copy(e->arena, filter, &filter, e->st) < 0)
        return -1;
    return value_is_nullish(filter) || value_truthy(filter);
}

int formula_eval_case(struct formula_eval *e, const struct formula_node *n,
                      const struct formula_scope *s, struct value *ret) {
    const struct cases *x = n->data;

    *ret = value_undefined;
    if (!x->valid)
        return 0;
    for (size_t i = 0; i < x->len; i++) {
        int rc = entry_matches(e, &x->entries[i], s);

        if (rc < 0)
            return -1;
        if (rc > 0)
            return formula_eval_node(e, x->entries[i].value, s, ret);
    }
    if (formula_eval_node(e, x->otherwise, s, ret) < 0)
        return -1;
    if (value_is(ret, VALUE_NULL))
        *ret = value_undefined;
    return 0;
}

/* ---- $map ---- */

struct map_entry {
    const struct formula_node *from, *to;
};

struct map {
    bool valid;
    const struct formula_node *value, *otherwise;
    struct map_entry *entries;
    size_t len;
};

static int compile_mapping(struct formula_compiler *c, const struct formula_place *place,
                           const struct value *mapping, struct map *x) {
    x->entries = arena_alloc(c->arena, value_items_count(mapping) * sizeof(*x->entries));
    for (VALUE_EACH_ITEM(item, mapping)) {
        const struct formula_place *at =
            formula_place_below(c->arena, place, NULL, (size_t)(item - mapping->items));
        struct map_entry *entry = &x->entries[x->len];

        if (value_is_nullish(item))
            continue;
        if (formula_compile_at(c, at, "from", value_get(item, "from"), &entry->from) <
                0 ||
            formula_compile_at(c, at, "to", value_get(item, "to"), &entry->to) < 0)
            return -1;
        x->len++;
    }
    return 0;
}

int formula_compile_map(struct formula_compiler *c, struct formula_node *n,
                        const struct value *arg) {
    const struct formula_place *place =
        formula_place_below(c->arena, &n->place, "$map", 0);
    struct map *x = arena_zalloc(c->arena, sizeof(*x));

    n->data = x;
    x->valid = is_compound(arg);
    if (!x->valid)
        return 0;
    if (formula_compile_at(c, place, "value", value_get(arg, "value"), &x->value) < 0 ||
        formula_compile_at(c, place, "default", value_get(arg, "default"),
                           &x->otherwise) < 0)
        return -1;
    return compile_mapping(c, formula_place_below(c->arena, place, "mapping", 0),
                           value_get(arg, "mapping"), x);
}

int formula_eval_map(struct formula_eval *e, const struct formula_node *n,
                     const struct formula_scope *s, struct value *ret) {
    const struct map *x = n->data;
    struct value value, from;

    *ret = value_undefined;
    if (!x->valid)
        return 0;
    if (formula_eval_node(e, x->value, s, &value) < 0 || formula_spend(e, n, x->len) < 0)
        return -1;
    for (size_t i = 0; i < x->len; i++) {
        if (formula_eval_node(e, x->entries[i].from, s, &from) < 0)
            return -1;
        if (value_equal(&value, &from) || coerce_loose_equal(&value, &from))
            return formula_eval_node(e, x->entries[i].to, s, ret);
    }
    return formula_eval_node(e, x->otherwise, s, ret);
}
