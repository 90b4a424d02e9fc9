/*
 * main.c - one executable, many commands: the table of them, nothing else.
 *
 * A command is a function of the folder it belongs to. It gets what follows the word
 * `membrane` (argv[0] is its own name) and gives the exit status: 0, EX_USAGE (64),
 * EX_SOFTWARE (70), EX_TEMPFAIL (75) when an outside service was not there, EX_CONFIG
 * (78).
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "auth/auth_command.h"
#include "config/config_command.h"
#include "connector/connector.h"
#include "formula/formula_command.h"
#include "queue/queue_command.h"
#include "service/service.h"
#include "workspace/workspace_command.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments; /* behind the name, in the usage line */
    const char *summary;   /* one line */
    const char *help;      /* options and what else there is to know; or NULL */
};

static int version_command(int argc, char **argv);
static int admin_command(int argc, char **argv);

static const struct command commands[] = {
    {"up", up_command, "[--data DIR] [--port N] [--bootstrap-file FILE]",
     "Everything on this machine, on embedded stores; needs no variable.",
     "  --data DIR             where everything is kept (default: ./data)\n"
     "  --port N               API on N, UI on N+1, console on N+2 (default: 5000); 0: "
     "any\n"
     "  --bootstrap-file FILE  written once all is healthy: addresses and the first\n"
     "                         workspace's key and secret, as JSON, mode 0600\n"
     "\nListens on 127.0.0.1; HOST=0.0.0.0 opens it to the network. Ctrl-C ends it.\n"},
    {"serve", serve_command, "",
     "The role or roles that the IS_ variables name; with none, the API.",
     "See docs/config.md for the variables, `membrane config check` for problems.\n"},
    {"ui", ui_command, "", "The pages that end users see.", NULL},
    {"console", console_command, "", "The pages for administrators and developers.",
     NULL},
    {"code-runner", code_runner_command, "", "Runs customers' JavaScript, sandboxed.",
     NULL},
    {"healthcheck", healthcheck_command, "[--port N] [--path /PATH]",
     "Status 0 when the service on this machine answers 200.",
     "  --port N      instead of PORT\n  --path /PATH  instead of /\n"},
    {"preflight", preflight_command, "[--json] [--only NAME,...]",
     "Tries everything that the environment names, before the first start.",
     "One line per check: ok, warn, skip or FAIL. Nothing is left behind. Status 0 when "
     "no\ncheck failed, 1 when one did, 78 when the environment itself is wrong.\n\n"
     "  --json           the report as JSON\n"
     "  --only NAME,...  these checks only: documents, tasks, objects, presign, static,\n"
     "                   runner, sign-in, mail, names, addresses, clock\n"},
    {"migrate", migrate_command, "",
     "Brings the collections and indexes of the document store up to date.",
     "Every start does it too; this does it alone, ahead of an upgrade. Safe to repeat. "
     "Status\n0 when done, 75 when the store is not there, 78 when the environment is "
     "wrong.\n"},
    {"routes", routes_command, "", "Every route of the API, as METHOD /path lines.",
     NULL},
    {"config", config_command, "check|docs|schema|dump [OPTION...]",
     "The environment variables: check them, or show what there is.",
     "  check            report every problem; status 78 when there is an error\n"
     "  dump             what holds now; secrets as ***\n"
     "  docs             the page docs/config.md\n"
     "  schema           JSON Schema of the variables\n"
     "  --json           the report as JSON\n"
     "  --service NAME   api, ui, console, code-runner or all, instead of what the IS_\n"
     "                   variables name\n"},
    {"formula", formula_command, "eval [VALUE-FILE] [OPTION...]",
     "Evaluates a value with formulas, to see what a mapping does.",
     "VALUE-FILE holds the value as JSON; without it, or with -, standard input does. "
     "The\n"
     "result is printed as JSON, or as the word undefined. Status 65 when it fails.\n\n"
     "  -e, --value JSON       the value itself, instead of a file\n"
     "  -v, --variables FILE   the variables as JSON (- for standard input)\n"
     "  --schema FILE          the schema of the result, which look-ups are given\n"
     "  --build                the form of clients, which resolves nothing\n"
     "  --data                 the same, then $copy\n"
     "  --explain              every formula with its result, on standard error\n"},
    {"push", push_command, "[--dry-run] [--partial] DIR",
     "Makes the workspace equal to a folder of files.",
     "  --dry-run   show the difference and change nothing\n"
     "  --partial   leave alone what the folder does not hold, instead of archiving it\n"
     "\nWorks on the workspace that MEMBRANE_API_URI, MEMBRANE_WORKSPACE_KEY and\n"
     "MEMBRANE_WORKSPACE_SECRET name. Nothing is changed when any file is bad.\n"},
    {"pull", pull_command, "[--dry-run] DIR", "Makes a folder equal to the workspace.",
     "  --dry-run   show the difference and change nothing\n"
     "\nFiles that are no element's stay as they are.\n"},
    {"connector", connector_command, "validate|pack|upload DIR [-o FILE.zip]",
     "Checks, packs or uploads a connector's folder.",
     "  validate   read every file and say what is wrong\n"
     "  pack       write the archive (default: KEY.zip)\n"
     "  upload     as the development version of the connector that spec.yml names\n"},
    {"token", auth_command_token, AUTH_COMMAND_TOKEN_ARGUMENTS,
     "Signs a token of the workspace.", AUTH_COMMAND_TOKEN_HELP},
    {"admin", admin_command, AUTH_COMMAND_ADMIN_ARGUMENTS " | " QUEUE_COMMAND_ARGUMENTS,
     "What an administrator of the platform does.",
     QUEUE_COMMAND_HELP AUTH_COMMAND_ADMIN_HELP},
    {"version", version_command, "[--json]", "The version of this executable.", NULL},
};

static int admin_command(int argc, char **argv) {
    return argc > 1 && !strcmp(argv[1], "queues")
               ? queue_command_admin(argc - 1, argv + 1)
               : auth_command_admin(argc, argv);
}

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static void print_commands(FILE *f) {
    fprintf(f, "usage: membrane COMMAND [ARGUMENT...]\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        fprintf(f, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fprintf(f, "\n`membrane COMMAND --help` tells more.\n");
}

static void print_help(FILE *f, const struct command *c) {
    fprintf(f, "usage: membrane %s %s\n\n%s\n", c->name, c->arguments, c->summary);
    if (c->help)
        fprintf(f, "\n%s", c->help);
}

static int version_command(int argc, char **argv) {
    if (argc == 1)
        printf("membrane %s\n", MEMBRANE_VERSION);
    else if (argc == 2 && !strcmp(argv[1], "--json"))
        printf("{\"name\":\"membrane\",\"version\":\"%s\"}\n", MEMBRANE_VERSION);
    else
        return fprintf(stderr, "membrane version: only --json is understood\n"), EX_USAGE;
    return 0;
}

static bool asks_for_help(const char *s) {
    return !strcmp(s, "--help") || !strcmp(s, "-h");
}

int main(int argc, char **argv) {
    const struct command *c;

    if (argc < 2)
        return print_commands(stderr), EX_USAGE;
    if (asks_for_help(argv[1]) || !strcmp(argv[1], "help")) {
        if (argc > 2 && (c = find_command(argv[2])) != NULL)
            return print_help(stdout, c), 0;
        return print_commands(stdout), 0;
    }
    if (!strcmp(argv[1], "--version"))
        return version_command(1, argv);
    if (!(c = find_command(argv[1]))) {
        fprintf(stderr, "membrane: no such command: %s\n\n", argv[1]);
        return print_commands(stderr), EX_USAGE;
    }
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (asks_for_help(argv[i]))
            return print_help(stdout, c), 0;
    return c->run(argc - 1, argv + 1);
}
