/*
 * blob_sigv4.h - AWS Signature Version 4, for requests and for addresses, and Google's
 * variant of the latter (GOOG4-RSA-SHA256), which differs in names and in who signs.
 *
 * libcurl's own CURLOPT_AWS_SIGV4 (7.88) is not used: it signs no session token in the
 * query, knows no presigned addresses and no payload hash of our choosing.
 */
#ifndef BLOB_BLOB_SIGV4_H
#define BLOB_BLOB_SIGV4_H

#include "blob_cloud.h"

struct sigv4 {
    const struct credentials *credentials;
    const char *region;
    const char *service; /* "s3", "sts" */
    int64_t now_ms;
};

/* Adds x-amz-date, x-amz-content-sha256, x-amz-security-token and Authorization. */
void sigv4_sign(struct arena *a, const struct sigv4 *s, struct cloud_request *rq);
/* The address of a GET of rq, with its own signature in the query. */
const char *sigv4_presign(struct arena *a, const struct sigv4 *s,
                          struct cloud_request *rq, int ttl_s);
/*
 * The same for Google: sign gives the RSA-SHA256 signature of a text, or -1 with *st
 * filled.
 */
int goog4_presign(struct arena *a, const char *account, int64_t now_ms,
                  struct cloud_request *rq, int ttl_s,
                  int (*sign)(void *ctx, struct arena *a, const char *text,
                              struct bytes *ret_signature, struct status *st),
                  void *ctx, const char **ret_url, struct status *st);

#endif
