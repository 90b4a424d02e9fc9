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
    /*
     * Instead of body: pulled until 0 bytes, non-zero ends the call; or NULL. Called on
     * the client's thread: must not block. Without a Content-Length header it is sent
     * chunked; it can't be sent again after a redirect.
     */
    int (*body_pull)(void *ctx, char *buf, size_t max, size_t *ret_len);
    void *body_ctx;
    enum http_reach reach;
    const char *proxy_uri;   /* HTTP proxy of this call, itself under `reach`; or NULL */
    int timeout_ms;          /* whole call; 0: 60 s */
    int connect_timeout_ms;  /* 0: 10 s */
    int stall_timeout_ms;    /* fewer than 100 bytes a second for so long, in whole
                                seconds, is a failure ("timeout"); 0: off */
    size_t max_answer_bytes; /* 0: 30 MB; more is a failure */
    /* Ends the call within 100 ms of becoming non-zero, with key "cancelled"; or NULL.
       Not for streams. */
    const _Atomic int *cancel;
    int max_redirects;  /* 0: none are followed. To another origin only harmless headers
                           go along: no Authorization, Cookie or header of the caller's own
                           making */
    bool keep_encoding; /* leave Content-Encoding as it came (proxying); otherwise the
                           body is decoded, and Content-Encoding and -Length left out */
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
    const char *url; /* that answered: the last one of redirects */
};

/*
 * 0 whenever an HTTP answer arrived, whatever its status. -1: `connection` error with key
 * "network_error", "timeout", "answer_too_large", "cancelled", or bad_request
 * "address_not_allowed". The answer lives in `a`.
 */
int http_client_call(struct http_client *c, struct arena *a, const struct http_call *call,
                     struct http_answer *ret_answer, struct status *st);

/*
 * The same call with an answer that is pulled, in bounded memory, as a streamed reply of
 * the server wants it: reply_stream(rp, answer.status, type, http_stream_pull,
 * http_stream_close, stream). http_stream_open blocks until the headers are there;
 * ret_answer->body stays empty. on_head and on_body must be NULL. The call's body must
 * live until http_stream_close.
 */
struct http_stream;
int http_stream_open(struct http_client *c, struct arena *a, const struct http_call *call,
                     struct http_answer *ret_answer, struct http_stream **ret_stream,
                     struct status *st);
int http_stream_pull(void *stream, char *buf, size_t max, size_t *ret_len,
                     struct status *st);
void http_stream_close(void *stream);

/* Case-insensitive; the first one, or NULL. */
const char *http_answer_header(const struct http_answer *answer, const char *name);

struct http_client_options {
    /* Comma list of CIDR ranges and host names that HTTP_REACH_PUBLIC may reach although
       private; "*" allows all. NULL: none. */
    const char *private_allow;
    const char *ca_file; /* extra certificate authorities; or NULL */
    const char *user_agent;
    /* The operator's own proxies for calls under HTTP_REACH_PUBLIC, not checked
       themselves, and the comma list of hosts that are called without; or NULL. */
    const char *http_proxy_uri, *https_proxy_uri, *no_proxy;
    size_t max_connections;          /* 0: 6000 */
    size_t max_connections_per_host; /* 0: no limit of its own */
};
/* All calls must have ended before close. */
int http_client_open(const struct http_client_options *o, struct http_client **ret_client,
                     struct status *st);
void http_client_close(struct http_client **c);

#endif
