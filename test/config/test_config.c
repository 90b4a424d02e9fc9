#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"

/* The example of the deployment guide: every required variable, external stores. */
#define SECRET_1 "k3v9Qm2xT7pLw8RzYb4NcJd6HsGfA1Ue"
#define SECRET_2 "Zt5rWq8yXo1iPl3kMj7nBh9vGc2fDx4s"
static const char *const example[] = {
    "NODE_ENV=production",
    "IS_API=1",
    "BASE_URI=https://api.acme.test",
    "CUSTOM_CODE_RUNNER_URI=http://custom-code-runner:5000",
    "PORT=5000",
    "SECRET=" SECRET_1,
    "ENCRYPTION_SECRET=" SECRET_2,
    "MONGO_URI=mongodb+srv://user:pass@cluster.acme.test/membrane",
    "REDIS_URI=rediss://:password@redis.acme.test:6379",
    "STORAGE_PROVIDER=s3",
    "TMP_STORAGE_BUCKET=prod-tmp",
    "CONNECTORS_STORAGE_BUCKET=prod-connectors",
    "STATIC_STORAGE_BUCKET=prod-static",
    "BASE_STATIC_URI=https://static.acme.test",
    "AWS_REGION=eu-central-1",
    "SMTP_HOST=mail.acme.test",
    "EMAIL_FROM=noreply@acme.test",
};
enum { EXAMPLE_LEN = sizeof(example) / sizeof(*example) };

static struct arena *arena;
static const struct config *config;
static struct config_report report;

static int open_arena(void **state) {
    (void)state;
    arena = arena_new(0);
    return 0;
}

static int free_arena(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

/*
 * Loads the example with changes: "NAME=value" sets, "NAME" takes away. The list ends
 * with NULL.
 */
static int load(unsigned services, const char *const *changes) {
    const char **env = arena_zalloc(arena, (EXAMPLE_LEN + 64) * sizeof(*env));
    size_t n = 0;

    for (size_t i = 0; i < EXAMPLE_LEN; i++) {
        size_t len = strcspn(example[i], "=");
        bool changed = false;

        for (const char *const *c = changes; c && *c; c++)
            changed |= !strncmp(*c, example[i], len) && ((*c)[len] == '=' || !(*c)[len]);
        if (!changed)
            env[n++] = example[i];
    }
    for (const char *const *c = changes; c && *c; c++)
        if (strchr(*c, '='))
            env[n++] = *c;
    return config_load(arena, services, &(struct config_sources){.environment = env},
                       &config, &report);
}
#define LOAD(...) load(0, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static const struct config_problem *problem(enum config_severity s, const char *name) {
    for (const struct config_problem *p = report.first; p; p = p->next)
        if (p->severity == s && !strcmp(p->name, name))
            return p;
    return NULL;
}

/* Exactly one error, of this name and code. */
static void expect_error(const char *name, const char *code) {
    const struct config_problem *p = problem(CONFIG_ERROR, name);

    if (!p || strcmp(p->code, code) != 0 || report.errors != 1) {
        config_report_print(&report, stderr);
        fail_msg("expected one error, %s: %s", name, code);
    }
}

static void expect_good(void) {
    if (report.errors) {
        config_report_print(&report, stderr);
        fail_msg("unexpected errors");
    }
}

/* S155: the example of the guide is a working configuration. */
static void the_example_is_good_and_warns_of_nothing(void **state) {
    (void)state;
    assert_int_equal(LOAD(), 0);
    assert_int_equal(report.warnings, 0);
    assert_int_equal(config->services, SERVICE_API);
    assert_true(config->is_production);
    assert_string_equal(config->base_uri, "https://api.acme.test");
    assert_int_equal(config->port, 5000);
    assert_string_equal(config->redis_uri, "rediss://:password@redis.acme.test:6379");
    assert_int_equal(config_shutdown_grace_ms(config), 60000);
}

/* S17 S18 S20 S21 S22 S24 S25 S26 S27 S29, and S49 for Redis */
static void each_required_variable_is_missed_by_name(void **state) {
    static const char *const required[] = {
        "BASE_URI",
        "CUSTOM_CODE_RUNNER_URI",
        "SECRET",
        "ENCRYPTION_SECRET",
        "MONGO_URI",
        "REDIS_URI",
        "TMP_STORAGE_BUCKET",
        "CONNECTORS_STORAGE_BUCKET",
        "STATIC_STORAGE_BUCKET",
        "BASE_STATIC_URI",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(required) / sizeof(*required); i++) {
        assert_int_equal(LOAD(required[i]), -1);
        expect_error(required[i], "missing");
        /* An empty value counts as absent. */
        assert_int_equal(LOAD(arena_printf(arena, "%s=", required[i])), -1);
        expect_error(required[i], "missing");
    }
    /* Documented deviations: S16, S19 and S28 have defaults. */
    assert_int_equal(LOAD("NODE_ENV", "PORT", "STORAGE_PROVIDER", "IS_API"), 0);
    assert_true(config->is_production);
    assert_int_equal(config->port, 5000);
    assert_string_equal(config->storage_provider, "s3");
    assert_int_equal(config->services, SERVICE_API);
}

static void all_problems_are_reported_at_once(void **state) {
    (void)state;
    assert_int_equal(LOAD("BASE_URI", "PORT=abc", "STORAGE_PROVIDER=ftp", "SECRET"), -1);
    assert_int_equal(report.errors, 4);
    assert_string_equal(problem(CONFIG_ERROR, "BASE_URI")->code, "missing");
    assert_string_equal(problem(CONFIG_ERROR, "PORT")->code, "bad-format");
    assert_string_equal(problem(CONFIG_ERROR, "STORAGE_PROVIDER")->code, "unknown-value");
    assert_string_equal(problem(CONFIG_ERROR, "SECRET")->code, "missing");
}

static void lines_have_the_documented_form(void **state) {
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    (void)state;
    LOAD("STORAGE_PROVIDER=ftp", "SECRET=short");
    config_report_print(&report, f);
    fclose(f);
    /* S28: the three are listed. S20: a short secret warns, and is not printed. */
    assert_string_equal(text,
                        "config error: STORAGE_PROVIDER: unknown-value: one of: s3 "
                        "abs gcs\n"
                        "config warning: SECRET: shorter than 32 bytes (5 given)\n");
    free(text);
}

/* S19 S96 S112 */
static void port_is_an_integer_in_range(void **state) {
    (void)state;
    assert_int_equal(LOAD("PORT=5055"), 0);
    assert_int_equal(config->port, 5055);
    LOAD("PORT=abc");
    expect_error("PORT", "bad-format");
    LOAD("PORT=0");
    expect_error("PORT", "out-of-range");
    LOAD("PORT=70000");
    expect_error("PORT", "out-of-range");
    LOAD("PORT=99999999999999999999");
    expect_error("PORT", "out-of-range");
    LOAD("PORT=-1");
    expect_error("PORT", "out-of-range");
    LOAD("PORT=12x");
    expect_error("PORT", "bad-format");
}

/* S51 S52 S54 S74 S75 */
static void documented_integers_have_their_defaults_and_ranges(void **state) {
    (void)state;
    LOAD("IS_QUEUED_TASKS_WORKER=1");
    assert_int_equal(config->headers_timeout_ms, 61000);
    assert_int_equal(config->keepalive_timeout_ms, 61000);
    assert_int_equal(config->max_node_run_output_size_mb, 20);
    assert_int_equal(config->max_queued_tasks_memory_mb, 1024);
    assert_int_equal(config->max_queued_tasks_process_time_seconds, 3000);
    assert_int_equal(LOAD("IS_QUEUED_TASKS_WORKER=1", "HEADERS_TIMEOUT_MS=0",
                          "MAX_NODE_RUN_OUTPUT_SIZE_MB=50", /* S154 */
                          "MAX_QUEUED_TASKS_MEMORY_MB=2048",
                          "MAX_QUEUED_TASKS_PROCESS_TIME_SECONDS=5000"),
                     0);
    assert_int_equal(config->headers_timeout_ms, 0);
    assert_int_equal(config->max_node_run_output_size_mb, 50);
    assert_int_equal(config->max_queued_tasks_memory_mb, 2048);
    assert_int_equal(config->max_queued_tasks_process_time_seconds, 5000);
    LOAD("HEADERS_TIMEOUT_MS=999");
    expect_error("HEADERS_TIMEOUT_MS", "out-of-range");
    LOAD("MAX_NODE_RUN_OUTPUT_SIZE_MB=1025");
    expect_error("MAX_NODE_RUN_OUTPUT_SIZE_MB", "out-of-range");
    LOAD("KEEPALIVE_TIMEOUT_MS=30000");
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, "KEEPALIVE_TIMEOUT_MS"));
    LOAD("CUSTOM_CODE_MEMORY_LIMIT=100");
    expect_error("CUSTOM_CODE_MEMORY_LIMIT", "out-of-range");
    LOAD("CUSTOM_CODE_MEMORY_LIMIT=21474836480"); /* S128 */
    expect_good();
    assert_int_equal(config->custom_code_memory_limit, 21474836480);
}

/* S53 S153 S168 */
static void booleans_have_four_words_each_way(void **state) {
    static const char *const on[] = {"1", "true", "YES", "On"};
    static const char *const off[] = {"0", "false", "No", "OFF"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(LOAD(arena_printf(arena, "ENABLE_LIMITS=%s", on[i])), 0);
        assert_true(config->enable_limits);
        assert_int_equal(LOAD(arena_printf(arena, "ENABLE_LIMITS=%s", off[i])), 0);
        assert_false(config->enable_limits);
    }
    LOAD("DEBUG_ALL=maybe");
    expect_error("DEBUG_ALL", "bad-format");
}

/* S15 S63 S72 S84 */
static void roles_come_from_their_variables_and_old_names(void **state) {
    (void)state;
    LOAD("IS_API", "IS_INSTANT_TASKS_WORKER=1");
    assert_int_equal(config->services, SERVICE_INSTANT_WORKER);
    LOAD("IS_API=1", "IS_QUEUED_TASKS_WORKER=true", "IS_ORCHESTRATOR=yes");
    assert_int_equal(config->services,
                     SERVICE_API | SERVICE_QUEUED_WORKER | SERVICE_ORCHESTRATOR);
    LOAD("IS_API", "IS_WORKER=1");
    assert_int_equal(config->services, SERVICE_INSTANT_WORKER | SERVICE_QUEUED_WORKER |
                                           SERVICE_ORCHESTRATOR);
    LOAD("IS_API", "IS_SCHEDULE_RUNNER=1");
    assert_int_equal(config->services, SERVICE_ORCHESTRATOR);
    LOAD("IS_API", "IS_DEFAULT_WORKER=1");
    assert_int_equal(config->services, SERVICE_QUEUED_WORKER);
    assert_non_null(problem(CONFIG_WARNING, "IS_DEFAULT_WORKER"));
    LOAD("IS_API=perhaps");
    expect_error("IS_API", "bad-format");
}

static void addresses_lose_a_trailing_slash_and_must_be_plain(void **state) {
    static const char *const wrong[] = {
        "api.acme.test",           "ftp://api.acme.test",    "https://",
        "https://u:p@api.test",    "https://api.test/?a=b",  "https://api.test/#x",
        "https://api .acme.test/", "https://api.test:99999", "javascript:alert(1)",
    };

    (void)state;
    LOAD("BASE_URI=https://api.acme.test/base/");
    expect_good();
    assert_string_equal(config->base_uri, "https://api.acme.test/base");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        LOAD(arena_printf(arena, "BASE_URI=%s", wrong[i]));
        expect_error("BASE_URI", "bad-format");
    }
    LOAD("BASE_URI=http://api.acme.test");
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, "BASE_URI"));
    LOAD("BASE_URI=http://localhost:5000");
    assert_null(problem(CONFIG_WARNING, "BASE_URI"));
}

/* S20 S21 S146 S147 */
static void secrets_are_measured_and_examples_refused(void **state) {
    (void)state;
    LOAD("SECRET=short", "STRICT_SECRETS=1");
    expect_error("SECRET", "out-of-range");
    LOAD("SECRET=<your 32 characters>");
    expect_error("SECRET", "bad-format");
    LOAD("ENCRYPTION_SECRET=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    expect_error("ENCRYPTION_SECRET", "bad-format");
    LOAD("SECRET=short", "NODE_ENV=development");
    expect_good();
    LOAD("ENCRYPTION_SECRET=" SECRET_1);
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, "ENCRYPTION_SECRET"));
}

/* S22 S148 */
static void mongo_addresses_of_the_recipes_are_understood(void **state) {
    static const char *const good[] = {
        "mongodb+srv://user:pass@cluster/db",
        "mongodb+srv://user:pass@cluster/db?retryWrites=true&w=majority",
        "mongodb://user:pass@host:27017/engine?authSource=admin",
        "mongodb://a:27017,b:27018,c/db?replicaSet=rs0&tls=true",
        "mongodb://user:p%40ss@[::1]:27017/db",
    };
    static const char *const wrong[] = {
        "mongo://host/db",           "mongodb://host",
        "mongodb://host/",           "mongodb://host/?x=y",
        "mongodb://u:p@ss@host/db",  "mongodb://u:pa:ss@host/db",
        "mongodb://u:p/a@host/db",   "mongodb+srv://host:27017/db",
        "mongodb+srv://a,b/db",      "mongodb:///db",
        "mongodb://host:notport/db",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        LOAD(arena_printf(arena, "MONGO_URI=%s", good[i]));
        expect_good();
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        LOAD(arena_printf(arena, "MONGO_URI=%s", wrong[i]));
        expect_error("MONGO_URI", "bad-format");
    }
}

/* S23 S49 S50 S149 */
static void redis_is_one_server_or_a_cluster(void **state) {
    (void)state;
    LOAD("REDIS_URI=redis://user:password@host:6379/0");
    expect_good();
    LOAD("REDIS_URI=redis://host/x");
    expect_error("REDIS_URI", "bad-format");
    LOAD("REDIS_URI=http://host");
    expect_error("REDIS_URI", "bad-format");
    LOAD("REDIS_URI", "REDIS_CLUSTER_URI_1=redis://a:6379");
    expect_good();
    assert_int_equal(config->redis_cluster_uris_len, 1);
    LOAD("REDIS_URI", "REDIS_CLUSTER_URI_1=redis://a", "REDIS_CLUSTER_URI_2=redis://b");
    expect_good();
    assert_int_equal(config->redis_cluster_uris_len, 2);
    assert_string_equal(config->redis_cluster_uris[1], "redis://b");
    LOAD("REDIS_URI", "REDIS_CLUSTER_URI_1=redis://a", "REDIS_CLUSTER_URI_3=redis://c");
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, "REDIS_CLUSTER_URI_3"));
    LOAD("REDIS_CLUSTER_URI_1=redis://a");
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, "REDIS_URI"));
    LOAD("REDIS_URI", "REDIS_CLUSTER_URI_1=redis://a", "REDIS_CLUSTER_URI_2=rediss://b");
    expect_error("REDIS_CLUSTER_URI_1", "conflict");
    LOAD("REDIS_URI", "REDIS_CLUSTER_URI_1=redis://a/1");
    expect_error("REDIS_CLUSTER_URI_1", "bad-format");
}

/* S30 S31 S32 S33 */
static void auth0_is_all_three_or_none(void **state) {
    (void)state;
    LOAD("AUTH0_DOMAIN=login.acme.test", "AUTH0_CLIENT_ID=abc");
    expect_error("AUTH0_CLIENT_SECRET", "conflict");
    LOAD("AUTH0_DOMAIN=https://login.acme.test/x", "AUTH0_CLIENT_ID=abc",
         "AUTH0_CLIENT_SECRET=def");
    expect_good();
    assert_string_equal(config->auth0_domain, "login.acme.test");
    assert_non_null(problem(CONFIG_WARNING, "AUTH0_DOMAIN"));
    LOAD("AUTH0_DOMAIN=not a host", "AUTH0_CLIENT_ID=abc", "AUTH0_CLIENT_SECRET=def");
    expect_error("AUTH0_DOMAIN", "bad-format");
}

/* S34 S35 S36 S37 S38 */
static void mail_settings_belong_together(void **state) {
    (void)state;
    LOAD("SMTP_USER=u");
    expect_error("SMTP_PASSWORD", "conflict");
    LOAD("EMAIL_FROM");
    expect_error("EMAIL_FROM", "missing");
    LOAD("EMAIL_FROM=nobody");
    expect_error("EMAIL_FROM", "bad-format");
    LOAD("SMTP_PORT=465");
    expect_good();
    assert_true(config->smtp_secure);
    LOAD("SMTP_HOST", "EMAIL_FROM");
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, "SMTP_HOST"));
    LOAD("EMAIL_FROM_NAME=a\rb");
    expect_error("EMAIL_FROM_NAME", "bad-format");
}

/* S28 S39 S41 S42 S43 S44 S45 S46 */
static void storage_settings_fit_their_provider(void **state) {
    (void)state;
    LOAD("AWS_ACCESS_KEY_ID=a");
    expect_error("AWS_SECRET_ACCESS_KEY", "conflict");
    LOAD("TMP_STORAGE_BUCKET=Not_A_Bucket");
    expect_error("TMP_STORAGE_BUCKET", "bad-format");
    LOAD("STORAGE_PROVIDER=abs");
    expect_error("AZURE_STORAGE_CONNECTION_STRING", "missing");
    LOAD("STORAGE_PROVIDER=abs", "AZURE_STORAGE_ACCOUNT_NAME=acme",
         "STATIC_STORAGE_BUCKET=$web", "AZURE_STORAGE_ACCOUNT_KEY=c2VjcmV0");
    expect_good();
    LOAD("STORAGE_PROVIDER=abs", "AZURE_STORAGE_ACCOUNT_NAME=acme",
         "AZURE_STORAGE_ACCOUNT_KEY=not-base64!");
    expect_error("AZURE_STORAGE_ACCOUNT_KEY", "bad-format");
    LOAD("STORAGE_PROVIDER=abs", "AZURE_STORAGE_CONNECTION_STRING=nonsense");
    expect_error("AZURE_STORAGE_CONNECTION_STRING", "bad-format");
    LOAD("STORAGE_PROVIDER=gcs", "GOOGLE_CLOUD_PROJECT_ID=p",
         "TMP_STORAGE_BUCKET=with_underscore");
    expect_good();
}

/* S48 */
static void key_files_must_be_readable_and_of_their_kind(void **state) {
    char path[] = "/tmp/membrane-config-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    LOAD("GOOGLE_CLOUD_KEYFILE=/nonexistent/key.json");
    expect_error("GOOGLE_CLOUD_KEYFILE", "unreadable-file");
    LOAD(arena_printf(arena, "GOOGLE_CLOUD_KEYFILE=%s", path));
    expect_error("GOOGLE_CLOUD_KEYFILE", "bad-format");
    assert_true(dprintf(fd, "{\"type\":\"service_account\",\"private_key\":\"k\"}") > 0);
    LOAD(arena_printf(arena, "GOOGLE_CLOUD_KEYFILE=%s", path));
    expect_good();
    close(fd);
    unlink(path);
}

/* S55 S56 */
static void external_credentials_need_their_endpoint(void **state) {
    const char *name = "CONNECTION_CREDENTIALS_EXTERNAL_API_ENDPOINT_URL";

    (void)state;
    LOAD();
    assert_string_equal(config->connection_credentials_storage_type, "database");
    LOAD("CONNECTION_CREDENTIALS_STORAGE_TYPE=external_api");
    expect_error(name, "missing");
    LOAD("CONNECTION_CREDENTIALS_STORAGE_TYPE=external_api",
         "CONNECTION_CREDENTIALS_EXTERNAL_API_ENDPOINT_URL=https://c.test/x?y=z");
    expect_good();
    LOAD("CONNECTION_CREDENTIALS_STORAGE_TYPE=vault");
    expect_error("CONNECTION_CREDENTIALS_STORAGE_TYPE", "unknown-value");
    LOAD("CONNECTION_CREDENTIALS_EXTERNAL_API_ENDPOINT_URL=https://c.test/x");
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, name));
}

static void old_names_are_understood_and_must_agree(void **state) {
    (void)state;
    LOAD("TMP_STORAGE_BUCKET", "TMP_S3_BUCKET=old-tmp", "BASE_URI",
         "API_URI=https://api.acme.test/", "MAX_FLOW_RUN_MEMORY_MB=77",
         "IS_QUEUED_TASKS_WORKER=1");
    expect_good();
    assert_string_equal(config->tmp_storage_bucket, "old-tmp");
    assert_string_equal(config->base_uri, "https://api.acme.test");
    assert_int_equal(config->max_queued_tasks_memory_mb, 77);
    LOAD("TMP_S3_BUCKET=another");
    expect_error("TMP_S3_BUCKET", "conflict");
    LOAD("TMP_S3_BUCKET=prod-tmp", "API_URI=https://api.acme.test/");
    expect_good();
    LOAD("COPILOT_S3_BUCKET=x", "NODE_OPTIONS=--max-old-space-size=4500");
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, "COPILOT_S3_BUCKET"));
}

static void any_value_may_come_from_a_file(void **state) {
    char path[] = "/tmp/membrane-config-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(dprintf(fd, SECRET_2 "x\n\n") > 0);
    LOAD("SECRET", arena_printf(arena, "SECRET_FILE=%s", path));
    expect_good();
    assert_string_equal(config->secret, SECRET_2 "x");
    LOAD(arena_printf(arena, "SECRET_FILE=%s", path)); /* the environment wins */
    assert_string_equal(config->secret, SECRET_1);
    unlink(path);
    close(fd);
    LOAD("SECRET_FILE=/nonexistent/x", "SECRET");
    assert_string_equal(problem(CONFIG_ERROR, "SECRET_FILE")->code, "unreadable-file");
}

static void config_file_comes_after_the_environment(void **state) {
    char path[] = "/tmp/membrane-config-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(dprintf(fd, "# comment\nPORT=6000\nexport HOST='127.0.0.1'\n"
                            "LOG_LEVEL=\"warn\"\n") > 0);
    LOAD(arena_printf(arena, "CONFIG_FILE=%s", path));
    expect_good();
    assert_int_equal(config->port, 5000);
    assert_string_equal(config->host, "127.0.0.1");
    assert_string_equal(config->log_level, "warn");
    LOAD(arena_printf(arena, "CONFIG_FILE=%s", path), "PORT");
    assert_int_equal(config->port, 6000);
    unlink(path);
    close(fd);
}

static void embedded_stores_need_no_outside_address(void **state) {
    (void)state;
    LOAD("DATA_DIR=/tmp/x", "MONGO_URI", "REDIS_URI", "TMP_STORAGE_BUCKET",
         "CONNECTORS_STORAGE_BUCKET", "STATIC_STORAGE_BUCKET", "BASE_STATIC_URI",
         "AWS_REGION");
    expect_good();
    assert_null(config->mongo_uri);
    assert_string_equal(config->base_static_uri, "https://api.acme.test/static");
    LOAD("DATA_DIR=/tmp/x", "TMP_STORAGE_BUCKET");
    expect_error("TMP_STORAGE_BUCKET", "missing");
}

/* S103 S106 S109 S110 S113 S124 */
static void other_services_need_only_their_own_variables(void **state) {
    const struct config_sources none = {0};
    const char *const ui[] = {"NEXT_PUBLIC_ENGINE_URI=https://api.test", NULL};
    const char *const console[] = {"NEXT_PUBLIC_BASE_URI=https://console.test",
                                   "NEXT_PUBLIC_ENGINE_API_URI=https://api.test",
                                   "NEXT_PUBLIC_ENGINE_UI_URI=https://ui.test",
                                   "NEXT_PUBLIC_AUTH0_DOMAIN=login.test", NULL};
    struct config_sources s = {.environment = ui};

    (void)state;
    assert_int_equal(config_load(arena, SERVICE_CODE_RUNNER, &none, &config, &report), 0);
    assert_int_equal(config_load(arena, SERVICE_UI, &none, &config, &report), -1);
    expect_error("NEXT_PUBLIC_ENGINE_URI", "missing");
    assert_int_equal(config_load(arena, SERVICE_UI, &s, &config, &report), 0);
    s.environment = console;
    assert_int_equal(config_load(arena, SERVICE_CONSOLE, &s, &config, &report), -1);
    expect_error("NEXT_PUBLIC_AUTH0_CLIENT_ID", "conflict");
}

static void mistyped_names_are_pointed_out(void **state) {
    (void)state;
    LOAD("BASE_URL=https://x.test", "MONGO_URL=x", "HOME=/root", "UNRELATED=1",
         "API_PORT=tcp://10.0.0.1:80");
    expect_good();
    assert_non_null(problem(CONFIG_WARNING, "BASE_URL"));
    assert_non_null(problem(CONFIG_WARNING, "MONGO_URL"));
    assert_null(problem(CONFIG_WARNING, "HOME"));
    assert_null(problem(CONFIG_WARNING, "UNRELATED"));
    assert_null(problem(CONFIG_WARNING, "API_PORT"));
}

static void limits_are_overridden_by_name(void **state) {
    (void)state;
    LOAD("LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION=3");
    expect_good();
    assert_true(config->limit[LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION] == 3);
    assert_true(config->limit[LIMIT_FLOW_RUNS_QUEUE_SIZE_PER_CONNECTION] == 10000);
    LOAD("LIMIT_PARALLEL_FLOW_RUNS=many");
    expect_error("LIMIT_PARALLEL_FLOW_RUNS", "bad-format");
    LOAD("LIMIT_PARALLEL_FLOW_RUNS=-1");
    expect_error("LIMIT_PARALLEL_FLOW_RUNS", "out-of-range");
}

static void command_line_wins_and_supplied_values_lose(void **state) {
    const char *const line[] = {"PORT=1", NULL},
                      *const env[] = {"PORT=2", "HOST=::1", NULL},
                      *const supplied[] = {"HOST=127.0.0.1", "LOG_LEVEL=error", NULL};
    struct config_sources s = {line, env, supplied};

    (void)state;
    assert_int_equal(config_load(arena, SERVICE_CODE_RUNNER, &s, &config, &report), 0);
    assert_int_equal(config->port, 1);
    assert_string_equal(config->host, "::1");
    assert_string_equal(config->log_level, "error");
}

/* S22 S169: no secret in what is shown */
static void dump_masks_secrets(void **state) {
    struct buf b = BUF_INIT;

    (void)state;
    LOAD();
    config_dump(arena, config, &b);
    assert_null(strstr(b.data, SECRET_1));
    assert_null(strstr(b.data, SECRET_2));
    assert_null(strstr(b.data, "pass@"));
    assert_null(strstr(b.data, "password"));
    assert_non_null(strstr(b.data, "SECRET=*** (32 bytes)\n"));
    assert_non_null(
        strstr(b.data, "MONGO_URI=mongodb+srv://***@cluster.acme.test/membrane"));
    assert_non_null(strstr(b.data, "KEEPALIVE_TIMEOUT_MS=61000\n"));
    buf_fini(&b);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, free_arena)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(the_example_is_good_and_warns_of_nothing),
        CASE(each_required_variable_is_missed_by_name),
        CASE(all_problems_are_reported_at_once),
        CASE(lines_have_the_documented_form),
        CASE(port_is_an_integer_in_range),
        CASE(documented_integers_have_their_defaults_and_ranges),
        CASE(booleans_have_four_words_each_way),
        CASE(roles_come_from_their_variables_and_old_names),
        CASE(addresses_lose_a_trailing_slash_and_must_be_plain),
        CASE(secrets_are_measured_and_examples_refused),
        CASE(mongo_addresses_of_the_recipes_are_understood),
        CASE(redis_is_one_server_or_a_cluster),
        CASE(auth0_is_all_three_or_none),
        CASE(mail_settings_belong_together),
        CASE(storage_settings_fit_their_provider),
        CASE(key_files_must_be_readable_and_of_their_kind),
        CASE(external_credentials_need_their_endpoint),
        CASE(old_names_are_understood_and_must_agree),
        CASE(any_value_may_come_from_a_file),
        CASE(config_file_comes_after_the_environment),
        CASE(embedded_stores_need_no_outside_address),
        CASE(other_services_need_only_their_own_variables),
        CASE(mistyped_names_are_pointed_out),
        CASE(limits_are_overridden_by_name),
        CASE(command_line_wins_and_supplied_values_lose),
        CASE(dump_masks_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
