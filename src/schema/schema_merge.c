/*
 * schema_merge.c - merging schemas: flatten, group by type, overlay each group,
 * then wrap what is left into a type list or anyOf.
 */
#include "schema/schema_merge.h"

#include "base/arena.h"
#include "base/status.h"
#include "schema/schema_priv.h"

/* In the order in which they stand in a result. */
enum group {
    GROUP_NONE,
    GROUP_NULL,
    GROUP_BOOLEAN,
    GROUP_NUMBER,
    GROUP_INTEGER,
    GROUP_STRING,
    GROUP_ARRAY,
    GROUP_OBJECT,
    GROUP_COUNT,
    GROUP_UNKNOWN = GROUP_COUNT,
};

static const char *const group_names[GROUP_COUNT] = {
    "undefined", "null", "boolean", "number", "integer", "string", "array", "object",
};

/* A growing list of borrowed schemas. */
struct list {
    struct arena *arena;
    const struct value **items;
    size_t len, cap;
};

static void list_push(struct list *l, const struct value *v) {
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;

        l->items = arena_grow(l->arena, l->items, l->cap * sizeof *l->items,
                              cap * sizeof *l->items);
        l->cap = cap;
    }
    l->items[l->len++] = v;
}

static const struct value *combine(struct arena *a, const struct value *const *schemas,
                                   size_t n);

/* ---- Flattening ---- */

static void unwrap_into(struct list *l, const struct value *schema) {
    const struct value *any_of = value_get(schema, "anyOf");
    const struct value *type = value_get(schema, "type");

    if (!value_truthy(schema))
        return;
    if (value_truthy(any_of)) {
        for (VALUE_EACH_ITEM(member, any_of))
            unwrap_into(l, member);
    } else if (value_is_array(type)) {
        for (VALUE_EACH_ITEM(one, type))
            list_push(l, schema_with(l->arena, &value_empty_object, "type", one));
    } else {
        list_push(l, schema);
    }
}

static const struct value *list_value(const struct list *l) {
    struct array_builder b;

    array_begin(&b, l->arena, l->len);
    for (size_t i = 0; i < l->len; i++)
        array_push(&b, l->items[i]);
    return array_end(&b);
}

const struct value *schema_unwrap(struct arena *a, const struct value *schema) {
    struct list l = {.arena = a};

    unwrap_into(&l, schema);
    return list_value(&l);
}

const struct value *schema_unwrap_list(struct arena *a, const struct value *schemas) {
    struct list l = {.arena = a};

    for (VALUE_EACH_ITEM(schema, schemas))
        unwrap_into(&l, schema);
    return list_value(&l);
}

/* ---- Groups ---- */

static enum group group_of(const struct value *schema) {
    const struct value *type = value_get(schema, "type");

    if (value_is(type, VALUE_UNDEFINED))
        return GROUP_NONE;
    if (value_is(type, VALUE_NULL))
        return GROUP_NULL;
    for (enum group g = 0; g < GROUP_COUNT; g++) {
        if (value_equals_text(type, group_names[g]))
            return g;
    }
    return GROUP_UNKNOWN;
}

/* All keywords, later schemas over earlier ones. */
static void overlay(struct object_builder *b, const struct list *l) {
    object_begin(b, l->arena, value_members_count(l->items[0]) + 2);
    for (size_t i = 0; i < l->len; i++)
        object_set_all(b, schema_entries(l->arena, l->items[i]));
}

static const struct value *combine_scalars(const struct list *l) {
    struct object_builder b;

    if (l->len == 1 && value_is_object(l->items[0]))
        return l->items[0];
    overlay(&b, l);
    return object_end(&b);
}

static const struct value *combine_arrays(const struct list *l) {
    struct list items = {.arena = l->arena};
    struct object_builder b;

    for (size_t i = 0; i < l->len; i++)
        unwrap_into(&items, value_get(l->items[i], "items"));
    overlay(&b, l);
    if (items.len)
        object_set(&b, "items", combine(l->arena, items.items, items.len));
    return object_end(&b);
}

/* The alternatives of every property over all schemas of the list. */
struct property_lists {
    struct object_builder index; /* name to position in lists */
    struct list *lists;
    size_t cap;
};

static struct list *property_list(struct property_lists *p, const struct member *m) {
    struct arena *a = p->index.arena;
    const struct value *at = object_builder_get(&p->index, m->key, m->key_len);
    size_t n = p->index.len;

    if (at)
        return &p->lists[(size_t)at->number];
    if (n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;

        p->lists =
            arena_grow(a, p->lists, p->cap * sizeof *p->lists, cap * sizeof *p->lists);
        p->cap = cap;
    }
    p->lists[n] = (struct list){.arena = a};
    object_set_ref(&p->index, m->key, m->key_len, value_number(a, (double)n));
    return &p->lists[n];
}

static const struct value *combine_properties(const struct list *l) {
    struct property_lists p = {.lists = NULL};
    const struct value *index;
    struct object_builder b;

    object_begin(&p.index, l->arena, 8);
    for (size_t i = 0; i < l->len; i++) {
        const struct value *properties =
            schema_entries(l->arena, value_get(l->items[i], "properties"));

        for (VALUE_EACH_MEMBER(m, properties))
            unwrap_into(property_list(&p, m), &m->value);
    }
    index = object_end(&p.index);

    object_begin(&b, l->arena, index->len);
    for (VALUE_EACH_MEMBER(m, index)) {
        const struct list *alternatives = &p.lists[(size_t)m->value.number];

        schema_assign(&b, m->key, m->key_len,
                      alternatives->len == 1
                          ? alternatives->items[0]
                          : combine(l->arena, alternatives->items, alternatives->len));
    }
    return object_end(&b);
}

static bool contains_scalar(const struct array_builder *b, const struct value *v) {
    for (size_t i = 0; i < b->len; i++) {
        if (b->items[i].type == v->type && v->type <= VALUE_NUMBER &&
            value_equal(&b->items[i], v))
            return true;
    }
    return false;
}

/* The union of the `required` lists, first seen first. */
static const struct value *combine_required(const struct list *l) {
    struct object_builder seen; /* names only: large lists stay linear */
    struct array_builder b;

    object_begin(&seen, l->arena, 4);
    array_begin(&b, l->arena, 4);
    for (size_t i = 0; i < l->len; i++) {
        for (VALUE_EACH_ITEM(name, value_get(l->items[i], "required"))) {
            if (value_is_string(name)) {
                if (object_builder_get(&seen, name->str, name->len))
                    continue;
                object_set_ref(&seen, name->str, name->len, &value_true);
            } else if (contains_scalar(&b, name)) {
                continue;
            }
            array_push(&b, name);
        }
    }
    return array_end(&b);
}

static const struct value *combine_objects(const struct list *l) {
    const struct value *properties = combine_properties(l);
    const struct value *required = combine_required(l);
    struct object_builder b;

    overlay(&b, l);
    if (properties->len)
        object_set(&b, "properties", properties);
    if (required->len)
        object_set(&b, "required", required);
    return object_end(&b);
}

static const struct value *combine_group(enum group g, const struct list *l) {
    if (g == GROUP_ARRAY)
        return combine_arrays(l);
    if (g == GROUP_OBJECT)
        return combine_objects(l);
    return combine_scalars(l);
}

/* ---- The whole ---- */

static bool is_bare_type(const struct value *schema) {
    return value_members_count(schema) == 1 && value_has(schema, "type");
}

const struct value *schema_wrap(struct arena *a, const struct value *const *schemas,
                                size_t n) {
    struct array_builder types, any_of;
    const struct value *simple;

    array_begin(&types, a, n);
    for (size_t i = 0; i < n; i++) {
        const struct value *type = value_get(schemas[i], "type");

        if (value_is_array(type)) {
            for (VALUE_EACH_ITEM(one, type))
                array_push(&types, one);
        } else if (is_bare_type(schemas[i])) {
            array_push(&types, type);
        }
    }
    simple = array_end(&types);

    array_begin(&any_of, a, n);
    if (simple->len)
        array_push(&any_of, schema_with(a, &value_empty_object, "type",
                                        simple->len > 1 ? simple : simple->items));
    for (size_t i = 0; i < n; i++) {
        if (!value_is_array(value_get(schemas[i], "type")) && !is_bare_type(schemas[i]))
            array_push(&any_of, schemas[i]);
    }
    if (any_of.len == (simple->len ? 1 : 0))
        return schema_with(a, &value_empty_object, "type", simple);
    return schema_with(a, &value_empty_object, "anyOf", array_end(&any_of));
}

/* Integers among numbers are numbers. */
static void join_integers(struct list groups[]) {
    struct list *numbers = &groups[GROUP_NUMBER];
    struct list *integers = &groups[GROUP_INTEGER];

    if (!numbers->len)
        return;
    for (size_t i = 0; i < integers->len; i++)
        list_push(numbers, schema_with(numbers->arena, integers->items[i], "type",
                                       value_string(numbers->arena, "number")));
    integers->len = 0;
}

static const struct value *combine(struct arena *a, const struct value *const *schemas,
                                   size_t n) {
    struct list flat = {.arena = a};
    struct list groups[GROUP_COUNT];
    const struct value *found[GROUP_COUNT];
    size_t count = 0, typed = 0;

    for (size_t i = 0; i < n; i++)
        unwrap_into(&flat, schemas[i]);
    for (enum group g = 0; g < GROUP_COUNT; g++)
        groups[g] = (struct list){.arena = a};
    for (size_t i = 0; i < flat.len; i++) {
        enum group g = group_of(flat.items[i]);

        if (g != GROUP_UNKNOWN)
            list_push(&groups[g], flat.items[i]);
    }
    join_integers(groups);

    for (enum group g = 0; g < GROUP_COUNT; g++) {
        if (groups[g].len)
            found[count++] = combine_group(g, &groups[g]);
    }
    /* beside a schema with a type, one without says nothing */
    if (count > 1 && value_is(value_get(found[0], "type"), VALUE_UNDEFINED)) {
        for (size_t i = 0; i < count; i++) {
            if (value_truthy(value_get(found[i], "type")))
                found[typed++] = found[i];
        }
        count = typed;
    }
    if (count == 0)
        return &value_undefined;
    return count == 1 ? found[0] : schema_wrap(a, found, count);
}

const struct value *schema_merge_n(struct arena *a, const struct value *const *schemas,
                                   size_t n) {
    return combine(a, schemas, n);
}

const struct value *schema_merge(struct arena *a, const struct value *schemas) {
    struct list l = {.arena = a};

    for (VALUE_EACH_ITEM(schema, schemas))
        list_push(&l, schema);
    return combine(a, l.items, l.len);
}

int schema_wrap_any_of(struct arena *a, const struct value *schema,
                       const struct value **ret_schema, struct status *st) {
    const struct value *any_of = value_get(schema, "anyOf");
    struct list l = {.arena = a};

    if (!value_is_array(any_of))
        return st_fail(st, ST_BAD_REQUEST, NULL, "anyOf should be a list");
    for (VALUE_EACH_ITEM(member, any_of))
        list_push(&l, member);
    *ret_schema = schema_wrap(a, l.items, l.len);
    return 0;
}

/* ---- Patching ---- */

static const struct value *flag_new_properties(struct arena *a,
                                               const struct value *merged,
                                               const struct value *source,
                                               const struct value *patch,
                                               const char *flag) {
    const struct value *properties = value_get(merged, "properties");
    const struct value *known = value_get(source, "properties");
    struct object_builder b;

    if (!value_is_object(properties))
        return merged;
    object_begin(&b, a, properties->len);
    object_set_all(&b, properties);
    for (VALUE_EACH_MEMBER(m, value_get(patch, "properties"))) {
        const struct value *property = object_builder_get(&b, m->key, m->key_len);

        if (!property || !value_is_object(property) ||
            value_truthy(value_get_len(known, m->key, m->key_len)))
            continue;
        object_set_ref(&b, m->key, m->key_len,
                       schema_with(a, property, flag, &value_true));
    }
    return schema_with(a, merged, "properties", object_end(&b));
}

/* Takes the flag from every property that has it in the source and is in the
 * patch without it. */
static const struct value *unflag_properties(struct arena *a, const struct value *merged,
                                             const struct value *source,
                                             const struct value *patch,
                                             const char *flag) {
    const struct value *properties = value_get(merged, "properties");
    const struct value *known = value_get(source, "properties");
    struct object_builder b;
    bool changed = false;

    if (!schema_type_is(merged, "object") || !value_is_object(properties) ||
        !schema_type_is(source, "object") || !schema_type_is(patch, "object"))
        return merged;
    object_begin(&b, a, properties->len);
    object_set_all(&b, properties);
    for (VALUE_EACH_MEMBER(m, value_get(patch, "properties"))) {
        const struct value *was = value_get_len(known, m->key, m->key_len);
        const struct value *before = value_get_len(properties, m->key, m->key_len);
        const struct value *after = before;

        if (!value_is_object(before))
            continue;
        if (value_truthy(value_get(was, flag)) &&
            !value_truthy(value_get(&m->value, flag)))
            after = value_with(a, after, flag, &value_undefined);
        after = unflag_properties(a, after, was, &m->value, flag);
        if (after != before) {
            object_set_ref(&b, m->key, m->key_len, after);
            changed = true;
        }
    }
    return changed ? schema_with(a, merged, "properties", object_end(&b)) : merged;
}

static const struct value *patch_flag(struct arena *a, const struct value *merged,
                                      const struct value *source,
                                      const struct value *patch, const char *flag,
                                      bool flag_new) {
    return flag_new ? flag_new_properties(a, merged, source, patch, flag)
                    : unflag_properties(a, merged, source, patch, flag);
}

const struct value *schema_patch(struct arena *a, const struct value *source,
                                 const struct value *patch,
                                 const struct schema_patch_options *options) {
    const struct value *both[] = {source, patch};
    const struct value *merged = combine(a, both, 2);

    merged =
        patch_flag(a, merged, source, patch, "readOnly", options && options->read_only);
    return patch_flag(a, merged, source, patch, "writeOnly",
                      options && options->write_only);
}
