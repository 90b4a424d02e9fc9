/*
 * blob_abs.h - what the files of the Azure backend share.
 */
#ifndef BLOB_BLOB_ABS_H
#define BLOB_BLOB_ABS_H

#include <pthread.h>

#include "blob_cloud.h"

/* How a request proves who asks. */
enum abs_proof {
    ABS_KEY,   /* account key */
    ABS_SAS,   /* a shared access signature of the operator's making */
    ABS_TOKEN, /* workload or managed identity */
};

/* What a user delegation key signs addresses with. */
struct abs_delegation {
    const char *oid, *tid, *start, *expiry, *service, *version;
    const char *value; /* base64 */
    int64_t expires_ms;
};

struct abs {
    struct cloud cloud; /* first */
    enum abs_proof proof;
    const char *account;
    const char *key;           /* base64; ABS_KEY */
    const char *sas;           /* "sv=...&sig=..."; ABS_SAS */
    const char *source;        /* the step that the above came from */
    const char *origin, *path; /* of the endpoint */
    pthread_mutex_t mu;
    struct arena *delegation_arena;   /* guarded by: mu */
    struct abs_delegation delegation; /* guarded by: mu; value NULL: none yet */
};

#define ABS_VERSION "2021-12-02" /* of the protocol */

/* blob_abs_credentials.c: fills proof, account, key, sas, source, origin and path. */
int abs_configure(struct abs *s, struct status *st);
int abs_credentials(void *ctx, struct arena *a, struct credentials *ret,
                    struct status *st);

/* blob_abs_sign.c */
void abs_sign(struct abs *s, struct arena *a, struct cloud_request *rq);
void abs_add_sas(struct arena *a, const char *sas, struct cloud_request *rq);
/* 0; 1: these credentials can't sign addresses. */
int abs_presign(struct abs *s, struct arena *a, enum blob_bucket bucket, const char *key,
                int ttl_s, const char **ret_url, struct status *st);

#endif
