/*
 * coord_priv.h - a backend of coord.h is a table of functions.
 */
#ifndef COORD_COORD_PRIV_H
#define COORD_COORD_PRIV_H

#include <stdatomic.h>

#include "coord.h"

struct coord_lock {
    struct coord_lock *next; /* among those that this process holds */
    char *name;
    char token[40]; /* tells this holding from every other */
    uint64_t fence;
    atomic_bool is_lost;
};

struct coord_ops {
    int (*lock)(struct coord *c, struct arena *a, const char *name, int wait_ms,
                struct coord_lock **ret, struct status *st);
    void (*unlock)(struct coord *c, struct coord_lock *l);
    int (*count)(struct coord *c, const char *name, double n, int64_t window_ms,
                 int64_t now_ms, double *ret_sum, struct status *st);
    int (*forget)(struct coord *c, const char *name, struct status *st);
    int (*publish)(struct coord *c, const char *topic, const char *key,
                   struct bytes payload, int64_t keep_ms, struct status *st);
    int (*recall)(struct coord *c, struct arena *a, const char *topic, const char *key,
                  const struct bytes **ret, size_t *ret_len, struct status *st);
    void (*close)(struct coord *c);
};

enum { COORD_TOPICS_MAX = 8 };

struct coord {
    const struct coord_ops *ops;
    /* before the first message: read only from then on */
    struct coord_listener {
        const char *topic;
        coord_heard heard;
        void *ctx;
    } listeners[COORD_TOPICS_MAX];
    size_t listeners_len;
};

void coord_init(struct coord *c, const struct coord_ops *ops);
struct coord_lock *coord_lock_new(const char *name);
void coord_lock_free(struct coord_lock *l);
int coord_lock_timeout(struct arena *a, const char *name, int wait_ms, struct status *st);
/* To the listener of the topic, if there is one. */
void coord_deliver(struct coord *c, const char *topic, const char *key,
                   struct bytes payload);
/* The sum of a sliding window: that of the window before counts by its share. */
double coord_sliding_sum(double before, double now, int64_t into_ms, int64_t window_ms);

#endif
