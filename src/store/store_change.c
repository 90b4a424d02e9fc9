/*
 * store_change.c - changing a document, and its way to text and back.
 */
#include "store_priv.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

/* ---- Changes ---- */

static int fail_path(struct status *st, const char *path) {
    return st_fail(st, ST_BAD_REQUEST, NULL, "Field \"%s\" can't be changed.", path);
}

static int set_at(struct arena *a, const struct value *v, const char *rest,
                  const char *path, const struct value *to, const struct value **ret,
                  struct status *st);

/* Replaces item `seg` of an array, or appends when seg is its length. */
static int set_item(struct arena *a, const struct value *v, const char *seg, size_t len,
                    const char *path, const struct value *to, const struct value **ret,
                    struct status *st) {
    struct array_builder b;
    const struct value *item = NULL;
    size_t i = 0;

    if (len == 0 || len > 9 || strspn(seg, "0123456789") < len)
        return fail_path(st, path);
    for (size_t n = 0; n < len; n++)
        i = i * 10 + (size_t)(seg[n] - '0');
    if (i > v->len)
        return fail_path(st, path);
    if (!seg[len])
        item = value_is(to, VALUE_UNDEFINED) ? &value_null : to;
    else if (set_at(a, value_at(v, i), seg + len + 1, path, to, &item, st) < 0)
        return -1;
    array_begin(&b, a, v->len + 1);
    for (size_t n = 0; n < v->len; n++)
        array_push(&b, n == i ? item : &v->items[n]);
    if (i == v->len)
        array_push(&b, item);
    *ret = array_end(&b);
    return 0;
}

/* v with `to` at path `rest`; objects on the way are made when absent. */
static int set_at(struct arena *a, const struct value *v, const char *rest,
                  const char *path, const struct value *to, const struct value **ret,
                  struct status *st) {
    size_t len = strcspn(rest, ".");
    const struct value *child;

    if (value_is_array(v))
        return set_item(a, v, rest, len, path, to, ret, st);
    if (value_is_nullish(v))
        v = &value_empty_object;
    if (len == 0 || !value_is_object(v))
        return fail_path(st, path);
    if (!rest[len]) {
        *ret = value_with(a, v, rest, to);
        return 0;
    }
    if (set_at(a, value_get_len(v, rest, len), rest + len + 1, path, to, &child, st) < 0)
        return -1;
    *ret = value_with(a, v, arena_memdup(a, rest, len), child);
    return 0;
}

static int set_path(struct arena *a, const struct value **doc, const char *path,
                    const struct value *to, struct status *st) {
    if (strcmp(path, "id") == 0 && !value_string_equal(to, value_get(*doc, "id")))
        return fail_path(st, path);
    if (value_is(to, VALUE_UNDEFINED) &&
        value_is(store_path_get(*doc, path), VALUE_UNDEFINED))
        return 0;
    return set_at(a, *doc, path, path, to, doc, st);
}

static int increment_path(struct arena *a, const struct value **doc, const char *path,
                          const struct value *by, struct status *st) {
    const struct value *old = store_path_get(*doc, path);
    double from = value_is_number(old) ? old->number : 0;

    if (!value_is_number(by) || !(value_is_number(old) || value_is_nullish(old)))
        return fail_path(st, path);
    return set_path(a, doc, path, value_number(a, from + by->number), st);
}

int store_change_apply(struct arena *a, const struct value *doc,
                       const struct store_change *change, const struct value **ret_doc,
                       struct status *st) {
    for (VALUE_EACH_MEMBER(m, change->set))
        if (set_path(a, &doc, m->key, &m->value, st) < 0)
            return -1;
    for (const char *const *path = change->unset; path && *path; path++)
        if (set_path(a, &doc, *path, &value_undefined, st) < 0)
            return -1;
    for (VALUE_EACH_MEMBER(m, change->increment))
        if (increment_path(a, &doc, m->key, &m->value, st) < 0)
            return -1;
    if (store_check_document(doc, st) < 0)
        return -1;
    *ret_doc = doc;
    return 0;
}

/* ---- Text ---- */

static bool deeper_than(const struct value *v, int depth) {
    if (v->type < VALUE_ARRAY)
        return false;
    if (depth == 0)
        return true;
    for (VALUE_EACH_ITEM(item, v))
        if (item->type >= VALUE_ARRAY && deeper_than(item, depth - 1))
            return true;
    for (VALUE_EACH_MEMBER(m, v))
        if (m->value.type >= VALUE_ARRAY && deeper_than(&m->value, depth - 1))
            return true;
    return false;
}

int store_check_document(const struct value *doc, struct status *st) {
    const struct value *id = value_get(doc, "id");

    if (!value_is_object(doc) || !value_is_string(id) || id->len == 0 ||
        strlen(id->str) != id->len)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "A document must be an object with a text \"id\".");
    if (deeper_than(doc, STORE_MAX_DEPTH))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "A document must not be nested deeper than %d levels.",
                       STORE_MAX_DEPTH);
    return 0;
}

int store_encode(struct buf *b, const struct value *doc, struct status *st) {
    size_t before = b->len;

    value_encode(b, doc, VALUE_ENCODE_COMPACT);
    if (b->len - before > STORE_MAX_BYTES)
        return st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                       "A document must not be larger than %d MB.",
                       STORE_MAX_BYTES / 1024 / 1024);
    return 0;
}

int store_decode(struct arena *a, const char *text, size_t len,
                 const struct value **ret_doc, struct status *st) {
    static const struct value_limits limits = {.max_depth = STORE_MAX_DEPTH + 2};

    if (value_parse(a, text, len, &limits, ret_doc, st) < 0)
        return st_wrap(st, ST_INTERNAL, NULL, "A stored document is damaged.");
    return 0;
}
