/*
 * jsonata_integer.h - pictures of whole numbers, as XPath's format-integer has them.
 */
#ifndef JSONATA_JSONATA_INTEGER_H
#define JSONATA_JSONATA_INTEGER_H

#include "jsonata_priv.h"

enum integer_kind {
    INTEGER_DECIMAL,
    INTEGER_LETTERS,
    INTEGER_ROMAN,
    INTEGER_WORDS,
    INTEGER_SEQUENCE
};
enum letter_case { CASE_LOWER, CASE_UPPER, CASE_TITLE };

#define MAX_SEPARATORS 32

struct separator {
    int position; /* digits to its right */
    uint32_t cp;
};

struct integer_picture {
    enum integer_kind kind;
    enum letter_case letters;
    bool ordinal;
    uint16_t zero;           /* of decimals: the digit zero of their script */
    int mandatory, optional; /* digits; -1 when the picture is not decimal */
    bool regular;            /* separators[0] repeats every `position` digits */
    struct separator separators[MAX_SEPARATORS]; /* from the right */
    size_t n_separators;
    struct units token; /* of a sequence, which is not supported */
};

/* 0, or -1 (D3131). */
int jsonata_integer_picture(struct ev *ev, struct units picture,
                            struct integer_picture *ret);
/* n is whole, or NaN. */
int jsonata_integer_format(struct ev *ev, double n, const struct integer_picture *p,
                           struct value *out);
/* *ret is NaN when the text is no number. -1 for a sequence (D3130). */
int jsonata_integer_parse(struct ev *ev, struct units text,
                          const struct integer_picture *p, double *ret);
/* parseInt. */
double jsonata_parse_int(struct units text);
/* Appends to b the pattern of words: one, two, ..., first, ... */
void jsonata_integer_words_pattern(struct buf *b);

#endif
