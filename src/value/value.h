/*
 * value.h - JSON with JavaScript's distinctions: the currency of the whole
 * system.
 *
 * A value is immutable once built and lives in an arena. undefined is a value
 * of its own, distinct from null. Numbers are doubles. Strings carry their
 * length in bytes, are WTF-8 (UTF-8 that may hold lone surrogates) and may hold
 * U+0000; they are also NUL-terminated. Objects keep key order with
 * JavaScript's rule: canonical array-index keys ("0" .. "4294967294") come
 * first, ascending, then the others as first set.
 *
 * Sharing: a value may refer to values of any arena that lives at least as
 * long; nothing is counted per node. What is counted and shared between threads
 * is a document: an arena and a root, sealed when it is made.
 */
#ifndef VALUE_VALUE_H
#define VALUE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena;
struct buf;
struct status;

enum value_type {
    VALUE_UNDEFINED,
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_NUMBER,
    VALUE_STRING,
    VALUE_DATE, /* number: ms since 1970 UTC, NaN when invalid; encodes as ISO
                   text */
    VALUE_ARRAY,
    VALUE_OBJECT,
};

struct value {
    uint8_t type;  /* enum value_type */
    uint8_t flags; /* private to value/ */
    uint16_t spare;
    uint32_t len; /* bytes of a string, items of an array, members of an object */
    union {
        bool boolean;
        double number;
        const char *str;
        const struct value *items;    /* contiguous; a hole is VALUE_UNDEFINED */
        const struct member *members; /* contiguous, in enumeration order */
    };
};

struct member {
    const char *key; /* NUL-terminated, may hold U+0000 */
    uint32_t key_len;
    uint32_t hash; /* value_hash_key(key, key_len) */
    struct value value;
};

extern const struct value value_undefined, value_null, value_true, value_false,
    value_empty_string, value_empty_array, value_empty_object;

extern const struct member value_no_member; /* where empty walks start and end */

/* ---- Making ---- */

const struct value *value_bool(bool b);
const struct value *value_number(struct arena *a, double n);
/* Copy the text. */
const struct value *value_string(struct arena *a, const char *s);
const struct value *value_string_len(struct arena *a, const char *s, size_t len);
const struct value *value_stringf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Refers to s, which must outlive the value and be NUL-terminated. */
struct value value_string_ref(const char *s, size_t len);
const struct value *value_date(struct arena *a, double ms);
/* Copies one node (not what it refers to) into the arena. */
const struct value *value_box(struct arena *a, struct value v);

/* An array under construction; push copies the node. Caller's memory. */
struct array_builder {
    struct arena *arena;
    struct value *items;
    size_t len, cap;
};
void array_begin(struct array_builder *b, struct arena *a, size_t hint);
void array_push(struct array_builder *b, const struct value *v);
/* The finished array, in the builder's arena. The builder must not be used
 * again. */
const struct value *array_end(struct array_builder *b);

/*
 * An object under construction. set replaces the value of a key that is there
 * and keeps its place; delete removes it, so that setting it again moves it to
 * the end. Setting value_undefined stores a key with undefined (encoders leave
 * it out).
 */
struct object_builder {
    struct arena *arena;
    struct member *members;
    size_t len, cap;
    uint32_t *index; /* private */
    size_t index_cap;
    bool has_index_keys;
};
void object_begin(struct object_builder *b, struct arena *a, size_t hint);
void object_set(struct object_builder *b, const char *key, const struct value *v);
/* key is copied unless it is interned by the caller through object_set_ref. */
void object_set_len(struct object_builder *b, const char *key, size_t key_len,
                    const struct value *v);
/* As object_set_len without copying the key, which must outlive the object. */
void object_set_ref(struct object_builder *b, const char *key, size_t key_len,
                    const struct value *v);
/* As object_set_ref with the key, and its hash, of another object's member. */
void object_set_key(struct object_builder *b, const struct member *key,
                    const struct value *v);
void object_set_string(struct object_builder *b, const char *key, const char *s);
void object_set_number(struct object_builder *b, const char *key, double n);
void object_set_bool(struct object_builder *b, const char *key, bool on);
/* Sets every member of o, in its order. */
void object_set_all(struct object_builder *b, const struct value *o);
/* NULL when absent. Lends until the next set. */
const struct value *object_builder_get(const struct object_builder *b, const char *key,
                                       size_t key_len);
bool object_delete(struct object_builder *b, const char *key, size_t key_len);
const struct value *object_end(struct object_builder *b);

/* One-expression objects: value_obj(a, "id", v1, "name", v2, NULL). NULL values
 * are left out. */
const struct value *value_obj(struct arena *a, ...) __attribute__((sentinel));
/* A new object: `base` (may be NULL) with every member of `over` set on top,
 * shallow. */
const struct value *value_merge(struct arena *a, const struct value *base,
                                const struct value *over);
/* A new object without / with only the listed keys (NULL-terminated list). */
const struct value *value_omit(struct arena *a, const struct value *o,
                               const char *const *keys);
const struct value *value_pick(struct arena *a, const struct value *o,
                               const char *const *keys);
/* A new object with one key set (value_undefined deletes it). */
const struct value *value_with(struct arena *a, const struct value *o, const char *key,
                               const struct value *v);
/* Copies everything reachable, text included, into `a`. */
const struct value *value_copy(struct arena *a, const struct value *v);

/* ---- Reading ---- */

static inline bool value_is(const struct value *v, enum value_type t) {
    return v->type == t;
}
static inline bool value_is_nullish(const struct value *v) {
    return v->type <= VALUE_NULL;
}
static inline bool value_is_string(const struct value *v) {
    return v->type == VALUE_STRING;
}
static inline bool value_is_number(const struct value *v) {
    return v->type == VALUE_NUMBER;
}
static inline bool value_is_array(const struct value *v) {
    return v->type == VALUE_ARRAY;
}
static inline bool value_is_object(const struct value *v) {
    return v->type == VALUE_OBJECT;
}
/* Also false for a v that is not a bool. */
static inline bool value_is_true(const struct value *v) {
    return v->type == VALUE_BOOL && v->boolean;
}

uint32_t value_hash_key(const char *key, size_t len);

/*
 * Own member of an object: NULL when v is not an object or has no such key (a
 * key stored as undefined is found). v may be NULL. Arrays are not objects
 * here.
 */
const struct value *value_find(const struct value *v, const char *key, size_t len);
/* As value_find with the key's value_hash_key, for keys that are looked up often. */
const struct value *value_find_hashed(const struct value *v, const char *key, size_t len,
                                      uint32_t hash);
/* As value_find, but gives &value_undefined instead of NULL. */
/* As value_find with the key, and its hash, of another object's member. */
const struct value *value_find_key(const struct value *v, const struct member *key);
const struct value *value_get(const struct value *v, const char *key);
const struct value *value_get_len(const struct value *v, const char *key, size_t len);
bool value_has(const struct value *v, const char *key);
/* Item of an array; &value_undefined out of range or for no array. */
const struct value *value_at(const struct value *v, size_t i);
/* Walks keys: value_path(v, "config", "request", "path", NULL);
 * &value_undefined when lost. */
const struct value *value_path(const struct value *v, ...) __attribute__((sentinel));

/* The text of a string member, or `otherwise` when absent or of another type.
 */
const char *value_get_string(const struct value *v, const char *key,
                             const char *otherwise);
double value_get_number(const struct value *v, const char *key, double otherwise);
/* Only true and false count. */
bool value_get_bool(const struct value *v, const char *key, bool otherwise);
/* NULL when v is not a string. Lends from v. */
const char *value_text(const struct value *v);
struct bytes value_bytes(const struct value *v);
bool value_equals_text(const struct value *v, const char *s);
bool value_string_equal(const struct value *x, const struct value *y);

/* JavaScript's truthiness; empty arrays and objects are truthy. */
bool value_truthy(const struct value *v);
/*
 * Deep equality of formulas.md 0.3: no coercion, object key order ignored, NaN
 * equals NaN, 0 equals -0; a key that holds undefined differs from an absent
 * key.
 */
bool value_equal(const struct value *x, const struct value *y);
/* As value_equal with undefined members taken as absent and key order compared
 * too. */
bool value_equal_ordered(const struct value *x, const struct value *y);

/* for (VALUE_EACH_MEMBER(m, v)): nothing when v is not an object. */
#define VALUE_EACH_MEMBER(m, v)                                                          \
    const struct member *m = value_members_begin(v),                                     \
                        *m##_end = m + value_members_count(v);                           \
    m < m##_end;                                                                         \
    m++
#define VALUE_EACH_ITEM(i, v)                                                            \
    const struct value *i = value_items_begin(v), *i##_end = i + value_items_count(v);   \
    i < i##_end;                                                                         \
    i++
static inline const struct member *value_members_begin(const struct value *v) {
    return v && v->type == VALUE_OBJECT && v->len ? v->members : &value_no_member;
}
static inline size_t value_members_count(const struct value *v) {
    return v && v->type == VALUE_OBJECT ? v->len : 0;
}
static inline const struct value *value_items_begin(const struct value *v) {
    return v && v->type == VALUE_ARRAY && v->len ? v->items : &value_undefined;
}
static inline size_t value_items_count(const struct value *v) {
    return v && v->type == VALUE_ARRAY ? v->len : 0;
}

/* ---- Text (value_text.c) ---- */

/* UTF-16 length of WTF-8 text. */
size_t value_utf16_length(const char *s, size_t len);
/* Byte range of the UTF-16 range [from, to); a cut through a pair yields lone
 * surrogates. */
const struct value *value_utf16_slice(struct arena *a, const char *s, size_t len,
                                      size_t from, size_t to);
/* Concatenates WTF-8 and joins a high with a following low surrogate. */
void value_wtf8_append(struct buf *b, const char *s, size_t len);
/* JavaScript's order of strings: by UTF-16 code unit. <0, 0, >0. */
int value_compare_strings(const struct value *x, const struct value *y);
/* Number::toString of JavaScript. out holds at least 32 bytes; gives the
 * length. */
size_t value_format_number(double n, char out[32]);
/* JavaScript's ToNumber of a string (formulas.md J3) and parseFloat (J6). */
double value_string_to_number(const char *s, size_t len);
double value_parse_float(const char *s, size_t len);
/* ISO 8601 text of a date, "2025-11-05T08:30:12.481Z"; out holds at least 32
 * bytes. */
size_t value_format_date(double ms, char out[32]);

/* ---- Parsing and encoding (value_json.c) ---- */

struct value_limits {
    size_t max_depth; /* 0: 512 */
    size_t max_bytes; /* of input; 0: no limit */
};

/*
 * Parses exactly what JSON.parse accepts. Duplicate keys: the last wins, the
 * place of the first is kept. 0, or -1 bad_request with line and column in the
 * message. Invalid UTF-8 becomes U+FFFD. limits may be NULL. Text is copied out
 * of `text`.
 */
int value_parse(struct arena *a, const char *text, size_t len,
                const struct value_limits *limits, const struct value **ret_value,
                struct status *st);

enum {
    VALUE_ENCODE_COMPACT = 0,
    VALUE_ENCODE_INDENT_2 = 1, /* as JSON.stringify(v, null, 2) */
    VALUE_ENCODE_SORT_KEYS = 2,
};
/*
 * Appends the text JSON.stringify gives: undefined members left out, undefined
 * items and non-finite numbers as null, lone surrogates as \udXXX. At the top,
 * undefined appends nothing.
 */
void value_encode(struct buf *b, const struct value *v, unsigned flags);
struct bytes value_encode_arena(struct arena *a, const struct value *v, unsigned flags);

/* ---- Documents (value_document.c) ---- */

struct document; /* an arena and a root, counted; safe to share between threads
                  */

/* Takes the arena; root must live in it (or longer). Gives a document with
 * count 1. */
struct document *document_new(struct arena **arena, const struct value *root);
struct document *document_ref(struct document *d);
void document_unref(struct document **d);
/* Lends until the caller's reference is gone. */
const struct value *document_root(const struct document *d);
/* Makes `a` hold a reference until it dies; gives the root. */
const struct value *document_hold(struct document *d, struct arena *a);
size_t document_size_bytes(const struct document *d);

#endif
