#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "config/config.h"
#include "value/value.h"

static void page_equals_the_table(void **state) {
    struct buf made = BUF_INIT;
    FILE *f = fopen(SOURCE_ROOT "/docs/config.md", "re");
    char *kept;
    size_t n;

    (void)state;
    assert_non_null(f);
    config_docs(&made);
    kept = calloc(1, made.len + 4096);
    n = fread(kept, 1, made.len + 4095, f);
    fclose(f);
    if (n != made.len || memcmp(kept, made.data, n) != 0)
        fail_msg("docs/config.md is old: build/membrane config docs > docs/config.md");
    free(kept);
    buf_fini(&made);
}

static void schema_is_json_and_knows_every_kind(void **state) {
    struct arena *a = arena_new(0);
    struct buf made = BUF_INIT;
    const struct value *schema, *properties;
    struct status st;

    (void)state;
    st_init(&st, a);
    config_schema(&made);
    assert_int_equal(value_parse(a, made.data, made.len, NULL, &schema, &st), 0);
    properties = value_get(schema, "properties");
    assert_true(
        value_equals_text(value_path(properties, "BASE_URI", "format", NULL), "uri"));
    assert_int_equal(value_path(properties, "STORAGE_PROVIDER", "enum", NULL)->len, 3);
    assert_true(
        value_is_true(value_path(properties, "ENCRYPTION_SECRET", "writeOnly", NULL)));
    assert_true(value_has(properties, "LIMIT_PARALLEL_FLOW_RUNS"));
    buf_fini(&made);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_equals_the_table),
        cmocka_unit_test(schema_is_json_and_knows_every_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
