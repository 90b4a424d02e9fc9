/*
 * status.h - one error, from where it is understood to the HTTP body.
 *
 * Fallible functions return int: 0 done, -1 failed with *st filled, 1 only for
 * a third outcome that their comment names (usually "absent"). Types and keys
 * are rows of errors.def; the shape is the contract's ErrorData.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>

struct arena;
struct value;

enum status_type {
    ST_OK = 0,
#define STATUS_TYPE(name, text) name,
#include "errors.def"
};

struct status {
    enum status_type type;
    const char *key;          /* stable, for programs: "not_found"; or NULL */
    const char *message;      /* for people, one sentence */
    const struct value *data; /* details for programs, or NULL */
    const struct value *logs; /* array of log entries that belong to the error, or NULL */
    struct status *cause;     /* the failure underneath, or NULL */
    struct arena *arena;      /* borrowed; all of the above lives there */
};

/* Makes *st empty; messages will live in `a`. */
void st_init(struct status *st, struct arena *a);
/* Forgets a failure that was dealt with. */
void st_clear(struct status *st);

/* Fills *st and returns -1, so that a failing function ends in one line. */
int st_fail(struct status *st, enum status_type type, const char *key, const char *fmt,
            ...) __attribute__((format(printf, 4, 5)));
int st_vfail(struct status *st, enum status_type type, const char *key, const char *fmt,
             va_list ap) __attribute__((format(printf, 4, 0)));
/* As st_fail with details; data must live as long as the status's arena. */
int st_fail_data(struct status *st, enum status_type type, const char *key,
                 const struct value *data, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Puts a new failure on top of the present one, which becomes its cause.
 * Returns -1. */
int st_wrap(struct status *st, enum status_type type, const char *key, const char *fmt,
            ...) __attribute__((format(printf, 4, 5)));
/* Prefixes the message: "context: message". Returns -1. */
int st_context(struct status *st, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The contract's word: ST_BAD_REQUEST is "bad_request". ST_OK is "ok". */
const char *st_type_name(enum status_type type);
/* ST_OK when the word is unknown. */
enum status_type st_type_from_name(const char *name);
/* By key, else 500 for internal, else 400. */
int st_http_code(const struct status *st);

#endif
