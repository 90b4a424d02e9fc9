/*
 * http_pool.c - a pool that grows by need and wakes the most recently idle thread.
 *
 * Most handlers take microseconds, some wait seconds for an external app, and nobody
 * knows beforehand which. So a job that finds no idle thread waits; when it has waited
 * GROW_AFTER_US the grower makes a thread for it. Quick handlers thus share few warm
 * threads, slow ones get as many as they block. Idle threads form a stack: the ones at
 * its bottom sleep undisturbed until IDLE_MS is over, and end.
 *
 * A thread sleeps on a futex word of its own, told outside of the lock: with a condition
 * variable it would wake into the mutex that its waker still holds, and sleep again.
 *
 * Stacks are only address space until touched; STACK_BYTES leaves room for the deepest
 * recursion that the value and formula bounds allow.
 */
#include "http_pool.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES ((size_t)2 * 1024 * 1024)
#else
#define STACK_BYTES ((size_t)512 * 1024)
#endif

enum { MIN_THREADS = 4, FEW_THREADS = 64, GROW_AFTER_US = 1000, IDLE_MS = 10000 };

struct worker {
    struct http_job *job;  /* handed over while idle; NULL: end */
    _Atomic uint32_t told; /* the futex word: job is set */
    struct worker *below;  /* next in the stack of idle ones; guarded by: pool */
};

struct http_pool {
    pthread_mutex_t mu; /* guards everything below */
    pthread_cond_t grow, ended;
    pthread_condattr_t monotonic;
    pthread_attr_t thread_attr;
    pthread_t grower;
    struct worker *idle;
    struct http_job *first, *last; /* waiting for a thread */
    unsigned threads, jobs, max_jobs;
    unsigned starting; /* of threads: have not come for a job yet */
    bool grew;         /* beyond FEW_THREADS since memory was last given back */
    bool growing;      /* the grower watches the queue */
    bool stop;
};

static int64_t now_us(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static struct timespec after_us(int64_t us) {
    int64_t at = now_us() + us;

    return (struct timespec){.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};
}

static struct http_job *take_queued(struct http_pool *p) {
    struct http_job *job = p->first;

    if (job) {
        p->first = job->next;
        if (!p->first)
            p->last = NULL;
    }
    return job;
}

/* Whether it was among the idle ones. */
static bool leave_idle(struct http_pool *p, struct worker *w) {
    struct worker **at = &p->idle;

    while (*at && *at != w)
        at = &(*at)->below;
    if (!*at)
        return false;
    *at = w->below;
    return true;
}

/* The worker may be gone as soon as `told` is set: a wake-up of strangers is harmless. */
static void tell(struct worker *w, struct http_job *job) {
    w->job = job;
    atomic_store_explicit(&w->told, 1, memory_order_release);
    syscall(SYS_futex, &w->told, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* False: nobody told it anything for timeout_ms. */
static bool wait_until_told(struct worker *w, int timeout_ms) {
    struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    long rc = 0;

    while (!atomic_load_explicit(&w->told, memory_order_acquire)) {
        if (rc < 0 && errno == ETIMEDOUT)
            return false;
        rc = syscall(SYS_futex, &w->told, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0);
    }
    return true;
}

/* What thousands of parked jobs held stays with the allocator unless it is asked. */
static void give_memory_back(struct http_pool *p) {
    p->grew = false;
    pthread_mutex_unlock(&p->mu);
    malloc_trim(0);
    pthread_mutex_lock(&p->mu);
}

/* Takes the lock: the last that this thread does with the pool. */
static struct http_job *end(struct http_pool *p) {
    if (p->grew && p->threads <= MIN_THREADS + 1)
        give_memory_back(p);
    p->threads--;
    pthread_cond_signal(&p->ended);
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

/* Takes the lock. The next job, or NULL when this thread shall end. */
static struct http_job *next_job(struct http_pool *p, struct worker *w) {
    struct http_job *job = take_queued(p);

    if (!job && p->stop)
        return end(p);
    if (job) {
        pthread_mutex_unlock(&p->mu);
        return job;
    }
    atomic_store_explicit(&w->told, 0, memory_order_relaxed);
    w->below = p->idle;
    p->idle = w;
    pthread_mutex_unlock(&p->mu);
    while (!wait_until_told(w, IDLE_MS)) {
        pthread_mutex_lock(&p->mu);
        if (p->threads > MIN_THREADS && leave_idle(p, w))
            return end(p);
        pthread_mutex_unlock(&p->mu);
    }
    if (w->job)
        return w->job;
    pthread_mutex_lock(&p->mu);
    return end(p);
}

static void *work(void *arg) {
    struct http_pool *p = arg;
    struct worker w = {0};
    struct http_job *job;

    pthread_mutex_lock(&p->mu);
    p->starting--;
    while ((job = next_job(p, &w))) {
        job->run(job);
        pthread_mutex_lock(&p->mu);
        p->jobs--;
    }
    return NULL;
}

static int spawn(struct http_pool *p) {
    pthread_t thread;

    if (pthread_create(&thread, &p->thread_attr, work, p) != 0)
        return -1;
    p->threads++;
    p->starting++;
    p->grew |= p->threads > FEW_THREADS;
    return 0;
}

/*
 * Since Linux 6.16 a process has a futex table of its own, sized by the processors: with
 * thousands of parked threads each wake-up walks hundreds of strangers. Older kernels
 * refuse the call and have a larger table. It takes the kernel up to 30 ms, so a pool
 * that stays small never asks.
 */
static void widen_futex_table(unsigned threads) {
    enum { FUTEX_HASH = 78, SET_SLOTS = 1 }; /* PR_FUTEX_HASH of newer headers */
    unsigned long slots = 16;

    while (slots < threads && slots < 8192)
        slots *= 2;
    (void)prctl(FUTEX_HASH, SET_SLOTS, slots, 0, 0);
}

static void *grow(void *arg) {
    struct http_pool *p = arg;
    bool wide = false;

    pthread_mutex_lock(&p->mu);
    while (!p->stop) {
        struct timespec until;
        int64_t old;
        unsigned due = 0;

        if (!wide && p->threads > FEW_THREADS) {
            wide = true;
            pthread_mutex_unlock(&p->mu);
            widen_futex_table(p->max_jobs);
            pthread_mutex_lock(&p->mu);
            continue; /* the pool may have been stopped meanwhile */
        }

        p->growing = p->first != NULL;
        if (!p->growing) {
            pthread_cond_wait(&p->grow, &p->mu);
            continue;
        }
        until = after_us(GROW_AFTER_US);
        while (!p->stop && pthread_cond_timedwait(&p->grow, &p->mu, &until) == 0)
            ;
        old = now_us() - GROW_AFTER_US;
        for (struct http_job *job = p->first; job && job->queued_us <= old;
             job = job->next)
            due++;
        while (p->starting < due && p->threads < p->max_jobs && spawn(p) == 0)
            ;
    }
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

struct http_pool *http_pool_new(unsigned max_jobs) {
    struct http_pool *p = calloc(1, sizeof(*p));

    assert(p && max_jobs > 0);
    p->max_jobs = max_jobs;
    pthread_mutex_init(&p->mu, NULL);
    pthread_condattr_init(&p->monotonic);
    pthread_condattr_setclock(&p->monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->grow, &p->monotonic);
    pthread_cond_init(&p->ended, &p->monotonic);
    pthread_attr_init(&p->thread_attr);
    pthread_attr_setstacksize(&p->thread_attr, STACK_BYTES);
    if (pthread_create(&p->grower, &p->thread_attr, grow, p) != 0) {
        free(p);
        return NULL;
    }
    pthread_attr_setdetachstate(&p->thread_attr, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&p->mu);
    for (unsigned i = 0; i < MIN_THREADS && i < max_jobs; i++)
        spawn(p);
    pthread_mutex_unlock(&p->mu);
    if (p->threads == 0)
        http_pool_free(&p);
    return p;
}

int http_pool_submit(struct http_pool *p, struct http_job *job, bool must) {
    struct worker *w;

    pthread_mutex_lock(&p->mu);
    if (p->jobs >= p->max_jobs && !must) {
        pthread_mutex_unlock(&p->mu);
        return 1;
    }
    p->jobs++;
    job->next = NULL;
    if ((w = p->idle)) {
        p->idle = w->below;
    } else {
        job->queued_us = now_us();
        if (p->last)
            p->last->next = job;
        else
            p->first = job;
        p->last = job;
        if (!p->growing) {
            p->growing = true;
            pthread_cond_signal(&p->grow);
        }
    }
    pthread_mutex_unlock(&p->mu);
    if (w)
        tell(w, job);
    return 0;
}

unsigned http_pool_threads(struct http_pool *p) {
    unsigned n;

    pthread_mutex_lock(&p->mu);
    n = p->threads;
    pthread_mutex_unlock(&p->mu);
    return n;
}

void http_pool_free(struct http_pool **pp) {
    struct http_pool *p = *pp;

    if (!p)
        return;
    pthread_mutex_lock(&p->mu);
    p->stop = true;
    while (p->idle) {
        struct worker *w = p->idle;

        p->idle = w->below;
        tell(w, NULL);
    }
    pthread_cond_signal(&p->grow);
    while (p->threads > 0)
        pthread_cond_wait(&p->ended, &p->mu);
    pthread_mutex_unlock(&p->mu);
    pthread_join(p->grower, NULL);
    pthread_cond_destroy(&p->grow);
    pthread_cond_destroy(&p->ended);
    pthread_condattr_destroy(&p->monotonic);
    pthread_attr_destroy(&p->thread_attr);
    pthread_mutex_destroy(&p->mu);
    free(p);
    *pp = NULL;
}
