/*
 * connection_oauth1.c - OAuth 1.0a (RFC 5849) with HMAC-SHA1: a request token, the
 * person's consent, an access token (engine.md 7.7).
 *
 * Only the two token requests are signed here; how an app wants its other requests signed
 * is the connector's makeApiClient to say.
 */
#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "connection_priv.h"
#include "crypto/crypto_hash.h"
#include "deps/deps.h"
#include "http/http.h"
#include "value/value.h"

static int get_config(struct connection_session *s, const char *redirect_uri,
                      const struct value **ret_config, struct status *st) {
    struct external_session *x = &s->external;
    const struct value *args =
        value_with(x->arena, connection_function_args(s), "redirectUri",
                   value_string(x->arena, redirect_uri));

    if (external_run_function(x, value_get(x->option, "getOAuthConfig"), args, ret_config,
                              st) < 0)
        return st_context(st, "getOAuthConfig");
    return 0;
}

static int required_text(const struct value *config, const char *name, const char **ret,
                         struct status *st) {
    *ret = value_get_string(config, name, NULL);
    if (!*ret || !**ret)
        return st_fail(st, ST_CONFIGURATION, NULL, "getOAuthConfig gives no %s", name);
    return 0;
}

/* ---- Signing ---- */

static int by_text(const void *x, const void *y) {
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* RFC 5849 3.4.1.3: "name=value" of all parameters, encoded, by name, then value. */
static const char *normalized_parameters(struct arena *a, const struct value *oauth,
                                         const struct value *query) {
    size_t n = 0, cap = value_members_count(oauth) + value_members_count(query);
    const char **pairs = arena_alloc(a, (cap + 1) * sizeof(*pairs));
    const struct value *const both[] = {oauth, query};
    struct buf b = BUF_INIT;
    const char *text;

    /* \1 sorts below whatever a longer name goes on with; '=' would not */
    for (int i = 0; i < 2; i++)
        for (VALUE_EACH_MEMBER(m, both[i]))
            if (value_is_string(&m->value))
                pairs[n++] = arena_printf(a, "%s\1%s",
                                          connection_percent(a, value_string(a, m->key)),
                                          connection_percent(a, &m->value));
    qsort(pairs, n, sizeof(*pairs), by_text);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(&b, '&');
        buf_adds(&b, pairs[i]);
        *strchr(b.data + b.len - strlen(pairs[i]), '\1') = '=';
    }
    text = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return text;
}

/* RFC 5849 3.4.1.2: scheme and host in lower case, no usual port, no query. */
static const char *base_uri(struct arena *a, const char *uri) {
    char *s = arena_strdup(a, uri), *host, *path;
    const char *usual = strncasecmp(s, "https:", 6) == 0 ? ":443" : ":80";
    size_t n = strlen(usual);

    s[strcspn(s, "?#")] = '\0';
    host = strstr(s, "://");
    host = host ? host + 3 : s;
    path = host + strcspn(host, "/");
    for (char *p = s; p < path; p++)
        *p = (char)tolower((unsigned char)*p);
    uri = *path ? arena_strdup(a, path) : "/";
    *path = '\0';
    if ((size_t)(path - host) > n && strcmp(path - n, usual) == 0)
        path[-(ptrdiff_t)n] = '\0';
    return arena_printf(a, "%s%s", s, uri);
}

static const struct value *signature(struct arena *a, const char *uri,
                                     const struct value *oauth, const struct value *query,
                                     const struct value *consumer_secret,
                                     const char *token_secret) {
    const char *parameters = normalized_parameters(a, oauth, query);
    const char *text = arena_printf(
        a, "POST&%s&%s", connection_percent(a, value_string(a, base_uri(a, uri))),
        connection_percent(a, value_string(a, parameters)));
    const char *key = arena_printf(a, "%s&%s", connection_percent(a, consumer_secret),
                                   connection_percent(a, value_string(a, token_secret)));
    unsigned char mac[CRYPTO_SHA1_LEN];
    char base64[32];

    crypto_hmac_sha1((struct bytes){key, strlen(key)}, (struct bytes){text, strlen(text)},
                     mac);
    EVP_EncodeBlock((unsigned char *)base64, mac, sizeof(mac));
    return value_string(a, base64);
}

static const char *authorization(struct arena *a, const struct value *oauth) {
    struct buf b = BUF_INIT;
    const char *text;

    buf_adds(&b, "OAuth ");
    for (VALUE_EACH_MEMBER(m, oauth)) {
        if (b.len > strlen("OAuth "))
            buf_adds(&b, ", ");
        buf_addf(&b, "%s=\"%s\"", m->key, connection_percent(a, &m->value));
    }
    text = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return text;
}

/* own: the step's oauth_ parameters. */
static int signed_post(struct external_session *x, const struct value *config,
                       const char *uri, const struct value *own, const char *token_secret,
                       const struct value **ret_answer, struct status *st) {
    struct arena *a = x->arena;
    const char *question = strchr(uri, '?'), *consumer;
    const struct value *query = &value_empty_object, *oauth, *response;

    if (required_text(config, "consumerKey", &consumer, st) < 0 ||
        (question &&
         http_query_parse(a, question + 1, strcspn(question + 1, "#"), &query, st) < 0))
        return -1;
    oauth = value_merge(
        a, own,
        value_obj(
            a, "oauth_consumer_key", value_string(a, consumer), "oauth_nonce",
            value_string(a, uuid_new(x->deps->rand, a)), "oauth_signature_method",
            value_string(a, "HMAC-SHA1"), "oauth_timestamp",
            value_stringf(a, "%lld", (long long)(clock_now_ms(x->deps->clock) / 1000)),
            "oauth_version", value_string(a, "1.0"), NULL));
    oauth = value_with(a, oauth, "oauth_signature",
                       signature(a, uri, oauth, query,
                                 value_get(config, "consumerSecret"), token_secret));
    if (external_plain_request(
            x, NULL,
            value_obj(a, "uri", value_string(a, uri), "method", value_string(a, "POST"),
                      "headers",
                      value_obj(a, "Authorization",
                                value_string(a, authorization(a, oauth)), NULL),
                      NULL),
            false, &response, st) < 0) {
        if (st->key && strcmp(st->key, "access_token_expired") == 0)
            st->key = NULL; /* there is no token yet */
        return -1;
    }
    return connection_token_answer(a, response, ret_answer, st);
}

static int read_token(const struct value *answer, const char **ret_token,
                      struct status *st) {
    *ret_token = value_get_string(answer, "oauth_token", NULL);
    if (!*ret_token || !**ret_token)
        return st_fail(st, ST_CONNECTION, NULL, "the app gave no oauth_token");
    return 0;
}

/* ---- The steps ---- */

int connection_oauth1_authorize(struct connection_session *s, const char *redirect_uri,
                                struct connection_oauth1 *ret_token,
                                const char **ret_location, struct status *st) {
    struct external_session *x = &s->external;
    struct arena *a = x->arena;
    const struct value *config, *answer, *query;
    const char *uri, *authorize, *token;

    if (get_config(s, redirect_uri, &config, st) < 0 ||
        required_text(config, "requestTokenUri", &uri, st) < 0 ||
        required_text(config, "authorizeUri", &authorize, st) < 0 ||
        signed_post(x, config, uri,
                    value_obj(a, "oauth_callback", value_string(a, redirect_uri), NULL),
                    "", &answer, st) < 0)
        return -1;
    if (read_token(answer, &token, st) < 0)
        return -1;
    query = value_merge(a, value_get(config, "extra"),
                        value_obj(a, "oauth_token", value_string(a, token), NULL));
    if (external_build_url(a, NULL, authorize, NULL, query, ret_location, st) < 0)
        return st_context(st, "authorizeUri");
    *ret_token = (struct connection_oauth1){
        token, value_get_string(answer, "oauth_token_secret", "")};
    return 0;
}

int connection_oauth1_exchange(struct connection_session *s, const char *redirect_uri,
                               const struct connection_oauth1 *token,
                               const char *verifier, const struct value **ret_credentials,
                               struct status *st) {
    struct arena *a = s->external.arena;
    const struct value *config;
    const char *uri, *unused;

    if (!verifier)
        return st_fail(st, ST_BAD_REQUEST, NULL, "the app sent no oauth_verifier");
    if (get_config(s, redirect_uri, &config, st) < 0 ||
        required_text(config, "tokenUri", &uri, st) < 0 ||
        signed_post(&s->external, config, uri,
                    value_obj(a, "oauth_token", value_string(a, token->token),
                              "oauth_verifier", value_string(a, verifier), NULL),
                    token->secret, ret_credentials, st) < 0)
        return -1;
    return read_token(*ret_credentials, &unused, st);
}
