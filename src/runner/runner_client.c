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
#include "value/value_status.h"

enum {
    FUNCTION_LIMIT_MS = 50 * 1000,
    ANSWER_SLACK_MS = 5000, /* the runner ends a job itself; this is for its answer */
    MAX_ANSWER_BYTES = 32 * 1024 * 1024,
    MAX_CODE_BYTES = 1024 * 1024,
    FIRST_PAUSE_MS = 25,
    LONGEST_PAUSE_MS = 1000,
    MAX_WAIT_MS = 10 * 1000, /* for a space */
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

static const struct value *engine_grant(struct arena *a, const struct runner_engine *e) {
    if (!e)
        return NULL;
    return value_obj(a, "baseUri", value_string(a, e->base_uri), "token",
                     value_string(a, e->token), NULL);
}

/* What the code may know of it: a client of the SDK shows its address. */
static const struct value *engine_facts(struct arena *a, const struct config *c,
                                        const struct runner_engine *e) {
    if (!e)
        return NULL;
    return value_obj(a, "uri", value_string(a, c->base_uri), "customer",
                     e->customer ? value_string(a, e->customer) : NULL, NULL);
}

static int64_t left_ms(const struct external_session *s) {
    int64_t left;

    if (!s->deadline_ms)
        return FUNCTION_LIMIT_MS;
    left = s->deadline_ms - clock_monotonic_ms(s->deps->clock);
    return left < 1 ? 1 : left;
}

static const struct value *job(struct external_session *s,
                               const struct runner_engine *engine, const char *code,
                               const struct value *args) {
    const struct config *c = s->deps->config;
    struct arena *a = s->arena;

    return value_obj(
        a, "id", value_string(a, id_new(s->deps->clock, s->deps->rand, a)), "code",
        value_string(a, code), "arguments", arguments(s, args), "limits",
        value_obj(a, "timeoutMs", value_number(a, (double)left_ms(s)), "memoryBytes",
                  c->custom_code_memory_limit
                      ? value_number(a, (double)c->custom_code_memory_limit)
                      : NULL,
                  NULL),
        "grant",
        value_obj(a, "external", external_grant(s, code), "engine",
                  engine_grant(a, engine), NULL),
        "engine", engine_facts(a, c, engine), NULL);
}

/* ---- Asking the runner ---- */

static int call_once(struct external_session *s, struct bytes body,
                     struct http_answer *ret, struct status *st) {
    const struct config *c = s->deps->config;
    struct arena *a = s->arena;
    struct http_header headers[2] = {{"Content-Type", "application/json"}};
    struct http_call call = {
        .method = "POST",
        .url = arena_printf(a, "%s/api/v2/run", c->custom_code_runner_uri),
        .headers = headers,
        .headers_len = 1,
        .body = body,
        .reach = HTTP_REACH_ANY,
        .timeout_ms = (int)(left_ms(s) + ANSWER_SLACK_MS),
        .connect_timeout_ms = 2000,
        .max_answer_bytes = MAX_ANSWER_BYTES,
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

/* Was there no connection at all? Then nobody has the job. */
static bool not_reached(const struct status *st) {
    return st->key && strcmp(st->key, "network_error") == 0 && st->message &&
           (strncmp(st->message, "Can't connect", 13) == 0 ||
            strncmp(st->message, "Can't find", 10) == 0);
}

static void pause_ms(int64_t ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static int call_runner(struct external_session *s, struct bytes body,
                       struct http_answer *ret, struct status *st) {
    int64_t end = clock_monotonic_ms(s->deps->clock) + MAX_WAIT_MS;
    int64_t pause = FIRST_PAUSE_MS;

    if (s->deadline_ms && s->deadline_ms < end)
        end = s->deadline_ms;
    for (;;) {
        int rc = call_once(s, body, ret, st);

        if (rc == 0 ? ret->status != 503 : !not_reached(st))
            return rc;
        if (clock_monotonic_ms(s->deps->clock) + pause >= end)
            return rc;
        st_clear(st);
        pause_ms(pause);
        pause = pause * 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause * 2;
    }
}

static int run(struct external_session *s, const struct runner_engine *engine,
               const char *code, const struct value *args,
               const struct value **ret_answer, struct status *st) {
    struct bytes body =
        value_encode_arena(s->arena, job(s, engine, code, args), VALUE_ENCODE_COMPACT);
    struct http_answer answer;
    const struct value *error;

    *ret_answer = &value_undefined;
    if (call_runner(s, body, &answer, st) < 0)
        return st_wrap(st, ST_CUSTOM_CODE, "unavailable",
                       "the code runner does not answer: %s", st->message);
    if (value_parse(s->arena, answer.body.data ? answer.body.data : "", answer.body.len,
                    NULL, ret_answer, st) < 0) {
        st_clear(st);
        return st_fail(st, ST_CUSTOM_CODE, NULL,
                       "the code runner's answer (status %d) is not JSON", answer.status);
    }
    for (VALUE_EACH_ITEM(l, value_get(*ret_answer, "logs")))
        array_push(&s->logs, l);
    if (answer.status == 200)
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

/* ---- The hook ---- */

static bool has_expired(const struct status *st) {
    return st->type == ST_CONNECTION && st->key &&
           strcmp(st->key, "access_token_expired") == 0;
}

int runner_client_javascript(struct external_session *s,
                             const struct runner_engine *engine, const char *code,
                             const struct value *args, const struct value **ret_result,
                             struct status *st) {
    const struct value *answer;
    struct status refresh;

    if (!s->deps->config->custom_code_runner_uri)
        return st_fail(st, ST_CUSTOM_CODE, "code_is_off",
                       "custom code is off: no code runner is configured "
                       "(CUSTOM_CODE_RUNNER_URI)");
    if (strlen(code) > MAX_CODE_BYTES)
        return st_fail(st, ST_CUSTOM_CODE, NULL, "the code is larger than %d bytes",
                       MAX_CODE_BYTES);
    if (run(s, engine, code, args, &answer, st) < 0) {
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
        if (run(s, engine, code, args, &answer, st) < 0)
            return -1;
    }
    *ret_result = value_get(answer, "result");
    return 0;
}
