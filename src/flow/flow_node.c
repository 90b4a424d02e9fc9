/*
 * flow_node.c - the table of node types, and what their functions share.
 */
#include "flow_node.h"

#include <string.h>

#include "action/action_run.h"
#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "data/data.h"
#include "filter/filter.h"
#include "formula/formula.h"
#include "model/model.h"

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

const char *flow_node_instance_key(const struct flow_node_call *c) {
    return value_get_string(value_get(c->variables, "flowInstance"), "instanceKey", NULL);
}

int flow_node_build(struct flow_node_call *c, const struct value *v,
                    const struct value **ret, struct status *st) {
    struct data_links links = {
        .view = model_view_new(c->deps, c->arena, c->caller, c->caller->workspace_id),
        .connection_id = value_get_string(c->connection, "id", ""),
        .instance_key = flow_node_instance_key(c),
    };
    const struct formula_lookups lookups = {
        .ctx = &links,
        .app_record_id = data_link_find_app,
        .external_record_id = data_link_find_external,
    };
    const struct formula_run run = {.variables = c->variables, .lookups = &lookups};

    return formula_resolve_value(c->arena, v, &run, ret, st);
}

static const struct value *joined(struct arena *a, const struct value *x,
                                  const struct value *y) {
    struct array_builder b;

    if (value_items_count(x) == 0)
        return y;
    array_begin(&b, a, x->len + value_items_count(y));
    for (VALUE_EACH_ITEM(v, x))
        array_push(&b, v);
    for (VALUE_EACH_ITEM(v, y))
        array_push(&b, v);
    return array_end(&b);
}

int flow_node_run_step(struct flow_node_call *c, const char *action_type,
                       const struct value *config, const struct value **ret_output,
                       struct status *st) {
    const struct action_step step = {.type = action_type,
                                     .caller = c->caller,
                                     .connection = c->connection,
                                     .user = c->user,
                                     .config = config,
                                     .input = c->input,
                                     .variables = c->variables,
                                     .instance_key = flow_node_instance_key(c),
                                     .deadline_ms = c->deadline_ms,
                                     .cancel = c->cancel};
    const struct value *logs;
    int rc = action_run_step(c->deps, c->arena, &step, ret_output, &logs, st);

    c->logs = joined(c->arena, c->logs, logs);
    return rc;
}

int flow_node_step(struct flow_node_call *c, const char *action_type, struct status *st) {
    const struct value *output;

    if (flow_node_run_step(c, action_type, c->config, &output, st) < 0)
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
