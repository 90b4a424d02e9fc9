/*
 * The server that bench_http.mjs measures: 257 bytes of JSON inline and from the pool,
 * and /call, which asks an upstream first. Prints its port and serves until it is ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"
#include "http/http_client.h"
#include "http/http_server.h"

static char body[257];
static struct http_client *client;
static const char *upstream;

static int get(struct request *rq, struct reply *rp, struct status *st) {
    (void)rq, (void)st;
    return reply_bytes(rp, 200, "application/json", (struct bytes){body, sizeof(body)});
}

static int call(struct request *rq, struct reply *rp, struct status *st) {
    static const struct http_header header = {"Content-Type", "application/json"};
    struct http_call c = {.method = "POST",
                          .url = upstream,
                          .headers = &header,
                          .headers_len = 1,
                          .body = {body, sizeof(body)},
                          .reach = HTTP_REACH_ANY};
    struct http_answer answer;

    if (http_client_call(client, rq->arena, &c, &answer, st) < 0)
        return -1;
    return reply_bytes(rp, answer.status, "application/json", answer.body);
}

static int authenticate(struct request *rq, struct status *st) {
    if (!request_header(rq, "Authorization"))
        return st_fail(st, ST_BAD_REQUEST, "not_authenticated", "No token");
    return 0;
}

static const struct route rows[] = {
    {.method = HTTP_GET,
     .pattern = "/inline/{id}",
     .handler = get,
     .access = ACCESS_CUSTOMER,
     .flags = ROUTE_INLINE},
    {.method = HTTP_GET,
     .pattern = "/pool/{id}",
     .handler = get,
     .access = ACCESS_CUSTOMER},
    {.method = HTTP_GET, .pattern = "/call", .handler = call},
};

int main(int argc, char **argv) {
    struct arena *a = arena_new(0);
    struct http_router *r = http_router_new();
    struct http_client_options client_options = {0};
    struct http_server_options o = {.router = r,
                                    .host = "127.0.0.1",
                                    .cors_allowed_origins = "*",
                                    .authenticate = authenticate};
    struct http_server *s;
    struct status st;

    upstream = argc > 1 ? argv[1] : "http://127.0.0.1:1/";
    memset(body, ' ', sizeof(body));
    memcpy(body, "{\"id\":\"", 7);
    memcpy(body + sizeof(body) - 2, "\"}", 2);
    st_init(&st, a);
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
    if (http_client_open(&client_options, &client, &st) < 0 ||
        http_server_start(&o, &s, &st) < 0) {
        fprintf(stderr, "%s\n", st.message);
        return 1;
    }
    printf("%d\n", http_server_port(s));
    fflush(stdout);
    pause();
    return 0;
}
