/*
 * person_name.h - first and last name of a person's full name (formulas.md 2.5).
 */
#ifndef FORMULA_PERSON_NAME_H
#define FORMULA_PERSON_NAME_H

struct arena;
struct value;

struct person_name {
    const struct value *first, *last; /* text; undefined when there is none */
};

/* text: a string value. */
struct person_name person_name_parse(struct arena *a, const struct value *text);

#endif
