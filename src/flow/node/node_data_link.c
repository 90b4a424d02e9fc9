/*
 * node_data_link.c - links between records of the app and of the workspace's own:
 * {dataLinkTable: {key | id}, externalRecordId, appRecordId, direction?}.
 */
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "data/data.h"
#include "flow/flow_node.h"
#include "model/model.h"

flow_node_fn node_create_link, node_find_link, node_delete_link;

enum { MAX_ID_BYTES = 2048 };

struct link {
    const struct value *table; /* instance on the connection; NULL: there is none yet */
    const char *external_id, *app_id, *direction; /* or NULL */
};

/* Numbers become their text: apps count their records either way. */
static int read_id(struct flow_node_call *c, const char *member, const char **ret_id,
                   struct status *st) {
    const struct value *v;
    char number[32];

    if (flow_node_build(c, value_get(c->config, member), &v, st) < 0)
        return st_context(st, "%s", member);
    *ret_id = NULL;
    if (value_is_nullish(v))
        return 0;
    if (value_is_number(v)) {
        value_format_number(v->number, number);
        v = value_string(c->arena, number);
    }
    if (!value_is_string(v) || v->len == 0 || v->len > MAX_ID_BYTES ||
        strlen(v->str) != v->len)
        return st_fail(st, ST_BAD_REQUEST, NULL, "%s must be text of 1 to %d bytes",
                       member, MAX_ID_BYTES);
    *ret_id = v->str;
    return 0;
}

static int find_table(struct flow_node_call *c, bool make, const struct value **ret,
                      struct status *st) {
    const struct value *named;
    struct model_view *view;
    struct model_selector sel = {.connection_id =
                                     value_get_string(c->connection, "id", NULL),
                                 .instance_key = flow_node_instance_key(c),
                                 .instance_only = true,
                                 .auto_create = make};

    if (flow_node_build(c, value_get(c->config, "dataLinkTable"), &named, st) < 0)
        return st_context(st, "dataLinkTable");
    sel.parent_key = value_get_string(named, "key", value_text(named));
    if (!sel.parent_key)
        sel.parent_id = value_get_string(named, "id", NULL);
    if (!sel.parent_key && !sel.parent_id)
        return st_fail(st, ST_CONFIGURATION, NULL, "the node names no dataLinkTable");
    if (!sel.connection_id)
        return st_fail(st, ST_CONFIGURATION, NULL, "data links need a connection");
    view = model_view_new(c->deps, c->arena, c->caller, c->caller->workspace_id);
    if (model_resolve(view, EL_DATA_LINK_TABLE, &sel, ret, st) == 0)
        return 0;
    if (make || !st->key || strcmp(st->key, "not_found") != 0)
        return -1;
    st_clear(st);
    *ret = NULL;
    return 0;
}

static int read_link(struct flow_node_call *c, bool make, struct link *l,
                     struct status *st) {
    const struct value *direction;

    if (read_id(c, "externalRecordId", &l->external_id, st) < 0 ||
        read_id(c, "appRecordId", &l->app_id, st) < 0)
        return -1;
    if (flow_node_build(c, value_get(c->config, "direction"), &direction, st) < 0)
        return st_context(st, "direction");
    l->direction = value_text(direction);
    if (!value_is_nullish(direction) &&
        (!l->direction || !data_link_is_direction(l->direction)))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "direction must be import, export or both");
    return find_table(c, make, &l->table, st);
}

static int need_both(const struct link *l, struct status *st) {
    if (l->external_id && l->app_id)
        return 0;
    return st_fail(st, ST_BAD_REQUEST, NULL, "%s has no value",
                   l->external_id ? "appRecordId" : "externalRecordId");
}

int node_create_link(struct flow_node_call *c, struct status *st) {
    const struct value *link;
    struct link l;

    if (read_link(c, true, &l, st) < 0 || need_both(&l, st) < 0 ||
        data_link_create(c->deps, c->arena, l.table, l.external_id, l.app_id,
                         l.direction ? l.direction : "both", &link, st) < 0)
        return -1;
    flow_node_emit(c, data_link_shown(c->arena, link));
    return 0;
}

int node_find_link(struct flow_node_call *c, struct status *st) {
    const struct value *link = &value_undefined;
    struct link l;
    int rc = 1;

    if (read_link(c, false, &l, st) < 0)
        return -1;
    if (!l.external_id && !l.app_id)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "neither externalRecordId nor appRecordId has a value");
    if (l.table)
        rc = data_link_find(c->deps, c->arena, l.table, l.external_id, l.app_id,
                            l.direction, &link, st);
    if (rc < 0)
        return -1;
    flow_node_emit(c, rc == 0 ? data_link_shown(c->arena, link) : &value_undefined);
    return 0;
}

int node_delete_link(struct flow_node_call *c, struct status *st) {
    struct link l;

    if (read_link(c, false, &l, st) < 0 || need_both(&l, st) < 0 ||
        (l.table && data_link_delete(c->deps, c->arena, l.table, l.external_id, l.app_id,
                                     l.direction, st) < 0))
        return -1;
    flow_node_emit(c, &value_undefined);
    return 0;
}
