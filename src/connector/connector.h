/*
 * connector.h - connectors of a workspace: identity, development tree, published
 * versions.
 *
 * A stored connector is its identity and its development version in one document: auth
 * functions and schemas at the top level, counts, and `contentsKey`, the object that
 * holds what its files say (connector_tree.h). A published version is a document of its
 * own with the same members and never changes. Contents are immutable per key, so parsed
 * ones are shared between threads by key.
 */
#ifndef CONNECTOR_CONNECTOR_H
#define CONNECTOR_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct arena;
struct connector_cache;
struct deps;
struct http_router;
struct status;
struct value;
struct zip_tree;

/* One version of a connector, ready for use. Lends until the arena dies. */
struct connector {
    const struct value *doc; /* identity with the version's members on top */
    const struct value
        *contents;       /* of connector_tree.h; empty groups when it has no files */
    const char *version; /* "dev" or a published number */
};

/* By id, uuid or key in the workspace, also archived ones. 0 found, 1 absent. */
int connector_find(const struct deps *deps, struct arena *a, const char *workspace_id,
                   const char *selector, const struct value **ret_doc, struct status *st);
/*
 * version: NULL or "latest" is the newest published one, else the development version
 * when none was published; "dev"; or a number. bad_request/not_found.
 */
int connector_load(const struct deps *deps, struct arena *a, const char *workspace_id,
                   const char *selector, const char *version, struct connector *ret,
                   struct status *st);

/*
 * The effective auth option (engine.md 4.1): the connector's top level with the option on
 * top, schemas merged, makeApiClient, test and disconnect falling back. key NULL or "":
 * the connector itself. NULL for an unknown key.
 */
const struct value *connector_option(struct arena *a, const struct value *doc,
                                     const char *key);

/* ---- Changing ---- */

/* Makes a connector of {name, key?, uuid?, ...}; -1 bad_request, already_exists. */
int connector_create(const struct deps *deps, struct arena *a, const char *workspace_id,
                     const struct value *body, const struct value **ret_doc,
                     struct status *st);
/* Writes the writable members of body; put also removes those it lacks. */
int connector_update(const struct deps *deps, struct arena *a, const struct value *doc,
                     const struct value *body, bool put, const struct value **ret_doc,
                     struct status *st);
int connector_archive(const struct deps *deps, struct arena *a, const struct value *doc,
                      bool archived, const struct value **ret_doc, struct status *st);
/*
 * Replaces the development tree by an archive. doc NULL: finds the connector by the key
 * or uuid in its spec.yml, or makes one. Nothing changes when the archive has any fault.
 * ret_warnings: array of texts.
 */
int connector_upload(const struct deps *deps, struct arena *a, const char *workspace_id,
                     const struct value *doc, struct bytes archive,
                     const struct value **ret_doc, const struct value **ret_warnings,
                     struct status *st);
/* The archive of a version, as it came; a connector without files gives its spec.yml. */
int connector_download(const struct deps *deps, struct arena *a,
                       const struct connector *c, struct bytes *ret_archive,
                       struct status *st);
/* Freezes the development version as `version` (dotted numbers); already_exists. */
int connector_publish(const struct deps *deps, struct arena *a, const struct value *doc,
                      const char *version, const char *changelog,
                      const struct value **ret_version, struct status *st);

/* ---- Serving ---- */

/* The served Connector: no private members. */
const struct value *connector_render(struct arena *a, const struct value *doc);
/* A function as served in specs: {implementationType, filePath, ...}, without its body.
 */
const struct value *connector_render_method(struct arena *a,
                                            const struct value *function);
/* OperationListItem, OperationSpec, DataCollectionListItem, DataCollectionSpec. */
const struct value *connector_render_operations(struct arena *a,
                                                const struct value *contents);
const struct value *connector_render_operation(struct arena *a,
                                               const struct value *operation);
const struct value *connector_render_collections(struct arena *a,
                                                 const struct value *contents);
const struct value *connector_render_collection(struct arena *a,
                                                const struct value *collection);
/* ConnectorSpec: the older document that collects everything. */
const struct value *connector_render_spec(struct arena *a, const struct connector *c);

/* ---- Process ---- */

/* Parsed contents by key, up to max_bytes; threads share it. */
struct connector_cache *connector_cache_new(size_t max_bytes);
void connector_cache_free(struct connector_cache **c);

void connector_routes(struct http_router *r);
/* `membrane connector validate|pack|upload`. */
int connector_command(int argc, char **argv);

#endif
