/*
 * store_mongo_query.c - conditions, order and cursors as MongoDB's.
 *
 * A condition on a key (see store_mongo_priv.h) is exact. Comparison operators of the
 * server look at one type only: at numbers or at text, hence the alternatives. Of other
 * fields the server is asked what surely holds of every match, so that less is sent; the
 * conditions themselves are then asked of what came (rest).
 */
#include "store_mongo_priv.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

enum { MAX_HINT_SEGMENTS = 20, MAX_HINT_TEXT = 1000 };

const char *store_mongo_field(const struct store_mongo_table *t, const char *path) {
    if (strcmp(path, "id") == 0)
        return "_id";
    for (size_t i = 0; i < t->columns_len; i++)
        if (strcmp(t->column[i], path) == 0)
            return t->field[i];
    return NULL;
}

/* ---- What the server can tell ---- */

/* Values that the server finds by equality wherever they stand. */
static bool is_plain(const struct value *v) {
    return v->type == VALUE_STRING || v->type == VALUE_BOOL ||
           (v->type == VALUE_NUMBER && isfinite(v->number) && fabs(v->number) < 1e300);
}

static bool can_hint(const struct store_filter *f) {
    size_t segments = 1;

    for (const char *p = f->field; *p; p++)
        segments += *p == '.';
    if (segments > MAX_HINT_SEGMENTS)
        return false;
    switch (f->op) {
    case STORE_EQ:
    case STORE_HAS_ITEM:
        return is_plain(f->value);
    case STORE_IN:
        for (VALUE_EACH_ITEM(item, f->value))
            if (!is_plain(item))
                return false;
        return true;
    case STORE_CONTAINS:
        return value_is_string(f->value) && f->value->len <= MAX_HINT_TEXT &&
               strlen(f->value->str) == f->value->len;
    default:
        return false;
    }
}

static enum store_mongo_cover cover_group(const struct store_mongo_table *t,
                                          const struct store_filter *f) {
    size_t none = 0, exact = 0;

    for (size_t i = 0; i < f->of_len; i++) {
        enum store_mongo_cover c = store_mongo_cover(t, f->of[i]);

        none += c == MONGO_COVER_NONE;
        exact += c == MONGO_COVER_EXACT;
    }
    if (exact == f->of_len)
        return MONGO_COVER_EXACT;
    if (f->op == STORE_OR ? none > 0 : none == f->of_len)
        return MONGO_COVER_NONE;
    return MONGO_COVER_SUPERSET;
}

enum store_mongo_cover store_mongo_cover(const struct store_mongo_table *t,
                                         const struct store_filter *f) {
    if (!f)
        return MONGO_COVER_EXACT;
    switch (f->op) {
    case STORE_ALL:
        return MONGO_COVER_EXACT;
    case STORE_AND:
    case STORE_OR:
        return cover_group(t, f);
    case STORE_CONTAINS:
    case STORE_HAS_ITEM:
        break;
    default:
        if (store_mongo_field(t, f->field))
            return MONGO_COVER_EXACT;
        break;
    }
    return can_hint(f) ? MONGO_COVER_SUPERSET : MONGO_COVER_NONE;
}

/* ---- Conditions on keys ---- */

/* {field: {op: key}} */
static void add_op(bson_t *out, struct arena *a, const char *field, const char *op,
                   const struct store_key *k) {
    bson_t child;

    bson_append_document_begin(out, field, -1, &child);
    if (k->rank == RANK_NULL)
        bson_append_null(&child, op, -1);
    else
        store_mongo_append_key(&child, op, a, k);
    bson_append_document_end(out, &child);
}

static void add_null(bson_t *out, const char *field) {
    bson_append_null(out, field, -1);
}

/* Holds of no document. */
static void add_never(bson_t *out) {
    bson_t in, list;

    bson_append_document_begin(out, "_id", -1, &in);
    bson_append_array_begin(&in, "$in", -1, &list);
    bson_append_array_end(&in, &list);
    bson_append_document_end(out, &in);
}

/* A group under construction: "$and" or "$or" and its members. */
struct group {
    bson_t list, item;
    uint32_t len;
};

static void group_begin(struct group *g, bson_t *out, const char *op) {
    bson_append_array_begin(out, op, -1, &g->list);
    g->len = 0;
}

static bson_t *group_item(struct group *g) {
    char space[16];
    const char *key;
    size_t len = bson_uint32_to_string(g->len++, &key, space, sizeof(space));

    bson_append_document_begin(&g->list, key, (int)len, &g->item);
    return &g->item;
}

static void group_item_end(struct group *g) {
    bson_append_document_end(&g->list, &g->item);
}

static void group_end(struct group *g, bson_t *out) {
    bson_append_array_end(out, &g->list);
}

/* The key is behind k, or at it. */
static void add_above(bson_t *out, struct arena *a, const char *field,
                      const struct store_key *k, bool or_at) {
    static const struct store_key text = {RANK_TEXT, 0, {"", 0}};
    struct group g;

    if (k->rank == RANK_NULL) {
        if (!or_at)
            add_op(out, a, field, "$ne", k);
        return;
    }
    if (k->rank > RANK_NUMBER) {
        add_op(out, a, field, or_at ? "$gte" : "$gt", k);
        return;
    }
    group_begin(&g, out, "$or");
    add_op(group_item(&g), a, field, or_at ? "$gte" : "$gt", k);
    group_item_end(&g);
    add_op(group_item(&g), a, field, "$gte", &text);
    group_item_end(&g);
    group_end(&g, out);
}

/* The key is before k, or at it. */
static void add_below(bson_t *out, struct arena *a, const char *field,
                      const struct store_key *k, bool or_at) {
    struct group g;
    bson_t child;

    if (k->rank == RANK_NULL) {
        if (or_at)
            add_null(out, field);
        else
            add_never(out);
        return;
    }
    if (k->rank > RANK_NUMBER) { /* nothing is above text */
        bson_append_document_begin(out, field, -1, &child);
        add_op(&child, a, "$not", or_at ? "$gt" : "$gte", k);
        bson_append_document_end(out, &child);
        return;
    }
    group_begin(&g, out, "$or");
    add_null(group_item(&g), field);
    group_item_end(&g);
    add_op(group_item(&g), a, field, or_at ? "$lte" : "$lt", k);
    group_item_end(&g);
    group_end(&g, out);
}

static void add_in(bson_t *out, struct arena *a, const char *field,
                   const struct store_filter *f) {
    char space[16];
    const char *key;
    uint32_t n = 0;
    bson_t in, list;

    bson_append_document_begin(out, field, -1, &in);
    bson_append_array_begin(&in, "$in", -1, &list);
    for (VALUE_EACH_ITEM(item, f->value)) {
        struct store_key k = store_key_of(a, item);

        bson_uint32_to_string(n++, &key, space, sizeof(space));
        if (k.rank == RANK_NULL)
            bson_append_null(&list, key, -1);
        else
            store_mongo_append_key(&list, key, a, &k);
    }
    bson_append_array_end(&in, &list);
    bson_append_document_end(out, &in);
}

static void add_exact(bson_t *out, struct arena *a, const char *field,
                      const struct store_filter *f) {
    struct store_key k = {RANK_NULL, 0, {NULL, 0}};

    if (f->op != STORE_IN && f->op != STORE_EXISTS && f->op != STORE_ABSENT)
        k = store_key_of(a, f->value);
    switch (f->op) {
    case STORE_EQ:
    case STORE_ABSENT:
        if (k.rank == RANK_NULL)
            add_null(out, field);
        else
            store_mongo_append_key(out, field, a, &k);
        break;
    case STORE_NE:
    case STORE_EXISTS:
        add_op(out, a, field, "$ne", &k);
        break;
    case STORE_LT:
    case STORE_LE:
        add_below(out, a, field, &k, f->op == STORE_LE);
        break;
    case STORE_GT:
    case STORE_GE:
        add_above(out, a, field, &k, f->op == STORE_GE);
        break;
    case STORE_IN:
        add_in(out, a, field, f);
        break;
    default:
        break;
    }
}

/* ---- Hints on other fields ---- */

static const char *stored_path(struct arena *a, const char *path) {
    struct buf b = BUF_INIT;
    const char *out;

    buf_addc(&b, 'd');
    for (;;) {
        size_t len = strcspn(path, ".");

        buf_addc(&b, '.');
        buf_adds(&b, store_mongo_name(a, arena_memdup(a, path, len), len));
        if (!path[len])
            break;
        path += len + 1;
    }
    out = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return out;
}

static void add_plain(bson_t *out, const char *key, const struct value *v) {
    if (v->type == VALUE_NUMBER)
        bson_append_double(out, key, -1, v->number + 0.0);
    else
        store_mongo_append(out, key, -1, v, 0);
}

static void add_regex(bson_t *out, struct arena *a, const char *field,
                      const struct value *v) {
    struct bytes text = store_mongo_text(a, value_bytes(v));
    char *pattern = arena_alloc(a, text.len * 2 + 1), *p = pattern;
    bson_t child;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c < 0x80 && !isalnum(c))
            *p++ = '\\';
        *p++ = (char)c;
    }
    *p = '\0';
    bson_append_document_begin(out, field, -1, &child);
    bson_append_utf8(&child, "$regex", -1, pattern, (int)(p - pattern));
    bson_append_utf8(&child, "$options", -1, "i", 1);
    bson_append_document_end(out, &child);
}

static void add_hint(bson_t *out, struct arena *a, const struct store_filter *f) {
    const char *field = stored_path(a, f->field), *key;
    char space[16];
    uint32_t n = 0;
    bson_t in, list;

    if (f->op == STORE_CONTAINS) {
        add_regex(out, a, field, f->value);
        return;
    }
    if (f->op != STORE_IN) {
        add_plain(out, field, f->value);
        return;
    }
    bson_append_document_begin(out, field, -1, &in);
    bson_append_array_begin(&in, "$in", -1, &list);
    for (VALUE_EACH_ITEM(item, f->value)) {
        bson_uint32_to_string(n++, &key, space, sizeof(space));
        add_plain(&list, key, item);
    }
    bson_append_array_end(&in, &list);
    bson_append_document_end(out, &in);
}

/* ---- Whole conditions ---- */

static void add_filter(const struct store_mongo_table *t, struct arena *a, bson_t *out,
                       const struct store_filter *f);

static void add_group(const struct store_mongo_table *t, struct arena *a, bson_t *out,
                      const struct store_filter *f) {
    struct group g;

    if (f->of_len == 0) {
        if (f->op == STORE_OR)
            add_never(out);
        return;
    }
    group_begin(&g, out, f->op == STORE_AND ? "$and" : "$or");
    for (size_t i = 0; i < f->of_len; i++) {
        if (store_mongo_cover(t, f->of[i]) == MONGO_COVER_NONE)
            continue;
        add_filter(t, a, group_item(&g), f->of[i]);
        group_item_end(&g);
    }
    group_end(&g, out);
}

static void add_filter(const struct store_mongo_table *t, struct arena *a, bson_t *out,
                       const struct store_filter *f) {
    const char *field;

    if (f->op == STORE_AND || f->op == STORE_OR) {
        add_group(t, a, out, f);
    } else if (f->op != STORE_ALL) {
        field = store_mongo_field(t, f->field);
        if (field && f->op != STORE_CONTAINS && f->op != STORE_HAS_ITEM)
            add_exact(out, a, field, f);
        else
            add_hint(out, a, f);
    }
}

void store_mongo_where(const struct store_mongo_table *t, struct arena *a, bson_t *out,
                       const struct store_filter *f) {
    if (f && store_mongo_cover(t, f) != MONGO_COVER_NONE)
        add_filter(t, a, out, f);
}

/* ---- Order and cursor ---- */

static void add_step(bson_t *out, struct arena *a, const char *field, bool descending,
                     const struct store_key *k, bool or_at) {
    if (descending)
        add_below(out, a, field, k, or_at);
    else
        add_above(out, a, field, k, or_at);
}

static struct store_key id_key(const struct store_position *pos) {
    return (struct store_key){RANK_TEXT, 0, {pos->id, strlen(pos->id)}};
}

/*
 * Behind the position: the first i fields are equal and the next is behind, for any i. A
 * bound on the first field, which follows from that, is what an index serves.
 */
static void add_after(const struct store_mongo_table *t, struct arena *a, bson_t *out,
                      const struct store_query *q, const struct store_position *pos) {
    size_t sorts = store_sort_count(q);
    struct store_key id = id_key(pos);
    struct group all, any, equal;

    group_begin(&all, out, "$and");
    if (sorts) {
        add_step(group_item(&all), a, store_mongo_field(t, q->sort[0].field),
                 q->sort[0].descending, &pos->key[0], true);
        group_item_end(&all);
    }
    group_begin(&any, group_item(&all), "$or");
    for (size_t n = 0; n <= sorts; n++) {
        group_begin(&equal, group_item(&any), "$and");
        for (size_t i = 0; i < n; i++) {
            struct store_filter f = {.op = STORE_ABSENT};
            bson_t *item = group_item(&equal);
            const char *field = store_mongo_field(t, q->sort[i].field);

            if (pos->key[i].rank == RANK_NULL)
                add_exact(item, a, field, &f);
            else
                store_mongo_append_key(item, field, a, &pos->key[i]);
            group_item_end(&equal);
        }
        add_step(group_item(&equal), a,
                 n < sorts ? store_mongo_field(t, q->sort[n].field) : "_id",
                 n < sorts ? q->sort[n].descending : store_sort_id_descending(q),
                 n < sorts ? &pos->key[n] : &id, false);
        group_item_end(&equal);
        group_end(&equal, &any.item);
        group_item_end(&any);
    }
    group_end(&any, &all.item);
    group_item_end(&all);
    group_end(&all, out);
}

static void add_order(const struct store_mongo_table *t, bson_t *opts,
                      const struct store_query *q) {
    size_t sorts = store_sort_count(q);
    bool has_id = false;
    bson_iter_t seen;
    bson_t sort;

    bson_append_document_begin(opts, "sort", -1, &sort);
    for (size_t i = 0; i < sorts && !has_id; i++) {
        const char *field = store_mongo_field(t, q->sort[i].field);

        if (!bson_iter_init_find(&seen, &sort, field)) /* a literal name */
            bson_append_int32(&sort, field, -1, q->sort[i].descending ? -1 : 1);
        has_id = strcmp(field, "_id") == 0;
    }
    if (!has_id)
        bson_append_int32(&sort, "_id", -1, store_sort_id_descending(q) ? -1 : 1);
    bson_append_document_end(opts, &sort);
}

static bool order_is_known(const struct store_mongo_table *t,
                           const struct store_query *q) {
    for (size_t i = 0; i < store_sort_count(q); i++)
        if (!store_mongo_field(t, q->sort[i].field))
            return false;
    return true;
}

int store_mongo_query(const struct store_mongo_table *t, struct arena *a,
                      const struct store_query *q, struct store_mongo_query *ret,
                      struct status *st) {
    int from = store_cursor_parse(a, q, &ret->after, st);
    struct group all;
    bson_t projection;

    if (from < 0)
        return -1;
    ret->filter = store_mongo_bson(a);
    ret->opts = store_mongo_bson(a);
    ret->rest = store_mongo_cover(t, q->where) == MONGO_COVER_EXACT ? NULL : q->where;
    ret->sorted = order_is_known(t, q);
    ret->from_start = from == 1;
    if (ret->sorted && !ret->from_start) {
        group_begin(&all, ret->filter, "$and");
        store_mongo_where(t, a, group_item(&all), q->where);
        group_item_end(&all);
        add_after(t, a, group_item(&all), q, &ret->after);
        group_item_end(&all);
        group_end(&all, ret->filter);
    } else {
        store_mongo_where(t, a, ret->filter, q->where);
    }
    if (ret->sorted)
        add_order(t, ret->opts, q);
    if (ret->sorted && !ret->rest)
        bson_append_int64(ret->opts, "limit", -1, (int64_t)q->limit);
    bson_append_document_begin(ret->opts, "projection", -1, &projection);
    bson_append_int32(&projection, "v", -1, 1);
    bson_append_int32(&projection, "d", -1, 1);
    bson_append_document_end(ret->opts, &projection);
    return 0;
}
