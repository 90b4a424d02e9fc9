#include "crypto_rsa.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/arena.h"
#include "base/status.h"

/* Never asks for a pass phrase. */
static int no_password(char *buf, int size, int rwflag, void *ctx) {
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)ctx;
    return -1;
}

static EVP_PKEY *read_key(const char *pem) {
    BIO *in = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;

    BIO_free(in);
    return key;
}

int crypto_rsa_sign(struct arena *a, const char *pem, struct bytes data,
                    struct bytes *ret_signature, struct status *st) {
    EVP_PKEY *key = read_key(pem);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = key ? (size_t)EVP_PKEY_get_size(key) : 0;
    unsigned char *out = arena_alloc(a, len);
    bool good =
        key && ctx && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
        EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, out, &len, (const unsigned char *)data.data, data.len) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (!good)
        return st_fail(st, ST_CONFIGURATION, "bad-format",
                       "The private key is no RSA key in PEM form.");
    *ret_signature = (struct bytes){(const char *)out, len};
    return 0;
}
