#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

static struct arena *arena;
static struct status st;

static int setup(void **state) {
    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static const struct value *parse_text(const char *text) {
    const struct value *v;

    if (value_parse(arena, text, strlen(text), NULL, &v, &st) < 0)
        fail_msg("%s", st.message);
    return v;
}

static void assert_round_trip(const char *text, const char *expected) {
    assert_string_equal(value_encode_arena(arena, parse_text(text), 0).data, expected);
}

static char *read_file(const char *path, size_t *ret_len) {
    FILE *f = fopen(path, "rb");
    char *text;
    long len;

    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    len = ftell(f);
    rewind(f);
    text = malloc((size_t)len + 1);
    assert_int_equal(fread(text, 1, (size_t)len, f), len);
    fclose(f);
    text[len] = '\0';
    *ret_len = (size_t)len;
    return text;
}

/* One file of the suite in memory of its exact size, so that the sanitizer
 * sees a read past its end. */
static int check_suite_file(const char *name, const char *expected) {
    char path[512], *text, *exact;
    const struct value *v;
    const char *got = "reject";
    size_t len;

    snprintf(path, sizeof(path), "%s/json-suite/%s", FIXTURES, name);
    text = read_file(path, &len);
    exact = malloc(len ? len : 1);
    memcpy(exact, text, len);
    if (value_parse(arena, exact, len, NULL, &v, &st) == 0)
        got = value_encode_arena(arena, v, 0).data;
    free(exact);
    free(text);
    if (strcmp(got, expected) == 0)
        return 0;
    print_error("%s: expected %.80s, got %.80s\n", name, expected, got);
    return 1;
}

static void the_json_suite_is_decided_as_node_decides_it(void **state) {
    char *all, *line, *next;
    int wrong = 0, count = 0;
    size_t len;

    (void)state;
    all = read_file(FIXTURES "/json-suite-expected.tsv", &len);
    for (line = all; *line; line = next) {
        char *tab = strchr(line, '\t');

        next = strchr(line, '\n');
        *next++ = '\0';
        *tab = '\0';
        wrong += check_suite_file(line, tab + 1);
        count++;
    }
    free(all);
    assert_int_equal(wrong, 0);
    assert_true(count > 300);
}

static void numbers_print_as_javascript_prints_them(void **state) {
    (void)state;
    assert_round_trip("[1.0,-0,0.1,34.45,1e21,1e20,123456789.125]",
                      "[1,0,0.1,34.45,1e+21,100000000000000000000,"
                      "123456789.125]");
    assert_round_trip("[1e-7,0.000001,5e-324,1e400,-1e400,0.00012]",
                      "[1e-7,0.000001,5e-324,null,null,0.00012]");
    assert_round_trip("[9007199254740993,-9007199254740991,4.35,2.675]",
                      "[9007199254740992,-9007199254740991,4.35,2.675]");
}

static void a_repeated_key_keeps_its_first_place_and_last_value(void **state) {
    (void)state;
    assert_round_trip("{\"b\":1,\"2\":2,\"a\":3,\"1\":4,\"b\":5,\"01\":6}",
                      "{\"1\":4,\"2\":2,\"b\":5,\"a\":3,\"01\":6}");
}

static void wide_objects_fold_repeats_and_order_index_keys_too(void **state) {
    struct buf text = BUF_INIT;
    const struct value *v;

    (void)state;
    for (int round = 0; round < 2; round++) {
        buf_clear(&text);
        for (int i = 0; i < 40; i++)
            buf_addf(&text, "%c\"%s%d\":%d", i ? ',' : '{', round ? "" : "k", 39 - i % 30,
                     i);
        buf_addc(&text, '}');
        v = parse_text(text.data);
        assert_int_equal(v->len, 30);
        assert_true(value_get_number(v, round ? "39" : "k39", 0) == 30);
        assert_string_equal(v->members[0].key, round ? "10" : "k39");
    }
    buf_fini(&text);
}

static void surrogates_join_and_lone_ones_survive(void **state) {
    (void)state;
    assert_round_trip("[\"\\ud83d\\ude00\",\"\\ud83dx\",\"\\ude00\\ud83d\"]",
                      "[\"\xF0\x9F\x98\x80\",\"\\ud83dx\","
                      "\"\\ude00\\ud83d\"]");
    assert_round_trip("[\"\\u0000\\u001f\\b\\/\\u2028\x7f\"]",
                      "[\"\\u0000\\u001f\\b/\xE2\x80\xA8\x7f\"]");
}

static void bad_utf8_becomes_replacement_characters(void **state) {
    (void)state;
    assert_round_trip("[\"a\xE2\x82z\",\"\xED\xA0\x80\",\"\xF0\x9F\x98\","
                      "\"\xC0\xAF\",\"\xFF\"]",
                      "[\"a\xEF\xBF\xBDz\","
                      "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\","
                      "\"\xEF\xBF\xBD\",\"\xEF\xBF\xBD\xEF\xBF\xBD\","
                      "\"\xEF\xBF\xBD\"]");
}

static void errors_name_line_and_column(void **state) {
    const struct value *v;
    const char *text = "{\n  \"a\": [1, \"\xC3\xBC\", x]\n}";

    (void)state;
    assert_int_equal(value_parse(arena, text, strlen(text), NULL, &v, &st), -1);
    assert_int_equal(st.type, ST_BAD_REQUEST);
    assert_string_equal(st.message,
                        "Invalid JSON at line 2, column 17: unexpected character");
}

static void depth_and_size_are_bounded(void **state) {
    struct value_limits limits = {.max_depth = 3, .max_bytes = 20};
    const struct value *v;

    (void)state;
    assert_int_equal(value_parse(arena, "[[[1]]]", 7, &limits, &v, &st), 0);
    assert_int_equal(value_parse(arena, "[[[[]]]]", 8, &limits, &v, &st), -1);
    assert_int_equal(value_parse(arena, "\"2345678901234567890\"", 21, &limits, &v, &st),
                     -1);
    assert_string_equal(st.key, "payload_too_large");
}

static void encoding_leaves_undefined_out(void **state) {
    struct array_builder items;
    const struct value *v;

    (void)state;
    array_begin(&items, arena, 0);
    array_push(&items, &value_undefined);
    array_push(&items, value_number(arena, NAN));
    v = value_obj(arena, "u", &value_undefined, "a", array_end(&items), "d",
                  value_date(arena, 1762331412481.0), "bad", value_date(arena, NAN), "o",
                  value_obj(arena, "u", &value_undefined, NULL), NULL);
    assert_string_equal(
        value_encode_arena(arena, v, 0).data,
        "{\"a\":[null,null],\"d\":\"2025-11-05T08:30:12.481Z\",\"bad\":null,"
        "\"o\":{}}");
    assert_string_equal(value_encode_arena(arena, v, VALUE_ENCODE_INDENT_2).data,
                        "{\n  \"a\": [\n    null,\n    null\n  ],\n"
                        "  \"d\": \"2025-11-05T08:30:12.481Z\",\n"
                        "  \"bad\": null,\n  \"o\": {}\n}");
    assert_string_equal(value_encode_arena(arena, &value_undefined, 0).data, "");
}

static void sorted_keys_follow_utf16_order(void **state) {
    (void)state;
    assert_string_equal(value_encode_arena(arena,
                                           parse_text("{\"\xEF\xBF\xBD\":1,"
                                                      "\"\xF0\x9F\x98\x80\":2,\"b\":3,"
                                                      "\"a\":{\"z\":1,\"y\":2}}"),
                                           VALUE_ENCODE_SORT_KEYS)
                            .data,
                        "{\"a\":{\"y\":2,\"z\":1},\"b\":3,\"\xF0\x9F\x98\x80\":2,"
                        "\"\xEF\xBF\xBD\":1}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_suite_is_decided_as_node_decides_it),
        cmocka_unit_test(numbers_print_as_javascript_prints_them),
        cmocka_unit_test(a_repeated_key_keeps_its_first_place_and_last_value),
        cmocka_unit_test(wide_objects_fold_repeats_and_order_index_keys_too),
        cmocka_unit_test(surrogates_join_and_lone_ones_survive),
        cmocka_unit_test(bad_utf8_becomes_replacement_characters),
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(encoding_leaves_undefined_out),
        cmocka_unit_test(sorted_keys_follow_utf16_order),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
