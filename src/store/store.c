/*
 * store.c - the public face: checks arguments once, then asks the backend.
 */
#include "store_priv.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

static const char *const names[] = {
#define COLLECTION(ident, name) [ident] = name,
#include "collections.def"
};

const char *store_collection_name(enum collection c) {
    assert(c < COLLECTION_COUNT);
    return names[c];
}

/* ---- Conditions ---- */

const struct store_filter *store_cmp(struct arena *a, enum store_op op, const char *field,
                                     const struct value *v) {
    struct store_filter *f = arena_zalloc(a, sizeof(*f));

    f->op = op;
    f->field = field;
    f->value = v ? v : &value_null;
    return f;
}

const struct store_filter *store_eq(struct arena *a, const char *field,
                                    const struct value *v) {
    return store_cmp(a, STORE_EQ, field, v);
}

const struct store_filter *store_eq_text(struct arena *a, const char *field,
                                         const char *s) {
    return store_cmp(a, STORE_EQ, field, value_box(a, value_string_ref(s, strlen(s))));
}

static const struct store_filter *group(struct arena *a, enum store_op op, va_list ap) {
    const struct store_filter *part, **of = NULL;
    struct store_filter *f = arena_zalloc(a, sizeof(*f));
    size_t cap = 0;

    f->op = op;
    while ((part = va_arg(ap, const struct store_filter *))) {
        if (f->of_len == cap) {
            size_t next = cap ? cap * 2 : 4;

            of = arena_grow(a, of, cap * sizeof(*of), next * sizeof(*of));
            cap = next;
        }
        of[f->of_len++] = part;
    }
    f->of = of;
    return f;
}

const struct store_filter *store_and(struct arena *a, ...) {
    const struct store_filter *f;
    va_list ap;

    va_start(ap, a);
    f = group(a, STORE_AND, ap);
    va_end(ap);
    return f;
}

const struct store_filter *store_or(struct arena *a, ...) {
    const struct store_filter *f;
    va_list ap;

    va_start(ap, a);
    f = group(a, STORE_OR, ap);
    va_end(ap);
    return f;
}

/* ---- Operations ---- */

static struct store_query with_limit(const struct store_query *q, size_t otherwise) {
    struct store_query out = q ? *q : (struct store_query){0};

    if (!out.limit)
        out.limit = otherwise;
    return out;
}

int store_insert(struct store *s, enum collection c, const struct value *doc,
                 struct status *st) {
    assert(c < COLLECTION_COUNT);
    if (store_check_document(doc, st) < 0)
        return -1;
    return s->ops->insert(s, c, doc, 1, st);
}

int store_insert_many(struct store *s, enum collection c, const struct value *docs,
                      struct status *st) {
    assert(c < COLLECTION_COUNT && value_is_array(docs));
    for (VALUE_EACH_ITEM(doc, docs))
        if (store_check_document(doc, st) < 0)
            return -1;
    return docs->len ? s->ops->insert(s, c, docs->items, docs->len, st) : 0;
}

int store_get(struct store *s, struct arena *a, enum collection c, const char *id,
              const struct value **ret_doc, struct status *st) {
    assert(c < COLLECTION_COUNT);
    return s->ops->get(s, a, c, id, ret_doc, st);
}

int store_get_document(struct store *s, enum collection c, const char *id,
                       struct document **ret_doc, struct status *st) {
    assert(c < COLLECTION_COUNT);
    return s->ops->get_document(s, c, id, ret_doc, st);
}

int store_find(struct store *s, struct arena *a, enum collection c,
               const struct store_query *q, const struct value **ret_doc,
               struct status *st) {
    struct store_query first = with_limit(q, 1);

    assert(c < COLLECTION_COUNT);
    first.limit = 1;
    return s->ops->find(s, a, c, &first, ret_doc, st);
}

int store_list(struct store *s, struct arena *a, enum collection c,
               const struct store_query *q, struct store_page *ret_page,
               struct status *st) {
    struct store_query full = with_limit(q, 1000);

    assert(c < COLLECTION_COUNT);
    return s->ops->list(s, a, c, &full, ret_page, st);
}

int store_count(struct store *s, enum collection c, const struct store_filter *where,
                uint64_t *ret_count, struct status *st) {
    assert(c < COLLECTION_COUNT);
    return s->ops->count(s, c, where, ret_count, st);
}

int store_replace(struct store *s, enum collection c, const struct value *doc,
                  const struct store_filter *expect, struct status *st) {
    assert(c < COLLECTION_COUNT);
    if (store_check_document(doc, st) < 0)
        return -1;
    return s->ops->replace(s, c, doc, expect, st);
}

int store_replace_many(struct store *s, enum collection c, const struct value *docs,
                       const struct store_filter *const *expects, size_t n,
                       struct status *st) {
    int rc = 0;

    assert(c < COLLECTION_COUNT);
    for (size_t i = 0; i < n; i++)
        if (store_check_document(&docs[i], st) < 0)
            return -1;
    if (n > 1 && s->ops->replace_many)
        return s->ops->replace_many(s, c, docs, expects, n, st);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = s->ops->replace(s, c, &docs[i], expects[i], st);
    return rc;
}

int store_update(struct store *s, struct arena *a, enum collection c, const char *id,
                 const struct store_filter *expect, const struct store_change *change,
                 const struct value **ret_doc, struct status *st) {
    assert(c < COLLECTION_COUNT && (a || !ret_doc));
    return s->ops->update(s, a, c, id, expect, change, ret_doc, st);
}

int store_update_many(struct store *s, enum collection c,
                      const struct store_filter *where, const struct store_change *change,
                      uint64_t *ret_count, struct status *st) {
    uint64_t count;

    assert(c < COLLECTION_COUNT);
    return s->ops->update_many(s, c, where, change, ret_count ? ret_count : &count, st);
}

int store_claim(struct store *s, struct arena *a, enum collection c,
                const struct store_query *q, const struct store_change *change,
                const struct value **ret_doc, struct status *st) {
    struct store_query first = with_limit(q, 1);

    assert(c < COLLECTION_COUNT && (a || !ret_doc));
    first.limit = 1;
    return s->ops->claim(s, a, c, &first, change, ret_doc, st);
}

int store_delete(struct store *s, enum collection c, const char *id,
                 const struct store_filter *expect, struct status *st) {
    assert(c < COLLECTION_COUNT);
    return s->ops->remove(s, c, id, expect, st);
}

int store_delete_many(struct store *s, enum collection c,
                      const struct store_filter *where, uint64_t *ret_count,
                      struct status *st) {
    uint64_t count;

    assert(c < COLLECTION_COUNT);
    return s->ops->remove_many(s, c, where, ret_count ? ret_count : &count, st);
}

int store_counter_add(struct store *s, const char *name, int64_t delta,
                      int64_t *ret_value, struct status *st) {
    return s->ops->counter_add(s, name, delta, ret_value, st);
}

int store_ping(struct store *s, struct status *st) {
    return s->ops->ping(s, st);
}

int store_settle(struct store *s, struct status *st) {
    return s->ops->settle ? s->ops->settle(s, st) : 0;
}

void store_close(struct store **sp) {
    if (*sp)
        (*sp)->ops->close(*sp);
    *sp = NULL;
}

/* ---- Opening ---- */

static int store_open_memory_at(const char *path, struct store **ret_store,
                                struct status *st) {
    (void)path;
    (void)st;
    *ret_store = store_open_memory();
    return 0;
}

static int store_open_mongodb(const char *scheme, const char *rest,
                              struct store **ret_store, struct status *st) {
    struct store_mongo_options o = {.uri =
                                        arena_printf(st->arena, "%s:%s", scheme, rest)};

    return store_open_mongo(&o, ret_store, st);
}

static int store_open_mongodb_at(const char *rest, struct store **ret_store,
                                 struct status *st) {
    return store_open_mongodb("mongodb", rest, ret_store, st);
}

static int store_open_mongodb_srv_at(const char *rest, struct store **ret_store,
                                     struct status *st) {
    return store_open_mongodb("mongodb+srv", rest, ret_store, st);
}

int store_open(const char *address, struct store **ret_store, struct status *st) {
    static const struct {
        const char *scheme;
        int (*open)(const char *, struct store **, struct status *);
    } backends[] = {
#define STORE(scheme, open, about) {scheme, open},
#include "stores.def"
    };

    for (size_t i = 0; i < sizeof(backends) / sizeof(*backends); i++) {
        size_t n = strlen(backends[i].scheme);

        if (strncmp(address, backends[i].scheme, n) == 0 && address[n] == ':')
            return backends[i].open(address + n + 1, ret_store, st);
    }
    return st_fail(st, ST_CONFIGURATION, NULL,
                   "No document store knows addresses of this kind.");
}

bool store_version(const struct store *s, enum collection c, unsigned *ret_version) {
    assert(c < COLLECTION_COUNT);
    return s->ops->version && s->ops->version(s, c, ret_version);
}
