/*
 * Snapshots are numbered by a private member of the element, which is written under the
 * same condition as its change: two writers can't take one number.
 */
#include "model_checkpoint.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_server.h"
#include "model_priv.h"
#include "model_rows.h"

#define MAX_DEPTH 64

/* ---- Taking ---- */

static int snapshot_of(struct model_view *v, const struct element_type *t,
                       const struct value *doc, const struct value **ret,
                       struct status *st) {
    static const char *const common[] = {"uuid",        "key",  "name",
                                         "description", "meta", "isUniversal"};
    struct object_builder b;

    object_begin(&b, v->arena, 16);
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (value_has(doc, common[i]))
            object_set(&b, common[i], value_get(doc, common[i]));
    for (size_t i = 0; i < t->domain->fields_len; i++) {
        const struct element_field *f = &t->domain->fields[i];
        if (!(f->flags & (FIELD_SECRET | FIELD_SERVER)) && value_has(doc, f->name))
            object_set(&b, f->name, value_get(doc, f->name));
    }
    /* Sealed parts of fields stay out. */
    if (t->domain->open && t->domain->serve && t->domain->serve(v, doc, &b, st) < 0)
        return -1;
    *ret = object_end(&b);
    return 0;
}

static int add_snapshot(struct model_view *v, const struct model_entry *e,
                        const struct value *doc, double number,
                        struct array_builder *list, struct status *st) {
    const char *by = v->caller ? v->caller->platform_user_id : NULL;
    struct arena *a = v->arena;
    const struct value *snapshot;

    if (snapshot_of(v, element_type(e->type), doc, &snapshot, st) < 0)
        return -1;
    array_push(
        list,
        value_obj(a, "id", value_string(a, id_new(v->deps->clock, v->deps->rand, a)),
                  "workspaceId", value_string(a, v->workspace_id), "elementType",
                  value_string(a, element_type(e->type)->name), "elementId",
                  value_string(a, e->id), "checkpointNumber", value_number(a, number),
                  "snapshot", snapshot, "createdAt", value_get(doc, "updatedAt"),
                  "createdBy", by ? value_string(a, by) : NULL, "metadata",
                  value_obj(a, "revision", value_get(doc, "revision"), NULL), NULL));
    return 0;
}

static double last_number(const struct value *doc) {
    return value_get_number(doc, "checkpoints", 0);
}

int model_checkpoint_count(struct model_view *v, const struct model_entry *e,
                           const struct value **ret_doc, struct status *st) {
    const struct element_type *t = element_type(e->type);
    double last = last_number(e->stored);
    const struct value *was, *is;

    *ret_doc = e->now;
    if (model_layer(e->now) & LAYER_INSTANCE)
        return 0;
    if (snapshot_of(v, t, e->stored, &was, st) < 0 ||
        snapshot_of(v, t, e->now, &is, st) < 0)
        return -1;
    if (!value_equal_ordered(was, is))
        *ret_doc = value_with(v->arena, e->now, "checkpoints",
                              value_number(v->arena, last ? last + 1 : 2));
    return 0;
}

/* Whose snapshots: as the index has them. */
static const struct store_filter *of_element(struct arena *a, const struct value *doc) {
    return store_and(a, store_eq(a, "workspaceId", value_get(doc, "workspaceId")),
                     store_eq(a, "elementType", value_get(doc, "elementType")),
                     store_eq(a, "elementId", value_get(doc, "elementId")), NULL);
}

static int forget_old(struct model_view *v, const struct value *newest,
                      struct status *st) {
    double number = value_get_number(newest, "checkpointNumber", 0);
    struct arena *a = v->arena;

    if (number <= MODEL_CHECKPOINTS_KEPT)
        return 0;
    return store_delete_many(
        v->deps->store, C_CHECKPOINTS,
        store_and(a, of_element(a, newest),
                  store_cmp(a, STORE_LE, "checkpointNumber",
                            value_number(a, number - MODEL_CHECKPOINTS_KEPT)),
                  NULL),
        NULL, st);
}

int model_checkpoint_write(struct model_view *v, struct status *st) {
    struct array_builder list;

    array_begin(&list, v->arena, 4);
    for (struct model_entry *e = v->all; e; e = e->next) {
        double last = last_number(e->now);
        if (!e->stored || last_number(e->stored) == last)
            continue;
        if (last == 2 && add_snapshot(v, e, e->stored, 1, &list, st) < 0)
            return -1;
        if (add_snapshot(v, e, e->now, last, &list, st) < 0 ||
            forget_old(v, &list.items[list.len - 1], st) < 0)
            return -1;
    }
    return list.len
               ? store_insert_many(v->deps->store, C_CHECKPOINTS, array_end(&list), st)
               : 0;
}

/* ---- What changed ---- */

struct difference {
    struct arena *arena;
    struct array_builder list;
};

static bool is_plain_name(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (!(c == '_' || c == '-' || c == '$' || c >= 0x80 || (c >= '0' && c <= '9') ||
              (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
            return false;
    }
    return len > 0;
}

/* path.name, or path["odd name"]. */
static const char *below(struct arena *a, const char *path, const struct member *m) {
    struct buf b = BUF_INIT;
    const char *out;

    buf_addf(&b, "%s", path);
    if (is_plain_name(m->key, m->key_len)) {
        buf_addf(&b, "%s%.*s", *path ? "." : "", (int)m->key_len, m->key);
    } else {
        buf_addf(&b, "[\"");
        for (size_t i = 0; i < m->key_len; i++) {
            if (m->key[i] == '"' || m->key[i] == '\\')
                buf_addc(&b, '\\');
            buf_addc(&b, m->key[i]);
        }
        buf_addf(&b, "\"]");
    }
    out = arena_strdup(a, b.data);
    buf_fini(&b);
    return out;
}

static void note(struct difference *d, const char *path, const struct value *from,
                 const struct value *to) {
    bool was = !value_is(from, VALUE_UNDEFINED), is = !value_is(to, VALUE_UNDEFINED);
    struct arena *a = d->arena;

    array_push(&d->list, value_obj(a, "op",
                                   value_string(a, !was  ? "add"
                                                   : !is ? "remove"
                                                         : "replace"),
                                   "path", value_string(a, path), "value", is ? to : NULL,
                                   "oldValue", was ? from : NULL, NULL));
}

static void compare(struct difference *d, const char *path, const struct value *from,
                    const struct value *to, int depth);

static void compare_objects(struct difference *d, const char *path,
                            const struct value *from, const struct value *to, int depth) {
    for (VALUE_EACH_MEMBER(m, from))
        compare(d, below(d->arena, path, m), &m->value,
                value_get_len(to, m->key, m->key_len), depth + 1);
    for (VALUE_EACH_MEMBER(m, to))
        if (value_is(value_get_len(from, m->key, m->key_len), VALUE_UNDEFINED))
            note(d, below(d->arena, path, m), &value_undefined, &m->value);
}

static void compare_arrays(struct difference *d, const char *path,
                           const struct value *from, const struct value *to, int depth) {
    size_t n = from->len > to->len ? from->len : to->len;

    for (size_t i = 0; i < n; i++)
        compare(d, arena_printf(d->arena, "%s[%zu]", path, i),
                i < from->len ? value_at(from, i) : &value_undefined,
                i < to->len ? value_at(to, i) : &value_undefined, depth + 1);
}

static void compare(struct difference *d, const char *path, const struct value *from,
                    const struct value *to, int depth) {
    if (value_equal_ordered(from, to))
        return;
    if (depth < MAX_DEPTH && value_is_object(from) && value_is_object(to))
        compare_objects(d, path, from, to, depth);
    else if (depth < MAX_DEPTH && value_is_array(from) && value_is_array(to))
        compare_arrays(d, path, from, to, depth);
    else
        note(d, path, from, to);
}

const struct value *model_difference(struct arena *a, const struct value *from,
                                     const struct value *to) {
    struct difference d = {.arena = a};

    array_begin(&d.list, a, 8);
    compare(&d, "", from, to, 0);
    return array_end(&d.list);
}

/* ---- Routes ---- */

static const char *const hidden[] = {"workspaceId", NULL};

static int list(struct request *rq, struct reply *rp, struct status *st) {
    static const struct model_rows_field fields[] = {
        {"elementType", "elementType"}, {"elementId", "elementId"}, {NULL, NULL}};
    struct model_rows rows;

    if (model_rows_begin(rq, &rows, st) < 0)
        return -1;
    model_rows_match(&rows, fields);
    rows.sort = "checkpointNumber";
    return model_rows_reply(&rows, C_CHECKPOINTS, hidden, rp, st);
}

static int get(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *doc;

    if (model_rows_find(rq, C_CHECKPOINTS, "Checkpoint", &doc, st) < 0)
        return -1;
    return reply_json(rp, 200, value_omit(rq->arena, doc, hidden));
}

/* Against the one before it; the first one against nothing. */
static int diff(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    const struct value *doc, *before;
    int rc;

    if (model_rows_find(rq, C_CHECKPOINTS, "Checkpoint", &doc, st) < 0)
        return -1;
    double number = value_get_number(doc, "checkpointNumber", 0);
    struct store_query q = {.where = store_and(a, of_element(a, doc),
                                               store_cmp(a, STORE_LT, "checkpointNumber",
                                                         value_number(a, number)),
                                               NULL),
                            .sort = {{"checkpointNumber", true}}};
    rc = store_find(rq->deps->store, a, C_CHECKPOINTS, &q, &before, st);
    if (rc < 0)
        return -1;
    return reply_json(
        rp, 200,
        model_difference(a, rc == 0 ? value_get(before, "snapshot") : &value_empty_object,
                         value_get(doc, "snapshot")));
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/checkpoints",           list, ACCESS_ADMIN, 0, "Snapshots of elements, newest first.", "limit:integer,cursor,elementType,elementId", NULL, "Page<Checkpoint>", NULL},
    {HTTP_GET, "/checkpoints/{id}",      get,  ACCESS_ADMIN, 0, "One snapshot.", NULL, NULL, "Checkpoint", NULL},
    {HTTP_GET, "/checkpoints/{id}/diff", diff, ACCESS_ADMIN, 0, "What it changed against the snapshot before.", NULL, NULL, "CheckpointDiff[]", NULL},
};
/* clang-format on */

void model_checkpoint_routes(struct http_router *r) {
    http_router_add(r, routes, sizeof routes / sizeof *routes);
}
