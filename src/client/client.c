#include "client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "crypto/crypto_jws.h"
#include "http/http_client.h"
#include "value/value.h"
#include "value/value_status.h"

#define TIMEOUT_MS   120000
#define MAX_ANSWER   ((size_t)256 * 1024 * 1024)
#define TOKEN_LIFE_S 3600

struct client {
    struct arena *arena;
    const struct config *config;
    struct http_client *http;
    const char *authorization;
};

static void close_client(void *ctx) {
    struct client *c = ctx;

    http_client_close(&c->http);
}

static int missing(struct status *st, const char *name) {
    return st_fail(
        st, ST_CONFIGURATION, NULL,
        "%s is not set (the workspace's key and secret are in the console, and in "
        "the file of `membrane up --bootstrap-file`)",
        name);
}

/* An admin token of the workspace, signed here: nothing is asked of the server. */
static int sign_token(struct client *c, struct status *st) {
    const struct config *cfg = c->config;
    const struct value *claims;
    struct bytes secret;

    if (cfg->membrane_access_token) {
        c->authorization =
            arena_printf(c->arena, "Bearer %s", cfg->membrane_access_token);
        return 0;
    }
    if (!cfg->membrane_workspace_key)
        return missing(st, "MEMBRANE_WORKSPACE_KEY");
    if (!cfg->membrane_workspace_secret)
        return missing(st, "MEMBRANE_WORKSPACE_SECRET");
    secret = (struct bytes){cfg->membrane_workspace_secret,
                            strlen(cfg->membrane_workspace_secret)};
    claims =
        value_obj(c->arena, "iss", value_string(c->arena, cfg->membrane_workspace_key),
                  "isAdmin", &value_true, "exp",
                  value_number(c->arena, (double)(clock_now_ms(clock_system()) / 1000 +
                                                  TOKEN_LIFE_S)),
                  NULL);
    c->authorization = arena_printf(
        c->arena, "Bearer %s", crypto_jwt_sign(c->arena, CRYPTO_HS256, secret, claims));
    return 0;
}

int client_open(struct arena *a, struct client **ret_client, struct status *st) {
    struct config_sources src = {.environment = (const char *const *)environ};
    struct http_client_options options = {.user_agent = "membrane/" MEMBRANE_VERSION};
    struct client *c = arena_zalloc(a, sizeof(*c));
    struct config_report report;

    c->arena = a;
    if (config_load(a, SERVICE_CLIENT, &src, &c->config, &report) < 0)
        return st_fail(st, ST_CONFIGURATION, NULL, "%s: %s: %s", report.first->name,
                       report.first->code, report.first->text);
    if (sign_token(c, st) < 0 || http_client_open(&options, &c->http, st) < 0)
        return -1;
    arena_defer(a, close_client, c);
    *ret_client = c;
    return 0;
}

const struct config *client_config(const struct client *c) {
    return c->config;
}

const char *client_api_uri(const struct client *c) {
    return c->config->membrane_api_uri;
}

static int api_error(struct client *c, const struct http_answer *answer,
                     struct status *st) {
    const struct value *body;
    struct status ignored;

    st_init(&ignored, c->arena);
    if (value_parse(c->arena, answer->body.data, answer->body.len, NULL, &body,
                    &ignored) == 0 &&
        value_is_string(value_get(body, "message")))
        return value_to_status(body, st);
    return st_fail(st, ST_CONNECTION, NULL, "%s answered %d", client_api_uri(c),
                   answer->status);
}

int client_call_bytes(struct client *c, const char *method, const char *path,
                      const char *content_type, struct bytes body, struct bytes *ret_body,
                      struct status *st) {
    struct http_header headers[] = {
        {"Authorization", c->authorization},
        {"Accept", "application/json"},
        {"membrane-api-version", "2025-10-21"},
        {"Content-Type", content_type},
    };
    struct http_call call = {
        .method = method,
        .url = arena_printf(c->arena, "%s%s", client_api_uri(c), path),
        .headers = headers,
        .headers_len = content_type ? 4 : 3,
        .body = body,
        .reach = HTTP_REACH_ANY,
        .timeout_ms = TIMEOUT_MS,
        .max_answer_bytes = MAX_ANSWER,
    };
    struct http_answer answer;

    if (http_client_call(c->http, c->arena, &call, &answer, st) < 0)
        return st_context(st, "%s can't be reached", client_api_uri(c));
    if (answer.status < 200 || answer.status > 299)
        return api_error(c, &answer, st);
    if (ret_body)
        *ret_body = answer.body;
    return 0;
}

int client_call(struct client *c, const char *method, const char *path,
                const struct value *body, const struct value **ret_answer,
                struct status *st) {
    struct bytes encoded = {"", 0}, answer;

    if (body)
        encoded = value_encode_arena(c->arena, body, VALUE_ENCODE_COMPACT);
    if (client_call_bytes(c, method, path, body ? "application/json" : NULL, encoded,
                          &answer, st) < 0)
        return -1;
    if (!ret_answer)
        return 0;
    *ret_answer = &value_undefined;
    return answer.len == 0
               ? 0
               : value_parse(c->arena, answer.data, answer.len, NULL, ret_answer, st);
}

void client_print_error(const char *command, const struct status *st) {
    fprintf(stderr, "membrane %s: %s\n", command, st->message);
    for (const struct status *cause = st->cause; cause; cause = cause->cause)
        fprintf(stderr, "  because: %s\n", cause->message);
    if (st->data) {
        const char *path = value_get_string(st->data, "path", NULL);

        if (path && !strstr(st->message, path))
            fprintf(stderr, "  at: %s\n", path);
    }
}
