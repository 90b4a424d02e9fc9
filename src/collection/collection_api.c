/*
 * collection_api.c - the routes of collections: of a connection, and of the data source
 * of an instance; and running a field mapping.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "collection_priv.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_server.h"
#include "mapping/mapping_merge.h"
#include "model/model.h"
#include "model/model_routes.h"
#include "store/store.h"

/* An open collection, with the session that it lives on. */
struct opened {
    struct connection_session session;
    struct data_collection collection;
};

static int open_session(struct request *rq, const struct value *connection,
                        bool only_spec, struct opened *o, struct status *st) {
    return connection_open_session(rq->deps, rq->arena, rq->caller->workspace, connection,
                                   rq->deadline_ms, only_spec, &o->session, st);
}

static int open_by_connection(struct request *rq, const struct value *body,
                              bool only_spec, struct opened *o, struct status *st) {
    struct model_selector sel = {.connection = rq->param[0]};
    const struct value *connection, *parameters = value_get(body, "parameters");

    if (!value_is_nullish(parameters) && !value_is_object(parameters))
        return st_fail(st, ST_BAD_REQUEST, NULL, "parameters: must be an object");
    if (model_resolve_connection(model_view_of(rq), &sel, &connection, st) < 0 ||
        open_session(rq, connection, only_spec, o, st) < 0)
        return -1;
    return collection_open(&o->session, rq->param[1],
                           value_merge(rq->arena, rq->query, parameters),
                           value_get_string(body, "udm", NULL), &o->collection, st);
}

static int open_by_source(struct request *rq, const struct value *body, bool only_spec,
                          struct opened *o, struct status *st) {
    static const struct model_row row = {EL_DATA_SOURCE, AT_INSTANCE, OP_GET};
    struct model_view *v = model_view_of(rq);
    const struct value *source, *connection, *pointer;
    const char *udm = value_get_string(body, "udm", NULL);
    struct model_selector sel;
    int rc;

    if (model_selector_read(rq, &row, &sel, st) < 0 ||
        model_resolve(v, EL_DATA_SOURCE, &sel, &source, st) < 0)
        return -1;
    rc = model_get_other(v, C_CONNECTIONS, value_get_string(source, "connectionId", ""),
                         &connection, st);
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found",
                       "the connection of the data source was not found");
    if (rc < 0 || open_session(rq, connection, only_spec, o, st) < 0 ||
        collection_locate(rq->arena, o->session.contents, source, &pointer, st) < 0)
        return -1;
    if (!udm)
        udm = value_get_string(source, "udm", NULL);
    return collection_open(&o->session, value_get_string(pointer, "key", ""),
                           value_merge(rq->arena, value_get(pointer, "parameters"),
                                       value_get(body, "parameters")),
                           udm, &o->collection, st);
}

/* The method is the last segment: the `data` of its row, or `name` in a row of any. */
static int run(struct request *rq, struct reply *rp, const char *name,
               int (*open)(struct request *, const struct value *, bool, struct opened *,
                           struct status *),
               struct status *st) {
    int method;
    const struct value *body, *answer;
    struct opened o;

    if (rq->route->data)
        name = rq->route->data;
    method = collection_method_from_path(name);
    if (method < 0)
        return st_fail(st, ST_BAD_REQUEST, "not_found",
                       "a collection has no method \"%.60s\"", name);
    if (request_object(rq, &body, st) < 0 || open(rq, body, false, &o, st) < 0)
        return -1;
    if (collection_run(&o.collection, (enum collection_method)method, body, &answer, st) <
        0) {
        st->logs = external_session_logs(&o.session.external);
        return -1;
    }
    return reply_json(rp, 200, answer);
}

static int connection_spec(struct request *rq, struct reply *rp, struct status *st) {
    struct opened o;

    if (open_by_connection(rq, &value_empty_object, true, &o, st) < 0)
        return -1;
    return reply_json(rp, 200, o.collection.spec);
}

static int connection_method(struct request *rq, struct reply *rp, struct status *st) {
    return run(rq, rp, rq->param[2], open_by_connection, st);
}

static int source_spec(struct request *rq, struct reply *rp, struct status *st) {
    struct opened o;

    if (open_by_source(rq, &value_empty_object, true, &o, st) < 0)
        return -1;
    return reply_json(rp, 200, o.collection.spec);
}

static int source_method(struct request *rq, struct reply *rp, struct status *st) {
    return run(rq, rp, rq->param[0], open_by_source, st);
}

/* The body is the unified object itself. */
static int source_native(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *fields;
    struct opened o;

    if (request_object(rq, &body, st) < 0 ||
        open_by_source(rq, &value_empty_object, false, &o, st) < 0 ||
        collection_unified_to_native(&o.collection, body, &fields, st) < 0)
        return -1;
    return reply_json(rp, 200, fields);
}

/* ---- field mappings ---- */

static int run_mapping(struct request *rq, struct reply *rp, struct status *st) {
    static const struct model_row row = {EL_FIELD_MAPPING, AT_PLURAL, OP_GET};
    const struct value *body, *mapping, *word, *output;
    enum mapping_direction direction, own;
    struct model_selector sel;

    if (request_object(rq, &body, st) < 0 ||
        model_selector_read(rq, &row, &sel, st) < 0 ||
        model_resolve(model_view_of(rq), EL_FIELD_MAPPING, &sel, &mapping, st) < 0)
        return -1;
    word = value_get(body, "direction");
    direction = mapping_direction_from(word);
    own = mapping_direction_from(value_get(mapping, "direction"));
    if (!value_is_nullish(word) && direction == MAPPING_NONE)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "direction: must be import, export or both");
    if (direction == MAPPING_NONE)
        direction = own;
    if (own != MAPPING_NONE && own != MAPPING_BOTH && direction != own)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "the field mapping is for the other direction");
    if (collection_mapping_run(rq->arena, mapping, direction != MAPPING_EXPORT,
                               value_get(body, "input"), &output, st) < 0)
        return -1;
    return reply_json(rp, 200, value_obj(rq->arena, "output", output, NULL));
}

#define SOURCE                                                                           \
    "id,autoCreate,instanceKey,userId,parentKey,parentId,dataSourceKey,dataSourceId,"    \
    "nodeKey,udm,flowKey,flowId,integrationKey,integrationId,connectionId,connectionKey"

#define CONNECTION_METHOD(path, flags, summary)                                          \
    {HTTP_POST,                                                                          \
     "/connections/{selector}/data/{collectionKey}/" path,                               \
     connection_method,                                                                  \
     ACCESS_CUSTOMER,                                                                    \
     flags,                                                                              \
     summary " The collection's parameters are query fields.",                           \
     NULL,                                                                               \
     "DataCollectionRequest",                                                            \
     "DataCollectionAnswer",                                                             \
     path},
#define SOURCE_METHOD(path, flags, summary)                                              \
    {HTTP_POST,                                                                          \
     "/data-source-instance/collection/" path,                                           \
     source_method,                                                                      \
     ACCESS_CUSTOMER,                                                                    \
     flags,                                                                              \
     summary,                                                                            \
     SOURCE,                                                                             \
     "DataCollectionRequest",                                                            \
     "DataCollectionAnswer",                                                             \
     path},

#define EACH_METHOD(M)                                                                   \
    M("list", ROUTE_READS, "Records, page by page.")                                     \
    M("search", ROUTE_READS, "Records that a text finds.")                               \
    M("find-by-id", ROUTE_READS, "One record by its id.")                                \
    M("match", ROUTE_READS, "The record with given values.")                             \
    M("find", ROUTE_READS, "Records that a query finds (older).")                        \
    M("create", 0, "Makes a record.")                                                    \
    M("update", 0, "Changes a record.")                                                  \
    M("delete", 0, "Deletes a record.")

/* clang-format off */
static const struct route rows[] = {
    EACH_METHOD(CONNECTION_METHOD) EACH_METHOD(SOURCE_METHOD)
    {HTTP_GET,  "/connections/{selector}/data/{collectionKey}",             connection_spec,   ACCESS_CUSTOMER, 0, "One data collection; its parameters are query fields.", NULL, NULL, "DataCollectionSpec", NULL},
    {HTTP_POST, "/connections/{selector}/data/{collectionKey}/{methodKey}", connection_method, ACCESS_CUSTOMER, 0, "Runs a method of a data collection; its parameters are query fields.", NULL, "DataCollectionRequest", "DataCollectionAnswer", NULL},
    {HTTP_GET,  "/data-source-instance/collection",                         source_spec,       ACCESS_CUSTOMER, 0, "The collection of a data source.", SOURCE, NULL, "DataCollectionSpec", NULL},
    {HTTP_POST, "/data-source-instance/collection/{methodKey}",             source_method,     ACCESS_CUSTOMER, 0, "Runs a method of a data source's collection.", SOURCE, "DataCollectionRequest", "DataCollectionAnswer", NULL},
    {HTTP_POST, "/data-source-instance/unified-fields-to-native",           source_native,     ACCESS_CUSTOMER, ROUTE_READS, "The native fields of unified ones.", SOURCE, NULL, NULL, NULL},
    {HTTP_POST, "/field-mappings/{selector}/run",                           run_mapping,       ACCESS_CUSTOMER, ROUTE_READS, "Applies a field mapping to a value.", "layer,integrationKey,integrationId,connectionId,connectionKey,instanceKey", "FieldMappingRun", "FieldMappingResult", NULL},
};
/* clang-format on */

void collection_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
