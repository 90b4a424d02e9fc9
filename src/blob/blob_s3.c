/*
 * blob_s3.c - Amazon S3, and stores that speak its protocol.
 *
 * A bucket stands in the host name, as Amazon wants it, or in the path: where
 * S3_FORCE_PATH_STYLE says so, where the endpoint is an address, and for names with dots,
 * which no certificate covers.
 */
#include "blob_cloud.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob_s3.h"
#include "blob_sigv4.h"
#include "blob_xml.h"
#include "config/config.h"
#include "value/value.h"

static struct s3 *s3_of(struct cloud *c) {
    return (struct s3 *)c;
}

/* ---- Requests ---- */

static bool is_address(const char *host) {
    return *host == '[' || strncmp(host, "localhost", 9) == 0 ||
           strspn(host, "0123456789.") == strcspn(host, ":");
}

/* Only known once the region is: it may come from the instance. */
static void set_endpoint(struct s3 *s) {
    const struct config *c = s->cloud.o.config;
    const char *url =
        c->aws_endpoint_url_s3 ? c->aws_endpoint_url_s3 : c->aws_endpoint_url;

    if (!url)
        url = arena_printf(s->cloud.arena, "https://s3.%s.amazonaws.com%s", s->region,
                           strncmp(s->region, "cn-", 3) == 0 ? ".cn" : "");
    cloud_split(s->cloud.arena, url, &s->origin, &s->path);
    s->path_style = c->s3_force_path_style || is_address(strstr(url, "://") + 3);
}

static const char *region_of(struct s3 *s, struct arena *a) {
    const char *region;

    pthread_mutex_lock(&s->mu);
    region = s->region ? arena_strdup(a, s->region) : NULL;
    pthread_mutex_unlock(&s->mu);
    return region;
}

int s3_find_region(struct s3 *s, struct arena *a, struct status *st) {
    const char *region = region_of(s, a);

    if (region)
        return 0;
    if (s3_instance_region(s, a, &region, st) < 0)
        return -1;
    pthread_mutex_lock(&s->mu);
    if (!s->region) {
        s->region = arena_strdup(s->cloud.arena, region);
        set_endpoint(s);
    }
    pthread_mutex_unlock(&s->mu);
    return 0;
}

/* Fills origin and path; the region is known. */
static void bucket_address(struct s3 *s, struct arena *a, enum blob_bucket bucket,
                           struct cloud_request *rq) {
    const char *name = s->cloud.bucket[bucket];
    const char *host;

    pthread_mutex_lock(&s->mu);
    host = strstr(s->origin, "://") + 3;
    if (s->path_style || strchr(name, '.')) {
        rq->origin = arena_strdup(a, s->origin);
        rq->path = arena_printf(a, "%s/%s", s->path, name);
    } else {
        rq->origin =
            arena_printf(a, "%.*s%s.%s", (int)(host - s->origin), s->origin, name, host);
        rq->path = arena_strdup(a, s->path);
    }
    pthread_mutex_unlock(&s->mu);
}

static void s3_address(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                       const char *key, struct cloud_request *rq) {
    bucket_address(s3_of(c), a, bucket, rq);
    rq->path = arena_printf(a, "%s/%s", rq->path, cloud_encode(a, key, true));
}

static int s3_authorize(struct cloud *c, struct arena *a, struct cloud_request *rq,
                        struct status *st) {
    struct sigv4 sign = {.region = region_of(s3_of(c), a),
                         .service = "s3",
                         .now_ms = clock_now_ms(c->o.clock),
                         .credentials = &rq->used};

    if (credentials_get(c->credentials, a, &rq->used, st) < 0)
        return -1;
    sigv4_sign(a, &sign, rq);
    return 0;
}

static void s3_require_version(struct cloud_request *rq, const char *version) {
    cloud_header(rq, "If-Match", version);
}

static const char *s3_error_code(struct arena *a, const struct http_answer *answer) {
    const struct xml_node *root;
    struct status ignored;

    st_init(&ignored, a);
    if (!answer->body.len || xml_parse(a, answer->body, &root, &ignored) < 0 ||
        strcmp(root->name, "Error") != 0)
        return NULL;
    return xml_text(root, "Code");
}

static bool s3_is_missing_bucket(const char *code) {
    return strcmp(code, "NoSuchBucket") == 0;
}

/* ---- Writing ---- */

static struct cloud_request object_request(struct cloud_upload *u, const char *method) {
    struct cloud_request rq = {.method = method};

    u->c->ops->address(u->c, u->arena, u->bucket, u->key, &rq);
    return rq;
}

/* 0 when it was answered with 200. */
static int send_upload(struct cloud_upload *u, const struct cloud_request *rq,
                       struct http_answer *ret_answer, struct status *st) {
    if (cloud_send(u->c, u->arena, rq, ret_answer, st) < 0)
        return -1;
    if (ret_answer->status != 200)
        return cloud_fail(u->c, u->arena, ret_answer, "Writing", u->key, st);
    return 0;
}

static int s3_put(struct cloud_upload *u, struct bytes body, struct status *st) {
    struct cloud_request rq = object_request(u, "PUT");
    struct http_answer answer;

    rq.body = body;
    cloud_header(&rq, "Content-Type", u->type);
    return send_upload(u, &rq, &answer, st);
}

static int s3_begin(struct cloud_upload *u, struct status *st) {
    struct cloud_request rq = object_request(u, "POST");
    const struct xml_node *root;
    struct http_answer answer;
    const char *id;

    cloud_param(&rq, "uploads", "");
    cloud_header(&rq, "Content-Type", u->type);
    if (send_upload(u, &rq, &answer, st) < 0 ||
        xml_parse(u->arena, answer.body, &root, st) < 0)
        return -1;
    if (!(id = xml_text(root, "UploadId")) || !*id)
        return st_fail(st, ST_INTERNAL, "unavailable", "S3 gives no id for an upload.");
    u->id = id;
    return 0;
}

static int s3_part(struct cloud_upload *u, struct bytes body, bool is_last,
                   struct status *st) {
    struct cloud_request rq = object_request(u, "PUT");
    struct arena *all = u->arena;
    struct http_answer answer;
    const char *etag;
    int rc;

    (void)is_last;
    /* Its own arena: an upload of many parts stays small. */
    u->arena = arena_new(0);
    rq.body = body;
    cloud_param(&rq, "partNumber", arena_printf(u->arena, "%zu", u->parts));
    cloud_param(&rq, "uploadId", u->id);
    rc = send_upload(u, &rq, &answer, st);
    etag = rc == 0 ? http_answer_header(&answer, "ETag") : NULL;
    if (rc == 0 && !etag)
        rc = st_fail(st, ST_INTERNAL, "unavailable", "S3 gives no ETag for a part.");
    if (rc == 0) {
        buf_addf(u->notes, "<Part><PartNumber>%zu</PartNumber><ETag>", u->parts);
        xml_escape(u->notes, etag);
        buf_adds(u->notes, "</ETag></Part>");
    }
    arena_free(&u->arena);
    u->arena = all;
    return rc;
}

/* Whether an earlier attempt, whose answer was lost, has made the object. */
static bool is_there(struct cloud_upload *u) {
    struct blob_info info;
    struct status ignored;

    st_init(&ignored, u->arena);
    return cloud_stat(&u->c->base, u->arena, u->bucket, u->key, &info, &ignored) == 0 &&
           info.size_bytes == u->sent;
}

/* The answer may be 200 and yet hold an error, long after its head was sent. */
static int s3_finish(struct cloud_upload *u, struct status *st) {
    struct cloud_request rq = object_request(u, "POST");
    struct http_answer answer = {0};
    const char *code;

    rq.body.data =
        arena_printf(u->arena, "<CompleteMultipartUpload>%s</CompleteMultipartUpload>",
                     u->notes->data);
    rq.body.len = strlen(rq.body.data);
    cloud_param(&rq, "uploadId", u->id);
    cloud_header(&rq, "Content-Type", "application/xml");
    for (int i = 0; i < u->c->o.attempts; i++) {
        if (cloud_send(u->c, u->arena, &rq, &answer, st) < 0)
            return -1;
        code = s3_error_code(u->arena, &answer);
        if (answer.status == 200 && !code)
            return 0;
        if (code && strcmp(code, "NoSuchUpload") == 0 && is_there(u))
            return 0;
        if (answer.status != 200)
            break;
        answer.status = 500;
    }
    return cloud_fail(u->c, u->arena, &answer, "Writing", u->key, st);
}

static void s3_abandon(struct cloud_upload *u) {
    struct cloud_request rq = object_request(u, "DELETE");
    struct http_answer answer;
    struct status ignored;

    st_init(&ignored, u->arena);
    cloud_param(&rq, "uploadId", u->id);
    cloud_send(u->c, u->arena, &rq, &answer, &ignored);
}

static int s3_list_page(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                        const char *prefix, size_t limit, struct array_builder *keys,
                        const char **token, struct status *st) {
    struct cloud_request rq = {.method = "GET"};
    const struct xml_node *root;
    struct http_answer answer;

    bucket_address(s3_of(c), a, bucket, &rq);
    if (!*rq.path)
        rq.path = "/";
    cloud_param(&rq, "list-type", "2");
    cloud_param(
        &rq, "max-keys",
        arena_printf(a, "%zu", limit - keys->len < 1000 ? limit - keys->len : 1000));
    if (*prefix)
        cloud_param(&rq, "prefix", prefix);
    if (*token)
        cloud_param(&rq, "continuation-token", *token);
    if (cloud_send(c, a, &rq, &answer, st) < 0)
        return -1;
    if (answer.status != 200)
        return cloud_fail(c, a, &answer, "Listing", NULL, st);
    if (xml_parse(a, answer.body, &root, st) < 0)
        return -1;
    for (const struct xml_node *n = xml_child(root, "Contents"); n && keys->len < limit;
         n = xml_next(n))
        if (xml_text(n, "Key"))
            array_push(keys, value_string(a, xml_text(n, "Key")));
    *token = xml_text(root, "NextContinuationToken");
    return 0;
}

static int s3_presign(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                      const char *key, int ttl_s, const char **ret_url,
                      struct status *st) {
    struct cloud_request rq = {.method = "GET"};
    struct sigv4 sign = {.service = "s3", .now_ms = clock_now_ms(c->o.clock)};

    if (s3_find_region(s3_of(c), a, st) < 0 ||
        credentials_get(c->credentials, a, &rq.used, st) < 0)
        return -1;
    sign.region = region_of(s3_of(c), a);
    sign.credentials = &rq.used;
    s3_address(c, a, bucket, key, &rq);
    cloud_param(&rq, "response-content-disposition", "attachment");
    *ret_url = sigv4_presign(a, &sign, &rq, ttl_s < 1 ? 1 : ttl_s);
    return 0;
}

static const struct cloud_ops s3_cloud_ops = {
    .title = "S3",
    .authorize = s3_authorize,
    .address = s3_address,
    .version_header = "ETag",
    .require_version = s3_require_version,
    .error_code = s3_error_code,
    .is_missing_bucket = s3_is_missing_bucket,
    .put = s3_put,
    .begin = s3_begin,
    .part = s3_part,
    .finish = s3_finish,
    .abandon = s3_abandon,
    .list_page = s3_list_page,
    .presign = s3_presign,
};

/* ---- The rest of the interface ---- */

/* DELETE does not tell whether there was anything: that is asked first. */
static int s3_remove(struct blob *b, enum blob_bucket bucket, const char *key,
                     struct status *st) {
    struct cloud *c = (struct cloud *)b;
    struct arena *a = arena_new(0);
    struct cloud_request rq = {.method = "DELETE"};
    struct http_answer answer;
    struct blob_info info;
    int rc = cloud_stat(b, a, bucket, key, &info, st);

    if (rc == 0) {
        s3_address(c, a, bucket, key, &rq);
        rc = cloud_send(c, a, &rq, &answer, st);
    }
    if (rc == 0 && answer.status != 204 && answer.status != 200)
        rc = cloud_fail(c, a, &answer, "Deleting", key, st);
    arena_free(&a);
    return rc;
}

/* Every call that reaches the network first makes sure that the region is known. */
static int with_region(struct blob *b, struct status *st) {
    struct s3 *s = s3_of((struct cloud *)b);
    struct arena *a = arena_new(0);
    int rc = s3_find_region(s, a, st);

    arena_free(&a);
    return rc;
}

static int s3_write(struct blob *b, enum blob_bucket bucket, const char *key,
                    const struct blob_source *source, const char *content_type,
                    struct status *st) {
    return with_region(b, st) < 0 ? -1
                                  : cloud_write(b, bucket, key, source, content_type, st);
}

static int s3_open(struct blob *b, struct arena *a, enum blob_bucket bucket,
                   const char *key, struct blob_reader **ret_reader,
                   struct blob_info *ret_info, struct status *st) {
    return with_region(b, st) < 0
               ? -1
               : cloud_open(b, a, bucket, key, ret_reader, ret_info, st);
}

static int s3_stat(struct blob *b, struct arena *a, enum blob_bucket bucket,
                   const char *key, struct blob_info *ret_info, struct status *st) {
    return with_region(b, st) < 0 ? -1 : cloud_stat(b, a, bucket, key, ret_info, st);
}

static int s3_delete(struct blob *b, enum blob_bucket bucket, const char *key,
                     struct status *st) {
    return with_region(b, st) < 0 ? -1 : s3_remove(b, bucket, key, st);
}

static int s3_ping(struct blob *b, struct status *st) {
    return with_region(b, st) < 0 ? -1 : cloud_ping(b, st);
}

static void s3_close(struct blob *b) {
    struct s3 *s = (struct s3 *)b;

    cloud_fini(&s->cloud);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

static int s3_list(struct blob *b, struct arena *a, enum blob_bucket bucket,
                   const char *prefix, size_t limit, const struct value **ret_keys,
                   struct status *st) {
    return with_region(b, st) < 0 ? -1
                                  : cloud_list(b, a, bucket, prefix, limit, ret_keys, st);
}

static const struct blob_ops s3_ops = {
    .scheme = "s3",
    .write = s3_write,
    .open = s3_open,
    .stat = s3_stat,
    .remove = s3_delete,
    .list = s3_list,
    .url = cloud_url,
    .ping = s3_ping,
    .describe = cloud_describe,
    .close = s3_close,
};

int blob_open_s3(const struct blob_cloud_options *o, struct blob **ret_blob,
                 struct status *st) {
    struct s3 *s = calloc(1, sizeof(*s));

    (void)st;
    if (!s)
        abort();
    cloud_init(&s->cloud, o, &s3_cloud_ops, &s3_ops, s3_credentials);
    pthread_mutex_init(&s->mu, NULL);
    if (o->config->aws_region) {
        s->region = o->config->aws_region;
        set_endpoint(s);
    }
    *ret_blob = &s->cloud.base;
    return 0;
}
