/*
 * blob.c - the public face: checks keys once, then asks the backend.
 */
#include "blob_priv.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_hash.h"

enum { PART_BYTES = 64 * 1024 };

const char *blob_bucket_name(enum blob_bucket bucket) {
    static const char *const names[] = {"tmp", "connectors", "static"};

    assert((int)bucket < BLOB_BUCKETS);
    return names[bucket];
}

bool blob_key_valid(const char *key) {
    size_t segment = 0;
    const char *p = key;

    for (; *p; p++) {
        if (*p == '/') {
            if (segment == 0)
                return false;
            segment = 0;
            continue;
        }
        if (!isascii((unsigned char)*p) ||
            (!isalnum((unsigned char)*p) && !strchr("._@=+ -", *p)))
            return false;
        if ((segment == 0 && *p == '.') || ++segment > BLOB_SEGMENT_MAX)
            return false;
    }
    return segment > 0 && p - key <= BLOB_KEY_MAX;
}

const char *blob_key_encode(struct arena *a, const char *key) {
    char *out = arena_alloc(a, strlen(key) * 3 + 1), *p = out;

    for (; *key; key++) {
        unsigned char c = (unsigned char)*key;

        if (isalnum(c) || strchr("-._~/", c)) {
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

static int check_key(const char *key, struct status *st) {
    if (blob_key_valid(key))
        return 0;
    return st_fail(st, ST_BAD_REQUEST, NULL, "The name of the object is not allowed.");
}

/* ---- Writing ---- */

struct whole {
    struct bytes rest;
};

static int pull_whole(void *ctx, char *buf, size_t max, size_t *ret_len,
                      struct status *st) {
    struct whole *w = ctx;
    size_t n = w->rest.len < max ? w->rest.len : max;

    (void)st;
    if (n)
        memcpy(buf, w->rest.data, n);
    w->rest.data += n;
    w->rest.len -= n;
    *ret_len = n;
    return 0;
}

int blob_put(struct blob *b, enum blob_bucket bucket, const char *key, struct bytes body,
             const char *content_type, struct status *st) {
    struct whole w = {body};
    struct blob_source source = {pull_whole, &w, &body};

    if (check_key(key, st) < 0)
        return -1;
    return b->ops->write(b, bucket, key, &source, content_type, st);
}

int blob_write(struct blob *b, enum blob_bucket bucket, const char *key,
               int (*pull)(void *ctx, char *buf, size_t max, size_t *ret_len,
                           struct status *st),
               void *ctx, const char *content_type, struct status *st) {
    struct blob_source source = {pull, ctx, NULL};

    if (check_key(key, st) < 0)
        return -1;
    return b->ops->write(b, bucket, key, &source, content_type, st);
}

/* ---- Reading ---- */

int blob_open_reader(struct blob *b, struct arena *a, enum blob_bucket bucket,
                     const char *key, struct blob_reader **ret_reader,
                     struct blob_info *ret_info, struct status *st) {
    struct blob_info info;
    int rc;

    if (check_key(key, st) < 0)
        return -1;
    rc = b->ops->open(b, a, bucket, key, ret_reader, &info, st);
    if (rc == 0 && ret_info)
        *ret_info = info;
    return rc;
}

int blob_reader_pull(void *reader, char *buf, size_t max, size_t *ret_len,
                     struct status *st) {
    struct blob_reader *r = reader;

    return r->pull(r, buf, max, ret_len, st);
}

void blob_reader_close(void *reader) {
    struct blob_reader *r = reader;

    if (r)
        r->close(r);
}

int blob_read(struct blob *b, enum blob_bucket bucket, const char *key,
              int (*sink)(void *ctx, struct bytes part, struct status *st), void *ctx,
              struct status *st) {
    struct arena *a = arena_new(PART_BYTES + 4096);
    char *part = arena_alloc(a, PART_BYTES);
    struct blob_reader *r = NULL;
    size_t n = 1;
    int rc = blob_open_reader(b, a, bucket, key, &r, NULL, st);

    while (rc == 0 && n > 0) {
        rc = r->pull(r, part, PART_BYTES, &n, st);
        if (rc == 0 && n > 0)
            rc = sink(ctx, (struct bytes){part, n}, st) ? -1 : 0;
    }
    blob_reader_close(r);
    arena_free(&a);
    return rc;
}

static int read_whole(struct blob_reader *r, struct arena *a, size_t size,
                      struct bytes *ret_body, struct status *st) {
    char *data = arena_alloc(a, size + 1), more;
    size_t len = 0, n = 1;

    while (len < size && n > 0) {
        if (r->pull(r, data + len, size - len, &n, st) < 0)
            return -1;
        len += n;
    }
    if (len == size && r->pull(r, &more, 1, &n, st) < 0)
        return -1;
    if (len < size || n > 0)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The object changed while it was read.");
    data[len] = '\0';
    *ret_body = (struct bytes){data, len};
    return 0;
}

int blob_get(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
             size_t max_bytes, struct bytes *ret_body, struct blob_info *ret_info,
             struct status *st) {
    struct blob_info info;
    struct blob_reader *r;
    int rc = blob_open_reader(b, a, bucket, key, &r, &info, st);

    if (rc)
        return rc;
    if (info.size_bytes > max_bytes)
        rc = st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                     "The object is larger than %zu bytes.", max_bytes);
    else
        rc = read_whole(r, a, (size_t)info.size_bytes, ret_body, st);
    blob_reader_close(r);
    if (rc == 0 && ret_info)
        *ret_info = info;
    return rc;
}

int blob_stat(struct blob *b, enum blob_bucket bucket, const char *key,
              struct blob_info *ret_info, struct arena *a, struct status *st) {
    if (check_key(key, st) < 0)
        return -1;
    return b->ops->stat(b, a, bucket, key, ret_info, st);
}

int blob_delete(struct blob *b, enum blob_bucket bucket, const char *key,
                struct status *st) {
    if (check_key(key, st) < 0)
        return -1;
    return b->ops->remove(b, bucket, key, st);
}

int blob_list(struct blob *b, struct arena *a, enum blob_bucket bucket,
              const char *prefix, size_t limit, const struct value **ret_keys,
              struct status *st) {
    size_t len = strlen(prefix);
    char *stem = arena_strdup(a, prefix);

    if (len > 0 && stem[len - 1] == '/')
        stem[len - 1] = '\0';
    if (len > 0 && check_key(stem, st) < 0)
        return -1;
    return b->ops->list(b, a, bucket, prefix, limit, ret_keys, st);
}

int blob_url(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
             int ttl_s, const char **ret_url, struct status *st) {
    if (check_key(key, st) < 0)
        return -1;
    if (ttl_s > BLOB_TTL_MAX_S)
        ttl_s = BLOB_TTL_MAX_S;
    return b->ops->url(b, a, bucket, key, ttl_s, ret_url, st);
}

static const char *signature_of(const struct blob *b, struct arena *a,
                                enum blob_bucket bucket, const char *key,
                                int64_t expires_s) {
    const char *text = arena_printf(a, "blob-url-1\n%s\n%s\n%lld",
                                    blob_bucket_name(bucket), key, (long long)expires_s);

    return crypto_hmac_sha256_hex(a, (struct bytes){b->secret, strlen(b->secret)},
                                  (struct bytes){text, strlen(text)});
}

const char *blob_signed_link(const struct blob *b, struct arena *a,
                             enum blob_bucket bucket, const char *key,
                             int64_t expires_s) {
    return arena_printf(a, "%s/files/%s/%s?expires=%lld&signature=%s", b->base_uri,
                        blob_bucket_name(bucket), blob_key_encode(a, key),
                        (long long)expires_s, signature_of(b, a, bucket, key, expires_s));
}

bool blob_check_signature(const struct blob *b, enum blob_bucket bucket, const char *key,
                          int64_t expires_s, const char *signature) {
    int64_t now_s = clock_now_ms(clock_system()) / 1000;
    struct arena *a;
    const char *right;
    bool same;

    if (!b->secret || !blob_key_valid(key) || expires_s <= now_s ||
        expires_s > now_s + BLOB_TTL_MAX_S)
        return false;
    a = arena_new(0);
    right = signature_of(b, a, bucket, key, expires_s);
    same = crypto_equal((struct bytes){right, strlen(right)},
                        (struct bytes){signature, strlen(signature)});
    arena_free(&a);
    return same;
}

int blob_ping(struct blob *b, struct status *st) {
    return b->ops->ping ? b->ops->ping(b, st) : 0;
}

int blob_describe(struct blob *b, struct arena *a, const char **ret_text,
                  struct status *st) {
    if (b->ops->describe)
        return b->ops->describe(b, a, ret_text, st);
    *ret_text = b->ops->scheme;
    return 0;
}

const char *blob_type_of_name(const char *key) {
    static const char *const types[][2] = {
        {".png", "image/png"},        {".svg", "image/svg+xml"},
        {".jpg", "image/jpeg"},       {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},        {".webp", "image/webp"},
        {".ico", "image/x-icon"},     {".json", "application/json"},
        {".zip", "application/zip"},  {".js", "text/javascript"},
        {".css", "text/css"},         {".html", "text/html"},
        {".txt", "text/plain"},       {".yml", "application/yaml"},
        {".yaml", "application/yaml"}};
    const char *dot = strrchr(key, '.');

    for (size_t i = 0; dot && i < sizeof(types) / sizeof(*types); i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return NULL;
}

void blob_close(struct blob **b) {
    if (*b)
        (*b)->ops->close(*b);
    *b = NULL;
}
