/*
 * model_import.h - a whole workspace at once: its universal and integration-level
 * elements as one export object, {<element type>: [element, ...]}.
 */
#ifndef MODEL_MODEL_IMPORT_H
#define MODEL_MODEL_IMPORT_H

#include <stdbool.h>

struct arena;
struct caller;
struct deps;
struct model_view;
struct status;
struct value;

/* Most elements of one import. */
enum { MODEL_IMPORT_MAX = 50000 };

struct model_import_options {
    bool dry_run; /* say what would happen, and change nothing */
    bool partial; /* leave alone what the import does not hold; else it is archived */
};

/*
 * Makes the workspace equal to the export object. Elements are matched by type,
 * integration and key; references may be uuids, keys, or ids of the server that the
 * elements come from, as far as the referred one is part of the import or has the same
 * key here. Server-set members are passed over. Everything is checked first: bad_request
 * with data {errors: [{element, path?, message}]} when any element is bad, and nothing
 * was changed. A repetition finishes what a crash left.
 *
 * ret_result: {created, updated, archived, unchanged, dryRun, elements: [{type, key,
 * integrationKey?, id, uuid, change: created|updated|archived|unchanged,
 * fields?: [changed members]}]}
 */
int model_import(const struct deps *deps, struct arena *a, const struct caller *caller,
                 const char *workspace_id, const struct value *export_object,
                 const struct model_import_options *options,
                 const struct value **ret_result, struct status *st);
/* The export object of the workspace, elements in the order of their keys. */
int model_export(struct model_view *v, const struct value **ret_export,
                 struct status *st);

#endif
