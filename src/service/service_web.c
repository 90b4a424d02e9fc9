/*
 * The pages of UI and console. Their addresses are injected when a page is served,
 * because images are prebuilt: /config.json is read by the page at load and never cached.
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"
#include "http/http.h"
#include "http/http_server.h"
#include "service_priv.h"
#include "value/value.h"

static void add_html(struct buf *b, const char *s) {
    for (; *s; s++) {
        if (*s == '<')
            buf_adds(b, "&lt;");
        else if (*s == '&')
            buf_adds(b, "&amp;");
        else if (*s == '"')
            buf_adds(b, "&quot;");
        else
            buf_addc(b, *s);
    }
}

static const char *api_uri(const struct config *c, unsigned services) {
    return services & SERVICE_UI ? c->next_public_engine_uri
                                 : c->next_public_engine_api_uri;
}

/* A page for people and a body for probes, by what the caller accepts. */
static int front_page(struct request *rq, struct reply *rp, struct status *st) {
    const struct service_listener *l = rq->route->data;
    const char *accept = request_header(rq, "Accept");
    const char *title = l->services & SERVICE_UI ? "Membrane UI" : "Membrane Console";
    const char *uri = api_uri(rq->deps->config, l->services);
    struct buf b = BUF_INIT;

    (void)st;
    reply_header(rp, "Cache-Control", "no-store");
    if (!accept || !strstr(accept, "text/html"))
        return reply_json(rp, 200,
                          value_obj(rq->arena, "status", value_string(rq->arena, "ok"),
                                    "service", value_string(rq->arena, l->name),
                                    "version", value_string(rq->arena, MEMBRANE_VERSION),
                                    NULL));
    /* Customers' pages show the UI in frames; nobody may frame the console. */
    if (l->services & SERVICE_CONSOLE)
        reply_header(rp, "Content-Security-Policy", "frame-ancestors 'none'");
    buf_addf(&b,
             "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width\">\n"
             "<title>%s</title>\n<style>body{font:16px/1.5 system-ui,sans-serif;"
             "max-width:40rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}"
             "</style>\n<h1>%s</h1>\n<p>Version %s. The API is at <a href=\"",
             title, title, MEMBRANE_VERSION);
    add_html(&b, uri);
    buf_adds(&b, "\">");
    add_html(&b, uri);
    buf_adds(&b, "</a>.</p>\n</html>\n");
    reply_bytes(rp, 200, "text/html; charset=utf-8", buf_to_arena(&b, rq->arena));
    buf_fini(&b);
    return 0;
}

static const struct value *text_or_null(struct arena *a, const char *s) {
    return s ? value_string(a, s) : &value_null;
}

static int page_config(struct request *rq, struct reply *rp, struct status *st) {
    const struct service_listener *l = rq->route->data;
    const struct config *c = rq->deps->config;
    struct arena *a = rq->arena;
    struct object_builder b;

    (void)st;
    object_begin(&b, a, 8);
    object_set_string(&b, "version", MEMBRANE_VERSION);
    object_set(&b, "apiUri", text_or_null(a, api_uri(c, l->services)));
    if (l->services & SERVICE_CONSOLE) {
        object_set(&b, "baseUri", text_or_null(a, c->next_public_base_uri));
        object_set(&b, "uiUri", text_or_null(a, c->next_public_engine_ui_uri));
        object_set(&b, "auth0Domain", text_or_null(a, c->next_public_auth0_domain));
        object_set(&b, "auth0ClientId", text_or_null(a, c->next_public_auth0_client_id));
        object_set_bool(&b, "enableLimits", c->next_public_enable_limits);
        object_set_bool(&b, "isCloud", c->next_public_is_cloud);
    }
    reply_header(rp, "Cache-Control", "no-store");
    return reply_json(rp, 200, object_end(&b));
}

void service_web_routes(struct service_listener *l) {
    const struct route rows[] = {
        {.method = HTTP_GET,
         .pattern = "/",
         .handler = front_page,
         .flags = ROUTE_INLINE,
         .summary = "The page; JSON for probes.",
         .data = l},
        {.method = HTTP_GET,
         .pattern = "/config.json",
         .handler = page_config,
         .flags = ROUTE_INLINE,
         .summary = "Addresses and switches of the page.",
         .data = l},
    };

    http_router_add(
        l->router,
        (const struct route *)arena_memdup(l->service->arena, rows, sizeof(rows)), 2);
}
