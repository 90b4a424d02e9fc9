#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "connector/api_description.h"
#include "connector/connector_function.h"
#include "connector/connector_tree.h"
#include "value/value.h"
#include "zip/zip.h"

static struct arena *arena;
static struct status st;
static struct zip_file files[32];
static struct zip_tree tree;
static struct connector_tree parsed;

static int setup(void **state) {
    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    tree = (struct zip_tree){files, 0};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

/* Files must be added in the order of their paths. */
static void file(const char *path, const char *body) {
    files[tree.len++] = (struct zip_file){path, {body, strlen(body)}};
}

static int parse(void) {
    return connector_tree_parse(arena, &tree, &parsed, &st);
}

static const char *text_of(const struct value *v) {
    return value_encode_arena(arena, v, 0).data;
}

static void the_suffix_of_a_file_tells_the_function_type(void **state) {
    static const struct {
        const char *file, *method;
        enum function_type type;
    } rows[] = {
        {"list.rest.yml", "list", FUNCTION_REST_API_MAPPING},
        {"list.api.yml", "list", FUNCTION_REST_API_MAPPING},
        {"find-by-id.graphql.yml", "findById", FUNCTION_GRAPHQL_API_MAPPING},
        {"create.op.yml", "create", FUNCTION_OPERATION_MAPPING},
        {"test.js", "test", FUNCTION_JAVASCRIPT},
        {"test.ts", "test", FUNCTION_JAVASCRIPT},
        {"make-api-client.map.yml", "makeApiClient", FUNCTION_MAPPING},
        {"make-api-client.yml", "makeApiClient", FUNCTION_MAPPING},
        {"oauth-config.js", "getOAuthConfig", FUNCTION_JAVASCRIPT},
        {"get-oauth-config.js", "getOAuthConfig", FUNCTION_JAVASCRIPT},
        {"get-credentials-from-token-response.js",
         "getCredentialsFromAccessTokenResponse", FUNCTION_JAVASCRIPT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *method = NULL;
        enum function_type type = FUNCTION_NOT_SUPPORTED;

        assert_true(connector_function_file(arena, rows[i].file, &method, &type));
        assert_string_equal(method, rows[i].method);
        assert_int_equal(type, rows[i].type);
    }
    assert_false(connector_function_file(arena, "README.md", &(const char *){NULL},
                                         &(enum function_type){0}));
}

static void a_tree_becomes_identity_and_contents(void **state) {
    (void)state;
    file("auth/api-key/make-api-client.map.yml", "baseUri: https://x.example\n");
    file("auth/make-api-client.map.yml", "baseUri: {$var: $.credentials.host}\n");
    file("auth/test.rest.yml", "path: /me\nmethod: get\n");
    file("data/contacts/events-created-webhook-handle.js", "export default () => 1");
    file("data/contacts/list.rest.yml", "path: /contacts\nmethod: get\n");
    file("data/contacts/spec.yml", "type: collection\nname: Contacts\n"
                                   "fieldsSchema: {type: object}\n");
    file("docs/README.md", "# hello");
    file("operations/ping/run.js", "export default () => 'pong'");
    file("operations/ping/spec.yml", "name: Ping\n");
    file("spec.yml", "key: crm\nname: CRM\nauth:\n  type: client-credentials\n"
                     "  options:\n    api-key: {title: Key, type: client-credentials}\n");
    file("udm.yml", "contacts: {defaultCollection: {key: contacts}}\n");
    if (parse() < 0)
        fail_msg("%s", st.message);
    assert_string_equal(value_get_string(parsed.identity, "key", ""), "crm");
    assert_string_equal(value_get_string(parsed.identity, "type", ""),
                        "client-credentials");
    assert_string_equal(text_of(value_get(parsed.identity, "test")),
                        "{\"type\":\"rest-api-mapping\",\"mapping\":{\"path\":\"/"
                        "me\",\"method\":\"get\"},"
                        "\"filePath\":\"auth/test.rest.yml\"}");
    assert_string_equal(
        value_text(value_path(parsed.identity, "options", "api-key", "makeApiClient",
                              "mapping", "baseUri", NULL)),
        "https://x.example");
    assert_string_equal(value_text(value_path(parsed.contents, "operations", "ping",
                                              "methods", "run", "code", NULL)),
                        "export default () => 'pong'");
    assert_string_equal(
        value_text(value_path(parsed.contents, "data", "contacts", "events", "created",
                              "webhookHandle", "type", NULL)),
        "javascript");
    assert_true(value_is_true(value_get(parsed.contents, "hasReadme")));
    assert_int_equal(parsed.warnings->len, 0);
}

static void mixins_give_the_methods_that_a_collection_lacks(void **state) {
    (void)state;
    file("data/_base/create.js", "base create");
    file("data/_base/list.js", "base list");
    file("data/_base/spec.yml", "extends: {path: data/_root}\n");
    file("data/_root/delete.js", "root delete");
    file("data/leads/list.js", "own list");
    file("data/leads/spec.yml", "name: Leads\nextends: {path: _base}\n");
    file("spec.yml", "name: X\n");
    if (parse() < 0)
        fail_msg("%s", st.message);
    assert_null(value_find(value_get(parsed.contents, "data"), "_base", 5));
    assert_string_equal(value_text(value_path(parsed.contents, "data", "leads", "methods",
                                              "list", "code", NULL)),
                        "own list");
    assert_string_equal(text_of(value_path(parsed.contents, "data", "leads", "methods",
                                           "delete", "inheritedFromPath", NULL)),
                        "[\"_base\",\"_root\"]");
}

static void a_mixin_cycle_is_an_error(void **state) {
    (void)state;
    file("data/_a/spec.yml", "extends: _b\n");
    file("data/_b/spec.yml", "extends: _a\n");
    file("data/c/spec.yml", "extends: _a\n");
    file("spec.yml", "name: X\n");
    assert_int_equal(parse(), -1);
    assert_non_null(strstr(st.message, "leads back to itself"));
}

static void broken_files_are_named_with_line_and_column(void **state) {
    (void)state;
    file("operations/a/run.rest.yml", "path: /x\n  method: [\n");
    file("spec.yml", "name: X\n");
    assert_int_equal(parse(), -1);
    assert_non_null(strstr(st.message, "operations/a/run.rest.yml:"));
    tree.len = 0;
    assert_int_equal(parse(), -1);
    assert_non_null(strstr(st.message, "spec.yml"));
}

static void invalid_functions_are_listed_together(void **state) {
    (void)state;
    file("auth/disconnect.map.yml", "x: 1\n");
    file("auth/test.map.yml", "x: 1\n");
    file("spec.yml", "name: X\nauth: {type: client-credentials}\n");
    assert_int_equal(parse(), -1);
    assert_string_equal(
        st.message, "Invalid function definition(s): \"test\": type \"mapping\" is not "
                    "supported for this function, \"disconnect\": type \"mapping\" is "
                    "not supported for this function");
}

static const struct value *describe(const char *json, struct api_description *api) {
    const struct value *doc;

    if (value_parse(arena, json, strlen(json), NULL, &doc, &st) < 0 ||
        api_description_read(arena, doc, api, &st) < 0)
        fail_msg("%s", st.message);
    return api->operations;
}

static void openapi_3_becomes_operations_with_expanded_schemas(void **state) {
    struct api_description api;
    const struct value *ops = describe(
        "{\"openapi\":\"3.1.0\",\"servers\":[{\"url\":\"https://api.x.example/v1\"}],"
        "\"paths\":{\"/users/{id}\":{\"parameters\":[{\"name\":\"id\",\"in\":\"path\","
        "\"required\":true,\"schema\":{\"type\":\"string\"}}],\"put\":{\"operationId\":"
        "\"putUser\",\"parameters\":[{\"name\":\"q\",\"in\":\"query\",\"schema\":{"
        "\"type\":"
        "[\"string\",\"null\"]}}],\"requestBody\":{\"required\":true,\"content\":{"
        "\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/User\"}}}},"
        "\"responses\":{\"200\":{\"content\":{\"application/json\":{\"schema\":{\"$ref\":"
        "\"#/components/schemas/"
        "User\"}}}}}},\"get\":{\"responses\":{}}}},\"components\":{"
        "\"schemas\":{\"User\":{\"type\":\"object\",\"properties\":{\"friend\":{\"$ref\":"
        "\"#/components/schemas/User\"},\"name\":{\"type\":\"string\"}}}}}}",
        &api);
    const struct value *put = value_get(ops, "putUser");

    (void)state;
    assert_int_equal(ops->len, 2);
    assert_true(value_has(ops, "get-users-id"));
    assert_true(value_is_true(value_path(ops, "get-users-id", "isReadOnly", NULL)));
    assert_string_equal(value_get_string(api.info, "baseUri", ""),
                        "https://api.x.example/v1");
    assert_string_equal(
        text_of(value_get(put, "inputSchema")),
        "{\"type\":\"object\",\"properties\":{\"pathParameters\":{\"type\":\"object\","
        "\"properties\":{\"id\":{\"type\":\"string\"}},\"required\":[\"id\"]},\"query\":{"
        "\"type\":\"object\",\"properties\":{\"q\":{\"type\":\"string\"}}},\"data\":{"
        "\"type\":\"object\",\"properties\":{\"friend\":{},\"name\":{\"type\":\"string\"}"
        "}}"
        "},\"required\":[\"pathParameters\",\"data\"]}");
    assert_string_equal(
        text_of(value_path(put, "methods", "run", NULL)),
        "{\"type\":\"rest-api-mapping\",\"mapping\":{\"path\":"
        "\"/users/{id}\",\"method\":\"PUT\",\"requestMapping\":{"
        "\"pathParameters\":{\"$var\":\"$.input.pathParameters\"},\"query\":"
        "{\"$var\":\"$.input.query\"},\"data\":{\"$var\":\"$.input.data\"}}}}");
}

static void swagger_2_bodies_and_hosts_are_read(void **state) {
    struct api_description api;
    const struct value *ops = describe(
        "{\"swagger\":\"2.0\",\"host\":\"x.example\",\"basePath\":\"/v2\",\"schemes\":["
        "\"https\"],\"paths\":{\"/pets\":{\"post\":{\"parameters\":[{\"in\":\"body\","
        "\"name\":\"b\",\"required\":true,\"schema\":{\"$ref\":\"#/definitions/Pet\"}}],"
        "\"responses\":{\"201\":{\"schema\":{\"type\":\"object\"}}}}}},\"definitions\":{"
        "\"Pet\":{\"type\":\"object\",\"allOf\":[{\"properties\":{\"a\":{\"type\":"
        "\"string\"}}},{\"properties\":{\"b\":{\"type\":\"integer\"}},\"required\":["
        "\"b\"]}"
        "]}}}",
        &api);

    (void)state;
    assert_string_equal(value_get_string(api.info, "baseUri", ""),
                        "https://x.example/v2");
    assert_string_equal(
        text_of(value_path(ops, "post-pets", "inputSchema", "properties", "data", NULL)),
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{"
        "\"type\":"
        "\"integer\"}},\"required\":[\"b\"]}");
}

static void postman_folders_and_variables_are_read(void **state) {
    struct api_description api;
    const struct value *ops = describe(
        "{\"info\":{\"name\":\"P\",\"schema\":\"https://schema.getpostman.com/json/"
        "collection/v2.1.0/collection.json\"},\"item\":[{\"name\":\"Users\",\"item\":[{"
        "\"name\":\"Get user\",\"request\":{\"method\":\"GET\",\"url\":{\"raw\":"
        "\"{{base}}/users/:id?full=1\",\"query\":[{\"key\":\"full\"}]}}},{\"name\":"
        "\"Get user\",\"request\":{\"method\":\"POST\",\"url\":\"https://x.example/a\","
        "\"body\":{\"mode\":\"raw\",\"raw\":\"{\\\"n\\\":1}\"}}}]}]}",
        &api);

    (void)state;
    assert_int_equal(ops->len, 2);
    assert_string_equal(value_text(value_path(ops, "get-user", "methods", "run",
                                              "mapping", "path", NULL)),
                        "/users/{id}");
    assert_string_equal(
        value_text(value_path(ops, "get-user-2", "inputSchema", "properties", "data",
                              "properties", "n", "type", NULL)),
        "number");
}

static void an_unknown_description_is_refused(void **state) {
    struct api_description api;

    (void)state;
    assert_int_equal(api_description_read(arena, &value_empty_object, &api, &st), -1);
    assert_int_equal(st.type, ST_BAD_REQUEST);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(the_suffix_of_a_file_tells_the_function_type),
        T(a_tree_becomes_identity_and_contents),
        T(mixins_give_the_methods_that_a_collection_lacks),
        T(a_mixin_cycle_is_an_error),
        T(broken_files_are_named_with_line_and_column),
        T(invalid_functions_are_listed_together),
        T(openapi_3_becomes_operations_with_expanded_schemas),
        T(swagger_2_bodies_and_hosts_are_read),
        T(postman_folders_and_variables_are_read),
        T(an_unknown_description_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
