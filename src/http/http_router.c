/*
 * http_router.c - from a method and a path to its row, by a trie of path segments.
 *
 * At every segment the literal branch is tried first, then {name} branches (a longer
 * literal prefix, as in "cursor={c}", before a shorter one), then {name*}; a branch that
 * leads to no row of the wanted method is left again. So GET /flows/{id} answers for
 * GET /flows/run although "run" is a literal of POST: selectors may be any word.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "http_priv.h"
#include "http_server.h"

#define METHODS (HTTP_ANY + 1)

struct node {
    const char *text; /* literal, or the prefix before {name} */
    size_t len;
    struct node **literals; /* ordered by text */
    size_t literals_len;
    struct node **names; /* longest prefix first */
    size_t names_len;
    const struct route **end;  /* by method, for a path that ends here; or NULL */
    const struct route **rest; /* by method, for {name*} below here; or NULL */
};

struct http_router {
    struct arena *arena;
    struct node *root;
    const struct route **rows; /* ordered by pattern, then method */
    size_t rows_len;
};

static const char *const method_names[] = {"GET",    "POST", "PUT",     "PATCH",
                                           "DELETE", "HEAD", "OPTIONS", "*"};

const char *http_method_name(enum http_method m) {
    return method_names[m];
}

int http_method_from_name(const char *name) {
    for (int m = 0; m < HTTP_ANY; m++)
        if (strcmp(method_names[m], name) == 0)
            return m;
    return -1;
}

/* ---- building ---- */

struct http_router *http_router_new(void) {
    struct arena *a = arena_new(4096);
    struct http_router *r = arena_zalloc(a, sizeof(*r));

    r->arena = a;
    r->root = arena_zalloc(a, sizeof(*r->root));
    r->root->text = "";
    return r;
}

void http_router_free(struct http_router **r) {
    struct arena *a = *r ? (*r)->arena : NULL;

    arena_free(&a);
    *r = NULL;
}

static int text_order(const char *x, size_t x_len, const char *y, size_t y_len) {
    int order = memcmp(x, y, x_len < y_len ? x_len : y_len);

    return order ? order : (x_len > y_len) - (x_len < y_len);
}

/* Finds or inserts a child, keeping the order that matching relies on. */
static struct node *child_of(struct http_router *r, struct node ***list, size_t *len,
                             const char *text, size_t text_len, bool by_length) {
    struct node *n;
    size_t at = 0;

    for (; at < *len; at++) {
        n = (*list)[at];
        if (n->len == text_len && memcmp(n->text, text, text_len) == 0)
            return n;
        if (by_length ? text_len > n->len
                      : text_order(text, text_len, n->text, n->len) < 0)
            break;
    }
    *list =
        arena_grow(r->arena, *list, *len * sizeof(**list), (*len + 1) * sizeof(**list));
    memmove(*list + at + 1, *list + at, (*len - at) * sizeof(**list));
    n = arena_zalloc(r->arena, sizeof(*n));
    n->text = arena_memdup(r->arena, text, text_len);
    n->len = text_len;
    (*list)[at] = n;
    ++*len;
    return n;
}

static void add_row(struct http_router *r, const struct route *row) {
    struct node *n = r->root;
    const char *p = row->pattern;
    const struct route ***slots = NULL;
    unsigned params = 0;

    assert(*p == '/' && row->handler);
    while (*p == '/' && p[1]) {
        size_t len = strcspn(++p, "/");
        const char *brace = memchr(p, '{', len);

        if (!brace) {
            n = child_of(r, &n->literals, &n->literals_len, p, len, false);
        } else {
            assert(p[len - 1] == '}');
            assert(++params <= HTTP_MAX_PARAMS);
            if (p[len - 2] == '*') {
                assert(brace == p && p[len] == '\0');
                slots = &n->rest;
            } else {
                n = child_of(r, &n->names, &n->names_len, p, (size_t)(brace - p), true);
            }
        }
        p += len;
    }
    if (!slots)
        slots = &n->end;
    if (!*slots)
        *slots = arena_zalloc(r->arena, METHODS * sizeof(**slots));
    assert(!(*slots)[row->method]);
    (*slots)[row->method] = row;
}

static int rows_order(const void *x, const void *y) {
    const struct route *a = *(const struct route *const *)x;
    const struct route *b = *(const struct route *const *)y;
    int order = strcmp(a->pattern, b->pattern);

    return order ? order : (int)a->method - (int)b->method;
}

void http_router_add(struct http_router *r, const struct route *rows, size_t n) {
    r->rows = arena_grow(r->arena, r->rows, r->rows_len * sizeof(*r->rows),
                         (r->rows_len + n) * sizeof(*r->rows));
    for (size_t i = 0; i < n; i++) {
        add_row(r, &rows[i]);
        r->rows[r->rows_len++] = &rows[i];
    }
    if (r->rows_len)
        qsort(r->rows, r->rows_len, sizeof(*r->rows), rows_order);
}

size_t http_router_rows(const struct http_router *r,
                        const struct route *const **ret_rows) {
    *ret_rows = r->rows;
    return r->rows_len;
}

/* ---- matching ---- */

struct match {
    struct arena *arena;
    enum http_method method;
    const char *param[HTTP_MAX_PARAMS];
    unsigned params;
    unsigned allow; /* bit per method of the rows that fit the path */
};

static const struct route *pick(struct match *m, const struct route **table) {
    const struct route *row;

    if (!table)
        return NULL;
    if ((row = table[m->method]) || (row = table[HTTP_ANY]))
        return row;
    if (m->method == HTTP_HEAD && (row = table[HTTP_GET]))
        return row;
    for (int i = 0; i < HTTP_ANY; i++)
        if (table[i])
            m->allow |= 1u << i;
    return NULL;
}

static const struct node *find_literal(const struct node *n, const char *text,
                                       size_t len) {
    size_t low = 0, high = n->literals_len;

    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct node *at = n->literals[mid];
        int order = text_order(text, len, at->text, at->len);

        if (order == 0)
            return at;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

/* p: what is left of the path, behind its slash; NULL or "" at the end. */
static const struct route *walk(struct match *m, const struct node *n, const char *p) {
    const struct route *row;
    const struct node *kid;
    const char *slash, *next, *text;
    size_t len;

    if (!p || !*p) {
        if (!(row = pick(m, n->end)) && (row = pick(m, n->rest)))
            m->param[m->params++] = "";
        return row;
    }
    slash = strchrnul(p, '/');
    next = *slash ? slash + 1 : NULL;
    len = (size_t)(slash - p);
    text = p;
    if (memchr(p, '%', len))
        text = http_decode(m->arena, p, len, false, &len);
    if ((kid = find_literal(n, text, len)) && (row = walk(m, kid, next)))
        return row;
    for (size_t i = 0; i < n->names_len; i++) {
        unsigned params = m->params;

        kid = n->names[i];
        if (len <= kid->len || memcmp(text, kid->text, kid->len) != 0)
            continue;
        m->param[m->params++] =
            text == p ? http_decode(m->arena, p + kid->len, len - kid->len, false, NULL)
                      : text + kid->len;
        if ((row = walk(m, kid, next)))
            return row;
        m->params = params;
    }
    if ((row = pick(m, n->rest)))
        m->param[m->params++] = p;
    return row;
}

static const char *allow_text(struct arena *a, unsigned allow) {
    const char *text = "";

    if (allow & 1u << HTTP_GET)
        allow |= 1u << HTTP_HEAD;
    for (int i = 0; i < HTTP_ANY; i++)
        if (allow & 1u << i)
            text = arena_printf(a, "%s%s%s", text, *text ? ", " : "", method_names[i]);
    return text;
}

int http_router_match(const struct http_router *r, enum http_method method,
                      const char *path, struct arena *a, const struct route **ret_route,
                      const char *param[HTTP_MAX_PARAMS], const char **ret_allow) {
    struct match m = {.arena = a, .method = method};
    const struct route *row;

    if (*path != '/')
        return 1;
    row = walk(&m, r->root, path + 1);
    if (!row) {
        if (!m.allow)
            return 1;
        *ret_allow = allow_text(a, m.allow);
        return 2;
    }
    *ret_route = row;
    for (unsigned i = 0; i < HTTP_MAX_PARAMS; i++)
        param[i] = i < m.params ? m.param[i] : NULL;
    return 0;
}
