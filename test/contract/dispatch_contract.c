/*
 * What every dispatch promises: operations.md S66, S78; engine.md 17.3. Names are such
 * that the first turn is the same whether a backend goes by arrival or by name.
 */
#include "dispatch_contract.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "queue/dispatch.h"

static struct clock_fake clock_;
static struct queue_dispatch *d;
static struct arena *a;
static struct dispatch_limits limits_;
static struct queue_dispatch *(*open_)(struct clock *, dispatch_contract_limits, void *);

static void limits(void *ctx, const char *workspace_id, unsigned queue, unsigned kind,
                   struct dispatch_limits *ret) {
    (void)ctx, (void)workspace_id, (void)queue, (void)kind;
    *ret = limits_;
}

static int setup(void **state) {
    (void)state;
    clock_fake_init(&clock_, 1000000);
    limits_ = (struct dispatch_limits){0};
    d = open_(&clock_.clock, limits, NULL);
    a = arena_new(0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    d->ops->free(&d);
    arena_free(&a);
    return 0;
}

static void offer(const char *id, const char *workspace, const char *customer,
                  const char *connection) {
    d->ops->offer(d, &(struct dispatch_task){.id = id,
                                             .workspace_id = workspace,
                                             .customer_id = customer,
                                             .connection_id = connection});
}

static const char *take(void) {
    const char *id;

    return d->ops->take(d, a, 0, 0, &id) == 0 ? id : "-";
}

static void a_crowded_workspace_takes_turns_with_a_quiet_one(void **state) {
    int small = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        offer(arena_printf(a, "big%d", i), "w1", NULL, NULL);
    for (int i = 0; i < 10; i++)
        offer(arena_printf(a, "small%d", i), "w2", NULL, NULL);
    for (int i = 0; i < 20; i++)
        small += strncmp(take(), "small", 5) == 0;
    assert_int_equal(small, 10);
    assert_int_equal(d->ops->waiting(d, 0), 990);
}

static void customers_of_a_workspace_take_turns(void **state) {
    (void)state;
    offer("a1", "w", "a", NULL);
    offer("a2", "w", "a", NULL);
    offer("a3", "w", "a", NULL);
    offer("b1", "w", "b", NULL);
    assert_string_equal(take(), "a1");
    assert_string_equal(take(), "b1");
    assert_string_equal(take(), "a2");
    assert_string_equal(take(), "a3");
    assert_string_equal(take(), "-");
}

static void
a_connection_runs_in_order_and_one_at_a_time_where_its_limit_says(void **state) {
    (void)state;
    limits_.connection = 1;
    offer("x1", "w", "c", "x");
    offer("x2", "w", "c", "x");
    offer("y1", "w", "c", "y");
    assert_string_equal(take(), "x1");
    assert_string_equal(take(), "y1");
    assert_string_equal(take(), "-");
    d->ops->release(d, "x1");
    assert_string_equal(take(), "x2");
}

static void
limits_of_workspace_customer_and_kind_hold_and_do_not_block_others(void **state) {
    (void)state;
    limits_.workspace = 2;
    limits_.customer = 1;
    offer("a1", "w", "a", NULL);
    offer("a2", "w", "a", NULL);
    offer("b1", "w", "b", NULL);
    offer("c1", "w", "c", NULL);
    offer("x1", "x", "a", NULL);
    assert_string_equal(take(), "a1");
    assert_string_equal(take(), "x1");
    assert_string_equal(take(), "b1");
    assert_string_equal(take(), "-");
    d->ops->release(d, "a1");
    assert_string_equal(take(), "c1");
    limits_ = (struct dispatch_limits){.kind = 1};
    d->ops->release(d, "b1");
    assert_string_equal(take(), "-"); /* c1 is of that kind */
    d->ops->release(d, "c1");
    assert_string_equal(take(), "a2");
}

static void a_task_for_later_waits_for_its_time(void **state) {
    (void)state;
    for (int i = 50; i > 0; i--)
        d->ops->offer(d, &(struct dispatch_task){.id = arena_printf(a, "t%02d", i),
                                                 .workspace_id = "w",
                                                 .not_before_ms = 1000000 + i});
    assert_string_equal(take(), "-");
    for (int i = 1; i <= 50; i++) {
        clock_fake_advance(&clock_, 1);
        assert_string_equal(take(), arena_printf(a, "t%02d", i));
        assert_string_equal(take(), "-");
    }
}

static void
what_is_known_is_not_offered_twice_and_what_was_released_can_come_again(void **state) {
    (void)state;
    offer("a", "w", NULL, NULL);
    offer("a", "w", NULL, NULL);
    assert_string_equal(take(), "a");
    offer("a", "w", NULL, NULL);
    assert_string_equal(take(), "-");
    d->ops->release(d, "a");
    offer("a", "w", NULL, NULL);
    assert_string_equal(take(), "a");
}

static void what_other_processes_run_counts_until_they_run_it_no_more(void **state) {
    struct dispatch_task foreign = {.id = "f", .workspace_id = "w"};

    (void)state;
    limits_.workspace = 1;
    offer("f", "w", NULL, NULL);
    offer("a", "w", NULL, NULL);
    d->ops->set_foreign(d, &foreign, 1);
    assert_string_equal(take(), "-");
    d->ops->set_foreign(d, NULL, 0);
    assert_string_equal(take(), "a");
    assert_string_equal(take(), "-");
}

static void nothing_runs_while_paused(void **state) {
    (void)state;
    offer("a", "w", NULL, NULL);
    limits_.paused = true;
    assert_string_equal(take(), "-");
    limits_.paused = false;
    assert_string_equal(take(), "a");
}

static void a_page_of_offers_is_as_good_as_one_by_one(void **state) {
    struct dispatch_task t[300];

    (void)state;
    for (int i = 0; i < 300; i++)
        t[i] = (struct dispatch_task){.id = arena_printf(a, "t%03d", i),
                                      .queue = (unsigned)i % 2,
                                      .workspace_id = "w",
                                      .connection_id = "c"};
    d->ops->offer_many(d, t, 300);
    d->ops->offer_many(d, t, 300);
    assert_int_equal(d->ops->waiting(d, 0), 150);
    assert_int_equal(d->ops->waiting(d, 1), 150);
    for (int i = 0; i < 300; i += 2)
        assert_string_equal(take(), t[i].id);
    assert_string_equal(take(), "-");
}

static void what_comes_back_goes_before_what_is_younger_on_its_connection(void **state) {
    static const int64_t order[] = {30, 10, 20, 10};

    (void)state;
    for (int i = 0; i < 4; i++)
        d->ops->offer(d, &(struct dispatch_task){.id = arena_printf(a, "t%d", i),
                                                 .workspace_id = "w",
                                                 .connection_id = "c",
                                                 .order_ms = order[i]});
    assert_string_equal(take(), "t1");
    assert_string_equal(take(), "t3");
    d->ops->release(d, "t1");
    d->ops->offer(d, &(struct dispatch_task){.id = "t1",
                                             .workspace_id = "w",
                                             .connection_id = "c",
                                             .not_before_ms = 1000050,
                                             .order_ms = 10});
    assert_string_equal(take(), "t2");
    clock_fake_advance(&clock_, 50);
    assert_string_equal(take(), "t1");
    assert_string_equal(take(), "t0");
}

static void queues_do_not_mix_and_a_release_finds_its_own(void **state) {
    const char *id;

    (void)state;
    limits_.workspace = 1;
    for (unsigned q = 0; q < 2; q++)
        d->ops->offer(d, &(struct dispatch_task){
                             .id = q ? "q1" : "q0", .queue = q, .workspace_id = "w"});
    assert_string_equal(take(), "q0");
    assert_int_equal(d->ops->take(d, a, 1, 0, &id), 0);
    assert_string_equal(id, "q1");
    d->ops->release(d, "q1");
    d->ops->offer(d,
                  &(struct dispatch_task){.id = "q2", .queue = 1, .workspace_id = "w"});
    assert_int_equal(d->ops->take(d, a, 1, 0, &id), 0);
    offer("q3", "w", NULL, NULL);
    assert_string_equal(take(), "-"); /* q0 still runs */
}

static void what_is_released_unseen_is_forgotten(void **state) {
    (void)state;
    offer("a", "w", NULL, NULL);
    d->ops->offer(d, &(struct dispatch_task){
                         .id = "b", .workspace_id = "w", .not_before_ms = 2000000});
    d->ops->release(d, "a");
    d->ops->release(d, "b");
    d->ops->release(d, "never");
    assert_int_equal(d->ops->waiting(d, 0), 0);
    clock_fake_advance(&clock_, 2000000);
    assert_string_equal(take(), "-");
}

static void *offer_soon(void *arg) {
    (void)arg;
    nanosleep(&(struct timespec){0, 30 * 1000000}, NULL);
    d->ops->offer(d, &(struct dispatch_task){.id = "late", .workspace_id = "w"});
    return NULL;
}

/* The pause only makes waiting likely: it must end well in any order. */
static void who_waits_is_woken_by_an_offer(void **state) {
    const char *id = "";
    pthread_t t;

    (void)state;
    pthread_create(&t, NULL, offer_soon, NULL);
    assert_int_equal(d->ops->take(d, a, 0, 60000, &id), 0);
    assert_string_equal(id, "late");
    pthread_join(t, NULL);
    assert_int_equal(d->ops->take(d, a, 0, 20, &id), 1);
}

enum { TAKERS = 4, TASKS = 400 };

struct taker {
    pthread_t thread;
    int taken;
};

static void *take_all(void *arg) {
    struct taker *t = arg;
    struct arena *mine = arena_new(0);
    const char *id;

    while (d->ops->take(d, mine, 0, 0, &id) == 0) {
        t->taken++;
        d->ops->release(d, id);
    }
    arena_free(&mine);
    return NULL;
}

static void many_takers_get_each_task_once(void **state) {
    struct taker t[TAKERS] = {0};
    int sum = 0;

    (void)state;
    for (int i = 0; i < TASKS; i++)
        offer(arena_printf(a, "t%d", i), i % 3 ? "w" : "x", NULL, NULL);
    for (int i = 0; i < TAKERS; i++)
        pthread_create(&t[i].thread, NULL, take_all, &t[i]);
    for (int i = 0; i < TAKERS; i++) {
        pthread_join(t[i].thread, NULL);
        sum += t[i].taken;
    }
    assert_int_equal(sum, TASKS);
    assert_int_equal(d->ops->waiting(d, 0), 0);
}

int dispatch_contract_run(const char *name,
                          struct queue_dispatch *(*open)(struct clock *,
                                                         dispatch_contract_limits,
                                                         void *)) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_crowded_workspace_takes_turns_with_a_quiet_one),
        T(customers_of_a_workspace_take_turns),
        T(a_connection_runs_in_order_and_one_at_a_time_where_its_limit_says),
        T(limits_of_workspace_customer_and_kind_hold_and_do_not_block_others),
        T(a_task_for_later_waits_for_its_time),
        T(what_is_known_is_not_offered_twice_and_what_was_released_can_come_again),
        T(what_other_processes_run_counts_until_they_run_it_no_more),
        T(nothing_runs_while_paused),
        T(a_page_of_offers_is_as_good_as_one_by_one),
        T(what_comes_back_goes_before_what_is_younger_on_its_connection),
        T(queues_do_not_mix_and_a_release_finds_its_own),
        T(what_is_released_unseen_is_forgotten),
        T(who_waits_is_woken_by_an_offer),
        T(many_takers_get_each_task_once),
    };

    open_ = open;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
