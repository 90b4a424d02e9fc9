/*
 * Values as BSON and back: what must not change, what must be as people expect it in the
 * database, and bytes that another program wrote.
 */
#include <math.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "store/store_mongo_priv.h"
#include "value/value.h"

static struct arena *arena;
static struct status st;
static struct store_mongo_table actions, workspaces;

static int setup(void **state) {
    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    store_mongo_table_init(&actions, C_ACTIONS, arena);
    store_mongo_table_init(&workspaces, C_WORKSPACES, arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static const struct value *json_len(const char *text, size_t len) {
    const struct value *v;

    assert_int_equal(value_parse(arena, text, len, NULL, &v, &st), 0);
    return v;
}

static const struct value *json(const char *text) {
    return json_len(text, strlen(text));
}

static bson_t *encode(const struct store_mongo_table *t, const struct value *doc) {
    bson_t *out = store_mongo_bson(arena);
    bson_oid_t v;

    bson_oid_init(&v, NULL);
    if (store_mongo_encode(t, doc, &v, out, &st) < 0)
        return NULL;
    return out;
}

static const char *text_of(const struct value *v) {
    return value_encode_arena(arena, v, VALUE_ENCODE_COMPACT).data;
}

static void comes_back(const struct value *doc) {
    const struct value *back;
    bson_t *stored = encode(&actions, doc);

    assert_non_null(stored);
    assert_true(
        bson_validate(stored, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, NULL));
    assert_int_equal(store_mongo_decode(arena, stored, &back, NULL, &st), 0);
    assert_string_equal(text_of(back), text_of(doc));
}

/* The iterator at a dotted place of a stored document. */
static bson_iter_t at(const bson_t *stored, const char *path) {
    bson_iter_t it, found;

    assert_true(bson_iter_init(&it, stored));
    assert_true(bson_iter_find_descendant(&it, path, &found));
    return found;
}

static bson_type_t type_at(const bson_t *stored, const char *path) {
    bson_iter_t it = at(stored, path);

    return bson_iter_type(&it);
}

static bool has(const bson_t *stored, const char *path) {
    bson_iter_t it, found;

    return bson_iter_init(&it, stored) && bson_iter_find_descendant(&it, path, &found);
}

static void every_kind_of_json_comes_back_with_its_order(void **state) {
    (void)state;
    comes_back(
        json("{\"z\":1,\"id\":\"a\",\"b\":{\"y\":[],\"x\":{}},\"a\":[null,true,false,"
             "[1,[2]],\"\",{\"\":0}],\"1\":2,\"0\":3}"));
    comes_back(json("{\"id\":\"a\",\"n\":[0.1,1e21,-5,2147483647,2147483648,-2147483648,"
                    "9007199254740991,9007199254740993,1.7976931348623157e308,5e-324]}"));
}

static void names_that_bson_or_servers_refuse_come_back(void **state) {
    const char *doc =
        "{\"id\":\"a\",\"$eval\":{\"$var\":\"$.x\"},\"a.b\":{\".\":1,\"%\":2,"
        "\"%24\":3,\"\":4,\"a$\":5,\"\\u0000\":6,\"x\\u0000y\":7,"
        "\"\\ud800\":8,\"\\udfff\\ud800x\":9,\"\\ue000\":10,\"\xc3\xa9.\":11,"
        "\"%%\":12}}";
    bson_t *stored;
    bson_iter_t it, d;

    (void)state;
    comes_back(json(doc));
    stored = encode(&actions, json(doc));
    it = at(stored, "d");
    assert_true(bson_iter_recurse(&it, &d));
    while (bson_iter_next(&d)) {
        assert_true(*bson_iter_key(&d) != '$');
        assert_null(strchr(bson_iter_key(&d), '.'));
    }
}

static void text_that_is_no_utf8_comes_back(void **state) {
    (void)state;
    comes_back(
        json("{\"id\":\"a\",\"s\":[\"\\ud800\",\"x\\udfffy\",\"\\ue000\",\"\\ue000"
             "\\uf000\",\"\\ud800\\ue000\\udc00\",\"a\\u0000b\",\"\\udbff\\udfff\","
             "\"\\u0800\\uf000\",\"\\ue000\\u0800\",\"\xf0\x9f\x98\x80\"]}"));
}

static void numbers_have_the_types_people_expect(void **state) {
    bson_t *stored =
        encode(&actions, json("{\"id\":\"a\",\"i\":1,\"l\":4294967296,\"d\":0.5,"
                              "\"z\":-0.0,\"e\":1e300}"));

    (void)state;
    assert_int_equal(type_at(stored, "d.i"), BSON_TYPE_INT32);
    assert_int_equal(type_at(stored, "d.l"), BSON_TYPE_INT64);
    assert_int_equal(type_at(stored, "d.d"), BSON_TYPE_DOUBLE);
    assert_int_equal(type_at(stored, "d.z"), BSON_TYPE_INT32);
    assert_int_equal(type_at(stored, "d.e"), BSON_TYPE_DOUBLE);
}

static void what_json_has_no_word_for_is_stored_as_its_json(void **state) {
    struct object_builder b;
    struct array_builder list;
    const struct value *back;

    (void)state;
    array_begin(&list, arena, 1);
    array_push(&list, &value_undefined);
    object_begin(&b, arena, 0);
    object_set_string(&b, "id", "a");
    object_set(&b, "gone", &value_undefined);
    object_set(&b, "list", array_end(&list));
    object_set(&b, "nan", value_number(arena, NAN));
    object_set(&b, "at", value_date(arena, 0));
    object_set(&b, "never", value_date(arena, NAN));
    assert_int_equal(
        store_mongo_decode(arena, encode(&actions, object_end(&b)), &back, NULL, &st), 0);
    assert_string_equal(
        text_of(back),
        "{\"id\":\"a\",\"list\":[null],\"nan\":null,\"at\":\"1970-01-01T00:00:"
        "00.000Z\",\"never\":null}");
}

static const struct value *nested(int depth) {
    const struct value *v = value_number(arena, 1);

    while (depth-- > 0) {
        struct array_builder b;

        if (depth % 2) {
            v = value_obj(arena, "o", v, NULL);
            continue;
        }
        array_begin(&b, arena, 1);
        array_push(&b, v);
        v = array_end(&b);
    }
    return value_obj(arena, "id", value_string(arena, "a"), "v", v, NULL);
}

/* Servers refuse more than 100 levels. */
static int depth_of(const bson_iter_t *it) {
    bson_iter_t child;
    int deepest = 0;

    if (!BSON_ITER_HOLDS_DOCUMENT(it) && !BSON_ITER_HOLDS_ARRAY(it))
        return 0;
    assert_true(bson_iter_recurse(it, &child));
    while (bson_iter_next(&child)) {
        int d = depth_of(&child);

        deepest = d > deepest ? d : deepest;
    }
    return deepest + 1;
}

static void deep_nesting_comes_back_and_stays_shallow_for_the_server(void **state) {
    bson_iter_t it;

    (void)state;
    for (int depth = 70; depth < 499; depth += 13)
        comes_back(nested(depth));
    it = at(encode(&actions, nested(490)), "d");
    assert_true(depth_of(&it) <= MONGO_EMBED_DEPTH);
}

static void a_document_that_gets_too_large_as_bson_is_refused(void **state) {
    struct array_builder b;
    const struct value *doc;

    (void)state;
    array_begin(&b, arena, 0); /* 10 MB of JSON, 20 MB of BSON */
    for (int i = 0; i < 2000000; i++)
        array_push(&b, value_bool(true));
    doc = value_obj(arena, "id", value_string(arena, "a"), "v", array_end(&b), NULL);
    assert_null(encode(&actions, doc));
    assert_string_equal(st.key, "payload_too_large");
    assert_int_equal(st_http_code(&st), 413);
}

/* ---- Keys ---- */

static int sign(int n) {
    return (n > 0) - (n < 0);
}

/* As the server compares: absent, numbers, text by its bytes. */
static int server_compare(const struct store_key *x, const struct store_key *y) {
    bson_t bx = BSON_INITIALIZER, by = BSON_INITIALIZER;
    bson_iter_t ix, iy;
    int out;

    assert_true(store_mongo_append_key(&bx, "k", arena, x));
    assert_true(store_mongo_append_key(&by, "k", arena, y));
    if (bson_empty(&bx) || bson_empty(&by)) {
        out = !bson_empty(&bx) - !bson_empty(&by);
    } else {
        assert_true(bson_iter_init(&ix, &bx) && bson_iter_next(&ix));
        assert_true(bson_iter_init(&iy, &by) && bson_iter_next(&iy));
        if (bson_iter_type(&ix) != bson_iter_type(&iy)) {
            out = BSON_ITER_HOLDS_DOUBLE(&ix) ? -1 : 1;
        } else if (BSON_ITER_HOLDS_DOUBLE(&ix)) {
            out = (bson_iter_double(&ix) > bson_iter_double(&iy)) -
                  (bson_iter_double(&ix) < bson_iter_double(&iy));
        } else {
            uint32_t lx, ly;
            const char *sx = bson_iter_utf8(&ix, &lx), *sy = bson_iter_utf8(&iy, &ly);

            assert_true(bson_utf8_validate(sx, lx, true));
            out = memcmp(sx, sy, lx < ly ? lx : ly);
            out = out ? out : (lx > ly) - (lx < ly);
        }
    }
    bson_destroy(&bx);
    bson_destroy(&by);
    return sign(out);
}

static void keys_have_the_same_order_for_the_server(void **state) {
    const struct value *samples = json(
        "[null,false,true,-1.7976931348623157e308,-1e300,-1,0,0.5,1,1e300,\"\","
        "\"\\u0000\","
        "\"a\",\"a\\u0000\",\"b\",\"\xc3\xa9\",\"\\ud7ff\",\"\\ud800\",\"\\ud800a\","
        "\"\\udfff\",\"\\ue000\",\"\\ue000a\",\"\\ue001\",\"\\uffff\","
        "\"\xf0\x9f\x98\x80\","
        "\"\xf4\x8f\xbf\xbf\",\"\xf4\x8f\xbf\xbf\\u0001\","
        "\"\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\","
        "\"\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf[1]\",[],[1],[\"\\ud800\"],{},{\"a\":1}]");

    (void)state;
    for (VALUE_EACH_ITEM(x, samples))
        for (VALUE_EACH_ITEM(y, samples)) {
            struct store_key kx = store_key_of(arena, x), ky = store_key_of(arena, y);

            if (sign(store_key_compare(&kx, &ky)) != server_compare(&kx, &ky))
                fail_msg("%s and %s", text_of(x), text_of(y));
        }
}

static void keys_and_unique_texts_stand_beside_the_document(void **state) {
    bson_t *stored =
        encode(&workspaces, json("{\"id\":\"w\",\"key\":\"k\",\"orgId\":7}"));
    bson_iter_t key = at(stored, "k.key"), org = at(stored, "k.orgId");

    (void)state;
    assert_string_equal(bson_iter_utf8(&key, NULL), "k");
    assert_true(bson_iter_double(&org) == 7);
    assert_false(has(stored, "k.createdAt"));
    assert_true(has(stored, "u.key"));
    assert_true(has(stored, "d.orgId"));
    stored = encode(&workspaces, json("{\"id\":\"w\",\"key\":null}"));
    assert_false(has(stored, "u.key")); /* the sparse index passes it over */
    stored = encode(&actions, json("{\"id\":\"a\",\"workspaceId\":\"w\",\"slot\":\"s\","
                                   "\"archivedAt\":\"t\"}"));
    assert_false(has(stored, "u.slot"));
}

/* ---- What others wrote ---- */

static void types_of_other_programs_are_read_as_json(void **state) {
    bson_t b = BSON_INITIALIZER, d;
    bson_decimal128_t decimal;
    bson_oid_t oid;
    const struct value *doc;

    (void)state;
    bson_oid_init_from_string(&oid, "65f0c0ffee0123456789abcd");
    assert_true(bson_decimal128_from_string("12.5", &decimal));
    bson_append_document_begin(&b, "d", 1, &d);
    BSON_APPEND_UTF8(&d, "id", "a");
    BSON_APPEND_OID(&d, "oid", &oid);
    BSON_APPEND_DATE_TIME(&d, "at", 0);
    BSON_APPEND_DECIMAL128(&d, "n", &decimal);
    BSON_APPEND_REGEX(&d, "re", "x", "i");
    BSON_APPEND_BINARY(&d, "bin", BSON_SUBTYPE_BINARY, (const uint8_t *)"abc", 3);
    bson_append_utf8(&d, "bad", 3, "x\xff\xc3y", 4);
    bson_append_document_end(&b, &d);
    assert_int_equal(store_mongo_decode(arena, &b, &doc, NULL, &st), 0);
    assert_string_equal(
        text_of(doc),
        "{\"id\":\"a\",\"oid\":\"65f0c0ffee0123456789abcd\",\"at\":\"1970-01-"
        "01T00:00:00.000Z\",\"n\":12.5,\"re\":null,\"bin\":null,\"bad\":\"x\xef"
        "\xbf\xbd\xef\xbf\xbdy\"}");
    bson_destroy(&b);
}

static void a_stored_form_without_a_document_is_damaged(void **state) {
    bson_t b = BSON_INITIALIZER;
    const struct value *doc;

    (void)state;
    BSON_APPEND_UTF8(&b, "_id", "a");
    assert_int_equal(store_mongo_decode(arena, &b, &doc, NULL, &st), -1);
    assert_string_equal(st.key, "damaged");
    BSON_APPEND_UTF8(&b, "d", "text");
    assert_int_equal(store_mongo_decode(arena, &b, &doc, NULL, &st), -1);
    bson_destroy(&b);
}

static void conflicts_name_their_rule(void **state) {
    bson_error_t e = {.domain = MONGOC_ERROR_SERVER, .code = 11000};
    const char *index = NULL;

    (void)state;
    strcpy(e.message,
           "E11000 duplicate key error collection: db.actions index: unique:slot "
           "dup key: { u.slot: \"1:w,\" }");
    assert_true(store_mongo_is_conflict(&e, arena, &index));
    assert_string_equal(index, "slot");
    strcpy(e.message, "E11000 duplicate key error collection: db.actions index: _id_ dup "
                      "key: { _id: \"unique:x\" }");
    assert_true(store_mongo_is_conflict(&e, arena, &index));
    assert_string_equal(index, "id");
    e.code = 50;
    assert_false(store_mongo_is_conflict(&e, arena, &index));
}

/* S22 and operations.md 3: a wrong password is no outage of the network, and may pass. */
static void failures_are_told_apart(void **state) {
    static const struct {
        uint32_t domain, code;
        const char *key;
        bool lost;
    } rows[] = {
        {MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "unavailable", true},
        {MONGOC_ERROR_SERVER_SELECTION, 13053, "unavailable", false},
        {MONGOC_ERROR_SERVER, 10107, "unavailable", true}, /* not the primary any more */
        {MONGOC_ERROR_SERVER, 91, "unavailable", true},    /* it shuts down */
        {MONGOC_ERROR_WRITE_CONCERN, 64, "unavailable", true},
        {MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, "unavailable", false},
        {MONGOC_ERROR_SERVER, 13, "access_denied", false},
        {MONGOC_ERROR_SERVER, 10334, "payload_too_large", false},
        {MONGOC_ERROR_SERVER, 2, NULL, false},
    };
    struct mongo_store s = {.hosts = "db:27017", .db = "membrane"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        bson_error_t e = {.domain = rows[i].domain, .code = rows[i].code};
        bool lost = !rows[i].lost;

        strcpy(e.message, "why");
        st_clear(&st);
        assert_int_equal(store_mongo_status(&s, &e, NULL, &lost, &st), -1);
        assert_int_equal(lost, rows[i].lost);
        if (rows[i].key)
            assert_string_equal(st.key, rows[i].key);
        else
            assert_null(st.key);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_json_comes_back_with_its_order),
        TEST(names_that_bson_or_servers_refuse_come_back),
        TEST(text_that_is_no_utf8_comes_back),
        TEST(numbers_have_the_types_people_expect),
        TEST(what_json_has_no_word_for_is_stored_as_its_json),
        TEST(deep_nesting_comes_back_and_stays_shallow_for_the_server),
        TEST(a_document_that_gets_too_large_as_bson_is_refused),
        TEST(keys_have_the_same_order_for_the_server),
        TEST(keys_and_unique_texts_stand_beside_the_document),
        TEST(types_of_other_programs_are_read_as_json),
        TEST(a_stored_form_without_a_document_is_damaged),
        TEST(conflicts_name_their_rule),
        TEST(failures_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
