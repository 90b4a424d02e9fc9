/*
 * http_request_shape.h - the description of an HTTP request that nodes, actions
 * and connectors hold: {method?, uri, headers?, query?, body?} (formulas.md 9).
 */
#ifndef SCHEMA_HTTP_REQUEST_SHAPE_H
#define SCHEMA_HTTP_REQUEST_SHAPE_H

struct arena;
struct status;
struct value;

/*
 * The description with the method in capitals and without unknown keys. Values may
 * be formulas. -1 bad_request that names the field.
 */
int http_request_shape_check(struct arena *a, const struct value *description,
                             const struct value **ret_description, struct status *st);
/* The schema that forms use for it. */
const struct value *http_request_shape_schema(struct arena *a);

#endif
