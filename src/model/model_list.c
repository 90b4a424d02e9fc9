/*
 * model_list.c - lists: which elements a query means, page by page, newest first.
 *
 * Without a qualifier a list holds the upper layers; a connection, customer, instance key
 * or layer=connection asks for instances. A customer sees instances of its own only.
 */
#include "model_priv.h"
#include "model_routes.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_page.h"

/* A filter under construction; `nothing`: no element can match. */
struct selection {
    struct arena *arena;
    const struct store_filter *where;
    bool nothing;
};

static void also(struct selection *s, const struct store_filter *f) {
    s->where = s->where ? store_and(s->arena, s->where, f, NULL) : f;
}

static void also_text(struct selection *s, const char *member, const char *text) {
    also(s, store_eq_text(s->arena, member, text));
}

/* Query fields that are compared with a member as they are. */
static const struct {
    const char *query, *member;
    bool is_bool;
} plain[] = {
    {"id", "id", false},
    {"uuid", "uuid", false},
    {"key", "key", false},
    {"type", "type", false},
    {"instanceKey", "instanceKey", false},
    {"externalAppId", "externalAppId", false},
    {"appUuid", "appUuid", false},
    {"appEventTypeId", "appEventTypeId", false},
    {"dataSourceInstanceId", "dataSourceInstanceId", false},
    {"state", "state", false},
    {"isUniversal", "isUniversal", true},
    {"enabled", "enabled", true},
    {"isSubscribed", "isSubscribed", true},
};

static void select_plain(struct selection *s, const struct request *rq,
                         const struct element_type *t) {
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        const char *text = request_query(rq, plain[i].query);
        if (!text)
            continue;
        /* Every universal element is one, marked or not. */
        if (strcmp(plain[i].query, "isUniversal") == 0) {
            bool on = request_query_bool(rq, plain[i].query, true);
            also(s, store_cmp(s->arena, on ? STORE_EQ : STORE_NE, "layer",
                              value_string(s->arena, layer_name(LAYER_UNIVERSAL))));
            continue;
        }
        if (plain[i].is_bool)
            also(s, request_query_bool(rq, plain[i].query, true)
                        ? store_eq(s->arena, plain[i].member, &value_true)
                        : store_cmp(s->arena, STORE_NE, plain[i].member, &value_true));
        else
            also_text(s, plain[i].member, text);
    }
    (void)t;
}

/* parentId and universalParentId under their own and the type's name; flowKey. */
static int select_parent(struct selection *s, struct model_view *v,
                         const struct request *rq, const struct element_type *t,
                         struct status *st) {
    const char *parent = t->parent_field ? request_query(rq, t->parent_field) : NULL;
    const char *universal =
        t->universal_field ? request_query(rq, t->universal_field) : NULL;
    const char *key = t->parent_key_query ? request_query(rq, t->parent_key_query) : NULL;

    if (!t->parent_field)
        return 0;
    if (!parent)
        parent = request_query(rq, "parentId");
    if (!universal)
        universal = request_query(rq, "universalParentId");
    if (parent)
        also_text(s, t->parent_field, parent);
    if (universal && t->universal_field)
        also_text(s, t->universal_field, universal);
    if (key && t->universal_field) {
        const struct value *doc;
        int rc = model_find_key(v, t->parent_type, NULL, key, true, &doc, st);
        if (rc < 0)
            return -1;
        if (rc == 0)
            also(s, store_or(s->arena,
                             store_eq_text(s->arena, t->universal_field, doc_id(doc)),
                             store_eq_text(s->arena, "key", key), NULL));
        else
            also_text(s, "key", key);
    } else if (key) {
        const struct value *doc;
        int rc = model_find_key(v, t->parent_type, NULL, key, true, &doc, st);
        if (rc < 0)
            return -1;
        if (rc == 0)
            also_text(s, t->parent_field, doc_id(doc));
        s->nothing |= rc == 1;
    }
    return 0;
}

/* A list of something that does not exist is empty; in a path it's an error. */
static int forgive(struct selection *s, int rc, bool in_path, struct status *st) {
    if (rc < 0 && !in_path && st->key && strcmp(st->key, "not_found") == 0) {
        st_clear(st);
        s->nothing = true;
        return 1;
    }
    return rc;
}

static int select_integration(struct selection *s, struct model_view *v,
                              const struct model_selector *sel,
                              const struct element_type *t, struct status *st) {
    const char *named = sel->integration      ? sel->integration
                        : sel->integration_id ? sel->integration_id
                                              : sel->integration_key;
    const struct value *doc;
    int rc;

    if (!named || t->layers == LAYER_UNIVERSAL)
        return 0;
    rc = forgive(s, model_resolve_integration(v, named, &doc, st), sel->integration, st);
    if (rc == 0)
        also_text(s, "integrationId", doc_id(doc));
    return rc < 0 ? -1 : 0;
}

static int select_connection(struct selection *s, struct model_view *v,
                             const struct model_selector *sel,
                             const struct element_type *t, struct status *st) {
    struct model_selector only = {.connection = sel->connection,
                                  .connection_id = sel->connection_id,
                                  .connection_key = sel->connection_key,
                                  .user_id = sel->user_id};
    const struct value *doc;
    int rc;

    if (!(t->layers & LAYER_CONNECTION) ||
        (!only.connection && !only.connection_id && !only.connection_key))
        return 0;
    rc = forgive(s, model_resolve_connection(v, &only, &doc, st), only.connection, st);
    if (rc == 0)
        also_text(s, "connectionId", doc_id(doc));
    return rc < 0 ? -1 : 0;
}

/* Instances of one customer: the caller, or whom an admin names. */
static int select_customer(struct selection *s, struct model_view *v, const char *user_id,
                           struct status *st) {
    const struct caller *c = v->caller;
    const char *id;
    int rc;

    if (c && !c->is_admin) {
        s->nothing |= !c->customer_id;
        if (c->customer_id)
            also_text(s, "userId", c->customer_id);
        return 0;
    }
    if (!user_id)
        return 0;
    rc = forgive(s, model_resolve_customer(v, user_id, &id, st), false, st);
    if (rc == 0)
        also_text(s, "userId", id);
    return rc < 0 ? -1 : 0;
}

static enum layer instance_layer(const struct element_type *t) {
    return t->layers & LAYER_CONNECTION ? LAYER_CONNECTION : LAYER_CUSTOMER;
}

static int select_layer(struct selection *s, struct model_view *v,
                        const struct request *rq, const struct model_row *row,
                        const struct model_selector *sel, struct status *st) {
    const struct element_type *t = element_type(row->type);
    const char *user_id = sel->user_id;
    bool instances = t->layers & LAYER_INSTANCE &&
                     (sel->instance_only || sel->connection || sel->connection_id ||
                      sel->connection_key || user_id || sel->instance_key ||
                      sel->layer & LAYER_INSTANCE || t->can & EL_NO_ELEMENT);

    (void)rq;
    if (sel->layer && !(sel->layer & LAYER_INSTANCE))
        instances = false;
    if (instances) {
        if (t->layers != (unsigned)instance_layer(t))
            also_text(s, "layer", layer_name(instance_layer(t)));
        return select_customer(s, v, user_id, st);
    }
    if (sel->layer)
        also_text(s, "layer", layer_name(sel->layer));
    else if (row->family == AT_INTEGRATION)
        also_text(s, "layer", layer_name(LAYER_INTEGRATION));
    else if (t->layers & LAYER_INSTANCE)
        also(s, store_cmp(s->arena, STORE_NE, "layer",
                          value_string(s->arena, layer_name(instance_layer(t)))));
    return 0;
}

static int select_all(struct selection *s, struct model_view *v, const struct request *rq,
                      const struct model_row *row, const struct http_page *page,
                      struct status *st) {
    const struct element_type *t = element_type(row->type);
    struct model_selector sel;

    if (model_selector_read(rq, row, &sel, st) < 0)
        return -1;
    also_text(s, "workspaceId", v->workspace_id);
    if (!page->include_archived)
        also(s, store_cmp(s->arena, STORE_ABSENT, "archivedAt", NULL));
    select_plain(s, rq, t);
    if (select_layer(s, v, rq, row, &sel, st) < 0 ||
        select_integration(s, v, &sel, t, st) < 0 ||
        select_connection(s, v, &sel, t, st) < 0 || select_parent(s, v, rq, t, st) < 0)
        return -1;
    if (page->search) {
        const struct value *text = value_string(s->arena, page->search);
        also(s, store_or(s->arena, store_cmp(s->arena, STORE_CONTAINS, "name", text),
                         store_cmp(s->arena, STORE_CONTAINS, "key", text), NULL));
    }
    return 0;
}

int model_list_reply(struct request *rq, struct model_view *v,
                     const struct model_row *row, struct reply *rp, struct status *st) {
    struct selection s = {.arena = rq->arena};
    struct http_page page;
    struct store_page found = {.items = &value_empty_array};
    struct array_builder items;

    if (http_page_read(rq, &page, st) < 0 || select_all(&s, v, rq, row, &page, st) < 0)
        return -1;
    struct store_query q = {
        .where = s.where,
        .sort = {{"createdAt", true}, {"id", true}},
        .limit = (size_t)page.limit,
        .cursor = page.cursor,
    };
    if (!s.nothing &&
        model_store_list(v, element_type(row->type)->collection, &q, &found, st) < 0)
        return -1;
    array_begin(&items, rq->arena, found.items->len);
    for (VALUE_EACH_ITEM(doc, found.items)) {
        const struct value *out;
        model_view_add(v, row->type, doc);
        if (model_render(v, row->type, doc, MODEL_RENDER_JOINS, &out, st) < 0)
            return -1;
        array_push(&items, out);
    }
    return http_page_reply(rp, array_end(&items), found.cursor);
}
