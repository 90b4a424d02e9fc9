/*
 * store_match.c - the one meaning of comparison and conditions.
 */
#include "store_priv.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "value/value.h"

struct store_key store_key_of(struct arena *a, const struct value *v) {
    struct store_key k = {RANK_NULL, 0, {NULL, 0}};
    char date[32];
    size_t len;

    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        break;
    case VALUE_BOOL:
        k.rank = RANK_BOOL;
        k.number = v->boolean;
        break;
    case VALUE_NUMBER:
        if (!isfinite(v->number))
            break;
        k.rank = RANK_NUMBER;
        k.number =
            v->number + 0.0 < STORE_LOWEST_NUMBER ? STORE_LOWEST_NUMBER : v->number + 0.0;
        break;
    case VALUE_STRING:
        k.rank = RANK_TEXT;
        k.text = (struct bytes){v->str, v->len};
        break;
    case VALUE_DATE:
        if (!isfinite(v->number))
            break;
        len = value_format_date(v->number, date);
        k.rank = RANK_TEXT;
        k.text = (struct bytes){arena_memdup(a, date, len), len};
        break;
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        k.rank = RANK_CONTAINER;
        k.text = value_encode_arena(a, v, VALUE_ENCODE_COMPACT);
        break;
    }
    return k;
}

static int bytes_compare(struct bytes x, struct bytes y) {
    size_t n = x.len < y.len ? x.len : y.len;
    int d = n ? memcmp(x.data, y.data, n) : 0;

    return d ? d : (x.len > y.len) - (x.len < y.len);
}

int store_key_compare(const struct store_key *x, const struct store_key *y) {
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->rank <= RANK_NUMBER)
        return (x->number > y->number) - (x->number < y->number);
    return bytes_compare(x->text, y->text);
}

/* ---- Paths ---- */

static size_t segment_length(const char *path) {
    return strcspn(path, ".");
}

/* The array item that a segment names; NULL when it names none. */
static const struct value *item_at(const struct value *v, const char *seg, size_t len) {
    size_t i = 0;

    if (len == 0 || len > 9)
        return NULL;
    for (size_t n = 0; n < len; n++) {
        if (!isdigit((unsigned char)seg[n]))
            return NULL;
        i = i * 10 + (size_t)(seg[n] - '0');
    }
    return i < v->len ? &v->items[i] : NULL;
}

static const struct value *step(const struct value *v, const char *seg, size_t len) {
    return value_is_array(v) ? item_at(v, seg, len) : value_find(v, seg, len);
}

const struct value *store_path_get(const struct value *doc, const char *path) {
    const struct value *v = doc;

    for (;;) {
        size_t len = segment_length(path);

        if (!(v = step(v, path, len)))
            return &value_undefined;
        if (!path[len])
            return v;
        path += len + 1;
    }
}

/* ---- Conditions ---- */

bool store_text_contains(struct bytes text, struct bytes part) {
    if (part.len > text.len)
        return false;
    for (size_t at = 0; at + part.len <= text.len; at++) {
        size_t i = 0;

        while (i < part.len && tolower((unsigned char)text.data[at + i]) ==
                                   tolower((unsigned char)part.data[i]))
            i++;
        if (i == part.len)
            return true;
    }
    return false;
}

static bool equal(const struct value *v, const struct store_key *want,
                  struct arena *scratch) {
    struct store_key k;

    if (want->rank < RANK_CONTAINER && v->type >= VALUE_ARRAY)
        return false; /* saves encoding it */
    k = store_key_of(scratch, v);
    return store_key_compare(&k, want) == 0;
}

/* Is `want` among the items that the path leads to through at least one array? */
static bool has_item(const struct value *v, const char *path, bool inside,
                     const struct store_key *want, struct arena *scratch) {
    size_t len;
    const struct value *next;

    if (value_is_array(v)) {
        for (VALUE_EACH_ITEM(item, v)) {
            if (!path && equal(item, want, scratch))
                return true;
            if (path && value_is_object(item) &&
                has_item(item, path, true, want, scratch))
                return true;
        }
        return false;
    }
    if (!path)
        return inside && equal(v, want, scratch);
    len = segment_length(path);
    next = value_find(v, path, len);
    return next &&
           has_item(next, path[len] ? path + len + 1 : NULL, inside, want, scratch);
}

static bool in(const struct store_filter *f, const struct value *v,
               struct arena *scratch) {
    for (VALUE_EACH_ITEM(item, f->value)) {
        struct store_key want = store_key_of(scratch, item);

        if (equal(v, &want, scratch))
            return true;
    }
    return false;
}

static int compare(const struct store_filter *f, const struct value *doc,
                   struct arena *scratch) {
    struct store_key x = store_key_of(scratch, store_path_get(doc, f->field)),
                     y = store_key_of(scratch, f->value);

    return store_key_compare(&x, &y);
}

static bool match_group(const struct store_filter *f, const struct value *doc,
                        struct arena *scratch) {
    bool all = f->op == STORE_AND;

    for (size_t i = 0; i < f->of_len; i++)
        if (store_match(f->of[i], doc, scratch) != all)
            return !all;
    return all;
}

bool store_match(const struct store_filter *f, const struct value *doc,
                 struct arena *scratch) {
    struct store_key want;
    const struct value *v;

    if (!f)
        return true;
    switch (f->op) {
    case STORE_ALL:
        return true;
    case STORE_EQ:
    case STORE_NE:
        want = store_key_of(scratch, f->value);
        return equal(store_path_get(doc, f->field), &want, scratch) ==
               (f->op == STORE_EQ);
    case STORE_LT:
        return compare(f, doc, scratch) < 0;
    case STORE_LE:
        return compare(f, doc, scratch) <= 0;
    case STORE_GT:
        return compare(f, doc, scratch) > 0;
    case STORE_GE:
        return compare(f, doc, scratch) >= 0;
    case STORE_IN:
        return in(f, store_path_get(doc, f->field), scratch);
    case STORE_EXISTS:
    case STORE_ABSENT:
        want = (struct store_key){RANK_NULL, 0, {NULL, 0}};
        return equal(store_path_get(doc, f->field), &want, scratch) ==
               (f->op == STORE_ABSENT);
    case STORE_CONTAINS:
        v = store_path_get(doc, f->field);
        return value_is_string(v) && value_is_string(f->value) &&
               store_text_contains(value_bytes(v), value_bytes(f->value));
    case STORE_HAS_ITEM:
        want = store_key_of(scratch, f->value);
        return has_item(doc, f->field, false, &want, scratch);
    case STORE_AND:
    case STORE_OR:
        return match_group(f, doc, scratch);
    }
    return false;
}
