/*
 * flow.c - the definition of a flow: its nodes, what they need, and how an instance
 * follows its parent node by node. Running one is another file's business.
 *
 * An instance is customised in parts: `customized.name`, and each node by its own
 * `isCustomized` (`customized.nodes` tells that there is one). Nodes of the parent that
 * are not customised are copied down; customised ones stay; nodes that the parent lost
 * go, unless customised.
 */
#include "model/model.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "flow_cron.h"
#include "graph/graph_flow.h"
#include "value/value.h"

extern const struct element_domain flow_domain;

static const struct element_field fields[] = {
    {"parametersSchema", FIELD_OBJECT, FIELD_CFG, NULL},
    {"parameters", FIELD_ANY, FIELD_LOC, NULL},
    {"enabled", FIELD_BOOL, FIELD_LOC, NULL},
    {"nodes", FIELD_OBJECT, FIELD_CFG, NULL},
    {"autoCreateInstances", FIELD_BOOL, FIELD_CFG, NULL},
};

/* ---- Check ---- */

static int bad_node(struct status *st, const char *node, const char *member,
                    const char *what) {
    return st_fail_data(st, ST_BAD_REQUEST, NULL,
                        value_obj(st->arena, "path",
                                  value_stringf(st->arena, "nodes.%s%s%s", node,
                                                *member ? "." : "", member),
                                  NULL),
                        "nodes.%s%s%s: %s", node, *member ? "." : "", member, what);
}

static int check_node(const char *key, const struct value *node, struct status *st) {
    static const char *const texts[] = {"type", "name", "description"};
    static const char *const numbers[] = {"version", "concurrency"};
    const struct value *links = value_get(node, "links");
    const struct value *on_error = value_get(node, "onError");

    if (!value_is_object(node))
        return bad_node(st, key, "", "must be an object");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct value *v = value_get(node, texts[i]);
        if (!value_is_nullish(v) && !value_is_string(v))
            return bad_node(st, key, texts[i], "must be text");
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct value *v = value_get(node, numbers[i]);
        if (!value_is_nullish(v) && !value_is_number(v))
            return bad_node(st, key, numbers[i], "must be a number");
    }
    if (!value_is_nullish(on_error) && !value_equals_text(on_error, "stop") &&
        !value_equals_text(on_error, "continue"))
        return bad_node(st, key, "onError", "must be stop or continue");
    if (!value_is_nullish(links) && !value_is_array(links))
        return bad_node(st, key, "links", "must be an array");
    for (VALUE_EACH_ITEM(link, links))
        if (!value_is_object(link))
            return bad_node(st, key, "links", "must hold objects");
    return 0;
}

static int check(struct arena *a, const struct value *doc, struct status *st) {
    const struct value *nodes = value_get(doc, "nodes");
    bool cycles;

    if (!value_is_object(nodes) || nodes->len == 0)
        return 0;
    for (VALUE_EACH_MEMBER(m, nodes))
        if (check_node(m->key, &m->value, st) < 0)
            return -1;
    if (graph_has_cycles(a, nodes, &cycles, st) < 0)
        return -1;
    return cycles ? st_fail_data(st, ST_BAD_REQUEST, NULL,
                                 value_obj(st->arena, "path",
                                           value_string(st->arena, "nodes"), NULL),
                                 "nodes: the flow has a cycle, or a node that can't be "
                                 "reached")
                  : 0;
}

/* ---- States of an instance's nodes ---- */

/* What the server says of a node; clients send it back. */
static const char *const node_state_members[] = {"state", "errors", "dependencies", NULL};

static const struct value *without_states(struct arena *a, const struct value *nodes) {
    struct object_builder b;

    object_begin(&b, a, nodes->len);
    for (VALUE_EACH_MEMBER(m, nodes))
        object_set_len(&b, m->key, m->key_len,
                       value_is_object(&m->value)
                           ? value_omit(a, &m->value, node_state_members)
                           : &m->value);
    return object_end(&b);
}

static int derive(struct model_view *v, const struct value *doc,
                  const struct value **ret_doc, struct status *st) {
    struct arena *a = model_view_arena(v);
    const struct value *nodes = value_get(doc, "nodes");

    (void)st;
    *ret_doc = doc;
    if (model_layer(doc) != LAYER_CONNECTION)
        return 0;
    if (!value_has(doc, "enabled"))
        doc = value_with(a, doc, "enabled", &value_false);
    if (value_is_object(nodes))
        doc = value_with(a, doc, "nodes", without_states(a, nodes));
    *ret_doc = doc;
    return 0;
}

/* {state, errors?, dependencies?} of a node whose inspection found these. */
static const struct value *node_state(struct arena *a, const struct value *errors,
                                      const struct value *dependencies) {
    return value_obj(a, "state", value_string(a, errors->len ? "SETUP_FAILED" : "READY"),
                     "errors", errors, "dependencies", dependencies, NULL);
}

static int serve(struct model_view *v, const struct value *doc,
                 struct object_builder *out, struct status *st) {
    const struct value *states = value_get(doc, "nodeStates");
    struct arena *a = model_view_arena(v);
    struct object_builder b;

    (void)st;
    if (!value_is_object(states))
        return 0;
    object_begin(&b, a, 8);
    for (VALUE_EACH_MEMBER(m, value_get(doc, "nodes")))
        object_set_len(
            &b, m->key, m->key_len,
            value_merge(a, &m->value, value_get_len(states, m->key, m->key_len)));
    object_set(out, "nodes", object_end(&b));
    return 0;
}

/* ---- Dependencies ---- */

/* Adds what was found to the node's own list. */
static int depends_on(struct model_report *r, struct arena *a, enum element_id type,
                      const struct value *unit, struct array_builder *list,
                      struct status *st) {
    const char *key =
        value_is_string(unit) ? value_text(unit) : value_get_string(unit, "key", NULL);
    const char *id = value_get_string(unit, "id", NULL);
    const struct value *found;

    if (!key && !id)
        return 0;
    if (model_report_depends(r, type, key ? NULL : id, key, &found, st) < 0)
        return -1;
    if (found)
        array_push(list, value_obj(a, "type", value_string(a, element_type(type)->name),
                                   "id", value_get(found, "id"), "dependencyType",
                                   value_string(a, "CONFIGURATION"), NULL));
    return 0;
}

/* A schedule that can't be understood never starts: its flow says so. */
static void check_schedule(struct model_report *r, struct arena *a,
                           const struct value *node) {
    const struct value *config = value_get(node, "config");
    const char *text = value_get_string(config, "cron", NULL);
    const struct flow_zone *zone;
    struct flow_cron cron;
    struct status why;

    if (!text || !value_equals_text(value_get(node, "type"), "schedule-trigger"))
        return;
    st_init(&why, a);
    if (flow_cron_parse(text, &cron, &why) < 0 ||
        flow_zone_load(a, value_get_string(config, "timezone", "UTC"), &zone, &why) < 0)
        model_report_error(r, "configuration", "%s", why.message);
}

static int inspect_node(struct model_report *r, struct arena *a, const struct value *node,
                        const struct value **ret_state, struct status *st) {
    static const struct {
        const char *member;
        enum element_id type;
    } units[] = {
        {"dataSource", EL_DATA_SOURCE},
        {"fieldMapping", EL_FIELD_MAPPING},
        {"dataLinkTable", EL_DATA_LINK_TABLE},
        {"appEvent", EL_APP_EVENT_TYPE},
        {"appEventKey", EL_APP_EVENT_TYPE},
        {"action", EL_ACTION},
        {"actionKey", EL_ACTION},
    };

    const struct value *config = value_get(node, "config");
    size_t errors = model_report_errors(r);
    struct array_builder list;

    array_begin(&list, a, 2);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (depends_on(r, a, units[i].type, value_get(config, units[i].member), &list,
                       st) < 0)
            return -1;
    check_schedule(r, a, node);
    *ret_state = node_state(a, model_report_errors_from(r, errors), array_end(&list));
    return 0;
}

static int inspect(struct model_view *v, const struct value *doc, struct model_report *r,
                   struct status *st) {
    struct arena *a = model_view_arena(v);
    const struct value *state;
    struct object_builder states;

    object_begin(&states, a, 8);
    for (VALUE_EACH_MEMBER(m, value_get(doc, "nodes"))) {
        if (inspect_node(r, a, &m->value, &state, st) < 0)
            return -1;
        object_set_len(&states, m->key, m->key_len, state);
    }
    if (model_layer(doc) == LAYER_CONNECTION && states.len)
        model_report_set(r, "nodeStates", object_end(&states));
    return 0;
}

/* Flows that every connection shall have. */
static int connected(struct model_view *v, const struct value *connection,
                     struct status *st) {
    const char *integration = value_get_string(connection, "integrationId", NULL);
    const char *id = value_get_string(connection, "id", "");
    const struct value *flows;

    if (!integration)
        return 0;
    if (model_find_used(v, EL_FLOW, integration, "autoCreateInstances", &value_true,
                        &flows, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(flow, flows)) {
        const struct model_scope scope = {.connection = connection, .parent = flow};
        const struct value *instance;
        int rc = model_find_instance(v, EL_FLOW, value_get_string(flow, "id", ""), id,
                                     NULL, &instance, st);
        if (rc < 0 || (rc == 1 && model_create(v, EL_FLOW, &scope, &value_empty_object,
                                               &instance, st) < 0))
            return -1;
    }
    return 0;
}

/* ---- Parent and child ---- */

static bool is_customised_node(const struct value *node) {
    return value_get_bool(node, "isCustomized", false);
}

static const struct value *merge_nodes(struct arena *a, const struct value *parent,
                                       const struct value *child) {
    struct object_builder b;

    object_begin(&b, a, 8);
    for (VALUE_EACH_MEMBER(m, parent)) {
        const struct value *own = value_get_len(child, m->key, m->key_len);
        object_set_len(&b, m->key, m->key_len, is_customised_node(own) ? own : &m->value);
    }
    for (VALUE_EACH_MEMBER(m, child))
        if (is_customised_node(&m->value) && !object_builder_get(&b, m->key, m->key_len))
            object_set_len(&b, m->key, m->key_len, &m->value);
    return object_end(&b);
}

static const struct value *follow(struct arena *a, const struct value *parent,
                                  const struct value *child) {
    const struct value *customised = value_get(child, "customized");
    bool all =
        value_get_bool(child, "isCustomized", false) && !value_is_object(customised);
    struct object_builder b;

    if (all) /* customised as a whole, by an import or on the integration level */
        return child;
    object_begin(&b, a, child->len + 4);
    object_set_all(&b, child);
    if (!value_get_bool(customised, "name", false) && value_has(parent, "name"))
        object_set(&b, "name", value_get(parent, "name"));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct value *v = value_get(parent, fields[i].name);
        if (!(fields[i].flags & FIELD_CONFIG))
            continue;
        if (value_is_object(v) && strcmp(fields[i].name, "nodes") == 0)
            v = merge_nodes(a, v, value_get(child, "nodes"));
        if (value_is(v, VALUE_UNDEFINED))
            object_delete(&b, fields[i].name, strlen(fields[i].name));
        else
            object_set(&b, fields[i].name, v);
    }
    return object_end(&b);
}

/* Marks the nodes that an edit changed. */
static const struct value *mark_nodes(struct arena *a, const struct value *before,
                                      const struct value *after, bool *ret_any) {
    struct object_builder b;

    *ret_any = false;
    object_begin(&b, a, 8);
    for (VALUE_EACH_MEMBER(m, after)) {
        const struct value *was = value_get_len(before, m->key, m->key_len);
        const struct value *node = &m->value;
        if (!value_is(was, VALUE_UNDEFINED) && is_customised_node(was) &&
            !value_has(node, "isCustomized"))
            node = value_with(a, node, "isCustomized", &value_true);
        if (!value_equal_ordered(was, node) && !is_customised_node(node))
            node = value_with(a, node, "isCustomized", &value_true);
        *ret_any |= is_customised_node(node);
        object_set_len(&b, m->key, m->key_len, node);
    }
    return object_end(&b);
}

static const struct value *customise(struct arena *a, const struct value *before,
                                     const struct value *after) {
    const struct value *old = value_get(after, "customized");
    bool name = value_get_bool(old, "name", false) ||
                !value_equal(value_get(before, "name"), value_get(after, "name"));
    bool nodes = false;

    if (model_layer(after) != LAYER_CONNECTION)
        return after;
    if (value_is_object(value_get(after, "nodes")))
        after =
            value_with(a, after, "nodes",
                       mark_nodes(a, value_get(before, "nodes"),
                                  without_states(a, value_get(after, "nodes")), &nodes));
    if (!name && !nodes)
        return after;
    return value_with(
        a, value_with(a, after, "isCustomized", &value_true), "customized",
        value_obj(a, "name", value_bool(name), "nodes", value_bool(nodes), NULL));
}

static const struct value *unmark_nodes(struct arena *a, const struct value *nodes,
                                        const struct value *which, bool all,
                                        bool *ret_left) {
    struct object_builder b;

    *ret_left = false;
    object_begin(&b, a, 8);
    for (VALUE_EACH_MEMBER(m, nodes)) {
        const struct value *node = &m->value;
        if (all || value_is_true(value_get_len(which, m->key, m->key_len)))
            node = value_with(a, node, "isCustomized", &value_false);
        *ret_left |= is_customised_node(node);
        object_set_len(&b, m->key, m->key_len, node);
    }
    return object_end(&b);
}

/* what: {name?, nodes?: {key: true}, allNodes?}; without any of them: everything. */
static const struct value *reset(struct arena *a, const struct value *parent,
                                 const struct value *child, const struct value *what) {
    bool all = !value_has(what, "name") && !value_has(what, "nodes") &&
               !value_has(what, "allNodes");
    bool all_nodes = all || value_get_bool(what, "allNodes", false);
    bool name = value_get_bool(value_get(child, "customized"), "name", false) && !all &&
                !value_get_bool(what, "name", false);
    bool nodes;
    const struct value *next =
        value_with(a, child, "nodes",
                   unmark_nodes(a, value_get(child, "nodes"), value_get(what, "nodes"),
                                all_nodes, &nodes));

    next = value_with(a, next, "isCustomized", value_bool(name || nodes));
    next = value_with(a, next, "customized",
                      name || nodes ? value_obj(a, "name", value_bool(name), "nodes",
                                                value_bool(nodes), NULL)
                                    : &value_undefined);
    return follow(a, parent, next);
}

const struct element_domain flow_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
    .check = check,
    .derive = derive,
    .inspect = inspect,
    .serve = serve,
    .follow = follow,
    .customise = customise,
    .reset = reset,
    .connected = connected,
};
