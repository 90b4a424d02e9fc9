/*
 * store_sqlite_query.c - conditions, order and cursors as SQL.
 *
 * What concerns columns becomes SQL that indexes serve; whatever else a condition asks is
 * asked of the parsed document (m_match), with the very code of the in-memory double.
 */
#include "store_sqlite_priv.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

enum { MAX_TERMS = 400 }; /* of one group or list; SQLite bounds depth and parameters */

struct text {
    struct arena *arena;
    const struct store_sqlite_table *table;
    struct buf sql;
    struct store_sqlite_bind *binds;
    size_t len, cap;
};

static struct store_sqlite_bind *add_bind(struct text *t) {
    if (t->len == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 8;

        t->binds = arena_grow(t->arena, t->binds, t->cap * sizeof(*t->binds),
                              cap * sizeof(*t->binds));
        t->cap = cap;
    }
    buf_addc(&t->sql, '?');
    t->binds[t->len] = (struct store_sqlite_bind){{RANK_NULL, 0, {NULL, 0}}, NULL};
    return &t->binds[t->len++];
}

static void add_key(struct text *t, const struct store_key *k) {
    if (k->rank == RANK_NULL)
        buf_adds(&t->sql, SQL_NULL); /* so that partial indexes are seen to apply */
    else
        add_bind(t)->key = *k;
}

static void add_text(struct text *t, const char *s) {
    add_bind(t)->key = (struct store_key){RANK_TEXT, 0, {s, strlen(s)}};
}

/* ---- Conditions ---- */

static bool is_sql(const struct store_sqlite_table *t, const struct store_filter *f) {
    switch (f->op) {
    case STORE_ALL:
        return true;
    case STORE_HAS_ITEM:
        return false;
    case STORE_AND:
    case STORE_OR:
        for (size_t i = 0; i < f->of_len; i++)
            if (!is_sql(t, f->of[i]))
                return false;
        return f->of_len <= MAX_TERMS;
    case STORE_IN:
        if (value_items_count(f->value) > MAX_TERMS)
            return false;
        break;
    default:
        break;
    }
    return strcmp(f->field, "id") == 0 || store_sqlite_table_column(t, f->field) >= 0;
}

static void add_in(struct text *t, const struct store_filter *f) {
    size_t n = value_items_count(f->value), slots = 1;

    if (n == 0) {
        buf_adds(&t->sql, "0");
        return;
    }
    while (slots < n)
        slots *= 2; /* few different texts, so that statements are found again */
    buf_addf(&t->sql, "%s IN(", store_sqlite_table_expr(t->table, t->arena, f->field));
    for (size_t i = 0; i < slots; i++) {
        struct store_key k = store_key_of(t->arena, value_at(f->value, i < n ? i : 0));

        if (i)
            buf_addc(&t->sql, ',');
        add_bind(t)->key = k;
    }
    buf_addc(&t->sql, ')');
}

static void add_contains(struct text *t, const struct store_filter *f) {
    if (!value_is_string(f->value)) {
        buf_adds(&t->sql, "0");
        return;
    }
    buf_addf(&t->sql, "m_contains(%s,",
             store_sqlite_table_expr(t->table, t->arena, f->field));
    add_bind(t)->key = store_key_of(t->arena, f->value);
    buf_addc(&t->sql, ')');
}

static void add_filter(struct text *t, const struct store_filter *f);

/*
 * What equals a value isn't null. SQLite doesn't conclude that, and a unique index covers
 * only rows in which its fields are present: said so, it serves look-ups, too.
 */
static void add_presence(struct text *t, const char *path) {
    int at = store_sqlite_table_column(t->table, path);

    if (at >= 0 && t->table->unique_column[at])
        buf_addf(&t->sql, " AND %s<>" SQL_NULL,
                 store_sqlite_table_expr(t->table, t->arena, path));
}

static void add_group(struct text *t, const struct store_filter *f) {
    if (f->of_len == 0)
        buf_adds(&t->sql, f->op == STORE_AND ? "1" : "0");
    for (size_t i = 0; i < f->of_len; i++) {
        buf_adds(&t->sql, i == 0 ? "(" : f->op == STORE_AND ? " AND " : " OR ");
        add_filter(t, f->of[i]);
    }
    if (f->of_len)
        buf_addc(&t->sql, ')');
}

static void add_filter(struct text *t, const struct store_filter *f) {
    static const char *const signs[] = {
        [STORE_EQ] = "=", [STORE_NE] = "<>", [STORE_LT] = "<",     [STORE_LE] = "<=",
        [STORE_GT] = ">", [STORE_GE] = ">=", [STORE_EXISTS] = ">", [STORE_ABSENT] = "=",
    };
    struct store_key k = {RANK_NULL, 0, {NULL, 0}};

    switch (f->op) {
    case STORE_ALL:
        buf_adds(&t->sql, "1");
        return;
    case STORE_IN:
        add_in(t, f);
        return;
    case STORE_CONTAINS:
        add_contains(t, f);
        return;
    case STORE_AND:
    case STORE_OR:
        add_group(t, f);
        return;
    case STORE_EXISTS:
    case STORE_ABSENT:
        break;
    default:
        k = store_key_of(t->arena, f->value);
        break;
    }
    buf_addf(&t->sql, "%s%s", store_sqlite_table_expr(t->table, t->arena, f->field),
             signs[f->op]);
    add_key(t, &k);
    if (f->op == STORE_EQ && k.rank != RANK_NULL)
        add_presence(t, f->field);
}

/* Splits what must all hold into SQL and questions to the document. */
static void add_where(struct text *t, const struct store_filter *f) {
    if (f->op == STORE_AND && !is_sql(t->table, f)) {
        for (size_t i = 0; i < f->of_len; i++)
            add_where(t, f->of[i]);
        return;
    }
    buf_adds(&t->sql, " AND ");
    if (is_sql(t->table, f)) {
        add_filter(t, f);
    } else {
        buf_adds(&t->sql, "m_match(doc,");
        add_bind(t)->filter = f;
        buf_addc(&t->sql, ')');
    }
}

/* ---- Order and cursor ---- */

static void add_sort_expr(struct text *t, const char *path) {
    const char *expr = store_sqlite_table_expr(t->table, t->arena, path);

    if (expr) {
        buf_adds(&t->sql, expr);
        return;
    }
    buf_adds(&t->sql, "m_key(doc,");
    add_text(t, path);
    buf_addc(&t->sql, ')');
}

static bool one_direction(const struct store_query *q, size_t sorts) {
    for (size_t i = 1; i < sorts; i++)
        if (q->sort[i].descending != q->sort[0].descending)
            return false;
    return true;
}

/* (a,b,id)>(?,?,?): an index serves it. */
static void add_after_row(struct text *t, const struct store_query *q, size_t sorts,
                          const struct store_position *pos) {
    buf_adds(&t->sql, " AND (");
    for (size_t i = 0; i < sorts; i++) {
        add_sort_expr(t, q->sort[i].field);
        buf_addc(&t->sql, ',');
    }
    buf_adds(&t->sql, store_sort_id_descending(q) ? "id)<(" : "id)>(");
    for (size_t i = 0; i < sorts; i++) {
        add_bind(t)->key = pos->key[i];
        buf_addc(&t->sql, ',');
    }
    add_text(t, pos->id);
    buf_addc(&t->sql, ')');
}

/* a>? OR (a=? AND (b<? OR (b=? AND id<?))) */
static void add_after_mixed(struct text *t, const struct store_query *q, size_t sorts,
                            const struct store_position *pos) {
    buf_adds(&t->sql, " AND (");
    for (size_t i = 0; i < sorts; i++) {
        add_sort_expr(t, q->sort[i].field);
        buf_adds(&t->sql, q->sort[i].descending ? "<" : ">");
        add_bind(t)->key = pos->key[i];
        buf_adds(&t->sql, " OR (");
        add_sort_expr(t, q->sort[i].field);
        buf_addc(&t->sql, '=');
        add_bind(t)->key = pos->key[i];
        buf_adds(&t->sql, " AND (");
    }
    buf_adds(&t->sql, store_sort_id_descending(q) ? "id<" : "id>");
    add_text(t, pos->id);
    for (size_t i = 0; i < sorts; i++)
        buf_adds(&t->sql, "))");
    buf_addc(&t->sql, ')');
}

static void add_order(struct text *t, const struct store_query *q, size_t sorts) {
    buf_adds(&t->sql, " ORDER BY ");
    for (size_t i = 0; i < sorts; i++) {
        add_sort_expr(t, q->sort[i].field);
        buf_adds(&t->sql, q->sort[i].descending ? " DESC," : ",");
    }
    buf_adds(&t->sql, store_sort_id_descending(q) ? "id DESC LIMIT " : "id LIMIT ");
    add_bind(t)->key = (struct store_key){RANK_NUMBER, (double)q->limit, {NULL, 0}};
}

static void finish(struct text *t, struct store_sqlite_query *ret) {
    ret->sql = buf_to_arena(&t->sql, t->arena).data;
    ret->binds = t->binds;
    ret->binds_len = t->len;
    buf_fini(&t->sql);
}

int store_sqlite_query_select(struct arena *a, const struct store_sqlite_table *t,
                              const char *what, const struct store_query *q,
                              struct store_sqlite_query *ret, struct status *st) {
    struct text text = {a, t, BUF_INIT, NULL, 0, 0};
    size_t sorts = store_sort_count(q);
    struct store_position pos;
    int from = store_cursor_parse(a, q, &pos, st);

    if (from < 0)
        return -1;
    buf_addf(&text.sql, "SELECT %s FROM \"%s\" WHERE 1", what, t->name);
    if (q->where)
        add_where(&text, q->where);
    if (from == 0 && one_direction(q, sorts))
        add_after_row(&text, q, sorts, &pos);
    else if (from == 0)
        add_after_mixed(&text, q, sorts, &pos);
    add_order(&text, q, sorts);
    finish(&text, ret);
    return 0;
}

void store_sqlite_query_where(struct arena *a, const struct store_sqlite_table *t,
                              const char *head, const struct store_filter *where,
                              const char *tail, struct store_sqlite_query *ret) {
    struct text text = {a, t, BUF_INIT, NULL, 0, 0};

    buf_addf(&text.sql, "%s WHERE 1", head);
    if (where)
        add_where(&text, where);
    buf_adds(&text.sql, tail);
    finish(&text, ret);
}

int store_sqlite_query_start(struct store_sqlite_conn *c,
                             const struct store_sqlite_query *q, sqlite3_stmt **ret_stmt,
                             struct status *st) {
    if (store_sqlite_conn_prepare(c, q->sql, ret_stmt, st) < 0)
        return -1;
    for (size_t i = 0; i < q->binds_len; i++) {
        const struct store_sqlite_bind *b = &q->binds[i];

        if (b->filter)
            sqlite3_bind_pointer(*ret_stmt, (int)i + 1, (void *)b->filter, "store_filter",
                                 NULL);
        else
            store_sqlite_bind_key(*ret_stmt, (int)i + 1, &b->key);
    }
    return 0;
}

/* ---- SQL functions ---- */

static const struct value *parse_argument(struct arena *a, sqlite3_context *ctx,
                                          sqlite3_value *arg) {
    const struct value *doc;
    struct status st;

    arena_reset(a);
    st_init(&st, a);
    if (store_decode(a, (const char *)sqlite3_value_text(arg),
                     (size_t)sqlite3_value_bytes(arg), &doc, &st) < 0) {
        sqlite3_result_error(ctx, st.message, -1);
        return NULL;
    }
    return doc;
}

/* m_match(doc, filter): does the condition hold? */
static void fn_match(sqlite3_context *ctx, int n, sqlite3_value **args) {
    struct store_sqlite_conn *c = sqlite3_user_data(ctx);
    const struct store_filter *f = sqlite3_value_pointer(args[1], "store_filter");
    const struct value *doc = parse_argument(c->match_scratch, ctx, args[0]);

    (void)n;
    if (doc)
        sqlite3_result_int(ctx, store_match(f, doc, c->match_scratch));
}

/* m_key(doc, path): the value a column for the path would hold. */
static void fn_key(sqlite3_context *ctx, int n, sqlite3_value **args) {
    struct store_sqlite_conn *c = sqlite3_user_data(ctx);
    const struct value *doc = parse_argument(c->match_scratch, ctx, args[0]);
    const char *path = (const char *)sqlite3_value_text(args[1]);
    struct store_key k;

    (void)n;
    if (!doc)
        return;
    k = store_key_of(c->match_scratch, store_path_get(doc, path));
    if (k.rank == RANK_TEXT)
        sqlite3_result_text(ctx, k.text.data, (int)k.text.len, SQLITE_TRANSIENT);
    else if (k.rank == RANK_CONTAINER)
        sqlite3_result_blob(ctx, k.text.data, (int)k.text.len, SQLITE_TRANSIENT);
    else
        sqlite3_result_double(ctx, store_sqlite_key_number(&k));
}

/* m_contains(column, text) */
static void fn_contains(sqlite3_context *ctx, int n, sqlite3_value **args) {
    struct bytes text, part;

    (void)n;
    if (sqlite3_value_type(args[0]) != SQLITE_TEXT) {
        sqlite3_result_int(ctx, 0);
        return;
    }
    text.data = (const char *)sqlite3_value_text(args[0]);
    text.len = (size_t)sqlite3_value_bytes(args[0]);
    part.data = (const char *)sqlite3_value_text(args[1]);
    part.len = (size_t)sqlite3_value_bytes(args[1]);
    sqlite3_result_int(ctx, store_text_contains(text, part));
}

int store_sqlite_query_functions(struct store_sqlite_conn *c) {
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, rc;

    rc = sqlite3_create_function(c->db, "m_match", 2, flags, c, fn_match, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function(c->db, "m_key", 2, flags, c, fn_key, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function(c->db, "m_contains", 2, flags, c, fn_contains, NULL,
                                     NULL);
    return rc;
}
