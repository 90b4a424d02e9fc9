/*
 * auth_session.h - sessions of people and links that work once.
 */
#ifndef AUTH_AUTH_SESSION_H
#define AUTH_AUTH_SESSION_H

#include <stdint.h>

struct arena;
struct auth;
struct status;
struct value;

#define AUTH_SESSION_MS (24LL * 60 * 60 * 1000)

/* Starts a session: a token signed with SECRET, good for 24 hours while the session is
 * stored. Lives in `a`. */
int auth_session_start(struct auth *auth, struct arena *a, const char *user_id,
                       const char **ret_token, struct status *st);
/* Ends every session of the user, at once in this process. */
int auth_sessions_end(struct auth *auth, const char *user_id, struct status *st);

/* What a link is for; a token of one kind is nothing to another. */
#define AUTH_LINK_CONFIRM "confirm-email"
#define AUTH_LINK_RESET   "reset-password"
#define AUTH_LINK_SIGN_IN "sign-in"

/* A token of 256 random bits, stored hashed. Lives in `a`. */
int auth_link_make(struct auth *auth, struct arena *a, const char *kind,
                   const char *user_id, int64_t ttl_ms, const char **ret_token,
                   struct status *st);
/* Takes the token out of use and gives the user's id; -1 bad_request when it is unknown,
 * used, of another kind or too old. */
int auth_link_use(struct auth *auth, struct arena *a, const char *kind, const char *token,
                  const char **ret_user_id, struct status *st);

#endif
