/* Tokens as text: what is refused before any key is asked. */
#include "auth_fixture.h"

#include "auth/auth_jwt.h"
#include "crypto/crypto_base64url.h"

static const char *encode(struct fixture *f, const char *json) {
    const char *text = json;

    return crypto_base64url_encode(f->a, text, strlen(text));
}

static const char *raw(struct fixture *f, const char *head, const char *body) {
    return arena_printf(f->a, "%s.%s.c2ln", encode(f, head), encode(f, body));
}

static void expect_refused(struct fixture *f, const char *token) {
    struct auth_jwt jwt;

    assert_int_equal(auth_jwt_parse(f->a, token, &jwt, &f->st), -1);
    assert_string_equal(f->st.key, "not_authenticated");
    assert_int_equal(st_http_code(&f->st), 401);
}

static void texts_that_are_no_tokens_are_refused(void **state) {
    struct fixture *f = *state;

    expect_refused(f, "");
    expect_refused(f, ".");
    expect_refused(f, "..");
    expect_refused(f, "a.b.c");
    expect_refused(f, "a.b.c.d");
    expect_refused(f, raw(f, "[]", "{}"));
    expect_refused(f, raw(f, "{}", "{}"));
    expect_refused(f, raw(f, "{\"alg\":\"HS256\"}", "\"text\""));
    expect_refused(f, raw(f, "{\"alg\":5}", "{}"));
}

static void none_and_unknown_algorithms_are_refused(void **state) {
    struct fixture *f = *state;

    expect_refused(f, raw(f, "{\"alg\":\"none\"}", "{\"isAdmin\":true}"));
    expect_refused(f, raw(f, "{\"alg\":\"NONE\"}", "{}"));
    expect_refused(f, raw(f, "{\"alg\":\"hs256\"}", "{}"));
    expect_refused(f, raw(f, "{\"alg\":\"ES256K\"}", "{}"));
    expect_refused(f, raw(f, "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "{}"));
}

static void tokens_above_16_kB_are_refused(void **state) {
    struct fixture *f = *state;
    char *token = arena_alloc(f->a, AUTH_TOKEN_MAX + 100);

    memset(token, 'a', AUTH_TOKEN_MAX + 99);
    token[AUTH_TOKEN_MAX + 99] = '\0';
    expect_refused(f, token);
}

static void deep_payloads_are_refused(void **state) {
    struct fixture *f = *state;
    char deep[201] = "";

    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    expect_refused(f,
                   raw(f, "{\"alg\":\"HS256\"}", arena_printf(f->a, "{\"a\":%s}", deep)));
}

static int check_times(struct fixture *f, const char *claims, int64_t now_s,
                       int64_t *ret) {
    return auth_jwt_check_times(fixture_json(f, claims), now_s * 1000, ret, &f->st);
}

static void times_have_a_small_leeway(void **state) {
    struct fixture *f = *state;
    int64_t expires;

    assert_int_equal(check_times(f, "{'exp':1000}", 999, &expires), 0);
    assert_int_equal(check_times(f, "{'exp':1000}", 1029, &expires), 0);
    assert_int_equal(expires, 1030000);
    assert_int_equal(check_times(f, "{'exp':1000}", 1030, &expires), -1);
    assert_int_equal(check_times(f, "{'nbf':1000}", 970, &expires), 0);
    assert_int_equal(check_times(f, "{'nbf':1000}", 969, &expires), -1);
    assert_int_equal(check_times(f, "{}", 969, &expires), 0);
    assert_true(expires == INT64_MAX);
    assert_int_equal(check_times(f, "{'exp':'soon'}", 969, &expires), -1);
    assert_int_equal(check_times(f, "{'exp':1e300}", 969, &expires), 0);
    assert_int_equal(check_times(f, "{'exp':-1e300}", 969, &expires), -1);
}

static void claims_are_read_in_both_spellings(void **state) {
    struct fixture *f = *state;
    struct auth_claims c;

    assert_int_equal(
        auth_claims_read(f->a, fixture_json(f, "{'iss':'k1','id':'c1'}"), &c, &f->st), 0);
    assert_string_equal(c.workspace_key, "k1");
    assert_string_equal(c.tenant_key, "c1");
    assert_int_equal(auth_claims_read(f->a,
                                      fixture_json(f, "{'iss':'k1','workspaceKey':'k2',"
                                                      "'id':'c1','tenantKey':42}"),
                                      &c, &f->st),
                     0);
    assert_string_equal(c.workspace_key, "k2");
    assert_string_equal(c.tenant_key, "42");
    assert_int_equal(auth_claims_read(f->a, fixture_json(f, "{'id':''}"), &c, &f->st), 0);
    assert_null(c.tenant_key);
    assert_int_equal(auth_claims_read(f->a, fixture_json(f, "{'id':{}}"), &c, &f->st),
                     -1);
    assert_int_equal(auth_claims_read(f->a, fixture_json(f, "{'fields':[]}"), &c, &f->st),
                     -1);
}

static void admin_is_said_in_several_ways(void **state) {
    struct fixture *f = *state;
    static const char *const yes[] = {"true", "1", "'true'", "'1'", "'True'"};
    static const char *const no[] = {"false", "0", "'false'", "'0'", "null", "2", "[]"};
    struct auth_claims c;

    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
        const char *json = arena_printf(f->a, "{'isAdmin':%s}", yes[i]);

        assert_int_equal(auth_claims_read(f->a, fixture_json(f, json), &c, &f->st), 0);
        assert_true(c.is_admin);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
        const char *json = arena_printf(f->a, "{'isAdmin':%s}", no[i]);

        assert_int_equal(auth_claims_read(f->a, fixture_json(f, json), &c, &f->st), 0);
        assert_false(c.is_admin);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(texts_that_are_no_tokens_are_refused),
        TEST(none_and_unknown_algorithms_are_refused),
        TEST(tokens_above_16_kB_are_refused),
        TEST(deep_payloads_are_refused),
        TEST(times_have_a_small_leeway),
        TEST(claims_are_read_in_both_spellings),
        TEST(admin_is_said_in_several_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
