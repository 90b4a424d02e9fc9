/*
 * queue_api.c - what waits, over HTTP; and what administrators of the platform may do.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "http/http.h"
#include "http/http_server.h"
#include "queue_priv.h"
#include "store/store.h"
#include "value/value.h"

static int count_waiting(struct request *rq, const char *queue, double *ret,
                         struct status *st) {
    struct arena *a = rq->arena;
    uint64_t n;

    if (store_count(rq->deps->store, C_TASKS,
                    store_and(a,
                              store_eq_text(a, "workspaceId", rq->caller->workspace_id),
                              store_eq_text(a, "queue", queue),
                              store_eq_text(a, "state", "waiting"), NULL),
                    &n, st) < 0)
        return -1;
    *ret = (double)n;
    return 0;
}

static int pending_tasks(struct request *rq, struct reply *rp, struct status *st) {
    const char *type = request_query(rq, "workerType");
    struct arena *a = rq->arena;
    struct object_builder b;
    double total = 0, n;

    if (type && queue_from_name(type) < 0)
        return st_fail(st, ST_BAD_REQUEST, NULL, "workerType is instant or queued");
    object_begin(&b, a, 3);
    for (int i = 0; i < QUEUE_COUNT; i++) {
        const char *name = queue_name((enum queue_name)i);

        if (type && strcmp(type, name) != 0)
            continue;
        if (count_waiting(rq, name, &n, st) < 0)
            return -1;
        object_set(&b, name, value_obj(a, "pending", value_number(a, n), NULL));
        total += n;
    }
    object_set_number(&b, "total", total);
    return reply_json(rp, 200, object_end(&b));
}

/* ---- Administration ---- */

static int need_platform_admin(const struct request *rq, struct status *st) {
    return rq->caller->is_platform_admin
               ? 0
               : st_fail(st, ST_BAD_REQUEST, "access_denied",
                         "only an administrator of the platform may do this");
}

static int need_queue(const struct request *rq, enum queue_name *ret, struct status *st) {
    int q = queue_from_name(rq->param[0]);

    if (need_platform_admin(rq, st) < 0)
        return -1;
    if (q < 0)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "there is no such queue");
    *ret = (enum queue_name)q;
    return 0;
}

static int list_queues(struct request *rq, struct reply *rp, struct status *st) {
    struct queue *q = rq->deps->queue;
    struct arena *a = rq->arena;
    struct array_builder items;
    struct queue_stats s;

    if (need_platform_admin(rq, st) < 0 || queue_stats_read(q, &s, st) < 0 ||
        queue_read_paused(q, st) < 0)
        return -1;
    array_begin(&items, a, QUEUE_COUNT);
    for (int i = 0; i < QUEUE_COUNT; i++)
        array_push(&items,
                   value_obj(a, "name", value_string(a, queue_name((enum queue_name)i)),
                             "waiting", value_number(a, s.waiting[i]), "active",
                             value_number(a, s.active[i]), "dead",
                             value_number(a, s.dead[i]), "oldestAgeSeconds",
                             value_number(a, s.oldest_age_s[i]), "paused",
                             value_bool(atomic_load(&q->paused[i])), NULL));
    return reply_json(rp, 200, value_obj(a, "items", array_end(&items), NULL));
}

static int set_paused(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body;
    enum queue_name name;

    if (need_queue(rq, &name, st) < 0 || request_object(rq, &body, st) < 0)
        return -1;
    if (!value_is(value_get(body, "paused"), VALUE_BOOL))
        return st_fail(st, ST_BAD_REQUEST, NULL, "paused must be true or false");
    if (queue_pause(rq->deps->queue, name, value_is_true(value_get(body, "paused")), st) <
        0)
        return -1;
    return reply_json(rp, 200, body);
}

static int list_dead(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    struct store_query query = {.sort = {{.field = "readyMs"}}};
    struct store_page page;
    enum queue_name name;
    int64_t limit;

    if (need_queue(rq, &name, st) < 0 ||
        request_query_int(rq, "limit", 1, 1000, 100, &limit, st) < 0)
        return -1;
    query.where = store_and(a, store_eq_text(a, "state", "dead"),
                            store_eq_text(a, "queue", queue_name(name)), NULL);
    query.limit = (size_t)limit;
    query.cursor = request_query(rq, "cursor");
    if (store_list(rq->deps->store, a, C_TASKS, &query, &page, st) < 0)
        return -1;
    return reply_json(rp, 200,
                      value_obj(a, "items", page.items, "cursor",
                                page.cursor ? value_string(a, page.cursor) : NULL, NULL));
}

static int purge(struct request *rq, struct reply *rp, struct status *st) {
    enum queue_name name;
    struct arena *a = rq->arena;
    uint64_t n;

    if (need_queue(rq, &name, st) < 0 ||
        store_delete_many(rq->deps->store, C_TASKS,
                          store_and(a, store_eq_text(a, "state", "dead"),
                                    store_eq_text(a, "queue", queue_name(name)), NULL),
                          &n, st) < 0)
        return -1;
    return reply_json(rp, 200, value_obj(a, "deleted", value_number(a, (double)n), NULL));
}

static int retry(struct request *rq, struct reply *rp, struct status *st) {
    enum queue_name name;
    int rc;

    if (need_queue(rq, &name, st) < 0)
        return -1;
    rc = queue_revive(rq->deps->queue, rq->param[1], st);
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found",
                       "there is no such task among those given up");
    return rc < 0 ? -1 : reply_empty(rp, 204);
}

/* clang-format off */
static const struct route rows[] = {
    {HTTP_GET,    "/pending-tasks",                 pending_tasks, ACCESS_ADMIN,    0, "Counts the workspace's tasks that wait.", "workerType", NULL, "PendingTasksSummary", NULL},
    {HTTP_GET,    "/admin/queues",                  list_queues,   ACCESS_PLATFORM, ROUTE_UNDOCUMENTED, "Lists the queues.", NULL, NULL, NULL, NULL},
    {HTTP_PATCH,  "/admin/queues/{name}",           set_paused,    ACCESS_PLATFORM, ROUTE_UNDOCUMENTED, "Pauses a queue, or lets it run.", NULL, NULL, NULL, NULL},
    {HTTP_GET,    "/admin/queues/{name}/dead",      list_dead,     ACCESS_PLATFORM, ROUTE_UNDOCUMENTED, "Lists tasks that were given up.", "limit,cursor", NULL, NULL, NULL},
    {HTTP_DELETE, "/admin/queues/{name}/dead",      purge,         ACCESS_PLATFORM, ROUTE_UNDOCUMENTED, "Deletes tasks that were given up.", NULL, NULL, NULL, NULL},
    {HTTP_POST,   "/admin/queues/{name}/dead/{id}", retry,         ACCESS_PLATFORM, ROUTE_UNDOCUMENTED, "Runs a task again that was given up.", NULL, NULL, NULL, NULL},
};
/* clang-format on */

void queue_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
