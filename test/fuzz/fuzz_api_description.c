/*
 * JSON text as an OpenAPI or Postman description: becomes operations that can be printed,
 * or an error with a message.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/status.h"
#include "connector/api_description.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct value_limits limits = {.max_depth = 100};
    struct arena *a = arena_new(0);
    const struct value *doc;
    struct api_description d;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, (const char *)data, size, &limits, &doc, &st) == 0) {
        if (api_description_read(a, doc, &d, &st) < 0) {
            if (st.type != ST_BAD_REQUEST || !st.message)
                abort();
        } else {
            value_encode_arena(a, d.info, 0);
            value_encode_arena(a, d.operations, 0);
            value_encode_arena(a, d.warnings, 0);
        }
    }
    arena_free(&a);
    return 0;
}
