/*
 * blob_cloud.c - requests of object stores.
 *
 * Everything sent is safe to send again: puts and deletes by nature, parts by their
 * number. So one loop retries all of them; the pauses double, with full jitter, so that
 * the processes of a deployment don't come back in step after an outage. A read that
 * breaks off goes on at the byte where it stopped, for the same version of the object.
 */
#include "blob_cloud.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/evp.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "value/value.h"

enum {
    ATTEMPTS = 5,
    RETRY_BASE_MS = 100,
    RETRY_MAX_MS = 10 * 1000,
    STALL_MS = 20 * 1000,
    CONNECT_MS = 5 * 1000,
    PING_MS = 5 * 1000,
    REQUEST_MS = 10 * 60 * 1000, /* a part over a slow line; stalls end sooner */
    STREAM_MS = 24 * 3600 * 1000,
    MAX_RESUMES = 5, /* of a read, without a byte in between */
    MAX_FILE_BYTES = 1024 * 1024,
};

/* ---- Making ---- */

void cloud_init(struct cloud *c, const struct blob_cloud_options *o,
                const struct cloud_ops *ops, const struct blob_ops *blob_ops,
                credentials_fetch *fetch) {
    const struct config *config = o->config;

    c->arena = arena_new(0);
    c->o = *o;
    if (!c->o.attempts)
        c->o.attempts = ATTEMPTS;
    if (!c->o.retry_base_ms)
        c->o.retry_base_ms = RETRY_BASE_MS;
    if (!c->o.stall_timeout_ms)
        c->o.stall_timeout_ms = STALL_MS;
    c->ops = ops;
    c->base.ops = blob_ops;
    c->base.base_uri = config->base_uri;
    c->base.secret = config->secret;
    c->bucket[BLOB_TMP] = config->tmp_storage_bucket;
    c->bucket[BLOB_CONNECTORS] = config->connectors_storage_bucket;
    c->bucket[BLOB_STATIC] = config->static_storage_bucket;
    c->credentials = credentials_cache_new(fetch, c, o->clock, o->rand);
}

void cloud_fini(struct cloud *c) {
    credentials_cache_free(&c->credentials);
    arena_free(&c->arena);
}

int blob_open_cloud(const struct blob_cloud_options *o, struct blob **ret_blob,
                    struct status *st) {
    const char *provider = o->config->storage_provider;

    if (!strcmp(provider, "abs"))
        return blob_open_abs(o, ret_blob, st);
    if (!strcmp(provider, "gcs"))
        return blob_open_gcs(o, ret_blob, st);
    return blob_open_s3(o, ret_blob, st);
}

void cloud_param(struct cloud_request *rq, const char *name, const char *value) {
    assert(rq->params_len < CLOUD_MAX_FIELDS);
    rq->params[rq->params_len++] = (struct http_header){name, value};
}

void cloud_header(struct cloud_request *rq, const char *name, const char *value) {
    assert(rq->headers_len < CLOUD_MAX_FIELDS);
    rq->headers[rq->headers_len++] = (struct http_header){name, value};
}

const char *cloud_encode(struct arena *a, const char *text, bool keep_slash) {
    char *out = arena_alloc(a, strlen(text) * 3 + 1), *p = out;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (isalnum(c) || strchr("-._~", c) || (keep_slash && c == '/')) {
            *p++ = (char)c;
        } else {
            *p++ = '%';
            *p++ = "0123456789ABCDEF"[c >> 4];
            *p++ = "0123456789ABCDEF"[c & 15];
        }
    }
    *p = '\0';
    return out;
}

static int by_name(const void *x, const void *y) {
    const struct http_header *f = x, *g = y;
    int rc = strcmp(f->name, g->name);

    return rc ? rc : strcmp(f->value, g->value);
}

const char *cloud_query(struct arena *a, const struct cloud_request *rq) {
    struct http_header sorted[CLOUD_MAX_FIELDS];
    struct buf b = BUF_INIT;
    const char *out;

    for (size_t i = 0; i < rq->params_len; i++)
        sorted[i] = (struct http_header){cloud_encode(a, rq->params[i].name, false),
                                         cloud_encode(a, rq->params[i].value, false)};
    qsort(sorted, rq->params_len, sizeof(*sorted), by_name);
    for (size_t i = 0; i < rq->params_len; i++)
        buf_addf(&b, "%s%s=%s", i ? "&" : "", sorted[i].name, sorted[i].value);
    out = arena_memdup(a, b.data ? b.data : "", b.len);
    buf_fini(&b);
    return out;
}

void cloud_split(struct arena *a, const char *url, const char **ret_origin,
                 const char **ret_path) {
    const char *host = strstr(url, "://");
    size_t origin, path;

    host = host ? host + 3 : url;
    origin = (size_t)(host - url) + strcspn(host, "/?#");
    path = strcspn(url + origin, "?#");
    *ret_origin = arena_memdup(a, url, origin);
    while (path && url[origin + path - 1] == '/')
        path--;
    *ret_path = arena_memdup(a, url + origin, path);
}

/* ---- Sending ---- */

static const char *url_of(struct arena *a, const struct cloud_request *rq) {
    const char *query = cloud_query(a, rq);

    return arena_printf(a, "%s%s%s%s", rq->origin, rq->path, *query ? "?" : "", query);
}

static struct http_call call_of(const struct cloud *c, struct arena *a,
                                const struct cloud_request *rq) {
    return (struct http_call){
        .method = rq->method,
        .url = url_of(a, rq),
        .headers = rq->headers,
        .headers_len = rq->headers_len,
        .body = rq->body,
        .reach = HTTP_REACH_ANY,
        .timeout_ms = rq->timeout_ms ? rq->timeout_ms : REQUEST_MS,
        .stall_timeout_ms = c->o.stall_timeout_ms,
        .connect_timeout_ms = CONNECT_MS,
        .max_answer_bytes = CLOUD_MAX_ANSWER_BYTES,
        .keep_encoding = true,
    };
}

static bool may_pass(int status) {
    return status == 408 || status == 429 || status >= 500;
}

static bool contains(struct bytes body, const char *word) {
    return body.len && memmem(body.data, body.len, word, strlen(word));
}

/* Did the answer say that what proved who asks has ended? */
static bool has_expired(const struct cloud_request *rq,
                        const struct http_answer *answer) {
    if (!rq->used.expires_ms)
        return false;
    if (answer->status == 401)
        return true;
    if (answer->status != 400 && answer->status != 403)
        return false;
    return strcmp(rq->method, "HEAD") == 0 || contains(answer->body, "ExpiredToken") ||
           contains(answer->body, "InvalidToken") ||
           contains(answer->body, "TokenRefreshRequired");
}

/* Full jitter over a span that doubles; at least what the peer asked for. */
static void pause_before(struct cloud *c, int attempt, const struct http_answer *answer) {
    const char *after = answer ? http_answer_header(answer, "Retry-After") : NULL;
    int64_t span = (int64_t)c->o.retry_base_ms << (attempt < 10 ? attempt : 10), ms;
    struct timespec t;
    uint32_t random;

    if (span > RETRY_MAX_MS)
        span = RETRY_MAX_MS;
    c->o.rand->fill(c->o.rand, &random, sizeof(random));
    ms = span / 2 + random % (span + 1);
    if (after && isdigit((unsigned char)*after)) {
        int64_t asked = strtol(after, NULL, 10) * 1000;

        if (asked > ms)
            ms = asked < RETRY_MAX_MS ? asked : RETRY_MAX_MS;
    }
    t = (struct timespec){ms / 1000, (ms % 1000) * 1000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static int unreachable(const struct cloud *c, struct status *st) {
    const char *why = st->message;

    return st_fail(st, ST_INTERNAL, "unavailable", "%s can't be reached: %s",
                   c->ops->title, why);
}

int cloud_send(struct cloud *c, struct arena *a, const struct cloud_request *rq,
               struct http_answer *ret_answer, struct status *st) {
    int attempts = rq->attempts ? rq->attempts : c->o.attempts;
    bool renewed = false;

    for (int attempt = 0;; attempt++) {
        struct cloud_request signed_rq = *rq;
        struct http_call call;
        int rc;

        if (!rq->is_signed && c->ops->authorize(c, a, &signed_rq, st) < 0)
            return -1;
        call = call_of(c, a, &signed_rq);
        st_clear(st);
        rc = http_client_call(c->o.http, a, &call, ret_answer, st);
        if (rc == 0 && !renewed && has_expired(&signed_rq, ret_answer)) {
            credentials_drop(c->credentials, &signed_rq.used);
            renewed = true;
            continue;
        }
        if (rc == 0 && !may_pass(ret_answer->status))
            return 0;
        if (attempt + 1 >= attempts)
            return rc == 0 ? 0 : unreachable(c, st);
        pause_before(c, attempt, rc == 0 ? ret_answer : NULL);
    }
}

bool cloud_bucket_is_missing(struct cloud *c, struct arena *a,
                             const struct http_answer *answer) {
    const char *code = c->ops->error_code(a, answer);

    return answer->status == 404 && code && c->ops->is_missing_bucket(code);
}

int cloud_fail(struct cloud *c, struct arena *a, const struct http_answer *answer,
               const char *what, const char *key, struct status *st) {
    const char *code = c->ops->error_code(a, answer), *title = c->ops->title;
    const char *object = key ? arena_printf(a, " object \"%s\"", key) : "";

    if (!code)
        code = "";
    if (may_pass(answer->status))
        return st_fail(st, ST_INTERNAL, "unavailable", "%s%s failed: %s answers %d%s%s.",
                       what, object, title, answer->status, *code ? " " : "", code);
    if (answer->status == 401 || answer->status == 403)
        return st_fail(st, ST_INTERNAL, "storage_denied",
                       "%s%s failed: %s refuses the credentials or lacks the right "
                       "(%d%s%s).",
                       what, object, title, answer->status, *code ? " " : "", code);
    if (cloud_bucket_is_missing(c, a, answer))
        return st_fail(st, ST_INTERNAL, "storage_bucket_missing",
                       "%s%s failed: the bucket does not exist in %s.", what, object,
                       title);
    return st_fail(st, ST_INTERNAL, "storage_failed", "%s%s failed: %s answers %d%s%s.",
                   what, object, title, answer->status, *code ? " " : "", code);
}

int cloud_ask(struct cloud *c, struct arena *a, const struct http_call *call,
              int attempts, struct http_answer *ret_answer, struct status *st) {
    struct http_call copy = *call;
    int rc;

    copy.reach = HTTP_REACH_ANY;
    copy.max_answer_bytes = 1024 * 1024;
    if (!copy.timeout_ms)
        copy.timeout_ms = 20 * 1000;
    if (!copy.connect_timeout_ms)
        copy.connect_timeout_ms = CONNECT_MS;
    for (int attempt = 0;; attempt++) {
        st_clear(st);
        rc = http_client_call(c->o.http, a, &copy, ret_answer, st);
        if (rc == 0 && !may_pass(ret_answer->status))
            return 0;
        if (attempt + 1 >= attempts)
            break;
        pause_before(c, attempt, rc == 0 ? ret_answer : NULL);
    }
    return rc == 0 ? st_fail(st, ST_INTERNAL, "unavailable", "it answers %d",
                             ret_answer->status)
                   : -1;
}

/* ---- What answers say ---- */

void cloud_fill_info(struct arena *a, const struct http_answer *answer,
                     struct blob_info *ret) {
    const char *size = http_answer_header(answer, "Content-Length");
    const char *range = http_answer_header(answer, "Content-Range");
    const char *date = http_answer_header(answer, "Last-Modified");
    const char *type = http_answer_header(answer, "Content-Type");
    time_t t = date ? curl_getdate(date, NULL) : -1;

    if (range && strchr(range, '/'))
        size = strchr(range, '/') + 1;
    ret->size_bytes = size ? strtoull(size, NULL, 10) : 0;
    ret->modified_ms = t < 0 ? 0 : (int64_t)t * 1000;
    ret->content_type = type ? arena_strdup(a, type) : NULL;
}

int cloud_stat(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
               struct blob_info *ret_info, struct status *st) {
    struct cloud *c = (struct cloud *)b;
    struct cloud_request rq = {.method = "HEAD"};
    struct http_answer answer;

    c->ops->address(c, a, bucket, key, &rq);
    if (cloud_send(c, a, &rq, &answer, st) < 0)
        return -1;
    if (answer.status == 404 && !cloud_bucket_is_missing(c, a, &answer))
        return 1;
    if (answer.status != 200)
        return cloud_fail(c, a, &answer, "Looking at", key, st);
    cloud_fill_info(a, &answer, ret_info);
    return 0;
}

/* A GET, as the answer to a HEAD can't tell a missing bucket. Once and quickly: probes
 * ask again by themselves. */
int cloud_ping(struct blob *b, struct status *st) {
    struct cloud *c = (struct cloud *)b;
    struct arena *a = arena_new(0);
    struct cloud_request rq = {.method = "GET", .attempts = 1, .timeout_ms = PING_MS};
    struct http_answer answer;
    int rc;

    c->ops->address(c, a, BLOB_TMP, "membrane-readiness", &rq);
    rc = cloud_send(c, a, &rq, &answer, st);
    if (rc == 0 && answer.status != 200 &&
        (answer.status != 404 || cloud_bucket_is_missing(c, a, &answer)))
        rc = cloud_fail(c, a, &answer, "Looking for the bucket", NULL, st);
    arena_free(&a);
    return rc;
}

int cloud_describe(struct blob *b, struct arena *a, const char **ret_text,
                   struct status *st) {
    struct cloud *c = (struct cloud *)b;
    struct credentials k;

    if (credentials_get(c->credentials, a, &k, st) < 0)
        return -1;
    *ret_text = arena_printf(a, "%s with the credentials of %s (%s)", c->ops->title,
                             k.principal ? k.principal : "nobody", k.source);
    return 0;
}

/*
 * Static objects have an address for good, below BASE_STATIC_URI; where the credentials
 * can't sign, the API's own signed link stands in.
 */
int cloud_url(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
              int ttl_s, const char **ret_url, struct status *st) {
    struct cloud *c = (struct cloud *)b;
    int rc;

    if (bucket == BLOB_STATIC) {
        *ret_url = arena_printf(a, "%s/%s", c->o.config->base_static_uri,
                                blob_key_encode(a, key));
        return 0;
    }
    rc = c->ops->presign(c, a, bucket, key, ttl_s, ret_url, st);
    if (rc == 1)
        *ret_url =
            blob_signed_link(b, a, bucket, key, clock_now_ms(c->o.clock) / 1000 + ttl_s);
    return rc < 0 ? -1 : 0;
}

int cloud_list(struct blob *b, struct arena *a, enum blob_bucket bucket,
               const char *prefix, size_t limit, const struct value **ret_keys,
               struct status *st) {
    struct cloud *c = (struct cloud *)b;
    struct array_builder keys;
    const char *cursor = NULL;

    array_begin(&keys, a, 0);
    do {
        if (c->ops->list_page(c, a, bucket, prefix, limit, &keys, &cursor, st) < 0)
            return -1;
    } while (cursor && *cursor && keys.len < limit);
    *ret_keys = array_end(&keys);
    return 0;
}

/* ---- Reading ---- */

struct cloud_reader {
    struct blob_reader base; /* first */
    struct cloud *c;
    struct arena *arena;        /* as long as the reader */
    struct arena *stream_arena; /* as long as the stream */
    enum blob_bucket bucket;
    const char *key, *version; /* version NULL: the provider tells none */
    struct http_stream *stream;
    uint64_t size, offset;
    int failures; /* since the last byte */
};

static void end_stream(struct cloud_reader *r) {
    if (r->stream)
        http_stream_close(r->stream);
    r->stream = NULL;
}

/* The head of the stream's answer; a small body behind it when it is a failure. */
static void read_failure(struct cloud_reader *r, struct http_answer *answer) {
    enum { MAX = 16 * 1024 };
    char *text = arena_alloc(r->stream_arena, MAX + 1);
    size_t len = 0, n = 1;
    struct status ignored;

    st_init(&ignored, r->stream_arena);
    while (len < MAX && n > 0 &&
           http_stream_pull(r->stream, text + len, MAX - len, &n, &ignored) == 0)
        len += n;
    text[len] = '\0';
    answer->body = (struct bytes){text, len};
}

/* One attempt. 0 with an answer, -1 the connection failed. */
static int open_stream(struct cloud_reader *r, struct cloud_request *ret_rq,
                       struct http_answer *ret_answer, struct status *st) {
    struct cloud *c = r->c;
    struct arena *a = r->stream_arena;
    struct cloud_request *rq = ret_rq;
    struct http_call *call = arena_zalloc(a, sizeof(*call));

    *rq = (struct cloud_request){.method = "GET"};
    c->ops->address(c, a, r->bucket, r->key, rq);
    if (r->offset)
        cloud_header(rq, "Range",
                     arena_printf(a, "bytes=%llu-", (unsigned long long)r->offset));
    if (r->offset && r->version)
        c->ops->require_version(rq, r->version);
    if (c->ops->authorize(c, a, rq, st) < 0)
        return -2;
    *call = call_of(c, a, rq);
    call->max_answer_bytes = SIZE_MAX;
    call->timeout_ms = STREAM_MS;
    return http_stream_open(c->o.http, a, call, ret_answer, &r->stream, st) < 0 ? -1 : 0;
}

/*
 * (Re)opens at r->offset, trying again like cloud_send. 0 open, 1 absent, -1. The answer
 * lives until the next try.
 */
static int connect_reader(struct cloud_reader *r, struct http_answer *ret_answer,
                          struct status *st) {
    struct cloud *c = r->c;
    bool renewed = false;

    for (int attempt = 0;; attempt++) {
        struct cloud_request *rq;
        int rc;

        end_stream(r);
        arena_reset(r->stream_arena);
        rq = arena_alloc(r->stream_arena, sizeof(*rq));
        st_clear(st);
        rc = open_stream(r, rq, ret_answer, st);
        if (rc == -2)
            return -1;
        if (rc == 0 && ret_answer->status == (r->offset ? 206 : 200))
            return 0;
        if (rc == 0) {
            read_failure(r, ret_answer);
            end_stream(r);
        }
        if (rc == 0 && !renewed && has_expired(rq, ret_answer)) {
            credentials_drop(c->credentials, &rq->used);
            renewed = true;
            continue;
        }
        if (rc == 0 && !may_pass(ret_answer->status)) {
            if (ret_answer->status == 404 && !r->offset &&
                !cloud_bucket_is_missing(c, r->stream_arena, ret_answer))
                return 1;
            if (r->offset)
                return st_fail(st, ST_INTERNAL, "unavailable",
                               "Object \"%s\" changed while it was read.", r->key);
            return cloud_fail(c, r->stream_arena, ret_answer, "Reading", r->key, st);
        }
        if (attempt + 1 >= c->o.attempts)
            return rc == 0
                       ? cloud_fail(c, r->stream_arena, ret_answer, "Reading", r->key, st)
                       : unreachable(c, st);
        pause_before(c, attempt, rc == 0 ? ret_answer : NULL);
    }
}

static int cloud_reader_pull(struct blob_reader *base, char *buf, size_t max,
                             size_t *ret_len, struct status *st) {
    struct cloud_reader *r = (struct cloud_reader *)base;
    struct http_answer answer;

    *ret_len = 0;
    while (r->offset < r->size && max > 0) {
        size_t n = 0;

        if (r->size - r->offset < max)
            max = (size_t)(r->size - r->offset);
        if (r->stream && http_stream_pull(r->stream, buf, max, &n, st) == 0 && n > 0) {
            r->offset += n;
            r->failures = 0;
            *ret_len = n;
            return 0;
        }
        /* It broke off, or ended early. */
        if (++r->failures > MAX_RESUMES)
            return st_fail(st, ST_INTERNAL, "unavailable",
                           "Reading object \"%s\" from %s broke off at byte %llu.",
                           r->key, r->c->ops->title, (unsigned long long)r->offset);
        if (r->failures > 1)
            pause_before(r->c, r->failures - 2, NULL);
        if (connect_reader(r, &answer, st) != 0)
            return -1;
    }
    return 0;
}

static void cloud_reader_close(struct blob_reader *base) {
    struct cloud_reader *r = (struct cloud_reader *)base;
    struct arena *a = r->arena;

    end_stream(r);
    arena_free(&r->stream_arena);
    arena_free(&a);
}

int cloud_open(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
               struct blob_reader **ret_reader, struct blob_info *ret_info,
               struct status *st) {
    struct arena *own = arena_new(0);
    struct cloud_reader *r = arena_zalloc(own, sizeof(*r));
    struct http_answer answer;
    const char *version;
    int rc;

    r->base = (struct blob_reader){cloud_reader_pull, cloud_reader_close};
    r->c = (struct cloud *)b;
    r->arena = own;
    r->stream_arena = arena_new(0);
    r->bucket = bucket;
    r->key = arena_strdup(own, key);
    rc = connect_reader(r, &answer, st);
    if (rc) {
        cloud_reader_close(&r->base);
        return rc;
    }
    cloud_fill_info(a, &answer, ret_info);
    r->size = ret_info->size_bytes;
    version = http_answer_header(&answer, r->c->ops->version_header);
    r->version = version ? arena_strdup(own, version) : NULL;
    *ret_reader = &r->base;
    return 0;
}

/* ---- Writing ---- */

/* Fills buf from the source up to max bytes; fewer only at its end. */
static int fill(const struct blob_source *source, char *buf, size_t max, size_t *len,
                struct status *st) {
    size_t n = 1;

    while (*len < max && n > 0) {
        if (source->pull(source->ctx, buf + *len, max - *len, &n, st) < 0)
            return -1;
        *len += n;
    }
    return 0;
}

static int send_part(struct cloud_upload *u, struct bytes body, bool is_last,
                     struct status *st) {
    if (u->parts == CLOUD_MAX_PARTS)
        return st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                       "The object is larger than %d parts.", (int)CLOUD_MAX_PARTS);
    u->parts++;
    if (u->c->ops->part(u, body, is_last, st) < 0)
        return -1;
    u->sent += body.len;
    return 0;
}

/* All bytes are at hand: the parts are cut out of them. */
static int write_whole(struct cloud_upload *u, struct bytes body, struct status *st) {
    size_t n;

    if (body.len <= CLOUD_PART_BYTES)
        return u->c->ops->put(u, body, st);
    if (u->c->ops->begin(u, st) < 0)
        return -1;
    for (; body.len > 0; body.data += n, body.len -= n) {
        n = body.len < CLOUD_PART_BYTES ? body.len : CLOUD_PART_BYTES;
        if (send_part(u, (struct bytes){body.data, n}, n == body.len, st) < 0)
            return -1;
    }
    return u->c->ops->finish(u, st);
}

/* One part in memory, and the byte behind it, which tells whether there are more. */
static int write_stream(struct cloud_upload *u, const struct blob_source *source,
                        char *part, struct status *st) {
    size_t len = 0;
    bool is_last;

    if (fill(source, part, CLOUD_PART_BYTES + 1, &len, st) < 0)
        return -1;
    if (len <= CLOUD_PART_BYTES)
        return u->c->ops->put(u, (struct bytes){part, len}, st);
    if (u->c->ops->begin(u, st) < 0)
        return -1;
    do {
        size_t n = len < CLOUD_PART_BYTES ? len : CLOUD_PART_BYTES;

        is_last = len <= CLOUD_PART_BYTES;
        if (send_part(u, (struct bytes){part, n}, is_last, st) < 0)
            return -1;
        memmove(part, part + n, len - n);
        len -= n;
        if (!is_last && fill(source, part, CLOUD_PART_BYTES + 1, &len, st) < 0)
            return -1;
    } while (!is_last);
    return u->c->ops->finish(u, st);
}

int cloud_write(struct blob *b, enum blob_bucket bucket, const char *key,
                const struct blob_source *source, const char *content_type,
                struct status *st) {
    struct buf notes = BUF_INIT;
    struct cloud_upload u = {
        .c = (struct cloud *)b,
        .arena = arena_new(0),
        .bucket = bucket,
        .key = key,
        .type = content_type             ? content_type
                : blob_type_of_name(key) ? blob_type_of_name(key)
                                         : "application/octet-stream",
        .notes = &notes,
    };
    char *part = NULL;
    int rc;

    if (source->whole) {
        rc = write_whole(&u, *source->whole, st);
    } else {
        if (!(part = malloc(CLOUD_PART_BYTES + 1)))
            abort();
        rc = write_stream(&u, source, part, st);
    }
    if (rc < 0 && u.id)
        u.c->ops->abandon(&u);
    free(part);
    buf_fini(&notes);
    arena_free(&u.arena);
    return rc;
}

/* ---- Small things ---- */

const char *cloud_http_date(struct arena *a, int64_t ms) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)(ms / 1000);
    struct tm tm;

    gmtime_r(&t, &tm);
    return arena_printf(a, "%s, %02d %s %d %02d:%02d:%02d GMT", days[tm.tm_wday],
                        tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
                        tm.tm_min, tm.tm_sec);
}

static struct tm utc(int64_t ms) {
    time_t t = (time_t)(ms / 1000);
    struct tm tm;

    gmtime_r(&t, &tm);
    return tm;
}

const char *cloud_iso_date(struct arena *a, int64_t ms) {
    struct tm tm = utc(ms);
    char text[32];

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return arena_strdup(a, text);
}

const char *cloud_basic_date(struct arena *a, int64_t ms) {
    struct tm tm = utc(ms);
    char text[32];

    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
    return arena_strdup(a, text);
}

int64_t cloud_parse_iso_date(const char *text) {
    struct tm tm = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    if (!end)
        return -1;
    return (int64_t)timegm(&tm) * 1000;
}

int cloud_read_file(struct arena *a, const char *path, const char **ret_text,
                    struct status *st) {
    FILE *f = fopen(path, "re");
    char *text;
    size_t n;

    if (!f)
        return st_fail(st, ST_CONFIGURATION, "unreadable-file", "%s can't be read: %s",
                       path, strerror(errno));
    text = arena_alloc(a, MAX_FILE_BYTES + 1);
    n = fread(text, 1, MAX_FILE_BYTES, f);
    fclose(f);
    while (n && isspace((unsigned char)text[n - 1]))
        n--;
    text[n] = '\0';
    *ret_text = text;
    return 0;
}

const char *cloud_base64(struct arena *a, const void *data, size_t len) {
    unsigned char *out = arena_alloc(a, len * 4 / 3 + 5);

    assert(len < INT_MAX / 2);
    EVP_EncodeBlock(out, data, (int)len);
    return (const char *)out;
}

struct bytes cloud_unbase64(struct arena *a, const char *text) {
    size_t n = strlen(text);
    char *out = arena_alloc(a, n + 4);
    int len =
        n % 4 || n > 1024 * 1024
            ? -1
            : EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)n);

    if (len < 0)
        return (struct bytes){NULL, 0};
    for (size_t i = n; i > 0 && text[i - 1] == '='; i--)
        len--;
    return (struct bytes){out, (size_t)len};
}
