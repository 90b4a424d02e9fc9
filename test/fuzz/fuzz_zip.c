/*
 * Bytes as an archive: what is unpacked stays within the bounds and below the tree, and
 * packs and unpacks again. The tree is then read as a connector.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "connector/connector_tree.h"
#include "zip/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct zip_limits limits = {.max_files = 100, .max_bytes = 1 << 20};

static void check(const struct zip_tree *t) {
    size_t total = 0;

    if (t->len > limits.max_files)
        abort();
    for (size_t i = 0; i < t->len; i++) {
        total += t->files[i].body.len;
        if (!zip_path_valid(t->files[i].path) ||
            zip_find(t, t->files[i].path) != &t->files[i])
            abort();
    }
    if (total > limits.max_bytes)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new(0);
    struct bytes packed;
    struct zip_tree tree, again;
    struct status st;

    st_init(&st, a);
    if (zip_unpack(a, (struct bytes){(const char *)data, size}, "spec.yml", &limits,
                   &tree, &st) == 0) {
        struct connector_tree parsed;

        check(&tree);
        if (tree.len > 0 && (zip_pack(a, &tree, &packed, &st) < 0 ||
                             zip_unpack(a, packed, NULL, &limits, &again, &st) < 0 ||
                             again.len > tree.len))
            abort(); /* fewer: a folder of macOS that came to the top is left out */
        connector_tree_parse(a, &tree, &parsed, &st);
    }
    arena_free(&a);
    return 0;
}
