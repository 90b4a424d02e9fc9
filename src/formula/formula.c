/*
 * formula.c - compiling a value into a tree and walking it.
 *
 * Parts without formulas become constants that evaluation hands out as they are.
 * A node writes its result into the caller's struct value, so that scalars cost
 * no allocation and an object costs exactly its members.
 */
#include "formula_priv.h"

#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/status.h"
#include "locator/locator.h"

enum {
    DEFAULT_STEPS = 10000000,
    DEFAULT_BYTES = 256 << 20,
    DEFAULT_TIMEOUT_MS = 10000,
    CHECK_INTERVAL = 512, /* steps between looks at size and time */
    MAX_BUILD_DEPTH = 16, /* of values that are compiled while evaluating */
};

static const struct formula_lookups no_lookups;

uint64_t formula_now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- places ---- */

static void append_place(struct buf *b, const struct formula_place *p) {
    if (!p->parent)
        return;
    append_place(b, p->parent);
    if (p->key)
        locator_append_property(b, p->key, p->key_len);
    else
        locator_append_item(b, p->index);
}

/* Appends the locator of a place: "$.a[0]". */
static void place_text(struct buf *b, const struct formula_place *p) {
    buf_addc(b, '$');
    append_place(b, p);
}

const struct formula_place *formula_place_below(struct arena *a,
                                                const struct formula_place *parent,
                                                const char *key, size_t index) {
    struct formula_place *p = arena_alloc(a, sizeof(*p));

    *p = (struct formula_place){.parent = parent,
                                .key = key,
                                .key_len = key ? (uint32_t)strlen(key) : 0,
                                .index = (uint32_t)index};
    return p;
}

static int fail_limit(struct status *st, const struct formula_place *p,
                      const char *what) {
    struct buf b = BUF_INIT;

    place_text(&b, p);
    st_fail(st, ST_BAD_REQUEST, "formula_limit", "Formula %s at %s", what, b.data);
    buf_fini(&b);
    return -1;
}

int formula_fail_at(struct formula_eval *e, const struct formula_node *n,
                    const char *message) {
    struct buf b = BUF_INIT;

    place_text(&b, &n->place);
    st_fail(e->st, ST_BAD_REQUEST, NULL, "%s at %s", message, b.data);
    buf_fini(&b);
    return -1;
}

/* ---- compiling ---- */

static int compile(struct formula_compiler *c, const struct formula_place *place,
                   const struct value *v, const struct formula_node **ret);

static struct formula_node *new_node(struct formula_compiler *c,
                                     const struct formula_place *place,
                                     const struct value *v) {
    struct formula_node *n = arena_zalloc(c->arena, sizeof(*n));

    n->constant = *v;
    n->source = v;
    n->place = *place;
    return n;
}

/* A key that assignment in the reference does not set. */
static bool is_unsettable(const struct member *m) {
    return m->key_len == 9 && memcmp(m->key, "__proto__", 9) == 0;
}

static bool is_undefined(const struct formula_node *n) {
    return n->kind == NODE_CONSTANT && n->constant.type == VALUE_UNDEFINED;
}

/* The array of constant items, without undefined ones. */
static void fold_array(struct formula_compiler *c, struct formula_node *n,
                       const struct formula_node **items) {
    struct value *out = arena_alloc(c->arena, n->count * sizeof(*out));
    uint32_t len = 0;

    for (uint32_t i = 0; i < n->count; i++)
        if (!is_undefined(items[i]))
            out[len++] = items[i]->constant;
    if (len == 0)
        n->constant = value_undefined;
    else
        n->constant = (struct value){.type = VALUE_ARRAY, .len = len, .items = out};
}

static int compile_array(struct formula_compiler *c, struct formula_node *n,
                         const struct value *v) {
    const struct formula_node **items = arena_alloc(c->arena, v->len * sizeof(*items));
    bool constant = true;

    n->count = v->len;
    for (uint32_t i = 0; i < v->len; i++) {
        if (formula_compile_item(c, &n->place, i, &v->items[i], &items[i]) < 0)
            return -1;
        constant = constant && items[i]->kind == NODE_CONSTANT;
    }
    if (constant) {
        fold_array(c, n, items);
        return 0;
    }
    n->kind = NODE_ARRAY;
    n->items = items;
    return 0;
}

static void fold_object(struct formula_compiler *c, struct formula_node *n,
                        const struct formula_field *fields) {
    struct object_builder b;

    object_begin(&b, c->arena, n->count);
    for (uint32_t i = 0; i < n->count; i++)
        if (!is_undefined(fields[i].node))
            object_set_ref(&b, fields[i].key, fields[i].key_len,
                           &fields[i].node->constant);
    n->constant = b.len ? *object_end(&b) : value_undefined;
}

static int compile_object(struct formula_compiler *c, struct formula_node *n,
                          const struct value *v) {
    struct formula_field *fields = arena_alloc(c->arena, v->len * sizeof(*fields));
    bool constant = true;

    for (VALUE_EACH_MEMBER(m, v)) {
        struct formula_field *f = &fields[n->count];
        struct formula_place place = {&n->place, m->key, m->key_len, 0};

        *f = (struct formula_field){m->key, m->key_len, m->hash, NULL};
        if (compile(c, &place, &m->value, &f->node) < 0)
            return -1;
        if (is_unsettable(m))
            continue;
        n->count++;
        constant = constant && f->node->kind == NODE_CONSTANT;
    }
    if (constant) {
        fold_object(c, n, fields);
        return 0;
    }
    n->kind = NODE_OBJECT;
    n->fields = fields;
    return 0;
}

static int compile_node(struct formula_compiler *c, struct formula_node *n,
                        const struct value *v) {
    if (value_is_array(v))
        return v->len ? compile_array(c, n, v) : 0;
    if (!value_is_object(v) || v->len == 0)
        return 0;
    n->op = formula_operator_of(v);
    if (!n->op)
        return compile_object(c, n, v);
    n->kind = NODE_OPERATOR;
    return n->op->compile(c, n, formula_argument(v));
}

static int compile(struct formula_compiler *c, const struct formula_place *place,
                   const struct value *v, const struct formula_node **ret) {
    struct formula_node *n;
    int rc;

    if (c->depth == FORMULA_MAX_DEPTH)
        return fail_limit(c->st, place, "is nested too deeply");
    n = new_node(c, place, v);
    c->depth++;
    rc = compile_node(c, n, v);
    c->depth--;
    *ret = n;
    return rc;
}

int formula_compile_at(struct formula_compiler *c, const struct formula_place *parent,
                       const char *key, const struct value *v,
                       const struct formula_node **ret_node) {
    struct formula_place place = {parent, key, (uint32_t)strlen(key), 0};

    return compile(c, &place, v, ret_node);
}

int formula_compile_item(struct formula_compiler *c, const struct formula_place *parent,
                         size_t index, const struct value *v,
                         const struct formula_node **ret_node) {
    struct formula_place place = {parent, NULL, 0, (uint32_t)index};

    return compile(c, &place, v, ret_node);
}

int formula_compile_argument(struct formula_compiler *c, struct formula_node *n,
                             const struct value *arg) {
    const struct formula_node *node;
    struct formula_place place = {&n->place, n->source->members[0].key,
                                  n->source->members[0].key_len, 0};

    if (compile(c, &place, arg, &node) < 0)
        return -1;
    n->data = node;
    return 0;
}

int formula_compile(struct arena *a, const struct value *v,
                    const struct formula **ret_formula, struct status *st) {
    struct formula_compiler c = {.arena = a, .st = st};
    struct formula_place root = {NULL, NULL, 0, 0};
    struct formula *f = arena_alloc(a, sizeof(*f));

    f->source = v;
    if (compile(&c, &root, v, &f->root) < 0)
        return -1;
    *ret_formula = f;
    return 0;
}

/* ---- evaluating ---- */

int formula_spend(struct formula_eval *e, const struct formula_node *n, uint64_t count) {
    e->steps += count;
    return e->steps < e->next_check ? 0 : formula_check(e, n);
}

int formula_check(struct formula_eval *e, const struct formula_node *n) {
    e->next_check = e->steps + CHECK_INTERVAL;
    if (e->steps > e->max_steps)
        return fail_limit(e->st, &n->place, "takes too many steps");
    if (arena_used(e->arena) - e->base_bytes > e->max_bytes)
        return fail_limit(e->st, &n->place, "makes a result that is too large");
    if (formula_now_ms() > e->deadline_ms)
        return fail_limit(e->st, &n->place, "takes too long");
    return 0;
}

static int eval_array(struct formula_eval *e, const struct formula_node *n,
                      const struct formula_scope *s, struct value *ret) {
    struct formula_scope inner = {s->variables, &value_undefined};
    struct value *items = arena_alloc(e->arena, n->count * sizeof(*items));
    uint32_t len = 0;

    if (s->schema->type == VALUE_OBJECT)
        inner.schema = value_get_len(s->schema, "items", 5);
    for (uint32_t i = 0; i < n->count; i++) {
        if (formula_eval_node(e, n->items[i], &inner, &items[len]) < 0)
            return -1;
        len += items[len].type != VALUE_UNDEFINED;
    }
    if (len == 0)
        *ret = value_undefined;
    else
        *ret = (struct value){.type = VALUE_ARRAY, .len = len, .items = items};
    return 0;
}

static int eval_object(struct formula_eval *e, const struct formula_node *n,
                       const struct formula_scope *s, struct value *ret) {
    const struct value *properties = &value_undefined;
    struct formula_scope inner = {s->variables, &value_undefined};
    struct member *members = arena_alloc(e->arena, n->count * sizeof(*members));
    uint32_t len = 0;

    if (s->schema->type == VALUE_OBJECT)
        properties = value_get_len(s->schema, "properties", 10);
    for (uint32_t i = 0; i < n->count; i++) {
        const struct formula_field *f = &n->fields[i];
        struct member *m = &members[len];

        if (properties->type == VALUE_OBJECT)
            inner.schema = value_get_len(properties, f->key, f->key_len);
        if (formula_eval_node(e, f->node, &inner, &m->value) < 0)
            return -1;
        m->key = f->key;
        m->key_len = f->key_len;
        m->hash = f->hash;
        len += m->value.type != VALUE_UNDEFINED;
    }
    if (len == 0)
        *ret = value_undefined;
    else
        *ret = (struct value){.type = VALUE_OBJECT, .len = len, .members = members};
    return 0;
}

static void trace(struct formula_eval *e, const struct formula_node *n,
                  const struct value *result) {
    struct buf b = BUF_INIT;

    place_text(&b, &n->place);
    e->run->trace(e->run->trace_ctx, b.data, n->source, result);
    buf_fini(&b);
}

int formula_eval_node(struct formula_eval *e, const struct formula_node *n,
                      const struct formula_scope *s, struct value *ret) {
    switch (n->kind) {
    case NODE_CONSTANT:
        *ret = n->constant;
        return 0;
    case NODE_ARRAY:
        return eval_array(e, n, s, ret);
    case NODE_OBJECT:
        return eval_object(e, n, s, ret);
    case NODE_OPERATOR:
        break;
    }
    if (formula_spend(e, n, 1) < 0 || n->op->eval(e, n, s, ret) < 0)
        return -1;
    if (e->run->trace)
        trace(e, n, ret);
    return 0;
}

int formula_eval_argument(struct formula_eval *e, const struct formula_node *n,
                          const struct formula_scope *s, struct value *ret) {
    return formula_eval_node(e, n->data, s, ret);
}

int formula_eval_value(struct formula_eval *e, const struct value *v,
                       const struct formula_scope *s, struct value *ret) {
    const struct formula *f;
    int rc;

    if (e->depth == MAX_BUILD_DEPTH)
        return st_fail(e->st, ST_BAD_REQUEST, "formula_limit",
                       "Formula builds too many formulas");
    if (formula_compile(e->arena, v, &f, e->st) < 0)
        return -1;
    e->depth++;
    rc = formula_eval_node(e, f->root, s, ret);
    e->depth--;
    return rc;
}

struct value formula_take_text(struct formula_eval *e) {
    size_t len = e->text.len;

    return value_string_ref(arena_memdup(e->arena, len ? e->text.data : "", len), len);
}

struct value formula_single(struct arena *a, const char *key, const struct value *v) {
    struct member *m = arena_alloc(a, sizeof(*m));

    m->key = key;
    m->key_len = (uint32_t)strlen(key);
    m->hash = value_hash_key(key, m->key_len);
    m->value = *v;
    return (struct value){.type = VALUE_OBJECT, .len = 1, .members = m};
}

static int evaluate(const struct formula *f, struct arena *a,
                    const struct formula_run *run, bool resolving,
                    const struct value **ret, struct status *st) {
    static const struct formula_limits no_limits;
    const struct formula_limits *l = run->limits ? run->limits : &no_limits;
    struct formula_scope scope = {run->variables ? run->variables : &value_undefined,
                                  run->schema ? run->schema : &value_undefined};
    struct formula_eval e = {
        .arena = a,
        .st = st,
        .run = run,
        .lookups = resolving && run->lookups ? run->lookups : &no_lookups,
        .full_value = f->source,
        .text = BUF_INIT,
        .max_steps = l->max_steps ? l->max_steps : DEFAULT_STEPS,
        .next_check = CHECK_INTERVAL,
        .base_bytes = arena_used(a),
        .max_bytes = l->max_bytes ? l->max_bytes : DEFAULT_BYTES,
        .resolving = resolving,
    };
    struct value result;
    int rc;

    e.deadline_ms =
        formula_now_ms() + (l->timeout_ms ? l->timeout_ms : DEFAULT_TIMEOUT_MS);
    rc = formula_eval_node(&e, f->root, &scope, &result);
    buf_fini(&e.text);
    if (rc == 0)
        *ret = value_box(a, result);
    return rc;
}

int formula_build(const struct formula *f, struct arena *a, const struct formula_run *run,
                  const struct value **ret_result, struct status *st) {
    return evaluate(f, a, run, false, ret_result, st);
}

int formula_build_data(const struct formula *f, struct arena *a,
                       const struct formula_run *run, const struct value **ret_result,
                       struct status *st) {
    const struct value *built;

    if (formula_build(f, a, run, &built, st) < 0)
        return -1;
    return formula_process_copy(a, built, ret_result, st);
}

int formula_resolve(const struct formula *f, struct arena *a,
                    const struct formula_run *run, const struct value **ret_result,
                    struct status *st) {
    return evaluate(f, a, run, true, ret_result, st);
}

int formula_build_value(struct arena *a, const struct value *v,
                        const struct value *variables, const struct value **ret_result,
                        struct status *st) {
    const struct formula_run run = {.variables = variables};
    const struct formula *f;

    if (formula_compile(a, v, &f, st) < 0)
        return -1;
    return formula_build(f, a, &run, ret_result, st);
}

int formula_resolve_value(struct arena *a, const struct value *v,
                          const struct formula_run *run, const struct value **ret_result,
                          struct status *st) {
    const struct formula *f;

    if (formula_compile(a, v, &f, st) < 0)
        return -1;
    return formula_resolve(f, a, run, ret_result, st);
}
