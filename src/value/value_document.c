#include "value.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"

struct document {
    atomic_uint refs;
    struct arena *arena;
    const struct value *root;
    size_t size_bytes;
};

struct document *document_new(struct arena **arena, const struct value *root) {
    struct document *d = malloc(sizeof(*d));

    if (!d)
        abort();
    atomic_init(&d->refs, 1);
    d->arena = *arena;
    d->root = root;
    d->size_bytes = arena_used(d->arena);
    *arena = NULL;
    return d;
}

struct document *document_ref(struct document *d) {
    unsigned before = atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);

    assert(before > 0 && before < 1u << 31);
    return d;
}

void document_unref(struct document **dp) {
    struct document *d = *dp;

    *dp = NULL;
    if (!d)
        return;
    /* acq_rel rather than a fence for the last one: the thread sanitizer sees no fences
     */
    if (atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(&d->arena);
    free(d);
}

const struct value *document_root(const struct document *d) {
    return d->root;
}

static void release(void *ptr) {
    struct document *d = ptr;

    document_unref(&d);
}

const struct value *document_hold(struct document *d, struct arena *a) {
    arena_defer(a, release, document_ref(d));
    return d->root;
}

size_t document_size_bytes(const struct document *d) {
    return d->size_bytes;
}
