/* Moments of five fields in a time zone; S80. */
#include <stdio.h>
#include <time.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "flow/flow_cron.h"

static int64_t utc(const char *text) {
    struct tm tm = {0};

    assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon,
                            &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec),
                     6);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (int64_t)timegm(&tm) * 1000;
}

static void next_moments_are_those_of_the_calendar(void **state) {
    static const struct {
        const char *cron, *zone, *after, *next;
    } rows[] = {
        {"* * * * *", "UTC", "2025-01-01T00:00:00", "2025-01-01T00:01:00"},
        {"* * * * *", "UTC", "2025-01-01T00:00:59", "2025-01-01T00:01:00"},
        {"*/15 * * * *", "UTC", "2025-01-01T00:15:00", "2025-01-01T00:30:00"},
        {"0 9 * * MON-FRI", "UTC", "2025-01-03T09:00:00", "2025-01-06T09:00:00"},
        {"0 9 * * 1-5", "UTC", "2025-01-03T08:59:59", "2025-01-03T09:00:00"},
        {"30 6 1,15 * *", "UTC", "2025-01-02T00:00:00", "2025-01-15T06:30:00"},
        {"0 0 29 2 *", "UTC", "2025-01-01T00:00:00", "2028-02-29T00:00:00"},
        {"0 0 31 * *", "UTC", "2025-01-31T00:00:00", "2025-03-31T00:00:00"},
        {"0 0 13 * FRI", "UTC", "2025-01-01T00:00:00", "2025-01-03T00:00:00"},
        {"0 0 * * 7", "UTC", "2025-01-01T00:00:00", "2025-01-05T00:00:00"},
        {"0 0 1 JAN *", "UTC", "2025-01-01T00:00:00", "2026-01-01T00:00:00"},
        {"5/20 * * * *", "UTC", "2025-01-01T00:25:00", "2025-01-01T00:45:00"},
        /* zones */
        {"0 9 * * *", "Europe/Berlin", "2025-01-01T09:00:00", "2025-01-02T08:00:00"},
        {"0 9 * * *", "Europe/Berlin", "2025-07-01T00:00:00", "2025-07-01T07:00:00"},
        {"0 9 * * *", "America/New_York", "2025-07-01T00:00:00", "2025-07-01T13:00:00"},
        {"0 9 * * *", "Asia/Kolkata", "2025-07-01T00:00:00", "2025-07-01T03:30:00"},
        {"0 9 * * *", "Asia/Kathmandu", "2025-07-01T00:00:00", "2025-07-01T03:15:00"},
        /* the zone's rule goes on behind its table */
        {"0 9 * * *", "Europe/Berlin", "2060-07-01T00:00:00", "2060-07-01T07:00:00"},
        {"0 9 * * *", "Europe/Berlin", "2060-01-01T00:00:00", "2060-01-01T08:00:00"},
        {"0 9 * * *", "Australia/Sydney", "2060-01-01T00:00:00", "2060-01-01T22:00:00"},
        {"0 9 * * *", "Australia/Sydney", "2060-07-01T00:00:00", "2060-07-01T23:00:00"},
        /* clocks go forward at 02:00: 02:30 is met right after, as 03:30 */
        {"30 2 * * *", "Europe/Berlin", "2025-03-29T12:00:00", "2025-03-30T01:30:00"},
        {"30 2 * * *", "Europe/Berlin", "2025-03-30T01:30:00", "2025-03-31T00:30:00"},
        /* clocks go back at 03:00: 02:30 comes twice, is met once */
        {"30 2 * * *", "Europe/Berlin", "2025-10-25T12:00:00", "2025-10-26T00:30:00"},
        {"30 2 * * *", "Europe/Berlin", "2025-10-26T00:30:00", "2025-10-27T01:30:00"},
        /* every hour is every hour */
        {"30 * * * *", "Europe/Berlin", "2025-10-26T00:30:00", "2025-10-26T01:30:00"},
        {"30 * * * *", "Europe/Berlin", "2025-03-30T00:30:00", "2025-03-30T01:30:00"},
    };
    struct arena *a = arena_new(0);
    struct status st;

    (void)state;
    st_init(&st, a);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct flow_zone *zone;
        struct flow_cron cron;
        int64_t next;

        assert_int_equal(flow_cron_parse(rows[i].cron, &cron, &st), 0);
        assert_int_equal(flow_zone_load(a, rows[i].zone, &zone, &st), 0);
        next = flow_cron_next(&cron, zone, utc(rows[i].after));
        if (next != utc(rows[i].next))
            fail_msg("%s %s after %s: %lld, not %s", rows[i].cron, rows[i].zone,
                     rows[i].after, (long long)next, rows[i].next);
    }
    arena_free(&a);
}

static void what_never_comes_is_said(void **state) {
    struct arena *a = arena_new(0);
    const struct flow_zone *zone;
    struct flow_cron cron;
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(flow_cron_parse("0 0 30 2 *", &cron, &st), 0);
    assert_int_equal(flow_zone_load(a, "UTC", &zone, &st), 0);
    assert_int_equal(flow_cron_next(&cron, zone, 0), -1);
    arena_free(&a);
}

static void what_is_no_schedule_is_refused(void **state) {
    static const char *const bad[] = {
        "",
        "*",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "a * * * *",
        "1-0 * * * *",
        "1- * * * *",
        "*/0 * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "1.5 * * * *",
        "99999999999 * * * *",
        "* * * XYZ *",
        "@daily",
    };
    static const char *const zones[] = {
        "", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "zone.tab", "Europe"};
    struct arena *a = arena_new(0);
    const struct flow_zone *zone;
    struct flow_cron cron;
    struct status st;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        st_init(&st, a);
        if (flow_cron_parse(bad[i], &cron, &st) == 0)
            fail_msg("accepted \"%s\"", bad[i]);
    }
    for (size_t i = 0; i < sizeof(zones) / sizeof(*zones); i++) {
        st_init(&st, a);
        assert_int_equal(flow_zone_load(a, zones[i], &zone, &st), -1);
    }
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_moments_are_those_of_the_calendar),
        cmocka_unit_test(what_never_comes_is_said),
        cmocka_unit_test(what_is_no_schedule_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
