#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "locator/coerce.h"
#include "locator/locator.h"
#include "locator/locator_schema.h"
#include "locator/text_case.h"
#include "value/value.h"

static const struct value *parse(struct arena *a, const char *text) {
    const struct value *v;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, text, strlen(text), NULL, &v, &st) < 0)
        fail_msg("%s: %s", text, st.message);
    return v;
}

static const char *print(struct arena *a, const struct value *v) {
    struct bytes text = value_encode_arena(a, v, 0);

    return text.len ? text.data : "undefined";
}

/* The text that the parsed steps are written back as, or the error. */
static const char *steps_of(struct arena *a, const char *text) {
    struct locator l;
    struct status st;

    st_init(&st, a);
    if (locator_parse(a, text, strlen(text), &l, &st) < 0)
        return st.message;
    return locator_format(a, &l)->str;
}

static void locators_are_parsed_as_the_reference_does(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    assert_string_equal(steps_of(a, "$"), "$");
    assert_string_equal(steps_of(a, ""), "$.");
    assert_string_equal(steps_of(a, "a.b[2].c"), "$.a.b[2].c");
    assert_string_equal(steps_of(a, "a\\.b"), "$.a\\.b");
    assert_string_equal(steps_of(a, "a\\\\.b"), "$.a\\\\.b");
    assert_string_equal(steps_of(a, "[0]"), "$.[0]");
    assert_string_equal(steps_of(a, "a[ 0x10 ]"), "$.a[16]");
    assert_string_equal(steps_of(a, "a[]"), "$.a[0]");
    assert_string_equal(steps_of(a, "a[0]b"),
                        "Unexpected symbol at position 6. Locator: $.a[0]b");
    assert_string_equal(steps_of(a, "é["),
                        "Could not find a closing bracket for the bracket at position 3. "
                        "Locator: $.é[");
    assert_string_equal(steps_of(a, "a[-1]"),
                        "Invalid index [-1]. Index should be a positive number");
    arena_free(&a);
}

static void too_many_steps_are_refused(void **state) {
    struct arena *a = arena_new(0);
    char text[2 * (LOCATOR_MAX_STEPS + 2) + 1] = "";

    (void)state;
    memset(text, '.', 2 * (LOCATOR_MAX_STEPS + 2));
    assert_non_null(strstr(steps_of(a, text), "more than 500 steps"));
    arena_free(&a);
}

static void the_two_readers_differ_on_falsy_items(void **state) {
    struct arena *a = arena_new(0);
    const struct value *data = parse(a, "{\"a\":[0,\"x\"],\"z\":0}");

    (void)state;
    assert_string_equal(print(a, locator_get_by(a, data, value_string(a, "a[0]"))),
                        "undefined");
    assert_string_equal(print(a, locator_get_at(a, data, value_string(a, "a[0]"))), "0");
    assert_string_equal(print(a, locator_get_by(a, data, value_string(a, "a.0"))), "0");
    assert_string_equal(print(a, locator_get_by(a, data, value_string(a, "z"))), "0");
    assert_string_equal(print(a, locator_get_by(a, data, value_string(a, "a.length"))),
                        "2");
    assert_string_equal(print(a, locator_get_by(a, data, value_string(a, "a[1].length"))),
                        "undefined");
    assert_string_equal(print(a, locator_get_by(a, data, value_string(a, "a[0.5]"))),
                        "undefined");
    arena_free(&a);
}

/* The root after a write; the data must be as it was. */
static const char *after(struct arena *a, const char *json, const char *locator,
                         const struct value *v) {
    const struct value *data = parse(a, json), *result;
    struct status st;

    st_init(&st, a);
    if (locator_set_value(a, data, value_string(a, locator), v, &result, &st) < 0)
        return st.message;
    assert_string_equal(print(a, data), json);
    return print(a, result);
}

static void writing_gives_a_new_root(void **state) {
    struct arena *a = arena_new(0);
    const struct value *one = value_number(a, 1);

    (void)state;
    assert_string_equal(after(a, "{\"a\":{\"b\":0,\"c\":2}}", "a.b", one),
                        "{\"a\":{\"b\":1,\"c\":2}}");
    assert_string_equal(after(a, "{}", "a[2]", one), "{\"a\":[null,null,1]}");
    assert_string_equal(after(a, "{\"a\":{\"x\":1}}", "a[0]", one), "{\"a\":[1]}");
    assert_string_equal(after(a, "{}", "a.b.c", &value_undefined), "{\"a\":{\"b\":{}}}");
    assert_string_equal(after(a, "[1,2,3]", "$[1]", &value_undefined), "[1,3]");
    assert_string_equal(after(a, "{\"a\":1}", "$", one), "1");
    arena_free(&a);
}

static void dangerous_writes_are_dropped_or_refused(void **state) {
    struct arena *a = arena_new(0);
    const struct value *one = value_number(a, 1);

    (void)state;
    assert_string_equal(after(a, "{}", "__proto__.x", one), "{}");
    assert_string_equal(after(a, "{\"a\":[]}", "a.name", one), "{\"a\":[]}");
    assert_string_equal(after(a, "{\"a\":[]}", "a[1.5]", one), "{\"a\":[]}");
    assert_string_equal(after(a, "{}", "a[4294967290]", one),
                        "Index [4294967290] is too large to write to");
    arena_free(&a);
}

static void schemas_are_walked_and_named(void **state) {
    struct arena *a = arena_new(0);
    const struct value *schema = parse(
        a,
        "{\"type\":\"object\",\"title\":\"Root\",\"properties\":{\"firstName\":{\"type\":"
        "\"string\"},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}");

    (void)state;
    assert_string_equal(
        locator_schema_full_name(a, schema, value_string(a, "firstName"))->str,
        "Root > First Name");
    assert_string_equal(
        locator_schema_full_name(a, schema, value_string(a, "tags[1]"))->str,
        "Root > Tags > Item #2");
    assert_string_equal(print(a, locator_schema_get(a, schema, value_string(a, "none"))),
                        "null");
    assert_string_equal(print(a, locator_schema_list(a, schema, NULL)),
                        "[\"$.firstName\",\"$.tags\"]");
    arena_free(&a);
}

static const char *lower(struct arena *a, const char *s) {
    return text_lower(a, value_string(a, s))->str;
}

static void text_changes_its_case(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    assert_string_equal(text_header_case(a, "userID", 6)->str, "User Id");
    assert_string_equal(text_header_case(a, "étéCole", 9)->str, "T Cole");
    assert_string_equal(text_kebab_case(a, "first_name", 10)->str, "first-name");
    assert_string_equal(lower(a, "ÀÉZ"), "àéz");
    assert_string_equal(lower(a, "İ"), "i̇");
    assert_string_equal(lower(a, "ΑΣ ΣΑ"), "ας σα");
    arena_free(&a);
}

static bool loosely(struct arena *a, const char *x, const char *y) {
    return coerce_loose_equal(parse(a, x), parse(a, y));
}

static void loose_equality_converts_as_javascript_does(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    assert_true(loosely(a, "0", "\"\""));
    assert_true(loosely(a, "\" 1 \"", "true"));
    assert_true(loosely(a, "[1,2]", "\"1,2\""));
    assert_true(loosely(a, "[[]]", "0"));
    assert_false(loosely(a, "null", "0"));
    assert_false(loosely(a, "{}", "{}"));
    assert_false(loosely(a, "[1]", "[1]"));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locators_are_parsed_as_the_reference_does),
        cmocka_unit_test(too_many_steps_are_refused),
        cmocka_unit_test(the_two_readers_differ_on_falsy_items),
        cmocka_unit_test(writing_gives_a_new_root),
        cmocka_unit_test(dangerous_writes_are_dropped_or_refused),
        cmocka_unit_test(schemas_are_walked_and_named),
        cmocka_unit_test(text_changes_its_case),
        cmocka_unit_test(loose_equality_converts_as_javascript_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
