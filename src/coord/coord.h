/*
 * coord.h - what the processes of a deployment share for a moment: locks, counters and
 * messages. In memory for a process that is alone, in Redis for several.
 *
 * All of it may be lost at any time (coord in Redis: a flush). So a lock only keeps work
 * from being done twice; what must not happen twice is guarded in the store, by the fence
 * where nothing else tells old from new. Names are texts of any kind, up to 200 bytes.
 *
 * Threads: all functions may be called from all threads at once.
 * Errors: internal/unavailable (503) when Redis is away.
 */
#ifndef COORD_COORD_H
#define COORD_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena;
struct coord;
struct coord_lock;
struct redis;
struct status;

struct coord *coord_open_memory(void);
/* r must outlive it. */
struct coord *coord_open_redis(struct redis *r);
/* Locks were given back; nobody listens. NULL is fine. */
void coord_close(struct coord **c);

/* ---- Locks ---- */

/*
 * 0 held, -1 concurrency/lock_timeout after wait_ms (data: resourceId, timeoutMs). It is
 * held until it is given back, or until some seconds after this process died or lost
 * Redis. Not recursive.
 */
int coord_lock(struct coord *c, struct arena *a, const char *name, int wait_ms,
               struct coord_lock **ret, struct status *st);
/* NULL is fine. Leaves NULL. */
void coord_unlock(struct coord *c, struct coord_lock **l);
/* Greater than that of every holder before, also after a flush. */
uint64_t coord_lock_fence(const struct coord_lock *l);
/* Somebody else may hold it by now. */
bool coord_lock_is_lost(const struct coord_lock *l);

/* ---- Counters ---- */

/*
 * Adds n (0: only looks) to what was counted under the name in the last window_ms, and
 * tells the sum. The window slides: of the window before, the share that still reaches
 * into it counts. now_ms is the caller's.
 */
int coord_count(struct coord *c, const char *name, double n, int64_t window_ms,
                int64_t now_ms, double *ret_sum, struct status *st);
int coord_count_forget(struct coord *c, const char *name, struct status *st);

/* ---- Messages ---- */

/*
 * heard is called for each message of the topic, published by any process, this one
 * included; key NULL: messages may have been missed, see coord_recall. It must be quick
 * and must not call back. One listener per topic and process, there for good: before the
 * first thread publishes.
 */
typedef void (*coord_heard)(void *ctx, const char *key, struct bytes payload);
void coord_listen(struct coord *c, const char *topic, coord_heard heard, void *ctx);
/* Reaches who listens; kept for keep_ms for who comes late. */
int coord_publish(struct coord *c, const char *topic, const char *key,
                  struct bytes payload, int64_t keep_ms, struct status *st);
/*
 * What was published under the key and this process may have missed; perhaps also some
 * that it heard. In memory nothing is ever missed.
 */
int coord_recall(struct coord *c, struct arena *a, const char *topic, const char *key,
                 const struct bytes **ret, size_t *ret_len, struct status *st);

#endif
