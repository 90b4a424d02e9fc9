/*
 * graph_flow.c - who leads to whom in a flow.
 */
#include "graph/graph_flow.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "locator/locator.h"
#include "locator/text_case.h"
#include "schema/schema.h"
#include "value/value.h"

struct node_type {
    const char *type;
    const char *title;
    bool has_sub_flow;
};

static const struct node_type node_types[] = {
#define NODE_TYPE(type, title, has_sub_flow) {type, title, has_sub_flow},
#include "graph/graph_node_types.def"
};

static const struct node_type *find_type(const struct value *type) {
    for (size_t i = 0; i < sizeof node_types / sizeof *node_types; i++) {
        if (value_equals_text(type, node_types[i].type))
            return &node_types[i];
    }
    return NULL;
}

bool graph_is_node_type(const struct value *type) {
    return find_type(type) != NULL;
}

const struct value *graph_sub_flow_root(const struct value *node) {
    const struct node_type *type = find_type(value_get(node, "type"));
    const struct value *root = value_path(node, "config", "rootNodeKey", NULL);

    if (!type || !type->has_sub_flow || !value_is_string(root) || root->len == 0)
        return &value_undefined;
    return root;
}

/* A link to a name that every object of the reference has ("toString"). */
static bool leads_to_inherited(const struct value *nodes, const struct value *key) {
    return value_is_string(key) && !value_find(nodes, key->str, key->len) &&
           locator_is_inherited_name(key->str, key->len);
}

/* The node of a key. As in the reference, inherited names are nodes without links. */
static const struct value *node_of(const struct value *nodes, const struct value *key) {
    if (leads_to_inherited(nodes, key))
        return &value_empty_object;
    return value_is_string(key) ? value_get_len(nodes, key->str, key->len)
                                : &value_undefined;
}

static bool links_to(const struct value *node, const char *key, size_t len) {
    for (VALUE_EACH_ITEM(link, value_get(node, "links"))) {
        const struct value *target = value_get(link, "key");

        if (value_is_string(target) && target->len == len &&
            memcmp(target->str, key, len) == 0)
            return true;
    }
    return false;
}

static bool sub_flow_begins_at(const struct value *node, const char *key, size_t len) {
    const struct value *root = graph_sub_flow_root(node);

    return value_is_string(root) && root->len == len && memcmp(root->str, key, len) == 0;
}

static const struct value *member_key(struct arena *a, const struct member *m) {
    return value_box(a, value_string_ref(m->key, m->key_len));
}

/* Position of the node a key names; the count of nodes when there is none. */
static size_t position_of(const struct value *nodes, const struct value *key) {
    const struct value *node =
        value_is_string(key) ? value_find(nodes, key->str, key->len) : NULL;

    if (!node || !value_truthy(node))
        return value_members_count(nodes);
    return (size_t)((const struct member *)((const char *)node -
                                            offsetof(struct member, value)) -
                    nodes->members);
}

/* ---- Neighbours ---- */

static void add_children(struct array_builder *b, const struct value *nodes,
                         const struct value *node) {
    for (VALUE_EACH_ITEM(link, value_get(node, "links"))) {
        const struct value *key = value_get(link, "key");

        if (value_truthy(key) && value_truthy(node_of(nodes, key)))
            array_push(b, key);
    }
}

const struct value *graph_root_keys(struct arena *a, const struct value *flow) {
    const struct value *nodes = value_get(flow, "nodes");
    struct object_builder targets;
    const struct value *led_to;
    struct array_builder b;

    object_begin(&targets, a, value_members_count(nodes));
    for (VALUE_EACH_MEMBER(m, nodes)) {
        const struct value *root = graph_sub_flow_root(&m->value);

        for (VALUE_EACH_ITEM(link, value_get(&m->value, "links"))) {
            const struct value *key = value_get(link, "key");

            if (value_is_string(key) && key->len)
                object_set_ref(&targets, key->str, key->len, &value_true);
        }
        if (value_is_string(root))
            object_set_ref(&targets, root->str, root->len, &value_true);
    }
    led_to = object_end(&targets);

    array_begin(&b, a, 4);
    for (VALUE_EACH_MEMBER(m, nodes)) {
        if (!value_find(led_to, m->key, m->key_len))
            array_push(&b, member_key(a, m));
    }
    return array_end(&b);
}

const struct value *graph_child_keys(struct arena *a, const struct value *flow,
                                     const char *key) {
    const struct value *nodes = value_get(flow, "nodes");
    struct array_builder b;

    array_begin(&b, a, 4);
    add_children(&b, nodes, value_get(nodes, key));
    return array_end(&b);
}

const struct value *graph_downstream_keys(struct arena *a, const struct value *flow,
                                          const char *key) {
    const struct value *nodes = value_get(flow, "nodes");
    const struct value *children = graph_child_keys(a, flow, key);
    struct array_builder b;

    array_begin(&b, a, children->len * 2);
    for (VALUE_EACH_ITEM(child, children))
        array_push(&b, child);
    for (VALUE_EACH_ITEM(child, children))
        add_children(&b, nodes, node_of(nodes, child));
    return array_end(&b);
}

static const struct value *parents_of(struct arena *a, const struct value *nodes,
                                      const char *key, size_t len) {
    struct array_builder b;

    array_begin(&b, a, 4);
    for (VALUE_EACH_MEMBER(m, nodes)) {
        if (links_to(&m->value, key, len))
            array_push(&b, member_key(a, m));
    }
    for (VALUE_EACH_MEMBER(m, nodes)) {
        if (sub_flow_begins_at(&m->value, key, len) && !links_to(&m->value, key, len))
            array_push(&b, member_key(a, m));
    }
    return array_end(&b);
}

const struct value *graph_parent_keys(struct arena *a, const struct value *flow,
                                      const char *key) {
    return parents_of(a, value_get(flow, "nodes"), key, strlen(key));
}

/* Parents per node, found when first asked for. */
struct parent_cache {
    const struct value *nodes;
    const struct value **lists; /* by position of the node */
};

static const struct value *cached_parents(struct arena *a, struct parent_cache *cache,
                                          const struct value *key) {
    size_t at = position_of(cache->nodes, key);

    if (at == value_members_count(cache->nodes))
        return parents_of(a, cache->nodes, key->str, key->len);
    if (!cache->lists[at])
        cache->lists[at] = parents_of(a, cache->nodes, key->str, key->len);
    return cache->lists[at];
}

/* The parents of one node on the way up, and which of them comes next. */
struct level {
    const struct value *parents;
    size_t next;
};

int graph_upstream_keys(struct arena *a, const struct value *flow, const char *key,
                        const struct value **ret_keys, struct status *st) {
    struct value start = value_string_ref(key, strlen(key));
    const struct value *nodes = value_get(flow, "nodes"), *at = &start;
    size_t count = value_members_count(nodes), depth = 0;
    struct parent_cache cache = {nodes, arena_zalloc(a, count * sizeof *cache.lists)};
    struct level *levels = arena_alloc(a, (count + 1) * sizeof *levels);
    struct array_builder b;

    array_begin(&b, a, 8);
    for (;;) {
        const struct value *parents = cached_parents(a, &cache, at);

        /* a way up that is longer than there are nodes runs in a circle */
        if (depth > count)
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "The flow has a cycle at node \"%s\"", at->str);
        if (b.len + parents->len > GRAPH_MAX_UPSTREAM)
            return st_fail(st, ST_BAD_REQUEST, NULL, "Too many ways lead to node \"%s\"",
                           key);
        for (VALUE_EACH_ITEM(parent, parents))
            array_push(&b, parent);
        levels[depth++] = (struct level){parents, 0};
        while (depth && levels[depth - 1].next == levels[depth - 1].parents->len)
            depth--;
        if (!depth)
            break;
        at = &levels[depth - 1].parents->items[levels[depth - 1].next++];
    }
    *ret_keys = array_end(&b);
    return 0;
}

/* ---- Cycles ---- */

/*
 * The reference walks every way down from every root and reports a node that it
 * has seen before on that way, where all of a for-each's sub-flow counts as seen
 * once the way leaves the for-each through a link. The same answer without
 * walking every way: a circle among the reached nodes, a sub-flow that shares a
 * node with what lies behind its for-each, or a node that was not reached.
 */
struct cycles {
    const struct value *nodes; /* object */
    size_t count;
    unsigned char *colour; /* 0 new, 1 on the way, 2 done */
    unsigned char *mark;   /* of one for-each: 1 in its sub-flow, 2 behind it */
    struct step *steps;    /* stack of the walk; a node stands in it once */
};

struct step {
    size_t at;   /* position of the node */
    size_t edge; /* next to follow: 0 the sub-flow, then the links */
};

/* Position of the node that an edge leads to, or count; false after the last. */
static bool next_edge(const struct cycles *c, struct step *s, size_t *ret_at) {
    const struct value *node = &c->nodes->members[s->at].value;
    const struct value *links = value_get(node, "links");

    if (s->edge > value_items_count(links))
        return false;
    *ret_at = position_of(c->nodes, s->edge ? value_get(&links->items[s->edge - 1], "key")
                                            : graph_sub_flow_root(node));
    s->edge++;
    return true;
}

/* Walks down from a node; true when it meets a node it came through. */
static bool runs_in_circle(struct cycles *c, size_t from) {
    size_t depth = 0, at;

    if (c->colour[from])
        return false;
    c->colour[from] = 1;
    c->steps[depth++] = (struct step){from, 0};
    while (depth) {
        struct step *top = &c->steps[depth - 1];

        if (!next_edge(c, top, &at)) {
            c->colour[top->at] = 2;
            depth--;
        } else if (at < c->count && c->colour[at] == 1) {
            return true;
        } else if (at < c->count && c->colour[at] == 0) {
            c->colour[at] = 1;
            c->steps[depth++] = (struct step){at, 0};
        }
    }
    return false;
}

/* Sets `bit` on everything reachable; true when a node has another mark. */
static bool spread(struct cycles *c, size_t from, unsigned char bit) {
    size_t depth = 0, at = from;

    for (;;) {
        if (at < c->count && c->mark[at] != bit) {
            if (c->mark[at])
                return true;
            c->mark[at] = bit;
            c->steps[depth++] = (struct step){at, 0};
        }
        while (depth && !next_edge(c, &c->steps[depth - 1], &at))
            depth--;
        if (!depth)
            return false;
    }
}

static bool shares_sub_flow(struct cycles *c, size_t for_each) {
    const struct value *node = &c->nodes->members[for_each].value;
    const struct value *root = graph_sub_flow_root(node);

    if (!value_is_string(root))
        return false;
    memset(c->mark, 0, c->count);
    spread(c, position_of(c->nodes, root), 1);
    for (VALUE_EACH_ITEM(link, value_get(node, "links"))) {
        if (spread(c, position_of(c->nodes, value_get(link, "key")), 2))
            return true;
    }
    return false;
}

/* The reference counts what it reached: such a link makes it one too many. */
static bool reaches_inherited(const struct value *nodes) {
    for (VALUE_EACH_MEMBER(m, nodes))
        for (VALUE_EACH_ITEM(link, value_get(&m->value, "links")))
            if (leads_to_inherited(nodes, value_get(link, "key")))
                return true;
    return false;
}

static bool has_cycles(struct cycles *c, const struct value *roots) {
    for (VALUE_EACH_ITEM(root, roots)) {
        size_t at = position_of(c->nodes, root);

        if (at < c->count && runs_in_circle(c, at))
            return true;
    }
    for (size_t i = 0; i < c->count; i++) {
        if (c->colour[i] == 0 || shares_sub_flow(c, i))
            return true;
    }
    return reaches_inherited(c->nodes);
}

int graph_has_cycles(struct arena *a, const struct value *nodes, bool *ret_has_cycles,
                     struct status *st) {
    struct cycles c = {.nodes = nodes, .count = value_members_count(nodes)};

    if (c.count > GRAPH_MAX_NODES)
        return st_fail(st, ST_BAD_REQUEST, NULL, "A flow can have at most %d nodes",
                       GRAPH_MAX_NODES);
    c.colour = arena_zalloc(a, c.count);
    c.mark = arena_zalloc(a, c.count);
    c.steps = arena_alloc(a, c.count * sizeof *c.steps);
    *ret_has_cycles =
        c.count > 0 &&
        has_cycles(&c, graph_root_keys(a, value_obj(a, "nodes", nodes, NULL)));
    return 0;
}

/* ---- Titles and schemas ---- */

const struct value *graph_node_title(struct arena *a, const struct value *flow,
                                     const char *key) {
    const struct value *node = value_path(flow, "nodes", key, NULL);
    const struct value *title = value_path(node, "ui", "title", NULL);
    const struct node_type *type = find_type(value_get(node, "type"));

    if (!value_truthy(value_get(node, "type")))
        return &value_undefined;
    if (value_is_nullish(title))
        title = value_get(node, "name");
    if (!value_is_nullish(title))
        return title;
    return type ? value_string(a, type->title) : text_header_case(a, key, strlen(key));
}

static const struct value *of_type(struct arena *a, const char *type) {
    return value_obj(a, "type", value_string(a, type), NULL);
}

static const struct value *object_schema(struct arena *a,
                                         const struct value *properties) {
    return value_obj(a, "type", value_string(a, "object"), "properties", properties,
                     NULL);
}

int graph_node_input_schema(struct arena *a, const struct value *flow, const char *key,
                            const struct value **ret_schema, struct status *st) {
    const struct value *nodes = value_get(flow, "nodes");
    const struct value *upstream;
    struct object_builder b;

    if (graph_upstream_keys(a, flow, key, &upstream, st) < 0)
        return -1;
    object_begin(&b, a, upstream->len);
    for (VALUE_EACH_ITEM(up, upstream)) {
        const struct value *node = node_of(nodes, up);
        const struct value *schema = value_get(node, "outputSchema");

        if (!value_truthy(schema))
            continue;
        schema = schema_json_clone(a, schema);
        if (!value_truthy(value_get(schema, "title")))
            schema = schema_with_title(a, schema, value_get(node, "name"));
        object_set_ref(&b, up->str, up->len, schema);
    }
    *ret_schema = object_schema(a, object_end(&b));
    return 0;
}

/* Clients see this with a trailing space, and compare. */
static const struct value *id_schema(struct arena *a) {
    return of_type(a, "string ");
}

static const struct value *instance_schema(struct arena *a, const struct value *args) {
    const struct value *text = of_type(a, "string");
    struct object_builder b;

    object_begin(&b, a, 4);
    object_set(&b, "id", id_schema(a));
    object_set(&b, "instanceKey", text);
    object_set(&b, "flowId", text);
    object_set(&b, "parameters", value_get(args, "parametersSchema"));
    return object_schema(a, object_end(&b));
}

const struct value *graph_config_variables_schema(struct arena *a,
                                                  const struct value *args) {
    return object_schema(a, value_obj(a, "flowInstance", instance_schema(a, args), "user",
                                      value_get(args, "userSchema"), NULL));
}

/* {input, user}: what both kinds of run begin with */
static struct object_builder run_properties(struct arena *a, const struct value *args) {
    struct object_builder b;

    object_begin(&b, a, 6);
    object_set(&b, "input", value_get(args, "inputSchema"));
    object_set(&b, "user", value_get(args, "userSchema"));
    return b;
}

const struct value *graph_run_variables_schema(struct arena *a,
                                               const struct value *args) {
    const struct value *text = of_type(a, "string");
    struct object_builder b = run_properties(a, args);

    object_set(&b, "flowRun", object_schema(a, value_obj(a, "id", id_schema(a), NULL)));
    object_set(&b, "flowInstance", instance_schema(a, args));
    object_set(&b, "connection",
               object_schema(a, value_obj(a, "id", text, "name", text, NULL)));
    object_set(
        &b, "integration",
        object_schema(a, value_obj(a, "id", text, "key", text, "name", text, NULL)));
    return object_schema(a, object_end(&b));
}

const struct value *graph_action_variables_schema(struct arena *a,
                                                  const struct value *args) {
    const struct value *text = of_type(a, "string");
    const struct value *named =
        object_schema(a, value_obj(a, "id", text, "name", text, NULL));
    struct object_builder b = run_properties(a, args);

    object_set(
        &b, "actionInstance",
        object_schema(a, value_obj(a, "id", id_schema(a), "instanceKey", text, NULL)));
    object_set(&b, "connection", named);
    object_set(&b, "integration", named);
    return object_schema(a, object_end(&b));
}
