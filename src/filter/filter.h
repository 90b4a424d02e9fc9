/*
 * filter.h - data filters (formulas.md 5): lists of {field, operator, value}
 * that must all hold.
 *
 * A filter is compiled once and matched against many records; a compiled filter
 * is read only, so threads may share it. Mistakes in a condition (no object, an
 * invalid field) fail when matching reaches the condition, as in the reference.
 */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include <stdbool.h>

struct arena;
struct status;
struct value;

struct filter;

/*
 * Gives a filter that lives in `a` and lends from `source`. Anything but a list
 * matches everything; conditions with an unknown operator are left out.
 */
struct filter *filter_compile(struct arena *a, const struct value *source);
/* Does the filter match everything without looking? */
bool filter_is_empty(const struct filter *f);
/* 0 with the answer, or -1 bad_request for a condition that makes no sense. */
int filter_match(const struct filter *f, const struct value *data, bool *ret_match,
                 struct status *st);
/* Compiles and matches once. `a` holds the compiled form. */
int filter_match_once(struct arena *a, const struct value *source,
                      const struct value *data, bool *ret_match, struct status *st);

/* The values a field names in data: an array, empty when there are none. -1
 * bad_request for an invalid locator. */
int filter_field_values(struct arena *a, const struct value *data,
                        const struct value *locator, const struct value **ret_values,
                        struct status *st);

/* The operators that make sense for a schema: an array of {type, name,
 * operandSchema}. */
const struct value *filter_operators_for(struct arena *a, const struct value *schema);

#endif
