/*
 * The same random operations on the double and on a database: every answer must be the
 * same. C_ACTIONS has columns for most fields used here, C_LEASES has none.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "mongo_peer.h"
#include "store/store.h"
#include "value/value.h"

enum { STEPS = 6000, MONGO_STEPS = 3000, IDS = 40 };

static uint64_t seed, first_seed = 0x9e3779b97f4a7c15u;
/* The server in Java orders text by UTF-16 code units, where MongoDB takes the bytes. */
static bool has_surrogates = true;

static unsigned roll(unsigned n) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

static const char *pick_field(void) {
    static const char *const fields[] = {
        "key",         "workspaceId", "integrationId", "connectionId", "createdAt",
        "archivedAt",  "id",          "extra",         "extra.a",      "extra.0",
        "instanceKey", "extra.a.b",   "parentId",      "uuid"};

    return fields[roll(sizeof(fields) / sizeof(*fields))];
}

static const struct value *random_text(struct arena *a) {
    static const char *const texts[] = {"",  "a",        "b",   "A",    "ab",
                                        "1", "\xc3\xa9", "[1]", "null", "\xed\xa0\x80"};
    size_t n = sizeof(texts) / sizeof(*texts) - !has_surrogates;

    return roll(20) == 0 ? value_string_len(a, "a\0b", 3)
                         : value_string(a, texts[roll((unsigned)n)]);
}

static const struct value *random_value(struct arena *a, int depth) {
    static const double numbers[] = {
        0, -0.0, 1, -1, 2, 0.5, 1e300, -1e300, -1.7976931348623157e308, 5e-324};
    struct array_builder b;

    switch (roll(depth ? 10 : 7)) {
    case 0:
        return &value_null;
    case 1:
        return roll(2) ? &value_true : &value_false;
    case 2:
        return value_number(a, numbers[roll(sizeof(numbers) / sizeof(*numbers))]);
    case 7:
    case 8:
        array_begin(&b, a, 0);
        for (unsigned n = roll(3); n > 0; n--)
            array_push(&b, random_value(a, depth - 1));
        return array_end(&b);
    case 9:
        return value_obj(a, "a", random_value(a, depth - 1), "b",
                         roll(2) ? random_value(a, depth - 1) : NULL, NULL);
    default:
        return random_text(a);
    }
}

static const char *random_id(struct arena *a) {
    return arena_printf(a, "%02u", roll(IDS));
}

static const struct value *random_doc(struct arena *a, const char *id) {
    struct object_builder b;

    object_begin(&b, a, 0);
    for (unsigned n = roll(8); n > 0; n--) {
        const char *field = pick_field();

        if (!strchr(field, '.') && strcmp(field, "id") != 0)
            object_set(&b, field, random_value(a, 2));
    }
    object_set_string(&b, "id", id);
    return object_end(&b);
}

static const struct store_filter *random_filter(struct arena *a, int depth) {
    struct array_builder b;
    unsigned op = roll(depth ? 16 : 12);

    switch (op) {
    case STORE_ALL:
        return store_cmp(a, STORE_ALL, NULL, NULL);
    case STORE_IN:
        array_begin(&b, a, 0);
        for (unsigned n = roll(5); n > 0; n--)
            array_push(&b, random_value(a, 1));
        return store_cmp(a, STORE_IN, pick_field(), array_end(&b));
    case 12:
    case 13:
        return store_and(a, random_filter(a, depth - 1), random_filter(a, depth - 1),
                         NULL);
    case 14:
    case 15:
        return store_or(a, random_filter(a, depth - 1), random_filter(a, depth - 1),
                        random_filter(a, depth - 1), NULL);
    default:
        return store_cmp(a, (enum store_op)op, pick_field(), random_value(a, 1));
    }
}

/* For people: what was asked. */
static void describe(struct buf *b, const struct store_filter *f) {
    buf_addf(b, "(op%d %s ", f->op, f->field ? f->field : "");
    if (f->value)
        value_encode(b, f->value, 0);
    for (size_t i = 0; i < f->of_len; i++)
        describe(b, f->of[i]);
    buf_addc(b, ')');
}

static struct store_query random_query(struct arena *a, struct buf *out) {
    struct store_query q = {.where = roll(4) ? random_filter(a, 2) : NULL,
                            .limit = roll(2) ? roll(6) + 1 : 0};

    for (unsigned i = 0, n = roll(4); i < n; i++) {
        q.sort[i] = (struct store_sort){pick_field(), roll(2)};
        buf_addf(out, "%c%s ", q.sort[i].descending ? '-' : '+', q.sort[i].field);
    }
    if (q.where)
        describe(out, q.where);
    return q;
}

static struct store_change random_change(struct arena *a) {
    const char **unset = arena_zalloc(a, 3 * sizeof(*unset));
    struct object_builder b;

    object_begin(&b, a, 0);
    for (unsigned n = roll(3); n > 0; n--)
        object_set(&b, pick_field(), random_value(a, 2));
    if (roll(2))
        unset[0] = pick_field();
    return (struct store_change){
        object_end(&b), unset,
        roll(4) ? NULL : value_obj(a, pick_field(), value_number(a, roll(3)), NULL)};
}

/* Does one operation; writes what came of it as text. The seed decides which. */
static void step(struct store *s, struct arena *a, uint64_t from, struct buf *out) {
    enum collection c;
    struct store_query q;
    struct store_page page;
    struct store_change change;
    const struct value *doc = NULL;
    struct status st;
    uint64_t n = 0;
    int rc = 0;

    st_init(&st, a);
    seed = from;
    c = roll(2) ? C_ACTIONS : C_LEASES;
    switch (roll(12)) {
    case 0:
    case 1:
    case 2:
        rc = store_insert(s, c, random_doc(a, random_id(a)), &st);
        break;
    case 3:
        rc = store_get(s, a, c, random_id(a), &doc, &st);
        break;
    case 4:
        q = random_query(a, out);
        rc = store_find(s, a, c, &q, &doc, &st);
        break;
    case 5:
    case 6:
        q = random_query(a, out);
        do {
            rc = store_list(s, a, c, &q, &page, &st);
            if (rc == 0)
                value_encode(out, page.items, 0);
            q.cursor = page.cursor;
        } while (rc == 0 && page.cursor);
        break;
    case 7:
        rc = store_count(s, c, random_filter(a, 2), &n, &st);
        break;
    case 8:
        doc = random_doc(a, random_id(a));
        rc = store_replace(s, c, doc, roll(2) ? random_filter(a, 1) : NULL, &st);
        break;
    case 9:
        change = random_change(a);
        rc = store_update(s, a, c, random_id(a), roll(2) ? random_filter(a, 1) : NULL,
                          &change, &doc, &st);
        break;
    case 10:
        change = random_change(a);
        q = random_query(a, out);
        rc = store_claim(s, a, c, &q, &change, &doc, &st);
        break;
    case 11:
        rc = roll(8) ? store_delete(s, c, random_id(a),
                                    roll(2) ? random_filter(a, 1) : NULL, &st)
                     : store_delete_many(s, c, random_filter(a, 1), &n, &st);
        break;
    }
    buf_addf(out, " rc %d n %d ", rc, (int)n);
    if (rc < 0) {
        buf_addf(out, "%s ", st.message);
        value_encode(out, st.data ? st.data : &value_null, 0);
    } else if (doc) {
        value_encode(out, doc, 0);
    }
}

static void same_answers(struct store *memory, struct store *database, int steps) {
    struct buf x = BUF_INIT, y = BUF_INIT;
    uint64_t next = first_seed;

    for (int i = 0; i < steps; i++) {
        struct arena *a = arena_new(0);

        buf_clear(&x);
        buf_clear(&y);
        step(memory, a, next, &x);
        step(database, a, next, &y);
        next = seed;
        if (strcmp(x.data, y.data) != 0)
            fail_msg("step %d\ndouble: %s\ndatabase: %s", i, x.data, y.data);
        arena_free(&a);
    }
    buf_fini(&x);
    buf_fini(&y);
}

static int remove_entry(const char *name, const struct stat *info, int type,
                        struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(name);
}

static void the_double_and_sqlite_give_the_same_answers(void **state) {
    char dir[] = "/tmp/test-store-XXXXXX";
    struct arena *setup = arena_new(0);
    struct store *memory = store_open_memory(), *sqlite = NULL;
    struct status st;

    (void)state;
    st_init(&st, setup);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(store_open_sqlite(dir, &sqlite, &st), 0);
    same_answers(memory, sqlite, STEPS);
    store_close(&memory);
    store_close(&sqlite);
    arena_free(&setup);
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void the_double_and_mongodb_give_the_same_answers(void **state) {
    struct mongo_peer peer;
    struct arena *setup = arena_new(0);
    struct store *memory = store_open_memory(), *mongo = NULL;
    struct store_mongo_options o = {0};
    struct status st;

    (void)state;
    mongo_peer_start(&peer, false);
    has_surrogates = mongo_peer_is_mongod();
    o.uri = mongo_peer_uri(&peer, "differential");
    st_init(&st, setup);
    if (store_open_mongo(&o, &mongo, &st) < 0)
        fail_msg("%s", st.message);
    same_answers(memory, mongo, MONGO_STEPS);
    store_close(&memory);
    store_close(&mongo);
    arena_free(&setup);
    mongo_peer_stop(&peer);
}

/* Usage: test_store_differential sqlite|mongodb [seed] */
int main(int argc, char **argv) {
    const struct CMUnitTest sqlite[] = {
        cmocka_unit_test(the_double_and_sqlite_give_the_same_answers),
    };
    const struct CMUnitTest mongodb[] = {
        cmocka_unit_test(the_double_and_mongodb_give_the_same_answers),
    };

    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 0);
    return argc > 1 && strcmp(argv[1], "mongodb") == 0
               ? cmocka_run_group_tests(mongodb, NULL, NULL)
               : cmocka_run_group_tests(sqlite, NULL, NULL);
}
