/*
 * connector_function.h - what a function of a connector is: `{type, ...body}`, the files
 * it is kept in, and whether a set of them is well formed.
 */
#ifndef CONNECTOR_CONNECTOR_FUNCTION_H
#define CONNECTOR_CONNECTOR_FUNCTION_H

#include <stdbool.h>

#include "base/bytes.h"

struct arena;
struct status;
struct value;

enum function_type {
    FUNCTION_MAPPING,
    FUNCTION_OPERATION_MAPPING,
    FUNCTION_REST_API_MAPPING,
    FUNCTION_GRAPHQL_API_MAPPING,
    FUNCTION_JAVASCRIPT,
    FUNCTION_NOT_SUPPORTED, /* explicitly absent: stops inheritance */
    FUNCTION_TYPE_COUNT
};
#define FUNCTION_MASK(type) (1u << (type))

/* "rest-api-mapping"; -1 when the word is unknown. */
const char *connector_function_type_name(enum function_type type);
int connector_function_type(const char *name);

/*
 * Splits a file name: "find-by-id.rest.yml" is method "findById" of type
 * rest-api-mapping. false when the name has no function suffix.
 */
bool connector_function_file(struct arena *a, const char *file_name,
                             const char **ret_method, enum function_type *ret_type);
/*
 * Reads a function's file into {type, mapping | code, filePath}. -1 bad_request with
 * file, line and column for broken YAML.
 */
int connector_function_read(struct arena *a, const char *path, enum function_type type,
                            struct bytes body, const struct value **ret_function,
                            struct status *st);

/* "find-by-id" is "findById"; the names that don't follow the rule are known. */
const char *connector_method_key(struct arena *a, const char *kebab);

/*
 * Checks every auth function of a connector or option (and of a connector's `options`):
 * one bad_request, "Invalid function definition(s)" with a `"name": problem` list
 * (engine.md 5.7).
 */
int connector_validate_functions(struct arena *a, const struct value *connector,
                                 struct status *st);
/* Is the key one of the auth functions of functions.def? */
bool connector_is_auth_function(const char *key);

#endif
