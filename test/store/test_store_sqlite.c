/*
 * The contract on SQLite, and what only a file can show: reopening, other versions,
 * damage, changed rules, two processes.
 */
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "contract/store_contract.h"
#include "store/store.h"
#include "value/value.h"

static char dir[64], path[128];
static struct arena *arena;
static struct status st;

static int remove_entry(const char *name, const struct stat *info, int type,
                        struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(name);
}

static void clean(void) {
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_dir(void) {
    strcpy(dir, "/tmp/test-store-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/m.db", dir);
}

static struct store *open_again(void) {
    struct store *s = NULL;

    if (store_open_sqlite(path, &s, &st) < 0)
        print_error("open: %s\n", st.message);
    return s;
}

static struct store *open_new(void) {
    if (!arena)
        arena = arena_new(0);
    st_init(&st, arena);
    make_dir();
    return open_again();
}

static int setup(void **state) {
    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    make_dir();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    clean();
    arena_free(&arena);
    return 0;
}

static void put(struct store *s, enum collection c, const char *id, const char *key) {
    const struct value *doc =
        value_obj(arena, "id", value_string(arena, id), "workspaceId",
                  value_string(arena, "w"), "key", value_string(arena, key), NULL);

    assert_int_equal(store_insert(s, c, doc, &st), 0);
}

static void sql(const char *text) {
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static int sql_number(const char *text) {
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int n;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

static void what_was_written_is_there_after_reopening(void **state) {
    struct store *s = open_again();
    const struct value *doc;
    int64_t n;

    (void)state;
    put(s, C_ACTIONS, "a", "k");
    assert_int_equal(store_counter_add(s, "n", 41, &n, &st), 0);
    store_close(&s);
    s = open_again();
    assert_int_equal(store_get(s, arena, C_ACTIONS, "a", &doc, &st), 0);
    assert_string_equal(value_get_string(doc, "key", ""), "k");
    assert_int_equal(store_counter_add(s, "n", 1, &n, &st), 0);
    assert_int_equal(n, 42);
    assert_int_equal(store_get(s, arena, C_META, "schema", &doc, &st), 0);
    assert_int_equal((int)value_get_number(doc, "format", 0), 1);
    store_close(&s);
}

static void the_file_is_for_its_owner_only(void **state) {
    struct store *s = open_again();
    struct stat info;

    (void)state;
    put(s, C_ACTIONS, "a", "k");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
    store_close(&s);
}

static void a_newer_database_is_refused(void **state) {
    struct store *s = open_again();

    (void)state;
    store_close(&s);
    sql("PRAGMA user_version=99");
    assert_int_equal(store_open_sqlite(path, &s, &st), -1);
    assert_string_equal(st.key, "conflict");
    assert_int_equal(sql_number("PRAGMA user_version"), 99);
}

static void a_database_of_another_program_is_refused(void **state) {
    struct store *s = NULL;

    (void)state;
    sql("CREATE TABLE theirs(x)");
    assert_int_equal(store_open_sqlite(path, &s, &st), -1);
    assert_string_equal(st.key, "conflict");
    assert_int_equal(sql_number("SELECT count(*) FROM sqlite_schema"), 1);
}

static void a_damaged_file_is_named(void **state) {
    struct store *s = NULL;
    FILE *f = fopen(path, "w");

    (void)state;
    for (int i = 0; i < 5000; i++)
        fputs("this is no database ", f);
    fclose(f);
    assert_int_equal(store_open_sqlite(path, &s, &st), -1);
    assert_string_equal(st.key, "damaged");
    assert_non_null(strstr(st.message, path));
}

static void damage_inside_is_an_error_not_an_answer(void **state) {
    struct store *s = open_again();
    const struct value *doc;
    struct stat info;
    char junk[4096];
    FILE *f;

    (void)state;
    for (int i = 0; i < 200; i++)
        put(s, C_ACTIONS, arena_printf(arena, "%d", i), arena_printf(arena, "k%d", i));
    store_close(&s);
    assert_int_equal(stat(path, &info), 0);
    memset(junk, 0x5a, sizeof(junk));
    f = fopen(path, "r+");
    for (long at = 8 * 4096; at + 4096 <= info.st_size; at += 4096) {
        fseek(f, at, SEEK_SET);
        fwrite(junk, 1, sizeof(junk), f);
    }
    fclose(f);
    s = NULL;
    if (store_open_sqlite(path, &s, &st) == 0)
        assert_int_equal(store_get(s, arena, C_ACTIONS, "100", &doc, &st), -1);
    assert_string_equal(st.key, "damaged");
    store_close(&s);
}

static void a_missing_directory_is_a_clear_error(void **state) {
    struct store *s = NULL;

    (void)state;
    assert_int_equal(
        store_open_sqlite(arena_printf(arena, "%s/no/such/m.db", dir), &s, &st), -1);
    assert_string_equal(st.key, "unavailable");
}

static void changed_rules_rebuild_the_table(void **state) {
    struct store *s = open_again();
    struct store_query q = {.where = store_eq_text(arena, "key", "k7")};
    const struct value *doc;

    (void)state;
    for (int i = 0; i < 20; i++)
        put(s, C_CONNECTORS, arena_printf(arena, "%d", i), arena_printf(arena, "k%d", i));
    store_close(&s);
    /* as if an older version had had no column and no index for keys */
    sql("DROP INDEX \"connectors:unique:key\";"
        "UPDATE connectors SET \"f:key\"='stale';"
        "UPDATE _schema SET ddl='older' WHERE name='connectors'");
    s = open_again();
    assert_int_equal(store_find(s, arena, C_CONNECTORS, &q, &doc, &st), 0);
    assert_string_equal(value_get_string(doc, "id", ""), "7");
    assert_int_equal(
        store_insert(s, C_CONNECTORS,
                     value_merge(arena, doc,
                                 value_obj(arena, "id", value_string(arena, "x"), NULL)),
                     &st),
        -1);
    assert_string_equal(st.key, "already_exists");
    store_close(&s);
    assert_int_equal(sql_number("SELECT count(*) FROM pragma_integrity_check WHERE "
                                "integrity_check<>'ok'"),
                     0);
}

/* The limit on file size stands in for a full disk. */
static int fill_disk(void) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    struct store *s = open_again();
    struct stat log;
    const struct value *doc;
    char filler[4000];
    int i, n = 0;

    memset(filler, 'x', sizeof(filler));
    signal(SIGXFSZ, SIG_IGN);
    if (stat(arena_printf(arena, "%s-wal", path), &log) != 0)
        return 6;
    limit.rlim_cur = (rlim_t)log.st_size + 300 * 1024;
    setrlimit(RLIMIT_FSIZE, &limit);
    for (i = 0; i < 1000 && n == i; i++) {
        doc = value_obj(arena, "id", value_stringf(arena, "%d", i), "v",
                        value_string_len(arena, filler, sizeof(filler)), NULL);
        n += store_insert(s, C_LEASES, doc, &st) == 0;
    }
    if (n == 0 || n == 1000 || !st.key || strcmp(st.key, "unavailable") != 0)
        return 1;
    st_clear(&st);
    if (store_get(s, arena, C_LEASES, "0", &doc, &st) != 0)
        return 2;
    if (store_get(s, arena, C_LEASES, arena_printf(arena, "%d", n), &doc, &st) != 1)
        return 3; /* the failed write must not be there */
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    for (i = n; i < n + 100; i++) {
        doc = value_obj(arena, "id", value_stringf(arena, "%d", i), NULL);
        if (store_insert(s, C_LEASES, doc, &st) != 0)
            return 4;
    }
    store_close(&s);
    s = open_again();
    if (!s || store_get(s, arena, C_LEASES, arena_printf(arena, "%d", n - 1), &doc, &st))
        return 5;
    store_close(&s);
    return 0;
}

static void a_full_disk_fails_writes_and_passes(void **state) {
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0)
        _exit(fill_disk());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(sql_number("SELECT count(*) FROM pragma_integrity_check WHERE "
                                "integrity_check<>'ok'"),
                     0);
}

enum { EACH = 150 };

/* Both processes claim and count on one file. */
static int share(int number) {
    struct store *s = open_again();
    struct store_query q = {.where = store_cmp(arena, STORE_ABSENT, "owner", NULL)};
    struct store_change change = {
        .set = value_obj(arena, "owner", value_number(arena, number), NULL),
        .increment = value_obj(arena, "times", value_number(arena, 1), NULL)};
    int64_t n;
    int rc = 0;

    for (int i = 0; i < EACH && rc == 0; i++)
        rc = store_counter_add(s, "shared", 1, &n, &st);
    while (rc == 0)
        rc = store_claim(s, NULL, C_LEASES, &q, &change, NULL, &st);
    store_close(&s);
    return rc == 1 ? 0 : 1;
}

enum { TOGETHER = 24, FRESH_FILES = 8 };

/* Opens, writes, reads and closes, once the pipe says so; exits with 0. */
static void open_when_told(int number, int told) {
    const struct value *doc;
    struct store *s;
    char nothing;

    if (read(told, &nothing, 1) != 0)
        _exit(2);
    s = open_again();
    if (!s)
        _exit(3);
    doc = value_obj(arena, "id", value_stringf(arena, "%d", number), NULL);
    if (store_insert(s, C_LEASES, doc, &st) != 0 ||
        store_get(s, arena, C_LEASES, arena_printf(arena, "%d", number), &doc, &st) !=
            0) {
        print_error("write: %s\n", st.message);
        _exit(4);
    }
    store_close(&s);
    _exit(0);
}

/* They all wait for the end of one pipe, so that none is done before the last starts. */
static void open_together(void) {
    pid_t child[TOGETHER];
    int told[2], status, good = 0;

    assert_int_equal(pipe(told), 0);
    for (int i = 0; i < TOGETHER; i++)
        if ((child[i] = fork()) == 0) {
            close(told[1]);
            open_when_told(i, told[0]);
        }
    close(told[0]);
    close(told[1]);
    for (int i = 0; i < TOGETHER; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        good += status == 0;
    }
    assert_int_equal(good, TOGETHER);
}

static void many_processes_open_a_new_file_at_once(void **state) {
    (void)state;
    for (int i = 0; i < FRESH_FILES; i++) {
        struct store *s;
        uint64_t n;

        snprintf(path, sizeof(path), "%s/fresh%d.db", dir, i);
        open_together();
        s = open_again();
        assert_int_equal(store_count(s, C_LEASES, NULL, &n, &st), 0);
        assert_int_equal(n, TOGETHER);
        store_close(&s);
        assert_int_equal(access(arena_printf(arena, "%s.new", path), F_OK), -1);
    }
}

static void what_a_killed_creation_left_is_removed(void **state) {
    const char *left = arena_printf(arena, "%s.new", path);
    struct store *s;
    FILE *f = fopen(left, "w");

    (void)state;
    fputs("half a database", f);
    fclose(f);
    f = fopen(arena_printf(arena, "%s-journal", left), "w");
    fputs("of another life", f);
    fclose(f);
    s = open_again();
    assert_non_null(s);
    put(s, C_ACTIONS, "a", "k");
    store_close(&s);
    assert_int_equal(access(left, F_OK), -1);
    assert_int_equal(access(arena_printf(arena, "%s-journal", left), F_OK), -1);
}

static void what_is_not_settled_is_nowhere(void **state) {
    struct store *s;
    const struct value *doc;

    (void)state;
    assert_int_equal(store_open_sqlite_unsettled(path, &s, &st), 0);
    put(s, C_ACTIONS, "a", "k");
    assert_int_equal(store_get(s, arena, C_ACTIONS, "a", &doc, &st), 0);
    assert_int_equal(access(path, F_OK), -1);
    store_close(&s);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(arena_printf(arena, "%s.new", path), F_OK), -1);

    assert_int_equal(store_open_sqlite_unsettled(path, &s, &st), 0);
    put(s, C_ACTIONS, "b", "k");
    assert_int_equal(store_settle(s, &st), 0);
    put(s, C_ACTIONS, "c", "l");
    assert_int_equal(store_settle(s, &st), 0);
    store_close(&s);
    s = open_again();
    assert_int_equal(store_get(s, arena, C_ACTIONS, "a", &doc, &st), 1);
    assert_int_equal(store_get(s, arena, C_ACTIONS, "b", &doc, &st), 0);
    assert_int_equal(store_get(s, arena, C_ACTIONS, "c", &doc, &st), 0);
    store_close(&s);
    assert_int_equal(sql_number("SELECT journal_mode='wal' FROM pragma_journal_mode"), 1);
}

static void two_processes_share_one_file(void **state) {
    struct store *s = open_again();
    uint64_t once;
    int64_t n;
    pid_t child;
    int status;

    (void)state;
    for (int i = 0; i < 100; i++)
        put(s, C_LEASES, arena_printf(arena, "%d", i), "k");
    store_close(&s);
    child = fork();
    if (child == 0)
        _exit(share(1));
    assert_int_equal(share(2), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    s = open_again();
    assert_int_equal(store_counter_add(s, "shared", 0, &n, &st), 0);
    assert_int_equal(n, 2 * EACH);
    assert_int_equal(store_count(s, C_LEASES,
                                 store_eq(arena, "times", value_number(arena, 1)), &once,
                                 &st),
                     0);
    assert_int_equal(once, 100);
    store_close(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_there_after_reopening),
        TEST(the_file_is_for_its_owner_only),
        TEST(a_newer_database_is_refused),
        TEST(a_database_of_another_program_is_refused),
        TEST(a_damaged_file_is_named),
        TEST(damage_inside_is_an_error_not_an_answer),
        TEST(a_missing_directory_is_a_clear_error),
        TEST(changed_rules_rebuild_the_table),
        TEST(a_full_disk_fails_writes_and_passes),
        TEST(two_processes_share_one_file),
        TEST(many_processes_open_a_new_file_at_once),
        TEST(what_is_not_settled_is_nowhere),
        TEST(what_a_killed_creation_left_is_removed),
    };
    int failed = cmocka_run_group_tests_name("file", tests, NULL, NULL);

    failed += store_contract_run("sqlite", open_new, clean);
    arena_free(&arena);
    return failed;
}
