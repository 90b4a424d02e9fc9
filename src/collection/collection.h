/*
 * collection.h - the data collections of a connector, on one connection (engine.md 8, 9).
 *
 * A collection is opened on a session: its specification is made there, functions of the
 * connector included, and its parameters are checked. Methods the connector lacks are
 * made of others where that is safe. Everything lives in the session's arena.
 */
#ifndef COLLECTION_COLLECTION_H
#define COLLECTION_COLLECTION_H

#include "value/value.h"

struct arena;
struct connection_session;
struct http_router;
struct status;

struct data_collection {
    struct connection_session *session; /* borrowed */
    const struct value *definition;     /* of the connector: methods and fields */
    const struct value *spec;           /* as served: DataCollectionSpec */
    const struct value *parameters;     /* checked; object */
    const char *key;
    const char *udm; /* the unified model that records show; NULL: none */
};

enum collection_method {
    COLLECTION_LIST,
    COLLECTION_SEARCH,
    COLLECTION_MATCH,
    COLLECTION_FIND_BY_ID,
    COLLECTION_CREATE,
    COLLECTION_UPDATE,
    COLLECTION_DELETE,
    COLLECTION_FIND, /* deprecated */
    COLLECTION_METHODS,
};
/* Of a route's segment ("find-by-id"). -1 when unknown. */
int collection_method_from_path(const char *segment);

/*
 * What a data source's configuration points to: {key, parameters?}. config:
 * {collectionKey, collectionParameters, path, udm}; contents: of the connector. -1
 * configuration when it points to nothing, bad_request for an unknown unified model.
 */
int collection_locate(struct arena *a, const struct value *contents,
                      const struct value *config, const struct value **ret_pointer,
                      struct status *st);
/*
 * Opens the collection. udm: the unified model wanted, or NULL for the one that the
 * connector maps the collection to. -1 bad_request/not_found for an unknown key,
 * bad_request for wrong parameters, or the failure of the connector's function.
 */
int collection_open(struct connection_session *s, const char *key,
                    const struct value *parameters, const char *udm,
                    struct data_collection *ret, struct status *st);
/*
 * Runs a method; request and answer are the bodies of api.md 6.7. -1 bad_request for a
 * wrong request or a method that is not there and can't be made of others,
 * bad_request/not_found when find-by-id finds nothing.
 */
int collection_run(struct data_collection *c, enum collection_method method,
                   const struct value *request, const struct value **ret_answer,
                   struct status *st);

/* ---- Unified models (collection_udm.c) ---- */

/* Native fields of a unified object; undefined members are dropped. -1 configuration when
 * the connector has no mapping for it. */
int collection_unified_to_native(struct data_collection *c, const struct value *unified,
                                 const struct value **ret_fields, struct status *st);

/* ---- Field mappings (collection_mapping.c) ---- */

/*
 * A record as the host application sees it: `fields` are the result of the mapping's
 * import values. mapping: a field mapping with inline values on top, undefined: none.
 * is_unified: the data source names a unified model, so that no mapping means its fields.
 */
int collection_import(struct data_collection *c, const struct value *mapping,
                      const struct value *record, bool is_unified, bool include_raw,
                      const struct value **ret_record, struct status *st);
/* Native fields for create and update, of what the host application gives. */
int collection_export(struct data_collection *c, const struct value *mapping,
                      const struct value *input, bool is_unified,
                      const struct value **ret_fields, struct status *st);
/* The values of a field mapping: defaults below the user's. NULL lookups: none. */
int collection_mapping_run(struct arena *a, const struct value *mapping, bool is_import,
                           const struct value *input, const struct value **ret_output,
                           struct status *st);

void collection_routes(struct http_router *r);

#endif
