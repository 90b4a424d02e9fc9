/*
 * model_api.c - the handler of all element routes: read the selector, do the operation,
 * serve the element.
 */
#include "model_priv.h"
#include "model_routes.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http/http.h"
#include "model_cache.h"

struct model_view *model_view_of(const struct request *rq) {
    return model_view_new(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id);
}

/* ---- Selectors ---- */

static bool is_write(enum model_operation op) {
    return op == OP_PUT || op == OP_PATCH || op == OP_ARCHIVE || op == OP_RESTORE ||
           op == OP_SETUP || op == OP_RESET;
}

/* Whether an instance that is not there is made. */
static bool makes_instance(const struct model_row *row, const struct request *rq) {
    bool asked = request_query_bool(rq, "autoCreate", false);

    switch (row->operation) {
    case OP_CREATE:
        return true;
    case OP_PUT:
        return row->family != AT_INSTANCE_ID;
    case OP_GET:
    case OP_APP_SCHEMA:
        return asked || row->family == AT_PLURAL || row->family == AT_SINGULAR;
    case OP_PATCH:
    case OP_SETUP:
        return asked || row->family == AT_PLURAL || row->family == AT_SINGULAR ||
               row->family == AT_CONNECTION;
    default:
        return false;
    }
}

static const char *text_of(const struct value *body, const char *member) {
    const char *s = value_get_string(body, member, NULL);

    return s && *s ? s : NULL;
}

/* POST /flow-instances: the body names what the query does elsewhere. */
static void select_by_body(struct model_selector *s, const struct element_type *t,
                           const struct value *body) {
    s->parent_id = text_of(body, t->parent_field);
    if (!s->parent_id)
        s->parent_id = text_of(body, "parentId");
    if (t->parent_key_query)
        s->parent_key = text_of(body, t->parent_key_query);
    if (!s->parent_key)
        s->parent_key = text_of(body, "parentKey");
    s->connection_id = text_of(body, "connectionId");
    s->connection_key = text_of(body, "connectionKey");
    s->integration_id = text_of(body, "integrationId");
    s->integration_key = text_of(body, "integrationKey");
    s->instance_key = text_of(body, "instanceKey");
    s->user_id = text_of(body, "userId");
}

static void select_by_query(struct model_selector *s, const struct element_type *t,
                            const struct model_row *row, const struct request *rq) {
    bool singular = row->family == AT_SINGULAR || row->family == AT_INSTANCE;

    if (singular) {
        s->id = request_query(rq, "id");
        s->key = request_query(rq, "key");
        s->uuid = request_query(rq, "uuid");
    }
    s->integration_id = request_query(rq, "integrationId");
    s->integration_key = request_query(rq, "integrationKey");
    if (row->family != AT_INTEGRATION && row->family != AT_CONNECTION) {
        s->connection_id = request_query(rq, "connectionId");
        s->connection_key = request_query(rq, "connectionKey");
    }
    s->instance_key = request_query(rq, "instanceKey");
    s->user_id = request_query(rq, "userId");
    if (!s->user_id)
        s->user_id = request_query(rq, "tenantId");
    if (row->family != AT_INSTANCE)
        return;
    s->udm = request_query(rq, "udm");
    s->node_key = request_query(rq, "nodeKey");
    s->flow_id = request_query(rq, "flowId");
    s->flow_key = request_query(rq, "flowKey");
    if (t->parent_field)
        s->parent_id = request_query(rq, t->parent_field);
    if (!s->parent_id)
        s->parent_id = request_query(rq, "parentId");
    if (t->parent_key_query)
        s->parent_key = request_query(rq, t->parent_key_query);
    if (!s->parent_key)
        s->parent_key = request_query(rq, "parentKey");
}

struct model_selector model_selector_of_query(const struct request *rq) {
    return (struct model_selector){
        .id = request_query(rq, "id"),
        .key = request_query(rq, "key"),
        .integration_id = request_query(rq, "integrationId"),
        .integration_key = request_query(rq, "integrationKey"),
        .connection_id = request_query(rq, "connectionId"),
        .connection_key = request_query(rq, "connectionKey"),
        .instance_key = request_query(rq, "instanceKey"),
        .parent_id = request_query(rq, "parentId"),
        .parent_key = request_query(rq, "parentKey"),
        .user_id = request_query(rq, "userId"),
    };
}

int model_selector_read(const struct request *rq, const struct model_row *row,
                        struct model_selector *ret_selector, struct status *st) {
    const struct element_type *t = element_type(row->type);
    const char *layer = request_query(rq, "layer");
    struct model_selector s = {0};

    select_by_query(&s, t, row, rq);
    if (row->family == AT_INTEGRATION || row->family == AT_CONNECTION) {
        *(row->family == AT_INTEGRATION ? &s.integration : &s.connection) = rq->param[0];
        s.text = rq->param[1];
    } else if (row->family == AT_PLURAL && row->operation != OP_LIST &&
               row->operation != OP_CREATE) {
        s.text = rq->param[0];
    } else if (row->family == AT_INSTANCE_ID && row->operation != OP_CREATE) {
        s.id = rq->param[0];
    }
    if (layer && !(s.layer = layer_from_name(layer)))
        return model_bad_input(st, "layer",
                               "must be universal, integration or connection");
    s.instance_only = row->family == AT_CONNECTION || row->family == AT_INSTANCE ||
                      row->family == AT_INSTANCE_ID || t->can & EL_NO_ELEMENT;
    s.auto_create = makes_instance(row, rq);
    s.auto_update = row->operation == OP_GET && row->family == AT_INSTANCE &&
                    request_query_bool(rq, "autoUpdate", false);
    s.fall_back = !is_write(row->operation) ||
                  (row->family == AT_INTEGRATION &&
                   (row->operation == OP_PUT || row->operation == OP_PATCH));
    *ret_selector = s;
    return 0;
}

/* ---- Operations ---- */

struct call {
    struct request *rq;
    const struct model_row *row;
    struct model_selector selector;
    const struct value *body;
    const struct value *doc;  /* result */
    const struct value *docs; /* result of apply: array */
};

/* Customers change what is theirs, never what all share. */
static int check_may_write(struct model_view *v, const struct value *doc,
                           struct status *st) {
    if (v->caller && v->caller->is_read_only)
        return st_fail(st, ST_BAD_REQUEST, "access_denied",
                       "you may only read in this workspace");
    if (!v->caller || v->caller->is_admin || model_layer(doc) & LAYER_INSTANCE)
        return 0;
    return st_fail(st, ST_BAD_REQUEST, "access_denied",
                   "an admin token is needed to change this element");
}

static int change_one(struct model_view *v, struct call *c, struct status *st) {
    enum element_id type = c->row->type;
    const struct value *doc = c->doc;
    bool has_body = value_items_count(c->body) || value_members_count(c->body);

    switch (c->row->operation) {
    case OP_CREATE: /* of an instance */
    case OP_PUT:
        if (!has_body && model_layer(doc) & LAYER_INSTANCE)
            return 0;
        return model_update(v, type, doc, c->body, MODEL_PUT, &c->doc, st);
    case OP_PATCH:
        return model_update(v, type, doc, c->body, MODEL_PATCH, &c->doc, st);
    case OP_ARCHIVE:
        return model_archive(v, type, doc, &c->doc, st);
    case OP_RESTORE:
        return model_restore(v, type, doc, &c->doc, st);
    case OP_SETUP:
        return model_setup(v, type, doc, &c->doc, st);
    case OP_RESET:
        return model_reset(v, type, doc, c->body, &c->doc, st);
    case OP_CLONE:
        return model_clone(v, type, doc, c->body, &c->doc, st);
    default:
        return 0;
    }
}

/* PUT and PATCH inside of an integration that uses the universal element. */
static int own_copy(struct model_view *v, struct call *c, struct status *st) {
    const struct value *integration;

    if (c->row->family != AT_INTEGRATION || model_layer(c->doc) != LAYER_UNIVERSAL ||
        !is_write(c->row->operation))
        return 0;
    return model_resolve_integration(v, c->selector.integration, &integration, st) < 0
               ? -1
               : model_apply(v, c->row->type, c->doc, integration, &c->doc, st);
}

static int change(struct model_view *v, void *ctx, struct status *st) {
    struct call *c = ctx;

    if (model_resolve(v, c->row->type, &c->selector, &c->doc, st) < 0 ||
        check_may_write(v, c->doc, st) < 0 || own_copy(v, c, st) < 0)
        return -1;
    return change_one(v, c, st);
}

static int create(struct model_view *v, void *ctx, struct status *st) {
    struct call *c = ctx;
    struct model_scope scope = {0};

    if (c->row->family == AT_INTEGRATION &&
        model_resolve_integration(v, c->selector.integration, &scope.integration, st) < 0)
        return -1;
    return model_create(v, c->row->type, &scope, c->body, &c->doc, st);
}

static int apply(struct model_view *v, void *ctx, struct status *st) {
    struct call *c = ctx;
    const struct value *keys = value_get(c->body, "integrationKeys");
    struct array_builder docs;

    if (!value_is_array(keys))
        return model_bad_input(st, "integrationKeys", "must be an array of texts");
    if (model_resolve(v, c->row->type, &c->selector, &c->doc, st) < 0)
        return -1;
    array_begin(&docs, v->arena, keys->len);
    for (VALUE_EACH_ITEM(key, keys)) {
        const struct value *integration, *copy;
        if (!value_is_string(key))
            return model_bad_input(st, "integrationKeys", "must be an array of texts");
        if (model_resolve_integration(v, value_text(key), &integration, st) < 0 ||
            model_apply(v, c->row->type, c->doc, integration, &copy, st) < 0)
            return -1;
        array_push(&docs, copy);
    }
    c->docs = array_end(&docs);
    return 0;
}

/* ---- Replies ---- */

static int reply_element(struct call *c, struct reply *rp, const struct value *doc,
                         struct status *st) {
    struct model_view *v = model_view_of(c->rq);
    const struct value *out;
    int rc = model_get(v, c->row->type, doc_id(doc), &doc, st);

    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "%s was removed meanwhile",
                       element_type(c->row->type)->title);
    if (rc < 0 || model_render(v, c->row->type, doc,
                               MODEL_RENDER_JOINS | MODEL_RENDER_DETAILS, &out, st) < 0)
        return -1;
    return reply_json(rp, c->rq->method == HTTP_POST ? 201 : 200, out);
}

static int reply_list(struct call *c, struct reply *rp, struct status *st) {
    struct model_view *v = model_view_of(c->rq);
    struct array_builder list;

    array_begin(&list, c->rq->arena, c->docs->len);
    for (VALUE_EACH_ITEM(doc, c->docs)) {
        const struct value *now, *out;
        int rc = model_get(v, c->row->type, doc_id(doc), &now, st);
        if (rc < 0 || (rc == 0 && model_render(v, c->row->type, now, MODEL_RENDER_JOINS,
                                               &out, st) < 0))
            return -1;
        if (rc == 0)
            array_push(&list, out);
    }
    return reply_json(rp, 201, array_end(&list));
}

static int read_one(struct call *c, struct model_view *v, struct reply *rp,
                    struct status *st) {
    const struct value *doc, *out;

    if (model_resolve(v, c->row->type, &c->selector, &doc, st) < 0)
        return -1;
    switch (c->row->operation) {
    case OP_EXPORT:
        if (model_export_element(v, c->row->type, doc, &out, st) < 0)
            return -1;
        break;
    case OP_APP_SCHEMA:
        out = value_get(doc, "appSchema");
        break;
    case OP_SCHEMA:
        if (model_render(v, c->row->type, doc, 0, &out, st) < 0)
            return -1;
        out = value_get(out, "schema");
        break;
    default:
        if (model_render(v, c->row->type, doc, MODEL_RENDER_JOINS | MODEL_RENDER_DETAILS,
                         &out, st) < 0)
            return -1;
    }
    return reply_json(rp, 200, value_is_nullish(out) ? &value_empty_object : out);
}

/* Answers depend on who asks, and on the address as it was sent. */
static const char *cache_key(const struct request *rq) {
    const struct caller *c = rq->caller;

    return arena_printf(rq->arena, "%s\n%d%d\n%s\n%s\n%s", c->workspace_id, c->is_admin,
                        auth_may_see_secrets(c), c->customer_id ? c->customer_id : "",
                        rq->path, rq->query_text);
}

/*
 * Reads answer from the cache on the network thread, and else on one that may block (1).
 */
static int read_any(struct request *rq, const struct model_row *row, struct reply *rp,
                    struct status *st) {
    struct model_cache *cache = rq->deps->model_cache;
    struct call c = {.rq = rq, .row = row, .body = &value_undefined};
    const char *key = cache ? cache_key(rq) : NULL;
    struct model_cache_versions versions;
    struct model_view *v;
    struct bytes body;
    int rc;

    if (cache && model_cache_get(cache, rq->deps->store, key, rq->arena, &body))
        return reply_bytes(rp, 200, "application/json; charset=utf-8", body);
    if (!rq->may_block)
        return 1;
    if (cache)
        model_cache_read_versions(rq->deps->store, &versions);
    v = model_view_of(rq);
    if (row->operation == OP_LIST)
        rc = model_list_reply(rq, v, row, rp, st);
    else if ((rc = model_selector_read(rq, row, &c.selector, st)) == 0)
        rc = read_one(&c, v, rp, st);
    if (rc == 0 && cache && !v->committed)
        model_cache_put(cache, key, &versions, v->read, rp->body);
    return rc;
}

static int read_body(struct call *c, struct status *st) {
    const struct value *body;

    if (c->row->operation == OP_ARCHIVE) {
        c->body = &value_undefined;
        return 0;
    }
    if (request_object(c->rq, &body, st) < 0)
        return -1;
    c->body = body;
    return 0;
}

int model_api_handle(struct request *rq, struct reply *rp, struct status *st) {
    struct call c = {.rq = rq, .row = rq->route->data};
    const char *workspace = rq->caller->workspace_id;
    enum model_operation op = c.row->operation;
    bool is_new;

    if (!workspace)
        return st_fail(st, ST_BAD_REQUEST, "access_denied",
                       "name a workspace by the header X-Membrane-Workspace");
    if (rq->route->method == HTTP_GET)
        return read_any(rq, c.row, rp, st);
    if (model_selector_read(rq, c.row, &c.selector, st) < 0 || read_body(&c, st) < 0)
        return -1;
    if (op == OP_CREATE && c.row->family == AT_INSTANCE_ID)
        select_by_body(&c.selector, element_type(c.row->type), c.body);
    is_new = op == OP_CREATE && !c.selector.instance_only;
    if (model_transact(rq->deps, rq->arena, rq->caller, workspace,
                       op == OP_APPLY ? apply
                       : is_new       ? create
                                      : change,
                       &c, st) < 0)
        return -1;
    return op == OP_APPLY ? reply_list(&c, rp, st) : reply_element(&c, rp, c.doc, st);
}
