/*
 * Worker processes on one SQLite file are killed at random while 2,000 tasks run: each
 * task ends as its kind promises, none is lost, none stays stuck.
 *
 * Every run of a task leaves the files "<task>.begun.<pid>" before and
 * "<task>.ended.<pid>" after its work. A worker is this program again, not a bare fork:
 * the test's own process has threads. The store exists before the first worker starts.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "queue/queue.h"
#include "store/store.h"
#include "value/value.h"

enum { TASKS = 2000, WORKERS = 3, KILLS = 25, LEASE_MS = 1000 };

static char made_dir[] = "/tmp/queue-crash-XXXXXX";
static const char *dir = made_dir, *program;

static void leave(const char *name, const struct queue_run *r, const char *what) {
    char path[512];
    int fd;

    snprintf(path, sizeof(path), "%s/%s.%s.%d", dir, name, what, (int)getpid());
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    (void)r;
}

static enum queue_result work(struct queue_run *r, struct status *st) {
    const char *name = value_get_string(r->payload, "name", "?");

    (void)st;
    leave(name, r, "begun");
    usleep(2000);
    leave(name, r, "ended");
    return QUEUE_DONE;
}

static const struct queue_kind kinds[] = {
    {.name = "repeat",
     .queue = QUEUE_QUEUED,
     .run = work,
     .max_crashes = 1000,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_COUNT},
    {.name = "once",
     .queue = QUEUE_QUEUED,
     .run = work,
     .max_crashes = 1,
     .parallel_limit = LIMIT_COUNT,
     .connection_limit = LIMIT_COUNT},
};

static struct config config = {.max_queued_tasks_process_time_seconds = 60,
                               .max_queued_tasks_memory_mb = 64};

/* Tries again while others hold it, as a service does. */
static void open_store(struct deps *deps) {
    struct arena *a = arena_new(0);
    char path[512];
    struct status st;

    snprintf(path, sizeof(path), "%s/store.db", dir);
    for (int i = 0; i < 600; i++) {
        st_init(&st, a);
        if (store_open_sqlite(path, &deps->store, &st) == 0)
            break;
        usleep(50000);
    }
    if (!deps->store) {
        fprintf(stderr, "%s\n", st.message);
        abort();
    }
    arena_free(&a);
}

static struct queue *open_queue(struct deps *deps) {
    *deps =
        (struct deps){.config = &config, .clock = clock_system(), .rand = rand_system()};
    open_store(deps);
    return queue_open(&(struct queue_options){.deps = deps,
                                              .kinds = kinds,
                                              .kinds_len = 2,
                                              .lease_ms = LEASE_MS,
                                              .shared = true});
}

static pid_t start_worker(void) {
    extern char **environ;
    char *const argv[] = {(char *)program, "worker", (char *)dir, NULL};
    pid_t pid;

    assert_int_equal(posix_spawn(&pid, program, NULL, NULL, argv, environ), 0);
    return pid;
}

static void be_worker(void) {
    struct deps deps;

    queue_workers_start(
        open_queue(&deps),
        &(struct queue_workers_options){.queues = 1 << QUEUE_QUEUED, .threads = 2});
    for (;;)
        pause();
}

/* How often each task began and ended, as the files say. */
static struct { int begun, ended; } seen[TASKS];

static void count_files(void) {
    struct dirent *e;
    DIR *d = opendir(dir);

    assert_non_null(d);
    while ((e = readdir(d))) {
        char what[8];
        int i;

        if (sscanf(e->d_name, "t%d.%5[a-z].", &i, what) != 2)
            continue;
        assert_in_range(i, 0, TASKS - 1);
        *(strcmp(what, "begun") == 0 ? &seen[i].begun : &seen[i].ended) += 1;
    }
    closedir(d);
}

static uint64_t count_tasks(struct deps *deps, struct arena *a, const char *state) {
    struct status st;
    uint64_t n;

    st_init(&st, a);
    assert_int_equal(
        store_count(deps->store, C_TASKS, store_eq_text(a, "state", state), &n, &st), 0);
    return n;
}

static void check_task(int i) {
    assert_true(seen[i].begun >= seen[i].ended);
    if (i % 2)
        assert_true(seen[i].ended >= 1); /* repeated until it is done */
    else
        assert_true(seen[i].begun <= 1); /* at most once */
}

static void tasks_end_as_promised_while_workers_are_killed(void **state) {
    struct arena *a = arena_new(0);
    pid_t pids[WORKERS];
    struct queue *q;
    struct deps deps;
    struct status st;
    uint64_t left = 1;
    int not_ended = 0;

    (void)state;
    st_init(&st, a);
    q = open_queue(&deps);
    for (int i = 0; i < WORKERS; i++)
        pids[i] = start_worker();
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(queue_put(q,
                                   &(struct queue_task){
                                       .kind = i % 2 ? "repeat" : "once",
                                       .workspace_id = "w",
                                       .payload = value_obj(
                                           a, "name", value_stringf(a, "t%d", i), NULL)},
                                   &st),
                         0);
    srand(1);
    for (int i = 0; i < KILLS; i++) {
        int at = rand() % WORKERS;

        usleep(20000 + (useconds_t)(rand() % 60000));
        kill(pids[at], SIGKILL);
        waitpid(pids[at], NULL, 0);
        pids[at] = start_worker();
    }
    for (int i = 0; i < 1800 && left; i++) {
        left = count_tasks(&deps, a, "waiting") + count_tasks(&deps, a, "running");
        usleep(50000);
    }
    assert_int_equal(left, 0);
    count_files();
    for (int i = 0; i < TASKS; i++) {
        check_task(i);
        not_ended += !seen[i].ended;
    }
    /* Who ended but was killed before saying so is dead too, with the error that says
     * so. */
    assert_true(count_tasks(&deps, a, "dead") >= (uint64_t)not_ended);
    print_message("%d kills, %d tasks not run to their end, %d given up\n", KILLS,
                  not_ended, (int)count_tasks(&deps, a, "dead"));
    for (int i = 0; i < WORKERS; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    queue_close(&q);
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
        cmocka_unit_test_setup_teardown(tasks_end_as_promised_while_workers_are_killed,
                                        setup, teardown),
    };

    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "worker") == 0) {
        dir = argv[2];
        be_worker(); /* until it is killed */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
