/*
 * The table becomes rows; a row's value is looked up in the layers of config.h, checked
 * by its type (config_check.c) and stored at the row's offset. Rules between variables
 * come last (config_rules.c), on the finished struct, so that a bad value is reported
 * once and not again by a rule.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "config_priv.h"

enum {
    MAX_FILE_BYTES = 1024 * 1024,
    MAX_CLUSTER_URIS = 99,
};

/* The letters of config.def. */
enum {
    A = SERVICE_API,
    I = SERVICE_INSTANT_WORKER,
    Q = SERVICE_QUEUED_WORKER,
    O = SERVICE_ORCHESTRATOR,
    U = SERVICE_UI,
    C = SERVICE_CONSOLE,
    R = SERVICE_CODE_RUNNER,
    T = SERVICE_CLIENT,
    CORE = SERVICE_CORE,
    ALL = SERVICE_ALL,
};

/* A SECTION row stands between the others; it has no name. */
const struct config_row config_rows[] = {
#define SECTION(title) {.section = title},
#define CONFIG(type, field, name, services, need, otherwise, limits, text)               \
    {CONFIG_##type, NULL,        name,                                                   \
     services,      NEED_##need, otherwise,                                              \
     limits,        text,        offsetof(struct config, field)},
#include "config.def"
};
const size_t config_rows_len = sizeof(config_rows) / sizeof(*config_rows);

const struct config_alias config_aliases[] = {
#define ALIAS(name, alias, notice) {name, alias, notice},
#include "config.def"
};
const size_t config_aliases_len = sizeof(config_aliases) / sizeof(*config_aliases);

const struct config_ignored config_ignored[] = {
#define IGNORED(name, why) {name, why},
#include "config.def"
};
const size_t config_ignored_len = sizeof(config_ignored) / sizeof(*config_ignored);

const struct config_limit_row *config_limit_rows(void) {
    static const struct config_limit_row rows[] = {
#define LIMIT(name, key, unit, otherwise) {#name, key, unit},
#include "limits.def"
    };

    return rows;
}

/* ---- The report ---- */

void config_report_add(struct config_report *r, struct arena *a, const char *name,
                       const char *code, const char *fmt, ...) {
    struct config_problem *p = arena_zalloc(a, sizeof(*p));
    va_list ap;

    if (!r->last)
        r->last = &r->first;
    p->severity = code ? CONFIG_ERROR : CONFIG_WARNING;
    p->name = arena_strdup(a, name);
    p->code = code;
    va_start(ap, fmt);
    p->text = arena_vprintf(a, fmt, ap);
    va_end(ap);
    *r->last = p;
    r->last = &p->next;
    if (code)
        r->errors++;
    else
        r->warnings++;
}

void config_report_print(const struct config_report *r, FILE *f) {
    for (const struct config_problem *p = r->first; p; p = p->next) {
        if (p->severity == CONFIG_ERROR)
            fprintf(f, "config error: %s: %s: %s\n", p->name, p->code, p->text);
        else
            fprintf(f, "config warning: %s: %s\n", p->name, p->text);
    }
}

/* ---- Layers ---- */

struct load {
    struct arena *arena;
    const struct config_sources *sources;
    const char *const *file; /* lines of CONFIG_FILE */
    struct config *config;
    struct config_report *report;
};

/* A member of a NAME=value list; NULL when absent or empty. */
static const char *list_get(const char *const *list, const char *name) {
    size_t len = strlen(name);

    for (; list && *list; list++)
        if (!strncmp(*list, name, len) && (*list)[len] == '=')
            return (*list)[len + 1] ? *list + len + 1 : NULL;
    return NULL;
}

/* The whole file as text without trailing newlines; NULL with errno when unreadable. */
static char *read_text(struct arena *a, const char *path) {
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t n;

    if (!f)
        return NULL;
    text = arena_alloc(a, MAX_FILE_BYTES + 1);
    n = fread(text, 1, MAX_FILE_BYTES, f);
    if (ferror(f) || n == MAX_FILE_BYTES) {
        errno = ferror(f) ? EIO : EFBIG;
        text = NULL;
    } else {
        text[n] = '\0';
        while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
            text[--n] = '\0';
    }
    fclose(f);
    return text;
}

/* Trailing newlines go: secrets that are mounted as files have them. */
static const char *trimmed(struct arena *a, const char *s) {
    size_t n = s ? strlen(s) : 0;

    if (!n || (s[n - 1] != '\n' && s[n - 1] != '\r'))
        return s;
    while (n && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    return n ? arena_memdup(a, s, n) : NULL;
}

static const char *from_named_file(struct load *l, const char *name) {
    char file_name[128];
    const char *path, *text;

    snprintf(file_name, sizeof(file_name), "%s_FILE", name);
    if (!(path = list_get(l->sources->command_line, file_name)) &&
        !(path = list_get(l->sources->environment, file_name)) &&
        !(path = list_get(l->file, file_name)))
        return NULL;
    text = read_text(l->arena, path);
    if (!text)
        config_report_add(l->report, l->arena, file_name, "unreadable-file",
                          "a readable file, %s: %s", path, strerror(errno));
    return text && *text ? text : NULL;
}

/* What the operator said for one name, in whatever layer. */
static const char *look_up(struct load *l, const char *name) {
    const char *v;

    if (!(v = list_get(l->sources->command_line, name)) &&
        !(v = list_get(l->sources->environment, name)) && !(v = from_named_file(l, name)))
        v = list_get(l->file, name);
    return trimmed(l->arena, v);
}

/* Lines of NAME=value; '#' starts a comment line, `export ` and quotes are taken off. */
static void read_config_file(struct load *l) {
    const char *path = look_up(l, "CONFIG_FILE");
    const char **lines;
    char *text, *save = NULL;
    size_t n = 0;

    if (!path)
        return;
    if (!(text = read_text(l->arena, path))) {
        config_report_add(l->report, l->arena, "CONFIG_FILE", "unreadable-file",
                          "a readable file, %s: %s", path, strerror(errno));
        return;
    }
    lines = arena_zalloc(l->arena, (strlen(text) / 2 + 2) * sizeof(*lines));
    for (char *line = strtok_r(text, "\r\n", &save); line;
         line = strtok_r(NULL, "\r\n", &save)) {
        char *eq;
        size_t len;

        line += strspn(line, " \t");
        if (!strncmp(line, "export ", 7))
            line += 7;
        if (*line == '#' || !(eq = strchr(line, '=')))
            continue;
        len = strlen(eq);
        if (len >= 3 && (eq[1] == '"' || eq[1] == '\'') && eq[len - 1] == eq[1]) {
            eq[len - 1] = '\0';
            memmove(eq + 1, eq + 2, len - 2);
        }
        lines[n++] = line;
    }
    l->file = lines;
}

/* ---- Rows ---- */

static size_t length_without_slash(const char *s) {
    size_t n = strlen(s);

    return n && s[n - 1] == '/' ? n - 1 : n;
}

static bool same_value(const char *x, const char *y) {
    size_t n = length_without_slash(x);

    return n == length_without_slash(y) && !strncmp(x, y, n);
}

/* The row's value under its own name or another; ret_name tells which. */
static const char *row_value(struct load *l, const struct config_row *row,
                             const char **ret_name) {
    const char *found = look_up(l, row->name);

    *ret_name = row->name;
    for (size_t i = 0; i < config_aliases_len; i++) {
        const struct config_alias *alias = &config_aliases[i];
        const char *v;

        if (strcmp(alias->name, row->name) != 0 || !(v = look_up(l, alias->alias)))
            continue;
        if (alias->notice)
            config_report_add(l->report, l->arena, alias->alias, NULL,
                              "an old name for %s", alias->name);
        if (row->type == CONFIG_BOOL) {
            /* A role is on when any of its names says so. */
            if (!found || config_parse_bool(v) != 0) {
                found = v;
                *ret_name = alias->alias;
            }
        } else if (!found) {
            found = v;
            *ret_name = alias->alias;
        } else if (!same_value(found, v)) {
            config_report_add(l->report, l->arena, alias->alias, "conflict",
                              "the same value as %s, or none", row->name);
        }
    }
    if (!found)
        found = list_get(l->sources->supplied, row->name);
    return found;
}

/* Sets the row from its default; constants of the table must be good. */
static void set_default(struct load *l, const struct config_row *row) {
    if (*row->otherwise)
        config_set(l->arena, l->config, row, row->name, row->otherwise, l->report);
}

static bool is_missing(const struct config *c, const struct config_row *row) {
    return row->need == NEED_REQUIRED || (row->need == NEED_EXTERNAL && !c->data_dir);
}

/* The first sentence of the row says what is expected. */
static void report_missing(struct load *l, const struct config_row *row) {
    const char *end = strpbrk(row->text, ".;");

    config_report_add(l->report, l->arena, row->name, "missing", "%.*s%s",
                      (int)(end ? end - row->text : (long)strlen(row->text)), row->text,
                      row->need == NEED_EXTERNAL ? "; or DATA_DIR for embedded stores"
                                                 : "");
}

static void load_row(struct load *l, const struct config_row *row) {
    const char *name, *value = row_value(l, row, &name);

    if (value) {
        if (!config_set(l->arena, l->config, row, name, value, l->report))
            set_default(l, row);
        return;
    }
    set_default(l, row);
    if (!*row->otherwise && is_missing(l->config, row))
        report_missing(l, row);
}

static unsigned roles_of(struct load *l) {
    const struct config *c = l->config;

    return (c->is_api ? SERVICE_API : 0u) |
           (c->is_instant_tasks_worker ? SERVICE_INSTANT_WORKER : 0u) |
           (c->is_queued_tasks_worker ? SERVICE_QUEUED_WORKER : 0u) |
           (c->is_orchestrator ? SERVICE_ORCHESTRATOR : 0u);
}

static void load_rows(struct load *l, unsigned services, bool only_roles) {
    for (size_t i = 0; i < config_rows_len; i++) {
        const struct config_row *row = &config_rows[i];
        bool is_role;

        if (!row->name)
            continue;
        is_role = !strncmp(row->name, "IS_", 3);
        if (is_role != only_roles)
            continue;
        if (row->services & services)
            load_row(l, row);
        else
            set_default(l, row);
    }
}

static void load_cluster_uris(struct load *l) {
    const char **uris = arena_zalloc(l->arena, MAX_CLUSTER_URIS * sizeof(*uris));
    size_t n = 0;
    int last = 0;

    for (int i = 1; i <= MAX_CLUSTER_URIS; i++) {
        char *name = arena_printf(l->arena, "REDIS_CLUSTER_URI_%d", i);
        const char *v = look_up(l, name);

        if (!v)
            continue;
        if (i != last + 1)
            config_report_add(l->report, l->arena, name, NULL,
                              "the number before it is not set");
        last = i;
        if (config_check_redis(l->arena, name, v, true, l->report))
            uris[n++] = v;
    }
    l->config->redis_cluster_uris = uris;
    l->config->redis_cluster_uris_len = n;
}

static void load_limits(struct load *l) {
    static const double defaults[] = {
#define LIMIT(name, key, unit, otherwise) otherwise,
#include "limits.def"
    };

    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        const char *name = config_limit_rows()[i].variable;
        const char *v = look_up(l, name);
        char *end;
        double n;

        l->config->limit[i] = defaults[i];
        if (!v)
            continue;
        n = strtod(v, &end);
        if (*end || end == v)
            config_report_add(l->report, l->arena, name, "bad-format",
                              "a number, 0 for no limit");
        else if (!(n >= 0 && n <= 1e15))
            config_report_add(l->report, l->arena, name, "out-of-range",
                              "a number from 0 (no limit) up");
        else
            l->config->limit[i] = n;
    }
}

static bool is_known(const char *name) {
    for (size_t i = 0; i < config_rows_len; i++)
        if (config_rows[i].name && !strcmp(config_rows[i].name, name))
            return true;
    for (size_t i = 0; i < config_aliases_len; i++)
        if (!strcmp(config_aliases[i].alias, name))
            return true;
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        if (!strcmp(config_limit_rows()[i].variable, name))
            return true;
    return !strncmp(name, "REDIS_CLUSTER_URI_", 18);
}

/* Names nobody knows are ignored; one that looks mistyped gets a warning. */
static void warn_about_names(struct load *l, const char *const *list) {
    for (; list && *list; list++) {
        const char *eq = strchr(*list, '=');
        char *name;
        size_t len;
        const char *meant;

        if (!eq || !eq[1])
            continue;
        name = arena_memdup(l->arena, *list, (size_t)(eq - *list));
        for (size_t i = 0; i < config_ignored_len; i++)
            if (!strcmp(config_ignored[i].name, name) && strncmp(name, "NODE_", 5) != 0)
                config_report_add(l->report, l->arena, name, NULL, "ignored: %s",
                                  config_ignored[i].why);
        if (is_known(name))
            continue;
        len = strlen(name);
        if (len > 5 && !strcmp(name + len - 5, "_FILE")) {
            name[len - 5] = '\0';
            if (is_known(name))
                continue;
            name[len - 5] = '_';
        }
        if ((meant = config_near_miss(name)) != NULL)
            config_report_add(l->report, l->arena, name, NULL,
                              "not a known variable; is %s meant?", meant);
    }
}

int config_load(struct arena *a, unsigned services, const struct config_sources *src,
                const struct config **ret_config, struct config_report *ret_report) {
    struct config *c = arena_zalloc(a, sizeof(*c));
    struct load l = {.arena = a, .sources = src, .config = c, .report = ret_report};

    memset(ret_report, 0, sizeof(*ret_report));
    read_config_file(&l);
    load_rows(&l, services ? services : SERVICE_CORE, true);
    if (!services)
        services = roles_of(&l);
    if (!services)
        services = SERVICE_API;
    c->services = services;
    c->data_dir = look_up(&l, "DATA_DIR"); /* before the rows whose need it decides */
    if (!c->data_dir)
        c->data_dir = list_get(src->supplied, "DATA_DIR");
    load_rows(&l, services, false);
    if (services & SERVICE_CORE) {
        load_cluster_uris(&l);
        load_limits(&l);
    }
    config_apply_rules(a, c, ret_report);
    warn_about_names(&l, src->environment);
    warn_about_names(&l, l.file);
    *ret_config = c;
    return ret_report->errors ? -1 : 0;
}

/* ---- What is derived ---- */

const char *config_internal_uri(const struct config *c) {
    return c->base_uri_internal ? c->base_uri_internal : c->base_uri;
}

const char *config_webhooks_uri(const struct config *c) {
    return c->base_webhooks_uri ? c->base_webhooks_uri : c->base_uri;
}

const char *config_oauth_callback_uri(const struct config *c) {
    return c->base_oauth_callback_uri ? c->base_oauth_callback_uri : c->base_uri;
}

int64_t config_shutdown_grace_ms(const struct config *c) {
    int64_t s = 10;

    if (c->shutdown_grace_seconds)
        s = c->shutdown_grace_seconds;
    else if (c->services & SERVICE_QUEUED_WORKER)
        s = 100;
    else if (c->services & (SERVICE_API | SERVICE_INSTANT_WORKER | SERVICE_CODE_RUNNER))
        s = 60;
    return s * 1000;
}
