/*
 * node_run_javascript.c - code of the flow's author: {code}.
 */
#include "flow/flow_node.h"

flow_node_fn node_run_javascript;

int node_run_javascript(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "run-javascript", st);
}
