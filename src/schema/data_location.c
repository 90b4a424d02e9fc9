/*
 * data_location.c - paths of data collections.
 */
#include "schema/data_location.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "locator/coerce.h"
#include "locator/text_case.h"
#include "schema/schema_priv.h"

/* ---- application/x-www-form-urlencoded ---- */

static bool is_form_safe(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           c == '*' || c == '-' || c == '.' || c == '_';
}

/* Lone surrogates (ED A0..BF xx in WTF-8) are not text: U+FFFD. */
static bool is_surrogate(const char *s, size_t left) {
    return left >= 3 && (unsigned char)s[0] == 0xed && (unsigned char)s[1] >= 0xa0;
}

static void form_encode(struct buf *b, const char *s, size_t len) {
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == ' ') {
            buf_addc(b, '+');
        } else if (is_form_safe(c)) {
            buf_addc(b, (char)c);
        } else if (is_surrogate(s + i, len - i)) {
            buf_adds(b, "%EF%BF%BD");
            i += 2;
        } else {
            buf_addc(b, '%');
            buf_addc(b, hex[c >> 4]);
            buf_addc(b, hex[c & 15]);
        }
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void form_decode(struct buf *b, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '+') {
            buf_addc(b, ' ');
        } else if (is_surrogate(s + i, len - i)) {
            buf_adds(b, "\xef\xbf\xbd");
            i += 2;
        } else if (s[i] == '%' && i + 2 < len && hex_digit(s[i + 1]) >= 0 &&
                   hex_digit(s[i + 2]) >= 0) {
            buf_addc(b, (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2])));
            i += 2;
        } else {
            buf_addc(b, s[i]);
        }
    }
}

/* Bytes of the well-formed UTF-8 sequence at s; 0 when it is none, and then
 * *ret_skip is how many bytes one U+FFFD stands for. */
static size_t utf8_sequence(const unsigned char *s, size_t left, size_t *ret_skip) {
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    unsigned low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;

    *ret_skip = 1;
    for (size_t i = 1; i < n; i++) {
        if (i >= left || s[i] < low || s[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
        *ret_skip = i + 1;
    }
    return n;
}

/* The decoded text; bytes that are no UTF-8 become U+FFFD. */
static const struct value *decoded_text(struct arena *a, const char *s, size_t len) {
    struct buf raw = BUF_INIT, clean = BUF_INIT;
    const struct value *text;

    form_decode(&raw, s, len);
    for (size_t i = 0; i < raw.len;) {
        size_t skip;
        size_t n = utf8_sequence((const unsigned char *)raw.data + i, raw.len - i, &skip);

        if (n)
            buf_add(&clean, raw.data + i, n);
        else
            buf_adds(&clean, "\xef\xbf\xbd");
        i += n ? n : skip;
    }
    text = value_string_len(a, clean.data ? clean.data : "", clean.len);
    buf_fini(&raw);
    buf_fini(&clean);
    return text;
}

static const struct value *parse_query(struct arena *a, const char *query, size_t len) {
    struct object_builder b;
    const char *end = query + len;

    object_begin(&b, a, 4);
    while (query < end) {
        const char *amp = memchr(query, '&', (size_t)(end - query));
        const char *stop = amp ? amp : end;
        const char *eq = memchr(query, '=', (size_t)(stop - query));
        const char *name_end = eq ? eq : stop;

        if (stop > query) {
            const struct value *name = decoded_text(a, query, (size_t)(name_end - query));
            const struct value *v = eq ? decoded_text(a, eq + 1, (size_t)(stop - eq - 1))
                                       : &value_empty_string;

            object_set_ref(&b, name->str, name->len, v);
        }
        query = stop + 1;
    }
    return object_end(&b);
}

/* ---- Paths ---- */

static bool starts_with(const struct value *v, const char *prefix) {
    size_t len = strlen(prefix);

    return value_is_string(v) && v->len >= len && memcmp(v->str, prefix, len) == 0;
}

static const struct value *buf_value(struct arena *a, struct buf *b) {
    const struct value *v = value_string_len(a, b->data ? b->data : "", b->len);

    buf_fini(b);
    return v;
}

static void append_query(struct buf *path, const struct value *parameters) {
    char separator = '?';

    for (VALUE_EACH_MEMBER(m, parameters)) {
        struct buf text = BUF_INIT;

        if (value_is_nullish(&m->value))
            continue;
        coerce_append_text(&text, &m->value);
        buf_addc(path, separator);
        form_encode(path, m->key, m->key_len);
        buf_addc(path, '=');
        form_encode(path, text.data ? text.data : "", text.len);
        buf_fini(&text);
        separator = '&';
    }
}

const struct value *data_location_make_path(struct arena *a,
                                            const struct value *pointer) {
    const struct value *key = value_get(pointer, "key");
    struct buf path = BUF_INIT;

    if (starts_with(pointer, "/data/"))
        key = value_string_len(a, pointer->str + 6, pointer->len - 6);
    if (!value_truthy(key))
        return &value_undefined;
    buf_adds(&path, "/data/");
    coerce_append_text(&path, key);
    append_query(&path, schema_entries(a, value_get(pointer, "parameters")));
    return buf_value(a, &path);
}

int data_location_parse_path(struct arena *a, const struct value *path,
                             const struct value **ret_pointer, struct status *st) {
    const char *s, *query, *end, *stop;

    if (!value_truthy(path)) {
        *ret_pointer = &value_undefined;
        return 0;
    }
    if (!value_is_string(path))
        return st_fail(st, ST_BAD_REQUEST, NULL, "A data location path should be text");
    s = path->str;
    end = s + path->len;
    if (*s == '/')
        s++;
    if (end - s < 5 || memcmp(s, "data/", 5) != 0)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "Invalid data location path: %s. It should start with "
                       "\"data/\"",
                       s);
    s += 5;
    query = memchr(s, '?', (size_t)(end - s));
    stop = query ? memchr(query + 1, '?', (size_t)(end - query - 1)) : NULL;
    *ret_pointer = value_obj(
        a, "key", value_string_len(a, s, (size_t)((query ? query : end) - s)),
        "parameters",
        query ? parse_query(a, query + 1, (size_t)((stop ? stop : end) - query - 1))
              : &value_empty_object,
        NULL);
    return 0;
}

static const struct value *non_empty(const struct value *parameters) {
    if (!value_truthy(parameters) ||
        value_members_count(parameters) + value_items_count(parameters) == 0)
        return &value_undefined;
    return parameters;
}

bool data_location_is_same(const struct value *x, const struct value *y) {
    return coerce_strict_equal(value_get(x, "key"), value_get(y, "key")) &&
           value_equal(non_empty(value_get(x, "parameters")),
                       non_empty(value_get(y, "parameters")));
}

bool data_location_parameters_match(struct arena *a,
                                    const struct value *location_parameters,
                                    const struct value *target_parameters) {
    location_parameters = schema_entries(a, location_parameters);
    if (value_is_array(target_parameters))
        target_parameters = schema_entries(a, target_parameters);
    for (VALUE_EACH_MEMBER(m, target_parameters)) {
        if (!coerce_strict_equal(value_get_len(location_parameters, m->key, m->key_len),
                                 &m->value))
            return false;
    }
    return true;
}

/* ---- Operation paths ---- */

static size_t without_trailing_slashes(const char *s, size_t len) {
    while (len && s[len - 1] == '/')
        len--;
    return len;
}

/* "http:/h" and "http:h" are "http://h"; gives the bytes of s it used up. */
static size_t append_protocol(struct buf *b, const char *s, size_t len) {
    size_t i = 0;

    while (i < len && s[i] != '/' && s[i] != ':')
        i++;
    if (i == 0 || i == len || s[i] != ':')
        return 0;
    buf_add(b, s, i);
    buf_adds(b, "://");
    for (i++; i < len && s[i] == '/'; i++)
        ;
    return i;
}

const struct value *data_location_operation_path(struct arena *a,
                                                 const struct value *path,
                                                 const struct value *operation) {
    const char *s = value_is_string(path) ? path->str : "";
    size_t len = value_is_string(path) ? path->len : 0;
    const char *query = memchr(s, '?', len);
    const char *end = s + len;
    size_t path_len = query ? (size_t)(query - s) : len;
    struct buf b = BUF_INIT, name = BUF_INIT;
    size_t skip = 0;

    if (!value_is_nullish(operation))
        coerce_append_text(&name, operation);
    while (skip < name.len && name.data[skip] == '/')
        skip++;
    if (path_len) {
        size_t used = append_protocol(&b, s, path_len);

        buf_add(&b, s + used, without_trailing_slashes(s + used, path_len - used));
        if (name.len)
            buf_addc(&b, '/');
    }
    if (name.len) {
        size_t n = without_trailing_slashes(name.data + skip, name.len - skip);

        buf_add(&b, name.data + skip, n);
    }
    buf_fini(&name);
    if (query && query + 1 < end) {
        const char *stop = memchr(query + 1, '?', (size_t)(end - query - 1));

        buf_add(&b, query, (size_t)((stop ? stop : end) - query));
    }
    return buf_value(a, &b);
}

const struct value *data_location_method_path(struct arena *a, const struct value *key,
                                              const struct value *method) {
    const struct value *name = value_is_string(method)
                                   ? text_kebab_case(a, method->str, method->len)
                                   : &value_empty_string;
    struct buf b = BUF_INIT;

    buf_adds(&b, "data/");
    coerce_append_text(&b, key);
    buf_addc(&b, '/');
    buf_add(&b, name->str, name->len);
    return buf_value(a, &b);
}

/* ---- References ---- */

int schema_reference_pointer(struct arena *a, const struct value *schema,
                             const struct value **ret_pointer, struct status *st) {
    const struct value *collection = value_get(schema, "referenceCollection");
    const struct value *path = value_get(schema, "referenceCollectionPath");

    if (value_truthy(value_get(collection, "key"))) {
        *ret_pointer = collection;
        return 0;
    }
    if (!value_truthy(path))
        path = value_get(schema, "referenceCollectionUri");
    return data_location_parse_path(a, path, ret_pointer, st);
}

int schema_reference_path(struct arena *a, const struct value *schema,
                          const struct value **ret_path, struct status *st) {
    const struct value *pointer;

    if (schema_reference_pointer(a, schema, &pointer, st) < 0)
        return -1;
    *ret_path = data_location_make_path(a, pointer);
    return 0;
}
