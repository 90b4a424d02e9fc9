/*
 * value_number.c - numbers to text and back, as JavaScript does it.
 *
 * Nearly all numbers of real data are whole or have a few decimals, so both
 * directions have an exact short way and leave the rest to the library:
 *
 * - Reading: at most 19 digits whose value is below 2^53, scaled by at most
 *   10^22, is one correctly rounded operation (Clinger).
 * - Writing: if m = round(n * 10^d) is below 10^15 and m / 10^d == n, then the
 *   digits of m are the shortest text: different decimals of at most 15 digits
 *   are different doubles, so no other one of 15 digits reads as n.
 */
#include "value.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "value_double.h"
#include "value_priv.h"

static const double powers_of_ten[] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

static const char digit_pairs[] = "00010203040506070809101112131415161718192021"
                                  "22232425262728293031323334353637383940414243"
                                  "44454647484950515253545556575859606162636465"
                                  "66676869707172737475767778798081828384858687"
                                  "888990919293949596979899";

/* ---- writing ---- */

static size_t format_unsigned(uint64_t n, char *out) {
    char text[20];
    size_t at = sizeof(text);

    while (n >= 100) {
        at -= 2;
        memcpy(text + at, digit_pairs + 2 * (n % 100), 2);
        n /= 100;
    }
    if (n >= 10) {
        at -= 2;
        memcpy(text + at, digit_pairs + 2 * n, 2);
    } else {
        text[--at] = (char)('0' + n);
    }
    memcpy(out, text + at, sizeof(text) - at);
    return sizeof(text) - at;
}

/* n > 0 with up to 4 decimals; 0 when n is not of that kind. */
static size_t format_short_decimal(double n, char *out) {
    for (int d = 1; d <= 4; d++) {
        double scaled = n * powers_of_ten[d];
        uint64_t m = (uint64_t)(scaled + 0.5);
        uint64_t whole, part, unit = (uint64_t)powers_of_ten[d];
        size_t len;

        if ((double)m / powers_of_ten[d] != n)
            continue;
        whole = m / unit;
        part = m % unit;
        len = format_unsigned(whole, out);
        out[len++] = '.';
        for (int i = d - 1; i >= 0; i--) {
            out[len + (size_t)i] = (char)('0' + part % 10);
            part /= 10;
        }
        return len + (size_t)d;
    }
    return 0;
}

size_t value_format_number(double n, char out[32]) {
    double size = fabs(n);
    size_t sign = 0, len = 0;

    if (size <= 9007199254740992.0 && (double)(int64_t)n == n) {
        if (n < 0)
            out[sign++] = '-';
        len = format_unsigned((uint64_t)size, out + sign);
    } else if (size >= 1e-4 && size < 1e10) {
        if (n < 0)
            out[sign++] = '-';
        len = format_short_decimal(size, out + sign);
    }
    if (len == 0) {
        sign = 0;
        len = value_double_shortest(n, out);
    }
    out[sign + len] = '\0';
    return sign + len;
}

/* ---- reading ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

struct decimal {
    uint64_t digits;
    int count;    /* significant digits read into `digits` */
    int exponent; /* of ten, to apply to `digits` */
    bool inexact; /* digits did not fit */
};

static const char *read_digits(const char *p, const char *end, struct decimal *d,
                               bool fraction) {
    for (; p < end && is_digit(*p); p++) {
        if (d->count < 19) {
            d->digits = d->digits * 10 + (uint64_t)(*p - '0');
            d->count += d->digits != 0;
            d->exponent -= fraction;
        } else {
            d->inexact = true;
        }
    }
    return p;
}

/* The position after e[+-]digits, or p itself when that is not what stands
 * there. */
static const char *read_exponent(const char *p, const char *end, struct decimal *d) {
    const char *q = p;
    bool minus;
    int n = 0;

    if (q == end || (*q != 'e' && *q != 'E'))
        return p;
    q++;
    minus = q < end && *q == '-';
    if (q < end && (*q == '+' || *q == '-'))
        q++;
    if (q == end || !is_digit(*q))
        return p;
    for (; q < end && is_digit(*q); q++)
        if (n < 100000)
            n = n * 10 + (*q - '0');
    d->exponent += minus ? -n : n;
    return q;
}

static double decimal_value(const struct decimal *d, const char *text, const char *end) {
    if (!d->inexact && d->digits <= (uint64_t)1 << 53) {
        double n = (double)d->digits;

        if (d->exponent == 0 || d->digits == 0)
            return n;
        if (d->exponent > 0 && d->exponent <= 22)
            return n * powers_of_ten[d->exponent];
        if (d->exponent < 0 && d->exponent >= -22)
            return n / powers_of_ten[-d->exponent];
    }
    return value_double_parse(text, (size_t)(end - text));
}

const char *value_scan_json_number(const char *p, const char *end, double *ret_n) {
    struct decimal d = {0};
    const char *text, *after;
    bool minus = *p == '-';
    double n;

    text = p += minus;
    if (p == end || !is_digit(*p))
        return NULL;
    after = read_digits(p, end, &d, false);
    if (*p == '0' && after - p > 1)
        return NULL;
    p = after;
    if (p < end && *p == '.') {
        after = read_digits(p + 1, end, &d, true);
        if (after == p + 1)
            return NULL;
        p = after;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        after = read_exponent(p, end, &d);
        if (after == p)
            return NULL;
        p = after;
    }
    n = decimal_value(&d, text, p);
    *ret_n = minus ? -n : n;
    return p;
}

/*
 * The longest StrDecimalLiteral at p: gives the position after it, NULL when
 * there is none.
 */
static const char *scan_js_decimal(const char *p, const char *end, double *ret_n) {
    struct decimal d = {0};
    const char *text, *after;
    bool minus = p < end && *p == '-', any;
    double n;

    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (end - p >= 8 && memcmp(p, "Infinity", 8) == 0) {
        *ret_n = minus ? -INFINITY : INFINITY;
        return p + 8;
    }
    text = p;
    after = read_digits(p, end, &d, false);
    any = after > p;
    p = after;
    if (p < end && *p == '.') {
        after = read_digits(p + 1, end, &d, true);
        if (any || after > p + 1) {
            any = true;
            p = after;
        }
    }
    if (!any)
        return NULL;
    p = read_exponent(p, end, &d);
    n = decimal_value(&d, text, p);
    *ret_n = minus ? -n : n;
    return p;
}

static int digit_of(char c) {
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* Digits of radix 2, 8 or 16, rounded to nearest, ties to even. */
static double read_power_of_two(const char *p, const char *end, int bits) {
    uint64_t n = 0;
    int dropped = 0;
    bool sticky = false;

    if (p == end)
        return NAN;
    for (; p < end; p++) {
        int digit = digit_of(*p);

        if (digit >= 1 << bits)
            return NAN;
        if (n >> 58) {
            sticky = sticky || digit;
            dropped += bits;
        } else {
            n = n << bits | (uint64_t)digit;
        }
    }
    /* The conversion rounds; a sticky bit far below breaks false ties. */
    if (sticky)
        n |= 1;
    return ldexp((double)n, dropped < 5000 ? dropped : 5000);
}

double value_string_to_number(const char *s, size_t len) {
    const char *end;
    double n;

    value_trim_space(&s, &len);
    if (len == 0)
        return 0;
    end = s + len;
    if (len > 1 && s[0] == '0') {
        switch (s[1] | 0x20) {
        case 'x':
            return read_power_of_two(s + 2, end, 4);
        case 'o':
            return read_power_of_two(s + 2, end, 3);
        case 'b':
            return read_power_of_two(s + 2, end, 1);
        default:
            break;
        }
    }
    return scan_js_decimal(s, end, &n) == end ? n : NAN;
}

double value_parse_float(const char *s, size_t len) {
    double n;

    value_trim_space(&s, &len);
    return scan_js_decimal(s, s + len, &n) ? n : NAN;
}
