/*
 * model_schemas.c - the table of types as schemas for openapi.json: what a body may
 * write, what an answer holds.
 */
#include <string.h>

#include "base/arena.h"
#include "http/http_openapi.h"
#include "model_priv.h"
#include "model_routes.h"

/* A member of every element, or of every layered one. */
struct common_member {
    const char *name, *type;
    enum { WRITABLE = 1, REQUIRED = 2, LAYERED = 4 } flags;
};

static const struct common_member common[] = {
    {"id", "string", REQUIRED},
    {"uuid", "string", WRITABLE},
    {"key", "string", WRITABLE},
    {"name", "string", WRITABLE | REQUIRED},
    {"description", "string", WRITABLE},
    {"meta", "object", WRITABLE},
    {"state", "string", 0},
    {"errors", "array", 0},
    {"revision", "string", 0},
    {"createdAt", "string", 0},
    {"updatedAt", "string", 0},
    {"archivedAt", "string", 0},
    {"isDeactivated", "boolean", 0},
    {"isReadOnly", "boolean", 0},
    {"integrationId", "string", WRITABLE | LAYERED},
    {"integrationUuid", "string", WRITABLE | LAYERED},
    {"integrationKey", "string", WRITABLE | LAYERED},
    {"connectionId", "string", WRITABLE | LAYERED},
    {"instanceKey", "string", WRITABLE | LAYERED},
    {"parentId", "string", WRITABLE | LAYERED},
    {"parentUuid", "string", WRITABLE | LAYERED},
    {"parentKey", "string", WRITABLE | LAYERED},
    {"userId", "string", LAYERED},
    {"isUniversal", "boolean", WRITABLE | LAYERED},
    {"isCustomized", "boolean", LAYERED},
    {"integration", "object", LAYERED},
    {"connection", "object", LAYERED},
    {"user", "object", LAYERED},
};

static const struct value *type_schema(struct arena *a, const char *type) {
    const struct value *items =
        strcmp(type, "array") == 0 ? &value_empty_object : &value_undefined;

    return value_obj(a, "type", value_string(a, type), "items", items, NULL);
}

static const struct value *enum_schema(struct arena *a, const char *const *words) {
    struct array_builder list;

    array_begin(&list, a, 4);
    for (; *words; words++)
        array_push(&list, value_string(a, *words));
    return value_obj(a, "type", value_string(a, "string"), "enum", array_end(&list),
                     NULL);
}

static const struct value *field_schema(struct arena *a, const struct element_field *f) {
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_URI:
        return type_schema(a, "string");
    case FIELD_BOOL:
        return type_schema(a, "boolean");
    case FIELD_NUMBER:
        return type_schema(a, "number");
    case FIELD_INTERVAL:
        return value_with(a, type_schema(a, "number"), "minimum", value_number(a, 60));
    case FIELD_OBJECT:
    case FIELD_REQUEST:
        return type_schema(a, "object");
    case FIELD_ARRAY:
        return type_schema(a, "array");
    case FIELD_ENUM:
        return enum_schema(a, f->words);
    case FIELD_ANY:
        break;
    }
    return &value_empty_object;
}

/* What a body may write, or what an answer holds. */
static const struct value *element_schema(struct arena *a, const struct element_type *t,
                                          bool written) {
    bool layered = t->layers & ~(unsigned)LAYER_UNIVERSAL;
    struct object_builder properties;
    struct array_builder required;

    object_begin(&properties, a, 48);
    array_begin(&required, a, 4);
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        const struct common_member *m = &common[i];

        if ((written && !(m->flags & WRITABLE)) || (m->flags & LAYERED && !layered))
            continue;
        object_set(&properties, m->name, type_schema(a, m->type));
        if (!written && m->flags & REQUIRED)
            array_push(&required, value_string(a, m->name));
    }
    for (size_t i = 0; i < t->domain->fields_len; i++) {
        const struct element_field *f = &t->domain->fields[i];

        if (!written || !(f->flags & FIELD_SERVER))
            object_set(&properties, f->name, field_schema(a, f));
    }
    return value_obj(a, "type", value_string(a, "object"), "required",
                     required.len ? array_end(&required) : &value_undefined, "properties",
                     object_end(&properties), NULL);
}

size_t model_schemas(struct arena *a, struct http_schema *ret_schemas) {
    struct http_schema *s = ret_schemas;

    for (int i = 0; i < ELEMENT_COUNT; i++) {
        const struct element_type *t = element_type((enum element_id)i);
        const struct value *write = element_schema(a, t, true);

        *s++ = (struct http_schema){t->name, NULL, element_schema(a, t, false)};
        *s++ = (struct http_schema){arena_printf(a, "%sWrite", t->name), NULL, write};
        *s++ = (struct http_schema){arena_printf(a, "%sInstanceWrite", t->name), NULL,
                                    write};
    }
    return (size_t)(s - ret_schemas);
}
