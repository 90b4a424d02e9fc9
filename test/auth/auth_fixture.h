/*
 * auth_fixture.h - the routes of auth/ over the in-memory store, called without a socket,
 * with a clock that stands still.
 */
#ifndef TEST_AUTH_FIXTURE_H
#define TEST_AUTH_FIXTURE_H

#include "../cmocka_all.h"

#include <string.h>

#include "auth/auth.h"
#include "auth/auth_bootstrap.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_jws.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_server.h"
#include "store/store.h"
#include "value/value.h"

#define FIXTURE_NOW_MS 1762331412481LL /* 2025-11-05T08:30:12.481Z */

struct fixture {
    struct arena *a;
    struct status st;
    struct clock_fake clock;
    struct store *store;
    struct crypto_sealer *sealer;
    struct auth *auth;
    struct deps deps;
    struct http_router *router;
    struct auth_bootstrap first;
    const char *workspace_id;
    /* The last mail that was sent. */
    const char *mail_to, *mail_text;
    int mails;
    /* What the key set's address answers; NULL: it can't be reached. */
    const char *jwks;
    int fetches;
};

int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* As the running server would: authenticates, calls, turns a status into its body. */
struct answer {
    int status;
    const struct value *body;
    struct caller *caller;
};
/* body: JSON text, single quotes for double ones; or NULL. token may be NULL. */
struct answer fixture_call(struct fixture *f, enum http_method m, const char *path,
                           const char *token, const char *body);
/* Fails the test unless the status is as given. */
const struct value *fixture_expect(struct fixture *f, int status, enum http_method m,
                                   const char *path, const char *token, const char *body);
/* JSON with single quotes. */
const struct value *fixture_json(struct fixture *f, const char *text);
/* A token with these claims (iss and exp are added), signed with the first workspace's
 * secret. */
const char *fixture_token(struct fixture *f, const char *claims);
const char *fixture_sign(struct fixture *f, enum crypto_alg alg, const char *secret,
                         const struct value *claims);
/* A counter of writes, to tell whether something was written. */
uint64_t fixture_count(struct fixture *f, enum collection c);
/* The first link behind `token=` in the last mail. */
const char *fixture_mail_token(struct fixture *f);

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)

#endif
