/*
 * coerce.h - JavaScript's conversions and comparisons (formulas.md 0.2, J2-J6).
 *
 * Formulas, filters and forms compare values as the reference's language does.
 * Nothing here fails; deep values are the caller's to bound.
 */
#ifndef LOCATOR_COERCE_H
#define LOCATOR_COERCE_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct buf;
struct value;

/* J2: appends String(v). */
void coerce_append_text(struct buf *b, const struct value *v);
/* J2 as a value: v itself when it is a string. */
const struct value *coerce_text(struct arena *a, const struct value *v);
/* J3: Number(v). */
double coerce_number(const struct value *v);
/* J6: parseFloat(v). */
double coerce_parse_float(const struct value *v);

/*
 * ===: objects and arrays are equal only when they are the same node or share
 * their content (an empty one only with itself).
 */
bool coerce_strict_equal(const struct value *x, const struct value *y);
/* J4: ==. */
bool coerce_loose_equal(const struct value *x, const struct value *y);
/* J5: Array.prototype.includes. False when list is no array. */
bool coerce_includes(const struct value *list, const struct value *v);

#endif
