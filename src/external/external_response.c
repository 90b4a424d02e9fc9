/*
 * external_response.c - what an answer means: success, or which error (engine.md 6.3).
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "external_priv.h"

/* data of a connection error: what was asked and what came back, without secrets. */
static const struct value *error_data(struct external_session *s,
                                      const struct external_wire *w,
                                      const struct value *response) {
    struct arena *a = s->arena;
    const struct value *request =
        value_obj(a, "url", value_string(a, external_redact_url(a, w->url)), "method",
                  value_string(a, w->method), NULL);

    return value_obj(
        a, "connectionId", s->connection_id ? value_string(a, s->connection_id) : NULL,
        "connectorKey", s->connector_key ? value_string(a, s->connector_key) : NULL,
        "request", request, "response",
        external_redact(a, value_obj(a, "status", value_get(response, "status"),
                                     "headers", value_get(response, "headers"), "data",
                                     value_get(response, "data"), NULL)),
        NULL);
}

static const char *short_text(const struct value *v) {
    return value_is_string(v) && v->len > 0 && v->len <= 300 ? v->str : NULL;
}

/* Where APIs put their message: the text itself, or a usual member. */
static const char *message_of(const struct value *data, int depth) {
    static const char *const names[] = {"message", "error_description", "error", "detail",
                                        "title",   "errorMessage"};
    const char *text = short_text(data);

    if (text && data->str[0] != '<')
        return text;
    if (value_is_array(data) && data->len && depth < 3)
        return message_of(data->items, depth + 1);
    if (!value_is_object(data) || depth >= 3)
        return NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const struct value *v = value_get(data, names[i]);

        text = short_text(v);
        if (!text && (value_is_object(v) || value_is_array(v)))
            text = message_of(v, depth + 1);
        if (text)
            return text;
    }
    return message_of(value_get(data, "errors"), depth + 1);
}

static int default_error(struct external_session *s, const struct external_wire *w,
                         const struct value *response, int status, struct status *st) {
    const char *message = message_of(value_get(response, "data"), 0);
    const char *key = status == 401   ? "access_token_expired"
                      : status == 429 ? "rate_limit_exceeded"
                                      : NULL;
    const struct value *data = error_data(s, w, response);

    if (message)
        return st_fail_data(st, ST_CONNECTION, key, data, "%s", message);
    return st_fail_data(st, ST_CONNECTION, key, data,
                        "Request failed with status code %d", status);
}

/* Does the handler's `match`, once built, claim the response? */
static bool matches(const struct value *match, const struct value *response) {
    if (!value_is_object(match))
        return value_truthy(match);
    /* A plain object lists members of the response that must be equal. */
    for (VALUE_EACH_MEMBER(m, match))
        if (!value_equal(&m->value, value_get_len(response, m->key, m->key_len)))
            return false;
    return true;
}

static int handler_error(struct external_session *s, const struct external_wire *w,
                         const struct value *error, const struct value *response,
                         struct status *st) {
    const char *message = value_get_string(error, "message", NULL);
    const char *key = value_get_string(error, "key", NULL);
    const struct value *data = error_data(s, w, response);

    if (value_has(error, "data"))
        data = value_merge(s->arena, data, value_get(error, "data"));
    if (!message)
        message = message_of(value_get(response, "data"), 0);
    if (!message)
        message = "The external app answered with an error";
    return st_fail_data(st, ST_CONNECTION, key, data, "%s", message);
}

int external_interpret(struct external_session *s, const struct external_wire *w,
                       const struct value *handlers, const struct value *response,
                       bool allow_error_status, const struct value **ret_data,
                       struct status *st) {
    int status = (int)value_get_number(response, "status", 0);
    const struct value *variables = value_obj(s->arena, "response", response, NULL),
                       *built;

    *ret_data = NULL;
    variables = external_variables(s, value_obj(s->arena, "response", response, NULL));
    for (VALUE_EACH_ITEM(h, handlers)) {
        if (external_build(s, value_get(h, "match"), variables, &built, st) < 0)
            return -1;
        if (!matches(built, response))
            continue;
        if (external_build(s, h, variables, &built, st) < 0)
            return -1;
        if (value_truthy(value_get(built, "isSuccess"))) {
            if (value_has(built, "data"))
                *ret_data = value_get(built, "data");
            return 0;
        }
        return handler_error(s, w, value_get(built, "error"), response, st);
    }
    if (status >= 200 && status < 300)
        return 0;
    if (allow_error_status && status != 401 && status != 429)
        return 0;
    return default_error(s, w, response, status, st);
}

bool external_is_expired(struct external_session *s, const struct value *response) {
    static const struct external_wire nothing = {.method = "GET", .url = ""};
    const struct value *client, *data;
    struct status st;

    st_init(&st, s->arena);
    if (external_client(s, &client, &st) < 0)
        return false;
    return external_interpret(s, &nothing, value_get(client, "responseHandlers"),
                              response, false, &data, &st) < 0 &&
           st.key && strcmp(st.key, "access_token_expired") == 0;
}
