#include "jsonata_builtin.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "value/value_case.h"

/* Gives undefined for an undefined first argument: 1; 0 for a string; -1. */
static int string_argument(struct ev *ev, const struct args *args, struct value *ret,
                           struct value *out) {
    *ret = argument(args, 0);
    *out = value_undefined;
    if (is_undefined(*ret))
        return 1;
    return jsonata_want(ev, *ret, VALUE_STRING);
}

static size_t char_bytes(const char *s, const char *end) {
    unsigned char lead = (unsigned char)*s;
    size_t n = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    return n <= (size_t)(end - s) ? n : (size_t)(end - s);
}

/* Characters: code points, lone surrogates one each. */
static size_t count_chars(struct value s) {
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.str[i] & 0xC0) != 0x80;
    return n;
}

/* The part of s from character `from` up to character `to`. */
static struct value slice_chars(struct ev *ev, struct value s, size_t from, size_t to) {
    const char *p = s.str, *end = s.str + s.len, *start;
    size_t i = 0;

    for (; i < from && p < end; i++)
        p += char_bytes(p, end);
    start = p;
    for (; i < to && p < end; i++)
        p += char_bytes(p, end);
    return jsonata_text(ev, start, (size_t)(p - start));
}

/* An index as Array.prototype.slice takes it. */
static size_t slice_index(double index, size_t len) {
    if (isnan(index))
        return 0;
    index = trunc(index);
    if (index < 0)
        index += (double)len;
    return index <= 0 ? 0 : index >= (double)len ? len : (size_t)index;
}

static const char *find_text(struct value s, struct value part) {
    return part.len ? memmem(s.str, s.len, part.str, part.len) : s.str;
}

int jsonata_fn_string(struct ev *ev, struct args *args, struct value *out) {
    return jsonata_to_string(ev, argument(args, 0), jsonata_js_truthy(argument(args, 1)),
                             out);
}

int jsonata_fn_length(struct ev *ev, struct args *args, struct value *out) {
    struct value s;
    int rc = string_argument(ev, args, &s, out);

    if (rc == 0)
        *out = of_number((double)count_chars(s));
    return rc < 0 ? -1 : 0;
}

int jsonata_fn_substring(struct ev *ev, struct args *args, struct value *out) {
    struct value s, start = argument(args, 1), length = argument(args, 2);
    double from, to;
    size_t n, end;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    n = count_chars(s);
    from = start.type == VALUE_NUMBER ? start.number : NAN;
    to = length.type == VALUE_NUMBER ? length.number : NAN;
    if ((double)n + from < 0)
        from = 0;
    end = n;
    if (!is_undefined(length)) {
        if (to <= 0) {
            *out = value_empty_string;
            return 0;
        }
        end = slice_index(from >= 0 ? from + to : (double)n + from + to, n);
    }
    *out = slice_chars(ev, s, slice_index(from, n), end);
    return 0;
}

static int around(struct ev *ev, struct args *args, bool before, struct value *out) {
    struct value s, part = argument(args, 1);
    const char *at;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    *out = s;
    if (is_undefined(part))
        part = value_string_ref("undefined", 9);
    if (jsonata_want(ev, part, VALUE_STRING) < 0)
        return -1;
    at = find_text(s, part);
    if (!at)
        return 0;
    if (before)
        *out = jsonata_text(ev, s.str, (size_t)(at - s.str));
    else
        *out = jsonata_text(ev, at + part.len, s.len - part.len - (size_t)(at - s.str));
    return 0;
}

int jsonata_fn_substringBefore(struct ev *ev, struct args *args, struct value *out) {
    return around(ev, args, true, out);
}

int jsonata_fn_substringAfter(struct ev *ev, struct args *args, struct value *out) {
    return around(ev, args, false, out);
}

static int map_case(struct ev *ev, struct args *args,
                    void (*map)(struct buf *, const char *, size_t), struct value *out) {
    struct buf b = BUF_INIT;
    struct value s;
    int rc = string_argument(ev, args, &s, out);

    if (rc || jsonata_need(ev, 3.0 * s.len) < 0)
        return rc > 0 ? 0 : -1;
    map(&b, s.str, s.len);
    *out = jsonata_text_of_buf(ev, &b);
    return 0;
}

int jsonata_fn_lowercase(struct ev *ev, struct args *args, struct value *out) {
    return map_case(ev, args, value_lower_case, out);
}

int jsonata_fn_uppercase(struct ev *ev, struct args *args, struct value *out) {
    return map_case(ev, args, value_upper_case, out);
}

/* Runs of blanks become one space, none at the ends. */
int jsonata_fn_trim(struct ev *ev, struct args *args, struct value *out) {
    struct value s;
    char *text;
    size_t n = 0;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    text = arena_alloc(ev->arena, (size_t)s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        bool blank = s.str[i] && strchr(" \t\n\r", s.str[i]);

        if (!blank)
            text[n++] = s.str[i];
        else if (n && text[n - 1] != ' ')
            text[n++] = ' ';
    }
    if (n && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
    *out = value_string_ref(text, n);
    return 0;
}

int jsonata_fn_pad(struct ev *ev, struct args *args, struct value *out) {
    struct value s, width = argument(args, 1), fill = argument(args, 2), padding;
    struct buf b = BUF_INIT;
    double n;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    *out = s;
    if (is_undefined(fill) || (fill.type == VALUE_STRING && fill.len == 0))
        fill = value_string_ref(" ", 1);
    if (is_undefined(width))
        return 0;
    if (jsonata_want(ev, fill, VALUE_STRING) < 0 ||
        jsonata_want(ev, width, VALUE_NUMBER) < 0)
        return -1;
    n = fabs(width.number) - (double)count_chars(s);
    if (!(n > 0))
        return 0;
    if (n != trunc(n) || n >= 4294967295.0)
        return jsonata_fail_type(ev, "Invalid array length");
    if (jsonata_need(ev, n * fill.len * 2 + s.len) < 0)
        return -1;
    for (double i = 0; i < n; i++)
        buf_add(&b, fill.str, fill.len);
    padding = jsonata_text_of_buf(ev, &b);
    if (value_utf16_length(fill.str, fill.len) > 1)
        padding = slice_chars(ev, padding, 0, (size_t)n);
    buf_add(&b, width.number > 0 ? s.str : padding.str,
            width.number > 0 ? s.len : padding.len);
    value_wtf8_append(&b, width.number > 0 ? padding.str : s.str,
                      width.number > 0 ? padding.len : s.len);
    *out = jsonata_text_of_buf(ev, &b);
    return 0;
}

/* ---- searching ---- */

int jsonata_fn_contains(struct ev *ev, struct args *args, struct value *out) {
    struct value s, token = argument(args, 1), match;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (token.type == VALUE_STRING) {
        *out = of_bool(find_text(s, token) != NULL);
        return 0;
    }
    if (jsonata_match_first(ev, token, s, args->env, &match) < 0)
        return -1;
    *out = of_bool(!is_undefined(match));
    return 0;
}

/* A limit is undefined or not below zero; *ret is infinite for none. */
static int limit_argument(struct ev *ev, struct value limit, const char *code, int index,
                          double *ret) {
    *ret = INFINITY;
    if (is_undefined(limit))
        return 0;
    if (jsonata_want(ev, limit, VALUE_NUMBER) < 0)
        return -1;
    *ret = limit.number;
    if (!(limit.number < 0))
        return 0;
    jsonata_fail_value(ev, code, limit);
    ev->failure.index = index;
    return -1;
}

static struct value match_field(struct value match, const char *name) {
    return *value_get(&match, name);
}

int jsonata_fn_match(struct ev *ev, struct args *args, struct value *out) {
    struct value s, match;
    double limit;
    size_t mark = ev->top;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (limit_argument(ev, argument(args, 2), "D3040", 3, &limit) < 0)
        return -1;
    match = value_undefined;
    if (limit > 0 && jsonata_match_first(ev, argument(args, 1), s, args->env, &match) < 0)
        return -1;
    for (double n = 0; !is_undefined(match) && n < limit; n++) {
        struct object_builder b;
        struct value found = match_field(match, "match"),
                     start = match_field(match, "start");
        struct value groups = match_field(match, "groups");

        object_begin(&b, ev->arena, 3);
        object_set_ref(&b, "match", 5, &found);
        object_set_ref(&b, "index", 5, &start);
        object_set_ref(&b, "groups", 6, &groups);
        jsonata_push(ev, *object_end(&b));
        if (jsonata_match_next(ev, match, args->env, &match) < 0)
            return -1;
    }
    *out = jsonata_take(ev, mark, SEQUENCE);
    return 0;
}

/* ---- replacing ---- */

/* str.substring(from, to) in UTF-16 units. */
static void add_units(struct ev *ev, struct buf *b, struct value s, double from,
                      double to) {
    size_t i = from > 0 ? (size_t)from : 0, k = to > 0 ? (size_t)to : 0;
    const struct value *part =
        value_utf16_slice(ev->arena, s.str, s.len, i < k ? i : k, i < k ? k : i);

    value_wtf8_append(b, part->str, part->len);
}

/* parseInt of the first max characters. NaN when there is no number. */
static double parse_index(const char *p, const char *end, int max) {
    const char *stop = end - p > max ? p + max : end;
    double sign = 1, n = 0;
    bool any = false;

    while (p < stop && (*p == ' ' || (*p >= '\t' && *p <= '\r')))
        p++;
    if (p < stop && (*p == '-' || *p == '+'))
        sign = *p++ == '-' ? -1 : 1;
    for (; p < stop && *p >= '0' && *p <= '9'; p++, any = true)
        n = n * 10 + (*p - '0');
    return any ? sign * n : NAN;
}

/* What follows a $ in a replacement, at p; gives the position behind it. */
static const char *add_reference(struct buf *b, struct value match, const char *p,
                                 const char *end) {
    struct value groups = match_field(match, "groups"),
                 whole = match_field(match, "match");
    char text[32];
    double index;
    int digits = 1;

    if (p < end && *p == '$') {
        buf_addc(b, '$');
        return p + 1;
    }
    if (p < end && *p == '0') {
        value_wtf8_append(b, whole.str, whole.type == VALUE_STRING ? whole.len : 0);
        return p + 1;
    }
    if (is_array(groups) && groups.len)
        digits = (int)floor(log((double)groups.len) * M_LOG10E) + 1;
    index = parse_index(p, end, digits);
    if (digits > 1 && index > groups.len)
        index = parse_index(p, end, digits - 1);
    if (isnan(index)) {
        buf_addc(b, '$');
        return p;
    }
    if (is_array(groups) && index >= 1 && index <= groups.len) {
        struct value group = groups.items[(size_t)index - 1];

        if (group.type == VALUE_STRING)
            value_wtf8_append(b, group.str, group.len);
    }
    p += value_format_number(index, text);
    return p < end ? p : end;
}

static void add_replacement(struct buf *b, struct value replacement, struct value match) {
    const char *p = replacement.str, *end = p + replacement.len;

    while (p < end) {
        const char *dollar = memchr(p, '$', (size_t)(end - p));
        const char *stop = dollar ? dollar : end;

        value_wtf8_append(b, p, (size_t)(stop - p));
        if (!dollar)
            return;
        p = add_reference(b, match, dollar + 1, end);
    }
}

static int replace_text(struct ev *ev, struct value s, struct value pattern,
                        struct value replacement, double limit, struct value *out) {
    struct buf b = BUF_INIT;
    const char *p = s.str, *end = s.str + s.len;

    if (replacement.type != VALUE_STRING && find_text(s, pattern))
        return jsonata_fail_value(ev, "D3012", replacement);
    for (double n = 0; n < limit; n++) {
        const char *at = memmem(p, (size_t)(end - p), pattern.str, pattern.len);

        if (!at)
            break;
        value_wtf8_append(&b, p, (size_t)(at - p));
        value_wtf8_append(&b, replacement.str, replacement.len);
        p = at + pattern.len;
        if (jsonata_step(ev) < 0 || jsonata_need(ev, (double)b.len) < 0) {
            buf_fini(&b);
            return -1;
        }
    }
    value_wtf8_append(&b, p, (size_t)(end - p));
    *out = jsonata_text_of_buf(ev, &b);
    return 0;
}

static int replace_match(struct ev *ev, struct buf *b, struct value match,
                         struct value replacement, struct frame *env) {
    struct value text;

    if (replacement.type == VALUE_STRING) {
        add_replacement(b, replacement, match);
        return 0;
    }
    if (!jsonata_is_callback(replacement))
        return jsonata_fail_type(ev, "The argument cannot be called");
    if (jsonata_apply(ev, replacement, &match, 1, value_null, env, &text) < 0)
        return -1;
    if (text.type != VALUE_STRING)
        return jsonata_fail_value(ev, "D3012", text);
    value_wtf8_append(b, text.str, text.len);
    return 0;
}

static int replace_matches(struct ev *ev, struct args *args, struct value s, double limit,
                           struct value *out) {
    struct value match, matcher = argument(args, 1), replacement = argument(args, 2);
    struct buf b = BUF_INIT;
    double position = 0, length = (double)value_utf16_length(s.str, s.len);

    *out = s;
    if (jsonata_match_first(ev, matcher, s, args->env, &match) < 0)
        return -1;
    if (is_undefined(match))
        return 0;
    for (double n = 0; !is_undefined(match) && n < limit; n++) {
        struct value start = match_field(match, "start"),
                     found = match_field(match, "match");

        if (jsonata_want(ev, found, VALUE_STRING) < 0 ||
            jsonata_want(ev, start, VALUE_NUMBER) < 0)
            goto failed;
        add_units(ev, &b, s, position, start.number);
        if (replace_match(ev, &b, match, replacement, args->env) < 0)
            goto failed;
        position = start.number + (double)value_utf16_length(found.str, found.len);
        if (jsonata_match_next(ev, match, args->env, &match) < 0 ||
            jsonata_need(ev, (double)b.len) < 0)
            goto failed;
    }
    add_units(ev, &b, s, position < length ? position : length, length);
    *out = jsonata_text_of_buf(ev, &b);
    return 0;
failed:
    buf_fini(&b);
    return -1;
}

int jsonata_fn_replace(struct ev *ev, struct args *args, struct value *out) {
    struct value s, pattern = argument(args, 1);
    double limit;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (pattern.type == VALUE_STRING && pattern.len == 0) {
        jsonata_fail_value(ev, "D3010", pattern);
        ev->failure.index = 2;
        return -1;
    }
    if (limit_argument(ev, argument(args, 3), "D3011", 4, &limit) < 0)
        return -1;
    *out = s;
    if (!(limit > 0))
        return 0;
    if (pattern.type == VALUE_STRING)
        return replace_text(ev, s, pattern, argument(args, 2), limit, out);
    return replace_matches(ev, args, s, limit, out);
}

/* ---- splitting and joining ---- */

static void push_text(struct ev *ev, const char *s, size_t len) {
    jsonata_push(ev, jsonata_text(ev, s, len));
}

static int split_text(struct ev *ev, struct value s, struct value separator, double limit,
                      struct value *out) {
    size_t mark = ev->top;
    const char *p = s.str, *end = s.str + s.len;
    double max = isinf(limit) ? INFINITY : trunc(limit), n = 0;

    if (separator.len == 0) {
        size_t units = value_utf16_length(s.str, s.len);

        if (jsonata_need(ev, 32.0 * (double)units) < 0)
            return -1;
        if (units == s.len)
            for (size_t i = 0; i < units && n < max; i++, n++)
                push_text(ev, s.str + i, 1);
        else
            for (size_t i = 0; i < units && n < max; i++, n++)
                jsonata_push(ev, *value_utf16_slice(ev->arena, s.str, s.len, i, i + 1));
    } else {
        const char *at = p;

        while (n < max && at) {
            at = memmem(p, (size_t)(end - p), separator.str, separator.len);
            push_text(ev, p, (size_t)((at ? at : end) - p));
            n++;
            if (at)
                p = at + separator.len;
            if (jsonata_step(ev) < 0)
                return -1;
        }
    }
    *out = jsonata_take(ev, mark, 0);
    return 0;
}

static int split_matches(struct ev *ev, struct value s, struct value matcher,
                         double limit, struct frame *env, struct value *out) {
    struct value match;
    size_t mark = ev->top;
    double start = 0, n = 0;
    struct buf b = BUF_INIT;
    double length = (double)value_utf16_length(s.str, s.len);

    if (jsonata_match_first(ev, matcher, s, env, &match) < 0)
        return -1;
    for (; !is_undefined(match) && n < limit; n++) {
        struct value from = match_field(match, "start"), to = match_field(match, "end");

        buf_clear(&b);
        add_units(ev, &b, s, start, from.type == VALUE_NUMBER ? from.number : 0);
        push_text(ev, b.data ? b.data : "", b.len);
        start = to.type == VALUE_NUMBER ? to.number : 0;
        if (jsonata_match_next(ev, match, env, &match) < 0) {
            buf_fini(&b);
            return -1;
        }
    }
    if (n < limit) {
        buf_clear(&b);
        add_units(ev, &b, s, start < length ? start : length, length);
        push_text(ev, b.data ? b.data : "", b.len);
    }
    buf_fini(&b);
    *out = jsonata_take(ev, mark, 0);
    return 0;
}

int jsonata_fn_split(struct ev *ev, struct args *args, struct value *out) {
    struct value s, separator = argument(args, 1);
    double limit;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (limit_argument(ev, argument(args, 2), "D3020", 3, &limit) < 0)
        return -1;
    *out = value_empty_array;
    if (!(limit > 0))
        return 0;
    if (separator.type == VALUE_STRING)
        return split_text(ev, s, separator, limit, out);
    return split_matches(ev, s, separator, limit, args->env, out);
}

int jsonata_fn_join(struct ev *ev, struct args *args, struct value *out) {
    struct value list = argument(args, 0), separator = argument(args, 1);
    struct buf b = BUF_INIT;

    *out = value_undefined;
    if (is_undefined(list))
        return 0;
    if (is_undefined(separator))
        separator = value_empty_string;
    if (jsonata_want(ev, list, VALUE_ARRAY) < 0 ||
        jsonata_want(ev, separator, VALUE_STRING) < 0)
        return -1;
    for (size_t i = 0; i < list.len; i++) {
        struct value item = list.items[i], text = value_empty_string;

        if (i)
            value_wtf8_append(&b, separator.str, separator.len);
        if ((!value_is_nullish(&item) && jsonata_to_string(ev, item, false, &text) < 0) ||
            jsonata_need(ev, (double)b.len) < 0) {
            buf_fini(&b);
            return -1;
        }
        value_wtf8_append(&b, text.str, text.len);
    }
    *out = jsonata_text_of_buf(ev, &b);
    return 0;
}

/* ---- encodings ---- */

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Every UTF-16 unit is one byte: its low half. */
int jsonata_fn_base64encode(struct ev *ev, struct args *args, struct value *out) {
    struct value s;
    struct units u;
    char *text;
    size_t n = 0;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    u = jsonata_units(ev->arena, s.str, s.len);
    text = arena_alloc(ev->arena, u.len / 3 * 4 + 5);
    for (size_t i = 0; i < u.len; i += 3) {
        size_t left = u.len - i;
        uint32_t bits = (u.u[i] & 0xFFu) << 16 |
                        (left > 1 ? (u.u[i + 1] & 0xFFu) << 8 : 0) |
                        (left > 2 ? (u.u[i + 2] & 0xFFu) : 0);

        text[n++] = base64_digits[bits >> 18];
        text[n++] = base64_digits[bits >> 12 & 63];
        text[n++] = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
        text[n++] = left > 2 ? base64_digits[bits & 63] : '=';
    }
    text[n] = '\0';
    *out = value_string_ref(text, n);
    return 0;
}

static int base64_value(uint16_t c) {
    const char *found;

    if (c == '-')
        c = '+';
    if (c == '_')
        c = '/';
    found = c && c < 128 ? strchr(base64_digits, c) : NULL;
    return found ? (int)(found - base64_digits) : -1;
}

/* As lenient as Node: what is no digit is skipped, = ends. */
int jsonata_fn_base64decode(struct ev *ev, struct args *args, struct value *out) {
    struct value s;
    struct units u;
    uint16_t *bytes;
    uint32_t bits = 0;
    size_t n = 0;
    int have = 0, rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    u = jsonata_units(ev->arena, s.str, s.len);
    bytes = arena_alloc(ev->arena, (u.len + 1) * sizeof(*bytes));
    for (size_t i = 0; i < u.len && u.u[i] != '='; i++) {
        int digit = base64_value(u.u[i]);

        if (digit < 0)
            continue;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[n++] = bits >> have & 0xFF;
        }
    }
    *out = jsonata_from_units(ev->arena, bytes, n);
    return 0;
}

static int malformed(struct ev *ev, struct value s, const char *name) {
    jsonata_fail_value(ev, "D3140", s);
    ev->failure.function_name = name;
    return -1;
}

static bool is_lone_surrogate(const char *p, const char *end) {
    return (unsigned char)*p == 0xED && end - p >= 2 && (unsigned char)p[1] >= 0xA0;
}

static bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static int encode_url(struct ev *ev, struct args *args, const char *keep,
                      const char *name, struct value *out) {
    static const char hex[] = "0123456789ABCDEF";
    struct value s;
    const char *end;
    char *text;
    size_t n = 0;
    int rc = string_argument(ev, args, &s, out);

    if (rc || jsonata_need(ev, 3.0 * s.len) < 0)
        return rc > 0 ? 0 : -1;
    end = s.str + s.len;
    text = arena_alloc(ev->arena, (size_t)s.len * 3 + 1);
    for (const char *p = s.str; p < end; p++) {
        unsigned char c = (unsigned char)*p;

        if (is_lone_surrogate(p, end))
            return malformed(ev, s, name);
        if (is_alphanumeric(*p) || (c && c < 128 && strchr(keep, c))) {
            text[n++] = *p;
        } else {
            text[n++] = '%';
            text[n++] = hex[c >> 4];
            text[n++] = hex[c & 15];
        }
    }
    text[n] = '\0';
    *out = value_string_ref(text, n);
    return 0;
}

int jsonata_fn_encodeUrlComponent(struct ev *ev, struct args *args, struct value *out) {
    return encode_url(ev, args, "-_.!~*'()", "encodeUrlComponent", out);
}

int jsonata_fn_encodeUrl(struct ev *ev, struct args *args, struct value *out) {
    return encode_url(ev, args, "-_.!~*'();/?:@&=+$,#", "encodeUrl", out);
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of %XX at p, -1 when there is none. */
static int percent_byte(const char *p, const char *end) {
    if (end - p < 3 || *p != '%' || hex_value(p[1]) < 0 || hex_value(p[2]) < 0)
        return -1;
    return hex_value(p[1]) << 4 | hex_value(p[2]);
}

/* Reads a character of escaped UTF-8 at p into utf8; its bytes, 0 when it is bad. */
static size_t percent_char(const char *p, const char *end, char utf8[4]) {
    int lead = percent_byte(p, end);
    size_t n = lead < 0      ? 0
               : lead < 0x80 ? 1
               : lead < 0xC2 ? 0
               : lead < 0xE0 ? 2
               : lead < 0xF0 ? 3
               : lead < 0xF5 ? 4
                             : 0;

    if (n == 0)
        return 0;
    utf8[0] = (char)lead;
    for (size_t i = 1; i < n; i++) {
        int byte = percent_byte(p + 3 * i, end);
        int low = 0x80, high = 0xBF;

        if (i == 1 && lead == 0xE0)
            low = 0xA0;
        if (i == 1 && lead == 0xED)
            high = 0x9F;
        if (i == 1 && lead == 0xF0)
            low = 0x90;
        if (i == 1 && lead == 0xF4)
            high = 0x8F;
        if (byte < low || byte > high)
            return 0;
        utf8[i] = (char)byte;
    }
    return n;
}

/* keep: characters whose escapes stay as they are. */
static int decode_url(struct ev *ev, struct args *args, const char *keep,
                      const char *name, struct value *out) {
    struct value s;
    const char *p, *end;
    char *text, utf8[4];
    size_t n = 0;
    int rc = string_argument(ev, args, &s, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    end = s.str + s.len;
    text = arena_alloc(ev->arena, (size_t)s.len + 1);
    for (p = s.str; p < end;) {
        size_t len;

        if (*p != '%') {
            text[n++] = *p++;
            continue;
        }
        len = percent_char(p, end, utf8);
        if (len == 0)
            return malformed(ev, s, name);
        if (len == 1 && utf8[0] && strchr(keep, utf8[0])) {
            memcpy(text + n, p, 3);
            n += 3;
        } else {
            memcpy(text + n, utf8, len);
            n += len;
        }
        p += 3 * len;
    }
    text[n] = '\0';
    *out = value_string_ref(text, n);
    return 0;
}

int jsonata_fn_decodeUrlComponent(struct ev *ev, struct args *args, struct value *out) {
    return decode_url(ev, args, "", "decodeUrlComponent", out);
}

int jsonata_fn_decodeUrl(struct ev *ev, struct args *args, struct value *out) {
    return decode_url(ev, args, ";/?:@&=+$,#", "decodeUrl", out);
}
