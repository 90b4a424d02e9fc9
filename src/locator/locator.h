/*
 * locator.h - paths into data (formulas.md 1): parse, read, write, list.
 *
 * A locator is text ("user.tags[0]") or an array of parsed steps; every function
 * that takes one as a value accepts both. Parsed locators are immutable and may
 * be shared between threads. Values are immutable, so "writing" gives a new root
 * that shares what did not change.
 */
#ifndef LOCATOR_LOCATOR_H
#define LOCATOR_LOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;
struct status;
struct value;

enum {
    LOCATOR_MAX_STEPS = 500,
    LOCATOR_MAX_WRITE_INDEX = 100000, /* holes cost memory */
    /* What a list of writes may take: each copies the containers on its path. */
    LOCATOR_MAX_BATCH_BYTES = 256 << 20,
};

enum locator_step_type {
    LOCATOR_PROPERTY,
    LOCATOR_ITEM,
};

struct locator_step {
    enum locator_step_type type;
    uint32_t name_len;
    uint32_t hash;    /* value_hash_key of the name */
    const char *name; /* of a property; NUL-terminated */
    double index;     /* of an item: >= 0, may be fractional or infinite */
};

struct locator {
    const struct locator_step *steps;
    size_t len; /* 0: the root */
};

/* ---- Text ---- */

/* Parses text. 0, or -1 bad_request with the reference's message. Steps and
 * names live in `a`. */
int locator_parse(struct arena *a, const char *text, size_t len,
                  struct locator *ret_locator, struct status *st);
/* As locator_parse for a value: a string, or an array of steps
 * {type, propertyName | index}. */
int locator_from_value(struct arena *a, const struct value *v,
                       struct locator *ret_locator, struct status *st);
/* isValidLocator: false when falsy, true for any array. */
bool locator_is_valid(const struct value *v);
/* The text of a locator: "$.a[0]". */
const struct value *locator_format(struct arena *a, const struct locator *l);
/* Append ".name" (with escapes) or "[index]". */
void locator_append_property(struct buf *b, const char *name, size_t len);
void locator_append_item(struct buf *b, double index);
/* The array of step objects that clients know. */
const struct value *locator_steps_value(struct arena *a, const struct locator *l);
/* Text for an array of step objects. 0, or -1 bad_request for an unknown
 * step. */
int locator_from_steps(struct arena *a, const struct value *steps,
                       const struct value **ret_text, struct status *st);
/* prefix (text, "$" when nullish) with one property appended, escaped. */
const struct value *locator_with_property(struct arena *a, const struct value *prefix,
                                          const char *name, size_t len);
/* locatorToField: strips one leading "$."; non-strings pass through. */
const struct value *locator_to_field(struct arena *a, const struct value *v);
/* The part before the first property whose name starts with "$". */
int locator_field_part(struct arena *a, const struct value *v,
                       const struct value **ret_text, struct status *st);
/* JSON pointer to locator text: "/a/0" is "a[0]". */
const struct value *locator_from_json_pointer(struct arena *a,
                                              const struct value *pointer);

/* Is it a name that JavaScript's objects inherit ("toString")? Data answers own
 * names only; some functions of the reference show the others. */
bool locator_is_inherited_name(const char *name, size_t len);

/* ---- Reading ---- */

/*
 * The two readers of formulas.md 1.2. Lend from data; `a` is used for an
 * array's length only. &value_undefined when nothing is there.
 * by: $var, required fields: a falsy array item is not found.
 * at: set and pick functions, forms, $copy.
 */
const struct value *locator_read_by(struct arena *a, const struct value *data,
                                    const struct locator *l);
const struct value *locator_read_at(struct arena *a, const struct value *data,
                                    const struct locator *l);
/* The same for a locator given as value; undefined when it is invalid. */
const struct value *locator_get_by(struct arena *a, const struct value *data,
                                   const struct value *locator);
const struct value *locator_get_at(struct arena *a, const struct value *data,
                                   const struct value *locator);

/* ---- Writing ---- */

/*
 * The root with v stored at the locator (formulas.md 1.3); undefined deletes.
 * root may be undefined. Writes to names on an array, to fractional indexes and
 * through an absent "__proto__" are dropped. -1 bad_request when an index is
 * beyond LOCATOR_MAX_WRITE_INDEX.
 */
int locator_set(struct arena *a, const struct value *root, const struct locator *l,
                const struct value *v, const struct value **ret_root, struct status *st);
/* The same for a locator given as value; -1 with the parse error. */
int locator_set_value(struct arena *a, const struct value *root,
                      const struct value *locator, const struct value *v,
                      const struct value **ret_root, struct status *st);

/*
 * 0 while a list of writes that began at start_bytes (arena_used) keeps within
 * LOCATOR_MAX_BATCH_BYTES, else -1 bad_request.
 */
int locator_check_batch(const struct arena *a, size_t start_bytes, struct status *st);

/* A new root with only the listed fields; undefined when nothing was found. */
int locator_pick_fields(struct arena *a, const struct value *v,
                        const struct value *fields, const struct value **ret_value,
                        struct status *st);
int locator_exclude_fields(struct arena *a, const struct value *v,
                           const struct value *fields, const struct value **ret_value,
                           struct status *st);
/* An object with the placeholder ("" when undefined) at every locator that has
 * no listed locator in front of it. */
int locator_object_from(struct arena *a, const struct value *locators,
                        const struct value *placeholder, const struct value **ret_value,
                        struct status *st);

/* ---- Listing: arrays of locator texts ---- */

/* Leaf paths with a value. prefix: text or NULL for "$". */
const struct value *locator_list_data(struct arena *a, const struct value *v,
                                      const struct value *prefix);
/* Paths whose JSON text equals that of the wanted value. */
const struct value *locator_find_value(struct arena *a, const struct value *v,
                                       const struct value *wanted);
/* Paths of objects whose only key is "$type"; nothing inside them. */
const struct value *locator_list_formulas(struct arena *a, const struct value *v,
                                          const char *type);

#endif
