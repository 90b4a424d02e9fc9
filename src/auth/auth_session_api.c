/*
 * /auth: registration, sign-in and links by mail. Answers do not tell whether an address
 * has an account.
 */
#include <string.h>
#include <strings.h>

#include "auth_api.h"
#include "auth_fields.h"
#include "auth_oidc.h"
#include "auth_priv.h"
#include "auth_session.h"
#include "auth_tries.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_password.h"
#include "deps/deps.h"
#include "http/http.h"
#include "store/store.h"
#include "value/value.h"

#define CONFIRM_MS (24LL * 60 * 60 * 1000)
#define RESET_MS   (60LL * 60 * 1000)

enum { MAX_EMAIL = 254, MAX_PASSWORD = 200, MAX_LINK = 100 };

static const char *console_uri(const struct auth *auth) {
    return auth->o.console_uri ? auth->o.console_uri
           : auth->o.base_uri  ? auth->o.base_uri
                               : "";
}

void auth_send_mail(struct auth *auth, const char *to, const char *subject,
                    const char *text) {
    struct auth_mail mail = {to, subject, text, false};
    struct arena *a = arena_new(0);
    struct status st;

    st_init(&st, a);
    if (auth->o.send_mail)
        auth->o.send_mail(auth->o.mail_ctx, &mail, &st);
    arena_free(&a);
}

static int mail_link(struct auth *auth, struct arena *a, const struct value *user,
                     const char *kind, int64_t ttl_ms, const char *page,
                     const char *subject, const char *what, struct status *st) {
    const char *token;

    if (auth_link_make(auth, a, kind, value_get_string(user, "id", ""), ttl_ms, &token,
                       st) < 0)
        return -1;
    auth_send_mail(
        auth, value_get_string(user, "email", ""), subject,
        arena_printf(a,
                     "Hello %s,\n\n%s\n\n%s/%s?token=%s\n\nThe link works once. "
                     "If you did not ask for it, do nothing.\n",
                     value_get_string(user, "name", ""), what, console_uri(auth), page,
                     token));
    return 0;
}

static int mail_confirm(struct auth *auth, struct arena *a, const struct value *user,
                        struct status *st) {
    return mail_link(auth, a, user, AUTH_LINK_CONFIRM, CONFIRM_MS, "confirm-email",
                     "Confirm your e-mail address",
                     "please confirm your e-mail address within 24 hours:", st);
}

static int accepted(struct reply *rp) {
    return reply_json(rp, 202, &value_empty_object);
}

/* {token, user}: a session has begun. */
static int reply_session(struct request *rq, struct reply *rp, const struct value *user,
                         struct status *st) {
    struct auth *auth = rq->deps->auth;
    const char *token;

    if (auth_ensure_org(auth, rq->arena, user, st) < 0 ||
        auth_session_start(auth, rq->arena, value_get_string(user, "id", ""), &token,
                           st) < 0)
        return -1;
    return reply_json(rp, 200,
                      value_obj(rq->arena, "token", value_string(rq->arena, token),
                                "user", auth_user_served(rq->arena, user), NULL));
}

static int load_user_by_id(struct request *rq, const char *id,
                           const struct value **ret_user, struct status *st) {
    int rc = store_get(rq->deps->store, rq->arena, C_PLATFORM_USERS, id, ret_user, st);

    return rc == 1 ? auth_not_found(st, "User") : rc;
}

/* What the console asks before it shows a form. */
int auth_api_mode(struct request *rq, struct reply *rp, struct status *st) {
    const struct auth *auth = rq->deps->auth;
    const struct auth_options *o = &auth->o;
    struct arena *a = rq->arena;
    const char *mode = !auth_oidc_is_on(auth) ? "password"
                       : o->auth0_domain      ? "auth0"
                                              : "oidc";

    (void)st;
    return reply_json(
        rp, 200,
        value_obj(a, "mode", value_string(a, mode), "domain",
                  o->auth0_domain ? value_string(a, o->auth0_domain) : NULL, "issuer",
                  auth_oidc_is_on(auth) ? value_string(a, o->oidc_issuer) : NULL,
                  "clientId",
                  auth_oidc_is_on(auth) ? value_string(a, o->oidc_client_id) : NULL,
                  "signUp", value_bool(!auth->o.disable_signup), "mail",
                  value_bool(auth->o.send_mail != NULL), NULL));
}

int auth_api_register(struct request *rq, struct reply *rp, struct status *st) {
    struct auth *auth = rq->deps->auth;
    struct auth_new_user n = {0};
    const struct value *body, *user;
    int rc;

    if (auth_oidc_refuse_password(rq->deps->auth, st) < 0 ||
        request_object(rq, &body, st) < 0)
        return -1;
    if (auth->o.disable_signup)
        return auth_deny(st, "Sign-up is closed; ask for an invitation");
    if (auth_tries_count(auth, "register", rq->client_ip, st) < 0 ||
        auth_fields_text(body, "email", MAX_EMAIL, &n.email, st) < 0 ||
        auth_fields_text(body, "password", MAX_PASSWORD, &n.password, st) < 0)
        return -1;
    n.name = value_get_string(body, "name", NULL);
    rc = auth_create_user(auth, rq->arena, &n, &user, st);
    if (rc < 0 && st->key && !strcmp(st->key, "already_exists")) {
        st_clear(st);
        return accepted(rp);
    }
    if (rc < 0 || mail_confirm(auth, rq->arena, user, st) < 0)
        return -1;
    return accepted(rp);
}

int auth_api_confirm_resend(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *user;
    const char *email;
    int rc;

    if (auth_oidc_refuse_password(rq->deps->auth, st) < 0 ||
        request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "email", MAX_EMAIL, &email, st) < 0 ||
        auth_tries_count(rq->deps->auth, "mail", email, st) < 0)
        return -1;
    rc = auth_find_user(rq->deps->auth, rq->arena, email, &user, st);
    if (rc < 0)
        return -1;
    if (rc == 0 && !value_get_bool(user, "emailVerified", false) &&
        mail_confirm(rq->deps->auth, rq->arena, user, st) < 0)
        return -1;
    return accepted(rp);
}

int auth_api_confirm(struct request *rq, struct reply *rp, struct status *st) {
    struct auth *auth = rq->deps->auth;
    const struct value *body, *user;
    const char *token, *user_id;
    bool is_admin;

    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "token", MAX_LINK, &token, st) < 0 ||
        auth_link_use(auth, rq->arena, AUTH_LINK_CONFIRM, token, &user_id, st) < 0 ||
        load_user_by_id(rq, user_id, &user, st) < 0 ||
        auth_is_first_admin(auth, rq->arena, user, &is_admin, st) < 0 ||
        auth_update_user(auth, rq->arena, user_id,
                         value_obj(rq->arena, "emailVerified", &value_true, "isAdmin",
                                   is_admin ? &value_true : NULL, NULL),
                         &user, st) < 0)
        return -1;
    return reply_session(rq, rp, user, st);
}

/* A hash to compare with when there is no account, so that the time tells nothing. */
static const char no_account[] = "$argon2id$v=19$m=19456,t=2,p=1$bm8gYWNjb3VudCBoZXJl$"
                                 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

int auth_api_login(struct request *rq, struct reply *rp, struct status *st) {
    struct auth *auth = rq->deps->auth;
    const struct value *body, *user = NULL;
    const char *email, *password;
    bool matches;
    int rc;

    if (auth_oidc_refuse_password(rq->deps->auth, st) < 0 ||
        request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "email", MAX_EMAIL, &email, st) < 0 ||
        auth_fields_text(body, "password", MAX_PASSWORD, &password, st) < 0 ||
        auth_tries_check(auth, "login", email, st) < 0 ||
        auth_tries_check(auth, "login", rq->client_ip, st) < 0)
        return -1;
    rc = auth_find_user(auth, rq->arena, email, &user, st);
    if (rc < 0)
        return -1;
    matches = crypto_password_verify(
        password,
        rc == 0 ? value_get_string(user, "passwordHash", no_account) : no_account);
    if (!matches || rc != 0) {
        if (auth_tries_count(auth, "login", email, st) < 0 ||
            auth_tries_count(auth, "login", rq->client_ip, st) < 0)
            return -1;
        return auth_refuse(st, "The e-mail address or the password is wrong");
    }
    auth_tries_forget(auth, "login", email);
    if (!value_get_bool(user, "emailVerified", false))
        return auth_deny(st, "Confirm your e-mail address first");
    return reply_session(rq, rp, user, st);
}

int auth_api_link(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *user;
    const char *token, *user_id;

    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "token", MAX_LINK, &token, st) < 0 ||
        auth_link_use(rq->deps->auth, rq->arena, AUTH_LINK_SIGN_IN, token, &user_id, st) <
            0 ||
        load_user_by_id(rq, user_id, &user, st) < 0)
        return -1;
    return reply_session(rq, rp, user, st);
}

int auth_api_logout(struct request *rq, struct reply *rp, struct status *st) {
    if (auth_sessions_end(rq->deps->auth, rq->caller->platform_user_id, st) < 0)
        return -1;
    return reply_json(rp, 200, &value_empty_object);
}

int auth_api_refresh(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *user;

    if (auth_load_user(rq, &user, st) < 0)
        return -1;
    return reply_session(rq, rp, user, st);
}

int auth_api_reset(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *user;
    const char *email;
    int rc;

    if (auth_oidc_refuse_password(rq->deps->auth, st) < 0 ||
        request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "email", MAX_EMAIL, &email, st) < 0 ||
        auth_tries_count(rq->deps->auth, "mail", email, st) < 0)
        return -1;
    rc = auth_find_user(rq->deps->auth, rq->arena, email, &user, st);
    if (rc < 0)
        return -1;
    if (rc == 0 && mail_link(rq->deps->auth, rq->arena, user, AUTH_LINK_RESET, RESET_MS,
                             "reset-password", "Set a new password",
                             "set a new password within one hour:", st) < 0)
        return -1;
    return accepted(rp);
}

/* Sets the password and ends all sessions; who did it gets a new one. */
static int set_password(struct request *rq, struct reply *rp, const char *user_id,
                        const char *password, bool proves_address, struct status *st) {
    struct auth *auth = rq->deps->auth;
    const struct value *user;

    if (auth_update_user(
            auth, rq->arena, user_id,
            value_obj(rq->arena, "passwordHash",
                      value_string(rq->arena, crypto_password_hash(
                                                  rq->arena, auth->o.rand, password)),
                      "emailVerified", proves_address ? &value_true : NULL, NULL),
            &user, st) < 0 ||
        auth_sessions_end(auth, user_id, st) < 0 ||
        (proves_address && auth_activate_memberships(auth, user_id, st) < 0))
        return -1;
    auth_send_mail(
        auth, value_get_string(user, "email", ""), "Your password was changed",
        "Your password was changed just now. If that was not you, set a new one at "
        "once.\n");
    return reply_session(rq, rp, user, st);
}

int auth_api_reset_confirm(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body;
    const char *token, *password, *user_id;

    if (auth_oidc_refuse_password(rq->deps->auth, st) < 0 ||
        request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "token", MAX_LINK, &token, st) < 0 ||
        auth_fields_text(body, "password", MAX_PASSWORD, &password, st) < 0 ||
        auth_check_password(password, st) < 0 ||
        auth_link_use(rq->deps->auth, rq->arena, AUTH_LINK_RESET, token, &user_id, st) <
            0)
        return -1;
    return set_password(rq, rp, user_id, password, true, st);
}

/* The person's own password: asked for the present one when there is one. */
int auth_api_password(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *body, *user;
    const char *password, *had;

    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "password", MAX_PASSWORD, &password, st) < 0 ||
        auth_check_password(password, st) < 0 || auth_load_user(rq, &user, st) < 0)
        return -1;
    had = value_get_string(user, "passwordHash", NULL);
    if (had) {
        if (auth_tries_count(rq->deps->auth, "password", rq->caller->platform_user_id,
                             st) < 0)
            return -1;
        if (!crypto_password_verify(value_get_string(body, "currentPassword", ""), had))
            return auth_deny(st, "The present password is wrong");
    }
    return set_password(rq, rp, rq->caller->platform_user_id, password, false, st);
}

int auth_api_test_email(struct request *rq, struct reply *rp, struct status *st) {
    struct auth *auth = rq->deps->auth;
    struct auth_mail mail = {.subject = "Test", .text = "Mail works.\n", .at_once = true};
    const struct value *body;

    if (!rq->caller->is_platform_admin)
        return auth_deny(st, "This needs a platform administrator");
    if (request_object(rq, &body, st) < 0 ||
        auth_fields_text(body, "to", MAX_EMAIL, &mail.to, st) < 0)
        return -1;
    if (!auth->o.send_mail)
        return st_fail(st, ST_CONFIGURATION, NULL, "No mail server is configured");
    if (auth->o.send_mail(auth->o.mail_ctx, &mail, st) < 0)
        return -1;
    return reply_json(rp, 200, &value_empty_object);
}
