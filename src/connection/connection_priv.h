/*
 * connection_priv.h - shared by the files of connection/.
 */
#ifndef CONNECTION_CONNECTION_PRIV_H
#define CONNECTION_CONNECTION_PRIV_H

#include "connection.h"

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

/* Handlers of connection_proxy.c. */
struct reply;
struct request;
int connection_proxy(struct request *rq, struct reply *rp, struct status *st);

#endif
