/*
 * line_diff.h - unified diffs of texts by line, as jsdiff 8 writes them (four
 * lines of context).
 */
#ifndef GRAPH_LINE_DIFF_H
#define GRAPH_LINE_DIFF_H

#include "base/bytes.h"

struct buf;

/*
 * Appends the underline, the two names and the hunks. Equal texts give no hunks.
 * Texts that differ in more than some 1,500 lines are taken as wholly
 * replaced between their common ends.
 */
void line_diff_append(struct buf *out, const char *old_name, const char *new_name,
                      struct bytes old_text, struct bytes new_text);

#endif
