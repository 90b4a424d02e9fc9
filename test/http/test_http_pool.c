/*
 * The pool runs every job once, with as many threads as are blocked, and no more.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "../cmocka_all.h"
#include "http/http_pool.h"

enum { BLOCKED = 200, SUBMITTERS = 4, QUICK = 3000 };

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned at_work; /* guarded by: mu */
static bool open_gate;   /* guarded by: mu */

static void wait_at_gate(struct http_job *job) {
    (void)job;
    pthread_mutex_lock(&mu);
    at_work++;
    pthread_cond_broadcast(&changed);
    while (!open_gate)
        pthread_cond_wait(&changed, &mu);
    at_work--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mu);
}

static void wait_for_work(unsigned n) {
    pthread_mutex_lock(&mu);
    while (at_work != n)
        pthread_cond_wait(&changed, &mu);
    pthread_mutex_unlock(&mu);
}

static void there_are_as_many_threads_as_blocked_jobs(void **state) {
    static struct http_job jobs[BLOCKED];
    struct http_pool *p = http_pool_new(8 * BLOCKED);

    (void)state;
    open_gate = false;
    for (int i = 0; i < BLOCKED; i++) {
        jobs[i].run = wait_at_gate;
        assert_int_equal(http_pool_submit(p, &jobs[i], false), 0);
    }
    wait_for_work(BLOCKED);
    assert_int_equal(http_pool_threads(p), BLOCKED);
    pthread_mutex_lock(&mu);
    open_gate = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mu);
    wait_for_work(0);
    http_pool_free(&p);
}

struct quick {
    struct http_job job; /* first */
    atomic_int runs;
};

static struct quick quick[SUBMITTERS][QUICK];

static void run_quick(struct http_job *job) {
    atomic_fetch_add(&((struct quick *)job)->runs, 1);
}

struct submitter {
    struct http_pool *pool;
    struct quick *jobs;
};

static void *submit_all(void *arg) {
    struct submitter *s = arg;

    for (int i = 0; i < QUICK; i++) {
        s->jobs[i].job.run = run_quick;
        if (http_pool_submit(s->pool, &s->jobs[i].job, true) != 0)
            abort();
    }
    return NULL;
}

static void every_job_runs_once(void **state) {
    struct http_pool *p = http_pool_new(64);
    struct submitter submitters[SUBMITTERS];
    pthread_t threads[SUBMITTERS];

    (void)state;
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (struct submitter){p, quick[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, submit_all, &submitters[i]),
                         0);
    }
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    http_pool_free(&p); /* waits for the jobs */
    for (int i = 0; i < SUBMITTERS; i++)
        for (int k = 0; k < QUICK; k++)
            assert_int_equal(quick[i][k].runs, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_as_many_threads_as_blocked_jobs),
        cmocka_unit_test(every_job_runs_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
