/*
 * JSON [value, variables, schema]: compiled, built, resolved, rewritten and
 * inspected under small bounds. Building twice must give the same.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula/formula.h"
#include "formula/formula_inspect.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int echo(void *ctx, struct arena *a, const struct value *request,
                const struct value **ret, struct status *st) {
    (void)ctx, (void)a, (void)st;
    *ret = request;
    return 0;
}

static void inspect(struct arena *a, const struct value *v, const struct value *schema,
                    struct status *st) {
    const struct value *out;

    formula_has(v);
    formula_display_text(a, v, schema);
    formula_to_object(a, v);
    formula_variable_locators(a, v);
    formula_schema(a, v, schema, false, &out, st);
    formula_transform(a, v, schema, &out, st);
    formula_remove_missing_variables(a, v, schema, &out, st);
    formula_process_copy(a, v, &out, st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct formula_limits limits = {
        .max_steps = 20000, .max_bytes = 16 << 20, .timeout_ms = 2000};
    static const struct formula_lookups lookups = {.lookup = echo};
    struct arena *a = arena_new(0);
    const struct value *v, *x, *y;
    const struct formula *f;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, (const char *)data, size, NULL, &v, &st) == 0 &&
        value_is_array(v)) {
        const struct formula_run run = {.variables = value_at(v, 1),
                                        .schema = value_at(v, 2),
                                        .lookups = &lookups,
                                        .limits = &limits};

        if (formula_compile(a, value_at(v, 0), &f, &st) == 0) {
            formula_resolve(f, a, &run, &x, &st);
            if (formula_build_data(f, a, &run, &x, &st) == 0)
                value_encode_arena(a, x, 0);
            if (formula_build(f, a, &run, &x, &st) == 0 &&
                formula_build(f, a, &run, &y, &st) == 0 && !value_equal(x, y))
                abort();
        }
        inspect(a, value_at(v, 0), value_at(v, 2), &st);
    }
    arena_free(&a);
    return 0;
}
