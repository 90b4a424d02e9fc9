/*
 * workspace_compare.c - comparing two exports element by element.
 *
 * Elements meet by selector (type, key, integration). Selectors are taken in the
 * order in which they first appear: per element type the base's, then the
 * target's.
 */
#include "graph/workspace_compare.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "graph/element_path.h"
#include "graph/line_diff.h"
#include "locator/coerce.h"
#include "value/value.h"
#include "yaml/yaml_dump.h"

/* One selector. */
struct pair {
    const struct value *type;
    const struct value *base;   /* element or NULL */
    const struct value *target; /* element or NULL */
};

/* uuids in order, each once. */
struct uuid_set {
    struct array_builder uuids;
    struct object_builder seen; /* identity to position or true */
};

struct comparing {
    struct arena *arena;
    const struct workspace_compare_options *options;
    const struct value *integrations; /* uuid or id to key */
    struct object_builder index;      /* selector to position in pairs */
    struct pair *pairs;
    size_t cap;
    struct uuid_set create, update, remove, replaced;
    struct object_builder changes;
    struct buf diff;
};

/* ---- Collecting ---- */

static void add_integrations(struct object_builder *b, const struct value *list) {
    for (VALUE_EACH_ITEM(integration, list)) {
        const struct value *key = value_get(integration, "key");
        const struct value *id = value_get(integration, "uuid");

        if (!value_truthy(id))
            id = value_get(integration, "id");
        if (!value_truthy(key) || !value_truthy(id))
            continue;
        id = coerce_text(b->arena, id);
        object_set_ref(b, id->str, id->len, key);
    }
}

static const struct value *integration_of(const struct comparing *c,
                                          const struct value *element) {
    const struct value *id = value_get(element, "integrationId");
    const struct value *uuid = value_get(element, "integrationUuid");
    const struct value *by = value_truthy(id) ? id : uuid;
    const struct value *key = &value_undefined;

    if (value_is_string(by) && by->len)
        key = value_get_len(c->integrations, by->str, by->len);
    if (value_truthy(key))
        return key;
    return value_truthy(uuid) ? uuid : id;
}

static struct pair *pair_for(struct comparing *c, const struct value *type,
                             const struct value *element) {
    const struct value *selector = element_selector(
        c->arena, type, value_get(element, "key"), integration_of(c, element));
    const struct value *at = object_builder_get(&c->index, selector->str, selector->len);
    size_t n = c->index.len;

    if (at)
        return &c->pairs[(size_t)at->number];
    if (n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;

        c->pairs = arena_grow(c->arena, c->pairs, c->cap * sizeof *c->pairs,
                              cap * sizeof *c->pairs);
        c->cap = cap;
    }
    object_set_ref(&c->index, selector->str, selector->len,
                   value_number(c->arena, (double)n));
    c->pairs[n] = (struct pair){.type = type};
    return &c->pairs[n];
}

static void collect_one(struct comparing *c, const struct value *type,
                        const struct value *element, bool is_target) {
    struct pair *pair = pair_for(c, type, element);

    pair->type = type;
    if (is_target)
        pair->target = element;
    else
        pair->base = element;
}

static int collect(struct comparing *c, const struct value *type,
                   const struct value *elements, bool is_target, struct status *st) {
    if (value_is_string(elements) && elements->len) {
        /* the reference takes its characters for elements without key */
        collect_one(c, type, elements, is_target);
        return 0;
    }
    if (value_truthy(elements) && !value_is_array(elements))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "Elements of type \"%s\" should be a list", type->str);
    for (VALUE_EACH_ITEM(element, elements)) {
        if (value_is_nullish(element))
            return st_fail(st, ST_BAD_REQUEST, NULL,
                           "An element of type \"%s\" should be an object", type->str);
        collect_one(c, type, element, is_target);
    }
    return 0;
}

static int collect_type(struct comparing *c, const struct member *m,
                        const struct value *base, const struct value *target,
                        struct status *st) {
    const struct value *type = value_box(c->arena, value_string_ref(m->key, m->key_len));

    if (collect(c, type, value_get_len(base, m->key, m->key_len), false, st) < 0)
        return -1;
    return collect(c, type, value_get_len(target, m->key, m->key_len), true, st);
}

/* ---- Comparing ---- */

/* A text that two uuids share when they are the same; NULL for what is only the
 * same as itself. */
static const struct value *identity_of(struct arena *a, const struct value *uuid) {
    if (value_is_object(uuid) || value_is_array(uuid))
        return NULL;
    return value_stringf(a, "%d %s", uuid->type, coerce_text(a, uuid)->str);
}

static void set_begin(struct uuid_set *set, struct arena *a) {
    array_begin(&set->uuids, a, 8);
    object_begin(&set->seen, a, 8);
}

static void add_once(struct uuid_set *set, const struct value *uuid) {
    const struct value *id = identity_of(set->uuids.arena, uuid);

    if (id) {
        if (object_builder_get(&set->seen, id->str, id->len))
            return;
        object_set_ref(&set->seen, id->str, id->len, &value_true);
    }
    array_push(&set->uuids, uuid);
}

/* As Map.set: a target seen before keeps its place and gets the new base. */
static void add_replaced(struct comparing *c, const struct value *target,
                         const struct value *base) {
    const struct value *id = identity_of(c->arena, target), *at = NULL;
    struct array_builder entry;

    array_begin(&entry, c->arena, 2);
    array_push(&entry, target);
    array_push(&entry, base);
    if (id) {
        at = object_builder_get(&c->replaced.seen, id->str, id->len);
        if (!at)
            object_set_ref(&c->replaced.seen, id->str, id->len,
                           value_number(c->arena, (double)c->replaced.uuids.len));
    }
    if (at)
        c->replaced.uuids.items[(size_t)at->number] = *array_end(&entry);
    else
        array_push(&c->replaced.uuids, array_end(&entry));
}

static void add_diff(struct comparing *c, const struct pair *pair, const char *path) {
    struct buf base = BUF_INIT, target = BUF_INIT;
    const char *old_name = arena_printf(c->arena, "a/%s", path);
    const char *new_name = arena_printf(c->arena, "b/%s", path);

    if (pair->base)
        yaml_dump(&base, pair->base, YAML_DUMP_SORT_KEYS);
    if (pair->target)
        yaml_dump(&target, pair->target, YAML_DUMP_SORT_KEYS);
    if (c->diff.len)
        buf_addc(&c->diff, '\n');
    line_diff_append(&c->diff, old_name, new_name, (struct bytes){base.data, base.len},
                     (struct bytes){target.data, target.len});
    buf_fini(&base);
    buf_fini(&target);
}

/* The list the pair's change belongs to; NULL when nothing changed. */
static struct uuid_set *change_list(struct comparing *c, const struct pair *pair) {
    if (!pair->target)
        return &c->remove;
    if (!pair->base)
        return &c->create;
    return value_equal(pair->base, pair->target) ? NULL : &c->update;
}

static int compare_pair(struct comparing *c, const struct pair *pair, struct status *st) {
    const struct value *subject = pair->target ? pair->target : pair->base;
    const struct value *uuid = value_get(subject, "uuid");
    struct uuid_set *list = change_list(c, pair);
    const struct value *path, *key;

    if (pair->base && pair->target &&
        !coerce_strict_equal(value_get(pair->base, "uuid"), uuid))
        add_replaced(c, uuid, value_get(pair->base, "uuid"));
    if (!list || (list == &c->remove && c->options->without_deletions))
        return 0;
    if (element_path_make(c->arena, pair->type, value_get(subject, "key"),
                          integration_of(c, subject), &path, st) < 0)
        return -1;
    key = coerce_text(c->arena, uuid);
    object_set_ref(&c->changes, key->str, key->len,
                   value_obj(c->arena, "elementType", pair->type, "path", path, NULL));
    add_once(list, uuid);
    if (c->options->with_diff)
        add_diff(c, pair, path->str);
    return 0;
}

/* Trailing blanks of a plain YAML text may be wide ones. */
static size_t without_trailing_space(const char *s, size_t len) {
    static const char *const wide[] = {
        "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83",
        "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88",
        "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
    };
    bool cut = true;

    while (cut) {
        cut = false;
        while (len && strchr(" \t\r\n", s[len - 1]))
            len--;
        for (size_t i = 0; i < sizeof wide / sizeof *wide && !cut && len >= 3; i++)
            cut = memcmp(s + len - 3, wide[i], 3) == 0;
        if (cut)
            len -= 3;
    }
    return len;
}

static const struct value *trimmed_diff(struct comparing *c) {
    size_t len = without_trailing_space(c->diff.data, c->diff.len);
    const struct value *text;

    text = value_string_len(c->arena, c->diff.data ? c->diff.data : "", len);
    return c->options->with_diff ? text : &value_undefined;
}

static int compare_all(struct comparing *c, const struct value *base,
                       const struct value *target, struct status *st) {
    for (VALUE_EACH_MEMBER(m, base)) {
        if (collect_type(c, m, base, target, st) < 0)
            return -1;
    }
    for (VALUE_EACH_MEMBER(t, target)) {
        if (!value_find(base, t->key, t->key_len) &&
            collect_type(c, t, base, target, st) < 0)
            return -1;
    }
    for (size_t i = 0; i < c->index.len; i++) {
        if (compare_pair(c, &c->pairs[i], st) < 0)
            return -1;
    }
    return 0;
}

int workspace_compare(struct arena *a, const struct value *base,
                      const struct value *target,
                      const struct workspace_compare_options *options,
                      struct workspace_comparison *ret_comparison, struct status *st) {
    static const struct workspace_compare_options defaults;
    struct comparing c = {.arena = a, .options = options ? options : &defaults};
    struct object_builder integrations;
    int result;

    if (value_is_nullish(base) || value_is_nullish(target))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "A workspace export should be an object");
    object_begin(&integrations, a, 16);
    add_integrations(&integrations, value_get(base, "integration"));
    add_integrations(&integrations, value_get(target, "integration"));
    c.integrations = object_end(&integrations);
    object_begin(&c.index, a, 64);
    object_begin(&c.changes, a, 16);
    set_begin(&c.create, a);
    set_begin(&c.update, a);
    set_begin(&c.remove, a);
    set_begin(&c.replaced, a);

    result = compare_all(&c, base, target, st);
    if (result == 0)
        *ret_comparison = (struct workspace_comparison){
            array_end(&c.create.uuids),   array_end(&c.update.uuids),
            array_end(&c.remove.uuids),   object_end(&c.changes),
            array_end(&c.replaced.uuids), trimmed_diff(&c),
        };
    buf_fini(&c.diff);
    return result;
}

const struct value *workspace_comparison_value(struct arena *a,
                                               const struct workspace_comparison *c) {
    struct object_builder replaced, b;

    object_begin(&replaced, a, c->replaced->len);
    for (VALUE_EACH_ITEM(entry, c->replaced)) {
        const struct value *target = coerce_text(a, &entry->items[0]);

        object_set_ref(&replaced, target->str, target->len, &entry->items[1]);
    }
    object_begin(&b, a, 4);
    object_set(&b, "comparison",
               value_obj(a, "create", c->create, "update", c->update, "delete", c->remove,
                         NULL));
    object_set(&b, "changes", c->changes);
    object_set(&b, "baseUuidByTargetUuid", object_end(&replaced));
    if (!value_is(c->diff, VALUE_UNDEFINED))
        object_set(&b, "diff", c->diff);
    return object_end(&b);
}
