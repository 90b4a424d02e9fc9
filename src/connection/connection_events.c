/*
 * connection_events.c - the stream on which a client waits for the result of connecting.
 *
 * The client opens it before it posts the form, so a request id may come first here or
 * first there: results wait a while in a list, and streams look into it whenever it grew.
 * The list is short (a result is there for minutes, and only as many people connect at
 * once), so that it is searched from its start. A stream is a handler thread that sleeps;
 * their number is bounded. The browser may come to another process than the stream: each
 * result is published to all, and a stream recalls what its process may have missed when
 * it begins, and when messages were cut off.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "connection_priv.h"
#include "coord/coord.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_server.h"
#include "value/value.h"

#define KEEP_MS      (5 * 60 * INT64_C(1000))
#define KEEP_BYTES   (16u << 20)
#define MAX_STREAMS  1000
#define MAX_UNKNOWN  250 /* above this, only streams with a token are taken */
#define KEEP_ALIVE_S 15
#define STREAM_MS    (60 * 60 * INT64_C(1000)) /* nobody consents for longer */

struct event {
    struct event *next;
    char *request_id, *customer_id;
    struct buf text; /* as sent */
    int64_t until_ms;
};

struct connection_events {
    pthread_mutex_t mu;
    pthread_cond_t grew;
    struct clock *clock;
    struct event *first; /* oldest first; all below guarded by: mu */
    size_t bytes;
    unsigned streams;
    bool closed;
    uint64_t gaps; /* how often messages may have been missed */
    struct coord *coord;
};

static const char topic[] = "connection-events";

static void heard(void *ctx, const char *key, struct bytes payload);

struct connection_events *connection_events_new(struct clock *clock, struct coord *c) {
    struct connection_events *e = calloc(1, sizeof(*e));
    pthread_condattr_t attr;

    if (!e)
        abort();
    e->clock = clock;
    e->coord = c;
    pthread_mutex_init(&e->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->grew, &attr);
    pthread_condattr_destroy(&attr);
    coord_listen(c, topic, heard, e); /* it may be called from now on */
    return e;
}

static void drop_first(struct connection_events *e) {
    struct event *ev = e->first;

    e->first = ev->next;
    e->bytes -= ev->text.len;
    buf_fini(&ev->text);
    free(ev->request_id);
    free(ev->customer_id);
    free(ev);
}

void connection_events_free(struct connection_events **ep) {
    struct connection_events *e = *ep;

    if (!e)
        return;
    while (e->first)
        drop_first(e);
    pthread_cond_destroy(&e->grew);
    pthread_mutex_destroy(&e->mu);
    free(e);
    *ep = NULL;
}

void connection_events_close(struct connection_events *e) {
    pthread_mutex_lock(&e->mu);
    e->closed = true;
    pthread_cond_broadcast(&e->grew);
    pthread_mutex_unlock(&e->mu);
}

/* text: as it is sent. What is there already, is not put there again. */
static void keep(struct connection_events *e, const char *request_id,
                 const char *customer_id, struct bytes text) {
    int64_t now = clock_monotonic_ms(e->clock);
    struct event *ev, **end;

    pthread_mutex_lock(&e->mu);
    for (end = &e->first; *end; end = &(*end)->next)
        if ((*end)->text.len == text.len &&
            memcmp((*end)->text.data, text.data, text.len) == 0 &&
            strcmp((*end)->request_id, request_id) == 0 &&
            strcmp((*end)->customer_id, customer_id) == 0) {
            (*end)->until_ms = now + KEEP_MS;
            pthread_cond_broadcast(&e->grew);
            pthread_mutex_unlock(&e->mu);
            return;
        }
    ev = calloc(1, sizeof(*ev));
    if (!ev || !(ev->request_id = strdup(request_id)) ||
        !(ev->customer_id = strdup(customer_id)))
        abort();
    buf_add(&ev->text, text.data, text.len);
    ev->until_ms = now + KEEP_MS;
    *end = ev;
    e->bytes += ev->text.len;
    while (e->first != ev && (e->first->until_ms < now || e->bytes > KEEP_BYTES))
        drop_first(e);
    pthread_cond_broadcast(&e->grew);
    pthread_mutex_unlock(&e->mu);
}

/* A message is the customer's id, a NUL, and the event. */
static void heard(void *ctx, const char *key, struct bytes payload) {
    struct connection_events *e = ctx;
    size_t len;

    if (!key) {
        pthread_mutex_lock(&e->mu);
        e->gaps++;
        pthread_cond_broadcast(&e->grew);
        pthread_mutex_unlock(&e->mu);
        return;
    }
    len = strnlen(payload.data, payload.len);
    if (len < payload.len)
        keep(e, key, payload.data,
             (struct bytes){payload.data + len + 1, payload.len - len - 1});
}

void connection_events_publish(struct connection_events *e, const char *request_id,
                               const char *customer_id, const struct value *message) {
    struct arena *a = arena_new(0);
    struct buf b = BUF_INIT;
    struct bytes payload;
    struct status st;

    st_init(&st, a);
    buf_add(&b, customer_id, strlen(customer_id) + 1);
    buf_adds(&b, "data: ");
    value_encode(&b, message, VALUE_ENCODE_COMPACT); /* one line */
    buf_adds(&b, "\n\n");
    payload = (struct bytes){b.data, b.len};
    heard(e, request_id, payload);
    /* without Redis only streams of this process get it, and the window's message all */
    coord_publish(e->coord, topic, request_id, payload, KEEP_MS, &st);
    buf_fini(&b);
    arena_free(&a);
}

/* ---- Streams ---- */

struct stream {
    struct connection_events *events;
    const char *request_id, *customer_id; /* customer_id NULL: no token */
    int64_t until_ms;
    uint64_t gaps; /* what was recalled covers these */
    bool recalled;
    struct buf out; /* what is still to send: from `sent` on */
    size_t sent;
    bool greeted, last;
};

/* Takes in what other processes published for this stream, if some may be missing. */
static void recall(struct stream *s) {
    struct connection_events *e = s->events;
    struct arena *a = arena_new(0);
    const struct bytes *list;
    struct status st;
    bool wanted;
    size_t n;

    st_init(&st, a);
    pthread_mutex_lock(&e->mu);
    wanted = !s->recalled || s->gaps != e->gaps;
    s->gaps = e->gaps;
    s->recalled = true;
    pthread_mutex_unlock(&e->mu);
    if (wanted && coord_recall(e->coord, a, topic, s->request_id, &list, &n, &st) == 0)
        for (size_t i = 0; i < n; i++)
            heard(e, s->request_id, list[i]);
    arena_free(&a);
}

static const struct event *find(const struct stream *s, int64_t now) {
    for (const struct event *ev = s->events->first; ev; ev = ev->next)
        if (ev->until_ms >= now && strcmp(ev->request_id, s->request_id) == 0 &&
            (!s->customer_id || strcmp(ev->customer_id, s->customer_id) == 0))
            return ev;
    return NULL;
}

/* Waits for the result, the time for a sign of life, or the end. */
static void await(struct stream *s) {
    struct connection_events *e = s->events;
    const struct event *ev = NULL;
    struct timespec until;
    int64_t now;
    int rc = 0;

    recall(s);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += KEEP_ALIVE_S;
    pthread_mutex_lock(&e->mu);
    for (;;) {
        now = clock_monotonic_ms(e->clock);
        ev = find(s, now);
        if (ev || e->closed || rc == ETIMEDOUT || now > s->until_ms)
            break;
        if (s->gaps != e->gaps) {
            pthread_mutex_unlock(&e->mu);
            recall(s);
            pthread_mutex_lock(&e->mu);
            continue;
        }
        rc = pthread_cond_timedwait(&e->grew, &e->mu, &until);
    }
    buf_clear(&s->out);
    s->sent = 0;
    s->last = ev || e->closed || now > s->until_ms;
    if (ev)
        buf_add(&s->out, ev->text.data, ev->text.len);
    else if (!s->last)
        buf_adds(&s->out, ": still here\n\n");
    pthread_mutex_unlock(&e->mu);
}

static int pull(void *ctx, char *buf, size_t max, size_t *ret_len, struct status *st) {
    struct stream *s = ctx;
    size_t n;

    (void)st;
    if (s->sent == s->out.len && !s->last) {
        if (s->greeted)
            await(s);
        else
            buf_adds(&s->out, ": waiting\n\n");
        s->greeted = true;
    }
    n = s->out.len - s->sent;
    n = n < max ? n : max;
    if (n)
        memcpy(buf, s->out.data + s->sent, n);
    s->sent += n;
    *ret_len = n;
    return 0;
}

static void done(void *ctx) {
    struct stream *s = ctx;

    buf_fini(&s->out);
    pthread_mutex_lock(&s->events->mu);
    s->events->streams--;
    pthread_mutex_unlock(&s->events->mu);
}

static int enter(struct connection_events *e, unsigned max, struct status *st) {
    bool full;

    pthread_mutex_lock(&e->mu);
    full = e->streams >= max || e->closed;
    if (!full)
        e->streams++;
    pthread_mutex_unlock(&e->mu);
    return full ? st_fail(st, ST_INTERNAL, "unavailable",
                          "too many clients wait for connections: try again")
                : 0;
}

static int stream(struct request *rq, struct reply *rp, struct status *st) {
    const char *token = request_query(rq, "token");
    const struct caller *caller = NULL;
    struct stream *s;

    /* The older client sends none: its random request id is all that it has. */
    if (token && auth_caller_from_token(rq, token, &caller, st) < 0)
        return -1;
    if (strlen(rq->param[0]) > 100)
        return st_fail(st, ST_BAD_REQUEST, NULL, "the request id is too long");
    if (enter(rq->deps->connection_events, caller ? MAX_STREAMS : MAX_UNKNOWN, st) < 0)
        return -1;
    s = arena_alloc(rq->arena, sizeof(*s));
    *s = (struct stream){
        .events = rq->deps->connection_events,
        .request_id = rq->param[0],
        .customer_id = caller ? (caller->customer_id ? caller->customer_id : "") : NULL,
        .until_ms = clock_monotonic_ms(rq->deps->clock) + STREAM_MS,
    };
    reply_header(rp, "Cache-Control", "no-store");
    reply_header(rp, "X-Accel-Buffering", "no"); /* nginx would hold the events back */
    return reply_stream(rp, 200, "text/event-stream", pull, done, s);
}

/* clang-format off */
static const struct route rows[] = {
    {HTTP_GET, "/sse/connection-events/{requestId}", stream, ACCESS_NONE, 0, "The result of a connect call, as a stream of events.", "token", NULL, NULL, NULL},
};
/* clang-format on */

void connection_events_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
