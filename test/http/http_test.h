/*
 * http_test.h - for tests: an HTTP server in this process on a free port, and plain
 * requests over a socket, whose exact bytes the test decides.
 */
#ifndef TEST_HTTP_HTTP_TEST_H
#define TEST_HTTP_HTTP_TEST_H

#include <stdbool.h>
#include <stddef.h>

#include "http/http_server.h"

struct http_test {
    struct http_router *router;
    struct http_server *server;
    struct arena *arena; /* answers live here; the test may use it too */
    int port;
};

/*
 * Starts a server with these rows. options (may be NULL) gives everything else; its
 * router, host and port are ignored. Failure ends the test.
 */
void http_test_start(struct http_test *t, const struct route *rows, size_t n,
                     const struct http_server_options *options);
void http_test_stop(struct http_test *t);

struct http_test_answer {
    int status;        /* 0: the peer closed without an answer */
    const char *head;  /* status line and headers */
    struct bytes body; /* de-chunked; NUL follows */
    bool cut;          /* the peer closed before the body was complete */
};

/* A new connection; failure ends the test. */
int http_test_connect(const struct http_test *t);
/* As it stands. False when the peer closed. */
bool http_test_send(int fd, const char *bytes, size_t len);
bool http_test_send_text(int fd, const char *text);
/* Reads one answer; waits up to 10 s. without_body: of a HEAD request. */
struct http_test_answer http_test_read(struct http_test *t, int fd, bool without_body);
/* NULL when absent; lives in the arena. */
const char *http_test_header(struct http_test *t, const struct http_test_answer *answer,
                             const char *name);
/* True when the peer closes within ms milliseconds, without a further byte. */
bool http_test_is_closed(int fd, int ms);

/*
 * One request on a connection of its own. headers: "A: 1\r\nB: 2\r\n" or NULL; body: NULL
 * for none.
 */
struct http_test_answer http_test_call(struct http_test *t, const char *method,
                                       const char *target, const char *headers,
                                       const char *body);

#endif
