/*
 * locator_schema.c - walking data schemas along locators.
 */
#include "locator_schema.h"

#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "coerce.h"
#include "locator.h"
#include "text_case.h"
#include "value/value.h"

enum { MAX_DEPTH = 500 };

static bool has_type(const struct value *schema, const char *type) {
    struct value text = value_string_ref(type, strlen(type));

    return coerce_loose_equal(value_get(schema, "type"), &text);
}

/* The title of a step without one in its schema. */
static const struct value *default_title(struct arena *a, const struct locator_step *s) {
    char number[32];

    if (s->type == LOCATOR_PROPERTY)
        return text_header_case(a, s->name, s->name_len);
    number[value_format_number(s->index + 1, number)] = '\0';
    return value_stringf(a, "Item #%s", number);
}

/*
 * A property of what `properties` holds, be it an array. As in the reference, a
 * name that every object inherits is found, as a schema that says nothing.
 */
static const struct value *property(struct arena *a, const struct value *container,
                                    const struct locator_step *s) {
    struct locator one = {s, 1};
    const struct value *own = locator_read_at(a, container, &one);

    if (own->type == VALUE_UNDEFINED && value_is_object(container) &&
        !value_find(container, s->name, s->name_len) &&
        locator_is_inherited_name(s->name, s->name_len))
        return &value_empty_object;
    return own;
}

static const struct value *step_into(struct arena *a, const struct value *cur,
                                     const struct locator_step *s) {
    if (s->type == LOCATOR_PROPERTY)
        return has_type(cur, "object") ? property(a, value_get(cur, "properties"), s)
                                       : &value_undefined;
    return has_type(cur, "array") ? value_get(cur, "items") : &value_undefined;
}

/* What a shallow copy of the reference makes of a sub-schema. */
static const struct value *as_schema(struct arena *a, const struct value *v) {
    struct object_builder b;
    char key[32];

    if (value_is_object(v))
        return v;
    if (!value_is_array(v))
        return &value_empty_object;
    object_begin(&b, a, v->len);
    for (size_t i = 0; i < v->len; i++) {
        key[value_format_number((double)i, key)] = '\0';
        object_set(&b, key, &v->items[i]);
    }
    return object_end(&b);
}

struct schema_step {
    const struct value *schema, *title, *icon;
};

/*
 * Walks the locator. 0 found with one step per level (the root first, when there
 * is a schema), 1 when not found. steps has room for l->len + 1.
 */
static int walk(struct arena *a, const struct value *schema, const struct locator *l,
                struct schema_step *steps, size_t *ret_len) {
    const struct value *cur = schema;
    size_t n = 0;

    if (value_truthy(schema))
        steps[n++] = (struct schema_step){schema, value_get(schema, "title"),
                                          value_get(schema, "iconUri")};
    for (size_t i = 0; i < l->len; i++) {
        const struct value *title;

        cur = step_into(a, cur, &l->steps[i]);
        if (!value_truthy(cur))
            return 1;
        cur = as_schema(a, cur);
        title = value_get(cur, "title");
        if (value_is_nullish(title))
            title = default_title(a, &l->steps[i]);
        steps[n++] = (struct schema_step){cur, title, value_get(cur, "iconUri")};
    }
    *ret_len = n;
    return 0;
}

/* As walk, for a locator value: -1 when it is invalid. */
static int walk_value(struct arena *a, const struct value *schema,
                      const struct value *locator, struct schema_step **ret,
                      size_t *ret_len) {
    struct status st;
    struct locator l;

    st_init(&st, a);
    if ((value_is_string(locator) && locator->len == 0) ||
        locator_from_value(a, locator, &l, &st) < 0)
        return -1;
    *ret = arena_alloc(a, (l.len + 1) * sizeof(**ret));
    return walk(a, schema, &l, *ret, ret_len);
}

const struct value *locator_schema_get(struct arena *a, const struct value *schema,
                                       const struct value *locator) {
    struct schema_step *steps;
    size_t n;
    int rc = walk_value(a, schema, locator, &steps, &n);

    if (rc < 0)
        return &value_undefined;
    if (rc > 0 || !value_truthy(schema))
        return &value_null;
    return n > 0 ? steps[n - 1].schema : schema;
}

static void list(struct array_builder *b, const struct value *schema, struct buf *path,
                 int depth) {
    size_t len = path->len;

    if (depth == MAX_DEPTH || !value_equals_text(value_get(schema, "type"), "object"))
        return;
    for (VALUE_EACH_MEMBER(m, value_get(schema, "properties"))) {
        locator_append_property(path, m->key, m->key_len);
        array_push(b, value_string_len(b->arena, path->data, path->len));
        list(b, &m->value, path, depth + 1);
        path->len = len;
    }
}

const struct value *locator_schema_list(struct arena *a, const struct value *schema,
                                        const struct value *prefix) {
    struct array_builder b;
    struct buf path = BUF_INIT;

    array_begin(&b, a, 0);
    if (prefix && value_is_string(prefix))
        buf_add(&path, prefix->str, prefix->len);
    else
        buf_addc(&path, '$');
    list(&b, schema, &path, 0);
    buf_fini(&path);
    return array_end(&b);
}

/* ---- setting ---- */

static const struct value *set_steps(struct arena *a, const struct value *schema,
                                     const struct locator_step *steps, size_t len,
                                     const struct value *sub);

/* The map of properties with the step's own one set or removed. */
static const struct value *set_property(struct arena *a, const struct value *properties,
                                        const struct locator_step *steps, size_t len,
                                        const struct value *sub) {
    const struct value *old = value_find(properties, steps->name, steps->name_len);
    struct object_builder b;

    object_begin(&b, a, value_members_count(properties) + 1);
    object_set_all(&b, properties);
    sub = set_steps(a, old ? old : &value_undefined, steps + 1, len - 1, sub);
    if (sub->type == VALUE_UNDEFINED)
        object_delete(&b, steps->name, steps->name_len);
    else
        object_set_len(&b, steps->name, steps->name_len, sub);
    return object_end(&b);
}

static const struct value *set_steps(struct arena *a, const struct value *schema,
                                     const struct locator_step *steps, size_t len,
                                     const struct value *sub) {
    bool property;

    if (len == 0)
        return sub;
    property = steps->type == LOCATOR_PROPERTY;
    schema = value_with(a, value_is_object(schema) ? schema : &value_empty_object, "type",
                        value_string(a, property ? "object" : "array"));
    if (property)
        return value_with(
            a, schema, "properties",
            set_property(a, value_get(schema, "properties"), steps, len, sub));
    return value_with(a, schema, "items",
                      set_steps(a, value_get(schema, "items"), steps + 1, len - 1, sub));
}

int locator_schema_set(struct arena *a, const struct value *schema,
                       const struct value *locator, const struct value *sub,
                       const struct value **ret_schema, struct status *st) {
    struct locator l;

    if (locator_from_value(a, locator, &l, st) < 0)
        return -1;
    *ret_schema = set_steps(a, schema, l.steps, l.len, sub);
    return 0;
}

/* ---- names ---- */

const struct value *locator_schema_name(struct arena *a, const struct value *schema,
                                        const struct value *locator) {
    struct schema_step *steps;
    size_t n;
    int rc = walk_value(a, schema, locator, &steps, &n);

    if (rc != 0)
        return rc < 0 ? &value_undefined : &value_null;
    while (n-- > 0)
        if (value_truthy(steps[n].title))
            return steps[n].title;
    return &value_undefined;
}

const struct value *locator_schema_names(struct arena *a, const struct value *schema,
                                         const struct value *locator) {
    struct schema_step *steps;
    struct array_builder b;
    size_t n;

    if (walk_value(a, schema, locator, &steps, &n) != 0)
        return &value_undefined;
    array_begin(&b, a, n);
    for (size_t i = 0; i < n; i++)
        if (value_truthy(steps[i].title))
            array_push(&b, steps[i].title);
    return array_end(&b);
}

const struct value *locator_schema_full_name(struct arena *a, const struct value *schema,
                                             const struct value *locator) {
    const struct value *names = locator_schema_names(a, schema, locator);
    struct buf b = BUF_INIT;
    struct bytes text;

    if (!value_is_array(names))
        return names;
    for (VALUE_EACH_ITEM(name, names)) {
        if (name > names->items)
            buf_adds(&b, " > ");
        coerce_append_text(&b, name);
    }
    text = buf_to_arena(&b, a);
    buf_fini(&b);
    return value_box(a, value_string_ref(text.data, text.len));
}

const struct value *locator_schema_icon(struct arena *a, const struct value *schema,
                                        const struct value *locator) {
    struct schema_step *steps;
    size_t n;
    int rc = walk_value(a, schema, locator, &steps, &n);

    if (rc != 0)
        return rc < 0 ? &value_undefined : &value_null;
    while (n-- > 0)
        if (value_truthy(steps[n].icon))
            return steps[n].icon;
    return &value_undefined;
}
