/*
 * udm.c - unified data models.
 */
#include "mapping/udm.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula/formula_inspect.h"
#include "locator/locator.h"
#include "value/value.h"

struct model {
    const char *name;
    const char *singular;
    const char *plural;
    const char *fields;          /* notation of udm_models.def */
    const char *field_fallbacks; /* members of a JSON object */
    const char *model_fallbacks; /* names */
};

static const struct model models[] = {
#define MODEL(name, singular, plural, fields, field_fallbacks, model_fallbacks)          \
    {name, singular, plural, fields, field_fallbacks, model_fallbacks},
#include "mapping/udm_models.def"
};

#define MODEL_COUNT (sizeof models / sizeof *models)

static const struct model *find_model(const char *name, size_t len) {
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        if (strlen(models[i].name) == len && memcmp(models[i].name, name, len) == 0)
            return &models[i];
    }
    return NULL;
}

static const struct model *model_of(const struct value *name) {
    return value_is_string(name) ? find_model(name->str, name->len) : NULL;
}

bool udm_is_known(const struct value *model) {
    return model_of(model) != NULL;
}

const struct value *udm_names(struct arena *a) {
    struct array_builder b;

    array_begin(&b, a, MODEL_COUNT);
    for (size_t i = 0; i < MODEL_COUNT; i++)
        array_push(&b, value_string(a, models[i].name));
    return array_end(&b);
}

const struct value *udm_names_of(struct arena *a, const struct value *model) {
    const struct model *m = model_of(model);

    if (!m)
        return &value_undefined;
    return value_obj(a, "name", value_string(a, m->name), "singular",
                     value_string(a, m->singular), "plural", value_string(a, m->plural),
                     NULL);
}

/* ---- The notation of fields ---- */

/* Where the reader stands; the table is ours, so a mistake in it is an assertion. */
struct reader {
    struct arena *arena;
    const char *s;
};

static const struct value *read_fields(struct reader *r);

static const struct value *text(struct reader *r, const char *s, size_t len) {
    return value_string_len(r->arena, s, len);
}

/* Characters up to one that means something. */
static const struct value *read_word(struct reader *r, const char *stops) {
    size_t len = strcspn(r->s, stops);
    const struct value *word = text(r, r->s, len);

    r->s += len;
    return word;
}

static void expect(struct reader *r, char c) {
    assert(*r->s == c);
    r->s++;
}

static const struct value *read_enum(struct reader *r) {
    struct array_builder b;

    array_begin(&b, r->arena, 4);
    do {
        r->s++;
        array_push(&b, read_word(r, "|+! }]"));
    } while (*r->s == '|');
    return array_end(&b);
}

static void read_marks(struct reader *r, struct object_builder *b, bool is_boolean) {
    for (;;) {
        switch (*r->s) {
        case '!':
            r->s++;
            object_set_bool(b, "readOnly", true);
            break;
        case '@':
            r->s++;
            object_set(b, "referenceUdm", read_word(r, "! }]"));
            break;
        case '/':
            object_set_string(b, "format", r->s[1] == 't' ? "date-time" : "date");
            r->s += 2;
            break;
        case '=':
            object_set(b, "enum", read_enum(r));
            break;
        case '+':
            r->s++;
            object_set_bool(b, is_boolean ? "default" : "allowCustom", true);
            break;
        default:
            return;
        }
    }
}

/* A field after its name. */
static const struct value *read_type(struct reader *r) {
    const char kind = *r->s;
    struct object_builder b;

    object_begin(&b, r->arena, 4);
    if (kind == '{') {
        r->s++;
        object_set_string(&b, "type", "object");
        object_set(&b, "properties", read_fields(r));
        expect(r, '}');
    } else if (kind == '[') {
        r->s++;
        object_set_string(&b, "type", "array");
        object_set(&b, "items", read_type(r));
        expect(r, ']');
    } else if (kind == '#' || kind == '%' || kind == '?') {
        r->s++;
        object_set_string(&b, "type",
                          kind == '#'   ? "number"
                          : kind == '%' ? "integer"
                                        : "boolean");
    } else {
        object_set_string(&b, "type", "string");
    }
    read_marks(r, &b, kind == '?');
    return object_end(&b);
}

static const struct value *read_fields(struct reader *r) {
    struct object_builder b;

    object_begin(&b, r->arena, 16);
    while (*r->s && *r->s != '}') {
        const struct value *name = read_word(r, "#%?{[!@/=+ }");

        assert(name->len > 0);
        object_set_ref(&b, name->str, name->len, read_type(r));
        if (*r->s == ' ')
            r->s++;
    }
    return object_end(&b);
}

const struct value *udm_fields_schema(struct arena *a, const struct value *model) {
    const struct model *m = model_of(model);
    struct reader r = {a, m ? m->fields : ""};

    if (!m)
        return &value_undefined;
    return value_obj(a, "type", value_string(a, "object"), "properties", read_fields(&r),
                     NULL);
}

/* ---- Fallbacks ---- */

static int unknown_model(struct status *st, const struct value *model) {
    return st_fail(st, ST_BAD_REQUEST, NULL, "Unknown UDM: %s",
                   value_is_string(model) ? model->str : "no text");
}

static const struct value *fallbacks_of(struct arena *a, const struct model *m) {
    const char *json = arena_printf(a, "{%s}", m->field_fallbacks);
    const struct value *fallbacks;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, json, strlen(json), NULL, &fallbacks, &st) < 0)
        assert(!"udm_models.def: fallbacks should be JSON");
    return fallbacks;
}

/* Is any variable of the formula among the fields? */
static bool has_source(struct arena *a, const struct value *formula,
                       const struct value *fields) {
    const struct value *places = formula_variable_locators(a, formula);

    for (VALUE_EACH_ITEM(place, places)) {
        const struct value *variable = locator_get_at(a, formula, place);

        if (!value_is(locator_get_at(a, fields, value_get(variable, "$var")),
                      VALUE_UNDEFINED))
            return true;
    }
    return false;
}

static int fill_field(struct arena *a, const struct value *fields,
                      const struct value *field, const struct value *formulas,
                      const struct value **result, struct status *st) {
    const struct value *filled;

    if (!value_is(locator_get_at(a, fields, field), VALUE_UNDEFINED))
        return 0;
    for (VALUE_EACH_ITEM(formula, formulas)) {
        if (!has_source(a, formula, fields))
            continue;
        if (formula_transform(a, formula, fields, &filled, st) < 0)
            return -1;
        return locator_set_value(a, *result, field, filled, result, st);
    }
    return 0;
}

int udm_add_fallback_fields(struct arena *a, const struct value *fields,
                            const struct value *model, const struct value **ret_fields,
                            struct status *st) {
    const struct model *m = model_of(model);
    const struct value *fallbacks, *result = fields;

    if (!value_truthy(model)) {
        *ret_fields = fields;
        return 0;
    }
    if (!m)
        return unknown_model(st, model);
    fallbacks = fallbacks_of(a, m);
    for (VALUE_EACH_MEMBER(f, fallbacks)) {
        struct value field = value_string_ref(f->key, f->key_len);

        if (fill_field(a, fields, &field, &f->value, &result, st) < 0)
            return -1;
    }
    *ret_fields = result;
    return 0;
}

/* ---- Collections ---- */

static const struct value *own_collection(struct arena *a, const struct value *spec,
                                          const char *model) {
    const struct value *map = value_path(spec, "udm", model, NULL);
    const struct value *pointer = value_get(map, "defaultCollection");
    const struct value *key =
        value_get(value_at(value_get(map, "collectionMappings"), 0), "key");

    if (value_truthy(pointer))
        return pointer;
    return value_truthy(key) ? value_obj(a, "key", key, NULL) : &value_undefined;
}

const struct value *udm_stand_ins(struct arena *a, const struct value *model) {
    const struct model *m = model_of(model);
    const char *names = m ? m->model_fallbacks : "";
    struct array_builder b;

    array_begin(&b, a, 4);
    while (*names) {
        size_t len = strcspn(names, " ");

        array_push(&b, value_string_len(a, names, len));
        names += len + (names[len] == ' ');
    }
    return array_end(&b);
}

int udm_default_collection(struct arena *a, const struct value *spec,
                           const struct value *model, const struct value **ret_pointer,
                           struct status *st) {
    const struct model *m = model_of(model);
    const struct value *pointer = &value_undefined;
    const char *names;

    if (value_truthy(spec) && value_truthy(model)) {
        if (!m)
            return unknown_model(st, model);
        pointer = own_collection(a, spec, m->name);
        names = m->model_fallbacks;
        while (!value_truthy(pointer) && *names) {
            size_t len = strcspn(names, " ");

            pointer = own_collection(a, spec, arena_memdup(a, names, len));
            names += len + (names[len] == ' ');
        }
    }
    *ret_pointer = pointer;
    return 0;
}

const struct value *udm_record_schema(struct arena *a, const struct value *args) {
    static const char common[] = "id name uri createdTime updatedTime deletedTime "
                                 "createdById updatedById";
    const struct value *fields = value_get(args, "fieldsSchema");
    const struct value *raw = value_get(args, "rawFieldsSchema");
    const struct value *unified = udm_fields_schema(a, value_get(args, "udm"));
    const struct value *object = value_string(a, "object");
    struct object_builder b;

    object_begin(&b, a, 12);
    for (const char *s = common; *s; s += *s == ' ') {
        size_t len = strcspn(s, " ");
        bool is_time = len > 4 && memcmp(s + len - 4, "Time", 4) == 0;
        const char *format = is_time ? "datetime" : len == 3 ? "url" : NULL;

        object_set_len(&b, s, len,
                       value_obj(a, "type", value_string(a, "string"), "format",
                                 format ? value_string(a, format) : NULL, NULL));
        s += len;
    }
    object_set(&b, "fields",
               value_is_nullish(fields) ? value_obj(a, "type", object, NULL) : fields);
    if (value_truthy(unified))
        object_set(&b, "unifiedFields", unified);
    if (value_truthy(raw))
        object_set(&b, "rawFields", raw);
    return value_obj(a, "type", object, "properties", object_end(&b), NULL);
}
