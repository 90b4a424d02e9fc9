/*
 * jsonata_call.c - making and calling functions.
 *
 * The library hands a function argument on as a plain JavaScript function around
 * it, but not in a call in tail position; some of its functions then cannot call
 * it. PLAIN_FUNCTION keeps that difference, because it decides which expressions
 * have a value.
 */
#include "jsonata_call.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "jsonata_path.h"

static const struct value placeholder = {.type = TYPE_FUNCTION, .str = NULL};

static bool is_placeholder(struct value v) {
    return v.type == TYPE_FUNCTION && !v.str;
}

size_t jsonata_arity(const struct function *fn) {
    size_t n = 0;

    switch (fn->kind) {
    case FN_LAMBDA:
        return fn->n_params;
    case FN_BUILTIN:
        return fn->builtin->arity;
    case FN_PARTIAL:
        for (size_t i = 0; i < fn->n_bound; i++)
            n += is_placeholder(fn->bound[i]);
        return n;
    case FN_REGEX:
        return 2;
    case FN_REGEX_NEXT:
        return 0;
    case FN_COMPOSED:
    case FN_TRANSFORM:
        return 1;
    }
    return 0;
}

bool jsonata_is_callback(struct value f) {
    const struct function *fn;

    if (!is_function(f) || is_placeholder(f))
        return false;
    fn = function_of(f);
    return (f.spare & PLAIN_FUNCTION) || (fn->kind == FN_LAMBDA && !fn->partial) ||
           fn->kind == FN_COMPOSED;
}

/* ---- calling ---- */

static int apply_lambda(struct ev *ev, const struct function *fn, const struct args *args,
                        struct value *out) {
    struct frame *env = jsonata_frame(ev, fn->env, NULL);

    for (size_t i = 0; i < fn->n_params; i++)
        jsonata_bind(ev, env, &fn->params[i]->name,
                     i < args->len ? args->v[i] : value_undefined);
    return jsonata_evaluate(ev, fn->node->rhs, fn->input, env, out);
}

/* The library calls a partially applied function of its own without checking the
 * arguments against the signature. */
static int apply_partial(struct ev *ev, const struct function *fn,
                         const struct args *args, struct value *out) {
    const struct function *whole = function_of(fn->f);
    struct value *all = arena_alloc(ev->arena, fn->n_bound * sizeof(*all));
    struct args full = {all, fn->n_bound, value_undefined, args->env};
    size_t next = 0;

    for (size_t i = 0; i < fn->n_bound; i++) {
        all[i] = fn->bound[i];
        if (is_placeholder(all[i])) {
            all[i] = next < args->len ? args->v[next] : value_undefined;
            next++;
        }
    }
    if (whole->kind == FN_BUILTIN)
        return whole->builtin->fn(ev, &full, out);
    return jsonata_apply(ev, fn->f, all, full.len, value_null, args->env, out);
}

static int apply_composed(struct ev *ev, const struct function *fn,
                          const struct args *args, struct value *out) {
    struct value v = args->len ? args->v[0] : value_undefined;

    if (jsonata_enter(ev) < 0)
        return -1;
    if (jsonata_apply(ev, fn->f, &v, 1, value_null, args->env, &v) < 0 ||
        jsonata_apply(ev, fn->g, &v, 1, value_null, args->env, out) < 0)
        return -1;
    ev->depth--;
    return 0;
}

static int apply_once(struct ev *ev, struct value proc, struct value *argv, size_t argc,
                      struct value input, struct frame *env, struct value *out) {
    struct args args = {argv, argc, input, env};
    const struct function *fn;

    if (!is_function(proc))
        return jsonata_fail(ev, "T1006");
    fn = function_of(proc);
    if (proc.spare & PLAIN_FUNCTION)
        args.input = value_null;
    if (fn->signature && jsonata_validate(ev, fn->signature, &args) < 0)
        return -1;
    switch (fn->kind) {
    case FN_LAMBDA:
        return apply_lambda(ev, fn, &args, out);
    case FN_BUILTIN:
        return fn->builtin->fn(ev, &args, out);
    case FN_PARTIAL:
        return apply_partial(ev, fn, &args, out);
    case FN_REGEX:
        return jsonata_regex_exec(ev, fn, argc ? argv[0] : value_undefined, out);
    case FN_REGEX_NEXT:
        return jsonata_regex_next(ev, fn, out);
    case FN_COMPOSED:
        return apply_composed(ev, fn, &args, out);
    case FN_TRANSFORM:
        return jsonata_transform(ev, fn, argc ? args.v[0] : value_undefined, out);
    }
    assert(!"unknown kind of function");
    return -1;
}

/* Evaluates the call that a thunk stands for, up to its arguments. */
static int open_thunk(struct ev *ev, const struct function *thunk, struct value *ret_proc,
                      struct value **ret_argv, size_t *ret_argc) {
    const struct node *call = thunk->node->rhs;
    struct value *argv = arena_alloc(ev->arena, call->list_len * sizeof(*argv));

    if (jsonata_evaluate(ev, call->lhs, thunk->input, thunk->env, ret_proc) < 0)
        return -1;
    if (!is_function(*ret_proc) && !is_array(*ret_proc) && ret_proc->type != VALUE_OBJECT)
        return jsonata_fail_type(ev,
                                 "Cannot set properties of a value that is no function");
    for (size_t i = 0; i < call->list_len; i++)
        if (jsonata_evaluate(ev, call->list[i], thunk->input, thunk->env, &argv[i]) < 0)
            return -1;
    *ret_argv = argv;
    *ret_argc = call->list_len;
    return 0;
}

int jsonata_apply(struct ev *ev, struct value proc, struct value *argv, size_t argc,
                  struct value input, struct frame *env, struct value *out) {
    if (jsonata_step(ev) < 0 || apply_once(ev, proc, argv, argc, input, env, out) < 0)
        return -1;
    while (is_function(*out) && out->str && function_of(*out)->thunk) {
        const struct node *procedure = function_of(*out)->node->rhs->lhs;

        if (jsonata_step(ev) < 0 ||
            open_thunk(ev, function_of(*out), &proc, &argv, &argc) < 0)
            return -1;
        if (apply_once(ev, proc, argv, argc, input, env, out) < 0) {
            ev->failure.position = procedure->position;
            if (procedure->type == N_VARIABLE && is_undefined(ev->failure.token))
                ev->failure.token = procedure->value;
            return -1;
        }
    }
    return 0;
}

/* The name that error messages give to what is called. */
static struct value procedure_name(const struct node *procedure) {
    if (procedure->type == N_PATH)
        return procedure->list[0]->value;
    return procedure->value;
}

/* Was the $ forgotten: is it the name of a function? */
static bool names_variable(const struct node *procedure, const struct frame *env) {
    const struct node *step;

    if (procedure->type != N_PATH)
        return false;
    step = procedure->list[0];
    return step->type == N_NAME &&
           jsonata_js_truthy(jsonata_find_variable(
               env, &step->name, jsonata_builtin(step->name.s, step->name.len)));
}

static int not_callable(struct ev *ev, const struct node *n, const char *code) {
    jsonata_fail(ev, code);
    ev->failure.position = n->position;
    ev->failure.token = procedure_name(n->lhs);
    return -1;
}

int jsonata_call(struct ev *ev, const struct node *n, const struct value *chained,
                 struct value input, struct frame *env, struct value *out) {
    size_t argc = 0;
    struct value proc, *argv;

    if (jsonata_evaluate(ev, n->lhs, input, env, &proc) < 0)
        return -1;
    if (is_undefined(proc) && names_variable(n->lhs, env))
        return not_callable(ev, n, "T1005");
    argv = arena_alloc(ev->arena, (n->list_len + 1) * sizeof(*argv));
    if (chained)
        argv[argc++] = *chained;
    for (size_t i = 0; i < n->list_len; i++) {
        if (jsonata_evaluate(ev, n->list[i], input, env, &argv[argc]) < 0)
            return -1;
        if (is_function(argv[argc]))
            argv[argc].spare |= PLAIN_FUNCTION;
        argc++;
    }
    if (jsonata_apply(ev, proc, argv, argc, input, env, out) == 0)
        return 0;
    if (ev->failure.position <= 0 ||
        (is_function(proc) && !(proc.spare & PLAIN_FUNCTION)))
        ev->failure.position = n->position;
    if (is_undefined(ev->failure.token))
        ev->failure.token = procedure_name(n->lhs);
    return -1;
}

int jsonata_chain(struct ev *ev, const struct node *n, struct value input,
                  struct frame *env, struct value *out) {
    struct value lhs, func;
    struct function *both;

    if (jsonata_evaluate(ev, n->lhs, input, env, &lhs) < 0)
        return -1;
    if (n->rhs->type == N_FUNCTION)
        return jsonata_call(ev, n->rhs, &lhs, input, env, out);
    if (jsonata_evaluate(ev, n->rhs, input, env, &func) < 0)
        return -1;
    if (!is_function(func)) {
        jsonata_fail_value(ev, "T2006", func);
        ev->failure.position = n->position;
        return -1;
    }
    if (!is_function(lhs))
        return jsonata_apply(ev, func, &lhs, 1, value_null, env, out);
    both = arena_zalloc(ev->arena, sizeof(*both));
    both->kind = FN_COMPOSED;
    both->f = lhs;
    both->g = func;
    *out = of_function(both, 0);
    return 0;
}

/* ---- making ---- */

static const struct param transform_params[] = {
    {.types = T_OBJECT | T_ARRAY | T_MISSING}};
static const struct signature transform_signature = {transform_params, 1};

struct value jsonata_lambda(struct ev *ev, const struct node *n, struct value input,
                            struct frame *env) {
    struct function *fn = arena_zalloc(ev->arena, sizeof(*fn));

    fn->kind = n->type == N_TRANSFORM ? FN_TRANSFORM : FN_LAMBDA;
    fn->node = n;
    fn->env = env;
    fn->input = input;
    if (fn->kind == FN_TRANSFORM) {
        fn->signature = &transform_signature;
    } else {
        fn->thunk = n->thunk;
        fn->signature = n->signature;
        fn->params = n->list;
        fn->n_params = n->list_len;
    }
    return of_function(fn, 0);
}

static struct value partial_lambda(struct ev *ev, const struct function *whole,
                                   const struct value *args, size_t n) {
    struct function *fn = arena_zalloc(ev->arena, sizeof(*fn));

    fn->kind = FN_LAMBDA;
    fn->partial = true;
    fn->node = whole->node;
    fn->input = whole->input;
    fn->env = jsonata_frame(ev, whole->env, NULL);
    fn->params = arena_alloc(ev->arena, whole->n_params * sizeof(*fn->params));
    for (size_t i = 0; i < whole->n_params; i++) {
        if (i < n && is_placeholder(args[i]))
            fn->params[fn->n_params++] = whole->params[i];
        else
            jsonata_bind(ev, fn->env, &whole->params[i]->name,
                         i < n ? args[i] : value_undefined);
    }
    return of_function(fn, 0);
}

/* Parameters that the library finds in the source of the function. */
static int declared_params(struct ev *ev, struct value proc, size_t *ret_n) {
    const struct function *fn = function_of(proc);
    bool plain = proc.spare & PLAIN_FUNCTION;
    int n = -1;

    if (fn->kind == FN_BUILTIN && !plain)
        n = fn->builtin->partial_params;
    else if (fn->kind == FN_REGEX)
        n = 2;
    else if ((fn->kind == FN_TRANSFORM || fn->kind == FN_COMPOSED) && !plain)
        n = 1;
    else if (fn->kind == FN_PARTIAL && !plain)
        n = (int)jsonata_arity(fn);
    if (n < 0)
        return jsonata_fail(ev, "S0208");
    *ret_n = (size_t)n;
    return 0;
}

static int partial_native(struct ev *ev, struct value proc, const struct value *args,
                          size_t n, struct value *out) {
    struct function *fn = arena_zalloc(ev->arena, sizeof(*fn));

    fn->kind = FN_PARTIAL;
    fn->f = proc;
    if (declared_params(ev, proc, &fn->n_bound) < 0)
        return -1;
    fn->bound = arena_alloc(ev->arena, fn->n_bound * sizeof(*fn->bound));
    for (size_t i = 0; i < fn->n_bound; i++)
        fn->bound[i] = i < n ? args[i] : value_undefined;
    *out = of_function(fn, 0);
    return 0;
}

int jsonata_partial(struct ev *ev, const struct node *n, struct value input,
                    struct frame *env, struct value *out) {
    struct value *args = arena_alloc(ev->arena, n->list_len * sizeof(*args)), proc;

    for (size_t i = 0; i < n->list_len; i++) {
        const struct node *arg = n->list[i];

        if (arg->type == N_OPERATOR && arg->op == OP_QUESTION)
            args[i] = placeholder;
        else if (jsonata_evaluate(ev, arg, input, env, &args[i]) < 0)
            return -1;
    }
    if (jsonata_evaluate(ev, n->lhs, input, env, &proc) < 0)
        return -1;
    if (is_undefined(proc) && names_variable(n->lhs, env))
        return not_callable(ev, n, "T1007");
    if (!is_function(proc))
        return not_callable(ev, n, "T1008");
    if (function_of(proc)->kind == FN_LAMBDA && !(proc.spare & PLAIN_FUNCTION)) {
        *out = partial_lambda(ev, function_of(proc), args, n->list_len);
        return 0;
    }
    return partial_native(ev, proc, args, n->list_len, out);
}
