/*
 * element.c - the table of element types, expanded from elements.def.
 */
#include "element.h"

#include <string.h>

#define ELEMENT(ident, name, plural, title, coll, layers, can, parent, universal,        \
                parent_rev, universal_rev, join, key_query, parent_type, domain)         \
    extern const struct element_domain domain##_domain;
#include "elements.def"

static const struct element_type types[] = {
#define ELEMENT(ident, name, plural, title, coll, layers, can, parent, universal,        \
                parent_rev, universal_rev, join, key_query, parent_type, domain)         \
    {ident,         name, plural,    title,       coll,                                  \
     layers,        can,  parent,    universal,   parent_rev,                            \
     universal_rev, join, key_query, parent_type, &domain##_domain},
#include "elements.def"
};

static const struct {
    enum layer layer;
    const char *name;
} layers[] = {
    {LAYER_UNIVERSAL, "universal"},
    {LAYER_INTEGRATION, "integration"},
    {LAYER_CONNECTION, "connection"},
    {LAYER_CUSTOMER, "customer"},
};

const char *layer_name(enum layer l) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (layers[i].layer == l)
            return layers[i].name;
    return "any";
}

enum layer layer_from_name(const char *name) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (strcmp(layers[i].name, name) == 0)
            return layers[i].layer;
    return LAYER_ANY;
}

const struct element_type *element_type(enum element_id id) {
    return &types[id];
}

const struct element_type *element_type_from_name(const char *name) {
    size_t len = strlen(name);
    static const char suffix[] = "-instance";

    if (len > sizeof suffix && strcmp(name + len - (sizeof suffix - 1), suffix) == 0)
        len -= sizeof suffix - 1;
    for (size_t i = 0; i < ELEMENT_COUNT; i++)
        if (strlen(types[i].name) == len && memcmp(types[i].name, name, len) == 0)
            return &types[i];
    return NULL;
}

const struct element_type *element_type_from_plural(const char *plural) {
    for (size_t i = 0; i < ELEMENT_COUNT; i++)
        if (strcmp(types[i].plural, plural) == 0)
            return &types[i];
    return NULL;
}

const struct element_field *element_field(const struct element_type *t,
                                          const char *name) {
    for (size_t i = 0; i < t->domain->fields_len; i++)
        if (strcmp(t->domain->fields[i].name, name) == 0)
            return &t->domain->fields[i];
    return NULL;
}
