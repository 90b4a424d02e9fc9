/*
 * value_status.h - errors as values: the contract's ErrorData.
 */
#ifndef VALUE_VALUE_STATUS_H
#define VALUE_VALUE_STATUS_H

struct arena;
struct status;
struct value;

/*
 * {type, key, message, data, causedByError, logs}; what the status lacks is
 * left out. Lends from the status: it lives as long as both arenas.
 */
const struct value *value_from_status(struct arena *a, const struct status *st);

/*
 * Fills *st from ErrorData that came from outside (copied into st's arena);
 * returns -1. An unknown or missing type becomes `internal`, a missing message
 * the text "Unknown error"; a chain of causes is cut at 16.
 */
int value_to_status(const struct value *error_data, struct status *st);

#endif
