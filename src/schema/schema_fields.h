/*
 * schema_fields.h - choosing fields of a schema (formulas.md 4.5, 4.6).
 *
 * Field lists are values: arrays of locators. A list that is no array means "not
 * given". Results share what did not change.
 */
#ifndef SCHEMA_SCHEMA_FIELDS_H
#define SCHEMA_SCHEMA_FIELDS_H

struct arena;
struct status;
struct value;

/* An object schema with only the listed fields; keywords of parents are lost. */
const struct value *schema_pick_fields(struct arena *a, const struct value *schema,
                                       const struct value *fields);
/* Without the listed fields; absent parents are created. -1 bad_request for an
 * invalid locator. */
int schema_exclude_fields(struct arena *a, const struct value *schema,
                          const struct value *fields, const struct value **ret_schema,
                          struct status *st);
/* Without properties flagged readOnly (writeOnly), at every depth. */
const struct value *schema_exclude_read_only(struct arena *a, const struct value *schema);
const struct value *schema_exclude_write_only(struct arena *a,
                                              const struct value *schema);

/* What creating (updating) a record of a collection may set: undefined without
 * fieldsSchema or without the method. */
int schema_create_fields(struct arena *a, const struct value *collection,
                         const struct value **ret_schema, struct status *st);
int schema_update_fields(struct arena *a, const struct value *collection,
                         const struct value **ret_schema, struct status *st);
/* Both merged. */
int schema_writable_fields(struct arena *a, const struct value *collection,
                           const struct value **ret_schema, struct status *st);

/* The names of `required`, nested ones as "key.sub", as an array. */
const struct value *schema_required_fields(struct arena *a, const struct value *schema);
/* Required fields that value lacks; fields of an absent optional parent are
 * excused. */
const struct value *schema_missing_fields(struct arena *a, const struct value *schema,
                                          const struct value *v);
/* Adds each field's name to `required` of its parent. -1 bad_request for the
 * root, which no object can require. */
int schema_add_required(struct arena *a, const struct value *schema,
                        const struct value *fields, const struct value **ret_schema,
                        struct status *st);
/* Without any `required`, objects in objects included. */
const struct value *schema_remove_required(struct arena *a, const struct value *schema);

#endif
