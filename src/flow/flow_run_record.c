/*
 * flow_run_record.c - node runs as they are stored.
 */
#include "flow_run_record.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "config/config.h"
#include "deps/deps.h"
#include "store/store.h"
#include "value/value.h"

enum { MAX_UPSTREAM = 2000, DEFAULT_OUTPUT_MB = 20 };

static size_t max_output_bytes(const struct deps *deps) {
    size_t mb = deps->config ? (size_t)deps->config->max_node_run_output_size_mb : 0;

    return (mb ? mb : DEFAULT_OUTPUT_MB) * 1024 * 1024;
}

int flow_record_output(const struct deps *deps, struct arena *a, const char *run_id,
                       const char *output_id, const struct value *data,
                       const struct value **ret_output, struct status *st) {
    struct bytes text = value_encode_arena(a, data, VALUE_ENCODE_COMPACT);
    const char *key = NULL;

    if (text.len > max_output_bytes(deps))
        return st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                       "the output has %zu bytes; at most %zu are allowed", text.len,
                       max_output_bytes(deps));
    if (text.len > FLOW_RECORD_INLINE_BYTES) {
        key = arena_printf(a, "flow-runs/%s/%s.json", run_id, output_id);
        if (blob_put(deps->blob, BLOB_TMP, key, text, "application/json", st) < 0)
            return -1;
    }
    *ret_output = value_obj(
        a, "id", value_string(a, output_id), "timestamp",
        value_string(a, clock_iso_now(deps->clock, a)), "size",
        value_number(a, (double)text.len), key ? "dataKey" : "data",
        key ? value_string(a, key) : value_string_len(a, text.data, text.len), NULL);
    return 0;
}

int flow_record_text(const struct deps *deps, struct arena *a, const struct value *output,
                     const struct value **ret_text, struct status *st) {
    const char *key = value_get_string(output, "dataKey", NULL);
    struct bytes text;
    int rc;

    if (!key) {
        *ret_text = value_get(output, "data");
        return 0;
    }
    rc = blob_get(deps->blob, a, BLOB_TMP, key, (size_t)1 << 31, &text, NULL, st);
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, "not_found", "The output has expired");
    if (rc == 0)
        *ret_text = value_string_len(a, text.data, text.len);
    return rc;
}

int flow_record_data(const struct deps *deps, struct arena *a, const struct value *output,
                     const struct value **ret_data, struct status *st) {
    const struct value *text;

    if (flow_record_text(deps, a, output, &text, st) < 0)
        return -1;
    if (!value_is_string(text) || text->len == 0) {
        *ret_data = &value_undefined;
        return 0;
    }
    return value_parse(a, text->str, text->len, NULL, ret_data, st);
}

/* What one node run adds to the input of those behind it. */
static int add_upstream(const struct deps *deps, struct arena *a,
                        struct object_builder *input, const struct value *node_run,
                        const struct value *up, const struct value *source,
                        struct status *st) {
    const char *output_id = value_get_string(up, "outputId", "");
    const struct value *item = value_get(node_run, "item"), *data = NULL;
    const struct value *key = value_get(up, "nodeKey");

    if (value_is_object(item)) {
        if (flow_record_data(deps, a, item, &data, st) < 0)
            return -1;
        data = value_obj(a, "item", data, NULL);
    }
    for (VALUE_EACH_ITEM(o, value_get(source, "outputs")))
        if (!data && value_equals_text(value_get(o, "id"), output_id) &&
            flow_record_data(deps, a, o, &data, st) < 0)
            return -1;
    /* nearer ones win: they were set first */
    if (data && value_is_string(key) && !object_builder_get(input, key->str, key->len))
        object_set_len(input, key->str, key->len, data);
    return 0;
}

int flow_record_input(const struct deps *deps, struct arena *a, const struct value *run,
                      const struct value *node_run, const struct value **ret_input,
                      struct status *st) {
    struct object_builder input;
    const struct value *up = value_at(value_get(node_run, "upstreamRuns"), 0), *source;

    if (!value_is_object(up)) {
        *ret_input = value_get(run, "input");
        return 0;
    }
    object_begin(&input, a, 8);
    for (int i = 0; i < MAX_UPSTREAM && value_is_object(up); i++) {
        int rc = store_get(deps->store, a, C_FLOW_NODE_RUNS,
                           value_get_string(up, "runId", ""), &source, st);
        if (rc == 1)
            source = &value_undefined;
        if (rc < 0 || add_upstream(deps, a, &input, node_run, up, source, st) < 0)
            return -1;
        node_run = source;
        up = value_at(value_get(node_run, "upstreamRuns"), 0);
    }
    if (value_is_true(value_get(run, "startsInside")))
        for (VALUE_EACH_MEMBER(m, value_get(run, "input")))
            if (!object_builder_get(&input, m->key, m->key_len))
                object_set_len(&input, m->key, m->key_len, &m->value);
    *ret_input = object_end(&input);
    return 0;
}
