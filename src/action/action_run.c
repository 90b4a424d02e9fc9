/*
 * action_run.c - one run: choose the layer, check the input, do what the type says, map
 * the output, leave a record.
 *
 * A type is a row of `types` and one function; everything around it is the same for all.
 */
#include "action_run.h"

#include <stdbool.h>
#include <string.h>

#include "action/action_data.h"
#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "connection/connection.h"
#include "deps/deps.h"
#include "external/external.h"
#include "formula/formula.h"
#include "journal/journal.h"
#include "model/model.h"
#include "schema/schema_fit.h"
#include "store/store.h"
#include "value/value.h"
#include "value/value_status.h"

struct run {
    const struct deps *deps;
    struct arena *arena;
    const struct caller *caller;
    struct model_view *view;
    const struct action_run_request *rq;
    const struct value *action;      /* document; for api and code one made up */
    const struct value *connection;  /* document, or NULL */
    const struct value *integration; /* document, or NULL */
    const struct value *user;        /* customer document, or NULL */
    const struct value *input, *config;
    const struct value *variables;
    struct connection_session session;
    int64_t deadline_ms;
};

/* ---- types ---- */

/* What requests give: {data, status, headers}. */
static const struct value *request_output(struct arena *a, const struct value *response) {
    static const char *const shown[] = {"data", "status", "headers", NULL};

    return value_pick(a, response, shown);
}

static int build(struct run *r, const struct value *v, const struct value **ret,
                 struct status *st) {
    return formula_build_value(r->arena, v, r->variables, ret, st);
}

static int built_request(struct run *r, const struct value **ret, struct status *st) {
    const struct value *request = value_get(r->config, "request");

    if (!value_is_object(request))
        request = r->config; /* older actions keep the request at the top */
    if (build(r, request, ret, st) < 0)
        return -1;
    if (!value_is_object(*ret))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the action's request must be an object");
    return 0;
}

static int run_external_request(struct run *r, const struct value **ret,
                                struct status *st) {
    const struct value *request, *response;

    if (built_request(r, &request, st) < 0 ||
        external_request(&r->session.external, request,
                         value_get_bool(r->config, "allowNon2xx", false), &response,
                         st) < 0)
        return -1;
    *ret = request_output(r->arena, response);
    return 0;
}

static int run_http_request(struct run *r, const struct value **ret, struct status *st) {
    const struct value *request, *response;

    if (built_request(r, &request, st) < 0 ||
        external_plain_request(&r->session.external, NULL, request,
                               value_get_bool(r->config, "allowNon2xx", false), &response,
                               st) < 0)
        return -1;
    *ret = request_output(r->arena, response);
    return 0;
}

/*
 * The workspace's own app: address, headers and query are settings of the workspace,
 * with formulas over the customer and its credentials (engine.md 14.1).
 */
static int run_app_request(struct run *r, const struct value **ret, struct status *st) {
    const struct value *workspace = r->caller->workspace, *client, *request, *response;
    const char *base = value_get_string(workspace, "apiBaseUri", NULL);

    if (connection_app_client(
            r->deps, r->arena, workspace, value_get(r->variables, "user"),
            r->user ? value_get_string(r->user, "id", "") : NULL, &client, st) < 0 ||
        built_request(r, &request, st) < 0)
        return -1;
    r->session.external.client = client;
    if (external_plain_request(&r->session.external, base, request,
                               value_get_bool(r->config, "allowNon2xx", false), &response,
                               st) < 0)
        return -1;
    *ret = request_output(r->arena, response);
    return 0;
}

static int run_operation(struct run *r, const struct value **ret, struct status *st) {
    const char *key = value_get_string(r->config, "operationKey", NULL);
    const struct value *input = value_get(r->config, "inputMapping");

    if (!key)
        return st_fail(st, ST_CONFIGURATION, NULL, "the action names no operationKey");
    if (value_is(input, VALUE_UNDEFINED))
        input = value_get(r->config, "input");
    if (value_is(input, VALUE_UNDEFINED))
        input = r->input;
    else if (build(r, input, &input, st) < 0)
        return -1;
    return external_run_operation(&r->session.external, key, input, ret, st);
}

static int run_javascript(struct run *r, const struct value **ret, struct status *st) {
    const struct value *function =
        value_obj(r->arena, "type", value_string(r->arena, "javascript"), "code",
                  value_get(r->config, "code"), NULL);

    return external_run_function(&r->session.external, function, r->variables, ret, st);
}

/* Records of a collection, through a data source and a field mapping. */
static int run_data(struct run *r, const struct value **ret, struct status *st) {
    const struct model_selector *sel = r->rq->selector;
    const struct action_data d = {
        .session = &r->session,
        .view = r->view,
        .instance_key =
            value_get_string(r->action, "instanceKey", sel ? sel->instance_key : NULL),
        .config = r->config,
        .variables = r->variables,
        .input = r->input,
    };

    return action_data_run(&d, value_get_string(r->action, "type", ""), ret, st);
}

static const struct action_type {
    const char *name;
    bool needs_connection, takes_connection;
    int (*run)(struct run *r, const struct value **ret_output, struct status *st);
} types[] = {
    {"api-request-to-external-app", true, true, run_external_request},
    {"api-request", true, true, run_external_request},
    {"api-request-to-your-app", false, false, run_app_request},
    {"http-request", false, false, run_http_request},
    {"connector-operation", true, true, run_operation},
    {"run-javascript", false, true, run_javascript},
    {"list-data-records", true, true, run_data},
    {"search-data-record", true, true, run_data},
    {"find-data-record-by-id", true, true, run_data},
    {"match-data-record", true, true, run_data},
    {"create-data-record", true, true, run_data},
    {"update-data-record", true, true, run_data},
    {"delete-data-record", true, true, run_data},
    {"find-or-create-data-record", true, true, run_data},
};

static const struct action_type *type_of(const struct value *action, struct status *st) {
    const char *name = value_get_string(action, "type", NULL);

    for (size_t i = 0; name && i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    if (name)
        st_fail(st, ST_CONFIGURATION, NULL,
                "this server does not run actions of type \"%.60s\"", name);
    else
        st_fail(st, ST_CONFIGURATION, NULL, "the action has no type");
    return NULL;
}

/* ---- what to run, on what ---- */

static int resolve_connection(struct run *r, const struct model_selector *named,
                              struct status *st) {
    struct model_selector sel = {
        .connection_id = named->connection_id,
        .connection_key = named->connection_key,
        .connection = named->connection,
        .integration_id = named->integration_id,
        .integration_key = named->integration_key,
        .integration = named->integration,
        .user_id = named->user_id,
    };
    int rc = model_resolve_connection(r->view, &sel, &r->connection, st);

    if (rc == 1)
        r->connection = NULL;
    return rc < 0 ? -1 : 0;
}

/* The action as it is named, without making an instance of it. */
static int resolve_action(struct run *r, const struct model_selector *named,
                          struct status *st) {
    struct model_selector sel = *named;

    if (!sel.instance_only) {
        sel.connection_id = sel.connection_key = sel.connection = NULL;
        sel.auto_create = false;
        sel.layer = LAYER_ANY;
        if (r->connection && !sel.integration_id && !sel.integration_key &&
            !sel.integration)
            sel.integration_id = value_get_string(r->connection, "integrationId", NULL);
        sel.fall_back = true;
    }
    return model_resolve(r->view, EL_ACTION, &sel, &r->action, st);
}

/* The connection that the action itself is bound to. */
static int connection_of_action(struct run *r, struct status *st) {
    struct model_selector sel = {
        .connection_id = value_get_string(r->action, "connectionId", NULL),
        .integration_id = value_get_string(r->action, "integrationId", NULL),
        .user_id = r->rq->selector ? r->rq->selector->user_id : NULL,
    };

    if (r->connection || (!sel.connection_id && !sel.integration_id))
        return 0;
    return resolve_connection(r, &sel, st);
}

/* Connection level, else integration level, else the universal one. */
static int choose_layer(struct run *r, struct status *st) {
    const char *integration = value_get_string(r->connection, "integrationId", NULL);
    const char *key = value_get_string(r->action, "key", NULL);
    const struct value *lower;
    int rc;

    if (!r->connection || model_layer(r->action) == LAYER_CONNECTION)
        return 0;
    if (model_layer(r->action) == LAYER_UNIVERSAL && integration && key) {
        rc = model_find_key(r->view, EL_ACTION, integration, key, false, &lower, st);
        if (rc < 0)
            return -1;
        if (rc == 0)
            r->action = lower;
    }
    rc = model_find_instance(r->view, EL_ACTION, value_get_string(r->action, "id", ""),
                             value_get_string(r->connection, "id", ""),
                             r->rq->selector ? r->rq->selector->instance_key : NULL,
                             &lower, st);
    if (rc == 0)
        r->action = lower;
    return rc < 0 ? -1 : 0;
}

static int refuse_action(const struct value *action, struct status *st) {
    const char *name = value_get_string(action, "name", "");

    if (!model_is_live(action))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the action \"%.100s\" is archived",
                       name);
    if (value_is_true(value_get(action, "isDeactivated")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the action \"%.100s\" is deactivated",
                       name);
    return 0;
}

/* The customer that the run is for. */
static int find_user(struct run *r, struct status *st) {
    const char *id = value_get_string(r->connection, "tenantId", NULL);
    const char *own = r->caller->customer_id;
    int rc;

    r->user = r->caller->customer;
    if (!id || (own && strcmp(id, own) == 0))
        return 0;
    rc = auth_find_customer(r->deps, r->arena, r->caller->workspace_id, id, &r->user, st);
    if (rc == 1)
        r->user = NULL;
    return rc < 0 ? -1 : 0;
}

static int find_integration(struct run *r, struct status *st) {
    const char *id = value_get_string(r->connection, "integrationId", NULL);
    int rc = id ? model_get(r->view, EL_INTEGRATION, id, &r->integration, st) : 1;

    if (rc == 1)
        r->integration = NULL;
    return rc < 0 ? -1 : 0;
}

/* `input, user, actionInstance, connection, integration` (formulas.md 9). */
static const struct value *run_variables(struct run *r) {
    static const char *const shown[] = {"id", "name", NULL};
    static const char *const of_integration[] = {"id", "key", "name", NULL};
    static const char *const of_instance[] = {"id", "instanceKey", NULL};
    static const char *const not_of_user[] = {"workspaceId", "credentials", NULL};
    struct arena *a = r->arena;

    return value_obj(
        a, "input", r->input, "user",
        r->user ? value_omit(a, r->user, not_of_user) : NULL, "actionInstance",
        value_pick(a, r->action, of_instance), "connection",
        r->connection ? value_pick(a, r->connection, shown) : NULL, "integration",
        r->integration ? value_pick(a, r->integration, of_integration) : NULL, NULL);
}

/* ---- the record ---- */

static const struct value *act_body(struct run *r) {
    struct arena *a = r->arena;
    const struct action_run_request *rq = r->rq;

    return value_obj(a, "id", rq->selector ? value_get(r->action, "id") : NULL, "api",
                     rq->api, "code", rq->code ? value_string(a, rq->code) : NULL,
                     "connectionId",
                     r->connection ? value_get(r->connection, "id") : NULL, "input",
                     rq->input, "meta", rq->meta, NULL);
}

static void set_action_ids(struct run *r, struct object_builder *b) {
    static const char *const members[] = {"universalActionId", "integrationActionId",
                                          "connectionActionId"};
    const struct value *id = value_get(r->action, "id");

    switch (model_layer(r->action)) {
    case LAYER_CONNECTION:
        object_set(b, members[2], id);
        object_set(b, members[1], value_get(r->action, "parentId"));
        object_set(b, members[0], value_get(r->action, "universalParentId"));
        object_set(b, "actionInstanceId", id);
        break;
    case LAYER_INTEGRATION:
        object_set(b, members[1], id);
        object_set(b, members[0], value_get(r->action, "universalParentId"));
        break;
    default:
        object_set(b, members[0], id);
        object_set(b, members[1], id);
        break;
    }
    object_set(b, "actionId", id);
}

static const struct value *text_or_empty(struct arena *a, const struct value *v) {
    return value_is_string(v) ? v : value_string(a, "");
}

static void write_record(struct run *r, const char *run_id, int64_t started_ms,
                         const struct value *output, const struct status *failure) {
    static const char *const snapshot[] = {
        "id", "key", "name", "type", "integrationId", "connectionId", NULL};
    struct arena *a = r->arena;
    struct object_builder b;
    char started[32];

    if (!r->deps->journal || !value_get_bool(value_get(r->caller->workspace, "settings"),
                                             "enableActionRunLogs", true))
        return;
    value_format_date((double)started_ms, started);
    object_begin(&b, a, 24);
    object_set_string(&b, "id", run_id);
    object_set_string(&b, "workspaceId", r->caller->workspace_id);
    object_set(&b, "userId", text_or_empty(a, value_get(r->user, "id")));
    object_set(&b, "tenantId", value_get(r->user, "id"));
    object_set(&b, "integrationId",
               text_or_empty(a, value_get(r->connection, "integrationId")));
    object_set(&b, "connectionId", text_or_empty(a, value_get(r->connection, "id")));
    object_set(&b, "externalAppId", value_get(r->connection, "externalAppId"));
    object_set(&b, "name", value_get(r->action, "name"));
    if (r->rq->selector)
        set_action_ids(r, &b);
    else
        object_set_string(&b, "integrationActionId", "");
    object_set(&b, "input", external_redact(a, r->input));
    if (!failure)
        object_set(&b, "output", external_redact(a, output));
    object_set_string(&b, "status", failure ? "error" : "success");
    if (failure)
        object_set(&b, "error", external_redact(a, value_from_status(a, failure)));
    object_set(&b, "meta", r->rq->meta ? r->rq->meta : &value_undefined);
    object_set(&b, "action", value_pick(a, r->action, snapshot));
    object_set(&b, "act", external_redact(a, act_body(r)));
    object_set_string(&b, "createdAt", started);
    object_set_string(&b, "completedAt", clock_iso_now(r->deps->clock, a));
    object_set_number(&b, "duration",
                      (double)(clock_now_ms(r->deps->clock) - started_ms));
    journal_append(
        r->deps->journal, C_ACTION_RUN_LOGS, object_end(&b),
        value_obj(a, "logs", external_session_logs(&r->session.external), NULL));
}

/* ---- running ---- */

static int prepare(struct run *r, struct status *st) {
    const struct action_run_request *rq = r->rq;

    if (rq->selector) {
        if (resolve_connection(r, rq->selector, st) < 0 ||
            resolve_action(r, rq->selector, st) < 0 || connection_of_action(r, st) < 0 ||
            choose_layer(r, st) < 0 || refuse_action(r->action, st) < 0)
            return -1;
        return find_user(r, st) < 0 || find_integration(r, st) < 0 ? -1 : 0;
    }
    if (rq->connection && resolve_connection(r, rq->connection, st) < 0)
        return -1;
    if (rq->api)
        r->action =
            value_obj(r->arena, "name", value_string(r->arena, "API request"), "type",
                      value_string(r->arena, "api-request-to-external-app"), "config",
                      value_obj(r->arena, "request", rq->api, NULL), NULL);
    else
        r->action = value_obj(
            r->arena, "name", value_string(r->arena, "Inline code"), "type",
            value_string(r->arena, "run-javascript"), "config",
            value_obj(r->arena, "code", value_string(r->arena, rq->code), NULL), NULL);
    return find_user(r, st) < 0 || find_integration(r, st) < 0 ? -1 : 0;
}

static int open_session(struct run *r, const struct action_type *type,
                        struct status *st) {
    if (r->connection && type->takes_connection)
        return connection_open_session(r->deps, r->arena, r->caller->workspace,
                                       r->connection, r->deadline_ms, false, &r->session,
                                       st);
    connection_open_plain(r->deps, r->arena, r->caller->workspace, r->connection,
                          r->deadline_ms, &r->session);
    return 0;
}

static int check_input(struct run *r, struct status *st) {
    const struct value *schema = value_get(r->action, "inputSchema");

    r->input = r->rq->input ? r->rq->input : &value_undefined;
    if (!value_is_object(schema) || schema->len == 0)
        return 0;
    if (value_is(r->input, VALUE_UNDEFINED) &&
        value_equals_text(value_get(schema, "type"), "object"))
        r->input = &value_empty_object;
    return schema_validate_input(r->arena, schema, r->input, &r->input, st);
}

static int execute(struct run *r, const struct action_type *type,
                   const struct value **ret, struct status *st) {
    const struct value *mapping = value_get(r->action, "outputMapping"), *variables;
    struct formula_run run = {0};

    if (open_session(r, type, st) < 0)
        return -1;
    r->session.customer_id = r->caller->customer_id;
    if (type->run(r, ret, st) < 0)
        return -1;
    if (clock_monotonic_ms(r->deps->clock) > r->deadline_ms)
        return st_fail(st, ST_ACTION_RUN, NULL, "the run took longer than %d s",
                       ACTION_RUN_LIMIT_MS / 1000);
    if (value_is_nullish(mapping))
        return 0;
    variables = value_obj(r->arena, "input", r->input, "output", *ret, "user",
                          value_get(r->variables, "user"), NULL);
    run.variables = variables;
    return formula_resolve_value(r->arena, mapping, &run, ret, st);
}

/* More than the workspace may do is no failure of the action. */
static bool is_own_limit(const struct status *st) {
    return st->type == ST_BAD_REQUEST && st->key &&
           strcmp(st->key, "rate_limit_exceeded") == 0;
}

int action_run(const struct deps *deps, struct arena *a, const struct caller *caller,
               const struct action_run_request *rq, struct action_run_result *ret,
               struct status *st) {
    int64_t started = clock_now_ms(deps->clock);
    int64_t limit = clock_monotonic_ms(deps->clock) + ACTION_RUN_LIMIT_MS;
    const struct action_type *type;
    struct run r = {.deps = deps, .arena = a, .caller = caller, .rq = rq};

    *ret = (struct action_run_result){.output = &value_undefined};
    r.deadline_ms = rq->deadline_ms && rq->deadline_ms < limit ? rq->deadline_ms : limit;
    r.view = model_view_new(deps, a, caller, caller->workspace_id);
    if (prepare(&r, st) < 0)
        return -1;
    type = type_of(r.action, st);
    if (!type)
        return -1;
    if (type->needs_connection && !r.connection)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "the action needs a connection: name one with connectionId, "
                       "connectionKey or integrationKey");
    if (check_input(&r, st) < 0)
        return -1;
    r.config = value_get(r.action, "config");
    r.variables = run_variables(&r);
    ret->run_id = id_new(deps->clock, deps->rand, a);
    connection_open_plain(deps, a, caller->workspace, r.connection, r.deadline_ms,
                          &r.session);
    if (execute(&r, type, &ret->output, st) < 0) {
        if (st->type != ST_ACTION_RUN && !is_own_limit(st))
            st_wrap(st, ST_ACTION_RUN, NULL, "%s", st->message);
        write_record(&r, ret->run_id, started, NULL, st);
        return -1;
    }
    write_record(&r, ret->run_id, started, ret->output, NULL);
    return 0;
}

int action_run_step(const struct deps *deps, struct arena *a,
                    const struct action_step *step, const struct value **ret_output,
                    const struct value **ret_logs, struct status *st) {
    static const struct action_run_request none;
    struct run r = {.deps = deps,
                    .arena = a,
                    .caller = step->caller,
                    .rq = &none,
                    .connection = step->connection,
                    .user = step->user,
                    .input = step->input,
                    .config = step->config,
                    .variables = step->variables,
                    .deadline_ms = step->deadline_ms};
    const struct action_type *type;
    int rc;

    *ret_logs = &value_empty_array;
    *ret_output = &value_undefined;
    r.view = model_view_new(deps, a, r.caller, r.caller->workspace_id);
    r.action = value_obj(
        a, "type", value_string(a, step->type), "config", r.config, "instanceKey",
        step->instance_key ? value_string(a, step->instance_key) : NULL, NULL);
    type = type_of(r.action, st);
    if (!type)
        return -1;
    if (type->needs_connection && !r.connection)
        return st_fail(st, ST_CONFIGURATION, NULL, "this needs a connection");
    if (open_session(&r, type, st) < 0)
        return -1;
    r.session.external.asynchronous = true;
    r.session.external.cancel = step->cancel;
    rc = type->run(&r, ret_output, st);
    *ret_logs = external_session_logs(&r.session.external);
    return rc;
}
