/*
 * Platform users: people with an account, their roles in organisations, and what those
 * let them do in a workspace.
 */
#include "auth_priv.h"

#include <string.h>

#include "base/arena.h"
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
