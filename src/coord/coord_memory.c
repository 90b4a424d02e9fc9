/*
 * coord_memory.c - locks, counters and messages of one process.
 *
 * Held locks stand in a list: at any moment they are few. Counters stand in a table of
 * chains from which what is two windows old is dropped when it has grown.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/status.h"
#include "coord_priv.h"

enum { CHAINS = 4096, SWEEP_AT = 100000 };

struct counter {
    struct counter *next;
    int64_t window_ms, since_ms; /* of the present window */
    double before, now;
    char name[];
};

struct memory {
    struct coord base;
    pthread_mutex_t mu;
    pthread_cond_t released;
    struct coord_lock *held; /* all below guarded by: mu */
    uint64_t fence;
    struct counter *chains[CHAINS];
    size_t counters;
};

static struct memory *memory_of(struct coord *c) {
    return (struct memory *)c;
}

/* ---- Locks ---- */

static bool is_held(const struct memory *m, const char *name) {
    for (const struct coord_lock *l = m->held; l; l = l->next)
        if (strcmp(l->name, name) == 0)
            return true;
    return false;
}

static int memory_lock(struct coord *c, struct arena *a, const char *name, int wait_ms,
                       struct coord_lock **ret, struct status *st) {
    struct memory *m = memory_of(c);
    struct timespec until;
    struct coord_lock *l;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&m->mu);
    while (is_held(m, name) && rc == 0)
        rc = pthread_cond_timedwait(&m->released, &m->mu, &until);
    if (is_held(m, name)) {
        pthread_mutex_unlock(&m->mu);
        return coord_lock_timeout(a, name, wait_ms, st);
    }
    l = coord_lock_new(name);
    l->fence = ++m->fence;
    l->next = m->held;
    m->held = l;
    pthread_mutex_unlock(&m->mu);
    *ret = l;
    return 0;
}

static void memory_unlock(struct coord *c, struct coord_lock *l) {
    struct memory *m = memory_of(c);
    struct coord_lock **p;

    pthread_mutex_lock(&m->mu);
    for (p = &m->held; *p != l; p = &(*p)->next)
        ;
    *p = l->next;
    pthread_cond_broadcast(&m->released);
    pthread_mutex_unlock(&m->mu);
    coord_lock_free(l);
}

/* ---- Counters ---- */

static struct counter **find(struct memory *m, const char *name) {
    uint32_t h = 2166136261u;
    struct counter **p;

    for (const char *s = name; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    for (p = &m->chains[h % CHAINS]; *p && strcmp((*p)->name, name) != 0;)
        p = &(*p)->next;
    return p;
}

static void drop(struct memory *m, struct counter **p) {
    struct counter *k = *p;

    *p = k->next;
    free(k);
    m->counters--;
}

static void sweep(struct memory *m, int64_t now_ms) {
    for (size_t i = 0; i < CHAINS; i++)
        for (struct counter **p = &m->chains[i]; *p;)
            if (now_ms - (*p)->since_ms >= 2 * (*p)->window_ms)
                drop(m, p);
            else
                p = &(*p)->next;
}

static int memory_count(struct coord *c, const char *name, double n, int64_t window_ms,
                        int64_t now_ms, double *ret_sum, struct status *st) {
    struct memory *m = memory_of(c);
    int64_t since = now_ms - now_ms % window_ms;
    struct counter **p, *k;

    (void)st;
    pthread_mutex_lock(&m->mu);
    p = find(m, name);
    if (!*p) {
        if (m->counters >= SWEEP_AT && m->counters % 1000 == 0) {
            sweep(m, now_ms);
            p = find(m, name);
        }
        *p = k = calloc(1, sizeof(*k) + strlen(name) + 1);
        if (!k)
            abort();
        strcpy(k->name, name);
        k->since_ms = since;
        m->counters++;
    }
    k = *p;
    k->window_ms = window_ms;
    if (k->since_ms != since) {
        k->before = k->since_ms == since - window_ms ? k->now : 0;
        k->now = 0;
        k->since_ms = since;
    }
    k->now += n;
    *ret_sum = coord_sliding_sum(k->before, k->now, now_ms - since, window_ms);
    pthread_mutex_unlock(&m->mu);
    return 0;
}

static int memory_forget(struct coord *c, const char *name, struct status *st) {
    struct memory *m = memory_of(c);
    struct counter **p;

    (void)st;
    pthread_mutex_lock(&m->mu);
    p = find(m, name);
    if (*p)
        drop(m, p);
    pthread_mutex_unlock(&m->mu);
    return 0;
}

/* ---- Messages, life ---- */

static int memory_publish(struct coord *c, const char *topic, const char *key,
                          struct bytes payload, int64_t keep_ms, struct status *st) {
    (void)keep_ms, (void)st;
    coord_deliver(c, topic, key, payload);
    return 0;
}

static void memory_close(struct coord *c) {
    struct memory *m = memory_of(c);

    for (size_t i = 0; i < CHAINS; i++)
        while (m->chains[i])
            drop(m, &m->chains[i]);
    pthread_cond_destroy(&m->released);
    pthread_mutex_destroy(&m->mu);
    free(m);
}

static const struct coord_ops memory_ops = {
    .lock = memory_lock,
    .unlock = memory_unlock,
    .count = memory_count,
    .forget = memory_forget,
    .publish = memory_publish,
    .close = memory_close,
};

struct coord *coord_open_memory(void) {
    struct memory *m = calloc(1, sizeof(*m));
    pthread_condattr_t attr;

    if (!m)
        abort();
    coord_init(&m->base, &memory_ops);
    pthread_mutex_init(&m->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->released, &attr);
    pthread_condattr_destroy(&attr);
    return &m->base;
}
