/*
 * jsonata_datetime.c - $fromMillis and $toMillis with XPath's date/time pictures.
 */
#include "jsonata_integer.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

#define DAY_MS   86400000.0
#define MAX_TIME 8.64e15

struct part {
    bool literal;
    struct units text; /* of a literal */
    char component;    /* of a marker; 0 when it is no ASCII letter */
    struct units presentation;
    char modifier; /* a, t, c, o; or 0 */
    int min, max;  /* width; -1 when not given */
    bool has_width, has_names, has_integer;
    enum letter_case names;
    struct integer_picture integer;
    int n; /* digits of Y, M and D; -1 any */
};

struct picture {
    struct part *parts;
    size_t len, cap;
};

static const char *const days[] = {"",         "Monday", "Tuesday",  "Wednesday",
                                   "Thursday", "Friday", "Saturday", "Sunday"};
static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

/* ---- the calendar ---- */

static double days_from_civil(double year, double month) {
    /* Days from 1970 to the first of the month (0 is January; any whole number). */
    double y = year + floor(month / 12), m = month - 12 * floor(month / 12);
    double era, year_of_era, day_of_year;

    y -= m < 2;
    era = floor(y / 400);
    year_of_era = y - era * 400;
    day_of_year = floor((153 * (m + (m > 1 ? -2 : 10)) + 2) / 5);
    return era * 146097 + year_of_era * 365 + floor(year_of_era / 4) -
           floor(year_of_era / 100) + day_of_year - 719468;
}

static double clip(double ms) {
    return fabs(ms) <= MAX_TIME ? trunc(ms) + 0 : NAN;
}

/* Date.UTC; years 0 to 99 are of the twentieth century. */
static double date_utc(double y, double m, double d, double h, double mi, double s,
                       double ms) {
    y = trunc(y);
    if (y >= 0 && y <= 99)
        y += 1900;
    if (!(fabs(y) < 1e6) || !(fabs(m) < 1e7))
        return NAN;
    return clip((days_from_civil(y, trunc(m)) + trunc(d) - 1) * DAY_MS +
                trunc(h) * 3600000 + trunc(mi) * 60000 + trunc(s) * 1000 + trunc(ms));
}

struct civil {
    double year, month, day, weekday; /* month from 0; weekday from 0, Sunday */
    double hour, minute, second, ms;
};

static struct civil civil_of(double time) {
    double day = floor(time / DAY_MS), rest = time - day * DAY_MS;
    double z = day + 719468, era = floor(z / 146097), doe = z - era * 146097;
    double yoe =
        floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365);
    double doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100));
    double mp = floor((5 * doy + 2) / 153), month = mp < 10 ? mp + 2 : mp - 10;
    double weekday = fmod(day + 4, 7);

    return (struct civil){
        .year = yoe + era * 400 + (month <= 1),
        .month = month,
        .day = doy - floor((153 * mp + 2) / 5) + 1,
        .weekday = weekday < 0 ? weekday + 7 : weekday,
        .hour = floor(rest / 3600000),
        .minute = fmod(floor(rest / 60000), 60),
        .second = fmod(floor(rest / 1000), 60),
        .ms = fmod(rest, 1000),
    };
}

/* The Monday of the first week (with a Thursday) of a month; of a year: month 0. */
static double first_week(double year, double month) {
    double first = date_utc(year, month, 1, 0, 0, 0, 0), weekday;

    if (isnan(first))
        return NAN;
    weekday = civil_of(first).weekday;
    if (weekday == 0)
        weekday = 7;
    return weekday > 4 ? first + (8 - weekday) * DAY_MS : first - (weekday - 1) * DAY_MS;
}

/* A month moved by one, as the library moves it. */
static void move_month(double *year, double *month, int by) {
    *month += by;
    if (*month > 11 || *month < 0) {
        *year += by;
        *month = by > 0 ? 0 : 11;
    }
}

static double week_of(const struct civil *c, bool in_month) {
    double year = c->year, month = in_month ? c->month : 0;
    double today = date_utc(c->year, c->month, c->day, 0, 0, 0, 0);
    double week = (today - first_week(year, month)) / (DAY_MS * 7) + 1;

    if (week > (in_month ? 4 : 52)) {
        if (in_month)
            move_month(&year, &month, 1);
        else
            year++;
        if (today >= first_week(year, month))
            week = 1;
    } else if (week < 1) {
        if (in_month)
            move_month(&year, &month, -1);
        else
            year--;
        week = (today - first_week(year, month)) / (DAY_MS * 7) + 1;
    }
    return floor(week);
}

static double week_year(const struct civil *c, double time) {
    if (time < first_week(c->year, 0))
        return c->year - 1;
    return time >= first_week(c->year + 1, 0) ? c->year + 1 : c->year;
}

static double week_month(const struct civil *c, double time) {
    double year = c->year, month = c->month, next_year = year, next = month;

    move_month(&next_year, &next, 1);
    if (time < first_week(year, month)) {
        move_month(&year, &month, -1);
        return month + 1;
    }
    return time >= first_week(next_year, next) ? next + 1 : month + 1;
}

/* A component's number. *ret_known is false for letters that name none. */
static double fragment(double time, char component, bool *ret_known) {
    struct civil c = civil_of(time);

    *ret_known = true;
    switch (component) {
    case 'Y':
        return c.year;
    case 'M':
        return c.month + 1;
    case 'D':
        return c.day;
    case 'd':
        return (date_utc(c.year, c.month, c.day, 0, 0, 0, 0) -
                date_utc(c.year, 0, 1, 0, 0, 0, 0)) /
                   DAY_MS +
               1;
    case 'F':
        return c.weekday == 0 ? 7 : c.weekday;
    case 'W':
        return week_of(&c, false);
    case 'w':
        return week_of(&c, true);
    case 'X':
        return week_year(&c, time);
    case 'x':
        return week_month(&c, time);
    case 'H':
        return c.hour;
    case 'h':
        return fmod(c.hour, 12) == 0 ? 12 : fmod(c.hour, 12);
    case 'm':
        return c.minute;
    case 's':
        return c.second;
    case 'f':
        return c.ms;
    default:
        *ret_known = false;
        return NAN;
    }
}

/* ---- pictures ---- */

static bool is_in(char c, const char *set) {
    return c && strchr(set, c);
}

static struct part *add_part(struct ev *ev, struct picture *p) {
    if (p->len == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;

        p->parts = arena_grow(ev->arena, p->parts, p->cap * sizeof(*p->parts),
                              cap * sizeof(*p->parts));
        p->cap = cap;
    }
    memset(&p->parts[p->len], 0, sizeof(*p->parts));
    return &p->parts[p->len++];
}

/* Literal text, with ]] for ]. */
static void add_literal(struct ev *ev, struct picture *p, const uint16_t *u, size_t len) {
    struct part *part;
    uint16_t *text;
    size_t n = 0;

    if (len == 0)
        return;
    part = add_part(ev, p);
    text = arena_alloc(ev->arena, len * sizeof(*text));
    for (size_t i = 0; i < len; i++) {
        text[n++] = u[i];
        if (u[i] == ']' && i + 1 < len && u[i + 1] == ']')
            i++;
    }
    part->literal = true;
    part->text = (struct units){text, n};
}

static int read_width(struct units u) {
    double n;

    if (u.len == 1 && u.u[0] == '*')
        return -1;
    n = jsonata_parse_int(u);
    return n >= 0 && n < 1000 ? (int)n : -1;
}

static void read_width_modifier(struct part *part, struct units u) {
    size_t dash = 0;

    part->has_width = true;
    while (dash < u.len && u.u[dash] != '-')
        dash++;
    part->min = read_width((struct units){u.u, dash});
    part->max = -1;
    if (dash < u.len)
        part->max = read_width((struct units){u.u + dash + 1, u.len - dash - 1});
}

static struct units default_presentation(char component) {
    static const uint16_t one[] = {'1'}, two[] = {'0', '1'}, name[] = {'n'},
                          zone[] = {'0', '1', ':', '0', '1'};

    if (is_in(component, "YMDdWwXxHhf"))
        return (struct units){one, 1};
    if (is_in(component, "ms"))
        return (struct units){two, 2};
    if (is_in(component, "FPCE"))
        return (struct units){name, 1};
    if (is_in(component, "Zz"))
        return (struct units){zone, 5};
    return (struct units){NULL, 0};
}

static int read_integer_format(struct ev *ev, struct part *part) {
    struct units u = part->presentation;
    struct integer_picture *format = &part->integer;

    if (part->modifier) {
        uint16_t *joined = arena_alloc(ev->arena, (u.len + 2) * sizeof(*joined));

        memcpy(joined, u.u, u.len * sizeof(*joined));
        joined[u.len] = ';';
        joined[u.len + 1] = (uint16_t)part->modifier;
        u = (struct units){joined, u.len + 2};
    }
    if (jsonata_integer_picture(ev, u, format) < 0)
        return -1;
    part->has_integer = true;
    if (part->has_width && part->min >= 0 && format->mandatory >= 0 &&
        format->mandatory < part->min)
        format->mandatory = part->min;
    part->n = -1;
    if (!is_in(part->component, "YMD"))
        return 0;
    if (part->has_width && part->max >= 0) {
        part->n = part->max;
        format->mandatory = part->n;
    } else if (format->mandatory >= 0 && format->mandatory + format->optional >= 2) {
        part->n = format->mandatory + format->optional;
    }
    return 0;
}

static int unknown_component(struct ev *ev, const char *code, const struct part *part) {
    return jsonata_fail_value(
        ev, code, jsonata_text(ev, &part->component, part->component != '\0'));
}

/* A variable marker, the text between the brackets without white space. */
static int read_marker(struct ev *ev, struct picture *p, struct units u) {
    struct part *part = add_part(ev, p);
    size_t comma = u.len, end = u.len;

    part->component = u.len && u.u[0] < 128 ? (char)u.u[0] : '\0';
    while (comma > 0 && u.u[comma - 1] != ',')
        comma--;
    if (comma > 0) {
        read_width_modifier(part, (struct units){u.u + comma, u.len - comma});
        end = comma - 1;
    }
    if (end > 2 && u.u[end - 1] < 128 && is_in((char)u.u[end - 1], "atco"))
        part->modifier = (char)u.u[--end];
    part->presentation = (struct units){u.u + 1, end > 1 ? end - 1 : 0};
    if (part->presentation.len == 0)
        part->presentation = default_presentation(part->component);
    if (part->presentation.len == 0)
        return unknown_component(ev, "D3132", part);
    if (part->presentation.u[0] == 'n' || part->presentation.u[0] == 'N') {
        part->has_names = true;
        part->names = part->presentation.u[0] == 'n' ? CASE_LOWER
                      : part->presentation.len > 1 && part->presentation.u[1] == 'n'
                          ? CASE_TITLE
                          : CASE_UPPER;
    } else if (is_in(part->component, "YMDdFWwXxHhmsf")) {
        if (read_integer_format(ev, part) < 0)
            return -1;
    }
    if (is_in(part->component, "Zz")) {
        part->has_integer = true;
        return jsonata_integer_picture(ev, part->presentation, &part->integer);
    }
    return 0;
}

static bool is_blank(uint16_t c) {
    return c == ' ' || (c >= 9 && c <= 13) || c == 0xA0 || c == 0xFEFF;
}

static int read_picture(struct ev *ev, struct units u, struct picture *p) {
    size_t start = 0, i = 0;

    *p = (struct picture){NULL, 0, 0};
    while (i < u.len) {
        static const uint16_t bracket[] = {'['};
        uint16_t *marker;
        size_t n = 0;

        if (u.u[i] != '[') {
            i++;
            continue;
        }
        add_literal(ev, p, u.u + start, i - start);
        if (i + 1 < u.len && u.u[i + 1] == '[') {
            add_literal(ev, p, bracket, 1);
            i += 2;
            start = i;
            continue;
        }
        start = i;
        while (i < u.len && u.u[i] != ']')
            i++;
        if (i == u.len)
            return jsonata_fail(ev, "D3135");
        marker = arena_alloc(ev->arena, (i - start) * sizeof(*marker));
        for (size_t k = start + 1; k < i; k++)
            if (!is_blank(u.u[k]))
                marker[n++] = u.u[k];
        if (read_marker(ev, p, (struct units){marker, n}) < 0)
            return -1;
        start = ++i;
    }
    add_literal(ev, p, u.u + start, u.len - start);
    return 0;
}

/* ---- formatting ---- */

struct zone {
    double hours, minutes;
};

static void add_value(struct buf *b, struct value v) {
    value_wtf8_append(b, v.str, v.len);
}

static int add_name(struct ev *ev, struct buf *b, const struct part *part, double n) {
    const char *name = NULL;
    size_t len;

    if (part->component == 'M' || part->component == 'x')
        name = n >= 1 && n <= 12 ? months[(int)n - 1] : NULL;
    else if (part->component == 'F')
        name = n >= 1 && n <= 7 ? days[(int)n] : NULL;
    else
        return unknown_component(ev, "D3133", part);
    if (!name && part->names == CASE_TITLE && !part->has_width)
        name = "undefined"; /* of an invalid date */
    if (!name)
        return jsonata_fail_type(ev, "The date has no name");
    len = strlen(name);
    if (part->has_width && part->max >= 0 && len > (size_t)part->max)
        len = (size_t)part->max;
    for (size_t i = 0; i < len; i++)
        buf_addc(b, (char)(part->names == CASE_UPPER   ? name[i] & ~0x20
                           : part->names == CASE_LOWER ? name[i] | 0x20
                                                       : name[i]));
    return 0;
}

static int add_integer(struct ev *ev, struct buf *b, double n,
                       const struct integer_picture *format) {
    struct value text;

    if (jsonata_integer_format(ev, n, format, &text) < 0)
        return -1;
    add_value(b, text);
    return 0;
}

static int add_zone(struct ev *ev, struct buf *out, const struct part *part,
                    const struct zone *zone) {
    double offset = zone->hours * 100 + zone->minutes;
    int digits = part->integer.mandatory;
    struct buf b = BUF_INIT;
    int rc = 0;

    if (offset == 0 && part->modifier == 't') {
        buf_addc(out, 'Z');
        return 0;
    }
    if (part->component == 'z')
        buf_adds(&b, "GMT");
    if (offset >= 0)
        buf_addc(&b, '+');
    if (part->integer.regular) {
        rc = add_integer(ev, &b, offset, &part->integer);
    } else if (digits == 1 || digits == 2) {
        rc = add_integer(ev, &b, zone->hours, &part->integer);
        if (rc == 0 && zone->minutes != 0) {
            struct integer_picture two = {.zero = 0x30, .mandatory = 2};

            buf_addc(&b, ':');
            rc = add_integer(ev, &b, zone->minutes, &two);
        }
    } else if (digits == 3 || digits == 4) {
        rc = add_integer(ev, &b, offset, &part->integer);
    } else {
        rc = jsonata_fail_value(ev, "D3134",
                                digits < 0 ? value_undefined : of_number(digits));
    }
    if (rc == 0 && b.data)
        buf_add(out, b.data, b.len);
    buf_fini(&b);
    return rc;
}

static int add_component(struct ev *ev, struct buf *b, const struct part *part,
                         double time, const struct zone *zone) {
    bool known;
    double n = fragment(time, part->component, &known);

    switch (part->component) {
    case 'Z':
    case 'z':
        return add_zone(ev, b, part, zone);
    case 'P':
        buf_adds(b, civil_of(time).hour >= 12 ? "pm" : "am");
        return 0;
    case 'C':
    case 'E':
        buf_adds(b, "ISO");
        return 0;
    default:
        break;
    }
    if (!known) {
        buf_adds(b, "undefined");
        return 0;
    }
    if (part->has_names && part->component != 'f')
        return add_name(ev, b, part, n);
    if (!part->has_integer)
        return jsonata_fail_type(ev, "A component has no picture of an integer");
    if (part->component == 'Y' && part->n != -1)
        n = fmod(n, pow(10, part->n));
    return add_integer(ev, b, n, &part->integer);
}

/* The parts of a picture; the last one used is kept for the next record. */
static int find_picture(struct ev *ev, struct value text, const struct picture **ret) {
    static const char iso[] = "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]";
    struct picture *p;

    if (is_undefined(text))
        text = value_string_ref(iso, sizeof(iso) - 1);
    if (ev->picture && ev->picture_text.str == text.str &&
        ev->picture_text.len == text.len) {
        *ret = ev->picture;
        return 0;
    }
    p = arena_alloc(ev->arena, sizeof(*p));
    if (read_picture(ev, jsonata_units(ev->arena, text.str, text.len), p) < 0)
        return -1;
    ev->picture = p;
    ev->picture_text = text;
    *ret = p;
    return 0;
}

int jsonata_from_millis(struct ev *ev, double ms, struct value picture,
                        struct value zone_text, struct value *out) {
    struct zone zone = {0, 0};
    struct buf b = BUF_INIT;
    const struct picture *p;
    double time;

    if ((!is_undefined(picture) && picture.type != VALUE_STRING) ||
        (!is_undefined(zone_text) && zone_text.type != VALUE_STRING))
        return jsonata_fail_type(ev, "The argument is not a string");
    if (!is_undefined(zone_text)) {
        double offset =
            jsonata_parse_int(jsonata_units(ev->arena, zone_text.str, zone_text.len));

        zone = (struct zone){floor(offset / 100), fmod(offset, 100)};
    }
    if (find_picture(ev, picture, &p) < 0)
        return -1;
    time = clip(ms + (60 * zone.hours + zone.minutes) * 60 * 1000);
    for (size_t i = 0; i < p->len; i++) {
        const struct part *part = &p->parts[i];

        if (part->literal) {
            add_value(&b, jsonata_from_units(ev->arena, part->text.u, part->text.len));
        } else if (add_component(ev, &b, part, time, &zone) < 0) {
            buf_fini(&b);
            return -1;
        }
    }
    *out = jsonata_text_of_buf(ev, &b);
    return 0;
}

/* ---- parsing by a picture ---- */

static void add_escaped(struct ev *ev, struct buf *b, struct units u) {
    struct value text = jsonata_from_units(ev->arena, u.u, u.len);

    for (size_t i = 0; i < text.len; i++) {
        if (text.str[i] && strchr(".*+?^${}()|[]\\", text.str[i]))
            buf_addc(b, '\\');
        buf_addc(b, text.str[i]);
    }
}

static void add_separator(struct ev *ev, struct buf *b, uint32_t cp) {
    uint16_t u[2] = {(uint16_t)cp, 0};
    size_t n = 1;

    if (cp > 0xFFFF) {
        u[0] = (uint16_t)(0xD800 | (cp - 0x10000) >> 10);
        u[1] = (uint16_t)(0xDC00 | (cp & 0x3FF));
        n = 2;
    }
    add_value(b, jsonata_from_units(ev->arena, u, n));
}

static int add_integer_pattern(struct ev *ev, struct buf *b, const struct part *part) {
    const struct integer_picture *f = &part->integer;
    bool upper = f->letters == CASE_UPPER;

    switch (f->kind) {
    case INTEGER_LETTERS:
        buf_adds(b, upper ? "[A-Z]+" : "[a-z]+");
        return 0;
    case INTEGER_ROMAN:
        buf_adds(b, upper ? "[MDCLXVI]+" : "[mdclxvi]+");
        return 0;
    case INTEGER_WORDS:
        buf_adds(b, "(?:");
        jsonata_integer_words_pattern(b);
        buf_adds(b, ")+");
        return 0;
    case INTEGER_DECIMAL:
        buf_adds(b, "[0-9]");
        if (part->n <= 0)
            buf_addc(b, '+');
        else if (f->optional == 0)
            buf_addf(b, "{%d}", part->n);
        else
            buf_addf(b, "{%d,%d}", part->n - f->optional, part->n);
        if (f->ordinal)
            buf_adds(b, "(?:th|st|nd|rd)");
        return 0;
    case INTEGER_SEQUENCE:
        break;
    }
    return jsonata_fail_value(ev, "D3130",
                              jsonata_from_units(ev->arena, f->token.u, f->token.len));
}

static int add_part_pattern(struct ev *ev, struct buf *b, const struct part *part) {
    if (part->literal) {
        add_escaped(ev, b, part->text);
        return 0;
    }
    if (is_in(part->component, "Zz")) {
        buf_adds(b, part->component == 'z' ? "GMT[-+][0-9]+" : "[-+][0-9]+");
        if (part->integer.regular) {
            add_separator(ev, b, part->integer.separators[0].cp);
            buf_adds(b, "[0-9]+");
        }
        return 0;
    }
    if (part->component == 'f') {
        buf_adds(b, "[0-9]+");
        return 0;
    }
    if (part->has_integer)
        return add_integer_pattern(ev, b, part);
    if (!is_in(part->component, "MxFP"))
        return unknown_component(ev, "D3133", part);
    buf_adds(b, "[a-zA-Z]+");
    return 0;
}

static bool text_is(struct units u, const char *text, size_t len) {
    if (u.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (u.u[i] != (unsigned char)text[i])
            return false;
    return true;
}

/* Position of the name in the list, from `first`; NaN when it is none. */
static double find_name(const struct part *part, struct units u) {
    const char *const *names = part->component == 'F' ? days + 1 : months;
    int n = part->component == 'F' ? 7 : 12;
    double found = NAN;

    if (part->component == 'P') {
        if (text_is(u, "am", 2) || text_is(u, "AM", 2))
            return 0;
        return text_is(u, "pm", 2) || text_is(u, "PM", 2) ? 1 : NAN;
    }
    for (int i = 0; i < n; i++) {
        size_t len = strlen(names[i]);

        if (part->has_width && part->max > 0 && len > (size_t)part->max)
            len = (size_t)part->max;
        if (text_is(u, names[i], len))
            found = i + 1; /* of equal short names the last counts */
    }
    return found;
}

static struct units sub_units(struct units u, size_t from, size_t to) {
    if (to > u.len)
        to = u.len;
    if (from > to)
        from = to;
    return (struct units){u.u + from, to - from};
}

static double parse_zone(const struct part *part, struct units u) {
    double hours, minutes = 0;

    if (part->component == 'z')
        u = sub_units(u, 3, u.len);
    if (part->integer.regular) {
        size_t at = 0;

        while (at < u.len && u.u[at] != part->integer.separators[0].cp)
            at++;
        if (at == u.len) /* indexOf is -1 */
            hours = jsonata_parse_int(sub_units(u, 0, 0)), at = (size_t)-1;
        else
            hours = jsonata_parse_int(sub_units(u, 0, at));
        minutes = jsonata_parse_int(sub_units(u, at + 1, u.len));
    } else if (u.len <= 3) {
        hours = jsonata_parse_int(u);
    } else {
        hours = jsonata_parse_int(sub_units(u, 0, 3));
        minutes = jsonata_parse_int(sub_units(u, 3, u.len));
    }
    return hours * 60 + minutes;
}

static int parse_part(struct ev *ev, const struct part *part, struct value text,
                      double *ret) {
    struct units u = jsonata_units(ev->arena, text.str, text.len);

    if (is_in(part->component, "Zz")) {
        *ret = parse_zone(part, u);
        return 0;
    }
    if (part->component == 'f') {
        char fraction[8] = "0.";

        memcpy(fraction + 2, text.str, text.len < 3 ? text.len : 3);
        *ret = value_parse_float(fraction, strlen(fraction)) * 1000;
        return 0;
    }
    if (part->has_integer)
        return jsonata_integer_parse(ev, u, &part->integer, ret);
    *ret = find_name(part, u);
    return 0;
}

/* What a text says of a date, by component letter. */
struct components {
    double value[128];
    bool known[128]; /* undefined else */
    bool any;
};

static unsigned mask_of(const struct components *c, const char *letters) {
    unsigned mask = 0;

    for (; *letters; letters++) {
        int i = *letters;

        mask = mask << 1 | (c->known[i] && c->value[i] != 0 && !isnan(c->value[i]));
    }
    return mask;
}

static bool is_of_type(unsigned mask, unsigned type) {
    return !(~type & mask) && (type & mask);
}

/* Fills in what the text does not say: above it from now, below it with zero. */
static int complete(struct ev *ev, struct components *c, const char *letters) {
    bool started = false, ended = false;

    for (; *letters; letters++) {
        int i = *letters;
        bool known;

        if (c->known[i]) {
            started = true;
            if (ended)
                return jsonata_fail(ev, "D3136");
        } else if (started) {
            c->value[i] = is_in(*letters, "MDd") ? 1 : 0;
            ended = true;
        } else {
            c->value[i] = fragment(jsonata_now(ev), *letters, &known);
        }
        c->known[i] = true;
    }
    return 0;
}

static int assemble(struct ev *ev, struct components *c, double *ret) {
    unsigned date = mask_of(c, "YXMxWwdD"), time = mask_of(c, "PHhmsf");
    bool by_day = !is_of_type(date, 161) && is_of_type(date, 130);
    bool by_month_week = is_of_type(date, 84);
    bool by_week = !by_month_week && is_of_type(date, 72);
    bool half_day = !is_of_type(time, 23) && is_of_type(time, 47);
    char letters[16];
    double ms;

    strcpy(letters, by_day ? "YD" : by_month_week ? "XxwF" : by_week ? "XWF" : "YMD");
    strcat(letters, half_day ? "Phmsf" : "Hmsf");
    if (complete(ev, c, letters) < 0)
        return -1;
    c->value['M'] = c->known['M'] && c->value['M'] > 0 ? c->value['M'] - 1 : 0;
    if (by_day) {
        struct civil civil = civil_of(date_utc(c->value['Y'], 0, 1, 0, 0, 0, 0) +
                                      (c->value['d'] - 1) * DAY_MS);

        c->value['M'] = civil.month;
        c->value['D'] = civil.day;
    }
    if (by_month_week || by_week)
        return jsonata_fail(ev, "D3136");
    if (half_day) {
        c->value['H'] = c->value['h'] == 12 ? 0 : c->value['h'];
        if (c->value['P'] == 1)
            c->value['H'] += 12;
    }
    ms = date_utc(c->value['Y'], c->value['M'], c->value['D'], c->value['H'],
                  c->value['m'], c->value['s'], c->value['f']);
    for (const char *z = "Zz"; *z; z++)
        if (c->known[(int)*z] && c->value[(int)*z] != 0 && !isnan(c->value[(int)*z])) {
            ms -= c->value[(int)*z] * 60 * 1000;
            break;
        }
    *ret = ms;
    return 0;
}

static int match_picture(struct ev *ev, const struct picture *p, struct value text,
                         struct value *ret_match) {
    struct buf pattern = BUF_INIT;
    const struct regex *re;
    struct value matcher;
    const char *error;
    int rc = 0;

    buf_addc(&pattern, '^');
    for (size_t i = 0; i < p->len && rc == 0; i++) {
        buf_addc(&pattern, '(');
        rc = add_part_pattern(ev, &pattern, &p->parts[i]);
        buf_addc(&pattern, ')');
    }
    buf_addc(&pattern, '$');
    if (rc == 0) {
        re = jsonata_regex_compile(ev->arena, pattern.data, pattern.len, true, false,
                                   &error);
        if (!re) {
            rc = jsonata_fail_type(ev, "Invalid regular expression");
        } else {
            matcher = jsonata_regex_function(ev, re, 0);
            rc = jsonata_regex_exec(ev, function_of(matcher), text, ret_match);
        }
    }
    buf_fini(&pattern);
    return rc;
}

static int parse_by_picture(struct ev *ev, struct value text, struct value picture,
                            struct value *out) {
    struct components *c = arena_zalloc(ev->arena, sizeof(*c));
    struct value match;
    const struct value *groups;
    const struct picture *p;
    double ms = 0;

    *out = value_undefined;
    if (find_picture(ev, picture, &p) < 0 || match_picture(ev, p, text, &match) < 0)
        return -1;
    if (is_undefined(match))
        return 0;
    groups = value_get(&match, "groups");
    for (size_t i = 0; i < p->len; i++) {
        const struct part *part = &p->parts[i];
        const struct value *group = value_at(groups, i);
        double n;

        if (part->literal)
            continue;
        if (parse_part(ev, part,
                       group->type == VALUE_STRING ? *group : value_empty_string, &n) < 0)
            return -1;
        c->any = true;
        c->value[(int)part->component] = n;
        /* A name that is none is undefined. */
        c->known[(int)part->component] =
            part->has_integer || part->component == 'f' || !isnan(n);
    }
    if (!c->any)
        return 0;
    if (assemble(ev, c, &ms) < 0)
        return -1;
    *out = of_number(ms);
    return 0;
}

/* ---- ISO 8601 ---- */

struct scan {
    const char *p, *end;
};

static bool digits(struct scan *s, int n, double *ret) {
    double value = 0;

    if (s->end - s->p < n)
        return false;
    for (int i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        value = value * 10 + (s->p[i] - '0');
    }
    s->p += n;
    *ret = value;
    return true;
}

/* The text `prefix` and two digits that are at most `most` as text allows. */
static bool field(struct scan *s, char prefix, char most, double *ret) {
    struct scan try = *s;

    if (prefix) {
        if (try.p == try.end || *try.p != prefix)
            return false;
        try.p++;
    }
    if (try.p<try.end && * try.p> most)
        return false;
    if (!digits(&try, 2, ret))
        return false;
    *s = try;
    return true;
}

static bool time_of_day(struct scan *s, double *h, double *m, double *sec) {
    struct scan try = *s;

    if (!field(&try, 'T', '2', h) || !field(&try, ':', '5', m) ||
        !field(&try, ':', '5', sec))
        return false;
    *s = try;
    return true;
}

static bool offset(struct scan *s, double *ret_minutes) {
    double sign, h, m;
    struct scan try = *s;

    if (try.p < try.end && *try.p == 'Z') {
        s->p++;
        return true;
    }
    if (try.p == try.end || (*try.p != '+' && *try.p != '-'))
        return false;
    sign = *try.p++ == '-' ? -1 : 1;
    if (!field(&try, 0, '2', &h))
        return false;
    try.p += try.p < try.end && *try.p == ':';
    if (!field(&try, 0, '5', &m))
        return false;
    *ret_minutes = sign * (h * 60 + m);
    *s = try;
    return true;
}

/* Date.parse of the forms that the library lets through; local time is UTC. */
static bool parse_iso(struct value text, double *ret) {
    struct scan s = {text.str, text.str + text.len};
    double year, month = 1, day = 1, h = 0, m = 0, sec = 0, ms = 0, minutes = 0;
    bool has_month, has_day, has_time, has_fraction = false, has_offset;

    if (!digits(&s, 4, &year))
        return false;
    has_month = field(&s, '-', '1', &month);
    has_day = field(&s, '-', '3', &day);
    has_time = time_of_day(&s, &h, &m, &sec);
    if (s.p < s.end && *s.p == '.') {
        double digit, unit = 100;

        for (s.p++; digits(&s, 1, &digit); unit /= 10) {
            has_fraction = true;
            if (unit >= 1)
                ms += digit * unit;
        }
        if (!has_fraction)
            return false;
    }
    has_offset = offset(&s, &minutes);
    if (s.p != s.end)
        return false;
    *ret = NAN;
    if ((has_day && !has_month) || (has_fraction && !has_time) ||
        (has_offset && !has_time))
        return true;
    if (month < 1 || month > 12 || day < 1 || day > 31 || h > 24 ||
        (h == 24 && (m > 0 || sec > 0 || ms > 0)))
        return true;
    *ret = clip((days_from_civil(year, month - 1) + day - 1) * DAY_MS + h * 3600000 +
                m * 60000 + sec * 1000 + ms - minutes * 60000);
    return true;
}

int jsonata_to_millis(struct ev *ev, struct value text, struct value picture,
                      struct value *out) {
    double ms;

    if (!is_undefined(picture)) {
        if (picture.type != VALUE_STRING)
            return jsonata_fail_type(ev, "The argument is not a string");
        return parse_by_picture(ev, text, picture, out);
    }
    if (!parse_iso(text, &ms))
        return jsonata_fail_value(ev, "D3110", text);
    *out = of_number(ms);
    return 0;
}
