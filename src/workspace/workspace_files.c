/*
 * workspace_files.c - export objects to YAML files and back.
 */
#include "workspace_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "graph/element_path.h"
#include "model/element.h"
#include "value/value.h"
#include "yaml/yaml.h"
#include "yaml/yaml_dump.h"
#include "zip/zip.h"

/* ---- Reading ---- */

/* Dates of YAML are the text they look like in JSON. */
static int as_json(struct arena *a, const struct value *v, const struct value **ret_value,
                   struct status *st) {
    struct bytes text = value_encode_arena(a, v, VALUE_ENCODE_COMPACT);

    return value_parse(a, text.data, text.len, NULL, ret_value, st);
}

static int read_file(struct arena *a, const struct zip_file *f, const struct value *where,
                     const struct value **ret_doc, struct status *st) {
    const struct value *doc;

    if (yaml_parse(a, f->path, f->body.data, f->body.len, NULL, &doc, st) < 0 ||
        as_json(a, doc, &doc, st) < 0)
        return -1;
    if (!value_is_object(doc))
        return st_fail_data(
            st, ST_BAD_REQUEST, NULL,
            value_obj(st->arena, "file", value_string(st->arena, f->path), NULL),
            "%s: must be an object", f->path);
    if (value_is_nullish(value_get(doc, "key")))
        doc = value_with(a, doc, "key", value_get(where, "key"));
    if (value_has(where, "integrationKey"))
        doc = value_with(a, doc, "integrationKey", value_get(where, "integrationKey"));
    *ret_doc = doc;
    return 0;
}

int workspace_files_read(struct arena *a, const struct zip_tree *tree,
                         const struct value **ret_export, struct status *st) {
    struct array_builder lists[ELEMENT_COUNT];
    struct object_builder out;

    for (int t = 0; t < ELEMENT_COUNT; t++)
        array_begin(&lists[t], a, 0);
    for (size_t i = 0; i < tree->len; i++) {
        const struct zip_file *f = &tree->files[i];
        const struct value *where = element_path_parse(a, value_string(a, f->path));
        const struct value *doc = NULL;
        const struct element_type *t =
            element_type_from_name(value_get_string(where, "type", ""));
        if (!t || !(t->can & EL_WORKSPACE_EXPORT))
            continue;
        if (read_file(a, f, where, &doc, st) < 0)
            return -1;
        array_push(&lists[t->id], doc);
    }
    object_begin(&out, a, ELEMENT_COUNT);
    for (int t = 0; t < ELEMENT_COUNT; t++) {
        const struct value *list = array_end(&lists[t]);
        if (element_type(t)->can & EL_WORKSPACE_EXPORT)
            object_set(&out, element_type(t)->name, list);
    }
    *ret_export = object_end(&out);
    return 0;
}

/* ---- Writing ---- */

static const struct value *integration_keys(struct arena *a,
                                            const struct value *export_object) {
    struct object_builder b;

    object_begin(&b, a, 64);
    for (VALUE_EACH_ITEM(doc, value_get(export_object, "integration"))) {
        const char *uuid = value_get_string(doc, "uuid", NULL);
        if (uuid)
            object_set(&b, uuid, value_get(doc, "key"));
    }
    return object_end(&b);
}

static int by_path(const void *x, const void *y) {
    const struct zip_file *fx = x, *fy = y;

    return strcmp(fx->path, fy->path);
}

int workspace_files_write(struct arena *a, const struct value *export_object,
                          struct zip_tree *ret_tree, struct status *st) {
    const struct value *keys = integration_keys(a, export_object);
    struct buf text = BUF_INIT;
    size_t len = 0, n = 0;
    int rc = 0;

    for (VALUE_EACH_MEMBER(m, export_object))
        len += value_items_count(&m->value);
    struct zip_file *files = arena_alloc(a, (len + 1) * sizeof *files);
    for (VALUE_EACH_MEMBER(m, export_object)) {
        const struct value *type = value_string_len(a, m->key, m->key_len);
        for (VALUE_EACH_ITEM(doc, &m->value)) {
            const char *uuid = value_get_string(doc, "integrationUuid", NULL);
            const struct value *path;
            rc = element_path_make(a, type, value_get(doc, "key"),
                                   uuid ? value_get(keys, uuid) : &value_undefined, &path,
                                   st);
            if (rc < 0)
                goto out;
            buf_clear(&text);
            yaml_dump(&text, doc, 0);
            files[n++] = (struct zip_file){value_text(path), buf_to_arena(&text, a)};
        }
    }
    qsort(files, n, sizeof *files, by_path);
    *ret_tree = (struct zip_tree){files, n};
out:
    buf_fini(&text);
    return rc;
}
