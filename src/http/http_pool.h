/*
 * http_pool.h - threads with small stacks that run blocking handlers: as many as are
 * blocked at once need, up to a bound; surplus ones end.
 */
#ifndef HTTP_HTTP_POOL_H
#define HTTP_HTTP_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct http_pool;

/* Part of the caller's own struct; the pool touches it until run is called. */
struct http_job {
    void (*run)(struct http_job *job);
    struct http_job *next; /* private */
    int64_t queued_us;     /* private */
};

/* NULL when not even the first threads can be made. */
struct http_pool *http_pool_new(unsigned max_jobs);
/*
 * 0 accepted: run is called once on some thread. 1 when max_jobs are queued or running
 * and the job is not `must`.
 */
int http_pool_submit(struct http_pool *p, struct http_job *job, bool must);
/* Threads that exist now. */
unsigned http_pool_threads(struct http_pool *p);
/* Waits for the jobs at work; nothing may be submitted any more. */
void http_pool_free(struct http_pool **p);

#endif
