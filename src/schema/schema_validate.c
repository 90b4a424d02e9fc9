/*
 * schema_validate.c - schema_validate_input: the check that outside input passes
 * before an action runs.
 *
 * Lenient where the contract leaves it open: only required fields and types
 * matter. The value is rebuilt only where a scalar was converted.
 */
#include <math.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "locator/coerce.h"
#include "locator/locator.h"
#include "schema/schema_fit.h"
#include "schema/schema_priv.h"

struct check {
    struct arena *arena;
    struct buf path;      /* locator text of the value at hand, for the message */
    bool exact;           /* no conversions: the first round over alternatives */
    const char *expected; /* what was wrong, or NULL */
    struct bytes at;      /* where */
};

static const struct value *check_value(struct check *c, const struct value *schema,
                                       const struct value *v, int depth);

static const struct value *violation(struct check *c, const char *expected) {
    if (!c->expected) {
        c->expected = expected;
        c->at = buf_to_arena(&c->path, c->arena);
    }
    return NULL;
}

static void path_cut(struct check *c, size_t mark) {
    c->path.len = mark;
    c->path.data[mark] = '\0';
}

/* ---- Scalars ---- */

static const struct value *check_text(struct check *c, const struct value *v) {
    if (value_is_string(v) || value_is(v, VALUE_DATE))
        return v;
    if (!c->exact && (value_is_number(v) || value_is(v, VALUE_BOOL)))
        return coerce_text(c->arena, v);
    return violation(c, "text");
}

static const struct value *check_number(struct check *c, const struct value *v,
                                        bool integer) {
    const char *expected = integer ? "a whole number" : "a number";
    double n;

    if (value_is_number(v)) {
        n = v->number;
    } else if (!c->exact && value_is_string(v)) {
        n = coerce_number(v);
        if (strspn(v->str, " \t\r\n") == v->len) /* "" would be 0 */
            n = NAN;
    } else {
        return violation(c, expected);
    }
    if (!isfinite(n) || (integer && n != trunc(n)))
        return violation(c, expected);
    return value_is_number(v) ? v : value_number(c->arena, n);
}

static const struct value *check_boolean(struct check *c, const struct value *v) {
    if (value_is(v, VALUE_BOOL))
        return v;
    if (!c->exact && value_equals_text(v, "true"))
        return &value_true;
    if (!c->exact && value_equals_text(v, "false"))
        return &value_false;
    return violation(c, "true or false");
}

/* ---- Containers ---- */

static const struct value *check_array(struct check *c, const struct value *schema,
                                       const struct value *v, int depth) {
    const struct value *items = value_get(schema, "items");
    size_t mark = c->path.len;
    struct array_builder b;
    bool changed = false;

    if (!value_is_array(v))
        return violation(c, "a list");
    if (!value_is_object(items))
        return v;
    array_begin(&b, c->arena, v->len);
    for (VALUE_EACH_ITEM(item, v)) {
        const struct value *checked;

        locator_append_item(&c->path, (double)(item - v->items));
        checked = check_value(c, items, item, depth + 1);
        if (!checked)
            return NULL;
        path_cut(c, mark);
        changed = changed || checked != item;
        array_push(&b, checked);
    }
    return changed ? array_end(&b) : v;
}

static bool check_required(struct check *c, const struct value *schema,
                           const struct value *v) {
    for (VALUE_EACH_ITEM(name, value_get(schema, "required"))) {
        if (!value_is_string(name) ||
            !value_is(value_get_len(v, name->str, name->len), VALUE_UNDEFINED))
            continue;
        locator_append_property(&c->path, name->str, name->len);
        violation(c, "required");
        return false;
    }
    return true;
}

static const struct value *check_object(struct check *c, const struct value *schema,
                                        const struct value *v, int depth) {
    const struct value *properties = value_get(schema, "properties");
    size_t mark = c->path.len;
    struct object_builder b;
    bool changed = false;

    if (!value_is_object(v))
        return violation(c, "an object");
    if (!check_required(c, schema, v))
        return NULL;
    for (VALUE_EACH_MEMBER(m, properties)) {
        const struct value *own = value_find(v, m->key, m->key_len);
        const struct value *checked;

        if (!own)
            continue;
        locator_append_property(&c->path, m->key, m->key_len);
        checked = check_value(c, &m->value, own, depth + 1);
        if (!checked)
            return NULL;
        path_cut(c, mark);
        if (checked == own)
            continue;
        if (!changed) {
            object_begin(&b, c->arena, v->len);
            object_set_all(&b, v);
            changed = true;
        }
        object_set_ref(&b, m->key, m->key_len, checked);
    }
    return changed ? object_end(&b) : v;
}

/* ---- Alternatives ---- */

static const struct value *check_type(struct check *c, const struct value *schema,
                                      const struct value *type, const struct value *v,
                                      int depth) {
    if (value_equals_text(type, "object"))
        return check_object(c, schema, v, depth);
    if (value_equals_text(type, "array"))
        return check_array(c, schema, v, depth);
    if (value_equals_text(type, "string"))
        return check_text(c, v);
    if (value_equals_text(type, "number"))
        return check_number(c, v, false);
    if (value_equals_text(type, "integer"))
        return check_number(c, v, true);
    if (value_equals_text(type, "boolean"))
        return check_boolean(c, v);
    if (value_equals_text(type, "null"))
        return violation(c, "null");
    return v; /* a type we do not know says nothing */
}

/*
 * The first alternative that fits exactly, else the first that fits after
 * conversion. With a single alternative its own complaint stands.
 */
static const struct value *check_alternatives(struct check *c, const struct value *schema,
                                              const struct value *list, bool are_types,
                                              const struct value *v, int depth) {
    size_t mark = c->path.len;
    bool outer_exact = c->exact;

    if (list->len == 0)
        return v;
    for (int round = outer_exact ? 0 : (list->len == 1); round < 2; round++) {
        c->exact = outer_exact || round == 0;
        for (VALUE_EACH_ITEM(one, list)) {
            const struct value *checked = are_types ? check_type(c, schema, one, v, depth)
                                                    : check_value(c, one, v, depth + 1);

            if (checked) {
                c->exact = outer_exact;
                return checked;
            }
            path_cut(c, mark);
            if (list->len > 1)
                c->expected = NULL;
        }
        if (outer_exact)
            break;
    }
    c->exact = outer_exact;
    return violation(c, "one of the allowed types");
}

static const struct value *check_value(struct check *c, const struct value *schema,
                                       const struct value *v, int depth) {
    const struct value *any_of = value_get(schema, "anyOf");
    const struct value *type = value_get(schema, "type");

    if (depth > SCHEMA_MAX_INPUT_DEPTH)
        return violation(c, "nested less deeply");
    if (value_is_nullish(v))
        return v;
    if (value_is_array(any_of))
        return check_alternatives(c, schema, any_of, false, v, depth);
    if (value_is_array(type))
        return check_alternatives(c, schema, type, true, v, depth);
    return check_type(c, schema, type, v, depth);
}

static int complain(const struct check *c, struct status *st) {
    const char *path = c->at.len > 2 ? c->at.data + 2 : "input"; /* "$." */
    const struct value *data =
        value_obj(c->arena, "path", value_string(c->arena, path), "expected",
                  value_string(c->arena, c->expected), NULL);

    if (strcmp(c->expected, "required") == 0)
        return st_fail_data(st, ST_BAD_REQUEST, NULL, data,
                            "Invalid input: \"%s\" is required", path);
    return st_fail_data(st, ST_BAD_REQUEST, NULL, data,
                        "Invalid input: \"%s\" should be %s", path, c->expected);
}

int schema_validate_input(struct arena *a, const struct value *schema,
                          const struct value *v, const struct value **ret_coerced,
                          struct status *st) {
    struct check c = {.arena = a, .path = BUF_INIT};
    const struct value *checked;
    int result = 0;

    buf_adds(&c.path, "$");
    if (value_is_nullish(v) && schema_type_is(schema, "object"))
        checked = check_required(&c, schema, &value_empty_object) ? v : NULL;
    else
        checked = check_value(&c, schema, v, 0);
    if (checked)
        *ret_coerced = checked;
    else
        result = complain(&c, st);
    buf_fini(&c.path);
    return result;
}
