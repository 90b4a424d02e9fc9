/*
 * external.h - work on an external app: requests with a connection's credentials, and the
 * functions of a connector.
 *
 * A session is one run's picture of one connection: its credentials, the connector's auth
 * functions, the API client made from both. It belongs to one thread and one arena. What
 * needs the store (refreshing credentials, marking a connection defunct) comes in as
 * hooks, so that everything here is told by its inputs and the app's answers (engine.md 5
 * and 6).
 */
#ifndef EXTERNAL_EXTERNAL_H
#define EXTERNAL_EXTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "value/value.h"

struct arena;
struct deps;
struct external_session;
struct formula_lookups;
struct http_answer;
struct status;

struct external_hooks {
    /*
     * Gets new credentials once after access_token_expired: puts them into
     * s->credentials. 0 refreshed, 1 this connection can't be refreshed, -1 the refresh
     * failed. May be NULL.
     */
    int (*refresh)(struct external_session *s, struct status *st);
    /* The app said for good that the connection is gone. May be NULL. */
    void (*defunct)(struct external_session *s, const struct status *why);
    /*
     * Runs a javascript function {code, entry?, each?}: with args, or, where `each` is an
     * array, once with each of its items beside args, for an array of results. NULL:
     * custom code is off, and such a function is a custom_code error that says so.
     */
    int (*javascript)(struct external_session *s, const struct value *function,
                      const struct value *args, const struct value **ret_result,
                      struct status *st);
    /* One call was made: detail {request, response, timeMs}, secrets removed. May be
     * NULL. */
    void (*called)(struct external_session *s, const char *url, int status_code,
                   bool is_success, int64_t duration_ms, const struct value *detail);
};

struct external_session {
    const struct deps *deps;
    struct arena *arena;
    const struct external_hooks *hooks;
    void *hooks_ctx;
    /* For error data and logs; any may be NULL. */
    const char *connection_id, *connector_key;
    const struct value *option;     /* effective auth option: functions and schemas */
    const struct value *operations; /* key -> operation, from the connector's contents */
    const struct value *credentials;
    const struct value *connection_parameters; /* what the user typed: `input` */
    const struct value *connector_parameters;
    const struct value *helpers; /* code of functions that old code is given; or NULL */
    const struct formula_lookups *lookups; /* data links, schemas; or NULL */
    int64_t deadline_ms;                   /* on deps->clock's monotonic time; 0: none */
    const _Atomic int *cancel;             /* non-zero: the run was stopped; or NULL */
    bool asynchronous; /* inside a flow or a pull: rate limits are waited for */
    /* Private. */
    const struct value *client; /* result of makeApiClient, made at first use */
    bool making_client;         /* inside makeApiClient, which has no client itself */
    bool refreshed;             /* one refresh per session */
    int depth;                  /* functions that call operations that call ... */
    struct array_builder logs;  /* api-request entries of this run */
};

/* Fills the private part; the caller filled the rest. */
void external_session_init(struct external_session *s);
/* The API client is this configuration: makeApiClient is not asked. */
void external_session_use_client(struct external_session *s, const struct value *client);
/* Entries {type: "api-request", data: {...}} of the calls made so far. */
const struct value *external_session_logs(const struct external_session *s);

/* The API client configuration (engine.md 6.1): {baseUri, headers, query, auth, ...}. */
int external_client(struct external_session *s, const struct value **ret_client,
                    struct status *st);

/* ---- Requests ---- */

/*
 * Sends {path, method?, pathParameters?, query?, headers?, data? (or body?)} through the
 * API client, interprets the answer (responseHandlers, then 401, 429, >= 300) and reacts:
 * one credential refresh and repeat after access_token_expired.
 * ret_response: {data, status, statusCode, headers}. With allow_error_status an answer
 * that no handler and no reaction claims is given back whatever its status.
 */
int external_request(struct external_session *s, const struct value *request,
                     bool allow_error_status, const struct value **ret_response,
                     struct status *st);
/*
 * Does an answer mean that the credentials have ended? response: {status, statusCode,
 * headers, data?}; asked by callers that pass answers on unread.
 */
bool external_is_expired(struct external_session *s, const struct value *response);
/*
 * Sends {uri, method?, headers?, query?, body? (or data?)} without any connection:
 * `reach` is decided by the caller (an address of a user: public). base: base address for
 * a relative uri, or NULL.
 */
int external_plain_request(struct external_session *s, const char *base,
                           const struct value *request, bool allow_error_status,
                           const struct value **ret_response, struct status *st);

/* ---- Functions ---- */

/*
 * Runs {type, mapping | code}. args: object; `credentials`, and `parameters` when the
 * caller has them, are added for the mapping types. undefined when the function is absent
 * or "not-supported" is a bad_request.
 */
int external_run_function(struct external_session *s, const struct value *function,
                          const struct value *args, const struct value **ret_result,
                          struct status *st);
/*
 * Runs it n times; JavaScript in one job. ret_results: n values. The first failure ends
 * it.
 */
int external_run_function_each(struct external_session *s, const struct value *function,
                               const struct value *const *args, size_t n,
                               const struct value **ret_results, struct status *st);
/* Runs an operation of the connector by its key; args.input is the operation's input. */
int external_run_operation(struct external_session *s, const char *key,
                           const struct value *input, const struct value **ret_output,
                           struct status *st);

/* ---- Pieces shared with the proxy ---- */

/*
 * The absolute address of a path: query of the client below that of the path and of
 * `query`. -1 configuration error for an address that can't be made.
 */
int external_build_url(struct arena *a, const char *base_uri, const char *path,
                       const struct value *client_query, const struct value *query,
                       const char **ret_url, struct status *st);
/* The Authorization value of {username, password}. */
const char *external_basic_auth(struct arena *a, const struct value *auth);
/* A copy for logs: secret headers, query parameters and members masked, cut to log size.
 */
const struct value *external_redact(struct arena *a, const struct value *v);
const char *external_redact_url(struct arena *a, const char *url);

#endif
