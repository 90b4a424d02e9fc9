/*
 * model_render.c - what is served: an element without its private members, with the
 * objects it refers to, in their base shape (no joins in joins, no secrets).
 */
#include "model_priv.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"

static const char *const private_members[] = {
    "workspaceId", "layer",       "slot",           "refs",
    "nodeStates",  "checkpoints", "computedSchema", NULL};

/* Members of a customer or connection that are nobody's business in a join. */
static const char *const secret_members[] = {"workspaceId",
                                             "credentials",
                                             "sealedCredentials",
                                             "input",
                                             "connectorParameters",
                                             "parameters",
                                             "layer",
                                             "slot",
                                             "refs",
                                             "nodeStates",
                                             "checkpoints",
                                             "stateData",
                                             "sealed",
                                             NULL};

static bool is_listed(const char *const *list, const struct member *m) {
    for (; *list; list++)
        if (strlen(*list) == m->key_len && memcmp(*list, m->key, m->key_len) == 0)
            return true;
    return false;
}

static void copy_without(struct object_builder *b, const struct value *doc,
                         const char *const *list) {
    for (VALUE_EACH_MEMBER(m, doc))
        if (!is_listed(list, m))
            object_set_ref(b, m->key, m->key_len, &m->value);
}

static const struct value *base_shape(struct arena *a, const struct value *doc) {
    struct object_builder b;

    object_begin(&b, a, doc->len);
    copy_without(&b, doc, secret_members);
    return object_end(&b);
}

static int element_shape(struct model_view *v, enum element_id type,
                         const struct value *doc, const struct value **ret_out,
                         struct status *st) {
    const struct element_domain *domain = element_type(type)->domain;
    struct object_builder b;

    object_begin(&b, v->arena, doc->len + 2);
    copy_without(&b, doc, secret_members);
    if (domain->serve && domain->serve(v, doc, &b, st) < 0)
        return -1;
    *ret_out = object_end(&b);
    return 0;
}

static int join_element(struct model_view *v, enum element_id type, const char *id,
                        const char *member, struct object_builder *b, struct status *st) {
    const struct value *doc, *shape;
    int rc = id ? model_get(v, type, id, &doc, st) : 1;

    if (rc)
        return rc < 0 ? -1 : 0;
    if (element_shape(v, type, doc, &shape, st) < 0)
        return -1;
    object_set(b, member, shape);
    return 0;
}

static int join_other(struct model_view *v, enum collection c, const char *id,
                      const char *member, struct object_builder *b, struct status *st) {
    const struct value *doc;
    int rc = id ? model_get_other(v, c, id, &doc, st) : 1;

    if (rc == 0)
        object_set(b, member, base_shape(v->arena, doc));
    return rc < 0 ? -1 : 0;
}

static int render_joins(struct model_view *v, const struct element_type *t,
                        const struct value *doc, struct object_builder *b,
                        struct status *st) {
    const char *parent = t->parent_join && model_layer(doc) & (LAYER_INSTANCE)
                             ? doc_text(doc, t->parent_field)
                             : NULL;

    if (t->layers == LAYER_UNIVERSAL)
        return 0;
    if (join_element(v, EL_INTEGRATION, doc_text(doc, "integrationId"), "integration", b,
                     st) < 0 ||
        join_other(v, C_CONNECTIONS, doc_text(doc, "connectionId"), "connection", b, st) <
            0 ||
        join_other(v, C_CUSTOMERS, doc_text(doc, "userId"), "user", b, st) < 0)
        return -1;
    return parent ? join_element(v, t->parent_type, parent, t->parent_join, b, st) : 0;
}

/* Lists show many integrations: the customer's connections are read once. */
static int load_connections(struct model_view *v, struct status *st) {
    struct arena *a = v->arena;
    struct store_query q = {
        .where = store_and(a, store_eq_text(a, "workspaceId", v->workspace_id),
                           store_eq_text(a, "userId", v->caller->customer_id),
                           store_cmp(a, STORE_ABSENT, "archivedAt", NULL), NULL),
        .sort = {{"id", false}}};
    struct store_page page = {.items = &value_empty_array};

    if (model_store_list(v, C_CONNECTIONS, &q, &page, st) < 0)
        return -1;
    v->connections = page.items;
    return 0;
}

int model_render_connection(struct model_view *v, const char *integration_id,
                            struct object_builder *out, struct status *st) {
    if (!v->caller || !v->caller->customer_id)
        return 0;
    if (!v->connections && load_connections(v, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(c, v->connections))
        if (value_equals_text(value_get(c, "integrationId"), integration_id)) {
            object_set(out, "connection", base_shape(v->arena, c));
            break;
        }
    return 0;
}

/* A popular element is applied many times: its copies are shown without what they do. */
static const struct value *without_config(struct model_view *v,
                                          const struct model_entry *e) {
    const struct element_type *t = element_type(e->type);
    struct object_builder b;

    object_begin(&b, v->arena, e->now->len);
    object_set_all(&b, e->now);
    for (size_t i = 0; i < t->domain->fields_len; i++)
        if (t->domain->fields[i].kind >= FIELD_ANY)
            object_delete(&b, t->domain->fields[i].name,
                          strlen(t->domain->fields[i].name));
    object_delete(&b, "dependencies", strlen("dependencies"));
    return object_end(&b);
}

/* [{element, integration}] of a universal element. */
static int add_applied(struct model_view *v, struct model_entry *e, void *ctx,
                       struct status *st) {
    struct array_builder *list = ctx;
    const struct value *integration;
    const char *id = doc_text(e->now, "integrationId");
    int rc = id ? model_get(v, EL_INTEGRATION, id, &integration, st) : 1;

    const struct value *element, *joined;

    if (rc)
        return rc < 0 ? -1 : 0;
    if (element_shape(v, e->type, without_config(v, e), &element, st) < 0 ||
        element_shape(v, EL_INTEGRATION, integration, &joined, st) < 0)
        return -1;
    array_push(list,
               value_obj(v->arena, "element", element, "integration", joined, NULL));
    return 0;
}

static int render_applied(struct model_view *v, const struct element_type *t,
                          const struct value *doc, struct object_builder *b,
                          struct status *st) {
    struct arena *a = v->arena;
    struct array_builder list;

    if (!(t->layers & LAYER_INTEGRATION) || model_layer(doc) != LAYER_UNIVERSAL)
        return 0;
    array_begin(&list, a, 8);
    const struct store_filter *where =
        store_and(a, store_eq_text(a, t->universal_field, doc_id(doc)),
                  store_eq_text(a, "layer", layer_name(LAYER_INTEGRATION)), NULL);
    if (model_view_each(v, t->id, where, add_applied, &list, st) < 0)
        return -1;
    if (list.len)
        object_set(b, "appliedToIntegrations", array_end(&list));
    return 0;
}

/* Secrets: opened for admins, absent for everybody else. */
static int render_secrets(struct model_view *v, const struct element_type *t,
                          const struct value *doc, struct object_builder *b,
                          struct status *st) {
    bool may = auth_may_see_secrets(v->caller);

    for (size_t i = 0; i < t->domain->fields_len; i++) {
        const struct element_field *f = &t->domain->fields[i];
        const struct value *sealed, *open;
        if (!(f->flags & FIELD_SECRET))
            continue;
        sealed = value_get(doc, f->name);
        if (!may || value_is_nullish(sealed)) {
            object_delete(b, f->name, strlen(f->name));
        } else if (value_is_string(sealed) && v->deps->sealer) {
            if (crypto_unseal(v->deps->sealer, v->arena, doc_id(doc), value_text(sealed),
                              &open, st) < 0)
                return -1;
            object_set(b, f->name, open);
        }
    }
    return 0;
}

int model_render(struct model_view *v, enum element_id type, const struct value *doc,
                 unsigned flags, const struct value **ret_out, struct status *st) {
    const struct element_type *t = element_type(type);
    struct object_builder b;

    object_begin(&b, v->arena, doc->len + 6);
    copy_without(&b, doc, private_members);
    if (render_secrets(v, t, doc, &b, st) < 0)
        return -1;
    if (flags & MODEL_RENDER_JOINS && render_joins(v, t, doc, &b, st) < 0)
        return -1;
    if (flags & MODEL_RENDER_DETAILS && render_applied(v, t, doc, &b, st) < 0)
        return -1;
    if (t->domain->serve && t->domain->serve(v, doc, &b, st) < 0)
        return -1;
    if (t->domain->render && t->domain->render(v, doc, &b, flags, st) < 0)
        return -1;
    *ret_out = object_end(&b);
    return 0;
}

/* ---- Export ---- */

static int set_uuid(struct model_view *v, enum element_id type, const char *id,
                    const char *stem, struct object_builder *b, struct status *st) {
    const struct value *doc;
    int rc = id ? model_get(v, type, id, &doc, st) : 1;

    if (rc < 0)
        return -1;
    if (rc == 0)
        object_set(b, arena_printf(v->arena, "%sUuid", stem), value_get(doc, "uuid"));
    return 0;
}

int model_export_element(struct model_view *v, enum element_id type,
                         const struct value *doc, const struct value **ret_out,
                         struct status *st) {
    static const char *const names[] = {"uuid",        "key",  "name",
                                        "description", "meta", "instanceKey"};
    static const char *const flags[] = {"isCustomized", "isUniversal", "externalAppUuid"};
    const struct element_type *t = element_type(type);
    const char *parent = model_parent_member(t, model_layer(doc));
    struct object_builder b;

    if (t->domain->open && t->domain->open(v, doc, &doc, st) < 0)
        return -1;
    object_begin(&b, v->arena, doc->len);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!value_is_nullish(value_get(doc, names[i])))
            object_set(&b, names[i], value_get(doc, names[i]));
    if (set_uuid(v, EL_INTEGRATION, doc_text(doc, "integrationId"), "integration", &b,
                 st) < 0 ||
        set_uuid(v, t->parent_type, parent ? doc_text(doc, parent) : NULL, "parent", &b,
                 st) < 0)
        return -1;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!value_is_nullish(value_get(doc, flags[i])))
            object_set(&b, flags[i], value_get(doc, flags[i]));
    if (type == EL_FIELD_MAPPING &&
        set_uuid(v, EL_DATA_SOURCE, doc_text(doc, "dataSourceId"), "dataSource", &b, st) <
            0)
        return -1;
    for (size_t i = 0; i < t->domain->fields_len; i++) {
        const struct element_field *f = &t->domain->fields[i];
        const struct value *value = value_get(doc, f->name);
        if (f->flags & FIELD_EXPORT && !value_is(value, VALUE_UNDEFINED))
            object_set(&b, f->name, value);
    }
    *ret_out = object_end(&b);
    return 0;
}
