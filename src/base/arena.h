/*
 * arena.h - memory that dies together: one arena per request, job, node run or
 * document.
 *
 * Allocation never fails (the process aborts when the system has no memory);
 * sizes that come from outside are checked before they get here. An arena
 * belongs to one thread at a time. A document's arena is read by many threads
 * after it is sealed, never written.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

struct arena;

/* Gives a new, empty arena. hint_bytes: expected total size, 0 for the default.
 */
struct arena *arena_new(size_t hint_bytes);
/* Runs the deferred functions, last in first out, and frees everything. Leaves
 * NULL. */
void arena_free(struct arena **a);
/* As arena_free followed by arena_new, but keeps the first block for reuse. */
void arena_reset(struct arena *a);

/* Memory lends until the arena dies; aligned for any type; never NULL, also for
 * size 0. */
void *arena_alloc(struct arena *a, size_t size)
    __attribute__((malloc, alloc_size(2), returns_nonnull));
/* As arena_alloc, filled with zero bytes. */
void *arena_zalloc(struct arena *a, size_t size)
    __attribute__((malloc, alloc_size(2), returns_nonnull));
/*
 * Grows p from old_size to new_size, in place when p was the last allocation of
 * its block, else by copying. p NULL allocates.
 */
void *arena_grow(struct arena *a, void *p, size_t old_size, size_t new_size)
    __attribute__((returns_nonnull));
/* Copies of text, always NUL-terminated. */
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_memdup(struct arena *a, const void *s, size_t len)
    __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0), returns_nonnull));

/* Runs fn(ptr) when the arena is freed or reset, last in first out. */
void arena_defer(struct arena *a, void (*fn)(void *ptr), void *ptr);

/* Bytes handed out so far: the figure that limits and benchmarks read. */
size_t arena_used(const struct arena *a);

/*
 * Sets how many bytes the arena may hand out before arena_exceeded() answers
 * true. Allocation still succeeds above it: loops that build from outside input
 * ask between steps and end with an error. 0 means no limit.
 */
void arena_set_limit(struct arena *a, size_t limit_bytes);
int arena_exceeded(const struct arena *a);

/*
 * What several arenas, also of several threads, may hold together: the memory of one
 * task. Caller's memory; lives longer than the arenas.
 */
struct arena_budget {
    atomic_size_t used;
    size_t limit; /* 0: none */
};
/* What the arena takes from the system from now on is charged to the budget until it is
 * freed or reset; arena_exceeded() answers true also when the budget is spent. NULL ends
 * that. */
void arena_set_budget(struct arena *a, struct arena_budget *budget);
/* The same budget as another arena's, if that has one. */
void arena_share_budget(struct arena *a, const struct arena *with);

#endif
