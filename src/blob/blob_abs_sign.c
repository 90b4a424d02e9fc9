/*
 * blob_abs_sign.c - signatures of Azure Storage: Shared Key for requests, service and
 * user delegation SAS for addresses.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob_abs.h"
#include "blob_xml.h"
#include "crypto/crypto_hash.h"

static const char *hmac_base64(struct arena *a, const char *key, const char *text) {
    struct bytes secret = cloud_unbase64(a, key);
    unsigned char digest[CRYPTO_SHA256_LEN];

    crypto_hmac_sha256(secret, (struct bytes){text, strlen(text)}, digest);
    return cloud_base64(a, digest, sizeof(digest));
}

/* ---- Shared Key ---- */

static const char *header(const struct cloud_request *rq, const char *name) {
    for (size_t i = 0; i < rq->headers_len; i++)
        if (strcasecmp(rq->headers[i].name, name) == 0)
            return rq->headers[i].value;
    return "";
}

static int by_name(const void *x, const void *y) {
    return strcmp(((const struct http_header *)x)->name,
                  ((const struct http_header *)y)->name);
}

/* The x-ms- headers, lower case as we write them, sorted. */
static void add_headers(struct buf *b, const struct cloud_request *rq) {
    struct http_header sorted[CLOUD_MAX_FIELDS];
    size_t n = 0;

    for (size_t i = 0; i < rq->headers_len; i++)
        if (strncmp(rq->headers[i].name, "x-ms-", 5) == 0)
            sorted[n++] = rq->headers[i];
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (size_t i = 0; i < n; i++)
        buf_addf(b, "%s:%s\n", sorted[i].name, sorted[i].value);
}

static void add_resource(struct buf *b, const struct abs *s,
                         const struct cloud_request *rq) {
    struct http_header sorted[CLOUD_MAX_FIELDS];

    buf_addf(b, "/%s%s", s->account, *rq->path ? rq->path : "/");
    memcpy(sorted, rq->params, rq->params_len * sizeof(*sorted));
    qsort(sorted, rq->params_len, sizeof(*sorted), by_name);
    for (size_t i = 0; i < rq->params_len; i++)
        buf_addf(b, "\n%s:%s", sorted[i].name, sorted[i].value);
}

void abs_sign(struct abs *s, struct arena *a, struct cloud_request *rq) {
    struct buf b = BUF_INIT;

    buf_addf(&b, "%s\n\n\n", rq->method); /* Content-Encoding, Content-Language */
    if (rq->body.len)
        buf_addf(&b, "%zu", rq->body.len);
    buf_addf(&b, "\n\n%s\n\n", header(rq, "Content-Type")); /* MD5; Date is x-ms-date */
    buf_addf(&b, "\n%s\n\n\n%s\n", header(rq, "If-Match"), header(rq, "Range"));
    add_headers(&b, rq);
    add_resource(&b, s, rq);
    cloud_header(
        rq, "Authorization",
        arena_printf(a, "SharedKey %s:%s", s->account, hmac_base64(a, s->key, b.data)));
    buf_fini(&b);
}

/* ---- SAS ---- */

static const char *decoded(struct arena *a, const char *s, size_t len) {
    char *out = arena_memdup(a, s, len), *to = out;

    for (const char *p = out; *p; p++) {
        if (*p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
            char hex[3] = {p[1], p[2], '\0'};

            *to++ = (char)strtol(hex, NULL, 16);
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return out;
}

void abs_add_sas(struct arena *a, const char *sas, struct cloud_request *rq) {
    if (*sas == '?')
        sas++;
    while (*sas && rq->params_len < CLOUD_MAX_FIELDS) {
        size_t len = strcspn(sas, "&"), name = strcspn(sas, "=&");

        if (name < len)
            cloud_param(rq, decoded(a, sas, name),
                        decoded(a, sas + name + 1, len - name - 1));
        sas += len + (sas[len] == '&');
    }
}

/* What both kinds of SAS say, in their order. */
struct grant {
    const char *start, *expiry, *resource;
};

static const char *grant_tail(struct arena *a) {
    /* ip, protocol, version, resource kind, snapshot, encryption scope, and the five
       headers that the answer shall have; only the disposition is set */
    return arena_printf(a, "\n\n%s\nb\n\n\n\nattachment\n\n\n", ABS_VERSION);
}

static void grant_params(const struct grant *g, struct cloud_request *rq) {
    cloud_param(rq, "sv", ABS_VERSION);
    cloud_param(rq, "sr", "b");
    cloud_param(rq, "sp", "r");
    cloud_param(rq, "st", g->start);
    cloud_param(rq, "se", g->expiry);
    cloud_param(rq, "rscd", "attachment");
}

static void sign_by_key(struct abs *s, struct arena *a, const struct grant *g,
                        struct cloud_request *rq) {
    const char *text = arena_printf(a, "r\n%s\n%s\n%s\n\n%s", g->start, g->expiry,
                                    g->resource, grant_tail(a));

    cloud_param(rq, "sig", hmac_base64(a, s->key, text));
}

/* ---- User delegation ---- */

enum { DAY_MS = 24 * 3600 * 1000, DELEGATION_DAYS = 7 };

static int ask_delegation(struct abs *s, struct arena *a, int64_t now_ms,
                          struct abs_delegation *ret, struct status *st) {
    struct cloud_request rq = {.method = "POST", .origin = s->origin};
    const struct xml_node *root;
    struct http_answer answer;

    rq.path = *s->path ? s->path : "/";
    cloud_param(&rq, "restype", "service");
    cloud_param(&rq, "comp", "userdelegationkey");
    cloud_header(&rq, "Content-Type", "application/xml");
    /* A little back, for clocks that differ; a little short of the longest allowed. */
    rq.body.data = arena_printf(
        a, "<KeyInfo><Start>%s</Start><Expiry>%s</Expiry></KeyInfo>",
        cloud_iso_date(a, now_ms - 5 * 60 * 1000),
        cloud_iso_date(a, now_ms + (int64_t)DELEGATION_DAYS * DAY_MS - 60 * 1000));
    rq.body.len = strlen(rq.body.data);
    if (cloud_send(&s->cloud, a, &rq, &answer, st) < 0)
        return -1;
    if (answer.status != 200)
        return cloud_fail(&s->cloud, a, &answer, "Getting a user delegation key", NULL,
                          st);
    if (xml_parse(a, answer.body, &root, st) < 0)
        return -1;
    *ret = (struct abs_delegation){
        .oid = xml_text(root, "SignedOid"),
        .tid = xml_text(root, "SignedTid"),
        .start = xml_text(root, "SignedStart"),
        .expiry = xml_text(root, "SignedExpiry"),
        .service = xml_text(root, "SignedService"),
        .version = xml_text(root, "SignedVersion"),
        .value = xml_text(root, "Value"),
        .expires_ms = cloud_parse_iso_date(xml_text(root, "SignedExpiry")),
    };
    if (!ret->oid || !ret->tid || !ret->start || !ret->expiry || !ret->service ||
        !ret->version || !ret->value || ret->expires_ms < 0)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "Azure Blob Storage gives no user delegation key.");
    return 0;
}

static struct abs_delegation copy_delegation(struct arena *a,
                                             const struct abs_delegation *d) {
    return (struct abs_delegation){
        arena_strdup(a, d->oid),     arena_strdup(a, d->tid),
        arena_strdup(a, d->start),   arena_strdup(a, d->expiry),
        arena_strdup(a, d->service), arena_strdup(a, d->version),
        arena_strdup(a, d->value),   d->expires_ms,
    };
}

/* One that holds at least until then; the last one is kept. */
static int delegation_until(struct abs *s, struct arena *a, int64_t now_ms,
                            int64_t until_ms, struct abs_delegation *ret,
                            struct status *st) {
    int64_t most_ms = now_ms + (int64_t)(DELEGATION_DAYS - 1) * DAY_MS;
    struct arena *fresh_arena;
    struct abs_delegation fresh;
    bool good;

    if (until_ms > most_ms)
        until_ms = most_ms;
    pthread_mutex_lock(&s->mu);
    good = s->delegation.value && s->delegation.expires_ms >= until_ms;
    if (good)
        *ret = copy_delegation(a, &s->delegation);
    pthread_mutex_unlock(&s->mu);
    if (good)
        return 0;
    fresh_arena = arena_new(0);
    if (ask_delegation(s, fresh_arena, now_ms, &fresh, st) < 0) {
        arena_free(&fresh_arena);
        return -1;
    }
    *ret = copy_delegation(a, &fresh);
    pthread_mutex_lock(&s->mu);
    if (s->delegation_arena)
        arena_free(&s->delegation_arena);
    s->delegation_arena = fresh_arena;
    s->delegation = fresh;
    pthread_mutex_unlock(&s->mu);
    return 0;
}

static void sign_by_delegation(struct arena *a, const struct abs_delegation *d,
                               const struct grant *g, struct cloud_request *rq) {
    const char *text =
        arena_printf(a, "r\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n\n\n\n%s", g->start,
                     g->expiry, g->resource, d->oid, d->tid, d->start, d->expiry,
                     d->service, d->version, grant_tail(a));

    cloud_param(rq, "skoid", d->oid);
    cloud_param(rq, "sktid", d->tid);
    cloud_param(rq, "skt", d->start);
    cloud_param(rq, "ske", d->expiry);
    cloud_param(rq, "sks", d->service);
    cloud_param(rq, "skv", d->version);
    cloud_param(rq, "sig", hmac_base64(a, d->value, text));
}

int abs_presign(struct abs *s, struct arena *a, enum blob_bucket bucket, const char *key,
                int ttl_s, const char **ret_url, struct status *st) {
    int64_t now_ms = clock_now_ms(s->cloud.o.clock), until_ms;
    struct cloud_request rq = {.method = "GET"};
    struct abs_delegation d;
    struct grant g;

    if (s->proof == ABS_SAS)
        return 1;
    until_ms = now_ms + (int64_t)(ttl_s < 1 ? 1 : ttl_s) * 1000;
    if (s->proof == ABS_TOKEN) {
        if (delegation_until(s, a, now_ms, until_ms, &d, st) < 0)
            return -1;
        if (until_ms > d.expires_ms)
            until_ms = d.expires_ms;
    }
    g = (struct grant){
        cloud_iso_date(a, now_ms - 5 * 60 * 1000), cloud_iso_date(a, until_ms),
        arena_printf(a, "/blob/%s/%s/%s", s->account, s->cloud.bucket[bucket], key)};
    s->cloud.ops->address(&s->cloud, a, bucket, key, &rq);
    grant_params(&g, &rq);
    if (s->proof == ABS_KEY)
        sign_by_key(s, a, &g, &rq);
    else
        sign_by_delegation(a, &d, &g, &rq);
    *ret_url = arena_printf(a, "%s%s?%s", rq.origin, rq.path, cloud_query(a, &rq));
    return 0;
}
