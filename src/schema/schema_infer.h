/*
 * schema_infer.h - schemas of values without formulas (formulas.md 4.3).
 *
 * What many samples have in common is gathered in one shape, so that the cost of a
 * schema over 100,000 records is that of looking at them.
 */
#ifndef SCHEMA_SCHEMA_INFER_H
#define SCHEMA_SCHEMA_INFER_H

struct arena;
struct value;

/* The schema of one value, as seen through JSON. */
const struct value *schema_create(struct arena *a, const struct value *v);
/* The schema that covers every sample of an array: the merge of their schemas.
 * undefined without samples. */
const struct value *schema_create_compound(struct arena *a, const struct value *samples);
/* "object", "array", "number", "boolean", "string"; NULL for nullish. */
const char *schema_type_of_value(const struct value *v);

#endif
