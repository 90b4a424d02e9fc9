/*
 * node_filter.c - goes on with its input, or ends the branch: {filter}.
 */
#include "flow/flow_node.h"

flow_node_fn node_filter;

int node_filter(struct flow_node_call *c, struct status *st) {
    bool passes;

    if (flow_filter_passes(c->arena, value_get(c->config, "filter"), c->variables,
                           &passes, st) < 0)
        return -1;
    if (passes)
        flow_node_emit(c, c->input);
    return 0;
}
