#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "http/http_server.h"

static int no_handler(struct request *rq, struct reply *rp, struct status *st) {
    (void)rq, (void)rp, (void)st;
    return 0;
}

#define ROW(m, p)                                                                        \
    { .method = HTTP_##m, .pattern = p, .handler = no_handler }

static const struct route rows[] = {
    ROW(GET, "/"),
    ROW(GET, "/flows"),
    ROW(POST, "/flows"),
    ROW(GET, "/flows/{id}"),
    ROW(PUT, "/flows/{id}"),
    ROW(POST, "/flows/run"),
    ROW(GET, "/flows/{id}/nodes/{nodeKey}/runs/cursor={cursor}"),
    ROW(GET, "/flows/{id}/nodes/{nodeKey}/runs/{runId}"),
    ROW(ANY, "/connections/{selector}/proxy/{path*}"),
    ROW(GET, "/connections/{selector}/proxy/health"),
    ROW(GET, "/integrations/{a}/connection/actions/{b}"),
    ROW(GET, "/integrations/{a}/{layer}/actions"),
    ROW(HEAD, "/static/{key*}"),
};

struct fixture {
    struct http_router *router;
    struct arena *arena;
    const struct route *route;
    const char *param[HTTP_MAX_PARAMS];
    const char *allow;
};

static int setup(void **state) {
    static struct fixture f;

    f = (struct fixture){.router = http_router_new(), .arena = arena_new(0)};
    http_router_add(f.router, rows, sizeof(rows) / sizeof(*rows));
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    http_router_free(&f->router);
    arena_free(&f->arena);
    return 0;
}

static int match(struct fixture *f, enum http_method m, const char *path) {
    f->route = NULL;
    return http_router_match(f->router, m, path, f->arena, &f->route, f->param,
                             &f->allow);
}

static void expect(struct fixture *f, enum http_method m, const char *path,
                   const char *pattern, const char *first, const char *second) {
    assert_int_equal(match(f, m, path), 0);
    assert_string_equal(f->route->pattern, pattern);
    if (first)
        assert_string_equal(f->param[0], first);
    else
        assert_null(f->param[0]);
    if (second)
        assert_string_equal(f->param[1], second);
    else
        assert_null(f->param[1]);
}

static void the_most_specific_row_wins(void **state) {
    struct fixture *f = *state;

    expect(f, HTTP_GET, "/", "/", NULL, NULL);
    expect(f, HTTP_GET, "/flows", "/flows", NULL, NULL);
    expect(f, HTTP_GET, "/flows/", "/flows", NULL, NULL);
    expect(f, HTTP_GET, "/flows/x", "/flows/{id}", "x", NULL);
    expect(f, HTTP_POST, "/flows/run", "/flows/run", NULL, NULL);
    expect(f, HTTP_GET, "/connections/c/proxy/health",
           "/connections/{selector}/proxy/health", "c", NULL);
    expect(f, HTTP_POST, "/connections/c/proxy/health",
           "/connections/{selector}/proxy/{path*}", "c", "health");
    expect(f, HTTP_GET, "/flows/f/nodes/n/runs/cursor=abc",
           "/flows/{id}/nodes/{nodeKey}/runs/cursor={cursor}", "f", "n");
    assert_string_equal(f->param[2], "abc");
    expect(f, HTTP_GET, "/flows/f/nodes/n/runs/cur",
           "/flows/{id}/nodes/{nodeKey}/runs/{runId}", "f", "n");
}

static void a_literal_of_another_method_is_a_selector(void **state) {
    expect(*state, HTTP_GET, "/flows/run", "/flows/{id}", "run", NULL);
}

static void a_dead_end_is_left_again(void **state) {
    expect(*state, HTTP_GET, "/integrations/i/connection/actions",
           "/integrations/{a}/{layer}/actions", "i", "connection");
    expect(*state, HTTP_GET, "/integrations/i/connection/actions/k",
           "/integrations/{a}/connection/actions/{b}", "i", "k");
}

static void names_are_decoded_and_the_rest_is_not(void **state) {
    struct fixture *f = *state;

    expect(f, HTTP_GET, "/flows/my%20key", "/flows/{id}", "my key", NULL);
    expect(f, HTTP_GET, "/flows/50%", "/flows/{id}", "50%", NULL);
    expect(f, HTTP_GET, "/flows/%zz%4", "/flows/{id}", "%zz%4", NULL);
    expect(f, HTTP_GET, "/flows/a%2Fb", "/flows/{id}", "a/b", NULL);
    expect(f, HTTP_GET, "/flows/a+b(c)'\"{}", "/flows/{id}", "a+b(c)'\"{}", NULL);
    expect(f, HTTP_GET, "/fl%6Fws", "/flows", NULL, NULL);
    expect(f, HTTP_GET, "/connections/c/proxy/https://api.test/a%2Fb//c/",
           "/connections/{selector}/proxy/{path*}", "c", "https://api.test/a%2Fb//c/");
    expect(f, HTTP_GET, "/connections/c/proxy", "/connections/{selector}/proxy/{path*}",
           "c", "");
    expect(f, HTTP_GET, "/connections/c/proxy/", "/connections/{selector}/proxy/{path*}",
           "c", "");
}

static void bytes_that_are_no_text_become_replacement_characters(void **state) {
    struct fixture *f = *state;

    expect(f, HTTP_GET, "/flows/a%00b", "/flows/{id}",
           "a\xef\xbf\xbd"
           "b",
           NULL);
    expect(f, HTTP_GET, "/flows/%ff", "/flows/{id}", "\xef\xbf\xbd", NULL);
    expect(f, HTTP_GET, "/flows/\xc3\xa9%C3%A9", "/flows/{id}", "\xc3\xa9\xc3\xa9", NULL);
    expect(f, HTTP_GET, "/flows/%ed%a0%80", "/flows/{id}",
           "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", NULL);
}

static void an_unknown_path_is_absent_and_a_known_one_names_its_methods(void **state) {
    struct fixture *f = *state;

    assert_int_equal(match(f, HTTP_GET, "/nothing"), 1);
    assert_int_equal(match(f, HTTP_GET, "/flows/a/b"), 1);
    assert_int_equal(match(f, HTTP_GET, "//"), 1);
    assert_int_equal(match(f, HTTP_GET, ""), 1);
    assert_int_equal(match(f, HTTP_GET, "*"), 1);
    assert_int_equal(match(f, HTTP_DELETE, "/flows/x"), 2);
    assert_string_equal(f->allow, "GET, PUT, HEAD");
    assert_int_equal(match(f, HTTP_DELETE, "/flows/run"), 2);
    assert_string_equal(f->allow, "GET, POST, PUT, HEAD");
}

static void head_is_answered_by_get_rows_unless_it_has_its_own(void **state) {
    expect(*state, HTTP_HEAD, "/flows", "/flows", NULL, NULL);
    expect(*state, HTTP_HEAD, "/static/a/b", "/static/{key*}", "a/b", NULL);
    assert_int_equal(match(*state, HTTP_GET, "/static/a"), 2);
}

static void rows_come_in_order_of_pattern(void **state) {
    struct fixture *f = *state;
    const struct route *const *list;
    size_t n = http_router_rows(f->router, &list);

    assert_int_equal(n, sizeof(rows) / sizeof(*rows));
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(list[i - 1]->pattern, list[i]->pattern) <= 0);
}

static void a_very_long_path_is_matched_without_recursion_per_segment(void **state) {
    struct fixture *f = *state;
    char *path = arena_alloc(f->arena, 200001);

    for (int i = 0; i < 200000; i += 2)
        memcpy(path + i, "/a", 2);
    path[200000] = '\0';
    assert_int_equal(match(f, HTTP_GET, path), 1);
    memcpy(path, "/static", 7);
    path[7] = '/';
    assert_int_equal(match(f, HTTP_HEAD, path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_row_wins),
        cmocka_unit_test(a_literal_of_another_method_is_a_selector),
        cmocka_unit_test(a_dead_end_is_left_again),
        cmocka_unit_test(names_are_decoded_and_the_rest_is_not),
        cmocka_unit_test(bytes_that_are_no_text_become_replacement_characters),
        cmocka_unit_test(an_unknown_path_is_absent_and_a_known_one_names_its_methods),
        cmocka_unit_test(head_is_answered_by_get_rows_unless_it_has_its_own),
        cmocka_unit_test(rows_come_in_order_of_pattern),
        cmocka_unit_test(a_very_long_path_is_matched_without_recursion_per_segment),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
