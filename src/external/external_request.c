/*
 * external_request.c - building a request, sending it, and what follows from the answer.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "external_priv.h"

#define MAX_URL         16384
#define MAX_HEADERS     200
#define SYNC_TIMEOUT_MS 60000

/* ---- addresses ---- */

static bool is_absolute(const char *path) {
    return strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0;
}

static void add_escaped(struct buf *b, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (isalnum(c) || strchr("-_.~", c))
            buf_addc(b, (char)c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

/* The text that goes into an address for a scalar; false for what has none. */
static bool scalar_text(struct arena *a, const struct value *v, struct bytes *ret) {
    char number[32];

    switch ((enum value_type)v->type) {
    case VALUE_STRING:
        *ret = value_bytes(v);
        return true;
    case VALUE_BOOL:
        *ret = v->boolean ? (struct bytes){"true", 4} : (struct bytes){"false", 5};
        return true;
    case VALUE_NUMBER:
        ret->len = value_format_number(v->number, number);
        ret->data = arena_memdup(a, number, ret->len);
        return true;
    case VALUE_DATE:
        ret->len = value_format_date(v->number, number);
        ret->data = arena_memdup(a, number, ret->len);
        return true;
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        *ret = value_encode_arena(a, v, VALUE_ENCODE_COMPACT);
        return true;
    default:
        return false;
    }
}

static void add_pair(struct arena *a, struct buf *b, char *separator, const char *name,
                     size_t name_len, const struct value *v) {
    struct bytes text;

    if (!scalar_text(a, v, &text))
        return;
    buf_addc(b, *separator);
    *separator = '&';
    add_escaped(b, name, name_len);
    buf_addc(b, '=');
    add_escaped(b, text.data, text.len);
}

/* Arrays repeat the key; undefined and null are left out. */
static void add_query(struct arena *a, struct buf *b, char *separator,
                      const struct value *query, const struct value *shadowed_by) {
    for (VALUE_EACH_MEMBER(m, query)) {
        if (shadowed_by && value_find(shadowed_by, m->key, m->key_len))
            continue;
        if (value_is_array(&m->value))
            for (VALUE_EACH_ITEM(i, &m->value))
                add_pair(a, b, separator, m->key, m->key_len, i);
        else
            add_pair(a, b, separator, m->key, m->key_len, &m->value);
    }
}

/* Spaces and control bytes can't stand in an address; what is escaped stays. */
static void add_address(struct buf *b, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\')
            buf_addf(b, "%%%02X", c);
        else
            buf_addc(b, (char)c);
    }
}

int external_build_url(struct arena *a, const char *base_uri, const char *path,
                       const struct value *client_query, const struct value *query,
                       const char **ret_url, struct status *st) {
    struct buf b = BUF_INIT;
    size_t path_len = strcspn(path, "#");
    char separator;
    int rc = 0;

    if (!is_absolute(path)) {
        size_t n = base_uri ? strlen(base_uri) : 0;

        if (n == 0)
            return st_fail(
                st, ST_CONFIGURATION, NULL,
                "\"%.200s\" is a relative path and the API client has no baseUri", path);
        if (!is_absolute(base_uri))
            return st_fail(st, ST_CONFIGURATION, NULL,
                           "the API client's baseUri is not an http(s) address");
        while (n && base_uri[n - 1] == '/')
            n--;
        add_address(&b, base_uri, n);
        if (path_len && path[0] != '/' && path[0] != '?')
            buf_addc(&b, '/');
    }
    add_address(&b, path, path_len);
    separator = b.data && strchr(b.data, '?') ? '&' : '?';
    add_query(a, &b, &separator, client_query, query);
    add_query(a, &b, &separator, query, NULL);
    if (b.len > MAX_URL)
        rc = st_fail(st, ST_BAD_REQUEST, NULL, "the request's address is longer than %d",
                     MAX_URL);
    else
        *ret_url = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return rc;
}

/* Replaces {name} in a path by the escaped parameter. */
static int fill_path(struct arena *a, const char *path, const struct value *parameters,
                     const char **ret, struct status *st) {
    struct buf b = BUF_INIT;
    int rc = 0;

    for (const char *p = path; *p && rc == 0;) {
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        struct bytes text;

        if (!end) {
            buf_addc(&b, *p++);
            continue;
        }
        if (scalar_text(a, value_get_len(parameters, p + 1, (size_t)(end - p - 1)),
                        &text))
            add_escaped(&b, text.data, text.len);
        else
            rc = st_fail(st, ST_CONFIGURATION, NULL,
                         "path parameter \"%.*s\" of \"%.200s\" has no value",
                         (int)(end - p - 1), p + 1, path);
        p = end + 1;
    }
    if (rc == 0)
        *ret = b.len ? buf_to_arena(&b, a).data : "";
    buf_fini(&b);
    return rc;
}

/* ---- headers and bodies ---- */

int external_set_header(struct arena *a, struct external_wire *w, const char *name,
                        const char *value, struct status *st) {
    struct http_header *h = NULL;

    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p))
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "\"%.100s\" can't be a header's name", name);
    for (const char *p = value; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "the value of header \"%.100s\" holds a control character",
                           name);
    if (!*name || w->headers_len >= MAX_HEADERS)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "too many headers, or one without a name");
    for (size_t i = 0; i < w->headers_len; i++)
        if (strcasecmp(w->headers[i].name, name) == 0)
            h = &w->headers[i];
    if (!h) {
        if (w->headers_len == w->headers_cap) {
            size_t cap = w->headers_cap ? w->headers_cap * 2 : 8;

            w->headers =
                arena_grow(a, w->headers, w->headers_cap * sizeof(*h), cap * sizeof(*h));
            w->headers_cap = cap;
        }
        h = &w->headers[w->headers_len++];
    }
    *h = (struct http_header){name, value};
    return 0;
}

static int set_headers(struct arena *a, struct external_wire *w,
                       const struct value *headers, struct status *st) {
    struct bytes text;

    for (VALUE_EACH_MEMBER(m, headers))
        if (scalar_text(a, &m->value, &text) &&
            (strlen(m->key) != m->key_len ||
             external_set_header(a, w, m->key, arena_memdup(a, text.data, text.len), st) <
                 0))
            return -1;
    return 0;
}

static const char *find_header(const struct external_wire *w, const char *name) {
    for (size_t i = 0; i < w->headers_len; i++)
        if (strcasecmp(w->headers[i].name, name) == 0)
            return w->headers[i].value;
    return NULL;
}

const char *external_basic_auth(struct arena *a, const struct value *auth) {
    const char *pair = arena_printf(a, "%s:%s", value_get_string(auth, "username", ""),
                                    value_get_string(auth, "password", ""));

    size_t len = strlen(pair);
    char *encoded = arena_alloc(a, len / 3 * 4 + 5);

    EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)pair, (int)len);
    return arena_printf(a, "Basic %s", encoded);
}

static struct bytes form_body(struct arena *a, const struct value *data) {
    struct buf b = BUF_INIT;
    char separator = '&';
    struct bytes out;

    add_query(a, &b, &separator, data, NULL);
    out = b.len ? buf_to_arena(&b, a) : (struct bytes){"", 0};
    if (out.len) /* the first separator */
        out = (struct bytes){out.data + 1, out.len - 1};
    buf_fini(&b);
    return out;
}

static int set_body(struct arena *a, struct external_wire *w, const struct value *data,
                    struct status *st) {
    const char *type = find_header(w, "content-type");

    w->body_value = data;
    if (value_is(data, VALUE_UNDEFINED) || strcmp(w->method, "GET") == 0 ||
        strcmp(w->method, "HEAD") == 0) {
        w->body_value = &value_undefined;
        return 0;
    }
    if (value_is_string(data)) {
        w->body = value_bytes(data);
        return type ? 0 : external_set_header(a, w, "Content-Type", "text/plain", st);
    }
    if (type && strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0 &&
        value_is_object(data)) {
        w->body = form_body(a, data);
        return 0;
    }
    w->body = value_encode_arena(a, data, VALUE_ENCODE_COMPACT);
    return type ? 0 : external_set_header(a, w, "Content-Type", "application/json", st);
}

static int set_method(struct arena *a, struct external_wire *w,
                      const struct value *method, bool has_body, struct status *st) {
    static const char *const known[] = {"GET",    "POST", "PUT",    "PATCH",
                                        "DELETE", "HEAD", "OPTIONS"};
    char *upper;

    if (value_is_nullish(method)) {
        w->method = has_body ? "POST" : "GET";
        return 0;
    }
    if (!value_is_string(method))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the request's method must be text");
    upper = arena_memdup(a, method->str, method->len);
    for (char *p = upper; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(known[i], upper) == 0) {
            w->method = known[i];
            return 0;
        }
    return st_fail(st, ST_BAD_REQUEST, NULL, "\"%.40s\" is not a request method", upper);
}

/* ---- answers ---- */

static const struct value *headers_value(struct arena *a,
                                         const struct http_answer *answer) {
    struct object_builder b;

    object_begin(&b, a, answer->headers_len);
    for (size_t i = 0; i < answer->headers_len; i++) {
        char *name = arena_strdup(a, answer->headers[i].name);
        const struct value *before;

        for (char *p = name; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        before = object_builder_get(&b, name, strlen(name));
        object_set(&b, name,
                   before ? value_stringf(a, "%s, %s", value_text(before),
                                          answer->headers[i].value)
                          : value_string(a, answer->headers[i].value));
    }
    return object_end(&b);
}

/* JSON by its type, else JSON when it parses, else text; nothing is undefined. */
static const struct value *decode_body(struct arena *a,
                                       const struct http_answer *answer) {
    const char *type = http_answer_header(answer, "content-type");
    const char *s = answer->body.data;
    size_t len = answer->body.len, i = 0;
    const struct value *v;
    struct status ignored;

    if (len == 0)
        return &value_undefined;
    while (i < len && isspace((unsigned char)s[i]))
        i++;
    st_init(&ignored, a);
    if ((!type || strstr(type, "json") || (i < len && strchr("{[\"", s[i]))) &&
        value_parse(a, s, len, NULL, &v, &ignored) == 0)
        return v;
    return value_string_len(a, s, len);
}

static int call_timeout(const struct external_session *s) {
    int64_t left;

    if (!s->deadline_ms)
        return SYNC_TIMEOUT_MS;
    left = s->deadline_ms - clock_monotonic_ms(s->deps->clock);
    return left < 1 ? 1 : left > SYNC_TIMEOUT_MS ? SYNC_TIMEOUT_MS : (int)left;
}

static const struct value *wire_headers(struct arena *a, const struct external_wire *w) {
    struct object_builder b;

    object_begin(&b, a, w->headers_len);
    for (size_t i = 0; i < w->headers_len; i++)
        object_set_string(&b, w->headers[i].name, w->headers[i].value);
    return object_end(&b);
}

static void log_call(struct external_session *s, const struct external_wire *w,
                     const struct value *response, const struct status *failure,
                     int64_t duration_ms) {
    struct arena *a = s->arena;
    int code = (int)value_get_number(response, "status", 0);
    const char *url = external_redact_url(a, w->url);
    const struct value *detail, *request;

    request =
        value_obj(a, "method", value_string(a, w->method), "url", value_string(a, url),
                  "headers", external_redact(a, wire_headers(a, w)), "data",
                  external_redact(a, w->body_value), NULL);
    detail =
        value_obj(a, "request", request, "response",
                  failure ? value_obj(a, "error", value_string(a, failure->message), NULL)
                          : external_redact(a, response),
                  "timeMs", value_number(a, (double)duration_ms), NULL);
    array_push(&s->logs, value_obj(a, "type", value_string(a, "api-request"), "data",
                                   detail, NULL));
    if (s->hooks && s->hooks->called)
        s->hooks->called(s, url, code, code >= 200 && code < 300, duration_ms, detail);
}

int external_send(struct external_session *s, const struct external_wire *w,
                  const struct value **ret_response, struct status *st) {
    struct http_call call = {
        .method = w->method,
        .url = w->url,
        .headers = w->headers,
        .headers_len = w->headers_len,
        .body = w->body,
        .reach = HTTP_REACH_PUBLIC,
        .proxy_uri = w->proxy_uri,
        .timeout_ms = call_timeout(s),
        .max_redirects = 5,
        .cancel = s->cancel,
    };
    struct http_answer answer;
    int64_t start = clock_monotonic_ms(s->deps->clock);
    const struct value *status;
    int rc = http_client_call(s->deps->http, s->arena, &call, &answer, st);

    if (rc < 0) {
        log_call(s, w, &value_undefined, st, clock_monotonic_ms(s->deps->clock) - start);
        return -1;
    }
    status = value_number(s->arena, answer.status);
    *ret_response = value_obj(s->arena, "data", decode_body(s->arena, &answer), "status",
                              status, "statusCode", status, "headers",
                              headers_value(s->arena, &answer), NULL);
    log_call(s, w, *ret_response, NULL, answer.duration_us / 1000);
    return 0;
}

/* ---- through the API client ---- */

/* The first override whose path and method match changes the request. */
static const struct value *apply_overrides(struct external_session *s,
                                           const struct value *client,
                                           const struct value *request) {
    for (VALUE_EACH_ITEM(o, value_get(client, "overrides"))) {
        const struct value *match = value_get(o, "match");
        const struct value *path = value_get(match, "path");
        const struct value *method = value_get(match, "method");

        if (!value_is_nullish(path) && !value_equal(path, value_get(request, "path")))
            continue;
        if (value_is_string(method) &&
            strcasecmp(method->str, value_get_string(request, "method", "GET")) != 0)
            continue;
        return value_merge(s->arena, request, value_get(o, "patch"));
    }
    return request;
}

static const struct value *request_data(const struct value *request) {
    const struct value *data = value_get(request, "data");

    return value_is(data, VALUE_UNDEFINED) ? value_get(request, "body") : data;
}

static int build_wire(struct external_session *s, const struct value *client,
                      const char *base, const char *path, const struct value *request,
                      struct external_wire *w, struct status *st) {
    const struct value *data = request_data(request);
    const struct value *auth = value_get(client, "auth");

    *w = (struct external_wire){.proxy_uri = value_get_string(client, "proxyUri", NULL)};
    if (set_method(s->arena, w, value_get(request, "method"),
                   !value_is(data, VALUE_UNDEFINED), st) < 0 ||
        external_build_url(s->arena, base, path, value_get(client, "query"),
                           value_get(request, "query"), &w->url, st) < 0 ||
        external_set_header(s->arena, w, "Accept", "application/json, text/plain, */*",
                            st) < 0 ||
        set_headers(s->arena, w, value_get(client, "headers"), st) < 0)
        return -1;
    if (value_is_object(auth) &&
        external_set_header(s->arena, w, "Authorization",
                            external_basic_auth(s->arena, auth), st) < 0)
        return -1;
    if (set_headers(s->arena, w, value_get(request, "headers"), st) < 0)
        return -1;
    return set_body(s->arena, w, data, st);
}

static int request_once(struct external_session *s, const struct value *request,
                        bool allow_error_status, const struct value **ret_response,
                        struct status *st) {
    const struct value *client, *data;
    const char *path, *base;
    struct external_wire w;

    if (external_client(s, &client, st) < 0)
        return -1;
    request = apply_overrides(s, client, request);
    path = value_get_string(request, "path", value_get_string(request, "uri", NULL));
    if (!path)
        path = value_get_string(request, "url", "");
    base =
        value_get_string(request, "baseUri", value_get_string(client, "baseUri", NULL));
    if (fill_path(s->arena, path, value_get(request, "pathParameters"), &path, st) < 0 ||
        build_wire(s, client, base, path, request, &w, st) < 0 ||
        external_send(s, &w, ret_response, st) < 0 ||
        external_interpret(s, &w, value_get(client, "responseHandlers"), *ret_response,
                           allow_error_status, &data, st) < 0)
        return -1;
    if (data)
        *ret_response = value_with(s->arena, *ret_response, "data", data);
    return 0;
}

static bool has_key(const struct status *st, const char *key) {
    return st->type == ST_CONNECTION && st->key && strcmp(st->key, key) == 0;
}

int external_request(struct external_session *s, const struct value *request,
                     bool allow_error_status, const struct value **ret_response,
                     struct status *st) {
    struct status first, refresh;

    if (request_once(s, request, allow_error_status, ret_response, st) == 0)
        return 0;
    if (has_key(st, "connection_is_defunct") && s->hooks && s->hooks->defunct)
        s->hooks->defunct(s, st);
    if (!has_key(st, "access_token_expired") || s->refreshed || !s->hooks ||
        !s->hooks->refresh)
        return -1;
    first = *st;
    st_init(&refresh, s->arena);
    if (s->hooks->refresh(s, &refresh) != 0) {
        *st = first; /* the app's own answer says more than the failed refresh */
        if (refresh.type != ST_OK) {
            st->cause = arena_alloc(s->arena, sizeof(refresh));
            *st->cause = refresh;
        }
        return -1;
    }
    s->refreshed = true;
    s->client = NULL; /* made of the old credentials */
    st_clear(st);
    return request_once(s, request, allow_error_status, ret_response, st);
}

int external_plain_request(struct external_session *s, const char *base,
                           const struct value *request, bool allow_error_status,
                           const struct value **ret_response, struct status *st) {
    const char *uri =
        value_get_string(request, "uri", value_get_string(request, "url", NULL));
    const struct value *data;
    struct external_wire w;

    if (!uri)
        uri = value_get_string(request, "path", NULL);
    if (!uri)
        uri = base ? "" : NULL; /* the base address itself */
    if (!uri)
        return st_fail(st, ST_CONFIGURATION, NULL, "the request has no uri");
    if (fill_path(s->arena, uri, value_get(request, "pathParameters"), &uri, st) < 0 ||
        build_wire(s, s->client ? s->client : &value_empty_object, base, uri, request, &w,
                   st) < 0 ||
        external_send(s, &w, ret_response, st) < 0)
        return -1;
    return external_interpret(s, &w, &value_undefined, *ret_response, allow_error_status,
                              &data, st);
}
