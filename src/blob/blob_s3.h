/*
 * blob_s3.h - what the files of the S3 backend share.
 */
#ifndef BLOB_BLOB_S3_H
#define BLOB_BLOB_S3_H

#include <pthread.h>

#include "blob_cloud.h"

struct s3 {
    struct cloud cloud; /* first */
    pthread_mutex_t mu;
    const char *region;        /* guarded by: mu; NULL until known, then constant */
    const char *origin, *path; /* guarded by: mu; of the endpoint, with the region */
    bool path_style;           /* guarded by: mu */
};

/* Makes sure that the region is known: from AWS_REGION, or the instance. */
int s3_find_region(struct s3 *s, struct arena *a, struct status *st);

/* blob_s3_credentials.c: the chain. ctx: struct s3. */
int s3_credentials(void *ctx, struct arena *a, struct credentials *ret,
                   struct status *st);
int s3_instance_region(struct s3 *s, struct arena *a, const char **ret_region,
                       struct status *st);

#endif
