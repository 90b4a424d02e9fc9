#include "jsonata_builtin.h"

#include <math.h>
#include <string.h>

/* Gives undefined for an undefined first argument: 1; 0 for a number; -1. */
static int number_argument(struct ev *ev, const struct args *args, double *ret,
                           struct value *out) {
    struct value v = argument(args, 0);

    *out = value_undefined;
    if (is_undefined(v))
        return 1;
    if (jsonata_want(ev, v, VALUE_NUMBER) < 0)
        return -1;
    *ret = v.number;
    return 0;
}

/* As number_argument, for an array of numbers. */
static int numbers_argument(struct ev *ev, const struct args *args, struct value *ret,
                            struct value *out) {
    *ret = argument(args, 0);
    *out = value_undefined;
    if (is_undefined(*ret))
        return 1;
    if (jsonata_want(ev, *ret, VALUE_ARRAY) < 0)
        return -1;
    for (size_t i = 0; i < ret->len; i++)
        if (jsonata_want(ev, ret->items[i], VALUE_NUMBER) < 0)
            return -1;
    return 0;
}

int jsonata_fn_sum(struct ev *ev, struct args *args, struct value *out) {
    struct value v;
    double total = 0;
    int rc = numbers_argument(ev, args, &v, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    for (size_t i = 0; i < v.len; i++)
        total += v.items[i].number;
    *out = of_number(total);
    return 0;
}

int jsonata_fn_average(struct ev *ev, struct args *args, struct value *out) {
    struct value v;
    double total = 0;
    int rc = numbers_argument(ev, args, &v, out);

    if (rc || v.len == 0)
        return rc < 0 ? -1 : 0;
    for (size_t i = 0; i < v.len; i++)
        total += v.items[i].number;
    *out = of_number(total / v.len);
    return 0;
}

static int extreme(struct ev *ev, struct args *args, bool most, struct value *out) {
    struct value v;
    double best;
    int rc = numbers_argument(ev, args, &v, out);

    if (rc || v.len == 0)
        return rc < 0 ? -1 : 0;
    best = v.items[0].number;
    for (size_t i = 1; i < v.len; i++) {
        double n = v.items[i].number;

        if (isnan(n) || isnan(best))
            best = NAN;
        else if (most ? n > best : n < best)
            best = n;
    }
    *out = of_number(best);
    return 0;
}

int jsonata_fn_max(struct ev *ev, struct args *args, struct value *out) {
    return extreme(ev, args, true, out);
}

int jsonata_fn_min(struct ev *ev, struct args *args, struct value *out) {
    return extreme(ev, args, false, out);
}

int jsonata_fn_abs(struct ev *ev, struct args *args, struct value *out) {
    double n;
    int rc = number_argument(ev, args, &n, out);

    if (rc == 0)
        *out = of_number(fabs(n));
    return rc < 0 ? -1 : 0;
}

int jsonata_fn_floor(struct ev *ev, struct args *args, struct value *out) {
    double n;
    int rc = number_argument(ev, args, &n, out);

    if (rc == 0)
        *out = of_number(floor(n));
    return rc < 0 ? -1 : 0;
}

int jsonata_fn_ceil(struct ev *ev, struct args *args, struct value *out) {
    double n;
    int rc = number_argument(ev, args, &n, out);

    if (rc == 0)
        *out = of_number(ceil(n));
    return rc < 0 ? -1 : 0;
}

int jsonata_fn_round(struct ev *ev, struct args *args, struct value *out) {
    struct value precision = argument(args, 1);
    double n;
    int rc = number_argument(ev, args, &n, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (!is_undefined(precision) && jsonata_want(ev, precision, VALUE_NUMBER) < 0)
        return -1;
    *out = of_number(jsonata_round(n, !is_undefined(precision), precision.number));
    return 0;
}

int jsonata_fn_sqrt(struct ev *ev, struct args *args, struct value *out) {
    double n;
    int rc = number_argument(ev, args, &n, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (n < 0) {
        jsonata_fail_value(ev, "D3060", of_number(n));
        ev->failure.index = 1;
        return -1;
    }
    *out = of_number(sqrt(n));
    return 0;
}

int jsonata_fn_power(struct ev *ev, struct args *args, struct value *out) {
    struct value exponent = argument(args, 1);
    double n, result;
    int rc = number_argument(ev, args, &n, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (!is_undefined(exponent) && jsonata_want(ev, exponent, VALUE_NUMBER) < 0)
        return -1;
    /* Unlike in C, 1 to the power of NaN or infinity is NaN. */
    if (is_undefined(exponent) || !isfinite(exponent.number))
        result = fabs(n) == 1 || is_undefined(exponent) ? NAN : pow(n, exponent.number);
    else
        result = pow(n, exponent.number);
    if (!isfinite(result)) {
        jsonata_fail_value(ev, "D3061", of_number(n));
        ev->failure.index = 1;
        ev->failure.exp = exponent;
        return -1;
    }
    *out = of_number(result);
    return 0;
}

static int fail_cast(struct ev *ev, struct value v) {
    jsonata_fail_value(ev, "D3030", v);
    ev->failure.index = 1;
    return -1;
}

/* -?[0-9]+(\.[0-9]+)?([Ee][-+]?[0-9]+)? */
static bool looks_numeric(struct value v) {
    const char *p = v.str, *end = v.str + v.len, *start;

    p += p < end && *p == '-';
    start = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    if (p == start)
        return false;
    if (p < end && *p == '.') {
        start = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == start)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        start = p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == start)
            return false;
    }
    return p == end;
}

int jsonata_fn_number(struct ev *ev, struct args *args, struct value *out) {
    struct value v = argument(args, 0);
    double n;

    *out = v;
    switch (v.type) {
    case VALUE_UNDEFINED:
    case VALUE_NUMBER:
        return 0;
    case VALUE_BOOL:
        *out = of_number(v.boolean);
        return 0;
    case VALUE_STRING:
        n = value_parse_float(v.str, v.len);
        if (!looks_numeric(v) || !isfinite(n))
            return fail_cast(ev, v);
        *out = of_number(n);
        return 0;
    default:
        return fail_cast(ev, v);
    }
}

/* Digits of a whole number, as Number.prototype.toString(radix) makes them. */
static size_t radix_digits(double n, double radix, char *out) {
    char text[1100];
    size_t at = sizeof(text);
    int exponent;

    do {
        /* Above 2^53 digits are lost: they show as zeros. */
        frexp(n, &exponent);
        if (exponent > 53) {
            n /= radix;
            text[--at] = '0';
        } else {
            double digit = fmod(n, radix);

            text[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[(int)digit];
            n = (n - digit) / radix;
        }
    } while (n > 0);
    memcpy(out, text + at, sizeof(text) - at);
    return sizeof(text) - at;
}

int jsonata_fn_formatBase(struct ev *ev, struct args *args, struct value *out) {
    struct value radix = argument(args, 1);
    double n, base = 10;
    char text[1104];
    size_t len = 0;
    int rc = number_argument(ev, args, &n, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    n = jsonata_round(n, false, 0);
    if (!is_undefined(radix)) {
        if (jsonata_want(ev, radix, VALUE_NUMBER) < 0)
            return -1;
        base = jsonata_round(radix.number, false, 0);
    }
    if (!(base >= 2 && base <= 36))
        return jsonata_fail_value(ev, "D3100", of_number(base));
    if (base == 10 || !isfinite(n)) {
        len = value_format_number(n, text);
    } else {
        if (n < 0)
            text[len++] = '-';
        len += radix_digits(fabs(n), base, text + len);
    }
    *out = jsonata_text(ev, text, len);
    return 0;
}

int jsonata_fn_formatInteger(struct ev *ev, struct args *args, struct value *out) {
    struct value picture = argument(args, 1);
    double n;
    int rc = number_argument(ev, args, &n, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (jsonata_want(ev, picture, VALUE_STRING) < 0)
        return -1;
    return jsonata_format_integer(
        ev, floor(n), jsonata_units(ev->arena, picture.str, picture.len), out);
}

int jsonata_fn_parseInteger(struct ev *ev, struct args *args, struct value *out) {
    struct value text = argument(args, 0), picture = argument(args, 1);

    *out = value_undefined;
    if (is_undefined(text))
        return 0;
    if (jsonata_want(ev, text, VALUE_STRING) < 0 ||
        jsonata_want(ev, picture, VALUE_STRING) < 0)
        return -1;
    return jsonata_parse_integer(ev, jsonata_units(ev->arena, text.str, text.len),
                                 jsonata_units(ev->arena, picture.str, picture.len), out);
}

int jsonata_fn_formatNumber(struct ev *ev, struct args *args, struct value *out) {
    struct value picture = argument(args, 1), options = argument(args, 2);
    double n;
    int rc = number_argument(ev, args, &n, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (jsonata_want(ev, picture, VALUE_STRING) < 0)
        return -1;
    return jsonata_format_number(ev, n, picture, is_undefined(options) ? NULL : &options,
                                 out);
}

int jsonata_fn_random(struct ev *ev, struct args *args, struct value *out) {
    (void)args;
    *out = of_number(jsonata_random(ev));
    return 0;
}
