/*
 * flow_run_record.h - node runs as they are stored.
 *
 * {id, workspaceId, flowRunId, nodeKey, createdAt, upstreamRuns, status, logs, errors,
 * outputs: [{id, timestamp, size, data | dataKey, downstreamRuns}], continued?, item?,
 * attempts?}. status "running" marks one that has begun. A node run's input is not
 * stored: it is what its upstream runs gave, and would grow with the square of a list.
 */
#ifndef FLOW_FLOW_RUN_RECORD_H
#define FLOW_FLOW_RUN_RECORD_H

struct arena;
struct deps;
struct status;
struct value;

enum { FLOW_RECORD_INLINE_BYTES = 16 * 1024 };

/*
 * Stores an output's data, large ones as an object: gives {id, timestamp, size, data |
 * dataKey}. bad_request when it is larger than MAX_NODE_RUN_OUTPUT_SIZE_MB.
 */
int flow_record_output(const struct deps *deps, struct arena *a, const char *run_id,
                       const char *output_id, const struct value *data,
                       const struct value **ret_output, struct status *st);
/* The text of an output's data. bad_request/not_found when it has expired. */
int flow_record_text(const struct deps *deps, struct arena *a, const struct value *output,
                     const struct value **ret_text, struct status *st);
int flow_record_data(const struct deps *deps, struct arena *a, const struct value *output,
                     const struct value **ret_data, struct status *st);
/* The input of a stored node run of the run. */
int flow_record_input(const struct deps *deps, struct arena *a, const struct value *run,
                      const struct value *node_run, const struct value **ret_input,
                      struct status *st);

#endif
