/*
 * redis_node.c - the connections to one node: a small pool, and the back-off of a node
 * that can't be reached.
 *
 * One mutex of the client guards all pools: it is never held across I/O. A connection
 * that broke takes the idle ones of its node with it, for they share its fate.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/status.h"
#include "redis_priv.h"

enum { BACKOFF_FIRST_MS = 50, BACKOFF_MAX_MS = 2000 };

struct redis_idle {
    struct redis_idle *next;
    struct redis_conn *conn;
};

int redis_jitter(int base_ms) {
    unsigned n;

    rand_system()->fill(rand_system(), &n, sizeof(n));
    return base_ms / 2 + (int)(n % (unsigned)(base_ms / 2 + 1));
}

struct redis_node *redis_node_get(struct redis *r, const char *host, int port) {
    struct redis_node *n;

    for (n = r->nodes; n; n = n->next)
        if (n->port == port && strcmp(n->host, host) == 0)
            return n;
    n = calloc(1, sizeof(*n));
    if (!n || !(n->host = strdup(host)))
        abort();
    n->port = port;
    n->next = r->nodes;
    r->nodes = n;
    return n;
}

static struct redis_conn *pop_idle(struct redis *r, struct redis_node *n) {
    struct redis_idle *i = n->idle;
    struct redis_conn *c;

    if (!i)
        return NULL;
    c = i->conn;
    n->idle = i->next;
    free(i);
    atomic_fetch_sub(&r->idle_count, 1);
    return c;
}

static void drop_idle(struct redis *r, struct redis_node *n) {
    struct redis_conn *c;

    while ((c = pop_idle(r, n))) {
        redis_conn_close(&c); /* quick: no wait for the other side */
        n->open--;
    }
}

void redis_node_free(struct redis *r, struct redis_node *n) {
    drop_idle(r, n);
    free(n->host);
    free(n);
}

void redis_node_unuse(struct redis *r, struct redis_node *n) {
    pthread_mutex_lock(&r->mu);
    n->users--;
    pthread_mutex_unlock(&r->mu);
}

void redis_target_of(const struct redis *r, const struct redis_node *n,
                     struct redis_target *ret) {
    const struct redis_uri *u = &r->seeds[0];

    /* a seed has its own credentials; nodes found later have the first seed's */
    for (size_t i = 0; i < r->seeds_len; i++)
        if (r->seeds[i].port == n->port && strcmp(r->seeds[i].host, n->host) == 0)
            u = &r->seeds[i];
    *ret = (struct redis_target){
        .host = n->host,
        .port = n->port,
        .tls = r->tls,
        .seed_host = r->seeds[0].host,
        .skip_tls_verify = r->o.skip_tls_verify,
        .user = u->user,
        .password = u->password,
        .database = u->database,
        .max_reply_bytes = r->o.max_reply_bytes,
    };
}

static void failed(struct redis_node *n) {
    n->backoff_ms = n->backoff_ms ? 2 * n->backoff_ms : BACKOFF_FIRST_MS;
    if (n->backoff_ms > BACKOFF_MAX_MS)
        n->backoff_ms = BACKOFF_MAX_MS;
    n->retry_at_ms = redis_now_ms() + redis_jitter(n->backoff_ms);
}

static int open_new(struct redis *r, struct redis_node *n, int64_t deadline_ms,
                    struct redis_conn **ret, struct status *st) {
    struct redis_target t;
    int rc;

    redis_target_of(r, n, &t);
    rc = redis_conn_open(&t, deadline_ms, ret, st);
    pthread_mutex_lock(&r->mu);
    n->opening--;
    if (rc < 0) {
        n->open--;
        failed(n);
        drop_idle(r, n);
    } else {
        n->backoff_ms = 0;
        n->retry_at_ms = 0;
        atomic_fetch_add(&r->busy_count, 1);
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
    return rc;
}

static void wait_until(struct redis *r, int64_t deadline_ms) {
    struct timespec t = {deadline_ms / 1000, (deadline_ms % 1000) * 1000000};

    pthread_cond_timedwait(&r->changed, &r->mu, &t);
}

int redis_node_take(struct redis *r, struct redis_node *n, int64_t deadline_ms,
                    struct redis_conn **ret, struct status *st) {
    struct redis_conn *c;

    pthread_mutex_lock(&r->mu);
    for (;;) {
        while ((c = pop_idle(r, n))) {
            if (redis_conn_is_fresh(c)) {
                atomic_fetch_add(&r->busy_count, 1);
                pthread_mutex_unlock(&r->mu);
                *ret = c;
                return 0;
            }
            redis_conn_close(&c);
            n->open--;
        }
        /* after a failure one tries, and the others don't wait for it */
        if (redis_now_ms() < n->retry_at_ms || (n->backoff_ms && n->opening)) {
            pthread_mutex_unlock(&r->mu);
            return st_fail(st, ST_INTERNAL, "unavailable",
                           "Redis at %s:%d: unreachable, tried again soon", n->host,
                           n->port);
        }
        if (n->open < r->o.pool_max) {
            n->open++;
            n->opening++;
            pthread_mutex_unlock(&r->mu);
            return open_new(r, n, deadline_ms, ret, st);
        }
        if (redis_now_ms() >= deadline_ms) {
            pthread_mutex_unlock(&r->mu);
            return st_fail(st, ST_CONCURRENCY, "unavailable",
                           "Redis at %s:%d: all %u connections are busy", n->host,
                           n->port, n->open);
        }
        wait_until(r, deadline_ms);
    }
}

void redis_node_give(struct redis *r, struct redis_node *n, struct redis_conn **c,
                     bool is_good) {
    struct redis_idle *i = is_good ? malloc(sizeof(*i)) : NULL;

    if (!is_good)
        redis_conn_close(c);
    else if (!i)
        abort();
    pthread_mutex_lock(&r->mu);
    if (is_good) {
        i->conn = *c;
        i->next = n->idle;
        n->idle = i;
        atomic_fetch_add(&r->idle_count, 1);
    } else {
        n->open--;
        drop_idle(r, n);
    }
    atomic_fetch_sub(&r->busy_count, 1);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
    *c = NULL;
}
