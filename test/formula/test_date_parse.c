#include <math.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "formula/date_parse.h"
#include "formula/person_name.h"
#include "value/value.h"

static void reads(const char *text, const char *expected) {
    char iso[32] = "invalid";
    double ms = date_parse(text, strlen(text));

    if (!isnan(ms))
        iso[value_format_date(ms, iso)] = '\0';
    if (strcmp(iso, expected) != 0)
        fail_msg("%s: %s, expected %s", text, iso, expected);
}

static void iso_dates_are_read(void **state) {
    (void)state;
    reads("2024", "2024-01-01T00:00:00.000Z");
    reads("2024-02-30", "2024-03-01T00:00:00.000Z");
    reads("2024-02-29T13:14:15.67891+05:45", "2024-02-29T07:29:15.678Z");
    reads("2024-02-29T24:00:00Z", "2024-03-01T00:00:00.000Z");
    reads("+010000-01-01", "+010000-01-01T00:00:00.000Z");
    reads("-271821-04-20", "-271821-04-20T00:00:00.000Z");
}

static void bad_iso_dates_are_refused(void **state) {
    (void)state;
    reads("2024-02-29T24:00:01Z", "invalid");
    reads("2024-13-01", "invalid");
    reads("2024-02-29T10", "invalid");
    reads("2024-02-29T10:20:30+02", "invalid");
    reads("2024-02-29T10:20:30 ", "invalid");
    reads("20240305", "invalid");
    reads("-271821-04-19", "invalid");
}

static void loose_spellings_are_read(void **state) {
    (void)state;
    reads("Thu, 29 Feb 2024 13:14:15 GMT+0200 (x)", "2024-02-29T11:14:15.000Z");
    reads("2/9/24", "2024-02-09T00:00:00.000Z");
    reads("05.03.2024", "2024-05-03T00:00:00.000Z");
    reads("5-Jan-99", "1999-01-05T00:00:00.000Z");
    reads("foo 2024", "2024-01-01T00:00:00.000Z");
    reads("Feb 3, 2021 12:30 AM", "2021-02-03T00:30:00.000Z");
    reads("5", "2001-05-01T00:00:00.000Z");
}

static void other_spellings_are_refused(void **state) {
    (void)state;
    reads("13/3/2024", "invalid");
    reads("Feb 5th 2024", "invalid");
    reads("Feb 5 2024 3 PM", "invalid");
    reads("Feb 5 2024 13:04 PM", "invalid");
    reads("2024-06-15 12:00 CET", "invalid");
    reads("", "invalid");
}

static void business_days_leave_weekends_out(void **state) {
    struct arena *a = arena_new(0);
    /* Friday 2024-01-05 to Monday. */
    const struct value *days = date_business_days(a, 1704412800000, 1704672000000);

    (void)state;
    assert_int_equal(days->len, 2);
    assert_string_equal(days->items[0].str, "2024-01-05");
    assert_string_equal(days->items[1].str, "2024-01-08");
    assert_int_equal(date_business_days(a, NAN, 0)->len, 0);
    assert_int_equal(date_business_days(a, 1, 0)->len, 0);
    arena_free(&a);
}

static void a_range_of_ages_ends(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    assert_true(date_business_days(a, -8.64e15, 8.64e15)->len <= 1000000);
    arena_free(&a);
}

static void is_named(const char *text, const char *first, const char *last) {
    struct arena *a = arena_new(0);
    struct person_name n = person_name_parse(a, value_string(a, text));
    const char *got_first = value_is_string(n.first) ? n.first->str : "-";
    const char *got_last = value_is_string(n.last) ? n.last->str : "-";

    if (strcmp(got_first, first) != 0 || strcmp(got_last, last) != 0)
        fail_msg("%s: [%s] [%s]", text, got_first, got_last);
    arena_free(&a);
}

static void names_are_taken_apart(void **state) {
    (void)state;
    is_named("John van der Berg", "John", "van der Berg");
    is_named("van Gogh", "van", "Gogh");
    is_named("Smith Jr., John", "John", "Smith");
    is_named("John Smith, Esq", "Esq", "John Smith");
    is_named("John MD PhD", "John", "MD");
    is_named("Dr. Smith", "-", "Smith");
    is_named("Smith,John", "John", "Smith");
    is_named("\"Mary Jane\" Watson", "Mary Jane", "Watson");
    is_named("Mr. and Mrs. Smith", "and", "Smith");
    is_named("Cher", "Cher", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_dates_are_read),
        cmocka_unit_test(bad_iso_dates_are_refused),
        cmocka_unit_test(loose_spellings_are_read),
        cmocka_unit_test(other_spellings_are_refused),
        cmocka_unit_test(business_days_leave_weekends_out),
        cmocka_unit_test(a_range_of_ages_ends),
        cmocka_unit_test(names_are_taken_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
