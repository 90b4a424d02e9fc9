/*
 * integration_api.c - the connector parameters of an integration, for admins.
 */
#include "integration.h"

#include "auth/auth.h"
#include "http/http.h"
#include "http/http_server.h"
#include "model/model.h"
#include "model/model_routes.h"
#include "value/value.h"

static int reply_parameters(struct request *rq, struct reply *rp, struct status *st) {
    struct model_view *v = model_view_of(rq);
    const struct value *doc, *out;

    if (model_resolve_integration(v, rq->param[0], &doc, st) < 0 ||
        model_render(v, EL_INTEGRATION, doc, 0, &out, st) < 0)
        return -1;
    out = value_get(out, "parameters");
    return reply_json(rp, 200, value_is_object(out) ? out : &value_empty_object);
}

static int get_parameters(struct request *rq, struct reply *rp, struct status *st) {
    return reply_parameters(rq, rp, st);
}

static int set_parameters(struct model_view *v, void *ctx, struct status *st) {
    struct request *rq = ctx;
    const struct value *doc, *body;

    if (request_object(rq, &body, st) < 0 ||
        model_resolve_integration(v, rq->param[0], &doc, st) < 0)
        return -1;
    return model_update(v, EL_INTEGRATION, doc,
                        value_obj(rq->arena, "parameters", body, NULL), MODEL_PATCH, &doc,
                        st);
}

static int put_parameters(struct request *rq, struct reply *rp, struct status *st) {
    if (model_transact(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id,
                       set_parameters, rq, st) < 0)
        return -1;
    return reply_parameters(rq, rp, st);
}

static const struct route routes[] = {
    {HTTP_GET, "/integrations/{selector}/parameters", get_parameters, ACCESS_ADMIN, 0,
     "The connector parameters.", NULL, NULL, "Parameters", NULL},
    {HTTP_PUT, "/integrations/{selector}/parameters", put_parameters, ACCESS_ADMIN, 0,
     "Replaces the connector parameters.", NULL, "Parameters", "Parameters", NULL},
};

void integration_routes(struct http_router *r) {
    http_router_add(r, routes, sizeof routes / sizeof *routes);
}
