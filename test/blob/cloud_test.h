/*
 * cloud_test.h - for tests of the clouds: a server of the cloud's protocol as a child
 * process, and a store opened on it with buckets of its own.
 */
#ifndef TEST_BLOB_CLOUD_TEST_H
#define TEST_BLOB_CLOUD_TEST_H

#include <stdbool.h>
#include <sys/types.h>

#include "blob/blob_cloud.h"
#include "config/config.h"

struct peer {
    pid_t pid; /* 0: none */
    int port;
    char dir[64]; /* temporary, for its data; removed at the end */
};

/*
 * Starts argv on a free port; words may hold "@PORT@", "@DIR@", "@ROOT@" (of the
 * repository) and "@NODE@". Waits until it takes connections. Exits the test with 77
 * (skipped) when the program is not installed, unless MEMBRANE_TEST_PEERS says that it
 * must be; with 1 when it does not start. It dies with the test.
 */
void peer_start(struct peer *p, const char *const *argv);
void peer_stop(struct peer *p);

/* Of one test: a config to fill, a client, everything else. */
struct cloud_test {
    struct arena *a;
    struct status *st;
    struct config config;
    struct http_client *http;
    struct blob_cloud_options o;
};
/* Fills everything but what the provider wants; buckets get names of their own. */
void cloud_test_init(struct cloud_test *t, const char *provider);
/* Opens the store; NULL with a message when it can't be. */
struct blob *cloud_test_open(struct cloud_test *t);
void cloud_test_fini(struct cloud_test *t);
/* What stands at the address, as plain text; status: of the answer. */
const char *cloud_test_fetch(struct cloud_test *t, const char *url, int *ret_status);

#endif
