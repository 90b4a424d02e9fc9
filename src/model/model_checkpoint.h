/*
 * model_checkpoint.h - numbered snapshots of what elements were, for undo and for seeing
 * what changed.
 *
 * Each change of the definition of a universal or integration-level element leaves one;
 * the first change also leaves the element as it was made. Instances leave none: they
 * follow their parents, and there are too many. Snapshots hold what a client may write,
 * without secrets, so that sending one back with PUT undoes.
 */
#ifndef MODEL_MODEL_CHECKPOINT_H
#define MODEL_MODEL_CHECKPOINT_H

#include "value/value.h"

struct http_router;
struct model_view;
struct status;

/* The oldest of an element go when it has more. */
enum { MODEL_CHECKPOINTS_KEPT = 100 };

/*
 * Operations {op: add | remove | replace, path, value?, oldValue?} that lead from one
 * value to the other; paths are those of locators without the root ("nodes.a.links[0]").
 */
const struct value *model_difference(struct arena *a, const struct value *from,
                                     const struct value *to);

void model_checkpoint_routes(struct http_router *r);

#endif
