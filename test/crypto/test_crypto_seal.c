/* Encryption at rest (S21). */
#include "../cmocka_all.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_seal.h"
#include "value/value.h"

struct fixture {
    struct arena *a;
    struct status st;
    struct crypto_sealer *s;
};

static int set_up(void **state) {
    static struct fixture f;

    f.a = arena_new(0);
    st_init(&f.st, f.a);
    f.s = crypto_sealer_new("the secret of today", NULL);
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;

    crypto_sealer_free(&f->s);
    arena_free(&f->a);
    return 0;
}

static const struct value *credentials(struct arena *a) {
    return value_obj(a, "token", value_string(a, "very-secret-word"), "n",
                     value_number(a, 7), NULL);
}

static void what_is_sealed_opens_again_and_shows_nothing(void **state) {
    struct fixture *f = *state;
    const char *text = crypto_seal(f->s, f->a, "id-1", credentials(f->a));
    const struct value *v;

    assert_null(strstr(text, "very-secret-word"));
    assert_int_equal(strncmp(text, "v1.", 3), 0);
    assert_string_not_equal(text, crypto_seal(f->s, f->a, "id-1", credentials(f->a)));
    assert_int_equal(crypto_unseal(f->s, f->a, "id-1", text, &v, &f->st), 0);
    assert_true(value_equal_ordered(v, credentials(f->a)));
}

static void text_of_another_record_does_not_open(void **state) {
    struct fixture *f = *state;
    const char *text = crypto_seal(f->s, f->a, "id-1", credentials(f->a));
    const struct value *v;

    assert_int_equal(crypto_unseal(f->s, f->a, "id-2", text, &v, &f->st), -1);
    assert_string_equal(f->st.key, "credentials_unreadable");
}

static void a_changed_byte_anywhere_does_not_open(void **state) {
    struct fixture *f = *state;
    const char *text = crypto_seal(f->s, f->a, "id-1", credentials(f->a));
    const struct value *v;

    for (size_t i = 0; i < strlen(text); i++) {
        char *changed = arena_strdup(f->a, text);

        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(crypto_unseal(f->s, f->a, "id-1", changed, &v, &f->st), -1);
        changed[i] = '\0';
        assert_int_equal(crypto_unseal(f->s, f->a, "id-1", changed, &v, &f->st), -1);
    }
}

static void after_a_rotation_old_text_opens_and_new_text_uses_the_new_key(void **state) {
    struct fixture *f = *state;
    const char *old = crypto_seal(f->s, f->a, "id-1", credentials(f->a)), *new;
    struct crypto_sealer *next =
        crypto_sealer_new("the secret of tomorrow", "older,the secret of today");
    struct crypto_sealer *alone = crypto_sealer_new("the secret of tomorrow", NULL);
    const struct value *v;

    assert_int_equal(crypto_unseal(next, f->a, "id-1", old, &v, &f->st), 0);
    assert_false(crypto_seal_is_current(next, old));
    new = crypto_seal(next, f->a, "id-1", v);
    assert_true(crypto_seal_is_current(next, new));
    assert_int_equal(crypto_unseal(alone, f->a, "id-1", new, &v, &f->st), 0);
    assert_int_equal(crypto_unseal(alone, f->a, "id-1", old, &v, &f->st), -1);
    crypto_sealer_free(&next);
    crypto_sealer_free(&alone);
}

static void the_key_check_tells_right_old_and_wrong_secrets_apart(void **state) {
    struct fixture *f = *state;
    const char *check = crypto_seal_check_value(f->s, f->a);
    struct crypto_sealer *next = crypto_sealer_new("new", "the secret of today");
    struct crypto_sealer *wrong = crypto_sealer_new("wrong", NULL);

    assert_int_equal(crypto_seal_check(f->s, check, &f->st), 0);
    assert_int_equal(crypto_seal_check(next, check, &f->st), 1);
    assert_int_equal(crypto_seal_check(wrong, check, &f->st), -1);
    assert_string_equal(f->st.key, "conflict");
    crypto_sealer_free(&next);
    crypto_sealer_free(&wrong);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_sealed_opens_again_and_shows_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_of_another_record_does_not_open, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_changed_byte_anywhere_does_not_open, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            after_a_rotation_old_text_opens_and_new_text_uses_the_new_key, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            the_key_check_tells_right_old_and_wrong_secrets_apart, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
