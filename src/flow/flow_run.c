/*
 * flow_run.c - executing one run.
 *
 * Node runs that are due stand in a queue (a lane); each is executed, or taken over from
 * its record, and what follows from it is appended. Every item of a for-each has a lane
 * and an arena of its own, so that memory does not grow with the list. The ids of what
 * follows stand in the record, so that a second walk meets the same node runs.
 */
#include "flow_run.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "flow_node.h"
#include "flow_run_record.h"
#include "graph/graph_flow.h"
#include "model/model.h"
#include "store/store.h"
#include "value/value.h"
#include "value/value_status.h"

enum {
    MAX_ERRORS = 20,
    MAX_THREADS = 8, /* of one for-each */
    COUNTERS_EVERY_MS = 500,
    ENDED = 2, /* of a lane: cancelled, out of time, over a limit */
};

struct counter {
    const char *key;
    unsigned runs, errored, outputs;
    bool failed;
};

struct flow_exec {
    const struct deps *deps;
    struct arena *arena;
    const char *run_id;
    const struct value *run, *nodes;
    struct caller caller;
    const struct value *connection, *integration, *user; /* or NULL */
    const struct value *shared;                          /* variables of all node runs */
    const struct flow_run_control *control;
    bool is_resumed;
    _Atomic int ended; /* enum flow_run_cancel: the first reason that was met */
    /* The rest, and arenas that the items of a for-each share. */
    pthread_mutex_t lock;
    struct counter *counters;
    size_t counters_len;
    struct array_builder errors;
    bool has_failed;
    _Atomic unsigned node_runs;
    int64_t written_ms;
};

/* A node run that is due. */
struct due {
    struct due *next;
    const char *node_key, *run_id;
    const struct value *input;    /* of formulas: {node key: output} */
    const struct value *upstream; /* array */
    const struct value *item;     /* of a for-each, as stored; or NULL */
    bool is_start;
};

struct lane {
    struct flow_exec *exec;
    struct arena *arena;
    struct due *first, **last;
    struct object_builder *collected; /* {node key: [outputs]}; or NULL */
    int depth;
};

/* What a node run came to. */
struct outcome {
    const struct value *outputs; /* array of values */
    const struct value *records; /* the same, as stored, with downstreamRuns */
    const struct value *continued, *errors, *logs;
    const char *status;
};

/* ---- counting ---- */

static struct counter *counter_of(struct flow_exec *x, const char *key) {
    for (size_t i = 0; i < x->counters_len; i++)
        if (strcmp(x->counters[i].key, key) == 0)
            return &x->counters[i];
    return NULL;
}

static bool continues_on_error(const struct flow_exec *x, const char *key) {
    return value_equals_text(value_get(value_get(x->nodes, key), "onError"), "continue");
}

/* Under the lock. errors: of a stored node run. */
static void count(struct flow_exec *x, const char *key, const struct value *errors,
                  size_t outputs) {
    struct counter *c = counter_of(x, key);

    x->node_runs++;
    if (!c)
        return;
    c->runs++;
    c->outputs += (unsigned)outputs;
    if (!errors || errors->len == 0)
        return;
    c->errored++;
    if (continues_on_error(x, key))
        return;
    c->failed = x->has_failed = true;
    if (x->errors.len < MAX_ERRORS)
        array_push(&x->errors, value_copy(x->arena, value_at(errors, 0)));
}

/* Under the lock. final: the state of nodes that did not fail. */
static const struct value *counters(struct flow_exec *x, struct arena *a,
                                    const char *final) {
    struct object_builder b;

    object_begin(&b, a, x->counters_len);
    for (size_t i = 0; i < x->counters_len; i++) {
        const struct counter *c = &x->counters[i];
        const char *state = c->failed && strcmp(final, "running") ? "failed" : final;

        if (c->runs == 0)
            continue;
        object_set(&b, c->key,
                   value_obj(a, "state", value_string(a, state), "runs",
                             value_number(a, c->runs), "erroredRuns",
                             value_number(a, c->errored), "outputs",
                             value_number(a, c->outputs), NULL));
    }
    return object_end(&b);
}

/* The first reason to end stays. */
static void end(struct flow_exec *x, enum flow_run_cancel why) {
    int none = FLOW_RUN_GO_ON;

    atomic_compare_exchange_strong(&x->ended, &none, (int)why);
}

/* Shows the progress, now and then; meets there that another process stopped the run. */
static int write_counters(struct flow_exec *x, struct arena *a, struct status *st) {
    int64_t now = clock_monotonic_ms(x->deps->clock);
    struct store_change change = {0};
    int rc;

    pthread_mutex_lock(&x->lock);
    if (now - x->written_ms >= COUNTERS_EVERY_MS) {
        x->written_ms = now;
        change.set = value_obj(a, "nodes", counters(x, a, "running"), NULL);
    }
    pthread_mutex_unlock(&x->lock);
    if (!change.set)
        return 0;
    rc = store_update(x->deps->store, a, C_FLOW_RUNS, x->run_id,
                      store_eq_text(a, "state", "running"), &change, NULL, st);
    if (rc == 1)
        end(x, FLOW_RUN_STOP);
    return rc < 0 ? -1 : 0;
}

/* What an interrupted execution had recorded. */
static int count_recorded(struct flow_exec *x, struct status *st) {
    struct arena *a = arena_new(0);
    struct store_query q = {.sort = {{"nodeKey", false}, {"createdAt", false}}};
    struct store_page page = {0};
    const char *cursor = NULL;
    int rc = 0;

    do {
        q.where = store_eq_text(a, "flowRunId", x->run_id);
        q.cursor = cursor;
        rc = store_list(x->deps->store, a, C_FLOW_NODE_RUNS, &q, &page, st);
        for (VALUE_EACH_ITEM(n, rc < 0 ? &value_empty_array : page.items))
            if (!value_equals_text(value_get(n, "status"), "running"))
                count(x, value_get_string(n, "nodeKey", ""), value_get(n, "errors"),
                      value_items_count(value_get(n, "outputs")));
        if (rc == 0)
            cursor = page.cursor && page.items->len ? arena_strdup(x->arena, page.cursor)
                                                    : NULL;
        arena_reset(a);
    } while (rc == 0 && cursor);
    arena_free(&a);
    return rc;
}

/* ---- lanes ---- */

static void append(struct lane *l, const char *node_key, const char *run_id,
                   const struct value *input, const struct value *upstream,
                   const struct value *item) {
    struct due *d = arena_zalloc(l->arena, sizeof(*d));

    d->node_key = node_key;
    d->run_id = run_id;
    d->input = input;
    d->upstream = upstream;
    d->item = item;
    *l->last = d;
    l->last = &d->next;
}

static const struct value *upstream_of(struct arena *a, const struct due *d,
                                       const char *output_id) {
    struct array_builder b;

    array_begin(&b, a, 1);
    array_push(&b, value_obj(a, "nodeKey", value_string(a, d->node_key), "runId",
                             value_string(a, d->run_id), "outputId",
                             value_string(a, output_id), NULL));
    return array_end(&b);
}

/* Appends what follows: each downstream run with the input it sees. */
static void append_downstream(struct lane *l, const struct due *d,
                              const struct value *downstream, const struct value *output,
                              const char *output_id) {
    struct arena *a = l->arena;
    const struct value *input = d->is_start ? &value_empty_object : d->input;

    if (value_items_count(downstream) == 0)
        return;
    if (output)
        input = value_with(a, input, d->node_key, output);
    for (VALUE_EACH_ITEM(r, downstream))
        append(l, value_get_string(r, "nodeKey", ""), value_get_string(r, "runId", ""),
               input, upstream_of(a, d, output_id), NULL);
}

static void follow(struct lane *l, const struct due *d, const struct outcome *o) {
    for (uint32_t i = 0; i < o->records->len; i++) {
        const struct value *record = value_at(o->records, i);

        append_downstream(l, d, value_get(record, "downstreamRuns"),
                          value_at(o->outputs, i), value_get_string(record, "id", ""));
    }
    append_downstream(l, d, o->continued, NULL, "");
}

static void collect(struct lane *l, const struct due *d, const struct outcome *o) {
    size_t len = strlen(d->node_key);
    const struct value *before;
    struct array_builder b;

    if (!l->collected || o->outputs->len == 0)
        return;
    array_begin(&b, l->arena, o->outputs->len);
    before = object_builder_get(l->collected, d->node_key, len);
    for (VALUE_EACH_ITEM(v, before ? before : &value_empty_array))
        array_push(&b, v);
    for (VALUE_EACH_ITEM(v, o->outputs))
        array_push(&b, v);
    object_set_len(l->collected, d->node_key, len, array_end(&b));
}

static bool is_over(struct flow_exec *x) {
    enum flow_run_cancel why = x->control->ask(x->control->ctx);

    if (why != FLOW_RUN_GO_ON)
        end(x, why);
    if (x->node_runs > FLOW_RUN_MAX_NODE_RUNS)
        end(x, FLOW_RUN_OVER_SIZE);
    return atomic_load(&x->ended) != FLOW_RUN_GO_ON;
}

static int process(struct lane *l, const struct due *d, struct status *st);

/* 0, ENDED, or -1 when the store failed. */
static int run_lane(struct lane *l, struct status *st) {
    struct flow_exec *x = l->exec;

    for (struct due *d = l->first; d; d = d->next) {
        int rc;

        if (is_over(x))
            return ENDED;
        rc = process(l, d, st);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- for-each ---- */

struct loop {
    struct lane *outer;
    const struct due *due;
    const struct value *items;
    const char *root;
    _Atomic uint32_t next;
    _Atomic int rc;
    const struct value **results; /* per item: {node key: [outputs]} */
    _Atomic size_t bytes;         /* of the results */
    struct status *st;
};

static int run_item(struct loop *loop, uint32_t index, struct status *st) {
    struct flow_exec *x = loop->outer->exec;
    struct arena *a = st->arena;
    const struct due *d = loop->due;
    const struct value *data = value_at(loop->items, index), *item;
    struct object_builder collected;
    struct lane l = {
        .exec = x, .arena = a, .collected = &collected, .depth = loop->outer->depth + 1};
    const char *id = arena_printf(a, "%s.%u", d->run_id, index);
    int rc;

    l.last = &l.first;
    object_begin(&collected, a, 4);
    if (flow_record_output(x->deps, a, x->run_id, arena_printf(a, "%s-item", id), data,
                           &item, st) < 0)
        return st->type == ST_BAD_REQUEST ? 1 : -1;
    append(&l, loop->root, id,
           value_with(a, d->is_start ? &value_empty_object : d->input, d->node_key,
                      value_obj(a, "item", data, NULL)),
           upstream_of(a, d, ""), item);
    rc = run_lane(&l, st);
    if (rc == 0) {
        const struct value *result = object_end(&collected);

        atomic_fetch_add(&loop->bytes,
                         value_encode_arena(a, result, VALUE_ENCODE_COMPACT).len);
        pthread_mutex_lock(&x->lock);
        loop->results[index] = value_copy(loop->outer->arena, result);
        pthread_mutex_unlock(&x->lock);
    }
    return rc;
}

static size_t loop_limit(const struct flow_exec *x) {
    size_t mb =
        x->deps->config ? (size_t)x->deps->config->max_node_run_output_size_mb : 0;

    return (mb ? mb : 20) * 1024 * 1024;
}

static void *run_items(void *arg) {
    struct loop *loop = arg;
    uint32_t i;

    while (atomic_load(&loop->rc) == 0 &&
           (i = atomic_fetch_add(&loop->next, 1)) < loop->items->len) {
        struct arena *a = arena_new(0);
        struct status st;
        int rc;

        arena_share_budget(a, loop->outer->exec->control->memory);
        st_init(&st, a);
        rc = run_item(loop, i, &st);
        if (rc == 0 && atomic_load(&loop->bytes) > loop_limit(loop->outer->exec))
            rc = 1;
        if (rc != 0) {
            pthread_mutex_lock(&loop->outer->exec->lock);
            if (atomic_load(&loop->rc) == 0) {
                atomic_store(&loop->rc, rc);
                if (rc < 0)
                    st_fail(loop->st, st.type, NULL, "%s", st.message);
            }
            pthread_mutex_unlock(&loop->outer->exec->lock);
        }
        arena_free(&a);
    }
    return NULL;
}

/* {inner node key: [outputs in item order]} */
static const struct value *loop_output(struct arena *a, const struct loop *loop) {
    struct object_builder keys, out;

    object_begin(&keys, a, 8);
    for (uint32_t i = 0; i < loop->items->len; i++)
        for (VALUE_EACH_MEMBER(m, loop->results[i]))
            object_set_len(&keys, m->key, m->key_len, &value_true);
    object_begin(&out, a, 8);
    for (VALUE_EACH_MEMBER(k, object_end(&keys))) {
        struct array_builder b;

        array_begin(&b, a, loop->items->len);
        for (uint32_t i = 0; i < loop->items->len; i++)
            for (VALUE_EACH_ITEM(v, loop->results[i] ? value_get_len(loop->results[i],
                                                                     k->key, k->key_len)
                                                     : &value_undefined))
                array_push(&b, v);
        object_set_len(&out, k->key, k->key_len, array_end(&b));
    }
    return object_end(&out);
}

/* 0, 1 failed with *st the node's error, ENDED, -1 the store failed with *st. */
static int run_loop(struct lane *l, const struct due *d, const struct value *node,
                    struct flow_node_call *call, struct status *st) {
    struct flow_exec *x = l->exec;
    const char *root = value_text(value_get(call->config, "rootNodeKey"));
    double wanted = value_get_number(node, "concurrency", 1);
    struct loop loop = {.outer = l, .due = d, .root = root, .st = st};
    pthread_t threads[MAX_THREADS];
    size_t n = 0;

    if (!root || !value_is_object(value_get(x->nodes, root))) {
        st_fail(st, ST_CONFIGURATION, NULL, "rootNodeKey must name a node of the flow");
        return 1;
    }
    if (l->depth >= FLOW_RUN_MAX_DEPTH) {
        st_fail(st, ST_CONFIGURATION, NULL, "for-each is nested deeper than %d",
                FLOW_RUN_MAX_DEPTH);
        return 1;
    }
    if (flow_node_build(call, value_get(call->config, "items"), &loop.items, st) < 0)
        return 1;
    if (!value_is_array(loop.items)) {
        st_fail(st, ST_CONFIGURATION, NULL, "items must be an array");
        return 1;
    }
    loop.results = arena_zalloc(l->arena, (loop.items->len + 1) * sizeof(*loop.results));
    if (l->depth == 0) /* loops within loops take their items one by one */
        while (n + 1 < wanted && n + 1 < MAX_THREADS && n + 1 < loop.items->len &&
               pthread_create(&threads[n], NULL, run_items, &loop) == 0)
            n++;
    run_items(&loop);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    if (atomic_load(&loop.rc) == 1)
        st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                "the outputs of the items have more than %zu bytes", loop_limit(x));
    else if (atomic_load(&loop.rc) == 0)
        flow_node_emit(call, loop_output(l->arena, &loop));
    return atomic_load(&loop.rc);
}

/* ---- one node run ---- */

static const struct value *variables_of(struct flow_exec *x, struct arena *a,
                                        const struct due *d) {
    return value_with(a, x->shared, "input", d->input);
}

/* The links of a node whose filter passes: [{runId, nodeKey}]. */
static int passing_links(struct flow_exec *x, struct arena *a, const struct value *node,
                         const struct value *variables, const struct value **ret,
                         struct status *st) {
    struct array_builder b;

    array_begin(&b, a, 2);
    for (VALUE_EACH_ITEM(link, value_get(node, "links"))) {
        const char *key = value_get_string(link, "key", NULL);
        bool passes;

        if (!key || !value_is_object(value_get(x->nodes, key)))
            continue;
        if (flow_filter_passes(a, value_get(link, "filter"), variables, &passes, st) < 0)
            return -1;
        if (passes)
            array_push(
                &b, value_obj(a, "runId",
                              value_string(a, id_new(x->deps->clock, x->deps->rand, a)),
                              "nodeKey", value_string(a, key), NULL));
    }
    *ret = array_end(&b);
    return 0;
}

static int record_outputs(struct lane *l, const struct value *node,
                          const struct value *variables, struct outcome *o,
                          struct status *st) {
    struct flow_exec *x = l->exec;
    struct arena *a = l->arena;
    struct array_builder b;

    array_begin(&b, a, o->outputs->len);
    for (VALUE_EACH_ITEM(v, o->outputs)) {
        const struct value *record, *links;

        if (flow_record_output(x->deps, a, x->run_id,
                               id_new(x->deps->clock, x->deps->rand, a), v, &record,
                               st) < 0 ||
            passing_links(x, a, node, value_with(a, variables, "output", v), &links, st) <
                0)
            return -1;
        array_push(&b, value_with(a, record, "downstreamRuns", links));
    }
    o->records = array_end(&b);
    return 0;
}

static void fail_node(struct lane *l, const struct due *d, const struct value *node,
                      const struct value *variables, const struct status *failure,
                      struct outcome *o) {
    struct flow_exec *x = l->exec;
    struct arena *a = l->arena;
    const struct value *error = value_from_status(a, failure);
    struct array_builder errors;
    struct status ignored;

    array_begin(&errors, a, 1);
    array_push(&errors, error);
    o->errors = array_end(&errors);
    o->outputs = o->records = &value_empty_array;
    o->status = "failed";
    if (!continues_on_error(x, d->node_key))
        return;
    o->status = "completed";
    st_init(&ignored, a);
    if (passing_links(x, a, node, value_with(a, variables, "error", error), &o->continued,
                      &ignored) < 0)
        o->continued = &value_empty_array;
}

static const struct value *record_of(struct lane *l, const struct due *d,
                                     const struct outcome *o, int attempts) {
    struct arena *a = l->arena;
    struct flow_exec *x = l->exec;

    return value_obj(a, "id", value_string(a, d->run_id), "workspaceId",
                     value_string(a, x->caller.workspace_id), "flowRunId",
                     value_string(a, x->run_id), "nodeKey", value_string(a, d->node_key),
                     "createdAt", value_string(a, clock_iso_now(x->deps->clock, a)),
                     "upstreamRuns", d->upstream, "status", value_string(a, o->status),
                     "logs", o->logs, "outputs", o->records, "errors", o->errors,
                     "continued", o->continued->len ? o->continued : NULL, "item",
                     d->item, "attempts", value_number(a, attempts), NULL);
}

static const struct value *with_note(struct arena *a, const struct value *logs) {
    struct array_builder b;

    array_begin(&b, a, value_items_count(logs) + 1);
    array_push(&b, value_obj(a, "type", value_string(a, "message"), "msg",
                             value_string(a, "This node run was cut off and has been "
                                             "repeated; what it did elsewhere may have "
                                             "been done twice."),
                             NULL));
    for (VALUE_EACH_ITEM(v, logs))
        array_push(&b, v);
    return array_end(&b);
}

/* 0, 1 with *st the node's failure, ENDED, -1 the store failed. */
static int execute_node(struct lane *l, const struct due *d, const struct value *node,
                        const struct value *variables, int attempts, struct outcome *o,
                        struct status *st) {
    struct flow_exec *x = l->exec;
    const struct flow_node_type *type = flow_node_type(node, st);
    struct flow_node_call call = {
        .deps = x->deps,
        .arena = l->arena,
        .caller = &x->caller,
        .connection = x->connection,
        .user = x->user,
        .config = value_merge(l->arena, value_get(node, "config"),
                              value_get(node, "userConfig")),
        .input = d->input,
        .variables = variables,
        .deadline_ms = x->control->deadline_ms,
        .cancel = x->control->cancelled,
        .logs = &value_empty_array,
    };
    int rc;

    if (!type)
        return 1;
    if (type->has_effects && attempts > 2) {
        st_fail(st, ST_FLOW_RUN, NULL,
                "the node run was cut off twice; it is not repeated again");
        return 1;
    }
    if (type->has_effects || !type->run) {
        const struct outcome begun = {&value_empty_array, &value_empty_array,
                                      &value_empty_array, &value_empty_array,
                                      &value_empty_array, "running"};
        const struct value *mark = record_of(l, d, &begun, attempts);

        rc = attempts > 1
                 ? store_replace(x->deps->store, C_FLOW_NODE_RUNS, mark, NULL, st)
                 : store_insert(x->deps->store, C_FLOW_NODE_RUNS, mark, st);
        if (rc < 0)
            return -1;
    }
    array_begin(&call.outputs, l->arena, 1);
    rc = type->run ? (type->run(&call, st) < 0 ? 1 : 0) : run_loop(l, d, node, &call, st);
    o->logs =
        type->has_effects && attempts > 1 ? with_note(l->arena, call.logs) : call.logs;
    o->outputs = array_end(&call.outputs);
    o->status = o->outputs->len || strcmp(type->name, "filter") ? "completed" : "skipped";
    return rc;
}

static int run_node(struct lane *l, const struct due *d, int attempts, struct outcome *o,
                    struct status *st) {
    struct flow_exec *x = l->exec;
    const struct value *node = value_get(x->nodes, d->node_key);
    const struct value *variables = variables_of(x, l->arena, d), *record;
    struct status failure;
    int rc;

    st_init(&failure, l->arena);
    rc = execute_node(l, d, node, variables, attempts, o, &failure);
    if (rc == ENDED)
        return ENDED;
    if (rc < 0)
        return st_fail(st, failure.type, failure.key, "%s", failure.message);
    if (rc == 0 && record_outputs(l, node, variables, o, &failure) < 0)
        rc = 1;
    if (rc == 1)
        fail_node(l, d, node, variables, &failure, o);
    record = record_of(l, d, o, attempts);
    rc = store_replace(x->deps->store, C_FLOW_NODE_RUNS, record, NULL, st);
    if (rc == 1)
        rc = store_insert(x->deps->store, C_FLOW_NODE_RUNS, record, st);
    if (rc < 0)
        return -1;
    pthread_mutex_lock(&x->lock);
    count(x, d->node_key, o->errors, o->outputs->len);
    pthread_mutex_unlock(&x->lock);
    return write_counters(x, l->arena, st);
}

/* Takes a recorded node run over. */
static int take_over(struct lane *l, const struct value *record, struct outcome *o,
                     struct status *st) {
    struct array_builder outputs;

    o->records = value_get(record, "outputs");
    if (value_is_array(value_get(record, "continued")))
        o->continued = value_get(record, "continued");
    array_begin(&outputs, l->arena, value_items_count(o->records));
    for (VALUE_EACH_ITEM(r, o->records)) {
        const struct value *data;

        if (flow_record_data(l->exec->deps, l->arena, r, &data, st) < 0)
            return -1;
        array_push(&outputs, data);
    }
    o->outputs = array_end(&outputs);
    return 0;
}

static int process(struct lane *l, const struct due *d, struct status *st) {
    struct flow_exec *x = l->exec;
    struct outcome o = {&value_empty_array, &value_empty_array, &value_empty_array,
                        &value_empty_array, &value_empty_array, "completed"};
    const struct value *old = NULL;
    int rc = 1;

    if (x->is_resumed)
        rc = store_get(x->deps->store, l->arena, C_FLOW_NODE_RUNS, d->run_id, &old, st);
    if (rc < 0)
        return -1;
    if (rc == 0 && !value_equals_text(value_get(old, "status"), "running"))
        rc = take_over(l, old, &o, st);
    else
        rc = run_node(l, d, rc == 0 ? (int)value_get_number(old, "attempts", 1) + 1 : 1,
                      &o, st);
    if (rc != 0)
        return rc;
    collect(l, d, &o);
    follow(l, d, &o);
    return 0;
}

/* ---- the run ---- */

static int optional(struct flow_exec *x, enum collection c, const char *id,
                    const struct value **ret, struct status *st) {
    int rc = id ? store_get(x->deps->store, x->arena, c, id, ret, st) : 1;

    if (rc == 1)
        *ret = NULL;
    return rc < 0 ? -1 : 0;
}

static int prepare(struct flow_exec *x, struct status *st) {
    static const char *const shown[] = {"id", "name", NULL};
    static const char *const of_integration[] = {"id", "key", "name", NULL};
    static const char *const not_of_user[] = {"workspaceId", "credentials", NULL};
    struct arena *a = x->arena;
    const struct value *run = x->run, *instance = value_get(run, "instance"), *workspace;
    const char *workspace_id = value_get_string(run, "workspaceId", "");
    const char *tenant = value_get_string(run, "tenantId", NULL);
    int rc;

    x->nodes = value_get(instance, "nodes");
    if (optional(x, C_WORKSPACES, workspace_id, &workspace, st) < 0 ||
        optional(x, C_CONNECTIONS, value_get_string(run, "connectionId", NULL),
                 &x->connection, st) < 0 ||
        optional(x, C_INTEGRATIONS, value_get_string(run, "integrationId", NULL),
                 &x->integration, st) < 0)
        return -1;
    rc = tenant ? auth_find_customer(x->deps, a, workspace_id, tenant, &x->user, st) : 1;
    if (rc < 0)
        return -1;
    if (rc == 1)
        x->user = NULL;
    x->caller = (struct caller){.workspace_id = workspace_id,
                                .workspace = workspace ? workspace : &value_empty_object,
                                .customer_id = tenant,
                                .customer = x->user,
                                .is_admin = !tenant,
                                .api_version = "2025-10-21"};
    x->shared = value_obj(
        a, "user", x->user ? value_omit(a, x->user, not_of_user) : NULL, "flowRun",
        value_obj(a, "id", value_get(run, "id"), NULL), "flowInstance",
        value_omit(a, instance, (const char *const[]){"nodes", NULL}), "connection",
        x->connection ? value_pick(a, x->connection, shown) : NULL, "integration",
        x->integration ? value_pick(a, x->integration, of_integration) : NULL, NULL);
    x->counters =
        arena_zalloc(a, (value_members_count(x->nodes) + 1) * sizeof(*x->counters));
    for (VALUE_EACH_MEMBER(m, x->nodes))
        x->counters[x->counters_len++].key = m->key;
    array_begin(&x->errors, a, 4);
    return x->is_resumed ? count_recorded(x, st) : 0;
}

/* Errors as the run shows them: the first says what happened in words. */
static void add_error(struct flow_exec *x, const char *key, const char *message) {
    array_push(&x->errors, value_obj(x->arena, "type", value_string(x->arena, "flow_run"),
                                     "key", key ? value_string(x->arena, key) : NULL,
                                     "message", value_string(x->arena, message), NULL));
}

static int finish(struct flow_exec *x, const char *state, struct status *st) {
    struct arena *a = x->arena;
    struct store_change change;

    change = (struct store_change){
        .set = value_obj(a, "state", value_string(a, state), "endTime",
                         value_string(a, clock_iso_now(x->deps->clock, a)), "nodes",
                         counters(x, a, strcmp(state, "failed") ? state : "completed"),
                         "errors", array_end(&x->errors), NULL)};
    return store_update(x->deps->store, a, C_FLOW_RUNS, x->run_id,
                        store_eq_text(a, "state", "running"), &change, NULL, st) < 0
               ? -1
               : 0;
}

/* The document says "stopped" already; what the nodes came to is added. */
static int finish_stopped(struct flow_exec *x, struct status *st) {
    struct store_change change = {
        .set = value_obj(x->arena, "nodes", counters(x, x->arena, "stopped"), NULL)};

    return store_update(x->deps->store, x->arena, C_FLOW_RUNS, x->run_id,
                        store_eq_text(x->arena, "state", "stopped"), &change, NULL,
                        st) < 0
               ? -1
               : 0;
}

static int finish_ended(struct flow_exec *x, struct status *st) {
    struct arena *a = x->arena;

    switch ((enum flow_run_cancel)atomic_load(&x->ended)) {
    case FLOW_RUN_ABANDON:
        return 1;
    case FLOW_RUN_STOP:
        return finish_stopped(x, st);
    case FLOW_RUN_OVER_SIZE:
        add_error(x, NULL, "The run had more than 200,000 node runs");
        break;
    case FLOW_RUN_OVER_MEMORY:
        add_error(x, "memory_limit_exceeded",
                  "The run needs more memory than MAX_QUEUED_TASKS_MEMORY_MB");
        break;
    default:
        add_error(x, "request_timeout",
                  arena_printf(a, "The run took longer than %lld s",
                               (long long)x->control->time_limit_s));
    }
    return finish(x, "failed", st);
}

static int walk(struct flow_exec *x, struct status *st) {
    struct lane l = {.exec = x, .arena = x->arena};
    int rc;

    l.last = &l.first;
    append(&l, value_get_string(x->run, "startNodeKey", ""),
           arena_printf(x->arena, "%s.0", x->run_id), value_get(x->run, "input"),
           &value_empty_array, NULL);
    l.first->is_start = !value_is_true(value_get(x->run, "startsInside"));
    rc = run_lane(&l, st);
    if (rc < 0)
        return -1;
    return rc == ENDED ? finish_ended(x, st)
                       : finish(x, x->has_failed ? "failed" : "completed", st);
}

static int execute(struct flow_exec *x, struct status *st) {
    const char *connection = value_get_string(x->run, "connectionId", NULL);

    if (prepare(x, st) < 0)
        return -1;
    if (connection && (!x->connection || !model_is_live(x->connection))) {
        add_error(x, NULL, "The connection of the run does not exist any more");
        return finish(x, "failed", st);
    }
    return walk(x, st);
}

int flow_run_execute(const struct deps *deps, const char *run_id,
                     const struct flow_run_control *control, struct status *st) {
    struct arena *a = arena_new(0);
    struct flow_exec x = {.deps = deps, .arena = a, .run_id = run_id, .control = control};
    struct store_change begin = {
        .set = value_obj(a, "state", value_string(a, "running"), NULL)};
    bool has_ended = false;
    struct status inner;
    int rc;

    arena_share_budget(a, control->memory);
    st_init(&inner, a);
    rc = store_update(deps->store, a, C_FLOW_RUNS, run_id,
                      store_eq_text(a, "state", "queued"), &begin, &x.run, &inner);
    if (rc == 1) {
        x.is_resumed = true;
        rc = store_get(deps->store, a, C_FLOW_RUNS, run_id, &x.run, &inner);
        has_ended = rc == 1 ||
                    (rc == 0 && !value_equals_text(value_get(x.run, "state"), "running"));
    }
    if (has_ended)
        rc = 0;
    else if (rc == 0) {
        pthread_mutex_init(&x.lock, NULL);
        rc = execute(&x, &inner);
        pthread_mutex_destroy(&x.lock);
    }
    if (rc < 0)
        st_fail(st, inner.type, inner.key, "%s", inner.message);
    arena_free(&a);
    return rc;
}

int flow_run_fail(const struct deps *deps, struct arena *a, const char *run_id,
                  const struct value *error, struct status *st) {
    const struct store_filter *unfinished =
        store_or(a, store_eq_text(a, "state", "queued"),
                 store_eq_text(a, "state", "running"), NULL);
    struct store_change change = {0};
    struct array_builder errors;

    array_begin(&errors, a, 1);
    array_push(&errors, error);
    change.set = value_obj(a, "state", value_string(a, "failed"), "endTime",
                           value_string(a, clock_iso_now(deps->clock, a)), "errors",
                           array_end(&errors), "gaveUp", &value_true, NULL);
    return store_update(deps->store, a, C_FLOW_RUNS, run_id, unfinished, &change, NULL,
                        st) < 0
               ? -1
               : 0;
}
