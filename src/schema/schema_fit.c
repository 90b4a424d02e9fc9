/*
 * schema_fit.c - values into the shape of a schema, without complaint.
 */
#include "schema/schema_fit.h"

#include "base/arena.h"
#include "locator/coerce.h"
#include "schema/schema_priv.h"

static const struct schema_fit_options no_options;

/* v[key], as JavaScript reads it: arrays and text have length and indexes. */
static const struct value *read_key(struct arena *a, const struct value *v,
                                    const struct member *key) {
    if (value_is_object(v))
        return value_get_len(v, key->key, key->key_len);
    if (!value_is_array(v) && !value_is_string(v))
        return &value_undefined;
    if (key->key_len == 6 && memcmp(key->key, "length", 6) == 0) {
        return value_number(
            a, value_is_array(v) ? v->len : (double)value_utf16_length(v->str, v->len));
    }
    return value_get_len(schema_entries(a, v), key->key, key->key_len);
}

/* Is it an own key, be it one that holds undefined? */
static bool has_key(struct arena *a, const struct value *v, const struct member *key) {
    return value_find(schema_entries(a, v), key->key, key->key_len) != NULL;
}

static const struct value *fit_number(struct arena *a, const struct value *v,
                                      bool integer) {
    double n;

    if (!value_is(v, VALUE_BOOL) && !value_is_number(v) && !value_is_string(v))
        return v;
    n = coerce_number(v);
    if (n != n || (integer && (n - n != 0 || n != __builtin_trunc(n))))
        return v;
    return value_is_number(v) ? v : value_number(a, n);
}

static const struct value *fit_scalar(struct arena *a, const struct value *v,
                                      const struct value *schema) {
    if (schema_type_is(schema, "string"))
        return value_is_nullish(v) ? v : coerce_text(a, v);
    if (schema_type_is(schema, "number"))
        return fit_number(a, v, false);
    if (schema_type_is(schema, "integer"))
        return fit_number(a, v, true);
    if (schema_type_is(schema, "boolean")) {
        if (value_equals_text(v, "true"))
            return &value_true;
        if (value_equals_text(v, "false"))
            return &value_false;
    }
    return v;
}

static const struct value *fit_array(struct arena *a, const struct value *v,
                                     const struct value *schema,
                                     const struct schema_fit_options *o) {
    const struct value *items = value_get(schema, "items");
    struct array_builder b;

    if (!value_is_array(v) || v->len == 0)
        return v;
    array_begin(&b, a, v->len);
    for (VALUE_EACH_ITEM(item, v)) {
        const struct value *fitted = schema_fit(a, item, items, o);

        if (value_is(item, VALUE_UNDEFINED) || !value_is(fitted, VALUE_UNDEFINED))
            array_push(&b, fitted);
    }
    return b.len ? array_end(&b) : &value_undefined;
}

static void fit_known(struct object_builder *b, const struct value *v,
                      const struct value *properties,
                      const struct schema_fit_options *o) {
    for (VALUE_EACH_MEMBER(m, properties)) {
        const struct value *before = read_key(b->arena, v, m), *fitted;

        if (o->skip_read_only_fields && value_truthy(value_get(&m->value, "readOnly")))
            continue;
        fitted = schema_fit(b->arena, before, &m->value, o);
        if (!value_is(fitted, VALUE_UNDEFINED) ||
            (value_is(before, VALUE_UNDEFINED) && has_key(b->arena, v, m)))
            schema_assign(b, m->key, m->key_len, fitted);
    }
}

static const struct value *fit_object(struct arena *a, const struct value *v,
                                      const struct value *schema,
                                      const struct schema_fit_options *o) {
    const struct value *properties = schema_entries(a, value_get(schema, "properties"));
    bool keep_unknown = !o->skip_unknown_fields ||
                        value_truthy(value_get(schema, "additionalProperties"));
    struct object_builder b;
    const struct value *result;

    if (o->is_formula && o->is_formula(v))
        return v;
    object_begin(&b, a, properties->len);
    fit_known(&b, v, properties, o);
    if (b.len == 0 && !value_is_object(v) && !value_is(v, VALUE_DATE))
        return v;
    if (keep_unknown) {
        const struct value *entries = schema_entries(a, v);

        for (VALUE_EACH_MEMBER(m, entries)) {
            if (!value_truthy(value_get_len(properties, m->key, m->key_len)))
                schema_assign(&b, m->key, m->key_len, &m->value);
        }
    }
    result = object_end(&b);
    if (result->len == 0 && (value_members_count(v) > 0 || value_items_count(v) > 0))
        return &value_undefined;
    return result;
}

const struct value *schema_fit(struct arena *a, const struct value *v,
                               const struct value *schema,
                               const struct schema_fit_options *options) {
    const struct schema_fit_options *o = options ? options : &no_options;
    const struct value *otherwise = value_get(schema, "default");

    if (!value_truthy(schema))
        return v;
    if (o->add_defaults && value_is_nullish(v) && !value_is(otherwise, VALUE_UNDEFINED))
        v = otherwise;
    if (schema_type_is(schema, "object"))
        return fit_object(a, v, schema, o);
    if (schema_type_is(schema, "array"))
        return fit_array(a, v, schema, o);
    return o->normalize_values ? fit_scalar(a, v, schema) : v;
}
