/*
 * runner_client.h - the core's side of the code runner: functions of type javascript.
 */
#ifndef RUNNER_RUNNER_CLIENT_H
#define RUNNER_RUNNER_CLIENT_H

#include <stdbool.h>

struct external_session;

/* Who the code runs for. */
struct runner_owner {
    const struct value *workspace; /* document */
    const char *customer_id;       /* or NULL */
    /* This server's own API, for code that calls it as the customer; NULL: not given. */
    const char *engine_uri, *engine_token;
    const struct value *app_client; /* of the workspace owner's app; NULL: not given */
};

struct status;
struct value;

/*
 * The `javascript` hook of a session: runs {code, entry?, each?} with args, to which the
 * connection's credentials, parameters and API client are added. -1: `custom_code` with
 * lineNumber, columnNumber and code in its data, or the error that the code let through.
 * After access_token_expired the credentials are renewed, and the code runs once more if
 * no request of it had succeeded. A stopped run (s->cancel) ends the job. More jobs of a
 * workspace or a customer than its limits allow: `rate_limit_exceeded`, or a wait where
 * the session is asynchronous.
 */
int runner_client_javascript(struct external_session *s, const struct runner_owner *owner,
                             const struct value *function, const struct value *args,
                             const struct value **ret_result, struct status *st);
/* Does the code name the client of this server's API? */
bool runner_client_wants_engine(const char *code);

#endif
