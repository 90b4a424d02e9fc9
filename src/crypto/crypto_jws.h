/*
 * crypto_jws.h - signatures of RFC 7518 over OpenSSL: HS, RS, PS and ES with 256, 384 and
 * 512 bits, and EdDSA (Ed25519).
 *
 * A key fits an algorithm by what it is, never by what a token says: a public key can't
 * be taken for a shared secret, and there is no "none".
 *
 * OpenSSL and not libjwt or cjose: libjwt 1.10 knows neither PS nor key sets, cjose no
 * EdDSA, and both bring a second JSON representation.
 */
#ifndef CRYPTO_CRYPTO_JWS_H
#define CRYPTO_CRYPTO_JWS_H

#include <stdbool.h>

#include "base/bytes.h"

struct arena;
struct crypto_key;
struct status;
struct value;

enum crypto_alg {
    CRYPTO_HS256,
    CRYPTO_HS384,
    CRYPTO_HS512,
    CRYPTO_RS256,
    CRYPTO_RS384,
    CRYPTO_RS512,
    CRYPTO_PS256,
    CRYPTO_PS384,
    CRYPTO_PS512,
    CRYPTO_ES256,
    CRYPTO_ES384,
    CRYPTO_ES512,
    CRYPTO_EDDSA,
    CRYPTO_ALG_COUNT
};

/* -1 when unknown; case counts. */
int crypto_alg_from_name(const char *name);
const char *crypto_alg_name(enum crypto_alg alg);
/* HS256, HS384, HS512. */
bool crypto_alg_is_shared(enum crypto_alg alg);

/*
 * A public key from PEM text: SubjectPublicKeyInfo, PKCS#1 or a certificate. RSA of 2048
 * to 8192 bits, P-256, P-384, P-521 or Ed25519; private keys are refused. Gives the key;
 * -1 bad_request. Keys are safe to share between threads.
 */
int crypto_key_from_pem(const char *pem, size_t len, struct crypto_key **ret_key,
                        struct status *st);
/* A public key of a key set (RFC 7517). 1: not a key for signatures that we know. */
int crypto_key_from_jwk(const struct value *jwk, struct crypto_key **ret_key);
struct crypto_key *crypto_key_ref(struct crypto_key *k);
void crypto_key_unref(struct crypto_key **k);
/* The `kid` of a key set's key; or NULL. Lends. */
const char *crypto_key_id(const struct crypto_key *k);
bool crypto_key_fits(const struct crypto_key *k, enum crypto_alg alg);

/* alg must be an asymmetric one; false when the key does not fit. */
bool crypto_verify(enum crypto_alg alg, const struct crypto_key *k, struct bytes input,
                   struct bytes signature);
/* alg must be HS...; secret not empty. */
bool crypto_verify_shared(enum crypto_alg alg, struct bytes secret, struct bytes input,
                          struct bytes signature);
/* A compact token: header {alg, typ: "JWT"} and the claims, signed with a secret. */
const char *crypto_jwt_sign(struct arena *a, enum crypto_alg alg, struct bytes secret,
                            const struct value *claims);

#endif
