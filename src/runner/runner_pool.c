/*
 * runner_pool.c - processes that wait for a job.
 *
 * One thread starts them all and lives as long as the pool, because the kernel ends a
 * process with the thread that made it. It keeps some waiting, and as many more as jobs
 * wait for one.
 *
 *     STARTING --ready frame--> IDLE --taken--> the job's thread ends it
 *
 * Where forks of a warm Node work (runner_trial.c) they come from a zygote; otherwise
 * each is a Node of its own, which is slower and just as isolated. A zygote is replaced
 * by age and count, so that the layout of memory, which all its children share, does not
 * stand for long, and when it dies. The old one stays until its last child has ended.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
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
    WAIT_FOR_PROCESS_MS = 60000, /* the self-test at start may be under way */
    GIVE_UP_AFTER = 5, /* processes in a row that never got ready: jobs are refused */
    GIVE_UP_ZYGOTES_AFTER = 3,
    MAX_LOST = 5,    /* jobs in a row that a child did not take */
    PAUSE_MS = 500,  /* between starts while they fail */
    LOOK_MS = 30000, /* how often a zygote's age is looked at */
    ZYGOTE_MAX_AGE_MS = 15 * 60 * 1000,
    LEAST_IDLE = 4,
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

static void use_way(struct runner *r, const struct way *w) {
    r->plan.clone_flags = w->flags;
    r->plan.user_namespace = w->user_namespace;
    r->plan.wanted = w->layers | RUNNER_LAYERS_REQUIRED;
    if (!w->user_namespace && geteuid() == 0)
        r->plan.wanted |= RUNNER_LAYER_UID;
}

/* 0 with a process that is ready, -1 with r->failure. */
static int start_ready(struct runner *r, enum runner_mode mode,
                       struct runner_process *ret) {
    if (runner_process_start(&r->plan, mode, ret) < 0) {
        snprintf(r->failure, sizeof(r->failure), "%s", strerror(errno));
        return -1;
    }
    if (wait_ready(ret) == 0)
        return 0;
    runner_process_said(ret, r->failure, sizeof(r->failure));
    runner_process_end(ret, NULL, NULL);
    return -1;
}

static void note_why(struct runner *r, const char *why) {
    pthread_mutex_lock(&r->lock);
    snprintf(r->why_process, sizeof(r->why_process), "%s", why);
    pthread_mutex_unlock(&r->lock);
}

static void found(struct runner *r, enum runner_mode mode, unsigned layers,
                  const char *node_version) {
    pthread_mutex_lock(&r->lock);
    r->mode = mode;
    r->layers = layers;
    snprintf(r->node_version, sizeof(r->node_version), "%s", node_version);
    if (mode == RUNNER_MODE_ZYGOTE)
        *r->why_process = '\0';
    pthread_mutex_unlock(&r->lock);
}

/* -1: no zygote in this way; r->why_process says why. */
static int try_zygote(struct runner *r) {
    char why[sizeof(r->why_process)] = "";
    unsigned layers = 0;

    if (start_ready(r, RUNNER_MODE_ZYGOTE, &r->zygote) < 0) {
        snprintf(why, sizeof(why), "the zygote does not start: %.200s", r->failure);
        note_why(r, why);
        r->zygote.pid = 0;
        return -1;
    }
    r->zygotes++;
    if (runner_trial(r, &layers, why, sizeof(why)) == 0) {
        found(r, RUNNER_MODE_ZYGOTE, layers, r->zygote.node_version);
        return 0;
    }
    note_why(r, why);
    runner_process_end(&r->zygote, NULL, NULL);
    r->zygote.pid = 0;
    return -1;
}

/* Finds what holds here; ret: a first process, where there is no zygote. */
static int probe(struct runner *r, struct runner_process *ret) {
    bool may_fork = strcmp(r->config->runner_mode, "process") != 0;

    if (!may_fork)
        note_why(r, "RUNNER_MODE says so");
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        use_way(r, &ways[i]);
        if (may_fork && try_zygote(r) == 0)
            return 0;
        if (start_ready(r, RUNNER_MODE_PROCESS, ret) < 0)
            continue;
        found(r, RUNNER_MODE_PROCESS, ret->layers, ret->node_version);
        return 0;
    }
    return -1;
}

/* ---- Zygotes ---- */

static void reap_retired(struct runner *r) {
    for (int i = 0; i < RUNNER_MAX_RETIRED; i++)
        if (r->retired[i] && waitpid(r->retired[i], NULL, WNOHANG) != 0)
            r->retired[i] = 0;
}

static bool have_retired(const struct runner *r) {
    for (int i = 0; i < RUNNER_MAX_RETIRED; i++)
        if (r->retired[i])
            return true;
    return false;
}

/* It forks no more and ends with its last child. */
static void retire(struct runner *r) {
    int i = 0;

    while (i < RUNNER_MAX_RETIRED && r->retired[i])
        i++;
    if (i == RUNNER_MAX_RETIRED) {
        runner_process_end(&r->zygote, NULL, NULL);
    } else {
        r->retired[i] = r->zygote.pid;
        close(r->zygote.socket);
        close(r->zygote.errors);
    }
    r->zygote.pid = 0;
}

static bool has_said_more(const struct runner_process *p) {
    struct pollfd f = {p->socket, POLLIN, 0};

    return poll(&f, 1, 0) != 0;
}

static void fall_back(struct runner *r, const char *why) {
    pthread_mutex_lock(&r->lock);
    r->mode = RUNNER_MODE_PROCESS;
    snprintf(r->why_process, sizeof(r->why_process), "%s", why);
    pthread_mutex_unlock(&r->lock);
    log_error(&r->log, "from now on each job gets a new process", "why=%s", why);
    if (r->zygote.pid)
        retire(r);
    if (r->next_zygote.pid)
        runner_process_end(&r->next_zygote, NULL, NULL);
    r->next_zygote.pid = 0;
}

static void on_zygote_failure(struct runner *r, struct runner_process *z,
                              const char *what) {
    char said[256] = "";
    int status;

    runner_process_said(z, said, sizeof(said));
    runner_process_end(z, &status, NULL);
    z->pid = 0;
    log_warn(&r->log, what, "status=%d said=%s", status, said);
    if (++r->zygote_failures >= GIVE_UP_ZYGOTES_AFTER)
        fall_back(r, what);
}

static void start_zygote(struct runner *r) {
    r->zygote_tried_ms = clock_monotonic_ms(clock_system());
    if (runner_process_start(&r->plan, RUNNER_MODE_ZYGOTE, &r->next_zygote) < 0) {
        r->next_zygote.pid = 0;
        log_error(&r->log, "can't start a zygote", "err=%s", strerror(errno));
    }
}

/* A new one when there is none, or the old one has served enough. */
static bool needs_zygote(const struct runner *r) {
    int64_t now = clock_monotonic_ms(clock_system());

    if (r->next_zygote.pid)
        return false;
    if (!r->zygote.pid)
        return !r->zygote_failures || now - r->zygote_tried_ms >= PAUSE_MS;
    return r->forks >= r->config->runner_zygote_jobs ||
           now - r->zygote.started_ms > ZYGOTE_MAX_AGE_MS;
}

static void take_next_zygote(struct runner *r) {
    metric_observe(
        r->zygote_starts, NULL,
        (double)(clock_monotonic_ms(clock_system()) - r->next_zygote.started_ms) / 1000);
    if (r->zygote.pid)
        retire(r);
    r->zygote = r->next_zygote;
    r->next_zygote.pid = 0;
    r->zygotes++;
    r->forks = 0;
}

static void tend_zygotes(struct runner *r) {
    int rc;
    bool distrusted;

    reap_retired(r);
    if (r->mode != RUNNER_MODE_ZYGOTE)
        return;
    pthread_mutex_lock(&r->lock);
    distrusted = r->lost >= MAX_LOST;
    pthread_mutex_unlock(&r->lock);
    if (distrusted) {
        fall_back(r, "jobs were not taken");
        return;
    }
    if (r->zygote.pid && has_said_more(&r->zygote))
        on_zygote_failure(r, &r->zygote, "the zygote has ended");
    if (r->next_zygote.pid) {
        rc = runner_process_read_ready(&r->next_zygote);
        if (rc == 0)
            take_next_zygote(r);
        else if (rc < 0 ||
                 clock_monotonic_ms(clock_system()) - r->next_zygote.started_ms >
                     READY_MS)
            on_zygote_failure(r, &r->next_zygote, "a zygote does not start");
    }
    if (r->mode == RUNNER_MODE_ZYGOTE && needs_zygote(r))
        start_zygote(r);
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

/* Is it a fork of a zygote that has been replaced? */
static bool is_stale(const struct runner *r, const struct runner_process *p) {
    return p->zygote != (r->mode == RUNNER_MODE_ZYGOTE ? r->zygotes : 0);
}

static int count_stale(const struct runner *r) {
    int n = 0;

    for (int i = 0; i < r->idle_len; i++)
        n += is_stale(r, &r->idle[i]);
    return n;
}

/* One that waits is replaced by the new one, if it is stale. */
static bool take_stale(struct runner *r, struct runner_process *ret) {
    for (int i = 0; i < r->idle_len; i++)
        if (is_stale(r, &r->idle[i])) {
            *ret = r->idle[i];
            memmove(r->idle + i, r->idle + i + 1,
                    (size_t)(--r->idle_len - i) * sizeof(*r->idle));
            return true;
        }
    return false;
}

static void on_ready(struct runner *r, const struct runner_process *p) {
    struct runner_process stale;
    struct runner_usage ignored;
    bool replaces;

    pthread_mutex_lock(&r->lock);
    replaces = !is_stale(r, p) && take_stale(r, &stale);
    r->idle[r->idle_len++] = *p;
    r->failures = 0;
    if (p->zygote)
        r->zygote_failures = 0;
    pthread_cond_signal(&r->ready);
    pthread_mutex_unlock(&r->lock);
    if (replaces)
        runner_process_dismiss(&stale, &ignored);
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

/* A child of a zygote costs little while it waits. */
static int most_idle(const struct runner *r) {
    int n = 2 * get_nprocs();

    if (n < LEAST_IDLE)
        n = LEAST_IDLE;
    return n < r->spaces ? n : r->spaces;
}

static int missing(struct runner *r, int starting, bool *ret_stopping,
                   int *ret_failures) {
    int n;

    pthread_mutex_lock(&r->lock);
    n = r->idle_target + r->waiting - (r->idle_len - count_stale(r)) - starting;
    *ret_stopping = r->stopping;
    *ret_failures = r->failures;
    pthread_mutex_unlock(&r->lock);
    if (n > MAX_STARTING - starting)
        n = MAX_STARTING - starting;
    return n < 0 ? 0 : n;
}

/* Finds what holds here; a first process waits for a job like those after it. */
static int start_first(struct runner *r) {
    struct runner_process first = {.pid = 0};
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
        if (first.pid)
            runner_process_end(&first, NULL, NULL);
        if (r->zygote.pid)
            runner_process_end(&r->zygote, NULL, NULL);
        r->zygote.pid = 0;
        rc = -1;
    }
    if (rc == 0 && first.pid)
        on_ready(r, &first);
    pthread_mutex_lock(&r->lock);
    if (r->mode == RUNNER_MODE_ZYGOTE)
        r->idle_target = most_idle(r);
    r->state = rc == 0 ? RUNNER_RUNS : RUNNER_REFUSED;
    pthread_cond_broadcast(&r->ready);
    pthread_mutex_unlock(&r->lock);
    arena_free(&a);
    return rc;
}

static int start_one(struct runner *r, struct runner_process *ret) {
    if (r->mode == RUNNER_MODE_PROCESS)
        return runner_process_start(&r->plan, RUNNER_MODE_PROCESS, ret);
    r->forks++;
    return runner_zygote_fork(&r->zygote, r->zygotes, ret);
}

/* Starts what is missing; gives how many start now. */
static int start_missing(struct runner *r, struct runner_process *starting, int n,
                         int want, int failures) {
    if (failures && want > 1)
        want = 1;
    if ((failures && n > 0) || (r->mode == RUNNER_MODE_ZYGOTE && !r->zygote.pid))
        want = 0;
    while (want-- > 0) {
        if (start_one(r, &starting[n]) < 0) {
            log_error(&r->log, "can't start a process", "err=%s", strerror(errno));
            break;
        }
        n++;
    }
    return n;
}

static void wait_for_news(struct runner *r, const struct runner_process *starting, int n,
                          bool failing) {
    struct pollfd fds[3 + MAX_STARTING] = {
        {r->wake_fd, POLLIN, 0},
        {r->zygote.pid ? r->zygote.socket : -1, POLLIN, 0},
        {r->next_zygote.pid ? r->next_zygote.socket : -1, POLLIN, 0},
    };
    bool soon =
        n || failing || r->zygote_failures || r->next_zygote.pid || have_retired(r);
    uint64_t ignored;

    for (int i = 0; i < n; i++)
        fds[3 + i] = (struct pollfd){starting[i].socket, POLLIN, 0};
    poll(fds, 3 + (nfds_t)n,
         soon                            ? PAUSE_MS
         : r->mode == RUNNER_MODE_ZYGOTE ? LOOK_MS
                                         : -1);
    if (fds[0].revents && read(r->wake_fd, &ignored, sizeof(ignored)) < 0)
        return;
}

static void *spawner(void *ctx) {
    struct runner *r = ctx;
    struct runner_process starting[MAX_STARTING];
    int n = 0, failures, want;
    bool stopping;

    if (start_first(r) < 0)
        return NULL;
    for (;;) {
        tend_zygotes(r);
        want = missing(r, n, &stopping, &failures);
        if (stopping)
            break;
        n = start_missing(r, starting, n, want, failures);
        wait_for_news(r, starting, n, failures > 0);
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
    r->idle = calloc((size_t)r->spaces + 2 * (size_t)most_idle(r) + 2 * MAX_STARTING,
                     sizeof(*r->idle));
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

static void end_zygotes(struct runner *r) {
    if (r->zygote.pid)
        runner_process_end(&r->zygote, NULL, NULL);
    if (r->next_zygote.pid)
        runner_process_end(&r->next_zygote, NULL, NULL);
    for (int i = 0; i < RUNNER_MAX_RETIRED; i++)
        if (r->retired[i]) {
            kill(r->retired[i], SIGKILL);
            waitpid(r->retired[i], NULL, 0);
        }
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
    end_zygotes(r);
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
        /* The oldest, so that those of an old zygote do not stay. */
        *ret = r->idle[0];
        memmove(r->idle, r->idle + 1, (size_t)--r->idle_len * sizeof(*r->idle));
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

void runner_pool_give(struct runner *r, bool spare, bool lost) {
    pthread_mutex_lock(&r->lock);
    r->running -= !spare;
    r->lost = lost ? r->lost + 1 : 0;
    pthread_mutex_unlock(&r->lock);
    if (lost) {
        metric_add(r->retries, NULL, 1);
        log_warn(&r->log, "a process did not take its job; another one gets it");
        wake(r);
    }
}
