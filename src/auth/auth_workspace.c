/*
 * Workspaces as tokens need them: the public document, the secret in clear and the parsed
 * keys, kept for a few seconds because every first sight of a token asks for them.
 */
#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "auth_priv.h"
#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_jws.h"
#include "crypto/crypto_seal.h"
#include "store/store.h"
#include "value/value.h"

enum { PLACES = 256, MAX_KEYS = 16 };

struct workspace_cache {
    pthread_mutex_t lock;                 /* guards place */
    struct auth_workspace *place[PLACES]; /* by hash of the key; a newcomer replaces */
};

struct workspace_cache *workspace_cache_new(void) {
    struct workspace_cache *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void workspace_cache_free(struct workspace_cache **c) {
    if (!*c)
        return;
    for (int i = 0; i < PLACES; i++)
        auth_workspace_unref(&(*c)->place[i]);
    pthread_mutex_destroy(&(*c)->lock);
    free(*c);
    *c = NULL;
}

void auth_workspace_unref(struct auth_workspace **w) {
    if (*w && atomic_fetch_sub(&(*w)->refs, 1) == 1) {
        for (size_t i = 0; i < (*w)->keys_len; i++)
            crypto_key_unref(&(*w)->keys[i]);
        free((*w)->keys);
        OPENSSL_cleanse((*w)->secret, strlen((*w)->secret));
        free((*w)->secret);
        document_unref(&(*w)->public_doc);
        free(*w);
    }
    *w = NULL;
}

const struct value *auth_workspace_public(struct arena *a, const struct value *doc) {
    static const char *const hidden[] = {"secret", "engineAccessToken", NULL};

    return value_omit(a, doc, hidden);
}

const char *auth_workspace_secret(const struct crypto_sealer *s, struct arena *a,
                                  const struct value *doc) {
    const char *sealed = value_get_string(doc, "secret", NULL);
    const struct value *v;
    struct status st;

    st_init(&st, a);
    if (!sealed ||
        crypto_unseal(s, a, value_get_string(doc, "id", ""), sealed, &v, &st) < 0)
        return NULL;
    return value_text(v);
}

static void add_pem(struct auth_workspace *w, struct arena *a, const char *pem) {
    struct status st;

    st_init(&st, a);
    if (pem && w->keys_len < MAX_KEYS &&
        crypto_key_from_pem(pem, strlen(pem), &w->keys[w->keys_len], &st) == 0)
        w->keys_len++;
}

struct auth_workspace *auth_workspace_from_doc(struct auth *auth,
                                               const struct value *doc) {
    struct auth_workspace *w = calloc(1, sizeof(*w));
    struct arena *own = arena_new(0), *tmp = arena_new(0);
    const struct value *public = value_copy(own, auth_workspace_public(tmp, doc));
    const char *secret = NULL, *uri = value_get_string(public, "jwksUri", NULL);

    if (!w || !(w->keys = calloc(MAX_KEYS, sizeof(*w->keys))))
        abort();
    w->refs = 1;
    w->id = value_get_string(public, "id", "");
    w->key = value_get_string(public, "key", "");
    w->jwks_uri = uri && *uri ? uri : NULL;
    w->is_disabled = value_get_bool(public, "isDisabled", false);
    if (!value_get_bool(value_get(public, "settings"), "disableSecretKeyAuth", false))
        secret = auth_workspace_secret(auth->o.sealer, tmp, doc);
    w->secret = strdup(secret ? secret : "");
    for (VALUE_EACH_ITEM(k, value_get(public, "publicKeys")))
        add_pem(w, tmp, value_get_string(k, "publicKey", NULL));
    add_pem(w, tmp, value_get_string(public, "publicKey", NULL));
    w->public_doc = document_new(&own, public);
    w->loaded_ms = auth_monotonic_ms(auth);
    arena_free(&tmp);
    return w;
}

static bool is_good(struct auth *auth, const struct auth_workspace *w) {
    return auth_monotonic_ms(auth) - w->loaded_ms < AUTH_RECHECK_MS &&
           auth_generation(auth, auth_generation_slot(w->id)) == w->generation;
}

static int load(struct auth *auth, const char *key, struct auth_workspace **ret,
                struct status *st) {
    struct arena *a = arena_new(0);
    struct store_query q = {.where = store_eq_text(a, "key", key)};
    const struct value *doc;
    unsigned generation = 0;
    int rc;

    /* Twice, because the slot of the generation follows from the id. */
    rc = store_find(auth->o.store, a, C_WORKSPACES, &q, &doc, st);
    if (rc == 0) {
        generation =
            auth_generation(auth, auth_generation_slot(value_get_string(doc, "id", "")));
        rc = store_find(auth->o.store, a, C_WORKSPACES, &q, &doc, st);
    }
    if (rc == 0 && !value_is_nullish(value_get(doc, "archivedAt")))
        rc = 1;
    if (rc == 0) {
        *ret = auth_workspace_from_doc(auth, doc);
        (*ret)->generation = generation;
    }
    arena_free(&a);
    return rc;
}

int auth_workspace_get(struct auth *auth, const char *key,
                       struct auth_workspace **ret_workspace, struct status *st) {
    struct workspace_cache *c = auth->workspaces;
    struct auth_workspace **place = &c->place[value_hash_key(key, strlen(key)) % PLACES];
    struct auth_workspace *w = NULL, *old;
    int rc;

    pthread_mutex_lock(&c->lock);
    if (*place && !strcmp((*place)->key, key) && is_good(auth, *place)) {
        w = *place;
        atomic_fetch_add(&w->refs, 1);
    }
    pthread_mutex_unlock(&c->lock);
    if (!w) {
        rc = load(auth, key, &w, st);
        if (rc != 0)
            return rc;
        atomic_fetch_add(&w->refs, 1);
        pthread_mutex_lock(&c->lock);
        old = *place;
        *place = w;
        pthread_mutex_unlock(&c->lock);
        auth_workspace_unref(&old);
    }
    *ret_workspace = w;
    return 0;
}

/* A key that names its id is tried only for tokens that name none or the same. */
static bool try_keys(struct crypto_key *const *keys, size_t n,
                     const struct auth_jwt *jwt) {
    for (size_t i = 0; i < n; i++) {
        const char *id = crypto_key_id(keys[i]);

        if (id && jwt->kid && strcmp(id, jwt->kid))
            continue;
        if (crypto_verify(jwt->alg, keys[i], jwt->input, jwt->signature))
            return true;
    }
    return false;
}

int auth_workspace_verify(struct auth *auth, const struct auth_workspace *w,
                          const struct auth_jwt *jwt, struct status *st) {
    struct key_set *set;
    bool ok;

    if (crypto_alg_is_shared(jwt->alg)) {
        if (!*w->secret)
            return auth_refuse(
                st, "This workspace does not accept tokens signed with its secret");
        if (!crypto_verify_shared(jwt->alg, (struct bytes){w->secret, strlen(w->secret)},
                                  jwt->input, jwt->signature))
            return auth_refuse(st, "The token's signature is not valid");
        return 0;
    }
    if (try_keys(w->keys, w->keys_len, jwt))
        return 0;
    if (!w->jwks_uri)
        return auth_refuse(st, "The token's signature fits no public key of the "
                               "workspace");
    if (jwks_get(auth, w->jwks_uri, jwt->kid, &set, st) < 0)
        return -1;
    ok = try_keys(set->keys, set->keys_len, jwt);
    key_set_unref(&set);
    return ok ? 0 : auth_refuse(st, "The token's signature fits no key of the workspace");
}
