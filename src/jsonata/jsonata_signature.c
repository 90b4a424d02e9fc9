/*
 * jsonata_signature.c - checking arguments against `<s-nn?:s>`.
 *
 * A signature is a pattern over one letter per argument; the library builds a
 * regular expression of it. Here parameters are matched directly: greedy, with
 * backtracking over optional and repeated ones.
 */
#include "jsonata_priv.h"

#include <string.h>

#include "base/arena.h"

#define MAX_PARAMS 64
#define MAX_ARGS   255

/* ---- parsing ---- */

static uint8_t letter_types(char c) {
    switch (c) {
    case 's':
        return T_STRING | T_MISSING;
    case 'n':
        return T_NUMBER | T_MISSING;
    case 'b':
        return T_BOOL | T_MISSING;
    case 'l':
        return T_NULL | T_MISSING;
    case 'o':
        return T_OBJECT | T_MISSING;
    case 'f':
        return T_FUNCTION;
    case 'j':
        return T_JSON;
    case 'a':
    case 'x':
        return T_ANY;
    default:
        return 0;
    }
}

/* Bits of the letters in a choice, which names types one by one. */
static uint8_t choice_types(const char *s, size_t len) {
    uint8_t types = T_MISSING;

    for (size_t i = 0; i < len; i++)
        switch (s[i]) {
        case 'a':
            types |= T_ARRAY;
            break;
        case 'm':
        case 'j':
        case 'x':
            break;
        default:
            types |= letter_types(s[i]);
            break;
        }
    return types;
}

/* Position of the bracket that closes the one at `start`; len when there is none. */
static size_t find_closing(const char *s, size_t len, size_t start, char open,
                           char close) {
    int depth = 1;
    size_t i = start;

    while (i < len) {
        i++;
        if (i < len && s[i] == close) {
            if (--depth == 0)
                break;
        } else if (i < len && s[i] == open) {
            depth++;
        }
    }
    return i;
}

static int fail_at(struct failure *f, const char *code, struct arena *a, const char *text,
                   size_t len, size_t offset, size_t *ret_offset) {
    *f = (struct failure){.code = code, .position = -1};
    f->value = value_string_ref(arena_memdup(a, text, len), len);
    *ret_offset = offset;
    return -1;
}

int jsonata_parse_signature(struct arena *a, const char *text, size_t len,
                            const struct signature **ret_signature, struct failure *f,
                            size_t *ret_offset) {
    struct param params[MAX_PARAMS];
    struct param *last = NULL;
    struct signature *sig;
    size_t n = 0, end;
    char last_letter = '\0';

    for (size_t i = 1; i < len && text[i] != ':'; i++) {
        char c = text[i];

        if (n == MAX_PARAMS)
            return fail_at(f, NULL, a, "", 0, i, ret_offset);
        switch (c) {
        case '-':
            if (last)
                last->context = last->optional = true;
            break;
        case '?':
            if (last)
                last->optional = true;
            break;
        case '+':
            if (last)
                last->many = true;
            break;
        case '(':
            end = find_closing(text, len, i, '(', ')');
            if (memchr(text + i + 1, '<', end - i - (end > i)))
                return fail_at(f, "S0402", a, text + i + 1, end - i - 1, i, ret_offset);
            last = &params[n++];
            *last = (struct param){.types = choice_types(text + i + 1, end - i - 1)};
            last_letter = '(';
            i = end;
            break;
        case '<':
            if (last_letter != 'a' && last_letter != 'f')
                return fail_at(f, "S0401", a, &last_letter, last_letter != '\0', i,
                               ret_offset);
            end = find_closing(text, len, i, '<', '>');
            last->subtype = i + 1 < end ? text[i + 1] : '\0';
            i = end;
            break;
        default:
            if (letter_types(c)) {
                last = &params[n++];
                *last = (struct param){.types = letter_types(c), .array = c == 'a'};
                last_letter = c;
            }
            break;
        }
    }
    sig = arena_alloc(a, sizeof(*sig));
    sig->params =
        (const struct param *)(const void *)arena_memdup(a, params, n * sizeof(*params));
    sig->len = n;
    *ret_signature = sig;
    return 0;
}

/* ---- matching ---- */

static uint8_t type_of(struct value v) {
    switch (v.type) {
    case VALUE_STRING:
        return T_STRING;
    case VALUE_NUMBER:
        return T_NUMBER;
    case VALUE_BOOL:
        return T_BOOL;
    case VALUE_NULL:
        return T_NULL;
    case VALUE_OBJECT:
    case VALUE_DATE:
        return T_OBJECT;
    case VALUE_ARRAY:
        return T_ARRAY;
    case TYPE_FUNCTION:
        return T_FUNCTION;
    default:
        return T_MISSING;
    }
}

struct match {
    const struct signature *sig;
    const uint8_t *types;
    size_t n;
    uint8_t counts[MAX_PARAMS]; /* arguments that each parameter took */
    unsigned effort;
};

/* Matches parameters from `param` on arguments from `arg`; whole: all of them. */
static bool match_from(struct match *m, size_t param, size_t params, size_t arg,
                       bool whole, size_t *ret_end) {
    const struct param *p = &m->sig->params[param];
    size_t most = 0;

    if (param == params) {
        *ret_end = arg;
        return !whole || arg == m->n;
    }
    while (arg + most < m->n && (m->types[arg + most] & p->types) &&
           (p->many || most == 0))
        most++;
    for (size_t take = most + 1; take-- > 0;) {
        if (take == 0 && !p->optional)
            break;
        if (++m->effort > 10000)
            return false;
        m->counts[param] = (uint8_t)take;
        if (match_from(m, param + 1, params, arg + take, whole, ret_end))
            return true;
    }
    return false;
}

static int mismatch(struct ev *ev, struct match *m, const struct args *args) {
    size_t good = 0;

    for (size_t i = 1; i <= m->sig->len; i++)
        if (!match_from(m, 0, i, 0, false, &good))
            break;
    jsonata_fail_value(ev, "T0410", good < args->len ? args->v[good] : value_undefined);
    ev->failure.index = (int)good + 1;
    return -1;
}

static const char *plural(char subtype) {
    switch (subtype) {
    case 'a':
        return "arrays";
    case 'b':
        return "booleans";
    case 'f':
        return "functions";
    case 'n':
        return "numbers";
    case 'o':
        return "objects";
    case 's':
        return "strings";
    default:
        return NULL;
    }
}

/* Are all items of the type that the first letter of the subtype names? */
static bool items_fit(struct value array, char subtype) {
    uint8_t want;

    if (array.len == 0)
        return true;
    want = subtype == 'a' ? T_ARRAY : (uint8_t)(letter_types(subtype) & ~T_MISSING);
    if (want & (want - 1)) /* j and x name no single type */
        return false;
    for (size_t i = 0; i < array.len; i++)
        if (type_of(array.items[i]) != want)
            return false;
    return true;
}

/* One argument of an array parameter, `single` its letter's type. */
static int array_argument(struct ev *ev, const struct param *p, struct value v,
                          size_t taken, size_t index, struct value *out) {
    bool fits = true;

    if (is_undefined(v)) {
        *out = v;
        return 0;
    }
    if (p->subtype) {
        if (!is_array(v))
            fits = taken == 1 && type_of(v) == (letter_types(p->subtype) & ~T_MISSING);
        else
            fits = items_fit(v, p->subtype);
    }
    if (!fits) {
        jsonata_fail_value(ev, "T0412", v);
        ev->failure.index = (int)index + 1;
        ev->failure.type = plural(p->subtype);
        return -1;
    }
    if (!is_array(v)) {
        struct value *items = arena_alloc(ev->arena, sizeof(*items));

        *items = v;
        v = (struct value){.type = VALUE_ARRAY, .len = 1, .items = items};
    }
    *out = v;
    return 0;
}

int jsonata_validate(struct ev *ev, const struct signature *sig, struct args *args) {
    uint8_t types[MAX_ARGS];
    struct match m = {.sig = sig, .types = types, .n = args->len};
    struct value *fixed;
    size_t end, at = 0, n = 0;

    if (args->len > MAX_ARGS)
        return jsonata_fail_type(ev, "Too many arguments");
    for (size_t i = 0; i < args->len; i++)
        types[i] = type_of(args->v[i]);
    if (!match_from(&m, 0, sig->len, 0, true, &end)) {
        m.effort = 0;
        return mismatch(ev, &m, args);
    }
    fixed = arena_alloc(ev->arena, (args->len + sig->len) * sizeof(*fixed));
    for (size_t i = 0; i < sig->len; i++) {
        const struct param *p = &sig->params[i];
        struct value arg = at < args->len ? args->v[at] : value_undefined;

        if (m.counts[i] == 0 && p->context) {
            if (!(type_of(args->input) & p->types)) {
                jsonata_fail_value(ev, "T0411", args->input);
                ev->failure.index = (int)at + 1;
                return -1;
            }
            fixed[n++] = args->input;
        } else if (m.counts[i] == 0) {
            fixed[n++] = arg;
            at++;
        } else {
            /* As in the library, a repeated plain parameter repeats its first
             * argument. */
            for (size_t k = 0; k < m.counts[i]; k++, at++, n++) {
                fixed[n] = arg;
                if (p->array &&
                    array_argument(ev, p, args->v[at], m.counts[i], at, &fixed[n]) < 0)
                    return -1;
            }
        }
    }
    args->v = fixed;
    args->len = n;
    return 0;
}
