/*
 * data_truncate.h - data cut to what logs show (formulas.md 9).
 */
#ifndef SCHEMA_DATA_TRUNCATE_H
#define SCHEMA_DATA_TRUNCATE_H

struct arena;
struct value;

enum {
    TRUNCATE_TEXT = 500,  /* UTF-16 units of a text, then "..." */
    TRUNCATE_ITEMS = 500, /* items, then {"...moreItems": n} */
    TRUNCATE_KEYS = 500,  /* members, then "...moreKeys": their names */
    TRUNCATE_DEPTH = 15,  /* levels, then "<max depth reached>" */
};

/* Lends from v what is short enough. depth: levels that v already stands below. */
const struct value *data_truncate(struct arena *a, const struct value *v, int depth);

#endif
