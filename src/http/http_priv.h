/*
 * http_priv.h - what the files of http/ share: where a request's headers come from, and
 * the text helpers of query strings, forms and paths.
 */
#ifndef HTTP_HTTP_PRIV_H
#define HTTP_HTTP_PRIV_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct status;
struct value;

/* The transport behind a request; first member of the server's own struct. */
struct http_connection {
    /* Case-insensitive; NULL when absent. */
    const char *(*header)(struct http_connection *c, const char *name);
    void (*each_header)(struct http_connection *c,
                        void (*fn)(void *ctx, const char *name, const char *value),
                        void *ctx);
};

enum {
    HTTP_MAX_QUERY_FIELDS = 1000,
    HTTP_MAX_QUERY_DEPTH = 8, /* of brackets */
};

/*
 * Percent-decodes s into the arena; plus: '+' is a space. A '%' without two hex digits
 * stays as it is, because clients send selectors unescaped. Invalid UTF-8 and NUL become
 * U+FFFD, so that the result is text and ends where C thinks it does.
 */
char *http_decode(struct arena *a, const char *s, size_t len, bool plus, size_t *ret_len);

/* Replaces what is no text as http_decode does; s itself when there is nothing to do. */
char *http_clean_text(struct arena *a, char *s, size_t len);

/* The media type of a Content-Type header is `type`, whatever its parameters. */
bool http_media_type_is(const char *content_type, const char *type);

#endif
