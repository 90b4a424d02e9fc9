/*
 * The client against real servers: one, one with TLS and a password, a cluster whose
 * first master dies. operations.md 4; S23, S49, S149.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "redis/redis.h"
#include "redis_peer.h"

static struct redis_peer *single, *tls, *cluster;
static struct redis *r;
static struct arena *a;
static struct status st;

static int setup(void **state) {
    (void)state;
    a = arena_new(0);
    st_init(&st, a);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    redis_close(&r);
    arena_free(&a);
    return 0;
}

static int open_all(void **state) {
    (void)state;
    single = redis_peer_single();
    tls = redis_peer_tls();
    cluster = redis_peer_cluster();
    return 0;
}

static int close_all(void **state) {
    (void)state;
    redis_peer_free(&single);
    redis_peer_free(&tls);
    redis_peer_free(&cluster);
    return 0;
}

static void good(int rc) {
    if (rc != 0)
        fail_msg("%s", st.message);
}

static void open_uri(const char *uri) {
    good(redis_open(&(struct redis_options){.uri = uri, .timeout_ms = 20000}, &r, &st));
}

/* What an operator reads when it can't work. */
static void fails_with(const struct redis_options *o, const char *words) {
    good(redis_open(o, &r, &st));
    assert_int_equal(redis_ping(r, &st), -1);
    assert_int_equal(st_http_code(&st), 503);
    assert_string_equal(st.key, "unavailable");
    if (!strstr(st.message, words))
        fail_msg("\"%s\" does not say \"%s\"", st.message, words);
    assert_null(strstr(st.message, "pa/ss"));
    assert_false(redis_is_up(r));
    st_clear(&st);
    redis_close(&r);
}

static void set_and_get(const char *key, const char *value) {
    const struct redis_reply *reply;

    good(redis_call(r, a, key, REDIS_WORDS("SET", key, value), NULL, &st));
    good(redis_call(r, a, key, REDIS_WORDS("GET", key), &reply, &st));
    assert_int_equal(reply->type, REDIS_TEXT);
    assert_string_equal(reply->text, value);
}

/* ---- One server ---- */

static void a_value_comes_back_with_its_nul_bytes(void **state) {
    struct bytes set[] = {{"SET", 3}, {"k", 1}, {"a\0b\r\n", 5}};
    const struct redis_reply *reply;

    (void)state;
    open_uri(redis_peer_uri(single, 0));
    good(redis_run(r, a, &(struct redis_command){.args = set, .args_len = 3, .key = "k"},
                   NULL, &st));
    good(redis_call(r, a, "k", REDIS_WORDS("GET", "k"), &reply, &st));
    assert_int_equal(reply->len, 5);
    assert_memory_equal(reply->text, "a\0b\r\n", 5);
    good(redis_call(r, a, "k", REDIS_WORDS("GET", "none"), &reply, &st));
    assert_int_equal(reply->type, REDIS_NIL);
    good(redis_call(r, a, "k", REDIS_WORDS("STRLEN", "k"), &reply, &st));
    assert_int_equal(reply->integer, 5);
    assert_true(redis_is_up(r));
}

static void an_error_reply_is_a_failure_with_its_words(void **state) {
    (void)state;
    open_uri(redis_peer_uri(single, 0));
    good(redis_call(r, a, "t", REDIS_WORDS("SET", "t", "x"), NULL, &st));
    assert_int_equal(redis_call(r, a, "t", REDIS_WORDS("LPUSH", "t", "y"), NULL, &st),
                     -1);
    assert_non_null(strstr(st.message, "WRONGTYPE"));
    assert_true(redis_is_up(r));
}

static void the_database_of_the_path_is_used_and_a_trailing_slash_is_fine(void **state) {
    const struct redis_reply *reply;

    (void)state;
    open_uri(arena_printf(a, "%s/3", redis_peer_uri(single, 0)));
    set_and_get("only-in-3", "x");
    redis_close(&r);
    open_uri(arena_printf(a, "%s/", redis_peer_uri(single, 0)));
    good(redis_call(r, a, "k", REDIS_WORDS("EXISTS", "only-in-3"), &reply, &st));
    assert_int_equal(reply->integer, 0);
}

static void addresses_that_can_not_be_are_refused(void **state) {
    static const char *const bad[] = {
        "http://h",         "redis://",         "redis://h:0",   "redis://h:99999",
        "redis://h:6379/x", "redis://h:63 79",  "redis://[::1",  "redis://u:%zz@h",
        "redis://u:%00@h",  "redis://h:6379?x", "redis://:p@:1", "redis://h/1/2",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        st_clear(&st);
        if (redis_open(&(struct redis_options){.uri = bad[i]}, &r, &st) == 0)
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(st.type, ST_CONFIGURATION);
    }
    st_clear(&st);
    open_uri("redis://user:p%40ss@[::1]:6380/15");
}

/* S23 */
static void a_user_with_a_password_logs_in_and_a_wrong_one_is_told(void **state) {
    char answer[64];

    (void)state;
    redis_peer_say(single, 0, "ACL SETUSER ada on >se@cret ~* &* +@all", answer,
                   sizeof(answer));
    assert_memory_equal(answer, "+OK", 3);
    open_uri(arena_printf(a, "redis://ada:se%%40cret@127.0.0.1:%d",
                          redis_peer_port(single, 0)));
    set_and_get("by-ada", "x");
    redis_close(&r);
    fails_with(
        &(struct redis_options){.uri = arena_printf(a, "redis://ada:no@127.0.0.1:%d",
                                                    redis_peer_port(single, 0))},
        "auth-failed: WRONGPASS");
}

static void *incr_many(void *arg) {
    struct arena *mine = arena_new(0);
    struct status s;

    st_init(&s, mine);
    for (int i = 0; i < 200; i++)
        if (redis_call(r, mine, "n", REDIS_WORDS("INCR", "n"), NULL, &s) < 0)
            *(int *)arg = 1;
    arena_free(&mine);
    return NULL;
}
static void many_threads_share_the_pool(void **state) {
    const struct redis_reply *reply;
    pthread_t threads[16];
    int failed[16] = {0};

    (void)state;
    good(redis_open(&(struct redis_options){.uri = redis_peer_uri(single, 0),
                                            .pool_max = 4,
                                            .timeout_ms = 30000},
                    &r, &st));
    good(redis_call(r, a, "n", REDIS_WORDS("DEL", "n"), NULL, &st));
    for (int i = 0; i < 16; i++)
        pthread_create(&threads[i], NULL, incr_many, &failed[i]);
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failed[i], 0);
    }
    good(redis_call(r, a, "n", REDIS_WORDS("GET", "n"), &reply, &st));
    assert_string_equal(reply->text, "3200");
}

static void a_pipeline_answers_in_order_and_tells_its_failures(void **state) {
    struct bytes args[3][3] = {{{"SET", 3}, {"p", 1}, {"1", 1}},
                               {{"LPUSH", 5}, {"p", 1}, {"x", 1}},
                               {{"GET", 3}, {"p", 1}}};
    struct redis_command c[3];
    const struct redis_reply *replies[3];

    (void)state;
    open_uri(redis_peer_uri(single, 0));
    for (int i = 0; i < 3; i++)
        c[i] = (struct redis_command){args[i], i == 2 ? 2 : 3, "p", true};
    good(redis_pipeline(r, a, c, 3, replies, &st));
    assert_string_equal(replies[0]->text, "OK");
    assert_int_equal(replies[1]->type, REDIS_ERROR);
    assert_string_equal(replies[2]->text, "1");
}

static void an_answer_over_the_bound_ends_the_connection_only(void **state) {
    char *big = malloc(300001);

    (void)state;
    memset(big, 'x', 300000);
    big[300000] = '\0';
    good(redis_open(&(struct redis_options){.uri = redis_peer_uri(single, 0),
                                            .max_reply_bytes = 100000},
                    &r, &st));
    good(redis_call(r, a, "big", REDIS_WORDS("SET", "big", big), NULL, &st));
    assert_int_equal(redis_call(r, a, "big", REDIS_WORDS("GET", "big"), NULL, &st), -1);
    assert_non_null(strstr(st.message, "longer than"));
    st_clear(&st);
    set_and_get("small", "x");
    free(big);
}

static void a_script_runs_by_its_hash_also_after_the_server_forgot_it(void **state) {
    struct redis_script s;
    const struct redis_reply *reply;
    struct bytes arg = {"7", 1};
    const char *keys[] = {"{s}a", "{s}b"};

    (void)state;
    open_uri(redis_peer_uri(single, 0));
    redis_script_init(&s, "return {KEYS[2], tonumber(ARGV[1]) + 1, {false, 'x'}}");
    for (int i = 0; i < 2; i++) {
        good(redis_eval(r, a, &s, keys, 2, &arg, 1, false, &reply, &st));
        assert_string_equal(redis_item_text(reply, 0), "{s}b");
        assert_int_equal(redis_item_integer(reply, 1), 8);
        assert_int_equal(reply->items[2]->items[0]->type, REDIS_NIL);
        good(redis_call(r, a, NULL, REDIS_WORDS("SCRIPT", "FLUSH"), NULL, &st));
    }
}

static void a_server_that_may_evict_is_told(void **state) {
    struct redis_facts facts;
    char answer[64];

    (void)state;
    open_uri(redis_peer_uri(single, 0));
    good(redis_inspect(r, a, &facts, &st));
    assert_false(facts.may_evict);
    assert_false(facts.is_old);
    assert_int_equal(facts.nodes, 1);
    redis_peer_say(single, 0, "CONFIG SET maxmemory-policy allkeys-lru", answer,
                   sizeof(answer));
    good(redis_inspect(r, a, &facts, &st));
    assert_true(facts.may_evict);
    assert_string_equal(facts.eviction, "allkeys-lru");
    redis_peer_say(single, 0, "CONFIG SET maxmemory-policy noeviction", answer,
                   sizeof(answer));
}

static void a_server_that_comes_back_is_used_without_a_restart(void **state) {
    (void)state;
    open_uri(redis_peer_uri(single, 0));
    set_and_get("k", "1");
    redis_peer_kill(single, 0);
    REDIS_AWAIT(redis_ping(r, &st) < 0);
    assert_false(redis_is_up(r));
    assert_non_null(strstr(st.message, "unreachable"));
    st_clear(&st);
    /* known to be down: calls fail at once, not after their time */
    REDIS_AWAIT(redis_call(r, a, "k", REDIS_WORDS("GET", "k"), NULL, &st) < 0);
    assert_int_equal(st_http_code(&st), 503);
    redis_peer_start(single, 0);
    REDIS_AWAIT(redis_ping(r, &st) == 0);
    set_and_get("k", "2");
    assert_true(redis_is_up(r));
}

static void nobody_there_is_unreachable_and_a_wrong_protocol_is_told(void **state) {
    struct redis_peer *gone = redis_peer_single();
    const char *uri = arena_strdup(a, redis_peer_uri(gone, 0));

    (void)state;
    redis_peer_free(&gone);
    fails_with(&(struct redis_options){.uri = uri}, "unreachable: Connection refused");
    fails_with(&(struct redis_options){.uri = "redis://no-such-host.invalid"},
               "unreachable: ");
    fails_with(&(struct redis_options){.uri = arena_printf(a, "redis://localhost:%d",
                                                           redis_peer_port(tls, 0))},
               "speaks TLS");
    fails_with(&(struct redis_options){.uri = arena_printf(a, "rediss://localhost:%d",
                                                           redis_peer_port(single, 0))},
               "TLS");
}

/* ---- Messages ---- */

struct heard {
    pthread_mutex_t mu;
    int messages, begun; /* guarded by: mu */
    char last[64];
};

static void on_message(void *ctx, const char *channel, struct bytes payload) {
    struct heard *h = ctx;

    pthread_mutex_lock(&h->mu);
    h->messages++;
    snprintf(h->last, sizeof(h->last), "%s=%.*s", channel, (int)payload.len,
             payload.data);
    pthread_mutex_unlock(&h->mu);
}

static void on_began(void *ctx) {
    struct heard *h = ctx;

    pthread_mutex_lock(&h->mu);
    h->begun++;
    pthread_mutex_unlock(&h->mu);
}

static int begun(struct heard *h) {
    int n;

    pthread_mutex_lock(&h->mu);
    n = h->begun;
    pthread_mutex_unlock(&h->mu);
    return n;
}

static bool has_heard(struct heard *h, const char *last) {
    bool is;

    pthread_mutex_lock(&h->mu);
    is = !strcmp(h->last, last);
    pthread_mutex_unlock(&h->mu);
    return is;
}

static void messages_arrive_and_listening_survives_a_restart(void **state) {
    struct heard h = {.mu = PTHREAD_MUTEX_INITIALIZER};
    struct redis_subscription *s;

    (void)state;
    open_uri(redis_peer_uri(single, 0));
    s = redis_subscribe(
        r, &(struct redis_subscription_options){.channels = REDIS_WORDS("c1", "c2"),
                                                .message = on_message,
                                                .began = on_began,
                                                .ctx = &h});
    REDIS_AWAIT(begun(&h) == 1);
    good(redis_call(r, a, NULL, REDIS_WORDS("PUBLISH", "c2", "hello"), NULL, &st));
    REDIS_AWAIT(has_heard(&h, "c2=hello"));
    redis_peer_kill(single, 0);
    redis_peer_start(single, 0);
    REDIS_AWAIT(begun(&h) == 2);
    REDIS_AWAIT(
        redis_call(r, a, NULL, REDIS_WORDS("PUBLISH", "c1", "again"), NULL, &st) == 0);
    REDIS_AWAIT(has_heard(&h, "c1=again"));
    redis_unsubscribe(&s);
}

/* ---- TLS, S149 ---- */

static void tls_checks_the_certificate_its_name_and_the_password(void **state) {
    const char *ca = redis_peer_ca_file(tls);
    int port = redis_peer_port(tls, 0);

    (void)state;
    good(redis_open(&(struct redis_options){.uri = redis_peer_uri(tls, 0), .ca_file = ca},
                    &r, &st));
    set_and_get("over-tls", "x");
    redis_close(&r);
    fails_with(&(struct redis_options){.uri = redis_peer_uri(tls, 0)},
               "certificate not trusted");
    fails_with(
        &(struct redis_options){.uri = arena_printf(a, "rediss://127.0.0.1:%d", port),
                                .ca_file = ca},
        "certificate not trusted: IP address mismatch");
    fails_with(
        &(struct redis_options){.uri = arena_printf(a, "rediss://:no@localhost:%d", port),
                                .ca_file = ca},
        "auth-failed: WRONGPASS");
    fails_with(
        &(struct redis_options){.uri = arena_printf(a, "rediss://localhost:%d", port),
                                .ca_file = ca},
        "auth-failed: NOAUTH");
    /* REDIS_DISABLE_TLS_VERIFICATION */
    good(redis_open(
        &(struct redis_options){.uri = redis_peer_uri(tls, 0), .skip_tls_verify = true},
        &r, &st));
    set_and_get("unchecked", "x");
    redis_close(&r);
    st_clear(&st);
    assert_int_equal(redis_open(&(struct redis_options){.uri = redis_peer_uri(tls, 0),
                                                        .ca_file = "/dev/null"},
                                &r, &st),
                     -1);
    assert_string_equal(st.key, "unreadable-file");
}

static void a_megabyte_passes_through_tls_both_ways(void **state) {
    char *big = malloc((1 << 20) + 1);

    (void)state;
    memset(big, 'y', 1 << 20);
    big[1 << 20] = '\0';
    r = redis_peer_open(tls);
    set_and_get("big", big);
    free(big);
}

/* ---- A cluster, S49 ---- */

static void a_key_has_the_slot_of_its_tag(void **state) {
    (void)state;
    assert_int_equal(redis_key_slot("123456789", 9), 0x31c3 % 16384);
    assert_int_equal(redis_key_slot("foo{bar}baz", 11), redis_key_slot("bar", 3));
    /* No tag between the braces: the whole key counts (CLUSTER KEYSLOT a{}b). */
    assert_int_equal(redis_key_slot("a{}b", 4), 13694);
    assert_int_equal(redis_key_slot("{a}{b}", 6), redis_key_slot("a", 1));
}

static void keys_go_to_their_nodes_from_one_seed(void **state) {
    const char *seed = redis_peer_uri(cluster, 1);
    struct redis_facts facts;

    (void)state;
    good(redis_open(&(struct redis_options){.cluster_uris = &seed,
                                            .cluster_uris_len = 1,
                                            .timeout_ms = 20000},
                    &r, &st));
    for (int i = 0; i < 60; i++)
        set_and_get(arena_printf(a, "key-%d", i), "x");
    good(redis_inspect(r, a, &facts, &st));
    assert_int_equal(facts.nodes, 3);
    assert_true(facts.is_cluster_server);
}

static void a_seed_that_is_away_is_passed_over(void **state) {
    struct redis_peer *gone = redis_peer_single();
    const char *seeds[] = {arena_strdup(a, redis_peer_uri(gone, 0)),
                           redis_peer_uri(cluster, 2)};

    (void)state;
    redis_peer_free(&gone);
    good(redis_open(&(struct redis_options){.cluster_uris = seeds,
                                            .cluster_uris_len = 2,
                                            .timeout_ms = 20000},
                    &r, &st));
    set_and_get("k", "v");
}

static const char *node_id(int node) {
    char answer[128];

    redis_peer_say(cluster, node, "CLUSTER MYID", answer, sizeof(answer));
    return arena_memdup(a, strchr(answer, '\n') + 1, 40);
}

static void say_ok(int node, const char *command) {
    char answer[256];

    redis_peer_say(cluster, node, command, answer, sizeof(answer));
    if (strncmp(answer, "+OK", 3) != 0)
        fail_msg("%s: %s", command, answer);
}

/* The slot of {move}x goes from its node to another, with the client in the middle. */
static void a_slot_that_moves_is_followed_before_and_after(void **state) {
    unsigned slot = redis_key_slot("move", 4);
    int from = slot <= 5460 ? 0 : slot <= 10922 ? 1 : 2, to = from == 1 ? 2 : 1;
    const struct redis_reply *reply, *replies[2];
    struct bytes args[2][2] = {{{"GET", 3}, {"{move}x", 7}},
                               {{"GET", 3}, {"{move}y", 7}}};
    struct redis_command c[2] = {{args[0], 2, "{move}x", true},
                                 {args[1], 2, "{move}y", true}};

    (void)state;
    r = redis_peer_open(cluster);
    set_and_get("{move}x", "1");
    say_ok(to, arena_printf(a, "CLUSTER SETSLOT %u IMPORTING %s", slot, node_id(from)));
    say_ok(from, arena_printf(a, "CLUSTER SETSLOT %u MIGRATING %s", slot, node_id(to)));
    set_and_get("{move}x", "2"); /* still here */
    set_and_get("{move}y", "3"); /* ASK */
    say_ok(from, arena_printf(a, "MIGRATE 127.0.0.1 %d {move}x 0 20000",
                              redis_peer_port(cluster, to)));
    good(redis_call(r, a, "{move}x", REDIS_WORDS("GET", "{move}x"), &reply, &st));
    assert_string_equal(reply->text, "2");
    good(redis_pipeline(r, a, c, 2, replies, &st));
    assert_string_equal(replies[0]->text, "2");
    assert_string_equal(replies[1]->text, "3");
    say_ok(to, arena_printf(a, "CLUSTER SETSLOT %u NODE %s", slot, node_id(to)));
    say_ok(from, arena_printf(a, "CLUSTER SETSLOT %u NODE %s", slot, node_id(to)));
    good(redis_call(r, a, "{move}x", REDIS_WORDS("GET", "{move}x"), &reply,
                    &st)); /* MOVED */
    assert_string_equal(reply->text, "2");
    good(redis_pipeline(r, a, c, 2, replies, &st));
    assert_string_equal(replies[1]->text, "3");
}

static void the_cluster_goes_on_when_a_master_dies(void **state) {
    struct heard h = {.mu = PTHREAD_MUTEX_INITIALIZER};
    struct redis_subscription *s;
    const char *key = NULL;

    (void)state;
    r = redis_peer_open(cluster);
    for (int i = 0; !key; i++) {
        char *k = arena_printf(a, "on-first-%d", i);

        if (redis_key_slot(k, strlen(k)) <= 5460)
            key = k;
    }
    set_and_get(key, "before");
    s = redis_subscribe(r,
                        &(struct redis_subscription_options){.channels = REDIS_WORDS("c"),
                                                             .message = on_message,
                                                             .began = on_began,
                                                             .ctx = &h});
    REDIS_AWAIT(begun(&h) >= 1);
    redis_peer_kill(cluster, 0);
    REDIS_AWAIT(redis_call(r, a, key, REDIS_WORDS("SET", key, "after"), NULL, &st) == 0);
    set_and_get(key, "after");
    redis_peer_await_failover(cluster);
    REDIS_AWAIT(redis_ping(r, &st) == 0);
    REDIS_AWAIT(redis_call(r, a, NULL, REDIS_WORDS("PUBLISH", "c", "x"), NULL, &st) ==
                    0 &&
                has_heard(&h, "c=x"));
    /* it comes back as a replica */
    redis_peer_start(cluster, 0);
    for (int i = 0; i < 30; i++)
        set_and_get(arena_printf(a, "key-%d", i), "y");
    redis_unsubscribe(&s);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_value_comes_back_with_its_nul_bytes),
        T(an_error_reply_is_a_failure_with_its_words),
        T(the_database_of_the_path_is_used_and_a_trailing_slash_is_fine),
        T(addresses_that_can_not_be_are_refused),
        T(a_user_with_a_password_logs_in_and_a_wrong_one_is_told),
        T(many_threads_share_the_pool),
        T(a_pipeline_answers_in_order_and_tells_its_failures),
        T(an_answer_over_the_bound_ends_the_connection_only),
        T(a_script_runs_by_its_hash_also_after_the_server_forgot_it),
        T(a_server_that_may_evict_is_told),
        T(nobody_there_is_unreachable_and_a_wrong_protocol_is_told),
        T(a_server_that_comes_back_is_used_without_a_restart),
        T(messages_arrive_and_listening_survives_a_restart),
        T(tls_checks_the_certificate_its_name_and_the_password),
        T(a_megabyte_passes_through_tls_both_ways),
        T(a_key_has_the_slot_of_its_tag),
        T(keys_go_to_their_nodes_from_one_seed),
        T(a_seed_that_is_away_is_passed_over),
        T(a_slot_that_moves_is_followed_before_and_after),
        T(the_cluster_goes_on_when_a_master_dies),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
