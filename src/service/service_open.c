/*
 * Opening what the roles of a process need, in the order of dependence. What is not
 * configured is not opened. A store that does not answer is tried again until
 * STARTUP_TIMEOUT_SECONDS is over; then the process ends with 75, so that the platform
 * starts it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "config/config.h"
#include "connection/connection.h"
#include "connector/connector.h"
#include "coord/coord.h"
#include "crypto/crypto_seal.h"
#include "http/http_client.h"
#include "journal/journal.h"
#include "mail/mail.h"
#include "model/model_cache.h"
#include "queue/queue.h"
#include "service_priv.h"
#include "redis/redis.h"
#include "runner/runner.h"
#include "runner/runner_slots.h"
#include "store/store.h"

enum {
    CACHE_BYTES = 64 * 1024 * 1024,
    ANSWER_CACHE_BYTES = 32 * 1024 * 1024,
    CONNECTOR_CACHE_BYTES = 64 * 1024 * 1024,
};

int service_make_dir(const char *path, struct status *st) {
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return st_fail(st, ST_CONFIGURATION, NULL, "DATA_DIR: can't make %s: %s", path,
                       strerror(errno));
    return 0;
}

bool service_owns_store(const struct service *s) {
    return s->options->owns_data && !s->deps.config->mongo_uri;
}

static int try_store(struct service *s, struct status *st) {
    const struct config *c = s->deps.config;
    struct store_mongo_options mongo = {c->mongo_uri, c->mongo_tls_ca_file};
    const char *path;

    if (c->mongo_uri)
        return store_open_mongo(&mongo, &s->deps.store, st);
    path = arena_printf(s->arena, "%s/membrane.db", c->data_dir);
    if ((s->options->owns_data ? store_open_sqlite_unsettled
                               : store_open_sqlite)(path, &s->deps.store, st) < 0)
        return st_context(st, "%s", path);
    return 0;
}

int service_open_store(struct service *s, struct status *st) {
    const struct config *c = s->deps.config;
    int64_t end = clock_monotonic_ms(s->deps.clock) + c->startup_timeout_seconds * 1000;
    struct timespec pause = {0, 250 * 1000000};

    while (try_store(s, st) < 0) {
        if (!st->key || strcmp(st->key, "unavailable") != 0 ||
            clock_monotonic_ms(s->deps.clock) >= end)
            return -1;
        log_warn(&s->log, "the store does not answer yet", "err=%s", st->message);
        st_clear(st);
        nanosleep(&pause, NULL);
    }
    if (service_owns_store(s)) {
        s->deps.store = store_open_cached(s->deps.store, CACHE_BYTES);
        s->deps.model_cache = model_cache_new(ANSWER_CACHE_BYTES);
    }
    return 0;
}

int service_open_http(struct service *s, struct status *st) {
    const struct config *c = s->deps.config;

    return http_client_open(
        &(struct http_client_options){
            .private_allow = c->private_network_allow,
            .http_proxy_uri = c->http_proxy,
            .https_proxy_uri = c->https_proxy,
            .no_proxy = c->no_proxy,
            .ca_file = c->extra_ca_file,
            .user_agent = "membrane/" MEMBRANE_VERSION,
        },
        &s->deps.http, st);
}

/* The clouds are asked until they answer, like the store; what is configured wrongly is
 * said at once. */
static int open_cloud(struct service *s, struct status *st) {
    const struct config *c = s->deps.config;
    struct blob_cloud_options o = {
        .config = c, .http = s->deps.http, .clock = s->deps.clock, .rand = s->deps.rand};
    int64_t end = clock_monotonic_ms(s->deps.clock) + c->startup_timeout_seconds * 1000;
    struct timespec pause = {0, 250 * 1000000};
    const char *text;

    if (blob_open_cloud(&o, &s->deps.blob, st) < 0)
        return -1;
    while (blob_describe(s->deps.blob, s->arena, &text, st) < 0 ||
           blob_ping(s->deps.blob, st) < 0) {
        if (st->type == ST_CONFIGURATION || clock_monotonic_ms(s->deps.clock) >= end)
            return -1;
        log_warn(&s->log, "the object storage does not answer yet", "err=%s",
                 st->message);
        st_clear(st);
        nanosleep(&pause, NULL);
    }
    log_info(&s->log, "object storage", "store=%s", text);
    return 0;
}

static int open_blob(struct service *s, struct status *st) {
    const struct config *c = s->deps.config;

    if (c->tmp_storage_bucket)
        return open_cloud(s, st);
    return blob_open_fs(arena_printf(s->arena, "%s/objects", c->data_dir), c->base_uri,
                        c->secret, &s->deps.blob, st);
}

/* The auth folder's mails go to the mail folder. */
static int send_mail(void *ctx, const struct auth_mail *mail, struct status *st) {
    const struct service *s = ctx;
    const struct mail m = {mail->to, mail->subject, mail->text};
    struct arena *a;
    int rc;

    if (!mail->at_once)
        return mail_put(&s->deps, &m, st);
    a = arena_new(0);
    rc = mail_send(s->deps.config, a, &m, st);
    arena_free(&a);
    return rc;
}

/* Auth0 is one OpenID provider, whose issuer follows from its host. */
static const char *sign_in_issuer(struct service *s) {
    const struct config *c = s->deps.config;

    return c->auth0_domain ? arena_printf(s->arena, "https://%s/", c->auth0_domain)
                           : c->oidc_issuer;
}

static int open_auth(struct service *s, struct status *st) {
    const struct config *c = s->deps.config;

    return auth_open(
        &(struct auth_options){
            .store = s->deps.store,
            .http = s->deps.http,
            .sealer = s->deps.sealer,
            .clock = s->deps.clock,
            .rand = s->deps.rand,
            .coord = s->deps.redis ? s->deps.coord : NULL,
            .secret = c->secret,
            .secret_previous = c->secret_previous,
            .console_uri = c->console_uri,
            .base_uri = c->base_uri,
            .bootstrap_admin_email = c->bootstrap_admin_email,
            .disable_signup = c->disable_signup,
            .oidc_issuer = sign_in_issuer(s),
            .oidc_client_id = c->auth0_domain ? c->auth0_client_id : c->oidc_client_id,
            .oidc_audience = c->oidc_audience,
            .auth0_domain = c->auth0_domain,
            .customer_archived = connection_archive_all,
            .send_mail = mail_is_configured(c) ? send_mail : NULL,
            .mail_ctx = s,
        },
        &s->deps.auth, st);
}

/* What a first start writes becomes durable in one go, before anybody else may look. */
static int first_documents(struct service *s, struct status *st) {
    if (s->options->ready_fd >= 0 && service_bootstrap(s, &s->ready_line, st) < 0)
        return -1;
    return store_settle(s->deps.store, st);
}

int service_open(struct service *s, int *ret_exit, struct status *st) {
    const struct config *c = s->deps.config;

    *ret_exit = EX_CONFIG;
    if ((c->services & SERVICE_CODE_RUNNER) &&
        runner_open(c, s->deps.clock, s->deps.rand, s->deps.metrics,
                    s->options->ready_fd < 0, &s->deps.runner, st) < 0)
        return -1;
    if (!(c->services & SERVICE_CORE))
        return 0;
    /* Keeping them here all the same would break what the operator asked for. */
    if (strcmp(c->connection_credentials_storage_type, "external_api") == 0)
        return st_fail(
            st, ST_CONFIGURATION, NULL,
            "CONNECTION_CREDENTIALS_STORAGE_TYPE=external_api is not supported "
            "by this version: only \"database\" is");
    if (c->data_dir && service_make_dir(c->data_dir, st) < 0)
        return -1;
    *ret_exit = EX_TEMPFAIL;
    if (service_open_store(s, st) < 0 || service_open_http(s, st) < 0 ||
        open_blob(s, st) < 0) {
        if (st->type == ST_CONFIGURATION)
            *ret_exit = EX_CONFIG;
        return -1;
    }
    if (service_open_redis(s, ret_exit, st) < 0)
        return -1;
    s->deps.journal = journal_new(s->deps.store, s->deps.blob, 0);
    s->deps.connectors = connector_cache_new(CONNECTOR_CACHE_BYTES);
    s->deps.runner_slots = runner_slots_new();
    s->deps.connection_events = connection_events_new(s->deps.clock, s->deps.coord);
    s->deps.sealer =
        crypto_sealer_new(c->encryption_secret, c->encryption_secret_previous);
    if (open_auth(s, st) < 0) {
        if (st->type == ST_CONFIGURATION)
            *ret_exit = EX_CONFIG;
        return -1;
    }
    if (first_documents(s, st) < 0)
        return -1;
    service_open_queue(s);
    return 0;
}

void service_close(struct service *s) {
    queue_close(&s->deps.queue);
    coord_close(&s->deps.coord); /* before whoever listens to it */
    redis_close(&s->deps.redis);
    if (s->deps.runner)
        runner_close(&s->deps.runner);
    if (s->deps.auth)
        auth_close(&s->deps.auth);
    if (s->deps.sealer)
        crypto_sealer_free(&s->deps.sealer);
    connection_events_free(&s->deps.connection_events);
    if (s->deps.runner_slots)
        runner_slots_free(&s->deps.runner_slots);
    if (s->deps.connectors)
        connector_cache_free(&s->deps.connectors);
    journal_free(&s->deps.journal); /* writes what waits */
    if (s->deps.blob)
        blob_close(&s->deps.blob);
    if (s->deps.http)
        http_client_close(&s->deps.http);
    model_cache_free(&s->deps.model_cache);
    if (s->deps.store)
        store_close(&s->deps.store);
}

/* ---- Generated secrets ---- */

/* NULL when the text has no such line with 32 characters or more. */
static const char *line_of(struct arena *a, const char *text, const char *name) {
    const char *start = arena_printf(a, "\n%s=", name), *at = strstr(text, start);
    size_t len = at ? strcspn(at + strlen(start), "\r\n") : 0;

    return len < 32 ? NULL : arena_printf(a, "%.*s", (int)len, at + strlen(start));
}

/* 1: there is no file. */
static int read_secrets(struct arena *a, const char *path, struct service_secrets *ret,
                        struct status *st) {
    char text[1024] = "\n";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0 && errno == ENOENT)
        return 1;
    n = fd < 0 ? -1 : read(fd, text + 1, sizeof(text) - 2);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return st_fail(st, ST_CONFIGURATION, NULL, "%s: %s", path, strerror(errno));
    text[1 + n] = '\0';
    ret->encryption_secret = line_of(a, text, "ENCRYPTION_SECRET");
    ret->secret = line_of(a, text, "SECRET");
    if (!ret->secret || !ret->encryption_secret)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "%s: SECRET and ENCRYPTION_SECRET of 32 characters are missing",
                       path);
    return 0;
}

/* Written under another name, then linked: two that start at once agree on one. */
static int write_secrets(struct arena *a, const char *path, struct status *st) {
    const char *tmp = arena_printf(a, "%s.%d", path, (int)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int bad =
        fd < 0 ||
        dprintf(fd,
                "# Without ENCRYPTION_SECRET the credentials in the database can't "
                "be read.\nSECRET=%s\nENCRYPTION_SECRET=%s\n",
                token_new(rand_system(), a, 24), token_new(rand_system(), a, 24)) < 0 ||
        fsync(fd) < 0;

    if (fd >= 0)
        close(fd);
    bad = bad || (link(tmp, path) < 0 && errno != EEXIST);
    if (bad)
        st_fail(st, ST_CONFIGURATION, NULL, "can't write %s: %s", path, strerror(errno));
    unlink(tmp);
    return bad ? -1 : 0;
}

int service_secrets(struct arena *a, const char *data_dir, struct service_secrets *ret,
                    struct status *st) {
    const char *path = arena_printf(a, "%s/secrets", data_dir);
    int rc = read_secrets(a, path, ret, st);

    if (rc != 1)
        return rc;
    if (write_secrets(a, path, st) < 0)
        return -1;
    rc = read_secrets(a, path, ret, st);
    return rc == 1 ? st_fail(st, ST_INTERNAL, NULL, "%s went away", path) : rc;
}
