/*
 * locator.c - parsing, reading and writing at locators.
 *
 * Writing copies the containers along the path and shares everything else.
 */
#include "locator.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "coerce.h"
#include "value/value.h"

/* ---- Text ---- */

/* Does the text at s start with a line terminator, which "." does not match? */
static bool is_line_end(const char *s, size_t len) {
    return s[0] == '\n' || s[0] == '\r' ||
           (len >= 3 &&
            (memcmp(s, "\xe2\x80\xa8", 3) == 0 || memcmp(s, "\xe2\x80\xa9", 3) == 0));
}

/* The end of a property name that starts at `from`. */
static size_t name_end(const char *s, size_t len, size_t from) {
    size_t i = from;

    while (i < len && s[i] != '.' && s[i] != '[')
        i += s[i] == '\\' ? 2 : 1;
    return i < len ? i : len;
}

static struct locator_step property_step(struct arena *a, const char *s, size_t len) {
    char *name = arena_alloc(a, len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\\' && i + 1 < len && !is_line_end(s + i + 1, len - i - 1))
            i++;
        name[n++] = s[i];
    }
    name[n] = '\0';
    return (struct locator_step){.type = LOCATOR_PROPERTY,
                                 .name = name,
                                 .name_len = (uint32_t)n,
                                 .hash = value_hash_key(name, n)};
}

struct step_list {
    struct arena *arena;
    struct locator_step *steps;
    size_t len, cap;
};

static int add_step(struct step_list *l, struct locator_step step, struct status *st) {
    if (l->len == LOCATOR_MAX_STEPS)
        return st_fail(st, ST_BAD_REQUEST, NULL, "Locator has more than %d steps",
                       LOCATOR_MAX_STEPS);
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;

        l->steps =
            arena_grow(l->arena, l->steps, l->cap * sizeof(step), cap * sizeof(step));
        l->cap = cap;
    }
    l->steps[l->len++] = step;
    return 0;
}

/* Parses text that starts with "$". */
static int parse_rooted(struct step_list *l, const char *s, size_t len,
                        struct status *st) {
    size_t i = 1;

    while (i < len) {
        if (s[i] == '.') {
            size_t end = name_end(s, len, i + 1);

            if (add_step(l, property_step(l->arena, s + i + 1, end - i - 1), st) < 0)
                return -1;
            i = end;
        } else if (s[i] == '[') {
            const char *close = memchr(s + i, ']', len - i);
            double index;

            if (!close)
                return st_fail(st, ST_BAD_REQUEST, NULL,
                               "Could not find a closing bracket for the "
                               "bracket at position %zu. Locator: %s",
                               value_utf16_length(s, i), s);
            index = value_string_to_number(s + i + 1, (size_t)(close - s) - i - 1);
            if (isnan(index) || index < 0)
                return st_fail(st, ST_BAD_REQUEST, NULL,
                               "Invalid index [%.*s]. Index should be a positive number",
                               (int)((size_t)(close - s) - i - 1), s + i + 1);
            if (add_step(l, (struct locator_step){.type = LOCATOR_ITEM, .index = index},
                         st) < 0)
                return -1;
            i = (size_t)(close - s) + 1;
        } else {
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "Unexpected symbol at position %zu. Locator: %s",
                           value_utf16_length(s, i), s);
        }
    }
    return 0;
}

int locator_parse(struct arena *a, const char *text, size_t len,
                  struct locator *ret_locator, struct status *st) {
    struct step_list l = {.arena = a};
    char *rooted;

    if (len == 0 || text[0] != '$') {
        rooted = arena_alloc(a, len + 3);
        rooted[0] = '$';
        rooted[1] = '.';
        memcpy(rooted + 2, text, len);
        rooted[len + 2] = '\0';
        len += 2;
    } else {
        rooted = arena_memdup(a, text, len);
    }
    if (parse_rooted(&l, rooted, len, st) < 0)
        return -1;
    *ret_locator = (struct locator){l.steps, l.len};
    return 0;
}

static int parse_step_value(struct step_list *l, const struct value *v,
                            struct status *st) {
    const struct value *type = value_get(v, "type");
    struct locator_step step = {.type = LOCATOR_ITEM};

    if (value_equals_text(type, "object_property")) {
        const struct value *name = coerce_text(l->arena, value_get(v, "propertyName"));

        step = (struct locator_step){.type = LOCATOR_PROPERTY,
                                     .name = name->str,
                                     .name_len = name->len,
                                     .hash = value_hash_key(name->str, name->len)};
    } else if (value_equals_text(type, "array_item")) {
        step.index = coerce_number(value_get(v, "index"));
        if (isnan(step.index) || step.index < 0)
            step.index = INFINITY; /* finds nothing */
    } else {
        return st_fail(st, ST_BAD_REQUEST, NULL, "Unexpected locator step type: %s",
                       coerce_text(l->arena, type)->str);
    }
    return add_step(l, step, st);
}

int locator_from_value(struct arena *a, const struct value *v,
                       struct locator *ret_locator, struct status *st) {
    struct step_list l = {.arena = a};
    struct bytes json;

    if (value_is_string(v))
        return locator_parse(a, v->str, v->len, ret_locator, st);
    if (!value_is_array(v)) {
        json = value_encode_arena(a, v, 0);
        return st_fail(st, ST_BAD_REQUEST, NULL, "Unexpected locator value: %.*s",
                       json.len ? (int)json.len : 9, json.len ? json.data : "undefined");
    }
    for (VALUE_EACH_ITEM(step, v))
        if (parse_step_value(&l, step, st) < 0)
            return -1;
    *ret_locator = (struct locator){l.steps, l.len};
    return 0;
}

bool locator_is_valid(const struct value *v) {
    struct arena *a;
    struct locator l;
    struct status st;
    bool valid;

    if (value_is_array(v))
        return true;
    if (!value_is_string(v) || v->len == 0)
        return false;
    a = arena_new(0);
    st_init(&st, a);
    valid = locator_parse(a, v->str, v->len, &l, &st) == 0;
    arena_free(&a);
    return valid;
}

void locator_append_property(struct buf *b, const char *name, size_t len) {
    buf_addc(b, '.');
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '\\' || name[i] == '[' || name[i] == ']' || name[i] == '.')
            buf_addc(b, '\\');
        buf_addc(b, name[i]);
    }
}

void locator_append_item(struct buf *b, double index) {
    char number[32];

    buf_addc(b, '[');
    buf_add(b, number, value_format_number(index, number));
    buf_addc(b, ']');
}

static const struct value *take_text(struct arena *a, struct buf *b) {
    struct bytes text = buf_to_arena(b, a);

    buf_fini(b);
    return value_box(a, value_string_ref(text.data, text.len));
}

static const struct value *format_steps(struct arena *a, const struct locator_step *steps,
                                        size_t len) {
    struct buf b = BUF_INIT;

    buf_addc(&b, '$');
    for (size_t i = 0; i < len; i++) {
        if (steps[i].type == LOCATOR_PROPERTY)
            locator_append_property(&b, steps[i].name, steps[i].name_len);
        else
            locator_append_item(&b, steps[i].index);
    }
    return take_text(a, &b);
}

const struct value *locator_format(struct arena *a, const struct locator *l) {
    return format_steps(a, l->steps, l->len);
}

const struct value *locator_steps_value(struct arena *a, const struct locator *l) {
    struct array_builder b;

    array_begin(&b, a, l->len);
    for (size_t i = 0; i < l->len; i++) {
        const struct locator_step *s = &l->steps[i];

        if (s->type == LOCATOR_PROPERTY)
            array_push(&b, value_obj(a, "propertyName",
                                     value_string_len(a, s->name, s->name_len), "type",
                                     value_string(a, "object_property"), NULL));
        else
            array_push(&b, value_obj(a, "index", value_number(a, s->index), "type",
                                     value_string(a, "array_item"), NULL));
    }
    return array_end(&b);
}

int locator_from_steps(struct arena *a, const struct value *steps,
                       const struct value **ret_text, struct status *st) {
    struct buf b = BUF_INIT;

    buf_addc(&b, '$');
    for (VALUE_EACH_ITEM(step, steps)) {
        const struct value *type = value_get(step, "type");

        if (value_equals_text(type, "object_property")) {
            const struct value *name = coerce_text(a, value_get(step, "propertyName"));

            locator_append_property(&b, name->str, name->len);
        } else if (value_equals_text(type, "array_item")) {
            buf_addc(&b, '[');
            coerce_append_text(&b, value_get(step, "index"));
            buf_addc(&b, ']');
        } else {
            buf_fini(&b);
            return st_fail(st, ST_BAD_REQUEST, NULL, "Unknown locator step type: %s",
                           coerce_text(a, type)->str);
        }
    }
    *ret_text = take_text(a, &b);
    return 0;
}

const struct value *locator_with_property(struct arena *a, const struct value *prefix,
                                          const char *name, size_t len) {
    struct buf b = BUF_INIT;

    if (value_is_nullish(prefix))
        buf_addc(&b, '$');
    else
        coerce_append_text(&b, prefix);
    locator_append_property(&b, name, len);
    return take_text(a, &b);
}

const struct value *locator_to_field(struct arena *a, const struct value *v) {
    if (value_is_string(v) && v->len >= 2 && memcmp(v->str, "$.", 2) == 0)
        return value_string_len(a, v->str + 2, v->len - 2);
    return v;
}

int locator_field_part(struct arena *a, const struct value *v,
                       const struct value **ret_text, struct status *st) {
    struct locator l;
    size_t n = 0;

    if (locator_from_value(a, v, &l, st) < 0)
        return -1;
    while (n < l.len && !(l.steps[n].type == LOCATOR_PROPERTY &&
                          l.steps[n].name_len > 0 && l.steps[n].name[0] == '$'))
        n++;
    *ret_text = format_steps(a, l.steps, n);
    return 0;
}

/* Appends a segment with ~1 and ~0 undone; true when it is all digits. */
static bool append_pointer_segment(struct buf *b, const char *s, size_t len) {
    bool digits = len > 0;

    for (size_t i = 0; i < len; i++) {
        char c = s[i];

        if (c == '~' && i + 1 < len && (s[i + 1] == '0' || s[i + 1] == '1'))
            c = s[++i] == '0' ? '~' : '/';
        digits = digits && c >= '0' && c <= '9';
        buf_addc(b, c);
    }
    return digits;
}

const struct value *locator_from_json_pointer(struct arena *a,
                                              const struct value *pointer) {
    struct buf out = BUF_INIT, segment = BUF_INIT;
    const char *s, *end;
    size_t n = 0;

    if (!value_is_string(pointer) || pointer->len == 0 || value_equals_text(pointer, "/"))
        return &value_empty_string;
    s = memchr(pointer->str, '/', pointer->len);
    end = pointer->str + pointer->len;
    for (; s; n++) {
        const char *next = memchr(s + 1, '/', (size_t)(end - s - 1));

        buf_clear(&segment);
        if (append_pointer_segment(&segment, s + 1,
                                   (size_t)((next ? next : end) - s - 1))) {
            buf_addc(&out, '[');
            buf_add(&out, segment.data, segment.len);
            buf_addc(&out, ']');
        } else {
            if (n > 0)
                buf_addc(&out, '.');
            buf_add(&out, segment.data ? segment.data : "", segment.len);
        }
        s = next;
    }
    buf_fini(&segment);
    return take_text(a, &out);
}

bool locator_is_inherited_name(const char *name, size_t len) {
    static const char *const names[] = {
        "__proto__",        "constructor",          "toString",
        "valueOf",          "hasOwnProperty",       "isPrototypeOf",
        "toLocaleString",   "propertyIsEnumerable", "__defineGetter__",
        "__defineSetter__", "__lookupGetter__",     "__lookupSetter__",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    return false;
}

/* ---- Reading ---- */

/* A canonical array index below 2^32 - 1, or -1. */
static int64_t index_name(const struct locator_step *s) {
    int64_t n = 0;

    if (s->name_len == 0 || s->name_len > 10 || (s->name[0] == '0' && s->name_len > 1))
        return -1;
    for (size_t i = 0; i < s->name_len; i++) {
        if (s->name[i] < '0' || s->name[i] > '9')
            return -1;
        n = n * 10 + (s->name[i] - '0');
    }
    return n < UINT32_MAX ? n : -1;
}

static bool is_length(const struct locator_step *s) {
    return s->name_len == 6 && memcmp(s->name, "length", 6) == 0;
}

static const struct value *read_property(struct arena *a, const struct value *v,
                                         const struct locator_step *s) {
    if (value_is_object(v)) {
        const struct value *found = value_find_hashed(v, s->name, s->name_len, s->hash);

        return found ? found : &value_undefined;
    }
    if (value_is_array(v)) {
        int64_t i = index_name(s);

        if (i >= 0)
            return value_at(v, (size_t)i);
        if (is_length(s))
            return value_number(a, v->len);
    }
    return &value_undefined;
}

static const struct value *read_item(const struct value *v, double index) {
    if (!value_is_array(v) || !(index < v->len) || index != floor(index))
        return &value_undefined;
    return &v->items[(size_t)index];
}

static const struct value *read_steps(struct arena *a, const struct value *v,
                                      const struct locator *l, bool falsy_items) {
    for (size_t i = 0; i < l->len; i++) {
        const struct locator_step *s = &l->steps[i];

        if (s->type == LOCATOR_PROPERTY) {
            v = read_property(a, v, s);
        } else {
            v = read_item(v, s->index);
            if (!falsy_items && !value_truthy(v))
                return &value_undefined;
        }
        if (v->type == VALUE_UNDEFINED)
            return &value_undefined;
    }
    return v;
}

const struct value *locator_read_by(struct arena *a, const struct value *data,
                                    const struct locator *l) {
    return read_steps(a, data, l, false);
}

const struct value *locator_read_at(struct arena *a, const struct value *data,
                                    const struct locator *l) {
    if (value_is_nullish(data))
        return &value_undefined;
    return read_steps(a, data, l, true);
}

static const struct value *
get(struct arena *a, const struct value *data, const struct value *locator,
    const struct value *(*read)(struct arena *, const struct value *,
                                const struct locator *)) {
    struct locator l;
    struct status st;

    if (value_is_string(locator) && locator->len == 0)
        return &value_undefined;
    st_init(&st, a);
    if (locator_from_value(a, locator, &l, &st) < 0)
        return &value_undefined;
    return read(a, data, &l);
}

const struct value *locator_get_by(struct arena *a, const struct value *data,
                                   const struct value *locator) {
    return get(a, data, locator, locator_read_by);
}

const struct value *locator_get_at(struct arena *a, const struct value *data,
                                   const struct value *locator) {
    return get(a, data, locator, locator_read_at);
}

/* ---- Writing ---- */

struct writer {
    struct arena *arena;
    const struct locator_step *steps;
    size_t len;
    const struct value *value;
    struct status *st;
};

static int write_step(struct writer *w, const struct value *cur, size_t i,
                      const struct value **ret);

/* The array with item n replaced, holes in between; cur may be any value. */
static const struct value *with_item(struct arena *a, const struct value *cur, size_t n,
                                     const struct value *v) {
    size_t len = value_items_count(cur);
    struct array_builder b;

    array_begin(&b, a, n < len ? len : n + 1);
    for (VALUE_EACH_ITEM(item, cur))
        array_push(&b, item);
    while (b.len <= n)
        array_push(&b, &value_undefined);
    b.items[n] = *v;
    return array_end(&b);
}

static const struct value *without_item(struct arena *a, const struct value *cur,
                                        double index) {
    size_t len = value_items_count(cur), n;
    struct array_builder b;

    if (len == 0)
        return value_is_array(cur) ? cur : &value_empty_array;
    if (!(index < (double)len))
        return cur;
    n = (size_t)index;
    array_begin(&b, a, len);
    for (size_t i = 0; i < len; i++)
        if (i != n)
            array_push(&b, &cur->items[i]);
    return array_end(&b);
}

/* Stores below item n of an array. */
static int write_below_item(struct writer *w, const struct value *cur, size_t i, size_t n,
                            const struct value **ret) {
    const struct value *child;

    if (n > LOCATOR_MAX_WRITE_INDEX && n >= value_items_count(cur))
        return st_fail(w->st, ST_BAD_REQUEST, NULL,
                       "Index [%zu] is too large to write to", n);
    if (write_step(w, value_at(cur, n), i + 1, &child) < 0)
        return -1;
    *ret = with_item(w->arena, cur, n, child);
    return 0;
}

static int write_item(struct writer *w, const struct value *cur, size_t i,
                      const struct value **ret) {
    double index = w->steps[i].index;

    if (!value_is_array(cur))
        cur = &value_empty_array;
    if (i + 1 == w->len && w->value->type == VALUE_UNDEFINED) {
        *ret = without_item(w->arena, cur, index);
        return 0;
    }
    if (index != floor(index) || index >= UINT32_MAX) {
        *ret = cur; /* would be a name on the array */
        return 0;
    }
    return write_below_item(w, cur, i, (size_t)index, ret);
}

/* The array cut or filled with holes to a new length; nothing else can be stored there.
 */
static int write_length(struct writer *w, const struct value *cur, size_t i,
                        const struct value **ret) {
    double n = value_is_number(w->value) && i + 1 == w->len ? w->value->number : NAN;
    struct array_builder b;

    if (!(n >= 0 && n < UINT32_MAX && n == floor(n)))
        return st_fail(w->st, ST_BAD_REQUEST, NULL, "Invalid array length");
    if (n > LOCATOR_MAX_WRITE_INDEX && n > cur->len)
        return st_fail(w->st, ST_BAD_REQUEST, NULL, "Length %.0f is too large to write",
                       n);
    array_begin(&b, w->arena, (size_t)n);
    for (size_t k = 0; k < (size_t)n; k++)
        array_push(&b, value_at(cur, k));
    *ret = array_end(&b);
    return 0;
}

static int write_property_of_array(struct writer *w, const struct value *cur, size_t i,
                                   const struct value **ret) {
    int64_t n = index_name(&w->steps[i]);

    if (is_length(&w->steps[i]))
        return write_length(w, cur, i, ret);
    if (n < 0 ||
        (i + 1 == w->len && w->value->type == VALUE_UNDEFINED && (size_t)n >= cur->len)) {
        *ret = cur;
        return 0;
    }
    return write_below_item(w, cur, i, (size_t)n, ret);
}

static int write_property(struct writer *w, const struct value *cur, size_t i,
                          const struct value **ret) {
    const struct locator_step *s = &w->steps[i];
    const struct value *old, *child;
    struct object_builder b;

    if (value_is_array(cur))
        return write_property_of_array(w, cur, i, ret);
    if (value_is(cur, VALUE_DATE)) {
        *ret = cur;
        return 0;
    }
    old = value_find_hashed(cur, s->name, s->name_len, s->hash);
    if (!old && s->name_len == 9 && memcmp(s->name, "__proto__", 9) == 0) {
        *ret = value_is_object(cur) ? cur : &value_empty_object;
        return 0;
    }
    if (write_step(w, old ? old : &value_undefined, i + 1, &child) < 0)
        return -1;
    object_begin(&b, w->arena, value_members_count(cur) + 1);
    object_set_all(&b, cur);
    if (child->type == VALUE_UNDEFINED)
        object_delete(&b, s->name, s->name_len);
    else
        object_set_len(&b, s->name, s->name_len, child);
    *ret = object_end(&b);
    return 0;
}

static int write_step(struct writer *w, const struct value *cur, size_t i,
                      const struct value **ret) {
    if (i == w->len) {
        *ret = w->value;
        return 0;
    }
    if (w->steps[i].type == LOCATOR_ITEM)
        return write_item(w, cur, i, ret);
    return write_property(w, cur, i, ret);
}

int locator_set(struct arena *a, const struct value *root, const struct locator *l,
                const struct value *v, const struct value **ret_root, struct status *st) {
    struct writer w = {
        .arena = a, .steps = l->steps, .len = l->len, .value = v, .st = st};

    return write_step(&w, root, 0, ret_root);
}

int locator_set_value(struct arena *a, const struct value *root,
                      const struct value *locator, const struct value *v,
                      const struct value **ret_root, struct status *st) {
    struct locator l;

    if (locator_from_value(a, locator, &l, st) < 0)
        return -1;
    return locator_set(a, root, &l, v, ret_root, st);
}

int locator_check_batch(const struct arena *a, size_t start_bytes, struct status *st) {
    if (arena_used(a) - start_bytes <= LOCATOR_MAX_BATCH_BYTES)
        return 0;
    return st_fail(st, ST_BAD_REQUEST, NULL, "Too many fields for a value of this size");
}

int locator_pick_fields(struct arena *a, const struct value *v,
                        const struct value *fields, const struct value **ret_value,
                        struct status *st) {
    const struct value *result = &value_undefined;
    size_t start = arena_used(a);

    for (VALUE_EACH_ITEM(field, fields)) {
        const struct value *found = locator_get_at(a, v, field);

        if (locator_check_batch(a, start, st) < 0)
            return -1;
        if (found->type != VALUE_UNDEFINED &&
            locator_set_value(a, result, field, found, &result, st) < 0)
            return -1;
    }
    *ret_value = result;
    return 0;
}

/* Would the first step keep this root, or replace it by a new container? */
static bool keeps_root(const struct value *root, const struct locator *l) {
    if (l->len == 0)
        return false;
    if (l->steps[0].type == LOCATOR_ITEM)
        return value_is_array(root);
    return value_is_array(root) || value_is_object(root);
}

int locator_exclude_fields(struct arena *a, const struct value *v,
                           const struct value *fields, const struct value **ret_value,
                           struct status *st) {
    size_t start = arena_used(a);

    for (VALUE_EACH_ITEM(field, fields)) {
        struct locator l;

        if (locator_check_batch(a, start, st) < 0 ||
            locator_from_value(a, field, &l, st) < 0)
            return -1;
        if (keeps_root(v, &l) && locator_set(a, v, &l, &value_undefined, &v, st) < 0)
            return -1;
    }
    *ret_value = v;
    return 0;
}

/* Does a listed locator stand in front of this one? */
static bool is_nested(const struct value *locators, const struct value *l) {
    for (VALUE_EACH_ITEM(other, locators))
        if (value_is_string(other) && other->len < l->len && l->str[other->len] == '.' &&
            memcmp(l->str, other->str, other->len) == 0)
            return true;
    return false;
}

int locator_object_from(struct arena *a, const struct value *locators,
                        const struct value *placeholder, const struct value **ret_value,
                        struct status *st) {
    const struct value *obj = &value_empty_object;
    size_t start = arena_used(a);

    if (placeholder->type == VALUE_UNDEFINED)
        placeholder = &value_empty_string;
    for (VALUE_EACH_ITEM(item, locators)) {
        struct locator l;

        if (value_is_string(item) && is_nested(locators, item))
            continue;
        if (locator_check_batch(a, start, st) < 0 ||
            locator_from_value(a, item, &l, st) < 0)
            return -1;
        if (keeps_root(obj, &l) && locator_set(a, obj, &l, placeholder, &obj, st) < 0)
            return -1;
    }
    *ret_value = obj;
    return 0;
}
