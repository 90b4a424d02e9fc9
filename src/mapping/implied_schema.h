/*
 * implied_schema.h - what a value adds to a schema (formulas.md 4.4).
 */
#ifndef MAPPING_IMPLIED_SCHEMA_H
#define MAPPING_IMPLIED_SCHEMA_H

struct arena;
struct status;
struct value;

/*
 * The schema without what was implied before and with what the value, which may
 * hold formulas, shows in addition, marked isImplied. undefined when nothing is
 * known. -1 as formula_schema.
 */
int implied_schema_update(struct arena *a, const struct value *schema,
                          const struct value *v, const struct value *variables_schema,
                          const struct value **ret_schema, struct status *st);

#endif
