/*
 * connector_api.c - /connectors and what integrations show of their connector's files.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "connector_priv.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_page.h"
#include "http/http_server.h"
#include "model/model.h"
#include "store/store.h"
#include "value/value.h"

/* ---- common steps ---- */

static int find(struct request *rq, const struct value **ret_doc, struct status *st) {
    int rc = connector_find(rq->deps, rq->arena, rq->caller->workspace_id, rq->param[0],
                            ret_doc, st);

    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Connector \"%.100s\" not found",
                       rq->param[0]);
    return rc;
}

static int load(struct request *rq, struct connector *c, struct status *st) {
    return connector_load(rq->deps, rq->arena, rq->caller->workspace_id, rq->param[0],
                          request_query(rq, "version"), c, st);
}

static int changed_step(struct model_view *v, void *ctx, struct status *st) {
    return model_connector_changed(v, ctx, st);
}

/* Integrations of the connector, and what depends on them, are evaluated again. */
static int changed(struct request *rq, const struct value *doc, struct status *st) {
    return model_transact(rq->deps, rq->arena, NULL, rq->caller->workspace_id,
                          changed_step, (void *)doc, st);
}

static int reply_changed(struct request *rq, struct reply *rp, const struct value *doc,
                         struct status *st) {
    if (changed(rq, doc, st) < 0)
        return -1;
    return reply_json(rp, 200, connector_render(rq->arena, doc));
}

/* ---- /connectors ---- */

static int list(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    struct store_query q = {.sort = {{"createdAt", true}}};
    struct store_page page;
    struct array_builder items;
    struct http_page p;

    if (http_page_read(rq, &p, st) < 0)
        return -1;
    q.where = store_eq_text(a, "workspaceId", rq->caller->workspace_id);
    if (!p.include_archived)
        q.where =
            store_and(a, q.where, store_cmp(a, STORE_ABSENT, "archivedAt", NULL), NULL);
    if (p.search)
        q.where = store_and(
            a, q.where,
            store_or(a, store_cmp(a, STORE_CONTAINS, "name", value_string(a, p.search)),
                     store_cmp(a, STORE_CONTAINS, "key", value_string(a, p.search)),
                     NULL),
            NULL);
    q.limit = (size_t)p.limit;
    q.cursor = p.cursor;
    if (store_list(rq->deps->store, a, C_CONNECTORS, &q, &page, st) < 0)
        return -1;
    array_begin(&items, a, page.items->len);
    for (VALUE_EACH_ITEM(i, page.items))
        array_push(&items, connector_render(a, i));
    return http_page_reply(rp, array_end(&items), page.cursor);
}

static int create(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *doc;

    if (request_object(rq, &body, st) < 0 ||
        connector_create(rq->deps, rq->arena, rq->caller->workspace_id, body, &doc, st) <
            0)
        return -1;
    return reply_changed(rq, rp, doc, st);
}

static int get(struct request *rq, struct reply *rp, struct status *st) {
    struct connector c;
    const struct value *doc;

    if (request_query(rq, "version")) {
        if (load(rq, &c, st) < 0)
            return -1;
        return reply_json(rp, 200, connector_render(rq->arena, c.doc));
    }
    if (find(rq, &doc, st) < 0)
        return -1;
    return reply_json(rp, 200, connector_render(rq->arena, doc));
}

static int update(struct request *rq, struct reply *rp, bool put, struct status *st) {
    const struct value *body, *doc;

    if (request_object(rq, &body, st) < 0 || find(rq, &doc, st) < 0 ||
        connector_update(rq->deps, rq->arena, doc, body, put, &doc, st) < 0)
        return -1;
    return reply_changed(rq, rp, doc, st);
}

static int put(struct request *rq, struct reply *rp, struct status *st) {
    return update(rq, rp, true, st);
}

static int patch(struct request *rq, struct reply *rp, struct status *st) {
    return update(rq, rp, false, st);
}

static int set_archived(struct request *rq, struct reply *rp, bool archived,
                        struct status *st) {
    const struct value *doc;

    if (find(rq, &doc, st) < 0 ||
        connector_archive(rq->deps, rq->arena, doc, archived, &doc, st) < 0)
        return -1;
    return reply_changed(rq, rp, doc, st);
}

static int archive(struct request *rq, struct reply *rp, struct status *st) {
    return set_archived(rq, rp, true, st);
}

static int restore(struct request *rq, struct reply *rp, struct status *st) {
    return set_archived(rq, rp, false, st);
}

/* The archive: a part of a form, or the body itself. */
static int archive_of(struct request *rq, struct bytes *ret, struct status *st) {
    const char *type = request_header(rq, "content-type");
    struct request_part part;
    int rc;

    *ret = rq->body;
    if (type && strncasecmp(type, "multipart/form-data", 19) == 0) {
        rc = request_part(rq, NULL, &part, st);
        if (rc < 0)
            return -1;
        if (rc == 1)
            return st_fail(st, ST_BAD_REQUEST, NULL, "the form holds no file");
        *ret = part.body;
    }
    if (ret->len == 0)
        return st_fail(st, ST_BAD_REQUEST, NULL, "the archive is empty");
    return 0;
}

static int reply_uploaded(struct request *rq, struct reply *rp, const struct value *doc,
                          const struct value *warnings, struct status *st) {
    const struct value *served;

    if (changed(rq, doc, st) < 0)
        return -1;
    served = connector_render(rq->arena, doc);
    if (warnings->len)
        served = value_with(rq->arena, served, "warnings", warnings);
    return reply_json(rp, 200, served);
}

/* POST /connectors/upload: the archive says which connector it is. */
static int upload_any(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc, *warnings;
    struct bytes body;

    if (archive_of(rq, &body, st) < 0 ||
        connector_upload(rq->deps, rq->arena, rq->caller->workspace_id, NULL, body, &doc,
                         &warnings, st) < 0)
        return -1;
    return reply_uploaded(rq, rp, doc, warnings, st);
}

static int upload(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc, *warnings;
    struct bytes body;

    if (find(rq, &doc, st) < 0 || archive_of(rq, &body, st) < 0 ||
        connector_upload(rq->deps, rq->arena, rq->caller->workspace_id, doc, body, &doc,
                         &warnings, st) < 0)
        return -1;
    return reply_uploaded(rq, rp, doc, warnings, st);
}

static int download(struct request *rq, struct reply *rp, struct status *st) {
    struct connector c;
    struct bytes body;

    if (load(rq, &c, st) < 0 ||
        connector_download(rq->deps, rq->arena, &c, &body, st) < 0)
        return -1;
    reply_header(rp, "Content-Disposition",
                 arena_printf(rq->arena, "attachment; filename=\"%s-%s.zip\"",
                              value_get_string(c.doc, "uuid", "connector"), c.version));
    return reply_bytes(rp, 200, "application/zip", body);
}

static int publish(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *doc, *row;

    if (request_object(rq, &body, st) < 0 || find(rq, &doc, st) < 0 ||
        connector_publish(rq->deps, rq->arena, doc,
                          value_get_string(body, "version", NULL),
                          value_get_string(body, "changelog", NULL), &row, st) < 0 ||
        changed(rq, doc, st) < 0)
        return -1;
    return reply_json(rp, 200, connector_render(rq->arena, row));
}

static int versions(struct request *rq, struct reply *rp, struct status *st) {
    struct store_query q = {.sort = {{"createdAt", true}}, .limit = 1000};
    const struct value *doc;
    struct store_page page;
    struct array_builder items;

    if (find(rq, &doc, st) < 0)
        return -1;
    q.where = store_eq(rq->arena, "connectorId", value_get(doc, "id"));
    if (store_list(rq->deps->store, rq->arena, C_CONNECTOR_VERSIONS, &q, &page, st) < 0)
        return -1;
    array_begin(&items, rq->arena, page.items->len);
    for (VALUE_EACH_ITEM(i, page.items))
        array_push(&items, connector_render(rq->arena, i));
    return http_page_reply(rp, array_end(&items), NULL);
}

static int export_json(struct request *rq, struct reply *rp, struct status *st) {
    struct connector c;
    const struct value *served, *version;
    struct arena *a = rq->arena;
    struct array_builder list;

    if (load(rq, &c, st) < 0)
        return -1;
    served = connector_render(a, c.doc);
    version =
        value_obj(a, "version", value_string(a, c.version), "contents", c.contents, NULL);
    array_begin(&list, a, 1);
    array_push(&list, version);
    return reply_json(rp, 200,
                      value_obj(a, "key", value_get(served, "key"), "uuid",
                                value_get(served, "uuid"), "spec", served, "versions",
                                array_end(&list), "isPublic",
                                value_get(served, "isPublic"), NULL));
}

static int reply_member(struct reply *rp, const struct value *group, const char *key,
                        const char *what, struct status *st) {
    const struct value *one = value_get(group, key);

    if (!value_is_object(one))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "%s \"%.100s\" not found", what,
                       key);
    return reply_json(rp, 200, one);
}

static int event(struct request *rq, struct reply *rp, struct status *st) {
    struct connector c;

    if (load(rq, &c, st) < 0)
        return -1;
    return reply_member(rp, value_get(c.contents, "events"), rq->param[1], "Event", st);
}

/* ---- /integrations/{selector}/... ---- */

static int resolve_integration(struct request *rq, const struct value **ret,
                               struct status *st) {
    struct model_view *v =
        model_view_new(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id);

    return model_resolve_integration(v, rq->param[0], ret, st);
}

static int load_of_integration(struct request *rq, struct connector *c,
                               struct status *st) {
    const struct value *integration;
    const char *id;

    if (resolve_integration(rq, &integration, st) < 0)
        return -1;
    id = value_get_string(integration, "connectorId", NULL);
    if (!id)
        return st_fail(st, ST_CONFIGURATION, NULL, "the integration has no connector");
    return connector_load(rq->deps, rq->arena, rq->caller->workspace_id, id,
                          value_get_string(integration, "connectorVersion", NULL), c, st);
}

static int integration_spec(struct request *rq, struct reply *rp, struct status *st) {
    struct connector c;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    return reply_json(rp, 200, connector_render_spec(rq->arena, &c));
}

static int integration_operations(struct request *rq, struct reply *rp,
                                  struct status *st) {
    struct connector c;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    return reply_json(rp, 200, connector_render_operations(rq->arena, c.contents));
}

static int integration_operation(struct request *rq, struct reply *rp,
                                 struct status *st) {
    struct connector c;
    const struct value *op;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    op = value_path(c.contents, "operations", rq->param[1], NULL);
    if (!value_is_object(op))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Operation \"%.100s\" not found",
                       rq->param[1]);
    return reply_json(rp, 200, connector_render_operation(rq->arena, op));
}

static int integration_collections(struct request *rq, struct reply *rp,
                                   struct status *st) {
    struct connector c;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    return reply_json(rp, 200, connector_render_collections(rq->arena, c.contents));
}

static int integration_collection(struct request *rq, struct reply *rp,
                                  struct status *st) {
    struct connector c;
    const struct value *one;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    one = value_path(c.contents, "data", rq->param[1], NULL);
    if (!value_is_object(one))
        return st_fail(st, ST_BAD_REQUEST, "not_found",
                       "Data collection \"%.100s\" not found", rq->param[1]);
    return reply_json(rp, 200, connector_render_collection(rq->arena, one));
}

static int integration_collection_specs(struct request *rq, struct reply *rp,
                                        struct status *st) {
    struct array_builder b;
    struct connector c;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    array_begin(&b, rq->arena, 8);
    for (VALUE_EACH_MEMBER(m, value_get(c.contents, "data")))
        array_push(&b, connector_render_collection(rq->arena, &m->value));
    return reply_json(rp, 200, array_end(&b));
}

/* Members of a group as a bare array of {key, name, description?}. */
static int reply_items(struct request *rq, struct reply *rp, const char *group,
                       struct status *st) {
    static const char *const shown[] = {"key", "name", "description", NULL};
    struct array_builder b;
    struct connector c;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    array_begin(&b, rq->arena, 8);
    for (VALUE_EACH_MEMBER(m, value_get(c.contents, group)))
        array_push(&b, value_pick(rq->arena, &m->value, shown));
    return reply_json(rp, 200, array_end(&b));
}

static int integration_events(struct request *rq, struct reply *rp, struct status *st) {
    return reply_items(rq, rp, "events", st);
}

static int integration_event(struct request *rq, struct reply *rp, struct status *st) {
    struct connector c;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    return reply_member(rp, value_get(c.contents, "events"), rq->param[1], "Event", st);
}

static int integration_webhooks(struct request *rq, struct reply *rp, struct status *st) {
    return reply_items(rq, rp, "globalWebhooks", st);
}

static int integration_udms(struct request *rq, struct reply *rp, struct status *st) {
    struct array_builder b;
    struct connector c;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    array_begin(&b, rq->arena, 8);
    for (VALUE_EACH_ITEM(name, value_get(c.doc, "udms")))
        array_push(&b, value_obj(rq->arena, "key", name, NULL));
    return reply_json(rp, 200, array_end(&b));
}

static int integration_udm(struct request *rq, struct reply *rp, struct status *st) {
    struct connector c;
    const struct value *udm;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    udm = value_path(c.contents, "udm", rq->param[1], NULL);
    if (!value_is_object(udm))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "UDM \"%.100s\" not found",
                       rq->param[1]);
    if (!value_is_array(value_get(udm, "collectionMappings")))
        udm = value_with(rq->arena, udm, "collectionMappings", &value_empty_array);
    return reply_json(rp, 200, udm);
}

static int integration_documentation(struct request *rq, struct reply *rp,
                                     struct status *st) {
    struct connector c;

    if (load_of_integration(rq, &c, st) < 0)
        return -1;
    return reply_json(
        rp, 200,
        value_obj(rq->arena, "name", value_get(c.doc, "name"), "description",
                  value_get(c.doc, "description"), "hasReadme",
                  value_get(c.contents, "hasReadme"), "operations",
                  connector_render_operations(rq->arena, c.contents), "dataCollections",
                  connector_render_collections(rq->arena, c.contents), NULL));
}

static int upload_of_integration(struct request *rq, struct reply *rp,
                                 struct status *st) {
    const struct value *integration, *doc = NULL, *warnings;
    struct model_view *v =
        model_view_new(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id);
    struct bytes body;
    const char *id;

    if (model_resolve_integration(v, rq->param[0], &integration, st) < 0 ||
        archive_of(rq, &body, st) < 0)
        return -1;
    id = value_get_string(integration, "connectorId", NULL);
    if (id &&
        connector_find(rq->deps, rq->arena, rq->caller->workspace_id, id, &doc, st) != 0)
        doc = NULL;
    if (connector_upload(rq->deps, rq->arena, rq->caller->workspace_id, doc, body, &doc,
                         &warnings, st) < 0)
        return -1;
    if (!id &&
        (model_update(v, EL_INTEGRATION, integration,
                      value_obj(rq->arena, "connectorId", value_get(doc, "id"), NULL),
                      MODEL_PATCH, &integration, st) < 0 ||
         model_commit(v, st) < 0))
        return -1;
    if (changed(rq, doc, st) < 0)
        return -1;
    v = model_view_new(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id);
    if (model_resolve_integration(v, rq->param[0], &integration, st) < 0 ||
        model_render(v, EL_INTEGRATION, integration, MODEL_RENDER_JOINS, &integration,
                     st) < 0)
        return -1;
    return reply_json(rp, 200, integration);
}

/* clang-format off */
static const struct route rows[] = {
    {HTTP_GET,    "/connectors",                       list,        ACCESS_CUSTOMER, 0, "Lists the workspace's connectors.", "limit,cursor,search,includeArchived", NULL, "Page<Connector>", NULL},
    {HTTP_POST,   "/connectors",                       create,      ACCESS_ADMIN, 0, "Makes a connector.", NULL, "ConnectorWrite", "Connector", NULL},
    {HTTP_POST,   "/connectors/upload",                upload_any,  ACCESS_ADMIN, ROUTE_RAW_BODY, "Uploads an archive as the development version of the connector that it names.", NULL, NULL, "Connector", NULL},
    {HTTP_GET,    "/connectors/{idOrKey}",             get,         ACCESS_CUSTOMER, 0, "Returns one connector.", "version", NULL, "Connector", NULL},
    {HTTP_PUT,    "/connectors/{idOrKey}",             put,         ACCESS_ADMIN, 0, "Replaces a connector's fields.", NULL, "ConnectorWrite", "Connector", NULL},
    {HTTP_PATCH,  "/connectors/{idOrKey}",             patch,       ACCESS_ADMIN, 0, "Changes some of a connector's fields.", NULL, "ConnectorWrite", "Connector", NULL},
    {HTTP_DELETE, "/connectors/{idOrKey}",             archive,     ACCESS_ADMIN, 0, "Archives a connector.", NULL, NULL, "Connector", NULL},
    {HTTP_POST,   "/connectors/{idOrKey}/restore",     restore,     ACCESS_ADMIN, 0, "Restores an archived connector.", NULL, NULL, "Connector", NULL},
    {HTTP_POST,   "/connectors/{idOrKey}/upload",      upload,      ACCESS_ADMIN, ROUTE_RAW_BODY, "Replaces the development version by an archive.", NULL, NULL, "Connector", NULL},
    {HTTP_GET,    "/connectors/{idOrKey}/download",    download,    ACCESS_ADMIN, 0, "The archive of a version.", "version", NULL, NULL, NULL},
    {HTTP_POST,   "/connectors/{idOrKey}/publish",     publish,     ACCESS_ADMIN, 0, "Publishes the development version.", NULL, "ConnectorPublish", "ConnectorVersion", NULL},
    {HTTP_GET,    "/connectors/{idOrKey}/versions",    versions,    ACCESS_CUSTOMER, 0, "Lists the published versions.", NULL, NULL, "Page<ConnectorVersion>", NULL},
    {HTTP_GET,    "/connectors/{idOrKey}/export-json", export_json, ACCESS_ADMIN, 0, "The connector in its portable form.", "version", NULL, "ConnectorExport", NULL},
    {HTTP_GET,    "/connectors/{idOrKey}/events/{eventKey}", event, ACCESS_CUSTOMER, 0, "One event of the connector.", "version", NULL, "ConnectorEventSpec", NULL},

    {HTTP_GET,    "/integrations/{selector}/connector-spec",             integration_spec,             ACCESS_CUSTOMER, 0, "The connector's specification.", NULL, NULL, "ConnectorSpec", NULL},
    {HTTP_GET,    "/integrations/{selector}/operations",                 integration_operations,       ACCESS_CUSTOMER, 0, "The connector's operations.", NULL, NULL, "OperationListItem[]", NULL},
    {HTTP_GET,    "/integrations/{selector}/operations/{operationKey}",  integration_operation,        ACCESS_CUSTOMER, 0, "One operation.", NULL, NULL, "OperationSpec", NULL},
    {HTTP_GET,    "/integrations/{selector}/data",                       integration_collections,      ACCESS_CUSTOMER, 0, "The connector's data collections.", NULL, NULL, "DataCollectionListItem[]", NULL},
    {HTTP_GET,    "/integrations/{selector}/data/{collectionKey}",       integration_collection,       ACCESS_CUSTOMER, 0, "One data collection.", NULL, NULL, "DataCollectionSpec", NULL},
    {HTTP_GET,    "/integrations/{selector}/data-collection-specs",      integration_collection_specs, ACCESS_CUSTOMER, 0, "All data collections in full.", NULL, NULL, "DataCollectionSpec[]", NULL},
    {HTTP_GET,    "/integrations/{selector}/events",                     integration_events,           ACCESS_CUSTOMER, 0, "The connector's events.", NULL, NULL, "ConnectorEventListItem[]", NULL},
    {HTTP_GET,    "/integrations/{selector}/events/{eventKey}",          integration_event,            ACCESS_CUSTOMER, 0, "One event.", NULL, NULL, "ConnectorEventSpec", NULL},
    {HTTP_GET,    "/integrations/{selector}/global-webhooks",            integration_webhooks,         ACCESS_ADMIN, 0, "The connector's global webhooks.", NULL, NULL, "ConnectorEventListItem[]", NULL},
    {HTTP_GET,    "/integrations/{selector}/udm",                        integration_udms,             ACCESS_CUSTOMER, 0, "Unified data models that the connector supports.", NULL, NULL, "UdmListItem[]", NULL},
    {HTTP_GET,    "/integrations/{selector}/udm/{udmKey}",               integration_udm,              ACCESS_CUSTOMER, 0, "The collections of one unified data model.", NULL, NULL, "UdmSpec", NULL},
    {HTTP_GET,    "/integrations/{selector}/documentation",              integration_documentation,    ACCESS_CUSTOMER, 0, "What the connector offers, for readers.", NULL, NULL, "ConnectorDocumentation", NULL},
    {HTTP_POST,   "/integrations/{selector}/upload-connector",           upload_of_integration,        ACCESS_ADMIN, ROUTE_RAW_BODY, "Uploads an archive as the integration's connector.", NULL, NULL, "Integration", NULL},
};
/* clang-format on */

void connector_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
