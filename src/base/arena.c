/*
 * arena.c - bump allocation in a chain of blocks.
 *
 * A block doubles the size of the one before it up to BLOCK_MAX; a request
 * larger than half a block gets a block of its own, so that it does not waste
 * the current one. malloc per node was the rejected alternative: building a
 * value is mostly small allocations, and freeing them one by one costs as much
 * as making them.
 */
#include "arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature) && !defined(__SANITIZE_ADDRESS__)
#if __has_feature(address_sanitizer) /* clang */
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define REDZONE        16
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define REDZONE        0
#endif

#define ALIGN       16
#define BLOCK_FIRST 1024
#define BLOCK_MAX   ((size_t)256 * 1024)

struct block {
    struct block *prev;
    size_t size; /* usable bytes */
    size_t used;
    size_t pad;
    char mem[];
};

struct deferred {
    struct deferred *prev;
    void (*fn)(void *);
    void *ptr;
};

struct arena {
    struct block *block; /* newest; bump allocation happens here */
    struct deferred *deferred;
    size_t used;
    size_t limit;
    size_t next_size;
    struct arena_budget *budget; /* or NULL */
    size_t charged;              /* to the budget */
};

static struct block *block_new(size_t size) {
    struct block *b;

    if (size > SIZE_MAX - sizeof(*b) || !(b = malloc(sizeof(*b) + size))) {
        fputs("out of memory\n", stderr);
        abort();
    }
    b->prev = NULL;
    b->size = size;
    b->used = 0;
    b->pad = 0;
    POISON(b->mem, b->size);
    return b;
}

static void block_free(struct block *b) {
    UNPOISON(b->mem, b->size);
    free(b);
}

static void charge(struct arena *a, size_t bytes) {
    if (!a->budget)
        return;
    a->charged += bytes;
    atomic_fetch_add_explicit(&a->budget->used, bytes, memory_order_relaxed);
}

static void discharge(struct arena *a) {
    if (a->budget)
        atomic_fetch_sub_explicit(&a->budget->used, a->charged, memory_order_relaxed);
    a->charged = 0;
}

struct arena *arena_new(size_t hint_bytes) {
    struct arena *a = malloc(sizeof(*a));
    size_t first = hint_bytes ? hint_bytes : BLOCK_FIRST;

    if (!a)
        abort();
    if (first < 256)
        first = 256;
    a->block = block_new(first);
    a->deferred = NULL;
    a->used = 0;
    a->limit = 0;
    a->budget = NULL;
    a->charged = 0;
    a->next_size = first * 2 < BLOCK_MAX ? first * 2 : BLOCK_MAX;
    return a;
}

static void run_deferred(struct arena *a) {
    struct deferred *d;

    while ((d = a->deferred)) {
        a->deferred = d->prev;
        d->fn(d->ptr);
    }
}

void arena_free(struct arena **ap) {
    struct arena *a = *ap;
    struct block *b, *prev;

    if (!a)
        return;
    run_deferred(a);
    discharge(a);
    for (b = a->block; b; b = prev) {
        prev = b->prev;
        block_free(b);
    }
    free(a);
    *ap = NULL;
}

void arena_reset(struct arena *a) {
    struct block *b;

    run_deferred(a);
    discharge(a);
    while (a->block->prev) {
        b = a->block;
        a->block = b->prev;
        block_free(b);
    }
    if (a->block->size > BLOCK_MAX) { /* a large one of its own came to be the oldest */
        block_free(a->block);
        a->block = block_new(BLOCK_FIRST);
    }
    a->block->used = 0;
    /* From the start again: an arena that is used many times would come to take blocks of
     * the largest size for its first few kB. */
    a->next_size = a->block->size * 2 < BLOCK_MAX ? a->block->size * 2 : BLOCK_MAX;
    charge(a, a->block->size);
    POISON(a->block->mem, a->block->size);
    a->used = 0;
}

void *arena_alloc(struct arena *a, size_t size) {
    struct block *b = a->block;
    size_t need;
    void *p;

    assert(size < SIZE_MAX / 4);
    need = (size + REDZONE + (ALIGN - 1)) & ~(size_t)(ALIGN - 1);
    if (need == 0)
        need = ALIGN;
    a->used += need;
    if (need > b->size - b->used) {
        if (need > a->next_size / 2) {
            /* Own block, kept behind the current one so that it stays current.
             */
            struct block *own = block_new(need);

            charge(a, need);
            own->used = need;
            own->prev = b->prev;
            b->prev = own;
            UNPOISON(own->mem, size);
            return own->mem;
        }
        b = block_new(a->next_size);
        charge(a, a->next_size);
        b->prev = a->block;
        a->block = b;
        if (a->next_size < BLOCK_MAX)
            a->next_size *= 2;
    }
    p = b->mem + b->used;
    b->used += need;
    UNPOISON(p, size);
    return p;
}

void *arena_zalloc(struct arena *a, size_t size) {
    return memset(arena_alloc(a, size), 0, size);
}

void *arena_grow(struct arena *a, void *p, size_t old_size, size_t new_size) {
    void *q;

    assert(new_size >= old_size);
    if (p && REDZONE == 0) {
        struct block *b = a->block;
        size_t had = (old_size + (ALIGN - 1)) & ~(size_t)(ALIGN - 1);
        size_t need = (new_size + (ALIGN - 1)) & ~(size_t)(ALIGN - 1);

        if (had == 0)
            had = ALIGN;
        if (need == 0)
            need = ALIGN;
        if (b->used >= had && (char *)p == b->mem + b->used - had &&
            need - had <= b->size - b->used) {
            b->used += need - had;
            a->used += need - had;
            return p;
        }
    }
    q = arena_alloc(a, new_size);
    if (p && old_size)
        memcpy(q, p, old_size);
    return q;
}

char *arena_memdup(struct arena *a, const void *s, size_t len) {
    char *p = arena_alloc(a, len + 1);

    if (len)
        memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *arena_strdup(struct arena *a, const char *s) {
    return arena_memdup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) {
    va_list again;
    char small[256], *p;
    int n;

    va_copy(again, ap);
    n = vsnprintf(small, sizeof(small), fmt, ap);
    assert(n >= 0);
    if ((size_t)n < sizeof(small)) {
        p = arena_memdup(a, small, (size_t)n);
    } else {
        p = arena_alloc(a, (size_t)n + 1);
        vsnprintf(p, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap;
    char *p;

    va_start(ap, fmt);
    p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *ptr) {
    struct deferred *d = arena_alloc(a, sizeof(*d));

    d->fn = fn;
    d->ptr = ptr;
    d->prev = a->deferred;
    a->deferred = d;
}

size_t arena_used(const struct arena *a) {
    return a->used;
}

void arena_set_limit(struct arena *a, size_t limit_bytes) {
    a->limit = limit_bytes;
}

static bool is_spent(const struct arena_budget *b) {
    return b && b->limit &&
           atomic_load_explicit(&b->used, memory_order_relaxed) > b->limit;
}

int arena_exceeded(const struct arena *a) {
    return (a->limit && a->used > a->limit) || is_spent(a->budget);
}

void arena_set_budget(struct arena *a, struct arena_budget *budget) {
    discharge(a);
    a->budget = budget;
}

void arena_share_budget(struct arena *a, const struct arena *with) {
    arena_set_budget(a, with->budget);
}
