/*
 * model_bundle.c - packages (bundles of elements) and screens (pages made of blocks):
 * types without behaviour of their own.
 */
#include "model.h"

#include <string.h>

#include "base/status.h"
#include "value/value.h"

extern const struct element_domain package_domain, screen_domain;

static const struct element_field package_fields[] = {
    {"scenarioTemplateId", FIELD_TEXT, FIELD_CONFIG, NULL},
    {"elements", FIELD_ARRAY, FIELD_CFG, NULL},
};
static const struct element_field screen_fields[] = {
    {"type", FIELD_ENUM, 0, FIELD_WORDS("integration")},
    {"blocks", FIELD_ARRAY, 0, NULL},
};

static int check_package(struct arena *a, const struct value *doc, struct status *st) {
    (void)a;
    for (VALUE_EACH_ITEM(item, value_get(doc, "elements"))) {
        const char *type = value_get_string(item, "type", NULL);
        if (!type || !element_type_from_name(type))
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "elements: each must be {id, type} with an element type");
    }
    return 0;
}

static int check_screen(struct arena *a, const struct value *doc, struct status *st) {
    static const char *const types[] = {"flow", "field-mapping", "data-source", "action"};

    (void)a;
    for (VALUE_EACH_ITEM(block, value_get(doc, "blocks"))) {
        bool known = false;
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            known |= value_equals_text(value_get(block, "type"), types[i]);
        if (!known)
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "blocks: each must have the type flow, field-mapping, "
                           "data-source or action");
    }
    return 0;
}

static int serve_screen(struct model_view *v, const struct value *doc,
                        struct object_builder *out, struct status *st) {
    (void)v, (void)st;
    if (!value_has(doc, "type"))
        object_set(out, "type", value_string(model_view_arena(v), "integration"));
    if (!value_has(doc, "blocks"))
        object_set(out, "blocks", &value_empty_array);
    return 0;
}

const struct element_domain package_domain = {
    .fields = package_fields,
    .fields_len = sizeof package_fields / sizeof *package_fields,
    .check = check_package,
};
const struct element_domain screen_domain = {
    .fields = screen_fields,
    .fields_len = sizeof screen_fields / sizeof *screen_fields,
    .check = check_screen,
    .serve = serve_screen,
};
