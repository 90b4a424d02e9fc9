/*
 * jsonata_path.c - location paths, predicates, groupings and sorting.
 *
 * A step maps every item of the sequence before it; arrays that it yields are
 * flattened into the next sequence. When a step binds a variable (@, #) or an
 * ancestor is wanted (%), the path carries tuples instead: objects with the
 * context under "@" and the variables by name.
 */
#include "jsonata_path.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"

/* Not inlined, to keep the frames of nested evaluations small. */
#define OUT_OF_LINE __attribute__((noinline))

static const struct name at_sign = {"@", 1, 0};

static struct value one_item(struct ev *ev, struct value v, unsigned flags) {
    struct value *items = arena_alloc(ev->arena, sizeof(*items));

    *items = v;
    return (struct value){
        .type = VALUE_ARRAY, .spare = (uint16_t)flags, .len = 1, .items = items};
}

/* What a loop over `x.length` and `x[i]` sees: a string's units, else nothing. */
static struct value array_like(struct ev *ev, struct value v) {
    struct value *items;
    size_t n;

    if (is_array(v))
        return v;
    if (v.type != VALUE_STRING)
        return value_empty_array;
    n = value_utf16_length(v.str, v.len);
    items = arena_alloc(ev->arena, n * sizeof(*items));
    for (size_t i = 0; i < n; i++)
        items[i] = *value_utf16_slice(ev->arena, v.str, v.len, i, i + 1);
    return (struct value){.type = VALUE_ARRAY, .len = (uint32_t)n, .items = items};
}

/* ---- tuples ---- */

static struct value tuple_context(struct value tuple) {
    const struct value *v = value_find(&tuple, "@", 1);

    return v ? *v : value_undefined;
}

static struct frame *tuple_frame(struct ev *ev, struct frame *env, struct value tuple) {
    const struct value *object =
        tuple.type == VALUE_OBJECT ? value_box(ev->arena, tuple) : NULL;

    return jsonata_frame(ev, env, object);
}

static void tuple_set(struct object_builder *b, const struct name *name, struct value v) {
    object_set_ref(b, name->s, name->len, &v);
}

static void tuple_begin(struct ev *ev, struct object_builder *b, struct value from) {
    object_begin(b, ev->arena, value_members_count(&from) + 3);
    object_set_all(b, &from);
}

/* ---- predicates ---- */

static void push_at(struct ev *ev, struct value items, double index) {
    if (index < 0)
        index += items.len;
    if (index >= 0 && index < items.len)
        jsonata_push(ev, items.items[(size_t)index]);
}

/* Is v an array of numbers only? -1 D1001 for infinity. */
static int all_numbers(struct ev *ev, struct value v, bool *ret) {
    bool numeric = true, all = is_array(v);

    for (size_t i = 0; is_array(v) && i < v.len; i++) {
        if (jsonata_is_numeric(ev, v.items[i], &numeric) < 0)
            return -1;
        all &= numeric;
    }
    *ret = all;
    return 0;
}

/* Pushes the item if the predicate's result selects it. */
OUT_OF_LINE static int select_item(struct ev *ev, struct value res, struct value item,
                                   size_t index, size_t count) {
    bool numeric, truthy;

    if (jsonata_is_numeric(ev, res, &numeric) < 0)
        return -1;
    if (numeric) {
        double at = floor(res.number);

        if ((at < 0 ? at + (double)count : at) == (double)index)
            jsonata_push(ev, item);
        return 0;
    }
    if (all_numbers(ev, res, &numeric) < 0)
        return -1;
    if (numeric) {
        for (size_t i = 0; i < res.len; i++) {
            double at = floor(res.items[i].number);

            if ((at < 0 ? at + (double)count : at) == (double)index)
                jsonata_push(ev, item);
        }
        return 0;
    }
    if (jsonata_to_boolean(ev, res, &truthy) < 0)
        return -1;
    if (truthy)
        jsonata_push(ev, item);
    return 0;
}

int jsonata_filter(struct ev *ev, const struct node *predicate, struct value input,
                   struct frame *env, struct value *out) {
    unsigned flags = SEQUENCE;
    bool tuples = is_array(input) && (input.spare & TUPLE_STREAM);
    size_t mark = ev->top;

    if (tuples)
        flags |= TUPLE_STREAM;
    if (!is_array(input))
        input = one_item(ev, input, SEQUENCE);
    if (predicate->type == N_NUMBER) {
        push_at(ev, input, floor(predicate->value.number));
        if (ev->top > mark && is_undefined(ev->stack[mark]))
            ev->top = mark;
        if (ev->top > mark && is_array(ev->stack[mark])) {
            *out = ev->stack[mark];
            ev->top = mark;
            return 0;
        }
        *out = jsonata_take(ev, mark, flags);
        return 0;
    }
    for (size_t i = 0; i < input.len; i++) {
        struct value item = input.items[i], context = item, res;
        struct frame *frame = env;

        if (tuples) {
            context = tuple_context(item);
            frame = tuple_frame(ev, env, item);
        }
        if (jsonata_evaluate(ev, predicate, context, frame, &res) < 0 ||
            select_item(ev, res, item, i, input.len) < 0)
            return -1;
    }
    *out = jsonata_take(ev, mark, flags);
    return 0;
}

/* ---- sorting ---- */

struct order {
    const struct node *sort;
    struct frame *env;
    bool tuples;
};

static int order_key(struct ev *ev, const struct order *order, const struct node *term,
                     struct value item, struct value *out) {
    struct frame *env = order->env;

    if (order->tuples) {
        env = tuple_frame(ev, env, item);
        item = tuple_context(item);
    }
    return jsonata_evaluate(ev, term->lhs, item, env, out);
}

static bool is_orderable(struct value v) {
    return v.type == VALUE_STRING || v.type == VALUE_NUMBER;
}

static int compare_keys(struct ev *ev, const struct node *sort, struct value x,
                        struct value y, int *ret) {
    if (is_undefined(x) || is_undefined(y)) {
        *ret = (int)is_undefined(x) - (int)is_undefined(y);
        return 0;
    }
    if (!is_orderable(x) || !is_orderable(y)) {
        jsonata_fail_value(ev, "T2008", is_orderable(x) ? y : x);
        ev->failure.position = sort->position;
        return -1;
    }
    if (x.type != y.type) {
        jsonata_fail_value(ev, "T2007", x);
        ev->failure.value2 = y;
        ev->failure.position = sort->position;
        return -1;
    }
    if (x.type == VALUE_STRING)
        *ret = value_compare_strings(&x, &y);
    else
        *ret = x.number == y.number ? 0 : x.number < y.number ? -1 : 1;
    return 0;
}

static int swap_by_terms(struct ev *ev, void *ctx, struct value x, struct value y,
                         bool *ret) {
    const struct order *order = ctx;
    int sign = 0;

    for (size_t i = 0; sign == 0 && i < order->sort->list_len; i++) {
        const struct node *term = order->sort->list[i];
        struct value a, b;

        if (order_key(ev, order, term, x, &a) < 0 ||
            order_key(ev, order, term, y, &b) < 0 ||
            compare_keys(ev, order->sort, a, b, &sign) < 0)
            return -1;
        /* What has no key stays last in either direction. */
        if (term->descending && !is_undefined(a) && !is_undefined(b))
            sign = -sign;
    }
    *ret = sign == 1;
    return 0;
}

OUT_OF_LINE static int sort_step(struct ev *ev, const struct node *n, struct value input,
                                 struct frame *env, struct value *out) {
    struct order order = {n, env, is_array(input) && (input.spare & TUPLE_STREAM)};

    return jsonata_merge_sort(ev, input, swap_by_terms, &order, out);
}

/* ---- stages of a step ---- */

static int run_stages(struct ev *ev, const struct stages *stages, struct value *v,
                      struct frame *env) {
    for (size_t s = 0; stages && s < stages->len; s++) {
        const struct stage *stage = &stages->items[s];
        struct value *items;

        if (!stage->is_index) {
            if (jsonata_filter(ev, stage->expr, *v, env, v) < 0)
                return -1;
            continue;
        }
        if (!is_array(*v))
            continue;
        items = arena_alloc(ev->arena, v->len * sizeof(*items));
        for (size_t i = 0; i < v->len; i++) {
            struct object_builder b;

            tuple_begin(ev, &b, v->items[i]);
            tuple_set(&b, &stage->variable, of_number((double)i));
            items[i] = *object_end(&b);
        }
        v->items = items;
    }
    return 0;
}

/* ---- plain steps ---- */

/*
 * The results of a step. Arrays are flattened, but a single one that is the
 * result of the last step stays as it is, so the first result waits.
 */
struct results {
    size_t mark, count;
    struct value first;
};

static void flatten(struct ev *ev, struct value v) {
    if (!is_array(v) || (v.spare & CONS)) {
        jsonata_push(ev, v);
        return;
    }
    for (size_t i = 0; i < v.len; i++)
        jsonata_push(ev, v.items[i]);
}

static inline void add_result(struct ev *ev, struct results *r, struct value v) {
    if (is_undefined(v))
        return;
    if (r->count++ == 0) {
        r->first = v;
        return;
    }
    if (r->count == 2)
        flatten(ev, r->first);
    flatten(ev, v);
}

static struct value take_results(struct ev *ev, struct results *r, bool last) {
    if (r->count == 1) {
        if (last && is_array(r->first) && !is_sequence(r->first))
            return r->first;
        flatten(ev, r->first);
    }
    return jsonata_take(ev, r->mark, SEQUENCE);
}

static int lookup_into(struct ev *ev, struct value input, const struct name *key) {
    const struct value *found;

    if (is_array(input)) {
        for (size_t i = 0; i < input.len; i++) {
            struct value v;

            if (input.items[i].type == VALUE_OBJECT) {
                found = value_find_hashed(&input.items[i], key->s, key->len, key->hash);
                v = found ? *found : value_undefined;
            } else if (jsonata_lookup(ev, input.items[i], key, &v) < 0) {
                return -1;
            }
            if (is_array(v))
                for (size_t k = 0; k < v.len; k++)
                    jsonata_push(ev, v.items[k]);
            else if (!is_undefined(v))
                jsonata_push(ev, v);
        }
    }
    return 0;
}

int jsonata_lookup(struct ev *ev, struct value input, const struct name *key,
                   struct value *out) {
    const struct value *found;
    size_t mark = ev->top;

    if (is_array(input)) {
        if (jsonata_enter(ev) < 0)
            return -1;
        if (lookup_into(ev, input, key) < 0)
            return -1;
        ev->depth--;
        *out = jsonata_take(ev, mark, SEQUENCE);
        return 0;
    }
    found = value_find_hashed(&input, key->s, key->len, key->hash);
    *out = found ? *found : value_undefined;
    return 0;
}

static bool is_plain_name(const struct node *n) {
    return n->type == N_NAME && !n->predicate && !n->stages && !n->has_group;
}

/* A field name as a step, the usual case, without the detour by evaluation. */
OUT_OF_LINE static int name_step(struct ev *ev, const struct node *n, struct value input,
                                 struct results *r) {
    const struct name *key = &n->name;

    ev->steps += input.len;
    for (size_t i = 0; i < input.len; i++) {
        const struct value *item = &input.items[i];

        if (item->type == VALUE_OBJECT) {
            const struct value *found =
                value_find_hashed(item, key->s, key->len, key->hash);

            if (found)
                add_result(ev, r, *found);
        } else if (item->type == VALUE_ARRAY) {
            struct value v;

            /* Nested results below r's: they are taken before r grows again. */
            if (jsonata_lookup(ev, *item, key, &v) < 0)
                return -1;
            add_result(ev, r, jsonata_collapse(v, n->keep_array));
        }
    }
    return 0;
}

OUT_OF_LINE static int plain_step(struct ev *ev, const struct node *n, struct value input,
                                  struct frame *env, bool last, struct value *out) {
    struct results r = {.mark = ev->top};

    if (n->type == N_SORT) {
        struct value sorted;

        if (sort_step(ev, n, array_like(ev, input), env, &sorted) < 0 ||
            run_stages(ev, n->stages, &sorted, env) < 0)
            return -1;
        *out = sorted;
        return 0;
    }
    input = array_like(ev, input);
    if (is_plain_name(n)) {
        if (name_step(ev, n, input, &r) < 0)
            return -1;
    } else {
        for (size_t i = 0; i < input.len; i++) {
            struct value res;

            if (jsonata_evaluate(ev, n, input.items[i], env, &res) < 0 ||
                run_stages(ev, n->stages, &res, env) < 0)
                return -1;
            add_result(ev, &r, res);
        }
    }
    *out = take_results(ev, &r, last);
    return 0;
}

/* ---- steps of tuples ---- */

OUT_OF_LINE static void push_tuple(struct ev *ev, const struct node *n, struct value from,
                                   struct value res, bool res_is_tuple, size_t position) {
    struct object_builder b;

    tuple_begin(ev, &b, from);
    if (res_is_tuple) {
        object_set_all(&b, &res);
    } else {
        if (n->focus.s)
            tuple_set(&b, &n->focus, res);
        else
            tuple_set(&b, &at_sign, res);
        if (n->index.s)
            tuple_set(&b, &n->index, of_number((double)position));
        if (n->ancestor)
            tuple_set(&b, &n->ancestor->label, tuple_context(from));
    }
    jsonata_push(ev, *object_end(&b));
}

static struct value context_tuple(struct ev *ev, struct value context) {
    struct object_builder b;

    object_begin(&b, ev->arena, 1);
    tuple_set(&b, &at_sign, context);
    return *object_end(&b);
}

static int tuple_sort(struct ev *ev, const struct node *n, struct value input,
                      const struct value *tuples, struct frame *env, struct value *out) {
    struct value sorted;
    size_t mark = ev->top;

    if (sort_step(ev, n, tuples ? *tuples : array_like(ev, input), env, &sorted) < 0)
        return -1;
    if (!tuples) {
        for (size_t i = 0; i < sorted.len; i++) {
            struct object_builder b;

            tuple_begin(ev, &b, context_tuple(ev, sorted.items[i]));
            if (n->index.s)
                tuple_set(&b, &n->index, of_number((double)i));
            jsonata_push(ev, *object_end(&b));
        }
        sorted = jsonata_take(ev, mark, SEQUENCE | TUPLE_STREAM);
    }
    *out = sorted;
    return run_stages(ev, n->stages, out, env);
}

/* tuples: NULL before the first step that makes them. */
OUT_OF_LINE static int tuple_step(struct ev *ev, const struct node *n, struct value input,
                                  const struct value *tuples, struct frame *env,
                                  struct value *out) {
    size_t mark = ev->top;
    struct value list;

    if (n->type == N_SORT)
        return tuple_sort(ev, n, input, tuples, env, out);
    if (!tuples && !is_array(input))
        return jsonata_fail_type(ev, "input.map is not a function");
    list = tuples ? *tuples : input;
    for (size_t i = 0; i < list.len; i++) {
        struct value tuple = tuples ? list.items[i] : context_tuple(ev, list.items[i]),
                     res;
        bool are_tuples;

        if (jsonata_evaluate(ev, n, tuple_context(tuple), tuple_frame(ev, env, tuple),
                             &res) < 0)
            return -1;
        if (is_undefined(res))
            continue;
        are_tuples = is_array(res) && (res.spare & TUPLE_STREAM);
        if (!is_array(res))
            res = one_item(ev, res, 0);
        for (size_t k = 0; k < res.len; k++)
            push_tuple(ev, n, tuple, res.items[k], are_tuples, k);
    }
    *out = jsonata_take(ev, mark, SEQUENCE | TUPLE_STREAM);
    return run_stages(ev, n->stages, out, env);
}

/* ---- paths ---- */

static struct value contexts_of(struct ev *ev, struct value tuples) {
    size_t mark = ev->top;

    for (size_t i = 0; i < tuples.len; i++)
        jsonata_push(ev, tuple_context(tuples.items[i]));
    return jsonata_take(ev, mark, SEQUENCE);
}

static int run_steps(struct ev *ev, const struct node *n, struct value input,
                     struct frame *env, bool *ret_tuples, struct value *out) {
    struct value result = value_undefined, tuples;
    bool tuple_mode = false, have_tuples = false;

    for (size_t i = 0; i < n->list_len; i++) {
        const struct node *step = n->list[i];

        tuple_mode |= step->tuple;
        if (i == 0 && step->cons_array) {
            if (jsonata_evaluate(ev, step, input, env, &result) < 0)
                return -1;
        } else if (tuple_mode) {
            if (tuple_step(ev, step, input, have_tuples ? &tuples : NULL, env, &tuples) <
                0)
                return -1;
            have_tuples = true;
        } else if (plain_step(ev, step, input, env, i + 1 == n->list_len, &result) < 0) {
            return -1;
        }
        if (!tuple_mode &&
            (is_undefined(result) ||
             ((is_array(result) || result.type == VALUE_STRING) && result.len == 0)))
            break;
        if (!step->focus.s)
            input = result;
    }
    if (tuple_mode && !have_tuples)
        return jsonata_fail_type(ev, "Cannot read properties of undefined");
    *ret_tuples = tuple_mode;
    *out = tuple_mode ? tuples : result;
    return 0;
}

int jsonata_path(struct ev *ev, const struct node *n, struct value input,
                 struct frame *env, struct value *out) {
    struct value result = value_undefined, tuples = value_undefined;
    bool tuple_mode = false;

    /* A path that starts with a variable is absolute. */
    if (!is_array(input) || n->list[0]->type == N_VARIABLE)
        input = one_item(ev, input, SEQUENCE);
    if (run_steps(ev, n, input, env, &tuple_mode, &result) < 0)
        return -1;
    if (tuple_mode) {
        tuples = result;
        if (!n->tuple)
            result = contexts_of(ev, tuples);
    }
    if (n->keep_singleton) {
        if (is_undefined(result))
            return jsonata_fail_type(ev, "Cannot set properties of undefined");
        if (is_array(result) && (result.spare & CONS) && !(result.spare & SEQUENCE))
            result = one_item(ev, result, SEQUENCE);
        if (is_array(result))
            result.spare |= KEEP_SINGLETON;
    }
    if (n->has_group)
        return jsonata_group(ev, n->group, tuple_mode ? tuples : result, env, out);
    *out = result;
    return 0;
}

/* ---- grouping ---- */

struct bucket {
    struct value key;
    size_t pair; /* the pair of the grouping that made the key */
    struct value *items;
    size_t len, cap;
    bool appended; /* more than one item: an array, flattened */
};

static void bucket_push(struct ev *ev, struct bucket *b, struct value v) {
    if (b->len == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 1;

        b->items = arena_grow(ev->arena, b->items, b->cap * sizeof(v), cap * sizeof(v));
        b->cap = cap;
    }
    b->items[b->len++] = v;
}

static void bucket_push_flat(struct ev *ev, struct bucket *b, struct value v) {
    if (!is_array(v))
        bucket_push(ev, b, v);
    else
        for (size_t i = 0; i < v.len; i++)
            bucket_push(ev, b, v.items[i]);
}

/* As $append(data, item). */
static void bucket_append(struct ev *ev, struct bucket *b, struct value item) {
    if (is_undefined(item))
        return;
    if (!b->appended) {
        struct value first = b->items[0];

        if (is_undefined(first)) {
            b->items[0] = item;
            return;
        }
        b->len = 0;
        bucket_push_flat(ev, b, first);
        b->appended = true;
    }
    bucket_push_flat(ev, b, item);
}

static struct value bucket_data(const struct bucket *b) {
    if (!b->appended)
        return b->items[0];
    return (struct value){
        .type = VALUE_ARRAY, .len = (uint32_t)b->len, .items = b->items};
}

struct grouping {
    const struct group *group;
    struct bucket *buckets;
    size_t len, cap;
    uint32_t *slots; /* hash table of positions + 1 */
    size_t n_slots;
};

static void grow_slots(struct ev *ev, struct grouping *g) {
    g->n_slots = g->n_slots ? g->n_slots * 2 : 16;
    g->slots = arena_zalloc(ev->arena, g->n_slots * sizeof(*g->slots));
    for (size_t i = 0; i < g->len; i++) {
        size_t at = value_hash_key(g->buckets[i].key.str, g->buckets[i].key.len) &
                    (g->n_slots - 1);

        while (g->slots[at])
            at = (at + 1) & (g->n_slots - 1);
        g->slots[at] = (uint32_t)i + 1;
    }
}

/* The bucket of the key; *ret_new says whether it was made just now. */
static struct bucket *find_bucket(struct ev *ev, struct grouping *g, struct value key,
                                  bool *ret_new) {
    size_t at;

    if (g->len * 2 >= g->n_slots)
        grow_slots(ev, g);
    at = value_hash_key(key.str, key.len) & (g->n_slots - 1);
    for (; g->slots[at]; at = (at + 1) & (g->n_slots - 1))
        if (value_string_equal(&g->buckets[g->slots[at] - 1].key, &key)) {
            *ret_new = false;
            return &g->buckets[g->slots[at] - 1];
        }
    if (g->len == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 4;

        g->buckets = arena_grow(ev->arena, g->buckets, g->cap * sizeof(*g->buckets),
                                cap * sizeof(*g->buckets));
        g->cap = cap;
    }
    g->buckets[g->len] = (struct bucket){.key = key};
    g->slots[at] = (uint32_t)++g->len;
    *ret_new = true;
    return &g->buckets[g->len - 1];
}

static int fail_key(struct ev *ev, const struct group *g, const char *code,
                    struct value key) {
    jsonata_fail_value(ev, code, key);
    ev->failure.position = g->position;
    return -1;
}

static int put_into_bucket(struct ev *ev, struct grouping *g, struct value key,
                           size_t pair, struct value item) {
    struct bucket *b;
    bool is_new;

    if (is_undefined(key))
        return 0;
    if (key.type != VALUE_STRING)
        return fail_key(ev, g->group, "T1003", key);
    if (value_equals_text(&key, "_jsonata_lambda") ||
        value_equals_text(&key, "_jsonata_function"))
        return fail_key(ev, g->group, "D1013", key);
    b = find_bucket(ev, g, key, &is_new);
    if (is_new) {
        b->pair = pair;
        bucket_push(ev, b, item);
        return 0;
    }
    if (b->pair != pair)
        return fail_key(ev, g->group, "D1009", key);
    bucket_append(ev, b, item);
    return 0;
}

/* Tuples of one group become one: its variables hold all their values. */
static struct value reduce_tuples(struct ev *ev, struct value data) {
    struct grouping props = {.group = NULL};
    struct object_builder b;

    if (!is_array(data))
        return data;
    for (size_t i = 0; i < data.len; i++)
        for (VALUE_EACH_MEMBER(m, &data.items[i])) {
            bool is_new;
            struct bucket *all =
                find_bucket(ev, &props, value_string_ref(m->key, m->key_len), &is_new);

            if (is_new)
                bucket_push(ev, all, m->value);
            else
                bucket_append(ev, all, m->value);
        }
    object_begin(&b, ev->arena, props.len);
    for (size_t i = 0; i < props.len; i++) {
        struct value v = bucket_data(&props.buckets[i]);

        object_set_ref(&b, props.buckets[i].key.str, props.buckets[i].key.len, &v);
    }
    return *object_end(&b);
}

OUT_OF_LINE static int group_value(struct ev *ev, const struct grouping *g,
                                   const struct bucket *b, bool reduce, struct frame *env,
                                   struct value *out) {
    struct value context = bucket_data(b);

    if (reduce) {
        struct value tuple = reduce_tuples(ev, context);
        struct object_builder rest;

        context = tuple_context(tuple);
        tuple_begin(ev, &rest, tuple);
        object_delete(&rest, "@", 1);
        env = tuple_frame(ev, env, *object_end(&rest));
    }
    return jsonata_evaluate(ev, g->group->pairs[b->pair].value, context, env, out);
}

/* Puts buckets into the order of an object's keys: array indexes first. */
static void order_buckets(struct ev *ev, struct grouping *g) {
    struct object_builder b;
    struct bucket *ordered;
    const struct value *order;
    bool digits = false;

    for (size_t i = 0; i < g->len; i++)
        digits |= g->buckets[i].key.str[0] >= '0' && g->buckets[i].key.str[0] <= '9';
    if (!digits || g->len < 2)
        return;
    object_begin(&b, ev->arena, g->len);
    for (size_t i = 0; i < g->len; i++) {
        struct value place = of_number((double)i);

        object_set_ref(&b, g->buckets[i].key.str, g->buckets[i].key.len, &place);
    }
    order = object_end(&b);
    ordered = arena_alloc(ev->arena, g->len * sizeof(*ordered));
    for (size_t i = 0; i < g->len; i++)
        ordered[i] = g->buckets[(size_t)order->members[i].value.number];
    g->buckets = ordered;
}

int jsonata_group(struct ev *ev, const struct group *group, struct value input,
                  struct frame *env, struct value *out) {
    struct grouping g = {.group = group};
    bool reduce = is_array(input) && (input.spare & TUPLE_STREAM);
    struct object_builder b;

    if (!is_array(input))
        input = one_item(ev, input, SEQUENCE);
    if (input.len == 0) {
        if (reduce && group->len) /* the library reads "@" of a tuple that is not there */
            return jsonata_fail_type(ev, "Cannot read properties of undefined");
        input = one_item(ev, value_undefined, SEQUENCE);
        reduce = false;
    }
    for (size_t i = 0; i < input.len; i++) {
        struct value item = input.items[i], context = item;
        struct frame *frame = env;

        if (reduce) {
            context = tuple_context(item);
            frame = tuple_frame(ev, env, item);
        }
        for (size_t p = 0; p < group->len; p++) {
            struct value key;

            if (jsonata_evaluate(ev, group->pairs[p].key, context, frame, &key) < 0 ||
                put_into_bucket(ev, &g, key, p, item) < 0)
                return -1;
        }
    }
    order_buckets(ev, &g);
    object_begin(&b, ev->arena, g.len);
    for (size_t i = 0; i < g.len; i++) {
        struct value v;

        if (group_value(ev, &g, &g.buckets[i], reduce, env, &v) < 0)
            return -1;
        if (!is_undefined(v))
            object_set_ref(&b, g.buckets[i].key.str, g.buckets[i].key.len, &v);
    }
    *out = *object_end(&b);
    return 0;
}

/* ---- wildcards ---- */

static int push_flattened(struct ev *ev, struct value v) {
    if (!is_array(v)) {
        jsonata_push(ev, v);
        return 0;
    }
    if (jsonata_enter(ev) < 0)
        return -1;
    for (size_t i = 0; i < v.len; i++)
        if (push_flattened(ev, v.items[i]) < 0)
            return -1;
    ev->depth--;
    return 0;
}

static int wild_member(struct ev *ev, struct value v, unsigned *flags) {
    if (!is_array(v)) {
        jsonata_push(ev, v);
        return 0;
    }
    *flags = 0; /* appending an array gives a plain array */
    return push_flattened(ev, v);
}

int jsonata_wildcard(struct ev *ev, struct value input, struct value *out) {
    size_t mark = ev->top;
    unsigned flags = SEQUENCE;

    if (is_array(input) && (input.spare & OUTER_WRAPPER) && input.len > 0)
        input = input.items[0];
    if (is_array(input)) {
        for (size_t i = 0; i < input.len; i++)
            if (wild_member(ev, input.items[i], &flags) < 0)
                return -1;
        /* In the library the flags are properties of the array: their values count. */
        for (unsigned flag = SEQUENCE; flag <= OUTER_WRAPPER; flag *= 2)
            if ((input.spare & flag) && flag != CONS)
                jsonata_push(ev, value_true);
    } else {
        for (VALUE_EACH_MEMBER(m, &input))
            if (wild_member(ev, m->value, &flags) < 0)
                return -1;
    }
    *out = jsonata_take(ev, mark, flags);
    return 0;
}

static int push_descendants(struct ev *ev, struct value v) {
    if (jsonata_enter(ev) < 0)
        return -1;
    if (is_array(v)) {
        for (size_t i = 0; i < v.len; i++)
            if (push_descendants(ev, v.items[i]) < 0)
                return -1;
    } else {
        jsonata_push(ev, v);
        for (VALUE_EACH_MEMBER(m, &v))
            if (push_descendants(ev, m->value) < 0)
                return -1;
    }
    ev->depth--;
    return 0;
}

int jsonata_descendants(struct ev *ev, struct value input, struct value *out) {
    size_t mark = ev->top;

    *out = value_undefined;
    if (is_undefined(input))
        return 0;
    if (push_descendants(ev, input) < 0)
        return -1;
    *out = jsonata_take(ev, mark, SEQUENCE);
    if (out->len == 1)
        *out = out->items[0];
    return 0;
}
