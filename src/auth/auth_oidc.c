/*
 * A person's token of an outside provider is verified like a workspace's: by the keys
 * behind an address, which Auth0 has by convention and others tell in their discovery
 * document. That document is read once; the keys are the key set cache's business.
 */
#include "auth_oidc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth_priv.h"
#include "base/arena.h"
#include "base/status.h"
#include "http/http_client.h"
#include "store/store.h"
#include "value/value.h"

enum { RETRY_MS = 3000, MAX_DOCUMENT = 256 * 1024 };

struct oidc_provider {
    pthread_mutex_t lock;   /* guards both below */
    char *key_uri;          /* NULL: not known yet */
    int64_t no_try_till_ms; /* after a failure, monotonic */
};

struct oidc_provider *oidc_provider_new(void) {
    struct oidc_provider *p = calloc(1, sizeof(*p));

    if (!p)
        abort();
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void oidc_provider_free(struct oidc_provider **p) {
    if (!*p)
        return;
    pthread_mutex_destroy(&(*p)->lock);
    free((*p)->key_uri);
    free(*p);
    *p = NULL;
}

bool auth_oidc_is_on(const struct auth *auth) {
    return auth->o.oidc_issuer && auth->o.oidc_client_id;
}

/* Providers differ in whether an issuer ends with a slash: ours may be given either way.
 */
static size_t issuer_len(const char *s) {
    size_t len = strlen(s);

    return len && s[len - 1] == '/' ? len - 1 : len;
}

bool auth_oidc_issued(const struct auth *auth, const struct auth_jwt *jwt) {
    const char *iss = value_get_string(jwt->claims, "iss", NULL);
    const char *own = auth->o.oidc_issuer;

    return auth_oidc_is_on(auth) && iss && issuer_len(iss) == issuer_len(own) &&
           memcmp(iss, own, issuer_len(own)) == 0;
}

int auth_oidc_refuse_password(const struct auth *auth, struct status *st) {
    return auth_oidc_is_on(auth)
               ? auth_deny(st, "People sign in at %s here", auth->o.oidc_issuer)
               : 0;
}

/* ---- Where the keys are ---- */

static char *discover(struct auth *auth) {
    static const struct value_limits limits = {.max_depth = 16,
                                               .max_bytes = MAX_DOCUMENT};
    struct arena *a = arena_new(0);
    const char *issuer = auth->o.oidc_issuer, *found = NULL;
    const struct value *doc;
    struct bytes body;
    struct status st;
    char *uri = NULL;

    st_init(&st, a);
    if (auth_fetch(auth, a,
                   arena_printf(a, "%.*s/.well-known/openid-configuration",
                                (int)issuer_len(issuer), issuer),
                   HTTP_REACH_ANY, &body, &st) == 0 &&
        body.len <= MAX_DOCUMENT &&
        value_parse(a, body.data, body.len, &limits, &doc, &st) == 0)
        found = value_get_string(doc, "jwks_uri", NULL);
    if (found && (!strncmp(found, "https://", 8) || !strncmp(found, "http://", 7)))
        uri = strdup(found);
    arena_free(&a);
    return uri;
}

/* Auth0's is known without asking. */
static const char *key_uri(struct auth *auth, struct arena *a) {
    struct oidc_provider *p = auth->oidc;
    const char *issuer = auth->o.oidc_issuer;
    const char *uri = NULL;

    if (auth->o.auth0_domain)
        return arena_printf(a, "%.*s/.well-known/jwks.json", (int)issuer_len(issuer),
                            issuer);
    pthread_mutex_lock(&p->lock);
    if (!p->key_uri && auth_monotonic_ms(auth) >= p->no_try_till_ms) {
        /* Others wait: without the address they could do nothing. */
        p->key_uri = discover(auth);
        if (!p->key_uri)
            p->no_try_till_ms = auth_monotonic_ms(auth) + RETRY_MS;
    }
    if (p->key_uri)
        uri = arena_strdup(a, p->key_uri);
    pthread_mutex_unlock(&p->lock);
    return uri;
}

bool auth_oidc_is_key_uri(struct auth *auth, const char *uri) {
    struct oidc_provider *p = auth->oidc;
    bool is_own;

    if (!auth_oidc_is_on(auth))
        return false;
    pthread_mutex_lock(&p->lock);
    is_own = p->key_uri && strcmp(p->key_uri, uri) == 0;
    pthread_mutex_unlock(&p->lock);
    return is_own;
}

/* ---- The token ---- */

static bool has_audience(const struct value *aud, const char *wanted) {
    if (!wanted || !*wanted)
        return false;
    if (value_equals_text(aud, wanted))
        return true;
    for (VALUE_EACH_ITEM(one, aud))
        if (value_equals_text(one, wanted))
            return true;
    return false;
}

/* An identity token is for our client; an access token for this API, got by our client.
 */
static int check_audience(const struct auth *auth, const struct value *claims,
                          struct status *st) {
    const struct value *aud = value_get(claims, "aud");
    const char *client = auth->o.oidc_client_id;

    if (has_audience(aud, client))
        return 0;
    if ((has_audience(aud, auth->o.oidc_audience) ||
         has_audience(aud, auth->o.base_uri)) &&
        (value_equals_text(value_get(claims, "azp"), client) ||
         value_equals_text(value_get(claims, "client_id"), client)))
        return 0;
    return auth_refuse(st, "The token was made for somebody else (aud)");
}

static bool is_signed_by(const struct key_set *keys, const struct auth_jwt *jwt) {
    for (size_t i = 0; i < keys->keys_len; i++) {
        const char *id = crypto_key_id(keys->keys[i]);

        if (id && jwt->kid && strcmp(id, jwt->kid))
            continue;
        if (crypto_verify(jwt->alg, keys->keys[i], jwt->input, jwt->signature))
            return true;
    }
    return false;
}

static int check_signature(struct auth *auth, struct arena *a, const struct auth_jwt *jwt,
                           struct status *st) {
    const char *uri = key_uri(auth, a);
    struct key_set *keys;
    bool is_good;

    if (jwt->alg == CRYPTO_HS256 || jwt->alg == CRYPTO_HS384 || jwt->alg == CRYPTO_HS512)
        return auth_refuse(st, "The provider signs with keys, not with a secret");
    if (!uri)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The sign-in provider can't be reached at present");
    if (jwks_get(auth, uri, jwt->kid, &keys, st) < 0)
        return -1;
    is_good = is_signed_by(keys, jwt);
    key_set_unref(&keys);
    return is_good ? 0 : auth_refuse(st, "The token's signature is not valid");
}

/* ---- The person ---- */

static int find_by_subject(struct auth *auth, struct arena *a, const char *sub,
                           const struct value **ret_user, struct status *st) {
    struct store_query q = {.where = store_eq_text(a, "auth0Id", sub)};

    return store_find(auth->o.store, a, C_PLATFORM_USERS, &q, ret_user, st);
}

/* Whose verified address it is, if anybody's, becomes the subject's account. */
static int adopt(struct auth *auth, struct arena *a, const char *sub,
                 const struct value *user, const struct value **ret_user,
                 struct status *st) {
    bool is_admin;

    if (!value_is_nullish(value_get(user, "auth0Id")))
        return auth_deny(st, "This address belongs to another account of the provider");
    if (auth_is_first_admin(auth, a, user, &is_admin, st) < 0)
        return -1;
    return auth_update_user(auth, a, value_get_string(user, "id", ""),
                            value_obj(a, "auth0Id", value_string(a, sub), "emailVerified",
                                      &value_true, "isAdmin",
                                      is_admin ? &value_true : NULL, NULL),
                            ret_user, st);
}

static int first_sign_in(struct auth *auth, struct arena *a, const struct value *claims,
                         const char *sub, const struct value **ret_user,
                         struct status *st) {
    struct auth_new_user n = {
        .email = value_get_string(claims, "email", NULL),
        .name = value_get_string(claims, "name", NULL),
        .is_verified = true,
    };
    const struct value *user;
    int rc;

    if (!n.email || !value_is_true(value_get(claims, "email_verified")))
        return auth_deny(st, "The sign-in provider gave no verified e-mail address");
    if (n.name && (!*n.name || strlen(n.name) > 200))
        n.name = NULL;
    rc = auth_find_user(auth, a, n.email, &user, st);
    if (rc == 1 && auth->o.disable_signup)
        return auth_deny(st, "Sign-up is closed; ask for an invitation");
    if (rc == 1) {
        rc = auth_create_user(auth, a, &n, &user, st);
        if (rc < 0 && st->key && !strcmp(st->key, "already_exists")) {
            st_clear(st); /* the same person's other request was faster */
            if (find_by_subject(auth, a, sub, ret_user, st) == 0)
                return 0;
            rc = auth_find_user(auth, a, n.email, &user, st);
        }
    }
    if (rc != 0)
        return rc < 0 ? -1 : auth_refuse(st, "The account was removed meanwhile");
    if (adopt(auth, a, sub, user, ret_user, st) < 0)
        return -1;
    return auth_activate_memberships(auth, value_get_string(user, "id", ""), st);
}

int auth_oidc_verify(struct auth *auth, struct arena *a, const struct auth_jwt *jwt,
                     const char **ret_user_id, int64_t *ret_expires_ms,
                     struct status *st) {
    const char *sub = value_get_string(jwt->claims, "sub", NULL);
    const struct value *user;
    int rc;

    if (!sub || !*sub || strlen(sub) > 255)
        return auth_refuse(st, "The token names no person (sub)");
    if (value_is_nullish(value_get(jwt->claims, "exp")))
        return auth_refuse(st, "The token has no end (exp)");
    if (check_audience(auth, jwt->claims, st) < 0 ||
        check_signature(auth, a, jwt, st) < 0 ||
        auth_jwt_check_times(jwt->claims, auth_now_ms(auth), ret_expires_ms, st) < 0)
        return -1;
    rc = find_by_subject(auth, a, sub, &user, st);
    if (rc == 1)
        rc = first_sign_in(auth, a, jwt->claims, sub, &user, st);
    if (rc < 0 || auth_ensure_org(auth, a, user, st) < 0)
        return -1;
    *ret_user_id = arena_strdup(a, value_get_string(user, "id", ""));
    return 0;
}
