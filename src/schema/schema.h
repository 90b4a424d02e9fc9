/*
 * schema.h - data schemas, a dialect of JSON Schema (formulas.md 4): what can be
 * asked of one schema.
 *
 * A schema is a plain value. Every function accepts any value, also one of the
 * wrong shape: a nullish schema says nothing, wrong keywords are ignored.
 * Results are new values that share what did not change and live in `a`.
 * Recursion follows the depth of the input, which its parser bounds.
 */
#ifndef SCHEMA_SCHEMA_H
#define SCHEMA_SCHEMA_H

#include <stdbool.h>

struct arena;
struct value;

/* Not an array, object or null; a missing type and a type list are scalar. */
bool schema_is_scalar(const struct value *schema);
bool schema_is_number(const struct value *schema);
/* Has enum, referenceRecords or referenceCollection, or is boolean. */
bool schema_has_fixed_values(const struct value *schema);
bool schema_allows_custom_value(const struct value *schema);
/* An object schema with at least one property. */
bool schema_has_properties(const struct value *schema);
/* No type, or an object without properties. */
bool schema_is_empty(const struct value *schema);

/* A copy with the title; undefined removes it. Non-objects unchanged. */
const struct value *schema_with_title(struct arena *a, const struct value *schema,
                                      const struct value *title);
/* The properties whose value is truthy, as a new object. */
const struct value *schema_non_empty_properties(struct arena *a,
                                                const struct value *properties);
/* One example value: one item per array, every property, else "". */
const struct value *schema_example(struct arena *a, const struct value *schema);
/* Only type, properties, items, title and a short description. */
const struct value *schema_compress(struct arena *a, const struct value *schema);
/*
 * Gives every property without a title its header-case name and goes on inside
 * it; a property that has one is left as it is.
 */
const struct value *schema_populate_titles(struct arena *a, const struct value *schema);

/* What JSON text can carry of v (JSON.parse of JSON.stringify): undefined is
 * dropped or null, dates are text. v itself when nothing changes. */
const struct value *schema_json_clone(struct arena *a, const struct value *v);

enum schema_visit {
    SCHEMA_KEEP,   /* take *schema (possibly replaced) and walk into it */
    SCHEMA_REMOVE, /* drop the sub-schema */
    SCHEMA_STOP,   /* keep the sub-schema as it was, do not walk into it */
};
/*
 * Calls fn for the schema and everything below, parents first, with the locator
 * text ("$.a[0]", lends during the call). fn may put another schema into
 * *schema. Gives the resulting schema, undefined when nothing is left.
 */
typedef enum schema_visit schema_visit_fn(void *ctx, const char *locator,
                                          const struct value **schema);
const struct value *schema_walk(struct arena *a, const struct value *schema,
                                schema_visit_fn *fn, void *ctx);

#endif
