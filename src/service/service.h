/*
 * service.h - what a process does from start to end.
 *
 * A process plays one or more roles (config->services). service_run() owns the order for
 * all of them: log, open what they need, listen, report ready, wait for a signal, drain,
 * close. A role is a row of the table in service.c and adds what is its own.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdbool.h>

struct config;

struct service_options {
    const struct config *config; /* checked; its services are the roles */
    /*
     * `up` runs UI and console beside the API in one process, on ports of their own; 0:
     * the role listens on config->port.
     */
    int ui_port, console_port;
    /* The stores belong to this process alone: documents may be cached in it. */
    bool owns_data;
    /*
     * Told once all listeners answer: one JSON line, {"workspaceKey": ..., ...}, of what
     * only this process knows; or -1.
     */
    int ready_fd;
};

/* Gives the exit status. Must be called while the process has one thread. */
int service_run(const struct service_options *o);

/* The commands of main.c. */
int serve_command(int argc, char **argv);
int ui_command(int argc, char **argv);
int console_command(int argc, char **argv);
int code_runner_command(int argc, char **argv);
int up_command(int argc, char **argv);
int routes_command(int argc, char **argv);
int healthcheck_command(int argc, char **argv);
int preflight_command(int argc, char **argv);
int migrate_command(int argc, char **argv);

#endif
