/*
 * jsonata_pattern.c - JavaScript's regular expressions in PCRE2's words.
 *
 * Strings of JavaScript are UTF-16, and without the flag u a pattern is about
 * code units; so subjects go to PCRE2's 16-bit library without UTF, and every
 * construct is written out in units: classes as ranges, assertions as look-arounds
 * over JavaScript's line ends and word characters. What PCRE2 knows and JavaScript
 * does not never reaches it.
 */
#include "jsonata_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

#define MAX_REPEAT 65535
#define MAX_GROUPS 1000

struct range {
    uint16_t from, to;
};

static const struct range digit_ranges[] = {{'0', '9'}};
static const struct range word_ranges[] = {
    {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct range space_ranges[] = {
    {0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
    {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
static const struct range newline_ranges[] = {
    {'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

#define WORD "[0-9A-Z_a-z]"

struct set {
    struct range *items;
    size_t len, cap;
};

/* What a quantifier may follow. */
enum last { LAST_NOTHING, LAST_ATOM, LAST_QUANTIFIED };

struct group_name {
    const uint16_t *u;
    size_t len, number;
};

struct translation {
    struct arena *arena;
    struct units in;
    size_t i;
    struct buf *out;
    bool wide, multiline;
    enum last last;
    size_t groups, n_names;
    struct group_name *names;
    bool *open; /* stack of open groups: may what closes be quantified? */
    size_t depth;
    const char *error;
};

static int fail(struct translation *t, const char *error) {
    t->error = error;
    return -1;
}

/* The unit at offset k from the present one, 0 behind the end. */
static uint16_t peek(const struct translation *t, size_t k) {
    return t->i + k < t->in.len ? t->in.u[t->i + k] : 0;
}

static bool at_end(const struct translation *t) {
    return t->i >= t->in.len;
}

/* ---- sets of units ---- */

static void add_range(struct translation *t, struct set *s, uint16_t from, uint16_t to) {
    if (s->len == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;

        s->items = arena_grow(t->arena, s->items, s->cap * sizeof(*s->items),
                              cap * sizeof(*s->items));
        s->cap = cap;
    }
    s->items[s->len++] = (struct range){from, to};
}

static void add_ranges(struct translation *t, struct set *s, const struct range *ranges,
                       size_t n, bool negated) {
    uint32_t next = 0;

    for (size_t i = 0; i < n; i++) {
        if (!negated)
            add_range(t, s, ranges[i].from, ranges[i].to);
        else if (ranges[i].from > next)
            add_range(t, s, (uint16_t)next, (uint16_t)(ranges[i].from - 1));
        next = ranges[i].to + 1u;
    }
    if (negated && next <= 0xFFFF)
        add_range(t, s, (uint16_t)next, 0xFFFF);
}

/* d, w, s and their opposites. */
static bool add_class_escape(struct translation *t, struct set *s, uint16_t c) {
    switch (c) {
    case 'd':
    case 'D':
        add_ranges(t, s, digit_ranges, 1, c == 'D');
        return true;
    case 'w':
    case 'W':
        add_ranges(t, s, word_ranges, 4, c == 'W');
        return true;
    case 's':
    case 'S':
        add_ranges(t, s, space_ranges, sizeof(space_ranges) / sizeof(*space_ranges),
                   c == 'S');
        return true;
    default:
        return false;
    }
}

static void write_set(struct translation *t, const struct set *s, bool negated) {
    unsigned most = t->wide ? 0xFFFF : 0x7F;
    size_t start = t->out->len, kept = 0;

    buf_adds(t->out, negated ? "[^" : "[");
    for (size_t i = 0; i < s->len; i++) {
        unsigned from = s->items[i].from, to = s->items[i].to;

        if (from > most)
            continue;
        if (to > most)
            to = most;
        if (from == to)
            buf_addf(t->out, "\\x{%x}", from);
        else
            buf_addf(t->out, "\\x{%x}-\\x{%x}", from, to);
        kept++;
    }
    buf_addc(t->out, ']');
    if (kept)
        return;
    t->out->len = start;
    if (negated)
        buf_addf(t->out, "[\\x{0}-\\x{%x}]", most);
    else
        buf_adds(t->out, "(?!)");
}

static void write_ranges(struct translation *t, const struct range *ranges, size_t n,
                         bool negated) {
    struct set s = {0};

    add_ranges(t, &s, ranges, n, false);
    write_set(t, &s, negated);
}

static void write_unit(struct translation *t, uint16_t c) {
    if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 128))
        buf_addc(t->out, (char)c);
    else if (c > 0x7F && !t->wide)
        buf_adds(t->out, "(?!)");
    else
        buf_addf(t->out, "\\x{%x}", c);
}

/* ---- escapes ---- */

static int hex_of(uint16_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c > 127)
        return -1;
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n hex digits from offset k; -1 when they are not there. */
static int32_t hex_digits(const struct translation *t, size_t k, int n) {
    int32_t value = 0;

    for (int i = 0; i < n; i++) {
        int digit = hex_of(peek(t, k + (size_t)i));

        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static uint16_t octal(struct translation *t) {
    unsigned value = 0;

    while (peek(t, 0) >= '0' && peek(t, 0) <= '7' &&
           value * 8 + (peek(t, 0) - '0') <= 255) {
        value = value * 8 + (peek(t, 0) - '0');
        t->i++;
    }
    return (uint16_t)value;
}

/*
 * An escape that stands for one unit, t->i at the character after the backslash;
 * moves behind it.
 */
static uint16_t unit_escape(struct translation *t) {
    uint16_t c = peek(t, 0);
    int32_t value;

    switch (c) {
    case 'f':
        t->i++;
        return '\f';
    case 'n':
        t->i++;
        return '\n';
    case 'r':
        t->i++;
        return '\r';
    case 't':
        t->i++;
        return '\t';
    case 'v':
        t->i++;
        return '\v';
    case 'x':
    case 'u':
        value = hex_digits(t, 1, c == 'x' ? 2 : 4);
        t->i++;
        if (value < 0)
            return c;
        t->i += c == 'x' ? 2 : 4;
        return (uint16_t)value;
    case 'c':
        value = peek(t, 1);
        if ((value | 0x20) >= 'a' && (value | 0x20) <= 'z') {
            t->i += 2;
            return (uint16_t)(value & 31);
        }
        return '\\'; /* and the c comes next */
    default:
        if (c >= '0' && c <= '7')
            return octal(t);
        t->i++;
        return c;
    }
}

/* ---- classes ---- */

/* One member: a unit in *ret, or a set added to s (false). */
static bool class_member(struct translation *t, struct set *s, uint16_t *ret) {
    uint16_t c = peek(t, 0);

    t->i++;
    if (c != '\\' || at_end(t)) {
        *ret = c;
        return true;
    }
    c = peek(t, 0);
    if (add_class_escape(t, s, c)) {
        t->i++;
        return false;
    }
    if (c == 'b') {
        t->i++;
        *ret = '\b';
        return true;
    }
    *ret = unit_escape(t);
    return true;
}

/* t->i is behind the opening bracket. */
static int write_class(struct translation *t) {
    struct set s = {0};
    bool negated = peek(t, 0) == '^' && !at_end(t);

    t->i += negated;
    while (!at_end(t) && peek(t, 0) != ']') {
        uint16_t from = 0, to = 0;
        bool from_is_unit = class_member(t, &s, &from), to_is_unit;

        if (at_end(t) || peek(t, 0) != '-' || t->i + 1 >= t->in.len ||
            peek(t, 1) == ']') {
            if (from_is_unit)
                add_range(t, &s, from, from);
            continue;
        }
        t->i++;
        to_is_unit = class_member(t, &s, &to);
        if (from_is_unit && to_is_unit) {
            if (from > to)
                return fail(t, "Range out of order in character class");
            add_range(t, &s, from, to);
            continue;
        }
        /* A class is no end of a range: the dash stands for itself. */
        add_range(t, &s, '-', '-');
        if (from_is_unit)
            add_range(t, &s, from, from);
        if (to_is_unit)
            add_range(t, &s, to, to);
    }
    if (at_end(t))
        return fail(t, "Unterminated character class");
    t->i++;
    write_set(t, &s, negated);
    t->last = LAST_ATOM;
    return 0;
}

/* ---- groups ---- */

static bool is_name_unit(uint16_t c) {
    return c > 127 || c == '$' || c == '_' || (c >= '0' && c <= '9') ||
           ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Length of a name that stands at k and ends with `>`; 0 when there is none. */
static size_t name_length(struct units in, size_t k) {
    size_t n = 0;

    while (k + n < in.len && is_name_unit(in.u[k + n]))
        n++;
    return k + n < in.len && in.u[k + n] == '>' && !(in.u[k] >= '0' && in.u[k] <= '9')
               ? n
               : 0;
}

static const struct group_name *find_name(const struct translation *t, const uint16_t *u,
                                          size_t len) {
    for (size_t i = 0; i < t->n_names; i++)
        if (t->names[i].len == len && memcmp(t->names[i].u, u, 2 * len) == 0)
            return &t->names[i];
    return NULL;
}

/* Counts the capturing groups and notes their names, before translation. */
static int count_groups(struct translation *t) {
    struct units in = t->in;
    bool in_class = false;

    for (size_t i = 0; i < in.len; i++) {
        size_t n;

        if (in.u[i] == '\\') {
            i++;
        } else if (in.u[i] == '[') {
            in_class = true;
        } else if (in.u[i] == ']') {
            in_class = false;
        } else if (in.u[i] == '(' && !in_class) {
            if (i + 1 >= in.len || in.u[i + 1] != '?') {
                t->groups++;
                continue;
            }
            if (i + 3 >= in.len || in.u[i + 2] != '<' || in.u[i + 3] == '=' ||
                in.u[i + 3] == '!')
                continue;
            n = name_length(in, i + 3);
            if (n == 0)
                return fail(t, "Invalid capture group name");
            if (find_name(t, in.u + i + 3, n))
                return fail(t, "Duplicate capture group name");
            if (t->n_names == MAX_GROUPS)
                return fail(t, "Too many groups");
            t->names[t->n_names++] = (struct group_name){in.u + i + 3, n, ++t->groups};
        }
    }
    return t->groups > MAX_GROUPS ? fail(t, "Too many groups") : 0;
}

/* t->i is behind the opening parenthesis. */
static int open_group(struct translation *t) {
    static const char *const heads[] = {"?:", "?=", "?!", "?<=", "?<!"};
    bool quantifiable = true;

    buf_addc(t->out, '(');
    if (peek(t, 0) == '?' && !at_end(t)) {
        size_t k = 0, len = 0;

        for (; k < 5; k++) {
            len = strlen(heads[k]);
            if (peek(t, 1) == (uint16_t)heads[k][1] &&
                (len == 2 || peek(t, 2) == (uint16_t)heads[k][2]))
                break;
        }
        if (k < 5) {
            buf_adds(t->out, heads[k]);
            t->i += len;
            quantifiable = k < 3;
        } else if (peek(t, 1) == '<') {
            t->i += name_length(t->in, t->i + 2) + 3;
        } else {
            return fail(t, "Invalid group");
        }
    }
    t->open[t->depth++] = quantifiable;
    t->last = LAST_NOTHING;
    return 0;
}

static int close_group(struct translation *t) {
    if (t->depth == 0)
        return fail(t, "Unmatched ')'");
    buf_addc(t->out, ')');
    t->last = t->open[--t->depth] ? LAST_ATOM : LAST_NOTHING;
    return 0;
}

static void write_reference(struct translation *t, size_t number) {
    buf_addf(t->out, "(?:\\g{%zu})", number);
    t->last = LAST_ATOM;
}

/* \1: a group when there are so many, else an old octal escape or the digit. */
static void write_decimal_escape(struct translation *t) {
    size_t number = 0, k = 0;

    while (peek(t, k) >= '0' && peek(t, k) <= '9' && number <= MAX_GROUPS)
        number = number * 10 + (peek(t, k++) - '0');
    if (number >= 1 && number <= t->groups) {
        t->i += k;
        write_reference(t, number);
        return;
    }
    write_unit(t, unit_escape(t));
    t->last = LAST_ATOM;
}

/* t->i is behind the backslash. */
static int write_escape(struct translation *t) {
    struct set s = {0};
    uint16_t c = peek(t, 0);

    if (at_end(t))
        return fail(t, "\\ at end of pattern");
    if (c == 'b' || c == 'B') {
        t->i++;
        buf_adds(t->out, c == 'b'
                             ? "(?:(?<=" WORD ")(?!" WORD ")|(?<!" WORD ")(?=" WORD "))"
                             : "(?:(?<=" WORD ")(?=" WORD ")|(?<!" WORD ")(?!" WORD "))");
        t->last = LAST_NOTHING;
        return 0;
    }
    if (c == 'k' && t->n_names) {
        size_t n = peek(t, 1) == '<' ? name_length(t->in, t->i + 2) : 0;
        const struct group_name *name = n ? find_name(t, t->in.u + t->i + 2, n) : NULL;

        if (!name)
            return fail(t, "Invalid named reference");
        t->i += n + 3;
        write_reference(t, name->number);
        return 0;
    }
    if (c >= '1' && c <= '9') {
        write_decimal_escape(t);
        return 0;
    }
    if (add_class_escape(t, &s, c)) {
        t->i++;
        write_set(t, &s, false);
    } else {
        write_unit(t, unit_escape(t));
    }
    t->last = LAST_ATOM;
    return 0;
}

/* ---- quantifiers ---- */

static size_t read_number(const struct translation *t, size_t *k) {
    size_t n = 0;

    for (; peek(t, *k) >= '0' && peek(t, *k) <= '9'; (*k)++)
        if (n <= MAX_REPEAT)
            n = n * 10 + (peek(t, *k) - '0');
    return n;
}

/* {n}, {n,} or {n,m} at t->i: its length, 0 when it is none. */
static size_t braces(const struct translation *t, size_t *ret_min, size_t *ret_max,
                     bool *ret_bounded) {
    size_t k = 1, start = k;

    *ret_min = read_number(t, &k);
    if (k == start)
        return 0;
    *ret_max = *ret_min;
    *ret_bounded = true;
    if (peek(t, k) == ',') {
        start = ++k;
        *ret_max = read_number(t, &k);
        *ret_bounded = k > start;
    }
    return peek(t, k) == '}' ? k + 1 : 0;
}

static int quantify(struct translation *t) {
    size_t min, max, length = 1;
    bool bounded;

    if (t->last != LAST_ATOM)
        return fail(t, "Nothing to repeat");
    if (peek(t, 0) == '{') {
        length = braces(t, &min, &max, &bounded);
        if (bounded && min > max)
            return fail(t, "numbers out of order in {} quantifier");
        if (min > MAX_REPEAT)
            return fail(t, "Quantifier is too large");
        if (bounded && max <= MAX_REPEAT)
            buf_addf(t->out, "{%zu,%zu}", min, max);
        else
            buf_addf(t->out, "{%zu,}", min);
    } else {
        buf_addc(t->out, (char)peek(t, 0));
    }
    t->i += length;
    if (peek(t, 0) == '?' && !at_end(t)) {
        buf_addc(t->out, '?');
        t->i++;
    }
    t->last = LAST_QUANTIFIED;
    return 0;
}

static bool at_quantifier(const struct translation *t) {
    size_t min, max;
    bool bounded;

    switch (peek(t, 0)) {
    case '*':
    case '+':
    case '?':
        return true;
    case '{':
        return braces(t, &min, &max, &bounded) != 0;
    default:
        return false;
    }
}

/* ---- the whole ---- */

static void write_line_start(struct translation *t) {
    if (t->multiline) {
        buf_adds(t->out, "(?:\\A|(?<=");
        write_ranges(t, newline_ranges, 3, false);
        buf_adds(t->out, "))");
    } else {
        buf_adds(t->out, "\\A");
    }
    t->last = LAST_NOTHING;
}

static void write_line_end(struct translation *t) {
    if (t->multiline) {
        buf_adds(t->out, "(?:\\z|(?=");
        write_ranges(t, newline_ranges, 3, false);
        buf_adds(t->out, "))");
    } else {
        buf_adds(t->out, "\\z");
    }
    t->last = LAST_NOTHING;
}

static int translate_next(struct translation *t) {
    uint16_t c = peek(t, 0);

    if (at_quantifier(t))
        return quantify(t);
    t->i++;
    switch (c) {
    case '|':
        buf_addc(t->out, '|');
        t->last = LAST_NOTHING;
        return 0;
    case '(':
        return open_group(t);
    case ')':
        return close_group(t);
    case '[':
        return write_class(t);
    case '\\':
        return write_escape(t);
    case '^':
        write_line_start(t);
        return 0;
    case '$':
        write_line_end(t);
        return 0;
    case '.':
        write_ranges(t, newline_ranges, 3, true);
        t->last = LAST_ATOM;
        return 0;
    default:
        write_unit(t, c);
        t->last = LAST_ATOM;
        return 0;
    }
}

int jsonata_pattern_translate(struct arena *a, struct units pattern, bool multiline,
                              bool wide, struct buf *out, const char **ret_error) {
    struct translation t = {
        .arena = a, .in = pattern, .out = out, .wide = wide, .multiline = multiline};

    t.names = arena_alloc(a, MAX_GROUPS * sizeof(*t.names));
    t.open = arena_alloc(a, pattern.len + 1);
    if (count_groups(&t) == 0)
        while (!at_end(&t) && translate_next(&t) == 0)
            ;
    if (!t.error && t.depth)
        t.error = "Unterminated group";
    *ret_error = t.error;
    return t.error ? -1 : 0;
}
