/*
 * blob_gcs.h - what the files of the Google Cloud Storage backend share.
 */
#ifndef BLOB_BLOB_GCS_H
#define BLOB_BLOB_GCS_H

#include "blob_cloud.h"

struct gcs {
    struct cloud cloud; /* first */
    const char *origin; /* "https://storage.googleapis.com" */
    bool is_emulator;   /* nobody to prove anything to */
};

/*
 * blob_gcs_credentials.c: the chain. ctx: struct gcs. token is the bearer; id the
 * account's e-mail; secret its private key where there is one.
 */
int gcs_credentials(void *ctx, struct arena *a, struct credentials *ret,
                    struct status *st);

#endif
