/*
 * coerce.c - JavaScript's conversions between values.
 */
#include "coerce.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "value/value.h"

static void append_array(struct buf *b, const struct value *v) {
    for (size_t i = 0; i < v->len; i++) {
        if (i > 0)
            buf_addc(b, ',');
        if (!value_is_nullish(&v->items[i]))
            coerce_append_text(b, &v->items[i]);
    }
}

/* As Date.prototype.toString does in UTC. */
static void append_date(struct buf *b, double ms) {
    static const char days[][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char iso[32];
    int64_t day;
    int month, year;
    const char *rest;

    if (isnan(ms)) {
        buf_adds(b, "Invalid Date");
        return;
    }
    value_format_date(ms, iso);
    rest = strchr(iso + 1, '-');
    year = (iso[0] == '-' ? -1 : 1) *
           (int)value_string_to_number(iso + (iso[0] < '0'),
                                       (size_t)(rest - iso) - (size_t)(iso[0] < '0'));
    month = (rest[1] - '0') * 10 + rest[2] - '0';
    day = (int64_t)floor(ms / 86400000);
    buf_addf(b, "%s %s %.2s %s%04d %.8s GMT+0000 (Coordinated Universal Time)",
             days[(day % 7 + 7) % 7], months[month - 1], rest + 4, year < 0 ? "-" : "",
             year < 0 ? -year : year, rest + 7);
}

void coerce_append_text(struct buf *b, const struct value *v) {
    char number[32];

    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
        buf_adds(b, "undefined");
        break;
    case VALUE_NULL:
        buf_adds(b, "null");
        break;
    case VALUE_BOOL:
        buf_adds(b, v->boolean ? "true" : "false");
        break;
    case VALUE_NUMBER:
        buf_add(b, number, value_format_number(v->number, number));
        break;
    case VALUE_STRING:
        value_wtf8_append(b, v->str, v->len);
        break;
    case VALUE_DATE:
        append_date(b, v->number);
        break;
    case VALUE_ARRAY:
        append_array(b, v);
        break;
    case VALUE_OBJECT:
        buf_adds(b, "[object Object]");
        break;
    }
}

const struct value *coerce_text(struct arena *a, const struct value *v) {
    struct buf b = BUF_INIT;
    struct bytes text;

    if (value_is_string(v))
        return v;
    coerce_append_text(&b, v);
    text = buf_to_arena(&b, a);
    buf_fini(&b);
    return value_box(a, value_string_ref(text.data, text.len));
}

static double of_text(const struct value *v, double (*convert)(const char *, size_t)) {
    struct buf b = BUF_INIT;
    double n;

    coerce_append_text(&b, v);
    n = convert(b.data ? b.data : "", b.len);
    buf_fini(&b);
    return n;
}

double coerce_number(const struct value *v) {
    switch ((enum value_type)v->type) {
    case VALUE_NULL:
        return 0;
    case VALUE_BOOL:
        return v->boolean ? 1 : 0;
    case VALUE_NUMBER:
    case VALUE_DATE:
        return v->number;
    case VALUE_STRING:
        return value_string_to_number(v->str, v->len);
    case VALUE_ARRAY:
        return of_text(v, value_string_to_number);
    case VALUE_UNDEFINED:
    case VALUE_OBJECT:
        break;
    }
    return NAN;
}

double coerce_parse_float(const struct value *v) {
    switch ((enum value_type)v->type) {
    case VALUE_NUMBER:
        /* parseFloat(-0) reads "0". */
        return v->number == 0 ? 0 : v->number;
    case VALUE_STRING:
        return value_parse_float(v->str, v->len);
    case VALUE_ARRAY:
        return of_text(v, value_parse_float);
    default:
        return NAN;
    }
}

static bool same_node(const struct value *x, const struct value *y) {
    return x == y || (x->len > 0 && x->len == y->len && x->items == y->items) ||
           (x->len == 0 && y->len == 0 && x->items && x->items == y->items);
}

bool coerce_strict_equal(const struct value *x, const struct value *y) {
    if (x->type != y->type)
        return false;
    switch ((enum value_type)x->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return x->boolean == y->boolean;
    case VALUE_NUMBER:
        return x->number == y->number;
    case VALUE_STRING:
        return value_string_equal(x, y);
    case VALUE_DATE:
        return x == y;
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        return same_node(x, y);
    }
    return false;
}

static bool is_compound(const struct value *v) {
    return v->type >= VALUE_DATE;
}

/* A compound value against a primitive: by its text. */
static bool compound_equals(const struct value *compound, const struct value *primitive) {
    struct buf b = BUF_INIT;
    struct value text;
    bool equal;

    coerce_append_text(&b, compound);
    text = value_string_ref(b.data ? b.data : "", b.len);
    equal = coerce_loose_equal(&text, primitive);
    buf_fini(&b);
    return equal;
}

bool coerce_loose_equal(const struct value *x, const struct value *y) {
    if (value_is_nullish(x) || value_is_nullish(y))
        return value_is_nullish(x) && value_is_nullish(y);
    if (x->type == y->type)
        return coerce_strict_equal(x, y);
    if (is_compound(x) && is_compound(y))
        return false;
    if (is_compound(x))
        return compound_equals(x, y);
    if (is_compound(y))
        return compound_equals(y, x);
    return coerce_number(x) == coerce_number(y);
}

bool coerce_includes(const struct value *list, const struct value *v) {
    for (VALUE_EACH_ITEM(item, list)) {
        if (coerce_strict_equal(item, v))
            return true;
        if (value_is_number(item) && value_is_number(v) && isnan(item->number) &&
            isnan(v->number))
            return true;
    }
    return false;
}
