/*
 * node_transform_data.c - builds a value: {output}.
 */
#include "flow/flow_node.h"

flow_node_fn node_transform_data;

int node_transform_data(struct flow_node_call *c, struct status *st) {
    const struct value *output;

    if (flow_node_build(c, value_get(c->config, "output"), &output, st) < 0)
        return -1;
    flow_node_emit(c, output);
    return 0;
}
