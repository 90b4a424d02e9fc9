/*
 * element_path.h - the file of an element in an exported workspace, and back
 * (formulas.md 10.2): "actions/KEY/spec.yaml", below an integration
 * "integrations/INTEGRATION/actions/KEY/spec.yaml".
 */
#ifndef GRAPH_ELEMENT_PATH_H
#define GRAPH_ELEMENT_PATH_H

struct arena;
struct status;
struct value;

/* Keys may be any value; a falsy integration means none. -1 bad_request for an
 * unknown type. */
int element_path_make(struct arena *a, const struct value *type, const struct value *key,
                      const struct value *integration, const struct value **ret_path,
                      struct status *st);
/* {type, key, integrationKey?}, or undefined for any other path. Backslashes
 * separate, too. */
const struct value *element_path_parse(struct arena *a, const struct value *path);
/* "type:key" or "type:key:integration" */
const struct value *element_selector(struct arena *a, const struct value *type,
                                     const struct value *key,
                                     const struct value *integration);

#endif
