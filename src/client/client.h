/*
 * client.h - the API as the commands of this executable call it: push, pull, connector,
 * admin. Settings come from the environment (MEMBRANE_API_URI, MEMBRANE_WORKSPACE_KEY,
 * MEMBRANE_WORKSPACE_SECRET or MEMBRANE_ACCESS_TOKEN).
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/bytes.h"

struct arena;
struct client;
struct config;
struct status;
struct value;

/*
 * Reads the settings and opens the connection pool. -1 configuration: the message says
 * which variable is missing. Lives with `a`.
 */
int client_open(struct arena *a, struct client **ret_client, struct status *st);
/* The settings that were read; lends. */
const struct config *client_config(const struct client *c);
/* The address the client calls, without a trailing slash. */
const char *client_api_uri(const struct client *c);

/*
 * Calls METHOD path (with its query). body NULL sends none. 0: any 2xx, ret_answer is the
 * decoded body or undefined; -1: the error that the API answered, or a connection error.
 */
int client_call(struct client *c, const char *method, const char *path,
                const struct value *body, const struct value **ret_answer,
                struct status *st);
/* The same with bytes; content_type names them. ret_body may be NULL. */
int client_call_bytes(struct client *c, const char *method, const char *path,
                      const char *content_type, struct bytes body, struct bytes *ret_body,
                      struct status *st);

/* Prints "membrane COMMAND: message" and the details that help, to standard error. */
void client_print_error(const char *command, const struct status *st);

#endif
