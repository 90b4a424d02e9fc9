/*
 * model_cache.c - a table of fixed places: an answer takes the place of whatever was
 * there. When all answers together outgrow the bound, all are dropped: the working set of
 * reads is small, and this needs no order of use on the way of every request.
 */
#include "model_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

_Static_assert(COLLECTION_COUNT <= 64, "a collection is a bit of 64");

enum { SHARDS = 16, PLACES = 512, MAX_BODY = 128 * 1024 };

struct answer {
    atomic_uint refs;
    uint64_t read;
    size_t key_len, body_len;
    unsigned versions[COLLECTION_COUNT];
    char text[]; /* key, then body */
};

struct shard {
    pthread_mutex_t mu;
    struct answer *places[PLACES]; /* guarded by: mu */
};

struct model_cache {
    size_t max_bytes;
    atomic_size_t bytes;
    struct shard shards[SHARDS];
};

static uint64_t hash_of(const char *s, size_t len) {
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return h ^ (h >> 31);
}

static size_t size_of(const struct answer *a) {
    return sizeof *a + a->key_len + a->body_len;
}

static void unref(void *ptr) {
    struct answer *a = ptr;

    if (a && atomic_fetch_sub(&a->refs, 1) == 1)
        free(a);
}

struct model_cache *model_cache_new(size_t max_bytes) {
    struct model_cache *c = calloc(1, sizeof *c);

    if (!c)
        abort();
    c->max_bytes = max_bytes;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&c->shards[i].mu, NULL);
    return c;
}

/* Under the shard's lock. */
static void drop(struct model_cache *c, struct answer **place) {
    if (!*place)
        return;
    atomic_fetch_sub(&c->bytes, size_of(*place));
    unref(*place);
    *place = NULL;
}

static void drop_all(struct model_cache *c) {
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&c->shards[i].mu);
        for (size_t k = 0; k < PLACES; k++)
            drop(c, &c->shards[i].places[k]);
        pthread_mutex_unlock(&c->shards[i].mu);
    }
}

void model_cache_free(struct model_cache **c) {
    if (!*c)
        return;
    drop_all(*c);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&(*c)->shards[i].mu);
    free(*c);
    *c = NULL;
}

static bool is_current(const struct answer *a, const struct store *s) {
    for (int i = 0; i < COLLECTION_COUNT; i++) {
        unsigned now;
        if (a->read >> i & 1 && (!store_version(s, i, &now) || now != a->versions[i]))
            return false;
    }
    return true;
}

bool model_cache_get(struct model_cache *c, const struct store *s, const char *key,
                     struct arena *a, struct bytes *ret_body) {
    size_t len = strlen(key);
    uint64_t hash = hash_of(key, len);
    struct shard *sh = &c->shards[hash % SHARDS];
    struct answer **place = &sh->places[hash / SHARDS % PLACES], *found = NULL;

    pthread_mutex_lock(&sh->mu);
    if (*place && (*place)->key_len == len && memcmp((*place)->text, key, len) == 0) {
        found = *place;
        atomic_fetch_add(&found->refs, 1);
    }
    pthread_mutex_unlock(&sh->mu);
    if (!found)
        return false;
    arena_defer(a, unref, found);
    if (!is_current(found, s))
        return false;
    *ret_body = (struct bytes){found->text + len, found->body_len};
    return true;
}

void model_cache_read_versions(const struct store *s, struct model_cache_versions *ret) {
    ret->known = 0;
    for (int i = 0; i < COLLECTION_COUNT; i++)
        if (store_version(s, i, &ret->of[i]))
            ret->known |= (uint64_t)1 << i;
}

void model_cache_put(struct model_cache *c, const char *key,
                     const struct model_cache_versions *versions, uint64_t read,
                     struct bytes body) {
    size_t len = strlen(key);
    uint64_t hash = hash_of(key, len);
    struct shard *sh = &c->shards[hash % SHARDS];
    struct answer **place = &sh->places[hash / SHARDS % PLACES], *a;

    if (read & ~versions->known || body.len > MAX_BODY || !body.data)
        return;
    a = malloc(sizeof *a + len + body.len);
    if (!a)
        abort();
    atomic_init(&a->refs, 1);
    a->read = read;
    a->key_len = len;
    a->body_len = body.len;
    memcpy(a->versions, versions->of, sizeof a->versions);
    memcpy(a->text, key, len);
    memcpy(a->text + len, body.data, body.len);
    if (atomic_fetch_add(&c->bytes, size_of(a)) + size_of(a) > c->max_bytes)
        drop_all(c);
    pthread_mutex_lock(&sh->mu);
    drop(c, place);
    *place = a;
    pthread_mutex_unlock(&sh->mu);
}
