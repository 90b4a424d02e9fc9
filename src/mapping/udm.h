/*
 * udm.h - unified data models: their fields, and how missing ones are filled.
 */
#ifndef MAPPING_UDM_H
#define MAPPING_UDM_H

#include <stdbool.h>

struct arena;
struct status;
struct value;

bool udm_is_known(const struct value *model);
/* The names of all models, as an array. */
const struct value *udm_names(struct arena *a);
/* {name, singular, plural} of a model, or undefined. */
const struct value *udm_names_of(struct arena *a, const struct value *model);
/* The models that stand in for one that a connector lacks, nearest first: an array. */
const struct value *udm_stand_ins(struct arena *a, const struct value *model);
/* The schema of a model's fields; undefined for an unknown model. */
const struct value *udm_fields_schema(struct arena *a, const struct value *model);

/*
 * fields, a map of formulas, with the model's fallbacks for those that are absent
 * and whose sources are there. A falsy model changes nothing; -1 bad_request for
 * an unknown one.
 */
int udm_add_fallback_fields(struct arena *a, const struct value *fields,
                            const struct value *model, const struct value **ret_fields,
                            struct status *st);
/*
 * The collection that a connector, whose specification is given, uses for a model:
 * its default collection, else the first it maps, else that of a model standing
 * in. A pointer {key, parameters?}, or undefined. -1 bad_request as above.
 */
int udm_default_collection(struct arena *a, const struct value *spec,
                           const struct value *model, const struct value **ret_pointer,
                           struct status *st);
/*
 * The schema of a record: the common fields, `fields` with the schema given,
 * `unifiedFields` of a known model and `rawFields` if given. args: {fieldsSchema,
 * udm, rawFieldsSchema}.
 */
const struct value *udm_record_schema(struct arena *a, const struct value *args);

#endif
