/*
 * flow_schedule.h - schedule triggers: which are there, and what is due (engine.md 13.2).
 *
 * A schedule is a document of C_SCHEDULES per trigger of a live, enabled flow of a
 * connection: {id: "<flow id>:<node key>", workspaceId, flowId, nodeKey, spec, anchorMs,
 * dueMs}. They are made of flows whose `updatedAt` is new and found by `dueMs`; nothing
 * is scanned. Ticks that were missed become one. The run of a tick has an id that follows
 * from the schedule and the moment, so a tick runs once whoever starts it.
 *
 * config of the node: {intervalMinutes}, at least 1, counted from the moment of enabling
 * plus up to a tenth of itself, at most a minute, so that flows that were enabled
 * together do not all start together; or {cron, timezone?}, an extension (flow_cron.h).
 */
#ifndef FLOW_FLOW_SCHEDULE_H
#define FLOW_FLOW_SCHEDULE_H

#include <stdint.h>

struct arena;
struct deps;
struct status;
struct value;

/* Makes and removes schedules as flows changed. */
int flow_schedule_follow(const struct deps *deps, struct arena *a, struct status *st);
/* Starts what is due. ret_next_ms: when the next one is (wall clock), 0: none. */
int flow_schedule_run_due(const struct deps *deps, struct arena *a, int64_t *ret_next_ms,
                          struct status *st);
/* The first moment of a schedule's spec behind after_ms; -1 never. */
int64_t flow_schedule_next(struct arena *a, const struct value *spec, int64_t anchor_ms,
                           int64_t after_ms);

#endif
