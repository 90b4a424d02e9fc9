/*
 * model_settle.c - what follows from a change: children follow their parent, states and
 * errors of everything that depends on it.
 *
 * Elements wait in one queue per (type, layer) and are taken in order of dependence, so
 * each is evaluated once and after everything it depends on. Evaluating is pure; only
 * model_commit.c writes. Three things find more work:
 *   - the definition changed: its children are merged anew (model_follow);
 *   - it became available or unavailable, or its key changed: whoever names it (rows of
 *     the collection `dependencies`, by key and by id) is evaluated again;
 *   - the same of an integration or connection: everything inside of it is.
 * A list of dependants on each element was rejected: a popular data source would be
 * written each time somebody starts to use it.
 */
#include "model_priv.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"

#define MANY_NAMERS 50

/* ---- Parents ---- */

static bool has_one_parent_member(const struct element_type *t) {
    return t->parent_field && strcmp(t->parent_field, "parentId") == 0;
}

const char *model_parent_member(const struct element_type *t, enum layer layer) {
    if (layer == LAYER_UNIVERSAL)
        return NULL;
    if (layer == LAYER_INTEGRATION)
        return has_one_parent_member(t) ? t->parent_field : t->universal_field;
    return t->parent_field;
}

const char *model_parent_revision_member(const struct element_type *t, enum layer layer) {
    if (layer == LAYER_UNIVERSAL)
        return NULL;
    if (layer == LAYER_INTEGRATION && t->universal_revision_field)
        return t->universal_revision_field;
    return t->parent_revision_field;
}

static void set_if(struct object_builder *b, const char *member, const struct value *v) {
    if (member && !value_is_nullish(v))
        object_set(b, member, v);
}

static void link_revisions(struct object_builder *child, const struct element_type *t,
                           enum layer layer, const struct value *parent) {
    set_if(child, model_parent_revision_member(t, layer), value_get(parent, "revision"));
    if (layer == LAYER_CONNECTION && t->universal_revision_field)
        set_if(child, t->universal_revision_field,
               model_layer(parent) == LAYER_UNIVERSAL
                   ? value_get(parent, "revision")
                   : value_get(parent, t->universal_revision_field));
}

void model_link_parent(struct object_builder *child, const struct element_type *t,
                       enum layer layer, const struct value *parent) {
    const struct value *id = value_get(parent, "id");
    bool is_universal = model_layer(parent) == LAYER_UNIVERSAL;

    set_if(child, model_parent_member(t, layer), id);
    if (t->universal_field)
        set_if(child, t->universal_field,
               is_universal ? id : value_get(parent, t->universal_field));
    link_revisions(child, t, layer, parent);
}

static const struct value *follow_common(struct arena *a, const struct element_type *t,
                                         const struct value *parent,
                                         const struct value *child) {
    static const char *const names[] = {"name", "description"};
    struct object_builder b;

    if (value_get_bool(child, "isCustomized", false))
        return child;
    object_begin(&b, a, child->len + 8);
    object_set_all(&b, child);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (value_has(parent, names[i]))
            object_set(&b, names[i], value_get(parent, names[i]));
    for (size_t i = 0; i < t->domain->fields_len; i++) {
        const struct element_field *f = &t->domain->fields[i];
        const struct value *v = value_get(parent, f->name);
        if (!(f->flags & FIELD_CONFIG))
            continue;
        if (value_is(v, VALUE_UNDEFINED))
            object_delete(&b, f->name, strlen(f->name));
        else
            object_set(&b, f->name, v);
    }
    return object_end(&b);
}

const struct value *model_follow(struct model_view *v, const struct element_type *t,
                                 const struct value *parent, const struct value *child) {
    const struct value *next = t->domain->follow
                                   ? t->domain->follow(v->arena, parent, child)
                                   : follow_common(v->arena, t, parent, child);
    struct object_builder b;

    if (value_get_bool(next, "isCustomized", false) && next == child)
        return child; /* the old revision tells that it is behind */
    object_begin(&b, v->arena, next->len + 2);
    object_set_all(&b, next);
    link_revisions(&b, t, model_layer(child), parent);
    return object_end(&b);
}

/* ---- Queue ---- */

static unsigned rank_of(const struct model_entry *e) {
    enum layer l = model_layer(e->now);

    return e->type * 3 + (l == LAYER_UNIVERSAL ? 0 : l == LAYER_INTEGRATION ? 1 : 2);
}

void model_queue(struct model_view *v, struct model_entry *e) {
    unsigned rank = rank_of(e);

    if (e->in_queue)
        return;
    e->in_queue = true;
    e->queued = v->queue[rank];
    v->queue[rank] = e;
}

/* ---- Report ---- */

static void add_error(struct model_report *r, const char *type, const char *message,
                      const struct value *data) {
    struct arena *a = r->view->arena;

    array_push(&r->errors, value_obj(a, "type", value_string(a, type), "message",
                                     value_string(a, message), "data", data, NULL));
}

void model_report_error(struct model_report *r, const char *type, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    add_error(r, type, arena_vprintf(r->view->arena, fmt, ap), NULL);
    va_end(ap);
}

size_t model_report_errors(const struct model_report *r) {
    return r->errors.len;
}

const struct value *model_report_errors_from(const struct model_report *r, size_t n) {
    struct array_builder b;

    array_begin(&b, r->view->arena, r->errors.len - n);
    for (; n < r->errors.len; n++)
        array_push(&b, &r->errors.items[n]);
    return array_end(&b);
}

/* {workspaceElementReference: {type, id?, key?}} */
static const struct value *reference(struct arena *a, const char *type, const char *id,
                                     const char *key) {
    return value_obj(a, "workspaceElementReference",
                     value_obj(a, "type", value_string(a, type), "id",
                               id ? value_string(a, id) : NULL, "key",
                               key ? value_string(a, key) : NULL, NULL),
                     NULL);
}

static void note_unavailable(struct model_report *r, const char *title, const char *type,
                             const struct value *doc) {
    struct arena *a = r->view->arena;

    if (!model_is_live(doc) || value_get_bool(doc, "isDeactivated", false))
        r->deactivated = true;
    add_error(r, "dependency_error", arena_printf(a, "%s Dependency has error(s)", title),
              reference(a, type, doc_id(doc), NULL));
}

/* By key, in the scope of the document: its connection, its integration, the workspace.
 */
static int find_in_scope(struct model_report *r, enum element_id type, const char *key,
                         const struct value **ret_doc, struct status *st) {
    struct model_view *v = r->view;
    const char *integration = doc_text(r->doc, "integrationId");
    const char *connection = doc_text(r->doc, "connectionId");
    const char *customer = doc_text(r->doc, "userId");
    const struct value *base;
    int rc = 1;

    if (integration)
        rc = model_find_key(v, type, integration, key, false, &base, st);
    if (rc == 1)
        rc = model_find_key(v, type, NULL, key, false, &base, st);
    if (rc == 1 && integration)
        rc = model_find_key(v, type, integration, key, true, &base, st);
    if (rc == 1)
        rc = model_find_key(v, type, NULL, key, true, &base, st);
    if (rc)
        return rc;
    const char *owner =
        element_type(type)->layers & LAYER_CONNECTION ? connection : customer;
    if (connection && owner && element_type(type)->layers & LAYER_INSTANCE) {
        const char *instance_key = doc_text(r->doc, "instanceKey");
        const struct value *own;
        rc = model_find_instance(v, type, doc_id(base), owner, instance_key, &own, st);
        if (rc == 1 && instance_key)
            rc = model_find_instance(v, type, doc_id(base), owner, NULL, &own, st);
        if (rc < 0)
            return -1;
        if (rc == 0)
            base = own;
    }
    *ret_doc = base;
    return 0;
}

static const char *ref_text(struct arena *a, enum element_id type, const char *how,
                            const char *text) {
    return arena_printf(a, "%s:%s:%s", element_type(type)->name, how, text);
}

void model_report_set(struct model_report *r, const char *member, const struct value *v) {
    object_set(&r->members, member, v);
}

int model_report_depends(struct model_report *r, enum element_id type, const char *id,
                         const char *key, const struct value **ret_doc,
                         struct status *st) {
    const struct element_type *t = element_type(type);
    struct arena *a = r->view->arena;
    const struct value *doc = NULL;
    int rc = 1;

    if (key)
        array_push(&r->refs, value_string(a, ref_text(a, type, "key", key)));
    if (id)
        array_push(&r->refs, value_string(a, ref_text(a, type, "id", id)));
    if (id && (rc = model_get(r->view, type, id, &doc, st)) < 0)
        return -1;
    if (rc == 1 && key && (rc = find_in_scope(r, type, key, &doc, st)) < 0)
        return -1;
    if (ret_doc)
        *ret_doc = rc == 0 ? doc : NULL;
    if (rc == 1) {
        add_error(r, "dependency_error",
                  arena_printf(a, "%s \"%s\" does not exist", t->title, key ? key : id),
                  reference(a, t->name, id, key));
        return 0;
    }
    for (size_t i = 0; i < r->dependencies.len; i++)
        if (value_equals_text(value_get(&r->dependencies.items[i], "id"), doc_id(doc)))
            return 0;
    array_push(&r->dependencies,
               value_obj(a, "type", value_string(a, t->name), "id", value_get(doc, "id"),
                         "dependencyType", value_string(a, "CONFIGURATION"), NULL));
    if (!model_is_available(doc))
        note_unavailable(r, t->title, t->name, doc);
    return 0;
}

/* ---- Evaluation ---- */

static int inspect_integration(struct model_report *r, struct status *st) {
    const char *id = doc_text(r->doc, "integrationId");
    const struct value *doc;
    int rc;

    if (!id || r->type->id == EL_INTEGRATION)
        return 0;
    rc = model_get(r->view, EL_INTEGRATION, id, &doc, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        model_report_error(r, "dependency_error", "Integration \"%s\" does not exist",
                           id);
    else if (!model_is_available(doc))
        note_unavailable(r, "Integration", "integration", doc);
    return 0;
}

static int inspect_connection(struct model_report *r, struct status *st) {
    const char *id = doc_text(r->doc, "connectionId");
    const struct value *doc;
    int rc;

    if (!id)
        return 0;
    rc = model_get_other(r->view, C_CONNECTIONS, id, &doc, st);
    if (rc < 0)
        return -1;
    if (rc == 1) {
        r->deactivated = true;
        model_report_error(r, "dependency_error", "Connection \"%s\" does not exist", id);
    } else if (!model_is_available(doc) || value_get_bool(doc, "disconnected", false)) {
        note_unavailable(r, "Connection", "connection", doc);
    }
    return 0;
}

/* A parent's errors are its own; but without a parent that lives a child sleeps. */
static int inspect_parent(struct model_report *r, struct status *st) {
    const char *member = model_parent_member(r->type, model_layer(r->doc));
    const char *id = member ? doc_text(r->doc, member) : NULL;
    const struct value *doc;
    int rc;

    if (!id)
        return 0;
    rc = model_get(r->view, r->type->parent_type, id, &doc, st);
    if (rc < 0)
        return -1;
    if (rc == 1 || !model_is_live(doc) || value_get_bool(doc, "isDeactivated", false))
        r->deactivated = true;
    return 0;
}

static void set_list(struct object_builder *b, const char *member,
                     const struct value *list) {
    if (list->len)
        object_set(b, member, list);
    else
        object_delete(b, member, strlen(member));
}

static int evaluate(struct model_view *v, struct model_entry *e, struct status *st) {
    const struct element_type *t = element_type(e->type);
    struct model_report r = {.view = v, .type = t, .doc = e->now};
    struct object_builder b;

    array_begin(&r.errors, v->arena, 0);
    array_begin(&r.dependencies, v->arena, 0);
    array_begin(&r.refs, v->arena, 0);
    object_begin(&r.members, v->arena, 0);
    if (inspect_integration(&r, st) < 0 || inspect_connection(&r, st) < 0 ||
        inspect_parent(&r, st) < 0 ||
        (t->domain->inspect && t->domain->inspect(v, e->now, &r, st) < 0))
        return -1;
    object_begin(&b, v->arena, e->now->len + 5);
    object_set_all(&b, e->now);
    const struct value *errors = array_end(&r.errors);
    for (VALUE_EACH_MEMBER(m, object_end(&r.members)))
        if (value_is(&m->value, VALUE_UNDEFINED))
            object_delete(&b, m->key, m->key_len);
        else
            object_set_len(&b, m->key, m->key_len, &m->value);
    object_set_string(&b, "state", errors->len ? "CONFIGURATION_ERROR" : "READY");
    object_set(&b, "errors", errors);
    object_set_bool(&b, "isDeactivated", r.deactivated);
    set_list(&b, "dependencies", array_end(&r.dependencies));
    set_list(&b, "refs", array_end(&r.refs));
    const struct value *next = object_end(&b);
    if (!value_equal_ordered(next, e->now))
        model_view_put(v, e->type, next);
    return 0;
}

/* ---- What follows ---- */

static const char *const state_members[] = {
    "state",    "errors",    "isDeactivated", "dependencies", "refs",
    "revision", "updatedAt", "nodeStates",    "checkpoints",
};

static const struct value *definition_of(struct arena *a, const struct value *doc) {
    struct object_builder b;

    object_begin(&b, a, doc->len);
    object_set_all(&b, doc);
    for (size_t i = 0; i < sizeof state_members / sizeof *state_members; i++)
        object_delete(&b, state_members[i], strlen(state_members[i]));
    return object_end(&b);
}

/* New revision and snapshot when the definition changed; gives whether it did. */
static int stamp(struct model_view *v, struct model_entry *e, bool *ret_changed,
                 struct status *st) {
    struct object_builder b;
    bool changed;

    *ret_changed = false;
    if (!e->stored || e->stored == e->now || value_equal_ordered(e->stored, e->now))
        return 0;
    changed = !value_equal_ordered(definition_of(v->arena, e->stored),
                                   definition_of(v->arena, e->now));
    const struct value *now = e->now;
    if (changed && model_checkpoint_count(v, e, &now, st) < 0)
        return -1;
    object_begin(&b, v->arena, now->len + 2);
    object_set_all(&b, now);
    if (changed)
        object_set_string(&b, "revision", uuid_new(v->deps->rand, v->arena));
    object_set_string(&b, "updatedAt", clock_iso_now(v->deps->clock, v->arena));
    model_view_put(v, e->type, object_end(&b));
    *ret_changed = changed;
    return 0;
}

static int queue_it(struct model_view *v, struct model_entry *e, void *ctx,
                    struct status *st) {
    (void)ctx, (void)st;
    model_queue(v, e);
    return 0;
}

/* Its content was given together with the parent's: it is up to date. */
static const struct value *follow_pinned(struct model_view *v,
                                         const struct element_type *t,
                                         const struct value *parent,
                                         const struct value *child) {
    struct object_builder b;

    if (value_get_bool(child, "isCustomized", false))
        return child;
    object_begin(&b, v->arena, child->len + 2);
    object_set_all(&b, child);
    link_revisions(&b, t, model_layer(child), parent);
    return object_end(&b);
}

static int follow_it(struct model_view *v, struct model_entry *child, void *ctx,
                     struct status *st) {
    const struct model_entry *parent = ctx;
    const struct element_type *t = element_type(child->type);

    (void)st;
    if (child->type == parent->type) {
        const struct value *next = child->pinned
                                       ? follow_pinned(v, t, parent->now, child->now)
                                       : model_follow(v, t, parent->now, child->now);
        if (next != child->now)
            model_view_put(v, child->type, next);
    }
    model_queue(v, child);
    return 0;
}

static int each_child(struct model_view *v, struct model_entry *e,
                      int (*fn)(struct model_view *, struct model_entry *, void *,
                                struct status *),
                      struct status *st) {
    struct arena *a = v->arena;

    if (!e->stored) /* new: nobody can have it as a parent */
        return 0;
    for (int i = 0; i < ELEMENT_COUNT; i++) {
        const struct element_type *t = element_type(i);
        if (!t->parent_field || t->parent_type != e->type)
            continue;
        const struct store_filter *where = store_eq_text(a, t->parent_field, e->id);
        if (t->universal_field)
            where = store_or(
                a, where,
                store_and(a, store_eq_text(a, t->universal_field, e->id),
                          store_eq_text(a, "layer", layer_name(LAYER_INTEGRATION)), NULL),
                NULL);
        if (model_view_each(v, i, where, fn, e, st) < 0)
            return -1;
    }
    return 0;
}

/* Everything inside of an integration or connection. */
static int queue_inside(struct model_view *v, const char *member, const char *id,
                        unsigned layers, struct status *st) {
    for (int i = 0; i < ELEMENT_COUNT; i++)
        if (element_type(i)->layers & layers &&
            model_view_each(v, i, store_eq_text(v->arena, member, id), queue_it, NULL,
                            st) < 0)
            return -1;
    return 0;
}

static int queue_namers(struct model_view *v, enum element_id type, const char *how,
                        const char *text, struct status *st) {
    struct arena *a = v->arena;
    struct store_query q = {
        .where = store_and(a, store_eq_text(a, "workspaceId", v->workspace_id),
                           store_eq_text(a, "to", ref_text(a, type, how, text)), NULL),
        .sort = {{"id", false}},
        .limit = 500,
    };
    struct store_page page;

    do {
        page = (struct store_page){0};
        if (model_store_list(v, C_DEPENDENCIES, &q, &page, st) < 0)
            return -1;
        /* Many look-ups are coming: one read of everything is faster. */
        if (page.items->len > MANY_NAMERS && !v->complete &&
            model_view_load_all(v, st) < 0)
            return -1;
        for (VALUE_EACH_ITEM(edge, page.items)) {
            const struct element_type *t =
                element_type_from_name(value_get_string(edge, "fromType", ""));
            const struct value *doc;
            int rc =
                t ? model_get(v, t->id, value_get_string(edge, "from", ""), &doc, st) : 1;
            if (rc < 0)
                return -1;
            if (rc == 0 && model_is_live(doc))
                model_queue(v, model_entry_of(v, t->id, doc_id(doc)));
        }
        q.cursor = page.cursor;
    } while (page.cursor);
    return 0;
}

static int queue_dependants(struct model_view *v, struct model_entry *e,
                            struct status *st) {
    const char *key = doc_text(e->now, "key");
    const char *old_key = e->stored ? doc_text(e->stored, "key") : NULL;

    if (e->type == EL_INTEGRATION)
        return e->stored ? queue_inside(v, "integrationId", e->id,
                                        LAYER_INTEGRATION | LAYER_CONNECTION, st)
                         : 0;
    if (e->stored && queue_namers(v, e->type, "id", e->id, st) < 0)
        return -1;
    if (key && queue_namers(v, e->type, "key", key, st) < 0)
        return -1;
    if (old_key && strcmp(old_key, key ? key : "") != 0)
        return queue_namers(v, e->type, "key", old_key, st);
    return 0;
}

static bool availability_changed(const struct model_entry *e) {
    return !e->stored || model_is_available(e->stored) != model_is_available(e->now) ||
           model_is_live(e->stored) != model_is_live(e->now) ||
           value_get_bool(e->stored, "isDeactivated", false) !=
               value_get_bool(e->now, "isDeactivated", false) ||
           !model_same_member(e->stored, e->now, "key");
}

static int settle_one(struct model_view *v, struct model_entry *e, struct status *st) {
    bool definition;

    if (model_is_live(e->now) && evaluate(v, e, st) < 0)
        return -1;
    if (stamp(v, e, &definition, st) < 0)
        return -1;
    if (definition && each_child(v, e, follow_it, st) < 0)
        return -1;
    if (!availability_changed(e))
        return 0;
    if (!definition && each_child(v, e, queue_it, st) < 0)
        return -1;
    return queue_dependants(v, e, st);
}

int model_settle(struct model_view *v, struct status *st) {
    for (unsigned rank = 0; rank < MODEL_RANKS; rank++)
        while (v->queue[rank]) {
            struct model_entry *e = v->queue[rank];
            v->queue[rank] = e->queued;
            if (e->evaluated)
                continue;
            e->evaluated = true;
            if (settle_one(v, e, st) < 0)
                return -1;
        }
    for (struct model_entry *e = v->all; e; e = e->next)
        e->evaluated = e->in_queue = false;
    return 0;
}

int model_connection_changed(struct model_view *v, const char *connection_id,
                             struct status *st) {
    const struct value *connection;
    int rc;

    if (queue_inside(v, "connectionId", connection_id, LAYER_CONNECTION, st) < 0)
        return -1;
    rc = model_get_other(v, C_CONNECTIONS, connection_id, &connection, st);
    if (rc)
        return rc < 0 ? -1 : 0;
    if (!model_is_available(connection) ||
        value_get_bool(connection, "disconnected", false))
        return 0;
    for (int i = 0; i < ELEMENT_COUNT; i++) {
        const struct element_domain *d = element_type(i)->domain;
        if (d->connected && d->connected(v, connection, st) < 0)
            return -1;
    }
    return 0;
}

int model_connector_changed(struct model_view *v, const struct value *connector,
                            struct status *st) {
    static const char *const members[][2] = {
        {"connectorId", "id"}, {"connectorUuid", "uuid"}, {"connectorKey", "key"}};

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *text = doc_text(connector, members[i][1]);
        if (text && model_view_each(v, EL_INTEGRATION,
                                    store_eq_text(v->arena, members[i][0], text),
                                    queue_it, NULL, st) < 0)
            return -1;
    }
    return 0;
}
