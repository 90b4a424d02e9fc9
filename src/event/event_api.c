/*
 * event_api.c - subscribing a customer to an event of the host application: the type's
 * subscribeRequest is sent to it, with the address that takes the events.
 */
#include "event.h"

#include "auth/auth.h"
#include "connection/connection.h"
#include "deps/deps.h"
#include "formula/formula.h"
#include "http/http.h"
#include "http/http_server.h"
#include "model/model.h"
#include "model/model_routes.h"
#include "store/store.h"
#include "value/value.h"

/* {webhookUri, user: {id, internalId, name, fields}} */
static int make_variables(struct request *rq, struct model_view *v,
                          const struct value *subscription, const struct value **ret,
                          struct status *st) {
    static const char *const shown[] = {"id", "internalId", "name", "fields", NULL};
    struct arena *a = rq->arena;
    const char *key = value_get_string(subscription, "webhookKey", "");
    const struct value *user = NULL;

    if (model_get_other(v, C_CUSTOMERS, value_get_string(subscription, "userId", ""),
                        &user, st) < 0)
        return -1;
    *ret =
        value_obj(a, "webhookUri", value_string(a, event_webhook_uri(rq->deps, a, key)),
                  "user", user ? value_pick(a, user, shown) : NULL, NULL);
    return 0;
}

/* Sends the type's request. Gives the members to store. */
static int send_request(struct request *rq, struct model_view *v,
                        const struct value *subscription, const struct value *spec,
                        const struct value **ret_members, struct status *st) {
    const char *base = value_get_string(rq->caller->workspace, "apiBaseUri", NULL);
    const struct value *variables, *request, *response = &value_null;
    struct connection_session s;

    if (make_variables(rq, v, subscription, &variables, st) < 0 ||
        formula_build_value(rq->arena, spec, variables, &request, st) < 0)
        return -1;
    connection_open_plain(rq->deps, rq->arena, rq->caller->workspace, NULL,
                          rq->deadline_ms, &s);
    if (external_plain_request(&s.external, base, request, false, &response, st) < 0)
        return -1;
    *ret_members =
        value_obj(rq->arena, "subscriptionRequest", request, "subscriptionResponse",
                  response, "isSubscribed", &value_true, NULL);
    return 0;
}

static int subscribe_in(struct request *rq, struct model_view *v,
                        const struct value **ret_doc, struct status *st) {
    static const struct model_row row = {EL_APP_EVENT_SUBSCRIPTION, AT_INSTANCE, OP_GET};
    const struct value *doc, *type = NULL, *spec;
    const struct value *members = value_obj(rq->arena, "isSubscribed", &value_true, NULL);
    struct model_selector s;

    if (model_selector_read(rq, &row, &s, st) < 0 ||
        model_resolve(v, EL_APP_EVENT_SUBSCRIPTION, &s, &doc, st) < 0 ||
        model_get(v, EL_APP_EVENT_TYPE, value_get_string(doc, "appEventTypeId", ""),
                  &type, st) < 0)
        return -1;
    spec = value_get(type, "subscribeRequest");
    if (value_is_object(spec) && send_request(rq, v, doc, spec, &members, st) < 0)
        return -1;
    return model_set(v, EL_APP_EVENT_SUBSCRIPTION, doc, members, ret_doc, st);
}

static int subscribe(struct request *rq, struct reply *rp, struct status *st) {
    struct model_view *v = model_view_of(rq);
    const struct value *doc, *out;

    /* Not repeated on a conflict: the request was sent. */
    if (subscribe_in(rq, v, &doc, st) < 0 || model_commit(v, st) < 0 ||
        model_get(v, EL_APP_EVENT_SUBSCRIPTION, value_get_string(doc, "id", ""), &doc,
                  st) < 0 ||
        model_render(v, EL_APP_EVENT_SUBSCRIPTION, doc, MODEL_RENDER_JOINS, &out, st) < 0)
        return -1;
    return reply_json(rp, 201, out);
}

static const struct route routes[] = {
    {HTTP_POST, "/app-event-subscription/subscribe", subscribe, ACCESS_CUSTOMER, 0,
     "Asks the host application to send the customer's events.",
     "id,autoCreate,instanceKey,userId,appEventTypeKey,appEventTypeId", NULL,
     "AppEventSubscription", NULL},
};

void event_routes(struct http_router *r) {
    http_router_add(r, routes, sizeof routes / sizeof *routes);
}
