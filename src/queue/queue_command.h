/*
 * queue_command.h - `membrane admin queues`: a part of the command `admin`.
 */
#ifndef QUEUE_QUEUE_COMMAND_H
#define QUEUE_QUEUE_COMMAND_H

#define QUEUE_COMMAND_ARGUMENTS "queues list|pause|resume|drain|retry|purge [OPTION...]"
#define QUEUE_COMMAND_HELP                                                               \
    "  queues list [--json]\n"                                                           \
    "                   each queue: waiting, running, given up, age of the oldest,\n"    \
    "                   paused or not\n"                                                 \
    "  queues list QUEUE [--json]\n"                                                     \
    "                   what was given up: id, kind, attempts, crashes, workspace,\n"    \
    "                   connection, when and why; --json: the whole tasks\n"             \
    "  queues pause QUEUE | resume QUEUE\n"                                              \
    "                   a paused queue accepts tasks and runs none\n"                    \
    "  queues drain QUEUE [--timeout SECONDS]\n"                                         \
    "                   pauses, and waits until nothing runs any more (default 300)\n"   \
    "  queues retry QUEUE ID... | --all\n"                                               \
    "                   runs again what was given up, with all its attempts\n"           \
    "  queues purge QUEUE\n"                                                             \
    "                   deletes what was given up\n"                                     \
    "                   QUEUE is instant or queued\n"
/* argv[0] is "queues". As auth_command_admin(). */
int queue_command_admin(int argc, char **argv);

#endif
