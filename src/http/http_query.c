/*
 * http_query.c - percent-decoding, query strings and forms.
 *
 * Fields are put into a tree of nodes first, because a[b] and a[c] may stand far apart,
 * and the tree becomes immutable values at the end. Names are looked up by walking the
 * siblings: the bound on fields keeps that cheap even when a client is hostile.
 */
#include "http.h"
#include "http_priv.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

struct field {
    struct bytes key;
    struct bytes text;
    bool nested; /* kids count, not the text */
    struct field *kids, *last, *next;
    size_t kids_len;
};

struct query_parser {
    struct arena *arena;
    struct status *st;
    struct field root;
};

/* ---- text ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of the character at p, 0 when they are no valid UTF-8. */
static size_t utf8_length(const unsigned char *p, size_t left) {
    size_t n;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* As http_clean_text; len in and out. */
static char *clean_text(struct arena *a, char *s, size_t *len) {
    const unsigned char *p = (const unsigned char *)s;
    size_t bad = 0, used = 0, n;
    char *out;

    for (size_t i = 0; i < *len; i += n ? n : 1)
        if (!(n = p[i] ? utf8_length(p + i, *len - i) : 0))
            bad++;
    if (!bad)
        return s;
    out = arena_alloc(a, *len + bad * 2 + 1);
    for (size_t i = 0; i < *len; i += n ? n : 1) {
        n = p[i] ? utf8_length(p + i, *len - i) : 0;
        memcpy(out + used, n ? s + i : "\xef\xbf\xbd", n ? n : 3);
        used += n ? n : 3;
    }
    out[used] = '\0';
    *len = used;
    return out;
}

char *http_clean_text(struct arena *a, char *s, size_t len) {
    return clean_text(a, s, &len);
}

char *http_decode(struct arena *a, const char *s, size_t len, bool plus,
                  size_t *ret_len) {
    char *out = arena_alloc(a, len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int high, low;

        if (s[i] == '%' && i + 2 < len && (high = hex_digit(s[i + 1])) >= 0 &&
            (low = hex_digit(s[i + 2])) >= 0) {
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = plus && s[i] == '+' ? ' ' : s[i];
        }
    }
    out[n] = '\0';
    out = clean_text(a, out, &n);
    if (ret_len)
        *ret_len = n;
    return out;
}

bool http_media_type_is(const char *content_type, const char *type) {
    size_t n = strlen(type);

    if (!content_type)
        return false;
    content_type += strspn(content_type, " \t");
    return strncasecmp(content_type, type, n) == 0 &&
           strchr("; \t", content_type[n]) != NULL;
}

/* ---- fields ---- */

static struct field *find_or_add(struct query_parser *p, struct field *parent,
                                 struct bytes key) {
    struct field *f;

    for (f = parent->kids; f; f = f->next)
        if (f->key.len == key.len && memcmp(f->key.data, key.data, key.len) == 0)
            return f;
    f = arena_zalloc(p->arena, sizeof(*f));
    f->key = key;
    if (parent->last)
        parent->last->next = f;
    else
        parent->kids = f;
    parent->last = f;
    parent->kids_len++;
    parent->nested = true;
    return f;
}

static struct bytes index_key(struct arena *a, size_t i) {
    const char *s = arena_printf(a, "%zu", i);

    return (struct bytes){s, strlen(s)};
}

/*
 * Splits "a[b][]" at its brackets into path; a name whose brackets do not match is one
 * key. Gives the number of keys, -1 above the depth bound.
 */
static int split_name(struct bytes name, struct bytes path[HTTP_MAX_QUERY_DEPTH + 1]) {
    const char *end = name.data + name.len;
    const char *open = memchr(name.data, '[', name.len);
    int n = 1;

    path[0] = name;
    if (!open || open == name.data || end[-1] != ']')
        return 1;
    path[0].len = (size_t)(open - name.data);
    while (open < end) {
        const char *close = memchr(open, ']', (size_t)(end - open));

        if (*open != '[' || !close) {
            path[0] = name;
            return 1;
        }
        if (n > HTTP_MAX_QUERY_DEPTH)
            return -1;
        path[n++] = (struct bytes){open + 1, (size_t)(close - open - 1)};
        open = close + 1;
    }
    return n;
}

static int add_field(struct query_parser *p, const char *s, size_t len) {
    const char *eq = memchr(s, '=', len);
    size_t raw_name = eq ? (size_t)(eq - s) : len;
    struct bytes path[HTTP_MAX_QUERY_DEPTH + 1], name, text = {"", 0};
    struct field *f = &p->root;
    int n;

    name.data = http_decode(p->arena, s, raw_name, true, &name.len);
    if (eq)
        text.data = http_decode(p->arena, eq + 1, len - raw_name - 1, true, &text.len);
    if (name.len == 0)
        return 0;
    n = split_name(name, path);
    if (n < 0)
        return st_fail(p->st, ST_BAD_REQUEST, NULL,
                       "A query field nests deeper than %d brackets",
                       HTTP_MAX_QUERY_DEPTH);
    for (int i = 0; i < n; i++) {
        if (i > 0 && path[i].len == 0)
            path[i] = index_key(p->arena, f->kids_len);
        f = find_or_add(p, f, path[i]);
    }
    f->text = text;
    f->nested = false;
    f->kids = f->last = NULL;
    f->kids_len = 0;
    return 0;
}

/* ---- values ---- */

static struct value field_value(struct arena *a, const struct field *f);

static struct value text_value(struct arena *a, struct bytes s) {
    /* A key may be a slice of a longer name: values end with NUL. */
    return value_string_ref(s.data[s.len] ? arena_memdup(a, s.data, s.len) : s.data,
                            s.len);
}

static const struct value *fields_object(struct arena *a, const struct field *f) {
    struct object_builder b;

    object_begin(&b, a, f->kids_len);
    for (const struct field *kid = f->kids; kid; kid = kid->next) {
        struct value v = field_value(a, kid);

        object_set_len(&b, kid->key.data, kid->key.len, &v);
    }
    return object_end(&b);
}

/* Keys "0" to "n-1" in any order, each once. */
static const struct value *fields_array(struct arena *a, const struct field *f) {
    const struct field **at = arena_zalloc(a, f->kids_len * sizeof(const struct field *));
    struct array_builder b;

    for (const struct field *kid = f->kids; kid; kid = kid->next) {
        size_t i = 0;

        if (kid->key.len == 0 || kid->key.len > 4 ||
            (kid->key.data[0] == '0' && kid->key.len > 1))
            return NULL;
        for (size_t k = 0; k < kid->key.len; k++) {
            if (kid->key.data[k] < '0' || kid->key.data[k] > '9')
                return NULL;
            i = i * 10 + (size_t)(kid->key.data[k] - '0');
        }
        if (i >= f->kids_len)
            return NULL;
        at[i] = kid; /* keys differ, hence every place is taken once */
    }
    array_begin(&b, a, f->kids_len);
    for (size_t i = 0; i < f->kids_len; i++) {
        struct value v = field_value(a, at[i]);

        array_push(&b, &v);
    }
    return array_end(&b);
}

static struct value field_value(struct arena *a, const struct field *f) {
    const struct value *v;

    if (!f->nested)
        return text_value(a, f->text);
    v = fields_array(a, f);
    return v ? *v : *fields_object(a, f);
}

int http_query_parse(struct arena *a, const char *text, size_t len,
                     const struct value **ret_query, struct status *st) {
    struct query_parser p = {.arena = a, .st = st};
    const char *end = text + len;
    size_t fields = 0;

    while (text < end) {
        const char *amp = memchr(text, '&', (size_t)(end - text));
        size_t n = (size_t)((amp ? amp : end) - text);

        if (n > 0) {
            if (++fields > HTTP_MAX_QUERY_FIELDS)
                return st_fail(st, ST_BAD_REQUEST, NULL, "More than %d query fields",
                               HTTP_MAX_QUERY_FIELDS);
            if (add_field(&p, text, n) < 0)
                return -1;
        }
        text += n + 1;
    }
    *ret_query = fields ? fields_object(a, &p.root) : &value_empty_object;
    return 0;
}
