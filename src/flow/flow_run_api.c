/*
 * flow_run_api.c - starting, reading and stopping runs by HTTP.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "flow_run.h"
#include "flow_run_record.h"
#include "flow_task.h"
#include "graph/graph_flow.h"
#include "http/http.h"
#include "http/http_page.h"
#include "http/http_server.h"
#include "model/model.h"
#include "model/model_routes.h"
#include "model/model_rows.h"
#include "queue/queue.h"
#include "store/store.h"
#include "value/value.h"

static const char *const hidden_of_run[] = {"workspaceId", "instance",     "createdAt",
                                            "gaveUp",      "startsInside", NULL};

/* ---- starting ---- */

static int choose_start(struct arena *a, const struct value *instance, const char *wanted,
                        const char **ret_key, struct status *st) {
    const struct value *roots = graph_root_keys(a, instance), *nodes;
    const char *only = value_text(value_at(roots, 0));

    nodes = value_get(instance, "nodes");
    if (wanted && !value_is_object(value_get(nodes, wanted)))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the flow has no node \"%.100s\"",
                       wanted);
    for (VALUE_EACH_ITEM(root, roots)) {
        const struct value *node = value_get_len(nodes, root->str, root->len);

        if (wanted ? value_equals_text(root, wanted)
                   : value_equals_text(value_get(node, "type"), "api-trigger")) {
            *ret_key = value_text(root);
            return 0;
        }
    }
    if (wanted)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "a run can't start at \"%.100s\": other nodes lead to it", wanted);
    if (roots->len != 1)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       roots->len ? "the flow has several triggers and no api-trigger: "
                                    "name one with startNodeKey"
                                  : "the flow has no nodes");
    *ret_key = only;
    return 0;
}

static const struct value *new_run(const struct deps *deps, struct arena *a,
                                   const struct caller *caller,
                                   const struct flow_run_request *rq, const char *start,
                                   const struct value *connection) {
    static const char *const kept[] = {"id",     "key",        "name",  "instanceKey",
                                       "flowId", "parameters", "nodes", NULL};
    const struct value *instance = rq->instance, *id = value_get(instance, "id");
    const struct value *now = value_string(a, clock_iso_now(deps->clock, a));
    const struct value *flow = value_get(instance, "flowId");
    const struct value *user = value_get(instance, "userId");
    struct object_builder b;

    if (!value_is_string(user))
        user = value_get(connection, "userId");
    if (!value_is_string(user))
        user = value_string(a, "");
    object_begin(&b, a, 24);
    object_set_string(&b, "id", rq->id ? rq->id : id_new(deps->clock, deps->rand, a));
    object_set_string(&b, "workspaceId", caller->workspace_id);
    object_set(&b, "userId", user);
    if (user->len)
        object_set(&b, "tenantId", user);
    object_set(&b, "integrationId", value_get(instance, "integrationId"));
    object_set(&b, "connectionId", value_get(instance, "connectionId"));
    object_set(&b, "externalAppId", value_get(connection, "externalAppId"));
    object_set(&b, "name", value_get(instance, "name"));
    object_set(&b, "connectionFlowId", id);
    object_set(&b, "flowInstanceId", id);
    object_set(&b, "integrationFlowId", value_is_string(flow) ? flow : &value_undefined);
    object_set(&b, "flowId", value_is_string(flow) ? flow : &value_undefined);
    object_set(&b, "universalFlowId", value_get(instance, "universalFlowId"));
    object_set_string(&b, "startNodeKey", start);
    object_set(&b, "input", rq->input ? rq->input : &value_undefined);
    object_set_string(&b, "state", "queued");
    object_set(&b, "startTime", now);
    object_set(&b, "errors", &value_empty_array);
    object_set(&b, "nodes", &value_empty_object);
    object_set(
        &b, "launchedBy",
        value_obj(a, "type",
                  value_string(a, rq->launched_by ? rq->launched_by : "api-trigger"),
                  NULL));
    object_set(&b, "meta",
               rq->meta && value_is_object(rq->meta) ? rq->meta : &value_undefined);
    object_set(&b, "replayOf", rq->replay_of ? rq->replay_of : &value_undefined);
    if (rq->starts_inside)
        object_set(&b, "startsInside", &value_true);
    object_set(&b, "createdAt", now);
    object_set(&b, "instance", value_pick(a, instance, kept));
    return object_end(&b);
}

static int check_room(const struct deps *deps, const struct value *workspace,
                      const char *connection_id, struct status *st) {
    double max =
        queue_limit(deps->queue, workspace, LIMIT_FLOW_RUNS_QUEUE_SIZE_PER_CONNECTION);
    uint64_t waiting;

    if (queue_count_waiting(deps->queue, connection_id, FLOW_TASK_RUN, &waiting, st) < 0)
        return -1;
    return !max || (double)waiting < max
               ? 0
               : st_fail(st, ST_BAD_REQUEST, "rate_limit_exceeded",
                         "%.0f runs of flows wait on this connection", max);
}

/* A run that is not taken is as if it had never been; what fails between is swept. */
static int put_task(const struct deps *deps, const struct value *run, struct status *st) {
    struct status ignored;

    if (flow_task_put(deps, run, st) >= 0)
        return 0;
    st_init(&ignored, st->arena);
    store_delete(deps->store, C_FLOW_RUNS, value_get_string(run, "id", ""), NULL,
                 &ignored);
    return -1;
}

int flow_run_make(const struct deps *deps, struct arena *a, const struct caller *caller,
                  const struct flow_run_request *rq, const struct value **ret_run,
                  struct status *st) {
    const char *connection_id = value_get_string(rq->instance, "connectionId", NULL);
    const struct value *connection = &value_undefined;
    const char *start = NULL;
    int rc;

    if (!model_is_live(rq->instance))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the flow is archived");
    if (value_is_true(value_get(rq->instance, "isDeactivated")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the flow is deactivated");
    if (rq->starts_inside)
        start = rq->node_key;
    else if (choose_start(a, rq->instance, rq->node_key, &start, st) < 0)
        return -1;
    rc = connection_id
             ? store_get(deps->store, a, C_CONNECTIONS, connection_id, &connection, st)
             : 1;
    if (rc < 0)
        return -1;
    if (rc == 1)
        connection = &value_undefined;
    *ret_run = new_run(deps, a, caller, rq, start, connection);
    return 0;
}

int flow_run_start(const struct deps *deps, struct arena *a, const struct caller *caller,
                   const struct flow_run_request *rq, const struct value **ret_run,
                   struct status *st) {
    const char *connection_id = value_get_string(rq->instance, "connectionId", NULL);

    if (flow_run_make(deps, a, caller, rq, ret_run, st) < 0)
        return -1;
    if (connection_id && check_room(deps, caller->workspace, connection_id, st) < 0)
        return -1;
    return store_insert(deps->store, C_FLOW_RUNS, *ret_run, st) < 0
               ? -1
               : put_task(deps, *ret_run, st);
}

int flow_run_stop(const struct deps *deps, struct arena *a, const struct value *run,
                  struct status *st) {
    const char *id = value_get_string(run, "id", "");
    struct store_change change = {
        .set = value_obj(a, "state", value_string(a, "stopped"), "endTime",
                         value_string(a, clock_iso_now(deps->clock, a)), NULL)};
    const struct store_filter *unfinished =
        store_or(a, store_eq_text(a, "state", "queued"),
                 store_eq_text(a, "state", "running"), NULL);

    if (store_update(deps->store, a, C_FLOW_RUNS, id, unfinished, &change, NULL, st) < 0)
        return -1;
    return queue_cancel(deps->queue, id, st) < 0 ? -1 : 0;
}

static int start(struct request *rq, struct reply *rp, const struct value *instance,
                 const struct value *body, struct status *st) {
    const char *key = value_get_string(body, "startNodeKey", NULL);
    const struct flow_run_request what = {
        .instance = instance,
        .node_key = key ? key : value_get_string(body, "nodeKey", NULL),
        .input = value_get(body, "input"),
        .meta = value_get(body, "meta"),
    };
    const struct value *run;

    if (flow_run_start(rq->deps, rq->arena, rq->caller, &what, &run, st) < 0)
        return -1;
    return reply_json(rp, 200, value_omit(rq->arena, run, hidden_of_run));
}

static int create(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *instance;
    struct model_selector sel = {.instance_only = true};

    if (request_object(rq, &body, st) < 0)
        return -1;
    sel.id = value_get_string(body, "flowInstanceId",
                              value_get_string(body, "connectionFlowId", NULL));
    if (!sel.id || !*sel.id)
        return st_fail(st, ST_BAD_REQUEST, NULL, "flowInstanceId is required");
    if (model_resolve(model_view_of(rq), EL_FLOW, &sel, &instance, st) < 0)
        return -1;
    return start(rq, rp, instance, body, st);
}

/* The flow as named, then its instance on the connection. */
static int run_selected(struct request *rq, struct reply *rp, struct model_selector *sel,
                        struct status *st) {
    struct model_view *v = model_view_of(rq);
    const struct value *body, *flow;
    struct model_selector whole = *sel;

    if (request_object(rq, &body, st) < 0)
        return -1;
    if (!sel->instance_only && !sel->connection) {
        struct model_selector of_flow = {.text = sel->text,
                                         .integration_id = sel->integration_id,
                                         .integration_key = sel->integration_key,
                                         .fall_back = true};

        if (model_resolve(v, EL_FLOW, &of_flow, &flow, st) < 0)
            return -1;
        if (model_layer(flow) == LAYER_CONNECTION)
            return start(rq, rp, flow, body, st);
        whole.text = NULL;
        whole.parent_id = value_get_string(flow, "id", NULL);
        if (!whole.connection_id && !whole.connection_key && !whole.integration_key &&
            !whole.integration_id)
            whole.integration_id = value_get_string(flow, "integrationId", NULL);
    }
    whole.instance_only = true;
    whole.auto_create = sel->auto_create || !sel->instance_only;
    if (model_resolve(v, EL_FLOW, &whole, &flow, st) < 0)
        return -1;
    return start(rq, rp, flow, body, st);
}

static int run_plural(struct request *rq, struct reply *rp, struct status *st) {
    struct model_selector sel = model_selector_of_query(rq);

    sel.text = rq->param[0];
    return run_selected(rq, rp, &sel, st);
}

static int run_of_connection(struct request *rq, struct reply *rp, struct status *st) {
    struct model_selector sel = model_selector_of_query(rq);

    sel.connection = rq->param[0];
    sel.text = rq->param[1];
    return run_selected(rq, rp, &sel, st);
}

static int run_instance(struct request *rq, struct reply *rp, struct status *st) {
    struct model_selector sel = model_selector_of_query(rq);

    sel.flow_id = NULL;
    if (!sel.parent_id)
        sel.parent_id = request_query(rq, "flowId");
    if (!sel.parent_key)
        sel.parent_key = request_query(rq, "flowKey");
    sel.instance_only = true;
    sel.auto_create = request_query_bool(rq, "autoCreate", false);
    return run_selected(rq, rp, &sel, st);
}

/* ---- reading runs ---- */

static int list_runs(struct request *rq, struct reply *rp, struct status *st) {
    static const struct model_rows_field fields[] = {
        {"flowId", "integrationFlowId"},
        {"integrationFlowId", "integrationFlowId"},
        {"universalFlowId", "universalFlowId"},
        {"connectionFlowId", "connectionFlowId"},
        {"flowInstanceId", "connectionFlowId"},
        {"state", "state"},
        {"integrationId", "integrationId"},
        {"connectionId", "connectionId"},
        {"externalAppId", "externalAppId"},
        {NULL, NULL},
    };
    struct model_rows list;

    if (model_rows_begin(rq, &list, st) < 0)
        return -1;
    model_rows_match(&list, fields);
    model_rows_between(&list);
    return model_rows_reply(&list, C_FLOW_RUNS, hidden_of_run, rp, st);
}

static int find_run(struct request *rq, const struct value **ret, struct status *st) {
    return model_rows_find(rq, C_FLOW_RUNS, "Flow run", ret, st);
}

static int get_run(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *run;

    if (find_run(rq, &run, st) < 0)
        return -1;
    return reply_json(rp, 200, value_omit(rq->arena, run, hidden_of_run));
}

static int stop(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *run;

    if (find_run(rq, &run, st) < 0 || flow_run_stop(rq->deps, rq->arena, run, st) < 0)
        return -1;
    return get_run(rq, rp, st);
}

/* ---- repeating ---- */

static bool has_ended(const struct value *run) {
    const struct value *state = value_get(run, "state");

    return !value_equals_text(state, "queued") && !value_equals_text(state, "running");
}

/*
 * The node run that the body names by nodeRunId, or by nodeKey when that node ran once.
 * 1 when it names none.
 */
static int recorded_node_run(struct request *rq, const struct value *body,
                             const struct value **ret, struct status *st) {
    struct arena *a = rq->arena;
    const char *id = value_get_string(body, "nodeRunId", NULL);
    const char *key = value_get_string(body, "nodeKey", NULL);
    struct store_query q = {.limit = 2, .sort = {{"createdAt", false}}};
    struct store_page page;

    if (!id && !key)
        return 1;
    q.where = store_eq_text(a, "flowRunId", rq->param[0]);
    if (key)
        q.where = store_and(a, q.where, store_eq_text(a, "nodeKey", key), NULL);
    if (id)
        q.where = store_and(a, q.where, store_eq_text(a, "id", id), NULL);
    if (store_list(rq->deps->store, a, C_FLOW_NODE_RUNS, &q, &page, st) < 0)
        return -1;
    if (page.items->len == 0)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Node run not found");
    if (page.items->len > 1)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "the node \"%.100s\" ran several times: name one run with "
                       "nodeRunId",
                       key);
    *ret = value_at(page.items, 0);
    return 0;
}

/* The flow as it is now, so that what was mended is what runs; or as it was recorded. */
static int replayed_flow(struct request *rq, const struct value *run, bool as_recorded,
                         const struct value **ret, struct status *st) {
    struct model_selector sel = {.instance_only = true,
                                 .id = value_get_string(run, "connectionFlowId", "")};
    const struct value *nodes = value_path(run, "instance", "nodes", NULL);

    if (model_resolve(model_view_of(rq), EL_FLOW, &sel, ret, st) < 0)
        return -1;
    if (as_recorded)
        *ret = value_with(rq->arena, *ret, "nodes", nodes);
    return 0;
}

static int replay(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    const struct value *body, *run, *instance, *node_run = &value_undefined;
    struct flow_run_request what = {0};
    int rc;

    if (request_object(rq, &body, st) < 0 || find_run(rq, &run, st) < 0)
        return -1;
    if (!has_ended(run))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the run has not ended yet");
    if (replayed_flow(rq, run, value_get_bool(body, "asRecorded", false), &instance, st) <
        0)
        return -1;
    rc = recorded_node_run(rq, body, &node_run, st);
    if (rc < 0)
        return -1;
    what.instance = instance;
    what.meta = value_get(body, "meta");
    what.replay_of = value_obj(a, "flowRunId", value_get(run, "id"), "nodeRunId",
                               value_find(node_run, "id", 2), NULL);
    what.node_key = value_get_string(rc == 0 ? node_run : run,
                                     rc == 0 ? "nodeKey" : "startNodeKey", "");
    what.input = value_get(run, "input");
    if (rc == 0 && flow_record_input(rq->deps, a, run, node_run, &what.input, st) < 0)
        return -1;
    what.starts_inside = value_is_true(value_get(run, "startsInside")) ||
                         value_items_count(value_get(node_run, "upstreamRuns")) > 0;
    if (!value_is_object(value_get(value_get(instance, "nodes"), what.node_key)))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "the flow has no node \"%.100s\" any more: replay it asRecorded",
                       what.node_key);
    if (flow_run_start(rq->deps, a, rq->caller, &what, &run, st) < 0)
        return -1;
    return reply_json(rp, 200, value_omit(a, run, hidden_of_run));
}

/* ---- reading node runs ---- */

static const struct value *brief_output(struct arena *a, const struct value *output) {
    static const char *const shown[] = {"id", "timestamp", "size", "downstreamRuns",
                                        NULL};

    return value_pick(a, output, shown);
}

static int served_node_run(struct request *rq, const struct value *run,
                           const struct value *doc, const struct value **ret,
                           struct status *st) {
    struct arena *a = rq->arena;
    const struct value *input;
    struct array_builder outputs;

    if (flow_record_input(rq->deps, a, run, doc, &input, st) < 0) {
        if (st->type != ST_BAD_REQUEST)
            return -1;
        st_clear(st); /* a part of it has expired */
        input = &value_null;
    }
    if (value_is(input, VALUE_UNDEFINED))
        input = &value_null;
    array_begin(&outputs, a, 1);
    for (VALUE_EACH_ITEM(o, value_get(doc, "outputs")))
        array_push(&outputs, brief_output(a, o));
    *ret = value_obj(a, "id", value_get(doc, "id"), "upstreamRuns",
                     value_get(doc, "upstreamRuns"), "input", input, "status",
                     value_get(doc, "status"), "logs", value_get(doc, "logs"), "outputs",
                     array_end(&outputs), "errors", value_get(doc, "errors"), NULL);
    return 0;
}

static int page_of_node(struct request *rq, const char *node_key, const char *cursor,
                        struct http_page *p, struct store_page *ret, struct status *st) {
    struct arena *a = rq->arena;
    struct store_query q = {.sort = {{"createdAt", false}}};

    if (http_page_read(rq, p, st) < 0)
        return -1;
    q.where =
        store_and(a, store_eq_text(a, "flowRunId", rq->param[0]),
                  store_eq_text(a, "nodeKey", node_key),
                  store_cmp(a, STORE_NE, "status", value_string(a, "running")), NULL);
    q.limit = (size_t)p->limit;
    q.cursor = cursor ? cursor : p->cursor;
    return store_list(rq->deps->store, a, C_FLOW_NODE_RUNS, &q, ret, st);
}

static int list_node_runs(struct request *rq, struct reply *rp, const char *cursor,
                          struct status *st) {
    const struct value *run, *item;
    struct array_builder items;
    struct store_page page;
    struct http_page p;

    if (find_run(rq, &run, st) < 0 ||
        page_of_node(rq, rq->param[1], cursor, &p, &page, st) < 0)
        return -1;
    array_begin(&items, rq->arena, page.items->len);
    for (VALUE_EACH_ITEM(i, page.items)) {
        if (served_node_run(rq, run, i, &item, st) < 0)
            return -1;
        array_push(&items, item);
    }
    return http_page_reply(rp, array_end(&items), page.cursor);
}

static int node_runs(struct request *rq, struct reply *rp, struct status *st) {
    return list_node_runs(rq, rp, NULL, st);
}

/* Where the SDK puts the query of the list. */
static int node_runs_from(struct request *rq, struct reply *rp, struct status *st) {
    return list_node_runs(rq, rp, rq->param[2], st);
}

/* One node run by its id; nothing, and other misplaced queries, mean the list. */
static int node_run(struct request *rq, struct reply *rp, struct status *st) {
    const char *id = rq->param[2];
    const struct value *run, *doc, *out;
    int rc;

    if (*id == '\0')
        return list_node_runs(rq, rp, NULL, st);
    if (strchr(id, '='))
        return list_node_runs(rq, rp, NULL, st);
    if (find_run(rq, &run, st) < 0)
        return -1;
    rc = store_get(rq->deps->store, rq->arena, C_FLOW_NODE_RUNS, id, &doc, st);
    if (rc < 0)
        return -1;
    if (rc == 1 || !value_equals_text(value_get(doc, "flowRunId"), rq->param[0]) ||
        !value_equals_text(value_get(doc, "nodeKey"), rq->param[1]) ||
        value_equals_text(value_get(doc, "status"), "running"))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Node run not found");
    return served_node_run(rq, run, doc, &out, st) < 0 ? -1 : reply_json(rp, 200, out);
}

static int node_outputs(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *run;
    struct array_builder items;
    struct store_page page;
    struct http_page p;

    if (find_run(rq, &run, st) < 0 ||
        page_of_node(rq, rq->param[1], NULL, &p, &page, st) < 0)
        return -1;
    array_begin(&items, rq->arena, page.items->len);
    for (VALUE_EACH_ITEM(i, page.items))
        for (VALUE_EACH_ITEM(o, value_get(i, "outputs")))
            array_push(&items, brief_output(rq->arena, o));
    return http_page_reply(rp, array_end(&items), page.cursor);
}

static int node_output(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    const struct store_query q = {
        .where = store_and(
            a, store_eq_text(a, "flowRunId", rq->param[0]),
            store_eq_text(a, "nodeKey", rq->param[1]),
            store_cmp(a, STORE_HAS_ITEM, "outputs.id", value_string(a, rq->param[2])),
            NULL)};
    const struct value *run, *doc, *text;
    int rc;

    if (find_run(rq, &run, st) < 0)
        return -1;
    rc = store_find(rq->deps->store, a, C_FLOW_NODE_RUNS, &q, &doc, st);
    if (rc < 0)
        return -1;
    for (VALUE_EACH_ITEM(o, rc ? &value_undefined : value_get(doc, "outputs")))
        if (value_equals_text(value_get(o, "id"), rq->param[2]))
            return flow_record_text(rq->deps, a, o, &text, st) < 0
                       ? -1
                       : reply_json(rp, 200,
                                    value_with(a, brief_output(a, o), "data", text));
    return st_fail(st, ST_BAD_REQUEST, "not_found", "Output not found");
}

/* All outputs of a node, at most a page: the one there is, else an array. */
static int output_of_node(struct request *rq, const char *key, const struct value **ret,
                          struct status *st) {
    struct array_builder b;
    struct store_page page;
    struct http_page p;

    if (page_of_node(rq, key, NULL, &p, &page, st) < 0)
        return -1;
    array_begin(&b, rq->arena, 1);
    for (VALUE_EACH_ITEM(n, page.items))
        for (VALUE_EACH_ITEM(o, value_get(n, "outputs"))) {
            const struct value *data;

            if (flow_record_data(rq->deps, rq->arena, o, &data, st) < 0)
                return -1;
            array_push(&b, data);
        }
    *ret = array_end(&b);
    if ((*ret)->len < 2)
        *ret = (*ret)->len ? value_at(*ret, 0) : &value_null;
    return 0;
}

/* Nodes that ran and that no link leads on from, outside of sub-flows. */
static const struct value *last_nodes(struct arena *a, const struct value *run) {
    const struct value *flow = value_get(run, "instance");
    const char *start = value_get_string(run, "startNodeKey", "");
    struct object_builder seen;
    struct array_builder last;

    object_begin(&seen, a, 8);
    object_set(&seen, start, &value_true);
    array_begin(&last, a, 2);
    for (size_t i = 0; i < seen.len; i++) {
        const struct value *children;
        const char *key = arena_strdup(a, seen.members[i].key);

        children = graph_child_keys(a, flow, key);
        for (VALUE_EACH_ITEM(c, children))
            object_set_len(&seen, c->str, c->len, &value_true);
        if (children->len == 0 && value_has(value_get(run, "nodes"), key))
            array_push(&last, value_string(a, key));
    }
    return array_end(&last);
}

static int output(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *run, *last, *out = &value_null;
    struct object_builder all;

    if (find_run(rq, &run, st) < 0)
        return -1;
    if (!has_ended(run))
        return reply_json(rp, 202,
                          value_obj(rq->arena, "state", value_get(run, "state"), NULL));
    last = last_nodes(rq->arena, run);
    object_begin(&all, rq->arena, 2);
    for (VALUE_EACH_ITEM(key, last)) {
        if (output_of_node(rq, value_text(key), &out, st) < 0)
            return -1;
        object_set_len(&all, key->str, key->len, out);
    }
    return reply_json(rp, 200, last->len > 1 ? object_end(&all) : out);
}

static int output_of(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *run, *out;

    if (find_run(rq, &run, st) < 0 || output_of_node(rq, rq->param[1], &out, st) < 0)
        return -1;
    return reply_json(rp, 200, out);
}

#define INSTANCE_QUERY                                                                   \
    "id,autoCreate,instanceKey,userId,parentKey,parentId,flowId,flowKey,"                \
    "integrationKey,integrationId,connectionId,connectionKey"

/* clang-format off */
static const struct route rows[] = {
    {HTTP_POST, "/flow-runs",                create,       ACCESS_CUSTOMER, 0, "Starts a run of a flow.", NULL, "FlowRunCreate", "FlowRun", NULL},
    {HTTP_POST, "/flows/{selector}/run",     run_plural,   ACCESS_CUSTOMER, 0, "Starts a run of a flow.", "integrationKey,integrationId,connectionId,connectionKey,instanceKey", "FlowRunStart", "FlowRun", NULL},
    {HTTP_POST, "/flow-instance/run",        run_instance, ACCESS_CUSTOMER, 0, "Starts a run of a flow of a connection.", INSTANCE_QUERY, "FlowRunStart", "FlowRun", NULL},
    {HTTP_POST, "/connections/{connectionSelector}/flows/{selector}/run", run_of_connection, ACCESS_CUSTOMER, 0, "Starts a run of a flow on a connection.", "instanceKey", "FlowRunStart", "FlowRun", NULL},
    {HTTP_GET,  "/flow-runs",                list_runs,    ACCESS_CUSTOMER, 0, "Lists runs of flows.", "limit,cursor,flowId,universalFlowId,integrationFlowId,connectionFlowId,tenantId,userId,state,integrationId,connectionId,externalAppId,from,to", NULL, "Page<FlowRun>", NULL},
    {HTTP_GET,  "/flow-runs/{id}",           get_run,      ACCESS_CUSTOMER, 0, "One run of a flow.", NULL, NULL, "FlowRun", NULL},
    {HTTP_POST, "/flow-runs/{id}/stop",      stop,         ACCESS_CUSTOMER, 0, "Stops a run.", NULL, NULL, "FlowRun", NULL},
    {HTTP_POST, "/flow-runs/{id}/replay",    replay,       ACCESS_CUSTOMER, 0, "Repeats a run, or from one of its node runs on with the input recorded there.", NULL, "FlowRunReplay", "FlowRun", NULL},
    {HTTP_GET,  "/flow-runs/{id}/output",    output,       ACCESS_CUSTOMER, 0, "What the last nodes gave; 202 while the run goes on.", "cursor", NULL, NULL, NULL},
    {HTTP_GET,  "/flow-runs/{id}/output/{nodeKey}", output_of, ACCESS_CUSTOMER, 0, "What a node gave.", "cursor", NULL, NULL, NULL},
    {HTTP_GET,  "/flow-runs/{id}/nodes/{nodeKey}/runs", node_runs, ACCESS_CUSTOMER, 0, "Lists runs of a node.", "limit,cursor", NULL, "Page<FlowNodeRun>", NULL},
    {HTTP_GET,  "/flow-runs/{id}/nodes/{nodeKey}/runs/cursor={cursor}", node_runs_from, ACCESS_CUSTOMER, ROUTE_UNDOCUMENTED, "Lists runs of a node, from where a page ended.", NULL, NULL, "Page<FlowNodeRun>", NULL},
    {HTTP_GET,  "/flow-runs/{id}/nodes/{nodeKey}/runs/{nodeRunId*}", node_run, ACCESS_CUSTOMER, 0, "One run of a node.", NULL, NULL, "FlowNodeRun", NULL},
    {HTTP_GET,  "/flow-runs/{id}/nodes/{nodeKey}/outputs", node_outputs, ACCESS_CUSTOMER, 0, "Lists outputs of a node.", "limit,cursor", NULL, "Page<FlowNodeOutput>", NULL},
    {HTTP_GET,  "/flow-runs/{id}/nodes/{nodeKey}/output/{outputId}", node_output, ACCESS_CUSTOMER, 0, "One output of a node.", NULL, NULL, "FlowNodeOutput", NULL},
    {HTTP_GET,  "/flow-runs/{id}/nodes/{nodeKey}/outputs/{outputId}", node_output, ACCESS_CUSTOMER, 0, "One output of a node.", NULL, NULL, "FlowNodeOutput", NULL},
};
/* clang-format on */

void flow_run_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
