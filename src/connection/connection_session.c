/*
 * connection_session.c - opening sessions, and what a session's hooks do to the stored
 * connection: renewed credentials, refusals, logs.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "connection_priv.h"
#include "connector/connector.h"
#include "coord/coord.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "formula/formula.h"
#include "journal/journal.h"
#include "model/model.h"
#include "runner/runner_client.h"
#include "store/store.h"
#include "value/value.h"
#include "value/value_status.h"

#define LOCK_WAIT_MS  30000
#define MARGIN_MAX_MS (5 * 60 * 1000.0)

/* ---- secrets ---- */

int connection_load_secrets(const struct deps *deps, struct arena *a, const char *id,
                            struct connection_secrets *ret, struct status *st) {
    const struct value *doc, *open = &value_undefined;
    const char *sealed;
    int rc = store_get(deps->store, a, C_CREDENTIALS, id, &doc, st);

    if (rc < 0)
        return -1;
    if (rc == 0 && (sealed = value_get_string(doc, "sealed", NULL)) &&
        crypto_unseal(deps->sealer, a, id, sealed, &open, st) < 0)
        return -1;
    ret->credentials = value_get(open, "credentials");
    ret->input = value_get(open, "input");
    ret->connector_parameters = value_get(open, "connectorParameters");
    if (!value_is_object(ret->input))
        ret->input = &value_empty_object;
    if (!value_is_object(ret->connector_parameters))
        ret->connector_parameters = &value_empty_object;
    return 0;
}

int connection_store_secrets(const struct deps *deps, struct arena *a,
                             const struct value *connection,
                             const struct connection_secrets *secrets,
                             struct status *st) {
    const char *id = value_get_string(connection, "id", "");
    const struct value *open =
        value_obj(a, "credentials", secrets->credentials, "input", secrets->input,
                  "connectorParameters", secrets->connector_parameters, NULL);
    const struct value *doc = value_obj(
        a, "id", value_string(a, id), "workspaceId", value_get(connection, "workspaceId"),
        "sealed", value_string(a, crypto_seal(deps->sealer, a, id, open)), "updatedAt",
        value_string(a, clock_iso_now(deps->clock, a)), NULL);
    int rc = store_replace(deps->store, C_CREDENTIALS, doc, NULL, st);

    return rc == 1 ? store_insert(deps->store, C_CREDENTIALS, doc, st) : rc;
}

/* ---- states ---- */

static int changed_step(struct model_view *v, void *ctx, struct status *st) {
    return model_connection_changed(v, ctx, st);
}

int connection_set(const struct deps *deps, struct arena *a,
                   const struct value *connection, const struct value *members,
                   const struct value **ret_connection, struct status *st) {
    const char *id = value_get_string(connection, "id", "");
    const char *unset[24];
    struct object_builder set;
    struct store_change change = {.unset = unset};
    size_t n = 0;
    int rc;

    object_begin(&set, a, 8);
    for (VALUE_EACH_MEMBER(m, members)) {
        if (value_is(&m->value, VALUE_NULL) && n + 1 < sizeof(unset) / sizeof(*unset))
            unset[n++] = m->key;
        else
            object_set_ref(&set, m->key, m->key_len, &m->value);
    }
    unset[n] = NULL;
    object_set_string(&set, "updatedAt", clock_iso_now(deps->clock, a));
    change.set = object_end(&set);
    rc = store_update(deps->store, a, C_CONNECTIONS, id, NULL, &change, ret_connection,
                      st);
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Connection not found");
    if (rc < 0)
        return -1;
    return model_transact(deps, a, NULL, value_get_string(connection, "workspaceId", ""),
                          changed_step, (void *)id, st);
}

/* When credentials say when they end, renew them a little before that. */
static const struct value *next_refresh(const struct deps *deps, struct arena *a,
                                        const struct value *credentials) {
    double now = (double)clock_now_ms(deps->clock), end = 0, margin;
    const struct value *at = value_get(credentials, "expires_at");
    const struct value *in = value_get(credentials, "expires_in");
    char text[32];

    if (value_is_number(at))
        end = at->number < 1e11 ? at->number * 1000 : at->number;
    if (!(end > now) &&
        value_is_number(in)) /* a past time is of the credentials before */
        end = now + in->number * 1000;
    else if (!(end > now) && value_is_string(in))
        end = now + value_string_to_number(in->str, in->len) * 1000;
    if (!(end > now) || end > 8e15)
        return &value_null;
    margin = (end - now) * 0.1;
    if (margin > MARGIN_MAX_MS)
        margin = MARGIN_MAX_MS;
    value_format_date(end - margin, text);
    return value_string(a, text);
}

const struct value *connection_connected_members(const struct deps *deps, struct arena *a,
                                                 const struct value *credentials) {
    return value_obj(
        a, "connected", &value_true, "disconnected", &value_false, "isDefunct",
        &value_false, "state", value_string(a, "READY"), "errors", &value_empty_array,
        "requestError", &value_null, "error", &value_null, "clientAction", &value_null,
        "nextRetryTimestamp", &value_null, "retryAttempts", value_number(a, 0),
        "nextCredentialsRefreshAt", next_refresh(deps, a, credentials), NULL);
}

const struct value *connection_refused_members(const struct deps *deps, struct arena *a,
                                               const struct value *connection,
                                               bool defunct, const struct status *why) {
    double attempts = value_get_number(connection, "retryAttempts", 0);
    double wait_ms = 60000;
    const struct value *error = value_from_status(a, why), *errors;
    struct array_builder list;
    char text[32];

    for (double i = 0; i < attempts && wait_ms < 86400000; i++)
        wait_ms *= 2;
    if (wait_ms > 86400000)
        wait_ms = 86400000;
    defunct = defunct || attempts >= 10;
    array_begin(&list, a, 1);
    array_push(&list, error);
    errors = array_end(&list);
    value_format_date((double)clock_now_ms(deps->clock) + wait_ms, text);
    return value_obj(
        a, "connected", &value_false, "disconnected", &value_true, "isDefunct",
        value_bool(defunct), "state", value_string(a, "CLIENT_ACTION_REQUIRED"), "errors",
        errors, "requestError", error, "error", error, "clientAction",
        value_obj(a, "type", value_string(a, "connect"), "description",
                  value_string(a, "The app refused the credentials: connect again."),
                  NULL),
        "retryAttempts", value_number(a, attempts + 1), "nextRetryTimestamp",
        defunct ? &value_null : value_string(a, text), NULL);
}

/* ---- renewing credentials ---- */

bool connection_can_refresh(const struct value *option, const struct value *credentials) {
    if (value_is_object(value_get(option, "refreshCredentials")))
        return true;
    return value_equals_text(value_get(option, "type"), "oauth2") &&
           value_is_string(value_get(credentials, "refresh_token"));
}

const struct value *connection_function_args(struct connection_session *s) {
    struct external_session *x = &s->external;

    return value_obj(x->arena, "connectorParameters", x->connector_parameters,
                     "connectionParameters", x->connection_parameters, "connectionInput",
                     x->connection_parameters, "credentials", x->credentials, NULL);
}

static int renew_now(struct connection_session *s, struct status *st) {
    struct external_session *x = &s->external;
    const struct value *function = value_get(x->option, "refreshCredentials"), *fresh;
    struct connection_secrets secrets;
    const char *id = x->connection_id;

    if (value_is_object(function)) {
        if (external_run_function(x, function, connection_function_args(s), &fresh, st) <
            0)
            return -1;
    } else if (connection_oauth2_refresh(s, &fresh, st) < 0) {
        return -1;
    }
    if (!value_is_object(fresh))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "refreshing must give an object of credentials");
    /* Stored before use: many apps end the old token when they give a new one. */
    if (connection_load_secrets(x->deps, x->arena, id, &secrets, st) < 0)
        return -1;
    secrets.credentials = value_merge(x->arena, secrets.credentials, fresh);
    if (connection_store_secrets(x->deps, x->arena, s->connection, &secrets, st) < 0)
        return -1;
    x->credentials = secrets.credentials;
    return connection_set(x->deps, x->arena, s->connection,
                          connection_connected_members(x->deps, x->arena, x->credentials),
                          &s->connection, st);
}

/* Was the refusal one that the same credentials will meet for ever? */
static bool is_final(const struct status *st) {
    if (st->key && strcmp(st->key, "connection_is_defunct") == 0)
        return true;
    return (st->message && strstr(st->message, "invalid_grant")) ||
           value_equals_text(value_path(st->data, "response", "data", "error", NULL),
                             "invalid_grant");
}

static bool is_refusal(const struct status *st) {
    return st->type == ST_CONNECTION && st->key &&
           (strcmp(st->key, "access_token_expired") == 0 ||
            strcmp(st->key, "connection_is_defunct") == 0);
}

int connection_renew(struct connection_session *s, struct status *st) {
    struct external_session *x = &s->external;
    const struct value *before = x->credentials;
    struct connection_secrets now;
    struct coord_lock *lock;
    struct status ignored;
    int rc;

    if (!connection_can_refresh(x->option, x->credentials))
        return 1;
    /* one refresh at a time, among all processes: many apps take a refresh token once */
    if (coord_lock(x->deps->coord, x->arena, x->connection_id, LOCK_WAIT_MS, &lock, st) <
        0)
        return -1;
    rc = connection_load_secrets(x->deps, x->arena, x->connection_id, &now, st);
    if (rc == 0 && !value_equal(now.credentials, before)) {
        x->credentials = now.credentials; /* somebody else was faster */
    } else if (rc == 0) {
        x->client = NULL;
        rc = renew_now(s, st);
        if (rc < 0 && (is_refusal(st) || is_final(st))) {
            st_init(&ignored, x->arena);
            connection_set(x->deps, x->arena, s->connection,
                           connection_refused_members(x->deps, x->arena, s->connection,
                                                      is_final(st), st),
                           &s->connection, &ignored);
        }
    }
    coord_unlock(x->deps->coord, &lock);
    return rc;
}

/* ---- hooks ---- */

static int on_refresh(struct external_session *x, struct status *st) {
    return connection_renew((struct connection_session *)x, st);
}

static void on_defunct(struct external_session *x, const struct status *why) {
    struct connection_session *s = (struct connection_session *)x;
    struct status ignored;

    st_init(&ignored, x->arena);
    connection_set(
        x->deps, x->arena, s->connection,
        connection_refused_members(x->deps, x->arena, s->connection, true, why),
        &s->connection, &ignored);
}

static void on_called(struct external_session *x, const char *url, int status_code,
                      bool is_success, int64_t duration_ms, const struct value *detail) {
    struct connection_session *s = (struct connection_session *)x;
    struct arena *a = x->arena;
    struct object_builder b;

    if (!s->write_logs || !x->deps->journal)
        return;
    object_begin(&b, a, 16);
    object_set_string(&b, "id", id_new(x->deps->clock, x->deps->rand, a));
    object_set(&b, "workspaceId", value_get(s->workspace, "id"));
    if (s->connection) {
        object_set(&b, "customerId", value_get(s->connection, "tenantId"));
        object_set(&b, "tenantId", value_get(s->connection, "tenantId"));
        object_set(&b, "integrationId", value_get(s->connection, "integrationId"));
        object_set(&b, "connectionId", value_get(s->connection, "id"));
        object_set(&b, "externalAppId", value_get(s->connection, "externalAppId"));
    }
    object_set_number(&b, "statusCode", status_code);
    object_set_bool(&b, "isSuccess", is_success);
    object_set_string(&b, "requestUrl", url);
    /* Names where the details are; they are read with GET .../details. */
    object_set(&b, "s3Uri",
               value_stringf(a, "logs://external-api-logs/%s",
                             value_text(object_builder_get(&b, "id", 2))));
    object_set_number(&b, "duration", (double)duration_ms);
    object_set_string(&b, "createdAt", clock_iso_now(x->deps->clock, a));
    journal_append(x->deps->journal, C_EXTERNAL_API_LOGS, object_end(&b), detail);
}

int connection_app_client(const struct deps *deps, struct arena *a,
                          const struct value *workspace, const struct value *user,
                          const char *customer_id, const struct value **ret_client,
                          struct status *st) {
    const struct value *credentials = &value_undefined;

    if (customer_id &&
        auth_customer_credentials(deps, a, customer_id, &credentials, st) < 0)
        return -1;
    return formula_build_value(
        a,
        value_obj(a, "baseUri", value_get(workspace, "apiBaseUri"), "headers",
                  value_get(workspace, "apiRequestHeaders"), "query",
                  value_get(workspace, "apiRequestQuery"), NULL),
        value_obj(a, "user", user, "credentials", credentials, NULL), ret_client, st);
}

/* The same for code: it sees the customer without what is not its business. */
static int own_app_client(struct connection_session *s, const char *customer_id,
                          const struct value **ret_client, struct status *st) {
    static const char *const not_shown[] = {"workspaceId", "credentials", NULL};
    const struct deps *deps = s->external.deps;
    struct arena *a = s->external.arena;
    const struct value *user = &value_undefined;
    int rc = auth_find_customer(deps, a, value_get_string(s->workspace, "id", ""),
                                customer_id, &user, st);

    if (rc < 0)
        return -1;
    if (rc == 0)
        user = value_omit(a, user, not_shown);
    return connection_app_client(deps, a, s->workspace, user, customer_id, ret_client,
                                 st);
}

enum { ENGINE_TOKEN_S = 3600 };

/* Code may call this server's API as the customer of its connection or of its run. */
static int on_javascript(struct external_session *x, const struct value *function,
                         const struct value *args, const struct value **ret_result,
                         struct status *st) {
    struct connection_session *s = (struct connection_session *)x;
    const char *customer = value_get_string(s->connection, "tenantId", s->customer_id);
    struct runner_owner owner = {.workspace = s->workspace, .customer_id = customer};

    if (customer && runner_client_wants_engine(value_get_string(function, "code", ""))) {
        owner.engine_uri = config_internal_uri(x->deps->config);
        if (auth_workspace_token(x->deps, x->arena,
                                 value_get_string(s->workspace, "id", ""), customer,
                                 ENGINE_TOKEN_S, &owner.engine_token, st) < 0)
            return -1;
    }
    if (s->with_own_app && customer &&
        own_app_client(s, customer, &owner.app_client, st) < 0)
        return -1;
    return runner_client_javascript(x, &owner, function, args, ret_result, st);
}

static const struct external_hooks hooks = {
    .refresh = on_refresh,
    .javascript = on_javascript,
    .defunct = on_defunct,
    .called = on_called,
};

/* ---- opening ---- */

int connection_connector_parameters(const struct deps *deps, struct arena *a,
                                    const struct value *integration,
                                    const char *option_key, const struct value *own,
                                    const struct value **ret, struct status *st) {
    const struct value *parameters = value_get(integration, "parameters"), *option;

    if (value_is_string(parameters) &&
        crypto_unseal(deps->sealer, a, value_get_string(integration, "id", ""),
                      parameters->str, &parameters, st) < 0)
        return -1;
    option = value_path(integration, "optionsConfig", option_key ? option_key : "",
                        "parameters", NULL);
    if (value_is_string(option) &&
        crypto_unseal(deps->sealer, a, value_get_string(integration, "id", ""),
                      option->str, &option, st) < 0)
        return -1;
    parameters = value_merge(a, parameters, option);
    *ret = value_merge(a, parameters, own);
    return 0;
}

int connection_load_connector(const struct deps *deps, struct arena *a,
                              const char *workspace_id, const struct value *integration,
                              const struct value *connection, struct connector *ret,
                              struct status *st) {
    const char *id = value_get_string(integration, "connectorId", NULL);
    const char *version = value_get_string(integration, "connectorVersion", NULL);

    if (!id)
        id = value_get_string(connection, "connectorId", NULL);
    if (!version)
        version = value_get_string(connection, "connectorVersion", NULL);
    if (!id)
        return st_fail(st, ST_CONFIGURATION, NULL, "the integration has no connector");
    return connector_load(deps, a, workspace_id, id, version, ret, st);
}

static int refuse_state(struct arena *a, const struct value *connection,
                        struct status *st) {
    struct status stored;

    if (!value_is_nullish(value_get(connection, "archivedAt")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the connection is archived");
    if (value_is_true(value_get(connection, "isDeactivated")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the connection is deactivated");
    if (value_is_true(value_get(connection, "isDefunct")))
        return st_fail(st, ST_CONNECTION, "connection_is_defunct",
                       "the app refused the connection's credentials for good: connect "
                       "again");
    if (value_get_bool(connection, "connected", true))
        return 0;
    if (value_is_object(value_get(connection, "requestError"))) {
        st_init(&stored, a);
        value_to_status(value_get(connection, "requestError"), &stored);
        return st_fail(st, ST_CONNECTION, stored.key,
                       "the connection is disconnected: %s",
                       stored.message ? stored.message : "");
    }
    return st_fail(st, ST_CONNECTION, NULL, "the connection is disconnected");
}

void connection_open_plain(const struct deps *deps, struct arena *a,
                           const struct value *workspace, const struct value *connection,
                           int64_t deadline_ms, struct connection_session *s) {
    *s = (struct connection_session){
        .workspace = workspace,
        .connection = connection,
        .contents = &value_empty_object,
        .connector = &value_empty_object,
        .write_logs =
            value_get_bool(value_get(workspace, "settings"), "enableApiLogs", true),
    };
    s->external.deps = deps;
    s->external.arena = a;
    s->external.hooks = &hooks;
    s->external.deadline_ms = deadline_ms;
    s->external.option = &value_empty_object;
    s->external.operations = &value_empty_object;
    s->external.connection_id = value_get_string(connection, "id", NULL);
    external_session_init(&s->external);
}

int connection_open_session(const struct deps *deps, struct arena *a,
                            const struct value *workspace, const struct value *connection,
                            int64_t deadline_ms, bool even_disconnected,
                            struct connection_session *s, struct status *st) {
    const char *workspace_id = value_get_string(workspace, "id", "");
    const char *integration_id = value_get_string(connection, "integrationId", NULL);
    const char *option_key = value_get_string(connection, "authOptionKey", "");
    struct connection_secrets secrets;
    struct connector connector;

    if (!even_disconnected && refuse_state(a, connection, st) < 0)
        return -1;
    connection_open_plain(deps, a, workspace, connection, deadline_ms, s);
    if (integration_id) {
        int rc = store_get(deps->store, a, C_INTEGRATIONS, integration_id,
                           &s->integration, st);

        if (rc < 0)
            return -1;
        if (rc == 1)
            s->integration = NULL;
    }
    if (connection_load_connector(deps, a, workspace_id, s->integration, connection,
                                  &connector, st) < 0 ||
        connection_load_secrets(deps, a, s->external.connection_id, &secrets, st) < 0)
        return -1;
    s->connector = connector.doc;
    s->contents = connector.contents;
    s->external.option = connector_option(a, connector.doc, option_key);
    if (!s->external.option)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the connector has no auth option \"%.100s\"", option_key);
    s->external.connector_key = value_get_string(connector.doc, "key", NULL);
    s->external.operations = value_get(connector.contents, "operations");
    s->external.credentials =
        value_is_object(secrets.credentials) ? secrets.credentials : &value_empty_object;
    s->external.connection_parameters = secrets.input;
    return connection_connector_parameters(deps, a, s->integration, option_key,
                                           secrets.connector_parameters,
                                           &s->external.connector_parameters, st);
}
