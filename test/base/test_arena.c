#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"

static void memory_is_aligned_and_distinct(void **state) {
    struct arena *a = arena_new(0);
    char *last = NULL;

    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        char *p = arena_alloc(a, i % 97);

        assert_int_equal((uintptr_t)p % 16, 0);
        assert_ptr_not_equal(p, last);
        memset(p, (int)i, i % 97);
        last = p;
    }
    arena_free(&a);
    assert_null(a);
}

static void growing_keeps_the_content(void **state) {
    struct arena *a = arena_new(0);
    char *p = NULL;
    size_t size = 0;

    (void)state;
    for (size_t next = 1; next < 100000; next = next * 3 + 1) {
        p = arena_grow(a, p, size, next);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], (char)(i % 101));
        for (size_t i = size; i < next; i++)
            p[i] = (char)(i % 101);
        size = next;
        if (next % 2)
            arena_alloc(a, 8); /* so that growth in place isn't possible */
    }
    arena_free(&a);
}

static int order[3], count;

static void note(void *p) {
    order[count++] = *(int *)p;
}

static void deferred_functions_run_last_in_first_out(void **state) {
    struct arena *a = arena_new(0);
    int ids[3] = {1, 2, 3};

    (void)state;
    count = 0;
    for (int i = 0; i < 3; i++)
        arena_defer(a, note, &ids[i]);
    arena_reset(a);
    assert_int_equal(count, 3);
    assert_int_equal(order[0], 3);
    assert_int_equal(order[2], 1);
    arena_free(&a);
    assert_int_equal(count, 3);
}

static void the_limit_shows_after_it_is_passed(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    arena_set_limit(a, 1000);
    assert_false(arena_exceeded(a));
    arena_alloc(a, 2000);
    assert_true(arena_exceeded(a));
    arena_free(&a);
}

static void arenas_that_share_a_budget_spend_it_together(void **state) {
    struct arena_budget budget = {.limit = 1000000};
    struct arena *a = arena_new(0), *b = arena_new(0);

    (void)state;
    arena_set_budget(a, &budget);
    arena_share_budget(b, a);
    arena_alloc(a, 600000);
    assert_false(arena_exceeded(a));
    arena_alloc(b, 600000);
    assert_true(arena_exceeded(a));
    assert_true(arena_exceeded(b));
    arena_reset(b);
    assert_false(arena_exceeded(a));
    arena_alloc(b, 600000);
    assert_true(arena_exceeded(b));
    arena_free(&a);
    assert_false(arena_exceeded(b));
    arena_set_budget(b, NULL);
    assert_int_equal(budget.used, 0);
    arena_free(&b);
}

static void an_arena_that_is_used_again_takes_no_more(void **state) {
    struct arena_budget budget = {.limit = 100000000};
    struct arena *a = arena_new(4000);
    size_t first = 0;

    (void)state;
    for (int round = 0; round < 10; round++) {
        arena_set_budget(a, &budget);
        for (int i = 0; i < 60; i++)
            arena_alloc(a, 100);
        if (round == 1)
            first = budget.used;
        if (round > 1)
            assert_int_equal(budget.used, first);
        arena_reset(a);
    }
    arena_free(&a);
}

static void printed_text_of_any_length_is_whole(void **state) {
    struct arena *a = arena_new(0);
    char *s = arena_printf(a, "%0500d|%s", 7, "end");

    (void)state;
    assert_int_equal(strlen(s), 504);
    assert_string_equal(s + 499, "7|end");
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_distinct),
        cmocka_unit_test(growing_keeps_the_content),
        cmocka_unit_test(deferred_functions_run_last_in_first_out),
        cmocka_unit_test(the_limit_shows_after_it_is_passed),
        cmocka_unit_test(arenas_that_share_a_budget_spend_it_together),
        cmocka_unit_test(an_arena_that_is_used_again_takes_no_more),
        cmocka_unit_test(printed_text_of_any_length_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
