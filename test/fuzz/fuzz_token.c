/*
 * Any bytes as a bearer token: the first byte chooses between the token as it is and a
 * token whose three parts are the input's, base64url encoded, so that headers and claims
 * are reached. What is accepted must have the claims that make it acceptable.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/auth_jwt.h"
#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_base64url.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *encoded(struct arena *a, const char *text, size_t len) {
    const char *dot = memchr(text, '\n', len);
    size_t head = dot ? (size_t)(dot - text) : len;
    const char *rest = dot ? dot + 1 : "";

    return arena_printf(a, "%s.%s.c2ln", crypto_base64url_encode(a, text, head),
                        crypto_base64url_encode(a, rest, dot ? len - head - 1 : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new(0);
    struct auth_claims claims;
    struct auth_jwt jwt;
    struct status st;
    int64_t expires_ms;

    st_init(&st, a);
    if (size > 1) {
        const char *text = arena_memdup(a, data + 1, size - 1);
        const char *token = data[0] & 1 ? encoded(a, text, size - 1) : text;

        if (auth_jwt_parse(a, token, &jwt, &st) == 0 &&
            auth_jwt_check_times(jwt.claims, 1762331412481, &expires_ms, &st) == 0 &&
            auth_claims_read(a, jwt.claims, &claims, &st) == 0) {
            if (claims.tenant_key && !*claims.tenant_key)
                abort();
            if (claims.fields && !value_is_object(claims.fields))
                abort();
            if (expires_ms <= 1762331412481)
                abort();
        } else if (!st.key || strcmp(st.key, "not_authenticated")) {
            abort();
        }
    }
    arena_free(&a);
    return 0;
}
