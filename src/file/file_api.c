/*
 * file_api.c - objects as browsers reach them through the API: those of the directory
 * backend, and of clouds whose credentials can't sign addresses; and temporary files of
 * callers.
 *
 * Uploaded bytes are somebody's: they are served as a download, never as a page of this
 * origin, with nosniff and without any right to run.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "config/config.h"
#include "deps/deps.h"
#include "file.h"
#include "http/http.h"
#include "http/http_server.h"
#include "value/value.h"

enum { MAX_WHOLE_BYTES = 256 * 1024, DOWNLOAD_TTL_S = 24 * 3600 };

/* The last segment of a name, with what can't be in a key replaced. */
static const char *safe_name(struct arena *a, const char *name) {
    const char *slash = name ? strrchr(name, '/') : NULL;
    char *s;

    if (slash)
        name = slash + 1;
    if (!name || !*name || *name == '.')
        return "file";
    s = arena_strdup(a, name);
    if (strlen(s) > 100)
        s += strlen(s) - 100;
    for (char *p = s; *p; p++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
                    *p))
            *p = '_';
    return *s == '.' ? "file" : s;
}

static int upload(struct request *rq, struct reply *rp, struct status *st) {
    const char *type = request_header(rq, "content-type"),
               *name = request_query(rq, "name");
    struct bytes body = rq->body;
    struct request_part part;
    const char *key, *uri;

    if (type && strncasecmp(type, "multipart/form-data", 19) == 0) {
        int rc = request_part(rq, NULL, &part, st);

        if (rc < 0)
            return -1;
        if (rc == 1)
            return st_fail(st, ST_BAD_REQUEST, NULL, "the form holds no file");
        body = part.body;
        type = part.content_type;
        if (!name)
            name = part.filename;
    }
    key = arena_printf(rq->arena, "files/%s/%s/%s", rq->caller->workspace_id,
                       token_new(rq->deps->rand, rq->arena, 16),
                       safe_name(rq->arena, name));
    if (blob_put(rq->deps->blob, BLOB_TMP, key, body, type, st) < 0 ||
        blob_url(rq->deps->blob, rq->arena, BLOB_TMP, key, DOWNLOAD_TTL_S, &uri, st) < 0)
        return -1;
    return reply_json(rp, 200,
                      value_obj(rq->arena, "downloadUri", value_string(rq->arena, uri),
                                "uri", value_string(rq->arena, uri), NULL));
}

static int bucket_from_name(const char *name) {
    for (int i = BLOB_TMP; i <= BLOB_STATIC; i++)
        if (strcmp(blob_bucket_name((enum blob_bucket)i), name) == 0)
            return i;
    return -1;
}

/* Small objects in one piece, which carries a length; others as they come. */
static int reply_object(struct reply *rp, struct blob_reader *r,
                        const struct blob_info *info, struct status *st) {
    const char *type =
        info->content_type ? info->content_type : "application/octet-stream";
    size_t len = 0, n = 1;
    char *data;

    if (info->size_bytes > MAX_WHOLE_BYTES)
        return reply_stream(rp, 200, type, blob_reader_pull, blob_reader_close, r);
    arena_defer(rp->arena, blob_reader_close, r);
    data = arena_alloc(rp->arena, (size_t)info->size_bytes + 1);
    while (n > 0 && len < info->size_bytes) {
        if (blob_reader_pull(r, data + len, (size_t)info->size_bytes - len, &n, st) < 0)
            return -1;
        len += n;
    }
    return reply_bytes(rp, 200, type, (struct bytes){data, len});
}

static int serve(struct request *rq, struct reply *rp, enum blob_bucket bucket,
                 const char *key, struct status *st) {
    struct blob_reader *r = NULL;
    struct blob_info info = {0};
    int rc = blob_key_valid(key)
                 ? blob_open_reader(rq->deps->blob, rq->arena, bucket, key, &r, &info, st)
                 : 1;

    if (rc < 0)
        return -1;
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "there is no such file");
    reply_header(rp, "X-Content-Type-Options", "nosniff");
    reply_header(rp, "Content-Security-Policy", "default-src 'none'; sandbox");
    return reply_object(rp, r, &info, st);
}

/* The key as it is stored: a {name*} parameter comes percent-encoded. */
static const char *decoded(struct arena *a, const char *s) {
    char *out = arena_strdup(a, s), *to = out;

    for (const char *p = s; *p; p++) {
        char hex[3] = {p[0] == '%' ? p[1] : '\0', p[0] == '%' && p[1] ? p[2] : '\0',
                       '\0'};
        char *end;
        long c = strtol(hex, &end, 16);

        if (*p == '%' && end == hex + 2 && c > 0) {
            *to++ = (char)c;
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return out;
}

static int download(struct request *rq, struct reply *rp, struct status *st) {
    const char *key = decoded(rq->arena, rq->param[1]);
    const char *signature = request_query(rq, "signature");
    int bucket = bucket_from_name(rq->param[0]);
    int64_t expires;

    if (request_query_int(rq, "expires", 0, INT64_MAX, 0, &expires, st) < 0)
        return -1;
    if (bucket < 0 || !signature ||
        !blob_check_signature(rq->deps->blob, (enum blob_bucket)bucket, key, expires,
                              signature))
        return st_fail(st, ST_BAD_REQUEST, "access_denied",
                       "the link is not valid, or no longer");
    reply_header(rp, "Content-Disposition", "attachment");
    reply_header(rp, "Cache-Control", "private, no-store");
    return serve(rq, rp, (enum blob_bucket)bucket, key, st);
}

/* Where the public address of static files is another, callers are sent there. */
static int static_file(struct request *rq, struct reply *rp, struct status *st) {
    const char *key = decoded(rq->arena, rq->param[0]);
    const char *base = rq->deps->config->base_uri, *url;

    if (blob_key_valid(key)) {
        if (blob_url(rq->deps->blob, rq->arena, BLOB_STATIC, key, 0, &url, st) < 0)
            return -1;
        if (strncmp(url, base, strlen(base)) != 0) {
            reply_header(rp, "Location", url);
            return reply_empty(rp, 302);
        }
    }
    reply_header(rp, "Cache-Control", "public, max-age=300");
    return serve(rq, rp, BLOB_STATIC, key, st);
}

/* clang-format off */
static const struct route rows[] = {
    {HTTP_POST, "/files",                upload,      ACCESS_CUSTOMER, ROUTE_RAW_BODY, "Keeps a temporary file and gives a link to it.", "name", NULL, "File", NULL},
    {HTTP_GET,  "/files/{bucket}/{key*}", download,   ACCESS_NONE, ROUTE_UNDOCUMENTED, "A file behind a signed link.", "expires,signature", NULL, NULL, NULL},
    {HTTP_GET,  "/static/{key*}",        static_file, ACCESS_NONE, ROUTE_UNDOCUMENTED, "A public file.", NULL, NULL, NULL, NULL},
};
/* clang-format on */

void file_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
