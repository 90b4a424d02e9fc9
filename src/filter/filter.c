/*
 * filter.c - compiling and matching data filters.
 *
 * A condition keeps its parsed field and what its operator needs of the operand
 * (its text, its number), so that matching allocates nothing but the text of
 * values that are no text. Values are tested one by one as the walk finds them;
 * the first that passes ends it.
 */
#include "filter/filter.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "locator/coerce.h"
#include "locator/locator.h"
#include "schema/schema.h"
#include "value/value.h"

struct operator;

struct condition {
    const struct operator* operator; /* NULL: reaching it is an error */
    struct locator field;
    const struct value *operand;
    struct bytes text;   /* of the operand; only for operators on text */
    double number;       /* of the operand; only for operators on numbers */
    const char *mistake; /* the message of the error */
};

struct filter {
    size_t len;
    struct condition *conditions;
};

/* ---- Tests: v a value of the field (undefined when there is none) ---- */

static bool test_is(const struct condition *c, const struct value *v) {
    return coerce_loose_equal(v, c->operand);
}

static bool test_is_not(const struct condition *c, const struct value *v) {
    return !coerce_loose_equal(v, c->operand);
}

static bool test_is_one_of(const struct condition *c, const struct value *v) {
    return coerce_includes(c->operand, v);
}

static bool test_is_not_one_of(const struct condition *c, const struct value *v) {
    return !coerce_includes(c->operand, v);
}

static bool test_is_true(const struct condition *c, const struct value *v) {
    (void)c;
    return value_truthy(v);
}

static bool test_is_false(const struct condition *c, const struct value *v) {
    (void)c;
    return value_is(v, VALUE_BOOL) && !v->boolean;
}

static bool contains_text(const struct condition *c, const struct value *v) {
    struct buf text = BUF_INIT;
    bool found;

    if (value_is_string(v))
        return memmem(v->str, v->len, c->text.data, c->text.len) != NULL;
    coerce_append_text(&text, v);
    found =
        memmem(text.data ? text.data : "", text.len, c->text.data, c->text.len) != NULL;
    buf_fini(&text);
    return found;
}

static bool test_contains(const struct condition *c, const struct value *v) {
    return value_truthy(v) && contains_text(c, v);
}

static bool test_does_not_contain(const struct condition *c, const struct value *v) {
    return value_truthy(v) && !contains_text(c, v);
}

static bool test_array_includes(const struct condition *c, const struct value *v) {
    for (VALUE_EACH_ITEM(item, v)) {
        if (coerce_strict_equal(item, c->operand))
            return true;
    }
    return false;
}

static bool test_array_does_not_include(const struct condition *c,
                                        const struct value *v) {
    return !test_array_includes(c, v);
}

/* Comparisons with NaN are false in C, too. */
static bool test_less_than(const struct condition *c, const struct value *v) {
    return coerce_parse_float(v) < c->number;
}

static bool test_less_than_or_equal(const struct condition *c, const struct value *v) {
    return coerce_parse_float(v) <= c->number;
}

static bool test_more_than(const struct condition *c, const struct value *v) {
    return coerce_parse_float(v) > c->number;
}

static bool test_more_than_or_equal(const struct condition *c, const struct value *v) {
    return coerce_parse_float(v) >= c->number;
}

static bool test_is_empty(const struct condition *c, const struct value *v) {
    (void)c;
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
    case VALUE_DATE: /* an object without keys */
        return true;
    case VALUE_STRING:
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        return v->len == 0;
    case VALUE_BOOL:
    case VALUE_NUMBER:
        break;
    }
    return false;
}

static bool test_is_not_empty(const struct condition *c, const struct value *v) {
    return !test_is_empty(c, v);
}

/* ---- Which operators a schema offers ---- */

static bool type_is(const struct value *schema, const char *type) {
    return value_equals_text(value_get(schema, "type"), type);
}

static bool for_scalar(const struct value *schema) {
    return schema_is_scalar(schema) && !type_is(schema, "boolean");
}

static bool for_boolean(const struct value *schema) {
    return type_is(schema, "boolean");
}

static bool for_text(const struct value *schema) {
    return type_is(schema, "string") && schema_allows_custom_value(schema);
}

static bool for_list(const struct value *schema) {
    return type_is(schema, "array") && value_truthy(value_get(schema, "items"));
}

static bool for_number(const struct value *schema) {
    return schema_is_number(schema);
}

static bool for_every(const struct value *schema) {
    (void)schema;
    return true;
}

static const struct value *operand_same(struct arena *a, const struct value *schema) {
    (void)a;
    return schema;
}

static const struct value *operand_list(struct arena *a, const struct value *schema) {
    return value_obj(a, "type", value_string(a, "array"), "items", schema, NULL);
}

static const struct value *operand_item(struct arena *a, const struct value *schema) {
    (void)a;
    return value_get(schema, "items");
}

static const struct value *operand_text(struct arena *a, const struct value *schema) {
    (void)schema;
    return value_obj(a, "type", value_string(a, "string"), NULL);
}

static const struct value *operand_number(struct arena *a, const struct value *schema) {
    (void)schema;
    return value_obj(a, "type", value_string(a, "number"), NULL);
}

static const struct value *operand_none(struct arena *a, const struct value *schema) {
    (void)a;
    (void)schema;
    return &value_null;
}

/* ---- The table ---- */

enum operator_index {
#define OPERATOR(id, type, name, test, offered, operand) id,
#include "filter/filter_operators.def"
    FILTER_OPERATOR_COUNT
};

struct operator{
    const char *type;
    const char *name;
    bool (*test)(const struct condition *, const struct value *);
    bool (*offered_for)(const struct value *schema);
    const struct value *(*operand_schema)(struct arena *, const struct value *schema);
};

static const struct operator operators[FILTER_OPERATOR_COUNT] = {
#define OPERATOR(id, type, name, test, offered, operand)                                 \
    {type, name, test, offered, operand},
#include "filter/filter_operators.def"
};

static const struct operator* find_operator(const struct value *type) {
    for (size_t i = 0; i < FILTER_OPERATOR_COUNT; i++) {
        if (value_equals_text(type, operators[i].type))
            return &operators[i];
    }
    return NULL;
}

const struct value *filter_operators_for(struct arena *a, const struct value *schema) {
    struct array_builder b;

    array_begin(&b, a, FILTER_OPERATOR_COUNT);
    if (!value_is_object(schema) && !value_is_array(schema))
        return array_end(&b);
    for (size_t i = 0; i < FILTER_OPERATOR_COUNT; i++) {
        const struct operator* o = & operators[i];

        if (o->offered_for(schema))
            array_push(&b, value_obj(a, "type", value_string(a, o->type), "name",
                                     value_string(a, o->name), "operandSchema",
                                     o->operand_schema(a, schema), NULL));
    }
    return array_end(&b);
}

/* ---- Walking to the values of a field ---- */

/* Called per value; true ends the walk. */
typedef bool value_fn(void *ctx, const struct value *v);

struct field_walk {
    value_fn *fn;
    void *ctx;
    size_t found;
    struct arena *arena; /* NULL: no values that must be made (text.length) */
};

static bool walk_steps(struct field_walk *w, const struct value *v,
                       const struct locator_step *steps, size_t n);

static bool give(struct field_walk *w, const struct value *v) {
    if (value_is_nullish(v))
        return false;
    w->found++;
    return w->fn(w->ctx, v);
}

/* Text has a length and characters. */
static bool walk_text(struct field_walk *w, const struct value *text,
                      const struct locator_step *steps, size_t n) {
    size_t units = value_utf16_length(text->str, text->len);
    double index;

    if (steps->name_len == 6 && memcmp(steps->name, "length", 6) == 0) {
        struct value length = {.type = VALUE_NUMBER, .number = (double)units};

        return n == 1 ? give(w, w->arena ? value_box(w->arena, length) : &length) : false;
    }
    if (steps->name_len == 0 || steps->name_len > 9 ||
        strspn(steps->name, "0123456789") != steps->name_len ||
        (steps->name[0] == '0' && steps->name_len > 1))
        return false;
    index = value_string_to_number(steps->name, steps->name_len);
    if (index < (double)units) {
        struct arena *own = w->arena ? NULL : arena_new(0);
        bool done =
            walk_steps(w,
                       value_utf16_slice(own ? own : w->arena, text->str, text->len,
                                         (size_t)index, (size_t)index + 1),
                       steps + 1, n - 1);

        if (own)
            arena_free(&own);
        return done;
    }
    return false;
}

static bool walk_steps(struct field_walk *w, const struct value *v,
                       const struct locator_step *steps, size_t n) {
    for (; n > 0; steps++, n--) {
        if (value_is_nullish(v))
            return false;
        if (steps->type == LOCATOR_ITEM) {
            if (!value_is_array(v) || !(steps->index < v->len) ||
                steps->index != trunc(steps->index))
                return false;
            v = &v->items[(size_t)steps->index];
        } else if (value_is_array(v)) {
            for (VALUE_EACH_ITEM(item, v)) {
                if (walk_steps(w, item, steps, n))
                    return true;
            }
            return false;
        } else if (value_is_string(v)) {
            return walk_text(w, v, steps, n);
        } else {
            v = value_get_len(v, steps->name, steps->name_len);
        }
    }
    return give(w, v);
}

static bool collect(void *ctx, const struct value *v) {
    array_push(ctx, v);
    return false;
}

int filter_field_values(struct arena *a, const struct value *data,
                        const struct value *locator, const struct value **ret_values,
                        struct status *st) {
    struct array_builder b;
    struct field_walk w = {.fn = collect, .ctx = &b, .arena = a};
    struct locator l;

    if (locator_from_value(a, locator, &l, st) < 0)
        return -1;
    array_begin(&b, a, 4);
    walk_steps(&w, data, l.steps, l.len);
    *ret_values = array_end(&b);
    return 0;
}

/* ---- Compiling ---- */

/*
 * The reference looks operators up among everything a JavaScript object
 * inherits and fails on these names; no operator will ever be called so.
 */
static bool is_inherited_name(const struct value *type) {
    static const char *const names[] = {
        "__defineGetter__", "__defineSetter__", "__lookupGetter__",
        "__lookupSetter__", "__proto__",        "constructor",
        "hasOwnProperty",   "isPrototypeOf",    "propertyIsEnumerable",
        "toLocaleString",   "toString",         "valueOf",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (value_equals_text(type, names[i]))
            return true;
    }
    return false;
}

static bool needs_text(const struct operator* o) {
    return o == &operators[FILTER_CONTAINS] || o == &operators[FILTER_DOES_NOT_CONTAIN];
}

/* Fills *c; false when the condition is to be left out. */
static bool compile_condition(struct arena *a, const struct value *source,
                              struct condition *c) {
    const struct value *type = value_get(source, "operator");
    struct status st;

    *c = (struct condition){.operand = value_get(source, "value")};
    if (value_is_nullish(source)) {
        c->mistake = "A filter condition should be an object";
        return true;
    }
    c->operator= find_operator(type);
    if (!c->operator) {
        if (!is_inherited_name(type))
            return false;
        c->mistake = arena_printf(a, "Unknown filter operator: %s", type->str);
        return true;
    }
    st_init(&st, a);
    if (locator_from_value(a, value_get(source, "field"), &c->field, &st) < 0) {
        c->operator= NULL;
        c->mistake = st.message;
        return true;
    }
    if (needs_text(c->operator)) {
        const struct value *text = coerce_text(a, c->operand);

        c->text = value_bytes(text);
    }
    c->number = coerce_parse_float(c->operand);
    return true;
}

struct filter *filter_compile(struct arena *a, const struct value *source) {
    size_t n = value_items_count(source);
    struct filter *f = arena_zalloc(a, sizeof *f);

    f->conditions = arena_alloc(a, n * sizeof *f->conditions);
    for (VALUE_EACH_ITEM(item, source)) {
        if (compile_condition(a, item, &f->conditions[f->len]))
            f->len++;
    }
    return f;
}

bool filter_is_empty(const struct filter *f) {
    return f->len == 0;
}

/* ---- Matching ---- */

static bool test_value(void *ctx, const struct value *v) {
    const struct condition *c = ctx;

    return c->operator->test(c, v);
}

static bool condition_holds(struct condition *c, const struct value *data) {
    struct field_walk w = {.fn = test_value, .ctx = c};

    if (walk_steps(&w, data, c->field.steps, c->field.len))
        return true;
    return w.found == 0 && c->operator->test(c, &value_undefined);
}

int filter_match(const struct filter *f, const struct value *data, bool *ret_match,
                 struct status *st) {
    bool match = true;

    for (size_t i = 0; i < f->len && match; i++) {
        struct condition *c = &f->conditions[i];

        if (!c->operator)
            return st_fail(st, ST_BAD_REQUEST, NULL, "%s", c->mistake);
        match = condition_holds(c, data);
    }
    *ret_match = match;
    return 0;
}

int filter_match_once(struct arena *a, const struct value *source,
                      const struct value *data, bool *ret_match, struct status *st) {
    return filter_match(filter_compile(a, source), data, ret_match, st);
}
