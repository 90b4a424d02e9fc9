/*
 * Reads JSON texts, one a line, and prints for each what JSON.stringify of
 * JSON.parse gives, or "reject"; then what Number() gives of the text. For
 * differential.test.mjs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

int main(void) {
    struct buf out = BUF_INIT;
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    while ((len = getline(&line, &cap, stdin)) > 0) {
        struct arena *a = arena_new(0);
        const struct value *v;
        char number[32];
        struct status st;

        st_init(&st, a);
        if (line[len - 1] == '\n')
            len--;
        buf_clear(&out);
        if (value_parse(a, line, (size_t)len, NULL, &v, &st) == 0)
            value_encode(&out, v, 0);
        else
            buf_adds(&out, "reject");
        fwrite(out.data, 1, out.len, stdout);
        value_format_number(value_string_to_number(line, (size_t)len), number);
        printf("\n%s\n", number);
        arena_free(&a);
    }
    buf_fini(&out);
    free(line);
    return 0;
}
