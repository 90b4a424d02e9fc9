/*
 * data_form.h - forms over a value and its schema (formulas.md 6).
 *
 * A form is {schema, value, variablesSchema?}; a field of it is {name, locator,
 * schema, value}.
 */
#ifndef MAPPING_DATA_FORM_H
#define MAPPING_DATA_FORM_H

struct arena;
struct status;
struct value;

/*
 * One field per property of an object schema, none of an array schema, else one
 * for the whole value, with locator null. The locator is the bare property name,
 * not escaped, as clients expect.
 */
const struct value *data_form_fields(struct arena *a, const struct value *form);
/* What a field may be set to, as {name, value, selected}: its default, then the
 * variables. */
const struct value *data_form_options(struct arena *a, const struct value *form,
                                      const struct value *field);
/* The form's value with the field set. -1 bad_request for the field of the whole
 * value, and for an invalid locator. */
int data_form_set(struct arena *a, const struct value *form, const struct value *field,
                  const struct value *v, const struct value **ret_value,
                  struct status *st);

#endif
