/*
 * The description of the API, made from the rows that dispatch.
 */
#include "base/arena.h"
#include "config/config.h"
#include "http/http.h"
#include "http/http_openapi.h"
#include "http/http_server.h"
#include "service_priv.h"

/* Made from the rows when asked for: nobody asks often. */
static int openapi(struct request *rq, struct reply *rp, struct status *st) {
    (void)st;
    return reply_json(rp, 200,
                      http_openapi(rq->arena, rq->route->data, NULL, 0, "Membrane",
                                   MEMBRANE_VERSION, rq->deps->config->base_uri));
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
