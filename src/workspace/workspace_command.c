/*
 * workspace_command.c - a workspace as a folder, both ways.
 *
 * push reads and checks every file before anything is sent, and the server checks the
 * whole before anything is changed: a bad file changes nothing. pull writes each file by
 * rename, so that an interrupted one leaves whole files.
 */
#include "workspace_command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"
#include "client/client.h"
#include "graph/element_path.h"
#include "value/value.h"
#include "workspace_files.h"
#include "yaml/yaml.h"
#include "zip/zip.h"

struct work {
    const char *command;
    struct arena *arena;
    struct status st;
    const char *dir;
    bool dry_run, partial;
    struct zip_tree files; /* of the folder */
    struct client *client;
};

static int usage(const char *command, bool push) {
    fprintf(stderr, "usage: membrane %s [--dry-run]%s DIR\n", command,
            push ? " [--partial]" : "");
    return EX_USAGE;
}

/* Progress is for people who watch; scripts get the summary alone. Nothing: clears it. */
static void progress(const char *command, const char *what, size_t n) {
    if (!isatty(STDERR_FILENO))
        return;
    fputs("\r\033[K", stderr);
    if (what)
        fprintf(stderr, "%s: %s %zu ...", command, what, n);
    fflush(stderr);
}

/* ---- push ---- */

/* The member that a message begins with: "nodes.a.type: must be ..."; or NULL. */
static const char *member_of_message(struct arena *a, const char *message) {
    size_t n = strcspn(message, ": ");

    return n && message[n] == ':' ? arena_memdup(a, message, n) : NULL;
}

/* One line per bad element: file, line, what is wrong. */
static void print_element_errors(struct work *w, const struct value *errors) {
    for (VALUE_EACH_ITEM(e, errors)) {
        const char *element = value_get_string(e, "element", "");
        const char *message = value_get_string(e, "message", "");
        const char *path = arena_printf(w->arena, "%s/spec.yaml", element);
        const char *member = value_get_string(e, "path", NULL);
        const struct zip_file *f = zip_find(&w->files, path);

        if (!member)
            member = member_of_message(w->arena, message);
        if (f)
            fprintf(stderr, "%s/%s:%zu: %s\n", w->dir, path,
                    member ? yaml_locate(f->body.data, f->body.len, member) : (size_t)1,
                    message);
        else
            fprintf(stderr, "%s: %s\n", element, message);
    }
}

static void print_changes(const struct value *elements) {
    static const struct {
        const char *change, *sign;
    } signs[] = {{"created", "+"}, {"updated", "~"}, {"archived", "-"}};

    for (VALUE_EACH_ITEM(e, elements)) {
        const char *change = value_get_string(e, "change", "");
        const char *integration = value_get_string(e, "integrationKey", NULL);

        for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
            if (strcmp(signs[i].change, change) == 0)
                printf("%s %s %s%s%s\n", signs[i].sign, value_get_string(e, "type", ""),
                       integration ? integration : "", integration ? "/" : "",
                       value_get_string(e, "key", ""));
    }
}

static int push(struct work *w) {
    const struct value *bundle, *result;
    const char *path;
    size_t count = 0;

    if (zip_read_directory(w->arena, w->dir, NULL, &w->files, &w->st) < 0 ||
        workspace_files_read(w->arena, &w->files, &bundle, &w->st) < 0)
        return -1;
    for (VALUE_EACH_MEMBER(m, bundle))
        count += value_items_count(&m->value);
    if (count == 0)
        return st_fail(&w->st, ST_BAD_REQUEST, NULL,
                       "%s holds no element (<type>/<key>/spec.yaml)", w->dir);
    if (client_open(w->arena, &w->client, &w->st) < 0)
        return -1;
    path = arena_printf(w->arena, "/import?dryRun=%s&partial=%s",
                        w->dry_run ? "true" : "false", w->partial ? "true" : "false");
    progress(w->command, "sending elements", count);
    if (client_call(w->client, "POST", path, bundle, &result, &w->st) < 0) {
        progress(w->command, NULL, 0);
        return -1;
    }
    progress(w->command, NULL, 0);
    if (w->dry_run)
        print_changes(value_get(result, "elements"));
    printf("%.0f created, %.0f updated, %.0f archived, %.0f unchanged\n",
           value_get_number(result, "created", 0), value_get_number(result, "updated", 0),
           value_get_number(result, "archived", 0),
           value_get_number(result, "unchanged", 0));
    return 0;
}

/* ---- pull ---- */

static int make_directories(struct work *w, char *path) {
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(path, 0777) < 0 && errno != EEXIST) {
            st_fail(&w->st, ST_INTERNAL, NULL, "%s: %s", path, strerror(errno));
            *p = '/';
            return -1;
        }
        *p = '/';
    }
    return 0;
}

static int write_file(struct work *w, const struct zip_file *f) {
    char *path = arena_printf(w->arena, "%s/%s", w->dir, f->path);
    const char *tmp = arena_printf(w->arena, "%s.tmp", path);
    FILE *out;
    bool ok;

    if (make_directories(w, path) < 0)
        return -1;
    out = fopen(tmp, "wb");
    if (!out)
        return st_fail(&w->st, ST_INTERNAL, NULL, "%s: %s", tmp, strerror(errno));
    ok = fwrite(f->body.data, 1, f->body.len, out) == f->body.len;
    if (fclose(out) != 0 || !ok || rename(tmp, path) < 0) {
        st_fail(&w->st, ST_INTERNAL, NULL, "%s: %s", path, strerror(errno));
        unlink(tmp);
        return -1;
    }
    return 0;
}

/* Files of elements that the workspace does not have; other files are not ours. */
static bool is_element_file(struct work *w, const char *path) {
    return value_is_object(element_path_parse(w->arena, value_string(w->arena, path)));
}

static void remove_file(struct work *w, const struct zip_file *f) {
    char *path = arena_printf(w->arena, "%s/%s", w->dir, f->path);

    unlink(path);
    for (char *slash;
         (slash = strrchr(path, '/')) && (size_t)(slash - path) > strlen(w->dir);) {
        *slash = '\0';
        if (rmdir(path) < 0)
            break; /* not empty */
    }
}

static int pull(struct work *w) {
    size_t created = 0, updated = 0, archived = 0, unchanged = 0;
    const struct value *bundle;
    struct zip_tree tree;

    if (access(w->dir, F_OK) == 0 &&
        zip_read_directory(w->arena, w->dir, NULL, &w->files, &w->st) < 0)
        return -1;
    if (client_open(w->arena, &w->client, &w->st) < 0 ||
        client_call(w->client, "GET", "/export", NULL, &bundle, &w->st) < 0 ||
        workspace_files_write(w->arena, bundle, &tree, &w->st) < 0)
        return -1;
    for (size_t i = 0; i < tree.len; i++) {
        const struct zip_file *f = &tree.files[i], *old = zip_find(&w->files, f->path);

        if (!zip_path_valid(f->path))
            return st_fail(
                &w->st, ST_BAD_REQUEST, NULL,
                "the workspace holds a key that can't be a file's name: %.200s", f->path);
        if (old && old->body.len == f->body.len &&
            memcmp(old->body.data, f->body.data, f->body.len) == 0) {
            unchanged++;
            continue;
        }
        if (w->dry_run)
            printf("%s %s\n", old ? "~" : "+", f->path);
        else if (write_file(w, f) < 0)
            return -1;
        *(old ? &updated : &created) += 1;
        if (i % 50 == 0)
            progress(w->command, "files", i);
    }
    progress(w->command, NULL, 0);
    for (size_t i = 0; i < w->files.len; i++) {
        const struct zip_file *f = &w->files.files[i];

        if (zip_find(&tree, f->path) || !is_element_file(w, f->path))
            continue;
        archived++;
        if (w->dry_run)
            printf("- %s\n", f->path);
        else
            remove_file(w, f);
    }
    printf("%zu created, %zu updated, %zu archived, %zu unchanged\n", created, updated,
           archived, unchanged);
    return 0;
}

/* ---- both ---- */

static int run(int argc, char **argv, bool is_push) {
    struct work w = {.command = argv[0], .arena = arena_new(1 << 20)};
    int rc;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dry-run") == 0)
            w.dry_run = true;
        else if (is_push && strcmp(argv[i], "--partial") == 0)
            w.partial = true;
        else if (argv[i][0] != '-' && !w.dir)
            w.dir = argv[i];
        else
            argc = 0;
    }
    if (!argc || !w.dir) {
        arena_free(&w.arena);
        return usage(argv[0], is_push);
    }
    while (strlen(w.dir) > 1 && w.dir[strlen(w.dir) - 1] == '/')
        w.dir = arena_memdup(w.arena, w.dir, strlen(w.dir) - 1);
    st_init(&w.st, w.arena);
    rc = is_push ? push(&w) : pull(&w);
    if (rc < 0) {
        client_print_error(argv[0], &w.st);
        if (w.st.data)
            print_element_errors(&w, value_get(w.st.data, "errors"));
    }
    rc = rc == 0 ? 0 : w.st.type == ST_CONFIGURATION ? EX_CONFIG : EX_DATAERR;
    arena_free(&w.arena);
    return rc;
}

int push_command(int argc, char **argv) {
    return run(argc, argv, true);
}

int pull_command(int argc, char **argv) {
    return run(argc, argv, false);
}
