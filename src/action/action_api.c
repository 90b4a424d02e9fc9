/*
 * action_api.c - running actions by HTTP, /act, and the logs of runs.
 */
#include <string.h>

#include "action_run.h"
#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_server.h"
#include "journal/journal.h"
#include "model/model.h"
#include "model/model_routes.h"
#include "model/model_rows.h"
#include "store/store.h"
#include "value/value.h"
#include "value/value_status.h"

/* ---- running ---- */

/* A failure that has a run carries the run's id. */
static int reply_failure(struct request *rq, struct reply *rp, const char *run_id,
                         struct status *st) {
    const struct value *body = value_from_status(rq->arena, st);

    if (!run_id)
        return -1;
    body = value_with(rq->arena, body, "actionRunId", value_string(rq->arena, run_id));
    return reply_json(rp, st_http_code(st), body);
}

static int run(struct request *rq, struct reply *rp,
               const struct action_run_request *what, struct status *st) {
    struct action_run_result result;

    if (action_run(rq->deps, rq->arena, rq->caller, what, &result, st) < 0)
        return reply_failure(rq, rp, result.run_id, st);
    return reply_json(rp, 200,
                      value_obj(rq->arena, "output", result.output, "actionRunId",
                                value_string(rq->arena, result.run_id), NULL));
}

/* The selector's fields that come in the query of every form. */
/* {input, meta} */
static int run_wrapped(struct request *rq, struct reply *rp,
                       const struct model_selector *sel, struct status *st) {
    struct action_run_request what = {.selector = sel, .deadline_ms = rq->deadline_ms};
    const struct value *body;

    if (request_object(rq, &body, st) < 0)
        return -1;
    what.input = value_get(body, "input");
    what.meta = value_get(body, "meta");
    return run(rq, rp, &what, st);
}

/* The body is the input. */
static int run_bare(struct request *rq, struct reply *rp,
                    const struct model_selector *sel, struct status *st) {
    struct action_run_request what = {.selector = sel, .deadline_ms = rq->deadline_ms};

    if (request_json(rq, &what.input, st) < 0)
        return -1;
    return run(rq, rp, &what, st);
}

static int run_plural(struct request *rq, struct reply *rp, struct status *st) {
    struct model_selector sel = model_selector_of_query(rq);

    sel.text = rq->param[0];
    return run_wrapped(rq, rp, &sel, st);
}

static int run_singular(struct request *rq, struct reply *rp, struct status *st) {
    struct model_selector sel = model_selector_of_query(rq);

    return run_wrapped(rq, rp, &sel, st);
}

static int run_of_connection(struct request *rq, struct reply *rp, struct status *st) {
    struct model_selector sel = model_selector_of_query(rq);

    sel.connection = rq->param[0];
    sel.text = rq->param[1];
    return run_bare(rq, rp, &sel, st);
}

static int run_instance(struct request *rq, struct reply *rp, struct status *st) {
    struct model_selector sel = model_selector_of_query(rq);

    sel.instance_only = true;
    sel.auto_create = request_query_bool(rq, "autoCreate", false);
    return run_bare(rq, rp, &sel, st);
}

/* ---- /act ---- */

static const char *const act_members[] = {"id",
                                          "key",
                                          "api",
                                          "code",
                                          "integrationId",
                                          "integrationKey",
                                          "connectionId",
                                          "connectionKey",
                                          "input",
                                          "meta",
                                          NULL};

static bool is_listed(const char *const *list, const char *key) {
    for (; *list; list++)
        if (strcmp(*list, key) == 0)
            return true;
    return false;
}

static int check_act(struct request *rq, const struct value *body, struct status *st) {
    static const char *const one_of[] = {"id", "key", "api", "code"};
    int given = 0;

    for (VALUE_EACH_MEMBER(m, body))
        if (!is_listed(act_members, m->key))
            return st_fail_data(
                st, ST_BAD_REQUEST, NULL,
                value_obj(rq->arena, "path", value_string(rq->arena, m->key), NULL),
                "unknown property \"%.100s\"", m->key);
    for (size_t i = 0; i < 4; i++)
        given += !value_is_nullish(value_get(body, one_of[i]));
    if (given != 1)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "give exactly one of \"id\", \"key\", \"api\" and \"code\"");
    if (value_has(body, "api") && !value_is_object(value_get(body, "api")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "\"api\" must be an object");
    if (value_has(body, "code") && !value_is_string(value_get(body, "code")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "\"code\" must be text");
    return 0;
}

/* {method, path, body, headers, query}, with url and data as other names. */
static int read_api(struct request *rq, const struct value *api, const struct value **ret,
                    struct status *st) {
    const struct value *path = value_get(api, "path"), *data = value_get(api, "body");

    if (value_is(path, VALUE_UNDEFINED))
        path = value_get(api, "url");
    if (value_is(data, VALUE_UNDEFINED))
        data = value_get(api, "data");
    if (!value_is_string(path) || path->len == 0)
        return st_fail(st, ST_BAD_REQUEST, NULL, "\"api.path\" is required");
    if (!value_is_string(value_get(api, "method")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "\"api.method\" is required");
    *ret = value_obj(rq->arena, "method", value_get(api, "method"), "path", path, "query",
                     value_get(api, "query"), "headers", value_get(api, "headers"),
                     "data", data, NULL);
    return 0;
}

static int act(struct request *rq, struct reply *rp, struct status *st) {
    struct action_run_request what = {.deadline_ms = rq->deadline_ms};
    struct model_selector sel;
    const struct value *body;

    if (request_object(rq, &body, st) < 0 || check_act(rq, body, st) < 0)
        return -1;
    sel = (struct model_selector){
        .id = value_get_string(body, "id", NULL),
        .key = value_get_string(body, "key", NULL),
        .integration_id = value_get_string(body, "integrationId", NULL),
        .integration_key = value_get_string(body, "integrationKey", NULL),
        .connection_id = value_get_string(body, "connectionId", NULL),
        .connection_key = value_get_string(body, "connectionKey", NULL),
    };
    what.input = value_get(body, "input");
    what.meta = value_get(body, "meta");
    if (value_is_object(value_get(body, "api"))) {
        if (read_api(rq, value_get(body, "api"), &what.api, st) < 0)
            return -1;
        what.connection = &sel;
    } else if (value_is_string(value_get(body, "code"))) {
        what.code = value_get_string(body, "code", "");
        what.connection = &sel;
    } else {
        what.selector = &sel;
    }
    return run(rq, rp, &what, st);
}

/* ---- logs ---- */

static const char *const hidden[] = {"workspaceId", "detail", "detailKey", NULL};

static int list_logs(struct request *rq, struct reply *rp, struct status *st) {
    static const struct model_rows_field fields[] = {
        {"actionId", "actionId"},
        {"universalActionId", "universalActionId"},
        {"integrationActionId", "integrationActionId"},
        {"connectionActionId", "connectionActionId"},
        {"integrationId", "integrationId"},
        {"connectionId", "connectionId"},
        {"status", "status"},
        {"externalAppId", "externalAppId"},
        {NULL, NULL},
    };
    struct model_rows list;

    if (model_rows_begin(rq, &list, st) < 0)
        return -1;
    model_rows_match(&list, fields);
    model_rows_between(&list);
    journal_flush(rq->deps->journal);
    return model_rows_reply(&list, C_ACTION_RUN_LOGS, hidden, rp, st);
}

static int find_log(struct request *rq, const struct value **ret, struct status *st) {
    journal_flush(rq->deps->journal);
    return model_rows_find(rq, C_ACTION_RUN_LOGS, "Action run", ret, st);
}

static int get_log(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *record;

    if (find_log(rq, &record, st) < 0)
        return -1;
    return reply_json(rp, 200, value_omit(rq->arena, record, hidden));
}

static int log_details(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *record, *detail;

    if (find_log(rq, &record, st) < 0 ||
        journal_detail(rq->deps->blob, rq->arena, record, &detail, st) < 0)
        return -1;
    if (value_is(detail, VALUE_UNDEFINED))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "The run's details have expired");
    return reply_json(rp, 200, detail);
}

#define INSTANCE_QUERY                                                                   \
    "id,autoCreate,instanceKey,userId,parentKey,parentId,integrationKey,integrationId,"  \
    "connectionId,connectionKey"

/* clang-format off */
static const struct route rows[] = {
    {HTTP_POST, "/actions/{selector}/run",  run_plural,   ACCESS_CUSTOMER, 0, "Runs an action.", "integrationKey,integrationId,connectionId,connectionKey,instanceKey", "ActionRun", "ActionRunResult", NULL},
    {HTTP_POST, "/action/run",              run_singular, ACCESS_CUSTOMER, 0, "Runs an action.", "id,key,integrationId,integrationKey,connectionId,connectionKey,instanceKey", "ActionRun", "ActionRunResult", NULL},
    {HTTP_POST, "/action-instance/run",     run_instance, ACCESS_CUSTOMER, 0, "Runs an action of a connection; the body is its input.", INSTANCE_QUERY, NULL, "ActionRunResult", NULL},
    {HTTP_POST, "/connections/{connectionSelector}/actions/{selector}/run", run_of_connection, ACCESS_CUSTOMER, 0, "Runs an action on a connection; the body is its input.", "instanceKey", NULL, "ActionRunResult", NULL},
    {HTTP_POST, "/act",                     act,          ACCESS_CUSTOMER, 0, "Runs a saved action, a request or code.", NULL, "Act", "ActionRunResult", NULL},
    {HTTP_GET,  "/action-run-logs",         list_logs,    ACCESS_CUSTOMER, 0, "Lists action runs.", "limit,cursor,actionId,universalActionId,integrationActionId,connectionActionId,integrationId,connectionId,tenantId,userId,status,externalAppId,from,to", NULL, "Page<ActionRunLog>", NULL},
    {HTTP_GET,  "/action-run-logs/{id}",    get_log,      ACCESS_CUSTOMER, 0, "One action run.", NULL, NULL, "ActionRunLog", NULL},
    {HTTP_GET,  "/action-run-logs/{id}/details", log_details, ACCESS_CUSTOMER, 0, "The log entries of one action run.", NULL, NULL, "ActionRunLogDetails", NULL},
};
/* clang-format on */

void action_run_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
