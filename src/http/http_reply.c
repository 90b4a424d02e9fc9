/*
 * http_reply.c - what handlers fill in.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "http.h"
#include "value/value.h"
#include "value/value_status.h"

static const char json_type[] = "application/json; charset=utf-8";

int reply_bytes(struct reply *rp, int status, const char *content_type,
                struct bytes body) {
    assert(!rp->pull);
    rp->status = status;
    rp->content_type = content_type;
    rp->body = body;
    return 0;
}

int reply_json(struct reply *rp, int status, const struct value *v) {
    struct buf b = BUF_INIT;

    value_encode(&b, v, VALUE_ENCODE_COMPACT);
    if (b.data)
        arena_defer(rp->arena, free, b.data);
    return reply_bytes(rp, status, json_type, (struct bytes){b.data, b.len});
}

int reply_text(struct reply *rp, int status, const char *content_type, const char *text) {
    return reply_bytes(rp, status, content_type, (struct bytes){text, strlen(text)});
}

int reply_empty(struct reply *rp, int status) {
    return reply_bytes(rp, status, NULL, (struct bytes){NULL, 0});
}

/* A line break in a value would be a header of its own. */
static bool is_header_text(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < ' ' && *s != '\t')
            return false;
    return true;
}

void reply_header(struct reply *rp, const char *name, const char *value) {
    struct reply_header *h, **end;

    if (!*name || !is_header_text(name) || !is_header_text(value))
        return;
    h = arena_alloc(rp->arena, sizeof(*h));
    h->name = arena_strdup(rp->arena, name);
    h->value = arena_strdup(rp->arena, value);
    h->next = NULL;
    for (end = &rp->headers; *end; end = &(*end)->next)
        ;
    *end = h;
}

int reply_stream(struct reply *rp, int status, const char *content_type,
                 int (*pull)(void *, char *, size_t, size_t *, struct status *),
                 void (*done)(void *), void *ctx) {
    reply_empty(rp, status);
    rp->content_type = content_type;
    rp->pull = pull;
    rp->pull_done = done;
    rp->pull_ctx = ctx;
    return 0;
}

void reply_error(struct reply *rp, const struct status *st) {
    struct buf b = BUF_INIT;

    value_encode(&b, value_from_status(rp->arena, st), VALUE_ENCODE_COMPACT);
    arena_defer(rp->arena, free, b.data);
    reply_bytes(rp, st_http_code(st), json_type, (struct bytes){b.data, b.len});
}
