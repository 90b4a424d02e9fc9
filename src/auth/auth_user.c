/*
 * Platform users: people with an account, their roles in organisations, and what those
 * let them do in a workspace.
 */
#include "auth_priv.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_hash.h"
#include "crypto/crypto_password.h"
#include "deps/deps.h"
#include "http/http.h"
#include "store/store.h"
#include "value/value.h"

bool auth_user_is_platform_admin(const struct value *user) {
    return value_get_bool(user, "isAdmin", false);
}

int auth_user_membership(struct auth *auth, struct arena *a, const char *user_id,
                         const char *org_id, const struct value **ret_member,
                         struct status *st) {
    struct store_query q = {.where =
                                store_and(a, store_eq_text(a, "orgId", org_id),
                                          store_eq_text(a, "userId", user_id),
                                          store_eq_text(a, "status", "active"), NULL)};

    return store_find(auth->o.store, a, C_ORG_USERS, &q, ret_member, st);
}

static bool list_names(const struct value *list, const char *id) {
    for (VALUE_EACH_ITEM(v, list))
        if (value_equals_text(v, id))
            return true;
    return false;
}

bool auth_member_enters(const struct value *member, const char *workspace_id) {
    const struct value *listed = value_get(member, "workspaces");

    return !strcmp(value_get_string(member, "role", ""), "admin") ||
           !value_is_array(listed) || list_names(listed, workspace_id);
}

int auth_user_access(struct auth *auth, struct arena *a, const struct value *user,
                     const struct value *workspace, struct auth_access *ret_access,
                     struct status *st) {
    const struct value *member;
    int rc;

    *ret_access = (struct auth_access){.is_manager = true};
    if (auth_user_is_platform_admin(user))
        return 0;
    rc = auth_user_membership(auth, a, value_get_string(user, "id", ""),
                              value_get_string(workspace, "orgId", ""), &member, st);
    if (rc != 0)
        return rc;
    if (!auth_member_enters(member, value_get_string(workspace, "id", "")))
        return 1;
    ret_access->is_read_only = !strcmp(value_get_string(member, "role", ""), "read-only");
    return 0;
}

/* ---- People ---- */

/* Good enough to send a mail to; the mail itself is the proof. */
static bool is_email(const char *s) {
    size_t len = strlen(s), at = strcspn(s, "@");

    return len >= 3 && len <= 254 && at > 0 && at + 1 < len && !strchr(s + at + 1, '@') &&
           strspn(s, "!#$%&'*+-./0123456789=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`"
                     "abcdefghijklmnopqrstuvwxyz{|}~") == len;
}

static const char *lower(struct arena *a, const char *s) {
    char *out = arena_strdup(a, s);

    for (char *p = out; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    return out;
}

int auth_check_password(const char *password, struct status *st) {
    size_t len = strlen(password);
    bool has_lower = false, has_upper = false, has_digit = false;

    for (const char *p = password; *p; p++) {
        has_lower |= *p >= 'a' && *p <= 'z';
        has_upper |= *p >= 'A' && *p <= 'Z';
        has_digit |= *p >= '0' && *p <= '9';
    }
    if (len < 8 || len > 200 || !has_lower || !has_upper || !has_digit)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "A password has 8 to 200 characters, among them a lower-case "
                       "letter, an upper-case letter and a digit");
    return 0;
}

int auth_create_user(struct auth *auth, struct arena *a, const struct auth_new_user *n,
                     const struct value **ret_user, struct status *st) {
    const struct value *now = auth_iso_now(auth, a), *doc;
    const char *email = lower(a, n->email), *name = n->name;

    if (!is_email(email))
        return st_fail(st, ST_BAD_REQUEST, NULL, "This is not an e-mail address");
    if (name && (!*name || strlen(name) > 200))
        return st_fail(st, ST_BAD_REQUEST, NULL, "A name has 1 to 200 characters");
    if (n->password && auth_check_password(n->password, st) < 0)
        return -1;
    if (!name)
        name = arena_memdup(a, email, strcspn(email, "@"));
    doc = value_obj(
        a, "id", value_string(a, auth_new_id(auth, a)), "email", value_string(a, email),
        "name", value_string(a, name), "emailVerified", value_bool(n->is_verified),
        "isAdmin", value_bool(n->is_admin), "trialRequested", &value_false,
        "passwordHash",
        n->password ? value_string(a, crypto_password_hash(a, auth->o.rand, n->password))
                    : NULL,
        "createdAt", now, "updatedAt", now, NULL);
    if (store_insert(auth->o.store, C_PLATFORM_USERS, doc, st) < 0)
        return -1;
    *ret_user = doc;
    return 0;
}

int auth_find_user(struct auth *auth, struct arena *a, const char *email,
                   const struct value **ret_user, struct status *st) {
    struct store_query q = {.where = store_eq_text(a, "email", lower(a, email))};

    return store_find(auth->o.store, a, C_PLATFORM_USERS, &q, ret_user, st);
}

int auth_is_first_admin(struct auth *auth, struct arena *a, const struct value *user,
                        bool *ret, struct status *st) {
    struct store_query q = {.where = store_eq(a, "isAdmin", &value_true)};
    const char *named = auth->o.bootstrap_admin_email;
    const struct value *admin;
    int rc = store_find(auth->o.store, a, C_PLATFORM_USERS, &q, &admin, st);

    if (rc < 0)
        return -1;
    *ret = rc == 1 && (!named || !strcasecmp(named, value_get_string(user, "email", "")));
    return 0;
}

int auth_update_user(struct auth *auth, struct arena *a, const char *user_id,
                     const struct value *set, const struct value **ret_user,
                     struct status *st) {
    struct store_change change = {
        .set = value_with(a, set, "updatedAt", auth_iso_now(auth, a))};
    int rc = store_update(auth->o.store, a, C_PLATFORM_USERS, user_id, NULL, &change,
                          ret_user, st);

    auth_forget(auth, user_id);
    return rc == 1 ? st_fail(st, ST_BAD_REQUEST, "not_found", "User not found") : rc;
}

const struct value *auth_user_served(struct arena *a, const struct value *user) {
    static const char *const hidden[] = {"passwordHash", "patHash", NULL};

    return value_omit(a, user, hidden);
}

int auth_new_personal_token(struct auth *auth, struct arena *a, const char *user_id,
                            const char **ret_token, struct status *st) {
    const char *token = arena_printf(a, "pat-u%s", token_new(auth->o.rand, a, 32));
    const struct value *user;

    *ret_token = token;
    return auth_update_user(
        auth, a, user_id,
        value_obj(a, "patHash", value_string(a, crypto_sha256_hex(a, token)), NULL),
        &user, st);
}

int auth_drop_personal_token(struct auth *auth, struct arena *a, const char *user_id,
                             const struct value **ret_user, struct status *st) {
    static const char *const unset[] = {"patHash", NULL};
    struct store_change change = {.unset = unset};
    int rc = store_update(auth->o.store, a, C_PLATFORM_USERS, user_id, NULL, &change,
                          ret_user, st);

    auth_forget(auth, user_id);
    return rc == 1 ? st_fail(st, ST_BAD_REQUEST, "not_found", "User not found") : rc;
}

/* ---- Organisations ---- */

int auth_create_org(struct auth *auth, struct arena *a, const char *name,
                    const struct value **ret_org, struct status *st) {
    const struct value *now = auth_iso_now(auth, a);

    *ret_org = value_obj(a, "id", value_string(a, auth_new_id(auth, a)), "key",
                         value_string(a, uuid_new(auth->o.rand, a)), "name",
                         value_string(a, name), "createdAt", now, "updatedAt", now, NULL);
    return store_insert(auth->o.store, C_ORGS, *ret_org, st);
}

int auth_add_member(struct auth *auth, struct arena *a, const char *org_id,
                    const char *user_id, const char *role, const char *status,
                    const struct value *workspaces, const struct value **ret_member,
                    struct status *st) {
    const struct value *now = auth_iso_now(auth, a);
    const struct value *doc =
        value_obj(a, "id", value_string(a, auth_new_id(auth, a)), "orgId",
                  value_string(a, org_id), "userId", value_string(a, user_id), "role",
                  value_string(a, role), "status", value_string(a, status), "workspaces",
                  workspaces, "createdAt", now, "updatedAt", now, NULL);
    struct store_query q = {.where =
                                store_and(a, store_eq_text(a, "orgId", org_id),
                                          store_eq_text(a, "userId", user_id), NULL)};

    *ret_member = doc;
    if (store_insert(auth->o.store, C_ORG_USERS, doc, st) == 0) {
        auth_forget(auth, user_id);
        return 0;
    }
    if (!st->key || strcmp(st->key, "already_exists"))
        return -1;
    st_clear(st);
    return store_find(auth->o.store, a, C_ORG_USERS, &q, ret_member, st) == 0 ? 0 : -1;
}

int auth_activate_memberships(struct auth *auth, const char *user_id, struct status *st) {
    struct arena *a = arena_new(0);
    const struct store_filter *invited =
        store_and(a, store_eq_text(a, "userId", user_id),
                  store_eq_text(a, "status", "invited"), NULL);
    struct store_change change = {.set = value_obj(a, "status", value_string(a, "active"),
                                                   "updatedAt", auth_iso_now(auth, a),
                                                   NULL)};
    int rc = store_update_many(auth->o.store, C_ORG_USERS, invited, &change, NULL, st);

    arena_free(&a);
    auth_forget(auth, user_id);
    return rc;
}

int auth_orgs_of(struct auth *auth, struct arena *a, const struct value *user,
                 const struct value **ret_orgs, struct status *st) {
    struct store_query all = {.sort = {{"id", false}}, .limit = 1000};
    struct store_query mine = {
        .where =
            store_and(a, store_eq_text(a, "userId", value_get_string(user, "id", "")),
                      store_eq_text(a, "status", "active"), NULL),
        .sort = {{"id", false}},
        .limit = 1000};
    struct array_builder orgs;
    struct store_page page;

    if (auth_user_is_platform_admin(user)) {
        if (store_list(auth->o.store, a, C_ORGS, &all, &page, st) < 0)
            return -1;
        *ret_orgs = page.items;
        return 0;
    }
    if (store_list(auth->o.store, a, C_ORG_USERS, &mine, &page, st) < 0)
        return -1;
    array_begin(&orgs, a, page.items->len);
    for (VALUE_EACH_ITEM(member, page.items)) {
        const struct value *org;
        int rc = store_get(auth->o.store, a, C_ORGS,
                           value_get_string(member, "orgId", ""), &org, st);

        if (rc < 0)
            return -1;
        if (rc == 0)
            array_push(&orgs, org);
    }
    *ret_orgs = array_end(&orgs);
    return 0;
}

int auth_ensure_org(struct auth *auth, struct arena *a, const struct value *user,
                    struct status *st) {
    struct store_query q = {
        .where = store_eq_text(a, "userId", value_get_string(user, "id", ""))};
    const struct value *found, *org, *member, *workspace;
    struct auth_new_workspace n = {.name = "My workspace"};
    int rc = store_find(auth->o.store, a, C_ORG_USERS, &q, &found, st);

    if (rc <= 0)
        return rc;
    if (auth_create_org(
            auth, a,
            arena_printf(a, "%s's organisation", value_get_string(user, "name", "")),
            &org, st) < 0 ||
        auth_add_member(auth, a, value_get_string(org, "id", ""),
                        value_get_string(user, "id", ""), "admin", "active", NULL,
                        &member, st) < 0)
        return -1;
    n.org_id = value_get_string(org, "id", "");
    if (auth_create_workspace(auth, a, &n, &workspace, st) < 0)
        return -1;
    return auth_update_user(
        auth, a, value_get_string(user, "id", ""),
        value_obj(a, "defaultWorkspaceId", value_get(workspace, "id"), NULL), &found, st);
}

/* ---- The person behind a request ---- */

int auth_load_user(struct request *rq, const struct value **ret_user, struct status *st) {
    int rc = store_get(rq->deps->store, rq->arena, C_PLATFORM_USERS,
                       rq->caller->platform_user_id, ret_user, st);

    return rc == 1 ? auth_refuse(st, "The token's user is not known") : rc;
}

int auth_first_org(struct request *rq, const struct value **ret_org, struct status *st) {
    const struct value *user, *orgs;

    if (auth_load_user(rq, &user, st) < 0 ||
        auth_orgs_of(rq->deps->auth, rq->arena, user, &orgs, st) < 0)
        return -1;
    if (!orgs->len)
        return st_fail(st, ST_BAD_REQUEST, NULL, "Create an organisation first");
    *ret_org = value_at(orgs, 0);
    return 0;
}

int auth_need_org_admin(struct request *rq, const char *org_id, struct status *st) {
    const struct value *org, *member;
    int rc = store_get(rq->deps->store, rq->arena, C_ORGS, org_id, &org, st);

    if (rc == 0 && !rq->caller->is_platform_admin)
        rc = auth_user_membership(rq->deps->auth, rq->arena, rq->caller->platform_user_id,
                                  org_id, &member, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Organisation not found");
    if (!rq->caller->is_platform_admin &&
        strcmp(value_get_string(member, "role", ""), "admin"))
        return auth_deny(st, "This needs an administrator of the organisation");
    return 0;
}
