#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "schema/http_request_shape.h"
#include "schema/schema_check.h"
#include "value/value.h"

static const struct value *json(struct arena *a, const char *text) {
    const struct value *v;
    struct status st;

    st_init(&st, a);
    assert_int_equal(value_parse(a, text, strlen(text), NULL, &v, &st), 0);
    return v;
}

/* NULL when the schema is in order, else the complaint (lends until `a` dies). */
static const char *complaint(struct arena *a, const char *schema) {
    struct status st;

    st_init(&st, a);
    return schema_check(a, json(a, schema), &st) < 0 ? st.message : NULL;
}

static void known_keywords_and_free_ones_pass(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    assert_null(complaint(a, "{}"));
    assert_null(
        complaint(a, "{\"type\":[\"string\",\"null\"],\"title\":\"T\",\"enum\":[\"a\"],"
                     "\"custom\":{\"type\":5},\"default\":null,\"minLength\":1}"));
    assert_null(complaint(a, "{\"type\":\"object\",\"properties\":{\"a\":{\"items\":{}}},"
                             "\"additionalProperties\":true,\"anyOf\":[{}],"
                             "\"referenceCollection\":{\"key\":5,\"parameters\":{}}}"));
    arena_free(&a);
}

static void the_path_of_a_mistake_is_named(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    assert_string_equal(complaint(a, "[]"),
                        "Invalid schema: \"schema\" should be a schema");
    assert_string_equal(complaint(a, "{\"title\":null}"),
                        "Invalid schema: \"title\" should be text");
    assert_string_equal(
        complaint(a, "{\"properties\":{\"a.b\":{\"enum\":[1]}}}"),
        "Invalid schema: \"properties.a\\.b.enum\" should be a list of texts");
    assert_string_equal(complaint(a, "{\"anyOf\":[{},{\"readOnly\":1}]}"),
                        "Invalid schema: \"anyOf[1].readOnly\" should be true or false");
    assert_string_equal(complaint(a, "{\"items\":{\"maximum\":\"5\"}}"),
                        "Invalid schema: \"items.maximum\" should be a number");
    assert_string_equal(complaint(a, "{\"additionalProperties\":5}"),
                        "Invalid schema: \"additionalProperties\" should be a schema");
    assert_string_equal(complaint(a, "{\"type\":[1]}"),
                        "Invalid schema: \"type\" should be a list of texts");
    assert_string_equal(complaint(a, "{\"properties\":[]}"),
                        "Invalid schema: \"properties\" should be an object");
    arena_free(&a);
}

static void deep_schemas_are_refused(void **state) {
    struct arena *a = arena_new(0);
    const struct value *schema = &value_empty_object;
    struct status st;

    (void)state;
    for (int i = 0; i < SCHEMA_MAX_DEPTH + 5; i++)
        schema = value_obj(a, "items", schema, NULL);
    st_init(&st, a);
    assert_int_equal(schema_check(a, schema, &st), -1);
    assert_non_null(strstr(st.message, "nested less deeply"));
    arena_free(&a);
}

static const char *request_outcome(struct arena *a, const char *description) {
    const struct value *v;
    struct status st;

    st_init(&st, a);
    if (http_request_shape_check(a, json(a, description), &v, &st) < 0)
        return st.message;
    return value_encode_arena(a, v, 0).data;
}

static void request_descriptions_are_normalised_or_refused(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    assert_string_equal(request_outcome(a, "{\"uri\":null,\"method\":\"pAtch\",\"x\":1}"),
                        "{\"method\":\"PATCH\",\"uri\":null}");
    assert_string_equal(request_outcome(a,
                                        "{\"uri\":{\"$var\":\"u\"},\"query\":{\"a\":[1]},"
                                        "\"headers\":{},\"body\":null}"),
                        "{\"uri\":{\"$var\":\"u\"},\"headers\":{},\"query\":{\"a\":[1]},"
                        "\"body\":null}");
    assert_string_equal(request_outcome(a, "{\"method\":\"GET\"}"), "uri is required");
    assert_string_equal(request_outcome(a, "{\"uri\":\"/\",\"headers\":[]}"),
                        "headers should be an object");
    assert_string_equal(request_outcome(a, "{\"uri\":\"/\",\"query\":null}"),
                        "query should be an object");
    for (size_t i = 0; i < 4; i++) {
        static const char *const wrong[] = {"\"\"", "null", "\"HEAD\"", "5"};
        char text[64];

        snprintf(text, sizeof text, "{\"uri\":\"/\",\"method\":%s}", wrong[i]);
        assert_non_null(strstr(request_outcome(a, text), "method should be one of"));
    }
    arena_free(&a);
}

static void forms_get_a_schema_of_requests(void **state) {
    struct arena *a = arena_new(0);
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(schema_check(a, http_request_shape_schema(a), &st), 0);
    assert_string_equal(
        value_encode_arena(a, http_request_shape_schema(a), 0).data,
        "{\"type\":\"object\",\"properties\":{\"uri\":{\"type\":\"string\"},\"method\":{"
        "\"type\":"
        "\"string\",\"enum\":[\"GET\",\"POST\",\"PUT\",\"PATCH\",\"DELETE\"]},\"body\":{}"
        ","
        "\"query\":{\"type\":\"object\",\"section\":true,\"additionalProperties\":true},"
        "\"headers\":{\"type\":\"object\",\"section\":true,\"additionalProperties\":true}"
        "}}");
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_keywords_and_free_ones_pass),
        cmocka_unit_test(the_path_of_a_mistake_is_named),
        cmocka_unit_test(deep_schemas_are_refused),
        cmocka_unit_test(request_descriptions_are_normalised_or_refused),
        cmocka_unit_test(forms_get_a_schema_of_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
