/*
 * /orgs: organisations, their members and invitations; /admin/users for the operator.
 */
#include <string.h>
#include <strings.h>

#include "auth_api.h"
#include "auth_fields.h"
#include "auth_priv.h"
#include "auth_session.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_page.h"
#include "store/store.h"
#include "value/value.h"

#define INVITATION_MS (7LL * 24 * 60 * 60 * 1000)
#define SIGN_IN_MS    (7LL * 24 * 60 * 60 * 1000)

enum { MAX_EMAIL = 254, MAX_NAME = 200 };

static const char *console_uri(const struct auth *auth) {
    return auth->o.console_uri ? auth->o.console_uri
           : auth->o.base_uri  ? auth->o.base_uri
                               : "";
}

static int load_org(struct request *rq, const char *id, const struct value **ret_org,
                    struct status *st) {
    const struct value *member;
    int rc = store_get(rq->deps->store, rq->arena, C_ORGS, id, ret_org, st);

    if (rc == 0 && !rq->caller->is_platform_admin)
        rc = auth_user_membership(rq->deps->auth, rq->arena, rq->caller->platform_user_id,
                                  id, &member, st);
    return rc == 1 ? auth_not_found(st, "Organisation") : rc;
}

/* ---- Organisations ---- */

int auth_api_orgs_list(struct request *rq, struct reply *rp, struct status *st) {
    const char *search = request_query(rq, "search");
    const struct value *user, *orgs;
    struct array_builder found;

    if (auth_load_user(rq, &user, st) < 0)
        return -1;
    if (request_query_bool(rq, "myOrgs", false))
        user = value_with(rq->arena, user, "isAdmin", &value_false);
    if (auth_orgs_of(rq->deps->auth, rq->arena, user, &orgs, st) < 0)
        return -1;
    array_begin(&found, rq->arena, orgs->len);
    for (VALUE_EACH_ITEM(org, orgs))
        if (!search || strcasestr(value_get_string(org, "name", ""), search))
            array_push(&found, org);
    return reply_json(rp, 200, array_end(&found));
}

int auth_api_orgs_create(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *org, *member;
    const char *name;

    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "name", MAX_NAME, &name, st) < 0 ||
        auth_create_org(rq->deps->auth, rq->arena, name, &org, st) < 0 ||
        auth_add_member(rq->deps->auth, rq->arena, value_get_string(org, "id", ""),
                        rq->caller->platform_user_id, "admin", "active", NULL, &member,
                        st) < 0)
        return -1;
    return reply_json(rp, 201, org);
}

int auth_api_orgs_patch(struct request *rq, struct reply *rp, struct status *st) {
    static const struct auth_field fields[] = {{"name", AUTH_TEXT, .max = MAX_NAME},
                                               {"domains", AUTH_TEXTS, .max = 253},
                                               {NULL}};
    const struct value *body, *org;
    struct store_change c = {0};
    struct object_builder b;
    int rc;

    object_begin(&b, rq->arena, 4);
    if (request_object(rq, &body, st) < 0 ||
        auth_need_org_admin(rq, rq->param[0], st) < 0 ||
        auth_fields_read(body, fields, &b, st) < 0)
        return -1;
    object_set(&b, "updatedAt", auth_iso_now(rq->deps->auth, rq->arena));
    c.set = object_end(&b);
    rc = store_update(rq->deps->store, rq->arena, C_ORGS, rq->param[0], NULL, &c, &org,
                      st);
    if (rc == 1)
        return auth_not_found(st, "Organisation");
    return rc < 0 ? -1 : reply_json(rp, 200, org);
}

/* ---- Members ---- */

static int joined_member(struct request *rq, const struct value *member,
                         const struct value *org, const struct value **ret,
                         struct status *st) {
    const struct value *user;
    int rc = store_get(rq->deps->store, rq->arena, C_PLATFORM_USERS,
                       value_get_string(member, "userId", ""), &user, st);

    if (rc == 0)
        *ret = value_merge(rq->arena, member,
                           value_obj(rq->arena, "user", auth_user_served(rq->arena, user),
                                     "org", org, NULL));
    return rc;
}

int auth_api_org_users_list(struct request *rq, struct reply *rp, struct status *st) {
    struct store_query q = {.where = store_eq_text(rq->arena, "orgId", rq->param[0]),
                            .sort = {{"id", false}},
                            .limit = 1000};
    const struct value *org, *joined;
    struct array_builder b;
    struct store_page page;

    if (load_org(rq, rq->param[0], &org, st) < 0 ||
        store_list(rq->deps->store, rq->arena, C_ORG_USERS, &q, &page, st) < 0)
        return -1;
    array_begin(&b, rq->arena, page.items->len);
    for (VALUE_EACH_ITEM(member, page.items)) {
        int rc = joined_member(rq, member, org, &joined, st);

        if (rc < 0)
            return -1;
        if (rc == 0)
            array_push(&b, joined);
    }
    return reply_json(rp, 200, array_end(&b));
}

/* The workspaces of the body, each of which must belong to the organisation. */
static int read_workspaces(struct request *rq, const char *org_id,
                           const struct value *body, const struct value **ret,
                           struct status *st) {
    const struct value *list = value_get(body, "workspaces");

    *ret = NULL;
    if (value_is_nullish(list))
        return 0;
    if (!value_is_array(list) || list->len > 1000)
        return st_fail(st, ST_BAD_REQUEST, NULL, "workspaces must be an array of ids");
    for (VALUE_EACH_ITEM(id, list)) {
        const struct value *workspace = NULL;
        int rc = value_is_string(id) ? store_get(rq->deps->store, rq->arena, C_WORKSPACES,
                                                 id->str, &workspace, st)
                                     : 1;

        if (rc < 0)
            return -1;
        if (rc == 1 || !value_equals_text(value_get(workspace, "orgId"), org_id))
            return auth_not_found(st, "Workspace");
    }
    *ret = list;
    return 0;
}

/* An existing account joins at once; a new one is made, and comes in by a link. */
static int add_by_email(struct request *rq, const char *org_id, const char *email,
                        const char *role, const struct value *workspaces,
                        const struct value **ret_member, struct status *st) {
    struct auth *auth = rq->deps->auth;
    struct auth_new_user n = {.email = email};
    const struct value *user;
    const char *token;
    int rc = auth_find_user(auth, rq->arena, email, &user, st);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return auth_add_member(auth, rq->arena, org_id, value_get_string(user, "id", ""),
                               role, "active", workspaces, ret_member, st);
    if (auth_create_user(auth, rq->arena, &n, &user, st) < 0 ||
        auth_add_member(auth, rq->arena, org_id, value_get_string(user, "id", ""), role,
                        "invited", workspaces, ret_member, st) < 0 ||
        auth_link_make(auth, rq->arena, AUTH_LINK_RESET, value_get_string(user, "id", ""),
                       INVITATION_MS, &token, st) < 0)
        return -1;
    auth_send_mail(
        auth, value_get_string(user, "email", ""), "You were invited",
        arena_printf(rq->arena,
                     "You were invited to an organisation. Set a password within 7 "
                     "days:\n\n%s/reset-password?token=%s\n",
                     console_uri(auth), token));
    return 0;
}

int auth_api_org_users_create(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *workspaces, *member;
    const char *email;

    if (request_object(rq, &body, st) < 0 ||
        auth_need_org_admin(rq, rq->param[0], st) < 0 ||
        auth_fields_text(body, "email", MAX_EMAIL, &email, st) < 0 ||
        read_workspaces(rq, rq->param[0], body, &workspaces, st) < 0 ||
        add_by_email(rq, rq->param[0], email, "member", workspaces, &member, st) < 0)
        return -1;
    return reply_json(rp, 201, member);
}

/* Named by the id of the person or of the membership. */
static int load_member(struct request *rq, const struct value **ret_member,
                       struct status *st) {
    struct store_query q = {
        .where = store_and(rq->arena, store_eq_text(rq->arena, "orgId", rq->param[0]),
                           store_or(rq->arena,
                                    store_eq_text(rq->arena, "userId", rq->param[1]),
                                    store_eq_text(rq->arena, "id", rq->param[1]), NULL),
                           NULL)};
    int rc = store_find(rq->deps->store, rq->arena, C_ORG_USERS, &q, ret_member, st);

    return rc == 1 ? auth_not_found(st, "Member") : rc;
}

/* An organisation without an administrator could not be managed any more. */
static int keep_an_admin(struct request *rq, const struct value *member,
                         struct status *st) {
    const struct store_filter *others =
        store_and(rq->arena, store_eq_text(rq->arena, "orgId", rq->param[0]),
                  store_eq_text(rq->arena, "role", "admin"),
                  store_eq_text(rq->arena, "status", "active"),
                  store_cmp(rq->arena, STORE_NE, "id", value_get(member, "id")), NULL);
    uint64_t n;

    if (strcmp(value_get_string(member, "role", ""), "admin"))
        return 0;
    if (store_count(rq->deps->store, C_ORG_USERS, others, &n, st) < 0)
        return -1;
    if (n == 0)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "The organisation needs another administrator first");
    return 0;
}

int auth_api_org_users_patch(struct request *rq, struct reply *rp, struct status *st) {
    static const struct auth_field fields[] = {
        {"role", AUTH_TEXT, .words = "admin|member|read-only"},
        {"status", AUTH_TEXT, .words = "invited|active"},
        {NULL}};
    const struct value *body, *member, *workspaces, *set;
    struct store_change c = {0};
    struct object_builder b;
    int rc;

    object_begin(&b, rq->arena, 4);
    if (request_object(rq, &body, st) < 0 ||
        auth_need_org_admin(rq, rq->param[0], st) < 0 ||
        load_member(rq, &member, st) < 0 || auth_fields_read(body, fields, &b, st) < 0 ||
        read_workspaces(rq, rq->param[0], body, &workspaces, st) < 0)
        return -1;
    if (workspaces)
        object_set(&b, "workspaces", workspaces);
    object_set(&b, "updatedAt", auth_iso_now(rq->deps->auth, rq->arena));
    set = object_end(&b);
    if ((strcmp(value_get_string(set, "role", "admin"), "admin") ||
         strcmp(value_get_string(set, "status", "active"), "active")) &&
        keep_an_admin(rq, member, st) < 0)
        return -1;
    c.set = set;
    rc = store_update(rq->deps->store, rq->arena, C_ORG_USERS,
                      value_get_string(member, "id", ""), NULL, &c, &member, st);
    if (rc == 1)
        return auth_not_found(st, "Member");
    auth_forget(rq->deps->auth, value_get_string(member, "userId", ""));
    return rc < 0 ? -1 : reply_json(rp, 200, member);
}

int auth_api_org_users_delete(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *member;

    if (auth_need_org_admin(rq, rq->param[0], st) < 0 ||
        load_member(rq, &member, st) < 0 || keep_an_admin(rq, member, st) < 0 ||
        store_delete(rq->deps->store, C_ORG_USERS, value_get_string(member, "id", ""),
                     NULL, st) < 0)
        return -1;
    auth_forget(rq->deps->auth, value_get_string(member, "userId", ""));
    return reply_json(rp, 200, &value_empty_object);
}

/* ---- Invitations ---- */

static bool has_expired(struct request *rq, const struct value *invitation) {
    return strcmp(value_get_string(invitation, "expiresAt", ""),
                  value_text(auth_iso_now(rq->deps->auth, rq->arena))) <= 0;
}

static const struct value *joined_invitation(struct arena *a, const struct value *doc,
                                             const struct value *org) {
    return value_with(a, doc, "org", org);
}

int auth_api_invitations_list(struct request *rq, struct reply *rp, struct status *st) {
    struct store_query q = {.where = store_eq_text(rq->arena, "orgId", rq->param[0]),
                            .sort = {{"id", true}},
                            .limit = 1000};
    struct array_builder b;
    struct store_page page;
    const struct value *org;

    if (auth_need_org_admin(rq, rq->param[0], st) < 0 ||
        load_org(rq, rq->param[0], &org, st) < 0 ||
        store_list(rq->deps->store, rq->arena, C_ORG_INVITATIONS, &q, &page, st) < 0)
        return -1;
    array_begin(&b, rq->arena, page.items->len);
    for (VALUE_EACH_ITEM(doc, page.items))
        if (!has_expired(rq, doc))
            array_push(&b, joined_invitation(rq->arena, doc, org));
    return reply_json(rp, 200, array_end(&b));
}

int auth_api_invitations_create(struct request *rq, struct reply *rp, struct status *st) {
    struct auth *auth = rq->deps->auth;
    struct arena *a = rq->arena;
    const struct value *body, *workspaces, *org, *doc;
    const char *email, *name, *uuid = uuid_new(auth->o.rand, a);

    if (request_object(rq, &body, st) < 0 ||
        auth_need_org_admin(rq, rq->param[0], st) < 0 ||
        load_org(rq, rq->param[0], &org, st) < 0 ||
        read_workspaces(rq, rq->param[0], body, &workspaces, st) < 0)
        return -1;
    email = value_get_string(body, "email", NULL);
    if (email && (!*email || strlen(email) > MAX_EMAIL || strpbrk(email, " \r\n<>,;")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "This is not an e-mail address");
    name = value_get_string(body, "name", email ? email : "Invitation");
    doc = value_obj(
        a, "id", value_string(a, auth_new_id(auth, a)), "orgId", value_get(org, "id"),
        "name", value_string_len(a, name, strnlen(name, MAX_NAME)), "workspaces",
        workspaces, "uuid", value_string(a, uuid), "email",
        email ? value_string(a, email) : NULL, "createdAt", auth_iso_now(auth, a),
        "expiresAt", auth_iso(a, auth_now_ms(auth) + INVITATION_MS), NULL);
    if (store_insert(rq->deps->store, C_ORG_INVITATIONS, doc, st) < 0)
        return -1;
    if (email)
        auth_send_mail(auth, email, "You were invited",
                       arena_printf(a,
                                    "You were invited to %s. Join within 7 days:\n\n"
                                    "%s/org-invitations/%s\n",
                                    value_get_string(org, "name", ""), console_uri(auth),
                                    uuid));
    return reply_json(rp, 201, joined_invitation(a, doc, org));
}

int auth_api_invitations_delete(struct request *rq, struct reply *rp, struct status *st) {
    const struct store_filter *of_org = store_eq_text(rq->arena, "orgId", rq->param[0]);
    int rc;

    if (auth_need_org_admin(rq, rq->param[0], st) < 0)
        return -1;
    rc = store_delete(rq->deps->store, C_ORG_INVITATIONS, rq->param[1], of_org, st);
    if (rc == 1)
        return auth_not_found(st, "Invitation");
    return rc < 0 ? -1 : reply_json(rp, 200, &value_empty_object);
}

/* By its uuid, which is the secret of the link. */
static int load_invitation(struct request *rq, const struct value **ret_doc,
                           const struct value **ret_org, struct status *st) {
    struct store_query q = {.where = store_eq_text(rq->arena, "uuid", rq->param[0])};
    int rc = store_find(rq->deps->store, rq->arena, C_ORG_INVITATIONS, &q, ret_doc, st);

    if (rc == 0 && has_expired(rq, *ret_doc))
        rc = 1;
    if (rc == 0)
        rc = store_get(rq->deps->store, rq->arena, C_ORGS,
                       value_get_string(*ret_doc, "orgId", ""), ret_org, st);
    return rc == 1 ? auth_not_found(st, "Invitation") : rc;
}

int auth_api_invitation_get(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc, *org;

    if (load_invitation(rq, &doc, &org, st) < 0)
        return -1;
    return reply_json(rp, 200,
                      value_obj(rq->arena, "uuid", value_get(doc, "uuid"), "name",
                                value_get(doc, "name"), "orgName", value_get(org, "name"),
                                NULL));
}

/* An invitation to an address is for that address only, and works once. */
int auth_api_invitation_accept(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc, *org, *user, *member;
    const char *email;

    if (load_invitation(rq, &doc, &org, st) < 0 || auth_load_user(rq, &user, st) < 0)
        return -1;
    email = value_get_string(doc, "email", NULL);
    if (email && strcasecmp(email, value_get_string(user, "email", "")))
        return auth_deny(st, "This invitation is for another address");
    if (auth_add_member(rq->deps->auth, rq->arena, value_get_string(org, "id", ""),
                        rq->caller->platform_user_id, "member", "active",
                        value_find(doc, "workspaces", 10), &member, st) < 0 ||
        (email && store_delete(rq->deps->store, C_ORG_INVITATIONS,
                               value_get_string(doc, "id", ""), NULL, st) < 0))
        return -1;
    return reply_json(rp, 200, member);
}

/* ---- The operator's ---- */

static int need_platform_admin(const struct request *rq, struct status *st) {
    return rq->caller->is_platform_admin
               ? 0
               : auth_deny(st, "This needs a platform administrator");
}

static int reply_sign_in(struct request *rq, struct reply *rp, int status,
                         const struct value *user, struct status *st) {
    const char *token;

    if (auth_link_make(rq->deps->auth, rq->arena, AUTH_LINK_SIGN_IN,
                       value_get_string(user, "id", ""), SIGN_IN_MS, &token, st) < 0)
        return -1;
    return reply_json(rp, status,
                      value_obj(rq->arena, "user", auth_user_served(rq->arena, user),
                                "signInUri",
                                value_stringf(rq->arena, "%s/sign-in?token=%s",
                                              console_uri(rq->deps->auth), token),
                                NULL));
}

int auth_api_admin_users_list(struct request *rq, struct reply *rp, struct status *st) {
    struct store_query q = {.sort = {{"id", true}}};
    struct array_builder users;
    struct store_page found;
    struct http_page page;

    if (need_platform_admin(rq, st) < 0 || http_page_read(rq, &page, st) < 0)
        return -1;
    if (page.search)
        q.where = store_cmp(rq->arena, STORE_CONTAINS, "email",
                            value_string(rq->arena, page.search));
    q.limit = (size_t)page.limit;
    q.cursor = page.cursor;
    if (store_list(rq->deps->store, rq->arena, C_PLATFORM_USERS, &q, &found, st) < 0)
        return -1;
    array_begin(&users, rq->arena, found.items->len);
    for (VALUE_EACH_ITEM(user, found.items))
        array_push(&users, auth_user_served(rq->arena, user));
    return http_page_reply(rp, array_end(&users), found.cursor);
}

/* The organisation of that id or name; made when there is none. */
static int find_or_make_org(struct request *rq, const char *name,
                            const struct value **ret_org, struct status *st) {
    struct store_query q = {.where =
                                store_or(rq->arena, store_eq_text(rq->arena, "id", name),
                                         store_eq_text(rq->arena, "name", name), NULL)};
    int rc = store_find(rq->deps->store, rq->arena, C_ORGS, &q, ret_org, st);

    return rc == 1 ? auth_create_org(rq->deps->auth, rq->arena, name, ret_org, st) : rc;
}

static int find_or_make_workspace(struct request *rq, const char *org_id,
                                  const char *name, const struct value **ret_doc,
                                  struct status *st) {
    struct auth_new_workspace n = {.name = name, .org_id = org_id};
    struct store_query q = {
        .where = store_and(rq->arena, store_eq_text(rq->arena, "orgId", org_id),
                           store_or(rq->arena, store_eq_text(rq->arena, "id", name),
                                    store_eq_text(rq->arena, "name", name), NULL),
                           NULL)};
    int rc = store_find(rq->deps->store, rq->arena, C_WORKSPACES, &q, ret_doc, st);

    return rc == 1 ? auth_create_workspace(rq->deps->auth, rq->arena, &n, ret_doc, st)
                   : rc;
}

/* {email, name?, org?, workspace?, role?, isAdmin?}: repeating it makes nothing twice. */
int auth_api_admin_users_create(struct request *rq, struct reply *rp, struct status *st) {
    static const struct auth_field fields[] = {
        {"name", AUTH_TEXT, .max = MAX_NAME},
        {"org", AUTH_TEXT, .max = MAX_NAME},
        {"workspace", AUTH_TEXT, .max = MAX_NAME},
        {"role", AUTH_TEXT, .words = "admin|member|read-only"},
        {"isAdmin", AUTH_BOOL},
        {NULL}};
    struct auth *auth = rq->deps->auth;
    struct auth_new_user n = {.is_verified = true};
    const struct value *body, *user, *org, *workspace, *member, *read;
    struct object_builder b;
    const char *org_name;
    int rc;

    object_begin(&b, rq->arena, 6);
    if (need_platform_admin(rq, st) < 0 || request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "email", MAX_EMAIL, &n.email, st) < 0 ||
        auth_fields_read(body, fields, &b, st) < 0)
        return -1;
    read = object_end(&b);
    n.name = value_get_string(read, "name", NULL);
    n.is_admin = value_get_bool(read, "isAdmin", false);
    rc = auth_find_user(auth, rq->arena, n.email, &user, st);
    if (rc < 0 || (rc == 1 && auth_create_user(auth, rq->arena, &n, &user, st) < 0))
        return -1;
    org_name = value_get_string(read, "org", NULL);
    if (org_name) {
        const char *wanted = value_get_string(read, "workspace", NULL), *org_id;

        if (find_or_make_org(rq, org_name, &org, st) < 0)
            return -1;
        org_id = value_get_string(org, "id", "");
        if (auth_add_member(auth, rq->arena, org_id, value_get_string(user, "id", ""),
                            value_get_string(read, "role", "admin"), "active", NULL,
                            &member, st) < 0)
            return -1;
        if (wanted && (find_or_make_workspace(rq, org_id, wanted, &workspace, st) < 0 ||
                       auth_update_user(auth, rq->arena, value_get_string(user, "id", ""),
                                        value_obj(rq->arena, "defaultWorkspaceId",
                                                  value_get(workspace, "id"), NULL),
                                        &user, st) < 0))
            return -1;
    }
    return reply_sign_in(rq, rp, 201, user, st);
}

int auth_api_admin_users_link(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *user;
    const char *email;
    int rc;

    if (need_platform_admin(rq, st) < 0 || request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "email", MAX_EMAIL, &email, st) < 0)
        return -1;
    rc = auth_find_user(rq->deps->auth, rq->arena, email, &user, st);
    if (rc == 1)
        return auth_not_found(st, "User");
    return rc < 0 ? -1 : reply_sign_in(rq, rp, 200, user, st);
}
