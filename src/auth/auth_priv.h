/*
 * auth_priv.h - what the files of auth/ share.
 */
#ifndef AUTH_AUTH_PRIV_H
#define AUTH_AUTH_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth.h"
#include "auth_jwt.h"

struct crypto_key;
struct document;
struct jwks_cache;
struct oidc_provider;
struct store_filter;
struct token_cache;
struct tries;
struct workspace_cache;

enum {
    AUTH_RECHECK_MS = 5000, /* how long another process's change may go unnoticed */
    AUTH_GENERATIONS = 1024,
};

#define AUTH_SESSION_ISSUER "membrane-console"

struct auth {
    struct auth_options o; /* texts are copies */
    struct arena *arena;
    struct token_cache *tokens;
    struct workspace_cache *workspaces;
    struct jwks_cache *jwks;
    struct tries *tries;
    struct oidc_provider *oidc;
    /*
     * What was remembered under an id is stale once the counter of its slot has moved.
     * Read before the documents are, so that a change in between is not missed.
     */
    atomic_uint generation[AUTH_GENERATIONS];
};

unsigned auth_generation_slot(const char *id);
unsigned auth_generation(const struct auth *auth, unsigned slot);

int64_t auth_now_ms(const struct auth *auth);
int64_t auth_monotonic_ms(const struct auth *auth);

/* ---- Workspaces and their keys (auth_workspace.c) ---- */

struct auth_workspace {
    atomic_uint refs;
    struct document *public_doc; /* without secrets */
    const char *id, *key;        /* lend from it */
    char *secret;                /* "" when it can't be used */
    struct crypto_key **keys;    /* stored public keys that we can read */
    size_t keys_len;
    const char *jwks_uri; /* lends from public_doc; or NULL */
    bool is_disabled;
    unsigned generation;
    int64_t loaded_ms; /* monotonic */
};

struct workspace_cache *workspace_cache_new(void);
void workspace_cache_free(struct workspace_cache **c);
/* By key; gives. 1: there is no such workspace, or it is archived. */
int auth_workspace_get(struct auth *auth, const char *key,
                       struct auth_workspace **ret_workspace, struct status *st);
struct auth_workspace *auth_workspace_from_doc(struct auth *auth,
                                               const struct value *doc);
void auth_workspace_unref(struct auth_workspace **w);
/* Is the token signed by the workspace? -1 not_authenticated, or 503 without its key set.
 */
int auth_workspace_verify(struct auth *auth, const struct auth_workspace *w,
                          const struct auth_jwt *jwt, struct status *st);
/* The document without what never leaves the server. */
const struct value *auth_workspace_public(struct arena *a, const struct value *doc);
/* As /workspaces shows it: with effective limits. */
const struct value *auth_workspace_engine_view(struct request *rq,
                                               const struct value *doc);
/* As /org-workspaces shows it: with the secret, or "" for those who may only read. */
const struct value *auth_workspace_owner_view(struct request *rq, const struct value *doc,
                                              bool with_secret);
/* The signing secret in clear; NULL when there is none or it can't be opened. */
const char *auth_workspace_secret(const struct crypto_sealer *s, struct arena *a,
                                  const struct value *doc);

/* ---- Key sets (auth_jwks.c) ---- */

struct key_set {
    atomic_uint refs;
    struct crypto_key **keys;
    size_t keys_len;
};
struct jwks_cache *jwks_cache_new(void);
void jwks_cache_free(struct jwks_cache **c);
/*
 * The keys behind an address; one fetch at a time however many wait. kid (or NULL) that
 * the set lacks has it fetched again, at most once a minute. Gives. -1 internal
 * "unavailable" when it can't be had and there is no earlier one.
 */
int jwks_get(struct auth *auth, const char *uri, const char *kid,
             struct key_set **ret_set, struct status *st);
void key_set_unref(struct key_set **s);
/* GET of a small JSON document; reach as http_client.h has it. -1 unavailable. */
int auth_fetch(struct auth *auth, struct arena *a, const char *uri, int reach,
               struct bytes *ret_body, struct status *st);

/* ---- Verified tokens (auth_tokens.c) ---- */

/* Who a token stands for: immutable, counted, shared by requests. */
struct auth_identity {
    atomic_uint refs;
    struct document *workspace, *customer, *user; /* or NULL */
    struct caller caller;                         /* lends from the documents */
    int64_t expires_ms;                           /* wall clock */
    int64_t recheck_ms;                           /* monotonic */
    unsigned slot[3], generation[3];              /* of workspace, customer, user */
};
void auth_identity_unref(struct auth_identity **i);

struct token_cache *token_cache_new(size_t max_tokens);
void token_cache_free(struct token_cache **c);
/* Gives a counted identity; NULL when the token is unknown or has to be checked again. */
struct auth_identity *token_cache_find(struct auth *auth, const unsigned char digest[32]);
/* Takes nothing: counts its own reference. */
void token_cache_put(struct auth *auth, const unsigned char digest[32],
                     struct auth_identity *i);

/* ---- Customers (auth_customer.c) ---- */

/* The customer that a token names: created, or updated by what the token says, without a
 * write when that is nothing new. -1 access_denied when it is archived. */
int auth_customer_upsert(struct auth *auth, struct arena *a, const char *workspace_id,
                         const struct auth_claims *claims,
                         const struct value **ret_customer, struct status *st);
/* As stored, without credentials and workspaceId, with what is computed. */
const struct value *auth_customer_served(struct auth *auth, struct arena *a,
                                         const struct value *doc);
const struct value *auth_customer_without_secrets(struct arena *a,
                                                  const struct value *doc);
const struct store_filter *auth_customer_active_filter(struct auth *auth, struct arena *a,
                                                       bool active);
/* By id, else by internalId; as stored. 1: absent. */
int auth_customer_load(struct store *s, struct arena *a, const char *workspace_id,
                       const char *selector, const struct value **ret_doc,
                       struct status *st);
/* What auth_generation_slot takes for a customer: known before its document is read. */
const char *auth_customer_slot_id(struct arena *a, const char *workspace_id,
                                  const char *internal_id);
/* undefined when it has none. */
int auth_customer_open_credentials(const struct crypto_sealer *s, struct arena *a,
                                   const struct value *doc,
                                   const struct value **ret_value, struct status *st);

/* ---- Platform users (auth_user.c) ---- */

bool auth_user_is_platform_admin(const struct value *user);
/* The user's active membership in an organisation. 1: none. */
int auth_user_membership(struct auth *auth, struct arena *a, const char *user_id,
                         const char *org_id, const struct value **ret_member,
                         struct status *st);
/* Members may be limited to listed workspaces; admins are not. */
bool auth_member_enters(const struct value *member, const char *workspace_id);

struct auth_access {
    bool is_manager, is_read_only;
};
/* May the user enter the workspace? 1: no. */
int auth_user_access(struct auth *auth, struct arena *a, const struct value *user,
                     const struct value *workspace, struct auth_access *ret_access,
                     struct status *st);

/* The person behind the request (ACCESS_PLATFORM rows). */
int auth_load_user(struct request *rq, const struct value **ret_user, struct status *st);
/* The first organisation that the person belongs to; for platform administrators any. */
int auth_first_org(struct request *rq, const struct value **ret_org, struct status *st);
/* -1: 404 for strangers, 403 for members who are not administrators of the organisation.
 */
int auth_need_org_admin(struct request *rq, const char *org_id, struct status *st);

/* ---- Making things: used by routes, by the first start and by commands ---- */

struct auth_new_workspace {
    const char *name, *org_id;
    const char *key, *secret;     /* NULL: made up */
    const char *logo_uri;         /* or NULL */
    const struct value *settings; /* NULL: logs are on */
};
int auth_create_workspace(struct auth *auth, struct arena *a,
                          const struct auth_new_workspace *n,
                          const struct value **ret_doc, struct status *st);

struct auth_new_user {
    const char *email;
    const char *name;     /* NULL: the part of the address before the @ */
    const char *password; /* NULL: none; the person comes in by a link */
    bool is_verified, is_admin;
};
/* -1 bad_request: no address, weak password; "already_exists". */
int auth_create_user(struct auth *auth, struct arena *a, const struct auth_new_user *n,
                     const struct value **ret_user, struct status *st);
/* While there is no platform administrator the first confirmed person becomes one, unless
 * the operator named an address. */
int auth_is_first_admin(struct auth *auth, struct arena *a, const struct value *user,
                        bool *ret, struct status *st);
/* By address, letter case ignored. 1: none. */
int auth_find_user(struct auth *auth, struct arena *a, const char *email,
                   const struct value **ret_user, struct status *st);
int auth_update_user(struct auth *auth, struct arena *a, const char *user_id,
                     const struct value *set, const struct value **ret_user,
                     struct status *st);
/* Without hashes. */
const struct value *auth_user_served(struct arena *a, const struct value *user);
/* -1 bad_request: 8 to 200 characters with a lower-case letter, an upper-case letter and
 * a digit. */
int auth_check_password(const char *password, struct status *st);
/* A new personal token, which replaces the one before. */
int auth_new_personal_token(struct auth *auth, struct arena *a, const char *user_id,
                            const char **ret_token, struct status *st);

int auth_drop_personal_token(struct auth *auth, struct arena *a, const char *user_id,
                             const struct value **ret_user, struct status *st);

int auth_create_org(struct auth *auth, struct arena *a, const char *name,
                    const struct value **ret_org, struct status *st);
/* role: admin, member, read-only; status: invited, active. workspaces: array or NULL. An
 * existing membership is given as it is. */
int auth_add_member(struct auth *auth, struct arena *a, const char *org_id,
                    const char *user_id, const char *role, const char *status,
                    const struct value *workspaces, const struct value **ret_member,
                    struct status *st);
/* Who was invited by address has shown that the address is theirs. */
int auth_activate_memberships(struct auth *auth, const char *user_id, struct status *st);
/* The organisations of a person, as an array; all of them for a platform administrator.
 */
int auth_orgs_of(struct auth *auth, struct arena *a, const struct value *user,
                 const struct value **ret_orgs, struct status *st);
/* A person without an organisation gets one, with a workspace. */
int auth_ensure_org(struct auth *auth, struct arena *a, const struct value *user,
                    struct status *st);

/* ---- Small helpers ---- */

/* ISO 8601 text in UTC. */
const struct value *auth_iso(struct arena *a, int64_t ms);
const struct value *auth_iso_now(struct auth *auth, struct arena *a);
const char *auth_new_id(struct auth *auth, struct arena *a);

#endif
