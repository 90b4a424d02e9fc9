/*
 * jsonata.h - the JSONata language of jsonata 1.8.9, over our values.
 *
 * Compile once, evaluate many: a compiled expression is immutable and may be
 * used by many threads at a time, each with an arena of its own. Evaluation has
 * no side effects but allocation in that arena. Where the published library
 * throws, a status is filled: bad_request with key "jsonata_error" and data
 * {code: "T2001", position, token, value...} as the library has them; its codes
 * are S0xxx (text of the expression), T0xxx-T2xxx (types) and D1xxx-D3xxx
 * (values). Bounds of ours end with code "U1001" (as the library's own timebox
 * recipe does); so does a recursion that the thread's stack has no room for: about
 * 600 nested calls of an expression's function per MB.
 *
 * docs/jsonata.md lists the differences to the published library.
 */
#ifndef JSONATA_JSONATA_H
#define JSONATA_JSONATA_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct jsonata;
struct status;
struct value;

/* Zero means the default in brackets. */
struct jsonata_limits {
    size_t max_depth; /* nested evaluations of nodes (3000) */
    size_t max_steps; /* evaluated nodes and items (20,000,000) */
    size_t max_bytes; /* of the arena that one evaluation may use (256 MB) */
    /* Asked every few thousand steps: true ends the evaluation. May be NULL. */
    bool (*expired)(void *ctx);
    /* Milliseconds since 1970 for $now and $millis, asked at most once per
     * evaluation, and a number in [0, 1) for $random. NULL: the system's. */
    double (*now_ms)(void *ctx);
    double (*random)(void *ctx);
    void *ctx;
};

/*
 * Parses an expression. It lives in the arena and must not be used after it.
 * text is borrowed. 0, or -1 with the parser's code.
 */
int jsonata_compile(struct arena *a, const char *text, size_t len,
                    const struct jsonata **ret_expr, struct status *st);

/*
 * Evaluates against an input document (value_undefined for none). bindings: an
 * object whose members are the variables ($name without the sign), or NULL.
 * limits may be NULL. *ret_result lives in the arena and may refer to input,
 * bindings and expression; it is value_undefined when the expression gives
 * nothing. Functions in the result are dropped: a member or the whole result
 * that is a function becomes undefined, an item null.
 */
int jsonata_eval(const struct jsonata *expr, struct arena *a, const struct value *input,
                 const struct value *bindings, const struct jsonata_limits *limits,
                 const struct value **ret_result, struct status *st);

#endif
