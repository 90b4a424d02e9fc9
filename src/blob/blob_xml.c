/*
 * blob_xml.c - a tree of elements from expat's events. Text is gathered per open element
 * and copied when it closes.
 */
#include "blob_xml.h"

#include <stdbool.h>
#include <string.h>

#include <expat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

enum { MAX_DEPTH = 16, MAX_NODES = 200000 };

struct builder {
    struct arena *arena;
    XML_Parser parser;
    struct xml_node *open[MAX_DEPTH], *last[MAX_DEPTH + 1]; /* youngest child per level */
    struct buf text[MAX_DEPTH];
    size_t depth, nodes;
    struct xml_node *root;
    const char *refused;
};

static void refuse(struct builder *b, const char *why) {
    if (!b->refused)
        b->refused = why;
    XML_StopParser(b->parser, XML_FALSE);
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **attributes) {
    struct builder *b = ctx;
    struct xml_node *n;

    (void)attributes;
    if (b->depth == MAX_DEPTH || ++b->nodes > MAX_NODES) {
        refuse(b, "it is nested too deeply or too long");
        return;
    }
    n = arena_zalloc(b->arena, sizeof(*n));
    n->name = arena_strdup(b->arena, name);
    n->text = "";
    if (!b->depth)
        b->root = n;
    else if (b->last[b->depth])
        b->last[b->depth]->next = n;
    else
        b->open[b->depth - 1]->first = n;
    b->last[b->depth] = n;
    b->open[b->depth++] = n;
    if (b->depth <= MAX_DEPTH)
        b->last[b->depth] = NULL;
}

static void on_end(void *ctx, const XML_Char *name) {
    struct builder *b = ctx;
    struct buf *text;

    (void)name;
    if (b->refused || !b->depth)
        return;
    b->depth--;
    text = &b->text[b->depth];
    if (text->len)
        b->open[b->depth]->text = arena_memdup(b->arena, text->data, text->len);
    buf_clear(text);
}

static void on_text(void *ctx, const XML_Char *s, int len) {
    struct builder *b = ctx;

    if (!b->refused && b->depth)
        buf_add(&b->text[b->depth - 1], s, (size_t)len);
}

static void on_doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_internal) {
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal;
    refuse(ctx, "it declares a document type");
}

int xml_parse(struct arena *a, struct bytes text, const struct xml_node **ret_root,
              struct status *st) {
    struct builder b = {.arena = a, .parser = XML_ParserCreate("UTF-8")};
    bool good;

    if (!b.parser)
        return st_fail(st, ST_INTERNAL, "unavailable", "There is no memory for XML.");
    XML_SetUserData(b.parser, &b);
    XML_SetElementHandler(b.parser, on_start, on_end);
    XML_SetCharacterDataHandler(b.parser, on_text);
    XML_SetStartDoctypeDeclHandler(b.parser, on_doctype);
    good = text.len <= (size_t)1 << 30 &&
           XML_Parse(b.parser, text.data ? text.data : "", (int)text.len, 1) ==
               XML_STATUS_OK &&
           !b.refused && b.root;
    if (good)
        *ret_root = b.root;
    else
        st_fail(st, ST_INTERNAL, "unavailable",
                "The object storage answers XML that can't be read: %s.",
                b.refused ? b.refused : XML_ErrorString(XML_GetErrorCode(b.parser)));
    XML_ParserFree(b.parser);
    for (size_t i = 0; i < MAX_DEPTH; i++)
        buf_fini(&b.text[i]);
    return good ? 0 : -1;
}

static const struct xml_node *named(const struct xml_node *n, const char *name) {
    while (n && strcmp(n->name, name) != 0)
        n = n->next;
    return n;
}

const struct xml_node *xml_child(const struct xml_node *n, const char *name) {
    return n ? named(n->first, name) : NULL;
}

const struct xml_node *xml_next(const struct xml_node *n) {
    return named(n->next, n->name);
}

const char *xml_text(const struct xml_node *n, const char *name) {
    const struct xml_node *child = xml_child(n, name);

    return child ? child->text : NULL;
}

void xml_escape(struct buf *b, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '&':
            buf_adds(b, "&amp;");
            break;
        case '<':
            buf_adds(b, "&lt;");
            break;
        case '>':
            buf_adds(b, "&gt;");
            break;
        case '"':
            buf_adds(b, "&quot;");
            break;
        default:
            buf_addc(b, *text);
        }
    }
}
