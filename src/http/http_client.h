/*
 * http_client.h - outgoing calls: one libcurl multi loop per process behind a blocking
 * call.
 */
#ifndef HTTP_HTTP_CLIENT_H
#define HTTP_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena;
struct http_client;
struct status;

struct http_header {
    const char *name, *value;
};

/* Who the call is made for decides what it may reach. */
enum http_reach {
    HTTP_REACH_PUBLIC, /* on a user's behalf: private, loopback, link-local, metadata and
                          other special ranges are refused unless the operator's
                          allow-list names them; checked on the resolved address, again
                          after redirects */
    HTTP_REACH_ANY, /* the operator's own services (runner, storage, credentials API) */
};

struct http_call {
    const char *method; /* upper case */
    const char *url;    /* absolute, http or https */
    const struct http_header *headers;
    size_t headers_len;
    struct bytes body;
    /* Instead of body: pulled until 0 bytes; or NULL. */
    int (*body_pull)(void *ctx, char *buf, size_t max, size_t *ret_len);
    void *body_ctx;
    enum http_reach reach;
    const char *proxy_uri;   /* outbound HTTP proxy; or NULL */
    int timeout_ms;          /* whole call; 0: 60 s */
    int connect_timeout_ms;  /* 0: 10 s */
    size_t max_answer_bytes; /* 0: 30 MB; more is a failure */
    int max_redirects;       /* 0: none are followed */
    bool keep_encoding;      /* leave Content-Encoding as it came (proxying) */
    /*
     * Streamed answer; or NULL to collect the body. on_head is called once with status
     * and headers; on_body with consecutive parts. Non-zero from either ends the call.
     * Called on the client's thread: must not block.
     */
    int (*on_head)(void *ctx, int status, const struct http_header *headers, size_t n);
    int (*on_body)(void *ctx, const char *data, size_t len);
    void *on_ctx;
};

struct http_answer {
    int status;
    const struct http_header *headers; /* in order of arrival, names as sent */
    size_t headers_len;
    struct bytes body;
    int64_t duration_us;
    const char *remote_ip;
};

/*
 * 0 whenever an HTTP answer arrived, whatever its status. -1: `connection` error with key
 * "network_error", "timeout", "answer_too_large", or bad_request "address_not_allowed".
 * The answer lives in `a`.
 */
int http_client_call(struct http_client *c, struct arena *a, const struct http_call *call,
                     struct http_answer *ret_answer, struct status *st);
/* Case-insensitive; the first one, or NULL. */
const char *http_answer_header(const struct http_answer *answer, const char *name);

struct http_client_options {
    /* Comma list of CIDR ranges and host names that HTTP_REACH_PUBLIC may reach although
       private; "*" allows all. NULL: none. */
    const char *private_allow;
    const char *ca_file; /* extra certificate authorities; or NULL */
    const char *user_agent;
    size_t max_connections;          /* 0: 6000 */
    size_t max_connections_per_host; /* 0: no limit of its own */
};
int http_client_open(const struct http_client_options *o, struct http_client **ret_client,
                     struct status *st);
void http_client_close(struct http_client **c);

#endif
