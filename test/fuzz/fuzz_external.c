/*
 * JSON text {base, path, clientQuery, query, log}: an address is made or refused and
 * never holds what a request line may not; what is logged has no secrets left.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "external/external.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(const char *url) {
    for (; *url; url++) {
        if ((unsigned char)*url <= 0x20 || *url == 0x7f)
            abort();
    }
}

static void check_redacted(struct arena *a, const struct value *log) {
    const struct value *out = external_redact(a, log);
    const struct value *secret = value_path(out, "headers", "Authorization", NULL);

    /* the name decides, whatever the content */
    if (value_is_string(value_path(log, "headers", "Authorization", NULL)) &&
        value_is_string(secret) &&
        value_equal(secret, value_path(log, "headers", "Authorization", NULL)) &&
        strspn(value_text(secret), "*") != secret->len)
        abort();
    value_encode_arena(a, out, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct value_limits limits = {.max_depth = 100};
    struct arena *a = arena_new(0);
    const struct value *v;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, (const char *)data, size, &limits, &v, &st) == 0) {
        const char *url, *base = value_get_string(v, "base", NULL);

        if (external_build_url(a, base, value_get_string(v, "path", ""),
                               value_get(v, "clientQuery"), value_get(v, "query"), &url,
                               &st) == 0) {
            check_url(url);
            external_redact_url(a, url);
        } else if (!st.message) {
            abort();
        }
        check_redacted(a, value_get(v, "log"));
        external_redact_url(a, value_get_string(v, "path", ""));
    }
    arena_free(&a);
    return 0;
}
