/*
 * JSON text: what is dumped as YAML must read back as the same value, and a diff of
 * two dumps must not misbehave.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "graph/line_diff.h"
#include "value/value.h"
#include "yaml/yaml.h"
#include "yaml/yaml_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Things YAML text can't carry through: lone surrogates, merge keys. */
static bool is_odd_text(const char *s, size_t len) {
    for (size_t i = 0; i + 1 < len; i++) {
        if ((unsigned char)s[i] == 0xed && (unsigned char)s[i + 1] >= 0xa0)
            return true;
    }
    return len == 2 && s[0] == '<' && s[1] == '<';
}

static bool is_odd(const struct value *v) {
    if (value_is_string(v))
        return is_odd_text(v->str, v->len);
    for (VALUE_EACH_ITEM(item, v)) {
        if (is_odd(item))
            return true;
    }
    for (VALUE_EACH_MEMBER(m, v)) {
        if (is_odd_text(m->key, m->key_len) || is_odd(&m->value))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct value_limits limits = {.max_depth = 60};
    struct arena *a = arena_new(0);
    struct buf plain = BUF_INIT, sorted = BUF_INIT, diff = BUF_INIT;
    const struct value *v, *again;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, (const char *)data, size, &limits, &v, &st) == 0) {
        yaml_dump(&plain, v, 0);
        yaml_dump(&sorted, v, YAML_DUMP_SORT_KEYS);
        line_diff_append(&diff, "plain", "sorted", (struct bytes){plain.data, plain.len},
                         (struct bytes){sorted.data, sorted.len});
        if (!is_odd(v) &&
            (yaml_parse(a, "dump", plain.data, plain.len, NULL, &again, &st) < 0 ||
             !value_equal(v, again)))
            abort();
    }
    buf_fini(&plain);
    buf_fini(&sorted);
    buf_fini(&diff);
    arena_free(&a);
    return 0;
}
