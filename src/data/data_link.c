/*
 * data_link.c - links between records, in the table of one connection.
 *
 * "both" is stored as an import and an export link, so that a look-up in either direction
 * reads one index. A record has one link per direction: the id of a link follows from the
 * record that it is looked up by, so that writing it again overwrites.
 */
#include "data.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_hash.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_page.h"
#include "http/http_server.h"
#include "model/model.h"
#include "model/model_routes.h"
#include "store/store.h"
#include "value/value.h"

/* Longest record id. */
#define MAX_ID_BYTES 2048

bool data_link_is_direction(const char *s) {
    return strcmp(s, "import") == 0 || strcmp(s, "export") == 0 || strcmp(s, "both") == 0;
}

static bool covers(const char *wanted, const char *direction) {
    return strcmp(wanted, "both") == 0 || strcmp(wanted, direction) == 0;
}

static const char *const directions[] = {"import", "export"};

/* by_id: the external id of an import link, the application's of an export link. */
static const char *link_id(struct arena *a, const char *table, const char *direction,
                           const char *by_id) {
    const struct value *parts =
        value_obj(a, "t", value_string(a, table), "d", value_string(a, direction), "by",
                  value_string(a, by_id), NULL);
    char *hex = arena_strdup(
        a, crypto_sha256_hex(a, value_encode_arena(a, parts, VALUE_ENCODE_COMPACT).data));

    hex[24] = '\0';
    return hex;
}

static bool is_import(const char *direction) {
    return strcmp(direction, directions[0]) == 0;
}

/* Two that link the same record at once: the later one stays. */
static int put_link(const struct deps *deps, const struct value *doc, struct status *st) {
    for (;;) {
        int rc = store_replace(deps->store, C_DATA_LINKS, doc, NULL, st);

        if (rc != 1)
            return rc;
        if (store_insert(deps->store, C_DATA_LINKS, doc, st) == 0)
            return 0;
        if (!st->key || strcmp(st->key, "already_exists") != 0)
            return -1;
        st_clear(st);
    }
}

int data_link_create(const struct deps *deps, struct arena *a, const struct value *table,
                     const char *external_id, const char *app_id, const char *direction,
                     const struct value **ret_link, struct status *st) {
    const char *id = value_get_string(table, "id", "");
    const struct value *first = NULL;

    for (size_t i = 0; i < 2; i++) {
        const char *by = is_import(directions[i]) ? external_id : app_id;
        const struct value *doc;

        if (!covers(direction, directions[i]))
            continue;
        doc = value_obj(
            a, "id", value_string(a, link_id(a, id, directions[i], by)), "workspaceId",
            value_get(table, "workspaceId"), "userId", value_find(table, "userId", 6),
            "dataLinkTableInstanceId", value_string(a, id), "externalRecordId",
            value_string(a, external_id), "appRecordId", value_string(a, app_id),
            "direction", value_string(a, directions[i]), NULL);
        if (put_link(deps, doc, st) < 0)
            return -1;
        if (!first)
            first = doc;
    }
    *ret_link = first;
    return 0;
}

/* The link of a direction that joins what is given; 1 when there is none. */
static int get_link(const struct deps *deps, struct arena *a, const char *table,
                    const char *external_id, const char *app_id, const char *direction,
                    const struct value **ret_link, struct status *st) {
    const char *by = is_import(direction) ? external_id : app_id;
    int rc;

    if (!by)
        return 1;
    rc = store_get(deps->store, a, C_DATA_LINKS, link_id(a, table, direction, by),
                   ret_link, st);
    if (rc != 0)
        return rc;
    return (external_id &&
            !value_equals_text(value_get(*ret_link, "externalRecordId"), external_id)) ||
           (app_id && !value_equals_text(value_get(*ret_link, "appRecordId"), app_id));
}

int data_link_find(const struct deps *deps, struct arena *a, const struct value *table,
                   const char *external_id, const char *app_id, const char *direction,
                   const struct value **ret_link, struct status *st) {
    int rc = 1;

    for (size_t i = 0; i < 2 && rc == 1; i++)
        if (covers(direction ? direction : "both", directions[i]))
            rc = get_link(deps, a, value_get_string(table, "id", ""), external_id, app_id,
                          directions[i], ret_link, st);
    return rc;
}

int data_link_delete(const struct deps *deps, struct arena *a, const struct value *table,
                     const char *external_id, const char *app_id, const char *direction,
                     struct status *st) {
    const char *id = value_get_string(table, "id", "");
    const struct store_filter *of_pair =
        store_and(a, store_eq_text(a, "externalRecordId", external_id),
                  store_eq_text(a, "appRecordId", app_id), NULL);

    for (size_t i = 0; i < 2; i++)
        if (covers(direction ? direction : "both", directions[i]) &&
            store_delete(deps->store, C_DATA_LINKS,
                         link_id(a, id, directions[i],
                                 is_import(directions[i]) ? external_id : app_id),
                         of_pair, st) < 0)
            return -1;
    return 0;
}

/* ---- Routes ---- */

struct pair {
    const char *external_id, *app_id, *direction;
};

static int read_text(const struct value *body, const char *member, const char **ret_text,
                     struct status *st) {
    const struct value *v = value_get(body, member);

    if (!value_is_string(v) || v->len == 0 || v->len > MAX_ID_BYTES ||
        strlen(v->str) != v->len)
        return st_fail_data(
            st, ST_BAD_REQUEST, NULL,
            value_obj(st->arena, "path", value_string(st->arena, member), NULL),
            "%s: must be text of 1 to %d bytes", member, MAX_ID_BYTES);
    *ret_text = v->str;
    return 0;
}

static int read_pair(struct request *rq, struct pair *p, struct status *st) {
    const struct value *body;

    if (request_object(rq, &body, st) < 0 ||
        read_text(body, "externalRecordId", &p->external_id, st) < 0 ||
        read_text(body, "appRecordId", &p->app_id, st) < 0)
        return -1;
    p->direction = value_get_string(body, "direction", NULL);
    if (p->direction && !data_link_is_direction(p->direction))
        return st_fail_data(
            st, ST_BAD_REQUEST, NULL,
            value_obj(st->arena, "path", value_string(st->arena, "direction"), NULL),
            "direction: must be import, export or both");
    return 0;
}

/* The table instance that the query names; links make it when it is missing. */
static int find_table(struct request *rq, bool make, const struct value **ret_table,
                      struct status *st) {
    static const struct model_row row = {EL_DATA_LINK_TABLE, AT_INSTANCE, OP_GET};
    struct model_selector s;

    if (model_selector_read(rq, &row, &s, st) < 0)
        return -1;
    s.auto_create |= make;
    return model_resolve(model_view_of(rq), EL_DATA_LINK_TABLE, &s, ret_table, st);
}

const struct value *data_link_shown(struct arena *a, const struct value *link) {
    static const char *const hidden[] = {"workspaceId", "userId", NULL};

    return value_omit(a, link, hidden);
}

static int reply_links(struct request *rq, struct reply *rp,
                       const struct store_filter *where, struct status *st) {
    static const char *const filters[] = {"externalRecordId", "appRecordId"};
    const char *direction = request_query(rq, "direction");
    struct arena *a = rq->arena;
    struct store_page found = {.items = &value_empty_array};
    struct array_builder items;
    struct http_page page;

    if (http_page_read(rq, &page, st) < 0)
        return -1;
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (request_query(rq, filters[i]))
            where = store_and(a, where,
                              store_eq_text(a, filters[i], request_query(rq, filters[i])),
                              NULL);
    if (direction && strcmp(direction, "both") != 0)
        where = store_and(a, where, store_eq_text(a, "direction", direction), NULL);
    struct store_query q = {.where = where,
                            .sort = {{"id", false}},
                            .limit = (size_t)page.limit,
                            .cursor = page.cursor};
    if (store_list(rq->deps->store, a, C_DATA_LINKS, &q, &found, st) < 0)
        return -1;
    array_begin(&items, a, found.items->len);
    for (VALUE_EACH_ITEM(link, found.items))
        array_push(&items, data_link_shown(a, link));
    return http_page_reply(rp, array_end(&items), found.cursor);
}

static int list_links(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *table;

    if (find_table(rq, false, &table, st) < 0)
        return -1;
    return reply_links(rq, rp,
                       store_eq_text(rq->arena, "dataLinkTableInstanceId",
                                     value_get_string(table, "id", "")),
                       st);
}

static int create_link(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *table, *link;
    struct pair p;

    if (read_pair(rq, &p, st) < 0 || find_table(rq, true, &table, st) < 0 ||
        data_link_create(rq->deps, rq->arena, table, p.external_id, p.app_id,
                         p.direction ? p.direction : "both", &link, st) < 0)
        return -1;
    link = data_link_shown(rq->arena, link);
    if (!p.direction || strcmp(p.direction, "both") == 0)
        link = value_with(rq->arena, link, "direction", value_string(rq->arena, "both"));
    return reply_json(rp, 201, link);
}

static int delete_link(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *table;
    struct pair p;

    if (read_pair(rq, &p, st) < 0 || find_table(rq, false, &table, st) < 0 ||
        data_link_delete(rq->deps, rq->arena, table, p.external_id, p.app_id, p.direction,
                         st) < 0)
        return -1;
    return reply_json(rp, 200, &value_empty_object);
}

/* The caller's own rows of the workspace. */
static const struct store_filter *own(const struct request *rq) {
    struct arena *a = rq->arena;
    const struct caller *c = rq->caller;
    const struct store_filter *where = store_eq_text(a, "workspaceId", c->workspace_id);

    if (c->is_admin)
        return where;
    return store_and(
        a, where, store_eq_text(a, "userId", c->customer_id ? c->customer_id : ""), NULL);
}

static int list_by_table(struct request *rq, struct reply *rp, struct status *st) {
    const char *table = request_query(rq, "dataLinkTableInstanceId");

    if (!table)
        return st_fail(st, ST_BAD_REQUEST, NULL, "dataLinkTableInstanceId is required");
    return reply_links(
        rq, rp,
        store_and(rq->arena, own(rq),
                  store_eq_text(rq->arena, "dataLinkTableInstanceId", table), NULL),
        st);
}

static int delete_by_id(struct request *rq, struct reply *rp, struct status *st) {
    int rc = store_delete(rq->deps->store, C_DATA_LINKS, rq->param[0], own(rq), st);

    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "data link \"%s\" not found",
                       rq->param[0]);
    return rc < 0 ? -1 : reply_json(rp, 200, &value_empty_object);
}

#define TABLE                                                                            \
    "id,autoCreate,instanceKey,userId,parentKey,parentId,dataLinkTableId,"               \
    "dataLinkTableKey,integrationKey,integrationId,connectionId,connectionKey"

static const struct route routes[] = {
    {HTTP_GET, "/data-link-table-instance/links", list_links, ACCESS_CUSTOMER, 0,
     "The links of a table.",
     TABLE ",direction,appRecordId,externalRecordId,limit,cursor", NULL, "Page<DataLink>",
     NULL},
    {HTTP_POST, "/data-link-table-instance/links", create_link, ACCESS_CUSTOMER, 0,
     "Links two records.", TABLE, "DataLink", "DataLink", NULL},
    {HTTP_DELETE, "/data-link-table-instance/links", delete_link, ACCESS_CUSTOMER, 0,
     "Removes the link of two records.", TABLE, "DataLink", NULL, NULL},
    {HTTP_GET, "/data-links", list_by_table, ACCESS_CUSTOMER, 0, "The links of a table.",
     "dataLinkTableInstanceId,externalRecordId,appRecordId,direction,limit,cursor", NULL,
     "Page<DataLink>", NULL},
    {HTTP_DELETE, "/data-links/{id}", delete_by_id, ACCESS_CUSTOMER, 0,
     "Removes one link.", NULL, NULL, NULL, NULL},
};

void data_routes(struct http_router *r) {
    http_router_add(r, routes, sizeof routes / sizeof *routes);
}
