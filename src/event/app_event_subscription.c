/*
 * app_event_subscription.c - an event type for one customer, with an address of its own.
 */
#include "event/event.h"
#include "model/model.h"

#include "base/arena.h"
#include "base/clock.h"
#include "deps/deps.h"
#include "value/value.h"

extern const struct element_domain app_event_subscription_domain;

static int derive(struct model_view *v, const struct value *doc,
                  const struct value **ret_doc, struct status *st) {
    struct arena *a = model_view_arena(v);
    struct object_builder b;

    (void)st;
    object_begin(&b, a, doc->len + 2);
    object_set_all(&b, doc);
    if (!value_has(doc, "isSubscribed"))
        object_set_bool(&b, "isSubscribed", false);
    if (!value_has(doc, "webhookKey"))
        object_set_string(&b, "webhookKey", uuid_new(model_view_deps(v)->rand, a));
    *ret_doc = object_end(&b);
    return 0;
}

static int inspect(struct model_view *v, const struct value *doc, struct model_report *r,
                   struct status *st) {
    (void)v;
    return model_report_depends(r, EL_APP_EVENT_TYPE,
                                value_get_string(doc, "appEventTypeId", ""), NULL, NULL,
                                st);
}

/* The type's schema and request, unless the customer has own ones. */
static int serve(struct model_view *v, const struct value *doc,
                 struct object_builder *out, struct status *st) {
    const struct value *type = NULL;
    const char *uri = event_webhook_uri(model_view_deps(v), model_view_arena(v),
                                        value_get_string(doc, "webhookKey", ""));

    if (model_get(v, EL_APP_EVENT_TYPE, value_get_string(doc, "appEventTypeId", ""),
                  &type, st) < 0)
        return -1;
    object_delete(out, "webhookKey", sizeof "webhookKey" - 1);
    object_set_string(out, "webhookUri", uri);
    if (!value_has(doc, "schema") && value_is_object(value_get(type, "schema")))
        object_set(out, "schema", value_get(type, "schema"));
    if (!value_has(doc, "subscriptionRequest"))
        object_set(out, "subscriptionRequest",
                   value_is_object(value_get(type, "subscribeRequest"))
                       ? value_get(type, "subscribeRequest")
                       : value_obj(model_view_arena(v), "uri",
                                   value_string(model_view_arena(v), ""), NULL));
    return 0;
}

const struct element_domain app_event_subscription_domain = {
    .fields = NULL,
    .fields_len = 0,
    .derive = derive,
    .inspect = inspect,
    .serve = serve,
};
