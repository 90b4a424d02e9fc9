/*
 * text_space.h - the white space of JavaScript: what trim() and \s take.
 */
#ifndef FORMULA_TEXT_SPACE_H
#define FORMULA_TEXT_SPACE_H

#include <stddef.h>
#include <string.h>

/* Bytes of the white space character (line terminators included) at s, or 0. */
static inline size_t text_space_at(const char *s, size_t len) {
    const unsigned char *p = (const unsigned char *)s;

    if (len == 0)
        return 0;
    if (p[0] == ' ' || (p[0] >= 9 && p[0] <= 13))
        return 1;
    if (p[0] == 0xc2 && len >= 2)
        return p[1] == 0xa0 ? 2 : 0;
    if (len < 3)
        return 0;
    if (p[0] == 0xe2 && p[1] == 0x80) /* U+2000..200A, 2028, 2029, 202F */
        return p[2] <= 0x8a || p[2] == 0xa8 || p[2] == 0xa9 || p[2] == 0xaf ? 3 : 0;
    if (memcmp(p, "\xe1\x9a\x80", 3) == 0 || memcmp(p, "\xe2\x81\x9f", 3) == 0 ||
        memcmp(p, "\xe3\x80\x80", 3) == 0 || memcmp(p, "\xef\xbb\xbf", 3) == 0)
        return 3;
    return 0;
}

#endif
