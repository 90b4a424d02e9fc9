/*
 * A thousand tasks through Redis while it is flushed, cut off, held up, restarted, or
 * loses a node: every one ends, none is run twice at once, none stays. operations.md 4,
 * S49.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "queue/queue.h"
#include "redis/redis.h"
#include "redis_peer.h"
#include "store/store.h"
#include "value/value.h"

enum { TASKS = 1000, CONNECTIONS = 8, PROCESSES = 2 };

static struct redis_peer *peer;
static struct redis_proxy *proxy;
static struct config config;
static struct deps deps[PROCESSES];
static struct queue *queues[PROCESSES];
static struct queue_workers *workers[PROCESSES];
static struct arena *a;
static struct status st;
static atomic_int runs[TASKS], running[CONNECTIONS], finished, overlaps;

/* Two at once on a connection would be a broken promise. */
static enum queue_result count_run(struct queue_run *r, struct status *why) {
    int i = (int)value_get_number(r->payload, "i", 0), c = i % CONNECTIONS;

    (void)why;
    if (i % 2 && atomic_fetch_add(&running[c], 1) > 0)
        atomic_fetch_add(&overlaps, 1);
    atomic_fetch_add(&runs[i], 1);
    if (i % 2)
        usleep(300); /* work that another one on the connection could overlap with */
    if (i % 2)
        atomic_fetch_sub(&running[c], 1);
    atomic_fetch_add(&finished, 1);
    return QUEUE_DONE;
}

static const struct queue_kind kinds[] = {
    {.name = "plain",
     .queue = QUEUE_INSTANT,
     .run = count_run,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_COUNT},
    {.name = "flow",
     .queue = QUEUE_QUEUED,
     .run = count_run,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION},
};

/* Two processes: each with a client, a queue and workers of its own, on one store. */
static void start(const char *uri, const char *const *seeds, size_t seeds_len) {
    struct store *store = store_open_memory();

    a = arena_new(0);
    st_init(&st, a);
    for (int i = 0; i < TASKS; i++)
        atomic_store(&runs[i], 0);
    for (int i = 0; i < CONNECTIONS; i++)
        atomic_store(&running[i], 0);
    atomic_store(&finished, 0);
    atomic_store(&overlaps, 0);
    config = (struct config){.max_queued_tasks_process_time_seconds = 3000,
                             .max_queued_tasks_memory_mb = 64};
    config.limit[LIMIT_PARALLEL_FLOW_RUNS_PER_CONNECTION] = 1;
    for (int i = 0; i < PROCESSES; i++) {
        deps[i] = (struct deps){.config = &config,
                                .clock = clock_system(),
                                .rand = rand_system(),
                                .store = store};
        assert_int_equal(redis_open(&(struct redis_options){.uri = uri,
                                                            .cluster_uris = seeds,
                                                            .cluster_uris_len = seeds_len,
                                                            .timeout_ms = 1000,
                                                            .patience_ms = 300},
                                    &deps[i].redis, &st),
                         0);
        queues[i] = queue_open(
            &(struct queue_options){.deps = &deps[i],
                                    .kinds = kinds,
                                    .kinds_len = sizeof(kinds) / sizeof(*kinds),
                                    .lease_ms = 30000,
                                    .shared = true});
    }
    for (int i = 0; i < PROCESSES; i++)
        workers[i] = queue_workers_start(
            queues[i],
            &(struct queue_workers_options){
                .queues = 1u << QUEUE_INSTANT | 1u << QUEUE_QUEUED, .threads = 2});
}

static void stop(void) {
    for (int i = 0; i < PROCESSES; i++)
        queue_workers_stop(workers[i]);
    for (int i = 0; i < PROCESSES; i++)
        assert_true(queue_workers_join(&workers[i]));
    for (int i = 0; i < PROCESSES; i++) {
        queue_close(&queues[i]);
        redis_close(&deps[i].redis);
    }
    store_close(&deps[0].store);
    arena_free(&a);
}

static void put(int i) {
    if (queue_put(queues[i % PROCESSES],
                  &(struct queue_task){
                      .kind = i % 2 ? "flow" : "plain",
                      .workspace_id = i % 3 ? "w1" : "w2",
                      .connection_id = arena_printf(a, "c%d", i % CONNECTIONS),
                      .payload = value_obj(a, "i", value_number(a, i), NULL),
                  },
                  &st) != 0)
        fail_msg("%s", st.message);
}

static bool is_empty(void) {
    uint64_t n = 1;

    return store_count(deps[0].store, C_TASKS, NULL, &n, &st) == 0 && n == 0;
}

static void all_end_once(void) {
    REDIS_AWAIT(atomic_load(&finished) >= TASKS && is_empty());
    assert_int_equal(atomic_load(&finished), TASKS);
    assert_int_equal(atomic_load(&overlaps), 0);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(atomic_load(&runs[i]), 1);
}

static void say(const char *command) {
    char answer[64];

    redis_peer_say(peer, 0, command, answer, sizeof(answer));
    assert_memory_equal(answer, "+OK", 3);
}

static void a_flush_in_the_middle_loses_nothing(void **state) {
    (void)state;
    start(redis_peer_uri(peer, 0), NULL, 0);
    for (int i = 0; i < TASKS; i++) {
        put(i);
        if (i == TASKS / 3)
            say("FLUSHALL");
    }
    say("FLUSHALL");
    REDIS_AWAIT(atomic_load(&finished) >= TASKS / 2);
    say("FLUSHALL");
    all_end_once();
    stop();
}

static void a_restart_in_the_middle_loses_nothing(void **state) {
    (void)state;
    start(redis_peer_uri(peer, 0), NULL, 0);
    for (int i = 0; i < TASKS / 2; i++)
        put(i);
    redis_peer_kill(peer, 0);
    for (int i = TASKS / 2; i < TASKS; i++)
        put(i); /* accepted all the same: the store has them */
    redis_peer_start(peer, 0);
    all_end_once();
    stop();
}

static void faults_of_the_network_lose_nothing(void **state) {
    static const enum redis_fault faults[] = {REDIS_FAULT_CUT, REDIS_FAULT_HANG,
                                              REDIS_FAULT_MIDWAY};

    char uri[64];

    (void)state;
    proxy = redis_proxy_new(redis_peer_port(peer, 0));
    snprintf(uri, sizeof(uri), "redis://127.0.0.1:%d", redis_proxy_port(proxy));
    start(uri, NULL, 0);
    for (int i = 0; i < 3; i++) {
        for (int n = i * 300; n < (i + 1) * 300; n++)
            put(n);
        redis_proxy_set(proxy, faults[i]);
        put(900 + i);
        REDIS_AWAIT(!redis_is_up(deps[0].redis));
        redis_proxy_set(proxy, REDIS_FAULT_NONE);
    }
    for (int n = 903; n < TASKS; n++)
        put(n);
    all_end_once();
    stop();
    redis_proxy_free(&proxy);
}

static void a_cluster_that_loses_a_master_loses_nothing(void **state) {
    struct redis_peer *cluster = redis_peer_cluster();
    const char *seeds[] = {redis_peer_uri(cluster, 0), redis_peer_uri(cluster, 1)};

    (void)state;
    start(NULL, seeds, 2);
    for (int i = 0; i < TASKS / 2; i++)
        put(i);
    redis_peer_kill(cluster, 0);
    for (int i = TASKS / 2; i < TASKS; i++)
        put(i);
    all_end_once();
    stop();
    redis_peer_free(&cluster);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_in_the_middle_loses_nothing),
        cmocka_unit_test(a_restart_in_the_middle_loses_nothing),
        cmocka_unit_test(faults_of_the_network_lose_nothing),
        cmocka_unit_test(a_cluster_that_loses_a_master_loses_nothing),
    };
    int failed;

    peer = redis_peer_single();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    redis_peer_free(&peer);
    return failed;
}
