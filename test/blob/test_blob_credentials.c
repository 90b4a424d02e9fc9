/*
 * Whose credentials the clouds are called with, in the documented order, against local
 * stand-ins of the services that give them. S150.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "blob/blob_sigv4.h"
#include "cloud_stub.h"
#include "cloud_test.h"
#include "crypto/crypto_base64url.h"
#include "crypto/crypto_jws.h"
#include "value/value.h"

#define FAR "2099-01-01T00:00:00Z"

static struct cloud_test t;
static struct stub stub;
static struct blob *b;
static char file[64];

static int setup(void **state) {
    (void)state;
    stub_start(&stub);
    b = NULL;
    strcpy(file, "/tmp/test-credentials-XXXXXX");
    close(mkstemp(file));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    blob_close(&b);
    cloud_test_fini(&t);
    stub_stop(&stub);
    unlink(file);
    return 0;
}

static void write_file(const char *text) {
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void init(const char *provider) {
    cloud_test_init(&t, provider);
    t.config.aws_region = "eu-west-1";
    t.config.aws_endpoint_url_s3 = stub_uri(&stub, t.a);
}

/* Opens, puts an object; gives the request that the store saw. */
static const char *put(int bucket_rule) {
    if (!b)
        b = cloud_test_open(&t);
    assert_non_null(b);
    if (blob_put(b, BLOB_TMP, "k", (struct bytes){"x", 1}, NULL, t.st) != 0)
        fail_msg("%s", t.st->message);
    return stub_last(&stub, bucket_rule, t.a);
}

static void assert_has(const char *text, const char *part) {
    if (!text || !part || !strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part ? part : "(null)", text ? text : "(null)");
}

static void assert_put_fails(enum status_type type, const char *key, const char *part) {
    b = cloud_test_open(&t);
    assert_non_null(b);
    assert_int_equal(blob_put(b, BLOB_TMP, "k", (struct bytes){"x", 1}, NULL, t.st), -1);
    assert_has(t.st->message, part);
    assert_int_equal(t.st->type, type);
    assert_string_equal(t.st->key, key);
}

/* ---- Signatures against published examples ---- */

static struct cloud_request example(void) {
    return (struct cloud_request){.method = "GET",
                                  .origin = "https://examplebucket.s3.amazonaws.com",
                                  .path = "/test.txt"};
}

static void signatures_are_those_of_the_published_examples(void **state) {
    struct credentials k = {.id = "AKIAIOSFODNN7EXAMPLE",
                            .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
    struct sigv4 s = {&k, "us-east-1", "s3", 1369353600000};
    struct cloud_request rq = example();

    (void)state;
    init("s3");
    cloud_header(&rq, "Range", "bytes=0-9");
    sigv4_sign(t.a, &s, &rq);
    assert_string_equal(
        rq.headers[rq.headers_len - 1].value,
        "AWS4-HMAC-SHA256 "
        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    rq = example();
    assert_has(sigv4_presign(t.a, &s, &rq, 86400),
               "&X-Amz-Signature="
               "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

/* ---- S3 ---- */

static int bucket_rule(void) {
    return stub_add(&stub, (struct stub_rule){.method = "PUT", .path = "/tmp-"});
}

static void s3_takes_the_environment_first(void **state) {
    int bucket = bucket_rule();

    (void)state;
    init("s3");
    write_file("[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n");
    t.config.aws_access_key_id = "ENVID";
    t.config.aws_secret_access_key = "envsecret";
    t.config.aws_session_token = "envtoken";
    t.config.aws_shared_credentials_file = file;
    assert_has(put(bucket), "Credential=ENVID/");
    assert_has(put(bucket), "x-amz-security-token: envtoken\n");
}

static const char sts_answer[] =
    "<AssumeRoleWithWebIdentityResponse "
    "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
    "<AssumeRoleWithWebIdentityResult><Credentials>"
    "<AccessKeyId>WEBID</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
    "<SessionToken>webtoken</SessionToken><Expiration>" FAR "</Expiration>"
    "</Credentials></AssumeRoleWithWebIdentityResult></"
    "AssumeRoleWithWebIdentityResponse>";

static void s3_takes_a_role_by_web_identity(void **state) {
    int sts =
        stub_add(&stub, (struct stub_rule){"POST", "/", 200, sts_answer, NULL, NULL});
    int bucket = bucket_rule();
    const char *asked, *text;

    (void)state;
    init("s3");
    write_file("the.web.token\n");
    t.config.aws_web_identity_token_file = file;
    t.config.aws_role_arn = "arn:aws:iam::1:role/r";
    t.config.aws_endpoint_url_sts = stub_uri(&stub, t.a);
    /* a later step that must not be asked */
    t.config.aws_container_credentials_full_uri = "http://127.0.0.1:1/";
    assert_has(put(bucket), "Credential=WEBID/");
    assert_has(put(bucket), "x-amz-security-token: webtoken\n");
    asked = stub_last(&stub, sts, t.a);
    assert_has(asked, "Action=AssumeRoleWithWebIdentity");
    assert_has(asked, "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr");
    assert_has(asked, "WebIdentityToken=the.web.token");
    assert_int_equal(stub_seen(&stub, sts), 1);
    assert_int_equal(blob_describe(b, t.a, &text, t.st), 0);
    assert_string_equal(
        text, "S3 with the credentials of arn:aws:iam::1:role/r (web identity)");
}

static void a_step_that_is_configured_and_refused_is_an_error(void **state) {
    (void)state;
    stub_add(&stub,
             (struct stub_rule){"POST", "/", 403,
                                "<ErrorResponse><Error><Code>AccessDenied</Code></Error>"
                                "</ErrorResponse>",
                                NULL, NULL});
    init("s3");
    write_file("token");
    t.config.aws_web_identity_token_file = file;
    t.config.aws_role_arn = "arn:aws:iam::1:role/r";
    t.config.aws_endpoint_url_sts = stub_uri(&stub, t.a);
    assert_put_fails(ST_INTERNAL, "storage_denied",
                     "web identity: the STS answers 403 AccessDenied");
}

#define METADATA(id, expiry)                                                             \
    "{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"s\",\"Token\":\"" id              \
    "-token\",\"Expiration\":\"" expiry "\"}"

static void s3_asks_the_container(void **state) {
    int container = stub_add(&stub, (struct stub_rule){"GET", "/creds", 200,
                                                       METADATA("BOX", FAR), NULL, NULL});
    int bucket = bucket_rule();

    (void)state;
    init("s3");
    write_file("pod-token\n");
    t.config.aws_container_credentials_full_uri =
        arena_printf(t.a, "%s/creds", stub_uri(&stub, t.a));
    t.config.aws_container_authorization_token_file = file;
    assert_has(put(bucket), "x-amz-security-token: BOX-token\n");
    assert_has(stub_last(&stub, container, t.a), "Authorization: pod-token\n");
}

static void a_container_address_elsewhere_is_refused(void **state) {
    (void)state;
    init("s3");
    t.config.aws_container_credentials_full_uri = "http://credentials.example.com/";
    assert_put_fails(ST_CONFIGURATION, "bad-format", "must be https or local");
}

static void s3_reads_the_profile_of_a_file(void **state) {
    int bucket = bucket_rule();

    (void)state;
    init("s3");
    write_file("[default]\naws_access_key_id = OTHER\naws_secret_access_key = s\n"
               "# comment\n[ours]\naws_access_key_id = OURS\n"
               "aws_secret_access_key = t\n");
    t.config.aws_shared_credentials_file = file;
    t.config.aws_profile = "ours";
    assert_has(put(bucket), "Credential=OURS/");
}

static int instance_rules(const char *expiry) {
    int token = stub_add(
        &stub, (struct stub_rule){"PUT", "/latest/api/token", 200, "imds2", NULL, NULL});

    stub_add(&stub, (struct stub_rule){"GET", "/latest/meta-data/placement/region", 200,
                                       "eu-north-1", NULL, NULL});
    stub_add(&stub, (struct stub_rule){
                        "GET", "/latest/meta-data/iam/security-credentials/role-a", 200,
                        expiry, NULL, NULL});
    stub_add(&stub,
             (struct stub_rule){"GET", "/latest/meta-data/iam/security-credentials/", 200,
                                "role-a\n", NULL, NULL});
    return token;
}

static void s3_asks_the_instance_with_a_session_for_keys_and_region(void **state) {
    int token = instance_rules(METADATA("EC2", FAR));
    int bucket = bucket_rule();
    const char *seen;

    (void)state;
    init("s3");
    t.config.aws_region = NULL;
    t.config.aws_ec2_metadata_disabled = false;
    t.config.aws_ec2_metadata_service_endpoint = stub_uri(&stub, t.a);
    t.config.aws_shared_credentials_file = NULL;
    seen = put(bucket);
    assert_has(seen, "/eu-north-1/s3/aws4_request");
    assert_has(seen, "x-amz-security-token: EC2-token\n");
    assert_has(stub_last(&stub, token, t.a),
               "X-aws-ec2-metadata-token-ttl-seconds: 21600");
    assert_has(stub_last(&stub, 2, t.a), "X-aws-ec2-metadata-token: imds2\n");
}

static void without_any_credentials_the_steps_are_named(void **state) {
    (void)state;
    init("s3");
    assert_put_fails(ST_CONFIGURATION, "missing",
                     "no credentials for s3 (tried environment, web identity, container, "
                     "file, instance metadata)");
}

static void
credentials_are_renewed_ahead_and_the_old_ones_used_until_they_end(void **state) {
    struct clock_fake clock;
    int container, bucket;

    (void)state;
    container = stub_add(
        &stub, (struct stub_rule){"GET", "/creds", 200,
                                  METADATA("ONE", "2030-01-01T01:00:00Z"), NULL, NULL});
    bucket = bucket_rule();
    init("s3");
    clock_fake_init(&clock, 1893456000000); /* 2030-01-01T00:00:00Z */
    t.o.clock = &clock.clock;
    t.config.aws_container_credentials_full_uri =
        arena_printf(t.a, "%s/creds", stub_uri(&stub, t.a));
    assert_has(put(bucket), "Credential=ONE/");
    clock_fake_advance(&clock, 53 * 60 * 1000);
    assert_has(put(bucket), "Credential=ONE/");
    assert_int_equal(stub_seen(&stub, container), 1);
    /* six minutes ahead at the most, five at the least */
    clock_fake_advance(&clock, 2 * 60 * 1000 + 1);
    stub_change(&stub, container, 400, "{}");
    assert_has(put(bucket), "Credential=ONE/"); /* the renewal failed */
    assert_int_equal(stub_seen(&stub, container), 2);
    assert_has(put(bucket), "Credential=ONE/");
    assert_int_equal(stub_seen(&stub, container), 2); /* not asked again at once */
    stub_change(&stub, container, 200, METADATA("TWO", "2030-01-01T02:00:00Z"));
    clock_fake_advance(&clock, 20 * 1000);
    assert_has(put(bucket), "Credential=TWO/");
    stub_change(&stub, container, 400, "{}");
    clock_fake_advance(&clock, 2 * 3600 * 1000);
    assert_int_equal(blob_put(b, BLOB_TMP, "k", (struct bytes){"x", 1}, NULL, t.st), -1);
    assert_has(t.st->message, "container");
}

static void credentials_that_are_refused_as_expired_are_fetched_anew(void **state) {
    int container, bucket;

    (void)state;
    container = stub_add(&stub, (struct stub_rule){"GET", "/creds", 200,
                                                   METADATA("ONE", FAR), NULL, NULL});
    bucket = bucket_rule();
    init("s3");
    t.config.aws_container_credentials_full_uri =
        arena_printf(t.a, "%s/creds", stub_uri(&stub, t.a));
    put(bucket);
    stub_change(&stub, bucket, 400, "<Error><Code>ExpiredToken</Code></Error>");
    assert_int_equal(blob_put(b, BLOB_TMP, "k", (struct bytes){"x", 1}, NULL, t.st), -1);
    assert_has(t.st->message, "ExpiredToken");
    assert_int_equal(stub_seen(&stub, container), 2);
    assert_int_equal(stub_seen(&stub, bucket), 3);
}

/* ---- Azure ---- */

static void init_azure(void) {
    init("abs");
    t.config.azure_storage_account_name = "acct";
    t.config.azure_storage_blob_endpoint = stub_uri(&stub, t.a);
}

static int container_rule(void) {
    return stub_add(&stub, (struct stub_rule){"PUT", "/tmp-", 201, NULL, NULL, NULL});
}

static void azure_takes_the_workload_identity(void **state) {
    int token = stub_add(
        &stub,
        (struct stub_rule){"POST", "/tenant/oauth2/v2.0/token", 200,
                           "{\"access_token\":\"wi\",\"expires_in\":3600}", NULL, NULL});
    int container = container_rule();
    const char *asked;

    (void)state;
    init_azure();
    write_file("projected.token\n");
    t.config.azure_federated_token_file = file;
    t.config.azure_client_id = "client";
    t.config.azure_tenant_id = "tenant";
    t.config.azure_authority_host = stub_uri(&stub, t.a);
    t.config.identity_endpoint = "http://127.0.0.1:1/"; /* must not be asked */
    t.config.identity_header = "h";
    assert_has(put(container), "Authorization: Bearer wi\n");
    asked = stub_last(&stub, token, t.a);
    assert_has(asked, "client_assertion=projected.token");
    assert_has(asked, "scope=https%3A%2F%2Fstorage.azure.com%2F.default");
}

static void azure_asks_container_apps_for_the_managed_identity(void **state) {
    int token = stub_add(
        &stub,
        (struct stub_rule){"GET", "/msi", 200,
                           "{\"access_token\":\"mi\",\"expires_on\":\"4070908800\"}",
                           NULL, NULL});
    int container = container_rule();
    const char *asked;

    (void)state;
    init_azure();
    t.config.identity_endpoint = arena_printf(t.a, "%s/msi", stub_uri(&stub, t.a));
    t.config.identity_header = "proof";
    t.config.azure_client_id = "user-assigned";
    assert_has(put(container), "Authorization: Bearer mi\n");
    asked = stub_last(&stub, token, t.a);
    assert_has(asked, "X-IDENTITY-HEADER: proof\n");
    assert_has(asked, "client_id=user-assigned");
}

static void azure_asks_the_instance_for_the_managed_identity(void **state) {
    int token = stub_add(
        &stub, (struct stub_rule){"GET", "/metadata/identity/oauth2/token", 200,
                                  "{\"access_token\":\"vm\",\"expires_in\":\"3600\"}",
                                  NULL, NULL});
    int container = container_rule();

    (void)state;
    init_azure();
    t.config.azure_pod_identity_authority_host = stub_uri(&stub, t.a);
    assert_has(put(container), "Authorization: Bearer vm\n");
    assert_has(stub_last(&stub, token, t.a), "Metadata: true\n");
}

static void azure_signs_addresses_with_a_user_delegation_key(void **state) {
    int key;
    const char *url, *again;

    (void)state;
    stub_add(&stub, (struct stub_rule){"GET", "/metadata/identity/oauth2/token", 200,
                                       "{\"access_token\":\"vm\",\"expires_in\":3600}",
                                       NULL, NULL});
    key = stub_add(
        &stub,
        (struct stub_rule){
            "POST", "/", 200,
            "<UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid>"
            "<SignedStart>2026-01-01T00:00:00Z</SignedStart>"
            "<SignedExpiry>2099-01-01T00:00:00Z</SignedExpiry>"
            "<SignedService>b</SignedService><SignedVersion>2021-12-02</SignedVersion>"
            "<Value>c2VjcmV0</Value></UserDelegationKey>",
            NULL, NULL});
    init_azure();
    t.config.azure_pod_identity_authority_host = stub_uri(&stub, t.a);
    b = cloud_test_open(&t);
    assert_int_equal(blob_url(b, t.a, BLOB_TMP, "a/b c", 60, &url, t.st), 0);
    assert_has(url, "/a/b%20c?");
    assert_has(url, "skoid=oid");
    assert_has(url, "sktid=tid");
    assert_has(url, "&sig=");
    assert_has(stub_last(&stub, key, t.a), "comp=userdelegationkey");
    assert_has(stub_last(&stub, key, t.a), "Authorization: Bearer vm\n");
    assert_int_equal(blob_url(b, t.a, BLOB_TMP, "other", 60, &again, t.st), 0);
    assert_int_equal(stub_seen(&stub, key), 1); /* kept */
}

static void a_shared_access_signature_of_the_operator_is_never_handed_out(void **state) {
    int container = container_rule();
    const char *url;

    (void)state;
    init("abs");
    t.config.azure_storage_connection_string =
        arena_printf(t.a, "BlobEndpoint=%s;SharedAccessSignature=sv=2021&sig=ab%%2Bc%%3D",
                     stub_uri(&stub, t.a));
    assert_has(put(container), "sig=ab%2Bc%3D&sv=2021\n");
    assert_int_equal(blob_url(b, t.a, BLOB_TMP, "k", 60, &url, t.st), 0);
    assert_int_equal(strncmp(url, "https://api.example.com/files/tmp/k?", 36), 0);
    assert_null(strstr(url, "ab%2Bc"));
    assert_true(blob_check_signature(b, BLOB_TMP, "k",
                                     strtoll(strstr(url, "expires=") + 8, NULL, 10),
                                     strstr(url, "signature=") + 10));
}

static void azure_without_anything_names_the_steps(void **state) {
    (void)state;
    stub_add(&stub, (struct stub_rule){"GET", "/metadata/", 500, NULL, NULL, NULL});
    init_azure();
    t.config.azure_pod_identity_authority_host = stub_uri(&stub, t.a);
    assert_put_fails(ST_CONFIGURATION, "missing", "no credentials for abs (tried");
}

/* ---- Google ---- */

static EVP_PKEY *rsa;

static const char *pem(bool private) {
    BIO *out = BIO_new(BIO_s_mem());
    char *data;
    long n;
    const char *text;

    if (private)
        PEM_write_bio_PrivateKey(out, rsa, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_bio_PUBKEY(out, rsa);
    n = BIO_get_mem_data(out, &data);
    text = arena_memdup(t.a, data, (size_t)n);
    BIO_free(out);
    return text;
}

static void write_key_file(void) {
    const struct value *v = value_obj(
        t.a, "type", value_string(t.a, "service_account"), "client_email",
        value_string(t.a, "robot@p.iam"), "private_key", value_string(t.a, pem(true)),
        "private_key_id", value_string(t.a, "kid1"), "token_uri",
        value_string(t.a, arena_printf(t.a, "%s/token", stub_uri(&stub, t.a))), NULL);

    write_file(value_encode_arena(t.a, v, VALUE_ENCODE_COMPACT).data);
}

static int google_bucket_rule(void) {
    return stub_add(&stub, (struct stub_rule){"POST", "/upload/", 200, "{}", NULL, NULL});
}

static int google_token_rule(void) {
    return stub_add(&stub,
                    (struct stub_rule){"POST", "/token", 200,
                                       "{\"access_token\":\"at\",\"expires_in\":3599}",
                                       NULL, NULL});
}

static bool is_signed_by_us(const char *text, struct bytes signature) {
    const char *public = pem(false);
    struct crypto_key *k;
    bool good;

    assert_int_equal(crypto_key_from_pem(public, strlen(public), &k, t.st), 0);
    good = crypto_verify(CRYPTO_RS256, k, (struct bytes){text, strlen(text)}, signature);
    crypto_key_unref(&k);
    return good;
}

static void google_exchanges_a_signed_statement_of_the_key_file(void **state) {
    int token = google_token_rule(), bucket = google_bucket_rule();
    const char *asked, *jwt, *dot;
    struct bytes signature, claims;

    (void)state;
    init("gcs");
    t.config.storage_emulator_host = stub_uri(&stub, t.a);
    write_key_file();
    t.config.google_cloud_keyfile = file;
    t.config.google_application_credentials = "/nowhere"; /* must not be read */
    assert_has(put(bucket), "Authorization: Bearer at\n");
    asked = stub_last(&stub, token, t.a);
    assert_has(asked, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    jwt = strstr(asked, "assertion=") + 10;
    jwt = arena_memdup(t.a, jwt, strcspn(jwt, "&"));
    dot = strrchr(jwt, '.');
    assert_int_equal(crypto_base64url_decode(t.a, dot + 1, strlen(dot + 1), &signature),
                     0);
    assert_true(is_signed_by_us(arena_memdup(t.a, jwt, (size_t)(dot - jwt)), signature));
    jwt = strchr(jwt, '.') + 1;
    assert_int_equal(crypto_base64url_decode(t.a, jwt, strcspn(jwt, "."), &claims), 0);
    asked = arena_memdup(t.a, claims.data, claims.len);
    assert_has(asked, "\"iss\":\"robot@p.iam\"");
    assert_has(asked, "devstorage.read_write");
}

static void google_signs_addresses_with_the_private_key(void **state) {
    const char *url;

    (void)state;
    google_token_rule();
    init("gcs");
    write_key_file();
    t.config.google_application_credentials = file;
    b = cloud_test_open(&t);
    assert_int_equal(blob_url(b, t.a, BLOB_TMP, "a b", 604800, &url, t.st), 0);
    assert_int_equal(strncmp(url, "https://storage.googleapis.com/tmp-", 35), 0);
    assert_has(url, "/a%20b?X-Goog-Algorithm=GOOG4-RSA-SHA256&"
                    "X-Goog-Credential=robot%40p.iam%2F");
    assert_has(url, "X-Goog-Expires=604800");
    assert_int_equal(strlen(strstr(url, "X-Goog-Signature=") + 17), 512);
}

static void metadata_rules(void) {
    stub_add(&stub,
             (struct stub_rule){
                 "GET", "/computeMetadata/v1/instance/service-accounts/default/email",
                 200, "pod@p.iam", NULL, NULL});
    stub_add(&stub,
             (struct stub_rule){
                 "GET", "/computeMetadata/v1/instance/service-accounts/default/token",
                 200, "{\"access_token\":\"md\",\"expires_in\":3599}", NULL, NULL});
}

static void init_metadata(void) {
    init("gcs");
    t.config.gce_metadata_host = stub_uri(&stub, t.a) + 7;
    t.o.iam_uri = stub_uri(&stub, t.a);
}

static void google_asks_the_metadata_and_lets_iam_sign(void **state) {
    const char *url, *asked;
    int iam;

    (void)state;
    metadata_rules();
    iam =
        stub_add(&stub, (struct stub_rule){"POST", "/v1/projects/-/serviceAccounts/", 200,
                                           "{\"signedBlob\":\"AAECAw==\"}", NULL, NULL});
    init_metadata();
    b = cloud_test_open(&t);
    assert_int_equal(blob_url(b, t.a, BLOB_TMP, "k", 60, &url, t.st), 0);
    assert_has(url, "X-Goog-Signature=00010203");
    asked = stub_last(&stub, iam, t.a);
    assert_has(asked, "/serviceAccounts/pod%40p.iam:signBlob");
    assert_has(asked, "Authorization: Bearer md\n");
    assert_has(stub_last(&stub, 0, t.a), "Metadata-Flavor: Google\n");
}

static void without_the_right_to_sign_the_api_serves_the_object(void **state) {
    const char *url;

    (void)state;
    metadata_rules();
    stub_add(&stub, (struct stub_rule){"POST", "/v1/projects/-/serviceAccounts/", 403,
                                       "{}", NULL, NULL});
    init_metadata();
    b = cloud_test_open(&t);
    assert_int_equal(blob_url(b, t.a, BLOB_TMP, "k", 60, &url, t.st), 0);
    assert_int_equal(strncmp(url, "https://api.example.com/files/tmp/k?", 36), 0);
}

static void google_says_in_a_sentence_that_a_bucket_is_missing(void **state) {
    struct bytes body;

    (void)state;
    google_token_rule();
    stub_add(&stub,
             (struct stub_rule){
                 "GET", "/storage/", 404,
                 "{\"error\":{\"code\":404,\"message\":\"The specified bucket does not "
                 "exist.\"}}",
                 NULL, NULL});
    init("gcs");
    t.config.storage_emulator_host = stub_uri(&stub, t.a);
    b = cloud_test_open(&t);
    assert_int_equal(blob_get(b, t.a, BLOB_TMP, "k", 9, &body, NULL, t.st), -1);
    assert_string_equal(t.st->key, "storage_bucket_missing");
    assert_int_equal(blob_ping(b, t.st), -1);
}

static void google_without_anything_names_the_steps(void **state) {
    (void)state;
    init_metadata();
    assert_put_fails(ST_CONFIGURATION, "missing", "no credentials for gcs (tried");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(signatures_are_those_of_the_published_examples),
        TEST(s3_takes_the_environment_first),
        TEST(s3_takes_a_role_by_web_identity),
        TEST(a_step_that_is_configured_and_refused_is_an_error),
        TEST(s3_asks_the_container),
        TEST(a_container_address_elsewhere_is_refused),
        TEST(s3_reads_the_profile_of_a_file),
        TEST(s3_asks_the_instance_with_a_session_for_keys_and_region),
        TEST(without_any_credentials_the_steps_are_named),
        TEST(credentials_are_renewed_ahead_and_the_old_ones_used_until_they_end),
        TEST(credentials_that_are_refused_as_expired_are_fetched_anew),
        TEST(azure_takes_the_workload_identity),
        TEST(azure_asks_container_apps_for_the_managed_identity),
        TEST(azure_asks_the_instance_for_the_managed_identity),
        TEST(azure_signs_addresses_with_a_user_delegation_key),
        TEST(a_shared_access_signature_of_the_operator_is_never_handed_out),
        TEST(azure_without_anything_names_the_steps),
        TEST(google_exchanges_a_signed_statement_of_the_key_file),
        TEST(google_signs_addresses_with_the_private_key),
        TEST(google_asks_the_metadata_and_lets_iam_sign),
        TEST(without_the_right_to_sign_the_api_serves_the_object),
        TEST(google_says_in_a_sentence_that_a_bucket_is_missing),
        TEST(google_without_anything_names_the_steps),
    };
    int failed;

    rsa = EVP_RSA_gen(2048);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(rsa);
    return failed;
}
