/*
 * yaml.c - a recursive walk over libyaml's events.
 *
 * Events, not libyaml's document tree: the tree can't tell how often an alias is used,
 * and aliases are how a small text becomes a huge value. Here every use counts against
 * the node limit.
 */
#include "yaml.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/status.h"
#include "value/value.h"

struct anchor {
    struct anchor *next;
    const char *name;
    const struct value *value; /* NULL while it is still being read */
    size_t nodes;
};

struct reader {
    struct arena *arena;
    struct status *st;
    const char *name;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; always initialised */
    struct anchor *anchors;
    size_t nodes, max_nodes, max_depth;
};

static int fail_at(struct reader *r, yaml_mark_t mark, const char *what) {
    struct arena *a = r->arena;
    const struct value *data = value_obj(a, "file", value_string(a, r->name), "line",
                                         value_number(a, (double)mark.line + 1), "column",
                                         value_number(a, (double)mark.column + 1), NULL);

    return st_fail_data(r->st, ST_BAD_REQUEST, NULL, data, "%s:%zu:%zu: %s", r->name,
                        mark.line + 1, mark.column + 1, what);
}

static int next_event(struct reader *r) {
    yaml_event_delete(&r->event);
    memset(&r->event, 0, sizeof(r->event));
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        const char *problem = r->parser.problem ? r->parser.problem : "not valid YAML";
        yaml_mark_t mark = r->parser.problem_mark;

        memset(&r->event, 0, sizeof(r->event));
        if (r->parser.error == YAML_READER_ERROR)
            mark = r->parser.mark;
        return fail_at(r, mark, problem);
    }
    return 0;
}

static int count_nodes(struct reader *r, size_t n) {
    r->nodes += n;
    if (r->nodes > r->max_nodes)
        return fail_at(r, r->event.start_mark, "the document has too many nodes");
    return 0;
}

/* ---- scalars ---- */

static bool is_one_of(const char *s, const char *const *words) {
    for (; *words; words++)
        if (strcmp(s, *words) == 0)
            return true;
    return false;
}

static bool all_in(const char *s, const char *set) {
    return *s && s[strspn(s, set)] == '\0';
}

/* Decimal, 0x, 0o or 0b, with an optional sign. */
static bool parse_integer(const char *s, double *ret) {
    double sign = 1, n = 0;
    int base = 10;
    const char *digits = "0123456789";

    if (*s == '+' || *s == '-')
        sign = *s++ == '-' ? -1 : 1;
    if (s[0] == '0' && s[1] == 'x') {
        base = 16;
        digits = "0123456789abcdefABCDEF";
    } else if (s[0] == '0' && s[1] == 'o') {
        base = 8;
        digits = "01234567";
    } else if (s[0] == '0' && s[1] == 'b') {
        base = 2;
        digits = "01";
    }
    if (base != 10)
        s += 2;
    if (!all_in(s, digits))
        return false;
    if (base == 10) {
        *ret = sign * strtod(s, NULL);
        return true;
    }
    for (; *s; s++)
        n = n * base + (*s <= '9' ? *s - '0' : (*s | 32) - 'a' + 10);
    *ret = sign * n;
    return true;
}

/* [-+]? ( digits [. digits?] | . digits ) [exponent]; at least a dot or an exponent. */
static bool parse_float(const char *s, double *ret) {
    const char *p = s;
    size_t before, after = 0;

    if (*p == '+' || *p == '-')
        p++;
    before = strspn(p, "0123456789");
    p += before;
    if (*p == '.') {
        p++;
        after = strspn(p, "0123456789");
        p += after;
    }
    if (before + after == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '+' || *p == '-')
            p++;
        if (strspn(p, "0123456789") == 0)
            return false;
        p += strspn(p, "0123456789");
    }
    if (*p)
        return false;
    *ret = strtod(s, NULL);
    return true;
}

static int take_digits(const char **p, int min, int max) {
    int n = 0, count = 0;

    while (count < max && **p >= '0' && **p <= '9') {
        n = n * 10 + (*(*p)++ - '0');
        count++;
    }
    return count < min ? -1 : n;
}

static double days_from_civil(int y, int m, int d) {
    int era, yoe, doy, doe;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (double)era * 146097 + doe - 719468;
}

/* YAML's timestamp: a date alone with two-digit parts, or a date and a time. */
static bool parse_timestamp(const char *s, double *ret_ms) {
    const char *p = s;
    int year, month, day, hour = 0, minute = 0, second = 0, zone = 0;
    double fraction = 0, scale = 100;

    if ((year = take_digits(&p, 4, 4)) < 0 || *p++ != '-' ||
        (month = take_digits(&p, 1, 2)) < 0 || *p++ != '-' ||
        (day = take_digits(&p, 1, 2)) < 0)
        return false;
    if (*p == '\0') {
        if (p - s != 10)
            return false;
    } else {
        if (*p == 'T' || *p == 't')
            p++;
        else if (*p == ' ' || *p == '\t')
            p += strspn(p, " \t");
        else
            return false;
        if ((hour = take_digits(&p, 1, 2)) < 0 || *p++ != ':' ||
            (minute = take_digits(&p, 2, 2)) < 0 || *p++ != ':' ||
            (second = take_digits(&p, 2, 2)) < 0)
            return false;
        if (*p == '.')
            for (p++; *p >= '0' && *p <= '9'; p++) {
                if (scale >= 1)
                    fraction += (*p - '0') * scale;
                scale /= 10;
            }
        p += strspn(p, " \t");
        if (*p == 'Z') {
            p++;
        } else if (*p == '+' || *p == '-') {
            int sign = *p++ == '-' ? -1 : 1, h = take_digits(&p, 1, 2), m = 0;

            if (h < 0)
                return false;
            if (*p == ':') {
                p++;
                if ((m = take_digits(&p, 2, 2)) < 0)
                    return false;
            }
            zone = sign * (h * 60 + m);
        }
        if (*p)
            return false;
    }
    *ret_ms = days_from_civil(year, month, day) * 86400000.0 + hour * 3600000.0 +
              (minute - zone) * 60000.0 + second * 1000.0 + fraction;
    return true;
}

static struct value plain_scalar(const char *s, size_t len) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const infs[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    struct value number = {.type = VALUE_NUMBER};

    if (strlen(s) != len || len > 64)
        return value_string_ref(s, len);
    if (is_one_of(s, nulls))
        return value_null;
    if (is_one_of(s, trues))
        return value_true;
    if (is_one_of(s, falses))
        return value_false;
    if (parse_integer(s, &number.number) || parse_float(s, &number.number))
        return number;
    if (is_one_of(s + (*s == '-' || *s == '+'), infs)) {
        number.number = *s == '-' ? -INFINITY : INFINITY;
        return number;
    }
    if (is_one_of(s, nans)) {
        number.number = NAN;
        return number;
    }
    if (*s >= '0' && *s <= '9' && parse_timestamp(s, &number.number)) {
        number.type = VALUE_DATE;
        return number;
    }
    return value_string_ref(s, len);
}

static struct value read_scalar(struct reader *r) {
    const char *s =
        arena_memdup(r->arena, r->event.data.scalar.value, r->event.data.scalar.length);
    size_t len = r->event.data.scalar.length;
    const char *tag = (const char *)r->event.data.scalar.tag;

    if (tag && strcmp(tag, YAML_STR_TAG) == 0)
        return value_string_ref(s, len);
    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return plain_scalar(s, len);
    return value_string_ref(s, len);
}

/* ---- nodes ---- */

static int read_node(struct reader *r, size_t depth, struct value *ret);

static int read_sequence(struct reader *r, size_t depth, struct value *ret) {
    struct array_builder b;
    struct value item;

    array_begin(&b, r->arena, 4);
    for (;;) {
        if (next_event(r) < 0)
            return -1;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (read_node(r, depth + 1, &item) < 0)
            return -1;
        array_push(&b, &item);
    }
    *ret = *array_end(&b);
    return 0;
}

/* What js-yaml makes of a key: text as it is, other scalars by their text. */
static int key_text(struct reader *r, yaml_mark_t mark, const struct value *key,
                    struct bytes *ret) {
    struct bytes text;

    if (value_is_string(key)) {
        *ret = value_bytes(key);
        return 0;
    }
    if (value_is_array(key) || value_is_object(key))
        return fail_at(r, mark, "a mapping key must be a scalar");
    text = value_encode_arena(r->arena, key, VALUE_ENCODE_COMPACT);
    if (text.len >= 2 && text.data[0] == '"') /* a date */
        text = (struct bytes){text.data + 1, text.len - 2};
    *ret = text;
    return 0;
}

/* Keys of a merged mapping don't replace those that are there. */
static void merge_mapping(struct object_builder *b, const struct value *from) {
    for (VALUE_EACH_MEMBER(m, from))
        if (!object_builder_get(b, m->key, m->key_len))
            object_set_ref(b, m->key, m->key_len, &m->value);
}

static int merge_value(struct reader *r, yaml_mark_t mark, struct object_builder *b,
                       const struct value *v) {
    if (value_is_object(v)) {
        merge_mapping(b, v);
        return 0;
    }
    if (value_is_array(v)) {
        for (VALUE_EACH_ITEM(i, v)) {
            if (!value_is_object(i))
                return fail_at(r, mark, "<< must name mappings");
            merge_mapping(b, i);
        }
        return 0;
    }
    return fail_at(r, mark, "<< must name a mapping");
}

static int read_mapping(struct reader *r, size_t depth, struct value *ret) {
    struct object_builder b, own;
    struct value key, item;
    struct bytes name = {"", 0};

    object_begin(&b, r->arena, 4);
    object_begin(&own, r->arena, 4); /* keys that stand here, not merged ones */
    for (;;) {
        yaml_mark_t mark;
        bool merge;

        if (next_event(r) < 0)
            return -1;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        mark = r->event.start_mark;
        merge = r->event.type == YAML_SCALAR_EVENT &&
                r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                strcmp((const char *)r->event.data.scalar.value, "<<") == 0;
        if (read_node(r, depth + 1, &key) < 0 || key_text(r, mark, &key, &name) < 0 ||
            next_event(r) < 0 || read_node(r, depth + 1, &item) < 0)
            return -1;
        if (merge) {
            if (merge_value(r, mark, &b, &item) < 0)
                return -1;
            continue;
        }
        if (object_builder_get(&own, name.data, name.len))
            return fail_at(r, mark, "duplicated mapping key");
        object_set_ref(&own, name.data, name.len, &value_true);
        object_set_ref(&b, name.data, name.len, &item);
    }
    *ret = *object_end(&b);
    return 0;
}

static int read_alias(struct reader *r, struct value *ret) {
    const char *name = (const char *)r->event.data.alias.anchor;

    for (struct anchor *a = r->anchors; a; a = a->next) {
        if (strcmp(a->name, name) != 0)
            continue;
        if (!a->value)
            return fail_at(r, r->event.start_mark, "an alias inside its own anchor");
        if (count_nodes(r, a->nodes) < 0)
            return -1;
        *ret = *a->value;
        return 0;
    }
    return fail_at(r, r->event.start_mark, "unknown alias");
}

static struct anchor *begin_anchor(struct reader *r, const yaml_char_t *name) {
    struct anchor *a;

    if (!name)
        return NULL;
    a = arena_zalloc(r->arena, sizeof(*a));
    a->name = arena_strdup(r->arena, (const char *)name);
    a->next = r->anchors;
    r->anchors = a;
    a->nodes = r->nodes;
    return a;
}

static int read_node(struct reader *r, size_t depth, struct value *ret) {
    struct anchor *anchor = NULL;
    int rc = 0;

    if (depth > r->max_depth)
        return fail_at(r, r->event.start_mark, "nested too deeply");
    if (count_nodes(r, 1) < 0)
        return -1;
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        anchor = begin_anchor(r, r->event.data.scalar.anchor);
        *ret = read_scalar(r);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = begin_anchor(r, r->event.data.sequence_start.anchor);
        rc = read_sequence(r, depth, ret);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = begin_anchor(r, r->event.data.mapping_start.anchor);
        rc = read_mapping(r, depth, ret);
        break;
    case YAML_ALIAS_EVENT:
        return read_alias(r, ret);
    default:
        return fail_at(r, r->event.start_mark, "unexpected end of the document");
    }
    if (rc == 0 && anchor) {
        anchor->value = value_box(r->arena, *ret);
        anchor->nodes = r->nodes - anchor->nodes + 1;
    }
    return rc;
}

static int read_document(struct reader *r, struct value *ret) {
    *ret = value_null;
    if (next_event(r) < 0) /* stream start */
        return -1;
    if (next_event(r) < 0)
        return -1;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return 0;
    if (next_event(r) < 0 || read_node(r, 1, ret) < 0)
        return -1;
    if (next_event(r) < 0) /* document end */
        return -1;
    if (next_event(r) < 0)
        return -1;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fail_at(r, r->event.start_mark, "more than one document");
    return 0;
}

int yaml_parse(struct arena *a, const char *name, const char *text, size_t len,
               const struct yaml_limits *limits, const struct value **ret_value,
               struct status *st) {
    static const struct yaml_limits none;
    struct reader r = {.arena = a, .st = st, .name = name};
    struct value v = value_null;
    int rc;

    limits = limits ? limits : &none;
    r.max_nodes = limits->max_nodes ? limits->max_nodes : 1000000;
    r.max_depth = limits->max_depth ? limits->max_depth : 200;
    if (len > (limits->max_bytes ? limits->max_bytes : (size_t)10 * 1024 * 1024))
        return st_fail(st, ST_BAD_REQUEST, NULL, "%s: the text is too large", name);
    if (!yaml_parser_initialize(&r.parser))
        return st_fail(st, ST_INTERNAL, NULL, "the YAML parser could not be made");
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    rc = read_document(&r, &v);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (rc == 0)
        *ret_value = value_box(a, v);
    return rc;
}

/* ---- places ---- */

struct locator {
    yaml_parser_t parser;
    const char *rest; /* of the path, from the next segment on */
    size_t line;
};

/* The next segment of the path: its text and length, without the separators around it. */
static size_t segment(const char **p) {
    *p += strspn(*p, ".[]");
    return strcspn(*p, ".[]");
}

/* Passes over the node that starts with *e (already read). false at the end of input. */
static bool skip_node(struct locator *l, yaml_event_t *e) {
    int depth = 0;

    for (;;) {
        yaml_event_type_t type = e->type;

        yaml_event_delete(e);
        if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
            depth++;
        else if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT)
            depth--;
        if (depth <= 0)
            return true;
        if (!yaml_parser_parse(&l->parser, e))
            return false;
    }
}

/* Goes into the collection that *e opened, to the child that the path names. */
static bool enter(struct locator *l, yaml_event_t *e) {
    bool mapping = e->type == YAML_MAPPING_START_EVENT;
    size_t len = segment(&l->rest);
    long want = strtol(l->rest, NULL, 10);

    if (len == 0 || (!mapping && e->type != YAML_SEQUENCE_START_EVENT)) {
        yaml_event_delete(e);
        return false;
    }
    yaml_event_delete(e);
    for (long i = 0; yaml_parser_parse(&l->parser, e); i++) {
        bool found = !mapping && i == want;
        size_t line = e->start_mark.line + 1;

        if (e->type == YAML_MAPPING_END_EVENT || e->type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(e);
            return false;
        }
        if (mapping) {
            found = e->type == YAML_SCALAR_EVENT && e->data.scalar.length == len &&
                    memcmp(e->data.scalar.value, l->rest, len) == 0;
            if (!skip_node(l, e) || !yaml_parser_parse(&l->parser, e))
                return false;
        }
        if (found) {
            l->line = line;
            l->rest += len;
            return true;
        }
        if (!skip_node(l, e))
            return false;
    }
    return false;
}

size_t yaml_locate(const char *text, size_t len, const char *path) {
    struct locator l = {.rest = path, .line = 1};
    yaml_event_t e;

    if (!yaml_parser_initialize(&l.parser))
        return 1;
    yaml_parser_set_input_string(&l.parser, (const unsigned char *)text, len);
    for (int i = 0; i < 2 && yaml_parser_parse(&l.parser, &e); i++)
        yaml_event_delete(&e); /* stream and document start */
    if (yaml_parser_parse(&l.parser, &e))
        while (enter(&l, &e))
            ;
    yaml_parser_delete(&l.parser);
    return l.line;
}
