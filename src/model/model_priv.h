/*
 * model_priv.h - shared by the files of model/: what a view holds.
 */
#ifndef MODEL_MODEL_PRIV_H
#define MODEL_MODEL_PRIV_H

#include "deps/deps.h"
#include "model/model.h"
#include "model/model_map.h"
#include "value/value.h"

/* One element that a view knows: as stored, and as it shall be. */
struct model_entry {
    enum element_id type;
    const char *id;
    const struct value *stored; /* NULL: new */
    const struct value *now;    /* never NULL */
    bool evaluated;             /* by the present settling */
    bool pinned;     /* an import says what it is: does not follow its parent */
    bool is_implied; /* new, because another element needs it */
    bool in_queue;
    struct model_entry *next;   /* in `all` */
    struct model_entry *queued; /* in a settle queue */
};

/* How often an operation is repeated when others change the same elements. */
#define MODEL_MAX_TRIES 8

/* Settling goes through types in order of dependence, in each from the top layer down. */
#define MODEL_RANKS (ELEMENT_COUNT * 3)

struct model_view {
    const struct deps *deps;
    struct arena *arena;
    const struct caller *caller;
    const char *workspace_id;
    struct model_map by_id;   /* "<type>/<id>" -> entry */
    struct model_map by_slot; /* "<type>/<slot>" -> entry, live only */
    struct model_map others;  /* "<collection>/<id>" -> document */
    struct model_entry *all, **all_tail;
    const struct value
        *connections; /* live ones of the caller's customer; NULL: not read */
    uint64_t read;    /* bits of the collections that were read */
    bool committed;   /* it has written, or tried to */
    bool complete; /* every live universal and integration-level element is in the view */
    struct model_entry *queue[MODEL_RANKS];
};

struct model_report {
    struct model_view *view;
    const struct element_type *type;
    const struct value *doc;
    struct array_builder errors, dependencies, refs;
    bool deactivated;
    struct object_builder members; /* to set */
};

/* Text of members. */
static inline const char *doc_text(const struct value *doc, const char *key) {
    return value_get_string(doc, key, NULL);
}
static inline const char *doc_id(const struct value *doc) {
    return value_get_string(doc, "id", "");
}

static inline void model_view_reads(struct model_view *v, enum collection c) {
    v->read |= (uint64_t)1 << c;
}

/* All reading of a view goes through these: an answer's cache must know what was read. */
static inline int model_store_get(struct model_view *v, enum collection c, const char *id,
                                  const struct value **ret_doc, struct status *st) {
    model_view_reads(v, c);
    return store_get(v->deps->store, v->arena, c, id, ret_doc, st);
}
static inline int model_store_find(struct model_view *v, enum collection c,
                                   const struct store_query *q,
                                   const struct value **ret_doc, struct status *st) {
    model_view_reads(v, c);
    return store_find(v->deps->store, v->arena, c, q, ret_doc, st);
}
static inline int model_store_list(struct model_view *v, enum collection c,
                                   const struct store_query *q,
                                   struct store_page *ret_page, struct status *st) {
    model_view_reads(v, c);
    return store_list(v->deps->store, v->arena, c, q, ret_page, st);
}

/* The entry of a document that the view gave. */
struct model_entry *model_entry_of(struct model_view *v, enum element_id type,
                                   const char *id);
/* Takes a stored document into the view, unless it knows it already. */
struct model_entry *model_view_add(struct model_view *v, enum element_id type,
                                   const struct value *stored);
/* Sets what a document shall be; a new one when the id is unknown. */
struct model_entry *model_view_put(struct model_view *v, enum element_id type,
                                   const struct value *doc);
/* All live elements of the universal and integration layers, into the view. */
int model_view_load_all(struct model_view *v, struct status *st);
/*
 * Stored documents that match `where` and belong to the workspace, as the view sees them,
 * live ones only; fn gives -1 to stop.
 */
int model_view_each(struct model_view *v, enum element_id type,
                    const struct store_filter *where,
                    int (*fn)(struct model_view *v, struct model_entry *e, void *ctx,
                              struct status *st),
                    void *ctx, struct status *st);

/* The text that is unique among live elements of a type in a workspace; NULL: none. */
const char *model_slot(struct arena *a, const struct element_type *t,
                       const struct value *doc);
const char *model_instance_slot(struct arena *a, enum layer layer, const char *owner_id,
                                const char *parent, const char *instance_key);

/* Marks for evaluation at the next settling; what follows from it is found there. */
void model_queue(struct model_view *v, struct model_entry *e);
/* The member of a child that holds its nearest parent's id (NULL: it has none), and the
 * one with that parent's revision at copy time. */
const char *model_parent_member(const struct element_type *t, enum layer layer);
const char *model_parent_revision_member(const struct element_type *t, enum layer layer);
/* Points a child at its parent: ids and revisions. */
void model_link_parent(struct object_builder *child, const struct element_type *t,
                       enum layer layer, const struct value *parent);
/* What the child becomes when it takes over from its parent. */
const struct value *model_follow(struct model_view *v, const struct element_type *t,
                                 const struct value *parent, const struct value *child);
/* Brings states, errors, children and dependants up to date, in the view. */
int model_settle(struct model_view *v, struct status *st);

/* Makes what an instance needs on its connection (model_needs.c). */
int model_make_needed(struct model_view *v, const struct element_type *t,
                      const struct value *doc, struct status *st);

/*
 * model_checkpoint.c: ret_doc is e->now with the number of its new snapshot, when what a
 * client may write has changed; and the writing of the snapshots that were counted.
 */
int model_checkpoint_count(struct model_view *v, const struct model_entry *e,
                           const struct value **ret_doc, struct status *st);
int model_checkpoint_write(struct model_view *v, struct status *st);

/* Checks a document, adds server-side members and slot, puts and queues it. */
int model_finish(struct model_view *v, const struct element_type *t,
                 const struct value *doc, const struct value **ret_doc,
                 struct status *st);

/* model_input.c: the writable members of a body. */
enum { MODEL_INPUT_IMPORT = 1 }; /* also FIELD_SERVER fields that travel in exports */
/*
 * An object of the writable members that the body has, checked by kind; null becomes
 * undefined (remove). bad_request with data {path} otherwise.
 */
int model_input_fields(struct arena *a, const struct element_type *t,
                       const struct value *body, unsigned flags,
                       const struct value **ret_fields, struct status *st);
/* "Get contact!" -> "get-contact"; never empty. */
const char *model_key_from_name(struct arena *a, const char *name);
/* bad_request with data {path}. */
int model_bad_input(struct status *st, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Members of a value compare equal; absent equals undefined. */
bool model_same_member(const struct value *x, const struct value *y, const char *key);

#endif
