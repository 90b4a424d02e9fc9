/*
 * store_sqlite.c - documents in one SQLite file: WAL, one writer, several readers.
 *
 * Reads take a connection out of a small pool, the one used last first, so that its cache
 * is warm. A connection per thread was the rejected alternative: a process may park
 * thousands of threads on slow apps, and a connection costs files and hundreds of kB.
 * Writes are jobs of the writer thread (store_sqlite_writer.c); whatever can be computed
 * before, like a document's text and columns, the caller's thread computes.
 */
#include "store_sqlite_priv.h"

#include <assert.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

enum { CHUNK = 256 }; /* documents of one job of update_many and delete_many */

static struct sqlite_store *sqlite_of(struct store *s) {
    return (struct sqlite_store *)s;
}

/* ---- Readers ---- */

static int reader_take(struct sqlite_store *s, struct store_sqlite_conn **ret,
                       struct status *st) {
    struct store_sqlite_conn *c;

    if (s->settled_path) {
        *ret = s->writer.conn; /* one thread for all until the file is settled */
        return 0;
    }
    pthread_mutex_lock(&s->mu);
    s->waiting++;
    while (!s->idle && s->readers == s->readers_max)
        pthread_cond_wait(&s->returned, &s->mu);
    s->waiting--;
    if ((c = s->idle))
        s->idle = c->next;
    else
        s->readers++;
    pthread_mutex_unlock(&s->mu);
    if (!c && store_sqlite_conn_open(s->path, SQLITE_CONN_READER, &c, st) < 0) {
        pthread_mutex_lock(&s->mu);
        s->readers--;
        pthread_cond_signal(&s->returned);
        pthread_mutex_unlock(&s->mu);
        return -1;
    }
    *ret = c;
    return 0;
}

static void reader_give(struct sqlite_store *s, struct store_sqlite_conn *c) {
    arena_reset(c->scratch);
    if (s->settled_path)
        return;
    pthread_mutex_lock(&s->mu);
    c->next = s->idle;
    s->idle = c;
    if (s->waiting)
        pthread_cond_signal(&s->returned);
    pthread_mutex_unlock(&s->mu);
}

/* 0 a row, 1 no more, -1. */
static int next_row(struct store_sqlite_conn *c, sqlite3_stmt *stmt, struct status *st) {
    int rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW)
        return 0;
    return rc == SQLITE_DONE ? 1 : store_sqlite_conn_fail(c, rc, st);
}

static int decode_column(struct arena *a, sqlite3_stmt *stmt, int at,
                         const struct value **ret_doc, struct status *st) {
    struct bytes text = store_sqlite_column_bytes(stmt, at);

    return store_decode(a, text.data, text.len, ret_doc, st);
}

static int sqlite_get(struct store *base, struct arena *a, enum collection c,
                      const char *id, const struct value **ret_doc, struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct store_sqlite_conn *r;
    sqlite3_stmt *stmt;
    int rc;

    if (reader_take(s, &r, st) < 0)
        return -1;
    rc = store_sqlite_conn_prepare(r, s->table[c].get_sql, &stmt, st);
    if (rc == 0) {
        store_sqlite_bind_text(stmt, 1, (struct bytes){id, strlen(id)});
        rc = next_row(r, stmt, st);
        if (rc == 0)
            rc = decode_column(a, stmt, 0, ret_doc, st);
        store_sqlite_conn_done(stmt);
    }
    reader_give(s, r);
    return rc;
}

static int sqlite_get_document(struct store *base, enum collection c, const char *id,
                               struct document **ret_doc, struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *root;
    int rc = sqlite_get(base, a, c, id, &root, st);

    if (rc == 0)
        *ret_doc = document_new(&a, root);
    arena_free(&a);
    return rc;
}

static int list_rows(struct sqlite_store *s, struct store_sqlite_conn *r, struct arena *a,
                     enum collection c, const struct store_query *q,
                     struct array_builder *items, struct status *st) {
    struct store_sqlite_query sql;
    sqlite3_stmt *stmt;
    const struct value *doc;
    int rc;

    if (store_sqlite_query_select(r->scratch, &s->table[c], "doc", q, &sql, st) < 0 ||
        store_sqlite_query_start(r, &sql, &stmt, st) < 0)
        return -1;
    while ((rc = next_row(r, stmt, st)) == 0) {
        if ((rc = decode_column(a, stmt, 0, &doc, st)) < 0)
            break;
        array_push(items, doc);
    }
    store_sqlite_conn_done(stmt);
    return rc < 0 ? -1 : 0;
}

static int sqlite_list(struct store *base, struct arena *a, enum collection c,
                       const struct store_query *q, struct store_page *ret_page,
                       struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct array_builder items;
    struct store_sqlite_conn *r;
    int rc;

    if (reader_take(s, &r, st) < 0)
        return -1;
    array_begin(&items, a, q->limit < 16 ? q->limit : 16);
    rc = list_rows(s, r, a, c, q, &items, st);
    reader_give(s, r);
    if (rc < 0)
        return -1;
    ret_page->items = array_end(&items);
    ret_page->cursor =
        ret_page->items->len == q->limit
            ? store_cursor_make(a, q, value_at(ret_page->items, q->limit - 1))
            : NULL;
    return 0;
}

static int sqlite_find(struct store *base, struct arena *a, enum collection c,
                       const struct store_query *q, const struct value **ret_doc,
                       struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct array_builder items;
    struct store_sqlite_conn *r;
    int rc;

    if (reader_take(s, &r, st) < 0)
        return -1;
    array_begin(&items, a, 1);
    rc = list_rows(s, r, a, c, q, &items, st);
    reader_give(s, r);
    if (rc < 0)
        return -1;
    if (items.len == 0)
        return 1;
    *ret_doc = array_end(&items)->items;
    return 0;
}

static int sqlite_count(struct store *base, enum collection c,
                        const struct store_filter *where, uint64_t *ret_count,
                        struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct store_sqlite_query sql;
    struct store_sqlite_conn *r;
    sqlite3_stmt *stmt;
    int rc;

    if (reader_take(s, &r, st) < 0)
        return -1;
    store_sqlite_query_where(
        r->scratch, &s->table[c],
        arena_printf(r->scratch, "SELECT count(*) FROM \"%s\"", s->table[c].name), where,
        "", &sql);
    rc = store_sqlite_query_start(r, &sql, &stmt, st);
    if (rc == 0) {
        rc = next_row(r, stmt, st);
        if (rc == 0)
            *ret_count = (uint64_t)sqlite3_column_int64(stmt, 0);
        store_sqlite_conn_done(stmt);
    }
    reader_give(s, r);
    return rc;
}

static int sqlite_ping(struct store *base, struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct store_sqlite_conn *r;
    int64_t one;
    int rc;

    if (reader_take(s, &r, st) < 0)
        return -1;
    rc = store_sqlite_conn_number(r, "SELECT 1 FROM _schema LIMIT 1", &one, st);
    reader_give(s, r);
    return rc;
}

/* ---- Rows to be written ---- */

/* A document with what the table keeps of it. */
struct row {
    const char *id;
    struct bytes text;
    struct store_key key[SQLITE_TABLE_COLUMNS];
};

static void row_keys(const struct store_sqlite_table *t, struct arena *a,
                     const struct value *doc, struct store_key *keys) {
    for (size_t i = 0; i < t->columns_len; i++)
        keys[i] = store_key_of(a, store_path_get(doc, t->column[i]));
}

static int row_make(const struct store_sqlite_table *t, struct arena *a,
                    const struct value *doc, struct row *ret, struct status *st) {
    struct buf text = BUF_INIT;

    if (store_encode(&text, doc, st) < 0) {
        buf_fini(&text);
        return -1;
    }
    ret->text = buf_to_arena(&text, a);
    buf_fini(&text);
    ret->id = value_text(value_get(doc, "id"));
    row_keys(t, a, doc, ret->key);
    return 0;
}

static const struct store_key *row_key(const struct store_sqlite_table *t,
                                       const struct row *r, const char *path) {
    int at = store_sqlite_table_column(t, path);

    assert(at >= 0);
    return &r->key[at];
}

static bool rule_applies(const struct store_sqlite_table *t,
                         const struct store_rule *rule, const struct row *r) {
    if (!rule->unique || (rule->live && row_key(t, r, "archivedAt")->rank != RANK_NULL))
        return false;
    for (size_t i = 0; rule->absent[i]; i++)
        if (row_key(t, r, rule->absent[i])->rank != RANK_NULL)
            return false;
    for (size_t i = 0; i < rule->len; i++)
        if (!rule->null_counts[i] && row_key(t, r, rule->field[i])->rank == RANK_NULL)
            return false;
    return true;
}

/* Is there another row with this one's values under the rule? */
static int rule_taken(struct store_sqlite_conn *w, const struct store_sqlite_table *t,
                      const struct store_rule *rule, const struct row *r, bool *ret,
                      struct status *st) {
    struct arena *a = w->scratch;
    struct buf sql = BUF_INIT;
    sqlite3_stmt *stmt;
    int rc, at = 1;

    buf_addf(&sql, "SELECT 1 FROM \"%s\" WHERE id<>?", t->name);
    for (size_t i = 0; i < rule->len; i++)
        buf_addf(&sql, " AND %s=?", store_sqlite_table_expr(t, a, rule->field[i]));
    if (rule->live)
        buf_adds(&sql, " AND \"f:archivedAt\"=" SQL_NULL);
    for (size_t i = 0; rule->absent[i]; i++)
        buf_addf(&sql, " AND \"f:%s\"=" SQL_NULL, rule->absent[i]);
    rc = store_sqlite_conn_prepare(w, sql.data, &stmt, st);
    buf_fini(&sql);
    if (rc < 0)
        return -1;
    store_sqlite_bind_text(stmt, at++, (struct bytes){r->id, strlen(r->id)});
    for (size_t i = 0; i < rule->len; i++)
        store_sqlite_bind_key(stmt, at++, row_key(t, r, rule->field[i]));
    rc = next_row(w, stmt, st);
    *ret = rc == 0;
    store_sqlite_conn_done(stmt);
    return rc < 0 ? -1 : 0;
}

/* SQLite says that some unique index is violated: which? Returns -1. */
static int fail_unique(struct store_sqlite_conn *w, const struct store_sqlite_table *t,
                       enum collection c, const struct row *r, struct status *st) {
    for (size_t i = 0; i < t->rules_len; i++) {
        bool taken = false;

        if (!rule_applies(t, &t->rules[i], r))
            continue;
        if (rule_taken(w, t, &t->rules[i], r, &taken, st) < 0)
            return -1;
        if (taken)
            return store_fail_exists(st, c, t->rules[i].name);
    }
    return store_fail_exists(st, c, "id");
}

static bool is_unique_violation(int rc) {
    return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY;
}

static int insert_row(struct store_sqlite_conn *w, const struct store_sqlite_table *t,
                      enum collection c, const struct row *r, struct status *st) {
    sqlite3_stmt *stmt;
    int rc, at = 1;

    if (store_sqlite_conn_prepare(w, t->insert_sql, &stmt, st) < 0)
        return -1;
    store_sqlite_bind_text(stmt, at++, (struct bytes){r->id, strlen(r->id)});
    for (size_t i = 0; i < t->columns_len; i++)
        store_sqlite_bind_key(stmt, at++, &r->key[i]);
    store_sqlite_bind_text(stmt, at, r->text);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE && !is_unique_violation(rc))
        store_sqlite_conn_fail(w, rc, st);
    store_sqlite_conn_done(stmt);
    if (is_unique_violation(rc))
        return fail_unique(w, t, c, r, st);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* A document as it is in the table. */
struct stored {
    int64_t rid;
    struct bytes text;
    const struct value *doc;
};

static int read_stored(struct arena *a, sqlite3_stmt *stmt, struct stored *ret,
                       struct status *st) {
    struct bytes text = store_sqlite_column_bytes(stmt, 1);

    ret->rid = sqlite3_column_int64(stmt, 0);
    ret->text = (struct bytes){arena_memdup(a, text.data, text.len), text.len};
    return store_decode(a, ret->text.data, text.len, &ret->doc, st);
}

/* 0 found, 1 absent. */
static int load_row(struct store_sqlite_conn *w, const struct store_sqlite_table *t,
                    const char *id, struct stored *ret, struct status *st) {
    sqlite3_stmt *stmt;
    int rc;

    if (store_sqlite_conn_prepare(w, t->row_sql, &stmt, st) < 0)
        return -1;
    store_sqlite_bind_text(stmt, 1, (struct bytes){id, strlen(id)});
    rc = next_row(w, stmt, st);
    if (rc == 0)
        rc = read_stored(w->scratch, stmt, ret, st);
    store_sqlite_conn_done(stmt);
    return rc;
}

/* "UPDATE ... SET" with the columns that differ: others' indexes stay untouched. */
static int prepare_update(struct store_sqlite_conn *w, const struct store_sqlite_table *t,
                          const bool *differs, sqlite3_stmt **ret, struct status *st) {
    struct buf sql = BUF_INIT;
    int rc;

    buf_addf(&sql, "UPDATE \"%s\" SET doc=?", t->name);
    for (size_t i = 0; i < t->columns_len; i++)
        if (differs[i])
            buf_addf(&sql, ",\"f:%s\"=?", t->column[i]);
    buf_adds(&sql, " WHERE rid=?");
    rc = store_sqlite_conn_prepare(w, sql.data, ret, st);
    buf_fini(&sql);
    return rc;
}

static int update_row(struct store_sqlite_conn *w, const struct store_sqlite_table *t,
                      enum collection c, const struct stored *old, const struct row *r,
                      struct status *st) {
    struct store_key before[SQLITE_TABLE_COLUMNS];
    bool differs[SQLITE_TABLE_COLUMNS];
    sqlite3_stmt *stmt;
    int rc, at = 1;

    if (old->text.len == r->text.len &&
        memcmp(old->text.data, r->text.data, r->text.len) == 0)
        return 0;
    row_keys(t, w->scratch, old->doc, before);
    for (size_t i = 0; i < t->columns_len; i++)
        differs[i] = store_key_compare(&before[i], &r->key[i]) != 0;
    if (prepare_update(w, t, differs, &stmt, st) < 0)
        return -1;
    store_sqlite_bind_text(stmt, at++, r->text);
    for (size_t i = 0; i < t->columns_len; i++)
        if (differs[i])
            store_sqlite_bind_key(stmt, at++, &r->key[i]);
    sqlite3_bind_int64(stmt, at, old->rid);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE && !is_unique_violation(rc))
        store_sqlite_conn_fail(w, rc, st);
    store_sqlite_conn_done(stmt);
    if (is_unique_violation(rc))
        return fail_unique(w, t, c, r, st);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* ---- Jobs ---- */

/* One job for all kinds of write; each uses what it needs. */
struct write {
    struct store_sqlite_job job;
    const struct store_sqlite_table *table;
    enum collection collection;
    const char *id;
    const struct row *rows;
    size_t rows_len;
    const struct store_filter *expect;
    const struct store_filter *const *expects; /* one per row; or NULL: expect */
    const struct store_change *change;
    const struct store_sqlite_query *query;
    int64_t after_rid;
    uint64_t count;
    bool full;           /* a chunk was full: there may be more */
    struct buf *changed; /* gets the new text; or NULL */
    int64_t delta, value;
};

static struct write *write_of(struct store_sqlite_job *job) {
    return (struct write *)job;
}

static int run_write(struct sqlite_store *s, struct write *wr,
                     int (*run)(struct store_sqlite_conn *, struct store_sqlite_job *,
                                struct status *),
                     struct status *st) {
    wr->job.run = run;
    return store_sqlite_writer_do(&s->writer, &wr->job, st);
}

static int job_insert(struct store_sqlite_conn *w, struct store_sqlite_job *job,
                      struct status *st) {
    struct write *wr = write_of(job);

    for (size_t i = 0; i < wr->rows_len; i++)
        if (insert_row(w, wr->table, wr->collection, &wr->rows[i], st) < 0)
            return -1;
    return 0;
}

static int sqlite_insert(struct store *base, enum collection c, const struct value *docs,
                         size_t n, struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct arena *a = arena_new(0);
    struct row *rows = arena_alloc(a, n * sizeof(*rows));
    struct write wr = {
        .table = &s->table[c], .collection = c, .rows = rows, .rows_len = n};
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = row_make(&s->table[c], a, &docs[i], &rows[i], st);
    if (rc == 0)
        rc = run_write(s, &wr, job_insert, st);
    arena_free(&a);
    return rc;
}

static int job_replace(struct store_sqlite_conn *w, struct store_sqlite_job *job,
                       struct status *st) {
    struct write *wr = write_of(job);
    int rc = 0;

    for (size_t i = 0; i < wr->rows_len && rc == 0; i++) {
        const struct store_filter *expect = wr->expects ? wr->expects[i] : wr->expect;
        struct stored old;
        rc = load_row(w, wr->table, wr->rows[i].id, &old, st);
        if (rc == 0)
            rc = store_match(expect, old.doc, w->scratch)
                     ? update_row(w, wr->table, wr->collection, &old, &wr->rows[i], st)
                     : 1;
    }
    return rc;
}

static int sqlite_replace(struct store *base, enum collection c, const struct value *doc,
                          const struct store_filter *expect, struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct arena *a = arena_new(0);
    struct row row;
    struct write wr = {.table = &s->table[c],
                       .collection = c,
                       .rows = &row,
                       .rows_len = 1,
                       .expect = expect};
    int rc = row_make(&s->table[c], a, doc, &row, st);

    if (rc == 0)
        rc = run_write(s, &wr, job_replace, st);
    arena_free(&a);
    return rc;
}

static int sqlite_replace_many(struct store *base, enum collection c,
                               const struct value *docs,
                               const struct store_filter *const *expects, size_t n,
                               struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct arena *a = arena_new(0);
    struct row *rows = arena_alloc(a, n * sizeof(*rows));
    struct write wr = {.table = &s->table[c],
                       .collection = c,
                       .rows = rows,
                       .rows_len = n,
                       .expects = expects};
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = row_make(&s->table[c], a, &docs[i], &rows[i], st);
    if (rc == 0)
        rc = run_write(s, &wr, job_replace, st);
    arena_free(&a);
    return rc;
}

/* Changes a stored document; its new text goes to wr->changed. */
static int change_row(struct store_sqlite_conn *w, struct write *wr,
                      const struct stored *old, struct status *st) {
    const struct value *doc;
    struct row row;

    if (store_change_apply(w->scratch, old->doc, wr->change, &doc, st) < 0 ||
        row_make(wr->table, w->scratch, doc, &row, st) < 0 ||
        update_row(w, wr->table, wr->collection, old, &row, st) < 0)
        return -1;
    if (wr->changed)
        buf_add(wr->changed, row.text.data, row.text.len);
    return 0;
}

static int job_update(struct store_sqlite_conn *w, struct store_sqlite_job *job,
                      struct status *st) {
    struct write *wr = write_of(job);
    struct stored old;
    int rc = load_row(w, wr->table, wr->id, &old, st);

    if (rc)
        return rc;
    if (!store_match(wr->expect, old.doc, w->scratch))
        return 1;
    return change_row(w, wr, &old, st);
}

/* Runs a job that gives one changed document. */
static int write_changed(struct sqlite_store *s, struct write *wr, struct arena *a,
                         int (*run)(struct store_sqlite_conn *, struct store_sqlite_job *,
                                    struct status *),
                         const struct value **ret_doc, struct status *st) {
    struct buf text = BUF_INIT;
    int rc;

    wr->changed = ret_doc ? &text : NULL;
    rc = run_write(s, wr, run, st);
    if (rc == 0 && ret_doc)
        rc = store_decode(a, text.data, text.len, ret_doc, st);
    buf_fini(&text);
    return rc;
}

static int sqlite_update(struct store *base, struct arena *a, enum collection c,
                         const char *id, const struct store_filter *expect,
                         const struct store_change *change, const struct value **ret_doc,
                         struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct write wr = {.table = &s->table[c],
                       .collection = c,
                       .id = id,
                       .expect = expect,
                       .change = change};

    return write_changed(s, &wr, a, job_update, ret_doc, st);
}

static int job_claim(struct store_sqlite_conn *w, struct store_sqlite_job *job,
                     struct status *st) {
    struct write *wr = write_of(job);
    struct stored old;
    sqlite3_stmt *stmt;
    int rc;

    if (store_sqlite_query_start(w, wr->query, &stmt, st) < 0)
        return -1;
    rc = next_row(w, stmt, st);
    if (rc == 0)
        rc = read_stored(w->scratch, stmt, &old, st);
    store_sqlite_conn_done(stmt);
    return rc ? rc : change_row(w, wr, &old, st);
}

static int sqlite_claim(struct store *base, struct arena *a, enum collection c,
                        const struct store_query *q, const struct store_change *change,
                        const struct value **ret_doc, struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct arena *scratch = arena_new(0);
    struct store_sqlite_query sql;
    struct write wr = {
        .table = &s->table[c], .collection = c, .change = change, .query = &sql};
    int rc = store_sqlite_query_select(scratch, &s->table[c], "rid,doc", q, &sql, st);

    if (rc == 0)
        rc = write_changed(s, &wr, a, job_claim, ret_doc, st);
    arena_free(&scratch);
    return rc;
}

/* Changes up to CHUNK matching documents behind after_rid. */
static int job_update_many(struct store_sqlite_conn *w, struct store_sqlite_job *job,
                           struct status *st) {
    struct write *wr = write_of(job);
    struct stored *found = arena_alloc(w->scratch, CHUNK * sizeof(*found));
    sqlite3_stmt *stmt;
    size_t n = 0;
    int rc;

    if (store_sqlite_query_start(w, wr->query, &stmt, st) < 0)
        return -1;
    sqlite3_bind_int64(stmt, (int)wr->query->binds_len + 1, wr->after_rid);
    while ((rc = next_row(w, stmt, st)) == 0) {
        if ((rc = read_stored(w->scratch, stmt, &found[n], st)) < 0)
            break;
        n++;
    }
    store_sqlite_conn_done(stmt);
    if (rc < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (change_row(w, wr, &found[i], st) < 0)
            return -1;
    if ((wr->full = n == CHUNK))
        wr->after_rid = found[n - 1].rid;
    wr->count += n;
    return 0;
}

static int sqlite_update_many(struct store *base, enum collection c,
                              const struct store_filter *where,
                              const struct store_change *change, uint64_t *ret_count,
                              struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct arena *a = arena_new(0);
    struct store_sqlite_query sql;
    struct write wr = {.table = &s->table[c],
                       .collection = c,
                       .change = change,
                       .query = &sql,
                       .after_rid = INT64_MIN};
    int rc;

    store_sqlite_query_where(
        a, &s->table[c], arena_printf(a, "SELECT rid,doc FROM \"%s\"", s->table[c].name),
        where, arena_printf(a, " AND rid>? ORDER BY rid LIMIT %d", CHUNK), &sql);
    do
        rc = run_write(s, &wr, job_update_many, st);
    while (rc == 0 && wr.full);
    arena_free(&a);
    if (rc == 0)
        *ret_count = wr.count;
    return rc;
}

static int job_delete(struct store_sqlite_conn *w, struct store_sqlite_job *job,
                      struct status *st) {
    struct write *wr = write_of(job);
    sqlite3_stmt *stmt;
    struct stored old;
    int rc;

    if (wr->expect) {
        if ((rc = load_row(w, wr->table, wr->id, &old, st)))
            return rc;
        if (!store_match(wr->expect, old.doc, w->scratch))
            return 1;
    }
    if (store_sqlite_conn_prepare(w, wr->table->delete_sql, &stmt, st) < 0)
        return -1;
    store_sqlite_bind_text(stmt, 1, (struct bytes){wr->id, strlen(wr->id)});
    rc = next_row(w, stmt, st);
    store_sqlite_conn_done(stmt);
    if (rc < 0)
        return -1;
    return sqlite3_changes(w->db) ? 0 : 1;
}

static int sqlite_remove(struct store *base, enum collection c, const char *id,
                         const struct store_filter *expect, struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct write wr = {
        .table = &s->table[c], .collection = c, .id = id, .expect = expect};

    return run_write(s, &wr, job_delete, st);
}

static int job_delete_many(struct store_sqlite_conn *w, struct store_sqlite_job *job,
                           struct status *st) {
    struct write *wr = write_of(job);
    sqlite3_stmt *stmt;
    int rc;

    if (store_sqlite_query_start(w, wr->query, &stmt, st) < 0)
        return -1;
    rc = next_row(w, stmt, st);
    store_sqlite_conn_done(stmt);
    if (rc < 0)
        return -1;
    wr->full = sqlite3_changes(w->db) == CHUNK;
    wr->count += (uint64_t)sqlite3_changes(w->db);
    return 0;
}

static int sqlite_remove_many(struct store *base, enum collection c,
                              const struct store_filter *where, uint64_t *ret_count,
                              struct status *st) {
    struct sqlite_store *s = sqlite_of(base);
    struct arena *a = arena_new(0);
    struct store_sqlite_query sql;
    struct write wr = {.table = &s->table[c], .collection = c, .query = &sql};
    const char *name = s->table[c].name;
    int rc;

    store_sqlite_query_where(
        a, &s->table[c],
        arena_printf(a,
                     "DELETE FROM \"%s\" WHERE rid IN(SELECT rid FROM "
                     "\"%s\"",
                     name, name),
        where, arena_printf(a, " LIMIT %d)", CHUNK), &sql);
    do
        rc = run_write(s, &wr, job_delete_many, st);
    while (rc == 0 && wr.full);
    arena_free(&a);
    if (rc == 0)
        *ret_count = wr.count;
    return rc;
}

static int job_counter(struct store_sqlite_conn *w, struct store_sqlite_job *job,
                       struct status *st) {
    struct write *wr = write_of(job);
    struct bytes name = {wr->id, strlen(wr->id)};
    sqlite3_stmt *stmt;
    int rc;

    if (store_sqlite_conn_prepare(w, "SELECT value FROM _counters WHERE name=?", &stmt,
                                  st) < 0)
        return -1;
    store_sqlite_bind_text(stmt, 1, name);
    rc = next_row(w, stmt, st);
    wr->value = rc == 0 ? sqlite3_column_int64(stmt, 0) : 0;
    store_sqlite_conn_done(stmt);
    if (rc < 0)
        return -1;
    if (__builtin_add_overflow(wr->value, wr->delta, &wr->value))
        return st_fail(st, ST_BAD_REQUEST, NULL, "Counter \"%s\" is out of range.",
                       wr->id);
    if (store_sqlite_conn_prepare(
            w, "INSERT OR REPLACE INTO _counters(name,value)VALUES(?,?)", &stmt, st) < 0)
        return -1;
    store_sqlite_bind_text(stmt, 1, name);
    sqlite3_bind_int64(stmt, 2, wr->value);
    rc = next_row(w, stmt, st);
    store_sqlite_conn_done(stmt);
    return rc < 0 ? -1 : 0;
}

static int sqlite_counter_add(struct store *base, const char *name, int64_t delta,
                              int64_t *ret_value, struct status *st) {
    struct write wr = {.id = name, .delta = delta};

    if (run_write(sqlite_of(base), &wr, job_counter, st) < 0)
        return -1;
    *ret_value = wr.value;
    return 0;
}

/* ---- Opening ---- */

static void store_free(struct sqlite_store *s) {
    struct store_sqlite_conn *c;

    while ((c = s->idle)) {
        s->idle = c->next;
        store_sqlite_conn_close(&c);
    }
    store_sqlite_file_close(s);
    pthread_cond_destroy(&s->returned);
    pthread_mutex_destroy(&s->mu);
    arena_free(&s->arena);
    free(s);
}

static void sqlite_close(struct store *base) {
    struct sqlite_store *s = sqlite_of(base);

    store_sqlite_writer_close(&s->writer);
    store_free(s);
}

static int sqlite_settle(struct store *base, struct status *st) {
    struct sqlite_store *s = sqlite_of(base);

    if (s->settled_path && store_sqlite_file_settle(s, &s->writer.conn, st) < 0)
        return -1;
    store_sqlite_writer_start(&s->writer);
    return 0;
}

static const struct store_ops sqlite_ops = {
    .name = "sqlite",
    .insert = sqlite_insert,
    .get = sqlite_get,
    .get_document = sqlite_get_document,
    .find = sqlite_find,
    .list = sqlite_list,
    .count = sqlite_count,
    .replace = sqlite_replace,
    .replace_many = sqlite_replace_many,
    .update = sqlite_update,
    .update_many = sqlite_update_many,
    .claim = sqlite_claim,
    .remove = sqlite_remove,
    .remove_many = sqlite_remove_many,
    .counter_add = sqlite_counter_add,
    .ping = sqlite_ping,
    .settle = sqlite_settle,
    .close = sqlite_close,
};

static struct sqlite_store *store_alloc(const char *path) {
    struct sqlite_store *s = calloc(1, sizeof(*s));
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct stat info;

    if (!s)
        abort();
    s->base.ops = &sqlite_ops;
    s->lock = -1;
    s->arena = arena_new(0);
    mkdir(dirname(arena_strdup(s->arena, path)), 0700);
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        s->path = arena_printf(s->arena, "%s/membrane.db", path);
    else
        s->path = arena_strdup(s->arena, path);
    s->readers_max = cpus < 2 ? 4 : cpus > 16 ? 32 : (size_t)cpus * 2;
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->returned, NULL);
    for (int c = 0; c < COLLECTION_COUNT; c++)
        store_sqlite_table_init(&s->table[c], (enum collection)c, s->arena);
    return s;
}

int store_open_sqlite_unsettled(const char *path, struct store **ret_store,
                                struct status *st) {
    struct sqlite_store *s = store_alloc(path);
    struct store_sqlite_conn *w;

    if (store_sqlite_file_open(s, &w, st) < 0) {
        store_free(s);
        return -1;
    }
    store_sqlite_writer_open(&s->writer, w);
    *ret_store = &s->base;
    return 0;
}

int store_open_sqlite(const char *path, struct store **ret_store, struct status *st) {
    struct store *s;

    if (store_open_sqlite_unsettled(path, &s, st) < 0)
        return -1;
    if (store_settle(s, st) < 0) {
        store_close(&s);
        return -1;
    }
    *ret_store = s;
    return 0;
}
