#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "zip/zip.h"

static struct arena *arena;
static struct status st;

static int setup(void **state) {
    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static la_ssize_t sink(struct archive *ar, void *ctx, const void *data, size_t len) {
    (void)ar;
    buf_add(ctx, data, len);
    return (la_ssize_t)len;
}

/* An archive made without any of our checks. */
static struct bytes raw_archive(const char *path, int type, const char *link, size_t size,
                                int copies) {
    struct archive *ar = archive_write_new();
    struct buf out = BUF_INIT;
    struct bytes packed;
    char *zeros = arena_zalloc(arena, size + 1);

    archive_write_set_format_zip(ar);
    archive_write_set_bytes_per_block(ar, 0);
    archive_write_open(ar, &out, NULL, sink, NULL);
    for (int i = 0; i < copies; i++) {
        struct archive_entry *e = archive_entry_new();

        archive_entry_set_pathname(e, strchr(path, '%') ? arena_printf(arena, "f%d", i)
                                                        : path);
        archive_entry_set_filetype(e, (unsigned)type);
        archive_entry_set_perm(e, 0644);
        if (link)
            archive_entry_set_symlink(e, link);
        archive_entry_set_size(e, (la_int64_t)(link ? strlen(link) : size));
        archive_write_header(ar, e);
        if (!link && size)
            archive_write_data(ar, zeros, size);
        archive_entry_free(e);
    }
    archive_write_close(ar);
    archive_write_free(ar);
    packed = buf_to_arena(&out, arena);
    buf_fini(&out);
    return packed;
}

static int unpack(struct bytes archive, const struct zip_limits *limits) {
    struct zip_tree tree;

    return zip_unpack(arena, archive, "spec.yml", limits, &tree, &st);
}

static void a_packed_tree_comes_back_the_same_and_sorted(void **state) {
    struct zip_file files[] = {
        {"spec.yml", {"name: x\n", 8}}, {"data/a/list.js", {"1", 1}}, {"empty", {"", 0}}};
    struct zip_tree tree = {files, 3}, back;
    struct bytes packed, again;

    (void)state;
    assert_int_equal(zip_pack(arena, &tree, &packed, &st), 0);
    assert_int_equal(zip_pack(arena, &tree, &again, &st), 0);
    assert_int_equal(packed.len, again.len);
    assert_memory_equal(packed.data, again.data, packed.len);
    assert_int_equal(zip_unpack(arena, packed, "spec.yml", NULL, &back, &st), 0);
    assert_int_equal(back.len, 3);
    assert_string_equal(back.files[0].path, "data/a/list.js");
    assert_string_equal(zip_find(&back, "spec.yml")->body.data, "name: x\n");
    assert_null(zip_find(&back, "absent"));
}

static void a_common_directory_is_stripped_only_to_bring_the_anchor_up(void **state) {
    struct zip_file inside[] = {{"crm/spec.yml", {"", 0}}, {"crm/data/x", {"", 0}}};
    struct zip_file other[] = {{"data/x/list.js", {"", 0}}, {"data/y/list.js", {"", 0}}};
    struct zip_tree tree = {inside, 2}, back;
    struct bytes packed;

    (void)state;
    zip_pack(arena, &tree, &packed, &st);
    assert_int_equal(zip_unpack(arena, packed, "spec.yml", NULL, &back, &st), 0);
    assert_non_null(zip_find(&back, "spec.yml"));
    tree = (struct zip_tree){other, 2};
    zip_pack(arena, &tree, &packed, &st);
    assert_int_equal(zip_unpack(arena, packed, "spec.yml", NULL, &back, &st), 0);
    assert_non_null(zip_find(&back, "data/x/list.js"));
}

static void unsafe_paths_links_and_duplicates_are_refused(void **state) {
    static const char *const bad[] = {"../etc/passwd", "/etc/passwd", "a/../../b",
                                      "a//b",          "a/./b",       "..\\b",
                                      "a\nb",          "x/.."};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_false(zip_path_valid(bad[i]));
        if (unpack(raw_archive(bad[i], AE_IFREG, NULL, 1, 1), NULL) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(st.type, ST_BAD_REQUEST);
    }
    assert_int_equal(unpack(raw_archive("link", AE_IFLNK, "/etc/passwd", 0, 1), NULL),
                     -1);
    assert_non_null(strstr(st.message, "link"));
    assert_int_equal(unpack(raw_archive("same", AE_IFREG, NULL, 1, 2), NULL), -1);
    assert_non_null(strstr(st.message, "twice"));
}

static void bombs_end_at_the_bound(void **state) {
    struct zip_limits limits = {.max_files = 20, .max_bytes = 100000};

    (void)state;
    assert_int_equal(unpack(raw_archive("zeros", AE_IFREG, NULL, 5000000, 1), &limits),
                     -1);
    assert_non_null(strstr(st.message, "more than 100000 bytes"));
    assert_int_equal(unpack(raw_archive("f%d", AE_IFREG, NULL, 0, 21), &limits), -1);
    assert_non_null(strstr(st.message, "more than 20 files"));
    assert_int_equal(unpack(raw_archive("f%d", AE_IFREG, NULL, 0, 20), &limits), 0);
}

static void damaged_archives_are_a_clear_error(void **state) {
    struct bytes good = raw_archive("spec.yml", AE_IFREG, NULL, 5000, 1);

    (void)state;
    assert_int_equal(unpack((struct bytes){"not a zip at all", 16}, NULL), -1);
    for (size_t cut = 1; cut < good.len; cut += 7) {
        char *copy = arena_memdup(arena, good.data, good.len);

        unpack((struct bytes){copy, cut}, NULL); /* must not crash */
        copy[cut] ^= 0x55;
        unpack((struct bytes){copy, good.len}, NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_packed_tree_comes_back_the_same_and_sorted,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_common_directory_is_stripped_only_to_bring_the_anchor_up, setup, teardown),
        cmocka_unit_test_setup_teardown(unsafe_paths_links_and_duplicates_are_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(bombs_end_at_the_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_archives_are_a_clear_error, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
