/*
 * redis.h - a client of one Redis server or of one Redis Cluster, shared by threads.
 *
 * The transport is ours (TCP, TLS by OpenSSL); hiredis formats commands and parses
 * replies. A call blocks for at most the time-out. A server that is away fails calls
 * with internal/unavailable (503): at first they wait a little for it to come back, so
 * that a restart or a failover isn't noticed; once it is known to be down they fail at
 * once, while reconnecting is tried with jittered back-off. Nothing needs a restart.
 *
 * In a cluster a command goes to the node of its key's slot: all keys of one command or
 * script carry the same {tag}. MOVED and ASK are followed; a node that fails, or one that
 * refers us elsewhere, makes the client ask for the topology again.
 *
 * A command whose connection breaks after it was sent has perhaps been executed: it is
 * sent again only when it says that this is harmless. Processes must ignore SIGPIPE.
 *
 * Threads: all functions may be called from all threads at once.
 */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena;
struct metrics;
struct redis;
struct status;

/* ---- Opening ---- */

struct redis_options {
    const char *uri;                 /* one server; not used when there are seeds */
    const char *const *cluster_uris; /* seeds of a cluster */
    size_t cluster_uris_len;
    const char *ca_file;     /* NULL: the system's authorities */
    bool skip_tls_verify;    /* accept any certificate */
    int timeout_ms;          /* of a call, connecting included; 0: 5000 */
    int patience_ms;         /* how long calls wait for a lost server; 0: 2000 */
    unsigned pool_max;       /* connections per node; 0: 32 */
    size_t max_reply_bytes;  /* 0: 64 MB */
    struct metrics *metrics; /* or NULL; registers redis_up and others */
    /* Called from any thread when the server is lost or found again, why then being
     * NULL. Must not call back. May be NULL. */
    void (*changed)(void *ctx, bool is_up, const char *why);
    void *ctx;
};
/*
 * Does not connect. -1 configuration when an address or the authority's file is bad. The
 * options are copied.
 */
int redis_open(const struct redis_options *o, struct redis **ret, struct status *st);
/* No other thread may be inside a call; subscriptions were closed. NULL is fine. */
void redis_close(struct redis **r);

/* Does every node that holds data answer? Waits for at most two seconds. */
int redis_ping(struct redis *r, struct status *st);
/* What is known without asking. */
bool redis_is_up(const struct redis *r);

/* What an operator should know, found by asking: after opening, and in preflight. */
struct redis_facts {
    const char *version;    /* lends until the arena dies */
    const char *eviction;   /* maxmemory-policy */
    bool may_evict;         /* the policy may drop tasks and locks */
    bool is_old;            /* older than 6.0 */
    unsigned nodes;         /* that hold data */
    bool is_cluster_server; /* a node of a cluster, whatever the form of the address */
};
int redis_inspect(struct redis *r, struct arena *a, struct redis_facts *ret,
                  struct status *st);

/* ---- Commands ---- */

enum redis_type {
    REDIS_NIL,
    REDIS_INTEGER,
    REDIS_TEXT, /* status or string */
    REDIS_LIST,
    REDIS_ERROR, /* only inside a list or a pipeline */
};
/* Lends until the arena of the call dies; immutable. */
struct redis_reply {
    enum redis_type type;
    int64_t integer;
    const char *text; /* NUL-terminated beside its length */
    size_t len;       /* of the text, or of the list */
    struct redis_reply *const *items;
};

struct redis_command {
    const struct bytes *args; /* the first is the command's name */
    size_t args_len;
    const char *key;    /* decides the node; NULL: any */
    bool is_repeatable; /* doing it twice is harmless */
};
/* ret may be NULL. An error reply is a failure: bad answers are internal. */
int redis_run(struct redis *r, struct arena *a, const struct redis_command *c,
              const struct redis_reply **ret, struct status *st);
/* As redis_run for texts: words is NULL-terminated and starts with the command; not
 * repeatable. */
int redis_call(struct redis *r, struct arena *a, const char *key,
               const char *const *words, const struct redis_reply **ret,
               struct status *st);
#define REDIS_WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
/*
 * Sends all, then reads all; all keys must be in one slot. ret: one reply per command,
 * REDIS_ERROR where that one failed. -1 when the connection failed: then some may have
 * been executed; is_repeatable of the first counts for all.
 */
int redis_pipeline(struct redis *r, struct arena *a, const struct redis_command *c,
                   size_t n, const struct redis_reply **ret, struct status *st);

/* A Lua script, sent by its hash. source must live on; caller's memory. */
struct redis_script {
    const char *source;
    char sha[41];
};
void redis_script_init(struct redis_script *s, const char *source);
/* keys decide the slot: all in one, at least one. */
int redis_eval(struct redis *r, struct arena *a, const struct redis_script *s,
               const char *const *keys, size_t keys_len, const struct bytes *args,
               size_t args_len, bool is_repeatable, const struct redis_reply **ret,
               struct status *st);

/* Of the item of a list; 0 or "" when it is absent or of another type. */
int64_t redis_item_integer(const struct redis_reply *list, size_t i);
const char *redis_item_text(const struct redis_reply *list, size_t i);

/* The slot of a key by its {tag}: 0 to 16383. */
unsigned redis_key_slot(const char *key, size_t len);

/* ---- Messages ---- */

/*
 * Listens to channels with a thread and a connection of its own. Messages published while
 * the connection was down are lost: each time listening begins, first and again after a
 * break, `began` is called. Both callbacks run on that thread; they may call redis_run.
 */
struct redis_subscription;
struct redis_subscription_options {
    const char *const *channels; /* NULL-terminated; copied */
    void (*message)(void *ctx, const char *channel, struct bytes payload);
    void (*began)(void *ctx);
    void *ctx;
};
struct redis_subscription *redis_subscribe(struct redis *r,
                                           const struct redis_subscription_options *o);
/* Waits for a callback that runs. NULL is fine. */
void redis_unsubscribe(struct redis_subscription **s);

#endif
