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
#include "base/status.h"
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

static struct place *find(struct auth *auth, const char *what, const char *who) {
    unsigned char sum[CRYPTO_SHA256_LEN];
    char text[512];
    uint32_t n;

    snprintf(text, sizeof(text), "%s %s", what, who);
    for (char *p = text; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    crypto_hmac_sha256((struct bytes){auth->o.secret, strlen(auth->o.secret)},
                       (struct bytes){text, strlen(text)}, sum);
    memcpy(&n, sum, sizeof(n));
    return &auth->tries->place[n % PLACES];
}

static int try(struct auth *auth, const char *what, const char *who, unsigned add,
               struct status *st) {
    int64_t now = auth_monotonic_ms(auth);
    struct place *p;
    unsigned n;

    if (!who)
        return 0;
    p = find(auth, what, who);
    pthread_mutex_lock(&auth->tries->lock);
    if (now - p->since_ms >= WINDOW_MS)
        *p = (struct place){.since_ms = now};
    n = p->n;
    if (n < 1000000)
        p->n += add;
    pthread_mutex_unlock(&auth->tries->lock);
    if (n >= MAX_TRIES)
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
}
