/*
 * text_case.c - header, kebab and lower case.
 *
 * Lower-casing covers the whole of Unicode with the tables of
 * text_lower.def; the two special cases of the standard (capital I with dot,
 * final sigma) are code.
 */
#include "text_case.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "value/value.h"

static bool is_lower(unsigned char c) {
    return c >= 'a' && c <= 'z';
}

static bool is_upper(unsigned char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_word(unsigned char c) {
    return is_lower(c) || is_upper(c) || (c >= '0' && c <= '9');
}

/* Lower-cased ASCII words joined by `separator`. */
static const struct value *words(struct arena *a, const char *s, size_t len,
                                 char separator, bool capitals) {
    char *out = arena_alloc(a, len * 2 + 1);
    size_t n = 0;
    bool gap = false;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool first;

        if (!is_word(c)) {
            gap = true;
            continue;
        }
        if (i > 0 && is_upper(c) && is_lower((unsigned char)s[i - 1]))
            gap = true;
        first = n == 0 || gap;
        if (gap && n > 0)
            out[n++] = separator;
        gap = false;
        if (is_upper(c))
            c |= 0x20;
        out[n++] = (char)(first && capitals && is_lower(c) ? c & ~0x20 : c);
    }
    out[n] = '\0';
    return value_box(a, value_string_ref(out, n));
}

const struct value *text_header_case(struct arena *a, const char *s, size_t len) {
    return words(a, s, len, ' ', true);
}

const struct value *text_kebab_case(struct arena *a, const char *s, size_t len) {
    return words(a, s, len, '-', false);
}

/* ---- lower case ---- */

/* Every `step`-th code point of [first, last] moves by `delta`. */
struct lower_range {
    uint32_t first, last;
    int32_t delta;
    uint8_t step;
};

struct code_range {
    uint32_t first, last;
};

#define LOWER(first, last, delta, step) {first, last, delta, step},
#define CASED(first, last)
#define IGNORABLE(first, last)
static const struct lower_range lower_ranges[] = {
#include "text_lower.def"
};
#undef LOWER
#undef CASED
#define LOWER(first, last, delta, step)
#define CASED(first, last) {first, last},
static const struct code_range cased_ranges[] = {
#include "text_lower.def"
};
#undef CASED
#undef IGNORABLE
#define CASED(first, last)
#define IGNORABLE(first, last) {first, last},
static const struct code_range ignorable_ranges[] = {
#include "text_lower.def"
};

static bool in_ranges(const struct code_range *r, size_t n, uint32_t c) {
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (c > r[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && c >= r[lo].first;
}

#define IN(ranges, c) in_ranges(ranges, sizeof(ranges) / sizeof(*ranges), c)

static uint32_t lower_code(uint32_t c) {
    size_t lo = 0, hi = sizeof(lower_ranges) / sizeof(*lower_ranges);
    const struct lower_range *r;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (c > lower_ranges[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    r = &lower_ranges[lo];
    if (lo == sizeof(lower_ranges) / sizeof(*lower_ranges) || c < r->first ||
        (c - r->first) % r->step != 0)
        return c;
    return (uint32_t)((int32_t)c + r->delta);
}

/* Reads one code point of WTF-8 (lone surrogates included); gives its bytes. */
static size_t decode(const char *s, size_t len, uint32_t *ret_code) {
    const unsigned char *p = (const unsigned char *)s;

    if (p[0] >= 0xf0 && len >= 4) {
        *ret_code = (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 63) << 12 |
                    (uint32_t)(p[2] & 63) << 6 | (p[3] & 63);
        return 4;
    }
    if (p[0] >= 0xe0 && len >= 3) {
        *ret_code =
            (uint32_t)(p[0] & 15) << 12 | (uint32_t)(p[1] & 63) << 6 | (p[2] & 63);
        return 3;
    }
    if (p[0] >= 0xc0 && len >= 2) {
        *ret_code = (uint32_t)(p[0] & 31) << 6 | (p[1] & 63);
        return 2;
    }
    *ret_code = p[0];
    return 1;
}

static void append_code(struct buf *b, uint32_t c) {
    if (c < 0x80) {
        buf_addc(b, (char)c);
    } else if (c < 0x800) {
        buf_addc(b, (char)(0xc0 | c >> 6));
        buf_addc(b, (char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        buf_addc(b, (char)(0xe0 | c >> 12));
        buf_addc(b, (char)(0x80 | (c >> 6 & 63)));
        buf_addc(b, (char)(0x80 | (c & 63)));
    } else {
        buf_addc(b, (char)(0xf0 | c >> 18));
        buf_addc(b, (char)(0x80 | (c >> 12 & 63)));
        buf_addc(b, (char)(0x80 | (c >> 6 & 63)));
        buf_addc(b, (char)(0x80 | (c & 63)));
    }
}

/* Is the nearest code point before `at` that is not ignorable a cased one? */
static bool cased_before(const char *s, size_t at) {
    while (at > 0) {
        uint32_t c;

        do
            at--;
        while (at > 0 && ((unsigned char)s[at] & 0xc0) == 0x80);
        decode(s + at, 4, &c);
        if (!IN(ignorable_ranges, c))
            return IN(cased_ranges, c);
    }
    return false;
}

static bool cased_after(const char *s, size_t len, size_t at) {
    while (at < len) {
        uint32_t c;

        at += decode(s + at, len - at, &c);
        if (!IN(ignorable_ranges, c))
            return IN(cased_ranges, c);
    }
    return false;
}

void text_append_lower(struct buf *b, const char *s, size_t len) {
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;

        n = decode(s + i, len - i, &c);
        if (c < 0x80)
            buf_addc(b, (char)(is_upper((unsigned char)c) ? c | 0x20 : c));
        else if (c == 0x130)
            buf_adds(b, "i\xcc\x87");
        else if (c == 0x3a3 && cased_before(s, i) && !cased_after(s, len, i + n))
            append_code(b, 0x3c2);
        else
            append_code(b, lower_code(c));
    }
}

const struct value *text_lower(struct arena *a, const struct value *v) {
    struct buf b = BUF_INIT;
    struct bytes out;
    size_t i;

    for (i = 0; i < v->len; i++)
        if (v->str[i] & 0x80 || is_upper((unsigned char)v->str[i]))
            break;
    if (i == v->len)
        return v;
    text_append_lower(&b, v->str, v->len);
    out = buf_to_arena(&b, a);
    buf_fini(&b);
    return value_box(a, value_string_ref(out.data, out.len));
}
