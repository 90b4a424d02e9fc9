#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "graph/graph_flow.h"
#include "value/value.h"

static const struct value *json(struct arena *a, const char *text) {
    const struct value *v;
    struct status st;

    st_init(&st, a);
    assert_int_equal(value_parse(a, text, strlen(text), NULL, &v, &st), 0);
    return v;
}

static bool has_cycles(const char *nodes) {
    struct arena *a = arena_new(0);
    struct status st;
    bool cycles;

    st_init(&st, a);
    assert_int_equal(graph_has_cycles(a, json(a, nodes), &cycles, &st), 0);
    arena_free(&a);
    return cycles;
}

/* {"nodes": {"n0": {links: [n1, m1]}, ...}}: `width` nodes per layer, each linked to
 * every node of the next. */
static const struct value *layers(struct arena *a, int depth, int width) {
    const struct value *flow;
    struct buf b = BUF_INIT;

    buf_adds(&b, "{\"nodes\":{");
    for (int i = 0; i < depth; i++) {
        for (int k = 0; k < width; k++) {
            buf_addf(&b, "%s\"n%d-%d\":{\"links\":[", i + k ? "," : "", i, k);
            for (int t = 0; t < width && i + 1 < depth; t++)
                buf_addf(&b, "%s{\"key\":\"n%d-%d\"}", t ? "," : "", i + 1, t);
            buf_adds(&b, "]}");
        }
    }
    buf_adds(&b, "}}");
    flow = json(a, b.data);
    buf_fini(&b);
    return flow;
}

static void a_diamond_is_no_cycle_and_a_ring_is(void **state) {
    (void)state;
    assert_false(has_cycles("{\"a\":{\"links\":[{\"key\":\"b\"},{\"key\":\"c\"}]},"
                            "\"b\":{\"links\":[{\"key\":\"d\"}]},"
                            "\"c\":{\"links\":[{\"key\":\"d\"}]},\"d\":{}}"));
    assert_true(has_cycles("{\"r\":{\"links\":[{\"key\":\"a\"}]},"
                           "\"a\":{\"links\":[{\"key\":\"b\"}]},"
                           "\"b\":{\"links\":[{\"key\":\"a\"}]}}"));
    assert_true(has_cycles("{\"a\":{\"links\":[{\"key\":\"a\"}]}}"));
    assert_false(has_cycles("{}"));
    assert_false(has_cycles("null"));
    assert_true(has_cycles("{\"a\":null}"));
}

static void a_node_in_a_sub_flow_and_behind_its_for_each_is_reported(void **state) {
    static const char shared[] =
        "{\"f\":{\"type\":\"for-each-v2\",\"config\":{\"rootNodeKey\":\"s\"},"
        "\"links\":[{\"key\":\"x\"}]},\"s\":{\"links\":[{\"key\":\"x\"}]},\"x\":{}}";
    static const char apart[] =
        "{\"f\":{\"type\":\"for-each-v2\",\"config\":{\"rootNodeKey\":\"s\"},"
        "\"links\":[{\"key\":\"x\"}]},\"s\":{\"links\":[{\"key\":\"y\"}]},\"x\":{},"
        "\"y\":{}}";

    (void)state;
    assert_true(has_cycles(shared));
    assert_false(has_cycles(apart));
}

static void every_way_down_is_not_walked(void **state) {
    struct arena *a = arena_new(0);
    struct status st;
    bool cycles;

    (void)state;
    st_init(&st, a);
    /* 10^60 ways */
    assert_int_equal(
        graph_has_cycles(a, value_get(layers(a, 60, 10), "nodes"), &cycles, &st), 0);
    assert_false(cycles);
    arena_free(&a);
}

static void a_long_chain_needs_no_stack(void **state) {
    struct arena *a = arena_new(0);
    const struct value *flow = layers(a, GRAPH_MAX_NODES, 1), *keys;
    struct status st;
    bool cycles;

    (void)state;
    st_init(&st, a);
    assert_int_equal(graph_has_cycles(a, value_get(flow, "nodes"), &cycles, &st), 0);
    assert_false(cycles);
    assert_int_equal(graph_upstream_keys(a, flow, "n900-0", &keys, &st), 0);
    assert_int_equal(keys->len, 900);
    flow = layers(a, GRAPH_MAX_NODES + 1, 1);
    assert_int_equal(graph_has_cycles(a, value_get(flow, "nodes"), &cycles, &st), -1);
    arena_free(&a);
}

static void upstream_ends_on_rings_and_on_too_many_ways(void **state) {
    struct arena *a = arena_new(0);
    const struct value *keys;
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(
        graph_upstream_keys(a,
                            json(a, "{\"nodes\":{\"a\":{\"links\":[{\"key\":\"b\"}]},"
                                    "\"b\":{\"links\":[{\"key\":\"a\"}]}}}"),
                            "a", &keys, &st),
        -1);
    assert_non_null(strstr(st.message, "cycle"));
    assert_int_equal(graph_upstream_keys(a, layers(a, 40, 4), "n39-0", &keys, &st), -1);
    assert_non_null(strstr(st.message, "Too many ways"));
    arena_free(&a);
}

static void titles_come_from_the_node_then_its_type_then_its_key(void **state) {
    struct arena *a = arena_new(0);
    const struct value *flow = json(
        a, "{\"nodes\":{\"a\":{\"type\":\"run-action\",\"name\":\"N\",\"ui\":{\"title\":"
           "\"T\"}},\"b\":{\"type\":\"run-action\",\"name\":\"N\"},\"c\":{\"type\":"
           "\"run-action\"},\"myKey\":{\"type\":\"new-type\"},\"e\":{}}}");

    (void)state;
    assert_string_equal(graph_node_title(a, flow, "a")->str, "T");
    assert_string_equal(graph_node_title(a, flow, "b")->str, "N");
    assert_string_equal(graph_node_title(a, flow, "c")->str, "Run Action");
    assert_string_equal(graph_node_title(a, flow, "myKey")->str, "My Key");
    assert_true(value_is(graph_node_title(a, flow, "e"), VALUE_UNDEFINED));
    assert_true(value_is(graph_node_title(a, flow, "none"), VALUE_UNDEFINED));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_diamond_is_no_cycle_and_a_ring_is),
        cmocka_unit_test(a_node_in_a_sub_flow_and_behind_its_for_each_is_reported),
        cmocka_unit_test(every_way_down_is_not_walked),
        cmocka_unit_test(a_long_chain_needs_no_stack),
        cmocka_unit_test(upstream_ends_on_rings_and_on_too_many_ways),
        cmocka_unit_test(titles_come_from_the_node_then_its_type_then_its_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
