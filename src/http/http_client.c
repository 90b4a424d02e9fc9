/*
 * http_client.c - outgoing calls: validation, network policy, redirects, errors.
 *
 * A call is prepared on the caller's thread, runs there too while a lane is free
 * (http_lane.h) or else on the loop's (http_loop.c), and is read out by the caller. What
 * somebody else may want to end or to pause, streams and calls with a cancel flag, runs
 * on the loop. Redirects are followed here, one transfer per hop, not
 * by libcurl: each hop passes the whole policy, and headers that may hold credentials
 * (any the caller made up) stay at the origin they were meant for; libcurl would only
 * hold back Authorization and Cookie.
 *
 * The policy is checked where the socket is made, on the address that is connected to:
 * what a name resolved to before proves nothing. Through an operator's proxy only the
 * proxy knows the address, so literal addresses and local names are refused up front.
 */
#include "http_client.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "http_address.h"
#include "http_lane.h"
#include "http_loop.h"

enum {
    SPARE_HANDLES = 64,
    MAX_HEAD_BYTES = 256 * 1024,
    MAX_HEAD_LINES = 1000,
    STREAM_HIGH = 256 * 1024, /* held for a stream's reader; more pauses the peer */
    STREAM_LOW = 64 * 1024,
    CANCEL_CHECK_MS = 50,
    STALL_BYTES_PER_S = 100,
};

/* Each call on the loop holds one while it waits, and they may be thousands. */
#define LOOP_BUFFER_BYTES 4096L

struct http_client {
    struct http_client_options o;
    struct arena *arena;
    const struct address_list *allow, *no_proxy;
    struct http_loop *loop;
    struct http_lanes *lanes; /* NULL: a bound per host needs the one loop */
    CURLSH *share;            /* TLS sessions */
    pthread_mutex_t share_mu;
    pthread_mutex_t mu;
    CURL *spare[SPARE_HANDLES]; /* guarded by: mu */
    size_t spare_len;           /* guarded by: mu */
};

/* One hop of a call. */
struct hop {
    struct http_transfer t; /* first */
    pthread_mutex_t mu;     /* guards body, read_off and paused of a stream */
    struct http_client *client;
    struct http_lane *lane; /* NULL: it runs on the loop */
    const struct http_call *call;
    const char *method;
    bool with_body;
    bool foreign; /* another origin than the caller named */
    bool may_redirect;
    CURLU *url;
    char *host;             /* without brackets; curl_free */
    const char *where;      /* "host:port" for messages */
    const char *proxy;      /* or NULL */
    const char *proxy_host; /* or NULL; set when the proxy is under the policy */
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
    char ip[46];      /* of the peer */
    char refused[46]; /* address that the policy refused; "" when none */
    /* The answer. */
    int status;
    struct buf head;
    struct http_header *fields;
    size_t fields_len;
    struct buf body;
    size_t received;
    _Atomic bool head_done; /* status and fields are set */
    bool redirecting, too_large, ended_by_receiver;
    bool streaming, paused;
    size_t read_off; /* of a stream's reader */
};

/* ---- policy ---- */

static bool is_allowed(const struct hop *h, const struct sockaddr *sa) {
    const struct address_list *allow = h->client->allow;

    return http_address_class(sa) == ADDRESS_PUBLIC || http_address_list_has(allow, sa) ||
           http_address_list_has_name(allow, h->proxy ? h->proxy_host : h->host);
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose,
                                    struct curl_sockaddr *addr) {
    struct hop *h = ctx;
    bool checked = h->t.reach == HTTP_REACH_PUBLIC && (!h->proxy || h->proxy_host);

    (void)purpose;
    if (checked && !is_allowed(h, &addr->addr)) {
        http_address_text(&addr->addr, h->refused, sizeof(h->refused));
        if (!*h->refused)
            strcpy(h->refused, "?");
        return CURL_SOCKET_BAD;
    }
    return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcasecmp(s + n - m, end) == 0;
}

/* Names and literals that must not even be asked of a proxy. */
static bool is_local_name(const struct hop *h) {
    const char *host = h->host;
    bool literal = strchr(host, ':') || strspn(host, "0123456789.") == strlen(host);

    if (literal)
        return http_address_class_text(host) != ADDRESS_PUBLIC &&
               !http_address_list_has_name(h->client->allow, host);
    return (!strchr(host, '.') || ends_with(host, ".localhost") ||
            ends_with(host, ".localhost.") || ends_with(host, ".internal") ||
            ends_with(host, ".local")) &&
           !http_address_list_has_name(h->client->allow, host);
}

static int not_allowed(struct status *st, const char *where) {
    return st_fail(st, ST_BAD_REQUEST, "address_not_allowed",
                   "%s is not a public address: requests to it are not allowed", where);
}

/* ---- callbacks on the loop's thread ---- */

static const char *field(const struct hop *h, const char *name) {
    for (size_t i = 0; i < h->fields_len; i++)
        if (strcasecmp(h->fields[i].name, name) == 0)
            return h->fields[i].value;
    return NULL;
}

/* Cuts the lines of the head, NUL-terminated in place, into fields. */
static void parse_head(struct hop *h) {
    char *p = h->head.data, *end = p + h->head.len;
    size_t lines = 0;

    for (char *q = p; q < end; q += strlen(q) + 1)
        lines++;
    h->fields = calloc(lines + 1, sizeof(*h->fields));
    if (!h->fields)
        abort();
    for (; p < end; p += strlen(p) + 1) {
        char *colon = strchr(p, ':'), *value;

        if (!colon || colon == p)
            continue;
        *colon = '\0';
        value = colon + 1 + strspn(colon + 1, " \t");
        h->fields[h->fields_len++] = (struct http_header){p, value};
        p = value;
    }
}

static void drop_fields(struct hop *h, const char *name) {
    size_t n = 0;

    for (size_t i = 0; i < h->fields_len; i++)
        if (strcasecmp(h->fields[i].name, name) != 0)
            h->fields[n++] = h->fields[i];
    h->fields_len = n;
}

static bool is_redirect(const struct hop *h) {
    bool keeps_method = h->status == 307 || h->status == 308;

    if (!h->may_redirect || !field(h, "Location"))
        return false;
    if (keeps_method)
        return !(h->with_body && h->call->body_pull);
    return h->status == 301 || h->status == 302 || h->status == 303;
}

/* 0 to go on. */
static int on_head_done(struct hop *h) {
    char *ip = NULL;
    int rc = 0;

    parse_head(h);
    if (curl_easy_getinfo(h->t.easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip)
        strncat(h->ip, ip, sizeof(h->ip) - 1);
    h->redirecting = is_redirect(h);
    if (!h->call->keep_encoding && field(h, "Content-Encoding")) {
        drop_fields(h, "Content-Encoding");
        drop_fields(h, "Content-Length");
    }
    if (!h->redirecting && h->call->on_head)
        rc = h->call->on_head(h->call->on_ctx, h->status, h->fields, h->fields_len);
    h->ended_by_receiver = rc != 0;
    h->head_done = true;
    if (h->streaming)
        http_transfer_tell(&h->t);
    return rc;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx) {
    struct hop *h = ctx;
    size_t len = size * count, text = len;

    if (h->head_done)
        return len; /* trailers */
    while (text > 0 && (line[text - 1] == '\r' || line[text - 1] == '\n'))
        text--;
    if (text > 5 && strncasecmp(line, "HTTP/", 5) == 0 && h->head.len == 0) {
        const char *space = memchr(line, ' ', text);

        h->status = space ? atoi(space) : 0;
        return len;
    }
    if (text == 0) {
        if (h->status >= 200 || h->status == 101)
            return on_head_done(h) == 0 ? len : 0;
        buf_clear(&h->head);
        return len;
    }
    if (h->head.len + text > MAX_HEAD_BYTES || memchr(line, '\0', text)) {
        h->too_large = true;
        return 0;
    }
    buf_add(&h->head, line, text);
    buf_add(&h->head, "", 1);
    return len;
}

static size_t on_stream_data(struct hop *h, const char *data, size_t len) {
    size_t held;

    pthread_mutex_lock(&h->mu);
    held = h->body.len - h->read_off;
    if (held >= STREAM_HIGH) {
        h->paused = true;
        pthread_mutex_unlock(&h->mu);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (held == 0) {
        buf_clear(&h->body);
        h->read_off = 0;
    } else if (h->read_off >= STREAM_HIGH) {
        memmove(h->body.data, h->body.data + h->read_off, held);
        h->body.len = held;
        h->read_off = 0;
    }
    buf_add(&h->body, data, len);
    h->received += len;
    pthread_mutex_unlock(&h->mu);
    http_transfer_tell(&h->t);
    return len;
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx) {
    struct hop *h = ctx;
    size_t len = size * count;
    size_t max = h->call->max_answer_bytes;

    if (len > max - h->received) {
        h->too_large = !h->redirecting;
        return 0;
    }
    if (h->streaming && !h->redirecting)
        return on_stream_data(h, data, len);
    h->received += len;
    if (h->redirecting)
        return len;
    if (h->call->on_body) {
        if (h->call->on_body(h->call->on_ctx, data, len) == 0)
            return len;
        h->ended_by_receiver = true;
        return 0;
    }
    buf_add(&h->body, data, len);
    return len;
}

static size_t on_read(char *out, size_t size, size_t count, void *ctx) {
    struct hop *h = ctx;
    size_t n = 0;

    if (h->call->body_pull(h->call->body_ctx, out, size * count, &n) != 0) {
        h->ended_by_receiver = true;
        return CURL_READFUNC_ABORT;
    }
    return n;
}

/* ---- preparing a hop ---- */

static bool is_token(const char *s) {
    size_t n = strlen(s);

    return n > 0 && n <= 1000 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789!#$%&'*+-.^_`|~") == n;
}

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

static const char *given_header(const struct http_call *call, const char *name) {
    for (size_t i = 0; i < call->headers_len; i++)
        if (strcasecmp(call->headers[i].name, name) == 0)
            return call->headers[i].value;
    return NULL;
}

static int check_call(const struct http_call *call, struct status *st) {
    if (!is_token(call->method))
        return st_fail(st, ST_BAD_REQUEST, NULL, "The request method is not valid");
    for (size_t i = 0; i < call->headers_len; i++) {
        const struct http_header *f = &call->headers[i];

        if (!is_token(f->name))
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "A request header has no valid name");
        for (const char *p = f->value; *p; p++)
            if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
                return st_fail(st, ST_BAD_REQUEST, NULL,
                               "The value of the request header %s holds a control "
                               "character",
                               f->name);
    }
    return 0;
}

static void add_line(struct hop *h, struct buf *line, const char *name,
                     const char *value) {
    struct curl_slist *list;

    buf_clear(line);
    buf_adds(line, name);
    if (value[strspn(value, " \t")]) {
        buf_adds(line, ": ");
        buf_adds(line, value);
    } else {
        buf_adds(line, ";"); /* libcurl's way to say: empty */
    }
    list = curl_slist_append(h->headers, line->data);
    if (!list)
        abort();
    h->headers = list;
}

static void add_request_headers(struct hop *h) {
    static const char *const ours[] = {
        "Content-Length",   "Transfer-Encoding", "Connection", "Expect",  "Keep-Alive",
        "Proxy-Connection", "Upgrade",           "TE",         "Trailer", NULL};
    static const char *const harmless[] = {"Accept",           "Accept-Language",
                                           "User-Agent",       "Content-Type",
                                           "Content-Language", NULL};
    const struct http_call *call = h->call;
    struct buf line = BUF_INIT;

    for (size_t i = 0; i < call->headers_len; i++) {
        const char *name = call->headers[i].name;

        if (is_one_of(name, ours) || (h->foreign && !is_one_of(name, harmless)) ||
            (!h->with_body && strcasecmp(name, "Content-Type") == 0))
            continue;
        add_line(h, &line, name, call->headers[i].value);
    }
    buf_fini(&line);
    h->headers = curl_slist_append(h->headers, "Expect:");
    if (!given_header(call, "Content-Type"))
        h->headers = curl_slist_append(h->headers, "Content-Type:");
}

#define SET(opt, value)                                                                  \
    do {                                                                                 \
        CURLcode set_rc_ = curl_easy_setopt(h->t.easy, opt, value);                      \
        assert(set_rc_ == CURLE_OK || set_rc_ == CURLE_OUT_OF_MEMORY);                   \
    } while (0)

static void set_body(struct hop *h) {
    const struct http_call *call = h->call;
    bool pulls = h->with_body && call->body_pull;
    bool wants_length = strcmp(h->method, "POST") == 0 || strcmp(h->method, "PUT") == 0 ||
                        strcmp(h->method, "PATCH") == 0;

    if (strcmp(h->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return;
    }
    if (pulls) {
        const char *length = given_header(call, "Content-Length");

        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, h);
        if (length)
            SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)strtoll(length, NULL, 10));
    } else if ((h->with_body && call->body.len > 0) || wants_length) {
        bool has = h->with_body && call->body.len > 0;

        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, has ? call->body.data : "");
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(has ? call->body.len : 0));
    }
    SET(CURLOPT_CUSTOMREQUEST, h->method);
}

static void set_options(struct hop *h, int64_t left_ms) {
    const struct http_client *c = h->client;
    const struct http_call *call = h->call;
    long connect_ms = call->connect_timeout_ms ? call->connect_timeout_ms : 10000;

    SET(CURLOPT_PRIVATE, (char *)&h->t);
    SET(CURLOPT_CURLU, h->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SHARE, c->share);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)left_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_ms < left_ms ? connect_ms : (long)left_ms);
    if (call->stall_timeout_ms) {
        SET(CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_PER_S);
        SET(CURLOPT_LOW_SPEED_TIME, (call->stall_timeout_ms + 999L) / 1000);
    }
    SET(CURLOPT_ERRORBUFFER, h->error);
    SET(CURLOPT_HTTPHEADER, h->headers);
    SET(CURLOPT_USERAGENT, c->o.user_agent);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, h);
    SET(CURLOPT_WRITEFUNCTION, on_data);
    SET(CURLOPT_WRITEDATA, h);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, h);
    if (!h->lane) {
        SET(CURLOPT_CLOSESOCKETFUNCTION, http_loop_close_socket);
        SET(CURLOPT_CLOSESOCKETDATA, c->loop);
    }
    if (c->o.ca_file)
        SET(CURLOPT_CAINFO, c->o.ca_file);
    if (!call->keep_encoding)
        SET(CURLOPT_ACCEPT_ENCODING, "");
    /* "" also keeps libcurl from reading the environment. */
    SET(CURLOPT_PROXY, h->proxy ? h->proxy : "");
    SET(CURLOPT_NOPROXY, "");
    set_body(h);
}

/* Bytes that must not stand in a request line, behind the authority, get escaped. */
static const char *escape_url(struct arena *a, const char *url) {
    const char *p = strstr(url, "://");
    size_t extra = 0;
    char *out, *q;

    if (!p)
        return url;
    p += 3 + strcspn(p + 3, "/?#");
    for (const char *s = p; *s; s++)
        extra += (unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f;
    if (!extra)
        return url;
    out = arena_alloc(a, strlen(url) + 2 * extra + 1);
    memcpy(out, url, (size_t)(p - url));
    q = out + (p - url);
    for (; *p; p++) {
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) {
            *q++ = '%';
            *q++ = "0123456789ABCDEF"[(unsigned char)*p >> 4];
            *q++ = "0123456789ABCDEF"[*p & 15];
        } else {
            *q++ = *p;
        }
    }
    *q = '\0';
    return out;
}

/* Host of a URL without brackets; curl_free. NULL when there is none. */
static char *host_of(CURLU *u) {
    char *host = NULL;

    if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return NULL;
    if (*host == '[') {
        host[strcspn(host, "]%")] = '\0';
        memmove(host, host + 1, strlen(host));
    }
    return host;
}

/* Whether the operator's list excepts the host, or a domain above it, from the proxy. */
static bool goes_direct(const struct hop *h) {
    const struct address_list *list = h->client->no_proxy;

    if (http_address_list_has_text(list, h->host))
        return true;
    for (const char *p = h->host; p; p = (p = strchr(p, '.')) ? p + 1 : NULL)
        if (http_address_list_has_name(list, p))
            return true;
    return false;
}

static int parse_url(struct hop *h, struct arena *a, const char *url, struct status *st) {
    char *scheme = NULL, *port = NULL;
    CURLUcode rc;

    h->url = curl_url();
    if (!h->url)
        abort();
    rc = curl_url_set(h->url, CURLUPART_URL, escape_url(a, url),
                      CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME);
    if (rc != CURLUE_OK || curl_url_get(h->url, CURLUPART_SCHEME, &scheme, 0))
        return st_fail(st, ST_BAD_REQUEST, NULL, "The request URL is not valid");
    if (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0) {
        st_fail(st, ST_BAD_REQUEST, "address_not_allowed",
                "Requests use http or https, not %s", scheme);
        curl_free(scheme);
        return -1;
    }
    if (!(h->host = host_of(h->url)) || !*h->host) {
        curl_free(scheme);
        return st_fail(st, ST_BAD_REQUEST, NULL, "The request URL has no host");
    }
    if (h->call->proxy_uri)
        h->proxy = h->call->proxy_uri;
    else if (h->t.reach == HTTP_REACH_PUBLIC && !goes_direct(h))
        h->proxy = strcasecmp(scheme, "https") == 0 ? h->client->o.https_proxy_uri
                                                    : h->client->o.http_proxy_uri;
    curl_free(scheme);
    if (curl_url_get(h->url, CURLUPART_PORT, &port, 0) == CURLUE_OK)
        h->where = arena_printf(a, "%s:%s", h->host, port);
    else
        h->where = arena_strdup(a, h->host);
    curl_free(port);
    return 0;
}

static int check_proxy(struct hop *h, struct arena *a, struct status *st) {
    CURLU *u;
    char *host;

    if (!h->call->proxy_uri)
        return 0;
    if (strncasecmp(h->proxy, "http://", 7) != 0 &&
        strncasecmp(h->proxy, "https://", 8) != 0)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "The proxy must be an http or https URL");
    u = curl_url();
    host =
        u && curl_url_set(u, CURLUPART_URL, h->proxy, 0) == CURLUE_OK ? host_of(u) : NULL;
    if (host)
        h->proxy_host = arena_strdup(a, host);
    curl_free(host);
    curl_url_cleanup(u);
    return h->proxy_host
               ? 0
               : st_fail(st, ST_BAD_REQUEST, NULL, "The proxy URL is not valid");
}

/* With a buffer of our size: a handle that still has one of an earlier call, as after a
 * failed resolution, refuses it and is not used again. */
static CURL *take_handle(struct http_client *c) {
    CURL *easy = NULL;

    pthread_mutex_lock(&c->mu);
    if (c->spare_len > 0)
        easy = c->spare[--c->spare_len];
    pthread_mutex_unlock(&c->mu);
    if (easy && curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, LOOP_BUFFER_BYTES) == CURLE_OK)
        return easy;
    curl_easy_cleanup(easy);
    easy = curl_easy_init();
    if (!easy ||
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, LOOP_BUFFER_BYTES) != CURLE_OK)
        abort();
    return easy;
}

static void give_handle(struct http_client *c, CURL *easy) {
    curl_easy_reset(easy);
    pthread_mutex_lock(&c->mu);
    if (c->spare_len < SPARE_HANDLES) {
        c->spare[c->spare_len++] = easy;
        easy = NULL;
    }
    pthread_mutex_unlock(&c->mu);
    if (easy)
        curl_easy_cleanup(easy);
}

static void hop_free(struct hop *h) {
    if (h->lane)
        http_lanes_give(h->client->lanes, h->lane);
    else if (h->t.easy)
        give_handle(h->client, h->t.easy);
    curl_slist_free_all(h->headers);
    curl_url_cleanup(h->url);
    curl_free(h->host);
    buf_fini(&h->head);
    buf_fini(&h->body);
    free(h->fields);
    pthread_mutex_destroy(&h->mu);
    free(h);
}

/* ---- the course of a call ---- */

struct course {
    struct http_client *client;
    struct arena *arena;
    struct http_call call; /* with defaults filled in */
    const char *method, *url;
    bool with_body, foreign, streaming;
    int hops_left;
    int64_t start_us, deadline_us;
};

static int64_t now_us(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int timed_out(const struct course *k, const char *where, struct status *st) {
    return st_fail(st, ST_CONNECTION, "timeout", "%s did not answer within %d ms", where,
                   k->call.timeout_ms);
}

/* Gives a hop that is on its way, or with a lane: about to be run. */
static int start_hop(struct course *k, struct hop **ret_hop, struct status *st) {
    struct hop *h = calloc(1, sizeof(*h));
    int64_t left_ms = (k->deadline_us - now_us()) / 1000;

    if (!h)
        abort();
    pthread_mutex_init(&h->mu, NULL);
    h->client = k->client;
    h->call = &k->call;
    h->method = k->method;
    h->with_body = k->with_body;
    h->foreign = k->foreign;
    h->streaming = k->streaming;
    h->may_redirect = k->hops_left > 0;
    h->t.reach = k->call.reach;
    if (parse_url(h, k->arena, k->url, st) < 0 || check_proxy(h, k->arena, st) < 0) {
        hop_free(h);
        return -1;
    }
    if (h->proxy && h->t.reach == HTTP_REACH_PUBLIC && is_local_name(h)) {
        not_allowed(st, h->where);
        hop_free(h);
        return -1;
    }
    if (left_ms <= 0) {
        timed_out(k, h->where, st);
        hop_free(h);
        return -1;
    }
    add_request_headers(h);
    if (h->client->lanes && !k->streaming && !k->call.cancel)
        h->lane = http_lanes_take(h->client->lanes, h->t.reach, h->where);
    h->t.easy = h->lane ? h->lane->easy : take_handle(h->client);
    set_options(h, left_ms);
    if (!h->lane)
        http_loop_post(h->client->loop, &h->t, TRANSFER_START);
    *ret_hop = h;
    return 0;
}

static int network_error(const struct hop *h, struct status *st) {
    const char *where = h->where;
    long os_error = 0;

    curl_easy_getinfo(h->t.easy, CURLINFO_OS_ERRNO, &os_error);
    switch (h->t.result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return st_fail(st, ST_CONNECTION, "network_error", "Can't find the address of %s",
                       where);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return st_fail(st, ST_CONNECTION, "network_error",
                       "Can't find the address of the proxy");
    case CURLE_COULDNT_CONNECT:
        return st_fail(st, ST_CONNECTION, "network_error", "Can't connect to %s: %s",
                       h->proxy ? "the proxy" : where,
                       os_error ? strerror((int)os_error) : "no address answers");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
        return st_fail(st, ST_CONNECTION, "network_error",
                       "No trusted TLS connection to %s: %s", where,
                       *h->error ? h->error : curl_easy_strerror(h->t.result));
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return st_fail(st, ST_CONNECTION, "network_error",
                       "%s closed the connection before its answer was complete", where);
    case CURLE_BAD_CONTENT_ENCODING:
        return st_fail(st, ST_CONNECTION, "network_error",
                       "The compressed answer of %s is broken", where);
    case CURLE_ABORTED_BY_CALLBACK:
        return st_fail(st, ST_CONNECTION, "network_error", "The call was given up");
    default:
        return st_fail(st, ST_CONNECTION, "network_error", "The call to %s failed: %s",
                       where, curl_easy_strerror(h->t.result));
    }
}

/* What became of a finished hop. */
static int hop_result(const struct course *k, const struct hop *h, struct status *st) {
    if (h->t.result == CURLE_OK || (h->redirecting && h->head_done))
        return 0;
    if (h->too_large)
        return st_fail(st, ST_CONNECTION, "answer_too_large",
                       "%s answered with more than %zu bytes", h->where,
                       k->call.max_answer_bytes);
    if (h->ended_by_receiver)
        return st_fail(st, ST_CONNECTION, "network_error",
                       "The call to %s was ended by its caller", h->where);
    if (*h->refused && !h->head_done)
        return not_allowed(st, h->where);
    if (h->t.result == CURLE_OPERATION_TIMEDOUT)
        return timed_out(k, h->where, st);
    return network_error(h, st);
}

static char *part_of(CURLU *u, CURLUPart part) {
    char *text = NULL;

    curl_url_get(u, part, &text, CURLU_DEFAULT_PORT);
    return text;
}

static bool same_part(CURLU *x, CURLU *y, CURLUPart part) {
    char *a = part_of(x, part), *b = part_of(y, part);
    bool same = a && b && strcasecmp(a, b) == 0;

    curl_free(a);
    curl_free(b);
    return same;
}

/* Turns the course to the hop's Location. */
static int follow(struct course *k, const struct hop *h, struct status *st) {
    CURLU *next = curl_url_dup(h->url);
    char *url = NULL;
    CURLUcode rc =
        curl_url_set(next, CURLUPART_URL, escape_url(k->arena, field(h, "Location")),
                     CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME);

    if (rc == CURLUE_OK)
        rc = curl_url_get(next, CURLUPART_URL, &url, 0);
    if (rc == CURLUE_OK) {
        if (!same_part(next, h->url, CURLUPART_SCHEME) ||
            !same_part(next, h->url, CURLUPART_HOST) ||
            !same_part(next, h->url, CURLUPART_PORT))
            k->foreign = true;
        k->url = arena_strdup(k->arena, url);
        k->hops_left--;
        if (h->status == 303 ? strcmp(k->method, "HEAD") != 0
                             : h->status < 303 && strcmp(k->method, "POST") == 0) {
            k->method = "GET";
            k->with_body = false;
        }
    }
    curl_free(url);
    curl_url_cleanup(next);
    return rc == CURLUE_OK
               ? 0
               : st_fail(st, ST_CONNECTION, "network_error",
                         "%s redirects to an address that is not valid", h->where);
}

static int begin(struct course *k, struct http_client *c, struct arena *a,
                 const struct http_call *call, struct status *st) {
    *k = (struct course){.client = c, .arena = a, .call = *call, .start_us = now_us()};
    if (k->call.timeout_ms <= 0)
        k->call.timeout_ms = 60000;
    if (k->call.max_answer_bytes == 0)
        k->call.max_answer_bytes = (size_t)30 * 1024 * 1024;
    k->method = call->method;
    k->url = call->url;
    k->with_body = true;
    k->hops_left = call->max_redirects;
    k->deadline_us = k->start_us + (int64_t)k->call.timeout_ms * 1000;
    return check_call(call, st);
}

static void take_answer(struct course *k, struct hop *h, struct http_answer *answer) {
    struct http_header *fields =
        arena_alloc(k->arena, (h->fields_len + 1) * sizeof(*fields));

    for (size_t i = 0; i < h->fields_len; i++) {
        fields[i].name = arena_strdup(k->arena, h->fields[i].name);
        fields[i].value = arena_strdup(k->arena, h->fields[i].value);
    }
    *answer = (struct http_answer){.status = h->status,
                                   .headers = fields,
                                   .headers_len = h->fields_len,
                                   .duration_us = now_us() - k->start_us,
                                   .remote_ip = arena_strdup(k->arena, h->ip),
                                   .url = k->url};
}

/* -1: the caller's flag came first; the transfer is over all the same. */
static int wait_for_answer(struct course *k, struct hop *h, struct status *st) {
    const _Atomic int *cancel = k->call.cancel;

    if (h->lane) {
        h->t.result = http_lane_run(h->lane);
        return 0;
    }
    if (!cancel)
        http_transfer_wait(&h->t);
    while (!http_transfer_is_done(&h->t)) {
        if (atomic_load(cancel)) {
            http_transfer_cancel(k->client->loop, &h->t);
            return st_fail(st, ST_CONNECTION, "cancelled", "The call was cancelled");
        }
        http_transfer_wait_ms(&h->t, CANCEL_CHECK_MS);
    }
    return 0;
}

int http_client_call(struct http_client *c, struct arena *a, const struct http_call *call,
                     struct http_answer *ret_answer, struct status *st) {
    struct course k;
    struct hop *h;
    bool again;
    int rc;

    if (begin(&k, c, a, call, st) < 0)
        return -1;
    do {
        if (start_hop(&k, &h, st) < 0)
            return -1;
        rc = wait_for_answer(&k, h, st) < 0 ? -1 : hop_result(&k, h, st);
        again = rc == 0 && h->redirecting;
        if (again) {
            rc = follow(&k, h, st);
        } else if (rc == 0) {
            take_answer(&k, h, ret_answer);
            ret_answer->body =
                (struct bytes){h->body.data ? h->body.data : "", h->body.len};
            if (h->body.data)
                arena_defer(a, free, h->body.data);
            h->body = (struct buf)BUF_INIT;
        }
        hop_free(h);
    } while (again && rc == 0);
    return rc;
}

const char *http_answer_header(const struct http_answer *answer, const char *name) {
    for (size_t i = 0; i < answer->headers_len; i++)
        if (strcasecmp(answer->headers[i].name, name) == 0)
            return answer->headers[i].value;
    return NULL;
}

/* ---- streams ---- */

struct http_stream {
    struct course course;
    struct hop *hop;
};

static void wait_for_head(struct hop *h) {
    uint32_t seen = atomic_load(&h->t.state);

    while (!(seen & TRANSFER_DONE) && !(h->head_done && !h->redirecting)) {
        http_transfer_wait_news(&h->t, seen);
        seen = atomic_load(&h->t.state);
    }
}

int http_stream_open(struct http_client *c, struct arena *a, const struct http_call *call,
                     struct http_answer *ret_answer, struct http_stream **ret_stream,
                     struct status *st) {
    struct http_stream *s;
    struct hop *h;

    assert(!call->on_head && !call->on_body);
    s = arena_zalloc(a, sizeof(*s));
    if (begin(&s->course, c, a, call, st) < 0)
        return -1;
    s->course.streaming = true;
    for (;;) {
        int rc;

        if (start_hop(&s->course, &h, st) < 0)
            return -1;
        wait_for_head(h);
        if (h->head_done && !h->redirecting)
            break;
        rc = hop_result(&s->course, h, st);
        if (rc == 0)
            rc = follow(&s->course, h, st);
        hop_free(h);
        if (rc < 0)
            return -1;
    }
    s->hop = h;
    take_answer(&s->course, h, ret_answer);
    *ret_stream = s;
    return 0;
}

int http_stream_pull(void *stream, char *buf, size_t max, size_t *ret_len,
                     struct status *st) {
    struct http_stream *s = stream;
    struct hop *h = s->hop;
    bool unpause = false;
    size_t held, n;
    uint32_t seen;

    for (;;) {
        seen = atomic_load(&h->t.state);
        pthread_mutex_lock(&h->mu);
        held = h->body.len - h->read_off;
        if (held > 0 || seen & TRANSFER_DONE)
            break;
        pthread_mutex_unlock(&h->mu);
        http_transfer_wait_news(&h->t, seen);
    }
    n = held < max ? held : max;
    if (n > 0)
        memcpy(buf, h->body.data + h->read_off, n);
    h->read_off += n;
    if (h->paused && held - n < STREAM_LOW) {
        h->paused = false;
        unpause = true;
    }
    pthread_mutex_unlock(&h->mu);
    if (unpause)
        http_loop_post(h->client->loop, &h->t, TRANSFER_UNPAUSE);
    if (n == 0 && hop_result(&s->course, h, st) < 0)
        return -1;
    *ret_len = n;
    return 0;
}

void http_stream_close(void *stream) {
    struct http_stream *s = stream;

    http_transfer_cancel(s->hop->client->loop, &s->hop->t);
    hop_free(s->hop);
    s->hop = NULL;
}

/* ---- life of the client ---- */

static void global_init(void) {
    curl_global_init(CURL_GLOBAL_ALL);
}

static void lock_share(CURL *easy, curl_lock_data data, curl_lock_access access,
                       void *ctx) {
    (void)easy, (void)data, (void)access;
    pthread_mutex_lock(&((struct http_client *)ctx)->share_mu);
}

static void unlock_share(CURL *easy, curl_lock_data data, void *ctx) {
    (void)easy, (void)data;
    pthread_mutex_unlock(&((struct http_client *)ctx)->share_mu);
}

static const char *copy_text(struct arena *a, const char *s) {
    return s && *s ? arena_strdup(a, s) : NULL;
}

int http_client_open(const struct http_client_options *o, struct http_client **ret_client,
                     struct status *st) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct arena *a = arena_new(0);
    struct http_client *c = arena_zalloc(a, sizeof(*c));

    pthread_once(&once, global_init);
    c->arena = a;
    c->o = *o;
    if (http_address_list_parse(a, o->private_allow, &c->allow, st) < 0 ||
        http_address_list_parse(a, o->no_proxy, &c->no_proxy, st) < 0) {
        arena_free(&a);
        return -1;
    }
    c->o.ca_file = copy_text(a, o->ca_file);
    c->o.user_agent =
        o->user_agent ? arena_strdup(a, o->user_agent) : "Membrane/" MEMBRANE_VERSION;
    c->o.http_proxy_uri = copy_text(a, o->http_proxy_uri);
    c->o.https_proxy_uri = copy_text(a, o->https_proxy_uri);
    pthread_mutex_init(&c->mu, NULL);
    pthread_mutex_init(&c->share_mu, NULL);
    c->share = curl_share_init();
    curl_share_setopt(c->share, CURLSHOPT_USERDATA, c);
    curl_share_setopt(c->share, CURLSHOPT_LOCKFUNC, lock_share);
    curl_share_setopt(c->share, CURLSHOPT_UNLOCKFUNC, unlock_share);
    curl_share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    c->loop = http_loop_new(o->max_connections ? o->max_connections : 6000,
                            o->max_connections_per_host);
    if (!o->max_connections_per_host)
        c->lanes = http_lanes_new();
    *ret_client = c;
    return 0;
}

void http_client_close(struct http_client **cp) {
    struct http_client *c = *cp;
    struct arena *a;

    if (!c)
        return;
    http_loop_free(&c->loop);
    http_lanes_free(&c->lanes);
    while (c->spare_len > 0)
        curl_easy_cleanup(c->spare[--c->spare_len]);
    curl_share_cleanup(c->share);
    pthread_mutex_destroy(&c->mu);
    pthread_mutex_destroy(&c->share_mu);
    a = c->arena;
    arena_free(&a);
    *cp = NULL;
}
