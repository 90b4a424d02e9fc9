/*
 * connector_priv.h - shared by the files of connector/.
 */
#ifndef CONNECTOR_CONNECTOR_PRIV_H
#define CONNECTOR_CONNECTOR_PRIV_H

#include "connector.h"

/* Contents of a key: from the cache, else from the object store. */
int connector_contents(const struct deps *deps, struct arena *a, const char *contents_key,
                       const struct value **ret_contents, struct status *st);
/* What a connector without files contains. */
const struct value *connector_empty_contents(struct arena *a);
/* Members that are counted from the contents: operationsCount, hasTest, udms, ... */
const struct value *connector_counts(struct arena *a, const struct value *identity,
                                     const struct value *contents);

#endif
