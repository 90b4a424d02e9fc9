#include <pthread.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "blob/blob.h"
#include "journal/journal.h"
#include "store/store.h"
#include "value/value.h"

static struct store *store;
static struct blob *blob;
static struct journal *journal;

static int setup(void **state) {
    (void)state;
    store = store_open_memory();
    blob = blob_open_memory();
    journal = journal_new(store, blob, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    journal_free(&journal);
    store_close(&store);
    blob_close(&blob);
    return 0;
}

static void append(struct arena *a, const char *id, size_t detail_bytes) {
    char *text = arena_zalloc(a, detail_bytes + 1);

    memset(text, 'd', detail_bytes);
    journal_append(
        journal, C_ACTION_RUN_LOGS, value_obj(a, "id", value_string(a, id), NULL),
        detail_bytes ? value_obj(a, "text", value_string(a, text), NULL) : NULL);
}

static size_t detail_length(struct arena *a, const char *id) {
    const struct value *doc, *detail;
    struct status st;

    st_init(&st, a);
    assert_int_equal(store_get(store, a, C_ACTION_RUN_LOGS, id, &doc, &st), 0);
    assert_int_equal(journal_detail(blob, a, doc, &detail, &st), 0);
    return value_get(detail, "text")->len;
}

static void details_come_back_whether_inline_or_an_object(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    append(a, "small", 100);
    append(a, "large", 100000);
    append(a, "none", 0);
    journal_flush(journal);
    assert_int_equal(detail_length(a, "small"), 100);
    assert_int_equal(detail_length(a, "large"), 100000);
    assert_int_equal(detail_length(a, "none"), 0);
    assert_int_equal(journal_lost(journal), 0);
    arena_free(&a);
}

static void *append_many(void *ctx) {
    struct arena *a = arena_new(0);

    for (int i = 0; i < 2000; i++)
        append(a, arena_printf(a, "%s-%d", (const char *)ctx, i), 0);
    arena_free(&a);
    return NULL;
}

static void many_threads_lose_nothing_and_a_taken_id_costs_only_itself(void **state) {
    static char names[4][4] = {"a", "b", "c", "d"};
    struct arena *a = arena_new(0);
    pthread_t threads[4];
    struct status st;
    uint64_t count;

    (void)state;
    st_init(&st, a);
    append(a, "a-7", 0);
    journal_flush(journal);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, append_many, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    journal_free(&journal); /* writes what waits */
    assert_int_equal(store_count(store, C_ACTION_RUN_LOGS, NULL, &count, &st), 0);
    assert_int_equal(count, 8000);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(details_come_back_whether_inline_or_an_object,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            many_threads_lose_nothing_and_a_taken_id_costs_only_itself, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
