/*
 * runner_layers.h - the layers of isolation, as the process that runs a job reports them
 * and as the supervisor asks for them. Shared by the executable and the addon.
 */
#ifndef RUNNER_RUNNER_LAYERS_H
#define RUNNER_RUNNER_LAYERS_H

enum {
    RUNNER_LAYER_SECCOMP = 1,  /* allow-list; with no_new_privs */
    RUNNER_LAYER_RLIMITS = 2,  /* descriptors, files, core, memory, processor time */
    RUNNER_LAYER_LANDLOCK = 4, /* no path, no TCP, no signal to others */
    RUNNER_LAYER_UID = 8,      /* a user of its own, no capability */
    RUNNER_LAYER_ROOT = 16,    /* an empty root directory */
    RUNNER_LAYER_NET = 32,     /* network namespace without an interface */
    RUNNER_LAYER_PID = 64,     /* sees no other process */
    RUNNER_LAYER_IPC = 128,
    /* Without these no job runs, unless the operator says so. */
    RUNNER_LAYERS_REQUIRED = RUNNER_LAYER_SECCOMP | RUNNER_LAYER_RLIMITS,
};

/* Descriptors of the process that runs a job. */
enum {
    RUNNER_FD_SOCKET = 3, /* frames: 4 bytes length, little endian, then JSON */
    RUNNER_FD_ADDON,
    RUNNER_FD_GUEST,  /* runner_guest.js */
    RUNNER_FD_FILTER, /* the seccomp program */
    RUNNER_FD_END,
};

#endif
