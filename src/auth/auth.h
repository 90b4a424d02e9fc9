/*
 * auth.h - who is calling: workspace tokens, personal tokens, customers.
 *
 * A request is made for a workspace by one of: a token that the workspace signed (JWT by
 * its secret or by one of its keys), a client token ("pat-c..."), or a platform user with
 * a session or a personal token ("pat-u..."), who names the workspace by the header
 * X-Membrane-Workspace (id or key) or has a default one. Event streams and pages of forms
 * bring the token as the query field `token`.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct arena;
struct auth;
struct clock;
struct coord;
struct crypto_sealer;
struct deps;
struct http_client;
struct http_router;
struct rand;
struct request;
struct status;
struct store;
struct value;

/* Filled by auth_authenticate; lends from the request's arena. */
struct caller {
    const char *workspace_id;      /* NULL only for platform users without a workspace */
    const struct value *workspace; /* the stored document, without its secret */
    bool is_admin;                 /* may manage the workspace */
    bool is_read_only;
    const char *customer_id;      /* NULL for admin tokens that name no customer */
    const struct value *customer; /* the stored document, without its credentials */
    const char *platform_user_id; /* personal tokens and sessions; or NULL */
    bool is_platform_admin;
    bool is_test;            /* a test token: its customer is a test customer */
    const char *api_version; /* "legacy" or "2025-10-21" */
};

/*
 * The server's authenticate hook: reads the bearer token, checks it and the row's access,
 * upserts a customer named for the first time. -1: bad_request with not_authenticated
 * or access_denied.
 */
int auth_authenticate(struct request *rq, struct status *st);
/*
 * The same for a token that came another way (a form field): fills a caller that lends
 * from rq's arena. -1 as above.
 */
int auth_caller_from_token(struct request *rq, const char *token,
                           const struct caller **ret_caller, struct status *st);

/* Whether stored secrets (credentials, parameters) may be shown: to those who manage the
 * workspace, not to people who may only read. caller NULL: the server itself. */
bool auth_may_see_secrets(const struct caller *caller);
/*
 * A short-lived token that tells the host application who calls it: HS256 by the
 * workspace's secret, claims {iss: key, id: customer's internalId, name, fields, exp}, or
 * {iss, isAdmin: true, exp} with customer_id NULL. Lives in `a`.
 */
int auth_workspace_token(const struct deps *deps, struct arena *a,
                         const char *workspace_id, const char *customer_id, int ttl_s,
                         const char **ret_token, struct status *st);

/* A customer of the workspace by id, else by its internalId, without credentials. 1:
 * absent. */
int auth_find_customer(const struct deps *deps, struct arena *a, const char *workspace_id,
                       const char *selector, const struct value **ret_customer,
                       struct status *st);
/* The customer's own credentials for the host application, opened; undefined when it has
 * none. 1: no such customer. */
int auth_customer_credentials(const struct deps *deps, struct arena *a,
                              const char *customer_id, const struct value **ret_value,
                              struct status *st);
/* Forgets what was remembered about a workspace, customer or user whose document changed.
 * Other processes notice within five seconds. */
void auth_forget(struct auth *auth, const char *workspace_or_user_id);

/* Deletes sessions, links and invitations whose time is over. A periodic duty: once an
 * hour is plenty. */
int auth_sweep(struct auth *auth, struct status *st);

/* All routes of this folder. */
void auth_routes(struct http_router *r);

/* ---- Opening ---- */

/* A message to a person: plain text, UTF-8. Lends. */
struct auth_mail {
    const char *to, *subject, *text;
    bool at_once; /* somebody waits to hear whether the server took it */
};

struct auth_options {
    struct store *store;          /* borrowed for life, as all pointers here */
    struct http_client *http;     /* for key sets; or NULL */
    struct crypto_sealer *sealer; /* opens workspace secrets */
    struct clock *clock;
    struct rand *rand;
    struct coord *coord;         /* counts tries of all processes; or NULL: this one's */
    const char *secret;          /* SECRET: signs sessions of platform users */
    const char *secret_previous; /* comma list that only verifies; or NULL */
    const char *console_uri;     /* where links in mails lead; or NULL: base_uri */
    const char *base_uri;
    const char *bootstrap_admin_email; /* or NULL */
    /* Where people sign in; all NULL: here, with a password. auth0_domain is set as well
     * when the issuer is Auth0. */
    const char *oidc_issuer, *oidc_client_id, *oidc_audience, *auth0_domain;
    bool disable_signup;
    size_t max_tokens; /* remembered verified tokens; 0: 8192 */
    /* Sends a mail, or sees to it that it will be sent; NULL: no mail is sent. */
    int (*send_mail)(void *ctx, const struct auth_mail *mail, struct status *st);
    void *mail_ctx;
    /*
     * Ends what belongs to a customer that was archived: connections. Runs again when a
     * customer is archived again, so that a part that failed can be repeated. NULL: none.
     */
    int (*customer_archived)(const struct deps *deps, struct arena *a,
                             const struct value *workspace, const char *customer_id,
                             struct status *st);
    /* For tests: fetches a key set instead of `http`. */
    int (*fetch)(void *ctx, struct arena *a, const char *uri, struct bytes *ret_body,
                 struct status *st);
    void *fetch_ctx;
};

/* Copies the texts. Compares the key-check value first: -1 configuration/"conflict" when
 * the data was encrypted with another ENCRYPTION_SECRET. */
int auth_open(const struct auth_options *o, struct auth **ret_auth, struct status *st);
void auth_close(struct auth **auth);

#endif
