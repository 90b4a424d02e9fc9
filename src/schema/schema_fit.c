/*
 * schema_fit.c - values into the shape of a schema, without complaint.
 */
#include "schema/schema_fit.h"

#include "base/arena.h"
#include "locator/coerce.h"
#include "schema/schema_plan_priv.h"
#include "schema/schema_priv.h"

static const struct schema_fit_options no_options;

/* ---- Reading as JavaScript does: arrays and text have length and indexes ---- */

static const struct value *read_key(struct arena *a, const struct value *v,
                                    const struct member *key) {
    const struct value *found;

    if (!value_is_object(v) && !value_is_array(v) && !value_is_string(v))
        return &value_undefined;
    if (key->key_len == 6 && memcmp(key->key, "length", 6) == 0 && !value_is_object(v)) {
        return value_number(
            a, value_is_array(v) ? v->len : (double)value_utf16_length(v->str, v->len));
    }
    found = value_find_key(schema_entries(a, v), key);
    return found ? found : &value_undefined;
}

/* Is it an own key, be it one that holds undefined? */
static bool has_key(struct arena *a, const struct value *v, const struct member *key) {
    return value_find_key(schema_entries(a, v), key) != NULL;
}

/* ---- Scalars ---- */

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
                                      enum plan_type type) {
    switch (type) {
    case PLAN_STRING:
        return value_is_nullish(v) ? v : coerce_text(a, v);
    case PLAN_NUMBER:
        return fit_number(a, v, false);
    case PLAN_INTEGER:
        return fit_number(a, v, true);
    case PLAN_BOOLEAN:
        if (value_equals_text(v, "true"))
            return &value_true;
        return value_equals_text(v, "false") ? &value_false : v;
    default:
        return v;
    }
}

/* ---- Containers ---- */

static const struct value *fit_array(const struct schema_plan *p, struct arena *a,
                                     const struct value *v,
                                     const struct schema_fit_options *o) {
    struct array_builder b;

    if (!value_is_array(v) || v->len == 0 || !p->items)
        return v;
    array_begin(&b, a, v->len);
    for (VALUE_EACH_ITEM(item, v)) {
        const struct value *fitted = schema_plan_fit(p->items, a, item, o);

        if (value_is(item, VALUE_UNDEFINED) || !value_is(fitted, VALUE_UNDEFINED))
            array_push(&b, fitted);
    }
    return b.len ? array_end(&b) : &value_undefined;
}

/* An assignment creates no key called "__proto__". */
static void assign(struct object_builder *b, const struct member *key,
                   const struct value *v) {
    if (key->key_len == 9 && memcmp(key->key, "__proto__", 9) == 0)
        schema_assign(b, key->key, key->key_len, v);
    else
        object_set_key(b, key, v);
}

static void fit_known(const struct schema_plan *p, struct object_builder *b,
                      const struct value *v, const struct schema_fit_options *o) {
    for (size_t i = 0; i < p->properties->len; i++) {
        const struct plan_property *property = &p->list[i];
        const struct value *before, *fitted;

        if (o->skip_read_only_fields && property->is_read_only)
            continue;
        before = read_key(b->arena, v, property->key);
        fitted = schema_plan_fit(property->plan, b->arena, before, o);
        if (!value_is(fitted, VALUE_UNDEFINED) ||
            (value_is(before, VALUE_UNDEFINED) && has_key(b->arena, v, property->key)))
            assign(b, property->key, fitted);
    }
}

static void keep_unknown(const struct schema_plan *p, struct object_builder *b,
                         const struct value *v) {
    const struct value *entries = schema_entries(b->arena, v);

    for (VALUE_EACH_MEMBER(m, entries)) {
        const struct value *known = value_find_key(p->properties, m);

        if (!known || !value_truthy(known))
            assign(b, m, &m->value);
    }
}

static const struct value *fit_object(const struct schema_plan *p, struct arena *a,
                                      const struct value *v,
                                      const struct schema_fit_options *o) {
    struct object_builder b;

    if (o->is_formula && o->is_formula(v))
        return v;
    object_begin(&b, a, p->properties->len);
    fit_known(p, &b, v, o);
    if (b.len == 0 && !value_is_object(v) && !value_is(v, VALUE_DATE))
        return v;
    if (!o->skip_unknown_fields || p->keeps_unknown)
        keep_unknown(p, &b, v);
    if (b.len == 0 && (value_members_count(v) > 0 || value_items_count(v) > 0))
        return &value_undefined;
    return object_end(&b);
}

const struct value *schema_plan_fit(const struct schema_plan *p, struct arena *a,
                                    const struct value *v,
                                    const struct schema_fit_options *options) {
    const struct schema_fit_options *o = options ? options : &no_options;

    if (p->is_nothing)
        return v;
    if (o->add_defaults && value_is_nullish(v) &&
        !value_is(p->otherwise, VALUE_UNDEFINED))
        v = p->otherwise;
    if (p->type == PLAN_OBJECT)
        return fit_object(p, a, v, o);
    if (p->type == PLAN_ARRAY)
        return fit_array(p, a, v, o);
    return o->normalize_values ? fit_scalar(a, v, p->type) : v;
}

const struct value *schema_fit(struct arena *a, const struct value *v,
                               const struct value *schema,
                               const struct schema_fit_options *options) {
    return schema_plan_fit(schema_compile(a, schema), a, v, options);
}
