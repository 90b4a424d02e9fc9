/* One leads (operations.md S87-S91), and does each duty once per interval. */
#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "orchestrator/orchestrator.h"
#include "store/store.h"
#include "value/value.h"

static struct clock_fake clock_;
static struct deps deps;
static struct orchestrator *one, *two;
static struct arena *a;
static struct status st;
static int fast, slow;
static struct orchestrator *stale; /* sleeps through its end within a duty */

static int run_fast(const struct deps *d, struct arena *arena, struct status *why) {
    (void)d, (void)arena, (void)why;
    fast++;
    if (stale) {
        clock_fake_advance(&clock_, 16000);
        assert_int_equal(orchestrator_keep(two, &st), 0);
    }
    return 0;
}

static int run_slow(const struct deps *d, struct arena *arena, struct status *why) {
    (void)d, (void)arena, (void)why;
    slow++;
    return 0;
}

static const struct orchestrator_duty duties[] = {
    {"fast", 5, run_fast},
    {"slow", 3600, run_slow},
};

static struct orchestrator *open_one(void) {
    return orchestrator_open(&(struct orchestrator_options){
        .deps = &deps, .duties = duties, .duties_len = 2, .life_ms = 15000});
}

static int setup(void **state) {
    (void)state;
    clock_fake_init(&clock_, 1700000000000);
    deps = (struct deps){
        .clock = &clock_.clock, .rand = rand_system(), .store = store_open_memory()};
    a = arena_new(0);
    st_init(&st, a);
    one = open_one();
    two = open_one();
    fast = slow = 0;
    stale = NULL;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    orchestrator_close(&one);
    orchestrator_close(&two);
    store_close(&deps.store);
    arena_free(&a);
    return 0;
}

static void one_leads_while_it_renews_and_another_takes_over_within_20_s(void **state) {
    (void)state;
    assert_int_equal(orchestrator_keep(one, &st), 0);
    assert_int_equal(orchestrator_keep(two, &st), 1);
    for (int i = 0; i < 20; i++) {
        clock_fake_advance(&clock_, 5000);
        assert_int_equal(orchestrator_keep(one, &st), 0);
        assert_int_equal(orchestrator_keep(two, &st), 1);
    }
    /* one is killed */
    clock_fake_advance(&clock_, 10000);
    assert_int_equal(orchestrator_keep(two, &st), 1);
    clock_fake_advance(&clock_, 5000);
    assert_int_equal(orchestrator_keep(two, &st), 0);
    assert_int_equal(orchestrator_keep(one, &st), 1);
}

static void who_resigns_is_followed_at_once(void **state) {
    (void)state;
    assert_int_equal(orchestrator_keep(one, &st), 0);
    orchestrator_stop(one);
    assert_int_equal(orchestrator_keep(two, &st), 0);
}

static void a_duty_is_done_once_per_interval_whoever_leads(void **state) {
    (void)state;
    orchestrator_keep(one, &st);
    assert_int_equal(orchestrator_run_due(one), 2);
    assert_int_equal(orchestrator_run_due(one), 0);
    assert_int_equal(orchestrator_run_due(two), 0);
    clock_fake_advance(&clock_, 5000);
    orchestrator_keep(one, &st);
    assert_int_equal(orchestrator_run_due(one), 1);
    orchestrator_stop(one);
    orchestrator_keep(two, &st);
    assert_int_equal(orchestrator_run_due(two), 0);
    clock_fake_advance(&clock_, 12000); /* two ticks were missed: one is made up for */
    orchestrator_keep(two, &st);
    assert_int_equal(orchestrator_run_due(two), 1);
    assert_int_equal(orchestrator_run_due(two), 0);
    assert_int_equal(fast, 3);
    assert_int_equal(slow, 1);
}

/* S89: stopped by SIGSTOP and continued, in the middle of its round. */
static void a_leader_that_slept_through_its_end_begins_nothing(void **state) {
    (void)state;
    orchestrator_keep(one, &st);
    stale = one;
    assert_int_equal(orchestrator_run_due(one), 1); /* `slow` is refused */
    assert_true(orchestrator_leads(one));           /* it has not noticed yet */
    stale = NULL;
    assert_int_equal(slow, 0);
    assert_int_equal(orchestrator_run_due(two), 2);
    assert_int_equal(slow, 1);
    assert_int_equal(orchestrator_keep(one, &st), 1);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_leads_while_it_renews_and_another_takes_over_within_20_s),
        T(who_resigns_is_followed_at_once),
        T(a_duty_is_done_once_per_interval_whoever_leads),
        T(a_leader_that_slept_through_its_end_begins_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
