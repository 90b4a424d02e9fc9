/*
 * config_priv.h - the table as data, and what its checks share.
 */
#ifndef CONFIG_CONFIG_PRIV_H
#define CONFIG_CONFIG_PRIV_H

#include "config.h"

enum config_type {
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_URL,
    CONFIG_TEXT,
    CONFIG_SECRET,
    CONFIG_ENUM,
    CONFIG_FILE,
    CONFIG_HOST,
    CONFIG_DOMAIN,
    CONFIG_EMAIL,
    CONFIG_MONGO,
    CONFIG_REDIS,
    CONFIG_BASE64,
};
enum config_need {
    NEED_REQUIRED,
    NEED_EXTERNAL,
    NEED_OPTIONAL,
    NEED_CONDITIONAL,
};

struct config_row {
    enum config_type type;
    const char *section;
    const char *name;
    unsigned services;
    enum config_need need;
    const char *otherwise; /* default; "" for none */
    const char *limits;
    const char *text;
    size_t offset; /* of the field in struct config */
};
extern const struct config_row config_rows[];
extern const size_t config_rows_len;

struct config_alias {
    const char *name, *alias;
    bool notice;
};
extern const struct config_alias config_aliases[];
extern const size_t config_aliases_len;

struct config_ignored {
    const char *name, *why;
};
extern const struct config_ignored config_ignored[];
extern const size_t config_ignored_len;

/* Appends to the report. code NULL: a warning. Texts must be constants or of the arena.
 */
void config_report_add(struct config_report *r, struct arena *a, const char *name,
                       const char *code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * Checks one value and stores it in *c. The problem, if any, goes to the report under
 * `name` (an alias reports under its own name). false when it was bad.
 */
bool config_set(struct arena *a, struct config *c, const struct config_row *row,
                const char *name, const char *value, struct config_report *r);
/* One Redis address; is_cluster: a database index is refused. */
bool config_check_redis(struct arena *a, const char *name, const char *uri,
                        bool is_cluster, struct config_report *r);
/* -1 when the word is none. */
int config_parse_bool(const char *s);

/* Rules between variables (config_rules.c). */
void config_apply_rules(struct arena *a, struct config *c, struct config_report *r);
/* A name that looks like a known one mistyped: the known name, else NULL. */
const char *config_near_miss(const char *name);

/* A field of *c as text; NULL when absent. */
const char *config_field_text(struct arena *a, const struct config *c,
                              const struct config_row *row);

#endif
