/* /auth and /account: people. */
#include "auth_fixture.h"

static const char *session(const struct value *body) {
    return value_get_string(body, "token", "");
}

static const struct value *sign_up(struct fixture *f, const char *email) {
    fixture_expect(
        f, 202, HTTP_POST, "/auth/register", NULL,
        arena_printf(f->a, "{'email':'%s','password':'Passw0rd!','name':'Jo'}", email));
    return fixture_expect(f, 200, HTTP_POST, "/auth/confirm", NULL,
                          arena_printf(f->a, "{'token':'%s'}", fixture_mail_token(f)));
}

/* S33 */
static void a_person_signs_up_confirms_and_signs_in(void **state) {
    struct fixture *f = *state;
    const char *login = "{'email':'JO@example.test','password':'Passw0rd!'}";
    const struct value *body, *account;
    const char *link;

    fixture_expect(f, 202, HTTP_POST, "/auth/register", NULL,
                   "{'email':'jo@example.test','password':'Passw0rd!','name':'Jo'}");
    assert_string_equal(f->mail_to, "jo@example.test");
    assert_non_null(strstr(f->mail_text, "http://console.test/confirm-email?token="));
    fixture_expect(f, 403, HTTP_POST, "/auth/login", NULL, login);
    link = arena_printf(f->a, "{'token':'%s'}", fixture_mail_token(f));
    fixture_expect(f, 200, HTTP_POST, "/auth/confirm", NULL, link);
    fixture_expect(f, 400, HTTP_POST, "/auth/confirm", NULL, link);
    body = fixture_expect(f, 200, HTTP_POST, "/auth/login", NULL, login);
    assert_false(value_has(value_get(body, "user"), "passwordHash"));
    assert_false(value_get_bool(value_get(body, "user"), "isAdmin", true));
    account = fixture_expect(f, 200, HTTP_GET, "/account", session(body), NULL);
    assert_int_equal(value_get(account, "orgs")->len, 1);
    assert_true(value_get_bool(value_get(account, "testCustomer"), "isTest", false));
    /* Their own workspace, not the first one. */
    assert_string_not_equal(value_get_string(value_get(account, "workspace"), "id", ""),
                            f->workspace_id);
    fixture_expect(f, 200, HTTP_GET, "/customers", session(body), NULL);
}

static void registering_twice_tells_nothing(void **state) {
    struct fixture *f = *state;

    sign_up(f, "jo@example.test");
    f->mails = 0;
    fixture_expect(f, 202, HTTP_POST, "/auth/register", NULL,
                   "{'email':'jo@example.test','password':'An0therOne','name':'X'}");
    assert_int_equal(f->mails, 0);
    fixture_expect(f, 401, HTTP_POST, "/auth/login", NULL,
                   "{'email':'jo@example.test','password':'An0therOne'}");
    fixture_expect(f, 202, HTTP_POST, "/auth/password-reset", NULL,
                   "{'email':'nobody@example.test'}");
    assert_int_equal(f->mails, 0);
}

static void weak_passwords_and_strange_addresses_are_refused(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {
        "{'email':'jo@example.test','password':'short1A'}",
        "{'email':'jo@example.test','password':'alllowercase1'}",
        "{'email':'jo@example.test','password':'NoDigitsHere'}",
        "{'email':'jo','password':'Passw0rd!'}",
        "{'email':'a@b@c','password':'Passw0rd!'}",
        "{'email':'a@b\\r\\nBcc: x','password':'Passw0rd!'}",
        "{'password':'Passw0rd!'}"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        fixture_expect(f, 400, HTTP_POST, "/auth/register", NULL, bad[i]);
}

static void ten_wrong_passwords_lock_the_address_for_a_while(void **state) {
    struct fixture *f = *state;
    const char *wrong = "{'email':'jo@example.test','password':'Wr0ngOne!'}";

    sign_up(f, "jo@example.test");
    for (int i = 0; i < 10; i++)
        fixture_expect(f, 401, HTTP_POST, "/auth/login", NULL, wrong);
    fixture_expect(f, 429, HTTP_POST, "/auth/login", NULL,
                   "{'email':'Jo@example.test','password':'Passw0rd!'}");
    clock_fake_advance(&f->clock, 15 * 60 * 1000);
    fixture_expect(f, 200, HTTP_POST, "/auth/login", NULL,
                   "{'email':'jo@example.test','password':'Passw0rd!'}");
}

static void a_new_password_ends_all_sessions(void **state) {
    struct fixture *f = *state;
    const char *old = session(sign_up(f, "jo@example.test"));
    const struct value *body;

    fixture_expect(f, 200, HTTP_GET, "/account", old, NULL);
    fixture_expect(f, 202, HTTP_POST, "/auth/password-reset", NULL,
                   "{'email':'jo@example.test'}");
    body = fixture_expect(f, 200, HTTP_POST, "/auth/password-reset/confirm", NULL,
                          arena_printf(f->a, "{'token':'%s','password':'NewPassw0rd'}",
                                       fixture_mail_token(f)));
    fixture_expect(f, 401, HTTP_GET, "/account", old, NULL);
    fixture_expect(f, 200, HTTP_GET, "/account", session(body), NULL);
    fixture_expect(f, 401, HTTP_POST, "/auth/login", NULL,
                   "{'email':'jo@example.test','password':'Passw0rd!'}");
}

static void links_are_of_one_kind_and_end(void **state) {
    struct fixture *f = *state;

    sign_up(f, "jo@example.test");
    fixture_expect(f, 202, HTTP_POST, "/auth/password-reset", NULL,
                   "{'email':'jo@example.test'}");
    fixture_expect(f, 400, HTTP_POST, "/auth/confirm", NULL,
                   arena_printf(f->a, "{'token':'%s'}", fixture_mail_token(f)));
    fixture_expect(f, 400, HTTP_POST, "/auth/link", NULL,
                   arena_printf(f->a, "{'token':'%s'}", fixture_mail_token(f)));
    clock_fake_advance(&f->clock, 60 * 60 * 1000);
    fixture_expect(f, 400, HTTP_POST, "/auth/password-reset/confirm", NULL,
                   arena_printf(f->a, "{'token':'%s','password':'NewPassw0rd'}",
                                fixture_mail_token(f)));
}

static void the_first_link_signs_the_administrator_in_once(void **state) {
    struct fixture *f = *state;
    const char *body =
        arena_printf(f->a, "{'token':'%s'}", strstr(f->first.admin_uri, "token=") + 6);
    const struct value *answer;

    answer = fixture_expect(f, 200, HTTP_POST, "/auth/link", NULL, body);
    fixture_expect(f, 400, HTTP_POST, "/auth/link", NULL, body);
    answer = fixture_expect(f, 200, HTTP_GET, "/account", session(answer), NULL);
    assert_string_equal(value_get_string(value_get(answer, "workspace"), "secret", ""),
                        f->first.workspace_secret);
    assert_true(
        value_get_bool(value_path(answer, "authContextPermissions", "platformUser", NULL),
                       "isPlatformAdmin", false));
}

static void signing_out_ends_the_session(void **state) {
    struct fixture *f = *state;
    const char *token = session(sign_up(f, "jo@example.test"));

    fixture_expect(f, 200, HTTP_POST, "/auth/logout", token, NULL);
    fixture_expect(f, 401, HTTP_GET, "/account", token, NULL);
}

static void a_session_signed_with_another_secret_is_refused(void **state) {
    struct fixture *f = *state;
    const char *token =
        fixture_sign(f, CRYPTO_HS256, "guess",
                     fixture_json(f, "{'iss':'membrane-console','sub':'x','sid':'y'}"));

    fixture_expect(f, 401, HTTP_GET, "/account", token, NULL);
}

static void a_new_personal_token_replaces_the_old_one(void **state) {
    struct fixture *f = *state;
    const struct value *body = fixture_expect(f, 201, HTTP_POST, "/account/api-token",
                                              f->first.admin_token, NULL);

    fixture_expect(f, 401, HTTP_GET, "/account", f->first.admin_token, NULL);
    fixture_expect(f, 200, HTTP_GET, "/account", session(body), NULL);
    fixture_expect(f, 200, HTTP_DELETE, "/account/api-token", session(body), NULL);
    fixture_expect(f, 401, HTTP_GET, "/account", session(body), NULL);
}

static void strangers_do_not_see_workspaces_of_others(void **state) {
    struct fixture *f = *state;
    const char *token = session(sign_up(f, "jo@example.test"));
    const struct value *list;

    fixture_expect(f, 404, HTTP_GET,
                   arena_printf(f->a, "/workspaces/%s", f->workspace_id), token, NULL);
    fixture_expect(
        f, 404, HTTP_POST,
        arena_printf(f->a, "/org-workspaces/%s/rotate-secret", f->workspace_id), token,
        NULL);
    fixture_expect(f, 403, HTTP_POST, "/workspaces", token,
                   "{'workspaceKey':'x','workspaceSecret':'y'}");
    list = fixture_expect(f, 200, HTTP_GET, "/workspaces", token, NULL);
    assert_int_equal(list->len, 1);
    fixture_expect(
        f, 403, HTTP_GET,
        arena_printf(f->a, "/customers?workspaceKey=%s", f->first.workspace_key), token,
        NULL);
    list = fixture_expect(f, 200, HTTP_GET, "/workspaces", f->first.admin_token, NULL);
    assert_int_equal(list->len, 2);
}

static void what_has_ended_is_swept_away(void **state) {
    struct fixture *f = *state;

    sign_up(f, "jo@example.test");
    fixture_expect(f, 202, HTTP_POST, "/auth/password-reset", NULL,
                   "{'email':'jo@example.test'}");
    assert_int_equal(auth_sweep(f->auth, &f->st), 0);
    assert_int_equal(fixture_count(f, C_SESSIONS), 1);
    assert_int_equal(fixture_count(f, C_ONE_TIME_TOKENS), 2);
    clock_fake_advance(&f->clock, 25LL * 60 * 60 * 1000);
    assert_int_equal(auth_sweep(f->auth, &f->st), 0);
    assert_int_equal(fixture_count(f, C_SESSIONS), 0);
    assert_int_equal(fixture_count(f, C_ONE_TIME_TOKENS), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_person_signs_up_confirms_and_signs_in),
        TEST(registering_twice_tells_nothing),
        TEST(weak_passwords_and_strange_addresses_are_refused),
        TEST(ten_wrong_passwords_lock_the_address_for_a_while),
        TEST(a_new_password_ends_all_sessions),
        TEST(links_are_of_one_kind_and_end),
        TEST(the_first_link_signs_the_administrator_in_once),
        TEST(signing_out_ends_the_session),
        TEST(a_session_signed_with_another_secret_is_refused),
        TEST(a_new_personal_token_replaces_the_old_one),
        TEST(strangers_do_not_see_workspaces_of_others),
        TEST(what_has_ended_is_swept_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
