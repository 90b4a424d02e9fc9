/*
 * store_sqlite_create.c - a database file comes to be whole, or not at all.
 *
 * Processes that open one path take turns: <path>.lock is held (flock) from the look for
 * the file until its form is right. SQLite's own locks don't cover the switch to a
 * write-ahead log, and several processes at one new file failed each other.
 *
 * A new file is built as <path>.new without a sync, then synced once and renamed: who
 * finds <path> finds tables in it, and what the first start wrote. A process killed
 * before leaves at most <path>.new, which the next one removes. The rejected alternative,
 * building in place, costs a sync per step and can leave an empty file or a half switched
 * one.
 */
#include "store_sqlite_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"

static int fail_file(const char *path, struct status *st) {
    return st_fail(st, ST_INTERNAL, "unavailable", "The database %s can't be used: %s.",
                   path, strerror(errno));
}

static int lock_file(const char *path, struct arena *a, int *ret_fd, struct status *st) {
    const char *name = arena_printf(a, "%s.lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc;

    if (fd < 0)
        return fail_file(name, st);
    while ((rc = flock(fd, LOCK_EX)) < 0 && errno == EINTR)
        ;
    if (rc < 0) {
        fail_file(name, st);
        close(fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

static void unlock(int fd) {
    flock(fd, LOCK_UN); /* a forked child may hold the descriptor, too */
    close(fd);
}

/* Is there nothing to open? A file of no bytes was made by somebody's hand. */
static bool is_missing(const char *path) {
    struct stat info;

    return stat(path, &info) < 0 ? errno == ENOENT : info.st_size == 0;
}

static void remove_rest(const char *tmp, struct arena *a) {
    static const char *const suffix[] = {"", "-journal", "-wal", "-shm"};

    for (size_t i = 0; i < sizeof(suffix) / sizeof(*suffix); i++)
        unlink(arena_printf(a, "%s%s", tmp, suffix[i]));
}

static int sync_path(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC), rc;

    if (fd < 0)
        return -1;
    rc = fsync(fd);
    close(fd);
    return rc;
}

/* The last connection moved its log into the file and removed it, or could not. */
static int publish(const char *tmp, const char *path, struct arena *a,
                   struct status *st) {
    const char *dir = dirname(arena_strdup(a, path));

    if (access(arena_printf(a, "%s-wal", tmp), F_OK) == 0)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The database %s can't be made: its log was not written back.",
                       path);
    if (sync_path(tmp, O_RDWR) < 0 || rename(tmp, path) < 0 ||
        sync_path(dir, O_RDONLY | O_DIRECTORY) < 0)
        return fail_file(path, st);
    return 0;
}

/* A file under the name of a start: empty, and nobody else's. */
static int make_empty(const char *tmp, struct arena *a, struct status *st) {
    int fd;

    remove_rest(tmp, a);
    /* Made here, because SQLite would let everyone read it. */
    fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_file(tmp, st);
    close(fd);
    return 0;
}

static int open_conn(struct sqlite_store *s, enum store_sqlite_use use,
                     struct store_sqlite_conn **ret_conn, struct status *st) {
    if (store_sqlite_conn_open(s->path, use, ret_conn, st) < 0)
        return -1;
    if (store_sqlite_schema_migrate(s, *ret_conn, st) < 0) {
        store_sqlite_conn_close(ret_conn);
        return -1;
    }
    return 0;
}

void store_sqlite_file_close(struct sqlite_store *s) {
    if (s->settled_path)
        remove_rest(s->path, s->arena);
    s->settled_path = NULL;
    if (s->lock >= 0)
        unlock(s->lock);
    s->lock = -1;
}

int store_sqlite_file_open(struct sqlite_store *s, struct store_sqlite_conn **ret_conn,
                           struct status *st) {
    if (lock_file(s->path, s->arena, &s->lock, st) < 0)
        return -1;
    if (is_missing(s->path)) {
        s->settled_path = s->path;
        s->path = arena_printf(s->arena, "%s.new", s->path);
        if (make_empty(s->path, s->arena, st) < 0)
            return -1;
        return open_conn(s, SQLITE_CONN_BUILDER, ret_conn, st);
    }
    if (open_conn(s, SQLITE_CONN_WRITER, ret_conn, st) < 0)
        return -1;
    store_sqlite_file_close(s);
    return 0;
}

int store_sqlite_file_settle(struct sqlite_store *s, struct store_sqlite_conn **conn,
                             struct status *st) {
    int rc = store_sqlite_conn_exec(*conn, "PRAGMA journal_mode=WAL", st);

    store_sqlite_conn_close(conn);
    if (rc < 0 || publish(s->path, s->settled_path, s->arena, st) < 0)
        return -1;
    s->path = s->settled_path;
    s->settled_path = NULL;
    if (store_sqlite_conn_open(s->path, SQLITE_CONN_WRITER, conn, st) < 0)
        return -1;
    store_sqlite_file_close(s);
    return 0;
}
