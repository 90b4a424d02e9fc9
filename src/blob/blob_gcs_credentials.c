/*
 * blob_gcs_credentials.c - whose credentials Google Cloud Storage is called with. First
 * found wins:
 *
 *   1. key file        GOOGLE_CLOUD_KEYFILE
 *   2. key file        GOOGLE_APPLICATION_CREDENTIALS
 *   3. metadata        of the instance, the pod (workload identity) or the service
 *
 * A key file's account signs a statement about itself and gets a token for it.
 */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob_gcs.h"
#include "config/config.h"
#include "crypto/crypto_base64url.h"
#include "crypto/crypto_rsa.h"
#include "value/value.h"

#define METADATA_HOST "169.254.169.254"
#define TOKEN_URI     "https://oauth2.googleapis.com/token"
#define SCOPE         "https://www.googleapis.com/auth/devstorage.read_write"

enum { ASK_ATTEMPTS = 3, METADATA_MS = 5000, STATEMENT_S = 3600 };

static const struct config *config_of(const struct gcs *s) {
    return s->cloud.o.config;
}

/* {"access_token", "expires_in"} */
static int read_token(struct gcs *s, struct arena *a, const struct http_answer *answer,
                      struct credentials *ret, struct status *st) {
    int64_t now_ms = clock_now_ms(s->cloud.o.clock);
    const struct value *v;
    bool parsed = value_parse(a, answer->body.data, answer->body.len, NULL, &v, st) == 0;

    if (answer->status != 200) {
        const char *code = parsed ? value_get_string(v, "error", NULL) : NULL;

        return st_fail(st, ST_INTERNAL, "storage_denied",
                       "The credentials for Google Cloud Storage can't be had from the "
                       "%s: it answers %d%s%s",
                       ret->source, answer->status, code ? " " : "", code ? code : "");
    }
    if (!parsed || !(ret->token = value_get_string(v, "access_token", NULL)))
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The %s gives no token for Google Cloud Storage", ret->source);
    ret->expires_ms = now_ms + (int64_t)value_get_number(v, "expires_in", 3600) * 1000;
    return 0;
}

/* ---- Key files ---- */

static const char *base64url(struct arena *a, const struct value *v) {
    struct bytes text = value_encode_arena(a, v, VALUE_ENCODE_COMPACT);

    return crypto_base64url_encode(a, text.data, text.len);
}

static int make_statement(struct gcs *s, struct arena *a, const char *email,
                          const char *key, const char *key_id, const char *token_uri,
                          const char **ret_jwt, struct status *st) {
    int64_t now_s = clock_now_ms(s->cloud.o.clock) / 1000;
    const struct value *header =
        value_obj(a, "alg", value_string(a, "RS256"), "typ", value_string(a, "JWT"),
                  "kid", key_id ? value_string(a, key_id) : NULL, NULL);
    const struct value *claims = value_obj(
        a, "iss", value_string(a, email), "scope", value_string(a, SCOPE), "aud",
        value_string(a, token_uri), "iat", value_number(a, (double)now_s), "exp",
        value_number(a, (double)(now_s + STATEMENT_S)), NULL);
    const char *text =
        arena_printf(a, "%s.%s", base64url(a, header), base64url(a, claims));
    struct bytes signature;

    if (crypto_rsa_sign(a, key, (struct bytes){text, strlen(text)}, &signature, st) < 0)
        return -1;
    *ret_jwt = arena_printf(a, "%s.%s", text,
                            crypto_base64url_encode(a, signature.data, signature.len));
    return 0;
}

static int exchange(struct gcs *s, struct arena *a, const char *uri, const char *jwt,
                    struct credentials *ret, struct status *st) {
    struct http_header type = {"Content-Type", "application/x-www-form-urlencoded"};
    struct cloud_request form = {0};
    struct http_answer answer;
    struct http_call call = {
        .method = "POST", .url = uri, .headers = &type, .headers_len = 1};

    cloud_param(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    cloud_param(&form, "assertion", jwt);
    call.body.data = cloud_query(a, &form);
    call.body.len = strlen(call.body.data);
    if (cloud_ask(&s->cloud, a, &call, ASK_ATTEMPTS, &answer, st) < 0)
        return st_context(st, "%s", uri);
    return read_token(s, a, &answer, ret, st);
}

static int from_key_file(struct gcs *s, struct arena *a, const char *path,
                         struct credentials *ret, struct status *st) {
    const char *text, *uri, *jwt;
    const struct value *v;

    if (!path)
        return 1;
    if (cloud_read_file(a, path, &text, st) < 0)
        return -1;
    if (value_parse(a, text, strlen(text), NULL, &v, st) < 0)
        v = &value_undefined;
    ret->id = value_get_string(v, "client_email", NULL);
    ret->secret = value_get_string(v, "private_key", NULL);
    ret->source = "key file";
    ret->principal = ret->id;
    uri = value_get_string(v, "token_uri", TOKEN_URI);
    if (!value_equals_text(value_get(v, "type"), "service_account") || !ret->id ||
        !ret->secret)
        return st_fail(st, ST_CONFIGURATION, "bad-format",
                       "%s is not the JSON key file of a service account", path);
    if (make_statement(s, a, ret->id, ret->secret,
                       value_get_string(v, "private_key_id", NULL), uri, &jwt, st) < 0)
        return st_context(st, "%s", path);
    return exchange(s, a, uri, jwt, ret, st);
}

/* ---- Metadata ---- */

static int ask_metadata(struct gcs *s, struct arena *a, const char *path,
                        struct http_answer *ret_answer, struct status *st) {
    const char *host = config_of(s)->gce_metadata_host;
    struct http_header header = {"Metadata-Flavor", "Google"};
    struct http_call call = {
        .method = "GET",
        .url = arena_printf(
            a, "http://%s/computeMetadata/v1/instance/service-accounts/default/%s",
            host ? host : METADATA_HOST, path),
        .headers = &header,
        .headers_len = 1,
        .timeout_ms = METADATA_MS,
        .connect_timeout_ms = METADATA_MS / 2,
    };

    return cloud_ask(&s->cloud, a, &call, ASK_ATTEMPTS, ret_answer, st);
}

static int from_metadata(struct gcs *s, struct arena *a, struct credentials *ret,
                         struct status *st) {
    struct http_answer answer;

    if (ask_metadata(s, a, "email", &answer, st) < 0 || answer.status != 200 ||
        !answer.body.len)
        return st_fail(st, ST_CONFIGURATION, "missing",
                       "STORAGE_PROVIDER: missing: no credentials for gcs (tried key "
                       "file, application credentials, metadata)");
    ret->id = arena_memdup(a, answer.body.data, answer.body.len);
    ret->source = "metadata";
    ret->principal = ret->id;
    if (ask_metadata(s, a, "token", &answer, st) < 0)
        return -1;
    return read_token(s, a, &answer, ret, st);
}

int gcs_credentials(void *ctx, struct arena *a, struct credentials *ret,
                    struct status *st) {
    struct gcs *s = ctx;
    int rc;

    if (s->is_emulator) {
        *ret = (struct credentials){.source = "none: an emulator"};
        return 0;
    }
    rc = from_key_file(s, a, config_of(s)->google_cloud_keyfile, ret, st);
    if (rc == 1)
        rc = from_key_file(s, a, config_of(s)->google_application_credentials, ret, st);
    return rc == 1 ? from_metadata(s, a, ret, st) : rc;
}
