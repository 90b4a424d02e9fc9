/*
 * auth_oidc.h - people who sign in at Auth0 or another OpenID provider: their tokens, and
 * whom they stand for.
 */
#ifndef AUTH_AUTH_OIDC_H
#define AUTH_AUTH_OIDC_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct auth;
struct auth_jwt;
struct oidc_provider;
struct status;

struct oidc_provider *oidc_provider_new(void);
void oidc_provider_free(struct oidc_provider **p);

/* Whether people sign in at a provider here; and whether the token is one of its. */
bool auth_oidc_is_on(const struct auth *auth);
bool auth_oidc_issued(const struct auth *auth, const struct auth_jwt *jwt);
/* Is it the address of the provider's own keys? */
bool auth_oidc_is_key_uri(struct auth *auth, const char *uri);
/*
 * Checks a token of the provider (operations.md 8.1) and finds the person: by the
 * provider's name for them, else by a verified address; a new one is made. ret_user_id
 * lives in `a`. -1 not_authenticated or access_denied, or 503 without the keys.
 */
int auth_oidc_verify(struct auth *auth, struct arena *a, const struct auth_jwt *jwt,
                     const char **ret_user_id, int64_t *ret_expires_ms,
                     struct status *st);
/* -1 access_denied when people sign in at a provider: passwords do not count then. */
int auth_oidc_refuse_password(const struct auth *auth, struct status *st);

#endif
