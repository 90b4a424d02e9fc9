/*
 * runner_addon.h - shared by the two files of the addon, see runner_addon.c.
 */
#ifndef RUNNER_RUNNER_ADDON_H
#define RUNNER_RUNNER_ADDON_H

#include <stdbool.h>
#include <sys/types.h>

#include "node_api_min.h"

enum { RUNNER_EXIT_NOT_LOCKED = 70 }; /* a layer that must hold could not be put up */

/*
 * What is needed before the root is gone, and what all children of a zygote share. Must
 * come first. wanted: layers to try; gives those of them that hold now.
 */
int addon_lock_early(int wanted);
/* The rest, for good. early: what addon_lock_early gave. Gives all layers that hold. */
int addon_lock_late(int wanted, int early, int uid);

/*
 * Turns this process into a zygote: blocks, forks on request, and returns in each child
 * only, locked. Ends the process when the supervisor is gone. Gives the layers that hold.
 */
int addon_serve(struct uv_loop_s *loop, int wanted);
/* Garbage of the start, before it would be every child's. */
void addon_collect(void);
/* In a child: nobody waits for what its threads waited for before the fork. */
void addon_renew_conditions(void);
/*
 * A sample job in a fork, before the root is gone. true in that fork, which goes on like
 * a child that has got its job.
 */
bool addon_run_sample(struct uv_loop_s *loop);
/* Makes the pages that the sample job wrote to this process's own. */
void addon_take_pages(void);
/* When the process of a zygote's sample job has done it; else does nothing. */
void addon_sample_over(void);
/*
 * In a child of a zygote: keeps the loop from ending, and calls fn when nothing is left
 * that could go on.
 */
void addon_watch(napi_env env, struct uv_loop_s *loop, napi_value fn);

#endif
