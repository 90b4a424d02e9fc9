/*
 * auth_api.h - the handlers that routes.def names, and what they share.
 */
#ifndef AUTH_AUTH_API_H
#define AUTH_AUTH_API_H

struct auth;
struct reply;
struct request;
struct status;

#define ROUTE(method, pattern, handler, access, summary, query, body, response)          \
    int handler(struct request *rq, struct reply *rp, struct status *st);
#define ROUTE_AGAIN(...) /* a handler that an earlier row names */
#include "routes.def"

/* 404 with "<what> not found". Returns -1. */
int auth_not_found(struct status *st, const char *what);
/* A failed mail is the operator's to see, not the caller's: the answer stays the same. */
void auth_send_mail(struct auth *auth, const char *to, const char *subject,
                    const char *text);

#endif
