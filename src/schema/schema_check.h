/*
 * schema_check.h - is a value a data schema? (formulas.md 4.1)
 */
#ifndef SCHEMA_SCHEMA_CHECK_H
#define SCHEMA_SCHEMA_CHECK_H

struct arena;
struct status;
struct value;

enum { SCHEMA_MAX_DEPTH = 200 };

/*
 * Checks the type of every known keyword, at every depth; unknown keywords are
 * free. -1 bad_request that names the keyword's path and what was expected. `a`
 * holds the message.
 */
int schema_check(struct arena *a, const struct value *schema, struct status *st);

#endif
