/*
 * app_data_schema.c - the schema of a record in the host application; a customer may have
 * an own one, written down or made by code (engine.md 9.4).
 *
 * The code runs whenever a customer's schema is made, changed or set up. When it fails,
 * the schema that it gave last stays in use and `error` says why.
 */
#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "connection/connection.h"
#include "deps/deps.h"
#include "external/external.h"
#include "model/model.h"
#include "value/value_status.h"

enum { CODE_LIMIT_MS = 30 * 1000 };

extern const struct element_domain app_data_schema_domain;

static const struct element_field fields[] = {
    {"schema", FIELD_ANY, FIELD_CFG, NULL},
    {"code", FIELD_TEXT, FIELD_CFG, NULL},
};

/* What the code gives for a customer. */
static int run_code(struct model_view *v, const struct value *doc,
                    const char *customer_id, const struct value **ret_schema,
                    struct status *st) {
    const struct deps *deps = model_view_deps(v);
    const struct value *workspace = model_view_caller(v)->workspace;
    struct arena *a = model_view_arena(v);
    const struct value *credentials = &value_undefined;
    struct connection_session s;

    if (auth_customer_credentials(deps, a, customer_id, &credentials, st) < 0)
        return -1;
    connection_open_plain(deps, a, workspace, NULL,
                          clock_monotonic_ms(deps->clock) + CODE_LIMIT_MS, &s);
    s.customer_id = customer_id;
    s.with_own_app = true;
    if (external_run_function(&s.external,
                              value_obj(a, "type", value_string(a, "javascript"), "code",
                                        value_get(doc, "code"), NULL),
                              value_obj(a, "credentials", credentials, "schema",
                                        value_get(doc, "schema"), NULL),
                              ret_schema, st) < 0)
        return -1;
    return value_is_object(*ret_schema)
               ? 0
               : st_fail(st, ST_CONFIGURATION, NULL,
                         "the code of an app data schema must give a schema");
}

static int derive(struct model_view *v, const struct value *doc,
                  const struct value **ret_doc, struct status *st) {
    const char *customer_id = value_get_string(doc, "tenantId", NULL);
    const char *code = value_get_string(doc, "code", "");
    struct arena *a = model_view_arena(v);
    const struct value *schema;
    struct status failure;

    (void)st;
    *ret_doc = doc;
    if (!customer_id || !*code)
        return 0;
    st_init(&failure, a);
    if (run_code(v, doc, customer_id, &schema, &failure) < 0) {
        const struct value *last = value_get(doc, "computedSchema");

        doc = value_with(a, doc, "error", value_from_status(a, &failure));
        *ret_doc = value_is_object(last) ? value_with(a, doc, "schema", last) : doc;
        return 0;
    }
    doc = value_with(a, doc, "error", &value_undefined);
    doc = value_with(a, doc, "computedSchema", schema);
    *ret_doc = value_with(a, doc, "schema", schema);
    return 0;
}

const struct element_domain app_data_schema_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
    .derive = derive,
};
