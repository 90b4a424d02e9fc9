/*
 * flow_node.c - the table of node types, and what their functions share.
 */
#include "flow_node.h"

#include <string.h>

#include "action/action_run.h"
#include "base/arena.h"
#include "base/status.h"
#include "filter/filter.h"
#include "formula/formula.h"

#define NODE(name, function, has_effects) extern flow_node_fn function;
#define FOR_EACH(name)
#include "flow/node/nodes.def"

static const struct flow_node_type types[] = {
#define NODE(name, function, has_effects) {name, function, has_effects},
#define FOR_EACH(name)                    {name, NULL, false},
#include "flow/node/nodes.def"
};

const struct flow_node_type *flow_node_type(const struct value *node, struct status *st) {
    const char *name = value_get_string(node, "type", NULL);

    if (name && strcmp(name, "for-each") == 0 &&
        value_get_number(node, "version", 1) == 2)
        name = "for-each-v2";
    for (size_t i = 0; name && i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    if (name)
        st_fail(st, ST_CONFIGURATION, NULL,
                "this server does not run nodes of type \"%.60s\"", name);
    else
        st_fail(st, ST_CONFIGURATION, NULL, "the node has no type");
    return NULL;
}

void flow_node_emit(struct flow_node_call *c, const struct value *output) {
    array_push(&c->outputs, value_is(output, VALUE_UNDEFINED) ? &value_null : output);
}

int flow_node_build(struct flow_node_call *c, const struct value *v,
                    const struct value **ret, struct status *st) {
    const struct formula_run run = {.variables = c->variables};

    return formula_resolve_value(c->arena, v, &run, ret, st);
}

int flow_node_step(struct flow_node_call *c, const char *action_type, struct status *st) {
    const struct action_step step = {.type = action_type,
                                     .caller = c->caller,
                                     .connection = c->connection,
                                     .user = c->user,
                                     .config = c->config,
                                     .input = c->input,
                                     .variables = c->variables,
                                     .deadline_ms = c->deadline_ms};
    const struct value *output;

    if (action_run_step(c->deps, c->arena, &step, &output, &c->logs, st) < 0)
        return -1;
    flow_node_emit(c, output);
    return 0;
}

int flow_filter_passes(struct arena *a, const struct value *filter,
                       const struct value *variables, bool *ret_passes,
                       struct status *st) {
    const struct formula_run run = {.variables = variables};
    const struct value *result;

    *ret_passes = true;
    if (value_is_nullish(filter))
        return 0;
    if (value_is_array(filter))
        return filter_match_once(a, filter, variables, ret_passes, st);
    if (formula_resolve_value(a, filter, &run, &result, st) < 0)
        return -1;
    *ret_passes = value_is_nullish(result) || value_truthy(result);
    return 0;
}
