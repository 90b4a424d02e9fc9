/* Schedules follow flows, tick to the moment, once each (S80, S89). */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "flow/flow_schedule.h"
#include "flow/flow_task.h"
#include "queue/queue.h"
#include "store/store.h"
#include "value/value.h"

enum { MINUTE = 60000 };
static const int64_t T0 = 1700000000000 / MINUTE * MINUTE;

static struct clock_fake clock_;
static struct config config;
static struct deps deps;
static struct arena *a;
static struct status st;

static const struct queue_kind kinds[] = {
    {.name = FLOW_TASK_RUN,
     .queue = QUEUE_QUEUED,
     .run = flow_task_run,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION},
};

static const struct value *text(const char *s) {
    return value_string(a, s);
}

static const struct value *flow(const char *config_json, bool enabled) {
    const struct value *node_config;

    assert_int_equal(
        value_parse(a, config_json, strlen(config_json), NULL, &node_config, &st), 0);
    return value_obj(a, "id", text("f1"), "workspaceId", text("w"), "connectionId",
                     text("c"), "name", text("F"), "enabled", value_bool(enabled),
                     "updatedAt", text(clock_iso_now(deps.clock, a)), "nodes",
                     value_obj(a, "start",
                               value_obj(a, "type", text("schedule-trigger"), "config",
                                         node_config, NULL),
                               NULL),
                     NULL);
}

static void save(const struct value *doc) {
    int rc = store_replace(deps.store, C_FLOWS, doc, NULL, &st);

    assert_int_equal(rc == 1 ? store_insert(deps.store, C_FLOWS, doc, &st) : rc, 0);
    assert_int_equal(flow_schedule_follow(&deps, a, &st), 0);
}

static int64_t run_due(void) {
    int64_t next;

    if (flow_schedule_run_due(&deps, a, &next, &st) < 0)
        fail_msg("%s", st.message);
    return next;
}

static uint64_t count(enum collection c) {
    uint64_t n;

    assert_int_equal(store_count(deps.store, c, NULL, &n, &st), 0);
    return n;
}

/* A worker took the runs and finished them. */
static unsigned finish_runs(void) {
    struct store_change done = {.set = value_obj(a, "state", text("completed"), NULL)};
    struct queue_claim c;
    unsigned n = 0;

    while (queue_reserve(deps.queue, a, QUEUE_QUEUED, "h", 0, &c, &st) == 0) {
        assert_int_equal(
            store_update(deps.store, a, C_FLOW_RUNS, c.id, NULL, &done, NULL, &st), 0);
        assert_int_equal(queue_finish(deps.queue, &c, &st), 0);
        n++;
    }
    return n;
}

static int setup(void **state) {
    (void)state;
    clock_fake_init(&clock_, T0);
    config = (struct config){.task_lease_seconds = 30};
    config.limit[LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION] = 1;
    deps = (struct deps){.config = &config,
                         .clock = &clock_.clock,
                         .rand = rand_system(),
                         .store = store_open_memory()};
    deps.queue = queue_open(
        &(struct queue_options){.deps = &deps, .kinds = kinds, .kinds_len = 1});
    a = arena_new(0);
    st_init(&st, a);
    assert_int_equal(
        store_insert(deps.store, C_WORKSPACES, value_obj(a, "id", text("w"), NULL), &st),
        0);
    assert_int_equal(
        store_insert(deps.store, C_CONNECTIONS, value_obj(a, "id", text("c"), NULL), &st),
        0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    queue_close(&deps.queue);
    store_close(&deps.store);
    arena_free(&a);
    return 0;
}

static void an_interval_ticks_at_its_moments(void **state) {
    int64_t first, second;

    (void)state;
    save(flow("{\"intervalMinutes\": 5}", true));
    first = run_due();
    assert_true(first >= T0 + 5 * MINUTE && first <= T0 + 5 * MINUTE + 30000);
    clock_fake_advance(&clock_, first - T0 - 1);
    run_due();
    assert_int_equal(count(C_FLOW_RUNS), 0);
    clock_fake_advance(&clock_, 1);
    second = run_due();
    assert_int_equal(second - first, 5 * MINUTE);
    assert_int_equal(count(C_FLOW_RUNS), 1);
    assert_int_equal(finish_runs(), 1);
}

static void a_run_knows_its_moment_and_its_trigger(void **state) {
    const struct store_query any = {0};
    const struct value *run;

    (void)state;
    save(flow("{\"cron\": \"*/10 * * * *\"}", true));
    clock_fake_advance(&clock_, run_due() - T0 + 77);
    run_due();
    assert_int_equal(store_find(deps.store, a, C_FLOW_RUNS, &any, &run, &st), 0);
    assert_string_equal(value_get_string(run, "startNodeKey", ""), "start");
    assert_string_equal(value_get_string(value_get(run, "launchedBy"), "type", ""),
                        "schedule-trigger");
    assert_string_equal(value_get_string(value_get(run, "input"), "triggeredAt", "") + 19,
                        ".000Z");
}

static void ticks_that_were_missed_become_one(void **state) {
    int64_t next;

    (void)state;
    save(flow("{\"intervalMinutes\": 1}", true));
    run_due();
    clock_fake_advance(&clock_, 3 * 60 * MINUTE);
    next = run_due();
    assert_int_equal(count(C_FLOW_RUNS), 1);
    assert_true(next > T0 + 180 * MINUTE && next <= T0 + 181 * MINUTE);
}

static void one_run_of_a_schedule_waits_at_most(void **state) {
    (void)state;
    save(flow("{\"intervalMinutes\": 1}", true));
    for (int i = 0; i < 10; i++) {
        clock_fake_advance(&clock_, MINUTE);
        run_due();
    }
    assert_int_equal(count(C_FLOW_RUNS), 1);
    assert_int_equal(finish_runs(), 1);
    clock_fake_advance(&clock_, MINUTE);
    run_due();
    assert_int_equal(count(C_FLOW_RUNS), 2);
}

static void a_leader_that_comes_late_does_not_run_a_tick_again(void **state) {
    const struct store_query any = {0};
    const struct value *schedule;

    (void)state;
    save(flow("{\"intervalMinutes\": 5}", true));
    clock_fake_advance(&clock_, 6 * MINUTE);
    assert_int_equal(store_find(deps.store, a, C_SCHEDULES, &any, &schedule, &st), 0);
    run_due();
    assert_int_equal(finish_runs(), 1);
    /* it had read the schedule before, and writes what it made of it now */
    assert_int_equal(store_replace(deps.store, C_SCHEDULES, schedule, NULL, &st), 0);
    run_due();
    assert_int_equal(count(C_FLOW_RUNS), 1);
}

static void schedules_come_change_and_go_with_their_flow(void **state) {
    int64_t before;

    (void)state;
    save(flow("{\"intervalMinutes\": 5}", false));
    assert_int_equal(count(C_SCHEDULES), 0);
    clock_fake_advance(&clock_, 1000);
    save(flow("{\"intervalMinutes\": 5}", true));
    assert_int_equal(count(C_SCHEDULES), 1);
    before = run_due();
    clock_fake_advance(&clock_, 1000);
    save(value_with(a, flow("{\"intervalMinutes\": 5}", true), "name", text("G")));
    assert_int_equal(run_due(), before); /* another change moves nothing */
    clock_fake_advance(&clock_, 1000);
    save(flow("{\"intervalMinutes\": 60}", true));
    assert_true(run_due() >= T0 + 60 * MINUTE);
    clock_fake_advance(&clock_, 1000);
    save(flow("{\"cron\": \"0 25 * * *\"}", true)); /* not understood */
    assert_int_equal(count(C_SCHEDULES), 0);
    clock_fake_advance(&clock_, 1000);
    save(flow("{\"intervalMinutes\": 5}", true));
    clock_fake_advance(&clock_, 1000);
    save(value_with(a, flow("{\"intervalMinutes\": 5}", true), "archivedAt",
                    text("2025-01-01T00:00:00.000Z")));
    assert_int_equal(count(C_SCHEDULES), 0);
    assert_int_equal(run_due(), 0);
}

static void a_workspace_without_background_work_starts_nothing(void **state) {
    (void)state;
    assert_int_equal(
        store_replace(
            deps.store, C_WORKSPACES,
            value_obj(a, "id", text("w"), "isBackgroundJobsDisabled", &value_true, NULL),
            NULL, &st),
        0);
    save(flow("{\"intervalMinutes\": 1}", true));
    clock_fake_advance(&clock_, 10 * MINUTE);
    assert_true(run_due() > T0 + 10 * MINUTE);
    assert_int_equal(count(C_FLOW_RUNS), 0);
}

/* A run whose task was never put, because its process died between the two. */
static void the_sweep_gives_a_run_its_task(void **state) {
    (void)state;
    assert_int_equal(store_insert(deps.store, C_FLOW_RUNS,
                                  value_obj(a, "id", text("r"), "workspaceId", text("w"),
                                            "state", text("queued"), "createdAt",
                                            text(clock_iso_now(deps.clock, a)), NULL),
                                  &st),
                     0);
    assert_int_equal(flow_task_sweep(&deps, a, &st), 0);
    assert_int_equal(count(C_TASKS), 0); /* it may just be on its way */
    clock_fake_advance(&clock_, 2 * MINUTE);
    assert_int_equal(flow_task_sweep(&deps, a, &st), 0);
    assert_int_equal(flow_task_sweep(&deps, a, &st), 0);
    assert_int_equal(count(C_TASKS), 1);
    assert_int_equal(finish_runs(), 1);
}

static void a_run_whose_task_was_given_up_fails_and_can_be_tried_again(void **state) {
    const struct value *run;
    struct queue_claim c;
    struct status why;

    (void)state;
    save(flow("{\"intervalMinutes\": 1}", true));
    clock_fake_advance(&clock_, 3 * MINUTE);
    run_due();
    assert_int_equal(queue_reserve(deps.queue, a, QUEUE_QUEUED, "h", 0, &c, &st), 0);
    st_init(&why, a);
    st_fail(&why, ST_INTERNAL, "worker_lost", "the worker died");
    assert_int_equal(queue_fail(deps.queue, &c, false, &why, &st), 0);
    clock_fake_advance(&clock_, 2 * MINUTE);
    assert_int_equal(flow_task_sweep(&deps, a, &st), 0);
    assert_int_equal(store_get(deps.store, a, C_FLOW_RUNS, c.id, &run, &st), 0);
    assert_string_equal(value_get_string(run, "state", ""), "failed");
    assert_string_equal(
        value_get_string(value_at(value_get(run, "errors"), 0), "key", ""),
        "worker_lost");
}

static void old_runs_go_with_their_node_runs(void **state) {
    static const char *const rows[][3] = {
        {"old", "completed", "2023-01-01T00:00:00.000Z"},
        {"busy", "running", "2023-01-01T00:00:00.000Z"},
        {"new", "failed", "2023-11-01T00:00:00.000Z"}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        const struct value *id = text(rows[i][0]), *at = text(rows[i][2]);

        assert_int_equal(store_insert(deps.store, C_FLOW_RUNS,
                                      value_obj(a, "id", id, "state", text(rows[i][1]),
                                                "createdAt", at, NULL),
                                      &st),
                         0);
        assert_int_equal(
            store_insert(deps.store, C_FLOW_NODE_RUNS,
                         value_obj(a, "id", id, "flowRunId", id, "createdAt", at, NULL),
                         &st),
            0);
    }
    assert_int_equal(flow_task_delete_older(&deps, a, "2023-10-01T00:00:00.000Z", &st),
                     0);
    assert_int_equal(count(C_FLOW_RUNS), 2);
    assert_int_equal(count(C_FLOW_NODE_RUNS), 2);
}

/* One simulated day: nothing is left over, in the store or in memory. */
static void a_day_leaves_nothing_behind(void **state) {
    size_t after_hour = 0, after_day;
    unsigned runs = 0;

    (void)state;
    save(flow("{\"intervalMinutes\": 1}", true));
    for (int minute = 0; minute < 24 * 60; minute++) {
        if (minute == 60)
            after_hour = mallinfo2().uordblks;
        clock_fake_advance(&clock_, MINUTE);
        assert_int_equal(flow_schedule_follow(&deps, a, &st), 0);
        run_due();
        runs += finish_runs();
        assert_int_equal(queue_expire_leases(deps.queue, NULL, &st), 0);
        assert_int_equal(store_delete_many(deps.store, C_FLOW_RUNS, NULL, NULL, &st), 0);
        arena_reset(a);
        st_init(&st, a);
    }
    after_day = mallinfo2().uordblks;
    assert_in_range(runs, 24 * 60 - 3, 24 * 60);
    assert_int_equal(count(C_TASKS), 0);
    assert_true(after_day < after_hour + 64 * 1024);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_interval_ticks_at_its_moments),
        T(a_run_knows_its_moment_and_its_trigger),
        T(ticks_that_were_missed_become_one),
        T(one_run_of_a_schedule_waits_at_most),
        T(a_leader_that_comes_late_does_not_run_a_tick_again),
        T(schedules_come_change_and_go_with_their_flow),
        T(a_workspace_without_background_work_starts_nothing),
        T(the_sweep_gives_a_run_its_task),
        T(a_run_whose_task_was_given_up_fails_and_can_be_tried_again),
        T(old_runs_go_with_their_node_runs),
        T(a_day_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
