#include "../cmocka_all.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "crypto/crypto_password.h"

static void a_password_matches_its_own_hash_only(void **state) {
    struct arena *a = arena_new(0);
    const char *hash = crypto_password_hash(a, rand_system(), "Correct horse 1");

    (void)state;
    assert_int_equal(strncmp(hash, "$argon2id$", 10), 0);
    assert_true(crypto_password_verify("Correct horse 1", hash));
    assert_false(crypto_password_verify("Correct horse 2", hash));
    assert_string_not_equal(hash,
                            crypto_password_hash(a, rand_system(), "Correct horse 1"));
    arena_free(&a);
}

static void imported_bcrypt_hashes_are_verified(void **state) {
    /* From the test vectors of Solar Designer's crypt_blowfish. */
    static const char hash[] =
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    (void)state;
    assert_true(crypto_password_verify("U*U", hash));
    assert_false(crypto_password_verify("U*U*", hash));
}

static void a_text_that_is_no_hash_matches_nothing(void **state) {
    (void)state;
    assert_false(crypto_password_verify("x", ""));
    assert_false(crypto_password_verify("x", "x"));
    assert_false(crypto_password_verify("x", "$argon2id$v=19$m=1"));
    assert_false(crypto_password_verify("x", "$2b$"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_matches_its_own_hash_only),
        cmocka_unit_test(imported_bcrypt_hashes_are_verified),
        cmocka_unit_test(a_text_that_is_no_hash_matches_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
