/*
 * schema_plan_priv.h - the inside of a plan: what fitting and checking read.
 */
#ifndef SCHEMA_SCHEMA_PLAN_PRIV_H
#define SCHEMA_SCHEMA_PLAN_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/schema_plan.h"
#include "value/value.h"

enum plan_type {
    PLAN_ANY, /* no type, a list of types, or one we do not know */
    PLAN_STRING,
    PLAN_NUMBER,
    PLAN_INTEGER,
    PLAN_BOOLEAN,
    PLAN_NULL,
    PLAN_ARRAY,
    PLAN_OBJECT,
};

struct plan_property {
    const struct member *key; /* of the schema's properties */
    const struct schema_plan *plan;
    bool is_read_only;
};

struct schema_plan {
    uint8_t type;          /* enum plan_type */
    bool is_nothing;       /* the schema is falsy: no statement at all */
    bool keeps_unknown;    /* additionalProperties */
    bool has_alternatives; /* checking goes through these, also when there are 0 */
    uint32_t alternative_count;
    const struct schema_plan *alternatives; /* of anyOf, else of the type list */
    const struct value *otherwise;          /* default, or undefined */
    const struct value *properties;         /* object */
    const struct plan_property *list;       /* one per member of properties */
    const struct member *required;          /* keys only */
    uint32_t required_count;
    const struct schema_plan *items; /* NULL: no schema */
};

#endif
