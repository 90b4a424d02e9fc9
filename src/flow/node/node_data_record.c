/*
 * node_data_record.c - data records of the app: {dataSource, fieldMapping?, ...}, as the
 * actions of the same names have them (engine.md 12.3). Lists give all pages.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "flow/flow_node.h"

/* An app that turns its cursor in a circle shall not turn us. */
enum { MAX_PAGES = 10000 };

flow_node_fn node_list_records, node_find_records, node_search_records;
flow_node_fn node_lookup_record, node_find_record, node_find_or_create_record;
flow_node_fn node_create_record, node_update_record, node_delete_record;

/* Adds a page; bounds what all pages come to, which is one output. */
static int add_page(struct flow_node_call *c, struct array_builder *all, size_t *bytes,
                    const struct value *records, struct status *st) {
    size_t mb =
        c->deps->config ? (size_t)c->deps->config->max_node_run_output_size_mb : 0;
    size_t limit = (mb ? mb : 20) * 1024 * 1024;

    struct buf text = BUF_INIT;

    value_encode(&text, records, VALUE_ENCODE_COMPACT);
    *bytes += text.len;
    buf_fini(&text);
    if (*bytes > limit)
        return st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                       "the records have more than %zu bytes: narrow the filter or work "
                       "through them in several runs",
                       limit);
    for (VALUE_EACH_ITEM(r, records))
        array_push(all, r);
    return 0;
}

/* The records of all pages of a type of action that gives {records, cursor?}. */
static int all_pages(struct flow_node_call *c, const char *action_type,
                     struct status *st) {
    const struct value *config = c->config, *page, *cursor;
    struct array_builder all;
    size_t bytes = 0;

    array_begin(&all, c->arena, 64);
    for (int i = 0; i < MAX_PAGES; i++) {
        if (flow_node_run_step(c, action_type, config, &page, st) < 0 ||
            add_page(c, &all, &bytes, value_get(page, "records"), st) < 0)
            return -1;
        cursor = value_get(page, "cursor");
        if (value_is_nullish(cursor) || !value_truthy(cursor)) {
            flow_node_emit(c, array_end(&all));
            return 0;
        }
        config = value_with(c->arena, config, "cursor", cursor);
    }
    return st_fail(st, ST_BAD_REQUEST, NULL,
                   "the list does not end: the app gave %d pages", MAX_PAGES);
}

int node_list_records(struct flow_node_call *c, struct status *st) {
    return all_pages(c, "list-data-records", st);
}

/* Deprecated: a list, or with a query a search. */
int node_find_records(struct flow_node_call *c, struct status *st) {
    return all_pages(c,
                     value_is_nullish(value_get(c->config, "query"))
                         ? "list-data-records"
                         : "search-data-record",
                     st);
}

/* The first page, whose order is by relevance. */
int node_search_records(struct flow_node_call *c, struct status *st) {
    const struct value *page;

    if (flow_node_run_step(c, "search-data-record", c->config, &page, st) < 0)
        return -1;
    flow_node_emit(c, value_get(page, "records"));
    return 0;
}

/* {query: {field: value}}, under one of the names that were in use. */
int node_lookup_record(struct flow_node_call *c, struct status *st) {
    static const char *const names[] = {"query", "lookupQuery", "lookupFields"};
    const struct value *query = &value_undefined, *record;

    for (size_t i = 0; i < 3 && value_is_nullish(query); i++)
        query = value_get(c->config, names[i]);
    if (flow_node_run_step(c, "match-data-record",
                           value_with(c->arena, c->config, "query", query), &record,
                           st) < 0)
        return -1;
    flow_node_emit(c, record);
    return 0;
}

int node_find_record(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "find-data-record-by-id", st);
}

int node_find_or_create_record(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "find-or-create-data-record", st);
}

int node_create_record(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "create-data-record", st);
}

int node_update_record(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "update-data-record", st);
}

int node_delete_record(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "delete-data-record", st);
}
