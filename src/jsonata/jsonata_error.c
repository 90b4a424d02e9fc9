#include "jsonata_priv.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

static const struct {
    const char *code, *text;
} templates[] = {
#define CODE(code, text) {code, text},
#include "jsonata_codes.def"
};

static const char *template_of(const char *code) {
    for (size_t i = 0; code && i < sizeof(templates) / sizeof(*templates); i++)
        if (strcmp(templates[i].code, code) == 0)
            return templates[i].text;
    return NULL;
}

/* The field of that name; undefined when the failure has none. */
static struct value field(const struct failure *f, const char *name, size_t len) {
    static const char *const names[] = {"token", "value",        "value2", "exp",
                                        "index", "functionName", "type",   "message"};
    size_t i = 0;

    while (i < 8 && (strlen(names[i]) != len || memcmp(names[i], name, len) != 0))
        i++;
    switch (i) {
    case 0:
        return f->token;
    case 1:
        return f->value;
    case 2:
        return f->value2;
    case 3:
        return f->exp;
    case 4:
        return f->index ? of_number(f->index) : value_undefined;
    case 5:
        return f->function_name
                   ? value_string_ref(f->function_name, strlen(f->function_name))
                   : value_undefined;
    case 6:
        return f->type ? value_string_ref(f->type, strlen(f->type)) : value_undefined;
    case 7:
        return f->text ? value_string_ref(f->text, strlen(f->text)) : value_undefined;
    default:
        return value_undefined;
    }
}

/* Functions and what holds them have no text. */
static bool is_printable(struct value v, int depth) {
    if (v.type == TYPE_FUNCTION || depth > 400)
        return false;
    if (v.type == VALUE_ARRAY)
        for (size_t i = 0; i < v.len; i++)
            if (!is_printable(v.items[i], depth + 1))
                return false;
    if (v.type == VALUE_OBJECT)
        for (size_t i = 0; i < v.len; i++)
            if (!is_printable(v.members[i].value, depth + 1))
                return false;
    return true;
}

static void add_field(struct buf *out, struct value v, bool plain) {
    if (!is_printable(v, 0))
        buf_adds(out, "{}");
    else if (plain && v.type == VALUE_STRING)
        buf_add(out, v.str, v.len);
    else if (is_undefined(v))
        buf_adds(out, "undefined");
    else
        value_encode(out, &v, 0);
}

const char *jsonata_message(struct arena *a, const struct failure *f) {
    const char *p = template_of(f->code);
    struct buf out = BUF_INIT;
    const char *text;

    if (!p || (f->text && strcmp(f->code, "U1001") == 0))
        return f->text ? f->text : "The expression failed";
    while (*p) {
        const char *open = strstr(p, "{{"), *close;
        bool plain;

        if (!open || !(close = strstr(open, "}}"))) {
            buf_adds(&out, p);
            break;
        }
        plain = open[2] == '{';
        buf_add(&out, p, (size_t)(open - p));
        open += plain ? 3 : 2;
        add_field(&out, field(f, open, (size_t)(close - open)), plain);
        p = close + (plain ? 3 : 2);
    }
    text = buf_to_arena(&out, a).data;
    buf_fini(&out);
    return text;
}

static const struct value *shown_field(struct arena *a, struct value v) {
    return is_undefined(v) || !is_printable(v, 0) ? NULL : value_copy(a, &v);
}

int jsonata_report(struct arena *a, const struct failure *f, struct status *st) {
    const struct value *data =
        value_obj(a, "code", f->code ? value_string(a, f->code) : NULL, "position",
                  f->position >= 0 ? value_number(a, (double)f->position) : NULL, "token",
                  shown_field(a, f->token), "value", shown_field(a, f->value), "value2",
                  shown_field(a, f->value2), "index",
                  f->index ? value_number(a, f->index) : NULL, NULL);

    return st_fail_data(st, ST_BAD_REQUEST, "jsonata_error", data, "%s",
                        jsonata_message(a, f));
}
