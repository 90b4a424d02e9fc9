/*
 * auth_command.h - `membrane token` and `membrane admin`: rows of the command table.
 */
#ifndef AUTH_AUTH_COMMAND_H
#define AUTH_AUTH_COMMAND_H

#define AUTH_COMMAND_TOKEN_ARGUMENTS "[--customer ID | --admin] [OPTION...]"
#define AUTH_COMMAND_TOKEN_HELP                                                          \
    "  --customer ID    the customer's own identifier in your application\n"             \
    "  --admin          a token for the whole workspace; with --customer: both\n"        \
    "  --name NAME      what the customer is called\n"                                   \
    "  --fields JSON    the customer's fields, an object\n"                              \
    "  --test           the customer is a test customer\n"                               \
    "  --expires SECONDS  how long it is good for (default 3600)\n"                      \
    "\n"                                                                                 \
    "Signs with MEMBRANE_WORKSPACE_SECRET for MEMBRANE_WORKSPACE_KEY; asks no server.\n"
/* Prints a signed token. 0, EX_USAGE or EX_CONFIG. */
int auth_command_token(int argc, char **argv);

#define AUTH_COMMAND_ADMIN_ARGUMENTS "create-user|link|users [OPTION...]"
#define AUTH_COMMAND_ADMIN_HELP                                                          \
    "  create-user --email ADDRESS [--name NAME] [--org NAME] [--workspace NAME]\n"      \
    "              [--role admin|member|read-only] [--platform-admin]\n"                 \
    "                   creates what is missing and prints a sign-in link\n"             \
    "  link --email ADDRESS\n"                                                           \
    "                   prints a link that signs the person in once\n"                   \
    "  users [--search TEXT]\n"                                                          \
    "                   who has an account\n"                                            \
    "\n"                                                                                 \
    "Calls MEMBRANE_API_URI with MEMBRANE_ACCESS_TOKEN, the personal token of a\n"       \
    "platform administrator.\n"
/* 0, EX_USAGE, EX_CONFIG, EX_TEMPFAIL when the server was not there, EX_SOFTWARE when it
 * refused. */
int auth_command_admin(int argc, char **argv);

#endif
