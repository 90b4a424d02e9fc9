/*
 * workspace_compare.h - what changes between two workspace exports (formulas.md
 * 10.2).
 */
#ifndef GRAPH_WORKSPACE_COMPARE_H
#define GRAPH_WORKSPACE_COMPARE_H

#include <stdbool.h>

struct arena;
struct status;
struct value;

struct workspace_compare_options {
    bool without_deletions;
    bool with_diff;
};

/* All lend from the exports and the arena. */
struct workspace_comparison {
    const struct value *create; /* arrays of uuids, each once */
    const struct value *update;
    const struct value *remove;
    const struct value *changes;  /* {uuid: {elementType, path}} */
    const struct value *replaced; /* array of [target uuid, base uuid] */
    const struct value *diff;     /* text, or undefined without with_diff */
};

/*
 * Exports are maps from element type to a list of elements. options may be NULL.
 * -1 bad_request for an export of the wrong shape or an unknown element type.
 */
int workspace_compare(struct arena *a, const struct value *base,
                      const struct value *target,
                      const struct workspace_compare_options *options,
                      struct workspace_comparison *ret_comparison, struct status *st);
/* The same as the API shows it: {comparison: {create, update, delete}, changes,
 * baseUuidByTargetUuid: {target: base}, diff?}. */
const struct value *workspace_comparison_value(struct arena *a,
                                               const struct workspace_comparison *c);

#endif
