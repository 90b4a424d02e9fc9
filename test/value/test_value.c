#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "value/value.h"

static void objects_keep_order_with_index_keys_first(void **state) {
    struct arena *a = arena_new(0);
    struct object_builder b;
    const struct value *o;

    (void)state;
    object_begin(&b, a, 0);
    object_set_number(&b, "b", 1);
    object_set_number(&b, "2", 2);
    object_set_number(&b, "a", 3);
    object_set_number(&b, "1", 4);
    object_set_number(&b, "b", 5);
    object_set_number(&b, "01", 6);
    o = object_end(&b);
    assert_int_equal(o->len, 5);
    assert_string_equal(o->members[0].key, "1");
    assert_string_equal(o->members[1].key, "2");
    assert_string_equal(o->members[2].key, "b");
    assert_string_equal(o->members[4].key, "01");
    assert_true(value_get_number(o, "b", 0) == 5);
    arena_free(&a);
}

static void wide_objects_find_every_key(void **state) {
    struct arena *a = arena_new(0);
    struct object_builder b;
    const struct value *o;
    char key[16];

    (void)state;
    object_begin(&b, a, 0);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        object_set_number(&b, key, i);
    }
    assert_true(object_delete(&b, "k77", 3));
    assert_false(object_delete(&b, "k77", 3));
    o = object_end(&b);
    assert_int_equal(o->len, 2999);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_true(value_get_number(o, key, -1) == (i == 77 ? -1 : i));
    }
    assert_null(value_find(o, "absent", 6));
    assert_true(value_equal(o, value_copy(a, o)));
    arena_free(&a);
}

static void a_deleted_key_set_again_moves_to_the_end(void **state) {
    struct arena *a = arena_new(0);
    struct object_builder b;
    const struct value *o;

    (void)state;
    object_begin(&b, a, 0);
    object_set_number(&b, "x", 1);
    object_set_number(&b, "y", 2);
    object_delete(&b, "x", 1);
    object_set_number(&b, "x", 3);
    o = object_end(&b);
    assert_string_equal(o->members[1].key, "x");
    arena_free(&a);
}

static void undefined_and_absent_differ_only_where_they_should(void **state) {
    struct arena *a = arena_new(0);
    const struct value *with =
        value_obj(a, "x", &value_undefined, "y", &value_null, NULL);
    const struct value *without = value_obj(a, "y", &value_null, NULL);

    (void)state;
    assert_false(value_equal(with, without));
    assert_true(value_equal_ordered(with, without));
    assert_true(value_has(with, "x"));
    assert_false(value_has(without, "x"));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_keep_order_with_index_keys_first),
        cmocka_unit_test(wide_objects_find_every_key),
        cmocka_unit_test(a_deleted_key_set_again_moves_to_the_end),
        cmocka_unit_test(undefined_and_absent_differ_only_where_they_should),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
