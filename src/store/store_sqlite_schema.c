/*
 * store_sqlite_schema.c - tables and indexes out of collections.def, and migrations.
 *
 * Two things can change: the form of the file (user_version, the steps below) and the
 * rules of a collection. The latter need no step: each table's DDL is kept in _schema,
 * and a table whose DDL is another now is rebuilt from its documents.
 */
#include "store_sqlite_priv.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

#define APPLICATION_ID 0x4d656d62 /* "Memb" */

enum { FORMAT = 1 };

/* ---- Tables ---- */

static void add_column(struct store_sqlite_table *t, const char *path) {
    if (strcmp(path, "id") == 0 || store_sqlite_table_column(t, path) >= 0)
        return;
    assert(t->columns_len < SQLITE_TABLE_COLUMNS);
    t->column[t->columns_len++] = path;
}

static const char *text_of(struct buf *b, struct arena *a) {
    const char *s = buf_to_arena(b, a).data;

    buf_fini(b);
    return s;
}

static const char *insert_sql(const struct store_sqlite_table *t, const char *into,
                              struct arena *a) {
    struct buf b = BUF_INIT;

    buf_addf(&b, "INSERT INTO \"%s\"(id", into);
    for (size_t i = 0; i < t->columns_len; i++)
        buf_addf(&b, ",\"f:%s\"", t->column[i]);
    buf_adds(&b, ",doc)VALUES(?");
    for (size_t i = 0; i < t->columns_len; i++)
        buf_adds(&b, ",?");
    buf_adds(&b, ",?)");
    return text_of(&b, a);
}

void store_sqlite_table_init(struct store_sqlite_table *t, enum collection c,
                             struct arena *a) {
    t->name = store_collection_name(c);
    t->rules = store_rules_of(a, c, &t->rules_len);
    t->columns_len = 0;
    for (size_t i = 0; i < t->rules_len; i++) {
        const struct store_rule *r = &t->rules[i];

        for (size_t n = 0; n < r->len; n++) {
            add_column(t, r->field[n]);
            if (r->unique && !r->null_counts[n])
                t->unique_column[store_sqlite_table_column(t, r->field[n])] = true;
        }
        for (size_t n = 0; r->absent[n]; n++)
            add_column(t, r->absent[n]);
        if (r->live)
            add_column(t, "archivedAt");
    }
    t->insert_sql = insert_sql(t, t->name, a);
    t->get_sql = arena_printf(a, "SELECT doc FROM \"%s\" WHERE id=?", t->name);
    t->row_sql = arena_printf(a, "SELECT rid,doc FROM \"%s\" WHERE id=?", t->name);
    t->delete_sql = arena_printf(a, "DELETE FROM \"%s\" WHERE id=?", t->name);
}

int store_sqlite_table_column(const struct store_sqlite_table *t, const char *path) {
    for (size_t i = 0; i < t->columns_len; i++)
        if (strcmp(t->column[i], path) == 0)
            return (int)i;
    return -1;
}

const char *store_sqlite_table_expr(const struct store_sqlite_table *t, struct arena *a,
                                    const char *path) {
    if (strcmp(path, "id") == 0)
        return "id";
    return store_sqlite_table_column(t, path) < 0 ? NULL
                                                  : arena_printf(a, "\"f:%s\"", path);
}

/* ---- DDL ---- */

static void add_index(struct buf *b, const struct store_sqlite_table *t,
                      const struct store_rule *r, struct arena *a) {
    const char *glue = "WHERE";
    bool has_id = r->unique;

    buf_addf(b, "CREATE %sINDEX \"%s:%s:%s\" ON \"%s\"(", r->unique ? "UNIQUE " : "",
             t->name, r->unique ? "unique" : "index", r->name, t->name);
    for (size_t i = 0; i < r->len; i++) {
        buf_addf(b, "%s%s", i ? "," : "", store_sqlite_table_expr(t, a, r->field[i]));
        has_id |= strcmp(r->field[i], "id") == 0;
    }
    buf_adds(b, has_id ? ")" : ",id)");
    for (size_t i = 0; r->unique && i < r->len; i++)
        if (!r->null_counts[i]) {
            buf_addf(b, " %s %s<>" SQL_NULL, glue,
                     store_sqlite_table_expr(t, a, r->field[i]));
            glue = "AND";
        }
    if (r->live) {
        buf_addf(b, " %s \"f:archivedAt\"=" SQL_NULL, glue);
        glue = "AND";
    }
    for (size_t i = 0; r->absent[i]; i++) {
        buf_addf(b, " %s \"f:%s\"=" SQL_NULL, glue, r->absent[i]);
        glue = "AND";
    }
    buf_adds(b, ";");
}

static const char *table_ddl(const struct store_sqlite_table *t, const char *name,
                             struct arena *a) {
    struct buf b = BUF_INIT;

    /* No column but doc has a type: a type would convert what it's compared with. */
    buf_addf(&b, "CREATE TABLE \"%s\"(rid INTEGER PRIMARY KEY,id NOT NULL", name);
    for (size_t i = 0; i < t->columns_len; i++)
        buf_addf(&b, ",\"f:%s\" NOT NULL", t->column[i]);
    buf_adds(&b, ",doc TEXT NOT NULL);");
    return text_of(&b, a);
}

static const char *indexes_ddl(const struct store_sqlite_table *t, struct arena *a) {
    struct buf b = BUF_INIT;

    buf_addf(&b, "CREATE UNIQUE INDEX \"%s:id\" ON \"%s\"(id);", t->name, t->name);
    for (size_t i = 0; i < t->rules_len; i++)
        add_index(&b, t, &t->rules[i], a);
    return text_of(&b, a);
}

/* Copies every document of the table into "<name>:new", with today's columns. */
static int copy_rows(struct store_sqlite_conn *c, const struct store_sqlite_table *t,
                     struct arena *a, struct status *st) {
    struct arena *row = arena_new(0);
    sqlite3_stmt *from = NULL, *to = NULL;
    const char *select = arena_printf(a, "SELECT doc FROM \"%s\" ORDER BY rid", t->name),
               *insert = insert_sql(t, arena_printf(a, "%s:new", t->name), a);
    int rc = sqlite3_prepare_v2(c->db, select, -1, &from, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(c->db, insert, -1, &to, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(from)) == SQLITE_ROW) {
        struct bytes text = store_sqlite_column_bytes(from, 0);
        const struct value *doc;
        int at = 1;

        arena_reset(row);
        if (store_decode(row, text.data, text.len, &doc, st) < 0) {
            rc = SQLITE_ABORT;
            break;
        }
        store_sqlite_bind_text(to, at++, value_bytes(value_get(doc, "id")));
        for (size_t i = 0; i < t->columns_len; i++) {
            struct store_key k = store_key_of(row, store_path_get(doc, t->column[i]));

            store_sqlite_bind_key(to, at++, &k);
        }
        store_sqlite_bind_text(to, at, text);
        rc = sqlite3_step(to);
        rc = rc == SQLITE_DONE ? sqlite3_reset(to) : rc;
    }
    if (rc != SQLITE_DONE && rc != SQLITE_ABORT)
        store_sqlite_conn_fail(c, rc, st);
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    arena_free(&row);
    return rc == SQLITE_DONE ? 0 : -1;
}

static int rebuild_table(struct store_sqlite_conn *c, const struct store_sqlite_table *t,
                         struct arena *a, struct status *st) {
    const char *fresh = arena_printf(a, "%s:new", t->name);

    if (store_sqlite_conn_exec(c, table_ddl(t, fresh, a), st) < 0 ||
        copy_rows(c, t, a, st) < 0 ||
        store_sqlite_conn_exec(c,
                               arena_printf(a,
                                            "DROP TABLE \"%s\";"
                                            "ALTER TABLE \"%s\" RENAME TO \"%s\"",
                                            t->name, fresh, t->name),
                               st) < 0 ||
        store_sqlite_conn_exec(c, indexes_ddl(t, a), st) < 0)
        return st_context(st, "Rebuilding the table of %s for its new rules", t->name);
    return 0;
}

static int note_ddl(struct store_sqlite_conn *c, const struct store_sqlite_table *t,
                    const char *ddl, struct status *st) {
    sqlite3_stmt *stmt;
    int rc;

    if (store_sqlite_conn_prepare(
            c, "INSERT OR REPLACE INTO _schema(name,ddl)VALUES(?,?)", &stmt, st) < 0)
        return -1;
    store_sqlite_bind_text(stmt, 1, (struct bytes){t->name, strlen(t->name)});
    store_sqlite_bind_text(stmt, 2, (struct bytes){ddl, strlen(ddl)});
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
        store_sqlite_conn_fail(c, rc, st);
    store_sqlite_conn_done(stmt);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* 0 the same, 1 another, 2 there is no table yet. */
static int compare_ddl(struct store_sqlite_conn *c, const struct store_sqlite_table *t,
                       const char *ddl, struct status *st) {
    sqlite3_stmt *stmt;
    int rc, out = 2;

    if (store_sqlite_conn_prepare(c, "SELECT ddl=? FROM _schema WHERE name=?", &stmt,
                                  st) < 0)
        return -1;
    store_sqlite_bind_text(stmt, 1, (struct bytes){ddl, strlen(ddl)});
    store_sqlite_bind_text(stmt, 2, (struct bytes){t->name, strlen(t->name)});
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        out = sqlite3_column_int(stmt, 0) ? 0 : 1;
    else if (rc != SQLITE_DONE)
        out = store_sqlite_conn_fail(c, rc, st);
    store_sqlite_conn_done(stmt);
    return out;
}

static int migrate_table(struct store_sqlite_conn *c, const struct store_sqlite_table *t,
                         struct arena *a, struct status *st) {
    const char *create = table_ddl(t, t->name, a), *indexes = indexes_ddl(t, a);
    const char *ddl = arena_printf(a, "%s%s", create, indexes);
    int change = compare_ddl(c, t, ddl, st);

    if (change <= 0)
        return change;
    if (change == 1 ? rebuild_table(c, t, a, st) < 0
                    : store_sqlite_conn_exec(c, create, st) < 0 ||
                          store_sqlite_conn_exec(c, indexes, st) < 0)
        return -1;
    return note_ddl(c, t, ddl, st);
}

/* ---- Migrations ---- */

/* Step i brings form i to form i + 1. */
static const char *const steps[FORMAT] = {
    "CREATE TABLE _schema(name TEXT PRIMARY KEY,ddl TEXT NOT NULL)WITHOUT ROWID;"
    "CREATE TABLE _counters(name TEXT PRIMARY KEY,value INTEGER NOT NULL)WITHOUT ROWID;",
};

/* For people and for backups: which binary last changed the form of this file. */
static int note_migration(struct store_sqlite_conn *c, struct arena *a,
                          struct status *st) {
    const char *doc = arena_printf(a,
                                   "json_object('id','schema','format',%d,'version','%s',"
                                   "'migratedAt',strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ'))",
                                   FORMAT, MEMBRANE_VERSION);

    return store_sqlite_conn_exec(
        c,
        arena_printf(a,
                     "DELETE FROM meta WHERE id='schema';"
                     "INSERT INTO meta(id,doc)VALUES('schema',%s);"
                     "PRAGMA application_id=%d;"
                     "PRAGMA user_version=%d",
                     doc, APPLICATION_ID, FORMAT),
        st);
}

static int check_format(struct store_sqlite_conn *c, int64_t *ret_format,
                        struct status *st) {
    int64_t application, objects;

    if (store_sqlite_conn_number(c, "PRAGMA user_version", ret_format, st) < 0 ||
        store_sqlite_conn_number(c, "PRAGMA application_id", &application, st) < 0 ||
        store_sqlite_conn_number(c, "SELECT count(*) FROM sqlite_schema", &objects, st) <
            0)
        return -1;
    if (application != APPLICATION_ID && objects > 0)
        return st_fail(st, ST_CONFIGURATION, "conflict",
                       "The file %s is a database of another program.", c->path);
    if (*ret_format > FORMAT)
        return st_fail(st, ST_CONFIGURATION, "conflict",
                       "The database %s was written by a newer version (form %d, this "
                       "version knows %d). Run that version, or restore a backup.",
                       c->path, (int)*ret_format, FORMAT);
    return 0;
}

static int migrate(struct sqlite_store *s, struct store_sqlite_conn *c, struct arena *a,
                   struct status *st) {
    int64_t format, changes = sqlite3_total_changes(c->db);

    if (check_format(c, &format, st) < 0)
        return -1;
    for (int64_t i = format; i < FORMAT; i++)
        if (store_sqlite_conn_exec(c, steps[i], st) < 0)
            return -1;
    for (int i = 0; i < COLLECTION_COUNT; i++)
        if (migrate_table(c, &s->table[i], a, st) < 0)
            return -1;
    if (sqlite3_total_changes(c->db) != changes)
        return note_migration(c, a, st);
    return 0;
}

int store_sqlite_schema_migrate(struct sqlite_store *s, struct store_sqlite_conn *c,
                                struct status *st) {
    struct arena *a = arena_new(0);
    int rc = store_sqlite_conn_exec(c, "BEGIN IMMEDIATE", st);

    if (rc == 0 &&
        (migrate(s, c, a, st) < 0 || store_sqlite_conn_exec(c, "COMMIT", st) < 0)) {
        rc = -1;
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    }
    arena_free(&a);
    return rc;
}
