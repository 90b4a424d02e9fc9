/*
 * connection_connect.c - connecting from a browser: the form that starts it, the app's
 * way back, and the delivery of the result (engine.md 7.4 to 7.6, api.md 8.4).
 *
 * Whatever happens, the browser gets a page or a redirect that carries the result, and
 * the same message goes to the client's event stream. Between the two requests of OAuth
 * the call's payload waits in the store: sealed, since it may hold what the user typed,
 * under the hash of the state, for ten minutes, and whoever deletes it goes on with it,
 * so that a state works once.
 *
 * A redirect only follows a valid token or state: an address that anybody put into a link
 * must not lead elsewhere in our name.
 */
#include <string.h>
#include <strings.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "connection_priv.h"
#include "crypto/crypto_hash.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_server.h"
#include "model/model.h"
#include "store/store.h"
#include "value/value.h"
#include "value/value_status.h"

#define STATE_LIFE_MS  (10 * 60 * INT64_C(1000))
#define TEXT_MAX       4000
#define ERROR_DATA_MAX 4000 /* of an address */

/* One call, from its payload to its result. */
struct connect {
    struct request *rq;
    const struct value *payload; /* object, checked */
    const struct value *given;   /* the payload before a connection request joined it */
    const struct value *kept;    /* what OAuth needs on the way back */
    const char *customer_id;     /* NULL until it is known who calls */
    const char *request_id, *redirect_uri, *connection_request_id; /* or NULL */
    const struct value *choice; /* options that the person has to choose from; or NULL */
    struct connection_draft draft;
};

/* ---- The payload ---- */

static bool is_web_address(const char *s) {
    return (strncasecmp(s, "https://", 8) == 0 || strncasecmp(s, "http://", 7) == 0) &&
           !strpbrk(s, " \t\r\n\"<>\\");
}

static int bad_field(struct status *st, const char *name, const char *what) {
    return st_fail_data(st, ST_BAD_REQUEST, NULL,
                        value_obj(st->arena, "path", value_string(st->arena, name), NULL),
                        "%s: %s", name, what);
}

static int check_texts(const struct value *payload, struct status *st) {
    static const char *const texts[] = {"token",
                                        "requestId",
                                        "integrationKey",
                                        "integrationId",
                                        "connectorId",
                                        "connectorKey",
                                        "connectorVersion",
                                        "connectionId",
                                        "connectionKey",
                                        "name",
                                        "authOptionKey",
                                        "connectionRequestId",
                                        "redirectUri",
                                        "customState",
                                        "intent"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const struct value *v = value_get(payload, texts[i]);

        if (value_is_nullish(v))
            continue;
        if (!value_is_string(v))
            return bad_field(st, texts[i], "must be text");
        if (strcmp(texts[i], "token") != 0 &&
            (v->len > TEXT_MAX || strlen(v->str) != v->len))
            return bad_field(st, texts[i], "is too long or holds a NUL character");
    }
    return 0;
}

/* Query fields are text: objects come as JSON, true as "1" or "true". */
static int read_field(struct arena *a, const char *name, const struct value *v,
                      struct object_builder *b, struct status *st) {
    static const char *const objects[] = {"input", "connectionParameters",
                                          "connectorParameters"};

    for (size_t i = 0; i < sizeof(objects) / sizeof(*objects); i++)
        if (strcmp(name, objects[i]) == 0 && value_is_string(v)) {
            if (v->len == 0)
                return 0;
            if (value_parse(a, v->str, v->len, NULL, &v, st) < 0)
                return st_context(st, "%s", name);
        }
    if (strcmp(name, "allowMultipleConnections") == 0)
        v = value_bool(value_is_true(v) || value_equals_text(v, "1") ||
                       value_equals_text(v, "true"));
    if (!value_is_nullish(v) && !(value_is_string(v) && v->len == 0))
        object_set(b, name, v);
    return 0;
}

static int read_payload(struct connect *c, struct status *st) {
    struct request *rq = c->rq;
    struct arena *a = rq->arena;
    const struct value *body, *all, *text;
    struct object_builder b;

    if (request_object(rq, &body, st) < 0)
        return -1;
    all = value_merge(a, rq->query, body);
    text = value_get(all, "payload");
    if (value_is_string(text)) {
        const struct value *inner;

        if (value_parse(a, text->str, text->len, NULL, &inner, st) < 0)
            return st_context(st, "payload");
        if (!value_is_object(inner))
            return bad_field(st, "payload", "must be an object");
        all = value_merge(a, all, inner);
    } else if (value_is_object(text)) {
        all = value_merge(a, all, text);
    }
    object_begin(&b, a, 24);
    for (VALUE_EACH_MEMBER(m, all))
        if (strcmp(m->key, "payload") != 0 &&
            read_field(a, m->key, &m->value, &b, st) < 0)
            return -1;
    c->payload = object_end(&b);
    return 0;
}

/* Where the result goes; the redirect counts only once it is known who calls. */
static int read_delivery(struct connect *c, struct status *st) {
    const char *id = value_get_string(c->payload, "requestId", NULL);
    const char *uri = value_get_string(c->payload, "redirectUri", NULL);

    if (id && strlen(id) > 100)
        return bad_field(st, "requestId", "is longer than 100 characters");
    c->request_id = id;
    if (uri && !is_web_address(uri))
        return bad_field(st, "redirectUri", "must be an http or https address");
    if (c->customer_id)
        c->redirect_uri = uri;
    return 0;
}

static int identify(struct connect *c, struct status *st) {
    struct request *rq = c->rq;
    const char *token = value_get_string(c->payload, "token", NULL);
    const struct caller *caller;

    if (!token)
        return st_fail(st, ST_BAD_REQUEST, "not_authenticated",
                       "Send the customer's token in the payload");
    if (auth_caller_from_token(rq, token, &caller, st) < 0)
        return -1;
    rq->caller = arena_alloc(rq->arena, sizeof(*rq->caller));
    *rq->caller = *caller;
    if (!caller->customer_id)
        return st_fail(st, ST_BAD_REQUEST, NULL, "Use the token of a customer");
    c->customer_id = caller->customer_id;
    return 0;
}

/* The fields of a connection request stand below those of the call that answers it. */
static int join_request(struct connect *c, struct status *st) {
    const char *id = value_get_string(c->payload, "connectionRequestId", NULL);
    const struct value *fields;

    if (!id)
        return 0;
    if (connection_request_open(c->rq->deps, c->rq->arena, c->rq->caller, id, &fields,
                                st) < 0)
        return -1;
    c->connection_request_id = id;
    c->given = c->payload;
    c->payload = value_merge(c->rq->arena, fields, c->payload);
    return read_delivery(c, st);
}

/* ---- Delivery ---- */

static int redirect(struct reply *rp, const char *location) {
    reply_empty(rp, 302);
    reply_header(rp, "Location", location);
    reply_header(rp, "Cache-Control", "no-store");
    reply_header(rp, "Referrer-Policy", "no-referrer");
    return 0;
}

/* The application's address with the result in its query; its fragment stays. */
static int redirect_back(struct connect *c, struct reply *rp, const struct value *query,
                         struct status *st) {
    const char *fragment = strchr(c->redirect_uri, '#'), *url;

    if (external_build_url(c->rq->arena, NULL, c->redirect_uri, NULL, query, &url, st) <
        0)
        return -1;
    return redirect(rp,
                    arena_printf(c->rq->arena, "%s%s", url, fragment ? fragment : ""));
}

static void publish(struct connect *c, const struct value *message) {
    if (c->request_id && c->customer_id)
        connection_events_publish(c->rq->deps->connection_events, c->request_id,
                                  c->customer_id, message);
}

static const struct value *message_of(struct connect *c, const char *type) {
    struct arena *a = c->rq->arena;

    return value_obj(a, "source", value_string(a, "integration.app"), "requestId",
                     c->request_id ? value_string(a, c->request_id) : NULL, "type",
                     value_string(a, type), NULL);
}

static int deliver(struct connect *c, struct reply *rp, const struct value *connection,
                   struct status *st) {
    struct arena *a = c->rq->arena;
    const char *id = value_get_string(connection, "id", "");
    const struct value *served, *message;

    if (connection_render(c->rq, connection, &served, st) < 0)
        return -1;
    message = value_with(a, message_of(c, "newConnectionCreated"), "connection", served);
    if (c->connection_request_id)
        connection_request_finish(c->rq->deps, a, c->connection_request_id, id, NULL);
    publish(c, message);
    if (c->redirect_uri)
        return redirect_back(c, rp,
                             value_obj(a, "connectionId", value_string(a, id), NULL), st);
    return connection_page(c->rq, rp, 200, message,
                           "Connected. You can close this window.");
}

/* errorData must fit into an address: what is too long for it goes without details. */
static const struct value *error_query(struct arena *a, const struct status *why) {
    static const char *const short_names[] = {"type", "key", "message", NULL};
    const struct value *data = value_from_status(a, why);
    struct bytes text = value_encode_arena(a, data, VALUE_ENCODE_COMPACT);

    if (text.len > ERROR_DATA_MAX)
        text =
            value_encode_arena(a, value_pick(a, data, short_names), VALUE_ENCODE_COMPACT);
    return value_obj(a, "error", value_string(a, why->message ? why->message : ""),
                     "errorData", value_string_len(a, text.data, text.len), NULL);
}

static int deliver_failure(struct connect *c, struct reply *rp, const struct status *why,
                           struct status *st) {
    struct arena *a = c->rq->arena;
    const struct value *reconnected = value_get(c->payload, "connectionId");
    const char *text = why->message ? why->message : "Something went wrong";
    const struct value *message =
        value_merge(a, message_of(c, "newConnectionFailure"),
                    value_obj(a, "error", value_string(a, text), "errorData",
                              value_from_status(a, why), "connectionId",
                              value_is_string(reconnected) ? reconnected : NULL, NULL));

    if (c->connection_request_id)
        connection_request_finish(c->rq->deps, a, c->connection_request_id, NULL, why);
    publish(c, message);
    if (c->redirect_uri)
        return redirect_back(c, rp, error_query(a, why), st);
    return connection_page(c->rq, rp, st_http_code(why), message,
                           arena_printf(a, "Could not connect: %s", text));
}

/* Ends a request with the connection, the address to go to, or the failure. */
static int answer(struct connect *c, struct reply *rp, int rc, const char *location,
                  const struct value *connection, struct status *st) {
    struct status why;

    if (rc == 0 && location)
        return redirect(rp, location);
    if (rc == 0 && deliver(c, rp, connection, st) == 0)
        return 0;
    why = *st;
    st_clear(st);
    return deliver_failure(c, rp, &why, st);
}

/* ---- Starting ---- */

static const struct value *connection_body(struct connect *c) {
    static const char *const same[] = {"integrationId",
                                       "integrationKey",
                                       "connectorId",
                                       "connectorKey",
                                       "name",
                                       "input",
                                       "connectorVersion",
                                       "authOptionKey",
                                       "connectionParameters",
                                       "connectorParameters",
                                       "allowMultipleConnections",
                                       NULL};
    const struct value *body = value_pick(c->rq->arena, c->payload, same);
    const struct value *key = value_get(c->payload, "connectionKey");

    return value_is_string(key) ? value_with(c->rq->arena, body, "key", key) : body;
}

/* The key of the option to use: the named one, else the only one. */
static int choose_option(struct connect *c, struct status *st) {
    struct arena *a = c->rq->arena;
    const struct value *options, *key;

    if (value_is_string(value_get(c->payload, "authOptionKey")))
        return 0;
    if (connection_options(c->rq->deps, a, c->rq->caller, c->payload, &options, st) < 0)
        return -1;
    if (value_items_count(options) == 0)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the connector has no way to connect that can be used");
    if (value_items_count(options) > 1)
        c->choice = options;
    if (c->choice)
        return st_fail_data(st, ST_BAD_REQUEST, NULL,
                            value_obj(a, "options", options, NULL),
                            "the app can be connected in several ways: name one by "
                            "authOptionKey");
    key = value_get(value_at(options, 0), "key");
    if (value_is_string(key))
        c->payload = value_with(a, c->payload, "authOptionKey", key);
    return 0;
}

static int open_draft(struct connect *c, struct status *st) {
    struct request *rq = c->rq;
    const char *id = value_get_string(c->payload, "connectionId", NULL);
    struct model_view *v =
        model_view_new(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id);
    const struct model_selector sel = {.connection_id = id};
    const struct value *existing = NULL;

    if (id && model_resolve_connection(v, &sel, &existing, st) < 0)
        return -1;
    if (existing && !value_equals_text(value_get(existing, "tenantId"), c->customer_id))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Connection \"%.100s\" not found",
                       id);
    if (existing && !value_has(c->payload, "authOptionKey"))
        c->payload = value_with(rq->arena, c->payload, "authOptionKey",
                                value_get(existing, "authOptionKey"));
    if (choose_option(c, st) < 0 ||
        connection_draft_open(rq->deps, rq->arena, rq->caller, c->customer_id, existing,
                              connection_body(c), &c->draft, st) < 0)
        return -1;
    c->draft.request_id = c->connection_request_id;
    return 0;
}

/* Keeps the call for the way back, which must bring `key`: only its hash is stored. */
static int keep(struct connect *c, const char *key, const struct value *more,
                struct status *st) {
    struct request *rq = c->rq;
    struct arena *a = rq->arena;
    const struct caller *caller = rq->caller;
    const char *id = crypto_sha256_hex(a, key);
    int64_t now = clock_now_ms(rq->deps->clock);
    const struct value *sealed = value_with(
        a, more, "payload", value_with(a, c->payload, "token", &value_undefined));
    const struct value *doc =
        value_obj(a, "id", value_string(a, id), "workspaceId",
                  value_string(a, caller->workspace_id), "tenantId",
                  value_string(a, c->customer_id), "isTest", value_bool(caller->is_test),
                  "apiVersion", value_string(a, caller->api_version), "expiresAtMs",
                  value_number(a, (double)(now + STATE_LIFE_MS)), "sealed",
                  value_string(a, crypto_seal(rq->deps->sealer, a, id, sealed)), NULL);

    if (store_delete_many(
            rq->deps->store, C_OAUTH_STATES,
            store_cmp(a, STORE_LT, "expiresAtMs", value_number(a, (double)now)), NULL,
            st) < 0)
        return -1;
    return store_insert(rq->deps->store, C_OAUTH_STATES, doc, st);
}

static int start_oauth2(struct connect *c, const char *redirect_uri,
                        const char **ret_location, struct status *st) {
    struct request *rq = c->rq;
    struct arena *a = rq->arena;
    const char *state = token_new(rq->deps->rand, a, 32);
    const char *custom = value_get_string(c->payload, "customState", NULL);
    const struct connection_oauth2 o = {
        .redirect_uri = redirect_uri,
        .state = custom ? arena_printf(a, "%s:%s", state, custom) : state,
        .verifier = token_new(rq->deps->rand, a, 32),
    };

    if (connection_oauth2_authorize(&c->draft.session, &o, ret_location, st) < 0)
        return connection_draft_fail(&c->draft, st);
    return keep(c, state,
                value_obj(a, "verifier", value_string(a, o.verifier), "redirectUri",
                          value_string(a, redirect_uri), NULL),
                st);
}

/* Many apps drop a state: the request token is what comes back for sure. */
static const char *oauth1_key(struct arena *a, const char *token) {
    return arena_printf(a, "oauth1:%s", token);
}

static int start_oauth1(struct connect *c, const char *redirect_uri,
                        const char **ret_location, struct status *st) {
    struct arena *a = c->rq->arena;
    struct connection_oauth1 token;

    if (connection_oauth1_authorize(&c->draft.session, redirect_uri, &token, ret_location,
                                    st) < 0)
        return connection_draft_fail(&c->draft, st);
    return keep(c, oauth1_key(a, token.token),
                value_obj(a, "requestToken", value_string(a, token.token),
                          "requestTokenSecret", value_string(a, token.secret),
                          "redirectUri", value_string(a, redirect_uri), NULL),
                st);
}

/* Apps whose input may be a ready token need no consent. */
static bool is_input_enough(const struct connection_draft *d) {
    return value_is_object(
               value_get(d->target.option, "getCredentialsFromConnectionParameters")) &&
           value_members_count(d->secrets.input) > 0;
}

static int start(struct connect *c, const char **ret_location,
                 const struct value **ret_connection, struct status *st) {
    struct connection_draft *d = &c->draft;
    const struct value *type;
    const char *redirect_uri;

    if (read_payload(c, st) < 0 || check_texts(c->payload, st) < 0 ||
        read_delivery(c, st) < 0 || identify(c, st) < 0 || read_delivery(c, st) < 0 ||
        join_request(c, st) < 0 || open_draft(c, st) < 0 ||
        connection_draft_check_input(d, st) < 0 || connection_draft_session(d, st) < 0)
        return -1;
    type = value_get(d->target.option, "type");
    if (!connection_draft_is_interactive(d) ||
        (value_equals_text(type, "oauth2") && is_input_enough(d))) {
        if (connection_draft_use_input(d, st) < 0)
            return -1;
        return connection_draft_store(d, CONNECTION_KEEP_WORKING, ret_connection, st);
    }
    redirect_uri =
        connection_callback_uri(c->rq->deps, c->rq->arena, d->target.integration);
    if (value_equals_text(type, "oauth2"))
        return start_oauth2(c, redirect_uri, ret_location, st);
    if (value_equals_text(type, "oauth1"))
        return start_oauth1(c, redirect_uri, ret_location, st);
    st_fail(st, ST_CONFIGURATION, NULL,
            "this server can't connect with the auth type \"%.60s\"",
            value_get_string(d->target.option, "type", ""));
    return connection_draft_fail(d, st);
}

static int connect_app(struct request *rq, struct reply *rp, struct status *st) {
    struct connect c = {
        .rq = rq, .payload = &value_empty_object, .kept = &value_empty_object};
    const struct value *connection = NULL;
    const char *location = NULL;
    int rc = start(&c, &location, &connection, st);

    if (rc < 0 && c.choice) {
        st_clear(st);
        /* Its form holds what the browser sent, never the request's own secrets: the
         * choice names the request again. */
        return connection_choice_page(rq, rp, c.given ? c.given : c.payload, c.choice);
    }
    return answer(&c, rp, rc, location, connection, st);
}

/* ---- The way back ---- */

static int unknown_state(struct status *st) {
    return st_fail(st, ST_BAD_REQUEST, NULL,
                   "this attempt to connect is unknown, over, or was used: start again");
}

/* A caller as it was when the consent page was opened. */
static int restore_caller(struct connect *c, const struct value *doc, struct status *st) {
    static const char *const hidden[] = {"secret", "engineAccessToken", NULL};
    struct request *rq = c->rq;
    struct caller *caller = arena_alloc(rq->arena, sizeof(*caller));
    const char *id = value_get_string(doc, "workspaceId", "");
    int rc;

    *caller = (struct caller){
        .workspace_id = id,
        .customer_id = value_get_string(doc, "tenantId", ""),
        .is_test = value_is_true(value_get(doc, "isTest")),
        .api_version = value_get_string(doc, "apiVersion", "legacy"),
    };
    rc = store_get(rq->deps->store, rq->arena, C_WORKSPACES, id, &caller->workspace, st);
    if (rc == 0)
        rc = auth_find_customer(rq->deps, rq->arena, id, caller->customer_id,
                                &caller->customer, st);
    if (rc)
        return rc < 0 ? -1 : unknown_state(st);
    caller->workspace = value_omit(rq->arena, caller->workspace, hidden);
    rq->caller = caller;
    c->customer_id = caller->customer_id;
    return 0;
}

/* Takes what was kept under a key; nobody can take it again. */
static int take(struct connect *c, const char *key, struct status *st) {
    struct request *rq = c->rq;
    struct arena *a = rq->arena;
    const char *id = crypto_sha256_hex(a, key);
    const struct value *doc;
    int rc = store_get(rq->deps->store, a, C_OAUTH_STATES, id, &doc, st);

    if (rc == 0)
        rc = store_delete(rq->deps->store, C_OAUTH_STATES, id, NULL, st);
    if (rc < 0)
        return -1;
    if (rc == 1 ||
        value_get_number(doc, "expiresAtMs", 0) < (double)clock_now_ms(rq->deps->clock))
        return unknown_state(st);
    if (crypto_unseal(rq->deps->sealer, a, id, value_get_string(doc, "sealed", ""),
                      &c->kept, st) < 0 ||
        restore_caller(c, doc, st) < 0)
        return -1;
    c->payload = value_get(c->kept, "payload");
    return read_delivery(c, st);
}

/* The customer's own callback passes on a code of a flow that it began itself: there is a
 * token instead of a state, and no PKCE. */
static int begin_outside(struct connect *c, struct status *st) {
    struct arena *a = c->rq->arena;
    const struct value *q = c->rq->query;

    c->payload = value_obj(a, "token", value_get(q, "token"), "integrationKey",
                           value_get(q, "integration"), "redirectUri",
                           value_get(q, "redirectUri"), NULL);
    if (check_texts(c->payload, st) < 0 || read_delivery(c, st) < 0 ||
        identify(c, st) < 0)
        return -1;
    return read_delivery(c, st);
}

/* The app's own words, when it sent the user back without a code. */
static int check_refusal(struct connect *c, struct status *st) {
    const struct value *q = c->rq->query, *error = value_get(q, "error");
    struct arena *a = c->rq->arena;

    if (request_query(c->rq, "denied"))
        return st_fail(st, ST_CONNECTION, NULL, "the app was not allowed to connect");
    if (!value_is_string(error) || error->len == 0)
        return 0;
    return st_fail_data(st, ST_CONNECTION, NULL,
                        value_obj(a, "error", error, "errorDescription",
                                  value_get(q, "error_description"), NULL),
                        "%.300s", value_get_string(q, "error_description", error->str));
}

/* Which call is this the way back of? */
static int resume(struct connect *c, struct status *st) {
    struct arena *a = c->rq->arena;
    const char *state = request_query(c->rq, "state");
    const char *token = request_query(c->rq, "oauth_token");

    if (!token)
        token = request_query(c->rq, "denied"); /* oauth1: a refusal */
    if (token)
        return take(c, oauth1_key(a, token), st);
    if (state) /* what follows the colon is the application's */
        return take(c, arena_printf(a, "%.*s", (int)strcspn(state, ":"), state), st);
    return request_query(c->rq, "token") ? begin_outside(c, st) : unknown_state(st);
}

static int exchange(struct connect *c, const struct value **ret_credentials,
                    struct status *st) {
    struct connection_session *s = &c->draft.session;
    struct request *rq = c->rq;
    const char *redirect_uri = value_get_string(c->kept, "redirectUri", NULL);
    const char *verifier = request_query(rq, "oauth_verifier");
    const struct connection_oauth1 token = {
        .token = value_get_string(c->kept, "requestToken", NULL),
        .secret = value_get_string(c->kept, "requestTokenSecret", ""),
    };
    const char *type = token.token ? "oauth1" : "oauth2";

    if (!redirect_uri)
        redirect_uri =
            connection_callback_uri(rq->deps, rq->arena, c->draft.target.integration);
    if (!value_equals_text(value_get(s->external.option, "type"), type))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the app is not connected by %s", type);
    if (check_refusal(c, st) < 0)
        return -1;
    if (token.token)
        return connection_oauth1_exchange(s, redirect_uri, &token, verifier,
                                          ret_credentials, st);
    return connection_oauth2_exchange(
        s,
        &(struct connection_oauth2){
            .redirect_uri = redirect_uri,
            .state = request_query(rq, "state"),
            .verifier = value_get_string(c->kept, "verifier", NULL),
        },
        rq->query, ret_credentials, st);
}

static int finish(struct connect *c, const struct value **ret_connection,
                  struct status *st) {
    struct connection_draft *d = &c->draft;
    const struct value *credentials;

    if (resume(c, st) < 0)
        return -1;
    c->connection_request_id = value_get_string(c->payload, "connectionRequestId", NULL);
    if (open_draft(c, st) < 0 || connection_draft_session(d, st) < 0)
        return -1;
    if (exchange(c, &credentials, st) < 0)
        return connection_draft_fail(d, st);
    connection_draft_use(d, credentials);
    return connection_draft_store(d, CONNECTION_KEEP_WORKING, ret_connection, st);
}

static int callback(struct request *rq, struct reply *rp, struct status *st) {
    struct connect c = {
        .rq = rq, .payload = &value_empty_object, .kept = &value_empty_object};
    const struct value *connection = NULL;
    int rc = finish(&c, &connection, st);

    return answer(&c, rp, rc, NULL, connection, st);
}

#define QUERY                                                                            \
    "token,requestId,integrationKey,integrationId,connectorId,connectorKey,"             \
    "connectorVersion,connectionId,connectionKey,connectionParameters,input,name,"       \
    "connectorParameters,authOptionKey,allowMultipleConnections,connectionRequestId,"    \
    "redirectUri,customState"

/* clang-format off */
static const struct route rows[] = {
    {HTTP_POST, "/connect",          connect_app, ACCESS_NONE, 0, "Starts connecting an app from a browser's form.", NULL, NULL, NULL, NULL},
    {HTTP_GET,  "/connect",          connect_app, ACCESS_NONE, 0, "Starts connecting an app from a link.", QUERY, NULL, NULL, NULL},
    {HTTP_POST, "/connection-popup", connect_app, ACCESS_NONE, 0, "POST /connect for older clients.", "connectionId,integrationId", NULL, NULL, NULL},
    {HTTP_GET,  "/connection-popup", connect_app, ACCESS_NONE, 0, "GET /connect for older clients.", QUERY, NULL, NULL, NULL},
    {HTTP_GET,  "/oauth-callback",   callback,    ACCESS_NONE, 0, "Where apps send the browser back to.", "code,state,error,error_description,oauth_token,oauth_verifier,denied,integration,token,redirectUri", NULL, NULL, NULL},
};
/* clang-format on */

void connection_connect_routes(struct http_router *r) {
    http_router_add(r, rows, sizeof(rows) / sizeof(*rows));
}
