/*
 * buf.h - text that grows on the heap: encoders and composers write into it.
 *
 * The content is always NUL-terminated after the first append. Caller's memory:
 * `struct buf b = BUF_INIT; ... buf_fini(&b);`.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "bytes.h"

struct arena;

struct buf {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
};

#define BUF_INIT                                                                         \
    { NULL, 0, 0 }

void buf_fini(struct buf *b);
/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);
/* Makes room for n more bytes (and the NUL) and gives the place to write them
 * to. */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *s, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* Copies the content into the arena. */
struct bytes buf_to_arena(const struct buf *b, struct arena *a);

static inline void buf_addc(struct buf *b, char c) {
    if (b->len + 1 < b->cap) {
        b->data[b->len++] = c;
        b->data[b->len] = '\0';
    } else {
        buf_add(b, &c, 1);
    }
}

#endif
