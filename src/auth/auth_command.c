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
#include "config/config_client.h"
#include "crypto/crypto_jws.h"
#include "http/http_client.h"
#include "value/value.h"

static void load_client(struct config_client *c) {
    config_client_load((const char *const *)environ, c);
}

static int not_set(const char *command, const char *name) {
    fprintf(stderr, "membrane %s: %s is not set\n", command, name);
    return EX_CONFIG;
}

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

static int print_token(struct arena *a, const struct config_client *client,
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
               (struct bytes){client->workspace_secret, strlen(client->workspace_secret)},
               value_obj(a, "iss", value_string(a, client->workspace_key), "id",
                         o->customer ? value_string(a, o->customer) : NULL, "name",
                         o->name ? value_string(a, o->name) : NULL, "fields", fields,
                         "isAdmin", o->is_admin ? &value_true : NULL, "isTest",
                         o->is_test ? &value_true : NULL, "exp", value_number(a, exp),
                         NULL)));
    return fflush(stdout) ? EX_IOERR : 0;
}

int auth_command_token(int argc, char **argv) {
    struct token_options o = {.ttl_s = 3600};
    struct config_client client;
    struct arena *a;
    int status = read_token_options(argc, argv, &o);

    if (status)
        return status;
    load_client(&client);
    if (!client.workspace_key)
        return not_set("token", "MEMBRANE_WORKSPACE_KEY");
    if (!client.workspace_secret)
        return not_set("token", "MEMBRANE_WORKSPACE_SECRET");
    a = arena_new(0);
    status = print_token(a, &client, &o);
    arena_free(&a);
    return status;
}

/* ---- membrane admin ---- */

/* One call; 0 with the answer's body, or an exit status after a message. */
static int call(struct arena *a, const struct config_client *client, const char *method,
                const char *path, const struct value *body,
                const struct value **ret_answer) {
    size_t len = strlen(client->api_uri);
    struct http_header headers[] = {
        {"Authorization", arena_printf(a, "Bearer %s", client->access_token)},
        {"Content-Type", "application/json"},
        {"membrane-api-version", "2025-10-21"}};
    struct http_call call = {
        .method = method,
        .url = arena_printf(a, "%.*s%s",
                            (int)(len && client->api_uri[len - 1] == '/' ? len - 1 : len),
                            client->api_uri, path),
        .headers = headers,
        .headers_len = 3,
        .reach = HTTP_REACH_ANY,
        .timeout_ms = 30000};
    struct http_client_options options = {.user_agent = "membrane/" MEMBRANE_VERSION};
    struct http_client *http;
    struct http_answer answer;
    struct status st;
    int rc;

    st_init(&st, a);
    if (body)
        call.body = value_encode_arena(a, body, VALUE_ENCODE_COMPACT);
    if (http_client_open(&options, &http, &st) < 0) {
        fprintf(stderr, "membrane admin: %s\n", st.message);
        return EX_SOFTWARE;
    }
    rc = http_client_call(http, a, &call, &answer, &st);
    http_client_close(&http);
    if (rc < 0) {
        fprintf(stderr, "membrane admin: %s: %s\n", client->api_uri, st.message);
        return EX_TEMPFAIL;
    }
    if (value_parse(a, answer.body.data, answer.body.len, NULL, ret_answer, &st) < 0)
        *ret_answer = &value_undefined;
    if (answer.status < 200 || answer.status > 299) {
        fprintf(stderr, "membrane admin: %s (HTTP %d)\n",
                value_get_string(*ret_answer, "message", "the server refused"),
                answer.status);
        return answer.status == 503 ? EX_TEMPFAIL : EX_SOFTWARE;
    }
    return 0;
}

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

static int create_user(struct arena *a, const struct config_client *client,
                       const struct admin_options *o) {
    const struct value *answer;
    int status;

    if (!o->email || (o->workspace && !o->org)) {
        fprintf(stderr, "membrane admin create-user: --email is needed, and --org with "
                        "--workspace\n");
        return EX_USAGE;
    }
    status = call(a, client, "POST", "/admin/users",
                  value_obj(a, "email", text(a, o->email), "name", text(a, o->name),
                            "org", text(a, o->org), "workspace", text(a, o->workspace),
                            "role", text(a, o->role), "isAdmin",
                            o->is_admin ? &value_true : NULL, NULL),
                  &answer);
    if (status == 0)
        printf("%s\n", value_get_string(answer, "signInUri", ""));
    return status;
}

static int sign_in_link(struct arena *a, const struct config_client *client,
                        const struct admin_options *o) {
    const struct value *answer;
    int status;

    if (!o->email) {
        fprintf(stderr, "membrane admin link: --email is needed\n");
        return EX_USAGE;
    }
    status = call(a, client, "POST", "/admin/users/link",
                  value_obj(a, "email", text(a, o->email), NULL), &answer);
    if (status == 0)
        printf("%s\n", value_get_string(answer, "signInUri", ""));
    return status;
}

static const char *query_escape(struct arena *a, const char *s) {
    char *out = arena_alloc(a, 3 * strlen(s) + 1), *p = out;

    for (; *s; s++)
        p += sprintf(p, "%%%02X", (unsigned char)*s);
    *p = '\0';
    return out;
}

static int users(struct arena *a, const struct config_client *client,
                 const struct admin_options *o) {
    const char *cursor = "0";

    while (cursor) {
        const char *path = arena_printf(
            a, "/admin/users?limit=1000&cursor=%s%s%s", query_escape(a, cursor),
            o->search ? "&search=" : "", o->search ? query_escape(a, o->search) : "");
        const struct value *answer;
        int status = call(a, client, "GET", path, NULL, &answer);

        if (status)
            return status;
        for (VALUE_EACH_ITEM(u, value_get(answer, "items")))
            printf("%s\t%s\t%s\t%s\n", value_get_string(u, "id", ""),
                   value_get_string(u, "email", ""), value_get_string(u, "name", ""),
                   value_get_bool(u, "isAdmin", false)         ? "platform-admin"
                   : value_get_bool(u, "emailVerified", false) ? "confirmed"
                                                               : "unconfirmed");
        cursor = value_get_string(answer, "cursor", NULL);
    }
    return 0;
}

int auth_command_admin(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(struct arena *, const struct config_client *,
                   const struct admin_options *);
    } rows[] = {{"create-user", create_user}, {"link", sign_in_link}, {"users", users}};
    struct admin_options o = {0};
    struct config_client client;

    for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(*rows); i++) {
        struct arena *a;
        int status;

        if (strcmp(rows[i].name, argv[1]))
            continue;
        if ((status = read_admin_options(argc - 1, argv + 1, &o)) != 0)
            return status;
        load_client(&client);
        if (!client.api_uri)
            return not_set("admin", "MEMBRANE_API_URI");
        if (!client.access_token)
            return not_set("admin", "MEMBRANE_ACCESS_TOKEN");
        a = arena_new(0);
        status = rows[i].run(a, &client, &o);
        arena_free(&a);
        return status;
    }
    fprintf(stderr, "usage: membrane admin " AUTH_COMMAND_ADMIN_ARGUMENTS "\n");
    return EX_USAGE;
}
