/*
 * model_cache.h - encoded answers of reads, as long as what they were made of stays the
 * same: an answer remembers the version of each collection that was read for it.
 *
 * Threads may share it. Works only with a store that tells versions (store_version());
 * with others nothing is ever kept.
 */
#ifndef MODEL_MODEL_CACHE_H
#define MODEL_MODEL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "store/store.h"

struct arena;
struct model_cache;

/* Versions of all collections, taken before anything is read for an answer. */
struct model_cache_versions {
    uint64_t known; /* bits of collections */
    unsigned of[COLLECTION_COUNT];
};

struct model_cache *model_cache_new(size_t max_bytes);
void model_cache_free(struct model_cache **c);
/* ret_body lends until `a` dies. */
bool model_cache_get(struct model_cache *c, const struct store *s, const char *key,
                     struct arena *a, struct bytes *ret_body);
void model_cache_read_versions(const struct store *s, struct model_cache_versions *ret);
/* Keeps a copy, when it is small enough. read: bits of the collections it was made of. */
void model_cache_put(struct model_cache *c, const char *key,
                     const struct model_cache_versions *versions, uint64_t read,
                     struct bytes body);

#endif
