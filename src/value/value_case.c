#include "value_case.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "value_priv.h"

struct run {
    uint32_t first, last;
    int step, distance;
};

struct expansion {
    uint32_t cp;
    const char *text;
};

#define LOWER(first, last, step, distance)
#define LOWER_MANY(cp, text)
#define UPPER_MANY(cp, text)
#define UPPER(first, last, step, distance) {first, last, step, distance},
static const struct run upper_runs[] = {
#include "unicode_case.def"
};
#define LOWER(first, last, step, distance)
#define LOWER_MANY(cp, text)
#define UPPER_MANY(cp, text) {cp, text},
#define UPPER(first, last, step, distance)
static const struct expansion upper_many[] = {
#include "unicode_case.def"
};
#define LOWER(first, last, step, distance) {first, last, step, distance},
#define LOWER_MANY(cp, text)
#define UPPER_MANY(cp, text)
#define UPPER(first, last, step, distance)
static const struct run lower_runs[] = {
#include "unicode_case.def"
};
#define LOWER(first, last, step, distance)
#define LOWER_MANY(cp, text) {cp, text},
#define UPPER_MANY(cp, text)
#define UPPER(first, last, step, distance)
static const struct expansion lower_many[] = {
#include "unicode_case.def"
};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static uint32_t map_one(const struct run *runs, size_t n, uint32_t cp) {
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (cp > runs[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n || cp < runs[low].first ||
        (cp - runs[low].first) % (uint32_t)runs[low].step)
        return cp;
    return (uint32_t)((int64_t)cp + runs[low].distance);
}

static const char *find_many(const struct expansion *all, size_t n, uint32_t cp) {
    for (size_t i = 0; i < n; i++)
        if (all[i].cp == cp)
            return all[i].text;
    return NULL;
}

static size_t decode(const unsigned char *p, const unsigned char *end, uint32_t *ret) {
    size_t n = *p < 0x80 ? 1 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4;

    if (n > (size_t)(end - p))
        n = 1;
    *ret = *p;
    if (n == 2)
        *ret = (*p & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    else if (n == 3)
        *ret = (*p & 0xFu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    else if (n == 4)
        *ret =
            (*p & 7u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
    return n;
}

/* Has the code point an upper or a lower case? */
static bool is_cased(uint32_t cp) {
    if (cp < 0x80)
        return (cp | 0x20) >= 'a' && (cp | 0x20) <= 'z';
    return map_one(upper_runs, COUNT(upper_runs), cp) != cp ||
           map_one(lower_runs, COUNT(lower_runs), cp) != cp ||
           find_many(upper_many, COUNT(upper_many), cp);
}

/* Marks that do not separate letters of a word. */
static bool is_ignorable(uint32_t cp) {
    return cp == '\'' || cp == '.' || cp == ':' || cp == '^' || cp == '`' || cp == 0xA8 ||
           cp == 0xAD || cp == 0xAF || cp == 0xB4 || cp == 0xB7 || cp == 0xB8 ||
           cp == 0x2019 || (cp >= 0x300 && cp <= 0x36F) || (cp >= 0x200B && cp <= 0x200F);
}

/* Is the sigma at s[at..] the last letter of a word? */
static bool is_final_sigma(const unsigned char *s, size_t len, size_t at, size_t n) {
    uint32_t cp = 0;
    size_t i = at;
    bool before = false;

    while (i > 0) {
        do
            i--;
        while (i > 0 && (s[i] & 0xC0) == 0x80);
        decode(s + i, s + len, &cp);
        if (!is_ignorable(cp)) {
            before = is_cased(cp);
            break;
        }
    }
    if (!before)
        return false;
    for (i = at + n; i < len;) {
        i += decode(s + i, s + len, &cp);
        if (!is_ignorable(cp))
            return !is_cased(cp);
    }
    return true;
}

static void add_cp(struct buf *b, uint32_t cp) {
    char utf8[4];

    buf_add(b, utf8, value_put_utf8(utf8, cp));
}

void value_upper_case(struct buf *b, const char *s, size_t len) {
    const unsigned char *p = (const unsigned char *)s, *end = p + len;

    while (p < end) {
        const char *many;
        uint32_t cp;

        if (*p < 0x80) {
            buf_addc(b, (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p));
            p++;
            continue;
        }
        p += decode(p, end, &cp);
        many = find_many(upper_many, COUNT(upper_many), cp);
        if (many)
            buf_adds(b, many);
        else
            add_cp(b, map_one(upper_runs, COUNT(upper_runs), cp));
    }
}

void value_lower_case(struct buf *b, const char *s, size_t len) {
    const unsigned char *p = (const unsigned char *)s, *end = p + len;

    while (p < end) {
        const char *many;
        uint32_t cp;
        size_t n;

        if (*p < 0x80) {
            buf_addc(b, (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p));
            p++;
            continue;
        }
        n = decode(p, end, &cp);
        many = find_many(lower_many, COUNT(lower_many), cp);
        if (cp == 0x3A3 && is_final_sigma((const unsigned char *)s, len,
                                          (size_t)(p - (const unsigned char *)s), n))
            add_cp(b, 0x3C2);
        else if (many)
            buf_adds(b, many);
        else
            add_cp(b, map_one(lower_runs, COUNT(lower_runs), cp));
        p += n;
    }
}
