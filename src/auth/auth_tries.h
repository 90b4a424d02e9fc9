/*
 * auth_tries.h - how often somebody tried: ten times in a quarter of an hour,
 * in all processes together as long as they can count together.
 */
#ifndef AUTH_AUTH_TRIES_H
#define AUTH_AUTH_TRIES_H

struct auth;
struct status;
struct tries;

struct tries *tries_new(void);
void tries_free(struct tries **t);

/* -1 bad_request/"rate_limit_exceeded" when `who` has used up its tries at `what`. */
int auth_tries_check(struct auth *auth, const char *what, const char *who,
                     struct status *st);
/* Counts one, then as auth_tries_check. who NULL: not counted. */
int auth_tries_count(struct auth *auth, const char *what, const char *who,
                     struct status *st);
void auth_tries_forget(struct auth *auth, const char *what, const char *who);

#endif
