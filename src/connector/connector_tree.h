/*
 * connector_tree.h - a connector's files and what they say (engine.md 4.3).
 */
#ifndef CONNECTOR_CONNECTOR_TREE_H
#define CONNECTOR_CONNECTOR_TREE_H

struct arena;
struct status;
struct value;
struct zip_tree;

struct connector_tree {
    /* What belongs to the connector itself: key, name, logoUri, categories, type,
       schemas, auth functions, options {key: {...}}. Only fields that the files give. */
    const struct value *identity;
    /*
     * What a version contains:
     * {api: {type, baseUri?}, operations: {key: {key, name, description?, inputSchema?,
     *  outputSchema?, tags?, isReadOnly?, methods: {run: function}}},
     *  data: {key: {key, name, ...spec, methods: {list: function ...}, events?}},
     *  events: {key: {...}}, globalWebhooks: {key: {...}}, udm: {...}, hasReadme}
     * A function is {type, mapping | code, filePath, inheritedFromPath?}.
     */
    const struct value *contents;
    const struct value *warnings; /* array of texts: files that were left out, and why */
};

/*
 * Reads a tree. -1 bad_request naming the file (with line and column where there is one).
 * Mixins (data/_name) are resolved into the collections that extend them; a cycle is an
 * error.
 */
int connector_tree_parse(struct arena *a, const struct zip_tree *files,
                         struct connector_tree *ret_tree, struct status *st);

#endif
