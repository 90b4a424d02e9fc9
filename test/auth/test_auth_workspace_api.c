/* /workspaces and /org-workspaces. */
#include "auth_fixture.h"

static const char *path(struct fixture *f, const char *view, const char *op) {
    return arena_printf(f->a, "/%s/%s%s", view, f->workspace_id, op);
}

static const struct value *patch(struct fixture *f, int status, const char *body) {
    return fixture_expect(f, status, HTTP_PATCH, path(f, "org-workspaces", ""),
                          f->first.admin_token, body);
}

static void the_two_views_differ_by_the_secret(void **state) {
    struct fixture *f = *state;
    const struct value *engine = fixture_expect(
        f, 200, HTTP_GET, path(f, "workspaces", ""), f->first.admin_token, NULL);
    const struct value *owner = fixture_expect(
        f, 200, HTTP_GET, path(f, "org-workspaces", ""), f->first.admin_token, NULL);

    assert_false(value_has(engine, "secret"));
    assert_string_equal(value_get_string(owner, "secret", ""), f->first.workspace_secret);
    assert_string_equal(
        value_get_string(value_path(engine, "limits", "fileUploadsMbPerHour", NULL),
                         "unit", ""),
        "Mb");
}

static void settings_and_limits_change_one_by_one(void **state) {
    struct fixture *f = *state;
    const struct value *w;

    patch(f, 200, "{'settings':{'enableApiLogs':false}}");
    w = patch(f, 200, "{'limits':{'parallelFlowRunsPerConnection':{'value':3}}}");
    assert_false(value_get_bool(value_get(w, "settings"), "enableApiLogs", true));
    assert_true(value_get_bool(value_get(w, "settings"), "enableWebhookLogs", false));
    assert_true(
        value_get_number(value_path(w, "limits", "parallelFlowRunsPerConnection", NULL),
                         "value", 0) == 3);
    w = fixture_expect(f, 200, HTTP_PATCH, path(f, "workspaces", "/limits"),
                       f->first.admin_token, "{'apiRequestsPerSecond':{'value':7}}");
    assert_true(value_get_number(value_path(w, "limits", "apiRequestsPerSecond", NULL),
                                 "value", 0) == 7);
    w = patch(f, 200, "{'limits':{'apiRequestsPerSecond':{}}}");
    assert_false(
        value_has(value_path(w, "limits", "apiRequestsPerSecond", NULL), "value"));
    patch(f, 403, "{'limits':{'noSuchLimit':{'value':1}}}");
    patch(f, 400, "{'limits':{'apiRequestsPerSecond':{'value':'x'}}}");
}

static void what_was_read_may_be_sent_back_whole(void **state) {
    struct fixture *f = *state;
    const struct value *w = fixture_expect(
        f, 200, HTTP_GET, path(f, "org-workspaces", ""), f->first.admin_token, NULL);
    const struct value *again =
        patch(f, 200, value_encode_arena(f->a, w, VALUE_ENCODE_COMPACT).data);

    assert_true(value_equal(w, again));
}

static void wrong_values_are_refused(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {
        "{'jwksUri':'ftp://x'}",
        "{'jwksUri':5}",
        "{'webhookUri':'javascript:1'}",
        "{'type':'other'}",
        "{'settings':[]}",
        "{'settings':{'enableApiLogs':'yes'}}",
        "{'publicKeys':{}}",
        "{'publicKeys':[{'name':'k','publicKey':'nonsense'}]}",
        "{'publicKeys':[{'publicKey':'x'}]}",
        "{'enabledWebhookEvents':[1]}"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        patch(f, 400, bad[i]);
}

static void an_access_token_is_made_for_admins_and_customers(void **state) {
    struct fixture *f = *state;
    const struct value *made, *self;

    made = fixture_expect(f, 201, HTTP_POST, path(f, "workspaces", "/access-token"),
                          f->first.admin_token, "{'isAdmin':true}");
    fixture_expect(f, 200, HTTP_GET, "/customers", value_get_string(made, "token", ""),
                   NULL);
    made =
        fixture_expect(f, 201, HTTP_POST, path(f, "org-workspaces", "/access-token"),
                       f->first.admin_token,
                       "{'tenantKey':'u1','name':'Jo','fields':{'a':1},'isTest':true}");
    self = fixture_expect(f, 200, HTTP_GET, "/self", value_get_string(made, "token", ""),
                          NULL);
    assert_string_equal(value_get_string(self, "internalId", ""), "u1");
    assert_true(value_get_bool(self, "isTest", false));
    made = fixture_expect(
        f, 201, HTTP_POST, path(f, "workspaces", "/access-token"), f->first.admin_token,
        arena_printf(f->a, "{'tenantId':'%s'}", value_get_string(self, "id", "")));
    fixture_expect(f, 200, HTTP_GET, "/self", value_get_string(made, "token", ""), NULL);
    fixture_expect(f, 400, HTTP_POST, path(f, "workspaces", "/access-token"),
                   f->first.admin_token, "{}");
    fixture_expect(f, 404, HTTP_POST, path(f, "workspaces", "/access-token"),
                   f->first.admin_token, "{'tenantId':'nobody'}");
}

static void workspaces_are_made_and_listed_by_pages(void **state) {
    struct fixture *f = *state;
    const struct value *account =
        fixture_expect(f, 200, HTTP_GET, "/account", f->first.admin_token, NULL);
    const char *org = value_get_string(value_at(value_get(account, "orgs"), 0), "id", "");
    const struct value *page;

    for (int i = 0; i < 3; i++)
        fixture_expect(f, 201, HTTP_POST, "/org-workspaces", f->first.admin_token,
                       arena_printf(f->a, "{'orgId':'%s','name':'W%d'}", org, i));
    page = fixture_expect(f, 200, HTTP_GET, "/org-workspaces?limit=2",
                          f->first.admin_token, NULL);
    assert_int_equal(value_get(page, "items")->len, 2);
    assert_string_equal(value_get_string(page, "cursor", ""), "2");
    page = fixture_expect(f, 200, HTTP_GET, "/org-workspaces?limit=3&cursor=2",
                          f->first.admin_token, NULL);
    assert_int_equal(value_get(page, "items")->len, 2);
    assert_false(value_has(page, "cursor"));
    page = fixture_expect(f, 200, HTTP_GET, "/org-workspaces?search=w1",
                          f->first.admin_token, NULL);
    assert_int_equal(value_get(page, "items")->len, 1);
    fixture_expect(f, 404, HTTP_POST, "/org-workspaces", f->first.admin_token,
                   "{'orgId':'nowhere'}");
    fixture_expect(f, 400, HTTP_POST, "/workspaces", f->first.admin_token,
                   arena_printf(f->a, "{'workspaceKey':'%s','workspaceSecret':'x'}",
                                f->first.workspace_key));
    fixture_expect(f, 400, HTTP_POST, "/workspaces", f->first.admin_token,
                   "{'workspaceKey':'membrane-console','workspaceSecret':'x'}");
}

static void self_hosting_tokens_are_shown_once_and_validated(void **state) {
    struct fixture *f = *state;
    const struct value *made, *list;
    const char *token, *path_of_it;

    fixture_expect(f, 400, HTTP_POST, "/self-hosting-tokens", f->first.admin_token,
                   "{'name':''}");
    made = fixture_expect(f, 201, HTTP_POST, "/self-hosting-tokens", f->first.admin_token,
                          "{'name':'prod'}");
    token = value_get_string(made, "token", "");
    list = fixture_expect(f, 200, HTTP_GET, "/self-hosting-tokens", f->first.admin_token,
                          NULL);
    assert_int_equal(list->len, 1);
    assert_false(value_has(value_at(list, 0), "token"));
    assert_false(value_has(value_at(list, 0), "tokenHash"));
    assert_true(value_get_bool(
        fixture_expect(f, 200, HTTP_POST, "/self-hosting-tokens/validate", token, "{}"),
        "valid", false));
    assert_false(
        value_get_bool(fixture_expect(f, 200, HTTP_POST, "/self-hosting-tokens/validate",
                                      f->first.admin_token, "{}"),
                       "valid", true));
    path_of_it =
        arena_printf(f->a, "/self-hosting-tokens/%s", value_get_string(made, "id", ""));
    made = fixture_expect(f, 200, HTTP_PATCH, path_of_it, f->first.admin_token,
                          "{'name':'new'}");
    assert_string_equal(value_get_string(made, "name", ""), "new");
    assert_true(value_has(made, "lastUsedAt"));
    fixture_expect(f, 200, HTTP_DELETE, path_of_it, f->first.admin_token, NULL);
    assert_false(value_get_bool(
        fixture_expect(f, 200, HTTP_POST, "/self-hosting-tokens/validate", token, "{}"),
        "valid", true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_two_views_differ_by_the_secret),
        TEST(settings_and_limits_change_one_by_one),
        TEST(what_was_read_may_be_sent_back_whole),
        TEST(wrong_values_are_refused),
        TEST(an_access_token_is_made_for_admins_and_customers),
        TEST(workspaces_are_made_and_listed_by_pages),
        TEST(self_hosting_tokens_are_shown_once_and_validated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
