/*
 * model_input.c - what a body may set: the writable members, checked by kind.
 *
 * Members that are not writable are ignored, because clients send back whole elements.
 * null means "not set", as an absent member of a PUT does.
 */
#include "model_priv.h"

#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

/* Writable members of every type. */
static const struct element_field common[] = {
    {"uuid", FIELD_TEXT, 0, NULL},        {"key", FIELD_TEXT, 0, NULL},
    {"name", FIELD_TEXT, 0, NULL},        {"description", FIELD_TEXT, 0, NULL},
    {"meta", FIELD_OBJECT, 0, NULL},      {"instanceKey", FIELD_TEXT, 0, NULL},
    {"isUniversal", FIELD_BOOL, 0, NULL},
};

/* Texts that name things and stand in slots and paths. */
#define NAME_MAX_BYTES 512

int model_bad_input(struct status *st, const char *path, const char *fmt, ...) {
    va_list ap;
    const char *message;

    va_start(ap, fmt);
    message = arena_vprintf(st->arena, fmt, ap);
    va_end(ap);
    return st_fail_data(st, ST_BAD_REQUEST, NULL,
                        value_obj(st->arena, "path", value_string(st->arena, path), NULL),
                        "%s: %s", path, message);
}

static bool is_web_address(struct bytes s) {
    const char *rest = strncmp(s.data, "https://", 8) == 0  ? s.data + 8
                       : strncmp(s.data, "http://", 7) == 0 ? s.data + 7
                                                            : NULL;

    return rest && *rest && !strpbrk(s.data, " \t\r\n\"<>") && strlen(s.data) == s.len;
}

static int check_request(const char *name, const struct value *v, struct status *st) {
    static const char *const methods[] = {"GET", "POST", "PATCH", "PUT", "DELETE"};
    const struct value *method = value_get(v, "method");

    if (!value_is_object(v))
        return model_bad_input(st, name, "must be an object");
    if (value_is_nullish(value_get(v, "uri")))
        return model_bad_input(st, arena_printf(st->arena, "%s.uri", name),
                               "is required");
    for (int i = 0; i < 2; i++) {
        static const char *const maps[] = {"headers", "query"};
        const struct value *m = value_get(v, maps[i]);
        if (!value_is_nullish(m) && !value_is_object(m))
            return model_bad_input(st, arena_printf(st->arena, "%s.%s", name, maps[i]),
                                   "must be an object");
    }
    if (value_is_nullish(method))
        return 0;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (value_is_string(method) && strcasecmp(value_text(method), methods[i]) == 0)
            return 0;
    return model_bad_input(st, arena_printf(st->arena, "%s.method", name),
                           "must be GET, POST, PATCH, PUT or DELETE");
}

static int check_enum(const struct element_field *f, const struct value *v,
                      struct status *st) {
    struct buf b = BUF_INIT;
    int rc;

    for (const char *const *w = f->words; *w; w++)
        if (value_equals_text(v, *w))
            return 0;
    for (const char *const *w = f->words; *w; w++)
        buf_addf(&b, "%s%s", w == f->words ? "" : ", ", *w);
    rc = model_bad_input(st, f->name, "must be one of %s", b.data);
    buf_fini(&b);
    return rc;
}

static int check_field(const struct element_field *f, const struct value *v,
                       struct status *st) {
    switch (f->kind) {
    case FIELD_ANY:
        return 0;
    case FIELD_TEXT:
        if (!value_is_string(v))
            return model_bad_input(st, f->name, "must be text");
        return 0;
    case FIELD_BOOL:
        if (!value_is(v, VALUE_BOOL))
            return model_bad_input(st, f->name, "must be true or false");
        return 0;
    case FIELD_NUMBER:
        if (!value_is_number(v))
            return model_bad_input(st, f->name, "must be a number");
        return 0;
    case FIELD_INTERVAL:
        if (!value_is_number(v) || !(v->number >= 60))
            return model_bad_input(st, f->name, "must be a number of 60 or more");
        return 0;
    case FIELD_OBJECT:
        if (!value_is_object(v))
            return model_bad_input(st, f->name, "must be an object");
        return 0;
    case FIELD_ARRAY:
        if (!value_is_array(v))
            return model_bad_input(st, f->name, "must be an array");
        return 0;
    case FIELD_ENUM:
        return check_enum(f, v, st);
    case FIELD_URI:
        if (!value_is_string(v) || (v->len && !is_web_address(value_bytes(v))))
            return model_bad_input(st, f->name,
                                   "must be an http or https address, or empty");
        return 0;
    case FIELD_REQUEST:
        return check_request(f->name, v, st);
    }
    return 0;
}

/* Texts that name elements: no control characters, not too long. */
static int check_name(const struct element_field *f, const struct value *v,
                      struct status *st) {
    if (v->len == 0 && strcmp(f->name, "description") && strcmp(f->name, "instanceKey"))
        return model_bad_input(st, f->name, "must not be empty");
    if (strcmp(f->name, "description") == 0)
        return 0;
    if (v->len > NAME_MAX_BYTES)
        return model_bad_input(st, f->name, "must not be longer than %d bytes",
                               NAME_MAX_BYTES);
    for (uint32_t i = 0; i < v->len; i++)
        if ((unsigned char)v->str[i] < 0x20 || v->str[i] == 0x7f)
            return model_bad_input(st, f->name, "must not hold control characters");
    return 0;
}

static int take(struct object_builder *out, const struct element_field *f, bool is_name,
                const struct value *body, struct status *st) {
    const struct value *v = value_find(body, f->name, strlen(f->name));

    if (!v)
        return 0;
    if (value_is_nullish(v))
        v = &value_undefined;
    else if (check_field(f, v, st) < 0)
        return -1;
    else if (is_name && value_is_string(v) && check_name(f, v, st) < 0)
        return -1;
    object_set(out, f->name, v);
    return 0;
}

int model_input_fields(struct arena *a, const struct element_type *t,
                       const struct value *body, unsigned flags,
                       const struct value **ret_fields, struct status *st) {
    struct object_builder out;
    bool layered = t->layers & ~LAYER_UNIVERSAL;

    object_begin(&out, a, 16);
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        if (!layered && (!strcmp(common[i].name, "instanceKey") ||
                         !strcmp(common[i].name, "isUniversal")))
            continue;
        if (take(&out, &common[i], true, body, st) < 0)
            return -1;
    }
    for (size_t i = 0; i < t->domain->fields_len; i++) {
        const struct element_field *f = &t->domain->fields[i];
        if ((f->flags & FIELD_SERVER) && !(flags & MODEL_INPUT_IMPORT))
            continue;
        if (take(&out, f, false, body, st) < 0)
            return -1;
    }
    *ret_fields = object_end(&out);
    return 0;
}

const char *model_key_from_name(struct arena *a, const char *name) {
    size_t len = strlen(name);
    char *key = arena_alloc(a, len + 1), *p = key;
    bool gap = false;

    if (len > NAME_MAX_BYTES / 2) /* a cut never goes through a character */
        for (len = NAME_MAX_BYTES / 2; ((unsigned char)name[len] & 0xC0) == 0x80; len--)
            ;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                    (c >= 'A' && c <= 'Z') || c >= 0x80;
        if (!word) {
            gap = p > key;
            continue;
        }
        if (gap)
            *p++ = '-';
        gap = false;
        *p++ = c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;
    }
    *p = '\0';
    return *key ? key : "element";
}
