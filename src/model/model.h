/*
 * model.h - elements: find, create, change, archive, set up; for every type of
 * elements.def and every layer.
 *
 * All work goes through a view: one operation's picture of one workspace. It reads
 * through to the store, keeps what it read, and collects changes; model_commit() settles
 * what follows from them (children that follow a parent, states and errors of dependants)
 * and writes. A view belongs to one thread and one arena. Nothing of another workspace
 * can be reached through a view.
 *
 * Documents are stored ones, with private members; model_render() gives what is served.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "model/element.h"

struct caller;
struct deps;
struct model_view;
struct object_builder;

/*
 * caller NULL: the server itself, which may see and do everything in the workspace.
 * Lends until the arena dies. workspace_id is borrowed as long.
 */
struct model_view *model_view_new(const struct deps *deps, struct arena *a,
                                  const struct caller *caller, const char *workspace_id);
struct arena *model_view_arena(const struct model_view *v);
const struct deps *model_view_deps(const struct model_view *v);
const struct caller *model_view_caller(const struct model_view *v);
const char *model_view_workspace_id(const struct model_view *v);
/* Hooks that read the store past the view say so: answers are cached as long as what they
 * were made of stays the same. */
void model_view_note_read(struct model_view *v, enum collection c);

/* ---- Reading ---- */

/* The layer a document is in. */
enum layer model_layer(const struct value *doc);
bool model_is_live(const struct value *doc); /* not archived */
/* Live, not deactivated, READY: what depends on it may work. */
bool model_is_available(const struct value *doc);

/* By id, in any layer, archived or not. 0 found, 1 absent. Not confined to the customer.
 */
int model_get(struct model_view *v, enum element_id type, const char *id,
              const struct value **ret_doc, struct status *st);
/*
 * By key: integration_id NULL looks among universal elements, else among those of that
 * integration. A live one wins; with archived_too the newest archived one is the second
 * choice. 0 found, 1 absent.
 */
int model_find_key(struct model_view *v, enum element_id type, const char *integration_id,
                   const char *key, bool archived_too, const struct value **ret_doc,
                   struct status *st);
/* By uuid, live first. 0 found, 1 absent. */
int model_find_uuid(struct model_view *v, enum element_id type, const char *uuid,
                    const struct value **ret_doc, struct status *st);
/*
 * The elements with member = value that a connection of the integration uses: those of
 * the integration, and universal ones that it has no own copy of. Gives an array.
 */
int model_find_used(struct model_view *v, enum element_id type,
                    const char *integration_id, const char *member,
                    const struct value *value, const struct value **ret_docs,
                    struct status *st);
/* The live instance of a parent: connection_id or customer_id is the owner. 0, 1. */
int model_find_instance(struct model_view *v, enum element_id type, const char *parent_id,
                        const char *owner_id, const char *instance_key,
                        const struct value **ret_doc, struct status *st);
/* A document of a collection that is not an element (connections, customers). 0, 1. */
int model_get_other(struct model_view *v, enum collection c, const char *id,
                    const struct value **ret_doc, struct status *st);

/* ---- Selecting ---- */

/* What a request names. All texts may be NULL. */
struct model_selector {
    const char *text; /* id, key, or integrationKey.key */
    const char *id, *key, *uuid;
    const char *integration_id, *integration_key;
    const char *integration; /* id or key: of /integrations/{..} */
    const char *connection_id, *connection_key;
    const char *connection; /* id, key or integration key: of /connections/{..} */
    const char *instance_key;
    const char *parent_id, *parent_key;
    const char *udm;                           /* data sources: of that unified model */
    const char *flow_id, *flow_key, *node_key; /* what a node of a flow names */
    const char *user_id; /* customer id or internal id; only admins may name one */
    enum layer layer;    /* LAYER_ANY: as the other fields say */
    bool instance_only;  /* only rows of a connection or customer will do */
    bool auto_create;    /* make the instance when it is missing */
    bool auto_update;    /* and take over the parent's newest definition */
    bool fall_back;      /* no row of the named integration: the universal one will do */
};

/*
 * Finds the element that the selector names, with the rules of api.md 5.2 to 5.4.
 * bad_request/not_found when there is none, bad_request when a key names several.
 * Customers reach instances of their own only. An instance made here is committed.
 */
int model_resolve(struct model_view *v, enum element_id type,
                  const struct model_selector *s, const struct value **ret_doc,
                  struct status *st);
/* The integration named by id or key; bad_request/not_found. */
int model_resolve_integration(struct model_view *v, const char *id_or_key,
                              const struct value **ret_doc, struct status *st);
/*
 * The connection that the selector's connection and integration parts name: by id, by
 * key, or the customer's default (oldest live) connection of the integration.
 * bad_request/not_found when there is none; 1 when the selector names nothing.
 */
int model_resolve_connection(struct model_view *v, const struct model_selector *s,
                             const struct value **ret_doc, struct status *st);
/* The customer that instances belong to: the caller's own, or the one `user_id` names. */
int model_resolve_customer(struct model_view *v, const char *user_id, const char **ret_id,
                           struct status *st);

/* ---- Changing ---- */

/* Where a new element goes. */
struct model_scope {
    const struct value *integration; /* document; or NULL */
    const struct value *connection;  /* document; or NULL */
    const char *customer_id;         /* LAYER_CUSTOMER; or NULL */
    const struct value *parent;      /* document whose copy it starts as; or NULL */
    const char *instance_key;
};

/*
 * Makes an element of the body's writable fields; references in the body (integrationKey,
 * parentUuid, ...) fill what the scope leaves open. Not yet written: model_commit().
 */
int model_create(struct model_view *v, enum element_id type,
                 const struct model_scope *scope, const struct value *body,
                 const struct value **ret_doc, struct status *st);
enum model_update_mode { MODEL_PATCH, MODEL_PUT };
/*
 * PUT also removes configuration fields that the body lacks, except on instances. A
 * change of configuration marks a child as customised.
 */
int model_update(struct model_view *v, enum element_id type, const struct value *doc,
                 const struct value *body, enum model_update_mode mode,
                 const struct value **ret_doc, struct status *st);
int model_archive(struct model_view *v, enum element_id type, const struct value *doc,
                  const struct value **ret_doc, struct status *st);
int model_restore(struct model_view *v, enum element_id type, const struct value *doc,
                  const struct value **ret_doc, struct status *st);
/* Takes over what the parent has where the element is not customised, and re-evaluates.
 */
int model_setup(struct model_view *v, enum element_id type, const struct value *doc,
                const struct value **ret_doc, struct status *st);
/* Drops customisations; `what` is the body of a flow instance's reset, or undefined. */
int model_reset(struct model_view *v, enum element_id type, const struct value *doc,
                const struct value *what, const struct value **ret_doc,
                struct status *st);
/* The integration-level copy of a universal element: the one there is, or a new one. */
int model_apply(struct model_view *v, enum element_id type, const struct value *doc,
                const struct value *integration, const struct value **ret_doc,
                struct status *st);
int model_clone(struct model_view *v, enum element_id type, const struct value *doc,
                const struct value *body, const struct value **ret_doc,
                struct status *st);
/* Puts server-made members into an element; path names are members. undefined removes. */
int model_set(struct model_view *v, enum element_id type, const struct value *doc,
              const struct value *members, const struct value **ret_doc,
              struct status *st);

/*
 * Settles and writes everything changed in the view. Documents got before are stale
 * afterwards: read again with model_get(). concurrency/conflict when somebody else
 * changed one of the documents meanwhile (nothing was written of it): repeat the
 * operation with a new view. bad_request/already_exists for a key that is taken.
 */
int model_commit(struct model_view *v, struct status *st);

/*
 * Runs an operation with a fresh view, commits, and repeats both when another writer was
 * faster. Both fn and commit see the same status.
 */
int model_transact(const struct deps *deps, struct arena *a, const struct caller *caller,
                   const char *workspace_id,
                   int (*fn)(struct model_view *v, void *ctx, struct status *st),
                   void *ctx, struct status *st);

/*
 * Something outside the model changed: elements that depend on it are evaluated again at
 * the next commit. For connections (created, connected, disconnected, archived, restored)
 * and connectors (uploaded, published, removed).
 */
int model_connection_changed(struct model_view *v, const char *connection_id,
                             struct status *st);
int model_connector_changed(struct model_view *v, const struct value *connector,
                            struct status *st);

/* ---- Evaluating: for `inspect` hooks ---- */

/* A configuration error of the element: {type, key?, message, data?}. */
void model_report_error(struct model_report *r, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * The element uses another one, by id or by key in its own scope (connection, then
 * integration, then universal). Records the dependency; adds a dependency_error when the
 * other is missing or not available. ret_doc (may be NULL): the other one, or NULL when
 * there is none.
 */
int model_report_depends(struct model_report *r, enum element_id type, const char *id,
                         const char *key, const struct value **ret_doc,
                         struct status *st);
/* How many errors there are so far, and those from the nth on, as an array: for parts of
 * an element that carry their own. */
size_t model_report_errors(const struct model_report *r);
const struct value *model_report_errors_from(const struct model_report *r, size_t n);
/* Sets a server-side member of the element; undefined removes it. */
void model_report_set(struct model_report *r, const char *member, const struct value *v);

/* ---- Serving ---- */

enum {
    MODEL_RENDER_JOINS = 1,   /* integration, connection, user, parent */
    MODEL_RENDER_DETAILS = 2, /* appliedToIntegrations and the like: single reads */
};
int model_render(struct model_view *v, enum element_id type, const struct value *doc,
                 unsigned flags, const struct value **ret_out, struct status *st);
/*
 * For the integration's `render`: adds `connection`, the default connection that the
 * caller's customer has of the integration, when there is one.
 */
int model_render_connection(struct model_view *v, const char *integration_id,
                            struct object_builder *out, struct status *st);
/* The portable form: export fields, references as ...Uuid. */
int model_export_element(struct model_view *v, enum element_id type,
                         const struct value *doc, const struct value **ret_out,
                         struct status *st);

#endif
