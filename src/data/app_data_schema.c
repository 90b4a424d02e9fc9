/*
 * app_data_schema.c - the schema of a record in the host application; a customer may have
 * an own one.
 */
#include "model/model.h"

extern const struct element_domain app_data_schema_domain;

static const struct element_field fields[] = {
    {"schema", FIELD_ANY, FIELD_CFG, NULL},
    {"code", FIELD_TEXT, FIELD_CFG, NULL},
};

const struct element_domain app_data_schema_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
};
