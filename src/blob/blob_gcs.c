/*
 * blob_gcs.c - Google Cloud Storage by its JSON interface.
 *
 * An object above 16 MB is a resumable session: parts follow each other under an address
 * that proves itself. What was sent twice is taken once, so a part whose answer was lost
 * is simply sent again; where the store took less than a part, the rest follows.
 *
 * Addresses are signed with the account's private key (V4), or by the IAM service where
 * there is none; without that right, they lead to the API, which streams the object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob_gcs.h"
#include "blob_sigv4.h"
#include "config/config.h"
#include "crypto/crypto_rsa.h"
#include "value/value.h"

#define ORIGIN     "https://storage.googleapis.com"
#define IAM_ORIGIN "https://iamcredentials.googleapis.com"

static struct gcs *gcs_of(struct cloud *c) {
    return (struct gcs *)c;
}

/* ---- Requests ---- */

static void object_address(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                           const char *key, struct cloud_request *rq) {
    rq->origin = gcs_of(c)->origin;
    rq->path = arena_printf(a, "/storage/v1/b/%s/o/%s", c->bucket[bucket],
                            cloud_encode(a, key, false));
}

/* Of the object's bytes. */
static void gcs_address(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                        const char *key, struct cloud_request *rq) {
    object_address(c, a, bucket, key, rq);
    cloud_param(rq, "alt", "media");
}

static int gcs_authorize(struct cloud *c, struct arena *a, struct cloud_request *rq,
                         struct status *st) {
    if (gcs_of(c)->is_emulator)
        return 0;
    if (credentials_get(c->credentials, a, &rq->used, st) < 0)
        return -1;
    cloud_header(rq, "Authorization", arena_printf(a, "Bearer %s", rq->used.token));
    return 0;
}

static void gcs_require_version(struct cloud_request *rq, const char *version) {
    cloud_param(rq, "ifGenerationMatch", version);
}

static int parse(struct arena *a, const struct http_answer *answer,
                 const struct value **ret, struct status *st) {
    if (value_parse(a, answer->body.data, answer->body.len, NULL, ret, st) < 0)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "Google Cloud Storage answers JSON that can't be read.");
    return 0;
}

/* JSON, or for an object's bytes a plain sentence. There are no codes. */
static const char *gcs_error_code(struct arena *a, const struct http_answer *answer) {
    const struct value *v;
    struct status ignored;

    st_init(&ignored, a);
    if (!answer->body.len)
        return NULL;
    if (parse(a, answer, &v, &ignored) == 0)
        return value_get_string(value_get(v, "error"), "message", NULL);
    return answer->body.len < 200 ? arena_memdup(a, answer->body.data, answer->body.len)
                                  : NULL;
}

static bool gcs_is_missing_bucket(const char *message) {
    return strstr(message, "bucket does not exist") != NULL;
}

/* ---- Writing ---- */

static struct cloud_request upload_request(struct cloud_upload *u, const char *kind) {
    struct cloud_request rq = {.method = "POST", .origin = gcs_of(u->c)->origin};

    rq.path =
        arena_printf(u->arena, "/upload/storage/v1/b/%s/o", u->c->bucket[u->bucket]);
    cloud_param(&rq, "uploadType", kind);
    cloud_param(&rq, "name", u->key);
    return rq;
}

static int gcs_put(struct cloud_upload *u, struct bytes body, struct status *st) {
    struct cloud_request rq = upload_request(u, "media");
    struct http_answer answer;

    rq.body = body;
    cloud_header(&rq, "Content-Type", u->type);
    if (cloud_send(u->c, u->arena, &rq, &answer, st) < 0)
        return -1;
    if (answer.status != 200)
        return cloud_fail(u->c, u->arena, &answer, "Writing", u->key, st);
    return 0;
}

static int gcs_begin(struct cloud_upload *u, struct status *st) {
    struct cloud_request rq = upload_request(u, "resumable");
    struct http_answer answer;
    const char *session;

    cloud_header(&rq, "X-Upload-Content-Type", u->type);
    cloud_header(&rq, "Content-Type", "application/json");
    rq.body = value_encode_arena(
        u->arena,
        value_obj(u->arena, "contentType", value_string(u->arena, u->type), NULL),
        VALUE_ENCODE_COMPACT);
    if (cloud_send(u->c, u->arena, &rq, &answer, st) < 0)
        return -1;
    session = http_answer_header(&answer, "Location");
    if (answer.status != 200 && answer.status != 201)
        return cloud_fail(u->c, u->arena, &answer, "Writing", u->key, st);
    if (!session)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "Google Cloud Storage gives no session for an upload.");
    u->id = session;
    return 0;
}

/* A request to the session, whose address has a query of its own. */
static struct cloud_request session_request(struct cloud_upload *u, struct arena *a,
                                            const char *method) {
    const char *query = strchr(u->id, '?');
    struct cloud_request rq = {.method = method, .is_signed = true};

    cloud_split(a, u->id, &rq.origin, &rq.path);
    if (query)
        rq.path = arena_printf(a, "%s%s", rq.path, query);
    return rq;
}

/* How many bytes the session holds, by a 308's "Range: bytes=0-N". */
static uint64_t held(const struct http_answer *answer) {
    const char *range = http_answer_header(answer, "Range");
    unsigned long long last;

    return range && sscanf(range, "bytes=0-%llu", &last) == 1 ? last + 1 : 0;
}

static int send_range(struct cloud_upload *u, struct arena *a, struct bytes body,
                      uint64_t from, uint64_t end, bool is_last,
                      struct http_answer *ret_answer, struct status *st) {
    struct cloud_request rq = session_request(u, a, "PUT");
    const char *total = is_last ? arena_printf(a, "%llu", (unsigned long long)end) : "*";

    rq.body = body;
    cloud_header(&rq, "Content-Range",
                 arena_printf(a, "bytes %llu-%llu/%s", (unsigned long long)from,
                              (unsigned long long)end - 1, total));
    return cloud_send(u->c, a, &rq, ret_answer, st);
}

static int gcs_part(struct cloud_upload *u, struct bytes body, bool is_last,
                    struct status *st) {
    uint64_t from = u->sent, end = u->sent + body.len;
    struct arena *a = arena_new(0);
    struct http_answer answer;
    int rc = 0;

    for (int i = 0; rc == 0; i++) {
        uint64_t has;

        rc = send_range(u, a, body, from, end, is_last, &answer, st);
        if (rc < 0 || (is_last && (answer.status == 200 || answer.status == 201)))
            break;
        has = answer.status == 308 ? held(&answer) : 0;
        if (!is_last && has == end)
            break;
        if (answer.status != 308 || has < u->sent || has >= end ||
            i >= u->c->o.attempts) {
            rc = cloud_fail(u->c, a, &answer, "Writing", u->key, st);
            break;
        }
        body.data += has - from;
        body.len -= (size_t)(has - from);
        from = has;
    }
    arena_free(&a);
    return rc;
}

static int gcs_finish(struct cloud_upload *u, struct status *st) {
    (void)u;
    (void)st;
    return 0; /* the last part did */
}

static void gcs_abandon(struct cloud_upload *u) {
    struct cloud_request rq = session_request(u, u->arena, "DELETE");
    struct http_answer answer;
    struct status ignored;

    st_init(&ignored, u->arena);
    cloud_send(u->c, u->arena, &rq, &answer, &ignored);
}

/* ---- The rest of the interface ---- */

static int gcs_stat(struct blob *b, struct arena *a, enum blob_bucket bucket,
                    const char *key, struct blob_info *ret_info, struct status *st) {
    struct cloud *c = (struct cloud *)b;
    struct cloud_request rq = {.method = "GET"};
    struct http_answer answer;
    const struct value *v;
    int64_t updated;

    object_address(c, a, bucket, key, &rq);
    if (cloud_send(c, a, &rq, &answer, st) < 0)
        return -1;
    if (answer.status == 404 && !cloud_bucket_is_missing(c, a, &answer))
        return 1;
    if (answer.status != 200)
        return cloud_fail(c, a, &answer, "Looking at", key, st);
    if (parse(a, &answer, &v, st) < 0)
        return -1;
    updated = cloud_parse_iso_date(value_get_string(v, "updated", NULL));
    ret_info->size_bytes = strtoull(value_get_string(v, "size", "0"), NULL, 10);
    ret_info->modified_ms = updated < 0 ? 0 : updated;
    ret_info->content_type = value_get_string(v, "contentType", NULL);
    return 0;
}

static int gcs_remove(struct blob *b, enum blob_bucket bucket, const char *key,
                      struct status *st) {
    struct cloud *c = (struct cloud *)b;
    struct arena *a = arena_new(0);
    struct cloud_request rq = {.method = "DELETE"};
    struct http_answer answer;
    int rc;

    object_address(c, a, bucket, key, &rq);
    rc = cloud_send(c, a, &rq, &answer, st);
    if (rc == 0 && answer.status == 404 && !cloud_bucket_is_missing(c, a, &answer))
        rc = 1;
    else if (rc == 0 && answer.status != 204 && answer.status != 200)
        rc = cloud_fail(c, a, &answer, "Deleting", key, st);
    arena_free(&a);
    return rc;
}

static int gcs_list_page(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                         const char *prefix, size_t limit, struct array_builder *keys,
                         const char **token, struct status *st) {
    struct cloud_request rq = {.method = "GET", .origin = gcs_of(c)->origin};
    size_t wanted = limit - keys->len;
    const struct value *v, *items;
    struct http_answer answer;

    rq.path = arena_printf(a, "/storage/v1/b/%s/o", c->bucket[bucket]);
    cloud_param(&rq, "fields", "items(name),nextPageToken");
    cloud_param(&rq, "maxResults", arena_printf(a, "%zu", wanted < 1000 ? wanted : 1000));
    if (*prefix)
        cloud_param(&rq, "prefix", prefix);
    if (*token)
        cloud_param(&rq, "pageToken", *token);
    if (cloud_send(c, a, &rq, &answer, st) < 0)
        return -1;
    if (answer.status != 200)
        return cloud_fail(c, a, &answer, "Listing", NULL, st);
    if (parse(a, &answer, &v, st) < 0)
        return -1;
    items = value_get(v, "items");
    for (size_t i = 0; i < value_items_count(items) && keys->len < limit; i++) {
        const char *name = value_get_string(value_at(items, i), "name", NULL);

        if (name)
            array_push(keys, value_string(a, name));
    }
    *token = value_get_string(v, "nextPageToken", NULL);
    return 0;
}

/* ---- Addresses ---- */

struct signer {
    struct cloud *c;
    const struct credentials *k;
};

/* The IAM service signs with a key that it keeps. */
static int sign_by_iam(struct signer *s, struct arena *a, const char *text,
                       struct bytes *ret_signature, struct status *st) {
    const char *iam = s->c->o.iam_uri ? s->c->o.iam_uri : IAM_ORIGIN;
    struct http_header headers[] = {
        {"Authorization", arena_printf(a, "Bearer %s", s->k->token)},
        {"Content-Type", "application/json"}};
    const char *body =
        arena_printf(a, "{\"payload\":\"%s\"}", cloud_base64(a, text, strlen(text)));
    struct http_call call = {
        .method = "POST",
        .url = arena_printf(a, "%s/v1/projects/-/serviceAccounts/%s:signBlob", iam,
                            cloud_encode(a, s->k->id, false)),
        .headers = headers,
        .headers_len = 2,
        .body = {body, strlen(body)},
    };
    struct http_answer answer;
    const struct value *v;

    if (cloud_ask(s->c, a, &call, s->c->o.attempts, &answer, st) < 0)
        return -1;
    if (answer.status != 200)
        return st_fail(st, ST_INTERNAL, "storage_denied",
                       "The account %s may not sign addresses (signBlob answers %d).",
                       s->k->id, answer.status);
    if (parse(a, &answer, &v, st) < 0)
        return -1;
    *ret_signature = cloud_unbase64(a, value_get_string(v, "signedBlob", ""));
    return ret_signature->len
               ? 0
               : st_fail(st, ST_INTERNAL, "unavailable", "signBlob gives no signature.");
}

static int sign(void *ctx, struct arena *a, const char *text, struct bytes *ret_signature,
                struct status *st) {
    struct signer *s = ctx;

    if (s->k->secret)
        return crypto_rsa_sign(a, s->k->secret, (struct bytes){text, strlen(text)},
                               ret_signature, st);
    return sign_by_iam(s, a, text, ret_signature, st);
}

static int gcs_presign(struct cloud *c, struct arena *a, enum blob_bucket bucket,
                       const char *key, int ttl_s, const char **ret_url,
                       struct status *st) {
    struct cloud_request rq = {.method = "GET", .origin = gcs_of(c)->origin};
    struct credentials k;
    struct signer signer = {c, &k};

    if (gcs_of(c)->is_emulator)
        return 1;
    if (credentials_get(c->credentials, a, &k, st) < 0)
        return -1;
    rq.path = arena_printf(a, "/%s/%s", c->bucket[bucket], cloud_encode(a, key, true));
    cloud_param(&rq, "response-content-disposition", "attachment");
    if (goog4_presign(a, k.id, clock_now_ms(c->o.clock), &rq, ttl_s < 1 ? 1 : ttl_s, sign,
                      &signer, ret_url, st) == 0)
        return 0;
    if (!st->key || strcmp(st->key, "storage_denied") != 0)
        return -1;
    st_clear(st);
    return 1;
}

static const struct cloud_ops gcs_cloud_ops = {
    .title = "Google Cloud Storage",
    .authorize = gcs_authorize,
    .address = gcs_address,
    .version_header = "x-goog-generation",
    .require_version = gcs_require_version,
    .error_code = gcs_error_code,
    .is_missing_bucket = gcs_is_missing_bucket,
    .put = gcs_put,
    .begin = gcs_begin,
    .part = gcs_part,
    .finish = gcs_finish,
    .abandon = gcs_abandon,
    .list_page = gcs_list_page,
    .presign = gcs_presign,
};

static void gcs_close(struct blob *b) {
    struct gcs *s = (struct gcs *)b;

    cloud_fini(&s->cloud);
    free(s);
}

static const struct blob_ops gcs_ops = {
    .scheme = "gcs",
    .write = cloud_write,
    .open = cloud_open,
    .stat = gcs_stat,
    .remove = gcs_remove,
    .list = cloud_list,
    .url = cloud_url,
    .ping = cloud_ping,
    .describe = cloud_describe,
    .close = gcs_close,
};

int blob_open_gcs(const struct blob_cloud_options *o, struct blob **ret_blob,
                  struct status *st) {
    struct gcs *s = calloc(1, sizeof(*s));
    const struct config *c = o->config;

    (void)st;
    if (!s)
        abort();
    cloud_init(&s->cloud, o, &gcs_cloud_ops, &gcs_ops, gcs_credentials);
    s->origin = c->storage_emulator_host ? c->storage_emulator_host : ORIGIN;
    s->is_emulator = c->storage_emulator_host && !c->google_cloud_keyfile &&
                     !c->google_application_credentials;
    *ret_blob = &s->cloud.base;
    return 0;
}
