/*
 * locator_list.c - the locators of what stands in a value.
 */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "locator.h"
#include "value/value.h"

enum { MAX_DEPTH = 1000 };

struct lister {
    struct array_builder out;
    struct buf path;
    const struct value *wanted; /* of locator_find_value */
    const char *key;            /* "$type" of locator_list_formulas */
    int depth;
    bool skips_nullish; /* holes of wide arrays cost nothing */
    void (*visit)(struct lister *, const struct value *);
};

static void add_path(struct lister *l) {
    array_push(&l->out, value_string_len(l->out.arena, l->path.data, l->path.len));
}

/* Visits items and members with the path set to each. */
static void descend(struct lister *l, const struct value *v) {
    size_t len = l->path.len;

    if (l->depth == MAX_DEPTH)
        return;
    l->depth++;
    for (VALUE_EACH_ITEM(item, v)) {
        if (l->skips_nullish && value_is_nullish(item))
            continue;
        locator_append_item(&l->path, (double)(item - v->items));
        l->visit(l, item);
        l->path.len = len;
    }
    for (VALUE_EACH_MEMBER(m, v)) {
        locator_append_property(&l->path, m->key, m->key_len);
        l->visit(l, &m->value);
        l->path.len = len;
    }
    l->depth--;
}

static const struct value *list(struct lister *l, struct arena *a, const struct value *v,
                                const struct value *prefix) {
    array_begin(&l->out, a, 0);
    if (prefix && value_is_string(prefix))
        buf_add(&l->path, prefix->str, prefix->len);
    else
        buf_addc(&l->path, '$');
    l->visit(l, v);
    buf_fini(&l->path);
    return array_end(&l->out);
}

static void visit_leaf(struct lister *l, const struct value *v) {
    if (value_is_nullish(v) || value_is(v, VALUE_DATE))
        return;
    if (value_is_array(v) || value_is_object(v))
        descend(l, v);
    else
        add_path(l);
}

const struct value *locator_list_data(struct arena *a, const struct value *v,
                                      const struct value *prefix) {
    struct lister l = {.path = BUF_INIT, .skips_nullish = true, .visit = visit_leaf};

    return list(&l, a, v, prefix);
}

/* ---- equality of JSON texts ---- */

static bool encodes_as_null(const struct value *v) {
    return v->type == VALUE_NULL ||
           ((v->type == VALUE_NUMBER || v->type == VALUE_DATE) && !isfinite(v->number));
}

static bool json_equal(const struct value *x, const struct value *y, int depth);

static const struct member *next_defined(const struct member *m,
                                         const struct member *end) {
    while (m < end && m->value.type == VALUE_UNDEFINED)
        m++;
    return m;
}

static bool members_equal(const struct value *x, const struct value *y, int depth) {
    static const struct member none; /* an empty object may have no members at all */
    const struct member *m = x->len ? x->members : &none, *m_end = m + x->len;
    const struct member *n = y->len ? y->members : &none, *n_end = n + y->len;

    for (;;) {
        m = next_defined(m, m_end);
        n = next_defined(n, n_end);
        if (m == m_end || n == n_end)
            return m == m_end && n == n_end;
        if (m->key_len != n->key_len || memcmp(m->key, n->key, m->key_len) ||
            !json_equal(&m->value, &n->value, depth + 1))
            return false;
        m++, n++;
    }
}

/* An item that is undefined encodes as null. */
static const struct value *item_json(const struct value *v) {
    return v->type == VALUE_UNDEFINED ? &value_null : v;
}

static bool date_equals_text(const struct value *date, const struct value *v) {
    char iso[32];
    size_t n = value_format_date(date->number, iso);

    return value_is_string(v) && v->len == n && memcmp(iso, v->str, n) == 0;
}

static bool json_equal(const struct value *x, const struct value *y, int depth) {
    if (depth > MAX_DEPTH)
        return false;
    if (encodes_as_null(x) || encodes_as_null(y))
        return encodes_as_null(x) && encodes_as_null(y);
    if (x->type != y->type)
        return value_is(x, VALUE_DATE)   ? date_equals_text(x, y)
               : value_is(y, VALUE_DATE) ? date_equals_text(y, x)
                                         : false;
    if (value_is_object(x))
        return members_equal(x, y, depth);
    if (value_is_array(x)) {
        if (x->len != y->len)
            return false;
        for (size_t i = 0; i < x->len; i++)
            if (!json_equal(item_json(&x->items[i]), item_json(&y->items[i]), depth + 1))
                return false;
        return true;
    }
    return value_is(x, VALUE_DATE) ? x->number == y->number : value_equal(x, y);
}

static void visit_wanted(struct lister *l, const struct value *v) {
    if (json_equal(v, l->wanted, 0))
        add_path(l);
    else
        descend(l, v);
}

const struct value *locator_find_value(struct arena *a, const struct value *v,
                                       const struct value *wanted) {
    struct lister l = {.path = BUF_INIT, .visit = visit_wanted, .wanted = wanted};

    return list(&l, a, v, NULL);
}

static void visit_formula(struct lister *l, const struct value *v) {
    if (value_is_object(v) && v->len == 1 && value_has(v, l->key))
        add_path(l);
    else
        descend(l, v);
}

const struct value *locator_list_formulas(struct arena *a, const struct value *v,
                                          const char *type) {
    struct lister l = {
        .path = BUF_INIT, .visit = visit_formula, .key = arena_printf(a, "$%s", type)};

    return list(&l, a, v, NULL);
}
