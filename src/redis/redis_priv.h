/*
 * redis_priv.h - shared by the files of redis/: addresses, connections, nodes.
 */
#ifndef REDIS_REDIS_PRIV_H
#define REDIS_REDIS_PRIV_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "redis.h"

struct buf;
struct metric;
struct rand;
struct redisReader;

enum { REDIS_SLOTS = 16384 };

/* ---- redis_uri.c ---- */

struct redis_uri {
    bool is_tls;
    const char *user, *password; /* decoded; or NULL */
    const char *host;            /* without the brackets of IPv6 */
    int port, database;
};
/* Texts live in `a`. */
int redis_uri_parse(struct arena *a, const char *text, struct redis_uri *ret,
                    struct status *st);

/* ---- redis_conn.c: one connection, used by one thread at a time ---- */

struct redis_target {
    const char *host;
    int port;
    SSL_CTX *tls;          /* NULL: plain */
    const char *seed_host; /* another name that the certificate may carry; or NULL */
    bool skip_tls_verify;
    const char *user, *password;
    int database;
    size_t max_reply_bytes;
};

struct redis_conn;
/* Gives a connection that is logged in. Failures: internal/unavailable, whose message
 * says "unreachable" or "auth-failed". */
int redis_conn_open(const struct redis_target *t, int64_t deadline_ms,
                    struct redis_conn **ret, struct status *st);
void redis_conn_close(struct redis_conn **c);
/* Nothing arrived while it was idle, not even an end. */
bool redis_conn_is_fresh(struct redis_conn *c);
/* ret_sent: whether the server may have seen anything of it. */
int redis_conn_send(struct redis_conn *c, struct bytes data, int64_t deadline_ms,
                    bool *ret_sent, struct status *st);
/* 0, or -1; 1 only with wake_fd >= 0: it became readable first. */
int redis_conn_receive(struct redis_conn *c, struct arena *a, int64_t deadline_ms,
                       int wake_fd, const struct redis_reply **ret, struct status *st);

/* hiredis' form of a command, appended. */
void redis_format(struct buf *b, const struct bytes *args, size_t n);
int64_t redis_now_ms(void); /* monotonic, real */

/* ---- redis_reply.c ---- */

/* Where the reply that is being read goes; bounded. */
struct redis_sink {
    struct arena *arena;
    size_t items_left;
};
struct redisReader *redis_reader_new(struct redis_sink *sink);

/* ---- redis_node.c: the connections to one node ---- */

struct redis_node {
    struct redis_node *next;
    char *host;
    int port;
    bool is_seed; /* from the configuration: stays */
    /* all below guarded by: redis.mu */
    struct redis_idle *idle;
    unsigned open, opening, users;
    int64_t retry_at_ms;
    int backoff_ms;
    bool has_slots;
};

struct redis {
    struct redis_options o;
    struct arena *arena; /* options and addresses */
    struct redis_uri *seeds;
    size_t seeds_len;
    bool is_cluster;
    SSL_CTX *tls;
    pthread_mutex_t mu;
    pthread_cond_t changed;    /* a connection was given back, or the map is new */
    struct redis_node *nodes;  /* guarded by: mu */
    struct redis_node **slots; /* of a cluster, by slot; guarded by: mu */
    uint64_t map_version;      /* guarded by: mu */
    bool is_discovering, is_map_stale;
    int64_t try_discovery_ms; /* guarded by: mu */
    int64_t failing_since_ms; /* 0: not failing; guarded by: mu */
    atomic_bool is_up;
    atomic_uint idle_count, busy_count;
    struct metric *commands, *durations;
};

/* Found or made; `r` is locked. */
struct redis_node *redis_node_get(struct redis *r, const char *host, int port);
/* A connection for one exchange; the node was locked in by redis_node_use. */
int redis_node_take(struct redis *r, struct redis_node *n, int64_t deadline_ms,
                    struct redis_conn **ret, struct status *st);
/* is_good: everything that was asked was answered. Leaves NULL. */
void redis_node_give(struct redis *r, struct redis_node *n, struct redis_conn **c,
                     bool is_good);
/* A node in use is not freed. */
void redis_node_unuse(struct redis *r, struct redis_node *n);
void redis_node_free(struct redis *r, struct redis_node *n);
void redis_target_of(const struct redis *r, const struct redis_node *n,
                     struct redis_target *ret);
/* Told of each outcome: redis_is_up, and since when calls fail. */
void redis_note(struct redis *r, bool is_up, const struct status *why);

/* ---- redis_cluster.c ---- */

/* The node for the key, in use; any node for NULL. NULL: nobody knows. */
struct redis_node *redis_route(struct redis *r, const char *key);
/* A node by its address, in use. */
struct redis_node *redis_route_to(struct redis *r, const char *host, int port);
/* Asks for the map unless that happened since map_version. */
int redis_discover(struct redis *r, uint64_t map_version, int64_t deadline_ms,
                   struct status *st);
uint64_t redis_map_version(struct redis *r);
/* The map may be wrong: redis_refresh() asks for it, not too often and in one thread. */
void redis_map_doubt(struct redis *r);
void redis_refresh(struct redis *r, int64_t deadline_ms, struct arena *a);
/* Puts one slot elsewhere until the map is asked for again. */
void redis_slot_moved(struct redis *r, unsigned slot, const char *host, int port);

/* ---- redis.c ---- */

/* One exchange with a node that the caller has in use. */
int redis_exchange(struct redis *r, struct redis_node *n, struct arena *a,
                   struct bytes data, size_t replies, int64_t deadline_ms, bool *ret_sent,
                   const struct redis_reply **ret, struct status *st);
/* base/2 to base, at random. */
int redis_jitter(int base_ms);

#endif
