/*
 * jsonata_pattern.h - JavaScript's regular expressions in PCRE2's words.
 */
#ifndef JSONATA_JSONATA_PATTERN_H
#define JSONATA_JSONATA_PATTERN_H

#include "jsonata_priv.h"

struct buf;

/*
 * Translates a pattern (without flags u, v and s). The result is ASCII, for a
 * library of code units without UTF: one that reaches up to 0xFFFF when wide, to
 * 0x7F else. 0, or -1 with *ret_error when JavaScript or PCRE2 would refuse it.
 */
int jsonata_pattern_translate(struct arena *a, struct units pattern, bool multiline,
                              bool wide, struct buf *out, const char **ret_error);

#endif
