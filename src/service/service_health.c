/*
 * Health is what the process itself can say without asking anybody: a store that is down
 * must not make the platform kill every process at once. What depends on others is
 * readiness. Health answers on the network thread, also when every handler is busy.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/metrics.h"
#include "base/status.h"
#include "blob/blob.h"
#include "config/config.h"
#include "crypto/crypto_hash.h"
#include "http/http.h"
#include "http/http_server.h"
#include "queue/queue.h"
#include "redis/redis.h"
#include "service_priv.h"
#include "store/store.h"
#include "value/value.h"

static const struct service_listener *listener_of(const struct request *rq) {
    return rq->route->data;
}

/* ---- Probes ---- */

static int health(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;

    (void)st;
    reply_header(rp, "Cache-Control", "no-store");
    return reply_json(rp, 200,
                      value_obj(a, "status", value_string(a, "ok"), "service",
                                value_string(a, listener_of(rq)->name), "version",
                                value_string(a, MEMBRANE_VERSION), NULL));
}

struct check {
    const char *name;
    /* 0, or -1 with *st filled. */
    int (*run)(const struct service *s, struct status *st);
};

static int check_start(const struct service *s, struct status *st) {
    return atomic_load(&s->is_ready)
               ? 0
               : st_fail(st, ST_INTERNAL, "unavailable", "The process is starting.");
}

static int check_drain(const struct service *s, struct status *st) {
    return atomic_load(&s->is_draining)
               ? st_fail(st, ST_INTERNAL, "unavailable", "The process is stopping.")
               : 0;
}

static int check_store(const struct service *s, struct status *st) {
    return s->deps.store ? store_ping(s->deps.store, st) : 0;
}

static int check_objects(const struct service *s, struct status *st) {
    return s->deps.blob ? blob_ping(s->deps.blob, st) : 0;
}

static int check_redis(const struct service *s, struct status *st) {
    return s->deps.redis ? redis_ping(s->deps.redis, st) : 0;
}

static const struct check checks[] = {
    {"start", check_start}, {"drain", check_drain},     {"store", check_store},
    {"redis", check_redis}, {"objects", check_objects},
};

/* `?verbose=1` names the checks; one that fails is always named. */
static int readiness(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    bool verbose = request_query_bool(rq, "verbose", false), ready = true;
    struct array_builder list;
    struct object_builder body;

    array_begin(&list, a, 4);
    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
        struct status failure;
        bool good;

        st_init(&failure, a);
        good = checks[i].run(listener_of(rq)->service, &failure) == 0;
        ready &= good;
        if (!good || verbose)
            array_push(&list,
                       value_obj(a, "name", value_string(a, checks[i].name), "ok",
                                 value_bool(good), "message",
                                 good ? NULL : value_string(a, failure.message), NULL));
    }
    (void)st;
    object_begin(&body, a, 2);
    object_set_string(&body, "status", ready ? "ready" : "not-ready");
    if (!ready || verbose)
        object_set(&body, "checks", array_end(&list));
    reply_header(rp, "Cache-Control", "no-store");
    return reply_json(rp, ready ? 200 : 503, object_end(&body));
}

static int startup(struct request *rq, struct reply *rp, struct status *st) {
    bool ready = atomic_load(&listener_of(rq)->service->is_ready);

    (void)st;
    return reply_json(rp, ready ? 200 : 503,
                      value_obj(rq->arena, "status",
                                value_string(rq->arena, ready ? "started" : "starting"),
                                NULL));
}

/* ---- Metrics ---- */

static bool may_read_metrics(const struct request *rq) {
    const char *token = rq->deps->config->metrics_token;
    const char *given = request_header(rq, "Authorization");

    if (!token)
        return true;
    if (!given || strncmp(given, "Bearer ", 7) != 0)
        return false;
    given += 7;
    return crypto_equal((struct bytes){given, strlen(given)},
                        (struct bytes){token, strlen(token)});
}

static int metrics_page(struct request *rq, struct reply *rp, struct status *st) {
    struct buf b = BUF_INIT;

    if (!may_read_metrics(rq))
        return st_fail(st, ST_BAD_REQUEST, "not_authenticated",
                       "Metrics need the bearer token of METRICS_TOKEN.");
    if (rq->deps->queue)
        queue_metrics_refresh(rq->deps->queue);
    metrics_format(rq->deps->metrics, &b);
    reply_bytes(rp, 200, "text/plain; version=0.0.4; charset=utf-8",
                buf_to_arena(&b, rq->arena));
    buf_fini(&b);
    return 0;
}

void service_register_metrics(struct service *s) {
    static const char *const request_labels[] = {"method", "route", "code", NULL};
    static const char *const duration_labels[] = {"method", "route", NULL};
    static const char *const build_labels[] = {"version", NULL};
    struct metrics *m = s->deps.metrics;

    s->requests = metrics_register(m, METRIC_COUNTER, "http_requests_total",
                                   "Requests answered.", request_labels);
    s->durations = metrics_register(m, METRIC_HISTOGRAM, "http_request_duration_seconds",
                                    "Time from request to answer.", duration_labels);
    metric_set(metrics_register(m, METRIC_GAUGE, "build_info",
                                "Always 1; the labels tell the build.", build_labels),
               (const char *[]){MEMBRANE_VERSION}, 1);
}

void service_finished(void *ctx, const struct request *rq, int status,
                      int64_t duration_us, size_t bytes_out) {
    const struct service_listener *l = ctx;
    const struct service *s = l->service;
    const char *route = rq->route ? rq->route->pattern : "(none)";
    const char *method = http_method_name(rq->method);
    char code[16];

    snprintf(code, sizeof(code), "%d", status);
    metric_add(s->requests, (const char *[]){method, route, code}, 1);
    metric_observe(s->durations, (const char *[]){method, route},
                   (double)duration_us / 1e6);
    if (s->deps.config->access_log) {
        struct log_ctx ctx_request = {.parent = &l->log, .request_id = rq->id};

        log_info(&ctx_request, "request",
                 "method=%s route=%s status=%d durationMs=%.3f bytes=%zu ip=%s", method,
                 route, status, (double)duration_us / 1e3, bytes_out, rq->client_ip);
    }
}

/* ---- Rows ---- */

void service_health_routes(struct service_listener *l) {
    static const struct route probes[] = {
        {.method = HTTP_GET,
         .pattern = "/",
         .handler = health,
         .flags = ROUTE_INLINE,
         .summary = "Health: the process runs."},
        {.method = HTTP_GET,
         .pattern = "/livez",
         .handler = health,
         .flags = ROUTE_INLINE,
         .summary = "The process runs."},
        {.method = HTTP_GET,
         .pattern = "/readyz",
         .handler = readiness,
         .summary = "The process can do its work: dependencies, start, drain.",
         .query = "verbose"},
        {.method = HTTP_GET,
         .pattern = "/startupz",
         .handler = startup,
         .flags = ROUTE_INLINE,
         .summary = "The process has started."},
    };
    static const struct route pages[] = {
        {.method = HTTP_GET,
         .pattern = "/prometheus",
         .handler = metrics_page,
         .summary = "Metrics in the Prometheus text format."},
        {.method = HTTP_GET,
         .pattern = "/prometheus/queued-tasks",
         .handler = metrics_page,
         .summary = "The same; health path of the queued tasks worker."},
    };
    const struct config *c = l->service->deps.config;
    struct arena *a = l->service->arena;
    struct route *rows = arena_zalloc(a, sizeof(probes) + sizeof(pages));
    size_t n = 0;
    /* UI and console serve their page at "/" and answer probes there too. */
    bool web = l->services & (SERVICE_UI | SERVICE_CONSOLE);

    for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++)
        if (!(web && i == 0) && !(l->only_metrics && i > 0))
            rows[n++] = probes[i];
    if (!c->metrics_port || l->only_metrics)
        rows[n++] = pages[0];
    if (l->services & SERVICE_QUEUED_WORKER)
        rows[n++] = pages[1]; /* also a health path: stays on the main port */
    for (size_t i = 0; i < n; i++)
        rows[i].data = l;
    http_router_add(l->router, rows, n);
}
