/*
 * store_cached.c - parsed documents of small, often read collections, kept in memory.
 *
 * Two kinds of entry: a document under its id, and the answer of store_find() or
 * store_list() under the text of its query. Entries live in shards, each a hash table and
 * a list in order of use under one mutex; a shard over its share of bytes drops what was
 * used longest ago. Documents are immutable and counted, so a reader keeps what it got.
 *
 * Nothing stale after a write returned: every write marks what it may touch as in flight,
 * drops the entry, writes, counts up a generation, and unmarks. A reader that missed
 * notes the generation before it asks the backend, and keeps the answer only if the
 * generation is the same afterwards and nothing is in flight. Marks are per slot of ids
 * for writes of one document, and per collection for the rest: there a new generation
 * makes all older entries void at once.
 */
#include "store_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "store_map.h"
#include "value/value.h"

enum { SHARDS = 16, SLOTS = 1024, MAX_QUERY_TEXT = 512, ENTRY_BYTES = 160 };

struct entry {
    struct entry *next;          /* of the same bucket */
    struct entry *newer, *older; /* in order of use */
    uint64_t hash;
    unsigned generation; /* of the collection, when it was read */
    struct document *doc;
    size_t bytes, key_len;
    char key[];
};

struct shard {
    pthread_mutex_t mu;
    struct entry **buckets; /* guarded by: mu, as everything below */
    size_t buckets_len, len, bytes;
    struct entry *newest, *oldest;
};

/* What writes do to a slot of ids, or to a collection. */
struct version {
    atomic_uint in_flight, generation;
};

struct cached {
    struct store base;
    struct store *inner;
    size_t shard_bytes;
    struct shard shard[SHARDS];
    struct version slot[SLOTS];            /* writes of one document, by id */
    struct version many[COLLECTION_COUNT]; /* writes of any document */
    struct version any[COLLECTION_COUNT];  /* both: what found answers depend on */
};

static struct cached *cached_of(struct store *s) {
    return (struct cached *)s;
}

/* ---- Entries ---- */

static struct shard *shard_of(struct cached *s, uint64_t hash) {
    return &s->shard[hash >> 60 & (SHARDS - 1)];
}

static struct entry **place(struct shard *sh, uint64_t hash, const struct buf *key) {
    struct entry **at = &sh->buckets[hash & (sh->buckets_len - 1)];

    while (*at && !((*at)->hash == hash && (*at)->key_len == key->len &&
                    memcmp((*at)->key, key->data, key->len) == 0))
        at = &(*at)->next;
    return at;
}

static void unlink_use(struct shard *sh, struct entry *e) {
    *(e->newer ? &e->newer->older : &sh->newest) = e->older;
    *(e->older ? &e->older->newer : &sh->oldest) = e->newer;
}

static void link_newest(struct shard *sh, struct entry *e) {
    e->newer = NULL;
    e->older = sh->newest;
    *(sh->newest ? &sh->newest->newer : &sh->oldest) = e;
    sh->newest = e;
}

static void drop(struct shard *sh, struct entry **at) {
    struct entry *e = *at;

    *at = e->next;
    unlink_use(sh, e);
    sh->len--;
    sh->bytes -= e->bytes;
    document_unref(&e->doc);
    free(e);
}

static void drop_oldest(struct shard *sh) {
    struct entry **at = &sh->buckets[sh->oldest->hash & (sh->buckets_len - 1)];

    while (*at != sh->oldest)
        at = &(*at)->next;
    drop(sh, at);
}

static void grow(struct shard *sh) {
    size_t len = sh->buckets_len * 2;
    struct entry **buckets = calloc(len, sizeof(struct entry *)), *e, *next;

    if (!buckets)
        abort();
    for (size_t i = 0; i < sh->buckets_len; i++)
        for (e = sh->buckets[i]; e; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (len - 1)];
            buckets[e->hash & (len - 1)] = e;
        }
    free(sh->buckets);
    sh->buckets = buckets;
    sh->buckets_len = len;
}

static struct entry *entry_new(uint64_t hash, const struct buf *key, unsigned generation,
                               struct document *doc) {
    struct entry *e = malloc(sizeof(*e) + key->len);

    if (!e)
        abort();
    e->hash = hash;
    e->generation = generation;
    e->doc = document_ref(doc);
    e->bytes = document_size_bytes(doc) + key->len + ENTRY_BYTES;
    e->key_len = key->len;
    memcpy(e->key, key->data, key->len);
    return e;
}

/* ---- Versions ---- */

static bool at_rest(struct version *v, unsigned generation) {
    return atomic_load(&v->in_flight) == 0 && atomic_load(&v->generation) == generation;
}

static void write_begin(struct version *v) {
    atomic_fetch_add(&v->in_flight, 1);
}

static void write_end(struct version *v) {
    atomic_fetch_add(&v->generation, 1);
    atomic_fetch_sub(&v->in_flight, 1);
}

/* ---- Reading ---- */

/* A read under way: what it is called, and the versions its answer depends on. */
struct read {
    struct buf key;
    uint64_t hash;
    struct version *collection, *slot; /* slot: NULL for queries */
    unsigned generation, slot_generation;
};

static void read_begin(struct cached *s, struct read *r, enum collection c,
                       const char *id) {
    r->hash = store_hash(r->key.data, r->key.len, 0);
    r->collection = id ? &s->many[c] : &s->any[c];
    r->slot = id ? &s->slot[r->hash & (SLOTS - 1)] : NULL;
    r->generation = atomic_load(&r->collection->generation);
    r->slot_generation = r->slot ? atomic_load(&r->slot->generation) : 0;
}

/* Gives a reference, or NULL. */
static struct document *read_cache(struct cached *s, struct read *r) {
    struct shard *sh = shard_of(s, r->hash);
    struct document *doc = NULL;
    struct entry **at;

    pthread_mutex_lock(&sh->mu);
    at = place(sh, r->hash, &r->key);
    if (*at && at_rest(r->collection, (*at)->generation)) {
        doc = document_ref((*at)->doc);
        if (sh->newest != *at) {
            unlink_use(sh, *at);
            link_newest(sh, *at);
        }
    }
    pthread_mutex_unlock(&sh->mu);
    return doc;
}

/* Keeps an answer of the backend, if no write came between. */
static void read_keep(struct cached *s, struct read *r, struct document *doc) {
    struct shard *sh = shard_of(s, r->hash);
    struct entry **at, *e;

    if (document_size_bytes(doc) > s->shard_bytes / 4)
        return;
    pthread_mutex_lock(&sh->mu);
    if (at_rest(r->collection, r->generation) &&
        (!r->slot || at_rest(r->slot, r->slot_generation))) {
        at = place(sh, r->hash, &r->key);
        if (*at)
            drop(sh, at);
        if (sh->len >= sh->buckets_len)
            grow(sh);
        e = entry_new(r->hash, &r->key, r->generation, doc);
        at = &sh->buckets[r->hash & (sh->buckets_len - 1)];
        e->next = *at;
        *at = e;
        link_newest(sh, e);
        sh->len++;
        sh->bytes += e->bytes;
        while (sh->bytes > s->shard_bytes)
            drop_oldest(sh);
    }
    pthread_mutex_unlock(&sh->mu);
}

static void id_key(struct buf *b, enum collection c, const char *id) {
    buf_addc(b, 'i');
    buf_addc(b, (char)c);
    buf_adds(b, id);
}

static int cached_get_document(struct store *base, enum collection c, const char *id,
                               struct document **ret_doc, struct status *st) {
    struct cached *s = cached_of(base);
    struct read r = {.key = BUF_INIT};
    int rc = 0;

    if (!store_collection_cached(c))
        return s->inner->ops->get_document(s->inner, c, id, ret_doc, st);
    id_key(&r.key, c, id);
    read_begin(s, &r, c, id);
    if (!(*ret_doc = read_cache(s, &r))) {
        rc = s->inner->ops->get_document(s->inner, c, id, ret_doc, st);
        if (rc == 0)
            read_keep(s, &r, *ret_doc);
    }
    buf_fini(&r.key);
    return rc;
}

static int cached_get(struct store *base, struct arena *a, enum collection c,
                      const char *id, const struct value **ret_doc, struct status *st) {
    struct store *inner = cached_of(base)->inner;
    struct document *doc;
    int rc;

    if (!store_collection_cached(c))
        return inner->ops->get(inner, a, c, id, ret_doc, st);
    rc = cached_get_document(base, c, id, &doc, st);
    if (rc)
        return rc;
    *ret_doc = document_hold(doc, a);
    document_unref(&doc);
    return 0;
}

/* A query as text that two queries share only if they mean the same. */
static void filter_key(struct buf *b, const struct store_filter *f) {
    buf_addf(b, "(%d ", f->op);
    if (f->field)
        buf_addf(b, "%s ", f->field);
    if (f->value)
        value_encode(b, f->value, VALUE_ENCODE_COMPACT);
    for (size_t i = 0; i < f->of_len && b->len <= MAX_QUERY_TEXT; i++)
        filter_key(b, f->of[i]);
    buf_addc(b, ')');
}

static void query_key(struct buf *b, char kind, enum collection c,
                      const struct store_query *q) {
    buf_addc(b, kind);
    buf_addc(b, (char)c);
    if (q->where)
        filter_key(b, q->where);
    for (size_t i = 0; i < store_sort_count(q); i++)
        buf_addf(b, " %c%s", q->sort[i].descending ? '-' : '+', q->sort[i].field);
    buf_addf(b, " %zu %s", q->limit, q->cursor ? q->cursor : "0");
}

/* Asks the backend; the answer as a document: what was found, or {items, cursor}. */
static int find_document(struct store *inner, enum collection c,
                         const struct store_query *q, struct document **ret_doc,
                         struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *root;
    int rc = inner->ops->find(inner, a, c, q, &root, st);

    if (rc == 0)
        *ret_doc = document_new(&a, root);
    arena_free(&a);
    return rc;
}

static int list_document(struct store *inner, enum collection c,
                         const struct store_query *q, struct document **ret_doc,
                         struct status *st) {
    struct arena *a = arena_new(0);
    struct store_page page;
    int rc = inner->ops->list(inner, a, c, q, &page, st);

    if (rc == 0)
        *ret_doc = document_new(
            &a, value_obj(a, "items", page.items, "cursor",
                          page.cursor ? value_string(a, page.cursor) : NULL, NULL));
    arena_free(&a);
    return rc;
}

/* The answer under `key` (takes it), out of the cache or by asking; held by `a`. */
static int read_through(struct cached *s, struct arena *a, struct buf key,
                        enum collection c, const struct store_query *q,
                        int (*ask)(struct store *, enum collection,
                                   const struct store_query *, struct document **,
                                   struct status *),
                        const struct value **ret_root, struct status *st) {
    struct read r = {.key = key};
    struct document *doc;
    int rc = 0;

    read_begin(s, &r, c, NULL);
    if (!(doc = read_cache(s, &r))) {
        rc = ask(s->inner, c, q, &doc, st);
        if (rc == 0)
            read_keep(s, &r, doc);
    }
    buf_fini(&r.key);
    if (rc == 0) {
        *ret_root = document_hold(doc, a);
        document_unref(&doc);
    }
    return rc;
}

/* False when answers of this query aren't kept. */
static bool has_key(enum collection c, const struct store_query *q, char kind,
                    struct buf *key) {
    *key = (struct buf)BUF_INIT;
    if (!store_collection_cached(c))
        return false;
    query_key(key, kind, c, q);
    if (key->len <= MAX_QUERY_TEXT)
        return true;
    buf_fini(key);
    return false;
}

static int cached_find(struct store *base, struct arena *a, enum collection c,
                       const struct store_query *q, const struct value **ret_doc,
                       struct status *st) {
    struct cached *s = cached_of(base);
    struct buf key;

    if (!has_key(c, q, 'f', &key))
        return s->inner->ops->find(s->inner, a, c, q, ret_doc, st);
    return read_through(s, a, key, c, q, find_document, ret_doc, st);
}

static int cached_list(struct store *base, struct arena *a, enum collection c,
                       const struct store_query *q, struct store_page *ret_page,
                       struct status *st) {
    struct cached *s = cached_of(base);
    const struct value *page;
    struct buf key;

    if (!has_key(c, q, 'l', &key))
        return s->inner->ops->list(s->inner, a, c, q, ret_page, st);
    if (read_through(s, a, key, c, q, list_document, &page, st) < 0)
        return -1;
    ret_page->items = value_get(page, "items");
    ret_page->cursor = value_get_string(page, "cursor", NULL);
    return 0;
}

static int cached_count(struct store *base, enum collection c,
                        const struct store_filter *where, uint64_t *ret_count,
                        struct status *st) {
    struct store *inner = cached_of(base)->inner;

    return inner->ops->count(inner, c, where, ret_count, st);
}

/* ---- Writing ---- */

/* Marks a write of one document (id) or of any (NULL). */
static struct version *begin(struct cached *s, enum collection c, const char *id) {
    struct buf key = BUF_INIT;
    struct version *v = &s->many[c];
    struct entry **at;
    struct shard *sh;
    uint64_t hash;

    write_begin(&s->any[c]);
    if (!id) {
        write_begin(v);
        return v;
    }
    id_key(&key, c, id);
    hash = store_hash(key.data, key.len, 0);
    v = &s->slot[hash & (SLOTS - 1)];
    write_begin(v);
    sh = shard_of(s, hash);
    pthread_mutex_lock(&sh->mu);
    at = place(sh, hash, &key);
    if (*at)
        drop(sh, at);
    pthread_mutex_unlock(&sh->mu);
    buf_fini(&key);
    return v;
}

static void end(struct cached *s, enum collection c, struct version *v) {
    write_end(v);
    write_end(&s->any[c]);
}

static bool cached_version(const struct store *base, enum collection c,
                           unsigned *ret_version) {
    const struct cached *s = (const struct cached *)base;

    *ret_version = atomic_load(&s->any[c].generation);
    return atomic_load(&s->any[c].in_flight) == 0;
}

static int cached_insert(struct store *base, enum collection c, const struct value *docs,
                         size_t n, struct status *st) {
    struct cached *s = cached_of(base);
    int rc;

    /* A new id has no entry: only answers of queries can change. */
    write_begin(&s->any[c]);
    rc = s->inner->ops->insert(s->inner, c, docs, n, st);
    write_end(&s->any[c]);
    return rc;
}

static int cached_replace(struct store *base, enum collection c, const struct value *doc,
                          const struct store_filter *expect, struct status *st) {
    struct cached *s = cached_of(base);
    struct version *v = begin(s, c, value_text(value_get(doc, "id")));
    int rc = s->inner->ops->replace(s->inner, c, doc, expect, st);

    end(s, c, v);
    return rc;
}

static int cached_replace_many(struct store *base, enum collection c,
                               const struct value *docs,
                               const struct store_filter *const *expects, size_t n,
                               struct status *st) {
    struct cached *s = cached_of(base);
    struct version *v = begin(s, c, NULL);
    int rc = store_replace_many(s->inner, c, docs, expects, n, st);

    end(s, c, v);
    return rc;
}

static int cached_update(struct store *base, struct arena *a, enum collection c,
                         const char *id, const struct store_filter *expect,
                         const struct store_change *change, const struct value **ret_doc,
                         struct status *st) {
    struct cached *s = cached_of(base);
    struct version *v = begin(s, c, id);
    int rc = s->inner->ops->update(s->inner, a, c, id, expect, change, ret_doc, st);

    end(s, c, v);
    return rc;
}

static int cached_update_many(struct store *base, enum collection c,
                              const struct store_filter *where,
                              const struct store_change *change, uint64_t *ret_count,
                              struct status *st) {
    struct cached *s = cached_of(base);
    struct version *v = begin(s, c, NULL);
    int rc = s->inner->ops->update_many(s->inner, c, where, change, ret_count, st);

    end(s, c, v);
    return rc;
}

static int cached_claim(struct store *base, struct arena *a, enum collection c,
                        const struct store_query *q, const struct store_change *change,
                        const struct value **ret_doc, struct status *st) {
    struct cached *s = cached_of(base);
    struct version *v = begin(s, c, NULL);
    int rc = s->inner->ops->claim(s->inner, a, c, q, change, ret_doc, st);

    end(s, c, v);
    return rc;
}

static int cached_remove(struct store *base, enum collection c, const char *id,
                         const struct store_filter *expect, struct status *st) {
    struct cached *s = cached_of(base);
    struct version *v = begin(s, c, id);
    int rc = s->inner->ops->remove(s->inner, c, id, expect, st);

    end(s, c, v);
    return rc;
}

static int cached_remove_many(struct store *base, enum collection c,
                              const struct store_filter *where, uint64_t *ret_count,
                              struct status *st) {
    struct cached *s = cached_of(base);
    struct version *v = begin(s, c, NULL);
    int rc = s->inner->ops->remove_many(s->inner, c, where, ret_count, st);

    end(s, c, v);
    return rc;
}

static int cached_counter_add(struct store *base, const char *name, int64_t delta,
                              int64_t *ret_value, struct status *st) {
    struct store *inner = cached_of(base)->inner;

    return inner->ops->counter_add(inner, name, delta, ret_value, st);
}

static int cached_settle(struct store *base, struct status *st) {
    return store_settle(cached_of(base)->inner, st);
}

static int cached_ping(struct store *base, struct status *st) {
    return store_ping(cached_of(base)->inner, st);
}

/* ---- Opening ---- */

static void cached_close(struct store *base) {
    struct cached *s = cached_of(base);

    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shard[i];

        while (sh->oldest)
            drop_oldest(sh);
        free(sh->buckets);
        pthread_mutex_destroy(&sh->mu);
    }
    store_close(&s->inner);
    free(s);
}

static const struct store_ops cached_ops = {
    .name = "cached",
    .insert = cached_insert,
    .get = cached_get,
    .get_document = cached_get_document,
    .find = cached_find,
    .list = cached_list,
    .count = cached_count,
    .replace = cached_replace,
    .replace_many = cached_replace_many,
    .update = cached_update,
    .update_many = cached_update_many,
    .claim = cached_claim,
    .remove = cached_remove,
    .remove_many = cached_remove_many,
    .counter_add = cached_counter_add,
    .ping = cached_ping,
    .settle = cached_settle,
    .close = cached_close,
    .version = cached_version,
};

struct store *store_open_cached(struct store *inner, size_t max_bytes) {
    struct cached *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->base.ops = &cached_ops;
    s->inner = inner;
    s->shard_bytes = max_bytes / SHARDS;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shard[i];

        pthread_mutex_init(&sh->mu, NULL);
        sh->buckets_len = 64;
        if (!(sh->buckets = calloc(sh->buckets_len, sizeof(struct entry *))))
            abort();
    }
    return &s->base;
}
