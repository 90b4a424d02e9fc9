/*
 * collection_priv.h - what the files of collection/ share.
 */
#ifndef COLLECTION_COLLECTION_PRIV_H
#define COLLECTION_COLLECTION_PRIV_H

#include "collection.h"
#include "connection/connection.h"
#include "external/external.h"

static inline struct arena *collection_arena(const struct data_collection *c) {
    return c->session->external.arena;
}

/* Ids are always text: numbers are written out. NULL for anything else, and for "". */
const char *collection_id_text(struct arena *a, const struct value *v);
/* Is there an implementation of the function of the definition? */
bool collection_has(const struct data_collection *c, const char *function);
/* Runs a function of the definition with {..args, parameters, spec}. */
int collection_call(struct data_collection *c, const char *function,
                    const struct value *args, const struct value **ret,
                    struct status *st);
/*
 * The same n times, JavaScript in one job. args: replaced by what was given to the
 * function. ret_results: n values.
 */
int collection_call_each(struct data_collection *c, const char *function,
                         const struct value **args, size_t n,
                         const struct value **ret_results, struct status *st);
/* Evaluates a mapping over root on the session. */
int collection_build(struct data_collection *c, const struct value *mapping,
                     const struct value *root, const struct value **ret,
                     struct status *st);
const struct value *collection_drop_undefined(struct arena *a, const struct value *o);

/* A DataRecord of what a method gave (engine.md 8.3, steps 6, 7 and 10). */
int collection_record(struct data_collection *c, const struct value *given,
                      const struct value **ret_record, struct status *st);

/* The same for a list (or a nullish value) of them; begins ret_records. */
int collection_records(struct data_collection *c, const struct value *list,
                       struct array_builder *ret_records, struct status *st);

/* The model that applies when none is asked for, or NULL. */
const char *collection_default_udm(struct data_collection *c);
/* unifiedFields of native fields for c->udm. 1: the connector maps the collection to no
 * such model. */
int collection_native_to_unified(struct data_collection *c, const struct value *fields,
                                 const struct value **ret_unified, struct status *st);

#endif
