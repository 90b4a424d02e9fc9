/*
 * node_for_each.c - the first form of for-each: one output per item of {items}, each
 * going its own way along the links.
 */
#include "base/status.h"
#include "flow/flow_node.h"

flow_node_fn node_for_each;

int node_for_each(struct flow_node_call *c, struct status *st) {
    const struct value *items;

    if (flow_node_build(c, value_get(c->config, "items"), &items, st) < 0)
        return -1;
    if (!value_is_array(items))
        return st_fail(st, ST_CONFIGURATION, NULL, "items must be an array");
    for (VALUE_EACH_ITEM(i, items))
        flow_node_emit(c, i);
    return 0;
}
