#include "buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

void buf_fini(struct buf *b) {
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

void buf_clear(struct buf *b) {
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t n) {
    assert(n < SIZE_MAX / 4 && b->len < SIZE_MAX / 4);
    if (b->len + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 256;

        while (cap < b->len + n + 1)
            cap *= 2;
        b->data = realloc(b->data, cap);
        if (!b->data)
            abort();
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *s, size_t len) {
    char *p = buf_reserve(b, len);

    if (len)
        memcpy(p, s, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s) {
    buf_add(b, s, strlen(s));
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap) {
    va_list again;
    char *p = buf_reserve(b, 128);
    int n;

    va_copy(again, ap);
    n = vsnprintf(p, b->cap - b->len, fmt, ap);
    assert(n >= 0);
    if ((size_t)n >= b->cap - b->len) {
        p = buf_reserve(b, (size_t)n);
        vsnprintf(p, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    b->len += (size_t)n;
}

void buf_addf(struct buf *b, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

struct bytes buf_to_arena(const struct buf *b, struct arena *a) {
    return (struct bytes){arena_memdup(a, b->data ? b->data : "", b->len), b->len};
}
