/*
 * adapters_schema.c - vectors of data schemas, filters, forms, locations, graphs and
 * workspace comparison.
 */
#include "vectors.h"

#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"
#include "filter/filter.h"
#include "formula/formula.h"
#include "graph/element_path.h"
#include "graph/graph_flow.h"
#include "graph/workspace_compare.h"
#include "locator/coerce.h"
#include "mapping/data_form.h"
#include "mapping/implied_schema.h"
#include "mapping/mapping_merge.h"
#include "mapping/udm.h"
#include "schema/data_location.h"
#include "schema/data_truncate.h"
#include "schema/schema.h"
#include "schema/schema_fields.h"
#include "schema/schema_fit.h"
#include "schema/schema_infer.h"
#include "schema/schema_merge.h"
#include "value/value.h"

#define ARG(i) value_at(args, i)

/* ---- Shapes of functions ---- */

/* fn(a, x) */
#define ONE(name, call)                                                                  \
    static int name(struct arena *a, const struct value *args, const struct value **ret, \
                    struct status *st) {                                                 \
        (void)st;                                                                        \
        *ret = call(a, ARG(0));                                                          \
        return 0;                                                                        \
    }
/* fn(a, x, y) */
#define TWO(name, call)                                                                  \
    static int name(struct arena *a, const struct value *args, const struct value **ret, \
                    struct status *st) {                                                 \
        (void)st;                                                                        \
        *ret = call(a, ARG(0), ARG(1));                                                  \
        return 0;                                                                        \
    }
/* bool fn(x) */
#define ASK(name, call)                                                                  \
    static int name(struct arena *a, const struct value *args, const struct value **ret, \
                    struct status *st) {                                                 \
        (void)a;                                                                         \
        (void)st;                                                                        \
        *ret = value_bool(call(ARG(0)));                                                 \
        return 0;                                                                        \
    }
/* int fn(a, x, ret, st) */
#define TRY_ONE(name, call)                                                              \
    static int name(struct arena *a, const struct value *args, const struct value **ret, \
                    struct status *st) {                                                 \
        return call(a, ARG(0), ret, st);                                                 \
    }
/* int fn(a, x, y, ret, st) */
#define TRY_TWO(name, call)                                                              \
    static int name(struct arena *a, const struct value *args, const struct value **ret, \
                    struct status *st) {                                                 \
        return call(a, ARG(0), ARG(1), ret, st);                                         \
    }

/* ---- Schemas ---- */

ASK(is_scalar, schema_is_scalar)
ASK(has_properties, schema_has_properties)
ASK(is_empty, schema_is_empty)
ASK(has_fixed_values, schema_has_fixed_values)
TWO(with_title, schema_with_title)
ONE(non_empty_properties, schema_non_empty_properties)
ONE(example, schema_example)
ONE(compress, schema_compress)
ONE(populate_titles, schema_populate_titles)
ONE(merge, schema_merge)
ONE(unwrap, schema_unwrap)
ONE(unwrap_list, schema_unwrap_list)
TRY_ONE(wrap_any_of, schema_wrap_any_of)
ONE(create, schema_create)
ONE(create_compound, schema_create_compound)
TWO(pick_fields, schema_pick_fields)
TRY_TWO(exclude_fields, schema_exclude_fields)
ONE(exclude_read_only, schema_exclude_read_only)
ONE(exclude_write_only, schema_exclude_write_only)
TRY_ONE(create_fields, schema_create_fields)
TRY_ONE(update_fields, schema_update_fields)
TRY_ONE(writable_fields, schema_writable_fields)
ONE(required_fields, schema_required_fields)
TWO(missing_fields, schema_missing_fields)
TRY_TWO(add_required, schema_add_required)
ONE(remove_required, schema_remove_required)

/* These two answer with what they looked at last, not with true or false. */
static int is_number(struct arena *a, const struct value *args, const struct value **ret,
                     struct status *st) {
    (void)a;
    (void)st;
    *ret = value_truthy(ARG(0)) ? value_bool(schema_is_number(ARG(0))) : ARG(0);
    return 0;
}

static int allows_custom(struct arena *a, const struct value *args,
                         const struct value **ret, struct status *st) {
    (void)a;
    (void)st;
    *ret = schema_allows_custom_value(ARG(0)) ? &value_true
                                              : value_get(ARG(0), "allowCustom");
    return 0;
}

static int type_of_value(struct arena *a, const struct value *args,
                         const struct value **ret, struct status *st) {
    const char *type = schema_type_of_value(ARG(0));

    (void)st;
    *ret = type ? value_string(a, type) : &value_undefined;
    return 0;
}

static bool option(const struct value *options, const char *name) {
    return value_truthy(value_get(options, name));
}

static int patch(struct arena *a, const struct value *args, const struct value **ret,
                 struct status *st) {
    struct schema_patch_options o = {option(ARG(2), "readOnly"),
                                     option(ARG(2), "writeOnly")};

    (void)st;
    *ret = schema_patch(a, ARG(0), ARG(1), &o);
    return 0;
}

static int fit(struct arena *a, const struct value *args, const struct value **ret,
               struct status *st) {
    struct schema_fit_options o = {
        .add_defaults = option(ARG(2), "addDefaults"),
        .normalize_values = option(ARG(2), "normalizeValues"),
        .skip_unknown_fields = option(ARG(2), "skipUnknownFields"),
        .skip_read_only_fields = option(ARG(2), "skipReadOnlyFields"),
        .is_formula = option(ARG(2), "valueHasFormulas") ? formula_is : NULL,
    };

    (void)st;
    *ret = schema_fit(a, ARG(0), ARG(1), &o);
    return 0;
}

static enum schema_visit drop_read_only(void *ctx, const char *locator,
                                        const struct value **schema) {
    (void)ctx;
    (void)locator;
    return value_is_true(value_get(*schema, "readOnly")) ? SCHEMA_REMOVE : SCHEMA_KEEP;
}

static int walk_drop(struct arena *a, const struct value *args, const struct value **ret,
                     struct status *st) {
    (void)st;
    *ret = schema_walk(a, ARG(0), drop_read_only, NULL);
    return 0;
}

static enum schema_visit note(void *ctx, const char *locator,
                              const struct value **schema) {
    struct array_builder *seen = ctx;

    (void)schema;
    array_push(seen, value_string(seen->arena, locator));
    return SCHEMA_KEEP;
}

static int walk_visit(struct arena *a, const struct value *args, const struct value **ret,
                      struct status *st) {
    struct array_builder seen;
    const struct value *result;

    (void)st;
    array_begin(&seen, a, 8);
    result = schema_walk(a, ARG(0), note, &seen);
    *ret = value_obj(a, "seen", array_end(&seen), "result", result, NULL);
    return 0;
}

/* ---- Data locations ---- */

ONE(location_make_path, data_location_make_path)
TRY_ONE(location_parse_path, data_location_parse_path)
TWO(location_operation_path, data_location_operation_path)
TWO(location_method_path, data_location_method_path)
TRY_ONE(reference_pointer, schema_reference_pointer)
TRY_ONE(reference_path, schema_reference_path)

static int location_is_same(struct arena *a, const struct value *args,
                            const struct value **ret, struct status *st) {
    (void)a;
    (void)st;
    *ret = value_bool(data_location_is_same(ARG(0), ARG(1)));
    return 0;
}

static int location_match(struct arena *a, const struct value *args,
                          const struct value **ret, struct status *st) {
    (void)a;
    (void)st;
    *ret = value_bool(
        data_location_parameters_match(a, value_get(ARG(0), "locationParameters"),
                                       value_get(ARG(0), "targetParameters")));
    return 0;
}

/* ---- Filters ---- */

TRY_TWO(field_values, filter_field_values)
ONE(operators_for, filter_operators_for)

static int match(struct arena *a, const struct value *args, const struct value **ret,
                 struct status *st) {
    bool holds;

    if (filter_match_once(a, ARG(1), ARG(0), &holds, st) < 0)
        return -1;
    *ret = value_bool(holds);
    return 0;
}

/* A list is a filter, anything else a formula over the data. */
static int match_any_form(struct arena *a, const struct value *args,
                          const struct value **ret, struct status *st) {
    const struct formula_run run = {.variables = ARG(1)};
    const struct formula *f;
    bool holds;

    if (value_is_array(ARG(0))) {
        if (filter_match_once(a, ARG(0), ARG(1), &holds, st) < 0)
            return -1;
        *ret = value_bool(holds);
        return 0;
    }
    if (formula_compile(a, ARG(0), &f, st) < 0 ||
        formula_build_data(f, a, &run, ret, st) < 0)
        return -1;
    if (value_is_nullish(*ret))
        *ret = &value_true;
    return 0;
}

/* ---- Forms and mappings ---- */

ONE(form_fields, data_form_fields)
TWO(form_options, data_form_options)
TWO(merge_with_formulas, mapping_merge)
TRY_TWO(add_udm_fallback_fields, udm_add_fallback_fields)
ONE(record_schema, udm_record_schema)

static int truncate_data(struct arena *a, const struct value *args,
                         const struct value **ret, struct status *st) {
    (void)st;
    *ret = data_truncate(a, ARG(0), value_is_number(ARG(1)) ? (int)ARG(1)->number : 0);
    return 0;
}

static int form_set(struct arena *a, const struct value *args, const struct value **ret,
                    struct status *st) {
    return data_form_set(a, ARG(0), ARG(1), ARG(2), ret, st);
}

static int update_implied(struct arena *a, const struct value *args,
                          const struct value **ret, struct status *st) {
    return implied_schema_update(a, value_get(ARG(0), "schema"),
                                 value_get(ARG(0), "value"),
                                 value_get(ARG(0), "variablesSchema"), ret, st);
}

/* ---- Graphs ---- */

ONE(root_keys, graph_root_keys)
ONE(config_variables, graph_config_variables_schema)
ONE(run_variables, graph_run_variables_schema)
ONE(action_variables, graph_action_variables_schema)

static const char *key_arg(struct arena *a, const struct value *v) {
    return coerce_text(a, v)->str;
}

#define KEYS(name, call)                                                                 \
    static int name(struct arena *a, const struct value *args, const struct value **ret, \
                    struct status *st) {                                                 \
        (void)st;                                                                        \
        *ret = call(a, ARG(0), key_arg(a, ARG(1)));                                      \
        return 0;                                                                        \
    }
KEYS(child_keys, graph_child_keys)
KEYS(downstream_keys, graph_downstream_keys)
KEYS(parent_keys, graph_parent_keys)

static int upstream_keys(struct arena *a, const struct value *args,
                         const struct value **ret, struct status *st) {
    return graph_upstream_keys(a, ARG(0), key_arg(a, ARG(1)), ret, st);
}

static int input_schema(struct arena *a, const struct value *args,
                        const struct value **ret, struct status *st) {
    return graph_node_input_schema(a, ARG(0), key_arg(a, ARG(1)), ret, st);
}

static int has_cycles(struct arena *a, const struct value *args, const struct value **ret,
                      struct status *st) {
    bool cycles;

    if (graph_has_cycles(a, ARG(0), &cycles, st) < 0)
        return -1;
    *ret = value_bool(cycles);
    return 0;
}

/* ---- Workspace ---- */

static int compare(struct arena *a, const struct value *args, const struct value **ret,
                   struct status *st) {
    struct workspace_compare_options o = {
        .without_deletions =
            value_is(value_get(ARG(2), "includeDeletions"), VALUE_BOOL) &&
            !value_is_true(value_get(ARG(2), "includeDeletions")),
        .with_diff = option(ARG(2), "includeDiff"),
    };
    struct workspace_comparison c;

    if (workspace_compare(a, ARG(0), ARG(1), &o, &c, st) < 0)
        return -1;
    *ret = value_obj(
        a, "comparison",
        value_obj(a, "create", c.create, "update", c.update, "delete", c.remove, NULL),
        "changes", c.changes, "baseUuidByTargetUuid", c.replaced, "diff", c.diff, NULL);
    return 0;
}

static int element_path(struct arena *a, const struct value *args,
                        const struct value **ret, struct status *st) {
    return element_path_make(a, ARG(0), ARG(1), ARG(2), ret, st);
}

ONE(parse_path, element_path_parse)

static int selector(struct arena *a, const struct value *args, const struct value **ret,
                    struct status *st) {
    (void)st;
    *ret = element_selector(a, ARG(0), ARG(1), ARG(2));
    return 0;
}

const struct vector_adapter vector_adapters_schema[] = {
    {"DataForm.getFieldValueOptions", form_options},
    {"DataForm.getFields", form_fields},
    {"DataForm.setFieldValue", form_set},
    {"addRequiredFieldsToSchema", add_required},
    {"addUdmFallbackFields", add_udm_fallback_fields},
    {"backwardCompatibleFilterMatch", match_any_form},
    {"makeDataRecordSchema", record_schema},
    {"mergeWithFormulas", merge_with_formulas},
    {"truncateData", truncate_data},
    {"updateImpliedSchema", update_implied},
    {"valueToSchema", fit},
    {"compareWorkspaceExports", compare},
    {"compressDataSchema", compress},
    {"createCompoundSchema", create_compound},
    {"createSchema", create},
    {"dataLocationParametersMatch", location_match},
    {"doesMatchFilter", match},
    {"excludeFieldsFromSchema", exclude_fields},
    {"excludeReadOnlyFieldsFromSchema", exclude_read_only},
    {"excludeWriteOnlyFieldsFromSchema", exclude_write_only},
    {"generateExampleFromSchema", example},
    {"getActionRunTimeVariablesSchema", action_variables},
    {"getChildNodeKeys", child_keys},
    {"getDataCollectionCreateFields", create_fields},
    {"getDataCollectionUpdateFields", update_fields},
    {"getDataLocationMethodPath", location_method_path},
    {"getDownstreamNodeKeys", downstream_keys},
    {"getElementSelector", selector},
    {"getFilterFieldValuesByLocator", field_values},
    {"getFlowNodeConfigTimeVariablesSchema", config_variables},
    {"getFlowNodeRunTimeVariablesSchema", run_variables},
    {"getMembraneElementPath", element_path},
    {"getMissingRequiredFields", missing_fields},
    {"getNodeInputSchema", input_schema},
    {"getOperatorsBySchema", operators_for},
    {"getParentNodeKeys", parent_keys},
    {"getReferenceCollectionPathForSchema", reference_path},
    {"getReferenceCollectionPointerForSchema", reference_pointer},
    {"getRequiredFieldsFromSchema", required_fields},
    {"getRootNodeKeys", root_keys},
    {"getUpstreamNodeKeys", upstream_keys},
    {"getWritableFieldsSchema", writable_fields},
    {"hasCycles", has_cycles},
    {"isSameDataLocation", location_is_same},
    {"isSchemaEmpty", is_empty},
    {"makeDataLocationOperationPath", location_operation_path},
    {"makeDataLocationPath", location_make_path},
    {"mergeSchemas", merge},
    {"nonEmptyObjectProperties", non_empty_properties},
    {"parseDataLocationPath", location_parse_path},
    {"parseMembraneElementPath", parse_path},
    {"patchSchema", patch},
    {"pickFieldsFromSchema", pick_fields},
    {"populateSchemaTitles", populate_titles},
    {"removeRequiredFieldsFromSchema", remove_required},
    {"schemaAllowsCustomValue", allows_custom},
    {"schemaHasFixedValues", has_fixed_values},
    {"schemaHasProperties", has_properties},
    {"schemaIsNumber", is_number},
    {"schemaIsScalar", is_scalar},
    {"schemaTypeFromValue", type_of_value},
    {"schemaWithTitle", with_title},
    {"unwrapSchema", unwrap},
    {"unwrapSchemas", unwrap_list},
    {"walkSchema.dropReadOnly", walk_drop},
    {"walkSchema.visit", walk_visit},
    {"wrapAnyOfSchema", wrap_any_of},
    {NULL, NULL},
};
