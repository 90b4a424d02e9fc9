/*
 * connection.c - the life of a connection: made, tested, renewed, disconnected, archived.
 *
 * The row exists before its credentials are tried, so that nothing a caller gave is lost
 * when the app is down; `connected` tells whether they worked (engine.md 7.11).
 */
#include "connection.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "connection_priv.h"
#include "connector/connector.h"
#include "deps/deps.h"
#include "model/model.h"
#include "schema/schema_fit.h"
#include "store/store.h"
#include "value/value.h"
#include "value/value_status.h"

/* ---- what a new connection is for ---- */

static int not_found(struct status *st, const char *what, const char *name) {
    return st_fail(st, ST_BAD_REQUEST, "not_found", "%s \"%.100s\" not found", what,
                   name);
}

static int find_integration(struct model_view *v, const struct value *body,
                            const struct value **ret, struct status *st) {
    const char *id = value_get_string(body, "integrationId", NULL);
    const char *key = value_get_string(body, "integrationKey", NULL);
    const char *uuid = value_get_string(body, "integrationUuid", NULL);
    int rc;

    *ret = NULL;
    if (uuid && !id && !key) {
        rc = model_find_uuid(v, EL_INTEGRATION, uuid, ret, st);
        return rc == 1 ? not_found(st, "Integration", uuid) : rc;
    }
    if (!id && !key)
        return 0;
    return model_resolve_integration(v, id ? id : key, ret, st);
}

static int find_target(struct model_view *v, const struct value *existing,
                       const struct value *body, struct connection_target *t,
                       struct status *st) {
    const struct deps *deps = model_view_deps(v);
    struct arena *a = model_view_arena(v);
    const struct value *named = existing ? existing : body;
    const char *connector;

    *t = (struct connection_target){0};
    if (find_integration(v, named, &t->integration, st) < 0)
        return -1;
    connector = value_get_string(named, "connectorId", NULL);
    if (!connector)
        connector = value_get_string(named, "connectorKey", NULL);
    if (!connector)
        connector = value_get_string(named, "connectorUuid", NULL);
    if (!t->integration && !connector)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "name an integration (integrationId or integrationKey) or a "
                       "connector (connectorId or connectorKey)");
    if (t->integration) {
        if (connection_load_connector(deps, a, model_view_workspace_id(v), t->integration,
                                      &value_empty_object, &t->connector, st) < 0)
            return -1;
    } else if (connector_load(deps, a, model_view_workspace_id(v), connector,
                              value_get_string(named, "connectorVersion", NULL),
                              &t->connector, st) < 0) {
        return -1;
    }
    t->option_key = value_get_string(body, "authOptionKey",
                                     value_get_string(existing, "authOptionKey", ""));
    t->option = connector_option(a, t->connector.doc, t->option_key);
    if (!t->option)
        return not_found(st, "Auth option", t->option_key);
    return 0;
}

/* ---- writing ---- */

static const struct value *member_or(const struct value *body, const char *name,
                                     const char *older, const struct value *otherwise) {
    const struct value *v = value_get(body, name);

    if (value_is(v, VALUE_UNDEFINED) && older)
        v = value_get(body, older);
    return value_is(v, VALUE_UNDEFINED) ? otherwise : v;
}

static int check_body(struct arena *a, const struct value *body, struct status *st) {
    static const char *const objects[] = {"input", "connectionParameters",
                                          "connectorParameters", "credentials", "meta"};
    const struct value *v = value_get(body, "key");

    for (size_t i = 0; i < sizeof(objects) / sizeof(*objects); i++) {
        const struct value *o = value_get(body, objects[i]);

        if (!value_is_nullish(o) && !value_is_object(o))
            return st_fail_data(st, ST_BAD_REQUEST, NULL,
                                value_obj(a, "path", value_string(a, objects[i]), NULL),
                                "\"%s\" must be an object", objects[i]);
    }
    if (!value_is_nullish(v) &&
        (!value_is_string(v) || v->len == 0 || value_utf16_length(v->str, v->len) > 100))
        return st_fail_data(st, ST_BAD_REQUEST, NULL,
                            value_obj(a, "path", value_string(a, "key"), NULL),
                            "\"key\" must have 1 to 100 characters");
    v = value_get(body, "name");
    if (!value_is_nullish(v) && !value_is_string(v))
        return st_fail(st, ST_BAD_REQUEST, NULL, "\"name\" must be text");
    return 0;
}

/*
 * The credentials that a connect form's input gives (engine.md 7.8). The session's
 * connection is the one in the making.
 */
static int credentials_from_input(struct connection_session *s, struct status *st) {
    struct external_session *x = &s->external;
    const struct value *function =
        value_get(x->option, "getCredentialsFromConnectionParameters");
    const struct value *args, *credentials;

    if (!value_is_object(function)) {
        x->credentials = x->connection_parameters;
        return 0;
    }
    args = value_obj(x->arena, "connectorParameters", x->connector_parameters,
                     "connectionParameters", x->connection_parameters, "connectionInput",
                     x->connection_parameters, NULL);
    if (external_run_function(x, function, args, &credentials, st) < 0)
        return -1;
    if (!value_is_object(credentials))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "getCredentialsFromConnectionParameters must give an object");
    x->credentials = credentials;
    x->client = NULL; /* made without them */
    return 0;
}

static int run_test(struct connection_session *s, struct status *st) {
    struct external_session *x = &s->external;
    const struct value *function = value_get(x->option, "test"), *result;

    if (!value_is_object(function))
        return 0;
    if (external_run_function(x, function, &value_empty_object, &result, st) < 0)
        return -1;
    /* A request that succeeded without a body is a pass; code must say so. */
    if (value_equals_text(value_get(function, "type"), "javascript") &&
        !value_truthy(result))
        return st_fail(st, ST_CONNECTION, NULL, "the connector's test answered \"no\"");
    return 0;
}

/* Does the error say that the credentials are wrong, rather than that the app is down? */
static bool is_auth_error(const struct status *st) {
    int code = st->data
                   ? (int)value_get_number(value_get(st->data, "response"), "status", 0)
                   : 0;

    if (st->type != ST_CONNECTION)
        return false;
    if (st->key && (strcmp(st->key, "access_token_expired") == 0 ||
                    strcmp(st->key, "connection_is_defunct") == 0))
        return true;
    return code == 401 || code == 403 || !st->key;
}

/* The members of the row that a request decides. */
static const struct value *build_row(const struct deps *deps, struct arena *a,
                                     const struct caller *caller, const char *customer_id,
                                     const struct value *existing,
                                     const struct value *body,
                                     const struct connection_target *t) {
    const struct value *integration = t->integration;
    const char *now = clock_iso_now(deps->clock, a);
    const struct value *key = value_get(body, "key");
    struct object_builder b;

    object_begin(&b, a, 32);
    if (existing) {
        object_set_all(&b, existing);
    } else {
        object_set_string(&b, "id", id_new(deps->clock, deps->rand, a));
        object_set_string(&b, "workspaceId", caller->workspace_id);
        object_set(
            &b, "name",
            member_or(body, "name", NULL,
                      value_get(integration ? integration : t->connector.doc, "name")));
        object_set_string(&b, "userId", customer_id);
        object_set_string(&b, "tenantId", customer_id);
        object_set_bool(&b, "isTest", caller->is_test);
        object_set_string(&b, "createdAt", now);
    }
    if (value_is_string(value_get(body, "name")))
        object_set(&b, "name", value_get(body, "name"));
    if (value_is_string(key))
        object_set(&b, "key", key);
    else if (value_is(key, VALUE_NULL))
        object_delete(&b, "key", 3);
    if (integration)
        object_set(&b, "integrationId", value_get(integration, "id"));
    object_set(&b, "connectorId", value_get(t->connector.doc, "id"));
    object_set_string(&b, "connectorVersion", t->connector.version);
    if (value_is_string(value_get(t->connector.doc, "externalAppId")))
        object_set(&b, "externalAppId", value_get(t->connector.doc, "externalAppId"));
    object_set_string(&b, "authOptionKey", t->option_key);
    if (value_is_object(value_get(body, "meta")))
        object_set(&b, "meta", value_get(body, "meta"));
    object_set_bool(&b, "canTest", value_is_object(value_get(t->option, "test")));
    object_set_string(&b, "updatedAt", now);
    object_delete(&b, "archivedAt", 10);
    return object_end(&b);
}

/* No credentials, no input, and the user must consent somewhere: what to do next. */
static const struct value *action_required(const struct deps *deps, struct arena *a) {
    (void)deps;
    return value_obj(a, "connected", &value_false, "disconnected", &value_true,
                     "isDefunct", &value_false, "state",
                     value_string(a, "CLIENT_ACTION_REQUIRED"), "errors",
                     &value_empty_array, "clientAction",
                     value_obj(a, "type", value_string(a, "connect"), "description",
                               value_string(a, "Connect the app to go on."), NULL),
                     NULL);
}

static int attempt_log(const struct deps *deps, struct arena *a, const struct value *row,
                       const char *request_id, const struct status *failure) {
    struct object_builder b;
    struct status ignored;

    st_init(&ignored, a);
    object_begin(&b, a, 16);
    object_set_string(&b, "id", id_new(deps->clock, deps->rand, a));
    object_set(&b, "workspaceId", value_get(row, "workspaceId"));
    object_set(&b, "userId", value_get(row, "userId"));
    object_set(&b, "tenantId", value_get(row, "tenantId"));
    object_set(&b, "connectionId", value_get(row, "id"));
    object_set(&b, "integrationId", value_get(row, "integrationId"));
    object_set(&b, "connectorId", value_get(row, "connectorId"));
    object_set(&b, "connectorVersion", value_get(row, "connectorVersion"));
    object_set(&b, "authOptionKey", value_get(row, "authOptionKey"));
    if (request_id)
        object_set_string(&b, "connectionRequestId", request_id);
    object_set_string(&b, "status", failure ? "error" : "success");
    if (failure)
        object_set(&b, "error", value_from_status(a, failure));
    object_set_string(&b, "createdAt", clock_iso_now(deps->clock, a));
    return store_insert(deps->store, C_CONNECTION_ATTEMPT_LOGS, object_end(&b), &ignored);
}

static int changed_step(struct model_view *v, void *ctx, struct status *st) {
    return model_connection_changed(v, ctx, st);
}

/* Row and secrets in the store; then whoever depends on it is evaluated again. */
static int save(const struct deps *deps, struct arena *a, const struct value *existing,
                const struct value *row, const struct connection_secrets *secrets,
                struct status *st) {
    int rc;

    if (connection_store_secrets(deps, a, row, secrets, st) < 0)
        return -1;
    rc = existing ? store_replace(deps->store, C_CONNECTIONS, row, NULL, st)
                  : store_insert(deps->store, C_CONNECTIONS, row, st);
    if (rc == 1)
        return not_found(st, "Connection", value_get_string(row, "id", ""));
    if (rc < 0)
        return -1;
    return model_transact(deps, a, NULL, value_get_string(row, "workspaceId", ""),
                          changed_step, (void *)value_get_string(row, "id", ""), st);
}

/* A null member is one that goes. */
static const struct value *with_members(struct arena *a, const struct value *row,
                                        const struct value *members) {
    struct object_builder b;

    object_begin(&b, a, row->len + members->len);
    object_set_all(&b, row);
    for (VALUE_EACH_MEMBER(m, members)) {
        if (value_is(&m->value, VALUE_NULL))
            object_delete(&b, m->key, m->key_len);
        else
            object_set_ref(&b, m->key, m->key_len, &m->value);
    }
    return object_end(&b);
}

/* Without allowMultipleConnections the customer's present connection is replaced in
 * place. */
static int find_replaced(const struct deps *deps, struct arena *a,
                         const char *customer_id, const struct value *body,
                         const struct connection_target *t, const struct value **ret,
                         struct status *st) {
    struct store_query q = {.sort = {{"createdAt", true}}, .limit = 1};
    const struct value *key = value_get(body, "key");
    int rc;

    *ret = NULL;
    q.where = store_and(a, store_eq_text(a, "tenantId", customer_id),
                        store_cmp(a, STORE_ABSENT, "archivedAt", NULL), NULL);
    if (value_is_string(key))
        q.where = store_and(a, q.where, store_eq(a, "key", key), NULL);
    else if (value_is_true(value_get(body, "allowMultipleConnections")))
        return 0;
    else
        q.where = store_and(a, q.where, store_cmp(a, STORE_ABSENT, "key", NULL), NULL);
    q.where =
        t->integration
            ? store_and(a, q.where,
                        store_eq(a, "integrationId", value_get(t->integration, "id")),
                        NULL)
            : store_and(a, q.where,
                        store_eq(a, "connectorId", value_get(t->connector.doc, "id")),
                        store_cmp(a, STORE_ABSENT, "integrationId", NULL), NULL);
    rc = store_find(deps->store, a, C_CONNECTIONS, &q, ret, st);
    if (rc == 1)
        *ret = NULL;
    return rc < 0 ? -1 : 0;
}

/* ---- drafts ---- */

int connection_draft_open(const struct deps *deps, struct arena *a,
                          const struct caller *caller, const char *customer_id,
                          const struct value *existing, const struct value *body,
                          struct connection_draft *d, struct status *st) {
    struct model_view *v = model_view_new(deps, a, caller, caller->workspace_id);
    const struct value *parameters = value_get(body, "connectorParameters");
    const struct value *input =
        member_or(body, "input", "connectionParameters", &value_undefined);

    *d = (struct connection_draft){
        .deps = deps,
        .arena = a,
        .caller = caller,
        .secrets = {&value_undefined, &value_empty_object, &value_empty_object},
    };
    if (check_body(a, body, st) < 0 || find_target(v, existing, body, &d->target, st) < 0)
        return -1;
    if (!existing &&
        find_replaced(deps, a, customer_id, body, &d->target, &existing, st) < 0)
        return -1;
    if (existing && connection_load_secrets(deps, a, value_get_string(existing, "id", ""),
                                            &d->secrets, st) < 0)
        return -1;
    if (value_is_object(input))
        d->secrets.input = input;
    if (value_is_object(parameters))
        d->secrets.connector_parameters = parameters;
    d->existing = existing;
    d->row = build_row(deps, a, caller, customer_id, existing, body, &d->target);
    return 0;
}

int connection_draft_check_input(struct connection_draft *d, struct status *st) {
    const struct value *schema = value_get(d->target.option, "inputSchema");

    if (!value_is_object(schema))
        return 0;
    return schema_validate_input(d->arena, schema, d->secrets.input, &d->secrets.input,
                                 st);
}

int connection_draft_session(struct connection_draft *d, struct status *st) {
    const struct connection_target *t = &d->target;
    struct connection_session *s = &d->session;

    connection_open_plain(d->deps, d->arena, d->caller->workspace, d->row, 0, s);
    s->integration = t->integration;
    s->connector = t->connector.doc;
    s->contents = t->connector.contents;
    s->external.option = t->option;
    s->external.operations = value_get(t->connector.contents, "operations");
    s->external.connector_key = value_get_string(t->connector.doc, "key", NULL);
    s->external.connection_parameters = d->secrets.input;
    s->external.credentials = value_is_object(d->secrets.credentials)
                                  ? d->secrets.credentials
                                  : &value_empty_object;
    s->external.refreshed = true; /* what was just given isn't renewed behind the back */
    return connection_connector_parameters(d->deps, d->arena, t->integration,
                                           t->option_key, d->secrets.connector_parameters,
                                           &s->external.connector_parameters, st);
}

bool connection_draft_is_interactive(const struct connection_draft *d) {
    static const char *const silent[] = {"client-credentials", "membrane-token",
                                         "integration-app-token"};
    const struct value *type = value_get(d->target.option, "type");

    for (size_t i = 0; i < sizeof(silent) / sizeof(*silent); i++)
        if (value_equals_text(type, silent[i]))
            return false;
    return !value_is_nullish(type);
}

int connection_draft_fail(struct connection_draft *d, const struct status *why) {
    attempt_log(d->deps, d->arena, d->row, d->request_id, why);
    return -1;
}

int connection_draft_use_input(struct connection_draft *d, struct status *st) {
    if (credentials_from_input(&d->session, st) < 0)
        return connection_draft_fail(d, st);
    d->secrets.credentials = d->session.external.credentials;
    return 0;
}

void connection_draft_use(struct connection_draft *d, const struct value *credentials) {
    d->secrets.credentials = credentials;
    d->session.external.credentials = credentials;
    d->session.external.client = NULL; /* made without them */
}

int connection_draft_store(struct connection_draft *d, enum connection_keep keep,
                           const struct value **ret_connection, struct status *st) {
    struct arena *a = d->arena;
    struct status why;

    st_init(&why, a);
    if (run_test(&d->session, &why) == 0) {
        d->row = with_members(
            a, d->row, connection_connected_members(d->deps, a, d->secrets.credentials));
    } else if (keep == CONNECTION_KEEP_ALWAYS ||
               (keep == CONNECTION_KEEP_UNTESTED && !is_auth_error(&why))) {
        d->row = with_members(
            a, d->row, connection_refused_members(d->deps, a, d->row, false, &why));
    } else {
        *st = why; /* the caller can correct it: nothing is stored */
        return connection_draft_fail(d, st);
    }
    d->row = with_members(a, d->row,
                          value_obj(a, "canRefreshCredentials",
                                    value_bool(connection_can_refresh(
                                        d->target.option, d->secrets.credentials)),
                                    NULL));
    attempt_log(d->deps, a, d->row, d->request_id, why.type == ST_OK ? NULL : &why);
    *ret_connection = d->row;
    return save(d->deps, a, d->existing, d->row, &d->secrets, st);
}

int connection_write(const struct deps *deps, struct arena *a,
                     const struct caller *caller, const char *customer_id,
                     const struct value *existing, const struct value *body,
                     const struct value **ret_connection, struct status *st) {
    const struct value *given = value_get(body, "credentials");
    struct connection_draft d;

    if (connection_draft_open(deps, a, caller, customer_id, existing, body, &d, st) < 0)
        return -1;
    if (d.existing && !value_is_object(given) &&
        !value_is_object(
            member_or(body, "input", "connectionParameters", &value_undefined)) &&
        !value_is_object(value_get(body, "connectorParameters"))) {
        *ret_connection = d.row;
        return save(deps, a, d.existing, d.row, &d.secrets, st);
    }
    if (value_is_object(given))
        d.secrets.credentials = given;
    else if (connection_draft_check_input(&d, st) < 0)
        return -1;
    if (connection_draft_session(&d, st) < 0)
        return -1;
    if (!value_is_object(given) && connection_draft_is_interactive(&d)) {
        *ret_connection = with_members(a, d.row, action_required(deps, a));
        return save(deps, a, d.existing, *ret_connection, &d.secrets, st);
    }
    if (!value_is_object(given) && connection_draft_use_input(&d, st) < 0)
        return -1;
    return connection_draft_store(
        &d, value_is_object(given) ? CONNECTION_KEEP_ALWAYS : CONNECTION_KEEP_UNTESTED,
        ret_connection, st);
}

/* ---- test, refresh ---- */

int connection_test(const struct deps *deps, struct arena *a,
                    const struct value *workspace, const struct value *connection,
                    struct status *st) {
    struct connection_session s;
    struct status why;

    if (connection_open_session(deps, a, workspace, connection, 0, true, &s, st) < 0)
        return -1;
    st_init(&why, a);
    if (run_test(&s, &why) == 0) {
        if (value_is_true(value_get(s.connection, "connected")))
            return 0;
        return connection_set(
            deps, a, s.connection,
            connection_connected_members(deps, a, s.external.credentials), &s.connection,
            st);
    }
    if (is_auth_error(&why)) {
        if (connection_set(deps, a, s.connection,
                           connection_refused_members(deps, a, s.connection, false, &why),
                           &s.connection, st) < 0)
            return -1;
    } else if (connection_set(
                   deps, a, s.connection,
                   value_obj(a, "requestError", value_from_status(a, &why), NULL),
                   &s.connection, st) < 0) {
        return -1;
    }
    *st = why;
    return 1;
}

int connection_refresh(const struct deps *deps, struct arena *a,
                       const struct value *workspace, const struct value *connection,
                       struct status *st) {
    struct connection_session s;
    int rc;

    if (connection_open_session(deps, a, workspace, connection, 0, true, &s, st) < 0)
        return -1;
    s.external.refreshed = true;
    rc = connection_renew(&s, st);
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "the credentials of this connection can't be refreshed");
    return rc;
}

/* ---- the end ---- */

static void run_disconnect(const struct deps *deps, struct arena *a,
                           const struct value *workspace,
                           const struct value *connection) {
    struct connection_session s;
    struct status ignored;
    const struct value *function, *result;

    st_init(&ignored, a);
    if (connection_open_session(deps, a, workspace, connection, 0, true, &s, &ignored) <
        0)
        return;
    function = value_get(s.external.option, "disconnect");
    if (value_is_object(function))
        external_run_function(
            &s.external, function,
            value_obj(a, "connectorParameters", s.external.connector_parameters,
                      "connectionParameters", s.external.connection_parameters, NULL),
            &result, &ignored);
}

int connection_disconnect(const struct deps *deps, struct arena *a,
                          const struct value *workspace, const struct value *connection,
                          const struct value **ret_connection, struct status *st) {
    const char *id = value_get_string(connection, "id", "");

    if (connection_set(deps, a, connection,
                       value_obj(a, "state", value_string(a, "DISCONNECTING"), NULL),
                       &connection, st) < 0)
        return -1;
    run_disconnect(deps, a, workspace, connection);
    if (store_delete(deps->store, C_CREDENTIALS, id, NULL, st) < 0)
        return -1;
    return connection_set(
        deps, a, connection,
        with_members(a, action_required(deps, a),
                     value_obj(a, "nextCredentialsRefreshAt", &value_null, NULL)),
        ret_connection, st);
}

int connection_archive(const struct deps *deps, struct arena *a,
                       const struct value *workspace, const struct value *connection,
                       struct status *st) {
    if (!value_is_nullish(value_get(connection, "archivedAt")))
        return 0;
    if (connection_disconnect(deps, a, workspace, connection, &connection, st) < 0)
        return -1;
    return connection_set(
        deps, a, connection,
        value_obj(a, "archivedAt", value_string(a, clock_iso_now(deps->clock, a)), NULL),
        &connection, st);
}

int connection_archive_all(const struct deps *deps, struct arena *a,
                           const struct value *workspace, const char *customer_id,
                           struct status *st) {
    struct store_query q = {
        .where = store_and(a, store_eq(a, "workspaceId", value_get(workspace, "id")),
                           store_eq_text(a, "tenantId", customer_id),
                           store_cmp(a, STORE_ABSENT, "archivedAt", NULL), NULL),
        .sort = {{"createdAt", true}},
        .limit = 100,
    };
    struct store_page page;

    do { /* what was archived is not found again */
        page = (struct store_page){0};
        if (store_list(deps->store, a, C_CONNECTIONS, &q, &page, st) < 0)
            return -1;
        for (VALUE_EACH_ITEM(connection, page.items))
            if (connection_archive(deps, a, workspace, connection, st) < 0)
                return -1;
    } while (page.items->len);
    return 0;
}

int connection_restore(const struct deps *deps, struct arena *a,
                       const struct value *connection,
                       const struct value **ret_connection, struct status *st) {
    return connection_set(deps, a, connection,
                          value_obj(a, "archivedAt", &value_null, NULL), ret_connection,
                          st);
}

/* ---- options ---- */

const char *connection_callback_uri(const struct deps *deps, struct arena *a,
                                    const struct value *integration) {
    const char *own = value_get_string(integration, "oAuthCallbackUri", NULL);
    const char *base = deps->config->base_oauth_callback_uri;

    if (own && *own)
        return own;
    if (!base)
        base = deps->config->base_uri ? deps->config->base_uri : "";
    return arena_printf(a, "%s/oauth-callback", base);
}

/* What the integration does not supply yet. */
static const struct value *missing_parameters(struct arena *a, const struct value *schema,
                                              const struct value *have) {
    struct object_builder properties;
    struct array_builder required;
    const struct value *rest;

    if (!value_is_object(schema))
        return NULL;
    object_begin(&properties, a, 4);
    for (VALUE_EACH_MEMBER(m, value_get(schema, "properties")))
        if (value_is_nullish(value_get_len(have, m->key, m->key_len)))
            object_set_ref(&properties, m->key, m->key_len, &m->value);
    if (properties.len == 0)
        return NULL;
    array_begin(&required, a, 4);
    for (VALUE_EACH_ITEM(r, value_get(schema, "required")))
        if (value_is_string(r) && value_is_nullish(value_get(have, r->str)))
            array_push(&required, r);
    rest = value_with(a, schema, "properties", object_end(&properties));
    return value_with(a, rest, "required",
                      required.len ? array_end(&required) : &value_undefined);
}

static const struct value *one_option(struct arena *a, const struct value *doc,
                                      const char *key, const struct value *option,
                                      const struct value *parameters,
                                      const struct value *callback) {
    const struct value *type = value_get(option, "type");
    bool oauth = value_equals_text(type, "oauth2") || value_equals_text(type, "oauth1");
    const struct value *input = value_get(option, "inputSchema");

    if (!value_is_object(input))
        input = value_path(option, "ui", "schema", NULL);
    if (value_is_nullish(type))
        type = value_get(doc, "type");
    if (value_is_nullish(type))
        type = value_string(a, "client-credentials");
    return value_obj(
        a, "key", key ? value_string(a, key) : NULL, "type", type, "title",
        value_get(option, "title"), "description", value_get(option, "description"),
        "inputSchema", value_is_object(input) ? input : NULL, "connectorParametersSchema",
        missing_parameters(a, value_get(option, "parametersSchema"), parameters),
        "oAuthCallbackUri", oauth ? callback : NULL, NULL);
}

static bool is_enabled(struct connection_session *s, const struct value *integration,
                       const char *key, const struct value *option,
                       const struct value *parameters) {
    const struct value *enabled = value_get(option, "enabled"), *built;
    struct arena *a = s->external.arena;
    struct status ignored;

    if (value_is_true(value_path(integration, "optionsConfig", key, "disabled", NULL)))
        return false;
    if (value_is(enabled, VALUE_UNDEFINED))
        return true;
    st_init(&ignored, a);
    if (external_run_function(
            &s->external,
            value_obj(a, "type", value_string(a, "mapping"), "mapping", enabled, NULL),
            value_obj(a, "connectorParameters", parameters, NULL), &built, &ignored) < 0)
        return false;
    return value_truthy(built);
}

int connection_options(const struct deps *deps, struct arena *a,
                       const struct caller *caller, const struct value *request,
                       const struct value **ret_options, struct status *st) {
    struct model_view *v = model_view_new(deps, a, caller, caller->workspace_id);
    const char *connection_id = value_get_string(request, "connectionId", NULL);
    const struct value *existing = NULL, *parameters, *callback, *options;
    struct connection_session s;
    struct array_builder list;
    struct connection_target t;

    if (connection_id) {
        struct model_selector sel = {.connection_id = connection_id};

        if (model_resolve_connection(v, &sel, &existing, st) < 0)
            return -1;
    }
    if (find_target(v, existing, request, &t, st) < 0)
        return -1;
    if (connection_connector_parameters(deps, a, t.integration, "",
                                        value_get(request, "connectorParameters"),
                                        &parameters, st) < 0)
        return -1;
    connection_open_plain(deps, a, caller->workspace, NULL, 0, &s);
    callback = value_string(a, connection_callback_uri(deps, a, t.integration));
    options = value_get(t.connector.doc, "options");
    array_begin(&list, a, 4);
    for (VALUE_EACH_MEMBER(m, options)) {
        const struct value *option = connector_option(a, t.connector.doc, m->key);
        const struct value *own;

        if (!option || !is_enabled(&s, t.integration, m->key, option, parameters) ||
            value_equals_text(value_get(option, "type"), "proxy"))
            continue;
        if (connection_connector_parameters(deps, a, t.integration, m->key,
                                            value_get(request, "connectorParameters"),
                                            &own, st) < 0)
            return -1;
        array_push(&list, one_option(a, t.connector.doc, m->key, option, own, callback));
    }
    if (value_members_count(options) == 0)
        array_push(&list, one_option(a, t.connector.doc, NULL, t.connector.doc,
                                     parameters, callback));
    *ret_options = array_end(&list);
    return 0;
}
