/*
 * connection_request.c - /connection-requests: a hosted "please connect" errand, a link
 * for a program that cannot open a browser itself.
 *
 * A request is pending until the connect page finishes it, somebody cancels it, or a day
 * has passed; the last is found when it is read, so that no sweep is needed.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "connection_priv.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_server.h"
#include "model/model.h"
#include "store/store.h"
#include "value/value.h"
#include "value/value_status.h"

#define REQUEST_LIFE_MS (24 * 3600 * INT64_C(1000))
#define MAX_TEXT        4000

/* ---- The body ---- */

static int bad_field(struct status *st, const char *name, const char *what) {
    return st_fail_data(st, ST_BAD_REQUEST, NULL,
                        value_obj(st->arena, "path", value_string(st->arena, name), NULL),
                        "%s: %s", name, what);
}

static bool is_web_address(const char *s) {
    return (strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0) &&
           !strpbrk(s, " \t\r\n\"<>");
}

static int copy_texts(struct object_builder *b, const struct value *body,
                      struct status *st) {
    static const char *const texts[] = {
        "integrationId",    "integrationKey", "connectorId",   "connectorKey",
        "connectorVersion", "connectionId",   "connectionKey", "name",
        "redirectUri",      "prompt"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const struct value *v = value_get(body, texts[i]);

        if (value_is_nullish(v))
            continue;
        if (!value_is_string(v))
            return bad_field(st, texts[i], "must be text");
        if (v->len > MAX_TEXT || strlen(v->str) != v->len)
            return bad_field(st, texts[i], "is too long or holds a NUL character");
        if (strcmp(texts[i], "redirectUri") == 0 && !is_web_address(v->str))
            return bad_field(st, texts[i], "must be an http or https address");
        object_set(b, texts[i], v);
    }
    return 0;
}

static int read_body(struct request *rq, const char *id, struct object_builder *b,
                     struct status *st) {
    const struct value *body, *v;

    if (request_object(rq, &body, st) < 0 || copy_texts(b, body, st) < 0)
        return -1;
    v = value_get(body, "allowMultipleConnections");
    if (!value_is_nullish(v) && !value_is(v, VALUE_BOOL))
        return bad_field(st, "allowMultipleConnections", "must be true or false");
    if (!value_is_nullish(v))
        object_set(b, "allowMultipleConnections", v);
    v = value_get(body, "connectorParameters");
    if (!value_is_nullish(v) && !value_is_object(v))
        return bad_field(st, "connectorParameters", "must be an object");
    if (!value_is_nullish(v)) /* may hold secrets */
        object_set_string(b, "sealed", crypto_seal(rq->deps->sealer, rq->arena, id, v));
    return 0;
}

/* What is named must be there, for this caller. */
static int check_target(struct request *rq, const struct object_builder *b,
                        struct status *st) {
    struct model_view *v =
        model_view_new(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id);
    static const char *const integration[] = {"integrationId", "integrationKey"};
    static const char *const connection[] = {"connectionId", "connectionKey"};
    const struct value *found;

    for (int i = 0; i < 2; i++) {
        const struct value *name =
            object_builder_get(b, integration[i], strlen(integration[i]));

        if (name && model_resolve_integration(v, value_text(name), &found, st) < 0)
            return -1;
        name = object_builder_get(b, connection[i], strlen(connection[i]));
        if (name) {
            struct model_selector sel = {.connection = value_text(name)};

            if (model_resolve_connection(v, &sel, &found, st) < 0)
                return -1;
        }
    }
    return 0;
}

/* ---- Finding and serving ---- */

static bool is_pending(const struct value *doc) {
    return value_equals_text(value_get(doc, "status"), "pending");
}

static int set_status(struct request *rq, const struct value *doc, const char *word,
                      const struct value **ret, struct status *st) {
    struct arena *a = rq->arena;
    const struct store_change change = {
        .set = value_obj(a, "status", value_string(a, word), NULL)};
    const char *id = value_get_string(doc, "id", "");
    int rc = store_update(rq->deps->store, a, C_CONNECTION_REQUESTS, id,
                          store_eq_text(a, "status", "pending"), &change, ret, st);

    /* somebody else ended it meanwhile: then that is how it ended */
    return rc == 1 ? store_get(rq->deps->store, a, C_CONNECTION_REQUESTS, id, ret, st)
                   : rc;
}

/* The request of the path, if it is the caller's to see. */
static int find(struct request *rq, const struct value **ret, struct status *st) {
    const struct caller *c = rq->caller;
    const struct value *doc;
    int rc = strlen(rq->param[0]) > 64
                 ? 1
                 : store_get(rq->deps->store, rq->arena, C_CONNECTION_REQUESTS,
                             rq->param[0], &doc, st);

    if (rc < 0)
        return -1;
    if (rc == 1 || !value_equals_text(value_get(doc, "workspaceId"), c->workspace_id) ||
        (!c->is_admin && !(c->customer_id && value_equals_text(value_get(doc, "tenantId"),
                                                               c->customer_id))))
        return st_fail(st, ST_BAD_REQUEST, "not_found",
                       "Connection request \"%.100s\" not found", rq->param[0]);
    *ret = doc;
    if (is_pending(doc) &&
        value_get_number(doc, "expiresAtMs", 0) < (double)clock_now_ms(rq->deps->clock))
        return set_status(rq, doc, "cancelled", ret, st);
    return 0;
}

static int reply_request(struct request *rq, struct reply *rp, const struct value *doc) {
    static const char *const hidden[] = {"id", "workspaceId", "expiresAtMs", "sealed",
                                         NULL};

    return reply_json(rp, 200, value_omit(rq->arena, doc, hidden));
}

/* ---- For the connect call ---- */

int connection_request_open(const struct deps *deps, struct arena *a,
                            const struct caller *caller, const char *id,
                            const struct value **ret_fields, struct status *st) {
    static const char *const target[] = {"integrationId",
                                         "integrationKey",
                                         "connectorId",
                                         "connectorKey",
                                         "connectorVersion",
                                         "connectionId",
                                         "connectionKey",
                                         "name",
                                         "redirectUri",
                                         "allowMultipleConnections",
                                         NULL};
    const struct value *doc, *parameters;
    const char *sealed;
    int rc = strlen(id) > 64
                 ? 1
                 : store_get(deps->store, a, C_CONNECTION_REQUESTS, id, &doc, st);

    if (rc < 0)
        return -1;
    if (rc == 1 ||
        !value_equals_text(value_get(doc, "workspaceId"), caller->workspace_id) ||
        !caller->customer_id ||
        !value_equals_text(value_get(doc, "tenantId"), caller->customer_id))
        return st_fail(st, ST_BAD_REQUEST, "not_found",
                       "Connection request \"%.100s\" not found", id);
    if (!is_pending(doc) ||
        value_get_number(doc, "expiresAtMs", 0) < (double)clock_now_ms(deps->clock))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the connection request has ended");
    *ret_fields = value_pick(a, doc, target);
    sealed = value_get_string(doc, "sealed", NULL);
    if (!sealed)
        return 0;
    if (crypto_unseal(deps->sealer, a, id, sealed, &parameters, st) < 0)
        return -1;
    *ret_fields = value_with(a, *ret_fields, "connectorParameters", parameters);
    return 0;
}

void connection_request_finish(const struct deps *deps, struct arena *a, const char *id,
                               const char *connection_id, const struct status *why) {
    const struct store_change change = {
        .set = value_obj(a, "status", value_string(a, why ? "error" : "success"),
                         "resultConnectionId",
                         connection_id ? value_string(a, connection_id) : NULL,
                         "resultError", why ? value_from_status(a, why) : NULL, NULL)};
    struct status ignored;

    st_init(&ignored, a);
    store_update(deps->store, a, C_CONNECTION_REQUESTS, id,
                 store_eq_text(a, "status", "pending"), &change, NULL, &ignored);
}

/* ---- Handlers ---- */

static int create(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    struct model_view *v =
        model_view_new(rq->deps, a, rq->caller, rq->caller->workspace_id);
    const char *id = id_new(rq->deps->clock, rq->deps->rand, a), *customer;
    int64_t now = clock_now_ms(rq->deps->clock);
    struct object_builder b;
    const struct value *doc;

    if (model_resolve_customer(v, request_query(rq, "userId"), &customer, st) < 0)
        return -1;
    object_begin(&b, a, 20);
    object_set_string(&b, "id", id);
    object_set_string(&b, "workspaceId", rq->caller->workspace_id);
    object_set_string(&b, "requestId", id);
    object_set_string(&b, "tenantId", customer);
    object_set_string(&b, "status", "pending");
    if (read_body(rq, id, &b, st) < 0 || check_target(rq, &b, st) < 0)
        return -1;
    object_set_string(&b, "createdAt", clock_iso_now(rq->deps->clock, a));
    object_set_number(&b, "expiresAtMs", (double)(now + REQUEST_LIFE_MS));
    object_set_string(&b, "url",
                      arena_printf(a, "%s/screens/connections?connectionRequestId=%s",
                                   rq->deps->config->base_uri, id));
    doc = object_end(&b);
    if (store_insert(rq->deps->store, C_CONNECTION_REQUESTS, doc, st) < 0)
        return -1;
    return reply_request(rq, rp, doc);
}

/* The contract's PATCH has nothing to change: it answers as GET does. */
static int get(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc;

    return find(rq, &doc, st) < 0 ? -1 : reply_request(rq, rp, doc);
}

static int cancel(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc;

    if (find(rq, &doc, st) < 0 ||
        (is_pending(doc) && set_status(rq, doc, "cancelled", &doc, st) < 0))
        return -1;
    if (!value_equals_text(value_get(doc, "status"), "cancelled"))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the request has ended already");
    return reply_request(rq, rp, doc);
}

/* clang-format off */
static const struct route rows[] = {
    {HTTP_POST,  "/connection-requests",                    create, ACCESS_CUSTOMER, 0, "Makes a link under which a person connects an app.", "userId", "ConnectionRequestWrite", "ConnectionRequest", NULL},
    {HTTP_GET,   "/connection-requests/{requestId}",        get,    ACCESS_CUSTOMER, 0, "How far a request is.", NULL, NULL, "ConnectionRequest", NULL},
    {HTTP_PATCH, "/connection-requests/{requestId}",        get,    ACCESS_CUSTOMER, 0, "As GET: nothing of a request can be changed.", NULL, NULL, "ConnectionRequest", NULL},
    {HTTP_POST,  "/connection-requests/{requestId}/cancel", cancel, ACCESS_CUSTOMER, 0, "Ends a pending request.", NULL, NULL, "ConnectionRequest", NULL},
};
/* clang-format on */

void connection_request_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
