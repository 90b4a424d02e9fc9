/*
 * schema_plan.c - compiling schemas.
 */
#include "schema/schema_plan.h"

#include "base/arena.h"
#include "schema/schema_plan_priv.h"
#include "schema/schema_priv.h"

static void compile(struct arena *a, const struct value *schema, struct schema_plan *p);

static enum plan_type type_of(const struct value *type) {
    static const struct {
        const char *name;
        enum plan_type type;
    } names[] = {
        {"string", PLAN_STRING},   {"object", PLAN_OBJECT},   {"number", PLAN_NUMBER},
        {"boolean", PLAN_BOOLEAN}, {"integer", PLAN_INTEGER}, {"array", PLAN_ARRAY},
        {"null", PLAN_NULL},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (value_equals_text(type, names[i].name))
            return names[i].type;
    }
    return PLAN_ANY;
}

static void compile_properties(struct arena *a, const struct value *schema,
                               struct schema_plan *p) {
    struct plan_property *list;
    struct schema_plan *plans;

    p->properties = schema_entries(a, value_get(schema, "properties"));
    list = arena_alloc(a, p->properties->len * sizeof *list);
    plans = arena_alloc(a, p->properties->len * sizeof *plans);
    for (size_t i = 0; i < p->properties->len; i++) {
        const struct member *m = &p->properties->members[i];

        compile(a, &m->value, &plans[i]);
        list[i] = (struct plan_property){m, &plans[i],
                                         value_truthy(value_get(&m->value, "readOnly"))};
    }
    p->list = list;
}

static void compile_required(struct arena *a, const struct value *schema,
                             struct schema_plan *p) {
    const struct value *names = value_get(schema, "required");
    struct member *required = arena_alloc(a, value_items_count(names) * sizeof *required);

    for (VALUE_EACH_ITEM(name, names)) {
        if (!value_is_string(name))
            continue;
        required[p->required_count++] = (struct member){
            name->str, name->len, value_hash_key(name->str, name->len), value_undefined};
    }
    p->required = required;
}

/* A type list: the same schema with each of the types. */
static void compile_types(struct arena *a, const struct value *types,
                          struct schema_plan *p) {
    struct schema_plan *plans = arena_alloc(a, types->len * sizeof *plans);

    for (size_t i = 0; i < types->len; i++) {
        plans[i] = *p;
        plans[i].type = type_of(&types->items[i]);
    }
    p->has_alternatives = true;
    p->alternatives = plans;
    p->alternative_count = types->len;
}

static void compile_any_of(struct arena *a, const struct value *any_of,
                           struct schema_plan *p) {
    struct schema_plan *plans = arena_alloc(a, any_of->len * sizeof *plans);

    for (size_t i = 0; i < any_of->len; i++)
        compile(a, &any_of->items[i], &plans[i]);
    p->has_alternatives = true;
    p->alternatives = plans;
    p->alternative_count = any_of->len;
}

static void compile(struct arena *a, const struct value *schema, struct schema_plan *p) {
    const struct value *type = value_get(schema, "type");
    const struct value *any_of = value_get(schema, "anyOf");
    const struct value *items = value_get(schema, "items");

    *p = (struct schema_plan){
        .type = type_of(type),
        .is_nothing = !value_truthy(schema),
        .keeps_unknown = value_truthy(value_get(schema, "additionalProperties")),
        .otherwise = value_get(schema, "default"),
        .properties = &value_empty_object,
    };
    if (p->type == PLAN_OBJECT || value_is_array(type)) {
        compile_properties(a, schema, p);
        compile_required(a, schema, p);
    }
    if ((p->type == PLAN_ARRAY || value_is_array(type)) && value_is_object(items)) {
        struct schema_plan *plan = arena_alloc(a, sizeof *plan);

        compile(a, items, plan);
        p->items = plan;
    }
    if (value_is_array(any_of))
        compile_any_of(a, any_of, p);
    else if (value_is_array(type))
        compile_types(a, type, p);
}

const struct schema_plan *schema_compile(struct arena *a, const struct value *schema) {
    struct schema_plan *p = arena_alloc(a, sizeof *p);

    compile(a, schema, p);
    return p;
}
