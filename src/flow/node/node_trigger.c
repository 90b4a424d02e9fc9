/*
 * node_trigger.c - triggers: what the run was started with is their output.
 */
#include "base/clock.h"
#include "deps/deps.h"
#include "flow/flow_node.h"

flow_node_fn node_trigger, node_schedule_trigger;

int node_trigger(struct flow_node_call *c, struct status *st) {
    (void)st;
    flow_node_emit(c, c->input);
    return 0;
}

/* {triggeredAt}; started by hand with an input: that. */
int node_schedule_trigger(struct flow_node_call *c, struct status *st) {
    (void)st;
    flow_node_emit(c, value_is_nullish(c->input)
                          ? value_obj(c->arena, "triggeredAt",
                                      value_string(c->arena, clock_iso_now(c->deps->clock,
                                                                           c->arena)),
                                      NULL)
                          : c->input);
    return 0;
}
