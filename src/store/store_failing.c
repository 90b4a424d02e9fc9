/*
 * store_failing.c - a store that fails when a test says so.
 */
#include "store_priv.h"

#include <stdlib.h>

#include "base/status.h"

struct failing {
    struct store base;
    struct store *inner;
    bool (*fail)(void *ctx, const char *op);
    void *ctx;
};

/* The store to ask, or NULL with *st filled. */
static struct store *pass(struct store *s, const char *op, struct status *st) {
    struct failing *f = (struct failing *)s;

    if (!f->fail(f->ctx, op))
        return f->inner;
    st_fail(st, ST_INTERNAL, "unavailable", "The document store can't be reached.");
    return NULL;
}

static int failing_insert(struct store *s, enum collection c, const struct value *docs,
                          size_t n, struct status *st) {
    struct store *in = pass(s, n == 1 ? "insert" : "insert_many", st);

    return in ? in->ops->insert(in, c, docs, n, st) : -1;
}

static int failing_get(struct store *s, struct arena *a, enum collection c,
                       const char *id, const struct value **ret_doc, struct status *st) {
    struct store *in = pass(s, "get", st);

    return in ? in->ops->get(in, a, c, id, ret_doc, st) : -1;
}

static int failing_get_document(struct store *s, enum collection c, const char *id,
                                struct document **ret_doc, struct status *st) {
    struct store *in = pass(s, "get", st);

    return in ? in->ops->get_document(in, c, id, ret_doc, st) : -1;
}

static int failing_find(struct store *s, struct arena *a, enum collection c,
                        const struct store_query *q, const struct value **ret_doc,
                        struct status *st) {
    struct store *in = pass(s, "find", st);

    return in ? in->ops->find(in, a, c, q, ret_doc, st) : -1;
}

static int failing_list(struct store *s, struct arena *a, enum collection c,
                        const struct store_query *q, struct store_page *ret_page,
                        struct status *st) {
    struct store *in = pass(s, "list", st);

    return in ? in->ops->list(in, a, c, q, ret_page, st) : -1;
}

static int failing_count(struct store *s, enum collection c,
                         const struct store_filter *where, uint64_t *ret_count,
                         struct status *st) {
    struct store *in = pass(s, "count", st);

    return in ? in->ops->count(in, c, where, ret_count, st) : -1;
}

static int failing_replace(struct store *s, enum collection c, const struct value *doc,
                           const struct store_filter *expect, struct status *st) {
    struct store *in = pass(s, "replace", st);

    return in ? in->ops->replace(in, c, doc, expect, st) : -1;
}

static int failing_update(struct store *s, struct arena *a, enum collection c,
                          const char *id, const struct store_filter *expect,
                          const struct store_change *change, const struct value **ret_doc,
                          struct status *st) {
    struct store *in = pass(s, "update", st);

    return in ? in->ops->update(in, a, c, id, expect, change, ret_doc, st) : -1;
}

static int failing_update_many(struct store *s, enum collection c,
                               const struct store_filter *where,
                               const struct store_change *change, uint64_t *ret_count,
                               struct status *st) {
    struct store *in = pass(s, "update_many", st);

    return in ? in->ops->update_many(in, c, where, change, ret_count, st) : -1;
}

static int failing_claim(struct store *s, struct arena *a, enum collection c,
                         const struct store_query *q, const struct store_change *change,
                         const struct value **ret_doc, struct status *st) {
    struct store *in = pass(s, "claim", st);

    return in ? in->ops->claim(in, a, c, q, change, ret_doc, st) : -1;
}

static int failing_remove(struct store *s, enum collection c, const char *id,
                          const struct store_filter *expect, struct status *st) {
    struct store *in = pass(s, "delete", st);

    return in ? in->ops->remove(in, c, id, expect, st) : -1;
}

static int failing_remove_many(struct store *s, enum collection c,
                               const struct store_filter *where, uint64_t *ret_count,
                               struct status *st) {
    struct store *in = pass(s, "delete_many", st);

    return in ? in->ops->remove_many(in, c, where, ret_count, st) : -1;
}

static int failing_counter_add(struct store *s, const char *name, int64_t delta,
                               int64_t *ret_value, struct status *st) {
    struct store *in = pass(s, "counter_add", st);

    return in ? in->ops->counter_add(in, name, delta, ret_value, st) : -1;
}

static int failing_settle(struct store *s, struct status *st) {
    struct store *in = pass(s, "settle", st);

    return in ? store_settle(in, st) : -1;
}

static int failing_ping(struct store *s, struct status *st) {
    struct store *in = pass(s, "ping", st);

    return in ? in->ops->ping(in, st) : -1;
}

static void failing_close(struct store *s) {
    struct failing *f = (struct failing *)s;

    store_close(&f->inner);
    free(f);
}

static const struct store_ops failing_ops = {
    .name = "failing",
    .insert = failing_insert,
    .get = failing_get,
    .get_document = failing_get_document,
    .find = failing_find,
    .list = failing_list,
    .count = failing_count,
    .replace = failing_replace,
    .update = failing_update,
    .update_many = failing_update_many,
    .claim = failing_claim,
    .remove = failing_remove,
    .remove_many = failing_remove_many,
    .counter_add = failing_counter_add,
    .ping = failing_ping,
    .settle = failing_settle,
    .close = failing_close,
};

struct store *store_open_failing(struct store *inner,
                                 bool (*fail)(void *ctx, const char *op), void *ctx) {
    struct failing *f = calloc(1, sizeof(*f));

    if (!f)
        abort();
    f->base.ops = &failing_ops;
    f->inner = inner;
    f->fail = fail;
    f->ctx = ctx;
    return &f->base;
}
