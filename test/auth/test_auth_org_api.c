/* /orgs, invitations and /admin/users. */
#include "auth_fixture.h"

static const char *root(struct fixture *f) {
    return f->first.admin_token;
}

static const struct value *first_org(struct fixture *f) {
    return value_at(fixture_expect(f, 200, HTTP_GET, "/orgs", root(f), NULL), 0);
}

static const char *org_path(struct fixture *f, const char *op) {
    return arena_printf(f->a, "/orgs/%s%s", value_get_string(first_org(f), "id", ""), op);
}

/* A confirmed person with an organisation of their own. */
static const char *sign_up(struct fixture *f, const char *email) {
    fixture_expect(f, 202, HTTP_POST, "/auth/register", NULL,
                   arena_printf(f->a, "{'email':'%s','password':'Passw0rd!'}", email));
    return value_get_string(
        fixture_expect(f, 200, HTTP_POST, "/auth/confirm", NULL,
                       arena_printf(f->a, "{'token':'%s'}", fixture_mail_token(f))),
        "token", "");
}

static int customers_status(struct fixture *f, const char *token) {
    return fixture_call(
               f, HTTP_GET,
               arena_printf(f->a, "/customers?workspaceKey=%s", f->first.workspace_key),
               token, NULL)
        .status;
}

static void organisations_are_made_and_renamed_by_their_members(void **state) {
    struct fixture *f = *state;
    const char *jo = sign_up(f, "jo@example.test");
    const struct value *org =
        fixture_expect(f, 201, HTTP_POST, "/orgs", jo, "{'name':'Jo Ltd'}");
    const char *path = arena_printf(f->a, "/orgs/%s", value_get_string(org, "id", ""));

    org = fixture_expect(f, 200, HTTP_PATCH, path, jo,
                         "{'name':'Jo Inc','domains':['jo.test'],'plan':'enterprise'}");
    assert_string_equal(value_get_string(org, "name", ""), "Jo Inc");
    assert_false(value_has(org, "plan"));
    assert_int_equal(
        fixture_expect(f, 200, HTTP_GET, "/orgs?search=jo+inc", jo, NULL)->len, 1);
    fixture_expect(f, 404, HTTP_PATCH, org_path(f, ""), jo, "{'name':'Mine now'}");
    fixture_expect(f, 404, HTTP_GET, org_path(f, "/users"), jo, NULL);
    assert_int_equal(fixture_expect(f, 200, HTTP_GET, "/orgs", root(f), NULL)->len, 3);
    assert_int_equal(
        fixture_expect(f, 200, HTTP_GET, "/orgs?myOrgs=true", root(f), NULL)->len, 1);
}

static void a_member_enters_until_the_role_or_membership_changes(void **state) {
    struct fixture *f = *state;
    const char *jo = sign_up(f, "jo@example.test"), *path;
    const struct value *member, *list;

    assert_int_equal(customers_status(f, jo), 403);
    member = fixture_expect(f, 201, HTTP_POST, org_path(f, "/users"), root(f),
                            "{'email':'JO@example.test'}");
    assert_string_equal(value_get_string(member, "status", ""), "active");
    assert_int_equal(customers_status(f, jo), 200);
    path = org_path(
        f, arena_printf(f->a, "/users/%s", value_get_string(member, "userId", "")));
    fixture_expect(f, 403, HTTP_PATCH, path, jo, "{'role':'admin'}");
    fixture_expect(f, 200, HTTP_PATCH, path, root(f), "{'role':'read-only'}");
    assert_int_equal(customers_status(f, jo), 200);
    fixture_expect(
        f, 403, HTTP_POST,
        arena_printf(f->a, "/customers?workspaceKey=%s", f->first.workspace_key), jo,
        "{'name':'x'}");
    fixture_expect(f, 200, HTTP_PATCH, path, root(f),
                   "{'role':'member','workspaces':[]}");
    assert_int_equal(customers_status(f, jo), 403);
    fixture_expect(f, 200, HTTP_PATCH, path, root(f),
                   arena_printf(f->a, "{'workspaces':['%s']}", f->workspace_id));
    assert_int_equal(customers_status(f, jo), 200);
    fixture_expect(f, 404, HTTP_PATCH, path, root(f), "{'workspaces':['another']}");
    list = fixture_expect(f, 200, HTTP_GET, org_path(f, "/users"), jo, NULL);
    assert_int_equal(list->len, 2);
    assert_string_equal(
        value_get_string(value_get(value_at(list, 1), "user"), "email", ""),
        "jo@example.test");
    assert_false(value_has(value_get(value_at(list, 1), "user"), "passwordHash"));
    fixture_expect(f, 200, HTTP_DELETE, path, root(f), NULL);
    assert_int_equal(customers_status(f, jo), 403);
}

static void the_last_administrator_stays(void **state) {
    struct fixture *f = *state;
    const struct value *list =
        fixture_expect(f, 200, HTTP_GET, org_path(f, "/users"), root(f), NULL);
    const char *path =
        org_path(f, arena_printf(f->a, "/users/%s",
                                 value_get_string(value_at(list, 0), "userId", "")));

    fixture_expect(f, 400, HTTP_PATCH, path, root(f), "{'role':'member'}");
    fixture_expect(f, 400, HTTP_DELETE, path, root(f), NULL);
    fixture_expect(f, 200, HTTP_PATCH, path, root(f), "{'role':'admin'}");
}

static void somebody_new_is_invited_by_mail_and_sets_a_password(void **state) {
    struct fixture *f = *state;
    const struct value *member, *session;

    member = fixture_expect(f, 201, HTTP_POST, org_path(f, "/users"), root(f),
                            "{'email':'new@example.test'}");
    assert_string_equal(value_get_string(member, "status", ""), "invited");
    assert_string_equal(f->mail_to, "new@example.test");
    session = fixture_expect(f, 200, HTTP_POST, "/auth/password-reset/confirm", NULL,
                             arena_printf(f->a, "{'token':'%s','password':'Passw0rd!'}",
                                          fixture_mail_token(f)));
    assert_int_equal(customers_status(f, value_get_string(session, "token", "")), 200);
}

static void an_invitation_is_for_its_address_and_works_once(void **state) {
    struct fixture *f = *state;
    const char *jo = sign_up(f, "jo@example.test"), *eve = sign_up(f, "eve@example.test");
    const struct value *invitation;
    const char *path;

    invitation = fixture_expect(f, 201, HTTP_POST, org_path(f, "/invitations"), root(f),
                                "{'email':'jo@example.test'}");
    assert_non_null(strstr(f->mail_text, "http://console.test/org-invitations/"));
    assert_string_equal(value_get_string(value_get(invitation, "org"), "name", ""),
                        "My organisation");
    path = arena_printf(f->a, "/org-invitations/%s",
                        value_get_string(invitation, "uuid", ""));
    fixture_expect(f, 200, HTTP_GET, path, NULL, NULL);
    path = arena_printf(f->a, "%s/accept", path);
    fixture_expect(f, 403, HTTP_POST, path, eve, NULL);
    fixture_expect(f, 200, HTTP_POST, path, jo, NULL);
    fixture_expect(f, 404, HTTP_POST, path, jo, NULL);
    assert_int_equal(customers_status(f, jo), 200);
}

static void invitations_end_and_can_be_taken_back(void **state) {
    struct fixture *f = *state;
    const char *eve = sign_up(f, "eve@example.test");
    const struct value *invitation =
        fixture_expect(f, 201, HTTP_POST, org_path(f, "/invitations"), root(f), "{}");
    const char *accept = arena_printf(f->a, "/org-invitations/%s/accept",
                                      value_get_string(invitation, "uuid", ""));

    assert_int_equal(
        fixture_expect(f, 200, HTTP_GET, org_path(f, "/invitations"), root(f), NULL)->len,
        1);
    fixture_expect(f, 200, HTTP_DELETE,
                   org_path(f, arena_printf(f->a, "/invitations/%s",
                                            value_get_string(invitation, "id", ""))),
                   root(f), NULL);
    fixture_expect(f, 404, HTTP_POST, accept, eve, NULL);
    invitation =
        fixture_expect(f, 201, HTTP_POST, org_path(f, "/invitations"), root(f), "{}");
    clock_fake_advance(&f->clock, 7LL * 24 * 60 * 60 * 1000);
    fixture_expect(f, 404, HTTP_GET,
                   arena_printf(f->a, "/org-invitations/%s",
                                value_get_string(invitation, "uuid", "")),
                   NULL, NULL);
}

static void the_operator_creates_people_with_all_they_need(void **state) {
    struct fixture *f = *state;
    const char *body = "{'email':'ops@example.test','org':'Ops','workspace':'Main'}";
    const struct value *made, *session, *account;
    uint64_t workspaces;

    made = fixture_expect(f, 201, HTTP_POST, "/admin/users", root(f), body);
    workspaces = fixture_count(f, C_WORKSPACES);
    made = fixture_expect(f, 201, HTTP_POST, "/admin/users", root(f), body);
    assert_int_equal(fixture_count(f, C_WORKSPACES), workspaces);
    session = fixture_expect(
        f, 200, HTTP_POST, "/auth/link", NULL,
        arena_printf(f->a, "{'token':'%s'}",
                     strstr(value_get_string(made, "signInUri", ""), "token=") + 6));
    account = fixture_expect(f, 200, HTTP_GET, "/account",
                             value_get_string(session, "token", ""), NULL);
    assert_string_equal(value_get_string(value_get(account, "workspace"), "name", ""),
                        "Main");
    fixture_expect(f, 403, HTTP_POST, "/admin/users",
                   value_get_string(session, "token", ""), body);
    fixture_expect(f, 403, HTTP_GET, "/admin/users",
                   value_get_string(session, "token", ""), NULL);
    fixture_expect(f, 200, HTTP_POST, "/admin/users/link", root(f),
                   "{'email':'ops@example.test'}");
    fixture_expect(f, 404, HTTP_POST, "/admin/users/link", root(f),
                   "{'email':'nobody@example.test'}");
    assert_int_equal(value_get(fixture_expect(f, 200, HTTP_GET, "/admin/users?search=ops",
                                              root(f), NULL),
                               "items")
                         ->len,
                     1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(organisations_are_made_and_renamed_by_their_members),
        TEST(a_member_enters_until_the_role_or_membership_changes),
        TEST(the_last_administrator_stays),
        TEST(somebody_new_is_invited_by_mail_and_sets_a_password),
        TEST(an_invitation_is_for_its_address_and_works_once),
        TEST(invitations_end_and_can_be_taken_back),
        TEST(the_operator_creates_people_with_all_they_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
