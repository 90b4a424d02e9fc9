/*
 * collection_mapping.c - field mappings at run time (engine.md 9.2).
 *
 * Import: the record's native fields are the root of importValue, its unified ones of
 * unifiedImportValue. Export: what the application gives is the root; unified values are
 * written in native fields first, native values lie on top.
 */
#include "base/arena.h"
#include "base/status.h"
#include "collection_priv.h"
#include "formula/formula.h"
#include "locator/locator.h"
#include "mapping/mapping_merge.h"

/* Fields that the user may not change keep the value that the default gives them. */
static const struct value *freeze(struct arena *a, const struct value *values,
                                  const struct value *defaults,
                                  const struct value *frozen) {
    for (VALUE_EACH_ITEM(field, frozen)) {
        const struct value *v = locator_get_at(a, defaults, field);
        struct status ignored;

        st_init(&ignored, a);
        if (!value_is(v, VALUE_UNDEFINED))
            locator_set_value(a, values, field, v, &values, &ignored);
    }
    return values;
}

/* Defaults below the user's values; undefined when there are none. */
static const struct value *values_of(struct arena *a, const struct value *mapping,
                                     bool is_import) {
    const struct value *defaults =
        value_get(mapping, is_import ? "defaultImportValue" : "defaultExportValue");
    const struct value *own =
        value_get(mapping, is_import ? "importValue" : "exportValue");

    return freeze(
        a, mapping_merge(a, defaults, own), defaults,
        value_get(mapping, is_import ? "frozenImportFields" : "frozenExportFields"));
}

int collection_mapping_run(struct arena *a, const struct value *mapping, bool is_import,
                           const struct value *input, const struct value **ret_output,
                           struct status *st) {
    const struct value *values = values_of(a, mapping, is_import);
    struct formula_run run = {.variables = input};

    if (value_is_nullish(values))
        values =
            value_get(mapping, is_import ? "unifiedImportValue" : "unifiedExportValue");
    if (value_is_nullish(values)) {
        *ret_output = input;
        return 0;
    }
    return formula_resolve_value(a, values, &run, ret_output, st);
}

static int with_values(struct data_collection *c, const struct value *values,
                       const struct value *root, const struct value **result,
                       struct status *st) {
    const struct value *built;

    if (value_is_nullish(values))
        return 0;
    if (collection_build(c, values, root, &built, st) < 0)
        return st_context(st, "field mapping");
    *result = mapping_merge(collection_arena(c), *result, built);
    return 0;
}

int collection_import(struct data_collection *c, const struct value *mapping,
                      const struct value *record, bool is_unified, bool include_raw,
                      const struct value **ret_record, struct status *st) {
    const struct value *native = value_get(record, "fields");
    const struct value *unified = value_get(record, "unifiedFields");
    const struct value *values = values_of(collection_arena(c), mapping, true);
    const struct value *of_unified = value_get(mapping, "unifiedImportValue");
    const struct value *fields = &value_undefined;
    struct arena *a = collection_arena(c);

    if (with_values(c, of_unified, unified, &fields, st) < 0 ||
        with_values(c, values, native, &fields, st) < 0)
        return -1;
    if (value_is_nullish(values) && value_is_nullish(of_unified))
        fields = is_unified && value_is_object(unified) ? unified : native;
    if (value_is(fields, VALUE_UNDEFINED))
        fields = &value_empty_object; /* formulas that give nothing leave nothing */
    record = value_with(a, record, "fields", fields);
    *ret_record =
        value_with(a, record, "rawFields", include_raw ? native : &value_undefined);
    return 0;
}

/* Has the connector a way to write the model? Without it, fields are taken as native. */
static int unified_or_native(struct data_collection *c, const struct value *input,
                             bool is_unified, const struct value **ret,
                             struct status *st) {
    if (is_unified)
        return collection_unified_to_native(c, input, ret, st);
    *ret = input;
    return 0;
}

int collection_export(struct data_collection *c, const struct value *mapping,
                      const struct value *input, bool is_unified,
                      const struct value **ret_fields, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *values = values_of(a, mapping, false);
    const struct value *of_unified = value_get(mapping, "unifiedExportValue");
    const struct value *fields = &value_undefined, *unified = &value_undefined;

    if (with_values(c, of_unified, input, &unified, st) < 0)
        return -1;
    if (value_is_object(unified) &&
        collection_unified_to_native(c, unified, &fields, st) < 0)
        return -1;
    if (with_values(c, values, input, &fields, st) < 0)
        return -1;
    if (value_is_nullish(values) && value_is_nullish(of_unified) &&
        unified_or_native(c, value_is_object(input) ? input : &value_empty_object,
                          is_unified, &fields, st) < 0)
        return -1;
    *ret_fields = value_is_object(fields) ? collection_drop_undefined(a, fields)
                                          : &value_empty_object;
    return 0;
}
