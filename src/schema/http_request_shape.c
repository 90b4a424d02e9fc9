/*
 * http_request_shape.c - checking HTTP request descriptions.
 */
#include "schema/http_request_shape.h"

#include <ctype.h>

#include "base/arena.h"
#include "base/status.h"
#include "schema/schema_priv.h"

/* In the order in which forms offer them. */
static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

#define METHOD_COUNT (sizeof methods / sizeof *methods)

static int check_method(struct arena *a, const struct value *method,
                        const struct value **ret_method, struct status *st) {
    const struct value *upper = method;

    if (value_is_string(method)) {
        char *text = arena_memdup(a, method->str, method->len);

        for (size_t i = 0; i < method->len; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        upper = value_string_len(a, text, method->len);
    }
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (value_equals_text(upper, methods[i])) {
            *ret_method = upper;
            return 0;
        }
    }
    return st_fail(st, ST_BAD_REQUEST, NULL,
                   "method should be one of GET, POST, PATCH, PUT, DELETE");
}

static int check_map(const struct value *v, const char *name, struct status *st) {
    if (value_is_object(v))
        return 0;
    return st_fail(st, ST_BAD_REQUEST, NULL, "%s should be an object", name);
}

int http_request_shape_check(struct arena *a, const struct value *description,
                             const struct value **ret_description, struct status *st) {
    const struct value *method = value_get(description, "method");
    struct object_builder b;

    if (!value_is_object(description))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "A request description should be an object");
    object_begin(&b, a, 5);
    if (!value_is(method, VALUE_UNDEFINED)) {
        if (check_method(a, method, &method, st) < 0)
            return -1;
        object_set(&b, "method", method);
    }
    if (value_is(value_get(description, "uri"), VALUE_UNDEFINED))
        return st_fail(st, ST_BAD_REQUEST, NULL, "uri is required");
    object_set(&b, "uri", value_get(description, "uri"));
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "headers" : "query";
        const struct value *map = value_get(description, name);

        if (value_is(map, VALUE_UNDEFINED))
            continue;
        if (check_map(map, name, st) < 0)
            return -1;
        object_set(&b, name, map);
    }
    if (value_has(description, "body"))
        object_set(&b, "body", value_get(description, "body"));
    *ret_description = object_end(&b);
    return 0;
}

const struct value *http_request_shape_schema(struct arena *a) {
    const struct value *text = value_string(a, "string");
    const struct value *object = value_string(a, "object");
    const struct value *map = value_obj(a, "type", object, "section", &value_true,
                                        "additionalProperties", &value_true, NULL);
    struct array_builder b;

    array_begin(&b, a, METHOD_COUNT);
    for (size_t i = 0; i < METHOD_COUNT; i++)
        array_push(&b, value_string(a, methods[i]));
    return value_obj(a, "type", object, "properties",
                     value_obj(a, "uri", value_obj(a, "type", text, NULL), "method",
                               value_obj(a, "type", text, "enum", array_end(&b), NULL),
                               "body", &value_empty_object, "query", map, "headers", map,
                               NULL),
                     NULL);
}
