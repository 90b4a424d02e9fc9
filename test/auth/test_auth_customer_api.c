/* /customers, /customer and /self. */
#include "auth_fixture.h"

static const char *admin(struct fixture *f) {
    return fixture_token(f, "{'isAdmin':true}");
}

static const struct value *make(struct fixture *f, const char *body) {
    return fixture_expect(f, 201, HTTP_POST, "/customers", admin(f), body);
}

static const char *id_of(const struct value *customer) {
    return value_get_string(customer, "id", "");
}

static const char *path_of(struct fixture *f, const struct value *customer) {
    return arena_printf(f->a, "/customers/%s", id_of(customer));
}

static void a_customer_is_created_with_what_may_be_written(void **state) {
    struct fixture *f = *state;
    const struct value *c =
        make(f, "{'name':'Jo','internalId':'u1','fields':{'a':1},'meta':{'r':'eu'},"
                "'aiCreditsRolling30DayLimit':5,'id':'mine','isTest':true,'other':1}");

    assert_string_equal(value_get_string(c, "internalId", ""), "u1");
    assert_string_not_equal(id_of(c), "mine");
    assert_false(value_get_bool(c, "isTest", true));
    assert_false(value_has(c, "other"));
    assert_string_equal(value_get_string(c, "createdAt", ""), "2025-11-05T08:30:12.481Z");
    c = make(f, "{'name':'Without'}");
    assert_string_equal(value_get_string(c, "internalId", ""), id_of(c));
}

static void wrong_bodies_are_refused(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {"{}",
                                      "{'name':''}",
                                      "{'name':5}",
                                      "{'name':'x','fields':[]}",
                                      "{'name':'x','internalId':{}}",
                                      "{'name':'x','aiCreditsRolling30DayLimit':-1}",
                                      "[]",
                                      "5"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        fixture_expect(f, 400, HTTP_POST, "/customers", admin(f), bad[i]);
    fixture_expect(f, 400, HTTP_POST, "/customers", admin(f), NULL);
    assert_int_equal(fixture_count(f, C_CUSTOMERS), 0);
}

static void an_internal_id_is_taken_once(void **state) {
    struct fixture *f = *state;
    const struct value *c, *body;

    make(f, "{'name':'A','internalId':'u1'}");
    body = fixture_expect(f, 400, HTTP_POST, "/customers", admin(f),
                          "{'name':'B','internalId':'u1'}");
    assert_string_equal(value_get_string(body, "key", ""), "already_exists");
    c = make(f, "{'name':'B','internalId':'u2'}");
    body = fixture_expect(f, 400, HTTP_PATCH, path_of(f, c), admin(f),
                          "{'internalId':'u1'}");
    assert_string_equal(value_get_string(body, "key", ""), "already_exists");
}

static void a_customer_is_found_by_either_id_and_by_query(void **state) {
    struct fixture *f = *state;
    const struct value *c = make(f, "{'name':'A','internalId':'u 1'}"), *body;

    body = fixture_expect(f, 200, HTTP_GET, path_of(f, c), admin(f), NULL);
    assert_true(value_equal(body, c));
    body = fixture_expect(f, 200, HTTP_GET, "/customers/u%201", admin(f), NULL);
    assert_true(value_equal(body, c));
    body =
        fixture_expect(f, 200, HTTP_GET, arena_printf(f->a, "/customer?id=%s", id_of(c)),
                       admin(f), NULL);
    assert_true(value_equal(body, c));
    fixture_expect(f, 404, HTTP_GET, "/customers/nobody", admin(f), NULL);
    fixture_expect(f, 400, HTTP_GET, "/customer", admin(f), NULL);
}

/* What a client read may be sent back whole. */
static void put_takes_a_whole_customer_and_passes_over_the_rest(void **state) {
    struct fixture *f = *state;
    const struct value *c = make(f, "{'name':'A','fields':{'a':1}}"), *body;

    body = value_with(f->a, value_with(f->a, c, "name", value_string(f->a, "B")),
                      "createdAt", value_string(f->a, "1999"));
    body = fixture_expect(f, 200, HTTP_PUT, path_of(f, c), admin(f),
                          value_encode_arena(f->a, body, VALUE_ENCODE_COMPACT).data);
    assert_string_equal(value_get_string(body, "name", ""), "B");
    assert_true(value_equal(value_get(body, "createdAt"), value_get(c, "createdAt")));
    body =
        fixture_expect(f, 200, HTTP_PATCH, path_of(f, c), admin(f), "{'fields':{'b':2}}");
    assert_string_equal(value_get_string(body, "name", ""), "B");
    assert_true(value_equal(value_get(body, "fields"), fixture_json(f, "{'b':2}")));
    fixture_expect(f, 200, HTTP_PUT, path_of(f, c), admin(f), NULL);
}

static void credentials_are_sealed_and_stay_out_of_lists(void **state) {
    struct fixture *f = *state;
    const struct value *c = make(f, "{'name':'A','credentials':{'key':'hush-hush'}}");
    const struct value *doc, *list, *opened;

    assert_string_equal(value_get_string(value_get(c, "credentials"), "key", ""),
                        "hush-hush");
    assert_int_equal(store_get(f->store, f->a, C_CUSTOMERS, id_of(c), &doc, &f->st), 0);
    assert_null(strstr(value_encode_arena(f->a, doc, 0).data, "hush-hush"));
    list = value_get(fixture_expect(f, 200, HTTP_GET, "/customers", admin(f), NULL),
                     "items");
    assert_false(value_has(value_at(list, 0), "credentials"));
    assert_int_equal(auth_customer_credentials(&f->deps, f->a, id_of(c), &opened, &f->st),
                     0);
    assert_string_equal(value_get_string(opened, "key", ""), "hush-hush");
    c = fixture_expect(f, 200, HTTP_PATCH, path_of(f, c), admin(f),
                       "{'credentials':null}");
    assert_false(value_has(c, "credentials"));
}

static void archived_customers_leave_lists_and_lose_access_until_restored(void **state) {
    struct fixture *f = *state;
    const struct value *c = make(f, "{'name':'A','internalId':'u1'}"), *list;
    const char *token = fixture_token(f, "{'id':'u1'}");

    fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);
    fixture_expect(f, 200, HTTP_DELETE, path_of(f, c), admin(f), NULL);
    fixture_expect(f, 200, HTTP_DELETE, path_of(f, c), admin(f), NULL);
    fixture_expect(f, 403, HTTP_GET, "/self", token, NULL);
    fixture_expect(f, 400, HTTP_PATCH, path_of(f, c), admin(f), "{'name':'B'}");
    c = fixture_expect(f, 200, HTTP_GET, path_of(f, c), admin(f), NULL);
    assert_true(value_has(c, "archivedAt"));
    list = fixture_expect(f, 200, HTTP_GET, "/customers", admin(f), NULL);
    assert_int_equal(value_get(list, "items")->len, 0);
    list =
        fixture_expect(f, 200, HTTP_GET, "/customers?includeArchived=1", admin(f), NULL);
    assert_int_equal(value_get(list, "items")->len, 1);
    c = fixture_expect(f, 200, HTTP_POST,
                       arena_printf(f->a, "/customers/%s/restore", id_of(c)), admin(f),
                       NULL);
    assert_false(value_has(c, "archivedAt"));
    fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);
}

static void lists_page_search_and_filter(void **state) {
    struct fixture *f = *state;
    const struct value *page;
    const char *cursor;
    size_t n = 0;

    for (int i = 0; i < 5; i++)
        make(f, arena_printf(f->a, "{'name':'Customer %d','internalId':'in%d'}", i, i));
    fixture_expect(f, 200, HTTP_GET, "/self", fixture_token(f, "{'id':'t','isTest':1}"),
                   NULL);
    page = fixture_expect(f, 200, HTTP_GET, "/customers?limit=6", admin(f), NULL);
    assert_int_equal(value_get(page, "items")->len, 6);
    assert_string_equal(
        value_get_string(value_at(value_get(page, "items"), 0), "internalId", ""), "t");
    assert_true(value_has(page, "cursor"));
    page = fixture_expect(f, 200, HTTP_GET, "/customers?limit=7", admin(f), NULL);
    assert_false(value_has(page, "cursor"));
    for (cursor = "0"; cursor; cursor = value_get_string(page, "cursor", NULL)) {
        page = fixture_expect(f, 200, HTTP_GET,
                              arena_printf(f->a, "/customers?limit=2&cursor=%s", cursor),
                              admin(f), NULL);
        n += value_get(page, "items")->len;
    }
    assert_int_equal(n, 6);
    page = fixture_expect(f, 200, HTTP_GET, "/customers?search=customer+3&hash=77",
                          admin(f), NULL);
    assert_int_equal(value_get(page, "items")->len, 1);
    page = fixture_expect(f, 200, HTTP_GET, "/customers?isTest=true", admin(f), NULL);
    assert_int_equal(value_get(page, "items")->len, 1);
    page = fixture_expect(f, 200, HTTP_GET, "/customers?isTest=false", admin(f), NULL);
    assert_int_equal(value_get(page, "items")->len, 5);
    page = fixture_expect(f, 200, HTTP_GET, "/customers?isActive=true", admin(f), NULL);
    assert_int_equal(value_get(page, "items")->len, 1);
    page = fixture_expect(f, 200, HTTP_GET, "/customers?isActive=0", admin(f), NULL);
    assert_int_equal(value_get(page, "items")->len, 5);
    fixture_expect(f, 400, HTTP_GET, "/customers?limit=0", admin(f), NULL);
    fixture_expect(f, 400, HTTP_GET, "/customers?limit=1001", admin(f), NULL);
}

static void a_workspace_does_not_see_the_customers_of_another(void **state) {
    struct fixture *f = *state;
    const struct value *c = make(f, "{'name':'A','internalId':'u1'}"), *other;
    const char *token;

    other = fixture_expect(f, 201, HTTP_POST, "/workspaces", f->first.admin_token,
                           "{'workspaceKey':'other','workspaceSecret':'s3'}");
    assert_false(value_has(other, "secret"));
    token = fixture_sign(f, CRYPTO_HS256, "s3",
                         fixture_json(f, "{'workspaceKey':'other','isAdmin':true}"));
    fixture_expect(f, 404, HTTP_GET, path_of(f, c), token, NULL);
    fixture_expect(f, 404, HTTP_PATCH, "/customers/u1", token, "{'name':'X'}");
    fixture_expect(f, 404, HTTP_DELETE, path_of(f, c), token, NULL);
    assert_int_equal(
        value_get(fixture_expect(f, 200, HTTP_GET, "/customers", token, NULL), "items")
            ->len,
        0);
}

static void self_takes_credentials_and_does_not_show_them(void **state) {
    struct fixture *f = *state;
    const char *token = fixture_token(f, "{'id':'u1'}");
    const struct value *self, *opened;

    self = fixture_expect(f, 200, HTTP_PATCH, "/self", token, "{'credentials':{'k':1}}");
    assert_false(value_has(self, "credentials"));
    assert_int_equal(
        auth_customer_credentials(&f->deps, f->a, id_of(self), &opened, &f->st), 0);
    assert_true(value_get_number(opened, "k", 0) == 1);
    fixture_expect(f, 200, HTTP_PATCH, "/self", token, NULL);
    assert_int_equal(
        auth_customer_credentials(&f->deps, f->a, id_of(self), &opened, &f->st), 0);
    assert_true(value_is_object(opened));
}

static void a_change_of_a_customer_shows_in_the_next_request(void **state) {
    struct fixture *f = *state;
    const char *token = fixture_token(f, "{'id':'u1'}");
    const struct value *self = fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);

    fixture_expect(f, 200, HTTP_PATCH, path_of(f, self), admin(f), "{'name':'New'}");
    self = fixture_expect(f, 200, HTTP_GET, "/self", token, NULL);
    assert_string_equal(value_get_string(self, "name", ""), "New");
    /* The id moves away from under the token: it names a new customer now. */
    fixture_expect(f, 200, HTTP_PATCH, path_of(f, self), admin(f), "{'internalId':'u2'}");
    assert_string_not_equal(id_of(fixture_expect(f, 200, HTTP_GET, "/self", token, NULL)),
                            id_of(self));
}

static void a_token_for_the_host_application_verifies_with_the_secret(void **state) {
    struct fixture *f = *state;
    const struct value *c = make(f, "{'name':'A','internalId':'u1'}");
    const char *token;

    assert_int_equal(auth_workspace_token(&f->deps, f->a, f->workspace_id, id_of(c), 60,
                                          &token, &f->st),
                     0);
    assert_string_equal(id_of(fixture_expect(f, 200, HTTP_GET, "/self", token, NULL)),
                        id_of(c));
    assert_int_equal(
        auth_workspace_token(&f->deps, f->a, f->workspace_id, NULL, 60, &token, &f->st),
        0);
    fixture_expect(f, 200, HTTP_GET, "/customers", token, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_customer_is_created_with_what_may_be_written),
        TEST(wrong_bodies_are_refused),
        TEST(an_internal_id_is_taken_once),
        TEST(a_customer_is_found_by_either_id_and_by_query),
        TEST(put_takes_a_whole_customer_and_passes_over_the_rest),
        TEST(credentials_are_sealed_and_stay_out_of_lists),
        TEST(archived_customers_leave_lists_and_lose_access_until_restored),
        TEST(lists_page_search_and_filter),
        TEST(a_workspace_does_not_see_the_customers_of_another),
        TEST(self_takes_credentials_and_does_not_show_them),
        TEST(a_change_of_a_customer_shows_in_the_next_request),
        TEST(a_token_for_the_host_application_verifies_with_the_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
