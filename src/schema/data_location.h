/*
 * data_location.h - pointers to data collections and their paths (formulas.md
 * 4.8): {key, parameters} and "/data/key?a=1".
 */
#ifndef SCHEMA_DATA_LOCATION_H
#define SCHEMA_DATA_LOCATION_H

#include <stdbool.h>

struct arena;
struct status;
struct value;

/* The path of a pointer, or of a text that starts with "/data/"; undefined
 * without a key. */
const struct value *data_location_make_path(struct arena *a, const struct value *pointer);
/* The pointer of a path; undefined for a falsy one. -1 bad_request when it does
 * not start with "data/". */
int data_location_parse_path(struct arena *a, const struct value *path,
                             const struct value **ret_pointer, struct status *st);
/* Equal keys and deep-equal parameters; none and empty are the same. */
bool data_location_is_same(const struct value *x, const struct value *y);
/* Is every target parameter, strictly equal, among the location's? */
bool data_location_parameters_match(struct arena *a,
                                    const struct value *location_parameters,
                                    const struct value *target_parameters);
/* The path with "/operation" before its query. */
const struct value *data_location_operation_path(struct arena *a,
                                                 const struct value *path,
                                                 const struct value *operation);
/* "data/contacts/find-by-id" */
const struct value *data_location_method_path(struct arena *a, const struct value *key,
                                              const struct value *method);

/* What a reference schema points to; undefined when to nothing. -1 as
 * data_location_parse_path. */
int schema_reference_pointer(struct arena *a, const struct value *schema,
                             const struct value **ret_pointer, struct status *st);
int schema_reference_path(struct arena *a, const struct value *schema,
                          const struct value **ret_path, struct status *st);

#endif
