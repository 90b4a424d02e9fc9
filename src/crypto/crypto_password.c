#include "crypto_password.h"

#include <argon2.h>
#include <assert.h>
#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "crypto_hash.h"

/* OWASP's first choice for argon2id: 19 MiB, two passes, one lane. */
enum { PASSES = 2, MEMORY_KIB = 19456, LANES = 1, SALT_LEN = 16, HASH_LEN = 32 };

const char *crypto_password_hash(struct arena *a, struct rand *r, const char *password) {
    unsigned char salt[SALT_LEN];
    char *out = arena_alloc(a, 128);
    int rc;

    r->fill(r, salt, sizeof(salt));
    rc = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password, strlen(password),
                               salt, sizeof(salt), HASH_LEN, out, 128);
    assert(rc == ARGON2_OK);
    return out;
}

static bool verify_bcrypt(const char *password, const char *hash) {
    struct crypt_data *data = calloc(1, sizeof(*data));
    const char *made;
    bool same;

    if (!data)
        abort();
    made = crypt_r(password, hash, data);
    same = made && crypto_equal((struct bytes){made, strlen(made)},
                                (struct bytes){hash, strlen(hash)});
    free(data);
    return same;
}

bool crypto_password_verify(const char *password, const char *hash) {
    if (!strncmp(hash, "$argon2id$", 10))
        return argon2id_verify(hash, password, strlen(password)) == ARGON2_OK;
    if (!strncmp(hash, "$2a$", 4) || !strncmp(hash, "$2b$", 4) ||
        !strncmp(hash, "$2y$", 4))
        return verify_bcrypt(password, hash);
    return false;
}
