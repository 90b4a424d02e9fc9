#include "value_status.h"

#include "base/arena.h"
#include "base/status.h"
#include "value.h"

#define MAX_CAUSES 16

static const struct value *text_or_null(struct arena *a, const char *s) {
    return s ? value_string(a, s) : NULL;
}

const struct value *value_from_status(struct arena *a, const struct status *st) {
    return value_obj(a, "type", value_string(a, st_type_name(st->type)), "key",
                     text_or_null(a, st->key), "message",
                     value_string(a, st->message ? st->message : ""), "data", st->data,
                     "causedByError", st->cause ? value_from_status(a, st->cause) : NULL,
                     "logs", st->logs, NULL);
}

static const struct value *copy_member(struct arena *a, const struct value *v,
                                       const char *key) {
    const struct value *m = value_get(v, key);

    return value_is_nullish(m) ? NULL : value_copy(a, m);
}

static void fill(const struct value *v, struct status *st, int depth) {
    const char *key = value_get_string(v, "key", NULL);
    const struct value *cause = value_get(v, "causedByError");

    st_clear(st);
    st->type = st_type_from_name(value_get_string(v, "type", ""));
    if (st->type == ST_OK)
        st->type = ST_INTERNAL;
    st->key = key ? arena_strdup(st->arena, key) : NULL;
    st->message =
        arena_strdup(st->arena, value_get_string(v, "message", "Unknown error"));
    st->data = copy_member(st->arena, v, "data");
    if (value_is_array(value_get(v, "logs")))
        st->logs = copy_member(st->arena, v, "logs");
    if (value_is_object(cause) && depth < MAX_CAUSES) {
        st->cause = arena_alloc(st->arena, sizeof(*st->cause));
        st_init(st->cause, st->arena);
        fill(cause, st->cause, depth + 1);
    }
}

int value_to_status(const struct value *error_data, struct status *st) {
    fill(error_data, st, 0);
    return -1;
}
