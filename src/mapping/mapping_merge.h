/*
 * mapping_merge.h - layers of field mappings and other configurations with
 * formulas, one over the other (formulas.md 7.1, 7.2).
 */
#ifndef MAPPING_MAPPING_MERGE_H
#define MAPPING_MAPPING_MERGE_H

#include <stdbool.h>

struct arena;
struct value;

/*
 * `over` on top of `under`: arrays item by item up to the longer length, plain
 * objects key by key, a formula on either side is replaced whole, and anything
 * else is replaced unless `over` is undefined. Shares what did not change.
 */
const struct value *mapping_merge(struct arena *a, const struct value *under,
                                  const struct value *over);

enum mapping_direction {
    MAPPING_NONE,
    MAPPING_IMPORT,
    MAPPING_EXPORT,
    MAPPING_BOTH,
};
/* MAPPING_NONE for anything but the three exact words. */
enum mapping_direction mapping_direction_from(const struct value *word);

/* Is it a field of a mapping whose value may hold formulas (importValue, ...)? */
bool mapping_is_value_field(const char *name);

#endif
