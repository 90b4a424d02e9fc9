/*
 * dispatch_redis.c - the fair order, in Redis.
 *
 * Seven keys per queue, all in one slot by their {tag}:
 *
 *   tasks    hash, id -> place in line, kind, workspace, customer, connection, order
 *   waiting  sorted set of one score: workspace, customer, connection, place in line,
 * kind, id; its order by bytes is the tree that dispatch_memory.c builds with pointers,
 *            so a round is a walk from one range to the next
 *   later    sorted set, id by not-before
 *   runs     hash, id -> when it was taken, by Redis' clock
 *   counts   hash, how many run: of a workspace, a customer, a kind, a connection
 *   turns    hash, which child of each node had the last turn
 *   limits   hash, (workspace, kind) -> limits and how long they hold
 *
 * Every step is one script, so that it happens whole or not at all. A taking has a name:
 * when its answer is lost, the next one asks under that name what it got. Releases that
 * could not be said are said later.
 *
 * Everything may be
 * lost at any time: runs are counted again from the store (set_foreign), and what waits
 * is offered again by whoever is told that a sweep is due, because the marker of the last
 * sweep is gone too. A task that was taken by a process that died before it claimed it is
 * given again when the store still says, half a minute later, that it waits.
 *
 * Who waits for a task sleeps until a message says that something changed, and looks once
 * a second in case the message was lost.
 */
#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "dispatch.h"
#include "redis/redis.h"

enum {
    KEYS = 7,
    POLL_MS = 1000,
    GRACE_MS = 30000, /* from taking to claiming, at most */
    MAX_STEPS = 3000,
    MAX_ASKED = 100, /* limits asked for and rounds gone on with, in one take */
};

extern const char redis_lua_dispatch_offer[], redis_lua_dispatch_take[],
    redis_lua_dispatch_release[], redis_lua_dispatch_runs[];

/* A task that this process took and has not released, or whose release is still to be
 * said; or the name of a taking whose answer was lost. */
struct own {
    struct own *next;
    unsigned queue;
    char id[];
};

struct shared {
    struct queue_dispatch base;
    struct redis *redis;
    struct clock *clock;
    int limits_age_ms;
    void (*limits)(void *, const char *, unsigned, unsigned, struct dispatch_limits *);
    void *ctx;
    struct redis_script offer, take, release, runs;
    char keys[QUEUE_COUNT_MAX][KEYS][48];
    char channels[QUEUE_COUNT_MAX][48];
    char process[24]; /* begins the names of takings */
    struct redis_subscription *subscription;
    pthread_mutex_t mu;
    pthread_cond_t changed[QUEUE_COUNT_MAX];
    /* all below guarded by: mu */
    uint64_t signals[QUEUE_COUNT_MAX], wakes;
    struct own *own, *unreleased, *unanswered;
    uint64_t takings;
    bool has_lost; /* an offer, or messages while we did not listen */
};

static struct shared *shared_of(struct queue_dispatch *d) {
    return (struct shared *)d;
}

static void *must(void *p) {
    if (!p)
        abort();
    return p;
}

static struct bytes text(const char *s) {
    return (struct bytes){s ? s : "", s ? strlen(s) : 0};
}

/* A part of a member: no control character, which would part it again. */
static struct bytes part(struct arena *a, const char *s) {
    char *copy;

    if (!s)
        return text("");
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20) {
            copy = arena_strdup(a, s);
            for (char *q = copy; *q; q++)
                if ((unsigned char)*q < 0x20)
                    *q = '?';
            return text(copy);
        }
    return text(s);
}

static struct bytes number(struct arena *a, int64_t n) {
    return text(arena_printf(a, "%" PRId64, n));
}

static int eval(struct shared *s, struct arena *a, unsigned queue,
                const struct redis_script *script, const struct bytes *args, size_t n,
                bool is_repeatable, const struct redis_reply **ret) {
    const char *keys[KEYS];
    struct status st;

    assert(queue < QUEUE_COUNT_MAX);
    st_init(&st, a);
    for (int i = 0; i < KEYS; i++)
        keys[i] = s->keys[queue][i];
    return redis_eval(s->redis, a, script, keys, KEYS, args, n, is_repeatable, ret, &st);
}

static void lose(struct shared *s) {
    pthread_mutex_lock(&s->mu);
    s->has_lost = true;
    pthread_mutex_unlock(&s->mu);
}

/* ---- Messages ---- */

static void on_message(void *ctx, const char *channel, struct bytes payload) {
    struct shared *s = ctx;

    (void)payload;
    pthread_mutex_lock(&s->mu);
    for (int i = 0; i < QUEUE_COUNT_MAX; i++)
        if (strcmp(channel, s->channels[i]) == 0) {
            s->signals[i]++;
            pthread_cond_signal(&s->changed[i]);
        }
    pthread_mutex_unlock(&s->mu);
}

static void wake_all(struct shared *s) {
    for (int i = 0; i < QUEUE_COUNT_MAX; i++) {
        s->signals[i]++;
        pthread_cond_broadcast(&s->changed[i]);
    }
}

static void on_began(void *ctx) {
    struct shared *s = ctx;

    pthread_mutex_lock(&s->mu);
    s->has_lost = true;
    wake_all(s);
    pthread_mutex_unlock(&s->mu);
}

/* ---- Lists ---- */

static void push(struct own **list, unsigned queue, const char *id) {
    size_t len = strlen(id);
    struct own *o = must(malloc(sizeof(*o) + len + 1));

    o->queue = queue;
    memcpy(o->id, id, len + 1);
    o->next = *list;
    *list = o;
}

static void drop(struct own **p) {
    struct own *o = *p;

    *p = o->next;
    free(o);
}

/* ---- Offers ---- */

static void shared_offer_many(struct queue_dispatch *d, const struct dispatch_task *t,
                              size_t n) {
    struct shared *s = shared_of(d);
    struct arena *a = arena_new(0);
    struct bytes *args = arena_alloc(a, (3 + 7 * n) * sizeof(*args));

    for (unsigned queue = 0; queue < QUEUE_COUNT_MAX; queue++) {
        size_t len = 3;

        for (size_t i = 0; i < n; i++) {
            if (t[i].queue != queue)
                continue;
            args[len++] = text(t[i].id);
            args[len++] = number(a, t[i].kind);
            args[len++] = part(a, t[i].workspace_id);
            args[len++] = part(a, t[i].customer_id);
            args[len++] = part(a, t[i].connection_id);
            args[len++] = number(a, t[i].not_before_ms);
            args[len++] = number(a, t[i].order_ms);
        }
        if (len == 3)
            continue;
        args[0] = text(s->channels[queue]);
        args[1] = number(a, clock_now_ms(s->clock));
        args[2] = number(a, GRACE_MS);
        if (eval(s, a, queue, &s->offer, args, len, true, NULL) < 0)
            lose(s);
    }
    arena_free(&a);
}

static void shared_offer(struct queue_dispatch *d, const struct dispatch_task *t) {
    shared_offer_many(d, t, 1);
}

static bool shared_is_sweep_due(struct queue_dispatch *d, int period_ms) {
    struct shared *s = shared_of(d);
    struct arena *a = arena_new(0);
    const char *key = "membrane:{sweep}", *age = arena_printf(a, "%d", period_ms);
    const struct redis_reply *reply;
    struct status st;
    bool lost, mine;
    int rc;

    st_init(&st, a);
    rc = redis_call(s->redis, a, key, REDIS_WORDS("SET", key, "1", "NX", "PX", age),
                    &reply, &st);
    mine = rc == 0 && reply->type == REDIS_TEXT;
    pthread_mutex_lock(&s->mu);
    lost = s->has_lost;
    if (rc == 0)
        s->has_lost = false;
    pthread_mutex_unlock(&s->mu);
    arena_free(&a);
    return rc == 0 && (lost || mine);
}

/* ---- Releases ---- */

/* The queue that it was taken from; QUEUE_COUNT_MAX when it was not taken here. */
static unsigned forget_own(struct shared *s, const char *id) {
    unsigned queue = QUEUE_COUNT_MAX;

    pthread_mutex_lock(&s->mu);
    for (struct own **p = &s->own; *p; p = &(*p)->next)
        if (strcmp((*p)->id, id) == 0) {
            queue = (*p)->queue;
            drop(p);
            break;
        }
    pthread_mutex_unlock(&s->mu);
    return queue;
}

/* queue QUEUE_COUNT_MAX: whichever it is. What can't be said now is kept for later. */
static bool release_in(struct shared *s, unsigned queue, const char *id) {
    struct arena *a = arena_new(0);
    bool said = true;

    for (unsigned i = 0; i < QUEUE_COUNT_MAX && said; i++)
        if (queue == QUEUE_COUNT_MAX || queue == i) {
            struct bytes args[] = {text(s->channels[i]), text(id)};
            const struct redis_reply *reply;

            said = eval(s, a, i, &s->release, args, 2, true, &reply) == 0;
            if (said && reply->integer == 1)
                break;
        }
    arena_free(&a);
    if (said)
        return true;
    pthread_mutex_lock(&s->mu);
    push(&s->unreleased, queue, id);
    pthread_mutex_unlock(&s->mu);
    return false;
}

static void shared_release(struct queue_dispatch *d, const char *id) {
    struct shared *s = shared_of(d);

    release_in(s, forget_own(s, id), id);
}

/* Says the releases that could not be said. */
static void settle(struct shared *s) {
    struct own *list;
    bool said = true;

    pthread_mutex_lock(&s->mu);
    list = s->unreleased;
    s->unreleased = NULL;
    pthread_mutex_unlock(&s->mu);
    for (; list; drop(&list))
        if (said) {
            said = release_in(s, list->queue, list->id);
        } else {
            pthread_mutex_lock(&s->mu);
            push(&s->unreleased, list->queue, list->id);
            pthread_mutex_unlock(&s->mu);
        }
}

/* ---- Taking ---- */

/* What limits says, as the script wants it. */
static struct bytes limits_text(struct shared *s, struct arena *a, unsigned queue,
                                const char *workspace, const char *kind) {
    struct dispatch_limits l = {0};

    s->limits(s->ctx, workspace, queue, (unsigned)strtoul(kind, NULL, 10), &l);
    return text(arena_printf(a, "%d %.0f %.0f %.0f %.0f", l.paused, l.workspace,
                             l.customer, l.kind, l.connection));
}

/* One whose answer was lost, or a new one. */
static const char *name_taking(struct shared *s, struct arena *a, unsigned queue,
                               bool *ret_again) {
    const char *name = NULL;

    pthread_mutex_lock(&s->mu);
    for (struct own **p = &s->unanswered; *p && !name; p = &(*p)->next)
        if ((*p)->queue == queue) {
            name = arena_strdup(a, (*p)->id);
            drop(p);
            break;
        }
    *ret_again = name != NULL;
    if (!name)
        name = arena_printf(a, "%s%" PRIu64, s->process, ++s->takings);
    pthread_mutex_unlock(&s->mu);
    return name;
}

/* 0 taken, 1 nothing now, -1 Redis is away. ret_due_ms: until the next is due, or -1. */
static int take_now(struct shared *s, struct arena *a, unsigned queue,
                    const char **ret_id, int64_t *ret_due_ms) {
    struct bytes args[5 + 3 * MAX_ASKED];
    const struct redis_reply *reply;
    size_t len = 5;
    bool again;
    const char *name = name_taking(s, a, queue, &again);

    args[0] = number(a, clock_now_ms(s->clock));
    args[1] = number(a, MAX_STEPS);
    args[2] = number(a, s->limits_age_ms);
    args[3] = text(name);
    args[4] = text(again ? "1" : "0");
    *ret_due_ms = -1;
    for (int i = 0; i < MAX_ASKED; i++) {
        if (eval(s, a, queue, &s->take, args, len, false, &reply) < 0) {
            pthread_mutex_lock(&s->mu);
            push(&s->unanswered, queue, name);
            pthread_mutex_unlock(&s->mu);
            return -1;
        }
        args[4] = text("0");
        switch (redis_item_integer(reply, 0)) {
        case 1:
            *ret_id = redis_item_text(reply, 1);
            return 0;
        case 2:
            args[len++] = text(redis_item_text(reply, 1));
            args[len++] = text(redis_item_text(reply, 2));
            args[len] = limits_text(s, a, queue, redis_item_text(reply, 1),
                                    redis_item_text(reply, 2));
            len++;
            break;
        case 3:
            break;
        default:
            *ret_due_ms = redis_item_integer(reply, 1);
            return 1;
        }
    }
    return 1;
}

static int64_t real_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int shared_take(struct queue_dispatch *d, struct arena *a, unsigned queue,
                       int wait_ms, const char **ret_id) {
    struct shared *s = shared_of(d);
    int64_t end = real_ms() + wait_ms, due, until;
    uint64_t wakes, signals;
    const char *id = NULL;
    int rc;

    assert(queue < QUEUE_COUNT_MAX);
    pthread_mutex_lock(&s->mu);
    wakes = s->wakes;
    for (;;) {
        signals = s->signals[queue];
        pthread_mutex_unlock(&s->mu);
        settle(s);
        rc = take_now(s, a, queue, &id, &due);
        pthread_mutex_lock(&s->mu);
        if (rc == 0)
            break;
        until = real_ms() + (due >= 0 && due < POLL_MS ? due : POLL_MS);
        until = until < end ? until : end;
        while (signals == s->signals[queue] && wakes == s->wakes && real_ms() < until) {
            struct timespec t = {until / 1000, (until % 1000) * 1000000};

            pthread_cond_timedwait(&s->changed[queue], &s->mu, &t);
        }
        if (wakes != s->wakes || real_ms() >= end)
            break;
    }
    if (rc == 0) {
        push(&s->own, queue, id);
        *ret_id = id;
    }
    pthread_mutex_unlock(&s->mu);
    return rc == 0 ? 0 : 1;
}

/* ---- Runs of others ---- */

static void set_runs(struct shared *s, unsigned queue, const struct dispatch_task *tasks,
                     size_t n) {
    struct arena *a = arena_new(0);
    size_t own = 0, len = 3;
    struct bytes *args;

    pthread_mutex_lock(&s->mu);
    for (const struct own *o = s->own; o; o = o->next)
        own += o->queue == queue;
    args = arena_alloc(a, (3 + own + 5 * n) * sizeof(*args));
    for (const struct own *o = s->own; o; o = o->next)
        if (o->queue == queue)
            args[len++] = text(arena_strdup(a, o->id));
    pthread_mutex_unlock(&s->mu);
    args[0] = text(s->channels[queue]);
    args[1] = number(a, GRACE_MS);
    args[2] = number(a, (int64_t)own);
    for (size_t i = 0; i < n; i++)
        if (tasks[i].queue == queue) {
            args[len++] = text(tasks[i].id);
            args[len++] = number(a, tasks[i].kind);
            args[len++] = part(a, tasks[i].workspace_id);
            args[len++] = part(a, tasks[i].customer_id);
            args[len++] = part(a, tasks[i].connection_id);
        }
    eval(s, a, queue, &s->runs, args, len, true, NULL);
    arena_free(&a);
}

static void shared_set_foreign(struct queue_dispatch *d,
                               const struct dispatch_task *tasks, size_t n) {
    for (unsigned i = 0; i < QUEUE_COUNT_MAX; i++)
        set_runs(shared_of(d), i, tasks, n);
}

static void shared_wake(struct queue_dispatch *d) {
    struct shared *s = shared_of(d);

    pthread_mutex_lock(&s->mu);
    s->wakes++;
    wake_all(s);
    pthread_mutex_unlock(&s->mu);
}

static size_t shared_waiting(struct queue_dispatch *d, unsigned queue) {
    struct shared *s = shared_of(d);
    struct arena *a = arena_new(0);
    const struct redis_reply *reply;
    struct status st;
    size_t n = 0;

    st_init(&st, a);
    if (redis_call(s->redis, a, s->keys[queue][1],
                   REDIS_WORDS("ZCARD", s->keys[queue][1]), &reply, &st) == 0)
        n = (size_t)reply->integer;
    arena_free(&a);
    return n;
}

/* ---- Life ---- */

static void shared_free(struct queue_dispatch **dp) {
    struct shared *s = shared_of(*dp);

    redis_unsubscribe(&s->subscription);
    while (s->own)
        drop(&s->own);
    while (s->unreleased)
        drop(&s->unreleased);
    while (s->unanswered)
        drop(&s->unanswered);
    for (int i = 0; i < QUEUE_COUNT_MAX; i++)
        pthread_cond_destroy(&s->changed[i]);
    pthread_mutex_destroy(&s->mu);
    free(s);
    *dp = NULL;
}

static const struct dispatch_ops shared_ops = {
    .is_shared = true,
    .offer = shared_offer,
    .offer_many = shared_offer_many,
    .is_sweep_due = shared_is_sweep_due,
    .take = shared_take,
    .release = shared_release,
    .set_foreign = shared_set_foreign,
    .wake = shared_wake,
    .waiting = shared_waiting,
    .free = shared_free,
};

static void name_keys(struct shared *s) {
    static const char *const names[KEYS] = {"tasks",  "waiting", "later", "runs",
                                            "counts", "turns",   "limits"};

    for (int i = 0; i < QUEUE_COUNT_MAX; i++) {
        for (int k = 0; k < KEYS; k++)
            snprintf(s->keys[i][k], sizeof(s->keys[i][k]), "membrane:{queue%d}:%s", i,
                     names[k]);
        snprintf(s->channels[i], sizeof(s->channels[i]), "membrane:queue%d", i);
    }
}

static void name_process(struct shared *s) {
    unsigned char bytes[8];

    rand_system()->fill(rand_system(), bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(s->process + 2 * i, 3, "%02x", bytes[i]);
    strcat(s->process, "-");
}

struct queue_dispatch *queue_dispatch_redis(
    struct redis *r, struct clock *clock, int limits_age_ms,
    void (*limits)(void *, const char *, unsigned, unsigned, struct dispatch_limits *),
    void *ctx) {
    struct shared *s = must(calloc(1, sizeof(*s)));
    const char *channels[QUEUE_COUNT_MAX + 1] = {NULL};
    pthread_condattr_t attr;

    s->base.ops = &shared_ops;
    s->redis = r;
    s->clock = clock;
    s->limits_age_ms = limits_age_ms;
    s->limits = limits;
    s->ctx = ctx;
    redis_script_init(&s->offer, redis_lua_dispatch_offer);
    redis_script_init(&s->take, redis_lua_dispatch_take);
    redis_script_init(&s->release, redis_lua_dispatch_release);
    redis_script_init(&s->runs, redis_lua_dispatch_runs);
    name_keys(s);
    name_process(s);
    pthread_mutex_init(&s->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (int i = 0; i < QUEUE_COUNT_MAX; i++) {
        pthread_cond_init(&s->changed[i], &attr);
        channels[i] = s->channels[i];
    }
    pthread_condattr_destroy(&attr);
    s->subscription = redis_subscribe(
        r, &(struct redis_subscription_options){
               .channels = channels, .message = on_message, .began = on_began, .ctx = s});
    return &s->base;
}
