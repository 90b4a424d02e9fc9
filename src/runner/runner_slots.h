/*
 * runner_slots.h - the jobs of this process that run now, counted by whose they are.
 *
 * Holds parallelCustomCodeRuns and parallelCustomCodeRunsPerCustomer. Counts are of one
 * process: with several, each allows its own number. Threads may share it.
 */
#ifndef RUNNER_RUNNER_SLOTS_H
#define RUNNER_RUNNER_SLOTS_H

#include <stdbool.h>

struct runner_slots;

struct runner_slots *runner_slots_new(void);
void runner_slots_free(struct runner_slots **s);
/* false: `most` are taken for this owner. most 0: no limit. owner is copied. */
bool runner_slots_take(struct runner_slots *s, const char *owner, int most);
void runner_slots_give(struct runner_slots *s, const char *owner);

#endif
