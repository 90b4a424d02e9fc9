/*
 * /workspaces and /org-workspaces: two views of one document. The first is what the
 * engine knows, the second is the owner's: it has the name and the signing secret.
 */
#include <string.h>

#include "auth_api.h"
#include "auth_fields.h"
#include "auth_priv.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "crypto/crypto_jws.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_page.h"
#include "store/store.h"
#include "value/value.h"

enum {
    SECRET_BYTES = 32,
    TOKEN_TTL_S = 24 * 60 * 60,
    MAX_TTL_S = 10 * 365 * 24 * 60 * 60
};

/* What a manager may write, in both views. */
static const struct auth_field writable[] = {
    {"name", AUTH_TEXT},
    {"logoUri", AUTH_TEXT, .max = 256 * 1024},
    {"userFieldsSchema", AUTH_ANY},
    {"credentialsSchema", AUTH_ANY},
    {"auth", AUTH_ANY},
    {"apiClient", AUTH_ANY},
    {"apiBaseUri", AUTH_URL},
    {"apiRequestHeaders", AUTH_OBJECT},
    {"apiRequestQuery", AUTH_OBJECT},
    {"webhookUri", AUTH_URL},
    {"enabledWebhookEvents", AUTH_TEXTS},
    {"alertDeliverySettings", AUTH_OBJECT},
    {"jwksUri", AUTH_URL, .flags = AUTH_NULLABLE},
    {"publicKey", AUTH_TEXT, .max = 32 * 1024, .flags = AUTH_NULLABLE},
    {"type", AUTH_TEXT, .words = "production|development"},
    {"isReadOnly", AUTH_BOOL},
    {NULL},
};

/* What only a platform administrator may write. */
static const struct auth_field platform_writable[] = {
    {"featureFlags", AUTH_TEXTS},
    {"isDisabled", AUTH_BOOL},
    {"isThrottled", AUTH_BOOL},
    {"isTrial", AUTH_BOOL},
    {"isBackgroundJobsDisabled", AUTH_BOOL},
    {NULL},
};

static const struct auth_field settings_fields[] = {
    {"enableApiLogs", AUTH_BOOL},
    {"enableWebhookLogs", AUTH_BOOL},
    {"enableActionRunLogs", AUTH_BOOL},
    {"disableSecretKeyAuth", AUTH_BOOL},
    {"useMembraneUniverse", AUTH_BOOL},
    {"useRemoteRepository", AUTH_BOOL},
    {"autoGenerateIntegrationsFromConnectors", AUTH_BOOL},
    {"autoGenerateIntegrationsFromExternalApps", AUTH_BOOL},
    {"autoGenerateIntegrationsFromWebSearch", AUTH_BOOL},
    {NULL},
};

static const char *const manager_limits[] = {
    "parallelApiRequestsPerCustomer",
    "parallelBackgroundJobsPerCustomer",
    "parallelCustomCodeRunsPerCustomer",
    "apiRequestsPerCustomerPerSecond",
    "apiRequestsPerCustomerPerHour",
    "externalEventsPerCustomerPerDay",
    "webhookRequestsPerCustomerPerSecond",
    "webhookRequestsPerCustomerPerHour",
    "totalNumberOfDatabaseEntitiesPerCustomer",
    "parallelFlowRunsPerConnection",
    NULL,
};

/* ---- What is served ---- */

static const struct value *served_limits(const struct deps *deps, struct arena *a,
                                         const struct value *stored) {
    const struct config_limit_row *rows = config_limit_rows();
    struct object_builder b;

    object_begin(&b, a, LIMIT_COUNT);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        const struct value *value = value_path(stored, rows[i].key, "value", NULL);
        double otherwise = deps->config ? deps->config->limit[i] : 0;

        object_set(&b, rows[i].key,
                   value_obj(a, "value", value_is_number(value) ? value : NULL,
                             "defaultValue",
                             otherwise > 0 ? value_number(a, otherwise) : NULL, "unit",
                             value_string(a, rows[i].unit), NULL));
    }
    return object_end(&b);
}

const struct value *auth_workspace_engine_view(struct request *rq,
                                               const struct value *doc) {
    const struct value *v = auth_workspace_public(rq->arena, doc);

    return value_with(rq->arena, v, "limits",
                      served_limits(rq->deps, rq->arena, value_get(doc, "limits")));
}

const struct value *auth_workspace_owner_view(struct request *rq, const struct value *doc,
                                              bool with_secret) {
    const char *secret =
        with_secret ? auth_workspace_secret(rq->deps->sealer, rq->arena, doc) : NULL;

    return value_with(rq->arena, auth_workspace_engine_view(rq, doc), "secret",
                      value_string(rq->arena, secret ? secret : ""));
}

/* ---- Which one, and may they ---- */

enum need { TO_READ, TO_MANAGE };

/* A workspace that the person may not see looks as if it were not there. */
static int load(struct request *rq, enum need need, const struct value **ret_doc,
                struct auth_access *ret_access, struct status *st) {
    struct auth *auth = rq->deps->auth;
    const struct value *user, *doc;
    struct auth_access access;
    int rc = store_get(rq->deps->store, rq->arena, C_WORKSPACES, rq->param[0], &doc, st);

    if (rc == 0)
        rc = auth_load_user(rq, &user, st);
    if (rc == 0)
        rc = auth_user_access(auth, rq->arena, user, doc, &access, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        return auth_not_found(st, "Workspace");
    if (need == TO_MANAGE && access.is_read_only)
        return auth_deny(st, "You may only read in this workspace");
    *ret_doc = doc;
    if (ret_access)
        *ret_access = access;
    return 0;
}

static int change(struct request *rq, const struct value *doc,
                  const struct store_change *c, const struct value **ret_doc,
                  struct status *st) {
    const char *id = value_get_string(doc, "id", "");
    int rc =
        store_update(rq->deps->store, rq->arena, C_WORKSPACES, id, NULL, c, ret_doc, st);

    if (rc == 1)
        return auth_not_found(st, "Workspace");
    if (rc == 0)
        auth_forget(rq->deps->auth, id);
    return rc;
}

/* ---- Changes ---- */

static int read_public_keys(const struct value *keys, struct status *st) {
    if (!value_is_array(keys) || keys->len > 16)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "publicKeys must be an array of at most 16 keys");
    for (VALUE_EACH_ITEM(k, keys)) {
        const char *pem, *name;
        struct crypto_key *key;

        if (auth_fields_text(k, "name", 200, &name, st) < 0 ||
            auth_fields_text(k, "publicKey", 32 * 1024, &pem, st) < 0 ||
            crypto_key_from_pem(pem, strlen(pem), &key, st) < 0)
            return st_context(st, "publicKeys");
        crypto_key_unref(&key);
    }
    return 0;
}

/* Settings and limits that the body does not name stay as they are. */
static int read_settings(struct arena *a, const struct value *doc,
                         const struct value *settings, struct object_builder *b,
                         struct status *st) {
    struct object_builder merged;

    if (value_is_nullish(settings))
        return 0;
    if (!value_is_object(settings))
        return st_fail(st, ST_BAD_REQUEST, NULL, "settings must be an object");
    object_begin(&merged, a, 8);
    object_set_all(&merged, value_get(doc, "settings"));
    if (auth_fields_read(settings, settings_fields, &merged, st) < 0)
        return -1;
    object_set(b, "settings", object_end(&merged));
    return 0;
}

static bool may_edit_limit(const char *key, bool is_platform_admin) {
    const struct config_limit_row *rows = config_limit_rows();

    for (int i = 0; is_platform_admin && i < LIMIT_COUNT; i++)
        if (!strcmp(rows[i].key, key))
            return true;
    for (const char *const *name = manager_limits; *name; name++)
        if (!strcmp(*name, key))
            return true;
    return false;
}

/* {name: {value}}: null or no value takes the limit back to its default. */
static int read_limits(struct request *rq, const struct value *doc,
                       const struct value *limits, struct object_builder *b,
                       struct status *st) {
    struct object_builder merged;

    if (value_is_nullish(limits))
        return 0;
    if (!value_is_object(limits))
        return st_fail(st, ST_BAD_REQUEST, NULL, "limits must be an object");
    object_begin(&merged, rq->arena, 8);
    object_set_all(&merged, value_get(doc, "limits"));
    for (VALUE_EACH_MEMBER(m, limits)) {
        const struct value *v = value_get(&m->value, "value");
        const struct value *had = value_path(doc, "limits", m->key, "value", NULL);

        if (value_is_nullish(v) ? value_is_nullish(had) : value_equal(v, had))
            continue; /* clients send back what they read */
        if (!may_edit_limit(m->key, rq->caller->is_platform_admin))
            return auth_deny(st, "The limit %s can't be changed here", m->key);
        if (!value_is_nullish(v) && (!value_is_number(v) || v->number < 0))
            return st_fail(st, ST_BAD_REQUEST, NULL, "The limit %s must be a number",
                           m->key);
        if (value_is_nullish(v))
            object_delete(&merged, m->key, m->key_len);
        else
            object_set_len(&merged, m->key, m->key_len,
                           value_obj(rq->arena, "value", v, NULL));
    }
    object_set(b, "limits", object_end(&merged));
    return 0;
}

static int read_change(struct request *rq, const struct value *doc,
                       const struct value *body, struct object_builder *b,
                       struct status *st) {
    const struct value *keys = value_get(body, "publicKeys");
    const struct value *archived = value_find(body, "archivedAt", 10);

    if (auth_fields_read(body, writable, b, st) < 0 ||
        read_settings(rq->arena, doc, value_get(body, "settings"), b, st) < 0 ||
        read_limits(rq, doc, value_get(body, "limits"), b, st) < 0)
        return -1;
    if (!value_is_nullish(keys)) {
        if (read_public_keys(keys, st) < 0)
            return -1;
        object_set(b, "publicKeys", keys);
    }
    if (archived && (value_is(archived, VALUE_NULL) || value_is_string(archived)))
        object_set(b, "archivedAt",
                   value_is_string(archived) ? auth_iso_now(rq->deps->auth, rq->arena)
                                             : &value_null);
    if (rq->caller->is_platform_admin &&
        auth_fields_read(body, platform_writable, b, st) < 0)
        return -1;
    object_set(b, "updatedAt", auth_iso_now(rq->deps->auth, rq->arena));
    return 0;
}

static int apply_patch(struct request *rq, const struct value **ret_doc,
                       struct status *st) {
    const struct value *body, *doc;
    struct store_change c = {0};
    struct object_builder b;

    if (request_object(rq, &body, st) < 0 || load(rq, TO_MANAGE, &doc, NULL, st) < 0)
        return -1;
    object_begin(&b, rq->arena, 8);
    if (read_change(rq, doc, body, &b, st) < 0)
        return -1;
    c.set = object_end(&b);
    return change(rq, doc, &c, ret_doc, st);
}

/* ---- Making one ---- */

int auth_create_workspace(struct auth *auth, struct arena *a,
                          const struct auth_new_workspace *n,
                          const struct value **ret_doc, struct status *st) {
    const char *id = auth_new_id(auth, a);
    const struct value *now = auth_iso_now(auth, a);
    const char *key = n->key ? n->key : uuid_new(auth->o.rand, a);
    const char *secret = n->secret ? n->secret : token_new(auth->o.rand, a, SECRET_BYTES);
    const struct value *settings =
        n->settings ? n->settings
                    : value_obj(a, "enableApiLogs", &value_true, "enableWebhookLogs",
                                &value_true, "enableActionRunLogs", &value_true, NULL);

    if (!strcmp(key, AUTH_SESSION_ISSUER))
        return st_fail(st, ST_BAD_REQUEST, NULL, "This workspace key is reserved");
    *ret_doc = value_obj(
        a, "id", value_string(a, id), "name", value_string(a, n->name), "orgId",
        value_string(a, n->org_id), "key", value_string(a, key), "secret",
        value_string(a, crypto_seal(auth->o.sealer, a, id, value_string(a, secret))),
        "logoUri", n->logo_uri ? value_string(a, n->logo_uri) : NULL, "settings",
        settings, "createdAt", now, "updatedAt", now, NULL);
    if (store_insert(auth->o.store, C_WORKSPACES, *ret_doc, st) == 0)
        return 0;
    if (st->key && !strcmp(st->key, "already_exists"))
        return st_fail(st, ST_BAD_REQUEST, "already_exists",
                       "Another workspace has this key");
    return -1;
}

/* ---- /workspaces ---- */

/* Calls fn for each workspace that the person may enter. */
static int each_accessible(struct request *rq, const struct store_filter *where,
                           struct array_builder *out,
                           const struct value *(*view)(struct request *,
                                                       const struct value *,
                                                       const struct auth_access *),
                           struct status *st) {
    struct store_query q = {.where = where, .sort = {{"id", true}}, .limit = 1000};
    const struct value *user;
    struct store_page page;

    if (auth_load_user(rq, &user, st) < 0)
        return -1;
    do {
        if (store_list(rq->deps->store, rq->arena, C_WORKSPACES, &q, &page, st) < 0)
            return -1;
        for (VALUE_EACH_ITEM(doc, page.items)) {
            struct auth_access access;
            int rc = auth_user_access(rq->deps->auth, rq->arena, user, doc, &access, st);

            if (rc < 0)
                return -1;
            if (rc == 0)
                array_push(out, view(rq, doc, &access));
        }
        q.cursor = page.cursor;
    } while (q.cursor);
    return 0;
}

static const struct store_filter *list_filter(struct request *rq) {
    struct arena *a = rq->arena;
    const char *org = request_query(rq, "orgId"),
               *key = request_query(rq, "workspaceKey");
    const char *search = request_query(rq, "search");
    const struct store_filter *f = request_query_bool(rq, "includeArchived", false)
                                       ? store_cmp(a, STORE_EXISTS, "id", NULL)
                                       : store_cmp(a, STORE_ABSENT, "archivedAt", NULL);

    if (org)
        f = store_and(a, f, store_eq_text(a, "orgId", org), NULL);
    if (key)
        f = store_and(a, f, store_eq_text(a, "key", key), NULL);
    if (search)
        f = store_and(a, f, store_cmp(a, STORE_CONTAINS, "name", value_string(a, search)),
                      NULL);
    return f;
}

static const struct value *list_engine_view(struct request *rq, const struct value *doc,
                                            const struct auth_access *access) {
    (void)access;
    return auth_workspace_engine_view(rq, doc);
}

int auth_api_workspaces_list(struct request *rq, struct reply *rp, struct status *st) {
    struct array_builder out;

    array_begin(&out, rq->arena, 8);
    if (each_accessible(rq, list_filter(rq), &out, list_engine_view, st) < 0)
        return -1;
    return reply_json(rp, 200, array_end(&out));
}

int auth_api_workspaces_create(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *org, *doc, *settings;
    struct auth_new_workspace n = {0};
    struct object_builder b;

    if (!rq->caller->is_platform_admin)
        return auth_deny(st, "This needs a platform administrator");
    object_begin(&b, rq->arena, 4);
    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "workspaceKey", 256, &n.key, st) < 0 ||
        auth_fields_text(body, "workspaceSecret", 1000, &n.secret, st) < 0 ||
        read_settings(rq->arena, &value_empty_object, value_get(body, "settings"), &b,
                      st) < 0 ||
        auth_first_org(rq, &org, st) < 0)
        return -1;
    settings = object_end(&b);
    n.settings = value_find(settings, "settings", 8);
    n.name = value_get_string(body, "name", n.key);
    n.org_id = value_get_string(body, "orgId", value_get_string(org, "id", ""));
    n.logo_uri = value_get_string(body, "logoUri", NULL);
    if (auth_create_workspace(rq->deps->auth, rq->arena, &n, &doc, st) < 0)
        return -1;
    return reply_json(rp, 201, auth_workspace_engine_view(rq, doc));
}

int auth_api_workspace_get(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc;

    if (load(rq, TO_READ, &doc, NULL, st) < 0)
        return -1;
    return reply_json(rp, 200, auth_workspace_engine_view(rq, doc));
}

int auth_api_workspace_patch(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc;

    if (apply_patch(rq, &doc, st) < 0)
        return -1;
    return reply_json(rp, 200, auth_workspace_engine_view(rq, doc));
}

int auth_api_workspace_limits(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *doc;
    struct store_change c = {0};
    struct object_builder b;

    if (request_object(rq, &body, st) < 0 || load(rq, TO_MANAGE, &doc, NULL, st) < 0)
        return -1;
    object_begin(&b, rq->arena, 2);
    if (read_limits(rq, doc, body, &b, st) < 0)
        return -1;
    object_set(&b, "updatedAt", auth_iso_now(rq->deps->auth, rq->arena));
    c.set = object_end(&b);
    if (change(rq, doc, &c, &doc, st) < 0)
        return -1;
    return reply_json(rp, 200, auth_workspace_engine_view(rq, doc));
}

/* The customer that the body names, by id or by key; NULL when it names none. */
static int read_tenant_key(struct request *rq, const struct value *doc,
                           const struct value *body, const char **ret_key,
                           struct status *st) {
    const char *id = value_get_string(body, "tenantId", NULL);
    const struct value *customer;
    int rc;

    *ret_key = value_get_string(body, "tenantKey", NULL);
    if (!id || !*id)
        return 0;
    rc = auth_customer_load(rq->deps->store, rq->arena, value_get_string(doc, "id", ""),
                            id, &customer, st);
    if (rc == 1)
        return auth_not_found(st, "Customer");
    if (rc == 0)
        *ret_key = value_get_string(customer, "internalId", NULL);
    return rc;
}

int auth_api_workspace_token(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    bool is_admin;
    const struct value *body, *doc, *ttl, *fields;
    const char *secret, *tenant_key, *name;
    double ttl_s;

    if (request_object(rq, &body, st) < 0 || load(rq, TO_MANAGE, &doc, NULL, st) < 0 ||
        read_tenant_key(rq, doc, body, &tenant_key, st) < 0)
        return -1;
    is_admin = value_get_bool(body, "isAdmin", false);
    name = value_get_string(body, "name", NULL);
    fields = value_get(body, "fields");
    ttl = value_get(body, "expiresInSeconds");
    ttl_s = value_is_number(ttl) ? ttl->number : TOKEN_TTL_S;
    if (!is_admin && (!tenant_key || !*tenant_key))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "Ask for an admin token (isAdmin) or name a customer (tenantKey "
                       "or tenantId)");
    if (!(ttl_s >= 1 && ttl_s <= MAX_TTL_S))
        return st_fail(st, ST_BAD_REQUEST, NULL, "expiresInSeconds must be from 1 to %d",
                       MAX_TTL_S);
    secret = auth_workspace_secret(rq->deps->sealer, a, doc);
    if (!secret || !*secret ||
        value_get_bool(value_get(doc, "settings"), "disableSecretKeyAuth", false))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "The workspace does not accept tokens signed with its secret");
    return reply_json(
        rp, 201,
        value_obj(
            a, "token",
            value_string(
                a,
                crypto_jwt_sign(
                    a, CRYPTO_HS512, (struct bytes){secret, strlen(secret)},
                    value_obj(
                        a, "workspaceKey", value_get(doc, "key"), "tenantKey",
                        tenant_key ? value_string(a, tenant_key) : NULL, "name",
                        name ? value_string(a, name) : NULL, "fields",
                        value_is_object(fields) ? fields : NULL, "isAdmin",
                        is_admin ? &value_true : NULL, "isTest",
                        value_get_bool(body, "isTest", false) ? &value_true : NULL, "exp",
                        value_number(a, (double)(auth_now_ms(rq->deps->auth) / 1000) +
                                            ttl_s),
                        NULL))),
            NULL));
}

/* ---- /org-workspaces ---- */

static const struct value *list_owner_view(struct request *rq, const struct value *doc,
                                           const struct auth_access *access) {
    return auth_workspace_owner_view(rq, doc, !access->is_read_only);
}

/* Cursors are decimal offsets here: the client reads them as numbers. */
int auth_api_org_workspaces_list(struct request *rq, struct reply *rp,
                                 struct status *st) {
    struct array_builder all, page;
    const struct value *found;
    const char *next = NULL;
    struct http_page p;
    int64_t from;

    if (http_page_read(rq, &p, st) < 0 ||
        request_query_int(rq, "cursor", 0, INT32_MAX, 0, &from, st) < 0)
        return -1;
    array_begin(&all, rq->arena, 8);
    if (each_accessible(rq, list_filter(rq), &all, list_owner_view, st) < 0)
        return -1;
    found = array_end(&all);
    array_begin(&page, rq->arena, 8);
    for (size_t i = (size_t)from; i < found->len && i < (size_t)(from + p.limit); i++)
        array_push(&page, value_at(found, i));
    if ((int64_t)page.len == p.limit)
        next = arena_printf(rq->arena, "%lld", (long long)(from + p.limit));
    return http_page_reply(rp, array_end(&page), next);
}

int auth_api_org_workspaces_create(struct request *rq, struct reply *rp,
                                   struct status *st) {
    const struct value *body, *doc;
    struct auth_new_workspace n = {0};

    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "orgId", 64, &n.org_id, st) < 0 ||
        auth_need_org_admin(rq, n.org_id, st) < 0)
        return -1;
    n.name = value_get_string(body, "name", "Workspace");
    n.logo_uri = value_get_string(body, "logoUri", NULL);
    if (!*n.name || strlen(n.name) > 1000)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "name must be a text of 1 to 1000 bytes");
    if (auth_create_workspace(rq->deps->auth, rq->arena, &n, &doc, st) < 0)
        return -1;
    return reply_json(rp, 201, auth_workspace_owner_view(rq, doc, true));
}

int auth_api_org_workspace_get(struct request *rq, struct reply *rp, struct status *st) {
    struct auth_access access;
    const struct value *doc;

    if (load(rq, TO_READ, &doc, &access, st) < 0)
        return -1;
    return reply_json(rp, 200, auth_workspace_owner_view(rq, doc, !access.is_read_only));
}

int auth_api_org_workspace_patch(struct request *rq, struct reply *rp,
                                 struct status *st) {
    const struct value *doc;

    if (apply_patch(rq, &doc, st) < 0)
        return -1;
    return reply_json(rp, 200, auth_workspace_owner_view(rq, doc, true));
}

int auth_api_workspace_rotate(struct request *rq, struct reply *rp, struct status *st) {
    struct auth *auth = rq->deps->auth;
    struct arena *a = rq->arena;
    const char *secret = token_new(auth->o.rand, a, SECRET_BYTES);
    const struct value *doc;
    struct store_change c = {0};

    if (load(rq, TO_MANAGE, &doc, NULL, st) < 0)
        return -1;
    c.set = value_obj(
        a, "secret",
        value_string(a, crypto_seal(auth->o.sealer, a, value_get_string(doc, "id", ""),
                                    value_string(a, secret))),
        "updatedAt", auth_iso_now(auth, a), NULL);
    if (change(rq, doc, &c, &doc, st) < 0)
        return -1;
    return reply_json(rp, 200, value_obj(a, "secret", value_string(a, secret), NULL));
}
