#include "auth_session.h"

#include <string.h>

#include "auth_priv.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_hash.h"
#include "crypto/crypto_jws.h"
#include "store/store.h"
#include "value/value.h"

int auth_session_start(struct auth *auth, struct arena *a, const char *user_id,
                       const char **ret_token, struct status *st) {
    const char *id = token_new(auth->o.rand, a, 18);
    int64_t expires_ms = auth_now_ms(auth) + AUTH_SESSION_MS;
    const struct value *doc = value_obj(
        a, "id", value_string(a, id), "userId", value_string(a, user_id), "createdAt",
        auth_iso_now(auth, a), "expiresAt", auth_iso(a, expires_ms), NULL);

    if (store_insert(auth->o.store, C_SESSIONS, doc, st) < 0)
        return -1;
    *ret_token = crypto_jwt_sign(
        a, CRYPTO_HS256, (struct bytes){auth->o.secret, strlen(auth->o.secret)},
        value_obj(a, "iss", value_string(a, AUTH_SESSION_ISSUER), "sub",
                  value_string(a, user_id), "sid", value_string(a, id), "iat",
                  value_number(a, (double)(auth_now_ms(auth) / 1000)), "exp",
                  value_number(a, (double)(expires_ms / 1000)), NULL));
    return 0;
}

int auth_sessions_end(struct auth *auth, const char *user_id, struct status *st) {
    struct arena *a = arena_new(0);
    int rc = store_delete_many(auth->o.store, C_SESSIONS,
                               store_eq_text(a, "userId", user_id), NULL, st);

    arena_free(&a);
    auth_forget(auth, user_id);
    return rc;
}

int auth_link_make(struct auth *auth, struct arena *a, const char *kind,
                   const char *user_id, int64_t ttl_ms, const char **ret_token,
                   struct status *st) {
    const char *token = token_new(auth->o.rand, a, 32);
    const struct value *doc =
        value_obj(a, "id", value_string(a, crypto_sha256_hex(a, token)), "kind",
                  value_string(a, kind), "userId", value_string(a, user_id), "createdAt",
                  auth_iso_now(auth, a), "expiresAt",
                  auth_iso(a, auth_now_ms(auth) + ttl_ms), NULL);

    if (store_insert(auth->o.store, C_ONE_TIME_TOKENS, doc, st) < 0)
        return -1;
    *ret_token = token;
    return 0;
}

/* Who deletes the document has used the link; a second one finds nothing to delete. */
int auth_link_use(struct auth *auth, struct arena *a, const char *kind, const char *token,
                  const char **ret_user_id, struct status *st) {
    const char *id = crypto_sha256_hex(a, token);
    const struct value *doc;
    int rc = store_get(auth->o.store, a, C_ONE_TIME_TOKENS, id, &doc, st);

    if (rc == 0 && !value_equals_text(value_get(doc, "kind"), kind))
        rc = 1;
    if (rc == 0)
        rc = store_delete(auth->o.store, C_ONE_TIME_TOKENS, id, NULL, st);
    if (rc == 0 && strcmp(value_get_string(doc, "expiresAt", ""),
                          value_text(auth_iso_now(auth, a))) <= 0)
        rc = 1;
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "This link was used already, or is too old");
    if (rc == 0)
        *ret_user_id = value_get_string(doc, "userId", "");
    return rc;
}

int auth_sweep(struct auth *auth, struct status *st) {
    static const enum collection with_end[] = {C_SESSIONS, C_ONE_TIME_TOKENS,
                                               C_ORG_INVITATIONS};
    struct arena *a = arena_new(0);
    const struct store_filter *over =
        store_cmp(a, STORE_LT, "expiresAt", auth_iso_now(auth, a));
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(with_end) / sizeof(*with_end); i++)
        rc = store_delete_many(auth->o.store, with_end[i], over, NULL, st);
    arena_free(&a);
    return rc;
}
