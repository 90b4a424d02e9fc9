/*
 * formula.h - the formula language: compile once, evaluate many (formulas.md 2).
 *
 * A value with formulas is compiled into an immutable tree that threads share;
 * evaluation allocates from the caller's arena only. Results may share structure
 * with the source, the variables and what look-ups gave, so all of these must
 * live as long as the result is used.
 *
 * Depth, steps, output size and time are bounded; over a bound is an error
 * (bad_request, key "formula_limit") that names the formula's place.
 */
#ifndef FORMULA_FORMULA_H
#define FORMULA_FORMULA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct formula;
struct status;
struct value;

enum { FORMULA_MAX_DEPTH = 400 };

/*
 * Look-ups of the resolving form. Each may be NULL: then the formula behaves as
 * when it is built. 0, or -1 with the error, which ends the evaluation. An absent
 * record, link or schema is value_undefined. Results live in `a` or longer.
 */
struct formula_lookups {
    void *ctx;
    /* $lookup: request is {lookup, schema, fullValue}. */
    int (*lookup)(void *ctx, struct arena *a, const struct value *request,
                  const struct value **ret_result, struct status *st);
    /* $findAppRecordId and $findExternalRecordId. */
    int (*app_record_id)(void *ctx, struct arena *a, const struct value *table_key,
                         const struct value *record_id, const struct value **ret_id,
                         struct status *st);
    int (*external_record_id)(void *ctx, struct arena *a, const struct value *table_key,
                              const struct value *record_id, const struct value **ret_id,
                              struct status *st);
    /* $dataSchemaRef: the collection's specification (its fieldsSchema is used)
     * and an internal schema. */
    int (*data_collection)(void *ctx, struct arena *a, const struct value *key,
                           const struct value *parameters, const struct value **ret_spec,
                           struct status *st);
    int (*internal_schema)(void *ctx, struct arena *a, const struct value *key,
                           const struct value **ret_schema, struct status *st);
};

/* Zero means the default in brackets. */
struct formula_limits {
    uint64_t max_steps;  /* evaluated formulas and items (10,000,000) */
    size_t max_bytes;    /* taken from the arena (256 MB) */
    uint32_t timeout_ms; /* (10,000) */
};

/* What a run works on; all may be NULL. */
struct formula_run {
    const struct value *variables;
    const struct value *schema; /* of the result; reaches $lookup requests */
    const struct formula_lookups *lookups;
    const struct formula_limits *limits;
    /* Milliseconds since 1970 for what asks the time ($now of JSONata); NULL: the
     * system's. */
    double (*now_ms)(void *ctx);
    void *now_ctx;
    /* Called after each formula, inner ones first. place: locator text that lends
     * until the call returns. */
    void (*trace)(void *ctx, const char *place, const struct value *formula,
                  const struct value *result);
    void *trace_ctx;
};

/*
 * Compiles a value. The tree lives in `a` and refers to v. 0, or -1 bad_request
 * when it is nested deeper than FORMULA_MAX_DEPTH.
 */
int formula_compile(struct arena *a, const struct value *v,
                    const struct formula **ret_formula, struct status *st);

/* The synchronous form: formulas that need look-ups stay formulas with built
 * arguments. */
int formula_build(const struct formula *f, struct arena *a, const struct formula_run *run,
                  const struct value **ret_result, struct status *st);
/* formula_build followed by the copy pass ($copy is resolved). */
int formula_build_data(const struct formula *f, struct arena *a,
                       const struct formula_run *run, const struct value **ret_result,
                       struct status *st);
/* The form with look-ups. */
int formula_resolve(const struct formula *f, struct arena *a,
                    const struct formula_run *run, const struct value **ret_result,
                    struct status *st);

/* Compile and evaluate in one call, for what is evaluated once. */
int formula_build_value(struct arena *a, const struct value *v,
                        const struct value *variables, const struct value **ret_result,
                        struct status *st);
int formula_resolve_value(struct arena *a, const struct value *v,
                          const struct formula_run *run, const struct value **ret_result,
                          struct status *st);

/* The copy pass alone (formulas.md 2.4, $copy). */
int formula_process_copy(struct arena *a, const struct value *v,
                         const struct value **ret_result, struct status *st);

/* ---- Detection ---- */

/*
 * Is v an object whose first key is "$" and an operator's name? Also true for the
 * names that every JavaScript object inherits ("$toString"): the reference takes
 * them for formulas and fails, and so does our evaluation.
 */
bool formula_is(const struct value *v);
/* Is v such an object with an inherited name? */
bool formula_is_reserved(const struct value *v);
/* v is a formula or contains one; formulas are not looked into. */
bool formula_has(const struct value *v);

#endif
