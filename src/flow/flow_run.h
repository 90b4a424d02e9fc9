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

#include <stdatomic.h>

struct arena;
struct caller;
struct deps;
struct http_router;
struct status;
struct value;

enum {
    FLOW_RUN_LIMIT_MS = 50 * 60 * 1000,
    FLOW_RUN_MAX_NODE_RUNS = 200000,
    FLOW_RUN_MAX_WAITING = 10000, /* per connection */
    FLOW_RUN_MAX_DEPTH = 10,      /* for-each within for-each */
};

/* Why a run that is under way shall end. */
enum flow_run_cancel {
    FLOW_RUN_GO_ON,
    FLOW_RUN_STOP,    /* somebody stopped it: its document says so already */
    FLOW_RUN_ABANDON, /* the process ends: it stays as it is and is taken up again */
};

struct flow_run_request {
    const struct value *instance; /* document of a flow on a connection */
    const char *node_key;         /* NULL: the api-trigger, else the only root */
    const struct value *input, *meta;
};

/*
 * Stores a queued run and hands it to deps->flow_runner. bad_request when it can't be
 * started, bad_request/rate_limit_exceeded when too many wait on the connection.
 */
int flow_run_start(const struct deps *deps, struct arena *a, const struct caller *caller,
                   const struct flow_run_request *rq, const struct value **ret_run,
                   struct status *st);
/*
 * Executes a queued or interrupted run to its end, in this thread. Its failure is its
 * state. 1: it had ended, or was abandoned. -1: the store failed, the run is as it was.
 */
int flow_run_execute(const struct deps *deps, const char *run_id,
                     const _Atomic int *cancel, struct status *st);
/* Ends a queued or running run as stopped; ended runs stay as they are. */
int flow_run_stop(const struct deps *deps, struct arena *a, const struct value *run,
                  struct status *st);

void flow_run_routes(struct http_router *r);

#endif
