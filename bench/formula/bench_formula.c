/*
 * bench_formula FILE: evaluates the jobs of a JSON file on its records and prints
 * one line of JSON a job. bench_formula.mjs writes the file and does the same with
 * the public SDK in Node.js.
 *
 * FILE: {"jobs": [{"name", "form": "build" | "resolve" | "filter", "values": [...],
 * "records": [...]}], "rounds": N}. Every value is compiled once a round; one
 * round evaluates every value on every record, with an arena that is emptied after
 * each record.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "filter/filter.h"
#include "formula/formula.h"
#include "value/value.h"

static double now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

struct outcome {
    double ms;
    size_t bytes;   /* taken from the arena, all records together */
    size_t results; /* that were not undefined, or matched */
};

static int fail(const struct status *st) {
    fprintf(stderr, "bench_formula: %s\n", st->message);
    exit(1);
}

static bool match(const struct filter *f, const struct value *record, struct status *st) {
    bool matches;

    if (filter_match(f, record, &matches, st) < 0)
        fail(st);
    return matches;
}

static bool evaluate(const struct formula *f, bool resolve, const struct value *record,
                     struct arena *a, struct status *st) {
    const struct formula_run run = {.variables = record};
    const struct value *result;

    if ((resolve ? formula_resolve : formula_build)(f, a, &run, &result, st) < 0)
        fail(st);
    return result->type != VALUE_UNDEFINED;
}

static struct outcome run_round(const struct value *job) {
    const char *form = value_get_string(job, "form", "build");
    bool filtering = !strcmp(form, "filter"), resolve = !strcmp(form, "resolve");
    const struct value *records = value_get(job, "records");
    struct arena *compiled = arena_new(0), *a = arena_new(1 << 16);
    struct outcome out = {0};
    double start = now_ms();
    struct status st;

    st_init(&st, compiled);
    for (VALUE_EACH_ITEM(v, value_get(job, "values"))) {
        const struct formula *formula = NULL;
        const struct filter *filter = NULL;

        if (filtering)
            filter = filter_compile(compiled, v);
        else if (formula_compile(compiled, v, &formula, &st) < 0)
            fail(&st);
        for (VALUE_EACH_ITEM(record, records)) {
            out.results += filtering ? match(filter, record, &st)
                                     : evaluate(formula, resolve, record, a, &st);
            out.bytes += arena_used(a);
            arena_reset(a);
        }
    }
    out.ms = now_ms() - start;
    arena_free(&a);
    arena_free(&compiled);
    return out;
}

static int by_ms(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;

    return a < b ? -1 : a > b;
}

static void run_job(const struct value *job, size_t rounds) {
    size_t evaluations = value_items_count(value_get(job, "values")) *
                         value_items_count(value_get(job, "records"));
    double *ms = malloc(rounds * sizeof(*ms));
    struct outcome o = {0};

    for (size_t i = 0; i < rounds; i++) {
        o = run_round(job);
        ms[i] = o.ms;
    }
    qsort(ms, rounds, sizeof(*ms), by_ms);
    printf("{\"name\":\"%s\",\"ms\":%.4f,\"evaluations\":%zu,\"results\":%zu,\"bytes\":%."
           "0f}\n",
           value_get_string(job, "name", "?"), ms[rounds / 2], evaluations, o.results,
           (double)o.bytes / (double)evaluations);
    free(ms);
}

int main(int argc, char **argv) {
    struct arena *a = arena_new(0);
    struct buf b = BUF_INIT;
    const struct value *v;
    struct status st;
    FILE *f;
    size_t n;

    st_init(&st, a);
    if (argc != 2 || !(f = fopen(argv[1], "r")))
        return fprintf(stderr, "usage: bench_formula FILE\n"), 2;
    while ((n = fread(buf_reserve(&b, 1 << 20), 1, 1 << 20, f)) > 0)
        b.len += n;
    fclose(f);
    if (value_parse(a, b.data, b.len, NULL, &v, &st) < 0)
        fail(&st);
    for (VALUE_EACH_ITEM(job, value_get(v, "jobs")))
        run_job(job, (size_t)value_get_number(v, "rounds", 11));
    buf_fini(&b);
    arena_free(&a);
    return 0;
}
