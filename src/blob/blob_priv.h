/*
 * blob_priv.h - what a backend of objects is.
 *
 * A const table of functions over its own struct, whose first member is struct blob. Keys
 * were checked by blob.c.
 */
#ifndef BLOB_BLOB_PRIV_H
#define BLOB_BLOB_PRIV_H

#include "blob.h"

/* Where the bytes of a put come from. */
struct blob_source {
    int (*pull)(void *ctx, char *buf, size_t max, size_t *ret_len, struct status *st);
    void *ctx;
    const struct bytes *whole; /* when all are at hand; or NULL */
};

/* First member of a backend's own. */
struct blob_reader {
    int (*pull)(struct blob_reader *r, char *buf, size_t max, size_t *ret_len,
                struct status *st);
    void (*close)(struct blob_reader *r);
};

/* What each function promises stands in blob.h. */
struct blob_ops {
    const char *scheme;
    int (*write)(struct blob *b, enum blob_bucket bucket, const char *key,
                 const struct blob_source *source, const char *content_type,
                 struct status *st);
    int (*open)(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
                struct blob_reader **ret_reader, struct blob_info *ret_info,
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
    int (*ping)(struct blob *b, struct status *st); /* NULL: always there */
    int (*describe)(struct blob *b, struct arena *a, const char **ret_text,
                    struct status *st); /* NULL: the scheme says it */
    void (*close)(struct blob *b);
};

struct blob {
    const struct blob_ops *ops;
    /* For addresses that lead to the API itself; NULL: there are none. */
    const char *base_uri, *secret;
};

enum {
    BLOB_BUCKETS = 3,
    BLOB_KEY_MAX = 1024,     /* what object stores allow */
    BLOB_SEGMENT_MAX = 200,  /* leaves room for a temporary name */
    BLOB_TTL_MAX_S = 604800, /* seven days, the longest that object stores sign */
};

/* An address below the API's /files, signed with b->secret. */
const char *blob_signed_link(const struct blob *b, struct arena *a,
                             enum blob_bucket bucket, const char *key, int64_t expires_s);

/* What the ending of a name tells; or NULL. */
const char *blob_type_of_name(const char *key);

/* The key with everything but letters, digits, "-._~" and '/' as %XX. */
const char *blob_key_encode(struct arena *a, const char *key);

#endif
