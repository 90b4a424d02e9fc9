/*
 * Verified tokens: a table of sets of four, found by the token's SHA-256, so that a
 * request with a known token costs a hash and a look. Nothing of a token is kept. An
 * entry is good until the token expires, the documents behind it change in this process,
 * or AUTH_RECHECK_MS pass (for changes by other processes); then the token is verified
 * anew. Only tokens that were verified get in, so strangers can't push out known ones.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth_priv.h"
#include "value/value.h"

enum { WAYS = 4, LOCKS = 64, DEFAULT_TOKENS = 8192 };

struct entry {
    unsigned char digest[32];
    struct auth_identity *identity; /* NULL: free */
    uint32_t used;                  /* the set's counter when it was last found */
};

struct set {
    struct entry way[WAYS];
    uint32_t counter;
};

struct token_cache {
    struct set *sets;
    size_t mask;
    pthread_mutex_t lock[LOCKS]; /* lock[i % LOCKS] guards sets[i] */
};

struct token_cache *token_cache_new(size_t max_tokens) {
    struct token_cache *c = calloc(1, sizeof(*c));
    size_t n = 1;

    while (n * WAYS < (max_tokens ? max_tokens : DEFAULT_TOKENS))
        n *= 2;
    if (!c || !(c->sets = calloc(n, sizeof(*c->sets))))
        abort();
    c->mask = n - 1;
    for (int i = 0; i < LOCKS; i++)
        pthread_mutex_init(&c->lock[i], NULL);
    return c;
}

void token_cache_free(struct token_cache **c) {
    if (!*c)
        return;
    for (size_t i = 0; i <= (*c)->mask; i++)
        for (int w = 0; w < WAYS; w++)
            auth_identity_unref(&(*c)->sets[i].way[w].identity);
    for (int i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&(*c)->lock[i]);
    free((*c)->sets);
    free(*c);
    *c = NULL;
}

void auth_identity_unref(struct auth_identity **i) {
    if (*i && atomic_fetch_sub_explicit(&(*i)->refs, 1, memory_order_acq_rel) == 1) {
        document_unref(&(*i)->workspace);
        document_unref(&(*i)->customer);
        document_unref(&(*i)->user);
        free(*i);
    }
    *i = NULL;
}

static size_t set_of(const struct token_cache *c, const unsigned char digest[32]) {
    uint64_t n;

    memcpy(&n, digest, sizeof(n));
    return n & c->mask;
}

static bool is_good(struct auth *auth, const struct auth_identity *i) {
    if (auth_monotonic_ms(auth) >= i->recheck_ms || auth_now_ms(auth) >= i->expires_ms)
        return false;
    for (int n = 0; n < 3; n++)
        if (auth_generation(auth, i->slot[n]) != i->generation[n])
            return false;
    return true;
}

struct auth_identity *token_cache_find(struct auth *auth,
                                       const unsigned char digest[32]) {
    struct token_cache *c = auth->tokens;
    size_t n = set_of(c, digest);
    struct set *s = &c->sets[n];
    struct auth_identity *found = NULL, *stale = NULL;

    pthread_mutex_lock(&c->lock[n % LOCKS]);
    for (int w = 0; w < WAYS && !found; w++) {
        struct entry *e = &s->way[w];

        if (!e->identity || memcmp(e->digest, digest, 32))
            continue;
        if (is_good(auth, e->identity)) {
            found = e->identity;
            atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
            e->used = ++s->counter;
        } else {
            stale = e->identity;
            e->identity = NULL;
        }
        break;
    }
    pthread_mutex_unlock(&c->lock[n % LOCKS]);
    auth_identity_unref(&stale);
    return found;
}

void token_cache_put(struct auth *auth, const unsigned char digest[32],
                     struct auth_identity *i) {
    struct token_cache *c = auth->tokens;
    size_t n = set_of(c, digest);
    struct set *s = &c->sets[n];
    struct entry *place = &s->way[0];
    struct auth_identity *old;

    pthread_mutex_lock(&c->lock[n % LOCKS]);
    for (int w = 0; w < WAYS; w++) {
        struct entry *e = &s->way[w];

        if (!e->identity || !memcmp(e->digest, digest, 32)) {
            place = e;
            break;
        }
        if ((int32_t)(e->used - place->used) < 0)
            place = e;
    }
    old = place->identity;
    memcpy(place->digest, digest, 32);
    place->used = ++s->counter;
    place->identity = i;
    atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&c->lock[n % LOCKS]);
    auth_identity_unref(&old);
}
