/*
 * formula_command.h - `membrane formula`, for people who debug mappings.
 */
#ifndef FORMULA_FORMULA_COMMAND_H
#define FORMULA_FORMULA_COMMAND_H

/* formula eval [VALUE-FILE] [OPTION...]; gives the exit status. */
int formula_command(int argc, char **argv);

#endif
