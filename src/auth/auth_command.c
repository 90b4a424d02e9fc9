#include "auth_command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "client/client.h"
#include "config/config.h"
#include "crypto/crypto_jws.h"
#include "value/value.h"

/* ---- membrane token ---- */

struct token_options {
    const char *customer, *name, *fields;
    bool is_admin, is_test;
    long ttl_s;
};

static int read_token_options(int argc, char **argv, struct token_options *o) {
    static const struct option options[] = {{"customer", required_argument, NULL, 'c'},
                                            {"admin", no_argument, NULL, 'a'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"fields", required_argument, NULL, 'f'},
                                            {"test", no_argument, NULL, 't'},
                                            {"expires", required_argument, NULL, 'e'},
                                            {NULL, 0, NULL, 0}};
    char *end;
    int c;

    optind = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->customer = optarg;
            break;
        case 'a':
            o->is_admin = true;
            break;
        case 'n':
            o->name = optarg;
            break;
        case 'f':
            o->fields = optarg;
            break;
        case 't':
            o->is_test = true;
            break;
        case 'e':
            o->ttl_s = strtol(optarg, &end, 10);
            if (*end || end == optarg || o->ttl_s < 1 || o->ttl_s > 315360000) {
                fprintf(stderr,
                        "membrane token: --expires takes seconds, 1 to 315360000\n");
                return EX_USAGE;
            }
            break;
        default:
            return EX_USAGE;
        }
    }
    if (optind < argc || (!o->customer && !o->is_admin)) {
        fprintf(stderr, "usage: membrane token " AUTH_COMMAND_TOKEN_ARGUMENTS "\n");
        return EX_USAGE;
    }
    return 0;
}

static int print_token(struct arena *a, const struct config *config,
                       const struct token_options *o) {
    const struct value *fields = NULL;
    struct status st;
    double exp = (double)(clock_now_ms(clock_system()) / 1000 + o->ttl_s);

    st_init(&st, a);
    if (o->fields &&
        (value_parse(a, o->fields, strlen(o->fields), NULL, &fields, &st) < 0 ||
         !value_is_object(fields))) {
        fprintf(stderr, "membrane token: --fields takes a JSON object\n");
        return EX_USAGE;
    }
    printf("%s\n",
           crypto_jwt_sign(
               a, CRYPTO_HS256,
               (struct bytes){config->membrane_workspace_secret,
                              strlen(config->membrane_workspace_secret)},
               value_obj(a, "iss", value_string(a, config->membrane_workspace_key), "id",
                         o->customer ? value_string(a, o->customer) : NULL, "name",
                         o->name ? value_string(a, o->name) : NULL, "fields", fields,
                         "isAdmin", o->is_admin ? &value_true : NULL, "isTest",
                         o->is_test ? &value_true : NULL, "exp", value_number(a, exp),
                         NULL)));
    return fflush(stdout) ? EX_IOERR : 0;
}

/* From the environment; NULL after a message. */
static const struct config *load_config(struct arena *a) {
    struct config_sources src = {.environment = (const char *const *)environ};
    struct config_report report;
    const struct config *config;
    const char *missing = NULL;

    if (config_load(a, SERVICE_CLIENT, &src, &config, &report) < 0) {
        config_report_print(&report, stderr);
        return NULL;
    }
    if (!config->membrane_workspace_key)
        missing = "MEMBRANE_WORKSPACE_KEY";
    else if (!config->membrane_workspace_secret)
        missing = "MEMBRANE_WORKSPACE_SECRET";
    if (missing)
        fprintf(stderr, "membrane token: %s is not set\n", missing);
    return missing ? NULL : config;
}

int auth_command_token(int argc, char **argv) {
    struct token_options o = {.ttl_s = 3600};
    const struct config *config;
    struct arena *a;
    int status = read_token_options(argc, argv, &o);

    if (status)
        return status;
    a = arena_new(0);
    config = load_config(a);
    status = config ? print_token(a, config, &o) : EX_CONFIG;
    arena_free(&a);
    return status;
}

/* ---- membrane admin ---- */

struct admin_options {
    const char *email, *name, *org, *workspace, *role, *search;
    bool is_admin;
};

static int read_admin_options(int argc, char **argv, struct admin_options *o) {
    static const struct option options[] = {{"email", required_argument, NULL, 'e'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"org", required_argument, NULL, 'o'},
                                            {"workspace", required_argument, NULL, 'w'},
                                            {"role", required_argument, NULL, 'r'},
                                            {"search", required_argument, NULL, 's'},
                                            {"platform-admin", no_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    int c;

    optind = 0;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **place = c == 'e'   ? &o->email
                             : c == 'n' ? &o->name
                             : c == 'o' ? &o->org
                             : c == 'w' ? &o->workspace
                             : c == 'r' ? &o->role
                             : c == 's' ? &o->search
                                        : NULL;

        if (c == 'a')
            o->is_admin = true;
        else if (place)
            *place = optarg;
        else
            return EX_USAGE;
    }
    return optind < argc ? EX_USAGE : 0;
}

static const struct value *text(struct arena *a, const char *s) {
    return s ? value_string(a, s) : NULL;
}

static int print_link(const struct value *answer) {
    printf("%s\n", value_get_string(answer, "signInUri", ""));
    return 0;
}

static int usage(struct status *st, const char *text) {
    return st_fail(st, ST_BAD_REQUEST, "usage", "%s", text);
}

static int create_user(struct arena *a, struct client *client,
                       const struct admin_options *o, struct status *st) {
    const struct value *answer;

    if (!o->email || (o->workspace && !o->org))
        return usage(st, "--email is needed, and --org with --workspace");
    if (client_call(client, "POST", "/admin/users",
                    value_obj(a, "email", text(a, o->email), "name", text(a, o->name),
                              "org", text(a, o->org), "workspace", text(a, o->workspace),
                              "role", text(a, o->role), "isAdmin",
                              o->is_admin ? &value_true : NULL, NULL),
                    &answer, st) < 0)
        return -1;
    return print_link(answer);
}

static int sign_in_link(struct arena *a, struct client *client,
                        const struct admin_options *o, struct status *st) {
    const struct value *answer;

    if (!o->email)
        return usage(st, "--email is needed");
    if (client_call(client, "POST", "/admin/users/link",
                    value_obj(a, "email", text(a, o->email), NULL), &answer, st) < 0)
        return -1;
    return print_link(answer);
}

static const char *query_escape(struct arena *a, const char *s) {
    char *out = arena_alloc(a, 3 * strlen(s) + 1), *p = out;

    for (; *s; s++)
        p += sprintf(p, "%%%02X", (unsigned char)*s);
    *p = '\0';
    return out;
}

static const char *user_state(const struct value *user) {
    return value_get_bool(user, "isAdmin", false)         ? "platform-admin"
           : value_get_bool(user, "emailVerified", false) ? "confirmed"
                                                          : "unconfirmed";
}

static int users(struct arena *a, struct client *client, const struct admin_options *o,
                 struct status *st) {
    const char *cursor = "0";

    while (cursor) {
        const char *path = arena_printf(
            a, "/admin/users?limit=1000&cursor=%s%s%s", query_escape(a, cursor),
            o->search ? "&search=" : "", o->search ? query_escape(a, o->search) : "");
        const struct value *answer;

        if (client_call(client, "GET", path, NULL, &answer, st) < 0)
            return -1;
        for (VALUE_EACH_ITEM(u, value_get(answer, "items")))
            printf("%s\t%s\t%s\t%s\n", value_get_string(u, "id", ""),
                   value_get_string(u, "email", ""), value_get_string(u, "name", ""),
                   user_state(u));
        cursor = value_get_string(answer, "cursor", NULL);
    }
    return 0;
}

static int exit_status(const struct status *st) {
    if (st->key && !strcmp(st->key, "usage"))
        return EX_USAGE;
    return st->type == ST_CONFIGURATION ? EX_CONFIG
           : st->type == ST_CONNECTION  ? EX_TEMPFAIL
                                        : EX_SOFTWARE;
}

int auth_command_admin(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(struct arena *, struct client *, const struct admin_options *,
                   struct status *);
    } rows[] = {{"create-user", create_user}, {"link", sign_in_link}, {"users", users}};
    struct admin_options o = {0};

    for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(*rows); i++) {
        struct client *client;
        struct arena *a;
        struct status st;
        int status = 0;

        if (strcmp(rows[i].name, argv[1]))
            continue;
        if (read_admin_options(argc - 1, argv + 1, &o) != 0)
            return EX_USAGE;
        a = arena_new(0);
        st_init(&st, a);
        if (client_open(a, &client, &st) < 0 || rows[i].run(a, client, &o, &st) < 0) {
            client_print_error("admin", &st);
            status = exit_status(&st);
        }
        arena_free(&a);
        return status;
    }
    fprintf(stderr, "usage: membrane admin " AUTH_COMMAND_ADMIN_ARGUMENTS "\n");
    return EX_USAGE;
}
