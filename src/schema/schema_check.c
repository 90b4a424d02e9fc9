/*
 * schema_check.c - the shape of schemas.
 */
#include "schema/schema_check.h"

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "locator/locator.h"
#include "schema/schema_priv.h"

struct checking {
    struct arena *arena;
    struct buf path;
    struct status *st;
};

static int check(struct checking *c, const struct value *schema, int depth);

static int wrong(struct checking *c, const char *expected) {
    const char *path = c->path.len > 2 ? c->path.data + 2 : "schema"; /* "$." */

    return st_fail(c->st, ST_BAD_REQUEST, NULL, "Invalid schema: \"%s\" should be %s",
                   path, expected);
}

static void cut(struct checking *c, size_t mark) {
    c->path.len = mark;
    c->path.data[mark] = '\0';
}

/* ---- What a keyword may hold; depth is of the schema it stands in ---- */

static int is_text(struct checking *c, const struct value *v, int depth) {
    (void)depth;
    return value_is_string(v) ? 0 : wrong(c, "text");
}

static int is_number(struct checking *c, const struct value *v, int depth) {
    (void)depth;
    return value_is_number(v) ? 0 : wrong(c, "a number");
}

static int is_boolean(struct checking *c, const struct value *v, int depth) {
    (void)depth;
    return value_is(v, VALUE_BOOL) ? 0 : wrong(c, "true or false");
}

static int is_list(struct checking *c, const struct value *v, int depth) {
    (void)depth;
    return value_is_array(v) ? 0 : wrong(c, "a list");
}

static int is_texts(struct checking *c, const struct value *v, int depth) {
    if (is_list(c, v, depth) < 0)
        return -1;
    for (VALUE_EACH_ITEM(item, v)) {
        if (!value_is_string(item))
            return wrong(c, "a list of texts");
    }
    return 0;
}

static int is_type(struct checking *c, const struct value *v, int depth) {
    return value_is_array(v) ? is_texts(c, v, depth) : is_text(c, v, depth);
}

static int is_schema(struct checking *c, const struct value *v, int depth) {
    return check(c, v, depth + 1);
}

static int is_schema_or_boolean(struct checking *c, const struct value *v, int depth) {
    return value_is(v, VALUE_BOOL) ? 0 : check(c, v, depth + 1);
}

static int is_schemas(struct checking *c, const struct value *v, int depth) {
    size_t mark = c->path.len;

    if (is_list(c, v, depth) < 0)
        return -1;
    for (VALUE_EACH_ITEM(item, v)) {
        locator_append_item(&c->path, (double)(item - v->items));
        if (check(c, item, depth + 1) < 0)
            return -1;
        cut(c, mark);
    }
    return 0;
}

static int is_schema_map(struct checking *c, const struct value *v, int depth) {
    size_t mark = c->path.len;

    if (!value_is_object(v))
        return wrong(c, "an object");
    for (VALUE_EACH_MEMBER(m, v)) {
        locator_append_property(&c->path, m->key, m->key_len);
        if (check(c, &m->value, depth + 1) < 0)
            return -1;
        cut(c, mark);
    }
    return 0;
}

static int is_collection(struct checking *c, const struct value *v, int depth) {
    const struct value *parameters = value_get(v, "parameters");

    (void)depth;
    if (!value_is_object(v))
        return wrong(c, "an object");
    if (value_is(parameters, VALUE_UNDEFINED) || value_is_object(parameters))
        return 0;
    return wrong(c, "a pointer whose parameters are an object");
}

/* ---- The keywords ---- */

static const struct keyword {
    const char *name;
    int (*holds)(struct checking *, const struct value *, int depth);
} keywords[] = {
    {"title", is_text},
    {"description", is_text},
    {"format", is_text},
    {"$ref", is_text},
    {"referenceUdm", is_text},
    {"referenceCollectionPath", is_text},
    {"referenceCollectionUri", is_text},
    {"type", is_type},
    {"properties", is_schema_map},
    {"items", is_schema},
    {"additionalProperties", is_schema_or_boolean},
    {"enum", is_texts},
    {"anyOf", is_schemas},
    {"required", is_texts},
    {"referenceRecords", is_list},
    {"examples", is_list},
    {"referenceCollection", is_collection},
    {"allowCustom", is_boolean},
    {"readOnly", is_boolean},
    {"writeOnly", is_boolean},
    {"isImplied", is_boolean},
    {"isSensitive", is_boolean},
    {"minLength", is_number},
    {"maxLength", is_number},
    {"minimum", is_number},
    {"maximum", is_number},
    {"maxItems", is_number},
};

static int check(struct checking *c, const struct value *schema, int depth) {
    size_t mark = c->path.len;

    if (!value_is_object(schema))
        return wrong(c, "a schema");
    if (depth > SCHEMA_MAX_DEPTH)
        return wrong(c, "nested less deeply");
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        const struct value *v = value_get(schema, keywords[i].name);

        if (value_is(v, VALUE_UNDEFINED))
            continue;
        locator_append_property(&c->path, keywords[i].name, strlen(keywords[i].name));
        if (keywords[i].holds(c, v, depth) < 0)
            return -1;
        cut(c, mark);
    }
    return 0;
}

int schema_check(struct arena *a, const struct value *schema, struct status *st) {
    struct checking c = {a, BUF_INIT, st};
    int result;

    buf_adds(&c.path, "$");
    result = check(&c, schema, 0);
    buf_fini(&c.path);
    return result;
}
