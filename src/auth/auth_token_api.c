/*
 * /client-tokens and /self-hosting-tokens: random tokens that are shown once and kept
 * hashed.
 */
#include <string.h>
#include <strings.h>

#include "auth_api.h"
#include "auth_fields.h"
#include "auth_priv.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_hash.h"
#include "deps/deps.h"
#include "http/http.h"
#include "store/store.h"
#include "value/value.h"

enum { PREFIX_SHOWN = 10 };

static const struct value *without_hash(struct arena *a, const struct value *doc) {
    static const char *const hidden[] = {"tokenHash", NULL};

    return value_omit(a, doc, hidden);
}

static const struct value *all_without_hash(struct arena *a, const struct value *docs) {
    struct array_builder b;

    array_begin(&b, a, docs->len);
    for (VALUE_EACH_ITEM(doc, docs))
        array_push(&b, without_hash(a, doc));
    return array_end(&b);
}

/* ---- Client tokens ---- */

int auth_api_client_tokens_list(struct request *rq, struct reply *rp, struct status *st) {
    struct store_query q = {
        .where = store_eq_text(rq->arena, "workspaceId", rq->caller->workspace_id),
        .sort = {{"id", true}},
        .limit = 1000};
    struct store_page page;

    if (store_list(rq->deps->store, rq->arena, C_CLIENT_TOKENS, &q, &page, st) < 0)
        return -1;
    return reply_json(
        rp, 200,
        value_obj(rq->arena, "items", all_without_hash(rq->arena, page.items), NULL));
}

int auth_api_client_tokens_create(struct request *rq, struct reply *rp,
                                  struct status *st) {
    static const struct auth_field fields[] = {
        {"grantType", AUTH_TEXT, .words = "mcp-oauth|cli-oauth|agent-session|api"},
        {"grantId", AUTH_TEXT},
        {"grantName", AUTH_TEXT},
        {NULL}};
    struct auth *auth = rq->deps->auth;
    struct arena *a = rq->arena;
    const char *token = arena_printf(a, "pat-c%s", token_new(auth->o.rand, a, 32));
    const struct value *body, *customer, *doc;
    const char *grant, *tenant_id;
    struct object_builder b;
    int rc;

    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "grantType", 100, &grant, st) < 0)
        return -1;
    object_begin(&b, a, 12);
    object_set_string(&b, "id", auth_new_id(auth, a));
    object_set_string(&b, "workspaceId", rq->caller->workspace_id);
    if (rq->caller->platform_user_id)
        object_set_string(&b, "platformUserId", rq->caller->platform_user_id);
    tenant_id = value_get_string(body, "tenantId", NULL);
    if (tenant_id) {
        rc = auth_customer_load(rq->deps->store, a, rq->caller->workspace_id, tenant_id,
                                &customer, st);
        if (rc < 0)
            return -1;
        if (rc == 1)
            return auth_not_found(st, "Customer");
        object_set(&b, "tenantId", value_get(customer, "id"));
    }
    if (auth_fields_read(body, fields, &b, st) < 0)
        return -1;
    object_set(&b, "createdAt", auth_iso_now(auth, a));
    object_set_string(&b, "tokenHash", crypto_sha256_hex(a, token));
    doc = object_end(&b);
    if (store_insert(rq->deps->store, C_CLIENT_TOKENS, doc, st) < 0)
        return -1;
    return reply_json(
        rp, 201,
        value_with(a, without_hash(a, doc), "accessToken", value_string(a, token)));
}

int auth_api_client_tokens_delete(struct request *rq, struct reply *rp,
                                  struct status *st) {
    const struct value *doc;
    int rc =
        store_get(rq->deps->store, rq->arena, C_CLIENT_TOKENS, rq->param[0], &doc, st);

    if (rc == 0 &&
        !value_equals_text(value_get(doc, "workspaceId"), rq->caller->workspace_id))
        rc = 1;
    if (rc == 0)
        rc = store_delete(rq->deps->store, C_CLIENT_TOKENS, rq->param[0], NULL, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        return auth_not_found(st, "Client token");
    auth_forget(rq->deps->auth, value_get_string(doc, "tokenHash", ""));
    return reply_json(rp, 200, &value_empty_object);
}

/* ---- Self-hosting tokens ---- */

static int load_self_hosting(struct request *rq, const struct value **ret_doc,
                             struct status *st) {
    int rc = store_get(rq->deps->store, rq->arena, C_SELF_HOSTING_TOKENS, rq->param[0],
                       ret_doc, st);

    if (rc == 1)
        return auth_not_found(st, "Self-hosting token");
    if (rc < 0)
        return -1;
    return auth_need_org_admin(rq, value_get_string(*ret_doc, "orgId", ""), st);
}

int auth_api_self_hosting_list(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *org;
    struct store_query q = {.sort = {{"id", true}}, .limit = 1000};
    struct store_page page;

    if (auth_first_org(rq, &org, st) < 0)
        return -1;
    q.where = store_eq_text(rq->arena, "orgId", value_get_string(org, "id", ""));
    if (store_list(rq->deps->store, rq->arena, C_SELF_HOSTING_TOKENS, &q, &page, st) < 0)
        return -1;
    return reply_json(rp, 200, all_without_hash(rq->arena, page.items));
}

int auth_api_self_hosting_create(struct request *rq, struct reply *rp,
                                 struct status *st) {
    struct auth *auth = rq->deps->auth;
    struct arena *a = rq->arena;
    const char *token = arena_printf(a, "msh-%s", token_new(auth->o.rand, a, 32));
    const struct value *body, *org, *doc, *now = auth_iso_now(auth, a);
    const char *name;

    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "name", 100, &name, st) < 0 ||
        auth_first_org(rq, &org, st) < 0 ||
        auth_need_org_admin(rq, value_get_string(org, "id", ""), st) < 0)
        return -1;
    doc = value_obj(a, "id", value_string(a, auth_new_id(auth, a)), "name",
                    value_string(a, name), "orgId", value_get(org, "id"), "tokenPrefix",
                    value_string_len(a, token, PREFIX_SHOWN), "tokenHash",
                    value_string(a, crypto_sha256_hex(a, token)), "createdAt", now,
                    "updatedAt", now, NULL);
    if (store_insert(rq->deps->store, C_SELF_HOSTING_TOKENS, doc, st) < 0)
        return -1;
    return reply_json(
        rp, 201, value_with(a, without_hash(a, doc), "token", value_string(a, token)));
}

int auth_api_self_hosting_patch(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *doc;
    struct store_change c = {0};
    const char *name;
    int rc;

    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "name", 100, &name, st) < 0 ||
        load_self_hosting(rq, &doc, st) < 0)
        return -1;
    c.set = value_obj(rq->arena, "name", value_string(rq->arena, name), "updatedAt",
                      auth_iso_now(rq->deps->auth, rq->arena), NULL);
    rc = store_update(rq->deps->store, rq->arena, C_SELF_HOSTING_TOKENS, rq->param[0],
                      NULL, &c, &doc, st);
    if (rc == 1)
        return auth_not_found(st, "Self-hosting token");
    return rc < 0 ? -1 : reply_json(rp, 200, without_hash(rq->arena, doc));
}

int auth_api_self_hosting_delete(struct request *rq, struct reply *rp,
                                 struct status *st) {
    const struct value *doc;

    if (load_self_hosting(rq, &doc, st) < 0 ||
        store_delete(rq->deps->store, C_SELF_HOSTING_TOKENS, rq->param[0], NULL, st) < 0)
        return -1;
    return reply_json(rp, 200, &value_empty_object);
}

/* The token itself is the caller. */
int auth_api_self_hosting_validate(struct request *rq, struct reply *rp,
                                   struct status *st) {
    const char *header = request_header(rq, "authorization");
    struct arena *a = rq->arena;
    struct store_query q = {0};
    struct store_change used = {
        .set = value_obj(a, "lastUsedAt", auth_iso_now(rq->deps->auth, a), NULL)};
    const struct value *doc, *org;
    int rc = 1;

    if (header && !strncasecmp(header, "bearer msh-", 11) && strlen(header) < 200) {
        q.where = store_eq_text(a, "tokenHash", crypto_sha256_hex(a, header + 7));
        rc = store_find(rq->deps->store, a, C_SELF_HOSTING_TOKENS, &q, &doc, st);
    }
    if (rc == 0)
        rc = store_get(rq->deps->store, a, C_ORGS, value_get_string(doc, "orgId", ""),
                       &org, st);
    if (rc == 0)
        rc = store_update(rq->deps->store, a, C_SELF_HOSTING_TOKENS,
                          value_get_string(doc, "id", ""), NULL, &used, NULL, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        return reply_json(rp, 200, value_obj(a, "valid", &value_false, NULL));
    return reply_json(rp, 200,
                      value_obj(a, "valid", &value_true, "orgId", value_get(org, "id"),
                                "orgName", value_get(org, "name"), NULL));
}
