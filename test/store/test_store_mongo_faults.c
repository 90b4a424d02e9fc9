/*
 * What is promised when the way to MongoDB fails: a write is made once, or said not to be
 * known; an outage is said as one, at once, and ends by itself; what was acknowledged
 * survives a kill of the server.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "fault_proxy.h"
#include "mongo_peer.h"
#include "store/store.h"
#include "value/value.h"

/* A busy machine may take its time; only what a test waits for is short. */
#define PATIENT "serverSelectionTimeoutMS=60000"

static struct mongo_peer peer;
static struct fault_proxy *proxy;
static struct arena *arena;
static struct status st;
static struct store *s;
static int databases;

static struct store *open_through(int port, const char *db, const char *more) {
    struct store_mongo_options o = {
        .uri = arena_printf(arena, "mongodb://127.0.0.1:%d/%s?%s", port, db, more)};
    struct store *out = NULL;

    if (store_open_mongo(&o, &out, &st) < 0)
        return NULL;
    return out;
}

static int setup(void **state) {
    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    s = open_through(fault_proxy_port(proxy),
                     arena_printf(arena, "faults%d", databases++), PATIENT);
    if (!s)
        print_error("%s\n", st.message);
    return s ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    fault_proxy_arm(proxy, FAULT_STALL, "", 0);
    store_close(&s);
    arena_free(&arena);
    return 0;
}

static const struct value *doc(const char *id, int n) {
    return value_obj(arena, "id", value_string(arena, id), "key", value_string(arena, id),
                     "n", value_number(arena, n), NULL);
}

static int n_of(const char *id) {
    const struct value *found;
    int rc = store_get(s, arena, C_ACTIONS, id, &found, &st);

    return rc ? -rc : (int)value_get_number(found, "n", -9);
}

static struct store_change plus_one(void) {
    return (struct store_change){.increment =
                                     value_obj(arena, "n", value_number(arena, 1), NULL)};
}

static void ok(int rc) {
    if (rc)
        print_error("%d: %s\n", rc, st.message ? st.message : "(none)");
    assert_int_equal(rc, 0);
}

static int faults_before;

static void lose(enum fault fault, const char *word) {
    faults_before = fault_proxy_count(proxy);
    fault_proxy_arm(proxy, fault, word, 1);
}

static void was_lost(void) {
    assert_int_equal(fault_proxy_count(proxy), faults_before + 1);
}

/* Every kind of write, each with one fault; the outcome must be that of one write. */
static void every_write_under(enum fault fault) {
    struct store_change change = plus_one();
    const struct store_filter *one = store_eq(arena, "n", value_number(arena, 1));
    struct store_query q = {.where = store_eq_text(arena, "key", "c")};
    struct array_builder many;
    uint64_t count;

    lose(fault, "insert");
    ok(store_insert(s, C_ACTIONS, doc("a", 1), &st));
    was_lost();
    assert_int_equal(n_of("a"), 1);

    array_begin(&many, arena, 3);
    for (int i = 0; i < 3; i++)
        array_push(&many, doc(arena_printf(arena, "m%d", i), i));
    lose(fault, "insert");
    ok(store_insert_many(s, C_ACTIONS, array_end(&many), &st));
    was_lost();
    ok(store_count(s, C_ACTIONS, NULL, &count, &st));
    assert_int_equal(count, 4);

    lose(fault, "update");
    ok(store_replace(s, C_ACTIONS, doc("a", 2), one, &st));
    was_lost();
    assert_int_equal(n_of("a"), 2);

    lose(fault, "update");
    ok(store_update(s, NULL, C_ACTIONS, "a", NULL, &change, NULL, &st));
    was_lost();
    assert_int_equal(n_of("a"), 3);

    lose(fault, "update");
    ok(store_update_many(s, C_ACTIONS, store_eq_text(arena, "key", "a"), &change, &count,
                         &st));
    was_lost();
    assert_int_equal(count, 1);
    assert_int_equal(n_of("a"), 4);

    ok(store_insert(s, C_ACTIONS, doc("c", 0), &st));
    lose(fault, "update");
    ok(store_claim(s, NULL, C_ACTIONS, &q, &change, NULL, &st));
    was_lost();
    assert_int_equal(n_of("c"), 1);

    lose(fault, "delete");
    ok(store_delete(s, C_ACTIONS, "a", NULL, &st));
    was_lost();
    assert_int_equal(n_of("a"), -1);
}

static void a_write_whose_answer_is_lost_is_made_once(void **state) {
    (void)state;
    every_write_under(FAULT_LOSE_ANSWER);
}

static void a_write_whose_request_is_lost_is_made(void **state) {
    (void)state;
    every_write_under(FAULT_LOSE_REQUEST);
}

static void a_read_whose_answer_is_lost_is_made_again(void **state) {
    struct store_query q = {.where = store_eq_text(arena, "key", "a")};
    const struct value *found;
    uint64_t n;

    (void)state;
    ok(store_insert(s, C_ACTIONS, doc("a", 1), &st));
    lose(FAULT_LOSE_ANSWER, "find");
    assert_int_equal(n_of("a"), 1);
    was_lost();
    lose(FAULT_LOSE_ANSWER, "find");
    ok(store_find(s, arena, C_ACTIONS, &q, &found, &st));
    was_lost();
    lose(FAULT_LOSE_ANSWER, "aggregate");
    ok(store_count(s, C_ACTIONS, q.where, &n, &st));
    was_lost();
    assert_int_equal(n, 1);
}

static void an_addition_whose_answer_is_lost_counts_once(void **state) {
    int64_t n;

    (void)state;
    ok(store_counter_add(s, "c", 5, &n, &st));
    lose(FAULT_LOSE_ANSWER, "findAndModify");
    ok(store_counter_add(s, "c", 2, &n, &st));
    was_lost();
    assert_int_equal(n, 7);
    ok(store_counter_add(s, "c", 0, &n, &st));
    assert_int_equal(n, 7);
}

/* A conflict with what another wrote must not be taken for one's own earlier attempt. */
static void a_lost_insert_does_not_hide_a_conflict(void **state) {
    (void)state;
    ok(store_insert(s, C_ACTIONS, doc("a", 1), &st));
    lose(FAULT_LOSE_ANSWER, "insert");
    assert_int_equal(store_insert(s, C_ACTIONS, doc("a", 2), &st), -1);
    was_lost();
    assert_string_equal(st.key, "already_exists");
    assert_int_equal(n_of("a"), 1);
}

static void a_silent_connection_ends_as_unavailable(void **state) {
    struct store *quick = NULL;
    const struct value *found;

    (void)state;
    for (int i = 0; i < 20 && !quick; i++) { /* its start meets the short limit, too */
        st_clear(&st);
        quick = open_through(fault_proxy_port(proxy), "silent",
                             "socketTimeoutMS=2000&serverSelectionTimeoutMS=60000");
    }
    assert_non_null(quick);
    fault_proxy_arm(proxy, FAULT_STALL, "find", 1000);
    assert_int_equal(store_get(quick, arena, C_ACTIONS, "a", &found, &st), -1);
    assert_string_equal(st.key, "unavailable");
    assert_int_equal(st_http_code(&st), 503);
    st_clear(&st);
    fault_proxy_arm(proxy, FAULT_STALL, "find", 0);
    for (int i = 0; i < 600; i++) { /* it comes back by itself */
        struct timespec pause = {0, 50 * 1000000};

        if (store_get(quick, arena, C_ACTIONS, "a", &found, &st) == 1)
            break;
        st_clear(&st);
        nanosleep(&pause, NULL);
    }
    assert_int_equal(store_get(quick, arena, C_ACTIONS, "a", &found, &st), 1);
    store_close(&quick);
}

static void cut_connections_are_made_again(void **state) {
    (void)state;
    ok(store_insert(s, C_ACTIONS, doc("a", 1), &st));
    for (int i = 0; i < 5; i++) {
        fault_proxy_cut(proxy);
        assert_int_equal(n_of("a"), 1);
        ok(store_ping(s, &st));
    }
}

static void a_server_that_is_not_there_is_unavailable(void **state) {
    (void)state;
    assert_null(open_through(1, "none", "serverSelectionTimeoutMS=200"));
    assert_string_equal(st.key, "unavailable");
    assert_non_null(strstr(st.message, "127.0.0.1:1"));
}

/* ---- Outages ---- */

struct writer {
    int number;
    atomic_int acknowledged; /* i of the last one */
};

static atomic_bool stop;

/* Inserts until told to stop; after a failure the same one again. */
static void *write_on(void *arg) {
    struct writer *me = arg;
    struct arena *a = arena_new(0);

    for (int i = 1; !atomic_load(&stop);) {
        const char *id = arena_printf(a, "w%d-%d", me->number, i);
        struct timespec pause = {0, 20 * 1000000};
        struct status mine;
        int rc;

        st_init(&mine, a);
        rc = store_insert(
            s, C_ACTIONS,
            value_obj(a, "id", value_string(a, id), "n", value_number(a, i), NULL),
            &mine);
        if (rc == 0 || (mine.key && strcmp(mine.key, "already_exists") == 0))
            atomic_store(&me->acknowledged, i++);
        else
            nanosleep(&pause, NULL);
        arena_reset(a);
    }
    arena_free(&a);
    return NULL;
}

static void wait_for(struct writer *w, int more) {
    int from = atomic_load(&w->acknowledged);
    struct timespec pause = {0, 10 * 1000000};

    for (int i = 0; i < 9000; i++) {
        if (atomic_load(&w->acknowledged) >= from + more)
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("no write is acknowledged any more");
}

enum { WRITERS = 4 };

/* Once it is known that no server is there, nobody waits for one. */
static void an_outage_is_soon_said_at_once(void) {
    struct timespec pause = {0, 20 * 1000000};
    const struct value *found;
    int64_t before, took = INT64_MAX;

    for (int i = 0; i < 1000 && took >= 300; i++) {
        before = clock_monotonic_ms(clock_system());
        assert_int_equal(store_get(s, arena, C_ACTIONS, "a", &found, &st), -1);
        took = clock_monotonic_ms(clock_system()) - before;
        assert_string_equal(st.key, "unavailable");
        st_clear(&st);
        nanosleep(&pause, NULL);
    }
    assert_true(took < 300);
}

static void nothing_acknowledged_is_lost_when_the_server_is_killed(void **state) {
    struct writer w[WRITERS] = {0};
    pthread_t threads[WRITERS];

    (void)state;
    store_close(&s);
    s = open_through(peer.port, "kills", "serverSelectionTimeoutMS=3000");
    assert_non_null(s);
    atomic_store(&stop, false);
    for (int i = 0; i < WRITERS; i++) {
        w[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_on, &w[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        wait_for(&w[i], 20);
    mongo_peer_kill(&peer);
    an_outage_is_soon_said_at_once();
    mongo_peer_restart(&peer);
    for (int i = 0; i < WRITERS; i++)
        wait_for(&w[i], 20);
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < WRITERS; i++)
        for (int n = 1; n <= atomic_load(&w[i].acknowledged); n++)
            assert_int_equal(n_of(arena_printf(arena, "w%d-%d", i, n)), n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_write_whose_answer_is_lost_is_made_once),
        TEST(a_write_whose_request_is_lost_is_made),
        TEST(a_read_whose_answer_is_lost_is_made_again),
        TEST(an_addition_whose_answer_is_lost_counts_once),
        TEST(a_lost_insert_does_not_hide_a_conflict),
        TEST(a_silent_connection_ends_as_unavailable),
        TEST(cut_connections_are_made_again),
        TEST(a_server_that_is_not_there_is_unavailable),
        TEST(nothing_acknowledged_is_lost_when_the_server_is_killed),
    };
    int rc;

    mongo_peer_start(&peer, true);
    proxy = fault_proxy_start(peer.port);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    fault_proxy_stop(&proxy);
    mongo_peer_stop(&peer);
    return rc;
}
