/*
 * Lists and reads of rows that belong to a workspace and mostly to one of its customers.
 */
#include "model_rows.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http/http.h"
#include "model_routes.h"
#include "value/value.h"

void model_rows_where(struct model_rows *r, const struct store_filter *f) {
    r->where = store_and(r->rq->arena, r->where, f, NULL);
}

int model_rows_begin(struct request *rq, struct model_rows *ret, struct status *st) {
    const char *named = request_query(rq, "tenantId");
    const char *owner = rq->caller->customer_id;

    *ret = (struct model_rows){
        .rq = rq,
        .where = store_eq_text(rq->arena, "workspaceId", rq->caller->workspace_id),
        .sort = "createdAt",
    };
    if (http_page_read(rq, &ret->page, st) < 0)
        return -1;
    if (!named)
        named = request_query(rq, "userId");
    if (!owner && named &&
        model_resolve_customer(model_view_of(rq), named, &owner, st) < 0)
        return -1;
    if (owner)
        model_rows_where(ret, store_eq_text(rq->arena, "tenantId", owner));
    return 0;
}

void model_rows_match(struct model_rows *r, const struct model_rows_field *fields) {
    for (; fields->query; fields++) {
        const char *text = request_query(r->rq, fields->query);

        if (text)
            model_rows_where(r, store_eq_text(r->rq->arena, fields->field, text));
    }
}

void model_rows_match_bool(struct model_rows *r, const char *query, const char *field,
                           bool inverted) {
    bool wanted = request_query_bool(r->rq, query, false);

    if (request_query(r->rq, query))
        model_rows_where(r,
                         store_eq(r->rq->arena, field, value_bool(wanted != inverted)));
}

static void bound(struct model_rows *r, const char *query, const char *older,
                  enum store_op op) {
    const char *text = request_query(r->rq, query);
    struct arena *a = r->rq->arena;

    if (!text)
        text = request_query(r->rq, older);
    if (text)
        model_rows_where(r, store_cmp(a, op, "createdAt", value_string(a, text)));
}

void model_rows_between(struct model_rows *r) {
    bound(r, "from", "startDatetime", STORE_GE);
    bound(r, "to", "endDatetime", STORE_LE);
}

int model_rows_load(struct model_rows *r, enum collection c, struct store_page *ret,
                    struct status *st) {
    const char *order = request_query(r->rq, "sortOrder");
    struct store_query q = {
        .where = r->where,
        .sort = {{r->sort, !order || strcmp(order, "asc") != 0}},
        .limit = (size_t)r->page.limit,
        .cursor = r->page.cursor,
    };

    return store_list(r->rq->deps->store, r->rq->arena, c, &q, ret, st);
}

int model_rows_reply(struct model_rows *r, enum collection c, const char *const *hidden,
                     struct reply *rp, struct status *st) {
    struct array_builder items;
    struct store_page page;

    if (model_rows_load(r, c, &page, st) < 0)
        return -1;
    array_begin(&items, r->rq->arena, page.items->len);
    for (VALUE_EACH_ITEM(row, page.items))
        array_push(&items, value_omit(r->rq->arena, row, hidden));
    return http_page_reply(rp, array_end(&items), page.cursor);
}

int model_rows_find(struct request *rq, enum collection c, const char *title,
                    const struct value **ret, struct status *st) {
    const struct caller *who = rq->caller;
    int rc = store_get(rq->deps->store, rq->arena, c, rq->param[0], ret, st);

    if (rc < 0)
        return -1;
    if (rc == 1 ||
        !value_equals_text(value_get(*ret, "workspaceId"), who->workspace_id) ||
        (who->customer_id &&
         !value_equals_text(value_get(*ret, "tenantId"), who->customer_id)))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "%s not found", title);
    return 0;
}
