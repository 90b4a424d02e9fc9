/*
 * /self, /customers and /customer.
 */
#include <string.h>

#include "auth_api.h"
#include "auth_fields.h"
#include "auth_priv.h"
#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_page.h"
#include "store/store.h"
#include "value/value.h"

int auth_not_found(struct status *st, const char *what) {
    return st_fail(st, ST_BAD_REQUEST, "not_found", "%s not found", what);
}

/* ---- Reading what a body says ---- */

static const struct auth_field writable[] = {
    {"name", AUTH_TEXT},
    {"internalId", AUTH_TEXT, .max = 256},
    {"fields", AUTH_OBJECT},
    {"meta", AUTH_OBJECT},
    {"aiCreditsRolling30DayLimit", AUTH_COUNT, .flags = AUTH_NULLABLE},
    {NULL},
};

/* credentials are sealed to the customer; null removes them. */
static void read_credentials(const struct deps *deps, struct arena *a, const char *id,
                             const struct value *body, struct object_builder *b) {
    const struct value *v = value_find(body, "credentials", 11);

    if (!v || value_is(v, VALUE_UNDEFINED))
        return;
    if (value_is(v, VALUE_NULL))
        object_set(b, "credentials", &value_null);
    else
        object_set_string(b, "credentials", crypto_seal(deps->sealer, a, id, v));
}

/* The writable members of a customer; everything else in the body is passed over. */
static int read_writable(struct request *rq, const char *id, const struct value *body,
                         struct object_builder *b, struct status *st) {
    if (auth_fields_read(body, writable, b, st) < 0)
        return -1;
    read_credentials(rq->deps, rq->arena, id, body, b);
    return 0;
}

/* ---- Shared steps ---- */

static int load(struct request *rq, const struct value **ret_doc, struct status *st) {
    const char *selector = rq->param[0] ? rq->param[0] : request_query(rq, "id");
    int rc;

    if (!selector || !*selector)
        return st_fail(st, ST_BAD_REQUEST, NULL, "Name the customer by id");
    rc = auth_customer_load(rq->deps->store, rq->arena, rq->caller->workspace_id,
                            selector, ret_doc, st);
    return rc == 1 ? auth_not_found(st, "Customer") : rc;
}

static void forget(struct request *rq, const struct value *doc) {
    auth_forget(rq->deps->auth,
                auth_customer_slot_id(rq->arena, value_get_string(doc, "workspaceId", ""),
                                      value_get_string(doc, "internalId", "")));
}

static int taken(struct status *st) {
    if (st->key && !strcmp(st->key, "already_exists"))
        return st_fail(st, ST_BAD_REQUEST, "already_exists",
                       "Another customer has this internalId");
    return -1;
}

static int update(struct request *rq, const struct value *doc,
                  const struct store_change *change, const struct value **ret_doc,
                  struct status *st) {
    int rc = store_update(rq->deps->store, rq->arena, C_CUSTOMERS,
                          value_get_string(doc, "id", ""), NULL, change, ret_doc, st);

    if (rc < 0)
        return taken(st);
    if (rc == 1)
        return auth_not_found(st, "Customer");
    forget(rq, doc);
    forget(rq, *ret_doc);
    return 0;
}

/* One customer for an administrator: with the credentials, which lists leave out. */
static int reply_customer(struct request *rq, struct reply *rp, int status,
                          const struct value *doc, struct status *st) {
    const struct value *served = auth_customer_served(rq->deps->auth, rq->arena, doc);
    const struct value *credentials;

    if (auth_customer_open_credentials(rq->deps->sealer, rq->arena, doc, &credentials,
                                       st) < 0)
        return -1;
    if (!value_is_nullish(credentials))
        served = value_with(rq->arena, served, "credentials", credentials);
    return reply_json(rp, status, served);
}

/* ---- /customers ---- */

/* isTest=false also means: not said. */
static const struct store_filter *test_filter(struct arena *a, bool is_test) {
    const struct store_filter *yes = store_eq(a, "isTest", &value_true);

    return is_test ? yes : store_cmp(a, STORE_NE, "isTest", &value_true);
}

static const struct store_filter *list_filter(struct request *rq,
                                              const struct http_page *page) {
    struct arena *a = rq->arena;
    const struct store_filter *f =
        store_eq_text(a, "workspaceId", rq->caller->workspace_id);

    if (!page->include_archived)
        f = store_and(a, f, store_cmp(a, STORE_ABSENT, "archivedAt", NULL), NULL);
    if (request_query(rq, "isTest"))
        f = store_and(a, f, test_filter(a, request_query_bool(rq, "isTest", false)),
                      NULL);
    if (request_query(rq, "isActive"))
        f = store_and(a, f,
                      auth_customer_active_filter(
                          rq->deps->auth, a, request_query_bool(rq, "isActive", true)),
                      NULL);
    if (page->search) {
        const struct value *text = value_string(a, page->search);

        f = store_and(a, f,
                      store_or(a, store_cmp(a, STORE_CONTAINS, "name", text),
                               store_cmp(a, STORE_CONTAINS, "internalId", text), NULL),
                      NULL);
    }
    return f;
}

int auth_api_customers_list(struct request *rq, struct reply *rp, struct status *st) {
    struct store_query q = {.sort = {{"id", true}}};
    struct array_builder items;
    struct store_page found;
    struct http_page page;

    if (http_page_read(rq, &page, st) < 0)
        return -1;
    q.where = list_filter(rq, &page);
    q.limit = (size_t)page.limit;
    q.cursor = page.cursor;
    if (store_list(rq->deps->store, rq->arena, C_CUSTOMERS, &q, &found, st) < 0)
        return -1;
    array_begin(&items, rq->arena, found.items->len);
    for (VALUE_EACH_ITEM(doc, found.items))
        array_push(&items, auth_customer_served(rq->deps->auth, rq->arena, doc));
    return http_page_reply(rp, array_end(&items), found.cursor);
}

int auth_api_customers_create(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    const char *id = auth_new_id(rq->deps->auth, a);
    const struct value *now = auth_iso_now(rq->deps->auth, a);
    const struct value *body, *doc;
    struct object_builder b;

    if (request_object(rq, &body, st) < 0)
        return -1;
    object_begin(&b, a, 12);
    object_set_string(&b, "id", id);
    object_set_string(&b, "workspaceId", rq->caller->workspace_id);
    if (read_writable(rq, id, body, &b, st) < 0)
        return -1;
    if (!object_builder_get(&b, "name", 4))
        return st_fail(st, ST_BAD_REQUEST, NULL, "A customer needs a name");
    if (!object_builder_get(&b, "internalId", 10))
        object_set_string(&b, "internalId", id);
    object_set(&b, "createdAt", now);
    object_set(&b, "updatedAt", now);
    doc = object_end(&b);
    if (store_insert(rq->deps->store, C_CUSTOMERS, doc, st) < 0)
        return taken(st);
    return reply_customer(rq, rp, 201, doc, st);
}

int auth_api_customer_get(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc;

    if (load(rq, &doc, st) < 0)
        return -1;
    return reply_customer(rq, rp, 200, doc, st);
}

/* PUT and PATCH: a PUT brings a whole customer, of which the writable part counts. */
int auth_api_customer_change(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *doc;
    struct store_change change = {0};
    struct object_builder b;

    if (request_object(rq, &body, st) < 0 || load(rq, &doc, st) < 0)
        return -1;
    if (!value_is_nullish(value_get(doc, "archivedAt")))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "This customer is archived; restore it first");
    object_begin(&b, rq->arena, 8);
    if (read_writable(rq, value_get_string(doc, "id", ""), body, &b, st) < 0)
        return -1;
    object_set(&b, "updatedAt", auth_iso_now(rq->deps->auth, rq->arena));
    change.set = object_end(&b);
    if (update(rq, doc, &change, &doc, st) < 0)
        return -1;
    return reply_customer(rq, rp, 200, doc, st);
}

/* The customer first: nobody connects any more while its connections are ended. */
int auth_api_customer_archive(struct request *rq, struct reply *rp, struct status *st) {
    const struct auth_options *o = &rq->deps->auth->o;
    const struct value *doc, *now = auth_iso_now(rq->deps->auth, rq->arena);
    struct store_change change = {
        .set = value_obj(rq->arena, "archivedAt", now, "updatedAt", now, NULL)};

    if (load(rq, &doc, st) < 0)
        return -1;
    if (value_is_nullish(value_get(doc, "archivedAt")) &&
        update(rq, doc, &change, &doc, st) < 0)
        return -1;
    if (o->customer_archived &&
        o->customer_archived(rq->deps, rq->arena, rq->caller->workspace,
                             value_get_string(doc, "id", ""), st) < 0)
        return -1;
    return reply_json(rp, 200, auth_customer_served(rq->deps->auth, rq->arena, doc));
}

int auth_api_customer_restore(struct request *rq, struct reply *rp, struct status *st) {
    static const char *const unset[] = {"archivedAt", NULL};
    struct store_change change = {
        .set = value_obj(rq->arena, "updatedAt", auth_iso_now(rq->deps->auth, rq->arena),
                         NULL),
        .unset = unset};
    const struct value *doc;

    if (load(rq, &doc, st) < 0 || update(rq, doc, &change, &doc, st) < 0)
        return -1;
    return reply_json(rp, 200, auth_customer_served(rq->deps->auth, rq->arena, doc));
}

/* ---- /self ---- */

static const struct value *served_self(struct request *rq, const struct value *doc) {
    return value_merge(rq->arena, auth_customer_served(rq->deps->auth, rq->arena, doc),
                       value_obj(rq->arena, "workspaceKey",
                                 value_get(rq->caller->workspace, "key"), NULL));
}

static int need_customer(const struct request *rq, struct status *st) {
    if (rq->caller->customer_id)
        return 0;
    return st_fail(st, ST_BAD_REQUEST, "not_found",
                   "The token names no customer; sign one with id or tenantKey");
}

int auth_api_self_get(struct request *rq, struct reply *rp, struct status *st) {
    if (need_customer(rq, st) < 0)
        return -1;
    return reply_json(rp, 200, served_self(rq, rq->caller->customer));
}

int auth_api_self_patch(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *doc = rq->caller->customer;
    struct store_change change = {0};
    struct object_builder b;

    if (request_object(rq, &body, st) < 0 || need_customer(rq, st) < 0)
        return -1;
    object_begin(&b, rq->arena, 2);
    read_credentials(rq->deps, rq->arena, rq->caller->customer_id, body, &b);
    if (b.len) {
        object_set(&b, "updatedAt", auth_iso_now(rq->deps->auth, rq->arena));
        change.set = object_end(&b);
        if (update(rq, doc, &change, &doc, st) < 0)
            return -1;
    }
    return reply_json(rp, 200, served_self(rq, doc));
}
