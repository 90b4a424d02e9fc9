/*
 * schema_priv.h - shared by the files of schema/.
 */
#ifndef SCHEMA_SCHEMA_PRIV_H
#define SCHEMA_SCHEMA_PRIV_H

#include <string.h>

#include "value/value.h"

static inline bool schema_type_is(const struct value *schema, const char *type) {
    return value_equals_text(value_get(schema, "type"), type);
}

/* Is the name free of everything locators treat specially? */
bool schema_plain_name(const char *name, size_t len);

/*
 * Own entries of a value as an object: arrays and text give their index keys,
 * everything else without entries the empty object (Object.entries).
 */
const struct value *schema_entries(struct arena *a, const struct value *v);

/* Sets a member the way an assignment does: "__proto__" creates no key. */
void schema_assign(struct object_builder *b, const char *key, size_t len,
                   const struct value *v);

/* The items of an array, the characters of a text, else nothing ([...v]). */
const struct value *schema_spread(struct arena *a, const struct value *v);

/* One schema out of alternatives: bare types become one type list, the rest anyOf. */
const struct value *schema_wrap(struct arena *a, const struct value *const *schemas,
                                size_t n);

/* A new object with `key` set and its place kept. */
static inline const struct value *schema_with(struct arena *a, const struct value *o,
                                              const char *key, const struct value *v) {
    struct object_builder b;

    object_begin(&b, a, value_members_count(o) + 1);
    object_set_all(&b, o);
    object_set(&b, key, v);
    return object_end(&b);
}

#endif
