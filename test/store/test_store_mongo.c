/*
 * The contract on a MongoDB-protocol server, each test in a database of its own; and what
 * only such a server can show: addresses, changed rules, starts at the same time, TLS.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mongoc/mongoc.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "contract/store_contract.h"
#include "mongo_peer.h"
#include "store/store.h"
#include "value/value.h"

static struct mongo_peer peer;
static struct arena *arena;
static struct status st;
static const char *uri; /* of this test's database */
static int databases;

static struct store *open_at(const char *address) {
    struct store_mongo_options o = {.uri = address};
    struct store *s = NULL;

    return store_open_mongo(&o, &s, &st) < 0 ? NULL : s;
}

static int setup(void **state) {
    char db[32];

    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    snprintf(db, sizeof(db), "test%d", databases++);
    uri = arena_strdup(arena, mongo_peer_uri(&peer, db));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct store *open_new(void) {
    struct store *s;

    if (!arena)
        setup(NULL);
    else
        uri = mongo_peer_uri(&peer, arena_printf(arena, "contract%d", databases++));
    if (!(s = open_at(uri)))
        print_error("open: %s\n", st.message);
    return s;
}

static struct store *open_again(void) {
    struct store *s = open_at(uri);

    if (!s)
        fail_msg("%s", st.message);
    return s;
}

static void put(struct store *s, enum collection c, const char *id, const char *key) {
    const struct value *doc =
        value_obj(arena, "id", value_string(arena, id), "workspaceId",
                  value_string(arena, "w"), "key", value_string(arena, key), NULL);

    if (store_insert(s, c, doc, &st) < 0)
        fail_msg("%s", st.message);
}

/* As another program would: an update of every document of a collection. */
static void shell(const char *collection, bson_t *update) {
    mongoc_client_t *client = mongoc_client_new(uri);
    mongoc_uri_t *parsed = mongoc_uri_new(uri);
    mongoc_collection_t *c =
        mongoc_client_get_collection(client, mongoc_uri_get_database(parsed), collection);
    bson_t all = BSON_INITIALIZER;
    bson_error_t error;

    if (!mongoc_collection_update_many(c, &all, update, NULL, NULL, &error))
        fail_msg("%s", error.message);
    bson_destroy(&all);
    bson_destroy(update);
    mongoc_collection_destroy(c);
    mongoc_uri_destroy(parsed);
    mongoc_client_destroy(client);
}

static int indexes(const char *collection, const char *name, bool make) {
    mongoc_client_t *client = mongoc_client_new(uri);
    mongoc_uri_t *parsed = mongoc_uri_new(uri);
    const char *db = mongoc_uri_get_database(parsed);
    mongoc_collection_t *c = mongoc_client_get_collection(client, db, collection);
    bson_t *command =
        BCON_NEW("createIndexes", BCON_UTF8(collection), "indexes", "[", "{", "key", "{",
                 "k.older", BCON_INT32(1), "}", "name", BCON_UTF8(name), "}", "]");
    mongoc_cursor_t *cursor;
    const bson_t *index;
    bson_error_t error;
    bson_iter_t it;
    int n = 0;

    if (make &&
        !mongoc_client_write_command_with_opts(client, db, command, NULL, NULL, &error))
        fail_msg("%s", error.message);
    cursor = mongoc_collection_find_indexes_with_opts(c, NULL);
    while (mongoc_cursor_next(cursor, &index))
        n += bson_iter_init_find(&it, index, "name") &&
             strcmp(bson_iter_utf8(&it, NULL), name) == 0;
    mongoc_cursor_destroy(cursor);
    bson_destroy(command);
    mongoc_collection_destroy(c);
    mongoc_uri_destroy(parsed);
    mongoc_client_destroy(client);
    return n;
}

/* ---- Addresses ---- */

/* The forms of operations.md 3; none of these hosts answers. */
static void every_form_of_address_is_understood(void **state) {
    static const char *const good[] = {
        "mongodb://user:pass@127.0.0.1:1/engine?authSource=admin",
        "mongodb://127.0.0.1:1/db?retryWrites=true&w=majority",
        "mongodb://127.0.0.1:1,127.0.0.1:2/db?replicaSet=rs0",
        "mongodb://u:p%40ss@127.0.0.1:1/db?tls=true&tlsCAFile=/etc/ssl/certs/"
        "ca-certificates.crt&replicaSet=rs0&readPreference=primary&retryWrites=false&"
        "authSource=admin&authMechanism=SCRAM-SHA-1",
        "mongodb+srv://user:pass@cluster.acme.invalid/db",
        "mongodb+srv://user:pass@cluster.acme.invalid/db?retryWrites=true&w=majority",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        const char *address = arena_printf(arena, "%s%sserverSelectionTimeoutMS=100",
                                           good[i], strchr(good[i], '?') ? "&" : "?");

        assert_null(open_at(address));
        if (!st.key || strcmp(st.key, "unavailable") != 0)
            fail_msg("%s: %s", good[i], st.message);
        assert_null(strstr(st.message, "pass@"));
        st_clear(&st);
    }
}

static void a_wrong_address_is_said_without_its_password(void **state) {
    static const char *const bad[] = {"mongodb://127.0.0.1:1", "mongodb://127.0.0.1:1/",
                                      "mongodb://u:geheim@ss@127.0.0.1:1/db",
                                      "mongodb://u:geheim@127.0.0.1:port/db",
                                      "http://x/db"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_null(open_at(bad[i]));
        if (st.type != ST_CONFIGURATION)
            fail_msg("%s: %s", bad[i], st.message);
        assert_string_equal(st.key, "bad-format");
        assert_null(strstr(st.message, "geheim"));
        st_clear(&st);
    }
}

static void an_address_opens_by_its_scheme(void **state) {
    struct store *s = NULL;

    (void)state;
    assert_int_equal(store_open(uri, &s, &st), 0);
    assert_int_equal(store_ping(s, &st), 0);
    store_close(&s);
}

/* ---- Rules ---- */

static void what_was_written_is_there_after_reopening(void **state) {
    struct store *s = open_again();
    const struct value *doc;
    int64_t n;

    (void)state;
    put(s, C_ACTIONS, "a", "k");
    assert_int_equal(store_counter_add(s, "n", 41, &n, &st), 0);
    store_close(&s);
    s = open_again();
    assert_int_equal(store_get(s, arena, C_ACTIONS, "a", &doc, &st), 0);
    assert_string_equal(value_get_string(doc, "key", ""), "k");
    assert_int_equal(store_counter_add(s, "n", 1, &n, &st), 0);
    assert_int_equal(n, 42);
    assert_int_equal(store_get(s, arena, C_META, "schema", &doc, &st), 0);
    assert_int_equal((int)value_get_number(doc, "format", 0), 1);
    store_close(&s);
}

static void changed_rules_rewrite_keys_and_indexes(void **state) {
    struct store *s = open_again();
    struct store_query q = {.where = store_eq_text(arena, "key", "k7")};
    const struct value *doc, *again;

    (void)state;
    for (int i = 0; i < 20; i++)
        put(s, C_CONNECTORS, arena_printf(arena, "%d", i), arena_printf(arena, "k%d", i));
    store_close(&s);
    /* as if an older version had known no keys of connectors, and another index */
    shell("connectors", BCON_NEW("$set", "{", "k", "{", "}", "u", "{", "}", "}"));
    shell("meta", BCON_NEW("$set", "{", "d.rules.connectors", BCON_UTF8("older"), "}"));
    assert_int_equal(indexes("connectors", "index:older", true), 1);
    assert_int_equal(indexes("connectors", "theirs", true), 1);
    s = open_again();
    assert_int_equal(store_find(s, arena, C_CONNECTORS, &q, &doc, &st), 0);
    assert_string_equal(value_get_string(doc, "id", ""), "7");
    again =
        value_merge(arena, doc, value_obj(arena, "id", value_string(arena, "x"), NULL));
    assert_int_equal(store_insert(s, C_CONNECTORS, again, &st), -1);
    assert_string_equal(st.key, "already_exists");
    assert_int_equal(indexes("connectors", "index:older", false), 0);
    assert_int_equal(indexes("connectors", "theirs", false), 1);
    store_close(&s);
}

static void a_newer_database_is_refused(void **state) {
    struct store *s = open_again();

    (void)state;
    store_close(&s);
    shell("meta", BCON_NEW("$set", "{", "d.format", BCON_INT32(99), "}"));
    assert_null(open_at(uri));
    assert_string_equal(st.key, "conflict");
}

enum { STARTERS = 4 };

static void *start(void *arg) {
    struct arena *a = arena_new(0);
    struct store_mongo_options o = {.uri = arg};
    struct store *s = NULL;
    struct status mine;
    int rc;

    st_init(&mine, a);
    rc = store_open_mongo(&o, &s, &mine);
    if (rc < 0)
        print_error("start: %s\n", mine.message);
    store_close(&s);
    arena_free(&a);
    return rc < 0 ? "failed" : NULL;
}

static void several_start_at_once_on_an_empty_database(void **state) {
    pthread_t threads[STARTERS];
    struct store *s;
    void *failed;

    (void)state;
    for (int i = 0; i < STARTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start, (void *)uri), 0);
    for (int i = 0; i < STARTERS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    s = open_again();
    put(s, C_WORKSPACES, "a", "k");
    assert_int_equal(store_insert(s, C_WORKSPACES,
                                  value_obj(arena, "id", value_string(arena, "b"), "key",
                                            value_string(arena, "k"), NULL),
                                  &st),
                     -1);
    assert_string_equal(st.key, "already_exists");
    store_close(&s);
}

/* What one store wrote the other sees at once, and its conditions hold between them. */
static void two_stores_on_one_database_agree(void **state) {
    struct store *x = open_again(), *y = open_again();
    struct store_change change = {
        .set = value_obj(arena, "key", value_string(arena, "taken"), NULL)};
    const struct store_filter *free = store_eq_text(arena, "key", "free");
    const struct value *doc;

    (void)state;
    for (int i = 0; i < 20; i++) {
        const char *id = arena_printf(arena, "%d", i);

        put(i % 2 ? x : y, C_LEASES, id, "free");
        assert_int_equal(store_get(i % 2 ? y : x, arena, C_LEASES, id, &doc, &st), 0);
        assert_int_equal(store_update(x, NULL, C_LEASES, id, free, &change, NULL, &st),
                         0);
        assert_int_equal(store_update(y, NULL, C_LEASES, id, free, &change, NULL, &st),
                         1);
    }
    store_close(&x);
    store_close(&y);
}

/* ---- Before a start ---- */

static bool all_ok(const struct value *checks) {
    bool ok = true;

    for (VALUE_EACH_ITEM(c, checks)) {
        ok &= value_get_bool(c, "ok", false);
        assert_true(*value_get_string(c, "message", "") != '\0');
    }
    return ok;
}

static const struct value *find_check(const struct value *checks, const char *name) {
    for (VALUE_EACH_ITEM(c, checks))
        if (value_equals_text(value_get(c, "name"), name))
            return c;
    fail_msg("no check %s", name);
    return NULL;
}

static void preflight_checks_what_a_start_needs(void **state) {
    struct store_mongo_options o = {.uri = uri};
    const struct value *checks;

    (void)state;
    store_check_mongo(&o, arena, &checks);
    assert_true(value_get_bool(find_check(checks, "mongodb-connect"), "ok", false));
    assert_true(value_get_bool(find_check(checks, "mongodb-write"), "ok", false));
    find_check(checks, "mongodb-version");
    find_check(checks, "mongodb-replica-set");
    o.uri = "mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=100";
    store_check_mongo(&o, arena, &checks);
    assert_int_equal(checks->len, 1);
    assert_false(all_ok(checks));
}

/* ---- TLS ---- */

static void sh(const char *command) {
    assert_int_equal(system(command), 0);
}

static void tls_is_verified_against_the_given_authority(void **state) {
    char dir[] = "/tmp/test-mongo-tls-XXXXXX";
    const char *cert, *key, *other;
    struct store_mongo_options o = {0};
    struct mongo_peer tls;
    struct store *s = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    cert = arena_printf(arena, "%s/cert", dir);
    key = arena_printf(arena, "%s/key", dir);
    other = arena_printf(arena, "%s/other", dir);
    for (int i = 0; i < 2; i++)
        sh(arena_printf(
            arena,
            "openssl req -x509 -newkey %s -nodes -days 2 -subj "
            "/CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout %s -out "
            "%s 2>/dev/null && cat %s %s >%s.pem",
            i ? "rsa:2048" : "ec -pkeyopt ec_paramgen_curve:P-256", key, i ? cert : other,
            key, i ? cert : other, key));
    mongo_peer_start_tls(&tls, cert, key);
    o.uri = arena_printf(arena, "%s?tls=true&serverSelectionTimeoutMS=30000",
                         mongo_peer_uri(&tls, "db"));
    o.tls_ca_file = cert;
    if (store_open_mongo(&o, &s, &st) < 0)
        fail_msg("%s", st.message);
    put(s, C_LEASES, "a", "k");
    store_close(&s);
    o.uri = arena_printf(arena, "%s?tls=true&serverSelectionTimeoutMS=700",
                         mongo_peer_uri(&tls, "db"));
    o.tls_ca_file = other;
    assert_int_equal(store_open_mongo(&o, &s, &st), -1);
    assert_string_equal(st.key, "unavailable");
    mongo_peer_stop(&tls);
    sh(arena_printf(arena, "rm -r %s", dir));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_form_of_address_is_understood),
        TEST(a_wrong_address_is_said_without_its_password),
        TEST(an_address_opens_by_its_scheme),
        TEST(what_was_written_is_there_after_reopening),
        TEST(changed_rules_rewrite_keys_and_indexes),
        TEST(a_newer_database_is_refused),
        TEST(several_start_at_once_on_an_empty_database),
        TEST(two_stores_on_one_database_agree),
        TEST(preflight_checks_what_a_start_needs),
        TEST(tls_is_verified_against_the_given_authority),
    };
    int rc;

    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1); /* where no name server answers */
    mongo_peer_start(&peer, false);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rc += store_contract_run("mongodb", open_new, NULL);
    mongo_peer_stop(&peer);
    if (arena)
        arena_free(&arena);
    return rc;
}
