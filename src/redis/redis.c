/*
 * redis.c - a command's way: to a node, to another one when it says so, and again when
 * the connection broke before the command was sent.
 */
#include "redis.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/metrics.h"
#include "base/status.h"
#include "redis_priv.h"

enum {
    TIMEOUT_MS = 5000,
    PATIENCE_MS = 2000,
    POOL_MAX = 32,
    MAX_REDIRECTS = 16,
    PING_MS = 2000,
    PAUSE_MS = 100,
};

/* ---- Opening ---- */

static SSL_CTX *open_tls(const struct redis_options *o, struct status *st) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx)
        abort();
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (o->ca_file ? SSL_CTX_load_verify_file(ctx, o->ca_file) == 1
                   : SSL_CTX_set_default_verify_paths(ctx) == 1)
        return ctx;
    SSL_CTX_free(ctx);
    ERR_clear_error();
    st_fail(st, ST_CONFIGURATION, "unreadable-file",
            "REDIS_TLS_CA_FILE: no certificates in %s", o->ca_file ? o->ca_file : "");
    return NULL;
}

static int take_addresses(struct redis *r, const struct redis_options *o,
                          struct status *st) {
    r->is_cluster = o->cluster_uris_len > 0;
    r->seeds_len = r->is_cluster ? o->cluster_uris_len : 1;
    r->seeds = arena_zalloc(r->arena, r->seeds_len * sizeof(*r->seeds));
    for (size_t i = 0; i < r->seeds_len; i++) {
        const char *text = r->is_cluster ? o->cluster_uris[i] : o->uri;

        if (redis_uri_parse(r->arena, text, &r->seeds[i], st) < 0)
            return -1;
        if (r->seeds[i].is_tls != r->seeds[0].is_tls)
            return st_fail(st, ST_CONFIGURATION, "conflict",
                           "redis or rediss for all nodes of the cluster");
        if (r->is_cluster && r->seeds[i].database)
            return st_fail(st, ST_CONFIGURATION, "bad-format",
                           "no database index: a cluster has only one");
    }
    /* the first one asked is the first one named */
    for (size_t i = r->seeds_len; i > 0; i--)
        redis_node_get(r, r->seeds[i - 1].host, r->seeds[i - 1].port)->is_seed = true;
    return 0;
}

static bool read_up(void *ctx, double *ret) {
    *ret = redis_is_up(ctx);
    return true;
}

static bool read_idle(void *ctx, double *ret) {
    struct redis *r = ctx;

    *ret = atomic_load(&r->idle_count);
    return true;
}

static bool read_busy(void *ctx, double *ret) {
    struct redis *r = ctx;

    *ret = atomic_load(&r->busy_count);
    return true;
}

static void register_metrics(struct redis *r, struct metrics *m) {
    static const char *const labels[] = {"result", NULL};

    metrics_register_reader(m, "redis_up", "1 while Redis answers.", read_up, r);
    metrics_register_reader(m, "redis_pool_idle_connections",
                            "Connections to Redis that wait for work.", read_idle, r);
    metrics_register_reader(m, "redis_pool_busy_connections",
                            "Connections to Redis in use.", read_busy, r);
    r->commands = metrics_register(m, METRIC_COUNTER, "redis_commands_total",
                                   "Commands and scripts run by Redis.", labels);
    r->durations = metrics_register(m, METRIC_HISTOGRAM, "redis_command_duration_seconds",
                                    "Time of a command, waiting included.", NULL);
}

int redis_open(const struct redis_options *o, struct redis **ret, struct status *st) {
    struct redis *r = calloc(1, sizeof(*r));
    pthread_condattr_t attr;

    if (!r)
        abort();
    r->o = *o;
    r->o.timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
    r->o.patience_ms = o->patience_ms ? o->patience_ms : PATIENCE_MS;
    r->o.pool_max = o->pool_max ? o->pool_max : POOL_MAX;
    r->o.max_reply_bytes = o->max_reply_bytes ? o->max_reply_bytes : 64u << 20;
    r->arena = arena_new(0);
    pthread_mutex_init(&r->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (take_addresses(r, o, st) < 0 ||
        (r->seeds[0].is_tls && !(r->tls = open_tls(o, st)))) {
        redis_close(&r);
        return -1;
    }
    if (r->is_cluster)
        r->slots = arena_zalloc(r->arena, REDIS_SLOTS * sizeof(struct redis_node *));
    if (o->metrics)
        register_metrics(r, o->metrics);
    *ret = r;
    return 0;
}

void redis_close(struct redis **rp) {
    struct redis *r = *rp;
    struct redis_node *n;

    if (!r)
        return;
    while ((n = r->nodes)) {
        assert(n->users == 0);
        r->nodes = n->next;
        redis_node_free(r, n);
    }
    SSL_CTX_free(r->tls);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->mu);
    arena_free(&r->arena);
    free(r);
    *rp = NULL;
}

/* ---- Up and down ---- */

bool redis_is_up(const struct redis *r) {
    return atomic_load(&r->is_up);
}

void redis_note(struct redis *r, bool is_up, const struct status *why) {
    bool was = atomic_exchange(&r->is_up, is_up);

    if (was == is_up && is_up)
        return;
    pthread_mutex_lock(&r->mu);
    if (is_up)
        r->failing_since_ms = 0;
    else if (!r->failing_since_ms)
        r->failing_since_ms = redis_now_ms();
    pthread_mutex_unlock(&r->mu);
    if (was != is_up && r->o.changed)
        r->o.changed(r->o.ctx, is_up, is_up ? NULL : why->message);
}

/* May a call still wait for the server to come back? */
static bool is_patient(struct redis *r) {
    bool patient;

    pthread_mutex_lock(&r->mu);
    patient =
        !r->failing_since_ms || redis_now_ms() < r->failing_since_ms + r->o.patience_ms;
    pthread_mutex_unlock(&r->mu);
    return patient;
}

/* ---- Exchanges ---- */

int redis_exchange(struct redis *r, struct redis_node *n, struct arena *a,
                   struct bytes data, size_t replies, int64_t deadline_ms, bool *ret_sent,
                   const struct redis_reply **ret, struct status *st) {
    struct redis_conn *c;
    int rc;

    if (redis_node_take(r, n, deadline_ms, &c, st) < 0)
        return -1;
    rc = redis_conn_send(c, data, deadline_ms, ret_sent, st);
    for (size_t i = 0; i < replies && rc == 0; i++)
        rc = redis_conn_receive(c, a, deadline_ms, -1, &ret[i], st);
    if (rc < 0)
        st_context(st, "Redis at %s:%d", n->host, n->port);
    redis_node_give(r, n, &c, rc == 0);
    return rc;
}

static void pause_ms(int ms) {
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

/* What a call is doing. */
struct attempt {
    struct redis *r;
    const char *key;
    bool is_repeatable;
    int64_t deadline_ms;
    int redirects;
    bool is_asking;               /* the next exchange is one that ASK sent elsewhere */
    struct redis_node *elsewhere; /* in use; where a redirect points to */
};

/* host:port at the end of "MOVED 3999 127.0.0.1:6381"; host empty: the node that said it.
 */
static struct redis_node *redirect_target(struct attempt *t, const struct redis_node *n,
                                          const char *error, unsigned *ret_slot) {
    const char *p = strchr(error, ' '), *colon;
    char host[256];
    long port;
    size_t len;

    if (!p)
        return NULL;
    *ret_slot = (unsigned)strtoul(p + 1, (char **)&p, 10);
    if (*p++ != ' ' || *ret_slot >= REDIS_SLOTS || !(colon = strrchr(p, ':')))
        return NULL;
    len = (size_t)(colon - p);
    port = strtol(colon + 1, NULL, 10);
    if (len >= sizeof(host) || port < 1 || port > 65535)
        return NULL;
    memcpy(host, p, len);
    host[len] = '\0';
    return redis_route_to(t->r, len ? host : n->host, (int)port);
}

static bool starts(const char *s, const char *with) {
    return strncmp(s, with, strlen(with)) == 0;
}

/* An answer that only says "not here" or "not now": has it to be tried again? */
static bool is_again(struct attempt *t, const struct redis_node *n, const char *error) {
    struct redis *r = t->r;
    bool moved = starts(error, "MOVED "), ask = starts(error, "ASK ");
    unsigned slot;

    if ((moved || ask) && r->is_cluster) {
        if (++t->redirects > MAX_REDIRECTS ||
            !(t->elsewhere = redirect_target(t, n, error, &slot)))
            return false;
        t->is_asking = ask;
        if (moved)
            redis_slot_moved(r, slot, t->elsewhere->host, t->elsewhere->port);
        return true;
    }
    if (!starts(error, "TRYAGAIN") && !starts(error, "CLUSTERDOWN") &&
        !starts(error, "LOADING") && !starts(error, "MASTERDOWN") &&
        !starts(error, "READONLY"))
        return false;
    if (redis_now_ms() >= t->deadline_ms || !is_patient(r))
        return false;
    pause_ms(redis_jitter(PAUSE_MS));
    return true;
}

/* The way to the node: learnt when it isn't known. */
static struct redis_node *find_node(struct attempt *t, struct status *st) {
    struct redis *r = t->r;
    uint64_t version = redis_map_version(r);
    struct redis_node *n = t->elsewhere;

    t->elsewhere = NULL;
    if (n)
        return n;
    redis_refresh(r, t->deadline_ms, st->arena);
    if ((n = redis_route(r, t->key)))
        return n;
    if (redis_discover(r, version, t->deadline_ms, st) < 0)
        return NULL;
    if (!(n = redis_route(r, t->key)))
        st_fail(st, ST_INTERNAL, "unavailable", "Redis: no node of the cluster serves %s",
                t->key ? t->key : "anything");
    return n;
}

/* Once: 0 answered, -1 with *ret_sent. */
static int try_once(struct attempt *t, struct arena *a, struct bytes data, size_t n,
                    const struct redis_reply **ret, bool *ret_sent,
                    struct redis_node **ret_node, struct status *st) {
    static const char asking[] = "*1\r\n$6\r\nASKING\r\n";
    const struct redis_reply **with_asking;
    struct redis_node *node = find_node(t, st);
    struct buf b = BUF_INIT;
    int rc;

    *ret_node = node;
    if (!node)
        return -1;
    if (!t->is_asking)
        return redis_exchange(t->r, node, a, data, n, t->deadline_ms, ret_sent, ret, st);
    t->is_asking = false;
    with_asking = arena_alloc(a, 2 * n * sizeof(struct redis_reply *));
    /* n is 1: pipelines are redirected one by one */
    buf_add(&b, asking, sizeof(asking) - 1);
    buf_add(&b, data.data, data.len);
    rc = redis_exchange(t->r, node, a, (struct bytes){b.data, b.len}, n + 1,
                        t->deadline_ms, ret_sent, with_asking, st);
    if (rc == 0)
        ret[0] = with_asking[1];
    buf_fini(&b);
    return rc;
}

/*
 * Until it is answered. With n > 1 the replies may be redirects: that is left to the
 * caller.
 */
static int run(struct attempt *t, struct arena *a, struct bytes data, size_t n,
               const struct redis_reply **ret, struct status *st) {
    struct redis *r = t->r;
    struct redis_node *node;
    bool sent, again;
    int rc;

    for (;;) {
        sent = false;
        rc = try_once(t, a, data, n, ret, &sent, &node, st);
        if (rc == 0) {
            again =
                n == 1 && ret[0]->type == REDIS_ERROR && is_again(t, node, ret[0]->text);
            if (again && !t->elsewhere)
                redis_map_doubt(r);
        } else {
            if (st->type != ST_CONCURRENCY) /* that is only our own pool */
                redis_note(r, false, st);
            redis_map_doubt(r);
            again = (!sent || t->is_repeatable) && is_patient(r) &&
                    redis_now_ms() < t->deadline_ms;
        }
        if (node)
            redis_node_unuse(r, node);
        if (!again)
            break;
        if (rc < 0) {
            pause_ms(redis_jitter(PAUSE_MS));
            st_clear(st);
        }
    }
    if (rc == 0)
        redis_note(r, true, NULL);
    return rc;
}

static struct attempt begin(struct redis *r, const char *key, bool is_repeatable) {
    return (struct attempt){.r = r,
                            .key = key,
                            .is_repeatable = is_repeatable,
                            .deadline_ms = redis_now_ms() + r->o.timeout_ms};
}

static void count(struct redis *r, int64_t start_ms, const char *result) {
    metric_add(r->commands, (const char *[]){result}, 1);
    metric_observe(r->durations, NULL, (double)(redis_now_ms() - start_ms) / 1000);
}

/* An error reply as a status; what passes with time is unavailable. */
static int refused(const char *error, struct status *st) {
    bool down = starts(error, "CLUSTERDOWN") || starts(error, "LOADING") ||
                starts(error, "MASTERDOWN") || starts(error, "READONLY") ||
                starts(error, "TRYAGAIN") || starts(error, "MOVED") ||
                starts(error, "ASK ") || starts(error, "OOM") ||
                starts(error, "NOAUTH") || starts(error, "MISCONF") ||
                starts(error, "NOREPLICAS");

    return st_fail(st, ST_INTERNAL, down ? "unavailable" : NULL, "Redis: %.200s", error);
}

/* ret[0] may be an error; the caller looks. */
static int run_one(struct redis *r, struct arena *a, const struct redis_command *c,
                   const struct redis_reply **ret, struct status *st) {
    struct attempt t = begin(r, c->key, c->is_repeatable);
    struct buf b = BUF_INIT;
    int64_t start = redis_now_ms();
    int rc;

    redis_format(&b, c->args, c->args_len);
    rc = run(&t, a, (struct bytes){b.data, b.len}, 1, ret, st);
    buf_fini(&b);
    count(r, start,
          rc < 0                        ? "unavailable"
          : ret[0]->type == REDIS_ERROR ? "error"
                                        : "ok");
    return rc;
}

int redis_run(struct redis *r, struct arena *a, const struct redis_command *c,
              const struct redis_reply **ret, struct status *st) {
    const struct redis_reply *reply;

    if (run_one(r, a, c, &reply, st) < 0)
        return -1;
    if (reply->type == REDIS_ERROR)
        return refused(reply->text, st);
    if (ret)
        *ret = reply;
    return 0;
}

int redis_call(struct redis *r, struct arena *a, const char *key,
               const char *const *words, const struct redis_reply **ret,
               struct status *st) {
    struct redis_command c = {.key = key};
    struct bytes *args;

    while (words[c.args_len])
        c.args_len++;
    c.args = args = arena_alloc(a, c.args_len * sizeof(*args));
    for (size_t i = 0; i < c.args_len; i++)
        args[i] = (struct bytes){words[i], strlen(words[i])};
    return redis_run(r, a, &c, ret, st);
}

int redis_pipeline(struct redis *r, struct arena *a, const struct redis_command *c,
                   size_t n, const struct redis_reply **ret, struct status *st) {
    struct attempt t = begin(r, n ? c->key : NULL, n && c->is_repeatable);
    int64_t start = redis_now_ms();
    struct buf b = BUF_INIT;
    int rc;

    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        redis_format(&b, c[i].args, c[i].args_len);
    rc = run(&t, a, (struct bytes){b.data, b.len}, n, ret, st);
    buf_fini(&b);
    count(r, start, rc < 0 ? "unavailable" : "ok");
    /* the slot was elsewhere: one by one, as they were not executed */
    for (size_t i = 0; i < n && rc == 0; i++)
        if (ret[i]->type == REDIS_ERROR &&
            (starts(ret[i]->text, "MOVED ") || starts(ret[i]->text, "ASK ") ||
             starts(ret[i]->text, "TRYAGAIN") || starts(ret[i]->text, "CLUSTERDOWN")))
            rc = run_one(r, a, &c[i], &ret[i], st);
    return rc;
}

/* ---- Scripts ---- */

void redis_script_init(struct redis_script *s, const char *source) {
    unsigned char sum[20];
    unsigned len;

    s->source = source;
    if (EVP_Digest(source, strlen(source), sum, &len, EVP_sha1(), NULL) != 1)
        abort();
    for (int i = 0; i < 20; i++) {
        s->sha[2 * i] = "0123456789abcdef"[sum[i] >> 4];
        s->sha[2 * i + 1] = "0123456789abcdef"[sum[i] & 15];
    }
    s->sha[40] = '\0';
}

int redis_eval(struct redis *r, struct arena *a, const struct redis_script *s,
               const char *const *keys, size_t keys_len, const struct bytes *args,
               size_t args_len, bool is_repeatable, const struct redis_reply **ret,
               struct status *st) {
    struct bytes *all = arena_alloc(a, (3 + keys_len + args_len) * sizeof(*all));
    struct redis_command c = {.args = all,
                              .args_len = 3 + keys_len + args_len,
                              .key = keys[0],
                              .is_repeatable = is_repeatable};
    const char *count_text = arena_printf(a, "%zu", keys_len);
    const struct redis_reply *reply;

    all[0] = (struct bytes){"EVALSHA", 7};
    all[1] = (struct bytes){s->sha, 40};
    all[2] = (struct bytes){count_text, strlen(count_text)};
    for (size_t i = 0; i < keys_len; i++)
        all[3 + i] = (struct bytes){keys[i], strlen(keys[i])};
    for (size_t i = 0; i < args_len; i++)
        all[3 + keys_len + i] = args[i];
    if (run_one(r, a, &c, &reply, st) < 0)
        return -1;
    if (reply->type == REDIS_ERROR && starts(reply->text, "NOSCRIPT")) {
        all[0] = (struct bytes){"EVAL", 4};
        all[1] = (struct bytes){s->source, strlen(s->source)};
        if (run_one(r, a, &c, &reply, st) < 0)
            return -1;
    }
    if (reply->type == REDIS_ERROR)
        return refused(reply->text, st);
    if (ret)
        *ret = reply;
    return 0;
}

/* ---- Replies ---- */

int64_t redis_item_integer(const struct redis_reply *list, size_t i) {
    if (!list || list->type != REDIS_LIST || i >= list->len)
        return 0;
    return list->items[i]->type == REDIS_INTEGER ? list->items[i]->integer : 0;
}

const char *redis_item_text(const struct redis_reply *list, size_t i) {
    if (!list || list->type != REDIS_LIST || i >= list->len)
        return "";
    return list->items[i]->type == REDIS_TEXT ? list->items[i]->text : "";
}

/* ---- Questions of operators ---- */

/* Every node that holds data, in use. */
static size_t data_nodes(struct redis *r, struct redis_node **list, size_t max) {
    size_t len = 0;

    pthread_mutex_lock(&r->mu);
    for (struct redis_node *n = r->nodes; n && len < max; n = n->next)
        if (!r->is_cluster || n->has_slots) {
            n->users++;
            list[len++] = n;
        }
    pthread_mutex_unlock(&r->mu);
    return len;
}

static int ask_node(struct redis *r, struct redis_node *n, struct arena *a,
                    const char *const *words, int64_t deadline_ms,
                    const struct redis_reply **ret, struct status *st) {
    struct bytes args[4];
    struct buf b = BUF_INIT;
    bool sent = false;
    size_t len = 0;
    int rc;

    for (; words[len]; len++)
        args[len] = (struct bytes){words[len], strlen(words[len])};
    redis_format(&b, args, len);
    rc = redis_exchange(r, n, a, (struct bytes){b.data, b.len}, 1, deadline_ms, &sent,
                        ret, st);
    buf_fini(&b);
    if (rc == 0 && (*ret)->type == REDIS_ERROR)
        rc = st_fail(st, ST_INTERNAL, "unavailable", "Redis at %s:%d: %.200s", n->host,
                     n->port, (*ret)->text);
    return rc;
}

int redis_ping(struct redis *r, struct status *st) {
    int64_t deadline = redis_now_ms() + PING_MS;
    struct redis_node *list[64];
    const struct redis_reply *reply;
    struct arena *a = arena_new(0);
    size_t len;
    int rc = 0;

    if (r->is_cluster)
        rc = redis_discover(r, redis_map_version(r), deadline, st);
    len = rc == 0 ? data_nodes(r, list, 64) : 0;
    for (size_t i = 0; i < len; i++) {
        if (rc == 0)
            rc = ask_node(r, list[i], a, REDIS_WORDS("PING"), deadline, &reply, st);
        redis_node_unuse(r, list[i]);
    }
    redis_note(r, rc == 0, st);
    arena_free(&a);
    return rc;
}

/* The line "name:value" of INFO; NULL when absent. */
static const char *info_field(struct arena *a, const char *info, const char *name) {
    size_t len = strlen(name);

    for (const char *p = info; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (!strncmp(p, name, len) && p[len] == ':')
            return arena_memdup(a, p + len + 1, strcspn(p + len + 1, "\r\n"));
    }
    return NULL;
}

static int inspect_node(struct redis *r, struct redis_node *n, struct arena *a,
                        struct redis_facts *ret, struct status *st) {
    int64_t deadline = redis_now_ms() + r->o.timeout_ms;
    const struct redis_reply *reply;
    const char *version, *policy, *mode;

    if (ask_node(r, n, a, REDIS_WORDS("INFO"), deadline, &reply, st) < 0)
        return -1;
    version = info_field(a, reply->text, "redis_version");
    policy = info_field(a, reply->text, "maxmemory_policy");
    mode = info_field(a, reply->text, "redis_mode");
    ret->nodes++;
    if (version)
        ret->version = version;
    ret->is_old |= version && atoi(version) < 6;
    ret->is_cluster_server |= mode && !strcmp(mode, "cluster");
    if (policy && strcmp(policy, "noeviction") != 0) {
        ret->may_evict = true;
        ret->eviction = policy;
    } else if (policy && !ret->eviction) {
        ret->eviction = policy;
    }
    return 0;
}

int redis_inspect(struct redis *r, struct arena *a, struct redis_facts *ret,
                  struct status *st) {
    struct redis_node *list[64];
    size_t len;
    int rc = 0;

    *ret = (struct redis_facts){0};
    if (r->is_cluster &&
        redis_discover(r, redis_map_version(r), redis_now_ms() + r->o.timeout_ms, st) < 0)
        rc = -1;
    len = rc == 0 ? data_nodes(r, list, 64) : 0;
    for (size_t i = 0; i < len; i++) {
        if (rc == 0)
            rc = inspect_node(r, list[i], a, ret, st);
        redis_node_unuse(r, list[i]);
    }
    redis_note(r, rc == 0, st);
    return rc;
}
