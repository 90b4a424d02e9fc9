/*
 * runner_client.h - the core's side of the code runner: functions of type javascript.
 */
#ifndef RUNNER_RUNNER_CLIENT_H
#define RUNNER_RUNNER_CLIENT_H

struct external_session;
struct status;
struct value;

/*
 * The `javascript` hook of a session: runs `code` with args, to which the connection's
 * credentials, parameters and API client are added. -1: `custom_code` with lineNumber,
 * columnNumber and code in its data, or the error that the code let through. After
 * access_token_expired the credentials are renewed, and the code runs once more if no
 * request of it had succeeded.
 */
int runner_client_javascript(struct external_session *s, const char *code,
                             const struct value *args, const struct value **ret_result,
                             struct status *st);

#endif
