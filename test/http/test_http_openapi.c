#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "http/http_openapi.h"
#include "http/http_server.h"
#include "value/value.h"

static int no_handler(struct request *rq, struct reply *rp, struct status *st) {
    (void)rq, (void)rp, (void)st;
    return 0;
}

static const struct route rows[] = {
    {HTTP_GET, "/", no_handler, ACCESS_NONE, ROUTE_UNDOCUMENTED, NULL, NULL, NULL, NULL,
     NULL},
    {HTTP_GET, "/flows", no_handler, ACCESS_CUSTOMER, 0, "Lists flows.",
     "limit:integer, cursor,includeArchived:boolean", NULL, "Flow[]", NULL},
    {HTTP_POST, "/flows", no_handler, ACCESS_ADMIN, 0, "Creates a flow.", NULL,
     "CreateFlow", "Flow", NULL},
    {HTTP_GET, "/flows/{id}", no_handler, ACCESS_CUSTOMER, 0, "Returns a flow.", NULL,
     NULL, "Flow", NULL},
    {HTTP_PUT, "/flows/{selector}", no_handler, ACCESS_ADMIN, 0, "Changes it.", NULL,
     "Flow", "Flow", NULL},
    {HTTP_GET, "/pages", no_handler, ACCESS_CUSTOMER, 0, NULL, NULL, NULL,
     "Page<data-source>", NULL},
    {HTTP_GET, "/flows-by/id", no_handler, ACCESS_CUSTOMER, 0, NULL, NULL, NULL, NULL,
     NULL},
    {HTTP_ANY, "/connections/{selector}/proxy/{path*}", no_handler, ACCESS_CUSTOMER,
     ROUTE_RAW_BODY, NULL, NULL, NULL, NULL, NULL},
};
static const struct http_schema schemas[] = {
    {"Flow", "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"}}}", NULL},
    {"data-source", "id*:string, flow:Flow, list:Flow[], kind:a|b, size:integer, meta",
     NULL},
};

static const struct value *document(struct arena *a) {
    struct http_router *r = http_router_new();
    const struct value *v;

    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
    v = value_copy(a, http_openapi(a, r, schemas, 2, "Test", "1.0", "http://x"));
    http_router_free(&r);
    return v;
}

static void rows_become_paths_parameters_and_bodies(void **state) {
    struct arena *a = arena_new(0);
    const struct value *d = document(a), *paths = value_get(d, "paths"), *get, *put;

    (void)state;
    assert_int_equal(value_members_count(paths), 5);
    assert_false(value_has(paths, "/"));
    get = value_path(paths, "/flows/{id}", "get", NULL);
    put = value_path(paths, "/flows/{id}", "put", NULL);
    assert_string_equal(value_get_string(get, "operationId", ""), "getFlowsById2");
    assert_string_equal(
        value_get_string(value_at(value_get(put, "parameters"), 0), "name", ""), "id");
    assert_int_equal(
        value_items_count(value_path(paths, "/flows", "get", "parameters", NULL)), 3);
    assert_string_equal(
        value_text(value_path(paths, "/flows", "get", "responses", "2XX", "content",
                              "application/json", "schema", "items", "$ref", NULL)),
        "#/components/schemas/Flow");
    assert_true(
        value_is_object(value_path(d, "components", "schemas", "CreateFlow", NULL)));
    assert_true(
        value_has(value_get(paths, "/connections/{selector}/proxy/{path}"), "patch"));
    assert_int_equal(value_items_count(value_get(get, "security")), 1);
    arena_free(&a);
}

static void operation_ids_are_unique(void **state) {
    struct arena *a = arena_new(0);
    const struct value *paths = value_get(document(a), "paths");

    (void)state;
    assert_string_equal(
        value_text(value_path(paths, "/flows-by/id", "get", "operationId", NULL)),
        "getFlowsById");
    arena_free(&a);
}

static void compact_schemas_become_components(void **state) {
    struct arena *a = arena_new(0);
    const struct value *s =
        value_path(document(a), "components", "schemas", "DataSource", NULL);
    const struct value *properties = value_get(s, "properties");

    (void)state;
    assert_int_equal(value_items_count(value_get(s, "required")), 1);
    assert_string_equal(value_text(value_path(properties, "flow", "$ref", NULL)),
                        "#/components/schemas/Flow");
    assert_string_equal(value_text(value_path(properties, "list", "items", "$ref", NULL)),
                        "#/components/schemas/Flow");
    assert_int_equal(value_items_count(value_path(properties, "kind", "enum", NULL)), 2);
    assert_string_equal(value_text(value_path(properties, "size", "type", NULL)),
                        "integer");
    assert_int_equal(value_members_count(value_get(properties, "meta")), 0);
    arena_free(&a);
}

static void lists_answer_with_pages(void **state) {
    struct arena *a = arena_new(0);
    const struct value *schema =
        value_path(document(a), "paths", "/pages", "get", "responses", "2XX", "content",
                   "application/json", "schema", NULL);

    (void)state;
    assert_string_equal(
        value_text(value_path(schema, "properties", "items", "items", "$ref", NULL)),
        "#/components/schemas/DataSource");
    arena_free(&a);
}

static void routes_are_printed_one_a_line(void **state) {
    struct http_router *r = http_router_new();
    char *out = NULL;
    size_t len;
    FILE *f = open_memstream(&out, &len);

    (void)state;
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
    http_print_routes(r, f);
    fclose(f);
    assert_non_null(strstr(out, "GET /\n"));
    assert_non_null(strstr(out, "PUT /flows/{selector}\n"));
    assert_non_null(strstr(out, "ANY /connections/{selector}/proxy/{path}\n"));
    free(out);
    http_router_free(&r);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_paths_parameters_and_bodies),
        cmocka_unit_test(operation_ids_are_unique),
        cmocka_unit_test(compact_schemas_become_components),
        cmocka_unit_test(lists_answer_with_pages),
        cmocka_unit_test(routes_are_printed_one_a_line),
    };

    /* `test_http_openapi --print` gives the document to a validator. */
    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        struct arena *a = arena_new(0);

        puts(value_encode_arena(a, document(a), VALUE_ENCODE_INDENT_2).data);
        arena_free(&a);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
