#include "auth_fields.h"

#include <stdbool.h>
#include <string.h>

#include "base/status.h"
#include "value/value.h"

enum { DEFAULT_MAX = 1000, MAX_ITEMS = 1000 };

static bool is_word(const char *words, const char *text) {
    size_t len = strlen(text);

    for (const char *p = words; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strcspn(p, "|") == len && !strncmp(p, text, len))
            return true;
    return false;
}

static bool is_text(const struct value *v, size_t max) {
    return value_is_string(v) && v->len <= max && !memchr(v->str, '\0', v->len);
}

static bool is_url(const struct value *v, size_t max) {
    if (!is_text(v, max))
        return false;
    if (!v->len)
        return true;
    if (strncmp(v->str, "http://", 7) && strncmp(v->str, "https://", 8))
        return false;
    return strpbrk(v->str, " \t\r\n\"<>\\") == NULL && strchr(v->str, ':')[3] != '\0';
}

static bool is_texts(const struct value *v, size_t max) {
    if (!value_is_array(v) || v->len > MAX_ITEMS)
        return false;
    for (VALUE_EACH_ITEM(item, v))
        if (!is_text(item, max))
            return false;
    return true;
}

static int read_one(const struct auth_field *f, const struct value *v,
                    struct status *st) {
    size_t max = f->max ? f->max : DEFAULT_MAX;
    bool ok = false;
    const char *what = "";

    switch (f->kind) {
    case AUTH_TEXT:
        ok = is_text(v, max) && v->len && (!f->words || is_word(f->words, v->str));
        what = f->words ? f->words : "a text that is not empty and not too long";
        break;
    case AUTH_URL:
        ok = is_url(v, max);
        what = "an absolute http or https address";
        break;
    case AUTH_BOOL:
        ok = value_is(v, VALUE_BOOL);
        what = "true or false";
        break;
    case AUTH_COUNT:
        ok = value_is_number(v) && v->number >= 0;
        what = "a number from 0";
        break;
    case AUTH_OBJECT:
        ok = value_is_object(v);
        what = "an object";
        break;
    case AUTH_TEXTS:
        ok = is_texts(v, max);
        what = "an array of texts";
        break;
    case AUTH_ANY:
        return 0;
    }
    if (!ok)
        return st_fail(st, ST_BAD_REQUEST, NULL, "%s must be %s", f->name, what);
    return 0;
}

int auth_fields_read(const struct value *body, const struct auth_field *fields,
                     struct object_builder *b, struct status *st) {
    for (const struct auth_field *f = fields; f->name; f++) {
        const struct value *v = value_get(body, f->name);

        if (value_is(v, VALUE_UNDEFINED))
            continue;
        if (value_is(v, VALUE_NULL)) {
            if (f->flags & AUTH_NULLABLE)
                object_set(b, f->name, v);
            continue;
        }
        if (read_one(f, v, st) < 0)
            return -1;
        object_set(b, f->name, v);
    }
    return 0;
}

int auth_fields_text(const struct value *body, const char *name, size_t max,
                     const char **ret_text, struct status *st) {
    const struct value *v = value_get(body, name);

    if (!is_text(v, max) || !v->len)
        return st_fail(st, ST_BAD_REQUEST, NULL, "%s must be a text of 1 to %zu bytes",
                       name, max);
    *ret_text = v->str;
    return 0;
}
