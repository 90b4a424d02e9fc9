/*
 * schema_infer.c - shapes of values and the schemas they give.
 *
 * The result is what merging the schema of each value would give: integers among
 * numbers are numbers, null says nothing beside another type, properties come in
 * the order in which they were first seen.
 */
#include "schema/schema_infer.h"

#include <math.h>
#include <stdbool.h>

#include "base/arena.h"
#include "schema/schema_priv.h"

enum seen {
    SEEN_ANYTHING = 1,
    SEEN_BOOLEAN = 2,
    SEEN_NUMBER = 4,
    SEEN_INTEGER = 8,
    SEEN_STRING = 16,
    SEEN_ARRAY = 32,
    SEEN_OBJECT = 64,
    SEEN_KEYS = 128, /* an object with members */
};

enum { INDEX_FROM = 16 }; /* properties; fewer are searched one by one */

struct property;

struct shape {
    unsigned seen;
    struct shape *items; /* of all arrays, or NULL */
    struct property *properties;
    size_t count, cap;
    struct object_builder *index; /* name to position, or NULL */
};

struct property {
    struct member key; /* name and hash only */
    struct shape shape;
};

static void look_at(struct arena *a, struct shape *s, const struct value *v);

static bool same_key(const struct member *x, const struct member *y) {
    return x->hash == y->hash && x->key_len == y->key_len &&
           memcmp(x->key, y->key, x->key_len) == 0;
}

static size_t find_property(const struct shape *s, const struct member *m) {
    size_t i = 0;

    if (s->index) {
        const struct value *at = object_builder_get(s->index, m->key, m->key_len);

        return at ? (size_t)at->number : s->count;
    }
    while (i < s->count && !same_key(&s->properties[i].key, m))
        i++;
    return i;
}

static void index_property(struct arena *a, struct shape *s, size_t i) {
    object_set_key(s->index, &s->properties[i].key, value_number(a, (double)i));
}

static void add_property(struct arena *a, struct shape *s, const struct member *m) {
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;

        s->properties = arena_grow(a, s->properties, s->cap * sizeof *s->properties,
                                   cap * sizeof *s->properties);
        s->cap = cap;
    }
    s->properties[s->count++] = (struct property){.key = *m};
    if (s->index) {
        index_property(a, s, s->count - 1);
    } else if (s->count > INDEX_FROM) {
        s->index = arena_alloc(a, sizeof *s->index);
        object_begin(s->index, a, s->count * 2);
        for (size_t i = 0; i < s->count; i++)
            index_property(a, s, i);
    }
}

/* Records of one kind have their members in one order: where the last one was
 * found, the next is likely behind it. */
static void look_at_members(struct arena *a, struct shape *s, const struct value *v) {
    size_t next = 0;

    for (VALUE_EACH_MEMBER(m, v)) {
        if (value_is(&m->value, VALUE_UNDEFINED))
            continue;
        s->seen |= SEEN_KEYS;
        if (m->key_len == 9 && memcmp(m->key, "__proto__", 9) == 0)
            continue; /* the reference's assignment makes no such key */
        if (next >= s->count || !same_key(&s->properties[next].key, m)) {
            next = find_property(s, m);
            if (next == s->count)
                add_property(a, s, m);
        }
        look_at(a, &s->properties[next++].shape, &m->value);
    }
}

static unsigned seen_number(double n) {
    if (!isfinite(n))
        return SEEN_ANYTHING; /* JSON has null for it */
    return n == trunc(n) ? SEEN_INTEGER : SEEN_NUMBER;
}

static void look_at(struct arena *a, struct shape *s, const struct value *v) {
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        s->seen |= SEEN_ANYTHING;
        break;
    case VALUE_BOOL:
        s->seen |= SEEN_BOOLEAN;
        break;
    case VALUE_NUMBER:
        s->seen |= seen_number(v->number);
        break;
    case VALUE_DATE:
        s->seen |= isfinite(v->number) ? SEEN_STRING : SEEN_ANYTHING;
        break;
    case VALUE_STRING:
        s->seen |= SEEN_STRING;
        break;
    case VALUE_ARRAY:
        s->seen |= SEEN_ARRAY;
        if (v->len && !s->items)
            s->items = arena_zalloc(a, sizeof *s->items);
        for (VALUE_EACH_ITEM(item, v))
            look_at(a, s->items, item);
        break;
    case VALUE_OBJECT:
        s->seen |= SEEN_OBJECT;
        look_at_members(a, s, v);
        break;
    }
}

/* ---- Schemas of shapes ---- */

static const struct value *schema_of(struct arena *a, const struct shape *s);

static const struct value *of_type(struct arena *a, const char *type) {
    return value_obj(a, "type", value_string(a, type), NULL);
}

static const struct value *array_schema(struct arena *a, const struct shape *s) {
    return value_obj(a, "type", value_string(a, "array"), "items",
                     s->items ? schema_of(a, s->items) : NULL, NULL);
}

static const struct value *object_schema(struct arena *a, const struct shape *s) {
    struct object_builder b;

    if (!(s->seen & SEEN_KEYS))
        return of_type(a, "object");
    object_begin(&b, a, s->count);
    for (size_t i = 0; i < s->count; i++)
        object_set_key(&b, &s->properties[i].key, schema_of(a, &s->properties[i].shape));
    return value_obj(a, "type", value_string(a, "object"), "properties", object_end(&b),
                     NULL);
}

static const struct value *schema_of(struct arena *a, const struct shape *s) {
    const struct value *found[5];
    size_t n = 0;

    if (s->seen & SEEN_BOOLEAN)
        found[n++] = of_type(a, "boolean");
    if (s->seen & (SEEN_NUMBER | SEEN_INTEGER))
        found[n++] = of_type(a, s->seen & SEEN_NUMBER ? "number" : "integer");
    if (s->seen & SEEN_STRING)
        found[n++] = of_type(a, "string");
    if (s->seen & SEEN_ARRAY)
        found[n++] = array_schema(a, s);
    if (s->seen & SEEN_OBJECT)
        found[n++] = object_schema(a, s);
    if (n == 0)
        return s->seen ? &value_empty_object : &value_undefined;
    return n == 1 ? found[0] : schema_wrap(a, found, n);
}

const struct value *schema_create(struct arena *a, const struct value *v) {
    struct shape s = {0};

    look_at(a, &s, v);
    return schema_of(a, &s);
}

const struct value *schema_create_compound(struct arena *a, const struct value *samples) {
    struct shape s = {0};

    for (VALUE_EACH_ITEM(sample, samples))
        look_at(a, &s, sample);
    return schema_of(a, &s);
}

const char *schema_type_of_value(const struct value *v) {
    switch ((enum value_type)v->type) {
    case VALUE_ARRAY:
        return "array";
    case VALUE_OBJECT:
    case VALUE_DATE:
        return "object";
    case VALUE_BOOL:
        return "boolean";
    case VALUE_NUMBER:
        return "number";
    case VALUE_STRING:
        return "string";
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        break;
    }
    return NULL;
}
