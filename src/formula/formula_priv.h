/*
 * formula_priv.h - the compiled tree and what operators share.
 */
#ifndef FORMULA_FORMULA_PRIV_H
#define FORMULA_FORMULA_PRIV_H

#include "base/buf.h"
#include "formula.h"
#include "value/value.h"

struct formula_compiler;
struct formula_eval;
struct formula_node;
struct formula_scope;
struct schema_context;

enum formula_id {
#define OPERATOR(identifier, name) FORMULA_##identifier,
#include "operators.def"
#undef OPERATOR
    FORMULA_RESERVED, /* an inherited name */
    FORMULA_NONE,
};

struct formula_operator {
    const char *name; /* without "$" */
    uint32_t name_len;
    enum formula_id id;
    /* Prepares node->data from the argument. */
    int (*compile)(struct formula_compiler *c, struct formula_node *n,
                   const struct value *arg);
    int (*eval)(struct formula_eval *e, const struct formula_node *n,
                const struct formula_scope *s, struct value *ret);
};

/* Where a node stands in the compiled value: for messages. */
struct formula_place {
    const struct formula_place *parent; /* NULL at the root */
    const char *key;                    /* NULL for an item */
    uint32_t key_len;
    uint32_t index;
};

struct formula_field {
    const char *key;
    uint32_t key_len, hash;
    const struct formula_node *node;
};

enum formula_node_kind {
    NODE_CONSTANT, /* builds to node->constant */
    NODE_ARRAY,
    NODE_OBJECT,
    NODE_OPERATOR,
};

/* Immutable after compilation. */
struct formula_node {
    enum formula_node_kind kind;
    uint32_t count; /* items or fields */
    struct value constant;
    const struct value *source; /* the formula as it was written */
    struct formula_place place;
    union {
        const struct formula_node *const *items;
        const struct formula_field *fields;
        const void *data; /* the operator's own */
    };
    const struct formula_operator *op;
};

struct formula {
    const struct formula_node *root;
    const struct value *source;
};

struct formula_compiler {
    struct arena *arena;
    struct status *st;
    int depth;
};

/* The variables and the schema where a node is evaluated. */
struct formula_scope {
    const struct value *variables;
    const struct value *schema;
};

struct formula_eval {
    struct arena *arena;
    struct status *st;
    const struct formula_run *run;
    const struct formula_lookups *lookups; /* never NULL */
    const struct value *full_value;
    struct buf text; /* scratch, for one operator's own use between evaluations */
    uint64_t steps, max_steps;
    uint64_t next_check; /* steps at which size and time are looked at */
    size_t base_bytes, max_bytes;
    uint64_t deadline_ms;
    bool resolving;
    int depth; /* of builds within builds */
};

/* ---- Compiling (formula.c) ---- */

/* Compiles a sub-value that stands at key (or item index, key NULL) below n. */
int formula_compile_at(struct formula_compiler *c, const struct formula_place *parent,
                       const char *key, const struct value *v,
                       const struct formula_node **ret_node);
int formula_compile_item(struct formula_compiler *c, const struct formula_place *parent,
                         size_t index, const struct value *v,
                         const struct formula_node **ret_node);
/* A place for structure that an operator walks itself. */
const struct formula_place *formula_place_below(struct arena *a,
                                                const struct formula_place *parent,
                                                const char *key, size_t index);
/* Compiles the argument as it is; data is its node. */
int formula_compile_argument(struct formula_compiler *c, struct formula_node *n,
                             const struct value *arg);

/* ---- Evaluating (formula.c) ---- */

int formula_eval_node(struct formula_eval *e, const struct formula_node *n,
                      const struct formula_scope *s, struct value *ret);
/* The node of formula_compile_argument. */
int formula_eval_argument(struct formula_eval *e, const struct formula_node *n,
                          const struct formula_scope *s, struct value *ret);
/* Compiles and evaluates a value that was made during the evaluation. */
int formula_eval_value(struct formula_eval *e, const struct value *v,
                       const struct formula_scope *s, struct value *ret);
/* Counts `count` steps; -1 when a bound is passed. */
int formula_spend(struct formula_eval *e, const struct formula_node *n, uint64_t count);
/* Looks at the bounds now: before a step that may copy much. */
int formula_check(struct formula_eval *e, const struct formula_node *n);
/* The text scratch as a string value in the arena. */
struct value formula_take_text(struct formula_eval *e);
/* An object with one member. */
struct value formula_single(struct arena *a, const char *key, const struct value *v);
/* Fails as the evaluation of the formula at n: "message at $.place". */
int formula_fail_at(struct formula_eval *e, const struct formula_node *n,
                    const char *message);
/* Milliseconds of a clock that never steps back. */
uint64_t formula_now_ms(void);

/* ---- Operators ---- */

extern const struct formula_operator formula_operators[];

/* The operator of a formula; NULL when v is ordinary data. */
const struct formula_operator *formula_operator_of(const struct value *v);
/* The operator's argument: the value of the first key. */
static inline const struct value *formula_argument(const struct value *v) {
    return &v->members[0].value;
}

#define OPERATOR(identifier, name)                                                       \
    int formula_compile_##identifier(struct formula_compiler *c, struct formula_node *n, \
                                     const struct value *arg);                           \
    int formula_eval_##identifier(struct formula_eval *e, const struct formula_node *n,  \
                                  const struct formula_scope *s, struct value *ret);
#include "operators.def"
#undef OPERATOR

#endif
