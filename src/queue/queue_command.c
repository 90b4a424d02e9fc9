/*
 * queue_command.c - `membrane admin queues`, over the API.
 */
#include "queue_command.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/arena.h"
#include "base/status.h"
#include "client/client.h"
#include "queue.h"
#include "value/value.h"

enum { DRAIN_TIMEOUT_S = 300 };

struct options {
    struct arena *a;
    struct client *client;
    const char *queue; /* or NULL */
    char *const *ids;
    int ids_len;
    bool json, all;
    long timeout_s;
};

static int usage(struct status *st, const char *text) {
    return st_fail(st, ST_BAD_REQUEST, "usage", "%s", text);
}

static int call(const struct options *o, const char *method, const char *path,
                const struct value *body, const struct value **ret, struct status *st) {
    const struct value *ignored;

    return client_call(o->client, method, path, body, ret ? ret : &ignored, st);
}

static const char *queue_path(const struct options *o, const char *rest) {
    return arena_printf(o->a, "/admin/queues/%s%s", o->queue, rest);
}

static void print_json(const struct options *o, const struct value *v) {
    struct bytes text = value_encode_arena(o->a, v, VALUE_ENCODE_COMPACT);

    printf("%.*s\n", (int)text.len, text.data);
}

/* ---- list ---- */

static int list_queues(const struct options *o, struct status *st) {
    const struct value *answer;

    if (call(o, "GET", "/admin/queues", NULL, &answer, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(q, value_get(answer, "items"))) {
        if (o->json) {
            print_json(o, q);
            continue;
        }
        printf("%s\twaiting %.0f\trunning %.0f\tgiven up %.0f\toldest %.0f s%s\n",
               value_get_string(q, "name", ""), value_get_number(q, "waiting", 0),
               value_get_number(q, "active", 0), value_get_number(q, "dead", 0),
               value_get_number(q, "oldestAgeSeconds", 0),
               value_get_bool(q, "paused", false) ? "\tpaused" : "");
    }
    return 0;
}

static void print_dead(const struct options *o, const struct value *t) {
    const struct value *error = value_get(t, "lastError");
    char died[32];

    if (o->json) {
        print_json(o, t);
        return;
    }
    value_format_date(value_get_number(t, "diedMs", 0), died);
    printf("%s\t%s\tattempts %.0f\tcrashes %.0f\t%s\t%s\t%s\t%s: %s\n",
           value_get_string(t, "id", ""), value_get_string(t, "kind", ""),
           value_get_number(t, "attempt", 0), value_get_number(t, "crashes", 0),
           value_get_string(t, "workspaceId", "-"),
           value_get_string(t, "connectionId", "-"), died,
           value_get_string(error, "key", value_get_string(error, "type", "")),
           value_get_string(error, "message", ""));
}

/* Calls fn for everything that was given up in the queue. */
static int each_dead(const struct options *o,
                     int (*fn)(const struct options *, const struct value *,
                               struct status *),
                     struct status *st) {
    const char *cursor = NULL;

    do {
        const struct value *answer;
        const char *path =
            queue_path(o, arena_printf(o->a, "/dead?limit=1000%s%s",
                                       cursor ? "&cursor=" : "", cursor ? cursor : ""));

        if (call(o, "GET", path, NULL, &answer, st) < 0)
            return -1;
        for (VALUE_EACH_ITEM(t, value_get(answer, "items")))
            if (fn(o, t, st) < 0)
                return -1;
        cursor = value_get(answer, "items")->len == 1000
                     ? value_get_string(answer, "cursor", NULL)
                     : NULL;
    } while (cursor);
    return 0;
}

static int show_dead(const struct options *o, const struct value *t, struct status *st) {
    (void)st;
    print_dead(o, t);
    return 0;
}

static int list(const struct options *o, struct status *st) {
    return o->queue ? each_dead(o, show_dead, st) : list_queues(o, st);
}

/* ---- pause, resume, drain ---- */

static int set_paused(const struct options *o, bool paused, struct status *st) {
    return call(o, "PATCH", queue_path(o, ""),
                value_obj(o->a, "paused", value_bool(paused), NULL), NULL, st);
}

static int pause_queue(const struct options *o, struct status *st) {
    return set_paused(o, true, st);
}

static int resume(const struct options *o, struct status *st) {
    return set_paused(o, false, st);
}

static int running(const struct options *o, double *ret, struct status *st) {
    const struct value *answer;

    if (call(o, "GET", "/admin/queues", NULL, &answer, st) < 0)
        return -1;
    for (VALUE_EACH_ITEM(q, value_get(answer, "items")))
        if (value_equals_text(value_get(q, "name"), o->queue))
            *ret = value_get_number(q, "active", 0);
    return 0;
}

/* Paused queues are known everywhere within 5 s, and figures are as old at most: what
 * counts is that nothing runs for twice as long. */
static int drain(const struct options *o, struct status *st) {
    const struct timespec second = {1, 0};
    int quiet = 0;
    double n = 0;

    if (set_paused(o, true, st) < 0)
        return -1;
    for (long i = 0; i < o->timeout_s && quiet < 11; i++) {
        if (running(o, &n, st) < 0)
            return -1;
        quiet = n == 0 ? quiet + 1 : 0;
        nanosleep(&second, NULL);
    }
    if (quiet < 11)
        return st_fail(st, ST_INTERNAL, NULL,
                       "%.0f tasks of the queue still run; it is paused", n);
    printf("nothing runs in %s; it is paused\n", o->queue);
    return 0;
}

/* ---- retry, purge ---- */

static int retry_id(const struct options *o, const char *id, struct status *st) {
    if (call(o, "POST", queue_path(o, arena_printf(o->a, "/dead/%s", id)), NULL, NULL,
             st) < 0)
        return st_context(st, "%s", id);
    printf("%s\n", id);
    return 0;
}

static int retry_dead(const struct options *o, const struct value *t, struct status *st) {
    return retry_id(o, value_get_string(t, "id", ""), st);
}

static int retry(const struct options *o, struct status *st) {
    if (o->all == (o->ids_len > 0))
        return usage(st, "retry takes ids, or --all");
    if (o->all)
        return each_dead(o, retry_dead, st);
    for (int i = 0; i < o->ids_len; i++)
        if (strspn(o->ids[i], "0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:@") != strlen(o->ids[i]))
            return usage(st, "retry: that is no id");
    for (int i = 0; i < o->ids_len; i++)
        if (retry_id(o, o->ids[i], st) < 0)
            return -1;
    return 0;
}

static int purge(const struct options *o, struct status *st) {
    const struct value *answer;

    if (call(o, "DELETE", queue_path(o, "/dead"), NULL, &answer, st) < 0)
        return -1;
    printf("%.0f deleted\n", value_get_number(answer, "deleted", 0));
    return 0;
}

/* ---- The command ---- */

static const struct {
    const char *name;
    int (*run)(const struct options *, struct status *);
    bool needs_queue, takes_ids;
} rows[] = {
    {"list", list, false, false},    {"pause", pause_queue, true, false},
    {"resume", resume, true, false}, {"drain", drain, true, false},
    {"retry", retry, true, true},    {"purge", purge, true, false},
};

static int read_options(int argc, char **argv, struct options *o) {
    int places = 0;
    char *end;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            o->json = true;
        else if (!strcmp(argv[i], "--all"))
            o->all = true;
        else if (!strcmp(argv[i], "--timeout") && i + 1 < argc) {
            o->timeout_s = strtol(argv[++i], &end, 10);
            if (*end || o->timeout_s < 1)
                return -1;
        } else if (argv[i][0] == '-')
            return -1;
        else
            argv[places++] = argv[i];
    }
    o->queue = places ? argv[0] : NULL;
    o->ids = argv + 1;
    o->ids_len = places > 1 ? places - 1 : 0;
    return o->queue && queue_from_name(o->queue) < 0 ? -1 : 0;
}

static int run(size_t row, struct options *o) {
    struct status st;
    int status = 0;

    o->a = arena_new(0);
    st_init(&st, o->a);
    if (client_open(o->a, &o->client, &st) < 0 || rows[row].run(o, &st) < 0) {
        client_print_error("admin queues", &st);
        status = st.key && !strcmp(st.key, "usage") ? EX_USAGE
                 : st.type == ST_CONFIGURATION      ? EX_CONFIG
                 : st.type == ST_CONNECTION         ? EX_TEMPFAIL
                                                    : EX_SOFTWARE;
    }
    arena_free(&o->a);
    return status;
}

int queue_command_admin(int argc, char **argv) {
    struct options o = {.timeout_s = DRAIN_TIMEOUT_S};

    for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(*rows); i++) {
        if (strcmp(rows[i].name, argv[1]) != 0)
            continue;
        if (read_options(argc - 2, argv + 2, &o) < 0 ||
            (rows[i].needs_queue && !o.queue) || (o.ids_len && !rows[i].takes_ids))
            break;
        return run(i, &o);
    }
    fprintf(stderr, "usage: membrane admin " QUEUE_COMMAND_ARGUMENTS "\n"
                    "QUEUE is instant or queued.\n");
    return EX_USAGE;
}
