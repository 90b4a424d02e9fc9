/*
 * value_double.h - doubles to and from decimal text, by libdouble-conversion.
 *
 * A C face of a C++ library: value_double.cc is all the C++ there is.
 */
#ifndef VALUE_VALUE_DOUBLE_H
#define VALUE_VALUE_DOUBLE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Number::toString of JavaScript for any double. out holds at least 32 bytes;
 * gives the length, without NUL. */
size_t value_double_shortest(double n, char *out);
/* Number.prototype.toFixed(digits) for finite |n| < 1e21, digits 0..100. out
 * holds 128 bytes; gives the length, without NUL. */
size_t value_double_fixed(double n, int digits, char *out);
/* The `precision` (1..100) significant decimal digits of a finite n, correctly
 * rounded, without point or sign. *ret_point: the value is
 * 0.DIGITS * 10^point. Gives the count of digits (trailing zeros are cut). out
 * holds 128 bytes. */
size_t value_double_digits(double n, int precision, char *out, int *ret_point);
/* Nearest double of text of the form -?digits[.digits][e[+-]digits]; the caller
 * has checked the form. */
double value_double_parse(const char *s, size_t len);

#ifdef __cplusplus
}
#endif

#endif
