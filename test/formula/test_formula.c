#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "formula/formula.h"
#include "value/value.h"

static const char variables[] = "{\"a\":1,\"z\":0,\"n\":null,\"arr\":[0,1],\"s\":"
                                "\"Hello\",\"objs\":[{\"id\":0},{\"id\":1}]}";

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

typedef int form(const struct formula *f, struct arena *a, const struct formula_run *run,
                 const struct value **ret, struct status *st);

/* Evaluates JSON against the variables above and compares the JSON of the result. */
static void gives(form *evaluate, const char *formula, const char *expected) {
    struct arena *a = arena_new(0);
    const struct formula_run run = {.variables = parse(a, variables)};
    const struct value *result;
    const struct formula *f;
    struct status st;

    st_init(&st, a);
    if (formula_compile(a, parse(a, formula), &f, &st) < 0 ||
        evaluate(f, a, &run, &result, &st) < 0)
        fail_msg("%s: %s", formula, st.message);
    assert_string_equal(print(a, result), expected);
    arena_free(&a);
}

/* The list of formulas.md 12, as far as it is about formulas. */
static void surprising_behaviours_are_the_reference_s(void **state) {
    (void)state;
    gives(formula_build, "[{\"$var\":\"arr[0]\"},{\"$var\":\"arr[1]\"}]", "[1]");
    gives(formula_build, "[{\"$var\":\"arr.0\"},{\"$var\":\"arr.1\"}]", "[0,1]");
    gives(formula_build, "{\"x\":{\"$var\":\"\"},\"y\":{\"$var\":\"missing\"}}",
          "{\"x\":null}");
    gives(formula_build, "{\"x\":{\"y\":{\"$var\":\"missing\"}},\"e\":{}}", "{\"e\":{}}");
    gives(formula_build, "[{\"$var\":\"missing\"},[{\"$var\":\"missing\"}],2]", "[2]");
    gives(formula_build, "{\"k\":1,\"$var\":\"a\"}", "{\"k\":1,\"$var\":\"a\"}");
    gives(formula_build, "{\"$var\":\"a\",\"1\":2}", "{\"1\":2,\"$var\":\"a\"}");
    gives(formula_build, "{\"$eval\":{\"$var\":\"missing\"},\"bogus\":1}", "true");
    gives(formula_build, "{\"$eval\":0,\"is\":\"\"}", "true");
    gives(formula_build, "{\"$eval\":\"undefined\",\"contains\":null}", "true");
    gives(formula_build, "{\"$eval\":\"2024-05-01\",\"gt\":\"2024-01-01\"}", "false");
    gives(formula_build, "{\"$eval\":\"\",\"doesNotContain\":\"x\"}", "true");
    gives(
        formula_build,
        "[{\"$and\":[{\"$var\":\"missing\"}]},{\"$and\":[true,{\"$var\":\"missing\"}]}]",
        "[true]");
    gives(formula_build,
          "{\"$map\":{\"value\":{\"$var\":\"z\"},\"mapping\":[{\"from\":\"\",\"to\":"
          "\"blank\"}]}}",
          "\"blank\"");
    gives(
        formula_build,
        "{\"$iterate\":{\"source\":{\"$var\":\"objs\"},\"item\":{\"$var\":\"item.id\"}}}",
        "[1]");
    gives(formula_build,
          "{\"$iterate\":{\"source\":[1],\"item\":{\"x\":{\"$var\":\"a\"},\"y\":{\"$"
          "var\":\"parent.a\"}}}}",
          "[{\"y\":1}]");
    gives(formula_build,
          "{\"$concat\":{\"values\":[\"a\",\"b\"],\"delimiter\":{\"$var\":\"missing\"}}}",
          "\"aundefinedb\"");
    gives(formula_build, "{\"$firstNotEmpty\":[\"\",\"x\"]}", "\"\"");
    gives(formula_build, "[{\"$firstName\":\"Cher\"},{\"$lastName\":\"Cher\"}]",
          "[\"Cher\"]");
    gives(formula_build,
          "{\"$tpl\":{\"template\":\"{x} {y}\",\"values\":{\"x\":\"{y}\",\"y\":\"Y\"}}}",
          "\"Y Y\"");
    gives(formula_build,
          "[{\"d\":{\"$extractDate\":\"2024-02-30\"}},{\"d\":{\"$extractDate\":0}},"
          "{\"d\":{\"$extractDate\":1709634030}}]",
          "[{\"d\":\"2024-03-01\"},{\"d\":\"2000-01-01\"}]");
    gives(formula_build, "{\"$formula\":{\"$concat\":[\"p\",{\"$var\":\"s\"}]}}",
          "{\"$concat\":[\"p\",\"Hello\"]}");
}

static void an_array_filter_decides_when_built_and_matches_when_resolved(void **state) {
    static const char text[] = "{\"$case\":{\"cases\":[{\"filter\":[{\"field\":\"a\","
                               "\"operator\":\"is\",\"value\":2}],"
                               "\"value\":\"A\"}],\"default\":\"D\"}}";

    (void)state;
    gives(formula_build, text, "\"D\"");
    gives(formula_resolve, text, "\"A\"");
}

static void copy_is_resolved_by_the_copy_pass_only(void **state) {
    static const char text[] =
        "{\"a\":1,\"b\":{\"$copy\":\"a\"},\"c\":{\"$copy\":\"none\"}}";

    (void)state;
    gives(formula_build, text,
          "{\"a\":1,\"b\":{\"$copy\":\"a\"},\"c\":{\"$copy\":\"none\"}}");
    gives(formula_build_data, text, "{\"a\":1,\"b\":1}");
}

static void missing_sources_of_copies_in_an_array_do_not_move_the_others(void **state) {
    (void)state;
    gives(formula_build_data,
          "[{\"$copy\":\"none\"},{\"$copy\":\"none\"},7,{\"$copy\":\"$[2]\"}]", "[7,7]");
}

static void template_keys_are_patterns_and_values_replacements(void **state) {
    (void)state;
    gives(formula_build,
          "{\"$tpl\":{\"template\":\"{a.b} {axb}\",\"values\":{\"a.b\":\"R\"}}}",
          "\"R R\"");
    gives(formula_build,
          "{\"$tpl\":{\"template\":\"<{x}>\",\"values\":{\"x\":\"$$-$&-$`-$'-$1\"}}}",
          "\"<$-{x}-<->-$1>\"");
}

static const char *fails(struct arena *a, const char *formula,
                         const struct formula_run *run, const char *key) {
    const struct value *result;
    const struct formula *f;
    struct status st;

    st_init(&st, a);
    if (formula_compile(a, parse(a, formula), &f, &st) == 0)
        assert_int_equal(formula_resolve(f, a, run, &result, &st), -1);
    assert_int_equal(st.type, ST_BAD_REQUEST);
    if (key)
        assert_string_equal(st.key, key);
    return st.message;
}

static void too_deep_a_formula_names_its_place(void **state) {
    struct arena *a = arena_new(0);
    struct buf b = BUF_INIT;
    const struct formula_run run = {0};
    const char *message;

    (void)state;
    buf_adds(&b, "{\"x\":");
    for (int i = 0; i < 450; i++)
        buf_adds(&b, "[");
    buf_adds(&b, "1");
    for (int i = 0; i < 450; i++)
        buf_adds(&b, "]");
    buf_adds(&b, "}");
    message = fails(a, b.data, &run, "formula_limit");
    assert_true(strncmp(message, "Formula is nested too deeply at $.x[0][0]", 41) == 0);
    buf_fini(&b);
    arena_free(&a);
}

static const char nested_loops[] =
    "{\"deep\":{\"$iterate\":{\"source\":[1,2,3,4,5,6,7,8,9,10],\"item\":"
    "{\"$iterate\":{\"source\":[1,2,3,4,5,6,7,8,9,10],\"item\":"
    "{\"$iterate\":{\"source\":[1,2,3,4,5,6,7,8,9,10],\"item\":"
    "{\"$concat\":[\"some longer text, again and again\",{\"$var\":\"index\"}]}}}}}}}}";

static void too_many_steps_are_an_error_that_names_the_place(void **state) {
    struct arena *a = arena_new(0);
    const struct formula_limits limits = {.max_steps = 1000};
    const struct formula_run run = {.limits = &limits};
    const char *message = fails(a, nested_loops, &run, "formula_limit");

    (void)state;
    assert_non_null(strstr(message, "takes too many steps at $.deep.$iterate"));
    arena_free(&a);
}

static void too_large_a_result_is_an_error(void **state) {
    struct arena *a = arena_new(0);
    const struct formula_limits limits = {.max_bytes = 20000};
    const struct formula_run run = {.limits = &limits};

    (void)state;
    assert_non_null(
        strstr(fails(a, nested_loops, &run, "formula_limit"), "too large at $.deep"));
    arena_free(&a);
}

static void reserved_names_are_refused_only_when_evaluated(void **state) {
    struct arena *a = arena_new(0);
    const struct formula_run run = {0};

    (void)state;
    assert_string_equal(fails(a, "{\"x\":[{\"$toString\":1}]}", &run, NULL),
                        "Reserved name used as a formula at $.x[0]");
    gives(formula_resolve,
          "{\"$case\":{\"cases\":[{\"value\":1},{\"value\":{\"$valueOf\":1}}]}}", "1");
    arena_free(&a);
}

/* ---- look-ups ---- */

static int find_link(void *ctx, struct arena *a, const struct value *table,
                     const struct value *id, const struct value **ret,
                     struct status *st) {
    int *calls = ctx;

    (void)st;
    ++*calls;
    *ret = value_stringf(a, "%s/%s", value_text(table), value_text(id));
    return 0;
}

static int fail_lookup(void *ctx, struct arena *a, const struct value *request,
                       const struct value **ret, struct status *st) {
    (void)ctx, (void)a, (void)ret;
    return st_fail(st, ST_BAD_REQUEST, "lookup_down", "Cannot look up %s",
                   value_text(value_path(request, "lookup", "q", NULL)));
}

static void links_are_asked_for_and_their_absence_vanishes(void **state) {
    struct arena *a = arena_new(0);
    int calls = 0;
    const struct formula_lookups lookups = {.ctx = &calls, .app_record_id = find_link};
    const struct formula_run run = {.variables = parse(a, "{\"i\":\"7\"}"),
                                    .lookups = &lookups};
    const struct value *v = parse(
        a, "{\"o\":{\"$findAppRecordId\":{\"dataLinkTable\":{\"key\":\"u\"},\"recordId\":"
           "{\"$var\":\"i\"}}},\"p\":{\"$findAppRecordId\":{\"dataLinkTable\":{\"key\":"
           "\"u\"},"
           "\"recordId\":{\"$var\":\"none\"}}}}");
    const struct value *result;
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(formula_resolve_value(a, v, &run, &result, &st), 0);
    assert_string_equal(print(a, result), "{\"o\":\"u/7\"}");
    assert_int_equal(calls, 1);
    arena_free(&a);
}

static void errors_of_look_ups_end_the_evaluation_unchanged(void **state) {
    struct arena *a = arena_new(0);
    const struct formula_lookups lookups = {.lookup = fail_lookup};
    const struct formula_run run = {.lookups = &lookups};

    (void)state;
    assert_string_equal(fails(a, "[{\"$lookup\":{\"q\":\"x\"}}]", &run, "lookup_down"),
                        "Cannot look up x");
    arena_free(&a);
}

/* ---- sharing ---- */

static void a_compiled_formula_can_be_evaluated_again_and_again(void **state) {
    struct arena *a = arena_new(0), *scratch = arena_new(0);
    const struct value *result;
    const struct formula *f;
    struct status st;
    char vars[32];

    (void)state;
    st_init(&st, a);
    assert_int_equal(
        formula_compile(a, parse(a, "{\"$formula\":{\"$concat\":[{\"$var\":\"i\"}]}}"),
                        &f, &st),
        0);
    for (int i = 0; i < 3; i++) {
        struct formula_run run = {0};
        char expected[32];

        snprintf(vars, sizeof(vars), "{\"i\":%d}", i + 1);
        snprintf(expected, sizeof(expected), "{\"$concat\":[%d]}", i + 1);
        run.variables = parse(scratch, vars);
        assert_int_equal(formula_build(f, scratch, &run, &result, &st), 0);
        assert_string_equal(print(scratch, result), expected);
        arena_reset(scratch);
    }
    arena_free(&scratch);
    arena_free(&a);
}

struct shared {
    const struct formula *formula;
    const struct value *record;
    int wrong;
};

static void *evaluate_often(void *arg) {
    struct shared *x = arg;
    struct arena *a = arena_new(0);
    const struct formula_run run = {.variables = x->record};
    const struct value *result;
    struct status st;

    for (int i = 0; i < 500; i++) {
        st_init(&st, a);
        if (formula_resolve(x->formula, a, &run, &result, &st) < 0 ||
            strcmp(print(a, result), "[\"1 R\",true,[{\"i\":0},{\"i\":1}]]") != 0)
            __atomic_add_fetch(&x->wrong, 1, __ATOMIC_RELAXED);
        arena_reset(a);
    }
    arena_free(&a);
    return NULL;
}

static void threads_share_a_compiled_formula(void **state) {
    struct arena *a = arena_new(0);
    struct shared x = {.record = parse(a, variables)};
    pthread_t threads[4];
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(
        formula_compile(
            a,
            parse(a,
                  "[{\"$tpl\":{\"template\":\"{a} {x.}\",\"values\":{\"a\":{\"$var\":"
                  "\"a\"},\"x.\":\"R\"}}},{\"$eval\":{\"$var\":\"s\"},\"contains\":"
                  "\"HE\"},{\"$iterate\":{\"source\":{\"$var\":\"arr\"},\"item\":{\"i\":"
                  "{\"$var\":\"index\"}}}}]"),
            &x.formula, &st),
        0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, evaluate_often, &x), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(x.wrong, 0);
    arena_free(&a);
}

static void collect(void *ctx, const char *place, const struct value *formula,
                    const struct value *result) {
    struct buf *b = ctx;

    buf_addf(b, "%s ", place);
    value_encode(b, result, 0);
    buf_adds(b, "\n");
    assert_true(formula_is(formula));
}

static void a_trace_tells_every_formula_inner_ones_first(void **state) {
    struct arena *a = arena_new(0);
    struct buf b = BUF_INIT;
    const struct formula_run run = {
        .variables = parse(a, variables), .trace = collect, .trace_ctx = &b};
    const struct value *result;
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(
        formula_resolve_value(a,
                              parse(a, "{\"x\":{\"$concat\":{\"values\":[{\"$var\":"
                                       "\"s\"},\"!\"]}}}"),
                              &run, &result, &st),
        0);
    assert_string_equal(b.data, "$.x.$concat.values[0] \"Hello\"\n$.x \"Hello!\"\n");
    buf_fini(&b);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(surprising_behaviours_are_the_reference_s),
        cmocka_unit_test(an_array_filter_decides_when_built_and_matches_when_resolved),
        cmocka_unit_test(copy_is_resolved_by_the_copy_pass_only),
        cmocka_unit_test(missing_sources_of_copies_in_an_array_do_not_move_the_others),
        cmocka_unit_test(template_keys_are_patterns_and_values_replacements),
        cmocka_unit_test(too_deep_a_formula_names_its_place),
        cmocka_unit_test(too_many_steps_are_an_error_that_names_the_place),
        cmocka_unit_test(too_large_a_result_is_an_error),
        cmocka_unit_test(reserved_names_are_refused_only_when_evaluated),
        cmocka_unit_test(links_are_asked_for_and_their_absence_vanishes),
        cmocka_unit_test(errors_of_look_ups_end_the_evaluation_unchanged),
        cmocka_unit_test(a_compiled_formula_can_be_evaluated_again_and_again),
        cmocka_unit_test(threads_share_a_compiled_formula),
        cmocka_unit_test(a_trace_tells_every_formula_inner_ones_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
