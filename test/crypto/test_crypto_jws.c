/*
 * Signatures made by another implementation (Node's crypto module) are accepted, and only
 * by the algorithm and the key that they belong to.
 */
#include "../cmocka_all.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_base64url.h"
#include "crypto/crypto_jws.h"
#include "value/value.h"

static const char input_text[] = "eyJhbGciOiJSUzI1NiJ9.eyJpZCI6ImFjY3QifQ";
#define INPUT ((struct bytes){input_text, sizeof(input_text) - 1})

static const struct {
    const char *alg, *pem, *jwk, *signature;
} rows[] = {
#include "jws_vectors.inc"
};
enum { ROWS = sizeof(rows) / sizeof(*rows) };

static const char small_rsa[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDAtS9PJbZ/G/24qc30qxJR1u1e\n"
    "UsxWBOSY2yAdlsybITLsJoQj16wpjgsgyWKTI16OZdPKCuKPHUk0x/Gp5xJ4HiyR\n"
    "e76y1vForRzmlDdnkTYY/Q8cHTM4xn2bhKRYcCWVFQ9BIs8z8+9OsbKHsFmmIRz4\n"
    "YYgznvIqnUcMUpoIewIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
static const char pkcs1[] =
    "-----BEGIN RSA PUBLIC KEY-----\n"
    "MIIBCgKCAQEAjZpA8aefDRw5m/wVciLzqjGQQnPxPrdkty2SXBmhs2ad9dz9h0CK\n"
    "lsV+5WQgcnCvMeruAwmOwk86CR5eeMiMbjHnSuhs81vVhJgXmTLSb178tpUsZdE1\n"
    "sYdyNoq+ugSi3zfNU/CtbpJnATpv0Qpqv9pPwkyG204Szp8B5cOoV6ldZDHibSXD\n"
    "MTfw+bzzfNpcBX2W3+JbL9TRzU656+bLoRrHBkeYM3KIxWshb8sLmUIgcOgd2oI1\n"
    "T8bMGcPKHi72rNTcHbZD5aJdJYT+XusQU7Sbz60IwwWb/8Wl+GHX4W1uzB3e7yXC\n"
    "alPZN61U5Vdu/S0tzzsjrcRo4A41qkcEowIDAQAB\n"
    "-----END RSA PUBLIC KEY-----\n";

static struct arena *a;
static struct status st;

static int set_up(void **state) {
    (void)state;
    a = arena_new(0);
    st_init(&st, a);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&a);
    return 0;
}

static struct crypto_key *key_of(size_t row) {
    struct crypto_key *k = NULL;

    assert_int_equal(crypto_key_from_pem(rows[row].pem, strlen(rows[row].pem), &k, &st),
                     0);
    return k;
}

static struct bytes signature_of(size_t row) {
    struct bytes b;

    assert_int_equal(
        crypto_base64url_decode(a, rows[row].signature, strlen(rows[row].signature), &b),
        0);
    return b;
}

static void every_algorithm_accepts_its_own_signature_only(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct crypto_key *k = key_of(i);

        for (size_t j = 0; j < ROWS; j++) {
            int alg = crypto_alg_from_name(rows[j].alg);

            assert_true(alg >= 0);
            assert_int_equal(crypto_verify(alg, k, INPUT, signature_of(i)), i == j);
        }
        crypto_key_unref(&k);
    }
}

static void keys_of_a_key_set_verify_as_their_pem_form_does(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct value *jwk;
        struct crypto_key *k;

        assert_int_equal(
            value_parse(a, rows[i].jwk, strlen(rows[i].jwk), NULL, &jwk, &st), 0);
        assert_int_equal(crypto_key_from_jwk(jwk, &k), 0);
        assert_string_equal(crypto_key_id(k), rows[i].alg);
        assert_true(
            crypto_verify(crypto_alg_from_name(rows[i].alg), k, INPUT, signature_of(i)));
        crypto_key_unref(&k);
    }
}

static void changed_and_cut_signatures_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct crypto_key *k = key_of(i);
        struct bytes s = signature_of(i);
        int alg = crypto_alg_from_name(rows[i].alg);

        ((char *)s.data)[s.len / 2] ^= 1;
        assert_false(crypto_verify(alg, k, INPUT, s));
        ((char *)s.data)[s.len / 2] ^= 1;
        assert_true(crypto_verify(alg, k, INPUT, s));
        assert_false(crypto_verify(alg, k, INPUT, (struct bytes){s.data, s.len - 1}));
        assert_false(crypto_verify(alg, k, INPUT, (struct bytes){s.data, 0}));
        memset((char *)s.data, 0, s.len);
        assert_false(crypto_verify(alg, k, INPUT, s));
        crypto_key_unref(&k);
    }
}

static void unknown_algorithms_have_no_number(void **state) {
    (void)state;
    assert_int_equal(crypto_alg_from_name("none"), -1);
    assert_int_equal(crypto_alg_from_name("hs256"), -1);
    assert_int_equal(crypto_alg_from_name("HS256 "), -1);
    assert_int_equal(crypto_alg_from_name(""), -1);
}

static void weak_private_and_broken_keys_are_refused(void **state) {
    static const char *const bad[] = {
        small_rsa,
        "",
        "x",
        "-----BEGIN PUBLIC KEY-----\nexample\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"};
    struct crypto_key *k;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(crypto_key_from_pem(bad[i], strlen(bad[i]), &k, &st), -1);
    assert_int_equal(crypto_key_from_pem(pkcs1, strlen(pkcs1), &k, &st), 0);
    crypto_key_unref(&k);
}

static void keys_of_a_set_that_are_not_for_us_are_passed_over(void **state) {
    static const char *const bad[] = {
        "{}",
        "null",
        "[]",
        "{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\","
        "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
        "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAAA\"}",
        "{\"kty\":\"RSA\",\"alg\":\"none\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"};
    struct crypto_key *k;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const struct value *jwk;

        assert_int_equal(value_parse(a, bad[i], strlen(bad[i]), NULL, &jwk, &st), 0);
        assert_int_equal(crypto_key_from_jwk(jwk, &k), 1);
    }
}

/* RFC 7515 appendix A.1 (its header has its own text, so only the signature is checked).
 */
static void the_example_of_the_rfc_verifies_with_a_shared_secret(void **state) {
    static const char text[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
        "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    static const char key[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
                              "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    static const char mac[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    struct bytes secret, sig, in = {text, sizeof(text) - 1};

    (void)state;
    assert_int_equal(crypto_base64url_decode(a, key, strlen(key), &secret), 0);
    assert_int_equal(crypto_base64url_decode(a, mac, strlen(mac), &sig), 0);
    assert_true(crypto_verify_shared(CRYPTO_HS256, secret, in, sig));
    assert_false(crypto_verify_shared(CRYPTO_HS384, secret, in, sig));
    secret.len--;
    assert_false(crypto_verify_shared(CRYPTO_HS256, secret, in, sig));
}

static void a_signed_token_verifies_with_the_same_secret(void **state) {
    struct bytes secret = {"s3cret", 6}, sig;
    const struct value *claims = value_obj(a, "id", value_string(a, "acct"), NULL);

    (void)state;
    for (int alg = CRYPTO_HS256; alg <= CRYPTO_HS512; alg++) {
        const char *token = crypto_jwt_sign(a, alg, secret, claims);
        const char *dot = strrchr(token, '.');

        assert_int_equal(crypto_base64url_decode(a, dot + 1, strlen(dot + 1), &sig), 0);
        assert_true(crypto_verify_shared(
            alg, secret, (struct bytes){token, (size_t)(dot - token)}, sig));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_algorithm_accepts_its_own_signature_only),
        TEST(keys_of_a_key_set_verify_as_their_pem_form_does),
        TEST(changed_and_cut_signatures_are_refused),
        TEST(unknown_algorithms_have_no_number),
        TEST(weak_private_and_broken_keys_are_refused),
        TEST(keys_of_a_set_that_are_not_for_us_are_passed_over),
        TEST(the_example_of_the_rfc_verifies_with_a_shared_secret),
        TEST(a_signed_token_verifies_with_the_same_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
