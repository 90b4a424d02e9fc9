/*
 * orchestrator.h - periodic duties of the whole system, done by one process at a time.
 *
 * A duty is a row: name, interval, function. When one was last begun stands in the
 * lease's document and is written under the fence before it begins, so a duty is begun
 * once per interval whoever leads, and what was missed is made up for once.
 */
#ifndef ORCHESTRATOR_ORCHESTRATOR_H
#define ORCHESTRATOR_ORCHESTRATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct deps;
struct orchestrator;
struct status;

struct orchestrator_duty {
    const char *name; /* letters and '-' */
    int interval_s;
    /* Must be harmless to repeat. The arena dies with the call. */
    int (*run)(const struct deps *deps, struct arena *a, struct status *st);
};

struct orchestrator_options {
    const struct deps *deps; /* borrowed, like the table */
    const struct orchestrator_duty *duties;
    size_t duties_len;
    int life_ms; /* 0: ORCHESTRATOR_LEASE_SECONDS; renewed every third of it */
    /* For the log; may be NULL. */
    void (*ended)(void *ctx, const struct orchestrator_duty *duty,
                  const struct status *why, int64_t duration_ms);
    void (*leads)(void *ctx, bool leads, int64_t fence);
    /*
     * What must be done to the moment: called while this process leads, from a thread of
     * its own; gives how many ms it wants to be left alone (at most 1000 are granted).
     * A leader that lost its lease may call it once more: what it does must bear that.
     * NULL: none. failed: for the log.
     */
    int64_t (*pulse)(void *ctx, const struct deps *deps, struct arena *a,
                     struct status *st);
    void (*pulse_failed)(void *ctx, const struct status *why);
    void *ctx;
};
struct orchestrator *orchestrator_open(const struct orchestrator_options *o);
/* Ends its threads when started, resigns, frees. */
void orchestrator_close(struct orchestrator **o);

/* Threads: one keeps the lease, one does the duties, one calls the pulse. */
void orchestrator_start(struct orchestrator *o);
/* No duty begins any more; resigns when the present one ended. */
void orchestrator_stop(struct orchestrator *o);
bool orchestrator_leads(const struct orchestrator *o);

/* One step of each thread, for tests. keep: 0 leads, 1 does not. */
int orchestrator_keep(struct orchestrator *o, struct status *st);
/* Calls the pulse when it leads; gives the ms to wait. */
int64_t orchestrator_pulse(struct orchestrator *o);
/* Gives the number of duties that were run. */
int orchestrator_run_due(struct orchestrator *o);

#endif
