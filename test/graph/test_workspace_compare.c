#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "graph/line_diff.h"
#include "graph/workspace_compare.h"
#include "value/value.h"
#include "yaml/yaml.h"
#include "yaml/yaml_dump.h"

static const struct value *json(struct arena *a, const char *text) {
    const struct value *v;
    struct status st;

    st_init(&st, a);
    assert_int_equal(value_parse(a, text, strlen(text), NULL, &v, &st), 0);
    return v;
}

static void the_answer_of_the_api_is_json(void **state) {
    struct arena *a = arena_new(0);
    struct workspace_compare_options options = {.with_diff = true};
    struct workspace_comparison c;
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(
        workspace_compare(a,
                          json(a, "{\"action\":[{\"uuid\":\"1\",\"key\":\"k\"},"
                                  "{\"uuid\":\"2\",\"key\":\"gone\"}]}"),
                          json(a, "{\"action\":[{\"uuid\":\"3\",\"key\":\"k\"}],"
                                  "\"flow\":[{\"uuid\":\"4\",\"key\":\"new\"}]}"),
                          &options, &c, &st),
        0);
    assert_string_equal(
        value_encode_arena(a, workspace_comparison_value(a, &c), 0).data,
        "{\"comparison\":{\"create\":[\"4\"],\"update\":[\"3\"],\"delete\":[\"2\"]},"
        "\"changes\":{\"2\":{\"elementType\":\"action\",\"path\":\"actions/gone/"
        "spec.yaml\"},"
        "\"3\":{\"elementType\":\"action\",\"path\":\"actions/k/spec.yaml\"},"
        "\"4\":{\"elementType\":\"flow\",\"path\":\"flows/new/spec.yaml\"}},"
        "\"baseUuidByTargetUuid\":{\"3\":\"1\"},\"diff\":"
        "\"===================================================================\\n"
        "--- a/actions/k/spec.yaml\\n+++ b/actions/k/spec.yaml\\n@@ -1,2 +1,2 @@\\n key: "
        "k\\n"
        "-uuid: '1'\\n+uuid: '3'\\n\\n"
        "===================================================================\\n"
        "--- a/actions/gone/spec.yaml\\n+++ b/actions/gone/spec.yaml\\n@@ -1,2 +0,0 @@\\n"
        "-key: gone\\n-uuid: '2'\\n\\n"
        "===================================================================\\n"
        "--- a/flows/new/spec.yaml\\n+++ b/flows/new/spec.yaml\\n@@ -0,0 +1,2 @@\\n"
        "+key: new\\n+uuid: '4'\"}");
    arena_free(&a);
}

static void exports_of_the_wrong_shape_are_refused(void **state) {
    static const char *const wrong[] = {"null", "{\"action\":[null]}", "{\"action\":{}}",
                                        "{\"nonsense\":[{\"key\":\"k\"}]}"};
    struct arena *a = arena_new(0);
    struct workspace_comparison c;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct status st;

        st_init(&st, a);
        assert_int_equal(
            workspace_compare(a, json(a, wrong[i]), json(a, "{}"), NULL, &c, &st), -1);
        assert_int_equal(st.type, ST_BAD_REQUEST);
    }
    arena_free(&a);
}

static void what_is_dumped_reads_back_as_the_same(void **state) {
    static const char text[] =
        "{\"a\":[1,[2,[]],{\"b\":{}}],\"t\":[\"no\",\"1\",\"\",\" x\",\"a: "
        "b\",\"multi\\nline\","
        "\"tail\\n\\n\",\"\\u0007\",\"1:20\",\"2024-01-01\",\"null\",\"#x\",\"- y\"],"
        "\"n\":[1.5,-0.25,1e21,5e-7],\"yes\":true,\"k: x\":null}";
    struct arena *a = arena_new(0);
    const struct value *v = json(a, text), *again;
    struct buf b = BUF_INIT;
    struct status st;

    (void)state;
    st_init(&st, a);
    yaml_dump(&b, v, 0);
    assert_int_equal(yaml_parse(a, "input", b.data, b.len, NULL, &again, &st), 0);
    assert_true(value_equal_ordered(v, again));
    buf_fini(&b);
    arena_free(&a);
}

static void wholly_different_long_texts_end_in_time(void **state) {
    struct buf x = BUF_INIT, y = BUF_INIT, out = BUF_INIT;

    (void)state;
    buf_adds(&x, "same\n");
    buf_adds(&y, "same\n");
    for (int i = 0; i < 20000; i++) {
        buf_addf(&x, "x%d\n", i);
        buf_addf(&y, "y%d\n", i);
    }
    buf_adds(&x, "end\n");
    buf_adds(&y, "end\n");
    line_diff_append(&out, "x", "y", (struct bytes){x.data, x.len},
                     (struct bytes){y.data, y.len});
    assert_non_null(strstr(out.data, "@@ -1,20002 +1,20002 @@\n same\n-x0\n"));
    assert_non_null(strstr(out.data, "+y19999\n end\n"));
    buf_fini(&x);
    buf_fini(&y);
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_of_the_api_is_json),
        cmocka_unit_test(exports_of_the_wrong_shape_are_refused),
        cmocka_unit_test(what_is_dumped_reads_back_as_the_same),
        cmocka_unit_test(wholly_different_long_texts_end_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
