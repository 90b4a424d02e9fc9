/*
 * jsonata_transform.c - the operator | pattern | update, delete |.
 *
 * The library clones its argument and changes the matched objects in place. Here
 * values are immutable: the clone gives every object members of its own, whose
 * address is the object's identity, and a table from identity to the object as
 * it is now stands for the changes. Whatever is read is resolved through it.
 */
#include "jsonata_priv.h"

#include <string.h>

#include "base/arena.h"

struct change {
    const struct member *identity;
    struct value now;
};

struct changes {
    struct ev *ev;
    struct change *table; /* open addressing */
    size_t len, cap;
};

static size_t slot_of(const struct changes *c, const struct member *identity) {
    size_t at =
        ((size_t)(uintptr_t)identity / sizeof(struct member) * 0x9E3779B97F4A7C15u >>
         20) &
        (c->cap - 1);

    while (c->table[at].identity && c->table[at].identity != identity)
        at = (at + 1) & (c->cap - 1);
    return at;
}

static void put(struct changes *c, const struct member *identity, struct value now) {
    size_t at;

    if ((c->len + 1) * 2 > c->cap) {
        struct changes bigger = {c->ev, NULL, c->len, c->cap ? c->cap * 2 : 32};

        bigger.table = arena_zalloc(c->ev->arena, bigger.cap * sizeof(*bigger.table));
        for (size_t i = 0; i < c->cap; i++)
            if (c->table[i].identity)
                bigger.table[slot_of(&bigger, c->table[i].identity)] = c->table[i];
        *c = bigger;
    }
    at = slot_of(c, identity);
    if (!c->table[at].identity)
        c->len++;
    c->table[at] = (struct change){identity, now};
}

static const struct value *find(const struct changes *c, const struct member *identity) {
    const struct change *found;

    if (!c->cap)
        return NULL;
    found = &c->table[slot_of(c, identity)];
    return found->identity ? &found->now : NULL;
}

static int resolve(struct changes *c, struct value v, struct value *out);

static int resolve_array(struct changes *c, struct value v, struct value *out) {
    struct value *items = NULL;

    for (size_t i = 0; i < v.len; i++) {
        struct value item;

        if (resolve(c, v.items[i], &item) < 0)
            return -1;
        if (!items && item.type == v.items[i].type && item.items == v.items[i].items &&
            item.len == v.items[i].len)
            continue;
        if (!items) {
            items = arena_alloc(c->ev->arena, v.len * sizeof(*items));
            memcpy(items, v.items, v.len * sizeof(*items));
        }
        items[i] = item;
    }
    if (items)
        v.items = items;
    *out = v;
    return 0;
}

static int resolve_object(struct changes *c, struct value v, struct value *out) {
    const struct value *now = find(c, v.members);
    struct object_builder b = {.arena = NULL};

    if (now)
        v = *now;
    for (VALUE_EACH_MEMBER(m, &v)) {
        struct value member;

        if (resolve(c, m->value, &member) < 0)
            return -1;
        if (member.type == m->value.type && member.items == m->value.items &&
            member.len == m->value.len)
            continue;
        if (!b.arena) {
            object_begin(&b, c->ev->arena, v.len);
            object_set_all(&b, &v);
        }
        object_set_ref(&b, m->key, m->key_len, &member);
    }
    *out = b.arena ? *object_end(&b) : v;
    return 0;
}

/* v with all changes in it. */
static int resolve(struct changes *c, struct value v, struct value *out) {
    int rc;

    *out = v;
    if (v.type != VALUE_ARRAY && v.type != VALUE_OBJECT)
        return 0;
    if (jsonata_enter(c->ev) < 0)
        return -1;
    rc = v.type == VALUE_ARRAY ? resolve_array(c, v, out) : resolve_object(c, v, out);
    c->ev->depth--;
    return rc;
}

static int fail_clause(struct ev *ev, const char *code, const struct node *n,
                       struct value v) {
    jsonata_fail_value(ev, code, v);
    ev->failure.position = n->position;
    return -1;
}

/* The names to delete, as an array of strings; undefined when there are none. */
static int deletions(struct ev *ev, const struct function *fn, struct value match,
                     struct value *out) {
    struct value v;

    *out = value_undefined;
    if (!fn->node->third)
        return 0;
    if (jsonata_evaluate(ev, fn->node->third, match, fn->env, &v) < 0)
        return -1;
    if (is_undefined(v))
        return 0;
    if (!is_array(v)) {
        struct value *one = arena_alloc(ev->arena, sizeof(*one));

        *one = v;
        *out = (struct value){.type = VALUE_ARRAY, .len = 1, .items = one};
    } else {
        *out = v;
    }
    for (size_t i = 0; i < out->len; i++)
        if (out->items[i].type != VALUE_STRING)
            return fail_clause(ev, "T2012", fn->node->third, v);
    return 0;
}

/* The object as it is now, with an identity of its own: an update that holds its
 * context must not come to hold itself. */
static struct value snapshot(struct ev *ev, struct value v) {
    struct object_builder b;

    if (v.type != VALUE_OBJECT)
        return v;
    object_begin(&b, ev->arena, v.len);
    object_set_all(&b, &v);
    return *object_end(&b);
}

/* match: as the clone has it; it is matched by its identity. */
static int change_one(struct changes *c, const struct function *fn, struct value match) {
    struct ev *ev = c->ev;
    struct value update, names, current, now;
    const struct value *changed;
    struct object_builder b;

    if (resolve(c, match, &current) < 0 ||
        jsonata_evaluate(ev, fn->node->rhs, snapshot(ev, current), fn->env, &update) < 0)
        return -1;
    if (!is_undefined(update) && update.type != VALUE_OBJECT && update.type != VALUE_DATE)
        return fail_clause(ev, "T2011", fn->node->rhs, update);
    if (match.type != VALUE_OBJECT) {
        if (value_members_count(&update) && !is_array(match))
            return jsonata_fail_type(ev, "Cannot create a property on a value");
        return deletions(ev, fn, current, &names);
    }
    changed = find(c, match.members);
    now = changed ? *changed : match;
    if (value_members_count(&update)) {
        object_begin(&b, ev->arena, now.len + update.len);
        object_set_all(&b, &now);
        object_set_all(&b, &update);
        now = *object_end(&b);
        put(c, match.members, now);
        if (resolve(c, match, &current) < 0)
            return -1;
    }
    if (deletions(ev, fn, current, &names) < 0)
        return -1;
    if (is_undefined(names))
        return 0;
    object_begin(&b, ev->arena, now.len);
    object_set_all(&b, &now);
    for (size_t i = 0; i < names.len; i++)
        object_delete(&b, names.items[i].str, names.items[i].len);
    put(c, match.members, *object_end(&b));
    return 0;
}

int jsonata_transform(struct ev *ev, const struct function *fn, struct value object,
                      struct value *out) {
    struct changes changes = {.ev = ev};
    struct value copy, matches;

    *out = value_undefined;
    if (is_undefined(object))
        return 0;
    if (jsonata_clone(ev, object, &copy) < 0 ||
        jsonata_evaluate(ev, fn->node->lhs, copy, fn->env, &matches) < 0)
        return -1;
    if (!is_array(matches)) {
        if (!is_undefined(matches) && change_one(&changes, fn, matches) < 0)
            return -1;
    } else {
        for (size_t i = 0; i < matches.len; i++)
            if (change_one(&changes, fn, matches.items[i]) < 0)
                return -1;
    }
    return changes.len ? resolve(&changes, copy, out) : (*out = copy, 0);
}
