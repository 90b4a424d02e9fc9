/*
 * field_mapping.c - values that lead from an external record to the host application's
 * and back.
 *
 * A parent's change reaches a customised mapping too: values are merged key by key, so
 * that a new field appears and what was customised stays.
 */
#include "model/model.h"

#include <string.h>

#include "base/arena.h"
#include "value/value.h"

extern const struct element_domain field_mapping_domain;

static const struct element_field fields[] = {
    {"dataSourceKey", FIELD_TEXT, FIELD_CFG, NULL},
    {"appSchema", FIELD_OBJECT, FIELD_CFG, NULL},
    {"direction", FIELD_ENUM, FIELD_CFG, FIELD_WORDS("import", "export", "both")},
    {"defaultImportValue", FIELD_ANY, FIELD_CFG, NULL},
    {"defaultExportValue", FIELD_ANY, FIELD_CFG, NULL},
    {"importValue", FIELD_ANY, FIELD_CFG, NULL},
    {"exportValue", FIELD_ANY, FIELD_CFG, NULL},
    {"unifiedImportValue", FIELD_ANY, FIELD_CFG, NULL},
    {"unifiedExportValue", FIELD_ANY, FIELD_CFG, NULL},
    {"frozenImportFields", FIELD_ANY, FIELD_CFG, NULL},
    {"frozenExportFields", FIELD_ANY, FIELD_CFG, NULL},
    {"frozenUnifiedExportFields", FIELD_ANY, FIELD_CFG, NULL},
};

/* Members that are merged when the mapping is customised. */
static const char *const merged[] = {"importValue", "exportValue", "unifiedImportValue",
                                     "unifiedExportValue"};
/* Deepest merge; what is deeper is the child's. */
#define MAX_DEPTH 64

static bool is_plain_object(const struct value *v) {
    return value_is_object(v) && !(v->len && v->members[0].key[0] == '$');
}

static const struct value *merge(struct arena *a, const struct value *parent,
                                 const struct value *child, int depth) {
    struct object_builder b;

    if (value_is(child, VALUE_UNDEFINED))
        return parent;
    if (depth == MAX_DEPTH || !is_plain_object(parent) || !is_plain_object(child))
        return child;
    object_begin(&b, a, child->len + parent->len);
    object_set_all(&b, child);
    for (VALUE_EACH_MEMBER(m, parent))
        object_set_len(
            &b, m->key, m->key_len,
            merge(a, &m->value, value_get_len(child, m->key, m->key_len), depth + 1));
    return object_end(&b);
}

static const struct value *follow(struct arena *a, const struct value *parent,
                                  const struct value *child) {
    bool customised = value_get_bool(child, "isCustomized", false);
    struct object_builder b;

    object_begin(&b, a, child->len + 8);
    object_set_all(&b, child);
    for (size_t i = 0; i < sizeof merged / sizeof *merged && customised; i++) {
        const struct value *v =
            merge(a, value_get(parent, merged[i]), value_get(child, merged[i]), 0);
        if (!value_is(v, VALUE_UNDEFINED))
            object_set(&b, merged[i], v);
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields && !customised; i++) {
        const struct value *v = value_get(parent, fields[i].name);
        if (value_is(v, VALUE_UNDEFINED))
            object_delete(&b, fields[i].name, strlen(fields[i].name));
        else
            object_set(&b, fields[i].name, v);
    }
    if (!customised && value_has(parent, "name"))
        object_set(&b, "name", value_get(parent, "name"));
    return object_end(&b);
}

static int inspect(struct model_view *v, const struct value *doc, struct model_report *r,
                   struct status *st) {
    const char *key = value_get_string(doc, "dataSourceKey", NULL);
    const char *id = value_get_string(doc, "dataSourceId", NULL);
    const struct value *source = NULL;

    (void)v;
    if (!key && !id)
        return 0;
    if (model_report_depends(r, EL_DATA_SOURCE, key ? NULL : id, key, &source, st) < 0)
        return -1;
    if (key)
        model_report_set(r, "dataSourceId",
                         source ? value_get(source, "id") : &value_undefined);
    if (source && value_has(doc, "connectionId"))
        model_report_set(r, "dataSourceInstanceId",
                         value_has(source, "connectionId") ? value_get(source, "id")
                                                           : &value_undefined);
    return 0;
}

const struct element_domain field_mapping_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
    .inspect = inspect,
    .follow = follow,
    .unit = "fieldMapping",
};
