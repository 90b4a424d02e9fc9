/*
 * line_diff.c - Myers' greedy algorithm, breaking ties as jsdiff does.
 *
 * Paths are kept per diagonal, newest first; a path is a list of runs (so many
 * lines kept, added or removed) that shares its past with other paths.
 */
#include "graph/line_diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

enum {
    CONTEXT = 4,
    MAX_EDITS = 1500, /* the work grows with the square */
};

enum kind {
    KEPT,
    ADDED,
    REMOVED,
};

struct run {
    enum kind kind;
    long count;
    const struct run *before;
};

struct line {
    const char *s;
    size_t len; /* with its newline */
    uint64_t hash;
};

struct text {
    struct line *lines;
    long count;
};

struct path {
    bool alive;
    long old_pos; /* index of the last old line that was passed; -1: none */
    const struct run *last;
};

struct diff {
    struct arena *arena;
    struct text old_text, new_text;
    struct path *paths; /* by diagonal, from -MAX_EDITS - 1 */
};

static struct text split_lines(struct arena *a, struct bytes b) {
    struct text t = {NULL, 0};
    size_t cap = 0;

    for (size_t i = 0; i < b.len;) {
        const char *nl = memchr(b.data + i, '\n', b.len - i);
        size_t len = nl ? (size_t)(nl - (b.data + i)) + 1 : b.len - i;
        uint64_t hash = 1469598103934665603u;

        if ((size_t)t.count == cap) {
            size_t more = cap ? cap * 2 : 64;

            t.lines =
                arena_grow(a, t.lines, cap * sizeof *t.lines, more * sizeof *t.lines);
            cap = more;
        }
        for (size_t k = 0; k < len; k++)
            hash = (hash ^ (unsigned char)b.data[i + k]) * 1099511628211u;
        t.lines[t.count++] = (struct line){b.data + i, len, hash};
        i += len;
    }
    return t;
}

static bool same_line(const struct line *x, const struct line *y) {
    return x->hash == y->hash && x->len == y->len && memcmp(x->s, y->s, x->len) == 0;
}

static const struct run *add_run(struct arena *a, const struct run *before,
                                 enum kind kind, long count) {
    struct run *r = arena_alloc(a, sizeof *r);

    if (before && before->kind == kind)
        *r = (struct run){kind, before->count + count, before->before};
    else
        *r = (struct run){kind, count, before};
    return r;
}

/* Passes the lines that are the same; gives the new position in the new text. */
static long keep_common(struct diff *d, struct path *p, long diagonal) {
    long new_pos = p->old_pos - diagonal, n = 0;

    while (
        new_pos + 1 < d->new_text.count && p->old_pos + 1 < d->old_text.count &&
        same_line(&d->old_text.lines[p->old_pos + 1], &d->new_text.lines[new_pos + 1])) {
        new_pos++;
        p->old_pos++;
        n++;
    }
    if (n) {
        struct run *r = arena_alloc(d->arena, sizeof *r);

        *r = (struct run){KEPT, n, p->last};
        p->last = r;
    }
    return new_pos;
}

static bool at_end(const struct diff *d, const struct path *p, long new_pos) {
    return p->old_pos + 1 >= d->old_text.count && new_pos + 1 >= d->new_text.count;
}

/* The path of one more edit on the diagonal; false when it leads nowhere. */
static bool step(struct diff *d, long diagonal, struct path *ret_path) {
    struct path *remove = &d->paths[diagonal - 1], *add = &d->paths[diagonal + 1];
    bool can_add = false, can_remove;
    struct path from_remove = *remove;

    remove->alive = false;
    if (add->alive) {
        long new_pos = add->old_pos - diagonal;

        can_add = new_pos >= 0 && new_pos < d->new_text.count;
    }
    can_remove = from_remove.alive && from_remove.old_pos + 1 < d->old_text.count;
    if (!can_add && !can_remove)
        return false;
    if (!can_remove || (can_add && from_remove.old_pos < add->old_pos))
        *ret_path =
            (struct path){true, add->old_pos, add_run(d->arena, add->last, ADDED, 1)};
    else
        *ret_path = (struct path){true, from_remove.old_pos + 1,
                                  add_run(d->arena, from_remove.last, REMOVED, 1)};
    return true;
}

static const struct run *replace_rest(struct diff *d, long common) {
    const struct run *last = NULL;
    long old_count = d->old_text.count, new_count = d->new_text.count, end = 0;

    while (common + end < old_count && common + end < new_count &&
           same_line(&d->old_text.lines[old_count - 1 - end],
                     &d->new_text.lines[new_count - 1 - end]))
        end++;
    if (common)
        last = add_run(d->arena, last, KEPT, common);
    if (old_count - common - end)
        last = add_run(d->arena, last, REMOVED, old_count - common - end);
    if (new_count - common - end)
        last = add_run(d->arena, last, ADDED, new_count - common - end);
    return end ? add_run(d->arena, last, KEPT, end) : last;
}

/* The last run of the shortest way from old to new. */
static const struct run *find_runs(struct diff *d) {
    long min_diagonal = -MAX_EDITS, max_diagonal = MAX_EDITS;
    long new_pos, common;

    d->paths = arena_zalloc(d->arena, (2 * MAX_EDITS + 3) * sizeof *d->paths);
    d->paths += MAX_EDITS + 1;
    d->paths[0] = (struct path){true, -1, NULL};
    new_pos = keep_common(d, &d->paths[0], 0);
    common = new_pos + 1;
    if (at_end(d, &d->paths[0], new_pos))
        return d->paths[0].last;

    for (long edits = 1; edits <= MAX_EDITS; edits++) {
        long from = min_diagonal > -edits ? min_diagonal : -edits;

        for (long k = from; k <= (max_diagonal < edits ? max_diagonal : edits); k += 2) {
            struct path p;

            if (!step(d, k, &p)) {
                d->paths[k].alive = false;
                continue;
            }
            new_pos = keep_common(d, &p, k);
            if (at_end(d, &p, new_pos))
                return p.last;
            d->paths[k] = p;
            /* beyond an edge of the texts, no diagonal is worth a look */
            if (p.old_pos + 1 >= d->old_text.count && k - 1 < max_diagonal)
                max_diagonal = k - 1;
            if (new_pos + 1 >= d->new_text.count && k + 1 > min_diagonal)
                min_diagonal = k + 1;
        }
    }
    return replace_rest(d, common);
}

/* ---- Writing ---- */

struct hunk {
    struct buf body;
    bool open;
    long old_start, new_start;
};

static void add_lines(struct hunk *h, char sign, const struct line *lines, long n) {
    for (long i = 0; i < n; i++) {
        buf_addc(&h->body, sign);
        buf_add(&h->body, lines[i].s, lines[i].len);
        if (lines[i].s[lines[i].len - 1] != '\n')
            buf_adds(&h->body, "\n\\ No newline at end of file\n");
    }
}

/* The lines from number n, from 1; an empty text has none. */
static const struct line *lines_from(const struct text *t, long n) {
    return t->count ? &t->lines[n - 1] : NULL;
}

static void close_hunk(struct buf *out, struct hunk *h, long old_line, long new_line) {
    long old_lines = old_line - h->old_start, new_lines = new_line - h->new_start;

    buf_addf(out, "@@ -%ld,%ld +%ld,%ld @@\n",
             old_lines ? h->old_start : h->old_start - 1, old_lines,
             new_lines ? h->new_start : h->new_start - 1, new_lines);
    buf_add(out, h->body.data, h->body.len);
    buf_clear(&h->body);
    h->open = false;
}

/* A run of kept lines ends the hunk, unless the next change is near. */
static void write_kept(struct buf *out, struct hunk *h, const struct line *lines, long n,
                       bool is_last, long old_line, long new_line) {
    long tail = n < CONTEXT ? n : CONTEXT;

    if (!h->open)
        return;
    if (n <= CONTEXT * 2 && !is_last) {
        add_lines(h, ' ', lines, n);
        return;
    }
    add_lines(h, ' ', lines, tail);
    close_hunk(out, h, old_line + tail, new_line + tail);
}

static void write_runs(struct buf *out, const struct diff *d,
                       const struct run *const *runs, size_t n) {
    struct hunk h = {BUF_INIT, false, 0, 0};
    long old_line = 1, new_line = 1; /* next to come, from 1 */

    for (size_t i = 0; i < n; i++) {
        const struct run *r = runs[i];

        if (r->kind == KEPT) {
            write_kept(out, &h, lines_from(&d->old_text, old_line), r->count, i + 1 == n,
                       old_line, new_line);
            old_line += r->count;
            new_line += r->count;
            continue;
        }
        if (!h.open) {
            long lead =
                i ? (runs[i - 1]->count < CONTEXT ? runs[i - 1]->count : CONTEXT) : 0;

            h.open = true;
            h.old_start = old_line - lead;
            h.new_start = new_line - lead;
            add_lines(&h, ' ', lines_from(&d->old_text, h.old_start), lead);
        }
        if (r->kind == ADDED) {
            add_lines(&h, '+', lines_from(&d->new_text, new_line), r->count);
            new_line += r->count;
        } else {
            add_lines(&h, '-', lines_from(&d->old_text, old_line), r->count);
            old_line += r->count;
        }
    }
    if (h.open)
        close_hunk(out, &h, old_line, new_line);
    buf_fini(&h.body);
}

void line_diff_append(struct buf *out, const char *old_name, const char *new_name,
                      struct bytes old_text, struct bytes new_text) {
    struct arena *a = arena_new(0);
    struct diff d = {.arena = a};
    const struct run *last, **runs;
    size_t n = 0;

    d.old_text = split_lines(a, old_text);
    d.new_text = split_lines(a, new_text);
    buf_adds(out, "==================================================================="
                  "\n--- ");
    buf_adds(out, old_name);
    buf_adds(out, "\n+++ ");
    buf_adds(out, new_name);
    buf_addc(out, '\n');

    last = find_runs(&d);
    for (const struct run *r = last; r; r = r->before)
        n++;
    runs = arena_alloc(a, n * sizeof *runs);
    for (const struct run *r = last; r; r = r->before)
        runs[--n] = r;
    for (const struct run *r = last; r; r = r->before)
        n++;
    write_runs(out, &d, runs, n);
    arena_free(&a);
}
