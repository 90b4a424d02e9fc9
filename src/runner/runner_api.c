/*
 * runner_api.c - the runner as a service: opening it, its routes.
 */
#include <string.h>
#include <time.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "config/config.h"
#include "crypto/crypto_hash.h"
#include "http/http.h"
#include "http/http_client.h"
#include "http/http_server.h"
#include "runner_priv.h"
#include "value/value_status.h"

enum {
    HEALTH_FRESH_MS = 30 * 1000,
    HEALTH_LIMIT_MS = 10 * 1000,
};

static const struct layer {
    unsigned layer;
    const char *name;
} layers[] = {
    {RUNNER_LAYER_SECCOMP, "seccomp"},   {RUNNER_LAYER_RLIMITS, "rlimits"},
    {RUNNER_LAYER_LANDLOCK, "landlock"}, {RUNNER_LAYER_UID, "uid"},
    {RUNNER_LAYER_ROOT, "root"},         {RUNNER_LAYER_NET, "net"},
    {RUNNER_LAYER_PID, "pid"},           {RUNNER_LAYER_IPC, "ipc"},
};
enum { LAYERS_LEN = sizeof(layers) / sizeof(*layers) };

/* ---- Opening ---- */

/* -1 when a layer of the comma list is unknown or does not hold. */
static int require_layers(const struct runner *r, const char *list, struct status *st) {
    for (const char *p = list; p && *p;) {
        size_t n = strcspn(p, ", ");
        const struct layer *found = NULL;

        for (size_t i = 0; i < LAYERS_LEN; i++)
            if (strlen(layers[i].name) == n && strncmp(layers[i].name, p, n) == 0)
                found = &layers[i];
        if (n && !found)
            return st_fail(st, ST_CONFIGURATION, NULL,
                           "RUNNER_REQUIRE_ISOLATION: no layer is named %.*s", (int)n, p);
        if (n && !(r->layers & found->layer))
            return st_fail(st, ST_CONFIGURATION, NULL,
                           "this platform does not allow the isolation layer %s, which "
                           "RUNNER_REQUIRE_ISOLATION asks for",
                           found->name);
        p += n;
        p += strspn(p, ", ");
    }
    return 0;
}

static const char *layer_names(const struct runner *r, char *out, size_t size) {
    size_t n = 0;

    *out = '\0';
    for (size_t i = 0; i < LAYERS_LEN; i++)
        if ((r->layers & layers[i].layer) && n < size)
            n +=
                (size_t)snprintf(out + n, size - n, "%s%s", n ? "," : "", layers[i].name);
    return out;
}

static const char *mode_name(const struct runner *r) {
    if (!r->has_node)
        return "off";
    return r->mode == RUNNER_MODE_ZYGOTE ? "zygote" : "process";
}

int runner_accept_layers(struct runner *r, struct status *st) {
    char names[128];

    if (require_layers(r, r->config->runner_require_isolation, st) < 0) {
        log_error(&r->log, "custom code is off", "err=%s", st->message);
        return -1;
    }
    for (size_t i = 0; i < LAYERS_LEN; i++)
        metric_set(r->held, (const char *[]){layers[i].name},
                   (r->layers & layers[i].layer) != 0);
    log_info(&r->log, "custom code runs",
             "node=%s version=%s mode=%s why=%s spaces=%d isolation=%s", r->plan.node,
             r->node_version, mode_name(r), r->why_process, r->spaces,
             layer_names(r, names, sizeof(names)));
    return 0;
}

static bool read_total(void *ctx, double *ret) {
    const struct runner *r = ctx;

    *ret = r->has_node ? r->spaces : 0;
    return true;
}

static bool read_remaining(void *ctx, double *ret) {
    struct runner *r = ctx;

    pthread_mutex_lock(&r->lock);
    *ret = r->has_node ? r->spaces - r->running : 0;
    pthread_mutex_unlock(&r->lock);
    return true;
}

static bool read_idle(void *ctx, double *ret) {
    struct runner *r = ctx;

    pthread_mutex_lock(&r->lock);
    *ret = r->idle_len;
    pthread_mutex_unlock(&r->lock);
    return true;
}

static bool read_is_zygote(void *ctx, double *ret) {
    struct runner *r = ctx;

    pthread_mutex_lock(&r->lock);
    *ret = r->has_node && r->mode == RUNNER_MODE_ZYGOTE;
    pthread_mutex_unlock(&r->lock);
    return true;
}

static void register_metrics(struct runner *r, struct metrics *m) {
    static const char *const result[] = {"result", NULL};
    static const char *const layer[] = {"layer", NULL};
    metrics_register_reader(m, "custom_code_runner_total_job_spaces",
                            "Jobs that can run at once.", read_total, r);
    metrics_register_reader(m, "custom_code_runner_remaining_job_spaces",
                            "Jobs that could start now.", read_remaining, r);
    metrics_register_reader(m, "custom_code_runner_idle_processes",
                            "Locked processes that wait for a job.", read_idle, r);
    r->job_count = metrics_register(m, METRIC_COUNTER, "custom_code_runner_jobs_total",
                                    "Jobs that ended, by how.", result);
    r->durations =
        metrics_register(m, METRIC_HISTOGRAM, "custom_code_runner_job_duration_seconds",
                         "Time from a job's start to its end.", NULL);
    r->starts =
        metrics_register(m, METRIC_HISTOGRAM, "custom_code_runner_process_start_seconds",
                         "Time until a process waits for a job.", NULL);
    r->calls = metrics_register(m, METRIC_COUNTER, "custom_code_runner_requests_total",
                                "Requests of custom code.", result);
    r->zygote_starts =
        metrics_register(m, METRIC_HISTOGRAM, "custom_code_runner_zygote_start_seconds",
                         "Time until a new zygote can fork.", NULL);
    r->retries = metrics_register(m, METRIC_COUNTER, "custom_code_runner_retries_total",
                                  "Jobs given to another process, untouched.", NULL);
    metrics_register_reader(m, "custom_code_runner_zygote",
                            "1 when jobs are forks of a warm Node, 0 when each is a new "
                            "process.",
                            read_is_zygote, r);
    r->held = metrics_register(m, METRIC_GAUGE, "custom_code_runner_isolation",
                               "1 for a layer of isolation that holds.", layer);
}

static int open_parts(struct runner *r, struct status *st) {
    const struct config *c = r->config;
    int rc = runner_plan_make(c, &r->plan, st);

    if (rc < 0)
        return -1;
    r->has_node = rc == 0;
    if (http_client_open(
            &(struct http_client_options){
                .private_allow = c->runner_egress_allow ? c->runner_egress_allow
                                                        : c->private_network_allow,
                .ca_file = c->extra_ca_file,
                .user_agent = "membrane/" MEMBRANE_VERSION,
            },
            &r->deps.http, st) < 0 ||
        runner_pool_open(r, st) < 0)
        return -1;
    return 0;
}

int runner_open(const struct config *config, struct clock *clock, struct rand *rand,
                struct metrics *metrics, bool wait, struct runner **ret_runner,
                struct status *st) {
    struct runner *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->config = config;
    r->deps = (struct deps){.config = config, .clock = clock, .rand = rand};
    r->log = (struct log_ctx){.service = "code-runner"};
    r->wake_fd = -1;
    register_metrics(r, metrics);
    if (open_parts(r, st) < 0 || (wait && runner_pool_wait(r, st) < 0)) {
        runner_close(&r);
        return -1;
    }
    if (!r->has_node)
        log_warn(&r->log, "custom code is off: no Node.js was found (NODE_BIN)");
    *ret_runner = r;
    return 0;
}

void runner_close(struct runner **rp) {
    struct runner *r = *rp;
    struct timespec pause = {0, 5 * 1000000};

    *rp = NULL;
    if (!r)
        return;
    if (r->idle)
        runner_pool_close(r);
    runner_plan_close(&r->plan);
    /* Calls of jobs that are over may still be under way; the process ends with them. */
    for (int i = 0; i < 200 && r->ios > 0; i++)
        nanosleep(&pause, NULL);
    if (r->ios > 0)
        return;
    if (r->deps.http)
        http_client_close(&r->deps.http);
    free(r);
}

/* ---- Running ---- */

static int check_signature(const struct request *rq, struct status *st) {
    const char *secret = rq->deps->config->runner_shared_secret;
    const char *given = request_header(rq, "X-Runner-Signature"), *wanted;

    if (!secret || !*secret)
        return 0;
    wanted = crypto_hmac_sha256_hex(rq->arena, (struct bytes){secret, strlen(secret)},
                                    rq->body);
    if (given && crypto_equal((struct bytes){given, strlen(given)},
                              (struct bytes){wanted, strlen(wanted)}))
        return 0;
    return st_fail(st, ST_BAD_REQUEST, "not_authenticated",
                   "The job is not signed with RUNNER_SHARED_SECRET.");
}

static const char *job_id(struct request *rq, const struct value *body) {
    const char *id = value_get_string(body, "id", NULL);

    return id && *id ? id : id_new(rq->deps->clock, rq->deps->rand, rq->arena);
}

/* {result, logs, usage}, or {error, logs, usage} with the error's status. */
static int run(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    struct runner_outcome out;
    const struct value *body;
    const char *id;
    int code;

    if (check_signature(rq, st) < 0 || request_object(rq, &body, st) < 0)
        return -1;
    id = job_id(rq, body);
    if (runner_job_run(rq->deps->runner, a, id, body, false, &out, st) == 0)
        return reply_json(rp, 200,
                          value_obj(a, "id", value_string(a, id), "result", out.result,
                                    "logs", out.logs, "usage", out.usage, NULL));
    code = st_http_code(st);
    if (code == 503)
        reply_header(rp, "Retry-After", "1");
    return reply_json(rp, code,
                      value_obj(a, "id", value_string(a, id), "error",
                                value_from_status(a, st), "logs", out.logs, "usage",
                                out.usage, NULL));
}

static int cancel(struct request *rq, struct reply *rp, struct status *st) {
    if (check_signature(rq, st) < 0)
        return -1;
    if (!runner_job_cancel(rq->deps->runner, rq->param[0]))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "No such job is under way.");
    return reply_empty(rp, 204);
}

/* ---- Health ---- */

static void evaluate(struct runner *r, struct arena *a) {
    struct runner_outcome out;
    struct status st;
    bool ok;

    st_init(&st, a);
    ok = runner_job_run(
             r, a, id_new(r->deps.clock, r->deps.rand, a),
             value_obj(
                 a, "code", value_string(a, "export default ({ a }) => [...a].reverse()"),
                 "arguments", value_obj(a, "a", value_string(a, "ok"), NULL), "limits",
                 value_obj(a, "timeoutMs", value_number(a, HEALTH_LIMIT_MS), NULL), NULL),
             true, &out, &st) == 0 &&
         value_is_array(out.result) && out.result->len == 2;
    pthread_mutex_lock(&r->lock);
    r->health_at_ms = clock_monotonic_ms(clock_system());
    r->health_ok = ok;
    snprintf(r->health_text, sizeof(r->health_text), "%s",
             ok           ? ""
             : st.message ? st.message
                          : "the trial gave a wrong answer");
    pthread_mutex_unlock(&r->lock);
}

static const struct value *isolation(const struct runner *r, struct arena *a) {
    struct object_builder b;

    object_begin(&b, a, LAYERS_LEN);
    for (size_t i = 0; i < LAYERS_LEN; i++)
        object_set_bool(&b, layers[i].name, (r->layers & layers[i].layer) != 0);
    return object_end(&b);
}

static int health(struct request *rq, struct reply *rp, struct status *st) {
    struct runner *r = rq->deps->runner;
    struct arena *a = rq->arena;
    const char *text, *mode, *why;
    int64_t at;
    int running;
    bool ok;

    (void)st;
    pthread_mutex_lock(&r->lock);
    at = r->health_at_ms;
    pthread_mutex_unlock(&r->lock);
    if (!at || clock_monotonic_ms(clock_system()) - at > HEALTH_FRESH_MS)
        evaluate(r, a);
    pthread_mutex_lock(&r->lock);
    ok = r->health_ok;
    text = arena_strdup(a, r->health_text);
    running = r->running;
    mode = mode_name(r);
    why = *r->why_process ? arena_strdup(a, r->why_process) : NULL;
    pthread_mutex_unlock(&r->lock);
    reply_header(rp, "Cache-Control", "no-store");
    return reply_json(
        rp, ok ? 200 : 503,
        value_obj(
            a, "status", value_string(a, ok ? "ok" : "failing"), "message",
            ok ? NULL : value_string(a, text), "service", value_string(a, "code-runner"),
            "version", value_string(a, MEMBRANE_VERSION), "node",
            r->has_node ? value_string(a, r->node_version) : &value_null, "mode",
            value_string(a, mode), "modeReason", why ? value_string(a, why) : NULL,
            "isolation", isolation(r, a), "totalJobSpaces", value_number(a, r->spaces),
            "remainingJobSpaces", value_number(a, r->spaces - running), NULL));
}

static int metrics_text(struct request *rq, struct reply *rp, struct status *st) {
    struct buf b = BUF_INIT;

    (void)st;
    metrics_format(rq->deps->metrics, &b);
    reply_bytes(rp, 200, "text/plain; version=0.0.4; charset=utf-8",
                buf_to_arena(&b, rq->arena));
    buf_fini(&b);
    return 0;
}

/* ---- Rows ---- */

void runner_routes(struct http_router *router) {
    static const struct route rows[] = {
        {.method = HTTP_POST,
         .pattern = "/api/v2/run",
         .handler = run,
         .summary = "Runs one job and answers with its result."},
        {.method = HTTP_DELETE,
         .pattern = "/api/v2/run/{id}",
         .handler = cancel,
         .summary = "Ends a job that is under way."},
        {.method = HTTP_GET,
         .pattern = "/api/v2/health",
         .handler = health,
         .summary = "Runs a small piece of code, at most every 30 s."},
        {.method = HTTP_GET,
         .pattern = "/api/v2/prometheus",
         .handler = metrics_text,
         .summary = "Metrics in the Prometheus text format."},
    };

    http_router_add(router, rows, sizeof(rows) / sizeof(*rows));
}
