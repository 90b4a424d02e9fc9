/*
 * auth.h - who is calling: workspace tokens, personal tokens, customers.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include <stdbool.h>

struct arena;
struct deps;
struct request;
struct status;
struct value;

/* Filled by auth_authenticate; lends from the request's arena. */
struct caller {
    const char *workspace_id;      /* NULL only for platform users without a workspace */
    const struct value *workspace; /* the stored document, without its secret */
    bool is_admin;                 /* may manage the workspace */
    bool is_read_only;
    const char *customer_id; /* NULL for admin tokens that name no customer */
    const struct value *customer;
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

#endif
