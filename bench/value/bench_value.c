/*
 * bench_value: parse, map and encode about 1 MB of records, with our values and
 * with jansson in the same run (the measurement that the choice of an own value
 * type asked for). Prints the median of the rounds for every phase.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

#define RECORDS 2200
#define ROUNDS  41

struct times {
    double parse, map, encode, total;
};

static double now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void make_records(struct buf *b) {
    buf_addc(b, '[');
    for (int i = 0; i < RECORDS; i++)
        buf_addf(
            b,
            "%s{\"id\":\"rec_%06d\",\"firstName\":\"Ada "
            "%d\",\"lastName\":\"L\xC3\xB6velace\","
            "\"email\":\"ada.%d@example.com\",\"amount\":%d.%02d,\"quantity\":%d,"
            "\"active\":%s,\"createdAt\":\"2025-11-05T08:30:12.481Z\",\"owner\":null,"
            "\"company\":{\"id\":\"c%d\",\"name\":\"Example \\\"Ltd\\\"\",\"size\":%d},"
            "\"tags\":[\"customer\",\"vip\",\"tag%d\"],\"address\":{\"street\":\"Long "
            "Street %d\","
            "\"city\":\"London\",\"postalCode\":\"E%d\",\"geo\":[%d.123456,-0.%06d]},"
            "\"note\":\"A longer text that nobody reads but every sync carries along.\"}",
            i ? "," : "", i, i, i, i * 7, i % 100, i % 50, i % 3 ? "true" : "false",
            i % 300, i, i % 10, i, i % 90, i % 180, i);
    buf_addc(b, ']');
}

static const struct value *map_ours(struct arena *a, const struct value *records) {
    struct array_builder out;

    array_begin(&out, a, records->len);
    for (VALUE_EACH_ITEM(r, records)) {
        struct object_builder o, c;
        const struct value *company = value_get(r, "company");

        object_begin(&o, a, 8);
        object_set_ref(&o, "externalId", 10, value_get(r, "id"));
        object_set_ref(&o, "name", 4, value_get(r, "lastName"));
        object_set_ref(&o, "email", 5, value_get(r, "email"));
        object_set_ref(&o, "total", 5,
                       value_number(a, value_get_number(r, "amount", 0) * 2));
        object_set_ref(&o, "created", 7, value_get(r, "createdAt"));
        object_set_ref(&o, "tags", 4, value_get(r, "tags"));
        object_set_ref(&o, "city", 4, value_path(r, "address", "city", NULL));
        object_begin(&c, a, 2);
        object_set_ref(&c, "key", 3, value_get(company, "id"));
        object_set_ref(&c, "label", 5, value_get(company, "name"));
        object_set_ref(&o, "company", 7, object_end(&c));
        array_push(&out, object_end(&o));
    }
    return array_end(&out);
}

static json_t *map_jansson(json_t *records) {
    json_t *out = json_array(), *r;
    size_t i;

    json_array_foreach(records, i, r) {
        json_t *o = json_object(), *c = json_object();
        json_t *company = json_object_get(r, "company");

        json_object_set(o, "externalId", json_object_get(r, "id"));
        json_object_set(o, "name", json_object_get(r, "lastName"));
        json_object_set(o, "email", json_object_get(r, "email"));
        json_object_set_new(
            o, "total", json_real(json_number_value(json_object_get(r, "amount")) * 2));
        json_object_set(o, "created", json_object_get(r, "createdAt"));
        json_object_set(o, "tags", json_object_get(r, "tags"));
        json_object_set(o, "city",
                        json_object_get(json_object_get(r, "address"), "city"));
        json_object_set(c, "key", json_object_get(company, "id"));
        json_object_set(c, "label", json_object_get(company, "name"));
        json_object_set_new(o, "company", c);
        json_array_append_new(out, o);
    }
    return out;
}

static size_t run_ours(const struct buf *text, struct times *t, size_t *ret_memory) {
    struct arena *a = arena_new(0);
    struct buf out = BUF_INIT;
    const struct value *v, *mapped;
    struct status st;
    double t0, t1, t2, t3;
    size_t len;

    st_init(&st, a);
    t0 = now_ms();
    if (value_parse(a, text->data, text->len, NULL, &v, &st) < 0)
        abort();
    t1 = now_ms();
    mapped = map_ours(a, v);
    t2 = now_ms();
    value_encode(&out, mapped, 0);
    t3 = now_ms();
    len = out.len;
    *ret_memory = arena_used(a);
    buf_fini(&out);
    arena_free(&a);
    *t = (struct times){t1 - t0, t2 - t1, t3 - t2, now_ms() - t0};
    return len;
}

static size_t run_jansson(const struct buf *text, struct times *t) {
    double t0 = now_ms(), t1, t2, t3;
    json_t *v = json_loadb(text->data, text->len, 0, NULL), *mapped;
    char *out;
    size_t len;

    t1 = now_ms();
    mapped = map_jansson(v);
    t2 = now_ms();
    out = json_dumps(mapped, JSON_COMPACT);
    t3 = now_ms();
    len = strlen(out);
    free(out);
    json_decref(mapped);
    json_decref(v);
    *t = (struct times){t1 - t0, t2 - t1, t3 - t2, now_ms() - t0};
    return len;
}

static int by_total(const void *x, const void *y) {
    double d = ((const struct times *)x)->total - ((const struct times *)y)->total;

    return d < 0 ? -1 : d > 0;
}

static void print(const char *name, struct times *all) {
    const struct times *t = &all[ROUNDS / 2];

    qsort(all, ROUNDS, sizeof(*all), by_total);
    printf("%-8s parse %6.2f  map %6.2f  encode %6.2f  total with freeing %6.2f ms\n",
           name, t->parse, t->map, t->encode, t->total);
}

int main(void) {
    static struct times ours[ROUNDS], theirs[ROUNDS];
    struct buf text = BUF_INIT;
    size_t memory = 0, len = 0, their_len = 0;

    make_records(&text);
    for (int i = 0; i < ROUNDS; i++) {
        len = run_ours(&text, &ours[i], &memory);
        their_len = run_jansson(&text, &theirs[i]);
    }
    printf("%zu bytes in, %zu out (jansson %zu), arena %zu bytes\n", text.len, len,
           their_len, memory);
    print("ours", ours);
    print("jansson", theirs);
    printf("ratio %.1f\n", theirs[ROUNDS / 2].total / ours[ROUNDS / 2].total);
    buf_fini(&text);
    return 0;
}
