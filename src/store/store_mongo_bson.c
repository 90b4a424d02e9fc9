/*
 * store_mongo_bson.c - values as BSON and back, without a way through text.
 *
 * A value is stored as its JSON: undefined members are left out, undefined items and
 * numbers that aren't finite are null, dates are text. Whole numbers become int32 or
 * int64, as people expect to see them, all others doubles; they come back as doubles.
 *
 * What BSON can't hold is written so that nothing is lost and nothing else changes:
 * - names with a leading "$", ".", "%", U+0000 or lone surrogates: percent-encoded;
 *   the empty name is "%";
 * - lone surrogates in text: U+E000 and a character of U+0800 .. U+0FFF; U+E000 itself:
 *   U+E000 U+F000. The order of bytes stays that of WTF-8;
 * - containers below MONGO_EMBED_DEPTH: a BSON document of their own, as binary.
 */
#include "store_mongo_priv.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

#define ESCAPE    "\xee\x80\x80"     /* U+E000 */
#define ITSELF    "\xef\x80\x80"     /* U+F000 */
#define HIGHEST   "\xf4\x8f\xbf\xbf" /* U+10FFFF */
#define LAST_TYPE HIGHEST HIGHEST    /* begins the keys of arrays and objects */

/* ---- Text ---- */

static bool is_ascii(const char *s, size_t len) {
    uint64_t seen = 0, word;

    for (; len >= 8; s += 8, len -= 8) {
        memcpy(&word, s, 8);
        seen |= word;
    }
    for (; len; s++, len--)
        seen |= (unsigned char)*s;
    return (seen & 0x8080808080808080u) == 0;
}

static bool is_surrogate(const char *s, size_t left) {
    return left >= 3 && (unsigned char)s[0] == 0xed && (unsigned char)s[1] >= 0xa0;
}

static bool is_escape(const char *s, size_t left) {
    return left >= 3 && memcmp(s, ESCAPE, 3) == 0;
}

struct bytes store_mongo_text(struct arena *a, struct bytes text) {
    struct buf b = BUF_INIT;
    size_t from = 0;

    if (is_ascii(text.data, text.len))
        return text;
    for (size_t i = 0; i < text.len; i++) {
        const char *s = text.data + i;
        bool surrogate = is_surrogate(s, text.len - i);

        if (!surrogate && !is_escape(s, text.len - i))
            continue;
        buf_add(&b, text.data + from, i - from);
        buf_add(&b, ESCAPE, 3);
        if (surrogate) {
            buf_addc(&b, (char)0xe0); /* D800 + n becomes 0800 + n */
            buf_addc(&b, s[1]);
            buf_addc(&b, s[2]);
        } else {
            buf_add(&b, ITSELF, 3);
        }
        i += 2;
        from = i + 1;
    }
    if (!from)
        return text;
    buf_add(&b, text.data + from, text.len - from);
    text = buf_to_arena(&b, a);
    buf_fini(&b);
    return text;
}

/* Replaces bytes that aren't UTF-8: other programs may have written them. */
static struct bytes repaired(struct arena *a, struct bytes text) {
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < text.len;) {
        size_t n = 1;

        while (n <= 4 && i + n <= text.len && !bson_utf8_validate(text.data + i, n, true))
            n++;
        if (n > 4 || i + n > text.len) {
            buf_adds(&b, "\xef\xbf\xbd");
            i++;
        } else {
            buf_add(&b, text.data + i, n);
            i += n;
        }
    }
    text = buf_to_arena(&b, a);
    buf_fini(&b);
    return text;
}

static struct bytes unescaped(struct arena *a, struct bytes text) {
    struct buf b = BUF_INIT;

    if (!memmem(text.data, text.len, ESCAPE, 3))
        return text;
    for (size_t i = 0; i < text.len;) {
        const char *s = text.data + i;

        if (!is_escape(s, text.len - i) || text.len - i < 6) {
            buf_addc(&b, text.data[i++]);
        } else if (memcmp(s + 3, ITSELF, 3) == 0) {
            buf_add(&b, ESCAPE, 3);
            i += 6;
        } else if ((unsigned char)s[3] == 0xe0) {
            buf_addc(&b, (char)0xed);
            buf_add(&b, s + 4, 2);
            i += 6;
        } else {
            buf_add(&b, s, 3);
            i += 3;
        }
    }
    text = buf_to_arena(&b, a);
    buf_fini(&b);
    return text;
}

/* Stored text as WTF-8; lends from `text` or `a`. */
static struct bytes text_back(struct arena *a, struct bytes text) {
    if (is_ascii(text.data, text.len))
        return text;
    if (!bson_utf8_validate(text.data, text.len, true))
        text = repaired(a, text);
    return unescaped(a, text);
}

/* ---- Names ---- */

static bool must_encode(const char *key, size_t len, size_t i) {
    char c = key[i];

    return c == '\0' || c == '.' || c == '%' || (c == '$' && i == 0) ||
           is_surrogate(key + i, len - i) ||
           (i >= 1 && is_surrogate(key + i - 1, len - i + 1)) ||
           (i >= 2 && is_surrogate(key + i - 2, len - i + 2));
}

const char *store_mongo_name(struct arena *a, const char *key, size_t len) {
    static const char hex[] = "0123456789ABCDEF";
    char *out, *p;
    size_t i = 0;

    if (len == 0)
        return "%";
    while (i < len && !must_encode(key, len, i))
        i++;
    if (i == len)
        return key; /* keys are NUL-terminated */
    p = out = arena_alloc(a, len * 3 + 1);
    for (i = 0; i < len; i++) {
        if (!must_encode(key, len, i)) {
            *p++ = key[i];
            continue;
        }
        *p++ = '%';
        *p++ = hex[(unsigned char)key[i] >> 4];
        *p++ = hex[(unsigned char)key[i] & 15];
    }
    *p = '\0';
    return out;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static struct bytes name_back(struct arena *a, const char *name, size_t len) {
    struct bytes plain = {name, len};
    char *out, *p;

    if (len == 1 && *name == '%')
        return (struct bytes){"", 0};
    if (memchr(name, '%', len)) {
        p = out = arena_alloc(a, len + 1);
        for (size_t i = 0; i < len; i++) {
            int high = i + 2 < len && name[i] == '%' ? hex_digit(name[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(name[i + 2]) : -1;

            *p++ = low < 0 ? name[i] : (char)(high * 16 + low);
            i += low < 0 ? 0 : 2;
        }
        *p = '\0';
        plain = (struct bytes){out, (size_t)(p - out)};
    }
    if (!is_ascii(plain.data, plain.len)) {
        struct bytes wtf8 = store_mongo_text(a, plain); /* what may stand there */

        if (!bson_utf8_validate(wtf8.data, wtf8.len, true))
            plain = repaired(a, plain);
    }
    return plain;
}

/* ---- Values to BSON ---- */

static bool append_number(bson_t *out, const char *key, int key_len, double n) {
    if (!isfinite(n))
        return bson_append_null(out, key, key_len);
    if (n != trunc(n) || fabs(n) > 9007199254740992.0)
        return bson_append_double(out, key, key_len, n);
    if (fabs(n) < 2147483648.0)
        return bson_append_int32(out, key, key_len, (int32_t)n);
    return bson_append_int64(out, key, key_len, (int64_t)n);
}

static bool append_text(bson_t *out, const char *key, int key_len, struct bytes text) {
    struct arena *a = NULL;
    bool ok;

    if (text.len > MONGO_MAX_BYTES)
        return false;
    if (!is_ascii(text.data, text.len))
        text = store_mongo_text(a = arena_new(0), text);
    ok = bson_append_utf8(out, key, key_len, text.data, (int)text.len);
    arena_free(&a);
    return ok;
}

static bool append_date(bson_t *out, const char *key, int key_len, double ms) {
    char text[32];

    if (!isfinite(ms))
        return bson_append_null(out, key, key_len);
    return bson_append_utf8(out, key, key_len, text, (int)value_format_date(ms, text));
}

static bool append_members(bson_t *out, const struct value *v, int depth) {
    struct arena *a = NULL;
    bool ok = true;

    for (VALUE_EACH_MEMBER(m, v)) {
        const char *name;

        if (m->value.type == VALUE_UNDEFINED)
            continue;
        if (!a && (m->key_len == 0 || !is_ascii(m->key, m->key_len) ||
                   memchr(m->key, '%', m->key_len) || memchr(m->key, '.', m->key_len) ||
                   memchr(m->key, '\0', m->key_len) || *m->key == '$'))
            a = arena_new(0);
        name = a ? store_mongo_name(a, m->key, m->key_len) : m->key;
        if (!(ok = store_mongo_append(out, name, -1, &m->value, depth)))
            break;
    }
    if (a)
        arena_free(&a);
    return ok;
}

static bool append_items(bson_t *out, const struct value *v, int depth) {
    char space[16];
    const char *key;
    uint32_t i = 0;

    for (VALUE_EACH_ITEM(item, v)) {
        size_t len = bson_uint32_to_string(i++, &key, space, sizeof(space));

        if (item->type == VALUE_UNDEFINED
                ? !bson_append_null(out, key, (int)len)
                : !store_mongo_append(out, key, (int)len, item, depth))
            return false;
    }
    return true;
}

static bool append_embedded(bson_t *out, const char *key, int key_len,
                            const struct value *v) {
    bson_t own = BSON_INITIALIZER;
    bool ok = store_mongo_append(&own, "v", 1, v, 0) && own.len <= MONGO_MAX_BYTES &&
              bson_append_binary(out, key, key_len, BSON_SUBTYPE_BINARY,
                                 bson_get_data(&own), own.len);

    bson_destroy(&own);
    return ok;
}

static bool append_container(bson_t *out, const char *key, int key_len,
                             const struct value *v, int depth) {
    bool array = v->type == VALUE_ARRAY, ok;
    bson_t child;

    if (depth >= MONGO_EMBED_DEPTH)
        return append_embedded(out, key, key_len, v);
    if (!(array ? bson_append_array_begin(out, key, key_len, &child)
                : bson_append_document_begin(out, key, key_len, &child)))
        return false;
    ok =
        array ? append_items(&child, v, depth + 1) : append_members(&child, v, depth + 1);
    return (array ? bson_append_array_end(out, &child)
                  : bson_append_document_end(out, &child)) &&
           ok && out->len <= MONGO_MAX_BYTES;
}

bool store_mongo_append(bson_t *out, const char *key, int key_len, const struct value *v,
                        int depth) {
    switch ((enum value_type)v->type) {
    case VALUE_UNDEFINED:
        return true;
    case VALUE_NULL:
        return bson_append_null(out, key, key_len);
    case VALUE_BOOL:
        return bson_append_bool(out, key, key_len, v->boolean);
    case VALUE_NUMBER:
        return append_number(out, key, key_len, v->number);
    case VALUE_STRING:
        return append_text(out, key, key_len, value_bytes(v));
    case VALUE_DATE:
        return append_date(out, key, key_len, v->number);
    case VALUE_ARRAY:
    case VALUE_OBJECT:
        return append_container(out, key, key_len, v, depth);
    }
    return false;
}

/* ---- BSON to values ---- */

static struct value text_value(struct arena *a, const char *s, size_t len) {
    struct bytes text = text_back(a, (struct bytes){s, len});
    const char *own = text.data == s ? arena_memdup(a, s, len) : text.data;

    return value_string_ref(own, text.len);
}

static struct value read_array(struct arena *a, bson_iter_t *child, int depth) {
    struct array_builder b;

    array_begin(&b, a, 0);
    while (bson_iter_next(child)) {
        struct value item = store_mongo_read(a, child, depth + 1);

        array_push(&b, &item);
    }
    return *array_end(&b);
}

static struct value read_object(struct arena *a, bson_iter_t *child, int depth) {
    struct object_builder b;

    object_begin(&b, a, 0);
    while (bson_iter_next(child)) {
        struct value v = store_mongo_read(a, child, depth + 1);
        const char *key = bson_iter_key(child);
        struct bytes name = name_back(a, key, strlen(key));

        object_set_len(&b, name.data, name.len, &v);
    }
    return *object_end(&b);
}

static struct value read_embedded(struct arena *a, const bson_iter_t *it, int depth) {
    bson_subtype_t subtype;
    const uint8_t *data;
    uint32_t len;
    bson_t own;
    bson_iter_t child;

    bson_iter_binary(it, &subtype, &len, &data);
    if (subtype == BSON_SUBTYPE_BINARY && data && bson_init_static(&own, data, len) &&
        bson_iter_init(&child, &own) && bson_iter_next(&child))
        return store_mongo_read(a, &child, depth + 1);
    return value_null;
}

/* Types that this store never writes: somebody else did, with another program. */
static struct value read_foreign(struct arena *a, const bson_iter_t *it) {
    bson_decimal128_t decimal;
    char text[BSON_DECIMAL128_STRING];
    size_t len;

    switch (bson_iter_type(it)) {
    case BSON_TYPE_DATE_TIME:
        len = value_format_date((double)bson_iter_date_time(it), text);
        return value_string_ref(arena_memdup(a, text, len), len);
    case BSON_TYPE_OID:
        bson_oid_to_string(bson_iter_oid(it), text);
        return value_string_ref(arena_strdup(a, text), 24);
    case BSON_TYPE_DECIMAL128:
        bson_iter_decimal128(it, &decimal);
        bson_decimal128_to_string(&decimal, text);
        return *value_number(a, value_string_to_number(text, strlen(text)));
    default:
        return value_null;
    }
}

struct value store_mongo_read(struct arena *a, const bson_iter_t *it, int depth) {
    bson_iter_t child;
    const char *s;
    uint32_t len;

    if (depth > STORE_MAX_DEPTH + 16) /* embedded ones count once more */
        return value_null;
    switch (bson_iter_type(it)) {
    case BSON_TYPE_BOOL:
        return *value_bool(bson_iter_bool(it));
    case BSON_TYPE_INT32:
        return *value_number(a, bson_iter_int32(it));
    case BSON_TYPE_INT64:
        return *value_number(a, (double)bson_iter_int64(it));
    case BSON_TYPE_DOUBLE:
        return *value_number(a, bson_iter_double(it));
    case BSON_TYPE_UTF8:
        s = bson_iter_utf8(it, &len);
        return text_value(a, s, len);
    case BSON_TYPE_ARRAY:
        return bson_iter_recurse(it, &child) ? read_array(a, &child, depth) : value_null;
    case BSON_TYPE_DOCUMENT:
        return bson_iter_recurse(it, &child) ? read_object(a, &child, depth) : value_null;
    case BSON_TYPE_BINARY:
        return read_embedded(a, it, depth);
    default:
        return read_foreign(a, it);
    }
}

/* ---- Keys ---- */

static double key_number(const struct store_key *k) {
    if (k->rank == RANK_NUMBER)
        return k->number;
    return k->number != 0 ? -0x1.ffffffffffffep+1023 : -0x1.fffffffffffffp+1023;
}

bool store_mongo_append_key(bson_t *out, const char *name, struct arena *a,
                            const struct store_key *k) {
    struct bytes text;
    const char *lead = "";

    if (k->rank == RANK_NULL)
        return true;
    if (k->rank <= RANK_NUMBER)
        return bson_append_double(out, name, -1, key_number(k));
    text = store_mongo_text(a, k->text);
    if (text.len > MONGO_MAX_BYTES)
        return false;
    if (k->rank == RANK_CONTAINER)
        lead = LAST_TYPE;
    else if (text.len >= 4 && memcmp(text.data, HIGHEST, 4) == 0) {
        lead = HIGHEST "\x01";
        text = (struct bytes){text.data + 4, text.len - 4};
    }
    if (*lead) {
        char *joined = arena_alloc(a, strlen(lead) + text.len + 1);

        memcpy(joined, lead, strlen(lead));
        memcpy(joined + strlen(lead), text.data, text.len);
        text = (struct bytes){joined, strlen(lead) + text.len};
    }
    return bson_append_utf8(out, name, -1, text.data, (int)text.len);
}

/* ---- Whole documents ---- */

static bool append_keys(const struct store_mongo_table *t, const struct value *doc,
                        struct arena *a, bson_t *out) {
    bson_t keys;
    bool ok = bson_append_document_begin(out, "k", 1, &keys);

    for (size_t i = 0; i < t->columns_len && ok; i++) {
        struct store_key k = store_key_of(a, store_path_get(doc, t->column[i]));

        ok = store_mongo_append_key(&keys, t->key[i], a, &k);
    }
    return bson_append_document_end(out, &keys) && ok;
}

static bool is_absent(const struct value *doc, const char *path) {
    return value_is_nullish(store_path_get(doc, path));
}

/* The document's text under a unique rule; NULL when the rule isn't about it. */
static const char *unique_text(const struct store_rule *r, const struct value *doc,
                               struct arena *a, size_t *ret_len) {
    struct buf b = BUF_INIT;
    struct bytes out;

    if (r->live && !is_absent(doc, "archivedAt"))
        return NULL;
    for (size_t i = 0; r->absent[i]; i++)
        if (!is_absent(doc, r->absent[i]))
            return NULL;
    for (size_t i = 0; i < r->len; i++) {
        struct store_key k = store_key_of(a, store_path_get(doc, r->field[i]));

        if (k.rank == RANK_NULL && !r->null_counts[i]) {
            buf_fini(&b);
            return NULL;
        }
        if (k.rank <= RANK_NUMBER) {
            buf_addf(&b, "%d:%a,", (int)k.rank, k.rank == RANK_NULL ? 0 : k.number);
        } else {
            struct bytes text = store_mongo_text(a, k.text);

            buf_addf(&b, "%d:%zu:", (int)k.rank, text.len);
            buf_add(&b, text.data, text.len);
            buf_addc(&b, ',');
        }
    }
    out = buf_to_arena(&b, a);
    buf_fini(&b);
    *ret_len = out.len;
    return out.data;
}

static bool append_unique(const struct store_mongo_table *t, const struct value *doc,
                          struct arena *a, bson_t *out) {
    bson_t rules;
    bool ok = bson_append_document_begin(out, "u", 1, &rules);

    for (size_t i = 0; i < t->rules_len && ok; i++) {
        const char *text = NULL;
        size_t len = 0;

        if (t->rules[i].unique)
            text = unique_text(&t->rules[i], doc, a, &len);
        if (text)
            ok = len <= MONGO_MAX_BYTES &&
                 bson_append_utf8(&rules, t->rules[i].name, -1, text, (int)len);
    }
    return bson_append_document_end(out, &rules) && ok;
}

int store_mongo_encode(const struct store_mongo_table *t, const struct value *doc,
                       const bson_oid_t *v, bson_t *out, struct status *st) {
    struct arena *a = arena_new(0);
    struct bytes id = store_mongo_text(a, value_bytes(value_get(doc, "id")));
    bool ok = id.len <= MONGO_MAX_BYTES &&
              bson_append_utf8(out, "_id", 3, id.data, (int)id.len) &&
              bson_append_oid(out, "v", 1, v) && append_keys(t, doc, a, out) &&
              append_unique(t, doc, a, out) && store_mongo_append(out, "d", 1, doc, 1) &&
              out->len <= MONGO_MAX_BYTES;

    arena_free(&a);
    return ok ? 0
              : st_fail(st, ST_BAD_REQUEST, "payload_too_large",
                        "A document must not be larger than %d MB.",
                        STORE_MAX_BYTES / 1024 / 1024);
}

int store_mongo_decode(struct arena *a, const bson_t *stored,
                       const struct value **ret_doc, bson_oid_t *ret_v,
                       struct status *st) {
    bson_iter_t it;
    bool has_v = !ret_v, has_doc = false;

    if (bson_iter_init(&it, stored))
        while (bson_iter_next(&it)) {
            const char *key = bson_iter_key(&it);

            if (ret_v && strcmp(key, "v") == 0 && BSON_ITER_HOLDS_OID(&it)) {
                bson_oid_copy(bson_iter_oid(&it), ret_v);
                has_v = true;
            } else if (strcmp(key, "d") == 0 && BSON_ITER_HOLDS_DOCUMENT(&it)) {
                *ret_doc = value_box(a, store_mongo_read(a, &it, 0));
                has_doc = true;
            }
        }
    if (has_doc && has_v && store_check_document(*ret_doc, st) == 0)
        return 0;
    st_clear(st);
    return st_fail(st, ST_INTERNAL, "damaged", "A stored document is damaged.");
}
