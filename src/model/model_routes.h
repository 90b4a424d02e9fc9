/*
 * model_routes.h - the routes of all elements, made from elements.def and operations.def.
 */
#ifndef MODEL_MODEL_ROUTES_H
#define MODEL_MODEL_ROUTES_H

#include "model/model.h"

struct arena;
struct http_router;
struct http_schema;
struct reply;
struct request;

/* Where a row stands: how the request names the element. */
enum model_family {
    AT_PLURAL,      /* /actions/{selector} */
    AT_SINGULAR,    /* /action?key= */
    AT_INTEGRATION, /* /integrations/{i}/actions/{selector} */
    AT_CONNECTION,  /* /connections/{c}/actions/{selector} */
    AT_INSTANCE,    /* /action-instance?id= */
    AT_INSTANCE_ID, /* /flow-instances/{id} */
};

enum model_operation {
    OP_LIST,
    OP_CREATE, /* of a list; in lists of instances: as PUT, named by the body */
    OP_GET,
    OP_PUT,
    OP_PATCH,
    OP_ARCHIVE,
    OP_RESTORE,
    OP_SETUP,
    OP_RESET,
    OP_APPLY,
    OP_CLONE,
    OP_EXPORT,
    OP_APP_SCHEMA,
    OP_SCHEMA,
};

/* What `data` of a row points to. */
struct model_row {
    enum element_id type;
    enum model_family family;
    enum model_operation operation;
};

/* All rows that the table of types allows. */
void model_routes(struct http_router *r);

/*
 * What the rows name in `body` and `response`, for openapi.json: fills at most
 * MODEL_SCHEMAS_MAX schemas, whose values live in `a`; gives their number.
 */
enum { MODEL_SCHEMAS_MAX = 3 * ELEMENT_COUNT };
size_t model_schemas(struct arena *a, struct http_schema *ret_schemas);

/*
 * Reads the selector of a request: path, query, and for instances in the body, too. Lends
 * from rq.
 */
int model_selector_read(const struct request *rq, const struct model_row *row,
                        struct model_selector *ret_selector, struct status *st);
/*
 * What the query alone names, for rows that run something: id, key, parent, integration,
 * connection, instance, user. Lends from rq.
 */
struct model_selector model_selector_of_query(const struct request *rq);
/* A view of the caller's workspace; lends from rq's arena. */
struct model_view *model_view_of(const struct request *rq);

/* The handler of all rows. */
int model_api_handle(struct request *rq, struct reply *rp, struct status *st);
/* The list operation (model_list.c). */
int model_list_reply(struct request *rq, struct model_view *v,
                     const struct model_row *row, struct reply *rp, struct status *st);

#endif
