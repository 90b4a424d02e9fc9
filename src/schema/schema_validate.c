/*
 * schema_validate.c - the check that outside input passes before an action runs.
 *
 * Lenient where the contract leaves it open: only required fields and types
 * matter. The value is rebuilt only where a scalar was converted. Where we are is
 * a chain of places on the stack, written out only for a complaint.
 */
#include <math.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "locator/coerce.h"
#include "locator/locator.h"
#include "schema/schema_fit.h"
#include "schema/schema_plan_priv.h"
#include "schema/schema_priv.h"

struct place {
    const struct place *up;   /* NULL: the input itself */
    const struct member *key; /* of an object, or NULL: index of a list */
    size_t index;
    int depth;
};

struct check {
    struct arena *arena;
    bool exact; /* no conversions: the first round over alternatives */
    int quiet;  /* alternatives being tried: complaints are of no interest */
    const char *expected;
    struct bytes at;
};

static const struct value *check_value(struct check *c, const struct schema_plan *p,
                                       const struct value *v, const struct place *at);

static void write_place(struct buf *b, const struct place *at) {
    if (!at->up)
        return;
    write_place(b, at->up);
    if (at->key)
        locator_append_property(b, at->key->key, at->key->key_len);
    else
        locator_append_item(b, (double)at->index);
}

static const struct value *violation(struct check *c, const struct place *at,
                                     const char *expected) {
    struct buf path = BUF_INIT;

    if (c->expected || c->quiet)
        return NULL;
    write_place(&path, at);
    c->expected = expected;
    c->at = buf_to_arena(&path, c->arena);
    buf_fini(&path);
    return NULL;
}

/* ---- Scalars: the value, converted, or NULL ---- */

static const struct value *check_text(struct check *c, const struct value *v,
                                      const struct place *at) {
    if (value_is_string(v) || value_is(v, VALUE_DATE))
        return v;
    if (!c->exact && (value_is_number(v) || value_is(v, VALUE_BOOL)))
        return coerce_text(c->arena, v);
    return violation(c, at, "text");
}

static const struct value *check_number(struct check *c, const struct value *v,
                                        bool integer, const struct place *at) {
    double n = NAN;

    if (value_is_number(v))
        n = v->number;
    else if (!c->exact && value_is_string(v) && strspn(v->str, " \t\r\n") < v->len)
        n = coerce_number(v); /* of "" it would be 0 */
    if (!isfinite(n) || (integer && n != trunc(n)))
        return violation(c, at, integer ? "a whole number" : "a number");
    return value_is_number(v) ? v : value_number(c->arena, n);
}

static const struct value *check_boolean(struct check *c, const struct value *v,
                                         const struct place *at) {
    if (value_is(v, VALUE_BOOL))
        return v;
    if (!c->exact && value_equals_text(v, "true"))
        return &value_true;
    if (!c->exact && value_equals_text(v, "false"))
        return &value_false;
    return violation(c, at, "true or false");
}

/* ---- Containers ---- */

static const struct value *check_array(struct check *c, const struct schema_plan *p,
                                       const struct value *v, const struct place *at) {
    struct place inside = {at, NULL, 0, at->depth + 1};
    struct array_builder b;
    bool changed = false;

    if (!value_is_array(v))
        return violation(c, at, "a list");
    if (!p->items)
        return v;
    for (; inside.index < v->len; inside.index++) {
        const struct value *item = &v->items[inside.index];
        const struct value *checked = check_value(c, p->items, item, &inside);

        if (!checked)
            return NULL;
        if (checked != item && !changed) {
            array_begin(&b, c->arena, v->len);
            for (size_t i = 0; i < inside.index; i++)
                array_push(&b, &v->items[i]);
            changed = true;
        }
        if (changed)
            array_push(&b, checked);
    }
    return changed ? array_end(&b) : v;
}

static bool check_required(struct check *c, const struct schema_plan *p,
                           const struct value *v, const struct place *at) {
    for (size_t i = 0; i < p->required_count; i++) {
        const struct value *own = value_find_key(v, &p->required[i]);
        struct place missing = {at, &p->required[i], 0, at->depth + 1};

        if (own && !value_is(own, VALUE_UNDEFINED))
            continue;
        violation(c, &missing, "required");
        return false;
    }
    return true;
}

static const struct value *check_object(struct check *c, const struct schema_plan *p,
                                        const struct value *v, const struct place *at) {
    struct place inside = {at, NULL, 0, at->depth + 1};
    struct object_builder b;
    bool changed = false;

    if (!value_is_object(v))
        return violation(c, at, "an object");
    if (!check_required(c, p, v, at))
        return NULL;
    for (size_t i = 0; i < p->properties->len; i++) {
        const struct value *own = value_find_key(v, p->list[i].key);
        const struct value *checked;

        if (!own)
            continue;
        inside.key = p->list[i].key;
        checked = check_value(c, p->list[i].plan, own, &inside);
        if (!checked)
            return NULL;
        if (checked == own)
            continue;
        if (!changed) {
            object_begin(&b, c->arena, v->len);
            object_set_all(&b, v);
            changed = true;
        }
        object_set_key(&b, inside.key, checked);
    }
    return changed ? object_end(&b) : v;
}

/* ---- Alternatives ---- */

static const struct value *check_type(struct check *c, const struct schema_plan *p,
                                      const struct value *v, const struct place *at) {
    switch ((enum plan_type)p->type) {
    case PLAN_STRING:
        return check_text(c, v, at);
    case PLAN_NUMBER:
        return check_number(c, v, false, at);
    case PLAN_INTEGER:
        return check_number(c, v, true, at);
    case PLAN_BOOLEAN:
        return check_boolean(c, v, at);
    case PLAN_NULL:
        return violation(c, at, "null");
    case PLAN_ARRAY:
        return check_array(c, p, v, at);
    case PLAN_OBJECT:
        return check_object(c, p, v, at);
    case PLAN_ANY:
        break;
    }
    return v;
}

static const struct value *first_that_fits(struct check *c, const struct schema_plan *p,
                                           const struct value *v,
                                           const struct place *at) {
    for (size_t i = 0; i < p->alternative_count; i++) {
        const struct value *checked = check_value(c, &p->alternatives[i], v, at);

        if (checked)
            return checked;
    }
    return NULL;
}

/*
 * The first alternative that fits exactly, else the first that fits after
 * conversion. A single alternative makes its own complaint.
 */
static const struct value *check_alternatives(struct check *c,
                                              const struct schema_plan *p,
                                              const struct value *v,
                                              const struct place *at) {
    const struct value *checked = NULL;
    bool outer_exact = c->exact;

    if (p->alternative_count == 0)
        return v;
    if (p->alternative_count == 1)
        return check_value(c, &p->alternatives[0], v, at);
    c->quiet++;
    c->exact = true;
    checked = first_that_fits(c, p, v, at);
    c->exact = outer_exact;
    if (!checked && !outer_exact)
        checked = first_that_fits(c, p, v, at);
    c->quiet--;
    return checked ? checked : violation(c, at, "one of the allowed types");
}

static const struct value *check_value(struct check *c, const struct schema_plan *p,
                                       const struct value *v, const struct place *at) {
    if (value_is_nullish(v))
        return v;
    if (at->depth > SCHEMA_MAX_INPUT_DEPTH)
        return violation(c, at, "nested less deeply");
    return p->has_alternatives ? check_alternatives(c, p, v, at)
                               : check_type(c, p, v, at);
}

static int complain(const struct check *c, struct status *st) {
    const char *path = c->at.len ? c->at.data + 1 : "input"; /* past the "." */
    const struct value *data =
        value_obj(c->arena, "path", value_string(c->arena, path), "expected",
                  value_string(c->arena, c->expected), NULL);

    if (strcmp(c->expected, "required") == 0)
        return st_fail_data(st, ST_BAD_REQUEST, NULL, data,
                            "Invalid input: \"%s\" is required", path);
    return st_fail_data(st, ST_BAD_REQUEST, NULL, data,
                        "Invalid input: \"%s\" should be %s", path, c->expected);
}

int schema_plan_validate(const struct schema_plan *p, struct arena *a,
                         const struct value *v, const struct value **ret_coerced,
                         struct status *st) {
    const struct place root = {NULL, NULL, 0, 0};
    struct check c = {.arena = a};
    const struct value *checked;

    if (value_is_nullish(v) && p->type == PLAN_OBJECT && !p->has_alternatives)
        checked = check_required(&c, p, &value_empty_object, &root) ? v : NULL;
    else
        checked = check_value(&c, p, v, &root);
    if (!checked)
        return complain(&c, st);
    *ret_coerced = checked;
    return 0;
}

int schema_validate_input(struct arena *a, const struct value *schema,
                          const struct value *v, const struct value **ret_coerced,
                          struct status *st) {
    return schema_plan_validate(schema_compile(a, schema), a, v, ret_coerced, st);
}
