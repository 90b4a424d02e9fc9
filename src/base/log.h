/*
 * log.h - structured log lines: a fixed sentence, and what varies as fields.
 *
 *     log_info(ctx, "run finished", "durationMs=%lld flow=%s", (long long)ms, flow_id);
 *
 * The field list is a printf format that the compiler checks: `name=conversion` words
 * separated by spaces, one conversion each. Values are taken one by one, so that a space
 * or a quote in a value can't make a new field: text output quotes, JSON output escapes.
 *
 * A context inherits from its parent; call sites name only what is new. A field whose
 * name holds token, secret, password, authorization, cookie, credential or apiKey prints
 * as ***, and so does the user part of an address (scheme://user:password@host) in any
 * value.
 *
 * Lines go to standard error, one write(2) each. Only service/ and http/ log above debug;
 * everything else reports by its status. The sink is the one global of the program: a
 * log line must be possible from anywhere, also before anything was opened.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_OFF,
};

/* NULL members are inherited. Caller's memory; parent and texts must live as long. */
struct log_ctx {
    const struct log_ctx *parent;
    const char *service;
    const char *request_id;
    const char *workspace_id;
    const char *tenant_id; /* the customer */
    const char *job_id;
};

struct log_options {
    enum log_level level;
    bool json;
    int fd;              /* where lines go; 0: standard error */
    const char *service; /* when a context names none; must live on; NULL: "membrane" */
};

/* Before the first call: info, text on a terminal, JSON otherwise. Call while
 * single-threaded. */
void log_setup(const struct log_options *o);
/* -1 when the word is none of debug, info, warn, error, off. */
int log_level_from_name(const char *name);
bool log_is_enabled(enum log_level level);

void log_write(const struct log_ctx *ctx, enum log_level level, const char *sentence,
               const char *fields, ...) __attribute__((format(printf, 4, 5)));
void log_vwrite(const struct log_ctx *ctx, enum log_level level, const char *sentence,
                const char *fields, va_list ap) __attribute__((format(printf, 4, 0)));

/* ctx may be NULL. The field list must be a literal; it may be left out. */
#define log_at(ctx, level, sentence, ...)                                                \
    do {                                                                                 \
        if (log_is_enabled(level))                                                       \
            log_write((ctx), (level), (sentence), " " __VA_ARGS__);                      \
    } while (0)
#define log_debug(ctx, sentence, ...) log_at(ctx, LOG_DEBUG, sentence, __VA_ARGS__)
#define log_info(ctx, sentence, ...)  log_at(ctx, LOG_INFO, sentence, __VA_ARGS__)
#define log_warn(ctx, sentence, ...)  log_at(ctx, LOG_WARN, sentence, __VA_ARGS__)
#define log_error(ctx, sentence, ...) log_at(ctx, LOG_ERROR, sentence, __VA_ARGS__)

/* Would a field or variable of this name be masked? */
bool log_name_is_secret(const char *name);

#endif
