/*
 * formula_lookup.c - formulas that ask the outside when they are resolved:
 * $lookup, $findAppRecordId, $findExternalRecordId, $dataSchemaRef.
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula_priv.h"

/* The formula again, with its built argument. */
static int built_formula(struct formula_eval *e, const struct formula_node *n,
                         const struct formula_scope *s, struct value *ret) {
    struct value arg;

    if (formula_eval_argument(e, n, s, &arg) < 0)
        return -1;
    *ret = formula_single(e->arena, n->source->members[0].key, &arg);
    return 0;
}

int formula_compile_lookup(struct formula_compiler *c, struct formula_node *n,
                           const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_lookup(struct formula_eval *e, const struct formula_node *n,
                        const struct formula_scope *s, struct value *ret) {
    const struct value *request, *result = &value_undefined;
    struct value arg;

    if (!e->lookups->lookup)
        return built_formula(e, n, s, ret);
    if (formula_eval_argument(e, n, s, &arg) < 0)
        return -1;
    request = value_obj(e->arena, "lookup", value_box(e->arena, arg), "schema", s->schema,
                        "fullValue", e->full_value, NULL);
    if (e->lookups->lookup(e->lookups->ctx, e->arena, request, &result, e->st) < 0)
        return -1;
    *ret = *result;
    return 0;
}

typedef int link_lookup(void *ctx, struct arena *a, const struct value *table_key,
                        const struct value *record_id, const struct value **ret_id,
                        struct status *st);

static int find_record_id(struct formula_eval *e, const struct formula_node *n,
                          const struct formula_scope *s, link_lookup *find,
                          struct value *ret) {
    const struct value *key, *record_id, *result = &value_undefined;
    struct value arg;

    if (!find)
        return built_formula(e, n, s, ret);
    if (formula_eval_argument(e, n, s, &arg) < 0)
        return -1;
    key = value_get(value_get(&arg, "dataLinkTable"), "key");
    record_id = value_get(&arg, "recordId");
    if (value_truthy(key) && value_truthy(record_id) &&
        find(e->lookups->ctx, e->arena, key, record_id, &result, e->st) < 0)
        return -1;
    *ret = *result;
    return 0;
}

int formula_compile_find_app_record_id(struct formula_compiler *c, struct formula_node *n,
                                       const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_find_app_record_id(struct formula_eval *e, const struct formula_node *n,
                                    const struct formula_scope *s, struct value *ret) {
    return find_record_id(e, n, s, e->lookups->app_record_id, ret);
}

int formula_compile_find_external_record_id(struct formula_compiler *c,
                                            struct formula_node *n,
                                            const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_find_external_record_id(struct formula_eval *e,
                                         const struct formula_node *n,
                                         const struct formula_scope *s,
                                         struct value *ret) {
    return find_record_id(e, n, s, e->lookups->external_record_id, ret);
}

int formula_compile_data_schema_ref(struct formula_compiler *c, struct formula_node *n,
                                    const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_data_schema_ref(struct formula_eval *e, const struct formula_node *n,
                                 const struct formula_scope *s, struct value *ret) {
    const struct formula_lookups *l = e->lookups;
    const struct value *result = &value_undefined, *key;
    struct value arg;

    *ret = value_undefined;
    if (!e->resolving)
        return 0;
    if (formula_eval_argument(e, n, s, &arg) < 0)
        return -1;
    key = value_get(&arg, "key");
    if (value_equals_text(value_get(&arg, "type"), "data-collection")) {
        if (l->data_collection &&
            l->data_collection(l->ctx, e->arena, key, value_get(&arg, "parameters"),
                               &result, e->st) < 0)
            return -1;
        result = value_get(result, "fieldsSchema");
    } else if (value_equals_text(value_get(formula_argument(n->source), "type"),
                                 "internal-data-schema") &&
               l->internal_schema) {
        if (l->internal_schema(l->ctx, e->arena, key, &result, e->st) < 0)
            return -1;
    }
    *ret = *result;
    return 0;
}
