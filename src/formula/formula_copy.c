/*
 * formula_copy.c - the copy pass over a built value.
 *
 * Positions are found first; each is replaced in document order, so that a chain
 * works when its source comes earlier. What has no source is deleted at the end,
 * last position first, so that no position moves under another.
 */
#include "base/arena.h"
#include "base/status.h"
#include "formula_priv.h"
#include "locator/locator.h"

enum { TIMEOUT_MS = 10000 };

static bool has_copy(struct arena *a, const struct value *v) {
    return value_items_count(locator_list_formulas(a, v, "copy")) > 0;
}

/* 0 replaced, 1 the source is missing, -1 the source holds a copy. */
static int copy_one(struct arena *a, const struct value *position,
                    const struct value **root, struct status *st) {
    const struct value *formula = locator_get_at(a, *root, position);
    const struct value *locator = value_get(formula, "$copy");
    const struct value *source = locator_get_at(a, *root, locator);

    if (has_copy(a, source)) {
        const struct value *steps = locator;

        if (value_is_array(locator) && locator_from_steps(a, locator, &steps, st) < 0)
            return -1;
        return st_fail(st, ST_CONFIGURATION, NULL,
                       "%s is copying %s, which contains a copy formula", position->str,
                       value_is_string(steps) ? steps->str : "?");
    }
    if (source->type == VALUE_UNDEFINED)
        return 1;
    return locator_set_value(a, *root, position, source, root, st);
}

int formula_process_copy(struct arena *a, const struct value *v,
                         const struct value **ret_result, struct status *st) {
    const struct value *positions = locator_list_formulas(a, v, "copy");
    bool *missing = arena_zalloc(a, positions->len + 1);
    uint64_t deadline_ms = formula_now_ms() + TIMEOUT_MS;
    size_t start = arena_used(a);

    for (VALUE_EACH_ITEM(position, positions)) {
        int rc;

        /* A $copy that is the whole value stays. */
        if (position->len == 1)
            continue;
        if (formula_now_ms() > deadline_ms || locator_check_batch(a, start, st) < 0)
            return st_fail(st, ST_BAD_REQUEST, "formula_limit",
                           "Formula takes too much to copy at %s", position->str);
        rc = copy_one(a, position, &v, st);
        if (rc < 0)
            return -1;
        missing[position - positions->items] = rc > 0;
    }
    for (size_t i = positions->len; i-- > 0;)
        if (missing[i] &&
            (locator_check_batch(a, start, st) < 0 ||
             locator_set_value(a, v, &positions->items[i], &value_undefined, &v, st) < 0))
            return -1;
    *ret_result = v;
    return 0;
}
