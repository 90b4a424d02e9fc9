/*
 * jsonata_call.h - making and calling functions.
 */
#ifndef JSONATA_JSONATA_CALL_H
#define JSONATA_JSONATA_CALL_H

#include "jsonata_priv.h"

struct value jsonata_builtin_value(const struct builtin *b);
struct value jsonata_find_variable(const struct frame *f, const struct name *name,
                                   const struct builtin *builtin);
/* A closure over input and env; also for the transform operator. */
struct value jsonata_lambda(struct ev *ev, const struct node *n, struct value input,
                            struct frame *env);
/* A call as written. chained: the value before ~>, which is the first argument. */
int jsonata_call(struct ev *ev, const struct node *n, const struct value *chained,
                 struct value input, struct frame *env, struct value *out);
int jsonata_partial(struct ev *ev, const struct node *n, struct value input,
                    struct frame *env, struct value *out);
int jsonata_chain(struct ev *ev, const struct node *n, struct value input,
                  struct frame *env, struct value *out);

#endif
