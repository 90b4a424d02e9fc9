/*
 * http_server.c - libmicrohttpd in front, a thread pool behind.
 *
 * One exchange is one request with its reply; it lives from the request line to the last
 * byte of the reply, in an arena of its own:
 *
 *   URI -> (headers) -> BODY -> RUN on the pool -> DONE -> SENT
 *                          \___ inline handler ____/
 *
 * While a handler runs on the pool the connection is suspended, so libmicrohttpd does not
 * touch it, and the exchange belongs to the pool thread; resuming gives it back. A
 * streamed reply works the same way, one pull at a time. Answers that are known before
 * the body is (404, 413, ...) wait until the body was read and thrown away: a client
 * that is still sending would see a reset instead of them.
 */
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http_address.h"
#include "http_pool.h"
#include "http_priv.h"
#include "http_server.h"
#include "http_server_priv.h"
#include "value/value.h"

#define MAX_ANSWER_BYTES   ((size_t)30 * 1024 * 1024)
#define MAX_BODIES_BYTES   ((size_t)1024 * 1024 * 1024) /* of all requests together */
#define CONNECTION_POOL    ((size_t)24 * 1024) /* bounds request line and headers */
#define STREAM_CHUNK       ((size_t)32 * 1024)
#define MAX_CONNECTIONS    65000
#define SPARE_ARENAS       64
#define CLIENT_CLOSED_CODE 499 /* in logs: the peer left before the reply */

/* Arenas between two requests, so that a request starts with warm memory. */
struct spare_arenas {
    pthread_mutex_t mu;
    struct arena *arena[SPARE_ARENAS]; /* guarded by: mu */
    unsigned n;                        /* guarded by: mu */
};

struct http_server {
    struct http_server_options o;
    struct spare_arenas spare;
    struct MHD_Daemon *daemon;
    struct http_pool *pool;
    struct conn_watch watch;
    struct cors cors;
    struct clock *clock;
    int port;
    char id_prefix[12];
    _Atomic uint64_t next_id;
    _Atomic size_t body_bytes;
    _Atomic unsigned exchanges, running;
    _Atomic bool draining, stopping, closing;
    bool listening;
    int quiesced_fd; /* the listening socket after stop_listening, else -1 */
    char *late_reply;
    pthread_mutex_t mu;
    pthread_cond_t ended; /* an exchange ended while stopping */
};

enum phase { PHASE_URI, PHASE_BODY, PHASE_RUN, PHASE_DONE, PHASE_SENT };

/* The headers that the server itself acts upon. */
struct head {
    const char *origin, *want_method, *want_headers, *request_id, *forwarded_for, *expect;
    const char *content_length, *transfer_encoding;
    unsigned content_lengths, transfer_encodings, hosts;
    bool
        odd_name; /* "Transfer-Encoding : chunked" is another header to the next parser */
};

struct exchange {
    struct http_connection base; /* first: see http_priv.h */
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct conn *conn;
    struct request rq;
    struct reply rp;
    struct status st;
    struct http_job job;
    struct head head;
    enum phase phase;
    bool answered; /* rp is filled: the rest of the body is thrown away */
    bool counted;
    bool close;
    struct buf body;
    uint64_t body_seen;
    int64_t start_us;
    int sent_status;
    size_t bytes_out;
    struct {
        char *data;
        size_t len, off;
        bool ended, failed;
    } stream;
};

/* ---- arenas ---- */

static struct arena *take_arena(struct spare_arenas *s) {
    struct arena *a = NULL;

    pthread_mutex_lock(&s->mu);
    if (s->n > 0)
        a = s->arena[--s->n];
    pthread_mutex_unlock(&s->mu);
    return a ? a : arena_new(4000);
}

static void give_arena(struct spare_arenas *s, struct arena *a) {
    arena_reset(a);
    pthread_mutex_lock(&s->mu);
    if (s->n < SPARE_ARENAS) {
        s->arena[s->n++] = a;
        a = NULL;
    }
    pthread_mutex_unlock(&s->mu);
    arena_free(&a);
}

/* ---- request headers ---- */

static const char *exchange_header(struct http_connection *c, const char *name) {
    struct exchange *ex = (struct exchange *)c;

    return MHD_lookup_connection_value(ex->mhd, MHD_HEADER_KIND, name);
}

struct each {
    void (*fn)(void *ctx, const char *name, const char *value);
    void *ctx;
};

static enum MHD_Result each_one(void *cls, enum MHD_ValueKind kind, const char *name,
                                const char *value) {
    const struct each *e = cls;

    (void)kind;
    e->fn(e->ctx, name, value ? value : "");
    return MHD_YES;
}

static void exchange_each_header(struct http_connection *c,
                                 void (*fn)(void *, const char *, const char *),
                                 void *ctx) {
    struct each e = {fn, ctx};

    MHD_get_connection_values(((struct exchange *)c)->mhd, MHD_HEADER_KIND, each_one, &e);
}

/* RFC 9110 tchar, a bit per byte below 128. */
static bool is_token(const char *s) {
    static const uint32_t tchar[4] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff};

    for (; *s; s++)
        if (*s < 0 || !(tchar[*s / 32] >> *s % 32 & 1))
            return false;
    return true;
}

static void note_header(void *ctx, const char *name, const char *value) {
    struct head *h = ctx;

    h->odd_name |= !is_token(name);
    switch (name[0] | 0x20) {
    case 'a':
        if (strcasecmp(name, "access-control-request-method") == 0)
            h->want_method = value;
        else if (strcasecmp(name, "access-control-request-headers") == 0)
            h->want_headers = value;
        break;
    case 'c':
        if (strcasecmp(name, "content-length") == 0) {
            h->content_length = value;
            h->content_lengths++;
        }
        break;
    case 'e':
        if (strcasecmp(name, "expect") == 0)
            h->expect = value;
        break;
    case 'h':
        h->hosts += strcasecmp(name, "host") == 0;
        break;
    case 'o':
        if (strcasecmp(name, "origin") == 0)
            h->origin = value;
        break;
    case 't':
        if (strcasecmp(name, "transfer-encoding") == 0) {
            h->transfer_encoding = value;
            h->transfer_encodings++;
        }
        break;
    case 'x':
        if (strcasecmp(name, "x-request-id") == 0)
            h->request_id = value;
        else if (strcasecmp(name, "x-forwarded-for") == 0)
            h->forwarded_for = value;
        break;
    default:
        break;
    }
}

/* Framing that two parsers could read differently is refused (request smuggling). */
static bool is_framing_sane(const struct head *h) {
    if (h->odd_name || h->hosts > 1 || h->content_lengths > 1 ||
        h->transfer_encodings > 1)
        return false;
    if (h->transfer_encoding && (h->content_length || h->hosts == 0 ||
                                 strcasecmp(h->transfer_encoding, "chunked") != 0))
        return false;
    return !h->content_length ||
           (*h->content_length &&
            strspn(h->content_length, "0123456789") == strlen(h->content_length));
}

static bool is_sane_id(const char *id) {
    size_t n = strlen(id);

    return n > 0 && n <= 128 &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789-_.:/+=@") == n;
}

static const char *request_id(struct exchange *ex) {
    static const char digits[] = "0123456789abcdef";
    struct http_server *s = ex->server;
    uint64_t n = atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed);
    size_t prefix = sizeof(s->id_prefix) - 1;
    char *id;

    if (ex->head.request_id && is_sane_id(ex->head.request_id))
        return ex->head.request_id;
    id = arena_alloc(ex->rq.arena, prefix + 10 + 1);
    memcpy(id, s->id_prefix, prefix);
    for (int i = 9; i >= 0; i--, n >>= 4)
        id[prefix + (size_t)i] = digits[n & 15];
    id[prefix + 10] = '\0';
    return id;
}

/*
 * Behind a balancer the peer is private and appends the address it saw: the last public
 * one counts, what stands before it is the client's own invention.
 */
static const char *client_ip(struct exchange *ex) {
    const char *list = ex->head.forwarded_for, *end;

    if (!ex->conn->ip_is_private || !list)
        return ex->conn->ip;
    end = list + strlen(list);
    while (end > list) {
        const char *start = memrchr(list, ',', (size_t)(end - list));
        const char *from = start ? start + 1 : list;
        char ip[46];

        while (from < end && *from == ' ')
            from++;
        snprintf(ip, sizeof(ip), "%.*s", (int)(end - from), from);
        if (http_address_class_text(ip) == ADDRESS_PUBLIC)
            return arena_strdup(ex->rq.arena, ip);
        end = start ? start : list;
    }
    return ex->conn->ip;
}

/* ---- answers of the server itself ---- */

static void answer_error(struct exchange *ex, const char *key, const char *message) {
    st_fail(&ex->st, ST_BAD_REQUEST, key, "%s", message);
    reply_error(&ex->rp, &ex->st);
    ex->answered = true;
}

static void answer_unavailable(struct exchange *ex, const char *message) {
    st_fail(&ex->st, ST_INTERNAL, "unavailable", "%s", message);
    reply_error(&ex->rp, &ex->st);
    reply_header(&ex->rp, "Retry-After", "1");
    ex->answered = true;
}

static void answer_no_row(struct exchange *ex, int method, int rc, const char *allow) {
    if (rc == 1) {
        st_fail(&ex->st, ST_BAD_REQUEST, "not_found", "There is no %s", ex->rq.path);
        reply_error(&ex->rp, &ex->st);
    } else {
        if (method == HTTP_OPTIONS) {
            reply_empty(&ex->rp, 204);
        } else {
            st_fail(&ex->st, ST_BAD_REQUEST, "method_not_allowed",
                    "This method is not allowed here, only %s", allow);
            reply_error(&ex->rp, &ex->st);
        }
        reply_header(&ex->rp, "Allow", allow);
    }
    ex->answered = true;
}

static void find_row(struct exchange *ex, int method) {
    const char *allow = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS";
    int rc = http_router_match(
        ex->server->o.router, method < 0 ? HTTP_OPTIONS : (enum http_method)method,
        ex->rq.path, ex->rq.arena, &ex->rq.route, ex->rq.param, &allow);

    if (rc == 0 && method < 0) {
        ex->rq.route = NULL;
        rc = 2;
    }
    if (rc)
        answer_no_row(ex, method, rc, allow);
    else if (ex->server->draining && strcmp(ex->rq.route->pattern, "/") == 0)
        answer_unavailable(ex, "The service is shutting down");
}

/* ---- running the handler ---- */

static void drop_stream(struct exchange *ex) {
    void (*done)(void *) = ex->rp.pull_done;

    ex->rp.pull = NULL;
    ex->rp.pull_done = NULL;
    if (done)
        done(ex->rp.pull_ctx);
}

/* 1: the handler wants a thread that may block. */
static int run_handler(struct exchange *ex) {
    struct request *rq = &ex->rq;
    const struct http_server *s = ex->server;
    int rc = 0;

    if (*rq->query_text && rq->query == &value_empty_object)
        rc = http_query_parse(rq->arena, rq->query_text, strlen(rq->query_text),
                              &rq->query, &ex->st);
    if (rc == 0 && rq->route->access != ACCESS_NONE && s->o.authenticate)
        rc = s->o.authenticate(rq, &ex->st);
    if (rc == 0)
        rc = rq->route->handler(rq, &ex->rp, &ex->st);
    if (rc > 0) {
        assert(!rq->may_block && !ex->rp.status);
        return 1;
    }
    if (rc < 0) {
        drop_stream(ex);
        reply_error(&ex->rp, &ex->st);
    } else if (ex->rp.status == 0) {
        reply_empty(&ex->rp, 204);
    }
    if (ex->rp.body.len > MAX_ANSWER_BYTES) {
        st_fail(&ex->st, ST_BAD_REQUEST, "answer_too_large",
                "The answer is larger than 30 MB: ask for less at a time");
        reply_error(&ex->rp, &ex->st);
    }
    return 0;
}

/* Gives the exchange back to the network thread, where it may end at once. */
static void resume(struct exchange *ex) {
    struct http_server *s = ex->server;

    MHD_resume_connection(ex->mhd);
    atomic_fetch_sub(&s->running, 1);
}

static void run_job(struct http_job *job) {
    struct exchange *ex =
        (struct exchange *)((char *)job - offsetof(struct exchange, job));

    run_handler(ex);
    ex->phase = PHASE_DONE;
    resume(ex);
}

/* Takes the exchange from the network thread; false when the server is being closed. */
static bool suspend(struct exchange *ex, void (*run)(struct http_job *)) {
    struct http_server *s = ex->server;

    atomic_fetch_add(&s->running, 1);
    if (atomic_load(&s->closing)) {
        atomic_fetch_sub(&s->running, 1);
        return false;
    }
    ex->job.run = run;
    MHD_suspend_connection(ex->mhd);
    return true;
}

/* ---- streamed replies ---- */

static void pull_job(struct http_job *job) {
    struct exchange *ex =
        (struct exchange *)((char *)job - offsetof(struct exchange, job));
    size_t n = 0;

    if (!ex->stream.data)
        ex->stream.data = malloc(STREAM_CHUNK);
    ex->stream.off = ex->stream.len = 0;
    if (!ex->stream.data ||
        ex->rp.pull(ex->rp.pull_ctx, ex->stream.data, STREAM_CHUNK, &n, &ex->st) < 0)
        ex->stream.failed = true;
    else if (n == 0)
        ex->stream.ended = true;
    assert(n <= STREAM_CHUNK);
    ex->stream.len = n;
    resume(ex);
}

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max) {
    struct exchange *ex = cls;
    size_t n = ex->stream.len - ex->stream.off;

    (void)pos;
    if (n > 0) {
        n = n < max ? n : max;
        memcpy(buf, ex->stream.data + ex->stream.off, n);
        ex->stream.off += n;
        ex->bytes_out += n;
        return (ssize_t)n;
    }
    if (ex->stream.failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (ex->stream.ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!suspend(ex, pull_job))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    http_pool_submit(ex->server->pool, &ex->job, true);
    return 0;
}

/* ---- sending ---- */

/* Headers that describe the connection or our own framing: never a handler's business. */
static bool is_own_header(const char *name) {
    static const char *const own[] = {"connection",   "content-length",
                                      "keep-alive",   "proxy-connection",
                                      "te",           "trailer",
                                      "upgrade",      "transfer-encoding",
                                      "x-request-id", "access-control-allow-origin",
                                      "content-type"};

    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        if (strcasecmp(name, own[i]) == 0)
            return true;
    return false;
}

static void add_headers(struct exchange *ex, struct MHD_Response *r) {
    const struct http_server *s = ex->server;
    struct reply cors = {.arena = ex->rq.arena};

    if (ex->rp.content_type)
        MHD_add_response_header(r, "Content-Type", ex->rp.content_type);
    for (const struct reply_header *h = ex->rp.headers; h; h = h->next)
        if (!is_own_header(h->name))
            MHD_add_response_header(r, h->name, h->value);
    if (ex->rq.id)
        MHD_add_response_header(r, "X-Request-Id", ex->rq.id);
    if (!s->cors.allowed) {
        /* none */
    } else if (strcmp(s->cors.allowed, "*") == 0 && !ex->head.origin) {
        MHD_add_response_header(r, "Access-Control-Allow-Origin", "*");
    } else {
        cors_headers(&s->cors, ex->head.origin, &cors);
        for (const struct reply_header *h = cors.headers; h; h = h->next)
            MHD_add_response_header(r, h->name, h->value);
    }
    if (ex->close || s->draining || (ex->rp.pull && ex->rq.method == HTTP_HEAD))
        MHD_add_response_header(r, "Connection", "close");
}

static enum MHD_Result send_reply(struct exchange *ex) {
    struct MHD_Response *r;
    enum MHD_Result rc;

    if (ex->rp.pull)
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_CHUNK, stream_read,
                                              ex, NULL);
    else
        r = MHD_create_response_from_buffer(
            ex->rp.body.len, (void *)(uintptr_t)(ex->rp.body.len ? ex->rp.body.data : ""),
            MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    /* Else libmicrohttpd ends a chunked answer to HEAD with a last chunk all the same. */
    if (ex->rp.pull && ex->rq.method == HTTP_HEAD)
        MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    add_headers(ex, r);
    ex->sent_status = ex->rp.status;
    ex->bytes_out = ex->rp.body.len;
    ex->phase = PHASE_SENT;
    rc = MHD_queue_response(ex->mhd, (unsigned)ex->rp.status, r);
    MHD_destroy_response(r);
    return rc;
}

/* ---- the course of a request ---- */

/* The path and the query of a request target, which may also be an absolute URI. */
static void split_target(struct request *rq, const char *target) {
    char *copy = arena_strdup(rq->arena, target), *mark;

    if (*copy != '/' && (mark = strstr(copy, "://"))) {
        copy = mark + 3 + strcspn(mark + 3, "/?");
        if (*copy != '/')
            copy = arena_printf(rq->arena, "/%s", copy);
    }
    mark = strchr(copy, '?');
    rq->query_text = mark ? mark + 1 : "";
    if (mark)
        *mark = '\0';
    rq->path = copy;
}

static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd) {
    struct http_server *s = cls;
    struct arena *a = take_arena(&s->spare);
    struct exchange *ex = arena_zalloc(a, sizeof(*ex));

    ex->base.header = exchange_header;
    ex->base.each_header = exchange_each_header;
    ex->server = s;
    ex->mhd = mhd;
    ex->conn =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    ex->start_us = conn_now_us();
    ex->rq.arena = a;
    ex->rq.deps = s->o.deps;
    ex->rq.connection = &ex->base;
    ex->rq.query = &value_empty_object;
    ex->rp.arena = a;
    st_init(&ex->st, a);
    split_target(&ex->rq, target);
    conn_enter(&s->watch, ex->conn, CONN_HEADERS);
    return ex;
}

static enum MHD_Result on_headers(struct exchange *ex, const char *method_name) {
    struct http_server *s = ex->server;
    int method = http_method_from_name(method_name);
    uint64_t length = 0;

    exchange_each_header(&ex->base, note_header, &ex->head);
    ex->phase = PHASE_BODY;
    ex->counted = true;
    atomic_fetch_add(&s->exchanges, 1);
    ex->rq.method = method < 0 ? HTTP_OPTIONS : (enum http_method)method;
    ex->rq.id = request_id(ex);
    ex->rq.client_ip = client_ip(ex);
    ex->rq.deadline_ms = clock_monotonic_ms(s->clock) + s->o.request_timeout_ms;
    if (!is_framing_sane(&ex->head)) {
        answer_error(ex, NULL, "The request's framing headers contradict each other");
        ex->close = true;
        return send_reply(ex);
    }
    if (method == HTTP_OPTIONS && s->cors.allowed && ex->head.want_method) {
        cors_preflight(&s->cors, ex->head.origin, ex->head.want_headers, &ex->rp);
        ex->answered = true;
    } else {
        find_row(ex, method);
    }
    if (ex->head.content_length)
        length = strtoull(ex->head.content_length, NULL, 10);
    if (length > s->o.max_body_bytes && !ex->answered)
        answer_error(ex, "payload_too_large", "The request body is too large");
    if (length == 0 && !ex->head.transfer_encoding)
        return MHD_YES;
    if (!conn_enter(&s->watch, ex->conn, CONN_BODY))
        return MHD_NO;
    /* Nothing is gained by reading it: the client waits, or it is far too much. */
    if (ex->answered && (ex->head.expect || length / 4 > s->o.max_body_bytes)) {
        ex->close = true;
        return send_reply(ex);
    }
    return MHD_YES;
}

static enum MHD_Result on_body(struct exchange *ex, const char *data, size_t len) {
    struct http_server *s = ex->server;

    ex->body_seen += len;
    if (ex->body_seen / 4 > s->o.max_body_bytes)
        return MHD_NO;
    if (ex->answered)
        return MHD_YES;
    if (ex->body_seen > s->o.max_body_bytes) {
        answer_error(ex, "payload_too_large", "The request body is too large");
    } else if (atomic_fetch_add(&s->body_bytes, len) + len > MAX_BODIES_BYTES) {
        atomic_fetch_sub(&s->body_bytes, len);
        answer_unavailable(ex, "The service is busy with large requests");
    } else {
        buf_add(&ex->body, data, len);
        return MHD_YES;
    }
    atomic_fetch_sub(&s->body_bytes, ex->body.len);
    buf_fini(&ex->body);
    return MHD_YES;
}

static enum MHD_Result on_complete(struct exchange *ex) {
    struct http_server *s = ex->server;

    if (!conn_enter(&s->watch, ex->conn, CONN_BUSY))
        return MHD_NO;
    if (ex->answered)
        return send_reply(ex);
    ex->rq.body = (struct bytes){ex->body.data ? ex->body.data : "", ex->body.len};
    if (ex->rq.route->flags & ROUTE_INLINE && run_handler(ex) == 0)
        return send_reply(ex);
    ex->rq.may_block = true;
    if (!suspend(ex, run_job))
        return MHD_NO;
    ex->phase = PHASE_RUN;
    if (http_pool_submit(s->pool, &ex->job, false) != 0) {
        answer_unavailable(ex, "Too many requests are at work: try again soon");
        ex->phase = PHASE_DONE;
        resume(ex);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version,
                                  const char *data, size_t *data_len, void **con_cls) {
    struct exchange *ex = *con_cls;
    enum MHD_Result rc;

    (void)cls, (void)mhd, (void)url, (void)version;
    switch (ex->phase) {
    case PHASE_URI:
        return on_headers(ex, method);
    case PHASE_BODY:
        if (*data_len == 0)
            return on_complete(ex);
        rc = on_body(ex, data, *data_len);
        *data_len = 0;
        return rc;
    case PHASE_DONE:
        return send_reply(ex);
    default:
        return MHD_YES;
    }
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                         enum MHD_RequestTerminationCode how) {
    struct http_server *s = cls;
    struct exchange *ex = *con_cls;

    (void)mhd;
    if (!ex)
        return;
    *con_cls = NULL;
    assert(ex->phase != PHASE_RUN);
    drop_stream(ex);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        conn_enter(&s->watch, ex->conn, CONN_IDLE);
    if (ex->counted && s->o.finished)
        s->o.finished(s->o.ctx, &ex->rq,
                      ex->sent_status ? ex->sent_status : CLIENT_CLOSED_CODE,
                      conn_now_us() - ex->start_us, ex->bytes_out);
    if (ex->body.data) {
        atomic_fetch_sub(&s->body_bytes, ex->body.len);
        buf_fini(&ex->body);
    }
    free(ex->stream.data);
    if (ex->counted && atomic_fetch_sub(&s->exchanges, 1) == 1 && s->stopping) {
        pthread_mutex_lock(&s->mu);
        pthread_cond_signal(&s->ended);
        pthread_mutex_unlock(&s->mu);
    }
    give_arena(&s->spare, ex->rq.arena);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what) {
    struct http_server *s = cls;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

        *context =
            conn_open(&s->watch, fd,
                      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
                          ->client_addr);
    } else if (*context) {
        conn_close(&s->watch, *context);
        *context = NULL;
    }
}

/* Paths and queries are decoded by us: the router needs them as sent. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *s) {
    (void)cls, (void)mhd;
    return strlen(s);
}

/* ---- life of the server ---- */

static int listen_on(const char *host, int port, int *ret_fd, struct status *st) {
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    char service[8];
    int fd, on = 1, rc;

    snprintf(service, sizeof(service), "%d", port & 0xffff);
    if ((rc = getaddrinfo(host, service, &hints, &ai)) != 0)
        return st_fail(st, ST_INTERNAL, NULL, "Can't listen on %s: %s", host,
                       gai_strerror(rc));
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 4096) < 0) {
        st_fail(st, ST_INTERNAL, NULL, "Can't listen on %s port %d: %s", host, port,
                strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(ai);
    *ret_fd = fd;
    return fd < 0 ? -1 : 0;
}

static int port_of(int fd) {
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);

    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return 0;
    return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
                                          : ((struct sockaddr_in *)&ss)->sin_port);
}

static char *make_late_reply(void) {
    static const char body[] = "{\"type\":\"bad_request\",\"key\":\"request_timeout\","
                               "\"message\":\"The request took too long to arrive\"}";
    struct buf b = BUF_INIT;

    buf_addf(&b,
             "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json; "
             "charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             sizeof(body) - 1, body);
    return b.data;
}

static void set_defaults(struct http_server *s) {
    struct http_server_options *o = &s->o;
    unsigned char random[5];

    o->host = o->host ? o->host : "0.0.0.0";
    o->network_threads = o->network_threads ? o->network_threads : 1;
    o->max_handlers = o->max_handlers ? o->max_handlers : 5500;
    o->max_body_bytes = o->max_body_bytes ? o->max_body_bytes : (size_t)10 * 1024 * 1024;
    o->headers_timeout_ms = o->headers_timeout_ms ? o->headers_timeout_ms : 61000;
    o->keepalive_timeout_ms = o->keepalive_timeout_ms ? o->keepalive_timeout_ms : 61000;
    o->request_timeout_ms = o->request_timeout_ms ? o->request_timeout_ms : 60000;
    s->clock = o->deps && o->deps->clock ? o->deps->clock : clock_system();
    s->cors.allowed = o->cors_allowed_origins;
    rand_system()->fill(rand_system(), random, sizeof(random));
    snprintf(s->id_prefix, sizeof(s->id_prefix), "%02x%02x%02x%02x%02x-", random[0],
             random[1], random[2], random[3], random[4]);
}

static struct MHD_Daemon *start_daemon(struct http_server *s, int fd) {
    const struct http_server_options *o = &s->o;
    int longest = o->headers_timeout_ms > o->keepalive_timeout_ms
                      ? o->headers_timeout_ms
                      : o->keepalive_timeout_ms;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)CONNECTION_POOL, NULL},
        /* For peers that stop reading; the watch has the finer deadlines. */
        {MHD_OPTION_CONNECTION_TIMEOUT, longest / 1000 + 15, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, s},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, s},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, s},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {o->network_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
         (intptr_t)o->network_threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO, 0, NULL,
        NULL, on_request, s, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static void server_free(struct http_server *s) {
    if (s->quiesced_fd >= 0)
        close(s->quiesced_fd);
    http_pool_free(&s->pool);
    conn_watch_stop(&s->watch);
    pthread_mutex_destroy(&s->mu);
    pthread_mutex_destroy(&s->spare.mu);
    pthread_cond_destroy(&s->ended);
    while (s->spare.n > 0)
        arena_free(&s->spare.arena[--s->spare.n]);
    free(s->late_reply);
    free(s);
}

int http_server_start(const struct http_server_options *o,
                      struct http_server **ret_server, struct status *st) {
    struct http_server *s = calloc(1, sizeof(*s));
    pthread_condattr_t monotonic;
    int fd = -1;

    assert(s && o->router);
    s->o = *o;
    s->quiesced_fd = -1;
    set_defaults(s);
    if (listen_on(s->o.host, s->o.port, &fd, st) < 0) {
        free(s);
        return -1;
    }
    s->port = port_of(fd);
    pthread_mutex_init(&s->mu, NULL);
    pthread_mutex_init(&s->spare.mu, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->late_reply = make_late_reply();
    s->watch.headers_timeout_ms = s->o.headers_timeout_ms;
    s->watch.keepalive_timeout_ms = s->o.keepalive_timeout_ms;
    s->watch.request_timeout_ms = s->o.request_timeout_ms;
    s->watch.late_reply = s->late_reply;
    if (conn_watch_start(&s->watch) < 0)
        abort();
    s->pool = http_pool_new(s->o.max_handlers);
    s->daemon = s->pool ? start_daemon(s, fd) : NULL;
    if (!s->daemon) {
        close(fd);
        server_free(s);
        return st_fail(st, ST_INTERNAL, NULL, "Can't start the HTTP server");
    }
    s->listening = true;
    *ret_server = s;
    return 0;
}

int http_server_port(const struct http_server *s) {
    return s->port;
}

unsigned http_server_in_flight(const struct http_server *s) {
    return atomic_load(&s->exchanges);
}

void http_server_drain(struct http_server *s) {
    s->draining = true;
}

void http_server_stop_listening(struct http_server *s) {
    int fd;

    if (!s->listening)
        return;
    s->listening = false;
    /* Shut down refuses callers at once; the daemon's thread may still hold the number,
     * so it is closed when that thread has ended. */
    fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    s->quiesced_fd = fd;
    s->draining = true;
    conn_end_idle(&s->watch);
}

static void wait_for_exchanges(struct http_server *s, int grace_ms) {
    struct timespec until;
    int64_t at_ms = conn_now_ms() + grace_ms;

    until.tv_sec = at_ms / 1000;
    until.tv_nsec = at_ms % 1000 * 1000000;
    pthread_mutex_lock(&s->mu);
    s->stopping = true;
    while (s->exchanges > 0)
        if (pthread_cond_timedwait(&s->ended, &s->mu, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&s->mu);
}

void http_server_stop(struct http_server **sp, int grace_ms) {
    struct http_server *s = *sp;

    if (!s)
        return;
    *sp = NULL;
    http_server_stop_listening(s);
    wait_for_exchanges(s, grace_ms);
    s->closing = true;
    conn_end_all(&s->watch);
    /* A handler that does not end can't be ended: its memory stays until exit. */
    if (atomic_load(&s->running) > 0)
        return;
    MHD_stop_daemon(s->daemon);
    server_free(s);
}
