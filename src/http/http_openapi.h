/*
 * http_openapi.h - what is known of the routes, for people and programs: openapi.json and
 * `membrane routes`, both from the rows that dispatch.
 */
#ifndef HTTP_HTTP_OPENAPI_H
#define HTTP_HTTP_OPENAPI_H

#include <stddef.h>
#include <stdio.h>

struct arena;
struct http_router;
struct value;

/* A schema that rows name in `body` and `response`: JSON text in the dialect of OpenAPI
   3.0; refers to others as "#/components/schemas/Name". */
struct http_schema {
    const char *name;
    const char *json;
};

/*
 * An OpenAPI 3.0 document. In rows, `query` is "limit:integer, search, flag:boolean" (no
 * type: text) and `body` or `response` may be "Name[]", an array. A name without a schema
 * stands for any object. base_uri may be NULL. Broken schema text is a broken promise.
 */
const struct value *http_openapi(struct arena *a, const struct http_router *r,
                                 const struct http_schema *schemas, size_t n,
                                 const char *title, const char *version,
                                 const char *base_uri);

/* "GET /flows/{id}", a line per row; {name*} is printed as {name}, every method as ANY.
 */
void http_print_routes(const struct http_router *r, FILE *out);

#endif
