/*
 * dispatch_memory.c - the fair order, in memory.
 *
 * A tree per queue: workspaces, customers, connections ("lanes"). Nodes with something
 * waiting below them stand in their parent's ring; taking a task walks from the root,
 * tries the children of each ring in turn, and moves the ring behind the child that gave
 * one. A lane is a list, so a hundred thousand tasks of one workspace cost another
 * nothing. Tasks for later stand in a heap by time. Beside the tree, one node for each
 * (workspace, kind) and (connection, kind) counts what runs under limits of their own.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "dispatch.h"

enum level { ROOT, WORKSPACE, CUSTOMER, LANE, COUNTER };

struct node {
    struct node *parent;
    struct node *next, *prev;  /* siblings in the parent's ring; NULL: not in it */
    struct node *ring;         /* child whose turn is next */
    struct task *first, *last; /* of a lane */
    struct node *bucket;       /* next in the hash chain */
    enum level level;
    size_t waiting, running;
    size_t users; /* tasks and children that need it */
    char *key;
};

struct task {
    struct task *bucket;
    struct task *next, *prev; /* in the lane */
    struct node *lane, *kind_count, *connection_count;
    unsigned queue, kind;
    bool waits, runs, foreign, seen;
    size_t heap_at; /* 1-based; 0: not in the heap */
    int64_t not_before_ms, order_ms;
    char *workspace_id;
    char id[];
};

struct memory {
    struct queue_dispatch base;
    struct clock *clock;
    void (*limits)(void *, const char *, unsigned, unsigned, struct dispatch_limits *);
    void *ctx;
    pthread_mutex_t mu;
    pthread_cond_t changed[QUEUE_COUNT_MAX];
    unsigned wakes;
    struct node root[QUEUE_COUNT_MAX];
    struct node **nodes; /* hash tables; sizes are powers of two */
    struct task **tasks;
    size_t nodes_len, nodes_cap, tasks_len, tasks_cap;
    struct task **later; /* heap by time */
    size_t later_len, later_cap;
};

static struct memory *memory_of(struct queue_dispatch *d) {
    return (struct memory *)d;
}

static void *must(void *p) {
    if (!p)
        abort();
    return p;
}

/* ---- Hash tables ---- */

static uint32_t hash_text(const char *s) {
    uint32_t h = 2166136261u;

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

static void grow_tasks(struct memory *m) {
    size_t cap = m->tasks_cap ? 2 * m->tasks_cap : 256;
    struct task **table = must(calloc(cap, sizeof(*table))), *t;

    for (size_t i = 0; i < m->tasks_cap; i++)
        while ((t = m->tasks[i])) {
            size_t at = hash_text(t->id) & (cap - 1);

            m->tasks[i] = t->bucket;
            t->bucket = table[at];
            table[at] = t;
        }
    free(m->tasks);
    m->tasks = table;
    m->tasks_cap = cap;
}

static void grow_nodes(struct memory *m) {
    size_t cap = m->nodes_cap ? 2 * m->nodes_cap : 64;
    struct node **table = must(calloc(cap, sizeof(*table))), *n;

    for (size_t i = 0; i < m->nodes_cap; i++)
        while ((n = m->nodes[i])) {
            size_t at = hash_text(n->key) & (cap - 1);

            m->nodes[i] = n->bucket;
            n->bucket = table[at];
            table[at] = n;
        }
    free(m->nodes);
    m->nodes = table;
    m->nodes_cap = cap;
}

static struct task **task_place(struct memory *m, const char *id) {
    struct task **p = &m->tasks[hash_text(id) & (m->tasks_cap - 1)];

    while (*p && strcmp((*p)->id, id) != 0)
        p = &(*p)->bucket;
    return p;
}

/* ---- Nodes ---- */

/* Takes key (heap). */
static struct node *node_use(struct memory *m, struct node *parent, enum level level,
                             char *key) {
    struct node **p, *n;

    if (m->nodes_len >= m->nodes_cap)
        grow_nodes(m);
    p = &m->nodes[hash_text(key) & (m->nodes_cap - 1)];
    while (*p && strcmp((*p)->key, key) != 0)
        p = &(*p)->bucket;
    if (!(n = *p)) {
        *p = n = must(calloc(1, sizeof(*n)));
        n->parent = parent;
        n->level = level;
        n->key = key;
        if (parent)
            parent->users++;
        m->nodes_len++;
    } else {
        free(key);
    }
    n->users++;
    return n;
}

static void node_drop(struct memory *m, struct node *n) {
    struct node *parent, **p;

    while (n && n->level != ROOT && --n->users == 0) {
        p = &m->nodes[hash_text(n->key) & (m->nodes_cap - 1)];
        while (*p != n)
            p = &(*p)->bucket;
        *p = n->bucket;
        m->nodes_len--;
        parent = n->parent;
        free(n->key);
        free(n);
        n = parent;
    }
}

/* Behind all others of the round. */
static void ring_add(struct node *n) {
    struct node *first = n->parent->ring;

    if (!first) {
        n->next = n->prev = n;
        n->parent->ring = n;
        return;
    }
    n->next = first;
    n->prev = first->prev;
    first->prev->next = n;
    first->prev = n;
}

static void ring_remove(struct node *n) {
    if (n->next == n) {
        n->parent->ring = NULL;
    } else {
        if (n->parent->ring == n)
            n->parent->ring = n->next;
        n->prev->next = n->next;
        n->next->prev = n->prev;
    }
    n->next = n->prev = NULL;
}

static void count_waiting(struct node *n, int delta) {
    for (; n; n = n->parent) {
        n->waiting += (size_t)delta;
        if (n->level == ROOT)
            break;
        if (n->waiting && !n->next)
            ring_add(n);
        else if (!n->waiting && n->next)
            ring_remove(n);
    }
}

static void count_running(struct task *t, int delta) {
    for (struct node *n = t->lane; n; n = n->parent)
        n->running += (size_t)delta;
    t->kind_count->running += (size_t)delta;
    if (t->connection_count)
        t->connection_count->running += (size_t)delta;
}

/* ---- Tasks for later ---- */

static void heap_put(struct memory *m, size_t at, struct task *t) {
    m->later[at - 1] = t;
    t->heap_at = at;
}

static void heap_up(struct memory *m, size_t at, struct task *t) {
    while (at > 1 && m->later[at / 2 - 1]->not_before_ms > t->not_before_ms) {
        heap_put(m, at, m->later[at / 2 - 1]);
        at /= 2;
    }
    heap_put(m, at, t);
}

static void heap_add(struct memory *m, struct task *t) {
    if (m->later_len == m->later_cap) {
        m->later_cap = m->later_cap ? 2 * m->later_cap : 64;
        m->later = must(realloc(m->later, m->later_cap * sizeof(struct task *)));
    }
    heap_up(m, ++m->later_len, t);
}

static void heap_remove(struct memory *m, struct task *t) {
    size_t at = t->heap_at, child;
    struct task *last = m->later[--m->later_len];

    t->heap_at = 0;
    if (last == t)
        return;
    while ((child = 2 * at) <= m->later_len) {
        if (child < m->later_len &&
            m->later[child]->not_before_ms < m->later[child - 1]->not_before_ms)
            child++;
        if (m->later[child - 1]->not_before_ms >= last->not_before_ms)
            break;
        heap_put(m, at, m->later[child - 1]);
        at = child;
    }
    heap_up(m, at, last);
}

/* ---- Lanes ---- */

/* The last one that goes before t, looked for from both ends: what comes back is old. */
static struct task *lane_place(const struct node *lane, const struct task *t) {
    struct task *front = NULL, *back = lane->last;

    for (;;) {
        struct task *next = front ? front->next : lane->first;

        if (!back || back->order_ms <= t->order_ms)
            return back;
        if (next->order_ms > t->order_ms)
            return front;
        front = next;
        back = back->prev;
    }
}

static void lane_add(struct task *t) {
    struct node *lane = t->lane;
    struct task *before = lane_place(lane, t);

    t->waits = true;
    t->prev = before;
    t->next = before ? before->next : lane->first;
    *(before ? &before->next : &lane->first) = t;
    *(t->next ? &t->next->prev : &lane->last) = t;
    count_waiting(lane, 1);
}

static void lane_remove(struct task *t) {
    struct node *lane = t->lane;

    *(t->prev ? &t->prev->next : &lane->first) = t->next;
    *(t->next ? &t->next->prev : &lane->last) = t->prev;
    t->waits = false;
    count_waiting(lane, -1);
}

static char *key_of(const char *format_kind, unsigned number, const char *x,
                    const char *y, const char *z) {
    size_t size = strlen(x) + strlen(y) + strlen(z) + 32;
    char *key = must(malloc(size));

    /* U+001F can't be in an id of ours; a clash would only join two turns */
    snprintf(key, size, "%s%u\x1f%s\x1f%s\x1f%s", format_kind, number, x, y, z);
    return key;
}

static struct task *task_new(struct memory *m, const struct dispatch_task *from) {
    const char *workspace = from->workspace_id ? from->workspace_id : "";
    const char *customer = from->customer_id ? from->customer_id : "";
    const char *connection = from->connection_id ? from->connection_id : "";
    size_t len = strlen(from->id);
    struct task *t = must(calloc(1, sizeof(*t) + len + 1)), **place;
    struct node *w, *c;

    assert(from->queue < QUEUE_COUNT_MAX);
    memcpy(t->id, from->id, len);
    t->queue = from->queue;
    t->kind = from->kind;
    t->not_before_ms = from->not_before_ms;
    t->order_ms = from->order_ms;
    t->workspace_id = must(strdup(workspace));
    w = node_use(m, &m->root[t->queue], WORKSPACE,
                 key_of("w", t->queue, workspace, "", ""));
    c = node_use(m, w, CUSTOMER, key_of("c", t->queue, workspace, customer, ""));
    t->lane =
        node_use(m, c, LANE, key_of("l", t->queue, workspace, customer, connection));
    t->kind_count = node_use(m, NULL, COUNTER, key_of("k", t->kind, workspace, "", ""));
    if (*connection)
        t->connection_count =
            node_use(m, NULL, COUNTER, key_of("n", t->kind, connection, "", ""));
    /* the child holds its parent; what node_use counted for us is given back */
    c->users--;
    w->users--;
    if (m->tasks_len >= m->tasks_cap)
        grow_tasks(m);
    place = task_place(m, t->id);
    *place = t;
    m->tasks_len++;
    return t;
}

static void task_forget(struct memory *m, struct task *t) {
    struct task **place = task_place(m, t->id);

    if (t->heap_at)
        heap_remove(m, t);
    if (t->waits)
        lane_remove(t);
    if (t->runs)
        count_running(t, -1);
    *place = t->bucket;
    m->tasks_len--;
    node_drop(m, t->lane);
    node_drop(m, t->kind_count);
    node_drop(m, t->connection_count);
    free(t->workspace_id);
    free(t);
}

/* ---- Taking ---- */

static bool full(double limit, size_t running) {
    return limit > 0 && (double)running >= limit;
}

static bool may_run(struct memory *m, const struct task *t) {
    struct dispatch_limits l = {0};
    const struct node *customer = t->lane->parent;

    m->limits(m->ctx, t->workspace_id, t->queue, t->kind, &l);
    return !l.paused && !full(l.workspace, customer->parent->running) &&
           !full(l.customer, customer->running) &&
           !full(l.kind, t->kind_count->running) &&
           !(t->connection_count && full(l.connection, t->connection_count->running));
}

/* Turns of the ring at each level; NULL when nothing below may run. */
static struct task *pick(struct memory *m, struct node *n) {
    struct node *child = n->ring;

    if (n->level == LANE)
        return n->first && may_run(m, n->first) ? n->first : NULL;
    if (!child)
        return NULL;
    do {
        struct task *t = pick(m, child);

        if (t) {
            n->ring = child->next; /* the next turn is the neighbour's */
            return t;
        }
        child = child->next;
    } while (child != n->ring);
    return NULL;
}

static void move_due(struct memory *m, int64_t now_ms) {
    while (m->later_len && m->later[0]->not_before_ms <= now_ms) {
        struct task *t = m->later[0];

        heap_remove(m, t);
        lane_add(t);
    }
}

static struct task *take_now(struct memory *m, unsigned queue) {
    struct task *t;

    move_due(m, clock_now_ms(m->clock));
    t = pick(m, &m->root[queue]);
    if (t) {
        lane_remove(t);
        t->runs = true;
        count_running(t, 1);
    }
    return t;
}

/* At most until the next task is due. */
static void wait_until(struct memory *m, struct timespec *ret, int wait_ms) {
    int64_t ms = wait_ms;

    if (m->later_len) {
        int64_t due = m->later[0]->not_before_ms - clock_now_ms(m->clock);

        ms = due < ms ? (due < 1 ? 1 : due) : ms;
    }
    ret->tv_sec += ms / 1000;
    ret->tv_nsec += (ms % 1000) * 1000000;
    if (ret->tv_nsec >= 1000000000) {
        ret->tv_sec++;
        ret->tv_nsec -= 1000000000;
    }
}

static int memory_take(struct queue_dispatch *d, struct arena *a, unsigned queue,
                       int wait_ms, const char **ret_id) {
    struct memory *m = memory_of(d);
    struct timespec start, until;
    int64_t waited = 0;
    struct task *t;
    unsigned wakes;

    clock_gettime(CLOCK_MONOTONIC, &start);
    pthread_mutex_lock(&m->mu);
    wakes = m->wakes;
    while (!(t = take_now(m, queue)) && waited < wait_ms && wakes == m->wakes) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        wait_until(m, &until, wait_ms - (int)waited);
        pthread_cond_timedwait(&m->changed[queue], &m->mu, &until);
        clock_gettime(CLOCK_MONOTONIC, &until);
        waited = (until.tv_sec - start.tv_sec) * 1000 +
                 (until.tv_nsec - start.tv_nsec) / 1000000;
    }
    if (t)
        *ret_id = arena_strdup(a, t->id);
    pthread_mutex_unlock(&m->mu);
    return t ? 0 : 1;
}

/* ---- Offers and ends ---- */

static void memory_offer(struct queue_dispatch *d, const struct dispatch_task *from) {
    struct memory *m = memory_of(d);
    struct task *t;

    pthread_mutex_lock(&m->mu);
    if (!m->tasks_cap || !*task_place(m, from->id)) {
        t = task_new(m, from);
        if (t->not_before_ms > clock_now_ms(m->clock))
            heap_add(m, t);
        else
            lane_add(t);
        pthread_cond_signal(&m->changed[t->queue]);
    }
    pthread_mutex_unlock(&m->mu);
}

static void memory_offer_many(struct queue_dispatch *d, const struct dispatch_task *t,
                              size_t n) {
    for (size_t i = 0; i < n; i++)
        memory_offer(d, &t[i]);
}

static void memory_release(struct queue_dispatch *d, const char *id) {
    struct memory *m = memory_of(d);
    struct task *t;
    unsigned queue;

    pthread_mutex_lock(&m->mu);
    if (m->tasks_cap && (t = *task_place(m, id))) {
        queue = t->queue;
        task_forget(m, t);
        pthread_cond_signal(&m->changed[queue]); /* a limit may have room again */
    }
    pthread_mutex_unlock(&m->mu);
}

static void wake_all(struct memory *m) {
    for (int i = 0; i < QUEUE_COUNT_MAX; i++)
        pthread_cond_broadcast(&m->changed[i]);
}

static void forget_unseen(struct memory *m) {
    for (size_t i = 0; i < m->tasks_cap; i++)
        for (struct task *t = m->tasks[i], *next; t; t = next) {
            next = t->bucket;
            if (t->foreign && !t->seen)
                task_forget(m, t);
            else
                t->seen = false;
        }
}

static void memory_set_foreign(struct queue_dispatch *d,
                               const struct dispatch_task *tasks, size_t n) {
    struct memory *m = memory_of(d);

    pthread_mutex_lock(&m->mu);
    for (size_t i = 0; i < n; i++) {
        struct task *t = m->tasks_cap ? *task_place(m, tasks[i].id) : NULL;

        if (t && t->runs && !t->foreign)
            continue; /* it has just come here */
        if (t && !t->runs) {
            task_forget(m, t);
            t = NULL;
        }
        if (!t) {
            t = task_new(m, &tasks[i]);
            t->runs = t->foreign = true;
            count_running(t, 1);
        }
        t->seen = true;
    }
    forget_unseen(m);
    wake_all(m);
    pthread_mutex_unlock(&m->mu);
}

static void memory_wake(struct queue_dispatch *d) {
    struct memory *m = memory_of(d);

    pthread_mutex_lock(&m->mu);
    m->wakes++;
    wake_all(m);
    pthread_mutex_unlock(&m->mu);
}

static size_t memory_waiting(struct queue_dispatch *d, unsigned queue) {
    struct memory *m = memory_of(d);
    size_t n;

    pthread_mutex_lock(&m->mu);
    n = m->root[queue].waiting;
    pthread_mutex_unlock(&m->mu);
    return n;
}

static void memory_free(struct queue_dispatch **dp) {
    struct memory *m = memory_of(*dp);

    for (size_t i = 0; i < m->tasks_cap; i++)
        while (m->tasks[i])
            task_forget(m, m->tasks[i]);
    assert(m->nodes_len == 0);
    free(m->tasks);
    free(m->nodes);
    free(m->later);
    for (int i = 0; i < QUEUE_COUNT_MAX; i++)
        pthread_cond_destroy(&m->changed[i]);
    pthread_mutex_destroy(&m->mu);
    free(m);
    *dp = NULL;
}

static const struct dispatch_ops memory_ops = {
    .offer = memory_offer,
    .offer_many = memory_offer_many,
    .take = memory_take,
    .release = memory_release,
    .set_foreign = memory_set_foreign,
    .wake = memory_wake,
    .waiting = memory_waiting,
    .free = memory_free,
};

struct queue_dispatch *queue_dispatch_memory(struct clock *clock,
                                             void (*limits)(void *, const char *,
                                                            unsigned, unsigned,
                                                            struct dispatch_limits *),
                                             void *ctx) {
    struct memory *m = must(calloc(1, sizeof(*m)));
    pthread_condattr_t attr;

    m->base.ops = &memory_ops;
    m->clock = clock;
    m->limits = limits;
    m->ctx = ctx;
    pthread_mutex_init(&m->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (int i = 0; i < QUEUE_COUNT_MAX; i++) {
        m->root[i].level = ROOT;
        pthread_cond_init(&m->changed[i], &attr);
    }
    pthread_condattr_destroy(&attr);
    return &m->base;
}
