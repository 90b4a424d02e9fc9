#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "http/http_client.h"
#include "http_test.h"
#include "value/value.h"

/* ---- a server whose bytes a test decides ---- */

struct raw {
    int fd, port;
    pthread_t thread;
    void (*serve)(int fd);
    atomic_int connections;
};

static void *raw_run(void *arg) {
    struct raw *r = arg;
    int fd;

    while ((fd = accept(r->fd, NULL, NULL)) >= 0) {
        r->connections++;
        r->serve(fd);
        close(fd);
    }
    return NULL;
}

static void raw_start(struct raw *r, void (*serve)(int fd)) {
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);

    r->serve = serve;
    r->connections = 0;
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(r->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(listen(r->fd, 10), 0);
    getsockname(r->fd, (struct sockaddr *)&sin, &len);
    r->port = ntohs(sin.sin_port);
    pthread_create(&r->thread, NULL, raw_run, r);
}

static void raw_stop(struct raw *r) {
    shutdown(r->fd, SHUT_RDWR);
    pthread_join(r->thread, NULL);
    close(r->fd);
}

/* Reads up to the end of the headers into a static buffer. */
static char last_request[65536];

static void read_head(int fd) {
    size_t n = 0;
    ssize_t got;

    while (n < sizeof(last_request) - 1 &&
           (got = recv(fd, last_request + n, sizeof(last_request) - 1 - n, 0)) > 0) {
        n += (size_t)got;
        last_request[n] = '\0';
        if (strstr(last_request, "\r\n\r\n"))
            return;
    }
}

static void say(int fd, const char *text) {
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void wait_for_end(int fd) {
    char c[1000];

    while (recv(fd, c, sizeof(c), 0) > 0)
        ;
}

static void never_answers(int fd) {
    wait_for_end(fd);
}

static void cuts_the_body(int fd) {
    read_head(fd);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
}

static void closes_at_once(int fd) {
    read_head(fd);
}

static void is_no_http(int fd) {
    read_head(fd);
    say(fd, "220 smtp.example ESMTP\r\n250 ok\r\n");
}

static void sends_endless_headers(int fd) {
    read_head(fd);
    say(fd, "HTTP/1.1 200 OK\r\n");
    while (send(fd, "X-Again: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
                64, MSG_NOSIGNAL) > 0)
        ;
}

static void sends_endless_body(int fd) {
    static char chunk[65536];

    read_head(fd);
    say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    while (send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL) > 0)
        ;
}

static void says_continue_first(int fd) {
    read_head(fd);
    say(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
            "HTTP/1.1 200 OK\r\nX-Real: 1\r\nContent-Length: 2\r\n\r\nok");
}

static void is_a_proxy(int fd) {
    read_head(fd);
    say(fd, "HTTP/1.1 200 OK\r\nX-Proxy: yes\r\nContent-Length: 2\r\n\r\nok");
}

/* ---- the usual server ---- */

static void note_header(void *ctx, const char *name, const char *value) {
    buf_addf(ctx, "%s: %s\n", name, value);
}

static int echo(struct request *rq, struct reply *rp, struct status *st) {
    struct buf b = BUF_INIT;

    (void)st;
    buf_addf(&b, "%s %s?%s\n", http_method_name(rq->method), rq->path, rq->query_text);
    request_each_header(rq, note_header, &b);
    buf_adds(&b, "\n");
    buf_add(&b, rq->body.data, rq->body.len);
    arena_defer(rq->arena, free, b.data);
    reply_header(rp, "X-Echo", "one");
    reply_header(rp, "x-echo", "two");
    return reply_bytes(rp, 200, "text/plain", (struct bytes){b.data, b.len});
}

static int redirect(struct request *rq, struct reply *rp, struct status *st) {
    int64_t code;

    if (request_query_int(rq, "code", 300, 399, 302, &code, st) < 0)
        return -1;
    reply_header(rp, "Location", request_query(rq, "to"));
    return reply_text(rp, (int)code, "text/plain", "moved");
}

static int zeros(struct request *rq, struct reply *rp, struct status *st) {
    int64_t n;

    if (request_query_int(rq, "n", 0, 30000000, 10, &n, st) < 0)
        return -1;
    return reply_bytes(rp, 200, "application/octet-stream",
                       (struct bytes){arena_zalloc(rq->arena, (size_t)n + 1), (size_t)n});
}

static int zipped(struct request *rq, struct reply *rp, struct status *st) {
    size_t n = 5000000, cap = 100000;
    char *plain = memset(arena_alloc(rq->arena, n), 'z', n), *out;
    z_stream z = {0};

    (void)st;
    out = arena_alloc(rq->arena, cap);
    deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (Bytef *)plain;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)cap;
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    reply_header(rp, "Content-Encoding", "gzip");
    return reply_bytes(rp, 200, "text/plain", (struct bytes){out, cap - z.avail_out});
}

#define ROW(m, p, h)                                                                     \
    { .method = HTTP_##m, .pattern = p, .handler = h }

static const struct route rows[] = {
    ROW(ANY, "/echo/{rest*}", echo),
    ROW(ANY, "/redirect", redirect),
    ROW(GET, "/zeros", zeros),
    ROW(GET, "/zipped", zipped),
};

struct fixture {
    struct http_test server;
    struct http_client *client;
    struct arena *arena;
    struct status st;
    struct http_answer answer;
};

static int setup(void **state) {
    static struct fixture f;
    struct http_client_options o = {.private_allow = "allowed.test,localhost"};

    memset(&f, 0, sizeof(f));
    http_test_start(&f.server, rows, sizeof(rows) / sizeof(*rows), NULL);
    f.arena = arena_new(0);
    st_init(&f.st, f.arena);
    assert_int_equal(http_client_open(&o, &f.client, &f.st), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    http_client_close(&f->client);
    http_test_stop(&f->server);
    arena_free(&f->arena);
    return 0;
}

static const char *url(struct fixture *f, const char *path) {
    return arena_printf(f->arena, "http://127.0.0.1:%d%s", f->server.port, path);
}

static int call(struct fixture *f, struct http_call *c) {
    c->method = c->method ? c->method : "GET";
    c->timeout_ms = c->timeout_ms ? c->timeout_ms : 10000;
    return http_client_call(f->client, f->arena, c, &f->answer, &f->st);
}

static void expect_failure(struct fixture *f, struct http_call *c, enum status_type type,
                           const char *key) {
    int rc = call(f, c);

    if (rc == 0)
        print_error("%s answered %d\n", c->url, f->answer.status);
    assert_int_equal(rc, -1);
    if (f->st.type != type || !f->st.key || strcmp(f->st.key, key) != 0)
        print_error("%s: %s\n", c->url, f->st.message);
    assert_int_equal(f->st.type, type);
    assert_string_equal(f->st.key, key);
}

/* ---- tests ---- */

static void a_call_carries_method_headers_and_body_and_brings_all_back(void **state) {
    static const struct http_header headers[] = {{"X-A", "1"},
                                                 {"X-Empty", ""},
                                                 {"Content-Length", "999"},
                                                 {"Connection", "upgrade"}};
    struct fixture *f = *state;
    struct http_call c = {.method = "PATCH",
                          .url = url(f, "/echo/a%2Fb/../c d\xc3\xa9?x=1"),
                          .headers = headers,
                          .headers_len = 4,
                          .body = {"hello", 5},
                          .reach = HTTP_REACH_ANY};

    assert_int_equal(call(f, &c), 0);
    assert_int_equal(f->answer.status, 200);
    assert_string_equal(f->answer.remote_ip, "127.0.0.1");
    assert_true(f->answer.duration_us > 0);
    assert_string_equal(http_answer_header(&f->answer, "X-ECHO"), "one");
    assert_non_null(
        strstr(f->answer.body.data, "PATCH /echo/a%2Fb/../c%20d%C3%A9?x=1\n"));
    assert_non_null(strstr(f->answer.body.data, "X-A: 1\n"));
    assert_non_null(strstr(f->answer.body.data, "X-Empty: \n"));
    assert_non_null(strstr(f->answer.body.data, "Content-Length: 5\n"));
    assert_null(strstr(f->answer.body.data, "upgrade"));
    assert_null(strstr(f->answer.body.data, "Content-Type"));
    assert_null(strstr(f->answer.body.data, "Expect"));
    assert_non_null(strstr(f->answer.body.data, "\n\nhello"));
}

static void methods_frame_their_bodies_as_servers_expect(void **state) {
    struct fixture *f = *state;
    struct http_call c = {.url = url(f, "/echo/"), .reach = HTTP_REACH_ANY};

    c.method = "POST";
    assert_int_equal(call(f, &c), 0);
    assert_non_null(strstr(f->answer.body.data, "Content-Length: 0\n"));
    c.method = "GET";
    assert_int_equal(call(f, &c), 0);
    assert_null(strstr(f->answer.body.data, "Content-Length"));
    c.method = "HEAD";
    assert_int_equal(call(f, &c), 0);
    assert_int_equal(f->answer.body.len, 0);
    assert_non_null(http_answer_header(&f->answer, "Content-Length"));
    c.method = "DELETE";
    c.body = (struct bytes){"{}", 2};
    assert_int_equal(call(f, &c), 0);
    assert_non_null(strstr(f->answer.body.data, "DELETE /echo/"));
    assert_non_null(strstr(f->answer.body.data, "\n\n{}"));
    c.method = "GET";
    assert_int_equal(call(f, &c), 0);
    assert_non_null(strstr(f->answer.body.data, "GET /echo/"));
    assert_non_null(strstr(f->answer.body.data, "\n\n{}"));
}

struct source {
    int left;
    bool fail;
};

static int pull(void *ctx, char *out, size_t max, size_t *ret_len) {
    struct source *s = ctx;
    size_t n = (size_t)s->left < max ? (size_t)s->left : max;

    if (s->fail && s->left < 5000)
        return -1;
    memset(out, 'p', n);
    s->left -= (int)n;
    *ret_len = n;
    return 0;
}

static void a_body_can_be_pulled(void **state) {
    static const struct http_header length = {"Content-Length", "50000"};
    struct fixture *f = *state;
    struct source s = {.left = 50000};
    struct http_call c = {.method = "POST",
                          .url = url(f, "/echo/"),
                          .body_pull = pull,
                          .body_ctx = &s,
                          .reach = HTTP_REACH_ANY};

    assert_int_equal(call(f, &c), 0);
    assert_non_null(strstr(f->answer.body.data, "Transfer-Encoding: chunked\n"));
    assert_true(f->answer.body.len > 50000);
    s.left = 50000;
    c.headers = &length;
    c.headers_len = 1;
    assert_int_equal(call(f, &c), 0);
    assert_non_null(strstr(f->answer.body.data, "Content-Length: 50000\n"));
    s = (struct source){.left = 500000, .fail = true};
    c.headers_len = 0;
    expect_failure(f, &c, ST_CONNECTION, "network_error");
}

static void private_addresses_are_refused_in_every_spelling(void **state) {
    static const char *const hosts[] = {"127.0.0.1",
                                        "127.1",
                                        "2130706433",
                                        "0x7f000001",
                                        "0177.0.0.1",
                                        "0.0.0.0",
                                        "[::1]",
                                        "[::ffff:127.0.0.1]",
                                        "[::]",
                                        "10.0.0.1",
                                        "169.254.169.254",
                                        "192.168.0.1",
                                        "[fd00::1]",
                                        "100.64.0.1",
                                        "[64:ff9b::7f00:1]",
                                        "[2002:7f00:1::]",
                                        "224.0.0.1",
                                        "255.255.255.255",
                                        "[::127.0.0.1]"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        struct http_call c = {.url = arena_printf(f->arena, "http://%s:%d/echo/",
                                                  hosts[i], f->server.port)};

        expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    }
}

static void other_protocols_are_refused(void **state) {
    static const char *const urls[] = {"file:///etc/passwd", "gopher://1.1.1.1/",
                                       "ftp://1.1.1.1/", "dict://1.1.1.1/",
                                       "smb://1.1.1.1/x"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        struct http_call c = {.url = urls[i], .reach = HTTP_REACH_ANY};

        expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    }
}

static void broken_calls_are_bad_requests(void **state) {
    static const struct http_header injected = {"X-A", "1\r\nX-B: 2"}, odd = {"X A", "1"};
    struct fixture *f = *state;
    struct http_call calls[] = {
        {.url = "no url"},
        {.url = ""},
        {.url = "http://"},
        {.url = "http://[::1/"},
        {.url = "http://a b/"},
        {.url = "http://example.com:99999/"},
        {.url = "http://example.com/", .method = "GET /x HTTP/1.1\r\nA:"},
        {.url = "http://example.com/", .headers = &injected, .headers_len = 1},
        {.url = "http://example.com/", .headers = &odd, .headers_len = 1},
    };

    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        int rc = call(f, &calls[i]);

        if (rc == 0 || f->st.type != ST_BAD_REQUEST)
            print_error("call %zu: %s\n", i, rc ? f->st.message : "done");
        assert_int_equal(rc, -1);
        assert_int_equal(f->st.type, ST_BAD_REQUEST);
    }
}

static void the_allow_list_opens_names_and_ranges(void **state) {
    struct http_client_options o = {.private_allow = "127.0.0.0/8"};
    struct fixture *f = *state;
    struct http_call c = {
        .url = arena_printf(f->arena, "http://localhost:%d/echo/", f->server.port)};

    assert_int_equal(call(f, &c), 0); /* by name */
    http_client_close(&f->client);
    assert_int_equal(http_client_open(&o, &f->client, &f->st), 0);
    c.url = url(f, "/echo/");
    assert_int_equal(call(f, &c), 0);
    http_client_close(&f->client);
    o.private_allow = NULL;
    assert_int_equal(http_client_open(&o, &f->client, &f->st), 0);
    c.url = arena_printf(f->arena, "http://localhost:%d/echo/", f->server.port);
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    http_client_close(&f->client);
    o.private_allow = "not an address!";
    assert_int_equal(http_client_open(&o, &f->client, &f->st), -1);
}

static void a_connection_without_policy_never_serves_a_call_under_it(void **state) {
    struct fixture *f = *state;
    struct http_call c = {.url = url(f, "/echo/"), .reach = HTTP_REACH_ANY};

    for (int i = 0; i < 3; i++)
        assert_int_equal(call(f, &c), 0);
    c.reach = HTTP_REACH_PUBLIC;
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
}

static void a_redirect_is_checked_like_a_first_address(void **state) {
    struct fixture *f = *state;
    struct http_call c = {.max_redirects = 5};

    c.url = arena_printf(f->arena, "http://localhost:%d/redirect?to=%s", f->server.port,
                         url(f, "/echo/"));
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    c.url = arena_printf(f->arena, "http://localhost:%d/redirect?to=file:///etc/passwd",
                         f->server.port);
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    c.url = arena_printf(f->arena, "http://localhost:%d/redirect?to=/echo/ok",
                         f->server.port);
    assert_int_equal(call(f, &c), 0);
    assert_non_null(strstr(f->answer.body.data, "GET /echo/ok?"));
    c.max_redirects = 0;
    assert_int_equal(call(f, &c), 0);
    assert_int_equal(f->answer.status, 302);
}

static void redirects_keep_or_drop_the_body_as_browsers_do(void **state) {
    static const struct {
        int code;
        const char *method, *then;
        bool body;
    } cases[] = {{301, "POST", "GET", false},   {302, "POST", "GET", false},
                 {303, "PUT", "GET", false},    {307, "POST", "POST", true},
                 {308, "PATCH", "PATCH", true}, {302, "PUT", "PUT", true}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct http_call c = {
            .method = cases[i].method,
            .url = url(
                f, arena_printf(f->arena, "/redirect?code=%d&to=/echo/x", cases[i].code)),
            .body = {"payload", 7},
            .reach = HTTP_REACH_ANY,
            .max_redirects = 3};

        assert_int_equal(call(f, &c), 0);
        assert_int_equal(
            strncmp(f->answer.body.data, cases[i].then, strlen(cases[i].then)), 0);
        assert_int_equal(strstr(f->answer.body.data, "payload") != NULL, cases[i].body);
    }
}

static void credentials_stay_at_their_origin(void **state) {
    static const struct http_header headers[] = {{"Authorization", "Bearer secret"},
                                                 {"Cookie", "secret=1"},
                                                 {"X-Api-Key", "secret"},
                                                 {"Accept", "text/plain"}};
    struct fixture *f = *state;
    struct http_call c = {.headers = headers,
                          .headers_len = 4,
                          .reach = HTTP_REACH_ANY,
                          .max_redirects = 3};

    c.url = url(f, "/redirect?to=/echo/x");
    assert_int_equal(call(f, &c), 0);
    assert_non_null(strstr(f->answer.body.data, "X-Api-Key: secret"));
    assert_non_null(strstr(f->answer.body.data, "Authorization: Bearer secret"));
    c.url = url(f, arena_printf(f->arena, "/redirect?to=http://localhost:%d/echo/x",
                                f->server.port));
    assert_int_equal(call(f, &c), 0);
    assert_null(strstr(f->answer.body.data, "secret"));
    assert_non_null(strstr(f->answer.body.data, "Accept: text/plain"));
}

static void an_endless_redirect_ends(void **state) {
    struct fixture *f = *state;
    struct http_call c = {.url = url(f, "/redirect?to=/redirect%3Fto%3D/redirect"),
                          .reach = HTTP_REACH_ANY,
                          .max_redirects = 4};

    c.url = url(f, "/redirect?to=%3Fto%3D%253Fto%253Dx");
    assert_int_equal(call(f, &c), 0);
    assert_true(f->answer.status == 404 || f->answer.status == 302);
}

static void failures_of_the_peer_have_keys_and_no_secrets(void **state) {
    struct fixture *f = *state;
    struct raw r;
    struct http_call c = {.reach = HTTP_REACH_ANY};
    struct {
        void (*serve)(int fd);
        const char *key;
        int timeout_ms;
    } cases[] = {
        {never_answers, "timeout", 150},
        {cuts_the_body, "network_error", 0},
        {closes_at_once, "network_error", 0},
        {is_no_http, "network_error", 0},
        {sends_endless_headers, "answer_too_large", 0},
        {sends_endless_body, "answer_too_large", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        raw_start(&r, cases[i].serve);
        c.timeout_ms = cases[i].timeout_ms;
        c.max_answer_bytes = 1000000;
        c.url = arena_printf(f->arena, "http://user:hunter2@127.0.0.1:%d/x?token=hunter2",
                             r.port);
        expect_failure(f, &c, ST_CONNECTION, cases[i].key);
        assert_null(strstr(f->st.message, "hunter2"));
        http_client_close(&f->client); /* ends connections the server waits for */
        raw_stop(&r);
        assert_int_equal(
            http_client_open(&(struct http_client_options){0}, &f->client, &f->st), 0);
    }
    c.url = arena_printf(f->arena, "http://127.0.0.1:%d/", r.port);
    expect_failure(f, &c, ST_CONNECTION, "network_error");
    assert_non_null(strstr(f->st.message, "refused"));
    /* A label that is too long is refused without asking any name server. */
    c.url = "http://"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test/";
    for (int i = 0; i < 3; i++) { /* the handle is used again */
        expect_failure(f, &c, ST_CONNECTION, "network_error");
        assert_non_null(strstr(f->st.message, "aaa.test"));
    }
}

/* Raises the flag once the peer has accepted the call. */
struct canceller {
    struct raw *peer;
    _Atomic int flag;
};

static void *cancel_once_accepted(void *arg) {
    struct canceller *c = arg;
    struct timespec pause = {0, 1000000};

    while (c->peer->connections == 0)
        nanosleep(&pause, NULL);
    c->flag = 1;
    return NULL;
}

static void a_raised_flag_ends_the_call(void **state) {
    struct fixture *f = *state;
    struct raw r;
    struct canceller cancel = {&r, 1};
    struct http_call c = {
        .reach = HTTP_REACH_ANY, .timeout_ms = 60000, .cancel = &cancel.flag};
    pthread_t thread;

    raw_start(&r, never_answers);
    c.url = arena_printf(f->arena, "http://127.0.0.1:%d/", r.port);
    expect_failure(f, &c, ST_CONNECTION, "cancelled"); /* it was raised before */
    cancel.flag = 0;
    pthread_create(&thread, NULL, cancel_once_accepted, &cancel);
    expect_failure(f, &c, ST_CONNECTION, "cancelled");
    pthread_join(thread, NULL);
    http_client_close(&f->client);
    raw_stop(&r);
    assert_int_equal(
        http_client_open(&(struct http_client_options){0}, &f->client, &f->st), 0);
}

static void interim_answers_are_skipped(void **state) {
    struct fixture *f = *state;
    struct raw r;
    struct http_call c = {.reach = HTTP_REACH_ANY};

    raw_start(&r, says_continue_first);
    c.url = arena_printf(f->arena, "http://127.0.0.1:%d/", r.port);
    assert_int_equal(call(f, &c), 0);
    assert_int_equal(f->answer.status, 200);
    assert_null(http_answer_header(&f->answer, "Link"));
    assert_string_equal(http_answer_header(&f->answer, "X-Real"), "1");
    raw_stop(&r);
}

static void answers_are_bounded_also_when_compressed(void **state) {
    struct fixture *f = *state;
    struct http_call c = {.url = url(f, "/zeros?n=1000"), .reach = HTTP_REACH_ANY};

    c.max_answer_bytes = 1000;
    assert_int_equal(call(f, &c), 0);
    c.max_answer_bytes = 999;
    expect_failure(f, &c, ST_CONNECTION, "answer_too_large");
    c.url = url(f, "/zipped");
    c.max_answer_bytes = 0;
    assert_int_equal(call(f, &c), 0);
    assert_int_equal(f->answer.body.len, 5000000);
    assert_null(http_answer_header(&f->answer, "Content-Encoding"));
    c.max_answer_bytes = 4000000;
    expect_failure(f, &c, ST_CONNECTION, "answer_too_large");
    c.keep_encoding = true;
    assert_int_equal(call(f, &c), 0);
    assert_true(f->answer.body.len < 20000);
    assert_string_equal(http_answer_header(&f->answer, "Content-Encoding"), "gzip");
}

static int on_head(void *ctx, int status, const struct http_header *headers, size_t n) {
    int *seen = ctx;

    assert_true(n > 0 && headers[0].name);
    seen[0] = status;
    return status == 404;
}

static int on_body(void *ctx, const char *data, size_t len) {
    int *seen = ctx;

    (void)data;
    seen[1] += (int)len;
    return seen[1] > 5000000;
}

static void an_answer_can_be_received_in_parts(void **state) {
    struct fixture *f = *state;
    int seen[2] = {0, 0};
    struct http_call c = {.url = url(f, "/zeros?n=3000000"),
                          .reach = HTTP_REACH_ANY,
                          .on_head = on_head,
                          .on_body = on_body,
                          .on_ctx = seen};

    assert_int_equal(call(f, &c), 0);
    assert_int_equal(seen[0], 200);
    assert_int_equal(seen[1], 3000000);
    assert_int_equal(f->answer.body.len, 0);
    c.url = url(f, "/zeros?n=20000000");
    expect_failure(f, &c, ST_CONNECTION, "network_error");
    c.url = url(f, "/absent");
    expect_failure(f, &c, ST_CONNECTION, "network_error");
}

static void a_stream_is_pulled_whole_left_early_or_fails(void **state) {
    struct fixture *f = *state;
    struct http_stream *s;
    struct http_call c = {.method = "GET",
                          .url = url(f, "/redirect?to=/zeros?n=8000000"),
                          .reach = HTTP_REACH_ANY,
                          .max_redirects = 1};
    char part[10000];
    size_t n, total = 0;
    struct raw r;

    assert_int_equal(http_stream_open(f->client, f->arena, &c, &f->answer, &s, &f->st),
                     0);
    assert_int_equal(f->answer.status, 200);
    assert_string_equal(http_answer_header(&f->answer, "Content-Length"), "8000000");
    do {
        assert_int_equal(http_stream_pull(s, part, sizeof(part), &n, &f->st), 0);
        total += n;
    } while (n > 0);
    assert_int_equal(total, 8000000);
    http_stream_close(s);
    assert_int_equal(http_stream_open(f->client, f->arena, &c, &f->answer, &s, &f->st),
                     0);
    assert_int_equal(http_stream_pull(s, part, sizeof(part), &n, &f->st), 0);
    http_stream_close(s);
    raw_start(&r, cuts_the_body);
    c.url = arena_printf(f->arena, "http://127.0.0.1:%d/", r.port);
    assert_int_equal(http_stream_open(f->client, f->arena, &c, &f->answer, &s, &f->st),
                     0);
    do
        total = (size_t)http_stream_pull(s, part, sizeof(part), &n, &f->st);
    while (total == 0 && n > 0);
    assert_int_equal(total, (size_t)-1);
    assert_string_equal(f->st.key, "network_error");
    http_stream_close(s);
    raw_stop(&r);
    c.reach = HTTP_REACH_PUBLIC;
    assert_int_equal(http_stream_open(f->client, f->arena, &c, &f->answer, &s, &f->st),
                     -1);
    assert_string_equal(f->st.key, "address_not_allowed");
}

static void connections_are_reused(void **state) {
    struct fixture *f = *state;
    struct http_call c = {.url = url(f, "/echo/"), .reach = HTTP_REACH_ANY};
    int64_t first;

    assert_int_equal(call(f, &c), 0);
    first = f->answer.duration_us;
    for (int i = 0; i < 20; i++)
        assert_int_equal(call(f, &c), 0);
    (void)first;
}

struct crowd {
    struct fixture *f;
    atomic_int *good;
};

static void *one_of_many(void *arg) {
    struct crowd *crowd = arg;
    struct fixture *f = crowd->f;

    for (int i = 0; i < 10; i++) {
        struct arena *a = arena_new(0);
        struct status st;
        struct http_answer answer;
        struct http_call c = {
            .method = "POST",
            .url = url(&(struct fixture){.server = f->server, .arena = a}, "/echo/"),
            .body = {"x", 1},
            .reach = HTTP_REACH_ANY};

        st_init(&st, a);
        if (http_client_call(f->client, a, &c, &answer, &st) == 0 && answer.status == 200)
            ++*crowd->good;
        arena_free(&a);
    }
    return NULL;
}

static void many_threads_call_at_once(void **state) {
    pthread_t threads[100];
    atomic_int good = 0;
    struct crowd crowd = {*state, &good};

    for (int i = 0; i < 100; i++)
        pthread_create(&threads[i], NULL, one_of_many, &crowd);
    for (int i = 0; i < 100; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(good, 1000);
}

static void proxies_are_used_and_do_not_open_the_inside(void **state) {
    struct fixture *f = *state;
    struct raw r;
    struct http_client_options o = {.no_proxy = "localhost,10.0.0.0/8"};
    struct http_call c = {.url = "http://api.example.com/x"};

    raw_start(&r, is_a_proxy);
    o.http_proxy_uri = arena_printf(f->arena, "http://127.0.0.1:%d", r.port);
    /* A proxy of the call's own is under the policy. */
    c.proxy_uri = o.http_proxy_uri;
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    c.proxy_uri = NULL;
    http_client_close(&f->client);
    assert_int_equal(http_client_open(&o, &f->client, &f->st), 0);
    assert_int_equal(call(f, &c), 0);
    assert_string_equal(http_answer_header(&f->answer, "X-Proxy"), "yes");
    assert_non_null(strstr(last_request, "GET http://api.example.com/x HTTP/1.1\r\n"));
    c.url = "http://169.254.169.254/latest/meta-data";
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    c.url = "http://metadata.google.internal/";
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    c.url = "http://intranet/";
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    c.url = arena_printf(f->arena, "http://localhost:%d/echo/", f->server.port);
    expect_failure(f, &c, ST_BAD_REQUEST, "address_not_allowed");
    http_client_close(&f->client);
    raw_stop(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_call_carries_method_headers_and_body_and_brings_all_back),
        TEST(methods_frame_their_bodies_as_servers_expect),
        TEST(a_body_can_be_pulled),
        TEST(private_addresses_are_refused_in_every_spelling),
        TEST(other_protocols_are_refused),
        TEST(broken_calls_are_bad_requests),
        TEST(the_allow_list_opens_names_and_ranges),
        TEST(a_connection_without_policy_never_serves_a_call_under_it),
        TEST(a_redirect_is_checked_like_a_first_address),
        TEST(redirects_keep_or_drop_the_body_as_browsers_do),
        TEST(credentials_stay_at_their_origin),
        TEST(an_endless_redirect_ends),
        TEST(failures_of_the_peer_have_keys_and_no_secrets),
        TEST(a_raised_flag_ends_the_call),
        TEST(interim_answers_are_skipped),
        TEST(answers_are_bounded_also_when_compressed),
        TEST(an_answer_can_be_received_in_parts),
        TEST(a_stream_is_pulled_whole_left_early_or_fails),
        TEST(connections_are_reused),
        TEST(many_threads_call_at_once),
        TEST(proxies_are_used_and_do_not_open_the_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
