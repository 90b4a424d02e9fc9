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

/* ---- A list of them, function by function ---- */

/* A record on its way from what a method gave to what is served. */
struct draft {
    const struct value *given, *record, *fields;
};

struct drafts {
    struct data_collection *collection;
    struct draft *items;
    size_t len;
    /* Arguments and results of a function for some of them, and for which. */
    const struct value **args, **results;
    size_t *which, chosen;
};

static void choose(struct drafts *d, size_t i, const struct value *args) {
    d->args[d->chosen] = args;
    d->which[d->chosen++] = i;
}

static int call_for_chosen(struct drafts *d, const char *function, struct status *st) {
    return collection_call_each(d->collection, function, d->args, d->chosen, d->results,
                                st);
}

/* Legacy: a function that makes a record of whatever the app calls one. */
static int from_api(struct drafts *d, struct status *st) {
    struct arena *a = collection_arena(d->collection);
    const struct value *given;

    d->chosen = 0;
    for (size_t i = 0; i < d->len; i++) {
        given = d->items[i].record = d->items[i].given;
        if (!value_is_object(value_get(given, "fields")) || !value_has(given, "id"))
            choose(d, i,
                   value_merge(a, given,
                               value_obj(a, "record", given, "fields", given, NULL)));
    }
    if (!collection_has(d->collection, "recordFromApi") || d->chosen == 0)
        return 0;
    if (call_for_chosen(d, "recordFromApi", st) < 0)
        return -1;
    for (size_t i = 0; i < d->chosen; i++)
        d->items[d->which[i]].record = d->results[i];
    return 0;
}

static int find_fields(struct drafts *d, struct status *st) {
    static const char *const only_id[] = {"id", NULL};

    for (size_t i = 0; i < d->len; i++) {
        struct draft *item = &d->items[i];

        if (!value_is_object(item->record))
            return st_fail(st, ST_CONFIGURATION, NULL,
                           "a record of the collection \"%.100s\" is no object",
                           d->collection->key);
        item->fields = value_get(item->record, "fields");
        if (!value_is_object(item->fields)) {
            /* A method that gives the app's own objects: they are the fields. */
            item->fields = item->record;
            item->record =
                value_pick(collection_arena(d->collection), item->record, only_id);
        }
    }
    return 0;
}

/* Calls a function of {fields} for all; nothing is chosen when there is none. */
static int call_with_fields(struct drafts *d, const char *function, struct status *st) {
    struct arena *a = collection_arena(d->collection);

    d->chosen = 0;
    if (!collection_has(d->collection, function))
        return 0;
    for (size_t i = 0; i < d->len; i++)
        choose(d, i, value_obj(a, "fields", d->items[i].fields, NULL));
    return call_for_chosen(d, function, st);
}

static int fields_from_api(struct drafts *d, struct status *st) {
    if (call_with_fields(d, "fieldsFromApi", st) < 0)
        return -1;
    for (size_t i = 0; i < d->chosen; i++)
        d->items[i].fields =
            value_is_object(d->results[i]) ? d->results[i] : &value_empty_object;
    return 0;
}

/* What recordFromFields knows lies below what the method said. */
static int record_from_fields(struct drafts *d, struct status *st) {
    struct object_builder b;

    if (call_with_fields(d, "recordFromFields", st) < 0)
        return -1;
    for (size_t i = 0; i < d->chosen; i++) {
        object_begin(&b, collection_arena(d->collection), 12);
        object_set_all(&b, d->results[i]);
        for (VALUE_EACH_MEMBER(m, d->items[i].record))
            if (!value_is_nullish(&m->value))
                object_set_key(&b, m, &m->value);
        d->items[i].record = object_end(&b);
    }
    return 0;
}

static int served(struct data_collection *c, const struct draft *item,
                  const struct value **ret_record, struct status *st) {
    struct arena *a = collection_arena(c);
    const char *id = collection_id_text(a, value_get(item->record, "id"));
    const struct value *unified, *record;
    int rc;

    if (!id)
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "the collection \"%.100s\" gave a record without an id", c->key);
    record = shape(a, id, item->record, item->fields);
    rc = collection_native_to_unified(c, item->fields, &unified, st);
    if (rc == 0)
        record = value_merge(
            a, record,
            value_obj(a, "udm", value_string(a, c->udm), "unifiedFields", unified, NULL));
    *ret_record = record;
    return rc < 0 ? -1 : 0;
}

int collection_records(struct data_collection *c, const struct value *list,
                       struct array_builder *ret_records, struct status *st) {
    struct arena *a = collection_arena(c);
    size_t n = value_items_count(list);
    struct drafts d = {.collection = c,
                       .items = arena_zalloc(a, (n + 1) * sizeof(*d.items)),
                       .len = n,
                       .args = arena_zalloc(a, (n + 1) * sizeof(*d.args)),
                       .results = arena_zalloc(a, (n + 1) * sizeof(*d.results)),
                       .which = arena_zalloc(a, (n + 1) * sizeof(*d.which))};
    const struct value *record = &value_undefined;

    array_begin(ret_records, a, n);
    for (size_t i = 0; i < n; i++)
        d.items[i].given = value_at(list, i);
    if (n == 0)
        return 0;
    if (from_api(&d, st) < 0 || find_fields(&d, st) < 0 || fields_from_api(&d, st) < 0 ||
        record_from_fields(&d, st) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (served(c, &d.items[i], &record, st) < 0)
            return -1;
        array_push(ret_records, record);
    }
    return 0;
}

int collection_record(struct data_collection *c, const struct value *given,
                      const struct value **ret_record, struct status *st) {
    struct arena *a = collection_arena(c);
    struct array_builder list, records;

    array_begin(&list, a, 1);
    array_push(&list, given);
    if (collection_records(c, array_end(&list), &records, st) < 0)
        return -1;
    *ret_record = value_at(array_end(&records), 0);
    return 0;
}
