/*
 * What clouds do to us: errors that pass, connections that break, stall or are refused,
 * and objects that change while they are read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "cloud_stub.h"
#include "cloud_test.h"
#include "fault_proxy.h"
#include "value/value.h"

#define ID     "TESTACCESSKEYID"
#define SECRET "test-secret-of-forty-characters-or-so"

enum { SIZE = 4 * 1024 * 1024 };

static struct peer peer;
static struct cloud_test t;
static struct stub stub;
static struct fault_proxy *proxy;
static struct blob *b;

static void init(const char *endpoint) {
    cloud_test_init(&t, "s3");
    t.config.aws_region = "eu-west-1";
    t.config.aws_access_key_id = ID;
    t.config.aws_secret_access_key = SECRET;
    t.config.aws_endpoint_url_s3 = endpoint;
    t.o.stall_timeout_ms = 1000;
    b = cloud_test_open(&t);
    assert_non_null(b);
}

static int put_text(const char *key, const char *text) {
    return blob_put(b, BLOB_TMP, key, (struct bytes){text, strlen(text)}, "text/plain",
                    t.st);
}

/* ---- Answers that pass: a stand-in ---- */

static char endpoint[64];

static int stub_setup(void **state) {
    (void)state;
    stub_start(&stub);
    snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%d", stub.http.port);
    init(endpoint);
    return 0;
}

static int stub_teardown(void **state) {
    (void)state;
    blob_close(&b);
    cloud_test_fini(&t);
    stub_stop(&stub);
    return 0;
}

#define SLOW_DOWN "<Error><Code>SlowDown</Code><Message>Reduce</Message></Error>"

static void a_busy_store_is_asked_again(void **state) {
    int busy = stub_add(
        &stub,
        (struct stub_rule){
            .method = "PUT", .path = "/", .status = 503, .body = SLOW_DOWN, .times = 3});
    int good = stub_add(&stub, (struct stub_rule){.method = "PUT", .path = "/"});

    (void)state;
    assert_int_equal(put_text("k", "hello"), 0);
    assert_int_equal(stub_seen(&stub, busy), 3);
    assert_int_equal(stub_seen(&stub, good), 1);
}

static void a_store_that_stays_broken_is_a_clear_error(void **state) {
    int bad = stub_add(
        &stub, (struct stub_rule){
                   .method = "PUT", .path = "/", .status = 503, .body = SLOW_DOWN});

    (void)state;
    assert_int_equal(put_text("k", "hello"), -1);
    assert_string_equal(t.st->key, "unavailable");
    assert_int_equal(st_http_code(t.st), 503);
    assert_non_null(strstr(t.st->message, "S3 answers 503 SlowDown"));
    assert_int_equal(stub_seen(&stub, bad), 5);
}

static void what_can_not_pass_is_not_tried_again(void **state) {
    int bad = stub_add(
        &stub, (struct stub_rule){.method = "PUT",
                                  .path = "/",
                                  .status = 403,
                                  .body = "<Error><Code>AccessDenied</Code></Error>"});

    (void)state;
    assert_int_equal(put_text("k", "hello"), -1);
    assert_string_equal(t.st->key, "storage_denied");
    assert_int_equal(stub_seen(&stub, bad), 1);
}

static void answers_that_are_no_xml_are_an_error(void **state) {
    static const char *const bad[] = {
        "", "not xml", "<ListBucketResult>", "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
        "<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p><q/></p></o></n></m></l></k></j>"
        "</i></h></g></f></e></d></c></b></a>"};
    int rule = stub_add(&stub, (struct stub_rule){.method = "GET", .path = "/"});
    const struct value *keys;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        stub_change(&stub, rule, 200, bad[i]);
        assert_int_equal(blob_list(b, t.a, BLOB_TMP, "", 9, &keys, t.st), -1);
        assert_string_equal(t.st->key, "unavailable");
    }
}

static void an_error_inside_a_200_is_an_error(void **state) {
    size_t size = CLOUD_PART_BYTES + 1;
    char *data = calloc(1, size);
    int finish;

    (void)state;
    assert_non_null(data);
    stub_add(&stub, (struct stub_rule){
                        .method = "POST",
                        .path = "/",
                        .times = 1,
                        .body = "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                                "</InitiateMultipartUploadResult>"});
    stub_add(&stub,
             (struct stub_rule){
                 .method = "PUT", .path = "/", .header = "ETag", .value = "\"e\""});
    finish = stub_add(
        &stub, (struct stub_rule){.method = "POST",
                                  .path = "/",
                                  .body = "<Error><Code>InternalError</Code></Error>"});
    stub_add(&stub, (struct stub_rule){.method = "DELETE", .path = "/", .status = 204});
    assert_int_equal(blob_put(b, BLOB_TMP, "k", (struct bytes){data, size}, NULL, t.st),
                     -1);
    free(data);
    assert_non_null(strstr(t.st->message, "InternalError"));
    assert_int_equal(stub_seen(&stub, finish), 5);
    assert_int_equal(stub_seen(&stub, finish + 1), 1); /* the parts were thrown away */
}

static void a_refused_connection_is_a_clear_error(void **state) {
    (void)state;
    init("http://127.0.0.1:1");
    t.o.attempts = 2;
    assert_int_equal(put_text("k", "x"), -1);
    assert_string_equal(t.st->key, "unavailable");
    assert_non_null(strstr(t.st->message, "S3 can't be reached"));
    assert_int_equal(blob_ping(b, t.st), -1);
    blob_close(&b);
    cloud_test_fini(&t);
}

/* ---- Connections that break: a real server behind a relay ---- */

static int make_bucket(const char *name) {
    struct cloud_request rq = {.method = "PUT", .origin = t.config.aws_endpoint_url_s3};
    struct http_answer answer;

    rq.path = arena_printf(t.a, "/%s", name);
    return cloud_send((struct cloud *)b, t.a, &rq, &answer, t.st) == 0 &&
                   answer.status == 200
               ? 0
               : -1;
}

static int proxy_setup(void **state) {
    (void)state;
    proxy = fault_proxy_start(peer.port);
    snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%d", fault_proxy_port(proxy));
    init(endpoint);
    return make_bucket(t.config.tmp_storage_bucket);
}

static int proxy_teardown(void **state) {
    (void)state;
    blob_close(&b);
    cloud_test_fini(&t);
    fault_proxy_stop(&proxy);
    return 0;
}

/* A client of its own has no idle connection, so that the next one is a new one. */
static void forget_connections(void) {
    const char *bucket = t.config.tmp_storage_bucket;

    blob_close(&b);
    http_client_close(&t.http);
    if (http_client_open(&(struct http_client_options){.user_agent = "test"}, &t.http,
                         t.st) < 0)
        abort();
    t.o.http = t.http;
    t.config.tmp_storage_bucket = bucket;
    b = cloud_test_open(&t);
}

static char *make_body(char first) {
    char *data = malloc(SIZE);

    assert_non_null(data);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (char)(first + i % 251 + i / 65536);
    return data;
}

static void put_body(const char *data) {
    if (blob_put(b, BLOB_TMP, "k", (struct bytes){data, SIZE}, NULL, t.st) != 0)
        fail_msg("%s", t.st->message);
}

static void assert_body(const char *data) {
    struct bytes body;

    if (blob_get(b, t.a, BLOB_TMP, "k", SIZE, &body, NULL, t.st) != 0)
        fail_msg("%s", t.st->message);
    assert_int_equal(body.len, SIZE);
    assert_memory_equal(body.data, data, SIZE);
}

static void a_read_that_is_cut_goes_on_where_it_stopped(void **state) {
    char *data = make_body('a');

    (void)state;
    put_body(data);
    forget_connections();
    fault_proxy_spoil(proxy, 3, FAULT_CUT, 1000 * 1000);
    assert_body(data);
    assert_int_equal(fault_proxy_spoilt(proxy), 3);
    free(data);
}

static void a_read_that_stalls_goes_on_over_another_connection(void **state) {
    char *data = make_body('a');

    (void)state;
    put_body(data);
    forget_connections();
    fault_proxy_spoil(proxy, 1, FAULT_STALL, 1000 * 1000);
    assert_body(data);
    assert_int_equal(fault_proxy_spoilt(proxy), 1);
    free(data);
}

static void a_slow_read_is_no_failure(void **state) {
    char *data = make_body('a');

    (void)state;
    put_body(data);
    forget_connections();
    fault_proxy_spoil(proxy, 1, FAULT_SLOW, 0);
    assert_body(data);
    free(data);
}

static void
a_store_that_takes_connections_and_answers_nothing_ends_in_an_error(void **state) {
    int64_t start = clock_monotonic_ms(clock_system());

    (void)state;
    forget_connections();
    blob_close(&b);
    t.o.attempts = 2;
    b = cloud_test_open(&t);
    fault_proxy_spoil(proxy, 100, FAULT_STALL, 0);
    assert_int_equal(put_text("k", "x"), -1);
    assert_string_equal(t.st->key, "unavailable");
    assert_true(clock_monotonic_ms(clock_system()) - start < 60 * 1000);
}

static void reads_that_are_always_cut_end_in_an_error(void **state) {
    char *data = make_body('a');
    struct bytes body;

    (void)state;
    put_body(data);
    forget_connections();
    fault_proxy_spoil(proxy, 1000, FAULT_CUT, 100);
    assert_int_equal(blob_get(b, t.a, BLOB_TMP, "k", SIZE, &body, NULL, t.st), -1);
    assert_string_equal(t.st->key, "unavailable");
    free(data);
}

static void an_upload_that_is_cut_is_sent_again(void **state) {
    char *data = make_body('a');

    (void)state;
    forget_connections();
    fault_proxy_spoil(proxy, 2, FAULT_CUT_REQUEST, 500 * 1000);
    put_body(data);
    assert_int_equal(fault_proxy_spoilt(proxy), 2);
    assert_body(data);
    free(data);
}

static void an_object_replaced_while_it_is_read_is_never_mixed(void **state) {
    char *data = make_body('a'), *other = make_body('b'), *part = malloc(SIZE);
    struct blob_reader *r;
    struct blob_info info;
    size_t n = 1, got = 0;
    int rc = 0;

    (void)state;
    put_body(data);
    forget_connections();
    fault_proxy_spoil(proxy, 1, FAULT_CUT, 1000 * 1000);
    assert_int_equal(blob_open_reader(b, t.a, BLOB_TMP, "k", &r, &info, t.st), 0);
    assert_int_equal(blob_reader_pull(r, part, 1000, &got, t.st), 0);
    put_body(other);
    while (rc == 0 && n > 0 && got < SIZE) {
        rc = blob_reader_pull(r, part + got, SIZE - got, &n, t.st);
        got += rc == 0 ? n : 0;
    }
    assert_memory_equal(part, data, got);
    if (rc < 0)
        assert_non_null(strstr(t.st->message, "changed while it was read"));
    else
        assert_int_equal(got, SIZE); /* it was all on its way before */
    blob_reader_close(r);
    free(data);
    free(other);
    free(part);
}

#define STUB(f)  cmocka_unit_test_setup_teardown(f, stub_setup, stub_teardown)
#define PROXY(f) cmocka_unit_test_setup_teardown(f, proxy_setup, proxy_teardown)

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
    const struct CMUnitTest answers[] = {
        STUB(a_busy_store_is_asked_again),
        STUB(a_store_that_stays_broken_is_a_clear_error),
        STUB(what_can_not_pass_is_not_tried_again),
        STUB(answers_that_are_no_xml_are_an_error),
        STUB(an_error_inside_a_200_is_an_error),
        cmocka_unit_test(a_refused_connection_is_a_clear_error),
    };
    const struct CMUnitTest connections[] = {
        PROXY(a_read_that_is_cut_goes_on_where_it_stopped),
        PROXY(a_read_that_stalls_goes_on_over_another_connection),
        PROXY(a_slow_read_is_no_failure),
        PROXY(a_store_that_takes_connections_and_answers_nothing_ends_in_an_error),
        PROXY(reads_that_are_always_cut_end_in_an_error),
        PROXY(an_upload_that_is_cut_is_sent_again),
        PROXY(an_object_replaced_while_it_is_read_is_never_mixed),
    };
    int failed = cmocka_run_group_tests(answers, NULL, NULL);

    peer_start(&peer, argv);
    failed += cmocka_run_group_tests(connections, NULL, NULL);
    peer_stop(&peer);
    return failed;
}
