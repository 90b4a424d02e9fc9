/*
 * flow_task.c - runs of flows as queued tasks.
 *
 * The run's document is what counts: it is written before its task and ended before its
 * task is, and a sweep mends what a process that died between the two left behind.
 */
#include "flow_task.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "flow_run.h"
#include "store/store.h"
#include "value/value.h"

enum { SWEEP_AGE_MS = 60000, SWEEP_PAGE = 500 };

static struct queue_task task_of(const struct value *run) {
    return (struct queue_task){
        .id = value_get_string(run, "id", ""),
        .kind = FLOW_TASK_RUN,
        .workspace_id = value_get_string(run, "workspaceId", NULL),
        .customer_id = value_get_string(run, "tenantId", NULL),
        .connection_id = value_get_string(run, "connectionId", NULL),
    };
}

int flow_task_put(const struct deps *deps, const struct value *run, struct status *st) {
    const struct queue_task task = task_of(run);

    return queue_put(deps->queue, &task, st);
}

int flow_task_put_many(const struct deps *deps, struct arena *a, const struct value *runs,
                       struct status *st) {
    struct queue_task *tasks = arena_alloc(a, (runs->len + 1) * sizeof(*tasks));

    for (uint32_t i = 0; i < runs->len; i++)
        tasks[i] = task_of(value_at(runs, i));
    return queue_put_many(deps->queue, tasks, runs->len, st);
}

static enum flow_run_cancel ask(void *ctx) {
    switch (queue_run_stop(ctx)) {
    case QUEUE_GO_ON:
        break;
    case QUEUE_STOP_PROCESS:
    case QUEUE_STOP_LOST:
        return FLOW_RUN_ABANDON;
    case QUEUE_STOP_CANCELLED:
        return FLOW_RUN_STOP;
    case QUEUE_STOP_TIME:
        return FLOW_RUN_OVER_TIME;
    case QUEUE_STOP_MEMORY:
        return FLOW_RUN_OVER_MEMORY;
    }
    return FLOW_RUN_GO_ON;
}

/* A task that was given up and is tried again: its run goes on. */
static int reopen(struct queue_run *r, struct status *st) {
    static const char *const end[] = {"endTime", "gaveUp", NULL};
    struct store_change change = {.set = value_obj(r->arena, "state",
                                                   value_string(r->arena, "running"),
                                                   "errors", &value_empty_array, NULL),
                                  .unset = end};

    return store_update(r->deps->store, r->arena, C_FLOW_RUNS, r->id,
                        store_and(r->arena, store_eq_text(r->arena, "state", "failed"),
                                  store_eq(r->arena, "gaveUp", &value_true), NULL),
                        &change, NULL, st);
}

enum queue_result flow_task_run(struct queue_run *r, struct status *st) {
    const struct flow_run_control control = {
        .ask = ask,
        .ctx = r,
        .cancelled = r->cancelled,
        .deadline_ms = r->deadline_ms,
        .time_limit_s = r->deps->config->max_queued_tasks_process_time_seconds,
        .memory = r->arena,
    };
    int rc;

    if (value_has(r->task, "lastError") && reopen(r, st) < 0)
        return QUEUE_FAILED;
    rc = flow_run_execute(r->deps, r->id, &control, st);
    if (rc < 0)
        return QUEUE_FAILED;
    return rc == 1 ? QUEUE_HANDED_BACK : QUEUE_DONE;
}

static int fail_run(const struct deps *deps, struct arena *a, const struct value *task,
                    const struct value *error, struct status *st) {
    const struct value *shown = value_with(a, error, "taskId", value_get(task, "id"));

    return flow_run_fail(deps, a, value_get_string(task, "id", ""), shown, st);
}

void flow_task_given_up(const struct deps *deps, struct arena *a,
                        const struct value *task, const struct value *error) {
    struct status ignored; /* the sweep finds it */

    st_init(&ignored, a);
    fail_run(deps, a, task, error, &ignored);
}

/* ---- The sweep ---- */

static int sweep_run(const struct deps *deps, struct arena *a, const struct value *run,
                     struct status *st) {
    const char *id = value_get_string(run, "id", "");
    const struct value *task;
    int rc = store_get(deps->store, a, C_TASKS, id, &task, st);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return value_equals_text(value_get(task, "state"), "dead")
                   ? fail_run(deps, a, task, value_get(task, "lastError"), st)
                   : 0;
    /* it may have ended meanwhile: then its task does nothing */
    return flow_task_put(deps, run, st) < 0 ? -1 : 0;
}

static int sweep_state(const struct deps *deps, struct arena *a, const char *state,
                       const char *before, struct status *st) {
    struct arena *page_arena = arena_new(0);
    struct store_query q = {
        .where =
            store_and(a, store_eq_text(a, "state", state),
                      store_cmp(a, STORE_LT, "createdAt", value_string(a, before)), NULL),
        .sort = {{"createdAt", false}},
        .limit = SWEEP_PAGE};
    struct store_page page = {0};
    int rc;

    do {
        arena_reset(page_arena);
        rc = store_list(deps->store, page_arena, C_FLOW_RUNS, &q, &page, st);
        if (rc == 0)
            for (VALUE_EACH_ITEM(run, page.items))
                if ((rc = sweep_run(deps, page_arena, run, st)) < 0)
                    break;
        q.cursor = rc == 0 && page.cursor ? arena_strdup(a, page.cursor) : NULL;
    } while (q.cursor && page.items->len);
    arena_free(&page_arena);
    return rc;
}

int flow_task_sweep(const struct deps *deps, struct arena *a, struct status *st) {
    char before[32];

    value_format_date((double)(clock_now_ms(deps->clock) - SWEEP_AGE_MS), before);
    if (sweep_state(deps, a, "running", before, st) < 0)
        return -1;
    return sweep_state(deps, a, "queued", before, st);
}

/* ---- Retention ---- */

enum { DELETED_AT_ONCE = 5000 };

/* Node runs first: what is left after a failure is found again by its run. */
static int delete_run(const struct deps *deps, struct arena *a, const char *id,
                      struct status *st) {
    if (store_delete_many(deps->store, C_FLOW_NODE_RUNS,
                          store_eq_text(a, "flowRunId", id), NULL, st) < 0)
        return -1;
    return store_delete(deps->store, C_FLOW_RUNS, id, NULL, st) < 0 ? -1 : 0;
}

int flow_task_delete_older(const struct deps *deps, struct arena *a, const char *before,
                           struct status *st) {
    static const char *const states[] = {"completed", "failed", "stopped"};

    for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
        const struct store_query q = {
            .where = store_and(
                a, store_eq_text(a, "state", states[i]),
                store_cmp(a, STORE_LT, "createdAt", value_string(a, before)), NULL),
            .sort = {{"createdAt", false}},
            .limit = SWEEP_PAGE};

        for (int n = 0; n < DELETED_AT_ONCE; n += SWEEP_PAGE) {
            struct store_page page;

            if (store_list(deps->store, a, C_FLOW_RUNS, &q, &page, st) < 0)
                return -1;
            for (VALUE_EACH_ITEM(run, page.items))
                if (delete_run(deps, a, value_get_string(run, "id", ""), st) < 0)
                    return -1;
            if (page.items->len < SWEEP_PAGE)
                break;
        }
    }
    return 0;
}
