#include "auth_fixture.h"

#include <stdlib.h>
#include <strings.h>

#include "crypto/crypto_seal.h"
#include "http/http_priv.h"

static const char fixture_secret[] = "0123456789abcdef0123456789abcdef";

static int send_mail(void *ctx, const struct auth_mail *mail, struct status *st) {
    struct fixture *f = ctx;

    (void)st;
    f->mail_to = arena_strdup(f->a, mail->to);
    f->mail_text = arena_strdup(f->a, mail->text);
    f->mails++;
    return 0;
}

static int fetch(void *ctx, struct arena *a, const char *uri, struct bytes *ret_body,
                 struct status *st) {
    struct fixture *f = ctx;

    (void)a;
    (void)uri;
    f->fetches++;
    if (!f->jwks)
        return st_fail(st, ST_CONNECTION, "network_error", "unreachable");
    *ret_body = (struct bytes){f->jwks, strlen(f->jwks)};
    return 0;
}

int fixture_set_up(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    struct auth_options o = {.secret = fixture_secret,
                             .base_uri = "http://api.test",
                             .console_uri = "http://console.test",
                             .send_mail = send_mail,
                             .mail_ctx = f,
                             .fetch = fetch,
                             .fetch_ctx = f};
    const struct value *doc;
    struct store_query q = {0};

    f->a = arena_new(0);
    st_init(&f->st, f->a);
    clock_fake_init(&f->clock, FIXTURE_NOW_MS);
    o.clock = &f->clock.clock;
    o.rand = rand_system();
    o.store = f->store = store_open_memory();
    o.sealer = f->sealer = crypto_sealer_new("an encryption secret", NULL);
    assert_int_equal(auth_open(&o, &f->auth, &f->st), 0);
    f->deps = (struct deps){.store = f->store,
                            .auth = f->auth,
                            .sealer = f->sealer,
                            .clock = o.clock,
                            .rand = o.rand};
    f->router = http_router_new();
    auth_routes(f->router);
    assert_int_equal(
        auth_bootstrap(&f->deps, f->a, "root@example.test", &f->first, &f->st), 0);
    q.where = store_eq_text(f->a, "key", f->first.workspace_key);
    assert_int_equal(store_find(f->store, f->a, C_WORKSPACES, &q, &doc, &f->st), 0);
    f->workspace_id = value_get_string(doc, "id", NULL);
    *state = f;
    return 0;
}

int fixture_tear_down(void **state) {
    struct fixture *f = *state;

    http_router_free(&f->router);
    auth_close(&f->auth);
    crypto_sealer_free(&f->sealer);
    store_close(&f->store);
    arena_free(&f->a);
    free(f);
    return 0;
}

struct fake_connection {
    struct http_connection base;
    const char *authorization, *workspace;
};

static const char *fake_header(struct http_connection *c, const char *name) {
    struct fake_connection *fake = (struct fake_connection *)c;

    if (!strcasecmp(name, "authorization"))
        return fake->authorization;
    if (!strcasecmp(name, "membrane-api-version"))
        return "2025-10-21";
    if (!strcasecmp(name, "content-type"))
        return "application/json";
    return NULL;
}

static const char *double_quotes(struct arena *a, const char *text) {
    char *out = arena_strdup(a, text);

    for (char *p = out; *p; p++)
        if (*p == '\'')
            *p = '"';
    return out;
}

const struct value *fixture_json(struct fixture *f, const char *text) {
    const struct value *v;
    const char *json = double_quotes(f->a, text);

    assert_int_equal(value_parse(f->a, json, strlen(json), NULL, &v, &f->st), 0);
    return v;
}

struct answer fixture_call(struct fixture *f, enum http_method m, const char *path,
                           const char *token, const char *body) {
    struct fake_connection *c = arena_zalloc(f->a, sizeof(*c));
    struct request rq = {.arena = f->a,
                         .may_block = true,
                         .deps = &f->deps,
                         .method = m,
                         .query_text = "",
                         .query = &value_empty_object,
                         .id = "test",
                         .client_ip = "192.0.2.1",
                         .connection = &c->base};
    struct reply rp = {.arena = f->a};
    struct answer answer = {0};
    const char *query = strchr(path, '?'), *allow;
    struct status st;
    int rc;

    st_init(&st, f->a);
    c->base.header = fake_header;
    c->authorization = token ? arena_printf(f->a, "Bearer %s", token) : NULL;
    rq.path = query ? arena_memdup(f->a, path, (size_t)(query - path)) : path;
    if (query) {
        rq.query_text = query + 1;
        assert_int_equal(
            http_query_parse(f->a, query + 1, strlen(query + 1), &rq.query, &st), 0);
    }
    if (body) {
        body = double_quotes(f->a, body);
        rq.body = (struct bytes){body, strlen(body)};
    }
    assert_int_equal(
        http_router_match(f->router, m, rq.path, f->a, &rq.route, rq.param, &allow), 0);
    rc = auth_authenticate(&rq, &st);
    if (rc == 0)
        rc = rq.route->handler(&rq, &rp, &st);
    if (rc < 0)
        reply_error(&rp, &st);
    answer.status = rp.status ? rp.status : 204;
    answer.caller = rq.caller;
    answer.body = &value_undefined;
    if (rp.body.len)
        assert_int_equal(
            value_parse(f->a, rp.body.data, rp.body.len, NULL, &answer.body, &st), 0);
    return answer;
}

const struct value *fixture_expect(struct fixture *f, int status, enum http_method m,
                                   const char *path, const char *token,
                                   const char *body) {
    struct answer answer = fixture_call(f, m, path, token, body);

    if (answer.status != status)
        fail_msg("%s %s: status %d, expected %d: %s", http_method_name(m), path,
                 answer.status, status,
                 value_encode_arena(f->a, answer.body, VALUE_ENCODE_COMPACT).data);
    return answer.body;
}

const char *fixture_sign(struct fixture *f, enum crypto_alg alg, const char *secret,
                         const struct value *claims) {
    return crypto_jwt_sign(f->a, alg, (struct bytes){secret, strlen(secret)}, claims);
}

const char *fixture_token(struct fixture *f, const char *claims) {
    const struct value *base =
        value_obj(f->a, "iss", value_string(f->a, f->first.workspace_key), "exp",
                  value_number(f->a, (double)(f->clock.ms / 1000 + 3600)), NULL);

    return fixture_sign(f, CRYPTO_HS256, f->first.workspace_secret,
                        value_merge(f->a, base, fixture_json(f, claims)));
}

uint64_t fixture_count(struct fixture *f, enum collection c) {
    uint64_t n = 0;

    assert_int_equal(store_count(f->store, c, NULL, &n, &f->st), 0);
    return n;
}

const char *fixture_mail_token(struct fixture *f) {
    const char *from = strstr(f->mail_text, "token=") + 6;

    return arena_memdup(f->a, from, strcspn(from, "\n"));
}
