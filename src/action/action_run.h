/*
 * action_run.h - running an action now, for a caller who waits (engine.md 12).
 */
#ifndef ACTION_ACTION_RUN_H
#define ACTION_ACTION_RUN_H

#include <stdint.h>

struct arena;
struct caller;
struct deps;
struct http_router;
struct model_selector;
struct status;
struct value;

enum { ACTION_RUN_LIMIT_MS = 50000 };

/* What to run. Exactly one of selector, api, code. */
struct action_run_request {
    const struct model_selector
        *selector; /* an action, and the connection to run it on */
    const struct value
        *api;         /* {method, path, body?, headers?, query?} on the connection */
    const char *code; /* javascript, no connection needed */
    const struct model_selector *connection; /* for api and code; may name nothing */
    const struct value *input, *meta;
    int64_t deadline_ms; /* monotonic; 0: ACTION_RUN_LIMIT_MS from now */
};

struct action_run_result {
    const struct value *output; /* undefined: none */
    const char *run_id;         /* of the log record; NULL when nothing was begun */
};

/*
 * Runs it and writes the run's log record. -1: bad_request when the request itself is
 * wrong (run_id NULL), action_run with the failure as its cause otherwise (run_id set).
 */
int action_run(const struct deps *deps, struct arena *a, const struct caller *caller,
               const struct action_run_request *rq, struct action_run_result *ret,
               struct status *st);

/* What an action's type does, without an action around it: nodes of flows. */
struct action_step {
    const char *type; /* a type of actions */
    const struct caller *caller;
    const struct value *connection; /* document, or NULL */
    const struct value *user;       /* customer document, or NULL */
    const struct value *config, *input;
    const struct value *variables; /* what formulas in config see */
    const char *instance_key;      /* of data sources and mappings; or NULL */
    int64_t deadline_ms;           /* monotonic */
    const _Atomic int *cancel;     /* non-zero: give up; or NULL */
};

/*
 * Does it, waiting where the app asks for it, and leaves no record but those of the calls
 * made. ret_logs (also set on failure): entries of the calls. -1: the failure itself;
 * configuration when there is no such type.
 */
int action_run_step(const struct deps *deps, struct arena *a,
                    const struct action_step *step, const struct value **ret_output,
                    const struct value **ret_logs, struct status *st);

/* run, /act and the run logs. */
void action_run_routes(struct http_router *r);

#endif
