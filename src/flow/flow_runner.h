/*
 * flow_runner.h - threads that execute flow runs of this process: one run per connection
 * at a time, first come first served.
 */
#ifndef FLOW_FLOW_RUNNER_H
#define FLOW_FLOW_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

struct deps;
struct flow_runner;
struct status;

/* deps is borrowed for life. */
struct flow_runner *flow_runner_new(const struct deps *deps, size_t threads);
/* Lets every thread finish its node run; what is unfinished stays so in the store. */
void flow_runner_free(struct flow_runner **r);
/* Takes up what an earlier process left queued or running. */
int flow_runner_take_up(struct flow_runner *r, struct status *st);
/* Copies the texts. */
void flow_runner_submit(struct flow_runner *r, const char *run_id,
                        const char *connection_id);
/* Runs that wait on the connection. */
size_t flow_runner_waiting(struct flow_runner *r, const char *connection_id);
/* The run shall end after its present node run. */
void flow_runner_stop(struct flow_runner *r, const char *run_id);

#endif
