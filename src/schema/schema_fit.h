/*
 * schema_fit.h - making a value fit a schema (formulas.md 4.7), and checking
 * input of actions against one (engine.md 12.2).
 */
#ifndef SCHEMA_SCHEMA_FIT_H
#define SCHEMA_SCHEMA_FIT_H

#include <stdbool.h>

struct arena;
struct status;
struct value;

struct schema_fit_options {
    bool add_defaults;     /* a nullish value becomes the schema's default */
    bool normalize_values; /* text, numbers and booleans into each other */
    bool skip_unknown_fields;
    bool skip_read_only_fields;
    /* Says which objects are formulas, to be left as they are. NULL: none. */
    bool (*is_formula)(const struct value *v);
};
/* The value in the shape of the schema; undefined when nothing is left. options
 * may be NULL. Lends from v. */
const struct value *schema_fit(struct arena *a, const struct value *v,
                               const struct value *schema,
                               const struct schema_fit_options *options);

enum { SCHEMA_MAX_INPUT_DEPTH = 200 };

/*
 * Checks input that came from outside. Required fields must be there (null
 * counts as there), a value of a known type must have it, after scalars that say
 * the same were converted ("5" to 5, 5 to "5", "true" to true); anyOf and type
 * lists take the first alternative that fits. null and unknown properties pass.
 * Limits and enum are not enforced. 0 with the converted value, or -1
 * bad_request that names the path and what was expected, with data
 * {path, expected}.
 */
int schema_validate_input(struct arena *a, const struct value *schema,
                          const struct value *v, const struct value **ret_coerced,
                          struct status *st);

#endif
