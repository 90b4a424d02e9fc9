/*
 * flow_cron.c - moments of a schedule.
 *
 * Zones are read from the system's TZif files (RFC 8536): the table of changes, and the
 * rule behind its end ("CET-1CEST,M3.5.0,M10.5.0/3"), of which only the M form is in use.
 * The C library's own zones are global to the process, so they are not used.
 */
#include "flow_cron.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"

enum {
    MAX_FILE = 256 * 1024,
    MAX_DAYS = 8 * 366, /* 29 February comes every 8 years at worst */
    DAY_S = 86400,
};

/* ---- Fields ---- */

struct field {
    const char *name;
    unsigned min, max;
    const char *words; /* three letters each, for min and on; or NULL */
};

static const struct field fields[] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of the month", 1, 31, NULL},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of the week", 0, 7, "sunmontuewedthufrisat"},
};

static int bad_field(const struct field *f, struct status *st) {
    return st_fail(st, ST_BAD_REQUEST, NULL, "cron: the %s is not understood", f->name);
}

static int read_number(const struct field *f, const char **p, unsigned *ret) {
    unsigned n = 0, digits = 0;

    if (f->words && isalpha((unsigned char)**p)) {
        for (unsigned i = 0; f->words[3 * (size_t)i]; i++)
            if (strncasecmp(*p, f->words + 3 * (size_t)i, 3) == 0) {
                *p += 3;
                *ret = f->min + i;
                return 0;
            }
        return -1;
    }
    for (; isdigit((unsigned char)**p) && digits < 3; digits++)
        n = n * 10 + (unsigned)(*(*p)++ - '0');
    *ret = n;
    return digits && n >= f->min && n <= f->max ? 0 : -1;
}

/* One entry of a list: "*", "5", "1-5", each with "/n". */
static int read_entry(const struct field *f, const char **p, uint64_t *bits) {
    unsigned from = f->min, to = f->max, step = 1;
    bool single = false;

    if (**p == '*') {
        ++*p;
    } else {
        if (read_number(f, p, &from) < 0)
            return -1;
        to = from;
        single = true;
        if (**p == '-') {
            ++*p;
            if (read_number(f, p, &to) < 0 || to < from)
                return -1;
            single = false;
        }
    }
    if (**p == '/') {
        const struct field steps = {.min = 1, .max = 999};

        ++*p;
        if (read_number(&steps, p, &step) < 0)
            return -1;
        if (single)
            to = f->max;
    }
    for (unsigned i = from; i <= to; i += step)
        *bits |= (uint64_t)1 << i;
    return 0;
}

static int read_field(const struct field *f, const char **p, uint64_t *ret, bool *ret_any,
                      struct status *st) {
    *ret = 0;
    while (**p == ' ' || **p == '\t')
        ++*p;
    *ret_any = **p == '*' && ((*p)[1] == ' ' || (*p)[1] == '\t' || (*p)[1] == '\0');
    for (;;) {
        if (read_entry(f, p, ret) < 0)
            return bad_field(f, st);
        if (**p != ',')
            break;
        ++*p;
    }
    return **p == ' ' || **p == '\t' || **p == '\0' ? 0 : bad_field(f, st);
}

int flow_cron_parse(const char *text, struct flow_cron *ret, struct status *st) {
    uint64_t bits[5];
    bool any[5];

    for (int i = 0; i < 5; i++)
        if (read_field(&fields[i], &text, &bits[i], &any[i], st) < 0)
            return -1;
    while (*text == ' ' || *text == '\t')
        text++;
    if (*text)
        return st_fail(st, ST_BAD_REQUEST, NULL, "cron: there are more than five fields");
    *ret = (struct flow_cron){
        .minutes = bits[0],
        .hours = (uint32_t)bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint32_t)bits[3],
        .weekdays = (uint32_t)(bits[4] | bits[4] >> 7),
        .any_hour = any[1],
        .any_day = any[2],
        .any_weekday = any[4],
    };
    return 0;
}

/* ---- Days ---- */

/* Days since 1970 of a date of the Gregorian calendar, and back. */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;
    return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d) {
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int64_t)yoe + era * 400 + (*m <= 2);
}

static unsigned weekday(int64_t days) {
    return (unsigned)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* ---- Zones ---- */

struct change {
    unsigned month, week, day;
    int time_s;
};

struct flow_zone {
    size_t len;
    const int64_t *at; /* ascending */
    const int *offset; /* from at[i] on */
    int first_offset;  /* before at[0] */
    bool has_rule;     /* behind the last change: */
    int standard, summer;
    bool has_summer;
    struct change to_summer, to_standard;
};

static uint32_t be32(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const unsigned char *p) {
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

/* "CET", "<+03>" */
static bool skip_name(const char **p) {
    const char *start = *p;

    if (**p == '<') {
        while (**p && **p != '>')
            ++*p;
        return *(*p)++ == '>';
    }
    while (isalpha((unsigned char)**p))
        ++*p;
    return *p - start >= 3;
}

/* [+-]h[h][:mm[:ss]] in seconds */
static bool read_time(const char **p, int *ret) {
    int sign = 1, n, total = 0;
    char *end;

    if (**p == '-' || **p == '+')
        sign = *(*p)++ == '-' ? -1 : 1;
    for (int unit = 3600; unit >= 1; unit /= 60) {
        if (!isdigit((unsigned char)**p))
            return false;
        n = (int)strtol(*p, &end, 10);
        if (n > 167)
            return false;
        *p = end;
        total += n * unit;
        if (**p != ':')
            break;
        ++*p;
    }
    *ret = sign * total;
    return true;
}

static bool read_change(const char **p, struct change *ret) {
    int used = 0;

    ret->time_s = 2 * 3600;
    if (sscanf(*p, ",M%u.%u.%u%n", &ret->month, &ret->week, &ret->day, &used) != 3 ||
        !used || ret->month < 1 || ret->month > 12 || ret->week < 1 || ret->week > 5 ||
        ret->day > 6)
        return false;
    *p += used;
    if (**p != '/')
        return true;
    ++*p;
    return read_time(p, &ret->time_s);
}

/* What isn't understood leaves the last change in force. */
static void read_rule(const char *p, struct flow_zone *z) {
    int west;

    if (!skip_name(&p) || !read_time(&p, &west))
        return;
    z->standard = z->summer = -west;
    if (*p) {
        if (!skip_name(&p))
            return;
        z->summer = z->standard + 3600;
        if (*p != ',') {
            if (!read_time(&p, &west))
                return;
            z->summer = -west;
        }
        if (!read_change(&p, &z->to_summer) || !read_change(&p, &z->to_standard))
            return;
        z->has_summer = true;
    }
    z->has_rule = true;
}

/* The 64-bit block of a file: behind the 32-bit one. */
static bool read_zone(struct arena *a, const unsigned char *data, size_t len,
                      struct flow_zone *z) {
    size_t skip, times, types, chars, leaps, isstd, isut, need;
    const unsigned char *p = data;
    int64_t *at;
    int *offset;

    if (len < 88 || memcmp(p, "TZif", 4) != 0 || p[4] < '2')
        return false;
    skip = 44 + (size_t)be32(p + 32) * 5 + (size_t)be32(p + 36) * 6 + be32(p + 40) +
           (size_t)be32(p + 28) * 8 + be32(p + 24) + be32(p + 20);
    if (skip > len - 44 || memcmp(p + skip, "TZif", 4) != 0)
        return false;
    p += skip;
    isut = be32(p + 20), isstd = be32(p + 24), leaps = be32(p + 28);
    times = be32(p + 32), types = be32(p + 36), chars = be32(p + 40);
    need = times * 9 + types * 6 + chars + leaps * 12 + isstd + isut;
    if (types == 0 || need > len - skip - 44)
        return false;
    p += 44;
    at = arena_alloc(a, (times + 1) * sizeof(*at));
    offset = arena_alloc(a, (times + 1) * sizeof(*offset));
    for (size_t i = 0; i < times; i++) {
        unsigned type = p[times * 8 + i];

        if (type >= types)
            return false;
        at[i] = be64(p + 8 * i);
        offset[i] = (int32_t)be32(p + times * 9 + (size_t)type * 6);
    }
    z->len = times;
    z->at = at;
    z->offset = offset;
    z->first_offset = (int32_t)be32(p + times * 9);
    p += need;
    if (p < data + len && *p == '\n') {
        const unsigned char *end = memchr(p + 1, '\n', (size_t)(data + len - p - 1));

        if (end)
            read_rule(arena_memdup(a, p + 1, (size_t)(end - p - 1)), z);
    }
    return true;
}

static bool is_zone_name(const char *name) {
    size_t len = strlen(name);

    if (len == 0 || len > 60 || *name == '/' || strstr(name, ".."))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("/_+-", *name))
            return false;
    return true;
}

int flow_zone_load(struct arena *a, const char *name, const struct flow_zone **ret,
                   struct status *st) {
    struct flow_zone *z = arena_zalloc(a, sizeof(*z));
    unsigned char *data = NULL;
    ssize_t n = -1;
    int fd;

    *ret = z;
    if (strcmp(name, "UTC") == 0)
        return 0;
    if (is_zone_name(name) && (fd = open(arena_printf(a, "/usr/share/zoneinfo/%s", name),
                                         O_RDONLY | O_CLOEXEC)) >= 0) {
        data = arena_alloc(a, MAX_FILE);
        n = read(fd, data, MAX_FILE);
        close(fd);
    }
    if (n > 0 && n < MAX_FILE && read_zone(a, data, (size_t)n, z))
        return 0;
    return st_fail(st, ST_BAD_REQUEST, NULL, "there is no time zone \"%.60s\"", name);
}

/* Local moment of a change, in seconds since 1970 as if local time were UTC. */
static int64_t change_in(const struct change *c, int64_t year) {
    int64_t first = days_from_civil(year, c->month, 1);
    int64_t day = first + (c->day + 7 - weekday(first)) % 7 + 7 * (c->week - 1);
    int64_t next = c->month == 12 ? days_from_civil(year + 1, 1, 1)
                                  : days_from_civil(year, c->month + 1, 1);

    if (day >= next)
        day -= 7; /* the fifth is the last */
    return day * DAY_S + c->time_s;
}

static int rule_offset(const struct flow_zone *z, int64_t at_s) {
    int64_t year, summer, standard;
    unsigned m, d;

    if (!z->has_summer)
        return z->standard;
    civil_from_days(floor_div(at_s + z->standard, DAY_S), &year, &m, &d);
    summer = change_in(&z->to_summer, year) - z->standard;
    standard = change_in(&z->to_standard, year) - z->summer;
    if (summer < standard)
        return at_s >= summer && at_s < standard ? z->summer : z->standard;
    return at_s >= standard && at_s < summer ? z->standard : z->summer;
}

int flow_zone_offset(const struct flow_zone *z, int64_t at_s) {
    size_t low = 0, high = z->len;

    if (z->has_rule && (z->len == 0 || at_s >= z->at[z->len - 1]))
        return rule_offset(z, at_s);
    while (low < high) {
        size_t mid = (low + high) / 2;

        if (z->at[mid] <= at_s)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? z->offset[low - 1] : z->first_offset;
}

/* The first moment that shows this local time; of one that is skipped, the moment that
 * the clock before the change would have called so. */
static int64_t from_local(const struct flow_zone *z, int64_t local_s) {
    int before = flow_zone_offset(z, local_s - DAY_S);
    int after = flow_zone_offset(z, local_s + DAY_S);
    int64_t one = local_s - (before > after ? before : after);
    int64_t two = local_s - (before > after ? after : before);

    if (one + flow_zone_offset(z, one) == local_s)
        return one;
    if (two + flow_zone_offset(z, two) == local_s)
        return two;
    return local_s - before;
}

/* ---- Next ---- */

static bool day_matches(const struct flow_cron *c, int64_t days) {
    int64_t y;
    unsigned m, d;
    bool day, week;

    civil_from_days(days, &y, &m, &d);
    if (!(c->months >> m & 1))
        return false;
    day = c->days >> d & 1;
    week = c->weekdays >> weekday(days) & 1;
    return !c->any_day && !c->any_weekday ? day || week : day && week;
}

static bool minute_matches(const struct flow_cron *c, int64_t local_s) {
    int64_t days = floor_div(local_s, DAY_S), in_day = local_s - days * DAY_S;

    return c->minutes >> (in_day / 60 % 60) & 1 && c->hours >> (in_day / 3600) & 1 &&
           day_matches(c, days);
}

int64_t flow_cron_next(const struct flow_cron *c, const struct flow_zone *z,
                       int64_t after_ms) {
    int64_t after = floor_div(after_ms, 1000);
    int64_t minute = (floor_div(after, 60) + 1) * 60;
    int64_t local, first;

    /* Every hour, also one that comes twice: by the moments themselves. */
    for (int i = 0; c->any_hour && i < 180; i++)
        if (minute_matches(c, minute + i * 60 + flow_zone_offset(z, minute + i * 60)))
            return (minute + i * 60) * 1000;
    local = after + flow_zone_offset(z, after);
    first = floor_div(local, DAY_S);
    for (int64_t day = first; day < first + MAX_DAYS; day++) {
        if (!day_matches(c, day))
            continue;
        for (int m = 0; m < 1440; m++) {
            int64_t at;

            if (!(c->hours >> (m / 60) & 1) || !(c->minutes >> (m % 60) & 1))
                continue;
            at = from_local(z, day * DAY_S + m * 60);
            if (at > after)
                return at * 1000;
        }
    }
    return -1;
}
