/*
 * value_case.h - upper and lower case as JavaScript has them.
 */
#ifndef VALUE_VALUE_CASE_H
#define VALUE_VALUE_CASE_H

#include <stddef.h>

struct buf;

/* Append what String.prototype.toUpperCase / toLowerCase make of the WTF-8 text,
 * expansions (sharp s) and the final sigma included. */
void value_upper_case(struct buf *b, const char *s, size_t len);
void value_lower_case(struct buf *b, const char *s, size_t len);

#endif
