/*
 * config.h - what the operator said: every variable of config.def, read and checked.
 *
 * All problems are found in one go, before anything is opened. Values come, first found
 * wins, from: the command line, the environment, the file that <NAME>_FILE names, the
 * file that CONFIG_FILE names, what the command supplies, the default of the row. An
 * empty value counts as absent.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct arena;
struct buf;

/* Who reads a variable, and what a process is: bits. */
enum config_service {
    SERVICE_API = 1,
    SERVICE_INSTANT_WORKER = 2,
    SERVICE_QUEUED_WORKER = 4,
    SERVICE_ORCHESTRATOR = 8,
    SERVICE_UI = 16,
    SERVICE_CONSOLE = 32,
    SERVICE_CODE_RUNNER = 64,
    SERVICE_CLIENT = 128, /* commands that call an API: push, pull, token, connector */
    SERVICE_CORE = 15,
    SERVICE_ALL = 127, /* of a deployment */
};

enum config_limit {
#define LIMIT(name, key, unit, otherwise) name,
#include "limits.def"
    LIMIT_COUNT
};
struct config_limit_row {
    const char *variable, *key, *unit;
};
/* LIMIT_COUNT rows. */
const struct config_limit_row *config_limit_rows(void);

/* Texts are NULL when absent; an INT row without default is 0 when absent. */
struct config {
#define CONFIG_FIELD_BOOL(field)   bool field;
#define CONFIG_FIELD_INT(field)    int64_t field;
#define CONFIG_FIELD_URL(field)    const char *field; /* without trailing slash */
#define CONFIG_FIELD_TEXT(field)   const char *field;
#define CONFIG_FIELD_SECRET(field) const char *field;
#define CONFIG_FIELD_ENUM(field)   const char *field;
#define CONFIG_FIELD_FILE(field)   const char *field;
#define CONFIG_FIELD_HOST(field)   const char *field;
#define CONFIG_FIELD_DOMAIN(field) const char *field;
#define CONFIG_FIELD_EMAIL(field)  const char *field;
#define CONFIG_FIELD_MONGO(field)  const char *field;
#define CONFIG_FIELD_REDIS(field)  const char *field;
#define CONFIG_FIELD_BASE64(field) const char *field;
#define CONFIG(type, field, ...)   CONFIG_FIELD_##type(field)
#include "config.def"

    unsigned services; /* enum config_service: the roles of this process */
    bool is_production;
    const char *const *redis_cluster_uris; /* REDIS_CLUSTER_URI_1 .. _n */
    size_t redis_cluster_uris_len;
    double limit[LIMIT_COUNT]; /* defaults of workspaces; 0: no limit */
};

enum config_severity {
    CONFIG_ERROR,
    CONFIG_WARNING,
};
struct config_problem {
    enum config_severity severity;
    const char *name;
    const char *code; /* missing, bad-format, out-of-range, unknown-value, conflict,
                         unreadable-file; NULL for a warning */
    const char *text; /* errors: what is expected */
    struct config_problem *next;
};
struct config_report {
    struct config_problem *first;
    struct config_problem **last; /* private */
    size_t errors, warnings;
};

/* Lists of NAME=value, NULL-terminated; each may be NULL. */
struct config_sources {
    const char *const *command_line; /* wins over everything */
    const char *const *environment;
    const char *const *supplied; /* wins over defaults only */
};

/*
 * Reads everything into the arena. services: the process's roles; 0: those that the
 * IS_ variables name, the API when they name none. 0, or -1 when the report holds an
 * error
 * (*ret_config is filled all the same, for `config dump`).
 */
int config_load(struct arena *a, unsigned services, const struct config_sources *src,
                const struct config **ret_config, struct config_report *ret_report);
/* `config error: NAME: code: text` lines, and `config warning: NAME: text`. */
void config_report_print(const struct config_report *r, FILE *f);

/* The address that workers call the API at, and others with a fallback to BASE_URI. */
const char *config_internal_uri(const struct config *c);
const char *config_webhooks_uri(const struct config *c);
const char *config_oauth_callback_uri(const struct config *c);

/* Longest grace of the process's roles, unless set. */
int64_t config_shutdown_grace_ms(const struct config *c);

/* ---- What is made from the table (config_docs.c) ---- */

/* The page docs/config.md. */
void config_docs(struct buf *b);
/* JSON Schema of the variables. */
void config_schema(struct buf *b);
/* NAME=value lines of what holds now; secrets and user parts of addresses as ***. */
void config_dump(struct arena *a, const struct config *c, struct buf *b);

#endif
