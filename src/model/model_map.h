/*
 * model_map.h - text to pointer, in an arena.
 */
#ifndef MODEL_MODEL_MAP_H
#define MODEL_MODEL_MAP_H

#include <stddef.h>

struct arena;

struct model_map {
    struct arena *arena;
    struct model_map_entry {
        const char *key; /* NULL: free */
        void *value;
    } * entries;
    size_t len, cap; /* cap: a power of two, or 0 */
};

void model_map_init(struct model_map *m, struct arena *a);
/* NULL when absent. */
void *model_map_get(const struct model_map *m, const char *key);
/* The key is borrowed: it must live as long as the map. Replaces. */
void model_map_set(struct model_map *m, const char *key, void *value);

#endif
