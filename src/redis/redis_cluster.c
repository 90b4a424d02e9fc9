/*
 * redis_cluster.c - which node has a slot, and how that is found out.
 *
 * The map comes from CLUSTER SLOTS of any node that answers, known ones first, then the
 * seeds. It is asked for when there is none, when a node failed, and after a MOVED, by
 * one thread at a time; the others wait for its result. A MOVED also puts its one slot
 * right at once.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "redis_priv.h"

enum { GAP_MS = 50, RETRY_MS = 500, MAX_NODES = 1000 };

/* CRC-16/XMODEM, as the cluster's specification says. */
static unsigned crc16(const char *s, size_t len) {
    unsigned crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)(unsigned char)s[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
        crc &= 0xffff;
    }
    return crc;
}

unsigned redis_key_slot(const char *key, size_t len) {
    const char *open = memchr(key, '{', len), *close;

    if (open) {
        close = memchr(open + 1, '}', len - (size_t)(open + 1 - key));
        if (close && close > open + 1) {
            len = (size_t)(close - open - 1);
            key = open + 1;
        }
    }
    return crc16(key, len) % REDIS_SLOTS;
}

/* ---- The map ---- */

uint64_t redis_map_version(struct redis *r) {
    uint64_t v;

    pthread_mutex_lock(&r->mu);
    v = r->map_version;
    pthread_mutex_unlock(&r->mu);
    return v;
}

static struct redis_node *any_with_slots(struct redis *r) {
    struct redis_node *n, *pick = NULL;
    int64_t now = redis_now_ms();

    for (n = r->nodes; n; n = n->next)
        if (n->has_slots && (!pick || (pick->retry_at_ms > now && n->retry_at_ms <= now)))
            pick = n;
    return pick;
}

struct redis_node *redis_route(struct redis *r, const char *key) {
    struct redis_node *n;

    pthread_mutex_lock(&r->mu);
    if (!r->is_cluster)
        n = r->nodes;
    else
        n = key ? r->slots[redis_key_slot(key, strlen(key))] : any_with_slots(r);
    if (n)
        n->users++;
    pthread_mutex_unlock(&r->mu);
    return n;
}

static unsigned count_nodes(const struct redis *r) {
    unsigned n = 0;

    for (const struct redis_node *i = r->nodes; i; i = i->next)
        n++;
    return n;
}

struct redis_node *redis_route_to(struct redis *r, const char *host, int port) {
    struct redis_node *n = NULL;

    pthread_mutex_lock(&r->mu);
    if (count_nodes(r) < MAX_NODES) {
        n = redis_node_get(r, host, port);
        n->users++;
    }
    pthread_mutex_unlock(&r->mu);
    return n;
}

void redis_slot_moved(struct redis *r, unsigned slot, const char *host, int port) {
    pthread_mutex_lock(&r->mu);
    if (r->is_cluster && slot < REDIS_SLOTS && count_nodes(r) < MAX_NODES) {
        r->slots[slot] = redis_node_get(r, host, port);
        r->slots[slot]->has_slots = true;
        r->is_map_stale = true;
    }
    pthread_mutex_unlock(&r->mu);
}

/* What nobody needs any more. */
static void forget_nodes(struct redis *r) {
    struct redis_node **p = &r->nodes, *n;

    while ((n = *p))
        if (!n->is_seed && !n->has_slots && !n->users) {
            *p = n->next;
            redis_node_free(r, n);
        } else {
            p = &n->next;
        }
}

/* [[first, last, [host, port, id, ...], replicas ...] ...]; an empty host is the one that
 * was asked. */
static bool is_map(const struct redis_reply *reply) {
    if (reply->type != REDIS_LIST || reply->len == 0 || reply->len > REDIS_SLOTS)
        return false;
    for (size_t i = 0; i < reply->len; i++) {
        const struct redis_reply *row = reply->items[i];
        int64_t first = redis_item_integer(row, 0), last = redis_item_integer(row, 1);

        if (row->type != REDIS_LIST || row->len < 3 || first < 0 || first > last ||
            last >= REDIS_SLOTS || row->items[2]->type != REDIS_LIST ||
            redis_item_integer(row->items[2], 1) < 1 ||
            redis_item_integer(row->items[2], 1) > 65535)
            return false;
    }
    return true;
}

static void take_map(struct redis *r, const char *asked_host,
                     const struct redis_reply *reply) {
    memset(r->slots, 0, REDIS_SLOTS * sizeof(*r->slots));
    for (struct redis_node *n = r->nodes; n; n = n->next)
        n->has_slots = false;
    for (size_t i = 0; i < reply->len; i++) {
        const struct redis_reply *row = reply->items[i], *at = row->items[2];
        const char *host = redis_item_text(at, 0);
        struct redis_node *n;

        if (!*host || !strcmp(host, "?"))
            host = asked_host;
        if (count_nodes(r) >= MAX_NODES)
            break;
        n = redis_node_get(r, host, (int)redis_item_integer(at, 1));
        n->has_slots = true;
        for (int64_t s = redis_item_integer(row, 0); s <= redis_item_integer(row, 1); s++)
            r->slots[s] = n;
    }
    r->map_version++;
    r->is_map_stale = false;
    forget_nodes(r);
}

/* ---- Discovery ---- */

/* Nodes with slots first, then the seeds; each in use. */
static size_t candidates(struct redis *r, struct redis_node **list, size_t max) {
    size_t len = 0;

    for (int pass = 0; pass < 2; pass++)
        for (struct redis_node *n = r->nodes; n && len < max; n = n->next)
            if (pass == 0 ? n->has_slots : n->is_seed && !n->has_slots) {
                n->users++;
                list[len++] = n;
            }
    if (len > 1) { /* not always the same one */
        size_t at = (size_t)redis_jitter(2000) % len;
        struct redis_node *first = list[0];

        list[0] = list[at];
        list[at] = first;
    }
    return len;
}

static int ask(struct redis *r, struct redis_node *n, int64_t deadline_ms,
               struct status *st) {
    static const struct bytes words[] = {{"CLUSTER", 7}, {"SLOTS", 5}};
    const struct redis_reply *reply;
    struct arena *a = arena_new(0);
    struct buf b = BUF_INIT;
    bool sent = false;
    int rc;

    redis_format(&b, words, 2);
    rc = redis_exchange(r, n, a, (struct bytes){b.data, b.len}, 1, deadline_ms, &sent,
                        &reply, st);
    if (rc == 0 && reply->type == REDIS_ERROR)
        rc = st_fail(st, ST_INTERNAL, "unavailable", "Redis at %s:%d: %s", n->host,
                     n->port, reply->text);
    else if (rc == 0 && !is_map(reply))
        rc = st_fail(st, ST_INTERNAL, "unavailable",
                     "Redis at %s:%d: a cluster that serves no slots", n->host, n->port);
    if (rc == 0) {
        pthread_mutex_lock(&r->mu);
        take_map(r, n->host, reply);
        pthread_mutex_unlock(&r->mu);
    }
    buf_fini(&b);
    arena_free(&a);
    return rc;
}

static int ask_all(struct redis *r, int64_t deadline_ms, struct status *st) {
    struct redis_node *list[64];
    size_t len;
    int rc = -1;

    pthread_mutex_lock(&r->mu);
    len = candidates(r, list, 64);
    pthread_mutex_unlock(&r->mu);
    assert(len > 0); /* there are always seeds */
    for (size_t i = 0; i < len; i++) {
        int64_t left = deadline_ms - redis_now_ms();

        if (rc < 0 && (i == 0 || left > 0)) {
            st_clear(st);
            /* one that hangs must not use up the time of the others */
            rc = ask(r, list[i], redis_now_ms() + (left > 1500 ? 1500 : left), st);
        }
        redis_node_unuse(r, list[i]);
    }
    return rc;
}

/* By one thread at a time; is_discovering is set. */
static int discover_now(struct redis *r, int64_t deadline_ms, struct status *st) {
    int rc = ask_all(r, deadline_ms, st);

    pthread_mutex_lock(&r->mu);
    r->is_discovering = false;
    r->try_discovery_ms = redis_now_ms() + redis_jitter(rc < 0 ? RETRY_MS : GAP_MS);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
    return rc;
}

int redis_discover(struct redis *r, uint64_t map_version, int64_t deadline_ms,
                   struct status *st) {
    struct timespec until = {deadline_ms / 1000, (deadline_ms % 1000) * 1000000};
    bool is_new;

    pthread_mutex_lock(&r->mu);
    while (r->is_discovering && r->map_version == map_version &&
           redis_now_ms() < deadline_ms)
        pthread_cond_timedwait(&r->changed, &r->mu, &until);
    is_new = r->map_version != map_version;
    if (is_new || r->is_discovering) {
        pthread_mutex_unlock(&r->mu);
        return is_new ? 0
                      : st_fail(st, ST_INTERNAL, "unavailable",
                                "Redis: the cluster's nodes do not answer in time");
    }
    r->is_discovering = true;
    pthread_mutex_unlock(&r->mu);
    return discover_now(r, deadline_ms, st);
}

void redis_map_doubt(struct redis *r) {
    pthread_mutex_lock(&r->mu);
    r->is_map_stale = r->is_cluster;
    pthread_mutex_unlock(&r->mu);
}

void redis_refresh(struct redis *r, int64_t deadline_ms, struct arena *a) {
    struct status ignored;
    bool mine;

    pthread_mutex_lock(&r->mu);
    mine = r->is_map_stale && !r->is_discovering && redis_now_ms() >= r->try_discovery_ms;
    r->is_discovering |= mine;
    pthread_mutex_unlock(&r->mu);
    if (!mine)
        return;
    st_init(&ignored, a);
    discover_now(r, deadline_ms, &ignored);
}
