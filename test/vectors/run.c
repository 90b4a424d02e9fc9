/*
 * run.c - holds our functions against recorded calls of the reference.
 *
 *   run FILE.jsonl ...            compares, prints mismatches and a count
 *   run --only FN FILE.jsonl ...  the same for one function
 *   run --deviations LIST FILE.jsonl ...  the same; the vectors whose ids stand in
 *                                 LIST, one a line, must differ
 *   run --answer < CALLS          answers calls given without a result, one
 *                                 line each: {"id", "result" | "error"}
 *
 * The format is described in test/fixtures/vectors/README.md.
 */
#include "vectors.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

static const struct vector_adapter *const tables[] = {
    vector_adapters_formula,
    vector_adapters_schema,
};

enum { MAX_SHOWN = 4000, MAX_SECONDS = 20 };

static vector_fn *find_adapter(const char *fn) {
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        for (const struct vector_adapter *v = tables[i]; v->fn; v++)
            if (strcmp(v->fn, fn) == 0)
                return v->call;
    return NULL;
}

/* ---- markers ---- */

static const struct value *decode(struct arena *a, const struct value *v);

static const struct value *decode_items(struct arena *a, const struct value *v) {
    struct array_builder b;

    array_begin(&b, a, v->len);
    for (VALUE_EACH_ITEM(item, v))
        array_push(&b, decode(a, item));
    return array_end(&b);
}

static const struct value *decode_marker(struct arena *a, const struct value *v) {
    const char *name = value_get_string(v, "$$", "");

    if (strcmp(name, "-0") == 0)
        return value_number(a, -0.0);
    if (strcmp(name, "NaN") == 0)
        return value_number(a, NAN);
    if (strcmp(name, "Infinity") == 0)
        return value_number(a, INFINITY);
    if (strcmp(name, "-Infinity") == 0)
        return value_number(a, -INFINITY);
    if (strcmp(name, "date") == 0)
        return value_date(a, value_get_number(v, "ms", NAN));
    if (strcmp(name, "set") == 0)
        return decode_items(a, value_get(v, "values"));
    if (strcmp(name, "map") == 0)
        return decode_items(a, value_get(v, "entries"));
    return &value_undefined;
}

static const struct value *decode(struct arena *a, const struct value *v) {
    struct object_builder b;

    if (value_is_array(v))
        return v->len ? decode_items(a, v) : v;
    if (!value_is_object(v) || v->len == 0)
        return v;
    if (value_has(v, "$$"))
        return decode_marker(a, v);
    object_begin(&b, a, v->len);
    for (VALUE_EACH_MEMBER(m, v))
        object_set_ref(&b, m->key, m->key_len, decode(a, &m->value));
    return object_end(&b);
}

static void print(struct buf *out, const struct value *v);

static void print_number(struct buf *out, double n) {
    char text[32];

    if (isnan(n))
        buf_adds(out, "{\"$$\":\"NaN\"}");
    else if (isinf(n))
        buf_addf(out, "{\"$$\":\"%sInfinity\"}", n < 0 ? "-" : "");
    else if (n == 0 && signbit(n))
        buf_adds(out, "{\"$$\":\"-0\"}");
    else
        buf_add(out, text, value_format_number(n, text));
}

static void print_members(struct buf *out, const struct value *v) {
    buf_addc(out, '{');
    for (VALUE_EACH_MEMBER(m, v)) {
        struct value key = value_string_ref(m->key, m->key_len);

        if (m > v->members)
            buf_addc(out, ',');
        value_encode(out, &key, 0);
        buf_addc(out, ':');
        print(out, &m->value);
    }
    buf_addc(out, '}');
}

/* The text of a value with markers. */
static void print(struct buf *out, const struct value *v) {
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
        buf_adds(out, "{\"$$\":\"undefined\"}");
        break;
    case VALUE_NUMBER:
        print_number(out, v->number);
        break;
    case VALUE_DATE:
        if (isnan(v->number))
            buf_adds(out, "{\"$$\":\"date\",\"ms\":null}");
        else
            buf_addf(out, "{\"$$\":\"date\",\"ms\":%.0f}", v->number);
        break;
    case VALUE_ARRAY:
        buf_addc(out, '[');
        for (VALUE_EACH_ITEM(item, v)) {
            if (item > v->items)
                buf_addc(out, ',');
            print(out, item);
        }
        buf_addc(out, ']');
        break;
    case VALUE_OBJECT:
        print_members(out, v);
        break;
    default:
        value_encode(out, v, 0);
    }
}

/* ---- comparing ---- */

static bool same(const struct value *x, const struct value *y, bool ordered);

static bool same_number(double x, double y) {
    return (isnan(x) && isnan(y)) || (x == y && signbit(x) == signbit(y));
}

static const struct member *next_defined(const struct member *m,
                                         const struct member *end) {
    while (m < end && m->value.type == VALUE_UNDEFINED)
        m++;
    return m;
}

static bool same_ordered(const struct value *x, const struct value *y) {
    static const struct member none;
    const struct member *m = x->len ? x->members : &none, *m_end = m + x->len;
    const struct member *n = y->len ? y->members : &none, *n_end = n + y->len;

    for (;; m++, n++) {
        m = next_defined(m, m_end);
        n = next_defined(n, n_end);
        if (m == m_end || n == n_end)
            return m == m_end && n == n_end;
        if (m->key_len != n->key_len || memcmp(m->key, n->key, m->key_len) ||
            !same(&m->value, &n->value, true))
            return false;
    }
}

static size_t count_defined(const struct value *v) {
    size_t n = 0;

    for (VALUE_EACH_MEMBER(m, v))
        n += m->value.type != VALUE_UNDEFINED;
    return n;
}

static bool same_members(const struct value *x, const struct value *y) {
    if (count_defined(x) != count_defined(y))
        return false;
    for (VALUE_EACH_MEMBER(m, x)) {
        const struct value *other = value_find(y, m->key, m->key_len);

        if (m->value.type != VALUE_UNDEFINED &&
            (!other || !same(&m->value, other, false)))
            return false;
    }
    return true;
}

static bool same(const struct value *x, const struct value *y, bool ordered) {
    if (x->type != y->type)
        return false;
    switch ((enum value_type)x->type) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return x->boolean == y->boolean;
    case VALUE_NUMBER:
    case VALUE_DATE:
        return same_number(x->number, y->number);
    case VALUE_STRING:
        return value_string_equal(x, y);
    case VALUE_ARRAY:
        if (x->len != y->len)
            return false;
        for (size_t i = 0; i < x->len; i++)
            if (!same(&x->items[i], &y->items[i], ordered))
                return false;
        return true;
    case VALUE_OBJECT:
        return ordered ? same_ordered(x, y) : same_members(x, y);
    }
    return false;
}

/* ---- one vector ---- */

struct outcome {
    int rc; /* 0 result, -1 error */
    const struct value *result;
    struct status st;
};

static void print_error(struct buf *out, const struct status *st) {
    struct value message = value_string_ref(st->message ? st->message : "",
                                            st->message ? strlen(st->message) : 0);

    buf_addf(out, "{\"kind\":\"membrane\",\"type\":\"%s\",\"message\":",
             st_type_name(st->type));
    value_encode(out, &message, 0);
    buf_addc(out, '}');
}

static void print_outcome(struct buf *out, const struct outcome *o) {
    if (o->rc < 0)
        print_error(out, &o->st);
    else
        print(out, o->result);
}

static void report(const struct value *v, const struct outcome *got, const char *remark) {
    const struct value *expected =
        value_has(v, "error") ? value_get(v, "error") : value_get(v, "result");
    struct buf out = BUF_INIT;

    buf_addf(&out, "%s %s%s\n  args     ", value_get_string(v, "id", "?"),
             value_get_string(v, "fn", "?"), remark);
    value_encode(&out, value_get(v, "args"), 0);
    buf_adds(&out, "\n  expected ");
    value_encode(&out, expected, 0);
    buf_adds(&out, "\n  got      ");
    if (got)
        print_outcome(&out, got);
    for (char *line = strtok(out.data, "\n"); line; line = strtok(NULL, "\n"))
        printf("%.*s%s\n", MAX_SHOWN, line, strlen(line) > MAX_SHOWN ? "..." : "");
    buf_fini(&out);
}

static bool error_agrees(const struct value *expected, const struct status *st) {
    if (!value_equals_text(value_get(expected, "kind"), "membrane"))
        return true;
    return value_equals_text(value_get(expected, "type"), st_type_name(st->type)) &&
           st->message && value_equals_text(value_get(expected, "message"), st->message);
}

static bool agrees(struct arena *a, const struct value *v, const struct outcome *got) {
    if (value_has(v, "error"))
        return got->rc < 0 && error_agrees(value_get(v, "error"), &got->st);
    return got->rc == 0 && same(decode(a, value_get(v, "result")), got->result, true);
}

static bool check_outcome(struct arena *a, const struct value *v,
                          const struct outcome *got) {
    const struct value *expected;

    if (agrees(a, v, got))
        return true;
    expected =
        value_has(v, "error") ? &value_undefined : decode(a, value_get(v, "result"));
    report(v, got,
           !value_has(v, "error") && got->rc == 0 && same(expected, got->result, false)
               ? ": equal but for key order"
               : ": differs");
    return false;
}

static void call(struct arena *a, vector_fn *fn, const struct value *v,
                 struct outcome *ret) {
    ret->result = &value_undefined;
    st_init(&ret->st, a);
    ret->rc = fn(a, decode(a, value_get(v, "args")), &ret->result, &ret->st);
}

static bool check_vector(struct arena *a, const struct value *v) {
    vector_fn *fn = find_adapter(value_get_string(v, "fn", ""));
    struct outcome got;

    if (!fn) {
        report(v, NULL, ": unknown function");
        return false;
    }
    call(a, fn, v, &got);
    return check_outcome(a, v, &got);
}

static bool answer_vector(struct arena *a, const struct value *v) {
    vector_fn *fn = find_adapter(value_get_string(v, "fn", ""));
    struct outcome got = {.rc = -1};
    struct buf out = BUF_INIT;

    st_init(&got.st, a);
    if (fn)
        call(a, fn, v, &got);
    else
        st_fail(&got.st, ST_BAD_REQUEST, NULL, "unknown function");
    buf_adds(&out, "{\"id\":");
    value_encode(&out, value_get(v, "id"), 0);
    buf_adds(&out, got.rc < 0 ? ",\"error\":" : ",\"result\":");
    print_outcome(&out, &got);
    buf_adds(&out, "}\n");
    fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
    buf_fini(&out);
    return true;
}

/* ---- files ---- */

/* Shared between the process that counts and the one that calls. */
struct tally {
    const char *only;
    const char *deviations; /* text of the list, or NULL */
    bool (*each)(struct arena *a, const struct value *v);
    size_t line; /* of the file: the one that is called now */
    size_t passed, failed, deviating;
};

/* Is the id a line of the list? */
static bool deviates(const struct tally *t, const char *id) {
    size_t len = strlen(id);

    for (const char *s = t->deviations; s && len && (s = strstr(s, id)); s += len) {
        if ((s == t->deviations || s[-1] == '\n') && (s[len] == '\n' || !s[len]))
            return true;
    }
    return false;
}

static bool differs_silently(struct arena *a, const struct value *v) {
    vector_fn *fn = find_adapter(value_get_string(v, "fn", ""));
    struct outcome got;

    if (!fn)
        return false;
    call(a, fn, v, &got);
    return !agrees(a, v, &got);
}

static char *read_list(const char *name) {
    FILE *f = fopen(name, "r");
    struct buf b = BUF_INIT;
    char part[4096];
    size_t n;

    if (!f) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        exit(2);
    }
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        buf_add(&b, part, n);
    fclose(f);
    return b.data;
}

static void run_line(struct tally *t, struct arena *a, const char *where,
                     const char *line, size_t len) {
    const struct value_limits limits = {.max_depth = 4000};
    const struct value *v;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, line, len, &limits, &v, &st) < 0) {
        printf("%s: %s\n", where, st.message);
        t->failed++;
        return;
    }
    if (t->only && strcmp(value_get_string(v, "fn", ""), t->only) != 0)
        return;
    if (deviates(t, value_get_string(v, "id", ""))) {
        if (differs_silently(a, v)) {
            t->deviating++;
            return;
        }
        report(v, NULL, ": listed as a deviation, but agrees");
        t->failed++;
    } else if (t->each(a, v)) {
        t->passed++;
    } else {
        t->failed++;
    }
}

/* Calls the lines after the first t->line ones. */
static void run_stream(struct tally *t, FILE *f, const char *name) {
    struct arena *a = arena_new(0);
    size_t cap = 0, skip = t->line;
    char *line = NULL;
    ssize_t len;

    while ((len = getline(&line, &cap, f)) > 0) {
        if (skip > 0) {
            skip--;
            continue;
        }
        t->line++;
        if (line[len - 1] == '\n')
            len--;
        alarm(MAX_SECONDS);
        if (len > 0)
            run_line(t, a, name, line, (size_t)len);
        arena_reset(a);
    }
    alarm(0);
    free(line);
    arena_free(&a);
}

/*
 * Runs a file in a process of its own, so that a crash or a hang is one failed
 * vector: the next process goes on behind it. 0, or 2 when it cannot be read.
 */
static int run_file(struct tally *t, const char *name) {
    int end;

    t->line = 0;
    do {
        pid_t child;
        FILE *f = fopen(name, "r");

        if (!f) {
            fprintf(stderr, "%s: %s\n", name, strerror(errno));
            return 2;
        }
        fflush(stdout);
        child = fork();
        if (child == 0) {
            run_stream(t, f, name);
            fflush(stdout);
            _exit(0);
        }
        fclose(f);
        if (child < 0 || waitpid(child, &end, 0) < 0)
            return 2;
        if (end != 0) {
            printf("%s:%zu: the process ended with %s %d\n", name, t->line,
                   WIFSIGNALED(end) ? "signal" : "status",
                   WIFSIGNALED(end) ? WTERMSIG(end) : WEXITSTATUS(end));
            t->failed++;
        }
    } while (end != 0);
    return 0;
}

static int run_files(const char *only, const char *deviations, char **names) {
    struct tally *t =
        mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (t == MAP_FAILED)
        return 2;
    t->only = only;
    t->deviations = deviations;
    t->each = check_vector;
    for (; *names; names++)
        if (run_file(t, *names) != 0)
            return 2;
    printf("%zu passed, %zu failed", t->passed, t->failed);
    if (t->deviating)
        printf(", %zu deviate as listed", t->deviating);
    printf("\n");
    return t->failed > 0;
}

int main(int argc, char **argv) {
    const char *only = NULL;
    char *deviations = NULL;
    int rc;

    setvbuf(stdout, NULL, _IOLBF, 0); /* a crash must not lose what was found */
    if (argc == 2 && strcmp(argv[1], "--answer") == 0) {
        struct tally t = {.each = answer_vector};

        run_stream(&t, stdin, "stdin");
        return 0;
    }
    argv++;
    while (argv[0] && argv[1]) {
        if (strcmp(argv[0], "--only") == 0)
            only = argv[1];
        else if (strcmp(argv[0], "--deviations") == 0 && !deviations)
            deviations = read_list(argv[1]);
        else
            break;
        argv += 2;
    }
    if (!*argv) {
        fprintf(stderr,
                "usage: run [--only FN] [--deviations LIST] FILE.jsonl ... | --answer\n");
        return 2;
    }
    rc = run_files(only, deviations, argv);
    free(deviations);
    return rc;
}
