/*
 * http_cors.c - cross-origin answers: the public clients run on customers' pages, always
 * with bearer tokens, never with cookies, hence "*" is enough and the default.
 */
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "http_server_priv.h"

/* NULL when the origin may not read our answers. */
static const char *allow_origin(const struct cors *c, const char *origin) {
    const char *p = c->allowed;
    size_t len;

    if (!p)
        return NULL;
    if (strcmp(p, "*") == 0)
        return "*";
    if (!origin)
        return NULL;
    len = strlen(origin);
    while (*p) {
        size_t n = strcspn(p, ", ");

        if (n == len && strncasecmp(p, origin, len) == 0)
            return origin;
        p += n;
        p += strspn(p, ", ");
    }
    return NULL;
}

void cors_headers(const struct cors *c, const char *origin, struct reply *rp) {
    const char *allow = allow_origin(c, origin);

    if (c->allowed && strcmp(c->allowed, "*") != 0)
        reply_header(rp, "Vary", "Origin");
    if (!allow)
        return;
    reply_header(rp, "Access-Control-Allow-Origin", allow);
    if (origin)
        reply_header(rp, "Access-Control-Expose-Headers", "*");
}

/* A list of header names, as browsers send it. */
static bool is_name_list(const char *s) {
    return strlen(s) <= 1000 && strspn(s, "abcdefghijklmnopqrstuvwxyz"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_, ") == strlen(s);
}

void cors_preflight(const struct cors *c, const char *origin, const char *want_headers,
                    struct reply *rp) {
    reply_empty(rp, 204);
    cors_headers(c, origin, rp);
    if (!allow_origin(c, origin))
        return;
    reply_header(rp, "Access-Control-Allow-Methods",
                 "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS");
    if (want_headers && *want_headers && is_name_list(want_headers))
        reply_header(rp, "Access-Control-Allow-Headers", want_headers);
    else
        reply_header(rp, "Access-Control-Allow-Headers",
                     "authorization, membrane-api-version, content-type");
    reply_header(rp, "Access-Control-Max-Age", "86400");
}
