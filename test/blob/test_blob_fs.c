/*
 * The contract on files, and what only files can show: confinement, leftovers,
 * signatures.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "contract/blob_contract.h"

static char root[64];
static struct arena *a;
static struct status st;
static struct blob *b;

static int remove_entry(const char *name, const struct stat *info, int type,
                        struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(name);
}

static void clean(void) {
    nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static struct blob *open_again(void) {
    struct blob *out = NULL;

    if (blob_open_fs(root, "https://api.example.com", "secret", &out, &st) != 0)
        print_error("open: %s\n", st.message);
    return out;
}

static struct blob *open_new(void) {
    if (!a)
        a = arena_new(0);
    st_init(&st, a);
    strcpy(root, "/tmp/test-blob-XXXXXX");
    assert_non_null(mkdtemp(root));
    return open_again();
}

static int setup(void **state) {
    (void)state;
    b = open_new();
    return b ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    blob_close(&b);
    clean();
    arena_free(&a);
    return 0;
}

static const char *path_of(const char *below) {
    return arena_printf(a, "%s/%s", root, below);
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void links_are_not_followed(void **state) {
    struct bytes body = {"new", 3};
    struct blob_info info;
    struct stat target;

    (void)state;
    write_file(path_of("outside"), "secret text");
    assert_int_equal(symlink(path_of("outside"), path_of("tmp/link")), 0);
    assert_int_equal(symlink(root, path_of("tmp/up")), 0);
    assert_int_equal(blob_get(b, a, BLOB_TMP, "link", 99, &body, NULL, &st), -1);
    assert_true(blob_get(b, a, BLOB_TMP, "up/outside", 99, &body, NULL, &st) != 0);
    assert_true(blob_stat(b, BLOB_TMP, "up/outside", &info, a, &st) != 0);
    assert_true(blob_delete(b, BLOB_TMP, "up/outside", &st) != 0);
    assert_int_equal(blob_put(b, BLOB_TMP, "up/evil", (struct bytes){"x", 1}, NULL, &st),
                     -1);
    assert_int_equal(access(path_of("evil"), F_OK), -1);
    /* a put replaces the link itself */
    assert_int_equal(blob_put(b, BLOB_TMP, "link", (struct bytes){"new", 3}, NULL, &st),
                     0);
    assert_int_equal(stat(path_of("outside"), &target), 0);
    assert_int_equal(target.st_size, 11);
}

static void what_is_no_file_is_no_object(void **state) {
    struct bytes body;

    (void)state;
    assert_int_equal(mkfifo(path_of("tmp/fifo"), 0600), 0);
    assert_int_equal(blob_get(b, a, BLOB_TMP, "fifo", 99, &body, NULL, &st), 1);
}

static void files_are_for_their_owner_only(void **state) {
    struct stat info;

    (void)state;
    assert_int_equal(blob_put(b, BLOB_TMP, "d/k", (struct bytes){"x", 1}, NULL, &st), 0);
    assert_int_equal(stat(path_of("tmp/d/k"), &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
    assert_int_equal(stat(path_of("tmp/d"), &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
}

static void leftovers_are_removed_at_open_but_not_what_is_being_written(void **state) {
    const char *left = path_of("tmp/d/.tmp-left"), *held = path_of("tmp/d/.tmp-held");
    int fd;

    (void)state;
    assert_int_equal(blob_put(b, BLOB_TMP, "d/k", (struct bytes){"x", 1}, NULL, &st), 0);
    write_file(left, "half");
    write_file(held, "half");
    fd = open(held, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    blob_close(&b);
    b = open_again();
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(access(held, F_OK), 0);
    assert_int_equal(access(path_of("tmp/d/k"), F_OK), 0);
    close(fd);
}

static void an_object_is_no_folder(void **state) {
    (void)state;
    assert_int_equal(blob_put(b, BLOB_TMP, "k", (struct bytes){"x", 1}, NULL, &st), 0);
    assert_int_equal(blob_put(b, BLOB_TMP, "k/v", (struct bytes){"x", 1}, NULL, &st), -1);
    assert_int_equal(st.type, ST_BAD_REQUEST);
    assert_int_equal(blob_put(b, BLOB_TMP, "d/v", (struct bytes){"x", 1}, NULL, &st), 0);
    assert_int_equal(blob_put(b, BLOB_TMP, "d", (struct bytes){"x", 1}, NULL, &st), -1);
    assert_int_equal(st.type, ST_BAD_REQUEST);
}

static void static_urls_are_plain_and_for_good(void **state) {
    const char *url;

    (void)state;
    assert_int_equal(blob_url(b, a, BLOB_STATIC, "c/logo@2 x.png", 1, &url, &st), 0);
    assert_string_equal(url, "https://api.example.com/static/c/logo%402%20x.png");
}

static void signed_urls_open_one_object_for_a_time(void **state) {
    const char *url, *signature;
    char *end;
    int64_t expires;

    (void)state;
    assert_int_equal(blob_url(b, a, BLOB_TMP, "a/b", 60, &url, &st), 0);
    assert_int_equal(strncmp(url, "https://api.example.com/files/tmp/a/b?expires=", 46),
                     0);
    expires = strtoll(url + 46, &end, 10);
    signature = strstr(url, "&signature=") + 11;
    assert_true(blob_check_signature(b, BLOB_TMP, "a/b", expires, signature));
    assert_false(blob_check_signature(b, BLOB_TMP, "a/c", expires, signature));
    assert_false(blob_check_signature(b, BLOB_CONNECTORS, "a/b", expires, signature));
    assert_false(blob_check_signature(b, BLOB_TMP, "a/b", expires + 1, signature));
    assert_false(blob_check_signature(b, BLOB_TMP, "a/b", expires, ""));
    assert_false(blob_check_signature(b, BLOB_TMP, "a/../b", expires, signature));
    assert_false(blob_check_signature(b, BLOB_TMP, "a/b", INT64_MAX, signature));
    assert_false(blob_check_signature(b, BLOB_TMP, "a/b", INT64_MIN, signature));
    assert_int_equal(blob_url(b, a, BLOB_TMP, "a/b", -1, &url, &st), 0);
    expires = strtoll(strstr(url, "expires=") + 8, &end, 10);
    signature = strstr(url, "&signature=") + 11;
    assert_false(blob_check_signature(b, BLOB_TMP, "a/b", expires, signature));
}

static void another_secret_makes_another_signature(void **state) {
    struct blob *other = NULL;
    const char *url;
    char *end;

    (void)state;
    assert_int_equal(blob_url(b, a, BLOB_TMP, "k", 60, &url, &st), 0);
    assert_int_equal(blob_open_fs(root, "https://x", "other", &other, &st), 0);
    assert_false(blob_check_signature(other, BLOB_TMP, "k",
                                      strtoll(strstr(url, "expires=") + 8, &end, 10),
                                      strstr(url, "&signature=") + 11));
    blob_close(&other);
}

static void an_unusable_folder_is_a_clear_error(void **state) {
    struct blob *other = NULL;
    const char *path = path_of("file/below");

    (void)state;
    write_file(path_of("file"), "x");
    assert_int_equal(blob_open_fs(path, "https://x", "s", &other, &st), -1);
    assert_string_equal(st.key, "unavailable");
    assert_non_null(strstr(st.message, path));
    assert_null(other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(links_are_not_followed),
        TEST(what_is_no_file_is_no_object),
        TEST(files_are_for_their_owner_only),
        TEST(leftovers_are_removed_at_open_but_not_what_is_being_written),
        TEST(an_object_is_no_folder),
        TEST(static_urls_are_plain_and_for_good),
        TEST(signed_urls_open_one_object_for_a_time),
        TEST(another_secret_makes_another_signature),
        TEST(an_unusable_folder_is_a_clear_error),
    };
    int failed = cmocka_run_group_tests_name("files", tests, NULL, NULL);

    failed += blob_contract_run("fs", open_new, clean);
    arena_free(&a);
    return failed;
}
