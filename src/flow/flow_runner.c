/*
 * flow_runner.c - threads that execute flow runs of this process.
 *
 * The waiting list is one queue; a free thread takes the first run whose connection no
 * other thread works on. The store is the truth: the list is made of it at start.
 */
#include "flow_runner.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"
#include "flow_run.h"
#include "store/store.h"
#include "value/value.h"

enum { MAX_THREADS = 64, MAX_TRIES = 3 };

struct waiting {
    struct waiting *next;
    int tries;
    char run_id[64], connection_id[64];
};

struct lane_of_runner {
    struct flow_runner *runner;
    pthread_t thread;
    struct waiting *active;
    _Atomic int cancel;
};

struct flow_runner {
    const struct deps *deps;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct waiting *first, **last;
    bool ending;
    size_t threads;
    struct lane_of_runner lanes[MAX_THREADS];
};

static bool is_busy(const struct flow_runner *r, const char *connection_id) {
    for (size_t i = 0; i < r->threads; i++)
        if (r->lanes[i].active &&
            strcmp(r->lanes[i].active->connection_id, connection_id) == 0)
            return true;
    return false;
}

/* Under the lock: the first that may run, taken from the list; or NULL. */
static struct waiting *take(struct flow_runner *r) {
    for (struct waiting **p = &r->first; *p; p = &(*p)->next) {
        struct waiting *w = *p;

        if (is_busy(r, w->connection_id))
            continue;
        *p = w->next;
        if (!*p)
            r->last = p;
        w->next = NULL;
        return w;
    }
    return NULL;
}

static void append(struct flow_runner *r, struct waiting *w) {
    *r->last = w;
    r->last = &w->next;
    pthread_cond_broadcast(&r->changed);
}

/* Gives true when the store failed and the run shall be tried again. */
static bool execute(struct lane_of_runner *l) {
    struct arena *a = arena_new(0);
    struct status st;
    bool again;

    st_init(&st, a);
    again = flow_run_execute(l->runner->deps, l->active->run_id, &l->cancel, &st) < 0 &&
            ++l->active->tries < MAX_TRIES;
    arena_free(&a);
    return again;
}

static void *work(void *arg) {
    struct lane_of_runner *l = arg;
    struct flow_runner *r = l->runner;

    pthread_mutex_lock(&r->lock);
    while (!r->ending) {
        bool again;

        l->active = take(r);
        if (!l->active) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        atomic_store(&l->cancel, FLOW_RUN_GO_ON);
        pthread_mutex_unlock(&r->lock);
        again = execute(l);
        pthread_mutex_lock(&r->lock);
        if (again)
            append(r, l->active);
        else
            free(l->active);
        l->active = NULL;
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

struct flow_runner *flow_runner_new(const struct deps *deps, size_t threads) {
    struct flow_runner *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->deps = deps;
    r->last = &r->first;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    if (threads > MAX_THREADS)
        threads = MAX_THREADS;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < threads; i++) {
        r->lanes[i].runner = r;
        if (pthread_create(&r->lanes[i].thread, NULL, work, &r->lanes[i]) != 0)
            break;
        r->threads++;
    }
    pthread_mutex_unlock(&r->lock);
    return r;
}

void flow_runner_free(struct flow_runner **rp) {
    struct flow_runner *r = *rp;

    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    for (size_t i = 0; i < r->threads; i++)
        atomic_store(&r->lanes[i].cancel, FLOW_RUN_ABANDON);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < r->threads; i++)
        pthread_join(r->lanes[i].thread, NULL);
    for (struct waiting *w = r->first, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
    *rp = NULL;
}

void flow_runner_submit(struct flow_runner *r, const char *run_id,
                        const char *connection_id) {
    struct waiting *w = calloc(1, sizeof(*w));

    if (!w)
        abort();
    strncpy(w->run_id, run_id, sizeof(w->run_id) - 1);
    strncpy(w->connection_id, connection_id, sizeof(w->connection_id) - 1);
    pthread_mutex_lock(&r->lock);
    append(r, w);
    pthread_mutex_unlock(&r->lock);
}

size_t flow_runner_waiting(struct flow_runner *r, const char *connection_id) {
    size_t n = 0;

    pthread_mutex_lock(&r->lock);
    for (const struct waiting *w = r->first; w; w = w->next)
        n += strcmp(w->connection_id, connection_id) == 0;
    pthread_mutex_unlock(&r->lock);
    return n;
}

void flow_runner_stop(struct flow_runner *r, const char *run_id) {
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->threads; i++)
        if (r->lanes[i].active && strcmp(r->lanes[i].active->run_id, run_id) == 0 &&
            atomic_load(&r->lanes[i].cancel) == FLOW_RUN_GO_ON)
            atomic_store(&r->lanes[i].cancel, FLOW_RUN_STOP);
    pthread_mutex_unlock(&r->lock);
}

static int take_up_state(struct flow_runner *r, struct arena *a, const char *state,
                         struct status *st) {
    struct store_query q = {.where = store_eq_text(a, "state", state),
                            .sort = {{"createdAt", false}}};
    struct store_page page;

    do {
        if (store_list(r->deps->store, a, C_FLOW_RUNS, &q, &page, st) < 0)
            return -1;
        for (VALUE_EACH_ITEM(run, page.items))
            flow_runner_submit(r, value_get_string(run, "id", ""),
                               value_get_string(run, "connectionId", ""));
        q.cursor = page.cursor;
    } while (page.cursor && page.items->len);
    return 0;
}

int flow_runner_take_up(struct flow_runner *r, struct status *st) {
    struct arena *a = arena_new(0);
    int rc = take_up_state(r, a, "running", st);

    if (rc == 0)
        rc = take_up_state(r, a, "queued", st);
    arena_free(&a);
    return rc;
}
