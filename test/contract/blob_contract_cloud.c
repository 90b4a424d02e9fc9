#include "blob_contract_cloud.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../blob/cloud_test.h"
#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "blob/blob.h"
#include "value/value.h"

static struct blob *(*open_backend)(void);
static void (*clean_backend)(void);
static struct cloud_test *t;
static struct blob *b;

static int setup(void **state) {
    (void)state;
    b = open_backend();
    return b ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    blob_close(&b);
    clean_backend();
    return 0;
}

#define GOOD(call)                                                                       \
    do {                                                                                 \
        if ((call) != 0)                                                                 \
            fail_msg("%s: %s", #call, t->st->message ? t->st->message : "not 0");        \
    } while (0)

/* Bytes whose every place can be told from others. */
struct pattern {
    uint64_t size, at, fail_at;
};

static unsigned char byte_at(uint64_t i) {
    return (unsigned char)((i * 2654435761u) >> 13 ^ i >> 20);
}

static int pull_pattern(void *ctx, char *buf, size_t max, size_t *ret_len,
                        struct status *st) {
    struct pattern *p = ctx;
    size_t n = p->size - p->at < max ? (size_t)(p->size - p->at) : max;

    if (p->fail_at && p->at >= p->fail_at)
        return st_fail(st, ST_INTERNAL, "enough", "the source broke");
    if (n > 100000)
        n = 100000;
    for (size_t i = 0; i < n; i++)
        buf[i] = (char)byte_at(p->at + i);
    p->at += n;
    *ret_len = n;
    return 0;
}

static int check_pattern(void *ctx, struct bytes part, struct status *st) {
    struct pattern *p = ctx;

    for (size_t i = 0; i < part.len; i++)
        if ((unsigned char)part.data[i] != byte_at(p->at + i))
            return st_fail(st, ST_INTERNAL, NULL, "wrong byte at %llu",
                           (unsigned long long)(p->at + i));
    p->at += part.len;
    return 0;
}

static void read_back(const char *key, uint64_t size) {
    struct pattern back = {0};
    struct blob_info info;

    GOOD(blob_stat(b, BLOB_TMP, key, &info, t->a, t->st));
    assert_int_equal(info.size_bytes, size);
    GOOD(blob_read(b, BLOB_TMP, key, check_pattern, &back, t->st));
    assert_int_equal(back.at, size);
}

static void large_objects_are_written_in_parts(void **state) {
    static const uint64_t sizes[] = {CLOUD_PART_BYTES, CLOUD_PART_BYTES + 1,
                                     2 * CLOUD_PART_BYTES, 2 * CLOUD_PART_BYTES + 4711};
    struct blob_info info;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        const char *key = arena_printf(t->a, "big/%zu.bin", i);
        struct pattern source = {.size = sizes[i]};

        GOOD(blob_write(b, BLOB_TMP, key, pull_pattern, &source, "application/x-big",
                        t->st));
        read_back(key, sizes[i]);
        GOOD(blob_stat(b, BLOB_TMP, key, &info, t->a, t->st));
        assert_string_equal(info.content_type, "application/x-big");
        GOOD(blob_delete(b, BLOB_TMP, key, t->st));
    }
}

/* A field of /proc/self/status, in kB. */
static long memory_kb(const char *name) {
    FILE *f = fopen("/proc/self/status", "r");
    size_t len = strlen(name);
    char line[128];
    long kb = 0;

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, name, len) == 0)
            kb = strtol(line + len, NULL, 10);
    if (f)
        fclose(f);
    return kb;
}

static void forget_peak(void) {
    FILE *f = fopen("/proc/self/clear_refs", "w");

    if (f) {
        fputs("5", f);
        fclose(f);
    }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEMORY_MEANS_SOMETHING = 0 };
#else
enum { MEMORY_MEANS_SOMETHING = 1 };
#endif

/* 40 MB, or as many as MEMBRANE_TEST_OBJECT_MB says: one part in memory, and little else.
 */
static void an_object_of_any_size_streams_in_bounded_memory(void **state) {
    const char *mb = getenv("MEMBRANE_TEST_OBJECT_MB");
    struct pattern source = {.size = strtoull(mb ? mb : "40", NULL, 10) << 20};
    long before_kb, grown_kb;

    (void)state;
    forget_peak();
    before_kb = memory_kb("VmRSS:");
    GOOD(blob_write(b, BLOB_TMP, "large", pull_pattern, &source, NULL, t->st));
    read_back("large", source.size);
    grown_kb = memory_kb("VmHWM:") - before_kb;
    if (mb)
        print_message("%s MB: memory grew by %ld kB\n", mb, grown_kb);
    if (MEMORY_MEANS_SOMETHING)
        assert_true(grown_kb < 28 * 1024);
    GOOD(blob_delete(b, BLOB_TMP, "large", t->st));
}

static void bytes_at_hand_are_written_in_parts_too(void **state) {
    size_t size = CLOUD_PART_BYTES + 99;
    char *data = malloc(size);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)byte_at(i);
    GOOD(blob_put(b, BLOB_TMP, "at-hand", (struct bytes){data, size}, NULL, t->st));
    free(data);
    read_back("at-hand", size);
}

static void a_source_that_fails_leaves_what_was_there(void **state) {
    struct pattern broken = {.size = 3 * CLOUD_PART_BYTES,
                             .fail_at = 2 * CLOUD_PART_BYTES + 5};
    struct pattern early = {.size = 100, .fail_at = 1};
    struct bytes body;

    (void)state;
    GOOD(blob_put(b, BLOB_TMP, "k", (struct bytes){"old", 3}, NULL, t->st));
    assert_int_equal(blob_write(b, BLOB_TMP, "k", pull_pattern, &broken, NULL, t->st),
                     -1);
    assert_string_equal(t->st->key, "enough");
    early.at = 1;
    assert_int_equal(blob_write(b, BLOB_TMP, "k", pull_pattern, &early, NULL, t->st), -1);
    GOOD(blob_get(b, t->a, BLOB_TMP, "k", 99, &body, NULL, t->st));
    assert_string_equal(body.data, "old");
}

static void an_address_opens_the_object(void **state) {
    const char *url;
    int status;

    (void)state;
    GOOD(blob_put(b, BLOB_TMP, "files/a b+c@d=.txt", (struct bytes){"hello", 5},
                  "text/plain", t->st));
    GOOD(blob_url(b, t->a, BLOB_TMP, "files/a b+c@d=.txt", 60, &url, t->st));
    if (strncmp(url, "https://api.example.com/", 24) == 0)
        return; /* the API's own link: these credentials can't sign */
    assert_string_equal(cloud_test_fetch(t, url, &status), "hello");
    assert_int_equal(status, 200);
    /* one letter of the signature, near its end */
    {
        char *other = arena_strdup(t->a, url);
        char *sig = strstr(other, "ignature=") ? strstr(other, "ignature=") + 9
                                               : strstr(other, "sig=") + 4;

        sig[3] = sig[3] == 'a' ? 'b' : 'a';
        cloud_test_fetch(t, other, &status);
        assert_int_equal(status, 403);
    }
}

static void static_addresses_are_plain_and_for_good(void **state) {
    const char *url;

    (void)state;
    GOOD(blob_url(b, t->a, BLOB_STATIC, "c/logo@2 x.png", 1, &url, t->st));
    assert_string_equal(url, "https://static.example.com/c/logo%402%20x.png");
}

static void lists_go_on_over_pages(void **state) {
    const struct value *keys;

    (void)state;
    for (int i = 0; i < 1005; i++)
        GOOD(blob_put(b, BLOB_CONNECTORS, arena_printf(t->a, "p/%04d", i),
                      (struct bytes){"x", 1}, NULL, t->st));
    GOOD(blob_list(b, t->a, BLOB_CONNECTORS, "p/", 5000, &keys, t->st));
    assert_int_equal(value_items_count(keys), 1005);
    assert_string_equal(value_text(value_at(keys, 1004)), "p/1004");
    GOOD(blob_list(b, t->a, BLOB_CONNECTORS, "p/", 1002, &keys, t->st));
    assert_int_equal(value_items_count(keys), 1002);
}

static void a_missing_bucket_is_not_a_missing_object(void **state) {
    struct bytes body;
    struct blob *other;

    (void)state;
    if (!strcmp(t->config.storage_provider, "gcs"))
        return; /* the emulator says "Not Found" for both; test_blob_gcs_auth.c has it */
    t->config.tmp_storage_bucket = "no-such-bucket";
    other = cloud_test_open(t);
    assert_non_null(other);
    assert_int_equal(blob_get(other, t->a, BLOB_TMP, "k", 9, &body, NULL, t->st), -1);
    assert_string_equal(t->st->key, "storage_bucket_missing");
    assert_int_equal(blob_put(other, BLOB_TMP, "k", (struct bytes){"x", 1}, NULL, t->st),
                     -1);
    assert_string_equal(t->st->key, "storage_bucket_missing");
    assert_int_equal(blob_ping(other, t->st), -1);
    assert_string_equal(t->st->key, "storage_bucket_missing");
    blob_close(&other);
}

static void a_store_that_answers_is_pinged(void **state) {
    const char *text;

    (void)state;
    GOOD(blob_ping(b, t->st));
    GOOD(blob_describe(b, t->a, &text, t->st));
    assert_non_null(strstr(text, "credentials"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int blob_contract_cloud_run(const char *backend, struct blob *(*open)(void),
                            void (*clean)(void), struct cloud_test *test) {
    const struct CMUnitTest tests[] = {
        TEST(large_objects_are_written_in_parts),
        TEST(an_object_of_any_size_streams_in_bounded_memory),
        TEST(bytes_at_hand_are_written_in_parts_too),
        TEST(a_source_that_fails_leaves_what_was_there),
        TEST(an_address_opens_the_object),
        TEST(static_addresses_are_plain_and_for_good),
        TEST(lists_go_on_over_pages),
        TEST(a_missing_bucket_is_not_a_missing_object),
        TEST(a_store_that_answers_is_pinged),
    };

    open_backend = open;
    clean_backend = clean;
    t = test;
    return _cmocka_run_group_tests(backend, tests, sizeof(tests) / sizeof(*tests), NULL,
                                   NULL);
}
