/*
 * The nonce is random: 96 bits under one key are safe far beyond the number of
 * credentials a server ever seals (2^32 by NIST SP 800-38D).
 */
#include "crypto_seal.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "crypto_base64url.h"
#include "crypto_hash.h"
#include "value/value.h"

enum { KEY_LEN = 32, NONCE_LEN = 12, TAG_LEN = 16, KEY_ID_LEN = 8, MAX_KEYS = 8 };

static const char check_record[] = "key-check";

struct seal_key {
    char id[KEY_ID_LEN + 1];
    unsigned char key[KEY_LEN];
};

struct crypto_sealer {
    struct seal_key keys[MAX_KEYS]; /* the first seals; all open */
    size_t keys_len;
};

static void derive(const char *secret, size_t len, const char *info, unsigned char *out) {
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, "membrane", 8),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info,
                                          strlen(info)),
        OSSL_PARAM_construct_end(),
    };
    int ok = EVP_KDF_derive(ctx, out, KEY_LEN, params);

    assert(ok == 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void add_key(struct crypto_sealer *s, const char *secret, size_t len) {
    struct seal_key *k = &s->keys[s->keys_len];
    unsigned char id[KEY_LEN];

    if (s->keys_len == MAX_KEYS || !len)
        return;
    derive(secret, len, "seal v1", k->key);
    derive(secret, len, "key id v1", id);
    for (int i = 0; i < KEY_ID_LEN; i++)
        k->id[i] = "0123456789abcdef"[i % 2 ? id[i / 2] & 15 : id[i / 2] >> 4];
    s->keys_len++;
}

struct crypto_sealer *crypto_sealer_new(const char *secret, const char *previous) {
    struct crypto_sealer *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    assert(*secret);
    add_key(s, secret, strlen(secret));
    while (previous && *previous) {
        size_t len = strcspn(previous, ",");

        add_key(s, previous, len);
        previous += len + (previous[len] == ',');
    }
    return s;
}

void crypto_sealer_free(struct crypto_sealer **s) {
    if (!*s)
        return;
    OPENSSL_cleanse(*s, sizeof(**s));
    free(*s);
    *s = NULL;
}

/* in -> out (+ tag behind it when sealing, before it when opening). */
static bool gcm(const struct seal_key *k, bool sealing, const unsigned char *nonce,
                const char *record_id, const char *in, size_t len, char *out,
                unsigned char *tag) {
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    bool ok = EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->key, nonce, sealing) &&
              (sealing || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag)) &&
              EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)record_id,
                               (int)strlen(record_id)) &&
              EVP_CipherUpdate(ctx, (unsigned char *)out, &n, (const unsigned char *)in,
                               (int)len) &&
              EVP_CipherFinal_ex(ctx, (unsigned char *)out + n, &last) &&
              (!sealing || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, tag));

    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

const char *crypto_seal(const struct crypto_sealer *s, struct arena *a,
                        const char *record_id, const struct value *v) {
    const struct seal_key *k = &s->keys[0];
    unsigned char nonce[NONCE_LEN];
    struct buf text = BUF_INIT;
    const char *sealed;
    char *out;
    bool ok;

    assert(*record_id);
    value_encode(&text, v, VALUE_ENCODE_COMPACT);
    assert(text.len < INT32_MAX);
    out = arena_alloc(a, text.len + TAG_LEN);
    ok = RAND_bytes(nonce, sizeof(nonce)) == 1 &&
         gcm(k, true, nonce, record_id, text.data ? text.data : "", text.len, out,
             (unsigned char *)out + text.len);
    assert(ok);
    sealed = arena_printf(a, "v1.%s.%s.%s", k->id,
                          crypto_base64url_encode(a, nonce, sizeof(nonce)),
                          crypto_base64url_encode(a, out, text.len + TAG_LEN));
    if (text.data)
        OPENSSL_cleanse(text.data, text.len);
    buf_fini(&text);
    return sealed;
}

static const struct seal_key *find_key(const struct crypto_sealer *s, const char *id,
                                       size_t len) {
    for (size_t i = 0; i < s->keys_len; i++)
        if (len == KEY_ID_LEN && !memcmp(s->keys[i].id, id, len))
            return &s->keys[i];
    return NULL;
}

static int unreadable(struct status *st, const char *why) {
    return st_fail(st, ST_INTERNAL, "credentials_unreadable",
                   "A value encrypted at rest can't be opened: %s", why);
}

int crypto_unseal(const struct crypto_sealer *s, struct arena *a, const char *record_id,
                  const char *sealed, const struct value **ret_value, struct status *st) {
    const char *id, *nonce_text, *body_text;
    const struct seal_key *k;
    struct bytes nonce, body;
    char *out;

    if (strncmp(sealed, "v1.", 3))
        return unreadable(st, "unknown format");
    id = sealed + 3;
    nonce_text = strchr(id, '.');
    body_text = nonce_text ? strchr(nonce_text + 1, '.') : NULL;
    if (!body_text)
        return unreadable(st, "unknown format");
    k = find_key(s, id, (size_t)(nonce_text - id));
    if (!k)
        return unreadable(st, "it was sealed with another ENCRYPTION_SECRET");
    nonce_text++;
    body_text++;
    if (crypto_base64url_decode(a, nonce_text, (size_t)(body_text - 1 - nonce_text),
                                &nonce) < 0 ||
        crypto_base64url_decode(a, body_text, strlen(body_text), &body) < 0 ||
        nonce.len != NONCE_LEN || body.len < TAG_LEN || body.len > INT32_MAX)
        return unreadable(st, "unknown format");
    body.len -= TAG_LEN;
    out = arena_alloc(a, body.len + 1);
    if (!gcm(k, false, (const unsigned char *)nonce.data, record_id, body.data, body.len,
             out, (unsigned char *)body.data + body.len))
        return unreadable(st, "it was changed, or belongs to another record");
    if (!body.len) {
        *ret_value = &value_undefined;
        return 0;
    }
    return value_parse(a, out, body.len, NULL, ret_value, st);
}

bool crypto_seal_is_current(const struct crypto_sealer *s, const char *sealed) {
    return !strncmp(sealed, "v1.", 3) &&
           !strncmp(sealed + 3, s->keys[0].id, KEY_ID_LEN) &&
           sealed[3 + KEY_ID_LEN] == '.';
}

const char *crypto_seal_check_value(const struct crypto_sealer *s, struct arena *a) {
    return crypto_seal(s, a, check_record, value_string(a, check_record));
}

int crypto_seal_check(const struct crypto_sealer *s, const char *check_value,
                      struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *v;
    struct status inner;
    int rc;

    st_init(&inner, a);
    rc = crypto_unseal(s, a, check_record, check_value, &v, &inner);
    arena_free(&a);
    if (rc < 0)
        return st_fail(st, ST_CONFIGURATION, "conflict",
                       "ENCRYPTION_SECRET is not the secret that this data was "
                       "encrypted with");
    return crypto_seal_is_current(s, check_value) ? 0 : 1;
}
