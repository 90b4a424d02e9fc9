/*
 * action.c - the definition of an action: what it is made of and what it needs. Running
 * one is another file's business.
 */
#include "model/model.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "connector/connector.h"
#include "formula/formula_inspect.h"
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

static const struct value *schema_of(struct arena *a, const char *type) {
    return value_obj(a, "type", value_string(a, type), NULL);
}

static const struct value *object_schema(struct arena *a,
                                         const struct value *properties) {
    return value_obj(a, "type", value_string(a, "object"), "properties", properties,
                     NULL);
}

/* {data, status, headers}, see action_run.c. */
static const struct value *answer_schema(struct arena *a, const struct value *config) {
    const struct value *data = value_get(config, "responseSchema");

    return object_schema(a, value_obj(a, "data",
                                      value_is_object(data) ? data : &value_empty_object,
                                      "status", schema_of(a, "integer"), "headers",
                                      schema_of(a, "object"), NULL));
}

static const struct value *record_schema(struct arena *a) {
    return object_schema(
        a,
        value_obj(a, "id", schema_of(a, "string"), "name", schema_of(a, "string"), "uri",
                  schema_of(a, "string"), "fields", schema_of(a, "object"), "createdTime",
                  schema_of(a, "string"), "updatedTime", schema_of(a, "string"), NULL));
}

static const struct value *records_schema(struct arena *a) {
    const struct value *records =
        value_obj(a, "type", value_string(a, "array"), "items", record_schema(a), NULL);

    return object_schema(
        a, value_obj(a, "records", records, "cursor", schema_of(a, "string"), NULL));
}

/* 0; *ret is NULL where the operation or its schema isn't known. */
static int operation_schema(struct model_view *v, const struct value *doc,
                            const struct value **ret, struct status *st) {
    const char *key = value_get_string(value_get(doc, "config"), "operationKey", NULL);
    const char *id = value_get_string(doc, "integrationId", NULL);
    const struct value *integration, *schema;
    struct connector connector;
    int rc = key && id ? model_get(v, EL_INTEGRATION, id, &integration, st) : 1;

    if (rc)
        return rc < 0 ? -1 : 0;
    id = value_get_string(integration, "connectorId", NULL);
    if (!id)
        return 0;
    model_view_note_read(v, C_CONNECTORS);
    model_view_note_read(v, C_CONNECTOR_VERSIONS);
    if (connector_load(model_view_deps(v), model_view_arena(v),
                       model_view_workspace_id(v), id,
                       value_get_string(integration, "connectorVersion", NULL),
                       &connector, st) < 0) {
        if (st->type != ST_BAD_REQUEST)
            return -1;
        st_clear(st); /* the integration's error, not this answer's */
        return 0;
    }
    schema = value_path(connector.contents, "operations", key, "outputSchema", NULL);
    *ret = value_is_object(schema) ? schema : NULL;
    return 0;
}

/* What an action of the type gives. *ret NULL: nobody knows. */
static int default_output_schema(struct model_view *v, const struct value *doc,
                                 const struct value **ret, struct status *st) {
    static const char *const requests[] = {"api-request-to-external-app",
                                           "api-request-to-your-app", "http-request",
                                           "api-request", NULL};
    static const char *const writers[] = {"create-data-record", "update-data-record",
                                          "delete-data-record",
                                          "find-or-create-data-record", NULL};
    static const char *const lists[] = {"list-data-records", "search-data-record", NULL};
    static const char *const finders[] = {"find-data-record-by-id", "match-data-record",
                                          NULL};
    struct arena *a = model_view_arena(v);
    const char *type = value_get_string(doc, "type", "");
    const struct value *config = value_get(doc, "config");

    *ret = NULL;
    if (is_one_of(type, requests))
        *ret = answer_schema(a, config);
    else if (is_one_of(type, writers))
        *ret = object_schema(a, value_obj(a, "id", schema_of(a, "string"), NULL));
    else if (is_one_of(type, lists))
        *ret = records_schema(a);
    else if (is_one_of(type, finders))
        *ret = record_schema(a);
    else if (strcmp(type, "run-javascript") == 0 &&
             value_is_object(value_get(config, "outputSchema")))
        *ret = value_get(config, "outputSchema");
    else if (strcmp(type, "connector-operation") == 0)
        return operation_schema(v, doc, ret, st);
    return 0;
}

/* The schema of what outputMapping makes of it. *ret NULL: there is no mapping, or one
 * whose result can't be told. */
static int transformed_schema(struct arena *a, const struct value *doc,
                              const struct value *otherwise, const struct value **ret,
                              struct status *st) {
    const struct value *mapping = value_get(doc, "outputMapping"), *schema;
    const struct value *input = value_get(doc, "inputSchema");
    const struct value *variables = object_schema(
        a, value_obj(a, "input", value_is_object(input) ? input : &value_empty_object,
                     "output", otherwise ? otherwise : &value_empty_object, NULL));

    *ret = NULL;
    if (value_is_nullish(mapping))
        return 0;
    if (formula_schema(a, mapping, variables, false, &schema, st) < 0) {
        if (st->type == ST_INTERNAL)
            return -1;
        st_clear(st); /* a formula without a fixed result */
        return 0;
    }
    *ret = value_is_object(schema) ? schema : NULL;
    return 0;
}

static int render(struct model_view *v, const struct value *doc,
                  struct object_builder *out, unsigned flags, struct status *st) {
    const struct value *custom = value_get(doc, "customOutputSchema");
    const struct value *otherwise, *transformed;
    bool is_mapped = !value_is_nullish(value_get(doc, "outputMapping"));

    (void)flags;
    if (default_output_schema(v, doc, &otherwise, st) < 0 ||
        transformed_schema(model_view_arena(v), doc, otherwise, &transformed, st) < 0)
        return -1;
    if (otherwise)
        object_set(out, "defaultOutputSchema", otherwise);
    if (transformed)
        object_set(out, "transformedOutputSchema", transformed);
    if (value_is_object(custom))
        object_set(out, "outputSchema", custom);
    else if (transformed || (otherwise && !is_mapped))
        object_set(out, "outputSchema", transformed ? transformed : otherwise);
    return 0;
}

const struct element_domain action_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
    .inspect = inspect,
    .render = render,
};
