/*
 * config_command.h - `membrane config check|docs|schema|dump`.
 */
#ifndef CONFIG_CONFIG_COMMAND_H
#define CONFIG_CONFIG_COMMAND_H

int config_command(int argc, char **argv);

#endif
