/*
 * Orchestrator processes on one SQLite file: the leader is killed by SIGKILL again and
 * again while schedules come due. Each tick starts one run, none is lost, whoever leads
 * (S87-S91). A process is this program again.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "flow/flow_schedule.h"
#include "flow/flow_task.h"
#include "orchestrator/orchestrator.h"
#include "queue/queue.h"
#include "store/store.h"
#include "value/value.h"

enum { SCHEDULES = 300, EVERY_MS = 20, LEASE_MS = 900, KILLS = 5 };

static char made_dir[] = "/tmp/schedule-crash-XXXXXX";
static const char *dir = made_dir, *program;
static struct config config = {.task_lease_seconds = 30};
static struct deps deps;

static const struct queue_kind kinds[] = {
    {.name = FLOW_TASK_RUN,
     .queue = QUEUE_QUEUED,
     .run = flow_task_run,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_COUNT},
};

static void open_deps(void) {
    struct arena *a = arena_new(0);
    char path[512];
    struct status st;

    snprintf(path, sizeof(path), "%s/store.db", dir);
    deps =
        (struct deps){.config = &config, .clock = clock_system(), .rand = rand_system()};
    for (int i = 0; i < 600 && !deps.store; i++) {
        st_init(&st, a);
        if (store_open_sqlite(path, &deps.store, &st) < 0)
            usleep(50000);
    }
    if (!deps.store) {
        fprintf(stderr, "%s\n", st.message);
        abort();
    }
    deps.queue = queue_open(&(struct queue_options){
        .deps = &deps, .kinds = kinds, .kinds_len = 1, .shared = true, .elsewhere = ~0u});
    arena_free(&a);
}

/* ---- A process ---- */

static int64_t pulse(void *ctx, const struct deps *d, struct arena *a,
                     struct status *st) {
    int64_t next;

    (void)ctx;
    if (flow_schedule_run_due(d, a, &next, st) < 0)
        return 0;
    return next ? next - clock_now_ms(d->clock) : 1000;
}

/* Tells the test that it leads: it is the one to be killed. */
static void leads(void *ctx, bool on, int64_t fence) {
    (void)ctx, (void)fence;
    if (on && write(STDOUT_FILENO, "L", 1) != 1)
        abort();
}

static void be_orchestrator(void) {
    open_deps();
    orchestrator_start(orchestrator_open(&(struct orchestrator_options){
        .deps = &deps, .life_ms = LEASE_MS, .leads = leads, .pulse = pulse}));
    for (;;)
        pause();
}

struct process {
    pid_t pid;
    int out;
};

static struct process start(void) {
    extern char **environ;
    char *const argv[] = {(char *)program, "orchestrator", (char *)dir, NULL};
    posix_spawn_file_actions_t actions;
    struct process p;
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    assert_int_equal(posix_spawn(&p.pid, program, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    p.out = ends[0];
    return p;
}

static void end(struct process *p) {
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    close(p->out);
}

/* Waits until one of the two leads; gives which. */
static int leader(const struct process *p) {
    struct pollfd fds[] = {{p[0].out, POLLIN, 0}, {p[1].out, POLLIN, 0}};

    assert_true(poll(fds, 2, 60000) > 0);
    return fds[0].revents ? 0 : 1;
}

/* ---- The test ---- */

static const struct value *text(struct arena *a, const char *s) {
    return value_string(a, s);
}

static void make_schedules(struct arena *a, int64_t first_ms) {
    const struct value *flow = value_obj(
        a, "id", text(a, "f"), "workspaceId", text(a, "w"), "connectionId", text(a, "c"),
        "enabled", &value_true, "nodes",
        value_obj(a, "start", value_obj(a, "type", text(a, "schedule-trigger"), NULL),
                  NULL),
        NULL);
    struct array_builder b;
    struct status st;

    st_init(&st, a);
    assert_int_equal(store_insert(deps.store, C_FLOWS, flow, &st), 0);
    assert_int_equal(store_insert(deps.store, C_WORKSPACES,
                                  value_obj(a, "id", text(a, "w"), NULL), &st),
                     0);
    array_begin(&b, a, SCHEDULES);
    for (int i = 0; i < SCHEDULES; i++)
        array_push(
            &b,
            value_obj(a, "id", value_stringf(a, "s%d", i), "workspaceId", text(a, "w"),
                      "flowId", text(a, "f"), "nodeKey", text(a, "start"), "spec",
                      value_obj(a, "intervalMinutes", value_number(a, 60), NULL),
                      "anchorMs", value_number(a, (double)(first_ms + i * EVERY_MS)),
                      "dueMs", value_number(a, (double)(first_ms + i * EVERY_MS)), NULL));
    assert_int_equal(store_insert_many(deps.store, C_SCHEDULES, array_end(&b), &st), 0);
}

static uint64_t count(enum collection c) {
    struct arena *a = arena_new(0);
    struct status st;
    uint64_t n;

    st_init(&st, a);
    assert_int_equal(store_count(deps.store, c, NULL, &n, &st), 0);
    arena_free(&a);
    return n;
}

/* How many have not ticked: advancing the schedule is a tick's last step. */
static uint64_t count_due(void) {
    struct arena *a = arena_new(0);
    struct status st;
    uint64_t n;

    st_init(&st, a);
    assert_int_equal(store_count(deps.store, C_SCHEDULES,
                                 store_cmp(a, STORE_ABSENT, "lastRunId", NULL), &n, &st),
                     0);
    arena_free(&a);
    return n;
}

/* Every schedule's run is there, under the id that its document names. */
static void check_schedules(struct arena *a) {
    const struct store_query all = {.limit = 1000};
    struct store_page page;
    struct status st;

    st_init(&st, a);
    assert_int_equal(store_list(deps.store, a, C_SCHEDULES, &all, &page, &st), 0);
    assert_int_equal(page.items->len, SCHEDULES);
    for (VALUE_EACH_ITEM(s, page.items)) {
        const char *id = value_get_string(s, "lastRunId", "none");
        const struct value *found;

        assert_int_equal(store_get(deps.store, a, C_FLOW_RUNS, id, &found, &st), 0);
        assert_int_equal(store_get(deps.store, a, C_TASKS, id, &found, &st), 0);
    }
}

static void each_tick_starts_one_run_whoever_is_killed(void **state) {
    struct arena *a = arena_new(0);
    struct process p[2];

    (void)state;
    open_deps();
    make_schedules(a, clock_now_ms(deps.clock) + 500);
    for (int i = 0; i < 2; i++)
        p[i] = start();
    for (int i = 0; i < KILLS; i++) {
        int at = leader(p);

        usleep(300000); /* into its work; the test does not depend on how far */
        end(&p[at]);
        p[at] = start();
    }
    for (int i = 0; i < 1600 && count_due(); i++)
        usleep(50000);
    for (int i = 0; i < 2; i++)
        end(&p[i]);
    assert_int_equal(count(C_FLOW_RUNS), SCHEDULES);
    assert_int_equal(count(C_TASKS), SCHEDULES);
    check_schedules(a);
    queue_close(&deps.queue);
    store_close(&deps.store);
    arena_free(&a);
}

static int setup(void **state) {
    (void)state;
    return mkdtemp(made_dir) ? 0 : -1;
}

static int teardown(void **state) {
    char command[600];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_tick_starts_one_run_whoever_is_killed, setup,
                                        teardown),
    };

    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "orchestrator") == 0) {
        dir = argv[2];
        be_orchestrator(); /* until it is killed */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
