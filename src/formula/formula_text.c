/*
 * formula_text.c - $tpl, names, e-mail domains, dates.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "date_parse.h"
#include "formula_priv.h"
#include "locator/coerce.h"
#include "person_name.h"

/* ---- $tpl ---- */

/*
 * A placeholder. As in the reference its key is part of a regular expression
 * \{key\}: keys with special characters are compiled as such, with a bound on
 * matching; plain ones are found as text.
 */
struct placeholder {
    const char *text; /* "{key}" */
    size_t len;
    bool is_pattern;
    pcre2_code *pattern; /* NULL when it does not compile */
    const struct formula_node *node;
};

struct template {
    const struct value *text; /* may be no string */
    struct placeholder *placeholders;
    size_t len;
};

enum { MATCH_LIMIT = 100000 };

static void free_pattern(void *pattern) {
    pcre2_code_free(pattern);
}

static void compile_pattern(struct formula_compiler *c, struct placeholder *p,
                            const char *key, size_t len) {
    char *source = arena_alloc(c->arena, len + 5);
    PCRE2_SIZE offset;
    int error;

    memcpy(source, "\\{", 2);
    memcpy(source + 2, key, len);
    memcpy(source + 2 + len, "\\}", 3);
    p->is_pattern = true;
    p->pattern = pcre2_compile((PCRE2_SPTR)source, len + 4,
                               PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_ALT_BSUX |
                                   PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF |
                                   PCRE2_ALLOW_EMPTY_CLASS | PCRE2_NEVER_BACKSLASH_C,
                               &error, &offset, NULL);
    if (p->pattern)
        arena_defer(c->arena, free_pattern, p->pattern);
}

static int add_placeholder(struct formula_compiler *c, const struct formula_place *place,
                           const char *key, size_t len, const struct value *v,
                           struct template *t) {
    struct placeholder *p = &t->placeholders[t->len++];
    char *text = arena_alloc(c->arena, len + 3);

    text[0] = '{';
    memcpy(text + 1, key, len);
    memcpy(text + 1 + len, "}", 2);
    p->text = text;
    p->len = len + 2;
    if (strcspn(key, "\\^$.*+?()[]{}|/") < len)
        compile_pattern(c, p, key, len);
    return formula_compile_at(c, place, key, v, &p->node);
}

int formula_compile_tpl(struct formula_compiler *c, struct formula_node *n,
                        const struct value *arg) {
    const struct value *values = value_get(arg, "values");
    const struct formula_place *place = formula_place_below(
        c->arena, formula_place_below(c->arena, &n->place, "$tpl", 0), "values", 0);
    struct template *t = arena_zalloc(c->arena, sizeof(*t));

    n->data = t;
    t->text = value_get(arg, "template");
    t->placeholders =
        arena_zalloc(c->arena, (size_t)values->len * sizeof(*t->placeholders));
    for (VALUE_EACH_MEMBER(m, values))
        if (add_placeholder(c, place, m->key, m->key_len, &m->value, t) < 0)
            return -1;
    for (VALUE_EACH_ITEM(item, values)) {
        char *key = arena_alloc(c->arena, 32);
        size_t len = value_format_number((double)(item - values->items), key);

        key[len] = '\0';
        if (add_placeholder(c, place, key, len, item, t) < 0)
            return -1;
    }
    return 0;
}

/* The text that a match is cut out of, and the groups of the match. */
struct match {
    const struct value *subject;
    const PCRE2_SIZE *groups; /* pairs; the first is the whole match */
    uint32_t group_count;
};

/* "$1", "$12": appends the group and gives the digits used, or 0. */
static size_t append_group(struct buf *b, const struct match *m, const char *digits,
                           size_t len) {
    uint32_t n = 0, best = 0;
    size_t used = 0;

    for (size_t i = 0; i < len && i < 2 && digits[i] >= '0' && digits[i] <= '9'; i++) {
        n = n * 10 + (uint32_t)(digits[i] - '0');
        if (n > 0 && n < m->group_count)
            best = n, used = i + 1;
    }
    if (used && m->groups[2 * best] != PCRE2_UNSET)
        buf_add(b, m->subject->str + m->groups[2 * best],
                m->groups[2 * best + 1] - m->groups[2 * best]);
    return used;
}

/* Appends the replacement with its $ patterns filled in. */
static void append_replacement(struct buf *b, const struct match *m,
                               const struct value *with) {
    const char *s = with->str, *end = s + with->len;

    while (s < end) {
        const char *dollar = memchr(s, '$', (size_t)(end - s));
        size_t digits;

        if (!dollar || dollar + 1 == end) {
            buf_add(b, s, (size_t)(end - s));
            return;
        }
        buf_add(b, s, (size_t)(dollar - s));
        s = dollar + 2;
        if (dollar[1] == '$') {
            buf_addc(b, '$');
        } else if (dollar[1] == '&') {
            buf_add(b, m->subject->str + m->groups[0], m->groups[1] - m->groups[0]);
        } else if (dollar[1] == '`') {
            buf_add(b, m->subject->str, m->groups[0]);
        } else if (dollar[1] == '\'') {
            buf_add(b, m->subject->str + m->groups[1], m->subject->len - m->groups[1]);
        } else {
            digits = append_group(b, m, dollar + 1, (size_t)(end - dollar - 1));
            s = dollar + 1 + digits;
            if (!digits)
                buf_addc(b, '$');
        }
    }
}

/* Ends a replacement when the text outgrows the bound of the evaluation. */
static int check_size(struct formula_eval *e, const struct formula_node *n) {
    if (e->text.len > e->max_bytes)
        return formula_fail_at(e, n, "Template makes a text that is too large");
    return formula_spend(e, n, 1);
}

static int replace_text(struct formula_eval *e, const struct formula_node *n,
                        const struct placeholder *p, const struct value *with,
                        struct value *text) {
    size_t from = 0;

    buf_clear(&e->text);
    for (;;) {
        const char *at = memmem(text->str + from, text->len - from, p->text, p->len);
        PCRE2_SIZE groups[2];
        struct match m = {text, groups, 1};

        if (!at)
            break;
        groups[0] = (PCRE2_SIZE)(at - text->str);
        groups[1] = groups[0] + p->len;
        buf_add(&e->text, text->str + from, groups[0] - from);
        append_replacement(&e->text, &m, with);
        from = groups[1];
        if (check_size(e, n) < 0)
            return -1;
    }
    if (from == 0)
        return 0;
    buf_add(&e->text, text->str + from, text->len - from);
    *text = formula_take_text(e);
    return 0;
}

static int replace_matches(struct formula_eval *e, const struct formula_node *n,
                           const struct placeholder *p, const struct value *with,
                           pcre2_match_data *data, pcre2_match_context *context,
                           struct value *text) {
    PCRE2_SIZE from = 0;
    int rc;

    buf_clear(&e->text);
    while ((rc = pcre2_match(p->pattern, (PCRE2_SPTR)text->str, text->len, from, 0, data,
                             context)) > 0) {
        struct match m = {text, pcre2_get_ovector_pointer(data),
                          pcre2_get_ovector_count(data)};

        buf_add(&e->text, text->str + from, m.groups[0] - from);
        append_replacement(&e->text, &m, with);
        from = m.groups[1];
        if (check_size(e, n) < 0)
            return -1;
    }
    if (rc != PCRE2_ERROR_NOMATCH)
        return formula_fail_at(e, n, "Template key takes too long to match");
    buf_add(&e->text, text->str + from, text->len - from);
    *text = formula_take_text(e);
    return 0;
}

static int replace_pattern(struct formula_eval *e, const struct formula_node *n,
                           const struct placeholder *p, const struct value *with,
                           struct value *text) {
    pcre2_match_data *data;
    pcre2_match_context *context;
    int rc;

    if (!p->pattern)
        return formula_fail_at(e, n, "Template key is no valid pattern");
    data = pcre2_match_data_create_from_pattern(p->pattern, NULL);
    context = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(context, MATCH_LIMIT);
    rc = replace_matches(e, n, p, with, data, context, text);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    return rc;
}

int formula_eval_tpl(struct formula_eval *e, const struct formula_node *n,
                     const struct formula_scope *s, struct value *ret) {
    const struct template *t = n->data;
    struct value text = *t->text;

    if (!value_is_string(&text)) {
        *ret = e->resolving ? value_undefined : text;
        return 0;
    }
    for (size_t i = 0; i < t->len; i++) {
        const struct placeholder *p = &t->placeholders[i];
        const struct value *with = &value_empty_string;
        struct value built;

        if (formula_eval_node(e, p->node, s, &built) < 0)
            return -1;
        if (!value_is_nullish(&built))
            with = coerce_text(e->arena, &built);
        if ((p->is_pattern ? replace_pattern : replace_text)(e, n, p, with, &text) < 0)
            return -1;
    }
    *ret = text;
    return 0;
}

/* ---- names ---- */

static int eval_name(struct formula_eval *e, const struct formula_node *n,
                     const struct formula_scope *s, struct person_name *ret) {
    struct value v;

    if (formula_eval_argument(e, n, s, &v) < 0)
        return -1;
    *ret = person_name_parse(e->arena, value_is_nullish(&v) ? &value_empty_string
                                                            : coerce_text(e->arena, &v));
    return 0;
}

int formula_compile_first_name(struct formula_compiler *c, struct formula_node *n,
                               const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_first_name(struct formula_eval *e, const struct formula_node *n,
                            const struct formula_scope *s, struct value *ret) {
    struct person_name name;

    if (eval_name(e, n, s, &name) < 0)
        return -1;
    *ret = value_truthy(name.last) ? *name.first : value_undefined;
    return 0;
}

int formula_compile_last_name(struct formula_compiler *c, struct formula_node *n,
                              const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_last_name(struct formula_eval *e, const struct formula_node *n,
                           const struct formula_scope *s, struct value *ret) {
    struct person_name name;

    if (eval_name(e, n, s, &name) < 0)
        return -1;
    *ret = value_truthy(name.last)    ? *name.last
           : value_truthy(name.first) ? *name.first
                                      : value_undefined;
    return 0;
}

/* ---- $domainFromEmail ---- */

int formula_compile_domain_from_email(struct formula_compiler *c, struct formula_node *n,
                                      const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_domain_from_email(struct formula_eval *e, const struct formula_node *n,
                                   const struct formula_scope *s, struct value *ret) {
    const char *at, *end;
    struct value v;

    *ret = value_undefined;
    if (formula_eval_argument(e, n, s, &v) < 0)
        return -1;
    if (!value_is_string(&v))
        return 0;
    end = v.str + v.len;
    at = memchr(v.str, '@', v.len);
    if (at && !memchr(at + 1, '@', (size_t)(end - at - 1)))
        *ret = value_string_ref(at + 1, (size_t)(end - at - 1));
    return 0;
}

/* ---- dates ---- */

/* Characters [from, to) of the ISO text of the built date. */
static int eval_date_part(struct formula_eval *e, const struct formula_node *n,
                          const struct formula_scope *s, size_t from, size_t to,
                          struct value *ret) {
    const struct value *text;
    struct value v;
    char iso[32];
    double ms;

    *ret = value_undefined;
    if (formula_eval_argument(e, n, s, &v) < 0)
        return -1;
    text = coerce_text(e->arena, &v);
    ms = date_parse(text->str, text->len);
    if (isnan(ms))
        return 0;
    value_format_date(ms, iso);
    *ret = value_string_ref(arena_memdup(e->arena, iso + from, to - from), to - from);
    return 0;
}

int formula_compile_extract_date(struct formula_compiler *c, struct formula_node *n,
                                 const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_extract_date(struct formula_eval *e, const struct formula_node *n,
                              const struct formula_scope *s, struct value *ret) {
    return eval_date_part(e, n, s, 0, 10, ret);
}

int formula_compile_extract_time(struct formula_compiler *c, struct formula_node *n,
                                 const struct value *arg) {
    return formula_compile_argument(c, n, arg);
}

int formula_eval_extract_time(struct formula_eval *e, const struct formula_node *n,
                              const struct formula_scope *s, struct value *ret) {
    return eval_date_part(e, n, s, 11, 19, ret);
}
