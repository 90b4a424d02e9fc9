/*
 * flow_task.h - runs of flows as queued tasks: one task per run, with the run's id.
 *
 * A worker that ends hands the run back between two node runs; a run whose worker died is
 * taken up by another, behind its last finished node run. A task that is given up (its
 * workers died again and again, its handler overran its time) fails its run.
 */
#ifndef FLOW_FLOW_TASK_H
#define FLOW_FLOW_TASK_H

#include "queue/queue.h"

struct arena;
struct deps;
struct status;
struct value;

/* The kind's name. */
#define FLOW_TASK_RUN "flow-run"

/* Puts the task of a stored run. 0, 1 there is one already. */
int flow_task_put(const struct deps *deps, const struct value *run, struct status *st);
/* The same for an array of runs. */
int flow_task_put_many(const struct deps *deps, struct arena *a, const struct value *runs,
                       struct status *st);
/* Handler and end of the kind. */
enum queue_result flow_task_run(struct queue_run *r, struct status *st);
void flow_task_given_up(const struct deps *deps, struct arena *a,
                        const struct value *task, const struct value *error);
/*
 * A duty of the orchestrator: unfinished runs that are older than a minute and have no
 * task get one; those whose task was given up fail.
 */
int flow_task_sweep(const struct deps *deps, struct arena *a, struct status *st);
/* Deletes runs that ended and are older, with their node runs; at most some thousands at
 * a time. before: ISO time. */
int flow_task_delete_older(const struct deps *deps, struct arena *a, const char *before,
                           struct status *st);

#endif
