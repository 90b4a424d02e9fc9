/*
 * value.c - building and reading values.
 *
 * Objects of more than INDEX_MIN members carry an open-addressing index right
 * after their members (flag INDEXED), made when the object is finished:
 * look-ups in wide records stay constant, small objects, which are nearly all,
 * stay one contiguous run compared by hash.
 */
#include "value.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/arena.h"
#include "value_priv.h"

const struct value value_undefined = {.type = VALUE_UNDEFINED};
const struct value value_null = {.type = VALUE_NULL};
const struct value value_true = {.type = VALUE_BOOL, .boolean = true};
const struct value value_false = {.type = VALUE_BOOL, .boolean = false};
const struct value value_empty_string = {.type = VALUE_STRING, .str = ""};
const struct value value_empty_array = {.type = VALUE_ARRAY, .items = NULL};
const struct member value_no_member = {.key = ""};
const struct value value_empty_object = {.type = VALUE_OBJECT, .members = NULL};

const struct value *value_bool(bool b) {
    return b ? &value_true : &value_false;
}

const struct value *value_box(struct arena *a, struct value v) {
    struct value *p = arena_alloc(a, sizeof(*p));

    *p = v;
    return p;
}

const struct value *value_number(struct arena *a, double n) {
    return value_box(a, (struct value){.type = VALUE_NUMBER, .number = n});
}

const struct value *value_date(struct arena *a, double ms) {
    return value_box(a, (struct value){.type = VALUE_DATE, .number = ms});
}

struct value value_string_ref(const char *s, size_t len) {
    assert(len <= UINT32_MAX);
    return (struct value){.type = VALUE_STRING, .len = (uint32_t)len, .str = s};
}

const struct value *value_string_len(struct arena *a, const char *s, size_t len) {
    return value_box(a, value_string_ref(arena_memdup(a, s, len), len));
}

const struct value *value_string(struct arena *a, const char *s) {
    return value_string_len(a, s, strlen(s));
}

const struct value *value_stringf(struct arena *a, const char *fmt, ...) {
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return value_box(a, value_string_ref(s, strlen(s)));
}

/* ---- arrays ---- */

void array_begin(struct array_builder *b, struct arena *a, size_t hint) {
    b->arena = a;
    b->len = 0;
    b->cap = hint;
    b->items = hint ? arena_alloc(a, hint * sizeof(struct value)) : NULL;
}

void array_push(struct array_builder *b, const struct value *v) {
    if (b->len == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;

        b->items = arena_grow(b->arena, b->items, b->cap * sizeof(struct value),
                              cap * sizeof(struct value));
        b->cap = cap;
    }
    b->items[b->len++] = *v;
}

const struct value *array_end(struct array_builder *b) {
    assert(b->len <= UINT32_MAX);
    return value_box(
        b->arena,
        (struct value){.type = VALUE_ARRAY, .len = (uint32_t)b->len, .items = b->items});
}

/* ---- objects ---- */

/*
 * Keys of hostile objects must not collide by design, so the hash depends on a
 * number drawn when the process starts: the one writable global of this folder.
 */
static uint64_t hash_seed = 0x9E3779B97F4A7C15u;

__attribute__((constructor)) static void draw_hash_seed(void) {
    uint64_t drawn;

    if (getrandom(&drawn, sizeof(drawn), GRND_NONBLOCK) == sizeof(drawn))
        hash_seed ^= drawn;
}

static uint64_t load_word(const char *p, size_t n) {
    uint64_t word = 0;

    memcpy(&word, p, n);
    return word;
}

static uint64_t fold_product(uint64_t x, uint64_t y) {
    __uint128_t product = (__uint128_t)x * y;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Words of 8 bytes, multiplied and folded; the last word may overlap. */
uint32_t value_hash_key(const char *key, size_t len) {
    uint64_t h = hash_seed ^ len * 0xA0761D6478BD642Fu, first, last;
    size_t i = 0;

    for (; len - i > 16; i += 8)
        h = fold_product(h ^ load_word(key + i, 8), 0xE7037ED1A0B428DBu);
    if (len >= 8) {
        first = load_word(key + i, 8);
        last = load_word(key + len - 8, 8);
    } else if (len >= 4) {
        first = load_word(key, 4);
        last = load_word(key + len - 4, 4);
    } else {
        first = len ? (unsigned char)key[0] : 0;
        last =
            len ? (uint64_t)(unsigned char)key[len / 2] << 8 | (unsigned char)key[len - 1]
                : 0;
    }
    h = fold_product(h ^ first, last ^ hash_seed ^ 0x8EBC6AF09C88C6E3u);
    return (uint32_t)(h ^ h >> 32);
}

bool value_is_index_key(const char *key, size_t len, uint32_t *ret_index) {
    uint64_t n = 0;

    if (len == 0 || len > 10 || (key[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (key[i] < '0' || key[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(key[i] - '0');
    }
    if (n >= UINT32_MAX)
        return false;
    if (ret_index)
        *ret_index = (uint32_t)n;
    return true;
}

static bool may_be_index_key(const char *key, size_t len) {
    return len && len <= 10 && key[0] >= '0' && key[0] <= '9';
}

static bool member_is(const struct member *m, uint32_t hash, const char *key,
                      size_t len) {
    return m->hash == hash && m->key_len == len && memcmp(m->key, key, len) == 0;
}

/* Slots hold position + 1; 0 is free. cap is a power of two above twice the
 * members. */
static size_t index_slots(size_t members) {
    size_t cap = 64;

    while (cap < members * 2)
        cap *= 2;
    return cap;
}

static void index_put(uint32_t *slots, size_t cap, uint32_t hash, uint32_t pos) {
    size_t i = hash & (cap - 1);

    while (slots[i])
        i = (i + 1) & (cap - 1);
    slots[i] = pos + 1;
}

static const struct member *index_find(const uint32_t *slots, size_t cap,
                                       const struct member *members, uint32_t hash,
                                       const char *key, size_t len) {
    for (size_t i = hash & (cap - 1); slots[i]; i = (i + 1) & (cap - 1))
        if (member_is(&members[slots[i] - 1], hash, key, len))
            return &members[slots[i] - 1];
    return NULL;
}

void object_begin(struct object_builder *b, struct arena *a, size_t hint) {
    *b = (struct object_builder){.arena = a, .cap = hint};
    if (hint)
        b->members = arena_alloc(a, hint * sizeof(struct member));
}

static void builder_reindex(struct object_builder *b) {
    size_t cap = index_slots(b->len * 2);

    b->index = arena_zalloc(b->arena, cap * sizeof(uint32_t));
    b->index_cap = cap;
    for (size_t i = 0; i < b->len; i++)
        index_put(b->index, cap, b->members[i].hash, (uint32_t)i);
}

static struct member *builder_find(const struct object_builder *b, uint32_t hash,
                                   const char *key, size_t len) {
    if (b->index)
        return (struct member *)index_find(b->index, b->index_cap, b->members, hash, key,
                                           len);
    for (size_t i = 0; i < b->len; i++)
        if (member_is(&b->members[i], hash, key, len))
            return &b->members[i];
    return NULL;
}

static void builder_set_hashed(struct object_builder *b, const char *key, size_t len,
                               uint32_t hash, bool copy, const struct value *v) {
    struct member *m = builder_find(b, hash, key, len);

    assert(len <= UINT32_MAX);
    if (m) {
        m->value = *v;
        return;
    }
    if (b->len == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;

        b->members = arena_grow(b->arena, b->members, b->cap * sizeof(struct member),
                                cap * sizeof(struct member));
        b->cap = cap;
    }
    m = &b->members[b->len++];
    m->key = copy ? arena_memdup(b->arena, key, len) : key;
    m->key_len = (uint32_t)len;
    m->hash = hash;
    m->value = *v;
    if (may_be_index_key(key, len) && value_is_index_key(key, len, NULL))
        b->has_index_keys = true;
    if (b->index) {
        if (b->len * 2 > b->index_cap)
            builder_reindex(b);
        else
            index_put(b->index, b->index_cap, hash, (uint32_t)(b->len - 1));
    } else if (b->len > INDEX_MIN) {
        builder_reindex(b);
    }
}

static void builder_set(struct object_builder *b, const char *key, size_t len, bool copy,
                        const struct value *v) {
    builder_set_hashed(b, key, len, value_hash_key(key, len), copy, v);
}

void object_set_key(struct object_builder *b, const struct member *key,
                    const struct value *v) {
    builder_set_hashed(b, key->key, key->key_len, key->hash, false, v);
}

void object_set_len(struct object_builder *b, const char *key, size_t key_len,
                    const struct value *v) {
    builder_set(b, key, key_len, true, v);
}

void object_set_ref(struct object_builder *b, const char *key, size_t key_len,
                    const struct value *v) {
    builder_set(b, key, key_len, false, v);
}

void object_set(struct object_builder *b, const char *key, const struct value *v) {
    builder_set(b, key, strlen(key), true, v);
}

void object_set_string(struct object_builder *b, const char *key, const char *s) {
    object_set(b, key, value_string(b->arena, s));
}

void object_set_number(struct object_builder *b, const char *key, double n) {
    struct value v = {.type = VALUE_NUMBER, .number = n};

    object_set(b, key, &v);
}

void object_set_bool(struct object_builder *b, const char *key, bool on) {
    object_set(b, key, value_bool(on));
}

void object_set_all(struct object_builder *b, const struct value *o) {
    for (VALUE_EACH_MEMBER(m, o))
        object_set_key(b, m, &m->value);
}

const struct value *object_builder_get(const struct object_builder *b, const char *key,
                                       size_t key_len) {
    struct member *m = builder_find(b, value_hash_key(key, key_len), key, key_len);

    return m ? &m->value : NULL;
}

bool object_delete(struct object_builder *b, const char *key, size_t key_len) {
    struct member *m = builder_find(b, value_hash_key(key, key_len), key, key_len);
    size_t at;

    if (!m)
        return false;
    at = (size_t)(m - b->members);
    memmove(m, m + 1, (b->len - at - 1) * sizeof(*m));
    b->len--;
    if (b->index)
        builder_reindex(b);
    return true;
}

static int by_index_key(const void *x, const void *y) {
    uint32_t i = 0, j = 0;

    value_is_index_key(((const struct member *)x)->key,
                       ((const struct member *)x)->key_len, &i);
    value_is_index_key(((const struct member *)y)->key,
                       ((const struct member *)y)->key_len, &j);
    return i < j ? -1 : i > j;
}

/* Stable: array-index keys to the front, ascending; the others keep their
 * order. */
static void order_index_keys(const struct member *from, size_t n, struct member *sorted) {
    size_t front = 0, back;

    for (size_t i = 0; i < n; i++)
        if (value_is_index_key(from[i].key, from[i].key_len, NULL))
            sorted[front++] = from[i];
    back = front;
    for (size_t i = 0; i < n; i++)
        if (!value_is_index_key(from[i].key, from[i].key_len, NULL))
            sorted[back++] = from[i];
    qsort(sorted, front, sizeof(*sorted), by_index_key);
}

/* members has room for the index after them when n > INDEX_MIN. */
static struct value finish_object(struct member *members, size_t n) {
    struct value v = {.type = VALUE_OBJECT, .len = (uint32_t)n, .members = members};

    if (n > INDEX_MIN) {
        size_t slots = index_slots(n);
        uint32_t *index = (uint32_t *)(members + n);

        memset(index, 0, slots * sizeof(*index));
        for (size_t i = 0; i < n; i++)
            index_put(index, slots, members[i].hash, (uint32_t)i);
        v.flags |= VALUE_INDEXED;
    }
    return v;
}

static size_t object_size(size_t n) {
    return n * sizeof(struct member) +
           (n > INDEX_MIN ? index_slots(n) * sizeof(uint32_t) : 0);
}

const struct value *object_end(struct object_builder *b) {
    if (b->has_index_keys && b->len > 1) {
        struct member *sorted = arena_alloc(b->arena, object_size(b->len));

        order_index_keys(b->members, b->len, sorted);
        b->members = sorted;
    } else if (b->len > INDEX_MIN) {
        size_t have = b->cap * sizeof(struct member);
        size_t want = object_size(b->len);

        if (want > have)
            b->members = arena_grow(b->arena, b->members, have, want);
    }
    return value_box(b->arena, finish_object(b->members, b->len));
}

/* Folds repeated keys into their first place; gives how many are left. */
static size_t fold_repeats_few(struct member *members, size_t n) {
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct member *m = &members[i];
        size_t j = 0;

        while (j < kept && !member_is(&members[j], m->hash, m->key, m->key_len))
            j++;
        if (j < kept)
            members[j].value = m->value;
        else
            members[kept++] = *m;
    }
    return kept;
}

static size_t fold_repeats_many(struct arena *a, struct member *members, size_t n) {
    size_t cap = index_slots(n), kept = 0;
    uint32_t *slots = arena_zalloc(a, cap * sizeof(*slots));

    for (size_t i = 0; i < n; i++) {
        struct member *m = &members[i];
        struct member *same =
            (struct member *)index_find(slots, cap, members, m->hash, m->key, m->key_len);

        if (same) {
            same->value = m->value;
        } else {
            members[kept] = *m;
            index_put(slots, cap, m->hash, (uint32_t)kept++);
        }
    }
    return kept;
}

struct value value_object_from_members(struct arena *a, struct member *members,
                                       size_t n) {
    bool index_keys = false;
    struct member *made;

    if (n == 0)
        return value_empty_object;
    for (size_t i = 0; i < n; i++)
        index_keys |= may_be_index_key(members[i].key, members[i].key_len);
    if (n <= INDEX_MIN) {
        n = fold_repeats_few(members, n);
    } else if (!index_keys) {
        /* Usual: no repeats. Build in place, and see while indexing. */
        size_t slots = index_slots(n);
        uint32_t *index;
        size_t i;

        made = arena_alloc(a, object_size(n));
        index = (uint32_t *)(made + n);
        memset(index, 0, slots * sizeof(*index));
        for (i = 0; i < n; i++) {
            const struct member *m = &members[i];
            size_t at = m->hash & (slots - 1);

            while (index[at] &&
                   !member_is(&made[index[at] - 1], m->hash, m->key, m->key_len))
                at = (at + 1) & (slots - 1);
            if (index[at])
                break;
            index[at] = (uint32_t)i + 1;
            made[i] = *m;
        }
        if (i == n)
            return (struct value){.type = VALUE_OBJECT,
                                  .flags = VALUE_INDEXED,
                                  .len = (uint32_t)n,
                                  .members = made};
        n = fold_repeats_many(a, members, n);
    } else {
        n = fold_repeats_many(a, members, n);
    }
    made = arena_alloc(a, object_size(n));
    if (index_keys)
        order_index_keys(members, n, made);
    else
        memcpy(made, members, n * sizeof(*made));
    return finish_object(made, n);
}

const struct value *value_obj(struct arena *a, ...) {
    struct object_builder b;
    const char *key;
    va_list ap;

    object_begin(&b, a, 8);
    va_start(ap, a);
    while ((key = va_arg(ap, const char *))) {
        const struct value *v = va_arg(ap, const struct value *);

        if (v)
            builder_set(&b, key, strlen(key), true, v);
    }
    va_end(ap);
    return object_end(&b);
}

const struct value *value_merge(struct arena *a, const struct value *base,
                                const struct value *over) {
    struct object_builder b;

    object_begin(&b, a, value_members_count(base) + value_members_count(over));
    object_set_all(&b, base);
    object_set_all(&b, over);
    return object_end(&b);
}

static bool listed(const struct member *m, const char *const *keys) {
    for (; *keys; keys++)
        if (strlen(*keys) == m->key_len && memcmp(*keys, m->key, m->key_len) == 0)
            return true;
    return false;
}

static const struct value *filter_keys(struct arena *a, const struct value *o,
                                       const char *const *keys, bool keep) {
    struct object_builder b;

    object_begin(&b, a, value_members_count(o));
    for (VALUE_EACH_MEMBER(m, o))
        if (listed(m, keys) == keep)
            object_set_key(&b, m, &m->value);
    return object_end(&b);
}

const struct value *value_omit(struct arena *a, const struct value *o,
                               const char *const *keys) {
    return filter_keys(a, o, keys, false);
}

const struct value *value_pick(struct arena *a, const struct value *o,
                               const char *const *keys) {
    return filter_keys(a, o, keys, true);
}

const struct value *value_with(struct arena *a, const struct value *o, const char *key,
                               const struct value *v) {
    struct object_builder b;

    object_begin(&b, a, value_members_count(o) + 1);
    object_set_all(&b, o);
    if (value_is(v, VALUE_UNDEFINED))
        object_delete(&b, key, strlen(key));
    else
        object_set(&b, key, v);
    return object_end(&b);
}

static struct value copy_node(struct arena *a, const struct value *v) {
    struct value copy = *v;

    switch ((enum value_type)v->type) {
    case VALUE_STRING:
        copy.str = arena_memdup(a, v->str, v->len);
        break;
    case VALUE_ARRAY: {
        struct value *items = arena_alloc(a, v->len * sizeof(*items));

        for (size_t i = 0; i < v->len; i++)
            items[i] = copy_node(a, &v->items[i]);
        copy.items = items;
        break;
    }
    case VALUE_OBJECT: {
        struct object_builder b;

        object_begin(&b, a, v->len);
        for (VALUE_EACH_MEMBER(m, v)) {
            struct value member = copy_node(a, &m->value);

            builder_set(&b, m->key, m->key_len, true, &member);
        }
        copy = *object_end(&b);
        break;
    }
    default:
        break;
    }
    return copy;
}

const struct value *value_copy(struct arena *a, const struct value *v) {
    return value_box(a, copy_node(a, v));
}

/* ---- reading ---- */

const struct value *value_find_hashed(const struct value *v, const char *key, size_t len,
                                      uint32_t hash) {
    if (!v || v->type != VALUE_OBJECT || v->len == 0)
        return NULL;
    if (v->flags & VALUE_INDEXED) {
        const struct member *m =
            index_find((const uint32_t *)(v->members + v->len), index_slots(v->len),
                       v->members, hash, key, len);

        return m ? &m->value : NULL;
    }
    for (size_t i = 0; i < v->len; i++)
        if (member_is(&v->members[i], hash, key, len))
            return &v->members[i].value;
    return NULL;
}

const struct value *value_find(const struct value *v, const char *key, size_t len) {
    return value_find_hashed(v, key, len, value_hash_key(key, len));
}

const struct value *value_find_key(const struct value *v, const struct member *key) {
    return value_find_hashed(v, key->key, key->key_len, key->hash);
}

const struct value *value_get_len(const struct value *v, const char *key, size_t len) {
    const struct value *found = value_find(v, key, len);

    return found ? found : &value_undefined;
}

const struct value *value_get(const struct value *v, const char *key) {
    return value_get_len(v, key, strlen(key));
}

bool value_has(const struct value *v, const char *key) {
    return value_find(v, key, strlen(key)) != NULL;
}

const struct value *value_at(const struct value *v, size_t i) {
    return v && v->type == VALUE_ARRAY && i < v->len ? &v->items[i] : &value_undefined;
}

const struct value *value_path(const struct value *v, ...) {
    const char *key;
    va_list ap;

    va_start(ap, v);
    while (v && (key = va_arg(ap, const char *)))
        v = value_find(v, key, strlen(key));
    va_end(ap);
    return v ? v : &value_undefined;
}

const char *value_get_string(const struct value *v, const char *key,
                             const char *otherwise) {
    const struct value *m = value_get(v, key);

    return m->type == VALUE_STRING ? m->str : otherwise;
}

double value_get_number(const struct value *v, const char *key, double otherwise) {
    const struct value *m = value_get(v, key);

    return m->type == VALUE_NUMBER ? m->number : otherwise;
}

bool value_get_bool(const struct value *v, const char *key, bool otherwise) {
    const struct value *m = value_get(v, key);

    return m->type == VALUE_BOOL ? m->boolean : otherwise;
}

const char *value_text(const struct value *v) {
    return v && v->type == VALUE_STRING ? v->str : NULL;
}

struct bytes value_bytes(const struct value *v) {
    if (!v || v->type != VALUE_STRING)
        return (struct bytes){"", 0};
    return (struct bytes){v->str, v->len};
}

bool value_equals_text(const struct value *v, const char *s) {
    return v && v->type == VALUE_STRING && strlen(s) == v->len &&
           memcmp(v->str, s, v->len) == 0;
}

bool value_string_equal(const struct value *x, const struct value *y) {
    return x->type == VALUE_STRING && y->type == VALUE_STRING && x->len == y->len &&
           memcmp(x->str, y->str, x->len) == 0;
}

bool value_truthy(const struct value *v) {
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        return false;
    case VALUE_BOOL:
        return v->boolean;
    case VALUE_NUMBER:
        return v->number != 0 && !isnan(v->number);
    case VALUE_STRING:
        return v->len != 0;
    default:
        return true;
    }
}

static bool scalars_equal(const struct value *x, const struct value *y) {
    switch ((enum value_type)x->type) {
    case VALUE_BOOL:
        return x->boolean == y->boolean;
    case VALUE_NUMBER:
    case VALUE_DATE:
        return x->number == y->number || (isnan(x->number) && isnan(y->number));
    case VALUE_STRING:
        return value_string_equal(x, y);
    default:
        return true;
    }
}

bool value_equal(const struct value *x, const struct value *y) {
    if (x == y)
        return true;
    if (x->type != y->type)
        return false;
    if (x->type == VALUE_ARRAY) {
        if (x->len != y->len)
            return false;
        for (size_t i = 0; i < x->len; i++)
            if (!value_equal(&x->items[i], &y->items[i]))
                return false;
        return true;
    }
    if (x->type == VALUE_OBJECT) {
        if (x->len != y->len)
            return false;
        for (size_t i = 0; i < x->len; i++) {
            const struct value *other =
                value_find(y, x->members[i].key, x->members[i].key_len);

            if (!other || !value_equal(&x->members[i].value, other))
                return false;
        }
        return true;
    }
    return scalars_equal(x, y);
}

static size_t next_defined(const struct value *o, size_t i) {
    while (i < o->len && o->members[i].value.type == VALUE_UNDEFINED)
        i++;
    return i;
}

bool value_equal_ordered(const struct value *x, const struct value *y) {
    if (x == y)
        return true;
    if (x->type != y->type)
        return false;
    if (x->type == VALUE_ARRAY) {
        if (x->len != y->len)
            return false;
        for (size_t i = 0; i < x->len; i++)
            if (!value_equal_ordered(&x->items[i], &y->items[i]))
                return false;
        return true;
    }
    if (x->type == VALUE_OBJECT) {
        size_t i = next_defined(x, 0), j = next_defined(y, 0);

        for (; i < x->len && j < y->len;
             i = next_defined(x, i + 1), j = next_defined(y, j + 1)) {
            const struct member *m = &x->members[i], *n = &y->members[j];

            if (!member_is(n, m->hash, m->key, m->key_len) ||
                !value_equal_ordered(&m->value, &n->value))
                return false;
        }
        return i >= x->len && j >= y->len;
    }
    return scalars_equal(x, y);
}
