/*
 * store_mongo.c - the operations of the MongoDB backend.
 *
 * Reads stream what the server selected and ask the rest of a condition of each document.
 * Writes are made as store_mongo_priv.h says: read, change here, write if the version is
 * still the one that was read. A write whose condition the server can tell in full is one
 * round trip.
 *
 * When an answer is lost the call is made once more. Each write carries its own version,
 * so the second attempt can see whether the first one arrived.
 */
#include "store_mongo_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "store_map.h"
#include "value/value.h"

enum {
    ATTEMPTS = 2,
    CONFLICTS_MAX = 300, /* of one change with others' */
    CONFLICTS_EAGER = 3, /* without a pause */
    CLAIM_CANDIDATES = 8,
    CHUNK = 200,        /* documents of one step of update/delete_many */
    INSERT_CHUNK = 500, /* and of insert_many, */
    INSERT_CHUNK_BYTES = 16 * 1024 * 1024, /* or as soon as they are this large */
};

#define COUNTERS "_counters"

static struct mongo_store *mongo_of(struct store *s) {
    return (struct mongo_store *)s;
}

static int begin(struct store_mongo_call *call, struct store *s, enum collection c,
                 struct status *st) {
    return store_mongo_begin(call, mongo_of(s), store_collection_name(c), st);
}

static const struct store_mongo_table *table_of(const struct store_mongo_call *call,
                                                enum collection c) {
    return &call->s->table[c];
}

/* ---- Reading ---- */

struct found {
    const struct value *doc;
    bson_oid_t v;
};

struct reading {
    struct store_mongo_call *call;
    const struct store_mongo_table *table;
    struct arena *a; /* of the result */
    const struct store_query *q;
    struct store_mongo_query sql;
    struct found *found;
    size_t len;
};

/* Where a document stands in the query's order. */
static struct store_position position_of(struct arena *a, const struct store_query *q,
                                         const struct value *doc) {
    struct store_position at;

    at.id = value_text(value_get(doc, "id"));
    for (size_t i = 0; i < store_sort_count(q); i++)
        at.key[i] = store_key_of(a, store_path_get(doc, q->sort[i].field));
    return at;
}

/* The server's order is the query's: take what matches until the page is full. */
static int read_in_order(struct reading *r, const bson_t *stored, struct arena *scratch,
                         struct status *st) {
    struct found *to = &r->found[r->len];
    const struct value *doc;

    if (r->sql.rest) {
        if (store_mongo_decode(scratch, stored, &doc, NULL, st) < 0)
            return -1;
        if (!store_match(r->sql.rest, doc, scratch))
            return 0;
    }
    if (store_mongo_decode(r->a, stored, &to->doc, &to->v, st) < 0)
        return -1;
    r->len++;
    return 0;
}

/* The order is only known here: keep the best so far, each in an arena of its own. */
struct kept {
    struct document *doc;
    struct store_position at;
    bson_oid_t v;
};

static int keep(struct reading *r, struct kept *kept, const bson_t *stored,
                struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *doc;
    struct kept one;
    size_t i = r->len;

    if (store_mongo_decode(a, stored, &doc, &one.v, st) < 0) {
        arena_free(&a);
        return -1;
    }
    one.at = position_of(a, r->q, doc);
    if ((r->sql.rest && !store_match(r->sql.rest, doc, a)) ||
        (!r->sql.from_start &&
         store_position_compare(r->q, &one.at, &r->sql.after) <= 0) ||
        (r->len == r->q->limit &&
         store_position_compare(r->q, &one.at, &kept[r->len - 1].at) >= 0)) {
        arena_free(&a);
        return 0;
    }
    if (r->len == r->q->limit)
        document_unref(&kept[--i].doc);
    else
        r->len++;
    while (i > 0 && store_position_compare(r->q, &one.at, &kept[i - 1].at) < 0) {
        kept[i] = kept[i - 1];
        i--;
    }
    one.doc = document_new(&a, doc);
    kept[i] = one;
    return 0;
}

static int stream(struct reading *r, struct kept *kept, struct arena *scratch,
                  struct status *st) {
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(
        r->call->collection, r->sql.filter, r->sql.opts, NULL);
    const bson_t *stored;
    int rc = 0;

    r->len = 0;
    while (rc == 0 && (!r->sql.sorted || r->len < r->q->limit) &&
           mongoc_cursor_next(cursor, &stored)) {
        arena_reset(scratch);
        rc = kept ? keep(r, kept, stored, st) : read_in_order(r, stored, scratch, st);
    }
    r->call->lost = false;
    if (rc == 0 && mongoc_cursor_error(cursor, &r->call->error))
        rc = store_mongo_fail(r->call, NULL, st);
    mongoc_cursor_destroy(cursor);
    return rc;
}

static int read_once(struct reading *r, struct status *st) {
    struct arena *scratch = arena_new(0);
    struct kept *kept = NULL;
    int rc;

    if (!r->sql.sorted && !(kept = calloc(r->q->limit + 1, sizeof(*kept))))
        abort();
    rc = stream(r, kept, scratch, st);
    for (size_t i = 0; kept && i < r->len; i++) {
        r->found[i] = (struct found){document_hold(kept[i].doc, r->a), kept[i].v};
        document_unref(&kept[i].doc);
    }
    free(kept);
    arena_free(&scratch);
    return rc;
}

/* Up to q->limit documents that match, in order; gives memory of `a`. */
static int collect(struct store_mongo_call *call, const struct store_mongo_table *t,
                   struct arena *a, const struct store_query *q, struct found **ret_found,
                   size_t *ret_len, struct status *st) {
    struct reading r = {.call = call, .table = t, .a = a, .q = q};
    int rc = store_mongo_query(t, a, q, &r.sql, st);

    if (rc < 0)
        return -1;
    r.found = arena_alloc(a, (q->limit + 1) * sizeof(*r.found));
    for (int i = 0; i < ATTEMPTS; i++) {
        rc = read_once(&r, st);
        if (rc == 0 || !call->lost || i + 1 == ATTEMPTS)
            break;
        st_clear(st);
    }
    *ret_found = r.found;
    *ret_len = r.len;
    return rc;
}

/* One document by its id: 0, 1 absent. ret_v may be NULL. */
static int load(struct store_mongo_call *call, struct arena *a, const char *id,
                const struct value **ret_doc, bson_oid_t *ret_v, struct status *st) {
    struct bytes text = store_mongo_text(a, (struct bytes){id, strlen(id)});
    mongoc_cursor_t *cursor;
    const bson_t *stored;
    bson_t filter = BSON_INITIALIZER, *opts = BCON_NEW("limit", BCON_INT64(1));
    int rc = 1;

    bson_append_utf8(&filter, "_id", 3, text.data, (int)text.len);
    for (int i = 0; i < ATTEMPTS; i++) {
        rc = 1;
        call->lost = false;
        cursor = mongoc_collection_find_with_opts(call->collection, &filter, opts, NULL);
        if (mongoc_cursor_next(cursor, &stored))
            rc = store_mongo_decode(a, stored, ret_doc, ret_v, st);
        else if (mongoc_cursor_error(cursor, &call->error))
            rc = store_mongo_fail(call, NULL, st);
        mongoc_cursor_destroy(cursor);
        if (rc >= 0 || !call->lost || i + 1 == ATTEMPTS)
            break;
        st_clear(st);
    }
    bson_destroy(&filter);
    bson_destroy(opts);
    return rc;
}

static int mongo_get(struct store *s, struct arena *a, enum collection c, const char *id,
                     const struct value **ret_doc, struct status *st) {
    struct store_mongo_call call;
    int rc;

    if (begin(&call, s, c, st) < 0)
        return -1;
    rc = load(&call, a, id, ret_doc, NULL, st);
    store_mongo_end(&call);
    return rc;
}

static int mongo_get_document(struct store *s, enum collection c, const char *id,
                              struct document **ret_doc, struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *doc;
    int rc = mongo_get(s, a, c, id, &doc, st);

    if (rc == 0)
        *ret_doc = document_new(&a, doc);
    arena_free(&a);
    return rc;
}

static int mongo_list(struct store *s, struct arena *a, enum collection c,
                      const struct store_query *q, struct store_page *ret_page,
                      struct status *st) {
    struct store_mongo_call call;
    struct array_builder items;
    struct found *found;
    size_t n;
    int rc;

    if (begin(&call, s, c, st) < 0)
        return -1;
    rc = collect(&call, table_of(&call, c), a, q, &found, &n, st);
    store_mongo_end(&call);
    if (rc < 0)
        return -1;
    array_begin(&items, a, n);
    for (size_t i = 0; i < n; i++)
        array_push(&items, found[i].doc);
    ret_page->items = array_end(&items);
    ret_page->cursor =
        n == q->limit ? store_cursor_make(a, q, &ret_page->items->items[n - 1]) : NULL;
    return 0;
}

static int mongo_find(struct store *s, struct arena *a, enum collection c,
                      const struct store_query *q, const struct value **ret_doc,
                      struct status *st) {
    struct store_page page;

    if (mongo_list(s, a, c, q, &page, st) < 0)
        return -1;
    if (page.items->len == 0)
        return 1;
    *ret_doc = &page.items->items[0];
    return 0;
}

/* Counts here what the server can't decide. */
static int count_rest(struct store_mongo_call *call, const bson_t *filter,
                      const struct store_filter *where, uint64_t *ret_count,
                      struct status *st) {
    bson_t *opts = BCON_NEW("projection", "{", "d", BCON_INT32(1), "}");
    mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(call->collection, filter, opts, NULL);
    struct arena *scratch = arena_new(0);
    const struct value *doc;
    const bson_t *stored;
    uint64_t n = 0;
    int rc = 0;

    while (rc == 0 && mongoc_cursor_next(cursor, &stored)) {
        arena_reset(scratch);
        rc = store_mongo_decode(scratch, stored, &doc, NULL, st);
        if (rc == 0)
            n += store_match(where, doc, scratch);
    }
    call->lost = false;
    if (rc == 0 && mongoc_cursor_error(cursor, &call->error))
        rc = store_mongo_fail(call, NULL, st);
    mongoc_cursor_destroy(cursor);
    arena_free(&scratch);
    bson_destroy(opts);
    *ret_count = n;
    return rc;
}

static int count_all(struct store_mongo_call *call, const bson_t *filter,
                     uint64_t *ret_count, struct status *st) {
    int64_t n = mongoc_collection_count_documents(call->collection, filter, NULL, NULL,
                                                  NULL, &call->error);

    call->lost = false;
    *ret_count = (uint64_t)n;
    return n < 0 ? store_mongo_fail(call, NULL, st) : 0;
}

static int mongo_count(struct store *s, enum collection c,
                       const struct store_filter *where, uint64_t *ret_count,
                       struct status *st) {
    struct store_mongo_call call;
    struct arena *a;
    bson_t *filter;
    bool exact;
    int rc = -1;

    if (begin(&call, s, c, st) < 0)
        return -1;
    a = arena_new(0);
    filter = store_mongo_bson(a);
    store_mongo_where(table_of(&call, c), a, filter, where);
    exact = store_mongo_cover(table_of(&call, c), where) == MONGO_COVER_EXACT;
    for (int i = 0; i < ATTEMPTS; i++) {
        rc = exact ? count_all(&call, filter, ret_count, st)
                   : count_rest(&call, filter, where, ret_count, st);
        if (rc == 0 || !call.lost || i + 1 == ATTEMPTS)
            break;
        st_clear(st);
    }
    arena_free(&a);
    store_mongo_end(&call);
    return rc;
}

/* ---- Writing one document ---- */

static void append_id(bson_t *out, struct arena *a, const char *id) {
    struct bytes text = store_mongo_text(a, (struct bytes){id, strlen(id)});

    bson_append_utf8(out, "_id", 3, text.data, (int)text.len);
}

/* Is the document there as this write made it? 0 yes, 1 no. */
static int is_ours(struct store_mongo_call *call, struct arena *a, const char *id,
                   const bson_oid_t *v, struct status *st) {
    const struct value *doc;
    bson_oid_t now;
    int rc = load(call, a, id, &doc, &now, st);

    return rc ? rc : !bson_oid_equal(&now, v);
}

static int fail_write(struct store_mongo_call *call, enum collection c,
                      const bson_t *reply, struct status *st) {
    const char *index;

    call->lost = false;
    if (store_mongo_is_conflict(&call->error, st->arena, &index))
        return store_fail_exists(st, c, index);
    return store_mongo_fail(call, reply, st);
}

static bool is_conflict(const struct status *st) {
    return st->key && strcmp(st->key, "already_exists") == 0;
}

/* {validate: false}: what is written was made here. Needs no destroying. */
static const bson_t *unchecked(bson_t *opts) {
    static const uint8_t bytes[16] = "\x10\0\0\0\x08validate\0";

    bson_init_static(opts, bytes, sizeof(bytes));
    return opts;
}

/* again: an attempt before this one may have arrived. */
static int insert_one(struct store_mongo_call *call, enum collection c, const char *id,
                      const bson_t *stored, const bson_oid_t *v, bool again,
                      struct status *st) {
    struct arena *a = arena_new(0);
    bson_t reply, opts;
    int rc = -1;

    for (int i = 0; i < ATTEMPTS; i++, again = true) {
        if (mongoc_collection_insert_one(call->collection, stored, unchecked(&opts),
                                         &reply, &call->error))
            rc = 0;
        else
            rc = fail_write(call, c, &reply, st);
        bson_destroy(&reply);
        if (rc < 0 && again && is_conflict(st)) {
            struct status ignored;

            st_init(&ignored, a);
            if (is_ours(call, a, id, v, &ignored) == 0) {
                st_clear(st);
                rc = 0;
            }
            break;
        }
        if (rc == 0 || !call->lost || i + 1 == ATTEMPTS)
            break;
        st_clear(st);
    }
    arena_free(&a);
    return rc;
}

static int64_t reply_number(const bson_t *reply, const char *key) {
    bson_iter_t it;

    return bson_iter_init_find(&it, reply, key) ? bson_iter_as_int64(&it) : 0;
}

/* 0 replaced, 1 the filter finds nothing. */
static int replace_one(struct store_mongo_call *call, enum collection c, const char *id,
                       const bson_t *filter, const bson_t *stored, const bson_oid_t *v,
                       bool again, struct status *st) {
    struct arena *a = arena_new(0);
    bson_t reply, opts;
    int rc = -1;

    for (int i = 0; i < ATTEMPTS; i++, again = true) {
        if (mongoc_collection_replace_one(call->collection, filter, stored,
                                          unchecked(&opts), &reply, &call->error))
            rc = reply_number(&reply, "matchedCount") ? 0 : 1;
        else
            rc = fail_write(call, c, &reply, st);
        bson_destroy(&reply);
        if (rc == 1 && again)
            rc = is_ours(call, a, id, v, st);
        if (rc >= 0 || !call->lost || i + 1 == ATTEMPTS)
            break;
        st_clear(st);
    }
    arena_free(&a);
    return rc;
}

/* {_id, v} */
static bson_t *version_filter(struct arena *a, const char *id, const bson_oid_t *v) {
    bson_t *filter = store_mongo_bson(a);

    append_id(filter, a, id);
    bson_append_oid(filter, "v", 1, v);
    return filter;
}

/* {_id, $and: [expect]} when the server can tell; NULL otherwise. */
static bson_t *expect_filter(const struct store_mongo_table *t, struct arena *a,
                             const char *id, const struct store_filter *expect) {
    bson_t *filter, list, item;

    if (store_mongo_cover(t, expect) != MONGO_COVER_EXACT)
        return NULL;
    filter = store_mongo_bson(a);
    append_id(filter, a, id);
    if (expect) {
        bson_append_array_begin(filter, "$and", -1, &list);
        bson_append_document_begin(&list, "0", 1, &item);
        store_mongo_where(t, a, &item, expect);
        bson_append_document_end(&list, &item);
        bson_append_array_end(filter, &list);
    }
    return filter;
}

/* Waits a little, longer each time, so that others get through. */
static void step_aside(int conflicts) {
    struct timespec pause = {0, 0};
    uint16_t random;

    if (conflicts < CONFLICTS_EAGER)
        return;
    rand_system()->fill(rand_system(), &random, sizeof(random));
    pause.tv_nsec = (1 + random % (conflicts < 30 ? conflicts * 2000 : 60000)) * 500L;
    nanosleep(&pause, NULL);
}

static int fail_busy(struct status *st) {
    return st_fail(st, ST_INTERNAL, "unavailable",
                   "The document is changed by too many at once.");
}

static pthread_mutex_t *stripe_of(struct mongo_store *s, enum collection c,
                                  const char *id) {
    return &s->stripe[store_hash(id, strlen(id), (uint64_t)c) % MONGO_STRIPES];
}

/* ---- Inserting ---- */

struct batch {
    struct arena *arena;
    const bson_t **stored;
    bson_oid_t *v;
    size_t len, bytes;
};

static int batch_add(struct batch *b, const struct store_mongo_table *t,
                     const struct value *doc, struct status *st) {
    bson_t *stored = store_mongo_bson(b->arena);

    bson_oid_init(&b->v[b->len], NULL);
    if (store_mongo_encode(t, doc, &b->v[b->len], stored, st) < 0)
        return -1;
    b->stored[b->len++] = stored;
    b->bytes += stored->len;
    return 0;
}

/* docs: those of the batch. After a lost answer what isn't there is inserted singly. */
static int batch_write(struct store_mongo_call *call, enum collection c,
                       const struct batch *b, const struct value *docs,
                       struct status *st) {
    bson_t reply, opts;
    int rc = 0;

    if (b->len == 1)
        return insert_one(call, c, value_get_string(docs, "id", ""), b->stored[0],
                          &b->v[0], false, st);
    if (!mongoc_collection_insert_many(call->collection, b->stored, b->len,
                                       unchecked(&opts), &reply, &call->error))
        rc = fail_write(call, c, &reply, st);
    bson_destroy(&reply);
    if (rc == 0 || !call->lost)
        return rc;
    st_clear(st);
    rc = 0;
    for (size_t i = 0; i < b->len && rc == 0; i++)
        rc = insert_one(call, c, value_get_string(&docs[i], "id", ""), b->stored[i],
                        &b->v[i], true, st);
    return rc;
}

static int mongo_insert(struct store *s, enum collection c, const struct value *docs,
                        size_t n, struct status *st) {
    struct store_mongo_call call;
    size_t room = n < INSERT_CHUNK ? n : INSERT_CHUNK, done = 0;
    int rc = 0;

    if (begin(&call, s, c, st) < 0)
        return -1;
    while (done < n && rc == 0) {
        struct batch b = {.arena = arena_new(0)};

        b.stored = arena_alloc(b.arena, room * sizeof(*b.stored));
        b.v = arena_alloc(b.arena, room * sizeof(*b.v));
        while (rc == 0 && done + b.len < n && b.len < room &&
               b.bytes < INSERT_CHUNK_BYTES)
            rc = batch_add(&b, table_of(&call, c), &docs[done + b.len], st);
        if (b.len) { /* what stands before a document that is too large is written */
            struct status later;
            int written;

            st_init(&later, st->arena);
            written = batch_write(&call, c, &b, &docs[done], &later);
            if (written < 0) {
                *st = later;
                rc = -1;
            }
        }
        done += b.len;
        arena_free(&b.arena);
    }
    store_mongo_end(&call);
    return rc;
}

/* ---- Replacing ---- */

/* One document under its condition, with the version it was given. */
static int replace_if(struct store_mongo_call *call, enum collection c,
                      const struct value *doc, const struct store_filter *expect,
                      const bson_t *stored, const bson_oid_t *v, bool again,
                      struct status *st) {
    const struct store_mongo_table *t = table_of(call, c);
    const char *id = value_get_string(doc, "id", "");
    struct arena *a = arena_new(0);
    bson_t *filter = expect_filter(t, a, id, expect);
    int rc = 1;

    if (filter) {
        rc = replace_one(call, c, id, filter, stored, v, again, st);
        arena_free(&a);
        return rc;
    }
    for (int i = 0; i < CONFLICTS_MAX; i++) {
        const struct value *old;
        bson_oid_t seen;

        arena_reset(a);
        rc = load(call, a, id, &old, &seen, st);
        if (rc == 0 && again && bson_oid_equal(&seen, v))
            break;
        if (rc == 0 && !store_match(expect, old, a))
            rc = 1;
        if (rc)
            break;
        rc = replace_one(call, c, id, version_filter(a, id, &seen), stored, v, again, st);
        if (rc != 1)
            break;
        step_aside(i);
        rc = i + 1 < CONFLICTS_MAX ? 1 : fail_busy(st);
    }
    arena_free(&a);
    return rc;
}

static int mongo_replace(struct store *s, enum collection c, const struct value *doc,
                         const struct store_filter *expect, struct status *st) {
    struct store_mongo_call call;
    bson_t stored = BSON_INITIALIZER;
    bson_oid_t v;
    int rc;

    if (begin(&call, s, c, st) < 0)
        return -1;
    bson_oid_init(&v, NULL);
    rc = store_mongo_encode(table_of(&call, c), doc, &v, &stored, st);
    if (rc == 0)
        rc = replace_if(&call, c, doc, expect, &stored, &v, false, st);
    bson_destroy(&stored);
    store_mongo_end(&call);
    return rc;
}

/* All at once where the server can tell every condition. 2: not all can be told. */
static int replace_bulk(struct store_mongo_call *call, enum collection c,
                        const struct value *docs,
                        const struct store_filter *const *expects, const struct batch *b,
                        struct status *st) {
    const struct store_mongo_table *t = table_of(call, c);
    mongoc_bulk_operation_t *bulk;
    bson_t reply, opts;
    int rc = 0;

    for (size_t i = 0; i < b->len; i++)
        if (store_mongo_cover(t, expects[i]) != MONGO_COVER_EXACT)
            return 2;
    bulk = mongoc_collection_create_bulk_operation_with_opts(call->collection, NULL);
    for (size_t i = 0; i < b->len && rc == 0; i++)
        if (!mongoc_bulk_operation_replace_one_with_opts(
                bulk,
                expect_filter(t, b->arena, value_get_string(&docs[i], "id", ""),
                              expects[i]),
                b->stored[i], unchecked(&opts), &call->error))
            rc = store_mongo_fail(call, NULL, st);
    if (rc == 0) {
        if (!mongoc_bulk_operation_execute(bulk, &reply, &call->error))
            rc = fail_write(call, c, &reply, st);
        else if ((uint64_t)reply_number(&reply, "nMatched") < b->len)
            rc = 1;
        bson_destroy(&reply);
    }
    mongoc_bulk_operation_destroy(bulk);
    return rc;
}

static int mongo_replace_many(struct store *s, enum collection c,
                              const struct value *docs,
                              const struct store_filter *const *expects, size_t n,
                              struct status *st) {
    struct store_mongo_call call;
    struct batch b = {0};
    bool again;
    int rc = 0;

    if (begin(&call, s, c, st) < 0)
        return -1;
    b.arena = arena_new(0);
    b.stored = arena_alloc(b.arena, n * sizeof(*b.stored));
    b.v = arena_alloc(b.arena, n * sizeof(*b.v));
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = batch_add(&b, table_of(&call, c), &docs[i], st);
    if (rc == 0)
        rc = replace_bulk(&call, c, docs, expects, &b, st);
    again = rc < 0 && call.lost;
    if (rc == 2 || again) {
        st_clear(st);
        rc = 0;
        for (size_t i = 0; i < n && rc == 0; i++)
            rc = replace_if(&call, c, &docs[i], expects[i], b.stored[i], &b.v[i], again,
                            st);
    }
    arena_free(&b.arena);
    store_mongo_end(&call);
    return rc;
}

/* ---- Changing ---- */

struct changing {
    struct store_mongo_call *call;
    enum collection c;
    const struct store_filter *expect;
    const struct store_change *change;
};

/*
 * Writes the change of a document that was read as `old`, version `seen`. 0 done, 1
 * somebody else changed it meanwhile. a, ret_doc: may be NULL.
 */
static int change_once(struct changing *ch, struct arena *scratch,
                       const struct value *old, const bson_oid_t *seen, struct arena *a,
                       const struct value **ret_doc, struct status *st) {
    const char *id = value_get_string(old, "id", "");
    bson_t *stored = store_mongo_bson(scratch);
    const struct value *doc;
    bson_oid_t v;
    int rc;

    bson_oid_init(&v, NULL);
    if (store_change_apply(scratch, old, ch->change, &doc, st) < 0 ||
        store_mongo_encode(table_of(ch->call, ch->c), doc, &v, stored, st) < 0)
        return -1;
    rc = replace_one(ch->call, ch->c, id, version_filter(scratch, id, seen), stored, &v,
                     false, st);
    if (rc == 0 && ret_doc)
        rc = store_mongo_decode(a, stored, ret_doc, NULL, st);
    return rc;
}

/* Reads and changes until nobody comes between. */
static int change_by_id(struct changing *ch, const char *id, struct arena *a,
                        const struct value **ret_doc, struct status *st) {
    struct arena *scratch = arena_new(0);
    int rc = 1;

    for (int i = 0; i < CONFLICTS_MAX; i++) {
        const struct value *old;
        bson_oid_t seen;

        arena_reset(scratch);
        rc = load(ch->call, scratch, id, &old, &seen, st);
        if (rc == 0 && !store_match(ch->expect, old, scratch))
            rc = 1;
        if (rc)
            break;
        rc = change_once(ch, scratch, old, &seen, a, ret_doc, st);
        if (rc != 1)
            break;
        step_aside(i);
        rc = i + 1 < CONFLICTS_MAX ? 1 : fail_busy(st);
    }
    arena_free(&scratch);
    return rc;
}

static int mongo_update(struct store *s, struct arena *a, enum collection c,
                        const char *id, const struct store_filter *expect,
                        const struct store_change *change, const struct value **ret_doc,
                        struct status *st) {
    pthread_mutex_t *turn = stripe_of(mongo_of(s), c, id);
    struct store_mongo_call call;
    struct changing ch = {&call, c, expect, change};
    int rc = -1;

    pthread_mutex_lock(turn);
    if (begin(&call, s, c, st) == 0) {
        rc = change_by_id(&ch, id, a, ret_doc, st);
        store_mongo_end(&call);
    }
    pthread_mutex_unlock(turn);
    return rc;
}

/* Documents behind `after` in the order of ids; NULL: from the start. */
static int next_chunk(struct store_mongo_call *call, enum collection c, struct arena *a,
                      const struct store_filter *where, const char *after,
                      struct found **ret_found, size_t *ret_len, struct status *st) {
    struct store_query q = {.where = where, .limit = CHUNK};
    const struct store_filter *behind;

    if (after) {
        behind = store_cmp(a, STORE_GT, "id", value_string(a, after));
        q.where = where ? store_and(a, behind, where, NULL) : behind;
    }
    return collect(call, table_of(call, c), a, &q, ret_found, ret_len, st);
}

static int change_found(struct changing *ch, const struct found *f, uint64_t *count,
                        struct status *st) {
    struct arena *scratch = arena_new(0);
    int rc = change_once(ch, scratch, f->doc, &f->v, NULL, NULL, st);

    if (rc == 1) /* read it again: it may not match any more */
        rc = change_by_id(ch, value_get_string(f->doc, "id", ""), NULL, NULL, st);
    *count += rc == 0;
    arena_free(&scratch);
    return rc < 0 ? -1 : 0;
}

static int mongo_update_many(struct store *s, enum collection c,
                             const struct store_filter *where,
                             const struct store_change *change, uint64_t *ret_count,
                             struct status *st) {
    struct store_mongo_call call;
    struct changing ch = {&call, c, where, change};
    char *after = NULL;
    uint64_t count = 0;
    size_t n = CHUNK;
    int rc = 0;

    if (begin(&call, s, c, st) < 0)
        return -1;
    while (rc == 0 && n == CHUNK) {
        struct arena *a = arena_new(0);
        struct found *found;

        rc = next_chunk(&call, c, a, where, after, &found, &n, st);
        for (size_t i = 0; i < n && rc == 0; i++)
            rc = change_found(&ch, &found[i], &count, st);
        free(after);
        after =
            rc == 0 && n ? strdup(value_get_string(found[n - 1].doc, "id", "")) : NULL;
        arena_free(&a);
    }
    free(after);
    store_mongo_end(&call);
    *ret_count = count;
    return rc;
}

/*
 * Takes the first candidate that nobody else takes. One that was changed meanwhile is
 * read again: only when it matches no more is it the next one's turn.
 */
static int claim_one_of(struct changing *ch, const struct found *found, size_t n,
                        struct arena *a, const struct value **ret_doc,
                        struct status *st) {
    struct arena *scratch = arena_new(0);
    int rc = 1;

    for (size_t i = 0; i < n && rc == 1; i++) {
        arena_reset(scratch);
        rc = change_once(ch, scratch, found[i].doc, &found[i].v, a, ret_doc, st);
        if (rc == 1)
            rc = change_by_id(ch, value_get_string(found[i].doc, "id", ""), a, ret_doc,
                              st);
    }
    arena_free(&scratch);
    return rc;
}

static int mongo_claim(struct store *s, struct arena *a, enum collection c,
                       const struct store_query *q, const struct store_change *change,
                       const struct value **ret_doc, struct status *st) {
    struct store_mongo_call call;
    struct changing ch = {&call, c, q->where, change};
    struct store_query first = *q;
    struct arena *scratch;
    size_t n = CLAIM_CANDIDATES;
    int rc = 1;

    if (begin(&call, s, c, st) < 0)
        return -1;
    scratch = arena_new(0);
    first.limit = 1; /* most claims meet nobody */
    while (rc == 1 && n) {
        struct found *found;

        arena_reset(scratch);
        if (collect(&call, table_of(&call, c), scratch, &first, &found, &n, st) < 0)
            rc = -1;
        else
            rc = claim_one_of(&ch, found, n, a, ret_doc, st);
        first.limit = CLAIM_CANDIDATES;
    }
    arena_free(&scratch);
    store_mongo_end(&call);
    return rc;
}

/* ---- Deleting ---- */

/* 0 deleted, 1 the filter finds nothing. */
static int delete_one(struct store_mongo_call *call, const bson_t *filter,
                      struct status *st) {
    bson_t reply;
    int rc = -1;

    for (int i = 0; i < ATTEMPTS; i++) {
        call->lost = false;
        if (mongoc_collection_delete_one(call->collection, filter, NULL, &reply,
                                         &call->error))
            rc = reply_number(&reply, "deletedCount") || i > 0 ? 0 : 1;
        else
            rc = store_mongo_fail(call, &reply, st);
        bson_destroy(&reply);
        if (rc >= 0 || !call->lost || i + 1 == ATTEMPTS)
            break;
        st_clear(st); /* if it is gone then, the first attempt did it */
    }
    return rc;
}

static int delete_by_id(struct store_mongo_call *call, enum collection c, const char *id,
                        const struct store_filter *expect, struct status *st) {
    struct arena *a = arena_new(0);
    bson_t *filter = expect_filter(table_of(call, c), a, id, expect);
    int rc = 1;

    if (filter) {
        rc = delete_one(call, filter, st);
        arena_free(&a);
        return rc;
    }
    for (int i = 0; i < CONFLICTS_MAX; i++) {
        const struct value *old;
        bson_oid_t seen;

        arena_reset(a);
        rc = load(call, a, id, &old, &seen, st);
        if (rc == 0 && !store_match(expect, old, a))
            rc = 1;
        if (rc)
            break;
        rc = delete_one(call, version_filter(a, id, &seen), st);
        if (rc != 1)
            break;
        step_aside(i);
        rc = i + 1 < CONFLICTS_MAX ? 1 : fail_busy(st);
    }
    arena_free(&a);
    return rc;
}

static int mongo_remove(struct store *s, enum collection c, const char *id,
                        const struct store_filter *expect, struct status *st) {
    struct store_mongo_call call;
    int rc;

    if (begin(&call, s, c, st) < 0)
        return -1;
    rc = delete_by_id(&call, c, id, expect, st);
    store_mongo_end(&call);
    return rc;
}

static int delete_all(struct store_mongo_call *call, const struct store_mongo_table *t,
                      const struct store_filter *where, uint64_t *count,
                      struct status *st) {
    struct arena *a = arena_new(0);
    bson_t *filter = store_mongo_bson(a), reply;
    int rc = -1;

    store_mongo_where(t, a, filter, where);
    for (int i = 0; i < ATTEMPTS; i++) {
        call->lost = false;
        rc = mongoc_collection_delete_many(call->collection, filter, NULL, &reply,
                                           &call->error)
                 ? 0
                 : store_mongo_fail(call, &reply, st);
        *count += (uint64_t)reply_number(&reply, "deletedCount");
        bson_destroy(&reply);
        if (rc == 0 || !call->lost || i + 1 == ATTEMPTS)
            break;
        st_clear(st);
    }
    arena_free(&a);
    return rc;
}

static int delete_chunks(struct store_mongo_call *call, enum collection c,
                         const struct store_filter *where, uint64_t *count,
                         struct status *st) {
    size_t n = CHUNK;
    int rc = 0;

    while (rc == 0 && n == CHUNK) {
        struct arena *a = arena_new(0);
        struct found *found;

        rc = next_chunk(call, c, a, where, NULL, &found, &n, st);
        for (size_t i = 0; i < n && rc == 0; i++) {
            const char *id = value_get_string(found[i].doc, "id", "");

            rc = delete_one(call, version_filter(a, id, &found[i].v), st);
            if (rc == 1)
                rc = delete_by_id(call, c, id, where, st);
            *count += rc == 0;
            rc = rc < 0 ? -1 : 0;
        }
        arena_free(&a);
    }
    return rc;
}

static int mongo_remove_many(struct store *s, enum collection c,
                             const struct store_filter *where, uint64_t *ret_count,
                             struct status *st) {
    struct store_mongo_call call;
    const struct store_mongo_table *t;
    int rc;

    if (begin(&call, s, c, st) < 0)
        return -1;
    t = table_of(&call, c);
    *ret_count = 0;
    rc = store_mongo_cover(t, where) == MONGO_COVER_EXACT
             ? delete_all(&call, t, where, ret_count, st)
             : delete_chunks(&call, c, where, ret_count, st);
    store_mongo_end(&call);
    return rc;
}

/* ---- Counters ---- */

/* {_id: name, n: in the range that delta leaves} */
static void counter_filter(bson_t *out, struct arena *a, const char *name,
                           int64_t delta) {
    bson_t range;

    append_id(out, a, name);
    if (delta == 0)
        return;
    bson_append_document_begin(out, "n", 1, &range);
    if (delta > 0)
        bson_append_int64(&range, "$lte", -1, INT64_MAX - delta);
    else
        bson_append_int64(&range, "$gte", -1, INT64_MIN - delta);
    bson_append_document_end(out, &range);
}

static int counter_value(const bson_t *doc, const bson_oid_t *v, int64_t *ret) {
    bson_iter_t it;

    if (!bson_iter_init_find(&it, doc, "v") || !BSON_ITER_HOLDS_OID(&it) ||
        !bson_oid_equal(bson_iter_oid(&it), v) || !bson_iter_init_find(&it, doc, "n"))
        return -1;
    *ret = bson_iter_as_int64(&it);
    return 0;
}

/* Was the last addition this one? 0 with its value, 1 no. */
static int counter_look(struct store_mongo_call *call, struct arena *a, const char *name,
                        const bson_oid_t *v, int64_t *ret, struct status *st) {
    bson_t *filter = store_mongo_bson(a);
    mongoc_cursor_t *cursor;
    const bson_t *doc;
    int rc = 1;

    append_id(filter, a, name);
    cursor = mongoc_collection_find_with_opts(call->collection, filter, NULL, NULL);
    if (mongoc_cursor_next(cursor, &doc))
        rc = counter_value(doc, v, ret) == 0 ? 0 : 1;
    else if (mongoc_cursor_error(cursor, &call->error))
        rc = store_mongo_fail(call, NULL, st);
    mongoc_cursor_destroy(cursor);
    return rc;
}

/* 0 added, 1 the counter is there and out of range, or somebody made it just now. */
static int counter_try(struct store_mongo_call *call, struct arena *a, const char *name,
                       int64_t delta, const bson_oid_t *v, int64_t *ret,
                       struct status *st) {
    mongoc_find_and_modify_opts_t *opts = mongoc_find_and_modify_opts_new();
    bson_t *filter = store_mongo_bson(a), *update, reply;
    const char *index;
    bson_iter_t it;
    uint32_t len;
    const uint8_t *data;
    bson_t doc;
    int rc;

    counter_filter(filter, a, name, delta);
    update = BCON_NEW("$inc", "{", "n", BCON_INT64(delta), "}", "$set", "{", "v",
                      BCON_OID(v), "}");
    mongoc_find_and_modify_opts_set_update(opts, update);
    mongoc_find_and_modify_opts_set_flags(opts, MONGOC_FIND_AND_MODIFY_UPSERT |
                                                    MONGOC_FIND_AND_MODIFY_RETURN_NEW);
    call->lost = false;
    if (!mongoc_collection_find_and_modify_with_opts(call->collection, filter, opts,
                                                     &reply, &call->error))
        rc = store_mongo_is_conflict(&call->error, a, &index)
                 ? 1
                 : store_mongo_fail(call, &reply, st);
    else if (bson_iter_init_find(&it, &reply, "value") && BSON_ITER_HOLDS_DOCUMENT(&it)) {
        bson_iter_document(&it, &len, &data);
        rc = bson_init_static(&doc, data, len) && counter_value(&doc, v, ret) == 0
                 ? 0
                 : st_fail(st, ST_INTERNAL, NULL, "MongoDB: a counter without a value");
    } else {
        rc = st_fail(st, ST_INTERNAL, NULL, "MongoDB: a counter without a value");
    }
    bson_destroy(&reply);
    bson_destroy(update);
    mongoc_find_and_modify_opts_destroy(opts);
    return rc;
}

/* An addition whose answer was lost is only found out about while it is the last one. */
static int mongo_counter_add(struct store *s, const char *name, int64_t delta,
                             int64_t *ret_value, struct status *st) {
    struct store_mongo_call call;
    struct arena *a;
    bson_oid_t v;
    int rc;

    if (store_mongo_begin(&call, mongo_of(s), COUNTERS, st) < 0)
        return -1;
    a = arena_new(0);
    bson_oid_init(&v, NULL);
    rc = counter_try(&call, a, name, delta, &v, ret_value, st);
    if (rc == 1) /* made by another just now, or out of range */
        rc = counter_try(&call, a, name, delta, &v, ret_value, st);
    if (rc < 0 && call.lost) {
        struct status look;

        st_init(&look, a);
        if (counter_look(&call, a, name, &v, ret_value, &look) == 0) {
            st_clear(st);
            rc = 0;
        }
    }
    arena_free(&a);
    store_mongo_end(&call);
    return rc == 1 ? st_fail(st, ST_BAD_REQUEST, NULL, "Counter \"%s\" is out of range.",
                             name)
                   : rc;
}

/* ---- Opening ---- */

static int mongo_ping(struct store *s, struct status *st) {
    struct store_mongo_call call;
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    int rc = store_mongo_begin(&call, mongo_of(s), "_ping", st);

    if (rc == 0) {
        if (!mongoc_client_command_simple(call.client, call.s->db, ping, NULL, NULL,
                                          &call.error))
            rc = store_mongo_fail(&call, NULL, st);
        store_mongo_end(&call);
    }
    bson_destroy(ping);
    return rc;
}

static void mongo_close(struct store *base) {
    struct mongo_store *s = mongo_of(base);

    if (s->pool)
        mongoc_client_pool_destroy(s->pool);
    for (int i = 0; i < MONGO_STRIPES; i++)
        pthread_mutex_destroy(&s->stripe[i]);
    arena_free(&s->arena);
    free(s);
}

static const struct store_ops mongo_ops = {
    .name = "mongodb",
    .insert = mongo_insert,
    .get = mongo_get,
    .get_document = mongo_get_document,
    .find = mongo_find,
    .list = mongo_list,
    .count = mongo_count,
    .replace = mongo_replace,
    .replace_many = mongo_replace_many,
    .update = mongo_update,
    .update_many = mongo_update_many,
    .claim = mongo_claim,
    .remove = mongo_remove,
    .remove_many = mongo_remove_many,
    .counter_add = mongo_counter_add,
    .ping = mongo_ping,
    .close = mongo_close,
};

struct mongo_store *store_mongo_new(void) {
    struct mongo_store *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->base.ops = &mongo_ops;
    s->arena = arena_new(0);
    for (int i = 0; i < MONGO_STRIPES; i++)
        pthread_mutex_init(&s->stripe[i], NULL);
    for (int c = 0; c < COLLECTION_COUNT; c++)
        store_mongo_table_init(&s->table[c], (enum collection)c, s->arena);
    return s;
}

int store_open_mongo(const struct store_mongo_options *o, struct store **ret_store,
                     struct status *st) {
    struct mongo_store *s = store_mongo_new();

    if (store_mongo_connect(s, o, st) < 0 || mongo_ping(&s->base, st) < 0 ||
        store_mongo_migrate(s, st) < 0) {
        mongo_close(&s->base);
        return -1;
    }
    *ret_store = &s->base;
    return 0;
}
