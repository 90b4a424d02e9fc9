/*
 * queue_worker.c - threads that run tasks, one at a time each, and one that keeps them.
 *
 * The keeper renews leases, writes heartbeats, ends what is over its time and looks for
 * tasks of other processes. A thread in a handler can't be stopped from outside: the
 * handler asks queue_run_should_stop(). A task whose handler does not ask is ended in the
 * store when its time is over, and what the handler says later changes nothing.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "queue_priv.h"
#include "store/store.h"
#include "value/value.h"

enum {
    POLL_SHARED_MS = 200, /* how late a task of another process is seen */
    POLL_ALONE_MS = 1000,
    POLL_OVERLAP_MS = 2000, /* between readyMs and the end of its write */
    SWEEP_MS = 5000,
    FULL_SWEEP_MS = 60000,
    SHARED_SWEEP_MS = 30000,
    RESERVE_WAIT_MS = 1000,
    INSTANT_LIMIT_S = 60,
    CUT_OFF_MS = 2000, /* a handler's time to notice that its time is over */
};

struct queue_slot {
    struct queue_workers *workers;
    enum queue_name queue;
    const char *holder;
    pthread_t thread;
    pthread_mutex_t mu;
    struct arena *arena;      /* of the run */
    struct queue_claim claim; /* guarded by: mu */
    bool busy, ended;         /* guarded by: mu; ended: in the store, by the keeper */
    int64_t deadline_ms, renew_ms; /* guarded by: mu; monotonic */
    atomic_bool lost, gone;
    atomic_int cancelled;
    struct arena_budget budget;
};

/* A task that was done, on its way out of the store. */
struct ended {
    struct ended *next;
    const char *holder; /* of the slot */
    char id[];
};

enum { ENDED_MAX = 64 }; /* more than that are waited for */

struct queue_workers {
    struct queue *queue;
    struct queue_workers_options options;
    struct arena *arena;
    struct queue_slot *slots;
    size_t slots_len;
    pthread_t keeper;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    bool end; /* guarded by: mu */
    atomic_bool stopping;
    pthread_t finisher;
    pthread_mutex_t ended_mu;
    pthread_cond_t ended_wake; /* something ended, or the list is empty again */
    struct ended *ended;       /* guarded by: ended_mu, as the next two */
    size_t ended_len;
    bool ended_end;
};

static int64_t monotonic(const struct queue *q) {
    return clock_monotonic_ms(q->deps->clock);
}

static void report_trouble(struct queue_workers *w, const struct status *st) {
    if (w->options.trouble)
        w->options.trouble(w->options.ctx, st);
}

/* ---- For handlers ---- */

enum queue_stop queue_run_stop(const struct queue_run *r) {
    const struct queue_slot *s = r->slot;

    if (atomic_load(&s->lost))
        return QUEUE_STOP_LOST;
    if (atomic_load(&s->cancelled))
        return QUEUE_STOP_CANCELLED;
    if (clock_monotonic_ms(r->deps->clock) >= r->deadline_ms)
        return QUEUE_STOP_TIME;
    if (arena_exceeded(r->arena))
        return QUEUE_STOP_MEMORY;
    return atomic_load(&s->workers->stopping) ? QUEUE_STOP_PROCESS : QUEUE_GO_ON;
}

bool queue_run_should_stop(const struct queue_run *r) {
    return queue_run_stop(r) != QUEUE_GO_ON;
}

int queue_run_checkpoint(struct queue_run *r, const struct value *payload,
                         struct status *st) {
    struct store_change change = {.set = value_obj(r->arena, "payload", payload, NULL)};
    int rc = store_update(
        r->deps->store, r->arena, C_TASKS, r->id,
        store_and(r->arena, store_eq_text(r->arena, "state", "running"),
                  store_eq_text(r->arena, "leaseHolder", r->slot->holder),
                  store_eq(r->arena, "attempt", value_number(r->arena, r->attempt)),
                  NULL),
        &change, NULL, st);

    if (rc != 1)
        return rc;
    atomic_store(&r->slot->lost, true);
    return st_fail(st, ST_CONCURRENCY, "lease_lost", "another worker has the task now");
}

/* ---- Running one ---- */

static int time_limit_s(const struct queue *q, const struct queue_kind *k) {
    if (k->time_limit_s)
        return k->time_limit_s;
    return k->queue == QUEUE_INSTANT
               ? INSTANT_LIMIT_S
               : (int)q->deps->config->max_queued_tasks_process_time_seconds;
}

static int fail_timed_out(struct queue *q, const struct queue_claim *c,
                          struct status *st) {
    struct status why;

    st_init(&why, st->arena);
    st_fail(&why, ST_INTERNAL, "request_timeout", "the task was not done within %d s",
            time_limit_s(q, c->kind));
    return queue_fail(q, c, false, &why, st);
}

static int store_result(struct queue_slot *s, enum queue_result result,
                        const struct queue_run *r, struct status *why,
                        struct status *st) {
    struct queue *q = s->workers->queue;
    const struct queue_claim *c = &s->claim;

    if (arena_exceeded(r->arena)) {
        st_clear(why);
        st_fail(why, ST_INTERNAL, "memory_limit_exceeded",
                "the task needs more than MAX_QUEUED_TASKS_MEMORY_MB");
        return queue_fail(q, c, false, why, st);
    }
    if (monotonic(q) >= r->deadline_ms)
        return fail_timed_out(q, c, st);
    if (result == QUEUE_HANDED_BACK)
        return queue_hand_back(q, c, st);
    return queue_fail(q, c, result == QUEUE_FAILED, why, st);
}

/* Tries until the store answers: else the task would run a second time. */
static void settle(struct queue_slot *s, enum queue_result result,
                   const struct queue_run *r, struct status *why) {
    struct queue_workers *w = s->workers;
    struct timespec pause = {0, 200 * 1000000};
    struct arena *a = arena_new(0);
    struct status st;

    for (int i = 0; i < 20; i++) {
        st_init(&st, a);
        if (store_result(s, result, r, why, &st) >= 0)
            break;
        report_trouble(w, &st);
        nanosleep(&pause, NULL);
    }
    arena_free(&a);
}

/*
 * Done tasks leave the store together, while their workers go on: the wait for the disk
 * is not a worker's. A process that is killed in between runs such a task once more, as
 * it does one that was killed a moment earlier.
 */
static void finish_soon(struct queue_slot *s) {
    struct queue_workers *w = s->workers;
    size_t len = strlen(s->claim.id) + 1;
    struct ended *e = malloc(sizeof(*e) + len);

    if (!e)
        abort();
    e->holder = s->holder;
    memcpy(e->id, s->claim.id, len);
    pthread_mutex_lock(&w->ended_mu);
    while (w->ended_len >= ENDED_MAX)
        pthread_cond_wait(&w->ended_wake, &w->ended_mu);
    e->next = w->ended;
    w->ended = e;
    w->ended_len++;
    pthread_cond_broadcast(&w->ended_wake);
    pthread_mutex_unlock(&w->ended_mu);
}

/* 0, or -1: the store failed, nothing may have been done. */
static int delete_ended(struct queue_workers *w, struct arena *a,
                        const struct ended *list, struct status *st) {
    struct array_builder ids, holders;
    const struct store_filter *where;

    array_begin(&ids, a, ENDED_MAX);
    array_begin(&holders, a, ENDED_MAX);
    for (const struct ended *e = list; e; e = e->next) {
        array_push(&ids, value_string(a, e->id));
        array_push(&holders, value_string(a, e->holder));
    }
    where = store_and(a, store_cmp(a, STORE_IN, "id", array_end(&ids)),
                      store_eq_text(a, "state", "running"),
                      store_cmp(a, STORE_IN, "leaseHolder", array_end(&holders)), NULL);
    return store_delete_many(w->queue->deps->store, C_TASKS, where, NULL, st);
}

static void finish_all(struct queue_workers *w, struct ended *list) {
    struct timespec pause = {0, 200 * 1000000};
    struct arena *a = arena_new(0);

    for (int i = 0; i < 20; i++) {
        struct status st;

        arena_reset(a);
        st_init(&st, a);
        if (delete_ended(w, a, list, &st) == 0)
            break;
        report_trouble(w, &st);
        nanosleep(&pause, NULL);
    }
    for (struct ended *next; list; list = next) {
        next = list->next;
        w->queue->dispatch->ops->release(w->queue->dispatch, list->id);
        free(list);
    }
    arena_free(&a);
}

static void *finish_ended(void *arg) {
    struct queue_workers *w = arg;

    pthread_mutex_lock(&w->ended_mu);
    for (;;) {
        struct ended *list;

        while (!w->ended && !w->ended_end)
            pthread_cond_wait(&w->ended_wake, &w->ended_mu);
        if (!w->ended)
            break;
        list = w->ended;
        w->ended = NULL;
        w->ended_len = 0;
        pthread_cond_broadcast(&w->ended_wake);
        pthread_mutex_unlock(&w->ended_mu);
        finish_all(w, list);
        pthread_mutex_lock(&w->ended_mu);
    }
    pthread_mutex_unlock(&w->ended_mu);
    return NULL;
}

static const char *result_name(enum queue_result r) {
    static const char *const names[] = {
        [QUEUE_DONE] = "done",
        [QUEUE_FAILED] = "failed",
        [QUEUE_GIVEN_UP] = "given-up",
        [QUEUE_HANDED_BACK] = "handed-back",
    };

    return names[r];
}

static void begin(struct queue_slot *s, const struct queue_claim *c, int64_t now) {
    struct queue *q = s->workers->queue;

    pthread_mutex_lock(&s->mu);
    s->claim = *c;
    s->busy = true;
    s->ended = false;
    s->renew_ms = now + q->lease_ms / 3;
    s->deadline_ms = now + time_limit_s(q, c->kind) * (int64_t)1000;
    atomic_store(&s->lost, false);
    atomic_store(&s->cancelled, 0);
    pthread_mutex_unlock(&s->mu);
    atomic_fetch_add(&q->busy[s->queue], 1);
}

static void run_claim(struct queue_slot *s, const struct queue_claim *c) {
    struct queue_workers *w = s->workers;
    struct queue *q = w->queue;
    int64_t start = monotonic(q), ms;
    struct queue_run r = {
        .deps = q->deps,
        .arena = s->arena,
        .kind = c->kind,
        .task = c->task,
        .payload = value_get(c->task, "payload"),
        .id = c->id,
        .workspace_id = value_get_string(c->task, "workspaceId", NULL),
        .customer_id = value_get_string(c->task, "customerId", NULL),
        .connection_id = value_get_string(c->task, "connectionId", NULL),
        .attempt = c->attempt,
        .crashes = (int)value_get_number(c->task, "crashes", 0),
        .cancelled = &s->cancelled,
        .slot = s,
    };
    enum queue_result result;
    struct status why;

    begin(s, c, start);
    r.deadline_ms = s->deadline_ms;
    atomic_store(&s->budget.used, 0);
    s->budget.limit = (size_t)q->deps->config->max_queued_tasks_memory_mb << 20;
    arena_set_budget(s->arena, &s->budget);
    st_init(&why, s->arena);
    result = c->kind->run(&r, &why);
    pthread_mutex_lock(&s->mu);
    if (!s->ended && result == QUEUE_DONE)
        finish_soon(s);
    else if (!s->ended)
        settle(s, result, &r, &why);
    s->busy = false;
    pthread_mutex_unlock(&s->mu);
    atomic_fetch_sub(&q->busy[s->queue], 1);
    ms = monotonic(q) - start;
    metric_add(q->processed, (const char *[]){queue_name(s->queue), result_name(result)},
               1);
    metric_observe(q->duration, (const char *[]){queue_name(s->queue)}, (double)ms / 1e3);
    if (w->options.ended)
        w->options.ended(w->options.ctx, &r, result, &why, ms);
}

static void *work(void *arg) {
    struct queue_slot *s = arg;
    struct queue_workers *w = s->workers;
    struct timespec pause = {1, 0};

    while (!atomic_load(&w->stopping)) {
        struct queue_claim c;
        struct status st;
        int rc;

        arena_set_budget(s->arena, NULL);
        arena_reset(s->arena);
        st_init(&st, s->arena);
        rc = queue_reserve(w->queue, s->arena, s->queue, s->holder, RESERVE_WAIT_MS, &c,
                           &st);
        if (rc == 0)
            run_claim(s, &c);
        if (rc < 0) {
            report_trouble(w, &st);
            nanosleep(&pause, NULL);
        }
    }
    atomic_store(&s->gone, true);
    return NULL;
}

/* ---- The keeper ---- */

/* Renews the lease, or ends what is over its time. */
static void keep_slot(struct queue_slot *s, struct status *st) {
    struct queue *q = s->workers->queue;
    int64_t now = monotonic(q);

    if (pthread_mutex_trylock(&s->mu) != 0)
        return; /* it is just ending */
    if (s->busy && !s->ended && now >= s->deadline_ms + CUT_OFF_MS) {
        if (fail_timed_out(q, &s->claim, st) >= 0)
            s->ended = true;
    } else if (s->busy && !s->ended && now >= s->renew_ms) {
        bool cancelled = false;
        int rc = queue_renew(q, &s->claim, &cancelled, st);

        if (cancelled)
            atomic_store(&s->cancelled, 1);
        if (rc == 1)
            atomic_store(&s->lost, true);
        if (rc >= 0)
            s->renew_ms = now + q->lease_ms / 3;
    }
    pthread_mutex_unlock(&s->mu);
}

static int beat(struct queue_slot *s, struct arena *a, struct status *st) {
    struct queue *q = s->workers->queue;
    const struct value *doc = value_obj(
        a, "id", value_string(a, s->holder), "queue",
        value_string(a, queue_name(s->queue)), "process", value_string(a, q->process),
        "heartbeatMs", value_number(a, (double)clock_now_ms(q->deps->clock)), NULL);
    int rc = store_replace(q->deps->store, C_WORKERS, doc, NULL, st);

    return rc == 1 ? store_insert(q->deps->store, C_WORKERS, doc, st) : rc;
}

struct keeper {
    int64_t next_beat, next_sweep, next_full, next_look;
    int64_t ready_since; /* on the wall clock */
    bool sweep_failed;
};

/* The dispatch says whose turn it is to sweep. */
static int sweep_shared(struct queue *q, struct keeper *k, int64_t now,
                        struct status *st) {
    int rc = 0;

    if (now < k->next_full)
        return 0;
    k->next_full = now + POLL_ALONE_MS;
    if (k->sweep_failed || q->dispatch->ops->is_sweep_due(q->dispatch, SHARED_SWEEP_MS)) {
        rc = queue_offer_waiting(q, 0, st);
        k->sweep_failed = rc < 0;
    }
    return rc;
}

static void keep(struct queue_workers *w, struct keeper *k, struct arena *a) {
    struct queue *q = w->queue;
    int64_t now = monotonic(q), wall = clock_now_ms(q->deps->clock);
    struct status st;
    int rc = 0;

    st_init(&st, a);
    for (size_t i = 0; i < w->slots_len; i++)
        keep_slot(&w->slots[i], &st);
    if (now >= k->next_beat) {
        for (size_t i = 0; i < w->slots_len && rc >= 0; i++)
            rc = beat(&w->slots[i], a, &st);
        k->next_beat = now + QUEUE_WORKER_BEAT_MS;
    }
    if (rc >= 0 && now >= k->next_sweep) {
        int period = q->lease_ms / 3 < SWEEP_MS ? q->lease_ms / 3 : SWEEP_MS;

        rc = queue_read_paused(q, &st);
        if (rc == 0)
            rc = queue_expire_leases(q, NULL, &st);
        k->next_sweep = now + period;
    }
    if (rc >= 0 && now >= k->next_look &&
        (q->dispatch->ops->is_shared || (q->shared && q->deps->config->enable_limits))) {
        rc = queue_look_around(q, &st);
        k->next_look = now + (q->dispatch->ops->is_shared ? SWEEP_MS : 1000);
    }
    if (rc >= 0 && q->dispatch->ops->is_shared) {
        rc = sweep_shared(q, k, now, &st);
    } else if (rc >= 0 && now >= k->next_full) {
        rc = queue_offer_waiting(q, 0, &st);
        k->next_full = now + FULL_SWEEP_MS;
        k->ready_since = wall - POLL_OVERLAP_MS;
    } else if (rc >= 0 && q->shared) {
        rc = queue_offer_waiting(q, k->ready_since, &st);
        if (rc == 0)
            k->ready_since = wall - POLL_OVERLAP_MS;
    }
    if (st.type != ST_OK)
        report_trouble(w, &st);
}

static void *keep_all(void *arg) {
    struct queue_workers *w = arg;
    struct arena *a = arena_new(0);
    struct keeper k = {0};
    struct timespec until;
    bool end = false;

    while (!end) {
        bool polls = w->queue->shared && !w->queue->dispatch->ops->is_shared;
        int64_t ms = polls ? POLL_SHARED_MS : POLL_ALONE_MS;

        arena_reset(a);
        keep(w, &k, a);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (until.tv_nsec / 1000000 + ms) / 1000;
        until.tv_nsec = (until.tv_nsec + ms * 1000000) % 1000000000;
        pthread_mutex_lock(&w->mu);
        if (!w->end)
            pthread_cond_timedwait(&w->wake, &w->mu, &until);
        end = w->end;
        pthread_mutex_unlock(&w->mu);
    }
    arena_free(&a);
    return NULL;
}

/* ---- Start and end ---- */

static void *must(void *p) {
    if (!p)
        abort();
    return p;
}

static void start_slot(struct queue_workers *w, enum queue_name name, int number) {
    struct queue_slot *s = &w->slots[w->slots_len++];

    s->workers = w;
    s->queue = name;
    s->holder =
        arena_printf(w->arena, "%s-%s%d", w->queue->process, queue_name(name), number);
    s->arena = arena_new(0);
    pthread_mutex_init(&s->mu, NULL);
    if (pthread_create(&s->thread, NULL, work, s) != 0)
        abort();
}

/* Alone on the store: what runs in it, an earlier process ran. */
static void take_over(struct queue_workers *w) {
    struct arena *a = arena_new(0);
    struct status st;

    st_init(&st, a);
    if (queue_expire_all(w->queue, NULL, &st) < 0)
        report_trouble(w, &st);
    arena_free(&a);
}

struct queue_workers *queue_workers_start(struct queue *q,
                                          const struct queue_workers_options *o) {
    struct queue_workers *w = must(calloc(1, sizeof(*w)));
    pthread_condattr_t attr;

    w->queue = q;
    w->options = *o;
    w->arena = arena_new(0);
    w->slots = must(calloc((size_t)(QUEUE_COUNT * o->threads), sizeof(*w->slots)));
    pthread_mutex_init(&w->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->ended_mu, NULL);
    pthread_cond_init(&w->ended_wake, NULL);
    if (pthread_create(&w->finisher, NULL, finish_ended, w) != 0)
        abort();
    if (!q->shared)
        take_over(w);
    for (int i = 0; i < QUEUE_COUNT; i++)
        for (int n = 0; (o->queues & 1u << i) && n < o->threads; n++)
            start_slot(w, (enum queue_name)i, n);
    if (pthread_create(&w->keeper, NULL, keep_all, w) != 0)
        abort();
    pthread_mutex_lock(&q->workers_mu);
    q->workers = w;
    pthread_mutex_unlock(&q->workers_mu);
    return w;
}

bool queue_workers_cancel(struct queue_workers *w, const char *id) {
    bool found = false;

    for (size_t i = 0; i < w->slots_len && !found; i++) {
        struct queue_slot *s = &w->slots[i];

        pthread_mutex_lock(&s->mu);
        if (s->busy && strcmp(s->claim.id, id) == 0) {
            atomic_store(&s->cancelled, 1);
            found = true;
        }
        pthread_mutex_unlock(&s->mu);
    }
    return found;
}

void queue_workers_stop(struct queue_workers *w) {
    atomic_store(&w->stopping, true);
    w->queue->dispatch->ops->wake(w->queue->dispatch);
}

int queue_workers_busy(const struct queue_workers *w) {
    int n = 0;

    for (int i = 0; i < QUEUE_COUNT; i++)
        n += atomic_load(&w->queue->busy[i]);
    return n;
}

/* What a cut-off handler was doing goes to another worker. */
static void cut_off(struct queue_slot *s) {
    struct arena *a = arena_new(0);
    struct status st;

    st_init(&st, a);
    pthread_mutex_lock(&s->mu);
    if (s->busy && !s->ended) {
        queue_hand_back(s->workers->queue, &s->claim, &st);
        s->ended = true;
        atomic_store(&s->lost, true);
    }
    pthread_mutex_unlock(&s->mu);
    arena_free(&a);
}

static void say_goodbye(struct queue_slot *s) {
    struct arena *a = arena_new(0);
    struct status st;

    st_init(&st, a);
    store_delete(s->workers->queue->deps->store, C_WORKERS, s->holder, NULL, &st);
    arena_free(&a);
}

static bool is_busy(struct queue_slot *s) {
    bool busy;

    pthread_mutex_lock(&s->mu);
    busy = s->busy;
    pthread_mutex_unlock(&s->mu);
    return busy;
}

/* After it has done what there was. */
static void end_finisher(struct queue_workers *w) {
    pthread_mutex_lock(&w->ended_mu);
    w->ended_end = true;
    pthread_cond_broadcast(&w->ended_wake);
    pthread_mutex_unlock(&w->ended_mu);
    pthread_join(w->finisher, NULL);
}

bool queue_workers_join(struct queue_workers **wp) {
    struct queue_workers *w = *wp;
    bool clean = true;

    queue_workers_stop(w);
    pthread_mutex_lock(&w->queue->workers_mu);
    w->queue->workers = NULL;
    pthread_mutex_unlock(&w->queue->workers_mu);
    pthread_mutex_lock(&w->mu);
    w->end = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mu);
    pthread_join(w->keeper, NULL);
    for (size_t i = 0; i < w->slots_len; i++) {
        struct queue_slot *s = &w->slots[i];

        say_goodbye(s);
        if (!atomic_load(&s->gone) && is_busy(s)) {
            cut_off(s);
            clean = false;
            continue;
        }
        pthread_join(s->thread, NULL);
        pthread_mutex_destroy(&s->mu);
        arena_free(&s->arena);
    }
    *wp = NULL;
    end_finisher(w);
    if (!clean)
        return false; /* a handler still uses it all */
    pthread_cond_destroy(&w->ended_wake);
    pthread_mutex_destroy(&w->ended_mu);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mu);
    arena_free(&w->arena);
    free(w->slots);
    free(w);
    return true;
}
