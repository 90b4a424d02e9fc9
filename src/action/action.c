/*
 * action.c - the definition of an action: what it is made of and what it needs. Running
 * one is another file's business.
 */
#include "model/model.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

extern const struct element_domain action_domain;

static const struct element_field fields[] = {
    {"type", FIELD_ENUM, FIELD_CFG,
     FIELD_WORDS("list-data-records", "find-data-record-by-id", "match-data-record",
                 "create-data-record", "find-or-create-data-record", "update-data-record",
                 "delete-data-record", "search-data-record", "connector-operation",
                 "api-request-to-external-app", "api-request-to-your-app", "http-request",
                 "run-javascript", "api-request")},
    {"inputSchema", FIELD_OBJECT, FIELD_CFG, NULL},
    {"config", FIELD_OBJECT, FIELD_CFG, NULL},
    {"outputMapping", FIELD_ANY, FIELD_CFG, NULL},
    {"customOutputSchema", FIELD_OBJECT, FIELD_CFG, NULL},
};

/* A part of the configuration that names another element: {key} or {id}. */
static int depends_on(struct model_report *r, enum element_id type,
                      const struct value *unit, struct status *st) {
    const char *key = value_get_string(unit, "key", NULL);
    const char *id = value_get_string(unit, "id", NULL);

    return key || id ? model_report_depends(r, type, key ? NULL : id, key, NULL, st) : 0;
}

static int inspect(struct model_view *v, const struct value *doc, struct model_report *r,
                   struct status *st) {
    const struct value *config = value_get(doc, "config");

    (void)v;
    if (!value_get_string(doc, "type", NULL))
        model_report_error(r, "configuration", "Action has no type");
    if (depends_on(r, EL_DATA_SOURCE, value_get(config, "dataSource"), st) < 0)
        return -1;
    return depends_on(r, EL_FIELD_MAPPING, value_get(config, "fieldMapping"), st);
}

/* ---- Output schema ---- */

static bool is_one_of(const char *s, const char *const *list) {
    for (; *list; list++)
        if (strcmp(*list, s) == 0)
            return true;
    return false;
}

/* What an action of the type gives, as far as the type alone tells. */
static const struct value *default_output_schema(struct arena *a,
                                                 const struct value *doc) {
    static const char *const requests[] = {"api-request-to-external-app",
                                           "api-request-to-your-app", "http-request",
                                           "api-request", NULL};
    static const char *const writers[] = {"create-data-record", "update-data-record",
                                          "delete-data-record",
                                          "find-or-create-data-record", NULL};
    const char *type = value_get_string(doc, "type", "");
    const struct value *config = value_get(doc, "config");

    if (is_one_of(type, requests) && value_is_object(value_get(config, "responseSchema")))
        return value_get(config, "responseSchema");
    if (strcmp(type, "run-javascript") == 0 &&
        value_is_object(value_get(config, "outputSchema")))
        return value_get(config, "outputSchema");
    if (!is_one_of(type, writers))
        return NULL;
    const struct value *id = value_obj(a, "type", value_string(a, "string"), NULL);
    return value_obj(a, "type", value_string(a, "object"), "properties",
                     value_obj(a, "id", id, NULL), NULL);
}

static int render(struct model_view *v, const struct value *doc,
                  struct object_builder *out, unsigned flags, struct status *st) {
    const struct value *custom = value_get(doc, "customOutputSchema");
    const struct value *otherwise = default_output_schema(model_view_arena(v), doc);

    (void)flags, (void)st;
    if (otherwise)
        object_set(out, "defaultOutputSchema", otherwise);
    if (value_is_object(custom))
        object_set(out, "outputSchema", custom);
    else if (otherwise && value_is_nullish(value_get(doc, "outputMapping")))
        object_set(out, "outputSchema", otherwise);
    return 0;
}

const struct element_domain action_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
    .inspect = inspect,
    .render = render,
};
