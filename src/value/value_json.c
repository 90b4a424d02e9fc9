/*
 * value_json.c - JSON text to values and back.
 *
 * The parser is one pass of recursive descent. Items and members of containers
 * that are still open stand on two scratch stacks; when a container closes, its
 * part of the stack is copied into the arena in its exact size. Member names
 * repeat from record to record, so a small cache gives the same copy again.
 * Runs of ordinary text are found 16 bytes at a time.
 */
#include "value.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value_priv.h"

#define DEFAULT_DEPTH 512
#define CACHED_KEYS   256 /* a power of two */
#define CACHED_LEN    64  /* longer names are not looked up */

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* ---- finding the end of ordinary text ---- */

/*
 * Position of the first byte from p that is a control character, a quote or a
 * backslash, or from `odd` upwards (0x80: anything but ASCII; 0xED: what may be
 * a surrogate, and more); end when there is none.
 */
static const char *skip_plain(const char *p, const char *end, unsigned char odd) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1F);
    const __m128i high = _mm_set1_epi8((char)odd);

    for (; end - p >= 16; p += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)p);
        __m128i hit = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(text, quote), _mm_cmpeq_epi8(text, slash)),
            _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(text, control), text),
                         _mm_cmpeq_epi8(_mm_max_epu8(text, high), text)));
        int mask = _mm_movemask_epi8(hit);

        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;

        if (c < 0x20 || c == '"' || c == '\\' || c >= odd)
            return p;
    }
    return end;
}

/* ---- parsing ---- */

struct parser {
    struct arena *arena;
    const char *text, *p, *end;
    size_t depth_left;
    const char *problem; /* of the first error, which stands at p */
    struct value *items;
    size_t items_len, items_cap;
    struct member *members;
    size_t members_len, members_cap;
    struct buf scratch; /* a string with escapes or bad UTF-8 */
    struct {
        const char *key;
        uint32_t len, hash;
    } keys[CACHED_KEYS];
};

static bool parse_value(struct parser *ps, struct value *out);

static bool fail_at(struct parser *ps, const char *p, const char *problem) {
    ps->p = p;
    ps->problem = problem;
    return false;
}

static bool fail(struct parser *ps, const char *problem) {
    return fail_at(ps, ps->p, problem);
}

static void *grow_stack(void *stack, size_t *cap, size_t item_size) {
    *cap = *cap ? *cap * 2 : 64;
    stack = realloc(stack, *cap * item_size);
    if (!stack)
        abort();
    return stack;
}

static inline void skip_space(struct parser *ps) {
    const char *p = ps->p;

    while (p < ps->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    ps->p = p;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \uXXXX at p; -1 when they are not there. */
static int32_t read_hex4(const char *p, const char *end) {
    int32_t n = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);

        if (digit < 0)
            return -1;
        n = n << 4 | digit;
    }
    return n;
}

/* p is after "\u". Joins a pair of escapes. NULL when it is none. */
static const char *read_unicode_escape(const char *p, const char *end, struct buf *out) {
    int32_t unit = read_hex4(p, end), low;
    char utf8[4];

    if (unit < 0)
        return NULL;
    p += 4;
    if (unit >= 0xD800 && unit < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        low = read_hex4(p + 2, end);
        if (low >= 0xDC00 && low < 0xE000) {
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            p += 6;
        }
    }
    buf_add(out, utf8, value_put_utf8(utf8, (uint32_t)unit));
    return p;
}

static const char *read_escape(struct parser *ps, const char *p) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found, *after;

    if (p + 1 >= ps->end)
        return fail_at(ps, ps->end, "unterminated string"), NULL;
    if (p[1] == 'u') {
        after = read_unicode_escape(p + 2, ps->end, &ps->scratch);
        if (!after)
            fail_at(ps, p, "bad \\u escape");
        return after;
    }
    found = p[1] ? strchr(from, p[1]) : NULL;
    if (!found)
        return fail_at(ps, p, "bad escape"), NULL;
    buf_addc(&ps->scratch, to[found - from]);
    return p + 2;
}

/* From the first byte that is not plain, to the closing quote. */
static bool read_odd_string(struct parser *ps, const char *start, const char *p) {
    struct buf *out = &ps->scratch;

    buf_clear(out);
    buf_add(out, start, (size_t)(p - start));
    while (p < ps->end && *p != '"') {
        unsigned char c = (unsigned char)*p;

        if (c == '\\') {
            p = read_escape(ps, p);
            if (!p)
                return false;
        } else if (c < 0x20) {
            return fail_at(ps, p, "control character in string");
        } else if (c < 0x80) {
            const char *stop = skip_plain(p, ps->end, 0x80);

            buf_add(out, p, (size_t)(stop - p));
            p = stop;
        } else {
            size_t bad;
            size_t n = value_utf8_char((const unsigned char *)p,
                                       (const unsigned char *)ps->end, &bad);

            if (n)
                buf_add(out, p, n);
            else
                buf_add(out, replacement, 3);
            p += n ? n : bad;
        }
    }
    if (p >= ps->end)
        return fail_at(ps, ps->end, "unterminated string");
    ps->p = p + 1;
    return true;
}

/*
 * Reads a string whose opening quote is at p. The text lends from the input or
 * from the scratch buffer.
 */
static inline bool read_string(struct parser *ps, struct bytes *ret_text) {
    const char *start = ps->p + 1, *p = skip_plain(start, ps->end, 0x80);

    if (p < ps->end && *p == '"') {
        *ret_text = (struct bytes){start, (size_t)(p - start)};
        ps->p = p + 1;
        return true;
    }
    /* Well-formed UTF-8 needs no copy either. */
    while (p < ps->end && (unsigned char)*p >= 0x80) {
        size_t bad, n = value_utf8_char((const unsigned char *)p,
                                        (const unsigned char *)ps->end, &bad);

        if (n == 0)
            break;
        p += n;
        if (p < ps->end && (unsigned char)*p < 0x80)
            p = skip_plain(p, ps->end, 0x80);
    }
    if (p < ps->end && *p == '"') {
        *ret_text = (struct bytes){start, (size_t)(p - start)};
        ps->p = p + 1;
        return true;
    }
    if (!read_odd_string(ps, start, p))
        return false;
    *ret_text = (struct bytes){ps->scratch.data ? ps->scratch.data : "", ps->scratch.len};
    return true;
}

static void set_key(struct parser *ps, struct bytes text, struct member *m) {
    uint32_t hash = value_hash_key(text.data, text.len);
    size_t slot = hash & (CACHED_KEYS - 1);

    m->hash = hash;
    m->key_len = (uint32_t)text.len;
    if (text.len <= CACHED_LEN && ps->keys[slot].key && ps->keys[slot].hash == hash &&
        ps->keys[slot].len == text.len &&
        memcmp(ps->keys[slot].key, text.data, text.len) == 0) {
        m->key = ps->keys[slot].key;
        return;
    }
    m->key = arena_memdup(ps->arena, text.data, text.len);
    if (text.len <= CACHED_LEN) {
        ps->keys[slot].key = m->key;
        ps->keys[slot].len = m->key_len;
        ps->keys[slot].hash = hash;
    }
}

static bool parse_array(struct parser *ps, struct value *out) {
    size_t base = ps->items_len, n;
    struct value *items;

    ps->p++;
    skip_space(ps);
    if (ps->p < ps->end && *ps->p == ']') {
        ps->p++;
        *out = value_empty_array;
        return true;
    }
    for (;;) {
        struct value item;

        if (!parse_value(ps, &item))
            return false;
        if (ps->items_len == ps->items_cap)
            ps->items = grow_stack(ps->items, &ps->items_cap, sizeof(*ps->items));
        ps->items[ps->items_len++] = item;
        skip_space(ps);
        if (ps->p < ps->end && *ps->p == ',')
            ps->p++;
        else
            break;
    }
    if (ps->p == ps->end || *ps->p != ']')
        return fail(ps, "expected ',' or ']'");
    ps->p++;
    n = ps->items_len - base;
    items = arena_alloc(ps->arena, n * sizeof(*items));
    memcpy(items, ps->items + base, n * sizeof(*items));
    ps->items_len = base;
    *out = (struct value){.type = VALUE_ARRAY, .len = (uint32_t)n, .items = items};
    return true;
}

static bool parse_member(struct parser *ps) {
    struct bytes key;
    struct member m;

    skip_space(ps);
    if (ps->p == ps->end || *ps->p != '"')
        return fail(ps, "expected a name in double quotes");
    if (!read_string(ps, &key))
        return false;
    set_key(ps, key, &m);
    skip_space(ps);
    if (ps->p == ps->end || *ps->p != ':')
        return fail(ps, "expected ':'");
    ps->p++;
    if (!parse_value(ps, &m.value))
        return false;
    if (ps->members_len == ps->members_cap)
        ps->members = grow_stack(ps->members, &ps->members_cap, sizeof(*ps->members));
    ps->members[ps->members_len++] = m;
    return true;
}

static bool parse_object(struct parser *ps, struct value *out) {
    size_t base = ps->members_len;

    ps->p++;
    skip_space(ps);
    if (ps->p < ps->end && *ps->p == '}') {
        ps->p++;
        *out = value_empty_object;
        return true;
    }
    for (;;) {
        if (!parse_member(ps))
            return false;
        skip_space(ps);
        if (ps->p < ps->end && *ps->p == ',')
            ps->p++;
        else
            break;
    }
    if (ps->p == ps->end || *ps->p != '}')
        return fail(ps, "expected ',' or '}'");
    ps->p++;
    *out =
        value_object_from_members(ps->arena, ps->members + base, ps->members_len - base);
    ps->members_len = base;
    return true;
}

static bool parse_word(struct parser *ps, const char *word, size_t len,
                       const struct value *v, struct value *out) {
    if ((size_t)(ps->end - ps->p) < len || memcmp(ps->p, word, len) != 0)
        return fail(ps, "unexpected character");
    ps->p += len;
    *out = *v;
    return true;
}

static bool parse_number(struct parser *ps, struct value *out) {
    const char *after;
    double n;

    after = value_scan_json_number(ps->p, ps->end, &n);
    if (!after)
        return fail(ps, "bad number");
    ps->p = after;
    *out = (struct value){.type = VALUE_NUMBER, .number = n};
    return true;
}

static bool parse_string(struct parser *ps, struct value *out) {
    struct bytes text;

    if (!read_string(ps, &text))
        return false;
    *out = text.len
               ? value_string_ref(arena_memdup(ps->arena, text.data, text.len), text.len)
               : value_empty_string;
    return true;
}

static bool parse_container(struct parser *ps, struct value *out) {
    bool ok;

    if (ps->depth_left == 0)
        return fail(ps, "nested too deeply");
    ps->depth_left--;
    ok = *ps->p == '[' ? parse_array(ps, out) : parse_object(ps, out);
    ps->depth_left++;
    return ok;
}

static bool parse_value(struct parser *ps, struct value *out) {
    skip_space(ps);
    if (ps->p == ps->end)
        return fail(ps, "unexpected end of text");
    switch (*ps->p) {
    case '"':
        return parse_string(ps, out);
    case '[':
    case '{':
        return parse_container(ps, out);
    case 't':
        return parse_word(ps, "true", 4, &value_true, out);
    case 'f':
        return parse_word(ps, "false", 5, &value_false, out);
    case 'n':
        return parse_word(ps, "null", 4, &value_null, out);
    case '-':
    case '0' ... '9':
        return parse_number(ps, out);
    default:
        return fail(ps, "unexpected character");
    }
}

static int report(const struct parser *ps, struct status *st) {
    size_t line = 1;
    const char *start = ps->text;

    for (const char *p = ps->text; p < ps->p; p++)
        if (*p == '\n') {
            line++;
            start = p + 1;
        }
    return st_fail(st, ST_BAD_REQUEST, "invalid_json",
                   "Invalid JSON at line %zu, column %zu: %s", line,
                   value_utf16_length(start, (size_t)(ps->p - start)) + 1, ps->problem);
}

int value_parse(struct arena *a, const char *text, size_t len,
                const struct value_limits *limits, const struct value **ret_value,
                struct status *st) {
    struct parser ps;
    struct value root;
    bool ok;

    if ((limits && limits->max_bytes && len > limits->max_bytes) || len >= UINT32_MAX)
        return st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                       "JSON of %zu bytes is too large", len);
    memset(&ps, 0, sizeof(ps));
    ps.arena = a;
    ps.text = ps.p = text;
    ps.end = text + len;
    ps.depth_left = limits && limits->max_depth ? limits->max_depth : DEFAULT_DEPTH;
    ok = parse_value(&ps, &root);
    if (ok) {
        skip_space(&ps);
        if (ps.p < ps.end)
            ok = fail(&ps, "unexpected text after the value");
    }
    free(ps.items);
    free(ps.members);
    buf_fini(&ps.scratch);
    if (!ok)
        return report(&ps, st);
    *ret_value = value_box(a, root);
    return 0;
}

/* ---- encoding ---- */

struct encoder {
    struct buf *out;
    unsigned flags;
    size_t depth; /* for indentation */
};

static void encode(struct encoder *e, const struct value *v);

/* Room for n bytes (and a NUL); the caller advances out->len. */
static inline char *room(struct buf *b, size_t n) {
    return b->len + n < b->cap ? b->data + b->len : buf_reserve(b, n);
}

static inline void add_char(struct buf *b, char c) {
    *room(b, 1) = c;
    b->len++;
}

static inline void add_text(struct buf *b, const char *s, size_t len) {
    memcpy(room(b, len), s, len);
    b->len += len;
}

/* p is not plain: writes it escaped, if it must be, and gives what follows. */
static const char *encode_odd(struct buf *b, const char *p, const char *end) {
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*p;
    static const char short_form[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char *out = room(b, 6);

    if (c == '"' || c == '\\' || (c < 0x20 && short_form[c])) {
        out[0] = '\\';
        out[1] = c < 0x20 ? short_form[c] : (char)c;
        b->len += 2;
        return p + 1;
    }
    if (c < 0x20) {
        memcpy(out, "\\u00", 4);
        out[4] = hex[c >> 4];
        out[5] = hex[c & 15];
        b->len += 6;
        return p + 1;
    }
    if (c == 0xED && end - p >= 3 && (unsigned char)p[1] >= 0xA0) {
        unsigned char second = (unsigned char)p[1], third = (unsigned char)p[2];

        memcpy(out, "\\ud", 3);
        out[3] = hex[second >> 2 & 15];
        out[4] = hex[(second << 2 | (third >> 4 & 3)) & 15];
        out[5] = hex[third & 15];
        b->len += 6;
        return p + 3;
    }
    out[0] = (char)c;
    b->len++;
    return p + 1;
}

static void encode_string(struct buf *b, const char *s, size_t len) {
    const char *end = s + len;
    char *out = room(b, len + 2);

    *out = '"';
    b->len++;
    while (s < end) {
        const char *stop = skip_plain(s, end, 0xED);

        add_text(b, s, (size_t)(stop - s));
        s = stop;
        if (s < end)
            s = encode_odd(b, s, end);
    }
    add_char(b, '"');
}

static void encode_number(struct buf *b, double n) {
    if (isfinite(n))
        b->len += value_format_number(n, room(b, 32));
    else
        add_text(b, "null", 4);
}

static void encode_date(struct buf *b, double ms) {
    char text[32];
    size_t len = value_format_date(ms, text);

    if (len)
        encode_string(b, text, len);
    else
        add_text(b, "null", 4);
}

static void new_line(struct encoder *e) {
    if (e->flags & VALUE_ENCODE_INDENT_2) {
        char *out = room(e->out, 1 + 2 * e->depth);

        *out = '\n';
        memset(out + 1, ' ', 2 * e->depth);
        e->out->len += 1 + 2 * e->depth;
    }
}

static void encode_array(struct encoder *e, const struct value *v) {
    add_char(e->out, '[');
    e->depth++;
    for (size_t i = 0; i < v->len; i++) {
        if (i)
            add_char(e->out, ',');
        new_line(e);
        if (v->items[i].type == VALUE_UNDEFINED)
            add_text(e->out, "null", 4);
        else
            encode(e, &v->items[i]);
    }
    e->depth--;
    if (v->len)
        new_line(e);
    add_char(e->out, ']');
}

static int by_name(const void *x, const void *y) {
    const struct member *m = x, *n = y;
    struct value s = value_string_ref(m->key, m->key_len);
    struct value t = value_string_ref(n->key, n->key_len);

    return value_compare_strings(&s, &t);
}

static void encode_members(struct encoder *e, const struct member *members, size_t len) {
    bool any = false;

    for (size_t i = 0; i < len; i++) {
        const struct member *m = &members[i];

        if (m->value.type == VALUE_UNDEFINED)
            continue;
        if (any)
            add_char(e->out, ',');
        any = true;
        new_line(e);
        encode_string(e->out, m->key, m->key_len);
        add_char(e->out, ':');
        if (e->flags & VALUE_ENCODE_INDENT_2)
            add_char(e->out, ' ');
        encode(e, &m->value);
    }
    e->depth--;
    if (any)
        new_line(e);
}

static void encode_object(struct encoder *e, const struct value *v) {
    add_char(e->out, '{');
    e->depth++;
    if (e->flags & VALUE_ENCODE_SORT_KEYS && v->len > 1) {
        struct member *sorted = malloc(v->len * sizeof(*sorted));

        if (!sorted)
            abort();
        memcpy(sorted, v->members, v->len * sizeof(*sorted));
        qsort(sorted, v->len, sizeof(*sorted), by_name);
        encode_members(e, sorted, v->len);
        free(sorted);
    } else {
        encode_members(e, v->members, v->len);
    }
    add_char(e->out, '}');
}

static void encode(struct encoder *e, const struct value *v) {
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
        break;
    case VALUE_NULL:
        add_text(e->out, "null", 4);
        break;
    case VALUE_BOOL:
        if (v->boolean)
            add_text(e->out, "true", 4);
        else
            add_text(e->out, "false", 5);
        break;
    case VALUE_NUMBER:
        encode_number(e->out, v->number);
        break;
    case VALUE_STRING:
        encode_string(e->out, v->str, v->len);
        break;
    case VALUE_DATE:
        encode_date(e->out, v->number);
        break;
    case VALUE_ARRAY:
        encode_array(e, v);
        break;
    case VALUE_OBJECT:
        encode_object(e, v);
        break;
    }
}

void value_encode(struct buf *b, const struct value *v, unsigned flags) {
    struct encoder e = {.out = b, .flags = flags};

    encode(&e, v);
    if (b->data)
        b->data[b->len] = '\0';
}

struct bytes value_encode_arena(struct arena *a, const struct value *v, unsigned flags) {
    struct buf b = BUF_INIT;
    struct bytes text;

    value_encode(&b, v, flags);
    text = buf_to_arena(&b, a);
    buf_fini(&b);
    return text;
}
