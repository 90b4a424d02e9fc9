/*
 * yaml_dump.h - values to YAML text, byte for byte as js-yaml 4 writes it (block
 * style, two spaces, lists inside maps indented, lines folded at 80).
 */
#ifndef YAML_YAML_DUMP_H
#define YAML_YAML_DUMP_H

struct buf;
struct value;

enum {
    YAML_DUMP_SORT_KEYS = 1, /* by UTF-16 code unit, else as the object has them */
};

/* Appends the document with its final newline; nothing for undefined. */
void yaml_dump(struct buf *b, const struct value *v, unsigned flags);

#endif
