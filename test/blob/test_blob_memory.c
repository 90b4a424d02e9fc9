#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "blob/blob.h"
#include "contract/blob_contract.h"

static bool is_op(void *ctx, const char *op) {
    return ctx && strcmp(ctx, op) == 0;
}

static struct blob *open_transparent(void) {
    return blob_open_failing(blob_open_memory(), is_op, NULL);
}

static void a_chosen_call_fails_and_others_pass(void **state) {
    char op[16] = "put";
    struct blob *b = blob_open_failing(blob_open_memory(), is_op, op);
    struct arena *a = arena_new(0);
    struct bytes body = {"x", 1};
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(blob_put(b, BLOB_TMP, "k", body, NULL, &st), -1);
    assert_string_equal(st.key, "unavailable");
    strcpy(op, "get");
    assert_int_equal(blob_put(b, BLOB_TMP, "k", body, NULL, &st), 0);
    assert_int_equal(blob_get(b, a, BLOB_TMP, "k", 9, &body, NULL, &st), -1);
    blob_close(&b);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chosen_call_fails_and_others_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           blob_contract_run("memory", blob_open_memory, NULL) +
           blob_contract_run("failing", open_transparent, NULL);
}
