/*
 * action_data.h - actions and flow nodes that work on data records (engine.md 12.3).
 */
#ifndef ACTION_ACTION_DATA_H
#define ACTION_ACTION_DATA_H

#include <stdbool.h>

struct connection_session;
struct model_view;
struct status;
struct value;

/* What to do, and on what. All borrowed; results live in the session's arena. */
struct action_data {
    struct connection_session *session;
    struct model_view *view;  /* data sources and field mappings are found in it */
    const char *instance_key; /* of the running action or flow; or NULL */
    /* {dataSource, fieldMapping?, filter?, unifiedFilter?, cursor?, query?, id?,
       lookupFields?, createData?}, with formulas over the variables. */
    const struct value *config;
    const struct value *variables;
    const struct value *input; /* what is exported when the config names no input */
};

bool action_data_is_type(const char *type);
/*
 * Runs "list-data-records" and its like. ret_output: {records, cursor?}, a record
 * (undefined: nothing matches) or {id}. -1 configuration when the data source, the field
 * mapping or the type is none; else as collection_run().
 */
int action_data_run(const struct action_data *d, const char *type,
                    const struct value **ret_output, struct status *st);

#endif
