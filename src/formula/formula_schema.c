/*
 * formula_schema.c - the schema of a value with formulas, and the operators that
 * a left side's schema allows.
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula_inspect.h"
#include "formula_priv.h"
#include "locator/locator_schema.h"
#include "schema/schema.h"
#include "schema/schema_merge.h"

struct schema_context {
    struct arena *arena;
    struct status *st;
    bool ignore_formulas;
    int depth;
};

typedef int schema_fn(struct schema_context *c, const struct value *arg,
                      const struct value *variables, const struct value **ret);

static int schema_of(struct schema_context *c, const struct value *v,
                     const struct value *variables, const struct value **ret);

#define SCHEMA(identifier)                                                               \
    static int schema_##identifier(struct schema_context *c, const struct value *arg,    \
                                   const struct value *variables,                        \
                                   const struct value **ret)
#define UNUSED() ((void)c, (void)arg, (void)variables)

static int fixed(struct schema_context *c, const char *type, const char *format,
                 const struct value **ret) {
    *ret = value_obj(c->arena, "type", value_string(c->arena, type), "format",
                     format ? value_string(c->arena, format) : NULL, NULL);
    return 0;
}

/* Operators whose result always has the same schema. */
#define FIXED_SCHEMA(identifier, type, format)                                           \
    SCHEMA(identifier) {                                                                 \
        UNUSED();                                                                        \
        return fixed(c, type, format, ret);                                              \
    }
FIXED_SCHEMA(eval, "boolean", NULL)
FIXED_SCHEMA(and, "boolean", NULL)
FIXED_SCHEMA(or, "boolean", NULL)
FIXED_SCHEMA(concat, "string", NULL)
FIXED_SCHEMA(first_name, "string", NULL)
FIXED_SCHEMA(last_name, "string", NULL)
FIXED_SCHEMA(tpl, "string", NULL)
FIXED_SCHEMA(extract_date, "string", "date")
FIXED_SCHEMA(extract_time, "string", "time")
FIXED_SCHEMA(domain_from_email, "string", NULL)
FIXED_SCHEMA(record, "string", NULL)
FIXED_SCHEMA(lookup, "string", NULL)
FIXED_SCHEMA(find_app_record_id, "string", NULL)
FIXED_SCHEMA(find_external_record_id, "string", NULL)
FIXED_SCHEMA(data_schema_ref, "object", NULL)

SCHEMA(var) {
    *ret = locator_schema_get(c->arena, variables, arg);
    return 0;
}

SCHEMA(copy) {
    UNUSED();
    *ret = &value_null;
    return 0;
}

SCHEMA(formula) {
    UNUSED();
    *ret = &value_undefined;
    return 0;
}

static int schema_ignoring_formulas(struct schema_context *c, const struct value *v,
                                    const struct value **ret) {
    struct schema_context plain = *c;

    plain.ignore_formulas = true;
    return schema_of(&plain, v, &value_null, ret);
}

SCHEMA(plain) {
    UNUSED();
    return schema_ignoring_formulas(c, arg, ret);
}

SCHEMA(jsonata) {
    struct value formula = formula_single(c->arena, "$jsonata", arg);
    const struct value *result;

    UNUSED();
    if (formula_build_value(c->arena, value_box(c->arena, formula), &value_null, &result,
                            c->st) < 0)
        return -1;
    return schema_ignoring_formulas(c, result, ret);
}

SCHEMA(case) {
    const struct value *list = value_is_array(arg) ? arg : value_get(arg, "cases");
    const struct value *otherwise = value_get(arg, "default"), *schema;
    struct array_builder b;

    *ret = &value_undefined;
    if (!value_is_array(list))
        return 0;
    array_begin(&b, c->arena, list->len + 1);
    for (VALUE_EACH_ITEM(item, list)) {
        const struct value *v = value_get(item, "value");

        if (v->type == VALUE_UNDEFINED)
            continue;
        if (schema_of(c, v, variables, &schema) < 0)
            return -1;
        array_push(&b, schema);
    }
    if (value_truthy(otherwise)) {
        if (schema_of(c, otherwise, variables, &schema) < 0)
            return -1;
        array_push(&b, schema);
    }
    *ret = schema_merge(c->arena, array_end(&b));
    return 0;
}

SCHEMA(map) {
    return schema_of(c, value_get(arg, "value"), variables, ret);
}

SCHEMA(first_not_empty) {
    *ret = &value_undefined;
    return value_is_array(arg) ? schema_of(c, value_at(arg, 0), variables, ret) : 0;
}

SCHEMA(iterate) {
    const struct value *source, *item, *inner;
    struct object_builder b;

    if (schema_of(c, value_get(arg, "source"), variables, &source) < 0)
        return -1;
    object_begin(&b, c->arena, 3);
    object_set(&b, "parent", variables);
    object_set(&b, "item", value_get(source, "items"));
    object_set(&b, "index",
               value_obj(c->arena, "type", value_string(c->arena, "number"), NULL));
    inner = value_obj(c->arena, "type", value_string(c->arena, "object"), "properties",
                      object_end(&b), NULL);
    if (schema_of(c, value_get(arg, "item"), inner, &item) < 0)
        return -1;
    *ret =
        value_obj(c->arena, "type", value_string(c->arena, "array"), "items", item, NULL);
    return 0;
}

SCHEMA(merge_objects) {
    const struct value *schema;
    struct object_builder b;

    if (!value_is_array(arg))
        return fixed(c, "object", NULL, ret);
    object_begin(&b, c->arena, 0);
    for (VALUE_EACH_ITEM(item, arg)) {
        if (schema_of(c, item, variables, &schema) < 0)
            return -1;
        if (value_equals_text(value_get(schema, "type"), "object"))
            object_set_all(&b, value_get(schema, "properties"));
    }
    *ret = value_obj(c->arena, "type", value_string(c->arena, "object"), "properties",
                     object_end(&b), NULL);
    return 0;
}

static schema_fn *const schema_functions[] = {
#define OPERATOR(identifier, name) schema_##identifier,
#include "operators.def"
#undef OPERATOR
};

static int schema_of_object(struct schema_context *c, const struct value *v,
                            const struct value *variables, const struct value **ret) {
    const struct value *schema;
    struct object_builder b;

    object_begin(&b, c->arena, value_members_count(v));
    for (VALUE_EACH_MEMBER(m, v)) {
        if (schema_of(c, &m->value, variables, &schema) < 0)
            return -1;
        if (m->key_len != 9 || memcmp(m->key, "__proto__", 9) != 0)
            object_set_ref(&b, m->key, m->key_len, schema);
    }
    *ret = value_obj(c->arena, "type", value_string(c->arena, "object"), "properties",
                     object_end(&b), NULL);
    return 0;
}

static int schema_of_array(struct schema_context *c, const struct value *v,
                           const struct value *variables, const struct value **ret) {
    const struct value *schema;
    struct array_builder b;

    array_begin(&b, c->arena, v->len);
    for (VALUE_EACH_ITEM(item, v)) {
        if (schema_of(c, item, variables, &schema) < 0)
            return -1;
        array_push(&b, schema);
    }
    *ret = value_obj(c->arena, "type", value_string(c->arena, "array"), "items",
                     schema_merge(c->arena, array_end(&b)), NULL);
    return 0;
}

static int schema_of_plain(struct schema_context *c, const struct value *v,
                           const struct value *variables, const struct value **ret) {
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        *ret = &value_undefined;
        return 0;
    case VALUE_BOOL:
        return fixed(c, "boolean", NULL, ret);
    case VALUE_NUMBER:
        return fixed(c, "number", NULL, ret);
    case VALUE_STRING:
        return fixed(c, "string", NULL, ret);
    case VALUE_ARRAY:
        return schema_of_array(c, v, variables, ret);
    case VALUE_DATE:
    case VALUE_OBJECT:
        break;
    }
    return schema_of_object(c, v, variables, ret);
}

static int schema_of(struct schema_context *c, const struct value *v,
                     const struct value *variables, const struct value **ret) {
    const struct formula_operator *op =
        c->ignore_formulas ? NULL : formula_operator_of(v);
    int rc;

    if (c->depth == FORMULA_MAX_DEPTH)
        return st_fail(c->st, ST_BAD_REQUEST, "formula_limit",
                       "Formula is nested too deeply");
    if (op && op->id == FORMULA_RESERVED)
        return st_fail(c->st, ST_BAD_REQUEST, NULL, "Reserved name used as a formula: %s",
                       v->members[0].key);
    c->depth++;
    rc = op ? schema_functions[op->id](c, formula_argument(v), variables, ret)
            : schema_of_plain(c, v, variables, ret);
    c->depth--;
    return rc;
}

int formula_schema(struct arena *a, const struct value *v,
                   const struct value *variables_schema, bool ignore_formulas,
                   const struct value **ret_schema, struct status *st) {
    struct schema_context c = {.arena = a, .st = st, .ignore_formulas = ignore_formulas};

    return schema_of(&c, v, variables_schema, ret_schema);
}

/* ---- operators of $eval ---- */

enum applies { SCALAR, SCALAR_NOT_BOOLEAN, TEXT_OR_ARRAY, NUMERIC, ANY };
enum operand { SAME, ARRAY_OF_SAME, ITEM_OR_TEXT, NUMBER, NONE };

struct comparison {
    const char *name, *title;
    enum applies applies;
    enum operand operand;
};

static const struct comparison comparisons[] = {
#define COMPARISON(name, title, function, applies, operand)                              \
    {name, title, applies, operand},
#include "comparisons.def"
#undef COMPARISON
};

static bool has_type(const struct value *schema, const char *type) {
    return value_equals_text(value_get(schema, "type"), type);
}

static bool applies_to(const struct comparison *x, const struct value *schema) {
    switch (x->applies) {
    case SCALAR:
        return schema_is_scalar(schema);
    case SCALAR_NOT_BOOLEAN:
        return schema_is_scalar(schema) && !has_type(schema, "boolean");
    case TEXT_OR_ARRAY:
        return (has_type(schema, "string") && schema_allows_custom_value(schema)) ||
               has_type(schema, "array");
    case NUMERIC:
        return schema_is_number(schema);
    case ANY:
        break;
    }
    return true;
}

static const struct value *operand_schema(struct arena *a, const struct comparison *x,
                                          const struct value *schema) {
    switch (x->operand) {
    case SAME:
        return schema;
    case ARRAY_OF_SAME:
        return value_obj(a, "type", value_string(a, "array"), "items", schema, NULL);
    case ITEM_OR_TEXT:
        return has_type(schema, "array")
                   ? value_get(schema, "items")
                   : value_obj(a, "type", value_string(a, "string"), NULL);
    case NUMBER:
        return value_obj(a, "type", value_string(a, "number"), NULL);
    case NONE:
        break;
    }
    return &value_null;
}

static const struct value *describe(struct arena *a, const struct comparison *x,
                                    const struct value *schema) {
    const struct value *operand = operand_schema(a, x, schema);

    return value_obj(a, "key", value_string(a, x->name), "name",
                     value_string(a, x->title), "operandSchema", operand, "hasOperand",
                     value_bool(value_truthy(operand)), NULL);
}

int formula_available_operators(struct arena *a, const struct value *formula,
                                const struct value *variables_schema,
                                const struct value **ret_operators, struct status *st) {
    const struct value *schema;
    struct array_builder b;

    if (formula_schema(a, value_get(formula, "$eval"), variables_schema, false, &schema,
                       st) < 0)
        return -1;
    array_begin(&b, a, 0);
    for (size_t i = 0; i < sizeof(comparisons) / sizeof(*comparisons); i++)
        if (applies_to(&comparisons[i], schema))
            array_push(&b, describe(a, &comparisons[i], schema));
    *ret_operators = array_end(&b);
    return 0;
}

int formula_operator_info(struct arena *a, const struct value *formula,
                          const struct value *variables_schema,
                          const struct value **ret_operator, struct status *st) {
    const struct value *schema;

    if (formula_schema(a, value_get(formula, "$eval"), variables_schema, false, &schema,
                       st) < 0)
        return -1;
    *ret_operator = &value_null;
    if (value_members_count(formula) < 2)
        return 0;
    for (size_t i = 0; i < sizeof(comparisons) / sizeof(*comparisons); i++)
        if (strcmp(comparisons[i].name, formula->members[1].key) == 0)
            *ret_operator = describe(a, &comparisons[i], schema);
    return 0;
}
