/*
 * workspace_command.h - `membrane push DIR` and `membrane pull DIR`.
 */
#ifndef WORKSPACE_WORKSPACE_COMMAND_H
#define WORKSPACE_WORKSPACE_COMMAND_H

/* Makes the workspace equal to the folder: [--dry-run] [--partial] DIR. */
int push_command(int argc, char **argv);
/* Makes the folder equal to the workspace: [--dry-run] DIR. */
int pull_command(int argc, char **argv);

#endif
