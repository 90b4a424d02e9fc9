/*
 * data_link_lookup.c - the other record of a link, for formulas (engine.md 9.3).
 *
 * One row of an index each: links are stored per direction.
 */
#include "data.h"

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "deps/deps.h"
#include "model/model.h"
#include "store/store.h"
#include "value/value.h"

/* The connection's table of the key. 1 when there is none: then nothing is linked. */
static int find_table(const struct data_links *l, const struct value *key,
                      const struct value **ret_table, struct status *st) {
    struct model_selector sel = {
        .parent_key = value_text(key),
        .connection_id = l->connection_id,
        .instance_key = l->instance_key,
        .instance_only = true,
    };
    int rc;

    if (!sel.parent_key)
        return 1;
    rc = model_resolve(l->view, EL_DATA_LINK_TABLE, &sel, ret_table, st);
    if (rc < 0 && st->key && strcmp(st->key, "not_found") == 0) {
        st_clear(st);
        return 1;
    }
    return rc;
}

static int find(const struct data_links *l, const struct value *key,
                const char *direction, const char *by, const char *wanted,
                const struct value *record_id, const struct value **ret_id,
                struct status *st) {
    struct arena *a = model_view_arena(l->view);
    struct store_page page = {.items = &value_empty_array};
    struct store_query q = {.limit = 1, .sort = {{"id", false}}};
    const struct value *table;
    char number[32];
    int rc;

    *ret_id = &value_undefined;
    if (value_is_number(record_id)) {
        value_format_number(record_id->number, number);
        record_id = value_string(a, number);
    }
    rc = value_is_string(record_id) ? find_table(l, key, &table, st) : 1;
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    q.where = store_and(
        a, store_eq_text(a, "dataLinkTableInstanceId", value_get_string(table, "id", "")),
        store_eq(a, by, record_id), store_eq_text(a, "direction", direction), NULL);
    if (store_list(model_view_deps(l->view)->store, a, C_DATA_LINKS, &q, &page, st) < 0)
        return -1;
    *ret_id = value_get(value_at(page.items, 0), wanted);
    return 0;
}

int data_link_find_app(void *ctx, struct arena *a, const struct value *table_key,
                       const struct value *record_id, const struct value **ret_id,
                       struct status *st) {
    (void)a;
    return find(ctx, table_key, "import", "externalRecordId", "appRecordId", record_id,
                ret_id, st);
}

int data_link_find_external(void *ctx, struct arena *a, const struct value *table_key,
                            const struct value *record_id, const struct value **ret_id,
                            struct status *st) {
    (void)a;
    return find(ctx, table_key, "export", "appRecordId", "externalRecordId", record_id,
                ret_id, st);
}
