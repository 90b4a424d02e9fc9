#include "config_command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "config.h"
#include "value/value.h"

static int print(struct buf *b) {
    int failed = b->len && fwrite(b->data, 1, b->len, stdout) != b->len;

    buf_fini(b);
    return failed || fflush(stdout) != 0 ? EX_IOERR : 0;
}

static void add_report(struct arena *a, struct buf *b, const struct config_report *r) {
    struct array_builder errors, warnings;

    array_begin(&errors, a, r->errors);
    array_begin(&warnings, a, r->warnings);
    for (const struct config_problem *p = r->first; p; p = p->next)
        array_push(p->severity == CONFIG_ERROR ? &errors : &warnings,
                   value_obj(a, "name", value_string(a, p->name), "code",
                             p->code ? value_string(a, p->code) : NULL, "text",
                             value_string(a, p->text), NULL));
    value_encode(b,
                 value_obj(a, "valid", value_bool(r->errors == 0), "errors",
                           array_end(&errors), "warnings", array_end(&warnings), NULL),
                 VALUE_ENCODE_INDENT_2);
    buf_addc(b, '\n');
}

static int check_or_dump(struct arena *a, bool dump, bool json, unsigned services) {
    struct config_sources src = {.environment = (const char *const *)environ};
    const struct config *c;
    struct config_report report;
    struct buf b = BUF_INIT;
    int status = config_load(a, services, &src, &c, &report) < 0 ? EX_CONFIG : 0;

    if (json)
        add_report(a, &b, &report);
    else
        config_report_print(&report, stderr);
    if (dump)
        config_dump(a, c, &b);
    else if (!json && status == 0)
        buf_adds(&b, "config: no problem found\n");
    return print(&b) ? EX_IOERR : status;
}

static int service_from_name(const char *name) {
    static const struct {
        const char *name;
        int services;
    } rows[] = {
        {"serve", 0},
        {"api", SERVICE_API},
        {"ui", SERVICE_UI},
        {"console", SERVICE_CONSOLE},
        {"code-runner", SERVICE_CODE_RUNNER},
        {"all", SERVICE_ALL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (!strcmp(rows[i].name, name))
            return rows[i].services;
    return -1;
}

int config_command(int argc, char **argv) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"masked", no_argument, NULL, 'm'},
        {"service", required_argument, NULL, 's'},
        {0},
    };
    const char *what;
    struct buf b = BUF_INIT;
    struct arena *a;
    bool json = false;
    int option, services = 0, status;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j')
            json = true;
        else if (option == 's')
            services = service_from_name(optarg);
        else if (option == '?')
            return EX_USAGE;
    }
    what = argv[optind];
    if (!what || argv[optind + 1] || services < 0) {
        fprintf(stderr, "membrane config: one of check, docs, schema, dump is expected; "
                        "services are api, ui, console, code-runner, all\n");
        return EX_USAGE;
    }
    if (!strcmp(what, "docs")) {
        config_docs(&b);
        return print(&b);
    }
    if (!strcmp(what, "schema")) {
        config_schema(&b);
        return print(&b);
    }
    if (strcmp(what, "check") != 0 && strcmp(what, "dump") != 0) {
        fprintf(stderr, "membrane config: no such part: %s\n", what);
        return EX_USAGE;
    }
    a = arena_new(0);
    status = check_or_dump(a, *what == 'd', json, (unsigned)services);
    arena_free(&a);
    return status;
}
