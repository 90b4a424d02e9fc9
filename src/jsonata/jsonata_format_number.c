/*
 * jsonata_format_number.c - $formatNumber: decimal pictures of XPath.
 *
 * Follows the library step by step on UTF-16 text, because pictures that the
 * standard does not foresee must give the same odd results.
 */
#include "jsonata_priv.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "value/value_double.h"

enum property {
    DECIMAL_SEPARATOR,
    GROUPING_SEPARATOR,
    EXPONENT_SEPARATOR,
    INFINITY_TEXT,
    MINUS_SIGN,
    NAN_TEXT,
    PERCENT,
    PER_MILLE,
    ZERO_DIGIT,
    DIGIT,
    PATTERN_SEPARATOR,
    N_PROPERTIES,
};

static const struct {
    const char *name, *value;
} defaults[N_PROPERTIES] = {
    [DECIMAL_SEPARATOR] = {"decimal-separator", "."},
    [GROUPING_SEPARATOR] = {"grouping-separator", ","},
    [EXPONENT_SEPARATOR] = {"exponent-separator", "e"},
    [INFINITY_TEXT] = {"infinity", "Infinity"},
    [MINUS_SIGN] = {"minus-sign", "-"},
    [NAN_TEXT] = {"NaN", "NaN"},
    [PERCENT] = {"percent", "%"},
    [PER_MILLE] = {"per-mille", "\xE2\x80\xB0"},
    [ZERO_DIGIT] = {"zero-digit", "0"},
    [DIGIT] = {"digit", "#"},
    [PATTERN_SEPARATOR] = {"pattern-separator", ";"},
};

#define MAX_POSITIONS 64
#define MAX_DIGITS    100 /* of toFixed */

struct positions {
    size_t items[MAX_POSITIONS];
    size_t len;
};

struct sub_picture {
    struct units whole, prefix, suffix, active, mantissa, exponent, integer, fraction;
    bool has_exponent;
    struct positions integer_groups, fraction_groups;
    size_t regular;
    size_t min_integer, scale, min_fraction, max_fraction, min_exponent;
};

struct formatter {
    struct ev *ev;
    struct units p[N_PROPERTIES];
    uint16_t zero; /* first of the ten digits */
};

/* ---- UTF-16 text ---- */

static ptrdiff_t index_of(struct units u, struct units part, size_t from) {
    for (size_t i = from; i + part.len <= u.len; i++)
        if (memcmp(u.u + i, part.u, 2 * part.len) == 0)
            return (ptrdiff_t)i;
    return -1;
}

static ptrdiff_t last_index_of(struct units u, struct units part) {
    for (size_t i = u.len + 1; i-- > 0;)
        if (i + part.len <= u.len && memcmp(u.u + i, part.u, 2 * part.len) == 0)
            return (ptrdiff_t)i;
    return -1;
}

/* String.prototype.substring. */
static struct units substring(struct units u, ptrdiff_t from, ptrdiff_t to) {
    ptrdiff_t len = (ptrdiff_t)u.len, swap;

    from = from < 0 ? 0 : from > len ? len : from;
    to = to < 0 ? 0 : to > len ? len : to;
    if (from > to) {
        swap = from;
        from = to;
        to = swap;
    }
    return (struct units){u.u + from, (size_t)(to - from)};
}

/* String.prototype.slice from the start, to the end. */
static struct units slice_to(struct units u, ptrdiff_t to) {
    if (to < 0)
        to += (ptrdiff_t)u.len;
    return substring(u, 0, to < 0 ? 0 : to);
}

static struct units slice_from(struct units u, ptrdiff_t from) {
    if (from < 0)
        from += (ptrdiff_t)u.len;
    if (from < 0)
        from = 0;
    return from > (ptrdiff_t)u.len ? (struct units){u.u, 0}
                                   : substring(u, from, (ptrdiff_t)u.len);
}

static struct units join(struct formatter *f, struct units x, struct units y) {
    uint16_t *u = arena_alloc(f->ev->arena, (x.len + y.len + 1) * sizeof(*u));

    memcpy(u, x.u, 2 * x.len);
    memcpy(u + x.len, y.u, 2 * y.len);
    return (struct units){u, x.len + y.len};
}

static struct units insert(struct formatter *f, struct units u, ptrdiff_t at,
                           struct units part) {
    return join(f, join(f, slice_to(u, at), part), slice_from(u, at));
}

/* The property n times. */
static struct units repeat(struct formatter *f, struct units part, ptrdiff_t n) {
    struct units u = {part.u, 0};

    for (; n > 0; n--)
        u = join(f, u, part);
    return u;
}

static bool is_char(struct units property, uint16_t c) {
    return property.len == 1 && property.u[0] == c;
}

static bool is_digit(const struct formatter *f, uint16_t c) {
    return c >= f->zero && c <= f->zero + 9;
}

static bool is_active(const struct formatter *f, uint16_t c) {
    return is_digit(f, c) || is_char(f->p[DECIMAL_SEPARATOR], c) ||
           is_char(f->p[EXPONENT_SEPARATOR], c) || is_char(f->p[GROUPING_SEPARATOR], c) ||
           is_char(f->p[DIGIT], c) || is_char(f->p[PATTERN_SEPARATOR], c);
}

static size_t count_digits(const struct formatter *f, struct units u, bool optional_too) {
    size_t n = 0;

    for (size_t i = 0; i < u.len; i++)
        n += is_digit(f, u.u[i]) || (optional_too && is_char(f->p[DIGIT], u.u[i]));
    return n;
}

/* ---- splitting a picture ---- */

static int split_parts(struct formatter *f, struct units u, struct sub_picture *s) {
    ptrdiff_t from = -1, to = -1, exponent, point;

    for (size_t i = 0; i < u.len; i++)
        if (is_active(f, u.u[i]) && !is_char(f->p[EXPONENT_SEPARATOR], u.u[i])) {
            if (from < 0)
                from = (ptrdiff_t)i;
            to = (ptrdiff_t)i + 1;
        }
    if (from < 0)
        return jsonata_fail_type(f->ev, "The picture has no digits");
    s->whole = u;
    s->prefix = substring(u, 0, from);
    s->suffix = substring(u, to, (ptrdiff_t)u.len);
    s->active = substring(u, from, to);
    exponent = index_of(u, f->p[EXPONENT_SEPARATOR], s->prefix.len);
    s->has_exponent = exponent >= 0 && exponent <= to;
    s->mantissa = s->active;
    if (s->has_exponent) {
        s->mantissa = substring(s->active, 0, exponent);
        s->exponent = substring(s->active, exponent + 1, (ptrdiff_t)s->active.len);
    }
    point = index_of(s->mantissa, f->p[DECIMAL_SEPARATOR], 0);
    s->integer = s->mantissa;
    s->fraction = s->suffix; /* as in the library */
    if (point >= 0) {
        s->integer = substring(s->mantissa, 0, point);
        s->fraction = substring(s->mantissa, point + 1, (ptrdiff_t)s->mantissa.len);
    }
    return 0;
}

static bool repeats(struct units u, struct units part) {
    return index_of(u, part, 0) != last_index_of(u, part);
}

static bool has(struct units u, struct units part) {
    return index_of(u, part, 0) >= 0;
}

/* Is a # of the integer part preceded by a digit? */
static bool digit_before_optional(const struct formatter *f,
                                  const struct sub_picture *s) {
    ptrdiff_t at = index_of(s->integer, f->p[DIGIT], 0);

    return at >= 0 && count_digits(f, substring(s->integer, 0, at), false) > 0;
}

static bool digit_after_optional(const struct formatter *f, const struct sub_picture *s) {
    ptrdiff_t at = last_index_of(s->fraction, f->p[DIGIT]);

    return at >= 0 &&
           count_digits(f, substring(s->fraction, at, (ptrdiff_t)s->fraction.len),
                        false) > 0;
}

static bool grouping_beside_point(const struct formatter *f, const struct sub_picture *s,
                                  ptrdiff_t point) {
    struct units grouping = f->p[GROUPING_SEPARATOR], u = s->whole;

    return (point > 0 && is_char(grouping, u.u[point - 1])) ||
           (point + 1 < (ptrdiff_t)u.len && is_char(grouping, u.u[point + 1]));
}

/* The last rule that the picture breaks, NULL when it breaks none. */
static const char *broken_rule(struct formatter *f, const struct sub_picture *s) {
    const struct units *p = f->p;
    ptrdiff_t point = index_of(s->whole, p[DECIMAL_SEPARATOR], 0);
    bool scaled = has(s->whole, p[PERCENT]) || has(s->whole, p[PER_MILLE]);
    const char *error = NULL;

    if (repeats(s->whole, p[DECIMAL_SEPARATOR]))
        error = "D3081";
    if (repeats(s->whole, p[PERCENT]))
        error = "D3082";
    if (repeats(s->whole, p[PER_MILLE]))
        error = "D3083";
    if (has(s->whole, p[PERCENT]) && has(s->whole, p[PER_MILLE]))
        error = "D3084";
    if (count_digits(f, s->mantissa, true) == 0)
        error = "D3085";
    for (size_t i = 0; i < s->active.len; i++)
        if (!is_active(f, s->active.u[i]))
            error = "D3086";
    if (point >= 0) {
        if (grouping_beside_point(f, s, point))
            error = "D3087";
    } else if (s->integer.len &&
               is_char(p[GROUPING_SEPARATOR], s->integer.u[s->integer.len - 1])) {
        error = "D3088";
    }
    if (has(s->whole, join(f, p[GROUPING_SEPARATOR], p[GROUPING_SEPARATOR])))
        error = "D3089";
    if (digit_before_optional(f, s))
        error = "D3090";
    if (digit_after_optional(f, s))
        error = "D3091";
    if (s->has_exponent && s->exponent.len > 0 && scaled)
        error = "D3092";
    if (s->has_exponent &&
        (s->exponent.len == 0 || count_digits(f, s->exponent, false) < s->exponent.len))
        error = "D3093";
    return error;
}

/* Digits between each grouping separator and the end (or start) of the part. */
static int find_groups(struct formatter *f, const struct sub_picture *s,
                       struct units part, bool to_left, struct positions *ret) {
    ptrdiff_t at = index_of(part, f->p[GROUPING_SEPARATOR], 0);

    ret->len = 0;
    while (at >= 0) {
        struct units side =
            to_left ? substring(part, 0, at) : substring(part, at, (ptrdiff_t)part.len);

        if (ret->len == MAX_POSITIONS)
            return jsonata_fail_type(f->ev, "Too many separators in a picture");
        ret->items[ret->len++] = count_digits(f, side, true);
        at = index_of(s->integer, f->p[GROUPING_SEPARATOR], (size_t)at + 1);
    }
    return 0;
}

static size_t regular_distance(const struct positions *p) {
    size_t factor;

    if (p->len == 0)
        return 0;
    factor = p->items[0];
    for (size_t i = 1; i < p->len; i++)
        for (size_t y = p->items[i]; y;) {
            size_t rest = factor % y;

            factor = y;
            y = rest;
        }
    for (size_t i = 1; i <= p->len; i++) {
        bool found = false;

        for (size_t k = 0; k < p->len; k++)
            found |= p->items[k] == i * factor;
        if (!found)
            return 0;
    }
    return factor;
}

static int analyse(struct formatter *f, struct sub_picture *s) {
    const char *error = broken_rule(f, s);

    if (error)
        return jsonata_fail(f->ev, error);
    if (find_groups(f, s, s->integer, false, &s->integer_groups) < 0 ||
        find_groups(f, s, s->fraction, true, &s->fraction_groups) < 0)
        return -1;
    s->regular = regular_distance(&s->integer_groups);
    s->min_integer = s->scale = count_digits(f, s->integer, false);
    s->min_fraction = count_digits(f, s->fraction, false);
    s->max_fraction = count_digits(f, s->fraction, true);
    if (s->min_integer == 0 && s->max_fraction == 0) {
        if (s->has_exponent)
            s->min_fraction = s->max_fraction = 1;
        else
            s->min_integer = 1;
    }
    if (s->has_exponent && s->min_integer == 0 && has(s->integer, f->p[DIGIT]))
        s->min_integer = 1;
    if (s->min_integer == 0 && s->min_fraction == 0)
        s->min_fraction = 1;
    s->min_exponent = s->has_exponent ? count_digits(f, s->exponent, false) : 0;
    if (s->max_fraction > MAX_DIGITS || s->min_integer > 1000)
        return jsonata_fail_type(f->ev,
                                 "toFixed() digits argument must be between 0 and 100");
    return 0;
}

/* ---- the number ---- */

/* Math.abs(n).toFixed(digits) in the picture's digits. */
static struct units make_text(struct formatter *f, double n, size_t decimals) {
    char text[160];
    size_t len;
    uint16_t *u;

    n = fabs(n);
    if (n < 1e21)
        len = value_double_fixed(n, (int)decimals, text);
    else
        len = value_format_number(n, text);
    u = arena_alloc(f->ev->arena, (len + 1) * sizeof(*u));
    for (size_t i = 0; i < len; i++)
        u[i] =
            (uint16_t)(text[i] >= '0' && text[i] <= '9' && !is_char(f->p[ZERO_DIGIT], '0')
                           ? f->zero + (text[i] - '0')
                           : text[i]);
    return (struct units){u, len};
}

static int scale_mantissa(struct formatter *f, const struct sub_picture *s,
                          double *mantissa, double *exponent) {
    double most = pow(10, (double)s->scale), least = pow(10, (double)s->scale - 1);

    *exponent = 0;
    while (*mantissa < least) {
        *mantissa *= 10;
        if (--*exponent < -2000) /* zero and below: the library never ends */
            return jsonata_fail(f->ev, "U1001");
    }
    while (*mantissa > most) {
        *mantissa /= 10;
        if (++*exponent > 2000)
            return jsonata_fail(f->ev, "U1001");
    }
    return 0;
}

/* Zeros to the width that the picture wants, on both sides of the point. */
static struct units pad_mantissa(struct formatter *f, const struct sub_picture *s,
                                 struct units text) {
    struct units zero = f->p[ZERO_DIGIT], point = f->p[DECIMAL_SEPARATOR];
    ptrdiff_t at;

    while (text.len && is_char(zero, text.u[0]))
        text = substring(text, 1, (ptrdiff_t)text.len);
    while (text.len && is_char(zero, text.u[text.len - 1]))
        text.len--;
    at = index_of(text, point, 0);
    text =
        join(f, repeat(f, zero, (ptrdiff_t)s->min_integer - at),
             join(f, text,
                  repeat(f, zero,
                         (ptrdiff_t)s->min_fraction - ((ptrdiff_t)text.len - at - 1))));
    return text;
}

static struct units add_groups(struct formatter *f, const struct sub_picture *s,
                               struct units text) {
    struct units point = f->p[DECIMAL_SEPARATOR], grouping = f->p[GROUPING_SEPARATOR];
    ptrdiff_t at = index_of(text, point, 0);

    if (s->regular) {
        ptrdiff_t distance = (ptrdiff_t)s->regular;
        ptrdiff_t groups = at > 0 ? (at - 1) / distance : at == 0 ? -1 : 0;

        for (ptrdiff_t g = 1; g <= groups; g++)
            text = insert(f, text, at - g * distance, grouping);
    } else {
        for (size_t i = 0; i < s->integer_groups.len; i++, at++)
            text = insert(f, text, at - (ptrdiff_t)s->integer_groups.items[i], grouping);
    }
    at = index_of(text, point, 0);
    for (size_t i = 0; i < s->fraction_groups.len; i++)
        text = insert(f, text, (ptrdiff_t)s->fraction_groups.items[i] + at + 1, grouping);
    return text;
}

static struct units format_mantissa(struct formatter *f, const struct sub_picture *s,
                                    double mantissa) {
    static const uint16_t dot[] = {'.'};
    struct units point = f->p[DECIMAL_SEPARATOR], text;
    ptrdiff_t at;

    mantissa = jsonata_round(mantissa, s->max_fraction > 0, (double)s->max_fraction);
    text = make_text(f, mantissa, s->max_fraction);
    at = index_of(text, (struct units){dot, 1}, 0);
    if (at < 0)
        text = join(f, text, point);
    else
        text = join(f, join(f, slice_to(text, at), point), slice_from(text, at + 1));
    text = add_groups(f, s, pad_mantissa(f, s, text));
    at = index_of(text, point, 0);
    if (!has(s->whole, point) || at == (ptrdiff_t)text.len - 1)
        text = substring(text, 0, (ptrdiff_t)text.len - 1);
    return text;
}

static struct units add_exponent(struct formatter *f, const struct sub_picture *s,
                                 struct units text, double exponent) {
    struct units digits = make_text(f, exponent, 0);
    struct units none = {text.u, 0};

    text = join(f, text, f->p[EXPONENT_SEPARATOR]);
    text = join(f, text, exponent < 0 ? f->p[MINUS_SIGN] : none);
    text = join(
        f, text,
        repeat(f, f->p[ZERO_DIGIT], (ptrdiff_t)s->min_exponent - (ptrdiff_t)digits.len));
    return join(f, text, digits);
}

static int format(struct formatter *f, const struct sub_picture *s, double n,
                  struct value *out) {
    double exponent = 0;
    struct units text;

    if (has(s->whole, f->p[PERCENT]))
        n *= 100;
    else if (has(s->whole, f->p[PER_MILLE]))
        n *= 1000;
    if (s->min_exponent && scale_mantissa(f, s, &n, &exponent) < 0)
        return -1;
    text = format_mantissa(f, s, n);
    if (s->min_exponent)
        text = add_exponent(f, s, text, exponent);
    text = join(f, join(f, s->prefix, text), s->suffix);
    *out = jsonata_from_units(f->ev->arena, text.u, text.len);
    return 0;
}

/* ---- entry ---- */

static int read_properties(struct formatter *f, const struct value *options) {
    for (int i = 0; i < N_PROPERTIES; i++) {
        struct value v = value_string_ref(defaults[i].value, strlen(defaults[i].value));

        if (options && value_has(options, defaults[i].name))
            v = *value_get(options, defaults[i].name);
        if (v.type != VALUE_STRING || v.len > 100)
            return jsonata_fail_type(f->ev, "A format option is not a short string");
        f->p[i] = jsonata_units(f->ev->arena, v.str, v.len);
    }
    f->zero = f->p[ZERO_DIGIT].len ? f->p[ZERO_DIGIT].u[0] : 0;
    return 0;
}

int jsonata_format_number(struct ev *ev, double n, struct value picture,
                          const struct value *options, struct value *out) {
    struct formatter f = {.ev = ev};
    struct sub_picture *subs = arena_zalloc(ev->arena, 2 * sizeof(*subs));
    struct units rest;
    size_t count = 0;
    ptrdiff_t at;

    if (read_properties(&f, options) < 0)
        return -1;
    rest = jsonata_units(ev->arena, picture.str, picture.len);
    if (rest.len > 1000 || f.p[PATTERN_SEPARATOR].len == 0)
        return jsonata_fail(ev, "D3080");
    do {
        if (count == 2)
            return jsonata_fail(ev, "D3080");
        at = index_of(rest, f.p[PATTERN_SEPARATOR], 0);
        subs[count++].whole = at < 0 ? rest : substring(rest, 0, at);
        if (at >= 0)
            rest = substring(rest, at + (ptrdiff_t)f.p[PATTERN_SEPARATOR].len,
                             (ptrdiff_t)rest.len);
    } while (at >= 0);
    for (size_t i = 0; i < count; i++)
        if (split_parts(&f, subs[i].whole, &subs[i]) < 0)
            return -1;
    for (size_t i = 0; i < count; i++)
        if (analyse(&f, &subs[i]) < 0)
            return -1;
    if (count == 1) {
        subs[1] = subs[0];
        subs[1].prefix = join(&f, f.p[MINUS_SIGN], subs[0].prefix);
    }
    return format(&f, &subs[n >= 0 ? 0 : 1], n, out);
}
