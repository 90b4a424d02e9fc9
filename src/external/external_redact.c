/*
 * external_redact.c - what logs and error data may show of a call.
 *
 * The cut is that of the public client (engine.md 18.2), so that a log reads the same
 * wherever it was written.
 */
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "external_priv.h"

#define MAX_ITEMS 500
#define MAX_TEXT  500
#define MAX_DEPTH 15

/* Names whose values are secrets in nearly every API. */
static bool is_secret_name(const char *s, size_t len) {
    static const char *const words[] = {
        "authorization", "token",   "secret", "password",   "passwd",    "api-key",
        "apikey",        "api_key", "cookie", "credential", "signature", "verifier"};
    static const char firsts[] = "atspcv";

    for (; len >= 5; s++, len--) { /* "token" is the shortest */
        char first = (char)(*s | 0x20);

        if (!memchr(firsts, first, sizeof(firsts) - 1))
            continue;
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
            size_t n = strlen(words[i]);

            if (words[i][0] == first && n <= len && strncasecmp(s, words[i], n) == 0)
                return true;
        }
    }
    return false;
}

/* A code is a secret where it is exchanged for a token; elsewhere it may be any code. */
static bool is_grant_code(const struct value *object, const struct member *m) {
    return m->key_len == 4 && memcmp(m->key, "code", 4) == 0 &&
           value_has(object, "grant_type");
}

/* secret: below a secret name nothing but the shape is shown. */
static const struct value *redact(struct arena *a, const struct value *v, int depth,
                                  bool secret) {
    if (secret && !value_is_nullish(v) && !value_is_array(v) && !value_is_object(v))
        return value_string(a, "***");
    if (value_is_string(v) && value_utf16_length(v->str, v->len) > MAX_TEXT) {
        const struct value *cut = value_utf16_slice(a, v->str, v->len, 0, MAX_TEXT);

        return value_stringf(a, "%s...", value_text(cut));
    }
    if (!value_is_array(v) && !value_is_object(v))
        return v;
    if (depth >= MAX_DEPTH)
        return value_string(a, "<max depth reached>");
    if (value_is_array(v)) {
        struct array_builder b;

        array_begin(&b, a, v->len < MAX_ITEMS ? v->len : MAX_ITEMS + 1);
        for (size_t i = 0; i < v->len && i < MAX_ITEMS; i++)
            array_push(&b, redact(a, &v->items[i], depth + 1, secret));
        if (v->len > MAX_ITEMS)
            array_push(&b, value_obj(a, "...moreItems",
                                     value_number(a, (double)v->len - MAX_ITEMS), NULL));
        return array_end(&b);
    } else {
        struct object_builder b;
        size_t n = 0;

        object_begin(&b, a, v->len < MAX_ITEMS ? v->len : MAX_ITEMS + 1);
        for (VALUE_EACH_MEMBER(m, v)) {
            if (n++ == MAX_ITEMS)
                break;
            object_set_len(&b, m->key, m->key_len,
                           redact(a, &m->value, depth + 1,
                                  secret || is_secret_name(m->key, m->key_len) ||
                                      is_grant_code(v, m)));
        }
        if (v->len > MAX_ITEMS) {
            struct buf names = BUF_INIT;

            for (size_t i = MAX_ITEMS; i < v->len && names.len < MAX_TEXT; i++)
                buf_addf(&names, "%s%s", names.len ? ", " : "", v->members[i].key);
            if (names.len > MAX_TEXT)
                names.len = MAX_TEXT;
            object_set(&b, "...moreKeys", value_string_len(a, names.data, names.len));
            buf_fini(&names);
        }
        return object_end(&b);
    }
}

const struct value *external_redact(struct arena *a, const struct value *v) {
    return redact(a, v, 0, false);
}

const char *external_redact_url(struct arena *a, const char *url) {
    struct buf b = BUF_INIT;
    const char *p = strchr(url, '?'), *out;
    const char *host = strstr(url, "://"), *at = NULL;

    /* userinfo: scheme://user:password@host */
    if (host)
        for (const char *q = host + 3; *q && *q != '/' && *q != '?'; q++)
            if (*q == '@')
                at = q;
    if (at) {
        buf_add(&b, url, (size_t)(host + 3 - url));
        buf_adds(&b, "***");
        url = at;
    }
    if (!p || p < url) {
        buf_adds(&b, url);
    } else {
        buf_add(&b, url, (size_t)(p + 1 - url));
        for (p++; *p;) {
            size_t n = strcspn(p, "&#"), name = strcspn(p, "=&#");

            if (name < n && is_secret_name(p, name)) {
                buf_add(&b, p, name + 1);
                buf_adds(&b, "***");
            } else {
                buf_add(&b, p, n);
            }
            p += n;
            if (*p == '#')
                break;
            if (*p)
                buf_addc(&b, *p++);
        }
    }
    out = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return out;
}
