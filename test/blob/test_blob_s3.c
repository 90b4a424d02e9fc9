/*
 * The contract on S3, against a server that checks every signature (versitygw), and what
 * only S3 can show: presigned addresses, refused keys, parts, missing buckets.
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

#define ID     "TESTACCESSKEYID"
#define SECRET "test-secret-of-forty-characters-or-so"

static struct peer peer;
static struct cloud_test t;

static void set_up(void) {
    cloud_test_init(&t, "s3");
    t.config.aws_region = "eu-west-1";
    t.config.aws_access_key_id = ID;
    t.config.aws_secret_access_key = SECRET;
    t.config.aws_endpoint_url_s3 = arena_printf(t.a, "http://127.0.0.1:%d", peer.port);
}

static int make_bucket(struct blob *b, const char *name) {
    struct cloud_request rq = {.method = "PUT", .origin = t.config.aws_endpoint_url_s3};
    struct http_answer answer;

    rq.path = arena_printf(t.a, "/%s", name);
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

static void a_wrong_secret_is_a_clear_error(void **state) {
    struct blob *b;

    (void)state;
    b = open_store();
    blob_close(&b);
    t.config.aws_secret_access_key = "wrong";
    b = cloud_test_open(&t);
    assert_int_equal(
        blob_put(b, BLOB_TMP, "k", (struct bytes){"x", 1}, "text/plain", t.st), -1);
    assert_string_equal(t.st->key, "storage_denied");
    assert_non_null(strstr(t.st->message, "SignatureDoesNotMatch"));
    assert_null(strstr(t.st->message, "wrong"));
    blob_close(&b);
    clean();
}

int main(void) {
    static const char *const argv[] = {"@ROOT@/.peers/bin/versitygw",
                                       "--access",
                                       ID,
                                       "--secret",
                                       SECRET,
                                       "--region",
                                       "eu-west-1",
                                       "--port",
                                       "127.0.0.1:@PORT@",
                                       "--quiet",
                                       "--keep-alive",
                                       "posix",
                                       "--sidecar",
                                       "@DIR@/meta",
                                       "@DIR@/data",
                                       NULL};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_secret_is_a_clear_error),
    };
    int failed;

    peer_start(&peer, argv);
    failed = cmocka_run_group_tests_name("s3", tests, NULL, NULL) +
             blob_contract_run("s3 contract", open_store, clean) +
             blob_contract_cloud_run("s3 clouds", open_store, clean, &t);
    peer_stop(&peer);
    return failed;
}
