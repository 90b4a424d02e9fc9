/*
 * implied_schema.c - implied parts of a schema.
 */
#include "mapping/implied_schema.h"

#include "base/arena.h"
#include "base/status.h"
#include "formula/formula_inspect.h"
#include "locator/coerce.h"
#include "locator/locator_schema.h"
#include "schema/schema.h"
#include "value/value.h"

struct updating {
    struct arena *arena;
    const struct value *result;
    struct status *st;
};

static enum schema_visit drop_implied(void *ctx, const char *locator,
                                      const struct value **schema) {
    (void)ctx;
    (void)locator;
    return value_truthy(value_get(*schema, "isImplied")) ? SCHEMA_REMOVE : SCHEMA_KEEP;
}

static enum schema_visit mark_implied(void *ctx, const char *locator,
                                      const struct value **schema) {
    struct arena *a = ctx;
    static const char *const left_out[] = {"readOnly", "title", NULL};
    const struct value *marked = value_omit(a, *schema, left_out);

    (void)locator;
    *schema = value_with(a, marked, "isImplied", &value_true);
    return SCHEMA_KEEP;
}

static bool same_type(const struct value *x, const struct value *y) {
    return coerce_strict_equal(value_get(x, "type"), value_get(y, "type"));
}

static enum schema_visit add_missing(void *ctx, const char *text,
                                     const struct value **schema) {
    struct updating *u = ctx;
    const struct value *locator = value_string(u->arena, text);
    const struct value *known = locator_schema_get(u->arena, u->result, locator);
    const struct value *implied;

    if (value_truthy(known))
        return same_type(known, *schema) ? SCHEMA_KEEP : SCHEMA_STOP;
    implied = schema_walk(u->arena, *schema, mark_implied, u->arena);
    if (locator_schema_set(u->arena, u->result, locator, implied, &u->result, u->st) < 0)
        return SCHEMA_STOP;
    return SCHEMA_KEEP;
}

int implied_schema_update(struct arena *a, const struct value *schema,
                          const struct value *v, const struct value *variables_schema,
                          const struct value **ret_schema, struct status *st) {
    struct updating u = {.arena = a, .st = st};
    const struct value *of_value;

    u.result = value_truthy(schema)
                   ? schema_walk(a, schema_json_clone(a, schema), drop_implied, NULL)
                   : &value_undefined;
    if (formula_schema(a, v, variables_schema, false, &of_value, st) < 0)
        return -1;
    schema_walk(a, of_value, add_missing, &u);
    *ret_schema = u.result;
    return 0;
}
