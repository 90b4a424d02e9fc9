/* From a token to a caller, and what that costs the store. */
#include "auth_fixture.h"

#include <pthread.h>

#include "crypto/crypto_base64url.h"
#include "crypto/crypto_seal.h"

/* Signed by Node with keys of every kind, for a workspace with the key "vectors". */
static const struct {
    const char *alg, *pem, *jwk, *token;
} vectors[] = {
#include "jwt_vectors.inc"
};
enum { VECTORS = sizeof(vectors) / sizeof(*vectors) };

static const char *admin(struct fixture *f) {
    return fixture_token(f, "{'isAdmin':true}");
}

static void expect_401(struct fixture *f, const char *token) {
    const struct value *body = fixture_expect(f, 401, HTTP_GET, "/self", token, NULL);

    assert_string_equal(value_get_string(body, "type", ""), "bad_request");
    assert_string_equal(value_get_string(body, "key", ""), "not_authenticated");
}

/* S20 */
static void a_first_valid_token_creates_its_customer(void **state) {
    struct fixture *f = *state;
    const char *token =
        fixture_token(f, "{'id':'acct_1','name':'Jo','fields':{'plan':'pro'}}");
    struct answer answer = fixture_call(f, HTTP_GET, "/self", token, NULL);

    assert_int_equal(answer.status, 200);
    assert_string_equal(value_get_string(answer.body, "internalId", ""), "acct_1");
    assert_string_equal(value_get_string(answer.body, "name", ""), "Jo");
    assert_string_equal(value_get_string(value_get(answer.body, "fields"), "plan", ""),
                        "pro");
    assert_string_equal(value_get_string(answer.body, "workspaceKey", ""),
                        f->first.workspace_key);
    assert_true(value_get_bool(answer.body, "isActive", false));
    assert_false(value_has(answer.body, "workspaceId"));
    assert_string_equal(answer.caller->customer_id,
                        value_get_string(answer.body, "id", ""));
    assert_string_equal(answer.caller->workspace_id, f->workspace_id);
    assert_false(value_has(answer.caller->workspace, "secret"));
    assert_false(answer.caller->is_admin);
    assert_string_equal(answer.caller->api_version, "2025-10-21");
    assert_int_equal(fixture_count(f, C_CUSTOMERS), 1);
}

static void a_later_token_updates_name_and_fields(void **state) {
    struct fixture *f = *state;
    const struct value *body;

    fixture_expect(f, 200, HTTP_GET, "/self", fixture_token(f, "{'id':'a','name':'Jo'}"),
                   NULL);
    body = fixture_expect(f, 200, HTTP_GET, "/self",
                          fixture_token(f, "{'id':'a','name':'Ann','fields':{'x':1}}"),
                          NULL);
    assert_string_equal(value_get_string(body, "name", ""), "Ann");
    body = fixture_expect(f, 200, HTTP_GET, "/self",
                          fixture_token(f, "{'id':'a','exp':9999999999}"), NULL);
    assert_string_equal(value_get_string(body, "name", ""), "Ann");
    assert_true(value_get_number(value_get(body, "fields"), "x", 0) == 1);
    assert_int_equal(fixture_count(f, C_CUSTOMERS), 1);
}

static void a_known_customer_costs_no_write(void **state) {
    struct fixture *f = *state;
    const char *token = fixture_token(f, "{'id':'a','name':'Jo','fields':{'x':1,'y':2}}");
    const char *same = fixture_token(f, "{'id':'a','name':'Jo','fields':{'y':2,'x':1}}");
    struct answer answer = fixture_call(f, HTTP_GET, "/self", token, NULL);
    const struct value *before, *after;

    assert_int_equal(store_get(f->store, f->a, C_CUSTOMERS, answer.caller->customer_id,
                               &before, &f->st),
                     0);
    clock_fake_advance(&f->clock, 30 * 60 * 1000);
    fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);
    fixture_expect(f, 200, HTTP_GET, "/self", same, NULL);
    assert_int_equal(store_get(f->store, f->a, C_CUSTOMERS, answer.caller->customer_id,
                               &after, &f->st),
                     0);
    assert_true(value_equal_ordered(before, after));
    /* Activity is noted once an hour. */
    clock_fake_advance(&f->clock, 31 * 60 * 1000);
    fixture_expect(f, 401, HTTP_GET, "/self", token, NULL);
    fixture_expect(f, 200, HTTP_GET, "/self", fixture_token(f, "{'id':'a'}"), NULL);
    assert_int_equal(store_get(f->store, f->a, C_CUSTOMERS, answer.caller->customer_id,
                               &after, &f->st),
                     0);
    assert_string_equal(value_get_string(after, "lastActiveAt", ""),
                        "2025-11-05T09:31:12.481Z");
    assert_true(
        value_equal(value_get(before, "updatedAt"), value_get(after, "updatedAt")));
}

static void tokens_are_refused_for_every_reason(void **state) {
    struct fixture *f = *state;
    double exp = (double)(f->clock.ms / 1000 + 60);
    const struct value *claims =
        value_obj(f->a, "iss", value_string(f->a, f->first.workspace_key), "id",
                  value_string(f->a, "a"), "exp", value_number(f->a, exp), NULL);

    expect_401(f, NULL);
    expect_401(f, "x");
    expect_401(f, "pat-u123");
    expect_401(f, "pat-c123");
    expect_401(f, fixture_sign(f, CRYPTO_HS256, "another secret", claims));
    expect_401(f, fixture_token(f, "{'id':'a','exp':5}"));
    expect_401(f, fixture_token(f, "{'id':'a','nbf':9999999999}"));
    expect_401(f, fixture_token(f, "{'id':'a','iss':'another'}"));
    expect_401(f, fixture_token(f, "{}"));
    expect_401(f, fixture_token(f, "{'isAdmin':0}"));
    assert_int_equal(fixture_count(f, C_CUSTOMERS), 0);
    fixture_expect(f, 200, HTTP_GET, "/self",
                   fixture_sign(f, CRYPTO_HS384, f->first.workspace_secret, claims),
                   NULL);
    fixture_expect(f, 200, HTTP_GET, "/self",
                   fixture_sign(f, CRYPTO_HS512, f->first.workspace_secret, claims),
                   NULL);
}

static void none_is_refused_even_with_valid_claims(void **state) {
    struct fixture *f = *state;
    const char *claims =
        arena_printf(f->a, "{\"iss\":\"%s\",\"isAdmin\":true}", f->first.workspace_key);
    const char *head = "{\"alg\":\"none\"}";

    expect_401(f, arena_printf(f->a, "%s.%s.",
                               crypto_base64url_encode(f->a, head, strlen(head)),
                               crypto_base64url_encode(f->a, claims, strlen(claims))));
}

static void a_customer_may_not_do_what_admins_do(void **state) {
    struct fixture *f = *state;
    const struct value *body = fixture_expect(f, 403, HTTP_GET, "/customers",
                                              fixture_token(f, "{'id':'a'}"), NULL);

    assert_string_equal(value_get_string(body, "key", ""), "access_denied");
    fixture_expect(f, 403, HTTP_GET, "/account", admin(f), NULL);
    fixture_expect(f, 200, HTTP_GET, "/customers", admin(f), NULL);
}

static void a_remembered_token_still_expires(void **state) {
    struct fixture *f = *state;
    const char *token =
        fixture_token(f, arena_printf(f->a, "{'id':'a','exp':%lld}",
                                      (long long)(f->clock.ms / 1000 + 2)));

    fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);
    clock_fake_advance(&f->clock, 2000 + 29000);
    fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);
    clock_fake_advance(&f->clock, 2000);
    expect_401(f, token);
}

static void a_rotated_secret_ends_remembered_tokens(void **state) {
    struct fixture *f = *state;
    const char *token = fixture_token(f, "{'id':'a'}"), *path;
    const struct value *body;

    fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);
    path = arena_printf(f->a, "/org-workspaces/%s/rotate-secret", f->workspace_id);
    body = fixture_expect(f, 200, HTTP_POST, path, f->first.admin_token, NULL);
    expect_401(f, token);
    f->first.workspace_secret = value_get_string(body, "secret", NULL);
    fixture_expect(f, 200, HTTP_GET, "/self", fixture_token(f, "{'id':'a'}"), NULL);
}

/* A change that another process made is noticed after a while. */
static void a_change_behind_our_back_is_noticed_within_seconds(void **state) {
    struct fixture *f = *state;
    const char *token = fixture_token(f, "{'id':'a','name':'Jo'}");
    struct store_change change = {
        .set = fixture_json(f, "{'archivedAt':'2025-11-05T00:00:00.000Z'}")};
    struct answer answer = fixture_call(f, HTTP_GET, "/self", token, NULL);

    assert_int_equal(store_update(f->store, f->a, C_CUSTOMERS, answer.caller->customer_id,
                                  NULL, &change, NULL, &f->st),
                     0);
    fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);
    clock_fake_advance(&f->clock, 5000);
    fixture_expect(f, 403, HTTP_GET, "/self", token, NULL);
}

static const char *patch_path(struct fixture *f) {
    return arena_printf(f->a, "/workspaces/%s", f->workspace_id);
}

static void use_vector_workspace(struct fixture *f) {
    struct store_change change = {.set = fixture_json(f, "{'key':'vectors'}")};

    assert_int_equal(store_update(f->store, f->a, C_WORKSPACES, f->workspace_id, NULL,
                                  &change, NULL, &f->st),
                     0);
    auth_forget(f->auth, f->workspace_id);
}

static const char *json_text(struct fixture *f, const char *s) {
    return value_encode_arena(f->a, value_string(f->a, s), VALUE_ENCODE_COMPACT).data;
}

static void tokens_signed_with_a_stored_public_key_are_accepted(void **state) {
    struct fixture *f = *state;

    use_vector_workspace(f);
    for (int i = 0; i < VECTORS; i++)
        expect_401(f, vectors[i].token);
    for (int i = 0; i < VECTORS; i++) {
        fixture_expect(
            f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
            arena_printf(f->a, "{\"publicKeys\":[{\"name\":\"k\",\"publicKey\":%s}]}",
                         json_text(f, vectors[i].pem)));
        fixture_expect(f, 200, HTTP_GET, "/self", vectors[i].token, NULL);
    }
    /* The older, single key. */
    fixture_expect(f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
                   arena_printf(f->a, "{\"publicKeys\":[],\"publicKey\":%s}",
                                json_text(f, vectors[2].pem)));
    fixture_expect(f, 200, HTTP_GET, "/self", vectors[2].token, NULL);
    expect_401(f, vectors[3].token);
}

/* The public key's text as a shared secret: the classic confusion. */
static void a_public_key_is_no_shared_secret(void **state) {
    struct fixture *f = *state;
    const struct value *claims = fixture_json(f, "{'iss':'vectors','id':'acct'}");

    use_vector_workspace(f);
    fixture_expect(f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
                   arena_printf(f->a,
                                "{\"publicKeys\":[{\"name\":\"k\",\"publicKey\":%s}]}",
                                json_text(f, vectors[0].pem)));
    fixture_expect(f, 200, HTTP_GET, "/self", vectors[0].token, NULL);
    expect_401(f, fixture_sign(f, CRYPTO_HS256, vectors[0].pem, claims));
}

static const char *key_set(struct fixture *f) {
    const char *text = "";

    for (int i = 0; i < VECTORS; i++)
        text = arena_printf(f->a, "%s%s%s", text, i ? "," : "", vectors[i].jwk);
    return arena_printf(f->a, "{\"keys\":[{\"kty\":\"oct\"},%s]}", text);
}

static void use_jwks_uri(struct fixture *f) {
    use_vector_workspace(f);
    fixture_expect(f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
                   "{'jwksUri':'https://keys.test/jwks.json'}");
}

static void a_key_set_is_fetched_once_for_all_its_keys(void **state) {
    struct fixture *f = *state;

    use_jwks_uri(f);
    f->jwks = key_set(f);
    for (int i = 0; i < VECTORS; i++)
        fixture_expect(f, 200, HTTP_GET, "/self", vectors[i].token, NULL);
    assert_int_equal(f->fetches, 1);
    clock_fake_advance(&f->clock, 10 * 60 * 1000);
    fixture_expect(f, 200, HTTP_GET, "/self", vectors[0].token, NULL);
    assert_int_equal(f->fetches, 2);
}

static void an_unreachable_key_set_is_a_503_and_not_asked_at_once_again(void **state) {
    struct fixture *f = *state;

    use_jwks_uri(f);
    fixture_expect(f, 503, HTTP_GET, "/self", vectors[0].token, NULL);
    fixture_expect(f, 503, HTTP_GET, "/self", vectors[0].token, NULL);
    assert_int_equal(f->fetches, 1);
    clock_fake_advance(&f->clock, 30 * 1000);
    f->jwks = key_set(f);
    fixture_expect(f, 200, HTTP_GET, "/self", vectors[0].token, NULL);
    /* Later failures go by what was fetched before. */
    f->jwks = NULL;
    clock_fake_advance(&f->clock, 20 * 60 * 1000);
    fixture_expect(f, 200, HTTP_GET, "/self", vectors[0].token, NULL);
    assert_int_equal(f->fetches, 3);
}

static void an_unknown_key_id_refreshes_the_set_once_a_minute(void **state) {
    struct fixture *f = *state;

    use_jwks_uri(f);
    f->jwks = arena_printf(f->a, "{\"keys\":[%s]}", vectors[0].jwk);
    expect_401(f, vectors[2].token);
    assert_int_equal(f->fetches, 1);
    f->jwks = key_set(f);
    expect_401(f, vectors[2].token);
    clock_fake_advance(&f->clock, 60 * 1000);
    fixture_expect(f, 200, HTTP_GET, "/self", vectors[2].token, NULL);
    assert_int_equal(f->fetches, 2);
}

static void secret_signing_can_be_switched_off(void **state) {
    struct fixture *f = *state;

    fixture_expect(f, 200, HTTP_GET, "/self", fixture_token(f, "{'id':'a'}"), NULL);
    fixture_expect(f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
                   "{'settings':{'disableSecretKeyAuth':true}}");
    expect_401(f, fixture_token(f, "{'id':'a'}"));
}

static void disabled_and_archived_workspaces_let_nobody_in(void **state) {
    struct fixture *f = *state;

    fixture_expect(f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
                   "{'isDisabled':true}");
    fixture_expect(f, 403, HTTP_GET, "/self", fixture_token(f, "{'id':'a'}"), NULL);
    fixture_expect(f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
                   "{'isDisabled':false,'archivedAt':'2025-01-01T00:00:00.000Z'}");
    expect_401(f, fixture_token(f, "{'id':'a'}"));
    fixture_expect(f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
                   "{'archivedAt':null}");
    fixture_expect(f, 200, HTTP_GET, "/self", fixture_token(f, "{'id':'a'}"), NULL);
}

static void a_read_only_workspace_refuses_admin_writes(void **state) {
    struct fixture *f = *state;

    fixture_expect(f, 200, HTTP_PATCH, patch_path(f), f->first.admin_token,
                   "{'isReadOnly':true}");
    fixture_expect(f, 200, HTTP_GET, "/customers", admin(f), NULL);
    fixture_expect(f, 403, HTTP_POST, "/customers", admin(f), "{'name':'x'}");
}

static void test_tokens_make_test_customers(void **state) {
    struct fixture *f = *state;
    struct answer answer = fixture_call(
        f, HTTP_GET, "/self", fixture_token(f, "{'id':'t','isTest':true}"), NULL);

    assert_int_equal(answer.status, 200);
    assert_true(answer.caller->is_test);
    assert_true(value_get_bool(answer.body, "isTest", false));
    assert_false(value_get_bool(answer.body, "isBillable", true));
}

static void an_admin_token_may_name_a_customer(void **state) {
    struct fixture *f = *state;
    struct answer answer = fixture_call(f, HTTP_GET, "/self",
                                        fixture_token(f, "{'id':'a','isAdmin':1}"), NULL);

    assert_int_equal(answer.status, 200);
    assert_true(answer.caller->is_admin);
    fixture_expect(f, 404, HTTP_GET, "/self", admin(f), NULL);
}

/* Event streams can't send headers. */
static void the_token_may_come_in_the_query(void **state) {
    struct fixture *f = *state;

    fixture_expect(f, 200, HTTP_GET,
                   arena_printf(f->a, "/self?token=%s", fixture_token(f, "{'id':'a'}")),
                   NULL, NULL);
}

static void a_personal_token_enters_the_default_workspace(void **state) {
    struct fixture *f = *state;
    struct answer answer =
        fixture_call(f, HTTP_GET, "/customers", f->first.admin_token, NULL);

    assert_int_equal(answer.status, 200);
    assert_true(answer.caller->is_admin);
    assert_true(answer.caller->is_platform_admin);
    assert_string_equal(answer.caller->workspace_id, f->workspace_id);
    fixture_expect(
        f, 200, HTTP_GET,
        arena_printf(f->a, "/customers?workspaceKey=%s", f->first.workspace_key),
        f->first.admin_token, NULL);
    fixture_expect(f, 403, HTTP_GET, "/customers?workspaceKey=another",
                   f->first.admin_token, NULL);
}

static void client_tokens_work_until_they_are_deleted(void **state) {
    struct fixture *f = *state;
    const struct value *made, *list, *customer;
    const char *token;

    customer = fixture_expect(f, 201, HTTP_POST, "/customers", admin(f), "{'name':'Jo'}");
    made = fixture_expect(f, 201, HTTP_POST, "/client-tokens", admin(f),
                          arena_printf(f->a,
                                       "{'grantType':'api','grantId':'g','grantName':'n',"
                                       "'tenantId':'%s'}",
                                       value_get_string(customer, "id", "")));
    token = value_get_string(made, "accessToken", "");
    assert_string_equal(
        value_get_string(fixture_expect(f, 200, HTTP_GET, "/self", token, NULL), "id",
                         ""),
        value_get_string(customer, "id", ""));
    fixture_expect(f, 403, HTTP_GET, "/customers", token, NULL);
    list = value_get(fixture_expect(f, 200, HTTP_GET, "/client-tokens", admin(f), NULL),
                     "items");
    assert_int_equal(list->len, 1);
    assert_false(value_has(value_at(list, 0), "tokenHash"));
    fixture_expect(
        f, 200, HTTP_DELETE,
        arena_printf(f->a, "/client-tokens/%s", value_get_string(made, "id", "")),
        admin(f), NULL);
    expect_401(f, token);
}

/* ---- At once ---- */

static void *read_self(void *ctx) {
    struct fixture *f = ctx;
    struct fixture mine = *f;
    struct answer answer;

    mine.a = arena_new(0);
    answer = fixture_call(&mine, HTTP_GET, "/self", f->mail_text, NULL);
    arena_free(&mine.a);
    return answer.status == 200 ? NULL : "failed";
}

static void first_tokens_at_once_make_one_customer(void **state) {
    struct fixture *f = *state;
    pthread_t threads[8];

    f->mail_text = fixture_token(f, "{'id':'a','name':'Jo'}");
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_self, f), 0);
    for (int i = 0; i < 8; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(fixture_count(f, C_CUSTOMERS), 1);
}

static void the_first_start_can_be_repeated(void **state) {
    struct fixture *f = *state;
    struct auth_bootstrap again;

    assert_int_equal(auth_bootstrap(&f->deps, f->a, NULL, &again, &f->st), 0);
    assert_string_equal(again.workspace_key, f->first.workspace_key);
    assert_string_equal(again.workspace_secret, f->first.workspace_secret);
    assert_string_equal(again.admin_email, "root@example.test");
    assert_null(again.admin_token);
    assert_string_not_equal(again.admin_uri, f->first.admin_uri);
    assert_int_equal(fixture_count(f, C_WORKSPACES), 1);
    assert_int_equal(fixture_count(f, C_PLATFORM_USERS), 1);
    assert_int_equal(fixture_count(f, C_ONE_TIME_TOKENS), 1);
}

/* S21 */
static void another_encryption_secret_refuses_to_start(void **state) {
    struct fixture *f = *state;
    struct crypto_sealer *wrong = crypto_sealer_new("wrong", NULL);
    struct auth_options o = {.store = f->store,
                             .secret = "s",
                             .sealer = wrong,
                             .clock = &f->clock.clock,
                             .rand = rand_system()};
    struct auth *auth;

    assert_int_equal(auth_open(&o, &auth, &f->st), -1);
    assert_string_equal(f->st.key, "conflict");
    crypto_sealer_free(&wrong);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_first_valid_token_creates_its_customer),
        TEST(a_later_token_updates_name_and_fields),
        TEST(a_known_customer_costs_no_write),
        TEST(first_tokens_at_once_make_one_customer),
        TEST(tokens_are_refused_for_every_reason),
        TEST(none_is_refused_even_with_valid_claims),
        TEST(a_customer_may_not_do_what_admins_do),
        TEST(a_remembered_token_still_expires),
        TEST(a_rotated_secret_ends_remembered_tokens),
        TEST(a_change_behind_our_back_is_noticed_within_seconds),
        TEST(tokens_signed_with_a_stored_public_key_are_accepted),
        TEST(a_public_key_is_no_shared_secret),
        TEST(a_key_set_is_fetched_once_for_all_its_keys),
        TEST(an_unreachable_key_set_is_a_503_and_not_asked_at_once_again),
        TEST(an_unknown_key_id_refreshes_the_set_once_a_minute),
        TEST(secret_signing_can_be_switched_off),
        TEST(disabled_and_archived_workspaces_let_nobody_in),
        TEST(a_read_only_workspace_refuses_admin_writes),
        TEST(test_tokens_make_test_customers),
        TEST(an_admin_token_may_name_a_customer),
        TEST(the_token_may_come_in_the_query),
        TEST(a_personal_token_enters_the_default_workspace),
        TEST(client_tokens_work_until_they_are_deleted),
        TEST(the_first_start_can_be_repeated),
        TEST(another_encryption_secret_refuses_to_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
