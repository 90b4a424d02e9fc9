/*
 * store_sqlite_conn.c - one connection: pragmas, statements, errors.
 */
#include "store_sqlite_priv.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"
#include "store_map.h"

enum { BUSY_TIMEOUT_MS = 10000, BUSY_STEP_US = 500 };

/* Another process writes: its groups are short, so ask again soon. SQLite's own handler
 * sleeps up to 100 ms and starves beside a busy writer. */
static int wait_busy(void *ctx, int count) {
    struct timespec t = {0, BUSY_STEP_US * 1000 + (long)(count % 7) * 100000};

    (void)ctx;
    if (count > BUSY_TIMEOUT_MS * 1000 / (BUSY_STEP_US + 300))
        return 0;
    nanosleep(&t, NULL);
    return 1;
}

int store_sqlite_conn_fail(struct store_sqlite_conn *c, int rc, struct status *st) {
    const char *why = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);

    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return st_fail(st, ST_INTERNAL, "damaged",
                       "The database file %s is damaged or no database (%s). Restore it "
                       "from a backup.",
                       c->path, why);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The database %s is held by another process.", c->path);
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The database %s can't be used: %s (%s).", c->path, why,
                       sqlite3_errstr(c->db ? sqlite3_extended_errcode(c->db) : rc));
    default:
        return st_fail(st, ST_INTERNAL, NULL, "The database failed: %s.", why);
    }
}

int store_sqlite_conn_exec(struct store_sqlite_conn *c, const char *sql,
                           struct status *st) {
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : store_sqlite_conn_fail(c, rc, st);
}

static int note_wal_size(void *ctx, sqlite3 *db, const char *name, int pages) {
    struct store_sqlite_conn *c = ctx;

    (void)db;
    (void)name;
    c->wal_pages = (unsigned)pages;
    return SQLITE_OK;
}

static int configure(struct store_sqlite_conn *c, enum store_sqlite_use use,
                     struct status *st) {
    int64_t wal = 0;

    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_handler(c->db, wait_busy, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (use == SQLITE_CONN_WRITER &&
        (store_sqlite_conn_number(
             c, "SELECT 'wal' = journal_mode FROM pragma_journal_mode", &wal, st) < 0 ||
         (!wal && store_sqlite_conn_exec(c, "PRAGMA journal_mode=WAL", st) < 0)))
        return -1;
    if (store_sqlite_conn_exec(c,
                               use == SQLITE_CONN_BUILDER
                                   ? "PRAGMA synchronous=OFF;PRAGMA journal_mode=MEMORY"
                                   : "PRAGMA synchronous=FULL",
                               st) < 0 ||
        store_sqlite_conn_exec(c,
                               "PRAGMA wal_autocheckpoint=0;"
                               "PRAGMA journal_size_limit=67108864;"
                               "PRAGMA temp_store=MEMORY;"
                               "PRAGMA cache_size=-2048;"
                               "PRAGMA cell_size_check=ON",
                               st) < 0)
        return -1;
    sqlite3_wal_hook(c->db, note_wal_size, c);
    if (store_sqlite_query_functions(c) != SQLITE_OK)
        return store_sqlite_conn_fail(c, sqlite3_errcode(c->db), st);
    return 0;
}

int store_sqlite_conn_open(const char *path, enum store_sqlite_use use,
                           struct store_sqlite_conn **ret_conn, struct status *st) {
    struct store_sqlite_conn *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        abort();
    c->scratch = arena_new(0);
    c->match_scratch = arena_new(0);
    c->path = path;
    rc = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if ((rc != SQLITE_OK && store_sqlite_conn_fail(c, rc, st) < 0) ||
        configure(c, use, st) < 0) {
        store_sqlite_conn_close(&c);
        return -1;
    }
    *ret_conn = c;
    return 0;
}

void store_sqlite_conn_close(struct store_sqlite_conn **cp) {
    struct store_sqlite_conn *c = *cp;

    if (!c)
        return;
    for (size_t i = 0; i < SQLITE_STATEMENTS; i++) {
        sqlite3_finalize(c->statement[i].stmt);
        free(c->statement[i].sql);
    }
    sqlite3_close(c->db);
    arena_free(&c->scratch);
    arena_free(&c->match_scratch);
    free(c);
    *cp = NULL;
}

int store_sqlite_conn_prepare(struct store_sqlite_conn *c, const char *sql,
                              sqlite3_stmt **ret_stmt, struct status *st) {
    size_t len = strlen(sql);
    uint64_t hash = store_hash(sql, len, 0);
    size_t at = hash % SQLITE_STATEMENTS;
    int rc;

    if (c->statement[at].hash != hash || !c->statement[at].sql ||
        strcmp(c->statement[at].sql, sql) != 0) {
        sqlite3_finalize(c->statement[at].stmt);
        free(c->statement[at].sql);
        c->statement[at].sql = NULL;
        rc = sqlite3_prepare_v3(c->db, sql, (int)len + 1, SQLITE_PREPARE_PERSISTENT,
                                &c->statement[at].stmt, NULL);
        if (rc != SQLITE_OK)
            return store_sqlite_conn_fail(c, rc, st);
        if (!(c->statement[at].sql = strdup(sql)))
            abort();
        c->statement[at].hash = hash;
    }
    *ret_stmt = c->statement[at].stmt;
    return 0;
}

void store_sqlite_conn_done(sqlite3_stmt *stmt) {
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
}

int store_sqlite_conn_number(struct store_sqlite_conn *c, const char *sql, int64_t *ret,
                             struct status *st) {
    sqlite3_stmt *stmt;
    int rc;

    if (store_sqlite_conn_prepare(c, sql, &stmt, st) < 0)
        return -1;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(stmt, 0);
    else if (rc == SQLITE_DONE)
        *ret = 0;
    else
        store_sqlite_conn_fail(c, rc, st);
    store_sqlite_conn_done(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

void store_sqlite_bind_text(sqlite3_stmt *stmt, int at, struct bytes text) {
    sqlite3_bind_text(stmt, at, text.data, (int)text.len, SQLITE_STATIC);
}

double store_sqlite_key_number(const struct store_key *k) {
    if (k->rank == RANK_NULL)
        return -INFINITY;
    if (k->rank == RANK_BOOL)
        return k->number ? -0x1.ffffffffffffep+1023 : -0x1.fffffffffffffp+1023;
    return k->number;
}

void store_sqlite_bind_key(sqlite3_stmt *stmt, int at, const struct store_key *k) {
    switch (k->rank) {
    case RANK_NULL:
    case RANK_BOOL:
    case RANK_NUMBER:
        sqlite3_bind_double(stmt, at, store_sqlite_key_number(k));
        break;
    case RANK_TEXT:
        store_sqlite_bind_text(stmt, at, k->text);
        break;
    case RANK_CONTAINER:
        sqlite3_bind_blob(stmt, at, k->text.data, (int)k->text.len, SQLITE_STATIC);
        break;
    }
}

struct bytes store_sqlite_column_bytes(sqlite3_stmt *stmt, int at) {
    const char *text = (const char *)sqlite3_column_text(stmt, at);

    return (struct bytes){text ? text : "", (size_t)sqlite3_column_bytes(stmt, at)};
}
