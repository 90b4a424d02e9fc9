/*
 * yaml.h - YAML text to values, as js-yaml 4 reads it (libyaml does the syntax).
 *
 * Plain scalars follow YAML 1.2's core schema: null, booleans, integers (also 0x, 0o,
 * 0b), floats, .inf, .nan; an unquoted timestamp becomes a VALUE_DATE; quoted scalars are
 * text. Merge keys (<<) are honoured; anchors and aliases are shared, cycles refused. One
 * document per text.
 */
#ifndef YAML_YAML_H
#define YAML_YAML_H

#include <stddef.h>

struct arena;
struct status;
struct value;

struct yaml_limits {
    size_t max_bytes; /* of input; 0: 10 MB */
    size_t max_depth; /* 0: 200 */
    size_t max_nodes; /* aliases count each time they are used; 0: 1,000,000 */
};

/*
 * Parses one document; empty text is &value_null. -1 bad_request: the message is
 * "NAME:LINE:COLUMN: what is wrong" with name as given (a file's path, or "input");
 * data: {file, line, column}. limits may be NULL.
 */
int yaml_parse(struct arena *a, const char *name, const char *text, size_t len,
               const struct yaml_limits *limits, const struct value **ret_value,
               struct status *st);

/*
 * The line (from 1) at which a member stands: path is "config.request.path" or
 * "nodes.a.links[0]", as errors name it; the deepest part that is there counts. 1 when
 * nothing of it is.
 */
size_t yaml_locate(const char *text, size_t len, const char *path);

#endif
