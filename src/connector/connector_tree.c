/*
 * connector_tree.c - one pass over the sorted files, then mixins.
 *
 * Each file is routed by its first directory to a reader of that directory (`readers`
 * below); a reader puts what it read into one of the groups of `struct builder`. Groups
 * hold finished objects and are replaced whole when an entry grows: entries are small and
 * trees are read once per upload.
 */
#include "connector_tree.h"

#include <stdbool.h>
#include <string.h>

#include "api_description.h"
#include "base/arena.h"
#include "base/status.h"
#include "connector_function.h"
#include "value/value.h"
#include "yaml/yaml.h"
#include "zip/zip.h"

#define MAX_MIXIN_CHAIN 16

struct builder {
    struct arena *arena;
    struct status *st;
    struct object_builder identity, options;
    struct object_builder operations, data, events, global_webhooks;
    const struct value *udm, *api;
    struct array_builder warnings;
    bool has_readme;
};

typedef int (*reader)(struct builder *b, const struct zip_file *f, const char *rest);

static void warn(struct builder *b, const char *path, const char *why) {
    array_push(&b->warnings, value_stringf(b->arena, "%s: %s", path, why));
}

static bool ends_with(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && strcmp(s + n - m, suffix) == 0;
}

static bool is_yaml_or_json(const char *path) {
    return ends_with(path, ".yml") || ends_with(path, ".yaml") ||
           ends_with(path, ".json");
}

/* YAML 1.2 contains JSON, so one reader serves both. */
static int read_value(struct builder *b, const struct zip_file *f,
                      const struct value **ret) {
    return yaml_parse(b->arena, f->path, f->body.data, f->body.len, NULL, ret, b->st);
}

static int read_object(struct builder *b, const struct zip_file *f,
                       const struct value **ret) {
    if (read_value(b, f, ret) < 0)
        return -1;
    if (value_is(*ret, VALUE_NULL))
        *ret = &value_empty_object;
    if (!value_is_object(*ret))
        return st_fail(b->st, ST_BAD_REQUEST, NULL, "%s:1:1: must be a mapping of keys",
                       f->path);
    return 0;
}

static const struct value *entry(struct object_builder *group, const char *key) {
    const struct value *v = object_builder_get(group, key, strlen(key));

    return v ? v : &value_empty_object;
}

/* group[key][name] = v */
static void put(struct builder *b, struct object_builder *group, const char *key,
                const char *name, const struct value *v) {
    object_set(group, key, value_with(b->arena, entry(group, key), name, v));
}

/* group[key] gets every member of `over`. */
static void put_all(struct builder *b, struct object_builder *group, const char *key,
                    const struct value *over) {
    object_set(group, key, value_merge(b->arena, entry(group, key), over));
}

/* group[key].methods[method] = function */
static void put_method(struct builder *b, struct object_builder *group, const char *key,
                       const char *method, const struct value *function) {
    const struct value *methods = value_get(entry(group, key), "methods");

    put(b, group, key, "methods", value_with(b->arena, methods, method, function));
}

/* Splits "contacts/list.js" into "contacts" and "list.js"; rest NULL when there is no
 * '/'. */
static const char *first_segment(struct builder *b, const char *path, const char **rest) {
    const char *slash = strchr(path, '/');

    *rest = slash ? slash + 1 : NULL;
    return slash ? arena_memdup(b->arena, path, (size_t)(slash - path)) : path;
}

static int read_function(struct builder *b, const struct zip_file *f,
                         const char *file_name, const char **ret_method,
                         const struct value **ret_function) {
    enum function_type type;

    if (!connector_function_file(b->arena, file_name, ret_method, &type))
        return 1;
    return connector_function_read(b->arena, f->path, type, f->body, ret_function, b->st);
}

/* ---- spec.yml ---- */

static void take_auth(struct builder *b, const struct value *auth) {
    for (VALUE_EACH_MEMBER(m, auth)) {
        if (strcmp(m->key, "options") == 0) {
            for (VALUE_EACH_MEMBER(o, &m->value))
                put_all(b, &b->options, o->key, &o->value);
        } else {
            object_set_len(&b->identity, m->key, m->key_len, &m->value);
        }
    }
}

static int read_spec(struct builder *b, const struct zip_file *f, const char *rest) {
    const struct value *spec;

    (void)rest;
    if (read_object(b, f, &spec) < 0)
        return -1;
    for (VALUE_EACH_MEMBER(m, spec)) {
        if (strcmp(m->key, "auth") == 0 || strcmp(m->key, "options") == 0)
            continue;
        if (strcmp(m->key, "api") == 0)
            b->api = value_merge(b->arena, &m->value, b->api);
        else if (strcmp(m->key, "udm") == 0 && value_is_object(&m->value))
            b->udm = value_merge(b->arena, &m->value, b->udm);
        else if (strcmp(m->key, "operations") == 0 && value_is_array(&m->value))
            for (VALUE_EACH_ITEM(op, &m->value)) {
                const char *key = value_get_string(op, "key", NULL);

                if (key)
                    put_all(b, &b->operations, key, op);
            }
        else
            object_set_len(&b->identity, m->key, m->key_len, &m->value);
    }
    take_auth(b, value_get(spec, "auth"));
    for (VALUE_EACH_MEMBER(o, value_get(spec, "options")))
        put_all(b, &b->options, o->key, &o->value);
    return 0;
}

static int read_udm(struct builder *b, const struct zip_file *f, const char *rest) {
    const struct value *udm;

    (void)rest;
    if (read_object(b, f, &udm) < 0)
        return -1;
    b->udm = value_merge(b->arena, b->udm, udm);
    return 0;
}

/* ---- openapi.yml, openapi.json, postman.json ---- */

static int read_api(struct builder *b, const struct zip_file *f, const char *rest) {
    const struct value *doc;
    struct api_description api;

    (void)rest;
    if (read_object(b, f, &doc) < 0)
        return -1;
    if (api_description_read(b->arena, doc, &api, b->st) < 0)
        return st_context(b->st, "%s", f->path);
    for (VALUE_EACH_MEMBER(m, api.operations)) {
        /* An operation written by hand wins over the generated one. */
        put_all(b, &b->operations, m->key,
                value_merge(b->arena, &m->value, entry(&b->operations, m->key)));
    }
    for (VALUE_EACH_ITEM(w, api.warnings))
        warn(b, f->path, value_text(w));
    b->api = value_merge(b->arena, api.info, b->api);
    return 0;
}

/* ---- auth/ ---- */

static int read_auth(struct builder *b, const struct zip_file *f, const char *rest) {
    const char *option = NULL, *file, *method, *next;
    const struct value *function;
    int rc;

    file = first_segment(b, rest, &next);
    if (next && strcmp(file, "options") == 0) { /* auth/options/<key>/<method> */
        rest = next;
        file = first_segment(b, rest, &next);
    }
    if (next) {
        option = file;
        file = next;
    }
    if (strcmp(file, "ui.yml") == 0 || strcmp(file, "spec.yml") == 0) {
        const struct value *v;

        if (read_object(b, f, &v) < 0)
            return -1;
        if (strcmp(file, "ui.yml") == 0)
            v = value_obj(b->arena, "ui", v, NULL);
        if (option)
            put_all(b, &b->options, option, v);
        else
            take_auth(b, v);
        return 0;
    }
    rc = strchr(file, '/') ? 1 : read_function(b, f, file, &method, &function);
    if (rc < 0)
        return -1;
    if (rc == 1 || !connector_is_auth_function(method)) {
        warn(b, f->path, "not an auth function");
        return 0;
    }
    if (option)
        put(b, &b->options, option, method, function);
    else
        object_set(&b->identity, method, function);
    return 0;
}

/* ---- operations/, events/, global-webhooks/ ---- */

/*
 * <key>/spec.yml, <key>/<method>.<suffix>, or one file <key>.<suffix>, whose method is
 * `only_method`; a plain <key>.yml is the spec.
 */
static int read_keyed(struct builder *b, const struct zip_file *f, const char *rest,
                      struct object_builder *group, const char *only_method) {
    const char *file, *key = first_segment(b, rest, &file), *method;
    const struct value *v;
    enum function_type type;
    int rc;

    if (!file) {
        if (!connector_function_file(b->arena, key, &method, &type)) {
            warn(b, f->path, "file name not known");
            return 0;
        }
        key = arena_memdup(b->arena, key, strcspn(key, "."));
        if (type == FUNCTION_MAPPING) {
            if (read_object(b, f, &v) < 0)
                return -1;
            put_all(b, group, key, v);
            return 0;
        }
        if (connector_function_read(b->arena, f->path, type, f->body, &v, b->st) < 0)
            return -1;
        put_method(b, group, key, only_method, v);
        return 0;
    }
    if (strcmp(file, "spec.yml") == 0 || strcmp(file, "spec.yaml") == 0) {
        if (read_object(b, f, &v) < 0)
            return -1;
        put_all(b, group, key, v);
        return 0;
    }
    rc = strchr(file, '/') ? 1 : read_function(b, f, file, &method, &v);
    if (rc < 0)
        return -1;
    if (rc == 1)
        warn(b, f->path, "file name not known");
    else
        put_method(b, group, key, method, v);
    return 0;
}

static int read_operations(struct builder *b, const struct zip_file *f,
                           const char *rest) {
    return read_keyed(b, f, rest, &b->operations, "run");
}

static int read_events(struct builder *b, const struct zip_file *f, const char *rest) {
    return read_keyed(b, f, rest, &b->events, "handle");
}

static int read_global_webhooks(struct builder *b, const struct zip_file *f,
                                const char *rest) {
    return read_keyed(b, f, rest, &b->global_webhooks, "handle");
}

/* ---- data/ ---- */

/* events-created-webhook-handle: events.created["webhook-handle"]; events-x: events.all.
 */
static void put_event_function(struct builder *b, const char *key, const char *stem,
                               const struct value *function) {
    static const char *const types[] = {"created-", "updated-", "deleted-", "all-"};
    const struct value *events = value_get(entry(&b->data, key), "events"), *of_type;
    const char *type = "all", *file_key = stem;

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (strncmp(stem, types[i], strlen(types[i])) == 0) {
            type = arena_memdup(b->arena, types[i], strlen(types[i]) - 1);
            file_key = stem + strlen(types[i]);
        }
    of_type = value_get(events, type);
    of_type =
        value_with(b->arena, of_type, connector_method_key(b->arena, file_key), function);
    put(b, &b->data, key, "events", value_with(b->arena, events, type, of_type));
}

/* events.yml of old connectors: {created: {method: full-scan}} */
static void put_old_events(struct builder *b, const char *key, const struct value *old) {
    const struct value *events = value_get(entry(&b->data, key), "events");

    for (VALUE_EACH_MEMBER(m, old)) {
        const struct value *of_type = value_get(events, m->key);
        const struct value *method = value_get(&m->value, "method");

        of_type = value_merge(b->arena, of_type, &m->value);
        if (value_is_string(method))
            of_type = value_with(b->arena, of_type, "implementationType", method);
        events = value_with(b->arena, events, m->key, of_type);
    }
    put(b, &b->data, key, "events", events);
}

/* udm-extract-contacts.yml: udm.contacts.fieldsFromCollection; -parse-:
 * fieldsToCollection. */
static void put_udm_file(struct builder *b, const char *key, const char *stem,
                         const struct value *mapping) {
    bool extract = strncmp(stem, "udm-extract-", 12) == 0;
    const char *model = stem + (extract ? 12 : 10);
    const struct value *udm = value_get(entry(&b->data, key), "udm");
    const struct value *of_model = value_get(udm, model);

    of_model = value_with(b->arena, of_model, extract ? "extract" : "parse", mapping);
    put(b, &b->data, key, "udm", value_with(b->arena, udm, model, of_model));
}

/* Does what follows the name of a constant make it a function? */
static bool is_function_value(const char *rest, size_t len) {
    const char *is = memchr(rest, '=', len), *end = rest + len;

    if (!is)
        return false;
    for (is++; is < end && *is == ' '; is++)
        ;
    return is < end &&
           (*is == '(' || strncmp(is, "async", 5) == 0 ||
            strncmp(is, "function", 8) == 0 || memmem(is, (size_t)(end - is), "=>", 2));
}

/* The name of the function that a line exports, or NULL. */
static const char *exported_name(struct builder *b, const char *line, size_t len) {
    static const struct {
        const char *text;
        bool constant;
    } heads[] = {{"export async function ", false},
                 {"export function ", false},
                 {"export const ", true}};

    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        size_t n = strlen(heads[i].text), k;

        if (len <= n || strncmp(line, heads[i].text, n) != 0)
            continue;
        k = strspn(line + n, "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$");
        if (k == 0 ||
            (heads[i].constant && !is_function_value(line + n + k, len - n - k)))
            return NULL;
        return arena_memdup(b->arena, line + n, k);
    }
    return NULL;
}

/* Old connectors: one file with a named export for each method of a collection. */
static void put_named_exports(struct builder *b, const char *key,
                              const struct value *function) {
    const char *code = value_get_string(function, "code", ""), *line = code, *end;

    for (; *line; line = *end ? end + 1 : end) {
        const char *name;

        end = line + strcspn(line, "\n");
        name = exported_name(b, line, (size_t)(end - line));
        if (name)
            put_method(
                b, &b->data, key, name,
                value_with(b->arena, function, "entry", value_string(b->arena, name)));
    }
}

static int read_collection_file(struct builder *b, const struct zip_file *f,
                                const char *key, const char *file) {
    const char *stem = arena_memdup(b->arena, file, strcspn(file, "."));
    const char *method;
    const struct value *v;
    int rc;

    if (strcmp(file, "spec.yml") == 0 || strcmp(file, "spec.yaml") == 0) {
        if (read_object(b, f, &v) < 0)
            return -1;
        if (value_equals_text(value_get(v, "type"), "directory"))
            warn(b, f->path, "directories are read as locations of an old connector");
        put_all(b, &b->data, key, v);
        return 0;
    }
    if (strcmp(file, "fields-schema.yml") == 0 || strcmp(file, "events.yml") == 0) {
        if (read_object(b, f, &v) < 0)
            return -1;
        if (*file == 'f')
            put(b, &b->data, key, "fieldsSchema", v);
        else
            put_old_events(b, key, v);
        return 0;
    }
    if (strcmp(file, "locations.yml") == 0) {
        warn(b, f->path, "locations of an old connector are left out");
        return 0;
    }
    rc = read_function(b, f, file, &method, &v);
    if (rc < 0)
        return -1;
    if (rc == 1)
        warn(b, f->path, "file name not known");
    else if (strcmp(stem, "index") == 0 &&
             value_equals_text(value_get(v, "type"), "javascript"))
        put_named_exports(b, key, v);
    else if (strncmp(stem, "udm-extract-", 12) == 0 ||
             strncmp(stem, "udm-parse-", 10) == 0)
        put_udm_file(b, key, stem, value_get(v, "mapping"));
    else if (strncmp(stem, "events-", 7) == 0)
        put_event_function(b, key, stem + 7, v);
    else
        put_method(b, &b->data, key, method, v);
    return 0;
}

static int read_data(struct builder *b, const struct zip_file *f, const char *rest) {
    const char *file, *key = first_segment(b, rest, &file);

    if (!file || strchr(file, '/')) {
        warn(b, f->path, "not a file of a collection");
        return 0;
    }
    return read_collection_file(b, f, key, file);
}

static int read_docs(struct builder *b, const struct zip_file *f, const char *rest) {
    (void)f;
    if (strncasecmp(rest, "readme.", 7) == 0)
        b->has_readme = true;
    return 0;
}

static int skip(struct builder *b, const struct zip_file *f, const char *rest) {
    (void)b;
    (void)f;
    (void)rest;
    return 0;
}

static const struct {
    const char *path; /* a file at the top, or a directory with '/' */
    reader read;
} readers[] = {
    {"auth/", read_auth},
    {"data/", read_data},
    {"docs/", read_docs},
    {"events/", read_events},
    {"global-webhooks/", read_global_webhooks},
    {"operations/", read_operations},
    {"public/", skip},
    {"openapi.yml", read_api},
    {"openapi.yaml", read_api},
    {"openapi.json", read_api},
    {"swagger.json", read_api},
    {"swagger.yml", read_api},
    {"postman.json", read_api},
    {"postman-collection.json", read_api},
    {"spec.yml", read_spec},
    {"spec.yaml", read_spec},
    {"udm.yml", read_udm},
    {"README.md", read_docs},
};

static int read_file(struct builder *b, const struct zip_file *f) {
    for (size_t i = 0; i < sizeof(readers) / sizeof(*readers); i++) {
        const char *path = readers[i].path;
        size_t n = strlen(path);

        if (path[n - 1] == '/' ? strncmp(f->path, path, n) == 0
                               : strcmp(f->path, path) == 0)
            return readers[i].read(b, f, path[n - 1] == '/' ? f->path + n : f->path);
    }
    if (is_yaml_or_json(f->path) || ends_with(f->path, ".js") ||
        ends_with(f->path, ".ts"))
        warn(b, f->path, "not a place where a connector's files are looked for");
    return 0;
}

/* ---- mixins ---- */

/* The functions of a mixin, each marked with where it came from. */
static const struct value *inherited(struct arena *a, const struct value *functions,
                                     const char *from) {
    struct object_builder b;

    object_begin(&b, a, value_members_count(functions));
    for (VALUE_EACH_MEMBER(m, functions)) {
        struct array_builder path;

        array_begin(&path, a, 2);
        array_push(&path, value_string(a, from));
        for (VALUE_EACH_ITEM(p, value_get(&m->value, "inheritedFromPath")))
            array_push(&path, p);
        object_set_ref(&b, m->key, m->key_len,
                       value_with(a, &m->value, "inheritedFromPath", array_end(&path)));
    }
    return object_end(&b);
}

static const char *mixin_key(const struct value *collection) {
    const struct value *extends = value_get(collection, "extends");
    const char *path = value_is_string(extends) ? value_text(extends)
                                                : value_get_string(extends, "path", NULL);

    if (!path)
        return NULL;
    if (strncmp(path, "/data/", 6) == 0)
        return path + 6;
    return strncmp(path, "data/", 5) == 0 ? path + 5 : path;
}

/* A collection with everything that its mixins add; nearest wins. */
static int resolve_mixins(struct builder *b, const struct value *all, const char *key,
                          int depth, const struct value **ret, struct status *st) {
    const struct value *own = value_get(all, key), *base, *methods, *events;
    const char *from = mixin_key(own);

    *ret = own;
    if (!from)
        return 0;
    if (depth == MAX_MIXIN_CHAIN)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "data/%s/spec.yml: `extends` leads back to itself", key);
    if (!value_has(all, from))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "data/%s/spec.yml: `extends` names \"%.100s\", which is not there",
                       key, from);
    if (resolve_mixins(b, all, from, depth + 1, &base, st) < 0)
        return -1;
    methods = value_merge(b->arena, inherited(b->arena, value_get(base, "methods"), from),
                          value_get(own, "methods"));
    events = value_merge(b->arena, value_get(base, "events"), value_get(own, "events"));
    *ret = value_merge(b->arena, base, own);
    *ret = value_with(b->arena, *ret, "methods", methods);
    if (value_members_count(events))
        *ret = value_with(b->arena, *ret, "events", events);
    return 0;
}

static int finish_data(struct builder *b, const struct value **ret) {
    const struct value *all = object_end(&b->data), *one;
    struct object_builder out;

    object_begin(&out, b->arena, all->len);
    for (VALUE_EACH_MEMBER(m, all)) {
        if (m->key[0] == '_')
            continue;
        if (resolve_mixins(b, all, m->key, 0, &one, b->st) < 0)
            return -1;
        one = value_with(b->arena, one, "key", value_string(b->arena, m->key));
        if (!value_is_string(value_get(one, "name")))
            one = value_with(b->arena, one, "name", value_string(b->arena, m->key));
        object_set_ref(&out, m->key, m->key_len, one);
    }
    *ret = object_end(&out);
    return 0;
}

static const struct value *with_keys(struct arena *a, struct object_builder *group) {
    const struct value *all = object_end(group);
    struct object_builder out;

    object_begin(&out, a, all->len);
    for (VALUE_EACH_MEMBER(m, all)) {
        const struct value *one =
            value_with(a, &m->value, "key", value_string(a, m->key));

        if (!value_is_string(value_get(one, "name")))
            one = value_with(a, one, "name", value_string(a, m->key));
        object_set_ref(&out, m->key, m->key_len, one);
    }
    return object_end(&out);
}

int connector_tree_parse(struct arena *a, const struct zip_tree *files,
                         struct connector_tree *ret_tree, struct status *st) {
    struct builder b = {
        .arena = a, .st = st, .udm = &value_empty_object, .api = &value_empty_object};
    const struct value *data, *options;

    object_begin(&b.identity, a, 16);
    object_begin(&b.options, a, 4);
    object_begin(&b.operations, a, 8);
    object_begin(&b.data, a, 8);
    object_begin(&b.events, a, 4);
    object_begin(&b.global_webhooks, a, 2);
    array_begin(&b.warnings, a, 0);
    if (!zip_find(files, "spec.yml") && !zip_find(files, "spec.yaml"))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "the connector has no spec.yml at its top");
    for (size_t i = 0; i < files->len; i++)
        if (read_file(&b, &files->files[i]) < 0)
            return -1;
    if (finish_data(&b, &data) < 0)
        return -1;
    options = object_end(&b.options);
    if (options->len)
        object_set(&b.identity, "options", options);
    ret_tree->identity = object_end(&b.identity);
    ret_tree->contents =
        value_obj(a, "api", b.api, "operations", with_keys(a, &b.operations), "data",
                  data, "events", with_keys(a, &b.events), "globalWebhooks",
                  with_keys(a, &b.global_webhooks), "udm", b.udm, "hasReadme",
                  value_bool(b.has_readme), NULL);
    ret_tree->warnings = array_end(&b.warnings);
    return connector_validate_functions(a, ret_tree->identity, st);
}
