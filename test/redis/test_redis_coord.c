/*
 * Locks, counters and messages in Redis: the same suite as in memory on every form of
 * server, and what a flush and an outage do to them.
 */
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "contract/coord_contract.h"
#include "coord/coord.h"
#include "redis/redis.h"
#include "redis_peer.h"

static struct redis_peer *peer;
static struct redis *redis_;

static struct coord *open_coord(void) {
    return coord_open_redis(redis_);
}

static void say(const char *command) {
    char answer[64];

    redis_peer_say(peer, 0, command, answer, sizeof(answer));
    assert_memory_equal(answer, "+OK", 3);
}

static void a_fence_grows_also_over_a_flush_and_a_lost_lock_is_told(void **state) {
    struct coord *x = open_coord(), *y = open_coord();
    struct arena *a = arena_new(0);
    struct coord_lock *first, *second;
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(coord_lock(x, a, "l", 0, &first, &st), 0);
    say("FLUSHALL");
    assert_int_equal(coord_lock(y, a, "l", 0, &second, &st), 0);
    assert_true(coord_lock_fence(second) > coord_lock_fence(first));
    REDIS_AWAIT(coord_lock_is_lost(first));
    coord_unlock(x, &first); /* takes nothing from the second */
    assert_int_equal(coord_lock(x, a, "l", 0, &first, &st), -1);
    assert_false(coord_lock_is_lost(second));
    coord_unlock(y, &second);
    coord_close(&x);
    coord_close(&y);
    arena_free(&a);
}

static void without_redis_everything_is_unavailable_and_then_works_again(void **state) {
    struct coord *c = open_coord();
    struct arena *a = arena_new(0);
    struct coord_lock *l = NULL;
    struct status st;
    double sum;

    (void)state;
    st_init(&st, a);
    redis_peer_kill(peer, 0);
    REDIS_AWAIT(redis_ping(redis_, &st) < 0);
    st_clear(&st);
    assert_int_equal(coord_lock(c, a, "l", 0, &l, &st), -1);
    assert_int_equal(st_http_code(&st), 503);
    st_clear(&st);
    assert_int_equal(coord_count(c, "n", 1, 1000, 5000, &sum, &st), -1);
    assert_int_equal(st_http_code(&st), 503);
    st_clear(&st);
    assert_int_equal(coord_publish(c, "t", "k", (struct bytes){"x", 1}, 1000, &st), -1);
    assert_int_equal(st_http_code(&st), 503);
    st_clear(&st);
    redis_peer_start(peer, 0);
    REDIS_AWAIT(coord_lock(c, a, "l", 0, &l, &st) == 0);
    coord_unlock(c, &l);
    coord_close(&c);
    arena_free(&a);
}

static int run_form(enum redis_form form, const char *name) {
    const struct CMUnitTest more[] = {
        cmocka_unit_test(a_fence_grows_also_over_a_flush_and_a_lost_lock_is_told),
        cmocka_unit_test(without_redis_everything_is_unavailable_and_then_works_again),
    };
    int failed;

    peer = redis_peer_new(form);
    redis_ = redis_peer_open(peer);
    failed = coord_contract_run(name, open_coord, 1);
    if (form == REDIS_FORM_SINGLE)
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
