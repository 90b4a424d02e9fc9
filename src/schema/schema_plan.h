/*
 * schema_plan.h - a schema compiled once, for many values to fit or be checked
 * against. A plan is read only; threads may share it.
 */
#ifndef SCHEMA_SCHEMA_PLAN_H
#define SCHEMA_SCHEMA_PLAN_H

struct arena;
struct schema_fit_options;
struct schema_plan;
struct status;
struct value;

/* Gives a plan that lives in `a` and lends from the schema. Any value will do. */
const struct schema_plan *schema_compile(struct arena *a, const struct value *schema);

/* As schema_fit and schema_validate_input (schema_fit.h). */
const struct value *schema_plan_fit(const struct schema_plan *p, struct arena *a,
                                    const struct value *v,
                                    const struct schema_fit_options *options);
int schema_plan_validate(const struct schema_plan *p, struct arena *a,
                         const struct value *v, const struct value **ret_coerced,
                         struct status *st);

#endif
