/*
 * queue.h - tasks: work that was accepted and will be done, whatever dies meanwhile.
 *
 * A task is a document of C_TASKS. queue_put() returning 0 means that it is durable and
 * will be run by some worker; a task runs at least once, one at a time, so a handler must
 * be harmless to repeat (kinds with max_crashes 1 are not run again after a crash). What
 * ended well is deleted. What was given up stays, state "dead", with the last error.
 *
 * A running task has a lease, renewed while its worker lives. A lease that ended makes
 * the task wait again; after max_crashes of those it is dead. Times are those of the
 * clock of deps.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct arena;
struct deps;
struct document;
struct http_router;
struct queue;
struct queue_dispatch;
struct queue_run;
struct status;
struct value;

enum queue_name { QUEUE_INSTANT, QUEUE_QUEUED, QUEUE_COUNT };
/* "instant", "queued". */
const char *queue_name(enum queue_name q);
/* -1 when unknown. */
int queue_from_name(const char *name);

/* ---- Kinds ---- */

enum queue_result {
    QUEUE_DONE,        /* finished */
    QUEUE_FAILED,      /* *st says why: again later while attempts are left, else dead */
    QUEUE_GIVEN_UP,    /* *st says why: dead at once */
    QUEUE_HANDED_BACK, /* not finished, because queue_run_should_stop() said so: another
                          worker goes on with it, the attempt does not count */
};

enum {
    /* The dedup key holds also while the task runs, not only while it waits. */
    QUEUE_KIND_ALONE = 1,
};

/* A row; the table is given to queue_open(). */
struct queue_kind {
    const char *name; /* as stored: never reuse one for other work */
    enum queue_name queue;
    enum queue_result (*run)(struct queue_run *r, struct status *st);
    int max_attempts; /* 0: 1 */
    int backoff_ms;   /* before the 2nd attempt; 4 times as long before each other */
    int max_crashes;  /* 0: 3 */
    int time_limit_s; /* 0: 60 of instant tasks, MAX_QUEUED_TASKS_PROCESS_TIME_SECONDS */
    unsigned flags;
    /* Rows of limits.def, or LIMIT_COUNT: how many of this kind run at once in a
     * workspace (under ENABLE_LIMITS) and on a connection (always). */
    enum config_limit parallel_limit, connection_limit;
    /*
     * The task was given up (task: its document, error: why). Called once where that
     * happens; a process may die just before, so what must not be missed is also swept.
     */
    void (*given_up)(const struct deps *deps, struct arena *a, const struct value *task,
                     const struct value *error);
};

/* What a handler sees. */
struct queue_run {
    const struct deps *deps;
    /* Dies with the run. Its budget is the task's memory: arenas of the handler's own
     * share it (arena_share_budget). */
    struct arena *arena;
    const struct queue_kind *kind;
    const struct value *task; /* the document */
    const struct value *payload;
    const char *id, *workspace_id, *customer_id, *connection_id; /* or NULL */
    int attempt;                                                 /* from 1 */
    int crashes;                  /* workers that died while they ran it */
    int64_t deadline_ms;          /* on the monotonic clock */
    const _Atomic int *cancelled; /* non-zero after queue_cancel() */
    struct queue_slot *slot;      /* private */
};
/* Why a handler shall come to an end now; asked from any of its threads. */
enum queue_stop {
    QUEUE_GO_ON,
    QUEUE_STOP_PROCESS,   /* the process ends: QUEUE_HANDED_BACK */
    QUEUE_STOP_LOST,      /* the lease is lost, somebody else has the task: the same */
    QUEUE_STOP_CANCELLED, /* queue_cancel(): QUEUE_DONE */
    QUEUE_STOP_TIME,      /* over its time: whatever the handler says, it is dead */
    QUEUE_STOP_MEMORY,    /* the same, over MAX_QUEUED_TASKS_MEMORY_MB */
};
enum queue_stop queue_run_stop(const struct queue_run *r);
bool queue_run_should_stop(const struct queue_run *r);
/* Keeps the payload for whoever goes on after a crash or a hand-back. -1 also when the
 * lease was lost (concurrency). */
int queue_run_checkpoint(struct queue_run *r, const struct value *payload,
                         struct status *st);

/* ---- Opening ---- */

struct queue_options {
    const struct deps *deps;        /* borrowed; store, clock, rand, config */
    const struct queue_kind *kinds; /* borrowed */
    size_t kinds_len;
    int lease_ms; /* 0: TASK_LEASE_SECONDS */
    bool shared;  /* other processes work on the same store: look for their tasks */
    /* Bits 1 << queue_name: this process only puts tasks of these, others run them. */
    unsigned elsewhere;
};
struct queue *queue_open(const struct queue_options *o);
/* Workers must have been stopped. */
void queue_close(struct queue **q);

/* ---- Putting ---- */

struct queue_task {
    const char *id;   /* NULL: a new one; else put once only */
    const char *kind; /* a row's name: anything else is a broken promise */
    const char *workspace_id, *customer_id, *connection_id; /* or NULL */
    const struct value *payload;                            /* or NULL */
    const char *dedup_key; /* or NULL: at most one task with this key waits */
    int64_t not_before_ms; /* 0: now */
};
/* 0 accepted, 1 one with the same key waits already, or one with the id exists; -1, of
 * which bad_request/rate_limit_exceeded: too many wait (under ENABLE_LIMITS). */
int queue_put(struct queue *q, const struct queue_task *t, struct status *st);
/* The same for many without dedup keys, in few steps of the store, and without a look at
 * how many wait. -1: some may have been accepted. */
int queue_put_many(struct queue *q, const struct queue_task *tasks, size_t n,
                   struct status *st);
/*
 * Takes a task back: one that waits is deleted, a handler that runs is told to come to an
 * end; in another process that is when the lease is renewed next. 0, or 1 when it does
 * neither.
 */
int queue_cancel(struct queue *q, const char *id, struct status *st);
/* The workspace's own limit, else the process's; 0: none. */
double queue_limit(const struct queue *q, const struct value *workspace,
                   enum config_limit l);
/* How many wait on a connection. */
int queue_count_waiting(struct queue *q, const char *connection_id, const char *kind,
                        uint64_t *ret_count, struct status *st);

/* ---- Working: what workers do, one step each ---- */

/* A task that this process holds. */
struct queue_claim {
    const struct value *task;
    const char *id;
    const char *holder;
    const struct queue_kind *kind;
    int attempt;
};
/* Waits up to wait_ms for a task and claims it for holder (lends). 0, 1 none. */
int queue_reserve(struct queue *q, struct arena *a, enum queue_name name,
                  const char *holder, int wait_ms, struct queue_claim *ret,
                  struct status *st);
/* Each: 0, or 1 when the lease was lost meanwhile and nothing was changed. */
/* ret_cancelled (may be NULL): somebody wants it to end. */
int queue_renew(struct queue *q, const struct queue_claim *c, bool *ret_cancelled,
                struct status *st);
int queue_finish(struct queue *q, const struct queue_claim *c, struct status *st);
/* again: while attempts are left. */
int queue_fail(struct queue *q, const struct queue_claim *c, bool again,
               const struct status *why, struct status *st);
int queue_hand_back(struct queue *q, const struct queue_claim *c, struct status *st);

/*
 * Makes tasks whose lease ended wait again, or dead; offers to the dispatch what waits in
 * the store. since_ms: only what became ready since then; 0: everything. A duty of the
 * orchestrator and of every worker process.
 */
int queue_expire_leases(struct queue *q, uint64_t *ret_count, struct status *st);
/* The same for every running task: of a process that owns the data, when it starts. */
int queue_expire_all(struct queue *q, uint64_t *ret_count, struct status *st);
int queue_offer_waiting(struct queue *q, int64_t since_ms, struct status *st);

/* ---- Workers ---- */

struct queue_workers;
struct queue_workers_options {
    unsigned queues; /* bits 1 << queue_name */
    int threads;     /* for each of them */
    /* For the log; may be NULL. why is empty after QUEUE_DONE. */
    void (*ended)(void *ctx, const struct queue_run *r, enum queue_result result,
                  const struct status *why, int64_t duration_ms);
    /* Something about the store failed; it is tried again. */
    void (*trouble)(void *ctx, const struct status *st);
    void *ctx;
};
struct queue_workers *queue_workers_start(struct queue *q,
                                          const struct queue_workers_options *o);
/* Handlers are told to end; nothing new is taken. */
void queue_workers_stop(struct queue_workers *w);
/* How many run a task now. */
int queue_workers_busy(const struct queue_workers *w);
/*
 * Ends the threads. Tasks that still run are handed back and their threads left alone:
 * then false, and the process must end without closing what they use.
 */
bool queue_workers_join(struct queue_workers **w);

/* ---- Looking and administration ---- */

/* Of the whole system; read from the store at most once per 5 s. */
struct queue_stats {
    double active[QUEUE_COUNT], waiting[QUEUE_COUNT], dead[QUEUE_COUNT];
    double oldest_age_s[QUEUE_COUNT];
    double queued_workers, queued_workers_required;
};
/* -1: not known now. */
int queue_stats_read(struct queue *q, struct queue_stats *ret, struct status *st);
/* Registers the gauges of operations.md 7.3 for the roles (config_service bits). */
void queue_metrics(struct queue *q, unsigned services);
/* Refreshes what the gauges show; before a scrape. */
void queue_metrics_refresh(struct queue *q);

/* A dead task waits again, with all its attempts. 1: there is none. */
int queue_revive(struct queue *q, const char *id, struct status *st);
int queue_purge_dead(struct queue *q, int64_t before_ms, uint64_t *ret_count,
                     struct status *st);
/* A paused queue accepts and does not run. Takes effect within 5 s everywhere. */
int queue_pause(struct queue *q, enum queue_name name, bool paused, struct status *st);

/* GET /pending-tasks, and /admin/queues for administrators of the platform. */
void queue_routes(struct http_router *r);

#endif
