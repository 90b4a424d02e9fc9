/*
 * jsonata_path.h - location paths, predicates, groupings and sorting.
 */
#ifndef JSONATA_JSONATA_PATH_H
#define JSONATA_JSONATA_PATH_H

#include "jsonata_priv.h"

int jsonata_path(struct ev *ev, const struct node *n, struct value input,
                 struct frame *env, struct value *out);
int jsonata_filter(struct ev *ev, const struct node *predicate, struct value input,
                   struct frame *env, struct value *out);
int jsonata_group(struct ev *ev, const struct group *g, struct value input,
                  struct frame *env, struct value *out);
int jsonata_wildcard(struct ev *ev, struct value input, struct value *out);
int jsonata_descendants(struct ev *ev, struct value input, struct value *out);
/* What the end of every evaluation does to a sequence: none is undefined, one is
 * itself. */
static inline struct value jsonata_collapse(struct value v, bool keep_array) {
    if (!is_sequence(v) || (v.spare & TUPLE_STREAM))
        return v;
    if (keep_array)
        v.spare |= KEEP_SINGLETON;
    if (v.len == 0)
        return value_undefined;
    if (v.len == 1 && !(v.spare & KEEP_SINGLETON))
        return v.items[0];
    return v;
}

#endif
