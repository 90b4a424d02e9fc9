/*
 * element_path.c - paths and selectors of elements.
 */
#include "graph/element_path.h"

#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "locator/coerce.h"
#include "value/value.h"

#define SPEC_FILE "spec.yaml"

struct element_type {
    const char *type;
    const char *folder;
    bool below_integration;
};

static const struct element_type element_types[] = {
#define ELEMENT_TYPE(type, folder, below_integration) {type, folder, below_integration},
#include "graph/graph_element_types.def"
};

#define TYPE_COUNT (sizeof element_types / sizeof *element_types)

static const struct value *buf_value(struct arena *a, struct buf *b) {
    const struct value *v = value_string_len(a, b->data ? b->data : "", b->len);

    buf_fini(b);
    return v;
}

int element_path_make(struct arena *a, const struct value *type, const struct value *key,
                      const struct value *integration, const struct value **ret_path,
                      struct status *st) {
    const struct element_type *known = NULL;
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (value_equals_text(type, element_types[i].type))
            known = &element_types[i];
    }
    if (!known)
        return st_fail(st, ST_BAD_REQUEST, NULL, "Unknown element type: %s",
                       coerce_text(a, type)->str);
    if (value_truthy(integration)) {
        buf_adds(&b, "integrations/");
        coerce_append_text(&b, integration);
        buf_addc(&b, '/');
    }
    buf_adds(&b, known->folder);
    buf_addc(&b, '/');
    coerce_append_text(&b, key);
    buf_adds(&b, "/" SPEC_FILE);
    *ret_path = buf_value(a, &b);
    return 0;
}

const struct value *element_selector(struct arena *a, const struct value *type,
                                     const struct value *key,
                                     const struct value *integration) {
    struct buf b = BUF_INIT;

    coerce_append_text(&b, type);
    buf_addc(&b, ':');
    coerce_append_text(&b, key);
    if (value_truthy(integration)) {
        buf_addc(&b, ':');
        coerce_append_text(&b, integration);
    }
    return buf_value(a, &b);
}

/* ---- Parsing ---- */

struct part {
    const char *s;
    size_t len;
};

static bool part_is(struct part p, const char *s) {
    return p.len == strlen(s) && memcmp(p.s, s, p.len) == 0;
}

/* Splits at both separators; gives the count, or max + 1 when there are more. */
static size_t split(const char *s, size_t len, struct part *parts, size_t max) {
    size_t n = 0, start = 0;

    for (size_t i = 0; i <= len; i++) {
        if (i < len && s[i] != '/' && s[i] != '\\')
            continue;
        if (n == max)
            return max + 1;
        parts[n++] = (struct part){s + start, i - start};
        start = i + 1;
    }
    return n;
}

static const struct value *type_of_folder(struct arena *a, struct part folder,
                                          bool below_integration) {
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (part_is(folder, element_types[i].folder) &&
            (!below_integration || element_types[i].below_integration))
            return value_string(a, element_types[i].type);
    }
    return NULL;
}

const struct value *element_path_parse(struct arena *a, const struct value *path) {
    const struct value *type, *integration = NULL;
    struct part p[5], *element = p;
    size_t n;

    if (!value_is_string(path))
        return &value_undefined;
    n = split(path->str, path->len, p, 5);
    if (n == 5 && part_is(p[0], "integrations") && p[1].len) {
        integration = value_string_len(a, p[1].s, p[1].len);
        element = p + 2;
    } else if (n != 3) {
        return &value_undefined;
    }
    type = type_of_folder(a, element[0], integration != NULL);
    if (!type || !element[1].len || !part_is(element[2], SPEC_FILE))
        return &value_undefined;
    return value_obj(a, "type", type, "key",
                     value_string_len(a, element[1].s, element[1].len), "integrationKey",
                     integration, NULL);
}
