#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "external/external.h"
#include "value/value.h"

static struct arena *arena;
static struct status st;
static struct deps deps;
static struct external_session session;

static int setup(void **state) {
    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    deps = (struct deps){.clock = clock_system(), .rand = rand_system()};
    session = (struct external_session){.deps = &deps, .arena = arena};
    external_session_init(&session);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static const struct value *json(const char *text) {
    const struct value *v;

    if (value_parse(arena, text, strlen(text), NULL, &v, &st) < 0)
        fail_msg("%s", st.message);
    return v;
}

static const char *text_of(const struct value *v) {
    return value_encode_arena(arena, v, 0).data;
}

static void addresses_join_with_one_slash_and_merge_queries(void **state) {
    static const struct {
        const char *base, *path, *client_query, *query, *url;
    } rows[] = {
        {"https://x.example/v1/", "/a", "{}", "{}", "https://x.example/v1/a"},
        {"https://x.example/v1", "a", "{}", "{}", "https://x.example/v1/a"},
        {"https://x.example", "", "{}", "{}", "https://x.example"},
        {"https://x.example", "https://y.example/z", "{}", "{}", "https://y.example/z"},
        {"https://x.example", "/a?b=1", "{\"k\":\"v\"}", "{\"c\":2}",
         "https://x.example/a?b=1&k=v&c=2"},
        {"https://x.example", "/a", "{\"k\":\"old\"}", "{\"k\":\"new\"}",
         "https://x.example/a?k=new"},
        {"https://x.example", "/a", "{}", "{\"n\":null,\"l\":[1,\"b c\"],\"t\":true}",
         "https://x.example/a?l=1&l=b%20c&t=true"},
        {"https://x.example", "/a b\"#frag", "{}", "{}", "https://x.example/a%20b%22"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *url = NULL;

        assert_int_equal(external_build_url(arena, rows[i].base, rows[i].path,
                                            json(rows[i].client_query),
                                            json(rows[i].query), &url, &st),
                         0);
        assert_string_equal(url, rows[i].url);
    }
}

static void a_relative_path_without_a_base_is_a_configuration_error(void **state) {
    const char *url;

    (void)state;
    assert_int_equal(external_build_url(arena, NULL, "/a", &value_empty_object,
                                        &value_empty_object, &url, &st),
                     -1);
    assert_int_equal(st.type, ST_CONFIGURATION);
    assert_int_equal(external_build_url(arena, "file:///etc", "/passwd",
                                        &value_empty_object, &value_empty_object, &url,
                                        &st),
                     -1);
}

static void logs_hold_no_secrets_and_are_cut(void **state) {
    struct array_builder many;
    char *text = arena_zalloc(arena, 700);

    (void)state;
    assert_string_equal(
        text_of(
            external_redact(arena, json("{\"headers\":{\"Authorization\":\"Bearer x\","
                                        "\"X-Api-Key\":\"k\",\"Accept\":\"a\"},\"data\":"
                                        "{\"access_token\":\"t\",\"name\":\"n\"}}"))),
        "{\"headers\":{\"Authorization\":\"***\",\"X-Api-Key\":\"***\",\"Accept\":\"a\"},"
        "\"data\":{\"access_token\":\"***\",\"name\":\"n\"}}");
    /* everything below a secret name is one */
    assert_string_equal(
        text_of(external_redact(arena, json("{\"set-cookie\":[\"sid=1\"],"
                                            "\"credentials\":{\"user\":{\"pin\":1}}}"))),
        "{\"set-cookie\":[\"***\"],\"credentials\":{\"user\":{\"pin\":\"***\"}}}");
    assert_string_equal(
        external_redact_url(arena, "https://u:p@x.example/a?api_key=1&q=2&token=3"),
        "https://***@x.example/a?api_key=***&q=2&token=***");
    assert_string_equal(external_redact_url(arena, "https://x.example/a"),
                        "https://x.example/a");
    array_begin(&many, arena, 0);
    for (int i = 0; i < 600; i++)
        array_push(&many, &value_null);
    assert_int_equal(external_redact(arena, array_end(&many))->len, 501);
    memset(text, 'x', 699);
    assert_int_equal(external_redact(arena, value_string(arena, text))->len, 503);
}

static void a_mapping_function_sees_arguments_and_credentials(void **state) {
    const struct value *result;

    (void)state;
    session.credentials = json("{\"token\":\"T\"}");
    session.connection_parameters = json("{\"host\":\"H\"}");
    assert_int_equal(external_run_function(
                         &session,
                         json("{\"type\":\"mapping\",\"mapping\":{\"t\":{\"$var\":"
                              "\"$.credentials.token\"},\"h\":{\"$var\":"
                              "\"$.credentials.host\"},\"i\":{\"$var\":\"$.input.a\"}}}"),
                         json("{\"input\":{\"a\":1}}"), &result, &st),
                     0);
    assert_string_equal(text_of(result), "{\"t\":\"T\",\"h\":\"H\",\"i\":1}");
}

static void functions_that_can_not_run_say_why(void **state) {
    const struct value *result;

    (void)state;
    assert_int_equal(external_run_function(&session, json("{\"type\":\"javascript\"}"),
                                           NULL, &result, &st),
                     -1);
    assert_int_equal(st.type, ST_CUSTOM_CODE);
    assert_int_equal(external_run_function(&session, json("{\"type\":\"not-supported\"}"),
                                           NULL, &result, &st),
                     -1);
    assert_int_equal(st.type, ST_BAD_REQUEST);
    assert_int_equal(
        external_run_function(&session, json("{\"type\":\"magic\"}"), NULL, &result, &st),
        -1);
    assert_int_equal(
        external_run_operation(&session, "nope", &value_undefined, &result, &st), -1);
    assert_string_equal(st.key, "not_found");
}

static void operations_that_call_each_other_for_ever_end(void **state) {
    const struct value *result;

    (void)state;
    session.operations =
        json("{\"a\":{\"methods\":{\"run\":{\"type\":\"operation-mapping\","
             "\"mapping\":{\"operationKey\":\"a\"}}}}}");
    assert_int_equal(
        external_run_operation(&session, "a", &value_undefined, &result, &st), -1);
    assert_int_equal(st.type, ST_CONFIGURATION);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(addresses_join_with_one_slash_and_merge_queries),
        T(a_relative_path_without_a_base_is_a_configuration_error),
        T(logs_hold_no_secrets_and_are_cut),
        T(a_mapping_function_sees_arguments_and_credentials),
        T(functions_that_can_not_run_say_why),
        T(operations_that_call_each_other_for_ever_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
