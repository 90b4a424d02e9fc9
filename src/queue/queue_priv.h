/*
 * queue_priv.h - shared by the files of queue/.
 */
#ifndef QUEUE_QUEUE_PRIV_H
#define QUEUE_QUEUE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "deps/deps.h"
#include "dispatch.h"
#include "queue.h"

struct metric;

struct queue {
    const struct deps *deps;
    const struct queue_kind *kinds;
    size_t kinds_len;
    int lease_ms;
    bool shared;
    unsigned elsewhere;
    /* Of this process, where they run; guarded by: workers_mu */
    struct queue_workers *workers;
    pthread_mutex_t workers_mu;
    struct queue_dispatch *dispatch;
    const char *process; /* names this process in leases */
    struct arena *arena; /* lives as long as the queue */
    atomic_bool paused[QUEUE_COUNT];
    pthread_mutex_t stats_mu;
    struct queue_stats stats; /* guarded by: stats_mu */
    bool stats_good;          /* guarded by: stats_mu */
    int64_t stats_at_ms;      /* guarded by: stats_mu; monotonic */
    unsigned metrics_services;
    struct metric *processed, *duration;
    atomic_int busy[QUEUE_COUNT]; /* tasks that run in this process */
};

/* NULL when the table has no such row. */
const struct queue_kind *queue_kind_find(const struct queue *q, const char *name);
/* 0 when the document is of a kind we know. Lends from the document. */
int queue_dispatch_task(const struct queue *q, const struct value *doc,
                        struct dispatch_task *ret);
void queue_limits(void *queue, const char *workspace_id, unsigned queue_of_task,
                  unsigned kind, struct dispatch_limits *ret);
/* Tells the handler that runs the task here. False: none does. */
bool queue_workers_cancel(struct queue_workers *w, const char *id);
/* Tells the dispatch what other processes run. */
int queue_look_around(struct queue *q, struct status *st);
/* Reads whether the queues are paused. */
int queue_read_paused(struct queue *q, struct status *st);

enum {
    QUEUE_WORKER_ALIVE_MS = 30000,
    QUEUE_WORKER_BEAT_MS = 10000,
    QUEUE_LIMITS_AGE_MS = 1000, /* how long a shared dispatch trusts them */
};

#endif
