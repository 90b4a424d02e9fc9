/*
 * model_needs.c - what an instance needs on its connection: data sources and field
 * mappings of its own.
 *
 * They are made when the instance is made and when it is set up, not while states are
 * settled: settling goes once through the types in order of dependence and would come too
 * late for them. What they need in turn is made with them; an element depends only on
 * types before its own, so this ends.
 */
#include "model_priv.h"

#include <string.h>

#include "base/arena.h"

/* The dependencies that the domain names; its complaints come again at the settling. */
static int find_needs(struct model_view *v, const struct element_type *t,
                      const struct value *doc, const struct value **ret_list,
                      struct status *st) {
    struct model_report r = {.view = v, .type = t, .doc = doc};

    array_begin(&r.errors, v->arena, 0);
    array_begin(&r.dependencies, v->arena, 0);
    array_begin(&r.refs, v->arena, 0);
    object_begin(&r.members, v->arena, 0);
    if (t->domain->inspect && t->domain->inspect(v, doc, &r, st) < 0)
        return -1;
    *ret_list = array_end(&r.dependencies);
    return 0;
}

/* The element that an instance is to be made of: found itself, or the parent of the
 * default instance that was found in its place. 1: none that lives. */
static int base_of(struct model_view *v, const struct element_type *t,
                   const struct value *found, const struct value **ret_base,
                   struct status *st) {
    const char *member = model_parent_member(t, LAYER_CONNECTION);
    const char *parent = member ? doc_text(found, member) : NULL;
    int rc = 0;

    *ret_base = found;
    if (model_layer(found) == LAYER_CONNECTION)
        rc = parent ? model_get(v, t->id, parent, ret_base, st) : 1;
    return rc == 0 && !model_is_live(*ret_base) ? 1 : rc;
}

static int make_one(struct model_view *v, const struct element_type *t,
                    const struct value *found, struct model_scope *scope,
                    struct status *st) {
    const struct value *doc;
    int rc = base_of(v, t, found, &scope->parent, st);

    if (rc)
        return rc < 0 ? -1 : 0;
    rc = model_find_instance(v, t->id, doc_id(scope->parent), doc_id(scope->connection),
                             scope->instance_key, &doc, st);
    if (rc != 1)
        return rc;
    if (model_create(v, t->id, scope, &value_empty_object, &doc, st) < 0)
        return -1;
    model_entry_of(v, t->id, doc_id(doc))->is_implied = true;
    return 0;
}

int model_make_needed(struct model_view *v, const struct element_type *t,
                      const struct value *doc, struct status *st) {
    struct model_scope scope = {.instance_key = doc_text(doc, "instanceKey")};
    const char *connection = doc_text(doc, "connectionId");
    const struct value *list, *found;
    int rc;

    if (model_layer(doc) != LAYER_CONNECTION || !connection)
        return 0;
    rc = model_get_other(v, C_CONNECTIONS, connection, &scope.connection, st);
    if (rc || !model_is_live(scope.connection))
        return rc < 0 ? -1 : 0;
    if (find_needs(v, t, doc, &list, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(need, list)) {
        const struct element_type *needed =
            element_type_from_name(value_get_string(need, "type", ""));
        if (!needed || !needed->domain->unit)
            continue;
        rc = model_get(v, needed->id, doc_id(need), &found, st);
        if (rc < 0 || (rc == 0 && make_one(v, needed, found, &scope, st) < 0))
            return -1;
    }
    return 0;
}
