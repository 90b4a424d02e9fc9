#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"

static void a_key_decides_the_http_code_before_the_type(void **state) {
    struct arena *a = arena_new(0);
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(st_fail(&st, ST_BAD_REQUEST, "not_found", "no %s", "flow"), -1);
    assert_int_equal(st_http_code(&st), 404);
    assert_string_equal(st.message, "no flow");
    st_fail(&st, ST_INTERNAL, NULL, "broken");
    assert_int_equal(st_http_code(&st), 500);
    st_fail(&st, ST_CONNECTION, "connection_is_defunct", "gone");
    assert_int_equal(st_http_code(&st), 400);
    arena_free(&a);
}

static void wrapping_keeps_the_failure_underneath(void **state) {
    struct arena *a = arena_new(0);
    struct status st;

    (void)state;
    st_init(&st, a);
    st_fail(&st, ST_CONNECTION, "rate_limit_exceeded", "slow down");
    st_wrap(&st, ST_ACTION_RUN, NULL, "action failed");
    assert_int_equal(st.type, ST_ACTION_RUN);
    assert_string_equal(st.cause->message, "slow down");
    st_context(&st, "run %d", 7);
    assert_string_equal(st.message, "run 7: action failed");
    arena_free(&a);
}

static void every_type_has_a_name_that_leads_back(void **state) {
    (void)state;
    for (int t = ST_OK + 1; t <= ST_OPENROUTER_NOT_CONFIGURED; t++)
        assert_int_equal(st_type_from_name(st_type_name((enum status_type)t)), t);
    assert_int_equal(st_type_from_name("nonsense"), ST_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_decides_the_http_code_before_the_type),
        cmocka_unit_test(wrapping_keeps_the_failure_underneath),
        cmocka_unit_test(every_type_has_a_name_that_leads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
