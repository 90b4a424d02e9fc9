#include "status.h"

#include <assert.h>
#include <string.h>

#include "arena.h"

static const char *const type_names[] = {
    [ST_OK] = "ok",
#define STATUS_TYPE(name, text) [name] = text,
#include "errors.def"
};

static const struct {
    const char *key;
    int code;
} key_codes[] = {
#define STATUS_KEY(key, code) {key, code},
#include "errors.def"
};

void st_init(struct status *st, struct arena *a) {
    *st = (struct status){.arena = a};
}

void st_clear(struct status *st) {
    st_init(st, st->arena);
}

int st_vfail(struct status *st, enum status_type type, const char *key, const char *fmt,
             va_list ap) {
    assert(type != ST_OK);
    st->type = type;
    st->key = key;
    st->message = arena_vprintf(st->arena, fmt, ap);
    st->data = NULL;
    st->logs = NULL;
    st->cause = NULL;
    return -1;
}

int st_fail(struct status *st, enum status_type type, const char *key, const char *fmt,
            ...) {
    va_list ap;

    va_start(ap, fmt);
    st_vfail(st, type, key, fmt, ap);
    va_end(ap);
    return -1;
}

int st_fail_data(struct status *st, enum status_type type, const char *key,
                 const struct value *data, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    st_vfail(st, type, key, fmt, ap);
    va_end(ap);
    st->data = data;
    return -1;
}

int st_wrap(struct status *st, enum status_type type, const char *key, const char *fmt,
            ...) {
    struct status *cause = NULL;
    va_list ap;

    if (st->type != ST_OK) {
        cause = arena_alloc(st->arena, sizeof(*cause));
        *cause = *st;
    }
    va_start(ap, fmt);
    st_vfail(st, type, key, fmt, ap);
    va_end(ap);
    st->cause = cause;
    return -1;
}

int st_context(struct status *st, const char *fmt, ...) {
    const char *prefix;
    va_list ap;

    va_start(ap, fmt);
    prefix = arena_vprintf(st->arena, fmt, ap);
    va_end(ap);
    st->message = arena_printf(st->arena, "%s: %s", prefix, st->message);
    return -1;
}

const char *st_type_name(enum status_type type) {
    return type_names[type];
}

enum status_type st_type_from_name(const char *name) {
    for (size_t i = 1; i < sizeof(type_names) / sizeof(*type_names); i++)
        if (strcmp(type_names[i], name) == 0)
            return (enum status_type)i;
    return ST_OK;
}

int st_http_code(const struct status *st) {
    if (st->key)
        for (size_t i = 0; i < sizeof(key_codes) / sizeof(*key_codes); i++)
            if (strcmp(key_codes[i].key, st->key) == 0)
                return key_codes[i].code;
    return st->type == ST_INTERNAL ? 500 : 400;
}
