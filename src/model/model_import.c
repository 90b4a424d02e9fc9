/*
 * model_import.c - reads an export object into a view, element by element, and lets the
 * view settle and write.
 *
 * Two passes: the first gives every element its identity (the row it matches, or a new
 * id), so that the second can resolve references in any order of the file. Files of older
 * servers are understood: they name integrations, parents and data sources by ids of that
 * server, which are looked up among the ids that the files themselves carry.
 */
#include "model_import.h"

#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "model_priv.h"

#define MAX_ERRORS 100
#define MAX_TRIES  5

struct item {
    const struct element_type *type;
    const struct value *source;
    const char *key;
    const char *name;         /* for messages: "integrations/crm/actions/a" */
    struct item *integration; /* NULL: universal, or integration_id tells */
    const char *integration_id;
    const char *integration_key;
    const struct value *existing; /* NULL: new */
    const char *id, *uuid;
    const struct value *doc; /* as it shall be */
    struct item *next;
};

struct import {
    struct model_view *view;
    struct arena *arena;
    struct item *first, **last;
    size_t len;
    struct model_map refs;    /* "<type>/<how>/<text>" -> item */
    struct model_map present; /* "<type>/uuid/<uuid>" -> entry of the view */
    struct array_builder errors;
    bool partial;
};

/* ---- Errors ---- */

static void add_error(struct import *im, const char *name, const struct status *st) {
    struct arena *a = im->arena;

    if (im->errors.len >= MAX_ERRORS)
        return;
    array_push(&im->errors,
               value_obj(a, "element", value_string(a, name), "path",
                         value_find(st->data, "path", 4), "message",
                         value_string(a, st->message ? st->message : ""), NULL));
}

/* Takes note of a failure that is the element's fault; -1 passes on any other. */
static int note(struct import *im, const char *name, int rc, struct status *st) {
    if (rc >= 0)
        return 0;
    if (st->type != ST_BAD_REQUEST)
        return -1;
    add_error(im, name, st);
    st_clear(st);
    return 0;
}

static int fail_with_errors(struct import *im, struct status *st) {
    const struct value *errors = array_end(&im->errors);
    const struct value *first = value_at(errors, 0);

    return st_fail_data(
        st, ST_BAD_REQUEST, NULL, value_obj(st->arena, "errors", errors, NULL),
        "%u element%s of the import %s not valid; %s: %s", errors->len,
        errors->len == 1 ? "" : "s", errors->len == 1 ? "is" : "are",
        value_get_string(first, "element", ""), value_get_string(first, "message", ""));
}

/* ---- Identity ---- */

static const char *ref(struct import *im, enum element_id type, const char *how,
                       const char *text) {
    return arena_printf(im->arena, "%d/%s/%s", type, how, text);
}

static void remember(struct import *im, struct item *it, const char *how,
                     const char *text) {
    if (text)
        model_map_set(&im->refs, ref(im, it->type->id, how, text), it);
}

static struct item *recall(struct import *im, enum element_id type, const char *how,
                           const char *text) {
    return text ? model_map_get(&im->refs, ref(im, type, how, text)) : NULL;
}

/* The integration that an element says it belongs to. 0, or 1: none is named. */
static int find_integration(struct import *im, struct item *it, struct status *st) {
    const struct value *d = it->source, *joined = value_get(d, "integration");
    const struct {
        const char *how, *text;
    } ways[] = {
        {"key", doc_text(d, "integrationKey")}, {"uuid", doc_text(d, "integrationUuid")},
        {"id", doc_text(d, "integrationId")},   {"uuid", doc_text(joined, "uuid")},
        {"key", doc_text(joined, "key")},
    };
    const char *named = NULL;

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *text = ways[i].text;
        const struct value *doc;
        int rc = 1;
        if (!text)
            continue;
        named = text;
        if ((it->integration = recall(im, EL_INTEGRATION, ways[i].how, text))) {
            it->integration_id = it->integration->id;
            it->integration_key = it->integration->key;
            return 0;
        }
        if (strcmp(ways[i].how, "key") == 0)
            rc = model_find_key(im->view, EL_INTEGRATION, NULL, text, false, &doc, st);
        else if (strcmp(ways[i].how, "id") == 0)
            rc = model_get(im->view, EL_INTEGRATION, text, &doc, st);
        else {
            struct model_entry *e =
                model_map_get(&im->present, ref(im, EL_INTEGRATION, "uuid", text));
            if (e) {
                doc = e->now;
                rc = 0;
            }
        }
        if (rc < 0)
            return -1;
        if (rc == 0 && model_is_live(doc)) {
            it->integration_id = doc_id(doc);
            it->integration_key = value_get_string(doc, "key", "");
            return 0;
        }
    }
    return named ? model_bad_input(st, "integrationUuid", "no integration \"%s\"", named)
                 : 1;
}

/* An element that a partial import leaves alone has the uuid. */
static bool is_taken(struct import *im, const struct item *it) {
    struct model_entry *e =
        model_map_get(&im->present, ref(im, it->type->id, "uuid", it->uuid));

    return im->partial && e && model_is_live(e->now);
}

static int identify(struct import *im, struct item *it, struct status *st) {
    const char *key = doc_text(it->source, "key");
    const char *name = doc_text(it->source, "name");
    struct arena *a = im->arena;
    int rc = 1;

    it->key = key ? key : name ? model_key_from_name(a, name) : NULL;
    it->name = arena_printf(a, "%s/%s", it->type->plural, it->key ? it->key : "?");
    if (!it->key || !*it->key)
        return model_bad_input(st, "key", "is required");
    if (it->type->layers & LAYER_INTEGRATION && (rc = find_integration(im, it, st)) < 0)
        return -1;
    if (rc == 0)
        it->name = arena_printf(a, "integrations/%s/%s/%s", it->integration_key,
                                it->type->plural, it->key);
    const char *slot = rc == 0 ? arena_printf(a, "i:%s:%s", it->integration_id, it->key)
                               : arena_printf(a, "u:%s", it->key);
    if (recall(im, it->type->id, "slot", slot))
        return model_bad_input(st, "key", "is there twice");
    rc = model_find_key(im->view, it->type->id, it->integration_id, it->key, false,
                        &it->existing, st);
    if (rc < 0)
        return -1;
    if (rc == 1)
        it->existing = NULL;
    it->id = it->existing ? doc_id(it->existing)
                          : id_new(im->view->deps->clock, im->view->deps->rand, a);
    it->uuid =
        it->existing ? doc_text(it->existing, "uuid") : doc_text(it->source, "uuid");
    if (doc_text(it->source, "uuid") &&
        recall(im, it->type->id, "uuid", doc_text(it->source, "uuid")))
        return model_bad_input(st, "uuid", "is there twice");
    if (it->uuid && !it->existing && is_taken(im, it))
        it->uuid = NULL;
    if (!it->uuid)
        it->uuid = uuid_new(im->view->deps->rand, a);
    remember(im, it, "slot", slot);
    if (!it->integration_id)
        remember(im, it, "key", it->key);
    remember(im, it, "id", doc_text(it->source, "id"));
    remember(im, it, "uuid", doc_text(it->source, "uuid"));
    remember(im, it, "uuid", it->uuid);
    remember(im, it, "here", it->id);
    return 0;
}

static int add_item(struct import *im, const struct element_type *t,
                    const struct value *source, size_t index, struct status *st) {
    struct item *it;

    if (!value_is_object(source)) {
        model_bad_input(st, arena_printf(im->arena, "%s.%zu", t->name, index),
                        "must be an object");
        return note(im, t->plural, -1, st);
    }
    if (++im->len > MODEL_IMPORT_MAX)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "an import can't hold more than %d elements", MODEL_IMPORT_MAX);
    it = arena_zalloc(im->arena, sizeof *it);
    it->type = t;
    it->source = source;
    if (identify(im, it, st) < 0)
        return note(im, it->name, -1, st);
    *im->last = it;
    im->last = &it->next;
    return 0;
}

static int read_items(struct import *im, const struct value *object, struct status *st) {
    for (VALUE_EACH_MEMBER(m, object)) {
        const struct element_type *t = element_type_from_name(m->key);
        if (!t || !(t->can & EL_WORKSPACE_EXPORT) || strcmp(t->name, m->key) != 0)
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "\"%s\" is not a type of an export object", m->key);
        if (!value_is_array(&m->value))
            return model_bad_input(st, m->key, "must be an array");
    }
    for (int i = 0; i < ELEMENT_COUNT; i++) {
        const struct element_type *t = element_type(i);
        size_t index = 0;
        for (VALUE_EACH_ITEM(source, value_get(object, t->name)))
            if (add_item(im, t, source, index++, st) < 0)
                return -1;
    }
    return 0;
}

/* ---- Documents ---- */

/* A document of the import or of the workspace that a uuid or foreign id means. */
static const struct value *referred(struct import *im, enum element_id type,
                                    const char *how, const char *text) {
    struct item *it = recall(im, type, how, text);
    struct model_entry *e;

    if (it)
        return it->doc ? it->doc : it->existing;
    if (!text)
        return NULL;
    e = strcmp(how, "uuid") == 0 ? model_map_get(&im->present, ref(im, type, how, text))
                                 : model_entry_of(im->view, type, text);
    return e && model_is_live(e->now) ? e->now : NULL;
}

static const struct value *universal_by_key(struct import *im, enum element_id type,
                                            const char *key) {
    struct item *it = recall(im, type, "key", key);
    const struct value *doc;
    struct status ignored;

    if (it)
        return it->doc ? it->doc : it->existing;
    st_init(&ignored, im->arena);
    return key && model_find_key(im->view, type, NULL, key, false, &doc, &ignored) == 0
               ? doc
               : NULL;
}

/* NULL when none is named. A parent that is unknown here is replaced by the universal
 * element of the same key. */
static const struct value *find_parent(struct import *im, const struct item *it) {
    const struct element_type *t = it->type;
    const char *uuid = doc_text(it->source, "parentUuid");
    const char *key = doc_text(it->source, "parentKey");
    const char *id = t->universal_field ? doc_text(it->source, t->universal_field) : NULL;
    const struct value *parent;

    if (!it->integration_id || !t->universal_field)
        return NULL;
    if (!id)
        id = doc_text(it->source, t->parent_field);
    if (!uuid && !key && !id)
        return NULL;
    parent = referred(im, t->id, "uuid", uuid);
    if (!parent)
        parent = universal_by_key(im, t->id, key);
    if (!parent)
        parent = referred(im, t->id, "id", id);
    if (!parent)
        parent = universal_by_key(im, t->id, it->key);
    return parent && model_layer(parent) == LAYER_UNIVERSAL ? parent : NULL;
}

/* Packages name their elements by uuid. */
static const struct value *own_ids(struct import *im, const struct value *elements) {
    struct array_builder b;

    array_begin(&b, im->arena, elements->len);
    for (VALUE_EACH_ITEM(e, elements)) {
        const struct element_type *t =
            element_type_from_name(value_get_string(e, "type", ""));
        const struct value *doc =
            t ? referred(im, t->id, "uuid", doc_text(e, "uuid")) : NULL;
        if (doc)
            array_push(&b, value_with(im->arena, e, "id", value_get(doc, "id")));
        else if (value_has(e, "id") || !value_has(e, "uuid"))
            array_push(&b, e);
        else
            array_push(&b, value_with(im->arena, e, "id", value_get(e, "uuid")));
    }
    return array_end(&b);
}

static void set_text(struct object_builder *b, const char *member, const char *text) {
    if (text)
        object_set_string(b, member, text);
}

/* Members that the import decides about, taken off the existing document. */
static void forget_old(struct object_builder *b, const struct element_type *t) {
    static const char *const names[] = {"description", "meta", "instanceKey",
                                        "isUniversal", "externalAppUuid"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        object_delete(b, names[i], strlen(names[i]));
    for (size_t i = 0; i < t->domain->fields_len; i++)
        if (t->domain->fields[i].flags & FIELD_EXPORT)
            object_delete(b, t->domain->fields[i].name,
                          strlen(t->domain->fields[i].name));
}

static void set_customised(struct object_builder *b, const struct item *it) {
    const struct value *v = value_get(it->source, "isCustomized");

    if (!value_is(v, VALUE_BOOL))
        v = value_get(it->source, "customized");
    if (value_is(v, VALUE_BOOL))
        object_set(b, "isCustomized", v);
    else if (!it->existing && it->type->layers != LAYER_UNIVERSAL)
        object_set_bool(b, "isCustomized", false);
}

static void begin_document(struct import *im, const struct item *it,
                           struct object_builder *b) {
    struct model_view *v = im->view;
    const char *now = clock_iso_now(v->deps->clock, im->arena);

    if (it->existing) {
        object_set_all(b, it->existing);
        forget_old(b, it->type);
        return;
    }
    object_set_string(b, "workspaceId", v->workspace_id);
    object_set_string(
        b, "layer", layer_name(it->integration_id ? LAYER_INTEGRATION : LAYER_UNIVERSAL));
    object_set_string(b, "id", it->id);
    object_set_string(b, "uuid", it->uuid);
    object_set_string(b, "key", it->key);
    set_text(b, "integrationId", it->integration_id);
    object_set_string(b, "revision", uuid_new(v->deps->rand, im->arena));
    object_set_string(b, "createdAt", now);
    object_set_string(b, "updatedAt", now);
}

static void link_to_parent(struct object_builder *b, const struct item *it,
                           const struct value *parent) {
    const char *member = model_parent_member(it->type, LAYER_INTEGRATION);
    const struct value *old = member ? value_get(it->existing, member) : &value_undefined;

    if (parent && !value_equal(old, value_get(parent, "id"))) {
        model_link_parent(b, it->type, LAYER_INTEGRATION, parent);
    } else if (!parent && !value_is_nullish(old)) {
        object_delete(b, member, strlen(member));
        if (it->type->universal_field)
            object_delete(b, it->type->universal_field,
                          strlen(it->type->universal_field));
    }
}

static bool has_same_members(const struct value *x, const struct value *y) {
    if (x->len != y->len)
        return false;
    for (VALUE_EACH_MEMBER(m, x)) {
        const struct value *other = value_find(y, m->key, m->key_len);
        if (!other || !value_equal_ordered(&m->value, other))
            return false;
    }
    return true;
}

static int build(struct import *im, struct item *it, struct status *st) {
    const struct value *fields, *doc;
    struct object_builder b;

    if (it->existing && value_get_bool(it->existing, "isReadOnly", false))
        return st_fail(st, ST_BAD_REQUEST, "access_denied", "is read-only");
    if (model_input_fields(im->arena, it->type, it->source, MODEL_INPUT_IMPORT, &fields,
                           st) < 0)
        return -1;
    object_begin(&b, im->arena, 32);
    begin_document(im, it, &b);
    for (VALUE_EACH_MEMBER(m, fields))
        if (!value_is(&m->value, VALUE_UNDEFINED) && strcmp(m->key, "uuid") != 0)
            object_set_len(&b, m->key, m->key_len, &m->value);
    if (!value_has(fields, "name") && !it->existing)
        object_set_string(&b, "name", it->key);
    set_text(&b, "externalAppUuid", doc_text(it->source, "externalAppUuid"));
    set_customised(&b, it);
    if (it->type->id == EL_FIELD_MAPPING && !value_has(fields, "dataSourceKey")) {
        const struct value *source =
            referred(im, EL_DATA_SOURCE, "uuid", doc_text(it->source, "dataSourceUuid"));
        set_text(&b, "dataSourceKey", source ? doc_text(source, "key") : NULL);
    }
    if (it->type->id == EL_PACKAGE && value_has(fields, "elements"))
        object_set(&b, "elements", own_ids(im, value_get(fields, "elements")));
    link_to_parent(&b, it, find_parent(im, it));
    doc = object_end(&b);
    if (model_finish(im->view, it->type, doc, &it->doc, st) < 0)
        return -1;
    if (it->existing && has_same_members(it->existing, it->doc)) {
        it->doc = it->existing; /* in the old order of members */
        model_view_put(im->view, it->type->id, it->doc);
    }
    model_entry_of(im->view, it->type->id, it->id)->pinned = true;
    return 0;
}

/* ---- What the import does not hold ---- */

static bool is_in_export(const struct model_entry *e) {
    return element_type(e->type)->can & EL_WORKSPACE_EXPORT && model_is_live(e->now) &&
           !(model_layer(e->now) & LAYER_INSTANCE);
}

static int archive_rest(struct import *im, struct array_builder *gone,
                        struct status *st) {
    for (struct model_entry *e = im->view->all; e; e = e->next) {
        const struct value *doc;
        if (!e->stored || !is_in_export(e) || recall(im, e->type, "here", e->id) ||
            value_get_bool(e->now, "isReadOnly", false))
            continue;
        array_push(gone, e->now);
        if (model_archive(im->view, e->type, e->now, &doc, st) < 0)
            return -1;
    }
    return 0;
}

/* ---- Result ---- */

static const struct value *changed_members(struct arena *a, const struct value *x,
                                           const struct value *y) {
    struct array_builder b;

    array_begin(&b, a, 4);
    for (VALUE_EACH_MEMBER(m, y))
        if (!model_same_member(x, y, m->key))
            array_push(&b, value_string_len(a, m->key, m->key_len));
    for (VALUE_EACH_MEMBER(m, x))
        if (!value_has(y, m->key))
            array_push(&b, value_string_len(a, m->key, m->key_len));
    return array_end(&b);
}

static const struct value *element_line(struct import *im, enum element_id type,
                                        const struct value *doc, const char *change,
                                        const struct value *members) {
    const char *integration = doc_text(doc, "integrationId");
    const struct model_entry *e =
        integration ? model_entry_of(im->view, EL_INTEGRATION, integration) : NULL;

    return value_obj(im->arena, "type", value_string(im->arena, element_type(type)->name),
                     "key", value_find(doc, "key", 3), "integrationKey",
                     e ? value_find(e->now, "key", 3) : NULL, "id", value_get(doc, "id"),
                     "uuid", value_find(doc, "uuid", 4), "change",
                     value_string(im->arena, change), "fields", members, NULL);
}

static const struct value *make_result(struct import *im, const struct value *gone,
                                       const enum element_id *gone_types, bool dry_run) {
    struct arena *a = im->arena;
    size_t created = 0, updated = 0, unchanged = 0, i = 0;
    struct array_builder lines;

    array_begin(&lines, a, im->len);
    for (struct item *it = im->first; it; it = it->next) {
        bool is_new = !it->existing, is_same = it->doc == it->existing;
        created += is_new;
        unchanged += is_same;
        updated += !is_new && !is_same;
        array_push(&lines, element_line(im, it->type->id, it->doc,
                                        is_new    ? "created"
                                        : is_same ? "unchanged"
                                                  : "updated",
                                        !is_new && !is_same
                                            ? changed_members(a, it->existing, it->doc)
                                            : NULL));
    }
    for (VALUE_EACH_ITEM(doc, gone))
        array_push(&lines, element_line(im, gone_types[i++], doc, "archived", NULL));
    return value_obj(a, "created", value_number(a, (double)created), "updated",
                     value_number(a, (double)updated), "archived",
                     value_number(a, (double)value_items_count(gone)), "unchanged",
                     value_number(a, (double)unchanged), "dryRun", value_bool(dry_run),
                     "elements", array_end(&lines), NULL);
}

/* ---- All together ---- */

static void index_present(struct import *im) {
    for (struct model_entry *e = im->view->all; e; e = e->next)
        if (doc_text(e->now, "uuid"))
            model_map_set(&im->present,
                          ref(im, e->type, "uuid", doc_text(e->now, "uuid")), e);
}

static int import_once(struct import *im, const struct value *object,
                       const struct model_import_options *o,
                       const struct value **ret_result, struct status *st) {
    struct array_builder gone;

    if (model_view_load_all(im->view, st) < 0)
        return -1;
    index_present(im);
    if (read_items(im, object, st) < 0)
        return -1;
    for (struct item *it = im->first; it; it = it->next)
        if (note(im, it->name, build(im, it, st), st) < 0)
            return -1;
    if (im->errors.len)
        return fail_with_errors(im, st);
    array_begin(&gone, im->arena, 8);
    if (!o->partial && archive_rest(im, &gone, st) < 0)
        return -1;
    const struct value *list = array_end(&gone);
    enum element_id *types = arena_zalloc(im->arena, (list->len + 1) * sizeof *types);
    size_t n = 0;
    for (VALUE_EACH_ITEM(doc, list))
        for (int t = 0; t < ELEMENT_COUNT; t++)
            if (model_entry_of(im->view, t, doc_id(doc))) {
                types[n++] = t;
                break;
            }
    for (struct model_entry *e = im->view->all; e; e = e->next)
        if (is_in_export(e))
            model_queue(im->view, e);
    *ret_result = make_result(im, list, types, o->dry_run);
    return o->dry_run ? model_settle(im->view, st) : model_commit(im->view, st);
}

int model_import(const struct deps *deps, struct arena *a, const struct caller *caller,
                 const char *workspace_id, const struct value *export_object,
                 const struct model_import_options *options,
                 const struct value **ret_result, struct status *st) {
    if (!value_is_object(export_object))
        return st_fail(st, ST_BAD_REQUEST, NULL, "an export object is needed");
    for (int i = 0; i < MAX_TRIES; i++) {
        struct import im = {.view = model_view_new(deps, a, caller, workspace_id),
                            .arena = a,
                            .partial = options->partial};
        im.last = &im.first;
        model_map_init(&im.refs, a);
        model_map_init(&im.present, a);
        array_begin(&im.errors, a, 0);
        st_clear(st);
        if (import_once(&im, export_object, options, ret_result, st) == 0)
            return 0;
        if (st->type != ST_CONCURRENCY)
            return -1;
    }
    return -1;
}

/* ---- Export ---- */

static int by_key(const void *x, const void *y) {
    const struct model_entry *const *ex = x, *const *ey = y;
    int order = strcmp(value_get_string((*ex)->now, "key", ""),
                       value_get_string((*ey)->now, "key", ""));

    return order ? order : strcmp((*ex)->id, (*ey)->id);
}

static int export_type(struct model_view *v, const struct element_type *t,
                       const struct value **ret_list, struct status *st) {
    struct model_entry **rows;
    struct array_builder b;
    size_t n = 0, i = 0;

    for (struct model_entry *e = v->all; e; e = e->next)
        n += e->type == t->id && is_in_export(e);
    rows = arena_alloc(v->arena, (n + 1) * sizeof *rows);
    for (struct model_entry *e = v->all; e; e = e->next)
        if (e->type == t->id && is_in_export(e))
            rows[i++] = e;
    qsort(rows, n, sizeof *rows, by_key);
    array_begin(&b, v->arena, n);
    for (i = 0; i < n; i++) {
        const struct value *out;
        if (model_export_element(v, t->id, rows[i]->now, &out, st) < 0)
            return -1;
        array_push(&b, out);
    }
    *ret_list = array_end(&b);
    return 0;
}

int model_export(struct model_view *v, const struct value **ret_export,
                 struct status *st) {
    struct object_builder b;

    if (model_view_load_all(v, st) < 0)
        return -1;
    object_begin(&b, v->arena, ELEMENT_COUNT);
    for (int i = 0; i < ELEMENT_COUNT; i++) {
        const struct element_type *t = element_type(i);
        const struct value *list;
        if (!(t->can & EL_WORKSPACE_EXPORT))
            continue;
        if (export_type(v, t, &list, st) < 0)
            return -1;
        object_set(&b, t->name, list);
    }
    *ret_export = object_end(&b);
    return 0;
}
