/*
 * api_world.h - for tests: routes called in process, on an in-memory store with a clock
 * that stands still.
 */
#ifndef TEST_MODEL_API_WORLD_H
#define TEST_MODEL_API_WORLD_H

#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_priv.h"
#include "http/http_server.h"
#include "model/model_routes.h"
#include "store/store.h"
#include "value/value.h"

#define WS "ws1"

struct world {
    struct arena *arena;
    struct store *store;
    struct deps deps;
    struct clock_fake clock;
    struct http_router *router;
    struct http_connection connection;
    struct caller admin, customer, other;
    struct status st;
};

static const char *header(struct http_connection *c, const char *name) {
    (void)c;
    return strcasecmp(name, "content-type") == 0 ? "application/json" : NULL;
}

static void each_header(struct http_connection *c,
                        void (*fn)(void *ctx, const char *name, const char *value),
                        void *ctx) {
    (void)c, (void)fn, (void)ctx;
}

static int world_open(void **state) {
    struct world *w = test_calloc(1, sizeof *w);

    w->arena = arena_new(0);
    w->store = store_open_memory();
    clock_fake_init(&w->clock, 1762331412481);
    w->deps =
        (struct deps){.store = w->store, .clock = &w->clock.clock, .rand = rand_system()};
    w->connection = (struct http_connection){header, each_header};
    w->admin = (struct caller){.workspace_id = WS, .is_admin = true};
    w->customer = (struct caller){.workspace_id = WS, .customer_id = "cu1"};
    w->other = (struct caller){.workspace_id = "ws2", .is_admin = true};
    w->router = http_router_new();
    model_routes(w->router);
    st_init(&w->st, w->arena);
    *state = w;
    return 0;
}

static int world_close(void **state) {
    struct world *w = *state;

    http_router_free(&w->router);
    store_close(&w->store);
    arena_free(&w->arena);
    test_free(w);
    return 0;
}

static const struct value *json(struct world *w, const char *text) {
    char *double_quoted = arena_strdup(w->arena, text);
    const struct value *v;

    for (char *p = double_quoted; *p; p++)
        if (*p == '\'')
            *p = '"';
    if (value_parse(w->arena, double_quoted, strlen(text), NULL, &v, &w->st) < 0)
        fail_msg("%s: %s", text, w->st.message);
    return v;
}

/* Calls a route as the server does; gives status and body. Single quotes in the body. */
static const struct value *call_as(struct world *w, struct caller *who,
                                   const char *method, const char *target,
                                   const char *body, int *ret_status) {
    struct request rq = {.arena = w->arena,
                         .deps = &w->deps,
                         .caller = who,
                         .method = (enum http_method)http_method_from_name(method),
                         .connection = &w->connection,
                         .id = "test",
                         .may_block = true};
    struct reply rp = {.arena = w->arena};
    const char *question = strchr(target, '?'), *allow;
    const struct value *out = &value_undefined;
    struct status st;

    st_init(&st, w->arena);
    rq.path =
        question ? arena_memdup(w->arena, target, (size_t)(question - target)) : target;
    rq.query_text = question ? question + 1 : "";
    if (http_router_match(w->router, rq.method, rq.path, w->arena, &rq.route, rq.param,
                          &allow))
        fail_msg("no route: %s %s", method, target);
    if (body) {
        const struct value *v = json(w, body);
        rq.body = value_encode_arena(w->arena, v, VALUE_ENCODE_COMPACT);
    }
    if (http_query_parse(w->arena, rq.query_text, strlen(rq.query_text), &rq.query, &st) <
            0 ||
        (rq.route->access == ACCESS_ADMIN && !who->is_admin &&
         st_fail(&st, ST_BAD_REQUEST, "access_denied", "admin only") < 0) ||
        rq.route->handler(&rq, &rp, &st) < 0)
        reply_error(&rp, &st);
    *ret_status = rp.status ? rp.status : 204;
    if (rp.body.len &&
        value_parse(w->arena, rp.body.data, rp.body.len, NULL, &out, &w->st) < 0)
        fail_msg("%s %s: body is no JSON: %s", method, target, rp.body.data);
    return out;
}

/* The same; the status must be as expected. */
static const struct value *expect_as(struct world *w, struct caller *who, int status,
                                     const char *method, const char *target,
                                     const char *body) {
    int got;
    const struct value *out = call_as(w, who, method, target, body, &got);

    if (got != status)
        fail_msg("%s %s: %d, not %d: %s", method, target, got, status,
                 value_encode_arena(w->arena, out, VALUE_ENCODE_COMPACT).data);
    return out;
}

static inline const struct value *expect(struct world *w, int status, const char *method,
                                         const char *target, const char *body) {
    return expect_as(w, &w->admin, status, method, target, body);
}

static inline const char *id_of(const struct value *v) {
    return value_get_string(v, "id", "(no id)");
}

#define path_to(w, ...) arena_printf((w)->arena, __VA_ARGS__)
#define assert_text(doc, key, text)                                                      \
    assert_string_equal(value_get_string(doc, key, "(absent)"), text)
#define assert_same_id(x, y) assert_string_equal(id_of(x), id_of(y))

static inline void insert(struct world *w, enum collection c, const char *doc) {
    if (store_insert(w->store, c, json(w, doc), &w->st) < 0)
        fail_msg("%s", w->st.message);
}

/* A connector, an integration "crm" with it, connections conn1 of cu1 and conn2 of cu2.
 */
static inline const struct value *with_connections(struct world *w) {
    const struct value *integration;

    insert(
        w, C_CONNECTORS,
        "{'id':'0000000000000000000c0001','workspaceId':'ws1','key':'crm','name':'CRM'}");
    insert(w, C_CUSTOMERS,
           "{'id':'cu1','workspaceId':'ws1','internalId':'u1','name':'U1',"
           "'credentials':'sealed'}");
    insert(w, C_CUSTOMERS,
           "{'id':'cu2','workspaceId':'ws1','internalId':'u2','name':'U2'}");
    integration = expect(w, 201, "POST", "/integrations",
                         "{'key':'crm','name':'CRM','connectorKey':'crm'}");
    for (int i = 1; i <= 2; i++)
        insert(w, C_CONNECTIONS,
               path_to(w,
                       "{'id':'conn%d','workspaceId':'ws1','userId':'cu%d','name':'C',"
                       "'integrationId':'%s','state':'READY'}",
                       i, i, id_of(integration)));
    return integration;
}

#endif
