/*
 * formula_detect.c - which objects are formulas.
 */
#include <string.h>

#include "base/status.h"
#include "formula_priv.h"
#include "locator/locator.h"

enum { MAX_DEPTH = 1000 };

static int compile_reserved(struct formula_compiler *c, struct formula_node *n,
                            const struct value *arg) {
    (void)c, (void)n, (void)arg;
    return 0;
}

static int eval_reserved(struct formula_eval *e, const struct formula_node *n,
                         const struct formula_scope *s, struct value *ret) {
    (void)s, (void)ret;
    return formula_fail_at(e, n, "Reserved name used as a formula");
}

const struct formula_operator formula_operators[] = {
#define OPERATOR(identifier, text)                                                       \
    {.name = text,                                                                       \
     .name_len = sizeof(text) - 1,                                                       \
     .id = FORMULA_##identifier,                                                         \
     .compile = formula_compile_##identifier,                                            \
     .eval = formula_eval_##identifier},
#include "operators.def"
#undef OPERATOR
    {.name = "",
     .id = FORMULA_RESERVED,
     .compile = compile_reserved,
     .eval = eval_reserved},
};

const struct formula_operator *formula_operator_of(const struct value *v) {
    const char *name;
    uint32_t len;

    if (!value_is_object(v) || v->len == 0 || v->members[0].key[0] != '$')
        return NULL;
    name = v->members[0].key + 1;
    len = v->members[0].key_len - 1;
    for (size_t i = 0; i < FORMULA_RESERVED; i++)
        if (formula_operators[i].name_len == len &&
            memcmp(formula_operators[i].name, name, len) == 0)
            return &formula_operators[i];
    return locator_is_inherited_name(name, len) ? &formula_operators[FORMULA_RESERVED]
                                                : NULL;
}

bool formula_is(const struct value *v) {
    return formula_operator_of(v) != NULL;
}

bool formula_is_reserved(const struct value *v) {
    const struct formula_operator *op = formula_operator_of(v);

    return op && op->id == FORMULA_RESERVED;
}

static bool has(const struct value *v, int depth) {
    if (depth > MAX_DEPTH)
        return false;
    if (formula_is(v))
        return true;
    for (VALUE_EACH_ITEM(item, v))
        if (has(item, depth + 1))
            return true;
    for (VALUE_EACH_MEMBER(m, v))
        if (has(&m->value, depth + 1))
            return true;
    return false;
}

bool formula_has(const struct value *v) {
    return has(v, 0);
}
