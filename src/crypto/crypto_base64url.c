#include "crypto_base64url.h"

#include <stdint.h>

#include "base/arena.h"

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const char *crypto_base64url_encode(struct arena *a, const void *data, size_t len) {
    const unsigned char *in = data;
    char *text = arena_alloc(a, len / 3 * 4 + 5), *out = text;
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | in[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = digits[bits >> (held - 6) & 63];
    }
    if (held)
        *out++ = digits[bits << (6 - held) & 63];
    *out = '\0';
    return text;
}

static int digit_value(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int crypto_base64url_decode(struct arena *a, const char *text, size_t len,
                            struct bytes *ret_bytes) {
    char *data = arena_alloc(a, len / 4 * 3 + 4);
    size_t n = 0;
    uint32_t bits = 0;
    unsigned held = 0;

    if (len % 4 == 1)
        return -1;
    for (size_t i = 0; i < len; i++) {
        int v = digit_value(text[i]);

        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            data[n++] = (char)(bits >> held & 255);
        }
    }
    if (bits & ((1u << held) - 1))
        return -1;
    data[n] = '\0';
    *ret_bytes = (struct bytes){data, n};
    return 0;
}
