/*
 * http_request.c - what handlers read from a request.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/status.h"
#include "http.h"
#include "http_priv.h"
#include "value/value.h"

const char *request_header(const struct request *rq, const char *name) {
    return rq->connection ? rq->connection->header(rq->connection, name) : NULL;
}

void request_each_header(const struct request *rq,
                         void (*fn)(void *ctx, const char *name, const char *value),
                         void *ctx) {
    if (rq->connection)
        rq->connection->each_header(rq->connection, fn, ctx);
}

/* ---- body ---- */

/* What curl -d and careless clients send as a form is often JSON. */
static bool looks_like_json(struct bytes body) {
    size_t i = 0;

    while (i < body.len && strchr(" \t\r\n", body.data[i]))
        i++;
    return i < body.len && (body.data[i] == '{' || body.data[i] == '[');
}

static int parse_body(struct request *rq, const struct value **ret_body,
                      struct status *st) {
    const char *type = request_header(rq, "Content-Type");

    if (rq->body.len == 0) {
        *ret_body = &value_undefined;
        return 0;
    }
    if (http_media_type_is(type, "application/x-www-form-urlencoded")) {
        if (looks_like_json(rq->body) &&
            value_parse(rq->arena, rq->body.data, rq->body.len, NULL, ret_body, st) == 0)
            return 0;
        st_clear(st);
        return http_query_parse(rq->arena, rq->body.data, rq->body.len, ret_body, st);
    }
    if (value_parse(rq->arena, rq->body.data, rq->body.len, NULL, ret_body, st) < 0)
        return st_context(st, "The request body is not valid JSON");
    return 0;
}

int request_json(struct request *rq, const struct value **ret_body, struct status *st) {
    if (!rq->json && parse_body(rq, &rq->json, st) < 0)
        return -1;
    *ret_body = rq->json;
    return 0;
}

int request_object(struct request *rq, const struct value **ret_body, struct status *st) {
    const struct value *v;

    if (request_json(rq, &v, st) < 0)
        return -1;
    if (value_is(v, VALUE_UNDEFINED))
        v = &value_empty_object;
    if (!value_is_object(v))
        return st_fail(st, ST_BAD_REQUEST, NULL, "The request body must be an object");
    *ret_body = v;
    return 0;
}

/* ---- query ---- */

const char *request_query(const struct request *rq, const char *name) {
    const char *text = value_text(value_get(rq->query, name));

    return text && text[strspn(text, " \t\r\n")] ? text : NULL;
}

bool request_query_bool(const struct request *rq, const char *name, bool otherwise) {
    const char *text = value_text(value_get(rq->query, name));

    if (!text)
        return otherwise;
    return *text && strcasecmp(text, "false") != 0 && strcmp(text, "0") != 0;
}

int request_query_int(const struct request *rq, const char *name, int64_t min,
                      int64_t max, int64_t otherwise, int64_t *ret_n, struct status *st) {
    const char *text = request_query(rq, name);
    long long n;
    char *end;

    if (!text) {
        *ret_n = otherwise;
        return 0;
    }
    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < min || n > max || isspace(*text))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "Query field \"%s\" must be an integer from %lld to %lld", name,
                       (long long)min, (long long)max);
    *ret_n = n;
    return 0;
}
