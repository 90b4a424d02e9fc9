#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "contract/store_contract.h"
#include "store/store.h"
#include "value/value.h"

static bool never(void *ctx, const char *op) {
    (void)ctx;
    (void)op;
    return false;
}

static struct store *open_transparent(void) {
    return store_open_failing(store_open_memory(), never, NULL);
}

static bool is_op(void *ctx, const char *op) {
    return strcmp(ctx, op) == 0;
}

static void unavailable(int rc, struct status *st) {
    assert_int_equal(rc, -1);
    assert_int_equal(st->type, ST_INTERNAL);
    assert_string_equal(st->key, "unavailable");
    assert_int_equal(st_http_code(st), 503);
    st_clear(st);
}

static void a_chosen_call_fails_and_others_pass(void **state) {
    char op[16] = "insert";
    struct store *s = store_open_failing(store_open_memory(), is_op, op);
    struct arena *a = arena_new(0);
    const struct value *doc = value_obj(a, "id", value_string(a, "a"), NULL), *got;
    struct status st;
    uint64_t n;

    (void)state;
    st_init(&st, a);
    unavailable(store_insert(s, C_LEASES, doc, &st), &st);
    strcpy(op, "count");
    assert_int_equal(store_insert(s, C_LEASES, doc, &st), 0);
    unavailable(store_count(s, C_LEASES, NULL, &n, &st), &st);
    assert_int_equal(store_get(s, a, C_LEASES, "a", &got, &st), 0);
    strcpy(op, "get");
    unavailable(store_get(s, a, C_LEASES, "a", &got, &st), &st);
    strcpy(op, "delete");
    unavailable(store_delete(s, C_LEASES, "a", NULL, &st), &st);
    store_close(&s);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chosen_call_fails_and_others_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           store_contract_run("failing", open_transparent, NULL);
}
