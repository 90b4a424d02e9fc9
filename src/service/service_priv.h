/*
 * service_priv.h - one process while it lives; shared by the files of service/.
 */
#ifndef SERVICE_SERVICE_PRIV_H
#define SERVICE_SERVICE_PRIV_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "deps/deps.h"
#include "service.h"

struct arena;
struct http_router;
struct http_server;
struct metric;
struct orchestrator;
struct queue_workers;
struct status;

#define SERVICE_MAX_LISTENERS 4

/* One port: several roles may share it. */
struct service_listener {
    struct service *service;
    const char *name; /* "api", "ui", ... as health answers and logs say it */
    unsigned services;
    int port;
    bool only_metrics;
    struct log_ctx log;
    struct http_router *router;
    struct http_server *server;
};

struct service {
    const struct service_options *options;
    struct arena *arena; /* lives as long as the process */
    struct deps deps;
    struct log_ctx log;
    const char *ready_line; /* what a supervisor is told */
    struct service_listener listeners[SERVICE_MAX_LISTENERS];
    size_t listeners_len;
    atomic_bool is_ready, is_draining;
    struct metric *requests, *durations;
    struct queue_workers *workers;     /* of worker roles; or NULL */
    struct orchestrator *orchestrator; /* of the orchestrator's role; or NULL */
    int64_t schedules_followed_ms;     /* by the orchestrator's pulse only */
    sigset_t signals; /* blocked in all threads; waited for in the first */
};

/* The words of health answers and logs: the first role of the set. */
const char *service_name(unsigned services);

/* Nobody else writes the store: it may be cached, and its unfinished work is ours. */
bool service_owns_store(const struct service *s);
/* service_open.c: what the roles need. -1 with ret_exit the status to end with. */
int service_open(struct service *s, int *ret_exit, struct status *st);
void service_close(struct service *s);
/* Its parts, for commands that need one of them: each fills its member of s->deps. */
int service_make_dir(const char *path, struct status *st);
int service_open_store(struct service *s, struct status *st);
int service_open_http(struct service *s, struct status *st);
/* Generated secrets of 32 characters, kept in the data directory in one file, "secrets",
 * mode 0600. */
struct service_secrets {
    const char *secret, *encryption_secret;
};
int service_secrets(struct arena *a, const char *data_dir, struct service_secrets *ret,
                    struct status *st);

/* service_redis.c: opens Redis when it is configured, and waits for it. */
int service_open_redis(struct service *s, int *ret_exit, struct status *st);

/* service_bootstrap.c: makes the first administrator, organisation and workspace where
 * they are missing; ret_line: what `up` tells about them, JSON on one line. */
int service_bootstrap(struct service *s, const char **ret_line, struct status *st);

/* service_health.c: health, readiness, metrics. */
void service_health_routes(struct service_listener *l);
void service_register_metrics(struct service *s);
/* The `finished` hook of a listener: access log and request metrics. */
struct request;
void service_finished(void *listener, const struct request *rq, int status,
                      int64_t duration_us, size_t bytes_out);

/* service_tasks.c: workers and orchestrator. */
void service_open_queue(struct service *s);
void service_start_tasks(struct service *s);
/* Nothing new begins; what runs is told to end, the leader resigns. */
void service_stop_tasks(struct service *s);
unsigned service_tasks_busy(const struct service *s);
/* False: handlers still run, their tasks went back, nothing they use may be closed. */
bool service_end_tasks(struct service *s);

/* service_web.c: the pages of UI and console. */
void service_web_routes(struct service_listener *l);

/* service_openapi.c: /openapi.json of all rows of the router; the rows live in `a`. */
void service_openapi_routes(struct arena *a, struct http_router *r);

/* http_routes.c: every route of the API. Rows that are made live in `a`. */
void service_api_routes(struct arena *a, struct http_router *r);

#endif
