#include <math.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"
#include "value/value_status.h"

#define GRIN "\xF0\x9F\x98\x80"
#define HIGH "\xED\xA0\xBD"
#define LOW  "\xED\xB8\x80"

static void lengths_and_slices_count_utf16_units(void **state) {
    struct arena *a = arena_new(0);
    const char *s = "a\xC3\xBC" GRIN "z";

    (void)state;
    assert_int_equal(value_utf16_length(s, strlen(s)), 5);
    assert_string_equal(value_utf16_slice(a, s, 8, 1, 4)->str, "\xC3\xBC" GRIN);
    assert_string_equal(value_utf16_slice(a, s, 8, 0, 3)->str, "a\xC3\xBC" HIGH);
    assert_string_equal(value_utf16_slice(a, s, 8, 3, 9)->str, LOW "z");
    assert_string_equal(value_utf16_slice(a, s, 8, 3, 4)->str, LOW);
    assert_string_equal(value_utf16_slice(a, s, 8, 2, 3)->str, HIGH);
    assert_string_equal(value_utf16_slice(a, s, 8, 2, 2)->str, "");
    assert_string_equal(value_utf16_slice(a, s, 8, 5, 9)->str, "");
    assert_string_equal(value_utf16_slice(a, GRIN GRIN, 8, 1, 3)->str, LOW HIGH);
    assert_string_equal(value_utf16_slice(a, "plain text", 10, 2, 5)->str, "ain");
    arena_free(&a);
}

static void appending_joins_surrogates(void **state) {
    struct buf b = BUF_INIT;

    (void)state;
    value_wtf8_append(&b, "x" HIGH, 4);
    value_wtf8_append(&b, LOW "y", 4);
    value_wtf8_append(&b, LOW, 3);
    assert_string_equal(b.data, "x" GRIN "y" LOW);
    buf_fini(&b);
}

static int compare(const char *s, const char *t) {
    struct value x = value_string_ref(s, strlen(s));
    struct value y = value_string_ref(t, strlen(t));

    assert_int_equal(value_compare_strings(&x, &y), -value_compare_strings(&y, &x));
    return value_compare_strings(&x, &y);
}

static void strings_order_by_utf16_unit(void **state) {
    (void)state;
    assert_int_equal(compare("a", "b"), -1);
    assert_int_equal(compare("a", "ab"), -1);
    assert_int_equal(compare("ab", "ab"), 0);
    assert_int_equal(compare(GRIN, "\xEF\xBF\xBD"), -1);
    assert_int_equal(compare(GRIN, "\xED\x9F\xBF"), 1);
    assert_int_equal(compare(HIGH, GRIN), -1);
    assert_int_equal(compare(HIGH "z", GRIN), -1);
    assert_int_equal(compare(GRIN, "\xF0\x9F\x98\x81"), -1);
}

static void strings_become_numbers_as_in_javascript(void **state) {
    static const struct {
        const char *text;
        double number, prefix;
    } cases[] = {
        {"", 0, NAN},
        {" \n\xEF\xBB\xBF\xC2\xA0", 0, NAN},
        {" 12 ", 12, 12},
        {"-1.5e3", -1500, -1500},
        {"+.5", .5, .5},
        {"5.", 5, 5},
        {"5.e1", 50, 50},
        {".", NAN, NAN},
        {"-", NAN, NAN},
        {"1e", NAN, 1},
        {"1e3x", NAN, 1000},
        {"0x1F", 31, 0},
        {"0b101", 5, 0},
        {"0o17", 15, 0},
        {"0x", NAN, 0},
        {"-0x1", NAN, -0.0},
        {"0x20000000000001", 9007199254740992.0, 0},
        {"0x20000000000003", 9007199254740996.0, 0},
        {"0x2000000000000100000000001", 158456325028528710000000000000., 0},
        {"Infinity", INFINITY, INFINITY},
        {"-Infinityx", NAN, -INFINITY},
        {"infinity", NAN, NAN},
        {"1_0", NAN, 1},
        {"12abc", NAN, 12},
        {"0.1", .1, .1},
        {"123456789012345678901234567890", 123456789012345678901234567890.,
         123456789012345678901234567890.},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        double n = value_string_to_number(cases[i].text, strlen(cases[i].text));
        double p = value_parse_float(cases[i].text, strlen(cases[i].text));

        if (isnan(cases[i].number) ? !isnan(n) : n != cases[i].number)
            fail_msg("Number(\"%s\") gave %.17g", cases[i].text, n);
        if (isnan(cases[i].prefix) ? !isnan(p) : p != cases[i].prefix)
            fail_msg("parseFloat(\"%s\") gave %.17g", cases[i].text, p);
    }
}

static void dates_print_as_iso_text(void **state) {
    char text[32];

    (void)state;
    assert_int_equal(value_format_date(1762331412481.0, text), 24);
    assert_string_equal(text, "2025-11-05T08:30:12.481Z");
    value_format_date(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    value_format_date(8.64e15, text);
    assert_string_equal(text, "+275760-09-13T00:00:00.000Z");
    value_format_date(-8.64e15, text);
    assert_string_equal(text, "-271821-04-20T00:00:00.000Z");
    value_format_date(951782400000.0, text);
    assert_string_equal(text, "2000-02-29T00:00:00.000Z");
    assert_int_equal(value_format_date(NAN, text), 0);
}

static void a_status_becomes_error_data_and_comes_back(void **state) {
    struct arena *a = arena_new(0);
    const struct value *v;
    struct status st, back;

    (void)state;
    st_init(&st, a);
    st_init(&back, a);
    st_fail_data(&st, ST_CONNECTION, "rate_limit_exceeded",
                 value_obj(a, "after", value_number(a, 5), NULL), "slow down");
    st_wrap(&st, ST_ACTION_RUN, NULL, "failed");
    v = value_from_status(a, &st);
    assert_string_equal(
        value_encode_arena(a, v, 0).data,
        "{\"type\":\"action_run\",\"message\":\"failed\",\"causedByError\":{"
        "\"type\":\"connection\",\"key\":\"rate_limit_exceeded\",\"message\":"
        "\"slow down\",\"data\":{\"after\":5}}}");
    assert_int_equal(value_to_status(v, &back), -1);
    assert_true(value_equal(value_from_status(a, &back), v));
    value_to_status(&value_null, &back);
    assert_int_equal(back.type, ST_INTERNAL);
    arena_free(&a);
}

static void a_document_lives_until_its_last_reference(void **state) {
    struct arena *a = arena_new(0), *holder = arena_new(0);
    struct document *d;
    const struct value *root;

    (void)state;
    d = document_new(&a, value_obj(a, "x", value_string(a, "text"), NULL));
    assert_null(a);
    assert_true(document_size_bytes(d) > 0);
    root = document_hold(d, holder);
    document_unref(&d);
    assert_null(d);
    assert_string_equal(value_get_string(root, "x", ""), "text");
    arena_free(&holder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_and_slices_count_utf16_units),
        cmocka_unit_test(appending_joins_surrogates),
        cmocka_unit_test(strings_order_by_utf16_unit),
        cmocka_unit_test(strings_become_numbers_as_in_javascript),
        cmocka_unit_test(dates_print_as_iso_text),
        cmocka_unit_test(a_status_becomes_error_data_and_comes_back),
        cmocka_unit_test(a_document_lives_until_its_last_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
