/*
 * blob.c - the public face: checks keys once, then asks the backend.
 */
#include "blob_priv.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

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

int blob_put(struct blob *b, enum blob_bucket bucket, const char *key, struct bytes body,
             const char *content_type, struct status *st) {
    if (check_key(key, st) < 0)
        return -1;
    return b->ops->put(b, bucket, key, body, content_type, st);
}

int blob_read(struct blob *b, enum blob_bucket bucket, const char *key,
              int (*sink)(void *ctx, struct bytes part, struct status *st), void *ctx,
              struct status *st) {
    if (check_key(key, st) < 0)
        return -1;
    return b->ops->read(b, NULL, bucket, key, sink, ctx, NULL, st);
}

/* A body being gathered in the caller's arena. */
struct gather {
    struct arena *arena;
    struct blob_info info;
    size_t max_bytes, len;
    char *data;
};

static int gather_part(void *ctx, struct bytes part, struct status *st) {
    struct gather *g = ctx;

    if (g->info.size_bytes > g->max_bytes || part.len > g->info.size_bytes - g->len)
        return st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                       "The object is larger than %zu bytes.", g->max_bytes);
    if (!g->data)
        g->data = arena_alloc(g->arena, (size_t)g->info.size_bytes + 1);
    memcpy(g->data + g->len, part.data, part.len);
    g->len += part.len;
    return 0;
}

int blob_get(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
             size_t max_bytes, struct bytes *ret_body, struct blob_info *ret_info,
             struct status *st) {
    struct gather g = {.arena = a, .max_bytes = max_bytes};
    int rc;

    if (check_key(key, st) < 0)
        return -1;
    rc = b->ops->read(b, a, bucket, key, gather_part, &g, &g.info, st);
    if (rc)
        return rc;
    if (!g.data)
        g.data = arena_alloc(a, 1);
    g.data[g.len] = '\0';
    *ret_body = (struct bytes){g.data, g.len};
    if (ret_info)
        *ret_info = g.info;
    return 0;
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

void blob_close(struct blob **b) {
    if (*b)
        (*b)->ops->close(*b);
    *b = NULL;
}
