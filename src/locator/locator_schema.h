/*
 * locator_schema.h - locators on data schemas (formulas.md 1.4).
 *
 * A property step needs `type` exactly "object", an item step exactly "array".
 */
#ifndef LOCATOR_LOCATOR_SCHEMA_H
#define LOCATOR_LOCATOR_SCHEMA_H

struct arena;
struct status;
struct value;

/* The sub-schema; undefined for an invalid or falsy locator, null when not
 * found or without a schema. */
const struct value *locator_schema_get(struct arena *a, const struct value *schema,
                                       const struct value *locator);
/* Property paths, each followed by its descendants; arrays are leaves. prefix:
 * text or NULL for "$". */
const struct value *locator_schema_list(struct arena *a, const struct value *schema,
                                        const struct value *prefix);
/* The schema with `sub` at the locator; undefined removes. -1 with the parse
 * error. */
int locator_schema_set(struct arena *a, const struct value *schema,
                       const struct value *locator, const struct value *sub,
                       const struct value **ret_schema, struct status *st);
/* Deepest non-empty title; null when not found, undefined when invalid. */
const struct value *locator_schema_name(struct arena *a, const struct value *schema,
                                        const struct value *locator);
/* Non-empty titles from the root down, as an array; undefined when not
 * found. */
const struct value *locator_schema_names(struct arena *a, const struct value *schema,
                                         const struct value *locator);
/* The same joined with " > ". */
const struct value *locator_schema_full_name(struct arena *a, const struct value *schema,
                                             const struct value *locator);
/* Deepest non-empty iconUri. */
const struct value *locator_schema_icon(struct arena *a, const struct value *schema,
                                        const struct value *locator);

#endif
