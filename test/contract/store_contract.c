#include "store_contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "store/store.h"
#include "value/value.h"

static struct store *(*open_backend)(void);
static void (*clean_backend)(void);

struct ctx {
    struct store *s;
    struct arena *a;
    struct status st;
};

static int setup(void **state) {
    static struct ctx x;

    x.a = arena_new(0);
    st_init(&x.st, x.a);
    x.s = open_backend();
    *state = &x;
    return x.s ? 0 : -1;
}

static int teardown(void **state) {
    struct ctx *x = *state;

    store_close(&x->s);
    assert_null(x->s);
    arena_free(&x->a);
    if (clean_backend)
        clean_backend();
    return 0;
}

/* JSON with ' for ", so that tests read well. */
static const struct value *json(struct ctx *x, const char *text) {
    char *s = arena_strdup(x->a, text);
    const struct value *v;

    for (char *p = s; *p; p++)
        if (*p == '\'')
            *p = '"';
    assert_int_equal(value_parse(x->a, s, strlen(s), NULL, &v, &x->st), 0);
    return v;
}

static const char *text_of(struct ctx *x, const struct value *v) {
    return value_encode_arena(x->a, v, VALUE_ENCODE_COMPACT).data;
}

static void ok(struct ctx *x, int rc) {
    if (rc != 0)
        print_error("status: %s\n", x->st.message ? x->st.message : "(none)");
    assert_int_equal(rc, 0);
}

static void put(struct ctx *x, enum collection c, const char *text) {
    ok(x, store_insert(x->s, c, json(x, text), &x->st));
}

static void add_id(char *out, const struct value *doc) {
    sprintf(out + strlen(out), "%s%s", *out ? " " : "", value_get_string(doc, "id", "?"));
}

/* The ids of a page, as "a b c". */
static const char *page_ids(struct ctx *x, enum collection c, struct store_query q) {
    struct store_page page;
    char *out = arena_zalloc(x->a, 4096);

    ok(x, store_list(x->s, x->a, c, &q, &page, &x->st));
    for (VALUE_EACH_ITEM(doc, page.items))
        add_id(out, doc);
    return out;
}

/* The ids that a condition finds, in their order; store_count must agree. */
static const char *ids(struct ctx *x, enum collection c, const struct store_filter *f) {
    const char *out = page_ids(x, c, (struct store_query){.where = f});
    size_t words = *out != '\0';
    uint64_t n;

    for (const char *p = out; *p; p++)
        words += *p == ' ';
    ok(x, store_count(x->s, c, f, &n, &x->st));
    assert_int_equal(n, words);
    return out;
}

static const char *stored(struct ctx *x, enum collection c, const char *id) {
    const struct value *doc;

    ok(x, store_get(x->s, x->a, c, id, &doc, &x->st));
    return text_of(x, doc);
}

static void refused(struct ctx *x, int rc, const char *key) {
    assert_int_equal(rc, -1);
    assert_int_equal(x->st.type, ST_BAD_REQUEST);
    if (key)
        assert_string_equal(x->st.key, key);
    assert_non_null(x->st.message);
    st_clear(&x->st);
}

static void conflict(struct ctx *x, int rc, const char *collection, const char *index) {
    assert_int_equal(rc, -1);
    assert_string_equal(value_get_string(x->st.data, "collection", ""), collection);
    assert_string_equal(value_get_string(x->st.data, "index", ""), index);
    refused(x, rc, "already_exists");
}

/* ---- Documents ---- */

static void a_document_comes_back_with_its_key_order(void **state) {
    struct ctx *x = *state;
    const char *text = "{\"id\":\"d1\",\"z\":1,\"a\":{\"$eval\":{\"$var\":\"$.x\"},\"b\":"
                       "[1,{\"y\":1,\"c\":"
                       "null}]},\"e\\u0000\":\"\\u0000\\ud800 "
                       "\xc3\xa9\",\"n\":[0.1,1e+21,-5,true,null]}";
    const struct value *doc;
    struct document *kept;

    ok(x, value_parse(x->a, text, strlen(text), NULL, &doc, &x->st));
    ok(x, store_insert(x->s, C_LEASES, doc, &x->st));
    assert_string_equal(stored(x, C_LEASES, "d1"), text);
    ok(x, store_get_document(x->s, C_LEASES, "d1", &kept, &x->st));
    assert_string_equal(text_of(x, document_root(kept)), text);
    document_unref(&kept);
}

static void an_absent_document_is_not_an_error(void **state) {
    struct ctx *x = *state;
    const struct value *doc = NULL;
    struct document *kept = NULL;

    put(x, C_LEASES, "{'id':'a'}");
    assert_int_equal(store_get(x->s, x->a, C_ORGS, "a", &doc, &x->st), 1);
    assert_int_equal(store_get(x->s, x->a, C_LEASES, "", &doc, &x->st), 1);
    assert_int_equal(store_get_document(x->s, C_LEASES, "b", &kept, &x->st), 1);
    assert_null(doc);
    assert_null(kept);
    assert_int_equal(x->st.type, ST_OK);
}

static void values_are_stored_as_their_json(void **state) {
    struct ctx *x = *state;
    struct object_builder b;

    object_begin(&b, x->a, 0);
    object_set_string(&b, "id", "d");
    object_set(&b, "gone", &value_undefined);
    object_set(&b, "at", value_date(x->a, 0));
    object_set(&b, "nan", value_number(x->a, 0.0 / 0.0));
    ok(x, store_insert(x->s, C_LEASES, object_end(&b), &x->st));
    assert_string_equal(
        stored(x, C_LEASES, "d"),
        "{\"id\":\"d\",\"at\":\"1970-01-01T00:00:00.000Z\",\"nan\":null}");
    assert_string_equal(ids(x, C_LEASES, store_eq(x->a, "at", value_date(x->a, 0))), "d");
    assert_string_equal(ids(x, C_LEASES, store_cmp(x->a, STORE_ABSENT, "nan", NULL)),
                        "d");
}

static void a_document_without_a_usable_id_is_refused(void **state) {
    struct ctx *x = *state;
    static const char *const bad[] = {"{}", "[]", "{'id':1}", "{'id':''}",
                                      "{'id':'a\\u0000b'}"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        refused(x, store_insert(x->s, C_LEASES, json(x, bad[i]), &x->st), NULL);
        refused(x, store_replace(x->s, C_LEASES, json(x, bad[i]), NULL, &x->st), NULL);
    }
    assert_string_equal(ids(x, C_LEASES, NULL), "");
}

static const struct value *nested(struct ctx *x, const char *id, int depth) {
    const struct value *v = &value_empty_array;

    while (depth-- > 0) {
        struct array_builder b;

        array_begin(&b, x->a, 1);
        array_push(&b, v);
        v = array_end(&b);
    }
    return value_obj(x->a, "id", value_string(x->a, id), "v", v, NULL);
}

static void too_deep_and_too_large_documents_are_refused(void **state) {
    struct ctx *x = *state;
    size_t size = 17 << 20;
    char *big = arena_alloc(x->a, size);
    const struct value *v;

    ok(x, store_insert(x->s, C_LEASES, nested(x, "deep", 400), &x->st));
    stored(x, C_LEASES, "deep");
    refused(x, store_insert(x->s, C_LEASES, nested(x, "deeper", 600), &x->st), NULL);
    memset(big, 'x', size);
    v = value_obj(x->a, "id", value_string(x->a, "a"), "v",
                  value_string_len(x->a, big, size), NULL);
    refused(x, store_insert(x->s, C_LEASES, v, &x->st), "payload_too_large");
    assert_string_equal(ids(x, C_LEASES, NULL), "deep");
}

static void replacing_changes_the_whole_document_if_it_is_as_expected(void **state) {
    struct ctx *x = *state;
    const struct store_filter *r1 = store_eq_text(x->a, "rev", "1");

    put(x, C_LEASES, "{'id':'a','rev':'1','old':true}");
    ok(x, store_replace(x->s, C_LEASES, json(x, "{'rev':'2','id':'a'}"), r1, &x->st));
    assert_string_equal(stored(x, C_LEASES, "a"), "{\"rev\":\"2\",\"id\":\"a\"}");
    assert_int_equal(
        store_replace(x->s, C_LEASES, json(x, "{'id':'a','rev':'3'}"), r1, &x->st), 1);
    assert_int_equal(store_replace(x->s, C_LEASES, json(x, "{'id':'b'}"), NULL, &x->st),
                     1);
    assert_string_equal(stored(x, C_LEASES, "a"), "{\"rev\":\"2\",\"id\":\"a\"}");
    ok(x, store_replace(x->s, C_LEASES, json(x, "{'id':'a'}"), NULL, &x->st));
    assert_string_equal(stored(x, C_LEASES, "a"), "{\"id\":\"a\"}");
}

static void updating_sets_unsets_and_increments(void **state) {
    struct ctx *x = *state;
    static const char *const unset[] = {"gone", "deep.gone", "not.there", NULL};
    const struct value *doc;
    struct store_change change = {
        json(x, "{'name':'n2','deep.a.b':[1],'list.1.k':2,'new':null}"), unset,
        json(x, "{'count':2,'deep.fresh':1.5}")};

    put(x, C_LEASES,
        "{'id':'a','name':'n1','gone':1,'count':40,'deep':{'gone':1,'kept':1},"
        "'list':[{'k':1},{'k':1}]}");
    ok(x, store_update(x->s, x->a, C_LEASES, "a", NULL, &change, &doc, &x->st));
    assert_string_equal(text_of(x, doc),
                        "{\"id\":\"a\",\"name\":\"n2\",\"count\":42,\"deep\":{\"kept\":1,"
                        "\"a\":{\"b\":[1]},"
                        "\"fresh\":1.5},\"list\":[{\"k\":1},{\"k\":2}],\"new\":null}");
    assert_string_equal(stored(x, C_LEASES, "a"), text_of(x, doc));
    ok(x, store_update(x->s, NULL, C_LEASES, "a", NULL, &change, NULL, &x->st));
    assert_string_equal(ids(x, C_LEASES, store_eq(x->a, "count", json(x, "44"))), "a");
}

static void updating_asks_the_expectation_first(void **state) {
    struct ctx *x = *state;
    struct store_change change = {.set = json(x, "{'v':2}")};
    const struct store_filter *nine = store_eq(x->a, "v", json(x, "9")),
                              *one = store_eq(x->a, "v", json(x, "1"));
    const struct value *doc = NULL;

    put(x, C_LEASES, "{'id':'a','v':1}");
    assert_int_equal(store_update(x->s, x->a, C_LEASES, "a", nine, &change, &doc, &x->st),
                     1);
    assert_int_equal(store_update(x->s, x->a, C_LEASES, "b", NULL, &change, &doc, &x->st),
                     1);
    assert_null(doc);
    assert_string_equal(stored(x, C_LEASES, "a"), "{\"id\":\"a\",\"v\":1}");
    ok(x, store_update(x->s, x->a, C_LEASES, "a", one, &change, &doc, &x->st));
    assert_int_equal(store_update(x->s, x->a, C_LEASES, "a", one, &change, &doc, &x->st),
                     1);
}

static void a_change_that_can_not_be_made_changes_nothing(void **state) {
    struct ctx *x = *state;
    static const char *const sets[] = {"{'ok':1,'id':'b'}", "{'ok':1,'name.x':1}",
                                       "{'list.5':1}", "{'list.x':1}", "{'':1}"};
    struct store_change change = {0};

    put(x, C_LEASES, "{'id':'a','name':'n','list':[1]}");
    for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
        change.set = json(x, sets[i]);
        refused(x, store_update(x->s, NULL, C_LEASES, "a", NULL, &change, NULL, &x->st),
                NULL);
    }
    change = (struct store_change){.increment = json(x, "{'name':1}")};
    refused(x, store_update(x->s, NULL, C_LEASES, "a", NULL, &change, NULL, &x->st),
            NULL);
    assert_string_equal(stored(x, C_LEASES, "a"),
                        "{\"id\":\"a\",\"name\":\"n\",\"list\":[1]}");
}

static void deleting_asks_the_expectation_first(void **state) {
    struct ctx *x = *state;
    const struct store_filter *text = store_eq_text(x->a, "v", "1"),
                              *number = store_eq(x->a, "v", json(x, "1"));

    put(x, C_LEASES, "{'id':'a','v':1}");
    assert_int_equal(store_delete(x->s, C_LEASES, "a", text, &x->st), 1);
    ok(x, store_delete(x->s, C_LEASES, "a", number, &x->st));
    assert_int_equal(store_delete(x->s, C_LEASES, "a", NULL, &x->st), 1);
    assert_string_equal(ids(x, C_LEASES, NULL), "");
    put(x, C_LEASES, "{'id':'a'}");
}

static void many_are_inserted_changed_and_deleted(void **state) {
    struct ctx *x = *state;
    struct array_builder b;
    struct store_change change = {.set = json(x, "{'group':9,'mark':true}")};
    uint64_t n;

    array_begin(&b, x->a, 0);
    for (int i = 0; i < 700; i++)
        array_push(&b, value_obj(x->a, "id", value_stringf(x->a, "%04d", i), "group",
                                 value_number(x->a, i % 7), NULL));
    ok(x, store_insert_many(x->s, C_LEASES, array_end(&b), &x->st));
    ok(x, store_insert_many(x->s, C_LEASES, &value_empty_array, &x->st));
    ok(x, store_count(x->s, C_LEASES, NULL, &n, &x->st));
    assert_int_equal(n, 700);
    ok(x,
       store_update_many(x->s, C_LEASES, store_cmp(x->a, STORE_GE, "group", json(x, "1")),
                         &change, &n, &x->st));
    assert_int_equal(n, 600);
    ok(x, store_count(x->s, C_LEASES, store_eq(x->a, "mark", &value_true), &n, &x->st));
    assert_int_equal(n, 600);
    ok(x, store_delete_many(x->s, C_LEASES, store_eq(x->a, "group", json(x, "9")), &n,
                            &x->st));
    assert_int_equal(n, 600);
    ok(x, store_delete_many(x->s, C_LEASES, NULL, NULL, &x->st));
    ok(x, store_count(x->s, C_LEASES, NULL, &n, &x->st));
    assert_int_equal(n, 0);
}

static void inserting_many_stops_at_the_first_failure(void **state) {
    struct ctx *x = *state;
    const struct value *docs = json(x, "[{'id':'a'},{'id':'b','v':1},{'id':'c'}]");

    put(x, C_LEASES, "{'id':'b'}");
    conflict(x, store_insert_many(x->s, C_LEASES, docs, &x->st), "leases", "id");
    assert_string_equal(stored(x, C_LEASES, "b"), "{\"id\":\"b\"}");
    assert_int_equal(store_delete(x->s, C_LEASES, "c", NULL, &x->st), 1);
}

/* ---- Conditions ---- */

static void put_samples(struct ctx *x, enum collection c) {
    put(x, c, "{'id':'n0'}");
    put(x, c, "{'id':'n1','key':null}");
    put(x, c, "{'id':'b0','key':false}");
    put(x, c, "{'id':'b1','key':true}");
    put(x, c, "{'id':'i0','key':0}");
    put(x, c, "{'id':'i1','key':1}");
    put(x, c, "{'id':'i2','key':-1e300}");
    put(x, c, "{'id':'i3','key':10}");
    put(x, c, "{'id':'t0','key':''}");
    put(x, c, "{'id':'t1','key':'1'}");
    put(x, c, "{'id':'t2','key':'Hello World'}");
    put(x, c, "{'id':'t3','key':'\xc3\xa9t\xc3\xa9'}");
    put(x, c, "{'id':'a0','key':['x',{'u':'k1','v':[7]}]}");
    put(x, c, "{'id':'o0','key':{'x':1,'u':'k1'}}");
}

/* C_ACTIONS has an index on key, C_LEASES has none: the answers must be the same. */
static const enum collection both[] = {C_LEASES, C_ACTIONS};

static void check(struct ctx *x, enum store_op op, const char *field, const char *value,
                  const char *expected) {
    const struct store_filter *f =
        store_cmp(x->a, op, field, value ? json(x, value) : NULL);

    for (int i = 0; i < 2; i++) {
        const char *got = ids(x, both[i], f);

        if (strcmp(got, expected) != 0)
            print_error("op %d %s %s in %s\n", op, field, value ? value : "-",
                        store_collection_name(both[i]));
        assert_string_equal(got, expected);
    }
}

static void conditions_compare_by_type_then_value(void **state) {
    struct ctx *x = *state;

    put_samples(x, C_LEASES);
    put_samples(x, C_ACTIONS);
    check(x, STORE_EQ, "key", "null", "n0 n1");
    check(x, STORE_EQ, "key", "false", "b0");
    check(x, STORE_EQ, "key", "true", "b1");
    check(x, STORE_EQ, "key", "1", "i1");
    check(x, STORE_EQ, "key", "-0.0", "i0");
    check(x, STORE_EQ, "key", "'1'", "t1");
    check(x, STORE_EQ, "key", "'hello World'", "");
    check(x, STORE_EQ, "key", "['x',{'u':'k1','v':[7]}]", "a0");
    check(x, STORE_EQ, "key", "{'x':1,'u':'k1'}", "o0");
    check(x, STORE_NE, "key", "null", "a0 b0 b1 i0 i1 i2 i3 o0 t0 t1 t2 t3");
    check(x, STORE_NE, "key", "1", "a0 b0 b1 i0 i2 i3 n0 n1 o0 t0 t1 t2 t3");
    check(x, STORE_LT, "key", "0", "b0 b1 i2 n0 n1");
    check(x, STORE_LE, "key", "0", "b0 b1 i0 i2 n0 n1");
    check(x, STORE_GT, "key", "0", "a0 i1 i3 o0 t0 t1 t2 t3");
    check(x, STORE_GE, "key", "0", "a0 i0 i1 i3 o0 t0 t1 t2 t3");
    check(x, STORE_GT, "key", "null", "a0 b0 b1 i0 i1 i2 i3 o0 t0 t1 t2 t3");
    check(x, STORE_GE, "key", "null", "a0 b0 b1 i0 i1 i2 i3 n0 n1 o0 t0 t1 t2 t3");
    check(x, STORE_LT, "key", "null", "");
    check(x, STORE_LT, "key", "true", "b0 n0 n1");
    check(x, STORE_GT, "key", "'Hello'", "a0 o0 t2 t3");
    check(x, STORE_LT, "key", "''", "b0 b1 i0 i1 i2 i3 n0 n1");
    check(x, STORE_GT, "key", "['w']", "a0 o0");
    check(x, STORE_EXISTS, "key", NULL, "a0 b0 b1 i0 i1 i2 i3 o0 t0 t1 t2 t3");
    check(x, STORE_ABSENT, "key", NULL, "n0 n1");
    check(x, STORE_EQ, "key.x", "1", "o0");
    check(x, STORE_EQ, "key.1.u", "'k1'", "a0");
    check(x, STORE_ABSENT, "key.x.y.z", NULL,
          "a0 b0 b1 i0 i1 i2 i3 n0 n1 o0 t0 t1 t2 t3");
}

static void conditions_look_into_lists_and_text(void **state) {
    struct ctx *x = *state;

    put_samples(x, C_LEASES);
    put_samples(x, C_ACTIONS);
    check(x, STORE_IN, "key", "['1',true,10,'nothing']", "b1 i3 t1");
    check(x, STORE_IN, "key", "[null,0]", "i0 n0 n1");
    check(x, STORE_IN, "key", "[]", "");
    check(x, STORE_IN, "key", "[{'x':1,'u':'k1'}]", "o0");
    check(x, STORE_CONTAINS, "key", "'O WOR'", "t2");
    check(x, STORE_CONTAINS, "key", "'1'", "t1");
    check(x, STORE_CONTAINS, "key", "''", "t0 t1 t2 t3");
    check(x, STORE_CONTAINS, "key", "'%'", "");
    check(x, STORE_CONTAINS, "key", "'\xc3\xa9'", "t3");
    check(x, STORE_CONTAINS, "key", "1", "");
    check(x, STORE_HAS_ITEM, "key", "'x'", "a0");
    check(x, STORE_HAS_ITEM, "key", "{'u':'k1','v':[7]}", "a0");
    check(x, STORE_HAS_ITEM, "key", "'1'", "");
    check(x, STORE_HAS_ITEM, "key.u", "'k1'", "a0");
    check(x, STORE_HAS_ITEM, "key.v", "7", "a0");
    check(x, STORE_HAS_ITEM, "key.v", "8", "");
}

static void conditions_combine(void **state) {
    struct ctx *x = *state;
    struct arena *a = x->a;
    const struct store_filter *all = store_cmp(a, STORE_ALL, NULL, NULL),
                              *t1 = store_eq_text(a, "key", "1"), *pair;

    put_samples(x, C_ACTIONS);
    pair = store_and(a, store_cmp(a, STORE_GE, "key", json(x, "0")),
                     store_cmp(a, STORE_LT, "key", json(x, "10")), all, NULL);
    assert_string_equal(ids(x, C_ACTIONS, pair), "i0 i1");
    pair = store_or(a, t1, store_eq(a, "key.x", json(x, "1")), NULL);
    assert_string_equal(ids(x, C_ACTIONS, pair), "o0 t1");
    pair = store_or(a, store_eq_text(a, "id", "t1"), store_eq_text(a, "id", "i1"), NULL);
    assert_string_equal(ids(x, C_ACTIONS, pair), "i1 t1");
    assert_string_equal(ids(x, C_ACTIONS, store_and(a, pair, t1, NULL)), "t1");
    pair = store_and(a, store_cmp(a, STORE_IN, "id", json(x, "['t1','a0','zz']")),
                     store_cmp(a, STORE_EXISTS, "key", NULL), NULL);
    assert_string_equal(ids(x, C_ACTIONS, pair), "a0 t1");
    assert_string_equal(ids(x, C_ACTIONS, store_or(a, NULL)), "");
    assert_string_equal(ids(x, C_ACTIONS, store_and(a, store_or(a, all, NULL), NULL)),
                        "a0 b0 b1 i0 i1 i2 i3 n0 n1 o0 t0 t1 t2 t3");
}

/* ---- Order and pages ---- */

static void sorting_follows_the_order_of_comparison(void **state) {
    struct ctx *x = *state;
    struct store_query up = {.sort = {{"key", false}}}, down = {.sort = {{"key", true}}},
                       last = {.sort = {{"id", true}}, .limit = 3};

    for (int i = 0; i < 2; i++) {
        put_samples(x, both[i]);
        assert_string_equal(page_ids(x, both[i], up),
                            "n0 n1 b0 b1 i2 i0 i1 i3 t0 t1 t2 t3 a0 o0");
        assert_string_equal(page_ids(x, both[i], down),
                            "o0 a0 t3 t2 t1 t0 i3 i1 i0 i2 b1 b0 n1 n0");
        assert_string_equal(page_ids(x, both[i], last), "t3 t2 t1");
    }
}

static void walk(struct ctx *x, enum collection c, struct store_query q,
                 const char *expected) {
    struct store_page page;
    char out[4096] = "";

    q.cursor = "0";
    while (q.cursor) {
        ok(x, store_list(x->s, x->a, c, &q, &page, &x->st));
        for (VALUE_EACH_ITEM(doc, page.items))
            add_id(out, doc);
        assert_int_equal(page.cursor != NULL, page.items->len == q.limit);
        if (page.cursor)
            assert_int_equal(strspn(page.cursor, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                 "abcdefghijklmnopqrstuvwxyz"
                                                 "0123456789-_"),
                             strlen(page.cursor));
        q.cursor = page.cursor;
    }
    assert_string_equal(out, expected);
}

static void pages_continue_where_the_last_one_ended(void **state) {
    struct ctx *x = *state;

    for (int i = 0; i < 2; i++) {
        put_samples(x, both[i]);
        for (size_t limit = 1; limit < 16; limit++) {
            struct store_query up = {.sort = {{"key", false}}, .limit = limit},
                               down = {.sort = {{"key", true}}, .limit = limit},
                               by_id = {.limit = limit};

            walk(x, both[i], up, "n0 n1 b0 b1 i2 i0 i1 i3 t0 t1 t2 t3 a0 o0");
            walk(x, both[i], down, "o0 a0 t3 t2 t1 t0 i3 i1 i0 i2 b1 b0 n1 n0");
            walk(x, both[i], by_id, "a0 b0 b1 i0 i1 i2 i3 n0 n1 o0 t0 t1 t2 t3");
        }
    }
}

static void mixed_directions_page_too(void **state) {
    struct ctx *x = *state;
    struct store_query q = {.sort = {{"workspaceId", false}, {"createdAt", true}}};

    for (int i = 0; i < 12; i++)
        put(x, C_ACTIONS,
            arena_printf(x->a, "{'id':'%02d','workspaceId':'w%d','createdAt':%d}", i,
                         i % 2, i / 4));
    for (q.limit = 1; q.limit < 14; q.limit += 3)
        walk(x, C_ACTIONS, q, "10 08 06 04 02 00 11 09 07 05 03 01");
    q = (struct store_query){.where = store_eq_text(x->a, "workspaceId", "w1"),
                             .sort = {{"createdAt", true}, {"workspaceId", false}},
                             .limit = 2};
    walk(x, C_ACTIONS, q, "09 11 05 07 01 03");
}

static void pages_stand_still_while_rows_come_and_go(void **state) {
    struct ctx *x = *state;
    struct store_query q = {.sort = {{"createdAt", false}}, .limit = 2};
    struct store_page page;

    for (int i = 1; i <= 6; i++)
        put(x, C_ACTIONS, arena_printf(x->a, "{'id':'r%d','createdAt':%d}", i, i));
    ok(x, store_list(x->s, x->a, C_ACTIONS, &q, &page, &x->st));
    put(x, C_ACTIONS, "{'id':'early','createdAt':0}");
    ok(x, store_delete(x->s, C_ACTIONS, "r2", NULL, &x->st));
    q.cursor = page.cursor;
    assert_string_equal(page_ids(x, C_ACTIONS, q), "r3 r4");
}

static void a_full_last_page_still_carries_a_cursor(void **state) {
    struct ctx *x = *state;
    struct store_query q = {.limit = 2};
    struct store_page page;

    put(x, C_LEASES, "{'id':'a'}");
    put(x, C_LEASES, "{'id':'b'}");
    ok(x, store_list(x->s, x->a, C_LEASES, &q, &page, &x->st));
    assert_non_null(page.cursor);
    q.cursor = page.cursor;
    ok(x, store_list(x->s, x->a, C_LEASES, &q, &page, &x->st));
    assert_int_equal(page.items->len, 0);
    assert_null(page.cursor);
}

static void a_foreign_cursor_is_refused(void **state) {
    struct ctx *x = *state;
    /* The last three: no array, too few values, an id that isn't text. */
    static const char *const bad[] = {"",    "1",       "hello world", "AAAA",
                                      "e30", "WyJhIl0", "WzEsMl0"};
    struct store_query q = {.sort = {{"key", false}}};
    struct store_page page;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        q.cursor = bad[i];
        refused(x, store_list(x->s, x->a, C_ACTIONS, &q, &page, &x->st), NULL);
    }
}

static void finding_gives_the_first_in_order(void **state) {
    struct ctx *x = *state;
    struct store_query q = {.sort = {{"n", true}}};
    const struct value *doc = NULL;

    assert_int_equal(store_find(x->s, x->a, C_LEASES, &q, &doc, &x->st), 1);
    put(x, C_LEASES, "{'id':'a','n':1}");
    put(x, C_LEASES, "{'id':'b','n':3}");
    put(x, C_LEASES, "{'id':'c','n':2}");
    ok(x, store_find(x->s, x->a, C_LEASES, &q, &doc, &x->st));
    assert_string_equal(value_get_string(doc, "id", ""), "b");
    q.where = store_cmp(x->a, STORE_GT, "n", json(x, "3"));
    assert_int_equal(store_find(x->s, x->a, C_LEASES, &q, &doc, &x->st), 1);
}

/* ---- Uniqueness ---- */

static void ids_are_unique_in_a_collection(void **state) {
    struct ctx *x = *state;

    put(x, C_LEASES, "{'id':'a','v':1}");
    conflict(x, store_insert(x->s, C_LEASES, json(x, "{'id':'a','v':2}"), &x->st),
             "leases", "id");
    put(x, C_ORGS, "{'id':'a'}");
    assert_string_equal(stored(x, C_LEASES, "a"), "{\"id\":\"a\",\"v\":1}");
}

static void unique_rules_hold_on_every_kind_of_write(void **state) {
    struct ctx *x = *state;
    const struct value *e = json(x, "{'id':'e','key':'k1'}"),
                       *b = json(x, "{'id':'b','key':'k1'}");
    struct store_change change = {.set = json(x, "{'key':'k1'}")};
    struct store_query q = {.where = store_eq_text(x->a, "id", "b")};
    enum collection c = C_WORKSPACES;
    const char *name = "workspaces";

    put(x, c, "{'id':'a','key':'k1'}");
    put(x, c, "{'id':'b','key':'k2'}");
    put(x, c, "{'id':'c'}");
    put(x, c, "{'id':'d'}");
    conflict(x, store_insert(x->s, c, e, &x->st), name, "key");
    conflict(x, store_replace(x->s, c, b, NULL, &x->st), name, "key");
    conflict(x, store_update(x->s, NULL, c, "b", NULL, &change, NULL, &x->st), name,
             "key");
    conflict(x, store_claim(x->s, NULL, c, &q, &change, NULL, &x->st), name, "key");
    conflict(x, store_update_many(x->s, c, q.where, &change, NULL, &x->st), name, "key");
    assert_string_equal(stored(x, c, "b"), "{\"id\":\"b\",\"key\":\"k2\"}");
    ok(x, store_update(x->s, NULL, c, "a", NULL, &change, NULL, &x->st));
    ok(x, store_delete(x->s, c, "a", NULL, &x->st));
    ok(x, store_update(x->s, NULL, c, "b", NULL, &change, NULL, &x->st));
}

static void an_archived_element_gives_its_key_free(void **state) {
    struct ctx *x = *state;
    struct store_change archive = {.set = json(x, "{'archivedAt':'2025-01-01'}")};
    static const char *const fields[] = {"archivedAt", NULL};
    struct store_change restore = {.unset = fields};
    const struct value *b = json(x, "{'id':'b','workspaceId':'w','key':'k'}");
    enum collection c = C_CONNECTORS;

    put(x, c, "{'id':'a','workspaceId':'w','key':'k'}");
    put(x, c, "{'id':'z','workspaceId':'v','key':'k'}");
    conflict(x, store_insert(x->s, c, b, &x->st), "connectors", "key");
    ok(x, store_update(x->s, NULL, c, "a", NULL, &archive, NULL, &x->st));
    ok(x, store_insert(x->s, c, b, &x->st));
    conflict(x, store_update(x->s, NULL, c, "a", NULL, &restore, NULL, &x->st),
             "connectors", "key");
}

static void many_are_replaced_until_one_is_not_as_expected(void **state) {
    struct ctx *x = *state;
    const struct store_filter *first = store_eq_text(x->a, "name", "first");
    const struct store_filter *expects[] = {first, first, NULL};
    const struct value *docs =
        json(x, "[{'id':'a','name':'second'},{'id':'b','name':'second'},"
                "{'id':'c','name':'second'}]");

    put(x, C_ACTIONS, "{'id':'a','name':'first'}");
    put(x, C_ACTIONS, "{'id':'b','name':'first'}");
    put(x, C_ACTIONS, "{'id':'c','name':'first'}");
    ok(x, store_replace_many(x->s, C_ACTIONS, docs->items, expects, 3, &x->st));
    assert_string_equal(stored(x, C_ACTIONS, "c"), "{\"id\":\"c\",\"name\":\"second\"}");
    assert_int_equal(store_replace_many(x->s, C_ACTIONS, docs->items, expects, 3, &x->st),
                     1);
    ok(x, store_replace_many(x->s, C_ACTIONS, docs->items, expects, 0, &x->st));
}

static void a_slot_holds_one_live_element_of_a_workspace(void **state) {
    struct ctx *x = *state;
    static const char *const slots[] = {"u:k", "i:1:k", "c:1:2:"};

    for (int i = 0; i < 3; i++) {
        put(x, C_ACTIONS,
            arena_printf(x->a, "{'id':'%d','workspaceId':'w','slot':'%s'}", i, slots[i]));
        put(x, C_ACTIONS, arena_printf(x->a, "{'id':'x%d','workspaceId':'w'}", i));
        put(x, C_ACTIONS,
            arena_printf(x->a,
                         "{'id':'y%d','workspaceId':'w','slot':'%s','archivedAt':'t'}", i,
                         slots[i]));
        put(x, C_ACTIONS,
            arena_printf(x->a, "{'id':'v%d','workspaceId':'v','slot':'%s'}", i,
                         slots[i]));
        conflict(
            x,
            store_insert(
                x->s, C_ACTIONS,
                json(x, arena_printf(x->a, "{'id':'z','workspaceId':'w','slot':'%s'}",
                                     slots[i])),
                &x->st),
            "actions", "slot");
    }
}

/* ---- Claims, counters ---- */

static void claiming_takes_the_first_in_order(void **state) {
    struct ctx *x = *state;
    struct store_query q = {.where = store_eq_text(x->a, "state", "ready"),
                            .sort = {{"at", false}}};
    struct store_change change = {.set = json(x, "{'state':'taken'}"),
                                  .increment = json(x, "{'attempt':1}")};
    const struct value *doc;

    put(x, C_LEASES, "{'id':'a','at':2,'state':'ready'}");
    put(x, C_LEASES, "{'id':'b','at':1,'state':'ready'}");
    ok(x, store_claim(x->s, x->a, C_LEASES, &q, &change, &doc, &x->st));
    assert_string_equal(text_of(x, doc),
                        "{\"id\":\"b\",\"at\":1,\"state\":\"taken\",\"attempt\":1}");
    ok(x, store_claim(x->s, NULL, C_LEASES, &q, &change, NULL, &x->st));
    assert_int_equal(store_claim(x->s, x->a, C_LEASES, &q, &change, &doc, &x->st), 1);
    assert_string_equal(stored(x, C_LEASES, "a"),
                        "{\"id\":\"a\",\"at\":2,\"state\":\"taken\",\"attempt\":1}");
}

enum { CLAIMERS = 8, CLAIMS = 200 };

struct claimer {
    struct store *s;
    int claimed;
    bool failed;
};

static void *claim_all(void *arg) {
    struct claimer *me = arg;
    struct arena *a = arena_new(0);
    struct status st;
    const struct value *one = value_number(a, 1);
    struct store_query q = {.where = store_cmp(a, STORE_ABSENT, "owner", NULL),
                            .sort = {{"n", false}}};
    struct store_change change = {.set = value_obj(a, "owner", one, NULL),
                                  .increment = value_obj(a, "times", one, NULL)};
    int rc;

    st_init(&st, a);
    while ((rc = store_claim(me->s, NULL, C_LEASES, &q, &change, NULL, &st)) == 0)
        me->claimed++;
    me->failed = rc < 0;
    arena_free(&a);
    return NULL;
}

static void two_claimers_never_get_the_same_document(void **state) {
    struct ctx *x = *state;
    struct array_builder b;
    struct claimer claimers[CLAIMERS] = {0};
    pthread_t threads[CLAIMERS];
    uint64_t n;
    int total = 0;

    array_begin(&b, x->a, CLAIMS);
    for (int i = 0; i < CLAIMS; i++)
        array_push(&b, value_obj(x->a, "id", value_stringf(x->a, "%d", i), "n",
                                 value_number(x->a, i), NULL));
    ok(x, store_insert_many(x->s, C_LEASES, array_end(&b), &x->st));
    for (int i = 0; i < CLAIMERS; i++) {
        claimers[i].s = x->s;
        assert_int_equal(pthread_create(&threads[i], NULL, claim_all, &claimers[i]), 0);
    }
    for (int i = 0; i < CLAIMERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(claimers[i].failed);
        total += claimers[i].claimed;
    }
    assert_int_equal(total, CLAIMS);
    ok(x, store_count(x->s, C_LEASES, store_eq(x->a, "times", json(x, "1")), &n, &x->st));
    assert_int_equal(n, CLAIMS);
}

static void counters_count_and_stop_at_their_range(void **state) {
    struct ctx *x = *state;
    int64_t n = 7;

    ok(x, store_counter_add(x->s, "a", 5, &n, &x->st));
    assert_int_equal(n, 5);
    ok(x, store_counter_add(x->s, "b", 1, &n, &x->st));
    assert_int_equal(n, 1);
    ok(x, store_counter_add(x->s, "a", -7, &n, &x->st));
    assert_int_equal(n, -2);
    ok(x, store_counter_add(x->s, "a", 0, &n, &x->st));
    assert_int_equal(n, -2);
    ok(x, store_counter_add(x->s, "big", INT64_MAX, &n, &x->st));
    assert_true(n == INT64_MAX);
    refused(x, store_counter_add(x->s, "big", 1, &n, &x->st), NULL);
    ok(x, store_counter_add(x->s, "big", -1, &n, &x->st));
    assert_true(n == INT64_MAX - 1);
}

/* ---- Threads ---- */

enum { WRITERS = 8, WRITES = 60 };

struct writer {
    struct store *s;
    const char *id;
    bool failed;
};

static double number_in(struct writer *me, struct arena *a, const char *id) {
    const struct value *doc;
    struct status st;

    st_init(&st, a);
    return store_get(me->s, a, C_ACTIONS, id, &doc, &st) == 0
               ? value_get_number(doc, "n", -1)
               : -1;
}

static bool count_up(struct writer *me, struct arena *a, const char *id) {
    struct store_change change = {.increment =
                                      value_obj(a, "n", value_number(a, 1), NULL)};
    struct status st;

    st_init(&st, a);
    return store_update(me->s, NULL, C_ACTIONS, id, NULL, &change, NULL, &st) == 0;
}

/* Every write that returned is seen by the next read, whoever else writes. */
static void *write_and_read(void *arg) {
    struct writer *me = arg;
    struct arena *a = arena_new(0);

    for (int i = 1; i <= WRITES; i++) {
        if (!count_up(me, a, me->id) || !count_up(me, a, "shared") ||
            number_in(me, a, me->id) != i || number_in(me, a, "shared") < i)
            me->failed = true;
        arena_reset(a);
    }
    arena_free(&a);
    return NULL;
}

static void a_write_that_returned_is_seen_by_every_read(void **state) {
    struct ctx *x = *state;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];

    put(x, C_ACTIONS, "{'id':'shared','n':0}");
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){x->s, arena_printf(x->a, "%d", i), false};
        put(x, C_ACTIONS, arena_printf(x->a, "{'id':'%d','n':0}", i));
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_read, &writers[i]),
                         0);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(writers[i].failed);
    }
    assert_string_equal(
        stored(x, C_ACTIONS, "shared"),
        arena_printf(x->a, "{\"id\":\"shared\",\"n\":%d}", WRITERS * WRITES));
}

static void reads_see(struct ctx *x, int n) {
    struct store_query q = {.where = store_eq_text(x->a, "key", "k")};
    const struct value *doc = NULL;
    int rc = n < 0 ? 1 : 0;

    for (int again = 0; again < 2; again++) {
        assert_int_equal(store_find(x->s, x->a, C_ACTIONS, &q, &doc, &x->st), rc);
        if (n >= 0)
            assert_int_equal((int)value_get_number(doc, "n", -1), n);
        assert_int_equal(store_get(x->s, x->a, C_ACTIONS, "a", &doc, &x->st), rc);
        if (n >= 0)
            assert_int_equal((int)value_get_number(doc, "n", -1), n);
    }
}

static void reads_see_every_kind_of_write(void **state) {
    struct ctx *x = *state;
    struct store_query q = {.where = store_eq_text(x->a, "key", "k")};
    struct store_change change = {.increment = json(x, "{'n':1}")};

    reads_see(x, -1);
    put(x, C_ACTIONS, "{'id':'a','key':'k','n':0}");
    reads_see(x, 0);
    ok(x, store_update(x->s, NULL, C_ACTIONS, "a", NULL, &change, NULL, &x->st));
    reads_see(x, 1);
    ok(x, store_update_many(x->s, C_ACTIONS, NULL, &change, NULL, &x->st));
    reads_see(x, 2);
    ok(x, store_claim(x->s, NULL, C_ACTIONS, &q, &change, NULL, &x->st));
    reads_see(x, 3);
    ok(x, store_replace(x->s, C_ACTIONS, json(x, "{'id':'a','key':'k','n':4}"), NULL,
                        &x->st));
    reads_see(x, 4);
    ok(x, store_delete(x->s, C_ACTIONS, "a", NULL, &x->st));
    reads_see(x, -1);
    ok(x, store_insert_many(x->s, C_ACTIONS, json(x, "[{'id':'a','key':'k','n':5}]"),
                            &x->st));
    reads_see(x, 5);
    ok(x, store_delete_many(x->s, C_ACTIONS, NULL, NULL, &x->st));
    reads_see(x, -1);
}

static void it_answers_when_asked(void **state) {
    struct ctx *x = *state;

    ok(x, store_ping(x->s, &x->st));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int store_contract_run(const char *backend, struct store *(*open)(void),
                       void (*clean)(void)) {
    const struct CMUnitTest tests[] = {
        TEST(a_document_comes_back_with_its_key_order),
        TEST(an_absent_document_is_not_an_error),
        TEST(values_are_stored_as_their_json),
        TEST(a_document_without_a_usable_id_is_refused),
        TEST(too_deep_and_too_large_documents_are_refused),
        TEST(replacing_changes_the_whole_document_if_it_is_as_expected),
        TEST(updating_sets_unsets_and_increments),
        TEST(updating_asks_the_expectation_first),
        TEST(a_change_that_can_not_be_made_changes_nothing),
        TEST(deleting_asks_the_expectation_first),
        TEST(many_are_inserted_changed_and_deleted),
        TEST(inserting_many_stops_at_the_first_failure),
        TEST(conditions_compare_by_type_then_value),
        TEST(conditions_look_into_lists_and_text),
        TEST(conditions_combine),
        TEST(sorting_follows_the_order_of_comparison),
        TEST(pages_continue_where_the_last_one_ended),
        TEST(mixed_directions_page_too),
        TEST(pages_stand_still_while_rows_come_and_go),
        TEST(a_full_last_page_still_carries_a_cursor),
        TEST(a_foreign_cursor_is_refused),
        TEST(finding_gives_the_first_in_order),
        TEST(ids_are_unique_in_a_collection),
        TEST(unique_rules_hold_on_every_kind_of_write),
        TEST(an_archived_element_gives_its_key_free),
        TEST(many_are_replaced_until_one_is_not_as_expected),
        TEST(a_slot_holds_one_live_element_of_a_workspace),
        TEST(claiming_takes_the_first_in_order),
        TEST(two_claimers_never_get_the_same_document),
        TEST(counters_count_and_stop_at_their_range),
        TEST(a_write_that_returned_is_seen_by_every_read),
        TEST(reads_see_every_kind_of_write),
        TEST(it_answers_when_asked),
    };

    open_backend = open;
    clean_backend = clean;
    return _cmocka_run_group_tests(backend, tests, sizeof(tests) / sizeof(*tests), NULL,
                                   NULL);
}
