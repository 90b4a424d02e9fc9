/*
 * bench_tasks: tasks per second, accepted durably to finished, on the embedded store.
 *
 *   bench_tasks throughput WORKERS TASKS   puts from 16 threads while workers run
 *   bench_tasks latency TASKS              one at a time: put to the handler's start
 *   bench_tasks fairness                   one task beside another workspace's 100,000
 *   bench_tasks schedules SECONDS          100,000 schedules of 5 minutes: lateness of
 * ticks
 *
 * Prints one line of JSON each. The store is a SQLite file in a fresh folder below the
 * current one, each commit synced.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "flow/flow_schedule.h"
#include "flow/flow_task.h"
#include "queue/queue.h"
#include "store/store.h"
#include "value/value.h"

enum { PUTTERS = 16, BATCH = 500, WAITING = 100000, SCHEDULES = 100000 };

static struct config config = {.max_queued_tasks_process_time_seconds = 60,
                               .max_queued_tasks_memory_mb = 1024,
                               .task_lease_seconds = 30};
static struct deps deps;
static char dir[] = "bench-tasks-XXXXXX";
static atomic_int done, left_to_put;
static atomic_llong started_us;
static int task_us;

static long long now_us(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static enum queue_result work(struct queue_run *r, struct status *st) {
    (void)r, (void)st;
    if (task_us)
        usleep((useconds_t)task_us);
    atomic_fetch_add(&done, 1);
    return QUEUE_DONE;
}

static enum queue_result work_seen(struct queue_run *r, struct status *st) {
    (void)r, (void)st;
    atomic_store(&started_us, now_us());
    return QUEUE_DONE;
}

#define NO_LIMITS .parallel_limit = LIMIT_COUNT, .connection_limit = LIMIT_COUNT
static const struct queue_kind kinds[] = {
    {.name = "work", .queue = QUEUE_QUEUED, .run = work, NO_LIMITS},
    {.name = "seen", .queue = QUEUE_QUEUED, .run = work_seen, NO_LIMITS},
    {.name = FLOW_TASK_RUN, .queue = QUEUE_QUEUED, .run = work, NO_LIMITS},
};

static void die(const struct status *st) {
    fprintf(stderr, "bench_tasks: %s\n", st->message);
    exit(1);
}

static void open_all(void) {
    struct arena *a = arena_new(0);
    char path[128];
    struct status st;

    st_init(&st, a);
    if (!mkdtemp(dir))
        exit(1);
    snprintf(path, sizeof(path), "%s/store.db", dir);
    deps =
        (struct deps){.config = &config, .clock = clock_system(), .rand = rand_system()};
    if (store_open_sqlite(path, &deps.store, &st) < 0)
        die(&st);
    deps.queue = queue_open(
        &(struct queue_options){.deps = &deps, .kinds = kinds, .kinds_len = 3});
    arena_free(&a);
}

static void close_all(void) {
    char command[200];

    queue_close(&deps.queue);
    store_close(&deps.store);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    if (system(command) != 0)
        exit(1);
}

static struct queue_workers *start_workers(int n) {
    return queue_workers_start(
        deps.queue,
        &(struct queue_workers_options){.queues = 1 << QUEUE_QUEUED, .threads = n});
}

/* ---- throughput ---- */

static void *put_all(void *arg) {
    struct arena *a = arena_new(0);
    struct status st;

    (void)arg;
    st_init(&st, a);
    while (atomic_fetch_sub(&left_to_put, 1) > 0)
        if (queue_put(deps.queue,
                      &(struct queue_task){.kind = "work", .workspace_id = "w"}, &st) < 0)
            die(&st);
    arena_free(&a);
    return NULL;
}

static void throughput(int workers, int tasks) {
    pthread_t threads[PUTTERS];
    struct queue_workers *w;
    long long start = now_us();

    w = start_workers(workers);
    atomic_store(&left_to_put, tasks);
    for (int i = 0; i < PUTTERS; i++)
        if (pthread_create(&threads[i], NULL, put_all, NULL) != 0)
            exit(1);
    for (int i = 0; i < PUTTERS; i++)
        pthread_join(threads[i], NULL);
    while (atomic_load(&done) < tasks)
        usleep(200);
    printf("{\"what\":\"throughput\",\"workers\":%d,\"tasks\":%d,\"perSecond\":%.0f}\n",
           workers, tasks, tasks * 1e6 / (double)(now_us() - start));
    queue_workers_join(&w);
}

/* ---- latency ---- */

static int compare(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;

    return a < b ? -1 : a > b;
}

static double percentile(double *v, int n, double p) {
    qsort(v, (size_t)n, sizeof(*v), compare);
    return v[(int)(p * (n - 1))];
}

/* ms from the begin of put to the begin of the handler. */
static double one_latency(const char *workspace) {
    struct arena *a = arena_new(0);
    long long start = now_us(), seen;
    struct status st;

    st_init(&st, a);
    atomic_store(&started_us, 0);
    if (queue_put(deps.queue,
                  &(struct queue_task){.kind = "seen", .workspace_id = workspace},
                  &st) < 0)
        die(&st);
    while (!(seen = atomic_load(&started_us)))
        usleep(20);
    arena_free(&a);
    return (double)(seen - start) / 1e3;
}

static void latency(int tasks) {
    struct queue_workers *w = start_workers(1);
    double *ms = malloc(sizeof(*ms) * (size_t)tasks);

    for (int i = 0; i < tasks; i++)
        ms[i] = one_latency("w");
    printf("{\"what\":\"latency\",\"p50Ms\":%.3f,\"p99Ms\":%.3f}\n",
           percentile(ms, tasks, 0.5), percentile(ms, tasks, 0.99));
    free(ms);
    queue_workers_join(&w);
}

/* ---- fairness ---- */

static void fairness(void) {
    struct arena *a = arena_new(0);
    struct queue_task tasks[BATCH];
    struct queue_workers *w;
    struct status st;
    double ms[50];

    st_init(&st, a);
    for (int i = 0; i < BATCH; i++)
        tasks[i] = (struct queue_task){.kind = "work", .workspace_id = "busy"};
    for (int i = 0; i < WAITING; i += BATCH)
        if (queue_put_many(deps.queue, tasks, BATCH, &st) < 0)
            die(&st);
    task_us = 5000;
    w = start_workers(1);
    while (!atomic_load(&done))
        usleep(1000);
    for (int i = 0; i < 50; i++)
        ms[i] = one_latency("other");
    printf("{\"what\":\"fairness\",\"waiting\":%d,\"taskMs\":5,\"p50Ms\":%.1f,"
           "\"maxMs\":%.1f}\n",
           WAITING - atomic_load(&done), percentile(ms, 50, 0.5), percentile(ms, 50, 1));
    fflush(stdout);
    queue_workers_join(&w);
    arena_free(&a);
}

/* ---- schedules ---- */

static const struct value *schedule(struct arena *a, int i, int64_t now) {
    const struct value *due =
        value_number(a, (double)(now + 2000 + (int64_t)i * 300000 / SCHEDULES));

    return value_obj(a, "id", value_stringf(a, "s%d", i), "workspaceId",
                     value_string(a, "w"), "flowId", value_string(a, "f"), "nodeKey",
                     value_string(a, "start"), "spec",
                     value_obj(a, "intervalMinutes", value_number(a, 5), NULL),
                     "anchorMs", due, "dueMs", due, NULL);
}

static void make_schedules(struct arena *a) {
    const struct value *flow = value_obj(
        a, "id", value_string(a, "f"), "workspaceId", value_string(a, "w"),
        "connectionId", value_string(a, "c"), "enabled", &value_true, "nodes",
        value_obj(a, "start",
                  value_obj(a, "type", value_string(a, "schedule-trigger"), NULL), NULL),
        NULL);
    struct status st;

    st_init(&st, a);
    if (store_insert(deps.store, C_FLOWS, flow, &st) < 0 ||
        store_insert(deps.store, C_WORKSPACES,
                     value_obj(a, "id", value_string(a, "w"), NULL), &st) < 0)
        die(&st);
    for (int i = 0; i < SCHEDULES; i += 5000) {
        int64_t now = clock_now_ms(deps.clock);
        struct arena *page = arena_new(0);
        struct array_builder b;

        array_begin(&b, page, 5000);
        for (int k = 0; k < 5000; k++)
            array_push(&b, schedule(page, i + k, now));
        if (store_insert_many(deps.store, C_SCHEDULES, array_end(&b), &st) < 0)
            die(&st);
        arena_free(&page);
    }
}

/* As the orchestrator's pulse does. Lateness: from the moment that stands in the run to
 * the end of the step that stored it. */
static void schedules(int seconds) {
    struct arena *a = arena_new(0);
    int64_t start, end;
    double *late = malloc(sizeof(*late) * SCHEDULES);
    int n = 0;

    make_schedules(a);
    start = clock_now_ms(deps.clock);
    end = start + seconds * 1000;
    while (clock_now_ms(deps.clock) < end) {
        struct arena *step = arena_new(0);
        const struct store_query q = {
            .where = store_cmp(step, STORE_LE, "dueMs",
                               value_number(step, (double)clock_now_ms(deps.clock))),
            .sort = {{.field = "dueMs"}}};
        struct store_page page;
        struct status st;
        int64_t next, now;

        st_init(&st, step);
        if (store_list(deps.store, step, C_SCHEDULES, &q, &page, &st) < 0 ||
            flow_schedule_run_due(&deps, step, &next, &st) < 0)
            die(&st);
        now = clock_now_ms(deps.clock);
        for (VALUE_EACH_ITEM(s, page.items))
            if (n < SCHEDULES)
                late[n++] = (double)now - value_get_number(s, "dueMs", 0);
        if (next > now)
            usleep((useconds_t)(next - now > 1000 ? 1000 : next - now) * 1000);
        arena_free(&step);
    }
    printf("{\"what\":\"schedules\",\"schedules\":%d,\"ticks\":%d,\"p50Ms\":%.1f,"
           "\"p99Ms\":%.1f}\n",
           SCHEDULES, n, percentile(late, n, 0.5), percentile(late, n, 0.99));
    free(late);
    arena_free(&a);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";

    open_all();
    if (!strcmp(what, "throughput") && argc == 4)
        throughput(atoi(argv[2]), atoi(argv[3]));
    else if (!strcmp(what, "latency") && argc == 3)
        latency(atoi(argv[2]));
    else if (!strcmp(what, "fairness"))
        fairness();
    else if (!strcmp(what, "schedules") && argc == 3)
        schedules(atoi(argv[2]));
    else
        fprintf(stderr, "usage: bench_tasks throughput WORKERS TASKS | latency TASKS | "
                        "fairness | schedules SECONDS\n");
    close_all();
    return 0;
}
