/*
 * `membrane preflight`: tries, before the first start, everything that a start and the
 * work after it will need, and says in one line each what it found. Every check stands
 * alone: one that fails doesn't hide the others.
 *
 * `membrane migrate`: the part of a start that changes the document store.
 */
#include "service_preflight.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "blob/blob.h"
#include "config/config.h"
#include "http/http_client.h"
#include "redis/redis.h"
#include "service.h"
#include "store/store.h"
#include "value/value.h"

enum {
    CALL_MS = 10 * 1000,
    SKEW_WARN_MS = 30 * 1000,
    SKEW_FAIL_MS = 5 * 60 * 1000, /* tokens and signatures end to be taken near here */
};

/* ---- What checks share ---- */

enum preflight_result preflight_fail(struct preflight *p, const char **ret_note,
                                     const struct status *st) {
    *ret_note = arena_strdup(p->arena, st->message ? st->message : "it failed");
    return PREFLIGHT_FAIL;
}

void preflight_saw_date(struct preflight *p, const char *whose, const char *date) {
    time_t theirs = date ? curl_getdate(date, NULL) : -1;
    int64_t skew;

    if (theirs < 0)
        return;
    skew = clock_now_ms(p->service.deps.clock) - (int64_t)theirs * 1000;
    if (p->skew_of && llabs(skew) <= llabs(p->skew_ms))
        return;
    p->skew_ms = skew;
    p->skew_of = arena_strdup(p->arena, whose);
}

static int get(struct preflight *p, const char *url, struct http_answer *ret_answer,
               struct status *st) {
    struct http_call call = {.method = "GET",
                             .url = url,
                             .reach = HTTP_REACH_ANY,
                             .timeout_ms = CALL_MS,
                             .max_redirects = 3};

    st_init(st, p->arena);
    if (http_client_call(p->service.deps.http, p->arena, &call, ret_answer, st) < 0)
        return -1;
    preflight_saw_date(p, url, http_answer_header(ret_answer, "Date"));
    return 0;
}

/* ---- Documents and tasks ---- */

/* What the store's own checks found, as one line. */
static enum preflight_result check_mongo(struct preflight *p, const char **ret_note) {
    const struct config *c = p->service.deps.config;
    struct store_mongo_options o = {c->mongo_uri, c->mongo_tls_ca_file};
    const struct value *checks;
    struct buf b = BUF_INIT;
    bool good = true;

    store_check_mongo(&o, p->arena, &checks);
    for (VALUE_EACH_ITEM(check, checks)) {
        bool ok = value_get_bool(check, "ok", false);

        good = good && ok;
        buf_addf(&b, "%s%s%s", b.len ? "; " : "",
                 ok ? "" : "FAILED: ", value_get_string(check, "message", ""));
    }
    *ret_note = buf_to_arena(&b, p->arena).data;
    buf_fini(&b);
    return good ? PREFLIGHT_OK : PREFLIGHT_FAIL;
}

static enum preflight_result check_documents(struct preflight *p, const char **ret_note) {
    const struct config *c = p->service.deps.config;
    struct status st;
    int rc;

    if (c->mongo_uri)
        return check_mongo(p, ret_note);
    st_init(&st, p->arena);
    if (service_make_dir(c->data_dir, &st) < 0)
        return preflight_fail(p, ret_note, &st);
    rc = service_open_store(&p->service, &st);
    if (rc == 0)
        rc = store_ping(p->service.deps.store, &st);
    if (p->service.deps.store)
        store_close(&p->service.deps.store);
    if (rc < 0)
        return preflight_fail(p, ret_note, &st);
    *ret_note = arena_printf(p->arena, "embedded, in %s", c->data_dir);
    return PREFLIGHT_OK;
}

static enum preflight_result judge_redis(struct preflight *p, const struct redis_facts *f,
                                         const char **ret_note) {
    const char *what = arena_printf(p->arena, "Redis %s, %u node%s, %s", f->version,
                                    f->nodes, f->nodes == 1 ? "" : "s", f->eviction);

    *ret_note = what;
    if (f->is_old) {
        *ret_note = arena_printf(p->arena, "%s: 6.0 or newer is needed", what);
        return PREFLIGHT_FAIL;
    }
    if (!f->may_evict)
        return PREFLIGHT_OK;
    *ret_note = arena_printf(p->arena,
                             "%s: it may drop tasks and locks, set maxmemory-policy to "
                             "noeviction",
                             what);
    return PREFLIGHT_WARN;
}

static enum preflight_result check_tasks(struct preflight *p, const char **ret_note) {
    const struct config *c = p->service.deps.config;
    struct redis_options o = {.uri = c->redis_uri,
                              .cluster_uris = c->redis_cluster_uris,
                              .cluster_uris_len = c->redis_cluster_uris_len,
                              .ca_file = c->redis_tls_ca_file ? c->redis_tls_ca_file
                                                              : c->extra_ca_file,
                              .skip_tls_verify = c->redis_disable_tls_verification};
    struct redis_facts facts = {0};
    struct redis *r = NULL;
    struct status st;
    int rc;

    if (!c->redis_uri && !c->redis_cluster_uris_len) {
        *ret_note = "in the process";
        return PREFLIGHT_OK;
    }
    st_init(&st, p->arena);
    rc = redis_open(&o, &r, &st);
    if (rc == 0)
        rc = redis_ping(r, &st);
    if (rc == 0)
        rc = redis_inspect(r, p->arena, &facts, &st);
    redis_close(&r);
    return rc < 0 ? preflight_fail(p, ret_note, &st) : judge_redis(p, &facts, ret_note);
}

/* ---- Objects ---- */

static int open_objects(struct preflight *p, struct blob **ret_blob, struct status *st) {
    const struct service *s = &p->service;
    const struct config *c = s->deps.config;

    if (!c->tmp_storage_bucket)
        return blob_open_fs(arena_printf(p->arena, "%s/objects", c->data_dir),
                            c->base_uri, c->secret, ret_blob, st);
    return blob_open_cloud(&(struct blob_cloud_options){.config = c,
                                                        .http = s->deps.http,
                                                        .clock = s->deps.clock,
                                                        .rand = s->deps.rand,
                                                        .attempts = 2},
                           ret_blob, st);
}

static const char text[] = "written by preflight";

static const char *probe_key(struct preflight *p) {
    return arena_printf(p->arena, "preflight/%s.txt",
                        token_new(p->service.deps.rand, p->arena, 12));
}

static int put_probe(struct blob *b, enum blob_bucket bucket, const char *key,
                     struct status *st) {
    return blob_put(b, bucket, key, (struct bytes){text, sizeof(text) - 1}, "text/plain",
                    st);
}

/* Writes, reads and deletes; -1 with *st filled. */
static int try_bucket(struct preflight *p, struct blob *b, enum blob_bucket bucket,
                      struct status *st) {
    const char *key = probe_key(p);
    struct bytes body;
    int rc;

    if (put_probe(b, bucket, key, st) < 0)
        return -1;
    rc = blob_get(b, p->arena, bucket, key, 1000, &body, NULL, st);
    if (rc == 1 || (rc == 0 && (body.len != sizeof(text) - 1 ||
                                memcmp(body.data, text, body.len) != 0)))
        rc = st_fail(st, ST_INTERNAL, NULL,
                     "what was written is not what is read: not a consistent store");
    if (blob_delete(b, bucket, key, st) < 0)
        rc = -1;
    return rc;
}

/* Workers may lack rights on the static bucket: only the API tries it. */
static enum preflight_result check_objects(struct preflight *p, const char **ret_note) {
    const struct config *c = p->service.deps.config;
    const char *const names[] = {c->tmp_storage_bucket, c->connectors_storage_bucket,
                                 c->static_storage_bucket};
    struct blob *b = NULL;
    struct status st;
    int rc;

    st_init(&st, p->arena);
    rc = open_objects(p, &b, &st);
    for (int i = BLOB_TMP; rc == 0 && i <= BLOB_STATIC; i++) {
        if (i == BLOB_STATIC && !(c->services & SERVICE_API))
            continue;
        rc = try_bucket(p, b, (enum blob_bucket)i, &st);
        if (rc < 0)
            st_context(&st, "%s bucket %s", blob_bucket_name((enum blob_bucket)i),
                       names[i] ? names[i] : "");
    }
    if (rc == 0)
        rc = blob_describe(b, p->arena, ret_note, &st);
    if (b)
        blob_close(&b);
    return rc < 0 ? preflight_fail(p, ret_note, &st) : PREFLIGHT_OK;
}

/* Puts an object, fetches it by its address as a browser would, deletes it. */
static enum preflight_result check_address(struct preflight *p, enum blob_bucket bucket,
                                           const char **ret_note) {
    const struct config *c = p->service.deps.config;
    const char *key = probe_key(p), *url;
    struct http_answer answer;
    struct blob *b = NULL;
    struct status st, ignored;
    int rc;

    st_init(&st, p->arena);
    st_init(&ignored, p->arena);
    if (open_objects(p, &b, &st) < 0)
        return preflight_fail(p, ret_note, &st);
    rc = put_probe(b, bucket, key, &st);
    if (rc == 0)
        rc = blob_url(b, p->arena, bucket, key, 60, &url, &st);
    if (rc == 0 && strncmp(url, c->base_uri, strlen(c->base_uri)) == 0) {
        blob_delete(b, bucket, key, &ignored);
        blob_close(&b);
        *ret_note = "the API itself serves them, once it runs";
        return PREFLIGHT_SKIP;
    }
    if (rc == 0)
        rc = get(p, url, &answer, &st);
    if (rc == 0 && (answer.status != 200 || answer.body.len != sizeof(text) - 1 ||
                    memcmp(answer.body.data, text, answer.body.len) != 0))
        rc = st_fail(&st, ST_INTERNAL, NULL, "%.*s answers %d, not the object",
                     (int)strcspn(url, "?"), url, answer.status);
    blob_delete(b, bucket, key, &ignored);
    blob_close(&b);
    if (rc < 0)
        return preflight_fail(p, ret_note, &st);
    *ret_note = arena_printf(p->arena, "%.*s", (int)strcspn(url, "?"), url);
    return PREFLIGHT_OK;
}

static enum preflight_result check_presign(struct preflight *p, const char **ret_note) {
    return check_address(p, BLOB_TMP, ret_note);
}

static enum preflight_result check_static(struct preflight *p, const char **ret_note) {
    if (!(p->service.deps.config->services & SERVICE_API)) {
        *ret_note = "only the API needs it";
        return PREFLIGHT_SKIP;
    }
    return check_address(p, BLOB_STATIC, ret_note);
}

/* ---- Runner and clock ---- */

static enum preflight_result check_runner(struct preflight *p, const char **ret_note) {
    const char *url = arena_printf(p->arena, "%s/api/v2/health",
                                   p->service.deps.config->custom_code_runner_uri);
    struct http_answer answer;
    struct status st;

    if (get(p, url, &answer, &st) < 0)
        return preflight_fail(p, ret_note, &st);
    *ret_note = arena_printf(p->arena, "%s answers %d", url, answer.status);
    return answer.status == 200 ? PREFLIGHT_OK : PREFLIGHT_FAIL;
}

static enum preflight_result check_clock(struct preflight *p, const char **ret_note) {
    int64_t skew = llabs(p->skew_ms);

    if (!p->skew_of) {
        *ret_note = "no other check saw a clock";
        return PREFLIGHT_SKIP;
    }
    *ret_note = arena_printf(p->arena, "%lld s from %.*s", (long long)skew / 1000,
                             (int)strcspn(p->skew_of, "?"), p->skew_of);
    return skew > SKEW_FAIL_MS   ? PREFLIGHT_FAIL
           : skew > SKEW_WARN_MS ? PREFLIGHT_WARN
                                 : PREFLIGHT_OK;
}

/* ---- The table ---- */

static const struct {
    const char *name;
    preflight_check *run;
} rows[] = {
    {"documents", check_documents}, {"tasks", check_tasks},
    {"objects", check_objects},     {"presign", check_presign},
    {"static", check_static},       {"runner", check_runner},
    {"sign-in", preflight_sign_in}, {"mail", preflight_mail},
    {"names", preflight_names},     {"addresses", preflight_addresses},
    {"clock", check_clock}, /* last: it judges the dates that the others saw */
};
enum { ROWS = sizeof(rows) / sizeof(*rows) };

static const char *const words[] = {"ok", "warn", "skip", "FAIL"};

static bool is_wanted(const char *only, const char *name) {
    size_t len = strlen(name);

    for (const char *s = only; s && *s;) {
        size_t n = strcspn(s, ",");

        if (n == len && strncmp(s, name, n) == 0)
            return true;
        s += n + (s[n] == ',');
    }
    return !only;
}

static bool is_known(const char *only) {
    for (const char *s = only; *s;) {
        size_t n = strcspn(s, ","), i = 0;

        while (i < ROWS && !(strlen(rows[i].name) == n && !strncmp(rows[i].name, s, n)))
            i++;
        if (i == ROWS)
            return false;
        s += n + (s[n] == ',');
    }
    return true;
}

/* Gives how many failed. */
static size_t run_rows(struct preflight *p, const char *only, bool json) {
    struct arena *a = p->arena;
    struct array_builder list;
    struct buf b = BUF_INIT;
    size_t failed = 0;

    array_begin(&list, a, ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        enum preflight_result r;
        const char *note = "";

        if (!is_wanted(only, rows[i].name))
            continue;
        r = rows[i].run(p, &note);
        failed += r == PREFLIGHT_FAIL;
        if (!json) {
            printf("%-5s %-10s %s\n", words[r], rows[i].name, note);
            fflush(stdout);
        }
        array_push(&list,
                   value_obj(a, "name", value_string(a, rows[i].name), "result",
                             value_string(a, r == PREFLIGHT_FAIL ? "fail" : words[r]),
                             "note", value_string(a, note), NULL));
    }
    if (!json)
        return failed;
    value_encode(
        &b,
        value_obj(a, "ready", value_bool(failed == 0), "checks", array_end(&list), NULL),
        VALUE_ENCODE_INDENT_2);
    printf("%s\n", b.data);
    buf_fini(&b);
    return failed;
}

/* A service that is not run: what checks need of one. */
static int open_service(struct service *s, struct arena *a, const struct config *c,
                        struct service_options *options, struct status *st) {
    *options = (struct service_options){.config = c, .ready_fd = -1};
    s->options = options;
    s->arena = a;
    s->deps = (struct deps){.config = c, .clock = clock_system(), .rand = rand_system()};
    s->log = (struct log_ctx){.service = "preflight"};
    log_setup(&(struct log_options){.level = LOG_ERROR, .service = "preflight"});
    return service_open_http(s, st);
}

static const struct config *load(struct arena *a) {
    struct config_sources src = {.environment = (const char *const *)environ};
    struct config_report report;
    const struct config *c;
    int rc = config_load(a, 0, &src, &c, &report);

    config_report_print(&report, stderr);
    return rc < 0 ? NULL : c;
}

static int preflight(struct arena *a, const struct config *c, const char *only,
                     bool json) {
    struct preflight *p = arena_zalloc(a, sizeof(*p));
    struct config quick = *c;
    struct service_options options;
    struct status st;
    size_t failed;

    quick.startup_timeout_seconds = 3; /* a person waits for it */
    p->arena = a;
    st_init(&st, a);
    if (open_service(&p->service, a, &quick, &options, &st) < 0) {
        fprintf(stderr, "membrane preflight: %s\n", st.message);
        return EX_CONFIG;
    }
    failed = run_rows(p, only, json);
    http_client_close(&p->service.deps.http);
    return failed ? 1 : 0;
}

int preflight_command(int argc, char **argv) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"only", required_argument, NULL, 'o'}, {0}};
    const char *only = NULL;
    const struct config *c;
    bool json = false;
    struct arena *a;
    int option, status = EX_CONFIG;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j')
            json = true;
        else if (option == 'o')
            only = optarg;
        else
            return EX_USAGE;
    }
    if (optind < argc || (only && !is_known(only))) {
        fprintf(stderr, "membrane preflight: [--json] [--only NAME,...]\n");
        return EX_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    a = arena_new(0);
    if ((c = load(a)) != NULL)
        status = preflight(a, c, only, json);
    arena_free(&a);
    return status;
}

/* ---- migrate ---- */

static int migrate(struct arena *a, const struct config *c) {
    struct service *s = arena_zalloc(a, sizeof(*s));
    struct service_options options;
    struct status st;
    int status = 0;

    st_init(&st, a);
    if (open_service(s, a, c, &options, &st) < 0 ||
        (c->data_dir && service_make_dir(c->data_dir, &st) < 0))
        status = EX_CONFIG;
    else if (service_open_store(s, &st) < 0 || store_ping(s->deps.store, &st) < 0)
        status = st.type == ST_CONFIGURATION ? EX_CONFIG : EX_TEMPFAIL;
    if (status)
        fprintf(stderr, "membrane migrate: %s\n", st.message);
    else
        printf("%d collections and their indexes are up to date\n",
               (int)COLLECTION_COUNT);
    if (s->deps.store)
        store_close(&s->deps.store);
    if (s->deps.http)
        http_client_close(&s->deps.http);
    return status;
}

int migrate_command(int argc, char **argv) {
    const struct config *c;
    struct arena *a;
    int status = EX_CONFIG;

    if (argc > 1) {
        fprintf(stderr, "membrane migrate: takes no argument, but got %s\n", argv[1]);
        return EX_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    a = arena_new(0);
    if ((c = load(a)) != NULL)
        status = migrate(a, c);
    arena_free(&a);
    return status;
}
