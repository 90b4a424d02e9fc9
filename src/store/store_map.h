/*
 * store_map.h - a hash table from bytes to pointers. Belongs to one thread at a time.
 */
#ifndef STORE_STORE_MAP_H
#define STORE_STORE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct store_map_node {
    struct store_map_node *next;
    uint64_t hash;
    void *value;
    size_t len;
    char key[];
};

struct store_map {
    struct store_map_node **slots; /* NULL while empty; zero bytes make an empty map */
    size_t cap, len;
};

uint64_t store_hash(const void *data, size_t len, uint64_t seed);
/* NULL when absent. */
void *store_map_get(const struct store_map *m, struct bytes key);
/* Copies the key; replaces the value that is there. */
void store_map_set(struct store_map *m, struct bytes key, void *value);
void store_map_remove(struct store_map *m, struct bytes key);
/* Frees the table, not the values. */
void store_map_fini(struct store_map *m);

#endif
