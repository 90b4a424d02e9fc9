#include "auth_jwt.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_base64url.h"
#include "value/value.h"

enum { MAX_KEY = 256, MAX_NAME = 1000 };

int auth_refuse(struct status *st, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    st_vfail(st, ST_BAD_REQUEST, "not_authenticated", fmt, ap);
    va_end(ap);
    return -1;
}

int auth_deny(struct status *st, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    st_vfail(st, ST_BAD_REQUEST, "access_denied", fmt, ap);
    va_end(ap);
    return -1;
}

/* One base64url part that holds a JSON object. */
static int decode_object(struct arena *a, const char *text, size_t len,
                         const struct value **ret) {
    static const struct value_limits limits = {.max_depth = 32,
                                               .max_bytes = AUTH_TOKEN_MAX};
    struct status st;
    struct bytes json;

    st_init(&st, a);
    if (crypto_base64url_decode(a, text, len, &json) < 0 ||
        value_parse(a, json.data, json.len, &limits, ret, &st) < 0 ||
        !value_is_object(*ret))
        return -1;
    return 0;
}

int auth_jwt_parse(struct arena *a, const char *token, struct auth_jwt *ret_jwt,
                   struct status *st) {
    size_t len = strnlen(token, AUTH_TOKEN_MAX + 1);
    const char *payload = memchr(token, '.', len);
    const char *signature =
        payload ? memchr(payload + 1, '.', len - (size_t)(payload + 1 - token)) : NULL;
    const struct value *head;
    const char *name;
    int alg;

    if (len > AUTH_TOKEN_MAX)
        return auth_refuse(st, "The token is longer than %d bytes", AUTH_TOKEN_MAX);
    if (!signature || decode_object(a, token, (size_t)(payload - token), &head) < 0 ||
        decode_object(a, payload + 1, (size_t)(signature - payload - 1),
                      &ret_jwt->claims) < 0 ||
        crypto_base64url_decode(a, signature + 1, len - (size_t)(signature + 1 - token),
                                &ret_jwt->signature) < 0)
        return auth_refuse(st, "The token is not a JSON Web Token");
    name = value_get_string(head, "alg", "");
    alg = crypto_alg_from_name(name);
    if (alg < 0)
        return auth_refuse(st, "The token's algorithm is not supported");
    if (value_has(head, "crit"))
        return auth_refuse(st, "The token demands an extension that is not supported");
    ret_jwt->alg = (enum crypto_alg)alg;
    ret_jwt->kid = value_get_string(head, "kid", NULL);
    ret_jwt->input = (struct bytes){token, (size_t)(signature - token)};
    return 0;
}

int auth_jwt_check_times(const struct value *claims, int64_t now_ms,
                         int64_t *ret_expires_ms, struct status *st) {
    const struct value *exp = value_get(claims, "exp"), *nbf = value_get(claims, "nbf");
    double now_s = (double)now_ms / 1000;

    *ret_expires_ms = INT64_MAX;
    if (!value_is_nullish(exp)) {
        if (!value_is_number(exp) || !isfinite(exp->number))
            return auth_refuse(st, "The token's exp is not a number of seconds");
        if (exp->number + AUTH_CLOCK_LEEWAY_S <= now_s)
            return auth_refuse(st, "The token has expired");
        if (exp->number < 9e12)
            *ret_expires_ms = (int64_t)(exp->number * 1000) + AUTH_CLOCK_LEEWAY_S * 1000;
    }
    if (!value_is_nullish(nbf)) {
        if (!value_is_number(nbf) || !isfinite(nbf->number))
            return auth_refuse(st, "The token's nbf is not a number of seconds");
        if (nbf->number - AUTH_CLOCK_LEEWAY_S > now_s)
            return auth_refuse(st, "The token is not valid yet");
    }
    return 0;
}

/* Text or a number, as hosts use both for ids. NULL when absent or empty. */
static int read_key(struct arena *a, const struct value *claims, const char *name,
                    const char **ret, struct status *st) {
    const struct value *v = value_get(claims, name);

    if (value_is_nullish(v))
        return 0;
    if (value_is_number(v)) {
        char text[32];
        size_t len = value_format_number(v->number, text);

        *ret = arena_memdup(a, text, len);
        return 0;
    }
    if (!value_is_string(v) || v->len > MAX_KEY || memchr(v->str, '\0', v->len))
        return auth_refuse(st, "The token's %s is not a text of at most %d bytes", name,
                           MAX_KEY);
    if (v->len)
        *ret = v->str;
    return 0;
}

static bool says_yes(const struct value *v) {
    return value_is_true(v) || (value_is_number(v) && v->number == 1) ||
           (value_is_string(v) && (!strcasecmp(v->str, "true") || !strcmp(v->str, "1")));
}

int auth_claims_read(struct arena *a, const struct value *claims,
                     struct auth_claims *ret_claims, struct status *st) {
    struct auth_claims c = {0};
    const struct value *fields = value_get(claims, "fields");
    const struct value *name = value_get(claims, "name");

    /* The newer spelling wins. */
    if (read_key(a, claims, "iss", &c.workspace_key, st) < 0 ||
        read_key(a, claims, "workspaceKey", &c.workspace_key, st) < 0 ||
        read_key(a, claims, "id", &c.tenant_key, st) < 0 ||
        read_key(a, claims, "tenantKey", &c.tenant_key, st) < 0)
        return -1;
    if (value_is_string(name) && name->len > 0 && name->len <= MAX_NAME)
        c.name = name->str;
    if (!value_is_nullish(fields) && !value_is_object(fields))
        return auth_refuse(st, "The token's fields are not an object");
    if (value_is_object(fields))
        c.fields = fields;
    c.is_admin = says_yes(value_get(claims, "isAdmin"));
    c.is_test = says_yes(value_get(claims, "isTest"));
    *ret_claims = c;
    return 0;
}
