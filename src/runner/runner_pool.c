/*
 * runner_pool.c - processes that wait for a job.
 *
 * One thread starts them all and lives as long as the pool, because the kernel ends a
 * process with the thread that made it. It keeps as many waiting as there are cores, and
 * as many more as jobs wait for one.
 *
 *     STARTING --ready frame--> IDLE --taken--> the job's thread ends it
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/sched.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/status.h"
#include "config/config.h"
#include "runner_priv.h"

enum {
    MAX_STARTING = 8,
    READY_MS = 15000,
    WAIT_FOR_PROCESS_MS = 20000,
    GIVE_UP_AFTER = 5, /* processes in a row that never got ready: jobs are refused */
    PAUSE_MS = 500,    /* between starts while they fail */
};

/* ---- Layers: tried by doing it ---- */

static const struct way {
    unsigned long flags;
    bool user_namespace;
    unsigned layers;
} ways[] = {
    {CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
         CLONE_NEWCGROUP,
     false, RUNNER_LAYER_ROOT | RUNNER_LAYER_NET | RUNNER_LAYER_PID | RUNNER_LAYER_IPC},
    {CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC |
         CLONE_NEWUTS | CLONE_NEWCGROUP,
     true, RUNNER_LAYER_ROOT | RUNNER_LAYER_NET | RUNNER_LAYER_PID | RUNNER_LAYER_IPC},
    {0, false, 0},
};

static int wait_ready(struct runner_process *p) {
    int64_t end = clock_monotonic_ms(clock_system()) + READY_MS;
    int rc;

    while ((rc = runner_process_read_ready(p)) == 1) {
        struct pollfd f = {p->socket, POLLIN, 0};
        int64_t left = end - clock_monotonic_ms(clock_system());

        if (left <= 0)
            return -1;
        poll(&f, 1, (int)left);
    }
    return rc;
}

/* Starts one process in one way: 0 with a process that waits, -1 it did not work. */
static int try_way(struct runner *r, const struct way *w, struct runner_process *ret) {
    r->plan.clone_flags = w->flags;
    r->plan.user_namespace = w->user_namespace;
    r->plan.wanted = w->layers | RUNNER_LAYERS_REQUIRED;
    if (!w->user_namespace && geteuid() == 0)
        r->plan.wanted |= RUNNER_LAYER_UID;
    if (runner_process_start(&r->plan, ret) < 0) {
        snprintf(r->failure, sizeof(r->failure), "%s", strerror(errno));
        return -1;
    }
    if (wait_ready(ret) == 0)
        return 0;
    runner_process_said(ret, r->failure, sizeof(r->failure));
    runner_process_end(ret, NULL, NULL);
    return -1;
}

static int probe(struct runner *r, struct runner_process *ret) {
    struct runner_process p;

    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        if (try_way(r, &ways[i], &p) < 0)
            continue;
        r->layers = p.layers;
        snprintf(r->node_version, sizeof(r->node_version), "%s", p.node_version);
        *ret = p;
        return 0;
    }
    return -1;
}

/* ---- The thread that starts ---- */

static void wake(struct runner *r) {
    uint64_t one = 1;

    if (write(r->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        abort();
}

static void on_failure(struct runner *r, struct runner_process *p) {
    char said[sizeof(r->failure)];
    int status;

    runner_process_said(p, said, sizeof(said));
    runner_process_end(p, &status, NULL);
    pthread_mutex_lock(&r->lock);
    r->failures++;
    snprintf(r->failure, sizeof(r->failure), "%s", *said ? said : "it ended");
    if (r->failures >= GIVE_UP_AFTER)
        pthread_cond_broadcast(&r->ready);
    pthread_mutex_unlock(&r->lock);
    log_warn(&r->log, "a process ended before it was ready", "status=%d said=%s", status,
             said);
}

static void on_ready(struct runner *r, const struct runner_process *p) {
    pthread_mutex_lock(&r->lock);
    r->idle[r->idle_len++] = *p;
    r->failures = 0;
    pthread_cond_signal(&r->ready);
    pthread_mutex_unlock(&r->lock);
    metric_observe(r->starts, NULL,
                   (double)(clock_monotonic_ms(clock_system()) - p->started_ms) / 1000);
}

/* Looks at those that start; gives how many still do. */
static int settle(struct runner *r, struct runner_process *starting, int n) {
    int64_t now = clock_monotonic_ms(clock_system());
    int kept = 0;

    for (int i = 0; i < n; i++) {
        int rc = runner_process_read_ready(&starting[i]);

        if (rc == 0 && (starting[i].layers & r->layers) == r->layers)
            on_ready(r, &starting[i]);
        else if (rc != 1 || now - starting[i].started_ms > READY_MS)
            on_failure(r, &starting[i]);
        else
            starting[kept++] = starting[i];
    }
    return kept;
}

static int missing(struct runner *r, int starting, bool *ret_stopping,
                   int *ret_failures) {
    int n;

    pthread_mutex_lock(&r->lock);
    n = r->idle_target + r->waiting - r->idle_len - starting;
    *ret_stopping = r->stopping;
    *ret_failures = r->failures;
    pthread_mutex_unlock(&r->lock);
    if (n > MAX_STARTING - starting)
        n = MAX_STARTING - starting;
    return n < 0 ? 0 : n;
}

/* The first process: shows what holds here, and waits for a job like those after it. */
static int start_first(struct runner *r) {
    struct runner_process first;
    struct arena *a = arena_new(0);
    struct status st;
    int rc;

    st_init(&st, a);
    rc = probe(r, &first);
    if (rc < 0) {
        log_error(&r->log, "custom code is off: no process can be started", "said=%s",
                  r->failure);
    } else if (runner_accept_layers(r, &st) < 0) {
        snprintf(r->failure, sizeof(r->failure), "%s", st.message);
        runner_process_end(&first, NULL, NULL);
        rc = -1;
    }
    if (rc == 0)
        on_ready(r, &first);
    pthread_mutex_lock(&r->lock);
    r->state = rc == 0 ? RUNNER_RUNS : RUNNER_REFUSED;
    pthread_cond_broadcast(&r->ready);
    pthread_mutex_unlock(&r->lock);
    arena_free(&a);
    return rc;
}

static void *spawner(void *ctx) {
    struct runner *r = ctx;
    struct runner_process starting[MAX_STARTING];
    int n = 0, failures;
    bool stopping;
    uint64_t ignored;

    if (start_first(r) < 0)
        return NULL;
    for (;;) {
        struct pollfd fds[1 + MAX_STARTING] = {{r->wake_fd, POLLIN, 0}};
        int want = missing(r, n, &stopping, &failures);

        if (stopping)
            break;
        if (failures && want > 1)
            want = 1;
        if (failures && n > 0)
            want = 0;
        while (want-- > 0)
            if (runner_process_start(&r->plan, &starting[n]) == 0) {
                n++;
            } else {
                log_error(&r->log, "can't start a process", "err=%s", strerror(errno));
                break;
            }
        for (int i = 0; i < n; i++)
            fds[1 + i] = (struct pollfd){starting[i].socket, POLLIN, 0};
        poll(fds, 1 + (nfds_t)n, n || failures ? PAUSE_MS : -1);
        if (fds[0].revents && read(r->wake_fd, &ignored, sizeof(ignored)) < 0)
            continue;
        n = settle(r, starting, n);
    }
    for (int i = 0; i < n; i++)
        runner_process_end(&starting[i], NULL, NULL);
    return NULL;
}

/* ---- Opening and closing ---- */

static int default_spaces(const struct config *c) {
    int cores = get_nprocs(), n = 4 * cores;
    int64_t by_memory =
        (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / (128 << 20);

    if (c->runner_job_spaces)
        return (int)c->runner_job_spaces;
    if (n > by_memory)
        n = (int)by_memory;
    return n < 1 ? 1 : n;
}

static int start_spawner(struct runner *r) {
    pthread_attr_t attr;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    rc = pthread_create(&r->spawner, &attr, spawner, r);
    pthread_attr_destroy(&attr);
    return rc;
}

int runner_pool_open(struct runner *r, struct status *st) {
    pthread_condattr_t attr;

    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->ready, &attr);
    pthread_condattr_destroy(&attr);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->spaces = default_spaces(r->config);
    r->idle_target = get_nprocs() < r->spaces ? get_nprocs() : r->spaces;
    r->idle =
        calloc((size_t)r->spaces + r->idle_target + MAX_STARTING + 1, sizeof(*r->idle));
    if (!r->idle || r->wake_fd < 0)
        return st_fail(st, ST_INTERNAL, NULL, "can't open the pool: %s", strerror(errno));
    if (!r->has_node)
        return 0;
    if (start_spawner(r) != 0)
        return st_fail(st, ST_INTERNAL, NULL, "can't start a thread");
    r->has_spawner = true;
    return 0;
}

int runner_pool_wait(struct runner *r, struct status *st) {
    int rc = 0;

    if (!r->has_node)
        return 0;
    pthread_mutex_lock(&r->lock);
    while (r->state == RUNNER_PROBING)
        pthread_cond_wait(&r->ready, &r->lock);
    if (r->state == RUNNER_REFUSED)
        rc = st_fail(st, ST_CONFIGURATION, NULL, "custom code can't run here: %.400s",
                     r->failure);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void runner_pool_close(struct runner *r) {
    if (r->has_spawner) {
        pthread_mutex_lock(&r->lock);
        r->stopping = true;
        pthread_mutex_unlock(&r->lock);
        wake(r);
        pthread_join(r->spawner, NULL);
    }
    for (int i = 0; i < r->idle_len; i++)
        runner_process_end(&r->idle[i], NULL, NULL);
    free(r->idle);
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    pthread_cond_destroy(&r->ready);
    pthread_mutex_destroy(&r->lock);
}

/* ---- Taking ---- */

/* Does it still wait, and has it said nothing more? */
static bool is_alive(const struct runner_process *p) {
    struct pollfd f = {p->socket, POLLIN, 0};

    return poll(&f, 1, 0) == 0;
}

static bool wait_for_idle(struct runner *r) {
    struct timespec end;
    bool in_time = true;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += WAIT_FOR_PROCESS_MS / 1000;
    r->waiting++;
    wake(r);
    while (in_time && !r->idle_len && r->failures < GIVE_UP_AFTER &&
           r->state != RUNNER_REFUSED)
        in_time = pthread_cond_timedwait(&r->ready, &r->lock, &end) == 0;
    r->waiting--;
    return r->idle_len > 0;
}

static int take(struct runner *r, struct runner_process *ret, struct status *st) {
    while (r->idle_len || wait_for_idle(r)) {
        *ret = r->idle[--r->idle_len];
        wake(r);
        if (is_alive(ret))
            return 0;
        runner_process_end(ret, NULL, NULL);
    }
    return st_fail(st, ST_CUSTOM_CODE, "unavailable",
                   "no process for custom code could be started: %.200s", r->failure);
}

int runner_pool_take(struct runner *r, bool spare, struct runner_process *ret,
                     struct status *st) {
    int rc = -1;

    if (!r->has_node)
        return st_fail(st, ST_CUSTOM_CODE, "code_is_off",
                       "custom code is off: the code runner has found no Node.js "
                       "(NODE_BIN)");
    pthread_mutex_lock(&r->lock);
    if (!spare && r->running >= r->spaces) {
        st_fail(st, ST_CONCURRENCY, "unavailable",
                "all %d job spaces of the code runner are taken", r->spaces);
    } else {
        r->running += !spare;
        rc = take(r, ret, st);
        if (rc < 0)
            r->running -= !spare;
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void runner_pool_give(struct runner *r, bool spare) {
    pthread_mutex_lock(&r->lock);
    r->running -= !spare;
    pthread_mutex_unlock(&r->lock);
}
