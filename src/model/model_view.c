/*
 * model_view.c - what a view knows, and reading through it.
 *
 * Entries are found by id and, while live, by slot. A complete view (imports) answers
 * look-ups of the upper layers without asking the store.
 */
#include "model_priv.h"

#include <assert.h>
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"

struct model_view *model_view_new(const struct deps *deps, struct arena *a,
                                  const struct caller *caller, const char *workspace_id) {
    struct model_view *v = arena_zalloc(a, sizeof *v);

    assert(workspace_id);
    v->deps = deps;
    v->arena = a;
    v->caller = caller;
    v->workspace_id = workspace_id;
    model_map_init(&v->by_id, a);
    model_map_init(&v->by_slot, a);
    model_map_init(&v->others, a);
    v->all_tail = &v->all;
    return v;
}

struct arena *model_view_arena(const struct model_view *v) {
    return v->arena;
}
const struct deps *model_view_deps(const struct model_view *v) {
    return v->deps;
}
const struct caller *model_view_caller(const struct model_view *v) {
    return v->caller;
}
const char *model_view_workspace_id(const struct model_view *v) {
    return v->workspace_id;
}

void model_view_note_read(struct model_view *v, enum collection c) {
    model_view_reads(v, c);
}

enum layer model_layer(const struct value *doc) {
    return layer_from_name(value_get_string(doc, "layer", ""));
}

bool model_is_live(const struct value *doc) {
    return value_is_nullish(value_get(doc, "archivedAt"));
}

bool model_is_available(const struct value *doc) {
    return model_is_live(doc) && !value_get_bool(doc, "isDeactivated", false) &&
           strcmp(value_get_string(doc, "state", "READY"), "READY") == 0;
}

/* ---- Slots ---- */

const char *model_instance_slot(struct arena *a, enum layer layer, const char *owner_id,
                                const char *parent, const char *instance_key) {
    return arena_printf(a, "%c:%s:%s:%s", layer == LAYER_CONNECTION ? 'c' : 't', owner_id,
                        parent, instance_key ? instance_key : "");
}

const char *model_slot(struct arena *a, const struct element_type *t,
                       const struct value *doc) {
    enum layer layer = model_layer(doc);
    const char *key = doc_text(doc, "key");

    if (layer == LAYER_UNIVERSAL)
        return key ? arena_printf(a, "u:%s", key) : NULL;
    if (layer == LAYER_INTEGRATION)
        return key ? arena_printf(a, "i:%s:%s",
                                  value_get_string(doc, "integrationId", ""), key)
                   : NULL;
    const char *parent = t->parent_field ? doc_text(doc, t->parent_field) : NULL;
    const char *owner =
        doc_text(doc, layer == LAYER_CONNECTION ? "connectionId" : "userId");
    if (!owner || (!parent && !key))
        return NULL;
    return model_instance_slot(a, layer, owner,
                               parent ? parent : arena_printf(a, "key=%s", key),
                               doc_text(doc, "instanceKey"));
}

/* ---- Entries ---- */

static const char *entry_key(struct arena *a, unsigned type, const char *text) {
    return arena_printf(a, "%u/%s", type, text);
}

struct model_entry *model_entry_of(struct model_view *v, enum element_id type,
                                   const char *id) {
    return model_map_get(&v->by_id, entry_key(v->arena, type, id));
}

static void index_slot(struct model_view *v, struct model_entry *e) {
    const char *slot = doc_text(e->now, "slot");

    if (slot && model_is_live(e->now))
        model_map_set(&v->by_slot, entry_key(v->arena, e->type, slot), e);
}

static struct model_entry *add_entry(struct model_view *v, enum element_id type,
                                     const struct value *stored,
                                     const struct value *now) {
    struct model_entry *e = arena_zalloc(v->arena, sizeof *e);

    e->type = type;
    e->id = doc_id(now);
    e->stored = stored;
    e->now = now;
    *v->all_tail = e;
    v->all_tail = &e->next;
    model_map_set(&v->by_id, entry_key(v->arena, type, e->id), e);
    index_slot(v, e);
    return e;
}

struct model_entry *model_view_add(struct model_view *v, enum element_id type,
                                   const struct value *stored) {
    struct model_entry *e = model_entry_of(v, type, doc_id(stored));

    return e ? e : add_entry(v, type, stored, stored);
}

struct model_entry *model_view_put(struct model_view *v, enum element_id type,
                                   const struct value *doc) {
    struct model_entry *e = model_entry_of(v, type, doc_id(doc));

    if (!e)
        return add_entry(v, type, NULL, doc);
    const char *slot = doc_text(e->now, "slot");
    if (slot) {
        const char *k = entry_key(v->arena, type, slot);
        if (model_map_get(&v->by_slot, k) == e)
            model_map_set(&v->by_slot, k, NULL);
    }
    e->now = doc;
    index_slot(v, e);
    return e;
}

/* ---- Look-ups ---- */

static bool is_ours(const struct model_view *v, const struct value *doc) {
    return value_equals_text(value_get(doc, "workspaceId"), v->workspace_id);
}

static int give(const struct model_entry *e, const struct value **ret_doc) {
    *ret_doc = e->now;
    return 0;
}

int model_get(struct model_view *v, enum element_id type, const char *id,
              const struct value **ret_doc, struct status *st) {
    struct model_entry *e = model_entry_of(v, type, id);
    const struct value *doc;
    int rc;

    if (e)
        return give(e, ret_doc);
    rc = model_store_get(v, element_type(type)->collection, id, &doc, st);
    if (rc)
        return rc;
    if (!is_ours(v, doc))
        return 1;
    return give(add_entry(v, type, doc, doc), ret_doc);
}

/* The first stored document that matches, as the view sees it. */
static int find_where(struct model_view *v, enum element_id type,
                      const struct store_filter *where, const struct value **ret_doc,
                      struct status *st) {
    struct arena *a = v->arena;
    struct store_query q = {
        .where =
            store_and(a, store_eq_text(a, "workspaceId", v->workspace_id), where, NULL),
        .sort = {{"id", true}},
    };
    const struct value *doc;
    int rc;

    rc = model_store_find(v, element_type(type)->collection, &q, &doc, st);

    return rc ? rc : give(model_view_add(v, type, doc), ret_doc);
}

static const struct store_filter *live(struct arena *a) {
    return store_cmp(a, STORE_ABSENT, "archivedAt", NULL);
}

/* Live, by slot. */
static int find_slot(struct model_view *v, enum element_id type, const char *slot,
                     bool in_complete, const struct value **ret_doc, struct status *st) {
    struct arena *a = v->arena;
    struct model_entry *e = model_map_get(&v->by_slot, entry_key(a, type, slot));
    int rc;

    if (e)
        return give(e, ret_doc);
    if (v->complete && in_complete)
        return 1;
    rc = find_where(v, type, store_and(a, store_eq_text(a, "slot", slot), live(a), NULL),
                    ret_doc, st);
    /* The stored row may have moved or died in this view. */
    if (rc == 0 && (!model_is_live(*ret_doc) ||
                    !value_equals_text(value_get(*ret_doc, "slot"), slot)))
        return 1;
    return rc;
}

int model_find_key(struct model_view *v, enum element_id type, const char *integration_id,
                   const char *key, bool archived_too, const struct value **ret_doc,
                   struct status *st) {
    struct arena *a = v->arena;
    const char *slot = integration_id ? arena_printf(a, "i:%s:%s", integration_id, key)
                                      : arena_printf(a, "u:%s", key);
    int rc = find_slot(v, type, slot, true, ret_doc, st);

    if (rc != 1 || !archived_too)
        return rc;
    return find_where(
        v, type,
        store_and(a, store_eq_text(a, "key", key), store_eq_text(a, "slot", slot), NULL),
        ret_doc, st);
}

int model_find_uuid(struct model_view *v, enum element_id type, const char *uuid,
                    const struct value **ret_doc, struct status *st) {
    struct arena *a = v->arena;
    int rc;

    for (struct model_entry *e = v->all; e; e = e->next)
        if (e->type == type && model_is_live(e->now) &&
            value_equals_text(value_get(e->now, "uuid"), uuid))
            return give(e, ret_doc);
    rc = find_where(v, type, store_and(a, store_eq_text(a, "uuid", uuid), live(a), NULL),
                    ret_doc, st);
    return rc != 1 ? rc
                   : find_where(v, type, store_eq_text(a, "uuid", uuid), ret_doc, st);
}

int model_find_instance(struct model_view *v, enum element_id type, const char *parent_id,
                        const char *owner_id, const char *instance_key,
                        const struct value **ret_doc, struct status *st) {
    enum layer layer =
        element_type(type)->layers & LAYER_CONNECTION ? LAYER_CONNECTION : LAYER_CUSTOMER;

    return find_slot(
        v, type, model_instance_slot(v->arena, layer, owner_id, parent_id, instance_key),
        false, ret_doc, st);
}

int model_get_other(struct model_view *v, enum collection c, const char *id,
                    const struct value **ret_doc, struct status *st) {
    const char *k = entry_key(v->arena, c, id);
    const struct value *doc = model_map_get(&v->others, k);
    int rc;

    if (!doc) {
        rc = model_store_get(v, c, id, &doc, st);
        if (rc)
            return rc;
        if (!is_ours(v, doc))
            return 1;
        model_map_set(&v->others, k, (void *)(uintptr_t)doc);
    }
    *ret_doc = doc;
    return 0;
}

/* ---- Many ---- */

int model_view_each(struct model_view *v, enum element_id type,
                    const struct store_filter *where,
                    int (*fn)(struct model_view *v, struct model_entry *e, void *ctx,
                              struct status *st),
                    void *ctx, struct status *st) {
    struct arena *a = v->arena;
    struct store_query q = {
        .where = store_and(a, store_eq_text(a, "workspaceId", v->workspace_id), where,
                           live(a), NULL),
        .sort = {{"id", false}},
        .limit = 500,
    };
    struct store_page page;

    do {
        page = (struct store_page){0};
        if (model_store_list(v, element_type(type)->collection, &q, &page, st) < 0)
            return -1;
        for (VALUE_EACH_ITEM(doc, page.items)) {
            struct model_entry *e = model_view_add(v, type, doc);
            if (model_is_live(e->now) && fn(v, e, ctx, st) < 0)
                return -1;
        }
        q.cursor = page.cursor;
    } while (page.cursor);
    return 0;
}

static int collect(struct model_view *v, struct model_entry *e, void *ctx,
                   struct status *st) {
    (void)v, (void)st;
    array_push(ctx, e->now);
    return 0;
}

int model_find_used(struct model_view *v, enum element_id type,
                    const char *integration_id, const char *member,
                    const struct value *value, const struct value **ret_docs,
                    struct status *st) {
    struct arena *a = v->arena;
    struct array_builder found, used;
    const struct store_filter *own =
        integration_id
            ? store_and(a, store_eq_text(a, "integrationId", integration_id),
                        store_eq_text(a, "layer", layer_name(LAYER_INTEGRATION)), NULL)
            : NULL;
    const struct store_filter *upper =
        store_eq_text(a, "layer", layer_name(LAYER_UNIVERSAL));

    array_begin(&found, a, 4);
    array_begin(&used, a, 4);
    if (model_view_each(v, type,
                        store_and(a, store_eq(a, member, value),
                                  own ? store_or(a, own, upper, NULL) : upper, NULL),
                        collect, &found, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(doc, array_end(&found))) {
        const struct value *copy;
        int rc = 1;
        if (integration_id && model_layer(doc) == LAYER_UNIVERSAL)
            rc = model_find_key(v, type, integration_id, value_get_string(doc, "key", ""),
                                false, &copy, st);
        if (rc < 0)
            return -1;
        if (rc == 1)
            array_push(&used, doc);
    }
    *ret_docs = array_end(&used);
    return 0;
}

static int keep(struct model_view *v, struct model_entry *e, void *ctx,
                struct status *st) {
    (void)v, (void)e, (void)ctx, (void)st;
    return 0;
}

int model_view_load_all(struct model_view *v, struct status *st) {
    struct arena *a = v->arena;
    const struct value *words[] = {value_string(a, layer_name(LAYER_UNIVERSAL)),
                                   value_string(a, layer_name(LAYER_INTEGRATION))};
    struct array_builder upper;

    array_begin(&upper, a, 2);
    array_push(&upper, words[0]);
    array_push(&upper, words[1]);
    const struct value *list = array_end(&upper);
    for (int t = 0; t < ELEMENT_COUNT; t++) {
        const struct store_filter *where = store_cmp(a, STORE_IN, "layer", list);
        if (model_view_each(v, t, where, keep, NULL, st) < 0)
            return -1;
    }
    v->complete = true;
    return 0;
}

bool model_same_member(const struct value *x, const struct value *y, const char *key) {
    const struct value *vx = value_get(x, key), *vy = value_get(y, key);

    return vx == vy || value_equal_ordered(vx, vy);
}
