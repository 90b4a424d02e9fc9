/*
 * crypto_hash.h - digests and comparisons that leak no time.
 */
#ifndef CRYPTO_CRYPTO_HASH_H
#define CRYPTO_CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct arena;

#define CRYPTO_SHA256_LEN 32

void crypto_sha256(const void *data, size_t len, unsigned char out[CRYPTO_SHA256_LEN]);
/* 64 lower-case hex digits: how random tokens are stored. */
const char *crypto_sha256_hex(struct arena *a, const char *text);
void crypto_hmac_sha256(struct bytes key, struct bytes data,
                        unsigned char out[CRYPTO_SHA256_LEN]);
const char *crypto_hmac_sha256_hex(struct arena *a, struct bytes key, struct bytes data);
/* Only for OAuth 1, which knows nothing better. */
#define CRYPTO_SHA1_LEN 20
void crypto_hmac_sha1(struct bytes key, struct bytes data,
                      unsigned char out[CRYPTO_SHA1_LEN]);
/* The time depends on the lengths only. */
bool crypto_equal(struct bytes x, struct bytes y);
const char *crypto_hex(struct arena *a, const void *data, size_t len);

#endif
