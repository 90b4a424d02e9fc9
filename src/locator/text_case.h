/*
 * text_case.h - changing the case of text the way titles and comparisons of the
 * reference do.
 */
#ifndef LOCATOR_TEXT_CASE_H
#define LOCATOR_TEXT_CASE_H

#include <stddef.h>

struct arena;
struct buf;
struct value;

/* Header case of formulas.md 1.4: "firstName" is "First Name". ASCII only. */
const struct value *text_header_case(struct arena *a, const char *s, size_t len);
/* The same with "-" and no capitals: "first-name". */
const struct value *text_kebab_case(struct arena *a, const char *s, size_t len);

/* Appends String.prototype.toLowerCase: full Unicode, final sigma included. */
void text_append_lower(struct buf *b, const char *s, size_t len);
/* v, a string, in lower case. */
const struct value *text_lower(struct arena *a, const struct value *v);

#endif
