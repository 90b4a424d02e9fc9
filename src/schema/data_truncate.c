/*
 * data_truncate.c - cutting data for logs.
 */
#include "schema/data_truncate.h"

#include "base/arena.h"
#include "base/buf.h"
#include "schema/schema_priv.h"

static const struct value *truncate_text(struct arena *a, const struct value *v) {
    const struct value *cut;
    struct buf b = BUF_INIT;

    if (v->len <= TRUNCATE_TEXT || value_utf16_length(v->str, v->len) <= TRUNCATE_TEXT)
        return v;
    cut = value_utf16_slice(a, v->str, v->len, 0, TRUNCATE_TEXT);
    buf_add(&b, cut->str, cut->len);
    buf_adds(&b, "...");
    cut = value_string_len(a, b.data, b.len);
    buf_fini(&b);
    return cut;
}

static const struct value *truncate_array(struct arena *a, const struct value *v,
                                          int depth) {
    size_t kept = v->len < TRUNCATE_ITEMS ? v->len : TRUNCATE_ITEMS;
    struct array_builder b;

    array_begin(&b, a, kept + 1);
    for (size_t i = 0; i < kept; i++)
        array_push(&b, data_truncate(a, &v->items[i], depth + 1));
    if (v->len > kept)
        array_push(&b, value_obj(a, "...moreItems",
                                 value_number(a, (double)(v->len - kept)), NULL));
    return array_end(&b);
}

/* The names of the members left out, as far as they fit. */
static const struct value *names_left_out(struct arena *a, const struct value *v,
                                          size_t from) {
    const struct value *names;
    struct buf b = BUF_INIT;

    /* a UTF-16 unit takes at most 3 bytes: what lies beyond is cut anyway */
    for (size_t i = from; i < v->len && b.len < TRUNCATE_TEXT * 3; i++) {
        if (i > from)
            buf_adds(&b, ", ");
        buf_add(&b, v->members[i].key, v->members[i].key_len);
    }
    names = value_utf16_slice(a, b.data ? b.data : "", b.len, 0, TRUNCATE_TEXT);
    buf_fini(&b);
    return names;
}

static const struct value *truncate_object(struct arena *a, const struct value *v,
                                           int depth) {
    size_t kept = v->len < TRUNCATE_KEYS ? v->len : TRUNCATE_KEYS;
    struct object_builder b;

    object_begin(&b, a, kept + 1);
    for (size_t i = 0; i < kept; i++) {
        const struct member *m = &v->members[i];

        schema_assign(&b, m->key, m->key_len, data_truncate(a, &m->value, depth + 1));
    }
    if (v->len > kept)
        object_set(&b, "...moreKeys", names_left_out(a, v, kept));
    return object_end(&b);
}

const struct value *data_truncate(struct arena *a, const struct value *v, int depth) {
    if (depth > TRUNCATE_DEPTH)
        return value_string(a, "<max depth reached>");
    switch ((enum value_type)v->type) {
    case VALUE_STRING:
        return truncate_text(a, v);
    case VALUE_ARRAY:
        return truncate_array(a, v, depth);
    case VALUE_OBJECT:
        return truncate_object(a, v, depth);
    case VALUE_DATE: /* an object without keys */
        return &value_empty_object;
    default:
        return v;
    }
}
