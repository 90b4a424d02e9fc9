/*
 * redis_sub.c - a thread that listens to channels, and comes back after every break.
 *
 * In a cluster every node passes every message on, so one connection to any node will
 * do. A connection on which nothing was heard for a while is asked for a sign of life.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "redis_priv.h"

enum {
    QUIET_MS = 15000,
    ANSWER_MS = 5000,
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 3000
};

struct redis_subscription {
    struct redis *r;
    struct redis_subscription_options o;
    struct arena *arena;
    size_t channels_len;
    pthread_t thread;
    int wake_fd;
    atomic_bool is_ending;
};

/* Sleeps; the end wakes. */
static void sleep_ms(struct redis_subscription *s, int ms) {
    struct timeval t = {ms / 1000, (ms % 1000) * 1000};
    fd_set set;

    FD_ZERO(&set);
    FD_SET(s->wake_fd, &set);
    select(s->wake_fd + 1, &set, NULL, NULL, &t);
}

static int send_words(struct redis_conn *c, const char *word, const char *const *more,
                      size_t n, struct status *st) {
    struct bytes args[17] = {{word, strlen(word)}};
    struct buf b = BUF_INIT;
    bool sent = false;
    int rc;

    for (size_t i = 0; i < n; i++)
        args[i + 1] = (struct bytes){more[i], strlen(more[i])};
    redis_format(&b, args, n + 1);
    rc = redis_conn_send(c, (struct bytes){b.data, b.len}, redis_now_ms() + ANSWER_MS,
                         &sent, st);
    buf_fini(&b);
    return rc;
}

/* ["message", channel, payload], ["subscribe", channel, n], ["pong", ""]: 1 when one of
 * the channels has begun. */
static int take(struct redis_subscription *s, const struct redis_reply *reply,
                struct status *st) {
    const char *what = redis_item_text(reply, 0);

    if (reply->type == REDIS_ERROR)
        return st_fail(st, ST_INTERNAL, "unavailable", "Redis: %s", reply->text);
    if (!strcmp(what, "message") && reply->len == 3)
        s->o.message(s->o.ctx, redis_item_text(reply, 1),
                     (struct bytes){reply->items[2]->text, reply->items[2]->len});
    return !strcmp(what, "subscribe");
}

/* Until the connection breaks (-1) or the end comes (0). */
static int listen_on(struct redis_subscription *s, struct redis_conn *c,
                     struct status *st) {
    const struct redis_reply *reply;
    struct arena *a = arena_new(0);
    size_t begun = 0;
    bool asked = false;
    int rc, taken;

    rc = send_words(c, "SUBSCRIBE", s->o.channels, s->channels_len, st);
    while (rc == 0 && !atomic_load(&s->is_ending)) {
        int64_t wait = asked || begun < s->channels_len ? ANSWER_MS : QUIET_MS;

        arena_reset(a);
        rc = redis_conn_receive(c, a, redis_now_ms() + wait, s->wake_fd, &reply, st);
        if (rc == 1) {
            rc = 0;
            continue;
        }
        if (rc < 0 && wait == QUIET_MS && !strcmp(st->message, "no answer in time")) {
            st_clear(st);
            rc = send_words(c, "PING", NULL, 0, st);
            asked = true;
            continue;
        }
        if (rc < 0)
            break;
        asked = false;
        taken = take(s, reply, st);
        if (taken < 0)
            rc = -1;
        else if (taken && ++begun == s->channels_len) {
            redis_note(s->r, true, NULL);
            if (s->o.began)
                s->o.began(s->o.ctx);
        }
    }
    arena_free(&a);
    return rc;
}

static int connect_any(struct redis_subscription *s, struct redis_conn **ret,
                       struct status *st) {
    struct redis *r = s->r;
    int64_t deadline = redis_now_ms() + r->o.timeout_ms;
    struct redis_node *n;
    struct redis_target t;
    int rc;

    if (r->is_cluster && redis_discover(r, redis_map_version(r), deadline, st) < 0)
        return -1;
    if (!(n = redis_route(r, NULL)))
        return st_fail(st, ST_INTERNAL, "unavailable", "Redis: no node is known");
    redis_target_of(r, n, &t);
    rc = redis_conn_open(&t, deadline, ret, st);
    redis_node_unuse(r, n);
    return rc;
}

static void *thread_main(void *arg) {
    struct redis_subscription *s = arg;
    int backoff = BACKOFF_FIRST_MS;

    while (!atomic_load(&s->is_ending)) {
        struct arena *a = arena_new(0);
        struct redis_conn *c = NULL;
        struct status st;
        int64_t since;

        st_init(&st, a);
        since = redis_now_ms();
        if (connect_any(s, &c, &st) < 0 || listen_on(s, c, &st) < 0)
            redis_note(s->r, false, &st);
        redis_conn_close(&c);
        arena_free(&a);
        if (redis_now_ms() - since > 2 * BACKOFF_MAX_MS)
            backoff = BACKOFF_FIRST_MS;
        if (!atomic_load(&s->is_ending))
            sleep_ms(s, redis_jitter(backoff));
        backoff = backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : backoff * 2;
    }
    return NULL;
}

struct redis_subscription *redis_subscribe(struct redis *r,
                                           const struct redis_subscription_options *o) {
    struct redis_subscription *s = calloc(1, sizeof(*s));
    const char **copy;

    if (!s)
        abort();
    s->r = r;
    s->o = *o;
    s->arena = arena_new(0);
    while (o->channels[s->channels_len])
        s->channels_len++;
    if (s->channels_len > 16)
        abort(); /* a broken promise: channels are few and fixed */
    s->o.channels = copy = arena_alloc(s->arena, (s->channels_len + 1) * sizeof(*copy));
    for (size_t i = 0; i <= s->channels_len; i++)
        copy[i] = o->channels[i] ? arena_strdup(s->arena, o->channels[i]) : NULL;
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0 || pthread_create(&s->thread, NULL, thread_main, s) != 0)
        abort();
    return s;
}

void redis_unsubscribe(struct redis_subscription **sp) {
    struct redis_subscription *s = *sp;
    uint64_t one = 1;

    if (!s)
        return;
    atomic_store(&s->is_ending, true);
    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        abort();
    pthread_join(s->thread, NULL);
    close(s->wake_fd);
    arena_free(&s->arena);
    free(s);
    *sp = NULL;
}
