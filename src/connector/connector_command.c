/*
 * connector_command.c - `membrane connector validate|pack|upload DIR`.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/arena.h"
#include "base/status.h"
#include "client/client.h"
#include "connector.h"
#include "connector_tree.h"
#include "value/value.h"
#include "zip/zip.h"

struct work {
    struct arena *arena;
    struct status st;
    const char *dir, *output;
    struct zip_tree files;
    struct connector_tree tree;
};

static int usage(void) {
    fputs("usage: membrane connector validate DIR\n"
          "       membrane connector pack DIR [-o FILE.zip]\n"
          "       membrane connector upload DIR\n",
          stderr);
    return EX_USAGE;
}

static size_t count(const struct value *contents, const char *group) {
    return value_members_count(value_get(contents, group));
}

/* Reads and checks the directory; says on standard error what was left out. */
static int read_tree(struct work *w) {
    if (zip_read_directory(w->arena, w->dir, NULL, &w->files, &w->st) < 0 ||
        connector_tree_parse(w->arena, &w->files, &w->tree, &w->st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(warning, w->tree.warnings))
        fprintf(stderr, "warning: %s\n", value_text(warning));
    return 0;
}

static void print_summary(const struct work *w) {
    const struct value *c = w->tree.contents;

    printf("%s: %zu files, %zu operations, %zu data collections, %zu events\n",
           value_get_string(w->tree.identity, "name", w->dir), w->files.len,
           count(c, "operations"), count(c, "data"), count(c, "events"));
}

static int validate(struct work *w) {
    if (read_tree(w) < 0)
        return -1;
    print_summary(w);
    return 0;
}

static int pack(struct work *w) {
    struct bytes archive;
    FILE *f;

    if (read_tree(w) < 0 || zip_pack(w->arena, &w->files, &archive, &w->st) < 0)
        return -1;
    if (!w->output)
        w->output = arena_printf(w->arena, "%s.zip",
                                 value_get_string(w->tree.identity, "key", "connector"));
    f = fopen(w->output, "wb");
    if (!f || fwrite(archive.data, 1, archive.len, f) != archive.len || fclose(f) != 0)
        return st_fail(&w->st, ST_INTERNAL, NULL, "%s can't be written", w->output);
    print_summary(w);
    printf("wrote %s (%zu bytes)\n", w->output, archive.len);
    return 0;
}

static int upload(struct work *w) {
    const struct value *answer;
    struct bytes archive, body;
    struct client *client;

    if (read_tree(w) < 0 || zip_pack(w->arena, &w->files, &archive, &w->st) < 0 ||
        client_open(w->arena, &client, &w->st) < 0 ||
        client_call_bytes(client, "POST", "/connectors/upload", "application/zip",
                          archive, &body, &w->st) < 0 ||
        value_parse(w->arena, body.data, body.len, NULL, &answer, &w->st) < 0)
        return -1;
    print_summary(w);
    printf("uploaded as %s (id %s)\n", value_get_string(answer, "key", "?"),
           value_get_string(answer, "id", "?"));
    return 0;
}

int connector_command(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(struct work *w);
    } verbs[] = {{"validate", validate}, {"pack", pack}, {"upload", upload}};
    struct work w = {.arena = arena_new(0)};
    int rc = EX_USAGE;

    st_init(&w.st, w.arena);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            w.output = argv[++i];
        else if (argv[i][0] != '-' && !w.dir)
            w.dir = argv[i];
        else
            argc = 0;
    }
    for (size_t i = 0; argc > 1 && w.dir && i < sizeof(verbs) / sizeof(*verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            rc = verbs[i].run(&w) < 0 ? EX_DATAERR : 0;
    if (rc == EX_USAGE)
        usage();
    else if (rc)
        client_print_error("connector", &w.st);
    arena_free(&w.arena);
    return rc;
}
