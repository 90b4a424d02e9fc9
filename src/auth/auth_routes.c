#include "auth_api.h"
#include "auth.h"
#include "http/http.h"
#include "http/http_server.h"

static const struct route routes[] = {
#define ROUTE(m, p, h, a, s, q, b, r)                                                    \
    {.method = HTTP_##m,                                                                 \
     .pattern = p,                                                                       \
     .handler = h,                                                                       \
     .access = ACCESS_##a,                                                               \
     .summary = s,                                                                       \
     .query = q,                                                                         \
     .body = b,                                                                          \
     .response = r},
#include "routes.def"
};

void auth_routes(struct http_router *r) {
    http_router_add(r, routes, sizeof(routes) / sizeof(*routes));
}
