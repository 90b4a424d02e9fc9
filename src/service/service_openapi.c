/*
 * The description of the API, made from the rows that dispatch.
 */
#include <string.h>

#include "base/arena.h"
#include "config/config.h"
#include "http/http.h"
#include "http/http_openapi.h"
#include "http/http_server.h"
#include "model/model_routes.h"
#include "service_priv.h"

/* Bodies and answers that are no elements. */
static const struct http_schema schemas[] = {
#define SCHEMA(name, fields) {name, fields, NULL},
#include "schemas.def"
#undef SCHEMA
};
enum { SCHEMAS_LEN = sizeof(schemas) / sizeof(*schemas) };

/* Made from the rows when asked for: nobody asks often. */
static int openapi(struct request *rq, struct reply *rp, struct status *st) {
    struct http_schema all[SCHEMAS_LEN + MODEL_SCHEMAS_MAX];
    size_t n = model_schemas(rq->arena, all);

    (void)st;
    memcpy(all + n, schemas, sizeof(schemas));
    return reply_json(rp, 200,
                      http_openapi(rq->arena, rq->route->data, all, n + SCHEMAS_LEN,
                                   "Membrane", MEMBRANE_VERSION,
                                   rq->deps->config->base_uri));
}

void service_openapi_routes(struct arena *a, struct http_router *r) {
    const struct route rows[] = {
        {.method = HTTP_GET,
         .pattern = "/openapi.json",
         .handler = openapi,
         .flags = ROUTE_UNDOCUMENTED,
         .summary = "This API as OpenAPI 3.0.",
         .data = r},
        {.method = HTTP_GET,
         .pattern = "/docs-json",
         .handler = openapi,
         .flags = ROUTE_UNDOCUMENTED,
         .summary = "The same.",
         .data = r},
    };

    http_router_add(r, (const struct route *)arena_memdup(a, rows, sizeof(rows)), 2);
}
