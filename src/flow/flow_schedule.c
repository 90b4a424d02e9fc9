/*
 * flow_schedule.c - schedule triggers.
 */
#include "flow_schedule.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "flow_cron.h"
#include "flow_run.h"
#include "flow_task.h"
#include "model/model.h"
#include "store/store.h"
#include "value/value.h"

enum {
    PAGE = 500,
    MINUTE_MS = 60000,
    MAX_JITTER_MS = 60000,
    /* Clocks of the processes that write flows, and writes that take their time. */
    SKEW_MS = 5000,
};

#define WATERMARK "flow-schedules"

static uint64_t hash(const char *text, uint64_t h) {
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

/* ---- Moments ---- */

int64_t flow_schedule_next(struct arena *a, const struct value *spec, int64_t anchor_ms,
                           int64_t after_ms) {
    const char *text = value_get_string(spec, "cron", NULL);
    int64_t interval =
        (int64_t)(value_get_number(spec, "intervalMinutes", 0) * (double)MINUTE_MS);
    const struct flow_zone *zone;
    struct flow_cron cron;
    struct status ignored;

    st_init(&ignored, a);
    if (text)
        return flow_cron_parse(text, &cron, &ignored) < 0 ||
                       flow_zone_load(a, value_get_string(spec, "timezone", "UTC"), &zone,
                                      &ignored) < 0
                   ? -1
                   : flow_cron_next(&cron, zone, after_ms);
    if (interval < MINUTE_MS)
        return -1;
    return after_ms < anchor_ms
               ? anchor_ms
               : anchor_ms + ((after_ms - anchor_ms) / interval + 1) * interval;
}

/* What a trigger asks for: {intervalMinutes} or {cron, timezone?}; NULL: nothing. */
static const struct value *spec_of(struct arena *a, const struct value *node) {
    static const char *const of_cron[] = {"cron", "timezone", NULL};
    const struct value *config =
        value_merge(a, value_get(node, "config"), value_get(node, "userConfig"));
    double minutes = value_get_number(config, "intervalMinutes", 0);

    if (!value_equals_text(value_get(node, "type"), "schedule-trigger"))
        return NULL;
    if (value_get_string(config, "cron", NULL))
        return value_pick(a, config, of_cron);
    if (!(minutes > 0) || minutes > 10 * 366 * 1440.0)
        return NULL;
    return value_obj(a, "intervalMinutes", value_number(a, minutes < 1 ? 1 : minutes),
                     NULL);
}

/* ---- Following flows ---- */

static bool is_active(const struct value *flow) {
    return model_is_live(flow) && value_is_string(value_get(flow, "connectionId")) &&
           value_is_true(value_get(flow, "enabled")) &&
           !value_is_true(value_get(flow, "isDeactivated"));
}

static const struct value *new_schedule(struct arena *a, const struct value *flow,
                                        const char *id, const struct value *key,
                                        const struct value *spec, int64_t now) {
    double interval = value_get_number(spec, "intervalMinutes", 0) * MINUTE_MS;
    int64_t max =
        interval / 10 < MAX_JITTER_MS ? (int64_t)(interval / 10) : MAX_JITTER_MS;
    int64_t anchor = now, due;

    if (max > 0)
        anchor += (int64_t)interval +
                  (int64_t)(hash(id, 14695981039346656037u) % (uint64_t)(max + 1));
    due = flow_schedule_next(a, spec, anchor, now);
    if (due < 0)
        return NULL;
    return value_obj(
        a, "id", value_string(a, id), "workspaceId", value_get(flow, "workspaceId"),
        "flowId", value_get(flow, "id"), "nodeKey", key, "spec", spec, "anchorMs",
        value_number(a, (double)anchor), "dueMs", value_number(a, (double)due), NULL);
}

/* One trigger: a schedule that says the same keeps its moments. */
static int follow_node(const struct deps *deps, struct arena *a, const struct value *flow,
                       const struct value *key, const struct value *spec,
                       struct status *st) {
    const char *id =
        arena_printf(a, "%s:%s", value_get_string(flow, "id", ""), value_text(key));
    const struct value *old, *made;
    int rc = store_get(deps->store, a, C_SCHEDULES, id, &old, st);

    if (rc < 0)
        return -1;
    if (rc == 0 && value_equal(value_get(old, "spec"), spec))
        return 0;
    made = new_schedule(a, flow, id, key, spec, clock_now_ms(deps->clock));
    if (!made) /* a schedule that is not understood: the flow's set-up says so */
        return rc == 0 ? store_delete(deps->store, C_SCHEDULES, id, NULL, st) : 0;
    return rc == 0 ? store_replace(deps->store, C_SCHEDULES, made, NULL, st)
                   : store_insert(deps->store, C_SCHEDULES, made, st);
}

static int follow_flow(const struct deps *deps, struct arena *a, const struct value *flow,
                       struct status *st) {
    const struct value *nodes = value_get(flow, "nodes"), *spec;
    const struct store_query q = {
        .where = store_eq_text(a, "flowId", value_get_string(flow, "id", ""))};
    bool active = is_active(flow);
    struct store_page page;

    if (!value_is_string(value_get(flow, "connectionId")))
        return 0;
    for (VALUE_EACH_MEMBER(m, active ? nodes : &value_empty_object))
        if ((spec = spec_of(a, &m->value)) &&
            follow_node(deps, a, flow, value_string_len(a, m->key, m->key_len), spec,
                        st) < 0)
            return -1;
    if (store_list(deps->store, a, C_SCHEDULES, &q, &page, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(s, page.items)) {
        const struct value *key = value_get(s, "nodeKey");

        if ((!active || !spec_of(a, value_get_len(nodes, key->str, key->len))) &&
            store_delete(deps->store, C_SCHEDULES, value_get_string(s, "id", ""), NULL,
                         st) < 0)
            return -1;
    }
    return 0;
}

static int keep_watermark(const struct deps *deps, struct arena *a, bool is_new,
                          struct status *st) {
    char text[32];
    const struct value *doc;

    value_format_date((double)(clock_now_ms(deps->clock) - SKEW_MS), text);
    doc = value_obj(a, "id", value_string(a, WATERMARK), "since", value_string(a, text),
                    NULL);
    return (is_new ? store_insert(deps->store, C_META, doc, st)
                   : store_replace(deps->store, C_META, doc, NULL, st)) < 0
               ? -1
               : 0;
}

int flow_schedule_follow(const struct deps *deps, struct arena *a, struct status *st) {
    struct store_query q = {.sort = {{"updatedAt", false}}, .limit = PAGE};
    struct arena *page_arena = arena_new(0);
    struct store_page page;
    const struct value *mark;
    bool found = false;
    int rc = store_get(deps->store, a, C_META, WATERMARK, &mark, st);
    bool is_new = rc == 1;

    if (rc >= 0)
        q.where =
            store_cmp(a, STORE_GE, "updatedAt",
                      value_string(a, is_new ? "" : value_get_string(mark, "since", "")));
    if (rc >= 0)
        do {
            arena_reset(page_arena);
            rc = store_list(deps->store, page_arena, C_FLOWS, &q, &page, st);
            if (rc == 0)
                for (VALUE_EACH_ITEM(flow, page.items)) {
                    found = true;
                    if ((rc = follow_flow(deps, page_arena, flow, st)) < 0)
                        break;
                    rc = 0;
                }
            q.cursor = rc == 0 && page.cursor ? arena_strdup(a, page.cursor) : NULL;
        } while (rc == 0 && q.cursor && page.items->len);
    arena_free(&page_arena);
    if (rc < 0)
        return -1;
    return found || is_new ? keep_watermark(deps, a, is_new, st) : 0;
}

/* ---- What is due ---- */

struct batch {
    struct array_builder schedules, runs;
    const struct store_filter **expects;
    size_t len;
};

/* 24 hexadecimal digits like every id: the moment, and what tells schedules apart. */
static const char *run_id(struct arena *a, const struct value *schedule, int64_t due_ms) {
    char moment[32];
    uint64_t h;

    snprintf(moment, sizeof(moment), "@%lld", (long long)due_ms);
    h = hash(moment, hash(value_get_string(schedule, "id", ""), 14695981039346656037u));
    return arena_printf(a, "%08llx%016llx", (unsigned long long)(due_ms / 1000),
                        (unsigned long long)h);
}

/* One run of a schedule waits at most. */
static int last_run_waits(const struct deps *deps, struct arena *a,
                          const struct value *schedule, bool *ret, struct status *st) {
    const char *id = value_get_string(schedule, "lastRunId", NULL);
    const struct value *run;
    int rc = id ? store_get(deps->store, a, C_FLOW_RUNS, id, &run, st) : 1;

    *ret = rc == 0 && value_equals_text(value_get(run, "state"), "queued");
    return rc < 0 ? -1 : 0;
}

/* 0 *ret_run is set, 1 nothing is started this time. */
static int tick(const struct deps *deps, struct arena *a, const struct value *schedule,
                int64_t due_ms, const struct value **ret_run, struct status *st) {
    const struct value *flow, *workspace;
    struct flow_run_request rq = {
        .node_key = value_get_string(schedule, "nodeKey", ""),
        .id = run_id(a, schedule, due_ms),
        .launched_by = "schedule-trigger",
    };
    struct caller caller = {.workspace_id = value_get_string(schedule, "workspaceId", ""),
                            .is_admin = true};
    struct status refused;
    char moment[32];
    bool waits;
    int rc = store_get(deps->store, a, C_WORKSPACES, caller.workspace_id, &workspace, st);

    if (rc == 0)
        rc = store_get(deps->store, a, C_FLOWS, value_get_string(schedule, "flowId", ""),
                       &flow, st);
    if (rc != 0)
        return rc;
    if (!is_active(flow) || value_is_true(value_get(workspace, "isDisabled")) ||
        value_is_true(value_get(workspace, "isBackgroundJobsDisabled")))
        return 1;
    if (last_run_waits(deps, a, schedule, &waits, st) < 0)
        return -1;
    if (waits)
        return 1;
    value_format_date((double)due_ms, moment);
    rq.instance = flow;
    rq.input = value_obj(a, "triggeredAt", value_string(a, moment), NULL);
    caller.workspace = workspace;
    st_init(&refused, a);
    rc = flow_run_make(deps, a, &caller, &rq, ret_run, &refused);
    if (rc < 0 && refused.type == ST_BAD_REQUEST)
        return 1; /* the trigger is gone, or is no root any more */
    return rc < 0 ? st_fail(st, refused.type, refused.key, "%s", refused.message) : 0;
}

static int add(const struct deps *deps, struct arena *a, struct batch *b,
               const struct value *schedule, int64_t now, struct status *st) {
    int64_t due = (int64_t)value_get_number(schedule, "dueMs", 0);
    int64_t next =
        flow_schedule_next(a, value_get(schedule, "spec"),
                           (int64_t)value_get_number(schedule, "anchorMs", 0), now);
    const struct value *run;
    int rc = tick(deps, a, schedule, due, &run, st);

    if (rc < 0)
        return -1;
    if (rc == 0) {
        array_push(&b->runs, run);
        schedule = value_with(a, schedule, "lastRunId", value_get(run, "id"));
    }
    b->expects[b->len++] = store_eq(a, "dueMs", value_get(schedule, "dueMs"));
    /* one that never comes again is due in a far future */
    array_push(&b->schedules,
               value_with(a, schedule, "dueMs",
                          value_number(a, next < 0 ? 9e15 : (double)next)));
    return 0;
}

static int insert_each(const struct deps *deps, const struct value *runs,
                       struct status *st) {
    for (VALUE_EACH_ITEM(run, runs)) {
        struct status failure;

        st_init(&failure, st->arena);
        if (store_insert(deps->store, C_FLOW_RUNS, run, &failure) < 0 &&
            (!failure.key || strcmp(failure.key, "already_exists") != 0))
            return st_fail(st, failure.type, failure.key, "%s", failure.message);
    }
    return 0;
}

/* Runs, then their tasks, then the schedules: whoever repeats it half-way does no harm.
 */
static int write_batch(const struct deps *deps, struct batch *b, struct status *st) {
    const struct value *runs = array_end(&b->runs), *schedules = array_end(&b->schedules);
    struct status some_exist;
    int rc;

    st_init(&some_exist, st->arena);
    if (runs->len && store_insert_many(deps->store, C_FLOW_RUNS, runs, &some_exist) < 0 &&
        insert_each(deps, runs, st) < 0)
        return -1;
    if (runs->len && flow_task_put_many(deps, st->arena, runs, st) < 0)
        return -1;
    rc = b->len ? store_replace_many(deps->store, C_SCHEDULES, schedules->items,
                                     b->expects, b->len, st)
                : 0;
    /* 1: some were changed or advanced meanwhile; what is left is found again */
    return rc < 0 ? -1 : 0;
}

static int run_page(const struct deps *deps, struct arena *a, int64_t now,
                    size_t *ret_len, struct status *st) {
    const struct store_query q = {
        .where = store_cmp(a, STORE_LE, "dueMs", value_number(a, (double)now)),
        .sort = {{"dueMs", false}},
        .limit = PAGE};
    struct store_page page;
    struct batch b = {0};

    if (store_list(deps->store, a, C_SCHEDULES, &q, &page, st) < 0)
        return -1;
    *ret_len = page.items->len;
    b.expects = arena_alloc(a, (page.items->len + 1) * sizeof(*b.expects));
    array_begin(&b.schedules, a, page.items->len);
    array_begin(&b.runs, a, page.items->len);
    for (VALUE_EACH_ITEM(s, page.items))
        if (add(deps, a, &b, s, now, st) < 0)
            return -1;
    return write_batch(deps, &b, st);
}

int flow_schedule_run_due(const struct deps *deps, struct arena *a, int64_t *ret_next_ms,
                          struct status *st) {
    struct arena *page_arena = arena_new(0);
    const struct store_query first = {.sort = {{"dueMs", false}}, .limit = 1};
    const struct value *next;
    size_t len;
    int rc;

    do {
        struct status inner;

        arena_reset(page_arena);
        st_init(&inner, page_arena);
        rc = run_page(deps, page_arena, clock_now_ms(deps->clock), &len, &inner);
        if (rc < 0)
            st_fail(st, inner.type, inner.key, "%s", inner.message);
    } while (rc == 0 && len == PAGE);
    arena_free(&page_arena);
    if (rc < 0)
        return -1;
    rc = store_find(deps->store, a, C_SCHEDULES, &first, &next, st);
    *ret_next_ms = rc == 0 ? (int64_t)value_get_number(next, "dueMs", 0) : 0;
    return rc < 0 ? -1 : 0;
}
