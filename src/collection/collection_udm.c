/*
 * collection_udm.c - native and unified fields of a collection (engine.md 8.4).
 *
 * The mapping of a model is that of udm.yml whose key and parameters fit the collection,
 * else what the collection's own files say (udm-extract-x, udm-parse-x). A model without
 * any is read through the models that stand in for it.
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "collection_priv.h"
#include "formula/formula.h"
#include "locator/locator.h"
#include "mapping/udm.h"
#include "schema/data_location.h"

/* {fieldsFromCollection, fieldsToCollection} of a model, or undefined. */
static const struct value *mapping_of(struct data_collection *c, const char *model) {
    struct arena *a = collection_arena(c);
    const struct value *of_model = value_path(c->session->contents, "udm", model, NULL);
    const struct value *own = value_path(c->definition, "udm", model, NULL);

    for (VALUE_EACH_ITEM(m, value_get(of_model, "collectionMappings")))
        if (value_equals_text(value_get(m, "key"), c->key) &&
            data_location_parameters_match(a, c->parameters, value_get(m, "parameters")))
            return m;
    if (!value_is_object(own))
        return &value_undefined;
    return value_obj(a, "fieldsFromCollection", value_get(own, "extract"),
                     "fieldsToCollection", value_get(own, "parse"), NULL);
}

/* As mapping_of, also through the models that stand in. */
static const struct value *wanted_mapping(struct data_collection *c) {
    struct arena *a = collection_arena(c);
    const struct value *mapping;
    struct value name;

    if (!c->udm)
        return &value_undefined;
    mapping = mapping_of(c, c->udm);
    name = value_string_ref(c->udm, strlen(c->udm));
    if (value_is_object(mapping))
        return mapping;
    for (VALUE_EACH_ITEM(other, udm_stand_ins(a, &name))) {
        mapping = mapping_of(c, value_text(other));
        if (value_is_object(mapping))
            return mapping;
    }
    return &value_undefined;
}

static bool is_default_of(struct data_collection *c, const struct value *of_model) {
    return value_equals_text(value_path(of_model, "defaultCollection", "key", NULL),
                             c->key);
}

const char *collection_default_udm(struct data_collection *c) {
    const char *found = NULL;

    for (VALUE_EACH_MEMBER(m, value_get(c->session->contents, "udm"))) {
        struct value name = value_string_ref(m->key, m->key_len);

        if (!udm_is_known(&name) || !value_is_object(mapping_of(c, m->key)))
            continue;
        if (is_default_of(c, &m->value))
            return m->key;
        if (!found)
            found = m->key;
    }
    for (VALUE_EACH_MEMBER(m, value_get(c->definition, "udm"))) {
        struct value name = value_string_ref(m->key, m->key_len);

        if (!found && udm_is_known(&name))
            found = m->key;
    }
    return found;
}

/* ---- fields that follow from others ---- */

/* The same tree with a variable in the place of every scalar. */
static const struct value *as_variables(struct arena *a, const struct value *v,
                                        const struct value *place) {
    struct array_builder items;
    struct object_builder b;
    size_t n = 0;

    if (value_is_object(v)) {
        object_begin(&b, a, v->len);
        for (VALUE_EACH_MEMBER(m, v))
            if (!value_is(&m->value, VALUE_UNDEFINED))
                object_set_key(
                    &b, m,
                    as_variables(a, &m->value,
                                 locator_with_property(a, place, m->key, m->key_len)));
        return object_end(&b);
    }
    if (value_is_array(v)) {
        array_begin(&items, a, v->len);
        for (VALUE_EACH_ITEM(i, v))
            array_push(
                &items,
                as_variables(a, i, value_stringf(a, "%s[%zu]", value_text(place), n++)));
        return array_end(&items);
    }
    return value_obj(a, "$var", place, NULL);
}

/*
 * Adds the fields that the model derives from those that are there. The model's formulas
 * work on variables, so that nothing of the record itself is taken for a formula.
 */
static int add_derived(struct data_collection *c, const struct value *unified,
                       const struct value **ret, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *variables = as_variables(a, unified, value_string(a, "$"));
    const struct value *all, *built;
    struct object_builder b;

    if (udm_add_fallback_fields(a, variables, value_string(a, c->udm), &all, st) < 0)
        return -1;
    object_begin(&b, a, value_members_count(all));
    for (VALUE_EACH_MEMBER(m, all)) {
        const struct value *own = value_find_key(variables, m);

        if (own && value_equal(own, &m->value))
            built = value_find_key(unified, m);
        else if (formula_build_value(a, &m->value, unified, &built, st) < 0)
            return st_context(st, "%s of %s", m->key, c->udm);
        if (!value_is(built, VALUE_UNDEFINED))
            object_set_key(&b, m, built);
    }
    *ret = object_end(&b);
    return 0;
}

/* ---- there and back ---- */

int collection_native_to_unified(struct data_collection *c, const struct value *fields,
                                 const struct value **ret_unified, struct status *st) {
    const struct value *from = value_get(wanted_mapping(c), "fieldsFromCollection");
    struct arena *a = collection_arena(c);
    const struct value *unified;

    if (value_is_nullish(from))
        return 1;
    if (collection_build(c, from, fields, &unified, st) < 0)
        return st_context(st, "fieldsFromCollection of %s", c->udm);
    if (!value_is_object(unified))
        return 1;
    unified = collection_drop_undefined(a, unified);
    return add_derived(c, unified, ret_unified, st);
}

int collection_unified_to_native(struct data_collection *c, const struct value *unified,
                                 const struct value **ret_fields, struct status *st) {
    const struct value *to = value_get(wanted_mapping(c), "fieldsToCollection");
    struct arena *a = collection_arena(c);
    const struct value *fields;

    if (value_is_nullish(to))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the connector does not say how to write %s into the collection "
                       "\"%.100s\"",
                       c->udm ? c->udm : "unified fields", c->key);
    if (add_derived(c, unified, &unified, st) < 0)
        return -1;
    if (collection_build(c, to, unified, &fields, st) < 0)
        return st_context(st, "fieldsToCollection of %s", c->udm);
    *ret_fields = value_is_object(fields) ? collection_drop_undefined(a, fields)
                                          : &value_empty_object;
    return 0;
}
