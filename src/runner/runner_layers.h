/*
 * runner_layers.h - what the executable and the addon tell each other: the layers of
 * isolation, descriptors, and the words between the supervisor and a zygote.
 */
#ifndef RUNNER_RUNNER_LAYERS_H
#define RUNNER_RUNNER_LAYERS_H

#include <stdint.h>

enum {
    RUNNER_LAYER_SECCOMP = 1,  /* allow-list; with no_new_privs */
    RUNNER_LAYER_RLIMITS = 2,  /* descriptors, files, core, memory, processor time */
    RUNNER_LAYER_LANDLOCK = 4, /* no path, no TCP, no signal to others */
    RUNNER_LAYER_UID = 8,      /* a user of its own, no capability */
    RUNNER_LAYER_ROOT = 16,    /* an empty root directory */
    RUNNER_LAYER_NET = 32,     /* network namespace without an interface */
    RUNNER_LAYER_PID = 64,     /* sees no process outside */
    RUNNER_LAYER_IPC = 128,
    /* Without these no job runs, unless the operator says so. */
    RUNNER_LAYERS_REQUIRED = RUNNER_LAYER_SECCOMP | RUNNER_LAYER_RLIMITS,
};

/* Descriptors of the process that runs a job, and of a zygote. */
enum {
    RUNNER_FD_SOCKET = 3, /* frames: 4 bytes length, little endian, then JSON */
    RUNNER_FD_ADDON,
    RUNNER_FD_GUEST,  /* runner_guest.js */
    RUNNER_FD_FILTER, /* the seccomp program */
    RUNNER_FD_END,
};

/*
 * To a zygote that has said that it is ready: fork. With three descriptors for the child:
 * its socket, a socket for the zygote to tell of it, its standard error.
 */
struct runner_wish {
    int32_t uid; /* of its own, where the layer uid holds */
};
enum { RUNNER_WISH_FDS = 3 };

/*
 * From a zygote, on the second of the descriptors: first BORN with the child's pidfd,
 * last ENDED. When it ends by itself the socket just closes.
 */
struct runner_told {
    int32_t what;
    int32_t wait_status;
    int64_t cpu_us, max_rss_kb;
};
enum { RUNNER_TOLD_BORN = 1, RUNNER_TOLD_ENDED };

#endif
