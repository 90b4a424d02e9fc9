/*
 * jsonata_lex.h - the text of an expression as tokens.
 */
#ifndef JSONATA_JSONATA_LEX_H
#define JSONATA_JSONATA_LEX_H

#include "jsonata_priv.h"

struct lexer {
    struct parse *ps;
    const char *text, *end, *p;
    /* A byte offset and its position in UTF-16 units, to go on counting from. */
    size_t known_byte, known_unit;
};

struct token {
    enum node_type type; /* N_END, N_NAME, N_VARIABLE, N_STRING, N_NUMBER, N_VALUE,
                            N_REGEX or N_OPERATOR */
    enum op op;
    struct value value; /* text of names and operators, the literal else */
    const struct regex *regex;
    uint32_t position; /* of its end, as the library has it */
};

/* infix: a slash divides, it does not start a regular expression. -1: failed. */
int jsonata_lex(struct lexer *lx, bool infix, struct token *ret_token);
uint32_t jsonata_lex_position(struct lexer *lx, const char *p);

#endif
