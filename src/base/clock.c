#include "clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "arena.h"

static int64_t read_clock(clockid_t id) {
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_now(struct clock *c) {
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_monotonic(struct clock *c) {
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

static void system_fill(struct rand *r, void *buf, size_t len) {
    char *p = buf;

    (void)r;
    while (len) {
        ssize_t n = getrandom(p, len, 0);

        if (n < 0)
            continue; /* interrupted by a signal */
        p += n;
        len -= (size_t)n;
    }
}

struct clock *clock_system(void) {
    static struct clock c = {system_now, system_monotonic};

    return &c;
}

struct rand *rand_system(void) {
    static struct rand r = {system_fill};

    return &r;
}

static int64_t fake_now(struct clock *c) {
    return ((struct clock_fake *)c)->ms;
}

void clock_fake_init(struct clock_fake *c, int64_t start_ms) {
    c->clock = (struct clock){fake_now, fake_now};
    c->ms = start_ms;
}

void clock_fake_advance(struct clock_fake *c, int64_t ms) {
    c->ms += ms;
}

const char *clock_iso_now(struct clock *c, struct arena *a) {
    int64_t ms = clock_now_ms(c);
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];

    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    return arena_printf(a, "%s.%03dZ", text, (int)(ms % 1000));
}

static void hex(char *out, const unsigned char *in, size_t n) {
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * n] = '\0';
}

/*
 * Ids sort by creation also within one second of one process: after the seconds come
 * three bytes that count, then five random ones that tell processes apart.
 */
const char *id_new(struct clock *c, struct rand *r, struct arena *a) {
    static _Atomic uint32_t counter;
    uint32_t seconds = (uint32_t)(clock_now_ms(c) / 1000);
    uint32_t n = atomic_fetch_add(&counter, 1);
    unsigned char b[12];
    char *text = arena_alloc(a, 25);

    b[0] = (unsigned char)(seconds >> 24);
    b[1] = (unsigned char)(seconds >> 16);
    b[2] = (unsigned char)(seconds >> 8);
    b[3] = (unsigned char)seconds;
    b[4] = (unsigned char)(n >> 16);
    b[5] = (unsigned char)(n >> 8);
    b[6] = (unsigned char)n;
    r->fill(r, b + 7, 5);
    hex(text, b, 12);
    return text;
}

const char *uuid_new(struct rand *r, struct arena *a) {
    unsigned char b[16];
    char h[33];

    r->fill(r, b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    hex(h, b, 16);
    return arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
}

const char *token_new(struct rand *r, struct arena *a, size_t n_bytes) {
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char *raw = arena_alloc(a, n_bytes + 3);
    char *text = arena_alloc(a, n_bytes * 4 / 3 + 5);
    size_t out = 0, want = (n_bytes * 8 + 5) / 6;

    r->fill(r, raw, n_bytes);
    memset(raw + n_bytes, 0, 3);
    for (size_t bit = 0; out < want; bit += 6) {
        unsigned v = (unsigned)raw[bit / 8] << 8 | raw[bit / 8 + 1];

        text[out++] = digits[(v >> (10 - bit % 8)) & 63];
    }
    text[out] = '\0';
    return text;
}
