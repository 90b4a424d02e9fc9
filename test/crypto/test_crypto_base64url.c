#include "../cmocka_all.h"

#include <string.h>

#include "base/arena.h"
#include "crypto/crypto_base64url.h"

static void known_texts_go_both_ways(void **state) {
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg"},
                                          {"fo", "Zm8"},
                                          {"foo", "Zm9v"},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xfb\xff", "-_8"}};
    struct arena *a = arena_new(0);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct bytes b;

        assert_string_equal(crypto_base64url_encode(a, rows[i][0], strlen(rows[i][0])),
                            rows[i][1]);
        assert_int_equal(crypto_base64url_decode(a, rows[i][1], strlen(rows[i][1]), &b),
                         0);
        assert_int_equal(b.len, strlen(rows[i][0]));
        assert_memory_equal(b.data, rows[i][0], b.len);
    }
    arena_free(&a);
}

static void padding_foreign_digits_and_second_forms_are_refused(void **state) {
    static const char *const bad[] = {"Zg==",    "Z",  "Zm9v+", "Zm/v",
                                      "Zm9v Zg", "Zh", "Zm9"};
    struct arena *a = arena_new(0);
    struct bytes b;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(crypto_base64url_decode(a, bad[i], strlen(bad[i]), &b), -1);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_go_both_ways),
        cmocka_unit_test(padding_foreign_digits_and_second_forms_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
