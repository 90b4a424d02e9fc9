/*
 * blob_abs_credentials.c - whose credentials Azure Blob Storage is called with. First
 * found wins:
 *
 *   1. connection string   account and key, or a shared access signature, and endpoint
 *   2. account key         AZURE_STORAGE_ACCOUNT_NAME and _KEY
 *   3. workload identity   AZURE_FEDERATED_TOKEN_FILE, client and tenant: AKS
 *   4. managed identity    IDENTITY_ENDPOINT of Container Apps, else instance metadata
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob_abs.h"
#include "config/config.h"
#include "value/value.h"

#define METADATA_HOST "http://169.254.169.254"
#define AUTHORITY     "https://login.microsoftonline.com"
#define RESOURCE      "https://storage.azure.com/"

/* Of Azurite and its predecessors: the same everywhere, published by Microsoft. */
#define DEVELOPMENT_ACCOUNT "devstoreaccount1"
#define DEVELOPMENT_KEY                                                                  \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"                    \
    "K1SZFPTOtr/KBHBeksoGMGw=="

enum { ASK_ATTEMPTS = 3, METADATA_MS = 5000 };

/* ---- What is configured ---- */

/* The value of a part, or NULL. */
static const char *part(struct arena *a, const char *text, const char *name) {
    size_t len = strlen(name);

    while (*text) {
        size_t n = strcspn(text, ";");

        if (n > len && text[len] == '=' && strncasecmp(text, name, len) == 0)
            return arena_memdup(a, text + len + 1, n - len - 1);
        text += n + (text[n] == ';');
    }
    return NULL;
}

/* "https://account.blob.host" names the account. */
static const char *account_of(struct arena *a, const char *endpoint) {
    const char *host = strstr(endpoint, "://");

    return host ? arena_memdup(a, host + 3, strcspn(host + 3, ".:/")) : "";
}

static const char *or_else(const char *s, const char *otherwise) {
    return s ? s : otherwise;
}

static int from_connection_string(struct abs *s, const char *text, struct status *st) {
    struct arena *a = s->cloud.arena;
    const char *endpoint = part(a, text, "BlobEndpoint");

    s->account = part(a, text, "AccountName");
    s->key = part(a, text, "AccountKey");
    s->sas = part(a, text, "SharedAccessSignature");
    s->source = "connection string";
    if (part(a, text, "UseDevelopmentStorage")) {
        s->account = DEVELOPMENT_ACCOUNT;
        s->key = DEVELOPMENT_KEY;
        endpoint = or_else(endpoint, "http://127.0.0.1:10000/" DEVELOPMENT_ACCOUNT);
    }
    if (!s->account && endpoint)
        s->account = account_of(a, endpoint);
    if (!s->account || (!s->key && !s->sas))
        return st_fail(st, ST_CONFIGURATION, "bad-format",
                       "AZURE_STORAGE_CONNECTION_STRING: bad-format: an account with a "
                       "key, or a shared access signature");
    if (!endpoint)
        endpoint = arena_printf(
            a, "%s://%s.blob.%s",
            or_else(part(a, text, "DefaultEndpointsProtocol"), "https"), s->account,
            or_else(part(a, text, "EndpointSuffix"), "core.windows.net"));
    s->proof = s->key ? ABS_KEY : ABS_SAS;
    cloud_split(a, endpoint, &s->origin, &s->path);
    return 0;
}

int abs_configure(struct abs *s, struct status *st) {
    const struct config *c = s->cloud.o.config;
    struct arena *a = s->cloud.arena;

    if (c->azure_storage_connection_string) {
        if (from_connection_string(s, c->azure_storage_connection_string, st) < 0)
            return -1;
    } else if (c->azure_storage_account_name) {
        s->account = c->azure_storage_account_name;
        s->key = c->azure_storage_account_key;
        s->proof = s->key ? ABS_KEY : ABS_TOKEN;
        s->source = "account key";
        cloud_split(a,
                    c->azure_storage_blob_endpoint
                        ? c->azure_storage_blob_endpoint
                        : arena_printf(a, "https://%s.blob.core.windows.net", s->account),
                    &s->origin, &s->path);
    } else {
        return st_fail(
            st, ST_CONFIGURATION, "missing",
            "AZURE_STORAGE_CONNECTION_STRING: missing: a connection string, or "
            "AZURE_STORAGE_ACCOUNT_NAME");
    }
    if (s->key && !cloud_unbase64(a, s->key).data)
        return st_fail(st, ST_CONFIGURATION, "bad-format",
                       "The key of the storage account is no base64 text");
    return 0;
}

/* ---- Tokens ---- */

/* {"access_token", "expires_in" or "expires_on": seconds, as number or text} */
static int read_token(struct abs *s, struct arena *a, const struct http_answer *answer,
                      const char *source, struct credentials *ret, struct status *st) {
    int64_t now_ms = clock_now_ms(s->cloud.o.clock);
    const struct config *c = s->cloud.o.config;
    const struct value *v, *on, *in;
    const char *code = NULL;
    bool parsed = value_parse(a, answer->body.data, answer->body.len, NULL, &v, st) == 0;

    if (parsed)
        code = value_get_string(v, "error", NULL);
    if (answer->status != 200)
        return st_fail(st, ST_INTERNAL, "storage_denied",
                       "The credentials for Azure can't be had from the %s: it answers "
                       "%d%s%s",
                       source, answer->status, code ? " " : "", code ? code : "");
    if (!parsed || !value_get_string(v, "access_token", NULL))
        return st_fail(st, ST_INTERNAL, "unavailable", "The %s gives no token for Azure",
                       source);
    on = value_get(v, "expires_on");
    in = value_get(v, "expires_in");
    *ret = (struct credentials){
        .token = value_get_string(v, "access_token", NULL),
        .source = source,
        .principal = c->azure_client_id ? c->azure_client_id : "the managed identity",
    };
    if (value_is_number(on) || value_is_string(on))
        ret->expires_ms =
            (value_is_number(on) ? (int64_t)value_get_number(v, "expires_on", 0)
                                 : strtoll(value_text(on), NULL, 10)) *
            1000;
    else if (value_is_number(in) || value_is_string(in))
        ret->expires_ms =
            now_ms + (value_is_number(in) ? (int64_t)value_get_number(v, "expires_in", 0)
                                          : strtoll(value_text(in), NULL, 10)) *
                         1000;
    if (ret->expires_ms <= 0)
        ret->expires_ms = now_ms + 3600 * 1000;
    return 0;
}

static int from_workload_identity(struct abs *s, struct arena *a, struct credentials *ret,
                                  struct status *st) {
    const struct config *c = s->cloud.o.config;
    struct http_header type = {"Content-Type", "application/x-www-form-urlencoded"};
    struct cloud_request form = {0};
    struct http_answer answer;
    struct http_call call = {.method = "POST", .headers = &type, .headers_len = 1};
    const char *token;

    if (!c->azure_federated_token_file || !c->azure_client_id || !c->azure_tenant_id)
        return 1;
    if (cloud_read_file(a, c->azure_federated_token_file, &token, st) < 0)
        return -1;
    cloud_param(&form, "client_id", c->azure_client_id);
    cloud_param(&form, "scope", RESOURCE ".default");
    cloud_param(&form, "grant_type", "client_credentials");
    cloud_param(&form, "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    cloud_param(&form, "client_assertion", token);
    call.body.data = cloud_query(a, &form);
    call.body.len = strlen(call.body.data);
    call.url = arena_printf(a, "%s/%s/oauth2/v2.0/token",
                            c->azure_authority_host ? c->azure_authority_host : AUTHORITY,
                            c->azure_tenant_id);
    if (cloud_ask(&s->cloud, a, &call, ASK_ATTEMPTS, &answer, st) < 0)
        return -1;
    return read_token(s, a, &answer, "workload identity", ret, st);
}

static int from_managed_identity(struct abs *s, struct arena *a, struct credentials *ret,
                                 struct status *st) {
    const struct config *c = s->cloud.o.config;
    bool apps = c->identity_endpoint && c->identity_header;
    struct http_header header =
        apps ? (struct http_header){"X-IDENTITY-HEADER", c->identity_header}
             : (struct http_header){"Metadata", "true"};
    struct cloud_request query = {0};
    struct http_answer answer;
    struct http_call call = {.method = "GET",
                             .headers = &header,
                             .headers_len = 1,
                             .timeout_ms = METADATA_MS,
                             .connect_timeout_ms = METADATA_MS / 2};

    cloud_param(&query, "api-version", apps ? "2019-08-01" : "2018-02-01");
    cloud_param(&query, "resource", RESOURCE);
    if (c->azure_client_id)
        cloud_param(&query, "client_id", c->azure_client_id);
    if (apps)
        call.url = arena_printf(a, "%s?%s", c->identity_endpoint, cloud_query(a, &query));
    else
        call.url = arena_printf(a, "%s/metadata/identity/oauth2/token?%s",
                                c->azure_pod_identity_authority_host
                                    ? c->azure_pod_identity_authority_host
                                    : METADATA_HOST,
                                cloud_query(a, &query));
    if (cloud_ask(&s->cloud, a, &call, ASK_ATTEMPTS, &answer, st) < 0)
        return apps
                   ? -1
                   : st_fail(st, ST_CONFIGURATION, "missing",
                             "STORAGE_PROVIDER: missing: no credentials for abs (tried "
                             "connection string, account key, workload identity, managed "
                             "identity: %s)",
                             st->message);
    return read_token(s, a, &answer, "managed identity", ret, st);
}

int abs_credentials(void *ctx, struct arena *a, struct credentials *ret,
                    struct status *st) {
    struct abs *s = ctx;
    int rc;

    if (s->proof != ABS_TOKEN) {
        *ret = (struct credentials){.source = s->source, .principal = s->account};
        return 0;
    }
    rc = from_workload_identity(s, a, ret, st);
    return rc == 1 ? from_managed_identity(s, a, ret, st) : rc;
}
