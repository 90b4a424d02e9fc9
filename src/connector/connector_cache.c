/*
 * connector_cache.c - parsed contents, shared between threads.
 *
 * Keys name immutable objects, so nothing is ever stale; the least recently used entries
 * leave when the whole grows over its bound. One lock around a short list: a process
 * works with tens of connectors, not thousands.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "blob/blob.h"
#include "connector_priv.h"
#include "deps/deps.h"
#include "value/value.h"

#define MAX_CONTENTS_BYTES ((size_t)128 * 1024 * 1024)

struct entry {
    struct entry *next; /* most recently used first */
    char *key;
    struct document *doc;
};

struct connector_cache {
    pthread_mutex_t mu;
    struct entry *entries; /* guarded by: mu */
    size_t bytes;          /* guarded by: mu */
    size_t max_bytes;
};

struct connector_cache *connector_cache_new(size_t max_bytes) {
    struct connector_cache *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    pthread_mutex_init(&c->mu, NULL);
    c->max_bytes = max_bytes;
    return c;
}

static void entry_free(struct entry *e) {
    document_unref(&e->doc);
    free(e->key);
    free(e);
}

void connector_cache_free(struct connector_cache **cp) {
    struct connector_cache *c = *cp;
    struct entry *e;

    if (!c)
        return;
    while ((e = c->entries)) {
        c->entries = e->next;
        entry_free(e);
    }
    pthread_mutex_destroy(&c->mu);
    free(c);
    *cp = NULL;
}

/* Gives a reference, or NULL. */
static struct document *cache_get(struct connector_cache *c, const char *key) {
    struct document *doc = NULL;

    pthread_mutex_lock(&c->mu);
    for (struct entry **p = &c->entries; *p; p = &(*p)->next) {
        struct entry *e = *p;

        if (strcmp(e->key, key) != 0)
            continue;
        *p = e->next;
        e->next = c->entries;
        c->entries = e;
        doc = document_ref(e->doc);
        break;
    }
    pthread_mutex_unlock(&c->mu);
    return doc;
}

static void cache_put(struct connector_cache *c, const char *key, struct document *doc) {
    struct entry *e = malloc(sizeof(*e)), *dropped = NULL;

    if (!e || !(e->key = strdup(key)))
        abort();
    e->doc = document_ref(doc);
    pthread_mutex_lock(&c->mu);
    e->next = c->entries;
    c->entries = e;
    c->bytes += document_size_bytes(doc);
    while (c->bytes > c->max_bytes && c->entries->next) {
        struct entry **last = &c->entries;

        while ((*last)->next)
            last = &(*last)->next;
        c->bytes -= document_size_bytes((*last)->doc);
        (*last)->next = dropped;
        dropped = *last;
        *last = NULL;
    }
    pthread_mutex_unlock(&c->mu);
    while (dropped) {
        e = dropped->next;
        entry_free(dropped);
        dropped = e;
    }
}

int connector_contents(const struct deps *deps, struct arena *a, const char *contents_key,
                       const struct value **ret_contents, struct status *st) {
    struct document *doc =
        deps->connectors ? cache_get(deps->connectors, contents_key) : NULL;
    struct arena *own;
    const struct value *v;
    struct bytes body;
    int rc;

    if (!doc) {
        rc = blob_get(deps->blob, a, BLOB_CONNECTORS, contents_key, MAX_CONTENTS_BYTES,
                      &body, NULL, st);
        if (rc < 0)
            return -1;
        if (rc == 1)
            return st_fail(st, ST_INTERNAL, NULL, "the connector's files are missing: %s",
                           contents_key);
        own = arena_new(body.len * 2);
        if (value_parse(own, body.data, body.len, NULL, &v, st) < 0) {
            arena_free(&own);
            return st_wrap(st, ST_INTERNAL, NULL, "the connector's files are damaged: %s",
                           contents_key);
        }
        doc = document_new(&own, v);
        if (deps->connectors)
            cache_put(deps->connectors, contents_key, doc);
    }
    *ret_contents = document_hold(doc, a);
    document_unref(&doc);
    return 0;
}
