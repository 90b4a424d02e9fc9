/*
 * Rules between variables. Each function looks after one topic and reports under the name
 * that the operator should change.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "config_priv.h"

struct rules {
    struct arena *arena;
    struct config *c;
    struct config_report *report;
};

#define FAIL(r, name, code, ...)                                                         \
    config_report_add((r)->report, (r)->arena, name, code, __VA_ARGS__)
#define WARN(r, name, ...)                                                               \
    config_report_add((r)->report, (r)->arena, name, NULL, __VA_ARGS__)

/* A rule must not complain about a value that was already refused. */
static bool is_reported(const struct rules *r, const char *name) {
    for (const struct config_problem *p = r->report->first; p; p = p->next)
        if (p->severity == CONFIG_ERROR && !strcmp(p->name, name))
            return true;
    return false;
}

static void rule_environment(struct rules *r) {
    const char *env = r->c->node_env;

    r->c->is_production = strcmp(env, "development") != 0 && strcmp(env, "test") != 0;
    if (r->c->is_production && strcmp(env, "production") != 0)
        WARN(r, "NODE_ENV", "none of production, development, test: taken as production");
}

static bool looks_like_example(const char *s) {
    static const char *const words[] = {"changeme",    "change-me",   "change_me",
                                        "your-secret", "your_secret", "example",
                                        "placeholder"};
    size_t len = strlen(s);

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcasestr(s, words[i]))
            return true;
    if (len >= 2 && s[0] == '<' && s[len - 1] == '>')
        return true;
    return strspn(s, (char[]){s[0], '\0'}) == len; /* one character, repeated */
}

static void rule_secret(struct rules *r, const char *name, const char *value) {
    if (!value || !r->c->is_production)
        return;
    if (looks_like_example(value))
        FAIL(r, name, "bad-format", "32 random characters, not an example (%zu given)",
             strlen(value));
    else if (strlen(value) < 32 && r->c->strict_secrets)
        FAIL(r, name, "out-of-range", "at least 32 bytes (%zu given)", strlen(value));
    else if (strlen(value) < 32)
        WARN(r, name, "shorter than 32 bytes (%zu given)", strlen(value));
}

static void rule_secrets(struct rules *r) {
    const struct config *c = r->c;

    rule_secret(r, "SECRET", c->secret);
    rule_secret(r, "ENCRYPTION_SECRET", c->encryption_secret);
    if (c->secret && c->encryption_secret && !strcmp(c->secret, c->encryption_secret))
        WARN(r, "ENCRYPTION_SECRET", "the same value as SECRET");
}

static bool is_local(const char *uri) {
    static const char *const hosts[] = {"://localhost", "://127.", "://[::1]"};

    for (size_t i = 0; i < 3; i++)
        if (strstr(uri, hosts[i]))
            return true;
    return strstr(uri, ".localhost") != NULL;
}

static void rule_addresses(struct rules *r) {
    struct config *c = r->c;

    if (c->base_uri && c->is_production && !strncasecmp(c->base_uri, "http://", 7) &&
        !is_local(c->base_uri))
        WARN(r, "BASE_URI", "http on a host that is not local: use https");
    if (c->keepalive_timeout_ms && c->keepalive_timeout_ms < 60000)
        WARN(r, "KEEPALIVE_TIMEOUT_MS",
             "below the 60 s after which load balancers drop idle connections");
    if (!c->base_static_uri && c->base_uri)
        c->base_static_uri = arena_printf(r->arena, "%s/static", c->base_uri);
}

static void rule_redis(struct rules *r) {
    const struct config *c = r->c;
    const char *const *uris = c->redis_cluster_uris;
    size_t n = c->redis_cluster_uris_len;

    if (n && c->redis_uri)
        WARN(r, "REDIS_URI", "not used: the cluster addresses win");
    for (size_t i = 1; i < n; i++) {
        if (!strncmp(uris[i], "rediss:", 7) != !strncmp(uris[0], "rediss:", 7)) {
            FAIL(r, "REDIS_CLUSTER_URI_1", "conflict",
                 "redis or rediss for all nodes of the cluster");
            break;
        }
    }
    if (!n && !c->redis_uri && !c->data_dir && !is_reported(r, "REDIS_URI") &&
        !is_reported(r, "REDIS_CLUSTER_URI_1"))
        FAIL(r, "REDIS_URI", "missing",
             "the address of one Redis server, or REDIS_CLUSTER_URI_1 and so on");
    if (c->redis_disable_tls_verification)
        WARN(r, "REDIS_DISABLE_TLS_VERIFICATION",
             "certificates of Redis are not checked");
}

/* ---- Objects ---- */

static bool only_has(const char *s, const char *extra) {
    for (; *s; s++)
        if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) &&
            !strchr(extra, *s))
            return false;
    return true;
}

static bool is_bucket_name(const char *provider, const char *s) {
    size_t n = strlen(s);

    if (n < 3 || !strncmp(s, "-", 1) || s[n - 1] == '-')
        return !strcmp(provider, "abs") && !strcmp(s, "$web");
    if (!strcmp(provider, "abs"))
        return !strcmp(s, "$web") || (n <= 63 && only_has(s, "-") && !strstr(s, "--"));
    if (!strcmp(provider, "gcs"))
        return n <= 222 && only_has(s, "-_.");
    return n <= 63 && only_has(s, "-.") && !strstr(s, "..");
}

static void rule_buckets(struct rules *r) {
    struct config *c = r->c;
    const struct {
        const char *name, *value;
    } buckets[] = {
        {"TMP_STORAGE_BUCKET", c->tmp_storage_bucket},
        {"CONNECTORS_STORAGE_BUCKET", c->connectors_storage_bucket},
        {"STATIC_STORAGE_BUCKET", c->static_storage_bucket},
    };
    size_t given = 0;

    for (size_t i = 0; i < 3; i++)
        given += buckets[i].value != NULL;
    for (size_t i = 0; i < 3; i++) {
        if (!buckets[i].value) {
            if (given && c->data_dir)
                FAIL(r, buckets[i].name, "missing",
                     "a bucket too: all three are used, or none with DATA_DIR");
        } else if (!is_bucket_name(c->storage_provider, buckets[i].value)) {
            FAIL(r, buckets[i].name, "bad-format", "a name that %s allows",
                 c->storage_provider);
        }
    }
}

static void rule_pair(struct rules *r, const char *name, const char *value,
                      const char *other_name, const char *other) {
    if (value && !other && !is_reported(r, other_name))
        FAIL(r, other_name, "conflict", "a value too, as %s has one", name);
    else if (other && !value && !is_reported(r, name))
        FAIL(r, name, "conflict", "a value too, as %s has one", other_name);
}

static bool is_azure_connection_string(const char *s) {
    bool named = strstr(s, "AccountName=") || strstr(s, "BlobEndpoint=") ||
                 strstr(s, "UseDevelopmentStorage=true");

    while (*s) {
        size_t n = strcspn(s, ";");

        if (n && !memchr(s, '=', n))
            return false;
        s += n + (s[n] == ';');
    }
    return named;
}

static void rule_storage_credentials(struct rules *r) {
    const struct config *c = r->c;
    bool external = c->tmp_storage_bucket != NULL;

    rule_pair(r, "AWS_ACCESS_KEY_ID", c->aws_access_key_id, "AWS_SECRET_ACCESS_KEY",
              c->aws_secret_access_key);
    if (c->azure_storage_connection_string &&
        !is_azure_connection_string(c->azure_storage_connection_string))
        FAIL(
            r, "AZURE_STORAGE_CONNECTION_STRING", "bad-format",
            "name=value parts separated by semicolons, with AccountName or BlobEndpoint");
    if (!external)
        return;
    if (!strcmp(c->storage_provider, "abs") && !c->azure_storage_connection_string &&
        !c->azure_storage_account_name)
        FAIL(r, "AZURE_STORAGE_CONNECTION_STRING", "missing",
             "a connection string, or AZURE_STORAGE_ACCOUNT_NAME");
}

/* ---- Sign-in, mail, credentials, tasks ---- */

static void rule_auth0(struct rules *r) {
    const struct config *c = r->c;
    const struct {
        const char *name, *value;
    } parts[] = {
        {"AUTH0_DOMAIN", c->auth0_domain},
        {"AUTH0_CLIENT_ID", c->auth0_client_id},
        {"AUTH0_CLIENT_SECRET", c->auth0_client_secret},
    };
    size_t given = 0;

    for (size_t i = 0; i < 3; i++)
        given += parts[i].value != NULL || is_reported(r, parts[i].name);
    for (size_t i = 0; i < 3 && given && given < 3; i++)
        if (!parts[i].value && !is_reported(r, parts[i].name))
            FAIL(r, parts[i].name, "conflict",
                 "a value too: all three AUTH0_ variables, or none");
    rule_pair(r, "NEXT_PUBLIC_AUTH0_DOMAIN", c->next_public_auth0_domain,
              "NEXT_PUBLIC_AUTH0_CLIENT_ID", c->next_public_auth0_client_id);
}

static void rule_mail(struct rules *r) {
    struct config *c = r->c;

    rule_pair(r, "SMTP_USER", c->smtp_user, "SMTP_PASSWORD", c->smtp_password);
    if (c->smtp_host && !c->email_from && !is_reported(r, "EMAIL_FROM"))
        FAIL(r, "EMAIL_FROM", "missing", "the sender address, as SMTP_HOST is set");
    if (c->smtp_port == 465)
        c->smtp_secure = true;
    if (!c->smtp_host && !c->auth0_domain && !c->oidc_issuer && !c->data_dir)
        WARN(r, "SMTP_HOST", "not set: mail is sent only through system webhooks");
}

static void rule_proxies(struct rules *r) {
    const struct {
        const char *name, *value;
    } proxies[] = {{"HTTP_PROXY", r->c->http_proxy}, {"HTTPS_PROXY", r->c->https_proxy}};

    for (size_t i = 0; i < sizeof(proxies) / sizeof(*proxies); i++)
        if (proxies[i].value && strncmp(proxies[i].value, "http://", 7) != 0 &&
            strncmp(proxies[i].value, "https://", 8) != 0)
            FAIL(r, proxies[i].name, "bad-format", "http://[user:password@]host:port");
}

static void rule_credentials(struct rules *r) {
    const struct config *c = r->c;
    const char *name = "CONNECTION_CREDENTIALS_EXTERNAL_API_ENDPOINT_URL";
    const char *url = c->connection_credentials_external_api_endpoint_url;
    bool external = !strcmp(c->connection_credentials_storage_type, "external_api");

    if (external && !url && !is_reported(r, name))
        FAIL(r, name, "missing",
             "the endpoint, as CONNECTION_CREDENTIALS_STORAGE_TYPE is external_api");
    else if (!external && url)
        WARN(r, name, "not used while CONNECTION_CREDENTIALS_STORAGE_TYPE is database");
}

/* Bytes that this process's control group may use; 0 when there is no limit. */
static double memory_limit_bytes(void) {
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    double n = 0;

    if (!f)
        return 0;
    if (fscanf(f, "%lf", &n) != 1)
        n = 0;
    fclose(f);
    return n;
}

static void rule_tasks(struct rules *r) {
    const struct config *c = r->c;
    double limit = memory_limit_bytes();

    if ((c->services & SERVICE_QUEUED_WORKER) && limit > 0 &&
        (double)c->max_queued_tasks_memory_mb * 1048576 > 0.8 * limit)
        WARN(r, "MAX_QUEUED_TASKS_MEMORY_MB",
             "over 80 %% of the memory of the container");
#ifdef __x86_64__
    if (c->custom_code_memory_limit && c->custom_code_memory_limit < 21474836480)
        WARN(r, "CUSTOM_CODE_MEMORY_LIMIT",
             "below 21474836480: WebAssembly in custom code may fail on amd64");
#endif
}

void config_apply_rules(struct arena *a, struct config *c, struct config_report *report) {
    struct rules r = {a, c, report};

    rule_environment(&r);
    if (c->services & SERVICE_CORE) {
        rule_secrets(&r);
        rule_addresses(&r);
        rule_redis(&r);
        rule_buckets(&r);
        rule_storage_credentials(&r);
        rule_mail(&r);
        rule_proxies(&r);
        rule_credentials(&r);
        rule_tasks(&r);
    }
    rule_auth0(&r);
}

/* ---- Mistyped names ---- */

/* Edits between two short names, at most `most`, else most + 1. */
static unsigned edit_distance(const char *x, const char *y, unsigned most) {
    size_t n = strlen(x), m = strlen(y);
    unsigned row[80];

    if (n >= 80 || m >= 80 || n > m + most || m > n + most)
        return most + 1;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned above = row[j], best = diagonal + (x[i - 1] != y[j - 1]);

            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[m];
}

/* Short names (HOME, HOST) are too near to everything: two edits from 8 letters on. */
static bool is_near(const char *name, const char *known) {
    size_t n = strlen(known);
    unsigned most = n >= 8 ? 2 : n >= 6 ? 1 : 0;

    return most && edit_distance(name, known, most) <= most;
}

const char *config_near_miss(const char *name) {
    for (size_t i = 0; i < config_rows_len; i++)
        if (config_rows[i].name && is_near(name, config_rows[i].name))
            return config_rows[i].name;
    for (size_t i = 0; i < config_aliases_len; i++)
        if (is_near(name, config_aliases[i].alias))
            return config_aliases[i].alias;
    return NULL;
}
