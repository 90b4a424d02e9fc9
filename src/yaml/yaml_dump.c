/*
 * yaml_dump.c - the YAML writer.
 *
 * A node is written into the output at once; what has to be known of it first
 * (does it start on a new line?) follows from its type. Text takes the first
 * style that can hold it: plain, single quotes, literal or folded block, double
 * quotes. Widths count UTF-16 units, as the reference's do.
 */
#include "yaml/yaml_dump.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "value/value.h"

enum {
    INDENT = 2,
    LINE_WIDTH = 80,
    MIN_WIDTH = 40,
    LONG_KEY = 1024, /* a key longer than this (UTF-16 units) gets a "? " */
};

struct dump {
    struct buf *out;
    bool sort;
};

/* ---- Characters ---- */

/* The code point at s, lone surrogates as they are; *ret_len its bytes. */
static long code_point(const char *s, size_t left, size_t *ret_len) {
    const unsigned char *u = (const unsigned char *)s;
    size_t n = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    long c = n == 1 ? u[0] : u[0] & (0x7f >> n);

    if (n > left)
        n = left;
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (u[i] & 0x3f);
    *ret_len = n;
    return c;
}

static size_t units_of(long c) {
    return c >= 0x10000 ? 2 : 1;
}

static bool is_space(long c) {
    return c == ' ' || c == '\t';
}

static bool is_printable(long c) {
    return (c >= 0x20 && c <= 0x7e) ||
           (c >= 0xa1 && c <= 0xd7ff && c != 0x2028 && c != 0x2029) ||
           (c >= 0xe000 && c <= 0xfffd && c != 0xfeff) || (c >= 0x10000 && c <= 0x10ffff);
}

static bool is_content(long c) {
    return is_printable(c) && !is_space(c);
}

static bool is_plain_first(long c) {
    return is_content(c) && (c > 0x7e || !strchr("-?:,[]{}#&*!|=>'\"%@`", (int)c));
}

static bool is_plain_inside(long c, long before) {
    if (c == '#')
        return is_content(before);
    if (before == ':')
        return is_content(c);
    return is_printable(c);
}

/* ---- Text that would read as something else ---- */

static bool is_one_of(const char *s, size_t len, const char *const *words) {
    for (; *words; words++) {
        if (strlen(*words) == len && memcmp(*words, s, len) == 0)
            return true;
    }
    return false;
}

static size_t count_of(const char *s, const char *end, const char *set) {
    size_t n = 0;

    while (s + n < end && s[n] && strchr(set, s[n]))
        n++;
    return n;
}

#define DIGITS "0123456789"

/* [0-9_]+(:[0-9_]+)+(.[0-9_]*)? with a sign: YAML 1.1's base 60 */
static bool is_base_60(const char *s, size_t len) {
    const char *end = s + len;
    size_t n, groups = 0;

    if (s < end && (*s == '-' || *s == '+'))
        s++;
    n = count_of(s, end, DIGITS "_");
    if (!n)
        return false;
    for (s += n; s < end && *s == ':'; s += n + 1, groups++) {
        n = count_of(s + 1, end, DIGITS "_");
        if (!n)
            return false;
    }
    if (groups && s < end && *s == '.')
        s += 1 + count_of(s + 1, end, DIGITS "_");
    return groups && s == end;
}

/* An integer in base 2, 8, 10 or 16. */
static bool is_integer(const char *s, size_t len) {
    const char *end = s + len;
    const char *digits = DIGITS;

    if (s < end && (*s == '-' || *s == '+'))
        s++;
    if (end - s > 2 && s[0] == '0' && strchr("box", s[1])) {
        digits = s[1] == 'b' ? "01" : s[1] == 'o' ? "01234567" : DIGITS "abcdefABCDEF";
        s += 2;
    }
    return s < end && count_of(s, end, digits) == (size_t)(end - s) &&
           end - s < 308; /* beyond, the reference reads infinity */
}

static bool is_float(const char *s, size_t len) {
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan",
                                        ".NaN", ".NAN", NULL};
    const char *start = s, *end = s + len;
    size_t whole, part = 0;

    if (is_one_of(s, len, words))
        return true;
    if (s < end && (*s == '-' || *s == '+')) {
        if (is_one_of(s + 1, len - 1, words) && (s[2] | 0x20) == 'i')
            return true;
        s++;
    }
    whole = count_of(s, end, DIGITS);
    if (!whole && s != start) /* .5 takes no sign here */
        return false;
    s += whole;
    if (s < end && *s == '.') {
        part = count_of(s + 1, end, DIGITS);
        s += 1 + part;
    }
    if (!whole && !part)
        return false;
    if (s < end && (*s == 'e' || *s == 'E')) {
        size_t n;

        s++;
        if (s < end && (*s == '-' || *s == '+'))
            s++;
        n = count_of(s, end, DIGITS);
        if (!n)
            return false;
        s += n;
    }
    return s == end && isfinite(value_parse_float(start, len));
}

/* Takes between min and max digits; false when there are fewer. */
static bool take_digits(const char **s, const char *end, size_t min, size_t max) {
    size_t n = count_of(*s, end, DIGITS);

    if (n < min)
        return false;
    *s += n < max ? n : max;
    return true;
}

static bool take(const char **s, const char *end, const char *set) {
    if (*s >= end || !**s || !strchr(set, **s))
        return false;
    (*s)++;
    return true;
}

static bool take_zone(const char **s, const char *end) {
    *s += count_of(*s, end, " \t");
    if (take(s, end, "Z"))
        return true;
    if (!take(s, end, "-+") || !take_digits(s, end, 1, 2))
        return false;
    return !take(s, end, ":") || take_digits(s, end, 2, 2);
}

static bool is_timestamp(const char *s, size_t len) {
    const char *end = s + len;
    const char *start = s;
    size_t gap;

    if (!take_digits(&s, end, 4, 4) || !take(&s, end, "-") ||
        !take_digits(&s, end, 1, 2) || !take(&s, end, "-") || !take_digits(&s, end, 1, 2))
        return false;
    if (s == end)
        return s - start == 10;
    gap = count_of(s, end, " \t");
    if (gap)
        s += gap;
    else if (!take(&s, end, "Tt"))
        return false;
    if (!take_digits(&s, end, 1, 2) || !take(&s, end, ":") ||
        !take_digits(&s, end, 2, 2) || !take(&s, end, ":") || !take_digits(&s, end, 2, 2))
        return false;
    if (take(&s, end, "."))
        s += count_of(s, end, DIGITS);
    return s == end || (take_zone(&s, end) && s == end);
}

static bool is_ambiguous(const char *s, size_t len) {
    static const char *const words[] = {"~",    "null",  "Null",  "NULL",  "true", "True",
                                        "TRUE", "false", "False", "FALSE", "<<",   NULL};

    return is_one_of(s, len, words) || is_integer(s, len) || is_float(s, len) ||
           is_timestamp(s, len);
}

static bool is_old_word(const char *s, size_t len) {
    static const char *const words[] = {"y",  "Y",   "yes", "Yes", "YES", "on",
                                        "On", "ON",  "n",   "N",   "no",  "No",
                                        "NO", "off", "Off", "OFF", NULL};

    return is_one_of(s, len, words);
}

/* ---- Text ---- */

enum style {
    STYLE_PLAIN,
    STYLE_SINGLE,
    STYLE_LITERAL,
    STYLE_FOLDED,
    STYLE_DOUBLE,
};

static enum style choose_style(const char *s, size_t len, bool single_line,
                               size_t width) {
    bool plain, line_break = false, foldable = false;
    size_t n, line_units = 0, line_start = 0;
    long c = code_point(s, len, &n), before = -1;

    plain = is_plain_first(c) && !is_space(s[len - 1]) && s[len - 1] != ':';
    for (size_t i = 0; i < len; i += n) {
        c = code_point(s + i, len - i, &n);
        if (c == '\n' && !single_line) {
            line_break = true;
            foldable = foldable || (line_units > width && s[line_start] != ' ');
            line_start = i + 1;
            line_units = 0;
        } else if (!is_printable(c)) {
            return STYLE_DOUBLE;
        } else {
            line_units += units_of(c);
        }
        plain = plain && is_plain_inside(c, before);
        before = c;
    }
    foldable = !single_line && (foldable || (line_units > width && s[line_start] != ' '));
    if (line_break || foldable)
        return foldable ? STYLE_FOLDED : STYLE_LITERAL;
    return plain && !is_ambiguous(s, len) ? STYLE_PLAIN : STYLE_SINGLE;
}

static void add_single_quoted(struct buf *b, const char *s, size_t len) {
    buf_addc(b, '\'');
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\'')
            buf_addc(b, '\'');
        buf_addc(b, s[i]);
    }
    buf_addc(b, '\'');
}

static const char *escape_of(long c) {
    switch (c) {
    case 0x00:
        return "\\0";
    case 0x07:
        return "\\a";
    case 0x08:
        return "\\b";
    case 0x09:
        return "\\t";
    case 0x0a:
        return "\\n";
    case 0x0b:
        return "\\v";
    case 0x0c:
        return "\\f";
    case 0x0d:
        return "\\r";
    case 0x1b:
        return "\\e";
    case 0x22:
        return "\\\"";
    case 0x5c:
        return "\\\\";
    case 0x85:
        return "\\N";
    case 0xa0:
        return "\\_";
    case 0x2028:
        return "\\L";
    case 0x2029:
        return "\\P";
    }
    return NULL;
}

static void add_double_quoted(struct buf *b, const char *s, size_t len) {
    size_t n;

    buf_addc(b, '"');
    for (size_t i = 0; i < len; i += n) {
        long c = code_point(s + i, len - i, &n);
        const char *escape = escape_of(c);

        if (escape)
            buf_adds(b, escape);
        else if (is_printable(c))
            buf_add(b, s + i, n);
        else
            buf_addf(b,
                     c <= 0xff     ? "\\x%02lX"
                     : c <= 0xffff ? "\\u%04lX"
                                   : "\\U%08lX",
                     (unsigned long)c);
    }
    buf_addc(b, '"');
}

/* The indicators after | or >: a leading space needs the indent spelled out, and
 * the final newlines decide about chomping. */
static void add_block_header(struct buf *b, const char *s, size_t len) {
    size_t breaks = 0;

    while (breaks < len && s[breaks] == '\n')
        breaks++;
    if (breaks < len && s[breaks] == ' ')
        buf_addf(b, "%d", INDENT);
    if (s[len - 1] != '\n')
        buf_addc(b, '-');
    else if (len == 1 || s[len - 2] == '\n')
        buf_addc(b, '+');
    buf_addc(b, '\n');
}

static void add_spaces(struct buf *b, size_t n) {
    memset(buf_reserve(b, n), ' ', n);
    b->len += n;
    b->data[b->len] = '\0';
}

/* Indents every line but empty ones and leaves one final newline out: what
 * follows the block adds its own. */
static void add_indented(struct buf *b, const char *s, size_t len, size_t indent) {
    for (size_t i = 0; i < len;) {
        const char *nl = memchr(s + i, '\n', len - i);
        size_t n = nl ? (size_t)(nl - (s + i)) + 1 : len - i;

        if (n > 1 || !nl)
            add_spaces(b, indent);
        buf_add(b, s + i, n);
        i += n;
    }
    if (len && s[len - 1] == '\n')
        b->data[--b->len] = '\0';
}

static size_t width_of(const char *s, size_t len) {
    return value_utf16_length(s, len);
}

/*
 * Breaks one line greedily at single spaces that are followed by no space; a
 * line that starts with a space stays whole.
 */
static void fold_line(struct buf *b, const char *s, size_t len, size_t width) {
    size_t start = 0, last = 0; /* of the running line; last possible break */

    if (len == 0 || s[0] == ' ') {
        buf_add(b, s, len);
        return;
    }
    for (size_t next = 0; next + 1 < len; next++) {
        if (s[next] != ' ' || s[next + 1] == ' ')
            continue;
        if (width_of(s + start, next - start) > width) {
            size_t end = last > start ? last : next;

            buf_add(b, s + start, end - start);
            buf_addc(b, '\n');
            start = end + 1;
        }
        last = next;
        next++; /* a match takes the character behind the space, too */
    }
    if (last > start && width_of(s + start, len - start) > width) {
        buf_add(b, s + start, last - start);
        buf_addc(b, '\n');
        start = last + 1;
    }
    buf_add(b, s + start, len - start);
}

/* k newlines between two lines become k + 1, unless one of the lines is
 * indented further. */
static void fold_text(struct buf *b, const char *s, size_t len, size_t width) {
    const char *nl = memchr(s, '\n', len);
    size_t i = nl ? (size_t)(nl - s) : len;
    bool was_indented = s[0] == '\n' || s[0] == ' ';

    fold_line(b, s, i, width);
    while (i < len) {
        size_t breaks = 0, n;
        bool indented;

        while (i + breaks < len && s[i + breaks] == '\n')
            breaks++;
        buf_add(b, s + i, breaks);
        i += breaks;
        nl = memchr(s + i, '\n', len - i);
        n = nl ? (size_t)(nl - (s + i)) : len - i;
        indented = n && s[i] == ' ';
        if (!was_indented && !indented && n)
            buf_addc(b, '\n');
        fold_line(b, s + i, n, width);
        was_indented = indented;
        i += n;
    }
}

static void dump_text(struct buf *b, const char *s, size_t len, size_t level,
                      bool is_key) {
    size_t indent = INDENT * (level ? level : 1);
    size_t width = indent + MIN_WIDTH < LINE_WIDTH ? LINE_WIDTH - indent : MIN_WIDTH;
    struct buf folded = BUF_INIT;

    if (len == 0) {
        buf_adds(b, "''");
        return;
    }
    if (is_old_word(s, len) || is_base_60(s, len)) {
        add_single_quoted(b, s, len);
        return;
    }
    switch (choose_style(s, len, is_key, width)) {
    case STYLE_PLAIN:
        buf_add(b, s, len);
        break;
    case STYLE_SINGLE:
        add_single_quoted(b, s, len);
        break;
    case STYLE_LITERAL:
        buf_addc(b, '|');
        add_block_header(b, s, len);
        add_indented(b, s, len, indent);
        break;
    case STYLE_FOLDED:
        buf_addc(b, '>');
        add_block_header(b, s, len);
        fold_text(&folded, s, len, width);
        add_indented(b, folded.data, folded.len, indent);
        buf_fini(&folded);
        break;
    case STYLE_DOUBLE:
        add_double_quoted(b, s, len);
        break;
    }
}

/* ---- Nodes ---- */

static void dump_number(struct buf *b, double n) {
    char text[32];
    size_t len, digits;

    if (n != n) {
        buf_adds(b, ".nan");
    } else if (isinf(n)) {
        buf_adds(b, n > 0 ? ".inf" : "-.inf");
    } else if (n == 0 && signbit(n)) {
        buf_adds(b, "-0.0");
    } else {
        len = value_format_number(n, text);
        digits = text[0] == '-';
        digits += count_of(text + digits, text + len, DIGITS);
        /* YAML wants a dot in 5e-7 */
        if (digits < len && text[digits] == 'e' && n != trunc(n)) {
            buf_add(b, text, digits);
            buf_addc(b, '.');
            buf_add(b, text + digits, len - digits);
        } else {
            buf_add(b, text, len);
        }
    }
}

static void dump_node(struct dump *d, const struct value *v, size_t level, bool compact);

static void next_line(struct dump *d, size_t level) {
    buf_addc(d->out, '\n');
    add_spaces(d->out, INDENT * level);
}

/* Does the node start on a line of its own, when it may not share one? */
static bool starts_below(const struct value *v) {
    if (value_is_array(v))
        return v->len > 0;
    for (VALUE_EACH_MEMBER(m, v)) {
        if (!value_is(&m->value, VALUE_UNDEFINED))
            return true;
    }
    return false;
}

static void dump_array(struct dump *d, const struct value *v, size_t level,
                       bool compact) {
    for (VALUE_EACH_ITEM(item, v)) {
        if (!compact || item != v->items)
            next_line(d, level);
        buf_adds(d->out, "- ");
        dump_node(d, value_is(item, VALUE_UNDEFINED) ? &value_null : item, level + 1,
                  true);
    }
}

static int by_key(const void *x, const void *y) {
    const struct member *a = *(const struct member *const *)x;
    const struct member *b = *(const struct member *const *)y;
    struct value ka = value_string_ref(a->key, a->key_len);
    struct value kb = value_string_ref(b->key, b->key_len);

    return value_compare_strings(&ka, &kb);
}

static void dump_member(struct dump *d, const struct member *m, size_t level) {
    size_t mark = d->out->len;
    bool explicit_key;

    dump_text(d->out, m->key, m->key_len, level + 1, true);
    explicit_key = width_of(d->out->data + mark, d->out->len - mark) > LONG_KEY;
    if (explicit_key) {
        d->out->len = mark;
        buf_adds(d->out, "? ");
        dump_text(d->out, m->key, m->key_len, level + 1, true);
        next_line(d, level);
    }
    buf_addc(d->out, ':');
    if (explicit_key || !starts_below(&m->value))
        buf_addc(d->out, ' ');
    dump_node(d, &m->value, level + 1, explicit_key);
}

static void dump_object(struct dump *d, const struct value *v, size_t level,
                        bool compact) {
    const struct member **members = malloc(v->len * sizeof *members);
    size_t n = 0;

    if (!members)
        abort();
    for (VALUE_EACH_MEMBER(m, v)) {
        if (!value_is(&m->value, VALUE_UNDEFINED))
            members[n++] = m;
    }
    if (d->sort)
        qsort(members, n, sizeof *members, by_key);
    for (size_t i = 0; i < n; i++) {
        if (!compact || i)
            next_line(d, level);
        dump_member(d, members[i], level);
    }
    free(members);
}

/* compact: the first entry may share the line with what is there. */
static void dump_node(struct dump *d, const struct value *v, size_t level, bool compact) {
    char text[32];

    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        buf_adds(d->out, "null");
        break;
    case VALUE_BOOL:
        buf_adds(d->out, v->boolean ? "true" : "false");
        break;
    case VALUE_NUMBER:
        dump_number(d->out, v->number);
        break;
    case VALUE_STRING:
        dump_text(d->out, v->str, v->len, level, false);
        break;
    case VALUE_DATE:
        buf_add(d->out, text, value_format_date(v->number, text));
        break;
    case VALUE_ARRAY:
        if (v->len)
            dump_array(d, v, level, compact);
        else
            buf_adds(d->out, "[]");
        break;
    case VALUE_OBJECT:
        if (starts_below(v))
            dump_object(d, v, level, compact);
        else
            buf_adds(d->out, "{}");
        break;
    }
}

void yaml_dump(struct buf *b, const struct value *v, unsigned flags) {
    struct dump d = {b, (flags & YAML_DUMP_SORT_KEYS) != 0};

    if (value_is(v, VALUE_UNDEFINED))
        return;
    dump_node(&d, v, 0, true);
    buf_addc(b, '\n');
}
