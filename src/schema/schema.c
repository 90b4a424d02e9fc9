/*
 * schema.c - questions about one schema, and the small rewrites of it.
 */
#include "schema/schema.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "locator/coerce.h"
#include "locator/locator.h"
#include "locator/locator_schema.h"
#include "locator/text_case.h"
#include "schema/schema_priv.h"

enum {
    DESCRIPTION_CUT = 300, /* UTF-16 units kept */
    DESCRIPTION_DOTS = 50, /* "..." is added above this length, not above 300 */
};

/* A list of one type is loosely equal to the type. */
static bool loosely_of_type(const struct value *schema, const char *type) {
    struct value text = value_string_ref(type, strlen(type));

    return coerce_loose_equal(value_get(schema, "type"), &text);
}

bool schema_is_scalar(const struct value *schema) {
    if (!value_is_object(schema) && !value_is_array(schema))
        return false;
    return !loosely_of_type(schema, "array") && !loosely_of_type(schema, "object") &&
           !loosely_of_type(schema, "null");
}

bool schema_is_number(const struct value *schema) {
    return schema_type_is(schema, "number") || schema_type_is(schema, "integer");
}

bool schema_has_fixed_values(const struct value *schema) {
    return value_truthy(value_get(schema, "enum")) ||
           value_truthy(value_get(schema, "referenceRecords")) ||
           value_truthy(value_get(schema, "referenceCollection")) ||
           schema_type_is(schema, "boolean");
}

bool schema_allows_custom_value(const struct value *schema) {
    return !schema_has_fixed_values(schema) ||
           value_truthy(value_get(schema, "allowCustom"));
}

bool schema_has_properties(const struct value *schema) {
    return schema_type_is(schema, "object") &&
           (value_members_count(value_get(schema, "properties")) > 0 ||
            value_items_count(value_get(schema, "properties")) > 0);
}

bool schema_is_empty(const struct value *schema) {
    if (!value_truthy(value_get(schema, "type")))
        return true;
    return schema_type_is(schema, "object") && !schema_has_properties(schema);
}

const struct value *schema_with_title(struct arena *a, const struct value *schema,
                                      const struct value *title) {
    if (value_is(schema, VALUE_NULL))
        schema = &value_empty_object;
    if (!value_is_object(schema))
        return schema;
    return schema_with(a, schema, "title", title);
}

const struct value *schema_non_empty_properties(struct arena *a,
                                                const struct value *properties) {
    struct object_builder b;

    properties = schema_entries(a, properties);
    object_begin(&b, a, value_members_count(properties));
    for (VALUE_EACH_MEMBER(m, properties)) {
        if (value_truthy(&m->value))
            schema_assign(&b, m->key, m->key_len, &m->value);
    }
    return object_end(&b);
}

const struct value *schema_example(struct arena *a, const struct value *schema) {
    if (!value_is_object(schema) && !value_is_array(schema))
        return &value_undefined;

    if (schema_type_is(schema, "array")) {
        const struct value *items = value_get(schema, "items");
        struct array_builder b;

        if (!value_truthy(items))
            return &value_empty_array;
        array_begin(&b, a, 1);
        array_push(&b, schema_example(a, items));
        return array_end(&b);
    }
    if (schema_type_is(schema, "object")) {
        const struct value *properties =
            schema_entries(a, value_get(schema, "properties"));
        struct object_builder b;

        object_begin(&b, a, value_members_count(properties));
        for (VALUE_EACH_MEMBER(m, properties))
            schema_assign(&b, m->key, m->key_len, schema_example(a, &m->value));
        return object_end(&b);
    }
    return &value_empty_string;
}

static const struct value *short_description(struct arena *a, const struct value *text) {
    const struct value *cut;

    if (!value_is_string(text) || text->len == 0)
        return NULL;
    if (value_utf16_length(text->str, text->len) <= DESCRIPTION_DOTS)
        return text;
    cut = value_utf16_slice(a, text->str, text->len, 0, DESCRIPTION_CUT);
    return value_string_len(a, arena_printf(a, "%s...", cut->str), cut->len + 3);
}

const struct value *schema_compress(struct arena *a, const struct value *schema) {
    const struct value *type = value_get(schema, "type");

    if (!value_is_object(schema))
        return schema;
    if (schema_type_is(schema, "object")) {
        const struct value *properties =
            schema_entries(a, value_get(schema, "properties"));
        struct object_builder b;

        object_begin(&b, a, value_members_count(properties));
        for (VALUE_EACH_MEMBER(m, properties)) {
            const struct value *sub = schema_compress(a, &m->value);

            if (value_truthy(sub))
                schema_assign(&b, m->key, m->key_len, sub);
        }
        return value_obj(a, "type", type, "properties", object_end(&b), NULL);
    }
    if (schema_type_is(schema, "array")) {
        return value_obj(a, "type", type, "items",
                         schema_compress(a, value_get(schema, "items")), NULL);
    }
    {
        struct object_builder b;
        const struct value *description =
            short_description(a, value_get(schema, "description"));

        object_begin(&b, a, 3);
        if (!value_is(type, VALUE_UNDEFINED))
            object_set(&b, "type", type);
        if (value_has(schema, "title"))
            object_set(&b, "title", value_get(schema, "title"));
        if (description)
            object_set(&b, "description", description);
        return object_end(&b);
    }
}

/* ---- Titles ---- */

/* The deepest non-empty title of (root, property): locator_schema_name for a
 * name without special characters. */
static const struct value *title_of(struct arena *a, const struct value *root,
                                    const struct member *property) {
    const struct value *title = value_get(&property->value, "title");

    if (value_is_nullish(title))
        title = text_header_case(a, property->key, property->key_len);
    if (value_truthy(title))
        return title;
    title = value_get(root, "title");
    return value_truthy(title) ? title : &value_undefined;
}

static const struct value *titled_property(struct arena *a, const struct value *root,
                                           const struct member *property) {
    const struct value *schema = &property->value;

    /* an empty name is no locator */
    if (property->key_len == 0 || !value_is_object(schema) ||
        value_truthy(value_get(schema, "title")))
        return schema;
    return schema_populate_titles(
        a, schema_with(a, schema, "title", title_of(a, root, property)));
}

/* Property names are read as locators: "a.b" means b inside a. */
static const struct value *populate_by_locator(struct arena *a,
                                               const struct value *schema) {
    const struct value *properties = value_get(schema, "properties");
    struct status ignored;

    st_init(&ignored, a);
    for (VALUE_EACH_MEMBER(m, properties)) {
        const struct value *locator = value_string_len(a, m->key, m->key_len);
        const struct value *field, *next;

        if (value_equals_text(locator, "$")) /* would name the root itself */
            continue;
        field = locator_schema_get(a, schema, locator);
        if (!value_is_object(field) || value_truthy(value_get(field, "title")))
            continue;
        field = schema_with(a, field, "title", locator_schema_name(a, schema, locator));
        if (locator_schema_set(a, schema, locator, schema_populate_titles(a, field),
                               &next, &ignored) == 0)
            schema = next;
    }
    return schema;
}

const struct value *schema_populate_titles(struct arena *a, const struct value *schema) {
    const struct value *properties = value_get(schema, "properties");
    struct object_builder b;

    if (schema_type_is(schema, "array")) {
        const struct value *items = value_get(schema, "items");

        if (!value_truthy(items))
            return schema;
        return schema_with(a, schema, "items", schema_populate_titles(a, items));
    }
    if (!schema_type_is(schema, "object") || !value_is_object(properties))
        return schema;

    for (VALUE_EACH_MEMBER(m, properties)) {
        if (!schema_plain_name(m->key, m->key_len))
            return populate_by_locator(a, schema);
    }
    object_begin(&b, a, properties->len);
    for (VALUE_EACH_MEMBER(m, properties))
        object_set_ref(&b, m->key, m->key_len, titled_property(a, schema, m));
    return schema_with(a, schema, "properties", object_end(&b));
}

/* ---- JSON ---- */

static bool survives_json(const struct value *v) {
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
    case VALUE_DATE:
        return false;
    case VALUE_NUMBER:
        return v->number - v->number == 0 &&
               !(v->number == 0 && __builtin_signbit(v->number));
    case VALUE_ARRAY:
        for (VALUE_EACH_ITEM(item, v)) {
            if (!survives_json(item))
                return false;
        }
        return true;
    case VALUE_OBJECT:
        for (VALUE_EACH_MEMBER(m, v)) {
            if (!survives_json(&m->value))
                return false;
        }
        return true;
    default:
        return true;
    }
}

static const struct value *scalar_clone(struct arena *a, const struct value *v) {
    char text[32];
    size_t len;

    if (value_is(v, VALUE_DATE)) {
        if (v->number != v->number)
            return &value_null;
        len = value_format_date(v->number, text);
        return value_string_len(a, text, len);
    }
    if (!value_is_number(v))
        return v;
    if (v->number - v->number != 0)
        return &value_null;
    return v->number == 0 ? value_number(a, 0) : v;
}

static const struct value *json_clone(struct arena *a, const struct value *v) {
    if (value_is_array(v)) {
        struct array_builder b;

        array_begin(&b, a, v->len);
        for (VALUE_EACH_ITEM(item, v)) {
            array_push(&b, value_is(item, VALUE_UNDEFINED) ? &value_null
                                                           : json_clone(a, item));
        }
        return array_end(&b);
    }
    if (value_is_object(v)) {
        struct object_builder b;

        object_begin(&b, a, v->len);
        for (VALUE_EACH_MEMBER(m, v)) {
            if (!value_is(&m->value, VALUE_UNDEFINED))
                object_set_ref(&b, m->key, m->key_len, json_clone(a, &m->value));
        }
        return object_end(&b);
    }
    return scalar_clone(a, v);
}

const struct value *schema_json_clone(struct arena *a, const struct value *v) {
    return survives_json(v) ? v : json_clone(a, v);
}

/* ---- Walking ---- */

struct walk {
    struct arena *arena;
    schema_visit_fn *fn;
    void *ctx;
    struct buf locator;
};

static const struct value *walk(struct walk *w, const struct value *schema);

static const struct value *walk_properties(struct walk *w, const struct value *schema) {
    const struct value *properties = value_get(schema, "properties");
    struct object_builder b;
    size_t mark = w->locator.len;

    if (!value_is_object(properties))
        return schema;
    object_begin(&b, w->arena, properties->len);
    for (VALUE_EACH_MEMBER(m, properties)) {
        const struct value *sub;

        locator_append_property(&w->locator, m->key, m->key_len);
        sub = walk(w, &m->value);
        w->locator.len = mark;
        w->locator.data[mark] = '\0';
        if (value_truthy(sub))
            object_set_ref(&b, m->key, m->key_len, sub);
    }
    return schema_with(w->arena, schema, "properties", object_end(&b));
}

static const struct value *walk_items(struct walk *w, const struct value *schema) {
    const struct value *items = value_get(schema, "items");
    const struct value *sub;
    size_t mark = w->locator.len;

    if (!value_truthy(items))
        return schema;
    buf_adds(&w->locator, "[0]");
    sub = walk(w, items);
    w->locator.len = mark;
    w->locator.data[mark] = '\0';
    return schema_with(w->arena, schema, "items", sub);
}

static const struct value *walk(struct walk *w, const struct value *schema) {
    const struct value *result = schema;

    if (!value_truthy(schema))
        return &value_undefined;
    switch (w->fn(w->ctx, w->locator.data, &result)) {
    case SCHEMA_REMOVE:
        return &value_undefined;
    case SCHEMA_STOP:
        return schema;
    case SCHEMA_KEEP:
        break;
    }
    if (schema_type_is(result, "object"))
        return walk_properties(w, result);
    if (schema_type_is(result, "array"))
        return walk_items(w, result);
    return result;
}

const struct value *schema_walk(struct arena *a, const struct value *schema,
                                schema_visit_fn *fn, void *ctx) {
    struct walk w = {a, fn, ctx, BUF_INIT};
    const struct value *result;

    buf_adds(&w.locator, "$");
    result = walk(&w, schema);
    buf_fini(&w.locator);
    return result;
}

/* ---- Shared by the folder ---- */

bool schema_plain_name(const char *name, size_t len) {
    if (len == 0)
        return true;
    if (name[0] == '$')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (memchr("\\[].", name[i], 4))
            return false;
    }
    return true;
}

const struct value *schema_spread(struct arena *a, const struct value *v) {
    struct array_builder b;
    size_t units;

    if (value_is_array(v))
        return v;
    if (!value_is_string(v))
        return &value_empty_array;
    /* by code point, as JavaScript iterates text */
    units = value_utf16_length(v->str, v->len);
    array_begin(&b, a, units);
    for (size_t i = 0; i < v->len;) {
        unsigned char c = (unsigned char)v->str[i];
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if (n > v->len - i)
            n = v->len - i;
        array_push(&b, value_string_len(a, v->str + i, n));
        i += n;
    }
    return array_end(&b);
}

static void set_entry(struct object_builder *b, size_t i, const struct value *v) {
    char key[24];
    int len = snprintf(key, sizeof key, "%zu", i);

    object_set_len(b, key, (size_t)len, v);
}

const struct value *schema_entries(struct arena *a, const struct value *v) {
    struct object_builder b;
    size_t units;

    if (value_is_object(v))
        return v;
    if (!value_is_array(v) && !value_is_string(v))
        return &value_empty_object;

    object_begin(&b, a, v->len);
    for (VALUE_EACH_ITEM(item, v))
        set_entry(&b, (size_t)(item - v->items), item);
    units = value_is_string(v) ? value_utf16_length(v->str, v->len) : 0;
    for (size_t i = 0; i < units; i++)
        set_entry(&b, i, value_utf16_slice(a, v->str, v->len, i, i + 1));
    return object_end(&b);
}

void schema_assign(struct object_builder *b, const char *key, size_t len,
                   const struct value *v) {
    if (len == 9 && memcmp(key, "__proto__", 9) == 0 && !object_builder_get(b, key, len))
        return;
    object_set_len(b, key, len, v);
}
