/*
 * coord_redis.c - locks, counters and messages that processes share in Redis.
 *
 * A lock is a key that lives for LOCK_MS and is renewed by a thread while it is held; its
 * holder is told when that did not work in time. A message goes to all by PUBLISH, and
 * stands in a list under its key for who comes late or was cut off.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "coord_priv.h"
#include "redis/redis.h"

enum {
    LOCK_MS = 15000,
    RENEW_MS = 4000,
    KEPT_MAX = 20, /* messages per key */
    POLL_FIRST_MS = 10,
    POLL_MAX_MS = 200,
};

extern const char redis_lua_coord_lock[], redis_lua_coord_renew[],
    redis_lua_coord_count[];

struct shared {
    struct coord base;
    struct redis *redis;
    struct redis_script lock, renew, count;
    pthread_t keeper;
    pthread_mutex_t mu;
    pthread_cond_t ending;
    /* all below guarded by: mu */
    struct coord_lock *held;
    bool is_ending;
    struct redis_subscription *subscription;
};

static struct shared *shared_of(struct coord *c) {
    return (struct shared *)c;
}

static struct bytes text(const char *s) {
    return (struct bytes){s, strlen(s)};
}

static int64_t real_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- Locks ---- */

static const char *lock_key(struct arena *a, const char *name) {
    return arena_printf(a, "membrane:{lock:%s}", name);
}

/* 1 ours, 0 somebody else's, -1. */
static int renew(struct shared *s, struct arena *a, const char *name, const char *token,
                 int life_ms, struct status *st) {
    const char *key = lock_key(a, name);
    struct bytes args[] = {text(token), text(arena_printf(a, "%d", life_ms))};
    const struct redis_reply *reply;

    if (redis_eval(s->redis, a, &s->renew, &key, 1, args, 2, true, &reply, st) < 0)
        return -1;
    return reply->integer == 1;
}

static int try_lock(struct shared *s, struct arena *a, struct coord_lock *l,
                    struct status *st) {
    const char *keys[] = {lock_key(a, l->name),
                          arena_printf(a, "membrane:{lock:%s}:fence", l->name)};
    struct bytes args[] = {text(l->token), text(arena_printf(a, "%d", LOCK_MS))};
    const struct redis_reply *reply;

    if (redis_eval(s->redis, a, &s->lock, keys, 2, args, 2, true, &reply, st) < 0)
        return -1;
    if (reply->type != REDIS_TEXT)
        return 1;
    l->fence = strtoull(reply->text, NULL, 10);
    return 0;
}

static void nap(int ms) {
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static int shared_lock(struct coord *c, struct arena *a, const char *name, int wait_ms,
                       struct coord_lock **ret, struct status *st) {
    struct shared *s = shared_of(c);
    struct coord_lock *l = coord_lock_new(name);
    struct arena *mine = arena_new(0);
    int64_t end = real_ms() + wait_ms, left;
    int pause = POLL_FIRST_MS, rc;

    while ((rc = try_lock(s, mine, l, st)) == 1) {
        left = end - real_ms();
        if (left <= 0)
            break;
        nap(left < pause ? (int)left : pause);
        pause = pause * 2 < POLL_MAX_MS ? pause * 2 : POLL_MAX_MS;
        arena_reset(mine);
    }
    arena_free(&mine);
    if (rc != 0) {
        coord_lock_free(l);
        return rc < 0 ? -1 : coord_lock_timeout(a, name, wait_ms, st);
    }
    pthread_mutex_lock(&s->mu);
    l->next = s->held;
    s->held = l;
    pthread_mutex_unlock(&s->mu);
    *ret = l;
    return 0;
}

static void shared_unlock(struct coord *c, struct coord_lock *l) {
    struct shared *s = shared_of(c);
    struct arena *a = arena_new(0);
    struct coord_lock **p;
    struct status st;

    st_init(&st, a);
    pthread_mutex_lock(&s->mu);
    for (p = &s->held; *p != l; p = &(*p)->next)
        ;
    *p = l->next;
    pthread_mutex_unlock(&s->mu);
    renew(s, a, l->name, l->token, 0, &st); /* else it ends by itself */
    coord_lock_free(l);
    arena_free(&a);
}

/* What is to be renewed now, by copies: a holder may give its lock back meanwhile. */
struct renewal {
    struct renewal *next;
    const char *name, *token;
};

static void mark_lost(struct shared *s, const char *token) {
    pthread_mutex_lock(&s->mu);
    for (struct coord_lock *l = s->held; l; l = l->next)
        if (strcmp(l->token, token) == 0)
            atomic_store(&l->is_lost, true);
    pthread_mutex_unlock(&s->mu);
}

static void renew_all(struct shared *s) {
    struct arena *a = arena_new(0);
    struct renewal *list = NULL;
    struct status st;

    st_init(&st, a);
    pthread_mutex_lock(&s->mu);
    for (struct coord_lock *l = s->held; l; l = l->next) {
        struct renewal *r = arena_alloc(a, sizeof(*r));

        *r = (struct renewal){list, arena_strdup(a, l->name), arena_strdup(a, l->token)};
        list = r;
    }
    pthread_mutex_unlock(&s->mu);
    for (; list; list = list->next)
        if (renew(s, a, list->name, list->token, LOCK_MS, &st) != 1)
            mark_lost(s, list->token); /* without Redis: better believed lost */
    arena_free(&a);
}

static void *keep(void *arg) {
    struct shared *s = arg;
    struct timespec until;
    bool end = false;

    while (!end) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += RENEW_MS / 1000;
        pthread_mutex_lock(&s->mu);
        if (!s->is_ending)
            pthread_cond_timedwait(&s->ending, &s->mu, &until);
        end = s->is_ending;
        pthread_mutex_unlock(&s->mu);
        if (!end)
            renew_all(s);
    }
    return NULL;
}

/* ---- Counters ---- */

static const char *count_key(struct arena *a, const char *name) {
    return arena_printf(a, "membrane:{count:%s}", name);
}

static int shared_count(struct coord *c, const char *name, double n, int64_t window_ms,
                        int64_t now_ms, double *ret_sum, struct status *st) {
    struct shared *s = shared_of(c);
    struct arena *a = arena_new(0);
    int64_t since = now_ms - now_ms % window_ms;
    const char *key = count_key(a, name);
    struct bytes args[] = {text(arena_printf(a, "%.17g", n)),
                           text(arena_printf(a, "%lld", (long long)window_ms)),
                           text(arena_printf(a, "%lld", (long long)since))};
    const struct redis_reply *reply;
    int rc = redis_eval(s->redis, a, &s->count, &key, 1, args, 3, false, &reply, st);

    if (rc == 0)
        *ret_sum = coord_sliding_sum(strtod(redis_item_text(reply, 0), NULL),
                                     strtod(redis_item_text(reply, 1), NULL),
                                     now_ms - since, window_ms);
    arena_free(&a);
    return rc;
}

static int shared_forget(struct coord *c, const char *name, struct status *st) {
    struct arena *a = arena_new(0);
    const char *key = count_key(a, name);
    int rc = redis_call(shared_of(c)->redis, a, key, REDIS_WORDS("DEL", key), NULL, st);

    arena_free(&a);
    return rc;
}

/* ---- Messages ---- */

static const char message_channel[] = "membrane:messages";

/* A message is its topic and the length of its key, each ended by a newline, its key and
 * its payload. */
static void on_message(void *ctx, const char *channel, struct bytes m) {
    struct shared *s = ctx;
    struct arena *a = arena_new(0);
    const char *end = memchr(m.data, '\n', m.len), *key = NULL;
    size_t rest = 0;
    unsigned long len = 0;

    (void)channel;
    if (end) {
        len = strtoul(end + 1, (char **)&key, 10);
        rest = m.len - (size_t)(key - m.data);
    }
    if (key && rest > 0 && *key == '\n' && len < rest) {
        key++;
        coord_deliver(&s->base, arena_memdup(a, m.data, (size_t)(end - m.data)),
                      arena_memdup(a, key, len),
                      (struct bytes){key + len, rest - 1 - len});
    }
    arena_free(&a);
}

static void on_began(void *ctx) {
    struct shared *s = ctx;

    coord_deliver(&s->base, NULL, NULL, (struct bytes){"", 0});
}

/* Called once everybody listens: with the first message, or the first look for one. */
static void begin_listening(struct shared *s) {
    pthread_mutex_lock(&s->mu);
    if (!s->subscription)
        s->subscription = redis_subscribe(
            s->redis,
            &(struct redis_subscription_options){.channels = REDIS_WORDS(message_channel),
                                                 .message = on_message,
                                                 .began = on_began,
                                                 .ctx = s});
    pthread_mutex_unlock(&s->mu);
}

static const char *kept_key(struct arena *a, const char *topic, const char *key) {
    return arena_printf(a, "membrane:{kept:%s:%s}", topic, key);
}

static int shared_publish(struct coord *c, const char *topic, const char *key,
                          struct bytes payload, int64_t keep_ms, struct status *st) {
    struct shared *s = shared_of(c);
    struct arena *a = arena_new(0);
    const char *list = kept_key(a, topic, key);
    struct bytes max = text(arena_printf(a, "-%d", KEPT_MAX)),
                 age = text(arena_printf(a, "%lld", (long long)keep_ms));
    struct bytes push[] = {text("RPUSH"), text(list), payload};
    struct bytes trim[] = {text("LTRIM"), text(list), max, text("-1")};
    struct bytes expire[] = {text("PEXPIRE"), text(list), age};
    struct redis_command commands[] = {
        {push, 3, list, false}, {trim, 4, list, true}, {expire, 3, list, true}};
    const struct redis_reply *replies[3];
    struct buf b = BUF_INIT;
    int rc;

    begin_listening(s);
    buf_addf(&b, "%s\n%zu\n%s", topic, strlen(key), key);
    buf_add(&b, payload.data, payload.len);
    rc = redis_pipeline(s->redis, a, commands, 3, replies, st);
    if (rc == 0) {
        struct bytes publish[] = {
            text("PUBLISH"), text(message_channel), {b.data, b.len}};

        rc = redis_run(s->redis, a, &(struct redis_command){publish, 3, NULL, true}, NULL,
                       st);
    }
    buf_fini(&b);
    arena_free(&a);
    return rc;
}

static int shared_recall(struct coord *c, struct arena *a, const char *topic,
                         const char *key, const struct bytes **ret, size_t *ret_len,
                         struct status *st) {
    struct shared *s = shared_of(c);
    const char *list = kept_key(a, topic, key);
    const struct redis_reply *reply;
    struct bytes *all;

    begin_listening(s);
    if (redis_call(s->redis, a, list, REDIS_WORDS("LRANGE", list, "0", "-1"), &reply,
                   st) < 0)
        return -1;
    all = arena_alloc(a, (reply->len + 1) * sizeof(*all));
    for (size_t i = 0; i < reply->len; i++)
        all[i] = (struct bytes){reply->items[i]->text, reply->items[i]->len};
    *ret = all;
    *ret_len = reply->len;
    return 0;
}

/* ---- Life ---- */

static void shared_close(struct coord *c) {
    struct shared *s = shared_of(c);

    redis_unsubscribe(&s->subscription);
    pthread_mutex_lock(&s->mu);
    s->is_ending = true;
    pthread_cond_signal(&s->ending);
    pthread_mutex_unlock(&s->mu);
    pthread_join(s->keeper, NULL);
    pthread_cond_destroy(&s->ending);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

static const struct coord_ops shared_ops = {
    .lock = shared_lock,
    .unlock = shared_unlock,
    .count = shared_count,
    .forget = shared_forget,
    .publish = shared_publish,
    .recall = shared_recall,
    .close = shared_close,
};

struct coord *coord_open_redis(struct redis *r) {
    struct shared *s = calloc(1, sizeof(*s));
    pthread_condattr_t attr;

    if (!s)
        abort();
    coord_init(&s->base, &shared_ops);
    s->redis = r;
    redis_script_init(&s->lock, redis_lua_coord_lock);
    redis_script_init(&s->renew, redis_lua_coord_renew);
    redis_script_init(&s->count, redis_lua_coord_count);
    pthread_mutex_init(&s->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->ending, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&s->keeper, NULL, keep, s) != 0)
        abort();
    return &s->base;
}
