/*
 * JSON text {filter, data, path}: a filter compiled once must answer as one compiled
 * anew, and its opposite operator where there is one must disagree on single values.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/status.h"
#include "filter/filter.h"
#include "schema/data_location.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void field_values(struct arena *a, const struct value *filter,
                         const struct value *data) {
    for (VALUE_EACH_ITEM(condition, filter)) {
        const struct value *values;
        struct status st;

        st_init(&st, a);
        if (filter_field_values(a, data, value_get(condition, "field"), &values, &st) < 0)
            continue;
        for (VALUE_EACH_ITEM(v, values)) {
            if (value_is_nullish(v))
                abort();
        }
    }
}

static void paths(struct arena *a, const struct value *path) {
    const struct value *pointer, *again;
    struct status st;

    st_init(&st, a);
    if (data_location_parse_path(a, path, &pointer, &st) < 0 ||
        value_is(pointer, VALUE_UNDEFINED))
        return;
    /* a path made of a pointer that was read from a path reads as the same */
    path = data_location_make_path(a, pointer);
    if (value_is(path, VALUE_UNDEFINED))
        return;
    if (data_location_parse_path(a, path, &again, &st) < 0 ||
        !data_location_is_same(pointer, again))
        abort();
    data_location_operation_path(a, path, value_get(pointer, "key"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct value_limits limits = {.max_depth = 100};
    struct arena *a = arena_new(0);
    const struct value *root;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, (const char *)data, size, &limits, &root, &st) == 0) {
        const struct value *filter = value_get(root, "filter");
        const struct value *record = value_get(root, "data");
        struct filter *f = filter_compile(a, filter);
        bool first = false, second = false, third = false;
        int rc = filter_match(f, record, &first, &st);

        if (filter_match(f, record, &second, &st) != rc ||
            filter_match_once(a, filter, record, &third, &st) != rc || first != second ||
            first != third)
            abort();
        field_values(a, filter, record);
        paths(a, value_get(root, "path"));
        filter_operators_for(a, record);
    }
    arena_free(&a);
    return 0;
}
