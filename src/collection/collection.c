/*
 * collection.c - opening a collection and running its methods.
 *
 * A method is a row of `methods`: its names and how it runs. What the connector does not
 * implement is made of `list` where the result is sure: match and find-by-id look through
 * at most SCAN_MAX records and fail, instead of answering "not there", when that was not
 * all of them.
 */
#include "collection.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "collection_priv.h"
#include "connector/connector.h"
#include "filter/filter.h"
#include "formula/formula.h"
#include "locator/locator.h"
#include "mapping/udm.h"
#include "schema/data_location.h"
#include "schema/schema_fields.h"
#include "schema/schema_fit.h"
#include "schema/schema_merge.h"

enum { SCAN_MAX = 1000, SCAN_PAGES = 100 };

/* ---- functions of the connector ---- */

static const struct value *function_of(const struct data_collection *c,
                                       const char *name) {
    return value_path(c->definition, "methods", name, NULL);
}

bool collection_has(const struct data_collection *c, const char *function) {
    const struct value *f = function_of(c, function);

    return value_is_object(f) &&
           !value_equals_text(value_get(f, "type"), "not-supported");
}

/*
 * Old JavaScript is given these to call. fieldsToApi has been applied to what it gets.
 */
static const struct value *helpers(const struct data_collection *c) {
    const struct value *code = value_get(function_of(c, "recordFromApi"), "code");
    const struct value *to_api = function_of(c, "fieldsToApi");

    return value_obj(collection_arena(c), "recordFromApi",
                     value_is_string(code) ? code : NULL, "fieldsToApi",
                     value_is_object(to_api) ? &value_null : NULL, NULL);
}

static const struct value *with_context(struct data_collection *c,
                                        const struct value *args) {
    struct object_builder b;

    object_begin(&b, collection_arena(c), 8);
    object_set_all(&b, args);
    object_set(&b, "parameters", c->parameters);
    object_set(&b, "spec", c->spec);
    return object_end(&b);
}

int collection_call_each(struct data_collection *c, const char *function,
                         const struct value **args, size_t n,
                         const struct value **ret_results, struct status *st) {
    struct external_session *s = &c->session->external;
    int rc;

    for (size_t i = 0; i < n; i++)
        args[i] = with_context(c, args[i]);
    s->helpers = helpers(c);
    rc =
        external_run_function_each(s, function_of(c, function), args, n, ret_results, st);
    s->helpers = NULL;
    return rc;
}

int collection_call(struct data_collection *c, const char *function,
                    const struct value *args, const struct value **ret,
                    struct status *st) {
    return collection_call_each(c, function, &args, 1, ret, st);
}

int collection_build(struct data_collection *c, const struct value *mapping,
                     const struct value *root, const struct value **ret,
                     struct status *st) {
    struct formula_run run = {.variables = root, .lookups = c->session->external.lookups};

    return formula_resolve_value(collection_arena(c), mapping, &run, ret, st);
}

/* ---- opening ---- */

int collection_locate(struct arena *a, const struct value *contents,
                      const struct value *config, const struct value **ret_pointer,
                      struct status *st) {
    const struct value *key = value_get(config, "collectionKey"), *pointer;
    const struct value *path = value_get(config, "path");

    if (value_is_string(key) && key->len) {
        *ret_pointer = value_obj(a, "key", key, "parameters",
                                 value_get(config, "collectionParameters"), NULL);
        return 0;
    }
    if (value_is_string(path) && path->len)
        return data_location_parse_path(a, path, ret_pointer, st);
    if (udm_default_collection(a, contents, value_get(config, "udm"), &pointer, st) < 0)
        return -1;
    if (!value_is_string(value_get(pointer, "key"))) {
        const char *udm = value_get_string(config, "udm", NULL);

        if (!udm)
            return st_fail(st, ST_CONFIGURATION, NULL,
                           "the data source names no collection");
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the data source names no collection, and the connector has none "
                       "for \"%.60s\"",
                       udm);
    }
    if (value_is_object(value_get(config, "collectionParameters")))
        pointer = value_with(a, pointer, "parameters",
                             value_get(config, "collectionParameters"));
    *ret_pointer = pointer;
    return 0;
}

/* A text that holds JSON, for a parameter that is no text. */
static const struct value *unpack(struct arena *a, const struct value *schema,
                                  const struct value *v) {
    const struct value *parsed;
    struct status ignored;

    if (!value_is_string(v) || !v->len || !strchr("{[", v->str[0]) ||
        value_equals_text(value_get(schema, "type"), "string"))
        return v;
    st_init(&ignored, a);
    return value_parse(a, v->str, v->len, NULL, &parsed, &ignored) < 0 ? v : parsed;
}

static int check_parameters(struct data_collection *c, const struct value *given,
                            struct status *st) {
    const struct value *schema = value_get(c->definition, "parametersSchema");
    struct arena *a = collection_arena(c);
    struct object_builder b;

    object_begin(&b, a, 4);
    for (VALUE_EACH_MEMBER(m, given))
        if (!value_is(&m->value, VALUE_UNDEFINED))
            object_set_key(
                &b, m,
                unpack(a, value_path(schema, "properties", m->key, NULL), &m->value));
    c->parameters = object_end(&b);
    if (!value_is_object(schema))
        return 0;
    if (schema_validate_input(a, schema, c->parameters, &c->parameters, st) < 0)
        return st_context(st, "parameters of the collection \"%.100s\"", c->key);
    return 0;
}

/* static, then by function, then with the fields that the customer's account adds. */
static int make_spec(struct data_collection *c, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *made;

    c->spec = connector_render_collection(a, c->definition);
    if (collection_has(c, "spec")) {
        if (collection_call(c, "spec", &value_empty_object, &made, st) < 0)
            return st_context(st, "spec of the collection \"%.100s\"", c->key);
        if (value_is_object(made))
            c->spec = value_merge(a, c->spec, made);
    }
    if (collection_has(c, "customFieldsSchema")) {
        const struct value *both[2] = {value_get(c->spec, "fieldsSchema")};

        if (collection_call(c, "customFieldsSchema", &value_empty_object, &both[1], st) <
            0)
            return st_context(st, "custom fields of the collection \"%.100s\"", c->key);
        if (value_is_object(both[1]))
            c->spec = value_with(a, c->spec, "fieldsSchema", schema_merge_n(a, both, 2));
        for (size_t i = 0; i < 2; i++) {
            static const char *const writers[] = {"create", "update"};
            const struct value *options = value_get(c->spec, writers[i]);
            const struct value *fields = value_get(options, "fields");
            struct array_builder all;

            if (!value_is_array(fields))
                continue;
            array_begin(&all, a, fields->len + 8);
            for (VALUE_EACH_ITEM(f, fields))
                array_push(&all, f);
            for (VALUE_EACH_MEMBER(m, value_get(both[1], "properties")))
                array_push(
                    &all, locator_with_property(a, &value_undefined, m->key, m->key_len));
            c->spec = value_with(a, c->spec, writers[i],
                                 value_with(a, options, "fields", array_end(&all)));
        }
    }
    return 0;
}

int collection_open(struct connection_session *s, const char *key,
                    const struct value *parameters, const char *udm,
                    struct data_collection *ret, struct status *st) {
    const struct value *all = value_get(s->contents, "data");
    struct data_collection c = {.session = s, .key = key};

    c.definition = value_get(all, key);
    if (!value_is_object(c.definition))
        return st_fail(st, ST_BAD_REQUEST, "not_found",
                       "Data collection \"%.100s\" not found", key);
    if (check_parameters(&c, parameters, st) < 0)
        return -1;
    c.spec = &value_empty_object;
    if (make_spec(&c, st) < 0)
        return -1;
    if (udm) {
        struct value name = value_string_ref(udm, strlen(udm));

        if (!udm_is_known(&name))
            return st_fail(st, ST_BAD_REQUEST, NULL, "Unknown UDM: %.60s", udm);
    }
    c.udm = udm ? udm : collection_default_udm(&c);
    *ret = c;
    return 0;
}

/* ---- requests and answers ---- */

static int not_supported(const struct data_collection *c, const char *method,
                         struct status *st) {
    return st_fail(st, ST_BAD_REQUEST, NULL,
                   "the collection \"%.100s\" does not support %s", c->key, method);
}

static int need_id(struct data_collection *c, const struct value *request,
                   const char **ret_id, struct status *st) {
    *ret_id = collection_id_text(collection_arena(c), value_get(request, "id"));
    if (!*ret_id)
        return st_fail_data(
            st, ST_BAD_REQUEST, NULL,
            value_obj(st->arena, "path", value_string(st->arena, "id"), NULL),
            "id: must be the text of a record's id");
    return 0;
}

static int need_object(const struct value *request, const char *member,
                       const struct value **ret, struct status *st) {
    *ret = value_get(request, member);
    if (!value_is_object(*ret))
        return st_fail_data(
            st, ST_BAD_REQUEST, NULL,
            value_obj(st->arena, "path", value_string(st->arena, member), NULL),
            "%s: must be an object", member);
    return 0;
}

static const struct value *cursor_of(struct arena *a, const struct value *v) {
    const char *text = collection_id_text(a, value_get(v, "cursor"));

    return text ? value_string(a, text) : NULL;
}

/* {records, cursor?, drilldowns?} of what a method gave: an answer, or bare records. */
static int page_of(struct data_collection *c, const struct value *given,
                   const struct value **ret, struct status *st) {
    const struct value *items =
        value_is_array(given) ? given : value_get(given, "records");
    const struct value *drilldowns = value_get(given, "drilldowns");
    struct arena *a = collection_arena(c);
    struct array_builder records;

    if (!value_is_array(items) && !value_is_nullish(items))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the collection \"%.100s\" must give a list of records", c->key);
    if (collection_records(c, items, &records, st) < 0)
        return -1;
    *ret =
        value_obj(a, "records", array_end(&records), "cursor", cursor_of(a, given),
                  "drilldowns", value_items_count(drilldowns) ? drilldowns : NULL, NULL);
    return 0;
}

/* ---- list and its filters ---- */

/* What the app filters by itself, and what is left for us. */
struct filters {
    const struct value *native;     /* for the method */
    const struct value *on_fields;  /* conditions on `fields` */
    const struct value *on_unified; /* conditions on `unifiedFields` */
};

static bool lists_field(const struct data_collection *c, const char *name) {
    for (VALUE_EACH_ITEM(f, value_path(c->spec, "list", "filterFields", NULL)))
        if (value_equals_text(f, name) ||
            (value_is_string(f) && strncmp(f->str, "$.", 2) == 0 &&
             strcmp(f->str + 2, name) == 0))
            return true;
    return false;
}

static const struct value *condition(struct arena *a, const char *field,
                                     const struct value *v) {
    return value_obj(a, "field", value_string(a, field), "operator",
                     value_string(a, "is"), "value", v, NULL);
}

/* {field: value}, or a list of conditions, which only we understand. */
static int split_filter(struct data_collection *c, const struct value *filter,
                        struct object_builder *native, struct array_builder *rest,
                        struct status *st) {
    if (value_is_array(filter)) {
        for (VALUE_EACH_ITEM(i, filter))
            array_push(rest, i);
        return 0;
    }
    if (!value_is_object(filter) && !value_is_nullish(filter))
        return st_fail(st, ST_BAD_REQUEST, NULL, "filter: must be an object");
    for (VALUE_EACH_MEMBER(m, filter)) {
        if (value_is(&m->value, VALUE_UNDEFINED))
            continue;
        if (lists_field(c, m->key))
            object_set_key(native, m, &m->value);
        else
            array_push(rest, condition(collection_arena(c), m->key, &m->value));
    }
    return 0;
}

/*
 * The native fields that only this unified field gives; undefined when they are not all
 * such that the app filters by. `constants`: what an empty unified object gives.
 */
static const struct value *native_filter(struct data_collection *c,
                                         const struct member *m,
                                         const struct value *constants) {
    struct arena *a = collection_arena(c);
    const struct value *fields;
    struct object_builder b;
    struct status ignored;

    st_init(&ignored, a);
    if (collection_unified_to_native(c, value_obj(a, m->key, &m->value, NULL), &fields,
                                     &ignored) < 0)
        return &value_undefined;
    object_begin(&b, a, 4);
    for (VALUE_EACH_MEMBER(f, fields)) {
        const struct value *constant = value_find_key(constants, f);

        if (constant && value_equal(constant, &f->value))
            continue;
        if (!lists_field(c, f->key))
            return &value_undefined;
        object_set_key(&b, f, &f->value);
    }
    return b.len ? object_end(&b) : &value_undefined;
}

static int split_unified(struct data_collection *c, const struct value *filter,
                         struct object_builder *native, struct array_builder *rest,
                         struct status *st) {
    const struct value *constants = &value_empty_object, *fields;
    struct arena *a = collection_arena(c);
    struct status ignored;

    if (value_is_nullish(filter))
        return 0;
    if (!value_is_object(filter))
        return st_fail(st, ST_BAD_REQUEST, NULL, "unifiedFilter: must be an object");
    if (!c->udm)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "unifiedFilter: the collection \"%.100s\" has no unified model",
                       c->key);
    st_init(&ignored, a);
    if (collection_unified_to_native(c, &value_empty_object, &fields, &ignored) == 0)
        constants = fields;
    for (VALUE_EACH_MEMBER(m, filter)) {
        if (value_is(&m->value, VALUE_UNDEFINED))
            continue;
        fields = native_filter(c, m, constants);
        if (value_is_object(fields))
            object_set_all(native, fields);
        else
            array_push(rest, condition(a, m->key, &m->value));
    }
    return 0;
}

static int read_filters(struct data_collection *c, const struct value *request,
                        struct filters *ret, struct status *st) {
    struct arena *a = collection_arena(c);
    struct array_builder on_fields, on_unified;
    struct object_builder native;

    object_begin(&native, a, 4);
    array_begin(&on_fields, a, 4);
    array_begin(&on_unified, a, 4);
    if (split_unified(c, value_get(request, "unifiedFilter"), &native, &on_unified, st) <
            0 ||
        split_filter(c, value_get(request, "filter"), &native, &on_fields, st) < 0)
        return -1;
    ret->native = object_end(&native);
    ret->on_fields = array_end(&on_fields);
    ret->on_unified = array_end(&on_unified);
    return 0;
}

static int filter_page(struct data_collection *c, const struct filters *f,
                       const struct value **page, struct status *st) {
    struct arena *a = collection_arena(c);
    struct filter *on_fields, *on_unified;
    struct array_builder kept;

    if (!f->on_fields->len && !f->on_unified->len)
        return 0;
    on_fields = filter_compile(a, f->on_fields);
    on_unified = filter_compile(a, f->on_unified);
    array_begin(&kept, a, 16);
    for (VALUE_EACH_ITEM(r, value_get(*page, "records"))) {
        bool first = false, second = false;

        if (filter_match(on_fields, value_get(r, "fields"), &first, st) < 0 ||
            filter_match(on_unified, value_get(r, "unifiedFields"), &second, st) < 0)
            return -1;
        if (first && second)
            array_push(&kept, r);
    }
    *page = value_with(a, *page, "records", array_end(&kept));
    return 0;
}

static int list(struct data_collection *c, const struct value *request,
                const struct value **ret, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *given;
    struct filters f;

    if (!collection_has(c, "list"))
        return not_supported(c, "list", st);
    if (read_filters(c, request, &f, st) < 0 ||
        collection_call(
            c, "list",
            value_obj(a, "filter", f.native, "cursor", cursor_of(a, request), NULL),
            &given, st) < 0 ||
        page_of(c, given, ret, st) < 0)
        return -1;
    return filter_page(c, &f, ret, st);
}

/*
 * The first record that `wanted` accepts, of at most SCAN_MAX. 0 found, 1 there is none.
 */
static int scan(struct data_collection *c, const char *method, const struct value *filter,
                bool (*wanted)(const struct value *record, const void *ctx),
                const void *ctx, const struct value **ret_record, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *page, *cursor = NULL;
    size_t seen = 0;

    for (size_t pages = 0; seen < SCAN_MAX && pages < SCAN_PAGES; pages++) {
        if (list(c, value_obj(a, "filter", filter, "cursor", cursor, NULL), &page, st) <
            0)
            return -1;
        for (VALUE_EACH_ITEM(r, value_get(page, "records")))
            if (!wanted || wanted(r, ctx)) {
                *ret_record = r;
                return 0;
            }
        if (value_has(page, "drilldowns"))
            break;
        seen += value_items_count(value_get(page, "records"));
        cursor = cursor_of(a, page);
        if (!cursor)
            return 1;
    }
    return st_fail(st, ST_BAD_REQUEST, NULL,
                   "the collection \"%.100s\" does not support %s, and it has too many "
                   "records to look through",
                   c->key, method);
}

/* ---- the other methods ---- */

static int search(struct data_collection *c, const struct value *request,
                  const struct value **ret, struct status *st) {
    const struct value *query = value_get(request, "query"), *given;
    struct arena *a = collection_arena(c);

    if (!value_is_string(query))
        return st_fail_data(
            st, ST_BAD_REQUEST, NULL,
            value_obj(st->arena, "path", value_string(st->arena, "query"), NULL),
            "query: must be text");
    if (!collection_has(c, "search"))
        return not_supported(c, "search", st);
    if (collection_call(
            c, "search",
            value_obj(a, "query", query, "cursor", cursor_of(a, request), NULL), &given,
            st) < 0)
        return -1;
    return page_of(c, given, ret, st);
}

static int find(struct data_collection *c, const struct value *request,
                const struct value **ret, struct status *st) {
    const struct value *query = value_get(request, "query"), *given;
    struct arena *a = collection_arena(c);

    if (!collection_has(c, "find")) {
        request = value_obj(a, "filter", query, "cursor", cursor_of(a, request), NULL);
        return list(c, request, ret, st);
    }
    if (collection_call(
            c, "find",
            value_obj(a, "query", query, "cursor", cursor_of(a, request), NULL), &given,
            st) < 0)
        return -1;
    return page_of(c, given, ret, st);
}

/* {record}, or the bare record. NULL when there is none. */
static const struct value *given_record(const struct value *given) {
    const struct value *record = value_get(given, "record");

    if (value_has(given, "record"))
        return value_is_object(record) && record->len ? record : NULL;
    return value_is_object(given) && given->len ? given : NULL;
}

static int answer_record(struct data_collection *c, const struct value *record,
                         const struct value **ret, struct status *st) {
    if (collection_record(c, record, &record, st) < 0)
        return -1;
    *ret = value_obj(collection_arena(c), "record", record, NULL);
    return 0;
}

static int match(struct data_collection *c, const struct value *request,
                 const struct value **ret, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *query, *given;
    int rc;

    if (need_object(request, "query", &query, st) < 0)
        return -1;
    *ret = &value_empty_object;
    if (collection_has(c, "match")) {
        if (collection_call(c, "match", value_obj(a, "query", query, NULL), &given, st) <
            0)
            return -1;
        given = given_record(given);
        return given ? answer_record(c, given, ret, st) : 0;
    }
    if (!collection_has(c, "list"))
        return not_supported(c, "match", st);
    rc = scan(c, "match", query, NULL, NULL, &given, st);
    if (rc == 0)
        *ret = value_obj(a, "record", given, NULL);
    return rc < 0 ? -1 : 0;
}

static bool has_id(const struct value *record, const void *id) {
    return value_equals_text(value_get(record, "id"), id);
}

static int no_record(const struct data_collection *c, const char *id, struct status *st) {
    return st_fail(st, ST_BAD_REQUEST, "not_found",
                   "Record \"%.100s\" of the collection \"%.100s\" not found", id,
                   c->key);
}

static bool app_said_not_found(const struct status *st) {
    return st->type == ST_CONNECTION && st->data &&
           value_get_number(value_get(st->data, "response"), "status", 0) == 404;
}

static int find_by_id(struct data_collection *c, const struct value *request,
                      const struct value **ret, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *given;
    const char *id;
    int rc;

    if (need_id(c, request, &id, st) < 0)
        return -1;
    if (collection_has(c, "findById")) {
        if (collection_call(c, "findById", value_obj(a, "id", value_string(a, id), NULL),
                            &given, st) < 0)
            return app_said_not_found(st)
                       ? st_wrap(st, ST_BAD_REQUEST, "not_found",
                                 "Record \"%.100s\" of the collection \"%.100s\" not "
                                 "found",
                                 id, c->key)
                       : -1;
        given = given_record(given);
        return given ? answer_record(c, given, ret, st) : no_record(c, id, st);
    }
    if (!collection_has(c, "list"))
        return not_supported(c, "find-by-id", st);
    rc = scan(c, "find-by-id", NULL, has_id, id, &given, st);
    if (rc == 0)
        *ret = value_obj(a, "record", given, NULL);
    return rc == 1 ? no_record(c, id, st) : rc;
}

/* ---- writing ---- */

/* Only what the collection can write; the rest is dropped, as documented. */
static int writable(struct data_collection *c, const char *method,
                    const struct value *fields, const struct value **ret,
                    struct status *st) {
    static const struct schema_fit_options options = {.skip_unknown_fields = true,
                                                      .skip_read_only_fields = true};
    const struct value *of_method = value_get(c->spec, method);
    const struct value *only = value_get(of_method, "fields");
    const struct value *excluded = value_get(of_method, "excludedFields"), *schema;
    struct arena *a = collection_arena(c);

    if ((strcmp(method, "create") == 0 ? schema_create_fields : schema_update_fields)(
            a, c->spec, &schema, st) < 0)
        return -1;
    if (value_members_count(value_get(schema, "properties"))) {
        fields = schema_fit(a, fields, schema, &options);
    } else {
        if (value_is_array(only) && locator_pick_fields(a, fields, only, &fields, st) < 0)
            return -1;
        if (value_is_array(excluded) &&
            locator_exclude_fields(a, fields, excluded, &fields, st) < 0)
            return -1;
    }
    *ret = value_is_object(fields) ? fields : &value_empty_object;
    return 0;
}

static int check_required(struct data_collection *c, const struct value *fields,
                          struct status *st) {
    const struct value *required = value_path(c->spec, "create", "requiredFields", NULL);
    struct arena *a = collection_arena(c);
    struct array_builder missing;

    array_begin(&missing, a, 4);
    for (VALUE_EACH_ITEM(f, required))
        if (value_is_nullish(locator_get_at(a, fields, f)))
            array_push(&missing, f);
    if (missing.len == 0)
        return 0;
    required = array_end(&missing);
    return st_fail_data(st, ST_BAD_REQUEST, NULL,
                        value_obj(a, "missingFields", required, NULL),
                        "required field \"%.100s\" of the collection \"%.100s\" is "
                        "missing",
                        value_text(value_at(required, 0)) ?: "", c->key);
}

static int to_api(struct data_collection *c, const struct value **fields,
                  struct status *st) {
    if (!collection_has(c, "fieldsToApi"))
        return 0;
    return collection_call(c, "fieldsToApi",
                           value_obj(collection_arena(c), "fields", *fields, NULL),
                           fields, st);
}

/* {id} of what create or update gave: that, a record, or the bare id. */
static int answer_id(struct data_collection *c, const struct value *given,
                     const char *known, const struct value **ret, struct status *st) {
    struct arena *a = collection_arena(c);
    const char *id = collection_id_text(a, given);

    if (!id)
        id = collection_id_text(a, value_get(given, "id"));
    if (!id)
        id = collection_id_text(a, value_path(given, "record", "id", NULL));
    if (!id)
        id = known;
    if (!id)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "create of the collection \"%.100s\" gave no id", c->key);
    *ret = value_obj(a, "id", value_string(a, id), NULL);
    return 0;
}

static int create(struct data_collection *c, const struct value *request,
                  const struct value **ret, struct status *st) {
    const struct value *fields, *given;

    if (need_object(request, "fields", &fields, st) < 0)
        return -1;
    if (!collection_has(c, "create"))
        return not_supported(c, "create", st);
    if (writable(c, "create", fields, &fields, st) < 0 ||
        check_required(c, fields, st) < 0 || to_api(c, &fields, st) < 0 ||
        collection_call(c, "create",
                        value_obj(collection_arena(c), "fields", fields, NULL), &given,
                        st) < 0)
        return -1;
    return answer_id(c, given, NULL, ret, st);
}

static int update(struct data_collection *c, const struct value *request,
                  const struct value **ret, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *fields, *given;
    const char *id;

    if (need_id(c, request, &id, st) < 0 ||
        need_object(request, "fields", &fields, st) < 0)
        return -1;
    if (!collection_has(c, "update"))
        return not_supported(c, "update", st);
    if (writable(c, "update", fields, &fields, st) < 0 || to_api(c, &fields, st) < 0 ||
        collection_call(c, "update",
                        value_obj(a, "id", value_string(a, id), "fields", fields, NULL),
                        &given, st) < 0)
        return -1;
    return answer_id(c, given, id, ret, st);
}

static int delete (struct data_collection *c, const struct value *request,
                   const struct value **ret, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *given, *args;
    const char *id;

    if (need_id(c, request, &id, st) < 0)
        return -1;
    if (!collection_has(c, "delete"))
        return not_supported(c, "delete", st);
    args = value_obj(a, "id", value_string(a, id), NULL);
    if (collection_call(c, "delete", args, &given, st) < 0)
        return -1;
    *ret = args;
    return 0;
}

/* ---- the table ---- */

static const struct {
    const char *path;
    int (*run)(struct data_collection *c, const struct value *request,
               const struct value **ret, struct status *st);
} methods[COLLECTION_METHODS] = {
    [COLLECTION_LIST] = {"list", list},
    [COLLECTION_SEARCH] = {"search", search},
    [COLLECTION_MATCH] = {"match", match},
    [COLLECTION_FIND_BY_ID] = {"find-by-id", find_by_id},
    [COLLECTION_CREATE] = {"create", create},
    [COLLECTION_UPDATE] = {"update", update},
    [COLLECTION_DELETE] = {"delete", delete},
    [COLLECTION_FIND] = {"find", find},
};

int collection_method_from_path(const char *segment) {
    for (int i = 0; i < COLLECTION_METHODS; i++)
        if (strcmp(methods[i].path, segment) == 0)
            return i;
    return -1;
}

int collection_run(struct data_collection *c, enum collection_method method,
                   const struct value *request, const struct value **ret_answer,
                   struct status *st) {
    return methods[method].run(c, request, ret_answer, st);
}
