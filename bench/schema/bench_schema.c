/*
 * bench_schema: records per second through a filter, a schema's fit, the input check
 * and the inference of a schema. bench_schema.mjs measures the same in Node.js with
 * the public SDK; both print one line per phase: name, nanoseconds per record.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "filter/filter.h"
#include "schema/schema_fit.h"
#include "schema/schema_infer.h"
#include "schema/schema_merge.h"
#include "schema/schema_plan.h"
#include "value/value.h"

enum { RECORDS = 2000, ROUNDS = 15 };

static const char filter_text[] =
    "[{\"field\":\"company.size\",\"operator\":\"more_than\",\"value\":10},"
    "{\"field\":\"email\",\"operator\":\"contains\",\"value\":\"example\"},"
    "{\"field\":\"lines.sku\",\"operator\":\"is_one_of\",\"value\":[\"s1\",\"s7\"]},"
    "{\"field\":\"active\",\"operator\":\"is_true\"}]";

struct work {
    struct arena *arena; /* reset before each round */
    const struct value *records;
    const struct schema_plan *plan;
    struct filter *filter;
    struct status st;
    unsigned long answer; /* keeps the compiler from dropping the work */
};

static const struct value *json(struct arena *a, const char *text, size_t len) {
    const struct value *v = &value_undefined;
    struct status st;

    st_init(&st, a);
    value_parse(a, text, len, NULL, &v, &st);
    return v;
}

static const struct value *make_records(struct arena *a) {
    struct buf b = BUF_INIT;
    const struct value *v;

    buf_addc(&b, '[');
    for (int i = 0; i < RECORDS; i++)
        buf_addf(&b,
                 "%s{\"id\":\"r%d\",\"email\":\"ada.%d@example.com\",\"amount\":\"%d.5\","
                 "\"active\":%s,\"company\":{\"name\":\"Example\",\"size\":%d},"
                 "\"lines\":[{\"sku\":\"s%d\",\"n\":1},{\"sku\":\"s%d\",\"n\":2.5}],"
                 "\"more\":null}",
                 i ? "," : "", i, i, i, i % 3 ? "true" : "false", i % 50, i % 9, i % 5);
    buf_addc(&b, ']');
    v = json(a, b.data, b.len);
    buf_fini(&b);
    return v;
}

static void match(struct work *w) {
    for (VALUE_EACH_ITEM(record, w->records)) {
        bool holds;

        filter_match(w->filter, record, &holds, &w->st);
        w->answer += holds;
    }
}

static void fit(struct work *w) {
    const struct schema_fit_options o = {
        .add_defaults = true, .normalize_values = true, .skip_unknown_fields = true};

    for (VALUE_EACH_ITEM(record, w->records))
        w->answer += schema_plan_fit(w->plan, w->arena, record, &o)->len;
}

static void validate(struct work *w) {
    for (VALUE_EACH_ITEM(record, w->records)) {
        const struct value *coerced;

        w->answer +=
            schema_plan_validate(w->plan, w->arena, record, &coerced, &w->st) == 0;
    }
}

static void infer(struct work *w) {
    w->answer += schema_create_compound(w->arena, w->records)->len;
}

static double now_ns(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const char *name, void (*phase)(struct work *), struct work *w) {
    double best = 1e18;

    for (int i = 0; i < ROUNDS; i++) {
        double start = now_ns(), took;

        phase(w);
        took = now_ns() - start;
        if (took < best)
            best = took;
        arena_reset(w->arena);
    }
    printf("%-10s %8.0f ns/record\n", name, best / RECORDS);
}

int main(void) {
    struct arena *a = arena_new(0);
    struct work w = {.arena = arena_new(0)};
    struct buf schema = BUF_INIT;

    buf_adds(&schema,
             "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},"
             "\"email\":{\"type\":\"string\"},\"amount\":{\"type\":\"number\"},"
             "\"active\":{\"type\":\"boolean\"},\"company\":{\"type\":\"object\","
             "\"properties\":{\"name\":{\"type\":\"string\"},\"size\":{\"type\":"
             "\"integer\"}},\"required\":[\"size\"]},\"lines\":{\"type\":\"array\","
             "\"items\":{\"type\":\"object\",\"properties\":{\"sku\":{\"type\":"
             "\"string\"},\"n\":{\"type\":\"number\"}}}},\"currency\":{\"type\":"
             "\"string\",\"default\":\"EUR\"}},\"required\":[\"id\",\"email\"]}");
    st_init(&w.st, w.arena);
    w.records = make_records(a);
    w.plan = schema_compile(a, json(a, schema.data, schema.len));
    w.filter = filter_compile(a, json(a, filter_text, strlen(filter_text)));
    measure("match", match, &w);
    measure("fit", fit, &w);
    measure("validate", validate, &w);
    measure("infer", infer, &w);
    buf_fini(&schema);
    arena_free(&w.arena);
    arena_free(&a);
    return w.answer == 0;
}
