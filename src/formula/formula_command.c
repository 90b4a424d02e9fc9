/*
 * formula_command.c - evaluating a value with formulas from the command line.
 *
 * The result goes to standard output as JSON, the steps of --explain to standard
 * error, so that the result can be piped on.
 */
#include "formula_command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "formula.h"
#include "value/value.h"

enum { MAX_INPUT_BYTES = 256 << 20, MAX_SHOWN = 400 };

enum form { FORM_RESOLVE, FORM_BUILD, FORM_DATA };

struct options {
    const char *value_file, *value_text, *variables_file, *schema_file;
    enum form form;
    bool explain;
};

static int usage(const char *problem, const char *what) {
    fprintf(stderr, "membrane formula: %s%s; `membrane formula --help` tells more\n",
            problem, what);
    return EX_USAGE;
}

/* 0, or the exit status after a message. */
static int parse_options(int argc, char **argv, struct options *o) {
    for (int i = 2; i < argc; i++) {
        const char *s = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        const char **takes = !strcmp(s, "--variables") || !strcmp(s, "-v")
                                 ? &o->variables_file
                             : !strcmp(s, "--value") || !strcmp(s, "-e") ? &o->value_text
                             : !strcmp(s, "--schema")                    ? &o->schema_file
                                                                         : NULL;

        if (takes && !next)
            return usage("an argument is missing after ", s);
        if (takes)
            *takes = argv[++i];
        else if (!strcmp(s, "--build"))
            o->form = FORM_BUILD;
        else if (!strcmp(s, "--data"))
            o->form = FORM_DATA;
        else if (!strcmp(s, "--explain"))
            o->explain = true;
        else if (s[0] == '-' && s[1])
            return usage("unknown option ", s);
        else if (o->value_file)
            return usage("more than one value: ", s);
        else
            o->value_file = s;
    }
    if (o->value_file && o->value_text)
        return usage("a value is given twice: ", o->value_file);
    return 0;
}

/* Reads a file ("-": standard input) into b. */
static int read_file(const char *name, struct buf *b) {
    FILE *f = strcmp(name, "-") ? fopen(name, "r") : stdin;
    size_t n;

    if (!f) {
        fprintf(stderr, "membrane formula: %s: %s\n", name, strerror(errno));
        return EX_NOINPUT;
    }
    do {
        n = fread(buf_reserve(b, 65536), 1, 65536, f);
        b->len += n;
    } while (n > 0 && b->len <= MAX_INPUT_BYTES);
    if (f != stdin)
        fclose(f);
    if (b->len > MAX_INPUT_BYTES) {
        fprintf(stderr, "membrane formula: %s: too large\n", name);
        return EX_DATAERR;
    }
    return 0;
}

static int parse_text(struct arena *a, const char *name, const char *text, size_t len,
                      const struct value **ret) {
    struct status st;

    st_init(&st, a);
    if (value_parse(a, text, len, NULL, ret, &st) == 0)
        return 0;
    fprintf(stderr, "membrane formula: %s: %s\n", name, st.message);
    return EX_DATAERR;
}

/* Reads JSON from a file; NULL leaves *ret alone. */
static int read_json(struct arena *a, const char *name, const struct value **ret) {
    struct buf b = BUF_INIT;
    int rc;

    if (!name)
        return 0;
    rc = read_file(name, &b);
    if (rc == 0)
        rc = parse_text(a, name, b.data ? b.data : "", b.len, ret);
    buf_fini(&b);
    return rc;
}

static void print_json(FILE *f, const struct value *v, size_t most) {
    struct buf b = BUF_INIT;

    value_encode(&b, v, most ? 0 : VALUE_ENCODE_INDENT_2);
    if (b.len == 0)
        buf_adds(&b, "undefined");
    if (most && b.len > most)
        fprintf(f, "%.*s...", (int)most, b.data);
    else
        fwrite(b.data, 1, b.len, f);
    buf_fini(&b);
}

static void print_step(void *ctx, const char *place, const struct value *formula,
                       const struct value *result) {
    int *step = ctx;

    fprintf(stderr, "%4d  %s\n      ", ++*step, place);
    print_json(stderr, formula, MAX_SHOWN);
    fprintf(stderr, "\n      = ");
    print_json(stderr, result, MAX_SHOWN);
    fprintf(stderr, "\n");
}

static int evaluate(struct arena *a, const struct options *o, const struct value *v,
                    const struct value *variables, const struct value *schema) {
    int step = 0;
    const struct formula_run run = {.variables = variables,
                                    .schema = schema,
                                    .trace = o->explain ? print_step : NULL,
                                    .trace_ctx = &step};
    const struct value *result;
    const struct formula *f;
    struct status st;
    int rc;

    st_init(&st, a);
    rc = formula_compile(a, v, &f, &st);
    if (rc == 0)
        rc = o->form == FORM_BUILD  ? formula_build(f, a, &run, &result, &st)
             : o->form == FORM_DATA ? formula_build_data(f, a, &run, &result, &st)
                                    : formula_resolve(f, a, &run, &result, &st);
    if (rc < 0) {
        fprintf(stderr, "membrane formula: %s: %s\n", st_type_name(st.type), st.message);
        return EX_DATAERR;
    }
    print_json(stdout, result, 0);
    printf("\n");
    return 0;
}

int formula_command(int argc, char **argv) {
    struct options o = {.form = FORM_RESOLVE};
    const struct value *v, *variables = &value_undefined, *schema = &value_undefined;
    struct arena *a;
    int rc;

    if (argc < 2 || strcmp(argv[1], "eval") != 0)
        return usage("what to do is missing: eval", "");
    rc = parse_options(argc, argv, &o);
    if (rc)
        return rc;
    a = arena_new(0);
    if (o.value_text)
        rc = parse_text(a, "--value", o.value_text, strlen(o.value_text), &v);
    else
        rc = read_json(a, o.value_file ? o.value_file : "-", &v);
    if (!rc)
        rc = read_json(a, o.variables_file, &variables);
    if (!rc)
        rc = read_json(a, o.schema_file, &schema);
    if (!rc)
        rc = evaluate(a, &o, v, variables, schema);
    arena_free(&a);
    return rc;
}
