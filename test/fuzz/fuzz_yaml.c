/*
 * YAML text from files: reads as a value that is bounded and can be printed, or says
 * where it is wrong; a line is found for any path.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"
#include "yaml/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct yaml_limits limits = {
        .max_bytes = 64 * 1024, .max_depth = 50, .max_nodes = 10000};
    struct arena *a = arena_new(0);
    const struct value *v;
    struct status st;

    st_init(&st, a);
    if (yaml_parse(a, "input", (const char *)data, size, &limits, &v, &st) == 0)
        value_encode_arena(a, v, 0);
    else if (st.type != ST_BAD_REQUEST || !st.message)
        abort();
    if (yaml_locate((const char *)data, size, "nodes.a.links[0]") < 1)
        abort();
    arena_free(&a);
    return 0;
}
