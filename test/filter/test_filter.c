#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "filter/filter.h"
#include "value/value.h"

static const struct value *json(struct arena *a, const char *text) {
    const struct value *v;
    struct status st;

    st_init(&st, a);
    assert_int_equal(value_parse(a, text, strlen(text), NULL, &v, &st), 0);
    return v;
}

static bool matches(struct arena *a, const struct filter *f, const char *data) {
    struct status st;
    bool match;

    st_init(&st, a);
    assert_int_equal(filter_match(f, json(a, data), &match, &st), 0);
    return match;
}

static void one_compiled_filter_answers_for_many_records(void **state) {
    struct arena *a = arena_new(0);
    const struct filter *f = filter_compile(
        a,
        json(a, "[{\"field\":\"user.age\",\"operator\":\"more_than\",\"value\":\"17\"},"
                "{\"field\":\"tags\",\"operator\":\"array_includes\",\"value\":\"x\"}]"));

    (void)state;
    assert_true(matches(a, f, "{\"user\":{\"age\":18},\"tags\":[\"x\"]}"));
    assert_true(
        matches(a, f, "{\"user\":{\"age\":\"30 years\"},\"tags\":[\"y\",\"x\"]}"));
    assert_false(matches(a, f, "{\"user\":{\"age\":17},\"tags\":[\"x\"]}"));
    assert_false(matches(a, f, "{\"user\":{\"age\":18},\"tags\":\"x\"}"));
    assert_false(matches(a, f, "null"));
    arena_free(&a);
}

static void a_field_behind_a_list_matches_by_any_of_its_values(void **state) {
    struct arena *a = arena_new(0);
    const struct filter *is = filter_compile(
        a, json(a, "[{\"field\":\"l.id\",\"operator\":\"is\",\"value\":2}]"));
    const struct filter *is_not = filter_compile(
        a, json(a, "[{\"field\":\"l.id\",\"operator\":\"is_not\",\"value\":2}]"));

    (void)state;
    assert_true(matches(a, is, "{\"l\":[{\"id\":1},{\"id\":2}]}"));
    assert_true(matches(a, is_not, "{\"l\":[{\"id\":1},{\"id\":2}]}"));
    assert_false(matches(a, is_not, "{\"l\":[{\"id\":2}]}"));
    assert_true(matches(a, is_not, "{\"l\":[]}"));
    arena_free(&a);
}

static void text_has_a_length_and_characters(void **state) {
    struct arena *a = arena_new(0);
    const struct filter *length = filter_compile(
        a, json(a, "[{\"field\":\"s.length\",\"operator\":\"is\",\"value\":3}]"));
    const struct filter *character = filter_compile(
        a, json(a, "[{\"field\":\"s.1\",\"operator\":\"is\",\"value\":\"b\"}]"));

    (void)state;
    assert_true(matches(a, length, "{\"s\":\"abc\"}"));
    assert_false(matches(a, length, "{\"s\":\"ab\"}"));
    assert_true(matches(a, character, "{\"s\":\"abc\"}"));
    assert_false(matches(a, character, "{\"s\":\"a\"}"));
    arena_free(&a);
}

static void unknown_operators_are_left_out(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    assert_true(filter_is_empty(filter_compile(
        a, json(a, "[{\"field\":\"[[\",\"operator\":\"resembles\"},5,\"x\"]"))));
    assert_true(filter_is_empty(filter_compile(a, json(a, "{\"field\":\"a\"}"))));
    arena_free(&a);
}

static void a_mistake_fails_only_when_matching_reaches_it(void **state) {
    struct arena *a = arena_new(0);
    const struct filter *f =
        filter_compile(a, json(a, "[{\"field\":\"a\",\"operator\":\"is\",\"value\":1},"
                                  "{\"field\":\"a[\",\"operator\":\"is\",\"value\":1}]"));
    struct status st;
    bool match;

    (void)state;
    st_init(&st, a);
    assert_false(matches(a, f, "{\"a\":2}"));
    assert_int_equal(filter_match(f, json(a, "{\"a\":1}"), &match, &st), -1);
    assert_int_equal(st.type, ST_BAD_REQUEST);
    assert_non_null(strstr(st.message, "closing bracket"));
    arena_free(&a);
}

static void matching_takes_nothing_from_the_arena(void **state) {
    struct arena *a = arena_new(0);
    const struct filter *f = filter_compile(
        a, json(a, "[{\"field\":\"a.b\",\"operator\":\"contains\",\"value\":\"needle\"},"
                   "{\"field\":\"a.n\",\"operator\":\"is_one_of\",\"value\":[1,2,3]},"
                   "{\"field\":\"a.s.length\",\"operator\":\"less_than\",\"value\":9}]"));
    const struct value *data =
        json(a, "{\"a\":{\"b\":\"hay needle hay\",\"n\":2,\"s\":\"short\"}}");
    size_t before = arena_used(a);
    struct status st;
    bool match;

    (void)state;
    st_init(&st, a);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(filter_match(f, data, &match, &st), 0);
        assert_true(match);
    }
    assert_int_equal(arena_used(a), before);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_compiled_filter_answers_for_many_records),
        cmocka_unit_test(a_field_behind_a_list_matches_by_any_of_its_values),
        cmocka_unit_test(text_has_a_length_and_characters),
        cmocka_unit_test(unknown_operators_are_left_out),
        cmocka_unit_test(a_mistake_fails_only_when_matching_reaches_it),
        cmocka_unit_test(matching_takes_nothing_from_the_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
