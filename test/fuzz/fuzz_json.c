/*
 * Any bytes: the parser must not misbehave, and what it accepts must encode to
 * text that it reads as the same value.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_texts(struct arena *a, const struct value *v) {
    if (value_is_string(v)) {
        size_t units = value_utf16_length(v->str, v->len);
        struct buf joined = BUF_INIT;
        const struct value *part;

        part = value_utf16_slice(a, v->str, v->len, 0, units / 2);
        value_wtf8_append(&joined, part->str, part->len);
        part = value_utf16_slice(a, v->str, v->len, units / 2, units);
        value_wtf8_append(&joined, part->str, part->len);
        if (joined.len != v->len)
            abort();
        buf_fini(&joined);
        value_string_to_number(v->str, v->len);
        value_parse_float(v->str, v->len);
    }
    for (VALUE_EACH_ITEM(item, v))
        check_texts(a, item);
    for (VALUE_EACH_MEMBER(m, v))
        check_texts(a, &m->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new(0);
    const struct value *v, *again;
    struct bytes text;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, (const char *)data, size, NULL, &v, &st) == 0) {
        text = value_encode_arena(a, v, size & 1 ? VALUE_ENCODE_INDENT_2 : 0);
        if (value_parse(a, text.data, text.len, NULL, &again, &st) < 0)
            abort();
        /* An infinite number becomes null on the way. */
        text = value_encode_arena(a, again, 0);
        if (value_parse(a, text.data, text.len, NULL, &v, &st) < 0 ||
            !value_equal_ordered(v, again))
            abort();
        check_texts(a, v);
    }
    arena_free(&a);
    return 0;
}
