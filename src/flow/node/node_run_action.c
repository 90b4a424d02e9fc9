/*
 * node_run_action.c - an action on the flow's connection: {action: {key | id} (or
 * actionKey, actionId), input}.
 */
#include "action/action_run.h"
#include "base/status.h"
#include "flow/flow_node.h"
#include "model/model.h"

flow_node_fn node_run_action;

int node_run_action(struct flow_node_call *c, struct status *st) {
    const struct value *action = value_get(c->config, "action"), *input;
    struct model_selector sel = {
        .id =
            value_get_string(action, "id", value_get_string(c->config, "actionId", NULL)),
        .key = value_get_string(action, "key",
                                value_get_string(c->config, "actionKey", NULL)),
        .connection_id = value_get_string(c->connection, "id", NULL),
    };
    struct action_run_request rq = {.selector = &sel, .deadline_ms = c->deadline_ms};
    struct action_run_result result;

    if (value_is_string(action))
        sel.key = value_text(action);
    if (sel.key)
        sel.id = NULL;
    if (!sel.id && !sel.key)
        return st_fail(st, ST_CONFIGURATION, NULL, "the node names no action");
    if (flow_node_build(c, value_get(c->config, "input"), &input, st) < 0)
        return -1;
    rq.input = input;
    if (action_run(c->deps, c->arena, c->caller, &rq, &result, st) < 0)
        return -1;
    flow_node_emit(c, result.output);
    return 0;
}
