/*
 * queue_stats.c - how much waits and runs, in the whole system.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "queue_priv.h"
#include "store/store.h"
#include "value/value.h"

enum {
    STATS_AGE_MS = 5000,
    SIMULATED_MAX = 10000, /* tasks looked at to say how many workers could be busy */
    PAGE = 1000,
};

static int count(struct queue *q, struct arena *a, int i, const char *state,
                 double *ret_count, struct status *st) {
    uint64_t n;

    if (store_count(q->deps->store, C_TASKS,
                    store_and(a, store_eq_text(a, "state", state),
                              store_eq_text(a, "queue", queue_name((enum queue_name)i)),
                              NULL),
                    &n, st) < 0)
        return -1;
    *ret_count = (double)n;
    return 0;
}

static int oldest(struct queue *q, struct arena *a, int i, double *ret_age_s,
                  struct status *st) {
    int64_t now = clock_now_ms(q->deps->clock);
    struct store_query query = {
        .where =
            store_and(a, store_eq_text(a, "state", "waiting"),
                      store_eq_text(a, "queue", queue_name((enum queue_name)i)), NULL),
        .sort = {{.field = "readyMs"}},
        .limit = 1,
    };
    const struct value *doc;
    double ready;
    int rc = store_find(q->deps->store, a, C_TASKS, &query, &doc, st);

    if (rc < 0)
        return -1;
    ready = rc == 0 ? value_get_number(doc, "readyMs", 0) : (double)now;
    *ret_age_s = ready < (double)now ? ((double)now - ready) / 1e3 : 0;
    return 0;
}

/* Offers up to SIMULATED_MAX queued tasks of a state, or counts them as running. */
static int load(struct queue *q, struct arena *a, const char *state,
                struct queue_dispatch *d, struct status *st) {
    struct store_query query = {
        .where = store_and(a, store_eq_text(a, "state", state),
                           store_eq_text(a, "queue", queue_name(QUEUE_QUEUED)), NULL),
        .sort = {{.field = "readyMs"}},
        .limit = PAGE,
    };
    bool running = strcmp(state, "running") == 0;
    struct dispatch_task *tasks = arena_zalloc(a, PAGE * sizeof(*tasks));
    struct store_page page = {0};

    for (int seen = 0; seen < SIMULATED_MAX; seen += PAGE) {
        size_t n = 0;

        query.cursor = page.cursor;
        if (store_list(q->deps->store, a, C_TASKS, &query, &page, st) < 0)
            return -1;
        for (VALUE_EACH_ITEM(doc, page.items))
            if (queue_dispatch_task(q, doc, &tasks[n]) == 0)
                n++;
        if (running) {
            d->ops->set_foreign(d, tasks, n);
            return 0; /* a thousand at once: more workers than one has */
        }
        for (size_t i = 0; i < n; i++)
            d->ops->offer(d, &tasks[i]);
        if (!page.cursor)
            break;
    }
    return 0;
}

/* Those that run, and those that might, now, were there workers. */
static int required(struct queue *q, struct arena *a, double running, double *ret,
                    struct status *st) {
    struct queue_dispatch *d = queue_dispatch_memory(q->deps->clock, queue_limits, q);
    const char *id;
    int rc = load(q, a, "running", d, st);

    if (rc == 0)
        rc = load(q, a, "waiting", d, st);
    *ret = running;
    while (rc == 0 && d->ops->take(d, a, QUEUE_QUEUED, 0, &id) == 0)
        ++*ret;
    d->ops->free(&d);
    return rc;
}

static int workers(struct queue *q, struct arena *a, double *ret_count,
                   struct status *st) {
    double since = (double)(clock_now_ms(q->deps->clock) - QUEUE_WORKER_ALIVE_MS);
    uint64_t n;

    if (store_count(
            q->deps->store, C_WORKERS,
            store_and(a, store_eq_text(a, "queue", queue_name(QUEUE_QUEUED)),
                      store_cmp(a, STORE_GE, "heartbeatMs", value_number(a, since)),
                      NULL),
            &n, st) < 0)
        return -1;
    *ret_count = (double)n;
    return 0;
}

static int read_stats(struct queue *q, struct queue_stats *s, struct status *st) {
    struct arena *a = arena_new(0);
    int rc = 0;

    for (int i = 0; i < QUEUE_COUNT && rc == 0; i++)
        if (count(q, a, i, "running", &s->active[i], st) < 0 ||
            count(q, a, i, "waiting", &s->waiting[i], st) < 0 ||
            count(q, a, i, "dead", &s->dead[i], st) < 0 ||
            oldest(q, a, i, &s->oldest_age_s[i], st) < 0)
            rc = -1;
    if (rc == 0)
        rc = workers(q, a, &s->queued_workers, st);
    if (rc == 0)
        rc = required(q, a, s->active[QUEUE_QUEUED], &s->queued_workers_required, st);
    arena_free(&a);
    return rc;
}

int queue_stats_read(struct queue *q, struct queue_stats *ret, struct status *st) {
    int64_t now = clock_monotonic_ms(q->deps->clock);
    int rc = 0;

    pthread_mutex_lock(&q->stats_mu);
    if (!q->stats_good || now - q->stats_at_ms >= STATS_AGE_MS) {
        rc = read_stats(q, &q->stats, st);
        q->stats_good = rc == 0;
        q->stats_at_ms = now;
    }
    *ret = q->stats;
    pthread_mutex_unlock(&q->stats_mu);
    return rc;
}

/* ---- Metrics ---- */

#define GAUGE(name, member)                                                              \
    static bool read_##name(void *ctx, double *ret) {                                    \
        struct queue *q = ctx;                                                           \
        bool good;                                                                       \
                                                                                         \
        pthread_mutex_lock(&q->stats_mu);                                                \
        good = q->stats_good;                                                            \
        *ret = q->stats.member;                                                          \
        pthread_mutex_unlock(&q->stats_mu);                                              \
        return good;                                                                     \
    }
GAUGE(active, active[QUEUE_INSTANT])
GAUGE(waiting, waiting[QUEUE_INSTANT])
GAUGE(workers, queued_workers)
GAUGE(required, queued_workers_required)
GAUGE(oldest_instant, oldest_age_s[QUEUE_INSTANT])
GAUGE(oldest_queued, oldest_age_s[QUEUE_QUEUED])
GAUGE(dead_instant, dead[QUEUE_INSTANT])
GAUGE(dead_queued, dead[QUEUE_QUEUED])
#undef GAUGE

static bool read_busy(void *ctx, double *ret) {
    struct queue *q = ctx;

    *ret = atomic_load(&q->busy[QUEUE_QUEUED]) > 0;
    return true;
}

void queue_metrics(struct queue *q, unsigned services) {
    static const char *const processed[] = {"queue", "result", NULL};
    static const char *const queues[] = {"queue", NULL};
    static const struct {
        unsigned services;
        const char *name, *help;
        bool (*read)(void *, double *);
    } rows[] = {
        {SERVICE_API, "instant_tasks_jobs_active", "Instant tasks that run.",
         read_active},
        {SERVICE_API, "instant_tasks_jobs_waiting", "Instant tasks that wait.",
         read_waiting},
        {SERVICE_API, "queued_tasks_workers", "Queued tasks workers that live.",
         read_workers},
        {SERVICE_API, "queued_tasks_workers_required",
         "Queued tasks workers that could be busy now.", read_required},
        {SERVICE_API, "instant_tasks_oldest_job_age_seconds",
         "How long the oldest instant task has waited.", read_oldest_instant},
        {SERVICE_API, "queued_tasks_oldest_job_age_seconds",
         "How long the oldest queued task has waited.", read_oldest_queued},
        {SERVICE_API, "instant_tasks_jobs_dead", "Instant tasks that were given up.",
         read_dead_instant},
        {SERVICE_API, "queued_tasks_jobs_dead", "Queued tasks that were given up.",
         read_dead_queued},
        {SERVICE_QUEUED_WORKER, "queued_tasks_worker_busy",
         "1 while this worker runs a task.", read_busy},
    };
    struct metrics *m = q->deps->metrics;

    q->metrics_services = services;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].services & services)
            metrics_register_reader(m, rows[i].name, rows[i].help, rows[i].read, q);
    if (services & (SERVICE_INSTANT_WORKER | SERVICE_QUEUED_WORKER)) {
        q->processed = metrics_register(m, METRIC_COUNTER, "jobs_processed_total",
                                        "Tasks that ended in this process.", processed);
        q->duration = metrics_register(m, METRIC_HISTOGRAM, "job_duration_seconds",
                                       "How long tasks ran.", queues);
    }
}

void queue_metrics_refresh(struct queue *q) {
    struct queue_stats ignored;
    struct arena *a;
    struct status st;

    if (!(q->metrics_services & SERVICE_API))
        return;
    a = arena_new(0);
    st_init(&st, a);
    queue_stats_read(q, &ignored, &st);
    arena_free(&a);
}
