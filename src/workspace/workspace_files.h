/*
 * workspace_files.h - a workspace's elements as files: <path name>/<key>/spec.yaml, below
 * integrations/<integration key>/ for an integration's own ones; and back.
 */
#ifndef WORKSPACE_WORKSPACE_FILES_H
#define WORKSPACE_WORKSPACE_FILES_H

struct arena;
struct status;
struct value;
struct zip_tree;

/*
 * Reads the spec.yaml files of a tree into an export object; other files are passed over.
 * Each element gets the key and integrationKey of its path where the file names none.
 * -1 bad_request with file, line and column for broken YAML.
 */
int workspace_files_read(struct arena *a, const struct zip_tree *tree,
                         const struct value **ret_export, struct status *st);
/* The files of an export object, sorted by path. */
int workspace_files_write(struct arena *a, const struct value *export_object,
                          struct zip_tree *ret_tree, struct status *st);

#endif
