#include "jsonata_integer.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "value/value_case.h"

static const char *const few[] = {
    "Zero",     "One",     "Two",     "Three",     "Four",     "Five",    "Six",
    "Seven",    "Eight",   "Nine",    "Ten",       "Eleven",   "Twelve",  "Thirteen",
    "Fourteen", "Fifteen", "Sixteen", "Seventeen", "Eighteen", "Nineteen"};
static const char *const ordinals[] = {
    "Zeroth",    "First",     "Second",      "Third",      "Fourth",
    "Fifth",     "Sixth",     "Seventh",     "Eighth",     "Ninth",
    "Tenth",     "Eleventh",  "Twelfth",     "Thirteenth", "Fourteenth",
    "Fifteenth", "Sixteenth", "Seventeenth", "Eighteenth", "Nineteenth"};
static const char *const decades[] = {"Twenty",  "Thirty", "Forty",  "Fifty",  "Sixty",
                                      "Seventy", "Eighty", "Ninety", "Hundred"};
static const char *const magnitudes[] = {"Thousand", "Million", "Billion", "Trillion"};

static const struct {
    int value;
    const char *text;
} romans[] = {{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"},
              {90, "xc"},  {50, "l"},   {40, "xl"}, {10, "x"},   {9, "ix"},
              {5, "v"},    {4, "iv"},   {1, "i"}};

/* Zeros of the decimal scripts. */
static const uint16_t zeros[] = {
    0x30,   0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6,
    0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0,
    0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620,
    0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10};

#define MAX_DIGITS 1000

/* ---- pictures ---- */

static bool equals(struct units u, const char *text) {
    size_t n = strlen(text);

    if (u.len != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (u.u[i] != (unsigned char)text[i])
            return false;
    return true;
}

static uint16_t zero_of(uint32_t cp) {
    for (size_t i = 0; i < sizeof(zeros) / sizeof(*zeros); i++)
        if (cp >= zeros[i] && cp <= zeros[i] + 9u)
            return zeros[i];
    return 0;
}

/* The distance at which the separators repeat, 0 when they do not. */
static int regular_distance(const struct integer_picture *p) {
    int factor;

    if (p->n_separators == 0)
        return 0;
    factor = p->separators[0].position;
    for (size_t i = 1; i < p->n_separators; i++) {
        int x = factor, y = p->separators[i].position;

        if (p->separators[i].cp != p->separators[0].cp)
            return 0;
        while (y) {
            int rest = x % y;

            x = y;
            y = rest;
        }
        factor = x;
    }
    for (size_t i = 1; i <= p->n_separators; i++) {
        bool found = false;

        for (size_t k = 0; k < p->n_separators; k++)
            found |= p->separators[k].position == (int)i * factor;
        if (!found)
            return 0;
    }
    return factor;
}

/* The code point that ends before *end, which moves to its start. */
static uint32_t previous_char(struct units u, size_t *end) {
    uint32_t cp = u.u[--*end];

    if (cp >= 0xDC00 && cp < 0xE000 && *end && u.u[*end - 1] >= 0xD800 &&
        u.u[*end - 1] < 0xDC00) {
        uint32_t high = u.u[--*end];

        return 0x10000 + ((high - 0xD800) << 10) + (cp - 0xDC00);
    }
    return cp;
}

static int decimal_picture(struct ev *ev, struct units u, struct integer_picture *p) {
    int position = 0, distance;

    p->mandatory = p->optional = 0;
    for (size_t end = u.len; end > 0;) {
        uint32_t cp = previous_char(u, &end);
        uint16_t zero = zero_of(cp);

        if (zero) {
            p->mandatory++;
            position++;
            if (p->zero && p->zero != zero)
                return jsonata_fail(ev, "D3131");
            p->zero = zero;
        } else if (cp == '#') {
            position++;
            p->optional++;
        } else {
            if (p->n_separators == MAX_SEPARATORS)
                return jsonata_fail_type(ev, "Too many separators in a picture");
            p->separators[p->n_separators++] = (struct separator){position, cp};
        }
    }
    if (p->mandatory == 0) {
        p->kind = INTEGER_SEQUENCE;
        p->token = u;
        p->mandatory = p->optional = -1;
        return 0;
    }
    distance = regular_distance(p);
    p->regular = distance > 0;
    if (p->regular)
        p->separators[0].position = distance;
    return 0;
}

int jsonata_integer_picture(struct ev *ev, struct units u, struct integer_picture *ret) {
    size_t semicolon = u.len;

    *ret = (struct integer_picture){.mandatory = -1, .optional = -1};
    while (semicolon > 0 && u.u[semicolon - 1] != ';')
        semicolon--;
    if (semicolon > 0) {
        ret->ordinal = semicolon < u.len && u.u[semicolon] == 'o';
        u.len = semicolon - 1;
    }
    if (equals(u, "A") || equals(u, "I") || equals(u, "W"))
        ret->letters = CASE_UPPER;
    if (equals(u, "Ww"))
        ret->letters = CASE_TITLE;
    if (equals(u, "A") || equals(u, "a"))
        ret->kind = INTEGER_LETTERS;
    else if (equals(u, "I") || equals(u, "i"))
        ret->kind = INTEGER_ROMAN;
    else if (equals(u, "W") || equals(u, "w") || equals(u, "Ww"))
        ret->kind = INTEGER_WORDS;
    else
        return decimal_picture(ev, u, ret);
    return 0;
}

/* ---- formatting ---- */

static void add_words(struct buf *b, double n, bool after, bool ordinal) {
    const char *const *units = ordinal ? ordinals : few;

    if (n <= 19) {
        buf_addf(b, "%s%s", after ? " and " : "", units[(int)n]);
    } else if (n < 100) {
        int tens = (int)n / 10, rest = (int)n % 10;

        buf_addf(b, "%s%s", after ? " and " : "", decades[tens - 2]);
        if (rest > 0) {
            buf_addc(b, '-');
            add_words(b, rest, false, ordinal);
        } else if (ordinal) {
            b->len--; /* the y */
            buf_adds(b, "ieth");
        }
    } else if (n < 1000) {
        int rest = (int)n % 100;

        buf_addf(b, "%s%s Hundred", after ? ", " : "", few[(int)n / 100]);
        if (rest > 0)
            add_words(b, rest, true, ordinal);
        else if (ordinal)
            buf_adds(b, "th");
    } else {
        double power = floor(log10(n) / 3), factor, whole, rest;

        if (power > 4)
            power = 4;
        factor = pow(10, power * 3);
        whole = floor(n / factor);
        rest = n - whole * factor;
        buf_adds(b, after ? ", " : "");
        add_words(b, whole, false, false);
        buf_addf(b, " %s", magnitudes[(int)power - 1]);
        if (rest > 0)
            add_words(b, rest, true, ordinal);
        else if (ordinal)
            buf_adds(b, "th");
    }
}

static int add_roman(struct ev *ev, struct buf *b, double n) {
    if (n > 5e6)
        return jsonata_fail_type(ev, "Maximum call stack size exceeded");
    for (size_t i = 0; i < sizeof(romans) / sizeof(*romans); i++)
        for (; n >= romans[i].value; n -= romans[i].value)
            buf_adds(b, romans[i].text);
    return 0;
}

static void add_letters(struct buf *b, double n, char first) {
    char text[1100];
    size_t at = sizeof(text);

    while (n > 0 && at > 0) {
        text[--at] = (char)(first + (int)fmod(n - 1, 26));
        n = floor((n - 1) / 26);
    }
    buf_add(b, text + at, sizeof(text) - at);
}

/* A number's digits under construction. */
struct digits {
    uint16_t u[MAX_DIGITS + 4 * MAX_SEPARATORS + 64];
    size_t len;
};

/* Inserts the character before the last `right` units. */
static void insert_separator(struct digits *d, size_t right, uint32_t cp) {
    size_t n = cp > 0xFFFF ? 2 : 1, keep, at;

    /* A negative position of substr: only so many units of the end remain. */
    keep = right > d->len ? right - d->len : d->len;
    if (keep < d->len) {
        memmove(d->u, d->u + d->len - keep, keep * sizeof(*d->u));
        d->len = keep;
        right = keep;
    }
    at = right >= d->len ? 0 : d->len - right;

    if (d->len + n > sizeof(d->u) / sizeof(*d->u))
        return;
    memmove(d->u + at + n, d->u + at, (d->len - at) * sizeof(*d->u));
    d->len += n;
    if (n == 1) {
        d->u[at] = (uint16_t)cp;
    } else {
        d->u[at] = (uint16_t)(0xD800 | (cp - 0x10000) >> 10);
        d->u[at + 1] = (uint16_t)(0xDC00 | (cp & 0x3FF));
    }
}

static void add_ordinal_suffix(struct digits *d) {
    uint16_t last = d->len ? d->u[d->len - 1] : 0;
    const char *suffix = last == '1'   ? "st"
                         : last == '2' ? "nd"
                         : last == '3' ? "rd"
                                       : "th";

    if (d->len > 1 && d->u[d->len - 2] == '1')
        suffix = "th";
    for (; *suffix; suffix++)
        d->u[d->len++] = (uint16_t)*suffix;
}

static int format_decimal(struct ev *ev, double n, bool negative,
                          const struct integer_picture *p, struct value *out) {
    struct digits d;
    char text[32];
    size_t len = value_format_number(n, text);

    d.len = 0; /* the rest is written before it is read */
    if (p->mandatory > MAX_DIGITS)
        return jsonata_fail_type(ev, "The picture asks for too many digits");
    for (int i = (int)len; i < p->mandatory; i++)
        d.u[d.len++] = '0';
    for (size_t i = 0; i < len; i++)
        d.u[d.len++] = (uint16_t)text[i];
    if (p->zero != 0x30)
        for (size_t i = 0; i < d.len; i++)
            d.u[i] = (uint16_t)(d.u[i] + p->zero - 0x30);
    if (p->regular) {
        size_t distance = (size_t)p->separators[0].position;

        for (size_t i = (d.len - 1) / distance; i > 0; i--)
            insert_separator(&d, i * distance, p->separators[0].cp);
    } else {
        /* From the left; each counts units from the right end. */
        for (size_t i = p->n_separators; i-- > 0;)
            insert_separator(&d, (size_t)p->separators[i].position, p->separators[i].cp);
    }
    if (p->ordinal)
        add_ordinal_suffix(&d);
    if (negative) {
        memmove(d.u + 1, d.u, d.len * sizeof(*d.u));
        d.u[0] = '-';
        d.len++;
    }
    *out = jsonata_from_units(ev->arena, d.u, d.len);
    return 0;
}

int jsonata_integer_format(struct ev *ev, double n, const struct integer_picture *p,
                           struct value *out) {
    struct buf b = BUF_INIT, cased = BUF_INIT;
    bool negative = n < 0;

    n = fabs(n);
    switch (p->kind) {
    case INTEGER_DECIMAL:
        return format_decimal(ev, n, negative, p, out);
    case INTEGER_SEQUENCE:
        return jsonata_fail_value(
            ev, "D3130", jsonata_from_units(ev->arena, p->token.u, p->token.len));
    default:
        break;
    }
    if (!isfinite(n) && (p->kind == INTEGER_WORDS || isinf(n)))
        return jsonata_fail_type(ev, "Maximum call stack size exceeded");
    if (negative)
        buf_addc(&b, '-');
    if (p->kind == INTEGER_LETTERS)
        add_letters(&b, n, 'a');
    else if (p->kind == INTEGER_WORDS)
        add_words(&b, n, false, p->ordinal);
    else if (add_roman(ev, &b, n) < 0)
        return buf_fini(&b), -1;
    if (p->letters == CASE_TITLE || !b.data) {
        *out = jsonata_text_of_buf(ev, &b);
        return 0;
    }
    (p->letters == CASE_UPPER ? value_upper_case : value_lower_case)(&cased, b.data,
                                                                     b.len);
    buf_fini(&b);
    *out = jsonata_text_of_buf(ev, &cased);
    return 0;
}

int jsonata_format_integer(struct ev *ev, double n, struct units picture,
                           struct value *out) {
    struct integer_picture p;

    if (jsonata_integer_picture(ev, picture, &p) < 0)
        return -1;
    return jsonata_integer_format(ev, n, &p, out);
}

/* ---- parsing ---- */

static bool is_space(uint16_t c) {
    return (c >= 9 && c <= 13) || c == ' ' || c == 0xA0 || c == 0xFEFF || c == 0x2028 ||
           c == 0x2029 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

static int digit_value(uint16_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c > 127)
        return 99;
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

double jsonata_parse_int(struct units t) {
    size_t i = 0, start, n = 0;
    double sign = 1, value = 0;
    char digits[400];
    int radix = 10;

    while (i < t.len && is_space(t.u[i]))
        i++;
    if (i < t.len && (t.u[i] == '-' || t.u[i] == '+'))
        sign = t.u[i++] == '-' ? -1 : 1;
    if (i + 1 < t.len && t.u[i] == '0' && (t.u[i + 1] | 0x20) == 'x') {
        radix = 16;
        i += 2;
    }
    start = i;
    for (; i < t.len && digit_value(t.u[i]) < radix; i++) {
        value = value * radix + digit_value(t.u[i]);
        if (n < sizeof(digits))
            digits[n++] = (char)t.u[i];
    }
    if (i == start)
        return NAN;
    if (radix == 10 && i - start == n)
        value = value_parse_float(digits, n);
    return sign * value;
}

/* any_case: small letters count too. */
static double parse_roman(struct units t, bool any_case) {
    double decimal = 0, max = 1;

    for (size_t i = t.len; i-- > 0;) {
        double value;

        switch (any_case && t.u[i] < 128 ? t.u[i] & ~0x20 : t.u[i]) {
        case 'M':
            value = 1000;
            break;
        case 'D':
            value = 500;
            break;
        case 'C':
            value = 100;
            break;
        case 'L':
            value = 50;
            break;
        case 'X':
            value = 10;
            break;
        case 'V':
            value = 5;
            break;
        case 'I':
            value = 1;
            break;
        default:
            return NAN;
        }
        if (value < max) {
            decimal -= value;
        } else {
            max = value;
            decimal += value;
        }
    }
    return decimal;
}

static double parse_letters(struct units t, char first) {
    double decimal = 0;

    for (size_t i = 0; i < t.len; i++)
        decimal += (t.u[t.len - i - 1] - first + 1) * pow(26, (double)i);
    return decimal;
}

/* Does the lower-case word equal text, which may have capitals, and its ending? */
static bool is_word(const char *word, size_t len, const char *text, size_t keep,
                    const char *ending) {
    if (len != keep + strlen(ending) || memcmp(word + keep, ending, len - keep) != 0)
        return false;
    for (size_t i = 0; i < keep; i++)
        if (word[i] != (text[i] | 0x20))
            return false;
    return true;
}

static double word_value(const char *word, size_t len) {
    for (int i = 0; i < 20; i++)
        if (is_word(word, len, few[i], strlen(few[i]), "") ||
            is_word(word, len, ordinals[i], strlen(ordinals[i]), ""))
            return i;
    for (int i = 0; i < 9; i++)
        if (is_word(word, len, decades[i], strlen(decades[i]), "") ||
            is_word(word, len, decades[i], strlen(decades[i]) - 1, "ieth"))
            return (i + 2) * 10;
    if (len == 9 && memcmp(word, "hundredth", 9) == 0)
        return 100;
    for (int i = 0; i < 4; i++)
        if (is_word(word, len, magnitudes[i], strlen(magnitudes[i]), "") ||
            is_word(word, len, magnitudes[i], strlen(magnitudes[i]), "th"))
            return pow(10, (i + 1) * 3);
    return NAN;
}

/* Length of what separates words at p: ", ", " and ", a blank, a hyphen. */
static size_t word_separator(const char *p, const char *end) {
    if (end - p >= 2 && p[0] == ',' && strchr(" \t\n\r\v\f", p[1]) && p[1])
        return 2;
    if (!*p || !strchr(" \t\n\r\v\f\\-", *p))
        return 0;
    if (end - p >= 5 && *p != '\\' && *p != '-' && memcmp(p + 1, "and", 3) == 0 && p[4] &&
        strchr(" \t\n\r\v\f", p[4]))
        return 5;
    return 1;
}

static double parse_words(struct ev *ev, struct units t) {
    struct value text = jsonata_from_units(ev->arena, t.u, t.len);
    struct buf lower = BUF_INIT;
    const char *p, *end, *start;
    double total = 0, top = 0;

    value_lower_case(&lower, text.str, text.len);
    buf_addc(&lower, '\0'); /* so that data is there */
    p = start = lower.data;
    end = p + lower.len - 1;
    for (;;) {
        size_t separator = p < end ? word_separator(p, end) : 0;
        double value;

        if (p < end && separator == 0) {
            p++;
            continue;
        }
        value = word_value(start, (size_t)(p - start));
        if (value < 100) {
            if (top >= 1000) {
                total += top;
                top = 0;
            }
            top += value;
        } else {
            top *= value;
        }
        if (p == end)
            break;
        p += separator;
        start = p;
    }
    buf_fini(&lower);
    return total + top;
}

static int parse_decimal(struct ev *ev, struct units t, const struct integer_picture *p,
                         double *ret) {
    uint16_t *u = arena_alloc(ev->arena, (t.len + 1) * sizeof(*u));
    size_t n = 0, len = t.len;

    if (p->ordinal)
        len = len > 2 ? len - 2 : 0;
    for (size_t i = 0; i < len; i++) {
        bool separator = p->regular && t.u[i] == ',';

        for (size_t k = 0; !p->regular && k < p->n_separators; k++)
            separator |= p->separators[k].cp == t.u[i];
        if (separator)
            continue;
        if (t.u[i] + 0x30 < p->zero)
            return jsonata_fail_type(ev, "Invalid code point");
        u[n++] = (uint16_t)(t.u[i] - p->zero + 0x30);
    }
    *ret = jsonata_parse_int((struct units){u, n});
    return 0;
}

int jsonata_integer_parse(struct ev *ev, struct units t, const struct integer_picture *p,
                          double *ret) {
    switch (p->kind) {
    case INTEGER_DECIMAL:
        return parse_decimal(ev, t, p, ret);
    case INTEGER_LETTERS:
        *ret = parse_letters(t, p->letters == CASE_UPPER ? 'A' : 'a');
        return 0;
    case INTEGER_ROMAN:
        *ret = parse_roman(t, p->letters != CASE_UPPER);
        return 0;
    case INTEGER_WORDS:
        *ret = parse_words(ev, t);
        return 0;
    case INTEGER_SEQUENCE:
        break;
    }
    return jsonata_fail_value(ev, "D3130",
                              jsonata_from_units(ev->arena, p->token.u, p->token.len));
}

int jsonata_parse_integer(struct ev *ev, struct units text, struct units picture,
                          struct value *out) {
    struct integer_picture p;
    double n;

    if (jsonata_integer_picture(ev, picture, &p) < 0 ||
        jsonata_integer_parse(ev, text, &p, &n) < 0)
        return -1;
    *out = of_number(n);
    return 0;
}

void jsonata_integer_words_pattern(struct buf *b) {
    for (int i = 0; i < 20; i++)
        buf_addf(b, "%s|%s|", few[i], ordinals[i]);
    for (int i = 0; i < 9; i++)
        buf_addf(b, "%s|%.*sieth|", decades[i], (int)strlen(decades[i]) - 1, decades[i]);
    buf_adds(b, "hundredth|");
    for (int i = 0; i < 4; i++)
        buf_addf(b, "%s|%sth|", magnitudes[i], magnitudes[i]);
    buf_adds(b, "and|[\\-, ]");
}
