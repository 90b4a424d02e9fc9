/*
 * bytes.h - a length-carrying view of memory that somebody else owns.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stddef.h>

struct bytes {
    const char *data;
    size_t len;
};

#endif
