/*
 * formula_variable.c - $var, $copy, $record, $plain, $formula.
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula_inspect.h"
#include "formula_priv.h"
#include "locator/locator.h"

/* ---- $var ---- */

struct var {
    struct locator locator;
    bool invalid;      /* builds to null */
    const char *error; /* of malformed parsed steps: fails when evaluated */
};

int formula_compile_var(struct formula_compiler *c, struct formula_node *n,
                        const struct value *arg) {
    struct var *v = arena_zalloc(c->arena, sizeof(*v));
    struct status st;

    st_init(&st, c->arena);
    n->data = v;
    if ((value_is_string(arg) && arg->len == 0) ||
        locator_from_value(c->arena, arg, &v->locator, &st) < 0) {
        if (value_is_array(arg))
            v->error = st.message;
        else
            v->invalid = true;
    }
    return 0;
}

int formula_eval_var(struct formula_eval *e, const struct formula_node *n,
                     const struct formula_scope *s, struct value *ret) {
    const struct var *v = n->data;

    if (v->error)
        return st_fail(e->st, ST_BAD_REQUEST, NULL, "%s", v->error);
    if (v->invalid)
        *ret = value_null;
    else
        *ret = *locator_read_by(e->arena, s->variables, &v->locator);
    return 0;
}

/* ---- $copy ---- */

int formula_compile_copy(struct formula_compiler *c, struct formula_node *n,
                         const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_copy(struct formula_eval *e, const struct formula_node *n,
                      const struct formula_scope *s, struct value *ret) {
    struct value locator;

    if (formula_eval_argument(e, n, s, &locator) < 0)
        return -1;
    *ret = formula_single(e->arena, "$copy", &locator);
    return 0;
}

/* ---- $record, $plain: constants ---- */

static int compile_constant(struct formula_node *n, const struct value *v) {
    n->kind = NODE_CONSTANT;
    n->constant = *v;
    return 0;
}

static int eval_constant(const struct formula_node *n, struct value *ret) {
    *ret = n->constant;
    return 0;
}

int formula_compile_record(struct formula_compiler *c, struct formula_node *n,
                           const struct value *arg) {
    (void)c;
    return compile_constant(n, value_get(arg, "id"));
}

int formula_eval_record(struct formula_eval *e, const struct formula_node *n,
                        const struct formula_scope *s, struct value *ret) {
    (void)e, (void)s;
    return eval_constant(n, ret);
}

int formula_compile_plain(struct formula_compiler *c, struct formula_node *n,
                          const struct value *arg) {
    (void)c;
    return compile_constant(n, arg);
}

int formula_eval_plain(struct formula_eval *e, const struct formula_node *n,
                       const struct formula_scope *s, struct value *ret) {
    (void)e, (void)s;
    return eval_constant(n, ret);
}

/* ---- $formula: replaces variables, evaluates nothing else ---- */

struct partial {
    const struct value *argument;
    const struct locator *positions;
    size_t len;
};

int formula_compile_formula(struct formula_compiler *c, struct formula_node *n,
                            const struct value *arg) {
    struct partial *p = arena_zalloc(c->arena, sizeof(*p));
    const struct value *positions = formula_variable_locators(c->arena, arg);
    struct locator *locators;

    locators = arena_alloc(c->arena, value_items_count(positions) * sizeof(*locators));
    for (VALUE_EACH_ITEM(position, positions)) {
        struct locator l;

        if (locator_from_value(c->arena, position, &l, c->st) < 0)
            return -1;
        /* A variable that is the argument itself is not replaced. */
        if (l.len > 0)
            locators[p->len++] = l;
    }
    p->argument = arg;
    p->positions = locators;
    n->data = p;
    return 0;
}

/*
 * Positions were found before anything was replaced: as in the reference, a
 * deleted item moves the later ones, and what then stands there is built.
 */
int formula_eval_formula(struct formula_eval *e, const struct formula_node *n,
                         const struct formula_scope *s, struct value *ret) {
    const struct partial *p = n->data;
    const struct value *result = p->argument;

    for (size_t i = 0; i < p->len; i++) {
        const struct value *at = locator_read_at(e->arena, result, &p->positions[i]);
        struct value built;

        if (formula_check(e, n) < 0 || formula_eval_value(e, at, s, &built) < 0 ||
            locator_set(e->arena, result, &p->positions[i], &built, &result, e->st) < 0)
            return -1;
    }
    *ret = *result;
    return 0;
}
