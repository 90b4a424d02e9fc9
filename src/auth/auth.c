#include "auth.h"

#include <stdlib.h>
#include <string.h>

#include "auth_oidc.h"
#include "auth_priv.h"
#include "auth_tries.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_jws.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "store/store.h"
#include "value/value.h"

int64_t auth_now_ms(const struct auth *auth) {
    return clock_now_ms(auth->o.clock);
}

int64_t auth_monotonic_ms(const struct auth *auth) {
    return clock_monotonic_ms(auth->o.clock);
}

unsigned auth_generation_slot(const char *id) {
    return value_hash_key(id, strlen(id)) % AUTH_GENERATIONS;
}

unsigned auth_generation(const struct auth *auth, unsigned slot) {
    return atomic_load_explicit(&auth->generation[slot], memory_order_acquire);
}

void auth_forget(struct auth *auth, const char *id) {
    atomic_fetch_add_explicit(&auth->generation[auth_generation_slot(id)], 1,
                              memory_order_release);
}

/* One document says which ENCRYPTION_SECRET the data was written with. */
static int check_encryption(struct store *s, const struct crypto_sealer *sealer,
                            struct status *st) {
    static const char id[] = "encryption-key-check";
    struct arena *a = arena_new(0);
    const struct value *doc, *fresh;
    int rc;

    fresh = value_obj(a, "id", value_string(a, id), "value",
                      value_string(a, crypto_seal_check_value(sealer, a)), NULL);
    rc = store_get(s, a, C_META, id, &doc, st);
    if (rc == 1) {
        rc = store_insert(s, C_META, fresh, st);
        if (rc < 0 && st->key && !strcmp(st->key, "already_exists")) {
            st_clear(st);
            rc = store_get(s, a, C_META, id, &doc, st);
        } else if (rc == 0) {
            doc = fresh;
        }
    }
    if (rc == 0)
        rc = crypto_seal_check(sealer, value_get_string(doc, "value", ""), st);
    if (rc == 1)
        rc = store_replace(s, C_META, fresh, NULL, st);
    arena_free(&a);
    return rc < 0 ? -1 : 0;
}

static const char *keep(struct arena *a, const char *s) {
    return s ? arena_strdup(a, s) : NULL;
}

int auth_open(const struct auth_options *o, struct auth **ret_auth, struct status *st) {
    struct auth *auth;

    if (check_encryption(o->store, o->sealer, st) < 0)
        return -1;
    auth = calloc(1, sizeof(*auth));
    if (!auth)
        abort();
    auth->arena = arena_new(0);
    auth->o = *o;
    auth->o.secret = keep(auth->arena, o->secret);
    auth->o.secret_previous = keep(auth->arena, o->secret_previous);
    auth->o.base_uri = keep(auth->arena, o->base_uri);
    auth->o.console_uri = keep(auth->arena, o->console_uri);
    auth->o.bootstrap_admin_email = keep(auth->arena, o->bootstrap_admin_email);
    auth->o.oidc_issuer = keep(auth->arena, o->oidc_issuer);
    auth->o.oidc_client_id = keep(auth->arena, o->oidc_client_id);
    auth->o.oidc_audience = keep(auth->arena, o->oidc_audience);
    auth->o.auth0_domain = keep(auth->arena, o->auth0_domain);
    auth->oidc = oidc_provider_new();
    auth->tokens = token_cache_new(o->max_tokens);
    auth->workspaces = workspace_cache_new();
    auth->jwks = jwks_cache_new();
    auth->tries = tries_new();
    *ret_auth = auth;
    return 0;
}

void auth_close(struct auth **auth) {
    if (!*auth)
        return;
    token_cache_free(&(*auth)->tokens);
    workspace_cache_free(&(*auth)->workspaces);
    jwks_cache_free(&(*auth)->jwks);
    oidc_provider_free(&(*auth)->oidc);
    tries_free(&(*auth)->tries);
    arena_free(&(*auth)->arena);
    free(*auth);
    *auth = NULL;
}

int auth_workspace_token(const struct deps *deps, struct arena *a,
                         const char *workspace_id, const char *customer_id, int ttl_s,
                         const char **ret_token, struct status *st) {
    const struct value *workspace, *customer = NULL;
    const char *secret;
    int rc = store_get(deps->store, a, C_WORKSPACES, workspace_id, &workspace, st);
    double exp = (double)(clock_now_ms(deps->clock) / 1000 + ttl_s);

    if (rc == 0 && customer_id)
        rc = store_get(deps->store, a, C_CUSTOMERS, customer_id, &customer, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        return st_fail(st, ST_INTERNAL, NULL, "The workspace or customer is gone");
    secret = auth_workspace_secret(deps->sealer, a, workspace);
    if (!secret || !*secret)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "The workspace has no secret to sign "
                       "tokens with");
    *ret_token = crypto_jwt_sign(
        a, CRYPTO_HS256, (struct bytes){secret, strlen(secret)},
        value_obj(a, "iss", value_get(workspace, "key"), "id",
                  customer ? value_get(customer, "internalId") : NULL, "name",
                  customer ? value_get(customer, "name") : NULL, "fields",
                  customer ? value_find(customer, "fields", 6) : NULL, "isAdmin",
                  customer ? NULL : &value_true, "exp", value_number(a, exp), NULL));
    return 0;
}
