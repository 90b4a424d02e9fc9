/*
 * vectors.h - how a function of the vectors' format is answered.
 *
 * An adapter turns the positional arguments of one recorded call into a call of
 * our own function. Each area has its table of adapters in a file of its own;
 * run.c searches all of them.
 *
 * Values JSON has no word for are decoded before the call: undefined and holes
 * are VALUE_UNDEFINED, dates are VALUE_DATE. In an expected result a Set is
 * the array of its values and a Map the array of its [key, value] pairs.
 */
#ifndef TEST_VECTORS_VECTORS_H
#define TEST_VECTORS_VECTORS_H

struct arena;
struct status;
struct value;

/* args: an array; missing ones read as undefined. 0, or -1 with the error. */
typedef int vector_fn(struct arena *a, const struct value *args,
                      const struct value **ret_result, struct status *st);

struct vector_adapter {
    const char *fn; /* NULL ends a table */
    vector_fn *call;
};

/* Adds a table's functions; one line a table in run.c's list. */
extern const struct vector_adapter vector_adapters_formula[];
extern const struct vector_adapter vector_adapters_schema[];

#endif
