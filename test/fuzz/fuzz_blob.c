/*
 * What clouds answer (XML) and what operators write (Azure's connection strings): the
 * first byte chooses.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "blob/blob_xml.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every text is there, and none of ours holds markup once it is escaped. */
static void walk(const struct xml_node *n, struct buf *b) {
    for (; n; n = n->next) {
        size_t before = b->len;

        xml_escape(b, n->text);
        if (b->len > before && strpbrk(b->data + before, "<>\""))
            abort();
        if (xml_child(n, n->name) && !xml_text(n, n->name))
            abort();
        walk(n->first, b);
    }
}

static void fuzz_xml(struct arena *a, struct bytes text) {
    const struct xml_node *root;
    struct buf b = BUF_INIT;
    struct status st;

    st_init(&st, a);
    if (xml_parse(a, text, &root, &st) == 0)
        walk(root, &b);
    else if (!st.message)
        abort();
    buf_fini(&b);
}

static void fuzz_connection_string(struct arena *a, struct bytes text) {
    struct config config = {.storage_provider = "abs",
                            .base_uri = "https://api.example.com",
                            .base_static_uri = "https://static.example.com",
                            .secret = "secret",
                            .tmp_storage_bucket = "tmp",
                            .azure_storage_connection_string =
                                arena_memdup(a, text.data, text.len)};
    struct blob_cloud_options o = {
        .config = &config, .clock = clock_system(), .rand = rand_system()};
    struct blob *b = NULL;
    struct status st;
    const char *url;

    st_init(&st, a);
    if (blob_open_cloud(&o, &b, &st) < 0)
        return;
    blob_url(b, a, BLOB_TMP, "a/b", 60, &url, &st);
    blob_close(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a;

    if (size < 1 || size > 100000)
        return 0;
    a = arena_new(0);
    if (data[0] == 'x')
        fuzz_xml(a, (struct bytes){(const char *)data + 1, size - 1});
    else if (!memchr(data + 1, 0, size - 1))
        fuzz_connection_string(a, (struct bytes){(const char *)data + 1, size - 1});
    arena_free(&a);
    return 0;
}
