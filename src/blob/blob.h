/*
 * blob.h - objects: bytes under a key, in one of three buckets.
 *
 * Keys are relative paths of segments [A-Za-z0-9._@=+ -] separated by '/', without '..',
 * empty or hidden segments: blob_key_valid() decides, every call refuses others with
 * bad_request. A put replaces atomically: readers see the old or the new bytes; when it
 * returned, it's durable. A key should not be the folder of another ("a" and "a/b"): the
 * directory backend refuses the second.
 * Threads: may be used by all threads at once. All calls block.
 */
#ifndef BLOB_BLOB_H
#define BLOB_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena;
struct blob;
struct blob_reader;
struct clock;
struct config;
struct http_client;
struct rand;
struct status;
struct value;

enum blob_bucket {
    BLOB_TMP,        /* temporary files: log details, uploads; may expire */
    BLOB_CONNECTORS, /* connector archives and trees */
    BLOB_STATIC,     /* public: served under /static, or by a bucket's own address */
};

struct blob_info {
    uint64_t size_bytes;
    int64_t modified_ms;
    const char *content_type; /* or NULL */
};

/* "tmp", "connectors", "static": in paths and addresses. */
const char *blob_bucket_name(enum blob_bucket bucket);
bool blob_key_valid(const char *key);

int blob_put(struct blob *b, enum blob_bucket bucket, const char *key, struct bytes body,
             const char *content_type, struct status *st);
/*
 * The same from a source of any length, in bounded memory: pull is called until it gives
 * 0 bytes; -1 (with *st filled) ends it and leaves what was there before.
 */
int blob_write(struct blob *b, enum blob_bucket bucket, const char *key,
               int (*pull)(void *ctx, char *buf, size_t max, size_t *ret_len,
                           struct status *st),
               void *ctx, const char *content_type, struct status *st);
/* 0 found, 1 absent, -1. max_bytes bounds the body; a larger object is bad_request. */
int blob_get(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
             size_t max_bytes, struct bytes *ret_body, struct blob_info *ret_info,
             struct status *st);
/* Calls sink with consecutive parts; sink returning -1 (with *st filled) stops. 1 absent.
 */
int blob_read(struct blob *b, enum blob_bucket bucket, const char *key,
              int (*sink)(void *ctx, struct bytes part, struct status *st), void *ctx,
              struct status *st);
/*
 * The same, pulled by the reader in bounded memory, as a streamed reply wants it:
 * reply_stream(rp, 200, type, blob_reader_pull, blob_reader_close, reader). *ret_info
 * lives in `a`. 0 bytes are the end.
 */
int blob_open_reader(struct blob *b, struct arena *a, enum blob_bucket bucket,
                     const char *key, struct blob_reader **ret_reader,
                     struct blob_info *ret_info, struct status *st);
int blob_reader_pull(void *reader, char *buf, size_t max, size_t *ret_len,
                     struct status *st);
void blob_reader_close(void *reader);
int blob_stat(struct blob *b, enum blob_bucket bucket, const char *key,
              struct blob_info *ret_info, struct arena *a, struct status *st);
/* 0 deleted, 1 absent. */
int blob_delete(struct blob *b, enum blob_bucket bucket, const char *key,
                struct status *st);
/* Array of the key texts that start with the prefix ("", "a/b" or "a/b/"), sorted by
 * bytes; at most limit. */
int blob_list(struct blob *b, struct arena *a, enum blob_bucket bucket,
              const char *prefix, size_t limit, const struct value **ret_keys,
              struct status *st);
/*
 * An address that serves the object to whoever holds it, for ttl_s seconds, at most seven
 * days (static objects: for good).
 */
int blob_url(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
             int ttl_s, const char **ret_url, struct status *st);

/* Does it answer? A backend that needs nobody else always does. */
int blob_ping(struct blob *b, struct status *st);
/*
 * One line for logs: what it is and whose credentials it uses, without secrets. -1: it
 * has none.
 */
int blob_describe(struct blob *b, struct arena *a, const char **ret_text,
                  struct status *st);
/*
 * Checks the signature of an address that leads to the API's own /files: those of the
 * directory backend, and of clouds whose credentials can't sign addresses.
 */
bool blob_check_signature(const struct blob *b, enum blob_bucket bucket, const char *key,
                          int64_t expires_s, const char *signature);

/* Directory backend: files below root/<bucket>/. base_uri prefixes /static and signed
 * /files. */
int blob_open_fs(const char *root, const char *base_uri, const char *signing_secret,
                 struct blob **ret_blob, struct status *st);
/* The in-memory and the failing double, for tests. */
struct blob *blob_open_memory(void);
struct blob *blob_open_failing(struct blob *inner,
                               bool (*fail)(void *ctx, const char *op), void *ctx);

/* What the clouds share. Everything is borrowed and must outlive the store. */
struct blob_cloud_options {
    const struct config *config; /* buckets, credentials, endpoints */
    struct http_client *http;
    struct clock *clock;
    struct rand *rand;
    const char *iam_uri;  /* of Google's signBlob; NULL: the real one */
    int attempts;         /* of one request; 0: 5 */
    int retry_base_ms;    /* first pause between attempts, doubled each time; 0: 100 */
    int stall_timeout_ms; /* an exchange without progress for so long has failed; 0: 20 s
                             (whole seconds) */
};
/*
 * The provider that config->storage_provider names: s3, abs or gcs. Opening needs no
 * network: credentials are looked for when they are first used. -1 ST_CONFIGURATION.
 */
int blob_open_cloud(const struct blob_cloud_options *o, struct blob **ret_blob,
                    struct status *st);
void blob_close(struct blob **b);

#endif
