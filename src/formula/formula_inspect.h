/*
 * formula_inspect.h - looking at formulas without evaluating them (formulas.md
 * 3): variable positions, rewriting, display text, and the schema of a value.
 *
 * All pure; results live in `a` and share with the arguments.
 */
#ifndef FORMULA_FORMULA_INSPECT_H
#define FORMULA_FORMULA_INSPECT_H

#include <stdbool.h>

struct arena;
struct status;
struct value;

/* The locators of all $var formulas of a value, as an array of texts. */
const struct value *formula_variable_locators(struct arena *a, const struct value *v);

/*
 * A copy with the argument of every $var replaced by what fn makes of it;
 * value_undefined removes the argument.
 */
typedef const struct value *formula_rename_fn(void *ctx, struct arena *a,
                                              const struct value *locator);
int formula_rename_variables(struct arena *a, const struct value *v,
                             formula_rename_fn *fn, void *ctx,
                             const struct value **ret_value, struct status *st);

/* Re-roots variables with a tree of formulas and constants (formulas.md 3.3). */
int formula_transform(struct arena *a, const struct value *v, const struct value *tree,
                      const struct value **ret_value, struct status *st);
/* Drops variables that the schema does not have. */
int formula_remove_missing_variables(struct arena *a, const struct value *v,
                                     const struct value *schema,
                                     const struct value **ret_value, struct status *st);

/* Display text of a value with formulas. */
const struct value *formula_display_text(struct arena *a, const struct value *v,
                                         const struct value *variables_schema);
/* A formula written back: its operator and argument only; undefined when v is
 * none. */
const struct value *formula_to_object(struct arena *a, const struct value *v);

/*
 * Schema of a value with formulas. variables_schema may be null or undefined.
 * ignore_formulas: formulas are taken as plain objects. value_undefined when
 * nothing is known. -1 when a formula inside cannot be evaluated ($jsonata) or
 * is a reserved name.
 */
int formula_schema(struct arena *a, const struct value *v,
                   const struct value *variables_schema, bool ignore_formulas,
                   const struct value **ret_schema, struct status *st);

/* The comparison operators that a $eval formula can have, given the schema of its
 * left side: an array of {key, name, operandSchema, hasOperand}. */
int formula_available_operators(struct arena *a, const struct value *formula,
                                const struct value *variables_schema,
                                const struct value **ret_operators, struct status *st);
/* The one it has, or null. */
int formula_operator_info(struct arena *a, const struct value *formula,
                          const struct value *variables_schema,
                          const struct value **ret_operator, struct status *st);

#endif
