/*
 * external_function.c - the one dispatcher of functions (engine.md 5).
 *
 * A row of `runners` per function type; only javascript leaves the process.
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "connector/connector_function.h"
#include "external_priv.h"
#include "formula/formula.h"

#define MAX_CALL_DEPTH 8

void external_session_init(struct external_session *s) {
    s->client = NULL;
    s->making_client = false;
    s->refreshed = false;
    s->depth = 0;
    array_begin(&s->logs, s->arena, 0);
}

void external_session_use_client(struct external_session *s, const struct value *client) {
    s->client = client;
}

const struct value *external_session_logs(const struct external_session *s) {
    struct array_builder copy;

    array_begin(&copy, s->arena, s->logs.len);
    for (size_t i = 0; i < s->logs.len; i++)
        array_push(&copy, &s->logs.items[i]);
    return array_end(&copy);
}

int external_build(struct external_session *s, const struct value *v,
                   const struct value *variables, const struct value **ret,
                   struct status *st) {
    struct formula_run run = {.variables = variables, .lookups = s->lookups};

    return formula_resolve_value(s->arena, v, &run, ret, st);
}

/*
 * responseHandlers of a mapping hold formulas over an answer that is not there yet: they
 * are taken as they stand and built when an answer is.
 */
static int build_client(struct external_session *s, const struct value *function,
                        const struct value *args, const struct value **ret_client,
                        struct status *st) {
    const struct value *mapping = value_get(function, "mapping"), *handlers;
    struct arena *a = s->arena;

    if (value_is_object(value_get(mapping, "args")))
        mapping = value_get(mapping, "args");
    handlers = value_get(mapping, "responseHandlers");
    if (!value_is_array(handlers))
        return external_run_function(s, function, args, ret_client, st);
    function = value_with(a, function, "mapping",
                          value_with(a, mapping, "responseHandlers", &value_undefined));
    if (external_run_function(s, function, args, ret_client, st) < 0)
        return -1;
    if (value_is_object(*ret_client))
        *ret_client = value_with(a, *ret_client, "responseHandlers", handlers);
    return 0;
}

int external_client(struct external_session *s, const struct value **ret_client,
                    struct status *st) {
    const struct value *function = value_get(s->option, "makeApiClient"), *client;
    struct arena *a = s->arena;
    const struct value *args;
    int rc;

    if (s->client) {
        *ret_client = s->client;
        return 0;
    }
    if (value_is_nullish(function))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the connector has no makeApiClient function");
    args = value_obj(
        a, "credentials", value_merge(a, s->connection_parameters, s->credentials),
        "connectorParameters", s->connector_parameters, "connectionParameters",
        s->connection_parameters, "connectionInput", s->connection_parameters, NULL);
    s->making_client = true;
    rc = build_client(s, function, args, &client, st);
    s->making_client = false;
    if (rc < 0)
        return st_context(st, "makeApiClient");
    if (value_is_object(value_get(client, "args")))
        client = value_get(client, "args");
    if (!value_is_object(client))
        return st_fail(st, ST_CONFIGURATION, NULL, "makeApiClient must give an object");
    s->client = *ret_client = client;
    return 0;
}

const struct value *external_variables(struct external_session *s,
                                       const struct value *args) {
    struct object_builder b;

    object_begin(&b, s->arena, 8);
    if (s->credentials)
        object_set(&b, "credentials",
                   value_merge(s->arena, s->connection_parameters, s->credentials));
    if (s->connection_parameters)
        object_set(&b, "connectionParameters", s->connection_parameters);
    if (s->connector_parameters)
        object_set(&b, "connectorParameters", s->connector_parameters);
    object_set_all(&b, args);
    return object_end(&b);
}

static int run_mapping(struct external_session *s, const struct value *function,
                       const struct value *args, const struct value **ret,
                       struct status *st) {
    return external_build(s, value_get(function, "mapping"), external_variables(s, args),
                          ret, st);
}

static int run_operation_mapping(struct external_session *s, const struct value *function,
                                 const struct value *args, const struct value **ret,
                                 struct status *st) {
    const struct value *mapping = value_get(function, "mapping"), *input, *response;
    const struct value *variables = external_variables(s, args);
    const char *key = value_get_string(mapping, "operationKey", NULL);

    if (!key)
        return st_fail(st, ST_CONFIGURATION, NULL, "the mapping names no operationKey");
    if (external_build(s, value_get(mapping, "inputMapping"), variables, &input, st) <
            0 ||
        external_run_operation(s, key, input, &response, st) < 0)
        return -1;
    *ret = response;
    if (!value_has(mapping, "outputMapping"))
        return 0;
    variables = value_with(s->arena, variables, "response", response);
    return external_build(s, value_get(mapping, "outputMapping"), variables, ret, st);
}

static int run_rest(struct external_session *s, const struct value *function,
                    const struct value *args, const struct value **ret,
                    struct status *st) {
    static const char *const parts[] = {"path", "method", NULL};
    const struct value *mapping = value_get(function, "mapping"), *request, *response;
    const struct value *variables = external_variables(s, args);

    if (external_build(s, value_get(mapping, "requestMapping"), variables, &request, st) <
        0)
        return -1;
    request =
        value_merge(s->arena, value_is_object(request) ? request : &value_empty_object,
                    value_pick(s->arena, mapping, parts));
    if (external_request(s, request, false, &response, st) < 0)
        return -1;
    *ret = value_get(response, "data");
    if (!value_has(mapping, "responseMapping"))
        return 0;
    variables = value_with(s->arena, variables, "response", response);
    return external_build(s, value_get(mapping, "responseMapping"), variables, ret, st);
}

/* ---- GraphQL ---- */

static bool graphql_name(const char *s) {
    size_t n =
        strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

    return n && s[n] == '\0' && !(*s >= '0' && *s <= '9');
}

/* A GraphQL literal: as JSON, but names of input fields stand bare. */
static int add_literal(struct buf *b, const struct value *v, struct status *st) {
    int rc = 0, n = 0;

    if (value_is_object(v)) {
        buf_addc(b, '{');
        for (VALUE_EACH_MEMBER(m, v)) {
            if (value_is(&m->value, VALUE_UNDEFINED))
                continue;
            if (!graphql_name(m->key))
                return st_fail(st, ST_CONFIGURATION, NULL,
                               "\"%.100s\" can't be a GraphQL field", m->key);
            buf_addf(b, "%s%s: ", n++ ? ", " : "", m->key);
            rc |= add_literal(b, &m->value, st);
        }
        buf_addc(b, '}');
    } else if (value_is_array(v)) {
        buf_addc(b, '[');
        for (VALUE_EACH_ITEM(i, v)) {
            if (n++)
                buf_adds(b, ", ");
            rc |= add_literal(b, i, st);
        }
        buf_addc(b, ']');
    } else if (value_is(v, VALUE_UNDEFINED)) {
        buf_adds(b, "null");
    } else {
        value_encode(b, v, VALUE_ENCODE_COMPACT);
    }
    return rc;
}

static int add_fields(struct external_session *s, struct buf *b,
                      const struct value *fields, const struct value *variables,
                      int depth, struct status *st) {
    buf_adds(b, " {");
    for (VALUE_EACH_ITEM(f, fields)) {
        const char *name =
            value_is_string(f) ? value_text(f) : value_get_string(f, "field", NULL);
        const struct value *args, *sub = value_get(f, "subFields");
        int n = 0;

        if (!name || !graphql_name(name) || depth > 20)
            return st_fail(st, ST_CONFIGURATION, NULL,
                           "\"%.100s\" can't be a GraphQL field",
                           name ? name : "(nothing)");
        buf_addf(b, " %s", name);
        if (external_build(s, value_get(f, "args"), variables, &args, st) < 0)
            return -1;
        for (VALUE_EACH_MEMBER(m, args)) {
            if (value_is(&m->value, VALUE_UNDEFINED))
                continue;
            if (!graphql_name(m->key))
                return st_fail(st, ST_CONFIGURATION, NULL,
                               "\"%.100s\" can't be a GraphQL argument", m->key);
            buf_addf(b, "%s%s: ", n++ ? ", " : "(", m->key);
            if (add_literal(b, &m->value, st) < 0)
                return -1;
        }
        if (n)
            buf_addc(b, ')');
        if (value_items_count(sub) && add_fields(s, b, sub, variables, depth + 1, st) < 0)
            return -1;
    }
    buf_adds(b, " }");
    return 0;
}

static int graphql_errors(struct external_session *s, const struct value *response,
                          struct status *st) {
    const struct value *errors = value_path(response, "data", "errors", NULL);

    if (!value_items_count(errors))
        return 0;
    return st_fail_data(
        st, ST_CONNECTION, NULL,
        value_obj(s->arena, "errors", external_redact(s->arena, errors), NULL), "%s",
        value_get_string(value_at(errors, 0), "message",
                         "The GraphQL API answered with an error"));
}

static int run_graphql(struct external_session *s, const struct value *function,
                       const struct value *args, const struct value **ret,
                       struct status *st) {
    const struct value *mapping = value_get(function, "mapping"), *request, *response;
    const struct value *variables = external_variables(s, args);
    const char *type = value_get_string(mapping, "operationType", "query");
    struct buf query = BUF_INIT;
    int rc;

    if (strcmp(type, "query") != 0 && strcmp(type, "mutation") != 0)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "operationType must be query or mutation");
    buf_adds(&query, type);
    rc = add_fields(s, &query, value_get(mapping, "requestMapping"), variables, 0, st);
    request = value_obj(
        s->arena, "path", value_get(mapping, "path"), "method",
        value_string(s->arena, "POST"), "data",
        value_obj(s->arena, "query",
                  value_string_len(s->arena, query.data ? query.data : "", query.len),
                  "variables", &value_empty_object, NULL),
        NULL);
    buf_fini(&query);
    if (rc < 0 || external_request(s, request, false, &response, st) < 0 ||
        graphql_errors(s, response, st) < 0)
        return -1;
    *ret = value_path(response, "data", "data", NULL);
    if (!value_has(mapping, "responseMapping"))
        return 0;
    variables = value_with(s->arena, variables, "response", response);
    return external_build(s, value_get(mapping, "responseMapping"), variables, ret, st);
}

/* ---- the rest ---- */

static int run_javascript(struct external_session *s, const struct value *function,
                          const struct value *args, const struct value **ret,
                          struct status *st) {
    if (!s->hooks || !s->hooks->javascript)
        return st_fail(st, ST_CUSTOM_CODE, NULL,
                       "custom code is off: no code runner is configured "
                       "(CUSTOM_CODE_RUNNER_URI)");
    return s->hooks->javascript(s, function, args, ret, st);
}

static int run_not_supported(struct external_session *s, const struct value *function,
                             const struct value *args, const struct value **ret,
                             struct status *st) {
    (void)s;
    (void)function;
    (void)args;
    (void)ret;
    return st_fail(st, ST_BAD_REQUEST, NULL,
                   "the connector does not support this method");
}

static int (*const runners[FUNCTION_TYPE_COUNT])(struct external_session *,
                                                 const struct value *,
                                                 const struct value *,
                                                 const struct value **,
                                                 struct status *) = {
    [FUNCTION_MAPPING] = run_mapping,
    [FUNCTION_OPERATION_MAPPING] = run_operation_mapping,
    [FUNCTION_REST_API_MAPPING] = run_rest,
    [FUNCTION_GRAPHQL_API_MAPPING] = run_graphql,
    [FUNCTION_JAVASCRIPT] = run_javascript,
    [FUNCTION_NOT_SUPPORTED] = run_not_supported,
};

int external_run_function(struct external_session *s, const struct value *function,
                          const struct value *args, const struct value **ret_result,
                          struct status *st) {
    const char *name = value_get_string(
        function, "type", value_get_string(function, "implementationType", ""));
    int type = connector_function_type(name), rc;

    if (type < 0)
        return st_fail(st, ST_CONFIGURATION, NULL, "unknown function type \"%.60s\"",
                       name);
    if (s->depth >= MAX_CALL_DEPTH)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "functions call each other more than %d deep", MAX_CALL_DEPTH);
    s->depth++;
    rc = runners[type](s, function, args ? args : &value_empty_object, ret_result, st);
    s->depth--;
    return rc;
}

static int run_each(struct external_session *s, const struct value *function,
                    const struct value *const *args, size_t n,
                    const struct value **ret_results, struct status *st) {
    const struct value *given;
    struct array_builder all;

    array_begin(&all, s->arena, n);
    for (size_t i = 0; i < n; i++)
        array_push(&all, args[i]);
    function = value_with(s->arena, function, "each", array_end(&all));
    if (external_run_function(s, function, &value_empty_object, &given, st) < 0)
        return -1;
    if (value_items_count(given) != n)
        return st_fail(st, ST_CUSTOM_CODE, NULL, "the function gave %zu results for %zu",
                       value_items_count(given), n);
    for (size_t i = 0; i < n; i++)
        ret_results[i] = value_at(given, i);
    return 0;
}

int external_run_function_each(struct external_session *s, const struct value *function,
                               const struct value *const *args, size_t n,
                               const struct value **ret_results, struct status *st) {
    if (n > 1 && value_equals_text(value_get(function, "type"), "javascript"))
        return run_each(s, function, args, n, ret_results, st);
    for (size_t i = 0; i < n; i++)
        if (external_run_function(s, function, args[i], &ret_results[i], st) < 0)
            return -1;
    return 0;
}

int external_run_operation(struct external_session *s, const char *key,
                           const struct value *input, const struct value **ret_output,
                           struct status *st) {
    const struct value *operation = value_get(s->operations, key);

    if (!value_is_object(operation))
        return st_fail(st, ST_BAD_REQUEST, "not_found",
                       "the connector has no operation \"%.100s\"", key);
    return external_run_function(s, value_path(operation, "methods", "run", NULL),
                                 value_obj(s->arena, "input", input, NULL), ret_output,
                                 st);
}
