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

/*
 * A schema that rows name in `body` and `response`. Its text is either JSON in the
 * dialect of OpenAPI 3.0, which refers to others as "#/components/schemas/Name", or the
 * compact form "id*:string, size:integer, tags:string[], state:on|off, owner:Customer,
 * meta": a star for what is always there, no type for any value, another schema's name
 * for its type. Or it comes as a value.
 */
struct http_schema {
    const char *name; /* "data-source" is called DataSource */
    const char *text;
    const struct value *value; /* instead of text; or NULL */
};

/*
 * An OpenAPI 3.0 document. In rows, `query` is "limit:integer, search, flag:boolean" (no
 * type: text) and `body` or `response` may be "Name[]", an array, or "Page<Name>", a page
 * of a list. A name without a schema stands for any object. base_uri may be NULL. Broken
 * schema text is a broken promise.
 */
const struct value *http_openapi(struct arena *a, const struct http_router *r,
                                 const struct http_schema *schemas, size_t n,
                                 const char *title, const char *version,
                                 const char *base_uri);

/* "GET /flows/{id}", a line per row; {name*} is printed as {name}, every method as ANY.
 */
void http_print_routes(const struct http_router *r, FILE *out);

#endif
