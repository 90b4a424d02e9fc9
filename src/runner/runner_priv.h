/*
 * runner_priv.h - shared by the files of runner/.
 */
#ifndef RUNNER_RUNNER_PRIV_H
#define RUNNER_RUNNER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "deps/deps.h"
#include "runner.h"
#include "runner_layers.h"
#include "value/value.h"

struct arena;
struct metric;
struct status;

enum {
    RUNNER_OUTPUT_BYTES = 20 * 1024 * 1024,
    RUNNER_MEMORY_BYTES = 512 * 1024 * 1024,
    RUNNER_MIN_MEMORY_BYTES = 16 * 1024 * 1024,
    RUNNER_TIMEOUT_MS = 50 * 1000,
    RUNNER_MAX_TIMEOUT_MS = 50 * 60 * 1000,
    RUNNER_MAX_LOGS = 1000,
    RUNNER_MAX_LOG_BYTES = 1024 * 1024,
    RUNNER_MAX_CALLS = 1000,
    RUNNER_MAX_PARALLEL_CALLS = 16,
    RUNNER_MAX_CALL_BYTES = 32 * 1024 * 1024, /* a call's frame: body as base64 */
    RUNNER_MAX_PATH = 4096,
    RUNNER_MAX_RETIRED = 8,
};

/* A process that runs one job, or the zygote of such processes. */
struct runner_process {
    pid_t pid; /* here; 0: not known (yet) */
    int socket;
    int errors; /* its standard error: what Node says when it dies */
    /* Of a zygote's child; else -1. */
    int told;  /* what the zygote says of it */
    int pidfd; /* for ending it; once it is ready */
    unsigned layers;
    unsigned zygote; /* number of its zygote; 0: none, it was started by itself */
    char node_version[32];
    int64_t started_ms;
    double ready_cpu_ms; /* used until it was ready */
};

/* What a process has used: processor time since it was ready. */
struct runner_usage {
    double cpu_ms;
    int64_t max_rss_bytes;
};

enum runner_mode {
    RUNNER_MODE_PROCESS, /* a fresh Node for each job */
    RUNNER_MODE_ZYGOTE,  /* a fork of a warm Node for each job */
};

/* How processes are started; found once, at start (runner_spawn.c). */
struct runner_plan {
    char node[RUNNER_MAX_PATH];
    unsigned long clone_flags;
    bool user_namespace;
    unsigned wanted; /* layers that a process is to put up */
    int addon_fd, guest_fd, filter_fd, null_fd;
    int heap_mb;
};

enum runner_state {
    RUNNER_PROBING, /* finding out which layers hold */
    RUNNER_RUNS,
    RUNNER_REFUSED, /* a layer is missing that must hold, or no process starts */
};

struct runner_job {
    const char *id;
    const struct runner_process *process; /* that runs it now, or NULL */
    bool cancelled;
    struct runner_job *next;
};

struct runner {
    const struct config *config;
    struct deps deps; /* of calls: http, clock, rand */
    struct log_ctx log;
    struct runner_plan plan;
    bool has_node;
    atomic_int ios; /* of jobs, and of calls that outlive theirs */
    int spaces, idle_target;

    pthread_t spawner; /* its own: zygote, next_zygote, retired */
    struct runner_process zygote, next_zygote;
    unsigned zygotes;    /* numbers given */
    int forks;           /* of this zygote */
    int zygote_failures; /* in a row; back to 0 when a child gets ready */
    int64_t zygote_tried_ms;
    pid_t retired[RUNNER_MAX_RETIRED]; /* zygotes that still have children */
    bool has_spawner;
    int wake_fd;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t ready;
    enum runner_state state;
    enum runner_mode mode;
    char why_process[256]; /* why there is no zygote */
    unsigned layers;       /* that hold; final once state is RUNNER_RUNS */
    char node_version[32];
    bool stopping;
    int running, waiting;
    struct runner_process *idle;
    int idle_len;
    struct runner_job *jobs;
    int failures; /* processes in a row that ended before they were ready */
    int lost;     /* in a row that did not take their job */
    char failure[512];
    int64_t health_at_ms; /* when health was last evaluated; 0: never */
    bool health_ok;
    char health_text[256];

    struct metric *held; /* layers */
    struct metric *job_count, *durations, *starts, *calls, *zygote_starts, *retries;
};

/* ---- runner_spawn.c: one process ---- */

/* -1 configuration. ret: plan with descriptors open. 1: there is no Node. */
int runner_plan_make(const struct config *c, struct runner_plan *ret, struct status *st);
void runner_plan_close(struct runner_plan *p);
/*
 * Starts a process, or a zygote; it is ready once runner_process_read_ready says so. Must
 * be called on a thread that lives as long as the process: the kernel ties them together.
 */
int runner_process_start(const struct runner_plan *p, enum runner_mode mode,
                         struct runner_process *ret);
/* Reads the first frame. 1: not yet; -1: the process has ended or is of no use. */
int runner_process_read_ready(struct runner_process *p);
/* Sends SIGKILL; the process still is to be ended. */
void runner_process_kill(const struct runner_process *p);
/*
 * Ends it, waits until it is gone, and gives what it used; ret_wait_status and ret_usage
 * may be NULL.
 */
void runner_process_end(struct runner_process *p, int *ret_wait_status,
                        struct runner_usage *ret_usage);
/* The same for one that has done its job: its death is waited for by nobody. */
void runner_process_dismiss(struct runner_process *p, struct runner_usage *ret_usage);
/* What it wrote on standard error, at most size - 1 bytes. */
void runner_process_said(struct runner_process *p, char *out, size_t size);

/* ---- runner_zygote.c ---- */

/* A child of a ready zygote; it becomes ready like any process. -1 with errno. */
int runner_zygote_fork(struct runner_process *zygote, unsigned number,
                       struct runner_process *ret);
/* Of a child: 0 when its zygote has told of it (pid, pidfd), else -1. */
int runner_zygote_born(struct runner_process *p);
/*
 * Of a child that ends: waits for its zygote's word. -1 when the zygote says nothing
 * more, so that nothing is known.
 */
int runner_zygote_ended(struct runner_process *p, int *ret_wait_status,
                        struct runner_usage *ret_usage);
/* A number of a user for a job. */
int runner_next_uid(void);
/* A connected pair of sockets, out of the way of dup2; -1 with errno. */
int runner_pair(int type, int ret[2]);
/* The same of a pipe, which does not block. */
int runner_pipe(int ret[2]);

/* ---- runner_filter.c ---- */

/* A descriptor of the seccomp program of a job's process, or -1. */
int runner_filter_fd(void);

/* ---- runner_embed.S ---- */

extern const char runner_guest_begin[], runner_guest_end[];
extern const char runner_addon_begin[], runner_addon_end[];

/* ---- runner_pool.c: processes that wait ---- */

/* Returns before the first process is there; runner_pool_wait waits. */
int runner_pool_open(struct runner *r, struct status *st);
/* -1: the runner can't run code here, and why. */
int runner_pool_wait(struct runner *r, struct status *st);
void runner_pool_close(struct runner *r);
/*
 * A job space and a locked process; spare: beside the spaces. -1: `concurrency`
 * "unavailable" when all spaces are taken, `custom_code` when no process can be started.
 */
int runner_pool_take(struct runner *r, bool spare, struct runner_process *ret,
                     struct status *st);
/* Gives the space back. lost: the process did not take its job. */
void runner_pool_give(struct runner *r, bool spare, bool lost);

/* ---- runner_trial.c: does the zygote work here? ---- */

/*
 * Small jobs of all kinds through children of r->zygote, from the spawner's thread. -1
 * with what went wrong; else 0 and the layers that a child has put up.
 */
int runner_trial(struct runner *r, unsigned *ret_layers, char *why, size_t size);

/* ---- runner_api.c: asked by the pool when it knows what holds ---- */

/* -1 when a layer is missing that RUNNER_REQUIRE_ISOLATION names; else it is told. */
int runner_accept_layers(struct runner *r, struct status *st);

/* ---- runner_job.c ---- */

struct runner_limits {
    int64_t timeout_ms, memory_bytes, output_bytes;
};
struct runner_outcome {
    const struct value *result; /* of a job that succeeded */
    const struct value *logs, *usage;
};
/*
 * Runs {code | modules + main, entry?, arguments, limits?, grant?}. -1: `custom_code` or
 * what the code threw on; outcome's logs and usage are filled in either case. spare: the
 * service's own trial, which takes no job's space.
 */
int runner_job_run(struct runner *r, struct arena *a, const char *id,
                   const struct value *body, bool spare, struct runner_outcome *ret,
                   struct status *st);
/* The same with a process at hand, for the self-test; p is ended. */
int runner_job_try(struct runner *r, struct arena *a, struct runner_process *p,
                   const struct value *body, struct runner_outcome *ret,
                   struct status *st);
/* false: no such job. */
bool runner_job_cancel(struct runner *r, const char *id);

/* ---- runner_call.c: what a job asks of the outside ---- */

struct runner_io;
/* grant is copied. */
struct runner_io *runner_io_new(struct runner *r, int socket, const struct value *grant,
                                int64_t deadline_ms);
/* The job is over: calls under way are answered to nobody. */
void runner_io_end(struct runner_io *io);
/* Takes a call's frame (malloc'ed text) and answers it later. */
void runner_io_call(struct runner_io *io, char *frame, size_t len);
/* A line of the code's console. */
void runner_io_log(struct runner_io *io, const char *level, const char *message);
/* In `a`. */
const struct value *runner_io_logs(struct runner_io *io, struct arena *a);
int runner_io_calls(struct runner_io *io);
/* Calls through API clients that an app answered with success. */
int runner_io_successes(struct runner_io *io);

/* Writes a whole frame; -1 when the other side is gone. */
int runner_write_frame(int fd, const char *data, size_t len);

#endif
