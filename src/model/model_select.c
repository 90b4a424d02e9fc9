/*
 * model_select.c - from what a request names to one element.
 *
 * Three steps: the base (an element of the upper layers, or directly an instance by id),
 * the owner (a connection or customer, when the request names or needs one), and then the
 * owner's instance of the base. A key that names several elements is an error, never the
 * first match.
 */
#include "model_priv.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"

/* Longest selector that is looked up at all. */
#define MAX_SELECTOR 1024

static bool is_customer(const struct model_view *v) {
    return v->caller && !v->caller->is_admin;
}

static int not_found(const char *title, const char *what, struct status *st) {
    return st_fail(st, ST_BAD_REQUEST, "not_found", "%s \"%s\" not found", title, what);
}

static const char *what_was_named(const struct model_selector *s) {
    const char *const all[] = {s->text,          s->id,         s->key,
                               s->uuid,          s->parent_id,  s->parent_key,
                               s->connection_id, s->connection, s->integration_key};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] && *all[i])
            return all[i];
    return "";
}

/* Instances of others do not exist for a customer. */
static bool may_see(const struct model_view *v, const struct value *doc) {
    if (!is_customer(v) || !(model_layer(doc) & (LAYER_INSTANCE)))
        return true;
    return v->caller->customer_id &&
           value_equals_text(value_get(doc, "userId"), v->caller->customer_id);
}

/* ---- Integrations, connections, customers ---- */

static int find_integration(struct model_view *v, const char *id, const char *key,
                            const struct value **ret_doc, struct status *st) {
    int rc = 1;

    if (id)
        rc = model_get(v, EL_INTEGRATION, id, ret_doc, st);
    if (rc == 1 && key)
        rc = model_find_key(v, EL_INTEGRATION, NULL, key, true, ret_doc, st);
    return rc;
}

int model_resolve_integration(struct model_view *v, const char *id_or_key,
                              const struct value **ret_doc, struct status *st) {
    int rc = strlen(id_or_key) > MAX_SELECTOR
                 ? 1
                 : find_integration(v, id_or_key, id_or_key, ret_doc, st);

    if (rc == 1)
        rc = model_find_uuid(v, EL_INTEGRATION, id_or_key, ret_doc, st);
    return rc == 1 ? not_found("Integration", id_or_key, st) : rc;
}

/* The integration that a selector names in any way. 1: it names none. */
static int selected_integration(struct model_view *v, const struct model_selector *s,
                                const struct value **ret_doc, struct status *st) {
    int rc;

    if (s->integration)
        return model_resolve_integration(v, s->integration, ret_doc, st);
    if (!s->integration_id && !s->integration_key)
        return 1;
    rc = find_integration(v, s->integration_id, s->integration_key, ret_doc, st);
    return rc == 1
               ? not_found("Integration",
                           s->integration_id ? s->integration_id : s->integration_key, st)
               : rc;
}

int model_resolve_customer(struct model_view *v, const char *user_id, const char **ret_id,
                           struct status *st) {
    const struct value *doc;
    int rc;

    if (is_customer(v) || !user_id) {
        if (!v->caller || !v->caller->customer_id)
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "name a customer by userId, or use a customer's token");
        *ret_id = v->caller->customer_id;
        return 0;
    }
    model_view_reads(v, C_CUSTOMERS);
    rc = auth_find_customer(v->deps, v->arena, v->workspace_id, user_id, &doc, st);
    if (rc == 1)
        return not_found("Customer", user_id, st);
    if (rc == 0)
        *ret_id = doc_id(doc);
    return rc;
}

/* Connections of the workspace that match, of the caller's customer only. */
static int find_connection(struct model_view *v, const struct model_selector *s,
                           const char *member, const char *text,
                           const struct value **ret_doc, struct status *st) {
    struct arena *a = v->arena;
    const char *customer = is_customer(v) ? v->caller->customer_id
                           : s->user_id   ? s->user_id
                                          : (v->caller ? v->caller->customer_id : NULL);
    const struct store_filter *where =
        store_and(a, store_eq_text(a, "workspaceId", v->workspace_id),
                  store_eq_text(a, member, text),
                  store_cmp(a, STORE_ABSENT, "archivedAt", NULL), NULL);
    struct store_query q = {.where = where, .sort = {{"id", false}}, .limit = 2};
    struct store_page page = {0};

    if (is_customer(v) && !customer)
        return 1;
    if (customer) {
        const char *id;
        if (s->user_id && !is_customer(v)) {
            if (model_resolve_customer(v, s->user_id, &id, st) < 0)
                return -1;
            customer = id;
        }
        q.where = store_and(a, where, store_eq_text(a, "userId", customer), NULL);
    }
    if (model_store_list(v, C_CONNECTIONS, &q, &page, st) < 0)
        return -1;
    if (!value_items_count(page.items))
        return 1;
    if (!customer && page.items->len > 1)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "\"%s\" names connections of several customers; give connectionId "
                       "or userId",
                       text);
    *ret_doc = value_at(page.items, 0);
    return 0;
}

static int connection_by_id(struct model_view *v, const char *id,
                            const struct value **ret_doc, struct status *st) {
    int rc = model_get_other(v, C_CONNECTIONS, id, ret_doc, st);

    if (rc == 0 && is_customer(v) &&
        (!v->caller->customer_id ||
         !value_equals_text(value_get(*ret_doc, "userId"), v->caller->customer_id)))
        return 1;
    return rc;
}

static int default_connection(struct model_view *v, const struct model_selector *s,
                              const char *id_or_key, const struct value **ret_doc,
                              struct status *st) {
    const struct value *integration;
    int rc = find_integration(v, id_or_key, id_or_key, &integration, st);

    return rc ? rc
              : find_connection(v, s, "integrationId", doc_id(integration), ret_doc, st);
}

int model_resolve_connection(struct model_view *v, const struct model_selector *s,
                             const struct value **ret_doc, struct status *st) {
    const char *named = NULL;
    int rc = 1;

    if (s->connection) {
        named = s->connection;
        rc = connection_by_id(v, named, ret_doc, st);
        if (rc == 1)
            rc = find_connection(v, s, "key", named, ret_doc, st);
        if (rc == 1)
            rc = default_connection(v, s, named, ret_doc, st);
    } else if (s->connection_id) {
        named = s->connection_id;
        rc = connection_by_id(v, named, ret_doc, st);
    } else if (s->connection_key) {
        named = s->connection_key;
        rc = find_connection(v, s, "key", named, ret_doc, st);
    } else if (s->integration || s->integration_id || s->integration_key) {
        named = s->integration      ? s->integration
                : s->integration_id ? s->integration_id
                                    : s->integration_key;
        rc = default_connection(v, s, named, ret_doc, st);
    }
    return rc == 1 && named ? not_found("Connection", named, st) : rc;
}

/* ---- The base ---- */

static int ambiguous(const struct element_type *t, const char *key, struct status *st) {
    return st_fail(st, ST_BAD_REQUEST, NULL,
                   "%s key \"%s\" exists in several integrations: name one by "
                   "integrationKey, or write \"<integrationKey>.%s\"",
                   t->title, key, key);
}

/*
 * The only integration-level element of that key, among active or deactivated ones;
 * bad_request when there are several.
 */
static int find_only(struct model_view *v, const struct element_type *t, const char *key,
                     bool active, const struct value **ret_doc, struct status *st) {
    struct arena *a = v->arena;
    struct store_query q = {
        .where = store_and(
            a, store_eq_text(a, "workspaceId", v->workspace_id),
            store_eq_text(a, "key", key),
            store_eq_text(a, "layer", layer_name(LAYER_INTEGRATION)),
            store_cmp(a, active ? STORE_NE : STORE_EQ, "isDeactivated", &value_true),
            store_cmp(a, STORE_ABSENT, "archivedAt", NULL), NULL),
        .sort = {{"id", true}},
        .limit = 2};
    struct store_page page = {0};

    if (!(t->layers & LAYER_INTEGRATION))
        return 1;
    if (model_store_list(v, t->collection, &q, &page, st) < 0)
        return -1;
    if (value_items_count(page.items) > 1)
        return ambiguous(t, key, st);
    if (!value_items_count(page.items))
        return 1;
    *ret_doc = model_view_add(v, t->id, value_at(page.items, 0))->now;
    return 0;
}

/* By key in an integration, or without one among universal elements and then all. */
static int base_by_key(struct model_view *v, const struct element_type *t,
                       const struct value *integration, const char *key, bool fall_back,
                       const struct value **ret_doc, struct status *st) {
    int rc;

    if (integration && t->layers & LAYER_INTEGRATION) {
        rc = model_find_key(v, t->id, doc_id(integration), key, false, ret_doc, st);
        if (rc == 1 && fall_back)
            rc = model_find_key(v, t->id, NULL, key, false, ret_doc, st);
        if (rc == 1)
            rc = model_find_key(v, t->id, doc_id(integration), key, true, ret_doc, st);
        return rc;
    }
    rc = model_find_key(v, t->id, NULL, key, false, ret_doc, st);
    if (rc == 1)
        rc = find_only(v, t, key, true, ret_doc, st);
    /* An archived element is still found by its key: the copies of it sleep. */
    if (rc == 1)
        rc = model_find_key(v, t->id, NULL, key, true, ret_doc, st);
    if (rc == 1)
        rc = find_only(v, t, key, false, ret_doc, st);
    return rc;
}

/* "<integrationKey>.<idOrKey>"; keys may hold dots, so each dot is tried. */
static int base_by_qualified_key(struct model_view *v, const struct element_type *t,
                                 const char *text, bool fall_back,
                                 const struct value **ret_doc, struct status *st) {
    int tries = 0;

    if (!(t->layers & LAYER_INTEGRATION))
        return 1;
    for (const char *dot = strchr(text, '.'); dot && tries < 8;
         dot = strchr(dot + 1, '.'), tries++) {
        const char *head = arena_memdup(v->arena, text, (size_t)(dot - text));
        const struct value *integration;
        int rc = find_integration(v, NULL, head, &integration, st);
        if (rc == 0)
            rc = base_by_key(v, t, integration, dot + 1, fall_back, ret_doc, st);
        if (rc != 1)
            return rc;
    }
    return 1;
}

static int base_by_text(struct model_view *v, const struct element_type *t,
                        const struct value *integration, const char *text, bool fall_back,
                        const struct value **ret_doc, struct status *st) {
    int rc = model_get(v, t->id, text, ret_doc, st);

    if (rc == 1)
        rc = base_by_key(v, t, integration, text, fall_back, ret_doc, st);
    if (rc == 1)
        rc = base_by_qualified_key(v, t, text, fall_back, ret_doc, st);
    return rc;
}

/* The copy of a universal element in an integration, if there is one. */
static int lower(struct model_view *v, const struct element_type *t,
                 const struct value *integration, const struct value **doc,
                 struct status *st) {
    const struct value *own;
    int rc;

    if (!integration || model_layer(*doc) != LAYER_UNIVERSAL || !doc_text(*doc, "key") ||
        !(t->layers & LAYER_INTEGRATION))
        return 0;
    rc = model_find_key(v, t->id, doc_id(integration), doc_text(*doc, "key"), false, &own,
                        st);
    if (rc == 0)
        *doc = own;
    return rc < 0 ? -1 : 0;
}

/* What a node of a flow names: its data source, its field mapping. */
static int base_by_node(struct model_view *v, const struct element_type *t,
                        const struct model_selector *s, const struct value *integration,
                        const struct value **ret_doc, struct status *st) {
    const struct element_type *flow = element_type(EL_FLOW);
    const char *named = s->flow_id ? s->flow_id : s->flow_key, *key;
    const struct value *doc, *unit;
    int rc;

    if (!t->domain->unit || !s->node_key || !named)
        return 1;
    rc = base_by_text(v, flow, integration, named, true, &doc, st);
    if (rc == 0 && lower(v, flow, integration, &doc, st) < 0)
        return -1;
    if (rc)
        return rc;
    unit = value_path(doc, "nodes", s->node_key, "config", t->domain->unit, NULL);
    key = value_get_string(unit, "key", NULL);
    if (!key || !may_see(v, doc))
        return 1;
    return base_by_key(v, t, integration, key, true, ret_doc, st);
}

/* The only one of a unified model. */
static int base_by_udm(struct model_view *v, const struct element_type *t,
                       const struct model_selector *s, const struct value *integration,
                       const struct value **ret_doc, struct status *st) {
    const struct value *docs;

    if (!s->udm || t->id != EL_DATA_SOURCE)
        return 1;
    if (model_find_used(v, t->id, integration ? doc_id(integration) : NULL, "udm",
                        value_string(v->arena, s->udm), &docs, st) < 0)
        return -1;
    if (docs->len > 1)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "several data sources have the unified model \"%s\": name one by "
                       "its key",
                       s->udm);
    *ret_doc = value_at(docs, 0);
    return docs->len == 0;
}

static int find_base(struct model_view *v, const struct element_type *t,
                     const struct model_selector *s, const struct value *integration,
                     bool fall_back, const struct value **ret_doc, struct status *st) {
    const struct element_type *p = element_type(t->parent_type);
    int rc = 1;

    if (s->text && t->parent_type == t->id)
        return base_by_text(v, t, integration, s->text, fall_back, ret_doc, st);
    if (s->text)
        return model_get(v, t->id, s->text, ret_doc, st);
    if (s->id)
        return model_get(v, t->id, s->id, ret_doc, st);
    if (s->uuid)
        return model_find_uuid(v, t->id, s->uuid, ret_doc, st);
    if (s->parent_id)
        rc = model_get(v, p->id, s->parent_id, ret_doc, st);
    else if (s->parent_key || (s->key && t->parent_type == t->id))
        rc = base_by_text(v, p, integration, s->parent_key ? s->parent_key : s->key,
                          fall_back, ret_doc, st);
    else if ((rc = base_by_node(v, t, s, integration, ret_doc, st)) == 1)
        rc = base_by_udm(v, t, s, integration, ret_doc, st);
    return rc;
}

/* ---- The instance ---- */

static int check_lengths(const struct model_selector *s, struct status *st) {
    const char *const all[] = {s->text,
                               s->id,
                               s->key,
                               s->uuid,
                               s->integration,
                               s->integration_id,
                               s->integration_key,
                               s->connection,
                               s->connection_id,
                               s->connection_key,
                               s->instance_key,
                               s->parent_id,
                               s->parent_key,
                               s->user_id,
                               s->udm,
                               s->flow_id,
                               s->flow_key,
                               s->node_key};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] && strlen(all[i]) > MAX_SELECTOR)
            return st_fail(st, ST_BAD_REQUEST, "not_found",
                           "a selector can't be longer than %d bytes", MAX_SELECTOR);
    return 0;
}

static bool wants_instance(const struct element_type *t, const struct model_selector *s) {
    if (!(t->layers & (LAYER_INSTANCE)) || s->layer == LAYER_UNIVERSAL ||
        s->layer == LAYER_INTEGRATION)
        return false;
    return s->instance_only || s->connection || s->connection_id || s->connection_key ||
           s->layer & (LAYER_INSTANCE);
}

/* Whose instance is wanted, and of what. */
struct wanted {
    const struct element_type *type;
    const struct model_selector *selector;
    const struct value *connection, *integration; /* documents; or NULL */
    const char *customer;                         /* LAYER_CUSTOMER */
    const struct value *base;
};

static int none(const struct wanted *w, struct status *st) {
    return not_found(w->type->title, what_was_named(w->selector), st);
}

static const char *owner_of(const struct wanted *w) {
    return w->connection ? doc_id(w->connection) : w->customer;
}

/*
 * Makes the missing instance; another request may do the same at the same time. Each try
 * has a view of its own: what could not be written must not be written by a later commit.
 */
static int make_instance(struct model_view *v, const struct wanted *w,
                         const struct value **ret_doc, struct status *st) {
    const struct model_scope scope = {.connection = w->connection,
                                      .customer_id = w->customer,
                                      .parent = w->base,
                                      .instance_key = w->selector->instance_key};
    const char *key = w->selector->instance_key;
    enum element_id type = w->type->id;

    if (!model_is_live(w->base) || (w->connection && !model_is_live(w->connection)))
        return none(w, st);
    v->committed = true;
    for (int i = 0; i < MODEL_MAX_TRIES; i++) {
        struct model_view *own =
            model_view_new(v->deps, v->arena, v->caller, v->workspace_id);
        int rc = i ? model_find_instance(own, type, doc_id(w->base), owner_of(w), key,
                                         ret_doc, st)
                   : 1;
        if (rc != 1)
            return rc;
        if (model_create(own, type, &scope, &value_empty_object, ret_doc, st) < 0)
            return -1;
        if (model_commit(own, st) == 0)
            return model_get(v, type, doc_id(*ret_doc), ret_doc, st);
        if (st->type != ST_CONCURRENCY &&
            (!st->key || strcmp(st->key, "already_exists") != 0))
            return -1;
        st_clear(st);
    }
    return none(w, st);
}

/* Archived instances are still found, for reading and restoring. */
static int find_archived(struct model_view *v, const struct wanted *w,
                         const struct value **ret_doc, struct status *st) {
    struct arena *a = v->arena;
    const struct element_type *t = w->type;
    enum layer layer = t->layers & LAYER_CONNECTION ? LAYER_CONNECTION : LAYER_CUSTOMER;
    const char *slot = model_instance_slot(a, layer, owner_of(w), doc_id(w->base),
                                           w->selector->instance_key);
    struct store_query q = {
        .where = store_and(a, store_eq_text(a, "workspaceId", v->workspace_id),
                           store_eq_text(a, t->parent_field, doc_id(w->base)),
                           store_eq_text(a, "slot", slot), NULL),
        .sort = {{"id", true}}};
    const struct value *doc;
    int rc = model_store_find(v, t->collection, &q, &doc, st);

    if (rc == 0)
        *ret_doc = model_view_add(v, t->id, doc)->now;
    return rc == 1 ? none(w, st) : rc;
}

static int instance_of_base(struct model_view *v, const struct wanted *w,
                            const struct value **ret_doc, struct status *st) {
    const struct element_type *t = w->type;
    const char *universal =
        t->universal_field ? doc_text(w->base, t->universal_field) : NULL;
    int rc = model_find_instance(v, t->id, doc_id(w->base), owner_of(w),
                                 w->selector->instance_key, ret_doc, st);

    /* It may have been made from the universal element before the integration had one. */
    if (rc == 1 && universal)
        rc = model_find_instance(v, t->id, universal, owner_of(w),
                                 w->selector->instance_key, ret_doc, st);
    if (rc != 1)
        return rc;
    return w->selector->auto_create ? make_instance(v, w, ret_doc, st)
                                    : find_archived(v, w, ret_doc, st);
}

/* An instance without a parent: made on one connection, found by its own key. */
static int own_instance(struct model_view *v, const struct wanted *w,
                        const struct value **ret_doc, struct status *st) {
    const struct model_selector *s = w->selector;
    const char *key = s->text ? s->text : s->key ? s->key : s->parent_key;
    int rc = 1;

    if (w->connection && key && w->type->parent_type == w->type->id)
        rc = model_find_instance(v, w->type->id, arena_printf(v->arena, "key=%s", key),
                                 doc_id(w->connection), s->instance_key, ret_doc, st);
    return rc == 1 ? none(w, st) : rc;
}

static bool is_instance(const struct element_type *t, const struct value *doc) {
    return t->parent_type != t->id || model_layer(doc) & LAYER_INSTANCE;
}

/* An id alone names the instance itself. 1: it does not. */
static int instance_by_id(struct model_view *v, const struct wanted *w,
                          const struct value **ret_doc, struct status *st) {
    const struct model_selector *s = w->selector;
    const char *id = s->id ? s->id : s->text;
    const struct value *doc, *connection;
    struct model_selector only = {.connection = s->connection,
                                  .connection_id = s->connection_id,
                                  .connection_key = s->connection_key,
                                  .user_id = s->user_id};
    int rc = 1;

    if (id && !s->parent_id && !s->parent_key)
        rc = model_get(v, w->type->id, id, &doc, st);
    if (rc == 1 && s->id && !s->parent_id && !s->parent_key)
        return none(w, st);
    if (rc)
        return rc;
    if (!is_instance(w->type, doc))
        return 1;
    if (!may_see(v, doc))
        return none(w, st);
    if (w->type->layers & LAYER_CONNECTION) {
        rc = model_resolve_connection(v, &only, &connection, st);
        if (rc < 0)
            return -1;
        if (rc == 0 &&
            !value_equals_text(value_get(doc, "connectionId"), doc_id(connection)))
            return none(w, st);
    }
    *ret_doc = doc;
    return 0;
}

/* The connection or customer that the request names, and the connection's integration. */
static int find_owner(struct model_view *v, struct wanted *w,
                      const struct model_selector *s, struct status *st) {
    const char *integration;
    int rc;

    if (!(w->type->layers & LAYER_CONNECTION))
        return model_resolve_customer(v, s->user_id, &w->customer, st);
    rc = model_resolve_connection(v, s, &w->connection, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        w->connection = NULL;
    integration = w->connection ? doc_text(w->connection, "integrationId") : NULL;
    return integration && find_integration(v, integration, NULL, &w->integration, st) < 0
               ? -1
               : 0;
}

/* The base's own integration tells which connection is meant. */
static int find_owner_by_base(struct model_view *v, struct wanted *w, struct status *st) {
    struct model_selector again = *w->selector;

    if (!(w->type->layers & LAYER_CONNECTION) || w->connection)
        return 0;
    again.integration_id = doc_text(w->base, "integrationId");
    if (!again.integration_id)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "name the connection: give connectionId, connectionKey or "
                       "integrationKey");
    return find_owner(v, w, &again, st);
}

static int resolve_instance(struct model_view *v, const struct element_type *t,
                            const struct model_selector *s, const struct value **ret_doc,
                            struct status *st) {
    struct wanted w = {.type = t, .selector = s};
    int rc = instance_by_id(v, &w, ret_doc, st);

    if (rc != 1)
        return rc;
    if (find_owner(v, &w, s, st) < 0 ||
        (rc = find_base(v, t, s, w.integration, true, &w.base, st)) < 0)
        return -1;
    if (rc == 1)
        return own_instance(v, &w, ret_doc, st);
    if (find_owner_by_base(v, &w, st) < 0)
        return -1;
    if (t->parent_type == t->id && is_instance(t, w.base))
        return none(&w, st);
    if (t->parent_type == t->id && lower(v, t, w.integration, &w.base, st) < 0)
        return -1;
    if (w.connection && doc_text(w.base, "integrationId") &&
        !model_same_member(w.base, w.connection, "integrationId"))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "%s \"%s\" belongs to another integration than the connection",
                       t->title, what_was_named(s));
    return instance_of_base(v, &w, ret_doc, st);
}

static int update_to_latest(struct model_view *v, const struct element_type *t,
                            const struct value **doc, struct status *st) {
    if (!model_is_live(*doc))
        return 0;
    if (model_setup(v, t->id, *doc, doc, st) < 0 || model_commit(v, st) < 0)
        return -1;
    return model_get(v, t->id, doc_id(*doc), doc, st);
}

/* What a request names inside of an integration is not found in another one. */
static bool is_of_integration(const struct element_type *t,
                              const struct model_selector *s,
                              const struct value *integration, const struct value *doc) {
    if (!integration || !(t->layers & LAYER_INTEGRATION))
        return true;
    if (model_layer(doc) == LAYER_UNIVERSAL)
        return s->fall_back;
    return value_equals_text(value_get(doc, "integrationId"), doc_id(integration));
}

int model_resolve(struct model_view *v, enum element_id type,
                  const struct model_selector *s, const struct value **ret_doc,
                  struct status *st) {
    const struct element_type *t = element_type(type);
    const struct value *integration = NULL, *doc;
    int rc;

    if (check_lengths(s, st) < 0)
        return -1;
    if (wants_instance(t, s)) {
        if (resolve_instance(v, t, s, &doc, st) < 0)
            return -1;
        if (s->auto_update && update_to_latest(v, t, &doc, st) < 0)
            return -1;
        *ret_doc = doc;
        return 0;
    }
    rc = selected_integration(v, s, &integration, st);
    if (rc < 0)
        return -1;
    rc = find_base(v, t, s, rc == 0 ? integration : NULL, s->fall_back, &doc, st);
    if (rc < 0)
        return -1;
    if (rc == 1 || !may_see(v, doc))
        return not_found(t->title, what_was_named(s), st);
    if (s->layer != LAYER_UNIVERSAL && !s->id && lower(v, t, integration, &doc, st) < 0)
        return -1;
    if ((s->layer && model_layer(doc) != s->layer) ||
        !is_of_integration(t, s, integration, doc))
        return not_found(t->title, what_was_named(s), st);
    *ret_doc = doc;
    return 0;
}
