/*
 * queue.c - a task's life in the store: every step is one conditional update.
 *
 * A task's state is waiting, running or dead; done ones are gone. A step names what it
 * expects (waiting; or running with this holder and attempt), so a worker that was
 * thought dead changes nothing any more. Where only so many may run on a connection, a
 * running task holds `slot`, which is unique in the collection: that holds across
 * processes, whatever their dispatch thinks.
 */
#include "queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "queue_priv.h"
#include "store/store.h"
#include "value/value.h"
#include "value/value_status.h"

enum {
    SLOTS_MAX = 16,     /* more parallel runs than this on a connection are not held to */
    RETRY_SLOT_MS = 50, /* look again, when another process runs on the connection */
    PAGE = 500,
    BACKOFF_MAX_MS = 3600 * 1000,
};

const char *queue_name(enum queue_name q) {
    return q == QUEUE_INSTANT ? "instant" : "queued";
}

int queue_from_name(const char *name) {
    for (int i = 0; i < QUEUE_COUNT; i++)
        if (strcmp(name, queue_name((enum queue_name)i)) == 0)
            return i;
    return -1;
}

const struct queue_kind *queue_kind_find(const struct queue *q, const char *name) {
    for (size_t i = 0; i < q->kinds_len; i++)
        if (strcmp(q->kinds[i].name, name) == 0)
            return &q->kinds[i];
    return NULL;
}

static int64_t now_ms(const struct queue *q) {
    return clock_now_ms(q->deps->clock);
}

/* ---- Limits ---- */

double queue_limit(const struct queue *q, const struct value *workspace,
                   enum config_limit l) {
    const struct value *own;

    if (l == LIMIT_COUNT)
        return 0;
    own = value_get(value_get(workspace, "limits"), config_limit_rows()[l].key);
    if (value_is_object(own))
        own = value_get(own, "value");
    return value_is_number(own) ? own->number : q->deps->config->limit[l];
}

void queue_limits(void *ctx, const char *workspace_id, unsigned queue_of_task,
                  unsigned kind, struct dispatch_limits *ret) {
    const struct queue *q = ctx;
    const struct queue_kind *k = &q->kinds[kind];
    const struct config *config = q->deps->config;
    const struct value *workspace = &value_undefined;
    struct arena *a;
    struct status st;

    if (atomic_load(&q->paused[queue_of_task])) {
        ret->paused = true;
        return;
    }
    if (!*workspace_id && !config->enable_limits && k->connection_limit == LIMIT_COUNT)
        return;
    a = arena_new(0);
    st_init(&st, a);
    if (*workspace_id &&
        store_get(q->deps->store, a, C_WORKSPACES, workspace_id, &workspace, &st) != 0)
        workspace = &value_undefined;
    ret->paused = queue_of_task == QUEUE_QUEUED &&
                  value_get_bool(workspace, "isBackgroundJobsDisabled", false);
    ret->connection = queue_limit(q, workspace, k->connection_limit);
    if (config->enable_limits) {
        ret->kind = queue_limit(q, workspace, k->parallel_limit);
        ret->workspace = queue_limit(q, workspace,
                                     queue_of_task == QUEUE_INSTANT
                                         ? LIMIT_PARALLEL_INSTANT_TASKS_ACTIVE_JOBS
                                         : LIMIT_PARALLEL_BACKGROUND_JOBS);
        if (queue_of_task == QUEUE_QUEUED)
            ret->customer =
                queue_limit(q, workspace, LIMIT_PARALLEL_BACKGROUND_JOBS_PER_CUSTOMER);
    }
    arena_free(&a);
}

/* ---- Opening ---- */

struct queue *queue_open(const struct queue_options *o) {
    struct queue *q = calloc(1, sizeof(*q));
    char host[64] = "";

    if (!q)
        abort();
    q->deps = o->deps;
    q->kinds = o->kinds;
    q->kinds_len = o->kinds_len;
    q->lease_ms =
        o->lease_ms ? o->lease_ms : (int)o->deps->config->task_lease_seconds * 1000;
    q->shared = o->shared;
    q->arena = arena_new(0);
    gethostname(host, sizeof(host) - 1);
    q->process = arena_printf(q->arena, "%s-%d-%s", host, (int)getpid(),
                              token_new(o->deps->rand, q->arena, 6));
    pthread_mutex_init(&q->stats_mu, NULL);
    pthread_mutex_init(&q->workers_mu, NULL);
    q->dispatch = o->deps->redis
                      ? queue_dispatch_redis(o->deps->redis, o->deps->clock,
                                             QUEUE_LIMITS_AGE_MS, queue_limits, q)
                      : queue_dispatch_memory(o->deps->clock, queue_limits, q);
    q->elsewhere = q->dispatch->ops->is_shared ? 0 : o->elsewhere;
    return q;
}

void queue_close(struct queue **qp) {
    struct queue *q = *qp;

    if (!q)
        return;
    q->dispatch->ops->free(&q->dispatch);
    pthread_mutex_destroy(&q->stats_mu);
    pthread_mutex_destroy(&q->workers_mu);
    arena_free(&q->arena);
    free(q);
    *qp = NULL;
}

/* ---- Putting ---- */

int queue_dispatch_task(const struct queue *q, const struct value *doc,
                        struct dispatch_task *ret) {
    const struct queue_kind *k = queue_kind_find(q, value_get_string(doc, "kind", ""));

    if (!k)
        return 1; /* of a newer version: left to its workers */
    *ret = (struct dispatch_task){
        .id = value_get_string(doc, "id", ""),
        .queue = k->queue,
        .kind = (unsigned)(k - q->kinds),
        .workspace_id = value_get_string(doc, "workspaceId", NULL),
        .customer_id = value_get_string(doc, "customerId", NULL),
        .connection_id = value_get_string(doc, "connectionId", NULL),
        .not_before_ms = (int64_t)value_get_number(doc, "notBeforeMs", 0),
        .order_ms = (int64_t)value_get_number(doc, "createdMs", 0),
    };
    return 0;
}

static void offer(struct queue *q, const struct value *doc) {
    struct dispatch_task t;

    if (queue_dispatch_task(q, doc, &t) == 0 && !(q->elsewhere & 1u << t.queue))
        q->dispatch->ops->offer(q->dispatch, &t);
}

static int check_room(struct queue *q, struct arena *a, const struct queue_kind *k,
                      const char *workspace_id, struct status *st) {
    enum config_limit l = k->queue == QUEUE_INSTANT ? LIMIT_INSTANT_TASKS_QUEUE_SIZE
                                                    : LIMIT_QUEUED_TASKS_QUEUE_SIZE;
    const struct value *workspace;
    uint64_t waiting;
    double limit;

    if (!q->deps->config->enable_limits || !workspace_id)
        return 0;
    if (store_get(q->deps->store, a, C_WORKSPACES, workspace_id, &workspace, st) != 0)
        workspace = &value_undefined;
    st_clear(st);
    limit = queue_limit(q, workspace, l);
    if (!limit)
        return 0;
    if (store_count(q->deps->store, C_TASKS,
                    store_and(a, store_eq_text(a, "workspaceId", workspace_id),
                              store_eq_text(a, "queue", queue_name(k->queue)),
                              store_eq_text(a, "state", "waiting"), NULL),
                    &waiting, st) < 0)
        return -1;
    if ((double)waiting >= limit)
        return st_fail(st, ST_BAD_REQUEST, "rate_limit_exceeded",
                       "%s: %.0f tasks of the workspace wait already",
                       config_limit_rows()[l].key, limit);
    return 0;
}

static void set_text(struct object_builder *b, const char *key, const char *text) {
    if (text)
        object_set_string(b, key, text);
}

static const struct value *new_task(struct queue *q, struct arena *a,
                                    const struct queue_kind *k,
                                    const struct queue_task *t) {
    struct object_builder b;
    int64_t now = now_ms(q);

    object_begin(&b, a, 16);
    object_set_string(&b, "id", t->id ? t->id : id_new(q->deps->clock, q->deps->rand, a));
    object_set_string(&b, "queue", queue_name(k->queue));
    object_set_string(&b, "kind", k->name);
    set_text(&b, "workspaceId", t->workspace_id);
    set_text(&b, "customerId", t->customer_id);
    set_text(&b, "connectionId", t->connection_id);
    set_text(&b, "dedupKey", t->dedup_key);
    object_set_string(&b, "state", "waiting");
    object_set_number(&b, "attempt", 0);
    object_set_number(&b, "crashes", 0);
    object_set_number(&b, "notBeforeMs", (double)t->not_before_ms);
    object_set_number(&b, "readyMs",
                      (double)(t->not_before_ms > now ? t->not_before_ms : now));
    object_set_number(&b, "createdMs", (double)now);
    if (t->payload)
        object_set(&b, "payload", t->payload);
    return object_end(&b);
}

int queue_put(struct queue *q, const struct queue_task *t, struct status *st) {
    const struct queue_kind *k = queue_kind_find(q, t->kind);
    struct arena *a = arena_new(0);
    const struct value *doc;
    struct status failure;
    int rc;

    assert(k);
    rc = check_room(q, a, k, t->workspace_id, st);
    if (rc == 0) {
        doc = new_task(q, a, k, t);
        st_init(&failure, a);
        rc = store_insert(q->deps->store, C_TASKS, doc, &failure);
        if (rc == 0)
            offer(q, doc);
        else if ((t->dedup_key || t->id) && failure.key &&
                 !strcmp(failure.key, "already_exists"))
            rc = 1;
        else
            st_fail(st, failure.type, failure.key, "%s", failure.message);
    }
    arena_free(&a);
    return rc;
}

/* Some exist already, or the store failed half-way: one by one, each harmless to repeat.
 */
static int put_each(struct queue *q, const struct value *docs, struct status *st) {
    for (VALUE_EACH_ITEM(doc, docs)) {
        struct status failure;

        st_init(&failure, st->arena);
        if (store_insert(q->deps->store, C_TASKS, doc, &failure) == 0)
            continue;
        if (!failure.key || strcmp(failure.key, "already_exists") != 0)
            return st_fail(st, failure.type, failure.key, "%s", failure.message);
    }
    return 0;
}

int queue_put_many(struct queue *q, const struct queue_task *tasks, size_t n,
                   struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *docs;
    struct array_builder b;
    struct status failure;
    int rc;

    array_begin(&b, a, n);
    for (size_t i = 0; i < n; i++) {
        const struct queue_kind *k = queue_kind_find(q, tasks[i].kind);

        assert(k && !tasks[i].dedup_key);
        array_push(&b, new_task(q, a, k, &tasks[i]));
    }
    docs = array_end(&b);
    st_init(&failure, a);
    rc = store_insert_many(q->deps->store, C_TASKS, docs, &failure);
    if (rc < 0)
        rc = put_each(q, docs, st);
    if (rc == 0)
        for (VALUE_EACH_ITEM(doc, docs))
            offer(q, doc);
    arena_free(&a);
    return rc;
}

static int ask_to_end(struct queue *q, struct arena *a, const char *id,
                      struct status *st) {
    struct store_change change = {.set =
                                      value_obj(a, "cancelRequested", &value_true, NULL)};

    return store_update(q->deps->store, a, C_TASKS, id,
                        store_eq_text(a, "state", "running"), &change, NULL, st);
}

int queue_cancel(struct queue *q, const char *id, struct status *st) {
    struct arena *a = arena_new(0);
    int rc = store_delete(q->deps->store, C_TASKS, id,
                          store_eq_text(a, "state", "waiting"), st);

    if (rc == 0)
        q->dispatch->ops->release(q->dispatch, id);
    if (rc == 1) {
        pthread_mutex_lock(&q->workers_mu);
        rc = q->workers && queue_workers_cancel(q->workers, id) ? 0 : 1;
        pthread_mutex_unlock(&q->workers_mu);
        if (rc == 1)
            rc = ask_to_end(q, a, id, st);
    }
    arena_free(&a);
    return rc;
}

int queue_count_waiting(struct queue *q, const char *connection_id, const char *kind,
                        uint64_t *ret_count, struct status *st) {
    struct arena *a = arena_new(0);
    int rc = store_count(q->deps->store, C_TASKS,
                         store_and(a, store_eq_text(a, "connectionId", connection_id),
                                   store_eq_text(a, "state", "waiting"),
                                   store_eq_text(a, "kind", kind), NULL),
                         ret_count, st);

    arena_free(&a);
    return rc;
}

/* ---- Claiming ---- */

/* This many runs of the kind on its connection, each with a slot; 0: any number. */
static int slots_of(const struct queue *q, const struct queue_kind *k,
                    const struct value *doc) {
    struct dispatch_limits l = {0};

    if (k->connection_limit == LIMIT_COUNT ||
        !value_get_string(doc, "connectionId", NULL))
        return 0;
    queue_limits((void *)q, value_get_string(doc, "workspaceId", ""), k->queue,
                 (unsigned)(k - q->kinds), &l);
    return l.connection > SLOTS_MAX ? 0 : (int)l.connection;
}

static int claim_update(struct queue *q, struct arena *a, const char *id,
                        const struct queue_kind *k, const char *holder, const char *slot,
                        const struct value **ret, struct status *st) {
    static const char *const key[] = {"dedupKey", NULL};
    int64_t now = now_ms(q);
    struct store_change change = {
        .set = value_obj(a, "state", value_string(a, "running"), "leaseHolder",
                         value_string(a, holder), "leaseExpiresMs",
                         value_number(a, (double)(now + q->lease_ms)), "startedMs",
                         value_number(a, (double)now), "slot",
                         slot ? value_string(a, slot) : NULL, NULL),
        .unset = k->flags & QUEUE_KIND_ALONE ? NULL : key,
        .increment = value_obj(a, "attempt", value_number(a, 1), NULL),
    };

    return store_update(
        q->deps->store, a, C_TASKS, id,
        store_and(a, store_eq_text(a, "state", "waiting"),
                  store_cmp(a, STORE_LE, "notBeforeMs", value_number(a, (double)now)),
                  NULL),
        &change, ret, st);
}

/* Where the connection runs so many at once, the oldest that may run goes first. It may
 * be one that was handed back elsewhere and is not known here yet. 0 *ret_older, 1 none.
 */
static int find_older(struct queue *q, struct arena *a, const struct value *doc,
                      const struct value **ret_older, struct status *st) {
    struct store_query query = {
        .where = store_and(
            a, store_eq(a, "connectionId", value_get(doc, "connectionId")),
            store_eq_text(a, "state", "waiting"),
            store_eq(a, "kind", value_get(doc, "kind")),
            store_cmp(a, STORE_LT, "createdMs", value_get(doc, "createdMs")),
            store_cmp(a, STORE_LE, "notBeforeMs", value_number(a, (double)now_ms(q))),
            NULL),
        .sort = {{.field = "createdMs"}},
        .limit = 1,
    };

    return store_find(q->deps->store, a, C_TASKS, &query, ret_older, st);
}

/* 0 claimed, 1 somebody else has it, 2 its connection is busy or another goes first. */
static int claim(struct queue *q, struct arena *a, const char *id, const char *holder,
                 struct queue_claim *ret, struct status *st) {
    const struct value *doc, *older;
    const struct queue_kind *k;
    int rc, slots;

    rc = store_get(q->deps->store, a, C_TASKS, id, &doc, st);
    if (rc != 0)
        return rc;
    if (!(k = queue_kind_find(q, value_get_string(doc, "kind", ""))))
        return 1;
    slots = slots_of(q, k, doc);
    if (slots) {
        rc = find_older(q, a, doc, &older, st);
        if (rc == 0)
            offer(q, older);
        if (rc <= 0)
            return rc == 0 ? 2 : -1;
    }
    for (int i = 0; i < (slots ? slots : 1); i++) {
        const char *slot =
            slots ? arena_printf(a, "%s:%s#%d", k->name,
                                 value_get_string(doc, "connectionId", ""), i)
                  : NULL;

        rc = claim_update(q, a, id, k, holder, slot, &doc, st);
        if (rc < 0 && slot && st->key && strcmp(st->key, "already_exists") == 0) {
            st_clear(st);
            rc = 2;
            continue;
        }
        break;
    }
    if (rc == 0)
        *ret = (struct queue_claim){
            .task = doc,
            .id = value_get_string(doc, "id", ""),
            .holder = holder,
            .kind = k,
            .attempt = (int)value_get_number(doc, "attempt", 1),
        };
    return rc;
}

/* Back into the dispatch, for later. */
static void offer_later(struct queue *q, const struct value *doc, int64_t at_ms) {
    struct dispatch_task t;

    if (queue_dispatch_task(q, doc, &t) != 0)
        return;
    if (t.not_before_ms < at_ms)
        t.not_before_ms = at_ms;
    q->dispatch->ops->offer(q->dispatch, &t);
}

int queue_reserve(struct queue *q, struct arena *a, enum queue_name name,
                  const char *holder, int wait_ms, struct queue_claim *ret,
                  struct status *st) {
    const struct dispatch_ops *d = q->dispatch->ops;
    const struct value *doc;
    const char *id;
    int rc;

    for (;;) {
        if (d->take(q->dispatch, a, name, wait_ms, &id) != 0)
            return 1;
        rc = claim(q, a, id, holder, ret, st);
        if (rc == 0)
            return 0;
        d->release(q->dispatch, id);
        if (rc == 1)
            continue; /* the dispatch was behind */
        if (rc < 0)
            return -1; /* the next sweep finds it */
        if (store_get(q->deps->store, a, C_TASKS, id, &doc, st) == 0)
            offer_later(q, doc, now_ms(q) + RETRY_SLOT_MS);
    }
}

/* ---- Ends ---- */

static const struct store_filter *held(struct arena *a, const char *holder, int attempt) {
    return store_and(a, store_eq_text(a, "state", "running"),
                     store_eq_text(a, "leaseHolder", holder),
                     store_eq(a, "attempt", value_number(a, attempt)), NULL);
}

int queue_renew(struct queue *q, const struct queue_claim *c, bool *ret_cancelled,
                struct status *st) {
    struct arena *a = arena_new(0);
    struct store_change change = {
        .set = value_obj(a, "leaseExpiresMs",
                         value_number(a, (double)(now_ms(q) + q->lease_ms)), NULL)};
    const struct value *doc;
    int rc = store_update(q->deps->store, a, C_TASKS, c->id,
                          held(a, c->holder, c->attempt), &change, &doc, st);

    if (rc == 0 && ret_cancelled)
        *ret_cancelled = value_get_bool(doc, "cancelRequested", false);
    arena_free(&a);
    return rc;
}

int queue_finish(struct queue *q, const struct queue_claim *c, struct status *st) {
    struct arena *a = arena_new(0);
    int rc =
        store_delete(q->deps->store, C_TASKS, c->id, held(a, c->holder, c->attempt), st);

    q->dispatch->ops->release(q->dispatch, c->id);
    arena_free(&a);
    return rc;
}

static const char *const run_members[] = {"leaseHolder", "leaseExpiresMs",  "slot",
                                          "startedMs",   "cancelRequested", NULL};
static const char *const dead_members[] = {
    "leaseHolder", "leaseExpiresMs",  "slot", "startedMs",
    "dedupKey",    "cancelRequested", NULL};

/* Waits again from not_before_ms on; attempt_delta -1 undoes the claim's count. */
static int make_wait(struct queue *q, struct arena *a, const char *id,
                     const struct store_filter *expect, int64_t not_before_ms,
                     int attempt_delta, int crash_delta, const struct value *error,
                     struct status *st) {
    struct store_change change = {
        .set =
            value_obj(a, "state", value_string(a, "waiting"), "notBeforeMs",
                      value_number(a, (double)not_before_ms), "readyMs",
                      value_number(a, (double)not_before_ms), "lastError", error, NULL),
        .unset = run_members,
        .increment = value_obj(a, "attempt", value_number(a, attempt_delta), "crashes",
                               value_number(a, crash_delta), NULL),
    };
    const struct value *doc;
    int rc = store_update(q->deps->store, a, C_TASKS, id, expect, &change, &doc, st);

    q->dispatch->ops->release(q->dispatch, id);
    if (rc == 0)
        offer(q, doc);
    return rc;
}

static int make_dead(struct queue *q, struct arena *a, const char *id,
                     const struct store_filter *expect, int crash_delta,
                     const struct value *error, struct status *st) {
    struct store_change change = {
        .set = value_obj(a, "state", value_string(a, "dead"), "diedMs",
                         value_number(a, (double)now_ms(q)), "lastError", error, NULL),
        .unset = dead_members,
        .increment = value_obj(a, "crashes", value_number(a, crash_delta), NULL),
    };
    const struct value *doc;
    const struct queue_kind *k;
    int rc = store_update(q->deps->store, a, C_TASKS, id, expect, &change, &doc, st);

    q->dispatch->ops->release(q->dispatch, id);
    if (rc == 0 && (k = queue_kind_find(q, value_get_string(doc, "kind", ""))) &&
        k->given_up)
        k->given_up(q->deps, a, doc, error);
    return rc;
}

static int64_t backoff_ms(const struct queue_kind *k, int attempt) {
    int64_t ms = k->backoff_ms;

    for (int i = 1; i < attempt && ms < BACKOFF_MAX_MS; i++)
        ms *= 4;
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

int queue_fail(struct queue *q, const struct queue_claim *c, bool again,
               const struct status *why, struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *error = value_from_status(a, why);
    int rc;

    if (again && c->attempt < (c->kind->max_attempts ? c->kind->max_attempts : 1))
        rc = make_wait(q, a, c->id, held(a, c->holder, c->attempt),
                       now_ms(q) + backoff_ms(c->kind, c->attempt), 0, 0, error, st);
    else
        rc = make_dead(q, a, c->id, held(a, c->holder, c->attempt), 0, error, st);
    arena_free(&a);
    return rc;
}

int queue_hand_back(struct queue *q, const struct queue_claim *c, struct status *st) {
    struct arena *a = arena_new(0);
    int rc = make_wait(q, a, c->id, held(a, c->holder, c->attempt), now_ms(q), -1, 0,
                       NULL, st);

    arena_free(&a);
    return rc;
}

/* ---- Sweeps ---- */

static int expire(struct queue *q, struct arena *a, const struct value *doc,
                  struct status *st) {
    const struct queue_kind *k = queue_kind_find(q, value_get_string(doc, "kind", ""));
    const struct store_filter *expect =
        store_and(a,
                  held(a, value_get_string(doc, "leaseHolder", ""),
                       (int)value_get_number(doc, "attempt", 0)),
                  store_eq(a, "leaseExpiresMs", value_get(doc, "leaseExpiresMs")), NULL);
    const char *id = value_get_string(doc, "id", "");
    int max = k && k->max_crashes ? k->max_crashes : 3;
    struct status lost;

    st_init(&lost, a);
    st_fail(&lost, ST_INTERNAL, "worker_lost", "the worker %s died while it ran the task",
            value_get_string(doc, "leaseHolder", "?"));
    if (value_get_number(doc, "crashes", 0) + 1 >= max)
        return make_dead(q, a, id, expect, 1, value_from_status(a, &lost), st);
    return make_wait(q, a, id, expect, now_ms(q), -1, 1, value_from_status(a, &lost), st);
}

static int expire_before(struct queue *q, double end_ms, uint64_t *ret_count,
                         struct status *st) {
    struct arena *a = arena_new(0);
    struct store_query query = {.sort = {{.field = "leaseExpiresMs"}}, .limit = PAGE};
    struct store_page page;
    uint64_t count = 0;
    int rc;

    do {
        arena_reset(a);
        query.where = store_and(
            a, store_eq_text(a, "state", "running"),
            store_cmp(a, STORE_LT, "leaseExpiresMs", value_number(a, end_ms)), NULL);
        rc = store_list(q->deps->store, a, C_TASKS, &query, &page, st);
        if (rc == 0)
            for (VALUE_EACH_ITEM(doc, page.items)) {
                if ((rc = expire(q, a, doc, st)) < 0)
                    break;
                count += rc == 0;
                rc = 0;
            }
    } while (rc == 0 && page.cursor);
    arena_free(&a);
    if (ret_count)
        *ret_count = count;
    return rc;
}

int queue_expire_leases(struct queue *q, uint64_t *ret_count, struct status *st) {
    return expire_before(q, (double)now_ms(q), ret_count, st);
}

int queue_expire_all(struct queue *q, uint64_t *ret_count, struct status *st) {
    return expire_before(q, 1e300, ret_count, st);
}

static void offer_page(struct queue *q, struct arena *a, const struct value *items) {
    struct dispatch_task *tasks = arena_alloc(a, (items->len + 1) * sizeof(*tasks));
    size_t n = 0;

    for (VALUE_EACH_ITEM(doc, items))
        n += queue_dispatch_task(q, doc, &tasks[n]) == 0 &&
             !(q->elsewhere & 1u << tasks[n].queue);
    q->dispatch->ops->offer_many(q->dispatch, tasks, n);
}

int queue_offer_waiting(struct queue *q, int64_t since_ms, struct status *st) {
    struct arena *a = arena_new(0);
    char cursor[512] = "";
    struct store_query query = {.sort = {{.field = "readyMs"}}, .limit = PAGE};
    struct store_page page = {0};
    int rc = 0;

    for (int i = 0; i < QUEUE_COUNT && rc == 0; i++) {
        if (q->elsewhere & 1u << i)
            continue;
        *cursor = '\0';
        do {
            arena_reset(a);
            query.where = store_and(
                a, store_eq_text(a, "state", "waiting"),
                store_eq_text(a, "queue", queue_name((enum queue_name)i)),
                store_cmp(a, STORE_GE, "readyMs", value_number(a, (double)since_ms)),
                NULL);
            query.cursor = *cursor ? cursor : NULL;
            rc = store_list(q->deps->store, a, C_TASKS, &query, &page, st);
            if (rc == 0)
                offer_page(q, a, page.items);
            if (rc == 0 && page.cursor &&
                (size_t)snprintf(cursor, sizeof(cursor), "%s", page.cursor) >=
                    sizeof(cursor))
                rc = st_fail(st, ST_INTERNAL, NULL, "the cursor is too long");
        } while (rc == 0 && page.cursor);
    }
    arena_free(&a);
    return rc;
}

int queue_look_around(struct queue *q, struct status *st) {
    struct arena *a = arena_new(0);
    struct store_query query = {
        .where = store_eq_text(a, "state", "running"),
        .sort = {{.field = "leaseExpiresMs"}},
        .limit = 1000,
    };
    size_t own = strlen(q->process), n = 0;
    struct dispatch_task *tasks;
    struct store_page page;
    int rc = store_list(q->deps->store, a, C_TASKS, &query, &page, st);

    if (rc == 0) {
        tasks = arena_zalloc(a, (page.items->len + 1) * sizeof(*tasks));
        for (VALUE_EACH_ITEM(doc, page.items))
            if (strncmp(value_get_string(doc, "leaseHolder", ""), q->process, own) != 0 &&
                queue_dispatch_task(q, doc, &tasks[n]) == 0)
                n++;
        q->dispatch->ops->set_foreign(q->dispatch, tasks, n);
    }
    arena_free(&a);
    return rc;
}

/* ---- Administration ---- */

int queue_revive(struct queue *q, const char *id, struct status *st) {
    struct arena *a = arena_new(0);
    static const char *const gone[] = {"diedMs", NULL};
    int64_t now = now_ms(q);
    struct store_change change = {
        .set = value_obj(a, "state", value_string(a, "waiting"), "attempt",
                         value_number(a, 0), "crashes", value_number(a, 0), "notBeforeMs",
                         value_number(a, (double)now), "readyMs",
                         value_number(a, (double)now), NULL),
        .unset = gone,
    };
    const struct value *doc;
    int rc = store_update(q->deps->store, a, C_TASKS, id,
                          store_eq_text(a, "state", "dead"), &change, &doc, st);

    if (rc == 0)
        offer(q, doc);
    arena_free(&a);
    return rc;
}

int queue_purge_dead(struct queue *q, int64_t before_ms, uint64_t *ret_count,
                     struct status *st) {
    struct arena *a = arena_new(0);
    int rc = store_delete_many(
        q->deps->store, C_TASKS,
        store_and(a, store_eq_text(a, "state", "dead"),
                  store_cmp(a, STORE_LT, "diedMs", value_number(a, (double)before_ms)),
                  NULL),
        ret_count, st);

    arena_free(&a);
    return rc;
}

int queue_pause(struct queue *q, enum queue_name name, bool paused, struct status *st) {
    struct arena *a = arena_new(0);
    const char *id = arena_printf(a, "queue-%s", queue_name(name));
    const struct value *doc =
        value_obj(a, "id", value_string(a, id), "paused", value_bool(paused), NULL);
    int rc = store_replace(q->deps->store, C_META, doc, NULL, st);

    if (rc == 1)
        rc = store_insert(q->deps->store, C_META, doc, st);
    arena_free(&a);
    return rc < 0 ? -1 : queue_read_paused(q, st);
}

int queue_read_paused(struct queue *q, struct status *st) {
    struct arena *a = arena_new(0);
    int rc = 0;

    for (int i = 0; i < QUEUE_COUNT && rc >= 0; i++) {
        const struct value *doc;
        bool paused, was;

        rc = store_get(q->deps->store, a, C_META,
                       arena_printf(a, "queue-%s", queue_name((enum queue_name)i)), &doc,
                       st);
        if (rc < 0)
            break;
        paused = rc == 0 && value_get_bool(doc, "paused", false);
        was = atomic_exchange(&q->paused[i], paused);
        if (was && !paused)
            q->dispatch->ops->wake(q->dispatch);
    }
    arena_free(&a);
    return rc < 0 ? -1 : 0;
}
