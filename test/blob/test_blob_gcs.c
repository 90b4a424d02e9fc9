/*
 * The contract on Google Cloud Storage, against fake-gcs-server, and what
 * only Google can show.
 */
#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "blob/blob.h"
#include "blob/blob_cloud.h"
#include "cloud_test.h"
#include "contract/blob_contract.h"
#include "contract/blob_contract_cloud.h"

static struct peer peer;
static struct cloud_test t;

static void set_up(void) {
    cloud_test_init(&t, "gcs");
    t.config.storage_emulator_host = arena_printf(t.a, "http://127.0.0.1:%d", peer.port);
}

static int make_bucket(struct blob *b, const char *name) {
    struct cloud_request rq = {.method = "POST", .path = "/storage/v1/b"};
    struct http_answer answer;

    rq.origin = t.config.storage_emulator_host;
    rq.body.data = arena_printf(t.a, "{\"name\":\"%s\"}", name);
    rq.body.len = strlen(rq.body.data);
    cloud_param(&rq, "project", "test");
    cloud_header(&rq, "Content-Type", "application/json");
    if (cloud_send((struct cloud *)b, t.a, &rq, &answer, t.st) < 0)
        return -1;
    return answer.status == 200 ? 0 : -1;
}

static struct blob *open_store(void) {
    struct blob *b;

    set_up();
    b = cloud_test_open(&t);
    if (!b || make_bucket(b, t.config.tmp_storage_bucket) < 0 ||
        make_bucket(b, t.config.connectors_storage_bucket) < 0 ||
        make_bucket(b, t.config.static_storage_bucket) < 0)
        fprintf(stderr, "buckets: %s\n", t.st->message);
    return b;
}

static void clean(void) {
    cloud_test_fini(&t);
}

int main(void) {
    static const char *const argv[] = {"@ROOT@/.peers/bin/fake-gcs-server",
                                       "-scheme",
                                       "http",
                                       "-host",
                                       "127.0.0.1",
                                       "-port",
                                       "@PORT@",
                                       "-backend",
                                       "memory",
                                       "-external-url",
                                       "http://127.0.0.1:@PORT@",
                                       "-public-host",
                                       "127.0.0.1:@PORT@",
                                       NULL};
    int failed;

    peer_start(&peer, argv);
    failed = blob_contract_run("gcs contract", open_store, clean) +
             blob_contract_cloud_run("gcs clouds", open_store, clean, &t);
    peer_stop(&peer);
    return failed;
}
