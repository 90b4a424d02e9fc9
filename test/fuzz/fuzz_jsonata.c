/*
 * The bytes up to the first NUL are an expression, the rest (if it is JSON) its
 * input. Limits are low: what is looked for is misbehaviour, not patience.
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "jsonata/jsonata.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char sample[] =
    "{\"a\":[1,2,{\"b\":\"x\"}],\"b\":{\"c\":[{\"id\":1,\"name\":\"ada\"},{\"id\":2,"
    "\"name\":\"bob\"}]},\"n\":-1.5,\"s\":\"Hello \\ud83d\\ude00\",\"1\":null}";

static double now_ms(void *ctx) {
    (void)ctx;
    return 1762331412481.0;
}

static double no_random(void *ctx) {
    (void)ctx;
    return 0.5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct jsonata_limits limits = {.max_depth = 300,
                                    .max_steps = 20000,
                                    .max_bytes = 4000000,
                                    .now_ms = now_ms,
                                    .random = no_random};
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t len = nul ? (size_t)(nul - data) : size;
    struct arena *a = arena_new(0);
    const struct value *input, *result;
    const struct jsonata *expr;
    struct status st;

    st_init(&st, a);
    if (!nul ||
        value_parse(a, (const char *)nul + 1, size - len - 1, NULL, &input, &st) < 0)
        value_parse(a, sample, sizeof(sample) - 1, NULL, &input, &st);
    if (jsonata_compile(a, (const char *)data, len, &expr, &st) == 0 &&
        jsonata_eval(expr, a, input, NULL, &limits, &result, &st) == 0)
        value_encode_arena(a, result, 0);
    arena_free(&a);
    return 0;
}
