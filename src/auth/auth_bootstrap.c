/*
 * Repeatable because the ids of the first documents are written down before the documents
 * are made: C_META "bootstrap" holds them, inserted once, and every later step inserts a
 * document of a known id that may be there already.
 */
#include "auth_bootstrap.h"

#include <string.h>

#include "auth_priv.h"
#include "auth_session.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "store/store.h"
#include "value/value.h"

#define LINK_MS (7LL * 24 * 60 * 60 * 1000)

static bool already_there(struct status *st) {
    if (!st->key || strcmp(st->key, "already_exists"))
        return false;
    st_clear(st);
    return true;
}

static int insert_once(struct auth *auth, enum collection c, const struct value *doc,
                       struct status *st) {
    if (store_insert(auth->o.store, c, doc, st) < 0 && !already_there(st))
        return -1;
    return 0;
}

/* Who comes first decides the ids and the workspace's key. */
static int plan(struct auth *auth, struct arena *a, const char *email,
                const struct value **ret_plan, struct status *st) {
    static const char id[] = "bootstrap";
    const struct value *doc = value_obj(
        a, "id", value_string(a, id), "orgId", value_string(a, auth_new_id(auth, a)),
        "orgKey", value_string(a, uuid_new(auth->o.rand, a)), "userId",
        value_string(a, auth_new_id(auth, a)), "memberId",
        value_string(a, auth_new_id(auth, a)), "workspaceId",
        value_string(a, auth_new_id(auth, a)), "workspaceKey",
        value_string(a, uuid_new(auth->o.rand, a)), "email", value_string(a, email),
        "createdAt", auth_iso_now(auth, a), NULL);

    *ret_plan = doc;
    if (store_insert(auth->o.store, C_META, doc, st) == 0)
        return 0;
    if (!already_there(st))
        return -1;
    return store_get(auth->o.store, a, C_META, id, ret_plan, st);
}

static int make_documents(struct auth *auth, struct arena *a, const struct value *plan,
                          struct status *st) {
    const struct value *now = value_get(plan, "createdAt");
    const char *workspace_id = value_get_string(plan, "workspaceId", "");
    const char *email = value_get_string(plan, "email", "");
    const struct value *org = value_obj(
        a, "id", value_get(plan, "orgId"), "key", value_get(plan, "orgKey"), "name",
        value_string(a, "My organisation"), "createdAt", now, "updatedAt", now, NULL);
    const struct value *user = value_obj(
        a, "id", value_get(plan, "userId"), "email", value_string(a, email), "name",
        value_string_len(a, email, strcspn(email, "@")), "emailVerified", &value_true,
        "isAdmin", &value_true, "trialRequested", &value_false, "defaultWorkspaceId",
        value_get(plan, "workspaceId"), "createdAt", now, "updatedAt", now, NULL);
    const struct value *member = value_obj(
        a, "id", value_get(plan, "memberId"), "orgId", value_get(plan, "orgId"), "userId",
        value_get(plan, "userId"), "role", value_string(a, "admin"), "status",
        value_string(a, "active"), "createdAt", now, "updatedAt", now, NULL);
    const struct value *workspace = value_obj(
        a, "id", value_get(plan, "workspaceId"), "name", value_string(a, "My workspace"),
        "orgId", value_get(plan, "orgId"), "key", value_get(plan, "workspaceKey"),
        "secret",
        value_string(a, crypto_seal(auth->o.sealer, a, workspace_id,
                                    value_string(a, token_new(auth->o.rand, a, 32)))),
        "settings",
        value_obj(a, "enableApiLogs", &value_true, "enableWebhookLogs", &value_true,
                  "enableActionRunLogs", &value_true, NULL),
        "createdAt", now, "updatedAt", now, NULL);

    if (insert_once(auth, C_ORGS, org, st) < 0 ||
        insert_once(auth, C_PLATFORM_USERS, user, st) < 0 ||
        insert_once(auth, C_ORG_USERS, member, st) < 0 ||
        insert_once(auth, C_WORKSPACES, workspace, st) < 0)
        return -1;
    return 0;
}

/* One link at a time, so that a log of an earlier start opens nothing. */
static int fresh_link(struct auth *auth, struct arena *a, const char *user_id,
                      const char **ret_uri, struct status *st) {
    const char *base = auth->o.console_uri ? auth->o.console_uri : auth->o.base_uri;
    const struct store_filter *old =
        store_and(a, store_eq_text(a, "userId", user_id),
                  store_eq_text(a, "kind", AUTH_LINK_SIGN_IN), NULL);
    const char *token;

    if (store_delete_many(auth->o.store, C_ONE_TIME_TOKENS, old, NULL, st) < 0 ||
        auth_link_make(auth, a, AUTH_LINK_SIGN_IN, user_id, LINK_MS, &token, st) < 0)
        return -1;
    *ret_uri = arena_printf(a, "%s/sign-in?token=%s", base ? base : "", token);
    return 0;
}

int auth_bootstrap(const struct deps *deps, struct arena *a, const char *email,
                   struct auth_bootstrap *ret_result, struct status *st) {
    struct auth *auth = deps->auth;
    const struct value *ids, *workspace, *user;
    int rc;

    if (!email)
        email = auth->o.bootstrap_admin_email ? auth->o.bootstrap_admin_email
                                              : "admin@membrane.local";
    if (plan(auth, a, email, &ids, st) != 0 || make_documents(auth, a, ids, st) < 0)
        return -1;
    rc = store_get(auth->o.store, a, C_PLATFORM_USERS,
                   value_get_string(ids, "userId", ""), &user, st);
    if (rc == 1) /* the address had an account already */
        rc = auth_find_user(auth, a, value_get_string(ids, "email", ""), &user, st);
    if (rc == 0)
        rc = store_get(auth->o.store, a, C_WORKSPACES,
                       value_get_string(ids, "workspaceId", ""), &workspace, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        return st_fail(st, ST_INTERNAL, NULL,
                       "The first workspace or administrator was deleted");
    *ret_result = (struct auth_bootstrap){
        .workspace_key = value_get_string(workspace, "key", ""),
        .workspace_secret = auth_workspace_secret(auth->o.sealer, a, workspace),
        .admin_email = value_get_string(user, "email", "")};
    if (!ret_result->workspace_secret)
        return st_fail(st, ST_CONFIGURATION, "conflict",
                       "The first workspace's secret can't be opened with this "
                       "ENCRYPTION_SECRET");
    if (!value_has(user, "patHash") &&
        auth_new_personal_token(auth, a, value_get_string(user, "id", ""),
                                &ret_result->admin_token, st) < 0)
        return -1;
    return fresh_link(auth, a, value_get_string(user, "id", ""), &ret_result->admin_uri,
                      st);
}
