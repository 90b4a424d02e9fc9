/*
 * mapping_merge.c - merging values with formulas.
 */
#include "mapping/mapping_merge.h"

#include <string.h>

#include "base/arena.h"
#include "formula/formula.h"
#include "value/value.h"

static const struct value *merge_arrays(struct arena *a, const struct value *under,
                                        const struct value *over) {
    size_t len = under->len > over->len ? under->len : over->len;
    struct array_builder b;

    array_begin(&b, a, len);
    for (size_t i = 0; i < len; i++)
        array_push(&b, mapping_merge(a, value_at(under, i), value_at(over, i)));
    return array_end(&b);
}

static const struct value *merge_objects(struct arena *a, const struct value *under,
                                         const struct value *over) {
    struct object_builder b;

    object_begin(&b, a, value_members_count(under) + value_members_count(over));
    for (VALUE_EACH_MEMBER(m, under))
        object_set_ref(&b, m->key, m->key_len, &m->value);
    for (VALUE_EACH_MEMBER(m, over)) {
        const struct value *old = value_find(under, m->key, m->key_len);

        /* the reference assigns, and so makes no key called "__proto__" */
        if (!old && m->key_len == 9 && memcmp(m->key, "__proto__", 9) == 0)
            continue;
        object_set_ref(&b, m->key, m->key_len,
                       old ? mapping_merge(a, old, &m->value) : &m->value);
    }
    return object_end(&b);
}

/* To JavaScript a date is an object without keys. */
static bool is_plain(const struct value *v) {
    return (value_is_object(v) && !formula_is(v)) || value_is(v, VALUE_DATE);
}

const struct value *mapping_merge(struct arena *a, const struct value *under,
                                  const struct value *over) {
    if (value_is_array(under) && value_is_array(over))
        return merge_arrays(a, under, over);
    if (is_plain(under) && is_plain(over))
        return merge_objects(a, under, over);
    return value_is(over, VALUE_UNDEFINED) ? under : over;
}

enum mapping_direction mapping_direction_from(const struct value *word) {
    if (value_equals_text(word, "import"))
        return MAPPING_IMPORT;
    if (value_equals_text(word, "export"))
        return MAPPING_EXPORT;
    return value_equals_text(word, "both") ? MAPPING_BOTH : MAPPING_NONE;
}

bool mapping_is_value_field(const char *name) {
    static const char *const names[] = {
        "importValue",        "exportValue",        "defaultImportValue",
        "defaultExportValue", "unifiedImportValue", "unifiedExportValue",
        "frozenImportFields", "frozenExportFields", "frozenUnifiedExportFields",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}
