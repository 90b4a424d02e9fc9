/*
 * The life of a process. Signals are blocked before the first thread is made and taken by
 * the first thread with sigtimedwait(), so that a drain is straight-line code: each of
 * its waits ends early when a second signal says "now".
 */
#include "service.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "config/config.h"
#include "connection/connection.h"
#include "http/http_server.h"
#include "runner/runner.h"
#include "service_priv.h"

/* Code, its arguments and a grant; arguments may hold files. */
enum { MAX_JOB_BYTES = 64 * 1024 * 1024 };

/* What a role adds to its listener. Workers have no routes but health's. */
struct service_role {
    unsigned service;
    const char *name;
    void (*routes)(struct service_listener *l);
};

static void api_routes(struct service_listener *l) {
    service_api_routes(l->service->arena, l->router);
}

static void code_runner_routes(struct service_listener *l) {
    runner_routes(l->router);
}

static const struct service_role roles[] = {
    {SERVICE_API, "api", api_routes},
    {SERVICE_INSTANT_WORKER, "instant-worker", NULL},
    {SERVICE_QUEUED_WORKER, "queued-worker", NULL},
    {SERVICE_ORCHESTRATOR, "orchestrator", NULL},
    {SERVICE_UI, "ui", service_web_routes},
    {SERVICE_CONSOLE, "console", service_web_routes},
    {SERVICE_CODE_RUNNER, "code-runner", code_runner_routes},
};
enum { ROLES_LEN = sizeof(roles) / sizeof(*roles) };

const char *service_name(unsigned services) {
    for (size_t i = 0; i < ROLES_LEN; i++)
        if (roles[i].service & services)
            return roles[i].name;
    return "membrane";
}

/* ---- Start ---- */

static void setup_log(const struct config *c, const char *name) {
    bool json = c->log_format ? !strcmp(c->log_format, "json") : !isatty(STDERR_FILENO);

    log_setup(&(struct log_options){
        .level =
            c->debug_all ? LOG_DEBUG : (enum log_level)log_level_from_name(c->log_level),
        .json = json,
        .service = name,
    });
}

static void block_signals(struct service *s) {
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &s->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static struct service_listener *add_listener(struct service *s, unsigned services,
                                             int port) {
    struct service_listener *l = &s->listeners[s->listeners_len++];

    l->service = s;
    l->services = services;
    l->name = service_name(services);
    l->port = port;
    l->log = (struct log_ctx){.parent = &s->log, .service = l->name};
    l->router = http_router_new();
    return l;
}

static void plan_listeners(struct service *s) {
    const struct service_options *o = s->options;
    const struct config *c = o->config;
    unsigned rest = c->services;

    if (o->ui_port)
        rest &= ~(unsigned)SERVICE_UI;
    if (o->console_port)
        rest &= ~(unsigned)SERVICE_CONSOLE;
    if (rest)
        add_listener(s, rest, (int)c->port); /* who waits for a start asks here */
    if (o->ui_port)
        add_listener(s, SERVICE_UI, o->ui_port);
    if (o->console_port)
        add_listener(s, SERVICE_CONSOLE, o->console_port);
    for (size_t i = 0; i < s->listeners_len; i++) {
        struct service_listener *l = &s->listeners[i];

        service_health_routes(l);
        for (size_t r = 0; r < ROLES_LEN; r++)
            if ((roles[r].service & l->services) && roles[r].routes)
                roles[r].routes(l);
    }
    if (c->metrics_port) {
        struct service_listener *l = add_listener(s, c->services, (int)c->metrics_port);

        l->only_metrics = true;
        service_health_routes(l);
    }
}

/* 0 is "no limit" to the operator and "your default" to the server. */
static int timeout_ms(int64_t configured) {
    return configured ? (int)configured : 24 * 3600 * 1000;
}

static int start_listener(struct service_listener *l, struct status *st) {
    const struct config *c = l->service->deps.config;
    bool api = l->services & SERVICE_API;
    struct http_server_options o = {
        .max_body_bytes = l->services & SERVICE_CODE_RUNNER ? MAX_JOB_BYTES : 0,
        .host = c->host,
        .port = l->port,
        .router = l->router,
        .deps = &l->service->deps,
        .network_threads = api ? 2 : 1,
        .headers_timeout_ms = timeout_ms(c->headers_timeout_ms),
        .keepalive_timeout_ms = timeout_ms(c->keepalive_timeout_ms),
        .cors_allowed_origins = api ? c->cors_allowed_origins : NULL,
        .authenticate = auth_authenticate,
        .finished = service_finished,
        .ctx = l,
    };

    if (http_server_start(&o, &l->server, st) < 0)
        return st_context(st, "%s on port %d", l->name, l->port);
    log_info(&l->log, "listening", "host=%s port=%d", c->host,
             http_server_port(l->server));
    return 0;
}

/* Tells the supervisor, if there is one, what it passes on: one line. */
static void report_ready(struct service *s, const char *line) {
    int fd = s->options->ready_fd;

    atomic_store(&s->is_ready, true);
    log_info(&s->log, "ready", "version=%s mode=%s", MEMBRANE_VERSION,
             s->deps.config->node_env);
    if (fd < 0)
        return;
    if (dprintf(fd, "%s\n", line) < 0)
        log_warn(&s->log, "the supervisor does not listen");
    close(fd);
}

/* ---- End ---- */

/* Waits for a signal; 0 when none came within the time. */
static int wait_for_signal(const struct service *s, int64_t timeout_ms) {
    struct timespec t = {timeout_ms / 1000, (timeout_ms % 1000) * 1000000};
    int sig;

    do
        sig = timeout_ms < 0 ? sigwaitinfo(&s->signals, NULL)
                             : sigtimedwait(&s->signals, NULL, &t);
    while (sig < 0 && errno == EINTR);
    return sig < 0 ? 0 : sig;
}

/* A wait during the drain: a second signal ends the process at once. */
static void drain_wait(struct service *s, int64_t timeout_ms) {
    int sig = wait_for_signal(s, timeout_ms);

    if (!sig)
        return;
    log_warn(&s->log, "second signal: ending at once", "signal=%d", sig);
    _exit(128 + sig);
}

static unsigned in_flight(const struct service *s) {
    unsigned n = service_tasks_busy(s);

    for (size_t i = 0; i < s->listeners_len; i++)
        n += http_server_in_flight(s->listeners[i].server);
    return n;
}

static void drain(struct service *s) {
    const struct config *c = s->deps.config;
    int64_t grace = config_shutdown_grace_ms(c);
    int64_t end;

    atomic_store(&s->is_draining, true);
    for (size_t i = 0; i < s->listeners_len; i++)
        http_server_drain(s->listeners[i].server);
    service_stop_tasks(s);
    if (s->deps.connection_events)
        connection_events_close(s->deps.connection_events);
    drain_wait(s, c->shutdown_drain_delay_seconds * 1000);
    for (size_t i = 0; i < s->listeners_len; i++)
        http_server_stop_listening(s->listeners[i].server);
    end = clock_monotonic_ms(s->deps.clock) + grace;
    while (in_flight(s) && clock_monotonic_ms(s->deps.clock) < end)
        drain_wait(s, 10);
    if (!service_end_tasks(s) || in_flight(s)) {
        /* Their handlers still use what would be closed: leave that to the kernel. */
        log_warn(&s->log, "requests cut off", "inFlight=%u", in_flight(s));
        _exit(0);
    }
    for (size_t i = 0; i < s->listeners_len; i++)
        http_server_stop(&s->listeners[i].server, 500);
}

static void stop_listeners(struct service *s) {
    for (size_t i = 0; i < s->listeners_len; i++)
        if (s->listeners[i].server)
            http_server_stop(&s->listeners[i].server, 0);
}

/* ---- The order of it all ---- */

static int serve(struct service *s, struct status *st) {
    int status = EX_TEMPFAIL, sig;

    if (service_open(s, &status, st) < 0)
        return status;
    for (size_t i = 0; i < s->listeners_len; i++)
        if (start_listener(&s->listeners[i], st) < 0)
            return EX_TEMPFAIL;
    service_start_tasks(s);
    report_ready(s, s->ready_line);
    sig = wait_for_signal(s, -1);
    log_info(&s->log, "stopping", "signal=%d", sig);
    drain(s);
    log_info(&s->log, "stopped");
    return 0;
}

int service_run(const struct service_options *o) {
    struct arena *a = arena_new(0);
    struct service *s = arena_zalloc(a, sizeof(*s));
    struct status st;
    int status;

    st_init(&st, a);
    s->options = o;
    s->arena = a;
    s->deps = (struct deps){
        .config = o->config, .clock = clock_system(), .rand = rand_system()};
    s->ready_line = "{}";
    s->log = (struct log_ctx){.service = service_name(o->config->services)};
    setup_log(o->config, s->log.service);
    block_signals(s);
    s->deps.metrics = metrics_new();
    service_register_metrics(s);
    plan_listeners(s);
    status = serve(s, &st);
    if (status)
        log_error(&s->log, "can't start", "type=%s key=%s err=%s", st_type_name(st.type),
                  st.key, st.message);
    stop_listeners(s);
    for (size_t i = 0; i < s->listeners_len; i++)
        http_router_free(&s->listeners[i].router);
    service_close(s);
    metrics_free(&s->deps.metrics);
    arena_free(&a);
    return status;
}
