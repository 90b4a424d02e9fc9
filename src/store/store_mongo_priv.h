/*
 * store_mongo_priv.h - the parts of the MongoDB backend.
 *
 * A document stands in its collection as
 *
 *     {_id, v, k: {field: key}, u: {rule: text}, d: {the document itself}}
 *
 * d is readable with any MongoDB tool. k holds what the rules of collections.def name, in
 * an order that BSON and store_key_compare() agree on: absent for null, doubles for bools
 * and numbers, text, and text with a high prefix for the JSON of arrays and objects. As
 * no key is ever an array, a condition on k means the same to the server as to
 * store_match(); what isn't in k is asked of the parsed document, by the double's own
 * code, the server only leaving out what can't match. u holds one text per unique rule
 * that the document falls under; sparse unique indexes on them know no exceptions.
 *
 * v is new at every write. Changes are made here, by store_change_apply(), and written
 * under the condition that v is still the one that was read: one document's atomicity,
 * and no two meanings of a change. As each write carries its own v, a write whose answer
 * was lost can be looked up and, where it isn't there, repeated. The alternative, the
 * server's update operators, differs in what it refuses and in the order of new keys.
 */
#ifndef STORE_STORE_MONGO_PRIV_H
#define STORE_STORE_MONGO_PRIV_H

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store_priv.h"

struct arena;

enum {
    MONGO_TABLE_COLUMNS = 24,
    MONGO_STRIPES = 64,
    MONGO_EMBED_DEPTH = 80,                 /* below what servers allow (100) */
    MONGO_MAX_BYTES = 16 * 1024 * 1024 - 4, /* of a document as BSON */
};

struct store_mongo_table {
    const char *name;
    const struct store_rule *rules;
    size_t rules_len, columns_len;
    const char *column[MONGO_TABLE_COLUMNS]; /* paths */
    const char *field[MONGO_TABLE_COLUMNS];  /* "k.path", escaped */
    const char *key[MONGO_TABLE_COLUMNS];    /* the same without "k." */
};

struct mongo_store {
    struct store base;
    struct arena *arena;
    mongoc_client_pool_t *pool;
    const char *db, *hosts;        /* hosts: for messages; no password */
    int64_t select_ms;             /* how long a call waits for a server */
    _Atomic int64_t down_since_ms; /* monotonic; 0 while a server takes writes */
    struct store_mongo_table table[COLLECTION_COUNT];
    /* Threads of this process that change the same document take turns. */
    pthread_mutex_t stripe[MONGO_STRIPES];
};

/* An unconnected store; store_close() it. */
struct mongo_store *store_mongo_new(void);

/* ---- Connections and failures (store_mongo_client.c) ---- */

/* One conversation with the server; caller's memory, used by one thread. */
struct store_mongo_call {
    struct mongo_store *s;
    mongoc_client_t *client;
    mongoc_collection_t *collection;
    bson_error_t error;
    bool lost; /* the last failure may pass; what was written is unknown */
};

/* The pool of an address with this store's defaults; fills s->db, s->hosts, select_ms. */
int store_mongo_connect(struct mongo_store *s, const struct store_mongo_options *o,
                        struct status *st);
/* name: of the collection. -1 unavailable when no server or no connection is free. */
int store_mongo_begin(struct store_mongo_call *call, struct mongo_store *s,
                      const char *name, struct status *st);
void store_mongo_end(struct store_mongo_call *call);
/* call->error as a status; sets call->lost. reply may be NULL. Returns -1. */
int store_mongo_fail(struct store_mongo_call *call, const bson_t *reply,
                     struct status *st);
/* The same for any error; ret_lost may be NULL. */
int store_mongo_status(const struct mongo_store *s, const bson_error_t *error,
                       const bson_t *reply, bool *ret_lost, struct status *st);
/* A uniqueness conflict? ret_index: the rule's name, or "id"; lends from `a`. */
bool store_mongo_is_conflict(const bson_error_t *error, struct arena *a,
                             const char **ret_index);
/* An empty bson_t that is freed with the arena. */
bson_t *store_mongo_bson(struct arena *a);

/* ---- Values (store_mongo_bson.c) ---- */

/* Appends v under a key as it is; false when it gets too large. undefined is left out. */
bool store_mongo_append(bson_t *out, const char *key, int key_len, const struct value *v,
                        int depth);
/* The value under the iterator; gives memory of `a`. Any bytes are safe. */
struct value store_mongo_read(struct arena *a, const bson_iter_t *it, int depth);
/* A member name as it is stored: percent-encoded where BSON or servers need it. */
const char *store_mongo_name(struct arena *a, const char *key, size_t len);
/* Text as BSON can hold it, in the same order. Lends from `text` or `a`. */
struct bytes store_mongo_text(struct arena *a, struct bytes text);
/* A key of `k`: RANK_NULL appends nothing. */
bool store_mongo_append_key(bson_t *out, const char *name, struct arena *a,
                            const struct store_key *k);
/* The whole stored form; v: its version. -1 payload_too_large. */
int store_mongo_encode(const struct store_mongo_table *t, const struct value *doc,
                       const bson_oid_t *v, bson_t *out, struct status *st);
/* The document of a stored form; -1 internal/damaged. ret_v may be NULL. */
int store_mongo_decode(struct arena *a, const bson_t *stored,
                       const struct value **ret_doc, bson_oid_t *ret_v,
                       struct status *st);

/* ---- Queries (store_mongo_query.c) ---- */

enum store_mongo_cover {
    MONGO_COVER_NONE,     /* the server can't say anything */
    MONGO_COVER_SUPERSET, /* it leaves out what can't match */
    MONGO_COVER_EXACT,
};
enum store_mongo_cover store_mongo_cover(const struct store_mongo_table *t,
                                         const struct store_filter *f);
/* Adds what the server can tell of a condition; f may be NULL. */
void store_mongo_where(const struct store_mongo_table *t, struct arena *a, bson_t *out,
                       const struct store_filter *f);
/* Name of the indexed field of a path, NULL when there is none. */
const char *store_mongo_field(const struct store_mongo_table *t, const char *path);

struct store_mongo_query {
    bson_t *filter, *opts;
    const struct store_filter *rest; /* to ask of each document; or NULL */
    bool sorted;                     /* false: the server doesn't know the order */
    bool from_start;
    struct store_position after; /* unless from_start */
};
int store_mongo_query(const struct store_mongo_table *t, struct arena *a,
                      const struct store_query *q, struct store_mongo_query *ret,
                      struct status *st);

/* ---- Schema (store_mongo_schema.c) ---- */

void store_mongo_table_init(struct store_mongo_table *t, enum collection c,
                            struct arena *a);
/* Makes the indexes of collections.def, rewrites documents whose rules changed. */
int store_mongo_migrate(struct mongo_store *s, struct status *st);

#endif
