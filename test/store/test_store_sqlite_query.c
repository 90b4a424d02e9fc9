/*
 * Common look-ups, lists and pages are served by an index, in its order: no scan of the
 * table, no sorting.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "store/store_sqlite_priv.h"
#include "value/value.h"

static char dir[64];
static struct arena *a;
static struct status st;
static struct store *s;

static int remove_entry(const char *name, const struct stat *info, int type,
                        struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(name);
}

static int setup(void **state) {
    (void)state;
    a = arena_new(0);
    st_init(&st, a);
    strcpy(dir, "/tmp/test-query-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return store_open_sqlite(dir, &s, &st);
}

static int teardown(void **state) {
    (void)state;
    store_close(&s);
    arena_free(&a);
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static const char *plan(enum collection c, const struct store_query *q) {
    struct sqlite_store *sq = (struct sqlite_store *)s;
    struct store_sqlite_query sql;
    struct store_sqlite_conn *conn;
    sqlite3_stmt *stmt;
    char *out = arena_zalloc(a, 4096);

    assert_int_equal(store_sqlite_query_select(a, &sq->table[c], "doc", q, &sql, &st), 0);
    assert_int_equal(store_sqlite_conn_open(sq->path, false, &conn, &st), 0);
    sql.sql = arena_printf(a, "EXPLAIN QUERY PLAN %s", sql.sql);
    assert_int_equal(store_sqlite_query_start(conn, &sql, &stmt, &st), 0);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        sprintf(out + strlen(out), "%s; ", (const char *)sqlite3_column_text(stmt, 3));
    store_sqlite_conn_done(stmt);
    store_sqlite_conn_close(&conn);
    return out;
}

static void uses(enum collection c, struct store_query q, const char *index) {
    const char *got = plan(c, &q);

    /* a unique index finds one row: "sorting" it is nothing */
    if (strstr(got, "SCAN") || !strstr(got, index) ||
        (strstr(got, "TEMP B-TREE") && !strstr(got, ":unique:")))
        fail_msg("%s\nexpected %s", got, index);
}

static const struct store_filter *eq(const char *field, const char *text) {
    return store_eq_text(a, field, text);
}

static void look_ups_use_their_index(void **state) {
    const struct store_filter *live = store_cmp(a, STORE_ABSENT, "archivedAt", NULL),
                              *w = eq("workspaceId", "w");

    (void)state;
    uses(C_WORKSPACES, (struct store_query){.where = eq("key", "k"), .limit = 1},
         "workspaces:unique:key");
    uses(C_CUSTOMERS,
         (struct store_query){.where = store_and(a, w, eq("internalId", "i"), NULL)},
         "customers:unique:internal_id");
    uses(C_ACTIONS,
         (struct store_query){.where = store_and(a, w, eq("slot", "u:k"), live, NULL)},
         "actions:unique:slot");
    uses(C_ACTIONS,
         (struct store_query){.where = store_and(a, w, eq("key", "k"), live, NULL)},
         "actions:index:by-key");
    uses(C_ACTIONS, (struct store_query){.where = store_and(a, w, eq("uuid", "u"), NULL)},
         "uuid");
    uses(C_FLOWS, (struct store_query){.where = store_and(a, w, eq("flowId", "f"), NULL)},
         "flows:index:by-parent");
    uses(C_DATA_LINKS,
         (struct store_query){.where = store_and(a, eq("dataLinkTableInstanceId", "t"),
                                                 eq("direction", "import"),
                                                 eq("externalRecordId", "r"), NULL),
                              .limit = 1},
         "data-links:");
}

static void lists_follow_an_index_page_by_page(void **state) {
    const struct store_filter *live = store_cmp(a, STORE_ABSENT, "archivedAt", NULL),
                              *w = eq("workspaceId", "w");
    struct store_query q = {
        .where = store_and(a, w, live, NULL), .sort = {{"createdAt", true}}, .limit = 25};
    const struct value *last =
        value_obj(a, "id", value_string(a, "x"), "createdAt", value_string(a, "t"), NULL);

    (void)state;
    uses(C_ACTIONS, q, "actions:index:by-created");
    q.cursor = store_cursor_make(a, &q, last);
    uses(C_ACTIONS, q, "actions:index:by-created");
    assert_non_null(strstr(plan(C_ACTIONS, &q), "createdAt"));
    q.where = store_and(a, w, eq("connectionId", "c"), NULL);
    uses(C_ACTIONS, q, "actions:index:by-connection");
    uses(C_ACTION_RUN_LOGS, q, "action-run-logs:index:by-connection");
    q = (struct store_query){
        .where = store_cmp(a, STORE_LE, "nextCredentialsRefreshAt", value_string(a, "t")),
        .sort = {{"nextCredentialsRefreshAt", false}},
        .limit = 100};
    uses(C_CONNECTIONS, q, "connections:index:by-refresh");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(look_ups_use_their_index),
        cmocka_unit_test(lists_follow_an_index_page_by_page),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
