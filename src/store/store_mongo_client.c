/*
 * store_mongo_client.c - the driver's pool, and its failures in our words.
 *
 * Whatever the address leaves open is set here so that an outage is seen within seconds,
 * not minutes: a call waits select_ms for a server; once none has been there for that
 * long, further calls fail at once (the driver's monitors look for one in the background
 * all the time), so that a pool of handlers isn't parked by an outage.
 *
 * What the address says about read preference and write concern is overruled: a write
 * that returned is on the majority of the members, and every read sees it.
 */
#include "store_mongo_priv.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "value/value.h"

enum {
    SELECT_MS = 5000,
    CONNECT_MS = 5000,
    SOCKET_MS = 30000,
    HEARTBEAT_MS = 2000,
    POOL_WAIT_MS = 10000,
    WRITE_MS = 10000,
};

static int64_t now_ms(void) {
    return clock_monotonic_ms(clock_system());
}

/* ---- Opening ---- */

/* The driver prints to stderr by itself; failures reach the log as statuses. */
static void keep_quiet(mongoc_log_level_t level, const char *domain, const char *message,
                       void *ctx) {
    (void)level;
    (void)domain;
    (void)message;
    (void)ctx;
}

static void start_driver(void) {
    mongoc_init();
    mongoc_log_set_handler(keep_quiet, NULL);
}

static void default_number(mongoc_uri_t *uri, const char *option, int32_t value) {
    if (!mongoc_uri_has_option(uri, option))
        mongoc_uri_set_option_as_int32(uri, option, value);
}

static void set_promises(mongoc_uri_t *uri) {
    mongoc_write_concern_t *w = mongoc_write_concern_new();
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);

    mongoc_write_concern_set_wmajority(w, WRITE_MS);
    mongoc_uri_set_write_concern(uri, w);
    mongoc_uri_set_read_prefs_t(uri, primary);
    mongoc_write_concern_destroy(w);
    mongoc_read_prefs_destroy(primary);
}

static int parse_uri(const struct store_mongo_options *o, mongoc_uri_t **ret_uri,
                     struct status *st) {
    bson_error_t error;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(o->uri, &error);
    const char *db = uri ? mongoc_uri_get_database(uri) : NULL;

    if (!uri) /* the driver's words may hold parts of the password */
        return st_fail(
            st, ST_CONFIGURATION, "bad-format",
            "The address of MongoDB is not one that the driver understands%s%s",
            strchr(error.message, '@') ? "." : ": ",
            strchr(error.message, '@') ? "" : error.message);
    if (!db || !*db) {
        mongoc_uri_destroy(uri);
        return st_fail(st, ST_CONFIGURATION, "bad-format",
                       "The address of MongoDB names no database in its path.");
    }
    for (const mongoc_host_list_t *h = mongoc_uri_get_hosts(uri); h; h = h->next)
        if (strchr(h->host, '@')) {
            mongoc_uri_destroy(uri);
            return st_fail(
                st, ST_CONFIGURATION, "bad-format",
                "The password in the address of MongoDB holds an @: write it as "
                "%%40.");
        }
    default_number(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, SELECT_MS);
    default_number(uri, MONGOC_URI_CONNECTTIMEOUTMS, CONNECT_MS);
    default_number(uri, MONGOC_URI_SOCKETTIMEOUTMS, SOCKET_MS);
    default_number(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, HEARTBEAT_MS);
    default_number(uri, MONGOC_URI_WAITQUEUETIMEOUTMS, POOL_WAIT_MS);
    if (!mongoc_uri_get_appname(uri))
        mongoc_uri_set_appname(uri, "membrane");
    if (o->tls_ca_file && !mongoc_uri_has_option(uri, MONGOC_URI_TLSCAFILE) &&
        mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLS, true))
        mongoc_uri_set_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, o->tls_ca_file);
    set_promises(uri);
    *ret_uri = uri;
    return 0;
}

static const char *host_names(const mongoc_uri_t *uri, struct arena *a) {
    const char *srv = mongoc_uri_get_srv_hostname(uri), *out;
    struct buf b = BUF_INIT;

    if (srv)
        return arena_strdup(a, srv);
    for (const mongoc_host_list_t *h = mongoc_uri_get_hosts(uri); h; h = h->next)
        buf_addf(&b, "%s%s", b.len ? "," : "", h->host_and_port);
    out = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return out;
}

static void topology_changed(const mongoc_apm_topology_changed_t *event) {
    struct mongo_store *s = mongoc_apm_topology_changed_get_context(event);
    mongoc_topology_description_t *now =
        (mongoc_topology_description_t *)mongoc_apm_topology_changed_get_new_description(
            event);
    int64_t up = 0;

    if (mongoc_topology_description_has_writable_server(now))
        atomic_store(&s->down_since_ms, 0);
    else
        atomic_compare_exchange_strong(&s->down_since_ms, &up, now_ms());
}

static void watch(struct mongo_store *s) {
    mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();

    mongoc_apm_set_topology_changed_cb(callbacks, topology_changed);
    mongoc_client_pool_set_apm_callbacks(s->pool, callbacks, s);
    mongoc_apm_callbacks_destroy(callbacks);
}

int store_mongo_connect(struct mongo_store *s, const struct store_mongo_options *o,
                        struct status *st) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    mongoc_uri_t *uri = NULL;
    bson_error_t error;

    pthread_once(&once, start_driver);
    if (parse_uri(o, &uri, st) < 0)
        return -1;
    s->db = arena_strdup(s->arena, mongoc_uri_get_database(uri));
    s->hosts = host_names(uri, s->arena);
    s->select_ms = mongoc_uri_get_option_as_int32(
        uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, SELECT_MS);
    s->pool = mongoc_client_pool_new_with_error(uri, &error); /* asks DNS for +srv */
    mongoc_uri_destroy(uri);
    if (!s->pool)
        return store_mongo_status(s, &error, NULL, NULL, st);
    mongoc_client_pool_set_error_api(s->pool, MONGOC_ERROR_API_VERSION_2);
    watch(s);
    return 0;
}

/* ---- Conversations ---- */

int store_mongo_begin(struct store_mongo_call *call, struct mongo_store *s,
                      const char *name, struct status *st) {
    int64_t down = atomic_load(&s->down_since_ms);

    *call = (struct store_mongo_call){.s = s};
    if (down && now_ms() - down > s->select_ms)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The document store (MongoDB at %s) can't be reached.", s->hosts);
    if (!(call->client = mongoc_client_pool_pop(s->pool)))
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "All connections to the document store are busy.");
    call->collection = mongoc_client_get_collection(call->client, s->db, name);
    return 0;
}

void store_mongo_end(struct store_mongo_call *call) {
    mongoc_collection_destroy(call->collection);
    mongoc_client_pool_push(call->s->pool, call->client);
}

static void free_bson(void *b) {
    bson_destroy(b);
}

bson_t *store_mongo_bson(struct arena *a) {
    bson_t *b = bson_new();

    arena_defer(a, free_bson, b);
    return b;
}

/* ---- Failures ---- */

/* Servers say these when they stop, start, or hand over. */
static bool is_passing_code(uint32_t code) {
    static const uint32_t codes[] = {6,   7,   50,   64,    89,    91,    112,   134,
                                     189, 262, 9001, 10107, 11600, 11602, 13435, 13436};

    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (codes[i] == code)
            return true;
    return false;
}

static bool is_passing(const bson_error_t *e, const bson_t *reply) {
    if (reply && (mongoc_error_has_label(reply, "RetryableWriteError") ||
                  mongoc_error_has_label(reply, "TransientTransactionError")))
        return true;
    switch (e->domain) {
    case MONGOC_ERROR_STREAM:
    case MONGOC_ERROR_WRITE_CONCERN:
        return true;
    case MONGOC_ERROR_SERVER:
    case MONGOC_ERROR_COMMAND:
    case MONGOC_ERROR_QUERY:
        return is_passing_code(e->code);
    default:
        return false;
    }
}

static bool is_too_large(const bson_error_t *e) {
    return e->code == 10334 || e->code == 17419 || e->code == 17420 ||
           (e->domain == MONGOC_ERROR_BSON && strstr(e->message, "too large"));
}

static bool is_refused(const bson_error_t *e) {
    return (e->domain == MONGOC_ERROR_CLIENT &&
            e->code == MONGOC_ERROR_CLIENT_AUTHENTICATE) ||
           (e->domain == MONGOC_ERROR_SERVER && e->code == 18);
}

int store_mongo_status(const struct mongo_store *s, const bson_error_t *e,
                       const bson_t *reply, bool *ret_lost, struct status *st) {
    bool passing = is_passing(e, reply);

    if (ret_lost)
        *ret_lost = passing;
    if (is_too_large(e))
        return st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                       "A document must not be larger than %d MB.",
                       STORE_MAX_BYTES / 1024 / 1024);
    if (is_refused(e)) /* a password that is being changed: the next start may succeed */
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "MongoDB at %s refuses the user or the password (auth-failed).",
                       s->hosts);
    if (e->domain == MONGOC_ERROR_SERVER && e->code == 13)
        return st_fail(st, ST_CONFIGURATION, "access_denied",
                       "The user of MongoDB needs the role readWrite on the database %s.",
                       s->db);
    if (passing || e->domain == MONGOC_ERROR_SERVER_SELECTION)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The document store (MongoDB at %s) can't be reached: %s",
                       s->hosts, e->message);
    return st_fail(st, ST_INTERNAL, NULL, "MongoDB: %s (%u.%u)", e->message, e->domain,
                   e->code);
}

int store_mongo_fail(struct store_mongo_call *call, const bson_t *reply,
                     struct status *st) {
    return store_mongo_status(call->s, &call->error, reply, &call->lost, st);
}

bool store_mongo_is_conflict(const bson_error_t *e, struct arena *a,
                             const char **ret_index) {
    const char *name, *end;

    if (e->code != 11000 && e->code != 11001)
        return false;
    name = strstr(e->message, "index: ");
    *ret_index = "id";
    if (!name || strncmp(name += 7, "unique:", 7) != 0)
        return true;
    name += 7;
    end = strchr(name, ' ');
    *ret_index = arena_memdup(a, name, end ? (size_t)(end - name) : strlen(name));
    return true;
}
