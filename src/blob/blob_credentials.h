/*
 * blob_credentials.h - credentials that end and are renewed while they are used.
 *
 * A provider's chain gives them (struct credentials_source); this keeps the last ones,
 * renews them five minutes ahead with some jitter, and goes on with the old ones until
 * they end when the renewal fails. One thread renews; others use what there is, or wait
 * when there is nothing. Threads: all at once.
 */
#ifndef BLOB_BLOB_CREDENTIALS_H
#define BLOB_BLOB_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct clock;
struct rand;
struct status;

/* Texts are NULL where a kind has none. */
struct credentials {
    const char *id;        /* AWS: access key id; Google: e-mail of the account */
    const char *secret;    /* AWS: its secret; Google: private key, PEM */
    const char *token;     /* AWS: session token; others: bearer token */
    const char *source;    /* the step that gave them: "environment", "web identity" */
    const char *principal; /* whose they are, for logs; or NULL */
    int64_t expires_ms;    /* 0: never */
};

/* Fills *ret from `a`. -1: ST_CONFIGURATION "missing" when no step has any, else why the
 * step that is configured failed. */
typedef int credentials_fetch(void *ctx, struct arena *a, struct credentials *ret,
                              struct status *st);

struct credentials_cache;
/* ctx, clock and rand must outlive it. */
struct credentials_cache *credentials_cache_new(credentials_fetch *fetch, void *ctx,
                                                struct clock *clock, struct rand *rand);
/* The present ones, copied to `a`. */
int credentials_get(struct credentials_cache *c, struct arena *a, struct credentials *ret,
                    struct status *st);
/* They were refused: the next get fetches again. */
void credentials_drop(struct credentials_cache *c, const struct credentials *refused);
void credentials_cache_free(struct credentials_cache **c);

#endif
