/*
 * crypto_base64url.h - base64 of RFC 4648 section 5, without padding.
 */
#ifndef CRYPTO_CRYPTO_BASE64URL_H
#define CRYPTO_CRYPTO_BASE64URL_H

#include <stddef.h>

#include "base/bytes.h"

struct arena;

/* NUL-terminated. */
const char *crypto_base64url_encode(struct arena *a, const void *data, size_t len);
/*
 * -1 when the text holds any other character (padding too), has an impossible length, or
 * is not the one canonical form of its bytes.
 */
int crypto_base64url_decode(struct arena *a, const char *text, size_t len,
                            struct bytes *ret_bytes);

#endif
