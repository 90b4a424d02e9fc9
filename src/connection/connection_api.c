/*
 * connection_api.c - /connections, /connection-options and the logs of calls.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "connection_priv.h"
#include "connector/connector.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_page.h"
#include "http/http_server.h"
#include "journal/journal.h"
#include "model/model.h"
#include "model/model_rows.h"
#include "store/store.h"
#include "value/value.h"

/* ---- common steps ---- */

static struct model_view *view_of(struct request *rq) {
    return model_view_new(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id);
}

/* The connection of the path; also archived ones, by id. */
static int find(struct request *rq, const struct value **ret, struct status *st) {
    struct model_selector sel = {.connection = rq->param[0]};
    struct model_view *v = view_of(rq);
    const char *owner;
    int rc = model_resolve_connection(v, &sel, ret, st);

    if (rc == 0 || !st->key || strcmp(st->key, "not_found") != 0)
        return rc;
    rc = store_get(rq->deps->store, rq->arena, C_CONNECTIONS, rq->param[0], ret, st);
    if (rc < 0)
        return -1;
    owner = rc == 0 ? value_get_string(*ret, "tenantId", "") : "";
    if (rc == 1 ||
        !value_equals_text(value_get(*ret, "workspaceId"), rq->caller->workspace_id) ||
        (rq->caller->customer_id && strcmp(owner, rq->caller->customer_id) != 0))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Connection \"%.100s\" not found",
                       rq->param[0]);
    st_clear(st);
    return 0;
}

static int session(struct request *rq, bool even_disconnected,
                   struct connection_session *s, struct status *st) {
    const struct value *connection;

    if (find(rq, &connection, st) < 0)
        return -1;
    return connection_open_session(rq->deps, rq->arena, rq->caller->workspace, connection,
                                   rq->deadline_ms, even_disconnected, s, st);
}

/* The served connection: private members out, secrets in only when asked for and allowed.
 */
static int render(struct request *rq, const struct value *connection, bool secrets,
                  bool joins, const struct value **ret, struct status *st) {
    static const char *const hidden[] = {"workspaceId", NULL};
    static const char *const secret_parts[] = {"parameters", "optionsConfig", NULL};
    struct connection_secrets opened;
    struct arena *a = rq->arena;
    struct model_view *v = view_of(rq);
    const struct value *served = value_omit(a, connection, hidden), *other;
    const char *id = value_get_string(connection, "integrationId", NULL);

    if (secrets) {
        if (connection_load_secrets(rq->deps, a, value_get_string(connection, "id", ""),
                                    &opened, st) < 0)
            return -1;
        served = value_merge(a, served,
                             value_obj(a, "credentials", opened.credentials, "input",
                                       opened.input, "connectorParameters",
                                       opened.connector_parameters, NULL));
    }
    if (joins && id) {
        int rc = model_get(v, EL_INTEGRATION, id, &other, st);

        if (rc < 0)
            return -1;
        if (rc == 0) {
            if (model_render(v, EL_INTEGRATION, other, 0, &other, st) < 0)
                return -1;
            served =
                value_with(a, served, "integration", value_omit(a, other, secret_parts));
        }
    }
    if (joins && (id = value_get_string(connection, "tenantId", NULL))) {
        int rc =
            auth_find_customer(rq->deps, a, rq->caller->workspace_id, id, &other, st);

        if (rc < 0)
            return -1;
        if (rc == 0)
            served = value_with(a, served, "user", value_omit(a, other, hidden));
    }
    *ret = served;
    return 0;
}

int connection_render(struct request *rq, const struct value *connection,
                      const struct value **ret, struct status *st) {
    return render(rq, connection, false, true, ret, st);
}

static int reply_connection(struct request *rq, struct reply *rp,
                            const struct value *connection, struct status *st) {
    bool secrets = request_query_bool(rq, "includeSecrets", false);
    const struct value *served;

    if (secrets && !auth_may_see_secrets(rq->caller))
        return st_fail(st, ST_BAD_REQUEST, "access_denied",
                       "includeSecrets needs an admin token");
    if (render(rq, connection, secrets, true, &served, st) < 0)
        return -1;
    return reply_json(rp, 200, served);
}

/* ---- lists ---- */

static int and_integration(struct model_rows *list, struct status *st) {
    const char *name = request_query(list->rq, "integrationId");
    const struct value *doc;

    if (!name)
        name = request_query(list->rq, "integrationKey");
    if (!name)
        return 0;
    if (model_resolve_integration(view_of(list->rq), name, &doc, st) < 0)
        return -1;
    model_rows_where(list,
                     store_eq(list->rq->arena, "integrationId", value_get(doc, "id")));
    return 0;
}

static void and_search(struct model_rows *list) {
    struct arena *a = list->rq->arena;
    const struct value *text;

    if (!list->page.search)
        return;
    text = value_string(a, list->page.search);
    model_rows_where(list, store_or(a, store_cmp(a, STORE_CONTAINS, "name", text),
                                    store_cmp(a, STORE_CONTAINS, "key", text), NULL));
}

static int list(struct request *rq, struct reply *rp, struct status *st) {
    static const struct model_rows_field fields[] = {
        {"connectorId", "connectorId"},
        {"connectorVersion", "connectorVersion"},
        {"externalAppId", "externalAppId"},
        {NULL, NULL},
    };
    bool secrets = request_query_bool(rq, "includeSecrets", false);
    const struct value *doc;
    struct model_rows found;
    struct store_page page;
    struct array_builder items;

    if (secrets && !auth_may_see_secrets(rq->caller))
        return st_fail(st, ST_BAD_REQUEST, "access_denied",
                       "includeSecrets needs an admin token");
    if (model_rows_begin(rq, &found, st) < 0 || and_integration(&found, st) < 0)
        return -1;
    model_rows_match(&found, fields);
    model_rows_match_bool(&found, "connected", "connected", false);
    model_rows_match_bool(&found, "disconnected", "connected", true);
    model_rows_match_bool(&found, "isTest", "isTest", false);
    if (!found.page.include_archived)
        model_rows_where(&found, store_cmp(rq->arena, STORE_ABSENT, "archivedAt", NULL));
    and_search(&found);
    if (model_rows_load(&found, C_CONNECTIONS, &page, st) < 0)
        return -1;
    array_begin(&items, rq->arena, page.items->len);
    for (VALUE_EACH_ITEM(i, page.items)) {
        if (render(rq, i, secrets, true, &doc, st) < 0)
            return -1;
        array_push(&items, doc);
    }
    return http_page_reply(rp, array_end(&items), page.cursor);
}

/* ---- one connection ---- */

static int create(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *connection;
    const char *named, *customer;

    if (request_object(rq, &body, st) < 0)
        return -1;
    named = value_get_string(body, "tenantId", value_get_string(body, "userId", NULL));
    if (!named)
        named = request_query(rq, "userId");
    if (model_resolve_customer(view_of(rq), named, &customer, st) < 0)
        return -1;
    if (!customer)
        return st_fail(
            st, ST_BAD_REQUEST, NULL,
            "a connection belongs to a customer: use a customer's token, or name "
            "one with userId");
    if (connection_write(rq->deps, rq->arena, rq->caller, customer, NULL, body,
                         &connection, st) < 0)
        return -1;
    return reply_connection(rq, rp, connection, st);
}

static int get(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *connection;

    if (find(rq, &connection, st) < 0)
        return -1;
    return reply_connection(rq, rp, connection, st);
}

static int update(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *connection;

    if (request_object(rq, &body, st) < 0 || find(rq, &connection, st) < 0)
        return -1;
    if (!value_is_nullish(value_get(connection, "archivedAt")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the connection is archived");
    if (connection_write(rq->deps, rq->arena, rq->caller,
                         value_get_string(connection, "tenantId", ""), connection, body,
                         &connection, st) < 0)
        return -1;
    return reply_connection(rq, rp, connection, st);
}

static int archive(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *connection;

    if (find(rq, &connection, st) < 0 ||
        connection_archive(rq->deps, rq->arena, rq->caller->workspace, connection, st) <
            0 ||
        find(rq, &connection, st) < 0)
        return -1;
    return reply_connection(rq, rp, connection, st);
}

static int restore(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *connection;

    if (find(rq, &connection, st) < 0 ||
        connection_restore(rq->deps, rq->arena, connection, &connection, st) < 0)
        return -1;
    return reply_connection(rq, rp, connection, st);
}

static int disconnect(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *connection;

    if (find(rq, &connection, st) < 0 ||
        connection_disconnect(rq->deps, rq->arena, rq->caller->workspace, connection,
                              &connection, st) < 0)
        return -1;
    return reply_connection(rq, rp, connection, st);
}

/* POST /integrations/{selector}/disconnect: the caller's default connection of it. */
static int disconnect_integration(struct request *rq, struct reply *rp,
                                  struct status *st) {
    struct model_selector sel = {.integration = rq->param[0]};
    const struct value *connection;

    if (model_resolve_connection(view_of(rq), &sel, &connection, st) < 0 ||
        connection_disconnect(rq->deps, rq->arena, rq->caller->workspace, connection,
                              &connection, st) < 0)
        return -1;
    return reply_connection(rq, rp, connection, st);
}

static int refresh(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *connection;

    if (find(rq, &connection, st) < 0 ||
        connection_refresh(rq->deps, rq->arena, rq->caller->workspace, connection, st) <
            0 ||
        find(rq, &connection, st) < 0)
        return -1;
    return reply_connection(rq, rp, connection, st);
}

static int test(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *connection;
    int rc;

    if (find(rq, &connection, st) < 0)
        return -1;
    rc = connection_test(rq->deps, rq->arena, rq->caller->workspace, connection, st);
    if (rc < 0)
        return -1;
    st_clear(st);
    return reply_json(rp, 200,
                      value_obj(rq->arena, "success", value_bool(rc == 0), NULL));
}

/* ---- the app behind it ---- */

static int operations(struct request *rq, struct reply *rp, struct status *st) {
    struct connection_session s;

    if (session(rq, true, &s, st) < 0)
        return -1;
    return reply_json(rp, 200, connector_render_operations(rq->arena, s.contents));
}

static int operation(struct request *rq, struct reply *rp, struct status *st) {
    struct connection_session s;
    const struct value *op;

    if (session(rq, true, &s, st) < 0)
        return -1;
    op = value_path(s.contents, "operations", rq->param[1], NULL);
    if (!value_is_object(op))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Operation \"%.100s\" not found",
                       rq->param[1]);
    return reply_json(rp, 200, connector_render_operation(rq->arena, op));
}

static int run_operation(struct request *rq, struct reply *rp, struct status *st) {
    struct connection_session s;
    const struct value *body, *output, *logs;

    if (request_object(rq, &body, st) < 0 || session(rq, false, &s, st) < 0)
        return -1;
    if (external_run_operation(&s.external, rq->param[1], value_get(body, "input"),
                               &output, st) < 0) {
        st->logs = external_session_logs(&s.external);
        return -1;
    }
    logs = external_session_logs(&s.external);
    return reply_json(
        rp, 200, value_obj(rq->arena, "output", output, "executionLogs", logs, NULL));
}

static int collections(struct request *rq, struct reply *rp, struct status *st) {
    struct connection_session s;

    if (session(rq, true, &s, st) < 0)
        return -1;
    return reply_json(rp, 200, connector_render_collections(rq->arena, s.contents));
}

static int run_request(struct request *rq, struct reply *rp, const struct value *request,
                       struct status *st) {
    struct connection_session s;
    const struct value *response;

    if (session(rq, false, &s, st) < 0)
        return -1;
    if (external_request(&s.external, request, false, &response, st) < 0)
        return -1;
    response = value_get(response, "data");
    return value_is(response, VALUE_UNDEFINED) ? reply_empty(rp, 204)
                                               : reply_json(rp, 200, response);
}

/* POST /connections/{selector}/api/{path}: the body is the data of a POST to the app. */
static int api(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body;
    const char *path = rq->param[1];

    if (request_json(rq, &body, st) < 0)
        return -1;
    if (strncmp(path, "http:", 5) != 0 && strncmp(path, "https:", 6) != 0)
        path = arena_printf(rq->arena, "/%s", path);
    return run_request(rq, rp,
                       value_obj(rq->arena, "path", value_string(rq->arena, path),
                                 "method", value_string(rq->arena, "POST"), "query",
                                 rq->query, "data", body, NULL),
                       st);
}

/* {key, payload}: the older name of running an operation. */
static int execute_request(struct request *rq, struct reply *rp, struct status *st) {
    struct connection_session s;
    const struct value *body, *output;
    const char *key;

    if (request_object(rq, &body, st) < 0)
        return -1;
    key = value_get_string(body, "key", NULL);
    if (!key)
        return st_fail(st, ST_BAD_REQUEST, NULL, "\"key\" is required");
    if (session(rq, false, &s, st) < 0 ||
        external_run_operation(&s.external, key, value_get(body, "payload"), &output,
                               st) < 0)
        return -1;
    return value_is(output, VALUE_UNDEFINED) ? reply_empty(rp, 204)
                                             : reply_json(rp, 200, output);
}

/* ---- options ---- */

static int options(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *list_of;

    if (request_object(rq, &body, st) < 0 ||
        connection_options(rq->deps, rq->arena, rq->caller, body, &list_of, st) < 0)
        return -1;
    return reply_json(rp, 200, list_of);
}

static int connector_options(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *list_of;

    if (request_object(rq, &body, st) < 0)
        return -1;
    body =
        value_with(rq->arena, body, "connectorId", value_string(rq->arena, rq->param[0]));
    if (connection_options(rq->deps, rq->arena, rq->caller, body, &list_of, st) < 0)
        return -1;
    return reply_json(rp, 200, list_of);
}

/* ---- logs ---- */

static const char *const hidden_of_log[] = {"detail", "detailKey", NULL};

static int list_logs(struct request *rq, struct reply *rp, enum collection c,
                     struct status *st) {
    static const struct model_rows_field fields[] = {
        {"integrationId", "integrationId"},
        {"connectionId", "connectionId"},
        {"externalAppId", "externalAppId"},
        {"status", "status"},
        {NULL, NULL},
    };
    struct model_rows found;

    if (model_rows_begin(rq, &found, st) < 0)
        return -1;
    model_rows_match(&found, fields);
    model_rows_match_bool(&found, "isSuccess", "isSuccess", false);
    model_rows_between(&found);
    journal_flush(rq->deps->journal);
    return model_rows_reply(&found, c, hidden_of_log, rp, st);
}

static int api_logs(struct request *rq, struct reply *rp, struct status *st) {
    return list_logs(rq, rp, C_EXTERNAL_API_LOGS, st);
}

static int attempt_logs(struct request *rq, struct reply *rp, struct status *st) {
    return list_logs(rq, rp, C_CONNECTION_ATTEMPT_LOGS, st);
}

static int find_api_log(struct request *rq, const struct value **ret, struct status *st) {
    journal_flush(rq->deps->journal);
    return model_rows_find(rq, C_EXTERNAL_API_LOGS, "External API log", ret, st);
}

static int api_log(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *record;

    if (find_api_log(rq, &record, st) < 0)
        return -1;
    return reply_json(rp, 200, value_omit(rq->arena, record, hidden_of_log));
}

static int api_log_details(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *record, *detail;

    if (find_api_log(rq, &record, st) < 0 ||
        journal_detail(rq->deps->blob, rq->arena, record, &detail, st) < 0)
        return -1;
    if (value_is(detail, VALUE_UNDEFINED))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "The log's details have expired");
    return reply_json(rp, 200, detail);
}

#define PROXY(method)                                                                    \
    {                                                                                    \
        method, "/connections/{selector}/proxy/{path*}", connection_proxy,               \
            ACCESS_CUSTOMER, ROUTE_RAW_BODY, "Passes a request on to the app.", NULL,    \
            NULL, NULL, NULL                                                             \
    }

/* clang-format off */
static const struct route rows[] = {
    {HTTP_GET,    "/connections",                                   list,            ACCESS_CUSTOMER, 0, "Lists connections.", "limit,cursor,search,includeArchived,tenantId,integrationId,integrationKey,connectorId,connectorVersion,externalAppId,connected,disconnected,isTest,userId,includeSecrets", NULL, "Page<Connection>", NULL},
    {HTTP_POST,   "/connections",                                   create,          ACCESS_CUSTOMER, 0, "Makes a connection.", NULL, "ConnectionWrite", "Connection", NULL},
    {HTTP_GET,    "/connections/{selector}",                        get,             ACCESS_CUSTOMER, 0, "Returns one connection.", "includeSecrets", NULL, "Connection", NULL},
    {HTTP_PATCH,  "/connections/{selector}",                        update,          ACCESS_CUSTOMER, 0, "Changes a connection.", NULL, "ConnectionWrite", "Connection", NULL},
    {HTTP_PUT,    "/connections/{selector}",                        update,          ACCESS_CUSTOMER, 0, "Changes a connection.", NULL, "ConnectionWrite", "Connection", NULL},
    {HTTP_DELETE, "/connections/{selector}",                        archive,         ACCESS_CUSTOMER, 0, "Disconnects and archives a connection.", NULL, NULL, "Connection", NULL},
    {HTTP_POST,   "/connections/{selector}/restore",                restore,         ACCESS_CUSTOMER, 0, "Restores an archived connection, disconnected.", NULL, NULL, "Connection", NULL},
    {HTTP_POST,   "/connections/{selector}/disconnect",             disconnect,      ACCESS_CUSTOMER, 0, "Erases the credentials.", NULL, NULL, "Connection", NULL},
    {HTTP_POST,   "/connections/{selector}/refresh-credentials",    refresh,         ACCESS_CUSTOMER, 0, "Renews the credentials now.", NULL, NULL, "Connection", NULL},
    {HTTP_POST,   "/connections/{selector}/test",                   test,            ACCESS_CUSTOMER, 0, "Tests the credentials.", NULL, NULL, "TestResult", NULL},
    {HTTP_GET,    "/connections/{selector}/operations",             operations,      ACCESS_CUSTOMER, 0, "The connector's operations.", NULL, NULL, "OperationListItem[]", NULL},
    {HTTP_GET,    "/connections/{selector}/operations/{operationKey}", operation,    ACCESS_CUSTOMER, 0, "One operation.", NULL, NULL, "OperationSpec", NULL},
    {HTTP_POST,   "/connections/{selector}/operations/{operationKey}/run", run_operation, ACCESS_CUSTOMER, 0, "Runs an operation.", NULL, "OperationRun", "OperationResult", NULL},
    {HTTP_GET,    "/connections/{selector}/data",                   collections,     ACCESS_CUSTOMER, 0, "The connector's data collections.", NULL, NULL, "DataCollectionListItem[]", NULL},
    {HTTP_POST,   "/connections/{selector}/api/{path*}",            api,             ACCESS_CUSTOMER, 0, "Posts to the app, with its errors mapped.", NULL, NULL, NULL, NULL},
    {HTTP_POST,   "/connections/{selector}/execute-request",        execute_request, ACCESS_CUSTOMER, 0, "Runs an operation by {key, payload}.", NULL, "ExecuteRequest", NULL, NULL},
    {HTTP_POST,   "/integrations/{selector}/disconnect",            disconnect_integration, ACCESS_CUSTOMER, 0, "Disconnects the caller's connection of the integration.", NULL, NULL, "Connection", NULL},
    {HTTP_POST,   "/connection-options",                            options,         ACCESS_CUSTOMER, ROUTE_READS, "Ways to connect.", NULL, "GenerateOptions", "ConnectionOption[]", NULL},
    {HTTP_POST,   "/connectors/{idOrKey}/generate-options",         connector_options, ACCESS_CUSTOMER, ROUTE_READS, "Ways to connect to a connector.", NULL, "GenerateOptions", "ConnectionOption[]", NULL},
    {HTTP_GET,    "/external-api-logs",                             api_logs,        ACCESS_CUSTOMER, 0, "Lists calls to apps.", "limit,cursor,tenantId,integrationId,connectionId,isSuccess,externalAppId,from,to,sortOrder", NULL, "Page<ExternalApiLog>", NULL},
    {HTTP_GET,    "/external-api-logs/{id}",                        api_log,         ACCESS_CUSTOMER, 0, "One call.", NULL, NULL, "ExternalApiLog", NULL},
    {HTTP_GET,    "/external-api-logs/{id}/details",                api_log_details, ACCESS_CUSTOMER, 0, "Request and response of one call, secrets removed.", NULL, NULL, "ExternalApiLogDetails", NULL},
    {HTTP_GET,    "/connection-attempt-logs",                       attempt_logs,    ACCESS_CUSTOMER, 0, "Lists tries to connect.", "limit,cursor,connectionId,integrationId,status", NULL, "Page<ConnectionAttemptLog>", NULL},
    PROXY(HTTP_GET), PROXY(HTTP_POST), PROXY(HTTP_PUT), PROXY(HTTP_PATCH), PROXY(HTTP_DELETE), PROXY(HTTP_HEAD), PROXY(HTTP_OPTIONS),
};
/* clang-format on */

void connection_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
