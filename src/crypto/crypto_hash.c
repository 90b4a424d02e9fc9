#include "crypto_hash.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/arena.h"

void crypto_sha256(const void *data, size_t len, unsigned char out[CRYPTO_SHA256_LEN]) {
    int ok = EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL);

    assert(ok == 1);
}

const char *crypto_hex(struct arena *a, const void *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = data;
    char *out = arena_alloc(a, 2 * len + 1);

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * len] = '\0';
    return out;
}

const char *crypto_sha256_hex(struct arena *a, const char *text) {
    unsigned char sum[CRYPTO_SHA256_LEN];

    crypto_sha256(text, strlen(text), sum);
    return crypto_hex(a, sum, sizeof(sum));
}

void crypto_hmac_sha256(struct bytes key, struct bytes data,
                        unsigned char out[CRYPTO_SHA256_LEN]) {
    unsigned len = 0;
    const unsigned char *ok = HMAC(EVP_sha256(), key.data ? key.data : "", (int)key.len,
                                   (const unsigned char *)data.data, data.len, out, &len);

    assert(ok && len == CRYPTO_SHA256_LEN);
}

void crypto_hmac_sha1(struct bytes key, struct bytes data,
                      unsigned char out[CRYPTO_SHA1_LEN]) {
    unsigned len = 0;
    const unsigned char *ok = HMAC(EVP_sha1(), key.data ? key.data : "", (int)key.len,
                                   (const unsigned char *)data.data, data.len, out, &len);

    assert(ok && len == CRYPTO_SHA1_LEN);
}

const char *crypto_hmac_sha256_hex(struct arena *a, struct bytes key, struct bytes data) {
    unsigned char sum[CRYPTO_SHA256_LEN];

    crypto_hmac_sha256(key, data, sum);
    return crypto_hex(a, sum, sizeof(sum));
}

bool crypto_equal(struct bytes x, struct bytes y) {
    return x.len == y.len && CRYPTO_memcmp(x.data, y.data, x.len) == 0;
}
