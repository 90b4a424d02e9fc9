/*
 * http_server.h - the listening side: libmicrohttpd parses and keeps idle connections on
 * epoll threads, a bounded pool of small-stack threads runs handlers.
 */
#ifndef HTTP_HTTP_SERVER_H
#define HTTP_HTTP_SERVER_H

#include "http.h"

struct http_router;
struct http_server;
struct metrics;

/* Copies the row pointers; rows must live as long as the router. */
struct http_router *http_router_new(void);
/* The same method and pattern twice is a broken promise (assert). */
void http_router_add(struct http_router *r, const struct route *rows, size_t n);
/* In order of pattern, for `membrane routes` and openapi.json. */
size_t http_router_rows(const struct http_router *r,
                        const struct route *const **ret_rows);
/*
 * 0 found (ret_route, params filled), 1 no such path, 2 path exists but not the method
 * (ret_allow: "GET, PUT"). HEAD matches GET rows.
 */
int http_router_match(const struct http_router *r, enum http_method m, const char *path,
                      struct arena *a, const struct route **ret_route,
                      const char *param[HTTP_MAX_PARAMS], const char **ret_allow);
void http_router_free(struct http_router **r);

struct http_server_options {
    const char *host; /* NULL: 0.0.0.0 */
    int port;         /* 0: any free one; http_server_port() tells */
    const struct http_router *router;
    const struct deps *deps;
    unsigned network_threads; /* 0: 1 */
    unsigned
        max_handlers; /* handlers at work at once; more get 503 + Retry-After. 0: 5500 */
    size_t max_body_bytes;                                            /* 0: 10 MB */
    int headers_timeout_ms, keepalive_timeout_ms, request_timeout_ms; /* 0: defaults */
    const char *cors_allowed_origins; /* "*" or a comma list; NULL: no CORS headers */
    /* Fills rq->caller for rows with access other than NONE; -1 ends with *st's body. */
    int (*authenticate)(struct request *rq, struct status *st);
    /*
     * After each reply, for access log and metrics; on a network thread: must not block.
     * rq->route is NULL when no row was found; status 499: the client went away before.
     */
    void (*finished)(void *ctx, const struct request *rq, int status, int64_t duration_us,
                     size_t bytes_out);
    void *ctx;
};

int http_server_start(const struct http_server_options *o,
                      struct http_server **ret_server, struct status *st);
int http_server_port(const struct http_server *s);
/* Requests being handled now. */
unsigned http_server_in_flight(const struct http_server *s);
/*
 * From now on answers carry Connection: close and the row "/" (health) answers 503; new
 * connections are still taken until http_server_stop_listening().
 */
void http_server_drain(struct http_server *s);
void http_server_stop_listening(struct http_server *s);
/*
 * Waits up to grace_ms for requests to end, then closes everything. A handler that is
 * still at work then keeps running, and what it uses stays allocated: the process is
 * expected to exit.
 */
void http_server_stop(struct http_server **s, int grace_ms);

#endif
