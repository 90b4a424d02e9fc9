/* Any text as a date and as a person's name. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "formula/date_parse.h"
#include "formula/person_name.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new(0);
    const struct value *text = value_string_len(a, (const char *)data, size);
    double ms = date_parse(text->str, text->len);
    char iso[32];

    if (!isnan(ms)) {
        size_t n = value_format_date(ms, iso);

        if (fabs(ms) > 8.64e15 || date_parse(iso, n) != ms)
            abort();
    }
    date_from_value(a, text);
    person_name_parse(a, text);
    arena_free(&a);
    return 0;
}
