#include "coord_contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "coord/coord.h"
#include "value/value.h"

static struct coord *(*open_)(void);
static int has_two_;
static struct coord *x, *y; /* the same one where there can be only one */
static struct arena *a;
static struct status st;

static int setup(void **state) {
    (void)state;
    a = arena_new(0);
    st_init(&st, a);
    x = open_();
    y = has_two_ ? open_() : x;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    if (y != x)
        coord_close(&y);
    coord_close(&x);
    arena_free(&a);
    return 0;
}

static void good(int rc) {
    if (rc != 0)
        fail_msg("%s", st.message);
}

/* ---- Locks ---- */

static void a_lock_has_one_holder_and_its_fence_grows(void **state) {
    struct coord_lock *l, *other;
    uint64_t fence = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        good(coord_lock(i % 2 ? x : y, a, "one", 0, &l, &st));
        assert_true(coord_lock_fence(l) > fence);
        fence = coord_lock_fence(l);
        assert_int_equal(coord_lock(i % 2 ? y : x, a, "one", 0, &other, &st), -1);
        assert_int_equal(st.type, ST_CONCURRENCY);
        assert_string_equal(st.key, "lock_timeout");
        assert_string_equal(value_get_string(st.data, "resourceId", ""), "one");
        st_clear(&st);
        good(coord_lock(y, a, "another", 0, &other, &st));
        assert_false(coord_lock_is_lost(l));
        coord_unlock(y, &other);
        coord_unlock(i % 2 ? x : y, &l);
        assert_null(l);
    }
}

enum { THREADS = 6, ROUNDS = 15 };
static atomic_int inside, collisions, failures;

static void *lock_often(void *arg) {
    struct coord *c = arg;
    struct arena *mine = arena_new(0);
    struct status s;

    st_init(&s, mine);
    for (int i = 0; i < ROUNDS; i++) {
        struct coord_lock *l = NULL;

        if (coord_lock(c, mine, "busy", 60000, &l, &s) != 0) {
            atomic_fetch_add(&failures, 1);
            continue;
        }
        if (atomic_fetch_add(&inside, 1) != 0)
            atomic_fetch_add(&collisions, 1);
        atomic_fetch_sub(&inside, 1);
        coord_unlock(c, &l);
    }
    arena_free(&mine);
    return NULL;
}

static void never_two_are_inside(void **state) {
    pthread_t threads[THREADS];

    (void)state;
    atomic_store(&collisions, 0);
    atomic_store(&failures, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, lock_often, i % 2 ? x : y);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&collisions), 0);
    assert_int_equal(atomic_load(&failures), 0);
}

/* ---- Counters ---- */

static double count(struct coord *c, const char *name, double n, int64_t now_ms) {
    double sum = -1;

    good(coord_count(c, name, n, 1000, now_ms, &sum, &st));
    return sum;
}

static void counts_slide_out_of_the_window(void **state) {
    (void)state;
    assert_true(count(x, "a", 1, 10000) == 1);
    assert_true(count(y, "a", 2.5, 10500) == 3.5);
    assert_true(count(y, "b", 1, 10500) == 1);
    assert_true(count(x, "a", 0, 10999) == 3.5);
    assert_true(count(y, "a", 0, 11000) == 3.5);
    assert_true(count(x, "a", 1, 11500) == 1 + 3.5 / 2);
    assert_true(count(x, "a", 0, 12500) == 0.5);
    assert_true(count(y, "a", 0, 14000) == 0);
    count(x, "a", 7, 14000);
    good(coord_count_forget(y, "a", &st));
    assert_true(count(x, "a", 0, 14000) == 0);
    good(coord_count_forget(y, "never", &st));
}

/* ---- Messages ---- */

struct heard {
    pthread_mutex_t mu;
    pthread_cond_t more;
    int messages, gaps; /* guarded by: mu */
    char last[64];
};

static void hear(void *ctx, const char *key, struct bytes payload) {
    struct heard *h = ctx;

    pthread_mutex_lock(&h->mu);
    if (key) {
        h->messages++;
        snprintf(h->last, sizeof(h->last), "%s=%.*s", key, (int)payload.len,
                 payload.data);
    } else {
        h->gaps++;
    }
    pthread_cond_broadcast(&h->more);
    pthread_mutex_unlock(&h->mu);
}

static bool was_heard(struct heard *h, const char *text) {
    bool is;

    pthread_mutex_lock(&h->mu);
    is = strcmp(h->last, text) == 0;
    pthread_mutex_unlock(&h->mu);
    return is;
}

static void await(struct heard *h, const char *text) {
    for (int i = 0; i < 6000 && !was_heard(h, text); i++)
        nanosleep(&(struct timespec){0, 10 * 1000000}, NULL);
    assert_true(was_heard(h, text));
}

/* By a listener, or by who was told that it missed something: one of both has it. */
static bool can_know(struct coord *c, struct heard *h, const char *key,
                     const char *payload) {
    const struct bytes *list;
    size_t n;

    if (was_heard(h, arena_printf(a, "%s=%s", key, payload)))
        return true;
    good(coord_recall(c, a, "t", key, &list, &n, &st));
    for (size_t i = 0; i < n; i++)
        if (list[i].len == strlen(payload) && !memcmp(list[i].data, payload, list[i].len))
            return true;
    return false;
}

static void
every_member_learns_of_a_message_also_of_one_before_it_listened(void **state) {
    struct heard hx = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER},
                 hy = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
    struct coord *late;

    (void)state;
    coord_listen(x, "t", hear, &hx);
    if (y != x)
        coord_listen(y, "t", hear, &hy);
    good(coord_publish(x, "t", "k1", (struct bytes){"early", 5}, 60000, &st));
    assert_true(can_know(x, &hx, "k1", "early"));
    assert_true(can_know(y, y == x ? &hx : &hy, "k1", "early"));
    assert_false(can_know(x, &hx, "k2", "early"));
    if (y == x)
        return;
    late = open_();
    assert_true(
        can_know(late, &(struct heard){PTHREAD_MUTEX_INITIALIZER}, "k1", "early"));
    coord_close(&late);
    /* each begins to listen in its own time: publish until both have heard */
    for (int i = 0; i < 6000 && !(was_heard(&hx, "k3=a\nb") && was_heard(&hy, "k3=a\nb"));
         i++) {
        good(coord_publish(x, "t", "k3", (struct bytes){"a\nb", 3}, 60000, &st));
        nanosleep(&(struct timespec){0, 10 * 1000000}, NULL);
    }
    await(&hx, "k3=a\nb");
    await(&hy, "k3=a\nb");
    good(coord_publish(y, "t", "k4", (struct bytes){"", 0}, 60000, &st));
    await(&hx, "k4=");
    await(&hy, "k4=");
    good(coord_publish(y, "other", "k5", (struct bytes){"x", 1}, 60000, &st));
    good(coord_publish(y, "t", "k6", (struct bytes){"x", 1}, 60000, &st));
    await(&hx, "k6=x");
}

int coord_contract_run(const char *name, struct coord *(*open)(void), int has_two) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_lock_has_one_holder_and_its_fence_grows),
        T(never_two_are_inside),
        T(counts_slide_out_of_the_window),
        T(every_member_learns_of_a_message_also_of_one_before_it_listened),
    };

    open_ = open;
    has_two_ = has_two;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
