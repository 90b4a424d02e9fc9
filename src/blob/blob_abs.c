/*
 * blob_abs.c - Azure Blob Storage: block blobs in containers.
 *
 * An object above 16 MB is a list of blocks that are sent one by one and committed at
 * the end; blocks that are never committed go away by themselves after a week.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob_abs.h"
#include "blob_xml.h"
#include "config/config.h"
#include "value/value.h"

static struct abs *abs_of(struct cloud *c) {
    return (struct abs *)c;
}

/* ---- Requests ---- */

static void container_address(struct abs *s, struct arena *a, enum blob_bucket bucket,
                              struct cloud_request *rq) {
    rq->origin = s->origin;
    rq->path = arena_printf(a, "%s/%s", s->path, s->cloud.bucket[bucket]);
}

static void abs_address(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                        const char *key, struct cloud_request *rq) {
    container_address(abs_of(c), a, bucket, rq);
    rq->path = arena_printf(a, "%s/%s", rq->path, cloud_encode(a, key, true));
}

static int abs_authorize(struct cloud *c, struct arena *a, struct cloud_request *rq,
                         struct status *st) {
    struct abs *s = abs_of(c);

    cloud_header(rq, "x-ms-version", ABS_VERSION);
    cloud_header(rq, "x-ms-date", cloud_http_date(a, clock_now_ms(c->o.clock)));
    if (s->proof == ABS_KEY) {
        abs_sign(s, a, rq);
    } else if (s->proof == ABS_SAS) {
        abs_add_sas(a, s->sas, rq);
    } else {
        if (credentials_get(c->credentials, a, &rq->used, st) < 0)
            return -1;
        cloud_header(rq, "Authorization", arena_printf(a, "Bearer %s", rq->used.token));
    }
    return 0;
}

static void abs_require_version(struct cloud_request *rq, const char *version) {
    cloud_header(rq, "If-Match", version);
}

static const char *abs_error_code(struct arena *a, const struct http_answer *answer) {
    const char *code = http_answer_header(answer, "x-ms-error-code");
    const struct xml_node *root;
    struct status ignored;

    st_init(&ignored, a);
    if (code)
        return code;
    if (!answer->body.len || xml_parse(a, answer->body, &root, &ignored) < 0)
        return NULL;
    return xml_text(root, "Code");
}

static bool abs_is_missing_bucket(const char *code) {
    return strcmp(code, "ContainerNotFound") == 0;
}

/* ---- Writing ---- */

static int send_upload(struct cloud_upload *u, struct cloud_request *rq,
                       struct status *st) {
    struct http_answer answer;

    u->c->ops->address(u->c, u->arena, u->bucket, u->key, rq);
    rq->method = "PUT";
    if (cloud_send(u->c, u->arena, rq, &answer, st) < 0)
        return -1;
    if (answer.status != 201)
        return cloud_fail(u->c, u->arena, &answer, "Writing", u->key, st);
    return 0;
}

static int abs_put(struct cloud_upload *u, struct bytes body, struct status *st) {
    struct cloud_request rq = {.body = body};

    cloud_header(&rq, "x-ms-blob-type", "BlockBlob");
    cloud_header(&rq, "Content-Type", u->type);
    return send_upload(u, &rq, st);
}

/* A name for this upload, so that two at once don't mix their blocks. */
static int abs_begin(struct cloud_upload *u, struct status *st) {
    (void)st;
    u->id = token_new(u->c->o.rand, u->arena, 12);
    return 0;
}

static const char *block_id(const struct cloud_upload *u, struct arena *a) {
    const char *text = arena_printf(a, "%s-%06zu", u->id, u->parts);

    return cloud_base64(a, text, strlen(text));
}

static int abs_part(struct cloud_upload *u, struct bytes body, bool is_last,
                    struct status *st) {
    struct cloud_request rq = {.body = body};
    struct arena *all = u->arena;
    const char *id;
    int rc;

    (void)is_last;
    u->arena = arena_new(0);
    id = block_id(u, u->arena);
    cloud_param(&rq, "comp", "block");
    cloud_param(&rq, "blockid", id);
    cloud_header(&rq, "Content-Type", "application/octet-stream");
    rc = send_upload(u, &rq, st);
    if (rc == 0)
        buf_addf(u->notes, "<Latest>%s</Latest>", id);
    arena_free(&u->arena);
    u->arena = all;
    return rc;
}

static int abs_finish(struct cloud_upload *u, struct status *st) {
    struct cloud_request rq = {0};

    rq.body.data = arena_printf(u->arena,
                                "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
                                "<BlockList>%s</BlockList>",
                                u->notes->data);
    rq.body.len = strlen(rq.body.data);
    cloud_param(&rq, "comp", "blocklist");
    cloud_header(&rq, "Content-Type", "application/xml");
    cloud_header(&rq, "x-ms-blob-content-type", u->type);
    return send_upload(u, &rq, st);
}

static void abs_abandon(struct cloud_upload *u) {
    (void)u;
}

static int abs_list_page(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                         const char *prefix, size_t limit, struct array_builder *keys,
                         const char **marker, struct status *st) {
    struct cloud_request rq = {.method = "GET"};
    size_t wanted = limit - keys->len;
    const struct xml_node *root;
    struct http_answer answer;

    container_address(abs_of(c), a, bucket, &rq);
    cloud_param(&rq, "restype", "container");
    cloud_param(&rq, "comp", "list");
    cloud_param(&rq, "maxresults", arena_printf(a, "%zu", wanted < 1000 ? wanted : 1000));
    if (*prefix)
        cloud_param(&rq, "prefix", prefix);
    if (*marker)
        cloud_param(&rq, "marker", *marker);
    if (cloud_send(c, a, &rq, &answer, st) < 0)
        return -1;
    if (answer.status != 200)
        return cloud_fail(c, a, &answer, "Listing", NULL, st);
    if (xml_parse(a, answer.body, &root, st) < 0)
        return -1;
    for (const struct xml_node *n = xml_child(xml_child(root, "Blobs"), "Blob");
         n && keys->len < limit; n = xml_next(n))
        if (xml_text(n, "Name"))
            array_push(keys, value_string(a, xml_text(n, "Name")));
    *marker = xml_text(root, "NextMarker");
    return 0;
}

static int abs_sign_address(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                            const char *key, int ttl_s, const char **ret_url,
                            struct status *st) {
    return abs_presign(abs_of(c), a, bucket, key, ttl_s, ret_url, st);
}

static const struct cloud_ops abs_cloud_ops = {
    .title = "Azure Blob Storage",
    .authorize = abs_authorize,
    .address = abs_address,
    .version_header = "ETag",
    .require_version = abs_require_version,
    .error_code = abs_error_code,
    .is_missing_bucket = abs_is_missing_bucket,
    .put = abs_put,
    .begin = abs_begin,
    .part = abs_part,
    .finish = abs_finish,
    .abandon = abs_abandon,
    .list_page = abs_list_page,
    .presign = abs_sign_address,
};

/* ---- The rest of the interface ---- */

static int abs_remove(struct blob *b, enum blob_bucket bucket, const char *key,
                      struct status *st) {
    struct cloud *c = (struct cloud *)b;
    struct arena *a = arena_new(0);
    struct cloud_request rq = {.method = "DELETE"};
    struct http_answer answer;
    int rc;

    abs_address(c, a, bucket, key, &rq);
    cloud_header(&rq, "x-ms-delete-snapshots", "include");
    rc = cloud_send(c, a, &rq, &answer, st);
    if (rc == 0 && answer.status == 404 && !cloud_bucket_is_missing(c, a, &answer))
        rc = 1;
    else if (rc == 0 && answer.status != 202)
        rc = cloud_fail(c, a, &answer, "Deleting", key, st);
    arena_free(&a);
    return rc;
}

static void abs_close(struct blob *b) {
    struct abs *s = (struct abs *)b;

    cloud_fini(&s->cloud);
    if (s->delegation_arena)
        arena_free(&s->delegation_arena);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

static const struct blob_ops abs_ops = {
    .scheme = "abs",
    .write = cloud_write,
    .open = cloud_open,
    .stat = cloud_stat,
    .remove = abs_remove,
    .list = cloud_list,
    .url = cloud_url,
    .ping = cloud_ping,
    .describe = cloud_describe,
    .close = abs_close,
};

int blob_open_abs(const struct blob_cloud_options *o, struct blob **ret_blob,
                  struct status *st) {
    struct abs *s = calloc(1, sizeof(*s));
    struct blob *b;

    if (!s)
        abort();
    cloud_init(&s->cloud, o, &abs_cloud_ops, &abs_ops, abs_credentials);
    pthread_mutex_init(&s->mu, NULL);
    b = &s->cloud.base;
    if (abs_configure(s, st) < 0) {
        blob_close(&b);
        return -1;
    }
    *ret_blob = b;
    return 0;
}
