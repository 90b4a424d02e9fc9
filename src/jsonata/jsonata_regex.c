/*
 * jsonata_regex.c - regular expressions as functions, and matching with any
 * function that answers like one.
 *
 * A pattern is compiled twice: for subjects of ASCII only, which PCRE2's 8-bit
 * library reads in place, and for others, which are made UTF-16 for the 16-bit
 * one. Neither runs in UTF mode; positions are UTF-16 units in both.
 */
#include "jsonata_priv.h"

#define PCRE2_CODE_UNIT_WIDTH 0
#include <pcre2.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "jsonata_pattern.h"

#define MATCH_LIMIT   2000000
#define HEAP_LIMIT_KB 20000
#define MAX_GROUPS    1000 /* as in jsonata_pattern.c */

struct regex {
    struct value source;
    pcre2_code_8 *narrow;
    pcre2_code_16 *wide;
    uint32_t groups;
};

struct regex_state {
    const struct regex *re;
    uint32_t position;
    size_t last_index;
    struct value text; /* the last subject, and it as UTF-16 when it is not ASCII */
    struct units units;
    bool is_ascii;
};

/* PCRE2's working memory, one for all regular expressions of an evaluation: it
 * is costly to make. */
struct matcher {
    pcre2_match_data_8 *narrow_data;
    pcre2_match_context_8 *narrow_context;
    pcre2_match_data_16 *wide_data;
    pcre2_match_context_16 *wide_context;
};

/* ---- compiling ---- */

static void *from_arena(size_t size, void *arena) {
    return arena_alloc(arena, size);
}

static void stay_in_arena(void *p, void *arena) {
    (void)p, (void)arena;
}

static pcre2_code_8 *compile_narrow(struct arena *a, const struct buf *pattern,
                                    uint32_t options) {
    pcre2_general_context_8 *gc =
        pcre2_general_context_create_8(from_arena, stay_in_arena, a);
    pcre2_compile_context_8 *cc = pcre2_compile_context_create_8(gc);
    int code;
    size_t at;

    return pcre2_compile_8((PCRE2_SPTR8)(pattern->data ? pattern->data : ""),
                           pattern->len, options, &code, &at, cc);
}

static pcre2_code_16 *compile_wide(struct arena *a, const struct buf *pattern,
                                   uint32_t options) {
    pcre2_general_context_16 *gc =
        pcre2_general_context_create_16(from_arena, stay_in_arena, a);
    pcre2_compile_context_16 *cc = pcre2_compile_context_create_16(gc);
    uint16_t *units = arena_alloc(a, (pattern->len + 1) * sizeof(*units));
    int code;
    size_t at;

    for (size_t i = 0; i < pattern->len; i++)
        units[i] = (unsigned char)pattern->data[i];
    return pcre2_compile_16(units, pattern->len, options, &code, &at, cc);
}

const struct regex *jsonata_regex_compile(struct arena *a, const char *pattern,
                                          size_t len, bool ignore_case, bool multiline,
                                          const char **ret_error) {
    uint32_t options = PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_UTF;
    struct regex *re = arena_zalloc(a, sizeof(*re));
    struct units units = jsonata_units(a, pattern, len);
    struct buf narrow = BUF_INIT, wide = BUF_INIT;
    bool ok;

    if (ignore_case)
        options |= PCRE2_CASELESS;
    re->source = value_string_ref(arena_memdup(a, pattern, len), len);
    ok = jsonata_pattern_translate(a, units, multiline, false, &narrow, ret_error) == 0 &&
         jsonata_pattern_translate(a, units, multiline, true, &wide, ret_error) == 0;
    if (ok) {
        re->narrow = compile_narrow(a, &narrow, options);
        re->wide = compile_wide(a, &wide, options | (ignore_case ? PCRE2_UCP : 0));
        ok = re->narrow && re->wide;
        if (!ok)
            *ret_error = "Invalid regular expression";
    }
    buf_fini(&narrow);
    buf_fini(&wide);
    if (!ok)
        return NULL;
    pcre2_pattern_info_8(re->narrow, PCRE2_INFO_CAPTURECOUNT, &re->groups);
    return re;
}

struct value jsonata_regex_function(struct ev *ev, const struct regex *re,
                                    uint32_t position) {
    struct function *fn = arena_zalloc(ev->arena, sizeof(*fn));

    fn->kind = FN_REGEX;
    fn->regex = arena_zalloc(ev->arena, sizeof(*fn->regex));
    fn->regex->re = re;
    fn->regex->position = position;
    return of_function(fn, PLAIN_FUNCTION);
}

/* ---- matching ---- */

static void free_matcher(void *p) {
    struct matcher *m = p;

    pcre2_match_data_free_8(m->narrow_data);
    pcre2_match_context_free_8(m->narrow_context);
    pcre2_match_data_free_16(m->wide_data);
    pcre2_match_context_free_16(m->wide_context);
}

static struct matcher *matcher_of(struct ev *ev) {
    if (!ev->matcher) {
        ev->matcher = arena_zalloc(ev->arena, sizeof(*ev->matcher));
        arena_defer(ev->arena, free_matcher, ev->matcher);
    }
    return ev->matcher;
}

static void set_text(struct ev *ev, struct regex_state *s, struct value text) {
    if (s->text.str == text.str && s->text.len == text.len)
        return;
    s->text = text;
    s->is_ascii = true;
    for (size_t i = 0; i < text.len && s->is_ascii; i++)
        s->is_ascii = (unsigned char)text.str[i] < 0x80;
    if (!s->is_ascii)
        s->units = jsonata_units(ev->arena, text.str, text.len);
}

static size_t text_length(const struct regex_state *s) {
    return s->is_ascii ? s->text.len : s->units.len;
}

static int match_narrow(struct ev *ev, struct regex_state *s, size_t from,
                        const size_t **ret_ends) {
    struct matcher *m = matcher_of(ev);
    int rc;

    if (!m->narrow_data) {
        m->narrow_data = pcre2_match_data_create_8(MAX_GROUPS + 1, NULL);
        m->narrow_context = pcre2_match_context_create_8(NULL);
        pcre2_set_match_limit_8(m->narrow_context, MATCH_LIMIT);
        pcre2_set_heap_limit_8(m->narrow_context, HEAP_LIMIT_KB);
    }
    rc = pcre2_match_8(s->re->narrow, (PCRE2_SPTR8)s->text.str, s->text.len, from, 0,
                       m->narrow_data, m->narrow_context);
    *ret_ends = pcre2_get_ovector_pointer_8(m->narrow_data);
    return rc;
}

static int match_wide(struct ev *ev, struct regex_state *s, size_t from,
                      const size_t **ret_ends) {
    struct matcher *m = matcher_of(ev);
    int rc;

    if (!m->wide_data) {
        m->wide_data = pcre2_match_data_create_16(MAX_GROUPS + 1, NULL);
        m->wide_context = pcre2_match_context_create_16(NULL);
        pcre2_set_match_limit_16(m->wide_context, MATCH_LIMIT);
        pcre2_set_heap_limit_16(m->wide_context, HEAP_LIMIT_KB);
    }
    rc = pcre2_match_16(s->re->wide, s->units.u, s->units.len, from, 0, m->wide_data,
                        m->wide_context);
    *ret_ends = pcre2_get_ovector_pointer_16(m->wide_data);
    return rc;
}

static struct value part_of(struct ev *ev, const struct regex_state *s, size_t from,
                            size_t to) {
    if (from == PCRE2_UNSET)
        return value_undefined;
    if (s->is_ascii)
        return jsonata_text(ev, s->text.str + from, to - from);
    return jsonata_from_units(ev->arena, s->units.u + from, to - from);
}

static struct value match_object(struct ev *ev, struct regex_state *s,
                                 const size_t *ends) {
    struct function *next = arena_zalloc(ev->arena, sizeof(*next));
    struct value match = part_of(ev, s, ends[0], ends[1]);
    struct value start = of_number((double)ends[0]), end = of_number((double)ends[1]);
    struct value groups, next_value;
    struct object_builder b;
    size_t mark = ev->top;

    for (uint32_t i = 1; i <= s->re->groups; i++)
        jsonata_push(ev, part_of(ev, s, ends[2 * i], ends[2 * i + 1]));
    groups = jsonata_take(ev, mark, 0);
    next->kind = FN_REGEX_NEXT;
    next->regex = s;
    next->text = s->text;
    next_value = of_function(next, PLAIN_FUNCTION);
    object_begin(&b, ev->arena, 5);
    object_set_ref(&b, "match", 5, &match);
    object_set_ref(&b, "start", 5, &start);
    object_set_ref(&b, "end", 3, &end);
    object_set_ref(&b, "groups", 6, &groups);
    object_set_ref(&b, "next", 4, &next_value);
    return *object_end(&b);
}

/* RegExp.prototype.exec from s->last_index. */
static int exec(struct ev *ev, struct regex_state *s, struct value text,
                struct value *out) {
    const size_t *ends;
    int rc;

    set_text(ev, s, text);
    *out = value_undefined;
    if (s->last_index > text_length(s)) {
        s->last_index = 0;
        return 0;
    }
    if (jsonata_step(ev) < 0)
        return -1;
    ev->steps += text_length(s) / 16;
    rc = s->is_ascii ? match_narrow(ev, s, s->last_index, &ends)
                     : match_wide(ev, s, s->last_index, &ends);
    if (rc == PCRE2_ERROR_NOMATCH) {
        s->last_index = 0;
        return 0;
    }
    if (rc < 0) {
        jsonata_fail(ev, "U1001");
        ev->failure.text = "A regular expression takes too long on its text";
        return -1;
    }
    s->last_index = ends[1];
    *out = match_object(ev, s, ends);
    return 0;
}

int jsonata_regex_exec(struct ev *ev, const struct function *fn, struct value text,
                       struct value *out) {
    if (text.type == VALUE_UNDEFINED)
        text = value_string_ref("undefined", 9);
    else if (text.type != VALUE_STRING && jsonata_to_string(ev, text, false, &text) < 0)
        return -1;
    fn->regex->last_index = 0;
    return exec(ev, fn->regex, text, out);
}

int jsonata_regex_next(struct ev *ev, const struct function *fn, struct value *out) {
    struct regex_state *s = fn->regex;

    set_text(ev, s, fn->text);
    *out = value_undefined;
    if (s->last_index >= text_length(s))
        return 0;
    if (exec(ev, s, fn->text, out) < 0)
        return -1;
    if (is_undefined(*out) || value_get(out, "match")->len)
        return 0;
    /* A match of nothing would never get on. */
    jsonata_fail_value(ev, "D1004", s->re->source);
    ev->failure.position = s->position;
    return -1;
}

/* ---- matching with any function ---- */

static int check_match(struct ev *ev, struct value v) {
    struct value none = value_undefined;

    if (is_undefined(v) || !jsonata_js_truthy(v))
        return 0;
    if (v.type == VALUE_OBJECT && (value_is_number(value_get(&v, "start")) ||
                                   value_is_array(value_get(&v, "groups")) ||
                                   value_get(&v, "next")->type == TYPE_FUNCTION))
        return 0;
    return jsonata_fail_value(ev, "T1010", none);
}

static int call_matcher(struct ev *ev, struct value matcher, struct value text,
                        struct frame *env, struct value *out) {
    if (!jsonata_is_callback(matcher))
        return jsonata_fail_type(ev, "The matcher cannot be called");
    if (function_of(matcher)->kind == FN_REGEX)
        return jsonata_regex_exec(ev, function_of(matcher), text, out);
    if (function_of(matcher)->kind == FN_REGEX_NEXT)
        return jsonata_regex_next(ev, function_of(matcher), out);
    if (jsonata_apply(ev, matcher, &text, 1, value_null, env, out) < 0)
        return -1;
    return check_match(ev, *out);
}

int jsonata_match_first(struct ev *ev, struct value matcher, struct value text,
                        struct frame *env, struct value *ret_match) {
    return call_matcher(ev, matcher, text, env, ret_match);
}

int jsonata_match_next(struct ev *ev, struct value match, struct frame *env,
                       struct value *ret_match) {
    return call_matcher(ev, *value_get(&match, "next"), value_undefined, env, ret_match);
}
