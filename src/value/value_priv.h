/*
 * value_priv.h - shared by the files of value/.
 */
#ifndef VALUE_VALUE_PRIV_H
#define VALUE_VALUE_PRIV_H

#include "value.h"

#define VALUE_INDEXED 1  /* flag: a look-up index follows the members */
#define INDEX_MIN     12 /* objects with more members than this carry an index */

/* Is the key a canonical array index, 0 .. 2^32 - 2? */
bool value_is_index_key(const char *key, size_t len, uint32_t *ret_index);

/*
 * An object of n members that stand in any order and may repeat keys (the last
 * value wins, the first place is kept). The members, not their text, are copied
 * into the arena; `members` is scratch and may be changed.
 */
struct value value_object_from_members(struct arena *a, struct member *members, size_t n);

/* Reads a number of JSON at p (p < end). Gives the position after it, or NULL
 * when it is not one. */
const char *value_scan_json_number(const char *p, const char *end, double *ret_n);

/* Cuts JavaScript's white space and line ends off both ends. */
void value_trim_space(const char **s, size_t *len);

/* Encodes a code point, surrogates too, as WTF-8; gives its 1..4 bytes. */
size_t value_put_utf8(char *out, uint32_t cp);

/*
 * Length of the well-formed UTF-8 character at p (p < end), 0 when it is not
 * one. ret_bad (if 0 is given): length of the maximal subpart that U+FFFD
 * replaces.
 */
size_t value_utf8_char(const unsigned char *p, const unsigned char *end, size_t *ret_bad);

#endif
