/*
 * node_operation.c - an operation of the connector: {operationKey, inputMapping?}.
 */
#include "flow/flow_node.h"

flow_node_fn node_operation;

int node_operation(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "connector-operation", st);
}
