#include "coord.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "coord_priv.h"
#include "value/value.h"

void coord_init(struct coord *c, const struct coord_ops *ops) {
    c->ops = ops;
}

void coord_close(struct coord **cp) {
    if (*cp)
        (*cp)->ops->close(*cp);
    *cp = NULL;
}

/* ---- Locks ---- */

struct coord_lock *coord_lock_new(const char *name) {
    struct coord_lock *l = calloc(1, sizeof(*l));
    unsigned char bytes[16];

    if (!l || !(l->name = strdup(name)))
        abort();
    rand_system()->fill(rand_system(), bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(l->token + 2 * i, 3, "%02x", bytes[i]);
    return l;
}

void coord_lock_free(struct coord_lock *l) {
    if (!l)
        return;
    free(l->name);
    free(l);
}

int coord_lock_timeout(struct arena *a, const char *name, int wait_ms,
                       struct status *st) {
    return st_fail_data(st, ST_CONCURRENCY, "lock_timeout",
                        value_obj(a, "resourceId", value_string(a, name), "timeoutMs",
                                  value_number(a, wait_ms), NULL),
                        "somebody else holds the lock of %s for too long", name);
}

int coord_lock(struct coord *c, struct arena *a, const char *name, int wait_ms,
               struct coord_lock **ret, struct status *st) {
    return c->ops->lock(c, a, name, wait_ms, ret, st);
}

void coord_unlock(struct coord *c, struct coord_lock **l) {
    if (*l)
        c->ops->unlock(c, *l);
    *l = NULL;
}

uint64_t coord_lock_fence(const struct coord_lock *l) {
    return l->fence;
}

bool coord_lock_is_lost(const struct coord_lock *l) {
    return atomic_load(&l->is_lost);
}

/* ---- Counters ---- */

double coord_sliding_sum(double before, double now, int64_t into_ms, int64_t window_ms) {
    return now + before * (double)(window_ms - into_ms) / (double)window_ms;
}

int coord_count(struct coord *c, const char *name, double n, int64_t window_ms,
                int64_t now_ms, double *ret_sum, struct status *st) {
    assert(window_ms > 0);
    return c->ops->count(c, name, n, window_ms, now_ms, ret_sum, st);
}

int coord_count_forget(struct coord *c, const char *name, struct status *st) {
    return c->ops->forget(c, name, st);
}

/* ---- Messages ---- */

void coord_listen(struct coord *c, const char *topic, coord_heard heard, void *ctx) {
    assert(c->listeners_len < COORD_TOPICS_MAX);
    c->listeners[c->listeners_len++] = (struct coord_listener){topic, heard, ctx};
}

void coord_deliver(struct coord *c, const char *topic, const char *key,
                   struct bytes payload) {
    for (size_t i = 0; i < c->listeners_len; i++)
        if (!topic || strcmp(c->listeners[i].topic, topic) == 0)
            c->listeners[i].heard(c->listeners[i].ctx, key, payload);
}

int coord_publish(struct coord *c, const char *topic, const char *key,
                  struct bytes payload, int64_t keep_ms, struct status *st) {
    return c->ops->publish(c, topic, key, payload, keep_ms, st);
}

int coord_recall(struct coord *c, struct arena *a, const char *topic, const char *key,
                 const struct bytes **ret, size_t *ret_len, struct status *st) {
    *ret = NULL;
    *ret_len = 0;
    return c->ops->recall ? c->ops->recall(c, a, topic, key, ret, ret_len, st) : 0;
}
