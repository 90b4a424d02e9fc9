/*
 * model_map.c - open addressing with linear probing; entries are never removed.
 */
#include "model_map.h"

#include <stdint.h>
#include <string.h>

#include "base/arena.h"

static uint64_t hash_text(const char *s) {
    uint64_t h = 0xcbf29ce484222325u;

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static struct model_map_entry *find_entry(struct model_map_entry *entries, size_t cap,
                                          const char *key) {
    size_t i = hash_text(key) & (cap - 1);

    while (entries[i].key && strcmp(entries[i].key, key) != 0)
        i = (i + 1) & (cap - 1);
    return &entries[i];
}

void model_map_init(struct model_map *m, struct arena *a) {
    *m = (struct model_map){.arena = a};
}

void *model_map_get(const struct model_map *m, const char *key) {
    return m->cap ? find_entry(m->entries, m->cap, key)->value : NULL;
}

static void grow(struct model_map *m) {
    size_t cap = m->cap ? m->cap * 2 : 16;
    struct model_map_entry *entries = arena_zalloc(m->arena, cap * sizeof *entries);

    for (size_t i = 0; i < m->cap; i++)
        if (m->entries[i].key)
            *find_entry(entries, cap, m->entries[i].key) = m->entries[i];
    m->entries = entries;
    m->cap = cap;
}

void model_map_set(struct model_map *m, const char *key, void *value) {
    struct model_map_entry *e;

    if (m->len * 4 >= m->cap * 3)
        grow(m);
    e = find_entry(m->entries, m->cap, key);
    if (!e->key) {
        e->key = key;
        m->len++;
    }
    e->value = value;
}
