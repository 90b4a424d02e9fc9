/*
 * The contract through the cache, and what the cache itself promises: it saves reads,
 * keeps its bound, and is never stale.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "contract/store_contract.h"
#include "store/store.h"
#include "value/value.h"

static struct store *open_cached(void) {
    return store_open_cached(store_open_memory(), 1 << 20);
}

/* So small that entries are dropped all the time. */
static struct store *open_tiny(void) {
    return store_open_cached(store_open_memory(), 16 * 2000);
}

struct calls {
    atomic_int get, find, list;
};

static bool count_calls(void *ctx, const char *op) {
    struct calls *n = ctx;

    if (strcmp(op, "get") == 0)
        atomic_fetch_add(&n->get, 1);
    if (strcmp(op, "find") == 0)
        atomic_fetch_add(&n->find, 1);
    if (strcmp(op, "list") == 0)
        atomic_fetch_add(&n->list, 1);
    return false;
}

struct ctx {
    struct calls calls;
    struct store *s;
    struct arena *a;
    struct status st;
};

static void open_counting(struct ctx *x, size_t max_bytes) {
    memset(x, 0, sizeof(*x));
    x->a = arena_new(0);
    st_init(&x->st, x->a);
    x->s = store_open_cached(
        store_open_failing(store_open_memory(), count_calls, &x->calls), max_bytes);
}

static void close_counting(struct ctx *x) {
    store_close(&x->s);
    arena_free(&x->a);
}

static const struct value *doc_of(struct arena *a, const char *id, double n) {
    return value_obj(a, "id", value_string(a, id), "key", value_string(a, id), "n",
                     value_number(a, n), NULL);
}

static double get_n(struct ctx *x, enum collection c, const char *id) {
    const struct value *doc;

    assert_int_equal(store_get(x->s, x->a, c, id, &doc, &x->st), 0);
    return value_get_number(doc, "n", -1);
}

static double find_n(struct ctx *x, enum collection c, const char *key) {
    struct store_query q = {.where = store_eq_text(x->a, "key", key)};
    const struct value *doc;

    assert_int_equal(store_find(x->s, x->a, c, &q, &doc, &x->st), 0);
    return value_get_number(doc, "n", -1);
}

static void the_second_read_asks_nobody(void **state) {
    struct ctx x;

    (void)state;
    open_counting(&x, 1 << 20);
    assert_int_equal(store_insert(x.s, C_ACTIONS, doc_of(x.a, "a", 1), &x.st), 0);
    assert_int_equal(store_insert(x.s, C_LEASES, doc_of(x.a, "a", 1), &x.st), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal((int)get_n(&x, C_ACTIONS, "a"), 1);
        assert_int_equal((int)find_n(&x, C_ACTIONS, "a"), 1);
    }
    assert_int_equal(atomic_load(&x.calls.get), 1);
    assert_int_equal(atomic_load(&x.calls.find), 1);
    for (int i = 0; i < 5; i++)
        get_n(&x, C_LEASES, "a"); /* a collection that isn't kept */
    assert_int_equal(atomic_load(&x.calls.get), 6);
    close_counting(&x);
}

static void writes_of_others_keep_a_document_but_no_query(void **state) {
    struct ctx x;

    (void)state;
    open_counting(&x, 1 << 20);
    assert_int_equal(store_insert(x.s, C_ACTIONS, doc_of(x.a, "a", 1), &x.st), 0);
    get_n(&x, C_ACTIONS, "a");
    find_n(&x, C_ACTIONS, "a");
    assert_int_equal(store_insert(x.s, C_ACTIONS, doc_of(x.a, "b", 1), &x.st), 0);
    get_n(&x, C_ACTIONS, "a");
    find_n(&x, C_ACTIONS, "a");
    assert_int_equal(atomic_load(&x.calls.get), 1);
    assert_int_equal(atomic_load(&x.calls.find), 2);
    assert_int_equal(store_insert(x.s, C_FLOWS, doc_of(x.a, "b", 1), &x.st), 0);
    find_n(&x, C_ACTIONS, "a");
    assert_int_equal(atomic_load(&x.calls.find), 2);
    close_counting(&x);
}

static size_t list_len(struct ctx *x, const char *cursor, const char **ret_cursor) {
    struct store_query q = {.sort = {{"key", false}}, .limit = 2, .cursor = cursor};
    struct store_page page;

    assert_int_equal(store_list(x->s, x->a, C_ACTIONS, &q, &page, &x->st), 0);
    *ret_cursor = page.cursor;
    return page.items->len;
}

static void pages_are_kept_until_the_next_write(void **state) {
    const char *cursor;
    struct ctx x;

    (void)state;
    open_counting(&x, 1 << 20);
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_insert(x.s, C_ACTIONS,
                                      doc_of(x.a, arena_printf(x.a, "%d", i), i), &x.st),
                         0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(list_len(&x, NULL, &cursor), 2);
        assert_int_equal(list_len(&x, cursor, &cursor), 1);
        assert_null(cursor);
    }
    assert_int_equal(atomic_load(&x.calls.list), 2);
    assert_int_equal(store_delete(x.s, C_ACTIONS, "1", NULL, &x.st), 0);
    assert_int_equal(list_len(&x, NULL, &cursor), 2);
    assert_int_equal(list_len(&x, cursor, &cursor), 0);
    assert_int_equal(atomic_load(&x.calls.list), 4);
    close_counting(&x);
}

static void a_document_outlives_its_place_in_the_cache(void **state) {
    struct ctx x;
    struct document *kept;
    const struct value *held;

    (void)state;
    open_counting(&x, 16 * 4000);
    for (int i = 0; i < 500; i++)
        assert_int_equal(store_insert(x.s, C_ACTIONS,
                                      doc_of(x.a, arena_printf(x.a, "%d", i), i), &x.st),
                         0);
    assert_int_equal(store_get_document(x.s, C_ACTIONS, "7", &kept, &x.st), 0);
    assert_int_equal(store_get(x.s, x.a, C_ACTIONS, "8", &held, &x.st), 0);
    for (int i = 0; i < 500; i++)
        get_n(&x, C_ACTIONS, arena_printf(x.a, "%d", i));
    assert_int_equal(store_delete_many(x.s, C_ACTIONS, NULL, NULL, &x.st), 0);
    assert_int_equal((int)value_get_number(document_root(kept), "n", -1), 7);
    assert_int_equal((int)value_get_number(held, "n", -1), 8);
    document_unref(&kept);
    close_counting(&x);
}

/*
 * Writers count documents up and publish what returned; readers must never see less than
 * what was published before they asked.
 */
enum { DOCS = 4, ROUNDS = 400, THREADS = 3 };

static struct store *shared;
static atomic_int published[DOCS], stale, stop;

static void *count_up(void *arg) {
    struct arena *a = arena_new(0);
    struct status st;

    (void)arg;
    for (int i = 1; i <= ROUNDS; i++)
        for (int d = 0; d < DOCS; d++) {
            const char *id = arena_printf(a, "%d", d);
            struct store_change change = {
                .set = value_obj(a, "n", value_number(a, i), NULL)};
            struct store_query q = {.where = store_eq_text(a, "id", id)};

            st_init(&st, a);
            if (i % 3 == 0)
                store_update(shared, NULL, C_ACTIONS, id, NULL, &change, NULL, &st);
            else if (i % 3 == 1)
                store_claim(shared, NULL, C_ACTIONS, &q, &change, NULL, &st);
            else
                store_update_many(shared, C_ACTIONS, q.where, &change, NULL, &st);
            atomic_store(&published[d], i);
            arena_reset(a);
        }
    arena_free(&a);
    return NULL;
}

static void *look(void *arg) {
    struct arena *a = arena_new(0);
    struct status st;

    (void)arg;
    for (int i = 0; !atomic_load(&stop); i++) {
        int d = i % DOCS, before = atomic_load(&published[d]);
        const char *id = arena_printf(a, "%d", d);
        struct store_query q = {.where = store_eq_text(a, "key", id)};
        const struct value *doc;

        st_init(&st, a);
        if (store_get(shared, a, C_ACTIONS, id, &doc, &st) != 0 ||
            value_get_number(doc, "n", -1) < before)
            atomic_fetch_add(&stale, 1);
        if (store_find(shared, a, C_ACTIONS, &q, &doc, &st) != 0 ||
            value_get_number(doc, "n", -1) < before)
            atomic_fetch_add(&stale, 1);
        arena_reset(a);
    }
    arena_free(&a);
    return NULL;
}

static void no_read_is_stale_after_a_write_returned(void **state) {
    struct arena *a = arena_new(0);
    pthread_t writer, readers[THREADS];
    struct status st;

    (void)state;
    st_init(&st, a);
    shared = open_cached();
    for (int d = 0; d < DOCS; d++)
        assert_int_equal(
            store_insert(shared, C_ACTIONS, doc_of(a, arena_printf(a, "%d", d), 0), &st),
            0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, look, NULL), 0);
    assert_int_equal(pthread_create(&writer, NULL, count_up, NULL), 0);
    pthread_join(writer, NULL);
    atomic_store(&stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&stale), 0);
    store_close(&shared);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_read_asks_nobody),
        cmocka_unit_test(writes_of_others_keep_a_document_but_no_query),
        cmocka_unit_test(pages_are_kept_until_the_next_write),
        cmocka_unit_test(a_document_outlives_its_place_in_the_cache),
        cmocka_unit_test(no_read_is_stale_after_a_write_returned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           store_contract_run("cached", open_cached, NULL) +
           store_contract_run("cached, tiny", open_tiny, NULL);
}
