/*
 * value_text.c - strings as JavaScript sees them: UTF-16 over WTF-8.
 *
 * Text is stored as WTF-8 because it comes and goes as UTF-8; lengths, indexes
 * and order are in UTF-16 code units. A character of 1 to 3 bytes is one unit,
 * a character of 4 bytes is two. Well-formed means here: a high surrogate is
 * never followed by a low one (they would be one character of 4 bytes), which
 * value_wtf8_append keeps true.
 */
#include "value.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "value_priv.h"

/* ---- UTF-8 ---- */

size_t value_put_utf8(char *out, uint32_t cp) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t value_utf8_char(const unsigned char *p, const unsigned char *end,
                       size_t *ret_bad) {
    unsigned char low = 0x80, high = 0xBF, lead = *p;
    size_t need;

    *ret_bad = 1;
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    need = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    /* The second byte's range excludes overlong forms, surrogates and code
     * points above U+10FFFF. */
    if (lead == 0xE0)
        low = 0xA0;
    else if (lead == 0xED)
        high = 0x9F;
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < need; i++) {
        if (p + i == end || p[i] < low || p[i] > high) {
            *ret_bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return need;
}

/* Bytes of the WTF-8 character that starts at s (s < end); never passes end. */
static size_t char_bytes(const char *s, const char *end) {
    unsigned char lead = (unsigned char)*s;
    size_t n = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    return n <= (size_t)(end - s) ? n : (size_t)(end - s);
}

static uint32_t decode(const char *s, size_t n) {
    const unsigned char *p = (const unsigned char *)s;

    switch (n) {
    case 1:
        return p[0];
    case 2:
        return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    case 3:
        return (p[0] & 0xFu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    default:
        return (p[0] & 7u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 |
               (p[3] & 0x3Fu);
    }
}

/* ---- UTF-16 views ---- */

/* Length of the run of ASCII at the start. */
static size_t ascii_run(const char *s, size_t len) {
    size_t i = 0;

    for (; i + 8 <= len; i += 8) {
        uint64_t word;

        memcpy(&word, s + i, 8);
        if (word & 0x8080808080808080u)
            break;
    }
    while (i < len && (unsigned char)s[i] < 0x80)
        i++;
    return i;
}

size_t value_utf16_length(const char *s, size_t len) {
    size_t n = ascii_run(s, len);

    for (size_t i = n; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        n += (c & 0xC0) != 0x80; /* starts a character */
        n += c >= 0xF0;          /* which is a pair */
    }
    return n;
}

/*
 * The byte offset of unit `unit`, counted from byte `at`, which is unit `had`.
 * *ret_half: the unit is the second half of the pair at that offset.
 */
static size_t seek_unit(const char *s, size_t len, size_t at, size_t had, size_t unit,
                        bool *ret_half) {
    *ret_half = false;
    while (at < len && had < unit) {
        size_t n = char_bytes(s + at, s + len);
        size_t units = n == 4 ? 2 : 1;

        if (had + units > unit) {
            *ret_half = true;
            return at;
        }
        had += units;
        at += n;
    }
    return at;
}

const struct value *value_utf16_slice(struct arena *a, const char *s, size_t len,
                                      size_t from, size_t to) {
    size_t ascii = ascii_run(s, len), start, stop, n = 0;
    bool from_half, to_half;
    char *out;

    if (from >= to)
        return &value_empty_string;
    if (ascii == len) {
        if (from >= len)
            return &value_empty_string;
        return value_string_len(a, s + from, (to < len ? to : len) - from);
    }
    start = from <= ascii ? from : ascii;
    start = seek_unit(s, len, start, start, from, &from_half);
    if (from_half && from + 1 == to)
        to_half = false, stop = start + 4;
    else
        stop = seek_unit(s, len, start, from - from_half, to, &to_half);
    if (start == 0 && stop == len && !from_half && !to_half)
        return value_string_len(a, s, len);
    out = arena_alloc(a, stop - start + 7);
    if (from_half) {
        uint32_t cp = decode(s + start, 4) - 0x10000;

        n += value_put_utf8(out, 0xDC00 | (cp & 0x3FF));
        start += 4;
    }
    memcpy(out + n, s + start, stop - start);
    n += stop - start;
    if (to_half) {
        uint32_t cp = decode(s + stop, 4) - 0x10000;

        n += value_put_utf8(out + n, 0xD800 | cp >> 10);
    }
    out[n] = '\0';
    return value_box(a, value_string_ref(out, n));
}

static bool is_surrogate(const char *s, unsigned char low, unsigned char high) {
    return (unsigned char)s[0] == 0xED && (unsigned char)s[1] >= low &&
           (unsigned char)s[1] <= high;
}

void value_wtf8_append(struct buf *b, const char *s, size_t len) {
    if (len >= 3 && b->len >= 3 && is_surrogate(s, 0xB0, 0xBF) &&
        is_surrogate(b->data + b->len - 3, 0xA0, 0xAF)) {
        uint32_t high = decode(b->data + b->len - 3, 3), low = decode(s, 3);
        char pair[4];

        value_put_utf8(pair, 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
        b->len -= 3;
        buf_add(b, pair, 4);
        s += 3;
        len -= 3;
    }
    buf_add(b, s, len);
}

/* The next UTF-16 unit, -1 at the end. *low keeps the second half of a pair. */
static int next_unit(const char **s, const char *end, int *low) {
    uint32_t cp;
    size_t n;

    if (*low) {
        int unit = *low;

        *low = 0;
        return unit;
    }
    if (*s >= end)
        return -1;
    n = char_bytes(*s, end);
    cp = decode(*s, n);
    *s += n;
    if (n < 4)
        return (int)cp;
    cp -= 0x10000;
    *low = (int)(0xDC00 | (cp & 0x3FF));
    return (int)(0xD800 | cp >> 10);
}

int value_compare_strings(const struct value *x, const struct value *y) {
    size_t common = x->len < y->len ? x->len : y->len, i = 0;
    const char *s, *t;
    int low_s = 0, low_t = 0, unit_s, unit_t;

    while (i < common && x->str[i] == y->str[i])
        i++;
    if (i == common)
        return x->len < y->len ? -1 : x->len > y->len;
    /* Back to the start of the characters that differ. */
    while (i > 0 && ((unsigned char)x->str[i] & 0xC0) == 0x80)
        i--;
    s = x->str + i;
    t = y->str + i;
    do {
        unit_s = next_unit(&s, x->str + x->len, &low_s);
        unit_t = next_unit(&t, y->str + y->len, &low_t);
    } while (unit_s == unit_t && unit_s >= 0);
    return unit_s < unit_t ? -1 : unit_s > unit_t;
}

/* ---- white space ---- */

static bool is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000 || c == 0xFEFF;
}

void value_trim_space(const char **ps, size_t *plen) {
    const char *s = *ps, *end = s + *plen;

    while (s < end) {
        size_t n = char_bytes(s, end);

        if (!is_space(decode(s, n)))
            break;
        s += n;
    }
    while (end > s) {
        const char *p = end - 1;

        while (p > s && ((unsigned char)*p & 0xC0) == 0x80)
            p--;
        if (!is_space(decode(p, char_bytes(p, end))))
            break;
        end = p;
    }
    *ps = s;
    *plen = (size_t)(end - s);
}

/* ---- dates ---- */

/* Days since 1970 to a civil date, after Howard Hinnant's algorithm. */
static void civil_from_days(int64_t days, int64_t *year, int *month, int *day) {
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153; /* March is 0 */

    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

size_t value_format_date(double ms, char out[32]) {
    int64_t t, days, rest, year;
    int month, day;
    char year_text[16];

    if (!(fabs(ms) <= 8.64e15)) {
        out[0] = '\0';
        return 0;
    }
    t = (int64_t)ms;
    days = t / 86400000;
    rest = t % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    civil_from_days(days, &year, &month, &day);
    if (year >= 0 && year <= 9999)
        snprintf(year_text, sizeof(year_text), "%04d", (int)year);
    else
        snprintf(year_text, sizeof(year_text), "%c%06d", year < 0 ? '-' : '+',
                 (int)(year < 0 ? -year : year));
    return (size_t)snprintf(out, 32, "%s-%02d-%02dT%02d:%02d:%02d.%03dZ", year_text,
                            month, day, (int)(rest / 3600000), (int)(rest / 60000 % 60),
                            (int)(rest / 1000 % 60), (int)(rest % 1000));
}
