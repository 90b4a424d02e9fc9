/*
 * formula_jsonata.c - $jsonata: every failure of an expression is undefined,
 * but a passed bound is an error.
 */
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "formula_priv.h"
#include "jsonata/jsonata.h"

struct expression {
    const struct jsonata *compiled;  /* NULL: invalid, or made by a formula */
    const struct formula_node *node; /* of the expression's text */
    bool empty;                      /* the argument is falsy */
};

int formula_compile_jsonata(struct formula_compiler *c, struct formula_node *n,
                            const struct value *arg) {
    struct expression *x = arena_zalloc(c->arena, sizeof(*x));
    struct status st;

    n->data = x;
    x->empty = !value_truthy(arg);
    st_init(&st, c->arena);
    if (value_is_string(arg) &&
        jsonata_compile(c->arena, arg->str, arg->len, &x->compiled, &st) < 0)
        x->compiled = NULL;
    return formula_compile_at(c, &n->place, "$jsonata", arg, &x->node);
}

static bool expired(void *ctx) {
    const struct formula_eval *e = ctx;

    return formula_now_ms() > e->deadline_ms;
}

static double now(void *ctx) {
    const struct formula_eval *e = ctx;

    return e->run->now_ms(e->run->now_ctx);
}

static bool passed_a_bound(const struct status *st) {
    return st->data && value_equals_text(value_get(st->data, "code"), "U1001");
}

static int evaluate(struct formula_eval *e, const struct formula_node *n,
                    const struct jsonata *x, const struct formula_scope *s,
                    struct value *ret) {
    const struct jsonata_limits limits = {
        .max_steps = (size_t)(e->max_steps - e->steps + 1),
        .max_bytes = e->max_bytes,
        .expired = expired,
        .now_ms = e->run->now_ms ? now : NULL,
        .ctx = e,
    };
    const struct value *result;
    struct status st;

    st_init(&st, e->arena);
    if (jsonata_eval(x, e->arena, s->variables, NULL, &limits, &result, &st) == 0) {
        *ret = *result;
        return formula_spend(e, n, 1);
    }
    if (passed_a_bound(&st))
        return formula_fail_at(e, n, "JSONata expression passes its bounds");
    return 0;
}

int formula_eval_jsonata(struct formula_eval *e, const struct formula_node *n,
                         const struct formula_scope *s, struct value *ret) {
    const struct expression *x = n->data;
    const struct jsonata *compiled = x->compiled;
    struct value text;
    struct status st;

    *ret = value_undefined;
    if (x->empty)
        return 0;
    if (!compiled) {
        if (x->node->kind == NODE_CONSTANT)
            return 0; /* no text, or text that does not parse */
        /* As in the reference, a failing text is no result. */
        st_init(&st, e->arena);
        if (formula_eval_node(e, x->node, s, &text) < 0)
            return e->st->key && strcmp(e->st->key, "formula_limit") == 0 ? -1 : 0;
        if (!value_is_string(&text) ||
            jsonata_compile(e->arena, text.str, text.len, &compiled, &st) < 0)
            return 0;
    }
    return evaluate(e, n, compiled, s, ret);
}
