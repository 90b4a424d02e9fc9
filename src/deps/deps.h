/*
 * deps.h - what a process opened at start and passes down: never global.
 */
#ifndef DEPS_DEPS_H
#define DEPS_DEPS_H

struct auth;
struct blob;
struct clock;
struct config;
struct coord;
struct crypto_sealer;
struct http_client;
struct journal;
struct metrics;
struct model_cache;
struct queue;
struct rand;
struct redis;
struct runner;
struct runner_slots;
struct store;

struct connector_cache;
struct connection_events;

struct deps {
    const struct config *config;
    struct store *store;
    struct blob *blob;
    struct http_client *http;     /* outgoing calls */
    struct auth *auth;            /* verified tokens, workspaces and their keys */
    struct crypto_sealer *sealer; /* encryption at rest */
    struct clock *clock;          /* tests own time */
    struct rand *rand;
    struct metrics *metrics;
    struct redis *redis;     /* shared by the processes; or NULL: this one is alone */
    struct journal *journal; /* run and API logs on their way to the store */
    struct connector_cache *connectors; /* parsed connectors by (id, version, revision) */
    struct runner *runner;              /* in the service code-runner only */
    struct runner_slots *runner_slots;  /* jobs under way, by whose they are */
    struct coord *coord; /* locks, counters and messages between processes */
    struct connection_events *connection_events; /* results of connecting, for streams */
    struct queue *queue;                         /* tasks for the workers */
    struct model_cache *model_cache;             /* encoded answers of reads; or NULL */
};

#endif
