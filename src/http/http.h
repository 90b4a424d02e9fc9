/*
 * http.h - what a handler sees: a request, a reply, and the row that led to it.
 *
 * A handler is straight-line blocking C: int handler(rq, rp, st), 0 with *rp filled or -1
 * with *st filled, which becomes the error body (ErrorData, status by st_http_code()).
 * Everything lives in rq->arena, which dies after the reply was sent.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena;
struct caller;
struct deps;
struct document;
struct http_connection;
struct reply;
struct request;
struct route;
struct status;
struct value;

enum http_method {
    HTTP_GET,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_HEAD,
    HTTP_OPTIONS,
    HTTP_ANY, /* in routes only: every method */
};
const char *http_method_name(enum http_method m);
/* -1 when unknown. */
int http_method_from_name(const char *name);

/* Who may call; the authenticate hook of the server checks it before the handler runs. */
enum access {
    ACCESS_NONE,
    ACCESS_CUSTOMER, /* any valid token of a workspace */
    ACCESS_ADMIN, /* an admin token of the workspace, or a platform user who manages it */
    ACCESS_PLATFORM, /* a platform user */
};

enum {
    ROUTE_INLINE = 1,   /* does not block: runs on the network thread */
    ROUTE_RAW_BODY = 2, /* the body may be of any type; up to max_body of the server */
    ROUTE_UNDOCUMENTED = 4, /* kept out of openapi.json */
    ROUTE_READS = 8, /* changes nothing, whatever its method: open to who may only read */
};

/*
 * A handler of a ROUTE_INLINE row, and the authenticate hook in front of it, may give 1
 * with nothing filled while rq->may_block is false: both run again, from the start, on a
 * thread that may block.
 */
typedef int (*route_handler)(struct request *rq, struct reply *rp, struct status *st);

/*
 * A row: "/connections/{selector}/proxy/{path*}"; {name} is one segment, {name*} at the
 * end the rest, may be empty. The most specific row wins: literal before {name} before
 * {name*}.
 */
struct route {
    enum http_method method;
    const char *pattern;
    route_handler handler;
    enum access access;
    unsigned flags;
    const char *summary;
    const char *query;    /* query fields, comma-separated; or NULL */
    const char *body;     /* name of the body's schema, for openapi.json; or NULL */
    const char *response; /* name of the answer's schema; or NULL */
    const void *data;     /* for handlers that serve several rows */
};

/*
 * Rows of a static table; ROUTE("GET", ...) reads as the contract's tables do.
 * Each domain has a routes.def; http_routes.c gathers them.
 */
#define HTTP_MAX_PARAMS 6

struct request {
    struct arena *arena;
    const struct deps *deps;
    const struct route *route;
    struct caller *caller; /* NULL on ACCESS_NONE rows */
    enum http_method method;
    const char *path;                   /* as sent, without the query */
    const char *query_text;             /* as sent, without '?'; "" when there is none */
    const char *param[HTTP_MAX_PARAMS]; /* of the pattern, in order, percent-decoded;
                                           a {name*} is left encoded */
    const struct value *query; /* object: name -> text; bracket style (a[b]=1) nests */
    struct bytes body;
    bool may_block; /* false on the network thread: see route_handler */
    const char *id; /* request id: from X-Request-Id when sane, else made */
    const char *client_ip;
    int64_t deadline_ms; /* on the monotonic clock: when the answer must be on its way */
    struct http_connection *connection; /* private to http/ */
    const struct value *json;           /* private: see request_json */
};

/* Case-insensitive; NULL when absent. */
const char *request_header(const struct request *rq, const char *name);
/* Calls fn for each header. */
void request_each_header(const struct request *rq,
                         void (*fn)(void *ctx, const char *name, const char *value),
                         void *ctx);
/*
 * The body as JSON. An empty body is &value_undefined whatever its content type;
 * application/x-www-form-urlencoded becomes an object of texts; anything else must parse
 * as JSON: bad_request with line and column.
 */
int request_json(struct request *rq, const struct value **ret_body, struct status *st);
/* As request_json, but the body must be an object (empty body: the empty object). */
int request_object(struct request *rq, const struct value **ret_body, struct status *st);
/* A query field's text, or NULL when absent or blank. */
const char *request_query(const struct request *rq, const char *name);
/* formulas.md 11.3; otherwise when absent. */
bool request_query_bool(const struct request *rq, const char *name, bool otherwise);
/* bad_request when present and not an integer in [min, max]. */
int request_query_int(const struct request *rq, const char *name, int64_t min,
                      int64_t max, int64_t otherwise, int64_t *ret_n, struct status *st);
/* A part of a multipart/form-data body; NULL name: the first file. 1 when there is none.
 */
struct request_part {
    const char *name, *filename, *content_type;
    struct bytes body;
};
int request_part(struct request *rq, const char *name, struct request_part *ret_part,
                 struct status *st);

/*
 * "a=1&b[c]=2&d[0]=x&e[]=y" as an object of texts; brackets nest, keys 0..n-1 make an
 * array, a repeated name keeps its last value. bad_request above the bounds.
 */
int http_query_parse(struct arena *a, const char *text, size_t len,
                     const struct value **ret_query, struct status *st);

struct reply {
    int status; /* 0 until a reply_ function filled it: then 204 */
    struct arena *arena;
    struct bytes body;
    const char *content_type;
    struct reply_header {
        const char *name, *value;
        struct reply_header *next;
    } * headers;
    /* A streamed body: called again and again until it gives 0 bytes or fails. */
    int (*pull)(void *ctx, char *buf, size_t max, size_t *ret_len, struct status *st);
    void (*pull_done)(void *ctx); /* always called once, also when the peer went away */
    void *pull_ctx;
    struct document *document; /* private */
};

/* Each returns 0, so that a handler ends with `return reply_json(rp, 200, v);`. */
int reply_json(struct reply *rp, int status, const struct value *v);
int reply_text(struct reply *rp, int status, const char *content_type, const char *text);
/* Lends: the bytes must live until the reply was sent (arena or static). */
int reply_bytes(struct reply *rp, int status, const char *content_type,
                struct bytes body);
int reply_empty(struct reply *rp, int status);
void reply_header(struct reply *rp, const char *name, const char *value);
int reply_stream(struct reply *rp, int status, const char *content_type,
                 int (*pull)(void *, char *, size_t, size_t *, struct status *),
                 void (*done)(void *), void *ctx);
/* Fills the reply with the error body of *st. */
void reply_error(struct reply *rp, const struct status *st);

#endif
