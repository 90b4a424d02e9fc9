#include "jsonata.h"

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

int jsonata_compile(struct arena *a, const char *text, size_t len,
                    const struct jsonata **ret_expr, struct status *st) {
    (void)a, (void)text, (void)len, (void)ret_expr;
    return st_fail(st, ST_BAD_REQUEST, "jsonata_error", "The parser comes next");
}

int jsonata_eval(const struct jsonata *expr, struct arena *a, const struct value *input,
                 const struct value *bindings, const struct jsonata_limits *limits,
                 const struct value **ret_result, struct status *st) {
    (void)expr, (void)a, (void)input, (void)bindings, (void)limits, (void)ret_result;
    return st_fail(st, ST_BAD_REQUEST, "jsonata_error", "The evaluator comes next");
}
