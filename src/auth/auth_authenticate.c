/*
 * From a bearer token to a caller. Three kinds of token: one that a workspace signed, a
 * random one that we made and keep hashed ("pat-u..." of a person, "pat-c..." of a
 * program), and the session of a person, which we signed with SECRET. Each is verified
 * once and remembered as an identity; the identity of a person does not say which
 * workspace is meant, that is settled for each request.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth_oidc.h"
#include "auth_priv.h"
#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_hash.h"
#include "deps/deps.h"
#include "http/http.h"
#include "store/store.h"
#include "value/value.h"

enum { WORKSPACE, CUSTOMER, USER };

static void identity_unref(void *ptr) {
    struct auth_identity *i = ptr;

    auth_identity_unref(&i);
}

static void workspace_unref(void *ptr) {
    struct auth_workspace *w = ptr;

    auth_workspace_unref(&w);
}

static struct document *document_of(const struct value *v) {
    struct arena *own = arena_new(0);
    const struct value *root = value_copy(own, v);

    return document_new(&own, root);
}

/* Lends until the arena dies; the cache counts its own reference. */
static struct auth_identity *identity_new(struct auth *auth, struct arena *a,
                                          int64_t expires_ms) {
    struct auth_identity *i = calloc(1, sizeof(*i));

    if (!i)
        abort();
    i->refs = 1;
    i->expires_ms = expires_ms;
    i->recheck_ms = auth_monotonic_ms(auth) + AUTH_RECHECK_MS;
    for (int n = 0; n < 3; n++) {
        i->slot[n] = 0;
        i->generation[n] = auth_generation(auth, 0);
    }
    arena_defer(a, identity_unref, i);
    return i;
}

/* Before the document is read. */
static void watch(struct auth *auth, struct auth_identity *i, int n, const char *id) {
    i->slot[n] = auth_generation_slot(id);
    i->generation[n] = auth_generation(auth, i->slot[n]);
}

static void set_workspace(struct auth_identity *i, const struct auth_workspace *w) {
    i->workspace = document_ref(w->public_doc);
    i->slot[WORKSPACE] = auth_generation_slot(w->id);
    i->generation[WORKSPACE] = w->generation;
    i->caller.workspace = document_root(i->workspace);
    i->caller.workspace_id = w->id;
    i->caller.is_read_only = value_get_bool(i->caller.workspace, "isReadOnly", false);
}

static void set_customer(struct auth_identity *i, struct arena *a,
                         const struct value *doc) {
    i->customer = document_of(auth_customer_without_secrets(a, doc));
    i->caller.customer = document_root(i->customer);
    i->caller.customer_id = value_get_string(i->caller.customer, "id", NULL);
    i->caller.is_test = value_get_bool(i->caller.customer, "isTest", false);
}

/* Lends until the arena dies. */
static int hold_workspace(struct auth *auth, struct arena *a, const char *key,
                          struct auth_workspace **ret, struct status *st) {
    int rc = auth_workspace_get(auth, key, ret, st);

    if (rc < 0)
        return -1;
    if (rc == 1)
        return auth_refuse(st, "The token's workspace is not known");
    arena_defer(a, workspace_unref, *ret);
    if ((*ret)->is_disabled)
        return auth_deny(st, "This workspace is disabled");
    return 0;
}

/* ---- Tokens that a workspace signed ---- */

static int from_workspace_token(struct auth *auth, struct arena *a,
                                const struct auth_jwt *jwt, struct auth_identity **ret,
                                struct status *st) {
    struct auth_claims claims;
    struct auth_workspace *w;
    struct auth_identity *i;
    const struct value *customer;
    int64_t expires_ms;

    if (auth_claims_read(a, jwt->claims, &claims, st) < 0)
        return -1;
    if (!claims.workspace_key)
        return auth_refuse(st, "The token names no workspace (iss or workspaceKey)");
    if (hold_workspace(auth, a, claims.workspace_key, &w, st) < 0 ||
        auth_workspace_verify(auth, w, jwt, st) < 0 ||
        auth_jwt_check_times(jwt->claims, auth_now_ms(auth), &expires_ms, st) < 0)
        return -1;
    if (!claims.tenant_key && !claims.is_admin)
        return auth_refuse(st, "The token names no customer (id or tenantKey) and is no "
                               "admin token");
    i = identity_new(auth, a, expires_ms);
    set_workspace(i, w);
    i->caller.is_admin = claims.is_admin;
    if (claims.tenant_key) {
        watch(auth, i, CUSTOMER, auth_customer_slot_id(a, w->id, claims.tenant_key));
        if (auth_customer_upsert(auth, a, w->id, &claims, &customer, st) < 0)
            return -1;
        set_customer(i, a, customer);
    }
    *ret = i;
    return 0;
}

/* ---- Tokens that we keep hashed ---- */

/* Reads the customer twice, because what to watch follows from its document. */
static int set_customer_by_id(struct auth *auth, struct arena *a, struct auth_identity *i,
                              const char *id, struct status *st) {
    const struct value *doc;

    for (int pass = 0; pass < 2; pass++) {
        int rc = store_get(auth->o.store, a, C_CUSTOMERS, id, &doc, st);

        if (rc < 0)
            return -1;
        if (rc == 1 ||
            !value_equals_text(value_get(doc, "workspaceId"), i->caller.workspace_id))
            return auth_refuse(st, "The token's customer is not known");
        watch(auth, i, CUSTOMER,
              auth_customer_slot_id(a, i->caller.workspace_id,
                                    value_get_string(doc, "internalId", "")));
    }
    if (!value_is_nullish(value_get(doc, "archivedAt")))
        return auth_deny(st, "This customer is archived");
    set_customer(i, a, doc);
    return 0;
}

static int set_user(struct auth *auth, struct arena *a, struct auth_identity *i,
                    const char *user_id, struct status *st) {
    const struct value *user;
    int rc;

    watch(auth, i, USER, user_id);
    rc = store_get(auth->o.store, a, C_PLATFORM_USERS, user_id, &user, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        return auth_refuse(st, "The token's user is not known");
    i->user = document_of(user);
    i->caller.platform_user_id = value_get_string(document_root(i->user), "id", "");
    i->caller.is_platform_admin = auth_user_is_platform_admin(user);
    return 0;
}

static int find_by_hash(struct auth *auth, struct arena *a, enum collection c,
                        const char *field, const char *token, const struct value **ret,
                        struct status *st) {
    struct store_query q = {.where =
                                store_eq_text(a, field, crypto_sha256_hex(a, token))};
    int rc = store_find(auth->o.store, a, c, &q, ret, st);

    return rc == 1 ? auth_refuse(st, "The token is not known") : rc;
}

static int from_personal_token(struct auth *auth, struct arena *a, const char *token,
                               struct auth_identity **ret, struct status *st) {
    const struct value *user;

    if (find_by_hash(auth, a, C_PLATFORM_USERS, "patHash", token, &user, st) < 0)
        return -1;
    *ret = identity_new(auth, a, INT64_MAX);
    /* Read again under watch: the token may just have been replaced. */
    if (set_user(auth, a, *ret, value_get_string(user, "id", ""), st) < 0)
        return -1;
    if (!value_equal(value_get(document_root((*ret)->user), "patHash"),
                     value_get(user, "patHash")))
        return auth_refuse(st, "The token is not known");
    return 0;
}

static int from_client_token(struct auth *auth, struct arena *a, const char *token,
                             struct auth_identity **ret, struct status *st) {
    struct auth_identity *i = identity_new(auth, a, INT64_MAX);
    const struct value *doc, *workspace;
    const char *customer_id, *user_id;
    struct auth_workspace *w;
    int rc;

    /* Deleting the token moves the counter of its hash. */
    watch(auth, i, USER, crypto_sha256_hex(a, token));
    if (find_by_hash(auth, a, C_CLIENT_TOKENS, "tokenHash", token, &doc, st) < 0)
        return -1;
    *ret = i;
    user_id = value_get_string(doc, "platformUserId", NULL);
    customer_id = value_get_string(doc, "tenantId", NULL);
    rc = store_get(auth->o.store, a, C_WORKSPACES,
                   value_get_string(doc, "workspaceId", ""), &workspace, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        return auth_refuse(st, "The token's workspace is not known");
    if (hold_workspace(auth, a, value_get_string(workspace, "key", ""), &w, st) < 0)
        return -1;
    set_workspace(i, w);
    i->caller.is_admin = !customer_id;
    if (user_id && !customer_id) {
        const struct value *user;
        struct auth_access access;

        rc = store_get(auth->o.store, a, C_PLATFORM_USERS, user_id, &user, st);
        if (rc == 0)
            rc = auth_user_access(auth, a, user, workspace, &access, st);
        if (rc < 0)
            return -1;
        if (rc == 1)
            return auth_deny(st, "The token's user may not enter this workspace");
        i->caller.is_admin = access.is_manager;
        i->caller.is_read_only |= access.is_read_only;
    }
    return customer_id ? set_customer_by_id(auth, a, i, customer_id, st) : 0;
}

/* ---- Sessions ---- */

static bool verify_session(const struct auth *auth, const struct auth_jwt *jwt) {
    const char *rest = auth->o.secret_previous;

    if (jwt->alg != CRYPTO_HS256)
        return false;
    if (crypto_verify_shared(jwt->alg,
                             (struct bytes){auth->o.secret, strlen(auth->o.secret)},
                             jwt->input, jwt->signature))
        return true;
    while (rest && *rest) {
        size_t len = strcspn(rest, ",");

        if (len && crypto_verify_shared(jwt->alg, (struct bytes){rest, len}, jwt->input,
                                        jwt->signature))
            return true;
        rest += len + (rest[len] == ',');
    }
    return false;
}

static int from_session(struct auth *auth, struct arena *a, const struct auth_jwt *jwt,
                        struct auth_identity **ret, struct status *st) {
    const char *user_id = value_get_string(jwt->claims, "sub", "");
    const char *session_id = value_get_string(jwt->claims, "sid", "");
    const struct value *session;
    int64_t expires_ms;
    int rc;

    if (!verify_session(auth, jwt))
        return auth_refuse(st, "The session's signature is not valid");
    if (auth_jwt_check_times(jwt->claims, auth_now_ms(auth), &expires_ms, st) < 0)
        return -1;
    *ret = identity_new(auth, a, expires_ms);
    if (set_user(auth, a, *ret, user_id, st) < 0)
        return -1;
    rc = store_get(auth->o.store, a, C_SESSIONS, session_id, &session, st);
    if (rc < 0)
        return -1;
    if (rc == 1 || !value_equals_text(value_get(session, "userId"), user_id))
        return auth_refuse(st, "The session has ended");
    return 0;
}

static int from_provider(struct auth *auth, struct arena *a, const struct auth_jwt *jwt,
                         struct auth_identity **ret, struct status *st) {
    const char *user_id;
    int64_t expires_ms;

    if (auth_oidc_verify(auth, a, jwt, &user_id, &expires_ms, st) < 0)
        return -1;
    *ret = identity_new(auth, a, expires_ms);
    return set_user(auth, a, *ret, user_id, st);
}

/* ---- Requests ---- */

static int verify(struct auth *auth, struct arena *a, const char *token,
                  struct auth_identity **ret, struct status *st) {
    struct auth_jwt jwt;

    if (!strncmp(token, "pat-c", 5))
        return from_client_token(auth, a, token, ret, st);
    if (!strncmp(token, "pat-", 4))
        return from_personal_token(auth, a, token, ret, st);
    if (auth_jwt_parse(a, token, &jwt, st) < 0)
        return -1;
    if (value_equals_text(value_get(jwt.claims, "iss"), AUTH_SESSION_ISSUER))
        return from_session(auth, a, &jwt, ret, st);
    if (auth_oidc_issued(auth, &jwt))
        return from_provider(auth, a, &jwt, ret, st);
    return from_workspace_token(auth, a, &jwt, ret, st);
}

/* 1: the token has to be verified, which may block. */
static int identify(struct auth *auth, struct arena *a, const char *token, bool may_block,
                    struct auth_identity **ret, struct status *st) {
    size_t len = strnlen(token, AUTH_TOKEN_MAX + 1);
    unsigned char digest[CRYPTO_SHA256_LEN];
    struct auth_identity *i = NULL;

    if (len > AUTH_TOKEN_MAX)
        return auth_refuse(st, "The token is longer than %d bytes", AUTH_TOKEN_MAX);
    crypto_sha256(token, len, digest);
    i = token_cache_find(auth, digest);
    if (i) {
        arena_defer(a, identity_unref, i);
    } else {
        if (!may_block)
            return 1;
        if (verify(auth, a, token, &i, st) < 0)
            return -1;
        token_cache_put(auth, digest, i);
    }
    *ret = i;
    return 0;
}

/* A person names the workspace by id or key. */
static int enter_workspace(struct auth *auth, struct request *rq,
                           const struct auth_identity *i, struct caller *c,
                           struct status *st) {
    const struct value *user = document_root(i->user), *doc;
    const char *name = request_header(rq, "x-membrane-workspace");
    struct auth_access access;
    struct auth_workspace *w;
    const char *key = NULL;
    int rc;

    if (!name || !*name)
        name = request_query(rq, "workspaceKey");
    if (!name)
        name = value_get_string(user, "defaultWorkspaceId", NULL);
    if (!name)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "Name the workspace in the header X-Membrane-Workspace");
    rc = store_get(auth->o.store, rq->arena, C_WORKSPACES, name, &doc, st);
    if (rc < 0)
        return -1;
    key = rc == 0 ? value_get_string(doc, "key", "") : name;
    rc = auth_workspace_get(auth, key, &w, st);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        arena_defer(rq->arena, workspace_unref, w);
        rc = auth_user_access(auth, rq->arena, user, document_root(w->public_doc),
                              &access, st);
    }
    if (rc < 0)
        return -1;
    if (rc == 1)
        return auth_deny(st, "You have no access to this workspace");
    c->workspace = document_root(w->public_doc);
    c->workspace_id = w->id;
    c->is_admin = access.is_manager;
    c->is_read_only =
        access.is_read_only || value_get_bool(c->workspace, "isReadOnly", false);
    return 0;
}

/* 1: a thread that may block is needed. */
static int make_caller(struct request *rq, const char *token, bool may_block,
                       struct caller **ret, struct status *st) {
    struct auth *auth = rq->deps->auth;
    const char *version = request_header(rq, "membrane-api-version");
    struct caller *c = arena_alloc(rq->arena, sizeof(*c));
    struct auth_identity *i = NULL;
    int rc = identify(auth, rq->arena, token, may_block, &i, st);

    if (rc)
        return rc;
    if (i->caller.platform_user_id && !may_block)
        return 1;
    *c = i->caller;
    c->api_version = version && !strcmp(version, "2025-10-21") ? "2025-10-21" : "legacy";
    if (c->platform_user_id && rq->route->access != ACCESS_PLATFORM &&
        enter_workspace(auth, rq, i, c, st) < 0)
        return -1;
    *ret = c;
    return 0;
}

static const char *bearer(struct request *rq) {
    const char *header = request_header(rq, "authorization");

    if (!header)
        return request_query(rq, "token");
    if (strncasecmp(header, "bearer ", 7))
        return NULL;
    header += 7;
    while (*header == ' ')
        header++;
    return *header ? header : NULL;
}

bool auth_may_see_secrets(const struct caller *c) {
    return !c || (c->is_admin && !(c->platform_user_id && c->is_read_only));
}

static bool reads_only(const struct request *rq) {
    return rq->method == HTTP_GET || rq->method == HTTP_HEAD ||
           rq->method == HTTP_OPTIONS || rq->route->flags & ROUTE_READS;
}

/*
 * A read-only workspace stays usable for its customers (they connect and run; the model
 * refuses to change elements); a person who may only read changes nothing at all.
 */
static int check_access(const struct request *rq, const struct caller *c,
                        struct status *st) {
    bool is_person = c->platform_user_id;

    switch (rq->route->access) {
    case ACCESS_NONE:
        return 0;
    case ACCESS_CUSTOMER:
        if (is_person && c->is_read_only && !reads_only(rq))
            return auth_deny(st, "You may only read in this workspace");
        return 0;
    case ACCESS_ADMIN:
        if (!c->is_admin)
            return auth_deny(st, "This needs an admin token of the workspace");
        if (c->is_read_only && !reads_only(rq))
            return auth_deny(st, "You may only read in this workspace");
        return 0;
    case ACCESS_PLATFORM:
        if (!c->platform_user_id)
            return auth_deny(st, "This needs the token of a platform user");
        return 0;
    }
    return auth_deny(st, "Unknown kind of access");
}

int auth_authenticate(struct request *rq, struct status *st) {
    struct caller *c;
    const char *token;
    int rc;

    if (rq->route->access == ACCESS_NONE)
        return 0;
    token = bearer(rq);
    if (!token)
        return auth_refuse(st, "Send a token: Authorization: Bearer ...");
    rc = make_caller(rq, token, rq->may_block, &c, st);
    if (rc)
        return rc;
    if (check_access(rq, c, st) < 0)
        return -1;
    rq->caller = c;
    return 0;
}

int auth_caller_from_token(struct request *rq, const char *token,
                           const struct caller **ret_caller, struct status *st) {
    struct caller *c;

    if (make_caller(rq, token, true, &c, st) < 0)
        return -1;
    *ret_caller = c;
    return 0;
}
