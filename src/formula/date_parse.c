/*
 * date_parse.c - what V8's Date.parse reads.
 *
 * The text is a sequence of tokens: numbers, words (by their first three
 * letters), white space and signs. First the tokens are read as ISO 8601; where
 * that ends, the rest is read by the loose rules: numbers fill time, offset or
 * day, words before the first number are ignored, parentheses are skipped.
 */
#include "date_parse.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "text_space.h"
#include "value/value.h"

static const double MAX_TIME_MS = 8.64e15;
static const double DAY_MS = 86400000;

enum { NONE = INT32_MAX, MAX_DIGITS = 9, MAX_BUSINESS_DAYS = 1000000 };

/* ---- tokens ---- */

enum token_type {
    TOKEN_END,
    TOKEN_INVALID,
    TOKEN_NUMBER,
    TOKEN_SYMBOL,
    TOKEN_SPACE,
    TOKEN_WORD,
    TOKEN_UNKNOWN,
};

enum word_type { WORD_UNKNOWN, WORD_MONTH, WORD_AM_PM, WORD_ZONE, WORD_T };

struct token {
    enum token_type type;
    int length; /* digits or characters */
    int value;  /* of a number, word; the character of a symbol */
    enum word_type word;
};

struct word {
    char prefix[4];
    enum word_type type;
    int value;
};

static const struct word words[] = {
    {"jan", WORD_MONTH, 1},  {"feb", WORD_MONTH, 2},  {"mar", WORD_MONTH, 3},
    {"apr", WORD_MONTH, 4},  {"may", WORD_MONTH, 5},  {"jun", WORD_MONTH, 6},
    {"jul", WORD_MONTH, 7},  {"aug", WORD_MONTH, 8},  {"sep", WORD_MONTH, 9},
    {"oct", WORD_MONTH, 10}, {"nov", WORD_MONTH, 11}, {"dec", WORD_MONTH, 12},
    {"am", WORD_AM_PM, 0},   {"pm", WORD_AM_PM, 12},  {"ut", WORD_ZONE, 0},
    {"utc", WORD_ZONE, 0},   {"z", WORD_ZONE, 0},     {"gmt", WORD_ZONE, 0},
    {"cdt", WORD_ZONE, -5},  {"cst", WORD_ZONE, -6},  {"edt", WORD_ZONE, -4},
    {"est", WORD_ZONE, -5},  {"mdt", WORD_ZONE, -6},  {"mst", WORD_ZONE, -7},
    {"pdt", WORD_ZONE, -7},  {"pst", WORD_ZONE, -8},  {"t", WORD_T, 0},
};

struct scanner {
    const char *s, *end;
    struct token peek;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static struct token scan_number(struct scanner *in) {
    struct token t = {.type = TOKEN_NUMBER};
    const char *start = in->s;
    int digits = 0;

    while (in->s < in->end && *in->s == '0')
        in->s++;
    for (; in->s < in->end && is_digit(*in->s); in->s++, digits++)
        if (digits < MAX_DIGITS)
            t.value = t.value * 10 + (*in->s - '0');
    t.length = (int)(in->s - start);
    return t;
}

/* Letters and everything else from 'A' on, but for white space. */
static bool is_word_start(const struct scanner *in) {
    return (unsigned char)*in->s >= 'A' &&
           !text_space_at(in->s, (size_t)(in->end - in->s));
}

static struct token scan_word(struct scanner *in) {
    struct token t = {.type = TOKEN_WORD};
    char prefix[4] = "";

    for (; in->s < in->end && is_word_start(in); t.length++) {
        if (t.length < 3)
            prefix[t.length] =
                (char)(*in->s >= 'A' && *in->s <= 'Z' ? *in->s | 0x20 : *in->s);
        in->s++;
        while (in->s < in->end && ((unsigned char)*in->s & 0xc0) == 0x80)
            in->s++;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (memcmp(words[i].prefix, prefix, 3) == 0 &&
            (t.length <= 3 || words[i].type == WORD_MONTH)) {
            t.word = words[i].type;
            t.value = words[i].value;
            break;
        }
    return t;
}

static void skip_parentheses(struct scanner *in) {
    int balance = 0;

    do {
        balance += *in->s == '(' ? 1 : *in->s == ')' ? -1 : 0;
        in->s++;
    } while (balance > 0 && in->s < in->end);
}

static struct token scan(struct scanner *in) {
    size_t space;

    if (in->s >= in->end)
        return (struct token){.type = TOKEN_END};
    if (is_digit(*in->s))
        return scan_number(in);
    if (strchr(":-+.)", *in->s))
        return (struct token){.type = TOKEN_SYMBOL, .value = *in->s++};
    if (is_word_start(in))
        return scan_word(in);
    space = text_space_at(in->s, (size_t)(in->end - in->s));
    if (space) {
        in->s += space;
        return (struct token){.type = TOKEN_SPACE, .length = 1};
    }
    if (*in->s == '(')
        skip_parentheses(in);
    else
        in->s++;
    return (struct token){.type = TOKEN_UNKNOWN};
}

static struct token next(struct scanner *in) {
    struct token t = in->peek;

    in->peek = scan(in);
    return t;
}

static bool is_symbol(const struct token *t, int c) {
    return t->type == TOKEN_SYMBOL && t->value == c;
}

static bool is_sign(const struct token *t) {
    return is_symbol(t, '-') || is_symbol(t, '+');
}

static bool is_fixed(const struct token *t, int length) {
    return t->type == TOKEN_NUMBER && t->length == length;
}

static bool is_word(const struct token *t, enum word_type type) {
    return t->type == TOKEN_WORD && t->word == type;
}

static bool is_z(const struct token *t) {
    return is_word(t, WORD_ZONE) && t->length == 1;
}

static bool skip_symbol(struct scanner *in, int c) {
    if (!is_symbol(&in->peek, c))
        return false;
    next(in);
    return true;
}

/* ---- the parts of a date under construction ---- */

struct parts {
    int day[3], day_len, named_month;
    bool iso;
    int time[4], time_len, hour_offset;
    int zone_sign, zone_hour, zone_minute;
};

static bool between(int n, int lo, int hi) {
    return n >= lo && n <= hi;
}

static bool add_day(struct parts *p, int n) {
    if (p->day_len == 3)
        return false;
    p->day[p->day_len++] = n;
    return true;
}

static bool add_time(struct parts *p, int n) {
    if (p->time_len == 4)
        return false;
    p->time[p->time_len++] = n;
    return true;
}

static void finish_time(struct parts *p, int n) {
    add_time(p, n);
    while (add_time(p, 0))
        ;
}

/* Would n continue the time that has begun? */
static bool time_expects(const struct parts *p, int n) {
    return (p->time_len == 1 && between(n, 0, 59)) ||
           (p->time_len == 2 && between(n, 0, 59)) ||
           (p->time_len == 3 && between(n, 0, 999));
}

static bool zone_expects(const struct parts *p, int n) {
    return p->zone_hour != NONE && p->zone_minute == NONE && between(n, 0, 59);
}

static void set_zone(struct parts *p, int hours) {
    p->zone_sign = hours < 0 ? -1 : 1;
    p->zone_hour = hours < 0 ? -hours : hours;
    p->zone_minute = 0;
}

/* A fraction of any length, as milliseconds. */
static int milliseconds(const struct token *t) {
    int n = t->value, length = t->length < MAX_DIGITS ? t->length : MAX_DIGITS;

    for (; length < 3; length++)
        n *= 10;
    for (; length > 3; length--)
        n /= 10;
    return n;
}

/* ---- ISO 8601 ---- */

static const struct token invalid = {.type = TOKEN_INVALID};
static const struct token at_end = {.type = TOKEN_END};

static bool iso_two_digits(struct scanner *in, int lo, int hi, int *ret) {
    if (!is_fixed(&in->peek, 2) || !between(in->peek.value, lo, hi))
        return false;
    *ret = next(in).value;
    return true;
}

static bool iso_offset(struct scanner *in, struct parts *p) {
    p->zone_sign = next(in).value == '+' ? 1 : -1;
    if (is_fixed(&in->peek, 4)) {
        int n = next(in).value;

        p->zone_hour = n / 100;
        p->zone_minute = n % 100;
        return between(p->zone_hour, 0, 23) && between(p->zone_minute, 0, 59);
    }
    return iso_two_digits(in, 0, 23, &p->zone_hour) && skip_symbol(in, ':') &&
           iso_two_digits(in, 0, 59, &p->zone_minute);
}

/* HH:MM[:SS[.fraction]], where 24 stands before zeros only. */
static bool iso_clock(struct scanner *in, struct parts *p) {
    int hour, n;

    if (!iso_two_digits(in, 0, 24, &hour))
        return false;
    add_time(p, hour);
    if (!skip_symbol(in, ':') || !iso_two_digits(in, 0, hour == 24 ? 0 : 59, &n))
        return false;
    add_time(p, n);
    if (!skip_symbol(in, ':'))
        return true;
    if (!iso_two_digits(in, 0, hour == 24 ? 0 : 59, &n))
        return false;
    add_time(p, n);
    if (!skip_symbol(in, '.'))
        return true;
    if (in->peek.type != TOKEN_NUMBER || (hour == 24 && in->peek.value > 0))
        return false;
    add_time(p, milliseconds(&in->peek));
    next(in);
    return true;
}

static bool iso_time(struct scanner *in, struct parts *p) {
    next(in); /* T */
    if (!iso_clock(in, p))
        return false;
    if (is_z(&in->peek)) {
        next(in);
        set_zone(p, 0);
    } else if (is_sign(&in->peek) && !iso_offset(in, p)) {
        return false;
    }
    return in->peek.type == TOKEN_END;
}

/*
 * Reads what is ISO 8601. Gives the token where the loose rules go on: TOKEN_END
 * when all was read, TOKEN_INVALID when the text cannot be a date.
 */
static struct token parse_iso(struct scanner *in, struct parts *p) {
    int n;

    if (is_sign(&in->peek)) {
        struct token sign = next(in);
        int year;

        if (!is_fixed(&in->peek, 6))
            return sign;
        year = next(in).value;
        if (sign.value == '-' && year == 0)
            return sign;
        add_day(p, sign.value == '-' ? -year : year);
    } else if (is_fixed(&in->peek, 4)) {
        add_day(p, next(in).value);
    } else {
        return next(in);
    }
    if (skip_symbol(in, '-')) {
        if (!iso_two_digits(in, 1, 12, &n))
            return next(in);
        add_day(p, n);
        if (skip_symbol(in, '-')) {
            if (!iso_two_digits(in, 1, 31, &n))
                return next(in);
            add_day(p, n);
        }
    }
    if (is_word(&in->peek, WORD_T)) {
        if (!iso_time(in, p))
            return invalid;
    } else if (in->peek.type != TOKEN_END) {
        return next(in);
    }
    if (p->zone_hour == NONE && p->time_len == 0)
        set_zone(p, 0);
    p->iso = true;
    return at_end;
}

/* ---- the loose rules ---- */

static bool loose_number(struct scanner *in, struct parts *p, int n) {
    if (skip_symbol(in, ':')) {
        if (skip_symbol(in, ':')) {
            if (p->time_len > 0)
                return false;
            add_time(p, n);
            add_time(p, 0);
            return true;
        }
        if (!add_time(p, n))
            return false;
        skip_symbol(in, '.');
        return true;
    }
    if (skip_symbol(in, '.') && time_expects(p, n)) {
        add_time(p, n);
        if (in->peek.type != TOKEN_NUMBER)
            return false;
        finish_time(p, milliseconds(&in->peek));
        next(in);
        return true;
    }
    if (zone_expects(p, n)) {
        p->zone_minute = n;
        return true;
    }
    if (time_expects(p, n)) {
        finish_time(p, n);
        return in->peek.type == TOKEN_END || in->peek.type == TOKEN_SPACE ||
               is_z(&in->peek) || is_sign(&in->peek);
    }
    if (!add_day(p, n))
        return false;
    skip_symbol(in, '-');
    return true;
}

static bool loose_word(struct scanner *in, struct parts *p, const struct token *t,
                       bool after_number) {
    if (t->word == WORD_AM_PM && p->time_len > 0) {
        p->hour_offset = t->value;
    } else if (t->word == WORD_MONTH) {
        p->named_month = t->value;
        skip_symbol(in, '-');
    } else if (t->word == WORD_ZONE && after_number) {
        set_zone(p, t->value);
    } else {
        return !after_number && in->peek.type != TOKEN_NUMBER;
    }
    return true;
}

/* After UTC or a time: +H, +HH, +HMM, +HHMM, +HH:MM. */
static bool loose_offset(struct scanner *in, struct parts *p, const struct token *sign) {
    int n = 0, length = 0;

    p->zone_sign = sign->value == '-' ? -1 : 1;
    if (in->peek.type == TOKEN_NUMBER) {
        n = in->peek.value;
        length = next(in).length;
    }
    if (is_symbol(&in->peek, ':')) {
        p->zone_hour = n;
        p->zone_minute = NONE;
    } else if (length == 1 || length == 2) {
        p->zone_hour = n;
        p->zone_minute = 0;
    } else if (length == 3 || length == 4) {
        p->zone_hour = n / 100;
        p->zone_minute = n % 100;
    } else {
        return false;
    }
    return true;
}

static bool parse_loose(struct scanner *in, struct parts *p, struct token t) {
    bool has_number = p->day_len > 0;

    for (; t.type != TOKEN_END; t = next(in)) {
        bool utc = p->zone_hour == 0 && p->zone_minute == 0;

        if (t.type == TOKEN_NUMBER) {
            has_number = true;
            if (!loose_number(in, p, t.value))
                return false;
        } else if (t.type == TOKEN_WORD) {
            if (!loose_word(in, p, &t, has_number))
                return false;
        } else if (is_sign(&t) && (utc || p->time_len > 0)) {
            has_number = true;
            if (!loose_offset(in, p, &t))
                return false;
        } else if ((is_sign(&t) || is_symbol(&t, ')')) && has_number) {
            return false;
        }
    }
    return true;
}

/* ---- putting the parts together ---- */

/* Days since 1970 of a date in the proleptic Gregorian calendar. */
static double days_from_civil(double year, int month, int day) {
    double y = month <= 2 ? year - 1 : year;
    double era = floor(y / 400);
    double yoe = y - era * 400;
    double doy = floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5.0) + day - 1;

    return era * 146097 + yoe * 365 + floor(yoe / 4) - floor(yoe / 100) + doy - 719468;
}

static bool write_day(struct parts *p, double *ret_days) {
    int year, month, day;

    if (p->day_len == 0)
        return false;
    while (add_day(p, 1))
        ;
    if (p->named_month != NONE) {
        bool year_first = !between(p->day[0], 1, 31);

        month = p->named_month;
        year = p->day[year_first ? 0 : 1];
        day = p->day[year_first ? 1 : 0];
    } else if (p->iso || !between(p->day[0], 1, 31)) {
        year = p->day[0], month = p->day[1], day = p->day[2];
    } else {
        month = p->day[0], day = p->day[1], year = p->day[2];
    }
    if (!p->iso && between(year, 0, 49))
        year += 2000;
    else if (!p->iso && between(year, 50, 99))
        year += 1900;
    if (!between(month, 1, 12) || !between(day, 1, 31))
        return false;
    *ret_days = days_from_civil(year, month, day);
    return true;
}

static bool write_time(struct parts *p, double *ret_ms) {
    int *t = p->time;

    while (add_time(p, 0))
        ;
    if (p->hour_offset != NONE) {
        if (!between(t[0], 0, 12))
            return false;
        t[0] = t[0] % 12 + p->hour_offset;
    }
    if (!between(t[0], 0, 23) || !between(t[1], 0, 59) || !between(t[2], 0, 59) ||
        !between(t[3], 0, 999))
        if (t[0] != 24 || t[1] || t[2] || t[3])
            return false;
    *ret_ms = ((t[0] * 60.0 + t[1]) * 60 + t[2]) * 1000 + t[3];
    return true;
}

/* The offset from UTC; texts without one are taken as UTC. */
static double zone_ms(const struct parts *p) {
    double hours = p->zone_hour == NONE ? 0 : p->zone_hour;
    double minutes = p->zone_minute == NONE ? 0 : p->zone_minute;

    return p->zone_sign == NONE ? 0 : p->zone_sign * (hours * 3600 + minutes * 60) * 1000;
}

double date_parse(const char *s, size_t len) {
    struct scanner in = {.s = s, .end = s + strnlen(s, len)};
    struct parts p = {.named_month = NONE,
                      .hour_offset = NONE,
                      .zone_sign = NONE,
                      .zone_hour = NONE,
                      .zone_minute = NONE};
    struct token rest;
    double days, time, ms;

    in.peek = scan(&in);
    rest = parse_iso(&in, &p);
    if (rest.type == TOKEN_INVALID || !parse_loose(&in, &p, rest) ||
        !write_day(&p, &days) || !write_time(&p, &time))
        return NAN;
    ms = days * DAY_MS + time - zone_ms(&p);
    return fabs(ms) <= MAX_TIME_MS ? ms : NAN;
}

/* ---- parse date, business days ---- */

const struct value *date_from_value(struct arena *a, const struct value *v) {
    char text[32];
    double t = NAN, number;

    if (value_is_number(v)) {
        t = v->number;
    } else if (value_is_string(v)) {
        t = date_parse(v->str, v->len);
        number = value_string_to_number(v->str, v->len);
        if ((isnan(t) || t == 0) && number > 1000000000)
            t = number;
    }
    if (isnan(t) || t == 0)
        return &value_undefined;
    if (value_format_number(floor(t + 0.5), text) < 13)
        t *= 1000;
    t = trunc(t);
    return value_date(a, fabs(t) <= MAX_TIME_MS ? t + 0.0 : NAN);
}

bool date_is_business_day(double ms) {
    double day;

    if (isnan(ms))
        return false;
    day = fmod(floor(ms / DAY_MS) + 4, 7); /* 1970-01-01 was a Thursday; Sunday is 0 */
    if (day < 0)
        day += 7;
    return day >= 1 && day <= 5;
}

const struct value *date_business_days(struct arena *a, double from_ms, double to_ms) {
    struct array_builder b;
    char text[32];

    array_begin(&b, a, 0);
    if (!(to_ms >= from_ms))
        return array_end(&b);
    from_ms = floor(from_ms / DAY_MS) * DAY_MS;
    for (int i = 0; i < MAX_BUSINESS_DAYS && from_ms <= to_ms; i++, from_ms += DAY_MS)
        if (date_is_business_day(from_ms)) {
            value_format_date(from_ms, text);
            array_push(&b, value_string_len(a, text, strcspn(text, "T")));
        }
    return array_end(&b);
}
