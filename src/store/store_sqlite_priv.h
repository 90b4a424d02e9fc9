/*
 * store_sqlite_priv.h - the parts of the SQLite backend.
 *
 * A collection is a table: `rid` (row number), `id`, one column per field that a rule of
 * collections.def names, and `doc`, the document's text as it came. Columns are filled
 * here when a row is written, from the value that is at hand: expression indexes on
 * json_extract would parse every document once more and can't tell true from 1.
 *
 * A column holds a value of the same order that store_key_compare() gives: -infinity for
 * null, the two lowest doubles for false and true, doubles, text, and blobs with the JSON
 * of arrays and objects. As no column is ever SQL's NULL, a condition is one comparison
 * that an index serves, and a page continues with a comparison of row values.
 */
#ifndef STORE_STORE_SQLITE_PRIV_H
#define STORE_STORE_SQLITE_PRIV_H

#include <pthread.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "store_priv.h"

struct arena;

#define SQL_NULL "-9e999" /* how null is written in SQL text */

enum { SQLITE_TABLE_COLUMNS = 24, SQLITE_STATEMENTS = 256 };

struct store_sqlite_table {
    const char *name;
    const struct store_rule *rules;
    size_t rules_len;
    size_t columns_len;
    const char *column[SQLITE_TABLE_COLUMNS]; /* paths */
    bool
        unique_column[SQLITE_TABLE_COLUMNS]; /* a unique index is only about its values */
    const char *insert_sql, *get_sql, *row_sql, *delete_sql;
};

/* A connection with its prepared statements; one thread at a time. */
struct store_sqlite_conn {
    sqlite3 *db;
    const char *path;
    struct store_sqlite_conn *next;
    struct arena *scratch;       /* for whoever holds the connection */
    struct arena *match_scratch; /* for the SQL functions below */
    unsigned wal_pages;          /* of the write-ahead log after the last commit */
    struct {
        uint64_t hash;
        char *sql;
        sqlite3_stmt *stmt;
    } statement[SQLITE_STATEMENTS];
};

/* One write, made by the writer thread inside a transaction. Caller's memory. */
struct store_sqlite_job {
    int (*run)(struct store_sqlite_conn *w, struct store_sqlite_job *job,
               struct status *st);
    struct status *st;
    int rc;
    struct store_sqlite_job *next;
};

struct store_sqlite_wave;

struct store_sqlite_writer {
    struct store_sqlite_conn *conn;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    struct store_sqlite_job *first, **last; /* guarded by: mu */
    struct store_sqlite_wave *wave; /* guarded by: mu; who waits for the next commit */
    bool asleep, stop;              /* guarded by: mu */
    bool started;                   /* before other threads write */
};

struct sqlite_store {
    struct store base;
    struct arena *arena;
    const char *path, *settled_path; /* settled_path: NULL but for a file in the making */
    int lock;                        /* -1: others may open and make the file */
    struct store_sqlite_table table[COLLECTION_COUNT];
    struct store_sqlite_writer writer;
    pthread_mutex_t mu;
    pthread_cond_t returned;
    struct store_sqlite_conn *idle; /* guarded by: mu; readers, the last used first */
    size_t readers, waiting;        /* guarded by: mu */
    size_t readers_max;
};

/* ---- Connections (store_sqlite_conn.c) ---- */

enum store_sqlite_use {
    SQLITE_CONN_READER,
    SQLITE_CONN_WRITER,  /* switches the file to a write-ahead log where it has none */
    SQLITE_CONN_BUILDER, /* of a file that nobody else knows yet: nothing is synced */
};

/* The file must be there. */
int store_sqlite_conn_open(const char *path, enum store_sqlite_use use,
                           struct store_sqlite_conn **ret_conn, struct status *st);
void store_sqlite_conn_close(struct store_sqlite_conn **c);
/* The failure of the last call on this connection as a status. Returns -1. */
int store_sqlite_conn_fail(struct store_sqlite_conn *c, int rc, struct status *st);
int store_sqlite_conn_exec(struct store_sqlite_conn *c, const char *sql,
                           struct status *st);
/* Lends a cached statement until store_sqlite_conn_done(); one at a time per connection.
 */
int store_sqlite_conn_prepare(struct store_sqlite_conn *c, const char *sql,
                              sqlite3_stmt **ret_stmt, struct status *st);
void store_sqlite_conn_done(sqlite3_stmt *stmt);
/* First column of the first row as a number; 0 when there is no row. */
int store_sqlite_conn_number(struct store_sqlite_conn *c, const char *sql, int64_t *ret,
                             struct status *st);

/* What a column holds for null, bools and numbers. */
double store_sqlite_key_number(const struct store_key *k);
void store_sqlite_bind_key(sqlite3_stmt *stmt, int at, const struct store_key *k);
void store_sqlite_bind_text(sqlite3_stmt *stmt, int at, struct bytes text);
struct bytes store_sqlite_column_bytes(sqlite3_stmt *stmt, int at);

/* ---- Schema (store_sqlite_schema.c) ---- */

void store_sqlite_table_init(struct store_sqlite_table *t, enum collection c,
                             struct arena *a);
/* Column of a path, -1 when there is none. */
int store_sqlite_table_column(const struct store_sqlite_table *t, const char *path);
/* SQL of a column or of `id`; NULL when no column holds the path. Lends from `a`. */
const char *store_sqlite_table_expr(const struct store_sqlite_table *t, struct arena *a,
                                    const char *path);
/* Brings the file to the form this binary knows; refuses a newer one. */
int store_sqlite_schema_migrate(struct sqlite_store *s, struct store_sqlite_conn *c,
                                struct status *st);

/* ---- The file (store_sqlite_create.c) ---- */

/*
 * Waits for its turn, then opens s->path in the form that this binary knows. Where the
 * file is missing, gives a connection to a new one that is not settled: s->settled_path
 * is the name it will get, s->path the one it has, and others wait for their turn.
 */
int store_sqlite_file_open(struct sqlite_store *s, struct store_sqlite_conn **ret_conn,
                           struct status *st);
/* Gives a new file its name, durably. *conn: the only one, to the new name afterwards;
 * NULL after a failure. */
int store_sqlite_file_settle(struct sqlite_store *s, struct store_sqlite_conn **conn,
                             struct status *st);
/* Removes a file that was not settled; lets others have their turn. */
void store_sqlite_file_close(struct sqlite_store *s);

/* ---- Queries (store_sqlite_query.c) ---- */

struct store_sqlite_bind {
    struct store_key key;
    const struct store_filter *filter; /* instead of a key */
};
struct store_sqlite_query {
    const char *sql;
    const struct store_sqlite_bind *binds;
    size_t binds_len;
};

/* "SELECT what FROM ... WHERE ...", and with a query's order, cursor and limit. */
int store_sqlite_query_select(struct arena *a, const struct store_sqlite_table *t,
                              const char *what, const struct store_query *q,
                              struct store_sqlite_query *ret, struct status *st);
/* head + conditions + tail; the head's and tail's own parameters come after these. */
void store_sqlite_query_where(struct arena *a, const struct store_sqlite_table *t,
                              const char *head, const struct store_filter *where,
                              const char *tail, struct store_sqlite_query *ret);
/* Prepares and binds. */
int store_sqlite_query_start(struct store_sqlite_conn *c,
                             const struct store_sqlite_query *q, sqlite3_stmt **ret_stmt,
                             struct status *st);
/* Adds the SQL functions that queries use to a connection. */
int store_sqlite_query_functions(struct store_sqlite_conn *c);

/* ---- Writer (store_sqlite_writer.c) ---- */

/* Takes the connection. Jobs run on their caller's thread, one thread at a time. */
void store_sqlite_writer_open(struct store_sqlite_writer *w,
                              struct store_sqlite_conn *conn);
/* From now on jobs run on the writer's own thread, in groups. */
void store_sqlite_writer_start(struct store_sqlite_writer *w);
/* Finishes what was queued. */
void store_sqlite_writer_close(struct store_sqlite_writer *w);
/* Blocks until the job's transaction is durable; gives what run gave, or -1. */
int store_sqlite_writer_do(struct store_sqlite_writer *w, struct store_sqlite_job *job,
                           struct status *st);

#endif
