/*
 * schema_fields.c - picking, excluding and requiring fields.
 */
#include "schema/schema_fields.h"

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "locator/locator.h"
#include "locator/locator_schema.h"
#include "schema/schema.h"
#include "schema/schema_merge.h"
#include "schema/schema_priv.h"

/* ---- Picking and excluding ---- */

static const struct value *strings_set(struct arena *a, const struct value *list) {
    struct object_builder b;

    object_begin(&b, a, value_items_count(list));
    for (VALUE_EACH_ITEM(item, list)) {
        const struct value *name = locator_to_field(a, item);

        if (value_is_string(name))
            object_set_ref(&b, name->str, name->len, &value_true);
    }
    return object_end(&b);
}

static const struct value *picked_required(struct arena *a, const struct value *required,
                                           const struct value *fields) {
    const struct value *names = strings_set(a, fields);
    struct array_builder b;

    array_begin(&b, a, value_items_count(required));
    for (VALUE_EACH_ITEM(name, required)) {
        if (value_is_string(name) && value_find(names, name->str, name->len))
            array_push(&b, name);
    }
    return array_end(&b);
}

const struct value *schema_pick_fields(struct arena *a, const struct value *schema,
                                       const struct value *fields) {
    const struct value *required = value_get(schema, "required");
    const struct value *result = value_obj(a, "type", value_string(a, "object"),
                                           "properties", &value_empty_object, NULL);
    struct status ignored;

    st_init(&ignored, a);
    if (!value_is_array(fields) || !schema_type_is(schema, "object") ||
        !value_truthy(value_get(schema, "properties")))
        return result;
    for (VALUE_EACH_ITEM(field, fields)) {
        const struct value *sub = locator_schema_get(a, schema, field);
        const struct value *next;

        if (!value_truthy(sub) || value_equals_text(field, "$"))
            continue;
        if (locator_schema_set(a, result, field, sub, &next, &ignored) == 0)
            result = next;
    }
    if (value_truthy(required))
        result = schema_with(a, result, "required", picked_required(a, required, fields));
    return result;
}

int schema_exclude_fields(struct arena *a, const struct value *schema,
                          const struct value *fields, const struct value **ret_schema,
                          struct status *st) {
    const struct value *result = schema;

    if (value_truthy(schema) && value_is_array(fields)) {
        result = schema_json_clone(a, schema);
        for (VALUE_EACH_ITEM(field, fields)) {
            if (value_truthy(field) &&
                locator_schema_set(a, result, field, &value_undefined, &result, st) < 0)
                return -1;
        }
    }
    *ret_schema = result;
    return 0;
}

static const struct value *exclude_flagged(struct arena *a, const struct value *schema,
                                           const char *flag) {
    if (schema_type_is(schema, "array")) {
        const struct value *items = value_get(schema, "items");

        return value_is(items, VALUE_UNDEFINED)
                   ? schema
                   : schema_with(a, schema, "items", exclude_flagged(a, items, flag));
    }
    if (schema_type_is(schema, "object")) {
        const struct value *properties =
            schema_entries(a, value_get(schema, "properties"));
        struct object_builder b;

        object_begin(&b, a, properties->len);
        for (VALUE_EACH_MEMBER(m, properties)) {
            if (!value_truthy(value_get(&m->value, flag)))
                schema_assign(&b, m->key, m->key_len,
                              exclude_flagged(a, &m->value, flag));
        }
        return schema_with(a, schema, "properties", object_end(&b));
    }
    return schema;
}

const struct value *schema_exclude_read_only(struct arena *a,
                                             const struct value *schema) {
    return exclude_flagged(a, schema_json_clone(a, schema), "readOnly");
}

const struct value *schema_exclude_write_only(struct arena *a,
                                              const struct value *schema) {
    return exclude_flagged(a, schema_json_clone(a, schema), "writeOnly");
}

/* ---- Fields of a collection ---- */

static int method_fields(struct arena *a, const struct value *collection,
                         const char *method_name, const struct value **ret_schema,
                         struct status *st) {
    const struct value *schema = value_get(collection, "fieldsSchema");
    const struct value *method = value_get(collection, method_name);
    const struct value *fields = value_get(method, "fields");
    const struct value *excluded = value_get(method, "excludedFields");

    if (!value_truthy(schema) || !value_truthy(method)) {
        *ret_schema = &value_undefined;
        return 0;
    }
    schema = schema_exclude_read_only(a, schema);
    if (value_truthy(fields))
        schema = schema_pick_fields(a, schema, fields);
    if (value_truthy(excluded) &&
        schema_exclude_fields(a, schema, excluded, &schema, st) < 0)
        return -1;
    *ret_schema = schema;
    return 0;
}

int schema_create_fields(struct arena *a, const struct value *collection,
                         const struct value **ret_schema, struct status *st) {
    return method_fields(a, collection, "create", ret_schema, st);
}

int schema_update_fields(struct arena *a, const struct value *collection,
                         const struct value **ret_schema, struct status *st) {
    return method_fields(a, collection, "update", ret_schema, st);
}

int schema_writable_fields(struct arena *a, const struct value *collection,
                           const struct value **ret_schema, struct status *st) {
    const struct value *both[2];

    if (schema_create_fields(a, collection, &both[0], st) < 0 ||
        schema_update_fields(a, collection, &both[1], st) < 0)
        return -1;
    *ret_schema = schema_merge_n(a, both, 2);
    return 0;
}

/* ---- Required fields ---- */

static void required_into(struct array_builder *b, struct buf *prefix,
                          const struct value *schema) {
    size_t mark = prefix->len;

    if (!schema_type_is(schema, "object"))
        return;
    for (VALUE_EACH_ITEM(name, schema_spread(b->arena, value_get(schema, "required")))) {
        if (mark == 0 || !value_is_string(name)) {
            array_push(b, name);
            continue;
        }
        buf_add(prefix, name->str, name->len);
        array_push(b, value_string_len(b->arena, prefix->data, prefix->len));
        prefix->len = mark;
    }
    for (VALUE_EACH_MEMBER(m, value_get(schema, "properties"))) {
        buf_add(prefix, m->key, m->key_len);
        buf_addc(prefix, '.');
        required_into(b, prefix, &m->value);
        prefix->len = mark;
    }
}

const struct value *schema_required_fields(struct arena *a, const struct value *schema) {
    struct buf prefix = BUF_INIT;
    struct array_builder b;

    array_begin(&b, a, 8);
    required_into(&b, &prefix, schema);
    buf_fini(&prefix);
    return array_end(&b);
}

struct missing {
    struct arena *arena;
    const struct value *v;
    const struct value *required;  /* object: the paths that are required */
    struct object_builder excused; /* path to true or false, as found out */
};

static bool is_absent(const struct missing *m, const char *path, size_t len) {
    struct value text = value_string_ref(arena_memdup(m->arena, path, len), len);

    return value_is(locator_get_by(m->arena, m->v, &text), VALUE_UNDEFINED);
}

/* Is some parent both absent and optional? */
static bool is_excused(struct missing *m, const char *path, size_t len) {
    const struct value *known = object_builder_get(&m->excused, path, len);
    const char *dot = memrchr(path, '.', len);
    bool excused;

    if (known)
        return value_is_true(known);
    if (!dot) {
        excused = false;
    } else {
        size_t parent = (size_t)(dot - path);

        excused =
            (!value_find(m->required, path, parent) && is_absent(m, path, parent)) ||
            is_excused(m, path, parent);
    }
    object_set_len(&m->excused, path, len, value_bool(excused));
    return excused;
}

const struct value *schema_missing_fields(struct arena *a, const struct value *schema,
                                          const struct value *v) {
    const struct value *fields = schema_required_fields(a, schema);
    struct missing m = {.arena = a, .v = v};
    struct object_builder set;
    struct array_builder b;

    object_begin(&set, a, fields->len);
    for (VALUE_EACH_ITEM(field, fields)) {
        if (value_is_string(field))
            object_set_ref(&set, field->str, field->len, &value_true);
    }
    m.required = object_end(&set);
    object_begin(&m.excused, a, 8);
    array_begin(&b, a, 4);
    for (VALUE_EACH_ITEM(field, fields)) {
        if (value_is_string(field) &&
            value_is(locator_get_by(a, v, field), VALUE_UNDEFINED) &&
            !is_excused(&m, field->str, field->len))
            array_push(&b, field);
    }
    return array_end(&b);
}

/* The schema at `l` with one more required name; unchanged when not found. */
static const struct value *require_in(struct arena *a, const struct value *schema,
                                      const struct locator *parent,
                                      const struct locator_step *name) {
    const struct value *locator = locator_format(a, parent);
    const struct value *object = locator_schema_get(a, schema, locator);
    const struct value *result;
    struct array_builder b;
    struct status ignored;

    if (!value_is_object(object))
        return schema;
    array_begin(&b, a, 8);
    for (VALUE_EACH_ITEM(old, schema_spread(a, value_get(object, "required"))))
        array_push(&b, old);
    array_push(&b, value_string_len(a, name->name, name->name_len));
    object = schema_with(a, object, "required", array_end(&b));
    st_init(&ignored, a);
    if (locator_schema_set(a, schema, locator, object, &result, &ignored) < 0)
        return schema;
    return result;
}

int schema_add_required(struct arena *a, const struct value *schema,
                        const struct value *fields, const struct value **ret_schema,
                        struct status *st) {
    if (!value_truthy(schema)) {
        *ret_schema = &value_undefined;
        return 0;
    }
    if (!value_is_array(fields)) {
        *ret_schema = schema;
        return 0;
    }
    schema = schema_json_clone(a, schema);
    for (VALUE_EACH_ITEM(field, fields)) {
        struct status ignored;
        struct locator l;

        st_init(&ignored, a);
        if (!locator_is_valid(field) || locator_from_value(a, field, &l, &ignored) < 0)
            continue;
        if (l.len == 0)
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "The root of a schema can't be a required field");
        l.len--;
        if (l.steps[l.len].type == LOCATOR_PROPERTY)
            schema = require_in(a, schema, &l, &l.steps[l.len]);
    }
    *ret_schema = schema;
    return 0;
}

static const struct value *without_required(struct arena *a, const struct value *schema) {
    const struct value *properties = value_get(schema, "properties");
    struct object_builder b;

    if (!schema_type_is(schema, "object"))
        return schema;
    schema = value_with(a, schema, "required", &value_undefined);
    if (!value_is_object(properties))
        return schema;
    object_begin(&b, a, properties->len);
    for (VALUE_EACH_MEMBER(m, properties))
        object_set_ref(&b, m->key, m->key_len, without_required(a, &m->value));
    return schema_with(a, schema, "properties", object_end(&b));
}

const struct value *schema_remove_required(struct arena *a, const struct value *schema) {
    return without_required(a, schema_json_clone(a, schema));
}
