/*
 * The contract on Azure Blob, against Azurite, which checks every signature, and what
 * only Azure can show.
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

#define KEY                                                                              \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"                    \
    "K1SZFPTOtr/KBHBeksoGMGw=="

static void set_up(void) {
    cloud_test_init(&t, "abs");
    t.config.azure_storage_account_name = "devstoreaccount1";
    t.config.azure_storage_account_key = KEY;
    t.config.azure_storage_blob_endpoint =
        arena_printf(t.a, "http://127.0.0.1:%d/devstoreaccount1", peer.port);
}

static int make_bucket(struct blob *b, const char *name) {
    struct cloud_request rq = {.method = "PUT"};
    struct http_answer answer;

    rq.origin = arena_printf(t.a, "http://127.0.0.1:%d", peer.port);
    rq.path = arena_printf(t.a, "/devstoreaccount1/%s", name);
    cloud_param(&rq, "restype", "container");
    if (cloud_send((struct cloud *)b, t.a, &rq, &answer, t.st) < 0)
        return -1;
    return answer.status == 201 ? 0 : -1;
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

static void a_wrong_key_is_a_clear_error(void **state) {
    struct blob *b;

    (void)state;
    set_up();
    t.config.azure_storage_account_key = "d3Jvbmc=";
    b = cloud_test_open(&t);
    assert_int_equal(
        blob_put(b, BLOB_TMP, "k", (struct bytes){"x", 1}, "text/plain", t.st), -1);
    assert_string_equal(t.st->key, "storage_denied");
    assert_non_null(strstr(t.st->message, "AuthorizationFailure"));
    assert_null(strstr(t.st->message, "d3Jvbmc"));
    blob_close(&b);
    clean();
}

static void a_connection_string_names_account_key_and_endpoint(void **state) {
    struct blob *b;

    (void)state;
    set_up();
    t.config.azure_storage_account_name = "other";
    t.config.azure_storage_account_key = NULL;
    t.config.azure_storage_blob_endpoint = NULL;
    t.config.azure_storage_connection_string = arena_printf(
        t.a,
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=" KEY
        ";BlobEndpoint=http://127.0.0.1:%d/devstoreaccount1;",
        peer.port);
    b = cloud_test_open(&t);
    assert_int_equal(make_bucket(b, t.config.tmp_storage_bucket), 0);
    assert_int_equal(blob_ping(b, t.st), 0);
    blob_close(&b);
    clean();
}

int main(void) {
    static const char *const argv[] = {
        "@NODE@",
        "@ROOT@/.peers/npm/node_modules/azurite/dist/src/blob/main.js",
        "--blobPort",
        "@PORT@",
        "--inMemoryPersistence",
        "--disableTelemetry",
        "--silent",
        NULL};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_key_is_a_clear_error),
        cmocka_unit_test(a_connection_string_names_account_key_and_endpoint),
    };
    int failed;

    peer_start(&peer, argv);
    failed = cmocka_run_group_tests_name("abs", tests, NULL, NULL) +
             blob_contract_run("abs contract", open_store, clean) +
             blob_contract_cloud_run("abs clouds", open_store, clean, &t);
    peer_stop(&peer);
    return failed;
}
