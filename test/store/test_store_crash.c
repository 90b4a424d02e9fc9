/*
 * A promise of the store: a write that returned is there after kill -9, a write that
 * did not is there wholly or not at all.
 *
 * A child writes with many threads and, after each write that returned, says so over a
 * pipe. It is killed at a random moment; then the file is opened and compared with what
 * was said. Killing a process proves the order of writes and the recovery, not the fsync;
 * that the log is synced at every commit is SQLite's synchronous=FULL.
 *
 * Usage: test_store_crash [kills]
 */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "store/store.h"
#include "value/value.h"

enum { THREADS = 12, BATCH = 5, SHORT_KILLS = 20 };

static int kills = SHORT_KILLS;
static char dir[] = "/tmp/test-crash-XXXXXX";
static uint64_t seed = 88172645463325252u;

/* What a thread says when a write returned. */
struct said {
    int thread;
    int kind; /* 0 inserted, 1 counter, 2 own document counted, 3 batch, 4 deleted */
    int64_t value;
};

struct child {
    struct store *s;
    int number, round, pipe;
};

static void say(struct child *me, int kind, int64_t value) {
    struct said said = {me->number, kind, value};

    if (write(me->pipe, &said, sizeof(said)) != sizeof(said))
        _exit(3);
}

/* A document whose halves must agree. */
static const struct value *whole_doc(struct arena *a, const char *id, int n) {
    char filler[600];

    memset(filler, 'a' + n % 26, sizeof(filler));
    return value_obj(a, "id", value_string(a, id), "workspaceId", value_string(a, "w"),
                     "key", value_string(a, id), "n", value_number(a, n), "filler",
                     value_string_len(a, filler, 100 + (size_t)n % 500), "again",
                     value_number(a, n), NULL);
}

static const struct value *batch(struct arena *a, struct child *me, int i) {
    struct array_builder b;

    array_begin(&b, a, BATCH);
    for (int k = 0; k < BATCH; k++)
        array_push(
            &b, whole_doc(
                    a, arena_printf(a, "b-%d-%d-%d-%d", me->round, me->number, i, k), i));
    return array_end(&b);
}

static void *write_on(void *arg) {
    struct child *me = arg;
    struct arena *a = arena_new(0);
    struct status st;
    int64_t n;

    for (int i = 0;; i++) {
        const char *id = arena_printf(a, "i-%d-%d-%d", me->round, me->number, i),
                   *own = arena_printf(a, "own-%d", me->number);
        struct store_change change = {
            .increment =
                value_obj(a, "n", value_number(a, 1), "again", value_number(a, 1), NULL)};
        const struct value *doc;

        st_init(&st, a);
        if (store_insert(me->s, C_ACTIONS, whole_doc(a, id, i), &st) != 0)
            _exit(4);
        say(me, 0, i);
        if (store_counter_add(me->s, own, 1, &n, &st) != 0)
            _exit(5);
        say(me, 1, n);
        if (store_update(me->s, a, C_ACTIONS, own, NULL, &change, &doc, &st) != 0)
            _exit(6);
        say(me, 2, (int64_t)value_get_number(doc, "n", -1));
        if (i % 8 == 0) {
            if (store_insert_many(me->s, C_ACTIONS, batch(a, me, i), &st) != 0)
                _exit(7);
            say(me, 3, i);
            if (store_delete(me->s, C_ACTIONS, id, NULL, &st) != 0)
                _exit(8);
            say(me, 4, i);
        }
        arena_reset(a);
    }
    return NULL;
}

static void run_child(int round, int pipe) {
    static struct child children[THREADS];
    struct arena *a = arena_new(0);
    struct store *s;
    struct status st;
    pthread_t t;

    st_init(&st, a);
    if (store_open_sqlite(dir, &s, &st) != 0)
        _exit(2);
    for (int i = 0; i < THREADS; i++) {
        const char *own = arena_printf(a, "own-%d", i);
        const struct value *doc;

        if (store_get(s, a, C_ACTIONS, own, &doc, &st) == 1)
            store_insert(s, C_ACTIONS, whole_doc(a, own, 0), &st);
        children[i] = (struct child){s, i, round, pipe};
        pthread_create(&t, NULL, write_on, &children[i]);
    }
    for (;;)
        pause();
}

/* ---- The parent: what must be there ---- */

struct promise {
    int64_t inserted[THREADS]; /* all i <= this were inserted in this round; -1 none */
    int64_t batches[THREADS];
    int64_t deleted[THREADS];
    int64_t counter[THREADS]; /* over all rounds */
    int64_t own[THREADS];
    long writes;
};

static void hear(struct promise *p, int fd) {
    struct said said;

    while (read(fd, &said, sizeof(said)) == sizeof(said)) {
        int64_t *at[] = {p->inserted, p->counter, p->own, p->batches, p->deleted};

        at[said.kind][said.thread] = said.value;
        p->writes++;
    }
}

static void sleep_us(long us) {
    struct timespec t = {us / 1000000, us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

static long random_us(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (long)(seed >> 33) % 60000;
}

/* A slow build or machine needs longer to its first write: a round without any doubles
 * the time before the next kill. */
static void kill_at_random(int round, struct promise *p) {
    static long head_start_us = 20000;
    long writes = p->writes;
    int fds[2], status;
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    child = fork();
    if (child == 0) {
        close(fds[0]);
        run_child(round, fds[1]);
    }
    close(fds[1]);
    sleep_us(head_start_us + random_us());
    kill(child, SIGKILL);
    hear(p, fds[0]);
    close(fds[0]);
    if (p->writes == writes && head_start_us < 900000)
        head_start_us *= 2;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        fail_msg("the child ended by itself: %d", WEXITSTATUS(status));
}

static bool is_whole(const struct value *doc) {
    double n = value_get_number(doc, "n", -1), again = value_get_number(doc, "again", -2);

    return n == again &&
           value_equals_text(value_get(doc, "key"), value_get_string(doc, "id", ""));
}

/* 1 there and whole, 0 absent. */
static int look(struct store *s, struct arena *a, const char *id,
                const struct value **ret) {
    struct status st;
    int rc;

    st_init(&st, a);
    rc = store_get(s, a, C_ACTIONS, id, ret, &st);
    if (rc < 0)
        fail_msg("%s: %s", id, st.message);
    if (rc == 0 && !is_whole(*ret))
        fail_msg("%s is half there", id);
    return rc == 0;
}

static void check_thread(struct store *s, struct arena *a, int round, int t,
                         struct promise *p) {
    const struct value *doc;
    struct status st;
    int64_t n;

    st_init(&st, a);
    for (int64_t i = 0; i <= p->inserted[t]; i++) {
        int there = look(s, a, arena_printf(a, "i-%d-%d-%d", round, t, (int)i), &doc);

        if (i % 8 == 0 && i <= p->deleted[t] && there)
            fail_msg("a deleted document came back");
        if (i % 8 != 0 && !there)
            fail_msg("an acknowledged document is lost");
    }
    for (int64_t i = 0; i <= p->batches[t]; i += 8)
        for (int k = 0; k < BATCH; k++)
            if (!look(s, a, arena_printf(a, "b-%d-%d-%d-%d", round, t, (int)i, k), &doc))
                fail_msg("an acknowledged batch is lost");
    assert_int_equal(store_counter_add(s, arena_printf(a, "own-%d", t), 0, &n, &st), 0);
    assert_true(n >= p->counter[t] && n <= p->counter[t] + 1);
    p->counter[t] = n;
    if (look(s, a, arena_printf(a, "own-%d", t), &doc)) {
        n = (int64_t)value_get_number(doc, "n", -1);
        assert_true(n >= p->own[t] && n <= p->own[t] + 1);
        p->own[t] = n;
    } else {
        assert_int_equal(p->own[t], 0);
    }
}

static void check_integrity(const char *path) {
    sqlite3 *db;
    sqlite3_stmt *stmt;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static int remove_entry(const char *name, const struct stat *info, int type,
                        struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(name);
}

static void every_acknowledged_write_survives_a_kill(void **state) {
    static struct promise p;
    struct arena *a = arena_new(0);
    struct store *s;
    struct status st;

    (void)state;
    strcpy(dir, "/tmp/test-crash-XXXXXX");
    assert_non_null(mkdtemp(dir));
    for (int round = 0; round < kills; round++) {
        for (int t = 0; t < THREADS; t++)
            p.inserted[t] = p.batches[t] = p.deleted[t] = -1;
        kill_at_random(round, &p);
        st_init(&st, a);
        if (store_open_sqlite(dir, &s, &st) != 0)
            fail_msg("round %d: %s", round, st.message);
        for (int t = 0; t < THREADS; t++)
            check_thread(s, a, round, t, &p);
        if (round % 10 == 9) /* keeps the file small */
            store_delete_many(s, C_ACTIONS,
                              store_cmp(a, STORE_LT, "id", value_string(a, "own")), NULL,
                              &st);
        store_close(&s);
        arena_reset(a);
    }
    check_integrity(arena_printf(a, "%s/membrane.db", dir));
    print_message("%d kills, %ld acknowledged writes\n", kills, p.writes);
    assert_true(p.writes > kills);
    arena_free(&a);
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- A first start ---- */

enum { FIRST_DOCUMENTS = 12 };

/* Says over the pipe when it begins and when what it wrote is settled. */
static void first_start(const char *path, int pipe) {
    struct arena *a = arena_new(0);
    struct store *s;
    struct status st;

    st_init(&st, a);
    if (write(pipe, "b", 1) != 1 || store_open_sqlite_unsettled(path, &s, &st) != 0)
        _exit(2);
    for (int i = 0; i < FIRST_DOCUMENTS; i++)
        if (store_insert(s, C_ACTIONS, whole_doc(a, arena_printf(a, "f-%d", i), i),
                         &st) != 0)
            _exit(3);
    if (store_settle(s, &st) != 0 || write(pipe, "s", 1) != 1)
        _exit(4);
    for (;;)
        pause();
}

static void sleep_ns(uint64_t ns) {
    struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

    nanosleep(&t, NULL);
}

static uint64_t now_ns(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Kills a first start `after` it began; 0: when it has settled. Gives whether it had. */
static bool kill_first_start(const char *path, uint64_t after_ns) {
    int fds[2];
    char said;
    bool settled = false;
    pid_t child;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    if ((child = fork()) == 0)
        first_start(path, fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], &said, 1), 1);
    assert_int_equal(said, 'b');
    if (after_ns)
        sleep_ns(after_ns);
    else
        settled = read(fds[0], &said, 1) == 1;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    settled |= read(fds[0], &said, 1) == 1;
    close(fds[0]);
    return settled;
}

static void a_killed_first_start_left_all_or_nothing(void **state) {
    struct arena *a = arena_new(0);
    uint64_t whole_ns, start_ns;
    int complete = 0;

    (void)state;
    strcpy(dir, "/tmp/test-crash-XXXXXX");
    assert_non_null(mkdtemp(dir));
    start_ns = now_ns();
    assert_true(kill_first_start(arena_printf(a, "%s/whole.db", dir), 0));
    whole_ns = now_ns() - start_ns;
    for (int round = 0; round < kills; round++) {
        const char *path = arena_printf(a, "%s/%d.db", dir, round);
        bool settled = kill_first_start(path, 1 + whole_ns * (uint64_t)(round + 1) /
                                                      (uint64_t)kills);
        const struct value *doc;
        struct status st;
        struct store *s;
        uint64_t n;

        st_init(&st, a);
        if (store_open_sqlite_unsettled(path, &s, &st) != 0)
            fail_msg("round %d: %s", round, st.message);
        assert_int_equal(store_count(s, C_ACTIONS, NULL, &n, &st), 0);
        assert_true(n == FIRST_DOCUMENTS || (n == 0 && !settled));
        complete += n == FIRST_DOCUMENTS;
        for (int i = 0; i < FIRST_DOCUMENTS && n == 0; i++)
            assert_int_equal(store_insert(s, C_ACTIONS,
                                          whole_doc(a, arena_printf(a, "f-%d", i), i),
                                          &st),
                             0);
        assert_int_equal(store_settle(s, &st), 0);
        assert_true(look(s, a, "f-0", &doc) && look(s, a, "f-11", &doc));
        store_close(&s);
        check_integrity(path);
    }
    print_message("%d first starts killed, %d were complete\n", kills, complete);
    arena_free(&a);
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_first_start_left_all_or_nothing),
        cmocka_unit_test(every_acknowledged_write_survives_a_kill),
    };

    if (argc > 1)
        kills = atoi(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
