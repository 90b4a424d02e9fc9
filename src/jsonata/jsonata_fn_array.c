/*
 * jsonata_fn_array.c - functions over arrays and objects, and those that call
 * functions.
 */
#include "jsonata_builtin.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "jsonata_call.h"
#include "jsonata_path.h"

/* Gives undefined for an undefined first argument: 1; 0 for an array; -1. */
static int array_argument(struct ev *ev, const struct args *args, struct value *ret,
                          struct value *out) {
    *ret = argument(args, 0);
    *out = value_undefined;
    if (is_undefined(*ret))
        return 1;
    return jsonata_want(ev, *ret, VALUE_ARRAY);
}

/* f(item, index, array), of which it gets as many as it takes. */
static int call_item(struct ev *ev, struct value f, struct value array, size_t i,
                     struct frame *env, struct value *out) {
    struct value argv[] = {array.items[i], of_number((double)i), array};

    return jsonata_callback(ev, f, argv, 3, env, out);
}

/* ---- higher-order functions over arrays ---- */

int jsonata_fn_map(struct ev *ev, struct args *args, struct value *out) {
    struct value array;
    size_t mark = ev->top;
    int rc = array_argument(ev, args, &array, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    for (size_t i = 0; i < array.len; i++) {
        struct value v;

        if (call_item(ev, argument(args, 1), array, i, args->env, &v) < 0)
            return -1;
        if (!is_undefined(v))
            jsonata_push(ev, v);
    }
    *out = jsonata_take(ev, mark, SEQUENCE);
    return 0;
}

int jsonata_fn_filter(struct ev *ev, struct args *args, struct value *out) {
    struct value array;
    size_t mark = ev->top;
    int rc = array_argument(ev, args, &array, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    for (size_t i = 0; i < array.len; i++) {
        struct value v;
        bool keep;

        if (call_item(ev, argument(args, 1), array, i, args->env, &v) < 0 ||
            jsonata_to_boolean(ev, v, &keep) < 0)
            return -1;
        if (keep)
            jsonata_push(ev, array.items[i]);
    }
    *out = jsonata_take(ev, mark, SEQUENCE);
    return 0;
}

int jsonata_fn_single(struct ev *ev, struct args *args, struct value *out) {
    struct value array, f = argument(args, 1);
    bool found = false;
    int rc = array_argument(ev, args, &array, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    for (size_t i = 0; i < array.len; i++) {
        struct value v = value_true;
        bool keep;

        if ((!is_undefined(f) && call_item(ev, f, array, i, args->env, &v) < 0) ||
            jsonata_to_boolean(ev, v, &keep) < 0)
            return -1;
        if (!keep)
            continue;
        if (found) {
            jsonata_fail(ev, "D3138");
            ev->failure.index = (int)i;
            return -1;
        }
        *out = array.items[i];
        found = true;
    }
    return found ? 0 : jsonata_fail(ev, "D3139");
}

int jsonata_fn_reduce(struct ev *ev, struct args *args, struct value *out) {
    struct value array, f = argument(args, 1), result = argument(args, 2);
    size_t i = 0;
    int rc = array_argument(ev, args, &array, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    if (!is_function(f))
        return jsonata_fail_type(ev, "The argument cannot be called");
    if (jsonata_arity(function_of(f)) < 2) {
        jsonata_fail(ev, "D3050");
        ev->failure.index = 1;
        return -1;
    }
    if (is_undefined(result) && array.len > 0)
        result = array.items[i++];
    for (; i < array.len; i++) {
        struct value argv[] = {result, array.items[i], of_number((double)i), array};

        if (jsonata_callback(ev, f, argv, 4, args->env, &result) < 0)
            return -1;
    }
    *out = result;
    return 0;
}

/* ---- sorting ---- */

static int swap_by_default(struct ev *ev, void *ctx, struct value x, struct value y,
                           bool *ret) {
    (void)ev, (void)ctx;
    *ret =
        x.type == VALUE_STRING ? value_compare_strings(&x, &y) > 0 : x.number > y.number;
    return 0;
}

struct comparator {
    struct value f;
    struct frame *env;
};

static int swap_by_function(struct ev *ev, void *ctx, struct value x, struct value y,
                            bool *ret) {
    const struct comparator *c = ctx;
    struct value argv[] = {x, y}, v;

    if (jsonata_apply(ev, c->f, argv, 2, value_null, c->env, &v) < 0)
        return -1;
    *ret = jsonata_js_truthy(v);
    return 0;
}

static bool all_of(struct value array, enum value_type type) {
    for (size_t i = 0; i < array.len; i++)
        if (array.items[i].type != type)
            return false;
    return true;
}

int jsonata_fn_sort(struct ev *ev, struct args *args, struct value *out) {
    struct comparator c = {argument(args, 1), args->env};
    struct value array;
    bool numbers;
    int rc = array_argument(ev, args, &array, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    *out = array;
    if (array.len <= 1)
        return 0;
    if (!is_undefined(c.f)) {
        /* The library calls the comparator directly, which needs a plain function. */
        if (!is_function(c.f) || !(c.f.spare & PLAIN_FUNCTION))
            return jsonata_fail_type(ev, "The argument cannot be called");
        return jsonata_merge_sort(ev, array, swap_by_function, &c, out);
    }
    numbers = all_of(array, VALUE_NUMBER);
    for (size_t i = 0; numbers && i < array.len; i++)
        if (jsonata_is_numeric(ev, array.items[i], &numbers) < 0)
            return -1;
    if (!numbers && !all_of(array, VALUE_STRING)) {
        jsonata_fail(ev, "D3070");
        ev->failure.index = 1;
        return -1;
    }
    return jsonata_merge_sort(ev, array, swap_by_default, NULL, out);
}

/* ---- arrays ---- */

int jsonata_fn_count(struct ev *ev, struct args *args, struct value *out) {
    struct value array;
    int rc = array_argument(ev, args, &array, out);

    *out = of_number(rc ? 0 : (double)array.len);
    return rc < 0 ? -1 : 0;
}

int jsonata_fn_zip(struct ev *ev, struct args *args, struct value *out) {
    size_t shortest = SIZE_MAX, mark = ev->top;

    for (size_t i = 0; i < args->len; i++) {
        size_t n = is_array(args->v[i]) ? args->v[i].len : 0;

        if (n < shortest)
            shortest = n;
    }
    if (args->len == 0)
        shortest = 0;
    if (jsonata_need(ev, 32.0 * (double)shortest * (double)args->len) < 0)
        return -1;
    for (size_t i = 0; i < shortest; i++) {
        struct value *items = arena_alloc(ev->arena, args->len * sizeof(*items));

        for (size_t k = 0; k < args->len; k++)
            items[k] = args->v[k].items[i];
        jsonata_push(ev, (struct value){.type = VALUE_ARRAY,
                                        .len = (uint32_t)args->len,
                                        .items = items});
    }
    *out = jsonata_take(ev, mark, 0);
    return 0;
}

int jsonata_fn_append(struct ev *ev, struct args *args, struct value *out) {
    return jsonata_append(ev, argument(args, 0), argument(args, 1), out);
}

int jsonata_fn_reverse(struct ev *ev, struct args *args, struct value *out) {
    struct value array, *items;
    int rc = array_argument(ev, args, &array, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    *out = array;
    if (array.len <= 1)
        return 0;
    items = arena_alloc(ev->arena, array.len * sizeof(*items));
    for (size_t i = 0; i < array.len; i++)
        items[array.len - 1 - i] = array.items[i];
    *out = (struct value){.type = VALUE_ARRAY, .len = array.len, .items = items};
    return 0;
}

int jsonata_fn_shuffle(struct ev *ev, struct args *args, struct value *out) {
    struct value array, *items;
    int rc = array_argument(ev, args, &array, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    *out = array;
    if (array.len <= 1)
        return 0;
    items = arena_alloc(ev->arena, array.len * sizeof(*items));
    for (size_t i = 0; i < array.len; i++) {
        size_t j = (size_t)floor(jsonata_random(ev) * (double)(i + 1));

        if (j > i)
            j = i;
        items[i] = items[j];
        items[j] = array.items[i];
    }
    *out = (struct value){.type = VALUE_ARRAY, .len = array.len, .items = items};
    return 0;
}

/* Equal values have equal hashes; used to compare few of them. */
static uint32_t hash_of(struct value v, int depth) {
    uint32_t h = v.type == VALUE_DATE ? VALUE_OBJECT : v.type;

    switch (v.type) {
    case VALUE_STRING:
        return value_hash_key(v.str, v.len);
    case VALUE_NUMBER: {
        double n = v.number == 0 ? 0 : v.number;

        return value_hash_key((const char *)&n, sizeof(n)) + 1;
    }
    case VALUE_BOOL:
        return h * 31 + v.boolean;
    case VALUE_ARRAY:
        h = h * 31 + v.len;
        for (size_t i = 0; i < v.len && depth < 3; i++)
            h = h * 0x9E3779B1u + hash_of(v.items[i], depth + 1);
        return h;
    case VALUE_OBJECT:
        h = h * 31 + v.len;
        for (size_t i = 0; i < v.len && depth < 3; i++) /* in any order */
            h += v.members[i].hash * (hash_of(v.members[i].value, depth + 1) | 1);
        return h;
    default:
        return h;
    }
}

int jsonata_fn_distinct(struct ev *ev, struct args *args, struct value *out) {
    struct value array = argument(args, 0);
    uint32_t *slots, *hashes;
    size_t cap = 16, mark = ev->top;

    *out = array;
    if (!is_array(array) || array.len <= 1)
        return 0;
    while (cap < 2 * (size_t)array.len)
        cap *= 2;
    slots = arena_zalloc(ev->arena, cap * sizeof(*slots));
    hashes = arena_alloc(ev->arena, array.len * sizeof(*hashes));
    for (size_t i = 0; i < array.len; i++) {
        struct value v = array.items[i];
        uint32_t h = hash_of(v, 0);
        size_t at = h & (cap - 1);

        if (jsonata_step(ev) < 0)
            return -1;
        for (; slots[at]; at = (at + 1) & (cap - 1))
            if (hashes[slots[at] - 1] == h &&
                jsonata_deep_equal(v, ev->stack[mark + slots[at] - 1]))
                break;
        if (slots[at])
            continue;
        hashes[ev->top - mark] = h;
        jsonata_push(ev, v);
        slots[at] = (uint32_t)(ev->top - mark);
    }
    *out = jsonata_take(ev, mark, array.spare & SEQUENCE);
    return 0;
}

/* ---- objects ---- */

/* Sets in b, with true, every key that $keys gives of v. */
static int collect_keys(struct ev *ev, struct value v, struct object_builder *b) {
    if (is_array(v)) {
        if (jsonata_enter(ev) < 0)
            return -1;
        for (size_t i = 0; i < v.len; i++)
            if (collect_keys(ev, v.items[i], b) < 0)
                return -1;
        ev->depth--;
        return 0;
    }
    for (VALUE_EACH_MEMBER(m, &v))
        object_set_ref(b, m->key, m->key_len, &value_true);
    return 0;
}

int jsonata_fn_keys(struct ev *ev, struct args *args, struct value *out) {
    struct value v = argument(args, 0);
    size_t mark = ev->top;
    struct object_builder b;

    if (is_array(v)) {
        object_begin(&b, ev->arena, 8);
        if (collect_keys(ev, v, &b) < 0)
            return -1;
        v = *object_end(&b);
    }
    for (VALUE_EACH_MEMBER(m, &v))
        jsonata_push(ev, value_string_ref(m->key, m->key_len));
    *out = jsonata_take(ev, mark, SEQUENCE);
    return 0;
}

int jsonata_fn_lookup(struct ev *ev, struct args *args, struct value *out) {
    struct value key = argument(args, 1);
    struct name name;

    *out = value_undefined;
    if (is_undefined(key))
        key = value_string_ref("undefined", 9);
    if (jsonata_want(ev, key, VALUE_STRING) < 0)
        return -1;
    name = jsonata_name(key.str, key.len);
    return jsonata_lookup(ev, argument(args, 0), &name, out);
}

/* Pushes what $spread gives of v; *flags are those of the array it would give. */
static int spread(struct ev *ev, struct value v, unsigned *flags) {
    if (is_array(v)) {
        if (jsonata_enter(ev) < 0)
            return -1;
        for (size_t i = 0; i < v.len; i++) {
            unsigned ignored;

            if (is_undefined(v.items[i]))
                continue;
            *flags = 0;
            if (spread(ev, v.items[i], &ignored) < 0)
                return -1;
        }
        ev->depth--;
    } else if (v.type == VALUE_OBJECT) {
        for (VALUE_EACH_MEMBER(m, &v)) {
            struct object_builder b;

            object_begin(&b, ev->arena, 1);
            object_set_ref(&b, m->key, m->key_len, &m->value);
            jsonata_push(ev, *object_end(&b));
        }
    } else if (v.type != VALUE_DATE) {
        jsonata_push(ev, v);
    }
    return 0;
}

int jsonata_fn_spread(struct ev *ev, struct args *args, struct value *out) {
    struct value v = argument(args, 0);
    unsigned flags = SEQUENCE;
    size_t mark = ev->top;

    *out = v;
    if (!is_array(v) && v.type != VALUE_OBJECT && v.type != VALUE_DATE)
        return 0;
    if (spread(ev, v, &flags) < 0)
        return -1;
    *out = jsonata_take(ev, mark, flags);
    return 0;
}

int jsonata_fn_merge(struct ev *ev, struct args *args, struct value *out) {
    struct object_builder b;
    struct value array;
    int rc = array_argument(ev, args, &array, out);

    if (rc)
        return rc < 0 ? -1 : 0;
    object_begin(&b, ev->arena, 8);
    for (size_t i = 0; i < array.len; i++)
        object_set_all(&b, &array.items[i]);
    *out = *object_end(&b);
    return 0;
}

static int call_member(struct ev *ev, struct value f, const struct member *m,
                       struct value object, struct frame *env, struct value *out) {
    struct value argv[] = {m->value, value_string_ref(m->key, m->key_len), object};

    return jsonata_callback(ev, f, argv, 3, env, out);
}

int jsonata_fn_each(struct ev *ev, struct args *args, struct value *out) {
    struct value object = argument(args, 0);
    size_t mark = ev->top;

    for (VALUE_EACH_MEMBER(m, &object)) {
        struct value v;

        if (call_member(ev, argument(args, 1), m, object, args->env, &v) < 0)
            return -1;
        if (!is_undefined(v))
            jsonata_push(ev, v);
    }
    *out = jsonata_take(ev, mark, SEQUENCE);
    return 0;
}

int jsonata_fn_sift(struct ev *ev, struct args *args, struct value *out) {
    struct value object = argument(args, 0);
    struct object_builder b;

    object_begin(&b, ev->arena, 4);
    for (VALUE_EACH_MEMBER(m, &object)) {
        struct value v;
        bool keep;

        if (call_member(ev, argument(args, 1), m, object, args->env, &v) < 0 ||
            jsonata_to_boolean(ev, v, &keep) < 0)
            return -1;
        if (keep)
            object_set_ref(&b, m->key, m->key_len, &m->value);
    }
    *out = b.len ? *object_end(&b) : value_undefined;
    return 0;
}

int jsonata_fn_clone(struct ev *ev, struct args *args, struct value *out) {
    *out = value_undefined;
    if (is_undefined(argument(args, 0)))
        return 0;
    return jsonata_clone(ev, argument(args, 0), out);
}

/* ---- any value ---- */

int jsonata_fn_boolean(struct ev *ev, struct args *args, struct value *out) {
    bool truth;

    *out = argument(args, 0);
    if (is_undefined(*out))
        return 0;
    if (jsonata_to_boolean(ev, *out, &truth) < 0)
        return -1;
    *out = of_bool(truth);
    return 0;
}

int jsonata_fn_not(struct ev *ev, struct args *args, struct value *out) {
    if (jsonata_fn_boolean(ev, args, out) < 0)
        return -1;
    if (!is_undefined(*out))
        *out = of_bool(!out->boolean);
    return 0;
}

int jsonata_fn_exists(struct ev *ev, struct args *args, struct value *out) {
    (void)ev;
    *out = of_bool(!is_undefined(argument(args, 0)));
    return 0;
}

int jsonata_fn_type(struct ev *ev, struct args *args, struct value *out) {
    struct value v = argument(args, 0);
    const char *name = "object";
    bool numeric;

    switch (v.type) {
    case VALUE_UNDEFINED:
        *out = v;
        return 0;
    case VALUE_NULL:
        name = "null";
        break;
    case VALUE_NUMBER:
        if (jsonata_is_numeric(ev, v, &numeric) < 0)
            return -1;
        name = numeric ? "number" : "object";
        break;
    case VALUE_STRING:
        name = "string";
        break;
    case VALUE_BOOL:
        name = "boolean";
        break;
    case VALUE_ARRAY:
        name = "array";
        break;
    case TYPE_FUNCTION:
        name = "function";
        break;
    default:
        break;
    }
    *out = value_string_ref(name, strlen(name));
    return 0;
}

static int fail_message(struct ev *ev, const char *code, struct value message,
                        const char *otherwise) {
    jsonata_fail(ev, code);
    ev->failure.text = otherwise;
    if (message.type == VALUE_STRING && message.len)
        ev->failure.text = message.str;
    return -1;
}

int jsonata_fn_error(struct ev *ev, struct args *args, struct value *out) {
    (void)out;
    return fail_message(ev, "D3137", argument(args, 0), "$error() function evaluated");
}

int jsonata_fn_assert(struct ev *ev, struct args *args, struct value *out) {
    *out = value_undefined;
    if (jsonata_js_truthy(argument(args, 0)))
        return 0;
    return fail_message(ev, "D3141", argument(args, 1), "$assert() statement failed");
}

/* ---- expressions and time ---- */

static int fail_inner(struct ev *ev, const char *code, const struct failure *inner) {
    const char *message = jsonata_message(ev->arena, inner);

    jsonata_fail_value(ev, code, value_string_ref(message, strlen(message)));
    return -1;
}

int jsonata_fn_eval(struct ev *ev, struct args *args, struct value *out) {
    struct value text = argument(args, 0), input = args->input, focus = argument(args, 1);
    struct parse ps = {.arena = ev->arena, .stack_floor = ev->stack_floor};
    const struct node *root;
    struct failure inner;

    *out = value_undefined;
    if (is_undefined(text))
        return 0;
    if (jsonata_want(ev, text, VALUE_STRING) < 0)
        return -1;
    if (!is_undefined(focus)) {
        input = focus;
        if (is_array(focus) && !(focus.spare & SEQUENCE))
            input = (struct value){.type = VALUE_ARRAY,
                                   .spare = SEQUENCE | OUTER_WRAPPER,
                                   .len = 1,
                                   .items = value_box(ev->arena, focus)};
    }
    root = jsonata_parse(&ps, text.str, text.len);
    if (!root)
        return fail_inner(ev, "D3120", &ps.failure);
    if (jsonata_evaluate(ev, root, input, args->env, out) < 0) {
        inner = ev->failure;
        if (inner.code && strcmp(inner.code, "U1001") == 0)
            return -1;
        return fail_inner(ev, "D3121", &inner);
    }
    return 0;
}

int jsonata_fn_millis(struct ev *ev, struct args *args, struct value *out) {
    (void)args;
    *out = of_number(jsonata_now(ev));
    return 0;
}

int jsonata_fn_now(struct ev *ev, struct args *args, struct value *out) {
    return jsonata_from_millis(ev, jsonata_now(ev), argument(args, 0), argument(args, 1),
                               out);
}

int jsonata_fn_fromMillis(struct ev *ev, struct args *args, struct value *out) {
    struct value ms = argument(args, 0);

    *out = value_undefined;
    if (is_undefined(ms))
        return 0;
    if (jsonata_want(ev, ms, VALUE_NUMBER) < 0)
        return -1;
    return jsonata_from_millis(ev, ms.number, argument(args, 1), argument(args, 2), out);
}

int jsonata_fn_toMillis(struct ev *ev, struct args *args, struct value *out) {
    struct value text = argument(args, 0);

    *out = value_undefined;
    if (is_undefined(text))
        return 0;
    if (jsonata_want(ev, text, VALUE_STRING) < 0)
        return -1;
    return jsonata_to_millis(ev, text, argument(args, 1), out);
}
