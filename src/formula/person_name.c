/*
 * person_name.c - guessing first and last name.
 *
 * The text becomes tokens, a suffix is taken off, and a comma decides between
 * "Last, First" and "First Last".
 */
#include "person_name.h"

#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "locator/text_case.h"
#include "text_space.h"
#include "value/value.h"

static const char *const salutations[] = {
    "mr",   "master", "mister", "mrs",   "miss",      "ms",  "dr",
    "prof", "rev",    "fr",     "judge", "honorable", "hon", "tuan",
    "sr",   "srta",   "br",     "pr",    "mx",        "sra", NULL};
static const char *const suffixes[] = {
    "i",   "ii",  "iii", "iv", "v",  "senior", "junior", "jr", "sr", "phd",
    "apr", "rph", "pe",  "md", "ma", "dmd",    "cme",    "qc", "kc", NULL};
static const char *const compounds[] = {
    "vere", "von",    "van",    "de", "del", "della", "der", "den", "di",
    "da",   "pietro", "vanden", "du", "st",  "la",    "lo",  "ter", "bin",
    "ibn",  "te",     "ten",    "op", "ben", "al",    NULL};

struct text {
    const char *s;
    size_t len;
};

struct names {
    struct arena *arena;
    struct text *tokens;
    size_t from, to; /* the tokens that are left */
};

/* Is the token, in lower case and without dots, one of the words? */
static bool is_one_of(const struct text *t, const char *const *list) {
    struct buf b = BUF_INIT;
    size_t n = 0;
    bool found = false;

    text_append_lower(&b, t->s, t->len);
    for (size_t i = 0; i < b.len; i++)
        if (b.data[i] != '.')
            b.data[n++] = b.data[i];
    for (; *list && !found; list++)
        found = strlen(*list) == n && memcmp(*list, b.data, n) == 0;
    buf_fini(&b);
    return n > 0 && found;
}

static struct text trim(struct text t) {
    size_t n;

    while ((n = text_space_at(t.s, t.len)) > 0)
        t.s += n, t.len -= n;
    for (bool again = true; again && t.len > 0;) {
        again = false;
        for (n = 1; n <= 3 && n <= t.len; n++)
            if (text_space_at(t.s + t.len - n, n) == n) {
                t.len -= n;
                again = true;
                break;
            }
    }
    return t;
}

static bool is_word_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           c == '_';
}

static size_t spaces_at(struct text t, size_t from) {
    size_t n, i = from;

    while ((n = text_space_at(t.s + i, t.len - i)) > 0)
        i += n;
    return i - from;
}

/* "Smith , Jr": gives the white space before the first such comma, or 0. */
static size_t space_before_comma(struct text t, size_t *ret_at) {
    for (size_t i = 1; i < t.len; i++) {
        size_t n = is_word_char(t.s[i - 1]) ? spaces_at(t, i) : 0, after;

        if (n == 0 || i + n >= t.len || t.s[i + n] != ',')
            continue;
        after = spaces_at(t, i + n + 1);
        if (after == 0 || i + n + 1 + after >= t.len ||
            !is_word_char(t.s[i + n + 1 + after]))
            continue;
        *ret_at = i;
        return n;
    }
    return 0;
}

/* The text with both fix-ups of commas made. */
static struct text fix_commas(struct arena *a, struct text t) {
    char *s = arena_alloc(a, t.len + 2);
    size_t at = 0, gap = space_before_comma(t, &at);

    memcpy(s, t.s, gap ? at : t.len);
    if (gap)
        memcpy(s + at, t.s + at + gap, t.len - at - gap);
    t = (struct text){s, t.len - gap};
    for (size_t i = 1; i + 1 < t.len; i++)
        if (s[i] == ',' && is_word_char(s[i - 1]) && is_word_char(s[i + 1])) {
            memmove(s + i + 2, s + i + 1, t.len - i - 1);
            s[i + 1] = ' ';
            t.len++;
            break;
        }
    s[t.len] = '\0';
    return t;
}

/* A quoted group at i: gives its end, or 0. */
static size_t quoted_end(struct text t, size_t i) {
    const char *close;

    if (t.s[i] != '"' || i + 1 >= t.len)
        return 0;
    close = memchr(t.s + i + 1, '"', t.len - i - 1);
    return close && close > t.s + i + 1 ? (size_t)(close - t.s) + 1 : 0;
}

/* Quotes stay around a group that holds a line end. */
static struct text unquote(struct text t) {
    for (size_t i = 0; i < t.len; i++)
        if (t.s[i] == '\n' || t.s[i] == '\r' ||
            (t.len - i >= 3 && (memcmp(t.s + i, "\xe2\x80\xa8", 3) == 0 ||
                                memcmp(t.s + i, "\xe2\x80\xa9", 3) == 0)))
            return t;
    return (struct text){t.s + 1, t.len - 2};
}

static size_t tokenize(struct text t, struct text *tokens) {
    size_t n = 0, i = 0;

    while (i < t.len) {
        size_t space = text_space_at(t.s + i, t.len - i), start = i;

        if (space) {
            i += space;
        } else if (t.s[i] == '"') {
            size_t end = quoted_end(t, i);

            if (end)
                tokens[n++] = unquote((struct text){t.s + i, end - i});
            i = end ? end : i + 1;
        } else {
            while (i < t.len && t.s[i] != '"' && !text_space_at(t.s + i, t.len - i))
                i++;
            tokens[n++] = (struct text){t.s + start, i - start};
        }
    }
    return n;
}

/* Quotes without a word: every run between white space is a token. */
static size_t tokenize_quotes(struct text t, struct text *tokens) {
    size_t n = 0, i = 0;

    while (i < t.len) {
        size_t start = i;

        while (i < t.len && !text_space_at(t.s + i, t.len - i))
            i++;
        tokens[n] = (struct text){t.s + start, i - start};
        if (tokens[n].len >= 2)
            tokens[n] = unquote(tokens[n]);
        n++;
        i += spaces_at(t, i);
    }
    return n;
}

/* The token without its first comma. */
static struct text without_comma(struct arena *a, struct text t) {
    const char *comma = memchr(t.s, ',', t.len);
    char *s;
    size_t at;

    if (!comma)
        return t;
    at = (size_t)(comma - t.s);
    s = arena_memdup(a, t.s, t.len);
    memmove(s + at, s + at + 1, t.len - at);
    return (struct text){s, t.len - 1};
}

static const struct value *to_value(struct arena *a, struct text t) {
    t = trim(t);
    return value_string_len(a, t.s, t.len);
}

static struct text join(struct arena *a, const struct text *tokens, size_t n) {
    struct buf b = BUF_INIT;
    struct bytes out;

    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(&b, ' ');
        buf_add(&b, tokens[i].s, tokens[i].len);
    }
    out = buf_to_arena(&b, a);
    buf_fini(&b);
    return (struct text){out.data, out.len};
}

static bool has_comma(const struct text *t) {
    return memchr(t->s, ',', t->len) != NULL;
}

/* The token with the first comma, or `to`. */
static size_t first_comma(const struct names *n) {
    size_t i = n->from;

    while (i < n->to && !has_comma(&n->tokens[i]))
        i++;
    return i;
}

static void last_name_first(struct names *n, size_t comma, struct person_name *ret) {
    size_t end = comma + 1;

    n->tokens[comma] = without_comma(n->arena, n->tokens[comma]);
    if (is_one_of(&n->tokens[comma], suffixes))
        end = comma;
    ret->last = to_value(n->arena, join(n->arena, n->tokens, end));
    if (comma + 1 < n->to)
        ret->first = to_value(n->arena, n->tokens[comma + 1]);
}

static void first_name_first(struct names *n, struct person_name *ret) {
    size_t last;
    struct text name;

    if (n->to > 1 && is_one_of(&n->tokens[0], salutations)) {
        n->from = 1;
        if (n->to == 2) {
            ret->last = to_value(n->arena, without_comma(n->arena, n->tokens[1]));
            return;
        }
    }
    ret->first = to_value(n->arena, n->tokens[n->from++]);
    if (n->from == n->to) {
        ret->last = &value_empty_string;
        return;
    }
    last = n->to - 1;
    while (last > n->from && is_one_of(&n->tokens[last - 1], compounds))
        last--;
    name = join(n->arena, n->tokens + last, n->to - last);
    ret->last = to_value(n->arena, without_comma(n->arena, name));
}

struct person_name person_name_parse(struct arena *a, const struct value *text) {
    struct person_name ret = {&value_undefined, &value_undefined};
    struct text t = trim((struct text){text->str, text->len});
    struct names n = {.arena = a};
    size_t comma;

    t = fix_commas(a, t);
    n.tokens = arena_alloc(a, (t.len + 1) * sizeof(*n.tokens));
    n.to = tokenize(t, n.tokens);
    if (n.to == 0)
        n.to = tokenize_quotes(t, n.tokens);
    if (n.to == 0)
        return ret;
    if (n.to == 1)
        ret.first = to_value(a, n.tokens[0]);
    if (n.to > 1 && is_one_of(&n.tokens[n.to - 1], suffixes)) {
        n.to--;
        n.tokens[n.to - 1] = without_comma(a, n.tokens[n.to - 1]);
    }
    comma = first_comma(&n);
    if (comma < n.to)
        last_name_first(&n, comma, &ret);
    else
        first_name_first(&n, &ret);
    return ret;
}
