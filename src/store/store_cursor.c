/*
 * store_cursor.c - where a page ended, as opaque text.
 *
 * A cursor is the last document's sort values and id: a page continues behind them
 * whatever was inserted or deleted meanwhile. An offset would skip and repeat. The text
 * is a JSON array in URL-safe base64; it comes back from outside, so it's checked.
 */
#include "store_priv.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_base64url.h"
#include "value/value.h"

size_t store_sort_count(const struct store_query *q) {
    size_t n = 0;

    while (n < STORE_MAX_SORT && q->sort[n].field)
        n++;
    return n;
}

bool store_sort_id_descending(const struct store_query *q) {
    size_t n = store_sort_count(q);

    return n > 0 && q->sort[n - 1].descending;
}

int store_position_compare(const struct store_query *q, const struct store_position *x,
                           const struct store_position *y) {
    int d = 0;

    for (size_t i = 0; i < store_sort_count(q) && d == 0; i++) {
        d = store_key_compare(&x->key[i], &y->key[i]);
        if (q->sort[i].descending)
            d = -d;
    }
    if (d)
        return d;
    d = strcmp(x->id, y->id);
    return store_sort_id_descending(q) ? -d : d;
}

const char *store_cursor_make(struct arena *a, const struct store_query *q,
                              const struct value *last) {
    struct array_builder b;
    struct bytes text;

    array_begin(&b, a, STORE_MAX_SORT + 1);
    for (size_t i = 0; i < store_sort_count(q); i++)
        array_push(&b, store_path_get(last, q->sort[i].field));
    array_push(&b, value_get(last, "id"));
    text = value_encode_arena(a, array_end(&b), VALUE_ENCODE_COMPACT);
    return crypto_base64url_encode(a, text.data, text.len);
}

int store_cursor_parse(struct arena *a, const struct store_query *q,
                       struct store_position *ret_pos, struct status *st) {
    size_t n = store_sort_count(q), len;
    const struct value *list, *id;
    struct bytes text;

    if (!q->cursor || strcmp(q->cursor, "0") == 0)
        return 1;
    len = strlen(q->cursor);
    if (len == 0 || len > STORE_MAX_CURSOR ||
        crypto_base64url_decode(a, q->cursor, len, &text) < 0 ||
        value_parse(a, text.data, text.len, NULL, &list, st) < 0)
        goto bad;
    id = value_at(list, n);
    if (!value_is_array(list) || list->len != n + 1 || !value_is_string(id) ||
        strlen(id->str) != id->len)
        goto bad;
    for (size_t i = 0; i < n; i++)
        ret_pos->key[i] = store_key_of(a, &list->items[i]);
    ret_pos->id = id->str;
    return 0;
bad:
    st_clear(st);
    return st_fail(st, ST_BAD_REQUEST, NULL, "The cursor is not valid for this list.");
}
