/*
 * connection_oauth2.c - OAuth 2 as connectors describe it: the consent page's address,
 * the code's exchange, renewed tokens (engine.md 7.6 and 7.13).
 *
 * How the client proves itself: as clientAuthLocation says, else in the header, as RFC
 * 6749 prefers. Connectors written for apps that only read the body say nothing about it,
 * so a refusal of the header alone is followed by one try with the body; never both at
 * once, which strict providers refuse.
 */
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "connection_priv.h"
#include "crypto/crypto_base64url.h"
#include "crypto/crypto_hash.h"
#include "deps/deps.h"
#include "http/http.h"
#include "value/value.h"

static int get_config(struct connection_session *s, const struct connection_oauth2 *o,
                      const struct value **ret_config, struct status *st) {
    struct external_session *x = &s->external;
    struct arena *a = x->arena;
    const struct value *args = connection_function_args(s);

    if (o)
        args = value_merge(a, args,
                           value_obj(a, "redirectUri", value_string(a, o->redirect_uri),
                                     "state", o->state ? value_string(a, o->state) : NULL,
                                     NULL));
    if (external_run_function(x, value_get(x->option, "getOAuthConfig"), args, ret_config,
                              st) < 0)
        return st_context(st, "getOAuthConfig");
    if (!value_is_object(*ret_config))
        return st_fail(st, ST_CONFIGURATION, NULL, "getOAuthConfig must give an object");
    return 0;
}

static int required_text(const struct value *config, const char *name, const char **ret,
                         struct status *st) {
    *ret = value_get_string(config, name, NULL);
    if (!*ret || !**ret)
        return st_fail(st, ST_CONFIGURATION, NULL, "getOAuthConfig gives no %s", name);
    return 0;
}

/* ---- The consent page ---- */

static const struct value *joined_scopes(struct arena *a, const struct value *scopes) {
    struct buf b = BUF_INIT;
    const struct value *text;

    if (value_is_string(scopes))
        return scopes;
    for (VALUE_EACH_ITEM(i, scopes)) {
        if (!value_is_string(i) || i->len == 0)
            continue;
        if (b.len)
            buf_addc(&b, ' ');
        buf_add(&b, i->str, i->len);
    }
    text = b.len ? value_string_len(a, b.data, b.len) : NULL;
    buf_fini(&b);
    return text;
}

static const struct value *challenge(struct arena *a, const char *verifier) {
    unsigned char sum[CRYPTO_SHA256_LEN];

    crypto_sha256(verifier, strlen(verifier), sum);
    return value_string(a, crypto_base64url_encode(a, sum, sizeof(sum)));
}

/* ---- OpenID: the identity token belongs to this attempt ---- */

static const char *nonce_of(struct arena *a, const char *verifier) {
    return crypto_sha256_hex(a, arena_printf(a, "nonce:%s", verifier));
}

static bool is_openid(const struct value *scope) {
    const char *p = value_is_string(scope) ? scope->str : "";

    while (*p) {
        size_t n = strcspn(p, " ");

        if (n == 6 && memcmp(p, "openid", 6) == 0)
            return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

/* The token came from the provider itself, so that its signature need not be read
 * (OpenID Connect Core 3.1.3.7); a nonce of another attempt means an injected code. */
static int check_nonce(struct arena *a, const struct value *answer, const char *verifier,
                       struct status *st) {
    const char *token = value_get_string(answer, "id_token", ""), *part, *expected;
    const struct value *claims;
    struct bytes json;
    struct status ignored;

    st_init(&ignored, a);
    part = strchr(token, '.');
    if (!part ||
        crypto_base64url_decode(a, part + 1, strcspn(part + 1, "."), &json) < 0 ||
        value_parse(a, json.data, json.len, NULL, &claims, &ignored) < 0)
        return 0;
    expected = nonce_of(a, verifier);
    if (value_is_string(value_get(claims, "nonce")) &&
        !value_equals_text(value_get(claims, "nonce"), expected))
        return st_fail(st, ST_CONNECTION, NULL,
                       "the app's identity token belongs to another attempt to connect");
    return 0;
}

int connection_oauth2_authorize(struct connection_session *s,
                                const struct connection_oauth2 *o,
                                const char **ret_location, struct status *st) {
    struct arena *a = s->external.arena;
    const struct value *config, *query;
    const char *uri, *client_id;

    if (get_config(s, o, &config, st) < 0 ||
        required_text(config, "authorizeUri", &uri, st) < 0 ||
        required_text(config, "clientId", &client_id, st) < 0)
        return -1;
    query = value_obj(a, "response_type", value_string(a, "code"), "client_id",
                      value_string(a, client_id), "scope",
                      joined_scopes(a, value_get(config, "scopes")), NULL);
    query = value_merge(a, query, value_get(config, "extra"));
    if (is_openid(value_get(query, "scope")))
        query = value_with(a, query, "nonce", value_string(a, nonce_of(a, o->verifier)));
    /* What the way back depends on is not the connector's to change. */
    query = value_merge(a, query,
                        value_obj(a, "redirect_uri", value_string(a, o->redirect_uri),
                                  "state", value_string(a, o->state), NULL));
    if (!value_truthy(value_get(config, "skipPkce")))
        query = value_merge(a, query,
                            value_obj(a, "code_challenge", challenge(a, o->verifier),
                                      "code_challenge_method", value_string(a, "S256"),
                                      NULL));
    if (external_build_url(a, NULL, uri, NULL, query, ret_location, st) < 0)
        return st_context(st, "authorizeUri");
    return 0;
}

/* ---- The token endpoint ---- */

const char *connection_percent(struct arena *a, const struct value *v) {
    struct buf b = BUF_INIT;
    const char *text;

    if (!value_is_string(v))
        return "";
    for (size_t i = 0; i < v->len; i++) {
        unsigned char c = (unsigned char)v->str[i];

        if (c < 0x80 && (isalnum(c) || strchr("-_.~", c)))
            buf_addc(&b, (char)c);
        else
            buf_addf(&b, "%%%02X", c);
    }
    text = b.data ? arena_strdup(a, b.data) : "";
    buf_fini(&b);
    return text;
}

static int post_token(struct external_session *x, const struct value *config,
                      const struct value *body, bool in_body,
                      const struct value **ret_response, struct status *st) {
    struct arena *a = x->arena;
    const struct value *id = value_get(config, "clientId");
    const struct value *secret = value_get(config, "clientSecret");
    const struct value *headers =
        value_obj(a, "Content-Type", value_string(a, "application/x-www-form-urlencoded"),
                  "Accept", value_string(a, "application/json"), NULL);
    const char *uri, *basic;

    if (required_text(config, "tokenUri", &uri, st) < 0)
        return -1;
    if (in_body) {
        body = value_merge(
            a, body,
            value_obj(a, "client_id", id, "client_secret",
                      value_is_string(secret) && secret->len ? secret : NULL, NULL));
    } else {
        /* RFC 6749 2.3.1: both parts are encoded as in a form */
        basic = external_basic_auth(
            a,
            value_obj(a, "username", value_string(a, connection_percent(a, id)),
                      "password", value_string(a, connection_percent(a, secret)), NULL));
        headers = value_with(a, headers, "Authorization", value_string(a, basic));
    }
    return external_plain_request(x, NULL,
                                  value_obj(a, "uri", value_string(a, uri), "method",
                                            value_string(a, "POST"), "headers", headers,
                                            "body", body, NULL),
                                  false, ret_response, st);
}

static bool is_client_refused(const struct status *st) {
    const struct value *response = value_get(st->data, "response");

    return value_get_number(response, "status", 0) == 401 ||
           value_equals_text(value_path(response, "data", "error", NULL),
                             "invalid_client");
}

/* A few old providers answer as a form, whatever they were asked for. */
int connection_token_answer(struct arena *a, const struct value *response,
                            const struct value **ret_answer, struct status *st) {
    const struct value *data = value_get(response, "data");
    const char *error;

    if (value_is_string(data) && http_query_parse(a, data->str, data->len, &data, st) < 0)
        return -1;
    if (!value_is_object(data))
        return st_fail(st, ST_CONNECTION, NULL,
                       "the app's token endpoint did not answer with an object");
    error = value_get_string(data, "error", NULL);
    if (error)
        return st_fail_data(
            st, ST_CONNECTION, NULL,
            value_obj(a, "response",
                      value_obj(a, "status", value_get(response, "status"), "data",
                                external_redact(a, data), NULL),
                      NULL),
            "%.300s", value_get_string(data, "error_description", error));
    *ret_answer = data;
    return 0;
}

static int request_token(struct external_session *x, const struct value *config,
                         const struct value *body, const struct value **ret_answer,
                         struct status *st) {
    const struct value *where = value_get(config, "clientAuthLocation"), *response;
    bool no_secret = !value_truthy(value_get(config, "clientSecret"));
    bool no_header = value_truthy(value_get(config, "skipClientAuthInHeader")) ||
                     value_truthy(value_get(config, "skipClientAuthInHeaders"));
    bool in_body = value_equals_text(where, "body") || no_header || no_secret;
    bool only = value_is_string(where) || in_body ||
                value_truthy(value_get(config, "skipClientAuthInBody"));

    if (post_token(x, config, body, in_body, &response, st) < 0) {
        if (only || !is_client_refused(st))
            return -1;
        st_clear(st);
        if (post_token(x, config, body, true, &response, st) < 0)
            return -1;
    }
    return connection_token_answer(x->arena, response, ret_answer, st);
}

/* The answer as credentials: when they end is kept as a time. */
static const struct value *with_end(struct external_session *x,
                                    const struct value *answer) {
    const struct value *in = value_get(answer, "expires_in");
    double seconds = value_is_number(in)   ? in->number
                     : value_is_string(in) ? value_string_to_number(in->str, in->len)
                                           : 0;

    if (!(seconds > 0) || seconds > 1e10)
        return answer;
    return value_with(
        x->arena, answer, "expires_at",
        value_number(x->arena, (double)(clock_now_ms(x->deps->clock) / 1000) + seconds));
}

static int to_credentials(struct connection_session *s, const char *function_name,
                          const struct value *query, const struct value *answer,
                          const struct value **ret_credentials, struct status *st) {
    struct external_session *x = &s->external;
    struct arena *a = x->arena;
    const struct value *function = value_get(x->option, function_name), *args;

    if (!value_is_object(function)) {
        *ret_credentials = with_end(x, answer);
        return 0;
    }
    args = value_merge(
        a, connection_function_args(s),
        value_obj(a, "tokenResponse", answer, "queryParameters", query, NULL));
    if (external_run_function(x, function, args, ret_credentials, st) < 0)
        return st_context(st, "%s", function_name);
    if (!value_is_object(*ret_credentials))
        return st_fail(st, ST_CONFIGURATION, NULL, "%s must give an object",
                       function_name);
    return 0;
}

/* ---- Exchange, refresh ---- */

static int standard_exchange(struct connection_session *s,
                             const struct connection_oauth2 *o, const struct value *query,
                             const struct value **ret_answer, struct status *st) {
    struct arena *a = s->external.arena;
    const struct value *config, *body, *code = value_get(query, "code");
    bool pkce;

    if (!value_is_string(code) || code->len == 0)
        return st_fail(st, ST_BAD_REQUEST, NULL, "the app sent no code");
    if (get_config(s, o, &config, st) < 0)
        return -1;
    pkce = o->verifier && !value_truthy(value_get(config, "skipPkce"));
    body = value_obj(a, "grant_type", value_string(a, "authorization_code"), "code", code,
                     "redirect_uri", value_string(a, o->redirect_uri), "code_verifier",
                     pkce ? value_string(a, o->verifier) : NULL, NULL);
    return request_token(&s->external, config, body, ret_answer, st);
}

static int own_exchange(struct connection_session *s, const struct connection_oauth2 *o,
                        const struct value *query, const struct value **ret_answer,
                        struct status *st) {
    struct external_session *x = &s->external;
    struct arena *a = x->arena;
    const struct value *args =
        value_merge(a, connection_function_args(s),
                    value_obj(a, "queryParameters", query, "redirectUri",
                              value_string(a, o->redirect_uri), "codeVerifier",
                              o->verifier ? value_string(a, o->verifier) : NULL, NULL));

    if (external_run_function(x, value_get(x->option, "getTokenData"), args, ret_answer,
                              st) < 0)
        return st_context(st, "getTokenData");
    if (!value_is_object(*ret_answer))
        return st_fail(st, ST_CONFIGURATION, NULL, "getTokenData must give an object");
    return 0;
}

int connection_oauth2_exchange(struct connection_session *s,
                               const struct connection_oauth2 *o,
                               const struct value *query,
                               const struct value **ret_credentials, struct status *st) {
    bool own = value_is_object(value_get(s->external.option, "getTokenData"));
    const struct value *answer;
    int rc = own ? own_exchange(s, o, query, &answer, st)
                 : standard_exchange(s, o, query, &answer, st);

    if (rc < 0) {
        /* There is no token yet that could have ended: it is the client or the code. */
        if (st->key && strcmp(st->key, "access_token_expired") == 0)
            st->key = NULL;
        return -1;
    }
    if (o->verifier && check_nonce(s->external.arena, answer, o->verifier, st) < 0)
        return -1;
    return to_credentials(s, "getCredentialsFromAccessTokenResponse", query, answer,
                          ret_credentials, st);
}

int connection_oauth2_refresh(struct connection_session *s,
                              const struct value **ret_credentials, struct status *st) {
    struct external_session *x = &s->external;
    struct arena *a = x->arena;
    const struct value *config, *answer, *body;

    if (get_config(s, NULL, &config, st) < 0)
        return -1;
    body = value_obj(a, "grant_type", value_string(a, "refresh_token"), "refresh_token",
                     value_get(x->credentials, "refresh_token"), NULL);
    if (request_token(x, config, body, &answer, st) < 0)
        return -1;
    return to_credentials(s, "getCredentialsFromRefreshTokenResponse", NULL, answer,
                          ret_credentials, st);
}
