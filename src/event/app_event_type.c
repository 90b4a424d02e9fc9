/*
 * app_event_type.c - an event that the host application sends, and the address it sends
 * it to.
 */
#include "event/event.h"
#include "model/model.h"

#include "base/arena.h"
#include "base/clock.h"
#include "config/config.h"
#include "deps/deps.h"
#include "value/value.h"

extern const struct element_domain app_event_type_domain;

static const struct element_field fields[] = {
    {"schema", FIELD_OBJECT, FIELD_EXPORT, NULL},
    {"example", FIELD_ANY, FIELD_EXPORT, NULL},
    {"tenantIdFormula", FIELD_ANY, FIELD_EXPORT, NULL},
    {"userIdFormula", FIELD_ANY, FIELD_EXPORT, NULL},
    {"subscribeRequest", FIELD_REQUEST, FIELD_EXPORT, NULL},
};

const char *event_webhook_uri(const struct deps *deps, struct arena *a, const char *key) {
    const struct config *c = deps->config;
    const char *base = c && c->base_uri ? config_webhooks_uri(c) : NULL;

    return arena_printf(a, "%s/webhooks/app-events/%s", base ? base : "", key);
}

static int derive(struct model_view *v, const struct value *doc,
                  const struct value **ret_doc, struct status *st) {
    struct arena *a = model_view_arena(v);

    (void)st;
    *ret_doc = value_has(doc, "webhookKey")
                   ? doc
                   : value_with(a, doc, "webhookKey",
                                value_string(a, uuid_new(model_view_deps(v)->rand, a)));
    return 0;
}

static int serve(struct model_view *v, const struct value *doc,
                 struct object_builder *out, struct status *st) {
    (void)st;
    object_set_string(out, "globalWebhookUri",
                      event_webhook_uri(model_view_deps(v), model_view_arena(v),
                                        value_get_string(doc, "webhookKey", "")));
    return 0;
}

const struct element_domain app_event_type_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
    .derive = derive,
    .serve = serve,
};
