/*
 * jsonata_priv.h - shared by the files of jsonata/: tree, evaluator, functions.
 *
 * Values inside an evaluation are struct value, passed by copy, with two
 * additions that never leave it:
 *
 * - Functions: type TYPE_FUNCTION, `str` points to a struct function.
 * - `spare` of an array carries what the published library keeps as properties
 *   of arrays: whether it is a sequence (collapses when single), was built by an
 *   array constructor in a path, and so on. `spare` of a function says whether
 *   the library would hold a plain JavaScript function there.
 *
 * jsonata_eval() removes both from the result.
 */
#ifndef JSONATA_JSONATA_PRIV_H
#define JSONATA_JSONATA_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "jsonata/jsonata.h"
#include "value/value.h"

struct arena;
struct buf;
struct builtin;
struct matcher;
struct picture;
struct regex;
struct signature;

enum { TYPE_FUNCTION = 16 }; /* beyond enum value_type */

enum array_flag { /* struct value.spare of arrays */
                  SEQUENCE = 1,
                  CONS = 2,           /* an array constructor as first or last step */
                  KEEP_SINGLETON = 4, /* do not collapse */
                  TUPLE_STREAM = 8, /* items are tuples: objects with "@" and variables */
                  OUTER_WRAPPER = 16, /* wraps an input that is itself an array */
};

enum { PLAIN_FUNCTION = 1 }; /* struct value.spare of functions */

/* ---- the tree ---- */

enum node_type {
    N_END,
    N_NAME,
    N_STRING,
    N_NUMBER,
    N_VALUE,
    N_VARIABLE,
    N_REGEX,
    N_OPERATOR, /* `and`, `or`, `in` as names, and the ? of partial application */
    N_BINARY,
    N_UNARY,
    N_WILDCARD,
    N_DESCENDANT,
    N_PARENT,
    N_FUNCTION,
    N_PARTIAL,
    N_LAMBDA,
    N_CONDITION,
    N_BLOCK,
    N_TRANSFORM,
    /* made by the second pass */
    N_PATH,
    N_SORT,
    N_BIND,
    N_APPLY,
};

enum op {
    OP_NONE,
    OP_DOT,
    OP_LBRACKET,
    OP_RBRACKET,
    OP_LBRACE,
    OP_RBRACE,
    OP_LPAREN,
    OP_RPAREN,
    OP_COMMA,
    OP_AT,
    OP_HASH,
    OP_SEMICOLON,
    OP_COLON,
    OP_QUESTION,
    OP_PLUS,
    OP_MINUS,
    OP_STAR,
    OP_SLASH,
    OP_PERCENT,
    OP_PIPE,
    OP_EQ,
    OP_LT,
    OP_GT,
    OP_CARET,
    OP_STARSTAR,
    OP_RANGE,
    OP_ASSIGN,
    OP_NE,
    OP_LE,
    OP_GE,
    OP_CHAIN,
    OP_AND,
    OP_OR,
    OP_IN,
    OP_CONCAT,
    OP_BANG,
    OP_TILDE,
};

struct name {
    const char *s;
    uint32_t len, hash;
};

/* A `%`: level counts the steps still to go up, label names the variable. */
struct slot {
    struct name label;
    int level;
};

struct slots {
    struct slot **items;
    size_t len, cap;
};

struct stage {
    bool is_index; /* binds the position to a variable, else filters */
    const struct node *expr;
    struct name variable;
};

struct stages {
    struct stage *items;
    size_t len;
};

struct pair {
    struct node *key, *value;
};

struct group {
    struct pair *pairs;
    size_t len;
    uint32_t position;
};

struct node {
    uint8_t type; /* enum node_type */
    uint8_t op;   /* enum op of operators */
    bool keep_array;
    bool keep_singleton;
    bool cons_array;
    bool tuple;
    bool thunk;
    bool descending;    /* a term of a sort */
    uint32_t position;  /* in UTF-16 units, as the library counts */
    struct value value; /* literal, or the text of a name or operator */
    struct name name;   /* of N_NAME and N_VARIABLE */
    struct node *lhs;   /* also: condition, pattern, procedure, operand */
    struct node *rhs;   /* also: then, update, body */
    struct node *third; /* else, delete */
    struct node **list; /* steps, arguments, expressions, terms */
    size_t list_len;
    struct group *group; /* pairs of an object constructor or of a grouping */
    bool has_group;      /* `group` groups this node's result */
    struct stages *predicate, *stages;
    struct name focus, index; /* .s is NULL when unbound */
    struct slot *ancestor;    /* of steps that a % refers to */
    struct slot *slot;        /* of N_PARENT */
    struct slots *seeking;    /* parents not found yet */
    const struct signature *signature;
    const struct regex *regex;
    const struct builtin *builtin; /* of a variable with such a name */
};

struct jsonata {
    const struct node *root;
};

/* ---- errors ---- */

/* What the library throws, while it travels upwards. */
struct failure {
    const char *code; /* NULL: an error of the JavaScript engine */
    const char *text; /* message that no template makes */
    int64_t position; /* -1: none yet */
    struct value token, value, value2, exp;
    int index; /* 0: none */
    const char *type, *function_name;
};

/* Fills st from f; always -1. */
int jsonata_report(struct arena *a, const struct failure *f, struct status *st);
/* The message of f, from its code's template. */
const char *jsonata_message(struct arena *a, const struct failure *f);

/* ---- parsing ---- */

struct parse {
    struct arena *arena;
    struct failure failure;
    size_t depth;
    const char *stack_floor; /* as in struct ev */
    unsigned labels;         /* of % */
};

/* NULL with ps->failure filled when the text is no expression. */
const struct node *jsonata_parse(struct parse *ps, const char *text, size_t len);
/* Second pass (jsonata_process.c): paths, steps, ancestors. NULL on failure. */
struct node *jsonata_process(struct parse *ps, struct node *n);
/* Fills ps->failure; NULL. */
void *jsonata_parse_failed(struct parse *ps, const char *code, uint32_t position,
                           const struct value *token);
/* Goes one level deeper; the caller counts ps->depth down again. */
int jsonata_parse_enter(struct parse *ps, uint32_t position);
/* S0217: nothing that a % could stand for. */
void *jsonata_orphan_parent(struct parse *ps, const struct node *n);
/* The list of n grows in the arena. */
void jsonata_append_node(struct parse *ps, struct node *n, struct node *item);
struct node *jsonata_new_node(struct parse *ps, enum node_type type, uint32_t position);
struct name jsonata_name(const char *s, size_t len);
const char *jsonata_op_text(enum op op);

/* ---- signatures ---- */

enum type_bit {
    T_STRING = 1,
    T_NUMBER = 2,
    T_BOOL = 4,
    T_NULL = 8,
    T_OBJECT = 16,
    T_ARRAY = 32,
    T_FUNCTION = 64,
    T_MISSING = 128,
    T_JSON = T_ARRAY | T_STRING | T_NUMBER | T_BOOL | T_NULL | T_OBJECT | T_MISSING,
    T_ANY = T_JSON | T_FUNCTION,
};

struct param {
    uint8_t types; /* enum type_bit */
    bool array;    /* a single value is wrapped */
    bool optional, many, context;
    char subtype; /* letter of the items, 0: any */
};

struct signature {
    const struct param *params;
    size_t len;
};

/* -1 with f->code, f->value and *ret_offset set when the text is no signature. */
int jsonata_parse_signature(struct arena *a, const char *text, size_t len,
                            const struct signature **ret_signature, struct failure *f,
                            size_t *ret_offset);

/* ---- evaluation ---- */

struct binding {
    struct binding *next;
    struct name name;
    struct value value;
};

struct frame {
    struct frame *outer;
    const struct value *object; /* bindings as an object, or NULL */
    struct binding *bindings;
};

struct ev {
    struct arena *arena;
    struct jsonata_limits limits;
    struct failure failure;
    size_t depth, steps, next_check;
    size_t shown_depth; /* where the text of a value was begun */
    size_t arena_start;
    const char *stack_floor; /* where the thread's stack is used up */
    struct value *stack;     /* items of sequences under construction */
    size_t top, cap;
    double now_ms;
    bool has_now;
    uint64_t random_state[2];
    struct value picture_text; /* of `picture`, a date's, for the next record */
    const struct picture *picture;
    struct matcher *matcher; /* working memory of regular expressions */
};

struct args {
    struct value *v;
    size_t len;
    struct value input; /* the context of the call */
    struct frame *env;
};

typedef int (*builtin_fn)(struct ev *ev, struct args *args, struct value *out);

struct builtin {
    const char *name;
    builtin_fn fn;
    uint8_t arity;         /* parameters as the library declares them */
    int8_t partial_params; /* of its partial application; -1: impossible */
    struct signature signature;
};

/* NULL when there is none of that name. */
const struct builtin *jsonata_builtin(const char *name, size_t len);

enum function_kind {
    FN_LAMBDA,
    FN_BUILTIN,
    FN_PARTIAL,    /* of a builtin */
    FN_REGEX,      /* a regular expression */
    FN_REGEX_NEXT, /* the `next` of its match */
    FN_COMPOSED,   /* f ~> g */
    FN_TRANSFORM,
};

struct function {
    enum function_kind kind;
    bool thunk;
    bool partial; /* a lambda that misses some of its parameters */
    const struct signature *signature;
    const struct node *node; /* lambda, thunk or transform */
    struct node **params;    /* of a lambda; a partial one has fewer */
    size_t n_params;
    struct frame *env;
    struct value input;
    const struct builtin *builtin;
    struct value *bound; /* of a partial one: a function without body marks a ? */
    size_t n_bound;
    struct regex_state *regex;
    struct value text;
    struct value f, g; /* composed: both; partial: f is the whole function */
};

/* All give 0, or -1 with ev->failure filled. */
int jsonata_evaluate(struct ev *ev, const struct node *n, struct value input,
                     struct frame *env, struct value *out);
/* Calls a function value; an input of value_null is the context of calls by
 * other functions. */
int jsonata_apply(struct ev *ev, struct value proc, struct value *argv, size_t argc,
                  struct value input, struct frame *env, struct value *out);
int jsonata_transform(struct ev *ev, const struct function *fn, struct value object,
                      struct value *out);
/* Gives validated arguments in *args. */
int jsonata_validate(struct ev *ev, const struct signature *sig, struct args *args);
/* Goes one level deeper (the caller counts ev->depth down again) and one step on;
 * -1 at a limit or when the stack is used up. */
int jsonata_enter(struct ev *ev);
/* Lowest address of this thread's stack that may be used. */
const char *jsonata_stack_floor(void);
/* Counts one step and looks at the limits. */
int jsonata_step(struct ev *ev);
/* -1 when `bytes` more would pass the memory limit (or SIZE_MAX / 4). */
int jsonata_need(struct ev *ev, double bytes);
double jsonata_now(struct ev *ev);
/* In [0, 1). */
double jsonata_random(struct ev *ev);

int jsonata_fail(struct ev *ev, const char *code);
int jsonata_fail_value(struct ev *ev, const char *code, struct value v);
/* An error that the JavaScript engine throws in the library. */
int jsonata_fail_type(struct ev *ev, const char *text);

/* Frames. */
struct frame *jsonata_frame(struct ev *ev, struct frame *outer,
                            const struct value *object);
void jsonata_bind(struct ev *ev, struct frame *f, const struct name *name,
                  struct value v);

/* Sequences under construction stand on ev->stack above a mark. */
void jsonata_grow_stack(struct ev *ev);
static inline void jsonata_push(struct ev *ev, struct value v) {
    if (ev->top == ev->cap)
        jsonata_grow_stack(ev);
    ev->stack[ev->top++] = v;
}
/* Takes everything above the mark as an array with these flags. */
struct value jsonata_take(struct ev *ev, size_t mark, unsigned flags);

/* ---- values ---- */

static inline bool is_array(struct value v) {
    return v.type == VALUE_ARRAY;
}
static inline bool is_undefined(struct value v) {
    return v.type == VALUE_UNDEFINED;
}
static inline bool is_sequence(struct value v) {
    return v.type == VALUE_ARRAY && (v.spare & SEQUENCE);
}
static inline bool is_function(struct value v) {
    return v.type == TYPE_FUNCTION;
}
static inline const struct function *function_of(struct value v) {
    return (const struct function *)(const void *)v.str;
}
static inline struct value of_function(const struct function *fn, unsigned flags) {
    return (struct value){.type = TYPE_FUNCTION,
                          .spare = (uint16_t)flags,
                          .str = (const char *)(const void *)fn};
}
static inline struct value of_number(double n) {
    return (struct value){.type = VALUE_NUMBER, .number = n};
}
static inline struct value of_bool(bool b) {
    return (struct value){.type = VALUE_BOOL, .boolean = b};
}

/* A string value of text that is copied. */
struct value jsonata_text(struct ev *ev, const char *s, size_t len);
struct value jsonata_text_of_buf(struct ev *ev, struct buf *b); /* and frees b */

/* An ASCII-only library's isNumeric: *ret false for NaN; -1 D1001 for infinity. */
int jsonata_is_numeric(struct ev *ev, struct value v, bool *ret);
/* The boolean that $boolean gives; undefined counts as false. */
int jsonata_to_boolean(struct ev *ev, struct value v, bool *ret);
/* Values that are nested too deeply are not equal. */
bool jsonata_deep_equal(struct value x, struct value y);
/* $string: undefined stays. */
int jsonata_to_string(struct ev *ev, struct value v, bool pretty, struct value *out);
/* The deep copy that $clone makes; every object has members of its own. */
int jsonata_clone(struct ev *ev, struct value v, struct value *out);
/* $append. */
int jsonata_append(struct ev *ev, struct value x, struct value y, struct value *out);
/* $lookup. */
int jsonata_lookup(struct ev *ev, struct value input, const struct name *key,
                   struct value *out);
/* $sort by a comparator that says whether y must stand before x. */
typedef int (*swap_fn)(struct ev *ev, void *ctx, struct value x, struct value y,
                       bool *ret);
int jsonata_merge_sort(struct ev *ev, struct value array, swap_fn swap, void *ctx,
                       struct value *out);
/* Can functions of the library call it? Those that did not come as an argument of
 * a call as written can only if they are lambdas. */
bool jsonata_is_callback(struct value f);
/* How many arguments a caller may pass. */
size_t jsonata_arity(const struct function *fn);
/* Does the JavaScript operator find it true? */
bool jsonata_js_truthy(struct value v);
/* Math.round to even, with decimals. */
double jsonata_round(double n, bool has_precision, double precision);

/* ---- UTF-16 text, for pictures and regular expressions ---- */

struct units {
    const uint16_t *u;
    size_t len;
};

struct units jsonata_units(struct arena *a, const char *s, size_t len);
struct value jsonata_from_units(struct arena *a, const uint16_t *u, size_t len);

/* ---- regular expressions (jsonata_regex.c) ---- */

/* NULL when the pattern is not one; *ret_error says why. */
const struct regex *jsonata_regex_compile(struct arena *a, const char *pattern,
                                          size_t len, bool ignore_case, bool multiline,
                                          const char **ret_error);
struct value jsonata_regex_function(struct ev *ev, const struct regex *re,
                                    uint32_t position);
/* exec from last_index: the match object, or undefined. */
int jsonata_regex_exec(struct ev *ev, const struct function *fn, struct value text,
                       struct value *out);
int jsonata_regex_next(struct ev *ev, const struct function *fn, struct value *out);
/* The first match of a function that answers like a regular expression, and the
 * one after a match; undefined when there is none. */
int jsonata_match_first(struct ev *ev, struct value matcher, struct value text,
                        struct frame *env, struct value *ret_match);
int jsonata_match_next(struct ev *ev, struct value match, struct frame *env,
                       struct value *ret_match);

/* ---- pictures ---- */

int jsonata_format_integer(struct ev *ev, double n, struct units picture,
                           struct value *out);
int jsonata_parse_integer(struct ev *ev, struct units text, struct units picture,
                          struct value *out);
int jsonata_format_number(struct ev *ev, double n, struct value picture,
                          const struct value *options, struct value *out);
/* picture, zone: undefined when not given. */
int jsonata_from_millis(struct ev *ev, double ms, struct value picture, struct value zone,
                        struct value *out);
int jsonata_to_millis(struct ev *ev, struct value text, struct value picture,
                      struct value *out);

#endif
