/*
 * store_priv.h - what a backend is, and what backends share.
 *
 * A backend is a const table of functions over its own struct, whose first member is
 * struct store. Arguments were checked by store.c: queries have a limit, documents are
 * objects with a usable id. Comparison, conditions, changes and cursors have one meaning
 * (store_match.c, store_change.c, store_cursor.c); a backend that translates them into
 * its own language proves the same meaning with the contract suite.
 */
#ifndef STORE_STORE_PRIV_H
#define STORE_STORE_PRIV_H

#include "store.h"

#include "base/bytes.h"

struct buf;

/* What each function promises stands in store.h. */
struct store_ops {
    const char *name;
    int (*insert)(struct store *s, enum collection c, const struct value *docs, size_t n,
                  struct status *st);
    int (*get)(struct store *s, struct arena *a, enum collection c, const char *id,
               const struct value **ret_doc, struct status *st);
    int (*get_document)(struct store *s, enum collection c, const char *id,
                        struct document **ret_doc, struct status *st);
    int (*find)(struct store *s, struct arena *a, enum collection c,
                const struct store_query *q, const struct value **ret_doc,
                struct status *st);
    int (*list)(struct store *s, struct arena *a, enum collection c,
                const struct store_query *q, struct store_page *ret_page,
                struct status *st);
    int (*count)(struct store *s, enum collection c, const struct store_filter *where,
                 uint64_t *ret_count, struct status *st);
    int (*replace)(struct store *s, enum collection c, const struct value *doc,
                   const struct store_filter *expect, struct status *st);
    int (*update)(struct store *s, struct arena *a, enum collection c, const char *id,
                  const struct store_filter *expect, const struct store_change *change,
                  const struct value **ret_doc, struct status *st);
    int (*update_many)(struct store *s, enum collection c,
                       const struct store_filter *where,
                       const struct store_change *change, uint64_t *ret_count,
                       struct status *st);
    int (*claim)(struct store *s, struct arena *a, enum collection c,
                 const struct store_query *q, const struct store_change *change,
                 const struct value **ret_doc, struct status *st);
    int (*remove)(struct store *s, enum collection c, const char *id,
                  const struct store_filter *expect, struct status *st);
    int (*remove_many)(struct store *s, enum collection c,
                       const struct store_filter *where, uint64_t *ret_count,
                       struct status *st);
    int (*counter_add)(struct store *s, const char *name, int64_t delta,
                       int64_t *ret_value, struct status *st);
    int (*ping)(struct store *s, struct status *st);
    void (*close)(struct store *s);
    /* May be NULL: one by one. */
    int (*replace_many)(struct store *s, enum collection c, const struct value *docs,
                        const struct store_filter *const *expects, size_t n,
                        struct status *st);
    /* May be NULL: what is written is durable from the start. */
    int (*settle)(struct store *s, struct status *st);
    /* May be NULL: never known. */
    bool (*version)(const struct store *s, enum collection c, unsigned *ret_version);
};

struct store {
    const struct store_ops *ops;
};

enum {
    STORE_MAX_SORT = 3,
    STORE_MAX_DEPTH = 500,              /* nesting of a document */
    STORE_MAX_BYTES = 16 * 1024 * 1024, /* of its text; what MongoDB allows too */
    STORE_MAX_CURSOR = 64 * 1024,
};

/* ---- Comparison (store_match.c) ---- */

enum store_rank { RANK_NULL, RANK_BOOL, RANK_NUMBER, RANK_TEXT, RANK_CONTAINER };

/* What a field's value is for comparison. Text lends from the value or the arena. */
struct store_key {
    enum store_rank rank;
    double number;     /* bools: 0 and 1 */
    struct bytes text; /* containers: their compact JSON */
};

/*
 * Numbers are finite as JSON has them (others are null), dates are their text, -0 is 0.
 * The three lowest doubles count as one, so that a backend has room for null and bools
 * below the numbers of one ordered column.
 */
#define STORE_LOWEST_NUMBER (-0x1.ffffffffffffdp+1023)
struct store_key store_key_of(struct arena *a, const struct value *v);
int store_key_compare(const struct store_key *x, const struct store_key *y);

/* Value at a dotted path; decimal segments index arrays. &value_undefined when lost. */
const struct value *store_path_get(const struct value *doc, const char *path);
bool store_text_contains(struct bytes text, struct bytes part);
/* scratch: for keys that have to be built. f NULL: true. */
bool store_match(const struct store_filter *f, const struct value *doc,
                 struct arena *scratch);

/* ---- Changes (store_change.c) ---- */

/* The changed document in `a`; bad_request when a path can't be set. */
int store_change_apply(struct arena *a, const struct value *doc,
                       const struct store_change *change, const struct value **ret_doc,
                       struct status *st);
/* Object with a usable id, not nested too deeply: 0 or -1 bad_request. */
int store_check_document(const struct value *doc, struct status *st);
/* Appends the document's text; -1 payload_too_large. */
int store_encode(struct buf *b, const struct value *doc, struct status *st);
/* Parses text that store_encode wrote. */
int store_decode(struct arena *a, const char *text, size_t len,
                 const struct value **ret_doc, struct status *st);

/* ---- Cursors (store_cursor.c) ---- */

size_t store_sort_count(const struct store_query *q);
/* Direction in which ids break ties: that of the last sort field. */
bool store_sort_id_descending(const struct store_query *q);

/* Where a page ended: its last document's sort values and id. */
struct store_position {
    struct store_key key[STORE_MAX_SORT];
    const char *id;
};
/* Order of a query's positions: <0, 0, >0. */
int store_position_compare(const struct store_query *q, const struct store_position *x,
                           const struct store_position *y);
const char *store_cursor_make(struct arena *a, const struct store_query *q,
                              const struct value *last);
/* 0 with a position, 1 when the query starts from the start, -1 bad_request. */
int store_cursor_parse(struct arena *a, const struct store_query *q,
                       struct store_position *ret_pos, struct status *st);

/* ---- Rules of collections.def (store_rules.c) ---- */

enum { STORE_RULE_FIELDS = 6, STORE_RULE_ABSENT = 3 };

struct store_rule {
    enum collection collection;
    const char *name;
    bool unique;
    bool live;                                 /* only documents without archivedAt */
    size_t len;                                /* of field */
    const char *field[STORE_RULE_FIELDS];      /* paths */
    bool null_counts[STORE_RULE_FIELDS];       /* null is a value like others */
    const char *absent[STORE_RULE_ABSENT + 1]; /* only documents without these */
    char text[224];                            /* the fields and conditions point here */
};

/* All rules of one collection, in order; gives memory of `a`. */
const struct store_rule *store_rules_of(struct arena *a, enum collection c,
                                        size_t *ret_len);
bool store_collection_cached(enum collection c);
/* bad_request/already_exists with data {collection, index}. Returns -1. */
int store_fail_exists(struct status *st, enum collection c, const char *index);

#endif
