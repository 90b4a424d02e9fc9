#include "http_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"

enum { WAIT_MS = 10000 };

static void fail_test(const char *what) {
    fprintf(stderr, "http_test: %s\n", what);
    abort();
}

void http_test_start(struct http_test *t, const struct route *rows, size_t n,
                     const struct http_server_options *options) {
    struct http_server_options o = options ? *options : (struct http_server_options){0};
    struct status st;

    t->arena = arena_new(0);
    t->router = http_router_new();
    http_router_add(t->router, rows, n);
    o.router = t->router;
    o.host = "127.0.0.1";
    o.port = 0;
    st_init(&st, t->arena);
    if (http_server_start(&o, &t->server, &st) < 0)
        fail_test(st.message);
    t->port = http_server_port(t->server);
}

void http_test_stop(struct http_test *t) {
    http_server_stop(&t->server, 5000);
    http_router_free(&t->router);
    arena_free(&t->arena);
}

int http_test_connect(const struct http_test *t) {
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)t->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
        fail_test("can't connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

bool http_test_send(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

bool http_test_send_text(int fd, const char *text) {
    return http_test_send(fd, text, strlen(text));
}

/* ---- reading ---- */

struct reader {
    struct http_test *t;
    int fd;
    char *data;
    size_t len, cap;
};

static void make_room(struct reader *r, size_t n) {
    size_t cap = r->cap;

    while (r->len + n + 1 > cap)
        cap *= 2;
    if (cap > r->cap)
        r->data = arena_grow(r->t->arena, r->data, r->cap, cap);
    r->cap = cap;
}

/* Up to n bytes in one read; false at the end of the connection. */
static bool read_some(struct reader *r, size_t n) {
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    ssize_t got;

    make_room(r, n);
    if (poll(&p, 1, WAIT_MS) == 0)
        fail_test("no answer within 10 s");
    got = recv(r->fd, r->data + r->len, n, 0);
    if (got <= 0)
        return false;
    r->len += (size_t)got;
    r->data[r->len] = '\0';
    return true;
}

static bool read_exactly(struct reader *r, size_t n) {
    for (size_t end = r->len + n; r->len < end;)
        if (!read_some(r, end - r->len))
            return false;
    return true;
}

/* Byte by byte, so that nothing of a next answer is taken. */
static bool read_until(struct reader *r, const char *mark) {
    size_t n = strlen(mark), from = r->len;

    while (r->len - from < n || memcmp(r->data + r->len - n, mark, n) != 0)
        if (!read_some(r, 1))
            return false;
    return true;
}

static void start_reader(struct reader *r, struct http_test *t, int fd) {
    *r = (struct reader){.t = t, .fd = fd, .cap = 1024};
    r->data = arena_zalloc(t->arena, r->cap);
}

const char *http_test_header(struct http_test *t, const struct http_test_answer *answer,
                             const char *name) {
    size_t n = strlen(name);

    for (const char *p = strstr(answer->head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
        if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':') {
            p += 2 + n + 1;
            p += strspn(p, " ");
            return arena_memdup(t->arena, p, strcspn(p, "\r"));
        }
    return NULL;
}

static bool read_chunks(struct reader *r, struct reader *out) {
    for (;;) {
        size_t n, at = r->len;

        if (!read_until(r, "\r\n"))
            return false;
        n = strtoul(r->data + at, NULL, 16);
        if (n == 0)
            return read_until(r, "\r\n");
        at = r->len;
        if (!read_exactly(r, n) || !read_until(r, "\r\n"))
            return false;
        make_room(out, n);
        memcpy(out->data + out->len, r->data + at, n);
        out->len += n;
        out->data[out->len] = '\0';
    }
}

struct http_test_answer http_test_read(struct http_test *t, int fd, bool without_body) {
    struct http_test_answer answer = {.head = ""};
    struct reader head, body;
    const char *length, *encoding;

    start_reader(&head, t, fd);
    start_reader(&body, t, fd);
    if (!read_until(&head, "\r\n\r\n")) {
        answer.head = head.data;
        answer.cut = true;
        return answer;
    }
    answer.head = head.data;
    answer.status = (int)strtol(head.data + strlen("HTTP/1.1 "), NULL, 10);
    if (answer.status == 100)
        return http_test_read(t, fd, without_body);
    answer.body = (struct bytes){body.data, 0};
    if (without_body || answer.status == 204 || answer.status == 304)
        return answer;
    length = http_test_header(t, &answer, "Content-Length");
    encoding = http_test_header(t, &answer, "Transfer-Encoding");
    if (encoding) {
        struct reader raw;

        start_reader(&raw, t, fd);
        answer.cut = !read_chunks(&raw, &body);
    } else if (length) {
        answer.cut = !read_exactly(&body, strtoul(length, NULL, 10));
    } else {
        while (read_some(&body, 4096))
            ;
    }
    answer.body = (struct bytes){body.data, body.len};
    return answer;
}

bool http_test_is_closed(int fd, int ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char c;

    return poll(&p, 1, ms) == 1 && recv(fd, &c, 1, 0) <= 0;
}

struct http_test_answer http_test_call(struct http_test *t, const char *method,
                                       const char *target, const char *headers,
                                       const char *body) {
    struct http_test_answer answer;
    int fd = http_test_connect(t);
    const char *head;

    if (body)
        head = arena_printf(
            t->arena, "%s %s HTTP/1.1\r\nHost: test\r\n%sContent-Length: %zu\r\n\r\n",
            method, target, headers ? headers : "", strlen(body));
    else
        head = arena_printf(t->arena, "%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n", method,
                            target, headers ? headers : "");
    http_test_send_text(fd, head);
    if (body)
        http_test_send_text(fd, body);
    answer = http_test_read(t, fd, strcmp(method, "HEAD") == 0);
    close(fd);
    return answer;
}
