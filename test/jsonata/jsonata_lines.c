/*
 * Reads lines {"expr", "data"?, "bindings"?} and prints for each a line
 * {"result"}, {} for undefined, or {"error": code, "message"}. For
 * differential.test.mjs and for people. A clock stands still at NOW_MS.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "jsonata/jsonata.h"
#include "value/value.h"

#define NOW_MS 1762331412481.0

static double now_ms(void *ctx) {
    (void)ctx;
    return NOW_MS;
}

static const struct value *answer(struct arena *a, const struct value *line) {
    struct jsonata_limits limits = {.now_ms = now_ms, .max_steps = 2000000};
    const struct value *expr = value_get(line, "expr"), *result, *code;
    const struct jsonata *compiled;
    struct status st;

    st_init(&st, a);
    if (jsonata_compile(a, value_bytes(expr).data, expr->len, &compiled, &st) == 0 &&
        jsonata_eval(compiled, a, value_get(line, "data"),
                     value_find(line, "bindings", 8), &limits, &result, &st) == 0)
        return value_obj(a, "result", result, NULL);
    code = value_get(st.data, "code");
    return value_obj(a, "error", value_is_string(code) ? code : &value_null, "message",
                     value_string(a, st.message), NULL);
}

int main(void) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    while ((len = getline(&line, &cap, stdin)) > 0) {
        struct arena *a = arena_new(0);
        const struct value *v;
        struct status st;

        st_init(&st, a);
        if (value_parse(a, line, (size_t)len, NULL, &v, &st) < 0) {
            fprintf(stderr, "%s\n", st.message);
            return 1;
        }
        puts(value_encode_arena(a, answer(a, v), 0).data);
        arena_free(&a);
    }
    free(line);
    return 0;
}
