/*
 * runner.h - runs customers' JavaScript, one job per process, each process locked down
 * before the job reaches it.
 *
 * The service `code-runner` opens a runner and serves its routes. A few processes wait,
 * locked and warm, for a job; a job has one of them to itself and the process ends with
 * it, so that nothing passes from one job to the next. What the job wants from the
 * outside it asks of the supervisor (runner_call.c), over its only open descriptor.
 */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <stdbool.h>

struct clock;
struct config;
struct http_router;
struct metrics;
struct rand;
struct runner;
struct status;

/*
 * Finds Node, tries the layers of isolation and starts what waits. With `wait` -1 is a
 * configuration error when a layer is missing that must hold; without, it returns at once
 * and jobs are told so. Without any Node the runner opens, says that
 * code is off, and answers every job so. Logs which layers hold. config, clock, rand and
 * metrics must live longer.
 */
int runner_open(const struct config *config, struct clock *clock, struct rand *rand,
                struct metrics *metrics, bool wait, struct runner **ret_runner,
                struct status *st);
/* Ends all processes. No job may be under way. */
void runner_close(struct runner **r);
/* The handlers find the runner in rq->deps->runner. */
void runner_routes(struct http_router *r);

#endif
