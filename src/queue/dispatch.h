/*
 * dispatch.h - which task is next: a hint that may be lost at any time.
 *
 * The store holds the tasks; a dispatch holds their names in a fair order: one turn per
 * workspace, within it one per customer, within that one per connection, first come first
 * served on a connection. Whose turn is first is the backend's own. A turn is passed over
 * while its limit is reached. Whoever took
 * a name must still claim the task in the store.
 *
 * Threads: all functions may be called from all threads at once.
 */
#ifndef QUEUE_DISPATCH_H
#define QUEUE_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct clock;
struct queue_dispatch;
struct redis;

enum { QUEUE_COUNT_MAX = 2 };

/* Texts are copied; NULL customer or connection: none. */
struct dispatch_task {
    const char *id;
    unsigned queue; /* below QUEUE_COUNT_MAX */
    unsigned kind;
    const char *workspace_id, *customer_id, *connection_id;
    int64_t not_before_ms;
    int64_t order_ms; /* on its connection: smaller ones first, equal ones as they came */
};

/* How many may run at once; 0: any number. */
struct dispatch_limits {
    bool paused;                /* none at all */
    double workspace, customer; /* of the queue's tasks */
    double kind;                /* of this kind in the workspace */
    double connection;          /* of this kind on one connection */
};

struct dispatch_ops {
    /* What one process offers, all see: nobody need look for it in the store. */
    bool is_shared;
    /* A task waits. One that is known is left as it is. */
    void (*offer)(struct queue_dispatch *d, const struct dispatch_task *t);
    /* As offer, n of them; n is at most some hundreds. */
    void (*offer_many)(struct queue_dispatch *d, const struct dispatch_task *t, size_t n);
    /*
     * Is it time to offer again all that waits in the store? One process in period_ms is
     * told so, and one at once after the dispatch has lost something. NULL: whoever asks
     * keeps the time itself.
     */
    bool (*is_sweep_due)(struct queue_dispatch *d, int period_ms);
    /*
     * The next task's id, which counts as running until it is released. 0, or 1 when
     * nothing may run within wait_ms of real time, or after wake().
     */
    int (*take)(struct queue_dispatch *d, struct arena *a, unsigned queue, int wait_ms,
                const char **ret_id);
    /* The task neither waits nor runs any more. */
    void (*release)(struct queue_dispatch *d, const char *id);
    /* What other processes run now: replaces what was said before. */
    void (*set_foreign)(struct queue_dispatch *d, const struct dispatch_task *tasks,
                        size_t n);
    /* Ends the waits of now. */
    void (*wake)(struct queue_dispatch *d);
    size_t (*waiting)(struct queue_dispatch *d, unsigned queue);
    void (*free)(struct queue_dispatch **d);
};

struct queue_dispatch {
    const struct dispatch_ops *ops;
};

/*
 * In this process. limits: asked when a task might run, with the dispatch locked: it must
 * be quick and must not call back.
 */
struct queue_dispatch *
queue_dispatch_memory(struct clock *clock,
                      void (*limits)(void *ctx, const char *workspace_id, unsigned queue,
                                     unsigned kind, struct dispatch_limits *ret),
                      void *ctx);

/*
 * In Redis, shared by all processes that use it. limits is asked by one of them and kept
 * for limits_age_ms for all. Without Redis nothing is given and offers are lost: then a
 * sweep is due when it is back. r must outlive it.
 */
struct queue_dispatch *
queue_dispatch_redis(struct redis *r, struct clock *clock, int limits_age_ms,
                     void (*limits)(void *ctx, const char *workspace_id, unsigned queue,
                                    unsigned kind, struct dispatch_limits *ret),
                     void *ctx);

#endif
