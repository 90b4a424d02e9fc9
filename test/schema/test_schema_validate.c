#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "schema/schema_fit.h"
#include "value/value.h"

struct outcome {
    struct arena *arena;
    int rc;
    const struct value *coerced;
    struct status st;
};

static const struct value *json(struct arena *a, const char *text) {
    const struct value *v;
    struct status st;

    st_init(&st, a);
    assert_int_equal(value_parse(a, text, strlen(text), NULL, &v, &st), 0);
    return v;
}

static struct outcome check(const char *schema, const char *input) {
    struct outcome o = {.arena = arena_new(0)};

    st_init(&o.st, o.arena);
    o.rc = schema_validate_input(o.arena, json(o.arena, schema), json(o.arena, input),
                                 &o.coerced, &o.st);
    return o;
}

static void assert_passes(const char *schema, const char *input, const char *expected) {
    struct outcome o = check(schema, input);

    if (o.rc < 0)
        print_error("%s\n", o.st.message);
    assert_int_equal(o.rc, 0);
    assert_string_equal(value_encode_arena(o.arena, o.coerced, 0).data, expected);
    arena_free(&o.arena);
}

static void assert_refused(const char *schema, const char *input, const char *message) {
    struct outcome o = check(schema, input);

    assert_int_equal(o.rc, -1);
    assert_int_equal(o.st.type, ST_BAD_REQUEST);
    assert_string_equal(o.st.message, message);
    arena_free(&o.arena);
}

static void what_fits_passes_unchanged(void **state) {
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
        "\"age\":{\"type\":\"integer\"}},\"required\":[\"name\"]}";
    struct arena *a = arena_new(0);
    const struct value *input = json(a, "{\"name\":\"Ada\",\"age\":36,\"more\":[1]}");
    const struct value *coerced;
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(schema_validate_input(a, json(a, schema), input, &coerced, &st), 0);
    assert_ptr_equal(coerced, input);
    arena_free(&a);
}

static void scalars_are_converted_where_they_say_the_same(void **state) {
    (void)state;
    assert_passes("{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"number\"},"
                  "\"i\":{\"type\":\"integer\"},\"b\":{\"type\":\"boolean\"},"
                  "\"s\":{\"type\":\"string\"},\"x\":{}}}",
                  "{\"n\":\"1.5\",\"i\":\" 7 \",\"b\":\"false\",\"s\":5,\"x\":\"5\"}",
                  "{\"n\":1.5,\"i\":7,\"b\":false,\"s\":\"5\",\"x\":\"5\"}");
    assert_passes("{\"type\":\"array\",\"items\":{\"type\":\"number\"}}", "[1,\"2\"]",
                  "[1,2]");
    assert_passes("{\"type\":\"string\"}", "true", "\"true\"");
}

static void what_does_not_fit_is_named_with_its_path(void **state) {
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"list\":{\"type\":\"array\",\"items\":"
        "{\"type\":\"object\",\"properties\":{\"zip\":{\"type\":\"integer\"}},"
        "\"required\":[\"zip\"]}},\"o\":{\"type\":\"object\"},"
        "\"l\":{\"type\":\"array\"},\"b\":{\"type\":\"boolean\"}}}";

    (void)state;
    assert_refused(schema, "{\"list\":[{\"zip\":1},{\"zip\":1.5}]}",
                   "Invalid input: \"list[1].zip\" should be a whole number");
    assert_refused(schema, "{\"list\":[{}]}",
                   "Invalid input: \"list[0].zip\" is required");
    assert_refused(schema, "{\"o\":[]}", "Invalid input: \"o\" should be an object");
    assert_refused(schema, "{\"l\":\"x\"}", "Invalid input: \"l\" should be a list");
    assert_refused(schema, "{\"b\":1}", "Invalid input: \"b\" should be true or false");
    assert_refused(schema, "5", "Invalid input: \"input\" should be an object");
    assert_refused("{\"type\":\"number\"}", "\"\"",
                   "Invalid input: \"input\" should be a number");
    assert_refused("{\"type\":\"string\"}", "{}",
                   "Invalid input: \"input\" should be text");
}

static void details_for_programs_stand_in_data(void **state) {
    struct outcome o =
        check("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"}}}",
              "{\"a\":\"x\"}");

    (void)state;
    assert_int_equal(o.rc, -1);
    assert_string_equal(value_encode_arena(o.arena, o.st.data, 0).data,
                        "{\"path\":\"a\",\"expected\":\"a number\"}");
    arena_free(&o.arena);
}

static void required_fields_of_an_absent_parent_are_excused(void **state) {
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"o\":{\"type\":\"object\","
        "\"properties\":{},\"required\":[\"p\"]}},\"required\":[\"r\"]}";

    (void)state;
    assert_passes(schema, "{\"r\":null}", "{\"r\":null}");
    assert_refused(schema, "{\"r\":1,\"o\":{}}", "Invalid input: \"o.p\" is required");
    assert_refused(schema, "{}", "Invalid input: \"r\" is required");
    assert_refused(schema, "null", "Invalid input: \"r\" is required");
}

static void null_and_unknown_types_pass(void **state) {
    (void)state;
    assert_passes("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"}}}",
                  "{\"a\":null}", "{\"a\":null}");
    assert_passes("{\"type\":\"file\"}", "{\"any\":1}", "{\"any\":1}");
    assert_passes("{}", "[1]", "[1]");
    assert_passes("null", "[1]", "[1]");
}

static void alternatives_prefer_the_exact_one(void **state) {
    static const char any_of[] =
        "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}";

    (void)state;
    assert_passes(any_of, "5", "5");
    assert_passes(any_of, "true", "\"true\"");
    assert_passes("{\"type\":[\"integer\",\"boolean\"]}", "\"7\"", "7");
    assert_passes("{\"type\":[\"integer\",\"boolean\"]}", "true", "true");
    assert_refused(any_of, "[]",
                   "Invalid input: \"input\" should be one of the allowed types");
    assert_refused("{\"type\":[\"integer\"]}", "[]",
                   "Invalid input: \"input\" should be a whole number");
    assert_passes("{\"anyOf\":[]}", "5", "5");
}

static void nested_alternatives_do_not_multiply_the_work(void **state) {
    struct arena *a = arena_new(0);
    char schema[8192] = "{\"type\":\"string\"}", next[8192];

    (void)state;
    for (int i = 0; i < 60; i++) {
        snprintf(next, sizeof next, "{\"anyOf\":[{\"type\":\"boolean\"},%s]}", schema);
        strcpy(schema, next);
    }
    assert_refused(schema, "[]",
                   "Invalid input: \"input\" should be one of the allowed types");
    arena_free(&a);
}

static void depth_is_bounded(void **state) {
    struct arena *a = arena_new(0);
    const struct value *schema = json(a, "{\"type\":\"string\"}");
    const struct value *v = json(a, "\"x\""), *coerced;
    struct status st;

    (void)state;
    for (int i = 0; i < 300; i++) {
        struct array_builder b;

        schema = value_obj(a, "type", value_string(a, "array"), "items", schema, NULL);
        array_begin(&b, a, 1);
        array_push(&b, v);
        v = array_end(&b);
    }
    st_init(&st, a);
    assert_int_equal(schema_validate_input(a, schema, v, &coerced, &st), -1);
    assert_non_null(strstr(st.message, "nested less deeply"));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_passes_unchanged),
        cmocka_unit_test(scalars_are_converted_where_they_say_the_same),
        cmocka_unit_test(what_does_not_fit_is_named_with_its_path),
        cmocka_unit_test(details_for_programs_stand_in_data),
        cmocka_unit_test(required_fields_of_an_absent_parent_are_excused),
        cmocka_unit_test(null_and_unknown_types_pass),
        cmocka_unit_test(alternatives_prefer_the_exact_one),
        cmocka_unit_test(nested_alternatives_do_not_multiply_the_work),
        cmocka_unit_test(depth_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
