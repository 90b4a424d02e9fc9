/*
 * model_routes.c - one table of rows for all element types, made by the preprocessor from
 * elements.def and operations.def; a type takes the rows that it can serve.
 */
#include "model_routes.h"

#include <string.h>

#include "http/http.h"
#include "http/http_server.h"
#include "operations.def"

struct row {
    struct route route;
    unsigned needs, layers;
};

#define ROW(type_, operation_, family_, method_, path_, access_, needs_, layers_,        \
            summary_, query_, body_, response_)                                          \
    {{HTTP_##method_, path_, model_api_handle, ACCESS_##access_,                         \
      HTTP_##method_ == HTTP_GET ? ROUTE_INLINE : 0, summary_, query_, body_, response_, \
      &(const struct model_row){type_, family_, operation_}},                            \
     needs_,                                                                             \
     layers_},

static const struct row rows[] = {
#define ELEMENT(ident, name, plural, ...) MODEL_OPERATIONS(ROW, ident, name, plural)
#include "elements.def"
};

/* Subscriptions have their instance rows under the singular name, and no others. */
static bool is_served(const struct element_type *t, const struct row *r) {
    const struct model_row *row = r->route.data;
    bool no_element = t->can & EL_NO_ELEMENT;

    if ((t->can & r->needs) != r->needs || !(t->layers & r->layers))
        return false;
    return !no_element || r->needs & EL_NO_ELEMENT ||
           (row->family == AT_PLURAL && row->operation == OP_LIST);
}

void model_routes(struct http_router *r) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct model_row *row = rows[i].route.data;
        if (is_served(element_type(row->type), &rows[i]))
            http_router_add(r, &rows[i].route, 1);
    }
}
