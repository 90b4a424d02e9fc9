/*
 * auth_bootstrap.h - the first start of a server: somebody must be able to come in.
 */
#ifndef AUTH_AUTH_BOOTSTRAP_H
#define AUTH_AUTH_BOOTSTRAP_H

struct arena;
struct deps;
struct status;

struct auth_bootstrap {
    const char *workspace_key, *workspace_secret;
    const char *admin_email;
    /* A link that signs the administrator in once, within 7 days. */
    const char *admin_uri;
    const char *admin_token; /* a personal token, at the first call only; then NULL */
};

/*
 * Makes the first organisation, workspace and administrator where they are missing;
 * repeating it, also at the same time, makes nothing twice. Every call gives a fresh link
 * and forgets the links before. email: of the administrator, when it has to be made;
 * NULL: BOOTSTRAP_ADMIN_EMAIL or admin@membrane.local. Texts live in `a`.
 */
int auth_bootstrap(const struct deps *deps, struct arena *a, const char *email,
                   struct auth_bootstrap *ret_result, struct status *st);

#endif
