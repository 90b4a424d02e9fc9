/*
 * data_source.c - where records of one kind live: a collection of an external app, named
 * directly or by its unified data model.
 */
#include "model/model.h"

extern const struct element_domain data_source_domain;

static const struct element_field fields[] = {
    {"udm", FIELD_TEXT, FIELD_CFG, NULL},
    {"collectionKey", FIELD_TEXT, FIELD_CFG, NULL},
    {"collectionParameters", FIELD_ANY, FIELD_CFG, NULL},
    {"pullUpdatesIntervalSeconds", FIELD_INTERVAL, FIELD_CFG, NULL},
    {"fullSyncIntervalSeconds", FIELD_INTERVAL, FIELD_CFG, NULL},
    {"path", FIELD_TEXT, FIELD_CFG, NULL},
    {"defaultPath", FIELD_TEXT, FIELD_CFG, NULL},
};

const struct element_domain data_source_domain = {
    .fields = fields,
    .fields_len = sizeof fields / sizeof *fields,
    .unit = "dataSource",
};
