/*
 * connection_locks.c - a few named locks, waited for with a time limit.
 *
 * Held ids stand in a list under one mutex: at any moment only the connections that are
 * being refreshed right now are in it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/status.h"
#include "connection.h"
#include "value/value.h"

struct held {
    struct held *next;
    char *id;
};

struct connection_locks {
    pthread_mutex_t mu;
    pthread_cond_t released;
    struct held *held; /* guarded by: mu */
};

struct connection_locks *connection_locks_new(void) {
    struct connection_locks *l = calloc(1, sizeof(*l));
    pthread_condattr_t attr;

    if (!l)
        abort();
    pthread_mutex_init(&l->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->released, &attr);
    pthread_condattr_destroy(&attr);
    return l;
}

void connection_locks_free(struct connection_locks **lp) {
    struct connection_locks *l = *lp;

    if (!l)
        return;
    pthread_cond_destroy(&l->released);
    pthread_mutex_destroy(&l->mu);
    free(l);
    *lp = NULL;
}

static bool is_held(const struct connection_locks *l, const char *id) {
    for (const struct held *h = l->held; h; h = h->next)
        if (strcmp(h->id, id) == 0)
            return true;
    return false;
}

int connection_lock(struct connection_locks *l, struct arena *a, const char *id,
                    int wait_ms, struct status *st) {
    struct timespec until;
    struct held *h;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&l->mu);
    while (is_held(l, id) && rc == 0)
        rc = pthread_cond_timedwait(&l->released, &l->mu, &until);
    if (is_held(l, id)) {
        pthread_mutex_unlock(&l->mu);
        return st_fail_data(
            st, ST_CONCURRENCY, "lock_timeout",
            value_obj(a, "resourceId", value_string(a, id), "timeoutMs",
                      value_number(a, wait_ms), NULL),
            "another refresh of the connection's credentials takes too long");
    }
    h = malloc(sizeof(*h));
    if (!h || !(h->id = strdup(id)))
        abort();
    h->next = l->held;
    l->held = h;
    pthread_mutex_unlock(&l->mu);
    return 0;
}

void connection_unlock(struct connection_locks *l, const char *id) {
    pthread_mutex_lock(&l->mu);
    for (struct held **p = &l->held; *p; p = &(*p)->next)
        if (strcmp((*p)->id, id) == 0) {
            struct held *h = *p;

            *p = h->next;
            free(h->id);
            free(h);
            break;
        }
    pthread_cond_broadcast(&l->released);
    pthread_mutex_unlock(&l->mu);
}
