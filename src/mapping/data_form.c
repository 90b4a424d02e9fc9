/*
 * data_form.c - fields of a form, their options, and setting them.
 */
#include "mapping/data_form.h"

#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula/formula_inspect.h"
#include "locator/locator.h"
#include "locator/locator_schema.h"
#include "locator/text_case.h"
#include "value/value.h"

static bool type_is(const struct value *schema, const char *type) {
    return value_equals_text(value_get(schema, "type"), type);
}

/* key: NULL for the whole value. */
static const struct value *make_field(struct arena *a, const struct value *form,
                                      const struct value *key,
                                      const struct value *schema) {
    const struct value *name = value_get(schema, "title");
    struct object_builder b;

    if (value_is_nullish(name))
        name = key ? text_header_case(a, key->str, key->len) : &value_empty_string;
    object_begin(&b, a, 4);
    object_set(&b, "name", name);
    object_set(&b, "locator", key ? key : &value_null);
    object_set(&b, "schema", schema);
    object_set(&b, "value",
               key ? locator_get_at(a, value_get(form, "value"), key) : &value_undefined);
    return object_end(&b);
}

const struct value *data_form_fields(struct arena *a, const struct value *form) {
    const struct value *schema = value_get(form, "schema");
    const struct value *properties = value_get(schema, "properties");
    struct array_builder b;

    array_begin(&b, a, 8);
    if (type_is(schema, "object")) {
        for (VALUE_EACH_MEMBER(m, properties))
            array_push(&b, make_field(a, form,
                                      value_box(a, value_string_ref(m->key, m->key_len)),
                                      &m->value));
    } else if (!value_is_nullish(schema) && !type_is(schema, "array")) {
        array_push(&b, make_field(a, form, NULL, schema));
    }
    return array_end(&b);
}

/* ---- Options ---- */

static void add_option(struct array_builder *b, const struct value *name,
                       const struct value *v, const struct value *current) {
    struct object_builder option;

    object_begin(&option, b->arena, 3);
    object_set(&option, "name", name);
    object_set(&option, "value", v);
    object_set_bool(&option, "selected", value_equal(v, current));
    array_push(b, object_end(&option));
}

const struct value *data_form_options(struct arena *a, const struct value *form,
                                      const struct value *field) {
    const struct value *variables = value_get(form, "variablesSchema");
    const struct value *otherwise = value_path(field, "schema", "default", NULL);
    const struct value *current = value_get(field, "value");
    struct array_builder b;

    array_begin(&b, a, 8);
    if (!value_is(otherwise, VALUE_UNDEFINED))
        add_option(&b, formula_display_text(a, otherwise, variables), otherwise, current);
    if (!type_is(variables, "object"))
        return array_end(&b);
    for (VALUE_EACH_MEMBER(m, value_get(variables, "properties"))) {
        const struct value *key = value_box(a, value_string_ref(m->key, m->key_len));
        const struct value *v = value_obj(a, "$var", key, NULL);

        if (!value_equal(v, otherwise))
            add_option(&b, formula_display_text(a, v, variables), v, current);
    }
    return array_end(&b);
}

int data_form_set(struct arena *a, const struct value *form, const struct value *field,
                  const struct value *v, const struct value **ret_value,
                  struct status *st) {
    return locator_set_value(a, value_get(form, "value"), value_get(field, "locator"), v,
                             ret_value, st);
}
