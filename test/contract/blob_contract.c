#include "blob_contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "blob/blob.h"
#include "value/value.h"

static struct blob *(*open_backend)(void);
static void (*clean_backend)(void);

struct ctx {
    struct blob *b;
    struct arena *a;
    struct status st;
};

static int setup(void **state) {
    static struct ctx x;

    x.a = arena_new(0);
    st_init(&x.st, x.a);
    x.b = open_backend();
    *state = &x;
    return x.b ? 0 : -1;
}

static int teardown(void **state) {
    struct ctx *x = *state;

    blob_close(&x->b);
    assert_null(x->b);
    arena_free(&x->a);
    if (clean_backend)
        clean_backend();
    return 0;
}

static void put(struct ctx *x, enum blob_bucket bucket, const char *key,
                const char *text) {
    struct bytes body = {text, strlen(text)};

    if (blob_put(x->b, bucket, key, body, "text/plain", &x->st) != 0)
        fail_msg("%s: %s", key, x->st.message);
}

static const char *get(struct ctx *x, enum blob_bucket bucket, const char *key) {
    struct bytes body;
    int rc = blob_get(x->b, x->a, bucket, key, 1 << 20, &body, NULL, &x->st);

    assert_true(rc >= 0);
    if (rc == 0)
        assert_int_equal(strlen(body.data), body.len);
    return rc == 0 ? body.data : NULL;
}

static const char *list(struct ctx *x, const char *prefix, size_t limit) {
    const struct value *keys;

    assert_int_equal(blob_list(x->b, x->a, BLOB_CONNECTORS, prefix, limit, &keys, &x->st),
                     0);
    return value_encode_arena(x->a, keys, VALUE_ENCODE_COMPACT).data;
}

static void what_was_put_is_read_back(void **state) {
    struct ctx *x = *state;
    struct blob_info info;
    struct bytes body;

    put(x, BLOB_TMP, "a/b/c@1=2+3 4-5.txt", "hello");
    put(x, BLOB_TMP, "top", "");
    assert_string_equal(get(x, BLOB_TMP, "a/b/c@1=2+3 4-5.txt"), "hello");
    assert_string_equal(get(x, BLOB_TMP, "top"), "");
    assert_int_equal(
        blob_put(x->b, BLOB_TMP, "zero", (struct bytes){"a\0b", 3}, NULL, &x->st), 0);
    assert_int_equal(blob_get(x->b, x->a, BLOB_TMP, "zero", 3, &body, &info, &x->st), 0);
    assert_memory_equal(body.data, "a\0b", 3);
    assert_int_equal(info.size_bytes, 3);
    assert_int_equal(
        blob_stat(x->b, BLOB_TMP, "a/b/c@1=2+3 4-5.txt", &info, x->a, &x->st), 0);
    assert_int_equal(info.size_bytes, 5);
    assert_true(info.modified_ms > 1600000000000);
    assert_string_equal(info.content_type, "text/plain");
}

static void buckets_are_separate(void **state) {
    struct ctx *x = *state;

    put(x, BLOB_TMP, "k", "tmp");
    put(x, BLOB_STATIC, "k", "static");
    assert_string_equal(get(x, BLOB_TMP, "k"), "tmp");
    assert_string_equal(get(x, BLOB_STATIC, "k"), "static");
    assert_null(get(x, BLOB_CONNECTORS, "k"));
}

static void an_absent_object_is_not_an_error(void **state) {
    struct ctx *x = *state;
    struct blob_info info;

    put(x, BLOB_TMP, "file", "x");
    put(x, BLOB_TMP, "dir/file", "x");
    assert_null(get(x, BLOB_TMP, "other"));
    assert_null(get(x, BLOB_TMP, "file/below"));
    assert_null(get(x, BLOB_TMP, "dir"));
    assert_int_equal(blob_stat(x->b, BLOB_TMP, "no/such", &info, x->a, &x->st), 1);
    assert_int_equal(blob_delete(x->b, BLOB_TMP, "no/such", &x->st), 1);
    assert_int_equal(blob_delete(x->b, BLOB_TMP, "dir", &x->st), 1);
    assert_int_equal(x->st.type, ST_OK);
}

static void putting_again_replaces(void **state) {
    struct ctx *x = *state;

    put(x, BLOB_TMP, "k", "a long first version");
    put(x, BLOB_TMP, "k", "second");
    assert_string_equal(get(x, BLOB_TMP, "k"), "second");
}

static void deleting_makes_room_for_other_names(void **state) {
    struct ctx *x = *state;

    put(x, BLOB_TMP, "a/b/c", "1");
    assert_int_equal(blob_delete(x->b, BLOB_TMP, "a/b/c", &x->st), 0);
    assert_int_equal(blob_delete(x->b, BLOB_TMP, "a/b/c", &x->st), 1);
    assert_null(get(x, BLOB_TMP, "a/b/c"));
    put(x, BLOB_TMP, "a", "2");
    assert_string_equal(get(x, BLOB_TMP, "a"), "2");
}

static void lists_are_sorted_bounded_and_by_prefix(void **state) {
    struct ctx *x = *state;
    static const char *const keys[] = {"b",      "a/2",  "a/1",  "a-1",
                                       "a/10/x", "ab/z", "a.txt"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        put(x, BLOB_CONNECTORS, keys[i], "x");
    put(x, BLOB_TMP, "a/other-bucket", "x");
    assert_string_equal(list(x, "", 100),
                        "[\"a-1\",\"a.txt\",\"a/1\",\"a/10/x\",\"a/2\",\"ab/z\",\"b\"]");
    assert_string_equal(list(x, "a/", 100), "[\"a/1\",\"a/10/x\",\"a/2\"]");
    assert_string_equal(list(x, "a/1", 100), "[\"a/1\",\"a/10/x\"]");
    assert_string_equal(list(x, "a/10/", 100), "[\"a/10/x\"]");
    assert_string_equal(list(x, "", 3), "[\"a-1\",\"a.txt\",\"a/1\"]");
    assert_string_equal(list(x, "nothing/here", 3), "[]");
}

static void foreign_names_are_refused_by_every_call(void **state) {
    struct ctx *x = *state;
    static const char *const bad[] = {"",       "/",    "/etc/passwd", "..",   "../x",
                                      "a/../b", "a//b", "a/",          ".hid", "a/.hid",
                                      "a/./b",  "a\\b", "a\nb",        "a%2e", "a?b",
                                      "a#b",    "a:b",  "\xc3\xa9",    "a/..", "~x"};
    const struct value *keys;
    struct blob_info info;
    struct bytes body;
    const char *url;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const char *k = bad[i];

        assert_false(blob_key_valid(k));
        assert_int_equal(
            blob_put(x->b, BLOB_TMP, k, (struct bytes){"x", 1}, NULL, &x->st), -1);
        assert_int_equal(x->st.type, ST_BAD_REQUEST);
        assert_int_equal(blob_get(x->b, x->a, BLOB_TMP, k, 9, &body, NULL, &x->st), -1);
        assert_int_equal(blob_stat(x->b, BLOB_TMP, k, &info, x->a, &x->st), -1);
        assert_int_equal(blob_delete(x->b, BLOB_TMP, k, &x->st), -1);
        assert_int_equal(blob_url(x->b, x->a, BLOB_TMP, k, 9, &url, &x->st), -1);
        if (*k && strcmp(k, "a/") != 0)
            assert_int_equal(blob_list(x->b, x->a, BLOB_TMP, k, 9, &keys, &x->st), -1);
    }
    assert_false(blob_key_valid(memset(arena_zalloc(x->a, 300), 'a', 299)));
    assert_false(blob_key_valid(memset(arena_zalloc(x->a, 2000), 'a', 1999)));
}

static void a_body_over_the_bound_is_refused(void **state) {
    struct ctx *x = *state;
    struct bytes body;

    put(x, BLOB_TMP, "k", "12345");
    assert_int_equal(blob_get(x->b, x->a, BLOB_TMP, "k", 5, &body, NULL, &x->st), 0);
    assert_int_equal(blob_get(x->b, x->a, BLOB_TMP, "k", 4, &body, NULL, &x->st), -1);
    assert_int_equal(x->st.type, ST_BAD_REQUEST);
}

struct sum {
    size_t len, parts, stop_after;
};

static int add_up(void *ctx, struct bytes part, struct status *st) {
    struct sum *sum = ctx;

    sum->len += part.len;
    for (size_t i = 0; i < part.len; i++)
        if (part.data[i] != 'x')
            return st_fail(st, ST_INTERNAL, NULL, "wrong byte");
    if (++sum->parts == sum->stop_after)
        return st_fail(st, ST_INTERNAL, "enough", "enough");
    return 0;
}

static void large_objects_come_in_parts(void **state) {
    struct ctx *x = *state;
    size_t size = 3000001;
    struct bytes body = {memset(arena_alloc(x->a, size), 'x', size), size};
    struct sum all = {0}, some = {.stop_after = 2};

    assert_int_equal(blob_put(x->b, BLOB_TMP, "big", body, NULL, &x->st), 0);
    assert_int_equal(blob_read(x->b, BLOB_TMP, "big", add_up, &all, &x->st), 0);
    assert_int_equal(all.len, size);
    assert_true(all.parts > 1);
    assert_int_equal(blob_read(x->b, BLOB_TMP, "big", add_up, &some, &x->st), -1);
    assert_string_equal(x->st.key, "enough");
    assert_int_equal(blob_read(x->b, BLOB_TMP, "none", add_up, &all, &x->st), 1);
}

static void urls_name_the_object(void **state) {
    struct ctx *x = *state;
    const char *url;

    put(x, BLOB_STATIC, "logo a.png", "x");
    assert_int_equal(blob_url(x->b, x->a, BLOB_STATIC, "logo a.png", 60, &url, &x->st),
                     0);
    assert_non_null(strstr(url, "logo%20a.png"));
}

enum { PUTS = 60, READERS = 2, SIZE = 200000 };
static atomic_int stop, torn;

/* All bytes of a version are its letter. */
static int check_one_letter(void *ctx, struct bytes part, struct status *st) {
    char *first = ctx;

    (void)st;
    for (size_t i = 0; i < part.len; i++) {
        if (!*first)
            *first = part.data[i];
        if (part.data[i] != *first)
            atomic_store(&torn, 1);
    }
    return 0;
}

static void *read_on(void *arg) {
    struct blob *b = arg;
    struct arena *a = arena_new(0);
    struct status st;

    st_init(&st, a);
    while (!atomic_load(&stop)) {
        char first = 0;

        if (blob_read(b, BLOB_TMP, "k/v", check_one_letter, &first, &st) != 0)
            atomic_store(&torn, 1);
    }
    arena_free(&a);
    return NULL;
}

static void readers_see_the_old_or_the_new_bytes(void **state) {
    struct ctx *x = *state;
    char *text = arena_zalloc(x->a, SIZE + 1);
    pthread_t readers[READERS];

    put(x, BLOB_TMP, "k/v", memset(text, 'a', SIZE));
    atomic_store(&stop, 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, x->b), 0);
    for (int i = 0; i < PUTS; i++)
        put(x, BLOB_TMP, "k/v", memset(text, 'a' + i % 26, SIZE));
    atomic_store(&stop, 1);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&torn), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int blob_contract_run(const char *backend, struct blob *(*open)(void),
                      void (*clean)(void)) {
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_read_back),
        TEST(buckets_are_separate),
        TEST(an_absent_object_is_not_an_error),
        TEST(putting_again_replaces),
        TEST(deleting_makes_room_for_other_names),
        TEST(lists_are_sorted_bounded_and_by_prefix),
        TEST(foreign_names_are_refused_by_every_call),
        TEST(a_body_over_the_bound_is_refused),
        TEST(large_objects_come_in_parts),
        TEST(urls_name_the_object),
        TEST(readers_see_the_old_or_the_new_bytes),
    };

    open_backend = open;
    clean_backend = clean;
    return _cmocka_run_group_tests(backend, tests, sizeof(tests) / sizeof(*tests), NULL,
                                   NULL);
}
