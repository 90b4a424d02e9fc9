/*
 * flow_node.h - what one run of one node is, for the functions that do it.
 *
 * A type is a row of node/nodes.def and one function of node/: it reads its config,
 * builds what it needs of the variables, and emits outputs. What is around it (filters of
 * links, records, counting, stopping) is the same for all (flow_run.c).
 */
#ifndef FLOW_FLOW_NODE_H
#define FLOW_FLOW_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "value/value.h"

struct arena;
struct caller;
struct deps;
struct status;

struct flow_node_call {
    const struct deps *deps;
    struct arena *arena;
    const struct caller *caller;
    const struct value *connection; /* document, or NULL */
    const struct value *user;       /* customer document, or NULL */
    const struct value *config;     /* as written, the customer's values on top */
    const struct value *input;      /* of a trigger: what the run was started with */
    const struct value *variables;  /* what formulas see */
    int64_t deadline_ms;            /* monotonic */
    const _Atomic int *cancel;      /* non-zero: the run was stopped; or NULL */
    struct array_builder outputs;
    const struct value *logs; /* array of log entries */
};

/* NULL for a for-each with a sub-flow, which flow_run.c does itself. */
typedef int flow_node_fn(struct flow_node_call *c, struct status *st);

struct flow_node_type {
    const char *name;
    flow_node_fn *run;
    bool has_effects; /* outside of this server: a cut off run is repeated once only */
};

/*
 * The type of a node ({type, version?}). NULL with a configuration error that names it
 * when this server doesn't run it.
 */
const struct flow_node_type *flow_node_type(const struct value *node, struct status *st);

/* One output; undefined is emitted as null. */
void flow_node_emit(struct flow_node_call *c, const struct value *output);
/* A value of the config with its formulas evaluated. */
int flow_node_build(struct flow_node_call *c, const struct value *v,
                    const struct value **ret, struct status *st);
/* Does what an action of the type does, and emits its output. */
int flow_node_step(struct flow_node_call *c, const char *action_type, struct status *st);
/* The same with a config of one's own, for what needs several steps or another output. */
int flow_node_run_step(struct flow_node_call *c, const char *action_type,
                       const struct value *config, const struct value **ret_output,
                       struct status *st);
/* Of the flow whose node runs; or NULL. */
const char *flow_node_instance_key(const struct flow_node_call *c);
/*
 * Does data pass a filter (of a link, of a filter node)? Absent: yes. An array is the
 * list of conditions, anything else a formula: null and undefined count as true.
 */
int flow_filter_passes(struct arena *a, const struct value *filter,
                       const struct value *variables, bool *ret_passes,
                       struct status *st);

#endif
