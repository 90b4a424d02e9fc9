/*
 * jsonata_value.c - what the evaluator and the functions ask of values: truth,
 * equality, text, copies, order.
 */
#include "jsonata_priv.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "value/value_double.h"

#define MAX_COMPARE_DEPTH 600
#define MAX_TEXT_DEPTH    600 /* what encoders and parsers of JSON bear */

/* ---- numbers and truth ---- */

int jsonata_is_numeric(struct ev *ev, struct value v, bool *ret) {
    *ret = v.type == VALUE_NUMBER && !isnan(v.number);
    if (*ret && isinf(v.number))
        return jsonata_fail_value(ev, "D1001", v);
    return 0;
}

bool jsonata_js_truthy(struct value v) {
    return v.type == TYPE_FUNCTION || value_truthy(&v);
}

int jsonata_to_boolean(struct ev *ev, struct value v, bool *ret) {
    while (is_array(v) && v.len == 1)
        v = v.items[0];
    *ret = false;
    switch (v.type) {
    case VALUE_ARRAY:
        if (v.len && jsonata_enter(ev) < 0)
            return -1;
        for (size_t i = 0; i < v.len; i++) {
            bool one;

            if (jsonata_to_boolean(ev, v.items[i], &one) < 0)
                return -1;
            *ret |= one;
        }
        ev->depth -= v.len != 0;
        return 0;
    case VALUE_STRING:
        *ret = v.len > 0;
        return 0;
    case VALUE_NUMBER:
        if (jsonata_is_numeric(ev, v, ret) < 0)
            return -1;
        *ret = *ret && v.number != 0;
        return 0;
    case VALUE_OBJECT:
        *ret = v.len > 0;
        return 0;
    case VALUE_BOOL:
        *ret = v.boolean;
        return 0;
    case TYPE_FUNCTION: /* an object in the library, unless it was an argument */
        *ret = !(v.spare & PLAIN_FUNCTION);
        return 0;
    default:
        return 0;
    }
}

/* n * 10^exponent through its text, which brings in no error of its own. */
static double shift_decimal(double n, double exponent) {
    char text[96], *e;
    size_t len = value_format_number(n, text);

    e = memchr(text, 'e', len);
    if (e) {
        exponent += value_string_to_number(e + 1, len - (size_t)(e + 1 - text));
        len = (size_t)(e - text);
    }
    text[len++] = 'e';
    len += value_format_number(exponent, text + len);
    return value_string_to_number(text, len);
}

double jsonata_round(double n, bool has_precision, double precision) {
    bool shift = has_precision && precision != 0 && !isnan(precision);
    double result, diff;

    if (shift)
        n = shift_decimal(n, precision);
    result = floor(n);
    if (n - result >= 0.5)
        result += 1;
    diff = result - n;
    if (fabs(diff) == 0.5 && fabs(fmod(result, 2)) == 1)
        result -= 1;
    if (shift)
        result = shift_decimal(result, -precision);
    return result == 0 ? 0 : result;
}

/* ---- equality ---- */

static bool equal_below(struct value x, struct value y, int depth) {
    if (depth > MAX_COMPARE_DEPTH)
        return false;
    if (x.type == VALUE_DATE)
        x = value_empty_object;
    if (y.type == VALUE_DATE)
        y = value_empty_object;
    if (x.type != y.type)
        return false;
    switch (x.type) {
    case VALUE_BOOL:
        return x.boolean == y.boolean;
    case VALUE_NUMBER:
        return x.number == y.number;
    case VALUE_STRING:
        return value_string_equal(&x, &y);
    case TYPE_FUNCTION:
        return function_of(x) == function_of(y);
    case VALUE_ARRAY:
        if (x.len != y.len)
            return false;
        for (size_t i = 0; i < x.len; i++)
            if (!equal_below(x.items[i], y.items[i], depth + 1))
                return false;
        return true;
    case VALUE_OBJECT:
        if (x.len != y.len)
            return false;
        for (size_t i = 0; i < x.len; i++) {
            const struct member *m = &x.members[i];
            const struct value *other =
                value_find_hashed(&y, m->key, m->key_len, m->hash);

            if (!other || !equal_below(m->value, *other, depth + 1))
                return false;
        }
        return true;
    default:
        return true;
    }
}

bool jsonata_deep_equal(struct value x, struct value y) {
    return equal_below(x, y, 0);
}

/* ---- text ---- */

struct value jsonata_text(struct ev *ev, const char *s, size_t len) {
    return value_string_ref(arena_memdup(ev->arena, s, len), len);
}

struct value jsonata_text_of_buf(struct ev *ev, struct buf *b) {
    struct value v = jsonata_text(ev, b->data ? b->data : "", b->len);

    buf_fini(b);
    return v;
}

/* Number(n.toPrecision(15)): what the library shows of a number. */
static double fifteen_digits(double n) {
    char digits[128], text[160];
    double size = fabs(n);
    int point;
    size_t len, at = 0;

    if (size < 1e15 && n == trunc(n))
        return n == 0 ? 0 : n;
    if (size < 1e10 && size >= 1e-3) {
        double m = floor(size * 1e4 + 0.5);

        if (m / 1e4 == size)
            return n;
    }
    len = value_double_digits(n, 15, digits, &point);
    if (n < 0)
        text[at++] = '-';
    text[at++] = '0';
    text[at++] = '.';
    memcpy(text + at, digits, len);
    at += len;
    text[at++] = 'e';
    at += value_format_number(point, text + at);
    return value_string_to_number(text, at);
}

static int shown(struct ev *ev, struct value v, struct value *out);

static int shown_array(struct ev *ev, struct value v, struct value *out) {
    struct value *items = arena_alloc(ev->arena, v.len * sizeof(*items));

    for (size_t i = 0; i < v.len; i++) {
        if (shown(ev, v.items[i], &items[i]) < 0)
            return -1;
        if (is_undefined(items[i]))
            items[i] = value_null;
    }
    *out = (struct value){.type = VALUE_ARRAY, .len = v.len, .items = items};
    return 0;
}

static int shown_object(struct ev *ev, struct value v, struct value *out) {
    struct object_builder b;

    object_begin(&b, ev->arena, v.len ? v.len : 1);
    for (VALUE_EACH_MEMBER(m, &v)) {
        struct value member;

        if (shown(ev, m->value, &member) < 0)
            return -1;
        if (!is_undefined(member))
            object_set_ref(&b, m->key, m->key_len, &member);
    }
    *out = *object_end(&b);
    return 0;
}

/*
 * The value that JSON.parse makes of the library's JSON.stringify of v: functions
 * are empty strings, numbers have 15 digits. Every object is a new one.
 */
static int shown(struct ev *ev, struct value v, struct value *out) {
    char text[32];
    bool numeric;
    int rc = 0;

    *out = v;
    switch (v.type) {
    case TYPE_FUNCTION:
        *out = value_empty_string;
        return 0;
    case VALUE_NUMBER:
        if (jsonata_is_numeric(ev, v, &numeric) < 0)
            return -1;
        *out = numeric ? of_number(fifteen_digits(v.number)) : value_null;
        return 0;
    case VALUE_DATE:
        *out = value_null;
        if (value_format_date(v.number, text))
            *out = jsonata_text(ev, text, strlen(text));
        return 0;
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        if (jsonata_enter(ev) < 0)
            return -1;
        if (ev->depth > ev->shown_depth + MAX_TEXT_DEPTH)
            return jsonata_fail(ev, "U1001");
        rc = v.type == VALUE_ARRAY ? shown_array(ev, v, out) : shown_object(ev, v, out);
        ev->depth--;
        return rc;
    default:
        return 0;
    }
}

static struct value unwrapped(struct value v) {
    if (is_array(v) && (v.spare & OUTER_WRAPPER))
        return v.len ? v.items[0] : value_undefined;
    return v;
}

int jsonata_to_string(struct ev *ev, struct value v, bool pretty, struct value *out) {
    struct buf b = BUF_INIT;
    char number[32];

    *out = v;
    if (is_undefined(v) || v.type == VALUE_STRING)
        return 0;
    if (is_function(v)) {
        *out = value_empty_string;
        return 0;
    }
    if (v.type == VALUE_NUMBER) {
        if (!isfinite(v.number))
            return jsonata_fail_value(ev, "D3001", v);
        v.number = fifteen_digits(v.number);
        if (isinf(v.number)) /* rounded up, and JSON has no infinity */
            *out = value_string_ref("null", 4);
        else
            *out = jsonata_text(ev, number, value_format_number(v.number, number));
        return 0;
    }
    ev->shown_depth = ev->depth;
    if (shown(ev, unwrapped(v), &v) < 0)
        return -1;
    if (is_undefined(v)) {
        *out = v;
        return 0;
    }
    value_encode(&b, &v, pretty ? VALUE_ENCODE_INDENT_2 : 0);
    if (jsonata_need(ev, (double)b.len) < 0) {
        buf_fini(&b);
        return -1;
    }
    *out = jsonata_text_of_buf(ev, &b);
    return 0;
}

int jsonata_clone(struct ev *ev, struct value v, struct value *out) {
    ev->shown_depth = ev->depth;
    return shown(ev, unwrapped(v), out);
}

/* ---- arrays ---- */

int jsonata_append(struct ev *ev, struct value x, struct value y, struct value *out) {
    struct value *items;
    size_t n, m;

    if (is_undefined(x) || is_undefined(y)) {
        *out = is_undefined(x) ? y : x;
        return 0;
    }
    n = is_array(x) ? x.len : 1;
    m = is_array(y) ? y.len : 1;
    if (n + m > UINT32_MAX || jsonata_need(ev, (double)(n + m) * sizeof(*items)) < 0)
        return jsonata_need(ev, INFINITY);
    items = arena_alloc(ev->arena, (n + m) * sizeof(*items));
    if (n)
        memcpy(items, is_array(x) ? x.items : &x, n * sizeof(*items));
    if (m)
        memcpy(items + n, is_array(y) ? y.items : &y, m * sizeof(*items));
    *out = (struct value){.type = VALUE_ARRAY, .len = (uint32_t)(n + m), .items = items};
    return 0;
}

struct sorter {
    struct ev *ev;
    swap_fn swap;
    void *ctx;
};

/* Sorts items[0..n) by way of spare. */
static int merge_sort(const struct sorter *s, struct value *items, struct value *spare,
                      size_t n) {
    size_t middle = n / 2, left = 0, right = middle, at = 0;

    if (n <= 1)
        return 0;
    if (merge_sort(s, items, spare, middle) < 0 ||
        merge_sort(s, items + middle, spare + middle, n - middle) < 0)
        return -1;
    while (left < middle && right < n) {
        bool swap;

        if (jsonata_step(s->ev) < 0 ||
            s->swap(s->ev, s->ctx, items[left], items[right], &swap) < 0)
            return -1;
        spare[at++] = items[swap ? right++ : left++];
    }
    while (left < middle)
        spare[at++] = items[left++];
    memcpy(items, spare, at * sizeof(*items)); /* the rest stands in its place */
    return 0;
}

int jsonata_merge_sort(struct ev *ev, struct value array, swap_fn swap, void *ctx,
                       struct value *out) {
    struct sorter s = {ev, swap, ctx};
    struct value *items;

    *out = array;
    if (!is_array(array) || array.len <= 1)
        return 0;
    items = arena_alloc(ev->arena, 2 * (size_t)array.len * sizeof(*items));
    memcpy(items, array.items, array.len * sizeof(*items));
    if (merge_sort(&s, items, items + array.len, array.len) < 0)
        return -1;
    *out = (struct value){.type = VALUE_ARRAY, .len = array.len, .items = items};
    return 0;
}

/* ---- UTF-16 ---- */

struct units jsonata_units(struct arena *a, const char *s, size_t len) {
    uint16_t *u = arena_alloc(a, (len + 1) * sizeof(*u));
    const unsigned char *p = (const unsigned char *)s, *end = p + len;
    size_t n = 0;

    while (p < end) {
        if (*p < 0x80) {
            u[n++] = *p++;
        } else if (*p < 0xE0 && end - p >= 2) {
            u[n++] = (uint16_t)((p[0] & 0x1F) << 6 | (p[1] & 0x3F));
            p += 2;
        } else if (*p < 0xF0 && end - p >= 3) {
            u[n++] = (uint16_t)((p[0] & 0xF) << 12 | (p[1] & 0x3F) << 6 | (p[2] & 0x3F));
            p += 3;
        } else if (end - p >= 4) {
            uint32_t cp = (uint32_t)((p[0] & 7) << 18 | (p[1] & 0x3F) << 12 |
                                     (p[2] & 0x3F) << 6 | (p[3] & 0x3F)) -
                          0x10000;

            u[n++] = (uint16_t)(0xD800 | (cp >> 10 & 0x3FF));
            u[n++] = (uint16_t)(0xDC00 | (cp & 0x3FF));
            p += 4;
        } else {
            break;
        }
    }
    u[n] = 0;
    return (struct units){u, n};
}

struct value jsonata_from_units(struct arena *a, const uint16_t *u, size_t len) {
    char *out = arena_alloc(a, len * 3 + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        uint32_t c = u[i];

        if (c < 0x80) {
            out[n++] = (char)c;
            continue;
        }
        if (c < 0x800) {
            out[n++] = (char)(0xC0 | c >> 6);
            out[n++] = (char)(0x80 | (c & 0x3F));
            continue;
        }
        if (c >= 0xD800 && c < 0xDC00 && i + 1 < len && u[i + 1] >= 0xDC00 &&
            u[i + 1] < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (u[++i] - 0xDC00u);
            out[n++] = (char)(0xF0 | c >> 18);
            out[n++] = (char)(0x80 | (c >> 12 & 0x3F));
        } else {
            out[n++] = (char)(0xE0 | c >> 12);
        }
        out[n++] = (char)(0x80 | (c >> 6 & 0x3F));
        out[n++] = (char)(0x80 | (c & 0x3F));
    }
    out[n] = '\0';
    return value_string_ref(out, n);
}
