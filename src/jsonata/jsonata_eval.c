/*
 * jsonata_eval.c - the evaluator's centre: one node against one context.
 *
 * Bounds: depth counts nested evaluations, and the C stack they use is measured
 * as well; steps count evaluated nodes and items; memory is the growth of the
 * arena. Nothing is freed before the arena is.
 */
#include "jsonata_priv.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "jsonata_call.h"
#include "jsonata_path.h"

#define DEFAULT_DEPTH    3000
#define DEFAULT_STEPS    20000000
#define DEFAULT_BYTES    ((size_t)256 * 1024 * 1024)
#define STACK_RESERVE    ((size_t)96 * 1024) /* left to what we call */
#define CHECK_EVERY      256
#define MAX_RESULT_DEPTH 500

/* Not inlined: an evaluation nests through few functions, and the frame of each
 * must hold only its own needs. */
#define OUT_OF_LINE __attribute__((noinline))

/* ---- failures and limits ---- */

int jsonata_fail(struct ev *ev, const char *code) {
    return jsonata_fail_value(ev, code, value_undefined);
}

int jsonata_fail_value(struct ev *ev, const char *code, struct value v) {
    ev->failure = (struct failure){.code = code, .position = -1, .value = v};
    return -1;
}

int jsonata_fail_type(struct ev *ev, const char *text) {
    ev->failure = (struct failure){.position = -1, .text = text};
    return -1;
}

static int over_limit(struct ev *ev, const char *text) {
    jsonata_fail(ev, "U1001");
    ev->failure.text = text;
    return -1;
}

static int check_limits(struct ev *ev) {
    ev->next_check = ev->steps + CHECK_EVERY;
    if (ev->steps > ev->limits.max_steps)
        return over_limit(ev, "Expression evaluation takes too many steps");
    if (ev->limits.expired && ev->limits.expired(ev->limits.ctx))
        return over_limit(ev, "Expression evaluation timeout: Check for infinite loop");
    return jsonata_need(ev, 0);
}

int jsonata_step(struct ev *ev) {
    ev->steps++;
    return ev->steps < ev->next_check ? 0 : check_limits(ev);
}

int jsonata_need(struct ev *ev, double bytes) {
    double used = (double)(arena_used(ev->arena) - ev->arena_start) +
                  (double)(ev->cap * sizeof(*ev->stack));

    if (used + bytes > (double)ev->limits.max_bytes)
        return over_limit(ev, "Expression evaluation needs too much memory");
    return 0;
}

/*
 * The lowest address that an evaluation on this thread may use. Asked of the
 * system once per thread, because that is slow; the one variable of this folder.
 */
const char *jsonata_stack_floor(void) {
    static _Thread_local const char *floor;
    pthread_attr_t attr;
    void *start = NULL;
    size_t size = 0;

    if (!floor && pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &start, &size);
        pthread_attr_destroy(&attr);
        floor =
            (const char *)start + (size > 2 * STACK_RESERVE ? STACK_RESERVE : size / 2);
    }
    return floor;
}

int jsonata_enter(struct ev *ev) {
    char here;

    if (++ev->depth > ev->limits.max_depth || &here < ev->stack_floor)
        return over_limit(
            ev, "Stack overflow error: Check for non-terminating recursive function");
    return jsonata_step(ev);
}

double jsonata_now(struct ev *ev) {
    struct timespec t;

    if (!ev->has_now) {
        ev->has_now = true;
        if (ev->limits.now_ms) {
            ev->now_ms = ev->limits.now_ms(ev->limits.ctx);
        } else {
            clock_gettime(CLOCK_REALTIME, &t);
            ev->now_ms = floor((double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6);
        }
    }
    return ev->now_ms;
}

double jsonata_random(struct ev *ev) {
    uint64_t *s = ev->random_state, x, y;

    if (ev->limits.random)
        return ev->limits.random(ev->limits.ctx);
    if (!s[0] && !s[1] && getrandom(s, sizeof(ev->random_state), 0) < 0)
        s[0] = (uint64_t)(uintptr_t)ev;
    /* xorshift128+ */
    x = s[0];
    y = s[1];
    s[0] = y;
    x ^= x << 23;
    s[1] = x ^ y ^ x >> 17 ^ y >> 26;
    return (double)((s[1] + y) >> 11) / 9007199254740992.0;
}

/* ---- frames and sequences ---- */

struct frame *jsonata_frame(struct ev *ev, struct frame *outer,
                            const struct value *object) {
    struct frame *f = arena_alloc(ev->arena, sizeof(*f));

    f->outer = outer;
    f->object = object;
    f->bindings = NULL;
    return f;
}

void jsonata_bind(struct ev *ev, struct frame *f, const struct name *name,
                  struct value v) {
    struct binding *b;

    for (b = f->bindings; b; b = b->next)
        if (b->name.hash == name->hash && b->name.len == name->len &&
            memcmp(b->name.s, name->s, name->len) == 0) {
            b->value = v;
            return;
        }
    b = arena_alloc(ev->arena, sizeof(*b));
    b->name = *name;
    b->value = v;
    b->next = f->bindings;
    f->bindings = b;
}

struct value jsonata_find_variable(const struct frame *f, const struct name *name,
                                   const struct builtin *builtin) {
    for (; f; f = f->outer) {
        if (f->object) {
            const struct value *v =
                value_find_hashed(f->object, name->s, name->len, name->hash);

            if (v)
                return *v;
        }
        for (const struct binding *b = f->bindings; b; b = b->next)
            if (b->name.hash == name->hash && b->name.len == name->len &&
                memcmp(b->name.s, name->s, name->len) == 0)
                return b->value;
    }
    return builtin ? jsonata_builtin_value(builtin) : value_undefined;
}

void jsonata_grow_stack(struct ev *ev) {
    ev->cap = ev->cap ? ev->cap * 2 : 256;
    ev->stack = realloc(ev->stack, ev->cap * sizeof(*ev->stack));
    if (!ev->stack)
        abort();
}

struct value jsonata_take(struct ev *ev, size_t mark, unsigned flags) {
    size_t n = ev->top - mark;
    struct value v = {
        .type = VALUE_ARRAY, .spare = (uint16_t)flags, .len = (uint32_t)n, .items = NULL};

    if (n) {
        struct value *items = arena_alloc(ev->arena, n * sizeof(*items));

        memcpy(items, ev->stack + mark, n * sizeof(*items));
        v.items = items;
    }
    ev->top = mark;
    return v;
}

/* ---- operators ---- */

static int fail_operand(struct ev *ev, const char *code, struct value v) {
    return jsonata_fail_value(ev, code, v);
}

static int numeric_operation(struct ev *ev, enum op op, struct value x, struct value y,
                             struct value *out) {
    bool numeric;

    if (!is_undefined(x)) {
        if (jsonata_is_numeric(ev, x, &numeric) < 0)
            return -1;
        if (!numeric)
            return fail_operand(ev, "T2001", x);
    }
    if (!is_undefined(y)) {
        if (jsonata_is_numeric(ev, y, &numeric) < 0)
            return -1;
        if (!numeric)
            return fail_operand(ev, "T2002", y);
    }
    *out = value_undefined;
    if (is_undefined(x) || is_undefined(y))
        return 0;
    switch (op) {
    case OP_PLUS:
        *out = of_number(x.number + y.number);
        break;
    case OP_MINUS:
        *out = of_number(x.number - y.number);
        break;
    case OP_STAR:
        *out = of_number(x.number * y.number);
        break;
    case OP_SLASH:
        *out = of_number(x.number / y.number);
        break;
    default:
        *out = of_number(fmod(x.number, y.number));
        break;
    }
    return 0;
}

static bool is_comparable(struct value v) {
    return v.type == VALUE_STRING || v.type == VALUE_NUMBER;
}

static int compare(struct ev *ev, enum op op, struct value x, struct value y,
                   struct value *out) {
    bool less, equal;

    if ((!is_comparable(x) && !is_undefined(x)) ||
        (!is_comparable(y) && !is_undefined(y)))
        return fail_operand(ev, "T2010", is_comparable(x) ? y : x);
    *out = value_undefined;
    if (is_undefined(x) || is_undefined(y))
        return 0;
    if (x.type != y.type) {
        fail_operand(ev, "T2009", x);
        ev->failure.value2 = y;
        return -1;
    }
    if (x.type == VALUE_STRING) {
        int sign = value_compare_strings(&x, &y);

        less = sign < 0;
        equal = sign == 0;
    } else if (isnan(x.number) || isnan(y.number)) {
        *out = value_false;
        return 0;
    } else {
        less = x.number < y.number;
        equal = x.number == y.number;
    }
    *out = of_bool(op == OP_LT   ? less
                   : op == OP_LE ? less || equal
                   : op == OP_GT ? !less && !equal
                                 : !less);
    return 0;
}

static int concatenate(struct ev *ev, struct value x, struct value y, struct value *out) {
    struct value s = value_empty_string, t = value_empty_string;
    struct buf b = BUF_INIT;
    char *joined;

    if ((!is_undefined(x) && jsonata_to_string(ev, x, false, &s) < 0) ||
        (!is_undefined(y) && jsonata_to_string(ev, y, false, &t) < 0) ||
        jsonata_need(ev, (double)s.len + t.len) < 0)
        return -1;
    if (s.len >= 3 && t.len >= 3 && (unsigned char)t.str[0] == 0xED) {
        value_wtf8_append(&b, s.str, s.len);
        value_wtf8_append(&b, t.str, t.len);
        *out = jsonata_text_of_buf(ev, &b);
        return 0;
    }
    joined = arena_alloc(ev->arena, (size_t)s.len + t.len + 1);
    memcpy(joined, s.str, s.len);
    memcpy(joined + s.len, t.str, t.len);
    joined[s.len + t.len] = '\0';
    *out = value_string_ref(joined, (size_t)s.len + t.len);
    return 0;
}

static bool is_whole(struct value v) {
    return v.type == VALUE_NUMBER && isfinite(v.number) && v.number == trunc(v.number);
}

static int range(struct ev *ev, struct value from, struct value to, struct value *out) {
    struct value *items;
    double size;

    if (!is_undefined(from) && !is_whole(from))
        return fail_operand(ev, "T2003", from);
    if (!is_undefined(to) && !is_whole(to))
        return fail_operand(ev, "T2004", to);
    *out = value_undefined;
    if (is_undefined(from) || is_undefined(to) || from.number > to.number)
        return 0;
    size = to.number - from.number + 1;
    if (size > 1e7)
        return fail_operand(ev, "D2014", of_number(size));
    if (jsonata_need(ev, size * sizeof(*items)) < 0)
        return -1;
    items = arena_alloc(ev->arena, (size_t)size * sizeof(*items));
    for (size_t i = 0; i < (size_t)size; i++)
        items[i] = of_number(from.number + (double)i);
    ev->steps += (size_t)size;
    *out = (struct value){
        .type = VALUE_ARRAY, .spare = SEQUENCE, .len = (uint32_t)size, .items = items};
    return 0;
}

/* JavaScript's ===; arrays and objects are what they are made of. */
static bool strictly_equal(struct value x, struct value y) {
    if (x.type != y.type)
        return false;
    switch (x.type) {
    case VALUE_BOOL:
        return x.boolean == y.boolean;
    case VALUE_NUMBER:
        return x.number == y.number;
    case VALUE_STRING:
        return value_string_equal(&x, &y);
    case VALUE_ARRAY:
        return x.items == y.items && x.len == y.len && x.len > 0;
    case VALUE_OBJECT:
        return x.members == y.members && x.len == y.len && x.len > 0;
    case VALUE_DATE:
        return false;
    case TYPE_FUNCTION:
        return function_of(x) == function_of(y);
    default:
        return true;
    }
}

static bool includes(struct value x, struct value y) {
    if (is_undefined(x) || is_undefined(y))
        return false;
    if (!is_array(y))
        return strictly_equal(x, y);
    for (size_t i = 0; i < y.len; i++)
        if (strictly_equal(x, y.items[i]))
            return true;
    return false;
}

OUT_OF_LINE static int operate(struct ev *ev, enum op op, struct value x, struct value y,
                               struct value *out) {
    switch (op) {
    case OP_PLUS:
    case OP_MINUS:
    case OP_STAR:
    case OP_SLASH:
    case OP_PERCENT:
        return numeric_operation(ev, op, x, y, out);
    case OP_EQ:
    case OP_NE:
        *out = of_bool(!is_undefined(x) && !is_undefined(y) &&
                       jsonata_deep_equal(x, y) == (op == OP_EQ));
        return 0;
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        return compare(ev, op, x, y, out);
    case OP_CONCAT:
        return concatenate(ev, x, y, out);
    case OP_RANGE:
        return range(ev, x, y, out);
    case OP_IN:
        *out = of_bool(includes(x, y));
        return 0;
    default:
        *out = value_undefined;
        return 0;
    }
}

static int at_operator(struct ev *ev, const struct node *n) {
    const char *text = jsonata_op_text(n->op);

    ev->failure.position = n->position;
    ev->failure.token = value_string_ref(text, strlen(text));
    return -1;
}

OUT_OF_LINE static int logic(struct ev *ev, const struct node *n, struct value x,
                             struct value input, struct frame *env, struct value *out) {
    struct value y;
    bool truth;

    if (jsonata_to_boolean(ev, x, &truth) < 0)
        return at_operator(ev, n);
    if (truth == (n->op == OP_AND)) {
        if (jsonata_evaluate(ev, n->rhs, input, env, &y) < 0 ||
            jsonata_to_boolean(ev, y, &truth) < 0)
            return at_operator(ev, n);
    }
    *out = of_bool(truth);
    return 0;
}

OUT_OF_LINE static int binary(struct ev *ev, const struct node *n, struct value input,
                              struct frame *env, struct value *out) {
    struct value x, y;

    if (jsonata_evaluate(ev, n->lhs, input, env, &x) < 0)
        return -1;
    if (n->op == OP_AND || n->op == OP_OR)
        return logic(ev, n, x, input, env, out);
    if (jsonata_evaluate(ev, n->rhs, input, env, &y) < 0)
        return -1;
    return operate(ev, n->op, x, y, out) < 0 ? at_operator(ev, n) : 0;
}

OUT_OF_LINE static int negate(struct ev *ev, const struct node *n, struct value input,
                              struct frame *env, struct value *out) {
    struct value v;
    bool numeric;

    if (jsonata_evaluate(ev, n->lhs, input, env, &v) < 0)
        return -1;
    *out = v;
    if (is_undefined(v))
        return 0;
    if (jsonata_is_numeric(ev, v, &numeric) < 0)
        return -1;
    if (!numeric) {
        jsonata_fail_value(ev, "D1002", v);
        return at_operator(ev, n);
    }
    *out = of_number(-v.number);
    return 0;
}

/* An array constructor within one is an item, other arrays are spread. The
 * library tells it by the operator, which a text "[" resembles. */
static bool is_nested_array(const struct node *item) {
    return (item->type == N_UNARY && item->op == OP_LBRACKET) ||
           (item->type == N_STRING && value_equals_text(&item->value, "["));
}

OUT_OF_LINE static int array_constructor(struct ev *ev, const struct node *n,
                                         struct value input, struct frame *env,
                                         struct value *out) {
    size_t mark = ev->top;

    for (size_t i = 0; i < n->list_len; i++) {
        const struct node *item = n->list[i];
        struct value v;

        if (jsonata_evaluate(ev, item, input, env, &v) < 0)
            return -1;
        if (is_undefined(v))
            continue;
        if (!is_array(v) || is_nested_array(item)) {
            jsonata_push(ev, v);
            continue;
        }
        if (n->list_len == 1) { /* all there is: share its items */
            v.spare = n->cons_array ? CONS : 0;
            *out = v;
            return 0;
        }
        for (size_t k = 0; k < v.len; k++)
            jsonata_push(ev, v.items[k]);
    }
    *out = jsonata_take(ev, mark, n->cons_array ? CONS : 0);
    return 0;
}

static int unary(struct ev *ev, const struct node *n, struct value input,
                 struct frame *env, struct value *out) {
    if (n->op == OP_MINUS)
        return negate(ev, n, input, env, out);
    if (n->op == OP_LBRACKET)
        return array_constructor(ev, n, input, env, out);
    return jsonata_group(ev, n->group, input, env, out);
}

/* ---- the other nodes ---- */

OUT_OF_LINE static int condition(struct ev *ev, const struct node *n, struct value input,
                                 struct frame *env, struct value *out) {
    struct value v;
    bool truth;

    if (jsonata_evaluate(ev, n->lhs, input, env, &v) < 0 ||
        jsonata_to_boolean(ev, v, &truth) < 0)
        return -1;
    *out = value_undefined;
    if (truth)
        return jsonata_evaluate(ev, n->rhs, input, env, out);
    return n->third ? jsonata_evaluate(ev, n->third, input, env, out) : 0;
}

OUT_OF_LINE static int block(struct ev *ev, const struct node *n, struct value input,
                             struct frame *env, struct value *out) {
    struct frame *frame = jsonata_frame(ev, env, NULL);

    *out = value_undefined;
    for (size_t i = 0; i < n->list_len; i++)
        if (jsonata_evaluate(ev, n->list[i], input, frame, out) < 0)
            return -1;
    return 0;
}

static struct value variable(const struct node *n, struct value input,
                             const struct frame *env) {
    if (n->name.len)
        return jsonata_find_variable(env, &n->name, n->builtin);
    if (is_array(input) && (input.spare & OUTER_WRAPPER))
        return input.len ? input.items[0] : value_undefined;
    return input;
}

static int evaluate_node(struct ev *ev, const struct node *n, struct value input,
                         struct frame *env, struct value *out) {
    switch ((enum node_type)n->type) {
    case N_PATH:
        return jsonata_path(ev, n, input, env, out);
    case N_BINARY:
        return binary(ev, n, input, env, out);
    case N_UNARY:
        return unary(ev, n, input, env, out);
    case N_NAME:
        return jsonata_lookup(ev, input, &n->name, out);
    case N_STRING:
    case N_NUMBER:
    case N_VALUE:
        *out = n->value;
        return 0;
    case N_WILDCARD:
        return jsonata_wildcard(ev, input, out);
    case N_DESCENDANT:
        return jsonata_descendants(ev, input, out);
    case N_PARENT:
        *out = jsonata_find_variable(env, &n->slot->label, NULL);
        return 0;
    case N_CONDITION:
        return condition(ev, n, input, env, out);
    case N_BLOCK:
        return block(ev, n, input, env, out);
    case N_BIND:
        if (jsonata_evaluate(ev, n->rhs, input, env, out) < 0)
            return -1;
        jsonata_bind(ev, env, &n->lhs->name, *out);
        return 0;
    case N_REGEX:
        *out = jsonata_regex_function(ev, n->regex, n->position);
        return 0;
    case N_FUNCTION:
        return jsonata_call(ev, n, NULL, input, env, out);
    case N_VARIABLE:
        *out = variable(n, input, env);
        return 0;
    case N_LAMBDA:
        *out = jsonata_lambda(ev, n, input, env);
        return 0;
    case N_PARTIAL:
        return jsonata_partial(ev, n, input, env, out);
    case N_APPLY:
        return jsonata_chain(ev, n, input, env, out);
    case N_TRANSFORM:
        *out = jsonata_lambda(ev, n, input, env);
        return 0;
    default: /* an operator that stands alone gives nothing */
        *out = value_undefined;
        return 0;
    }
}

int jsonata_evaluate(struct ev *ev, const struct node *n, struct value input,
                     struct frame *env, struct value *out) {
    struct value v;

    if (jsonata_enter(ev) < 0 || evaluate_node(ev, n, input, env, &v) < 0)
        return -1;
    for (size_t i = 0; n->predicate && i < n->predicate->len; i++)
        if (jsonata_filter(ev, n->predicate->items[i].expr, v, env, &v) < 0)
            return -1;
    if (n->has_group && n->type != N_PATH && jsonata_group(ev, n->group, v, env, &v) < 0)
        return -1;
    ev->depth--;
    *out = jsonata_collapse(v, n->keep_array);
    return 0;
}

/* ---- entry ---- */

int jsonata_compile(struct arena *a, const char *text, size_t len,
                    const struct jsonata **ret_expr, struct status *st) {
    struct parse ps = {.arena = a, .stack_floor = jsonata_stack_floor()};
    const struct node *root = jsonata_parse(&ps, text, len);
    struct jsonata *expr;

    if (!root)
        return jsonata_report(st->arena, &ps.failure, st);
    expr = arena_alloc(a, sizeof(*expr));
    expr->root = root;
    *ret_expr = expr;
    return 0;
}

struct cleaner {
    struct arena *arena;
    size_t depth;
    bool too_deep;
};

static bool clean(struct cleaner *c, struct value *v);

static bool clean_array(struct cleaner *c, struct value *v) {
    struct value *items = NULL;

    for (size_t i = 0; i < v->len; i++) {
        struct value item = v->items[i];

        if (is_function(item))
            item = value_null;
        else if (!clean(c, &item))
            continue;
        if (!items) {
            items = arena_alloc(c->arena, v->len * sizeof(*items));
            memcpy(items, v->items, v->len * sizeof(*items));
        }
        items[i] = item;
    }
    if (!items && !v->spare)
        return false;
    if (items)
        v->items = items;
    v->spare = 0;
    return true;
}

static bool clean_object(struct cleaner *c, struct value *v) {
    struct object_builder b = {.arena = NULL};

    for (VALUE_EACH_MEMBER(m, v)) {
        struct value member = m->value;

        if (!clean(c, &member))
            continue;
        if (!b.arena) {
            object_begin(&b, c->arena, v->len);
            object_set_all(&b, v);
        }
        object_set_ref(&b, m->key, m->key_len, &member);
    }
    if (!b.arena)
        return false;
    *v = *object_end(&b);
    return true;
}

/* Removes functions and array flags from *v, by copying what holds them; says
 * whether there were any. */
static bool clean(struct cleaner *c, struct value *v) {
    bool changed = false;

    if (v->type == TYPE_FUNCTION) {
        *v = value_undefined;
        return true;
    }
    if (v->type != VALUE_ARRAY && v->type != VALUE_OBJECT)
        return false;
    if (++c->depth > MAX_RESULT_DEPTH)
        c->too_deep = true;
    else
        changed = v->type == VALUE_ARRAY ? clean_array(c, v) : clean_object(c, v);
    c->depth--;
    return changed;
}

static void set_limits(struct ev *ev, const struct jsonata_limits *limits) {
    if (limits)
        ev->limits = *limits;
    if (!ev->limits.max_depth)
        ev->limits.max_depth = DEFAULT_DEPTH;
    if (!ev->limits.max_steps)
        ev->limits.max_steps = DEFAULT_STEPS;
    if (!ev->limits.max_bytes)
        ev->limits.max_bytes = DEFAULT_BYTES;
    ev->next_check = CHECK_EVERY;
    ev->arena_start = arena_used(ev->arena);
}

int jsonata_eval(const struct jsonata *expr, struct arena *a, const struct value *input,
                 const struct value *bindings, const struct jsonata_limits *limits,
                 const struct value **ret_result, struct status *st) {
    struct ev ev = {.arena = a, .stack_floor = jsonata_stack_floor()};
    struct cleaner cleaner = {.arena = a};
    struct name root_name = jsonata_name("$", 1);
    struct value context = *input, result;
    struct frame *env;
    int rc;

    set_limits(&ev, limits);
    env = jsonata_frame(&ev, jsonata_frame(&ev, NULL, bindings), NULL);
    jsonata_bind(&ev, env, &root_name, *input);
    if (is_array(context) && !(context.spare & SEQUENCE)) {
        context.spare = 0;
        context = (struct value){.type = VALUE_ARRAY,
                                 .spare = SEQUENCE | OUTER_WRAPPER,
                                 .len = 1,
                                 .items = value_box(a, context)};
    }
    rc = jsonata_evaluate(&ev, expr->root, context, env, &result);
    free(ev.stack);
    if (rc == 0) {
        clean(&cleaner, &result);
        if (cleaner.too_deep)
            rc = over_limit(&ev, "The result is nested too deeply");
    }
    if (rc < 0)
        return jsonata_report(st->arena, &ev.failure, st);
    *ret_result = value_box(a, result);
    return 0;
}
