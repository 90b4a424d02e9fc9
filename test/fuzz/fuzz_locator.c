/*
 * First line a locator, the rest data as JSON (or nothing): parsing, formatting,
 * reading, writing and listing. What was written must be found again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "locator/locator.h"
#include "locator/locator_schema.h"
#include "locator/text_case.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool plain_indexes(const struct locator *l) {
    for (size_t i = 0; i < l->len; i++)
        if (l->steps[i].type == LOCATOR_ITEM &&
            (l->steps[i].index > UINT32_MAX ||
             l->steps[i].index != (double)(uint32_t)l->steps[i].index))
            return false;
    return true;
}

/* A locator and its text name the same steps. */
static void check_text(struct arena *a, const struct locator *l, struct status *st) {
    const struct value *text = locator_format(a, l);
    struct locator again;

    if (!plain_indexes(l))
        return;
    if (locator_parse(a, text->str, text->len, &again, st) < 0 || again.len != l->len)
        abort();
    for (size_t i = 0; i < l->len; i++)
        if (again.steps[i].type != l->steps[i].type ||
            again.steps[i].name_len != l->steps[i].name_len)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data, *end = memchr(text, '\n', size);
    size_t len = end ? (size_t)(end - text) : size;
    struct arena *a = arena_new(0);
    const struct value *v = &value_empty_object, *written;
    struct locator l;
    struct status st;

    st_init(&st, a);
    if (end && value_parse(a, end + 1, size - len - 1, NULL, &v, &st) < 0)
        v = &value_undefined;
    text_header_case(a, text, len);
    locator_list_data(a, v, NULL);
    locator_find_value(a, v, &value_null);
    if (locator_parse(a, text, len, &l, &st) == 0) {
        const struct value *locator = value_string_len(a, text, len);

        check_text(a, &l, &st);
        locator_read_by(a, v, &l);
        locator_read_at(a, v, &l);
        locator_schema_full_name(a, v, locator);
        locator_schema_set(a, v, locator, &value_true, &written, &st);
        locator_set(a, v, &l, &value_undefined, &written, &st);
        if (locator_set(a, &value_empty_object, &l, &value_true, &written, &st) == 0)
            locator_list_data(a, written, NULL);
    }
    arena_free(&a);
    return 0;
}
