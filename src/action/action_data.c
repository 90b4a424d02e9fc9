/*
 * action_data.c - from a configuration to a collection's method and back: the data source
 * names the collection, the field mapping leads between its fields and the application's.
 *
 * Elements named by key are looked for where the connection is: among those of its
 * integration, else the universal ones; the connection's own instance of them wins. What
 * stands in the configuration itself lies on top.
 */
#include "action_data.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "collection/collection.h"
#include "connection/connection.h"
#include "data/data.h"
#include "formula/formula.h"
#include "locator/locator.h"
#include "mapping/mapping_merge.h"
#include "model/model.h"
#include "value/value.h"

/* One run. */
struct work {
    const struct action_data *d;
    struct arena *arena;
    struct data_collection collection;
    const struct value *mapping; /* undefined: none */
    const struct value *inline_mapping;
    bool is_unified; /* the data source names a unified model, no collection */
};

static int build(struct work *w, const struct value *v, const struct value **ret,
                 struct status *st) {
    struct formula_run run = {.variables = w->d->variables,
                              .lookups = w->d->session->external.lookups};

    return formula_resolve_value(w->arena, v, &run, ret, st);
}

static int built(struct work *w, const char *member, const struct value **ret,
                 struct status *st) {
    if (build(w, value_get(w->d->config, member), ret, st) < 0)
        return st_context(st, "%s", member);
    return 0;
}

/* ---- elements ---- */

static int find_by_key(struct work *w, enum element_id type, const char *key,
                       const struct value **ret, struct status *st) {
    const char *integration =
        value_get_string(w->d->session->connection, "integrationId", NULL);
    int rc = 1;

    if (integration)
        rc = model_find_key(w->d->view, type, integration, key, false, ret, st);
    if (rc == 1)
        rc = model_find_key(w->d->view, type, NULL, key, false, ret, st);
    return rc;
}

/* The element that a configuration names; undefined when it names none. */
static int find_element(struct work *w, enum element_id type, const char *what,
                        const struct value *config, const struct value **ret,
                        struct status *st) {
    const char *connection = value_get_string(w->d->session->connection, "id", "");
    const char *key = value_get_string(config, "key", NULL);
    const char *id = value_get_string(config, "id", NULL), *of;
    const struct value *doc, *instance;
    int rc;

    *ret = &value_undefined;
    if (!key && !id)
        return 0;
    rc = id ? model_get(w->d->view, type, id, &doc, st)
            : find_by_key(w, type, key, &doc, st);
    if (rc < 0)
        return -1;
    of = rc == 0 ? value_get_string(doc, "connectionId", NULL) : NULL;
    if (rc == 1 || !model_is_live(doc) || (of && strcmp(of, connection) != 0))
        return st_fail(st, ST_CONFIGURATION, NULL, "the %s \"%.100s\" was not found",
                       what, id ? id : key);
    if (model_layer(doc) != LAYER_CONNECTION) {
        rc = model_find_instance(w->d->view, type, value_get_string(doc, "id", ""),
                                 connection, w->d->instance_key, &instance, st);
        if (rc < 0)
            return -1;
        if (rc == 0)
            doc = instance;
    }
    *ret = doc;
    return 0;
}

static int open_collection(struct work *w, struct status *st) {
    static const char *const members[] = {"udm", "collectionKey", "collectionParameters",
                                          "path"};
    const struct value *config, *source, *pointer;
    struct object_builder b;
    const char *udm;

    if (built(w, "dataSource", &config, st) < 0)
        return -1;
    if (!value_is_object(config))
        return st_fail(st, ST_CONFIGURATION, NULL, "the action has no dataSource");
    if (find_element(w, EL_DATA_SOURCE, "data source", config, &source, st) < 0)
        return -1;
    object_begin(&b, w->arena, 4);
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        const struct value *own = value_get(config, members[i]);

        object_set(&b, members[i],
                   value_is_nullish(own) ? value_get(source, members[i]) : own);
    }
    config = object_end(&b);
    if (collection_locate(w->arena, w->d->session->contents, config, &pointer, st) < 0)
        return -1;
    udm = value_get_string(config, "udm", NULL);
    w->is_unified = udm && *udm;
    return collection_open(w->d->session, value_get_string(pointer, "key", ""),
                           value_get(pointer, "parameters"), w->is_unified ? udm : NULL,
                           &w->collection, st);
}

static bool leads(const struct value *mapping, enum mapping_direction direction) {
    enum mapping_direction own = mapping_direction_from(value_get(mapping, "direction"));

    return own == MAPPING_NONE || own == MAPPING_BOTH || own == direction;
}

static int find_mapping(struct work *w, enum mapping_direction direction,
                        struct status *st) {
    static const char *const values[] = {"importValue", "exportValue",
                                         "unifiedImportValue", "unifiedExportValue"};
    const struct value *config = value_get(w->d->config, "fieldMapping"), *doc;
    struct object_builder b;

    w->inline_mapping = config;
    w->mapping = &value_undefined;
    if (!value_is_object(config))
        return 0;
    if (find_element(w, EL_FIELD_MAPPING, "field mapping", config, &doc, st) < 0)
        return -1;
    if (!leads(doc, direction))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the field mapping \"%.100s\" is for the other direction",
                       value_get_string(doc, "key", ""));
    object_begin(&b, w->arena, 16);
    object_set_all(&b, doc);
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        const struct value *own = value_get(config, values[i]);

        if (!value_is_nullish(own))
            object_set(&b, values[i],
                       mapping_merge(w->arena, value_get(doc, values[i]), own));
    }
    w->mapping = object_end(&b);
    return 0;
}

/* ---- from the app ---- */

static const struct value *default_value(const struct value *config) {
    const struct value *v = value_get(config, "defaultValue");

    return value_is_nullish(v) ? value_get(config, "default") : v;
}

/* Default values of the configuration lie below those of the mapping. */
static const struct value *import_mapping(struct work *w) {
    const struct value *native = default_value(w->inline_mapping);
    const struct value *unified = value_get(w->inline_mapping, "defaultUnifiedValue");
    const struct value *m = w->mapping;

    if (!value_is_object(m))
        return m;
    if (!value_is_nullish(native))
        m = value_with(
            w->arena, m, "defaultImportValue",
            mapping_merge(w->arena, native, value_get(m, "defaultImportValue")));
    if (!value_is_nullish(unified))
        m = value_with(
            w->arena, m, "unifiedImportValue",
            mapping_merge(w->arena, unified, value_get(m, "unifiedImportValue")));
    return m;
}

static int import(struct work *w, const struct value *record, const struct value **ret,
                  struct status *st) {
    return collection_import(&w->collection, import_mapping(w), record, w->is_unified,
                             value_get_bool(w->inline_mapping, "includeRawFields", false),
                             ret, st);
}

static int import_page(struct work *w, enum collection_method method,
                       const struct value *request, const struct value **ret,
                       struct status *st) {
    const struct value *page, *record;
    struct array_builder records;

    if (collection_run(&w->collection, method, request, &page, st) < 0)
        return -1;
    array_begin(&records, w->arena, value_items_count(value_get(page, "records")));
    for (VALUE_EACH_ITEM(r, value_get(page, "records"))) {
        if (import(w, r, &record, st) < 0)
            return -1;
        array_push(&records, record);
    }
    *ret = value_with(w->arena, page, "records", array_end(&records));
    return 0;
}

static int list(struct work *w, const struct value **ret, struct status *st) {
    const struct value *filter, *unified, *cursor;

    if (built(w, "filter", &filter, st) < 0 ||
        built(w, "unifiedFilter", &unified, st) < 0 ||
        built(w, "cursor", &cursor, st) < 0)
        return -1;
    return import_page(w, COLLECTION_LIST,
                       value_obj(w->arena, "filter", filter, "unifiedFilter", unified,
                                 "cursor", cursor, NULL),
                       ret, st);
}

static int search(struct work *w, const struct value **ret, struct status *st) {
    const struct value *query, *cursor;

    if (built(w, "query", &query, st) < 0 || built(w, "cursor", &cursor, st) < 0)
        return -1;
    return import_page(w, COLLECTION_SEARCH,
                       value_obj(w->arena, "query", query, "cursor", cursor, NULL), ret,
                       st);
}

static int import_one(struct work *w, enum collection_method method,
                      const struct value *request, const struct value **ret,
                      struct status *st) {
    const struct value *answer;

    if (collection_run(&w->collection, method, request, &answer, st) < 0)
        return -1;
    *ret = value_get(answer, "record");
    return value_is_object(*ret) ? import(w, *ret, ret, st) : 0;
}

static int find_by_id(struct work *w, const struct value **ret, struct status *st) {
    const struct value *id;

    if (built(w, "id", &id, st) < 0)
        return -1;
    return import_one(w, COLLECTION_FIND_BY_ID, value_obj(w->arena, "id", id, NULL), ret,
                      st);
}

static int match(struct work *w, const struct value **ret, struct status *st) {
    const struct value *query;

    if (built(w, "query", &query, st) < 0)
        return -1;
    return import_one(w, COLLECTION_MATCH, value_obj(w->arena, "query", query, NULL), ret,
                      st);
}

/* ---- to the app ---- */

static bool has_export_values(const struct value *mapping) {
    return !value_is_nullish(value_get(mapping, "exportValue")) ||
           !value_is_nullish(value_get(mapping, "defaultExportValue")) ||
           !value_is_nullish(value_get(mapping, "unifiedExportValue"));
}

/* What the mapping works on: what the configuration says, else the input's fields. */
static int export_input(struct work *w, const struct value **ret, struct status *st) {
    const struct value *config = value_get(w->inline_mapping, "input");

    if (!value_is(config, VALUE_UNDEFINED))
        return build(w, config, ret, st);
    *ret = value_get(w->d->input, "fields");
    if (!value_is_object(*ret))
        *ret = w->d->input;
    return 0;
}

/* Values of the configuration itself, which are formulas over the run's variables. */
static int own_values(struct work *w, const struct value *native,
                      const struct value *unified, const struct value **fields,
                      struct status *st) {
    const struct value *v;

    if (!value_is_nullish(unified)) {
        if (build(w, unified, &v, st) < 0)
            return -1;
        if (value_is_object(v) &&
            collection_unified_to_native(&w->collection, v, fields, st) < 0)
            return -1;
    }
    if (value_is_nullish(native))
        return 0;
    if (build(w, native, &v, st) < 0)
        return -1;
    *fields = mapping_merge(w->arena, *fields, v);
    return 0;
}

static int export_fields(struct work *w, const struct value **ret, struct status *st) {
    const struct value *create_data = value_get(w->d->config, "createData");
    const struct value *fields = &value_undefined, *input, *mapped;

    if (own_values(w, w->is_unified ? &value_undefined : create_data,
                   w->is_unified ? create_data : &value_undefined, &fields, st) < 0 ||
        own_values(w, default_value(w->inline_mapping),
                   value_get(w->inline_mapping, "defaultUnifiedValue"), &fields, st) < 0)
        return -1;
    if (has_export_values(w->mapping) || !value_is_object(fields)) {
        if (export_input(w, &input, st) < 0 ||
            collection_export(&w->collection, w->mapping, input, w->is_unified, &mapped,
                              st) < 0)
            return -1;
        fields = mapping_merge(w->arena, fields, mapped);
    }
    *ret = fields;
    return 0;
}

static int create(struct work *w, const struct value **ret, struct status *st) {
    const struct value *fields;

    if (export_fields(w, &fields, st) < 0)
        return -1;
    return collection_run(&w->collection, COLLECTION_CREATE,
                          value_obj(w->arena, "fields", fields, NULL), ret, st);
}

static int update(struct work *w, const struct value **ret, struct status *st) {
    const struct value *fields, *id;

    if (built(w, "id", &id, st) < 0 || export_fields(w, &fields, st) < 0)
        return -1;
    return collection_run(&w->collection, COLLECTION_UPDATE,
                          value_obj(w->arena, "id", id, "fields", fields, NULL), ret, st);
}

static int delete (struct work *w, const struct value **ret, struct status *st) {
    const struct value *id;

    if (built(w, "id", &id, st) < 0)
        return -1;
    return collection_run(&w->collection, COLLECTION_DELETE,
                          value_obj(w->arena, "id", id, NULL), ret, st);
}

/* {field: value} of the lookup fields: names of fields to create with, or values. */
static int lookup_query(struct work *w, const struct value *fields,
                        const struct value **ret, struct status *st) {
    const struct value *lookup;

    if (built(w, "lookupFields", &lookup, st) < 0)
        return -1;
    *ret = lookup;
    if (value_is_array(lookup) &&
        locator_pick_fields(w->arena, fields, lookup, ret, st) < 0)
        return -1;
    if (value_members_count(*ret) == 0)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "there is no value of a lookup field to find a record by");
    return 0;
}

static int find_or_create(struct work *w, const struct value **ret, struct status *st) {
    const struct value *fields, *query, *answer, *id;

    if (export_fields(w, &fields, st) < 0 || lookup_query(w, fields, &query, st) < 0 ||
        collection_run(&w->collection, COLLECTION_MATCH,
                       value_obj(w->arena, "query", query, NULL), &answer, st) < 0)
        return -1;
    id = value_path(answer, "record", "id", NULL);
    if (value_is_string(id)) {
        *ret = value_obj(w->arena, "id", id, NULL);
        return 0;
    }
    return collection_run(&w->collection, COLLECTION_CREATE,
                          value_obj(w->arena, "fields", fields, NULL), ret, st);
}

/* ---- the table ---- */

static const struct data_type {
    const char *name;
    enum mapping_direction direction;
    int (*run)(struct work *w, const struct value **ret_output, struct status *st);
} types[] = {
    {"list-data-records", MAPPING_IMPORT, list},
    {"search-data-record", MAPPING_IMPORT, search},
    {"search-data-records", MAPPING_IMPORT, search}, /* as flows call it */
    {"find-data-record-by-id", MAPPING_IMPORT, find_by_id},
    {"match-data-record", MAPPING_IMPORT, match},
    {"create-data-record", MAPPING_EXPORT, create},
    {"update-data-record", MAPPING_EXPORT, update},
    {"delete-data-record", MAPPING_EXPORT, delete},
    {"find-or-create-data-record", MAPPING_EXPORT, find_or_create},
};

static const struct data_type *type_of(const char *name) {
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool action_data_is_type(const char *type) {
    return type_of(type) != NULL;
}

int action_data_run(const struct action_data *d, const char *type,
                    const struct value **ret_output, struct status *st) {
    const struct data_type *t = type_of(type);
    struct external_session *external = &d->session->external;
    const struct formula_lookups *before = external->lookups;
    struct work w = {.d = d, .arena = external->arena};
    struct data_links links = {
        .view = d->view,
        .connection_id = value_get_string(d->session->connection, "id", ""),
        .instance_key = d->instance_key,
    };
    const struct formula_lookups lookups = {
        .ctx = &links,
        .app_record_id = data_link_find_app,
        .external_record_id = data_link_find_external,
    };
    int rc;

    if (!t)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "\"%.60s\" is no type that works on data records", type);
    if (!before)
        external->lookups = &lookups;
    rc = open_collection(&w, st);
    if (rc == 0)
        rc = find_mapping(&w, t->direction, st);
    if (rc == 0)
        rc = t->run(&w, ret_output, st);
    external->lookups = before;
    return rc;
}
