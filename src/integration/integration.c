/*
 * integration.c - an integration is a connector with parameters, in one workspace.
 *
 * What a connector says about itself (counts, auth type, parameters it needs) is copied
 * at each evaluation. A connector that does not exist here is no reason to refuse the
 * integration: workspaces are pushed before their connectors are. It is a `configuration`
 * error, which spreads to everything inside.
 */
#include "model/model.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "connector/connector.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "value/value.h"

extern const struct element_domain integration_domain;

static const struct element_field fields[] = {
    {"logoUri", FIELD_TEXT, FIELD_EXPORT, NULL},
    {"logoBase64", FIELD_TEXT, FIELD_EXPORT, NULL},
    {"appUuid", FIELD_TEXT, FIELD_EXPORT, NULL},
    {"oAuthCallbackUri", FIELD_URI, FIELD_EXPORT, NULL},
    {"connectorId", FIELD_TEXT, FIELD_EXPORT, NULL},
    {"connectorUuid", FIELD_TEXT, FIELD_EXPORT, NULL},
    {"connectorKey", FIELD_TEXT, FIELD_EXPORT, NULL},
    {"connectorVersion", FIELD_TEXT, FIELD_EXPORT, NULL},
    {"parameters", FIELD_OBJECT, FIELD_SECRET, NULL},
    {"optionsConfig", FIELD_OBJECT, FIELD_EXPORT, NULL},
};

/* Members that follow the connector: its name for them is the same, but for `type`. */
static const struct {
    const char *member, *of_connector;
} mirrored[] = {
    {"authType", "type"},
    {"hasDocumentation", "hasDocumentation"},
    {"hasOperations", "hasOperations"},
    {"operationsCount", "operationsCount"},
    {"hasData", "hasData"},
    {"dataCollectionsCount", "dataCollectionsCount"},
    {"hasEvents", "hasEvents"},
    {"eventsCount", "eventsCount"},
    {"hasGlobalWebhooks", "hasGlobalWebhooks"},
    {"hasUdm", "hasUdm"},
};

/* ---- Connector ---- */

static const char *connector_name(const struct value *doc) {
    static const char *const names[] = {"connectorId", "connectorKey", "connectorUuid"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (value_get_string(doc, names[i], NULL))
            return value_get_string(doc, names[i], NULL);
    return NULL;
}

/* By id, uuid or key, as far as the integration names it. 0 found, 1 absent. */
static int find_connector(struct model_view *v, const struct value *doc,
                          const struct value **ret_connector, struct status *st) {
    static const char *const names[] = {"connectorId", "connectorUuid", "connectorKey"};
    int rc = 1;

    model_view_note_read(v, C_CONNECTORS);
    model_view_note_read(v, C_CONNECTOR_VERSIONS);
    for (size_t i = 0; i < sizeof names / sizeof *names && rc == 1; i++) {
        const char *selector = value_get_string(doc, names[i], NULL);
        if (selector)
            rc = connector_find(model_view_deps(v), model_view_arena(v),
                                model_view_workspace_id(v), selector, ret_connector, st);
    }
    return rc;
}

/* The version that the integration uses. 0, 1: there is no such version. */
static int load_version(struct model_view *v, const struct value *doc,
                        const struct value *connector, struct connector *ret,
                        struct status *st) {
    int rc =
        connector_load(model_view_deps(v), model_view_arena(v),
                       model_view_workspace_id(v), value_get_string(connector, "id", ""),
                       value_get_string(doc, "connectorVersion", NULL), ret, st);

    if (rc < 0 && st->key && strcmp(st->key, "not_found") == 0) {
        st_clear(st);
        return 1;
    }
    return rc;
}

/* ---- Parameters ---- */

/* What is sealed: `parameters`, and `parameters` of every entry of optionsConfig. */
static int unseal(struct model_view *v, const struct value *doc,
                  const struct value *sealed, const struct value **ret,
                  struct status *st) {
    *ret = sealed;
    if (value_is_string(sealed) && model_view_deps(v)->sealer)
        return crypto_unseal(model_view_deps(v)->sealer, model_view_arena(v),
                             value_get_string(doc, "id", ""), value_text(sealed), ret,
                             st);
    return 0;
}

/* Sealed text differs each time: an equal value keeps its old one, so that writing the
 * same again is no change. */
static int seal(struct model_view *v, const struct value *doc, const struct value *plain,
                const struct value *old, const struct value **ret, struct status *st) {
    const struct crypto_sealer *sealer = model_view_deps(v)->sealer;
    struct arena *a = model_view_arena(v);
    const struct value *was;

    *ret = plain;
    if (!value_is_object(plain) || !sealer)
        return 0;
    if (value_is_string(old) && crypto_seal_is_current(sealer, value_text(old))) {
        if (unseal(v, doc, old, &was, st) < 0)
            return -1;
        *ret = old;
        if (value_equal_ordered(was, plain))
            return 0;
    }
    *ret =
        value_string(a, crypto_seal(sealer, a, value_get_string(doc, "id", ""), plain));
    return 0;
}

/* optionsConfig with each entry's parameters through fn; NULL: without them. */
static int
map_options(struct model_view *v, const struct value *doc, const struct value *old,
            int (*fn)(struct model_view *, const struct value *, const struct value *,
                      const struct value *, const struct value **, struct status *),
            const struct value **ret, struct status *st) {
    struct arena *a = model_view_arena(v);
    struct object_builder b;

    object_begin(&b, a, 4);
    for (VALUE_EACH_MEMBER(m, value_get(doc, "optionsConfig"))) {
        const struct value *p = value_get(&m->value, "parameters");
        const struct value *was =
            value_get(value_get_len(old, m->key, m->key_len), "parameters");
        const struct value *now = &value_undefined;
        if (fn && fn(v, doc, p, was, &now, st) < 0)
            return -1;
        object_set_len(&b, m->key, m->key_len,
                       value_is(p, VALUE_UNDEFINED)
                           ? &m->value
                           : value_with(a, &m->value, "parameters", now));
    }
    *ret = object_end(&b);
    return 0;
}

static int unseal_option(struct model_view *v, const struct value *doc,
                         const struct value *sealed, const struct value *old,
                         const struct value **ret, struct status *st) {
    (void)old;
    return unseal(v, doc, sealed, ret, st);
}

static int open_options(struct model_view *v, const struct value *doc,
                        const struct value **ret_doc, struct status *st) {
    const struct value *options;

    *ret_doc = doc;
    if (!value_is_object(value_get(doc, "optionsConfig")))
        return 0;
    if (map_options(v, doc, NULL,
                    auth_may_see_secrets(model_view_caller(v)) ? unseal_option : NULL,
                    &options, st) < 0)
        return -1;
    *ret_doc = value_with(model_view_arena(v), doc, "optionsConfig", options);
    return 0;
}

static int seal_all(struct model_view *v, const struct value *doc,
                    const struct value **ret_doc, struct status *st) {
    struct arena *a = model_view_arena(v);
    const struct value *old, *options, *parameters;

    if (!value_is_object(value_get(doc, "parameters")) &&
        !value_is_object(value_get(doc, "optionsConfig")))
        return 0;
    int rc = model_get(v, EL_INTEGRATION, value_get_string(doc, "id", ""), &old, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        old = &value_undefined;
    if (seal(v, doc, value_get(doc, "parameters"), value_get(old, "parameters"),
             &parameters, st) < 0 ||
        map_options(v, doc, value_get(old, "optionsConfig"), seal, &options, st) < 0)
        return -1;
    if (value_has(doc, "parameters"))
        doc = value_with(a, doc, "parameters", parameters);
    if (value_has(doc, "optionsConfig"))
        doc = value_with(a, doc, "optionsConfig", options);
    *ret_doc = doc;
    return 0;
}

static bool lacks_parameters(const struct value *schema, const struct value *parameters) {
    for (VALUE_EACH_ITEM(name, value_get(schema, "required")))
        if (value_is_string(name) &&
            value_is_nullish(value_get_len(parameters, name->str, name->len)) &&
            value_is_nullish(value_get(
                value_get_len(value_get(schema, "properties"), name->str, name->len),
                "default")))
            return true;
    return false;
}

/* ---- Hooks ---- */

static int check(struct arena *a, const struct value *doc, struct status *st) {
    const struct value *options = value_get(doc, "optionsConfig");

    (void)a;
    for (VALUE_EACH_MEMBER(m, options))
        if (!value_is_object(&m->value))
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "optionsConfig.%s: must be an object", m->key);
    return 0;
}

static int derive(struct model_view *v, const struct value *doc,
                  const struct value **ret_doc, struct status *st) {
    struct arena *a = model_view_arena(v);
    const struct value *connector = NULL;
    int rc = find_connector(v, doc, &connector, st);

    if (rc < 0)
        return -1;
    if (rc == 0 && !value_get_string(doc, "connectorId", NULL))
        doc = value_with(a, doc, "connectorId", value_get(connector, "id"));
    if (!value_get_string(doc, "logoUri", NULL))
        doc = value_with(a, doc, "logoUri",
                         value_string(a, value_get_string(connector, "logoUri", "")));
    *ret_doc = doc;
    return seal_all(v, doc, ret_doc, st);
}

/* Says what is missing. */
static void report_missing(struct model_report *r, const struct value *doc,
                           bool is_version) {
    const char *name = connector_name(doc);

    if (!name)
        model_report_error(r, "configuration", "Integration has no connector");
    else if (is_version)
        model_report_error(r, "configuration",
                           "Version \"%s\" of connector \"%s\" does not exist",
                           value_get_string(doc, "connectorVersion", ""), name);
    else
        model_report_error(r, "configuration", "Connector \"%s\" does not exist", name);
    model_report_set(r, "hasMissingParameters", &value_false);
}

static int inspect(struct model_view *v, const struct value *doc, struct model_report *r,
                   struct status *st) {
    const struct value *connector, *parameters;
    struct connector version;
    int rc = find_connector(v, doc, &connector, st);

    if (rc < 0)
        return -1;
    if (rc == 1 || !value_is_nullish(value_get(connector, "archivedAt"))) {
        report_missing(r, doc, false);
        return 0;
    }
    rc = load_version(v, doc, connector, &version, st);
    if (rc < 0)
        return -1;
    if (rc == 1) {
        report_missing(r, doc, true);
        return 0;
    }
    for (size_t i = 0; i < sizeof mirrored / sizeof *mirrored; i++)
        model_report_set(r, mirrored[i].member,
                         value_get(version.doc, mirrored[i].of_connector));
    if (value_is_nullish(value_get(doc, "externalAppId")))
        model_report_set(r, "externalAppId", value_get(connector, "externalAppId"));
    if (unseal(v, doc, value_get(doc, "parameters"), &parameters, st) < 0)
        return -1;
    bool missing =
        lacks_parameters(value_get(version.doc, "parametersSchema"), parameters);
    model_report_set(r, "hasMissingParameters", value_bool(missing));
    if (missing)
        model_report_error(r, "configuration",
                           "Integration is missing required parameters");
    return 0;
}

/* ---- Serving ---- */

/* {key, type, title?, description?, inputSchema?, ui?} of one way to connect. */
static void add_option(struct arena *a, struct array_builder *list, const char *key,
                       const struct value *option) {
    static const char *const copied[] = {"title", "description", "inputSchema", "ui"};
    const char *type = value_get_string(option, "type", NULL);
    struct object_builder b;

    if (!type)
        return;
    object_begin(&b, a, 6);
    object_set_string(&b, "key", key);
    object_set_string(&b, "type", type);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        if (!value_is_nullish(value_get(option, copied[i])))
            object_set(&b, copied[i], value_get(option, copied[i]));
    array_push(list, object_end(&b));
}

static int render_options(struct model_view *v, const struct value *doc,
                          struct object_builder *out, struct status *st) {
    struct arena *a = model_view_arena(v);
    const struct value *connector, *options;
    struct array_builder list;
    struct connector version;
    int rc = find_connector(v, doc, &connector, st);

    if (rc == 0)
        rc = load_version(v, doc, connector, &version, st);
    if (rc)
        return rc < 0 ? -1 : 0;
    options = value_get(version.doc, "options");
    array_begin(&list, a, 4);
    for (VALUE_EACH_MEMBER(m, options)) {
        const struct value *config =
            value_get_len(value_get(doc, "optionsConfig"), m->key, m->key_len);
        const struct value *option = connector_option(a, version.doc, m->key);
        if (option && !value_get_bool(config, "disabled", false))
            add_option(a, &list, m->key, option);
    }
    if (!value_members_count(options))
        add_option(a, &list, "", version.doc);
    object_set(out, "authOptions", array_end(&list));
    return 0;
}

/* Everywhere, also in joins: without the parameters of options. */
static int serve(struct model_view *v, const struct value *doc,
                 struct object_builder *out, struct status *st) {
    const struct value *options;

    if (!value_is_object(value_get(doc, "optionsConfig")))
        return 0;
    if (map_options(v, doc, NULL, NULL, &options, st) < 0)
        return -1;
    object_set(out, "optionsConfig", options);
    return 0;
}

static int render(struct model_view *v, const struct value *doc,
                  struct object_builder *out, unsigned flags, struct status *st) {
    const struct value *open;

    if (open_options(v, doc, &open, st) < 0)
        return -1;
    if (value_has(open, "optionsConfig"))
        object_set(out, "optionsConfig", value_get(open, "optionsConfig"));
    if (flags & MODEL_RENDER_JOINS &&
        model_render_connection(v, value_get_string(doc, "id", ""), out, st) < 0)
        return -1;
    return flags & MODEL_RENDER_DETAILS ? render_options(v, doc, out, st) : 0;
}

const struct element_domain integration_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
    .check = check,
    .derive = derive,
    .inspect = inspect,
    .open = open_options,
    .serve = serve,
    .render = render,
};
