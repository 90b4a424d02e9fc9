/*
 * model_write.c - making and changing elements, in a view.
 *
 * A body is read by model_input.c; references in it (integrationKey, parentUuid, ...) are
 * resolved here to ids. Only ids are stored, but for references that may dangle on
 * purpose: a connector or app of another server, a data source that comes later.
 */
#include "model_priv.h"

#include <assert.h>
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"

/* Keys that "-2", "-3", ... are tried on. */
#define MAX_KEY_TRIES 1000

/* ---- References ---- */

/* A reference in a body: any of three members, with a common stem. */
static int find_named(struct model_view *v, enum element_id type,
                      const struct value *integration, const struct value *body,
                      const char *stem, const struct value **ret_doc, struct status *st) {
    static const char *const kinds[] = {"Id", "Uuid", "Key"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *member = arena_printf(v->arena, "%s%s", stem, kinds[i]);
        const struct value *ref = value_get(body, member);
        const char *text = value_text(ref);
        int rc;
        if (value_is_nullish(ref) || (text && !*text))
            continue;
        if (!text)
            return model_bad_input(st, member, "must be text");
        if (i == 0)
            rc = model_get(v, type, text, ret_doc, st);
        else if (i == 1)
            rc = model_find_uuid(v, type, text, ret_doc, st);
        else {
            rc = model_find_key(v, type, NULL, text, false, ret_doc, st);
            if (rc == 1 && integration)
                rc = model_find_key(v, type, doc_id(integration), text, false, ret_doc,
                                    st);
        }
        if (rc == 1)
            return model_bad_input(st, member, "no %s \"%s\"", element_type(type)->title,
                                   text);
        return rc;
    }
    return 1;
}

/* What a body says about where the element goes; the scope that is given wins. */
static int complete_scope(struct model_view *v, const struct element_type *t,
                          const struct value *body, struct model_scope *s,
                          struct status *st) {
    const char *connection = doc_text(body, "connectionId");
    const char *stems[] = {"parent", NULL, NULL};
    int rc;

    if (!s->integration && t->layers & LAYER_INTEGRATION &&
        find_named(v, EL_INTEGRATION, NULL, body, "integration", &s->integration, st) < 0)
        return -1;
    if (!s->connection && connection && t->layers & LAYER_CONNECTION) {
        rc = model_get_other(v, C_CONNECTIONS, connection, &s->connection, st);
        if (rc < 0)
            return -1;
        if (rc == 1)
            return model_bad_input(st, "connectionId", "no connection \"%s\"",
                                   connection);
    }
    if (t->parent_field)
        stems[1] = arena_memdup(v->arena, t->parent_field, strlen(t->parent_field) - 2);
    if (t->universal_field)
        stems[2] =
            arena_memdup(v->arena, t->universal_field, strlen(t->universal_field) - 2);
    for (size_t i = 0; i < 3 && !s->parent && t->parent_field; i++)
        if (stems[i] && find_named(v, t->parent_type, s->integration, body, stems[i],
                                   &s->parent, st) < 0)
            return -1;
    return 0;
}

/* Keeps what a body says about the app and the data source as ids, where they exist. */
static int resolve_others(struct model_view *v, const struct element_type *t,
                          const struct value *body, const struct value *integration,
                          struct object_builder *b, struct status *st) {
    static const char *const app[] = {"externalAppId", "externalAppUuid"};

    for (size_t i = 0; i < sizeof app / sizeof *app; i++) {
        const struct value *ref = value_find(body, app[i], strlen(app[i]));
        if (!ref)
            continue;
        if (!value_is_nullish(ref) && !value_is_string(ref))
            return model_bad_input(st, app[i], "must be text");
        if (value_is_nullish(ref))
            object_delete(b, app[i], strlen(app[i]));
        else
            object_set(b, app[i], ref);
    }
    if (t->id == EL_FIELD_MAPPING &&
        (value_has(body, "dataSourceId") || value_has(body, "dataSourceUuid"))) {
        const struct value *only =
            value_obj(v->arena, "dataSourceId", value_get(body, "dataSourceId"),
                      "dataSourceUuid", value_get(body, "dataSourceUuid"), NULL);
        const struct value *doc;
        int rc = find_named(v, EL_DATA_SOURCE, integration, only, "dataSource", &doc, st);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            object_set(b, "dataSourceId", value_get(doc, "id"));
            if (value_is_nullish(value_get(body, "dataSourceKey")))
                object_set(b, "dataSourceKey", value_get(doc, "key"));
        } else {
            object_delete(b, "dataSourceId", strlen("dataSourceId"));
        }
    }
    return 0;
}

/* ---- Building ---- */

static const struct value *own_text(struct model_view *v, const char *s) {
    return value_string(v->arena, s);
}

static enum layer scope_layer(const struct element_type *t, const struct model_scope *s) {
    if (s->connection && t->layers & LAYER_CONNECTION)
        return LAYER_CONNECTION;
    if (s->customer_id && t->layers & LAYER_CUSTOMER)
        return LAYER_CUSTOMER;
    if (s->integration && t->layers & LAYER_INTEGRATION)
        return LAYER_INTEGRATION;
    return LAYER_UNIVERSAL;
}

/* A key that is free in the layer: the wish, or the wish with a number. */
static int free_key(struct model_view *v, const struct element_type *t, enum layer layer,
                    const struct value *integration, const char *wish,
                    const char **ret_key, struct status *st) {
    const char *integration_id = layer == LAYER_INTEGRATION ? doc_id(integration) : NULL;
    const char *key = wish;

    for (int n = 2; n <= MAX_KEY_TRIES; n++) {
        const struct value *taken;
        int rc = model_find_key(v, t->id, integration_id, key, false, &taken, st);
        if (rc < 0)
            return -1;
        if (rc == 1) {
            *ret_key = key;
            return 0;
        }
        key = arena_printf(v->arena, "%s-%d", wish, n);
    }
    return model_bad_input(st, "key", "\"%s\" is taken too often; give another key",
                           wish);
}

static void set_scope(struct model_view *v, struct object_builder *b,
                      const struct element_type *t, enum layer layer,
                      const struct model_scope *s) {
    if (layer == LAYER_CONNECTION) {
        object_set(b, "connectionId", value_get(s->connection, "id"));
        const struct value *integration = value_get(s->connection, "integrationId");
        const struct value *customer = value_get(s->connection, "userId");
        if (!value_is_nullish(integration))
            object_set(b, "integrationId", integration);
        if (!value_is_nullish(customer)) {
            object_set(b, "userId", customer);
            object_set(b, "tenantId", customer);
        }
    } else if (layer == LAYER_CUSTOMER) {
        object_set_string(b, "userId", s->customer_id);
        object_set_string(b, "tenantId", s->customer_id);
    } else if (layer == LAYER_INTEGRATION) {
        object_set(b, "integrationId", value_get(s->integration, "id"));
        const struct value *app = value_get(s->integration, "externalAppId");
        if (!value_is_nullish(app) && !object_builder_get(b, "externalAppId", 13))
            object_set(b, "externalAppId", app);
    }
    if (s->instance_key && layer & (LAYER_INSTANCE))
        object_set_string(b, "instanceKey", s->instance_key);
    if (s->parent && layer != LAYER_UNIVERSAL)
        model_link_parent(b, t, layer, s->parent);
    (void)v;
}

/* What a child takes from its parent when it is made. */
static void copy_parent(struct object_builder *b, const struct element_type *t,
                        const struct value *parent) {
    static const char *const names[] = {"key", "name", "description", "externalAppId",
                                        "externalAppUuid"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!value_is_nullish(value_get(parent, names[i])))
            object_set(b, names[i], value_get(parent, names[i]));
    if (t->parent_type != t->id)
        return;
    for (size_t i = 0; i < t->domain->fields_len; i++) {
        const struct element_field *f = &t->domain->fields[i];
        if (f->flags & (FIELD_CONFIG | FIELD_LOCAL) &&
            !value_is(value_get(parent, f->name), VALUE_UNDEFINED))
            object_set(b, f->name, value_get(parent, f->name));
    }
    if (t->id == EL_FIELD_MAPPING && value_has(parent, "dataSourceId"))
        object_set(b, "dataSourceId", value_get(parent, "dataSourceId"));
}

static void set_fields(struct object_builder *b, const struct value *fields) {
    for (VALUE_EACH_MEMBER(m, fields))
        if (value_is(&m->value, VALUE_UNDEFINED))
            object_delete(b, m->key, m->key_len);
        else
            object_set_len(b, m->key, m->key_len, &m->value);
}

static bool config_differs(const struct element_type *t, const struct value *x,
                           const struct value *y) {
    for (size_t i = 0; i < t->domain->fields_len; i++)
        if (t->domain->fields[i].flags & FIELD_CONFIG &&
            !model_same_member(x, y, t->domain->fields[i].name))
            return true;
    return false;
}

/* Checks, server-side members and the slot of a document that is about to be put. */
int model_finish(struct model_view *v, const struct element_type *t,
                 const struct value *doc, const struct value **ret_doc,
                 struct status *st) {
    if (t->domain->check && t->domain->check(v->arena, doc, st) < 0)
        return -1;
    if (t->domain->derive && t->domain->derive(v, doc, &doc, st) < 0)
        return -1;
    const char *slot = model_slot(v->arena, t, doc);
    doc = value_with(v->arena, doc, "slot",
                     slot ? value_string(v->arena, slot) : &value_undefined);
    struct model_entry *e = model_view_put(v, t->id, doc);
    model_queue(v, e);
    *ret_doc = doc;
    return 0;
}

static int set_names(struct model_view *v, const struct element_type *t, enum layer layer,
                     const struct model_scope *s, const struct value *fields,
                     struct object_builder *b, struct status *st) {
    const struct value *name = object_builder_get(b, "name", 4);
    const struct value *key = object_builder_get(b, "key", 3);
    const char *text;

    if (!name && key) {
        object_set(b, "name", key);
        name = key;
    }
    if (!name && t->id == EL_SCREEN) {
        object_set(b, "name", own_text(v, "Screen"));
        name = object_builder_get(b, "name", 4);
    }
    if (!name)
        return model_bad_input(st, "name", "is required");
    if (key || layer & (LAYER_INSTANCE))
        return 0;
    (void)fields;
    if (free_key(v, t, layer, s->integration,
                 model_key_from_name(v->arena, value_text(name)), &text, st) < 0)
        return -1;
    object_set(b, "key", own_text(v, text));
    return 0;
}

static int check_layers(const struct element_type *t, enum layer layer,
                        const struct model_scope *s, struct status *st) {
    if (!(t->layers & layer))
        return st_fail(st, ST_BAD_REQUEST, NULL, "%s does not exist on the %s level",
                       t->title, layer_name(layer));
    if (s->parent && s->parent->len && t->parent_type == t->id &&
        model_layer(s->parent) & (LAYER_INSTANCE))
        return st_fail(st, ST_BAD_REQUEST, NULL, "an instance can't be a parent");
    return 0;
}

int model_create(struct model_view *v, enum element_id type,
                 const struct model_scope *scope, const struct value *body,
                 const struct value **ret_doc, struct status *st) {
    const struct element_type *t = element_type(type);
    struct model_scope s = scope ? *scope : (struct model_scope){0};
    struct arena *a = v->arena;
    const struct value *fields, *now = own_text(v, clock_iso_now(v->deps->clock, a));
    struct object_builder b;

    if (!value_is_object(body))
        body = &value_empty_object;
    if (model_input_fields(a, t, body, 0, &fields, st) < 0 ||
        complete_scope(v, t, body, &s, st) < 0)
        return -1;
    enum layer layer = scope_layer(t, &s);
    if (check_layers(t, layer, &s, st) < 0)
        return -1;
    object_begin(&b, a, 32);
    object_set_string(&b, "workspaceId", v->workspace_id);
    object_set_string(&b, "layer", layer_name(layer));
    object_set_string(&b, "id", id_new(v->deps->clock, v->deps->rand, a));
    if (!(layer & (LAYER_INSTANCE)))
        object_set_string(&b, "uuid", uuid_new(v->deps->rand, a));
    if (s.parent)
        copy_parent(&b, t, s.parent);
    set_fields(&b, fields);
    set_scope(v, &b, t, layer, &s);
    if (resolve_others(v, t, body, s.integration, &b, st) < 0 ||
        set_names(v, t, layer, &s, fields, &b, st) < 0)
        return -1;
    if (t->layers != LAYER_UNIVERSAL)
        object_set_bool(&b, "isCustomized", false);
    object_set_string(&b, "revision", uuid_new(v->deps->rand, a));
    object_set(&b, "createdAt", now);
    object_set(&b, "updatedAt", now);
    const struct value *doc = object_end(&b);
    if (s.parent && t->parent_type == t->id && layer != LAYER_UNIVERSAL &&
        config_differs(t, s.parent, doc)) {
        doc = value_with(a, doc, "isCustomized", &value_true);
        if (t->domain->customise)
            doc = t->domain->customise(a, s.parent, doc);
    }
    if (model_finish(v, t, doc, ret_doc, st) < 0)
        return -1;
    return model_make_needed(v, t, *ret_doc, st);
}

/* ---- Changing ---- */

/* Also takes the document into the view, where another view read it. */
static int check_changeable(struct model_view *v, const struct element_type *t,
                            const struct value *doc, struct status *st) {
    model_view_add(v, t->id, doc);
    if (!model_is_live(doc))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "%s \"%s\" is archived; restore it first", t->title,
                       value_get_string(doc, "name", doc_id(doc)));
    if (value_get_bool(doc, "isReadOnly", false))
        return st_fail(st, ST_BAD_REQUEST, "access_denied", "%s \"%s\" is read-only",
                       t->title, value_get_string(doc, "name", doc_id(doc)));
    return 0;
}

/* PUT: what the body does not have is not set any more. */
static void drop_absent(struct object_builder *b, const struct element_type *t,
                        const struct value *body) {
    static const char *const names[] = {"description", "meta"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!value_has(body, names[i]))
            object_delete(b, names[i], strlen(names[i]));
    for (size_t i = 0; i < t->domain->fields_len; i++) {
        const struct element_field *f = &t->domain->fields[i];
        if (!(f->flags & (FIELD_SECRET | FIELD_SERVER)) && !value_has(body, f->name))
            object_delete(b, f->name, strlen(f->name));
    }
}

int model_update(struct model_view *v, enum element_id type, const struct value *doc,
                 const struct value *body, enum model_update_mode mode,
                 const struct value **ret_doc, struct status *st) {
    static const char *const required[] = {"key", "name", "uuid"};
    const struct element_type *t = element_type(type);
    struct arena *a = v->arena;
    enum layer layer = model_layer(doc);
    const struct value *fields;
    struct object_builder b;

    if (check_changeable(v, t, doc, st) < 0 ||
        model_input_fields(a, t, body, 0, &fields, st) < 0)
        return -1;
    object_begin(&b, a, doc->len + 8);
    object_set_all(&b, doc);
    if (mode == MODEL_PUT && !(layer & (LAYER_INSTANCE)))
        drop_absent(&b, t, body);
    set_fields(&b, fields);
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (value_has(doc, required[i]) &&
            !object_builder_get(&b, required[i], strlen(required[i])))
            object_set(&b, required[i], value_get(doc, required[i]));
    if (layer & (LAYER_INSTANCE)) /* identity of an instance */
        object_set(&b, "instanceKey", value_get(doc, "instanceKey"));
    if (resolve_others(v, t, body, NULL, &b, st) < 0)
        return -1;
    const struct value *next = object_end(&b);
    const char *parent = model_parent_member(t, layer);
    if (parent && value_has(doc, parent) && t->parent_type == t->id) {
        if (t->domain->customise)
            next = t->domain->customise(a, doc, next);
        if (config_differs(t, doc, next))
            next = value_with(a, next, "isCustomized", &value_true);
    }
    return model_finish(v, t, next, ret_doc, st);
}

int model_set(struct model_view *v, enum element_id type, const struct value *doc,
              const struct value *members, const struct value **ret_doc,
              struct status *st) {
    struct object_builder b;

    model_view_add(v, type, doc);
    object_begin(&b, v->arena, doc->len + members->len);
    object_set_all(&b, doc);
    set_fields(&b, members);
    return model_finish(v, element_type(type), object_end(&b), ret_doc, st);
}

int model_archive(struct model_view *v, enum element_id type, const struct value *doc,
                  const struct value **ret_doc, struct status *st) {
    if (!model_is_live(doc)) {
        *ret_doc = doc;
        return 0;
    }
    if (check_changeable(v, element_type(type), doc, st) < 0)
        return -1;
    *ret_doc = value_with(v->arena, doc, "archivedAt",
                          own_text(v, clock_iso_now(v->deps->clock, v->arena)));
    model_queue(v, model_view_put(v, type, *ret_doc));
    return 0;
}

int model_restore(struct model_view *v, enum element_id type, const struct value *doc,
                  const struct value **ret_doc, struct status *st) {
    if (model_is_live(doc)) {
        *ret_doc = doc;
        return 0;
    }
    return model_set(v, type, doc,
                     value_obj(v->arena, "archivedAt", &value_undefined, NULL), ret_doc,
                     st);
}

static int find_parent(struct model_view *v, const struct element_type *t,
                       const struct value *doc, const struct value **ret_parent,
                       struct status *st) {
    const char *member = model_parent_member(t, model_layer(doc));
    const char *id = member ? doc_text(doc, member) : NULL;

    if (!id || t->parent_type != t->id)
        return 1;
    int rc = model_get(v, t->parent_type, id, ret_parent, st);
    return rc == 0 && !model_is_live(*ret_parent) ? 1 : rc;
}

int model_setup(struct model_view *v, enum element_id type, const struct value *doc,
                const struct value **ret_doc, struct status *st) {
    const struct element_type *t = element_type(type);
    const struct value *parent;
    int rc;

    if (check_changeable(v, t, doc, st) < 0 ||
        (rc = find_parent(v, t, doc, &parent, st)) < 0)
        return -1;
    if (rc == 0)
        doc = model_follow(v, t, parent, doc);
    if (model_finish(v, t, doc, ret_doc, st) < 0)
        return -1;
    return model_make_needed(v, t, *ret_doc, st);
}

int model_reset(struct model_view *v, enum element_id type, const struct value *doc,
                const struct value *what, const struct value **ret_doc,
                struct status *st) {
    const struct element_type *t = element_type(type);
    const struct value *parent;
    int rc;

    if (check_changeable(v, t, doc, st) < 0 ||
        (rc = find_parent(v, t, doc, &parent, st)) < 0)
        return -1;
    if (rc == 1)
        return model_finish(v, t, doc, ret_doc, st);
    if (t->domain->reset) {
        doc = t->domain->reset(v->arena, parent, doc, what);
    } else {
        doc = value_with(v->arena, doc, "isCustomized", &value_false);
        doc = model_follow(v, t, parent, doc);
    }
    return model_finish(v, t, doc, ret_doc, st);
}

int model_apply(struct model_view *v, enum element_id type, const struct value *doc,
                const struct value *integration, const struct value **ret_doc,
                struct status *st) {
    struct model_scope scope = {.integration = integration, .parent = doc};
    const char *key = doc_text(doc, "key");
    int rc = 1;

    if (model_layer(doc) != LAYER_UNIVERSAL)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "only universal elements can be applied to integrations");
    if (key)
        rc = model_find_key(v, type, doc_id(integration), key, false, ret_doc, st);
    return rc != 1 ? rc : model_create(v, type, &scope, &value_empty_object, ret_doc, st);
}

int model_clone(struct model_view *v, enum element_id type, const struct value *doc,
                const struct value *body, const struct value **ret_doc,
                struct status *st) {
    const struct element_type *t = element_type(type);
    struct model_scope scope = {0};
    struct arena *a = v->arena;
    const struct value *fields;
    struct object_builder b;
    const char *key;

    if (model_layer(doc) & (LAYER_INSTANCE))
        return st_fail(st, ST_BAD_REQUEST, NULL, "an instance can't be cloned");
    if (model_layer(doc) == LAYER_INTEGRATION &&
        model_resolve_integration(v, value_get_string(doc, "integrationId", ""),
                                  &scope.integration, st) < 0)
        return -1;
    if (model_input_fields(a, t, doc, 0, &fields, st) < 0)
        return -1;
    object_begin(&b, a, fields->len + 4);
    object_set_all(&b, fields);
    object_delete(&b, "uuid", 4);
    object_set(&b, "name",
               value_stringf(a, "%s (copy)", value_get_string(doc, "name", "")));
    if (free_key(v, t, model_layer(doc), scope.integration,
                 arena_printf(a, "%s-copy", value_get_string(doc, "key", "element")),
                 &key, st) < 0)
        return -1;
    object_set(&b, "key", own_text(v, key));
    if (value_has(doc, "dataSourceId"))
        object_set(&b, "dataSourceId", value_get(doc, "dataSourceId"));
    if (value_is_object(body))
        object_set_all(&b, body);
    return model_create(v, type, &scope, object_end(&b), ret_doc, st);
}
