/*
 * connector.c - finding, changing, uploading and publishing connectors.
 */
#include "connector.h"

#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "connector_function.h"
#include "connector_priv.h"
#include "connector_tree.h"
#include "deps/deps.h"
#include "store/store.h"
#include "value/value.h"
#include "zip/zip.h"

#define MAX_ARCHIVE_BYTES ((size_t)100 * 1024 * 1024)

/* What a request or a spec.yml may set besides the auth functions. */
static const char *const writable[] = {"name",
                                       "key",
                                       "uuid",
                                       "logoUri",
                                       "categories",
                                       "externalAppId",
                                       "externalAppUuid",
                                       "appUuid",
                                       "popularity",
                                       "type",
                                       "title",
                                       "description",
                                       "inputSchema",
                                       "parametersSchema",
                                       "credentialsSchema",
                                       "customCredentialsSchema",
                                       "proxyKey",
                                       "ui",
                                       "options",
                                       "meta",
                                       NULL};

/* What belongs to a version rather than to the identity. */
static const char *const of_version[] = {"type",
                                         "title",
                                         "description",
                                         "inputSchema",
                                         "parametersSchema",
                                         "credentialsSchema",
                                         "customCredentialsSchema",
                                         "proxyKey",
                                         "ui",
                                         "options",
                                         "dataCollectionsCount",
                                         "operationsCount",
                                         "eventsCount",
                                         "udms",
                                         "hasTest",
                                         "hasAuthTest",
                                         "hasOperations",
                                         "hasData",
                                         "hasEvents",
                                         "hasGlobalWebhooks",
                                         "hasUdm",
                                         "hasReadme",
                                         "contentsKey",
                                         "archiveKey",
                                         NULL};

static bool is_listed(const char *const *list, const char *key) {
    for (; *list; list++)
        if (strcmp(*list, key) == 0)
            return true;
    return false;
}

static bool is_writable(const char *key) {
    return is_listed(writable, key) || connector_is_auth_function(key);
}

static bool is_of_version(const char *key) {
    return is_listed(of_version, key) || connector_is_auth_function(key);
}

/* ---- finding ---- */

static bool is_id(const char *s) {
    return strlen(s) == 24 && strspn(s, "0123456789abcdef") == 24;
}

int connector_find(const struct deps *deps, struct arena *a, const char *workspace_id,
                   const char *selector, const struct value **ret_doc,
                   struct status *st) {
    const struct store_filter *mine = store_eq_text(a, "workspaceId", workspace_id);
    const struct store_filter *named;
    struct store_query q = {.sort = {{"archivedAt", false}, {"createdAt", true}},
                            .limit = 1};
    int rc;

    if (is_id(selector)) {
        rc = store_get(deps->store, a, C_CONNECTORS, selector, ret_doc, st);
        if (rc < 0)
            return -1;
        if (rc == 0 &&
            value_equals_text(value_get(*ret_doc, "workspaceId"), workspace_id))
            return 0;
    }
    named = store_or(a, store_eq_text(a, "key", selector),
                     store_eq_text(a, "uuid", selector), NULL);
    q.where = store_and(a, mine, named, NULL);
    return store_find(deps->store, a, C_CONNECTORS, &q, ret_doc, st);
}

static int find_version(const struct deps *deps, struct arena *a, const struct value *doc,
                        const char *version, const struct value **ret,
                        struct status *st) {
    struct store_query q = {.limit = 1};

    q.where = store_and(a, store_eq(a, "connectorId", value_get(doc, "id")),
                        store_eq_text(a, "version", version), NULL);
    return store_find(deps->store, a, C_CONNECTOR_VERSIONS, &q, ret, st);
}

/* The identity without the development version's members, the published ones on top. */
static const struct value *with_version(struct arena *a, const struct value *doc,
                                        const struct value *version) {
    struct object_builder b;

    object_begin(&b, a, 32);
    for (VALUE_EACH_MEMBER(m, doc))
        if (!is_of_version(m->key))
            object_set_ref(&b, m->key, m->key_len, &m->value);
    for (VALUE_EACH_MEMBER(m, version))
        if (is_of_version(m->key) || strcmp(m->key, "version") == 0 ||
            strcmp(m->key, "revision") == 0)
            object_set_ref(&b, m->key, m->key_len, &m->value);
    object_set_bool(&b, "isReadOnly", true);
    return object_end(&b);
}

int connector_load(const struct deps *deps, struct arena *a, const char *workspace_id,
                   const char *selector, const char *version, struct connector *ret,
                   struct status *st) {
    const struct value *doc, *published;
    const char *key;
    int rc = connector_find(deps, a, workspace_id, selector, &doc, st);

    if (rc < 0)
        return -1;
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "Connector \"%.100s\" not found",
                       selector);
    if (!version || !*version || strcmp(version, "latest") == 0)
        version = value_get_string(doc, "latestVersion", "dev");
    if (strcmp(version, "dev") != 0 && strcmp(version, "development") != 0) {
        rc = find_version(deps, a, doc, version, &published, st);
        if (rc < 0)
            return -1;
        if (rc == 1)
            return st_fail(st, ST_BAD_REQUEST, "not_found",
                           "Connector \"%.100s\" has no version \"%.40s\"", selector,
                           version);
        doc = with_version(a, doc, published);
    } else {
        version = "dev";
    }
    ret->doc = doc;
    ret->version = version;
    key = value_get_string(doc, "contentsKey", NULL);
    if (key)
        return connector_contents(deps, a, key, &ret->contents, st);
    ret->contents = connector_empty_contents(a);
    return 0;
}

/* ---- options ---- */

/* Properties of both, the option's on top; what either requires is required. */
static const struct value *merged_schema(struct arena *a, const struct value *below,
                                         const struct value *above) {
    struct object_builder required;
    struct array_builder list;
    const struct value *merged, *names;

    if (!value_is_object(below) || !value_is_object(above))
        return value_is_object(above) ? above : below;
    merged = value_merge(a, below, above);
    merged = value_with(
        a, merged, "properties",
        value_merge(a, value_get(below, "properties"), value_get(above, "properties")));
    object_begin(&required, a, 4);
    for (VALUE_EACH_ITEM(i, value_get(below, "required")))
        if (value_is_string(i))
            object_set_ref(&required, i->str, i->len, &value_true);
    for (VALUE_EACH_ITEM(i, value_get(above, "required")))
        if (value_is_string(i))
            object_set_ref(&required, i->str, i->len, &value_true);
    names = object_end(&required);
    if (!names->len)
        return merged;
    array_begin(&list, a, names->len);
    for (VALUE_EACH_MEMBER(m, names))
        array_push(&list, value_string_len(a, m->key, m->key_len));
    return value_with(a, merged, "required", array_end(&list));
}

const struct value *connector_option(struct arena *a, const struct value *doc,
                                     const char *key) {
    static const char *const schemas[] = {"inputSchema", "parametersSchema",
                                          "credentialsSchema"};
    static const char *const fall_back[] = {"makeApiClient", "test", "disconnect"};
    const struct value *option;
    struct object_builder b;

    if (!key || !*key)
        return doc;
    option = value_find(value_get(doc, "options"), key, strlen(key));
    if (!option || !value_is_object(option))
        return NULL;
    object_begin(&b, a, 16);
    object_set_all(&b, option);
    for (size_t i = 0; i < sizeof(schemas) / sizeof(*schemas); i++) {
        const struct value *s =
            merged_schema(a, value_get(doc, schemas[i]), value_get(option, schemas[i]));

        if (value_is_object(s))
            object_set(&b, schemas[i], s);
    }
    for (size_t i = 0; i < sizeof(fall_back) / sizeof(*fall_back); i++)
        if (value_is_nullish(value_get(option, fall_back[i])) &&
            value_has(doc, fall_back[i]))
            object_set(&b, fall_back[i], value_get(doc, fall_back[i]));
    return object_end(&b);
}

/* ---- counts ---- */

const struct value *connector_empty_contents(struct arena *a) {
    return value_obj(a, "api", &value_empty_object, "operations", &value_empty_object,
                     "data", &value_empty_object, "events", &value_empty_object,
                     "globalWebhooks", &value_empty_object, "udm", &value_empty_object,
                     "hasReadme", &value_false, NULL);
}

static const struct value *udm_names(struct arena *a, const struct value *contents) {
    struct object_builder names;
    struct array_builder list;
    const struct value *all;

    object_begin(&names, a, 4);
    for (VALUE_EACH_MEMBER(m, value_get(contents, "udm")))
        object_set_len(&names, m->key, m->key_len, &value_true);
    for (VALUE_EACH_MEMBER(c, value_get(contents, "data")))
        for (VALUE_EACH_MEMBER(m, value_get(&c->value, "udm")))
            object_set_len(&names, m->key, m->key_len, &value_true);
    all = object_end(&names);
    array_begin(&list, a, all->len);
    for (VALUE_EACH_MEMBER(m, all))
        array_push(&list, value_string_len(a, m->key, m->key_len));
    return array_end(&list);
}

static bool has_test(const struct value *identity) {
    if (value_is_object(value_get(identity, "test")))
        return true;
    for (VALUE_EACH_MEMBER(o, value_get(identity, "options")))
        if (value_is_object(value_get(&o->value, "test")))
            return true;
    return false;
}

const struct value *connector_counts(struct arena *a, const struct value *identity,
                                     const struct value *contents) {
    size_t data = value_members_count(value_get(contents, "data"));
    size_t operations = value_members_count(value_get(contents, "operations"));
    size_t events = value_members_count(value_get(contents, "events"));
    const struct value *test = value_bool(has_test(identity));

    return value_obj(
        a, "dataCollectionsCount", value_number(a, (double)data), "operationsCount",
        value_number(a, (double)operations), "eventsCount",
        value_number(a, (double)events), "udms", udm_names(a, contents), "hasTest", test,
        "hasAuthTest", test, "hasOperations", value_bool(operations > 0), "hasData",
        value_bool(data > 0), "hasEvents", value_bool(events > 0), "hasGlobalWebhooks",
        value_bool(value_members_count(value_get(contents, "globalWebhooks")) > 0),
        "hasUdm", value_bool(value_members_count(value_get(contents, "udm")) > 0),
        "hasReadme", value_get(contents, "hasReadme"), NULL);
}

/* ---- writing ---- */

/* "Northwind CRM" is "northwind-crm". */
static const char *key_from_name(struct arena *a, const char *name) {
    struct buf b = BUF_INIT;
    const char *key;

    for (const char *p = name; *p && b.len < 100; p++) {
        unsigned char c = (unsigned char)*p;

        if (isalnum(c) || c >= 0x80)
            buf_addc(&b, (char)tolower(c));
        else if (b.len && b.data[b.len - 1] != '-')
            buf_addc(&b, '-');
    }
    while (b.len && b.data[b.len - 1] == '-')
        b.len--;
    key = b.len ? arena_memdup(a, b.data, b.len) : "connector";
    buf_fini(&b);
    return key;
}

static int wrong(struct arena *a, struct status *st, const char *path, const char *what) {
    return st_fail_data(st, ST_BAD_REQUEST, NULL,
                        value_obj(a, "path", value_string(a, path), NULL), "\"%s\" %s",
                        path, what);
}

static int check_body(struct arena *a, const struct value *body, struct status *st) {
    static const char *const texts[] = {"name",    "key",  "uuid",
                                        "logoUri", "type", "proxyKey"};
    static const char *const objects[] = {"inputSchema",       "parametersSchema",
                                          "credentialsSchema", "customCredentialsSchema",
                                          "options",           "meta"};
    static const char *const types[] = {
        "integration-app-token", "membrane-token", "oauth2", "oauth1",
        "client-credentials",    "proxy",          NULL};
    const struct value *v = value_get(body, "type");

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if (!value_is_nullish(value_get(body, texts[i])) &&
            !value_is_string(value_get(body, texts[i])))
            return wrong(a, st, texts[i], "must be text");
    for (size_t i = 0; i < sizeof(objects) / sizeof(*objects); i++)
        if (!value_is_nullish(value_get(body, objects[i])) &&
            !value_is_object(value_get(body, objects[i])))
            return wrong(a, st, objects[i], "must be an object");
    if (value_is_string(v) && !is_listed(types, v->str))
        return wrong(a, st, "type", "is not a known auth type");
    v = value_get(body, "key");
    if (value_is_string(v) && (v->len == 0 || v->len > 200))
        return wrong(a, st, "key", "must have 1 to 200 characters");
    return connector_validate_functions(a, body, st);
}

static const struct value *take_writable(struct arena *a, const struct value *body) {
    struct object_builder b;

    object_begin(&b, a, 16);
    for (VALUE_EACH_MEMBER(m, body))
        if (is_writable(m->key) && !value_is(&m->value, VALUE_NULL))
            object_set_ref(&b, m->key, m->key_len, &m->value);
    return object_end(&b);
}

static void stamp(const struct deps *deps, struct arena *a, struct object_builder *b) {
    object_set_string(b, "revision", uuid_new(deps->rand, a));
    object_set_string(b, "updatedAt", clock_iso_now(deps->clock, a));
}

int connector_create(const struct deps *deps, struct arena *a, const char *workspace_id,
                     const struct value *body, const struct value **ret_doc,
                     struct status *st) {
    const char *name = value_get_string(body, "name", NULL);
    struct object_builder b;

    if (!name || !*name)
        return wrong(a, st, "name", "is required");
    if (check_body(a, body, st) < 0)
        return -1;
    object_begin(&b, a, 32);
    object_set_string(&b, "id", id_new(deps->clock, deps->rand, a));
    object_set_string(&b, "workspaceId", workspace_id);
    object_set_string(&b, "uuid", uuid_new(deps->rand, a));
    object_set_string(&b, "key", key_from_name(a, name));
    object_set_string(&b, "name", name);
    object_set_string(&b, "logoUri", "");
    object_set_bool(&b, "isPublic", false);
    object_set_string(&b, "version", "dev");
    object_set_string(&b, "createdAt", clock_iso_now(deps->clock, a));
    object_set_all(&b, connector_counts(a, body, connector_empty_contents(a)));
    object_set_all(&b, take_writable(a, body));
    stamp(deps, a, &b);
    *ret_doc = object_end(&b);
    return store_insert(deps->store, C_CONNECTORS, *ret_doc, st);
}

/* Replaces a connector under its revision: a concurrent change is an error, not a loss.
 */
static int replace(const struct deps *deps, struct arena *a, const struct value *before,
                   const struct value *after, struct status *st) {
    const struct store_filter *expect =
        store_eq(a, "revision", value_get(before, "revision"));
    int rc = store_replace(deps->store, C_CONNECTORS, after, expect, st);

    if (rc == 1)
        return st_fail(st, ST_CONCURRENCY, "conflict",
                       "the connector was changed by someone else: read it again");
    return rc;
}

int connector_update(const struct deps *deps, struct arena *a, const struct value *doc,
                     const struct value *body, bool put, const struct value **ret_doc,
                     struct status *st) {
    struct object_builder b;
    const struct value *merged;

    if (!value_is_nullish(value_get(doc, "archivedAt")))
        return st_fail(st, ST_BAD_REQUEST, NULL, "the connector is archived");
    if (check_body(a, body, st) < 0)
        return -1;
    object_begin(&b, a, 32);
    for (VALUE_EACH_MEMBER(m, doc)) {
        bool kept = !put || !is_writable(m->key) || value_has(body, m->key) ||
                    strcmp(m->key, "name") == 0 || strcmp(m->key, "key") == 0 ||
                    strcmp(m->key, "uuid") == 0 || strcmp(m->key, "logoUri") == 0;

        if (kept && !value_is(value_get_len(body, m->key, m->key_len), VALUE_NULL))
            object_set_ref(&b, m->key, m->key_len, &m->value);
    }
    object_set_all(&b, take_writable(a, body));
    object_set_bool(&b, "hasTest", false);
    stamp(deps, a, &b);
    merged = object_end(&b);
    merged = value_with(a, merged, "hasTest", value_bool(has_test(merged)));
    merged = value_with(a, merged, "hasAuthTest", value_bool(has_test(merged)));
    *ret_doc = merged;
    return replace(deps, a, doc, merged, st);
}

int connector_archive(const struct deps *deps, struct arena *a, const struct value *doc,
                      bool archived, const struct value **ret_doc, struct status *st) {
    struct object_builder b;

    object_begin(&b, a, 32);
    for (VALUE_EACH_MEMBER(m, doc))
        if (strcmp(m->key, "archivedAt") != 0)
            object_set_ref(&b, m->key, m->key_len, &m->value);
    if (archived)
        object_set_string(&b, "archivedAt", clock_iso_now(deps->clock, a));
    stamp(deps, a, &b);
    *ret_doc = object_end(&b);
    return replace(deps, a, doc, *ret_doc, st);
}

/* ---- uploading ---- */

static const char *object_key(struct arena *a, const char *workspace_id, const char *uuid,
                              const char *version, const char *revision,
                              const char *what) {
    return arena_printf(a, "%s/%s/%s/%s-%s", workspace_id, uuid, version, revision, what);
}

/* The connector that an archive without an address means. */
static int find_by_spec(const struct deps *deps, struct arena *a,
                        const char *workspace_id, const struct value *identity,
                        const struct value **ret_doc, struct status *st) {
    const char *selector = value_get_string(identity, "uuid", NULL);
    int rc = 1;

    if (selector)
        rc = connector_find(deps, a, workspace_id, selector, ret_doc, st);
    if (rc == 1 && (selector = value_get_string(identity, "key", NULL)))
        rc = connector_find(deps, a, workspace_id, selector, ret_doc, st);
    return rc;
}

/* Identity members that files don't give keep; version members come from the files alone.
 */
static const struct value *apply_tree(const struct deps *deps, struct arena *a,
                                      const struct value *doc,
                                      const struct connector_tree *tree,
                                      const char *revision, const char *contents_key,
                                      const char *archive_key) {
    struct object_builder b;

    object_begin(&b, a, 40);
    for (VALUE_EACH_MEMBER(m, doc))
        if (!is_of_version(m->key) && strcmp(m->key, "archivedAt") != 0)
            object_set_ref(&b, m->key, m->key_len, &m->value);
    for (VALUE_EACH_MEMBER(m, take_writable(a, tree->identity)))
        if (strcmp(m->key, "uuid") != 0 && strcmp(m->key, "key") != 0)
            object_set_ref(&b, m->key, m->key_len, &m->value);
    object_set_all(&b, connector_counts(a, tree->identity, tree->contents));
    object_set_string(&b, "contentsKey", contents_key);
    object_set_string(&b, "archiveKey", archive_key);
    object_set_string(&b, "revision", revision);
    object_set_string(&b, "updatedAt", clock_iso_now(deps->clock, a));
    return object_end(&b);
}

int connector_upload(const struct deps *deps, struct arena *a, const char *workspace_id,
                     const struct value *doc, struct bytes archive,
                     const struct value **ret_doc, const struct value **ret_warnings,
                     struct status *st) {
    struct connector_tree tree;
    struct zip_tree files;
    const char *uuid, *revision, *contents_key, *archive_key;
    const struct value *updated;
    int rc;

    if (archive.len > MAX_ARCHIVE_BYTES)
        return st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                       "the archive is too large");
    if (zip_unpack(a, archive, "spec.yml", NULL, &files, st) < 0 ||
        connector_tree_parse(a, &files, &tree, st) < 0 ||
        check_body(a, take_writable(a, tree.identity), st) < 0)
        return -1;
    if (!doc) {
        rc = find_by_spec(deps, a, workspace_id, tree.identity, &doc, st);
        if (rc < 0)
            return -1;
        if (rc == 1 && connector_create(deps, a, workspace_id,
                                        take_writable(a, tree.identity), &doc, st) < 0)
            return -1;
    }
    uuid = value_get_string(doc, "uuid", value_get_string(doc, "id", ""));
    revision = uuid_new(deps->rand, a);
    contents_key = object_key(a, workspace_id, uuid, "dev", revision, "contents.json");
    archive_key = object_key(a, workspace_id, uuid, "dev", revision, "src.zip");
    if (blob_put(deps->blob, BLOB_CONNECTORS, archive_key, archive, "application/zip",
                 st) < 0 ||
        blob_put(deps->blob, BLOB_CONNECTORS, contents_key,
                 value_encode_arena(a, tree.contents, VALUE_ENCODE_COMPACT),
                 "application/json", st) < 0)
        return -1;
    updated = apply_tree(deps, a, doc, &tree, revision, contents_key, archive_key);
    if (replace(deps, a, doc, updated, st) < 0)
        return -1;
    *ret_doc = updated;
    *ret_warnings = tree.warnings;
    return 0;
}

int connector_download(const struct deps *deps, struct arena *a,
                       const struct connector *c, struct bytes *ret_archive,
                       struct status *st) {
    const char *key = value_get_string(c->doc, "archiveKey", NULL);
    struct zip_file spec = {.path = "spec.yml"};
    struct zip_tree tree = {&spec, 1};
    int rc;

    if (key) {
        rc = blob_get(deps->blob, a, BLOB_CONNECTORS, key, MAX_ARCHIVE_BYTES, ret_archive,
                      NULL, st);
        return rc == 1 ? st_fail(st, ST_INTERNAL, NULL, "the archive is missing") : rc;
    }
    /* JSON is YAML. */
    spec.body = value_encode_arena(a, take_writable(a, c->doc), VALUE_ENCODE_INDENT_2);
    return zip_pack(a, &tree, ret_archive, st);
}

/* ---- publishing ---- */

static bool is_version_number(const char *s) {
    size_t n = strlen(s);

    return n > 0 && n <= 40 && isdigit((unsigned char)s[0]) &&
           isdigit((unsigned char)s[n - 1]) && strspn(s, "0123456789.") == n &&
           !strstr(s, "..");
}

int connector_publish(const struct deps *deps, struct arena *a, const struct value *doc,
                      const char *version, const char *changelog,
                      const struct value **ret_version, struct status *st) {
    struct object_builder b;
    const struct value *row;
    const char *latest[] = {NULL};
    struct store_change change = {.unset = latest};
    int rc;

    if (!version || !is_version_number(version))
        return wrong(a, st, "version", "must be dotted numbers such as 1.0.3");
    object_begin(&b, a, 32);
    object_set_string(&b, "id", id_new(deps->clock, deps->rand, a));
    object_set(&b, "workspaceId", value_get(doc, "workspaceId"));
    object_set(&b, "connectorId", value_get(doc, "id"));
    object_set_string(&b, "version", version);
    object_set_string(&b, "changelog", changelog ? changelog : "");
    object_set(&b, "revision", value_get(doc, "revision"));
    object_set_string(&b, "createdAt", clock_iso_now(deps->clock, a));
    for (VALUE_EACH_MEMBER(m, doc))
        if (is_of_version(m->key))
            object_set_ref(&b, m->key, m->key_len, &m->value);
    row = object_end(&b);
    if (store_insert(deps->store, C_CONNECTOR_VERSIONS, row, st) < 0)
        return -1;
    change.set = value_obj(a, "latestVersion", value_string(a, version), NULL);
    rc = store_update(deps->store, a, C_CONNECTORS, value_get_string(doc, "id", ""), NULL,
                      &change, NULL, st);
    if (rc < 0)
        return -1;
    *ret_version = row;
    return 0;
}
