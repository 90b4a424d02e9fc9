/* The client behind a proxy that cuts, holds, slows and breaks its connections. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "redis/redis.h"
#include "redis_peer.h"

static struct redis_peer *peer;
static struct redis_proxy *proxy;
static struct redis *r;
static struct arena *a;
static struct status st;

static int open_peer(void **state) {
    (void)state;
    peer = redis_peer_single();
    return 0;
}

static int close_peer(void **state) {
    (void)state;
    redis_peer_free(&peer);
    return 0;
}

static void open_redis(int timeout_ms) {
    const char *uri = arena_printf(a, "redis://127.0.0.1:%d", redis_proxy_port(proxy));

    assert_int_equal(redis_open(&(struct redis_options){.uri = uri,
                                                        .timeout_ms = timeout_ms,
                                                        .patience_ms = 200},
                                &r, &st),
                     0);
}

static int setup(void **state) {
    (void)state;
    a = arena_new(0);
    st_init(&st, a);
    proxy = redis_proxy_new(redis_peer_port(peer, 0));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    redis_close(&r);
    redis_proxy_free(&proxy);
    arena_free(&a);
    return 0;
}

static int incr(const char *key, bool is_repeatable) {
    struct bytes args[] = {{"INCR", 4}, {key, strlen(key)}};

    return redis_run(
        r, a,
        &(struct redis_command){
            .args = args, .args_len = 2, .key = key, .is_repeatable = is_repeatable},
        NULL, &st);
}

static int64_t count_of(const char *key) {
    char answer[64];

    redis_peer_say(peer, 0, arena_printf(a, "INCRBY %s 0", key), answer, sizeof(answer));
    return answer[0] == ':' ? strtoll(answer + 1, NULL, 10) : -1;
}

static void is_unavailable(void) {
    assert_int_equal(st.type, ST_INTERNAL);
    assert_string_equal(st.key, "unavailable");
    st_clear(&st);
}

static void cut_connections_fail_calls_until_they_are_back(void **state) {
    (void)state;
    open_redis(20000);
    assert_int_equal(incr("cut", false), 0);
    redis_proxy_set(proxy, REDIS_FAULT_CUT);
    REDIS_AWAIT(incr("cut", false) < 0);
    is_unavailable();
    assert_false(redis_is_up(r));
    redis_proxy_set(proxy, REDIS_FAULT_NONE);
    REDIS_AWAIT(incr("cut", false) == 0);
    assert_true(redis_is_up(r));
}

static void a_half_open_connection_costs_one_time_out(void **state) {
    int64_t start;

    (void)state;
    open_redis(500);
    REDIS_AWAIT(incr("hang", false) == 0);
    redis_proxy_set(proxy, REDIS_FAULT_HANG);
    start = redis_peer_now_ms();
    assert_int_equal(incr("hang", false), -1);
    assert_true(redis_peer_now_ms() - start >= 500);
    is_unavailable();
    redis_proxy_set(proxy, REDIS_FAULT_NONE);
    REDIS_AWAIT(incr("hang", false) == 0);
}

static void slow_bytes_are_put_together(void **state) {
    const struct redis_reply *reply;

    (void)state;
    redis_proxy_set(proxy, REDIS_FAULT_SLOW);
    open_redis(60000);
    assert_int_equal(redis_call(r, a, "s", REDIS_WORDS("SET", "s", "slowly"), NULL, &st),
                     0);
    assert_int_equal(
        redis_call(r, a, "s", REDIS_WORDS("MGET", "s", "none", "s"), &reply, &st), 0);
    assert_string_equal(redis_item_text(reply, 2), "slowly");
}

static void
what_may_have_happened_is_not_done_again_unless_that_is_harmless(void **state) {
    int64_t before;

    (void)state;
    open_redis(20000);
    REDIS_AWAIT(incr("midway", false) == 0);
    before = count_of("midway");
    redis_proxy_set(proxy, REDIS_FAULT_MIDWAY);
    assert_int_equal(incr("midway", false), -1); /* done, and the answer lost */
    is_unavailable();
    REDIS_AWAIT(count_of("midway") == before + 1);
    redis_proxy_set(proxy, REDIS_FAULT_NONE);
    REDIS_AWAIT(redis_ping(r, &st) == 0);
    assert_int_equal(count_of("midway"), before + 1);
    redis_proxy_set(proxy, REDIS_FAULT_MIDWAY);
    assert_int_equal(incr("midway", true), -1); /* tried until its patience is over */
    assert_true(count_of("midway") >= before + 2);
}

static void count_began(void *ctx) {
    atomic_fetch_add((atomic_int *)ctx, 1);
}
static void ignore(void *ctx, const char *channel, struct bytes payload) {
    (void)ctx, (void)channel, (void)payload;
}
static void listening_begins_again_after_every_cut(void **state) {
    atomic_int begun = 0;
    struct redis_subscription *s;

    (void)state;
    open_redis(20000);
    s = redis_subscribe(r,
                        &(struct redis_subscription_options){.channels = REDIS_WORDS("c"),
                                                             .message = ignore,
                                                             .began = count_began,
                                                             .ctx = &begun});
    for (int i = 1; i <= 3; i++) {
        REDIS_AWAIT(atomic_load(&begun) == i);
        redis_proxy_set(proxy, REDIS_FAULT_CUT);
        REDIS_AWAIT(!redis_is_up(r));
        redis_proxy_set(proxy, REDIS_FAULT_NONE);
    }
    redis_unsubscribe(&s);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(cut_connections_fail_calls_until_they_are_back),
        T(a_half_open_connection_costs_one_time_out),
        T(slow_bytes_are_put_together),
        T(what_may_have_happened_is_not_done_again_unless_that_is_harmless),
        T(listening_begins_again_after_every_cut),
    };

    return cmocka_run_group_tests(tests, open_peer, close_peer);
}
