/*
 * blob_cloud.h - what S3, Azure Blob and Google Cloud Storage share: requests that are
 * signed, tried again and told apart; readers that go on after a cut; objects that are
 * written in parts.
 *
 * A provider is a struct whose first member is struct cloud, and a table of the few
 * things that differ (struct cloud_ops). A request is a value: it is signed anew for each
 * attempt.
 */
#ifndef BLOB_BLOB_CLOUD_H
#define BLOB_BLOB_CLOUD_H

#include "blob_credentials.h"
#include "blob_priv.h"
#include "http/http_client.h"

struct array_builder;
struct buf;

enum {
    CLOUD_PART_BYTES = 16 * 1024 * 1024, /* larger objects are sent in parts of this */
    CLOUD_MAX_PARTS = 10000,             /* what S3 allows: 156 GB */
    CLOUD_MAX_FIELDS = 40,
    CLOUD_MAX_ANSWER_BYTES = 16 * 1024 * 1024, /* of answers that are no objects */
};

struct cloud_request {
    const char *method;
    const char *origin;                          /* "https://host[:port]" */
    const char *path;                            /* percent-encoded, from '/' */
    struct http_header params[CLOUD_MAX_FIELDS]; /* query fields, not encoded */
    size_t params_len;
    struct http_header headers[CLOUD_MAX_FIELDS];
    size_t headers_len;
    struct bytes body;
    bool is_signed;           /* it carries its own proof: a resumable session */
    int attempts, timeout_ms; /* 0: the store's own */
    struct credentials used;  /* filled by authorize, to be dropped when refused */
};

struct cloud;
struct cloud_upload;

struct cloud_ops {
    const char *title; /* "S3", in messages */
    /* Adds what proves who asks. */
    int (*authorize)(struct cloud *c, struct arena *a, struct cloud_request *rq,
                     struct status *st);
    /* Origin and path (and for some, a query) of an object's bytes. */
    void (*address)(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                    const char *key, struct cloud_request *rq);
    const char *version_header; /* of an answer, that names the bytes' version */
    /* Makes a GET hold for that version only. */
    void (*require_version)(struct cloud_request *rq, const char *version);
    /* The provider's word for a failure: "NoSuchBucket"; or NULL. */
    const char *(*error_code)(struct arena *a, const struct http_answer *answer);
    bool (*is_missing_bucket)(const char *code);
    /* An object in one request; then one in parts. */
    int (*put)(struct cloud_upload *u, struct bytes body, struct status *st);
    int (*begin)(struct cloud_upload *u, struct status *st);
    int (*part)(struct cloud_upload *u, struct bytes body, bool is_last,
                struct status *st);
    int (*finish)(struct cloud_upload *u, struct status *st);
    void (*abandon)(struct cloud_upload *u);
    /* Adds the keys of one page, up to limit in all; *cursor continues behind it (NULL
     * at first, and at the end). */
    int (*list_page)(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                     const char *prefix, size_t limit, struct array_builder *keys,
                     const char **cursor, struct status *st);
    /* An address that may be read for ttl_s; 1 when the credentials can't sign one. */
    int (*presign)(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                   const char *key, int ttl_s, const char **ret_url, struct status *st);
};

struct cloud {
    struct blob base; /* first */
    const struct cloud_ops *ops;
    struct blob_cloud_options o;
    const char *bucket[BLOB_BUCKETS];
    struct arena *arena; /* texts that live as long */
    struct credentials_cache *credentials;
};

struct cloud_upload {
    struct cloud *c;
    struct arena *arena;
    enum blob_bucket bucket;
    const char *key, *type;
    const char *id;    /* the provider's name of it, from begin */
    struct buf *notes; /* what finish needs of the parts */
    size_t parts;      /* sent so far */
    uint64_t sent;     /* bytes of them */
};

/* Common members from the options; frees with cloud_fini. */
void cloud_init(struct cloud *c, const struct blob_cloud_options *o,
                const struct cloud_ops *ops, const struct blob_ops *blob_ops,
                credentials_fetch *fetch);
void cloud_fini(struct cloud *c);

void cloud_param(struct cloud_request *rq, const char *name, const char *value);
void cloud_header(struct cloud_request *rq, const char *name, const char *value);
/* Everything but letters, digits and "-._~" (and '/' when keep_slash) as %XX. */
const char *cloud_encode(struct arena *a, const char *text, bool keep_slash);
/* The query of a request: sorted by name, encoded; "" when there is none. */
const char *cloud_query(struct arena *a, const struct cloud_request *rq);
/* "https://host:port/base/" becomes origin and path without a slash at the end. */
void cloud_split(struct arena *a, const char *url, const char **ret_origin,
                 const char **ret_path);

/*
 * Sends it, again while that may help (lost connections, 408, 429, 5xx, credentials that
 * have ended), with growing pauses. 0 with any answer but those; -1 "unavailable".
 */
int cloud_send(struct cloud *c, struct arena *a, const struct cloud_request *rq,
               struct http_answer *ret_answer, struct status *st);
/* The failure that an answer stands for: what was done, to which object (or NULL). */
int cloud_fail(struct cloud *c, struct arena *a, const struct http_answer *answer,
               const char *what, const char *key, struct status *st);
/* Is a 404 about the bucket, and not the object in it? */
bool cloud_bucket_is_missing(struct cloud *c, struct arena *a,
                             const struct http_answer *answer);
/*
 * An outside call that is no object: token and metadata services. Tried `attempts` times.
 * 0 with any answer below 500.
 */
int cloud_ask(struct cloud *c, struct arena *a, const struct http_call *call,
              int attempts, struct http_answer *ret_answer, struct status *st);

/* Of blob_ops, for all providers. */
int cloud_write(struct blob *b, enum blob_bucket bucket, const char *key,
                const struct blob_source *source, const char *content_type,
                struct status *st);
int cloud_open(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
               struct blob_reader **ret_reader, struct blob_info *ret_info,
               struct status *st);
int cloud_list(struct blob *b, struct arena *a, enum blob_bucket bucket,
               const char *prefix, size_t limit, const struct value **ret_keys,
               struct status *st);
int cloud_url(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
              int ttl_s, const char **ret_url, struct status *st);
int cloud_ping(struct blob *b, struct status *st);
int cloud_describe(struct blob *b, struct arena *a, const char **ret_text,
                   struct status *st);
/* HEAD of the object's address. 1 absent. */
int cloud_stat(struct blob *b, struct arena *a, enum blob_bucket bucket, const char *key,
               struct blob_info *ret_info, struct status *st);
void cloud_fill_info(struct arena *a, const struct http_answer *answer,
                     struct blob_info *ret);

/* Dates as the providers write them. */
const char *cloud_http_date(struct arena *a, int64_t ms);  /* RFC 7231 */
const char *cloud_iso_date(struct arena *a, int64_t ms);   /* 2025-01-31T23:59:59Z */
const char *cloud_basic_date(struct arena *a, int64_t ms); /* 20250131T235959Z */
/* -1 when it is none. */
int64_t cloud_parse_iso_date(const char *text);
/* The file as text without trailing white space; -1 ST_CONFIGURATION. */
int cloud_read_file(struct arena *a, const char *path, const char **ret_text,
                    struct status *st);
/* base64 with padding. NULL from decode when it is none. */
const char *cloud_base64(struct arena *a, const void *data, size_t len);
struct bytes cloud_unbase64(struct arena *a, const char *text);

/* The providers' own open functions. */
int blob_open_s3(const struct blob_cloud_options *o, struct blob **ret_blob,
                 struct status *st);
int blob_open_abs(const struct blob_cloud_options *o, struct blob **ret_blob,
                  struct status *st);
int blob_open_gcs(const struct blob_cloud_options *o, struct blob **ret_blob,
                  struct status *st);

#endif
