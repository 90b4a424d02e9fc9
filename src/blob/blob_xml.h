/*
 * blob_xml.h - the small XML documents that object stores answer with, as a tree.
 *
 * Parsed by expat. No document type is accepted, so there are no entities but the five of
 * XML itself; depth and number of elements are bounded.
 */
#ifndef BLOB_BLOB_XML_H
#define BLOB_BLOB_XML_H

#include "base/bytes.h"

struct arena;
struct buf;
struct status;

struct xml_node {
    const char *name;              /* with its prefix, if any */
    const char *text;              /* all character data directly below, joined */
    struct xml_node *first, *next; /* children; siblings */
};

/* 0 with the root element, living in `a`; -1 ST_INTERNAL "unavailable". */
int xml_parse(struct arena *a, struct bytes text, const struct xml_node **ret_root,
              struct status *st);
/* The first child of the name, or NULL; n may be NULL. */
const struct xml_node *xml_child(const struct xml_node *n, const char *name);
/* The next sibling of the same name, or NULL. */
const struct xml_node *xml_next(const struct xml_node *n);
/* The text of the first child of the name, or NULL. */
const char *xml_text(const struct xml_node *n, const char *name);
/* Appends text with & < > " escaped. */
void xml_escape(struct buf *b, const char *text);

#endif
