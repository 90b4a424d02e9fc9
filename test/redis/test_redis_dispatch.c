/*
 * The dispatch in Redis passes the same suite as the one in memory on every form of
 * server, and comes through a flush. operations.md 4, S49.
 */
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "contract/dispatch_contract.h"
#include "queue/dispatch.h"
#include "redis/redis.h"
#include "redis_peer.h"

static struct redis_peer *peer;
static struct redis *redis_;

static void flush(void) {
    static const char script[] = "return redis.call('FLUSHALL')";
    struct arena *a = arena_new(0);
    struct status st;

    st_init(&st, a);
    for (int i = 0; i < 3; i++) { /* keys of the slots of all three masters */
        static const char *const keys[] = {"{queue0}", "{queue1}", "{sweep}"};
        struct redis_script s;
        const struct redis_reply *reply;

        redis_script_init(&s, script);
        if (redis_eval(redis_, a, &s, &keys[i], 1, NULL, 0, true, &reply, &st) < 0)
            fail_msg("%s", st.message);
    }
    arena_free(&a);
}

static struct queue_dispatch *open_dispatch(struct clock *clock,
                                            dispatch_contract_limits limits, void *ctx) {
    flush();
    return queue_dispatch_redis(redis_, clock, 0, limits, ctx);
}

static void no_limits(void *ctx, const char *workspace_id, unsigned queue, unsigned kind,
                      struct dispatch_limits *ret) {
    (void)ctx, (void)workspace_id, (void)queue, (void)kind;
    *ret = (struct dispatch_limits){0};
}

static void offer_some(struct queue_dispatch *d, struct arena *a) {
    struct dispatch_task t[100];

    for (int i = 0; i < 100; i++)
        t[i] =
            (struct dispatch_task){.id = arena_printf(a, "t%d", i), .workspace_id = "w"};
    d->ops->offer_many(d, t, 100);
}

static void a_flush_makes_a_sweep_due_for_one_process(void **state) {
    struct arena *a = arena_new(0);
    struct queue_dispatch *x, *y;
    const char *id;

    (void)state;
    x = open_dispatch(clock_system(), no_limits, NULL);
    y = queue_dispatch_redis(redis_, clock_system(), 1000, no_limits, NULL);
    /* each is told when it begins to listen; then the marker holds */
    REDIS_AWAIT(!x->ops->is_sweep_due(x, 600000) && !y->ops->is_sweep_due(y, 600000));
    offer_some(x, a);
    for (int i = 0; i < 50; i++)
        assert_int_equal(y->ops->take(y, a, 0, 60000, &id), 0);
    flush();
    assert_int_equal(x->ops->take(x, a, 0, 0, &id), 1);
    assert_true(x->ops->is_sweep_due(x, 600000) | y->ops->is_sweep_due(y, 600000));
    REDIS_AWAIT(!x->ops->is_sweep_due(x, 600000) && !y->ops->is_sweep_due(y, 600000));
    offer_some(y, a); /* what the store would say, had nobody claimed anything */
    for (int i = 0; i < 100; i++)
        assert_int_equal(x->ops->take(x, a, 0, 60000, &id), 0);
    assert_int_equal(y->ops->take(y, a, 0, 0, &id), 1);
    x->ops->free(&x);
    y->ops->free(&y);
    arena_free(&a);
}

static int run_form(enum redis_form form, const char *name) {
    const struct CMUnitTest more[] = {
        cmocka_unit_test(a_flush_makes_a_sweep_due_for_one_process),
    };
    int failed;

    peer = redis_peer_new(form);
    redis_ = redis_peer_open(peer);
    failed = dispatch_contract_run(name, open_dispatch);
    failed += cmocka_run_group_tests_name(name, more, NULL, NULL);
    redis_close(&redis_);
    redis_peer_free(&peer);
    return failed;
}

int main(void) {
    return run_form(REDIS_FORM_SINGLE, "redis") +
           run_form(REDIS_FORM_TLS, "redis with TLS") +
           run_form(REDIS_FORM_CLUSTER, "redis cluster");
}
