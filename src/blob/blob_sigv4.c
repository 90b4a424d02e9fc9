#include "blob_sigv4.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "crypto/crypto_hash.h"

/* What is signed of the request, and in what words. */
struct dialect {
    const char *algorithm; /* "AWS4-HMAC-SHA256" */
    const char *prefix;    /* of query fields: "X-Amz-" */
    const char *end;       /* of the scope: "aws4_request" */
};
static const struct dialect aws = {"AWS4-HMAC-SHA256", "X-Amz-", "aws4_request"};
static const struct dialect goog = {"GOOG4-RSA-SHA256", "X-Goog-", "goog4_request"};

static const char *host_of(const struct cloud_request *rq) {
    return strstr(rq->origin, "://") + 3;
}

static int by_name(const void *x, const void *y) {
    return strcmp(((const struct http_header *)x)->name,
                  ((const struct http_header *)y)->name);
}

static const char *lower(struct arena *a, const char *s) {
    char *out = arena_strdup(a, s);

    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return out;
}

/* Host and every header of the request, lower case, sorted; names joined by ';'. */
static void canonical_headers(struct arena *a, const struct cloud_request *rq,
                              const char **ret_lines, const char **ret_names) {
    struct http_header sorted[CLOUD_MAX_FIELDS + 1];
    struct buf lines = BUF_INIT, names = BUF_INIT;
    size_t n = 0;

    sorted[n++] = (struct http_header){"host", host_of(rq)};
    for (size_t i = 0; i < rq->headers_len; i++)
        sorted[n++] =
            (struct http_header){lower(a, rq->headers[i].name), rq->headers[i].value};
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (size_t i = 0; i < n; i++) {
        buf_addf(&lines, "%s:%s\n", sorted[i].name, sorted[i].value);
        buf_addf(&names, "%s%s", i ? ";" : "", sorted[i].name);
    }
    *ret_lines = buf_to_arena(&lines, a).data;
    *ret_names = buf_to_arena(&names, a).data;
    buf_fini(&lines);
    buf_fini(&names);
}

static const char *scope_of(struct arena *a, const struct dialect *d, const char *date,
                            const char *region, const char *service) {
    return arena_printf(a, "%.8s/%s/%s/%s", date, region, service, d->end);
}

static const char *text_to_sign(struct arena *a, const struct dialect *d,
                                const struct cloud_request *rq, const char *date,
                                const char *scope, const char *payload_hash) {
    const char *lines, *names, *canonical;

    canonical_headers(a, rq, &lines, &names);
    canonical =
        arena_printf(a, "%s\n%s\n%s\n%s\n%s\n%s", rq->method, *rq->path ? rq->path : "/",
                     cloud_query(a, rq), lines, names, payload_hash);
    return arena_printf(a, "%s\n%s\n%s\n%s", d->algorithm, date, scope,
                        crypto_sha256_hex(a, canonical));
}

static struct bytes text_bytes(const char *s) {
    return (struct bytes){s, strlen(s)};
}

static const char *hmac_signature(struct arena *a, const struct sigv4 *s,
                                  const char *date, const char *text) {
    const char *secret = arena_printf(a, "AWS4%s", s->credentials->secret);
    unsigned char key[CRYPTO_SHA256_LEN], next[CRYPTO_SHA256_LEN];
    const char *const steps[] = {s->region, s->service, aws.end};

    crypto_hmac_sha256(text_bytes(secret), (struct bytes){date, 8}, key);
    for (size_t i = 0; i < 3; i++) {
        crypto_hmac_sha256((struct bytes){(const char *)key, sizeof(key)},
                           text_bytes(steps[i]), next);
        memcpy(key, next, sizeof(key));
    }
    return crypto_hmac_sha256_hex(a, (struct bytes){(const char *)key, sizeof(key)},
                                  text_bytes(text));
}

void sigv4_sign(struct arena *a, const struct sigv4 *s, struct cloud_request *rq) {
    const char *date = cloud_basic_date(a, s->now_ms);
    const char *scope = scope_of(a, &aws, date, s->region, s->service);
    const char *hash, *lines, *names, *text;
    unsigned char digest[CRYPTO_SHA256_LEN];

    crypto_sha256(rq->body.data, rq->body.len, digest);
    hash = crypto_hex(a, digest, sizeof(digest));
    cloud_header(rq, "x-amz-date", date);
    cloud_header(rq, "x-amz-content-sha256", hash);
    if (s->credentials->token)
        cloud_header(rq, "x-amz-security-token", s->credentials->token);
    canonical_headers(a, rq, &lines, &names);
    text = text_to_sign(a, &aws, rq, date, scope, hash);
    cloud_header(rq, "Authorization",
                 arena_printf(a, "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                              aws.algorithm, s->credentials->id, scope, names,
                              hmac_signature(a, s, date, text)));
}

/* The query fields that stand in for headers. Gives the text to sign. */
static const char *presign_fields(struct arena *a, const struct dialect *d,
                                  const char *who, const char *date, const char *scope,
                                  const char *token, int ttl_s,
                                  struct cloud_request *rq) {
    const char *p = d->prefix;

    cloud_param(rq, arena_printf(a, "%sAlgorithm", p), d->algorithm);
    cloud_param(rq, arena_printf(a, "%sCredential", p),
                arena_printf(a, "%s/%s", who, scope));
    cloud_param(rq, arena_printf(a, "%sDate", p), date);
    cloud_param(rq, arena_printf(a, "%sExpires", p), arena_printf(a, "%d", ttl_s));
    cloud_param(rq, arena_printf(a, "%sSignedHeaders", p), "host");
    if (token)
        cloud_param(rq, arena_printf(a, "%sSecurity-Token", p), token);
    return text_to_sign(a, d, rq, date, scope, "UNSIGNED-PAYLOAD");
}

static const char *presigned(struct arena *a, const struct dialect *d,
                             const struct cloud_request *rq, const char *signature) {
    return arena_printf(a, "%s%s?%s&%sSignature=%s", rq->origin, rq->path,
                        cloud_query(a, rq), d->prefix, signature);
}

const char *sigv4_presign(struct arena *a, const struct sigv4 *s,
                          struct cloud_request *rq, int ttl_s) {
    const char *date = cloud_basic_date(a, s->now_ms);
    const char *scope = scope_of(a, &aws, date, s->region, s->service);
    const char *text = presign_fields(a, &aws, s->credentials->id, date, scope,
                                      s->credentials->token, ttl_s, rq);

    return presigned(a, &aws, rq, hmac_signature(a, s, date, text));
}

int goog4_presign(struct arena *a, const char *account, int64_t now_ms,
                  struct cloud_request *rq, int ttl_s,
                  int (*sign)(void *ctx, struct arena *a, const char *text,
                              struct bytes *ret_signature, struct status *st),
                  void *ctx, const char **ret_url, struct status *st) {
    const char *date = cloud_basic_date(a, now_ms);
    const char *scope = scope_of(a, &goog, date, "auto", "storage");
    const char *text = presign_fields(a, &goog, account, date, scope, NULL, ttl_s, rq);
    struct bytes signature;

    if (sign(ctx, a, text, &signature, st) < 0)
        return -1;
    *ret_url = presigned(a, &goog, rq, crypto_hex(a, signature.data, signature.len));
    return 0;
}
