/*
 * Jobs are counted by owner; what is given back can be taken again.
 */
#include "../cmocka_all.h"

#include "runner/runner_slots.h"

static void an_owner_has_as_many_as_it_may(void **state) {
    struct runner_slots *s = runner_slots_new();

    (void)state;
    assert_true(runner_slots_take(s, "a", 2));
    assert_true(runner_slots_take(s, "a", 2));
    assert_false(runner_slots_take(s, "a", 2));
    assert_true(runner_slots_take(s, "b", 1));
    runner_slots_give(s, "a");
    assert_true(runner_slots_take(s, "a", 2));
    for (int i = 0; i < 2; i++)
        runner_slots_give(s, "a");
    runner_slots_give(s, "b");
    runner_slots_free(&s);
    assert_null(s);
}

static void no_limit_is_counted_all_the_same(void **state) {
    struct runner_slots *s = runner_slots_new();

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_true(runner_slots_take(s, "a", 0));
    assert_false(runner_slots_take(s, "a", 100));
    for (int i = 0; i < 100; i++)
        runner_slots_give(s, "a");
    runner_slots_free(&s);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_has_as_many_as_it_may),
        cmocka_unit_test(no_limit_is_counted_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
