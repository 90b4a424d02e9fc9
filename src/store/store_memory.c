/*
 * store_memory.c - the in-memory double: the shortest code that keeps every promise.
 *
 * Documents go through their text, so that what comes back is what a database would give
 * back (dates as text, no undefined). Reads scan: the double is for tests, and as the
 * reference that the contract suite compares databases with, it must be obviously right.
 */
#include "store_priv.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "store_map.h"
#include "value/value.h"

struct row {
    struct document *doc;
    size_t at; /* in rows */
};

struct table {
    struct row **rows;
    size_t len, cap;
    struct store_map by_id;
    const struct store_rule *rules;
    size_t rules_len;
    struct store_map *taken; /* per rule: key -> row; empty for plain indexes */
};

struct memory {
    struct store base;
    struct arena *arena;
    pthread_mutex_t mu;
    struct table tables[COLLECTION_COUNT]; /* guarded by: mu */
    struct store_map counters;             /* guarded by: mu; values: int64_t * */
};

static struct memory *memory_of(struct store *s) {
    return (struct memory *)s;
}

static const struct value *row_doc(const struct row *r) {
    return document_root(r->doc);
}

static struct bytes id_of(const struct value *doc) {
    return value_bytes(value_get(doc, "id"));
}

static struct row *row_by_id(struct table *t, const char *id) {
    return store_map_get(&t->by_id, (struct bytes){id, strlen(id)});
}

/* ---- Uniqueness ---- */

static bool absent(const struct value *doc, const char *path) {
    return value_is_nullish(store_path_get(doc, path));
}

static void add_key(struct buf *b, const struct store_key *k) {
    buf_addc(b, (char)k->rank);
    if (k->rank <= RANK_NUMBER)
        buf_add(b, &k->number, sizeof(k->number));
    else {
        buf_add(b, &k->text.len, sizeof(k->text.len));
        buf_add(b, k->text.data, k->text.len);
    }
}

/* The document's key under a unique rule, into *b; false when the rule isn't about it. */
static bool unique_key(const struct store_rule *r, const struct value *doc,
                       struct arena *scratch, struct buf *b) {
    buf_clear(b);
    if (r->live && !absent(doc, "archivedAt"))
        return false;
    for (size_t i = 0; r->absent[i]; i++)
        if (!absent(doc, r->absent[i]))
            return false;
    for (size_t i = 0; i < r->len; i++) {
        struct store_key k = store_key_of(scratch, store_path_get(doc, r->field[i]));

        if (k.rank == RANK_NULL && !r->null_counts[i])
            return false;
        add_key(b, &k);
    }
    return true;
}

static struct bytes bytes_of(const struct buf *b) {
    return (struct bytes){b->data, b->len};
}

/* May `doc` stand in the table, in place of `self` (or NULL)? */
static int check_unique(struct table *t, enum collection c, const struct value *doc,
                        const struct row *self, struct status *st) {
    struct arena *scratch = arena_new(0);
    struct buf key = BUF_INIT;
    int rc = 0;

    for (size_t i = 0; i < t->rules_len && rc == 0; i++) {
        const struct row *other;

        if (!t->rules[i].unique || !unique_key(&t->rules[i], doc, scratch, &key))
            continue;
        other = store_map_get(&t->taken[i], bytes_of(&key));
        if (other && other != self)
            rc = store_fail_exists(st, c, t->rules[i].name);
    }
    buf_fini(&key);
    arena_free(&scratch);
    return rc;
}

static void mark_unique(struct table *t, const struct value *doc, struct row *r) {
    struct arena *scratch = arena_new(0);
    struct buf key = BUF_INIT;

    for (size_t i = 0; i < t->rules_len; i++) {
        if (!t->rules[i].unique || !unique_key(&t->rules[i], doc, scratch, &key))
            continue;
        if (r)
            store_map_set(&t->taken[i], bytes_of(&key), r);
        else
            store_map_remove(&t->taken[i], bytes_of(&key));
    }
    buf_fini(&key);
    arena_free(&scratch);
}

/* ---- Rows ---- */

/* Gives the document as it is after a way through its text. */
static int normalize(const struct value *doc, struct document **ret, struct status *st) {
    struct arena *a = arena_new(0);
    struct buf text = BUF_INIT;
    const struct value *root;
    int rc = store_encode(&text, doc, st);

    if (rc == 0)
        rc = store_decode(a, text.data, text.len, &root, st);
    if (rc == 0)
        *ret = document_new(&a, root);
    buf_fini(&text);
    arena_free(&a);
    return rc;
}

static int row_insert(struct table *t, enum collection c, const struct value *value,
                      struct status *st) {
    struct document *doc;
    struct row *r;

    if (normalize(value, &doc, st) < 0)
        return -1;
    if (store_map_get(&t->by_id, id_of(value))) {
        document_unref(&doc);
        return store_fail_exists(st, c, "id");
    }
    if (check_unique(t, c, document_root(doc), NULL, st) < 0) {
        document_unref(&doc);
        return -1;
    }
    if (t->len == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        if (!(t->rows = realloc(t->rows, t->cap * sizeof(struct row *))))
            abort();
    }
    if (!(r = malloc(sizeof(*r))))
        abort();
    *r = (struct row){doc, t->len};
    t->rows[t->len++] = r;
    store_map_set(&t->by_id, id_of(value), r);
    mark_unique(t, document_root(doc), r);
    return 0;
}

static int row_replace(struct table *t, enum collection c, struct row *r,
                       const struct value *value, struct status *st) {
    struct document *doc;

    if (normalize(value, &doc, st) < 0)
        return -1;
    if (check_unique(t, c, document_root(doc), r, st) < 0) {
        document_unref(&doc);
        return -1;
    }
    mark_unique(t, row_doc(r), NULL);
    document_unref(&r->doc);
    r->doc = doc;
    mark_unique(t, row_doc(r), r);
    return 0;
}

static void row_remove(struct table *t, struct row *r) {
    mark_unique(t, row_doc(r), NULL);
    store_map_remove(&t->by_id, id_of(row_doc(r)));
    t->rows[r->at] = t->rows[--t->len];
    t->rows[r->at]->at = r->at;
    document_unref(&r->doc);
    free(r);
}

/* ---- Finding ---- */

struct found {
    struct row *row;
    struct store_position at;
};

static int by_position(const void *x, const void *y, void *ctx) {
    const struct found *fx = x, *fy = y;

    return store_position_compare(ctx, &fx->at, &fy->at);
}

/* Everything that matches and stands behind the cursor, sorted; lends from `scratch`. */
static int find_rows(struct table *t, struct arena *scratch, const struct store_query *q,
                     struct found **ret, size_t *ret_len, struct status *st) {
    struct found *out = arena_alloc(scratch, (t->len + 1) * sizeof(*out));
    size_t sorts = store_sort_count(q);
    struct store_position after;
    int from = store_cursor_parse(scratch, q, &after, st);
    size_t n = 0;

    if (from < 0)
        return -1;
    for (size_t i = 0; i < t->len; i++) {
        const struct value *doc = row_doc(t->rows[i]);

        if (!store_match(q->where, doc, scratch))
            continue;
        out[n].row = t->rows[i];
        out[n].at.id = value_text(value_get(doc, "id"));
        for (size_t k = 0; k < sorts; k++)
            out[n].at.key[k] =
                store_key_of(scratch, store_path_get(doc, q->sort[k].field));
        if (from == 0 && store_position_compare(q, &out[n].at, &after) <= 0)
            continue;
        n++;
    }
    qsort_r(out, n, sizeof(*out), by_position, (void *)q);
    *ret = out;
    *ret_len = n;
    return 0;
}

/* ---- Operations ---- */

static struct table *enter(struct store *s, enum collection c) {
    pthread_mutex_lock(&memory_of(s)->mu);
    return &memory_of(s)->tables[c];
}

static void leave(struct store *s) {
    pthread_mutex_unlock(&memory_of(s)->mu);
}

static int memory_insert(struct store *s, enum collection c, const struct value *docs,
                         size_t n, struct status *st) {
    struct table *t = enter(s, c);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = row_insert(t, c, &docs[i], st);
    leave(s);
    return rc;
}

static int memory_get_document(struct store *s, enum collection c, const char *id,
                               struct document **ret_doc, struct status *st) {
    struct row *r = row_by_id(enter(s, c), id);

    (void)st;
    if (r)
        *ret_doc = document_ref(r->doc);
    leave(s);
    return r ? 0 : 1;
}

static int memory_get(struct store *s, struct arena *a, enum collection c, const char *id,
                      const struct value **ret_doc, struct status *st) {
    struct document *doc;

    if (memory_get_document(s, c, id, &doc, st))
        return 1;
    *ret_doc = document_hold(doc, a);
    document_unref(&doc);
    return 0;
}

static int memory_list(struct store *s, struct arena *a, enum collection c,
                       const struct store_query *q, struct store_page *ret_page,
                       struct status *st) {
    struct table *t = enter(s, c);
    struct arena *scratch = arena_new(0);
    struct array_builder items;
    struct found *rows;
    size_t n;
    int rc = find_rows(t, scratch, q, &rows, &n, st);

    if (rc == 0) {
        if (n > q->limit)
            n = q->limit;
        array_begin(&items, a, n);
        for (size_t i = 0; i < n; i++)
            array_push(&items, document_hold(rows[i].row->doc, a));
        ret_page->items = array_end(&items);
        ret_page->cursor = n == q->limit
                               ? store_cursor_make(a, q, &ret_page->items->items[n - 1])
                               : NULL;
    }
    leave(s);
    arena_free(&scratch);
    return rc;
}

static int memory_find(struct store *s, struct arena *a, enum collection c,
                       const struct store_query *q, const struct value **ret_doc,
                       struct status *st) {
    struct store_page page;

    if (memory_list(s, a, c, q, &page, st) < 0)
        return -1;
    if (page.items->len == 0)
        return 1;
    *ret_doc = &page.items->items[0];
    return 0;
}

static int memory_count(struct store *s, enum collection c,
                        const struct store_filter *where, uint64_t *ret_count,
                        struct status *st) {
    struct table *t = enter(s, c);
    struct arena *scratch = arena_new(0);
    uint64_t n = 0;

    (void)st;
    for (size_t i = 0; i < t->len; i++)
        n += store_match(where, row_doc(t->rows[i]), scratch);
    leave(s);
    arena_free(&scratch);
    *ret_count = n;
    return 0;
}

static int memory_replace(struct store *s, enum collection c, const struct value *doc,
                          const struct store_filter *expect, struct status *st) {
    struct table *t = enter(s, c);
    struct arena *scratch = arena_new(0);
    struct row *r = store_map_get(&t->by_id, id_of(doc));
    int rc = 1;

    if (r && store_match(expect, row_doc(r), scratch))
        rc = row_replace(t, c, r, doc, st);
    leave(s);
    arena_free(&scratch);
    return rc;
}

/* Changes a row; ret_doc (may be NULL) is held by `a`. */
static int row_change(struct table *t, struct arena *a, enum collection c, struct row *r,
                      const struct store_change *change, const struct value **ret_doc,
                      struct status *st) {
    struct arena *scratch = arena_new(0);
    const struct value *changed;
    int rc = store_change_apply(scratch, row_doc(r), change, &changed, st);

    if (rc == 0)
        rc = row_replace(t, c, r, changed, st);
    if (rc == 0 && ret_doc)
        *ret_doc = document_hold(r->doc, a);
    arena_free(&scratch);
    return rc;
}

static int memory_update(struct store *s, struct arena *a, enum collection c,
                         const char *id, const struct store_filter *expect,
                         const struct store_change *change, const struct value **ret_doc,
                         struct status *st) {
    struct table *t = enter(s, c);
    struct arena *scratch = arena_new(0);
    struct row *r = row_by_id(t, id);
    int rc = 1;

    if (r && store_match(expect, row_doc(r), scratch))
        rc = row_change(t, a, c, r, change, ret_doc, st);
    leave(s);
    arena_free(&scratch);
    return rc;
}

static int memory_update_many(struct store *s, enum collection c,
                              const struct store_filter *where,
                              const struct store_change *change, uint64_t *ret_count,
                              struct status *st) {
    struct table *t = enter(s, c);
    struct arena *scratch = arena_new(0);
    uint64_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < t->len && rc == 0; i++) {
        if (!store_match(where, row_doc(t->rows[i]), scratch))
            continue;
        rc = row_change(t, NULL, c, t->rows[i], change, NULL, st);
        n += rc == 0;
    }
    leave(s);
    arena_free(&scratch);
    if (rc == 0)
        *ret_count = n;
    return rc;
}

static int memory_claim(struct store *s, struct arena *a, enum collection c,
                        const struct store_query *q, const struct store_change *change,
                        const struct value **ret_doc, struct status *st) {
    struct table *t = enter(s, c);
    struct arena *scratch = arena_new(0);
    struct found *rows;
    size_t n;
    int rc = find_rows(t, scratch, q, &rows, &n, st);

    if (rc == 0)
        rc = n ? row_change(t, a, c, rows[0].row, change, ret_doc, st) : 1;
    leave(s);
    arena_free(&scratch);
    return rc;
}

static int memory_remove(struct store *s, enum collection c, const char *id,
                         const struct store_filter *expect, struct status *st) {
    struct table *t = enter(s, c);
    struct arena *scratch = arena_new(0);
    struct row *r = row_by_id(t, id);
    int rc = 1;

    (void)st;
    if (r && store_match(expect, row_doc(r), scratch)) {
        row_remove(t, r);
        rc = 0;
    }
    leave(s);
    arena_free(&scratch);
    return rc;
}

static int memory_remove_many(struct store *s, enum collection c,
                              const struct store_filter *where, uint64_t *ret_count,
                              struct status *st) {
    struct table *t = enter(s, c);
    struct arena *scratch = arena_new(0);
    uint64_t n = 0;

    (void)st;
    for (size_t i = t->len; i-- > 0;)
        if (store_match(where, row_doc(t->rows[i]), scratch)) {
            row_remove(t, t->rows[i]);
            n++;
        }
    leave(s);
    arena_free(&scratch);
    *ret_count = n;
    return 0;
}

static int memory_counter_add(struct store *s, const char *name, int64_t delta,
                              int64_t *ret_value, struct status *st) {
    struct memory *m = memory_of(s);
    struct bytes key = {name, strlen(name)};
    int64_t *value, sum;
    int rc = 0;

    pthread_mutex_lock(&m->mu);
    if (!(value = store_map_get(&m->counters, key))) {
        value = arena_zalloc(m->arena, sizeof(*value));
        store_map_set(&m->counters, key, value);
    }
    if (__builtin_add_overflow(*value, delta, &sum))
        rc = st_fail(st, ST_BAD_REQUEST, NULL, "Counter \"%s\" is out of range.", name);
    else
        *ret_value = *value = sum;
    pthread_mutex_unlock(&m->mu);
    return rc;
}

static int memory_ping(struct store *s, struct status *st) {
    (void)s;
    (void)st;
    return 0;
}

static void memory_close(struct store *s) {
    struct memory *m = memory_of(s);

    for (int c = 0; c < COLLECTION_COUNT; c++) {
        struct table *t = &m->tables[c];

        for (size_t i = 0; i < t->len; i++) {
            document_unref(&t->rows[i]->doc);
            free(t->rows[i]);
        }
        free(t->rows);
        store_map_fini(&t->by_id);
        for (size_t i = 0; i < t->rules_len; i++)
            store_map_fini(&t->taken[i]);
    }
    store_map_fini(&m->counters);
    pthread_mutex_destroy(&m->mu);
    arena_free(&m->arena);
    free(m);
}

static const struct store_ops memory_ops = {
    .name = "memory",
    .insert = memory_insert,
    .get = memory_get,
    .get_document = memory_get_document,
    .find = memory_find,
    .list = memory_list,
    .count = memory_count,
    .replace = memory_replace,
    .update = memory_update,
    .update_many = memory_update_many,
    .claim = memory_claim,
    .remove = memory_remove,
    .remove_many = memory_remove_many,
    .counter_add = memory_counter_add,
    .ping = memory_ping,
    .close = memory_close,
};

struct store *store_open_memory(void) {
    struct memory *m = calloc(1, sizeof(*m));

    if (!m)
        abort();
    m->base.ops = &memory_ops;
    m->arena = arena_new(0);
    pthread_mutex_init(&m->mu, NULL);
    for (int c = 0; c < COLLECTION_COUNT; c++) {
        struct table *t = &m->tables[c];

        t->rules = store_rules_of(m->arena, (enum collection)c, &t->rules_len);
        t->taken = arena_zalloc(m->arena, (t->rules_len + 1) * sizeof(struct store_map));
    }
    return &m->base;
}
