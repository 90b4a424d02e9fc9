/* A task's life: leases, retries, dead letters, limits, hand-back (operations.md 6.4). */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "queue/queue.h"
#include "store/store.h"
#include "value/value.h"

static struct clock_fake clock_;
static struct config config;
static struct deps deps;
static struct queue *q;
static struct arena *a;
static struct status st;
static atomic_int begun, go;

static enum queue_result done(struct queue_run *r, struct status *why) {
    (void)r, (void)why;
    atomic_fetch_add(&begun, 1);
    return QUEUE_DONE;
}

/* Runs until it is told to end. */
static enum queue_result patient(struct queue_run *r, struct status *why) {
    (void)why;
    atomic_fetch_add(&begun, 1);
    while (!queue_run_should_stop(r))
        usleep(1000);
    return QUEUE_HANDED_BACK;
}

/* Runs until the test lets it go, and listens to nobody. */
static enum queue_result deaf(struct queue_run *r, struct status *why) {
    (void)r, (void)why;
    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&go))
        usleep(1000);
    return QUEUE_DONE;
}

static enum queue_result hungry(struct queue_run *r, struct status *why) {
    while (!queue_run_should_stop(r))
        arena_alloc(r->arena, 1 << 20);
    st_fail(why, ST_INTERNAL, NULL, "stopped");
    return QUEUE_FAILED;
}

#define NO_LIMITS .parallel_limit = LIMIT_COUNT, .connection_limit = LIMIT_COUNT
static const struct queue_kind kinds[] = {
    {.name = "plain",
     .queue = QUEUE_INSTANT,
     .run = done,
     .max_attempts = 3,
     .backoff_ms = 1000,
     NO_LIMITS},
    {.name = "alone",
     .queue = QUEUE_INSTANT,
     .run = done,
     .flags = QUEUE_KIND_ALONE,
     NO_LIMITS},
    {.name = "once", .queue = QUEUE_QUEUED, .run = done, .max_crashes = 1, NO_LIMITS},
    {.name = "flow",
     .queue = QUEUE_QUEUED,
     .run = done,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION},
    {.name = "patient", .queue = QUEUE_QUEUED, .run = patient, NO_LIMITS},
    {.name = "deaf", .queue = QUEUE_QUEUED, .run = deaf, NO_LIMITS},
    {.name = "hungry", .queue = QUEUE_QUEUED, .run = hungry, NO_LIMITS},
};

static struct queue *open_queue(bool shared) {
    return queue_open(&(struct queue_options){.deps = &deps,
                                              .kinds = kinds,
                                              .kinds_len = sizeof(kinds) / sizeof(*kinds),
                                              .lease_ms = 30000,
                                              .shared = shared});
}

static int setup(void **state) {
    (void)state;
    clock_fake_init(&clock_, 1700000000000);
    config = (struct config){.max_queued_tasks_process_time_seconds = 3000,
                             .max_queued_tasks_memory_mb = 64};
    config.limit[LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION] = 1;
    deps = (struct deps){.config = &config,
                         .clock = &clock_.clock,
                         .rand = rand_system(),
                         .store = store_open_memory()};
    q = open_queue(false);
    a = arena_new(0);
    st_init(&st, a);
    atomic_store(&begun, 0);
    atomic_store(&go, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    queue_close(&q);
    store_close(&deps.store);
    arena_free(&a);
    return 0;
}

static int put(const char *kind, const char *connection, const char *key) {
    return queue_put(q,
                     &(struct queue_task){.kind = kind,
                                          .workspace_id = "w",
                                          .connection_id = connection,
                                          .dedup_key = key},
                     &st);
}

static int reserve(enum queue_name name, const char *holder, struct queue_claim *c) {
    return queue_reserve(q, a, name, holder, 0, c, &st);
}

static const struct value *the_task(void) {
    struct store_query all = {0};
    const struct value *doc;

    return store_find(deps.store, a, C_TASKS, &all, &doc, &st) == 0 ? doc
                                                                    : &value_undefined;
}

static const char *state_of_task(void) {
    return value_get_string(the_task(), "state", "gone");
}

static void a_finished_task_is_gone(void **state) {
    struct queue_claim c;

    (void)state;
    assert_int_equal(put("plain", NULL, NULL), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    assert_string_equal(state_of_task(), "running");
    assert_int_equal(queue_finish(q, &c, &st), 0);
    assert_string_equal(state_of_task(), "gone");
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 1);
}

static void a_failed_task_comes_again_later_each_time_and_dies_in_the_end(void **state) {
    static const int wait_ms[] = {1000, 4000};
    struct queue_claim c;
    struct status why;

    (void)state;
    st_init(&why, a);
    st_fail(&why, ST_CONNECTION, NULL, "the app is down");
    put("plain", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
        assert_int_equal(c.attempt, i + 1);
        assert_int_equal(queue_fail(q, &c, true, &why, &st), 0);
        if (i == 2)
            break;
        clock_fake_advance(&clock_, wait_ms[i] - 1);
        assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 1);
        clock_fake_advance(&clock_, 1);
    }
    assert_string_equal(state_of_task(), "dead");
    assert_string_equal(
        value_get_string(value_get(the_task(), "lastError"), "message", ""),
        "the app is down");
    assert_int_equal(queue_revive(q, value_get_string(the_task(), "id", ""), &st), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    assert_int_equal(c.attempt, 1);
}

static void
a_task_of_a_dead_worker_runs_again_and_dies_after_three_crashes(void **state) {
    struct queue_claim c;
    uint64_t n;

    (void)state;
    put("plain", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
        assert_int_equal(c.attempt, 1); /* a crash is no attempt */
        clock_fake_advance(&clock_, 30000);
        assert_int_equal(queue_expire_leases(q, &n, &st), 0);
        assert_int_equal(n, 0);
        clock_fake_advance(&clock_, 1);
        assert_int_equal(queue_expire_leases(q, &n, &st), 0);
        assert_int_equal(n, 1);
    }
    assert_string_equal(state_of_task(), "dead");
    assert_string_equal(value_get_string(value_get(the_task(), "lastError"), "key", ""),
                        "worker_lost");
}

static void a_task_that_may_run_once_is_dead_after_one_crash(void **state) {
    struct queue_claim c;

    (void)state;
    put("once", NULL, NULL);
    assert_int_equal(reserve(QUEUE_QUEUED, "h", &c), 0);
    clock_fake_advance(&clock_, 30001);
    assert_int_equal(queue_expire_leases(q, NULL, &st), 0);
    assert_string_equal(state_of_task(), "dead");
}

static void a_renewed_lease_lasts_and_a_lost_one_changes_nothing(void **state) {
    struct queue_claim c, other;
    struct status why;

    (void)state;
    st_init(&why, a);
    st_fail(&why, ST_INTERNAL, NULL, "too late");
    put("plain", NULL, NULL);
    assert_int_equal(reserve(QUEUE_INSTANT, "old", &c), 0);
    clock_fake_advance(&clock_, 20000);
    assert_int_equal(queue_renew(q, &c, NULL, &st), 0);
    clock_fake_advance(&clock_, 20000);
    assert_int_equal(queue_expire_leases(q, NULL, &st), 0);
    assert_string_equal(state_of_task(), "running");
    clock_fake_advance(&clock_, 20000);
    assert_int_equal(queue_expire_leases(q, NULL, &st), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "new", &other), 0);
    assert_int_equal(queue_renew(q, &c, NULL, &st), 1);
    assert_int_equal(queue_finish(q, &c, &st), 1);
    assert_int_equal(queue_fail(q, &c, false, &why, &st), 1);
    assert_int_equal(queue_hand_back(q, &c, &st), 1);
    assert_string_equal(value_get_string(the_task(), "leaseHolder", ""), "new");
    assert_int_equal(queue_finish(q, &other, &st), 0);
}

static void a_handed_back_task_keeps_its_attempt(void **state) {
    struct queue_claim c;

    (void)state;
    put("plain", NULL, NULL);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
        assert_int_equal(c.attempt, 1);
        assert_int_equal(queue_hand_back(q, &c, &st), 0);
    }
    assert_int_equal(value_get_number(the_task(), "crashes", -1), 0);
}

static void what_is_cancelled_is_deleted_or_told_when_its_lease_is_renewed(void **state) {
    struct queue_claim c;
    const char *id;
    bool cancelled;

    (void)state;
    put("plain", NULL, NULL);
    id = value_get_string(the_task(), "id", "");
    assert_int_equal(queue_cancel(q, id, &st), 0);
    assert_string_equal(state_of_task(), "gone");
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 1);
    put("plain", NULL, NULL);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    assert_int_equal(queue_renew(q, &c, &cancelled, &st), 0);
    assert_false(cancelled);
    assert_int_equal(queue_cancel(q, c.id, &st), 0);
    assert_int_equal(queue_renew(q, &c, &cancelled, &st), 0);
    assert_true(cancelled);
    assert_int_equal(queue_finish(q, &c, &st), 0);
    assert_int_equal(queue_cancel(q, c.id, &st), 1);
}

static void a_task_with_an_id_is_put_once(void **state) {
    const struct queue_task t = {.id = "one", .kind = "plain"};
    const struct queue_task many[] = {{.id = "two", .kind = "plain"}, t, t};
    struct queue_claim c;

    (void)state;
    assert_int_equal(queue_put(q, &t, &st), 0);
    assert_int_equal(queue_put(q, &t, &st), 1);
    assert_int_equal(queue_put_many(q, many, 3, &st), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 1);
}

/* What came back goes before what came later on the connection. */
static void a_handed_back_task_keeps_its_turn(void **state) {
    struct queue_claim c;
    char first[64];

    (void)state;
    put("flow", "c1", NULL);
    clock_fake_advance(&clock_, 10);
    put("flow", "c1", NULL);
    assert_int_equal(reserve(QUEUE_QUEUED, "h", &c), 0);
    snprintf(first, sizeof(first), "%s", c.id);
    assert_int_equal(queue_hand_back(q, &c, &st), 0);
    assert_int_equal(reserve(QUEUE_QUEUED, "h", &c), 0);
    assert_string_equal(c.id, first);
}

/* Another process handed it back: the dispatch here does not know it. */
static void the_oldest_of_a_connection_goes_first_across_processes(void **state) {
    struct queue *other = open_queue(true);
    struct queue_claim c, first;

    (void)state;
    put("flow", "c1", NULL);
    clock_fake_advance(&clock_, 10);
    put("flow", "c1", NULL);
    assert_int_equal(queue_offer_waiting(other, 0, &st), 0);
    assert_int_equal(reserve(QUEUE_QUEUED, "h", &first), 0);
    assert_int_equal(queue_reserve(other, a, QUEUE_QUEUED, "o", 0, &c, &st), 1);
    assert_int_equal(queue_hand_back(q, &first, &st), 0);
    clock_fake_advance(&clock_, 1000);
    for (int i = 0;; i++) {
        if (queue_reserve(other, a, QUEUE_QUEUED, "o", 0, &c, &st) == 0)
            break;
        clock_fake_advance(&clock_, 1000);
        assert_true(i < 5);
    }
    assert_string_equal(c.id, first.id);
    queue_close(&other);
}

static void the_same_task_waits_once(void **state) {
    struct queue_claim c;

    (void)state;
    assert_int_equal(put("plain", NULL, "key"), 0);
    assert_int_equal(put("plain", NULL, "key"), 1);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    assert_int_equal(put("plain", NULL, "key"), 0); /* it runs: ask once more */
    assert_int_equal(put("alone", NULL, "other"), 0);
    assert_int_equal(queue_finish(q, &c, &st), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    assert_int_equal(put("alone", NULL, "other"), 1); /* also while it runs */
}

static void one_run_per_connection_holds_across_processes(void **state) {
    struct queue *other = open_queue(true);
    struct queue_claim mine, theirs;

    (void)state;
    put("flow", "c1", NULL);
    put("flow", "c1", NULL);
    assert_int_equal(queue_offer_waiting(other, 0, &st), 0);
    assert_int_equal(reserve(QUEUE_QUEUED, "mine", &mine), 0);
    assert_int_equal(reserve(QUEUE_QUEUED, "mine", &mine), 1);
    assert_int_equal(queue_reserve(other, a, QUEUE_QUEUED, "theirs", 0, &theirs, &st), 1);
    assert_int_equal(queue_finish(q, &mine, &st), 0);
    clock_fake_advance(&clock_, 1000);
    assert_int_equal(queue_reserve(other, a, QUEUE_QUEUED, "theirs", 0, &theirs, &st), 0);
    queue_close(&other);
}

static void everything_but_the_store_can_be_lost(void **state) {
    struct queue_claim c;

    (void)state;
    for (int i = 0; i < 1200; i++)
        put("plain", NULL, NULL);
    queue_close(&q);
    q = open_queue(false);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 1);
    assert_int_equal(queue_offer_waiting(q, 0, &st), 0);
    for (int i = 0; i < 1200; i++) {
        assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
        assert_int_equal(queue_finish(q, &c, &st), 0);
    }
    assert_string_equal(state_of_task(), "gone");
}

static void a_full_queue_refuses_under_limits(void **state) {
    (void)state;
    config.enable_limits = true;
    config.limit[LIMIT_INSTANT_TASKS_QUEUE_SIZE] = 2;
    assert_int_equal(put("plain", NULL, NULL), 0);
    assert_int_equal(put("plain", NULL, NULL), 0);
    assert_int_equal(put("plain", NULL, NULL), -1);
    assert_string_equal(st.key, "rate_limit_exceeded");
}

static void a_paused_queue_accepts_and_does_not_run(void **state) {
    struct queue_claim c;

    (void)state;
    assert_int_equal(queue_pause(q, QUEUE_INSTANT, true, &st), 0);
    assert_int_equal(put("plain", NULL, NULL), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 1);
    assert_int_equal(queue_pause(q, QUEUE_INSTANT, false, &st), 0);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
}

static void figures_say_what_waits_runs_and_could_run(void **state) {
    struct queue_claim c;
    struct queue_stats s;

    (void)state;
    for (int i = 0; i < 3; i++)
        put("plain", NULL, NULL);
    assert_int_equal(reserve(QUEUE_INSTANT, "h", &c), 0);
    /* S59..S77: 4 wait on one connection that runs one at a time, 2 wait freely */
    for (int i = 0; i < 5; i++)
        put("flow", "c1", NULL);
    put("once", NULL, NULL);
    put("once", NULL, NULL);
    assert_int_equal(reserve(QUEUE_QUEUED, "h", &c), 0);
    assert_int_equal(queue_stats_read(q, &s, &st), 0);
    assert_int_equal(s.active[QUEUE_INSTANT], 1);
    assert_int_equal(s.waiting[QUEUE_INSTANT], 2);
    assert_int_equal(s.active[QUEUE_QUEUED], 1);
    assert_int_equal(s.waiting[QUEUE_QUEUED], 6);
    assert_int_equal(s.queued_workers_required, 3);
    assert_int_equal(s.queued_workers, 0);
}

/* ---- Threads ---- */

/* Threads run: deps and config stand still from start() to queue_workers_join(), the
 * fake clock may be moved. */

static bool until(bool (*good)(void)) {
    for (int i = 0; i < 60000; i++) {
        if (good())
            return true;
        usleep(1000);
    }
    return false;
}

static bool has_begun(void) {
    return atomic_load(&begun) > 0;
}

static bool is_gone(void) {
    return strcmp(state_of_task(), "gone") == 0;
}

static bool is_dead(void) {
    return strcmp(state_of_task(), "dead") == 0;
}

static struct queue_workers *start(int n) {
    return queue_workers_start(
        q, &(struct queue_workers_options){
               .queues = 1 << QUEUE_INSTANT | 1 << QUEUE_QUEUED, .threads = n});
}

static void workers_run_what_is_put_each_task_once(void **state) {
    struct queue_workers *w;

    (void)state;
    deps.clock = clock_system();
    queue_close(&q); /* the dispatch keeps the clock it was made with */
    q = open_queue(false);
    w = start(3);
    for (int i = 0; i < 200; i++)
        assert_int_equal(put("plain", NULL, NULL), 0);
    assert_true(until(is_gone));
    assert_true(queue_workers_join(&w));
    assert_int_equal(atomic_load(&begun), 200);
}

static void a_stopping_worker_hands_its_task_back(void **state) {
    struct queue_workers *w = start(1);

    (void)state;
    put("patient", NULL, NULL);
    assert_true(until(has_begun));
    assert_int_equal(queue_workers_busy(w), 1);
    queue_workers_stop(w);
    while (queue_workers_busy(w))
        usleep(1000);
    assert_true(queue_workers_join(&w));
    assert_string_equal(state_of_task(), "waiting");
    assert_int_equal(value_get_number(the_task(), "attempt", -1), 0);
}

/* S75 */
static void
a_task_over_its_time_ends_as_timed_out_though_its_handler_does_not(void **state) {
    struct queue_workers *w;

    (void)state;
    config.max_queued_tasks_process_time_seconds = 2;
    w = start(1);
    put("deaf", NULL, NULL);
    assert_true(until(has_begun));
    clock_fake_advance(&clock_, 2000 + 2000); /* and what a handler has to notice it */
    assert_true(until(is_dead));
    assert_string_equal(value_get_string(value_get(the_task(), "lastError"), "key", ""),
                        "request_timeout");
    atomic_store(&go, 1);
    while (queue_workers_busy(w))
        usleep(1000);
    assert_true(queue_workers_join(&w));
    assert_true(is_dead());
}

/* S74 */
static void a_task_over_its_memory_ends_as_an_error_and_the_worker_lives(void **state) {
    struct queue_workers *w = start(1);

    (void)state;
    put("hungry", NULL, NULL);
    assert_true(until(is_dead));
    assert_string_equal(value_get_string(value_get(the_task(), "lastError"), "key", ""),
                        "memory_limit_exceeded");
    put("once", NULL, NULL);
    assert_true(until(has_begun));
    while (queue_workers_busy(w))
        usleep(1000);
    assert_true(queue_workers_join(&w));
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_finished_task_is_gone),
        T(a_failed_task_comes_again_later_each_time_and_dies_in_the_end),
        T(a_task_of_a_dead_worker_runs_again_and_dies_after_three_crashes),
        T(a_task_that_may_run_once_is_dead_after_one_crash),
        T(a_renewed_lease_lasts_and_a_lost_one_changes_nothing),
        T(a_handed_back_task_keeps_its_attempt),
        T(what_is_cancelled_is_deleted_or_told_when_its_lease_is_renewed),
        T(a_task_with_an_id_is_put_once),
        T(a_handed_back_task_keeps_its_turn),
        T(the_oldest_of_a_connection_goes_first_across_processes),
        T(the_same_task_waits_once),
        T(one_run_per_connection_holds_across_processes),
        T(everything_but_the_store_can_be_lost),
        T(a_full_queue_refuses_under_limits),
        T(a_paused_queue_accepts_and_does_not_run),
        T(figures_say_what_waits_runs_and_could_run),
        T(workers_run_what_is_put_each_task_once),
        T(a_stopping_worker_hands_its_task_back),
        T(a_task_over_its_time_ends_as_timed_out_though_its_handler_does_not),
        T(a_task_over_its_memory_ends_as_an_error_and_the_worker_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
