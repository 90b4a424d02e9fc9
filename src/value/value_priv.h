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

#endif
