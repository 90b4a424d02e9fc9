/*
 * crypto_seal.h - encryption at rest: JSON values sealed to a record.
 *
 * Sealed text is "v1.<key id>.<nonce>.<ciphertext and tag>", AES-256-GCM with a key
 * derived by HKDF-SHA256 from the operator's secret. The record's id is additional data:
 * a text copied to another record does not open. The key id tells which secret sealed it,
 * so that an earlier secret still opens what it sealed while new text uses the new one.
 */
#ifndef CRYPTO_CRYPTO_SEAL_H
#define CRYPTO_CRYPTO_SEAL_H

#include <stdbool.h>

struct arena;
struct crypto_sealer;
struct status;
struct value;

/*
 * secret: not empty. previous: comma list of earlier secrets that only open; or NULL.
 * Gives a sealer; safe to share between threads.
 */
struct crypto_sealer *crypto_sealer_new(const char *secret, const char *previous);
void crypto_sealer_free(struct crypto_sealer **s);

/* record_id binds the text to its record; not empty. */
const char *crypto_seal(const struct crypto_sealer *s, struct arena *a,
                        const char *record_id, const struct value *v);
/*
 * -1 internal/"credentials_unreadable" when the text was sealed with an unknown secret,
 * for another record, or was changed. Nothing of the content is in the message.
 */
int crypto_unseal(const struct crypto_sealer *s, struct arena *a, const char *record_id,
                  const char *sealed, const struct value **ret_value, struct status *st);
/* False for text that an earlier secret sealed: seal it again at the next write. */
bool crypto_seal_is_current(const struct crypto_sealer *s, const char *sealed);

/*
 * The key-check value: kept in the store at the first start and compared at every later
 * one, so that nobody writes under two keys. check opens with the current or an earlier
 * secret: 0 right secret, 1 right, but sealed by an earlier one (store a new check
 * value), -1 configuration error: the secret is not the one the data was written with.
 */
const char *crypto_seal_check_value(const struct crypto_sealer *s, struct arena *a);
int crypto_seal_check(const struct crypto_sealer *s, const char *check_value,
                      struct status *st);

#endif
