/*
 * JSON text {schema, value, patch, fields}: every function over schemas must hold on
 * any shape, and what the checks promise must hold.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/status.h"
#include "schema/data_location.h"
#include "schema/data_truncate.h"
#include "schema/schema.h"
#include "schema/schema_check.h"
#include "schema/schema_fields.h"
#include "schema/schema_fit.h"
#include "schema/schema_infer.h"
#include "schema/schema_merge.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds) {
    if (!holds)
        abort();
}

static void questions(struct arena *a, const struct value *schema,
                      const struct value *v) {
    schema_is_scalar(schema);
    schema_is_number(schema);
    schema_allows_custom_value(schema);
    schema_has_properties(schema);
    schema_is_empty(schema);
    schema_example(a, schema);
    schema_compress(a, schema);
    schema_populate_titles(a, schema);
    schema_missing_fields(a, schema, v);
    schema_remove_required(a, schema);
    schema_exclude_write_only(a, schema);
    data_truncate(a, v, 0);
}

static void rewriting(struct arena *a, const struct value *schema,
                      const struct value *patch, const struct value *fields) {
    const struct schema_patch_options flags = {.read_only = true, .write_only = true};
    const struct value *result;
    struct status st;

    st_init(&st, a);
    schema_patch(a, schema, patch, &flags);
    schema_patch(a, patch, schema, NULL);
    schema_merge(a, fields);
    schema_unwrap(a, schema);
    schema_pick_fields(a, schema, fields);
    schema_exclude_fields(a, schema, fields, &result, &st);
    schema_add_required(a, schema, fields, &result, &st);
    schema_writable_fields(a, patch, &result, &st);
    schema_reference_path(a, schema, &result, &st);
    schema_wrap_any_of(a, schema, &result, &st);
}

static void checks(struct arena *a, const struct value *schema, const struct value *v) {
    const struct schema_fit_options all = {
        .add_defaults = true, .normalize_values = true, .skip_unknown_fields = true};
    const struct value *created = schema_create(a, v), *coerced, *again;
    struct status st;

    st_init(&st, a);
    schema_fit(a, v, schema, &all);
    /* a value passes the schema made from it, a made schema is a schema */
    if (schema_check(a, created, &st) == 0)
        expect(schema_validate_input(a, created, v, &coerced, &st) == 0);
    /* what was converted once needs no conversion */
    if (schema_validate_input(a, schema, v, &coerced, &st) == 0) {
        expect(schema_validate_input(a, schema, coerced, &again, &st) == 0);
        expect(value_equal(coerced, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct value_limits limits = {.max_depth = 100};
    struct arena *a = arena_new(0);
    const struct value *root;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, (const char *)data, size, &limits, &root, &st) == 0) {
        const struct value *schema = value_get(root, "schema");
        const struct value *v = value_get(root, "value");

        questions(a, schema, v);
        rewriting(a, schema, value_get(root, "patch"), value_get(root, "fields"));
        checks(a, schema, v);
    }
    arena_free(&a);
    return 0;
}
