/*
 * blob_memory.c - the doubles: objects in memory, and a store that fails on request.
 */
#include "blob_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "value/value.h"

/* ---- In memory ---- */

struct object {
    struct object *next; /* by bucket, then key */
    enum blob_bucket bucket;
    char *key, *type, *data;
    size_t len;
    int64_t modified_ms;
};

struct memory {
    struct blob base;
    pthread_mutex_t mu;
    struct object *first; /* guarded by: mu */
};

static struct memory *memory_of(struct blob *b) {
    return (struct memory *)b;
}

static int compare(const struct object *o, enum blob_bucket bucket, const char *key) {
    return o->bucket != bucket ? (o->bucket < bucket ? -1 : 1) : strcmp(o->key, key);
}

/* Where the object is, or would be. */
static struct object **place(struct memory *m, enum blob_bucket bucket, const char *key) {
    struct object **at = &m->first;

    while (*at && compare(*at, bucket, key) < 0)
        at = &(*at)->next;
    return at;
}

static bool is_there(struct object *const *at, enum blob_bucket bucket, const char *key) {
    return *at && compare(*at, bucket, key) == 0;
}

static void object_free(struct object *o) {
    free(o->key);
    free(o->type);
    free(o->data);
    free(o);
}

static char *copy(const char *s, size_t len) {
    char *out = malloc(len + 1);

    if (!out)
        abort();
    if (len)
        memcpy(out, s, len);
    out[len] = '\0';
    return out;
}

/* All bytes of the source; 0 or -1. */
static int drain(const struct blob_source *source, struct buf *body, struct status *st) {
    size_t n = 1;

    while (n > 0) {
        if (source->pull(source->ctx, buf_reserve(body, 64 * 1024), 64 * 1024, &n, st) <
            0)
            return -1;
        body->len += n;
    }
    return 0;
}

static int memory_write(struct blob *b, enum blob_bucket bucket, const char *key,
                        const struct blob_source *source, const char *content_type,
                        struct status *st) {
    struct memory *m = memory_of(b);
    struct object *o, **at, *old;
    struct buf body = BUF_INIT;

    if (drain(source, &body, st) < 0) {
        buf_fini(&body);
        return -1;
    }
    if (!(o = calloc(1, sizeof(*o))))
        abort();
    o->bucket = bucket;
    o->key = copy(key, strlen(key));
    o->type = content_type ? copy(content_type, strlen(content_type)) : NULL;
    o->data = copy(body.data, body.len);
    o->len = body.len;
    buf_fini(&body);
    o->modified_ms = clock_now_ms(clock_system());
    pthread_mutex_lock(&m->mu);
    at = place(m, bucket, key);
    o->next = *at;
    if (is_there(at, bucket, key)) {
        old = *at;
        o->next = old->next;
        object_free(old);
    }
    *at = o;
    pthread_mutex_unlock(&m->mu);
    return 0;
}

static void fill_info(struct arena *a, const struct object *o, struct blob_info *ret) {
    ret->size_bytes = o->len;
    ret->modified_ms = o->modified_ms;
    ret->content_type = o->type ? arena_strdup(a, o->type) : NULL;
}

struct memory_reader {
    struct blob_reader base;
    char *data;
    size_t len, off;
};

static int reader_pull(struct blob_reader *r, char *buf, size_t max, size_t *ret_len,
                       struct status *st) {
    struct memory_reader *mr = (struct memory_reader *)r;
    size_t n = mr->len - mr->off < max ? mr->len - mr->off : max;

    (void)st;
    memcpy(buf, mr->data + mr->off, n);
    mr->off += n;
    *ret_len = n;
    return 0;
}

static void reader_close(struct blob_reader *r) {
    free(((struct memory_reader *)r)->data);
    free(r);
}

static int memory_open(struct blob *b, struct arena *a, enum blob_bucket bucket,
                       const char *key, struct blob_reader **ret_reader,
                       struct blob_info *ret_info, struct status *st) {
    struct memory *m = memory_of(b);
    struct memory_reader *r = NULL;
    struct object **at;

    (void)st;
    pthread_mutex_lock(&m->mu);
    at = place(m, bucket, key);
    if (is_there(at, bucket, key)) {
        if (!(r = malloc(sizeof(*r))))
            abort();
        *r = (struct memory_reader){
            {reader_pull, reader_close}, copy((*at)->data, (*at)->len), (*at)->len, 0};
        fill_info(a, *at, ret_info);
    }
    pthread_mutex_unlock(&m->mu);
    if (!r)
        return 1;
    *ret_reader = &r->base;
    return 0;
}

static int memory_stat(struct blob *b, struct arena *a, enum blob_bucket bucket,
                       const char *key, struct blob_info *ret_info, struct status *st) {
    struct memory *m = memory_of(b);
    struct object **at;
    bool found;

    (void)st;
    pthread_mutex_lock(&m->mu);
    at = place(m, bucket, key);
    if ((found = is_there(at, bucket, key)))
        fill_info(a, *at, ret_info);
    pthread_mutex_unlock(&m->mu);
    return found ? 0 : 1;
}

static int memory_remove(struct blob *b, enum blob_bucket bucket, const char *key,
                         struct status *st) {
    struct memory *m = memory_of(b);
    struct object **at, *o = NULL;

    (void)st;
    pthread_mutex_lock(&m->mu);
    at = place(m, bucket, key);
    if (is_there(at, bucket, key)) {
        o = *at;
        *at = o->next;
    }
    pthread_mutex_unlock(&m->mu);
    if (!o)
        return 1;
    object_free(o);
    return 0;
}

static int memory_list(struct blob *b, struct arena *a, enum blob_bucket bucket,
                       const char *prefix, size_t limit, const struct value **ret_keys,
                       struct status *st) {
    struct memory *m = memory_of(b);
    struct array_builder keys;

    (void)st;
    array_begin(&keys, a, 0);
    pthread_mutex_lock(&m->mu);
    for (struct object *o = m->first; o && keys.len < limit; o = o->next)
        if (o->bucket == bucket && strncmp(o->key, prefix, strlen(prefix)) == 0)
            array_push(&keys, value_string(a, o->key));
    pthread_mutex_unlock(&m->mu);
    *ret_keys = array_end(&keys);
    return 0;
}

static int memory_url(struct blob *b, struct arena *a, enum blob_bucket bucket,
                      const char *key, int ttl_s, const char **ret_url,
                      struct status *st) {
    (void)b;
    (void)st;
    *ret_url = arena_printf(a, "memory://%s/%s?ttl=%d", blob_bucket_name(bucket),
                            blob_key_encode(a, key), ttl_s);
    return 0;
}

static void memory_close(struct blob *b) {
    struct memory *m = memory_of(b);
    struct object *o;

    while ((o = m->first)) {
        m->first = o->next;
        object_free(o);
    }
    pthread_mutex_destroy(&m->mu);
    free(m);
}

static const struct blob_ops memory_ops = {
    .scheme = "memory",
    .write = memory_write,
    .open = memory_open,
    .stat = memory_stat,
    .remove = memory_remove,
    .list = memory_list,
    .url = memory_url,
    .close = memory_close,
};

struct blob *blob_open_memory(void) {
    struct memory *m = calloc(1, sizeof(*m));

    if (!m)
        abort();
    m->base.ops = &memory_ops;
    pthread_mutex_init(&m->mu, NULL);
    return &m->base;
}

/* ---- Failing ---- */

struct failing {
    struct blob base;
    struct blob *inner;
    bool (*fail)(void *ctx, const char *op);
    void *ctx;
};

/* The backend to ask, or NULL with *st filled. */
static struct blob *pass(struct blob *b, const char *op, struct status *st) {
    struct failing *f = (struct failing *)b;

    if (!f->fail(f->ctx, op))
        return f->inner;
    st_fail(st, ST_INTERNAL, "unavailable", "The object storage can't be reached.");
    return NULL;
}

static int failing_write(struct blob *b, enum blob_bucket bucket, const char *key,
                         const struct blob_source *source, const char *content_type,
                         struct status *st) {
    struct blob *in = pass(b, "put", st);

    return in ? in->ops->write(in, bucket, key, source, content_type, st) : -1;
}

static int failing_open(struct blob *b, struct arena *a, enum blob_bucket bucket,
                        const char *key, struct blob_reader **ret_reader,
                        struct blob_info *ret_info, struct status *st) {
    struct blob *in = pass(b, "get", st);

    return in ? in->ops->open(in, a, bucket, key, ret_reader, ret_info, st) : -1;
}

static int failing_ping(struct blob *b, struct status *st) {
    struct blob *in = pass(b, "ping", st);

    return in ? blob_ping(in, st) : -1;
}

static int failing_stat(struct blob *b, struct arena *a, enum blob_bucket bucket,
                        const char *key, struct blob_info *ret_info, struct status *st) {
    struct blob *in = pass(b, "stat", st);

    return in ? in->ops->stat(in, a, bucket, key, ret_info, st) : -1;
}

static int failing_remove(struct blob *b, enum blob_bucket bucket, const char *key,
                          struct status *st) {
    struct blob *in = pass(b, "delete", st);

    return in ? in->ops->remove(in, bucket, key, st) : -1;
}

static int failing_list(struct blob *b, struct arena *a, enum blob_bucket bucket,
                        const char *prefix, size_t limit, const struct value **ret_keys,
                        struct status *st) {
    struct blob *in = pass(b, "list", st);

    return in ? in->ops->list(in, a, bucket, prefix, limit, ret_keys, st) : -1;
}

static int failing_url(struct blob *b, struct arena *a, enum blob_bucket bucket,
                       const char *key, int ttl_s, const char **ret_url,
                       struct status *st) {
    struct blob *in = pass(b, "url", st);

    return in ? in->ops->url(in, a, bucket, key, ttl_s, ret_url, st) : -1;
}

static void failing_close(struct blob *b) {
    struct failing *f = (struct failing *)b;

    blob_close(&f->inner);
    free(f);
}

static const struct blob_ops failing_ops = {
    .scheme = "failing",
    .write = failing_write,
    .open = failing_open,
    .stat = failing_stat,
    .remove = failing_remove,
    .list = failing_list,
    .url = failing_url,
    .ping = failing_ping,
    .close = failing_close,
};

struct blob *blob_open_failing(struct blob *inner,
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
