/*
 * auth_jwt.h - compact tokens (RFC 7519): their text, their times, their claims. Knows
 * nothing about keys and stored data.
 */
#ifndef AUTH_AUTH_JWT_H
#define AUTH_AUTH_JWT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "crypto/crypto_jws.h"

struct arena;
struct status;
struct value;

enum { AUTH_TOKEN_MAX = 16 * 1024, AUTH_CLOCK_LEEWAY_S = 30 };

struct auth_jwt {
    enum crypto_alg alg;
    const char *kid; /* or NULL */
    const struct value *claims;
    struct bytes input; /* what was signed */
    struct bytes signature;
};

/* Splits and decodes; nothing is verified. -1 not_authenticated. Lends from token. */
int auth_jwt_parse(struct arena *a, const char *token, struct auth_jwt *ret_jwt,
                   struct status *st);
/*
 * exp and nbf with the leeway. ret_expires_ms: when the token ends, INT64_MAX without
 * `exp`. -1 not_authenticated.
 */
int auth_jwt_check_times(const struct value *claims, int64_t now_ms,
                         int64_t *ret_expires_ms, struct status *st);

/* What a workspace's token says, in its older and newer spelling. */
struct auth_claims {
    const char *workspace_key;  /* workspaceKey, or iss */
    const char *tenant_key;     /* tenantKey, or id; numbers as text; NULL: none */
    const char *name;           /* or NULL */
    const struct value *fields; /* object, or NULL */
    bool is_admin;              /* true, 1, "true", "1" */
    bool is_test;
};
/* -1 not_authenticated when a claim has a type or size that makes no sense. */
int auth_claims_read(struct arena *a, const struct value *claims,
                     struct auth_claims *ret_claims, struct status *st);

/* Every 401 of this folder. Returns -1. */
int auth_refuse(struct status *st, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Every 403 of this folder. Returns -1. */
int auth_deny(struct status *st, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
