/*
 * data_link_table.c - a named table of record pairs; each connection has its own.
 */
#include "model/model.h"

extern const struct element_domain data_link_table_domain;

const struct element_domain data_link_table_domain = {
    .fields = NULL,
    .fields_len = 0,
};
