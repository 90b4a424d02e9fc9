/*
 * store_mongo_schema.c - the indexes of collections.def, and what their change entails.
 *
 * The document "schema" of the collection "meta" says for each collection by which rules
 * its documents were written. Where that differs from this binary's rules, the keys of
 * every document are written anew and the indexes are made and dropped. Each step may be
 * repeated and may run in several processes at once, so there is no lock and no
 * transaction: a process that dies half-way leaves the rest to the next one. Processes of
 * an older version write keys by the older rules: end them before the new ones start.
 */
#include "store_mongo_priv.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "value/value.h"

enum { FORMAT = 1, REWRITE_TRIES = 100 };

/* ---- Tables ---- */

static void add_column(struct store_mongo_table *t, const char *path, struct arena *a) {
    if (store_mongo_field(t, path))
        return;
    assert(t->columns_len < MONGO_TABLE_COLUMNS);
    t->column[t->columns_len] = path;
    t->key[t->columns_len] = store_mongo_name(a, path, strlen(path));
    t->field[t->columns_len] = arena_printf(a, "k.%s", t->key[t->columns_len]);
    t->columns_len++;
}

void store_mongo_table_init(struct store_mongo_table *t, enum collection c,
                            struct arena *a) {
    t->name = store_collection_name(c);
    t->rules = store_rules_of(a, c, &t->rules_len);
    t->columns_len = 0;
    for (size_t i = 0; i < t->rules_len; i++) {
        const struct store_rule *r = &t->rules[i];

        for (size_t n = 0; n < r->len; n++)
            add_column(t, r->field[n], a);
        for (size_t n = 0; r->absent[n]; n++)
            add_column(t, r->absent[n], a);
        if (r->live)
            add_column(t, "archivedAt", a);
    }
}

/* ---- Indexes ---- */

/* Does the rule's index serve look-ups of all fields of `of`? */
static bool serves(const struct store_rule *r, const struct store_rule *of) {
    if (r->unique || r->len < of->len)
        return false;
    for (size_t i = 0; i < of->len; i++)
        if (strcmp(r->field[i], of->field[i]) != 0)
            return false;
    return true;
}

/* A unique rule's own index is about its text: look-ups by its fields need another. */
static bool needs_lookup(const struct store_mongo_table *t, const struct store_rule *r) {
    if (!r->unique)
        return true;
    for (size_t i = 0; i < t->rules_len; i++)
        if (serves(&t->rules[i], r))
            return false;
    return true;
}

/* "index:workspaceId,createdAt": another name when the fields change. */
static const char *lookup_name(const struct store_rule *r, struct arena *a) {
    struct buf b = BUF_INIT;
    const char *out;

    buf_adds(&b, "index:");
    for (size_t i = 0; i < r->len; i++)
        buf_addf(&b, "%s%s", i ? "," : "", r->field[i]);
    out = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return out;
}

static const char *unique_name(const struct store_rule *r, struct arena *a) {
    return arena_printf(a, "unique:%s", r->name);
}

static void add_index(bson_t *list, uint32_t *n, const char *name, const bson_t *key,
                      bool unique) {
    char space[16];
    const char *at;
    bson_t item;

    bson_uint32_to_string((*n)++, &at, space, sizeof(space));
    bson_append_document_begin(list, at, -1, &item);
    bson_append_document(&item, "key", 3, key);
    bson_append_utf8(&item, "name", 4, name, -1);
    if (unique) {
        bson_append_bool(&item, "unique", 6, true);
        bson_append_bool(&item, "sparse", 6, true);
    }
    bson_append_document_end(list, &item);
}

static void add_lookup(bson_t *list, uint32_t *n, const struct store_mongo_table *t,
                       const struct store_rule *r, struct arena *a) {
    bson_t *key = store_mongo_bson(a);
    bool has_id = false;

    for (size_t i = 0; i < r->len; i++) {
        const char *field = store_mongo_field(t, r->field[i]);

        bson_append_int32(key, field, -1, 1);
        has_id |= strcmp(field, "_id") == 0;
    }
    if (!has_id)
        bson_append_int32(key, "_id", 3, 1);
    add_index(list, n, lookup_name(r, a), key, false);
}

static void add_unique(bson_t *list, uint32_t *n, const struct store_rule *r,
                       struct arena *a) {
    bson_t *key = store_mongo_bson(a);

    bson_append_int32(key, arena_printf(a, "u.%s", r->name), -1, 1);
    add_index(list, n, unique_name(r, a), key, true);
}

/* Rules that look up by the same fields share an index. */
static bool is_first(const struct store_mongo_table *t, size_t at, struct arena *a) {
    for (size_t i = 0; i < at; i++)
        if (needs_lookup(t, &t->rules[i]) &&
            strcmp(lookup_name(&t->rules[i], a), lookup_name(&t->rules[at], a)) == 0)
            return false;
    return true;
}

static int make_indexes(struct store_mongo_call *call, const struct store_mongo_table *t,
                        struct arena *a, struct status *st) {
    bson_t *command = store_mongo_bson(a), list, reply;
    uint32_t n = 0;
    bool ok;

    bson_append_utf8(command, "createIndexes", -1, t->name, -1);
    bson_append_array_begin(command, "indexes", -1, &list);
    for (size_t i = 0; i < t->rules_len; i++) {
        if (t->rules[i].unique)
            add_unique(&list, &n, &t->rules[i], a);
        if (needs_lookup(t, &t->rules[i]) && is_first(t, i, a))
            add_lookup(&list, &n, t, &t->rules[i], a);
    }
    bson_append_array_end(command, &list);
    if (n == 0)
        return 0;
    ok = mongoc_client_write_command_with_opts(call->client, call->s->db, command, NULL,
                                               &reply, &call->error);
    if (!ok) {
        store_mongo_fail(call, &reply, st);
        st_context(st, "Making the indexes of %s", t->name);
    }
    bson_destroy(&reply);
    return ok ? 0 : -1;
}

static bool is_wanted(const struct store_mongo_table *t, const char *name,
                      struct arena *a) {
    if (strncmp(name, "index:", 6) != 0 && strncmp(name, "unique:", 7) != 0)
        return true; /* an administrator's own */
    for (size_t i = 0; i < t->rules_len; i++)
        if ((t->rules[i].unique && strcmp(unique_name(&t->rules[i], a), name) == 0) ||
            strcmp(lookup_name(&t->rules[i], a), name) == 0)
            return true;
    return false;
}

static int drop_indexes(struct store_mongo_call *call, const struct store_mongo_table *t,
                        struct arena *a, struct status *st) {
    mongoc_cursor_t *cursor =
        mongoc_collection_find_indexes_with_opts(call->collection, NULL);
    const bson_t *index;
    bson_iter_t it;
    int rc = 0;

    while (rc == 0 && mongoc_cursor_next(cursor, &index)) {
        const char *name =
            bson_iter_init_find(&it, index, "name") && BSON_ITER_HOLDS_UTF8(&it)
                ? bson_iter_utf8(&it, NULL)
                : "";

        if (!is_wanted(t, name, a) &&
            !mongoc_collection_drop_index_with_opts(call->collection, name, NULL,
                                                    &call->error) &&
            call->error.code != 27) /* another process dropped it */
            rc = store_mongo_fail(call, NULL, st);
    }
    mongoc_cursor_destroy(cursor);
    return rc;
}

/* ---- Rewriting ---- */

/* Writes one document's keys by today's rules, whatever others do to it meanwhile. */
static int rewrite_one(struct store_mongo_call *call, const struct store_mongo_table *t,
                       const bson_iter_t *id, struct status *st) {
    bson_t filter = BSON_INITIALIZER;
    int rc = 1;

    bson_append_iter(&filter, "_id", 3, id);
    for (int i = 0; i < REWRITE_TRIES && rc == 1; i++) {
        struct arena *a = arena_new(0);
        mongoc_cursor_t *cursor =
            mongoc_collection_find_with_opts(call->collection, &filter, NULL, NULL);
        bson_t *stored = store_mongo_bson(a), *where = store_mongo_bson(a), reply;
        const bson_t *old;
        const struct value *doc;
        bson_oid_t seen, v;
        bson_iter_t matched;

        bson_oid_init(&v, NULL);
        if (!mongoc_cursor_next(cursor, &old)) {
            rc = mongoc_cursor_error(cursor, &call->error)
                     ? store_mongo_fail(call, NULL, st)
                     : 0;
        } else if (store_mongo_decode(a, old, &doc, &seen, st) < 0 ||
                   store_mongo_encode(t, doc, &v, stored, st) < 0) {
            rc = -1;
        } else {
            bson_append_iter(where, "_id", 3, id);
            bson_append_oid(where, "v", 1, &seen);
            if (!mongoc_collection_replace_one(call->collection, where, stored, NULL,
                                               &reply, &call->error))
                rc = store_mongo_fail(call, &reply, st);
            else if (bson_iter_init_find(&matched, &reply, "matchedCount") &&
                     bson_iter_as_int64(&matched) > 0)
                rc = 0;
            bson_destroy(&reply);
        }
        mongoc_cursor_destroy(cursor);
        arena_free(&a);
    }
    bson_destroy(&filter);
    return rc;
}

static int rewrite(struct store_mongo_call *call, const struct store_mongo_table *t,
                   struct status *st) {
    bson_t all = BSON_INITIALIZER,
           *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), "}", "sort", "{",
                            "_id", BCON_INT32(1), "}");
    mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(call->collection, &all, opts, NULL);
    const bson_t *row;
    bson_iter_t id;
    int rc = 0;

    while (rc == 0 && mongoc_cursor_next(cursor, &row))
        if (bson_iter_init_find(&id, row, "_id"))
            rc = rewrite_one(call, t, &id, st);
    if (rc == 0 && mongoc_cursor_error(cursor, &call->error))
        rc = store_mongo_fail(call, NULL, st);
    mongoc_cursor_destroy(cursor);
    bson_destroy(opts);
    bson_destroy(&all);
    return rc < 0 ? st_context(st, "Rewriting %s for its new rules", t->name) : 0;
}

/* ---- What was done ---- */

/* The rules of a collection as text, to compare with. */
static const char *rules_text(const struct store_mongo_table *t, struct arena *a) {
    struct buf b = BUF_INIT;
    const char *out;

    for (size_t i = 0; i < t->rules_len; i++) {
        const struct store_rule *r = &t->rules[i];

        buf_addf(&b, "%s %s(", r->unique ? "unique" : "index", r->unique ? r->name : "");
        for (size_t n = 0; n < r->len; n++)
            buf_addf(&b, "%s%s%s", n ? "," : "", r->field[n],
                     r->null_counts[n] ? "?" : "");
        buf_addf(&b, ")%s", r->live ? " live" : "");
        for (size_t n = 0; r->absent[n]; n++)
            buf_addf(&b, " !%s", r->absent[n]);
        buf_adds(&b, ";");
    }
    out = b.len ? buf_to_arena(&b, a).data : "";
    buf_fini(&b);
    return out;
}

static int migrate_table(struct mongo_store *s, const struct store_mongo_table *t,
                         bool known, struct arena *a, struct status *st) {
    struct store_mongo_call call;
    int rc;

    if (store_mongo_begin(&call, s, t->name, st) < 0)
        return -1;
    rc = known ? rewrite(&call, t, st) : 0;
    if (rc == 0)
        rc = make_indexes(&call, t, a, st);
    if (rc == 0 && known)
        rc = drop_indexes(&call, t, a, st);
    store_mongo_end(&call);
    return rc;
}

static int check_format(const struct value *doc, const char *db, struct status *st) {
    double format = value_get_number(doc, "format", 0);

    if (format <= FORMAT)
        return 0;
    return st_fail(
        st, ST_CONFIGURATION, "conflict",
        "The database %s was written by a newer version (form %d, this version "
        "knows %d). Run that version, or restore a backup.",
        db, (int)format, FORMAT);
}

static const struct value *rules_now(const struct mongo_store *s, struct arena *a) {
    struct object_builder b;

    object_begin(&b, a, COLLECTION_COUNT);
    for (int c = 0; c < COLLECTION_COUNT; c++)
        object_set(&b, s->table[c].name, value_string(a, rules_text(&s->table[c], a)));
    return object_end(&b);
}

/* For people, backups and the next start: by which rules the documents are written. */
static int note(struct mongo_store *s, const struct value *rules, bool known,
                struct arena *a, struct status *st) {
    const struct value *doc = value_obj(
        a, "id", value_string(a, "schema"), "format", value_number(a, FORMAT), "version",
        value_string(a, MEMBRANE_VERSION), "migratedAt",
        value_string(a, clock_iso_now(clock_system(), a)), "rules", rules, NULL);
    int rc = 1;

    if (!known) {
        rc = store_insert(&s->base, C_META, doc, st);
        if (rc < 0 && st->key && strcmp(st->key, "already_exists") == 0) {
            st_clear(st); /* by a process that started at the same time */
            rc = 1;
        }
    }
    return rc == 1 ? store_replace(&s->base, C_META, doc, NULL, st) : rc;
}

int store_mongo_migrate(struct mongo_store *s, struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *doc = NULL, *rules = rules_now(s, a), *old;
    int rc = store_get(&s->base, a, C_META, "schema", &doc, st);
    bool known = rc == 0;

    if (rc == 1)
        rc = 0;
    if (rc == 0 && known)
        rc = check_format(doc, s->db, st);
    old = known ? value_get(doc, "rules") : &value_empty_object;
    for (int c = 0; c < COLLECTION_COUNT && rc == 0; c++)
        if (!value_string_equal(value_get(rules, s->table[c].name),
                                value_get(old, s->table[c].name)))
            rc = migrate_table(s, &s->table[c], value_has(old, s->table[c].name), a, st);
    if (rc == 0 && (!known || !value_equal(rules, old)))
        rc = note(s, rules, known, a, st);
    arena_free(&a);
    return rc < 0 ? -1 : 0;
}
