/*
 * runner_client.h - the core's side of the code runner: functions of type javascript.
 */
#ifndef RUNNER_RUNNER_CLIENT_H
#define RUNNER_RUNNER_CLIENT_H

#include <stdbool.h>

struct external_session;

/* This server's own API, for code that calls it as its customer. */
struct runner_engine {
    const char *base_uri, *token;
    const char *customer; /* its id; or NULL */
};

struct status;
struct value;

/*
 * The `javascript` hook of a session: runs `code` with args, to which the connection's
 * credentials, parameters and API client are added. -1: `custom_code` with lineNumber,
 * columnNumber and code in its data, or the error that the code let through. After
 * access_token_expired the credentials are renewed, and the code runs once more if no
 * request of it had succeeded. engine: NULL for code that is given none.
 */
int runner_client_javascript(struct external_session *s,
                             const struct runner_engine *engine, const char *code,
                             const struct value *args, const struct value **ret_result,
                             struct status *st);
/* Does the code name the client of this server's API? */
bool runner_client_wants_engine(const char *code);

#endif
