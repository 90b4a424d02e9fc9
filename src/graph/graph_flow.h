/*
 * graph_flow.h - the graph of a flow (formulas.md 10.1): {nodes: {key: {type,
 * name, ui, links: [{key}], config}}}.
 *
 * Lists of keys are arrays of text in `a`. Links to nodes that do not exist are
 * ignored. Only type for-each-v2 has a sub-flow; its root is config.rootNodeKey.
 */
#ifndef GRAPH_GRAPH_FLOW_H
#define GRAPH_GRAPH_FLOW_H

#include <stdbool.h>

struct arena;
struct status;
struct value;

/* Nodes that nothing leads to. */
const struct value *graph_root_keys(struct arena *a, const struct value *flow);
/* Targets of the node's links; a sub-flow's root is no child. */
const struct value *graph_child_keys(struct arena *a, const struct value *flow,
                                     const char *key);
/* Children and their children, duplicates kept. */
const struct value *graph_downstream_keys(struct arena *a, const struct value *flow,
                                          const char *key);
/* Nodes that link to it, then those whose sub-flow it begins. */
const struct value *graph_parent_keys(struct arena *a, const struct value *flow,
                                      const char *key);
enum { GRAPH_MAX_UPSTREAM = 100000 };
/*
 * Parents, then what is upstream of each, duplicates kept. -1 bad_request for a
 * cycle, and when there are more than GRAPH_MAX_UPSTREAM ways up.
 */
int graph_upstream_keys(struct arena *a, const struct value *flow, const char *key,
                        const struct value **ret_keys, struct status *st);
enum { GRAPH_MAX_NODES = 5000 };
/*
 * A node that is met again on one way down, one met both in a for-each's sub-flow
 * and behind the for-each, or one that no root leads to. False without nodes. -1
 * bad_request for more than GRAPH_MAX_NODES nodes: the work grows with the square.
 */
int graph_has_cycles(struct arena *a, const struct value *nodes, bool *ret_has_cycles,
                     struct status *st);

/* The root of the node's sub-flow: text, or undefined when it has none. */
const struct value *graph_sub_flow_root(const struct value *node);
bool graph_is_node_type(const struct value *type);
/* ui.title, name, the title of the type, or the key; undefined without a type. */
const struct value *graph_node_title(struct arena *a, const struct value *flow,
                                     const char *key);

/* ---- Schemas of the variables that formulas see ---- */

/* Object schema of the outputs of the upstream nodes. -1 as graph_upstream_keys. */
int graph_node_input_schema(struct arena *a, const struct value *flow, const char *key,
                            const struct value **ret_schema, struct status *st);
/*
 * The three contexts of formulas.md 9. args: {parametersSchema, inputSchema,
 * userSchema}; an absent one leaves its property out.
 */
const struct value *graph_config_variables_schema(struct arena *a,
                                                  const struct value *args);
const struct value *graph_run_variables_schema(struct arena *a, const struct value *args);
const struct value *graph_action_variables_schema(struct arena *a,
                                                  const struct value *args);

#endif
