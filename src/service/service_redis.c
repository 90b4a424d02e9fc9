/*
 * service_redis.c - Redis, where it is configured: dispatch of tasks, locks, counters and
 * messages that several processes share. It is waited for at start; later it may come and
 * go: what needs it answers 503 meanwhile, and readiness says so.
 */
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "coord/coord.h"
#include "redis/redis.h"
#include "service_priv.h"

static void changed(void *ctx, bool is_up, const char *why) {
    const struct service *s = ctx;

    if (is_up)
        log_info(&s->log, "Redis answers");
    else
        log_warn(&s->log, "Redis does not answer", "err=%s", why ? why : "");
}

/* Asks until it answers or the time is over. */
static int wait_for(struct service *s, struct redis_facts *ret, struct status *st) {
    const struct config *c = s->deps.config;
    int64_t end = clock_monotonic_ms(s->deps.clock) + c->startup_timeout_seconds * 1000;
    struct timespec pause = {0, 250 * 1000000};
    bool told = false;

    while (redis_inspect(s->deps.redis, s->arena, ret, st) < 0) {
        if (clock_monotonic_ms(s->deps.clock) >= end)
            return -1;
        if (!told)
            log_warn(&s->log, "Redis does not answer yet", "err=%s", st->message);
        told = true;
        st_clear(st);
        nanosleep(&pause, NULL);
    }
    return 0;
}

static void warn(struct service *s, const struct redis_facts *f) {
    if (f->may_evict)
        log_warn(&s->log,
                 "Redis may evict waiting tasks and locks: set maxmemory-policy to "
                 "noeviction",
                 "maxmemoryPolicy=%s", f->eviction);
    if (f->is_old)
        log_warn(&s->log, "Redis is older than 6.0", "version=%s", f->version);
    log_info(&s->log, "Redis found", "version=%s nodes=%u", f->version ? f->version : "?",
             f->nodes);
}

int service_open_redis(struct service *s, int *ret_exit, struct status *st) {
    const struct config *c = s->deps.config;
    struct redis_facts facts;

    if (!c->redis_uri && !c->redis_cluster_uris_len) {
        s->deps.coord = coord_open_memory();
        return 0;
    }
    *ret_exit = EX_CONFIG;
    if (redis_open(
            &(struct redis_options){
                .uri = c->redis_uri,
                .cluster_uris = c->redis_cluster_uris,
                .cluster_uris_len = c->redis_cluster_uris_len,
                .ca_file = c->redis_tls_ca_file ? c->redis_tls_ca_file : c->extra_ca_file,
                .skip_tls_verify = c->redis_disable_tls_verification,
                .metrics = s->deps.metrics,
                .changed = changed,
                .ctx = s,
            },
            &s->deps.redis, st) < 0)
        return -1;
    *ret_exit = EX_TEMPFAIL;
    if (wait_for(s, &facts, st) < 0)
        return -1;
    warn(s, &facts);
    s->deps.coord = coord_open_redis(s->deps.redis);
    return 0;
}
