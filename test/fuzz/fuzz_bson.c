/*
 * Any bytes as what a database holds: reading them must not misbehave, and what was read
 * must be written and read as the same. Any JSON must come back from BSON as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "store/store_mongo_priv.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct store_mongo_table *table(void) {
    static struct store_mongo_table t;
    static struct arena *a;

    if (!a)
        store_mongo_table_init(&t, C_ACTIONS, a = arena_new(0));
    return &t;
}

static void comes_back(struct arena *a, const struct value *doc) {
    bson_t *stored = store_mongo_bson(a);
    const struct value *back;
    struct bytes x, y;
    struct status st;
    bson_oid_t v;

    st_init(&st, a);
    bson_oid_init_from_string(&v, "65f0c0ffee0123456789abcd");
    if (store_check_document(doc, &st) < 0 ||
        store_mongo_encode(table(), doc, &v, stored, &st) < 0)
        return;
    if (store_mongo_decode(a, stored, &back, NULL, &st) < 0)
        abort();
    x = value_encode_arena(a, doc, 0);
    y = value_encode_arena(a, back, 0);
    if (x.len != y.len || memcmp(x.data, y.data, x.len) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new(0);
    const struct value *v;
    struct status st;
    bson_oid_t version;
    bson_t stored;

    st_init(&st, a);
    if (bson_init_static(&stored, data, size) &&
        store_mongo_decode(a, &stored, &v, &version, &st) == 0)
        comes_back(a, v);
    st_clear(&st);
    if (value_parse(a, (const char *)data, size, NULL, &v, &st) == 0) {
        v = value_obj(a, "v", v, "id", value_string(a, "a"), NULL);
        comes_back(a, v);
        if (value_is_object(value_get(v, "v")))
            comes_back(a, value_merge(a, v, value_get(v, "v")));
    }
    arena_free(&a);
    return 0;
}
