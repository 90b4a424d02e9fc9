/*
 * adapters_formula.c - locators, formulas, dates, names and JSON text.
 */
#include "vectors.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
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
    {"json.roundtrip", json_roundtrip},
    {NULL, NULL},
};
