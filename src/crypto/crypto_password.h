/*
 * crypto_password.h - passwords at rest: argon2id; bcrypt is only verified.
 */
#ifndef CRYPTO_CRYPTO_PASSWORD_H
#define CRYPTO_CRYPTO_PASSWORD_H

#include <stdbool.h>

struct arena;
struct rand;

/* Takes tens of milliseconds and 19 MB on purpose. "$argon2id$..." */
const char *crypto_password_hash(struct arena *a, struct rand *r, const char *password);
/* hash: argon2id or bcrypt ("$2a$", "$2b$", "$2y$") text; anything else is no match. */
bool crypto_password_verify(const char *password, const char *hash);

#endif
