/*
 * A text of files, "=path" lines each followed by the file's text, as a connector's tree:
 * it reads, or the error says what is wrong; what it reads can be printed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "connector/connector_tree.h"
#include "value/value.h"
#include "zip/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_FILES = 64 };

static int by_path(const void *x, const void *y) {
    return strcmp(((const struct zip_file *)x)->path, ((const struct zip_file *)y)->path);
}

/* As unpacking promises: valid paths, each once, sorted. */
static void read_files(struct arena *a, const char *s, size_t len, struct zip_tree *t) {
    const char *end = s + len;

    while (s < end && *s == '=' && t->len < MAX_FILES) {
        const char *line = memchr(s, '\n', (size_t)(end - s)), *next;
        struct zip_file f;

        if (!line)
            break;
        f.path = arena_memdup(a, s + 1, (size_t)(line - s - 1));
        for (next = line + 1; next < end && !(*next == '=' && next[-1] == '\n'); next++)
            ;
        f.body = (struct bytes){arena_memdup(a, line + 1, (size_t)(next - line - 1)),
                                (size_t)(next - line - 1)};
        s = next;
        if (strlen(f.path) > 0 && zip_path_valid(f.path) && !zip_find(t, f.path)) {
            t->files[t->len++] = f;
            qsort(t->files, t->len, sizeof(*t->files), by_path);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new(0);
    struct zip_tree tree = {arena_alloc(a, MAX_FILES * sizeof(struct zip_file)), 0};
    struct connector_tree parsed;
    struct status st;

    st_init(&st, a);
    read_files(a, (const char *)data, size, &tree);
    if (connector_tree_parse(a, &tree, &parsed, &st) == 0) {
        value_encode_arena(a, parsed.identity, 0);
        value_encode_arena(a, parsed.contents, 0);
        value_encode_arena(a, parsed.warnings, 0);
    } else if (!st.message) {
        abort();
    }
    arena_free(&a);
    return 0;
}
