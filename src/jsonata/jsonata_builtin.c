#include "jsonata_builtin.h"

#include <string.h>

#include "jsonata_call.h"

#define STRING (T_STRING | T_MISSING)
#define NUMBER (T_NUMBER | T_MISSING)
#define BOOL   (T_BOOL | T_MISSING)
#define OBJECT (T_OBJECT | T_MISSING)
#define PARAM(bits)                                                                      \
    { .types = (bits) }
#define OPTIONAL(bits)                                                                   \
    { .types = (bits), .optional = true }
#define CONTEXT(bits)                                                                    \
    { .types = (bits), .optional = true, .context = true }
#define ARRAY                                                                            \
    { .types = T_ANY, .array = true }
#define ARRAY_OF(letter)                                                                 \
    { .types = T_ANY, .array = true, .subtype = (letter) }
#define MANY_ARRAYS                                                                      \
    { .types = T_ANY, .array = true, .many = true }
#define NONE                                                                             \
    { .types = 0, .optional = true }

#define BUILTIN(name, arity, partial, ...)                                               \
    static const struct param name##_params[] = {__VA_ARGS__};
#include "jsonata_builtins.def"

static const struct builtin builtins[] = {
#define BUILTIN(name, arity, partial, ...)                                               \
    {#name,                                                                              \
     jsonata_fn_##name,                                                                  \
     arity,                                                                              \
     partial,                                                                            \
     {name##_params, sizeof(name##_params) / sizeof(*name##_params)}},
#include "jsonata_builtins.def"
};

#define COUNT (sizeof(builtins) / sizeof(*builtins))

enum {
#define BUILTIN(name, ...) INDEX_##name,
#include "jsonata_builtins.def"
};

/* The function values, one for each. */
static const struct function functions[] = {
#define BUILTIN(name, ...)                                                               \
    {.kind = FN_BUILTIN,                                                                 \
     .builtin = &builtins[INDEX_##name],                                                 \
     .signature = &builtins[INDEX_##name].signature},
#include "jsonata_builtins.def"
};

const struct builtin *jsonata_builtin(const char *name, size_t len) {
    for (size_t i = 0; i < COUNT; i++)
        if (builtins[i].name[0] == *name && strlen(builtins[i].name) == len &&
            memcmp(builtins[i].name, name, len) == 0)
            return &builtins[i];
    return NULL;
}

struct value jsonata_builtin_value(const struct builtin *b) {
    return of_function(&functions[b - builtins], 0);
}

int jsonata_want(struct ev *ev, struct value v, enum value_type type) {
    static const char *const texts[] = {
        [VALUE_NUMBER] = "The argument is not a number",
        [VALUE_STRING] = "The argument is not a string",
        [VALUE_ARRAY] = "The argument is not an array",
        [VALUE_OBJECT] = "The argument is not an object",
    };

    if (v.type == type)
        return 0;
    return jsonata_fail_type(ev,
                             texts[type] ? texts[type] : "The argument has a wrong type");
}

int jsonata_callback(struct ev *ev, struct value f, const struct value *argv, size_t argc,
                     struct frame *env, struct value *out) {
    struct value passed[4];
    size_t arity;

    if (!jsonata_is_callback(f))
        return jsonata_fail_type(ev, "The argument cannot be called");
    arity = jsonata_arity(function_of(f));
    if (arity < 1)
        arity = 1;
    if (argc > arity)
        argc = arity;
    memcpy(passed, argv, argc * sizeof(*passed));
    return jsonata_apply(ev, f, passed, argc, value_null, env, out);
}
