/*
 * Reads {"data", "cases": [{"name", "expr"}]} and prints for each case a line
 * {"name", "ms", "bytes"}: the median time of one evaluation and the arena it
 * used. run.mjs feeds it and the published library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "jsonata/jsonata.h"
#include "value/value.h"

#define ROUNDS 101

static double now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *x, const void *y) {
    double d = *(const double *)x - *(const double *)y;

    return d < 0 ? -1 : d > 0;
}

static const struct value *read_input(struct arena *a) {
    const struct value *v;
    struct buf text = BUF_INIT;
    struct status st;
    size_t n;

    st_init(&st, a);
    while ((n = fread(buf_reserve(&text, 65536), 1, 65536, stdin)) > 0)
        text.len += n;
    if (value_parse(a, text.data, text.len, NULL, &v, &st) < 0)
        abort();
    buf_fini(&text);
    return v;
}

static void run(struct arena *a, const struct value *data, const struct value *test) {
    const struct value *expr = value_get(test, "expr"), *result;
    double times[ROUNDS];
    const struct jsonata *compiled;
    struct status st;
    size_t bytes = 0;

    st_init(&st, a);
    if (jsonata_compile(a, expr->str, expr->len, &compiled, &st) < 0)
        abort();
    for (int i = 0; i < ROUNDS; i++) {
        struct arena *scratch = arena_new(0);
        double start = now_ms();

        if (jsonata_eval(compiled, scratch, data, NULL, NULL, &result, &st) < 0)
            abort();
        bytes = arena_used(scratch);
        arena_free(&scratch);
        times[i] = now_ms() - start;
    }
    qsort(times, ROUNDS, sizeof(*times), by_size);
    printf("{\"name\":\"%s\",\"ms\":%.4f,\"bytes\":%zu}\n",
           value_get_string(test, "name", ""), times[ROUNDS / 2], bytes);
}

int main(void) {
    struct arena *a = arena_new(0);
    const struct value *input = read_input(a);

    for (VALUE_EACH_ITEM(test, value_get(input, "cases")))
        run(a, value_get(input, "data"), test);
    arena_free(&a);
    return 0;
}
