/*
 * blob_s3_credentials.c - whose credentials S3 is called with. First found wins:
 *
 *   1. environment        AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
 *   2. web identity       AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, by the STS
 *   3. container          AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
 *   4. file               [AWS_PROFILE] of AWS_SHARED_CREDENTIALS_FILE
 *   5. instance metadata  IMDSv2: a session token first
 *
 * A step that the environment names and that fails is an error, not a reason to go on:
 * going on would work with somebody else's rights.
 */
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob_s3.h"
#include "blob_xml.h"
#include "config/config.h"
#include "value/value.h"

#define CONTAINER_HOST "http://169.254.170.2"
#define METADATA_HOST  "http://169.254.169.254"

enum { ASK_ATTEMPTS = 3, METADATA_MS = 2000 };

static const struct config *config_of(const struct s3 *s) {
    return s->cloud.o.config;
}

static int step_failed(struct status *st, const char *step) {
    return st_fail(
        st, st->type == ST_OK ? ST_INTERNAL : st->type, st->key ? st->key : "unavailable",
        "The credentials for S3 can't be had from the %s: %s", step, st->message);
}

/* ---- 1: environment ---- */

static int from_environment(struct s3 *s, struct arena *a, struct credentials *ret,
                            struct status *st) {
    const struct config *c = config_of(s);

    (void)a;
    (void)st;
    if (!c->aws_access_key_id || !c->aws_secret_access_key)
        return 1;
    *ret = (struct credentials){.id = c->aws_access_key_id,
                                .secret = c->aws_secret_access_key,
                                .token = c->aws_session_token,
                                .source = "environment",
                                .principal = c->aws_access_key_id};
    return 0;
}

/* ---- 2: web identity ---- */

static const char *sts_url(struct s3 *s, struct arena *a) {
    const struct config *c = config_of(s);

    if (c->aws_endpoint_url_sts)
        return c->aws_endpoint_url_sts;
    if (c->aws_endpoint_url)
        return c->aws_endpoint_url;
    if (c->aws_region)
        return arena_printf(a, "https://sts.%s.amazonaws.com%s", c->aws_region,
                            strncmp(c->aws_region, "cn-", 3) == 0 ? ".cn" : "");
    return "https://sts.amazonaws.com";
}

static int read_sts(struct arena *a, const struct http_answer *answer, const char *role,
                    struct credentials *ret, struct status *st) {
    const struct xml_node *root, *n;

    if (xml_parse(a, answer->body, &root, st) < 0)
        return -1;
    if (answer->status != 200) {
        const char *code = xml_text(xml_child(root, "Error"), "Code");

        return st_fail(st, ST_INTERNAL, "storage_denied", "the STS answers %d%s%s",
                       answer->status, code ? " " : "", code ? code : "");
    }
    n = xml_child(xml_child(root, "AssumeRoleWithWebIdentityResult"), "Credentials");
    *ret = (struct credentials){
        .id = xml_text(n, "AccessKeyId"),
        .secret = xml_text(n, "SecretAccessKey"),
        .token = xml_text(n, "SessionToken"),
        .expires_ms = cloud_parse_iso_date(xml_text(n, "Expiration")),
        .source = "web identity",
        .principal = role,
    };
    if (!ret->id || !ret->secret || !ret->token || ret->expires_ms < 0)
        return st_fail(st, ST_INTERNAL, "unavailable", "the STS gives no credentials");
    return 0;
}

static int from_web_identity(struct s3 *s, struct arena *a, struct credentials *ret,
                             struct status *st) {
    const struct config *c = config_of(s);
    struct http_header type = {"Content-Type", "application/x-www-form-urlencoded"};
    struct cloud_request form = {0};
    struct http_answer answer;
    struct http_call call = {
        .method = "POST", .url = sts_url(s, a), .headers = &type, .headers_len = 1};
    const char *token;

    if (!c->aws_web_identity_token_file || !c->aws_role_arn)
        return 1;
    if (cloud_read_file(a, c->aws_web_identity_token_file, &token, st) < 0)
        return -1;
    cloud_param(&form, "Action", "AssumeRoleWithWebIdentity");
    cloud_param(&form, "Version", "2011-06-15");
    cloud_param(&form, "RoleArn", c->aws_role_arn);
    cloud_param(&form, "RoleSessionName",
                c->aws_role_session_name ? c->aws_role_session_name : "membrane");
    cloud_param(&form, "WebIdentityToken", token);
    call.body.data = cloud_query(a, &form);
    call.body.len = strlen(call.body.data);
    if (cloud_ask(&s->cloud, a, &call, ASK_ATTEMPTS, &answer, st) < 0)
        return -1;
    return read_sts(a, &answer, c->aws_role_arn, ret, st);
}

/* ---- 3 and 5: what both metadata services answer ---- */

static int read_metadata(struct arena *a, const struct http_answer *answer,
                         const char *source, const char *principal,
                         struct credentials *ret, struct status *st) {
    const struct value *v;

    if (answer->status != 200)
        return st_fail(st, ST_INTERNAL,
                       answer->status == 401 || answer->status == 403 ? "storage_denied"
                                                                      : "unavailable",
                       "it answers %d", answer->status);
    if (value_parse(a, answer->body.data, answer->body.len, NULL, &v, st) < 0)
        return st_fail(st, ST_INTERNAL, "unavailable", "its answer is no JSON");
    *ret = (struct credentials){
        .id = value_get_string(v, "AccessKeyId", NULL),
        .secret = value_get_string(v, "SecretAccessKey", NULL),
        .token = value_get_string(v, "Token", NULL),
        .expires_ms = cloud_parse_iso_date(value_get_string(v, "Expiration", NULL)),
        .source = source,
        .principal = value_get_string(v, "RoleArn", principal),
    };
    if (!ret->id || !ret->secret)
        return st_fail(st, ST_INTERNAL, "unavailable", "it gives no credentials");
    if (ret->expires_ms < 0)
        ret->expires_ms = 0;
    return 0;
}

/* The full address must be https, loopback, or one of the two that Amazon uses. */
static bool is_container_address(const char *url) {
    static const char *const good[] = {"https://",
                                       "http://127.",
                                       "http://localhost",
                                       "http://[::1]",
                                       "http://169.254.170.2",
                                       "http://169.254.170.23",
                                       "http://[fd00:ec2::23]"};

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        if (strncasecmp(url, good[i], strlen(good[i])) == 0)
            return true;
    return false;
}

static int from_container(struct s3 *s, struct arena *a, struct credentials *ret,
                          struct status *st) {
    const struct config *c = config_of(s);
    const char *url = c->aws_container_credentials_full_uri;
    struct http_header headers[1];
    struct http_call call = {.method = "GET", .headers = headers};
    const char *token = c->aws_container_authorization_token;
    struct http_answer answer;

    if (c->aws_container_credentials_relative_uri)
        url = arena_printf(a, "%s%s", CONTAINER_HOST,
                           c->aws_container_credentials_relative_uri);
    if (!url)
        return 1;
    if (!is_container_address(url))
        return st_fail(st, ST_CONFIGURATION, "bad-format",
                       "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https or local");
    /* The file is read each time: its token changes. */
    if (c->aws_container_authorization_token_file &&
        cloud_read_file(a, c->aws_container_authorization_token_file, &token, st) < 0)
        return -1;
    if (token)
        headers[call.headers_len++] = (struct http_header){"Authorization", token};
    call.url = url;
    if (cloud_ask(&s->cloud, a, &call, ASK_ATTEMPTS, &answer, st) < 0)
        return -1;
    return read_metadata(a, &answer, "container", "the task role", ret, st);
}

/* ---- 4: file ---- */

static const char *credentials_path(struct s3 *s, struct arena *a) {
    const struct config *c = config_of(s);
    struct passwd entry, *found = NULL;
    char *room = arena_alloc(a, 16384);

    if (c->aws_shared_credentials_file)
        return c->aws_shared_credentials_file;
    if (getpwuid_r(geteuid(), &entry, room, 16384, &found) != 0 || !found)
        return NULL;
    return arena_printf(a, "%s/.aws/credentials", entry.pw_dir);
}

static char *trim(char *s) {
    size_t n;

    s += strspn(s, " \t\r");
    n = strlen(s);
    while (n && strchr(" \t\r", s[n - 1]))
        s[--n] = '\0';
    return s;
}

static void take_line(struct credentials *ret, char *line) {
    char *eq = strchr(line, '='), *name, *v;

    if (!eq)
        return;
    *eq = '\0';
    name = trim(line);
    v = trim(eq + 1);
    if (!strcmp(name, "aws_access_key_id"))
        ret->id = v;
    else if (!strcmp(name, "aws_secret_access_key"))
        ret->secret = v;
    else if (!strcmp(name, "aws_session_token"))
        ret->token = v;
}

static int from_file(struct s3 *s, struct arena *a, struct credentials *ret,
                     struct status *st) {
    const struct config *c = config_of(s);
    const char *path = credentials_path(s, a), *text;
    const char *profile = c->aws_profile ? c->aws_profile : "default";
    const char *head = arena_printf(a, "[%s]", profile);
    char *save = NULL;
    bool inside = false;

    if (!path || (!c->aws_shared_credentials_file && access(path, R_OK) < 0))
        return 1;
    if (cloud_read_file(a, path, &text, st) < 0)
        return -1;
    for (char *line = strtok_r(arena_strdup(a, text), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        line = trim(line);
        if (*line == '[')
            inside = strcmp(line, head) == 0;
        else if (inside && *line != '#' && *line != ';')
            take_line(ret, line);
    }
    if (!ret->id || !ret->secret)
        return c->aws_shared_credentials_file || c->aws_profile
                   ? st_fail(st, ST_CONFIGURATION, "missing", "%s has no keys in %s",
                             path, head)
                   : 1;
    ret->source = "file";
    ret->principal = ret->id;
    return 0;
}

/* ---- 5: instance ---- */

static int ask_instance(struct s3 *s, struct arena *a, const char *method,
                        const char *path, struct http_header header, int attempts,
                        struct http_answer *ret_answer, struct status *st) {
    const struct config *c = config_of(s);
    const char *host = c->aws_ec2_metadata_service_endpoint
                           ? c->aws_ec2_metadata_service_endpoint
                           : METADATA_HOST;
    struct http_call call = {
        .method = method,
        .url = arena_printf(a, "%s%s", host, path),
        .headers = &header,
        .headers_len = 1,
        .timeout_ms = METADATA_MS,
        .connect_timeout_ms = METADATA_MS / 2,
    };

    return cloud_ask(&s->cloud, a, &call, attempts, ret_answer, st);
}

/* 1: there is no such service here. */
static int session_token(struct s3 *s, struct arena *a, const char **ret_token,
                         struct status *st) {
    struct http_header ttl = {"X-aws-ec2-metadata-token-ttl-seconds", "21600"};
    struct http_answer answer;

    if (config_of(s)->aws_ec2_metadata_disabled ||
        ask_instance(s, a, "PUT", "/latest/api/token", ttl, 2, &answer, st) < 0 ||
        answer.status != 200 || !answer.body.len)
        return 1;
    *ret_token = arena_memdup(a, answer.body.data, answer.body.len);
    return 0;
}

static int get_metadata(struct s3 *s, struct arena *a, const char *token,
                        const char *path, struct http_answer *ret_answer,
                        struct status *st) {
    struct http_header header = {"X-aws-ec2-metadata-token", token};

    return ask_instance(s, a, "GET", path, header, ASK_ATTEMPTS, ret_answer, st);
}

static int from_instance(struct s3 *s, struct arena *a, struct credentials *ret,
                         struct status *st) {
    static const char path[] = "/latest/meta-data/iam/security-credentials/";
    struct http_answer answer;
    const char *token, *role;

    if (session_token(s, a, &token, st))
        return 1;
    if (get_metadata(s, a, token, path, &answer, st) < 0)
        return -1;
    if (answer.status != 200 || !answer.body.len)
        return 1; /* an instance without a role */
    role = arena_memdup(a, answer.body.data, strcspn(answer.body.data, "\r\n"));
    if (get_metadata(s, a, token, arena_printf(a, "%s%s", path, role), &answer, st) < 0)
        return -1;
    return read_metadata(a, &answer, "instance metadata", role, ret, st);
}

int s3_instance_region(struct s3 *s, struct arena *a, const char **ret_region,
                       struct status *st) {
    struct http_answer answer;
    const char *token;

    if (session_token(s, a, &token, st) == 0 &&
        get_metadata(s, a, token, "/latest/meta-data/placement/region", &answer, st) ==
            0 &&
        answer.status == 200 && answer.body.len) {
        *ret_region =
            arena_memdup(a, answer.body.data, strcspn(answer.body.data, "\r\n"));
        return 0;
    }
    return st_fail(st, ST_CONFIGURATION, "missing",
                   "AWS_REGION: missing: the region of the buckets (this machine tells "
                   "none)");
}

/* ---- The chain ---- */

int s3_credentials(void *ctx, struct arena *a, struct credentials *ret,
                   struct status *st) {
    static const struct {
        const char *name;
        int (*get)(struct s3 *, struct arena *, struct credentials *, struct status *);
    } steps[] = {
        {"environment", from_environment}, {"web identity", from_web_identity},
        {"container", from_container},     {"file", from_file},
        {"instance", from_instance},
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        int rc = steps[i].get(ctx, a, ret, st);

        if (rc == 0)
            return 0;
        if (rc < 0)
            return step_failed(st, steps[i].name);
    }
    return st_fail(st, ST_CONFIGURATION, "missing",
                   "STORAGE_PROVIDER: missing: no credentials for s3 (tried environment, "
                   "web identity, container, file, instance metadata)");
}
