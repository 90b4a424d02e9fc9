/*
 * model_commit.c - writes what a view changed, and says when somebody was faster.
 *
 * Only single documents are atomic, so the order is chosen to make a repetition harmless:
 * changed rows first (an archived row frees its key), then new rows, then the edges that
 * lead from elements to what they name. A crash in between leaves rows that the next
 * set-up of the element completes.
 */
#include "model_priv.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"

static bool is_changed(const struct model_entry *e) {
    return e->stored && e->stored != e->now && !value_equal_ordered(e->stored, e->now);
}

/* The store names an index; people want to read what is taken. */
static int explain_taken(const struct model_entry *e, struct status *st) {
    const struct element_type *t = element_type(e->type);
    const char *index = value_get_string(st->data, "index", "");
    bool is_uuid = strstr(index, "uuid") != NULL;
    const char *name = is_uuid ? "uuid" : "key";
    const char *text = value_get_string(e->now, name, "");

    if (!st->key || strcmp(st->key, "already_exists") != 0)
        return -1;
    st_clear(st);
    return st_fail_data(st, ST_BAD_REQUEST, "already_exists",
                        value_obj(st->arena, "path", value_string(st->arena, name), NULL),
                        "%s with %s \"%s\" already exists", t->title, name, text);
}

static const struct store_filter *unchanged(struct arena *a, const struct value *stored) {
    return store_and(a, store_eq(a, "revision", value_get(stored, "revision")),
                     store_eq(a, "updatedAt", value_get(stored, "updatedAt")), NULL);
}

/* The changed rows of a type that are archived now, or the others. */
static int replace_type(struct model_view *v, enum element_id type, bool archived,
                        struct status *st) {
    struct arena *a = v->arena;
    struct model_entry *one = NULL;
    struct array_builder docs;
    size_t n = 0, cap = 0;

    for (struct model_entry *e = v->all; e; e = e->next)
        cap += e->type == type && is_changed(e) && model_is_live(e->now) != archived;
    if (cap == 0)
        return 0;
    const struct store_filter **expects =
        arena_alloc(a, cap * sizeof(struct store_filter *));
    array_begin(&docs, a, cap);
    for (struct model_entry *e = v->all; e; e = e->next)
        if (e->type == type && is_changed(e) && model_is_live(e->now) != archived) {
            array_push(&docs, e->now);
            expects[n++] = unchanged(a, e->stored);
            one = e;
        }
    int rc = store_replace_many(v->deps->store, element_type(type)->collection,
                                docs.items, expects, n, st);
    if (rc < 0)
        return n == 1 ? explain_taken(one, st) : -1;
    return rc == 0 ? 0
                   : st_fail(st, ST_CONCURRENCY, "conflict",
                             "%s was changed by somebody else at the same time",
                             element_type(type)->title);
}

static int write_changed(struct model_view *v, struct status *st) {
    for (int archived = 1; archived >= 0; archived--)
        for (int t = 0; t < ELEMENT_COUNT; t++)
            if (replace_type(v, t, archived, st) < 0)
                return -1;
    return 0;
}

static int insert_type(struct model_view *v, enum element_id type, struct status *st) {
    enum collection c = element_type(type)->collection;
    struct array_builder docs;
    struct model_entry *one = NULL;
    bool is_implied = false;
    int rc;

    array_begin(&docs, v->arena, 8);
    for (struct model_entry *e = v->all; e; e = e->next)
        if (e->type == type && !e->stored) {
            array_push(&docs, e->now);
            is_implied |= e->is_implied;
            one = e;
        }
    if (!one)
        return 0;
    rc = docs.len == 1 ? store_insert(v->deps->store, c, one->now, st)
                       : store_insert_many(v->deps->store, c, array_end(&docs), st);
    if (rc == 0)
        return 0;
    if (!is_implied || !st->key || strcmp(st->key, "already_exists") != 0)
        return docs.len == 1 ? explain_taken(one, st) : -1;
    /* Another request needed the same at the same time: with it the operation goes on. */
    st_clear(st);
    return st_fail(st, ST_CONCURRENCY, "conflict",
                   "%s was made by somebody else at the same time",
                   element_type(type)->title);
}

/* ---- Edges ---- */

static void add_edges(struct model_view *v, const struct model_entry *e,
                      struct array_builder *edges) {
    struct arena *a = v->arena;

    for (VALUE_EACH_ITEM(ref, value_get(e->now, "refs")))
        array_push(edges,
                   value_obj(a, "id",
                             value_string(a, id_new(v->deps->clock, v->deps->rand, a)),
                             "workspaceId", value_string(a, v->workspace_id), "to", ref,
                             "fromType", value_string(a, element_type(e->type)->name),
                             "from", value_string(a, e->id), NULL));
}

static int write_edges(struct model_view *v, struct status *st) {
    struct array_builder edges;

    array_begin(&edges, v->arena, 8);
    for (struct model_entry *e = v->all; e; e = e->next) {
        if (e->stored && model_same_member(e->stored, e->now, "refs"))
            continue;
        if (e->stored && value_has(e->stored, "refs") &&
            store_delete_many(v->deps->store, C_DEPENDENCIES,
                              store_eq_text(v->arena, "from", e->id), NULL, st) < 0)
            return -1;
        add_edges(v, e, &edges);
    }
    return edges.len
               ? store_insert_many(v->deps->store, C_DEPENDENCIES, array_end(&edges), st)
               : 0;
}

/* What was written is what is stored now. */
static void forget_changes(struct model_view *v) {
    for (struct model_entry *e = v->all; e; e = e->next)
        e->stored = e->now;
}

int model_commit(struct model_view *v, struct status *st) {
    v->committed = true;
    if (model_settle(v, st) < 0 || write_changed(v, st) < 0)
        return -1;
    for (int t = 0; t < ELEMENT_COUNT; t++)
        if (insert_type(v, t, st) < 0)
            return -1;
    if (write_edges(v, st) < 0 || model_checkpoint_write(v, st) < 0)
        return -1;
    forget_changes(v);
    return 0;
}

int model_transact(const struct deps *deps, struct arena *a, const struct caller *caller,
                   const char *workspace_id,
                   int (*fn)(struct model_view *v, void *ctx, struct status *st),
                   void *ctx, struct status *st) {
    for (int i = 0; i < MODEL_MAX_TRIES; i++) {
        struct model_view *v = model_view_new(deps, a, caller, workspace_id);
        if (fn(v, ctx, st) < 0)
            return -1;
        if (model_commit(v, st) == 0)
            return 0;
        if (st->type != ST_CONCURRENCY)
            return -1;
        st_clear(st);
    }
    return st_fail(st, ST_CONCURRENCY, "conflict",
                   "the element is being changed by many others at once; try again");
}
