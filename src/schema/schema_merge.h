/*
 * schema_merge.h - one schema out of several (formulas.md 4.2).
 */
#ifndef SCHEMA_SCHEMA_MERGE_H
#define SCHEMA_SCHEMA_MERGE_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct status;
struct value;

/* The schema that covers all of the array `schemas`; undefined when there is
 * none. Types other than the seven known ones are dropped. */
const struct value *schema_merge(struct arena *a, const struct value *schemas);
/* The same for n schemas. */
const struct value *schema_merge_n(struct arena *a, const struct value *const *schemas,
                                   size_t n);

struct schema_patch_options {
    bool read_only;  /* properties new in the patch become read-only */
    bool write_only; /* the same for write-only */
};
/*
 * Both merged. Without the option, a property that is read-only (write-only) in
 * the source and present but not so in the patch loses the flag.
 */
const struct value *schema_patch(struct arena *a, const struct value *source,
                                 const struct value *patch,
                                 const struct schema_patch_options *options);

/* An array of the alternatives of a schema, of a list of schemas: anyOf and
 * type lists are taken apart, their siblings are lost. */
const struct value *schema_unwrap(struct arena *a, const struct value *schema);
const struct value *schema_unwrap_list(struct arena *a, const struct value *schemas);
/* {anyOf: [...]} with the bare types joined into one. -1 bad_request when anyOf
 * is no list. */
int schema_wrap_any_of(struct arena *a, const struct value *schema,
                       const struct value **ret_schema, struct status *st);

#endif
