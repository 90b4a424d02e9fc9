/*
 * store_rules.c - the rows of collections.def as tables.
 */
#include "store_priv.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

struct row {
    enum collection collection;
    bool unique;
    const char *name, *fields, *where;
};

static const struct row rows[] = {
#define INDEX(c, name, fields)         {c, false, name, fields, ""},
#define UNIQUE(c, name, fields, where) {c, true, name, fields, where},
#include "collections.def"
};

static const bool cached[COLLECTION_COUNT] = {
#define CACHED(c) [c] = true,
#include "collections.def"
};

bool store_collection_cached(enum collection c) {
    return cached[c];
}

static void parse_fields(struct store_rule *r, char *text) {
    char *save = NULL;

    for (char *f = strtok_r(text, ",", &save); f; f = strtok_r(NULL, ",", &save)) {
        size_t len = strlen(f);

        assert(r->len < STORE_RULE_FIELDS);
        if ((r->null_counts[r->len] = f[len - 1] == '?'))
            f[len - 1] = '\0';
        r->field[r->len++] = f;
    }
    assert(r->len > 0);
}

static void parse_where(struct store_rule *r, char *text) {
    size_t n = 0;
    char *save = NULL;

    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        if (strcmp(w, "live") == 0) {
            r->live = true;
            continue;
        }
        assert(*w == '!' && n < STORE_RULE_ABSENT);
        r->absent[n++] = w + 1;
    }
}

static void parse(struct store_rule *r, const struct row *row) {
    size_t fields = strlen(row->fields), where = strlen(row->where);

    assert(fields + where + 2 <= sizeof(r->text));
    memcpy(r->text, row->fields, fields + 1);
    memcpy(r->text + fields + 1, row->where, where + 1);
    r->collection = row->collection;
    r->name = row->name;
    r->unique = row->unique;
    parse_fields(r, r->text);
    parse_where(r, r->text + fields + 1);
}

const struct store_rule *store_rules_of(struct arena *a, enum collection c,
                                        size_t *ret_len) {
    struct store_rule *out;
    size_t n = 0;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        n += rows[i].collection == c;
    out = arena_zalloc(a, n * sizeof(*out));
    *ret_len = n;
    n = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].collection == c)
            parse(&out[n++], &rows[i]);
    return out;
}

int store_fail_exists(struct status *st, enum collection c, const char *index) {
    const struct value *data = value_obj(
        st->arena, "collection", value_string(st->arena, store_collection_name(c)),
        "index", value_string(st->arena, index), NULL);

    return st_fail_data(st, ST_BAD_REQUEST, "already_exists", data,
                        "Another of the %s has the same %s.", store_collection_name(c),
                        index);
}
