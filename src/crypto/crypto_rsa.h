/*
 * crypto_rsa.h - signatures with a private RSA key: what service accounts prove
 * themselves with.
 */
#ifndef CRYPTO_CRYPTO_RSA_H
#define CRYPTO_CRYPTO_RSA_H

#include "base/bytes.h"

struct arena;
struct status;

/*
 * RSASSA-PKCS1-v1_5 with SHA-256 over data. pem: PKCS#8 or PKCS#1, not encrypted. -1
 * ST_CONFIGURATION "bad-format" when the key can't be used.
 */
int crypto_rsa_sign(struct arena *a, const char *pem, struct bytes data,
                    struct bytes *ret_signature, struct status *st);

#endif
