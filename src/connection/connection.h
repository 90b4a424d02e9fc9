/*
 * connection.h - connections: one customer's credentials for one app.
 *
 * The stored connection holds no secret: credentials, the form's input and the
 * connection's own connector parameters are one sealed text in a document of
 * C_CREDENTIALS with the same id. Everything that works on the app goes through an
 * external_session that connection_open_session() fills.
 */
#ifndef CONNECTION_CONNECTION_H
#define CONNECTION_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "external/external.h"

struct arena;
struct caller;
struct clock;
struct coord;
struct connector;
struct deps;
struct http_router;
struct model_view;
struct status;
struct value;

/* The opened secret part of a connection; members are never NULL. */
struct connection_secrets {
    const struct value *credentials;          /* undefined: none */
    const struct value *input;                /* object */
    const struct value *connector_parameters; /* object */
};
/* 0, also when there is none. */
int connection_load_secrets(const struct deps *deps, struct arena *a, const char *id,
                            struct connection_secrets *ret, struct status *st);
int connection_store_secrets(const struct deps *deps, struct arena *a,
                             const struct value *connection,
                             const struct connection_secrets *secrets, struct status *st);

/* A session on a connection, with what it was made of. */
struct connection_session {
    struct external_session external; /* first: hooks find the whole by it */
    const struct value *workspace;    /* document */
    const struct value *connection;   /* document; refreshed when its state changes */
    const struct value *integration;  /* document, or NULL */
    const struct value *contents;     /* of the connector's version */
    const struct value *connector;    /* document of the version */
    bool write_logs;                  /* settings.enableApiLogs */
    const char *customer_id; /* whom code acts as without a connection; or NULL */
    bool with_own_app;       /* code may call the workspace owner's app (engine.md 14) */
};

/*
 * Opens a session in s (caller's memory, lives with `a`). deadline_ms: monotonic, 0 none.
 * bad_request for an archived or deactivated connection, connection/connection_is_defunct
 * for a defunct one, the stored error for a disconnected one (unless
 * `even_disconnected`).
 */
int connection_open_session(const struct deps *deps, struct arena *a,
                            const struct value *workspace, const struct value *connection,
                            int64_t deadline_ms, bool even_disconnected,
                            struct connection_session *s, struct status *st);
/*
 * The API client of the workspace owner's app for a customer: {baseUri, headers, query},
 * built with its credentials; user: the customer as formulas see it (engine.md 14.1).
 */
int connection_app_client(const struct deps *deps, struct arena *a,
                          const struct value *workspace, const struct value *user,
                          const char *customer_id, const struct value **ret_client,
                          struct status *st);
/*
 * A session without any connection, for requests of a workspace to its own or other
 * addresses: no client, no credentials. connection and customer_id only label the logs.
 */
void connection_open_plain(const struct deps *deps, struct arena *a,
                           const struct value *workspace, const struct value *connection,
                           int64_t deadline_ms, struct connection_session *s);

/* ---- Life ---- */

/*
 * Makes or changes a connection from a request's body (engine.md 7.11). existing NULL: a
 * new one for customer_id, or, without allowMultipleConnections, the customer's present
 * one of the integration in place.
 */
int connection_write(const struct deps *deps, struct arena *a,
                     const struct caller *caller, const char *customer_id,
                     const struct value *existing, const struct value *body,
                     const struct value **ret_connection, struct status *st);
/* 0 works, 1 it does not (*st says why; state is stored), -1 could not be tested. */
int connection_test(const struct deps *deps, struct arena *a,
                    const struct value *workspace, const struct value *connection,
                    struct status *st);
/* Explicit refresh: bad_request when the connection can't be refreshed. */
int connection_refresh(const struct deps *deps, struct arena *a,
                       const struct value *workspace, const struct value *connection,
                       struct status *st);
/* Runs the connector's disconnect (best effort) and erases the credentials for good. */
int connection_disconnect(const struct deps *deps, struct arena *a,
                          const struct value *workspace, const struct value *connection,
                          const struct value **ret_connection, struct status *st);
/* Disconnects, then archives with everything that depends on it. */
int connection_archive(const struct deps *deps, struct arena *a,
                       const struct value *workspace, const struct value *connection,
                       struct status *st);
/* All live connections of a customer, one after the other. */
int connection_archive_all(const struct deps *deps, struct arena *a,
                           const struct value *workspace, const char *customer_id,
                           struct status *st);
/* Comes back disconnected. */
int connection_restore(const struct deps *deps, struct arena *a,
                       const struct value *connection,
                       const struct value **ret_connection, struct status *st);

/* ---- Options ---- */

/* Ways to connect (engine.md 7.3): an array of ConnectionOption. */
int connection_options(const struct deps *deps, struct arena *a,
                       const struct caller *caller, const struct value *request,
                       const struct value **ret_options, struct status *st);

/* ---- Process ---- */

/*
 * Results of connecting on their way to /sse/connection-events/{requestId}, whichever
 * process the browser and the listener have come to. A result is kept for five minutes,
 * for a listener that comes late. c is borrowed, and closed first.
 */
struct connection_events;
struct connection_events *connection_events_new(struct clock *clock, struct coord *c);
void connection_events_free(struct connection_events **e);
/* Ends all streams, present and future: the process is about to stop. */
void connection_events_close(struct connection_events *e);
/* Only streams with a token of the customer, and those without a token, get it. */
void connection_events_publish(struct connection_events *e, const char *request_id,
                               const char *customer_id, const struct value *message);

void connection_routes(struct http_router *r);
void connection_connect_routes(struct http_router *r);
void connection_events_routes(struct http_router *r);
void connection_request_routes(struct http_router *r);

#endif
