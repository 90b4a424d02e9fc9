/*
 * adapters_formula.c - locators, formulas, dates, names and JSON text.
 */
#include "vectors.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "formula/date_parse.h"
#include "formula/formula.h"
#include "formula/formula_inspect.h"
#include "locator/coerce.h"
#include "locator/locator.h"
#include "locator/locator_schema.h"
#include "value/value.h"

#define ADAPTER(name)                                                                    \
    static int name(struct arena *a, const struct value *args, const struct value **ret, \
                    struct status *st)
#define ARG(i) value_at(args, i)
/* Not every adapter needs all of its parameters. */
#define UNUSED() ((void)(st), (void)(a), (void)(args))

/* ---- locators ---- */

ADAPTER(locator_to_steps) {
    struct locator l;

    if (value_is_array(ARG(0))) {
        *ret = ARG(0);
        return 0;
    }
    if (locator_from_value(a, ARG(0), &l, st) < 0)
        return -1;
    *ret = locator_steps_value(a, &l);
    return 0;
}

ADAPTER(is_valid_locator) {
    UNUSED();
    *ret = value_bool(locator_is_valid(ARG(0)));
    return 0;
}

/* locatorToString: steps are written, everything else passes through. */
ADAPTER(locator_to_string) {
    if (!value_is_array(ARG(0))) {
        *ret = ARG(0);
        return 0;
    }
    return locator_from_steps(a, ARG(0), ret, st);
}

ADAPTER(steps_to_locator) {
    return locator_from_steps(a, ARG(0), ret, st);
}

ADAPTER(to_field) {
    UNUSED();
    *ret = locator_to_field(a, ARG(0));
    return 0;
}

ADAPTER(extract_field_locator) {
    return locator_field_part(a, ARG(0), ret, st);
}

ADAPTER(make_object_property_locator) {
    UNUSED();
    *ret = locator_with_property(a, ARG(0), value_text(ARG(1)), ARG(1)->len);
    return 0;
}

ADAPTER(json_pointer_to_dot_path) {
    UNUSED();
    *ret = locator_from_json_pointer(a, ARG(0));
    return 0;
}

ADAPTER(get_value_at_locator) {
    UNUSED();
    *ret = locator_get_at(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(get_value_by_locator) {
    UNUSED();
    *ret = locator_get_by(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(set_value_at_locator) {
    return locator_set_value(a, ARG(0), ARG(1), ARG(2), ret, st);
}

ADAPTER(pick_fields_from_value) {
    return locator_pick_fields(a, ARG(0), ARG(1), ret, st);
}

ADAPTER(exclude_fields_from_value) {
    return locator_exclude_fields(a, ARG(0), ARG(1), ret, st);
}

ADAPTER(create_object_from_locators) {
    return locator_object_from(a, ARG(0), ARG(1), ret, st);
}

ADAPTER(get_locators_from_data) {
    UNUSED();
    *ret = locator_list_data(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(find_value_locators) {
    UNUSED();
    *ret = locator_find_value(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(get_formula_locators) {
    UNUSED();
    *ret = locator_list_formulas(a, ARG(1), value_text(ARG(0)));
    return 0;
}

/* ---- locators on schemas ---- */

ADAPTER(get_schema_by_locator) {
    UNUSED();
    *ret = locator_schema_get(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(get_locators_from_schema) {
    UNUSED();
    *ret = locator_schema_list(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(set_schema_at_locator) {
    return locator_schema_set(a, ARG(0), ARG(1), ARG(2), ret, st);
}

ADAPTER(make_schema_for_locator) {
    return locator_schema_set(a, &value_undefined, ARG(0), ARG(1), ret, st);
}

ADAPTER(get_name_for_locator) {
    UNUSED();
    *ret = locator_schema_name(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(get_name_components_for_locator) {
    UNUSED();
    *ret = locator_schema_names(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(get_full_name_for_locator) {
    UNUSED();
    *ret = locator_schema_full_name(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(get_icon_uri_for_locator) {
    UNUSED();
    *ret = locator_schema_icon(a, ARG(0), ARG(1));
    return 0;
}

/* ---- formulas ---- */

/* The day of the recording: a time without a date means that day. */
static double recorded_ms(void *ctx) {
    (void)ctx;
    return 1795392000000; /* 2026-11-23 */
}

ADAPTER(build_value) {
    const struct formula_run run = {.variables = ARG(1), .now_ms = recorded_ms};
    const struct formula *f;

    if (formula_compile(a, ARG(0), &f, st) < 0)
        return -1;
    return formula_build(f, a, &run, ret, st);
}

ADAPTER(build_data) {
    const struct formula_run run = {.variables = ARG(1), .now_ms = recorded_ms};
    const struct formula *f;

    if (formula_compile(a, ARG(0), &f, st) < 0)
        return -1;
    return formula_build_data(f, a, &run, ret, st);
}

ADAPTER(process_copy) {
    return formula_process_copy(a, ARG(0), ret, st);
}

/* "kind:text" or "kind:text:more"; more may be NULL. */
static const struct value *stub_text(struct arena *a, const char *kind,
                                     const struct value *text, const struct value *more) {
    struct buf b = BUF_INIT;
    struct bytes out;

    buf_addf(&b, "%s:", kind);
    coerce_append_text(&b, text);
    if (more) {
        buf_addc(&b, ':');
        coerce_append_text(&b, more);
    }
    out = buf_to_arena(&b, a);
    buf_fini(&b);
    return value_box(a, value_string_ref(out.data, out.len));
}

static int stub_app_record_id(void *ctx, struct arena *a, const struct value *key,
                              const struct value *id, const struct value **ret,
                              struct status *st) {
    (void)ctx, (void)st;
    *ret = stub_text(a, "import", key, id);
    return 0;
}

static int stub_external_record_id(void *ctx, struct arena *a, const struct value *key,
                                   const struct value *id, const struct value **ret,
                                   struct status *st) {
    (void)ctx, (void)st;
    *ret = stub_text(a, "export", key, id);
    return 0;
}

static int stub_lookup(void *ctx, struct arena *a, const struct value *request,
                       const struct value **ret, struct status *st) {
    (void)ctx, (void)a, (void)st;
    *ret = request;
    return 0;
}

static int stub_data_collection(void *ctx, struct arena *a, const struct value *key,
                                const struct value *parameters, const struct value **ret,
                                struct status *st) {
    const struct value *schema =
        value_obj(a, "type", value_string(a, "object"), "title",
                  stub_text(a, "collection", key, NULL), "parameters", parameters, NULL);

    (void)ctx, (void)st;
    *ret = value_obj(a, "fieldsSchema", schema, NULL);
    return 0;
}

static int stub_internal_schema(void *ctx, struct arena *a, const struct value *key,
                                const struct value **ret, struct status *st) {
    (void)ctx, (void)st;
    *ret = value_obj(a, "type", value_string(a, "object"), "title",
                     stub_text(a, "schema", key, NULL), NULL);
    return 0;
}

static bool lists(const struct value *names, const char *name) {
    for (VALUE_EACH_ITEM(item, names))
        if (value_equals_text(item, name))
            return true;
    return false;
}

ADAPTER(resolve_formulas) {
    const struct value *stubs = value_get(ARG(1), "stubs");
    const struct formula_lookups lookups = {
        .lookup = lists(stubs, "resolveLookup") ? stub_lookup : NULL,
        .app_record_id =
            lists(stubs, "resolveImportDataLink") ? stub_app_record_id : NULL,
        .external_record_id =
            lists(stubs, "resolveExportDataLink") ? stub_external_record_id : NULL,
        .data_collection =
            lists(stubs, "getDataCollection") ? stub_data_collection : NULL,
        .internal_schema =
            lists(stubs, "getInternalDataSchema") ? stub_internal_schema : NULL,
    };
    const struct formula_run run = {.variables = value_get(ARG(1), "variables"),
                                    .schema = value_get(ARG(1), "schema"),
                                    .lookups = &lookups,
                                    .now_ms = recorded_ms};

    return formula_resolve_value(a, ARG(0), &run, ret, st);
}

/* The reference takes inherited names for formulas and fails, except for this
 * one, which it only fails to evaluate. */
static bool fails_detection(const struct value *v) {
    return formula_is_reserved(v) && !value_has(v, "$constructor");
}

static int refuse(struct status *st) {
    return st_fail(st, ST_BAD_REQUEST, NULL, "Reserved name used as a formula");
}

ADAPTER(is_formula) {
    UNUSED();
    if (fails_detection(ARG(0)))
        return refuse(st);
    *ret = value_bool(formula_is(ARG(0)));
    return 0;
}

static bool holds_reserved(const struct value *v) {
    if (formula_is(v))
        return fails_detection(v);
    for (VALUE_EACH_ITEM(item, v))
        if (holds_reserved(item))
            return true;
    for (VALUE_EACH_MEMBER(m, v))
        if (holds_reserved(&m->value))
            return true;
    return false;
}

ADAPTER(has_formulas) {
    UNUSED();
    if (holds_reserved(ARG(0)))
        return refuse(st);
    *ret = value_bool(formula_has(ARG(0)));
    return 0;
}

ADAPTER(formula_object) {
    UNUSED();
    *ret = formula_to_object(a, ARG(0));
    return 0;
}

ADAPTER(get_variable_locators) {
    UNUSED();
    *ret = formula_variable_locators(a, ARG(0));
    return 0;
}

/* Puts a prefix in place of a text locator's "$" or "$.". */
static const struct value *rename_with_prefix(void *ctx, struct arena *a,
                                              const struct value *locator) {
    const struct value *prefix = ctx;
    struct buf b = BUF_INIT;
    struct bytes out;
    size_t skip = 0;

    if (!value_is_string(locator))
        return locator;
    if (locator->len > 0 && locator->str[0] == '$')
        skip = locator->str[1] == '.' ? 2 : 1;
    buf_add(&b, prefix->str, prefix->len);
    buf_add(&b, locator->str + skip, locator->len - skip);
    out = buf_to_arena(&b, a);
    buf_fini(&b);
    return value_box(a, value_string_ref(out.data, out.len));
}

ADAPTER(transform_variables_with) {
    return formula_rename_variables(a, ARG(0), rename_with_prefix, (void *)ARG(1), ret,
                                    st);
}

ADAPTER(transform_vars) {
    return formula_transform(a, ARG(0), ARG(1), ret, st);
}

ADAPTER(remove_non_existent_vars) {
    return formula_remove_missing_variables(a, ARG(0), ARG(1), ret, st);
}

ADAPTER(value_to_string) {
    UNUSED();
    *ret = formula_display_text(a, ARG(0), ARG(1));
    return 0;
}

ADAPTER(get_schema_from_value) {
    return formula_schema(a, ARG(0), ARG(1), value_truthy(ARG(2)), ret, st);
}

ADAPTER(eval_get_operator) {
    return formula_operator_info(a, ARG(0), ARG(1), ret, st);
}

ADAPTER(eval_get_available_operators) {
    return formula_available_operators(a, ARG(0), ARG(1), ret, st);
}

/* ---- dates ---- */

ADAPTER(parse_date) {
    UNUSED();
    *ret = date_from_value(a, ARG(0));
    return 0;
}

static int need_dates(const struct value *x, const struct value *y, struct status *st) {
    if (value_is(x, VALUE_DATE) && value_is(y, VALUE_DATE))
        return 0;
    return st_fail(st, ST_BAD_REQUEST, NULL, "Not a date");
}

ADAPTER(is_business_day) {
    (void)a;
    if (need_dates(ARG(0), ARG(0), st) < 0)
        return -1;
    *ret = value_bool(date_is_business_day(ARG(0)->number));
    return 0;
}

ADAPTER(get_business_days_between) {
    if (need_dates(ARG(0), ARG(1), st) < 0)
        return -1;
    *ret = date_business_days(a, ARG(0)->number, ARG(1)->number);
    return 0;
}

/* ---- JSON ---- */

ADAPTER(json_roundtrip) {
    const struct value_limits limits = {.max_depth = 2000};
    const struct value *v;
    struct bytes text;

    if (value_parse(a, value_text(ARG(0)), ARG(0)->len, &limits, &v, st) < 0)
        return -1;
    text = value_encode_arena(a, v, 0);
    *ret = value_string_len(a, text.data, text.len);
    return 0;
}

const struct vector_adapter vector_adapters_formula[] = {
    {"locatorToSteps", locator_to_steps},
    {"isValidLocator", is_valid_locator},
    {"locatorToString", locator_to_string},
    {"stepsToLocator", steps_to_locator},
    {"locatorToField", to_field},
    {"extractFieldLocator", extract_field_locator},
    {"makeObjectPropertyLocator", make_object_property_locator},
    {"jsonPointerToDotPath", json_pointer_to_dot_path},
    {"getValueAtLocator", get_value_at_locator},
    {"getValueByLocator", get_value_by_locator},
    {"setValueAtLocator", set_value_at_locator},
    {"pickFieldsFromValue", pick_fields_from_value},
    {"excludeFieldsFromValue", exclude_fields_from_value},
    {"createObjectFromLocators", create_object_from_locators},
    {"getLocatorsFromData", get_locators_from_data},
    {"findValueLocators", find_value_locators},
    {"getFormulaLocators", get_formula_locators},
    {"getSchemaByLocator", get_schema_by_locator},
    {"getLocatorsFromSchema", get_locators_from_schema},
    {"setSchemaAtLocator", set_schema_at_locator},
    {"makeSchemaForLocator", make_schema_for_locator},
    {"getNameForLocator", get_name_for_locator},
    {"getNameComponentsForLocator", get_name_components_for_locator},
    {"getFullNameForLocator", get_full_name_for_locator},
    {"getIconUriForLocator", get_icon_uri_for_locator},
    {"buildValue", build_value},
    {"buildData", build_data},
    {"processCopy", process_copy},
    {"resolveFormulas", resolve_formulas},
    {"isFormula", is_formula},
    {"hasFormulas", has_formulas},
    {"formula.toObject", formula_object},
    {"getVariableLocators", get_variable_locators},
    {"transformVariablesWith", transform_variables_with},
    {"transformVars", transform_vars},
    {"removeNonExistentVars", remove_non_existent_vars},
    {"valueToString", value_to_string},
    {"getSchemaFromValue", get_schema_from_value},
    {"eval.getOperator", eval_get_operator},
    {"eval.getAvailableOperators", eval_get_available_operators},
    {"parseDate", parse_date},
    {"isBusinessDay", is_business_day},
    {"getBusinessDaysBetween", get_business_days_between},
    {"json.roundtrip", json_roundtrip},
    {NULL, NULL},
};
