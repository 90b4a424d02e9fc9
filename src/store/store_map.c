#include "store_map.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a with a final mix; keys are our own ids and encoded fields, tables are bounded.
 */
uint64_t store_hash(const void *data, size_t len, uint64_t seed) {
    const unsigned char *p = data;
    uint64_t h = 14695981039346656037u ^ seed;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 1099511628211u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static struct store_map_node **place(const struct store_map *m, struct bytes key,
                                     uint64_t hash) {
    struct store_map_node **at = &m->slots[hash & (m->cap - 1)];

    while (*at && !((*at)->hash == hash && (*at)->len == key.len &&
                    memcmp((*at)->key, key.data, key.len) == 0))
        at = &(*at)->next;
    return at;
}

static void grow(struct store_map *m) {
    size_t cap = m->cap ? m->cap * 2 : 16;
    struct store_map_node **slots = calloc(cap, sizeof(*slots)), *n, *next;

    if (!slots)
        abort();
    for (size_t i = 0; i < m->cap; i++)
        for (n = m->slots[i]; n; n = next) {
            next = n->next;
            n->next = slots[n->hash & (cap - 1)];
            slots[n->hash & (cap - 1)] = n;
        }
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
}

void *store_map_get(const struct store_map *m, struct bytes key) {
    struct store_map_node *n;

    if (!m->len)
        return NULL;
    n = *place(m, key, store_hash(key.data, key.len, 0));
    return n ? n->value : NULL;
}

void store_map_set(struct store_map *m, struct bytes key, void *value) {
    uint64_t hash = store_hash(key.data, key.len, 0);
    struct store_map_node **at, *n;

    if (m->len >= m->cap)
        grow(m);
    at = place(m, key, hash);
    if (!*at) {
        if (!(n = malloc(sizeof(*n) + key.len)))
            abort();
        n->next = NULL;
        n->hash = hash;
        n->len = key.len;
        memcpy(n->key, key.data, key.len);
        *at = n;
        m->len++;
    }
    (*at)->value = value;
}

void store_map_remove(struct store_map *m, struct bytes key) {
    struct store_map_node **at, *n;

    if (!m->len)
        return;
    at = place(m, key, store_hash(key.data, key.len, 0));
    if (!(n = *at))
        return;
    *at = n->next;
    free(n);
    m->len--;
}

void store_map_fini(struct store_map *m) {
    struct store_map_node *n, *next;

    for (size_t i = 0; i < m->cap; i++)
        for (n = m->slots[i]; n; n = next) {
            next = n->next;
            free(n);
        }
    free(m->slots);
    *m = (struct store_map){NULL, 0, 0};
}
