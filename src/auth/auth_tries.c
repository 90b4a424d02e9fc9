/*
 * A fixed table by keyed hash, so that nobody can aim at another's place. Two names that
 * meet in one place share a counter, which at worst makes one of them wait; memory stays
 * bounded whatever strangers send.
 */
#include "auth_tries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth_priv.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "coord/coord.h"
#include "crypto/crypto_hash.h"

enum { PLACES = 16384, MAX_TRIES = 10, WINDOW_MS = 15 * 60 * 1000 };

struct tries {
    pthread_mutex_t lock; /* guards place */
    struct place {
        int64_t since_ms;
        unsigned n;
    } place[PLACES];
};

struct tries *tries_new(void) {
    struct tries *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tries_free(struct tries **t) {
    if (!*t)
        return;
    pthread_mutex_destroy(&(*t)->lock);
    free(*t);
    *t = NULL;
}

static void hash(struct auth *auth, const char *what, const char *who,
                 unsigned char sum[CRYPTO_SHA256_LEN]) {
    char text[512];

    snprintf(text, sizeof(text), "%s %s", what, who);
    for (char *p = text; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    crypto_hmac_sha256((struct bytes){auth->o.secret, strlen(auth->o.secret)},
                       (struct bytes){text, strlen(text)}, sum);
}

static struct place *find(struct auth *auth, const char *what, const char *who) {
    unsigned char sum[CRYPTO_SHA256_LEN];
    uint32_t n;

    hash(auth, what, who, sum);
    memcpy(&n, sum, sizeof(n));
    return &auth->tries->place[n % PLACES];
}

static const char *shared_name(struct auth *auth, struct arena *a, const char *what,
                               const char *who) {
    unsigned char sum[CRYPTO_SHA256_LEN];

    hash(auth, what, who, sum);
    return arena_printf(a, "tries:%s", crypto_hex(a, sum, sizeof(sum)));
}

/* How often before this time, of all processes; 0 when that can't be known now. */
static double shared_count(struct auth *auth, const char *what, const char *who,
                           unsigned add) {
    struct arena *a;
    struct status ignored;
    double sum = add;

    if (!auth->o.coord)
        return 0;
    a = arena_new(0);
    st_init(&ignored, a);
    if (coord_count(auth->o.coord, shared_name(auth, a, what, who), add, WINDOW_MS,
                    clock_now_ms(auth->o.clock), &sum, &ignored) < 0)
        sum = add;
    arena_free(&a);
    return sum - add;
}

static int try(struct auth *auth, const char *what, const char *who, unsigned add,
               struct status *st) {
    int64_t now = auth_monotonic_ms(auth);
    struct place *p;
    unsigned n;
    double shared;

    if (!who)
        return 0;
    shared = shared_count(auth, what, who, add);
    p = find(auth, what, who);
    pthread_mutex_lock(&auth->tries->lock);
    if (now - p->since_ms >= WINDOW_MS)
        *p = (struct place){.since_ms = now};
    n = p->n;
    if (n < 1000000)
        p->n += add;
    pthread_mutex_unlock(&auth->tries->lock);
    if (n >= MAX_TRIES || shared >= MAX_TRIES)
        return st_fail(st, ST_BAD_REQUEST, "rate_limit_exceeded",
                       "Too many tries; wait a quarter of an hour");
    return 0;
}

int auth_tries_check(struct auth *auth, const char *what, const char *who,
                     struct status *st) {
    return try(auth, what, who, 0, st);
}

int auth_tries_count(struct auth *auth, const char *what, const char *who,
                     struct status *st) {
    return try(auth, what, who, 1, st);
}

void auth_tries_forget(struct auth *auth, const char *what, const char *who) {
    struct place *p = find(auth, what, who);

    pthread_mutex_lock(&auth->tries->lock);
    p->n = 0;
    pthread_mutex_unlock(&auth->tries->lock);
    if (auth->o.coord) {
        struct arena *a = arena_new(0);
        struct status ignored;

        st_init(&ignored, a);
        coord_count_forget(auth->o.coord, shared_name(auth, a, what, who), &ignored);
        arena_free(&a);
    }
}
