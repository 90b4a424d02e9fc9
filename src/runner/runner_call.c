/*
 * runner_call.c - what a job asks of the outside: HTTP requests.
 *
 * A job may have several under way: each has a thread, which needs nothing of the job's
 * own thread but the struct here, counted, so that a job can end while an app still
 * thinks about its answer. Requests go under the policy for users' addresses
 * (HTTP_REACH_PUBLIC). API clients are made of the grant, which the job never sees.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "external/external.h"
#include "http/http_client.h"
#include "runner_priv.h"
#include "value/value_status.h"

enum {
    MAX_ANSWER_BYTES = 20 * 1024 * 1024,
    MAX_HEADERS = 100,
    CALL_TIMEOUT_MS = 60 * 1000,
    CALL_STACK_BYTES = 512 * 1024,
};

struct runner_io {
    struct runner *runner;
    atomic_int refs;
    int socket; /* a descriptor of its own */
    int64_t deadline_ms;
    struct arena *arena; /* grant and logs */
    const struct value *grant;
    pthread_mutex_t writing; /* one frame after the other; never held with `lock` */
    pthread_mutex_t lock;    /* guards what follows */
    struct array_builder logs;
    size_t log_bytes;
    bool over;
    int calls, under_way, successes;
};

/* ---- Life ---- */

struct runner_io *runner_io_new(struct runner *r, int socket, const struct value *grant,
                                int64_t deadline_ms) {
    struct arena *a = arena_new(0);
    struct runner_io *io = arena_zalloc(a, sizeof(*io));

    io->runner = r;
    io->refs = 1;
    io->socket = fcntl(socket, F_DUPFD_CLOEXEC, 3);
    atomic_fetch_add(&r->ios, 1);
    io->deadline_ms = deadline_ms;
    io->arena = a;
    io->grant = value_copy(a, grant);
    pthread_mutex_init(&io->writing, NULL);
    pthread_mutex_init(&io->lock, NULL);
    array_begin(&io->logs, a, 16);
    return io;
}

static void unref(struct runner_io *io) {
    struct arena *a = io->arena;

    if (atomic_fetch_sub(&io->refs, 1) > 1)
        return;
    atomic_fetch_sub(&io->runner->ios, 1);
    if (io->socket >= 0)
        close(io->socket);
    pthread_mutex_destroy(&io->writing);
    pthread_mutex_destroy(&io->lock);
    arena_free(&a);
}

void runner_io_end(struct runner_io *io) {
    shutdown(io->socket, SHUT_RDWR); /* wakes who writes to a job that does not read */
    pthread_mutex_lock(&io->lock);
    io->over = true;
    pthread_mutex_unlock(&io->lock);
    unref(io);
}

int runner_io_calls(struct runner_io *io) {
    return io->calls;
}

int runner_io_successes(struct runner_io *io) {
    int n;

    pthread_mutex_lock(&io->lock);
    n = io->successes;
    pthread_mutex_unlock(&io->lock);
    return n;
}

/* ---- Frames ---- */

/* Head and body together, so that the other side wakes once. */
int runner_write_frame(int fd, const char *data, size_t len) {
    char head[4] = {(char)len, (char)(len >> 8), (char)(len >> 16), (char)(len >> 24)};
    struct iovec parts[2] = {{head, sizeof(head)}, {(char *)data, len}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};

    while (m.msg_iovlen > 0) {
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        for (; m.msg_iovlen > 0 && n >= (ssize_t)m.msg_iov->iov_len; m.msg_iovlen--)
            n -= (ssize_t)m.msg_iov++->iov_len;
        if (m.msg_iovlen > 0) {
            m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + n;
            m.msg_iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

/* ---- Logs ---- */

static void add_log(struct runner_io *io, const struct value *entry) {
    if (io->over || io->logs.len >= RUNNER_MAX_LOGS ||
        io->log_bytes > RUNNER_MAX_LOG_BYTES)
        return;
    array_push(&io->logs, value_copy(io->arena, entry));
}

void runner_io_log(struct runner_io *io, const char *level, const char *message) {
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    struct arena *a = io->arena;
    const char *known = "info";

    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
        if (strcmp(levels[i], level) == 0)
            known = levels[i];
    pthread_mutex_lock(&io->lock);
    if (io->logs.len < RUNNER_MAX_LOGS && io->log_bytes <= RUNNER_MAX_LOG_BYTES) {
        io->log_bytes += strlen(message);
        add_log(io, value_obj(a, "type", value_string(a, "message"), "level",
                              value_string(a, known), "message", value_string(a, message),
                              "createdAt",
                              value_string(a, clock_iso_now(io->runner->deps.clock, a)),
                              NULL));
    }
    pthread_mutex_unlock(&io->lock);
}

const struct value *runner_io_logs(struct runner_io *io, struct arena *a) {
    struct array_builder b;

    pthread_mutex_lock(&io->lock);
    array_begin(&b, a, io->logs.len);
    for (size_t i = 0; i < io->logs.len; i++)
        array_push(&b, value_copy(a, &io->logs.items[i]));
    pthread_mutex_unlock(&io->lock);
    return array_end(&b);
}

/* ---- base64 ---- */

static const struct value *base64(struct arena *a, struct bytes b) {
    char *text = arena_alloc(a, (b.len + 2) / 3 * 4 + 1);
    int n =
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)b.data, (int)b.len);

    return value_string_len(a, text, (size_t)n);
}

static int unbase64(struct arena *a, const struct value *v, struct bytes *ret,
                    struct status *st) {
    char *out;
    int n;

    *ret = (struct bytes){"", 0};
    if (!value_is_string(v) || v->len == 0)
        return 0;
    out = arena_alloc(a, v->len);
    n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)v->str, (int)v->len);
    if (n < 0 || v->len % 4)
        return st_fail(st, ST_BAD_REQUEST, NULL, "the request's body is damaged");
    for (size_t i = v->len; i > 0 && v->str[i - 1] == '='; i--)
        n--;
    *ret = (struct bytes){out, (size_t)n};
    return 0;
}

/* ---- A plain request ---- */

/* Names that the HTTP client sets itself. */
static bool is_own_header(const char *name) {
    static const char *const own[] = {"host",
                                      "connection",
                                      "content-length",
                                      "keep-alive",
                                      "upgrade",
                                      "transfer-encoding",
                                      "te",
                                      "trailer",
                                      "expect",
                                      "accept-encoding"};

    if (strncasecmp(name, "proxy-", 6) == 0)
        return true;
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        if (strcasecmp(name, own[i]) == 0)
            return true;
    return false;
}

static bool is_token(const struct value *v) {
    if (!value_is_string(v) || v->len == 0 || v->len > 200)
        return false;
    for (size_t i = 0; i < v->len; i++)
        if (!isalnum((unsigned char)v->str[i]) &&
            (!v->str[i] || !strchr("!#$%&'*+-.^_`|~", v->str[i])))
            return false;
    return true;
}

static bool is_header_value(const struct value *v) {
    if (!value_is_string(v) || v->len > 65536)
        return false;
    for (size_t i = 0; i < v->len; i++)
        if (((unsigned char)v->str[i] < 32 && v->str[i] != '\t') || v->str[i] == 127)
            return false;
    return true;
}

static int take_headers(struct arena *a, const struct value *list, struct http_call *call,
                        struct status *st) {
    struct http_header *headers = arena_alloc(a, MAX_HEADERS * sizeof(*headers));

    call->headers = headers;
    for (VALUE_EACH_ITEM(h, list)) {
        const struct value *name = value_at(h, 0), *value = value_at(h, 1);

        if (!is_token(name) || !is_header_value(value))
            return st_fail(st, ST_BAD_REQUEST, NULL, "a header can't be sent as it is");
        if (is_own_header(name->str))
            continue;
        if (call->headers_len == MAX_HEADERS)
            return st_fail(st, ST_BAD_REQUEST, NULL, "more than %d headers", MAX_HEADERS);
        headers[call->headers_len++] =
            (struct http_header){value_text(name), value_text(value)};
    }
    return 0;
}

static const struct value *answer_headers(struct arena *a, const struct http_answer *r) {
    struct array_builder b, pair;

    array_begin(&b, a, r->headers_len);
    for (size_t i = 0; i < r->headers_len; i++) {
        array_begin(&pair, a, 2);
        array_push(&pair, value_string(a, r->headers[i].name));
        array_push(&pair, value_string(a, r->headers[i].value));
        array_push(&b, array_end(&pair));
    }
    return array_end(&b);
}

static int64_t left_ms(const struct runner_io *io) {
    int64_t left = io->deadline_ms - clock_monotonic_ms(io->runner->deps.clock);

    return left < 1 ? 1 : left > CALL_TIMEOUT_MS ? CALL_TIMEOUT_MS : left;
}

static void log_request(struct runner_io *io, struct arena *a, const char *method,
                        const char *url, int status, const struct status *failure,
                        int64_t ms) {
    const struct value *entry = value_obj(
        a, "type", value_string(a, "api-request"), "data",
        value_obj(a, "request",
                  value_obj(a, "method", value_string(a, method), "url",
                            value_string(a, external_redact_url(a, url)), NULL),
                  "response",
                  failure ? value_obj(a, "error", value_string(a, failure->message), NULL)
                          : value_obj(a, "status", value_number(a, status), NULL),
                  "timeMs", value_number(a, (double)ms), NULL),
        NULL);

    pthread_mutex_lock(&io->lock);
    add_log(io, entry);
    pthread_mutex_unlock(&io->lock);
}

static int plain(struct runner_io *io, struct arena *a, const struct value *frame,
                 const struct value **ret, struct status *st) {
    const char *url = value_get_string(frame, "url", "");
    int64_t timeout = (int64_t)value_get_number(frame, "timeoutMs", 0);
    int64_t left = left_ms(io), start = clock_monotonic_ms(io->runner->deps.clock);
    struct http_call call = {.url = url,
                             .method = value_get_string(frame, "method", "GET"),
                             .reach = HTTP_REACH_PUBLIC,
                             .max_answer_bytes = MAX_ANSWER_BYTES};
    struct http_answer answer;
    int rc;

    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return st_fail(st, ST_BAD_REQUEST, NULL, "only http and https addresses");
    if (!is_token(value_get(frame, "method")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the method can't be sent");
    if (take_headers(a, value_get(frame, "headers"), &call, st) < 0 ||
        unbase64(a, value_get(frame, "body"), &call.body, st) < 0)
        return -1;
    call.timeout_ms = (int)(timeout > 0 && timeout < left ? timeout : left);
    call.max_redirects =
        value_equals_text(value_get(frame, "redirect"), "follow") ? 20 : 0;
    rc = http_client_call(io->runner->deps.http, a, &call, &answer, st);
    log_request(io, a, call.method, url, rc < 0 ? 0 : answer.status, rc < 0 ? st : NULL,
                clock_monotonic_ms(io->runner->deps.clock) - start);
    if (rc < 0)
        return -1;
    if (answer.status >= 300 && answer.status < 400 &&
        value_equals_text(value_get(frame, "redirect"), "error"))
        return st_fail(st, ST_CONNECTION, "network_error", "unexpected redirect");
    *ret = value_obj(a, "status", value_number(a, answer.status), "url",
                     value_string(a, answer.url), "headers", answer_headers(a, &answer),
                     "body", base64(a, answer.body), NULL);
    return 0;
}

/* ---- A request through an API client ---- */

static int take_request(struct arena *a, const struct value *given,
                        const struct value **ret, struct status *st) {
    static const char *const own[] = {"bodyBase64", NULL};
    const struct value *encoded = value_get(given, "bodyBase64");
    struct bytes body;

    *ret = given;
    if (!value_is_string(encoded))
        return 0;
    if (unbase64(a, encoded, &body, st) < 0)
        return -1;
    *ret = value_with(a, value_omit(a, given, own), "data",
                      value_string_len(a, body.data, body.len));
    return 0;
}

static void keep_logs(struct runner_io *io, struct external_session *s, bool success) {
    const struct value *logs = external_session_logs(s);

    pthread_mutex_lock(&io->lock);
    for (VALUE_EACH_ITEM(l, logs))
        add_log(io, l);
    io->successes += success;
    pthread_mutex_unlock(&io->lock);
}

static int through_client(struct runner_io *io, struct arena *a,
                          const struct value *frame, const struct value **ret,
                          struct status *st) {
    const char *name = value_get_string(frame, "client", "");
    const struct value *grant = value_get(io->grant, name), *request, *response, *data;
    const struct value *client = value_get(grant, "client");
    struct external_session s = {
        .deps = &io->runner->deps,
        .arena = a,
        .connection_id = value_get_string(grant, "connectionId", NULL),
        .connector_key = value_get_string(grant, "connectorKey", NULL),
        .option = &value_empty_object,
        .operations = &value_empty_object,
        .deadline_ms = io->deadline_ms,
    };
    int rc;

    if (value_is_object(value_get(grant, "error")))
        return value_to_status(value_get(grant, "error"), st);
    if (!value_is_object(client))
        return st_fail(st, ST_BAD_REQUEST, NULL, "there is no API client here");
    if (take_request(a, value_get(frame, "request"), &request, st) < 0)
        return -1;
    external_session_init(&s);
    external_session_use_client(&s, client);
    rc = external_request(&s, request, false, &response, st);
    keep_logs(io, &s, rc == 0);
    if (rc < 0)
        return -1;
    data = value_get(response, "data");
    if (value_is_true(value_get(frame, "raw"))) {
        struct bytes body = value_is_string(data)
                                ? value_bytes(data)
                                : value_encode_arena(a, data, VALUE_ENCODE_COMPACT);

        *ret = value_obj(a, "status", value_get(response, "status"), "headers",
                         value_get(response, "headers"), "body", base64(a, body), NULL);
        return 0;
    }
    *ret = value_obj(a, "status", value_get(response, "status"), "headers",
                     value_get(response, "headers"), "data", data, NULL);
    return 0;
}

/* ---- A request to our own API ---- */

/*
 * The path, with its query, of a request below the grant's address and nowhere else: the
 * policy for users does not hold here.
 */
static bool is_engine_path(const char *path) {
    if (*path && *path != '/' && *path != '?')
        return false;
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == '\\' || (unsigned char)*p >= 127)
            return false;
    return !strstr(path, "/..") && !strcasestr(path, "%2e%2e");
}

/* Replaces what the code sent as its own: the code never has the token. */
static void take_engine_headers(struct arena *a, const struct value *grant,
                                struct http_call *call) {
    struct http_header *headers =
        arena_alloc(a, (call->headers_len + 1) * sizeof(*headers));
    size_t n = 0;

    for (size_t i = 0; i < call->headers_len; i++)
        if (strcasecmp(call->headers[i].name, "authorization") != 0)
            headers[n++] = call->headers[i];
    headers[n++] = (struct http_header){
        "Authorization",
        arena_printf(a, "Bearer %s", value_get_string(grant, "token", ""))};
    call->headers = headers;
    call->headers_len = n;
}

static int to_engine(struct runner_io *io, struct arena *a, const struct value *frame,
                     const struct value **ret, struct status *st) {
    const struct value *grant = value_get(io->grant, "engine");
    const char *base = value_get_string(grant, "baseUri", "");
    const char *path = value_get_string(frame, "url", "");
    int64_t start = clock_monotonic_ms(io->runner->deps.clock);
    struct http_call call = {.method = value_get_string(frame, "method", "GET"),
                             .url = arena_printf(a, "%s%s", base, path),
                             .reach = HTTP_REACH_ANY,
                             .timeout_ms = (int)left_ms(io),
                             .max_answer_bytes = MAX_ANSWER_BYTES};
    struct http_answer answer;
    int rc;

    if (!*base || !is_engine_path(path))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the path can't be requested");
    if (!is_token(value_get(frame, "method")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the method can't be sent");
    if (take_headers(a, value_get(frame, "headers"), &call, st) < 0 ||
        unbase64(a, value_get(frame, "body"), &call.body, st) < 0)
        return -1;
    take_engine_headers(a, grant, &call);
    rc = http_client_call(io->runner->deps.http, a, &call, &answer, st);
    log_request(io, a, call.method, path, rc < 0 ? 0 : answer.status, rc < 0 ? st : NULL,
                clock_monotonic_ms(io->runner->deps.clock) - start);
    if (rc < 0)
        return -1;
    *ret = value_obj(a, "status", value_number(a, answer.status), "url",
                     value_get(frame, "url"), "headers", answer_headers(a, &answer),
                     "body", base64(a, answer.body), NULL);
    return 0;
}

/* ---- A call ---- */

struct call {
    struct runner_io *io;
    char *frame;
    size_t len;
};

static int perform(struct runner_io *io, struct arena *a, const struct value *frame,
                   const struct value **ret, struct status *st) {
    if (value_equals_text(value_get(frame, "kind"), "http"))
        return plain(io, a, frame, ret, st);
    if (value_equals_text(value_get(frame, "kind"), "engine"))
        return to_engine(io, a, frame, ret, st);
    if (value_equals_text(value_get(frame, "kind"), "client"))
        return through_client(io, a, frame, ret, st);
    return st_fail(st, ST_BAD_REQUEST, NULL, "no such call");
}

static void answer(struct runner_io *io, const struct value *v) {
    struct buf b = BUF_INIT;
    bool over;

    value_encode(&b, v, VALUE_ENCODE_COMPACT);
    pthread_mutex_lock(&io->lock);
    io->under_way--;
    over = io->over;
    pthread_mutex_unlock(&io->lock);
    pthread_mutex_lock(&io->writing);
    /* A frame cut short can't be mended: the job ends. */
    if (!over && runner_write_frame(io->socket, b.data, b.len) < 0)
        shutdown(io->socket, SHUT_RDWR);
    pthread_mutex_unlock(&io->writing);
    buf_fini(&b);
}

static void do_call(struct runner_io *io, const char *text, size_t len) {
    struct arena *a = arena_new(0);
    const struct value *frame = &value_undefined, *result = &value_undefined;
    struct status st;
    int rc;

    st_init(&st, a);
    rc = value_parse(a, text, len, NULL, &frame, &st);
    if (rc == 0)
        rc = perform(io, a, frame, &result, &st);
    if (rc < 0)
        result = value_obj(a, "error", value_from_status(a, &st), NULL);
    metric_add(io->runner->calls, (const char *[]){rc < 0 ? "failed" : "answered"}, 1);
    answer(io, value_with(a, result, "id", value_get(frame, "id")));
    arena_free(&a);
}

static void *call_thread(void *ctx) {
    struct call *c = ctx;

    do_call(c->io, c->frame, c->len);
    unref(c->io);
    free(c->frame);
    free(c);
    return NULL;
}

static void refuse(struct runner_io *io, const char *text, size_t len, const char *why) {
    struct arena *a = arena_new(0);
    const struct value *frame = &value_undefined;
    struct status st;

    st_init(&st, a);
    value_parse(a, text, len, NULL, &frame, &st);
    st_clear(&st);
    st_fail(&st, ST_CUSTOM_CODE, "request_limit", "%s", why);
    answer(io, value_obj(a, "error", value_from_status(a, &st), "id",
                         value_get(frame, "id"), NULL));
    arena_free(&a);
}

void runner_io_call(struct runner_io *io, char *frame, size_t len) {
    struct call *c = malloc(sizeof(*c));
    const char *why = NULL;
    pthread_attr_t attr;
    pthread_t thread;

    if (!c)
        abort();
    *c = (struct call){io, frame, len};
    pthread_mutex_lock(&io->lock);
    io->under_way++;
    if (++io->calls > RUNNER_MAX_CALLS)
        why = "The code made too many requests";
    else if (io->under_way > RUNNER_MAX_PARALLEL_CALLS)
        why = "The code made too many requests at once";
    pthread_mutex_unlock(&io->lock);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, CALL_STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    atomic_fetch_add(&io->refs, 1);
    if (!why && pthread_create(&thread, &attr, call_thread, c) != 0)
        why = "The request could not be started";
    pthread_attr_destroy(&attr);
    if (!why)
        return;
    refuse(io, frame, len, why);
    unref(io);
    free(frame);
    free(c);
}
