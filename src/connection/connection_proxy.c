/*
 * connection_proxy.c - /connections/{selector}/proxy/...: the app behind the connection's
 * authentication, unchanged (engine.md 6.5).
 *
 * The call runs on a thread of its own and fills a queue that the reply is pulled from,
 * so that the caller sees the first bytes when the app sends them. The head decides
 * before anything is answered: 401 on credentials that can be renewed means one more try.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "connection_priv.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_client.h"
#include "model/model.h"
#include "value/value.h"

#define MAX_ANSWER  ((size_t)30 * 1024 * 1024)
#define TIMEOUT_MS  60000
#define MAX_HEADERS 200

/* Set by proxies on the way, or about this hop only: never the caller's to pass on. */
static const char *const not_forwarded[] = {
    "host", "x-request-id", "x-real-ip", "x-forwarded-for", "x-forwarded-host",
    "x-forwarded-port", "x-forwarded-proto", "x-forwarded-scheme", "x-scheme",
    "x-original-forwarded-for", "x-different-name", "x-request-start",
    "x-using-nginx-controller", "x-amzn-trace-id", "forwarded-for-header",
    "proxy-protocol", "real_ip_header", "real_ip_recursive", "cdn-loop", "cf-ipcountry",
    "cf-ray", "cf-visitor", "cf-connecting-ip", "connection", "authorization",
    "content-length",
    /* hop-by-hop of RFC 9110 7.6.1, and what only our API understands */
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-authorization",
    "proxy-connection", "expect", "membrane-api-version", "accept-encoding", NULL};
static const char *const not_returned[] = {"connection",
                                           "keep-alive",
                                           "proxy-authenticate",
                                           "te",
                                           "trailer",
                                           "transfer-encoding",
                                           "upgrade",
                                           "content-length",
                                           "date",
                                           "server",
                                           NULL};

static bool listed(const char *const *list, const char *name) {
    for (; *list; list++)
        if (strcasecmp(*list, name) == 0)
            return true;
    return false;
}

/* ---- one call ---- */

struct proxy_call {
    struct arena
        *arena; /* of the call: the thread's while it runs, then the last user's */
    struct http_client *http;
    struct http_call call;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    /* guarded by: mu */
    int status; /* 0 until the head arrived */
    struct http_header *headers;
    size_t headers_len;
    struct buf queue;
    size_t read;
    bool finished, failed, cancelled;
    struct status st;
};

static int on_head(void *ctx, int status, const struct http_header *headers, size_t n) {
    struct proxy_call *c = ctx;

    pthread_mutex_lock(&c->mu);
    c->headers = arena_alloc(c->arena, n * sizeof(*headers) + 1);
    for (size_t i = 0; i < n; i++)
        c->headers[i] = (struct http_header){arena_strdup(c->arena, headers[i].name),
                                             arena_strdup(c->arena, headers[i].value)};
    c->headers_len = n;
    c->status = status;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mu);
    return 0;
}

static int on_body(void *ctx, const char *data, size_t len) {
    struct proxy_call *c = ctx;
    bool stop;

    pthread_mutex_lock(&c->mu);
    if (c->read == c->queue.len) {
        buf_clear(&c->queue);
        c->read = 0;
    }
    stop = c->cancelled || c->queue.len - c->read > MAX_ANSWER;
    if (!stop)
        buf_add(&c->queue, data, len);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mu);
    return stop ? -1 : 0;
}

static void *run(void *ctx) {
    struct proxy_call *c = ctx;
    struct arena *scratch = arena_new(0);
    struct http_answer answer;
    struct status st;
    int rc;

    st_init(&st, scratch);
    rc = http_client_call(c->http, scratch, &c->call, &answer, &st);
    pthread_mutex_lock(&c->mu);
    c->finished = true;
    c->failed = rc < 0;
    if (rc < 0)
        st_fail(&c->st, st.type, st.key, "%s", st.message);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mu);
    arena_free(&scratch);
    return NULL;
}

/* Ends the call if it still runs, and frees it. */
static void call_free(void *ctx) {
    struct proxy_call *c = ctx;
    struct arena *a = c->arena;

    pthread_mutex_lock(&c->mu);
    c->cancelled = true;
    pthread_mutex_unlock(&c->mu);
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mu);
    buf_fini(&c->queue);
    arena_free(&a);
}

static int call_start(struct request *rq, const struct http_call *call,
                      struct proxy_call **ret, struct status *st) {
    struct arena *a = arena_new(4096);
    struct proxy_call *c = arena_zalloc(a, sizeof(*c));
    struct http_header *headers =
        arena_alloc(a, call->headers_len * sizeof(*headers) + 1);

    c->arena = a;
    c->http = rq->deps->http;
    c->call = *call;
    /* The reply may outlive the request's arena only until pull_done: copy what is used.
     */
    c->call.url = arena_strdup(a, call->url);
    for (size_t i = 0; i < call->headers_len; i++)
        headers[i] = (struct http_header){arena_strdup(a, call->headers[i].name),
                                          arena_strdup(a, call->headers[i].value)};
    c->call.headers = headers;
    c->call.on_head = on_head;
    c->call.on_body = on_body;
    c->call.on_ctx = c;
    pthread_mutex_init(&c->mu, NULL);
    pthread_cond_init(&c->changed, NULL);
    st_init(&c->st, a);
    if (pthread_create(&c->thread, NULL, run, c) != 0) {
        arena_free(&a);
        return st_fail(st, ST_INTERNAL, "unavailable", "no thread for the call");
    }
    pthread_mutex_lock(&c->mu);
    while (!c->status && !c->finished)
        pthread_cond_wait(&c->changed, &c->mu);
    pthread_mutex_unlock(&c->mu);
    if (!c->status) {
        st_fail(st, c->st.type ? c->st.type : ST_CONNECTION, c->st.key, "%s",
                c->st.message ? c->st.message : "the app gave no answer");
        call_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

static int pull(void *ctx, char *out, size_t max, size_t *ret_len, struct status *st) {
    struct proxy_call *c = ctx;
    size_t n;
    int rc = 0;

    pthread_mutex_lock(&c->mu);
    while (c->read == c->queue.len && !c->finished)
        pthread_cond_wait(&c->changed, &c->mu);
    n = c->queue.len - c->read;
    if (n > max)
        n = max;
    if (n)
        memcpy(out, c->queue.data + c->read, n);
    c->read += n;
    if (n == 0 && c->failed)
        rc = st_fail(st, ST_CONNECTION, c->st.key, "the app's answer was cut off");
    pthread_mutex_unlock(&c->mu);
    *ret_len = n;
    return rc;
}

/* ---- the request out ---- */

struct header_list {
    struct arena *arena;
    struct http_header *items;
    size_t len;
};

static void put_header(struct header_list *l, const char *name, const char *value) {
    for (size_t i = 0; i < l->len; i++)
        if (strcasecmp(l->items[i].name, name) == 0) {
            l->items[i].value = value;
            return;
        }
    if (l->len < MAX_HEADERS)
        l->items[l->len++] = (struct http_header){name, value};
}

static void take_header(void *ctx, const char *name, const char *value) {
    if (!listed(not_forwarded, name))
        put_header(ctx, name, value);
}

static bool is_clean(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 && *s != '\t')
            return false;
    return true;
}

/* The path after /proxy, and the caller's query without our own `token`. */
static const char *target_path(struct request *rq) {
    const char *rest = rq->param[1], *path;
    struct buf query = BUF_INIT;

    for (const char *p = rq->query_text; *p;) {
        size_t n = strcspn(p, "&");

        if (strncmp(p, "token=", 6) != 0) {
            buf_addc(&query, query.len ? '&' : '?');
            buf_add(&query, p, n);
        }
        p += n + (p[n] == '&');
    }
    /* A full address as the rest: "https://x" or "https:/x" (slashes get merged on the
     * way). */
    if (strncmp(rest, "https:/", 7) == 0 || strncmp(rest, "http:/", 6) == 0) {
        size_t scheme = strcspn(rest, "/");
        const char *host = rest + scheme;

        while (*host == '/')
            host++;
        path = arena_printf(rq->arena, "%.*s//%s%s", (int)scheme, rest, host,
                            query.data ? query.data : "");
    } else {
        path = arena_printf(rq->arena, "/%s%s", rest, query.data ? query.data : "");
    }
    buf_fini(&query);
    return path;
}

static int build_call(struct request *rq, struct connection_session *s,
                      struct http_call *call, struct status *st) {
    struct arena *a = rq->arena;
    struct header_list l = {a, arena_alloc(a, MAX_HEADERS * sizeof(struct http_header)),
                            0};
    const struct value *client;
    const char *url;

    if (external_client(&s->external, &client, st) < 0)
        return -1;
    if (external_build_url(a, value_get_string(client, "baseUri", NULL), target_path(rq),
                           value_get(client, "query"), &value_empty_object, &url, st) < 0)
        return -1;
    request_each_header(rq, take_header, &l);
    for (VALUE_EACH_MEMBER(m, value_get(client, "headers")))
        if (value_is_string(&m->value) && is_clean(m->value.str))
            put_header(&l, m->key, m->value.str);
    if (value_is_object(value_get(client, "auth")))
        put_header(&l, "Authorization",
                   external_basic_auth(a, value_get(client, "auth")));
    *call = (struct http_call){
        .method = http_method_name(rq->method),
        .url = url,
        .headers = l.items,
        .headers_len = l.len,
        .body = rq->body,
        .reach = HTTP_REACH_PUBLIC,
        .proxy_uri = value_get_string(client, "proxyUri", NULL),
        .timeout_ms = TIMEOUT_MS,
        .max_answer_bytes = MAX_ANSWER,
    };
    return 0;
}

static int open_session(struct request *rq, struct connection_session *s,
                        struct status *st) {
    struct model_selector sel = {.connection = rq->param[0]};
    struct model_view *v =
        model_view_new(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id);
    const struct value *connection;

    if (model_resolve_connection(v, &sel, &connection, st) < 0)
        return -1;
    return connection_open_session(rq->deps, rq->arena, rq->caller->workspace, connection,
                                   rq->deadline_ms, false, s, st);
}

static void log_call(struct connection_session *s, struct request *rq, const char *url,
                     int status, int64_t start_ms) {
    const struct external_hooks *hooks = s->external.hooks;
    struct arena *a = rq->arena;

    hooks->called(
        &s->external, external_redact_url(a, url), status, status >= 200 && status < 300,
        clock_monotonic_ms(rq->deps->clock) - start_ms,
        value_obj(a, "request",
                  value_obj(a, "method", value_string(a, http_method_name(rq->method)),
                            "url", value_string(a, external_redact_url(a, url)), NULL),
                  "response", value_obj(a, "status", value_number(a, status), NULL),
                  NULL));
}

/* The head alone decides: the body is not ours to read. */
static bool is_expired(struct request *rq, struct connection_session *s, int status) {
    const struct value *code = value_number(rq->arena, status);

    return status >= 400 &&
           external_is_expired(&s->external, value_obj(rq->arena, "status", code,
                                                       "statusCode", code, NULL));
}

int connection_proxy(struct request *rq, struct reply *rp, struct status *st) {
    int64_t start = clock_monotonic_ms(rq->deps->clock);
    const char *content_type = NULL;
    struct connection_session s;
    struct proxy_call *c;
    struct http_call call;
    struct status refresh;

    if (open_session(rq, &s, st) < 0 || build_call(rq, &s, &call, st) < 0 ||
        call_start(rq, &call, &c, st) < 0)
        return -1;
    st_init(&refresh, rq->arena);
    if (is_expired(rq, &s, c->status) && connection_renew(&s, &refresh) == 0) {
        s.external.client = NULL; /* made of the old credentials */
        call_free(c);
        if (build_call(rq, &s, &call, st) < 0 || call_start(rq, &call, &c, st) < 0)
            return -1;
    }
    log_call(&s, rq, call.url, c->status, start);
    for (size_t i = 0; i < c->headers_len; i++) {
        if (strcasecmp(c->headers[i].name, "content-type") == 0)
            content_type = arena_strdup(rq->arena, c->headers[i].value);
        else if (!listed(not_returned, c->headers[i].name) &&
                 strncasecmp(c->headers[i].name, "access-control-", 15) != 0)
            reply_header(rp, arena_strdup(rq->arena, c->headers[i].name),
                         arena_strdup(rq->arena, c->headers[i].value));
    }
    return reply_stream(rp, c->status, content_type ? content_type : "", pull, call_free,
                        c);
}
