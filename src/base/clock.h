/*
 * clock.h - time and randomness as interfaces, so that tests own both.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct arena;

struct clock {
    int64_t (*now_ms)(struct clock *);       /* since 1970 UTC */
    int64_t (*monotonic_ms)(struct clock *); /* for deadlines; never goes back */
};
struct rand {
    void (*fill)(struct rand *, void *buf, size_t len); /* cryptographically strong */
};

/* The system's own; static, never freed. */
struct clock *clock_system(void);
struct rand *rand_system(void);

static inline int64_t clock_now_ms(struct clock *c) {
    return c->now_ms(c);
}
static inline int64_t clock_monotonic_ms(struct clock *c) {
    return c->monotonic_ms(c);
}

/* A clock that stands still until it is moved, also under running threads; caller's
 * memory. */
struct clock_fake {
    struct clock clock;
    _Atomic int64_t ms;
};
void clock_fake_init(struct clock_fake *c, int64_t start_ms);
void clock_fake_advance(struct clock_fake *c, int64_t ms);

/* "2025-11-05T08:30:12.481Z" */
const char *clock_iso_now(struct clock *c, struct arena *a);
/* 24 lower-case hex digits: 4 bytes of seconds, 3 that count, 5 random; time-ordered,
 * unique. */
const char *id_new(struct clock *c, struct rand *r, struct arena *a);
/* UUID v4 text. */
const char *uuid_new(struct rand *r, struct arena *a);
/* n random bytes as URL-safe base64 without padding. */
const char *token_new(struct rand *r, struct arena *a, size_t n_bytes);

#endif
