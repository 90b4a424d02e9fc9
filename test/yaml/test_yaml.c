#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"
#include "yaml/yaml.h"

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

static const struct value *parse(const char *text) {
    const struct value *v = NULL;

    if (yaml_parse(arena, "f.yml", text, strlen(text), NULL, &v, &st) < 0)
        return NULL;
    return v;
}

/* The YAML text means the JSON text. */
static void means(const char *yaml, const char *json) {
    const struct value *v = parse(yaml);

    if (!v)
        fail_msg("%s: %s", yaml, st.message);
    assert_string_equal(value_encode_arena(arena, v, 0).data, json);
}

static void scalars_follow_the_core_schema(void **state) {
    (void)state;
    means("[~, null, Null, true, True, false, yes, on, 1, -2, 0x1F, 0o17, 1.5, .5, 1e3, "
          "'1', "
          "\"true\", 1_000, 12:30, '', 0b11, 09]",
          "[null,null,null,true,true,false,\"yes\",\"on\",1,-2,31,15,1.5,0.5,1000,\"1\","
          "\"true\",\"1_000\",\"12:30\",\"\",3,9]");
    assert_true(isinf(value_at(parse("[.inf]"), 0)->number));
    assert_true(isnan(value_at(parse("[.NaN]"), 0)->number));
    means("a:\n", "{\"a\":null}");
    means("", "null");
}

static void unquoted_timestamps_are_dates_and_quoted_ones_text(void **state) {
    const struct value *v =
        parse("a: 2025-11-05T08:30:12.481Z\nb: '2025-11-05T08:30:12Z'\n"
              "c: 2025-11-05\nd: 2025-11-05 08:30:12 +02:00\n");

    (void)state;
    assert_int_equal(value_get(v, "a")->type, VALUE_DATE);
    assert_int_equal(value_get(v, "b")->type, VALUE_STRING);
    assert_string_equal(
        value_encode_arena(arena, v, 0).data,
        "{\"a\":\"2025-11-05T08:30:12.481Z\",\"b\":\"2025-11-05T08:30:12Z\","
        "\"c\":\"2025-11-05T00:00:00.000Z\",\"d\":\"2025-11-05T06:30:12.000Z\"}");
}

static void block_and_folded_text_keep_their_lines(void **state) {
    (void)state;
    means("a: |\n  x\n  y\nb: >-\n  one\n  two\n",
          "{\"a\":\"x\\ny\\n\",\"b\":\"one two\"}");
}

static void merge_keys_fill_in_what_is_absent(void **state) {
    (void)state;
    means("base: &b {x: 1, y: 2}\nitem:\n  <<: *b\n  y: 3\n",
          "{\"base\":{\"x\":1,\"y\":2},\"item\":{\"x\":1,\"y\":3}}");
}

static void errors_name_file_line_and_column(void **state) {
    (void)state;
    assert_null(parse("a: 1\nb: [1,\n"));
    assert_non_null(strstr(st.message, "f.yml:"));
    assert_int_equal(st.type, ST_BAD_REQUEST);
    assert_null(parse("a: 1\na: 2\n"));
    assert_string_equal(st.message, "f.yml:2:1: duplicated mapping key");
    assert_true(value_get_number(st.data, "line", 0) == 2);
    assert_null(parse("a: 1\n---\nb: 2\n"));
    assert_null(parse("a: *nowhere\n"));
    assert_null(parse("a: \x01\n"));
    assert_null(parse("a: \xff\n"));
}

static void aliases_can_not_blow_a_document_up(void **state) {
    char text[2000] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";

    (void)state;
    for (int i = 1; i < 12; i++) {
        char line[100];

        snprintf(line, sizeof(line),
                 "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        strcat(text, line);
    }
    assert_null(parse(text));
    assert_non_null(strstr(st.message, "too many nodes"));
    assert_null(parse("a: &x [*x]\n"));
}

static void depth_is_bounded(void **state) {
    char text[1001];

    (void)state;
    memset(text, '[', 1000);
    text[1000] = '\0';
    assert_null(parse(text));
    assert_non_null(strstr(st.message, "nested too deeply"));
}

static void a_path_of_an_error_leads_to_its_line(void **state) {
    static const char text[] =
        "name: x\nnodes:\n  a:\n    type: t\n    links:\n      - key: b\n"
        "      - key: c\nconfig: {p: [1,\n 2]}\n";

    (void)state;
    assert_int_equal(yaml_locate(text, sizeof(text) - 1, "name"), 1);
    assert_int_equal(yaml_locate(text, sizeof(text) - 1, "nodes.a.type"), 4);
    assert_int_equal(yaml_locate(text, sizeof(text) - 1, "nodes.a.links[1].key"), 7);
    assert_int_equal(yaml_locate(text, sizeof(text) - 1, "nodes.a.links[7]"), 5);
    assert_int_equal(yaml_locate(text, sizeof(text) - 1, "config.p[1]"), 9);
    assert_int_equal(yaml_locate(text, sizeof(text) - 1, "nowhere.at.all"), 1);
    assert_int_equal(yaml_locate("[", 1, "a"), 1);
    assert_int_equal(yaml_locate("", 0, "a"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalars_follow_the_core_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(
            unquoted_timestamps_are_dates_and_quoted_ones_text, setup, teardown),
        cmocka_unit_test_setup_teardown(block_and_folded_text_keep_their_lines, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(merge_keys_fill_in_what_is_absent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(errors_name_file_line_and_column, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(aliases_can_not_blow_a_document_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(depth_is_bounded, setup, teardown),
        cmocka_unit_test(a_path_of_an_error_leads_to_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
