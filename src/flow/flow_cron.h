/*
 * flow_cron.h - moments of a schedule: five fields in a time zone.
 *
 * Fields: minute, hour, day of month, month (1-12 or JAN-DEC), day of week (0-7 or
 * SUN-SAT; 0 and 7 are Sunday); each is `*`, numbers, ranges `a-b`, steps `/n`, lists.
 * When both days are restricted, one of them is enough. A local time that a change of the
 * clocks skips is met right after the change; one that comes twice is met once, unless
 * every hour is meant.
 */
#ifndef FLOW_FLOW_CRON_H
#define FLOW_FLOW_CRON_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct flow_zone;
struct status;

struct flow_cron {
    uint64_t minutes;
    uint32_t hours, days, months, weekdays; /* bits */
    bool any_hour, any_day, any_weekday;    /* written as `*` */
};
/* -1 bad_request with what is wrong. */
int flow_cron_parse(const char *text, struct flow_cron *ret, struct status *st);

/* By IANA name, from the system's zoneinfo; "UTC" needs none. -1 bad_request. */
int flow_zone_load(struct arena *a, const char *name, const struct flow_zone **ret,
                   struct status *st);
/* Seconds east of Greenwich at a moment (seconds since 1970). */
int flow_zone_offset(const struct flow_zone *z, int64_t at_s);

/* The first moment behind after_ms; -1 when there is none within 8 years. */
int64_t flow_cron_next(const struct flow_cron *c, const struct flow_zone *z,
                       int64_t after_ms);

#endif
