/*
 * connector_render.c - connectors as they are served.
 */
#include <string.h>

#include "base/arena.h"
#include "connector.h"
#include "connector_function.h"
#include "value/value.h"

const struct value *connector_render(struct arena *a, const struct value *doc) {
    static const char *const hidden[] = {
        "workspaceId",       "contentsKey", "archiveKey", "latestVersion", "hasEvents",
        "hasGlobalWebhooks", "hasUdm",      "hasReadme",  "appUuid",       NULL};
    const struct value *served = value_omit(a, doc, hidden);
    const char *key = value_get_string(doc, "contentsKey", NULL);

    if (!value_has(served, "isReadOnly"))
        served = value_with(a, served, "isReadOnly", &value_false);
    /* Where the version's files are: an address for people, not a secret. */
    return value_with(
        a, served, "baseUri",
        key ? value_stringf(a, "connectors://%.*s", (int)(strrchr(key, '/') - key), key)
            : value_string(a, ""));
}

const struct value *connector_render_method(struct arena *a,
                                            const struct value *function) {
    return value_obj(a, "implementationType", value_get(function, "type"), "filePath",
                     value_get(function, "filePath"), "inheritedFromPath",
                     value_get(function, "inheritedFromPath"), NULL);
}

static const struct value *render_methods(struct arena *a, const struct value *methods) {
    struct object_builder b;

    object_begin(&b, a, value_members_count(methods));
    for (VALUE_EACH_MEMBER(m, methods))
        object_set_ref(&b, m->key, m->key_len, connector_render_method(a, &m->value));
    return object_end(&b);
}

const struct value *connector_render_operations(struct arena *a,
                                                const struct value *contents) {
    static const char *const shown[] = {"key",  "name",       "description",
                                        "tags", "isReadOnly", NULL};
    struct array_builder b;

    array_begin(&b, a, 8);
    for (VALUE_EACH_MEMBER(m, value_get(contents, "operations")))
        array_push(&b, value_pick(a, &m->value, shown));
    return array_end(&b);
}

const struct value *connector_render_operation(struct arena *a,
                                               const struct value *operation) {
    return value_with(a, operation, "methods",
                      render_methods(a, value_get(operation, "methods")));
}

const struct value *connector_render_collections(struct arena *a,
                                                 const struct value *contents) {
    struct array_builder b;

    array_begin(&b, a, 8);
    for (VALUE_EACH_MEMBER(m, value_get(contents, "data")))
        if (!value_is_true(value_get(&m->value, "isHidden")))
            array_push(&b, value_obj(a, "type",
                                     value_string(a, value_get_string(&m->value, "type",
                                                                      "collection")),
                                     "key", value_get(&m->value, "key"), "name",
                                     value_get(&m->value, "name"), "parametersSchema",
                                     value_get(&m->value, "parametersSchema"), NULL));
    return array_end(&b);
}

/* {path, method} of a method that is one request: what readers of a spec want to know. */
static const struct value *api_requests(struct arena *a, const struct value *function) {
    const struct value *mapping = value_get(function, "mapping");
    struct array_builder b;

    if (!value_equals_text(value_get(function, "type"), "rest-api-mapping"))
        return NULL;
    array_begin(&b, a, 1);
    array_push(&b, value_obj(a, "path", value_get(mapping, "path"), "method",
                             value_get(mapping, "method"), NULL));
    return array_end(&b);
}

const struct value *connector_render_collection(struct arena *a,
                                                const struct value *collection) {
    static const char *const methods[] = {"list",   "search", "findById", "match",
                                          "create", "update", "delete",   "find"};
    static const char *const kept[] = {
        "key",          "name", "parametersSchema", "fieldsSchema",
        "customFields", "udm",  "description",      NULL};
    const struct value *functions = value_get(collection, "methods");
    struct object_builder b;

    object_begin(&b, a, 16);
    object_set_string(&b, "type", "collection");
    object_set_all(&b, value_pick(a, collection, kept));
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        const struct value *function = value_get(functions, methods[i]);
        const struct value *options = value_get(collection, methods[i]);

        if (!value_is_object(function) ||
            value_equals_text(value_get(function, "type"), "not-supported"))
            continue;
        if (!value_is_object(options))
            options = &value_empty_object;
        if (api_requests(a, function))
            options = value_with(a, options, "apiRequests", api_requests(a, function));
        object_set(&b, methods[i], options);
    }
    if (value_is_object(value_get(collection, "events"))) {
        struct object_builder events;

        object_begin(&events, a, 4);
        for (VALUE_EACH_MEMBER(m, value_get(collection, "events"))) {
            const char *how = value_get_string(&m->value, "implementationType", "");
            bool push = value_has(&m->value, "webhookHandle") ||
                        strcmp(how, "webhook") == 0 ||
                        strcmp(how, "connector-event") == 0;

            object_set_ref(&events, m->key, m->key_len,
                           value_obj(a, "type", value_string(a, push ? "push" : "pull"),
                                     "isFullScan",
                                     value_bool(strcmp(how, "full-scan") == 0), NULL));
        }
        object_set(&b, "events", object_end(&events));
    }
    return object_end(&b);
}

static const struct value *render_auth(struct arena *a, const struct value *set) {
    static const char *const kept[] = {"title",
                                       "description",
                                       "type",
                                       "enabled",
                                       "inputSchema",
                                       "parametersSchema",
                                       "credentialsSchema",
                                       "ui",
                                       "proxyKey",
                                       NULL};
    struct object_builder b;

    object_begin(&b, a, 16);
    object_set_all(&b, value_pick(a, set, kept));
    for (VALUE_EACH_MEMBER(m, set))
        if (connector_is_auth_function(m->key) && value_is_object(&m->value))
            object_set_ref(&b, m->key, m->key_len, connector_render_method(a, &m->value));
    return object_end(&b);
}

static const struct value *spec_data(struct arena *a, const struct value *contents) {
    struct object_builder b;

    object_begin(&b, a, 8);
    for (VALUE_EACH_MEMBER(m, value_get(contents, "data")))
        object_set_ref(&b, m->key, m->key_len, connector_render_collection(a, &m->value));
    return object_end(&b);
}

const struct value *connector_render_spec(struct arena *a, const struct connector *c) {
    static const char *const kept[] = {
        "key",         "name", "logoUri",       "parametersSchema",
        "inputSchema", "ui",   "externalAppId", NULL};
    const struct value *auth = render_auth(a, c->doc);
    const struct value *options = value_get(c->doc, "options");
    struct array_builder operations;
    struct object_builder b, rendered;

    object_begin(&rendered, a, 4);
    for (VALUE_EACH_MEMBER(m, options))
        object_set_ref(&rendered, m->key, m->key_len, render_auth(a, &m->value));
    if (rendered.len)
        auth = value_with(a, auth, "options", object_end(&rendered));
    array_begin(&operations, a, 8);
    for (VALUE_EACH_MEMBER(m, value_get(c->contents, "operations")))
        array_push(&operations, connector_render_operation(a, &m->value));
    object_begin(&b, a, 16);
    object_set_all(&b, value_pick(a, c->doc, kept));
    object_set(&b, "api", value_get(c->contents, "api"));
    object_set(&b, "auth", auth);
    object_set(&b, "operations", array_end(&operations));
    object_set(&b, "data", spec_data(a, c->contents));
    object_set(&b, "udm", value_get(c->contents, "udm"));
    object_set(&b, "udms", value_get(c->doc, "udms"));
    object_set(&b, "hasReadme", value_get(c->contents, "hasReadme"));
    return object_end(&b);
}
