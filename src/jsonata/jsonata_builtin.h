/*
 * jsonata_builtin.h - the functions of jsonata_builtins.def, by family.
 *
 * Arguments were checked against the signature, except in partial applications:
 * so every function checks what it relies on, with the helpers below.
 */
#ifndef JSONATA_JSONATA_BUILTIN_H
#define JSONATA_JSONATA_BUILTIN_H

#include "jsonata_priv.h"

#define BUILTIN(name, ...)                                                               \
    int jsonata_fn_##name(struct ev *ev, struct args *args, struct value *out);
#include "jsonata_builtins.def"

/* The i-th argument; undefined when it was not passed. */
static inline struct value argument(const struct args *args, size_t i) {
    return i < args->len ? args->v[i] : value_undefined;
}

/* 0 when v has the type, else -1 with an error of the JavaScript engine. */
int jsonata_want(struct ev *ev, struct value v, enum value_type type);

/* Calls f as map, filter and the like do: with as many of the arguments as it
 * takes, one at least. */
int jsonata_callback(struct ev *ev, struct value f, const struct value *argv, size_t argc,
                     struct frame *env, struct value *out);

#endif
