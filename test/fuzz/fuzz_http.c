/*
 * What we parse of a request ourselves: the first byte chooses between a query string, a
 * path against a few rows, a multipart body (its first line is the boundary), a form, and
 * an address list. Texts that come out must be UTF-8 without NUL.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/status.h"
#include "http/http_address.h"
#include "http/http_priv.h"
#include "http/http_server.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int no_handler(struct request *rq, struct reply *rp, struct status *st) {
    (void)rq, (void)rp, (void)st;
    return 0;
}

#define ROW(m, p)                                                                        \
    { .method = HTTP_##m, .pattern = p, .handler = no_handler }

static const struct route rows[] = {
    ROW(GET, "/"),
    ROW(GET, "/a/{x}/b"),
    ROW(POST, "/a/b/{y}"),
    ROW(PUT, "/a/{x}/{y}/c={z}"),
    ROW(ANY, "/p/{x}/{rest*}"),
};

struct connection {
    struct http_connection base;
    const char *content_type;
};

static const char *header(struct http_connection *c, const char *name) {
    return strcasecmp(name, "content-type") == 0 ? ((struct connection *)c)->content_type
                                                 : NULL;
}

/* A query's result holds texts, arrays and objects only, no deeper than its brackets. */
static void check_query(const struct value *v, int depth) {
    if (depth > HTTP_MAX_QUERY_DEPTH + 1)
        abort();
    for (VALUE_EACH_MEMBER(m, v)) {
        if (memchr(m->key, '\0', m->key_len))
            abort();
        check_query(&m->value, depth + 1);
    }
    for (VALUE_EACH_ITEM(item, v))
        check_query(item, depth + 1);
    if (value_is_string(v) && (memchr(v->str, '\0', v->len) || v->str[v->len]))
        abort();
    if (!value_is_string(v) && !value_is_array(v) && !value_is_object(v))
        abort();
}

static void fuzz_path(struct arena *a, const char *text) {
    struct http_router *r = http_router_new();
    const char *param[HTTP_MAX_PARAMS], *allow;
    const struct route *row;

    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
    for (enum http_method m = HTTP_GET; m < HTTP_ANY; m++)
        if (http_router_match(r, m, text, a, &row, param, &allow) == 0)
            for (int i = 0; i < HTTP_MAX_PARAMS && param[i]; i++)
                if (strlen(param[i]) > 3 * strlen(text))
                    abort();
    http_router_free(&r);
}

static void fuzz_multipart(struct arena *a, const char *text, size_t size,
                           struct status *st) {
    size_t line = strcspn(text, "\n");
    struct connection c = {.base.header = header};
    struct request rq = {.arena = a, .connection = &c.base};
    struct request_part part;

    c.content_type =
        arena_printf(a, "multipart/form-data; boundary=%.*s", (int)line, text);
    if (line < size)
        rq.body = (struct bytes){text + line + 1, size - line - 1};
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {NULL, "file", "x"};

        if (request_part(&rq, names[i], &part, st) == 0 && part.body.len > 0 &&
            (part.body.data < rq.body.data ||
             part.body.data + part.body.len > rq.body.data + rq.body.len))
            abort();
    }
}

static void fuzz_list(struct arena *a, const char *text, struct status *st) {
    const struct address_list *l;

    http_address_class_text(text);
    if (http_address_list_parse(a, text, &l, st) == 0) {
        http_address_list_has_text(l, "10.0.0.1");
        http_address_list_has_text(l, "fd00::1");
        http_address_list_has_name(l, "a.b");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new(0);
    const struct value *v;
    struct status st;
    const char *text;

    if (size > 0) {
        st_init(&st, a);
        text = arena_memdup(a, data + 1, size - 1);
        switch (data[0] % 4) {
        case 0:
            if (http_query_parse(a, text, size - 1, &v, &st) == 0)
                check_query(v, 0);
            break;
        case 1:
            fuzz_path(a, text);
            break;
        case 2:
            fuzz_multipart(a, text, size - 1, &st);
            break;
        default:
            fuzz_list(a, text, &st);
            break;
        }
    }
    arena_free(&a);
    return 0;
}
