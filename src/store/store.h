/*
 * store.h - the document store: the only truth of the system.
 *
 * A document is a JSON object with a string member `id`; its key order survives. Every
 * collection is a row of collections.def, which also lists its indexes and uniqueness
 * rules. Atomicity is per document: whatever spans documents is written so that repeating
 * it is harmless. A write that returned 0 is durable.
 *
 * Field names are dotted paths ("config.request.path"). Comparison is by JSON type first
 * (null < bool < number < string), then value; strings by bytes. A field that is absent
 * compares equal to null and undefined, so STORE_LT and STORE_LE a number match it too
 * (add STORE_EXISTS where that matters). Decimal segments of a path index arrays. Arrays
 * and objects come after all text, by their compact JSON.
 *
 * Threads: a struct store may be used by all threads at once. All calls block.
 * Errors: bad_request/already_exists for a uniqueness conflict (data: {collection,
 * index}); internal/unavailable (503) when the backend can't be reached; internal
 * otherwise.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct document;
struct status;
struct store;
struct value;

enum collection {
#define COLLECTION(ident, name) ident,
#include "collections.def"
    COLLECTION_COUNT
};

const char *store_collection_name(enum collection c);

/* ---- Conditions ---- */

enum store_op {
    STORE_ALL, /* always true */
    STORE_EQ,  /* field equals value (value null: absent or null) */
    STORE_NE,
    STORE_LT,
    STORE_LE,
    STORE_GT,
    STORE_GE,
    STORE_IN,       /* value is an array */
    STORE_EXISTS,   /* present and not null */
    STORE_ABSENT,   /* absent or null */
    STORE_CONTAINS, /* text field holds value's text, ASCII case ignored */
    STORE_HAS_ITEM, /* field is an array that holds value, or objects of which one holds
                       it at the rest of the path */
    STORE_AND,
    STORE_OR,
};

struct store_filter {
    enum store_op op;
    const char *field;
    const struct value *value;
    const struct store_filter *const *of; /* for STORE_AND and STORE_OR */
    size_t of_len;
};

/* Made in the arena; arguments are borrowed and must live as long. */
const struct store_filter *store_eq(struct arena *a, const char *field,
                                    const struct value *v);
const struct store_filter *store_eq_text(struct arena *a, const char *field,
                                         const char *s);
const struct store_filter *store_cmp(struct arena *a, enum store_op op, const char *field,
                                     const struct value *v);
/* NULL-terminated list; NULL entries can't be in it. */
const struct store_filter *store_and(struct arena *a, ...) __attribute__((sentinel));
const struct store_filter *store_or(struct arena *a, ...) __attribute__((sentinel));

/* ---- Changes ---- */

/* Applied in this order to a document, atomically. Fields are dotted paths. */
struct store_change {
    const struct value *set;       /* object: path -> value; or NULL */
    const char *const *unset;      /* NULL-terminated paths; or NULL */
    const struct value *increment; /* object: path -> number; or NULL */
};

struct store_sort {
    const char *field;
    bool descending;
};

struct store_query {
    const struct store_filter *where; /* NULL: all */
    struct store_sort sort[3];        /* up to the first NULL field; `id` breaks ties, in
                                         the last field's direction */
    size_t limit;                     /* 0: 1000 */
    const char *cursor; /* from a page before; NULL or "0": from the start */
};

struct store_page {
    const struct value *items; /* array of documents */
    const char *cursor;        /* set when the page is full, also when nothing follows */
};

/* ---- Operations ---- */

/* Inserts a document; -1 already_exists when its id or a unique index is taken. */
int store_insert(struct store *s, enum collection c, const struct value *doc,
                 struct status *st);
/* All or nothing is not promised; stops at the first failure. */
int store_insert_many(struct store *s, enum collection c, const struct value *docs,
                      struct status *st);

/* 0 found, 1 absent. ret_doc lends until `a` dies; it may be shared with a cache: read
 * only. */
int store_get(struct store *s, struct arena *a, enum collection c, const char *id,
              const struct value **ret_doc, struct status *st);
/* As store_get; gives a counted document, to be kept beyond a request. */
int store_get_document(struct store *s, enum collection c, const char *id,
                       struct document **ret_doc, struct status *st);
/* The first document in sort order. 0 found, 1 absent. */
int store_find(struct store *s, struct arena *a, enum collection c,
               const struct store_query *q, const struct value **ret_doc,
               struct status *st);
int store_list(struct store *s, struct arena *a, enum collection c,
               const struct store_query *q, struct store_page *ret_page,
               struct status *st);
int store_count(struct store *s, enum collection c, const struct store_filter *where,
                uint64_t *ret_count, struct status *st);

/*
 * Replaces the whole document when it is there and fulfils `expect` (NULL: always).
 * 0 done, 1 absent or not as expected (nothing changed).
 */
int store_replace(struct store *s, enum collection c, const struct value *doc,
                  const struct store_filter *expect, struct status *st);
/*
 * The same for n documents, each with its own condition, in few steps of the backend. 1:
 * one was absent or not as expected; those before it are replaced, those behind it may
 * be.
 */
int store_replace_many(struct store *s, enum collection c, const struct value *docs,
                       const struct store_filter *const *expects, size_t n,
                       struct status *st);
/* Changes parts of a document under the same rule; ret_doc (may be NULL): the new one. */
int store_update(struct store *s, struct arena *a, enum collection c, const char *id,
                 const struct store_filter *expect, const struct store_change *change,
                 const struct value **ret_doc, struct status *st);
/* Changes every document that matches; ret_count may be NULL. Not one atomic step. */
int store_update_many(struct store *s, enum collection c,
                      const struct store_filter *where, const struct store_change *change,
                      uint64_t *ret_count, struct status *st);
/*
 * Claims: finds the first document in q's order and changes it, as one atomic step, so
 * that two claimers never get the same one. 0 claimed, 1 nothing matches.
 */
int store_claim(struct store *s, struct arena *a, enum collection c,
                const struct store_query *q, const struct store_change *change,
                const struct value **ret_doc, struct status *st);
/* 0 deleted, 1 absent or not as expected. */
int store_delete(struct store *s, enum collection c, const char *id,
                 const struct store_filter *expect, struct status *st);
int store_delete_many(struct store *s, enum collection c,
                      const struct store_filter *where, uint64_t *ret_count,
                      struct status *st);
/* Adds delta to a named counter (0 when new) and gives its new value. */
int store_counter_add(struct store *s, const char *name, int64_t delta,
                      int64_t *ret_value, struct status *st);
/*
 * For caches of what was made from documents: a number that every write of the collection
 * changes. False when it is not known, because the store is not a cached one, or just
 * now, because a write is under way. Take it before the documents are read.
 */
bool store_version(const struct store *s, enum collection c, unsigned *ret_version);
/* 0 when the backend answers now. */
int store_ping(struct store *s, struct status *st);

/* ---- Opening ---- */

/* SQLite below data_dir (created when absent, migrated when older); stores.def has the
 * rows. */
int store_open_sqlite(const char *path, struct store **ret_store, struct status *st);
/*
 * The same for a first start that writes much and needs it all or nothing: a file that
 * was missing is built aside, and what is written is neither durable nor seen by other
 * processes (they wait) before store_settle(), and only one thread at a time may use the
 * store. Closed or killed before, nothing remains.
 */
int store_open_sqlite_unsettled(const char *path, struct store **ret_store,
                                struct status *st);
/* Makes what was written durable, with two syncs in all; does nothing to a store that is
 * settled. After a failure it can only be closed. */
int store_settle(struct store *s, struct status *st);
/* By address: "sqlite:PATH", "memory:"; stores.def has the schemes. -1 configuration when
 * the scheme is unknown. */
int store_open(const char *address, struct store **ret_store, struct status *st);

struct store_mongo_options {
    const char *uri;         /* "mongodb://..." or "mongodb+srv://...", with a database */
    const char *tls_ca_file; /* private certificate authority, or NULL */
};
/*
 * MongoDB, or what speaks its protocol; needs readWrite on the one database. Makes and
 * changes its indexes. -1 internal/unavailable when it doesn't answer now (worth another
 * try), configuration when the address or the rights are wrong.
 */
int store_open_mongo(const struct store_mongo_options *o, struct store **ret_store,
                     struct status *st);
/*
 * What an operator should know before a start: connection, version, replica set, and
 * whether a document can be written, read and deleted. ret_checks: array of {name, ok,
 * message}, also when one of them failed.
 */
void store_check_mongo(const struct store_mongo_options *o, struct arena *a,
                       const struct value **ret_checks);

/* The in-memory double, for tests: same promises, nothing durable. */
struct store *store_open_memory(void);
/*
 * Wraps `inner` (takes it): every call fails with internal/unavailable when fail(ctx, op
 * name) answers true. For tests of what failure does.
 */
struct store *store_open_failing(struct store *inner,
                                 bool (*fail)(void *ctx, const char *op), void *ctx);
/*
 * Wraps `inner` (takes it): keeps parsed documents of the collections that
 * collections.def marks CACHED, up to max_bytes. Only for a backend that no other process
 * writes.
 */
struct store *store_open_cached(struct store *inner, size_t max_bytes);
void store_close(struct store **s);

#endif
