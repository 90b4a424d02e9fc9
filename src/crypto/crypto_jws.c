#include "crypto_jws.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "crypto_base64url.h"
#include "value/value.h"

enum family { SHARED, RSA_PKCS1, RSA_PSS, ECDSA, ED25519 };
enum { MAX_SIGNATURE = 1024, MIN_RSA_BITS = 2048, MAX_RSA_BITS = 8192 };

static const struct alg_row {
    const char *name;
    enum family family;
    const char *digest;
    unsigned half_len; /* ECDSA: bytes of r and of s */
} algs[CRYPTO_ALG_COUNT] = {
    [CRYPTO_HS256] = {"HS256", SHARED, "SHA256", 0},
    [CRYPTO_HS384] = {"HS384", SHARED, "SHA384", 0},
    [CRYPTO_HS512] = {"HS512", SHARED, "SHA512", 0},
    [CRYPTO_RS256] = {"RS256", RSA_PKCS1, "SHA256", 0},
    [CRYPTO_RS384] = {"RS384", RSA_PKCS1, "SHA384", 0},
    [CRYPTO_RS512] = {"RS512", RSA_PKCS1, "SHA512", 0},
    [CRYPTO_PS256] = {"PS256", RSA_PSS, "SHA256", 0},
    [CRYPTO_PS384] = {"PS384", RSA_PSS, "SHA384", 0},
    [CRYPTO_PS512] = {"PS512", RSA_PSS, "SHA512", 0},
    [CRYPTO_ES256] = {"ES256", ECDSA, "SHA256", 32},
    [CRYPTO_ES384] = {"ES384", ECDSA, "SHA384", 48},
    [CRYPTO_ES512] = {"ES512", ECDSA, "SHA512", 66},
    [CRYPTO_EDDSA] = {"EdDSA", ED25519, NULL, 0},
};

struct crypto_key {
    atomic_uint refs;
    EVP_PKEY *pkey;
    enum { KEY_RSA, KEY_EC, KEY_ED25519 } kind;
    unsigned half_len; /* EC: of its curve's signatures */
    int only_alg;      /* a key set's `alg`; -1: any that fits */
    char *kid;
};

int crypto_alg_from_name(const char *name) {
    for (int i = 0; i < CRYPTO_ALG_COUNT; i++)
        if (!strcmp(algs[i].name, name))
            return i;
    return -1;
}

const char *crypto_alg_name(enum crypto_alg alg) {
    return algs[alg].name;
}

bool crypto_alg_is_shared(enum crypto_alg alg) {
    return algs[alg].family == SHARED;
}

/* ---- Keys ---- */

/* Takes pkey; NULL when it is of no kind that we verify with. */
static struct crypto_key *make_key(EVP_PKEY *pkey) {
    struct crypto_key *k = calloc(1, sizeof(*k));
    int bits = EVP_PKEY_get_bits(pkey);
    char group[32] = "";
    bool ok = false;

    if (!k)
        abort();
    k->refs = 1;
    k->pkey = pkey;
    k->only_alg = -1;
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        k->kind = KEY_RSA;
        ok = bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS;
    } else if (EVP_PKEY_is_a(pkey, "ED25519")) {
        k->kind = KEY_ED25519;
        ok = true;
    } else if (EVP_PKEY_is_a(pkey, "EC") &&
               EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL)) {
        k->kind = KEY_EC;
        k->half_len = !strcmp(group, "prime256v1")  ? 32
                      : !strcmp(group, "secp384r1") ? 48
                      : !strcmp(group, "secp521r1") ? 66
                                                    : 0;
        ok = k->half_len > 0;
    }
    if (!ok)
        crypto_key_unref(&k);
    return k;
}

static EVP_PKEY *decode_certificate(const char *pem, size_t len) {
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EVP_PKEY *pkey = cert ? X509_get_pubkey(cert) : NULL;

    X509_free(cert);
    BIO_free(bio);
    return pkey;
}

static EVP_PKEY *decode_public_key(const char *pem, size_t len) {
    EVP_PKEY *pkey = NULL;
    const unsigned char *data = (const unsigned char *)pem;
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(
        &pkey, "PEM", NULL, NULL, EVP_PKEY_PUBLIC_KEY, NULL, NULL);

    OSSL_DECODER_from_data(ctx, &data, &len);
    OSSL_DECODER_CTX_free(ctx);
    return pkey;
}

int crypto_key_from_pem(const char *pem, size_t len, struct crypto_key **ret_key,
                        struct status *st) {
    EVP_PKEY *pkey = NULL;
    struct crypto_key *k = NULL;

    if (len > 32 * 1024)
        return st_fail(st, ST_BAD_REQUEST, NULL, "A public key is at most 32 kB of PEM");
    if (memmem(pem, len, "PRIVATE KEY", 11))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "This is a private key; store the public key only");
    pkey = memmem(pem, len, "CERTIFICATE", 11) ? decode_certificate(pem, len)
                                               : decode_public_key(pem, len);
    ERR_clear_error();
    if (pkey)
        k = make_key(pkey);
    if (!k)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "Not a public key in PEM form; RSA of at least 2048 bits, P-256, "
                       "P-384, P-521 and Ed25519 are supported");
    *ret_key = k;
    return 0;
}

static EVP_PKEY *pkey_from_params(const char *type, OSSL_PARAM_BLD *bld) {
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    if (params && EVP_PKEY_fromdata_init(ctx) == 1)
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

/* A base64url member; at most max bytes. */
static bool jwk_bytes(struct arena *a, const struct value *jwk, const char *name,
                      size_t max, struct bytes *ret) {
    const struct value *v = value_get(jwk, name);

    return value_is_string(v) && v->len <= max * 4 / 3 + 4 &&
           crypto_base64url_decode(a, v->str, v->len, ret) == 0 && ret->len > 0;
}

static EVP_PKEY *rsa_from_jwk(struct arena *a, const struct value *jwk) {
    OSSL_PARAM_BLD *bld;
    EVP_PKEY *pkey = NULL;
    BIGNUM *n, *e;
    struct bytes nb, eb;

    if (!jwk_bytes(a, jwk, "n", MAX_RSA_BITS / 8 + 1, &nb) ||
        !jwk_bytes(a, jwk, "e", 8, &eb))
        return NULL;
    bld = OSSL_PARAM_BLD_new();
    n = BN_bin2bn((const unsigned char *)nb.data, (int)nb.len, NULL);
    e = BN_bin2bn((const unsigned char *)eb.data, (int)eb.len, NULL);
    if (OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e))
        pkey = pkey_from_params("RSA", bld);
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(bld);
    return pkey;
}

static EVP_PKEY *ec_from_jwk(struct arena *a, const struct value *jwk) {
    static const struct {
        const char *crv, *group;
        size_t len;
    } curves[] = {{"P-256", "prime256v1", 32},
                  {"P-384", "secp384r1", 48},
                  {"P-521", "secp521r1", 66}};
    const char *crv = value_get_string(jwk, "crv", "");
    struct bytes x, y;

    for (size_t i = 0; i < sizeof(curves) / sizeof(*curves); i++) {
        unsigned char point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
        OSSL_PARAM_BLD *bld;
        EVP_PKEY *pkey = NULL;

        if (strcmp(crv, curves[i].crv))
            continue;
        if (!jwk_bytes(a, jwk, "x", 66, &x) || !jwk_bytes(a, jwk, "y", 66, &y) ||
            x.len != curves[i].len || y.len != curves[i].len)
            return NULL;
        memcpy(point + 1, x.data, x.len);
        memcpy(point + 1 + x.len, y.data, y.len);
        bld = OSSL_PARAM_BLD_new();
        if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                            curves[i].group, 0) &&
            OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point,
                                             1 + x.len + y.len))
            pkey = pkey_from_params("EC", bld);
        OSSL_PARAM_BLD_free(bld);
        return pkey;
    }
    return NULL;
}

static EVP_PKEY *okp_from_jwk(struct arena *a, const struct value *jwk) {
    struct bytes x;

    if (strcmp(value_get_string(jwk, "crv", ""), "Ed25519") ||
        !jwk_bytes(a, jwk, "x", 32, &x) || x.len != 32)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
                                       (const unsigned char *)x.data, x.len);
}

int crypto_key_from_jwk(const struct value *jwk, struct crypto_key **ret_key) {
    const char *kty = value_get_string(jwk, "kty", "");
    const char *use = value_get_string(jwk, "use", "sig");
    const char *alg = value_get_string(jwk, "alg", NULL);
    const char *kid = value_get_string(jwk, "kid", NULL);
    int only_alg = alg ? crypto_alg_from_name(alg) : -1;
    struct arena *a;
    EVP_PKEY *pkey;
    struct crypto_key *k;

    if (strcmp(use, "sig") || (alg && only_alg < 0))
        return 1;
    a = arena_new(0);
    pkey = !strcmp(kty, "RSA")   ? rsa_from_jwk(a, jwk)
           : !strcmp(kty, "EC")  ? ec_from_jwk(a, jwk)
           : !strcmp(kty, "OKP") ? okp_from_jwk(a, jwk)
                                 : NULL;
    arena_free(&a);
    ERR_clear_error();
    k = pkey ? make_key(pkey) : NULL;
    if (!k)
        return 1;
    k->only_alg = only_alg;
    k->kid = kid ? strdup(kid) : NULL;
    *ret_key = k;
    return 0;
}

struct crypto_key *crypto_key_ref(struct crypto_key *k) {
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void crypto_key_unref(struct crypto_key **k) {
    if (*k && atomic_fetch_sub(&(*k)->refs, 1) == 1) {
        EVP_PKEY_free((*k)->pkey);
        free((*k)->kid);
        free(*k);
    }
    *k = NULL;
}

const char *crypto_key_id(const struct crypto_key *k) {
    return k->kid;
}

bool crypto_key_fits(const struct crypto_key *k, enum crypto_alg alg) {
    if (k->only_alg >= 0 && k->only_alg != (int)alg)
        return false;
    switch (algs[alg].family) {
    case RSA_PKCS1:
    case RSA_PSS:
        return k->kind == KEY_RSA;
    case ECDSA:
        return k->kind == KEY_EC && k->half_len == algs[alg].half_len;
    case ED25519:
        return k->kind == KEY_ED25519;
    case SHARED:
        break;
    }
    return false;
}

/* ---- Signatures ---- */

/* r and s side by side, as tokens carry them, to the DER that OpenSSL checks. */
static size_t ecdsa_to_der(struct bytes raw, unsigned half_len, unsigned char *out) {
    const unsigned char *in = (const unsigned char *)raw.data;
    ECDSA_SIG *sig;
    int len;

    if (raw.len != 2 * half_len)
        return 0;
    sig = ECDSA_SIG_new();
    ECDSA_SIG_set0(sig, BN_bin2bn(in, (int)half_len, NULL),
                   BN_bin2bn(in + half_len, (int)half_len, NULL));
    len = i2d_ECDSA_SIG(sig, &out);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

bool crypto_verify(enum crypto_alg alg, const struct crypto_key *k, struct bytes input,
                   struct bytes signature) {
    const struct alg_row *row = &algs[alg];
    unsigned char der[MAX_SIGNATURE];
    EVP_MD_CTX *ctx;
    EVP_PKEY_CTX *pctx = NULL;
    bool ok;

    if (!crypto_key_fits(k, alg) || signature.len > MAX_SIGNATURE)
        return false;
    if (row->family == ECDSA) {
        signature.len = ecdsa_to_der(signature, row->half_len, der);
        signature.data = (const char *)der;
        if (!signature.len)
            return false;
    }
    ctx = EVP_MD_CTX_new();
    ok = EVP_DigestVerifyInit_ex(ctx, &pctx, row->digest, NULL, NULL, k->pkey, NULL) == 1;
    if (ok && row->family == RSA_PSS)
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) > 0;
    ok = ok && EVP_DigestVerify(ctx, (const unsigned char *)signature.data, signature.len,
                                (const unsigned char *)input.data, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

static unsigned hmac(enum crypto_alg alg, struct bytes secret, struct bytes input,
                     unsigned char out[EVP_MAX_MD_SIZE]) {
    const EVP_MD *md = alg == CRYPTO_HS256   ? EVP_sha256()
                       : alg == CRYPTO_HS384 ? EVP_sha384()
                                             : EVP_sha512();
    unsigned len = 0;
    const unsigned char *ok =
        HMAC(md, secret.data, (int)secret.len, (const unsigned char *)input.data,
             input.len, out, &len);

    assert(ok);
    return len;
}

bool crypto_verify_shared(enum crypto_alg alg, struct bytes secret, struct bytes input,
                          struct bytes signature) {
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len;

    assert(crypto_alg_is_shared(alg) && secret.len > 0);
    len = hmac(alg, secret, input, sum);
    return signature.len == len && CRYPTO_memcmp(signature.data, sum, len) == 0;
}

const char *crypto_jwt_sign(struct arena *a, enum crypto_alg alg, struct bytes secret,
                            const struct value *claims) {
    struct bytes body = value_encode_arena(a, claims, VALUE_ENCODE_COMPACT);
    const char *head =
        arena_printf(a, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", algs[alg].name);
    const char *input =
        arena_printf(a, "%s.%s", crypto_base64url_encode(a, head, strlen(head)),
                     crypto_base64url_encode(a, body.data, body.len));
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len;

    assert(crypto_alg_is_shared(alg) && secret.len > 0);
    len = hmac(alg, secret, (struct bytes){input, strlen(input)}, sum);
    return arena_printf(a, "%s.%s", input, crypto_base64url_encode(a, sum, len));
}
