/*
 * blob_priv.h - what a backend of objects is.
 *
 * A const table of functions over its own struct, whose first member is struct blob. Keys
 * were checked by blob.c.
 */
#ifndef BLOB_BLOB_PRIV_H
#define BLOB_BLOB_PRIV_H

#include "blob.h"

typedef int blob_sink(void *ctx, struct bytes part, struct status *st);

/* What each function promises stands in blob.h. */
struct blob_ops {
    const char *scheme;
    int (*put)(struct blob *b, enum blob_bucket bucket, const char *key,
               struct bytes body, const char *content_type, struct status *st);
    /* ret_info (may be NULL, else a is given) is filled before the first part. */
    int (*read)(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
                blob_sink *sink, void *ctx, struct blob_info *ret_info,
                struct status *st);
    int (*stat)(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
                struct blob_info *ret_info, struct status *st);
    int (*remove)(struct blob *b, enum blob_bucket bucket, const char *key,
                  struct status *st);
    int (*list)(struct blob *b, struct arena *a, enum blob_bucket bucket,
                const char *prefix, size_t limit, const struct value **ret_keys,
                struct status *st);
    int (*url)(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
               int ttl_s, const char **ret_url, struct status *st);
    void (*close)(struct blob *b);
};

struct blob {
    const struct blob_ops *ops;
};

enum {
    BLOB_BUCKETS = 3,
    BLOB_KEY_MAX = 1024,     /* what object stores allow */
    BLOB_SEGMENT_MAX = 200,  /* leaves room for a temporary name */
    BLOB_TTL_MAX_S = 604800, /* seven days, the longest that object stores sign */
};

/* The key with everything but letters, digits, "-._~" and '/' as %XX. */
const char *blob_key_encode(struct arena *a, const char *key);

#endif
