/*
 * connection_priv.h - shared by the files of connection/.
 */
#ifndef CONNECTION_CONNECTION_PRIV_H
#define CONNECTION_CONNECTION_PRIV_H

#include "connection.h"
#include "connector/connector.h"

/* Parameters of the integration, its option and the connection, the last on top. */
int connection_connector_parameters(const struct deps *deps, struct arena *a,
                                    const struct value *integration,
                                    const char *option_key, const struct value *own,
                                    const struct value **ret, struct status *st);
/* The connector version that an integration or a connection means. */
int connection_load_connector(const struct deps *deps, struct arena *a,
                              const char *workspace_id, const struct value *integration,
                              const struct value *connection, struct connector *ret,
                              struct status *st);
/* Sets members of the stored connection (null removes) and has its dependants evaluated.
 */
int connection_set(const struct deps *deps, struct arena *a,
                   const struct value *connection, const struct value *members,
                   const struct value **ret_connection, struct status *st);
/* Members for "it works" and for "its credentials were refused". */
const struct value *connection_connected_members(const struct deps *deps, struct arena *a,
                                                 const struct value *credentials);
const struct value *connection_refused_members(const struct deps *deps, struct arena *a,
                                               const struct value *connection,
                                               bool defunct, const struct status *why);
/* May the session's option renew its credentials? */
bool connection_can_refresh(const struct value *option, const struct value *credentials);
/* Renews under the connection's lock; the hook of sessions and the explicit call. */
int connection_renew(struct connection_session *s, struct status *st);

/* connectorParameters, connectionParameters, connectionInput, credentials. */
const struct value *connection_function_args(struct connection_session *s);

/* ---- Drafts: connections in the making ---- */

/* What a connection is for. */
struct connection_target {
    const struct value *integration; /* document, or NULL */
    struct connector connector;
    const char *option_key;
    const struct value *option; /* effective */
};

struct connection_draft {
    const struct deps *deps;
    struct arena *arena;
    const struct caller *caller;
    const char *request_id;       /* of the connection request, for the log; or NULL */
    const struct value *existing; /* is replaced in place; or NULL */
    const struct value *row;      /* as it will be stored */
    struct connection_target target;
    struct connection_secrets secrets;
    struct connection_session session; /* after connection_draft_session() */
};

enum connection_keep {
    CONNECTION_KEEP_WORKING,  /* store only what passes its test */
    CONNECTION_KEEP_UNTESTED, /* also when the app could not be asked */
    CONNECTION_KEEP_ALWAYS,
};

/* Arguments as connection_write(). Nothing is written; the option may still change. */
int connection_draft_open(const struct deps *deps, struct arena *a,
                          const struct caller *caller, const char *customer_id,
                          const struct value *existing, const struct value *body,
                          struct connection_draft *d, struct status *st);
/* The form's input must fit the option's inputSchema. */
int connection_draft_check_input(struct connection_draft *d, struct status *st);
int connection_draft_session(struct connection_draft *d, struct status *st);
/* Does a person have to consent on a page of the app? */
bool connection_draft_is_interactive(const struct connection_draft *d);
/* Credentials come from the input, or are given. */
int connection_draft_use_input(struct connection_draft *d, struct status *st);
void connection_draft_use(struct connection_draft *d, const struct value *credentials);
/* Tests and stores. -1 with the test's error when `keep` does not allow to store. */
int connection_draft_store(struct connection_draft *d, enum connection_keep keep,
                           const struct value **ret_connection, struct status *st);
/* Writes the failed try down; gives -1. */
int connection_draft_fail(struct connection_draft *d, const struct status *why);

/* Where apps send the browser back to. Lives in `a` or lends from the integration. */
const char *connection_callback_uri(const struct deps *deps, struct arena *a,
                                    const struct value *integration);

/* ---- OAuth 2 (connection_oauth2.c) ---- */

struct connection_oauth2 {
    const char *redirect_uri; /* ours, as the app knows it */
    const char *state;        /* as sent, custom part included; or NULL */
    const char *verifier;     /* PKCE; NULL: none */
};
/* The address of the app's consent page. */
int connection_oauth2_authorize(struct connection_session *s,
                                const struct connection_oauth2 *o,
                                const char **ret_location, struct status *st);
/* The credentials for the query that came back with a code. */
int connection_oauth2_exchange(struct connection_session *s,
                               const struct connection_oauth2 *o,
                               const struct value *query,
                               const struct value **ret_credentials, struct status *st);
/* RFC 6749 section 6: what changes in the session's credentials. */
int connection_oauth2_refresh(struct connection_session *s,
                              const struct value **ret_credentials, struct status *st);

/* The object in a token endpoint's answer, JSON or form; -1 when it names an error. */
int connection_token_answer(struct arena *a, const struct value *response,
                            const struct value **ret_answer, struct status *st);
/* Percent-encoded but for letters, digits and -_.~ (RFC 3986); "" for no text. */
const char *connection_percent(struct arena *a, const struct value *v);

/* ---- OAuth 1 (connection_oauth1.c) ---- */

/* A request token: what is kept while the person consents. */
struct connection_oauth1 {
    const char *token, *secret;
};
int connection_oauth1_authorize(struct connection_session *s, const char *redirect_uri,
                                struct connection_oauth1 *ret_token,
                                const char **ret_location, struct status *st);
int connection_oauth1_exchange(struct connection_session *s, const char *redirect_uri,
                               const struct connection_oauth1 *token,
                               const char *verifier, const struct value **ret_credentials,
                               struct status *st);

/* ---- Connection requests ---- */

/* The pending request that a customer's connect call names; its target fields.
 * bad_request/not_found for an unknown one or another customer's; bad_request for an
 * ended one. */
int connection_request_open(const struct deps *deps, struct arena *a,
                            const struct caller *caller, const char *id,
                            const struct value **ret_fields, struct status *st);
/* Ends it: connection_id, or why not. A request that has ended already stays as it is. */
void connection_request_finish(const struct deps *deps, struct arena *a, const char *id,
                               const char *connection_id, const struct status *why);

/* ---- Answers ---- */

struct reply;
struct request;
/* The connection as rq->caller is served it, without secrets, with its joins. */
int connection_render(struct request *rq, const struct value *connection,
                      const struct value **ret, struct status *st);
/* The last page of connecting: hands the message to the window that opened it. */
int connection_page(struct request *rq, struct reply *rp, int status,
                    const struct value *message, const char *text);
/* Asks which option to connect by; the page posts the payload again with its key. */
int connection_choice_page(struct request *rq, struct reply *rp,
                           const struct value *payload, const struct value *options);

/* Handlers of connection_proxy.c. */
int connection_proxy(struct request *rq, struct reply *rp, struct status *st);

#endif
