/*
 * service_tasks.c - the kinds of tasks, and the workers and orchestrator that a process
 * has when it plays their roles.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "blob/blob.h"
#include "config/config.h"
#include "connection/connection.h"
#include "flow/flow_schedule.h"
#include "flow/flow_task.h"
#include "mail/mail.h"
#include "orchestrator/orchestrator.h"
#include "queue/queue.h"
#include "service_priv.h"
#include "store/store.h"
#include "value/value.h"

/* One task at a time each; a process that is alone has several of each. */
enum { WORKERS_OF_PROCESS = 1, WORKERS_ALONE = 8 };

/* ---- Kinds ---- */

/* 0 found, 1 there is nothing to do any more. */
static int load(struct queue_run *r, const struct value **ret_workspace,
                const struct value **ret_connection, struct status *st) {
    int rc;

    if (!r->connection_id || !r->workspace_id)
        return 1;
    rc = store_get(r->deps->store, r->arena, C_CONNECTIONS, r->connection_id,
                   ret_connection, st);
    if (rc != 0)
        return rc;
    if (!value_is_nullish(value_get(*ret_connection, "archivedAt")) ||
        value_is_true(value_get(*ret_connection, "isDefunct")) ||
        value_is_true(value_get(*ret_connection, "isDeactivated")))
        return 1;
    return store_get(r->deps->store, r->arena, C_WORKSPACES, r->workspace_id,
                     ret_workspace, st);
}

/*
 * Renews credentials, and tries a disconnected connection again. What the app answers
 * becomes the connection's state, which says when to try next; only a store that does not
 * answer makes the task itself fail.
 */
static enum queue_result refresh_credentials(struct queue_run *r, struct status *st) {
    const struct value *workspace, *connection;
    int rc = load(r, &workspace, &connection, st);

    if (rc == 0 && value_is_true(value_get(connection, "canRefreshCredentials")))
        rc = connection_refresh(r->deps, r->arena, workspace, connection, st);
    if (rc == 0 && !value_get_bool(connection, "connected", true))
        rc = connection_test(r->deps, r->arena, workspace, connection, st);
    if (rc < 0 && st->type == ST_INTERNAL && st->key && !strcmp(st->key, "unavailable"))
        return QUEUE_FAILED;
    return QUEUE_DONE;
}

static const struct queue_kind kinds[] = {
    {.name = "refresh-credentials",
     .queue = QUEUE_INSTANT,
     .run = refresh_credentials,
     .max_attempts = 5,
     .backoff_ms = 1000,
     .flags = QUEUE_KIND_ALONE,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_COUNT},
    {.name = MAIL_TASK,
     .queue = QUEUE_INSTANT,
     .run = mail_task_run,
     .max_attempts = 5,
     .backoff_ms = 2000,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_COUNT},
    {.name = FLOW_TASK_RUN,
     .queue = QUEUE_QUEUED,
     .run = flow_task_run,
     .given_up = flow_task_given_up,
     .max_attempts = 10, /* of a store that fails: what a run does ends in its state */
     .backoff_ms = 1000,
     .parallel_limit = LIMIT_PARALLEL_FLOW_RUNS,
     .connection_limit = LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION},
};

/* ---- Duties ---- */

static int dispatch_again(const struct deps *deps, struct arena *a, struct status *st) {
    (void)a;
    return queue_expire_leases(deps->queue, NULL, st);
}

static int put_refreshes(const struct deps *deps, struct arena *a,
                         const struct store_query *query, struct status *st) {
    struct store_page page;

    if (store_list(deps->store, a, C_CONNECTIONS, query, &page, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(c, page.items)) {
        const char *id = value_get_string(c, "id", "");

        if (queue_put(deps->queue,
                      &(struct queue_task){
                          .kind = "refresh-credentials",
                          .workspace_id = value_get_string(c, "workspaceId", NULL),
                          .customer_id = value_get_string(c, "userId", NULL),
                          .connection_id = id,
                          .dedup_key = arena_printf(a, "refresh-credentials:%s", id),
                      },
                      st) < 0)
            return -1;
    }
    return 0;
}

static const struct store_filter *due(const struct deps *deps, struct arena *a,
                                      const char *field) {
    return store_and(
        a, store_cmp(a, STORE_EXISTS, field, NULL),
        store_cmp(a, STORE_LE, field, value_string(a, clock_iso_now(deps->clock, a))),
        store_cmp(a, STORE_ABSENT, "archivedAt", NULL),
        store_cmp(a, STORE_NE, "isDefunct", &value_true), NULL);
}

static int refresh_due(const struct deps *deps, struct arena *a, struct status *st) {
    struct store_query query = {
        .where = store_and(a, due(deps, a, "nextCredentialsRefreshAt"),
                           store_eq(a, "connected", &value_true),
                           store_eq(a, "canRefreshCredentials", &value_true), NULL),
        .sort = {{.field = "nextCredentialsRefreshAt"}},
    };

    return put_refreshes(deps, a, &query, st);
}

static int retry_disconnected(const struct deps *deps, struct arena *a,
                              struct status *st) {
    struct store_query query = {
        .where = due(deps, a, "nextRetryTimestamp"),
        .sort = {{.field = "nextRetryTimestamp"}},
    };

    return put_refreshes(deps, a, &query, st);
}

static const struct value *days_ago(const struct deps *deps, struct arena *a,
                                    int64_t days) {
    char text[32];

    value_format_date((double)(clock_now_ms(deps->clock) - days * 86400000), text);
    return value_string(a, text);
}

static int sweep_auth(const struct deps *deps, struct arena *a, struct status *st) {
    (void)a;
    return auth_sweep(deps->auth, st);
}

/* Objects of a prefix that are older; a batch per duty, sorted by key. */
static int delete_objects(const struct deps *deps, struct arena *a, const char *prefix,
                          int64_t days, struct status *st) {
    int64_t before = clock_now_ms(deps->clock) - days * 86400000;
    const struct value *keys;

    if (blob_list(deps->blob, a, BLOB_TMP, prefix, 100000, &keys, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(key, keys)) {
        struct blob_info info;
        int rc = blob_stat(deps->blob, BLOB_TMP, value_text(key), &info, a, st);

        if (rc == 0 && info.modified_ms < before)
            rc = blob_delete(deps->blob, BLOB_TMP, value_text(key), st);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int delete_older(const struct deps *deps, struct arena *a,
                        const enum collection *of, size_t n, int64_t days,
                        struct status *st) {
    const struct store_filter *older =
        store_and(a, store_cmp(a, STORE_LT, "createdAt", days_ago(deps, a, days)),
                  store_cmp(a, STORE_EXISTS, "createdAt", NULL), NULL);

    for (size_t i = 0; i < n; i++)
        if (store_delete_many(deps->store, of[i], older, NULL, st) < 0)
            return -1;
    return 0;
}

static int delete_logs(const struct deps *deps, struct arena *a, struct status *st) {
    static const enum collection of[] = {C_ACTION_RUN_LOGS, C_EXTERNAL_API_LOGS,
                                         C_CONNECTION_ATTEMPT_LOGS};
    int64_t days = deps->config->retention_log_days;

    if (delete_older(deps, a, of, sizeof(of) / sizeof(*of), days, st) < 0)
        return -1;
    return delete_objects(deps, a, "logs/", days, st);
}

static int delete_temporary(const struct deps *deps, struct arena *a, struct status *st) {
    static const enum collection of[] = {C_ASYNC_REQUESTS, C_FILES,
                                         C_CONNECTION_REQUESTS};
    int64_t days = deps->config->retention_tmp_days;

    if (delete_older(deps, a, of, sizeof(of) / sizeof(*of), days, st) < 0)
        return -1;
    return delete_objects(deps, a, "files/", days, st);
}

static int delete_runs(const struct deps *deps, struct arena *a, struct status *st) {
    int64_t days = deps->config->retention_run_days;

    if (flow_task_delete_older(deps, a, value_text(days_ago(deps, a, days)), st) < 0)
        return -1;
    return delete_objects(deps, a, "flow-runs/", days, st);
}

static int delete_tasks(const struct deps *deps, struct arena *a, struct status *st) {
    int64_t now = clock_now_ms(deps->clock);

    if (queue_purge_dead(deps->queue, now - deps->config->retention_task_days * 86400000,
                         NULL, st) < 0)
        return -1;
    return store_delete_many(
        deps->store, C_WORKERS,
        store_cmp(a, STORE_LT, "heartbeatMs", value_number(a, (double)(now - 3600000))),
        NULL, st);
}

static const struct orchestrator_duty duties[] = {
    {"dispatch-again", 5, dispatch_again},
    {"sweep-flow-runs", 60, flow_task_sweep},
    {"refresh-credentials", 60, refresh_due},
    {"retry-connections", 60, retry_disconnected},
    {"sweep-auth", 3600, sweep_auth},
    {"delete-logs", 3600, delete_logs},
    {"delete-temporary", 3600, delete_temporary},
    {"delete-runs", 3600, delete_runs},
    {"delete-tasks", 3600, delete_tasks},
};

/* Schedules that are due; once per second, those of flows that changed. */
static int64_t run_schedules(void *ctx, const struct deps *deps, struct arena *a,
                             struct status *st) {
    struct service *s = ctx;
    int64_t now = clock_monotonic_ms(deps->clock), next;

    if (now - s->schedules_followed_ms >= 1000) {
        if (flow_schedule_follow(deps, a, st) < 0)
            return 0;
        s->schedules_followed_ms = now;
    }
    if (flow_schedule_run_due(deps, a, &next, st) < 0)
        return 0;
    return next ? next - clock_now_ms(deps->clock) : 1000;
}

/* ---- Log ---- */

static void task_ended(void *ctx, const struct queue_run *r, enum queue_result result,
                       const struct status *why, int64_t duration_ms) {
    const struct service *s = ctx;
    struct log_ctx log = {.parent = &s->log,
                          .job_id = r->id,
                          .workspace_id = r->workspace_id,
                          .tenant_id = r->customer_id};

    if (result == QUEUE_DONE)
        log_debug(&log, "task done", "kind=%s attempt=%d durationMs=%lld", r->kind->name,
                  r->attempt, (long long)duration_ms);
    else if (result == QUEUE_HANDED_BACK)
        log_info(&log, "task handed back", "kind=%s attempt=%d", r->kind->name,
                 r->attempt);
    else
        log_warn(&log, "task failed", "kind=%s attempt=%d durationMs=%lld err=%s",
                 r->kind->name, r->attempt, (long long)duration_ms,
                 why->message ? why->message : "");
}

static void worker_trouble(void *ctx, const struct status *st) {
    const struct service *s = ctx;

    log_warn(&s->log, "the workers can't reach the store", "err=%s", st->message);
}

static void duty_ended(void *ctx, const struct orchestrator_duty *duty,
                       const struct status *why, int64_t duration_ms) {
    const struct service *s = ctx;

    if (why->type != ST_OK)
        log_warn(&s->log, "duty failed", "duty=%s err=%s", duty->name, why->message);
    else
        log_debug(&s->log, "duty done", "duty=%s durationMs=%lld", duty->name,
                  (long long)duration_ms);
}

static void leads(void *ctx, bool on, int64_t fence) {
    const struct service *s = ctx;

    log_info(&s->log, on ? "leads the orchestration" : "leads no more", "fence=%lld",
             (long long)fence);
}

static void pulse_failed(void *ctx, const struct status *why) {
    const struct service *s = ctx;

    log_warn(&s->log, "schedules failed", "err=%s", why->message);
}

static bool read_leader(void *ctx, double *ret) {
    const struct service *s = ctx;

    *ret = s->orchestrator && orchestrator_leads(s->orchestrator);
    return true;
}

/* ---- Life ---- */

/* Bits of the queues that the roles work on. */
static unsigned queues_of(unsigned roles) {
    return (roles & SERVICE_INSTANT_WORKER ? 1u << QUEUE_INSTANT : 0) |
           (roles & SERVICE_QUEUED_WORKER ? 1u << QUEUE_QUEUED : 0);
}

void service_open_queue(struct service *s) {
    s->deps.queue = queue_open(&(struct queue_options){
        .deps = &s->deps,
        .kinds = kinds,
        .kinds_len = sizeof(kinds) / sizeof(*kinds),
        .shared = !service_owns_store(s),
        .elsewhere = ~queues_of(s->deps.config->services),
    });
    queue_metrics(s->deps.queue, s->deps.config->services);
    if (s->deps.config->services & SERVICE_ORCHESTRATOR)
        metrics_register_reader(s->deps.metrics, "orchestrator_leader",
                                "1 while this process leads.", read_leader, s);
}

void service_start_tasks(struct service *s) {
    unsigned roles = s->deps.config->services;
    unsigned queues = queues_of(roles);

    if (queues)
        s->workers = queue_workers_start(
            s->deps.queue,
            &(struct queue_workers_options){
                .queues = queues,
                .threads = s->options->owns_data ? WORKERS_ALONE : WORKERS_OF_PROCESS,
                .ended = task_ended,
                .trouble = worker_trouble,
                .ctx = s,
            });
    if (roles & SERVICE_ORCHESTRATOR) {
        s->orchestrator = orchestrator_open(&(struct orchestrator_options){
            .deps = &s->deps,
            .duties = duties,
            .duties_len = sizeof(duties) / sizeof(*duties),
            .ended = duty_ended,
            .leads = leads,
            .pulse = run_schedules,
            .pulse_failed = pulse_failed,
            .ctx = s,
        });
        orchestrator_start(s->orchestrator);
    }
}

void service_stop_tasks(struct service *s) {
    if (s->workers)
        queue_workers_stop(s->workers);
    if (s->orchestrator)
        orchestrator_stop(s->orchestrator);
}

unsigned service_tasks_busy(const struct service *s) {
    return s->workers ? (unsigned)queue_workers_busy(s->workers) : 0;
}

bool service_end_tasks(struct service *s) {
    orchestrator_close(&s->orchestrator);
    return !s->workers || queue_workers_join(&s->workers);
}
