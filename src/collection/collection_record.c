/*
 * collection_record.c - records in the served shape (engine.md 8.2, 8.3).
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "collection_priv.h"

const char *collection_id_text(struct arena *a, const struct value *v) {
    char number[32];

    if (value_is_string(v))
        return v->len ? v->str : NULL;
    if (!value_is_number(v))
        return NULL;
    value_format_number(v->number, number);
    return arena_strdup(a, number);
}

const struct value *collection_drop_undefined(struct arena *a, const struct value *o) {
    struct object_builder b;

    object_begin(&b, a, value_members_count(o));
    for (VALUE_EACH_MEMBER(m, o))
        if (!value_is(&m->value, VALUE_UNDEFINED))
            object_set_key(&b, m, &m->value);
    return object_end(&b);
}

/* Legacy: a function that makes a record of whatever the app calls one. */
static int from_api(struct data_collection *c, const struct value *given,
                    const struct value **ret, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *args;

    if (!collection_has(c, "recordFromApi"))
        return 0;
    args = value_merge(a, given, value_obj(a, "record", given, "fields", given, NULL));
    return collection_call(c, "recordFromApi", args, ret, st);
}

/* What recordFromFields knows lies below what the method said. */
static int fill_from_fields(struct data_collection *c, const struct value *fields,
                            const struct value **record, struct status *st) {
    struct arena *a = collection_arena(c);
    struct object_builder b;
    const struct value *known;

    if (!collection_has(c, "recordFromFields"))
        return 0;
    if (collection_call(c, "recordFromFields", value_obj(a, "fields", fields, NULL),
                        &known, st) < 0)
        return -1;
    object_begin(&b, a, 12);
    object_set_all(&b, known);
    for (VALUE_EACH_MEMBER(m, *record))
        if (!value_is_nullish(&m->value))
            object_set_key(&b, m, &m->value);
    *record = object_end(&b);
    return 0;
}

/* Members that are text: numbers and dates are written out, the rest is left away. */
static void set_text(struct object_builder *b, struct arena *a, const char *name,
                     const struct value *v) {
    char date[32];

    if (value_is(v, VALUE_DATE)) {
        value_format_date(v->number, date);
        object_set_string(b, name, date);
    } else if (value_is_string(v)) {
        object_set(b, name, v);
    } else if (value_is_number(v)) {
        object_set_string(b, name, collection_id_text(a, v));
    }
}

static const struct value *shape(struct arena *a, const char *id,
                                 const struct value *record, const struct value *fields) {
    static const char *const texts[] = {"name",        "uri",         "iconUri",
                                        "createdTime", "updatedTime", "deletedTime",
                                        "createdById", "updatedById"};
    struct object_builder b;

    object_begin(&b, a, 12);
    object_set_string(&b, "id", id);
    set_text(&b, a, "uri", value_get(record, "url")); /* the old name */
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        set_text(&b, a, texts[i], value_get(record, texts[i]));
    object_set(&b, "fields", fields);
    if (value_is_object(value_get(record, "rawFields")))
        object_set(&b, "rawFields", value_get(record, "rawFields"));
    return object_end(&b);
}

int collection_record(struct data_collection *c, const struct value *given,
                      const struct value **ret_record, struct status *st) {
    struct arena *a = collection_arena(c);
    const struct value *record = given, *fields, *unified;
    bool is_record;
    const char *id;
    int rc;

    is_record = value_is_object(value_get(given, "fields")) && value_has(given, "id");
    if (!is_record && from_api(c, given, &record, st) < 0)
        return -1;
    if (!value_is_object(record))
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "a record of the collection \"%.100s\" is no object", c->key);
    fields = value_get(record, "fields");
    if (!value_is_object(fields)) {
        /* A method that gives the app's own objects: they are the fields. */
        static const char *const only_id[] = {"id", NULL};

        fields = record;
        record = value_pick(a, record, only_id);
    }
    if (collection_has(c, "fieldsFromApi") &&
        collection_call(c, "fieldsFromApi", value_obj(a, "fields", fields, NULL), &fields,
                        st) < 0)
        return -1;
    if (!value_is_object(fields))
        fields = &value_empty_object;
    if (fill_from_fields(c, fields, &record, st) < 0)
        return -1;
    id = collection_id_text(a, value_get(record, "id"));
    if (!id)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the collection \"%.100s\" gave a record without an id", c->key);
    record = shape(a, id, record, fields);
    rc = collection_native_to_unified(c, fields, &unified, st);
    if (rc == 0)
        record = value_merge(
            a, record,
            value_obj(a, "udm", value_string(a, c->udm), "unifiedFields", unified, NULL));
    *ret_record = record;
    return rc < 0 ? -1 : 0;
}
