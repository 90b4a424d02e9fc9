/*
 * The official JSONata test suite: every case of test/fixtures/jsonata-suite.
 *
 * With arguments: runs only the groups that they name and prints every failure.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "jsonata/jsonata.h"
#include "value/value.h"

#define SUITE FIXTURES "/jsonata-suite"

static char **only;
static int n_only, passed, failed;

static char *read_file(const char *path, size_t *ret_len) {
    FILE *f = fopen(path, "rb");
    char *text;
    long len;

    if (!f)
        fail_msg("cannot open %s", path);
    fseek(f, 0, SEEK_END);
    len = ftell(f);
    rewind(f);
    text = malloc((size_t)len + 1);
    assert_int_equal(fread(text, 1, (size_t)len, f), len);
    fclose(f);
    text[len] = '\0';
    *ret_len = (size_t)len;
    return text;
}

static const struct value *read_json(struct arena *a, const char *path) {
    size_t len;
    char *text = read_file(path, &len);
    const struct value *v;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, text, len, NULL, &v, &st) < 0)
        fail_msg("%s: %s", path, st.message);
    free(text);
    return v;
}

struct clock {
    struct timespec until;
};

static bool expired(void *ctx) {
    struct clock *c = ctx;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > c->until.tv_sec ||
           (now.tv_sec == c->until.tv_sec && now.tv_nsec > c->until.tv_nsec);
}

/* The expression, which may stand in a file of its own. */
static const struct value *expression_of(struct arena *a, const struct value *test,
                                         const char *group) {
    const char *file = value_get_string(test, "expr-file", NULL);
    const struct value *text;
    char path[600], *content;
    size_t len;

    if (!file)
        return value_get(test, "expr");
    snprintf(path, sizeof(path), SUITE "/groups/%s/%s", group, file);
    content = read_file(path, &len);
    text = value_string_len(a, content, len);
    free(content);
    return text;
}

static int run(struct arena *a, const struct value *test, const char *group,
               const struct value **ret, struct status *st) {
    const struct value *expr = expression_of(a, test, group);
    const struct value *data = value_get(test, "data");
    const char *dataset = value_get_string(test, "dataset", NULL);
    double ms = value_get_number(test, "timelimit", 5000);
    struct clock clock;
    struct jsonata_limits limits = {.expired = expired, .ctx = &clock};
    const struct jsonata *compiled;
    char path[600];

    if (dataset) {
        snprintf(path, sizeof(path), SUITE "/datasets/%s.json", dataset);
        data = read_json(a, path);
    }
    limits.max_depth = (size_t)value_get_number(test, "depth", 0);
    clock_gettime(CLOCK_MONOTONIC, &clock.until);
    clock.until.tv_sec += (time_t)(ms / 1000);
    clock.until.tv_nsec += (long)fmod(ms, 1000) * 1000000;
    if (jsonata_compile(a, expr->str, expr->len, &compiled, st) < 0)
        return -1;
    return jsonata_eval(compiled, a, data, value_get(test, "bindings"), &limits, ret, st);
}

/* NULL when the case passes, else what went wrong. */
static const char *check(struct arena *a, const struct value *test, const char *group) {
    const struct value *error =
        value_has(test, "error") ? value_get(test, "error") : test;
    const char *code = value_get_string(error, "code", NULL);
    const char *token = value_get_string(error, "token", NULL);
    const char *message = value_get_string(error, "message", NULL);
    const struct value *got;
    struct status st;

    st_init(&st, a);
    if (run(a, test, group, &got, &st) < 0) {
        const char *got_code = value_get_string(st.data, "code", "none");

        if (!code)
            return arena_printf(a, "error %s: %s", got_code, st.message);
        if (strcmp(code, got_code) != 0)
            return arena_printf(a, "error %s instead of %s: %s", got_code, code,
                                st.message);
        if (token && strcmp(value_get_string(st.data, "token", ""), token) != 0)
            return arena_printf(a, "token %s instead of %s",
                                value_get_string(st.data, "token", ""), token);
        if (message && strcmp(message, st.message) != 0)
            return arena_printf(a, "message %s instead of %s", st.message, message);
        return NULL;
    }
    if (code)
        return arena_printf(a, "gave %.300s instead of error %s",
                            value_encode_arena(a, got, 0).data, code);
    if (value_has(test, "undefinedResult"))
        return value_is(got, VALUE_UNDEFINED)
                   ? NULL
                   : arena_printf(a, "gave %.300s, not undefined",
                                  value_encode_arena(a, got, 0).data);
    if (value_equal(got, value_get(test, "result")))
        return NULL;
    return arena_printf(a, "gave %.600s, not %.600s", value_encode_arena(a, got, 0).data,
                        value_encode_arena(a, value_get(test, "result"), 0).data);
}

static void run_case(const struct value *test, const char *group, const char *name) {
    struct arena *a = arena_new(0);
    const char *problem = check(a, test, group);

    if (!problem) {
        passed++;
    } else {
        failed++;
        print_error("%s: %s\n    %.300s\n", name, problem,
                    value_get_string(test, "expr", ""));
    }
    arena_free(&a);
}

static int is_group(const struct dirent *e) {
    return e->d_name[0] != '.';
}

static int is_case(const struct dirent *e) {
    size_t len = strlen(e->d_name);

    return len > 5 && strcmp(e->d_name + len - 5, ".json") == 0;
}

static void run_group(const char *group) {
    char path[600], name[600];
    struct dirent **files;
    int n;

    snprintf(path, sizeof(path), SUITE "/groups/%s", group);
    n = scandir(path, &files, is_case, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        struct arena *a = arena_new(0);
        const struct value *tests;

        snprintf(path, sizeof(path), SUITE "/groups/%s/%s", group, files[i]->d_name);
        tests = read_json(a, path);
        if (value_is_object(tests)) {
            snprintf(name, sizeof(name), "%s/%.*s", group,
                     (int)strlen(files[i]->d_name) - 5, files[i]->d_name);
            run_case(tests, group, name);
        }
        for (size_t k = 0; k < value_items_count(tests); k++) {
            snprintf(name, sizeof(name), "%s/%.*s#%zu", group,
                     (int)strlen(files[i]->d_name) - 5, files[i]->d_name, k);
            run_case(&tests->items[k], group, name);
        }
        arena_free(&a);
        free(files[i]);
    }
    free(files);
}

static bool is_wanted(const char *group) {
    for (int i = 0; i < n_only; i++)
        if (strcmp(only[i], group) == 0)
            return true;
    return n_only == 0;
}

static void every_case_of_the_official_suite_passes(void **state) {
    struct dirent **groups;
    int n;

    (void)state;
    n = scandir(SUITE "/groups", &groups, is_group, alphasort);
    assert_true(n > 90);
    for (int i = 0; i < n; i++) {
        if (is_wanted(groups[i]->d_name))
            run_group(groups[i]->d_name);
        free(groups[i]);
    }
    free(groups);
    print_message("%d passed, %d failed\n", passed, failed);
    assert_int_equal(failed, 0);
    assert_true(n_only || passed > 1500);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_of_the_official_suite_passes),
    };

    only = argv + 1;
    n_only = argc - 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
