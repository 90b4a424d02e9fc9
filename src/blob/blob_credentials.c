#include "blob_credentials.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"

enum {
    AHEAD_MS = 5 * 60 * 1000,
    AHEAD_JITTER_MS = 60 * 1000,
    RETRY_MS = 15 * 1000, /* after a failed renewal, as long as the old ones hold */
};

struct credentials_cache {
    credentials_fetch *fetch;
    void *ctx;
    struct clock *clock;
    struct rand *rand;
    pthread_mutex_t mu;
    pthread_cond_t renewed;
    struct arena *arena;    /* guarded by: mu; of now */
    struct credentials now; /* guarded by: mu */
    int64_t renew_at_ms;    /* guarded by: mu */
    bool has, renewing;     /* guarded by: mu */
};

struct credentials_cache *credentials_cache_new(credentials_fetch *fetch, void *ctx,
                                                struct clock *clock, struct rand *rand) {
    struct credentials_cache *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->fetch = fetch;
    c->ctx = ctx;
    c->clock = clock;
    c->rand = rand;
    pthread_mutex_init(&c->mu, NULL);
    pthread_cond_init(&c->renewed, NULL);
    return c;
}

void credentials_cache_free(struct credentials_cache **c) {
    if (!*c)
        return;
    if ((*c)->arena)
        arena_free(&(*c)->arena);
    pthread_cond_destroy(&(*c)->renewed);
    pthread_mutex_destroy(&(*c)->mu);
    free(*c);
    *c = NULL;
}

static const char *dup_or_null(struct arena *a, const char *s) {
    return s ? arena_strdup(a, s) : NULL;
}

static void copy_to(struct arena *a, const struct credentials *from,
                    struct credentials *to) {
    *to = (struct credentials){
        .id = dup_or_null(a, from->id),
        .secret = dup_or_null(a, from->secret),
        .token = dup_or_null(a, from->token),
        .source = dup_or_null(a, from->source),
        .principal = dup_or_null(a, from->principal),
        .expires_ms = from->expires_ms,
    };
}

static bool holds(const struct credentials_cache *c, int64_t now_ms) {
    return c->has && (!c->now.expires_ms || now_ms < c->now.expires_ms);
}

static void keep(struct credentials_cache *c, struct arena *a,
                 const struct credentials *fresh, int64_t now_ms) {
    uint32_t random;
    int64_t left;

    if (c->arena)
        arena_free(&c->arena);
    c->arena = a;
    c->now = *fresh;
    c->has = true;
    c->renew_at_ms = INT64_MAX;
    if (!fresh->expires_ms)
        return;
    c->rand->fill(c->rand, &random, sizeof(random));
    left = fresh->expires_ms - now_ms;
    c->renew_at_ms = fresh->expires_ms - AHEAD_MS - random % AHEAD_JITTER_MS;
    /* Those that live shortly are not asked for again and again. */
    if (c->renew_at_ms < now_ms + left / 2)
        c->renew_at_ms = now_ms + left / 2;
}

/* Under the lock, which is given up while asking; 0, or -1 with *st filled. */
static int renew(struct credentials_cache *c, struct status *st) {
    struct arena *a = arena_new(0);
    struct credentials fresh = {0};
    struct status failure;
    int64_t now_ms;
    int rc;

    c->renewing = true;
    pthread_mutex_unlock(&c->mu);
    st_init(&failure, a);
    rc = c->fetch(c->ctx, a, &fresh, &failure);
    pthread_mutex_lock(&c->mu);
    c->renewing = false;
    pthread_cond_broadcast(&c->renewed);
    now_ms = clock_now_ms(c->clock);
    if (rc == 0) {
        keep(c, a, &fresh, now_ms);
        return 0;
    }
    c->renew_at_ms = now_ms + RETRY_MS;
    /* Nobody else hears of it while the old ones hold. */
    if (holds(c, now_ms))
        log_warn(NULL, "credentials of the object storage can't be renewed yet", "err=%s",
                 failure.message);
    else
        st_fail(st, failure.type, failure.key, "%s", failure.message);
    arena_free(&a);
    return -1;
}

int credentials_get(struct credentials_cache *c, struct arena *a, struct credentials *ret,
                    struct status *st) {
    int rc = 0;

    pthread_mutex_lock(&c->mu);
    for (;;) {
        int64_t now_ms = clock_now_ms(c->clock);
        bool good = holds(c, now_ms);

        if (good && (now_ms < c->renew_at_ms || c->renewing))
            break;
        if (c->renewing) {
            pthread_cond_wait(&c->renewed, &c->mu);
            continue;
        }
        rc = renew(c, st);
        if (rc < 0 && holds(c, clock_now_ms(c->clock)))
            rc = 0;
        break;
    }
    if (rc == 0)
        copy_to(a, &c->now, ret);
    pthread_mutex_unlock(&c->mu);
    return rc;
}

static bool same(const char *x, const char *y) {
    return x == y || (x && y && strcmp(x, y) == 0);
}

void credentials_drop(struct credentials_cache *c, const struct credentials *refused) {
    pthread_mutex_lock(&c->mu);
    /* Others may have fetched newer ones meanwhile. */
    if (c->has && same(c->now.token, refused->token) && same(c->now.id, refused->id))
        c->has = false;
    pthread_mutex_unlock(&c->mu);
}
