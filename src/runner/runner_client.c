/*
 * A job is sent again only while the runner has not accepted it: no connection, or 503
 * because its spaces are taken. After that a failure is the answer, because code may have
 * acted already.
 *
 * The API client's configuration travels as a grant that the code does not see. It is
 * made only for code that names it, because a makeApiClient in JavaScript is a job of its
 * own.
 */
#include "runner_client.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "crypto/crypto_hash.h"
#include "deps/deps.h"
#include "external/external.h"
#include "http/http_client.h"
#include "runner_slots.h"
#include "value/value_status.h"

enum {
    FUNCTION_LIMIT_MS = 50 * 1000,
    ANSWER_SLACK_MS = 5000, /* the runner ends a job itself; this is for its answer */
    MAX_ANSWER_BYTES = 32 * 1024 * 1024,
    MAX_CODE_BYTES = 1024 * 1024,
    FIRST_PAUSE_MS = 25,
    LONGEST_PAUSE_MS = 1000,
    MAX_WAIT_MS = 10 * 1000, /* for a space */
    MAX_SLOT_WAIT_MS = 50 * 60 * 1000,
    END_TIMEOUT_MS = 2000,
};

/* ---- What the code is given ---- */

static void set_missing(struct object_builder *b, const struct value *args,
                        const char *name, const struct value *v) {
    if (v && !value_has(args, name))
        object_set(b, name, v);
}

static const struct value *arguments(struct external_session *s,
                                     const struct value *args) {
    struct object_builder b;

    object_begin(&b, s->arena, 12);
    object_set_all(&b, args);
    if (s->credentials)
        set_missing(&b, args, "credentials",
                    value_merge(s->arena, s->connection_parameters, s->credentials));
    set_missing(&b, args, "connectionParameters", s->connection_parameters);
    set_missing(&b, args, "connectionInput", s->connection_parameters);
    set_missing(&b, args, "connectorParameters", s->connector_parameters);
    return object_end(&b);
}

/* {client | error}, or NULL for code that asks for none. */
static const struct value *external_grant(struct external_session *s, const char *code) {
    struct arena *a = s->arena;
    const struct value *client = NULL, *inner;
    struct status st;
    int rc;

    if (s->making_client || !strstr(code, "piClient") ||
        value_is_nullish(value_get(s->option, "makeApiClient")))
        return NULL;
    st_init(&st, a);
    rc = external_client(s, &client, &st);
    inner = value_obj(a, "client", rc == 0 ? client : NULL, "error",
                      rc < 0 ? value_from_status(a, &st) : NULL, "connectionId",
                      s->connection_id ? value_string(a, s->connection_id) : NULL,
                      "connectorKey",
                      s->connector_key ? value_string(a, s->connector_key) : NULL, NULL);
    return inner;
}

bool runner_client_wants_engine(const char *code) {
    return strstr(code, "engineApiClient") || strstr(code, "membrane");
}

static const struct value *engine_grant(struct arena *a, const struct runner_owner *o) {
    if (!o->engine_token)
        return NULL;
    return value_obj(a, "baseUri", value_string(a, o->engine_uri), "token",
                     value_string(a, o->engine_token), NULL);
}

static const struct value *app_grant(struct arena *a, const struct runner_owner *o,
                                     const char *code) {
    if (!o->app_client || !strstr(code, "internalApiClient"))
        return NULL;
    return value_obj(a, "client", o->app_client, NULL);
}

/* What the code may know of it: a client of the SDK shows its address. */
static const struct value *engine_facts(struct arena *a, const struct config *c,
                                        const struct runner_owner *o) {
    if (!o->engine_token)
        return NULL;
    return value_obj(a, "uri", value_string(a, c->base_uri), "customer",
                     o->customer_id ? value_string(a, o->customer_id) : NULL, NULL);
}

static int64_t left_ms(const struct external_session *s) {
    int64_t left;

    if (!s->deadline_ms)
        return FUNCTION_LIMIT_MS;
    left = s->deadline_ms - clock_monotonic_ms(s->deps->clock);
    return left < 1 ? 1 : left;
}

/* Those of the session's helpers that the code names. */
static const struct value *helpers(struct external_session *s, const char *code,
                                   const struct value *args) {
    struct object_builder b;

    object_begin(&b, s->arena, 2);
    for (VALUE_EACH_MEMBER(m, s->helpers))
        if (strstr(code, m->key) && !value_has(args, m->key))
            object_set_key(&b, m, &m->value);
    return object_end(&b);
}

static const struct value *job(struct external_session *s,
                               const struct runner_owner *owner, const char *id,
                               const struct value *function, const struct value *args) {
    const char *code = value_get_string(function, "code", "");
    const struct config *c = s->deps->config;
    struct arena *a = s->arena;

    return value_obj(
        a, "id", value_string(a, id), "code", value_string(a, code), "entry",
        value_get(function, "entry"), "each", value_get(function, "each"), "helpers",
        helpers(s, code, args), "arguments", arguments(s, args), "limits",
        value_obj(a, "timeoutMs", value_number(a, (double)left_ms(s)), "memoryBytes",
                  c->custom_code_memory_limit
                      ? value_number(a, (double)c->custom_code_memory_limit)
                      : NULL,
                  NULL),
        "grant",
        value_obj(a, "external", external_grant(s, code), "engine",
                  engine_grant(a, owner), "internal", app_grant(a, owner, code), NULL),
        "engine", engine_facts(a, c, owner), NULL);
}

/* ---- Asking the runner ---- */

/* The body is handed out once: libcurl must not send a job again by itself. */
static int give_body(void *ctx, char *buf, size_t max, size_t *ret_len) {
    struct bytes *left = ctx;
    size_t n = left->len < max ? left->len : max;

    memcpy(buf, left->data, n);
    left->data += n;
    left->len -= n;
    *ret_len = n;
    return 0;
}

static int ask(struct external_session *s, const char *method, const char *path,
               struct bytes body, int timeout_ms, struct http_answer *ret,
               struct status *st) {
    const struct config *c = s->deps->config;
    struct arena *a = s->arena;
    struct bytes left = body;
    struct http_header headers[3] = {
        {"Content-Type", "application/json"},
        {"Content-Length", arena_printf(a, "%zu", body.len)}};
    struct http_call call = {
        .method = method,
        .url = arena_printf(a, "%s/api/v2/run%s", c->custom_code_runner_uri, path),
        .headers = headers,
        .headers_len = 2,
        .body_pull = body.len ? give_body : NULL,
        .body_ctx = &left,
        .reach = HTTP_REACH_ANY,
        .timeout_ms = timeout_ms,
        .connect_timeout_ms = 2000,
        .max_answer_bytes = MAX_ANSWER_BYTES,
        .cancel = body.len ? s->cancel : NULL,
    };

    if (c->runner_shared_secret && *c->runner_shared_secret)
        headers[call.headers_len++] = (struct http_header){
            "X-Runner-Signature",
            crypto_hmac_sha256_hex(
                a,
                (struct bytes){c->runner_shared_secret, strlen(c->runner_shared_secret)},
                body)};
    return http_client_call(s->deps->http, a, &call, ret, st);
}

static bool is_cancelled(const struct external_session *s) {
    return s->cancel && atomic_load(s->cancel);
}

/* The answer is not waited for any more; the job need not go on. */
static void end_job(struct external_session *s, const char *id) {
    struct http_answer ignored;
    struct status st;

    st_init(&st, s->arena);
    ask(s, "DELETE", arena_printf(s->arena, "/%s", id), (struct bytes){"", 0},
        END_TIMEOUT_MS, &ignored, &st);
}

/* Was there no connection at all? Then nobody has the job. */
static bool not_reached(const struct status *st) {
    return st->key && strcmp(st->key, "network_error") == 0 && st->message &&
           (strncmp(st->message, "Can't connect", 13) == 0 ||
            strncmp(st->message, "Can't find", 10) == 0);
}

/* A growing pause. false: there is no time for it, or the run was stopped. */
static bool pause_once(struct external_session *s, int64_t end_ms, int64_t *pause_ms) {
    struct timespec t = {*pause_ms / 1000, *pause_ms % 1000 * 1000000};

    if (clock_monotonic_ms(s->deps->clock) + *pause_ms >= end_ms || is_cancelled(s))
        return false;
    nanosleep(&t, NULL);
    *pause_ms = *pause_ms * 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : *pause_ms * 2;
    return true;
}

/* When waiting must end: the session's deadline, or `most_ms` from now. */
static int64_t wait_end(const struct external_session *s, int64_t most_ms) {
    int64_t end = clock_monotonic_ms(s->deps->clock) + most_ms;

    return s->deadline_ms && s->deadline_ms < end ? s->deadline_ms : end;
}

static int call_runner(struct external_session *s, const char *id, struct bytes body,
                       struct http_answer *ret, struct status *st) {
    int64_t end = wait_end(s, MAX_WAIT_MS), pause = FIRST_PAUSE_MS;

    for (;;) {
        int rc = ask(s, "POST", "", body, (int)(left_ms(s) + ANSWER_SLACK_MS), ret, st);

        if (rc < 0 && !not_reached(st)) {
            end_job(s, id);
            return -1;
        }
        if (rc == 0 && ret->status != 503)
            return 0;
        if (!pause_once(s, end, &pause))
            return rc;
        st_clear(st);
    }
}

static int read_answer(struct external_session *s, const struct http_answer *answer,
                       const struct value **ret_answer, struct status *st) {
    const struct value *error;

    if (value_parse(s->arena, answer->body.data ? answer->body.data : "",
                    answer->body.len, NULL, ret_answer, st) < 0) {
        st_clear(st);
        return st_fail(st, ST_CUSTOM_CODE, NULL,
                       "the code runner's answer (status %d) is not JSON",
                       answer->status);
    }
    for (VALUE_EACH_ITEM(l, value_get(*ret_answer, "logs")))
        array_push(&s->logs, l);
    if (answer->status == 200)
        return 0;
    error = value_get(*ret_answer, "error");
    if (value_is_object(error))
        return value_to_status(error, st);
    /* An error of the service itself is no error of the code. */
    if (value_to_status(*ret_answer, st) < 0)
        st_wrap(st, ST_CUSTOM_CODE, NULL, "the code runner refused the job: %s",
                st->message);
    return -1;
}

static int run(struct external_session *s, const struct runner_owner *owner,
               const struct value *function, const struct value *args,
               const struct value **ret_answer, struct status *st) {
    const char *id = id_new(s->deps->clock, s->deps->rand, s->arena);
    struct bytes body = value_encode_arena(s->arena, job(s, owner, id, function, args),
                                           VALUE_ENCODE_COMPACT);
    struct http_answer answer;

    *ret_answer = &value_undefined;
    if (call_runner(s, id, body, &answer, st) == 0)
        return read_answer(s, &answer, ret_answer, st);
    if (is_cancelled(s)) {
        st_clear(st);
        return st_fail(st, ST_CUSTOM_CODE, "cancelled", "The run was stopped");
    }
    return st_wrap(st, ST_CUSTOM_CODE, "unavailable",
                   "the code runner does not answer: %s", st->message);
}

/* ---- Limits of workspace and customer ---- */

static int limit_of(const struct external_session *s, const struct runner_owner *owner,
                    enum config_limit which) {
    const struct config *c = s->deps->config;
    const struct value *own =
        value_path(owner->workspace, "limits", config_limit_rows()[which].key, NULL);

    if (!c->enable_limits)
        return 0;
    return (int)value_get_number(own, "value", c->limit[which]);
}

static bool take_slots(struct external_session *s, const struct runner_owner *owner,
                       const char *workspace) {
    struct runner_slots *slots = s->deps->runner_slots;

    if (!runner_slots_take(slots, workspace,
                           limit_of(s, owner, LIMIT_PARALLEL_CUSTOM_CODE_RUNS)))
        return false;
    if (!owner->customer_id ||
        runner_slots_take(
            slots, owner->customer_id,
            limit_of(s, owner, LIMIT_PARALLEL_CUSTOM_CODE_RUNS_PER_CUSTOMER)))
        return true;
    runner_slots_give(slots, workspace);
    return false;
}

/* Runs it in a place of the workspace and of the customer. */
static int run_in_slot(struct external_session *s, const struct runner_owner *owner,
                       const struct value *function, const struct value *args,
                       const struct value **ret_answer, struct status *st) {
    const char *workspace = value_get_string(owner->workspace, "id", "");
    struct runner_slots *slots = s->deps->runner_slots;
    int64_t end = wait_end(s, s->asynchronous ? MAX_SLOT_WAIT_MS : 0);
    int64_t pause = FIRST_PAUSE_MS;
    int rc;

    if (!slots)
        return run(s, owner, function, args, ret_answer, st);
    while (!take_slots(s, owner, workspace))
        if (!pause_once(s, end, &pause))
            return st_fail(st, ST_BAD_REQUEST, "rate_limit_exceeded",
                           "as much custom code runs at once as the limits "
                           "parallelCustomCodeRuns and "
                           "parallelCustomCodeRunsPerCustomer allow");
    rc = run(s, owner, function, args, ret_answer, st);
    runner_slots_give(slots, workspace);
    if (owner->customer_id)
        runner_slots_give(slots, owner->customer_id);
    return rc;
}

/* ---- The hook ---- */

static bool has_expired(const struct status *st) {
    return st->type == ST_CONNECTION && st->key &&
           strcmp(st->key, "access_token_expired") == 0;
}

int runner_client_javascript(struct external_session *s, const struct runner_owner *owner,
                             const struct value *function, const struct value *args,
                             const struct value **ret_result, struct status *st) {
    const struct value *answer;
    struct status refresh;

    if (!s->deps->config->custom_code_runner_uri)
        return st_fail(st, ST_CUSTOM_CODE, "code_is_off",
                       "custom code is off: no code runner is configured "
                       "(CUSTOM_CODE_RUNNER_URI)");
    if (strlen(value_get_string(function, "code", "")) > MAX_CODE_BYTES)
        return st_fail(st, ST_CUSTOM_CODE, NULL, "the code is larger than %d bytes",
                       MAX_CODE_BYTES);
    if (run_in_slot(s, owner, function, args, &answer, st) < 0) {
        if (!has_expired(st) || s->refreshed || s->making_client || !s->hooks->refresh)
            return -1;
        st_init(&refresh, s->arena);
        s->refreshed = true;
        if (s->hooks->refresh(s, &refresh) != 0)
            return -1;
        s->client = NULL;
        if (value_get_number(value_get(answer, "usage"), "clientSuccesses", 1) > 0)
            return -1; /* it has acted: the next run has the new credentials */
        st_clear(st);
        if (run_in_slot(s, owner, function, args, &answer, st) < 0)
            return -1;
    }
    *ret_result = value_get(answer, "result");
    return 0;
}
