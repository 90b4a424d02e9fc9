/*
 * date_parse.h - texts and numbers to instants, and business days (formulas.md 8).
 *
 * Pure, in UTC. Instants are milliseconds since 1970; NAN is an invalid date.
 */
#ifndef FORMULA_DATE_PARSE_H
#define FORMULA_DATE_PARSE_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct value;

/* Date.parse: ISO 8601, else the engine's other spellings. NAN when it is none. */
double date_parse(const char *s, size_t len);
/*
 * Parse date of 8.2: a date value, undefined when v says none. Timestamps of
 * fewer than 13 characters count as seconds; as in the reference, so do parsed
 * texts.
 */
const struct value *date_from_value(struct arena *a, const struct value *v);

/* Monday to Friday. NAN is no business day. */
bool date_is_business_day(double ms);
/* The business days of two instants, both inclusive, as an array of
 * "YYYY-MM-DD"; empty when the end is before the start or one is invalid. At most
 * 1,000,000 days are looked at. */
const struct value *date_business_days(struct arena *a, double from_ms, double to_ms);

#endif
