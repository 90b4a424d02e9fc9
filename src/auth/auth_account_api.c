/*
 * /account: a person, what belongs to them, and what they may do.
 */
#include <string.h>

#include "auth_api.h"
#include "auth_priv.h"
#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http/http.h"
#include "store/store.h"
#include "value/value.h"

/* The customer that the console acts as for this person in this workspace: made when it
 * is first asked for. */
static int test_customer(struct request *rq, const struct value *user,
                         const struct value *workspace, const struct value **ret_customer,
                         const struct value **ret_link, struct status *st) {
    struct auth *auth = rq->deps->auth;
    struct arena *a = rq->arena;
    const char *user_id = value_get_string(user, "id", "");
    const char *workspace_id = value_get_string(workspace, "id", "");
    struct auth_claims claims = {.tenant_key = arena_printf(a, "test-%s", user_id),
                                 .name = arena_printf(a, "Test customer of %s",
                                                      value_get_string(user, "name", "")),
                                 .is_test = true};
    struct store_query q = {
        .where = store_and(a, store_eq_text(a, "workspaceId", workspace_id),
                           store_eq_text(a, "userId", user_id), NULL)};
    int rc;

    if (auth_customer_upsert(auth, a, workspace_id, &claims, ret_customer, st) < 0)
        return -1;
    rc = store_find(rq->deps->store, a, C_WORKSPACE_USERS, &q, ret_link, st);
    if (rc <= 0)
        return rc;
    *ret_link = value_obj(
        a, "id", value_string(a, auth_new_id(auth, a)), "workspaceId",
        value_string(a, workspace_id), "testCustomerId", value_get(*ret_customer, "id"),
        "userId", value_string(a, user_id), "role", value_string(a, "member"), NULL);
    if (store_insert(rq->deps->store, C_WORKSPACE_USERS, *ret_link, st) == 0)
        return 0;
    if (!st->key || strcmp(st->key, "already_exists"))
        return -1;
    st_clear(st);
    return store_find(rq->deps->store, a, C_WORKSPACE_USERS, &q, ret_link, st);
}

static const struct value *permissions(struct request *rq, const struct value *workspace,
                                       const struct auth_access *access,
                                       const struct value *customer) {
    const struct caller *c = rq->caller;
    struct arena *a = rq->arena;
    const struct value *admin = value_bool(c->is_platform_admin);
    const struct value *none = &value_empty_array;

    return value_obj(
        a, "platformUser",
        value_obj(a, "isEngineAdmin", admin, "isPlatformAdmin", admin, "platformUserId",
                  value_string(a, c->platform_user_id), NULL),
        "workspace",
        workspace ? value_obj(a, "workspaceId", value_get(workspace, "id"),
                              "isWorkspaceManager", value_bool(access->is_manager),
                              "isReadOnly", value_bool(access->is_read_only), "scopes",
                              none, NULL)
                  : NULL,
        "tenant",
        customer ? value_obj(a, "tenantId", value_get(customer, "id"), "workspaceId",
                             value_get(workspace, "id"), "canRead", &value_true,
                             "canWrite", value_bool(!access->is_read_only), NULL)
                 : NULL,
        NULL);
}

/* The workspace that the request names, else the person's default one. NULL: none. */
static int find_workspace(struct request *rq, const struct value *user,
                          const struct value **ret_workspace,
                          struct auth_access *ret_access, struct status *st) {
    const char *id = request_header(rq, "x-membrane-workspace");
    const struct value *doc;
    int rc;

    *ret_workspace = NULL;
    if (!id || !*id)
        id = value_get_string(user, "defaultWorkspaceId", NULL);
    if (!id)
        return 0;
    rc = store_get(rq->deps->store, rq->arena, C_WORKSPACES, id, &doc, st);
    if (rc == 1) {
        struct store_query q = {.where = store_eq_text(rq->arena, "key", id)};

        rc = store_find(rq->deps->store, rq->arena, C_WORKSPACES, &q, &doc, st);
    }
    if (rc == 0)
        rc = auth_user_access(rq->deps->auth, rq->arena, user, doc, ret_access, st);
    if (rc == 0)
        *ret_workspace = doc;
    return rc < 0 ? -1 : 0;
}

int auth_api_account(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *user, *orgs, *workspace, *customer = NULL, *link = NULL;
    struct auth_access access = {0};
    struct object_builder b;

    if (auth_load_user(rq, &user, st) < 0 ||
        auth_orgs_of(rq->deps->auth, rq->arena, user, &orgs, st) < 0 ||
        find_workspace(rq, user, &workspace, &access, st) < 0)
        return -1;
    if (workspace && test_customer(rq, user, workspace, &customer, &link, st) != 0)
        return -1;
    object_begin(&b, rq->arena, 10);
    object_set(&b, "user", auth_user_served(rq->arena, user));
    object_set_bool(&b, "hasWorkspaces", workspace != NULL || orgs->len > 0);
    object_set(&b, "orgs", orgs);
    if (workspace) {
        const struct value *served =
            auth_customer_served(rq->deps->auth, rq->arena, customer);

        object_set(&b, "workspace",
                   auth_workspace_owner_view(rq, workspace, !access.is_read_only));
        object_set(&b, "workspaceUser", link);
        object_set(&b, "testCustomer", served);
        object_set(&b, "engineTestUser", served);
        object_set(&b, "engineApp", auth_workspace_engine_view(rq, workspace));
    }
    object_set(&b, "authContextPermissions",
               permissions(rq, workspace, &access, customer));
    return reply_json(rp, 200, object_end(&b));
}

/* Name and default workspace are the person's own to change. */
int auth_api_account_patch(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *user, *workspace;
    const char *id, *name;
    struct object_builder b;
    struct auth_access access;
    int rc;

    if (request_object(rq, &body, st) < 0 || auth_load_user(rq, &user, st) < 0)
        return -1;
    object_begin(&b, rq->arena, 4);
    name = value_get_string(body, "name", NULL);
    if (name && *name && strlen(name) <= 200)
        object_set_string(&b, "name", name);
    id = value_get_string(body, "defaultWorkspaceId", NULL);
    if (id) {
        rc = store_get(rq->deps->store, rq->arena, C_WORKSPACES, id, &workspace, st);
        if (rc == 0)
            rc =
                auth_user_access(rq->deps->auth, rq->arena, user, workspace, &access, st);
        if (rc < 0)
            return -1;
        if (rc == 1)
            return auth_not_found(st, "Workspace");
        object_set_string(&b, "defaultWorkspaceId", id);
    }
    if (b.len && auth_update_user(rq->deps->auth, rq->arena, rq->caller->platform_user_id,
                                  object_end(&b), &user, st) < 0)
        return -1;
    return reply_json(rp, 200, auth_user_served(rq->arena, user));
}

int auth_api_account_token(struct request *rq, struct reply *rp, struct status *st) {
    const char *token;

    if (auth_new_personal_token(rq->deps->auth, rq->arena, rq->caller->platform_user_id,
                                &token, st) < 0)
        return -1;
    return reply_json(
        rp, 201, value_obj(rq->arena, "token", value_string(rq->arena, token), NULL));
}

int auth_api_account_token_delete(struct request *rq, struct reply *rp,
                                  struct status *st) {
    const struct value *user;

    if (auth_drop_personal_token(rq->deps->auth, rq->arena, rq->caller->platform_user_id,
                                 &user, st) < 0)
        return -1;
    return reply_json(rp, 200, auth_user_served(rq->arena, user));
}
