/*
 * element.h - the table of element types: what all elements share lives in model/ and is
 * driven by a row per type; a type adds its own fields and its hooks.
 *
 * A stored element is one JSON object. Besides the served members it carries private ones
 * that never leave the server: `workspaceId`, `layer` (layer word) and `slot` (the text
 * that makes keys and instances unique, see model_slot()). All layers of one type share a
 * collection.
 */
#ifndef MODEL_ELEMENT_H
#define MODEL_ELEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "store/store.h"

struct arena;
struct model_report;
struct model_view;
struct object_builder;
struct status;
struct value;

enum element_id {
#define ELEMENT(ident, ...) ident,
#include "elements.def"
    ELEMENT_COUNT
};

/* Bits: a type lists the layers it has. */
enum layer {
    LAYER_ANY = 0,
    LAYER_UNIVERSAL = 1,
    LAYER_INTEGRATION = 2,
    LAYER_CONNECTION = 4,
    LAYER_CUSTOMER = 8, /* per customer, without a connection */
};
/* Rows that belong to one customer: "instances" in older words. */
#define LAYER_INSTANCE (LAYER_CONNECTION | LAYER_CUSTOMER)

/* "universal", "integration", "connection", "customer". */
const char *layer_name(enum layer l);
/* LAYER_ANY when unknown. */
enum layer layer_from_name(const char *name);

enum field_kind {
    FIELD_TEXT,
    FIELD_BOOL,
    FIELD_NUMBER,
    FIELD_INTERVAL, /* number of seconds, 60 or more */
    FIELD_ANY,
    FIELD_OBJECT,
    FIELD_ARRAY,
    FIELD_ENUM,    /* one of `words` */
    FIELD_URI,     /* an absolute http(s) address, or "" */
    FIELD_REQUEST, /* {method?, uri, headers?, query?, body?} */
};

enum {
    FIELD_CONFIG = 1,  /* copied from the parent; editing it customises a child */
    FIELD_LOCAL = 2,   /* copied when a child is made, then its own */
    FIELD_EXPORT = 4,  /* part of an export */
    FIELD_SECRET = 8,  /* sealed in the store; served to admins only; never joined */
    FIELD_SERVER = 16, /* not writable by requests, yet copied (with FIELD_CONFIG) and
                          imported (with FIELD_EXPORT) */
};

#define FIELD_CFG (FIELD_CONFIG | FIELD_EXPORT)
#define FIELD_LOC (FIELD_LOCAL | FIELD_EXPORT)
#define FIELD_WORDS(...)                                                                 \
    (const char *const[]) {                                                              \
        __VA_ARGS__, NULL                                                                \
    }

struct element_field {
    const char *name;
    enum field_kind kind;
    unsigned flags;
    const char *const *words; /* FIELD_ENUM: NULL-terminated */
};

/* What a type may do besides get, list, create, put, patch, archive, restore. */
enum {
    EL_SETUP = 1,
    EL_RESET = 2,
    EL_APPLY = 4,
    EL_CLONE = 8,
    EL_EXPORT = 16,
    EL_REFRESH = 32,
    EL_INTEGRATION_SCOPED = 64, /* /integrations/{i}/<plural> */
    EL_CONNECTION_SCOPED = 128, /* /connections/{c}/<plural> */
    EL_INSTANCES = 256,         /* <type>-instance(s) routes */
    EL_INSTANCES_BY_ID = 512,   /* /<type>-instances/{id} with every method */
    EL_NO_ELEMENT = 1024,       /* only the instance form exists (subscriptions) */
    EL_WORKSPACE_EXPORT = 2048, /* part of a workspace export */
    EL_APP_SCHEMA = 4096,       /* .../app-schema */
    EL_SCHEMA = 8192,           /* .../schema */
    EL_LATEST = 16384,          /* .../update-to-latest-flow */
};

/*
 * What a type adds, in its own folder: `const struct element_domain flow_domain`. Any
 * hook may be NULL.
 */
struct element_domain {
    const struct element_field *fields;
    size_t fields_len;
    /*
     * Refuses input that must not be stored (bad_request, data {path}). doc is the
     * whole new element, before it is stored.
     */
    int (*check)(struct arena *a, const struct value *doc, struct status *st);
    /*
     * Sets server-side members of a new or changed element: gives the document to store.
     */
    int (*derive)(struct model_view *v, const struct value *doc,
                  const struct value **ret_doc, struct status *st);
    /* Names what the element depends on and what is wrong with it. */
    int (*inspect)(struct model_view *v, const struct value *doc, struct model_report *r,
                   struct status *st);
    /*
     * Merges a parent that changed into a child; NULL: the common rule (copy FIELD_CONFIG
     * fields and the name unless the child is customised).
     */
    const struct value *(*follow)(struct arena *a, const struct value *parent,
                                  const struct value *child);
    /* Undoes parts of a customisation, as the body of a reset says. */
    const struct value *(*reset)(struct arena *a, const struct value *parent,
                                 const struct value *child, const struct value *what);
    /* Adjusts a child after an edit by a request: flags of customised parts. */
    const struct value *(*customise)(struct arena *a, const struct value *before,
                                     const struct value *after);
    /* A connection works: makes what it shall have, in the view. */
    int (*connected)(struct model_view *v, const struct value *connection,
                     struct status *st);
    /* The document with sealed parts of its fields open, or without them where the view's
     * caller may not see secrets; for exports. FIELD_SECRET fields are no part of it. */
    int (*open)(struct model_view *v, const struct value *doc,
                const struct value **ret_doc, struct status *st);
    /* The member of a flow node's config that names an element of the type; or NULL. */
    const char *unit;
    /* Adds members that are computed whenever it is served, also in joins. */
    int (*serve)(struct model_view *v, const struct value *doc,
                 struct object_builder *out, struct status *st);
    /* The same, but only where the element itself is asked for; flags of model_render. */
    int (*render)(struct model_view *v, const struct value *doc,
                  struct object_builder *out, unsigned flags, struct status *st);
};

struct element_type {
    enum element_id id;
    const char *name;   /* "data-source": elementType in references, singular path */
    const char *plural; /* "data-sources": path name */
    const char *title;  /* "Data Source": in messages */
    enum collection collection;
    unsigned layers;
    unsigned can; /* EL_ bits */
    /* Members that hold the nearest parent's and the universal ancestor's id; or NULL. */
    const char *parent_field, *universal_field;
    /* Members that hold their revisions at copy time; or NULL. */
    const char *parent_revision_field, *universal_revision_field;
    const char *parent_join; /* served member with the parent; or NULL */
    const char
        *parent_key_query; /* "flowKey": query field that names the parent; or NULL */
    enum element_id parent_type; /* of the parent: its own but for subscriptions */
    const struct element_domain *domain;
};

const struct element_type *element_type(enum element_id id);
/* Also the instance words ("flow-instance"). NULL when unknown. */
const struct element_type *element_type_from_name(const char *name);
/* By path name, "data-sources". NULL when unknown. */
const struct element_type *element_type_from_plural(const char *plural);
/* NULL when the type has no such field. */
const struct element_field *element_field(const struct element_type *t, const char *name);

#endif
