#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "http/http.h"
#include "http_test.h"
#include "value/value.h"

static atomic_int finished_count, finished_status, done_count, authenticated;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int echo(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body;

    if (request_json(rq, &body, st) < 0)
        return -1;
    return reply_json(
        rp, 200,
        value_obj(rq->arena, "method",
                  value_string(rq->arena, http_method_name(rq->method)), "path",
                  value_string(rq->arena, rq->path), "param",
                  rq->param[0] ? value_string(rq->arena, rq->param[0]) : NULL, "query",
                  rq->query, "body", body, "header",
                  value_string(rq->arena, request_header(rq, "x-TEST")
                                              ? request_header(rq, "x-TEST")
                                              : "-"),
                  "blocks", value_bool(rq->may_block), NULL));
}

static int nothing(struct request *rq, struct reply *rp, struct status *st) {
    (void)rq, (void)rp, (void)st;
    return 0;
}

static int fails(struct request *rq, struct reply *rp, struct status *st) {
    (void)rq;
    reply_text(rp, 200, "text/plain", "never seen");
    return st_fail(st, ST_CONNECTION, "access_token_expired", "The app said no");
}

static int length(struct request *rq, struct reply *rp, struct status *st) {
    (void)st;
    return reply_text(rp, 200, "text/plain",
                      arena_printf(rq->arena, "%zu", rq->body.len));
}

/* Waits until the test opens the gate. */
static int gated(struct request *rq, struct reply *rp, struct status *st) {
    (void)st, (void)rq;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return reply_text(rp, 200, "text/plain", "passed");
}

static int wants_thread(struct request *rq, struct reply *rp, struct status *st) {
    return rq->may_block ? echo(rq, rp, st) : 1;
}

static int headers(struct request *rq, struct reply *rp, struct status *st) {
    (void)rq, (void)st;
    reply_header(rp, "X-One", "1");
    reply_header(rp, "Connection", "upgrade");
    reply_header(rp, "Content-Length", "7");
    reply_header(rp, "Transfer-Encoding", "gzip");
    reply_header(rp, "Set-Cookie", "a=1");
    reply_header(rp, "Set-Cookie", "b=2");
    return reply_text(rp, 201, "text/plain", "x");
}

struct numbers {
    int next, last;
    bool fail;
};

static int pull_numbers(void *ctx, char *buf, size_t max, size_t *ret_len,
                        struct status *st) {
    struct numbers *n = ctx;

    if (n->next == n->last)
        return n->fail ? st_fail(st, ST_INTERNAL, NULL, "broken") : (*ret_len = 0, 0);
    memset(buf, 'a' + n->next++ % 26, max);
    *ret_len = max;
    return 0;
}

static void numbers_done(void *ctx) {
    (void)ctx;
    done_count++;
}

static int stream(struct request *rq, struct reply *rp, struct status *st) {
    struct numbers *n = arena_zalloc(rq->arena, sizeof(*n));
    int64_t parts;

    if (request_query_int(rq, "parts", 0, 1000000, 3, &parts, st) < 0)
        return -1;
    n->last = (int)parts;
    n->fail = request_query_bool(rq, "fail", false);
    return reply_stream(rp, 200, "text/plain", pull_numbers, numbers_done, n);
}

static int large(struct request *rq, struct reply *rp, struct status *st) {
    size_t n = (size_t)30 * 1024 * 1024 + 1;

    (void)st;
    return reply_bytes(rp, 200, "text/plain",
                       (struct bytes){memset(arena_alloc(rq->arena, n), 'x', n), n});
}

static int read_form(struct request *rq, struct reply *rp, struct status *st) {
    struct request_part part;

    if (request_part(rq, "file", &part, st) != 0)
        return st_fail(st, ST_BAD_REQUEST, NULL, "no file");
    return reply_bytes(rp, 200, part.content_type, part.body);
}

#define ROW(m, p, h, f)                                                                  \
    { .method = HTTP_##m, .pattern = p, .handler = h, .flags = f }

static const struct route rows[] = {
    ROW(GET, "/", nothing, ROUTE_INLINE),
    ROW(GET, "/echo/{id}", echo, 0),
    ROW(POST, "/echo/{id}", echo, 0),
    ROW(DELETE, "/echo/{id}", echo, 0),
    ROW(GET, "/inline/{id}", echo, ROUTE_INLINE),
    ROW(POST, "/inline/{id}", echo, ROUTE_INLINE),
    ROW(GET, "/moves", wants_thread, ROUTE_INLINE),
    ROW(GET, "/nothing", nothing, 0),
    ROW(GET, "/fails", fails, 0),
    ROW(POST, "/length", length, 0),
    ROW(GET, "/gated", gated, 0),
    ROW(GET, "/headers", headers, 0),
    ROW(GET, "/stream", stream, 0),
    ROW(GET, "/stream-inline", stream, ROUTE_INLINE),
    ROW(GET, "/large", large, 0),
    ROW(POST, "/form", read_form, ROUTE_RAW_BODY),
    ROW(ANY, "/any/{path*}", echo, 0),
    {.method = HTTP_GET,
     .pattern = "/secret",
     .handler = echo,
     .access = ACCESS_CUSTOMER,
     .flags = ROUTE_INLINE},
};

static int authenticate(struct request *rq, struct status *st) {
    if (!rq->may_block)
        return 1;
    authenticated++;
    if (!request_header(rq, "authorization"))
        return st_fail(st, ST_BAD_REQUEST, "not_authenticated", "No token");
    return 0;
}

static void on_finished(void *ctx, const struct request *rq, int status,
                        int64_t duration_us, size_t bytes_out) {
    (void)ctx, (void)rq, (void)bytes_out;
    assert_true(duration_us >= 0);
    finished_status = status;
    finished_count++;
}

static const struct http_server_options base_options = {
    .cors_allowed_origins = "*",
    .authenticate = authenticate,
    .finished = on_finished,
    .max_handlers = 3,
    .max_body_bytes = 100000,
    .headers_timeout_ms = 700,
    .keepalive_timeout_ms = 700,
    .request_timeout_ms = 900,
};

static int setup(void **state) {
    static struct http_test t;

    finished_count = finished_status = done_count = authenticated = 0;
    http_test_start(&t, rows, sizeof(rows) / sizeof(*rows), &base_options);
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    http_test_stop(*state);
    return 0;
}

static void assert_error(const struct http_test_answer *a, int status, const char *key) {
    assert_int_equal(a->status, status);
    assert_non_null(strstr(a->body.data, "\"type\":\""));
    if (key)
        assert_non_null(strstr(a->body.data, key));
    assert_non_null(strstr(a->head, "application/json"));
}

static void wait_for(atomic_int *n, int at_least) {
    struct timespec pause = {.tv_nsec = 2000000};

    for (int i = 0; i < 2500 && *n < at_least; i++)
        nanosleep(&pause, NULL);
    assert_true(*n >= at_least);
}

/* ---- tests ---- */

static void a_request_reaches_its_handler_inline_or_on_the_pool(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;

    a = http_test_call(t, "GET", "/echo/my%20id?a=1&b[c]=x+y", "X-Test: yes\r\n", NULL);
    assert_string_equal(a.body.data,
                        "{\"method\":\"GET\",\"path\":\"/echo/my%20id\",\"param\":\"my "
                        "id\",\"query\":{\"a\":\"1\",\"b\":{\"c\":\"x "
                        "y\"}},\"header\":\"yes\",\"blocks\":true}");
    a = http_test_call(t, "GET", "/inline/x", NULL, NULL);
    assert_non_null(strstr(a.body.data, "\"blocks\":false"));
    a = http_test_call(t, "GET", "/moves?q=1", NULL, NULL);
    assert_non_null(strstr(a.body.data, "\"query\":{\"q\":\"1\"}"));
    assert_non_null(strstr(a.body.data, "\"blocks\":true"));
    a = http_test_call(t, "POST", "/inline/x", "Content-Type: application/json\r\n",
                       "{\"a\":1}");
    assert_non_null(strstr(a.body.data, "\"body\":{\"a\":1}"));
}

static void bodies_come_with_any_method_and_content_type(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;
    int fd;

    a = http_test_call(t, "POST", "/echo/x",
                       "Content-Type: application/x-www-form-urlencoded\r\n", "");
    assert_int_equal(a.status, 200);
    assert_null(strstr(a.body.data, "\"body\""));
    a = http_test_call(t, "DELETE", "/echo/x", "Content-Type: application/json\r\n",
                       "{\"link\":7}");
    assert_non_null(strstr(a.body.data, "\"body\":{\"link\":7}"));
    a = http_test_call(t, "POST", "/form",
                       "Content-Type: multipart/form-data; boundary=b\r\n",
                       "--b\r\nContent-Disposition: form-data; name=\"file\"; "
                       "filename=\"f\"\r\nContent-Type: text/x\r\n\r\nhi\r\n--b--\r\n");
    assert_string_equal(a.body.data, "hi");
    assert_string_equal(http_test_header(t, &a, "content-type"), "text/x");
    fd = http_test_connect(t);
    http_test_send_text(fd, "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                            "chunked\r\n\r\n3\r\nabc\r\n");
    http_test_send_text(fd, "a\r\n0123456789\r\n0\r\n\r\n");
    a = http_test_read(t, fd, false);
    assert_string_equal(a.body.data, "13");
    close(fd);
}

static void failures_are_error_bodies(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;

    a = http_test_call(t, "GET", "/fails", NULL, NULL);
    assert_error(&a, 400, "access_token_expired");
    a = http_test_call(t, "GET", "/absent", NULL, NULL);
    assert_error(&a, 404, "not_found");
    a = http_test_call(t, "POST", "/absent", NULL, "some body");
    assert_error(&a, 404, "not_found");
    a = http_test_call(t, "PUT", "/echo/x", NULL, "{}");
    assert_error(&a, 405, "method_not_allowed");
    assert_string_equal(http_test_header(t, &a, "Allow"), "GET, POST, DELETE, HEAD");
    a = http_test_call(t, "BREW", "/echo/x", NULL, NULL);
    assert_error(&a, 405, "method_not_allowed");
    a = http_test_call(t, "POST", "/echo/x", NULL, "{\"a\":");
    assert_error(&a, 400, "bad_request");
    a = http_test_call(t, "GET", "/large", NULL, NULL);
    assert_error(&a, 400, "answer_too_large");
}

static void a_body_above_the_limit_is_413_and_the_connection_goes_on(void **state) {
    struct http_test *t = *state;
    char *body = arena_zalloc(t->arena, 300001);
    struct http_test_answer a;
    int fd;

    memset(body, 'x', 300000);
    fd = http_test_connect(t);
    http_test_send_text(
        fd, "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
    http_test_send(fd, body, 300000);
    a = http_test_read(t, fd, false);
    assert_error(&a, 413, "payload_too_large");
    http_test_send_text(
        fd, "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            "30d40\r\n");
    http_test_send(fd, body, 200000);
    http_test_send_text(fd, "\r\n0\r\n\r\n");
    a = http_test_read(t, fd, false);
    assert_error(&a, 413, "payload_too_large");
    http_test_send_text(
        fd, "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    http_test_send(fd, body, 100000);
    a = http_test_read(t, fd, false);
    assert_string_equal(a.body.data, "100000");
    close(fd);
    /* Who asks first, or announces far too much, is told at once. */
    fd = http_test_connect(t);
    http_test_send_text(fd, "POST /length HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                            "Content-Length: 300000\r\n\r\n");
    a = http_test_read(t, fd, false);
    assert_error(&a, 413, "payload_too_large");
    close(fd);
    fd = http_test_connect(t);
    http_test_send_text(
        fd, "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    a = http_test_read(t, fd, false);
    assert_error(&a, 413, "payload_too_large");
    assert_true(http_test_is_closed(fd, 2000));
    close(fd);
}

static void head_is_get_without_the_body(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;
    int fd = http_test_connect(t);

    http_test_send_text(fd, "HEAD /echo/x HTTP/1.1\r\nHost: x\r\n\r\n"
                            "GET /headers HTTP/1.1\r\nHost: x\r\n\r\n"
                            "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    a = http_test_read(t, fd, true);
    assert_int_equal(a.status, 200);
    assert_true(atoi(http_test_header(t, &a, "Content-Length")) > 10);
    a = http_test_read(t, fd, false);
    assert_string_equal(a.body.data, "x");
    a = http_test_read(t, fd, true);
    assert_int_equal(a.status, 200);
    assert_string_equal(http_test_header(t, &a, "Connection"), "close");
    close(fd);
    wait_for(&done_count, 1);
}

static void framing_headers_belong_to_the_server(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a = http_test_call(t, "GET", "/headers", NULL, NULL);

    assert_int_equal(a.status, 201);
    assert_string_equal(http_test_header(t, &a, "x-one"), "1");
    assert_string_equal(http_test_header(t, &a, "Content-Length"), "1");
    assert_null(http_test_header(t, &a, "Connection"));
    assert_null(http_test_header(t, &a, "Transfer-Encoding"));
    assert_non_null(strstr(a.head, "Set-Cookie: a=1\r\n"));
    assert_non_null(strstr(a.head, "Set-Cookie: b=2\r\n"));
    a = http_test_call(t, "GET", "/nothing", NULL, NULL);
    assert_int_equal(a.status, 204);
    assert_null(http_test_header(t, &a, "Content-Type"));
}

static void every_path_answers_a_preflight(void **state) {
    static const char ask[] =
        "Origin: https://shop.example\r\n"
        "Access-Control-Request-Method: PATCH\r\n"
        "Access-Control-Request-Headers: authorization,content-type,"
        "membrane-api-version\r\n";
    static const char *const paths[] = {"/echo/x", "/absent", "/secret", "/any/thing"};
    struct http_test *t = *state;
    struct http_test_answer a;

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        a = http_test_call(t, "OPTIONS", paths[i], ask, NULL);
        assert_int_equal(a.status, 204);
        assert_string_equal(http_test_header(t, &a, "Access-Control-Allow-Origin"), "*");
        assert_non_null(
            strstr(http_test_header(t, &a, "Access-Control-Allow-Methods"), "PATCH"));
        assert_string_equal(http_test_header(t, &a, "Access-Control-Allow-Headers"),
                            "authorization,content-type,membrane-api-version");
    }
    a = http_test_call(t, "GET", "/fails", "Origin: https://shop.example\r\n", NULL);
    assert_string_equal(http_test_header(t, &a, "Access-Control-Allow-Origin"), "*");
    a = http_test_call(t, "OPTIONS", "/echo/x", NULL, NULL);
    assert_int_equal(a.status, 204);
    assert_string_equal(http_test_header(t, &a, "Allow"), "GET, POST, DELETE, HEAD");
    a = http_test_call(t, "OPTIONS", "/any/x", NULL, NULL);
    assert_non_null(strstr(a.body.data, "\"method\":\"OPTIONS\""));
}

static void a_list_of_origins_names_the_one_that_asks(void **state) {
    struct http_server_options o = base_options;
    struct http_test t;
    struct http_test_answer a;

    (void)state;
    o.cors_allowed_origins = "https://a.example, https://b.example";
    http_test_start(&t, rows, sizeof(rows) / sizeof(*rows), &o);
    a = http_test_call(&t, "GET", "/headers", "Origin: https://b.example\r\n", NULL);
    assert_string_equal(http_test_header(&t, &a, "Access-Control-Allow-Origin"),
                        "https://b.example");
    assert_string_equal(http_test_header(&t, &a, "Vary"), "Origin");
    a = http_test_call(&t, "GET", "/headers", "Origin: https://c.example\r\n", NULL);
    assert_null(http_test_header(&t, &a, "Access-Control-Allow-Origin"));
    assert_int_equal(a.status, 201);
    http_test_stop(&t);
}

static void a_request_id_is_kept_when_sane_and_made_otherwise(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;
    const char *id;

    a = http_test_call(t, "GET", "/nothing", "X-Request-Id: abc-123\r\n", NULL);
    assert_string_equal(http_test_header(t, &a, "X-Request-Id"), "abc-123");
    a = http_test_call(t, "GET", "/nothing", "X-Request-Id: <script>\r\n", NULL);
    id = http_test_header(t, &a, "X-Request-Id");
    assert_int_equal(strspn(id, "0123456789abcdef-"), strlen(id));
    a = http_test_call(t, "GET", "/absent", NULL, NULL);
    assert_string_not_equal(http_test_header(t, &a, "X-Request-Id"), id);
}

static int says_ip(struct request *rq, struct reply *rp, struct status *st) {
    (void)st;
    return reply_text(rp, 200, "text/plain", rq->client_ip);
}

static void the_client_address_is_the_last_one_that_a_balancer_saw(void **state) {
    static const struct route row = ROW(GET, "/ip", says_ip, 0);
    struct http_test t;

    (void)state;
    http_test_start(&t, &row, 1, NULL);
    assert_string_equal(http_test_call(&t, "GET", "/ip", NULL, NULL).body.data,
                        "127.0.0.1");
    assert_string_equal(http_test_call(&t, "GET", "/ip",
                                       "X-Forwarded-For: 1.2.3.4, 9.9.9.9, 10.0.0.7\r\n",
                                       NULL)
                            .body.data,
                        "9.9.9.9");
    assert_string_equal(
        http_test_call(&t, "GET", "/ip", "X-Forwarded-For: nonsense,, 10.1.1.1\r\n", NULL)
            .body.data,
        "127.0.0.1");
    http_test_stop(&t);
}

static void rows_with_access_ask_the_hook_on_a_thread_that_may_block(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;

    a = http_test_call(t, "GET", "/secret", NULL, NULL);
    assert_error(&a, 401, "not_authenticated");
    a = http_test_call(t, "GET", "/secret", "Authorization: Bearer x\r\n", NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(authenticated, 2);
}

static void more_requests_than_handlers_get_503_with_retry_after(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;
    int fd[3];

    pthread_mutex_lock(&gate);
    for (int i = 0; i < 3; i++) {
        fd[i] = http_test_connect(t);
        http_test_send_text(fd[i], "GET /gated HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < 2000 && http_server_in_flight(t->server) < 3; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    a = http_test_call(t, "GET", "/nothing", NULL, NULL);
    assert_error(&a, 503, "unavailable");
    assert_non_null(http_test_header(t, &a, "Retry-After"));
    a = http_test_call(t, "GET", "/inline/x", NULL, NULL);
    assert_int_equal(a.status, 200);
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < 3; i++) {
        a = http_test_read(t, fd[i], false);
        assert_string_equal(a.body.data, "passed");
        close(fd[i]);
    }
}

static void streamed_replies_arrive_whole_and_are_always_released(void **state) {
    static const char *const targets[] = {"/stream?parts=40", "/stream-inline?parts=40"};
    struct http_test *t = *state;
    struct http_test_answer a;
    int fd;

    for (int i = 0; i < 2; i++) {
        a = http_test_call(t, "GET", targets[i], NULL, NULL);
        assert_false(a.cut);
        assert_int_equal(a.body.len, 40 * 32768);
        for (size_t k = 0; k < a.body.len; k += 32768)
            assert_int_equal(a.body.data[k], 'a' + k / 32768 % 26);
    }
    a = http_test_call(t, "GET", "/stream?parts=0", NULL, NULL);
    assert_int_equal(a.body.len, 0);
    a = http_test_call(t, "GET", "/stream?parts=2&fail=1", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_true(a.cut);
    /* A reader that leaves in the middle. */
    fd = http_test_connect(t);
    http_test_send_text(fd, "GET /stream?parts=100000 HTTP/1.1\r\nHost: x\r\n\r\n");
    recv(fd, (char[1000]){0}, 1000, 0);
    close(fd);
    wait_for(&done_count, 5);
}

static void half_a_header_is_answered_408_and_closed(void **state) { /* S51 */
    static const char *const halves[] = {
        "GET /nothing HTT", "GET /nothing HTTP/1.1\r\nHo",
        "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"};
    struct http_test *t = *state;
    int fd[3];

    for (int i = 0; i < 3; i++) {
        fd[i] = http_test_connect(t);
        http_test_send_text(fd[i], halves[i]);
    }
    for (int i = 0; i < 3; i++) {
        struct http_test_answer a = http_test_read(t, fd[i], false);

        assert_error(&a, 408, "request_timeout");
        assert_true(http_test_is_closed(fd[i], 1000));
        close(fd[i]);
    }
}

static void small_bytes_do_not_extend_the_header_timeout(void **state) {
    struct http_test *t = *state;
    int fd = http_test_connect(t), sent = 0;
    struct http_test_answer a;

    http_test_send_text(fd, "GET /nothing HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    while (sent < 100 && !http_test_is_closed(fd, 50)) {
        char c;

        if (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            break;
        http_test_send_text(fd, "a");
        sent++;
    }
    assert_true(sent > 2 && sent < 60);
    a = http_test_read(t, fd, false);
    (void)a; /* its first bytes may be gone: http_test_is_closed has read them */
    close(fd);
}

static void an_idle_connection_is_reused_and_then_closed(void **state) { /* S52 */
    struct http_test *t = *state;
    int fd = http_test_connect(t), quiet = http_test_connect(t);
    struct http_test_answer a;

    for (int i = 0; i < 3; i++) {
        http_test_send_text(fd, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
        a = http_test_read(t, fd, false);
        assert_int_equal(a.status, 204);
        assert_false(http_test_is_closed(fd, 300));
    }
    assert_true(http_test_is_closed(fd, 3000));
    assert_true(http_test_is_closed(quiet, 3000));
    close(fd);
    close(quiet);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;
    int fd = http_test_connect(t);

    http_test_send_text(fd,
                        "GET /echo/1 HTTP/1.1\r\nHost: x\r\n\r\n"
                        "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                        "GET /inline/3 HTTP/1.1\r\nHost: x\r\n\r\n");
    a = http_test_read(t, fd, false);
    assert_non_null(strstr(a.body.data, "\"param\":\"1\""));
    a = http_test_read(t, fd, false);
    assert_string_equal(a.body.data, "3");
    a = http_test_read(t, fd, false);
    assert_non_null(strstr(a.body.data, "\"param\":\"3\""));
    close(fd);
}

static void ambiguous_framing_is_refused_and_nothing_behind_it_is_read(void **state) {
    static const char *const forms[] = {
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nContent-Length: 7\r\n",
        "Content-Length: 6, 6\r\n",
        "Content-Length: +6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x6\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 6\r\n",
        " Content-Length: 6\r\n",
        "Host: y\r\n",
    };
    struct http_test *t = *state;

    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        int fd = http_test_connect(t);
        char got[10000] = "";
        size_t n = 0;
        ssize_t more;

        http_test_send_text(
            fd, arena_printf(t->arena,
                             "POST /length HTTP/1.1\r\nHost: x\r\n%s\r\n0\r\n\r\nX"
                             "GET /inline/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
                             forms[i]));
        while (n < sizeof(got) - 1 &&
               (more = recv(fd, got + n, sizeof(got) - 1 - n, 0)) > 0)
            n += (size_t)more;
        if (n > 0 && !strstr(got, "HTTP/1.1 4"))
            print_error("form %zu (%s) got %s\n", i, forms[i], got);
        assert_true(n == 0 || strstr(got, "HTTP/1.1 4"));
        assert_null(strstr(got, "HTTP/1.1 2"));
        assert_null(strstr(got, "smuggled"));
        close(fd);
    }
}

static void broken_requests_are_refused_without_harm(void **state) {
    static const char *const broken[] = {
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET /nothing HTTP/1.1\r\n\r\n", /* no Host */
        "GET /nothing HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02 garbage of TLS \r\n\r\n",
        "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
        "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    };
    struct http_test *t = *state;
    struct http_test_answer a;

    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        int fd = http_test_connect(t);

        http_test_send_text(fd, broken[i]);
        shutdown(fd, SHUT_WR);
        a = http_test_read(t, fd, false);
        if (!(a.status == 0 || a.status >= 400))
            print_error("broken %zu: %d\n", i, a.status);
        assert_true(a.status == 0 || a.status >= 400);
        assert_int_not_equal(a.status, 500);
        close(fd);
    }
    a = http_test_call(t, "GET", "/inline/still-here", NULL, NULL);
    assert_int_equal(a.status, 200);
}

static void huge_headers_and_targets_are_refused(void **state) {
    struct http_test *t = *state;
    char *big = arena_zalloc(t->arena, 100001);
    struct http_test_answer a;

    memset(big, 'a', 100000);
    a = http_test_call(t, "GET", "/nothing", arena_printf(t->arena, "X-Big: %s\r\n", big),
                       NULL);
    assert_true(a.status == 431 || a.status == 413);
    a = http_test_call(t, "GET", arena_printf(t->arena, "/%s", big), NULL, NULL);
    assert_int_equal(a.status, 414);
    big[8000] = '\0';
    a = http_test_call(t, "GET", arena_printf(t->arena, "/inline/%s", big),
                       arena_printf(t->arena, "Authorization: Bearer %s\r\n", big), NULL);
    assert_int_equal(a.status, 200);
}

static void odd_targets_are_read_leniently(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;

    a = http_test_call(t, "GET", "http://other.host/echo/x?a=1", NULL, NULL);
    assert_non_null(strstr(a.body.data, "\"path\":\"/echo/x\""));
    a = http_test_call(t, "GET", "http://other.host?a=1", NULL, NULL);
    assert_int_equal(a.status, 204);
    a = http_test_call(t, "OPTIONS", "*", NULL, NULL);
    assert_int_equal(a.status, 404);
    a = http_test_call(t, "GET", "/any/https://api.test/x?y=%2F%20", NULL, NULL);
    assert_non_null(strstr(a.body.data, "\"param\":\"https://api.test/x\""));
    assert_non_null(strstr(a.body.data, "\"y\":\"/ \""));
    a = http_test_call(t, "GET", "/echo/x?a[b][c][d][e][f][g][h][i][j][k]=1", NULL, NULL);
    assert_error(&a, 400, "bad_request");
}

static void draining_closes_connections_and_fails_health(void **state) {
    struct http_test *t = *state;
    struct http_test_answer a;
    int fd = http_test_connect(t), idle = http_test_connect(t);

    http_test_send_text(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    a = http_test_read(t, idle, false);
    assert_int_equal(a.status, 204);
    http_server_drain(t->server);
    http_test_send_text(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    a = http_test_read(t, fd, false);
    assert_error(&a, 503, "unavailable");
    assert_string_equal(http_test_header(t, &a, "Connection"), "close");
    close(fd);
    a = http_test_call(t, "GET", "/echo/x", NULL, NULL);
    assert_int_equal(a.status, 200);
    while (http_server_in_flight(t->server) > 0) /* the call before may not be over yet */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    pthread_mutex_lock(&gate);
    fd = http_test_connect(t);
    http_test_send_text(fd, "GET /gated HTTP/1.1\r\nHost: x\r\n\r\n");
    while (http_server_in_flight(t->server) < 1)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    http_server_stop_listening(t->server);
    assert_true(http_test_is_closed(idle, 2000));
    pthread_mutex_unlock(&gate);
    a = http_test_read(t, fd, false);
    assert_string_equal(a.body.data, "passed");
    close(fd);
    close(idle);
}

static void every_reply_is_reported_once(void **state) {
    struct http_test *t = *state;
    int fd;

    http_test_call(t, "GET", "/echo/x", NULL, NULL);
    wait_for(&finished_count, 1);
    assert_int_equal(finished_status, 200);
    http_test_call(t, "GET", "/absent", NULL, NULL);
    wait_for(&finished_count, 2);
    assert_int_equal(finished_status, 404);
    fd = http_test_connect(t);
    http_test_send_text(
        fd, "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab");
    close(fd);
    wait_for(&finished_count, 3);
    assert_int_equal(finished_status, 499);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_request_reaches_its_handler_inline_or_on_the_pool),
        TEST(bodies_come_with_any_method_and_content_type),
        TEST(failures_are_error_bodies),
        TEST(a_body_above_the_limit_is_413_and_the_connection_goes_on),
        TEST(head_is_get_without_the_body),
        TEST(framing_headers_belong_to_the_server),
        TEST(every_path_answers_a_preflight),
        cmocka_unit_test(a_list_of_origins_names_the_one_that_asks),
        TEST(a_request_id_is_kept_when_sane_and_made_otherwise),
        cmocka_unit_test(the_client_address_is_the_last_one_that_a_balancer_saw),
        TEST(rows_with_access_ask_the_hook_on_a_thread_that_may_block),
        TEST(more_requests_than_handlers_get_503_with_retry_after),
        TEST(streamed_replies_arrive_whole_and_are_always_released),
        TEST(half_a_header_is_answered_408_and_closed),
        TEST(small_bytes_do_not_extend_the_header_timeout),
        TEST(an_idle_connection_is_reused_and_then_closed),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(ambiguous_framing_is_refused_and_nothing_behind_it_is_read),
        TEST(broken_requests_are_refused_without_harm),
        TEST(huge_headers_and_targets_are_refused),
        TEST(odd_targets_are_read_leniently),
        TEST(draining_closes_connections_and_fails_health),
        TEST(every_reply_is_reported_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
