/*
 * flow_run.h - runs of flows (engine.md 13).
 *
 * A run is a document of C_FLOW_RUNS with the nodes as they were when it was started;
 * each finished node run is a document of C_FLOW_NODE_RUNS, written before anything that
 * follows from it. Executing a run whose process died walks the same way again and takes
 * over what is recorded, so it goes on behind the last finished node run. A node run with
 * effects elsewhere leaves a mark before it starts: one that was cut off is repeated
 * once, never twice.
 */
#ifndef FLOW_FLOW_RUN_H
#define FLOW_FLOW_RUN_H

#include <stdint.h>

#include <stdbool.h>

struct arena;
struct caller;
struct deps;
struct http_router;
struct status;
struct value;

enum {
    FLOW_RUN_MAX_NODE_RUNS = 200000,
    FLOW_RUN_MAX_DEPTH = 10, /* for-each within for-each */
};

/* Why a run that is under way shall end. */
enum flow_run_cancel {
    FLOW_RUN_GO_ON,
    FLOW_RUN_STOP,        /* somebody stopped it: its document says so already */
    FLOW_RUN_ABANDON,     /* the process ends: it stays as it is and is taken up again */
    FLOW_RUN_OVER_TIME,   /* it fails */
    FLOW_RUN_OVER_MEMORY, /* it fails */
    FLOW_RUN_OVER_SIZE,   /* it has too many node runs, and fails */
};

/* What executing a run depends on. */
struct flow_run_control {
    /* Asked before each node run, by several threads at once. */
    enum flow_run_cancel (*ask)(void *ctx);
    void *ctx;
    const _Atomic int *cancelled; /* non-zero ends what a node run waits for; or NULL */
    int64_t deadline_ms;          /* monotonic: for what node runs wait for */
    int64_t time_limit_s;         /* as the error says it */
    const struct arena *memory;   /* the run's arenas share its budget */
};

struct flow_run_request {
    const struct value *instance; /* document of a flow on a connection */
    const char *node_key;         /* NULL: the api-trigger, else the only root */
    const struct value *input, *meta;
    /* {flowRunId, nodeRunId?} when it repeats what is recorded; or NULL. */
    const struct value *replay_of;
    /* It begins at a node in the middle: input is what that node's formulas see. */
    bool starts_inside;
    const char *id;          /* NULL: a new one */
    const char *launched_by; /* NULL: "api-trigger" */
};
/* The document of a queued run, not stored. Fails as flow_run_start(). */
int flow_run_make(const struct deps *deps, struct arena *a, const struct caller *caller,
                  const struct flow_run_request *rq, const struct value **ret_run,
                  struct status *st);

/*
 * Stores a queued run and puts the task that executes it. bad_request when it can't be
 * started, bad_request/rate_limit_exceeded when too many wait on the connection.
 */
int flow_run_start(const struct deps *deps, struct arena *a, const struct caller *caller,
                   const struct flow_run_request *rq, const struct value **ret_run,
                   struct status *st);
/*
 * Executes a queued or interrupted run to its end, in this thread. Its failure is its
 * state. 1: it was abandoned. -1: the store failed, the run is as it was.
 */
int flow_run_execute(const struct deps *deps, const char *run_id,
                     const struct flow_run_control *control, struct status *st);
/* Ends a queued or running run as failed, with the error and the mark `gaveUp`; ended
 * runs stay as they are. */
int flow_run_fail(const struct deps *deps, struct arena *a, const char *run_id,
                  const struct value *error, struct status *st);
/* Ends a queued or running run as stopped; ended runs stay as they are. */
int flow_run_stop(const struct deps *deps, struct arena *a, const struct value *run,
                  struct status *st);

void flow_run_routes(struct http_router *r);

#endif
